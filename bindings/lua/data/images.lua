-- image_folder: images of a folder, classes by its folders.
local peri, internal = ...
local check = internal.check
local fail = check.fail
local data = peri.data

local SIDE = 1000000 -- the largest of files

-- {height, width}, of a number or two.
local size = check.kind("a number or {height, width}", function(value)
  local list = type(value) == "table" and value or { value, value }
  if #list ~= 2 then return nil end
  local sides = check.whole_from(1, SIDE)
  local height, width = sides.read(list[1]), sides.read(list[2])
  return height and width and { height, width }
end)

local OPTIONS = { size = size, channels = check.whole_from(1, 4), dtype = check.one_of "float32 uint8" }

-- The names in a folder, in the order of bytes, without those that are hidden; nil where there is no folder.
local function names_in(path)
  local all, message = internal.process.list(path)
  if not all then return nil, message end
  local names = {}
  for _, name in ipairs(all) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Lists of classes, of the files and of the class of each.
local function list_files(dir)
  local names, message = names_in(dir)
  if not names then fail("image_folder: %s", message) end
  local classes, files, labels = {}, {}, {}
  for _, name in ipairs(names) do
    local path = dir .. "/" .. name
    local images = names_in(path)
    if images then
      classes[#classes + 1] = name
      if #images == 0 then fail("image_folder: %s has no images", path) end
      for _, image in ipairs(images) do
        files[#files + 1], labels[#labels + 1] = path .. "/" .. image, #classes
      end
    end
  end
  if #classes == 0 then fail("image_folder: %s has no folders (expected one for each class)", dir) end
  return classes, files, labels
end

local function read(path, channels)
  local ok, image = pcall(data.read_image, path, { channels = channels })
  if ok then return image end
  if type(image) ~= "string" then error(image, 0) end
  fail("%s", (image:gsub("^.-read_image: ", "image_folder: ", 1)))
end

-- C x height x width; of another size floats, which are whole unless they may be any.
local function planes_of(image, sides, floats)
  local planes = image:permute(3, 1, 2)
  if image:size(1) == sides[1] and image:size(2) == sides[2] then return planes end
  local resized = planes:unsqueeze(1):to("float32"):interpolate(sides, { mode = "bilinear" }):squeeze(1)
  return floats and resized or resized:round()
end

-- That images can stand in one tensor; where they are resized their channels are what matters.
local function check_alike(path, image, first, any_size)
  local a, b = image.shape, first.shape
  if a[3] ~= b[3] then
    fail("image_folder: %s has %d channels (expected %d as the first image, or the option channels)", path, a[3], b[3])
  end
  if not any_size and (a[1] ~= b[1] or a[2] ~= b[2]) then
    fail("image_folder: %s is %dx%d (expected %dx%d as the first image, or the option size)", path, a[1], a[2], b[1],
      b[2])
  end
end

local images = {}

function images.image_folder(dir, options)
  check.read("image_folder", "dir", dir, check.test("the name of a folder", function(v)
    return type(v) == "string" and v ~= "" and not v:find "%z"
  end))
  options = check.options("image_folder", options, OPTIONS)
  local classes, files, labels = list_files(dir)
  local floats, x, first = options.dtype ~= "uint8", nil, nil
  for i, path in ipairs(files) do
    local image = read(path, options.channels)
    first = first or image
    local sides = options.size or { first:size(1), first:size(2) }
    check_alike(path, image, first, options.size)
    x = x or peri.zeros(#files, image:size(3), sides[1], sides[2], { dtype = floats and "float32" or "uint8" })
    x[i]:copy_(planes_of(image, sides, floats))
  end
  if floats then x:div_(255) end
  return { x = x, y = peri.tensor(labels, { dtype = "int64" }), classes = classes, files = files }
end

return images
