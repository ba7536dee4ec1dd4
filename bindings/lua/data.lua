-- What of peri.data is best in Lua. Called with the module and the table that C has begun.
local peri, data = ...

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function read(dir, name)
  for _, ending in ipairs { ".gz", "" } do
    local path = dir .. "/" .. name .. ending
    if exists(path) then return data.read_idx(path) end
  end
  error(("mnist: neither %s.gz nor %s is in %s"):format(name, name, dir), 0)
end

local function read_set(dir, prefix)
  local images, labels = read(dir, prefix .. "-images-idx3-ubyte"), read(dir, prefix .. "-labels-idx1-ubyte")
  local bytes = images.dtype == "uint8" and labels.dtype == "uint8"
  if not bytes or images:dim() ~= 3 or labels:dim() ~= 1 or #images ~= #labels then
    local text = "mnist: the %s images are %s of %s and the labels %s of %s (expected n x rows x columns and n, uint8)"
    error(text:format(prefix, images.dtype, table.concat(images.shape, "x"), labels.dtype,
      table.concat(labels.shape, "x")), 0)
  end
  return { x = images:view(#images, -1):to("float32"):div_(255), y = labels:to("int64"):add_(1) }
end

peri._document("mnist", [[
data.mnist(dir) -> {train = {x =, y =}, test = {x =, y =}, classes =}
Reads the four IDX files of MNIST (or a set of its family) from a folder, plain or .gz: x is n x 784 float32 in [0, 1],
y int64: the digit + 1; classes are the digits in order.]], function(dir)
  if type(dir) ~= "string" then peri._raise(("mnist: dir must be a string, got %s"):format(type(dir))) end
  local ok, result = pcall(function()
    return { train = read_set(dir, "train"), test = read_set(dir, "t10k"), classes = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 } }
  end)
  if not ok then peri._raise(result) end
  return result
end, data)

return data
