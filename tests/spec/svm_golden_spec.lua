-- The kernel machines against exact solutions (golden/svm_*.lua, by tests/peers/svm_golden_lua.py) and against
-- the optimality conditions themselves (support/kkt.lua).
local peri = require "perilune"
local kkt = require "support.kkt"
local svm = peri.svm

local DEFAULT, TIGHT = 1e-3, 1e-6 -- tol

local function float64(values) return peri.tensor(values, { dtype = "float64" }) end

local sets = require "golden.svm_data"
for _, set in pairs(sets) do set.X, set.test = float64(set.X), float64(set.test) end

local function text(value)
  if type(value) ~= "table" then return type(value) == "number" and ("%.4g"):format(value) or tostring(value) end
  local parts = {}
  for name, v in pairs(value) do parts[#parts + 1] = name .. "=" .. text(v) end
  table.sort(parts)
  return table.concat(parts, " ")
end

local function with(options, changes)
  local result = {}
  for _, from in ipairs { options, changes } do
    for name, value in pairs(from) do result[name] = value end
  end
  return result
end

local function fit(kind, options, X, set, weight)
  local more = weight and { sample_weight = weight }
  local m = svm[kind](options)
  if kind == "OneClassSVM" then return m:fit(X, nil, more) end
  return m:fit(X, set.y, more)
end

local function near_relative(expected, got, bound, what)
  local difference = math.abs(got - expected) / math.abs(expected)
  assert(difference <= bound, ("%s is %.12g, expected %.12g: off by %.1e"):format(what, got, expected, difference))
end

-- Largest difference of two lists, each divided by max(1, |expected|).
local function difference(expected, got)
  assert.equal(#expected, #got)
  local worst = 0
  for i, e in ipairs(expected) do worst = math.max(worst, math.abs(got[i] - e) / math.max(1, math.abs(e))) end
  return worst
end

local function answers(kind, m, X)
  if kind:find "R$" then return m:predict(X) end
  return m:decision_function(X)
end

-- The fit meets its tol, and has the exact objective to within `bound`.
local function check_solution(kind, case, m, problem, tol, bound)
  assert.equal(0, m.fit_status)
  local found = kkt.measure(m, problem, kind)
  assert(found.violation <= tol + found.rounding,
    ("with tol %g the optimality conditions are missed by %.3e"):format(tol, found.violation))
  near_relative(found.shown or found.objective, m.objectives:sum():item(), 1e-9, "the field objectives")
  if case.convex then near_relative(case.objective, found.objective, bound, "the objective with tol " .. tol) end
  return found
end

local function check_answers(kind, case, m, X)
  local worst = difference(case.decision, answers(kind, m, X):reshape(-1):totable())
  assert(worst <= 1e-5, ("decisions differ by %.1e"):format(worst))
  if case.predict then assert.same(case.predict, m:predict(X):totable()) end
end

local function check_case(kind, case)
  local set = sets[case.set]
  local weight = case.weighted and set.weight or nil
  local problem = { X = set.X, y = set.y, weight = weight }
  local options = case.options
  if kind:find "SVC" and not options.decision_function_shape then
    options = with(options, { decision_function_shape = "ovo" })
  end
  local m = fit(kind, options, set.X, set, weight)
  if case.gamma then near_relative(case.gamma, m.gamma, 1e-12, "gamma") end
  check_solution(kind, case, m, problem, DEFAULT, 1e-4)
  m = fit(kind, with(options, { tol = TIGHT }), set.X, set, weight)
  local found = check_solution(kind, case, m, problem, TIGHT, 1e-6)
  if case.tube then assert.near(case.tube, found.tube, 1e-5) end
  if not case.decision then return end
  check_answers(kind, case, m, set.test)
  assert.truthy(difference(case.intercept, m.intercept:totable()) <= 1e-5)
  if case.n_support then assert.same(case.n_support, m.n_support:totable()) end
end

-- The same machine by a Gram matrix, and by a function of two matrices, as by the kernel's name.
local function check_own_kernel(kind, case)
  local set = sets[case.set]
  local weight = case.weighted and set.weight or nil
  local named = { kernel = case.options.kernel, gamma = case.gamma, coef0 = case.options.coef0,
                  degree = case.options.degree }
  local function kernel(a, b) return kkt.gram(named, a, b) end
  local problem = { X = set.X, y = set.y, weight = weight, gram = kernel(set.X, set.X) }
  local options = with(case.options, { kernel = "precomputed", tol = TIGHT })
  if kind:find "SVC" then options.decision_function_shape = "ovo" end
  local m = fit(kind, options, problem.gram, set, weight)
  check_solution(kind, case, m, problem, TIGHT, 1e-6)
  check_answers(kind, case, m, kernel(set.test, set.X))
  options.kernel = kernel
  m = fit(kind, options, set.X, set, weight)
  check_solution(kind, case, m, problem, TIGHT, 1e-6)
  check_answers(kind, case, m, set.test)
end

-- For one case of each set, weighted or not.
local function once_each(cases, visit)
  local seen = {}
  for _, case in ipairs(cases) do
    local key = case.set .. tostring(case.weighted)
    if case.decision and not seen[key] and case.options.kernel ~= "linear" then
      seen[key] = true
      visit(case)
    end
  end
end

for _, kind in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM" } do
  local cases = require("golden.svm_" .. kind:lower():gsub("svm$", ""))

  describe(kind .. " solves exactly", function()
    for _, case in ipairs(cases) do
      local name = case.set .. " " .. text(case.options) .. (case.weighted and " weighted" or "")
      it(name, function() check_case(kind, case) end)
    end
  end)

  describe(kind .. " has kernels of one's own", function()
    once_each(cases, function(case)
      it("on " .. case.set .. (case.weighted and " weighted" or ""), function() check_own_kernel(kind, case) end)
    end)
  end)
end

describe("float32 features #once", function()
  it("are solved as exactly as float64 for large C", function()
    local narrow = sets.circle.X:to "float32"
    local problem = { X = narrow:to "float64", y = sets.circle.y }
    for _, kernel in ipairs { "rbf", "poly" } do
      for _, C in ipairs { 1, 1e4, 1e5 } do
        local m = svm.SVC { kernel = kernel, degree = 2, C = C }:fit(narrow, sets.circle.y)
        local wide = m:clone():fit(problem.X, problem.y)
        local found, expected = kkt.measure(m, problem), kkt.measure(wide, problem)
        assert.truthy(found.violation <= DEFAULT + found.rounding)
        near_relative(expected.objective, found.objective, 1e-4, kernel)
      end
    end
  end)
end)

-- The measure itself: it must find what is wrong.
describe("kkt.measure #once", function()
  local X = float64 { { 0 }, { 1 }, { 3 }, { 4 } }
  local problem = { X = X, y = { 1, 1, 2, 2 } }
  -- By hand: the support vectors are 1 and 3, w = 1, b = -2, alpha = 1/2; positive for the second class.
  local function machine(changes)
    local fields = { kernel = "linear", C = 10, classes = peri.tensor({ 1, 2 }, { dtype = "int64" }),
                     support = peri.tensor({ 2, 3 }, { dtype = "int64" }), dual_coef = float64 { { -0.5, 0.5 } },
                     intercept = float64 { -2 }, nu = 0.25, epsilon = 0.5 }
    return with(fields, changes or {})
  end

  it("knows a solution", function()
    local found = kkt.SVC(machine(), problem)
    assert.near(0, found.violation, 1e-15)
    assert.near(-0.5, found.objective, 1e-15)
    found = kkt.NuSVC(machine(), problem)
    assert.near(0, found.violation, 1e-15)
    assert.near(0.5, found.objective, 1e-15) -- r = 1
  end)

  it("sees a shifted intercept and a wrong coefficient", function()
    assert.near(0.1, kkt.SVC(machine { intercept = float64 { -2.1 } }, problem).violation, 1e-12)
    local flat = machine { dual_coef = float64 { { -0.4, 0.4 } }, intercept = float64 { -1.6 } }
    assert.near(0.2, kkt.SVC(flat, problem).violation, 1e-12)
    assert.has_error(function() kkt.SVC(machine { dual_coef = float64 { { -0.5, 0.4 } } }, problem) end)
    assert.has_error(function() kkt.SVC(machine { C = 0.4 }, problem) end)
    assert.has_error(function() kkt.SVC(machine { dual_coef = float64 { { 0.5, -0.5 } } }, problem) end)
    assert.has_error(function() kkt.SVC(machine(), with(problem, { weight = { 1, 0, 1, 1 } })) end)
  end)

  it("knows a tube and a level", function()
    -- y = x on 0, 1, 3, 4 with epsilon 1/2: w = 3/4, the ends touch the tube.
    local ends = peri.tensor({ 1, 4 }, { dtype = "int64" })
    local line = machine { support = ends, dual_coef = float64 { { -3 / 16, 3 / 16 } }, intercept = float64 { 0.5 } }
    local targets = { X = X, y = { 0, 1, 3, 4 } }
    local found = kkt.SVR(line, targets)
    assert.near(0, found.violation, 1e-15)
    assert.near(9 / 32 - 3 / 4 + 3 / 16, found.objective, 1e-15)
    assert.near(0.2, kkt.SVR(with(line, { epsilon = 0.3 }), targets).violation, 1e-12)
    local tube = kkt.NuSVR(with(line, { C = 1, nu = 3 / 32 }), targets)
    assert.near(0, tube.violation, 1e-15)
    assert.near(0.5, tube.tube, 1e-15)
    assert.has_error(function() kkt.NuSVR(with(line, { C = 1, nu = 1 / 16 }), targets) end)
    -- coefficients left over: the width should be 0, and 1/4 is halfway
    assert.near(0.25, kkt.NuSVR(with(line, { C = 1, nu = 0.5 }), targets).violation, 1e-12)
    -- One class: all weight on the nearest row, w = 1.
    local level = machine { support = peri.tensor({ 1 }, { dtype = "int64" }), dual_coef = float64 { { 1 } },
                            intercept = float64 { -1 }, nu = 1 / 3 }
    local positive = { X = X[{ { 2, 4 } }] }
    assert.near(0, kkt.OneClassSVM(level, positive).violation, 1e-15)
    assert.near(0.25, kkt.OneClassSVM(with(level, { intercept = float64 { -0.75 } }), positive).violation, 1e-12)
    assert.has_error(function() kkt.OneClassSVM(with(level, { nu = 1 / 2 }), positive) end)
  end)
end)
