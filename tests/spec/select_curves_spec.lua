-- Learning and validation curves.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local svm, select = peri.svm, peri.select
local candidates = require "support.candidates"
local line, network, log, forget = candidates.line, candidates.network, candidates.log, candidates.forget
local train, dev = candidates.train, candidates.dev
local count = candidates.count

describe("learning_curve", function()
  it("fits more and more rows, with labels in proportion", function()
    forget()
    local c = select.learning_curve { build = line, train = train, dev = dev, sizes = { 20, 0.5, 1 }, seeds = { 1, 2 } }
    assert.same({ 20, 40, 80 }, c.sizes:totable())
    assert.same({ 3, 2 }, c.train_scores.shape)
    assert.same({ 3, 2 }, c.test_scores.shape)
    assert.is_true(c.test_mean:allclose(c.test_scores:mean(2)))
    assert.is_true(c.train_std:allclose(c.train_scores:std(2)))
    assert.same({ "0 on 20", "0 on 40", "0 on 80", "0 on 20", "0 on 40", "0 on 80" }, log)
    assert.equal(c.train_scores[{ 3, 1 }], c.train_scores[{ 3, 2 }]) -- all rows: any order
    assert.matches("^size   train     std    test     std\n20    ", tostring(c))
    local balance = {}
    select.learning_curve { train = train, dev = dev, sizes = { 10, 30 }, build = function()
      local m = line()
      m.fit = function(self, _, t)
        self.fitted = true
        balance[#balance + 1] = count(t)
      end
      return m
    end }
    local share = count(train[2])[1] / 80
    assert.is_true(math.abs(balance[1][1] - 10 * share) <= 1)
    assert.is_true(math.abs(balance[2][1] - 30 * share) <= 1)
  end)

  it("has a repeat for each fold", function()
    local c = select.learning_curve { estimator = svm.SVC(), train = train, cv = 4 }
    assert.same({ 6, 19, 33, 46, 60 }, c.sizes:totable())
    assert.same({ 5, 4 }, c.test_scores.shape)
    assert.is_true(c.test_mean[5] > 0.8)
    local again = select.learning_curve { build = svm.SVC, train = train, cv = 4, seed = 0 }
    assert.is_true(c.test_scores:equal(again.test_scores))
  end)

  it("says what is wrong", function()
    local f = select.learning_curve
    local function with(changes)
      local options = { build = line, train = train, dev = dev }
      for name, value in pairs(changes) do options[name] = value or nil end
      return options
    end
    fails("learning_curve: neither build nor estimator is given (expected one of them)", f, with { build = false })
    fails("learning_curve: build and estimator are both given (expected one of them)", f, with { estimator = line() })
    fails("learning_curve: build must be a function", f, with { build = line() })
    fails("learning_curve: estimator must be an estimator that can be cloned, got 3", f, with { build = false,
      estimator = 3 })
    fails("learning_curve: dev and cv are both given (expected one of them)", f, with { cv = 3 })
    fails("learning_curve: seed is for cv", f, with { seed = 3 })
    fails("learning_curve: seeds is for dev", f, with { dev = false, cv = 3, seeds = { 1 } })
    fails("learning_curve: entry 2 of seeds must be a whole number, got 'a'", f, with { seeds = { 1, "a" } })
    fails("learning_curve: seeds must be a list", f, with { seeds = 3 })
    fails("learning_curve: a size is 81 but there are 80 rows to fit", f, with { sizes = { 81 } })
    fails("learning_curve: entry 1 of sizes is 1.5 (expected a share up to 1 or a count above 1)", f,
      with { sizes = { 1.5 } })
    fails("learning_curve: sizes must be a list of 1 or more numbers, got a table", f, with { sizes = {} })
    fails("learning_curve: unknown option size", f, with { size = 3 })
    fails("learning_curve: with 2 rows: mine", f, with { sizes = { 2 }, build = function() error "mine" end })
  end)
end)

describe("validation_curve", function()
  it("scores each value on what is fitted and on what is held out", function()
    local Cs = { 0.01, 1, 100 }
    local c = select.validation_curve { build = svm.SVC, param = "C", values = Cs, train = train, dev = dev }
    local path = svm.path(train[1], train[2], { Cs = Cs })
    for i, m in ipairs(path) do
      assert.equal(m:score(train[1], train[2]), c.train_mean[i])
      assert.equal(m:score(dev.x, dev.y), c.test_mean[i])
    end
    assert.same({ 0, 0, 0 }, c.test_std:totable())
    assert.same(Cs, c.values:totable())
    local same = select.validation_curve { estimator = svm.SVC(), param = "C", values = Cs, train = train, dev = dev }
    assert.is_true(c.test_scores:equal(same.test_scores))
    c = select.validation_curve { build = svm.SVC, param = "kernel", values = { "linear", "rbf" }, train = train,
      cv = 3 }
    assert.same({ "linear", "rbf" }, c.values)
    assert.same({ 2, 3 }, c.test_scores.shape)
    assert.is_true(c.test_mean[2] > c.test_mean[1] + 0.2)
    assert.matches("^kernel   train     std    test     std\nlinear  ", tostring(c))
    c = select.validation_curve { build = network, param = "hidden", values = peri.arange(2, 4), train = train,
      dev = dev, seeds = { 1, 2 }, metric = "log_loss" }
    local again = select.validation_curve { build = network, param = "hidden", values = { 2, 3, 4 }, train = train,
      dev = dev, seeds = { 1, 2 }, metric = "log_loss" }
    assert.equal(samples.bits(c.test_scores), samples.bits(again.test_scores))
  end)

  it("says what is wrong", function()
    local f = select.validation_curve
    fails("validation_curve: param must be a string, got nil", f, { build = line, train = train, dev = dev })
    fails("validation_curve: values must be a list of 1 or more values, got nil", f,
      { build = line, param = "C", train = train, dev = dev })
    fails("validation_curve: with C = 0: SVC: C is 0.0", f,
      { build = svm.SVC, param = "C", values = { 0 }, train = train, dev = dev })
    fails("validation_curve: unknown option params", f, { params = 1 })
  end)
end)
