-- Twins of the rows that take tensors apart, turn them and put them together (runtime/ops/split.c, together.c,
-- diagonal.c, window.c, turn.c, repeat.c, assemble.c, and what order.c and expand.c add to views).
local array = require "support.array"

local function reshape(x, shape) return { shape = shape, dtype = x.dtype, values = x.values } end

-- An array whose element at a position is that of x at from(position).
local function gather(x, shape, from)
  return array.build(x.dtype, shape, function(at) return array.at(x, from(at)) end)
end

local function list_of(value) return type(value) == "table" and value or { value } end

-- The dimensions of a list, each once.
local function dims_of(list, n)
  local dims, seen = {}, {}
  for i, d in ipairs(list_of(list)) do
    dims[i] = array.dim(d, n)
    if seen[dims[i]] then array.refuse() end
    seen[dims[i]] = true
  end
  return dims
end

-- ---- views ----

local function same_elements(p)
  if array.numel(p.x.shape) ~= array.numel(p.other.shape) then array.refuse() end
  return reshape(p.x, p.other.shape)
end

local function expand_as(p)
  local shift = #p.other.shape - #p.x.shape
  if shift < 0 then array.refuse() end
  for d, size in ipairs(p.x.shape) do
    if size ~= 1 and size ~= p.other.shape[shift + d] then array.refuse() end
  end
  return array.build(p.x.dtype, p.other.shape, function(at) return array.stretched(p.x, at) end)
end

local function movedim(p)
  local n = #p.x.shape
  local source, destination, order, moved = dims_of(p.source, n), dims_of(p.destination, n), {}, {}
  if #source ~= #destination then array.refuse() end
  for i, d in ipairs(source) do order[destination[i]], moved[d] = d, true end
  local next_kept = 1
  for d = 1, n do
    if not order[d] then
      while moved[next_kept] do next_kept = next_kept + 1 end
      order[d], next_kept = next_kept, next_kept + 1
    end
  end
  local shape = {}
  for d, from in ipairs(order) do shape[d] = p.x.shape[from] end
  return gather(p.x, shape, function(at)
    local from = {}
    for d, own in ipairs(order) do from[own] = at[d] end
    return from
  end)
end

local function unflatten(p)
  local d, known, open, shape = array.dim(p.dim, #p.x.shape), 1, nil, {}
  for i, size in ipairs(p.sizes) do
    if size == -1 and not open then
      open = i
    elseif size < 0 then
      array.refuse()
    else
      known = known * size
    end
  end
  local size, sizes = p.x.shape[d], { table.unpack(p.sizes) }
  if #sizes == 0 or open and (known == 0 or size % known ~= 0) or not open and known ~= size then array.refuse() end
  if open then sizes[open] = size // known end
  for k, own in ipairs(p.x.shape) do
    local list = k == d and sizes or { own }
    table.move(list, 1, #list, #shape + 1, shape)
  end
  return reshape(p.x, shape)
end

-- NumPy's: a vector is a row, a matrix lies in the first two dimensions.
local function lift(x, dims)
  local shape = { table.unpack(x.shape) }
  if #shape == 1 and dims > 1 then table.insert(shape, 1, 1) end
  while #shape < dims do shape[#shape + 1] = 1 end
  return reshape(x, shape)
end

-- ---- parts ----

local function part(x, d, first, last)
  return gather(x, array.with(x.shape, d, last - first + 1), function(at)
    return array.with(at, d, at[d] + first - 1)
  end)
end

local function cut(x, d, ends)
  local parts, start = {}, 0
  for i, last in ipairs(ends) do
    parts[i] = part(x, d, start + 1, last)
    start = last
  end
  return table.unpack(parts)
end

local function ends_of_each(n, size)
  local ends = {}
  for last = size, n - 1, size do ends[#ends + 1] = last end
  ends[#ends + 1] = n
  return ends
end

local function split(p)
  local d = array.dim(p.dim or 1, #p.x.shape)
  local n, ends, sum = p.x.shape[d], {}, 0
  if type(p.sizes) == "number" then
    if p.sizes < 1 then array.refuse() end
    return cut(p.x, d, ends_of_each(n, p.sizes))
  end
  for i, size in ipairs(p.sizes) do
    if size < 0 then array.refuse() end
    sum = sum + size
    ends[i] = sum
  end
  if sum ~= n or #ends == 0 then array.refuse() end
  return cut(p.x, d, ends)
end

local function chunk(p)
  local d = array.dim(p.dim or 1, #p.x.shape)
  if p.chunks < 1 then array.refuse() end
  return cut(p.x, d, ends_of_each(p.x.shape[d], math.max(1, math.ceil(p.x.shape[d] / p.chunks))))
end

local function tensor_split(x, parts, d)
  local n, ends = x.shape[d], {}
  if type(parts) == "table" then
    for i, last in ipairs(parts) do
      if last < (parts[i - 1] or 0) or last > n then array.refuse() end
      ends[i] = last
    end
    ends[#ends + 1] = n
    return cut(x, d, ends)
  end
  if parts < 1 then array.refuse() end
  for i = 1, parts do ends[i] = i * (n // parts) + math.min(i, n % parts) end
  return cut(x, d, ends)
end

local function unbind(p)
  local d, entries = array.dim(p.dim or 1, #p.x.shape), {}
  for i = 1, p.x.shape[d] do entries[i] = reshape(part(p.x, d, i, i), array.without(p.x.shape, d)) end
  return table.unpack(entries)
end

local function unfold(p)
  local d = array.dim(p.dim, #p.x.shape)
  local n = p.x.shape[d]
  if p.size < 0 or p.size > n or p.step < 1 then array.refuse() end
  local shape = array.with(p.x.shape, d, (n - p.size) // p.step + 1)
  shape[#shape + 1] = p.size
  return gather(p.x, shape, function(at)
    local from = { table.unpack(at, 1, #p.x.shape) }
    from[d] = (at[d] - 1) * p.step + at[#shape]
    return from
  end)
end

-- ---- together ----

local function broadcast_tensors(p)
  local shape, results = array.broadcast(table.unpack(p.tensors)), {}
  for i, x in ipairs(p.tensors) do
    results[i] = array.build(x.dtype, shape, function(at) return array.stretched(x, at) end)
  end
  return table.unpack(results)
end

local function meshgrid(p)
  local shape, place, results = {}, {}, {}
  if #p.tensors > 8 then array.refuse() end
  for i, x in ipairs(p.tensors) do
    if #x.shape > 1 then array.refuse() end
    place[i] = p.indexing == "xy" and i <= 2 and #p.tensors > 1 and 3 - i or i
    shape[place[i]] = #x.values
  end
  for i, x in ipairs(p.tensors) do
    results[i] = array.build(x.dtype, shape, function(at) return x.values[at[place[i]]] end)
  end
  return table.unpack(results)
end

-- ---- diagonals and triangles ----

local function plane_of(p, n, first, second)
  local a, b = array.dim(p.dim1 or first, n), array.dim(p.dim2 or second, n)
  if a == b then array.refuse() end
  return a, b
end

-- Beyond this a diagonal lies beside every matrix here, and a matrix with one would be too large.
local FAR = 1000
local function is_far(offset) return offset > FAR or offset < -FAR end

local function diagonal(x, offset, a, b)
  offset = math.max(-FAR, math.min(FAR, offset))
  local rest, shape = {}, {}
  for d, size in ipairs(x.shape) do
    if d ~= a and d ~= b then
      rest[#rest + 1] = d
      shape[#shape + 1] = size
    end
  end
  local row, column = math.max(0, -offset), math.max(0, offset)
  shape[#shape + 1] = math.max(0, math.min(x.shape[a] - row, x.shape[b] - column))
  return gather(x, shape, function(at)
    local from = {}
    for i, d in ipairs(rest) do from[d] = at[i] end
    from[a], from[b] = at[#shape] + row, at[#shape] + column
    return from
  end)
end

local function diag_embed(x, offset, a, b)
  if is_far(offset) then array.refuse() end
  local shape, size, from = {}, x.shape[#x.shape] + math.abs(offset), 0
  for d = 1, #x.shape + 1 do
    if d ~= a and d ~= b then from = from + 1 end
    shape[d] = (d == a or d == b) and size or x.shape[from]
  end
  return array.build(x.dtype, shape, function(at)
    if at[b] - at[a] ~= offset then return 0 end
    local own = {}
    for d = 1, #shape do
      if d ~= a and d ~= b then own[#own + 1] = at[d] end
    end
    own[#own + 1] = math.min(at[a], at[b])
    return array.at(x, own)
  end)
end

local function diag(p)
  local offset = p.diagonal or 0
  if #p.x.shape == 2 then return diagonal(p.x, offset, 1, 2) end
  if #p.x.shape ~= 1 then array.refuse() end
  return diag_embed(p.x, offset, 1, 2)
end

local function triangle(lower)
  return function(p)
    local n, k = #p.x.shape, p.diagonal or 0
    if n < 2 then array.refuse() end
    return array.build(p.x.dtype, p.x.shape, function(at)
      local beside = at[n] - at[n - 1]
      local kept
      if lower then kept = beside <= k else kept = beside >= k end
      return kept and array.at(p.x, at) or 0
    end)
  end
end

local function triangle_indices(lower)
  return function(p)
    local rows, columns, k = {}, {}, p.offset or 0
    if p.rows < 0 or p.columns < 0 then array.refuse() end
    for i = 1, p.rows do
      for j = 1, p.columns do
        if lower and j - i <= k or not lower and j - i >= k then rows[#rows + 1], columns[#columns + 1] = i, j end
      end
    end
    local n = #rows
    return array.build("int64", { 2, n }, function(at) return (at[1] == 1 and rows or columns)[at[2]] end)
  end
end

-- ---- turned, shifted, repeated ----

local function flip(x, dims)
  return gather(x, x.shape, function(at)
    local from = { table.unpack(at) }
    for _, d in ipairs(dims) do from[d] = x.shape[d] + 1 - at[d] end
    return from
  end)
end

local function flip_along(d)
  return function(p)
    if #p.x.shape < d then array.refuse() end
    return flip(p.x, { d })
  end
end

-- A quarter turn: the element at (i, j) comes from row j, column n + 1 - i.
local function quarter(x, a, b)
  local shape = array.with(array.with(x.shape, a, x.shape[b]), b, x.shape[a])
  return gather(x, shape, function(at)
    local from = { table.unpack(at) }
    from[a], from[b] = at[b], x.shape[b] + 1 - at[a]
    return from
  end)
end

local function rot90(p)
  local dims = dims_of(p.dims or { 1, 2 }, #p.x.shape)
  local y = array.copy(p.x)
  for _ = 1, (p.k or 1) % 4 do y = quarter(y, dims[1], dims[2]) end
  return y
end

local function roll(p)
  local shifts, x = list_of(p.shifts), p.x
  if p.dims == nil then
    if #shifts ~= 1 then array.refuse() end
    local n = math.max(1, #x.values)
    local shift = shifts[1] % n
    return array.build(x.dtype, x.shape, function(_, k) return x.values[(k - 1 - shift) % n + 1] end)
  end
  if #shifts ~= #p.dims then array.refuse() end
  local by = {}
  for i, d in ipairs(p.dims) do
    d = array.dim(d, #x.shape)
    by[d] = (by[d] or 0) + shifts[i] % math.max(1, x.shape[d])
  end
  return gather(x, x.shape, function(at)
    local from = { table.unpack(at) }
    for d, shift in pairs(by) do from[d] = (at[d] - 1 - shift) % x.shape[d] + 1 end
    return from
  end)
end

local function tile(p)
  local x, times, shape = { table.unpack(p.x.shape) }, { table.unpack(p.repeats) }, {}
  while #x < #times do table.insert(x, 1, 1) end
  while #times < #x do table.insert(times, 1, 1) end
  for d, size in ipairs(x) do
    if times[d] < 0 or times[d] > 1000000 then array.refuse() end
    shape[d] = size * times[d]
  end
  return gather(reshape(p.x, x), shape, function(at)
    local from = {}
    for d, size in ipairs(x) do from[d] = (at[d] - 1) % size + 1 end
    return from
  end)
end

local function repeat_interleave(p)
  local x = p.dim and p.x or reshape(p.x, { #p.x.values })
  local d, source = p.dim and array.dim(p.dim, #x.shape) or 1, {}
  local n, counts = x.shape[d], { p.repeats }
  if array.is(p.repeats) then
    counts = p.repeats.values
    if p.repeats.dtype ~= "int64" or #p.repeats.shape > 1 or #counts ~= n and #counts ~= 1 then array.refuse() end
  elseif math.type(p.repeats) ~= "integer" then
    array.refuse()
  end
  for i = 1, n do
    local times = counts[#counts == 1 and 1 or i]
    if times < 0 or times > 1000000 then array.refuse() end
    for _ = 1, times do source[#source + 1] = i end
  end
  for _, times in ipairs(counts) do
    if times < 0 then array.refuse() end
  end
  return gather(x, array.with(x.shape, d, #source), function(at) return array.with(at, d, source[at[d]]) end)
end

-- ---- put together ----

-- The arrays of a list, each seen by `as`, one behind the other along the dimension along(ndim).
local function arrange(as, along)
  return function(p)
    local seen, total = {}, 0
    for i, x in ipairs(p.tensors) do seen[i] = as(x) end
    local first = seen[1]
    local d, starts = along(#first.shape), {}
    for i, x in ipairs(seen) do
      if #x.shape ~= #first.shape then array.refuse() end
      for k, size in ipairs(x.shape) do
        if k ~= d and size ~= first.shape[k] then array.refuse() end
      end
      starts[i] = total
      total = total + x.shape[d]
    end
    return array.build(array.common_dtype(seen), array.with(first.shape, d, total), function(at)
      local i = #seen
      while at[d] <= starts[i] do i = i - 1 end
      return array.at(seen[i], array.with(at, d, at[d] - starts[i]))
    end)
  end
end

local function as_lifted(dims) return function(x) return lift(x, dims) end end
local function as_column(x) return #x.shape == 1 and reshape(x, { #x.values, 1 }) or lift(x, 2) end
local function second(n) return math.min(n, 2) end

local function block_diag(p)
  local blocks, rows, columns = {}, 0, 0
  for i, x in ipairs(p.tensors) do
    if #x.shape > 2 then array.refuse() end
    local block = lift(x, 2)
    blocks[i] = { block, rows, columns }
    rows, columns = rows + block.shape[1], columns + block.shape[2]
  end
  return array.build(array.common_dtype(p.tensors), { rows, columns }, function(at)
    for _, b in ipairs(blocks) do
      local i, j = at[1] - b[2], at[2] - b[3]
      if i >= 1 and j >= 1 and i <= b[1].shape[1] and j <= b[1].shape[2] then return array.at(b[1], { i, j }) end
    end
    return 0
  end)
end

local function cartesian_prod(p)
  local n, list = 1, p.tensors
  if #list > 7 then array.refuse() end
  for _, x in ipairs(list) do
    if #x.shape ~= 1 then array.refuse() end
    n = n * #x.values
  end
  local shape = #list == 1 and { n } or { n, #list }
  return array.build(array.common_dtype(list), shape, function(at)
    local rest, column = at[1] - 1, at[2] or 1
    for i = #list, column + 1, -1 do rest = rest // #list[i].values end
    return list[column].values[rest % #list[column].values + 1]
  end)
end

local function combinations(p)
  local n, r, rows = #p.x.values, p.r or 2, {}
  if #p.x.shape ~= 1 or r < 1 or r > 99 then array.refuse() end
  local function choose(chosen, from)
    if #chosen == r then
      for _, i in ipairs(chosen) do rows[#rows + 1] = i end
      return
    end
    for i = from, n do
      local more = { table.unpack(chosen) }
      more[#more + 1] = i
      choose(more, p.with_replacement and i or i + 1)
    end
  end
  choose({}, 1)
  return array.build(p.x.dtype, { #rows // r, r }, function(_, k) return p.x.values[rows[k]] end)
end

local parts = [[ {T(5), 1}, {T(5), 5}, {T(5), 9}, {T(5), 0}, {T(5), -1}, {T(0), 2}, {T(2, 0), 1, 1}, {T(2, 0), 3, 2},
  {T(), 1}, {T(4, 3), 2, 3}, {T(2, 3, 4), 3, -1}, {T(3, 4):t(), 2, 1} ]]
local lists = [[, {T(5), {2, 2, 1}}, {T(5), {0, 5, 0}}, {T(5), {2, 2}}, {T(5), {6, -1}}, {T(5), {}}, {T(0), {}},
  {T(0), {0}}, {T(12), {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, {T(2, 12), {1, 2, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 2} ]]
local ends = [[, {T(5), {}}, {T(5), {2, 4}}, {T(5), {0, 0, 5}}, {T(5), {3, 2}}, {T(5), {6}}, {T(5), {-1}}, {T(0), {0}},
  {T(12), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} ]]
local matrices = [[ {T(3, 3)}, {T(2, 4), 1}, {T(4, 2), -1}, {T(3, 3), 9}, {T(3, 3), -9}, {T(0, 3)}, {T(3, 0), 1},
  {T(2, 3, 2, 2), -1}, {T(3)}, {T()}, {T(3, 4):t()}, {T(2, 4, 3):transpose(1, 2)}, {B(3, 3), 1},
  {T(3, 3), math.mininteger}, {T(3, 3), math.maxinteger} ]]
local positions = [[ {0, 0}, {0, 3}, {3, 0}, {1, 1}, {5, 2}, {2, 5}, {4, 4, 2}, {4, 4, -2}, {3, 3, 9}, {3, 3, -9},
  {-1, 2}, {2, -1}, {3, 4, math.maxinteger}, {3, 4, math.mininteger} ]]
local joined = [[ {{T(2)}}, {{T(2), T(2)}}, {{T(2, 3), T(2, 3)}}, {{T(2), T(3)}}, {{T(), T()}}, {{T(0), T(0)}},
  {{T(2), B(2)}}, {{T(2, 2), ints{1, 2}}}, {{T(2, 2), T(2)}}, {{T(2, 3, 4), T(2, 3, 4)}}, {{T(2, 3, 4), T(2, 1, 4)}},
  {{T(2, 3, 2), T(2, 3)}}, {{T(3, 2):t(), T(2, 3)}}, {{T(2), peri.ones(2, {dtype = 'float64'})}} ]]

local rows = {
  view_as = { same_elements, "{T(6), T(2, 3)}, {T(), T(1, 1)}, {T(0), T(2, 0)}, {T(2), T(3)}, {T(4), B(2, 2)}",
    contiguous = true },
  reshape_as = { same_elements, "{T(6), T(2, 3)}, {T(), T(1, 1)}, {T(0), T(2, 0)}, {T(2), T(3)}, {T(2, 3):t(), B(6)}" },
  expand_as = { expand_as, "{T(1), T(4)}, {T(), T(2, 2)}, {T(3), T(2, 4)}, {T(2, 3), T(3)}, {T(1, 3), B(2, 3)}" },
  movedim = { movedim, [[ {T(2, 3, 4), 3, 1}, {T(2, 3, 4), -1, -2}, {T(2, 3, 4), {1, 3}, {2, 1}}, {T(2, 3, 4), {}, {}},
    {T(2, 3), 1, 3}, {T(2, 3), {1, 1}, {1, 2}}, {T(2, 3), {1, 2}, 1}, {T(3), 1, 1}, {T(), {}, {}} ]] },
  unflatten = { unflatten, [[ {T(6), 1, {2, 3}}, {T(6), 1, 6}, {T(6), 1, {-1, 2}}, {T(6), 1, {4, -1}}, {T(6), 1, {}},
    {T(2, 6, 3), -2, {1, 2, 3}}, {T(6), 1, {-1, -1}}, {T(6), 1, {-2, -3}}, {T(0), 1, {0, 3}}, {T(0), 1, {-1, 0}},
    {T(6, 3):t(), 2, {2, 3}}, {T(6), 2, 6} ]] },
  atleast_1d = { function(p) return lift(p.x, 1) end, "{T(0)}, {B(2)}" },
  atleast_2d = { function(p) return lift(p.x, 2) end, "{T(0)}, {B(2)}" },
  atleast_3d = { function(p) return lift(p.x, 3) end, "{T(0)}, {B(2)}, {T(3, 2):t()}" },
  split = { split, parts .. lists },
  chunk = { chunk, parts },
  tensor_split = { function(p) return tensor_split(p.x, p.parts, array.dim(p.dim or 1, #p.x.shape)) end,
    parts .. ends },
  hsplit = { function(p)
    if #p.x.shape < 1 then array.refuse() end
    return tensor_split(p.x, p.parts, second(#p.x.shape))
  end, "{T(), 1}, {T(4), 3}, {T(2, 4), 3}, {T(2, 4, 2), {1}}, {T(2, 4), 0}" },
  vsplit = { function(p)
    if #p.x.shape < 2 then array.refuse() end
    return tensor_split(p.x, p.parts, 1)
  end, "{T(4), 2}, {T(4, 2), 3}, {T(4, 2, 2), {1}}, {T(4, 2), {5}}" },
  unbind = { unbind, "{T(3)}, {T(2, 3), 2}, {T(), 1}, {T(2, 3), 3}, {T(2, 0), 1}, {T(2, 3):t()}" },
  unfold = { unfold, [[ {T(5), 1, 5, 1}, {T(5), 1, 0, 2}, {T(5), 1, 6, 1}, {T(5), 1, 2, 0}, {T(5), 1, -1, 1},
    {T(5), 1, 2, 7}, {T(2, 6), 2, 2, 2}, {T(6, 2), 1, 3, 2}, {T(), 1, 1, 1}, {T(0), 1, 0, 1},
    {T(5), 1, 5, math.maxinteger} ]] },
  broadcast_tensors = { broadcast_tensors, [[ {{T()}}, {{T(2), T(3)}}, {{T(2, 1), T(1, 3), B(1)}}, {{T(0), T(1)}},
    {{T(2, 3), T(3, 2):t()}} ]] },
  meshgrid = { meshgrid, [[ {{T(2)}}, {{T(2), T(3)}, 'xy'}, {{T(2), T(), B(3)}}, {{T(2, 3), T(2)}}, {{T(0), T(2)}},
    {{T(2)}, 'xy'}, {{T(1), T(2), T(1), T(2), T(1), T(2), T(1), T(2)}},
    {{T(1), T(1), T(1), T(1), T(1), T(1), T(1), T(1), T(1)}} ]] },
  diagonal = { function(p) return diagonal(p.x, p.offset or 0, plane_of(p, #p.x.shape, 1, 2)) end,
    [[ {T(3, 3), 1}, {T(3, 3), -3}, {T(3, 3), 3}, {T(2, 3, 4), 0, 1, 3}, {T(2, 3, 4), 1, -1, 1}, {T(3, 3), 0, 1, 1},
    {T(3)}, {T(3, 0)}, {T(3, 3), math.mininteger}, {T(3, 3), math.maxinteger}, {T(3, 4):t(), -1} ]] },
  diag_embed = { function(p)
    local a, b = plane_of(p, #p.x.shape + 1, -2, -1)
    if #p.x.shape == 0 then array.refuse() end
    return diag_embed(p.x, p.offset or 0, a, b)
  end, [[ {T(1)}, {T(0)}, {T(0), 2}, {T(3), 2}, {T(2, 3), -2, 3, 1}, {T(2, 3), 0, 1, 1}, {T()}, {T(2), math.mininteger},
    {T(2), math.maxinteger}, {T(3, 2):t()} ]] },
  diag = { diag, [[ {T(0)}, {T(2), 1}, {T(3, 3), -1}, {T(3, 3), 3}, {T(2, 2, 2)}, {T()}, {T(3, 4):t(), -1},
    {B(3)}, {B(3, 3)},
    {T(2), math.mininteger}, {T(3, 3), math.mininteger} ]] },
  tril = { triangle(true), matrices },
  triu = { triangle(false), matrices },
  tril_indices = { triangle_indices(true), positions },
  triu_indices = { triangle_indices(false), positions },
  flip = { function(p) return flip(p.x, dims_of(p.dims, #p.x.shape)) end,
    [[ {T(5), 1}, {T(5), -1}, {T(2, 3), {1, 2}}, {T(2, 3), {1, 1}}, {T(2, 3), 3}, {T(0, 2), 1}, {T(), {}},
    {T(3, 4):t(), 1},
    {T(1, 3):expand(2, 3), 1} ]] },
  flipud = { flip_along(1), "{T()}, {T(0)}, {T(3, 2):t()}" },
  fliplr = { flip_along(2), "{T(3)}, {T(2, 0)}, {T(3, 2):t()}" },
  rot90 = { rot90, [[ {T(2, 3), 0}, {T(2, 3), 3}, {T(2, 3), 4}, {T(2, 3), -2}, {T(2, 3, 4), 1, {2, 3}},
    {T(2, 3), 1, {1, 1}},
    {T(3)}, {T(0, 2)}, {T(2, 3), 1, {2, 1}}, {T(2, 3), math.mininteger}, {T(3, 2):t(), 1} ]] },
  roll = { roll, [[ {T(5), 0}, {T(5), -7}, {T(5), 2, 1}, {T(2, 3), 2}, {T(2, 3), {1, 2}}, {T(2, 3), {1, 2}, {1, 2}},
    {T(2, 3), {1, 1}, {2, 2}}, {T(2, 3), 1, 3}, {T(2, 3), {1, 2}, 1}, {T(), 3}, {T(0), 2}, {T(0, 2), 1, 1},
    {T(2, 3, 4), {1, -1, 2}, {1, 2, 3}}, {T(3, 2):t(), 1}, {T(5), {1, 2, 3, 4, 5, 6, 7, 8, 9}},
    {T(5), math.mininteger}, {T(5), math.maxinteger, 1} ]] },
  tile = { tile, [[ {T(3), 1}, {T(3), 4}, {T(3), {0}}, {T(3), {2, 2, 2}}, {T(2, 3, 2), 3, 2}, {T(), {2, 2}}, {T(), {}},
    {T(0), 3}, {T(2), -1}, {T(3, 2):t(), 2}, {T(2, 1, 2, 1, 2, 1, 2), 1, 2, 1, 2, 1, 2, 1, 2},
    {T(2), math.maxinteger} ]] },
  repeat_interleave = { repeat_interleave, [[ {T(3), 0}, {T(3), 3}, {T(3), -1}, {T(3), 1.5}, {T(2, 3, 2), 2, 2},
    {T(), 3},
    {T(0), 2}, {T(3), ints{2, 0, 1}}, {T(3), ints{2}}, {T(3), ints{1, 2}}, {T(3), ints{1, -1, 2}},
    {T(2, 3), ints{1, 2, 0}, 2},
    {T(3), B(3)}, {T(2, 3):t(), 2, 1}, {T(2, 3):t(), ints{2, 1, 3}, 1}, {T(3), math.maxinteger}, {T(2, 3), 2, 3},
    {T(3), ints{math.maxinteger, 1, 1}} ]] },
  hstack = { arrange(as_lifted(1), second), joined },
  vstack = { arrange(as_lifted(2), function() return 1 end), joined },
  dstack = { arrange(as_lifted(3), function() return 3 end), joined },
  column_stack = { arrange(as_column, second), joined },
  block_diag = { block_diag, "{{T(1)}}, {{T(0), T(2)}}, {{T(2, 2, 2)}}, {{T(2, 3):t(), T(2, 2)}}, {{T(2), B(2)}}" },
  combinations = { combinations, [[ {T(0)}, {T(0), 1, true}, {T(3), 0}, {T(3), -1}, {T(3), 1}, {T(3), 3},
    {T(3), 4, true},
    {T(1), 5, true}, {T()}, {T(2, 2)}, {T(9), 4}, {T(3), math.maxinteger, true}, {T(3), math.mininteger} ]] },
  cartesian_prod = { cartesian_prod, [[ {{T(0), T(2)}}, {{T(2), T(2, 2)}}, {{T()}}, {{T(3), B(2)}},
    {{T(1), T(2), T(1), T(2), T(1), T(2), T(1)}}, {{T(1), T(1), T(1), T(1), T(1), T(1), T(1), T(1)}} ]] },
}
for _, row in pairs(rows) do row.moves = true end
return rows
