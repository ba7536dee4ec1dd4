-- Trainings that are stopped at any step, also hard, and go on from their checkpoint: the parameters are those of a
-- training that was never stopped, bit for bit.
local peri = require "perilune"
local fails = require "support.fails"
local run = require "support.program"
local scratch = require "support.scratch"
local rings = require "support.rings"
local nn, optim, data, train = peri.nn, peri.optim, peri.data, peri.train

local X, y = rings.X[{ { 1, 50 } }], rings.y[{ { 1, 50 } }]
local dev = { rings.Xt[{ { 1, 40 } }], rings.yt[{ { 1, 40 } }] }

-- A network with all that has a state: random streams, running statistics.
local function network()
  peri.manual_seed(1)
  return nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout { p = 0.2 }, nn.Linear(6, 2))
end

-- All bytes of a training's end: parameters, buffers, and the history but for the seconds.
local function bytes_of(h)
  local parts = {}
  for _, tensor in pairs(h.model:state_dict()) do parts[#parts + 1] = tensor:bytes() end
  for _, name in ipairs { "train_loss", "train_accuracy", "train_f", "dev_loss", "dev_f", "learning_rate" } do
    parts[#parts + 1] = h[name] and name .. h[name]:bytes()
  end
  parts[#parts + 1] = peri.get_rng_state():bytes()
  return table.concat(parts, "|"), h.epochs, h.stopped, h.best_epoch
end

-- The trainings: each a function that gives the options of one, freshly made.
local CASES = {
  plain = function()
    local net = network()
    return { model = net, optimizer = optim.SGD(net:parameters(), { lr = 0.1, momentum = 0.9 }), train = { X, y } }
  end,
  everything = function()
    local net = network()
    local adam = optim.AdamW({ { params = net[1]:parameters(), lr = 0.02 },
      { params = net[2]:parameters() }, { params = net[5]:parameters() } }, { lr = 0.01 })
    return {
      model = net, optimizer = adam, train = { X, y }, dev = dev, ema = 0.9, accumulate = 2, clip_grad_norm = 1,
      scheduler = optim.lr_scheduler.ReduceLROnPlateau(adam, { patience = 0, factor = 0.5 }),
      early_stopping = { patience = 1, monitor = "dev_f", mode = "max" },
      metrics = { f = function(scores, labels) return scores:argmax(2):eq(labels):sum():item() end },
    }
  end,
  generators = function()
    local net, g = network(), peri.Generator(5)
    local seen = { count = 0 }
    function seen:state_dict() return { count = self.count } end
    function seen:load_state_dict(state) self.count = state.count end
    return {
      model = net, optimizer = optim.RMSprop(net:parameters(), { lr = 0.01 }), train = { X, y }, seed = 9,
      state = { noise = g, seen = seen }, on_batch = function(state)
        seen.count = seen.count + 1
        peri.no_grad(function()
          state.model[1].bias:add_(peri.randn(6, { generator = g }) * (0.01 * seen.count))
        end)
      end,
    }
  end,
  loader = function()
    local net = network()
    return {
      model = net, optimizer = optim.Adam(net:parameters(), { lr = 0.01 }), classes = { 1, 2 },
      train = data.loader({ X, y }, { batch_size = 15, shuffle = true, seed = 4 }),
    }
  end,
  batches = function() -- of a coroutine that draws
    local net = network()
    return {
      model = net, optimizer = optim.NAdam(net:parameters(), { lr = 0.01 }), classes = { 1, 2 }, accumulate = 3,
      loss = nn.CrossEntropyLoss(), train = function(epoch)
        return coroutine.wrap(function()
          for from = 1, 40, 10 do
            local rows = { { from, from + 9 } }
            coroutine.yield(X[rows] + peri.randn(10, 2) * 0.01 * epoch, y[rows])
          end
        end)
      end,
    }
  end,
  step = function() -- of one's own
    local net = network()
    local sgd = optim.SGD(net:parameters(), { lr = 0.1, momentum = 0.5 })
    return {
      model = net, train = { X, y }, state = { sgd = sgd }, step = function(bx, by)
        sgd:zero_grad()
        nn.CrossEntropyLoss()(net(bx), by):backward()
        sgd:step()
      end,
    }
  end,
}

local function options(case, changes)
  local given = CASES[case]()
  given.epochs, given.progress = 3, false
  if type(given.train) == "table" then given.batch_size = 10 end
  for name, value in pairs(changes or {}) do given[name] = value end
  return given
end

describe("a training that goes on from its checkpoint", function()
  local path = scratch()
  teardown(function() os.remove(path) end)

  for case in pairs(CASES) do
    it("is as one that was never stopped, wherever it stopped: " .. case, function()
      local steps = 0
      local whole = { bytes_of(train.fit(options(case, { callbacks = { on_step_end = function(state)
        steps = state.step
      end } }))) }
      assert.is_true(steps >= 6)
      for stop = 1, steps do
        os.remove(path)
        local first = options(case, { checkpoint = { path = path, every = math.max(1, stop - stop % 2) },
          callbacks = { on_step_end = function(state) if state.step == stop then error("enough", 0) end end } })
        assert.equal("enough", fails.message(train.fit, first))
        peri.manual_seed(77) -- another process is in any state
        local again = options(case, { checkpoint = { path = path, epochs = 99 }, resume = path })
        assert.same(whole, { bytes_of(train.fit(again)) }, "stopped at step " .. stop)
      end
    end)
  end

  it("may be stopped by a function, again and again, and at the ends of epochs", function()
    local whole = { bytes_of(train.fit(options "everything")) }
    for moment, written in pairs {
      on_step_end = { every = 2 }, on_batch = { every = 1 }, on_epoch_end = { epochs = 1 },
      on_epoch_begin = { epochs = 1 },
    } do
      os.remove(path)
      written.path = path
      local function go_on()
        local calls = 0
        local function tell()
          calls = calls + 1
          return calls < 2
        end
        return train.fit(options("everything", {
          resume = path, checkpoint = written, callbacks = { [moment] = tell },
        }))
      end
      local h, count = go_on(), 1
      while h.stopped == "callback" and count < 20 do h, count = go_on(), count + 1 end
      assert.same(whole, { bytes_of(h) }, moment)
      assert.is_true(count >= 2, moment)
    end
  end)

  it("trains further than it was meant to, and says at once what came of one that has ended", function()
    local whole = { bytes_of(train.fit(options("plain", { epochs = 5 }))) }
    os.remove(path)
    local written = { path = path, epochs = 2 }
    local short = { bytes_of(train.fit(options("plain", { checkpoint = written }))) }
    local told = 0
    local function tell() told = told + 1 end
    assert.same(short, { bytes_of(train.fit(options("plain", { resume = path, on_batch = tell }))) })
    assert.equal(0, told)
    assert.same(whole, { bytes_of(train.fit(options("plain", { resume = path, epochs = 5, on_batch = tell }))) })
    assert.equal(10, told)
  end)

  it("keeps what optimizers go by that see no gradient", function()
    local function given()
      peri.manual_seed(1)
      local net, other = nn.Linear(2, 2), nn.Linear(2, 2)
      local parameters = net:parameters()
      for _, p in ipairs(other:parameters()) do parameters[#parameters + 1] = p end
      return { parameters = parameters, train = { X, y }, epochs = 2, batch_size = 10, progress = false,
        shuffle = false, optimizer = optim.SGD(parameters, { lr = 0.1, momentum = 0.9 }), loss = nn.CrossEntropyLoss(),
        model = function(x) -- the second layer is used now and then: its momentum goes on
          local some = x[{ 1, 1 }] > 0
          return some and net(x) + other(x) or net(x)
        end }
    end
    local function trained(changes)
      local all = given()
      for name, value in pairs(changes) do all[name] = value end
      local h = train.fit(all)
      local parts = {}
      for i, p in ipairs(all.parameters) do parts[i] = p:detach():bytes() end
      return table.concat(parts), h
    end
    local whole = trained {}
    for stop = 1, 9 do
      os.remove(path)
      trained { checkpoint = { path = path, every = 1 }, callbacks = { on_step_end = function(state)
        return state.step < stop
      end } }
      assert.equal(whole, (trained { resume = path }), stop)
    end
  end)

  it("survives kill -9 at any moment", function()
    local script = [[
local path, moment, at = arg[1], arg[2], tonumber(arg[3])
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim
local function die()
  io.popen("kill -9 " .. io.open("/proc/self/stat"):read "n"):close()
end
peri.manual_seed(3)
local X, y = peri.data.circles(60, { noise = 0.1, seed = 1 })
local net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout { p = 0.3 }, nn.Tanh(), nn.Linear(8, 2))
local steps, writes = 0, 0
local watcher = {} -- in the middle of what a checkpoint gathers
function watcher.state_dict()
  writes = writes + 1
  if moment == "write" and writes == at then die() end
  return {}
end
function watcher.load_state_dict() end
local h = peri.train.fit {
  model = net, optimizer = optim.Adam(net:parameters(), { lr = 0.01 }), train = { X, y }, epochs = 3, batch_size = 12,
  progress = false, ema = 0.9, checkpoint = { path = path, every = 1 }, resume = path, state = { watcher = watcher },
  callbacks = { on_step_end = function(state)
    steps = steps + 1
    if moment == "step" and steps == at then die() end
  end },
}
local parts = {}
for _, name in ipairs { "1.weight", "1.bias", "2.running_mean", "2.running_var", "5.weight" } do
  parts[#parts + 1] = h.model:state_dict()[name]:bytes()
end
print((table.concat(parts):gsub(".", function(c) return ("%02x"):format(c:byte()) end)), h.train_loss[-1], steps)
]]
    local file = os.tmpname()
    do
      local out <close> = assert(io.open(file, "w"))
      out:write(script)
    end
    local function child(...)
      local out, err, status = run { file, path, ... }
      return out, status, err
    end
    os.remove(path)
    local whole, status = child("none", "0")
    assert.equal(0, status)
    assert.matches("\t15\n$", whole)
    for _, stops in ipairs { { "step", 1 }, { "step", 4, "write", 3, "step", 6 }, { "write", 1, "write", 9 } } do
      os.remove(path)
      for i = 1, #stops, 2 do
        local out, killed = child(stops[i], tostring(stops[i + 1]))
        assert.equal("", out)
        assert.are_not.equal(0, killed)
      end
      local out, fine, err = child("none", "0")
      assert.same({ "", 0 }, { err, fine })
      assert.equal(whole:match "^%x+\t%S+", out:match "^%x+\t%S+")
    end
    os.remove(file)
  end)
end)

describe("a checkpoint", function()
  local path = scratch()
  teardown(function() os.remove(path) end)

  it("that does not fit is refused by name, and changes nothing", function()
    os.remove(path)
    train.fit(options("plain", { checkpoint = { path = path, every = 3 } }))
    local function refused(message, changes, case)
      local given = options(case or "plain", changes)
      given.resume = given.resume or path
      local before, stream = rings.bits(given.model), peri.get_rng_state()
      local rate = given.optimizer and given.optimizer.lr
      fails.at_script("fit: " .. message, function() train.fit(given) end)
      assert.equal(before, rings.bits(given.model))
      assert.equal(rate, given.optimizer and given.optimizer.lr)
      assert.equal(stream[2], peri.get_rng_state()[2], message)
    end
    refused("resume: accumulate is 2, and was 1 when the checkpoint was written", { accumulate = 2 })
    refused("resume: batches is 4, and was 5 when", { batch_size = 15 })
    refused("resume: shuffle is false, and was true", { shuffle = false })
    refused("resume: rows is 40, and was 50", { train = { X[{ { 1, 40 } }], y[{ { 1, 40 } }] }, batch_size = 8 })
    refused("resume: the checkpoint was written without ema", { ema = 0.9 })
    refused("resume: the checkpoint was written without early_stopping", { early_stopping = {} })
    local net = network()
    refused("resume: optimizer: load_state_dict: ", { model = net, optimizer = optim.Adam(net:parameters()) })
    peri.manual_seed(1)
    local wide = nn.Sequential(nn.Linear(2, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(), nn.Linear(7, 2))
    refused("resume: model: load_state_dict: 1.weight is 6x2 (expected 7x2)",
      { model = wide, optimizer = optim.SGD(wide:parameters(), { lr = 0.1, momentum = 0.9 }) })
    peri.save(path, { a = peri.ones(1) })
    refused("resume: " .. path .. " holds no training")
    local file <close> = assert(io.open(path, "wb"))
    file:write "nothing"
    file:flush()
    local given = options("plain", { resume = path })
    local before = rings.bits(given.model)
    fails.with("load: " .. path, train.fit, given)
    assert.equal(before, rings.bits(given.model))
    fails.with("load: " .. path .. ".none", train.fit, options("plain", { resume = path .. ".none" }))
  end)

  it("wants what can be held, and a place", function()
    for _, case in ipairs {
      { { checkpoint = path }, "checkpoint must be a table such as {path =, every = 100}, got '" },
      { { checkpoint = {} }, "checkpoint.path is missing (expected the name of a file)" },
      { { checkpoint = { path = path, every = 0 } }, "checkpoint: every is 0 (expected at least 1)" },
      { { checkpoint = { path = path, step = 1 } }, "checkpoint: unknown option step (known: epochs, every, path)" },
      { { checkpoint = { path = path }, scheduler = { step = print } },
        "scheduler has no state that a checkpoint can hold (expected methods state_dict and load_state_dict)" },
      { { checkpoint = { path = path }, state = { seen = {} } }, "state.seen has no state that a checkpoint can hold" },
      { { checkpoint = { path = path }, state = { 3 } }, "state must be a table {name = object, ..}, got {3}" },
      { { resume = 3 }, "resume must be the name of a file, got 3" },
    } do
      fails.at_script("fit: " .. case[2], function() train.fit(options("plain", case[1])) end)
    end
    local unwritable = options("plain", { checkpoint = { path = "/none/here", every = 1 } })
    fails.with("/none/here: its folder cannot be opened", train.fit, unwritable)
  end)
end)

describe("data.loader", function()
  it("goes on where another stood", function()
    for _, shuffle in ipairs { true, false } do
      for _, drop_last in ipairs { true, false } do
        local given = { batch_size = 3, shuffle = shuffle, seed = 2, drop_last = drop_last }
        local function batches(loader, epochs, from)
          local list = from or {}
          for _ = 1, epochs do
            for x in loader do list[#list + 1] = x:bytes() end
            list[#list + 1] = "end"
          end
          return list
        end
        local rows = peri.arange(1, 11)
        local whole = batches(data.loader({ rows }, given), 3)
        local loader, seen, at = data.loader({ rows }, given), {}, 0
        for _ = 1, 3 do
          for x in loader do
            seen[#seen + 1] = x:bytes()
            at = at + 1
            local other = data.loader({ rows }, { batch_size = 3, shuffle = shuffle, seed = 99, drop_last = drop_last })
            assert.equal(other, other:load_state_dict(loader:state_dict()))
            local list = table.move(seen, 1, #seen, 1, {})
            local over = loader:state_dict().position >= (drop_last and 9 or 11)
            if over then list[#list + 1] = "end" else batches(other, 1, list) end
            batches(other, 3 - (at - 1) // #loader - 1, list)
            assert.same(whole, list)
          end
          seen[#seen + 1] = "end"
        end
      end
    end
  end)

  it("refuses a state that no loader of its rows gives", function()
    local loader = data.loader({ peri.arange(1, 11) }, { batch_size = 3, shuffle = true, seed = 2 })
    local before = loader:state_dict()
    assert.same({ rows = 11, seed = 2, epoch = 0, position = 11 }, before)
    for _, case in ipairs {
      { { rows = 10, seed = 1, epoch = 1, position = 1 }, "rows is 10, but this loader has 11" },
      { { rows = 11, seed = 1, epoch = 1, position = 12 }, "position is 12 in epoch 1 (expected at most 11" },
      { { rows = 11, seed = 1, epoch = -1, position = 1 }, "epoch is -1" },
      { { rows = 11, seed = 1.5, epoch = 1, position = 1 }, "seed must be a whole number, got 1.5" },
      { { rows = 11 }, "seed must be a whole number, got nil" }, { 3, "state must be a table, as loader:state_dict()" },
    } do
      fails.at_script("load_state_dict: " .. case[2], function() loader:load_state_dict(case[1]) end)
      assert.same(before, loader:state_dict())
    end
    fails.at_script("another loop over the same loader began", function()
      for _ in loader do loader:load_state_dict { rows = 11, seed = 2, epoch = 3, position = 3 } end
    end)
    fails.with("loader: there is no field or method 'state'", function() return loader.state end)
  end)
end)
