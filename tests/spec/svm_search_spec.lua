-- peri.svm beyond single fits: paths over C, cross-validation, grids, kernels that are Lua functions, progress, files
-- that do not hold what they should.
local peri = require "perilune"
local fails = require("support.fails").with
local svm, data = peri.svm, peri.data

local X, y = data.circles(160, { noise = 0.2, factor = 0.5, seed = 3, dtype = "float64" })
local targets = X[{ {}, 1 }] * 2 - X[{ {}, 2 }]

local function gaussian(gamma)
  return function(a, b)
    local squares = (a * a):sum(2, true) + (b * b):sum(2, true):t() - 2 * a:matmul(b:t())
    return (-gamma * squares):exp()
  end
end

describe("svm.path", function()
  it("gives a machine for each C, as single fits do", function()
    for _, estimator in ipairs { svm.SVC { tol = 1e-7 }, svm.SVR { tol = 1e-7 }, svm.NuSVR { tol = 1e-6 } } do
      local goal = tostring(estimator):match "^SVC" and y or targets
      local Cs = { 10, 0.1, 1 }
      local list = svm.path(X, goal, { estimator = estimator, Cs = Cs })
      assert.equal(3, #list)
      for i, m in ipairs(list) do
        local single = estimator:clone({ C = Cs[i] }):fit(X, goal)
        assert.equal(Cs[i], m.C)
        assert.equal(0, m.fit_status)
        assert.near(single.objectives[1], m.objectives[1], 1e-6 * math.abs(single.objectives[1]))
        assert.is_true((m:decision_function(X) - single:decision_function(X)):abs():max():item() < 1e-4)
      end
    end
  end)

  it("takes options of SVC, weights, progress, and a tensor of C", function()
    local calls = 0
    local w = peri.arange(1, 160):to "float64"
    local list = svm.path(X, y, {
      kernel = "poly", degree = 2, Cs = peri.tensor { 1, 2 }, sample_weight = w,
      progress = function(state)
        calls = calls + 1
        assert.truthy(state.machines == 2 and state.machine <= 2)
      end,
    })
    assert.equal("poly", list[2].kernel)
    assert.equal(2, list[2].C)
    assert.truthy(calls > 0)
  end)

  it("refuses what it cannot sweep", function()
    fails("path: option Cs is missing", svm.path, X, y, {})
    fails("path: options must be a table", svm.path, X, y, 3)
    fails("Cs must be 1 or more numbers", svm.path, X, y, { Cs = {} })
    fails("C is -1.0 (expected a number > 0)", svm.path, X, y, { Cs = { 1, -1 } })
    fails("unknown option gama", svm.path, X, y, { Cs = { 1 }, gama = 2 })
    fails("the estimator has its own", svm.path, X, y, { Cs = { 1 }, gamma = 2, estimator = svm.SVC {} })
    fails("LinearSVC has no kernel", svm.path, X, y, { Cs = { 1 }, estimator = svm.LinearSVC {} })
    fails("OneClassSVM has no C to vary", svm.path, X, nil, { Cs = { 1 }, estimator = svm.OneClassSVM {} })
    fails("must be an estimator of svm", svm.path, X, y, { Cs = { 1 }, estimator = 7 })
  end)
end)

describe("svm.cross_validate", function()
  it("predicts each fold by a machine that has not seen it", function()
    for _, cache in ipairs { 200, 0.05 } do
      for _, m in ipairs { svm.SVC { gamma = 2, tol = 1e-6, cache_size = cache },
        svm.NuSVC { gamma = 2, nu = 0.3, tol = 1e-6, cache_size = cache } } do
        local result = svm.cross_validate(m, X, y, { folds = 4, seed = 2 })
        for f = 1, 4 do
          local out = result.fold:eq(f)
          local other = m:clone():fit(X[result.fold:ne(f)], y[result.fold:ne(f)])
          assert.is_true(result.predictions[out]:equal(other:predict(X[out])))
          assert.near(other:score(X[out], y[out]), result.scores[f], 1e-12)
        end
        assert.near(result.scores:mean():item(), result.mean, 1e-12)
        assert.equal(0, result.fit_status)
      end
    end
  end)

  it("scores regressions by R^2, and linear machines without shared values", function()
    assert.truthy(svm.cross_validate(svm.SVR { kernel = "linear", epsilon = 0.01 }, X, targets).mean > 0.99)
    assert.truthy(svm.cross_validate(svm.LinearSVC {}, X, y).mean < 0.7)
  end)

  it("follows from the seed, and leaves the estimator as it was", function()
    local m = svm.SVC {}
    local a, b = svm.cross_validate(m, X, y, { seed = 1 }), svm.cross_validate(m, X, y, { seed = 1 })
    assert.is_true(a.predictions:equal(b.predictions))
    assert.is_false(a.fold:equal(svm.cross_validate(m, X, y, { seed = 2 }).fold))
    fails("not fitted", m.predict, m, X)
  end)

  it("checks what it is given", function()
    fails("folds is 161 but X has 160 rows", svm.cross_validate, svm.SVC {}, X, y, { folds = 161 })
    fails("folds is 1 (expected at least 2)", svm.cross_validate, svm.SVC {}, X, y, { folds = 1 })
    fails("seed is -1 (expected at least 0)", svm.cross_validate, svm.SVC {}, X, y, { seed = -1 })
    fails("unknown option fold", svm.cross_validate, svm.SVC {}, X, y, { fold = 3 })
    fails("must be an estimator", svm.cross_validate, {}, X, y)
    fails("OneClassSVM has no labels to score", svm.cross_validate, svm.OneClassSVM {}, X)
    fails("y has shape 9 (expected 160 entries, as X has rows)", svm.cross_validate, svm.SVC {}, X, y[{ { 1, 9 } }])
  end)
end)

describe("svm.grid_search", function()
  it("tries every pair, best first, and fits the best", function()
    local grid = svm.grid_search(svm.SVC {}, X, y, { C = { 10, 0.1, 1 }, gamma = { 0.01, 1 } })
    assert.equal(6, #grid.results)
    for i = 2, 6 do assert.truthy(grid.results[i - 1].score >= grid.results[i].score) end
    assert.same({ C = grid.results[1].C, gamma = grid.results[1].gamma }, grid.best_params)
    assert.equal(grid.best_params.C, grid.best.C)
    for _, r in ipairs(grid.results) do
      local single = svm.cross_validate(svm.SVC { C = r.C, gamma = r.gamma }, X, y)
      assert.near(single.mean, r.score, 0.02) -- a start from a smaller C may end elsewhere within tol
    end
    assert.truthy(tostring(grid):find "gamma")
    assert.is_nil(svm.grid_search(svm.SVC {}, X, y, { C = { 1 }, refit = false }).best)
  end)

  it("checks values before any fit", function()
    fails("C is 0.0", svm.grid_search, svm.SVC {}, X, y, { C = { 1, 0 } })
    fails("C must be a list of 1 or more values, got 1", svm.grid_search, svm.SVC {}, X, y, { C = 1 })
    fails("NuSVC has no C to vary", svm.grid_search, svm.NuSVC {}, X, y, { C = { 1 } })
  end)
end)

describe("a kernel that is a function", function()
  it("is the machine of the kernel that it computes", function()
    local own = svm.SVC { kernel = gaussian(2), tol = 1e-8 }:fit(X, y)
    local built_in = svm.SVC { gamma = 2, tol = 1e-8 }:fit(X, y)
    assert.is_true((own:decision_function(X) - built_in:decision_function(X)):abs():max():item() < 1e-6)
    assert.is_true(own.support_vectors:equal(X[own.support]))
    assert.same({ 160, 2 }, own.shape_fit)
    assert.equal("function", type(own.kernel))
    assert.equal(own.kernel, own:clone().kernel)
    fails("the kernel is a Lua function", own.save, own, "nowhere")
    local path = svm.path(X, y, { kernel = gaussian(2), Cs = { 1, 2 } })
    assert.is_true(path[1]:predict(X):equal(svm.SVC { gamma = 2 }:fit(X, y):predict(X)))
  end)

  it("gives its errors, and wrong values, back", function()
    local m = svm.SVC { kernel = gaussian(2) }:fit(X, y)
    local before = m:decision_function(X)
    local broken = m:clone { kernel = function() error "broken" end }
    fails("broken", broken.fit, broken, X, y)
    for _, wrong in ipairs { 3, peri.zeros(2, 2), peri.zeros(160, 160, { dtype = "int64" }) } do
      local bad = m:clone { kernel = function() return wrong end }
      fails("the kernel", bad.fit, bad, X, y)
    end
    fails("not symmetric", function()
      svm.SVC { kernel = function(a, b) return peri.randn(#a, #b) end }:fit(X, y)
    end)
    local w = peri.ones(1, { requires_grad = true })
    assert.is_true((w * 2).requires_grad) -- recording goes on
    assert.is_true(m:decision_function(X):equal(before))
  end)
end)

describe("progress", function()
  it("ends a fit by its error, leaving the machine", function()
    local m = svm.SVC {}:fit(X, y)
    local before = m:decision_function(X)
    fails("enough of it", m.fit, m, X, y, { progress = function() error "enough of it" end })
    fails("progress must be a function, got 3", m.fit, m, X, y, { progress = 3 })
    assert.is_true(m:decision_function(X):equal(before))
  end)

  it("may use the module, and the machine itself", function()
    local m, inner = svm.SVC {}, 0
    m:fit(X, y, {
      progress = function()
        inner = inner + svm.SVC {}:fit(X, y):score(X, y)
        m:release()
      end,
    })
    assert.truthy(inner > 0)
    assert.is_true(m:predict(X):equal(svm.SVC {}:fit(X, y):predict(X)))
  end)
end)

describe("files of machines", function()
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local path = folder .. "/machine.safetensors"

  it("that are not what they should be are refused, naming what is wrong", function()
    local m = svm.SVC { probability = true, class_weight = { [1] = 2 } }:fit(X, y)
    m:save(path)
    local tensors, words = peri.load(path)
    local function with(changes, other_words)
      local copy, metadata = {}, {}
      for name, x in pairs(tensors) do copy[name] = x end
      for name, word in pairs(words) do metadata[name] = word end
      for name, x in pairs(changes) do copy[name] = x or nil end
      for name, word in pairs(other_words or {}) do metadata[name] = word or nil end
      peri.save(path, copy, metadata)
      return path
    end
    local function number(v) return peri.tensor(v, { dtype = "float64" }) end
    assert.is_true(svm.load(with {}):predict(X):equal(m:predict(X)))
    for name in pairs(tensors) do
      if not name:find "^option" and not name:find "^class_weight" then
        if name ~= "coef" then fails("there is no " .. name, svm.load, with { [name] = false }) end
        fails(path, svm.load, with { [name] = peri.zeros(3, 3, 3) })
      end
    end
    fails("support names a row", svm.load, with { support = tensors.support + 1000 })
    fails("support names a row", svm.load, with { support = tensors.support * 0 })
    fails("n_support exceeds", svm.load, with { n_support = tensors.n_support * 1000 })
    fails("n_support exceeds", svm.load, with { n_support = tensors.n_support - 1000 })
    fails("a size that is none", svm.load, with { n = number(-3) })
    fails("a size that is none", svm.load, with { d = number(1e300) })
    fails("a size that is none", svm.load, with { d = number(0 / 0) })
    fails("not ascending", svm.load, with { classes = tensors.classes * 0 })
    fails("not finite", svm.load, with { dual_coef = tensors.dual_coef / 0 })
    fails("not finite", svm.load, with { support_vectors = tensors.support_vectors * (0 / 0) })
    fails("gamma", svm.load, with { gamma = number(-1) })
    fails("holds no estimator", svm.load, with({}, { perilune = "svm.Nothing" }))
    fails("holds no estimator", svm.load, with({}, { perilune = false }))
    fails("kernel must be one of", svm.load, with({}, { kernel = "os.execute" }))
    fails("unknown option evil", svm.load, with({}, { evil = "yes" }))
    fails("C is -1.0", svm.load, with { ["option.C"] = number(-1) })
    fails("cannot be opened", svm.load, folder .. "/none")
    fails("path must be a string", m.save, m, nil)
    fails("not fitted", function() svm.SVC {}:save(path) end)
  end)
end)

describe("probabilities", function()
  it("agree with predict for any number of classes", function()
    local blobs, labels = {}, {}
    for i = 1, 150 do
      local c = i % 5
      blobs[i] = { 2 * math.cos(c) + math.sin(13 * i), 2 * math.sin(c) + math.cos(17 * i) }
      labels[i] = 10 * c - 20
    end
    local rows = peri.tensor(blobs, { dtype = "float64" })
    for _, m in ipairs { svm.SVC { probability = true }, svm.NuSVC { probability = true, nu = 0.3 } } do
      m:fit(rows, labels)
      local p = m:predict_proba(rows)
      assert.same({ 150, 5 }, p.shape)
      assert.is_true((p:sum(2) - 1):abs():max():item() < 1e-12)
      assert.is_true(m.classes[p:argmax(2)]:equal(m:predict(rows)))
      assert.same({ 10 }, m.prob_a.shape)
    end
    fails("fit with probability = true", function() svm.SVC {}:fit(rows, labels):predict_proba(rows) end)
  end)
end)

describe("break_ties", function()
  it("takes the class of the largest decision", function()
    local rows, labels = {}, {}
    for i = 1, 90 do
      rows[i] = { math.cos(i % 3 * 2.1) + math.sin(31 * i), math.sin(i % 3 * 2.1) + math.cos(29 * i) }
      labels[i] = i % 3
    end
    local m = svm.SVC { break_ties = true, C = 0.1 }:fit(rows, labels)
    local scores = m:decision_function(rows)
    assert.is_true(m.classes[scores:argmax(2)]:equal(m:predict(rows)))
  end)
end)
