-- Twins of the matrix products and of linear algebra (runtime/ops/matrix.c, linalg.c).
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

-- ---- linear algebra, by what defines the result ----

local function need_square(A)
  if not array.is_float(A.dtype) or #A.shape ~= 2 or A.shape[1] ~= A.shape[2] then array.refuse() end
  for _, x in ipairs(A.values) do
    if x ~= x or math.abs(x) == math.huge then array.refuse() end
  end
end

-- By Gauss and Jordan, with the largest pivot.
local function solve(p)
  need_square(p.A)
  local n, b = p.A.shape[1], p.b
  if b.dtype ~= p.A.dtype or #b.shape < 1 or #b.shape > 2 or b.shape[1] ~= n then array.refuse() end
  local columns, rows = b.shape[2] or 1, {}
  for i = 1, n do
    rows[i] = {}
    for j = 1, n do rows[i][j] = p.A.values[(i - 1) * n + j] end
    for j = 1, columns do rows[i][n + j] = b.values[(i - 1) * columns + j] end
  end
  for k = 1, n do
    local best = k
    for i = k + 1, n do
      if math.abs(rows[i][k]) > math.abs(rows[best][k]) then best = i end
    end
    rows[k], rows[best] = rows[best], rows[k]
    if rows[k][k] == 0 then array.refuse() end
    for i = 1, n do
      local factor = i ~= k and rows[i][k] / rows[k][k] or 0
      for j = k, n + columns do rows[i][j] = rows[i][j] - factor * rows[k][j] end
    end
  end
  return array.build(b.dtype, b.shape, function(at) return rows[at[1]][n + (at[2] or 1)] / rows[at[1]][at[1]] end)
end

-- The lower triangle of a matrix, mirrored.
local function symmetric(A)
  return array.build(A.dtype, A.shape, function(at)
    return array.at(A, { math.max(at[1], at[2]), math.min(at[1], at[2]) })
  end)
end

-- Values ascend, vectors are orthonormal, A v = v diag(values).
local function check_eigh(p, close, values, vectors)
  local n = p.A.shape[1]
  close(array.full(p.A.dtype, { n }, 0), array.map(p.A.dtype, function(x) return 0 * x end, values), "values")
  for i = 2, n do assert(values.values[i] >= values.values[i - 1], "the values do not ascend") end
  close(array.build(p.A.dtype, { n, n }, function(at) return at[1] == at[2] and 1 or 0 end),
    product(transposed(vectors), vectors), "vectors' vectors")
  close(array.map(p.A.dtype, function(v, x) return v * x end, vectors, values),
    product(symmetric(p.A), vectors), "A vectors")
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
  ["linalg.solve"] = { solve, [[ {T(1, 1) + 2, T(1)}, {peri.zeros(2, 2), peri.ones(2)}, {T(3, 2), T(3)},
    {T(2, 2), T(3)},
    {T(0, 0), T(0)}, {T(6, 6) + peri.eye(6) * 4, T(6, 6)}, {peri.tensor{{0, 1}, {1, 0}}, peri.tensor{2, 3}},
    {peri.tensor{{0/0, 1}, {1, 0}}, peri.ones(2)}, {T(3, 3) + peri.eye(3) * 3, T(3, 0)} ]], close = "all" },
  ["linalg.eigh"] = { function(p) need_square(p.A) end, [[ {symmetric(6)}, {T(3, 3)}, {peri.eye(3)}, {T(2, 3)},
    {T(0, 0)},
    {peri.zeros(3, 3)}, {peri.tensor{{2, 0}, {1, 2}}}, {peri.full({2, 2}, 1/0)} ]], check = check_eigh, close = "all" },
}
