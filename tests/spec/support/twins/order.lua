-- Twins of rows that are about the order of elements (runtime/ops/sort.c beside sort itself, quantile.c, unique.c,
-- search.c) and of counts (histogram.c).
local array = require "support.array"
local number = array.number

-- Whether a stands before b: NaN is the largest.
local function before(a, b)
  a, b = number(a), number(b)
  return a < b or a == a and b ~= b
end

-- Positions in the order of a stable sort.
local function order(list, descending)
  local index = {}
  for i = 1, #list do index[i] = i end
  table.sort(index, function(i, j)
    local a, b = list[i], list[j]
    if descending then a, b = b, a end
    if before(a, b) then return true end
    return not before(b, a) and i < j
  end)
  return index
end

local function pick(list, index)
  local picked = {}
  for k, i in ipairs(index) do picked[k] = list[i] end
  return picked
end

local function first(list, k)
  return table.move(list, 1, k, 1, {})
end

local rows = {}

local function need_dimension(p, dim)
  if #p.x.shape == 0 and dim ~= 1 and dim ~= -1 then array.refuse() end
end

rows.argsort = { function(p)
  if #p.x.shape == 0 then
    need_dimension(p, p.dim or -1)
    return array.full("int64", {}, 1)
  end
  return array.along(p.x, p.dim or -1, "int64", function(list) return order(list, p.descending) end)
end, [[ {T(1)}, {T(0)}, {T(3), 2}, {T(3, 67), 2, true}, {B(9)}, {I(3, 30)}, {I(3, 4, 10), 1}, {S()}, {S('int64')},
  {peri.tensor{1, 0/0, -1, 0/0, 1}, 1, true} ]] }
rows.msort = { function(p)
  if #p.x.shape == 0 then array.refuse() end
  return array.along(p.x, 1, p.x.dtype, function(list) return pick(list, order(list)) end)
end, [[ {T(1)}, {T(0)}, {T(67, 3)}, {B(9)}, {I(3, 30)}, {S()}, {S('int64')}, {T(0, 2)}, {T()} ]] }

rows.topk = { function(p)
  local n = #p.x.shape == 0 and 1 or p.x.shape[array.dim(p.dim or -1, #p.x.shape)]
  if p.k < 0 or p.k > n then array.refuse() end
  if #p.x.shape == 0 then
    need_dimension(p, p.dim or -1)
    if p.k == 0 then array.refuse() end
    return p.x, array.full("int64", {}, 1)
  end
  local function indices(list) return first(order(list, p.largest ~= false), p.k) end
  return array.along(p.x, p.dim or -1, p.x.dtype, function(list) return pick(list, indices(list)) end, p.k),
    array.along(p.x, p.dim or -1, "int64", indices, p.k)
end, [[ {T(1), 1}, {T(0), 0}, {T(3), 4}, {T(3), -1}, {T(3), 0}, {T(3), 2, 2}, {T(3, 67), 5}, {T(67, 3), 5, 1, false},
  {T(1037), 30}, {T(1037), 1000}, {B(9), 4}, {I(3, 30), 7}, {I(3, 30), 7, -1, false}, {S(), 9}, {S(), 9, 1, false},
  {S('int64'), 4}, {peri.tensor{1, 0/0, -1, 0/0, 1}, 3}, {T(5), 2, {sorted = false}}, {T(2, 0), 0},
  {I(9, 5, 700), 100, 2} ]] }

-- ---- by rank ----

local function sizes(p, dim)
  if dim and #p.x.shape > 0 then return p.x.shape[array.dim(dim, #p.x.shape)] end
  if dim then need_dimension(p, dim) end
  return array.numel(p.x.shape)
end

-- Values and positions of the element of a rank, which rank(sorted list) gives.
local function ranked(p, dim, f)
  if sizes(p, dim) == 0 then array.refuse() end
  local reduced = #p.x.shape > 0 and dim or nil
  local function value(list) return list[f(list)] end
  return array.reduce(p.x, reduced, p.keepdim, p.x.dtype, value), array.reduce(p.x, reduced, p.keepdim, "int64", f)
end

local function known(list)
  local count = 0
  for _, x in ipairs(list) do count = count + (x == x and 1 or 0) end
  return count
end

local lines = [[ {T(1)}, {T(0)}, {T(2, 0), 1}, {T(2, 0), 2}, {T(3), 2}, {T(67)}, {T(4, 67), 2}, {T(67, 4), 1, true},
  {T(3, 4), {keepdim = true}}, {B(9)}, {I(3, 5, 7), 2}, {I(3, 31)}, {S()}, {S('int64')}, {T(3, 1500), 2},
  {peri.tensor{{1, 0/0, 3, 2}, {0/0, 0/0, 0/0, 0/0}, {1, 2, 3, 4}}, 2} ]]

local function median_row(rank)
  return { function(p)
    local function position(list)
      local index = order(list)
      return index[rank(list)]
    end
    local values, indices = ranked(p, p.dim, position)
    if p.dim then return values, indices end
    return values
  end, lines }
end
rows.median = median_row(function(list)
  return known(list) < #list and known(list) + 1 or (#list + 1) // 2
end)
rows.nanmedian = median_row(function(list) return math.max(1, (known(list) + 1) // 2) end)

rows.kthvalue = { function(p)
  local dim = p.dim or -1
  if sizes(p, dim) == 0 or p.k < 1 or p.k > sizes(p, dim) then array.refuse() end
  return ranked(p, dim, function(list) return order(list)[p.k] end)
end, [[ {T(1), 1}, {T(0), 1}, {T(3), 4}, {T(3), 0}, {T(), 1}, {T(3), 1, 2}, {T(4, 67), 30}, {T(67, 4), 5, 1, true},
  {B(9), 5}, {I(3, 31), 12}, {S(), 3}, {S('int64'), 4}, {T(1500), 700}, {peri.tensor{1, 0/0, 3}, 3} ]] }

rows.mode = { function(p)
  return ranked(p, p.dim or -1, function(list)
    local index, best, longest, run = order(list), 1, 0, 0
    for k = 1, #index do
      run = k > 1 and list[index[k]] == list[index[k - 1]] and run + 1 or 1
      if run > longest then best, longest = k - run + 1, run end
    end
    return index[best]
  end)
end, [[ {T(1)}, {T(0)}, {T(2, 0), 1}, {T()}, {T(3), 2}, {I(3, 5, 17), 2, true}, {I(4, 17, 5), 1}, {B(9)}, {S()},
  {peri.tensor{0/0, 0/0, 1}}, {peri.tensor{0/0, 0/0}}, {peri.tensor{0.0, -0.0, 1, 1}} ]] }

local NEAREST = { lower = math.floor, higher = math.ceil, nearest = function(at)
  local below = math.floor(at)
  if at - below ~= 0.5 then return math.floor(at + 0.5) end
  return below % 2 == 0 and below or below + 1
end }

local function quantile_of(list, q, p, skip)
  local index, count = order(list), known(list)
  if count == 0 or count < #list and not skip then return 0 / 0 end
  local at = q * (count - 1)
  local choose = NEAREST[p.interpolation]
  if choose then return list[index[choose(at) + 1]] end
  local low, high = list[index[math.floor(at) + 1]], list[index[math.ceil(at) + 1]]
  if low == high then return low end
  local part = at - math.floor(at)
  if p.interpolation == "midpoint" and part > 0 then part = 0.5 end
  return low + part * (high - low)
end

local function quantile_row(skip)
  return { function(p)
    if not array.is_float(p.x.dtype) then array.refuse() end
    local several = array.is(p.q)
    if several and (not array.is_float(p.q.dtype) or #p.q.shape > 1) then array.refuse() end
    local list = several and p.q.values or { p.q }
    for _, q in ipairs(list) do
      if type(q) ~= "number" or not (q >= 0 and q <= 1) then array.refuse() end
    end
    if sizes(p, p.dim) == 0 then array.refuse() end
    local values, shape = {}, nil
    for _, q in ipairs(list) do
      local one = array.reduce(p.x, #p.x.shape > 0 and p.dim or nil, p.keepdim, p.x.dtype, function(line)
        return quantile_of(line, q, p, skip)
      end)
      shape = one.shape
      table.move(one.values, 1, #one.values, #values + 1, values)
    end
    if several and #p.q.shape == 1 then table.insert(shape, 1, #list) end
    return array.build(p.x.dtype, shape, function(_, k) return values[k] end)
  end, [[ {T(1), 0.3}, {T(0), 0.5}, {T(2, 0), 0.5, 2}, {T(3), 1.5}, {T(3), -0.1}, {T(3), 0/0}, {T(67), 0.35},
    {T(4, 67), 0.35, 2}, {T(67, 4), 0.35, 1, true}, {T(5), peri.tensor{0.1, 0.9}}, {T(3, 5), peri.tensor{0.1, 0.9}, 1},
    {T(5), 0, {interpolation = 'higher'}}, {T(5), 1}, {T(7), 0.25, {interpolation = 'nearest'}},
    {T(5), 0.125, {interpolation = 'nearest'}}, {T(5), 0.375, {interpolation = 'nearest'}},
    {T(6), 0.3, {interpolation = 'higher'}}, {T(6), 0.3, {interpolation = 'midpoint'}}, {T(), 0.5}, {I(5, 4), 0.5},
    {T(4), peri.tensor(0.25)}, {T(4), peri.ones(1, 2)}, {T(4), I(1, 1)}, {T(4), peri.tensor{0.5, 1.25}},
    {peri.tensor{1, 1/0, 1/0}, 0.9}, {T(2, 1500), 0.77, 2},
    {peri.tensor{{1, 0/0, 3, 2}, {0/0, 0/0, 0/0, 0/0}, {1, 2, 3, 4}}, 0.4, 2}, {T(3, 4), 0.5, nil, true} ]],
    close = "all" }
end
rows.quantile, rows.nanquantile = quantile_row(false), quantile_row(true)

-- ---- different elements ----

-- Slices along a dimension, or elements, as lists; how to compare them.
local function slices_of(p)
  if not p.dim then
    local slices = {}
    for k, x in ipairs(p.x.values) do slices[k] = { x } end
    return slices
  end
  local d, slices = array.dim(p.dim, #p.x.shape), {}
  for i = 1, p.x.shape[d] do slices[i] = {} end
  array.build("int64", p.x.shape, function(at, k)
    table.insert(slices[at[d]], p.x.values[k])
    return 0
  end)
  return slices
end
local function compare(a, b)
  for k = 1, #a do
    if before(a[k], b[k]) then return -1 end
    if before(b[k], a[k]) then return 1 end
  end
  return 0
end

local function unique_row(sorted)
  return { function(p)
    local slices, index = slices_of(p), {}
    for i = 1, #slices do index[i] = i end
    if sorted then
      table.sort(index, function(i, j)
        local c = compare(slices[i], slices[j])
        return c < 0 or c == 0 and i < j
      end)
    end
    local firsts, inverse, counts = {}, {}, {}
    for k, i in ipairs(index) do
      if k == 1 or compare(slices[index[k - 1]], slices[i]) ~= 0 then
        firsts[#firsts + 1] = i
        counts[#firsts] = 0
      end
      inverse[i] = #firsts
      counts[#firsts] = counts[#firsts] + 1
    end
    local d = p.dim and array.dim(p.dim, #p.x.shape)
    local values = d and array.build(p.x.dtype, array.with(p.x.shape, d, #firsts), function(at)
      return array.at(p.x, array.with(at, d, firsts[at[d]]))
    end) or array.build(p.x.dtype, { #firsts }, function(_, k) return p.x.values[firsts[k]] end)
    local results = { values }
    if p.return_inverse then
      results[2] = array.build("int64", d and { #slices } or p.x.shape, function(_, k) return inverse[k] end)
    end
    if p.return_counts then results[#results + 1] = array.vector("int64", counts) end
    return table.unpack(results)
  end, nil }
end
rows.unique, rows.unique_consecutive = unique_row(true), unique_row(false)
rows.unique[2] = [[ {T(0)}, {T()}, {T(67), true, true, true}, {B(9), true, true, true}, {S()}, {S('int64')},
  {peri.tensor{0/0, 1, 0/0, 1}, true, true, true}, {T(3), {dim = 2}}, {I(2, 7, 2), {dim = 1, return_inverse = true}},
  {I(2, 2, 3, 2), {dim = 2}}, {T(0, 3), {dim = 1, return_inverse = true, return_counts = true}}, {T(3, 0), {dim = 1}},
  {T(3), false}, {I(3, 400), true, true, true}, {I(2, 3, 4), {dim = -1, return_counts = true}},
  {peri.tensor{0.0, -0.0, 1}, true, true, true}, {peri.tensor{{1, 0/0}, {1, 0/0}, {0, 2}}, {dim = 1}} ]]
rows.unique_consecutive[2] = [[ {T(0)}, {T()}, {B(9), true, true}, {S()}, {peri.tensor{0/0, 0/0, 1, 1}, true, true},
  {T(3), {dim = 2}}, {I(2, 7, 1), {dim = 1, return_inverse = true}}, {I(2, 2, 6), {dim = 2, return_counts = true}},
  {T(0, 3), {dim = 1}}, {peri.tensor{0.0, -0.0, 1}, true, true} ]]

-- ---- places ----

-- How many of a sorted list stand before x, or not after it.
local function place(list, x, right)
  local count = 0
  for _, y in ipairs(list) do
    if before(y, x) or right and not before(x, y) then count = count + 1 end
  end
  return count + 1
end

local function as_elements(dtype, x)
  if not array.is(x) then
    if not array.fits(dtype, x) then array.refuse() end
    return array.full(dtype, {}, x)
  end
  return array.to(x, dtype)
end

rows.searchsorted = { function(p)
  if #p.sorted.shape == 0 then array.refuse() end
  local right = p.right
  if p.side then
    if p.right ~= nil and p.right ~= (p.side == "right") then array.refuse() end
    right = p.side == "right"
  end
  if #p.sorted.shape > 1 then
    if not array.is(p.values) or #p.values.shape ~= #p.sorted.shape then array.refuse() end
    for d = 1, #p.sorted.shape - 1 do
      if p.values.shape[d] ~= p.sorted.shape[d] then array.refuse() end
    end
  end
  local dtype = array.promote(p.sorted, p.values)
  if p.sorter and (p.sorter.dtype ~= "int64" or table.concat(p.sorter.shape, "x") ~= table.concat(p.sorted.shape, "x"))
  then
    array.refuse()
  end
  local sorted, values = as_elements(dtype, p.sorted), as_elements(dtype, p.values)
  local n = sorted.shape[#sorted.shape]
  if p.sorter then
    sorted = array.build(dtype, sorted.shape, function(at, k)
      local from = p.sorter.values[k]
      if from < 1 or from > n then array.refuse() end
      return array.at(sorted, array.with(at, #at, from))
    end)
  end
  return array.build("int64", values.shape, function(at)
    local row, from = array.at(values, at), 0
    if #sorted.shape > 1 then from = array.offset(sorted, array.with(at, #at, 1)) - 1 end
    return place(table.move(sorted.values, from + 1, from + n, 1, {}), row, right)
  end)
end, [[ {peri.tensor{1, 2, 2, 3}, 2}, {peri.tensor{1, 2, 2, 3}, 2, true}, {peri.tensor{1, 2, 2, 3}, 9},
  {peri.zeros(0), T(3)}, {T(), T(3)}, {T(3):sort(), T()}, {peri.arange(1, 5), 2.5}, {peri.arange(1, 5), T(3)},
  {T(2, 3):sort(), T(3, 3)}, {T(2, 3):sort(), T(3)}, {T(2, 3):sort(), 1}, {T(2, 2, 3):sort(), T(2, 2, 5)},
  {peri.tensor{1, 2, 0/0}, peri.tensor{0/0, 1}, true}, {peri.tensor{1, 2, 0/0}, peri.tensor{0/0, 1}},
  {peri.tensor{1, 2}, 1, true, {side = 'left'}}, {peri.tensor{1, 2}, 1, false, {side = 'left'}},
  {T(67):sort(), T(9, 9)},
  {peri.tensor{5, 1, 3}, 2, {sorter = ints{2, 3, 1}}},
    {peri.tensor{{3, 1}, {1, 2}}, T(2, 4), {sorter = ints{{2, 1}, {1, 2}}}},
  {peri.tensor{5, 1, 3}, 2, {sorter = ints{2, 3}}}, {peri.tensor{5, 1, 3}, 2, {sorter = ints{2, 3, 4}}},
  {peri.tensor{5, 1, 3}, 2, {sorter = ints{2, 3, 0}}}, {peri.tensor{5, 1, 3}, T(3), {sorter = B(3)}},
  {peri.zeros(0), T(3), {sorter = I(3, 0)}},
  {peri.tensor{1, 2}, 1, false, {side = 'right'}}, {T(2, 0), T(2, 3)}, {peri.tensor{1, 2}:to 'uint8', 300} ]] }
rows.bucketize = { function(p)
  if #p.boundaries.shape ~= 1 then array.refuse() end
  local dtype = array.promote(p.values, p.boundaries)
  local boundaries, values = as_elements(dtype, p.boundaries), as_elements(dtype, p.values)
  for i = 2, #boundaries.values do
    if before(boundaries.values[i], boundaries.values[i - 1]) then array.refuse() end
  end
  return array.build("int64", values.shape, function(at)
    return place(boundaries.values, array.at(values, at), p.right)
  end)
end, [[ {2, peri.tensor{1, 2, 2, 3}}, {2, peri.tensor{1, 2, 2, 3}, true}, {T(3), peri.tensor{2, 1}}, {T(3), T()},
  {T(3), peri.zeros(0)}, {T(2, 2), peri.zeros(1, 2)}, {I(9, 4), peri.tensor{2.5, 5}}, {S(), peri.tensor{-1, 0, 1}},
  {T(4), peri.tensor{0, 0/0}}, {T(4), peri.tensor{0/0, 0}} ]] }

rows.isin = { function(p)
  if not array.is(p.elements) and not array.is(p.test_elements) then array.refuse() end
  local dtype = array.promote(p.elements, p.test_elements)
  local elements, others = as_elements(dtype, p.elements), as_elements(dtype, p.test_elements)
  return array.map("bool", function(x)
    local found = false
    for _, y in ipairs(others.values) do found = found or x == y end
    return found ~= (p.invert or false)
  end, elements)
end, [[ {T(0), T(3)}, {T(3), T(0)}, {1, 2}, {T(3), T(2, 2)}, {I(9, 5), I(9, 40)}, {I(3, 4), 2.0}, {T(3), 2},
  {I(3, 4), 2.5}, {S(), S()}, {S('int64'), S('int64')}, {peri.tensor{0.0, 0/0}, peri.tensor{-0.0, 0/0}}, {B(3), true},
  {I(3, 4), I(3, 2), {assume_unique = true, invert = true}}, {T(3), I(2, 3)}, {T(2, 2), T(2, 2), {invert = false}} ]] }

-- ---- counts ----

rows.bincount = { function(p)
  if p.x.dtype ~= "int64" or #p.x.shape ~= 1 or (p.minlength or 0) < 0 then array.refuse() end
  local w = p.weights
  if w and (not array.is_float(w.dtype) or #w.shape ~= 1 or w.shape[1] ~= p.x.shape[1]) then array.refuse() end
  local n, sums = p.minlength or 0, {}
  for _, i in ipairs(p.x.values) do
    if i < 1 then array.refuse() end
    n = math.max(n, i)
  end
  for i = 1, n do sums[i] = 0 end
  for k, i in ipairs(p.x.values) do sums[i] = sums[i] + (w and w.values[k] or 1) end
  return array.vector(w and w.dtype or "int64", sums)
end, [[ {I(1, 0)}, {I(1, 0), nil, 3}, {ints{0}}, {ints{-1}}, {ints{2, 2, 7}}, {ints{2, 2}, T(3)}, {ints{2, 2}, T(2)},
  {ints{2, 2}, nil, -1}, {I(3, 2, 2)}, {T(3)}, {I(3, 20), {minlength = 2}}, {I(3, 0), T(0)} ]], close = "all" }

local function range_of(values)
  local low, high = values[1] or 0, values[1] or 0
  for _, x in ipairs(values) do
    if x ~= x then array.refuse() end
    low, high = math.min(low, x), math.max(high, x)
  end
  return low, high
end
local function settled(low, high)
  if math.abs(low) == math.huge or math.abs(high) == math.huge then array.refuse() end
  if low == high then return low - 1, high + 1 end
  return low, high
end
local function edges_of(dtype, bins, low, high)
  local edges = {}
  for i = 0, bins do
    edges[i + 1] = array.round(dtype, i == bins and high or low * (1 - i / bins) + high * (i / bins))
  end
  return edges
end
local function fill(values, edges, weights)
  local bins, sums = #edges - 1, {}
  for i = 1, bins do sums[i] = 0.0 end
  for k, x in ipairs(values) do
    for i = bins, 1, -1 do
      if x >= edges[i] and (x < edges[i + 1] or i == bins and x <= edges[i + 1]) then
        sums[i] = sums[i] + (weights and weights[k] or 1)
        break
      end
    end
  end
  return sums
end

rows.histc = { function(p)
  local bins, low, high = p.bins or 100, p.min or 0, p.max or 0
  local unordered = low > high or low ~= low or high ~= high
  if not array.is_float(p.x.dtype) or bins < 1 or unordered or low == -math.huge or high == math.huge then
    array.refuse()
  end
  if low == high then low, high = range_of(p.x.values) end
  low, high = settled(low, high)
  return array.vector(p.x.dtype, fill(p.x.values, edges_of("float64", bins, low, high)))
end, [[ {T(0), 3}, {T(1), 3}, {T(5), 0}, {T(5), 3, 2, 1}, {T(5), 3, 0, 1/0}, {T(5), 3, 0/0, 1}, {T(200), 7},
  {peri.tensor{0, 0.25, 0.5, 1}, 4}, {peri.tensor{1, 1, 1}, 3}, {peri.tensor{1, 0/0}, 3},
  {peri.tensor{1, 0/0}, 3, 0, 2},
  {peri.tensor{1, 1/0}, 3}, {T(3, 4), 3, -1, 1}, {T(), 2}, {T(50), 3, {max = 0.5}} ]] }

rows.histogram = { function(p)
  if not array.is_float(p.x.dtype) then array.refuse() end
  local edges
  if array.is(p.bins) then
    if p.range or #p.bins.shape ~= 1 or p.bins.shape[1] < 2 or p.bins.dtype ~= p.x.dtype then array.refuse() end
    edges = p.bins.values
    for i = 2, #edges do
      local a, b = edges[i - 1], edges[i]
      if a > b or a ~= a or b ~= b then array.refuse() end
    end
  else
    if math.type(p.bins) ~= "integer" or p.bins < 1 then array.refuse() end
    local low, high
    if p.range then
      low, high = p.range[1], p.range[2]
      if (low > high or low ~= low or high ~= high) or low == -math.huge or high == math.huge then array.refuse() end
    else
      low, high = range_of(p.x.values)
    end
    low, high = settled(low, high)
    edges = edges_of(p.x.dtype, p.bins, low, high)
  end
  local w = p.weight
  if w and (w.dtype ~= p.x.dtype or table.concat(w.shape, "x") ~= table.concat(p.x.shape, "x")) then array.refuse() end
  local sums, total = fill(p.x.values, edges, w and w.values), 0
  for _, s in ipairs(sums) do total = total + s end
  for i = 1, p.density and #sums or 0 do sums[i] = sums[i] / total / (edges[i + 1] - edges[i]) end
  return array.vector(p.x.dtype, sums), array.vector(p.x.dtype, edges)
end, [[ {T(0), 3}, {T(5), 0}, {T(5), 2.5}, {T(5), 3, {range = {1, 0}}}, {T(5), 3, {range = {0, 1/0}}}, {T(200), 7},
  {T(200), 7, {density = true}}, {T(20), peri.tensor{-0.5, 0, 0.1, 0.7}:to(T(1).dtype)}, {T(5), peri.tensor{1, 0}},
  {T(5), peri.tensor{1}}, {T(5), peri.tensor{0, 0.5}:to(T(1).dtype), {range = {0, 1}}}, {T(4), 3, {weight = T(5)}},
  {T(50), 3, {weight = T(50), density = true}}, {peri.tensor{1, 0/0}, 3}, {peri.tensor{1, 0/0}, 3, {range = {0, 2}}},
  {peri.tensor{1, 1, 1}, 3}, {T(5), peri.ones(2, 2)}, {peri.tensor{0.1, 0.2, 0.3, 0.7, 1}, 10, {range = {0, 1}}},
  {T(5), peri.tensor{0, 0/0}:to(T(1).dtype)} ]], close = "all" }

return rows
