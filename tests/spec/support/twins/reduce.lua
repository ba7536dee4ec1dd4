-- Twins of the reductions, of softmax and of sort (runtime/ops/reduce.c, extreme.c, moments.c, softmax.c, sort.c).
local array = require "support.array"
local number = array.number

local function fold(first, f)
  return function(list)
    local total = first
    for _, x in ipairs(list) do total = f(total, number(x)) end
    return total
  end
end
local sum = fold(0, function(a, b) return a + b end)
local product = fold(1, function(a, b) return a * b end)

local function mean(list) return #list == 0 and 0 / 0 or sum(list) / #list end

local function variance(list, correction)
  local middle, total = mean(list), 0
  for _, x in ipairs(list) do total = total + (x - middle) ^ 2 end
  return total / math.max(0, #list - correction)
end

local cases = [[ {T(1)}, {T(2, 3), 1}, {T(2, 3), 2}, {T(2, 3), -2}, {T(2, 3), {1, -1}}, {T(2, 3), {2, 1}, true},
  {T(2, 3, 2), {keepdim = true}}, {T(3), 2}, {T(2, 3), {1, 1}}, {T(2, 3), {}}, {T(1, 1), 2}, {T(67)}, {T(5, 67), 2},
  {T(67, 5), 1}, {T(3, 4), nil, true}, {T(1037)}, {T(2, 1037), 2}, {T(517, 2), 1}, {B(3, 5), 1}, {B(7)},
    {I(50, 3, 5), 2} ]]
local nothing = ", {T(0)}, {T(2, 0), 2}, {T(2, 0), 1}, {T(0, 3)}, {T(0, 3), 1, true}"
local special = ", {S()}, {S():view(1, -1), 1}"

-- Integers and bools add up in int64.
local function wide(dtype) return array.is_float(dtype) and dtype or "int64" end

local rows = {
  sum = { function(p) return array.reduce(p.x, p.dims, p.keepdim, wide(p.x.dtype), sum) end,
    cases .. nothing .. ", {S('int64')}, {T(3), 1.0}, {S('uint8'):expand(40, -1), {1, 2}}" },
  prod = { function(p) return array.reduce(p.x, p.dims, p.keepdim, wide(p.x.dtype), product) end,
    cases .. nothing .. ", {S('int64')}, {T(40) + T(40)}, {T(2, 3), 2, true}" },
  mean = { function(p)
    local dtype = p.x.dtype == "int64" and "float64" or array.is_float(p.x.dtype) and p.x.dtype or "float32"
    return array.reduce(p.x, p.dims, p.keepdim, dtype, mean)
  end, cases .. nothing .. ", {peri.full({3}, 16777217, {dtype = 'int64'})}" },
  any = { function(p)
    local any = array.reduce(p.x, p.dims, p.keepdim, "bool", fold(false, function(a, x) return a or x ~= 0 end))
    return p.dims and any or any.values[1]
  end, cases .. nothing .. special .. ", {T(3, 4):gt(9), 2}, {T(3):gt(9)}" },
  all = { function(p)
    local all = array.reduce(p.x, p.dims, p.keepdim, "bool", fold(true, function(a, x) return a and x ~= 0 end))
    return p.dims and all or all.values[1]
  end, cases .. nothing .. special .. ", {T(3, 4):lt(9), 2}, {T(3):lt(9)}" },
}
rows.sum.close, rows.prod.close, rows.mean.close = "all", "all", "all"

local function spread(finish)
  return { function(p)
    if not array.is_float(p.x.dtype) then array.refuse() end
    return array.reduce(p.x, p.dims, p.keepdim, p.x.dtype, function(list)
      return finish(variance(list, p.correction or 1))
    end)
  end, cases .. nothing .. [[, {T(2, 3), {correction = 0}}, {T(2, 3), 2, {correction = 0}},
    {T(4), {correction = 2}}, {T(2), {correction = 3}},
    {peri.full({49}, 0.1)}, {peri.full({3, 7}, 1e30):to('float64'), 2},
    {T(1), {correction = 0}}, {T(5, 2), {keepdim = true, dims = 1, correction = 1.5}},
    {peri.tensor{1e-23, 2e-23, 3e-23}}, {peri.tensor{1e20, 2e20, 3e20}},
    {peri.tensor{{1e-30, 3e-30}}, 2} ]], close = "all" }
end
rows.var = spread(function(v) return v end)
rows.std = spread(math.sqrt)

-- ---- extremes ----

-- The first position in a list of what is beyond all others; NaN is beyond everything.
local function choose(list, beyond)
  local best = 1
  for i = 2, #list do
    local a, b = number(list[i]), number(list[best])
    if b == b and (a ~= a or beyond(a, b)) then best = i end
  end
  return best
end

-- f of each list along dim, or of all elements without dim.
local function choose_along(p, dtype, f)
  if p.dim and p.x.shape[array.dim(p.dim, #p.x.shape)] == 0 then array.refuse() end
  if not p.dim and array.numel(p.x.shape) == 0 then array.refuse() end
  return array.reduce(p.x, p.dim, p.keepdim, dtype, f)
end

local along = [[ {T(1)}, {T(2, 3), 1}, {T(2, 3), -1}, {T(2, 3, 2), 2, true}, {T(3), 2}, {T(0)}, {T(2, 0), 2},
    {T(2, 0), 1},
  {T(1037)}, {T(2, 517), 2}, {T(517, 2), 1}, {T(3, 4), {keepdim = true, dim = 1}}, {B(3, 5), 1}, {B(7)}, {I(3, 20)},
  {I(3, 5, 20), 2}, {S()}, {S('int64')}, {S():view(1, -1), 2}, {peri.full({3}, 0/0):to('float64')},
  {peri.tensor{1, 0/0, 3, 0/0}}, {peri.full({2, 3}, -1/0), 1} ]]

local function extreme(beyond)
  return { function(p)
    local function value(list) return list[choose(list, beyond)] end
    local values = choose_along(p, p.x.dtype, value)
    if not p.dim then return values end
    return values, choose_along(p, "int64", function(list) return choose(list, beyond) end)
  end, along }
end
local function position(beyond)
  return { function(p)
    local at = choose_along(p, "int64", function(list) return choose(list, beyond) end)
    return p.dim and at or at.values[1]
  end, along }
end
local function greater(a, b) return a > b end
local function less(a, b) return a < b end

rows.max, rows.min = extreme(greater), extreme(less)
rows.argmax, rows.argmin = position(greater), position(less)

-- ---- softmax ----

local function exponentials(list)
  local largest, total, exps = -math.huge, 0, {}
  for _, x in ipairs(list) do largest = (x ~= x or x > largest) and x or largest end
  for i, x in ipairs(list) do
    exps[i] = math.exp(x - largest)
    total = total + exps[i]
  end
  return exps, total, largest
end

local function normalised(f)
  return { function(p)
    if not array.is_float(p.x.dtype) then array.refuse() end
    if #p.x.shape == 0 then return f(array.build(p.x.dtype, { 1 }, function() return p.x.values[1] end), 1, {}) end
    return f(p.x, p.dim or -1)
  end, [[ {T(1)}, {T(2, 3), 1}, {T(2, 3), -2}, {T(2, 3, 4), 1}, {T(0)}, {T(2, 0)}, {T(0, 2)}, {T(3), 2}, {T(4) * 1000},
    {T(2, 517)}, {T(517, 2), 1}, {peri.tensor{0, -1/0, 2}}, {peri.tensor{0, 0/0, 2}},
    {peri.tensor{700, 710, -700.0}} ]],
    close = "all" }
end

rows.softmax = normalised(function(x, dim, shape)
  local y = array.along(x, dim, x.dtype, function(list)
    local y, total = exponentials(list)
    for i = 1, #y do y[i] = y[i] / total end
    return y
  end)
  y.shape = shape or y.shape
  return y
end)
rows.log_softmax = normalised(function(x, dim, shape)
  local y = array.along(x, dim, x.dtype, function(list)
    local _, total, largest = exponentials(list)
    local y = {}
    for i, value in ipairs(list) do y[i] = value - largest - math.log(total) end
    return y
  end)
  y.shape = shape or y.shape
  return y
end)

-- ---- sort ----

-- The order of a list: stable, NaN the largest.
local function order(list, descending)
  local index = {}
  for i = 1, #list do index[i] = i end
  local function before(a, b)
    a, b = number(a), number(b)
    if descending then a, b = b, a end
    return a < b or a == a and b ~= b
  end
  table.sort(index, function(i, j)
    if before(list[i], list[j]) then return true end
    return not before(list[j], list[i]) and i < j
  end)
  return index
end

rows.sort = { function(p)
  if #p.x.shape == 0 then return p.x, array.full("int64", {}, 1) end
  local function indices(list) return order(list, p.descending) end
  local function values(list)
    local sorted = {}
    for k, i in ipairs(indices(list)) do sorted[k] = list[i] end
    return sorted
  end
  local dim = p.dim or -1
  return array.along(p.x, dim, p.x.dtype, values), array.along(p.x, dim, "int64", indices)
end, [[ {T(1)}, {T(0)}, {T(2, 0), 1}, {T(3, 1, 4), -3}, {T(3), 2}, {T(67)}, {T(3, 67), 2, true}, {B(9)},
    {B(9), 1, true},
  {I(3, 30)}, {I(3, 30), -1, true}, {I(3, 4, 10), 1}, {S()}, {S(), 1, true}, {S('int64')},
  {peri.tensor{1, 0/0, -1, 0/0, 1}}, {peri.tensor{1, 0/0, -1, 0/0, 1}, 1, true}, {T(2, 3), {dim = 1}} ]] }

return rows
