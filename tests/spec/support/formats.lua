-- For each file format of data.formats(), what its writer is given behind the path: f() -> a list of new tensors, and
-- how the path must end, if that matters. The specs that call all readers and writers walk data.formats() and take it
-- from here; what is missing is an error.
local peri = require "perilune"

local function rows() return peri.rand(3, 8, { dtype = "float64" }):t() end
local function labels() return peri.arange(1, 8) % 2 end
local function rows_and_labels() return { rows(), labels() } end

local function image() return { peri.randint(0, 255, { 3, 4, 5 }):to("uint8"):permute(2, 3, 1) } end

local formats = {
  idx = function() return { peri.randint(0, 255, { 4, 5 }):to("uint8"):t() } end,
  image = function() return image(), ".ppm" end,
  npy = function() return { rows() } end,
  npz = function() return { { x = rows(), y = labels() }, { compress = true } } end,
  png = image,
  pnm = image,
  svmlight = rows_and_labels,
  csv = rows_and_labels,
}

return setmetatable(formats, {
  __index = function(_, name) error(name .. " has no entry in tests/spec/support/formats.lua", 2) end,
})
