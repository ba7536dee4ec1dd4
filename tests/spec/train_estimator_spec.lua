-- Networks as estimators, and what a training says of its progress.
local peri = require "perilune"
local run = require "support.program"
local message_of = require("support.fails").message
local nn, optim, train = peri.nn, peri.optim, peri.train
local rings = require "support.rings"
local bits = rings.bits
local X, y, Xt, yt = rings.X, rings.y, rings.Xt, rings.yt

describe("train.Classifier", function()
  local function build(p)
    local net = nn.Sequential(nn.Linear(p.n_features, p.hidden), nn.Tanh(), nn.Linear(p.hidden, p.n_classes))
    return net, optim.SGD(net:parameters(), { lr = p.lr })
  end

  local function classifier(changes)
    local m = train.Classifier { build = build, epochs = 60, batch_size = 10, seed = 1,
      params = { hidden = 10, lr = 0.1 } }
    return m:clone(changes)
  end

  it("fits, predicts and scores as a machine does", function()
    local m = classifier()
    assert.equal(m, m:fit(X, y, { dev = { Xt, yt } }))
    assert.is_true(m:score(Xt, yt) > 0.9)
    assert.equal(m.dev_accuracy[60], m:score(Xt, yt))
    assert.same({ 1, 2 }, m.classes:totable())
    assert.matches("^Classifier{batch_size = 10, epochs = 60, .-hidden = 10.*}, trained 60 epochs", tostring(m))
  end)

  it("gives the same network for the same seed", function()
    local first = bits(classifier():fit(X, y).model)
    assert.equal(first, bits(classifier():fit(X, y).model))
    assert.are_not.equal(first, bits(classifier { seed = 2 }:fit(X, y).model))
  end)

  it("clones its options, also changed, and not what it has learnt", function()
    local m = classifier { epochs = 1 }:fit(X, y)
    local wide = m:clone { hidden = 20, epochs = 2 }
    assert.equal(20, wide:params().params.hidden)
    assert.equal(2, wide:params().epochs)
    assert.equal(10, m:params().params.hidden)
    assert.matches("predict: the Classifier is not fitted", message_of(wide.predict, wide, X))
    assert.matches("unknown option wide", message_of(m.clone, m, { wide = 1 }))
    assert.same({ 20, 2 }, wide:fit(X, y).model:parameters()[1].shape)
    assert.equal(bits(m.model), bits(train.Classifier(m:params()):fit(X, y).model))
  end)

  it("is what it was before when a fit fails", function()
    local m = classifier { epochs = 1 }:fit(X, y)
    local before = bits(m.model)
    assert.matches("fit: entry 1 of y is [%d.]+ %(expected a whole label%)", message_of(m.fit, m, X, y + 0.5))
    assert.equal(before, bits(m.model))
    local m2 = m:clone { build = function() return 3 end }
    assert.matches("fit: build gave 3 first %(expected a layer%)", message_of(m2.fit, m2, X, y))
    assert.matches("unknown option weights", message_of(m.fit, m, X, y, { weights = {} }))
  end)

  it("has a sibling for numbers", function()
    local m = train.Regressor {
      epochs = 50, seed = 1, build = function(p)
        local net = nn.Sequential(nn.Linear(p.n_features, p.n_outputs))
        return net, optim.SGD(net:parameters(), { lr = 0.2 })
      end,
    }
    local x = peri.linspace(-1, 1, 100):view(100, 1)
    m:fit(x, x:flatten() * 3)
    assert.is_true(m:score(x, x:flatten() * 3) > 0.99)
    assert.same({ 100 }, m:predict(x).shape)
  end)
end)

describe("progress", function()
  local script = [[
    local peri = require "perilune"
    local net = peri.nn.Sequential(peri.nn.Linear(2, 2))
    local X, y = peri.data.circles(100)
    local options = { model = net, loss = peri.nn.CrossEntropyLoss(), train = { X, y }, dev = { X, y }, epochs = 40,
      optimizer = peri.optim.SGD(net:parameters(), { lr = 0.1 }), progress = ... }
    peri.train.fit(options)]]

  it("is plain lines where stderr is no terminal, and none unless asked for", function()
    local _, err, status = run { "-e", (script:gsub("%.%.%.", "true")) }
    assert.equal(0, status, err)
    local _, lines = err:gsub("\n", "")
    assert.equal(21, lines)
    local measures = "train loss [%d.]+  train accuracy [%d.]+  dev loss [%d.]+  dev accuracy [%d.]+"
    assert.matches("\nepoch 40/40  " .. measures .. "  %d+ rows/s  0:00 left\n$", err)
    assert.is_nil(err:find "[\r\27]")
    assert.equal("", select(2, run { "-e", (script:gsub("%.%.%.", "nil")) }))
  end)

  it("is one line on a terminal", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write((script:gsub("%.%.%.", "nil")))
    file:close()
    local program = (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune"
    local pipe = assert(io.popen(("script -qec '%s %s' /dev/null </dev/null"):format(program, path)))
    local seen = pipe:read "a"
    pipe:close()
    os.remove(path)
    local _, lines = seen:gsub("\n", "")
    assert.equal(1, lines, seen)
    assert.matches("\repoch 40/40  train loss [^\r]* 0:00 left\27%[K\r\n$", seen)
  end)
end)
