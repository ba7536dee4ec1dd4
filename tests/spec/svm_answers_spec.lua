-- What fitted estimators answer, with any number of threads; fits that do not converge.
local peri = require "perilune"
local samples = require "support.samples"
local run = require "support.program"
local svm = peri.svm
local data = peri.data
local estimators = require "support.estimators"
local each_estimator = estimators.each
local clusters, picture = estimators.clusters, estimators.picture

local function values(t) return t:totable() end

describe("the answers of #once", function()
  each_estimator(function(name, new)
    it(name .. " have labels and signs as given", function()
      for _, labels in ipairs { { 1, 2 }, { 7, -5 }, { 0, 1000 } } do
        local X, y = clusters(labels, 15)
        local m = new():fit(X, y)
        local predicted, decision = m:predict(X), m:decision_function(X)
        assert.equal("int64", predicted.dtype)
        assert.equal("float64", decision.dtype)
        assert.same({ 30 }, decision.shape)
        for i = 1, 30 do assert.equal(m.classes[decision[i] > 0 and 2 or 1], predicted[i]) end
        assert.is_true(m:score(X, y) >= 0.95)
      end
    end)

    it(name .. " for several classes have a column for each", function()
      for _, labels in ipairs { { -5, 7, 1000 }, { 4, 3, 2, 1 } } do
        local X, y = clusters(labels, 15)
        local m = new { C = 10 }:fit(X, y)
        local predicted, decision = m:predict(X), m:decision_function(X)
        assert.same({ 15 * #labels, #labels }, decision.shape)
        assert.is_true(m:score(X, y) >= 0.95)
        local best = decision:argmax(2)
        for i = 1, #X do assert.equal(m.classes[best[i]], predicted[i]) end
      end
    end)

    it(name .. " are float64 for float32 features, and near those of float64", function()
      local X, y = clusters({ 1, 2, 3 }, 20)
      X = X:to("float32"):to("float64")
      local wide, narrow = new { tol = 1e-6 }:fit(X, y), new { tol = 1e-6 }:fit(X:to "float32", y)
      assert.equal("float64", narrow:decision_function(X:to "float32").dtype)
      assert.same(values(wide:predict(X)), values(narrow:predict(X:to "float32")))
      local difference = (wide:decision_function(X) - narrow:decision_function(X:to "float32")):abs():max()
      assert.truthy(difference:item() < 1e-3)
      -- Either machine takes either dtype.
      for _, m in ipairs { wide, narrow } do
        local single = m:decision_function(X:to "float32")
        assert.is_true(m:decision_function(X):allclose(single, { rtol = 1e-5, atol = 1e-5 }))
      end
    end)

    it(name .. " give a score", function()
      local X, y = clusters({ 1, 2 }, 10)
      local m = new():fit(X, y)
      local wrong = y:clone()
      for i = 1, 5 do wrong[i] = 3 - m:predict(X)[i] end
      for i = 6, 20 do wrong[i] = m:predict(X)[i] end
      assert.equal("float", math.type(m:score(X, wrong)))
      assert.equal(0.75, m:score(X, wrong))
      assert.equal(0, m:score(X, y + 100))
      local weight = peri.ones(20)
      weight[{ { 1, 5 } }] = 3
      assert.equal(0.5, m:score(X, wrong, { sample_weight = weight }))
      weight[{ { 1, 5 } }] = 0
      assert.equal(1, m:score(X, wrong, { sample_weight = weight:totable() }))
    end)

    it(name .. " heed weights", function()
      local X, y = data.circles(120, { noise = 0.4, seed = 5, dtype = "float64" })
      local function share(m) return m:predict(X):eq(2):to("float64"):mean():item() end
      local none, heavy = new():fit(X, y), new { class_weight = { [2] = 20 } }:fit(X, y)
      assert.truthy(share(heavy) > share(none))
      -- A class weight is the same sample weight for its rows.
      local weight = y:eq(2):to "float64" * 19 + 1
      local weighted = new():fit(X, y, { sample_weight = weight })
      assert.is_true(heavy:decision_function(X):allclose(weighted:decision_function(X), { rtol = 1e-9, atol = 1e-9 }))
      -- Rows of weight 0 are as if absent; balanced adds up the weights of the others.
      local keep = peri.ones(120, { dtype = "float64" })
      keep[{ { 1, 40 } }] = 0
      local rest = { X[{ { 41, 120 } }], y[{ { 41, 120 } }] }
      for _, class_weight in ipairs { "balanced", { [1] = 2 } } do
        local part = new { class_weight = class_weight }:fit(table.unpack(rest))
        local zeroed = new { class_weight = class_weight }:fit(X, y, { sample_weight = keep })
        assert.equal(samples.bits(part:decision_function(X)), samples.bits(zeroed:decision_function(X)))
      end
      local ratio = 80 / (2 * rest[2]:eq(1):to("float64"):sum():item())
      local other = 80 / (2 * rest[2]:eq(2):to("float64"):sum():item())
      local balanced = new { class_weight = "balanced" }:fit(table.unpack(rest))
      local listed = new { class_weight = { ratio, other } }:fit(table.unpack(rest))
      assert.is_true(balanced:decision_function(X):allclose(listed:decision_function(X), { rtol = 1e-9, atol = 1e-9 }))
    end)
  end)

  it("SVC have a shape: votes for classes, or pairs", function()
    local X, y = clusters({ 10, 20, 30, 40 }, 15)
    local m = svm.SVC { decision_function_shape = "ovo" }:fit(X, y)
    local ovo, ovr = m:decision_function(X), m:clone { decision_function_shape = "ovr" }:fit(X, y):decision_function(X)
    local predicted = m:predict(X)
    assert.same({ 60, 6 }, ovo.shape)
    assert.same({ 60, 4 }, ovr.shape)
    for i = 1, 60 do
      local votes, confidence, column = { 0, 0, 0, 0 }, { 0, 0, 0, 0 }, 0
      for a = 1, 3 do
        for b = a + 1, 4 do
          column = column + 1
          local d = ovo[{ i, column }]
          local winner = d > 0 and a or b
          votes[winner] = votes[winner] + 1
          confidence[a], confidence[b] = confidence[a] + d, confidence[b] - d
        end
      end
      local best = 1
      for c = 1, 4 do
        if votes[c] > votes[best] then best = c end
        assert.near(votes[c] + confidence[c] / (3 * (math.abs(confidence[c]) + 1)), ovr[{ i, c }], 1e-12)
      end
      assert.equal(m.classes[best], predicted[i])
    end
    local two = clusters({ 1, 2 }, 5)
    local pair = svm.SVC({ decision_function_shape = "ovo" }):fit(two, { 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 })
    assert.same({ 10 }, pair:decision_function(two).shape)
  end)

  it("SVC learn rings that no line parts", function()
    local X, y = data.circles(200, { noise = 0.15, factor = 0.5, seed = 1 })
    local fresh_X, fresh_y = data.circles(2000, { noise = 0.15, factor = 0.5, seed = 2 })
    assert.truthy(svm.SVC({ kernel = "rbf" }):fit(X, y):score(fresh_X, fresh_y) >= 0.93)
    assert.truthy(svm.SVC({ kernel = "poly", degree = 2 }):fit(X, y):score(fresh_X, fresh_y) >= 0.93)
    assert.truthy(svm.SVC({ kernel = "linear" }):fit(X, y):score(fresh_X, fresh_y) <= 0.65)
    assert.truthy(svm.LinearSVC():fit(X, y):score(fresh_X, fresh_y) <= 0.65)
  end)

  it("LinearSVC depend on the seed in the last digits only", function()
    local X, y = clusters({ 1, 2, 3 }, 20)
    local a, b = svm.LinearSVC { seed = 1 }:fit(X, y), svm.LinearSVC { seed = 1 }:fit(X, y)
    local c = svm.LinearSVC { seed = 2, tol = 1e-8 }:fit(X, y)
    assert.equal(picture(a, X), picture(b, X))
    assert.is_true(a.coef:allclose(c.coef, { rtol = 1e-2, atol = 1e-3 }))
  end)
end)

describe("a fit that does not converge #once", function()
  local limits = { SVC = { max_iter = 2 }, LinearSVC = { loss = "hinge", max_iter = 1, tol = 1e-9 } }

  each_estimator(function(name, new)
    it("is told by " .. name, function()
      local X, y = data.circles(100, { noise = 0.3, seed = 1 })
      local m = new(limits[name]):fit(X, y)
      assert.equal(1, m.fit_status)
      assert.truthy(m.gap >= m.tol)
      assert.equal(limits[name].max_iter, m.n_iter[1])
      assert.same({ 100 }, m:predict(X).shape)
    end)

    it("is one warning of " .. name .. ", silent unless asked for", function()
      local hinge = limits[name].loss and 'loss = "hinge", ' or ""
      local script = ([[
        local peri = require "perilune"
        local X, y = peri.data.circles(100, {noise = 0.3, seed = 1})
        peri.svm.%s{%smax_iter = %d, tol = 1e-9}:fit(X, y)
        peri.svm.%s():fit(X, y)]]):format(name, hinge, limits[name].max_iter, name)
      local out, err, status = run({ "-e", script })
      assert.same({ "", "", 0 }, { out, err, status })
      out, err, status = run({ "-W", "-e", script })
      assert.same({ "", 0 }, { out, status })
      assert.truthy(err:find(name .. ".fit: a limit came before tol", 1, true), err)
      assert.equal(1, select(2, err:gsub("\n", "\n")))
    end)
  end)
end)

describe("with any number of threads #once", function()
  local before = peri.get_num_threads()
  after_each(function() peri.set_num_threads(before) end)

  local function same_bits(make, X, y, T)
    local expected
    for _, threads in ipairs { 1, 2, 3, 7 } do
      peri.set_num_threads(threads)
      local now = picture(make():fit(X, y), T)
      assert.equal(expected or now, now, threads .. " threads")
      expected = now
    end
  end

  it("SVC has the same bits on ten classes", function()
    local X, y = clusters({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, 100) -- enough for pairs to run side by side
    local T = peri.randn({ 3000, 2 }, { dtype = "float64" })
    same_bits(function() return svm.SVC { C = 10 } end, X, y, T)
    same_bits(function() return svm.SVC { decision_function_shape = "ovo" } end, X:to "float32", y, T:to "float32")
    same_bits(function() return svm.SVC { kernel = "poly", degree = 2, cache_size = 0.5 } end, X, y, T)
  end)

  it("SVC has the same bits on many features", function()
    local X, y = data.digits(200, { seed = 1 })
    same_bits(svm.SVC, X, y, data.digits(300, { seed = 2 }))
  end)

  it("LinearSVC has the same bits on ten classes", function()
    local X, y = data.digits(300, { seed = 1 })
    same_bits(function() return svm.LinearSVC { max_iter = 20 } end, X, y, data.digits(100, { seed = 2 }))
  end)

  it("SVC has the same bits on two classes", function()
    local X, y = data.circles(1500, { noise = 0.3, seed = 1 })
    same_bits(function() return svm.SVC { C = 100 } end, X, y, data.circles(1000, { noise = 0.3, seed = 2 }))
  end)
end)
