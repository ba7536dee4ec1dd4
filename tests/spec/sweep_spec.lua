-- Networks that train side by side are bit for bit what they are alone.
local peri = require "perilune"
local run = require "support.program"
local nn, optim, data, train, select = peri.nn, peri.optim, peri.data, peri.train, peri.select

local X, y = data.circles(130, { noise = 0.15, factor = 0.5, seed = 1 })
local Xd, yd = data.circles(60, { noise = 0.15, factor = 0.5, seed = 2 })

-- Three architectures, with dropout and batch norm; two optimizers.
local function build(p)
  local net
  if p.kind == "small" then
    net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
  elseif p.kind == "dropout" then
    net = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Dropout { p = 0.2 }, nn.Linear(9, 2))
  else
    net = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 2))
  end
  local optimizer = p.kind == "norm" and optim.Adam(net:parameters(), { lr = p.lr / 10 })
    or optim.SGD(net:parameters(), { lr = p.lr, momentum = 0.5 })
  if p.kind == "small" then return net, optimizer end
  return net, optimizer, optim.lr_scheduler.StepLR(optimizer, { step_size = 3, gamma = 0.7 })
end

local function same(a, b)
  if not (a and b) then return a == b end
  a, b = a:to("float64"), b:to("float64")
  return #a == #b and (a:eq(b) | (a:ne(a) & b:ne(b))):all()
end

local function same_parameters(a, b)
  local p, q = a:state_dict(), b:state_dict()
  for name, value in pairs(p) do
    if not same(value:flatten(), q[name]:flatten()) then return false end
  end
  return true
end

local HISTORIES = { "train_loss", "train_accuracy", "dev_loss", "dev_accuracy", "learning_rate" }

-- Row i of the sweep's histories is what `alone` has, and NaN behind it.
local function assert_alike(alone, g, i)
  local m = g.estimators[i]
  for _, name in ipairs(HISTORIES) do
    assert.is_true(same(alone[name], m[name]), name)
    local row = g[name][i]
    assert.is_true(same(alone[name], row[{ { 1, alone.epochs } }]), name)
    if alone.epochs < #row then
      local rest = row[{ { alone.epochs + 1, -1 } }]
      assert.is_true(rest:ne(rest):all())
    end
  end
  assert.are.equal(alone.stopped, m.stopped)
  assert.are.equal(alone.best_epoch, m.best_epoch)
  assert.is_true(same_parameters(alone.model, m.model))
end

local function with_threads(n, f, ...)
  local before = peri.get_num_threads()
  peri.set_num_threads(n)
  local _ <close> = setmetatable({}, { __close = function() peri.set_num_threads(before) end })
  return f(...)
end

local function options_of(more)
  local options = { epochs = 12, batch_size = 16, early_stopping = { patience = 2, min_delta = 0.002 },
    clip_grad_norm = 5, progress = false }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

local function alone(params, seed, more)
  local options = options_of(more)
  options.build, options.params, options.seed = build, params, seed
  return train.Classifier(options):fit(X, y, { dev = { Xd, yd } })
end

local PARAMS = { kind = { "dropout", "norm", "small" }, lr = { 0.02, 0.1, 0.3, 1e30 } }

describe("train.sweep", function()
  it("trains each of many networks as if it were alone, with any number of threads", function()
    local expected, stream
    for _, threads in ipairs { 1, 2, 7 } do
      with_threads(threads, function()
        local options = options_of { build = build, params = PARAMS, seeds = { 3, 5, 6, 11 }, train = { X, y },
          dev = { Xd, yd } }
        local g = train.sweep(options)
        local now = peri.get_rng_state():totable()
        if not expected then
          expected = {}
          for i, params in ipairs(g.params) do expected[i] = alone(params, g.seeds[i]) end
          stream = peri.get_rng_state():totable()
        end
        assert.are.equal(48, #g.estimators)
        for i, m in ipairs(expected) do assert_alike(m, g, i) end
        assert.are.same(stream, now)
      end)
    end
    local stopped, diverged = {}, 0
    for _, m in ipairs(expected) do
      stopped[m.epochs] = true
      diverged = diverged + (m.diverged and 1 or 0)
    end
    local counts = 0
    for _ in pairs(stopped) do counts = counts + 1 end
    assert.is_true(counts >= 4 and diverged >= 4)
  end)

  it("runs epochs that nothing listens to one behind the other, whatever optimizers' numbers are", function()
    local x, labels, numbers = X[{ { 1, 21 } }], y[{ { 1, 21 } }], Xd[{ { 1, 21 } }]:square()
    local optimizers = {
      function(net, p) return optim.SGD(net:parameters(), { lr = p.lr, momentum = 0.9, weight_decay = p.lr / 50 }) end,
      function(net, p) return optim.Adam(net:parameters(), { lr = p.lr, betas = { 1 / (1 + p.lr), 0.99 } }) end,
      function(net, p) return optim.RMSprop(net:parameters(), { lr = p.lr / 9 }) end,
    }
    for i, make in ipairs(optimizers) do
      for _, class in ipairs { "Classifier", "Regressor" } do
        local options = { epochs = i == 1 and 1100 or 30, batch_size = 8, params = { lr = { 0.01, 0.02, 0.05, 1e30 } },
          seeds = 4, progress = false, train = { x, class == "Classifier" and labels or numbers },
          build = function(p)
            local net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
            if i == 2 then net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)) end
            if i == 3 then
              net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 7), nn.BatchNorm1d(7, { affine = false }), nn.ReLU(),
                nn.Dropout { p = 0.1 }, nn.Linear(7, 2))
            end
            return net, make(net, p)
          end }
        if i == 3 then options.dev = { x:add(0.1), options.train[2] } end
        for _, threads in ipairs { 1, 2 } do
          with_threads(threads, function()
            local g = train.sweep(options)
            for k, m in ipairs(g.estimators) do
              if k % 3 == 1 then
                local one = train[class] { epochs = options.epochs, batch_size = 8, build = options.build,
                  params = g.params[k], seed = g.seeds[k], progress = false,
                  on_batch = i > 1 and function() end or nil }:fit(x, options.train[2], { dev = options.dev })
                assert.are.same({ one.stopped, one.epochs }, { m.stopped, m.epochs })
                assert.is_true(same_parameters(one.model, m.model))
                for _, name in ipairs { "train_loss", "train_accuracy", "train_r2", "dev_loss", "learning_rate" } do
                  assert.is_true(same(one[name], m[name]), name)
                  if g[name] then assert.is_true(same(one[name], g[name][k][{ { 1, m.epochs } }]), name) end
                end
              end
            end
          end)
        end
      end
    end
  end)

  it("trains them on weighted rows", function()
    local weights = peri.arange(1, #X):mul(0.01):totable()
    local params = { { kind = "small", lr = 0.1 }, { kind = "small", lr = 0.3 }, { kind = "dropout", lr = 0.1 } }
    local options = options_of { build = build, params = params, seeds = { 3, 5 }, train = { X, y }, dev = { Xd, yd },
      sample_weight = weights }
    local g = with_threads(3, train.sweep, options)
    for i, p in ipairs(g.params) do
      local one = options_of { build = build, params = p, seed = g.seeds[i], on_batch = function() end }
      assert_alike(train.Classifier(one):fit(X, y, { dev = { Xd, yd }, sample_weight = weights }), g, i)
    end
  end)

  it("keeps what was done when a callback raises", function()
    for _, threads in ipairs { 1, 3 } do
      with_threads(threads, function()
        local calls = 0
        local function callback()
          calls = calls + 1
          if calls == 21 then error "enough" end
        end
        local params = { { kind = "small", lr = 0.1 }, { kind = "dropout", lr = 0.1 }, { kind = "norm", lr = 0.1 } }
        local ok, problem = pcall(train.sweep, options_of { build = build, params = params, seeds = 2, train = { X, y },
          dev = { Xd, yd }, callbacks = callback, early_stopping = { patience = 50 } })
        assert.is_false(ok)
        assert.matches("sweep_spec.lua:%d+: sweep: with kind = dropout, lr = 0.1, seed = 1: enough", problem)
        local g = train.unfinished()
        assert.are.equal(6, #g.estimators)
        for i, m in ipairs(g.estimators) do
          assert.are.equal("error", m.stopped)
          assert.is_true(m.epochs == 3 or m.epochs == 4)
          local one = alone(g.params[i], g.seeds[i], { epochs = m.epochs, early_stopping = { patience = 50 } })
          assert.is_true(same(one.train_loss, m.train_loss))
          assert.is_true(same(one.dev_loss, m.dev_loss))
        end
      end)
    end
  end)

  it("names what is best, as early stopping or the monitor says", function()
    local g = train.sweep(options_of { build = build, params = PARAMS, seeds = { 3, 5 }, train = { X, y },
      dev = { Xd, yd } })
    for i, r in ipairs(g.results) do
      assert.are.equal(g.estimators[r.number], r.estimator)
      local scored = r.estimator.diverged and 0 / 0 or r.estimator.dev_loss[r.estimator.best_epoch or -1]
      assert.is_true(r.score == scored or r.score ~= r.score and scored ~= scored)
      local before = g.results[i - 1]
      assert.is_true(not before or before.score <= r.score or r.score ~= r.score)
    end
    assert.are.equal(g.results[1].estimator, g.best)
    assert.are.equal(g.results[1].params.lr, g.best_params.lr)
    assert.matches("^kind +lr +seed +epochs +dev_loss +stopped\n", tostring(g))
    assert.matches("\n%.%.%. 4 more$", tostring(g))
    local by_accuracy = train.sweep(options_of { build = build, params = { kind = { "small", "norm" }, lr = { 0.1 } },
      seeds = 3, train = { X, y }, dev = { Xd, yd }, monitor = "dev_accuracy" })
    for _, r in ipairs(by_accuracy.results) do assert.is_true(r.score <= by_accuracy.best_score) end
    assert.are.equal("dev_accuracy", by_accuracy.monitor)
  end)

  it("draws the histories, a curve for each combination, and says how far it has come", function()
    local out, err, status = run({ "-" }, [[
local peri = require "perilune"
local nn, optim, train = peri.nn, peri.optim, peri.train
local X, y = peri.data.circles(60, { seed = 1 })
local function build(p)
  local net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
  return net, optim.SGD(net:parameters(), { lr = p.lr or 0.1 })
end
local g = train.sweep { build = build, params = { lr = { 0.01, 0.1 } }, seeds = 3, train = { X, y }, progress = true }
print(g:plot { title = "rates" })
local one = train.sweep { build = build, seeds = 3, train = { X, y }, dev = { X, y }, progress = false }
print(one:plot { measure = "dev_accuracy" })
print(pcall(g.plot, g, { measure = "dev_loss" }))]])
    assert.are.equal(0, status)
    local figure = "figure %d+x%d+ with 4 layers\n"
    assert.matches("^" .. figure .. figure .. "false\t[^\n]*measure must be one of", out)
    assert.matches("^1/6 networks  %d+ epochs  0:0%d left\n", err)
    assert.matches("\n6/6 networks  60 epochs  0:00 left\n$", err)
  end)

  it("takes options of the training as parameters, regressions, and no parameters at all", function()
    local function line(p)
      local net = nn.Linear(1, 1)
      return net, optim.SGD(net:parameters(), { lr = p.lr or 0.05 })
    end
    local x = peri.linspace(-1, 1, 40):unsqueeze(2)
    local g = train.sweep { build = line, train = { x, x * 3 + 1 }, progress = false,
      params = { batch_size = { 5, 40 }, epochs = { 2, 4 } } }
    assert.are.same({ 2, 4, 2, 4 }, g.epochs:totable())
    for i, size in ipairs { 5, 5, 40, 40 } do
      assert.are.equal(size, g.params[i].batch_size)
      local m = train.Regressor { build = line, batch_size = size, epochs = g.params[i].epochs, seed = 1 }
      m:fit(x, x * 3 + 1)
      assert.is_true(same(m.train_loss, g.estimators[i].train_loss))
      assert.is_true(same(m.train_r2, g.estimators[i].train_r2))
    end
    local one = train.sweep { build = line, train = { x, x * 3 + 1 }, seeds = 3, progress = false }
    assert.are.same({ 1, 2, 3 }, one.seeds)
    assert.is_true(one.train_loss[1][1] ~= one.train_loss[2][1])
  end)

  it("says what is wrong, with the parameters that led to it", function()
    local one = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    local function again() return one, optim.SGD(one:parameters(), { lr = 0.1 }) end
    local function message(options)
      local ok, problem = pcall(train.sweep, options)
      assert.is_false(ok)
      return problem
    end
    local pair = { X, y }
    assert.matches("sweep: with seed = 2: build gave the network of seed = 1 again", message { build = again, seeds = 2,
      train = pair, progress = false })
    assert.matches("sweep: with lr = 0.5, seed = 1: fit: build gave nil first", message { train = pair,
      progress = false, params = { lr = { 0.5 } }, build = function() end })
    assert.matches("sweep: option build is missing", message { train = pair })
    assert.matches("sweep: unknown option seed", message { build = build, train = pair, seed = 3 })
    assert.matches("sweep: params.lr must be a list", message { build = build, train = pair, params = { lr = 3 } })
    assert.matches("sweep: seeds has 2 twice", message { build = build, train = pair, seeds = { 2, 2 } })
    assert.matches("sweep: monitor must be one of", message { build = build, train = pair, monitor = "dev_loss" })
    assert.matches("sweep: params.dev cannot differ", message { build = build, train = pair, params = { dev = { 1 } } })
  end)

  it("is the same where memory is short for a moment, and keeps the budget where it is too short", function()
    with_threads(2, function()
      local function go()
        return train.sweep(options_of { build = build, params = { kind = { "small", "norm" }, lr = { 0.1 } }, seeds = 3,
          epochs = 3, train = { X, y }, dev = { Xd, yd } })
      end
      local expected, wrong = go(), 0
      for n = 20, 2600, 97 do
        peri._fail_after(n)
        local ok, problem = pcall(go)
        peri._fail_after(-1)
        assert.is_true(ok or problem:find "memory" ~= nil, problem)
        wrong = wrong + (ok and 0 or 1)
        collectgarbage()
        collectgarbage "stop"
        setmetatable({}, { __gc = function() peri._fail_after(-1) end }) -- a collection gives memory back
        peri._fail_after(n)
        local again, g = pcall(go)
        peri._fail_after(-1)
        collectgarbage "restart"
        assert.is_true(again, g)
        for i, m in ipairs(expected.estimators) do assert.is_true(same(m.dev_loss, g.estimators[i].dev_loss)) end
      end
      assert.is_true(wrong > 5)
    end)
  end)

  it("stops all when it is interrupted, and keeps what was done", function()
    local out, _, status = run({ "-" }, [[
local peri = require "perilune"
local nn, optim, train = peri.nn, peri.optim, peri.train
local X = peri.randn(400, 3)
local y = X:sum(2):gt(0):to "int64"
local calls, pid = 0, io.open("/proc/self/stat"):read "n"
local ok, message = pcall(train.sweep, { seeds = 12, epochs = 100000, train = { X, y }, progress = false,
  build = function()
    local net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    return net, optim.SGD(net:parameters(), { lr = 0.1 })
  end,
  callbacks = function()
    calls = calls + 1
    if calls == 40 then io.popen("kill -INT " .. pid):close() end
  end })
print(ok, message)
local g = train.unfinished()
print(#g.estimators, g.stopped[1], g.epochs:min():item() >= 3, g.epochs:max():item() < 1000)]])
    assert.are.equal(0, status)
    assert.matches("^false\t[^\n]*interrupted!?[^\n]*\n12\terror\ttrue\ttrue\n$", out)
  end)
end)

describe("searches over networks", function()
  local function estimator(p)
    return train.Classifier(options_of { build = build, params = p, seed = p.seed or 4 })
  end

  local function scores_alone(params)
    local list = {}
    for i, p in ipairs(params) do list[i] = estimator(p):fit(X, y):score(Xd, yd) end
    return list
  end

  it("give what fits in a loop give", function()
    for _, threads in ipairs { 1, 2, 5 } do
      with_threads(threads, function()
        local g = select.grid_search { build = estimator, params = PARAMS, train = { X, y }, dev = { Xd, yd } }
        local params = {}
        for i = 1, 12 do params[i] = { kind = g.columns.kind[i], lr = g.columns.lr[i] } end
        assert.are.same(scores_alone(params), g.scores:totable())
        assert.are.equal(g.best_score, g.best:score(Xd, yd))
        local c = select.validation_curve { build = estimator, param = "lr", values = { 0.01, 0.1, 1 },
          train = { X, y }, dev = { Xd, yd }, seeds = { 1, 2 } } -- kind nil is the third architecture
        for k, seed in ipairs { 1, 2 } do
          for i, lr in ipairs { 0.01, 0.1, 1 } do
            peri.manual_seed(seed)
            assert.are.equal(estimator({ lr = lr }):fit(X, y):score(Xd, yd), c.test_scores[i][k])
          end
        end
        local few = { build = function() return estimator { kind = "small", lr = 0.1 } end, train = { X, y },
          dev = { Xd, yd }, sizes = { 40 } }
        local one = select.learning_curve(few)
        few.sizes = { 30, 40, 130 }
        local many = select.learning_curve(few)
        assert.are.equal(one.test_scores[1][1], many.test_scores[2][1])
        local cv = select.cross_val_score(estimator { kind = "dropout", lr = 0.1 }, X, y, { cv = 4, seed = 2 })
        local i = 0
        for inside, out in select.StratifiedKFold({ folds = 4, seed = 2 }):split(X, y) do
          i = i + 1
          local m = estimator({ kind = "dropout", lr = 0.1 }):fit(X[inside], y[inside])
          assert.are.equal(m:score(X[out], y[out]), cv[i])
        end
      end)
    end
  end)

  it("wait for each other where the default stream decides", function()
    local function unseeded(p) return train.Classifier(options_of { build = build, params = p }) end
    local params = { { kind = "dropout", lr = 0.1 }, { kind = "dropout", lr = 0.3 }, { kind = "small", lr = 0.1 },
      { kind = "small", lr = 0.3 } }
    peri.manual_seed(8)
    local expected = {}
    for i, p in ipairs(params) do expected[i] = unseeded(p):fit(X, y):score(Xd, yd) end
    local stream = peri.get_rng_state():totable()
    peri.manual_seed(8)
    local g = select.grid_search { build = unseeded, params = { kind = { "dropout", "small" }, lr = { 0.1, 0.3 } },
      train = { X, y }, dev = { Xd, yd } }
    assert.are.same(expected, g.scores:totable())
    assert.are.same(stream, peri.get_rng_state():totable())
  end)

  it("wait where they train one network, and name what fails", function()
    local function shared_alone()
      peri.manual_seed(1)
      local net, scores = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2)), {}
      return net, function(p)
        return train.Classifier { seed = 1, epochs = 3, params = p, progress = false, batch_size = 16,
          build = function(q) return net, optim.SGD(net:parameters(), { lr = q.lr }) end }
      end, scores
    end
    local _, make, scores = shared_alone()
    for i, lr in ipairs { 0.1, 0.2, 0.3 } do scores[i] = make({ lr = lr }):fit(X, y):score(Xd, yd) end
    local _, again = shared_alone()
    local g = select.grid_search { build = again, params = { lr = { 0.1, 0.2, 0.3 } }, train = { X, y },
      dev = { Xd, yd } }
    assert.are.same(scores, g.scores:totable())
    local ok, problem = pcall(select.grid_search, { params = { lr = { 0.1, 0.2 } }, train = { X, y }, dev = { Xd, yd },
      build = function(p)
        return train.Classifier { seed = 1, epochs = 3, params = p, progress = false, build = function(q)
          if q.lr == 0.2 then return nil end
          return build { kind = "small", lr = q.lr }
        end }
      end })
    assert.is_false(ok)
    assert.matches("sweep_spec.lua:%d+: grid_search: with lr = 0.2: fit: build gave nil first", problem)
  end)
end)
