-- Options of the estimators: defaults, checks, texts, documentation.
local peri = require "perilune"
local fails = require("support.fails").with
local svm = peri.svm
local estimators = require "support.estimators"
local machines, each_estimator = estimators.machines, estimators.each
local clusters, picture = estimators.clusters, estimators.picture

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
        assert.equal(#machine.options, n)
        assert.is_nil(m.class_weight)
      end
    end)

    it(name .. " are checked one by one", function()
      for _, option in ipairs(machine.options) do
        local wrong_values = { {}, peri.zeros(2), "nonsense" }
        if option.name ~= "kernel" then wrong_values[5] = print end
        for _, wrong in ipairs(wrong_values) do
          fails(name .. ": " .. option.name .. " must be ", new, { [option.name] = wrong })
        end
        for word in (option.choices or ""):gmatch "%S+" do
          assert.equal(word, new({ [option.name] = word })[option.name])
          fails(("got '%sx': did you mean %s?"):format(word, word), new, { [option.name] = word .. "x" })
        end
        if option.kind == "choice" then
          fails("must be one of " .. option.choices:gsub(" ", ", ") .. ", got 1", new, { [option.name] = 1 })
        elseif type(option.default) == "boolean" then
          assert.equal(not option.default, new({ [option.name] = not option.default })[option.name])
          fails("must be true or false", new, { [option.name] = 1 })
        else
          assert.equal(7, new({ [option.name] = 7 })[option.name])
          fails(option.name .. " must be ", new, { [option.name] = true })
          fails(option.name, new, { [option.name] = 0 / 0 })
        end
        if math.type(option.default) == "integer" then
          fails("must be a whole number, got 1.5", new, { [option.name] = 1.5 })
          fails(("%s: %s is -2 (expected "):format(name, option.name), new, { [option.name] = -2 })
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
      fails(name .. ".clone: changes must be a table, got 1", m.clone, m, 1)
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
    fails("LinearSVC: C is inf (expected a finite number)", svm.LinearSVC, { C = math.huge })
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
