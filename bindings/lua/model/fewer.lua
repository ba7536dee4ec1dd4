-- model.fewer_vectors: a machine with a kernel on fewer support vectors, for small targets.
--
-- Of each class those stay that span the others best (a Cholesky factorisation with pivots of their kernel matrix);
-- then the coefficients of each pair of classes are those whose function is nearest to the machine's in the norm of the
-- kernel's space: with the kept vectors S, K(S,S) b = K(S,all) a. C. J. C. Burges, Simplified support vector decision
-- rules, ICML 1996.
local peri, internal = ...
local check, model = internal.check, internal.model
local fail = check.fail

local RIDGE = 1e-10 -- of the mean of the diagonal: kept vectors may be nearly alike

-- Positions of `count` of the rows of V, ascending: the next is the one that the ones before span worst.
local function spanning(kernel, V, count)
  local n = #V
  local left, factors, chosen = kernel(V):diagonal():clone(), nil, {}
  for step = 1, math.min(count, n) do
    local at = left:argmax()
    chosen[step] = at
    local column = kernel(V, V[{ { at, at } }]):flatten()
    if factors then column = column - factors:matmul(factors[at]) end
    column = column / math.sqrt(math.max(left[at], 1e-300))
    left = (left - column:square()):clamp(0.0, math.huge)
    for _, i in ipairs(chosen) do left[i] = -1 end
    factors = factors and peri.cat({ factors, column:reshape(n, 1) }, 2) or column:reshape(n, 1)
  end
  table.sort(chosen)
  return chosen
end

local function whole(list) return peri.tensor(list, { dtype = "int64" }) end

-- K(S,S)^-1 K(S,all) a
local function nearest(kernel, kept, V, a)
  local K = kernel(kept)
  local ridge = K:diagonal():mean():item() * RIDGE
  K = K + peri.eye(#kept, { dtype = "float64" }) * ridge
  return peri.linalg.solve(K, kernel(kept, V):matmul(a))
end

-- Where each class begins among all vectors and among the kept ones, from 0.
local function starts(counts)
  local list, at = {}, 0
  for c, count in ipairs(counts) do list[c], at = at, at + count end
  return list
end

local function reduce(m, name, most)
  local params = m:params()
  if not ({ rbf = true, poly = true, sigmoid = true })[params.kernel] then
    fail("fewer_vectors: the kernel of the %s is %s (expected rbf, poly or sigmoid: others need no vectors)", name,
      check.describe(params.kernel))
  end
  local counts, total = m.n_support:totable(), #m.support
  if total <= most then return m end
  if most < #counts then
    fail("fewer_vectors: most is %d (expected at least %d, a vector of each class)", most, #counts)
  end
  local options = { kernel = params.kernel, gamma = m.gamma, degree = params.degree, coef0 = params.coef0 }
  local function kernel(A, B) return peri.svm.kernel_matrix(A, B, options) end
  local V, from = m.support_vectors:to "float64", starts(counts)
  local keep, kept_counts = {}, {}
  for c, count in ipairs(counts) do
    local rows = spanning(kernel, V:narrow(1, from[c] + 1, count), math.max(1, most * count // total))
    kept_counts[c] = #rows
    for _, row in ipairs(rows) do keep[#keep + 1] = from[c] + row end
  end
  local dual, to, pairs_of = m.dual_coef, starts(kept_counts), {}
  local fresh = peri.zeros(#dual, #keep, { dtype = "float64" })
  local W = V[whole(keep)]
  if #dual == 1 then
    fresh = nearest(kernel, W, V, dual:t()):t():contiguous()
  else
    for a = 1, #counts do
      for b = a + 1, #counts do pairs_of[#pairs_of + 1] = { a, b } end
    end
  end
  for _, pair in ipairs(pairs_of) do
    local a, b = pair[1], pair[2]
    local function both(x, at, n) -- of classes a and b
      return peri.cat({ x:narrow(1, at[a] + 1, n[a]), x:narrow(1, at[b] + 1, n[b]) }, 1)
    end
    local coefficients = peri.cat({ dual[b - 1]:narrow(1, from[a] + 1, counts[a]),
      dual[a]:narrow(1, from[b] + 1, counts[b]) }, 1)
    local all, kept = both(V, from, counts), both(W, to, kept_counts)
    local found = nearest(kernel, kept, all, coefficients:reshape(-1, 1)):flatten()
    fresh[{ b - 1, { to[a] + 1, to[a] + kept_counts[a] } }] = found:narrow(1, 1, kept_counts[a])
    fresh[{ a, { to[b] + 1, to[b] + kept_counts[b] } }] = found:narrow(1, kept_counts[a] + 1, kept_counts[b])
  end
  return model.change(m, name, {
    n_support = whole(kept_counts), support = m.support[whole(keep)], dual_coef = fresh,
    support_vectors = m.support_vectors[whole(keep)],
  })
end

return function(m, most)
  local name = model.is_machine(m) and select(2, model.machine(m, "fewer_vectors"))
  if not name or name:find "Linear" or name == "LogisticRegression" then
    check.must_be("fewer_vectors", "m", m, "a fitted machine with a kernel")
  end
  check.read("fewer_vectors", "most", most, check.whole_from(1))
  return reduce(m, name, most)
end
