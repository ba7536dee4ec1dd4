-- peri.select as a part, and the scores of machines, networks and estimators written in Lua.
local peri = require "perilune"
local fails = require("support.fails").at_script
local svm, data, select = peri.svm, peri.data, peri.select
local candidates = require "support.candidates"
local line, network, log, forget = candidates.line, candidates.network, candidates.log, candidates.forget
local X, y, train = candidates.X, candidates.y, candidates.train

describe("cross_val_score", function()
  it("scores copies of an estimator", function()
    forget()
    local scores = select.cross_val_score(line(), X, y, { cv = 4 })
    assert.same({ 4 }, scores.shape)
    assert.equal("float64", scores.dtype)
    assert.same({ "0 on 90", "0 on 90", "0 on 90", "0 on 90" }, log)
    local f = 0
    for _, outside in select.StratifiedKFold({ folds = 4 }):split(X, y) do
      f = f + 1
      local m = line()
      m.fitted = true
      assert.equal(m:score(X[outside], y[outside]), scores[f])
    end
    local build = select.cross_val_score(line, X, y, { cv = select.StratifiedKFold { folds = 4 } })
    assert.is_true(scores:equal(build))
  end)

  it("agrees with svm.cross_validate", function()
    local m = svm.SVC { C = 3 }
    local expected = svm.cross_validate(m, X, y, { folds = 4, seed = 2 })
    assert.is_true(expected.scores:equal(select.cross_val_score(m, X, y, { cv = 4, seed = 2 })))
    local t = X:select(2, 1):to "float64" ^ 2
    expected = svm.cross_validate(svm.SVR(), X, t, { folds = 3 })
    local got = select.cross_val_score(svm.SVR(), X, t, { cv = 3 })
    assert.is_true(expected.scores:allclose(got, { rtol = 1e-12 }))
  end)

  it("knows metrics by name, and functions", function()
    for _, name in ipairs { "accuracy", "f1_macro", "f1_weighted", "mse", "mae", "r2" } do
      local m = svm.LinearSVC()
      local scores, f = select.cross_val_score(m, X, y, { cv = 3, metric = name }), 0
      for inside, outside in select.StratifiedKFold({ folds = 3 }):split(X, y) do
        f = f + 1
        local pred = m:clone():fit(X[inside], y[inside]):predict(X[outside])
        local report = peri.metrics.precision_recall_f1(pred, y[outside])
        local expected = name == "f1_macro" and report.macro.f1 or name == "f1_weighted" and report.weighted.f1 or
          peri.metrics[name](pred, y[outside])
        assert.equal(expected, scores[f], name)
      end
    end
    local function wrong(pred, t) return pred:ne(t):sum() end
    local few = select.cross_val_score(svm.SVC(), X, y, { cv = 3, metric = wrong })
    local right = select.cross_val_score(svm.SVC(), X, y, { cv = 3 })
    assert.is_true(((40 - few) / 40):allclose(right))
    local auc = select.cross_val_score(svm.SVC(), X, y, { cv = 3, metric = "roc_auc" })
    assert.is_true(auc:min():item() > 0.8 and auc:max():item() < 1)
    local loss = select.cross_val_score(function() return network { hidden = 4 } end, X, y,
      { cv = 3, metric = "log_loss" })
    assert.is_true(loss:min():item() > 0.1 and loss:max():item() < 1)
  end)

  it("takes tables, and spreads folds only where labels allow it", function()
    local scores = select.cross_val_score(svm.SVC(), X:totable(), y:totable(), { cv = 3 })
    assert.is_true(scores:min():item() > 0.7)
    local t = peri.arange(1, 120)
    assert.same({ 3 }, select.cross_val_score(svm.SVR(), X, t, { cv = 3 }).shape)
  end)

  it("says what is wrong", function()
    local f = select.cross_val_score
    fails("cross_val_score: estimator must be an estimator that can be cloned, got", f)
    local function three() return 3 end
    fails("cross_val_score: build gave 3 (expected an estimator: fit, predict, score)", f, three, X, y)
    fails("cross_val_score: X has 120 rows but y of the data has 80", f, line, X, train[2])
    fails("cross_val_score: cv must be a number of folds, KFold or StratifiedKFold, got 'x'", f, line, X, y,
      { cv = "x" })
    fails("cross_val_score: cv is 1 (expected at least 2)", f, line, X, y, { cv = 1 })
    fails("cross_val_score: folds is 200 but X has 120 rows", f, line, X, y, { cv = 200 })
    fails("cross_val_score: metric (if it is no function) must be one of accuracy, ", f, line, X, y, { metric = "acc" })
    fails("cross_val_score: the metric gave 'x' (expected a number)", f, line, X, y,
      { metric = function() return "x" end })
    fails("cross_val_score: StratifiedKFold needs labels", f, line, X, X:select(2, 1),
      { cv = select.StratifiedKFold() })
  end)
end)

describe("peri.select", function()
  it("is still the operation", function()
    local x = peri.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ 3, 4 }, peri.select(x, 1, 2):totable())
    fails("select: ", peri.select, x, 3, 1)
    fails("select: x must be a tensor, got 1", peri.select, 1)
    assert.matches("^select%(x, dim, index%)", peri.documentation(peri.select))
    assert.is_nil(peri.select.nonsense)
  end)

  it("is filled at the first look into it", function()
    local run = require "support.program"
    local out, err = run { "-e", [[
      local select = require "perilune".select
      print(rawget(select, "KFold"), select.nothing, type(rawget(select, "KFold")))
    ]] }
    assert.equal("nil\tnil\tfunction\n", out, err)
    out, err = run { "-e", [[
      local n = 0
      for name in pairs(require "perilune".select) do n = n + (name:find "^_" and 0 or 1) end
      print(n)
    ]] }
    assert.equal("8\n", out, err)
  end)

  it("is documented, with its errors", function()
    for name, f in pairs(peri.select) do
      if not name:find "^_" then
        local text = peri.documentation(f)
        assert.matches("^select%.", text)
        assert.matches("\nErrors: ", text)
      end
    end
    assert.matches("^data%.split%(.*\nErrors: ", peri.documentation(data.split))
  end)
end)
