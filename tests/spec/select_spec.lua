-- peri.select and data.split: folds, searches and curves over machines, networks and estimators written in Lua.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local svm, data, select, nn = peri.svm, peri.data, peri.select, peri.nn

local function int64(list) return peri.tensor(list, { dtype = "int64" }) end

local function sorted(list)
  table.sort(list)
  return list
end

local function up_to(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

local function count(labels)
  local counts = {}
  for _, label in ipairs(labels:totable()) do counts[label] = (counts[label] or 0) + 1 end
  return counts
end

local X, y = data.circles(120, { noise = 0.2, factor = 0.5, seed = 3 })
local train, dev = { X[{ { 1, 80 } }], y[{ { 1, 80 } }] }, { x = X[{ { 81, 120 } }], y = y[{ { 81, 120 } }] }

-- An estimator that notes what is asked of it: predicts sign(x1 + shift) as class 1 or 2.
local Line = {}
Line.__index = Line
local log = {}

local function line(p) return setmetatable({ shift = p and p.shift or 0 }, Line) end

function Line:fit(x)
  log[#log + 1] = ("%g on %d"):format(self.shift, #x)
  self.fitted = true
end

function Line:predict(x)
  assert(self.fitted)
  return (x:select(2, 1) + self.shift):gt(0):to "int64" + 1
end

function Line:score(x, t) return peri.metrics.accuracy(self:predict(x), t) end
function Line:clone() return line(self) end

-- A small network that is an estimator; its initial weights come from the default stream.
local Net = {}
Net.__index = Net

local function network(p) return setmetatable({ net = nn.Sequential(nn.Linear(2, p.hidden), nn.Tanh(),
  nn.Linear(p.hidden, 2)) }, Net) end

function Net:fit(x, t)
  local ce, opt = nn.CrossEntropyLoss(), peri.optim.SGD(self.net:parameters(), { lr = 0.5 })
  for bx, by in data.loader({ x, t }, { batch_size = 10, shuffle = true, seed = 4 }) do
    opt:zero_grad()
    ce(self.net(bx), by):backward()
    opt:step()
  end
  return self
end

function Net:predict_proba(x) return peri.no_grad(function() return self.net(x):softmax(2) end) end
function Net:predict(x) return self:predict_proba(x):argmax(2) end
function Net:score(x, t) return peri.metrics.accuracy(self:predict(x), t) end

-- ---- split ----

describe("data.split", function()
  it("gives every row to one part, with its label", function()
    local rows, labels = peri.arange(1, 100):view(100, 1), peri.arange(101, 200)
    for _, stratify in ipairs { false, true } do
      local s = data.split({ rows, stratify and labels % 4 or labels },
        { train = 0.7, dev = 0.15, test = 0.15, seed = 1, stratify = stratify })
      local all = {}
      for name, size in pairs { train = 70, dev = 15, test = 15 } do
        local part = s[name]
        assert.equal(size, #part.x)
        assert.equal(part.x, part[1])
        assert.equal(part.y, part[2])
        assert.is_true(part.x:select(2, 1):equal(part.index))
        if not stratify then assert.is_true((part.y - 100):equal(part.index)) end
        table.move(part.index:totable(), 1, size, #all + 1, all)
      end
      assert.same(up_to(100), sorted(all))
    end
  end)

  it("follows from the seed", function()
    local function picture(options)
      local s = data.split({ X, y }, options)
      return samples.all_bits { s.train.x, s.train.y, s.test.index }
    end
    assert.equal(picture { test = 0.25 }, picture { train = 0.75, test = 30, seed = 0 })
    assert.not_equal(picture { test = 0.25 }, picture { test = 0.25, seed = 1 })
    assert.not_equal(picture { test = 0.25 }, picture { test = 0.25, stratify = true })
    peri.manual_seed(9)
    local first = peri.rand(2):totable()
    peri.manual_seed(9)
    picture { test = 0.25, stratify = true }
    assert.same(first, peri.rand(2):totable())
  end)

  it("keeps the shares of labels", function()
    local labels = {}
    for i = 1, 200 do labels[i] = i <= 100 and 7 or i <= 160 and -1 or i <= 190 and 3 or 12 end
    for seed = 0, 9 do
      local s = data.split({ peri.zeros(200, 2), int64(labels) }, { dev = 0.1, test = 0.2, seed = seed,
        stratify = true })
      local function near(part, share)
        local counts = count(s[part].y)
        for label, n in pairs { [7] = 100, [-1] = 60, [3] = 30, [12] = 10 } do
          assert.is_true(math.abs(counts[label] - share * n) <= 1, part)
        end
      end
      near("train", 0.7) near("dev", 0.1) near("test", 0.2)
    end
  end)

  it("takes stretches without shuffle, and leaves rows beyond the sum out", function()
    local s = data.split({ X, y }, { train = 30, dev = 20, shuffle = false })
    assert.same(up_to(30), s.train.index:totable())
    assert.equal(31, s.dev.index[1])
    assert.equal(50, s.dev.index[20])
    assert.is_nil(s.test)
    s = data.split({ X, y }, { train = 30, dev = 20, stratify = true })
    assert.same({ 30, 20 }, { #s.train.x, #s.dev.x })
    assert.same({ 15, 15 }, count(s.train.y))
    s = data.split({ x = X, y = y }, { test = 0.5 })
    assert.same({ 60, 60 }, { #s.train.x, #s.test.y })
    s = data.split({ X, y, X + 1 }, { test = 0.5 })
    assert.is_true((s.test.x + 1):equal(s.test[3]))
  end)

  it("refuses what cannot be", function()
    local split = data.split
    fails("split: the first argument must be a table of tensors, got nothing", split)
    fails("split: there is no tensor to split", split, {}, { test = 0.5 })
    fails("split: entry 2 must be a tensor, got 3", split, { X, 3 }, { test = 0.5 })
    fails("split: entry 2 is a tensor 80 but entry 1 has 120 rows", split, { X, train[2] }, { test = 0.5 })
    fails("split: one of dev and test must be given", split, { X, y })
    fails("split: unknown option valid (known: dev, seed, shuffle, stratify, test, train)", split, { X }, { valid = 1 })
    for _, wrong in ipairs { 0, -1, 1.5, 0 / 0, 1 / 0, "x" } do
      fails("split: test must be a share up to 1 or a count above 1, got ", split, { X, y }, { test = wrong })
    end
    fails("split: the parts add up to 132 of 120 rows", split, { X, y }, { train = 0.9, test = 0.2 })
    fails("split: dev and test leave nothing for train (of 120 rows)", split, { X, y }, { dev = 60, test = 0.5 })
    fails("split: dev would have no row (of 120)", split, { X, y }, { dev = 0.001, test = 0.5 })
    fails("split: seed must be a whole number from 0, got -1", split, { X, y }, { test = 0.5, seed = -1 })
    fails("split: stratify needs labels as the second tensor", split, { X }, { test = 0.5, stratify = true })
    fails("split: stratify needs shuffle", split, { X, y }, { test = 0.5, stratify = true, shuffle = false })
    fails("split: class 9 has one row", split, { X[{ { 1, 3 } }], int64 { 1, 1, 9 } }, { test = 0.5, stratify = true })
    fails("split: y has shape 120x2", split, { X, X }, { test = 0.5, stratify = true })
    fails("split: entry 1 of y is ", split, { X, X:select(2, 1) }, { test = 0.5, stratify = true })
  end)
end)

-- ---- folds ----

describe("KFold", function()
  it("holds every row out once", function()
    for _, make in ipairs { select.KFold, select.StratifiedKFold } do
      for _, n in ipairs { 2, 3, 7 } do
        local folds, out = make { folds = n, seed = 5 }, {}
        for inside, outside in folds:split(X, y) do
          assert.equal("int64", inside.dtype)
          assert.is_true(#outside == 120 // n or #outside == 120 // n + 1)
          local both = table.move(outside:totable(), 1, #outside, #inside + 1, inside:totable())
          assert.same(up_to(120), sorted(both))
          table.move(outside:totable(), 1, #outside, #out + 1, out)
        end
        assert.same(up_to(120), sorted(out))
      end
    end
  end)

  it("is scikit-learn's without shuffle", function()
    local seen = {}
    for _, outside in select.KFold({ folds = 3, shuffle = false }):split(8) do seen[#seen + 1] = outside:totable() end
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8 } }, seen)
  end)

  it("gives the same folds each time, also within a loop", function()
    local folds, n = select.KFold { seed = 2 }, 0
    for _, a in folds:split(X) do
      local first
      for _, b in folds:split(X) do
        first = first or (n == 0 and assert.is_true(a:equal(b)))
        n = n + 1
      end
    end
    assert.equal(25, n)
    local _, other = select.KFold({ seed = 3 }):split(X)()
    local _, mine = folds:split(X)()
    assert.is_false(mine:equal(other))
    assert.equal("KFold{folds = 5, shuffle = true, seed = 2}", tostring(folds))
    assert.equal("StratifiedKFold{folds = 3, seed = 0}", tostring(select.StratifiedKFold { folds = 3 }))
  end)

  it("spreads labels when stratified", function()
    local labels = {}
    for i = 1, 50 do labels[i] = i <= 30 and -4 or i <= 43 and 2 or 8 end
    for _, outside in select.StratifiedKFold({ folds = 4 }):split(50, labels) do
      local counts = count(int64(labels)[outside])
      for label, n in pairs { [-4] = 30, [2] = 13, [8] = 7 } do
        assert.is_true(math.abs(counts[label] - n / 4) < 1)
      end
    end
  end)

  it("refuses what it cannot divide", function()
    fails("KFold: folds must be a whole number from 2, got 1", select.KFold, { folds = 1 })
    fails("KFold: unknown option n (known: folds, seed, shuffle)", select.KFold, { n = 3 })
    fails("StratifiedKFold: unknown option shuffle", select.StratifiedKFold, { shuffle = true })
    fails("StratifiedKFold: seed must be a whole number from 0, got 'a'", select.StratifiedKFold, { seed = "a" })
    local folds = select.KFold()
    fails("KFold.split: folds is 5 but X has 3 rows", folds.split, folds, 3)
    fails("KFold.split: X must be a tensor or a table of rows, got 'x'", folds.split, folds, "x")
    local spread = select.StratifiedKFold()
    fails("StratifiedKFold.split: y must be a tensor or a table", spread.split, spread, X)
    fails("StratifiedKFold.split: X has 120 rows but y has 80 labels", spread.split, spread, X, train[2])
    fails("StratifiedKFold.split: folds is 5 but no class has more than 2 rows", spread.split, spread, 6,
      { 1, 1, 2, 2, 3, 3 })
  end)
end)

-- ---- cross_val_score ----

describe("cross_val_score", function()
  it("scores copies of an estimator", function()
    log = {}
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
    fails("cross_val_score: build must give an estimator (fit, predict, score), got 3", f, three, X, y)
    fails("cross_val_score: X has 120 rows but y of the data has 80", f, line, X, train[2])
    fails("cross_val_score: cv must be a number of folds, KFold or StratifiedKFold, got 'x'", f, line, X, y,
      { cv = "x" })
    fails("cross_val_score: cv must be a whole number from 2, got 1", f, line, X, y, { cv = 1 })
    fails("cross_val_score: folds is 200 but X has 120 rows", f, line, X, y, { cv = 200 })
    fails("cross_val_score: metric (if it is no function) must be one of accuracy, ", f, line, X, y, { metric = "acc" })
    fails("cross_val_score: the metric gave 'x' (expected a number)", f, line, X, y,
      { metric = function() return "x" end })
    fails("cross_val_score: StratifiedKFold needs labels", f, line, X, X:select(2, 1),
      { cv = select.StratifiedKFold() })
  end)
end)

-- ---- searches ----

describe("grid_search", function()
  it("visits names in sorted order, the last one fastest, and keeps the best", function()
    log = {}
    local seen = {}
    local function build(p)
      seen[#seen + 1] = ("%s %s"):format(p.a, p.shift)
      return line(p)
    end
    local g = select.grid_search { build = build, params = { shift = { 0, 5 }, a = { "x", "y" } }, train = train,
      dev = dev }
    assert.same({ "x 0", "x 5", "y 0", "y 5" }, seen)
    assert.same({ "0 on 80", "5 on 80", "0 on 80", "5 on 80" }, log)
    assert.equal(4, #g.results)
    for i = 2, 4 do assert.is_true(g.results[i - 1].score >= g.results[i].score) end
    assert.equal("x", g.best_params.a) -- the first of equals
    assert.equal(g.results[1].score, g.best_score)
    assert.equal(g.best_score, g.best:score(dev.x, dev.y))
    assert.same({ "x", "x", "y", "y" }, g.columns.a)
    assert.same({ 0, 5, 0, 5 }, g.columns.shift:totable())
    assert.equal(g.scores[1], g.scores[3])
    assert.matches("^a  shift   score\nx      5  0%.4750\ny      5  0%.4750\nx      0  0%.4500\n", tostring(g))
  end)

  it("fits each fold, and the best on all rows", function()
    log = {}
    local g = select.grid_search { build = line, params = { shift = { 5, 0 } }, train = train, cv = 2 }
    assert.same({ "5 on 40", "5 on 40", "0 on 40", "0 on 40", ("%g on 80"):format(g.best_params.shift) }, log)
    assert.same({ 2 }, g.results[1].scores.shape)
    assert.near(g.results[1].score, g.results[1].scores:mean():item(), 1e-15)
    assert.near(g.results[1].std, g.results[1].scores:std():item(), 1e-15)
    assert.same({ 2 }, g.stds.shape)
    assert.matches("^shift   score     std\n", tostring(g))
    log = {}
    g = select.grid_search { build = line, params = { shift = { 5, 0 } }, train = train, cv = 2, refit = false }
    assert.is_nil(g.best)
    assert.equal(4, #log)
  end)

  it("prefers what the metric calls better, and puts NaN last", function()
    local values = { 0.3, 0 / 0, 0.1, 0.7 }
    local function search(options)
      options.build, options.train, options.dev, options.params = line, train, dev, { shift = values }
      local list = {}
      for i, r in ipairs(select.grid_search(options).results) do list[i] = ("%g"):format(r.params.shift):gsub("-",
        "") end
      return list
    end
    local shift
    local old = Line.predict
    Line.predict = function(self, x)
      shift = self.shift
      return old(self, x)
    end
    local function metric() return shift end
    local more, less = search { metric = metric }, search { metric = metric, maximize = false }
    Line.predict = old
    assert.same({ "0.7", "0.3", "0.1", "nan" }, more)
    assert.same({ "0.1", "0.3", "0.7", "nan" }, less)
    local g = select.grid_search { build = line, params = { shift = { 0, 50 } }, train = train, dev = dev,
      metric = "mse" }
    assert.equal(g.scores:min():item(), g.best_score)
  end)

  it("fits machines that differ only in C as svm.path does", function()
    local Cs = { 10, 0.1, 1 }
    local function build(p) return svm.SVC { C = p.C, gamma = p.gamma, tol = 1e-5 } end
    local g = select.grid_search { build = build, params = { C = Cs, gamma = { 0.5, 2 } }, train = train, dev = dev }
    for _, gamma in ipairs { 0.5, 2 } do
      local path = svm.path(train[1], train[2], { Cs = Cs, estimator = svm.SVC { gamma = gamma, tol = 1e-5 } })
      for i, C in ipairs(Cs) do
        for j = 1, 6 do
          if g.columns.C[j] == C and g.columns.gamma[j] == gamma then
            assert.equal(path[i]:score(dev.x, dev.y), g.scores[j])
          end
        end
        if g.best.C == C and g.best.gamma == gamma then
          assert.is_true(path[i].dual_coef:equal(g.best.dual_coef))
        end
      end
    end
    assert.equal(g.best_params.C, g.best.C)
    assert.equal(g.best_score, g.best:score(dev.x, dev.y))
  end)

  it("agrees with svm.grid_search over folds", function()
    local Cs, gammas = { 0.1, 1, 10 }, { 0.5, 2 }
    local expected = svm.grid_search(svm.SVC(), X, y, { C = Cs, gamma = gammas, folds = 4, seed = 1 })
    local g = select.grid_search { build = svm.SVC, params = { C = Cs, gamma = gammas }, train = { X, y }, cv = 4,
      seed = 1 }
    assert.equal(expected.best_score, g.best_score)
    assert.is_true(expected.scores:equal(g.scores:view(#Cs, #gammas):t()))
    for _, r in ipairs(g.results) do
      for _, e in ipairs(expected.results) do
        if e.C == r.params.C and e.gamma == r.params.gamma then assert.is_true(e.scores:equal(r.scores)) end
      end
    end
    assert.equal(g.best_params.C, g.best.C)
    assert.same({ 120, 2 }, { table.unpack(g.best.shape_fit) })
  end)

  it("shares over folds what reads decisions, too", function()
    local function search(build)
      return select.grid_search { build = build, params = { C = { 0.5, 5 } }, train = train, cv = 3,
        metric = "roc_auc" }
    end
    local shared = search(function(p) return svm.SVC { C = p.C, tol = 1e-6 } end)
    local alone = search(function(p)
      local m = svm.SVC { C = p.C, tol = 1e-6 }
      return { fit = function(self, x, t) m:fit(x, t) end, predict = function(self, x) return m:predict(x) end,
        decision_function = function(self, x) return m:decision_function(x) end }
    end)
    assert.is_true(shared.scores:allclose(alone.scores, { atol = 0.01 }))
    assert.is_true(shared.scores:min():item() > 0.8)
  end)

  it("makes networks from the seed, whatever their order", function()
    local function search(hidden, seed, threads)
      local old = peri.get_num_threads()
      if threads then peri.set_num_threads(threads) end
      local g = select.grid_search { build = network, params = { hidden = hidden }, train = train, cv = 2, seed = seed,
        metric = "log_loss" }
      peri.set_num_threads(old)
      local bits = {}
      for _, r in ipairs(g.results) do bits[r.params.hidden] = samples.bits(r.scores) end
      bits.best = samples.bits(g.best:predict_proba(X))
      return bits
    end
    local first = search({ 3, 8 }, 7)
    for threads = 1, 3 do assert.same(first, search({ 8, 3 }, 7, threads)) end
    assert.not_same(first, search({ 3, 8 }, 8))
  end)

  it("gives the same bits for machines with any number of threads", function()
    local seen
    local old = peri.get_num_threads()
    for threads = 1, 3 do
      peri.set_num_threads(threads)
      local g = select.grid_search { build = svm.SVC, params = { C = { 1, 100 }, gamma = { 1, 3 } }, train = train,
        cv = 3 }
      local bits = samples.all_bits { g.scores, g.stds, g.best:decision_function(X) } .. tostring(g)
      seen = seen or bits
      assert.equal(seen, bits)
    end
    peri.set_num_threads(old)
  end)

  it("says what is wrong, and with which parameters", function()
    local f = select.grid_search
    local function with(changes)
      local options = { build = svm.SVC, params = { C = { 1, 2 } }, train = train, dev = dev }
      for name, value in pairs(changes) do options[name] = value or nil end
      return options
    end
    fails("grid_search: the argument must be a table, got nothing", f)
    fails("grid_search: unknown option param (known: build, cv, dev, estimator, maximize, metric, params, refit, seed, "
      .. "train)", f, with { param = {} })
    fails("grid_search: unknown option n", f, with { n = 3 })
    fails("grid_search: one of build and estimator must be given", f, with { build = false })
    fails("grid_search: one of build and estimator must be given", f, with { estimator = svm.SVC() })
    fails("grid_search: build must be a function that gives an estimator, got 3", f, with { build = 3 })
    fails("grid_search: params must be a table, got nothing", f, with { params = false })
    fails("grid_search: params is empty", f, with { params = {} })
    fails("grid_search: params must have names as keys, got 1", f, with { params = { { 1 } } })
    fails("grid_search: params.C must be a list of 1 or more values, got a table", f, with { params = { C = {} } })
    fails("grid_search: params.C must be a list of 1 or more values, got 3", f, with { params = { C = 3 } })
    fails("grid_search: one of dev and cv must be given", f, with { cv = 3 })
    fails("grid_search: one of dev and cv must be given", f, with { dev = false })
    fails("grid_search: train must be {X, y}, got nothing", f, with { train = false })
    fails("grid_search: X has 120 rows but y of train has 80", f, with { train = { X, train[2] } })
    fails("grid_search: X of dev must be a tensor or a table of rows, got nothing", f, with { dev = {} })
    fails("grid_search: y of dev must be a tensor", f, with { dev = { X } })
    fails("grid_search: refit is for cv", f, with { refit = true })
    fails("grid_search: refit must be true or false, got 1", f, with { dev = false, cv = 3, refit = 1 })
    fails("grid_search: maximize says whether more is better of a metric that is a function", f,
      with { maximize = true, metric = "mse" })
    fails("grid_search: with C = -1: SVC: C is -1.0 (expected a number > 0)", f, with { params = { C = { 1, -1 } } })
    fails("grid_search: with C = 1 and other C: SVC: X has ", f,
      with { train = { X:to "float64" * (0 / 0), y } })
    fails("grid_search: with shift = 3: mine", f, with { build = function(p) error "mine" end,
      params = { shift = { 3 } } })
    local object = {}
    local ok, message = pcall(f, with { build = function() error(object) end })
    assert.same({ false, object }, { ok, message })
  end)
end)

describe("random_search", function()
  local function draws(params, n, seed)
    local list = {}
    local g = select.random_search { build = line, params = params, n = n, seed = seed, train = train, dev = dev }
    for name, column in pairs(g.columns) do list[name] = peri.is_tensor(column) and column:totable() or column end
    return list, g
  end

  it("draws from lists without repeating a combination", function()
    local params = { shift = { 1, 2, 3 }, b = { "x", "y" } }
    local list = draws(params, 100)
    local seen = {}
    for i, value in ipairs(list.shift) do seen[#seen + 1] = value .. list.b[i] end
    assert.same({ "1x", "1y", "2x", "2y", "3x", "3y" }, (function()
      for i, word in ipairs(seen) do seen[i] = word:gsub("%.0", "") end
      return sorted(seen)
    end)())
    assert.equal(4, #draws(params, 4).shift)
    assert.same(draws(params, 4, 1), (draws(params, 4, 1)))
    assert.not_same(draws(params, 4, 1), (draws(params, 4, 2)))
  end)

  it("draws from ranges and functions", function()
    local params = {
      shift = { from = 1e-3, to = 1e3, log = true }, u = { from = -1, to = 2 }, k = { from = 2, to = 5, whole = true },
      w = { from = 1, to = 4, whole = true, log = true }, c = { 7, 8 },
      f = function(random) return random(10) * 100 + random(3, 4) + random() end,
    }
    local list = draws(params, 400)
    local function spread(name, low, high, middle)
      local below = 0
      for _, value in ipairs(list[name]) do
        assert.is_true(value >= low and value <= high, name)
        if value < middle then below = below + 1 end
      end
      assert.is_true(below > 150 and below < 250, ("%s: %d below"):format(name, below))
    end
    spread("shift", 1e-3, 1e3, 1)
    spread("u", -1, 2, 0.5)
    spread("k", 2, 5, 3.5)
    spread("c", 7, 8, 7.5)
    spread("f", 103, 1005, 550)
    spread("w", 1, 4, 1.5)
    local seen = {}
    for _, value in ipairs(list.k) do seen[value] = true end
    for _, value in ipairs(list.w) do seen[value + 10] = true end
    for _, value in ipairs { 2, 3, 4, 5, 11, 12, 13, 14 } do assert.is_true(seen[value]) end
    assert.same(list, (draws(params, 400)))
    assert.equal(10, #draws({ shift = { from = 0, to = 1 } }, nil).shift)
  end)

  it("is a search like a grid", function()
    local _, g = draws({ shift = { from = -1, to = 1 } }, 5)
    assert.equal(5, #g.results)
    assert.equal(g.best_score, g.best:score(dev.x, dev.y))
    local machines = select.random_search { build = svm.SVC, params = { C = { from = 0.1, to = 10, log = true } },
      n = 4,
      train = train, cv = 3, seed = 3 }
    assert.equal(machines.best.C, machines.best_params.C)
    assert.is_true(machines.best_score > 0.8)
  end)

  it("refuses ranges that are none", function()
    local function with(params) return { build = line, params = params, train = train, dev = dev } end
    local f = select.random_search
    fails("random_search: params.a must go from a finite number to one that is not below it, got 2 to 1", f,
      with { a = { from = 2, to = 1 } })
    fails("got 2 to nothing", f, with { a = { from = 2 } })
    fails("got 2 to inf", f, with { a = { from = 2, to = 1 / 0 } })
    fails("random_search: params.a has log but begins at 0 (expected > 0)", f, with { a = { from = 0, to = 1,
      log = true } })
    fails("random_search: params.a: unknown option step", f, with { a = { from = 0, to = 1, step = 1 } })
    fails("random_search: params.a.from must be a whole number", f, with { a = { from = 0.5, to = 1, whole = true } })
    fails("random_search: params.a must be a list of 1 or more values, got 5", f, with { a = 5 })
    fails("random_search: random: 4 to 3 is no range of whole numbers", f, with { a = function(r) return r(4, 3) end })
    local options = with { a = { 1 } }
    options.n = 0
    fails("random_search: n must be a whole number from 1, got 0", f, options)
  end)
end)

-- ---- curves ----

describe("learning_curve", function()
  it("fits more and more rows, with labels in proportion", function()
    log = {}
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
    fails("learning_curve: one of build and estimator must be given", f, with { build = false })
    fails("learning_curve: one of build and estimator must be given", f, with { estimator = line() })
    fails("learning_curve: build must be a function", f, with { build = line() })
    fails("learning_curve: estimator must be an estimator that can be cloned, got 3", f, with { build = false,
      estimator = 3 })
    fails("learning_curve: one of dev and cv must be given", f, with { cv = 3 })
    fails("learning_curve: seed is for cv", f, with { seed = 3 })
    fails("learning_curve: seeds is for dev", f, with { dev = false, cv = 3, seeds = { 1 } })
    fails("learning_curve: entry 2 of seeds must be a whole number from 0, got 'a'", f, with { seeds = { 1, "a" } })
    fails("learning_curve: seeds must be a list", f, with { seeds = 3 })
    fails("learning_curve: a size is 81 but there are 80 rows to fit", f, with { sizes = { 81 } })
    fails("learning_curve: entry 1 of sizes must be a share up to 1 or a count above 1, got 1.5", f,
      with { sizes = { 1.5 } })
    fails("learning_curve: sizes must be a list of 1 or more numbers, got a table", f, with { sizes = {} })
    fails("learning_curve: unknown option size", f, with { size = 3 })
    fails("learning_curve: with 2 rows: mine", f, with { sizes = { 2 }, build = function() error "mine" end })
  end)
end)

describe("random ranges", function()
  it("reach both ends, however far apart", function()
    local seen = {}
    local function search(range)
      seen = {}
      select.random_search { n = 20, train = train, dev = dev, params = { shift = range }, build = function(p)
        seen[#seen + 1] = p.shift
        return line { shift = 0 }
      end }
      return seen
    end
    for _, shift in ipairs(search { from = -1e308, to = 1e308 }) do assert.is_true(math.abs(shift) < 1e308) end
    local low, high = 0, 0
    for _, shift in ipairs(search { from = 5e-324, to = 1e308, log = true }) do
      if shift < 1 then low = low + 1 else high = high + 1 end
    end
    assert.is_true(low > 2 and high > 2)
    fails("random_search: random: -9223372036854775808 to 9223372036854775807 is a range beyond 2^53", search,
      { from = math.mininteger, to = math.maxinteger, whole = true })
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
    fails("validation_curve: param must be a name, got nothing", f, { build = line, train = train, dev = dev })
    fails("validation_curve: values must be a list of 1 or more values, got nothing", f,
      { build = line, param = "C", train = train, dev = dev })
    fails("validation_curve: with C = 0: SVC: C is 0.0", f,
      { build = svm.SVC, param = "C", values = { 0 }, train = train, dev = dev })
    fails("validation_curve: unknown option params", f, { params = 1 })
  end)
end)

-- ---- the part ----

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
