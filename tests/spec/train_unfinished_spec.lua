-- What is left of a training that an error ended.
local peri = require "perilune"
local run = require "support.program"
local message_of = require("support.fails").message
local nn, optim, train = peri.nn, peri.optim, peri.train
local rings = require "support.rings"
local options, bits = rings.options, rings.bits
local X, y, Xt, yt = rings.X, rings.y, rings.Xt, rings.yt

describe("train.unfinished", function()
  -- A training that an error ends after so many epochs, and one that trains just these.
  local function ended_after(epochs, changes, problem)
    local given = options { epochs = 9, callbacks = function(state)
      if state.epoch == epochs then error(problem or "enough", 0) end
    end }
    for name, value in pairs(changes or {}) do given[name] = value end
    return message_of(train.fit, given), given.model
  end

  it("gives what there is when an error ends a training", function()
    local message, net = ended_after(3)
    assert.equal("enough", message)
    local m, whole = train.unfinished(), train.fit(options { epochs = 3 })
    assert.is_nil(train.unfinished()) -- another has begun, and come to its end
    assert.same({ "error", "enough", 3, false }, { m.stopped, m.note, m.epochs, m.diverged })
    assert.is_true(rawequal(net, m.model))
    assert.equal(bits(whole.model), bits(m.model))
    for _, name in ipairs { "train_loss", "train_accuracy", "dev_loss", "dev_accuracy", "learning_rate" } do
      assert.same(whole[name]:totable(), m[name]:totable(), name)
    end
    assert.is_true(m:predict(Xt):equal(whole:predict(Xt)))
    assert.equal(whole:score(Xt, yt), m:score(Xt, yt))
    assert.matches("^trained 3 epochs %(error%); train_loss ", tostring(m))
    assert.is_true(m:plot() ~= nil)
  end)

  it("holds whole epochs alone, also none", function()
    local function stop(at)
      return function(state) if state.batches == at then error "enough" end end
    end
    message_of(train.fit, options { on_batch = stop(30) }) -- of 20 in an epoch
    assert.same({ 1, 1, 1 }, { train.unfinished().epochs, #train.unfinished().train_loss, #train.unfinished().seconds })
    message_of(train.fit, options { on_batch = stop(1) })
    local m = train.unfinished()
    assert.same({ 0, "error" }, { m.epochs, m.stopped })
    assert.is_nil(m.train_loss)
    assert.equal("trained 0 epochs (error)", tostring(m))
    assert.equal(300, #m:predict(Xt))
    assert.matches("plot: this training has no history %(after 0 epochs", message_of(m.plot, m))
  end)

  it("keeps the best parameters of early stopping, and leaves the model as it is", function()
    local _, net = ended_after(6, { early_stopping = { patience = 20, monitor = "train_accuracy" } })
    local m = train.unfinished()
    assert.equal("train_accuracy", m.monitor)
    assert.equal(m.train_accuracy:argmax(), m.best_epoch)
    local last = bits(net)
    local reference = train.fit(options { epochs = m.best_epoch })
    m.model:load_state_dict(m.best)
    assert.equal(bits(reference.model), bits(m.model))
    assert.equal(last == bits(net), m.best_epoch == 6)
  end)

  it("is told of by the error of Ctrl-C alone, and is of the estimator's class", function()
    assert.equal("x.lua:1: interrupted! in epoch 3 of 9 (train.unfinished() gives what was trained until then)",
      (ended_after(2, nil, "x.lua:1: interrupted!")))
    assert.same({ "interrupted!" }, { (ended_after(2, nil, { "interrupted!" }))[1] })
    local function build(p)
      local net = nn.Sequential(nn.Linear(p.n_features, 4), nn.Tanh(), nn.Linear(4, p.n_classes))
      return net, optim.SGD(net:parameters(), { lr = 0.1 })
    end
    local estimator = train.Classifier { build = build, epochs = 5, seed = 1, callbacks = function(state)
      if state.epoch == 2 then error("x.lua:1: interrupted", 0) end
    end }
    assert.matches("interrupted in epoch 3 of 5 %(train.unf", message_of(estimator.fit, estimator, X, y))
    assert.matches("^Classifier{[^\n]*}$", tostring(estimator))
    local m = train.unfinished()
    assert.matches("^Classifier{.*}, trained 2 epochs %(error%); train_loss", tostring(m))
    assert.equal(300, #m:predict(Xt))
    assert.equal(7, m:clone({ epochs = 7 }):params().epochs)
  end)

  it("holds what was trained when Ctrl-C was pressed", function()
    local out, err, status = run({ "-" }, [[
local peri = require "perilune"
local pid = io.open("/proc/self/stat"):read "n"
local net = peri.nn.Linear(2, 2)
local X, y = peri.data.circles(40, {seed = 1})
local ok, message = pcall(peri.train.fit, {model = net, optimizer = peri.optim.SGD(net:parameters(), {lr = 0.1}),
  train = {X, y}, epochs = 1000, progress = false, callbacks = function(state)
    if state.epoch == 4 then io.popen("kill -INT " .. pid):close() end
  end})
local m = peri.train.unfinished()
print(ok, message:match "interrupted.*$")
print(#m.train_loss == m.epochs, m.epochs >= 3 and m.epochs <= 4, rawequal(m.model, net), #m:predict(X))]])
    assert.same({ "", 0 }, { err, status })
    assert.matches("^false\tinterrupted!? in epoch [45] of 1000 %(train.unfinished%(%) gives what was trained", out)
    assert.matches("\ntrue\ttrue\ttrue\t40\n$", out)
  end)
end)
