-- Images: those in tests/fuzz/corpus, which tests/peers/image_golden.py made, are read as what they are.
local peri = require "perilune"
local fails = require "support.fails"
local data = peri.data

local H, W = 5, 7
local function file(kind, name) return ("tests/fuzz/corpus/%s/%s"):format(kind, name) end

-- Sample c of the pixel in row y, column x (all from 0).
local function sample(y, x, c, values) return (37 * y + 11 * x + 50 * c + 3) % values end

-- x is H x W x channels of f(y, x, c).
local function check(image, dtype, channels, f)
  assert.equal(dtype, image.dtype)
  assert.same({ H, W, channels }, image.shape)
  assert.is_true(image:is_contiguous())
  local expected = {}
  for y = 0, H - 1 do
    for x = 0, W - 1 do
      for c = 0, channels - 1 do expected[#expected + 1] = f(y, x, c) end
    end
  end
  assert.same(expected, image:flatten():totable())
end

local function of_values(values, scale)
  return function(y, x, c) return sample(y, x, c, values) * (scale or 1) end
end

describe("a PNG file", function()
  local PLAIN = { grey = 1, ["grey-alpha"] = 2, rgb = 3, ["rgb-alpha"] = 4 }
  for name, channels in pairs(PLAIN) do
    it("of " .. name .. " is read with 8 and 16 bits", function()
      local path, wide = file("png", name .. "-8.png"), file("png", name .. "-16.png")
      check(data.read_png(path), "uint8", channels, of_values(256))
      check(data.read_png(wide, { depth = 16 }), "int64", channels, of_values(65536))
      fails.at_script("read_png: " .. wide .. ": offset 0: has 16 bits per sample (expected 8, or the option depth",
        data.read_png, wide)
      fails.at_script("has 8 bits per sample (expected 16, as depth says)", data.read_png, path, { depth = 16 })
      fails.at_script("read_png: depth is 9 (expected 8 or 16)", data.read_png, path, { depth = 9 })
    end)
  end

  it("of fewer bits is read in 0 to 255", function()
    for depth, scale in pairs { [1] = 255, [2] = 85, [4] = 17 } do
      check(data.read_png(file("png", ("grey-%d.png"):format(depth))), "uint8", 1, of_values(2 ^ depth // 1, scale))
    end
  end)

  it("with rows in Adam7's order is read", function()
    check(data.read_png(file("png", "interlaced.png")), "uint8", 3, of_values(256))
    check(data.read_png(file("png", "interlaced-1.png")), "uint8", 1, of_values(2, 255))
    check(data.read_png(file("png", "interlaced-16.png"), { depth = 16 }), "int64", 1, of_values(65536))
  end)

  local function color(i, c) return ({ 7 * i % 256, 255 - i, i * i % 256 })[c + 1] end
  it("with a palette is RGB, with transparent entries RGB and alpha", function()
    for _, depth in ipairs { 1, 2, 4, 8 } do
      check(data.read_png(file("png", ("palette-%d.png"):format(depth))), "uint8", 3, function(y, x, c)
        return color(sample(y, x, 0, 1 << depth), c)
      end)
    end
    check(data.read_png(file("png", "palette-alpha.png")), "uint8", 4, function(y, x, c)
      local i = sample(y, x, 0, 4)
      return c == 3 and (({ [0] = 0, 100 })[i] or 255) or color(i, c)
    end)
  end)

  it("with a transparent colour has alpha", function()
    check(data.read_png(file("png", "grey-transparent.png")), "uint8", 2, function(y, x, c)
      local i = sample(y, x, 0, 16)
      return c == 0 and 17 * i or i == 3 and 0 or 255
    end)
    check(data.read_png(file("png", "rgb-transparent.png")), "uint8", 4, function(y, x, c)
      local first = sample(y, x, 0, 256)
      return c < 3 and sample(y, x, c, 256) or first == 3 and 0 or 255
    end)
  end)

  it("is read as it is, whatever else it says", function()
    check(data.read_png(file("png", "gamma-and-text.png")), "uint8", 1, of_values(256))
  end)
end)

describe("a PGM or PPM file", function()
  it("is read, of text and of bytes", function()
    for _, name in ipairs { "text", "bytes" } do
      check(data.read_pnm(file("pnm", name .. ".pgm")), "uint8", 1, of_values(256))
      check(data.read_pnm(file("pnm", name .. ".ppm")), "uint8", 3, of_values(256))
    end
  end)

  it("is scaled to 255, or 65535", function()
    local function scaled(largest, whole)
      return function(y, x, c) return (sample(y, x, c, largest + 1) * whole + largest // 2) // largest end
    end
    check(data.read_pnm(file("pnm", "small.pgm")), "uint8", 1, scaled(100, 255))
    check(data.read_pnm(file("pnm", "small-text.pgm")), "uint8", 1, scaled(15, 255))
    check(data.read_pnm(file("pnm", "16.pgm"), { depth = 16 }), "int64", 1, scaled(65535, 65535))
    check(data.read_pnm(file("pnm", "16-text.ppm"), { depth = 16 }), "int64", 3, scaled(1000, 65535))
  end)
end)

describe("an image", function()
  local path = os.tmpname()
  teardown(function()
    for _, ending in ipairs { "", ".png", ".pgm", ".ppm" } do os.remove(path .. ending) end
  end)

  it("is told apart by content", function()
    check(data.read_image(file("png", "rgb-8.png")), "uint8", 3, of_values(256))
    check(data.read_image(file("pnm", "bytes.pgm")), "uint8", 1, of_values(256))
    fails.at_script("begins with bytes 89 50 (expected P2 or P5", data.read_pnm, file("png", "rgb-8.png"))
    fails.at_script("libpng: ", data.read_png, file("pnm", "bytes.pgm"))
    fails.at_script("begins as no image does that is known", data.read_image, "README.md")
  end)

  it("is converted to other channels", function()
    local luma = function(y, x)
      local r, g, b = sample(y, x, 0, 256), sample(y, x, 1, 256), sample(y, x, 2, 256)
      return (19595 * r + 38470 * g + 7471 * b + 32768) // 65536
    end
    local grey, rgb = file("png", "grey-8.png"), file("png", "rgb-8.png")
    check(data.read_image(rgb, { channels = 1 }), "uint8", 1, luma)
    check(data.read_image(rgb, { channels = 2 }), "uint8", 2, function(y, x, c) return c == 1 and 255 or luma(y, x) end)
    check(data.read_image(rgb, { channels = 4 }), "uint8", 4, function(y, x, c)
      return c == 3 and 255 or sample(y, x, c, 256)
    end)
    check(data.read_image(grey, { channels = 3 }), "uint8", 3, function(y, x) return sample(y, x, 0, 256) end)
    local wide = data.read_image(file("png", "grey-alpha-16.png"), { depth = 16, channels = 4 })
    check(wide, "int64", 4, function(y, x, c) return sample(y, x, c == 3 and 1 or 0, 65536) end)
    check(data.read_image(file("png", "rgb-alpha-8.png"), { channels = 3 }), "uint8", 3, of_values(256))
    fails.at_script("read_image: channels is 5 (expected 1 to 4)", data.read_image, rgb, { channels = 5 })
  end)

  it("is written as its path ends, from views too", function()
    local x = peri.randint(0, 255, { 3, 6, 9 }):to "uint8":permute(2, 3, 1)
    for _, ending in ipairs { ".png", ".ppm" } do
      data.write_image(path .. ending, x)
      assert.is_true(data.read_image(path .. ending):equal(x))
    end
    data.write_image(path .. ".pgm", x:select(3, 2))
    assert.is_true(data.read_pnm(path .. ".pgm"):squeeze(3):equal(x:select(3, 2)))
    data.write_png(path, x)
    assert.is_true(data.read_png(path):equal(x))
    fails.at_script("write_image: x is 6x9x3 (expected H x W x C, C 1, as the file's name ends)", data.write_image,
      path .. ".pgm", x)
    fails.at_script("(expected .png, .pgm, .ppm or .pnm)", data.write_image, path .. ".jpg", x)
    fails.at_script("write_png: x is float32 (expected uint8", data.write_png, path, x:to "float32")
  end)
end)

describe("a folder of images", function()
  local folder = os.tmpname()
  os.remove(folder)
  local made = {}
  local function make(name) assert(os.execute(("mkdir -p '%s/%s'"):format(folder, name))) end
  local function put(name, image)
    made[#made + 1] = folder .. "/" .. name
    if type(image) == "string" then
      local out = assert(io.open(made[#made], "wb"))
      out:write(image)
      out:close()
    else
      data.write_image(made[#made], image)
    end
  end
  local function image(seed, ...)
    peri.manual_seed(seed)
    return peri.randint(0, 255, { ... }):to "uint8"
  end
  local a, b, c = image(1, 4, 6, 3), image(2, 4, 6, 3), image(3, 4, 6, 3)

  before_each(function()
    for _, name in ipairs { "zebra", "ant", ".hidden" } do make(name) end
    put("zebra/1.png", a)
    put("ant/2.ppm", b)
    put("ant/10.png", c)
    put("ant/.thumbs", "no image")
    put("README", "no image")
  end)
  after_each(function() os.execute(("rm -r '%s'"):format(folder)) end)

  local function planes(x) return x:permute(3, 1, 2) end

  it("gives images, classes by folder, and paths, all in order", function()
    local set = data.image_folder(folder)
    assert.same({ "ant", "zebra" }, set.classes)
    assert.same({ folder .. "/ant/10.png", folder .. "/ant/2.ppm", folder .. "/zebra/1.png" }, set.files)
    assert.same({ 1, 1, 2 }, set.y:totable())
    assert.equal("int64", set.y.dtype)
    local expected = peri.stack { planes(c), planes(b), planes(a) }
    assert.is_true(set.x:equal(expected:to "float32":div(255)))
    local bytes = data.image_folder(folder, { dtype = "uint8" })
    assert.equal("uint8", bytes.x.dtype)
    assert.is_true(bytes.x:equal(expected))
  end)

  it("resizes and converts images when asked", function()
    put("zebra/2.pgm", image(4, 9, 5, 1))
    fails.at_script("image_folder: " .. folder .. "/zebra/2.pgm has 1 channels (expected 3 as the first image, or the",
      data.image_folder, folder)
    fails.at_script("/zebra/2.pgm is 9x5 (expected 4x6 as the first image, or the option size)", data.image_folder,
      folder, { channels = 3 })
    local set = data.image_folder(folder, { channels = 1, size = { 8, 7 } })
    assert.same({ 4, 1, 8, 7 }, set.x.shape)
    for i, path in ipairs(set.files) do
      local one = planes(data.read_image(path, { channels = 1 })):to "float32":unsqueeze(1)
      local expected = one:interpolate({ 8, 7 }, { mode = "bilinear" }):squeeze(1)
      assert.is_true(set.x[i]:equal(expected / 255), path)
    end
    local bytes = data.image_folder(folder, { channels = 1, size = 8, dtype = "uint8" })
    assert.same({ 4, 1, 8, 8 }, bytes.x.shape)
    local one = planes(data.read_image(bytes.files[4], { channels = 1 })):to "float32":unsqueeze(1)
    assert.is_true(bytes.x[4]:equal(one:interpolate(8, { mode = "bilinear" }):squeeze(1):round():to "uint8"))
  end)

  it("names the file that is no image, and folders without images", function()
    put("ant/notes.txt", "no image")
    fails.at_script("image_folder: " .. folder .. "/ant/notes.txt: offset 0: begins as no image does",
      data.image_folder, folder)
    os.remove(folder .. "/ant/notes.txt")
    make "bee"
    fails.at_script("image_folder: " .. folder .. "/bee has no images", data.image_folder, folder)
    make "bee/nest"
    fails.at_script("image_folder: " .. folder .. "/bee/nest: is a directory", data.image_folder, folder)
    fails.at_script("has no folders (expected one for each class)", data.image_folder, folder .. "/zebra")
    fails.at_script("cannot read the folder '/nowhere'", data.image_folder, "/nowhere")
    fails.at_script("image_folder: dir must be the name of a folder, got 3", data.image_folder, 3)
  end)
end)
