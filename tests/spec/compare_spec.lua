-- select.compare, and estimators in the place of functions that build them.
local peri = require "perilune"
local at_script = require("support.fails").at_script
local svm, nn, select, data = peri.svm, peri.nn, peri.select, peri.data

local train = { data.circles(120, { noise = 0.15, factor = 0.5, seed = 1 }) }
local test = { data.circles(300, { noise = 0.15, factor = 0.5, seed = 2 }) }

local function network(p)
  local net = nn.Sequential(nn.Linear(2, p.hidden), nn.Tanh(), nn.Linear(p.hidden, 2))
  return net, peri.optim.SGD(net:parameters(), { lr = 0.1 })
end

local function classifier(hidden)
  return peri.train.Classifier { build = network, params = { hidden = hidden }, epochs = 5, seed = 3, progress = false }
end

local function fails(part, given) at_script(part, select.compare, given) end

describe("select.compare", function()
  it("fits, scores and measures networks and machines alike, in order", function()
    local net, optimizer = network { hidden = 4 }
    local fitted = peri.train.fit { model = net, optimizer = optimizer, loss = nn.CrossEntropyLoss(), train = train,
      epochs = 3, progress = false }
    local few = { train[1][{ { 1, 50 } }], train[2][{ { 1, 50 } }] }
    local m = svm.SVC {}
    local c = select.compare { train = train, test = test, { "fitted", fitted }, { "built", classifier(3) },
      { "rbf", m }, { "linear", svm.LinearSVC {} }, { "on few", m, train = few } }
    assert.is_false(pcall(function() return m.support end)) -- copies are fitted
    local function vectors(rows) return #svm.SVC({}):fit(rows[1], rows[2]).support .. " support vectors" end
    local sizes = { "22 parameters", "17 parameters", vectors(train), "3 parameters", vectors(few) }
    for i, r in ipairs(c.results) do
      assert.equal(sizes[i], r.size)
      assert.equal(i == 5 and 50 or 120, r.rows)
      assert.equal(r.model:score(test[1], test[2]), r.test)
      local rows = i == 5 and few or train
      assert.equal(r.model:score(rows[1], rows[2]), r.train)
      assert.is_true(r.fit_seconds >= 0 and r.score_seconds >= 0)
    end
    assert.equal(fitted, c.results[1].model)
    assert.equal(fitted.seconds[-1], c.results[1].fit_seconds)
    local lines = {}
    for line in tostring(c):gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.equal(6, #lines)
    assert.matches("^method +rows +train +test +ms to fit +ms to score +size$", lines[1])
    assert.matches("^on few +50 +[%d.]+ +[%d.]+ +[%d.]+ +[%d.]+ +%d+ support vectors$", lines[6])
  end)

  it("leaves the training rows out when asked, and takes a metric", function()
    local c = select.compare { train = train, test = test, metric = "roc_auc", measure_train = false,
      { "rbf", svm.SVC {} } }
    local r = c.results[1]
    assert.is_nil(r.train)
    assert.near(peri.metrics.roc_auc(r.model:decision_function(test[1]), test[2]), r.test, 1e-12)
    assert.matches("\nrbf +120 +%- +", tostring(c))
    assert.matches("^method +rows +train roc_auc +test roc_auc +", tostring(c))
    local t = train[1]:select(2, 1)
    c = select.compare { train = { train[1], t }, test = { train[1], t }, { "SVR", svm.SVR {} } }
    assert.is_true(c.results[1].test > 0.8)
  end)

  it("says what is wrong before anything is fitted", function()
    local m = svm.SVC {}
    fails("compare: options must be a table, got 3", 3)
    fails("compare: there is no estimator (expected {name, estimator}, ...)", { train = train, test = test })
    fails("compare: test must be {X, y}, got nil", { { "a", m }, train = train })
    fails("compare: a has no rows to fit (train is missing)", { { "a", m }, test = test })
    fails("compare: entry 2 must be {name, estimator}, got 'b'", { { "a", m }, "b", train = train, test = test })
    fails("compare: the name of entry 1 must be a string, got 3", { { 3, m }, train = train, test = test })
    fails("compare: a must be an estimator (fit, predict, score), got 3", { { "a", 3 }, train = train, test = test })
    fails("compare: unknown option dev", { { "a", m }, train = train, test = test, dev = test })
    fails("compare: metric (if it is no function) must be one of", { { "a", m }, train = train, test = test,
      metric = "x" })
    assert.is_false(pcall(function() return #m.support end))
    fails("compare: entry 1 must be {name, estimator}, got an SVC", { m, train = train, test = test })
    fails("compare: with b: NuSVC: nu", { { "b", svm.NuSVC { nu = 0.99 } }, test = test,
      train = { train[1][{ { 1, 3 } }], { 1, 1, 2 } } })
  end)
end)

describe("an estimator in the place of build", function()
  it("is cloned with each set of parameters, and stays as it is", function()
    local m = svm.SVC { C = 3 }
    local params = { gamma = { 0.5, 2 } }
    local g = select.grid_search { estimator = m, params = params, train = train, dev = test }
    local same = select.grid_search { params = params, train = train, dev = test,
      build = function(p) return svm.SVC { C = 3, gamma = p.gamma } end }
    assert.is_true(g.scores:equal(same.scores))
    assert.equal(3, g.best.C)
    assert.is_false(pcall(function() return #m.support end))
    g = select.random_search { estimator = classifier(2), params = { hidden = { 3, 5 } }, n = 2, train = train, cv = 2 }
    assert.equal(g.best.model[1].weight:size(1), g.best_params.hidden)
  end)
end)
