-- Searches over machines, networks and estimators written in Lua.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local svm, select = peri.svm, peri.select
local candidates = require "support.candidates"
local Line = candidates.Line
local line, network, log, forget = candidates.line, candidates.network, candidates.log, candidates.forget
local X, y, train, dev = candidates.X, candidates.y, candidates.train, candidates.dev

local function sorted(list)
  table.sort(list)
  return list
end

describe("grid_search", function()
  it("visits names in sorted order, the last one fastest, and keeps the best", function()
    forget()
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
    forget()
    local g = select.grid_search { build = line, params = { shift = { 5, 0 } }, train = train, cv = 2 }
    assert.same({ "5 on 40", "5 on 40", "0 on 40", "0 on 40", ("%g on 80"):format(g.best_params.shift) }, log)
    assert.same({ 2 }, g.results[1].scores.shape)
    assert.near(g.results[1].score, g.results[1].scores:mean():item(), 1e-15)
    assert.near(g.results[1].std, g.results[1].scores:std():item(), 1e-15)
    assert.same({ 2 }, g.stds.shape)
    assert.matches("^shift   score     std\n", tostring(g))
    forget()
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
    fails("grid_search: options must be a table, got nil", f)
    fails("grid_search: unknown option param (known: build, cv, dev, estimator, maximize, metric, params, refit, seed, "
      .. "train)", f, with { param = {} })
    fails("grid_search: unknown option n", f, with { n = 3 })
    fails("grid_search: neither build nor estimator is given (expected one of them)", f, with { build = false })
    fails("grid_search: build and estimator are both given (expected one of them)", f, with { estimator = svm.SVC() })
    fails("grid_search: build must be a function that gives an estimator, got 3", f, with { build = 3 })
    fails("grid_search: params must be a table, got nil", f, with { params = false })
    fails("grid_search: params is empty", f, with { params = {} })
    fails("grid_search: params must have names, got the key 1", f, with { params = { { 1 } } })
    fails("grid_search: params.C must be a list of 1 or more values, got a table", f, with { params = { C = {} } })
    fails("grid_search: params.C must be a list of 1 or more values, got 3", f, with { params = { C = 3 } })
    fails("grid_search: dev and cv are both given (expected one of them)", f, with { cv = 3 })
    fails("grid_search: neither dev nor cv is given (expected one of them)", f, with { dev = false })
    fails("grid_search: train must be {X, y}, got nil", f, with { train = false })
    fails("grid_search: X has 120 rows but y of train has 80", f, with { train = { X, train[2] } })
    fails("grid_search: X of dev must be a tensor or a table of rows, got nil", f, with { dev = {} })
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
    fails("random_search: params.a goes from 2 to 1 (expected the smaller number first)", f,
      with { a = { from = 2, to = 1 } })
    fails("params.a.to must be a number, got nil", f, with { a = { from = 2 } })
    fails("params.a.to is inf (expected a finite number)", f, with { a = { from = 2, to = 1 / 0 } })
    fails("random_search: params.a has log but begins at 0 (expected > 0)", f, with { a = { from = 0, to = 1,
      log = true } })
    fails("random_search: params.a: unknown option step", f, with { a = { from = 0, to = 1, step = 1 } })
    fails("random_search: params.a.from must be a whole number", f, with { a = { from = 0.5, to = 1, whole = true } })
    fails("random_search: params.a must be a list of 1 or more values, got 5", f, with { a = 5 })
    fails("random_search: random: 4 to 3 is no range of whole numbers", f, with { a = function(r) return r(4, 3) end })
    local options = with { a = { 1 } }
    options.n = 0
    fails("random_search: n is 0 (expected at least 1)", f, options)
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
