-- peri.svm: the estimators as a script meets them. That the machines solve their programmes is tested in C.
local peri = require "perilune"
local samples = require "support.samples"
local run = require "support.program"
local fails = require("support.fails").with
local svm, data = peri.svm, peri.data

local machines = {}
for _, machine in ipairs(svm.machines()) do machines[machine.name] = machine end

local function each_estimator(visit)
  for _, name in ipairs { "SVC", "LinearSVC" } do visit(name, svm[name]) end
end

-- Rows of k clusters in the plane, well apart, in turn; labels[c] is the label of cluster c.
local function clusters(labels, each, dtype)
  local rows, y = {}, {}
  for i = 1, each do
    for c, label in ipairs(labels) do
      local turn = 2 * math.pi * c / #labels
      rows[#rows + 1] = { 3 * math.cos(turn) + math.sin(7 * i + c), 3 * math.sin(turn) + math.cos(5 * i * c) }
      y[#y + 1] = label
    end
  end
  return peri.tensor(rows, { dtype = dtype or "float64" }), peri.tensor(y, { dtype = "int64" })
end

-- All that can be seen of a fitted estimator and its answers.
local function picture(m, X)
  local list = {}
  for _, name in ipairs(machines[tostring(m):match "^%a+"].fields) do
    local value = m[name]
    list[#list + 1] = samples.bits(type(value) == "table" and table.concat(value, " ") or value)
  end
  list[#list + 1] = samples.bits(m:predict(X))
  list[#list + 1] = samples.bits(m:decision_function(X))
  return table.concat(list, "\n")
end

local function values(t) return t:totable() end

-- ---- options ----

describe("the options of", function()
  each_estimator(function(name, new)
    local machine = machines[name]

    it(name .. " have their defaults", function()
      for _, m in ipairs { new(), new {}, new(nil) } do
        local params, n = m:params(), 0
        for _, option in ipairs(machine.options) do
          assert.equal(option.default, params[option.name], option.name)
          assert.equal(option.default, m[option.name], option.name)
          assert.truthy(#option.doc > 0)
        end
        for _ in pairs(params) do n = n + 1 end
        assert.equal(#machine.options + (name == "SVC" and 1 or 0), n)
        assert.is_nil(m.class_weight)
      end
    end)

    it(name .. " are checked one by one", function()
      for _, option in ipairs(machine.options) do
        local wrong_values = { {}, peri.zeros(2), "nonsense", 0 / 0 }
        if option.name ~= "kernel" then wrong_values[5] = print end
        for _, wrong in ipairs(wrong_values) do
          fails(name .. ": " .. option.name .. " must be ", new, { [option.name] = wrong })
        end
        if option.choices then
          for word in option.choices:gmatch "%S+" do assert.equal(word, new({ [option.name] = word })[option.name]) end
          fails(option.choices, new, { [option.name] = 1 })
        elseif type(option.default) == "boolean" then
          assert.equal(not option.default, new({ [option.name] = not option.default })[option.name])
          fails("must be true or false", new, { [option.name] = 1 })
        else
          assert.equal(7, new({ [option.name] = 7 })[option.name])
          fails("must be", new, { [option.name] = true })
        end
        if math.type(option.default) == "integer" then
          fails("must be a whole number, got 1.5", new, { [option.name] = 1.5 })
          fails(("%s: %s is -2.0"):format(name, option.name), new, { [option.name] = -2 })
        end
        if option.doc:find("> 0", 1, true) then
          for _, value in ipairs { 0, -1.5 } do
            local text = ("%s: %s is %s (expected a number > 0)"):format(name, option.name, value + 0.0)
            fails(text, new, { [option.name] = value })
          end
        end
      end
    end)

    it(name .. " that are unknown list the known", function()
      local message = fails(name .. ": unknown option gama (known: ", new, { gama = 1 })
      for _, option in ipairs(machine.options) do assert.truthy(message:find(option.name, 1, true), option.name) end
      for _, option in ipairs(machine.also) do assert.truthy(message:find(option, 1, true), option) end
      fails("options must have names", new, { 1 })
      fails("options must be a table, got 3", new, 3)
    end)

    it(name .. " have class weights", function()
      assert.equal("balanced", new({ class_weight = "balanced" }).class_weight)
      assert.same({ [-5] = 2, [7] = 0.5 }, new({ class_weight = { [-5.0] = 2, [7] = 0.5 } }).class_weight)
      assert.same({}, new({ class_weight = {} }).class_weight)
      fails("class_weight must be 'balanced' or a table {[label] = weight}, got 'even'", new, { class_weight = "even" })
      fails("class_weight must be 'balanced' or a table {[label] = weight}, got 2", new, { class_weight = 2 })
      fails("class_weight has the label 'a' (expected a whole number)", new, { class_weight = { a = 1 } })
      fails("class_weight has the label 1.5 (expected a whole number)", new, { class_weight = { [1.5] = 1 } })
      for _, weight in ipairs { 0, -1, 1 / 0, 0 / 0, "1", false } do
        fails("class_weight of 3 is ", new, { class_weight = { [3] = weight } })
      end
    end)

    it(name .. " cannot be set later, and are copies", function()
      local given = { C = 2, class_weight = { 1, 3 } }
      local m = new(given)
      given.C, given.class_weight[1] = 9, 9
      m.class_weight[2] = 9
      m:params().C = 9
      m:params().class_weight[1] = 9
      assert.equal(2, m.C)
      assert.same({ 1, 3 }, m.class_weight)
      fails(name .. ": C cannot be set", function() m.C = 3 end)
      fails(name .. ": weight cannot be set", function() m.weight = 3 end)
      fails(name .. ": there is no field or method foo", function() return m.foo end)
      fails(name .. ": there is no field or method 1", function() return m[1] end)
    end)

    it(name .. " go into clones", function()
      local X, y = clusters({ 1, 2 }, 10)
      local m = new { C = 2, tol = 1e-2, class_weight = { [2] = 3 } }:fit(X, y)
      local copy, changed = m:clone(), m:clone { C = 5, class_weight = "balanced" }
      assert.same(m:params(), copy:params())
      assert.same(m:params(), new(m:params()):params())
      fails("not fitted", copy.predict, copy, X)
      assert.equal(5, changed.C)
      assert.equal(1e-2, changed.tol)
      assert.equal("balanced", changed.class_weight)
      assert.equal(2, m.C)
      assert.equal(picture(m, X), picture(copy:fit(X, y), X))
      fails(name .. ": unknown option c", m.clone, m, { c = 1 })
      fails(name .. ".clone: changes must be a table of options, got 1", m.clone, m, 1)
    end)
  end)

  it("SVC have gamma as a word or a number", function()
    for _, gamma in ipairs { "scale", "auto", 0.25 } do
      local m = svm.SVC { gamma = gamma }
      assert.equal(gamma, m.gamma)
      assert.equal(gamma, m:params().gamma)
    end
    fails("SVC: gamma must be scale, auto or a number, got 'wide'", svm.SVC, { gamma = "wide" })
    fails("SVC: gamma must be scale, auto or a number, got true", svm.SVC, { gamma = true })
    for _, gamma in ipairs { 0, -1, 1 / 0, 0 / 0 } do
      fails("(expected a finite number > 0)", svm.SVC, { gamma = gamma })
    end
    fails("unknown option gamma", svm.LinearSVC, { gamma = 1 })
  end)

  it("SVC allow an infinite C, LinearSVC does not", function()
    assert.equal(math.huge, svm.SVC({ C = math.huge }).C)
    fails("LinearSVC: C must be finite", svm.LinearSVC, { C = math.huge })
  end)
end)

describe("the text of", function()
  each_estimator(function(name, new)
    it(name .. " is its options, and makes the same estimator", function()
      local m = new { C = 0.1, tol = 1e-4, class_weight = { [7] = 0.5, [-5] = 2 } }
      local text = tostring(m)
      assert.truthy(text:find("C = 0.1, ", 1, true))
      assert.truthy(text:find("class_weight = {[-5] = 2, [7] = 0.5}}", 1, true), text)
      assert.same(m:params(), load("local svm = ... return svm." .. text)(svm):params())
      assert.equal('"balanced"', tostring(new { class_weight = "balanced" }):match "class_weight = (%b\"\")")
      m = new():fit(clusters({ 1, 2, 3 }, 5))
      assert.truthy(tostring(m):find("} fitted on 15x2, 3 classes", 1, true), tostring(m))
    end)
  end)

  it("SVC writes a hard margin as Lua does", function()
    assert.truthy(tostring(svm.SVC { C = math.huge }):find("C = math.huge", 1, true))
    assert.truthy(tostring(svm.SVC {}):find('gamma = "scale"', 1, true))
  end)
end)

describe("the documentation of", function()
  each_estimator(function(name, new)
    it(name .. " names every option, field and method", function()
      local text = peri.documentation(new)
      assert.equal(text, machines[name].doc)
      for _, option in ipairs(machines[name].options) do assert.truthy(text:find(option.name, 1, true), option.name) end
      for _, option in ipairs(machines[name].also) do assert.truthy(text:find(option, 1, true), option) end
      for _, field in ipairs(machines[name].fields) do assert.truthy(text:find(field, 1, true), field) end
      assert.truthy(text:find("Source: ", 1, true))
      for _, method in ipairs { "fit", "predict", "decision_function", "score", "clone", "params", "release" } do
        assert.truthy(peri.documentation(new()[method]):find("m:" .. method, 1, true) == 1, method)
        assert.truthy(text:find(method, 1, true), method)
      end
    end)
  end)
end)

-- ---- fit, and what it shows ----

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
      fails(name .. ".fit: the first argument must be the estimator (m:fit), got a tensor float32 of 2x2",
        new().fit, X, { 1, 2 })
      fails(name .. ".predict: the first argument must be the estimator (m:predict), got nil", new().predict)
      local other = name == "SVC" and svm.LinearSVC() or svm.SVC()
      fails("the first argument must be the estimator", new().fit, other, X, { 1, 2 })
    end)
  end)
end)

-- ---- what goes in ----

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

-- ---- what comes out ----

describe("the answers of", function()
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

describe("a fit that does not converge", function()
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

-- ---- threads, memory ----

describe("with any number of threads", function()
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

describe("memory", function()
  local threads = peri.get_num_threads()
  setup(function() peri.set_num_threads(1) end)
  teardown(function() peri.set_num_threads(threads) end)

  local function live()
    collectgarbage()
    collectgarbage()
    return peri.memory().in_use
  end

  -- Fails each allocation in turn until f succeeds; nothing is left behind, and `unchanged` stays what it was.
  local function inject(name, unchanged, f)
    local before, bytes = unchanged(), live()
    for n = 0, 1000 do
      peri._fail_after(n)
      local ok, message = pcall(f)
      peri._fail_after(-1)
      if ok then return n end
      assert.truthy(message:find("out of memory", 1, true), name .. ": " .. message)
      assert.equal(before, unchanged(), ("%s: %d allocations, then a failure: something changed"):format(name, n))
      assert.equal(bytes, live(), ("%s: %d allocations, then a failure: bytes stayed"):format(name, n))
    end
    error(name .. " never succeeded")
  end

  each_estimator(function(name, new)
    for _, case in ipairs { { 1, 2 }, { 3, 1, 2 } } do
      it(("can fail at each allocation of %s with %d classes"):format(name, #case), function()
        local X, y = clusters(case, 10)
        local T, U = clusters({ 5, 6, 7 }, 4), select(2, clusters({ 5, 6, 7 }, 4))
        local m = new { class_weight = { [1] = 2 } }:fit(X, y)
        local function unchanged() return picture(m, X) end
        local allocations = inject(name .. ".predict", unchanged, function() m:predict(X) end)
        assert.truthy(allocations > 0)
        inject(name .. ".decision_function", unchanged, function() m:decision_function(X) end)
        inject(name .. ".score", unchanged, function()
          m:score(X:totable(), y:totable(), { sample_weight = y:totable() })
        end)
        for _, field in ipairs(machines[name].fields) do
          inject(name .. "." .. field, unchanged, function()
            local own = m[field]
            if peri.is_tensor(own) then own:release() end
            return m[field]
          end)
        end
        local weights = peri.ones(#T)
        m = m:clone { class_weight = "balanced" }:fit(X, y)
        local arguments = { T:t():contiguous():t(), U:to "float32", weights }
        local function state() return picture(m, X) .. samples.all_bits(arguments) end
        allocations = inject(name .. ".fit", state, function()
          m:fit(arguments[1], arguments[2], { sample_weight = weights })
        end)
        assert.truthy(allocations > 10)
        assert.same({ 5, 6, 7 }, values(m.classes))
      end)
    end

    it("of " .. name .. " comes back", function()
      local X, y = clusters({ 1, 2, 3 }, 30)
      new():fit(X, y):predict(X)
      local bytes = live()
      do
        local m = new():fit(X, y)
        for _ = 1, 5 do m:fit(X, y):predict(X) end
        assert.truthy(peri.memory().in_use > bytes)
      end
      assert.equal(bytes, live())
    end)

    it("of " .. name .. " stays flat while scripts fit and forget", function()
      local X, y = data.digits(200, { seed = 1 })
      new { tol = 1 }:fit(X, y)
      local most = 0
      for _ = 1, 30 do
        new { tol = 1 }:fit(X, y):predict(X)
        most = math.max(most, peri.memory().in_use)
      end
      assert.truthy(most < live() + 64 * 2 ^ 20)
    end)

    it("may change under " .. name .. " in a finaliser", function()
      local X, y = clusters({ 1, 2, 3 }, 10)
      local m = new():fit(X, y)
      local function trap()
        setmetatable({}, { __gc = function() m:release() end })
      end
      local pause, speed = collectgarbage("setpause", 1), collectgarbage("setstepmul", 1000)
      for _ = 1, 60 do
        m:fit(X, y)
        trap()
        pcall(m.predict, m, X:totable())
        pcall(function() return m.coef, m.intercept, m.classes, tostring(m) end)
        pcall(m.decision_function, m, X)
      end
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", speed)
      assert.same({ 1, 2, 3 }, values(m:fit(X, y).classes))
    end)
  end)
end)
