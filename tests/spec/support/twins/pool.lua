-- Twins of pooling (runtime/ops/pool.c, average.c).
local array = require "support.array"

-- Sizes of one dimension or two, from a number, a table or nothing.
local function sizes(value, dims, otherwise)
  local list = {}
  if type(value) == "table" and #value ~= dims then array.refuse() end
  for d = 1, dims do
    list[d] = type(value) == "table" and value[d] or value or type(otherwise) == "table" and otherwise[d] or otherwise
    if list[d] > 0x7FFFFFFF then array.refuse() end
  end
  return list
end

local function check(x, dims)
  if not array.is_float(x.dtype) or (#x.shape ~= dims + 1 and #x.shape ~= dims + 2) then array.refuse() end
  for d = #x.shape - dims + 1, #x.shape do
    if x.shape[d] == 0 then array.refuse() end
  end
end

-- For each of the last dims: how many windows there are, and f(i) of the i-th.
local function windows(p, dims)
  check(p.x, dims)
  local kernel = sizes(p.kernel_size, dims)
  local stride, padding = sizes(p.stride, dims, kernel), sizes(p.padding, dims, 0)
  local dilation, found = sizes(p.dilation, dims, 1), {}
  for d = 1, dims do
    local n, size, step, pad, gap = p.x.shape[#p.x.shape - dims + d], kernel[d], stride[d], padding[d], dilation[d]
    if size < 1 or step < 1 or pad < 0 or gap < 1 or pad > size // 2 then array.refuse() end
    local room = n + 2 * pad - (size - 1) * gap - 1
    local count = (p.ceil_mode and -(-room // step) or room // step) + 1
    if count < 1 then array.refuse() end
    if p.ceil_mode and (count - 1) * step - pad >= n then count = count - 1 end
    found[d] = { count = count, places = function(i)
      local first, places = (i - 1) * step - pad + 1, {}
      for k = 0, size - 1 do
        local at = first + k * gap
        if at >= 1 and at <= n then places[#places + 1] = at end
      end
      if #places == 0 then array.refuse() end
      -- and how many there are in x padded
      return places, math.min(first + size - 1, n + pad) - first + 1
    end }
  end
  return found
end

-- f(list of positions in x, those in each dimension, the i-th windows) for each element of the result.
local function over_windows(x, dims, found, dtype, f)
  local shape = { table.unpack(x.shape) }
  for d = 1, dims do shape[#shape - dims + d] = found[d].count end
  return array.build(dtype, shape, function(position)
    local at = { table.unpack(position) }
    local rows, rows_padded = { 0 }, 1
    if dims == 2 then rows, rows_padded = found[1].places(position[#position - 1]) end
    local columns, columns_padded = found[dims].places(position[#position])
    local values, index = {}, {}
    for _, r in ipairs(rows) do
      for _, c in ipairs(columns) do
        if dims == 2 then at[#at - 1] = r end
        at[#at] = c
        values[#values + 1] = array.at(x, at)
        index[#index + 1] = (math.max(r, 1) - 1) * x.shape[#x.shape] + c
      end
    end
    return f(values, index, rows_padded * columns_padded)
  end)
end

local function largest(values)
  local best = 1
  for i = 2, #values do
    if values[best] == values[best] and (values[i] > values[best] or values[i] ~= values[i]) then best = i end
  end
  return best
end

local function max_pool(dims, indices)
  return function(p)
    local found = windows(p, dims)
    local values = over_windows(p.x, dims, found, p.x.dtype, function(list) return list[largest(list)] end)
    if not indices then return values end
    return values, over_windows(p.x, dims, found, "int64", function(list, index) return index[largest(list)] end)
  end
end

local function avg_pool(dims)
  return function(p)
    if p.divisor_override == 0 then array.refuse() end
    local include = p.count_include_pad == nil or p.count_include_pad
    return over_windows(p.x, dims, windows(p, dims), p.x.dtype, function(list, _, padded)
      local total = 0
      for _, x in ipairs(list) do total = total + x end
      return total / (p.divisor_override or include and padded or #list)
    end)
  end
end

local function mean_of(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  return total / #list
end

-- Parts of each dimension, reduced by f(list).
local function adaptive(dims, f)
  return function(p)
    check(p.x, dims)
    local counts, found = sizes(p.output_size, dims), {}
    for d = 1, dims do
      local n, count = p.x.shape[#p.x.shape - dims + d], counts[d]
      if count < 1 then array.refuse() end
      found[d] = { count = count, places = function(i)
        local places = {}
        for at = (i - 1) * n // count + 1, -(-i * n // count) do places[#places + 1] = at end
        return places, #places
      end }
    end
    return over_windows(p.x, dims, found, p.x.dtype, f)
  end
end

-- What is refused: sizes that are none, padding of more than half, windows larger than x, shapes.
local refused_2d = [[, {T(2, 3, 4, 5), 0}, {T(2, 3, 4, 5), 2, 0}, {T(2, 3, 4, 5), 2, -1}, {T(2, 3, 4, 5), 2, 2, 2},
  {T(2, 3, 4, 5), 3, 1, {1, 2}}, {T(2, 3, 4, 5), 2, 1, -1}, {T(2, 3, 4, 5), 5}, {T(2, 3, 4, 5), {4, 6}},
  {T(4, 5), 2}, {T(1, 2, 3, 4, 5), 2}, {T(2, 3, 0, 5), 2}, {T(2, 3, 4, 0), {1, 2}, 1, {0, 1}},
  {T(2, 3, 4, 5), 3000000000}, {T(2, 3, 4, 5), 2, 3000000000}, {T(2, 3, 4, 5), math.mininteger},
  {T(2, 3, 4, 5), math.maxinteger}, {T(2, 3, 4, 5), {2, 2, 2}} ]]
local refused_1d = [[, {T(2, 3, 4), 0}, {T(2, 3, 4), 2, 0}, {T(2, 3, 4), 2, 2, 2}, {T(2, 3, 4), 5}, {T(4), 2},
  {T(2, 3, 4, 5), 2}, {T(2, 3, 0), 1}, {T(2, 3, 4), {2, 2}}, {T(2, 3, 4), 2, 1, -1} ]]

local windows_2d = [[ {T(2, 3, 8, 8), 2}, {T(1, 2, 9, 11), 2}, {T(1, 2, 9, 11), 2, 2, 0}, {T(2, 2, 9, 8), 3, 2, 1},
  {T(3, 9, 17), {3, 2}, {1, 3}}, {T(1, 1, 12, 13), {4, 3}, {2, 1}, {2, 1}}, {T(1, 2, 5, 30), 1},
  {T(1, 1, 4, 5), {4, 5}}, {T(0, 2, 4, 4), 2}, {T(2, 0, 4, 4), 2}, {T(1, 1, 2, 2), 2, 7}, {T(2, 7, 7), 3, 3, 1},
  {T(1, 1, 1, 1), 1, 1}, {T(1, 3, 20, 6), 5, {5, 1}, 2}, {T(2, 1, 5, 5), {kernel_size = 2, stride = {2, 1}}} ]]
local ceil_2d = [[, {T(1, 2, 7, 8), 3, 2, 0, {ceil_mode = true}}, {T(1, 1, 5, 5), 2, 2, 1, {ceil_mode = true}},
  {T(1, 2, 2, 2), 3, 2, 0, {ceil_mode = true}}, {T(1, 1, 6, 9), {2, 3}, {4, 5}, {1, 0}, {ceil_mode = true}} ]]
local windows_1d = [[ {T(2, 3, 8), 2}, {T(4, 19), 2}, {T(2, 2, 17), 3, 2, 1}, {T(1, 30), {4}, 1, {2}}, {T(2, 5), 5},
  {T(2, 0, 4), 2}, {T(1, 3, 9), 2, 4, 0, {ceil_mode = true}}, {T(2, 9), 3, 2, 1, {ceil_mode = true}} ]]
local max_2d = [[, {T(1, 2, 9, 9), 3, 1, 1, 2}, {T(1, 2, 9, 9), {2, 3}, {2, 1}, 1, {3, 2}, true},
  {T(1, 1, 1, 5), 2, 1, 1, 2}, {T(1, 1, 20, 20), 17, 1, 8}, {T(1, 1, 18, 40), {16, 17}}, {T(2, 6, 6), 2, 2, 0, 0},
  {T(1, 1, 6, 6):zero_(), 2}, {T(1, 1, 6, 6):fill_(0 / 0), 3, 1, 1}, {T(1, 1, 6, 6):fill_(-1 / 0), 3, 2, 1},
  {S():view(1, 3, 9), 2, 1}, {S():view(1, 3, 9), 3, 2, 1}, {S():view(1, 3, 9), {1, 3}, 3}, {S():view(1, 9, 3), {2, 1}},
  {peri.tensor{{{0.0, -0.0, 1, 1}, {-0.0, 0.0, 0/0, 1}, {3, 3, 0/0, 0/0}, {3, 3, 5, 5}}}, 2} ]]
local max_1d = [[, {T(1, 2, 9), 3, 1, 1, 2}, {T(1, 3, 300), 300}, {T(1, 2, 300), 280, 3, 140},
  {S():view(1, -1), 2, 1} ]]
local avg_2d = [[, {T(1, 2, 7, 7), 3, 2, 1, false, false}, {T(1, 2, 7, 7), 3, 2, 1, true, false},
  {T(1, 2, 7, 7), 3, 2, 1, true, true}, {T(1, 1, 5, 6), 2, {divisor_override = 3}},
  {T(1, 1, 5, 6), 2, 1, 1, false, false, -2}, {T(1, 1, 5, 6), 2, {divisor_override = 0}} ]]
local avg_1d = [[, {T(1, 2, 7), 3, 2, 1, true, false}, {T(1, 2, 7), 3, {divisor_override = 0}},
  {T(1, 2, 7), 3, 2, 1, {divisor_override = 5}} ]]
local parts_2d = [[ {T(2, 3, 7, 7), 1}, {T(2, 3, 7, 9), 3}, {T(3, 8, 8), {4, 2}}, {T(1, 1, 4, 3), {9, 7}},
  {T(0, 2, 3, 3), 2}, {T(2, 3, 3, 3), 0}, {T(2, 3, 3, 3), {2, -1}}, {T(3, 3), 2}, {T(2, 0, 3), 1},
  {T(2, 3, 3, 3), math.maxinteger}, {T(2, 3, 3, 3), {1, 2, 3}}, {T(1, 1, 10, 33), {output_size = {1, 4}}} ]]
local parts_1d = [[ {T(2, 3, 7), 1}, {T(3, 9), 4}, {T(1, 1, 4), {9}}, {T(2, 3, 3), 0}, {T(3), 2}, {T(2, 0), 1},
  {T(2, 3, 3), {1, 2}} ]]

return {
  max_pool1d = { max_pool(1), windows_1d .. refused_1d .. max_1d, moves = true },
  max_pool2d = { max_pool(2), windows_2d .. refused_2d .. ceil_2d .. max_2d, moves = true },
  max_pool2d_with_indices = { max_pool(2, true), windows_2d .. refused_2d .. ceil_2d .. max_2d, moves = true },
  avg_pool1d = { avg_pool(1), windows_1d .. refused_1d .. avg_1d, close = "all" },
  avg_pool2d = { avg_pool(2), windows_2d .. refused_2d .. ceil_2d .. avg_2d, close = "all" },
  adaptive_avg_pool1d = { adaptive(1, mean_of), parts_1d, close = "all" },
  adaptive_avg_pool2d = { adaptive(2, mean_of), parts_2d, close = "all" },
  adaptive_max_pool2d = { adaptive(2, function(list) return math.max(table.unpack(list)) end), parts_2d },
}
