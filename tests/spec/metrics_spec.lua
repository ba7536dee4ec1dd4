-- peri.metrics: scikit-learn's numbers, and what is said of wrong arguments.
local peri = require "perilune"
local golden = require "golden.metrics"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local metrics = peri.metrics

local function int64(list) return peri.tensor(list, { dtype = "int64" }) end
local function float64(list) return peri.tensor(list, { dtype = "float64" }) end

local function near(expected, got, where)
  if type(expected) == "table" then
    got = peri.is_tensor(got) and got:totable() or got
    assert.equal(#expected, #got, where)
    for key, value in pairs(expected) do near(value, got[key], ("%s.%s"):format(where, key)) end
  else
    assert.is_true(math.abs(expected - got) <= 1e-13 * math.max(1, math.abs(expected)),
      ("%s: %.17g, expected %.17g"):format(where, got, expected))
  end
end

local g = golden
local weighted = { sample_weight = g.weights }

describe("the metrics of classes", function()
  it("are scikit-learn's", function()
    near(g.accuracy, metrics.accuracy(g.pred, g.y), "accuracy")
    near(g.accuracy_weighted, metrics.accuracy(g.pred, g.y, weighted), "accuracy_weighted")
    local function matrix(name, ...)
      local c = metrics.confusion_matrix(...)
      near(g[name], c.matrix, name)
      return c
    end
    local c = matrix("confusion", g.pred, g.y)
    assert.equal("int64", c.matrix.dtype)
    assert.same({ -3, 0, 7, 12 }, c.labels)
    assert.equal(4, #c)
    assert.equal(g.confusion[2][3], c[2][3])
    assert.same({ 12, -3 }, matrix("confusion_some", g.pred, g.y, { labels = { 12, -3 } }).labels)
    assert.equal("float64", matrix("confusion_weighted", g.pred, g.y, weighted).matrix.dtype)
    for _, by in ipairs { "true", "pred", "all" } do
      matrix("confusion_" .. by, g.never, g.y, { normalize = by })
    end
  end)

  it("of precision and recall are scikit-learn's", function()
    local function check(expected, got, where)
      for name, value in pairs(expected) do near(value, got[name], where .. "." .. name) end
    end
    local r = metrics.precision_recall_f1(g.pred, g.y)
    check(g.prf, r, "prf")
    for _, name in ipairs { "macro", "weighted", "micro" } do check(g[name], r[name], name) end
    r = metrics.precision_recall_f1(g.pred, g.y, weighted)
    check(g.prf_weighted, r, "prf_weighted")
    check(g.macro_weighted, r.macro, "macro_weighted")
    check(g.weighted_weighted, r.weighted, "weighted_weighted")
    check(g.prf_never, metrics.precision_recall_f1(g.never, g.y), "prf_never")
    check(g.prf_never_one, metrics.precision_recall_f1(g.never, g.y, { zero_division = 1 }), "prf_never_one")
    r = metrics.precision_recall_f1(g.pred, g.y, { labels = { 12, 0 } })
    assert.same({ 12, 0 }, r.labels)
    near({ g.prf.recall[4], g.prf.recall[2] }, r.recall, "recall of some")
  end)

  it("print as tables", function()
    assert.equal("true \\ pred  -5  1  10\n" .. "-5            1  0   1\n" .. "1             0  2   0\n" ..
      "10            0  0   0", tostring(metrics.confusion_matrix({ -5, 10, 1, 1 }, { -5, -5, 1, 1 })))
    local text = tostring(metrics.precision_recall_f1({ 1, 2, 2 }, { 1, 2, 1 }))
    assert.equal([[
class     precision  recall      f1  support
1            1.0000  0.5000  0.6667        2
2            0.5000  1.0000  0.6667        1
micro        0.6667  0.6667  0.6667
macro        0.7500  0.7500  0.6667
weighted     0.8333  0.6667  0.6667]], text)
  end)

  it("count nothing as zero_division says", function()
    for zero = 0, 1 do
      local r = metrics.precision_recall_f1({ 1, 1 }, { 1, 2 }, { labels = { 2, 9 }, zero_division = zero })
      assert.same({ zero, zero }, r.precision:totable())
      assert.same({ 0, zero }, r.recall:totable())
      assert.same({ 0, zero }, r.f1:totable())
      assert.same({ 1, 0 }, r.support:totable())
      assert.equal(zero, r.micro.precision)
      r = metrics.precision_recall_f1({ 1, 1 }, { 1, 2 }, { labels = { 9 }, zero_division = zero })
      assert.equal(zero, r.weighted.f1)
    end
  end)

  it("take tensors of every dtype and tables alike", function()
    local p, t = { 3, 1, 2, 2 }, { 3, 1, 1, 2 }
    for _, dtype in ipairs { "int64", "uint8", "float32", "float64" } do
      local a, b = peri.tensor(p, { dtype = dtype }), peri.tensor(t, { dtype = dtype })
      assert.equal(0.75, metrics.accuracy(a, b))
      assert.equal(0.75, metrics.accuracy(a, t))
      assert.equal(0.75, metrics.precision_recall_f1(p, b).micro.f1)
    end
    local rows = int64 { { 3, 9 }, { 1, 9 }, { 2, 9 }, { 2, 9 } }
    assert.equal(0.75, metrics.accuracy(rows:select(2, 1), { 3.0, 1.0, 1.0, 2.0 }))
    assert.equal(1, metrics.accuracy({ math.maxinteger, math.mininteger }, int64 { math.maxinteger, math.mininteger }))
    assert.equal(0, metrics.accuracy({ math.maxinteger - 1 }, { math.maxinteger }))
  end)

  it("refuse what is no label", function()
    for _, name in ipairs { "accuracy", "confusion_matrix", "precision_recall_f1" } do
      local f = metrics[name]
      fails(name .. ": pred must be a tensor or a table of numbers, got nil", f)
      fails(name .. ": y must be a tensor or a table of numbers, got 'x'", f, { 1 }, "x")
      fails(name .. ": pred has 2 entries but y has 3", f, { 1, 2 }, { 1, 2, 3 })
      fails(name .. ": entry 2 of pred is 1.5 (expected a whole number)", f, { 1, 1.5 }, { 1, 2 })
      fails(name .. ": entry 1 of y is nan (expected a whole number)", f, { 1 }, float64 { 0 / 0 }:abs())
      fails(name .. ": entry 1 of y is 'a' (expected a number)", f, { 1 }, { "a" })
      fails(name .. ": pred is empty", f, {}, {})
      fails(name .. ": pred is bool (expected numbers)", f, peri.tensor { true }, { 1 })
      fails(name .. ": pred has shape 1x2 (expected one dimension)", f, peri.ones(1, 2), { 1 })
      fails(name .. ": unknown option weight (known: ", f, { 1 }, { 1 }, { weight = 1 })
      fails(name .. ": options must be a table, got 3", f, { 1 }, { 1 }, 3)
      fails(name .. ": y has 2 entries but sample_weight has 1", f, { 1, 2 }, { 1, 2 }, { sample_weight = { 1 } })
      for _, w in ipairs { -1, 1 / 0 } do
        fails(name .. ": entry 2 of sample_weight is ", f, { 1, 2 }, { 1, 2 }, { sample_weight = { 1, w } })
      end
      fails(name .. ": sample_weight is 0 everywhere", f, { 1 }, { 1 }, { sample_weight = { 0 } })
      local gone = peri.ones(2)
      gone:release()
      fails(name .. ": pred must be a tensor", f, gone, { 1, 2 })
    end
    fails("confusion_matrix: normalize must be one of none, true, pred, all, got 'rows'", metrics.confusion_matrix,
      { 1 }, { 1 }, { normalize = "rows" })
    fails("confusion_matrix: none of the labels occurs in y", metrics.confusion_matrix, { 1 }, { 1 },
      { labels = { 2 } })
    fails("confusion_matrix: labels has 2 twice", metrics.confusion_matrix, { 1 }, { 1 }, { labels = { 2, 2 } })
    fails("precision_recall_f1: zero_division is 2 (expected 0 or 1)", metrics.precision_recall_f1, { 1 }, { 1 },
      { zero_division = 2 })
  end)
end)

describe("the metrics of scores", function()
  it("are scikit-learn's, ties and all", function()
    local function curve(name, options, scores, y)
      local got = metrics.roc_curve(scores or g.scores, y or g.two, options)
      assert.equal(math.huge, got.thresholds[1])
      near(g[name].fpr, got.fpr, name .. ".fpr")
      near(g[name].tpr, got.tpr, name .. ".tpr")
      near(g[name].thresholds, got.thresholds[{ { 2, -1 } }], name .. ".thresholds")
    end
    curve("curve", { drop_intermediate = false })
    curve("curve_dropped")
    curve("curve_line", nil, g.line_scores, g.line)
    curve("curve_weighted", { drop_intermediate = false, sample_weight = g.weights })
    assert.is_true(#g.curve_dropped.fpr < #g.curve.fpr and #g.curve.fpr < #g.scores)
    near(g.auc, metrics.roc_auc(g.scores, g.two), "auc")
    near(g.auc_weighted, metrics.roc_auc(g.scores, g.two, weighted), "auc_weighted")
    near(g.auc_macro, metrics.roc_auc(float64(g.many), g.y), "auc_macro")
    near(g.auc_by_weight, metrics.roc_auc(float64(g.many), g.y, { average = "weighted" }), "auc_by_weight")
    near(g.auc_each, metrics.roc_auc(float64(g.many), g.y, { average = "none" }), "auc_each")
    near(g.log_loss, metrics.log_loss(g.sure, g.two), "log_loss")
    near(g.log_loss_eps, metrics.log_loss(g.sure, g.two, { eps = 1e-3 }), "log_loss_eps")
    near(g.log_loss_many, metrics.log_loss(float64(g.many), g.y), "log_loss_many")
    near(g.log_loss_weighted, metrics.log_loss(float64(g.many), g.y, weighted), "log_loss_weighted")
  end)

  it("tell integers apart that float64 does not", function()
    for _, far in ipairs { g.far, int64(g.far) } do
      near(g.far_auc, metrics.roc_auc(far, g.far_two), "far_auc")
      for _, guess in ipairs { g.far_guess, int64(g.far_guess) } do
        for _, name in ipairs { "mse", "mae", "r2" } do near(g["far_" .. name], metrics[name](guess, far), name) end
      end
    end
    assert.equal(2.0 ^ 64, metrics.mae({ math.maxinteger }, { math.mininteger }))
    assert.equal(65025, metrics.mse(peri.tensor({ 0 }, { dtype = "uint8" }), peri.tensor({ 255 }, { dtype = "uint8" })))
  end)

  it("take a table of rows for a tensor", function()
    local p, classes = g.many, { -3, 0, 7, 12 }
    local counts = { { 0, 2, 1, 0 }, { 2, 0, 0, 1 }, { 1, 0, 1, 1 }, { 1, 1, 0, 2 } }
    for name, list in pairs { float64 = p, int64 = counts } do
      local y = name == "float64" and g.y or { 0, -3, 7, 12 }
      local x = peri.tensor(list, { dtype = name })
      assert.equal(metrics.roc_auc(x, y), metrics.roc_auc(list, y))
      for _, f in ipairs { metrics.mse, metrics.mae, metrics.r2 } do assert.equal(f(x, x * 2), f(list, x * 2)) end
    end
    assert.equal(metrics.log_loss(float64(p), g.y), metrics.log_loss(p, g.y, { classes = classes }))
    local two = { { 0.9, 0.1 }, { 0.6, 0.4 }, { 0.65, 0.35 }, { 0.2, 0.8 } }
    near({ 0, 0, 0.5, 0.5, 1 }, metrics.roc_curve(two, { 1, 1, 2, 2 }).fpr, "fpr of rows")
    for name, x in pairs { roc_auc = "scores", roc_curve = "scores", log_loss = "probabilities", mse = "pred" } do
      local f = metrics[name]
      fails(("%s: row 2 of %s has 1 entries but row 1 has 2"):format(name, x), f, { { 1, 2 }, { 3 } }, { 1, 2 })
      fails(("%s: row 2 of %s is 3 (expected a table of numbers)"):format(name, x), f, { { 1, 2 }, 3 }, { 1, 2 })
      fails(("%s: entry 2 of row 1 of %s is 'a' (expected a number)"):format(name, x), f, { { 1, "a" } }, { 1 })
      fails(("%s: row 1 of %s is empty"):format(name, x), f, { {}, {} }, { 1, 2 })
      fails(("%s: entry 2 of %s is {2} (expected a number)"):format(name, x), f, { 1, { 2 } }, { 1, 2 })
    end
  end)

  it("bear weights of every size", function()
    for _, size in ipairs { 2.0 ^ -1000, 2.0 ^ -500, 2.0 ^ 500, 2.0 ^ 1000 } do
      local options = { sample_weight = float64(g.weights) * size }
      near(g.auc_weighted, metrics.roc_auc(g.scores, g.two, options), "auc")
      near(g.log_loss_weighted, metrics.log_loss(g.many, g.y, options), "log_loss")
      near(g.accuracy_weighted, metrics.accuracy(g.pred, g.y, options), "accuracy")
      near(g.weighted_weighted, metrics.precision_recall_f1(g.pred, g.y, options).weighted, "weighted")
      near(g.r2.columns_weighted, metrics.r2(g.guess, g.target, options), "r2")
    end
    local options = { sample_weight = { 1e308, 1e308 } }
    fails("accuracy: the sum of sample_weight overflows (scale them)", metrics.accuracy, { 1, 2 }, { 1, 2 }, options)
    fails("roc_auc: the sum of sample_weight overflows (scale them)", metrics.roc_auc, { 1, 2 }, { 1, 2 }, options)
  end)

  it("speak for the positive label", function()
    local s, t = float64 { 0.1, 0.4, 0.35, 0.8 }, { 4, 4, 9, 9 }
    assert.equal(0.75, metrics.roc_auc(s, t))
    assert.equal(0.25, metrics.roc_auc(s, t, { positive = 4 }))
    assert.equal(0.25, metrics.roc_auc(s, t, { classes = { 9, 4 } }))
    assert.equal(0.75, metrics.roc_auc(peri.stack({ 1 - s, s }, 2), t))
    assert.equal(0.5, metrics.roc_auc({ 1, 1, 1, 1 }, t))
    assert.equal(1, metrics.roc_auc({ -1 / 0, -1 / 0, 0, 1 / 0 }, t))
    assert.equal(0.5, metrics.roc_auc({ 0.0, -0.0 }, { 1, 2 }))
    assert.equal(1, metrics.roc_auc({ 1, 3, 2 }, { 5, 6, 7 }, { positive = 6 }))
    local order = metrics.roc_auc(peri.stack({ s, 1 - s, s }, 2), { 1, 2, 3, 1 }, { average = "none" })
    local turned = metrics.roc_auc(peri.stack({ s, s, 1 - s }, 2), { 1, 2, 3, 1 },
      { average = "none", classes = { 1, 3, 2 } })
    assert.same({ order[1], order[3], order[2] }, turned:totable())
  end)

  it("limit probabilities by their dtype", function()
    for dtype, eps in pairs { float32 = 2.0 ^ -23, float64 = 2.0 ^ -52 } do
      local p = peri.tensor({ { 1, 0 }, { 0, 1 } }, { dtype = dtype })
      near(-math.log(eps), metrics.log_loss(p, { 2, 1 }), dtype)
    end
    near(0.5, metrics.log_loss({ math.exp(-1), 1 }, { 2, 2 }, { classes = { 1, 2 } }), "a mean")
    near(math.log(2), metrics.log_loss(peri.full({ 1, 2 }, 0.25, { dtype = "float64" }), { 7 }, { classes = { 7, 3 } }),
      "rows are divided by their sums")
  end)

  it("refuse what gives no answer", function()
    for _, name in ipairs { "roc_curve", "roc_auc" } do
      local f = metrics[name]
      fails(name .. ": y has one class only (3)", f, { 1, 2 }, { 3, 3 })
      fails(name .. ": y has one class only (3)", f, { 1, 2 }, { 3, 3 }, { positive = 3 })
      fails(name .. ": positive is 5 but y has none of it", f, { 1, 2 }, { 3, 4 }, { positive = 5 })
      fails(name .. ": positive must be a whole number, got 'a'", f, { 1, 2 }, { 3, 4 }, { positive = "a" })
      fails(name .. ": y has 3 classes (expected 2, or option positive)", f, { 1, 2, 3 }, { 3, 4, 5 })
      fails(name .. ": scores has NaN", f, { 1, 0 / 0 }, { 1, 2 })
      fails(name .. ": scores has shape 2x1", f, peri.ones(2, 1), { 1, 2 })
      fails(name .. ": scores has 1 entries but y has 2", f, { 1 }, { 1, 2 })
      fails(name .. ": no row of class 2 has weight", f, { 1, 2 }, { 1, 2 }, { sample_weight = { 1, 0 } })
      fails(name .. ": no row outside of class 2 has weight", f, { 1, 2 }, { 1, 2 }, { sample_weight = { 0, 1 } })
    end
    fails("roc_curve: scores has 3 columns", metrics.roc_curve, peri.ones(2, 3), { 1, 2 })
    fails("roc_curve: drop_intermediate must be true or false, got 1", metrics.roc_curve, { 1, 2 }, { 1, 2 },
      { drop_intermediate = 1 })
    fails("roc_auc: scores has 3 columns but there are 2 classes", metrics.roc_auc, peri.ones(2, 3), { 1, 2 })
    fails("roc_auc: no row of class 9 has weight", metrics.roc_auc, peri.ones(2, 3), { 1, 2 },
      { classes = { 1, 2, 9 } })
    local none = " of y is 7, which is none of classes"
    fails("roc_auc: entry 4" .. none, metrics.roc_auc, peri.rand(4, 3), { 1, 2, 3, 7 }, { classes = { 1, 2, 3 } })
    fails("roc_auc: entry 1" .. none, metrics.roc_auc, peri.rand(4, 2), { 7, 2, 1, 1 }, { classes = { 1, 2 } })
    fails("roc_auc: entry 2" .. none, metrics.roc_auc, peri.rand(4), { 1, 7, 2, 1 },
      { classes = { 1, 2 }, positive = 1 })
    fails("log_loss: entry 4" .. none, metrics.log_loss, peri.rand(4, 3), { 1, 2, 3, 7 }, { classes = { 1, 2, 3 } })
    fails("roc_auc: positive is for two classes", metrics.roc_auc, peri.ones(2, 3), { 1, 2 }, { positive = 1 })
    fails("roc_auc: average must be one of", metrics.roc_auc, { 1, 2 }, { 1, 2 }, { average = "mean" })
    fails("roc_auc: classes has 3 labels (expected 2)", metrics.roc_auc, { 1, 2 }, { 1, 2 }, { classes = { 1, 2, 3 } })
    fails("log_loss: probabilities has numbers outside [0, 1]", metrics.log_loss, { 1.1, 0 }, { 1, 2 })
    fails("log_loss: probabilities has NaN", metrics.log_loss, { 0 / 0, 0 }, { 1, 2 })
    fails("log_loss: probabilities are of 2 classes but there are 1", metrics.log_loss, { 1, 0 }, { 1, 1 })
    fails("log_loss: entry 2 of y is 5, which is none of classes", metrics.log_loss, { 1, 0 }, { 1, 5 },
      { classes = { 1, 2 } })
    fails("log_loss: eps is 0.5 (expected a number from 0 to below 0.5)", metrics.log_loss, { 1 }, { 1 }, { eps = 0.5 })
  end)
end)

describe("the metrics of numbers", function()
  it("are scikit-learn's", function()
    local y, pred = float64(g.target), float64(g.guess)
    for _, name in ipairs { "mse", "mae", "r2" } do
      local f, expected = metrics[name], g[name]
      near(expected.plain, f(pred:select(2, 1), y:select(2, 1)), name)
      near(expected.weighted, f(pred:select(2, 1), y:select(2, 1), weighted), name .. " weighted")
      near(expected.columns, f(pred, y), name .. " of columns")
      near(expected.columns_weighted, f(pred, y, weighted), name .. " of columns, weighted")
    end
  end)

  it("are the same for numbers of every size", function()
    for _, size in ipairs { 2.0 ^ -1000, 2.0 ^ -600, 2.0 ^ 400, 2.0 ^ 1000 } do
      near(g.r2.columns, metrics.r2(float64(g.guess) * size, float64(g.target) * size), "r2")
    end
    near(g.large_r2, metrics.r2(float64(g.guess) * 1e300, float64(g.target) * 1e300), "r2")
  end)

  it("state what a constant gives", function()
    assert.equal(1, metrics.r2({ 0.1, 0.1, 0.1 }, { 0.1, 0.1, 0.1 }))
    assert.equal(0, metrics.r2({ 0.1, 0.1, 0.2 }, { 0.1, 0.1, 0.1 }))
    local one = metrics.r2({ 1 }, { 2 })
    assert.is_true(one ~= one)
    local nan = metrics.mse({ 0 / 0, 1 }, { 1, 1 })
    assert.is_true(nan ~= nan)
    assert.equal(1 / 0, metrics.mae({ 1 / 0, 1 }, { 1, 1 }))
  end)

  it("stand outside of any graph", function()
    local w = peri.tensor({ 1, 2 }, { requires_grad = true })
    assert.equal(0.5, metrics.mse(w * 1, { 1, 3 }))
    assert.is_nil(w.grad)
  end)

  it("refuse what does not fit", function()
    for _, name in ipairs { "mse", "mae", "r2" } do
      local f = metrics[name]
      fails(name .. ": pred is 2 but y is 3", f, { 1, 2 }, { 1, 2, 3 })
      fails(name .. ": pred is 2x1 but y is 2", f, peri.ones(2, 1), { 1, 2 })
      fails(name .. ": pred must be a tensor or a table of numbers, got true", f, true, { 1, 2 })
      fails(name .. ": y has shape 1x1x1 (expected n or n x d)", f, { 1 }, peri.ones(1, 1, 1))
      fails(name .. ": y is bool", f, { 1 }, peri.tensor { true })
      fails(name .. ": pred is empty", f, peri.zeros(0), peri.zeros(0))
      fails(name .. ": unknown option weights", f, { 1 }, { 1 }, { weights = { 1 } })
    end
  end)
end)

describe("every metric", function()
  it("is documented, with its errors", function()
    local n = 0
    for name, f in pairs(metrics) do
      if not name:find "^_" then
        local text = peri.documentation(f)
        assert.equal("metrics." .. name .. "(", text:sub(1, #name + 9))
        assert.matches("Errors: ", text)
        n = n + 1
      end
    end
    assert.equal(9, n)
  end)

  it("gives the same bits with any number of threads, and leaves its arguments alone", function()
    local s, y = peri.randn(20000), peri.randint(1, 2, { 20000 })
    local w = peri.rand(20000)
    local p = s:gt(0):to "int64" + 1
    local before, seen = samples.all_bits { s, y, w, p }, nil
    local threads = peri.get_num_threads()
    for n = 1, 3 do
      peri.set_num_threads(n)
      local options = { sample_weight = w }
      local list = {
        metrics.accuracy(p, y, options), metrics.roc_auc(s, y, options), metrics.log_loss(s:sigmoid(), y, options),
        metrics.mse(s, w, options), metrics.mae(s, w, options), metrics.r2(s, w, options),
        metrics.roc_curve(s, y, options).tpr, metrics.precision_recall_f1(p, y, options).f1,
        metrics.confusion_matrix(p, y, options).matrix,
      }
      for i, value in ipairs(list) do list[i] = type(value) == "number" and ("%a"):format(value) or value end
      seen = seen or samples.all_bits(list)
      assert.equal(seen, samples.all_bits(list))
    end
    peri.set_num_threads(threads)
    assert.equal(before, samples.all_bits { s, y, w, p })
  end)
end)

describe("the scores of estimators", function()
  local X, y = peri.data.blobs(60, { centers = 3, features = 2, noise = 2, seed = 4, dtype = "float64" })
  local z = X:sum(2) + peri.randn(60, { dtype = "float64" })
  local weights = peri.rand(60, { dtype = "float64" })

  it("are these metrics, bit for bit", function()
    local options = { sample_weight = weights }
    local svc, svr = peri.svm.SVC():fit(X, y), peri.svm.SVR():fit(X, z)
    assert.is_true(svc:score(X, y) < 1)
    assert.equal(metrics.accuracy(svc:predict(X), y), svc:score(X, y))
    assert.equal(metrics.accuracy(svc:predict(X), y, options), svc:score(X, y, options))
    assert.equal(metrics.r2(svr:predict(X), z), svr:score(X, z))
    local function build(p)
      local net = peri.nn.Linear(p.n_features, p.n_classes)
      return net, peri.optim.SGD(net:parameters(), { lr = 0.01 })
    end
    local m = peri.train.Classifier({ build = build, epochs = 1, seed = 1, progress = false }):fit(X, y)
    assert.equal(metrics.accuracy(m:predict(X), y), m:score(X, y))
    for kind, estimator in pairs { accuracy = peri.svm.SVC(), r2 = peri.svm.SVR() } do
      local target = kind == "r2" and z or y
      local result = peri.svm.cross_validate(estimator, X, target, { folds = 3 })
      for f = 1, 3 do
        local held = result.fold:eq(f)
        assert.equal(metrics[kind](result.predictions[held], target[held]), result.scores[f])
      end
    end
  end)

  it("are 1 or 0 of targets without variance, as r2 is", function()
    local same = peri.full({ 20 }, 0.1, { dtype = "float64" }) -- whose mean is rounded
    local m = peri.svm.SVR { epsilon = 0 }
    m:fit(X[{ { 1, 20 } }], same)
    assert.equal(metrics.r2(m:predict(X[{ { 1, 20 } }]), same), m:score(X[{ { 1, 20 } }], same))
  end)
end)
