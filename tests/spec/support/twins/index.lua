-- Twins of the rows that choose by index tensors and masks, that join, and that write into their first argument
-- (runtime/ops/take.c, put.c, scatter.c, mask.c, join.c, write.c).
local array = require "support.array"

local function need_index(index, n)
  if index.dtype ~= "int64" then array.refuse() end
  for _, i in ipairs(index.values) do
    if i < 1 or i > n then array.refuse() end
  end
end

-- The position that value v of an index names among n: also from the end, -1 the last.
local function resolve(v, n)
  if v < -n or v > n or v == 0 then array.refuse() end
  return v > 0 and v or v + n + 1
end

local function index_select(p)
  local d = array.dim(p.dim or 1, #p.x.shape)
  if #p.index.shape ~= 1 then array.refuse() end
  need_index(p.index, p.x.shape[d])
  return array.build(p.x.dtype, array.with(p.x.shape, d, p.index.shape[1]), function(at)
    return array.at(p.x, array.with(at, d, p.index.values[at[d]]))
  end)
end

-- Index tensors with the coordinates of what is true in a mask in its place.
local function coordinates_of(x, indices, dims)
  local list = {}
  for _, a in ipairs(indices) do
    if a.dtype ~= "bool" then
      list[#list + 1] = a
    else
      local first, found = #list, {}
      if dims or #a.shape == 0 then array.refuse() end
      for d, size in ipairs(a.shape) do
        if x.shape[first + d] ~= size then array.refuse() end
        found[d] = {}
      end
      array.build("bool", a.shape, function(at, k)
        for d = 1, a.values[k] and #at or 0 do table.insert(found[d], at[d]) end
        return true
      end)
      for d, positions in ipairs(found) do list[first + d] = array.vector("int64", positions) end
    end
  end
  return list
end

-- What several index tensors choose of x: the result's shape, and where in x the element at a position of it stands.
local function choose(x, indices, dims)
  indices = coordinates_of(x, indices, dims)
  local n, wanted = #indices, {}
  if n == 0 or n > #x.shape or dims and #dims ~= n then array.refuse() end
  for k, index in ipairs(indices) do
    if index.dtype ~= "int64" then array.refuse() end
    wanted[k] = dims and array.dim(dims[k], #x.shape) or k
    if k > 1 and wanted[k] <= wanted[k - 1] then array.refuse() end
    for _, v in ipairs(index.values) do resolve(v, x.shape[wanted[k]]) end
  end
  local together = array.broadcast(table.unpack(indices))
  local before = wanted[n] - wanted[1] == n - 1 and wanted[1] - 1 or 0
  local chosen, shape = {}, {}
  for k, d in ipairs(wanted) do chosen[d] = k end
  for d, size in ipairs(x.shape) do
    if not chosen[d] then shape[#shape + 1] = size end
  end
  for k, size in ipairs(together) do table.insert(shape, before + k, size) end
  return shape, function(at)
    local named, rest, from = table.move(at, before + 1, before + #together, 1, {}), 0, {}
    for d, size in ipairs(x.shape) do
      if chosen[d] then
        from[d] = resolve(array.stretched(indices[chosen[d]], named), size)
      else
        rest = rest + 1
        from[d] = at[rest > before and rest + #together or rest]
      end
    end
    return from
  end
end

local function index(p)
  local shape, source = choose(p.x, p.indices, p.dims)
  return array.build(p.x.dtype, shape, function(at) return array.at(p.x, source(at)) end)
end

local function take(p)
  if p.index.dtype ~= "int64" then array.refuse() end
  for _, v in ipairs(p.index.values) do resolve(v, #p.x.values) end
  return array.build(p.x.dtype, p.index.shape, function(_, k)
    return p.x.values[resolve(p.index.values[k], #p.x.values)]
  end)
end

local function need_along(x, at, d)
  if #at.shape ~= #x.shape then array.refuse() end
  for k, size in ipairs(at.shape) do
    if k ~= d and size > x.shape[k] then array.refuse() end
  end
  need_index(at, x.shape[d])
end

local function gather(p)
  local d = array.dim(p.dim, #p.x.shape)
  need_along(p.x, p.index, d)
  return array.build(p.x.dtype, p.index.shape, function(at, k)
    return array.at(p.x, array.with(at, d, p.index.values[k]))
  end)
end

local function take_along_dim(p)
  if #p.index.shape ~= #p.x.shape then array.refuse() end
  local d = array.dim(p.dim, #p.x.shape)
  need_index(p.index, p.x.shape[d])
  local shape = array.broadcast(array.full("bool", array.with(p.x.shape, d, 1), true),
    array.full("bool", array.with(p.index.shape, d, 1), true))
  shape[d] = p.index.shape[d]
  return array.build(p.x.dtype, shape, function(at)
    local v = array.stretched(p.index, at)
    local from = array.with(at, d, v)
    for k, size in ipairs(p.x.shape) do
      if k ~= d and size == 1 then from[k] = 1 end
    end
    return array.at(p.x, from)
  end)
end

local function trues(mask)
  if mask.dtype ~= "bool" then array.refuse() end
  local list = {}
  for k, chosen in ipairs(mask.values) do
    if chosen then list[#list + 1] = k end
  end
  return list
end

local function need_shape(a, shape)
  if table.concat(a.shape, "x") ~= table.concat(shape, "x") then array.refuse() end
end

local function stretch(a, shape)
  return array.build(a.dtype, shape, function(at) return array.stretched(a, at) end)
end

local function masked_select(p)
  trues(p.mask)
  local shape = array.broadcast(p.x, p.mask)
  local x, positions = stretch(p.x, shape), trues(stretch(p.mask, shape))
  return array.build(p.x.dtype, { #positions }, function(_, k) return x.values[positions[k]] end)
end

local function nonzeros(x)
  return trues(array.to(x, "bool"))
end

local function argwhere(p)
  local list = nonzeros(p.x)
  return array.build("int64", { #list, #p.x.shape }, function(at)
    local position, d = list[at[1]] - 1, #p.x.shape
    for k = d, at[2] + 1, -1 do position = position // p.x.shape[k] end
    return position % p.x.shape[at[2]] + 1
  end)
end

local function one_hot(p)
  need_index(p.index, p.classes)
  local shape = array.with(p.index.shape, #p.index.shape + 1, p.classes)
  return array.build(p.dtype or "float32", shape, function(at, k)
    return p.index.values[(k - 1) // p.classes + 1] == at[#at] and 1 or 0
  end)
end

-- ---- joins ----

local function cat(list, dim)
  if #list == 0 then array.refuse() end
  local d = array.dim(dim or 1, #list[1].shape)
  local total, owner, start = 0, {}, {}
  for _, a in ipairs(list) do
    if #a.shape ~= #list[1].shape then array.refuse() end
    need_shape({ shape = array.with(a.shape, d, 1) }, array.with(list[1].shape, d, 1))
    for i = 1, a.shape[d] do owner[total + i], start[total + i] = a, total end
    total = total + a.shape[d]
  end
  return array.build(array.common_dtype(list), array.with(list[1].shape, d, total), function(at)
    return array.at(owner[at[d]], array.with(at, d, at[d] - start[at[d]]))
  end)
end

local function stack(p)
  if #p.tensors == 0 then array.refuse() end
  local dim, lifted = array.dim(p.dim or 1, #p.tensors[1].shape + 1), {}
  for i, a in ipairs(p.tensors) do
    need_shape(a, p.tensors[1].shape)
    local shape = { table.unpack(a.shape) }
    table.insert(shape, dim, 1)
    lifted[i] = { shape = shape, dtype = a.dtype, values = a.values }
  end
  return cat(lifted, dim)
end

-- ---- writes: the twin gives what x holds afterwards ----

local function need_fit(x, source)
  if not array.is(source) and not array.fits(x.dtype, source) then array.refuse() end
end

-- A source stretched to a shape, which it must not exceed.
local function source_in(source, shape)
  need_shape({ shape = array.broadcast(source, array.full("bool", shape, true)) }, shape)
  return function(at) return array.stretched(source, at) end
end

local function copy(p)
  need_fit(p.x, p.source)
  return array.build(p.x.dtype, p.x.shape, source_in(p.source, p.x.shape))
end

-- Value by value into what places(k) names of a copy of x, in the order of k; combine(old, new) or the new one.
local function put_each(x, n, place, value, combine)
  local y = array.copy(x)
  for k = 1, n do
    local at = place(k)
    local new = array.round(x.dtype, value(k))
    y.values[at] = array.round(x.dtype, combine and combine(y.values[at], new) or not combine and new)
  end
  return y
end

local function need_numbers(x, source)
  if x.dtype == "uint8" or x.dtype == "bool" then array.refuse() end
  if array.is(source) and x.dtype == "int64" and array.is_float(source.dtype) then array.refuse() end
end

local function sum(a, b) return a + b end

-- Positions of a shape, one after the other in row-major order.
local function positions_of(shape)
  local list = {}
  array.build("bool", shape, function(at)
    list[#list + 1] = { table.unpack(at) }
    return true
  end)
  return list
end

-- The positions of x along a dimension that a range names.
local function slice_of(p)
  local d, list, step = array.dim(p.dim, #p.x.shape), {}, p.step or 1
  local size = p.x.shape[d]
  local from = p.from < 0 and p.from + size + 1 or p.from
  local to = p.to < 0 and p.to + size + 1 or p.to
  if step < 1 or p.from == 0 or p.to == 0 or from < 1 or to > size or to < from - 1 then array.refuse() end
  for i = from, to, step do list[#list + 1] = i end
  return d, list
end

-- x with source in place of the entries along d that are listed.
local function replaced(p, d, list)
  need_fit(p.x, p.source)
  local from, place = source_in(p.source, array.with(p.x.shape, d, #list)), {}
  for k, i in ipairs(list) do place[i] = k end
  return array.build(p.x.dtype, p.x.shape, function(at)
    local k = place[at[d]]
    if not k then return array.at(p.x, at) end
    return array.round(p.x.dtype, from(array.with(at, d, k)))
  end)
end

local function select_scatter(p)
  local d = array.dim(p.dim, #p.x.shape)
  local position, source = resolve(p.index, p.x.shape[d]), p.source
  local shape = array.with(p.x.shape, d, 1)
  need_fit(p.x, source)
  if array.is(source) then
    local rest = { table.unpack(p.x.shape) }
    table.remove(rest, d)
    local value = source_in(source, rest)
    source = array.build(source.dtype, shape, function(at)
      local without = { table.unpack(at) }
      table.remove(without, d)
      return value(without)
    end)
  end
  return replaced({ x = p.x, source = source }, d, { position })
end

local function index_put(p)
  local shape, source = choose(p.x, p.indices, p.dims)
  need_fit(p.x, p.values)
  local list, from = positions_of(shape), source_in(p.values, shape)
  if p.accumulate then need_numbers(p.x, p.values) end
  return put_each(p.x, #list, function(k) return array.offset(p.x, source(list[k])) end,
    function(k) return from(list[k]) end, p.accumulate and sum)
end

local function put(p)
  if p.index.dtype ~= "int64" then array.refuse() end
  for _, v in ipairs(p.index.values) do resolve(v, #p.x.values) end
  local list, from = positions_of(p.index.shape), source_in(p.source, p.index.shape)
  if p.accumulate then need_numbers(p.x, p.source) end
  return put_each(p.x, #list, function(k) return resolve(p.index.values[k], #p.x.values) end,
    function(k) return from(list[k]) end, p.accumulate and sum)
end

local function along_rows(p, source, combine)
  local d = array.dim(p.dim or 1, #p.x.shape)
  if #p.index.shape ~= 1 then array.refuse() end
  need_index(p.index, p.x.shape[d])
  need_fit(p.x, source)
  local shape = array.with(p.x.shape, d, p.index.shape[1])
  local list, from = positions_of(shape), source_in(source, shape)
  return put_each(p.x, #list, function(k)
    return array.offset(p.x, array.with(list[k], d, p.index.values[list[k][d]]))
  end, function(k) return from(list[k]) end, combine)
end

local function index_add(p)
  need_numbers(p.x, p.source)
  local alpha = p.alpha or 1
  if not array.fits(p.x.dtype, alpha) then array.refuse() end
  local source = array.build(p.x.dtype, p.source.shape, function(_, k)
    return array.round(p.x.dtype, p.source.values[k]) * array.round(p.x.dtype, alpha)
  end)
  return along_rows(p, source, sum)
end

-- visit(place in x, value) for each position of index.
local function each_along(p, visit)
  local d = array.dim(p.dim or 1, #p.x.shape)
  need_along(p.x, p.index, d)
  if array.is(p.source) then
    if #p.source.shape ~= #p.index.shape then array.refuse() end
    for k, size in ipairs(p.index.shape) do
      if size > p.source.shape[k] then array.refuse() end
    end
  elseif not array.fits(p.x.dtype, p.source) then
    array.refuse()
  end
  for k, at in ipairs(positions_of(p.index.shape)) do
    local value = p.source
    if array.is(value) then value = array.at(value, at) end
    visit(array.offset(p.x, array.with(at, d, p.index.values[k])), array.round(p.x.dtype, value))
  end
end

local function scatter(p)
  local y = array.copy(p.x)
  each_along(p, function(at, value) y.values[at] = value end)
  return y
end

local function scatter_add(p)
  need_numbers(p.x, p.source)
  local y = array.copy(p.x)
  each_along(p, function(at, value) y.values[at] = array.round(p.x.dtype, y.values[at] + value) end)
  return y
end

local combinations = {
  sum = sum, mean = sum, prod = function(a, b) return a * b end,
  amax = function(a, b) return (b > a or b ~= b) and b or a end,
  amin = function(a, b) return (b < a or b ~= b) and b or a end,
}

local function scatter_reduce(p)
  need_numbers(p.x, p.source)
  if p.reduce == "mean" and p.x.dtype == "int64" then array.refuse() end
  local y, count, combine = array.copy(p.x), {}, combinations[p.reduce]
  local self = p.include_self ~= false
  each_along(p, function(at, value)
    local fresh = not count[at] and not self
    y.values[at] = fresh and value or array.round(p.x.dtype, combine(y.values[at], value))
    count[at] = (count[at] or (self and 1 or 0)) + 1
  end)
  for at, n in pairs(p.reduce == "mean" and count or {}) do y.values[at] = array.round(p.x.dtype, y.values[at] / n) end
  return y
end

local function masked_scatter(p)
  trues(p.mask)
  need_shape({ shape = array.broadcast(p.x, p.mask) }, p.x.shape)
  local positions = trues(stretch(p.mask, p.x.shape))
  if #p.source.values < #positions then array.refuse() end
  local y = array.copy(p.x)
  for i, k in ipairs(positions) do y.values[k] = array.round(y.dtype, p.source.values[i]) end
  return y
end

local rows = {
  index_select = { index_select, [[ {T(3), 1, I(3, 9)}, {T(4, 3), -1, I(3, 5)}, {T(0), 1, I(1, 0)},
    {T(3), 1, I(3, 2, 2)}, {T(3), 1, T(2)}, {T(3), 1, ints{4}}, {T(3), 1, ints{0}}, {T(3), 1, ints{-1}},
    {T(2, 0), 1, I(2, 3)}, {T(2, 0), 1, ints{3}}, {T(0, 2), 1, ints{1}}, {T(2, 3, 4), 2, I(3, 4)},
    {T(3), 1, ints{3, 1, 1}}, {T(3), 1, ints{math.maxinteger}}, {T(3), 2, I(3, 2)}, {T(), 1, ints{1}},
    {T(3, 2):t(), 1, I(2, 4)}, {T(40, 3), 1, I(40, 50)} ]] },
  index = { index, [[ {T(4), {ints{-1, 4, -4}}}, {T(4), {ints{0}}}, {T(4), {ints{5}}}, {T(4), {ints{-5}}},
    {T(4), {T(2)}}, {T(4), {B(4)}}, {T(4), {B(3)}}, {T(4), {B()}}, {T(4), {B(4, 1)}}, {T(4), {B(4)}, {dims = {1}}},
    {T(2, 3, 4), {I(2, 1), B(3, 4)}}, {T(2, 3, 4), {B(2, 3), I(4, 1)}}, {T(0, 3), {B(0)}}, {T(4, 3):t(), {B(3, 4)}},
    {T(4, 3), {I(4, 2, 1), I(3, 3)}}, {T(4, 3), {I(4, 2), I(3, 3)}},
    {T(4), {I(4, 2), I(4, 2)}}, {T(2, 3, 4), {I(2, 2), I(3, 2), I(4, 2)}}, {T(2, 3, 4), {I(3, 2), I(4, 2)},
    {dims = {2, 3}}}, {T(2, 3, 4), {I(2, 2), I(4, 3, 1)}, {dims = {1, -1}}}, {T(2, 3), {I(2, 2), I(2, 2)},
    {dims = {2, 1}}}, {T(2, 3), {I(2, 2)}, {dims = {3}}}, {T(2, 3), {I(2, 2)}, {dims = {1, 2}}},
    {T(2, 3, 4):permute(3, 1, 2), {I(4, 5), I(3, 5)}, {dims = {1, 3}}}, {T(0, 3), {ints{}}}, {T(0, 3), {ints{1}}},
    {T(3, 0), {ints{4}}}, {T(3, 0), {ints{3, -3}}}, {T(3, 4), {I(3, 2, 2, 2)}}, {T(3, 4), {ints{}, ints{}}},
    {T(3, 4):t(), {I(4, 6), I(3, 6)}}, {T(2, 3, 2):transpose(1, 3), {I(2, 4), I(3, 4), I(2, 4)}} ]] },
  take = { take, [[ {T(3, 4):t(), I(12, 5)}, {T(), ints{1, -1}}, {T(3), ints{4}}, {T(3), ints{0}}, {T(3), ints{-4}},
    {T(3), T(2)}, {T(0), ints{}}, {T(0), ints{1}}, {T(2, 3, 4):permute(2, 3, 1), I(24, 2, 3)}, {T(2, 3), ints{-1}},
    {T(2, 3), ints{math.mininteger}} ]] },
  gather = { gather, [[ {T(5), 1, I(5, 0)}, {T(2, 3), 1, I(2, 1, 3)}, {T(2, 3), 2, I(3, 3, 1)},
    {T(2, 3), 2, I(3, 2, 9)}, {T(2, 3), 1, I(2, 1, 2)}, {T(2, 3), 1, I(2, 1, 4)}, {T(2, 3), 1, I(2, 3)},
    {T(2, 3), 1, ints{{0}}}, {T(2, 3), 2, T(2, 3)}, {T(3, 2):t(), 2, I(3, 2, 4)}, {T(0, 3), 2, I(3, 0, 2)},
    {T(2, 3), -1, I(3, 2, 2)}, {T(3), 1, ints{4}}, {T(2, 3), 1, I(2, 2)}, {T(2, 3, 2), 2, I(3, 2, 2, 2)} ]] },
  take_along_dim = { take_along_dim, [[ {T(3, 4), I(3, 5, 4), 1}, {T(3, 4), I(3, 5, 1), 1}, {T(1, 4), I(4, 3, 2), 2},
    {T(3, 4), I(4, 2, 2), 2}, {T(3, 4), I(4, 2), 2}, {T(3, 4), ints{{5}}, 2}, {T(3), I(3, 4), -1}, {T(3), T(3), 1},
    {T(2, 1, 4), I(4, 1, 3, 2), 3}, {T(3, 0), I(3, 2, 1), 1}, {T(3, 0), ints{{4}}, 1} ]] },
  nonzero = { function(p) return array.vector("int64", nonzeros(p.x)) end, [[ {B()}, {B(1)}, {B(2, 0)},
    {B(2, 3, 4)}, {T(3)}, {S()}, {T(3, 2):t()}, {B(300, 3)} ]] },
  argwhere = { argwhere, [[ {B(1)}, {B(2, 0)}, {B(2, 3, 4)}, {T()}, {S()}, {T(3, 2):t()}, {B(70, 5)},
    {peri.zeros(100, 3, {dtype = 'bool'})} ]] },
  masked_select = { masked_select, [[ {T(), B()}, {T(0), B(0)}, {T(3, 4), B(4)}, {T(3, 4), B(3)}, {T(3), B(2, 3)},
    {T(3, 4), B(3, 4):t():contiguous():t()}, {T(700), B(700)},
    {T(3), T(3)}, {T(2, 3, 2), B(2, 3, 2)}, {S(), S():eq(S())} ]] },
  one_hot = { one_hot, [[ {I(3, 0), 3}, {ints{1, 4}, 3}, {ints{0}, 3}, {I(1, 2), 1, {dtype = 'bool'}}, {T(3), 4},
    {I(2), 2} ]] },
  cat = { function(p) return cat(p.tensors, p.dim) end, [[ {{T(0), T(2)}}, {{T(2, 3), T(2, 3), T(2, 3)}, -1},
    {{T(2), T(2, 1)}},
    {{T(2, 3), T(3, 2)}}, {{T(2), T(2):to('float64')}}, {{B(2), B(1)}}, {{B(2), I(5, 2)}},
    {{I(5, 2), T(2):to('float32')}}, {{I(5, 2), I(5, 3)}}, {{T()}}, {{T(2, 1, 2), T(2, 2, 2)}, 2},
    {{T(3)}, 2}, {{T(2, 3):t(), T(2, 3):t()}, 2} ]] },
  stack = { stack, [[ {{T(), T(), T()}}, {{T(2), T(3)}}, {{T(2, 3), T(2, 3)}, 2}, {{T(2, 3), T(2, 3)}, 3},
    {{T(2), T(2)}, 3},
    {{T(0), T(0)}, 2}, {{I(4, 2), I(4, 2)}}, {{T(2, 3):t(), T(3, 2)}}, {{T(2), I(4, 2)}, 2}, {{B(2), T(2)}} ]] },
  fill_ = { function(p)
    need_fit(p.x, p.value)
    return array.full(p.x.dtype, p.x.shape, p.value)
  end, [[ {T(), 1}, {T(0), 1}, {T(3), 0.5}, {T(3), -1}, {T(3), 256}, {T(3), 255}, {T(3), 1e300}, {T(3), 0/0},
    {T(3, 2):t(), 2}, {I(3, 2), math.maxinteger}, {T(5):slice(1, 1, 5, 2), 3} ]] },
  zero_ = { function(p) return array.full(p.x.dtype, p.x.shape, 0) end, [[ {T()}, {T(0)}, {T(3, 2):t()},
    {T(5):slice(1, 1, 5, 2)} ]] },
  copy_ = { copy, [[ {T(3), T()}, {T(3), T(2, 3)}, {T(2, 3), T(2, 1)}, {T(0), T(1)}, {T(3), T(3):to('float64')},
    {T(3), I(5, 3)}, {T(3), B(3)}, {T(3), T(3):to('uint8')}, {T(2, 3):t(), T(3, 2)}, {T(3), 300}, {T(3), -1},
    {T(3), 0.5},
    {S(), S('float64')}, {S('uint8'), S('uint8'):to('int64')}, {T(2), T(3)}, {I(9, 3), math.mininteger},
    {both(T(3, 3), 't')},
    {both(T(2, 1), 'expand', 2, 2)} ]] },
  index_put = { index_put, [[ {T(4), {ints{-1, 4, -4}}, T(3)}, {T(4), {ints{0}}, 1}, {T(4), {ints{5}}, T(1)},
    {T(4), {T(2)}, 1}, {T(4), {B(4)}, 1}, {T(4, 3), {B(4, 3)}, 2, true},
    {T(2, 3, 4), {I(2, 1), B(3, 4)}, T(1)},
    {T(4), {B(3)}, 1}, {T(4), {B(4)}, 1, false, {dims = {1}}}, {T(4), {ints{2, 2, 2}}, T(3)},
    {T(4), {ints{2, 2, 2}}, T(3), true},
    {T(4), {ints{2, 2}}, 2, true}, {T(4), {ints{1}}, 0.5}, {T(4), {ints{1}}, 300}, {T(4), {I(4, 2)}, I(9, 2)},
    {T(4, 3), {I(4, 2)}, T(3)}, {T(4, 3), {I(4, 2)}, T(2, 1)}, {T(4, 3), {I(4, 2)}, T(2)}, {T(4, 3), {I(4, 2)}, T()},
    {T(2, 3, 4), {I(2, 2), I(4, 3, 1)}, T(3, 2, 3), {dims = {1, -1}}}, {T(3, 4):t(), {I(4, 6), I(3, 6)}, T(6)},
    {T(2, 3, 4):permute(3, 1, 2), {I(4, 5), I(3, 5)}, T(5, 2), true, {dims = {1, 3}}}, {T(0, 3), {ints{}}, 1},
    {T(4), {I(4, 3)}, S('float64'), true}, {I(9, 4), {I(4, 2)}, T(2), true}, {T(4), {ints{}}, T(1)},
    {I(9, 2), {ints{1, 1}}, ints{math.maxinteger, math.maxinteger}, true} ]] },
  slice_scatter = { function(p) return replaced(p, slice_of(p)) end, [[ {T(3), T(2), 1, 1, 2}, {T(3), T(3), 1, 1, 2},
    {T(3), 1, 1, -2, -1}, {T(3), 1, 1, 0, 1}, {T(3), 1, 1, 1, 4}, {T(3), 1, 1, 1, 2, 0}, {T(3), 300, 1, 1, 2},
    {T(3), 0.5, 1, 1, 2}, {T(3), 1, 2, 1, 2}, {T(4, 3), T(4, 1), 2, 1, 3, 2}, {T(3, 4):t(), T(2, 3), 1, 2, 3},
    {T(3), I(9, 2), 1, 1, 2}, {T(3), 1, 1, 1, 3, math.maxinteger} ]] },
  select_scatter = { select_scatter, [[ {T(3), T(), 1, 2}, {T(3), 2, 1, -3}, {T(3), 2, 1, 4}, {T(3), 2, 1, 0},
    {T(), 1, 1, 1}, {T(3, 4), T(3), 1, 1}, {T(3, 4), T(1), 1, 1}, {T(3, 4):t(), T(4), 2, 3}, {T(3), 0.5, 1, 1},
    {T(2, 3, 4), T(3, 4), 1, 2}, {T(2, 3, 4), T(2, 3), 3, -1}, {T(3), 1, 2, 1} ]] },
  put = { put, [[ {T(3), ints{4}, T(1)}, {T(3), ints{0}, T(1)}, {T(3), ints{-1, -3}, T(2)}, {T(3), ints{1, 1}, T(2)},
    {T(3), ints{1, 1}, T(2), true}, {T(2, 3), I(6, 4), T(3)}, {T(2, 3), I(6, 4), T()}, {T(2, 3):t(), I(6, 4), T(4)},
    {T(2, 3, 4):permute(3, 1, 2), I(24, 2, 5), T(2, 5), true}, {T(), ints{1, 1}, T(2), true}, {T(3), T(2), T(2)},
    {T(0), ints{}, T(0)}, {T(0), ints{1}, T(1)}, {T(2, 2), ints{1, 2}, I(9, 2)} ]] },
  index_copy = { function(p) return along_rows(p, p.source) end, [[ {T(4, 3), 1, I(4, 6), T(6, 3)},
    {T(4, 3), 1, I(4, 3), T(3)}, {T(4, 3), 1, I(4, 3), T(1, 3)}, {T(4, 3), -1, I(3, 4), T(4, 1)},
    {T(4), 1, I(4, 0), T(1)}, {T(4), 1, ints{5}, 1}, {T(4), 1, ints{2, 2, 2}, T(3)}, {T(4), 1, I(4, 2), 0.5},
    {T(4), 1, I(4, 2), 300}, {T(4, 3), 1, I(4, 2), T(3, 3)}, {T(4, 2, 2), 1, I(4, 3), T(2, 2)},
    {T(4, 2, 2), 2, I(2, 3), T(4, 3, 2)}, {T(4), 1, I(4, 2), I(9, 2)}, {T(), 1, I(1, 1), 1},
    {T(2, 4):t(), 1, I(4, 3), T(3, 2)}, {T(4), 1, I(4, 3), T()}, {placed(T(5), ints{5, 4, 3, 2, 1})},
    {placed(T(3, 2), ints{2, 3, 1})} ]] },
  index_fill = { function(p) return along_rows(p, p.value) end, [[ {T(4), 1, ints{}, 1}, {T(4), 1, ints{5}, 1},
    {T(4), 1, ints{0}, 1}, {T(4), 1, ints{-1}, 1}, {T(4), 1, ints{2, 2}, 0.5}, {T(4), 1, ints{2, 2}, 256},
    {T(2, 3, 4), 2, I(3, 2), 1}, {T(3, 2):t(), 2, I(3, 2), 0}, {T(4), 1, T(2), 1}, {T(4), 1, I(4, 2, 2), 1} ]] },
  index_add = { index_add, [[ {T(4), 1, ints{2, 2, 2}, T(3)}, {T(4), 1, ints{}, T(0)}, {T(4), 1, ints{5}, T(1)},
    {T(4, 3), 1, I(4, 6), T(3)}, {T(4, 3), 1, I(4, 6), T(5, 3)}, {T(4), 1, I(4, 2), I(9, 2)},
    {I(9, 4), 1, I(4, 2), T(2)}, {T(4), 1, I(4, 9), T(9), {alpha = -0.5}}, {T(4), 1, I(4, 9), T(9), {alpha = 3}},
    {T(3, 4):t(), 1, I(4, 5), T(5, 3)}, {I(9, 2), 1, ints{1, 1}, ints{math.maxinteger, math.maxinteger}},
    {T(2, 70), 2, I(70, 90), T(2, 90)} ]] },
  scatter = { scatter, [[ {T(4), 1, ints{2, 2, 2}, T(3)}, {T(4), 1, ints{2, 3}, 0.5}, {T(4), 1, ints{2, 3}, 300},
    {T(4), 1, ints{5}, 1}, {T(4), 1, ints{0}, 1}, {T(4), 1, ints{-1}, 1}, {T(4), 1, T(2), 1}, {T(4), 1, I(4, 3), T(2)},
    {T(3, 4), 1, I(3, 2, 5), T(2, 5)}, {T(3, 4), 2, I(4, 2, 5), T(2, 5)}, {T(3, 4), 2, I(4, 2, 5), T(3, 6)},
    {T(3, 4), 2, I(4, 4, 2), T(4, 2)}, {T(4), 1, I(4, 2), I(9, 2)}, {T(4), 1, I(4, 2), T()},
    {T(3, 4):t(), 2, I(3, 4, 2), T(4, 2)}, {T(2, 3, 2), 2, I(3, 1, 5, 2), T(1, 5, 2)}, {T(4), 1, ints{}, T(3)},
    {T(), 1, I(1, 1), 1}, {placed(T(5), ints{5, 4, 3, 2, 1})} ]] },
  scatter_add = { scatter_add, [[ {T(4), 1, ints{2, 2, 2}, T(3)}, {T(4), 1, ints{5}, T(1)}, {T(4), 1, I(4, 3), T(2)},
    {T(3, 4), 2, I(4, 2, 5), T(3, 6)}, {I(9, 4), 1, I(4, 2), T(2)}, {T(4), 1, I(4, 2), I(9, 2)},
    {T(3, 4):t(), 2, I(3, 4, 2), T(4, 2)}, {T(2, 3, 2), 2, I(3, 1, 5, 2), T(1, 5, 2)}, {T(4), 1, ints{}, T(3)},
    {I(9, 2), 1, ints{1, 1}, ints{math.maxinteger, math.maxinteger}}, {T(70), 1, I(70, 300), T(300)} ]] },
  scatter_reduce = { scatter_reduce, [[ {T(4), 1, ints{2, 2, 2}, T(3), 'mean'}, {T(4), 1, ints{5}, T(1), 'sum'},
    {T(4), 1, I(4, 9), T(9), 'amax'}, {T(4), 1, I(4, 9), T(9), 'amin', {include_self = false}},
    {T(4), 1, I(4, 3), T(3), 'amax', {include_self = false}}, {I(9, 4), 1, I(4, 5), I(9, 5), 'prod'},
    {T(4), 1, I(4, 6), T(6), 'sum', {include_self = false}}, {I(9, 4), 1, I(4, 6), I(9, 6), 'amax',
    {include_self = false}}, {I(9, 4), 1, I(4, 6), I(9, 6), 'amin', {include_self = false}},
    {T(4), 1, I(4, 2), T(1), 'sum'},
    {T(3, 4):t(), 2, I(3, 4, 2), T(4, 2), 'mean', {include_self = false}}, {T(3, 4), 2, I(4, 2, 5), T(3, 6), 'prod'},
    {I(9, 4), 1, I(4, 2), T(2), 'sum'}, {S('float64'), 1, I(27, 27), S('float64'), 'amax'},
    {S('float64'), 1, I(27, 27), S('float64'), 'amin'}, {T(4), 1, ints{}, T(3), 'prod'} ]] },
  masked_scatter = { masked_scatter, [[ {T(3), peri.tensor{true, false, true}, T(2)},
    {T(3), peri.tensor{true, false, true}, T(3)}, {T(3), peri.tensor{true, false, true}, T(1)},
    {T(2, 2), peri.tensor{{true, false}, {true, true}}, T(3)}, {T(2, 2):t(), peri.tensor{{true, false},
    {true, true}}, T(3, 1)}, {T(2, 3), B(3), T(2, 3)}, {T(2, 3), B(2), T(6)}, {T(3), B(2, 3), T(6)},
    {T(3), peri.tensor{false, false, false}, T(0)}, {T(3), B(4), T(1)}, {T(3), T(3), T(1)}, {T(0), B(0), T(1)},
    {T(3), peri.tensor{true, true, false}, I(7, 2)}, {T(700), B(700), T(700)},
    {masked(T(2, 2), peri.tensor{{true, true},
    {true, true}})} ]] },
}
for _, row in pairs(rows) do row.moves = true end
return rows
