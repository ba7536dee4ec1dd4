-- Twins of linear algebra over LAPACK (runtime/ops/linalg.c, spectral.c, solvers.c): the same by elimination, rotations
-- and sums, or what defines the result.
local array = require "support.array"
local matrices = require "support.matrices"
local norms = require "support.twins.norms"
local EPSILON, mirrored = norms.EPSILON, norms.mirrored
local build, product, turned, identity = matrices.build, matrices.product, matrices.turned, matrices.identity

local function sizes_of(A) return A.shape[#A.shape - 1], A.shape[#A.shape] end

local function need_square_finite(A)
  matrices.need_square(A)
  matrices.need_finite(A)
end

local function same_dtype(a, b)
  if a.dtype ~= b.dtype then array.refuse() end
end

-- ---- systems of equations ----

-- b as matrices, and whether it was vectors: of one dimension, or of A's shape without its last.
local function right_side(A, b)
  same_dtype(A, b)
  if #b.shape == 0 then array.refuse() end
  local vector = #b.shape == 1
  if #b.shape == #A.shape - 1 then
    local same = true
    for d, n in ipairs(b.shape) do same = same and n == A.shape[d] end
    vector = vector or same
  end
  if vector then b = matrices.columns(b) end
  if b.shape[#b.shape - 1] ~= sizes_of(A) then array.refuse() end
  return b, vector
end

local function without_column(y, vector)
  if vector then table.remove(y.shape) end
  return y
end

local function solve(p)
  need_square_finite(p.A)
  local n = sizes_of(p.A)
  local b, vector = right_side(p.A, p.b)
  return without_column(matrices.map(function(A, B) return matrices.solve(A, B) or array.refuse() end, { p.A, b },
    b.dtype, { { n, b.shape[#b.shape] } }), vector)
end

-- X of A X = B for a triangle.
local function substitute(A, B, upper, unit)
  local X = build(B.m, B.n, function() return 0.0 end)
  for step = 1, A.n do
    local i = upper and A.n + 1 - step or step
    if not unit and A[i][i] == 0 then array.refuse() end
    for j = 1, B.n do
      local total = B[i][j]
      for k = upper and i + 1 or 1, upper and A.n or i - 1 do total = total - A[i][k] * X[k][j] end
      X[i][j] = total / (unit and 1 or A[i][i])
    end
  end
  return X
end

local function solve_triangular(p)
  matrices.need_square(p.A)
  matrices.need(p.b)
  same_dtype(p.A, p.b)
  local m, n = sizes_of(p.b)
  local left = p.left ~= false
  if (left and m or n) ~= p.A.shape[#p.A.shape] then array.refuse() end
  return (matrices.map(function(A, B)
    if left then return substitute(A, B, p.upper, p.unitriangular) end
    return turned(substitute(turned(A), turned(B), not p.upper, p.unitriangular))
  end, { p.A, p.b }, p.b.dtype, { { m, n } }))
end

local function inv(p)
  need_square_finite(p.A)
  local n = sizes_of(p.A)
  return (matrices.map(function(A) return matrices.solve(A, identity(n)) or array.refuse() end, { p.A }, p.A.dtype,
    { { n, n } }))
end

local function det(p)
  need_square_finite(p.A)
  return (matrices.map(matrices.det, { p.A }, p.A.dtype, { {} }))
end

local function slogdet(p)
  need_square_finite(p.A)
  return matrices.map(function(A)
    local d = matrices.det(A)
    return d > 0 and 1 or d < 0 and -1 or 0, math.log(math.abs(d))
  end, { p.A }, p.A.dtype, { {}, {} })
end

-- ---- factors ----

-- The rows that exchanges leave, as a list of where each comes from.
local function exchanged(m, exchanges)
  local from = {}
  for i = 1, m do from[i] = i end
  for i, other in ipairs(exchanges) do from[i], from[other] = from[other], from[i] end
  return from
end

local function list_at(a, position)
  local list = {}
  for k = 1, a.shape[#a.shape] do list[k] = array.at(a, array.with(position, #a.shape, k)) end
  return list
end

local function triangle(M, keep, diagonal)
  return build(M.m, M.n, function(i, j) return i == j and (diagonal or M[i][j]) or keep(i, j) and M[i][j] or 0.0 end)
end
local function below(i, j) return i > j end
local function above(i, j) return i < j end

-- For each matrix of A: visit(position, M).
local function each(A, visit)
  array.build("bool", { table.unpack(A.shape, 1, #A.shape - 2) }, function(position)
    visit(position, matrices.at(A, position))
    return true
  end)
end

local function as_array(M, dtype) return array.build(dtype, { M.m, M.n }, function(at) return M[at[1]][at[2]] end) end

local function check_small(L)
  for _, x in ipairs(L.values) do assert(math.abs(x) <= 1, "an element of L is larger than the pivot") end
end

local function check_lu_factor(p, close, LU, pivots)
  each(p.A, function(position, A)
    local factors, k = matrices.at(LU, position), math.min(A.m, A.n)
    local L = triangle(build(A.m, k, function(i, j) return factors[i][j] end), below, 1.0)
    local U = triangle(build(k, A.n, function(i, j) return factors[i][j] end), above)
    local from = exchanged(A.m, list_at(pivots, position))
    check_small(as_array(L, "float64"))
    close(as_array(build(A.m, A.n, function(i, j) return A[from[i]][j] end), LU.dtype),
      as_array(product(L, U), LU.dtype), "L U")
  end)
end

local function check_lu(p, close, P, L, U)
  check_small(L)
  each(p.A, function(position, A)
    local exchange, left, right = matrices.at(P, position), matrices.at(L, position), matrices.at(U, position)
    close(as_array(identity(A.m), P.dtype), as_array(product(exchange, turned(exchange)), P.dtype), "P P'")
    close(as_array(triangle(left, below, 1.0), L.dtype), as_array(left, L.dtype), "L")
    close(as_array(triangle(right, above), L.dtype), as_array(right, L.dtype), "U")
    close(as_array(A, L.dtype), as_array(product(exchange, product(left, right)), L.dtype), "P L U")
  end)
end

local function lu_solve(p)
  matrices.need_square(p.LU)
  matrices.need(p.b)
  same_dtype(p.LU, p.b)
  local n, pivots = sizes_of(p.LU), p.pivots
  if sizes_of(p.b) ~= n or pivots.dtype ~= "int64" or #pivots.shape ~= #p.LU.shape - 1 then array.refuse() end
  for d, size in ipairs(pivots.shape) do
    if size ~= p.LU.shape[d] then array.refuse() end
  end
  for k, value in ipairs(pivots.values) do
    if value < (k - 1) % n + 1 or value > n then array.refuse() end
  end
  return (matrices.map(function(LU, exchanges, B)
    local list = {}
    for i = 1, n do list[i] = math.tointeger(exchanges[i][1]) end
    local from = exchanged(n, list)
    local x = substitute(LU, build(B.m, B.n, function(i, j) return B[from[i]][j] end), false, true)
    return substitute(LU, x, true, false)
  end, { p.LU, matrices.columns(pivots), p.b }, p.b.dtype, { { n, p.b.shape[#p.b.shape] } }))
end

local function factor(A)
  local L = build(A.n, A.n, function() return 0.0 end)
  for j = 1, A.n do
    for i = j, A.n do
      local total = A[i][j]
      for k = 1, j - 1 do total = total - L[i][k] * L[j][k] end
      if i == j and (total ~= total or total <= 0) then array.refuse() end
      L[i][j] = i == j and math.sqrt(total) or total / L[j][j]
    end
  end
  return L
end

local function cholesky(p)
  need_square_finite(p.A)
  local n = sizes_of(p.A)
  return (matrices.map(function(A)
    if p.upper then return turned(factor(turned(A))) end
    return factor(A)
  end, { p.A }, p.A.dtype, { { n, n } }))
end

local function from_cholesky(L, B, upper)
  if upper then L = turned(L) end
  return substitute(turned(L), substitute(L, B, false), true)
end

local function cholesky_solve(p)
  matrices.need_square(p.L)
  matrices.need(p.b)
  same_dtype(p.L, p.b)
  local n = sizes_of(p.L)
  if sizes_of(p.b) ~= n then array.refuse() end
  return (matrices.map(function(L, B) return from_cholesky(L, B, p.upper) end, { p.L, p.b }, p.b.dtype,
    { { n, p.b.shape[#p.b.shape] } }))
end

local function cholesky_inverse(p)
  matrices.need_square(p.L)
  local n = sizes_of(p.L)
  return (matrices.map(function(L) return from_cholesky(L, identity(n), p.upper) end, { p.L }, p.L.dtype, { { n, n } }))
end

-- ---- orthogonal factors ----

local function need_finite_matrices(p)
  matrices.need(p.A)
  matrices.need_finite(p.A)
end

local function orthonormal(close, M, dtype, what)
  close(as_array(identity(M.n), dtype), as_array(product(turned(M), M), dtype), what)
end

local function check_shape(a, shape)
  local want, got = table.concat(shape, "x"), table.concat(a.shape, "x")
  if want ~= got then error("a result is " .. got .. ", not " .. want, 0) end
end

local function check_qr(p, close, Q, R)
  local m, n = sizes_of(p.A)
  local k = p.mode == "complete" and m or math.min(m, n)
  check_shape(Q, p.mode == "r" and { 0 } or array.with(p.A.shape, #p.A.shape, k))
  check_shape(R, array.with(p.A.shape, #p.A.shape - 1, k))
  each(p.A, function(position, A)
    local r = matrices.at(R, position)
    for i = 1, r.m do
      for j = 1, math.min(i, r.n) do assert(i == j and r[i][j] >= 0 or r[i][j] == 0, "R's triangle") end
    end
    if p.mode == "r" then
      close(as_array(product(turned(A), A), R.dtype), as_array(product(turned(r), r), R.dtype), "R' R")
      return
    end
    local q = matrices.at(Q, position)
    orthonormal(close, q, Q.dtype, "Q' Q")
    close(as_array(A, Q.dtype), as_array(product(q, r), Q.dtype), "Q R")
  end)
end

-- The largest element of each column is positive.
local function check_signs(M)
  for j = 1, M.n do
    local largest = 0
    for i = 1, M.m do largest = math.max(largest, math.abs(M[i][j])) end
    for i = 1, M.m do
      if math.abs(M[i][j]) >= largest * (1 - 1 / 64) then
        assert(M[i][j] > 0, "the largest element of a vector is negative")
        break
      end
    end
  end
end

local function svdvals(p)
  need_finite_matrices(p)
  local m, n = sizes_of(p.A)
  return (matrices.map(function(A) return (select(2, matrices.svd(A))) end, { p.A }, p.A.dtype, { { math.min(m, n) } }))
end

local function check_svd(p, close, U, S, Vh)
  local m, n = sizes_of(p.A)
  local k = math.min(m, n)
  close(svdvals(p), S, "S")
  local full = p.full_matrices ~= false
  check_shape(U, array.with(p.A.shape, #p.A.shape, full and m or k))
  check_shape(Vh, array.with(p.A.shape, #p.A.shape - 1, full and n or k))
  each(p.A, function(position, A)
    local u, v, s = matrices.at(U, position), matrices.at(Vh, position), list_at(S, position)
    orthonormal(close, u, U.dtype, "U' U")
    orthonormal(close, turned(v), U.dtype, "V' V")
    if k > 0 then check_signs(u) end
    close(as_array(A, U.dtype), as_array(build(A.m, A.n, function(i, j)
      local total = 0.0
      for l = 1, k do total = total + u[i][l] * s[l] * v[l][j] end
      return total
    end), U.dtype), "U S Vh")
  end)
end

local function symmetric(p)
  local A = p.A
  if p.UPLO ~= "U" then return A end
  local shape = A.shape
  return array.build(A.dtype, shape, function(at)
    local place = { table.unpack(at) }
    place[#shape], place[#shape - 1] = place[#shape - 1], place[#shape]
    return array.at(A, place)
  end)
end

-- Values ascend, vectors are orthonormal, A v = v diag(values).
local function check_eigh(p, close, values, vectors)
  each(symmetric(p), function(position, A)
    local M, w, V = mirrored(A), list_at(values, position), matrices.at(vectors, position)
    for i = 2, #w do assert(w[i] >= w[i - 1], "the values do not ascend") end
    orthonormal(close, V, values.dtype, "V' V")
    check_signs(V)
    close(as_array(build(V.m, V.n, function(i, j) return V[i][j] * w[j] end), values.dtype),
      as_array(product(M, V), values.dtype), "A V")
  end)
end

local function power_sums(M, n)
  local sums, power = {}, M
  for k = 1, n do
    sums[k] = 0.0
    for i = 1, M.n do sums[k] = sums[k] + power[i][i] end
    power = product(power, M)
  end
  return sums
end

-- The largest sum of |a| of a row, of which rounding is a share.
local function largest_row(M)
  local norm = 0
  for i = 1, M.m do norm = math.max(norm, norms.of_list(M[i], 1)) end
  return norm > 0 and norm or 1
end

-- n numbers are the eigenvalues if the sums of their powers are the traces of A's powers: all over a norm of A.
local function check_eigenvalues(M, re, im, close, dtype)
  local sums, n, norm = {}, M.n, largest_row(M)
  M = build(n, n, function(i, j) return M[i][j] / norm end)
  for j = 1, n do re[j], im[j] = re[j] / norm, im[j] / norm end
  local x, y = { table.unpack(re) }, { table.unpack(im) }
  for k = 1, n do
    local real, imaginary = 0.0, 0.0
    for j = 1, n do
      real, imaginary = real + x[j], imaginary + y[j]
      x[j], y[j] = x[j] * re[j] - y[j] * im[j], x[j] * im[j] + y[j] * re[j]
    end
    sums[k] = real
    close(array.full(dtype, {}, 1), array.full(dtype, {}, 1 + imaginary), "the imaginary parts")
  end
  close(array.vector(dtype, power_sums(M, n)), array.vector(dtype, sums), "sums of powers")
end

local function check_eigvalsh(p, close, values)
  each(symmetric(p), function(position, A)
    local w, zeros = list_at(values, position), {}
    for i = 1, #w do zeros[i] = 0.0 end
    for i = 2, #w do assert(w[i] >= w[i - 1], "the values do not ascend") end
    check_eigenvalues(mirrored(A), w, zeros, close, values.dtype)
  end)
end

local function check_eigvals(p, close, re, im)
  each(p.A, function(position, A)
    check_eigenvalues(A, list_at(re, position), list_at(im, position), close, re.dtype)
  end)
end

local function check_eig(p, close, re, im, vectors_re, vectors_im)
  check_eigvals(p, close, re, im)
  each(p.A, function(position, A)
    local x, y = list_at(re, position), list_at(im, position)
    local v, w = matrices.at(vectors_re, position), matrices.at(vectors_im, position)
    local norm = largest_row(A)
    A = build(A.n, A.n, function(i, j) return A[i][j] / norm end)
    for j = 1, A.n do x[j], y[j] = x[j] / norm, y[j] / norm end
    close(as_array(build(A.n, A.n, function(i, j) return v[i][j] * x[j] - w[i][j] * y[j] end), re.dtype),
      as_array(product(A, v), re.dtype), "the real parts of A V")
    close(as_array(build(A.n, A.n, function(i, j) return v[i][j] * y[j] + w[i][j] * x[j] end), re.dtype),
      as_array(product(A, w), re.dtype), "the imaginary parts of A V")
    for j = 1, A.n do
      local length = 0.0
      for i = 1, A.n do length = length + v[i][j] ^ 2 + w[i][j] ^ 2 end
      close(array.full(re.dtype, {}, 1), array.full(re.dtype, {}, length), "the length of a vector")
    end
  end)
end

-- ---- by singular values ----

local function tolerance(A) return math.max(sizes_of(A)) * EPSILON[A.dtype] end

local function pinv(p)
  matrices.need(p.A)
  if p.hermitian then matrices.need_square(p.A) end
  matrices.need_tolerance(p.rtol)
  matrices.need_finite(p.A)
  local m, n = sizes_of(p.A)
  return (matrices.map(function(A)
    return matrices.pinv(p.hermitian and mirrored(A) or A, p.rtol or tolerance(p.A))
  end, { p.A }, p.A.dtype, { { n, m } }))
end

local function lstsq(p)
  matrices.need(p.A)
  local b, vector = right_side(p.A, p.b)
  local m, n = sizes_of(p.A)
  local rcond, columns = p.rcond or tolerance(p.A), b.shape[#b.shape]
  matrices.need_tolerance(rcond)
  matrices.need_finite(p.A)
  matrices.need_finite(b)
  local x, residuals, rank = matrices.map(function(A, B)
    local X = product(matrices.pinv(A, rcond), B)
    local AX, sums = product(A, X), {}
    for j = 1, columns do
      sums[j] = 0.0
      for i = 1, m do sums[j] = sums[j] + (AX[i][j] - B[i][j]) ^ 2 end
    end
    return X, sums, matrices.rank(A, function(largest) return rcond * largest end)
  end, { p.A, b }, { p.A.dtype, p.A.dtype, "int64" }, { { n, columns }, { columns }, {} })
  if columns == 0 then rank.values = array.full("int64", rank.shape, 0).values end
  if vector then table.remove(residuals.shape) end
  return without_column(x, vector), residuals, rank
end

-- ---- the others ----

local function householder_product(p)
  matrices.need(p.A)
  same_dtype(p.A, p.tau)
  local m, n = sizes_of(p.A)
  local tau = p.tau
  if m < n or #tau.shape ~= #p.A.shape - 1 or tau.shape[#tau.shape] > n then array.refuse() end
  for d = 1, #tau.shape - 1 do
    if tau.shape[d] ~= p.A.shape[d] then array.refuse() end
  end
  return (matrices.map(function(A, scale)
    local Q = build(m, m, function(i, j) return i == j and 1.0 or 0.0 end)
    for k = 1, scale.m do
      local function v(i) return i == k and 1 or i > k and A[i][k] or 0 end
      Q = product(Q, build(m, m, function(i, j) return (i == j and 1 or 0) - scale[k][1] * v(i) * v(j) end))
    end
    return Q
  end, { p.A, matrices.columns(tau) }, p.A.dtype, { { m, n } }))
end

local function matrix_exp(p)
  matrices.need_square(p.A)
  local n = sizes_of(p.A)
  return (matrices.map(function(A)
    local halvings, largest = 0, 0
    for i = 1, n do
      for j = 1, n do largest = math.max(largest, math.abs(A[i][j])) end
    end
    while largest * n > 2 ^ (halvings - 3) do halvings = halvings + 1 end
    local part = build(n, n, function(i, j) return A[i][j] / 2 ^ halvings end)
    local sum, term = identity(n), identity(n)
    for k = 1, 16 do
      local next_term = product(term, part)
      term = build(n, n, function(i, j) return next_term[i][j] / k end)
      local before = sum
      sum = build(n, n, function(i, j) return before[i][j] + term[i][j] end)
    end
    for _ = 1, halvings do sum = product(sum, sum) end
    return sum
  end, { p.A }, p.A.dtype, { { n, n } }))
end

local squares = [[ {T(2, 3)}, {T(3)}, {T(0, 0)}, {T(0, 2, 2)}, {T(5, 5) + peri.eye(5) * 4}, {peri.eye(3)},
  {peri.tensor{{0, 1}, {1, 0}}}, {peri.tensor{{0/0, 1}, {1, 0}}}, {peri.ones(2, 2)},
  {T(2, 1, 2, 2) + peri.eye(2) * 3} ]]
local any = [[ {T(3)}, {T(0, 3)}, {T(3, 0)}, {T(0, 2, 3)}, {T(1, 1)}, {T(7, 4)}, {T(4, 7)}, {peri.eye(3)},
  {peri.zeros(2, 3)}, {peri.tensor{{1, 1/0}}}, {T(2, 2, 4, 3)} ]]
local powers = [[ {T(2, 3)}, {T(0, 0)}, {peri.zeros(2, 2)}, {T(3, 3) * 20}, {T(3, 3, 3)},
  {peri.tensor{{0, 1}, {0, 0}}}, {T(3)} ]]

return {
  ["linalg.solve"] = { solve, [[ {T(1, 1) + 2, T(1)}, {peri.zeros(2, 2), peri.ones(2)}, {T(3, 2), T(3)},
    {T(2, 2), T(3)}, {T(2, 2), T()}, {T(2, 2):to('float64'), T(2):to('float32')}, {T(0, 2, 2), T(2, 1)},
    {T(0, 0), T(0)}, {T(6, 6) + peri.eye(6) * 4, T(6, 6)}, {peri.tensor{{0, 1}, {1, 0}}, peri.tensor{2, 3}},
    {peri.tensor{{0/0, 1}, {1, 0}}, peri.ones(2)}, {T(3, 3) + peri.eye(3) * 3, T(3, 0)},
    {T(2, 2, 2) + peri.eye(2) * 3, T(3, 2, 2)}, {T(9, 9) + peri.eye(9) * 5, T(2, 9, 3)} ]], close = "all" },
  ["linalg.solve_triangular"] = { solve_triangular, [[ {T(3, 3), T(3), {upper = true}},
    {peri.zeros(2, 2), peri.ones(2, 1), {upper = true}},
    {peri.zeros(2, 2), peri.ones(2, 1), {upper = false, unitriangular = true}},
    {T(2, 3), T(2, 1), {upper = true}}, {T(2, 2), T(3, 2), {upper = true}}, {T(0, 0), T(0, 2), {upper = true}},
    {T(2, 2) + peri.eye(2) * 3, T(2, 2):to('float64'), {upper = true}},
    {T(2, 1, 2, 2) + peri.eye(2) * 3, T(3, 1, 2), {upper = true, left = false, unitriangular = true}},
    {T(7, 7) + peri.eye(7) * 4, T(7, 5), {upper = false}} ]], close = "all" },
  ["linalg.inv"] = { inv, squares, close = "all" },
  inverse = { inv, squares, close = "all" },
  ["linalg.det"] = { det, squares, close = "all" },
  det = { det, squares, close = "all" },
  ["linalg.slogdet"] = { slogdet, squares, close = "all" },
  slogdet = { slogdet, squares, close = "all" },
  ["linalg.lu_factor"] = { need_finite_matrices, any, check = check_lu_factor, close = "all" },
  ["linalg.lu"] = { need_finite_matrices, any, check = check_lu, close = "all" },
  ["linalg.lu_solve"] = { lu_solve, [[ {T(2, 2) + peri.eye(2) * 3, ints{3, 2}, T(2, 1)}, {T(2, 2), ints{0, 2}, T(2, 1)},
    {T(2, 2), ints{2, 1}, T(2, 1)}, {T(2, 2), ints{1}, T(2, 1)}, {T(2, 2), T(2), T(2, 1)},
    {T(2, 3), ints{1, 2}, T(2, 1)},
    {T(2, 2) + peri.eye(2) * 3, ints{2, 2}, T(3, 2, 2)}, {peri.zeros(2, 2), ints{1, 2}, peri.ones(2, 1)},
    {T(2, 2) + peri.eye(2) * 3, ints{2, 2}, T(3, 2)} ]], close = "all" },
  ["linalg.cholesky"] = { cholesky, squares .. ", {symmetric(5) + peri.eye(5) * 9, {upper = true}}, {-peri.eye(2)}",
    close = "all" },
  cholesky_solve = { cholesky_solve, [[ {T(3), T(3, 3)}, {T(2, 2), T(2, 3)}, {T(3, 2), T(2, 2)}, {T(0, 2), T(0, 0)},
    {T(2, 2), T(2, 2, 2) + peri.eye(2) * 3, true}, {peri.ones(2, 1), peri.zeros(2, 2)} ]], close = "all" },
  cholesky_inverse = { cholesky_inverse, [[ {T(3)}, {T(2, 3)}, {T(0, 0)}, {peri.zeros(2, 2)},
    {T(4, 4) + peri.eye(4) * 3} ]], close = "all" },
  ["linalg.qr"] = { need_finite_matrices, any .. [[, {T(3, 2), 'r'}, {T(2, 3), 'r'}, {T(4, 2), 'complete'},
    {T(2, 4), 'complete'}, {T(3, 0), 'complete'}, {T(0, 3), 'r'}, {T(2, 3, 1), 'complete'} ]], check = check_qr,
    close = "all" },
  ["linalg.svd"] = { need_finite_matrices, any .. [[, {T(3, 0), {full_matrices = false}},
    {T(7, 4), {full_matrices = false}}, {T(4, 7), {full_matrices = false}}, {peri.ones(3, 2)} ]],
    check = check_svd, close = "all" },
  ["linalg.svdvals"] = { svdvals, any, close = "all" },
  ["linalg.eigh"] = { function(p) need_square_finite(p.A) end, [[ {symmetric(6)}, {T(3, 3)}, {peri.eye(3)}, {T(2, 3)},
    {T(0, 0)}, {T(0, 2, 2)}, {T(3, 3), {UPLO = 'U'}},
    {peri.zeros(3, 3)}, {peri.tensor{{2, 0}, {1, 2}}}, {peri.full({2, 2}, 1/0)} ]], check = check_eigh, close = "all" },
  ["linalg.eigvalsh"] = { function(p) need_square_finite(p.A) end, [[ {T(4, 4)}, {T(3, 3), {UPLO = 'U'}}, {T(2, 3)},
    {T(0, 0)}, {peri.eye(3)}, {peri.full({2, 2}, 1/0)} ]], check = check_eigvalsh, close = "all" },
  ["linalg.eig"] = { function(p) need_square_finite(p.A) end, [[ {peri.tensor{{0, 1}, {-1, 0}}}, {T(2, 3)}, {T(0, 0)},
    {peri.eye(3)}, {T(6, 6)}, {T(0, 2, 2)}, {peri.full({2, 2}, 1/0)} ]], check = check_eig, close = "all" },
  ["linalg.eigvals"] = { function(p) need_square_finite(p.A) end, [[ {peri.tensor{{0, 1}, {-1, 0}}}, {T(2, 3)},
    {T(0, 0)}, {T(5, 5)}, {peri.full({2, 2}, 1/0)} ]], check = check_eigvals, close = "all" },
  ["linalg.pinv"] = { pinv, any .. ", {T(3, 2), {rtol = -1}}, {T(2, 3), {hermitian = true}}, {peri.eye(3), {rtol = 2}}",
    close = "all" },
  ["linalg.lstsq"] = { lstsq, [[ {T(3, 2), T(2)}, {T(3), T(3)}, {T(0, 2), T(0, 1)}, {T(2, 0), T(2)}, {T(3, 2), T(3, 0)},
    {T(4, 2), T(4), -1}, {peri.ones(3, 2), T(3)}, {peri.zeros(3, 2), T(3)}, {T(9, 4), T(2, 9, 3)},
    {T(2, 2), T(2):to('float64')}, {peri.tensor{{0/0}}, peri.ones(1)}, {peri.eye(2), peri.full({2}, 1/0)} ]],
    close = "all" },
  ["linalg.householder_product"] = { householder_product, [[ {T(2, 3), T(2)}, {T(3, 2), T(3)}, {T(3), T(1)},
    {T(0, 0), T(0)}, {T(2, 3, 2), T(3, 2)}, {T(5, 4), T(4)} ]], close = "all" },
  ["linalg.matrix_exp"] = { matrix_exp, powers, close = "all" },
  matrix_exp = { matrix_exp, powers, close = "all" },
}
