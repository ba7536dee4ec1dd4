-- Twins of the rows that make tensors (runtime/ops/create.c).
local array = require "support.array"

local function filled(value)
  return function(p) return array.full(p.dtype or "float32", p.shape, value) end
end

local function like(value)
  return function(p) return array.full(p.dtype or p.x.dtype, p.x.shape, value) end
end

local shapes = [[ {{}}, {1}, {2, 0, 3}, {{2, 1, 2}, {dtype = 'float64'}}, {3, {dtype = 'uint8'}},
  {3, {dtype = 'bool'}}, {3, {dtype = 'int64'}} ]]
local others = "{T()}, {T(0)}, {T(2, 1, 3), {dtype = 'bool'}}, {T(2), {dtype = 'int64'}}, {T(2), {dtype = 'uint8'}}"

local function fitting(f)
  return function(p)
    local dtype, shape = f(p)
    if not array.fits(dtype, p.value) then array.refuse() end
    return array.full(dtype, shape, p.value)
  end
end

local function of_dtype(value)
  return function(p) return array.full(p.dtype or p.x.dtype, p.shape, value) end
end

-- The numbers as elements of dtype, which must have each.
local function progression(dtype, list)
  for _, x in ipairs(list) do
    if not array.fits(dtype, x) then array.refuse() end
  end
  return array.vector(dtype, list)
end

local function finite(...)
  for _, x in ipairs { ... } do
    if x ~= x or math.abs(x) == math.huge then array.refuse() end
  end
end

-- from, from + step, ... up to and including to, as Lua's for counts; a last one within 1e-6 of a step is to.
local function arange(p)
  local from, to, step = p.from, p.to, p.step or 1
  local whole = math.type(from) == "integer" and math.type(to) == "integer" and math.type(step) == "integer"
  local dtype, list = p.dtype or (whole and "int64" or "float32"), {}
  finite(from, to, step)
  if step == 0 then array.refuse() end
  for i = 0, math.max(-1, math.floor((to - from) / step + 1e-6)) do list[i + 1] = from + i * step end
  local reached = #list > 0 and math.abs((to - list[#list]) / step) <= 1e-6
  if reached and array.is_float(dtype) then list[#list] = to end
  return progression(dtype, list)
end

-- Equal distances; whole ends of an integer dtype stay whole.
local function linspace(p)
  local dtype, steps, list = p.dtype or "float32", math.max(1, p.n - 1), {}
  finite(p.from, p.to)
  if p.n < 0 then array.refuse() end
  for i = 0, p.n - 1 do
    local way = (p.to - p.from) * i
    list[i + 1] = p.from + (math.type(way) == "integer" and way % steps == 0 and way // steps or way / steps)
  end
  return progression(dtype, list)
end

-- Both ends are exact.
local function check_linspace(p, close, y)
  close(linspace(p), y, "values")
  assert(p.n < 1 or y.values[1] == array.round(y.dtype, p.from), "the first is not from")
  assert(p.n < 2 or y.values[p.n] == array.round(y.dtype, p.to), "the last is not to")
end

return {
  zeros = { filled(0), shapes },
  ones = { filled(1), shapes },
  empty = { filled(0), shapes },
  full = { function(p)
    if not array.fits(p.dtype or "float32", p.value) then array.refuse() end
    return array.full(p.dtype or "float32", p.shape, p.value)
  end, [[ {{}, 2.5}, {{2, 0}, 1}, {{2}, 0.1}, {{2}, 0.1, {dtype = 'float64'}}, {{3}, 255, {dtype = 'uint8'}},
    {{3}, 256, {dtype = 'uint8'}}, {{3}, -1, {dtype = 'uint8'}}, {{3}, 1.5, {dtype = 'int64'}},
    {{2}, math.maxinteger, {dtype = 'int64'}}, {{2}, math.mininteger, {dtype = 'int64'}},
    {{2}, 2, {dtype = 'bool'}}, {{2}, 0, {dtype = 'bool'}}, {{2}, 1e39}, {{1}, 0/0}, {{1}, -1/0} ]] },
  zeros_like = { like(0), others },
  ones_like = { like(1), others },
  empty_like = { like(0), others },
  full_like = { fitting(function(p) return p.dtype or p.x.dtype, p.x.shape end),
    "{T(), 1}, {T(0), 2}, {T(2), 0.5}, {T(2), 300, {dtype = 'uint8'}}, {T(2), 2, {dtype = 'int64'}}, {B(2), true}" },
  new_zeros = { of_dtype(0), "{T(2), {}}, {T(), 0}, {B(3), {2, 2}}, {T(2), {2}, {dtype = 'bool'}}" },
  new_ones = { of_dtype(1), "{T(2), {}}, {T(), 0}, {B(3), {2, 2}}, {T(2), {2}, {dtype = 'bool'}}" },
  new_empty = { of_dtype(0), "{T(2), {}}, {T(), 0}, {B(3), {2, 2}}, {T(2), {2}, {dtype = 'bool'}}" },
  new_full = { fitting(function(p) return p.dtype or p.x.dtype, p.shape end),
    "{T(2), {}, 1}, {T(2), {2}, 0.5}, {T(2), {2}, -1, {dtype = 'uint8'}}, {B(2), {3}, false}, {T(2), {0}, 1}" },
  eye = { function(p)
    return array.build(p.dtype or "float32", { p.n, p.m or p.n }, function(at) return at[1] == at[2] and 1 or 0 end)
  end, "{0}, {1}, {4, 2}, {2, 0}, {3, {dtype = 'int64'}}, {2, 3, {dtype = 'bool'}}, {2, {dtype = 'uint8'}}" },
  arange = { arange, [[ {1, 1}, {-3, 3, 2}, {1, 2, 0}, {0, 1, 0.1}, {1, 10, 3}, {10, 1, -4}, {1.5, 4},
    {1, 3, {dtype = 'float64'}}, {0, 2, 0.5, {dtype = 'float64'}}, {1, 3, {dtype = 'uint8'}}, {1, 4.5},
    {math.maxinteger - 2, math.maxinteger}, {math.mininteger, math.mininteger + 4, 2}, {1.0, 3.0},
    {0, 1, 0.01, {dtype = 'float64'}}, {0.1, 2.1, 0.1, {dtype = 'float64'}}, {0, 0.3, 0.1, {dtype = 'float64'}},
    {250, 255, {dtype = 'uint8'}}, {250, 256, {dtype = 'uint8'}}, {3, -1, -1, {dtype = 'uint8'}},
    {0, 1, {dtype = 'bool'}},
    {0, 2, {dtype = 'bool'}}, {0, 2, 0.5, {dtype = 'int64'}}, {1, 1/0}, {0/0, 1}, {1, 2, 1/0} ]] },
  linspace = { linspace, [[ {0, 1, 11}, {1, 0, 3}, {5, 5, 4}, {-2, 2, 5, {dtype = 'int64'}},
    {0, 255, 6, {dtype = 'uint8'}}, {0, 1, 7, {dtype = 'float64'}}, {0, 1, 2}, {0.1, 0.7, 50, {dtype = 'float64'}},
    {1, 0.1, 23}, {0, 1, 4, {dtype = 'int64'}}, {0, 300, 4, {dtype = 'uint8'}},
    {9, -9, 7, {dtype = 'int64'}}, {0, 1, 2, {dtype = 'bool'}}, {0, 1/0, 3}, {0.5, 2.5, 3, {dtype = 'int64'}},
    {0, 1, -1} ]],
    close = "all", check = check_linspace },
  logspace = { function(p)
    local base, dtype = p.base or 10, p.dtype or "float32"
    if not (base > 0 and base < math.huge) or not array.is_float(dtype) then array.refuse() end
    local e = linspace { from = p.from, to = p.to, n = p.n, dtype = "float64" }
    local y = array.build(dtype, { p.n }, function(_, k) return base ^ e.values[k] end)
    for _, x in ipairs(y.values) do
      if math.abs(x) == math.huge then array.refuse() end
    end
    return y
  end, [[ {0, 2, 5}, {2, 0, 5}, {0, 1, 3, 2}, {1, 1, 2}, {0, 39, 2}, {0, 39, 3, {dtype = 'float64'}}, {0, 1, 3, 0},
    {0, 1, 3, -2}, {0, 1, 3, 1/0}, {0, 1, 3, 0/0}, {0, 1/0, 3}, {0, 1, -1}, {5, 1, 0}, {0, 2, 3, {dtype = 'int64'}},
    {0, 8, 9, 0.5}, {-400, 0, 3}, {0, 400, 3, {dtype = 'float64'}} ]], close = "each" },
  vander = { function(p)
    if #p.x.shape ~= 1 or (p.n or 0) < 0 then array.refuse() end
    local m, n = #p.x.values, p.n or #p.x.values
    return array.build(array.is_float(p.x.dtype) and p.x.dtype or "int64", { m, n }, function(at)
      local x, y = array.number(p.x.values[at[1]]), 1
      for _ = 1, p.increasing and at[2] - 1 or n - at[2] do y = y * x end
      return y
    end)
  end, [[ {T(0)}, {T(3), 0}, {T(1)}, {T(4), 3}, {T(3), 5, true}, {T(3), -1}, {T()}, {T(2, 2)},
    {B(3), 3} ]], close = "each" },
}
