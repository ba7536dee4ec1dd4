-- Twins of the rows that choose by index tensors and masks, that join, and that write into their first argument
-- (runtime/ops/index.c, join.c, write.c).
local array = require "support.array"

local function need_index(index, n)
  if index.dtype ~= "int64" then array.refuse() end
  for _, i in ipairs(index.values) do
    if i < 1 or i > n then array.refuse() end
  end
end

local function index_select(p)
  local d = array.dim(p.dim or 1, #p.x.shape)
  if #p.index.shape ~= 1 then array.refuse() end
  need_index(p.index, p.x.shape[d])
  return array.build(p.x.dtype, array.with(p.x.shape, d, p.index.shape[1]), function(at)
    return array.at(p.x, array.with(at, d, p.index.values[at[d]]))
  end)
end

local function gather(p)
  local d = array.dim(p.dim, #p.x.shape)
  if #p.index.shape ~= #p.x.shape then array.refuse() end
  for k, size in ipairs(p.index.shape) do
    if k ~= d and size ~= p.x.shape[k] then array.refuse() end
  end
  need_index(p.index, p.x.shape[d])
  return array.build(p.x.dtype, p.index.shape, function(at, k)
    return array.at(p.x, array.with(at, d, p.index.values[k]))
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

local function masked_select(p)
  local positions = trues(p.mask)
  need_shape(p.mask, p.x.shape)
  return array.build(p.x.dtype, { #positions }, function(_, k) return p.x.values[positions[k]] end)
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
  local dtype, total, owner, start = list[1].dtype, 0, {}, {}
  for _, a in ipairs(list) do
    if #a.shape ~= #list[1].shape then array.refuse() end
    if a.dtype ~= dtype then
      if not (array.is_float(a.dtype) and array.is_float(dtype)) then array.refuse() end
      dtype = "float64"
    end
    need_shape({ shape = array.with(a.shape, d, 1) }, array.with(list[1].shape, d, 1))
    for i = 1, a.shape[d] do owner[total + i], start[total + i] = a, total end
    total = total + a.shape[d]
  end
  return array.build(dtype, array.with(list[1].shape, d, total), function(at)
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

local function index_copy(p)
  if #p.x.shape == 0 or #p.index.shape ~= 1 then array.refuse() end
  need_index(p.index, p.x.shape[1])
  need_fit(p.x, p.source)
  local from = source_in(p.source, array.with(p.x.shape, 1, p.index.shape[1]))
  return array.build(p.x.dtype, p.x.shape, function(at)
    local value = array.at(p.x, at)
    for i, row in ipairs(p.index.values) do
      if row == at[1] then value = from(array.with(at, 1, i)) end
    end
    return value
  end)
end

local function masked_copy(p)
  local positions = trues(p.mask)
  need_shape(p.mask, p.x.shape)
  if #p.source.values ~= #positions and #p.source.values ~= 1 then array.refuse() end
  local y = array.copy(p.x)
  for i, k in ipairs(positions) do y.values[k] = array.round(y.dtype, p.source.values[i] or p.source.values[1]) end
  if #p.source.values == 1 then
    for _, k in ipairs(positions) do y.values[k] = array.round(y.dtype, p.source.values[1]) end
  end
  return y
end

local rows = {
  index_select = { index_select, [[ {T(3), I(3, 9)}, {T(4, 3), I(3, 5), -1}, {T(0), I(1, 0)}, {T(3), I(3, 2, 2)},
    {T(3), T(2)},
    {T(3), ints{4}}, {T(3), ints{0}}, {T(3), ints{-1}}, {T(2, 0), I(2, 3)}, {T(2, 3, 4), I(3, 4), 2},
    {T(3), ints{3, 1, 1}} ]] },
  gather = { gather, [[ {T(5), 1, I(5, 0)}, {T(2, 3), 1, I(2, 1, 3)}, {T(2, 3), 2, I(3, 3, 1)},
    {T(2, 3), 2, I(3, 2, 9)}, {T(2, 3), 1, I(2, 1, 2)},
    {T(2, 3), -1, I(3, 2, 2)}, {T(3), 1, ints{4}}, {T(2, 3), 1, I(2, 2)}, {T(2, 3, 2), 2, I(3, 2, 2, 2)} ]] },
  nonzero = { function(p) return array.vector("int64", trues(p.mask)) end, [[ {B()}, {B(1)}, {B(2, 0)},
    {B(2, 3, 4)}, {T(3)} ]] },
  masked_select = { masked_select, [[ {T(), B()}, {T(0), B(0)}, {T(3, 4), B(4)},
    {T(3, 4), B(3, 4):t():contiguous():t()},
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
    {{T(0), T(0)}, 2}, {{I(4, 2), I(4, 2)}}, {{T(2, 3):t(), T(3, 2)}} ]] },
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
  index_copy_ = { index_copy, [[ {T(4, 3), I(4, 6), T(6, 3)}, {T(4, 3), I(4, 3), T(3)}, {T(4, 3), I(4, 3), T(1, 3)},
    {T(4), I(4, 0), T(1)}, {T(4), ints{5}, 1}, {T(4), ints{2, 2, 2}, T(3)}, {T(4), I(4, 2), 0.5}, {T(4), I(4, 2), 300},
    {T(4, 3), I(4, 2), T(3, 3)}, {T(4, 2, 2), I(4, 3), T(2, 2)}, {T(4), I(4, 2), I(9, 2)}, {T(), I(1, 1), 1},
    {T(2, 4):t(), I(4, 3), T(3, 2)}, {T(4), I(4, 3), T()}, {placed(T(5), ints{5, 4, 3, 2, 1})},
    {placed(T(3, 2), ints{2, 3, 1})} ]] },
  masked_copy_ = { masked_copy, [[ {T(3), peri.tensor{true, false, true}, T(2)},
    {T(3), peri.tensor{true, false, true}, T(3)},
    {T(2, 2), peri.tensor{{true, false}, {true, true}}, T(3)}, {T(2, 2):t(), peri.tensor{{true, false},
    {true, true}}, T(3, 1)},
    {T(3), peri.tensor{false, false, false}, T(0)}, {T(3), B(4), T(1)}, {T(3), T(3), T(1)}, {T(0), B(0), T(1)},
    {T(3), peri.tensor{true, true, false}, I(7, 2)}, {T(3), B(3), T()}, {masked(T(2, 2), peri.tensor{{true, true},
    {true, true}})} ]] },
}
for _, row in pairs(rows) do row.moves = true end
return rows
