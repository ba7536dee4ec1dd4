-- Twins of cumulative rows and of reductions that are made of others (runtime/ops/scan.c, statistics.c, differences.c,
-- and amax, amin, aminmax of extreme.c).
local array = require "support.array"
local number = array.number

local cases = [[ {T(1), 1}, {T(0), 1}, {T(2, 0), 1}, {T(2, 0), -1}, {T(3), 2}, {T(67), 1}, {T(3, 67), 2}, {T(67, 3), 1},
  {T(2, 130), 2}, {T(130, 2), 1}, {T(), 1}, {B(3, 5), 1}, {B(7), 1}, {I(5, 3, 4), 2}, {S('int64'), 1}, {T(2, 3, 2), 2},
  {T(2, 70, 70), 2} ]]
local special = ", {S(), 1}, {S():view(1, -1), 1}, {peri.tensor{1, 0/0, 3}, 1}"

-- The scan of each line, where step(before, x, i) gives what stands there, before being nil at first.
local function scan(dtype_of, step)
  return function(p)
    local dtype = dtype_of(p.x.dtype)
    if #p.x.shape == 0 then
      if p.dim ~= 1 and p.dim ~= -1 then array.refuse() end
      return array.build(dtype, {}, function() return (step(nil, number(p.x.values[1]), 1)) end)
    end
    return array.along(p.x, p.dim, dtype, function(list)
      local y, before = {}, nil
      for i, x in ipairs(list) do
        local value
        value, before = step(before, number(x), i)
        y[i] = value
      end
      return y
    end)
  end
end

local function wide(dtype) return array.is_float(dtype) and dtype or "int64" end
local function same(dtype) return dtype end

local rows = {}

rows.cumsum = { scan(wide, function(before, x)
  local y = before and before + x or x
  return y, y
end), cases, close = "all" }
rows.cumprod = { scan(wide, function(before, x)
  local y = before and before * x or x
  return y, y
end), cases, close = "all" }

local function extremes(beyond)
  local function step(before, x, i)
    if not before or x ~= x or before.x == before.x and not beyond(before.x, x) then return { x = x, i = i } end
    return before
  end
  return { function(p)
    local function of(field, dtype)
      return scan(dtype, function(before, x, i)
        local now = step(before, x, i)
        return now[field], now
      end)(p)
    end
    return of("x", same), of("i", function() return "int64" end)
  end, cases .. special .. ", {peri.tensor{2, 2, 1, 2}, 1}" }
end
rows.cummax = extremes(function(a, b) return a > b end)
rows.cummin = extremes(function(a, b) return a < b end)

local function log_sum(list)
  local most, total = -math.huge, 0
  for _, x in ipairs(list) do
    if x ~= x then return x end
    most = math.max(most, x)
  end
  if most == -math.huge or most == math.huge then return most end
  for _, x in ipairs(list) do total = total + math.exp(x - most) end
  return most + math.log(total)
end

rows.logcumsumexp = { function(p)
  if not array.is_float(p.x.dtype) then array.refuse() end
  return scan(same, function(before, x)
    local list = before or {}
    list[#list + 1] = x
    return log_sum(list), list
  end)(p)
end, cases .. [[, {peri.tensor{-1/0, -1/0, 1, 2}, 1}, {peri.tensor{700, 710, -700.0}, 1}, {peri.tensor{1, 1/0, 3}, 1},
  {peri.tensor{1, 0/0, 3}, 1}]], close = "all" }

-- ---- reductions ----

local reductions = [[ {T(1)}, {T(2, 3), 1}, {T(2, 3), {1, -1}}, {T(2, 3), {2, 1}, true}, {T(3), 2}, {T(2, 3), {1, 1}},
  {T(2, 3), {}}, {T(67)}, {T(5, 67), 2}, {T(67, 5), 1}, {T(3, 4), nil, true}, {T(1037)}, {B(3, 5), 1}, {I(50, 3, 5), 2},
  {T(0)}, {T(2, 0), 1}, {T(2, 0), 2} ]]
local nans = ", {peri.tensor{{1, 0/0, 3}, {0/0, 0/0, 0/0}}, 2}, {peri.tensor{1, 0/0, 3}}"

local function extreme(beyond)
  return function(list)
    if #list == 0 then array.refuse() end
    local best = list[1]
    for _, x in ipairs(list) do
      local a, b = number(x), number(best)
      if b == b and (a ~= a or beyond(a, b)) then best = x end
    end
    return best
  end
end
local largest = extreme(function(a, b) return a > b end)
local smallest = extreme(function(a, b) return a < b end)

local function value_row(f)
  return { function(p)
    for d, size in ipairs(p.x.shape) do -- an empty dimension that is reduced, whatever the others
      local gone = p.dims == nil
      for _, dim in ipairs(type(p.dims) == "number" and { p.dims } or p.dims or {}) do
        gone = gone or array.dim(dim, #p.x.shape) == d
      end
      if gone and size == 0 then array.refuse() end
    end
    return array.reduce(p.x, p.dims, p.keepdim, p.x.dtype, f)
  end, reductions .. nans .. ", {S()}, {S('int64')}, {S():view(1, -1), 1}" }
end
rows.amax, rows.amin = value_row(largest), value_row(smallest)
rows.aminmax = { function(p)
  local dim = p.dim
  if (dim and p.x.shape[array.dim(dim, #p.x.shape)] or array.numel(p.x.shape)) == 0 then array.refuse() end
  return array.reduce(p.x, dim, p.keepdim, p.x.dtype, smallest), array.reduce(p.x, dim, p.keepdim, p.x.dtype, largest)
end, [[ {T(1)}, {T(2, 3), 1}, {T(2, 3), 2, true}, {T(3), 2}, {T(67)}, {B(3, 5), 1}, {I(50, 3, 5), 2}, {T(0)},
  {T(2, 0), 1}, {T(2, 0), 2}, {S()}, {peri.tensor{1, 0/0, 3}} ]] }

rows.count_nonzero = { function(p)
  return array.reduce(p.x, p.dims, p.keepdim, "int64", function(list)
    local count = 0
    for _, x in ipairs(list) do count = count + (number(x) ~= 0 and 1 or 0) end
    return count
  end)
end, reductions .. nans .. ", {S()}, {peri.tensor{0.0, -0.0, 1}}" }

local function known(list)
  local found = {}
  for _, x in ipairs(list) do
    if x == x then found[#found + 1] = x end
  end
  return found
end
local function sum(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  return total
end
local function floats(f, further)
  return { function(p)
    if not array.is_float(p.x.dtype) then array.refuse() end
    return array.reduce(p.x, p.dims, p.keepdim, p.x.dtype, f)
  end, reductions .. nans .. (further or ""), close = "all" }
end
rows.nansum = floats(function(list) return sum(known(list)) end)
rows.nanmean = floats(function(list)
  list = known(list)
  return sum(list) / #list
end)
rows.logsumexp = floats(log_sum, [[, {peri.tensor{-1/0, -1/0}}, {peri.tensor{{-1/0, 2}, {1/0, 3}}, 2},
  {peri.tensor{700, 710, -700.0}}, {peri.tensor{-1000, -1001}} ]])

local function mean(list) return #list == 0 and 0 / 0 or sum(list) / #list end
local function variance(list, correction)
  local middle, total = mean(list), 0
  for _, x in ipairs(list) do total = total + (x - middle) ^ 2 end
  return total / math.max(0, #list - correction)
end
local function moments(finish)
  return { function(p)
    if not array.is_float(p.x.dtype) or math.abs(p.correction or 1) == math.huge then array.refuse() end
    return array.reduce(p.x, p.dims, p.keepdim, p.x.dtype, function(list)
      return finish(variance(list, p.correction or 1))
    end), array.reduce(p.x, p.dims, p.keepdim, p.x.dtype, mean)
  end, reductions .. ", {T(4), {correction = 0}}, {T(2), {correction = 3}}, {T(2), {correction = 1/0}}", close = "all" }
end
rows.var_mean, rows.std_mean = moments(function(v) return v end), moments(math.sqrt)

-- ---- covariances ----

local function covariances(p)
  if not array.is_float(p.x.dtype) or #p.x.shape > 2 or p.correction == math.huge then array.refuse() end
  local n = #p.x.shape == 0 and 1 or p.x.shape[#p.x.shape]
  local variables = #p.x.shape == 2 and p.x.shape[1] or 1
  local w, total, important = {}, 0, 0
  for _, name in ipairs { "fweights", "aweights" } do
    local given = p[name]
    if given then
      if #given.shape ~= 1 or given.shape[1] ~= n then array.refuse() end
      if (name == "fweights") ~= (given.dtype == "int64") or given.dtype == "uint8" or given.dtype == "bool" then
        array.refuse()
      end
      for _, weight in ipairs(given.values) do
        if weight < 0 or weight ~= weight then array.refuse() end
      end
    end
  end
  for k = 1, n do
    w[k] = (p.fweights and p.fweights.values[k] or 1) * (p.aweights and p.aweights.values[k] or 1)
    total = total + w[k]
    important = important + w[k] * (p.aweights and p.aweights.values[k] or 1)
  end
  local divisor = math.max(0, total - (p.correction or 1) * important / total)
  local function at(i, k) return p.x.values[(i - 1) * n + k] end
  local means = {}
  for i = 1, variables do
    means[i] = 0
    for k = 1, n do means[i] = means[i] + w[k] * at(i, k) / total end
  end
  local function entry(i, j)
    local products = 0
    for k = 1, n do products = products + w[k] * (at(i, k) - means[i]) * (at(j, k) - means[j]) end
    return products / divisor
  end
  return entry, #p.x.shape == 2 and { variables, variables } or {}
end
rows.cov = { function(p)
  local entry, shape = covariances(p)
  return array.build(p.x.dtype, shape, function(at) return entry(at[1] or 1, at[2] or 1) end)
end, [[ {T(2, 3, 4)}, {T(1, 5)}, {T(3, 1)}, {T(2, 5), {correction = 7}}, {T(2, 4), {correction = 1/0}},
  {T(2, 3), {fweights = ints{1, 0, 2}}}, {T(2, 3), {fweights = ints{1, -1, 2}}}, {T(2, 3), {fweights = T(3)}},
  {T(2, 3), {aweights = peri.tensor{1, 2}}}, {T(3), {aweights = peri.tensor{1, 0.5, 2}}}, {T(1)}, {T(4):unsqueeze(1)},
  {peri.rand(2, 50) + 1000} ]], close = "all" }
rows.corrcoef = { function(p)
  local entry, shape = covariances { x = p.x, correction = 0 }
  return array.build(p.x.dtype, shape, function(at)
    local i, j = at[1] or 1, at[2] or 1
    local r = entry(i, j) / math.sqrt(entry(i, i)) / math.sqrt(entry(j, j))
    return r ~= r and r or math.max(-1, math.min(1, r))
  end)
end, [[ {T(2, 3, 4)}, {T(1, 5)}, {peri.tensor{{1, 1, 1}, {1, 2, 3}}}, {peri.tensor{{1, 2, 4}, {-2, -4, -8}}},
  {T(2, 40)} ]], close = "all" }

-- ---- differences ----

local function joined(a, b, d)
  if #a.shape ~= #b.shape or a.dtype ~= b.dtype then array.refuse() end
  for k, size in ipairs(a.shape) do
    if k ~= d and size ~= b.shape[k] then array.refuse() end
  end
  return array.build(a.dtype, array.with(a.shape, d, a.shape[d] + b.shape[d]), function(at)
    if at[d] <= a.shape[d] then return array.at(a, at) end
    return array.at(b, array.with(at, d, at[d] - a.shape[d]))
  end)
end

rows.diff = { function(p)
  if #p.x.shape == 0 or p.x.dtype == "uint8" or (p.n or 1) < 0 then array.refuse() end
  local d, x = array.dim(p.dim or -1, #p.x.shape), p.x
  if p.prepend then x = joined(p.prepend, x, d) end
  if p.append then x = joined(x, p.append, d) end
  for _ = 1, p.n or 1 do
    local last = x
    x = array.build(x.dtype, array.with(x.shape, d, math.max(0, x.shape[d] - 1)), function(at)
      local a, b = array.at(last, at), array.at(last, array.with(at, d, at[d] + 1))
      if x.dtype == "bool" then return a ~= b end
      return b - a
    end)
  end
  return x
end, [[ {T(1)}, {T(0)}, {T()}, {T(5), 0}, {T(5), -1}, {T(5), 7}, {T(5), 2}, {T(3, 4), 1, 1}, {T(3, 4), 1, 3}, {B(6)},
  {I(9, 5), 2}, {T(3), {prepend = T(2)}}, {T(3), {append = T(2, 2)}}, {T(3), {append = I(9, 2)}},
  {T(2, 3), {dim = 1, append = T(1, 3), n = 2}}, {S('int64')}, {T(2, 3), {prepend = T(3, 1)}} ]], close = "all" }

-- (y_i + y_{i+1}) (x_{i+1} - x_i) / 2 along a dimension.
local function trapezoids(p)
  if not array.is_float(p.y.dtype) or #p.y.shape == 0 then array.refuse() end
  local d, x = array.dim(p.dim or -1, #p.y.shape), p.x
  if x and (p.dx or x.dtype ~= p.y.dtype) then array.refuse() end
  local alike = x and table.concat(x.shape, "x") == table.concat(p.y.shape, "x")
  if x and not alike and not (#x.shape == 1 and x.shape[1] == p.y.shape[d]) then array.refuse() end
  return d, array.build("float64", array.with(p.y.shape, d, math.max(0, p.y.shape[d] - 1)), function(at)
    local next = array.with(at, d, at[d] + 1)
    local step = p.dx or 1
    if x then
      step = alike and array.at(x, next) - array.at(x, at) or x.values[next[d]] - x.values[at[d]]
    end
    return (array.at(p.y, at) + array.at(p.y, next)) * step / 2
  end)
end
local integrals = [[ {T(1)}, {T(0)}, {T()}, {T(5), T(4)}, {T(5), T(5), {dx = 1}}, {T(3, 4), T(3), {dim = 1}},
  {T(3, 4), T(3, 4), {dim = 1}}, {T(2, 0)}, {T(4), T(4):to 'float64'}, {T(4), {dx = -2}}, {I(4, 5)} ]]
rows.trapezoid = { function(p)
  local d, parts = trapezoids(p)
  return array.reduce(parts, d, false, p.y.dtype, sum)
end, integrals, close = "all" }
rows.cumulative_trapezoid = { function(p)
  local d, parts = trapezoids(p)
  return array.along(parts, d, p.y.dtype, function(list)
    local y, total = {}, 0
    for i, part in ipairs(list) do
      total = total + part
      y[i] = total
    end
    return y
  end)
end, integrals, close = "all" }

return rows
