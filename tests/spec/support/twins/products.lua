-- Twins of the products of vectors and matrices (runtime/ops/contraction.c, einsum.c, products.c) and of distances
-- (distance.c).
local array = require "support.array"
local matrices = require "support.matrices"
local norms = require "support.twins.norms"
local matmul = require("support.twins.matrix").matmul[1]

local function need_numbers(...)
  local dtype = array.promote(...)
  if not array.is_float(dtype) and dtype ~= "int64" then array.refuse() end
  return dtype
end

local function need_dims(a, n)
  if #a.shape ~= n then array.refuse() end
end

-- ---- einsum ----

local function split(text, at)
  local parts = {}
  for part in (text .. at):gmatch("(.-)" .. at:gsub("%W", "%%%0")) do parts[#parts + 1] = part end
  return parts
end

local function letters_in(term) return select(2, term:gsub("%a", "")) end

-- The names of a term's dimensions: letters, and 1, 2, .. from the last for those that ... stands for.
local function names_of(term, more)
  local names, has = {}, term:find("...", 1, true)
  if term:gsub("%.%.%.", "", 1):find "[^%a ]" or more < 0 or more > 0 and not has then array.refuse() end
  for piece in term:gmatch "%.*%a?" do
    for i = piece:sub(1, 1) == "." and more or 0, 1, -1 do names[#names + 1] = tostring(i) end
    if piece:find "%a" then names[#names + 1] = piece:match "%a" end
  end
  return names
end

local function einsum(p)
  local left, right = p.equation, nil
  local arrow = left:find("->", 1, true)
  if arrow then left, right = left:sub(1, arrow - 1), left:sub(arrow + 2) end
  local terms, sizes, times, named, most = split(left, ","), {}, {}, {}, 0
  if #terms ~= #p.tensors then array.refuse() end
  for i, a in ipairs(p.tensors) do
    local more = #a.shape - letters_in(terms[i])
    local own, sizes_here = names_of(terms[i], more), {}
    named[i], most = own, math.max(most, more)
    for d, name in ipairs(own) do
      if sizes_here[name] and sizes_here[name] ~= a.shape[d] then array.refuse() end
      sizes_here[name], times[name] = a.shape[d], (times[name] or 0) + 1
      if not sizes[name] or sizes[name] == 1 then
        sizes[name] = a.shape[d]
      elseif a.shape[d] ~= 1 and a.shape[d] ~= sizes[name] then
        array.refuse()
      end
    end
  end
  local dtype = "int64"
  for _, a in ipairs(p.tensors) do
    if not array.is_float(a.dtype) and a.dtype ~= "int64" then array.refuse() end
    if array.is_float(a.dtype) and dtype ~= "float64" then dtype = a.dtype end
  end
  local out = {}
  if right then
    out = names_of(right, right:find("...", 1, true) and most or 0)
  else
    for i = most, 1, -1 do out[#out + 1] = tostring(i) end
    local single = {}
    for name, count in pairs(times) do
      if count == 1 and name:find "%a" then single[#single + 1] = name end
    end
    table.sort(single)
    for _, name in ipairs(single) do out[#out + 1] = name end
  end
  local shape, kept, summed, lengths = {}, {}, {}, {}
  for d, name in ipairs(out) do
    if not sizes[name] or kept[name] then array.refuse() end
    shape[d], kept[name] = sizes[name], d
  end
  for name, size in pairs(sizes) do
    if not kept[name] then summed[#summed + 1], lengths[#lengths + 1] = name, size end
  end
  return array.build(dtype, shape, function(at)
    local place, total = {}, dtype == "int64" and 0 or 0.0
    for d, name in ipairs(out) do place[name] = at[d] end
    array.build("bool", lengths, function(inner)
      for d, name in ipairs(summed) do place[name] = inner[d] end
      local term = dtype == "int64" and 1 or 1.0
      for i, a in ipairs(p.tensors) do
        local position = {}
        for d, name in ipairs(named[i]) do position[d] = place[name] end
        term = term * array.stretched(a, position)
      end
      total = total + term
      return true
    end)
    return total
  end)
end

-- Sums along pairs of dimensions: pairs[d of b] = d of a.
local function contract(a, b, pairs_of, dtype)
  local shape, from_a, from_b, lengths = {}, {}, {}, {}
  local of_a, inner = {}, {}
  for d = 1, #b.shape do
    local e = pairs_of[d]
    if e then
      if a.shape[e] ~= b.shape[d] then array.refuse() end
      lengths[#lengths + 1], inner[d] = b.shape[d], #lengths + 1
      of_a[e] = #lengths
    end
  end
  for d = 1, #a.shape do
    if not of_a[d] then shape[#shape + 1], from_a[d] = a.shape[d], #shape + 1 end
  end
  for d = 1, #b.shape do
    if not inner[d] then shape[#shape + 1], from_b[d] = b.shape[d], #shape + 1 end
  end
  return array.build(dtype, shape, function(at)
    local total = dtype == "int64" and 0 or 0.0
    array.build("bool", lengths, function(l)
      local i, j = {}, {}
      for d = 1, #a.shape do i[d] = from_a[d] and at[from_a[d]] or l[of_a[d]] end
      for d = 1, #b.shape do j[d] = from_b[d] and at[from_b[d]] or l[inner[d]] end
      total = total + array.at(a, i) * array.at(b, j)
      return true
    end)
    return total
  end)
end

local function inner(p)
  local dtype = need_numbers(p.a, p.b)
  local both = #p.a.shape > 0 and #p.b.shape > 0
  return contract(p.a, p.b, both and { [#p.b.shape] = #p.a.shape } or {}, dtype)
end

local function tensordot(p)
  local dims, pairs_of, seen = p.dims or 2, {}, {}
  local dtype = need_numbers(p.a, p.b)
  if type(dims) == "number" then
    if dims < 0 or dims > #p.a.shape or dims > #p.b.shape then array.refuse() end
    for d = 1, dims do pairs_of[d] = #p.a.shape - dims + d end
  else
    if #dims ~= 2 or #dims[1] ~= #dims[2] then array.refuse() end
    for i = 1, #dims[1] do
      local d, e = array.dim(dims[2][i], #p.b.shape), array.dim(dims[1][i], #p.a.shape)
      if pairs_of[d] or seen[e] then array.refuse() end
      pairs_of[d], seen[e] = e, true
    end
  end
  return contract(p.a, p.b, pairs_of, dtype)
end

-- ---- products of vectors and matrices ----

local function strict(dims_a, dims_b)
  return function(p)
    need_dims(p.a, dims_a)
    need_dims(p.b, dims_b)
    if dims_a == 3 and p.a.shape[1] ~= p.b.shape[1] then array.refuse() end
    return matmul(p)
  end
end

local function outer(p)
  local dtype = need_numbers(p.a, p.b)
  need_dims(p.a, 1)
  need_dims(p.b, 1)
  return array.build(dtype, { #p.a.values, #p.b.values }, function(at) return p.a.values[at[1]] * p.b.values[at[2]] end)
end

local function kron(p)
  local dtype, n, shape = need_numbers(p.a, p.b), math.max(#p.a.shape, #p.b.shape), {}
  if n > 4 then array.refuse() end
  for d = 1, n do
    shape[d] = (p.a.shape[d - n + #p.a.shape] or 1) * (p.b.shape[d - n + #p.b.shape] or 1)
  end
  return array.build(dtype, shape, function(at)
    local i, j = {}, {}
    for d = 1, n do
      local size = p.b.shape[d - n + #p.b.shape] or 1
      i[d], j[d] = (at[d] - 1) // size + 1, (at[d] - 1) % size + 1
    end
    local function own(a, position) return array.at(a, { table.unpack(position, n - #a.shape + 1) }) end
    return own(p.a, i) * own(p.b, j)
  end)
end

local function cross(p)
  local dtype, shape = need_numbers(p.a, p.b), array.broadcast(p.a, p.b)
  local dim = array.dim(p.dim or -1, #shape)
  for _, a in ipairs { p.a, p.b } do
    if a.shape[dim - #shape + #a.shape] ~= 3 then array.refuse() end
  end
  return array.build(dtype, shape, function(at)
    local function component(a, i) return array.stretched(a, array.with(at, dim, (at[dim] - 1 + i) % 3 + 1)) end
    return component(p.a, 1) * component(p.b, 2) - component(p.a, 2) * component(p.b, 1)
  end)
end

-- ---- with a sum ----

local function added(dims_a, dims_b, summed)
  return function(p)
    local dtype = array.promote(p.input, p.a, p.b)
    if not array.is_float(dtype) then array.refuse() end
    need_dims(p.a, dims_a)
    need_dims(p.b, dims_b)
    if dims_a == 3 and p.a.shape[1] ~= p.b.shape[1] then array.refuse() end
    local product = matmul { a = array.to(p.a, "float64"), b = array.to(p.b, "float64") }
    if summed then
      product = array.reduce(product, 1, false, "float64", function(list)
        local total = 0.0
        for _, x in ipairs(list) do total = total + x end
        return total
      end)
    end
    if #p.input.shape > #product.shape then array.refuse() end
    if table.concat(array.broadcast(p.input, product), " ") ~= table.concat(product.shape, " ") then array.refuse() end
    local beta, alpha = p.beta or 1, p.alpha or 1
    return array.map(dtype, function(x, y)
      return (beta == 0 and 0.0 or beta * array.number(x)) + alpha * y
    end, p.input, product)
  end
end

-- ---- many matrices ----

local function power(p)
  matrices.need_square(p.A)
  local n = p.A.shape[#p.A.shape]
  return (matrices.map(function(A)
    local base, result = A, matrices.identity(n)
    if p.n < 0 then base = matrices.solve(A, result) or array.refuse() end
    for _ = 1, math.abs(p.n) do result = matrices.product(result, base) end
    return result
  end, { p.A }, p.A.dtype, { { n, n } }))
end

local function chain(p)
  local list, result = p.tensors, nil
  for i, a in ipairs(list) do
    if not array.is_float(a.dtype) or a.dtype ~= list[1].dtype then array.refuse() end
    local vector = #list > 1 and (i == 1 or i == #list) and #a.shape == 1
    if #a.shape ~= 2 and not vector then array.refuse() end
    result = result and matmul { a = result, b = array.to(a, "float64") } or array.to(a, "float64")
  end
  return array.to(result, list[1].dtype)
end

-- ---- distances ----

local function same_floats(a, b)
  if not array.is_float(a.dtype) or a.dtype ~= b.dtype then array.refuse() end
end

local function order(p)
  local value = p.p == "inf" and math.huge or p.p or 2
  matrices.need_tolerance(value)
  return value
end

local function distance(x, y, p)
  local differences = {}
  for k = 1, #x do differences[k] = x[k] - y[k] end
  if #x == 0 then return 0.0 end
  return norms.of_list(differences, p)
end

local function cdist(p)
  local a, b, value = p.a, p.b, order(p)
  same_floats(a, b)
  if #a.shape < 2 or #b.shape < 2 or a.shape[#a.shape] ~= b.shape[#b.shape] then array.refuse() end
  return (matrices.map(function(A, B)
    return matrices.build(A.m, B.m, function(i, j) return distance(A[i], B[j], value) end)
  end, { a, b }, a.dtype, { { a.shape[#a.shape - 1], b.shape[#b.shape - 1] } }))
end

local function pdist(p)
  local x, value, list = p.x, order(p), {}
  if not array.is_float(x.dtype) then array.refuse() end
  need_dims(x, 2)
  local X = matrices.at(x, {})
  for i = 1, X.m do
    for j = i + 1, X.m do list[#list + 1] = distance(X[i], X[j], value) end
  end
  return array.vector(x.dtype, list)
end

local function cosine(p)
  same_floats(p.a, p.b)
  local shape, eps = array.broadcast(p.a, p.b), p.eps or 1e-8
  matrices.need_tolerance(eps)
  local dim = array.dim(p.dim or 2, #shape)
  local function along(f)
    return array.reduce(array.map("float64", f, p.a, p.b), dim, false, "float64", function(list)
      local total = 0.0
      for _, x in ipairs(list) do total = total + x end
      return total
    end)
  end
  local function size(squares) return math.max(math.sqrt(squares), eps) end
  return array.map(p.a.dtype, function(ab, aa, bb) return ab / (size(aa) * size(bb)) end,
    along(function(a, b) return a * b end), along(function(a) return a * a end), along(function(_, b) return b * b end))
end

local addmm_cases = [[ {T(2, 3), T(2, 1), T(1, 3), {beta = 0, alpha = 2}}, {T(3, 3), T(2, 1), T(1, 3)},
  {T(1, 2, 3), T(2, 1), T(1, 3)}, {T(2, 3), T(2, 2), T(1, 3)}, {peri.full({2, 2}, 0/0), T(2, 3), T(3, 2), {beta = 0}},
  {T(2, 3):to('float64'), T(2, 1), T(1, 3)}, {T(2, 0), T(2, 3), T(3, 0)}, {T(), T(2, 3), T(3, 2), {alpha = 0.5}} ]]
local distances = [[ {T(0, 2), T(3, 2)}, {T(2, 0), T(3, 0)}, {T(1, 1), T(1, 1), 1}, {T(3), T(3)}, {T(2, 3), T(2, 2)},
  {T(2, 3), T(2, 3), -1}, {T(2, 1, 3, 2), T(3, 2, 2), 1}, {T(7, 19), T(37, 19)}, {T(2, 3, 2), T(3, 3, 2)},
  {T(2, 2), T(2, 2):to('float64')}, {peri.ones(2, 2), peri.ones(3, 2)}, {T(3, 70), T(5, 70), 2},
  {T(2, 2), T(2, 2), 0/0} ]]

return {
  dot = { strict(1, 1), "{T(5), T(4)}, {T(1, 2), T(2)}, {T(40), T(40)}", close = "all" },
  vdot = { strict(1, 1), "{T(5), T(4)}, {T(9), T(9)}", close = "all" },
  mv = { strict(2, 1), "{T(5), T(5)}, {T(2, 3), T(2)}, {T(9, 17), T(17)}", close = "all" },
  mm = { strict(2, 2), "{T(5), T(5, 1)}, {T(2, 3), T(2, 3)}, {T(9, 17), T(17, 5)}", close = "all" },
  bmm = { strict(3, 3), "{T(2, 3, 2), T(1, 2, 3)}, {T(2, 3), T(3, 2)}, {T(3, 2, 4), T(3, 4, 5)}", close = "all" },
  outer = { outer, "{T(2, 2), T(2)}, {T(1), T(7)}" },
  ger = { outer, "{T(2), T()}, {T(3), T(2)}" },
  kron = { kron, "{T(2, 2), T(3)}, {T(0, 2), T(2, 2)}, {T(1, 1, 1, 1, 1), T(2)}, {T(2, 1, 2, 1), T(1, 2, 1, 2)}" },
  inner = { inner, "{T(2), T(3)}, {T(), T()}, {T(2, 0), T(3, 0)}, {T(2, 2, 3), T(3)}", close = "all" },
  tensordot = { tensordot, [[ {T(2, 3), T(3, 2), {{1, 2}, {2, 1}}}, {T(2, 3), T(2, 3), 3}, {T(2, 3), T(2, 3), -1},
    {T(2, 3), T(2, 3), {{1}, {1, 2}}}, {T(2, 3), T(2, 3), {{1, 1}, {1, 2}}}, {T(2, 2), T(2, 2), {{1, 2}, {1, 1}}},
    {T(2, 3), T(2, 3), {{3}, {1}}}, {T(2, 3), T(3, 2), 1}, {T(2, 2), T(2, 2), {{}, {}}}, {T(0, 2), T(2, 3), 1},
    {T(2, 3, 4, 2), T(4, 2, 3, 2), {{2, 4}, {3, 4}}} ]], close = "all" },
  einsum = { einsum, [[ {'ij->', T(2, 3)}, {'ii->i', T(3, 3)}, {'iij->ij', T(2, 2, 3)}, {'ijij->ij', T(2, 3, 2, 3)},
    {'ij,kl->', T(2, 3), T(2, 2)}, {'ba', T(2, 3)}, {'ij, jk', T(2, 3), T(3, 2)}, {',', T(), T()}, {'->', T()},
    {'i...->...', T(2, 3, 2)}, {'...', T(2, 3)}, {'i...,i...', T(2, 3), T(2, 2, 3)}, {'...i->i', T(2, 3)},
    {'ij,jk,kl,lm->im', T(2, 3), T(3, 4), T(4, 2), T(2, 3)}, {'a,b,c,d->dcba', T(2), T(3), T(2), T(2)},
    {'ij,ij->ij', T(2, 3), T(2, 3)}, {'ij,ij,ij', T(2, 3), T(2, 3), T(1, 3)}, {'bij,bjk->bki', T(2, 2, 3), T(1, 3, 2)},
    {'Ab,bA->', T(2, 3), T(3, 2)}, {'ij,j', T(0, 3), T(3)}, {'ij,jk', T(2, 0), T(0, 3)},
    {'a,a,a,a,a,a,a,a,a,ab->b', T(2), T(2), T(2), T(2), T(2), T(2), T(2), T(2), T(2), T(2, 3)},
    {'ij,jk', T(2, 3), T(2, 3)}, {'ij', T(2, 3), T(2, 3)}, {'ij->k', T(2, 3)}, {'ij->ii', T(2, 3)}, {'ii', T(2, 3)},
    {'i1', T(2, 3)}, {'ij->i-j', T(2, 3)}, {'i', T(2, 3)}, {'ijk', T(2, 3)}, {'....', T(2)}, {'......', T(2)},
    {'abc,cde,efa->bdf', T(2, 2, 3), T(3, 2, 2), T(2, 3, 2)}, {'ij,jk', {T(2, 3), T(3, 2)}} ]], close = "all" },
  cross = { cross, "{T(2), T(2)}, {T(4, 3), T(3)}, {T(3, 3), T(3, 3), 2}, {T(3, 3), T(3), 1}, {T(0, 3), T(0, 3)}",
    close = "all" },
  ["linalg.cross"] = { cross, "{T(2, 3), T(3, 3)}, {T(3, 2), T(3, 1), -2}", close = "all" },
  addmm = { added(2, 2), addmm_cases, close = "all" },
  addmv = { added(2, 1), "{T(2), T(2, 3), T(2)}, {T(3), T(2, 3), T(3)}, {T(), T(2, 3), T(3)}", close = "all" },
  baddbmm = { added(3, 3), "{T(3, 2), T(1, 3, 4), T(2, 4, 2)}, {T(2, 1, 1), T(2, 3, 4), T(2, 4, 2)}", close = "all" },
  addbmm = { added(3, 3, true), "{T(3, 2), T(1, 3, 4), T(2, 4, 2)}, {T(3, 2), T(0, 3, 4), T(0, 4, 2)}", close = "all" },
  matrix_power = { power, "{T(2, 3), 2}, {T(0, 0), 3}, {peri.ones(2, 2), -1}, {T(2, 2) + peri.eye(2) * 3, 7}",
    close = "all" },
  ["linalg.matrix_power"] = { power, "{T(2, 2) + peri.eye(2) * 3, -1}, {T(1, 2, 2), 3}", close = "all" },
  ["linalg.multi_dot"] = { chain, [[ {{T(2, 3), T(2, 3)}}, {{T(3), T(3, 2), T(2, 4)}}, {{T(2, 0), T(0, 3)}}, {{T(3)}},
    {{T(4, 2), T(2)}}, {{T(2, 3), T(3), T(3, 2)}}, {{T(2, 2), T(2, 2):to('float64')}},
    {{T(3, 7), T(7, 2), T(2, 9), T(9, 4)}} ]], close = "all" },
  chain_matmul = { function(p) return chain { tensors = p.tensors or p.matrices } end,
    "{T(3, 7), T(7, 2), T(2, 9), T(9, 4)}, {T(2, 3), T(2, 3)}, {T(2, 3)}", close = "all" },
  cdist = { cdist, distances, close = "all" },
  pdist = { pdist, "{T(3)}, {T(0, 2)}, {T(2, 0)}, {T(9, 5)}, {T(3, 2), -2}, {T(4, 2), 0}, {peri.ones(3, 2)}",
    close = "all" },
  cosine_similarity = { cosine, [[ {T(3), T(3)}, {T(2, 3), T(3, 2)}, {T(3, 3), T(3, 3), 3}, {peri.zeros(2, 3), T(2, 3)},
    {T(2, 3), T(2, 3), {eps = -1}}, {T(2, 2), T(2, 2):to('float64')}, {T(2, 0), T(2, 0)} ]], close = "all" },
}
