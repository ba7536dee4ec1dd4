-- Matrices in plain Lua, for the twins of linear algebra: lists of rows, {{1, 2}, {3, 4}} with m and n, and how arrays
-- of batches fall into them. Elimination, Jacobi's rotations and sums of products, in float64.
local array = require "support.array"

local matrices = {}

-- ---- single matrices ----

function matrices.build(m, n, f)
  local a = { m = m, n = n }
  for i = 1, m do
    a[i] = {}
    for j = 1, n do a[i][j] = f(i, j) end
  end
  return a
end

function matrices.identity(n) return matrices.build(n, n, function(i, j) return i == j and 1.0 or 0.0 end) end
function matrices.turned(a) return matrices.build(a.n, a.m, function(i, j) return a[j][i] end) end

function matrices.product(a, b)
  return matrices.build(a.m, b.n, function(i, j)
    local total = 0.0
    for k = 1, a.n do total = total + a[i][k] * b[k][j] end
    return total
  end)
end

-- X of A X = B by Gauss and Jordan with the largest pivot, and the determinant of A; nil and 0 where A is singular.
function matrices.solve(A, B)
  local n, columns, det, rows = A.n, B.n, 1.0, {}
  for i = 1, n do
    rows[i] = {}
    for j = 1, n do rows[i][j] = A[i][j] end
    for j = 1, columns do rows[i][n + j] = B[i][j] end
  end
  for k = 1, n do
    local best = k
    for i = k + 1, n do
      if math.abs(rows[i][k]) > math.abs(rows[best][k]) then best = i end
    end
    if best ~= k then
      rows[k], rows[best] = rows[best], rows[k]
      det = -det
    end
    det = det * rows[k][k]
    if rows[k][k] == 0 then return nil, 0.0 end
    for i = 1, n do
      local factor = i ~= k and rows[i][k] / rows[k][k] or 0
      for j = k, n + columns do rows[i][j] = rows[i][j] - factor * rows[k][j] end
    end
  end
  return matrices.build(n, columns, function(i, j) return rows[i][n + j] / rows[i][i] end), det
end

function matrices.det(A) return (select(2, matrices.solve(A, matrices.identity(A.n)))) end

local function column(a, j)
  local list = {}
  for i = 1, a.m do list[i] = a[i][j] end
  return list
end

local function dot(x, y)
  local total = 0.0
  for i = 1, #x do total = total + x[i] * y[i] end
  return total
end

-- U diag(s) V' = A of k columns, by Jacobi's rotations of pairs of columns until all are orthogonal (Hestenes 1958); s
-- descends.
function matrices.svd(A)
  if A.m < A.n then
    local V, s, U = matrices.svd(matrices.turned(A))
    return U, s, V
  end
  local x, v = {}, {}
  for j = 1, A.n do x[j], v[j] = column(A, j), column(matrices.identity(A.n), j) end
  for _ = 1, 60 do
    local turned = false
    for p = 1, A.n do
      for q = p + 1, A.n do
        local a, b, c = dot(x[p], x[p]), dot(x[q], x[q]), dot(x[p], x[q])
        if math.abs(c) > 2 ^ -53 * math.sqrt(a * b) then
          turned = true
          local zeta = (b - a) / (2 * c)
          local t = (zeta >= 0 and 1 or -1) / (math.abs(zeta) + math.sqrt(1 + zeta * zeta))
          local cosine = 1 / math.sqrt(1 + t * t)
          for _, pair in ipairs { x, v } do
            for i = 1, #pair[p] do
              local y, z = pair[p][i], pair[q][i]
              pair[p][i], pair[q][i] = cosine * (y - t * z), cosine * (t * y + z)
            end
          end
        end
      end
    end
    if not turned then break end
  end
  local order, s = {}, {}
  for j = 1, A.n do order[j] = { math.sqrt(dot(x[j], x[j])), j } end
  table.sort(order, function(a, b) return a[1] > b[1] or a[1] == b[1] and a[2] < b[2] end)
  for j, entry in ipairs(order) do s[j] = entry[1] end
  local U = matrices.build(A.m, A.n, function(i, j) return s[j] > 0 and x[order[j][2]][i] / s[j] or 0.0 end)
  return U, s, matrices.build(A.n, A.n, function(i, j) return v[order[j][2]][i] end)
end

-- V diag(1 / s) U', 0 for what is at most rtol times the largest.
function matrices.pinv(A, rtol)
  local U, s, V = matrices.svd(A)
  return matrices.build(A.n, A.m, function(i, j)
    local total = 0.0
    for k = 1, #s do
      if s[k] > rtol * s[1] then total = total + V[i][k] * U[j][k] / s[k] end
    end
    return total
  end)
end

function matrices.rank(A, limit)
  local _, s = matrices.svd(A)
  local rank = 0
  for _, x in ipairs(s) do rank = rank + (x > limit(s[1]) and 1 or 0) end
  return rank
end

-- ---- batches ----

-- The matrix of the last two dimensions at a position of the others (broadcast).
function matrices.at(a, position)
  local d = #position
  local place = { table.unpack(position) }
  return matrices.build(a.shape[#a.shape - 1], a.shape[#a.shape], function(i, j)
    place[d + 1], place[d + 2] = i, j
    return array.stretched(a, place)
  end)
end

local function batch_of(a) return array.full("bool", { table.unpack(a.shape, 1, #a.shape - 2) }, true) end

-- f of the matrices of arrays, at each position of the batches' common shape. What it gives becomes arrays: a matrix of
-- m x n, a list of numbers, or one number; `dtypes` are those of the results (or one for all), `sizes` the last sizes
-- of each ({m, n}, {n} or {}), which an empty batch needs.
function matrices.map(f, operands, dtypes, sizes)
  local batches = {}
  for i, a in ipairs(operands) do batches[i] = batch_of(a) end
  local shape = array.broadcast(table.unpack(batches))
  local found, results = {}, {}
  array.build("bool", shape, function(position, k)
    local given = {}
    for i, a in ipairs(operands) do given[i] = matrices.at(a, position) end
    found[k] = table.pack(f(table.unpack(given)))
    return true
  end)
  for r, size in ipairs(sizes) do
    local whole, inner = { table.unpack(shape) }, array.numel(size)
    for _, n in ipairs(size) do whole[#whole + 1] = n end
    results[r] = array.build(type(dtypes) == "table" and dtypes[r] or dtypes, whole, function(position, k)
      local value = found[(k - 1) // inner + 1][r]
      for d = #shape + 1, #whole do value = value[position[d]] end
      return value
    end)
  end
  return table.unpack(results)
end

-- Vectors as matrices of one column.
function matrices.columns(b)
  return { shape = array.with(b.shape, #b.shape + 1, 1), dtype = b.dtype, values = b.values }
end

-- ---- what rows over LAPACK refuse ----

function matrices.need(a)
  if not array.is_float(a.dtype) or #a.shape < 2 then array.refuse() end
end

function matrices.need_finite(a)
  for _, x in ipairs(a.values) do
    if x ~= x or math.abs(x) == math.huge then array.refuse() end
  end
end

-- A tolerance, or what is left out.
function matrices.need_tolerance(x)
  if x and (x ~= x or x < 0) then array.refuse() end
end

function matrices.need_square(a)
  matrices.need(a)
  if a.shape[#a.shape] ~= a.shape[#a.shape - 1] then array.refuse() end
end

return matrices
