-- Twins of the norms, of condition and rank (runtime/ops/norms.c).
local array = require "support.array"
local matrices = require "support.matrices"

local EPSILON = { float32 = 2 ^ -23, float64 = 2 ^ -52 }

-- The norm of order p of a list of numbers.
local function of_list(list, p)
  local found
  if math.abs(p) == math.huge then
    for _, x in ipairs(list) do
      local better = not found or p > 0 and math.abs(x) > found or p < 0 and math.abs(x) < found
      if better then found = math.abs(x) end
    end
    return found or array.refuse()
  end
  if #list == 0 and p < 0 then array.refuse() end
  local total = 0.0
  for _, x in ipairs(list) do
    total = total + (p == 0 and (x ~= 0 and 1 or 0) or math.abs(x) ^ p)
  end
  return p == 0 and total or total ^ (1 / p)
end

local WORDS = { inf = math.huge, ["-inf"] = -math.huge }

local function need_float(x)
  if not array.is_float(x.dtype) then array.refuse() end
end

local function vector_norm(x, order, dim, keepdim)
  need_float(x)
  local p = WORDS[order] or order or 2
  if type(p) ~= "number" or p ~= p then array.refuse() end
  -- the count of a line tells whether there is one, also where there are no lines
  local lines, n = dim, 1
  if dim ~= nil then
    for _, d in ipairs(type(dim) == "number" and { dim } or dim) do n = n * x.shape[array.dim(d, #x.shape)] end
  else
    n = #x.values
  end
  if n == 0 and (p < 0 or p == math.huge) then array.refuse() end
  return array.reduce(x, lines, keepdim, x.dtype, function(list) return of_list(list, p) end)
end

-- The two dimensions of matrices last, and the shape of what has one number for each.
local function matrices_last(A, dim)
  need_float(A)
  local n = #A.shape
  if type(dim) == "number" then dim = { dim } end
  dim = dim or n >= 2 and { -2, -1 } or {}
  if #dim ~= 2 then array.refuse() end
  local rows, columns = array.dim(dim[1], n), array.dim(dim[2], n)
  if rows == columns then array.refuse() end
  local order, shape = {}, {}
  for d = 1, n do
    if d ~= rows and d ~= columns then order[#order + 1] = d end
  end
  order[n - 1], order[n] = rows, columns
  for d = 1, n do shape[d] = A.shape[order[d]] end
  local moved = array.build(A.dtype, shape, function(at)
    local place = {}
    for d = 1, n do place[order[d]] = at[d] end
    return array.at(A, place)
  end)
  return moved, rows, columns
end

local function of_matrix(M, order)
  local sums = {}
  if order == "fro" then
    local total = 0.0
    for i = 1, M.m do
      for j = 1, M.n do total = total + M[i][j] ^ 2 end
    end
    return math.sqrt(total)
  elseif order == "nuc" then
    local total = 0.0
    for _, x in ipairs((select(2, matrices.svd(M)))) do total = total + x end
    return total
  elseif math.abs(order) == 2 then
    local _, s = matrices.svd(M)
    return order > 0 and s[1] or s[#s]
  end
  if math.abs(order) == 1 then M = matrices.turned(M) end
  for i = 1, M.m do sums[i] = of_list(M[i], 1) end
  return of_list(sums, order > 0 and math.huge or -math.huge)
end

local function matrix_norm(A, order, dim, keepdim)
  local moved, rows, columns = matrices_last(A, dim)
  order = WORDS[order] or order or "fro"
  local known = order == "fro" or order == "nuc" or type(order) == "number" and (math.abs(order) == 1
    or math.abs(order) == 2 or math.abs(order) == math.huge)
  if not known then array.refuse() end
  local n = #moved.shape
  if type(order) == "number" and moved.shape[n] * moved.shape[n - 1] == 0 then array.refuse() end
  local y = matrices.map(function(M) return of_matrix(M, order) end, { moved }, A.dtype, { {} })
  if keepdim then y.shape = array.with(array.with(A.shape, rows, 1), columns, 1) end
  return y
end

local function norm(p)
  if p.p == "nuc" then return matrix_norm(p.x, "nuc", p.dim, p.keepdim) end
  return vector_norm(p.x, p.p == "fro" and 2 or p.p, p.dim, p.keepdim)
end

local function linalg_norm(p)
  local dims = type(p.dim) == "number" and { p.dim } or p.dim
  local n = dims and #dims or #p.A.shape
  if p.ord == nil and not (dims and n == 2) then return vector_norm(p.A, nil, p.dim, p.keepdim) end
  if n == 2 then return matrix_norm(p.A, p.ord, dims, p.keepdim) end
  if n ~= 1 then array.refuse() end
  return vector_norm(p.A, p.ord, p.dim, p.keepdim)
end

local function cond(p)
  local order = WORDS[p.p] or p.p or 2
  if order == 2 or order == -2 then
    local moved = matrices_last(p.A)
    if #moved.values == 0 and moved.shape[#moved.shape] * moved.shape[#moved.shape - 1] == 0 then array.refuse() end
    return (matrices.map(function(M)
      local _, s = matrices.svd(M)
      return order > 0 and s[1] / s[#s] or s[#s] / s[1]
    end, { moved }, p.A.dtype, { {} }))
  end
  matrices.need_square(p.A)
  matrix_norm(p.A, order)
  return (matrices.map(function(M)
    local inverse = matrices.solve(M, matrices.identity(M.n)) or array.refuse()
    return of_matrix(M, order) * of_matrix(inverse, order)
  end, { p.A }, p.A.dtype, { {} }))
end

-- Its reciprocal is as exact as A.
local function check_cond(p, close, got)
  local function reciprocal(a) return array.map(a.dtype, function(x) return 1 / x end, a) end
  close(reciprocal(cond(p)), reciprocal(got), "1 / cond")
end

-- The lower triangle of a matrix, mirrored.
local function mirrored(M)
  return matrices.build(M.m, M.n, function(i, j) return M[math.max(i, j)][math.min(i, j)] end)
end

local function rank(p)
  local A, atol = p.A, p.atol or 0
  matrices.need(A)
  if p.hermitian then matrices.need_square(A) end
  matrices.need_tolerance(atol)
  matrices.need_tolerance(p.rtol)
  matrices.need_finite(A)
  local m, n = A.shape[#A.shape - 1], A.shape[#A.shape]
  local rtol = p.rtol or (p.atol and atol > 0) and 0 or math.max(m, n) * EPSILON[A.dtype]
  return (matrices.map(function(M)
    if p.hermitian then M = mirrored(M) end
    return matrices.rank(M, function(largest) return math.max(atol, rtol * largest) end)
  end, { A }, "int64", { {} }))
end

local vectors = [[ {T(0)}, {T(2, 0), 1, 2}, {T(2, 0), 'inf', 2}, {T(0), -1}, {T(3), 0/0}, {T(2, 3), 'fre'},
  {T(2, 3), 2, 3}, {T(2, 3), 2, {1, 1}}, {T(2, 3), -2, 1}, {T(2, 3), -1.5}, {peri.zeros(3), 3},
  {peri.zeros(2, 3), 2, 1}, {T(), 2},
  {T(2, 3, 2), 3, {1, 3}, true}, {T(2, 3), 0}, {T(2, 3), math.huge, -1}, {T(2, 3), 2.5, {}},
  {peri.tensor{1e30, 1e30}, 2}, {peri.tensor({1e300, 1e300}, {dtype = 'float64'}), 2},
  {peri.tensor({1e-300, 1e-300}, {dtype = 'float64'}), 2} ]]

-- math.huge where squares leave the range: then the numbers are taken in another unit
local function scaled_vector_norm(x, order, dim, keepdim)
  local largest = 0
  for _, v in ipairs(x.values) do
    if type(v) == "number" then largest = math.max(largest, math.abs(v)) end
  end
  if not array.is_float(x.dtype) or largest == 0 or largest == math.huge or largest > 1e-20 and largest < 1e20 then
    return vector_norm(x, order, dim, keepdim)
  end
  local unit = array.build("float64", x.shape, function(_, k) return x.values[k] / largest end)
  local y = vector_norm(unit, order, dim, keepdim)
  return array.build(x.dtype, y.shape, function(_, k) return y.values[k] * largest end)
end

return {
  of_list = of_list,
  mirrored = mirrored,
  EPSILON = EPSILON,
  rows = {
    norm = { norm, "{T(2, 3), 'nuc', {2, 1}, true}, {T(3), 'nuc'}, {T(2, 3, 4), 'nuc'}, {T(2, 3), 'fro', 1}, {T(0)}, "
      .. "{T(2, 3, 2), 'nuc', {1, 3}}, {T(2, 3), '-inf', 2}", close = "all" },
    ["linalg.vector_norm"] = { function(p) return scaled_vector_norm(p.x, p.ord, p.dim, p.keepdim) end, vectors,
      close = "each" },
    ["linalg.matrix_norm"] = { function(p) return matrix_norm(p.A, p.ord, p.dim, p.keepdim) end,
      [[ {T(3)}, {T(2, 3), 3}, {T(0, 3)}, {T(0, 3), 1}, {T(0, 3), 'nuc'}, {T(2, 3), 'fro', {1, 1}}, {T(2, 3), 2, {1}},
      {T(2, 3, 2), '-inf', {3, 1}, true}, {T(2, 3, 2), -2}, {T(2, 2), 'nuc', 1}, {T(2, 3), math.huge} ]],
      close = "all" },
    ["linalg.norm"] = { linalg_norm, [[ {T(2, 3), 2}, {T(2, 3), 'inf', {2, 1}}, {T(2, 3, 2), 1}, {T(3), 'nuc'},
      {T(3), -1}, {T(2, 3), nil, {1, 2}, true}, {T(2, 3), nil, 1}, {T(2, 3), 'fro', 1}, {T()},
      {T(2, 2, 2), 'fro', {1, 3}} ]], close = "all" },
    ["linalg.cond"] = { cond, [[ {T(2, 3), 1}, {T(3)}, {peri.ones(2, 2), 1}, {peri.eye(3)}, {T(0, 0)},
      {T(2, 2) + peri.eye(2) * 3, 'nuc'}, {T(2, 2) + peri.eye(2) * 3, 3}, {T(2, 2) + peri.eye(2) * 3, 'inf'} ]],
      check = check_cond, close = "all" },
    ["linalg.matrix_rank"] = { rank, [[ {peri.eye(3), {atol = 2}}, {T(3)}, {T(2, 3), {hermitian = true}},
      {peri.zeros(2, 2)}, {T(2, 2), {rtol = -1}}, {peri.eye(2) * 0/0}, {T(2, 3, 2), {rtol = 1}},
      {peri.ones(4, 4), {hermitian = true}} ]] },
  },
}
