-- The linear estimators as a script meets them: every option, values of scikit-learn, bad input, files. That the
-- machines are optimal is tested in C.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").with
local picture = require("support.estimators").picture
local svm, data = peri.svm, peri.data

local names = { "LinearSVC", "LinearSVR", "LogisticRegression" }
local rows = {}
for _, row in ipairs(svm.machines()) do rows[row.name] = row end

local function near(wanted, got, by)
  assert.truthy(math.abs(wanted - got) < (by or 1e-5), ("%.9g, not %.9g"):format(got, wanted))
end

-- 20 k rows in the plane, k clusters around the origin in turn; and a number for each row.
local function groups(k, labels)
  local X, y, z = {}, {}, {}
  for i = 1, 20 * k do
    local c = i % k + 1
    local turn = 2 * math.pi * c / k
    X[i] = { 3 * math.cos(turn) + math.sin(7 * i), 3 * math.sin(turn) + math.cos(5 * i) }
    y[i] = labels and labels[c] or c
    z[i] = 1 + 2 * X[i][1] - X[i][2] + 0.3 * math.sin(11 * i)
  end
  return peri.tensor(X, { dtype = "float64" }), peri.tensor(y, { dtype = "int64" }),
    peri.tensor(z, { dtype = "float64" })
end

local function fit(name, options, k, labels)
  local X, y, z = groups(k or 3, labels)
  return svm[name](options):fit(X, name == "LinearSVR" and z or y), X
end

-- Every set of options that says something about the problem.
local problems = {
  LinearSVC = {
    {}, { loss = "hinge" }, { penalty = "l1" }, { multi_class = "crammer_singer" }, { class_weight = "balanced" },
    { fit_intercept = false }, { intercept_scaling = 10 },
  },
  LinearSVR = { { max_iter = 100000 }, { epsilon = 0.5 }, { loss = "squared_epsilon_insensitive", epsilon = 0.1 } },
  LogisticRegression = { {}, { penalty = "l1" }, { class_weight = { [1] = 3 } }, { fit_intercept = false } },
}

local function each(visit)
  for _, name in ipairs(names) do
    for i, options in ipairs(problems[name]) do visit(name, options, name .. " " .. i) end
  end
end

describe("the options of #once", function()
  for _, name in ipairs(names) do
    it(name .. " have their defaults, are read and cloned, and refuse nonsense", function()
      local m = svm[name]()
      for _, option in ipairs(rows[name].options) do
        assert.equal(option.default, m[option.name], option.name)
        assert.truthy(#option.doc > 0)
        fails(name .. ": ", svm[name], { [option.name] = {} })
      end
      assert.equal(0.25, m:clone({ C = 0.25 }):clone().C)
      fails(name .. ": unknown option degree", svm[name], { degree = 2 })
      for _, option in ipairs { "C", "tol", "intercept_scaling", "time_limit" } do
        for _, value in ipairs { 0, -1, 0 / 0 } do fails(option, svm[name], { [option] = value }) end
      end
      fails("C is inf (expected a finite number)", svm[name], { C = math.huge })
      fails("max_iter", svm[name], { max_iter = 0 })
      assert.equal(math.huge, m.time_limit)
    end)
  end

  it("some belong to one alone", function()
    fails("unknown option epsilon", svm.LinearSVC, { epsilon = 0.1 })
    fails("unknown option class_weight", svm.LinearSVR, { class_weight = "balanced" })
    fails("unknown option loss", svm.LogisticRegression, { loss = "hinge" })
    fails("epsilon", svm.LinearSVR, { epsilon = -1 })
    fails("penalty", svm.LinearSVC, { penalty = "elasticnet" })
  end)
end)

describe("a fit of #once", function()
  each(function(name, options, title)
    it(title .. " shows its fields", function()
      for k = 2, 3 do
        local m, X = fit(name, options, k, { 12, 1, -3 })
        local regression = name == "LinearSVR"
        local r = (regression or k == 2) and 1 or k
        assert.same({ r, 2 }, m.coef.shape)
        for _, field in ipairs { "intercept", "n_iter", "gaps" } do assert.same({ r }, m[field].shape, field) end
        assert.equal("float64", m.coef.dtype)
        assert.equal("int64", m.n_iter.dtype)
        assert.equal(0, m.fit_status)
        assert.truthy(m.gap <= m.tol and m.gap == m.gaps:max():item())
        assert.same({ 20 * k, 2 }, m.shape_fit)
        assert.same(r == 1 and { 20 * k } or { 20 * k, k }, m:decision_function(X).shape)
        assert.equal(regression and "float64" or "int64", m:predict(X).dtype)
        if not regression then assert.same(k == 2 and { 1, 12 } or { -3, 1, 12 }, m.classes:totable()) end
        if options.fit_intercept == false then assert.equal(0, m.intercept:abs():sum():item()) end
      end
    end)

    it(title .. " fits, on float32 too, and on a table", function()
      local X, y, z = groups(3)
      local target = name == "LinearSVR" and z or y
      for _, x in ipairs { X, X:to "float32", X:totable() } do
        local m = svm[name](options):fit(x, target)
        assert.truthy(m:score(x, target) > 0.9)
      end
    end)

    it(title .. " has the same bits with any number of threads", function()
      local kept
      local before = peri.get_num_threads()
      for threads = 1, 3 do
        peri.set_num_threads(threads)
        local m, X = fit(name, options)
        kept = kept or picture(m, X)
        assert.equal(kept, picture(m, X))
      end
      peri.set_num_threads(before)
    end)

    it(title .. " comes back from a file", function()
      local m, X = fit(name, options)
      local path = os.tmpname()
      m:save(path)
      local other = svm.load(path)
      assert.equal(picture(m, X), picture(other, X))
      assert.same(m:params(), other:params())
      os.remove(path)
    end)

    it(title .. " counts a row of weight 2 twice, and one of weight 0 not at all", function()
      local X, y, z = groups(3)
      local target = name == "LinearSVR" and z or y
      local index, weights = {}, {}
      for i = 1, 60 do
        weights[i] = i // 3 % 3
        for _ = 1, weights[i] do index[#index + 1] = i end
      end
      local at = peri.tensor(index, { dtype = "int64" })
      local exact = { tol = 1e-9, max_iter = 1000000 }
      for key, value in pairs(options) do exact[key] = value end
      local one = svm[name](exact):fit(X, target, { sample_weight = weights })
      local other = svm[name](exact):fit(X[at], target[at])
      assert.truthy((one.coef - other.coef):abs():max() < 1e-4)
    end)
  end)
end)

describe("scikit-learn's values:", function()
  -- X = [[0, 1], [1, 0.5], [2, -1], [0.5, 2], [3, 1], [-1, 0]], y = [1, 1, 2, 1, 2, 1], tol 1e-10
  local X = { { 0, 1 }, { 1, 0.5 }, { 2, -1 }, { 0.5, 2 }, { 3, 1 }, { -1, 0 } }
  local y, z = { 1, 1, 2, 1, 2, 1 }, { 0.3, 1, 2.5, 0.1, 2.8, -1.2 }
  local cases = {
    { "LinearSVC", { C = 0.5 }, 0.501325343, -0.365333641, -0.496945949 },
    { "LinearSVC", { C = 0.5, loss = "hinge" }, 0.659090909, -0.363636364, -0.613636364 },
    { "LinearSVC", { penalty = "l1" }, 0.51136964, -0.333685886, -0.531200412 },
    { "LinearSVC", { C = 0.5, multi_class = "crammer_singer" }, 0.666666667, -0.333333333, -0.666666667 },
    { "LinearSVC", { C = 0.5, intercept_scaling = 4 }, 0.680428135, -0.321100917, -0.95412844 },
    { "LinearSVC", { C = 0.5, fit_intercept = false }, 0.429906542, -0.61682243, 0 },
    { "LinearSVR", { epsilon = 0.1 }, 0.983333333, -0.241666667, 0.191666667 },
    { "LinearSVR", { epsilon = 0.1, loss = "squared_epsilon_insensitive" }, 0.981345512, -0.164236782, 0.12302828 },
    { "LogisticRegression", { C = 2 }, 1.03982128, -0.899317083, -0.91538261 },
    { "LogisticRegression", { C = 2, penalty = "l1" }, 1.02224452, -0.852626878, -0.874496751 },
  }
  for i, case in ipairs(cases) do
    it(case[1] .. " " .. i, function()
      local options = { tol = 1e-9, max_iter = 1000000 }
      for key, value in pairs(case[2]) do options[key] = value end
      local m = svm[case[1]](options):fit(X, case[1] == "LinearSVR" and z or y)
      near(case[3], m.coef[1][1])
      near(case[4], m.coef[1][2])
      near(case[5], m.intercept[1])
    end)
  end
end)

describe("probabilities of LogisticRegression #once", function()
  for k = 2, 4 do
    it(("sum to 1 and agree with predict, %d classes"):format(k), function()
      local m, X = fit("LogisticRegression", {}, k, { 5, -2, 9, 0 })
      for _, scale in ipairs { 1e-15, 1, 1e5 } do
        local far = X * scale
        local p, predicted = m:predict_proba(far), m:predict(far)
        assert.same({ 20 * k, k }, p.shape)
        assert.truthy((p:sum(2) - 1):abs():max() < 1e-14)
        for i = 1, 20 * k do assert.equal(predicted[i], m.classes[p[i]:argmax()]) end
      end
    end)
  end

  it("are its alone", function()
    fails("there is no field or method predict_proba", function() return fit("LinearSVC").predict_proba end)
  end)
end)

describe("bad input #once", function()
  for _, name in ipairs(names) do
    it("leaves " .. name .. " as it was", function()
      local X, y, z = groups(3)
      local target = name == "LinearSVR" and z or y
      local m = svm[name]():fit(X, target)
      local before = picture(m, X)
      local function refuses(pattern, ...)
        fails(pattern, m.fit, m, ...)
        assert.equal(before, picture(m, X))
      end
      refuses("X has inf in row 1, column 2", { { 0, math.huge }, { 1, 2 } }, { 1, 2 })
      refuses("nan in row 2, column 1", { { 0, 1 }, { 0 / 0, 2 } }, { 1, 2 })
      refuses(name .. ".fit", X, peri.ones(3))
      refuses(name .. ".fit", X, target, { sample_weight = { 1 } })
      refuses("unknown option progress", X, target, { progress = print })
      refuses("scale the features", X * 1e300, target)
      local negative = peri.ones(60)
      negative[7] = -1
      refuses("sample weight 7 is -1", X, target, { sample_weight = negative })
      fails("X has 3 features but the fit had 2", m.predict, m, peri.ones(4, 3))
      if name ~= "LinearSVR" then
        refuses("y has 1 class (4); at least 2 are needed", { { 1, 2 }, { 2, 3 } }, { 4, 4 })
        refuses("whole", { { 1, 2 }, { 2, 3 } }, { 1, 1.5 })
      else
        refuses("nan", { { 1, 2 }, { 2, 3 } }, { 1, 0 / 0 })
      end
      fails("not fitted", m:clone().predict, m:clone(), X)
    end)
  end

  it("an L1 penalty with the hinge is refused with its way out", function()
    fails(
      "loss 'hinge' does not go with penalty 'l1' (expected loss 'squared_hinge', or penalty 'l2')",
      fit, "LinearSVC", { penalty = "l1", loss = "hinge" }
    )
  end)

  it("a class weight names labels of y", function()
    fails("class_weight names 8", fit, "LogisticRegression", { class_weight = { [8] = 2 } })
  end)
end)

describe("limits #once", function()
  it("of time stop a fit that goes on for long, and say what was left", function()
    local X = peri.randn(20000, 50, { dtype = "float64" })
    local y = peri.randint(1, 4, { 20000 })
    local z = peri.randn(20000, { dtype = "float64" })
    for _, options in ipairs {
      { "LinearSVC", loss = "hinge", C = 1e4, tol = 1e-12, max_iter = 1000000 },
      { "LinearSVC", multi_class = "crammer_singer", C = 1e4, tol = 1e-12, max_iter = 1000000 },
      { "LinearSVR", C = 1e4, tol = 1e-14, max_iter = 1000000 },
    } do
      local name = table.remove(options, 1)
      options.time_limit = 0.05
      local m = svm[name](options):fit(X, name == "LinearSVR" and z or y)
      assert.equal(1, m.fit_status)
      assert.truthy(m.gap > m.tol and m.gap < math.huge)
    end
  end)

  it("of time are shared by the machines of a fit", function()
    local X, y = peri.randn(200, 5), peri.randint(1, 6, { 200 })
    local options = { loss = "hinge", C = 1e4, tol = 1e-300, max_iter = 2 ^ 40, time_limit = 1 }
    local shared = false -- the machine may stand still for as long as the limit: then no fit can tell
    for _ = 1, 5 do
      shared = shared or svm.LinearSVC(options):fit(X, y).n_iter:min():item() > 1 -- 1 for those that had none
    end
    assert.is_true(shared)
  end)

  it("of steps are counted", function()
    local m = fit("LinearSVC", { loss = "hinge", C = 100, tol = 1e-12, max_iter = 3 })
    assert.equal(1, m.fit_status)
    assert.equal(3, m.n_iter:max():item())
  end)
end)

it("Crammer and Singer's problem goes on as long as it takes, unless max_iter is given", function()
  local X, y = data.blobs(150, { centers = 3, features = 4, noise = 3, seed = 1, dtype = "float64" })
  local options = { C = 100, multi_class = "crammer_singer" }
  local m = svm.LinearSVC(options):fit(X, y)
  assert.equal(-1, m.max_iter)
  assert.truthy(m.n_iter[1] > 1000)
  for max_iter, same in pairs { [100000] = true, [1000] = false } do
    options.max_iter = max_iter
    assert.equal(same, svm.LinearSVC(options):fit(X, y).coef:equal(m.coef))
  end
  assert.equal(1000, svm.LinearSVC({ loss = "hinge", C = 1e6, tol = 1e-9 }):fit(X, y).n_iter:max():item())
end)

it("L1 penalties on features that depend on each other have the same bits with any number of threads", function()
  local X = peri.randn(600, 30, { dtype = "float64" }) + peri.randn(600, 1, { dtype = "float64" })
  local y = (X[{ {}, { 1, 4 } }]:sum(2) + peri.randn(600)):gt(0):to "int64" + X:select(2, 5):gt(1):to "int64" * 2
  local before = peri.get_num_threads()
  for _, name in ipairs { "LogisticRegression", "LinearSVC" } do
    local kept
    for threads = 1, 3 do
      peri.set_num_threads(threads)
      local m = svm[name]({ penalty = "l1", C = 10 }):fit(X, y)
      assert.equal(0, m.fit_status)
      kept = kept or samples.bits(m.coef)
      assert.equal(kept, samples.bits(m.coef))
    end
  end
  peri.set_num_threads(before)
end)

it("more features than rows are no harm", function()
  local X, y = peri.randn(30, 200), peri.randint(1, 2, { 30 })
  for _, name in ipairs(names) do
    local m = svm[name]():fit(X, y)
    assert.equal(0, m.fit_status)
    assert.truthy(m:score(X, y) > 0.9)
  end
end)

it("digits are read", function()
  local X, y = data.digits(600, { seed = 1 })
  local fresh_X, fresh_y = data.digits(200, { seed = 2 })
  for _, name in ipairs { "LinearSVC", "LogisticRegression" } do
    assert.truthy(svm[name]({ C = 0.1 }):fit(X, y):score(fresh_X, fresh_y) > 0.8)
  end
end)
