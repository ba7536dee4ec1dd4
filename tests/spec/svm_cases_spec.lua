-- Data on which machines have been known to break: what each must answer.
local peri = require "perilune"
local kkt = require "support.kkt"
local samples = require "support.samples"
local run = require "support.program"
local fails = require("support.fails").with
local svm, data = peri.svm, peri.data

local classifiers = { "SVC", "NuSVC", "LinearSVC" }

local function float64(values) return peri.tensor(values, { dtype = "float64" }) end

-- The fit is optimal to its tol, unless a limit came first.
local function check_optimal(m, X, y, more)
  local problem = { X = X, y = y and (peri.is_tensor(y) and y:totable() or y) }
  for name, value in pairs(more or {}) do problem[name] = value end
  local found = kkt.measure(m, problem)
  assert.equal(0, m.fit_status)
  assert(found.violation <= m.tol + found.rounding, ("the conditions are missed by %.3e"):format(found.violation))
  return found
end

local rings_X, rings_y = data.circles(60, { noise = 0.3, seed = 1, dtype = "float64" })

local function bits(m, X) return samples.bits(m:decision_function(X)) .. samples.bits(m:predict(X)) end

-- ---- labels ----

describe("labels #once", function()
  for _, name in ipairs(classifiers) do
    it("of one class are no problem for " .. name, function()
      fails("y has 1 class (4)", function() svm[name]():fit({ { 1 }, { 2 } }, { 4, 4 }) end)
    end)

    it("of any values come back from " .. name, function()
      local X = float64 { { 0, 0 }, { 0, 1 }, { 5, 0 }, { 5, 1 }, { 0, 9 }, { 1, 9 } }
      local y = { -7, -7, math.maxinteger, math.maxinteger, 0, 0 }
      local m = svm[name]():fit(X, y)
      assert.same({ -7, 0, math.maxinteger }, m.classes:totable())
      assert.same(y, m:predict(X):totable())
    end)
  end
end)

-- ---- rows and features ----

describe("rows #once", function()
  it("that come twice, and contradict each other, are weighed", function()
    local X, y = float64 { { 0 }, { 0 }, { 0 }, { 1 }, { 1 }, { 2 }, { 2 } }, { 1, 1, 2, 1, 2, 2, 2 }
    for _, kernel in ipairs { "linear", "rbf", "poly" } do
      for _, C in ipairs { 1, 10, 1e4 } do
        local m = svm.SVC({ kernel = kernel, C = C, tol = 1e-6 }):fit(X, y)
        check_optimal(m, X, y)
        assert.same({ 1, 2 }, m:predict(float64 { { 0 }, { 2 } }):totable())
      end
    end
    -- The same point with both labels and nothing else: the decision is 0 everywhere.
    local m = svm.SVC():fit({ { 3, 3 }, { 3, 3 } }, { 1, 2 })
    assert.near(0, m:decision_function(float64 { { 3, 3 } })[1], 1e-12)
  end)

  it("that are all the same give the majority", function()
    local X, y = peri.full({ 10, 3 }, 2.5, { dtype = "float64" }), { 1, 1, 1, 1, 2, 2, 2, 2, 2, 2 }
    for _, kernel in ipairs { "linear", "poly", "rbf", "sigmoid" } do
      local m = svm.SVC({ kernel = kernel }):fit(X, y)
      check_optimal(m, X, y)
      if kernel ~= "linear" then assert.equal(1, m.gamma) end -- "scale" without variance
      assert.equal(2, m:predict(X)[1])
    end
    local z = svm.SVR({ epsilon = 0.1 }):fit(X, { 1, 1, 1, 1, 1, 5, 5, 5, 5, 5 })
    check_optimal(z, X, { 1, 1, 1, 1, 1, 5, 5, 5, 5, 5 })
    check_optimal(svm.OneClassSVM({ nu = 0.33 }):fit(X), X)
  end)

  it("that are two are enough", function()
    local X = float64 { { 0, 0 }, { 2, 0 } }
    for _, name in ipairs(classifiers) do
      local m = svm[name]({ kernel = name ~= "LinearSVC" and "linear" or nil }):fit(X, { 1, 2 })
      assert.same({ 1, 2 }, m:predict(X):totable())
      assert.near(0, m:decision_function(float64 { { 1, 7 } })[1], name == "LinearSVC" and 0.5 or 1e-9)
    end
    local line = svm.SVR({ kernel = "linear", C = 100, epsilon = 0 }):fit(X, { 0, 2 })
    assert.near(1, line:predict(float64 { { 1, 0 } })[1], 1e-2)
    assert.same({ 1 }, svm.OneClassSVM():fit(X):predict(float64 { { 1, 0 } }).shape)
  end)

  it("that are no numbers are named", function()
    local X = rings_X:clone()
    X[{ 7, 2 }] = 0 / 0
    for _, name in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM", "LinearSVC" } do
      local y = name ~= "OneClassSVM" and rings_y or nil
      X[{ 7, 2 }] = 0 / 0
      fails("in row 7, column 2 (expected finite numbers)", function() svm[name]():fit(X, y) end)
      X[{ 7, 2 }] = -1 / 0
      fails("X has -inf in row 7, column 2", function() svm[name]():fit(X, y) end)
    end
    for _, name in ipairs { "SVR", "NuSVR" } do
      local z = rings_y:to "float64"
      z[4] = 1 / 0
      fails("y has inf in entry 4 (expected finite numbers)", function() svm[name]():fit(rings_X, z) end)
    end
  end)

  it("to predict have the features of the fit", function()
    for _, name in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM" } do
      local m = svm[name]():fit(rings_X, name ~= "OneClassSVM" and rings_y or nil)
      fails("X has 3 features but the fit had 2", m.predict, m, peri.zeros(4, 3))
      local gram = svm[name]({ kernel = "precomputed" }):fit(svm.kernel_matrix(rings_X),
        name ~= "OneClassSVM" and rings_y or nil)
      fails("60", gram.predict, gram, peri.zeros(4, 59))
    end
  end)

  it("of weight 0 are as if absent", function()
    local weight = peri.ones(60, { dtype = "float64" })
    weight[{ { 1, 20 } }] = 0
    local X, y = rings_X[{ { 21, 60 } }], rings_y[{ { 21, 60 } }]
    for _, name in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM" } do
      local answers = name ~= "OneClassSVM" and { rings_y, y } or {}
      local all = svm[name]({ gamma = 0.7 }):fit(rings_X, answers[1], { sample_weight = weight })
      local part = svm[name]({ gamma = 0.7 }):fit(X, answers[2])
      assert.equal(samples.bits(part:predict(rings_X)), samples.bits(all:predict(rings_X)))
      assert.same((part.support + 20):totable(), all.support:totable())
    end
  end)
end)

-- ---- limits of C, nu, epsilon ----

describe("a cache_size #once", function()
  it("may be as large as a number is, and changes no result while it holds the matrix", function()
    local x = peri.linspace(-3, 3, 1200):view(-1, 1)
    local seen
    for _, size in ipairs { 200, 1e12, 1e300 } do
      local predicted = svm.SVR({ cache_size = size }):fit(x, x:view(-1):sin()):predict(x):bytes()
      assert.is_true(seen == nil or seen == predicted)
      seen = predicted
    end
  end)
end)

describe("a time_limit #once", function()
  -- The machine may stand still for as long as the limit; then nobody can have a share. Where the limit is not shared
  -- the first take it each time.
  local function shared(fit)
    for _ = 1, 5 do
      if fit() then return true end
    end
    return false
  end

  it("is shared by the pairs of classes, and by the fits of a path", function()
    local X, y = peri.randn(900, 3, { dtype = "float64" }), peri.randint(1, 4, { 900 })
    local options = { C = 1e6, gamma = 0.01, tol = 1e-9, time_limit = 1 }
    for _, cache_size in ipairs { 200, 0.1 } do -- all of the matrix, rows of it
      options.cache_size = cache_size
      assert.is_true(shared(function() return svm.SVC(options):fit(X, y).n_iter:min():item() > 0 end))
    end
    options.cache_size, options.C, options.Cs = nil, nil, { 1e6, 2e6 }
    assert.is_true(shared(function()
      local all = true
      for _, m in ipairs(svm.path(X, y:gt(2):to "int64", options)) do
        all = all and m.n_iter[1] > 0 and m.gap > m.tol
      end
      return all
    end))
  end)
end)

describe("a margin that cannot be #once", function()
  it("ends at max_iter or time_limit, and tells", function()
    for _, limit in ipairs { { max_iter = 5000 }, { time_limit = 0.05 } } do
      local options = { kernel = "linear", C = math.huge, max_iter = limit.max_iter, time_limit = limit.time_limit }
      local m = svm.SVC(options):fit(rings_X, rings_y)
      assert.equal(1, m.fit_status)
      assert.truthy(m.gap >= m.tol)
      assert.same({ 60 }, m:predict(rings_X).shape)
    end
  end)

  it("is one warning", function()
    local script = [[
      local peri = require "perilune"
      local X, y = peri.data.circles(60, {noise = 0.3, seed = 1})
      local m = peri.svm.SVC{kernel = "linear", C = math.huge, max_iter = 5000}:fit(X, y)
      assert(m.fit_status == 1)]]
    assert.same({ "", "", 0 }, { run({ "-e", script }) })
    local out, err, status = run({ "-W", "-e", script })
    assert.same({ "", 0 }, { out, status })
    assert.matches("SVC.fit: a limit came before tol: a violation of [%d.e+]+ is left", err)
    assert.equal(1, select(2, err:gsub("\n", "")))
  end)

  it("is no matter where the classes are apart", function()
    local X, y = float64 { { 0, 0 }, { 0, 1 }, { 4, 0 }, { 4, 1 } }, { 1, 1, 2, 2 }
    local m = svm.SVC({ kernel = "linear", C = math.huge, tol = 1e-9 }):fit(X, y)
    assert.equal(0, m.fit_status)
    assert.is_true(m.coef:allclose(float64 { { 0.5, 0 } }, { atol = 1e-8 }))
    assert.near(-1, m.intercept[1], 1e-8)
  end)
end)

describe("a nu that the classes do not allow #once", function()
  it("is refused before a kernel value is computed, with the largest that they do", function()
    local y = {}
    for i = 1, 60 do y[i] = i <= 15 and 1 or i <= 40 and 2 or 3 end
    local function kernel() error "computed" end
    for _, options in ipairs { {}, { kernel = kernel } } do
      options.nu = 0.8
      local m = svm.NuSVC(options)
      fails("nu is 0.8, but classes 1 and 2 are so uneven that it can be 0.75 at most", m.fit, m, rings_X, y)
    end
    fails("computed", function() svm.NuSVC({ nu = 0.74, kernel = kernel }):fit(rings_X, y) end)
    assert.equal(0, svm.NuSVC({ nu = 0.75 }):fit(rings_X, y).fit_status)
    -- weights count as rows do
    local weight = {}
    for i = 1, 60 do weight[i] = i <= 15 and 0.5 or 1 end
    fails("it can be 0.461538 at most", function()
      svm.NuSVC({ nu = 0.5 }):fit(rings_X, y, { sample_weight = weight })
    end)
  end)

  it("is out of range for all", function()
    for _, name in ipairs { "NuSVC", "NuSVR", "OneClassSVM" } do
      for _, nu in ipairs { 0, -0.1, 1.01, 0 / 0 } do fails("nu", svm[name], { nu = nu }) end
    end
  end)
end)

describe("one class with a tiny nu #once", function()
  it("is solved as exactly as with a large one", function()
    local X = rings_X + 5
    for _, nu in ipairs { 1e-6, 1e-4, 1e-2 } do
      for _, kernel in ipairs { "rbf", "linear" } do
        local m = svm.OneClassSVM({ nu = nu, kernel = kernel, gamma = 0.5 }):fit(X)
        local found = check_optimal(m, X)
        -- The variables sum to 60 nu: only in their own unit can a violation be small.
        assert(found.violation <= 60 * nu * 1e-3 + found.rounding,
          ("%s, nu %g: %.2e of a sum of %g"):format(kernel, nu, found.violation, 60 * nu))
        -- A share of nu may be outside: nobody, here.
        local outside = m:decision_function(X):lt(-60 * nu * 2e-3):to("int64"):sum():item()
        assert.truthy(outside <= nu * 60)
      end
    end
  end)

  it("and with nu = 1 has every row at its bound", function()
    local m = svm.OneClassSVM({ nu = 1 }):fit(rings_X)
    assert.equal(60, #m.support)
    assert.is_true(m.dual_coef:allclose(peri.ones(1, 60, { dtype = "float64" })))
    check_optimal(m, rings_X)
  end)
end)

describe("all variables at a bound #once", function()
  it("leave an intercept between the bounds, or at the finite one", function()
    -- 30 and 30 rows of small C: all alpha = C, and rho is the middle of what the bounds allow.
    local m = svm.SVC({ C = 1e-4, gamma = 1, tol = 1e-9 }):fit(rings_X, rings_y)
    assert.equal(60, #m.support)
    check_optimal(m, rings_X, rings_y)
    local f = m:decision_function(rings_X) - m.intercept[1]
    local second = rings_y:eq(2)
    -- y f <= 1 for all: b <= 1 - f of the second class, b >= -1 - f of the first
    local high = (1 - f[second]:max():item())
    local low = (-1 - f[second:logical_not()]:min():item())
    assert.near((low + high) / 2, m.intercept[1], 1e-9)
    -- Regression far above the tube on one side only needs the finite bound.
    local z = svm.SVR({ C = 1e-3, epsilon = 0.1, gamma = 1 }):fit(rings_X, rings_y)
    check_optimal(z, rings_X, rings_y)
  end)
end)

describe("a regression without support vectors #once", function()
  local z = {}
  for i = 1, 60 do z[i] = 3 + (i % 7) / 100 end

  it("predicts a constant, saves and loads", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local X = rings_X:to(dtype)
      local m = svm.SVR({ epsilon = 0.5 }):fit(X, z)
      assert.equal(0, #m.support)
      assert.same({ 0 }, m.n_support:totable())
      assert.same({ 1, 0 }, m.dual_coef.shape)
      assert.same({ 0, 2 }, m.support_vectors.shape)
      check_optimal(m, X:to "float64", z)
      local predicted = m:predict(X)
      for i = 1, 60 do assert.equal(m.intercept[1], predicted[i]) end
      assert.near(3.03, m.intercept[1], 0.5)
      local path = os.tmpname()
      m:save(path)
      local again = svm.load(path)
      os.remove(path)
      assert.equal(samples.bits(predicted), samples.bits(again:predict(X)))
      assert.equal(tostring(m), tostring(again))
    end
  end)
end)

-- ---- kernels that are none ----

describe("kernels that are not positive #once", function()
  local function indefinite()
    peri.manual_seed(3)
    local K = peri.randn({ 60, 60 }, { dtype = "float64" })
    return K + K:t()
  end

  it("end in a stationary point", function()
    local K = indefinite()
    for _, C in ipairs { 0.1, 1, 10 } do
      check_optimal(svm.SVC({ kernel = "precomputed", C = C }):fit(K, rings_y), rings_X, rings_y, { gram = K })
      check_optimal(svm.SVR({ kernel = "precomputed", C = C }):fit(K, rings_y), rings_X, rings_y, { gram = K })
      for _, gamma in ipairs { 0.5, 2 } do
        local m = svm.SVC({ kernel = "sigmoid", coef0 = 1, gamma = gamma, C = C }):fit(rings_X, rings_y)
        check_optimal(m, rings_X, rings_y)
      end
    end
    check_optimal(svm.OneClassSVM({ kernel = "precomputed", nu = 0.33 }):fit(K), rings_X, nil, { gram = K })
    -- -K of a kernel: no curvature is positive
    local negative = kkt.gram({ kernel = "rbf", gamma = 1 }, rings_X, rings_X) * -1
    local m = svm.SVC({ kernel = "precomputed" }):fit(negative, rings_y)
    check_optimal(m, rings_X, rings_y, { gram = negative })
  end)

  it("that are not symmetric are refused", function()
    local K = indefinite()
    K[{ 2, 9 }] = K[{ 2, 9 }] + 1
    fails("the kernel matrix is not symmetric", function() svm.SVC({ kernel = "precomputed" }):fit(K, rings_y) end)
    fails("X is 60x59", function() svm.SVC({ kernel = "precomputed" }):fit(K[{ {}, { 1, 59 } }], rings_y) end)
  end)
end)

-- ---- folds, caches, blocks ----

describe("folds #once", function()
  it("are at most as many as the rows", function()
    local X, y = rings_X[{ { 1, 6 } }], { 1, 2, 1, 2, 1, 2 }
    fails("folds", svm.cross_validate, svm.SVC(), X, y, { folds = 7 })
    local r = svm.cross_validate(svm.SVC(), X, y, { folds = 6 })
    assert.equal(6, #r.scores)
    local seen = r.fold:totable()
    table.sort(seen)
    assert.same({ 1, 2, 3, 4, 5, 6 }, seen)
  end)

  it("behind probabilities may be empty, or lack a class", function()
    for _, y in ipairs { { 1, 2, 1, 2 }, { 1, 2, 2, 2 }, { 1, 2 }, { 1, 2, 3 } } do
      local X = rings_X[{ { 1, #y } }]
      local proba = svm.SVC({ probability = true }):fit(X, y):predict_proba(X)
      assert.same({ #y, y[#y] == 3 and 3 or 2 }, proba.shape)
      assert.is_true(proba:sum(2):allclose(peri.ones(#y, { dtype = "float64" }), { atol = 1e-9 }))
      assert.is_true(proba:ge(0):all())
    end
  end)

  it("follow from the seed alone", function()
    local function fit(seed) return svm.SVC({ probability = true, seed = seed }):fit(rings_X, rings_y) end
    math.randomseed(5)
    local expected = math.random(1 << 40)
    math.randomseed(5)
    local a, b, c = fit(1), fit(1), fit(2)
    assert.equal(expected, math.random(1 << 40))
    assert.equal(samples.bits(a:predict_proba(rings_X)), samples.bits(b:predict_proba(rings_X)))
    assert.not_equal(samples.bits(a.prob_a), samples.bits(c.prob_a))
    assert.equal(samples.bits(a:decision_function(rings_X)), samples.bits(c:decision_function(rings_X)))
  end)
end)

describe("a small cache #once", function()
  it("changes nothing but the time", function()
    local X, y = data.circles(3000, { noise = 0.2, seed = 3, dtype = "float64" })
    local T = X[{ { 1, 300 } }]
    for name, options in pairs { SVC = { C = 1 }, SVR = { C = 0.1 }, OneClassSVM = { nu = 0.05 } } do
      options.gamma = 1
      local answers = name ~= "OneClassSVM" and y or nil
      local large = svm[name](options):fit(X, answers)
      local small = large:clone({ cache_size = 1 }):fit(X, answers)
      assert.equal(0, small.fit_status)
      assert.near(large.objectives[1], small.objectives[1], 1e-5 * math.abs(large.objectives[1]))
      local a, b = large:decision_function(T), small:decision_function(T)
      assert.truthy((a - b):abs():max():item() <= 2e-3 * math.max(1, a:abs():max():item()))
      assert.truthy(a:gt(0):eq(b:gt(0)):to("float64"):mean():item() >= 0.99)
    end
  end)

  it("of less than two rows does, too", function()
    local m = svm.SVC({ cache_size = 1e-6 }):fit(rings_X, rings_y)
    check_optimal(m, rings_X, rings_y)
  end)
end)

-- ---- a fit that is stopped ----

describe("a fit that is stopped #once", function()
  local long = [[
    local peri = require "perilune"
    local svm = peri.svm
    peri.manual_seed(1)
    local X, y = peri.randn({6000, 20}, {dtype = "float64"}), {}
    for i = 1, 6000 do y[i] = i %% 2 end
    local small = peri.randn({40, 20}, {dtype = "float64"})
    local labels = {table.unpack(y, 1, 40)}
    local m = svm.%s{%s cache_size = 20}:fit(small, labels)
    local before = m:decision_function(small):bytes()
    local pid = io.open("/proc/self/stat"):read "n"
    os.execute("( sleep 0.3; kill -INT " .. pid .. " ) &")
    print(pcall(m.fit, m, X, y))
    assert(m:decision_function(small):bytes() == before)
    assert(m:fit(small, labels):decision_function(small):bytes() == before)
    print "on"]]

  for name, options in pairs { SVC = "C = 1e6, tol = 1e-9,", NuSVC = "nu = 0.3, tol = 1e-12,",
                               NuSVR = "C = 1e6, tol = 1e-12," } do
    it("by Ctrl-C leaves " .. name .. " as it was", function()
      local script = long:format(name, options)
      if name == "NuSVR" then script = script:gsub("decision_function", "predict") end
      local out, err, status = run { "-e", script }
      assert.same({ "", 0 }, { err, status })
      assert.matches("^false\t[^\n]*interrupted[^\n]*\non\n$", out)
    end)
  end

  it("by progress is what was reached", function()
    local X, y = data.circles(2000, { noise = 0.4, seed = 1, dtype = "float64" })
    local calls = 0
    local m = svm.SVC({ C = 1e6, tol = 1e-10, cache_size = 1 }):fit(X, y, {
      progress = function(state)
        calls = calls + 1
        assert(state.machine == 0 and state.machines == 1 and state.iterations >= 0)
        return calls < 3
      end })
    assert.equal(3, calls)
    assert.equal(1, m.fit_status)
    assert.truthy(m.gap >= m.tol)
    assert.same({ 2000 }, m:predict(X).shape)
    fails("enough!", m.fit, m, X, y, { progress = function() error "enough!" end })
    assert.equal(1, m.fit_status)
  end)
end)

-- ---- files ----

describe("a saved machine #once", function()
  local long_y = {}
  for i = 1, 60 do long_y[i] = i % 4 * 10 - 3 end

  it("decides bitwise as the one that was saved", function()
    for _, name in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM" } do
      for _, dtype in ipairs { "float32", "float64" } do
        local X = (rings_X / 3):to(dtype)
        local y = name ~= "OneClassSVM" and long_y or nil
        local m = svm[name]():fit(X, y)
        local path = os.tmpname()
        m:save(path)
        local again = svm.load(path)
        os.remove(path)
        local method = name:find "R$" and "predict" or "decision_function"
        assert.equal(samples.bits(m[method](m, X)), samples.bits(again[method](again, X)), name)
        assert.equal(samples.bits(m:predict(X)), samples.bits(again:predict(X)), name)
      end
    end
  end)

  it("of probabilities gives the same", function()
    local m = svm.SVC({ probability = true }):fit(rings_X, long_y)
    local path = os.tmpname()
    m:save(path)
    local again = svm.load(path)
    os.remove(path)
    assert.equal(samples.bits(m:predict_proba(rings_X)), samples.bits(again:predict_proba(rings_X)))
    assert.equal(bits(m, rings_X), bits(again, rings_X))
  end)
end)
