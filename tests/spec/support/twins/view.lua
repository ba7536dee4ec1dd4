-- Twins of the rows that show elements otherwise (runtime/ops/view.c, slice.c): all move, none computes.
local array = require "support.array"

local function reshape(x, shape)
  local known, open, sizes = 1, nil, { table.unpack(shape) }
  for d, size in ipairs(sizes) do
    if size == -1 and open == nil then
      open = d
    elseif size < 0 then
      array.refuse()
    else
      known = known * size
    end
  end
  local n = array.numel(x.shape)
  if open then
    if known == 0 or n % known ~= 0 then array.refuse() end
    sizes[open], known = n // known, n
  end
  if known ~= n then array.refuse() end
  return { shape = sizes, dtype = x.dtype, values = x.values }
end

local function flatten(p)
  local first = #p.x.shape == 0 and 1 or array.dim(p.dim or 1, #p.x.shape)
  local shape, rest = { table.unpack(p.x.shape, 1, first - 1) }, 1
  local last = #p.x.shape == 0 and 0 or array.dim(p.end_dim or -1, #p.x.shape)
  if last < first and #p.x.shape > 0 then array.refuse() end
  for d = first, last do rest = rest * p.x.shape[d] end
  shape[first] = rest
  table.move(p.x.shape, last + 1, #p.x.shape, first + 1, shape)
  return reshape(p.x, shape)
end

-- The entries `first`, `first` + step, ... of a dimension, `count` of them.
local function cut(x, d, first, count, step)
  return array.build(x.dtype, array.with(x.shape, d, count), function(at)
    return array.at(x, array.with(at, d, first + (at[d] - 1) * step))
  end)
end

local function from_end(i, n)
  if i == 0 then array.refuse() end
  return i < 0 and i + n + 1 or i
end

local function narrow(p)
  local d = array.dim(p.dim, #p.x.shape)
  local n = p.x.shape[d]
  local start = from_end(p.start, n)
  if p.length < 0 or start < 1 or start + p.length - 1 > n then array.refuse() end
  return cut(p.x, d, start, p.length, 1)
end

local function select(p)
  local d = array.dim(p.dim, #p.x.shape)
  local y = cut(p.x, d, array.index(p.index, p.x.shape[d]), 1, 1)
  return reshape(y, array.without(y.shape, d))
end

local function slice(p)
  local d = array.dim(p.dim, #p.x.shape)
  local n, step = p.x.shape[d], p.step or 1
  local from, to = from_end(p.from, n), from_end(p.to, n)
  if step < 1 or from < 1 or to > n or to < from - 1 then array.refuse() end
  return cut(p.x, d, from, (to - from) // step + 1, step)
end

local function permute(x, order)
  local shape, seen = {}, {}
  for d, from in ipairs(order) do
    order[d] = array.dim(from, #x.shape)
    if seen[order[d]] then array.refuse() end
    seen[order[d]], shape[d] = true, x.shape[order[d]]
  end
  if #order ~= #x.shape then array.refuse() end
  return array.build(x.dtype, shape, function(at)
    local source = {}
    for d, from in ipairs(order) do source[from] = at[d] end
    return array.at(x, source)
  end)
end

local function exchange(x, a, b)
  local order = {}
  for d = 1, #x.shape do order[d] = d end
  order[array.dim(a, #x.shape)], order[array.dim(b, #x.shape)] = array.dim(b, #x.shape), array.dim(a, #x.shape)
  return permute(x, order)
end

local function expand(p)
  local shape, shift = { table.unpack(p.shape) }, #p.shape - #p.x.shape
  for d, size in ipairs(shape) do
    local own = d > shift and p.x.shape[d - shift] or 1
    if size == -1 and d > shift then shape[d] = own end
    if shape[d] < 0 or own ~= 1 and own ~= shape[d] then array.refuse() end
  end
  if shift < 0 then array.refuse() end
  return array.build(p.x.dtype, shape, function(at) return array.stretched(p.x, at) end)
end

local function squeeze(p)
  local only, shape = p.dim and array.dim(p.dim, #p.x.shape), {}
  for d, size in ipairs(p.x.shape) do
    if size ~= 1 or only and d ~= only then shape[#shape + 1] = size end
  end
  return reshape(p.x, shape)
end

local function unsqueeze(p)
  local shape = { table.unpack(p.x.shape) }
  table.insert(shape, array.dim(p.dim, #shape + 1), 1)
  return reshape(p.x, shape)
end

local function same(p) return array.copy(p.x) end

local shapes = [[ {T(2, 6), 12}, {T(2, 6), {}}, {T(1), {}}, {T(), 1, 1}, {T(0), {0, 3}}, {T(0, 2), -1}, {T(0), {0, -1}},
  {T(6), 4}, {T(6), -1, -1}, {T(6), -2, 3}, {T(6), 4, -1}, {T(2, 3, 4), -1, 6}, {T(2, 3, 4), 2, 1, 3, 2, 2} ]]
local plain = [[ {T()}, {T(0)}, {T(2, 0)}, {T(2, 1, 3)}, {B(3)}, {S()}, {S('int64')}, {T(2, 3):t()},
  {T(1, 3):expand(2, 3)} ]]

local rows = {
  view = { function(p) return reshape(p.x, p.shape) end, shapes, contiguous = true },
  reshape = { function(p) return reshape(p.x, p.shape) end, shapes .. ", {T(4, 1):expand(4, 2), 8}, {T(3, 2):t(), 6}" },
  flatten = { flatten, [[ {T(0)}, {T(5)}, {T(2, 3), 2}, {T(2, 3, 4), -2}, {T(2, 3), 3}, {T(2, 0, 3), 2}, {T(3, 2):t()},
    {T(2, 3, 4), 2, 2}, {T(2, 3, 4), 1, -2}, {T(2, 3), 2, 1} ]] },
  narrow = { narrow, [[ {T(4, 3), 1, 1, 4}, {T(4, 3), 2, 3, 1}, {T(4), 1, 1, 0}, {T(4), 1, 5, 0}, {T(4), 1, 4, 2},
    {T(4), 1, -4, 4}, {T(4), 1, -5, 1}, {T(4), 2, 1, 1}, {T(4), 1, 2, -1}, {T(0), 1, 1, 0}, {T(2, 3, 4), -2, 2, 2} ]] },
  select = { select, [[ {T(4), 1, 1}, {T(4), 1, -4}, {T(4), 1, 5}, {T(4), 1, -5}, {T(2, 3, 4), 2, 3}, {T(2, 0), 1, 2},
    {T(2, 0), 2, 1}, {T(2, 3), 3, 1} ]] },
  slice = { slice, [[ {T(5), 1, 1, -1}, {T(5), 1, -2, -1}, {T(5), 1, 1, 0}, {T(5), 1, 3, 2}, {T(5), 1, 6, 5},
    {T(5), 1, 2, 6},
    {T(5), 1, 4, 2}, {T(5), 1, 2, 5, 3}, {T(5), 1, 1, 5, 9}, {T(5), 1, 1, 5, 0}, {T(3, 4), -1, 2, 3},
    {T(7), 1, 1, 7, 2} ]] },
  permute = { function(p) return permute(p.x, { table.unpack(p.dims) }) end, [[ {T(2, 3), {2, 1}},
    {T(2, 3, 4), 1, 2, 3},
    {T(2, 3, 4), -1, 1, 2}, {T(2, 3), 1, 1}, {T(2, 3), 1}, {T(3), 1}, {T(2, 0, 3), 3, 2, 1}, {T(), {}} ]] },
  transpose = { function(p) return exchange(p.x, p.dim1, p.dim2) end,
    "{T(3), 1, 1}, {T(2, 3), 2, 1}, {T(2, 3, 4), 2, -1}, {T(2, 3), 1, 3}, {T(2, 0), 1, 2}" },
  t = { function(p)
    if #p.x.shape ~= 2 then array.refuse() end
    return exchange(p.x, 1, 2)
  end, "{T(1, 1)}, {T(4, 1)}, {T(3)}, {T(2, 3, 4)}, {T(0, 2)}" },
  expand = { expand, [[ {T(1), 4}, {T(), {2, 3}}, {T(3), {2, 3}}, {T(3), {2, -1}}, {T(3), 4}, {T(2, 3), 3},
    {T(1, 3), -1, 3},
    {T(3), {-1, 3}}, {T(1), 0}, {T(0), {2, 0}}, {T(1, 2, 1), 3, 2, 2} ]] },
  squeeze = { squeeze, "{T(1)}, {T(1, 1)}, {T(2, 1, 3), 2}, {T(2, 1, 3), 1}, {T(2, 3), 3}, {T(1, 0), 1}, {T()}" },
  unsqueeze = { unsqueeze, "{T(), 1}, {T(3), 2}, {T(3), -2}, {T(2, 3), 2}, {T(3), 3}, {T(3), -3}, {T(0), 1}" },
  clone = { same, plain },
  contiguous = { same, plain },
  detach = { same, plain },
}
for _, row in pairs(rows) do row.moves = true end
return rows
