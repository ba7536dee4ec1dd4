-- Arrays in plain Lua, for the twins: {shape = {sizes}, dtype = name, values = {elements in row-major order}}.
-- Elements are what a script sees: floats, integers (int64, uint8) or booleans. Nothing here computes with a
-- tensor; `of` and `tensor` are the two ways across.
local peri = require "perilune"
-- busted's globals are looked up through tables of tables; these are asked for each element
local ipairs, math, table, type, pack, unpack = ipairs, math, table, type, string.pack, string.unpack
local abs, huge, mathtype = math.abs, math.huge, math.type

local array = {}

-- ---- dtypes ----

local LARGEST_FLOAT32 = 0x1.fffffep127
local FLOATS = { float32 = true, float64 = true }
local CATEGORY = { bool = 0, uint8 = 1, int64 = 1, float32 = 2, float64 = 2 }
array.CATEGORY = CATEGORY

function array.is_float(dtype) return FLOATS[dtype] == true end

local function float32(x)
  if x ~= x or abs(x) == huge then return x end
  -- half a step above the largest number and more goes to infinity
  if abs(x) >= LARGEST_FLOAT32 + 0x1p103 then return x > 0 and huge or -huge end
  if abs(x) > LARGEST_FLOAT32 then return x > 0 and LARGEST_FLOAT32 or -LARGEST_FLOAT32 end
  return (unpack("f", pack("f", x)))
end

local function number(x) return type(x) == "boolean" and (x and 1 or 0) or x end
array.number = number

-- Floats to integers truncate, limited to the integers of the dtype; NaN gives 0.
local function integer(x, low, high)
  if mathtype(x) == "integer" then return math.max(low, math.min(high, x)) end
  if x ~= x then return 0 end
  if x <= low then return low end
  if x >= high then return high end -- for int64 `high` as a float is 2^63, which lies beyond
  return math.tointeger(x < 0 and math.ceil(x) or math.floor(x))
end

-- One element as dtype holds it.
function array.round(dtype, x)
  if dtype == "bool" then return number(x) ~= 0 end
  x = number(x)
  if array.is_float(dtype) then
    if mathtype(x) == "integer" then x = x + 0.0 end
    return dtype == "float32" and float32(x) or x
  end
  if dtype == "int64" then return integer(x, math.mininteger, math.maxinteger) end
  return integer(x, 0, 255)
end

-- Whether a Lua number is a value of dtype: integers must be whole and in range, bool takes 0 and 1, float32 what does
-- not become infinite.
function array.fits(dtype, x)
  x = number(x)
  if dtype == "bool" then return x == 0 or x == 1 end
  if FLOATS[dtype] then return abs(array.round(dtype, x)) ~= huge or abs(x) == huge end
  local whole = math.tointeger(x)
  return whole ~= nil and (dtype == "int64" or whole >= 0 and whole <= 255)
end

-- What a twin does with arguments that the operation must refuse.
local Refusal = {}
function array.refuse() error(Refusal, 0) end
function array.is_refusal(err) return err == Refusal end

-- ---- making them ----

function array.numel(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

function array.is(x) return type(x) == "table" and x.values ~= nil end

local function next_position(shape, position)
  for d = #shape, 1, -1 do
    position[d] = position[d] + 1
    if position[d] <= shape[d] then return end
    position[d] = 1
  end
end

-- An array whose element at each position (a list of indices, reused between calls) is f(position, k).
function array.build(dtype, shape, f)
  local values, position = {}, {}
  for d = 1, #shape do position[d] = 1 end
  for k = 1, array.numel(shape) do
    values[k] = array.round(dtype, f(position, k))
    next_position(shape, position)
  end
  return { shape = { table.unpack(shape) }, dtype = dtype, values = values }
end

function array.full(dtype, shape, value) return array.build(dtype, shape, function() return value end) end
function array.vector(dtype, list) return array.build(dtype, { #list }, function(_, k) return list[k] end) end

local function flatten(value, values)
  if type(value) ~= "table" then
    values[#values + 1] = value
  else
    for i = 1, #value do flatten(value[i], values) end
  end
  return values
end

function array.of(tensor)
  return { shape = tensor.shape, dtype = tensor.dtype, values = flatten(tensor:totable(), {}) }
end

function array.tensor(a)
  return peri.tensor(#a.values > 0 and a.values or {}, { dtype = a.dtype }):reshape(a.shape)
end

function array.to(a, dtype)
  return array.build(dtype, a.shape, function(_, k) return a.values[k] end)
end

function array.copy(a) return array.to(a, a.dtype) end

-- ---- elements ----

-- Where an element stands in `values`.
function array.offset(a, position)
  local at = 0
  for d = 1, #a.shape do at = at * a.shape[d] + position[d] - 1 end
  return at + 1
end

function array.at(a, position) return a.values[array.offset(a, position)] end

-- The element that broadcasting puts at a position of a larger shape; a number is itself.
function array.stretched(a, position)
  if not array.is(a) then return a end
  local at, shape = 0, a.shape
  local shift = #position - #shape
  for d = 1, #shape do
    local size = shape[d]
    at = at * size + (size == 1 and 0 or position[shift + d] - 1)
  end
  return a.values[at + 1]
end

function array.broadcast(...)
  local shape, operands = {}, { ... }
  for _, a in ipairs(operands) do
    if array.is(a) then
      while #shape < #a.shape do table.insert(shape, 1, 1) end
    end
  end
  for _, a in ipairs(operands) do
    for d, size in ipairs(array.is(a) and a.shape or {}) do
      local at = #shape - #a.shape + d
      if shape[at] ~= 1 and size ~= 1 and shape[at] ~= size then array.refuse() end
      if size ~= 1 then shape[at] = size end
    end
  end
  return shape
end

-- f of the elements of operands (arrays and numbers) that are broadcast.
function array.map(dtype, f, ...)
  local operands, x = { ... }, {}
  return array.build(dtype, array.broadcast(...), function(position)
    for i, a in ipairs(operands) do x[i] = array.stretched(a, position) end
    return f(table.unpack(x, 1, #operands))
  end)
end

local function dtype_of(a)
  if array.is(a) then return a.dtype end
  return type(a) == "boolean" and "bool" or mathtype(a) == "integer" and "int64" or "float32"
end

-- PyTorch's promotion: among arrays with dimensions the widest dtype; arrays without and Lua numbers count only when
-- their category (bool, integer, float) is higher. But where no array is of floats, int64 becomes float64.
function array.promote(...)
  local found, long, floats = { {}, {}, {} }, false, false
  for _, a in ipairs { ... } do
    local dtype = dtype_of(a)
    if array.is(a) then long, floats = long or dtype == "int64", floats or FLOATS[dtype] end
    table.insert(found[not array.is(a) and 3 or #a.shape == 0 and 2 or 1], dtype)
  end
  local result
  for _, dtypes in ipairs(found) do
    local own
    for _, dtype in ipairs(dtypes) do
      if own == nil or CATEGORY[dtype] > CATEGORY[own] then
        own = dtype
      elseif CATEGORY[dtype] == CATEGORY[own] and dtype ~= own then
        own = FLOATS[dtype] and "float64" or "int64"
      end
    end
    if own and (result == nil or CATEGORY[own] > CATEGORY[result]) then result = own end
  end
  return FLOATS[result] and long and not floats and "float64" or result
end

-- The widest dtype of a list of arrays, whatever their dimensions.
function array.common_dtype(list)
  local dtype = list[1].dtype
  for _, x in ipairs(list) do
    local a, b = CATEGORY[dtype], CATEGORY[x.dtype]
    if b > a then
      dtype = x.dtype
    elseif a == b and dtype ~= x.dtype then
      dtype = a == 2 and "float64" or "int64"
    end
  end
  return dtype
end

-- ---- dimensions ----

-- A dimension from 1 or from the end (-1) among n.
function array.dim(d, n)
  local resolved = d < 0 and d + n + 1 or d
  if resolved < 1 or resolved > n then array.refuse() end
  return resolved
end

-- An index from 1 or from the end among n.
array.index = array.dim

function array.without(shape, d)
  local rest = { table.unpack(shape) }
  table.remove(rest, d)
  return rest
end

function array.with(shape, d, size)
  local changed = { table.unpack(shape) }
  changed[d] = size
  return changed
end

-- The lists of elements along dims (nil: all; a number; a list), each reduced to f(list).
function array.reduce(a, dims, keepdim, dtype, f)
  local gone, kept, shape = {}, {}, {}
  if dims == nil then
    for d = 1, #a.shape do gone[d] = true end
  end
  for _, d in ipairs(type(dims) == "number" and { dims } or dims or {}) do
    d = array.dim(d, #a.shape)
    if gone[d] then array.refuse() end
    gone[d] = true
  end
  for d, size in ipairs(a.shape) do
    kept[d] = gone[d] and 1 or size
    if not gone[d] or keepdim then shape[#shape + 1] = kept[d] end
  end
  local lists = array.build("int64", kept, function(_, k) return k end)
  local collected = {}
  for k = 1, #lists.values do collected[k] = {} end
  array.build("int64", a.shape, function(position, k)
    local list = collected[array.stretched(lists, position)]
    list[#list + 1] = a.values[k]
    return 0
  end)
  return array.build(dtype, shape, function(_, k) return f(collected[k]) end)
end

-- The lists of elements along one dimension, each replaced by the list f(list), which may be of another length n.
function array.along(a, d, dtype, f, n)
  d = array.dim(d, #a.shape)
  local results = {}
  return array.build(dtype, array.with(a.shape, d, n or a.shape[d]), function(position)
    local line = array.with(position, d, 1)
    local key = table.concat(line, " ")
    if not results[key] then
      local list = {}
      for i = 1, a.shape[d] do list[i] = array.at(a, array.with(line, d, i)) end
      results[key] = f(list)
    end
    return results[key][position[d]]
  end)
end

return array
