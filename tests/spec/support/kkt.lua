-- Whether a fitted kernel machine solves its programme, from its public fields alone and in float64.
--
-- kkt.measure(m, problem): m is a fitted SVC, NuSVC, SVR, NuSVR or OneClassSVM; problem is {
--   X: n x d float64, what m was fitted on;
--   y: list of n labels or targets (not for OneClassSVM);
--   weight: list of n sample weights, or nil;
--   gram: n x n float64, in place of the kernel of m's options (precomputed and functions);
-- }. It returns {
--   violation: how far the optimality conditions (Karush, Kuhn, Tucker) are missed, in the unit that `tol` bounds;
--   rounding: what float64 can add to that;
--   objective: of the dual programme that LIBSVM minimises, summed over the pairs of classes;
--   shown: the same at the coefficients as they are shown, where that is another (NuSVC divides them);
--   tube: for NuSVR, the epsilon found;
-- } and raises an error where a coefficient is outside of its box or a sum is wrong, which no tolerance excuses.
-- The programmes are those in C.-C. Chang, C.-J. Lin, LIBSVM: a library for support vector machines, 2011.
local peri = require "perilune"

local kkt = {}

-- The Gram matrix of the rows of a and b (float64) under the options of m.
function kkt.gram(m, a, b)
  local dots = a:matmul(b:t())
  if m.kernel == "linear" then return dots end
  if m.kernel == "poly" then return (dots * m.gamma + m.coef0) ^ m.degree end
  if m.kernel == "sigmoid" then return (dots * m.gamma + m.coef0):tanh() end
  assert(m.kernel == "rbf", "kkt.gram: give the Gram matrix of this kernel")
  local distances = (a * a):sum(2):unsqueeze(2) + (b * b):sum(2):unsqueeze(1) - dots * 2
  return (distances:clamp(0) * -m.gamma):exp()
end

local function check(condition, ...)
  if not condition then error(("kkt: " .. ...):format(select(2, ...)), 0) end
end

local function sample_weights(problem)
  local result = {}
  for i = 1, #problem.X do result[i] = problem.weight and problem.weight[i] or 1 end
  return result
end

-- The upper bound of each variable of a classifier over C: sample weight times class weight.
local function class_weights(m, problem)
  local result, counts, total = sample_weights(problem), {}, 0
  if not m.class_weight then return result end
  for i = 1, #result do
    if result[i] > 0 then
      counts[problem.y[i]] = (counts[problem.y[i]] or 0) + 1
      total = total + 1
    end
  end
  for i = 1, #result do
    local label = problem.y[i]
    if m.class_weight ~= "balanced" then
      result[i] = result[i] * (m.class_weight[label] or 1)
    elseif result[i] > 0 then
      result[i] = result[i] * total / (#m.classes * counts[label])
    end
  end
  return result
end

-- For coefficients beta (rows x s, on the support) without intercepts: f (rows x n) and beta'K beta of each row.
local function outputs(m, problem, beta)
  local gram = problem.gram or kkt.gram(m, problem.X, problem.X)
  local f = beta:matmul(gram[m.support])
  local norms = (f:index_select(2, m.support) * beta):sum(2):totable()
  local largest = gram:abs():max():item() * beta:abs():sum(2):max():item()
  return f:totable(), norms, 1e-13 * math.max(1, largest)
end

-- The slack of one variable: margin is what must be >= 0 at 0, <= 0 at the bound, 0 between.
local function miss(alpha, upper, margin)
  local worst = 0
  if alpha > 0 then worst = math.max(worst, margin) end
  if alpha < upper * (1 - 1e-12) then worst = math.max(worst, -margin) end
  return worst
end

-- ---- classifiers ----

-- The machine of one pair: s is +1 for the first class, alpha >= 0, f the decision, positive for the first class.
local function measure_pair(m, nu, pair)
  local sums, masses, all = { [1] = 0, [-1] = 0 }, { [1] = 0, [-1] = 0 }, 0
  for _, row in ipairs(pair) do
    sums[row.s] = sums[row.s] + row.alpha
    masses[row.s] = masses[row.s] + row.upper
    all = all + row.alpha
  end
  local r = nu and nu * (masses[1] + masses[-1]) / all or 1 -- nu-SVC shows its variables divided by r
  local worst, slack = 0, 1e-9 * math.max(all * r, masses[1] + masses[-1])
  check(math.abs(sums[1] - sums[-1]) * r <= slack, "a pair's coefficients sum to %g", sums[1] - sums[-1])
  for _, row in ipairs(pair) do
    local alpha = row.alpha * r
    check(alpha >= 0, "a coefficient has its class's wrong sign: %g", alpha)
    check(alpha <= row.upper * (1 + 1e-9), "a coefficient is %.17g, its bound %.17g", alpha, row.upper)
    worst = math.max(worst, miss(alpha, row.upper, (row.s * row.f - 1) * r))
  end
  return worst, nu and 0 or all, r
end

local function classifier(m, problem, nu)
  local C, weight = nu and 1 or m.C, class_weights(m, problem)
  local classes, k = m.classes:totable(), #m.classes
  local support, dual, intercept = m.support:totable(), m.dual_coef:totable(), m.intercept:totable()
  local first = k == 2 and -1 or 1 -- the sign of the first class of a pair in public
  local class_of, at = {}, {}
  for c, label in ipairs(classes) do class_of[label] = c end
  for column, row in ipairs(support) do
    at[row] = column
    check(weight[row] > 0, "row %d has weight 0 and is a support vector", row)
  end
  local beta, pairs_of = {}, {}
  for a = 1, k - 1 do
    for b = a + 1, k do
      local row = {}
      for column, i in ipairs(support) do
        local c = class_of[problem.y[i]]
        row[column] = c == a and first * dual[b - 1][column] or c == b and first * dual[a][column] or 0
      end
      beta[#beta + 1], pairs_of[#beta + 1] = row, { a, b }
    end
  end
  local f, norms, rounding = outputs(m, problem, peri.tensor(beta, { dtype = "float64" }))
  local result = { violation = 0, objective = 0, shown = 0, rounding = rounding }
  for p, ab in ipairs(pairs_of) do
    local pair = {}
    for i, label in ipairs(problem.y) do
      local c = class_of[label]
      if weight[i] > 0 and (c == ab[1] or c == ab[2]) then
        local s = c == ab[1] and 1 or -1
        pair[#pair + 1] = { s = s, alpha = at[i] and s * beta[p][at[i]] or 0, upper = C * weight[i],
                            f = f[p][i] + first * intercept[p] }
      end
    end
    local worst, linear, r = measure_pair(m, nu, pair)
    result.violation = math.max(result.violation, worst)
    result.objective = result.objective + r * r * norms[p] / 2 - linear
    result.shown = result.shown + norms[p] / 2 - linear
  end
  return result
end

function kkt.SVC(m, problem) return classifier(m, problem) end
function kkt.NuSVC(m, problem) return classifier(m, problem, m.nu) end

-- ---- one output ----

-- Rows of positive weight as {beta, upper, f (with intercept), y}; the sum of the bounds; beta'K beta; rounding.
local function single(m, problem, C)
  local weight, at, rows, mass = sample_weights(problem), {}, {}, 0
  local support, dual, intercept = m.support:totable(), m.dual_coef:totable()[1] or {}, m.intercept:totable()[1]
  for column, row in ipairs(support) do at[row] = column end
  local f, norms, rounding = { {} }, { 0 }, 1e-13
  if #support > 0 then f, norms, rounding = outputs(m, problem, m.dual_coef) end
  for i = 1, #problem.X do
    check(weight[i] > 0 or not at[i], "row %d has weight 0 and is a support vector", i)
    if weight[i] > 0 then
      local row = { beta = at[i] and dual[at[i]] or 0, upper = C * weight[i], f = (f[1][i] or 0) + intercept,
                    y = problem.y and problem.y[i] }
      rows[#rows + 1], mass = row, mass + row.upper
      check(math.abs(row.beta) <= row.upper * (1 + 1e-9), "a coefficient is %.17g, its bound %.17g", row.beta,
        row.upper)
    end
  end
  return rows, mass, norms[1], rounding
end

local function sums(rows)
  local sum, absolute, target = 0, 0, 0
  for _, row in ipairs(rows) do
    sum, absolute, target = sum + row.beta, absolute + math.abs(row.beta), target + row.beta * row.y
  end
  return sum, absolute, target
end

-- How far a row is from the tube of the given width: beta > 0 pulls up, where y - f = epsilon.
local function miss_tube(row, epsilon)
  local up, down = math.max(row.beta, 0), math.max(-row.beta, 0)
  local residual = row.y - row.f
  return math.max(miss(up, row.upper, epsilon - residual), miss(down, row.upper, epsilon + residual))
end

local function regression(rows, epsilon)
  local worst = 0
  for _, row in ipairs(rows) do worst = math.max(worst, miss_tube(row, epsilon)) end
  return worst
end

function kkt.SVR(m, problem)
  local rows, mass, norm, rounding = single(m, problem, m.C)
  local sum, absolute, target = sums(rows)
  check(math.abs(sum) <= 1e-9 * mass, "the coefficients sum to %g", sum)
  return { violation = regression(rows, m.epsilon), rounding = rounding,
           objective = norm / 2 - target + m.epsilon * absolute }
end

-- nu-SVR finds the width of its tube; the fields do not show it, so the best width is sought here.
function kkt.NuSVR(m, problem)
  local rows, mass, norm, rounding = single(m, problem, m.C)
  local sum, absolute, target = sums(rows)
  check(math.abs(sum) <= 1e-9 * mass, "the coefficients sum to %g", sum)
  check(absolute <= m.nu * mass * (1 + 1e-9), "the coefficients' sizes sum to %g, nu allows %g", absolute, m.nu * mass)
  local low, high = 0, math.huge -- the width is at least low, at most high
  for _, row in ipairs(rows) do
    local residual = row.y - row.f
    local size = row.beta < 0 and -residual or row.beta > 0 and residual or math.abs(residual)
    if math.abs(row.beta) < row.upper * (1 - 1e-12) then low = math.max(low, size) end
    if row.beta ~= 0 then high = math.min(high, size) end
  end
  if absolute < m.nu * mass * (1 - 1e-9) then high = 0 end
  local tube = high == math.huge and low or (low + high) / 2
  return { violation = regression(rows, tube), rounding = rounding, objective = norm / 2 - target, tube = tube }
end

function kkt.OneClassSVM(m, problem)
  local rows, mass, norm, rounding = single(m, problem, 1)
  local worst, sum = 0, 0
  for _, row in ipairs(rows) do
    check(row.beta >= 0, "a coefficient is negative: %g", row.beta)
    sum = sum + row.beta
    worst = math.max(worst, miss(row.beta, row.upper, row.f))
  end
  check(math.abs(sum - m.nu * mass) <= 1e-9 * mass, "the coefficients sum to %g, not %g", sum, m.nu * mass)
  return { violation = worst, rounding = rounding, objective = norm / 2 }
end

-- `kind` is the constructor's name; without it, the word that tostring(m) begins with.
function kkt.measure(m, problem, kind) return kkt[kind or tostring(m):match "^%a+"](m, problem) end

return kkt
