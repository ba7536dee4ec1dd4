-- Twins of matmul and linear (runtime/ops/matrix.c).
local array = require "support.array"

-- The last two dimensions of an array exchanged.
local function transposed(a)
  local n = #a.shape
  local shape = { table.unpack(a.shape) }
  shape[n], shape[n - 1] = shape[n - 1], shape[n]
  return array.build(a.dtype, shape, function(at)
    at[n], at[n - 1] = at[n - 1], at[n]
    local x = array.at(a, at)
    at[n], at[n - 1] = at[n - 1], at[n]
    return x
  end)
end

local function reshaped(a, shape) return { shape = shape, dtype = a.dtype, values = a.values } end

-- A vector is a row on the left and a column on the right; dimensions before the last two are broadcast.
local function product(a, b)
  local row, column = #a.shape == 1, #b.shape == 1
  if row then a = reshaped(a, { 1, a.shape[1] }) end
  if column then b = reshaped(b, { b.shape[1], 1 }) end
  local m, k, n = a.shape[#a.shape - 1], a.shape[#a.shape], b.shape[#b.shape]
  if b.shape[#b.shape - 1] ~= k then array.refuse() end
  local function batch(x) return array.full("bool", { table.unpack(x.shape, 1, #x.shape - 2) }, true) end
  local shape = array.broadcast(batch(a), batch(b))
  local d = #shape
  shape[d + 1], shape[d + 2] = m, n
  local y = array.build(a.dtype, shape, function(position)
    local total = 0
    local left, right = { table.unpack(position) }, { table.unpack(position) }
    for l = 1, k do
      left[d + 2], right[d + 1] = l, l
      total = total + array.stretched(a, left) * array.stretched(b, right)
    end
    return total
  end)
  if column then table.remove(y.shape) end
  if row then table.remove(y.shape, d + 1) end
  return y
end

local function of_one_float(...)
  local first = (...)
  for _, a in pairs { ... } do
    if not array.is_float(a.dtype) or a.dtype ~= first.dtype then array.refuse() end
  end
end

local function matmul(p)
  local dtype = array.promote(p.a, p.b)
  if not array.is_float(dtype) then array.refuse() end
  local a, b = array.to(p.a, dtype), array.to(p.b, dtype)
  if #a.shape == 0 or #b.shape == 0 then array.refuse() end
  if p.transpose_a then
    if #a.shape < 2 then array.refuse() end
    a = transposed(a)
  end
  if p.transpose_b then
    if #b.shape < 2 then array.refuse() end
    b = transposed(b)
  end
  return product(a, b)
end

local activations = {
  none = function(x) return x end,
  relu = function(x) return math.max(x, 0) end,
  sigmoid = function(x) return 1 / (1 + math.exp(-x)) end,
  tanh = function(x) return 1 - 2 / (1 + math.exp(2 * x)) end,
}

local function linear(p)
  of_one_float(p.x, p.weight, p.bias)
  if #p.x.shape == 0 or #p.weight.shape ~= 2 then array.refuse() end
  local y = product(p.x, transposed(p.weight))
  if p.bias then
    if #p.bias.shape ~= 1 or p.bias.shape[1] ~= p.weight.shape[1] then array.refuse() end
    y = array.map(y.dtype, function(a, b) return a + b end, y, p.bias)
  end
  return array.map(y.dtype, activations[p.activation or "none"], y)
end

return {
  matmul = { matmul, [[ {T(1, 1), T(1, 1)}, {T(0, 3), T(3, 2)}, {T(2, 3), T(3, 0)}, {T(0), T(0)}, {T(2, 3), T(4, 2)},
    {T(), T(2)}, {T(2), T()}, {T(3, 3), T(3, 3), {transpose_a = true}}, {T(3, 3), T(3, 3), {transpose_b = true}},
    {T(2, 3, 2), T(2, 3, 2), {transpose_b = true}}, {T(2, 3, 2), T(2, 3, 2), {transpose_a = true}},
    {T(1, 2, 3), T(4, 3, 2)}, {T(3, 1, 2, 2), T(1, 2, 2, 2)}, {T(9, 17), T(17, 5)}, {T(19, 70), T(70, 33)},
    {T(1, 40), T(40, 1)},
    {T(40, 1), T(1, 3)},
    {T(2, 3), T(3, 2):to('float64')}, {T(2, 3), T(3, 2):to('int64')}, {T(5), T(5), {transpose_a = true}},
    {T(5), T(1, 3), {transpose_a = true}}, {T(5, 1), T(3), {transpose_b = true}},
    {T(3, 0, 2), T(2, 4)} ]], close = "all" },
  linear = { linear, [[ {T(1, 1), T(1, 1), T(1)}, {T(0, 3), T(2, 3), T(2)}, {T(2, 3), T(0, 3)},
    {T(2, 0), T(3, 0), T(3)},
    {T(2, 3), T(3, 2)}, {T(2, 3), T(2, 3), T(3)}, {T(9, 40), T(17, 40), T(17)}, {T(3), T(2, 3), {activation = 'relu'}},
    {T(2, 2, 2, 3), T(2, 3), T(2), {activation = 'tanh'}}, {T(3, 4), T(1, 4), T(1), {activation = 'sigmoid'}},
    {T(2, 3), T(2, 3), nil, {activation = 'none'}} ]], close = "all" },
}
