-- peri.svm: the estimators as a script meets them. That the machines solve their programmes is tested in C.
-- Here: what goes into a fit, and what it shows.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").with
local svm = peri.svm
local estimators = require "support.estimators"
local machines, each_estimator = estimators.machines, estimators.each
local clusters, picture = estimators.clusters, estimators.picture

local function values(t) return t:totable() end

describe("before the fit", function()
  each_estimator(function(name, new)
    it(name .. " says so", function()
      local m, X = new(), peri.zeros(2, 2)
      for _, method in ipairs { "predict", "decision_function" } do
        fails(name .. ": not fitted; call fit first", m[method], m, X)
      end
      fails(name .. ": not fitted; call fit first", m.score, m, X, { 1, 2 })
      for _, field in ipairs(machines[name].fields) do
        if field ~= "gamma" then fails(name .. ": not fitted; call fit first", function() return m[field] end) end
      end
    end)
  end)
end)

describe("after the fit", function()
  it("SVC shows two classes with scikit-learn's shapes and signs", function()
    local X, y = clusters({ 7, -5 }, 10, "float32")
    local m = svm.SVC { kernel = "linear" }
    assert.equal(m, m:fit(X, y))
    local s = #m.support
    assert.same({ -5, 7 }, values(m.classes))
    assert.same({ 20, 2 }, m.shape_fit)
    assert.equal(0, m.fit_status)
    assert.truthy(m.gap >= 0 and m.gap < m.tol)
    assert.equal("integer", math.type(m.fit_status))
    for name, dtype in pairs { classes = "int64", support = "int64", n_support = "int64", n_iter = "int64",
                               support_vectors = "float32", dual_coef = "float64", coef = "float64",
                               intercept = "float64", gaps = "float64" } do
      assert.equal(dtype, m[name].dtype, name)
    end
    for name, shape in pairs { classes = { 2 }, support = { s }, n_support = { 2 }, n_iter = { 1 },
                               support_vectors = { s, 2 }, dual_coef = { 1, s }, coef = { 1, 2 },
                               intercept = { 1 }, gaps = { 1 } } do
      assert.same(shape, m[name].shape, name)
    end
    assert.equal(s, m.n_support:sum():item())
    -- Rows of X, counted from 1, those of classes[1] first, with negative coefficients.
    for i = 1, s do
      local first = i <= m.n_support[1]
      assert.equal(first and -5 or 7, y[m.support[i]])
      assert.equal(first, m.dual_coef[1][i] < 0)
      assert.same(values(X[m.support[i]]), values(m.support_vectors[i]))
    end
    -- w is the sum of the support vectors, and the decision w.x + b.
    local w = m.dual_coef:matmul(m.support_vectors:to "float64")
    assert.is_true(w:allclose(m.coef, { rtol = 1e-9, atol = 1e-12 }))
    local decision = X:to("float64"):matmul(m.coef:reshape(-1)) + m.intercept
    assert.is_true(m:decision_function(X):allclose(decision, { rtol = 1e-9, atol = 1e-9 }))
  end)

  it("SVC's gamma is the number that was used, and coef is there for the linear kernel alone", function()
    local X, y = clusters({ 1, 2 }, 10)
    local mean = X:mean():item()
    local variance = ((X - mean) ^ 2):mean():item()
    assert.near(1 / (2 * variance), svm.SVC():fit(X, y).gamma, 1e-12)
    assert.equal(0.5, svm.SVC({ gamma = "auto" }):fit(X, y).gamma)
    assert.equal(0.3, svm.SVC({ gamma = 0.3 }):fit(X, y).gamma)
    for kernel in ("linear poly rbf sigmoid"):gmatch "%S+" do
      local m = svm.SVC { kernel = kernel, gamma = "auto" }:fit(X, y)
      assert.equal(kernel == "linear", m.coef ~= nil, kernel)
      assert.equal("auto", m:params().gamma)
    end
  end)

  it("SVC's decisions are those of its coefficients", function()
    local X, y = clusters({ 3, 4 }, 10)
    local m = svm.SVC { gamma = 0.2, C = 3 }:fit(X, y)
    local decision = m:decision_function(X)
    for i = 1, #X do
      local sum = m.intercept[1]
      for s = 1, #m.support do
        sum = sum + m.dual_coef[1][s] * math.exp(-0.2 * ((X[i] - m.support_vectors[s]) ^ 2):sum():item())
      end
      assert.near(sum, decision[i], 1e-9)
    end
  end)

  it("SVC shows four classes by pairs", function()
    local X, y = clusters({ 1000, -5, 7, 0 }, 8)
    local m = svm.SVC { kernel = "linear", decision_function_shape = "ovo" }:fit(X, y)
    local s = #m.support
    assert.same({ -5, 0, 7, 1000 }, values(m.classes))
    assert.same({ 3, s }, m.dual_coef.shape)
    assert.same({ 6, 2 }, m.coef.shape)
    for _, name in ipairs { "intercept", "n_iter", "gaps" } do assert.same({ 6 }, m[name].shape) end
    assert.is_true(m:decision_function(X):allclose(X:matmul(m.coef:t()) + m.intercept, { rtol = 1e-9, atol = 1e-9 }))
  end)

  it("LinearSVC shows one machine for two classes, else one for each", function()
    local X, y = clusters({ 4, 9 }, 10, "float32")
    local m = svm.LinearSVC():fit(X, y)
    assert.same({ 1, 2 }, m.coef.shape)
    assert.same({ 1 }, m.intercept.shape)
    assert.equal("float64", m.coef.dtype)
    X, y = clusters({ 4, 9, 2 }, 10)
    assert.equal(m, m:fit(X, y))
    assert.same({ 2, 4, 9 }, values(m.classes))
    assert.same({ 3, 2 }, m.coef.shape)
    assert.same({ 3 }, m.intercept.shape)
    assert.same({ 3 }, m.n_iter.shape)
    assert.same({ 30, 2 }, m.shape_fit)
    assert.is_true(m:decision_function(X):allclose(X:matmul(m.coef:t()) + m.intercept, { rtol = 1e-9, atol = 1e-9 }))
    assert.equal(0, svm.LinearSVC({ fit_intercept = false }):fit(X, y).intercept:abs():sum():item())
  end)

  each_estimator(function(name, new)
    it(name .. "'s arrays are made once, and are copies", function()
      local X, y = clusters({ 1, 2 }, 10)
      local m = new():fit(X, y)
      local before = samples.bits(m:decision_function(X))
      assert.equal(m.intercept, m.intercept)
      m.intercept:fill_(1000)
      assert.equal(before, samples.bits(m:decision_function(X)))
      m.intercept:release()
      assert.truthy(m.intercept[1] ~= 1000)
      local old = m.intercept
      m:fit(X, y)
      assert.not_equal(old, m.intercept)
    end)

    it(name .. " can be released and fitted again", function()
      local X, y = clusters({ 1, 2 }, 10)
      local m = new():fit(X, y)
      local before = picture(m, X)
      m:release()
      m:release()
      fails(name .. ": not fitted; call fit first", m.predict, m, X)
      fails(name .. ": not fitted; call fit first", function() return m.classes end)
      assert.equal(before, picture(m:fit(X, y), X))
      do local _ <close> = m end
      fails(name .. ": not fitted; call fit first", m.predict, m, X)
    end)

    it(name .. " is found by its methods only", function()
      local X = peri.zeros(2, 2)
      fails(name .. ".fit: called with a tensor float32 of 2x2 (expected m:fit(...))",
        new().fit, X, { 1, 2 })
      fails(name .. ".predict: called with nil (expected m:predict(...))", new().predict)
      local other = name == "SVC" and svm.LinearSVC() or svm.SVC()
      fails(("called with %s (expected m:fit(...))"):format(name == "SVC" and "a LinearSVC" or "an SVC"), new().fit,
        other, X, { 1, 2 })
    end)
  end)
end)

describe("X and y of", function()
  each_estimator(function(name, new)
    it(name .. " come as tensors and tables with one outcome", function()
      local X, y = clusters({ -5, 7, 1000 }, 6)
      local expected = picture(new():fit(X, y), X)
      local wide = peri.zeros(#X, 4, { dtype = "float64" })
      wide[{ {}, { 2, 3 } }] = X
      local apart, column = wide[{ {}, { 2, 3 } }], peri.stack({ y, y }, 2)[{ {}, 2 }]
      assert.is_false(apart:is_contiguous() or column:is_contiguous())
      for _, x in ipairs { X, X:totable(), X:t():contiguous():t(), apart, X:clone():detach():requires_grad_() } do
        for _, labels in ipairs { y, y:totable(), y:to "float64", y:to "float32", column } do
          local m = new():fit(x, labels)
          assert.equal(expected, picture(m, x))
          assert.equal(m:score(X, y), m:score(x, labels))
        end
      end
      assert.same({ -5, 7, 1000 }, values(new():fit(X, { -5.0, 7, 1000, table.unpack(values(y), 4) }).classes))
    end)

    it(name .. " may be labels of any size, and uint8", function()
      local X = peri.tensor({ { 0 }, { 1 }, { 0.1 }, { 0.9 } }, { dtype = "float64" })
      local low, high = math.mininteger, math.maxinteger
      local m = new { C = 100 }:fit(X, { low, high, low, high })
      assert.same({ low, high }, values(m.classes))
      assert.same({ low, high, low, high }, values(m:predict(X)))
      assert.same({ 0, 255 }, values(new():fit(X, peri.tensor({ 0, 255, 0, 255 }, { dtype = "uint8" })).classes))
    end)

    it(name .. " are refused with the reason", function()
      local X, y = clusters({ 1, 2 }, 5)
      local m = new():fit(X, y)
      local before = picture(m, X)
      local function refuses(pattern, ...) return fails(pattern, m.fit, m, ...) end
      local holed, infinite, released = X:clone(), X:to "float32", X:clone()
      holed[{ 3, 2 }], infinite[{ 10, 1 }] = 0 / 0, -1 / 0
      released:release()

      refuses(name .. ".fit: X must be a tensor, got nil")
      refuses(name .. ".fit: X must be a tensor, got 'x'", "x", y)
      refuses(name .. ".fit: X is a released tensor", released, y)
      refuses(name .. ".fit: X has shape 10 (expected n x d", X[{ {}, 1 }], y)
      refuses(name .. ".fit: X has shape 1x10x2 (expected n x d", X:unsqueeze(1), y)
      refuses(name .. ".fit: X is int64 (expected float32 or float64)", X:to "int64", y)
      refuses(name .. ".fit: X is 10x0 (expected 1 or more features)", peri.zeros(10, 0), y)
      refuses("X has 0 rows", peri.zeros(0, 2), peri.zeros(0, { dtype = "int64" }))
      refuses(name .. ".fit: X is an empty table", {}, {})
      refuses(name .. ".fit: row 1 of X is 1 (expected a table of numbers)", { 1, 2 }, { 1, 2 })
      refuses(name .. ".fit: row 2 of X is 'a' (expected a table of numbers)", { { 1 }, "a" }, { 1, 2 })
      refuses(name .. ".fit: row 2 of X has 1 values but row 1 has 2", { { 1, 2 }, { 3 } }, { 1, 2 })
      refuses(name .. ".fit: X has '4' in row 2, column 2 (expected a number)", { { 1, 2 }, { 3, "4" } }, { 1, 2 })
      refuses("in row 3, column 2 (expected finite numbers)", holed, y)
      refuses("X has -inf in row 10, column 1 (expected finite numbers)", infinite, y)

      refuses(name .. ".fit: y must be a tensor, got nil", X)
      refuses(name .. ".fit: X has 10 rows but y has 9 labels", X, y[{ { 1, 9 } }])
      refuses(name .. ".fit: X has 10 rows but y has 2 labels", X, { 1, 2 })
      refuses(name .. ".fit: y has shape 10x1 (expected one dimension", X, y:unsqueeze(2))
      refuses(name .. ".fit: y is bool", X, y:eq(1))
      local float = y:to "float64"
      float[4] = 1.5
      refuses(name .. ".fit: entry 4 of y is 1.5 (expected a whole number)", X, float)
      float[4] = 0 / 0
      refuses("(expected a whole number)", X, float)
      float[4] = 2 ^ 63
      refuses("(expected a whole number)", X, float)
      refuses(name .. ".fit: entry 2 of y is '2' (expected a whole number)", { { 1 }, { 2 } }, { 1, "2" })
      refuses(name .. ".fit: entry 2 of y is 2.5 (expected a whole number)", { { 1 }, { 2 } }, { 1, 2.5 })
      refuses("y has 1 class (7)", X, y * 0 + 7)

      refuses(name .. ".fit: X has 10 rows but sample_weight has 2 values", X, y, { sample_weight = { 1, 2 } })
      refuses(name .. ".fit: entry 2 of sample_weight is 'a' (expected a number)", { { 1 }, { 2 } }, { 1, 2 },
        { sample_weight = { 1, "a" } })
      refuses("sample weight 1 is -1", { { 1 }, { 2 } }, { 1, 2 }, { sample_weight = { -1, 1 } })
      refuses("sample weight 2 is", { { 1 }, { 2 } }, { 1, 2 }, { sample_weight = { 1, 0 / 0 } })
      refuses("all of weight 0", X, y, { sample_weight = peri.zeros(10) })
      refuses("y has 1 class (2)", { { 1 }, { 2 } }, { 1, 2 }, { sample_weight = { 0, 1 } })
      refuses(name .. ".fit: sample_weight must be a tensor, got 3", X, y, { sample_weight = 3 })
      refuses(name .. ".fit: unknown option weight (known: ", X, y, { weight = 3 })
      refuses(name .. ".fit: options must be a table, got 3", X, y, 3)
      assert.equal(before, picture(m, X))

      m = new { class_weight = { [3] = 1 } }
      refuses("class_weight names 3, which is not among the labels of y", X, y)
      fails("not fitted", m.predict, m, X)
    end)

    it(name .. " to predict are refused with the reason", function()
      local X, y = clusters({ 1, 2 }, 5)
      local m = new():fit(X, y)
      for _, method in ipairs { "predict", "decision_function" } do
        fails(name .. "." .. method .. ": X has 3 features but the fit had 2", m[method], m, peri.zeros(4, 3))
        fails(name .. "." .. method .. ": X has 1 features but the fit had 2", m[method], m, { { 1 }, { 2 } })
        fails(name .. "." .. method .. ": X has shape 2 (expected n x d", m[method], m, X[1])
        fails(name .. "." .. method .. ": X must be a tensor, got 5", m[method], m, 5)
        fails("in row 1, column 2 (expected finite numbers)", m[method], m, { { 1, 0 / 0 } })
      end
      fails(name .. ".score: X has 10 rows but y has 1 labels", m.score, m, X, { 1 })
      fails(name .. ".score: X has 0 rows", m.score, m, peri.zeros(0, 2), {})
      fails("all of weight 0", m.score, m, X, y, { sample_weight = peri.zeros(10) })
      fails("entry 1 of sample_weight is -1", m.score, m, X, y, { sample_weight = -peri.ones(10) })
      assert.same({ 0 }, m:predict(peri.zeros(0, 2)).shape)
      assert.same({ 0 }, m:decision_function(peri.zeros(0, 2)).shape)
      assert.same({ 1 }, m:predict(X[{ { 1, 1 } }]).shape)
    end)
  end)
end)
