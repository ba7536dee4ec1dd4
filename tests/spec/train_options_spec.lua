-- What train.fit takes beside data and an optimizer: metrics, functions for each moment, gradients that are added up or
-- limited, averages, batches of the script's own, the file of the best.
local peri = require "perilune"
local fails = require "support.fails"
local rings = require "support.rings"
local scratch = require "support.scratch"
local nn, optim, data, train = peri.nn, peri.optim, peri.data, peri.train
local options, network, bits = rings.options, rings.network, rings.bits
local X, y, Xt, yt = rings.X, rings.y, rings.Xt, rings.yt

local function difference(a, b)
  local most = 0
  for i, p in ipairs(a:parameters()) do
    most = math.max(most, (p:detach() - b:parameters()[i]:detach()):abs():max():item())
  end
  return most
end

describe("metrics of train.fit", function()
  local function wrong(scores, labels) return scores:argmax(2):ne(labels):to("float32"):mean() end

  it("are measured on the whole dev set, and on train by mini-batches or as a whole", function()
    local sizes = {}
    local h = train.fit(options { metrics = { wrong = wrong, area = function(scores, labels)
      sizes[#labels] = true
      return peri.metrics.roc_auc(scores[{ {}, 2 }] - scores[{ {}, 1 }], labels, { positive = 2 })
    end } })
    assert.is_true(sizes[300] and sizes[10] and not sizes[200])
    for _, set in ipairs { "train", "dev" } do
      assert.is_true((1 - h[set .. "_accuracy"] - h[set .. "_wrong"]):abs():max():item() < 1e-6)
      assert.same({ 5 }, h[set .. "_area"].shape)
    end
    assert.equal(peri.metrics.roc_auc(h:decision_function(Xt), yt, { positive = 2 }), h.dev_area[5])
    assert.matches("dev_area 0%.%d+, dev_wrong 0%.%d+", tostring(h))
    h = train.fit(options { metrics = { wrong = wrong }, measure_train = true })
    assert.is_true(math.abs(1 - h:score(X, y) - h.train_wrong[5]) < 1e-6)
  end)

  it("may be losses, also of a regression, and do not change what is trained", function()
    local t = X:sum(2)
    local function fit(metrics)
      local net = network(1)
      return train.fit { model = net, train = { X, t }, optimizer = optim.SGD(net:parameters(), { lr = 0.1 }), seed = 1,
        metrics = metrics, progress = false, epochs = 3, measure_train = true }
    end
    local h, plain = fit { mae = nn.L1Loss() }, fit()
    assert.equal(bits(plain.model), bits(h.model))
    assert.is_true(math.abs(peri.metrics.mae(h:predict(X), t) - h.train_mae[3]) < 1e-6)
  end)

  it("can be watched", function()
    local watched = { patience = 2, monitor = "dev_wrong", mode = "min" }
    local h = train.fit(options { epochs = 40, metrics = { wrong = wrong }, early_stopping = watched })
    assert.equal(h.dev_wrong:argmin(), h.best_epoch)
    assert.equal("dev_wrong", h.monitor)
    assert.is_true(math.abs(h.dev_wrong[h.best_epoch] + h:score(Xt, yt) - 1) < 1e-6)
    assert.is_true(h:plot { measure = "wrong" } ~= nil)
  end)
end)

describe("functions of train.fit", function()
  it("are called at their moments, each with its state", function()
    local seen, other = {}, {}
    local table_of = {
      on_epoch_begin = function(state) seen[#seen + 1] = "[" .. state.epoch end,
      on_epoch_end = function(state) seen[#seen + 1] = state.epoch .. "]" .. (state.dev_loss and "" or "?") end,
      on_step_begin = function(state)
        assert.is_nil(state.loss)
        seen[#seen + 1] = "(" .. state.step
      end,
      on_step_end = function(state, of)
        of.last = state.loss
        seen[#seen + 1] = ")"
      end,
      on_batch = function(state)
        seen[#seen + 1] = "b" .. state.batch
        state.model:eval()
      end,
    }
    train.fit(options { epochs = 2, batch_size = 80, accumulate = 2, callbacks = { table_of,
      function(state) other[#other + 1] = state.epoch end } })
    assert.equal("[1 (1 b1 ) b2 (2 ) b3 1] [2 (3 b1 ) b2 (4 ) b3 2]", table.concat(seen, " "))
    assert.same({ 1, 2 }, other)
    assert.is_true(table_of.last > 0)
    train.fit(options { epochs = 1, callbacks = { on_epoch_end = function() other = "one table alone" end } })
    assert.equal("one table alone", other)
  end)

  it("end the training wherever they give false", function()
    local ends = { on_epoch_begin = 2, on_epoch_end = 3, on_step_begin = 3, on_step_end = 3, on_batch = 3 }
    for moment, epochs in pairs(ends) do
      local h = train.fit(options { callbacks = { [moment] = function(state) return state.epoch < 3 end } })
      assert.same({ "callback", epochs }, { h.stopped, h.epochs }, moment)
    end
    local h = train.fit(options { epochs = 1, callbacks = { on_epoch_begin = function() return false end } })
    assert.same({ "callback", 0 }, { h.stopped, h.epochs })
  end)
end)

describe("gradients of train.fit", function()
  it("that are added up are those of the large mini-batch", function()
    for _, case in ipairs { { y, nn.CrossEntropyLoss, 2 }, { X:sum(2), nn.MSELoss, 1 } } do
      for _, reduction in ipairs { "mean", "sum" } do
        for _, weights in ipairs { false, peri.linspace(0.5, 2, 200) } do
          local function fit(batch_size, accumulate)
            local net = network(case[3])
            return train.fit { model = net:to "float64", loss = case[2] { reduction = reduction }, seed = 1, epochs = 4,
              optimizer = optim.Adam(net:parameters(), { lr = 0.02 }), train = { X, case[1] }, progress = false,
              batch_size = batch_size, accumulate = accumulate, sample_weight = weights or nil, clip_grad_norm = 0.5 }
          end
          local whole, added = fit(48), fit(12, 4) -- 200 rows: the last step has 8 of them
          assert.is_true(difference(whole.model, added.model) < 1e-12, reduction)
          assert.is_true((whole.train_loss - added.train_loss):abs():max():item() < 1e-12)
          assert.is_true(difference(whole.model, fit(24, 2).model) < 1e-12)
        end
      end
    end
    assert.equal(bits(train.fit(options {}).model), bits(train.fit(options { accumulate = 1 }).model))
  end)

  it("are limited, each or all together", function()
    local function change(given)
      local net = network()
      local before = net:state_dict()
      given.model, given.epochs, given.batch_size, given.dev = net, 1, 200, false
      train.fit(options(given, 1))
      local most, squares = 0, 0
      for name, p in net:named_parameters() do
        local d = (p:detach() - before[name]):to "float64"
        most, squares = math.max(most, d:abs():max():item()), squares + d:square():sum():item()
      end
      return most, math.sqrt(squares)
    end
    local most = change { clip_grad_value = 1e-3 }
    assert.is_true(math.abs(most - 1e-3) < 1e-7, most)
    local both, norm = change { clip_grad_value = 1e-3, clip_grad_norm = 1e-4 }
    assert.is_true(both <= 1e-4 and math.abs(norm - 1e-4) < 1e-7, norm)
  end)
end)

describe("ema of train.fit", function()
  it("measures the averages, and leaves them in the model", function()
    local net, by_hand = network(), network()
    local average, ce = optim.EMA(by_hand, { decay = 0.9 }), nn.CrossEntropyLoss()
    local sgd = optim.SGD(by_hand:parameters(), { lr = 0.1 })
    for _ = 1, 5 do
      for bx, by in data.loader({ X, y }, { batch_size = 10 }) do
        sgd:zero_grad()
        ce(by_hand(bx), by):backward()
        sgd:step()
        average:update()
      end
    end
    average:copy_to()
    local h = train.fit(options { model = net, ema = 0.9, shuffle = false })
    assert.equal(bits(by_hand), bits(h.model))
    assert.equal(h.dev_accuracy[5], h:score(Xt, yt))
    assert.matches("^EMA%(4 tensors, {decay = 0.9}%), 100 updates", tostring(h.ema))
    local twin = network()
    local own = optim.EMA(twin, { decay = 0.9 })
    assert.equal(own, train.fit(options { model = twin, ema = own, shuffle = false }).ema)
    assert.equal(bits(net), bits(twin))
    local stopped = train.fit(options { epochs = 60, ema = { decay = 0.95 }, early_stopping = { patience = 3 } }, 0.5)
    assert.is_true(math.abs(stopped.dev_loss[stopped.best_epoch]
      - peri.no_grad(function() return ce(stopped.model(Xt), yt):item() end)) < 1e-6)
  end)
end)

describe("batches of the script's own", function()
  local function pieces(size)
    local list = {}
    for from = 1, 200, size do
      local rows = { { from, math.min(200, from + size - 1) } }
      list[#list + 1] = { X[rows], y[rows] }
    end
    return list
  end
  local plain = train.fit(options { shuffle = false })

  -- Options without those that are for rows.
  local function without_rows(changes)
    local given = options(changes)
    given.batch_size, given.seed = changes.batch_size, changes.seed
    return given
  end

  it("train as the rows do: a list, a function, a loader", function()
    local list = pieces(10)
    local function each()
      for _, batch in ipairs(list) do coroutine.yield(batch[1], batch[2]) end
    end
    local cases = {
      list, function() return coroutine.wrap(each) end, data.loader({ X, y }, { batch_size = 10 }),
      function() return data.loader({ X, y }, { batch_size = 10 }) end,
    }
    for i, given in ipairs(cases) do
      local h = train.fit(without_rows { train = given, classes = { 1, 2 } })
      assert.equal(bits(plain.model), bits(h.model), i)
      for _, name in ipairs { "train_loss", "train_accuracy", "dev_loss", "dev_accuracy" } do
        assert.same(plain[name]:totable(), h[name]:totable(), name)
      end
      assert.same({ 1, 2 }, h.classes:totable())
    end
    local shuffled = train.fit(options())
    local loader = data.loader({ X:to "float64", y * 3 - 5 }, { batch_size = 10, shuffle = true, seed = 3 })
    local h = train.fit(without_rows { train = loader, dev = { Xt, yt * 3 - 5 } })
    assert.equal(bits(shuffled.model), bits(h.model))
    assert.same({ -2, 1 }, h.classes:totable())
  end)

  it("are measured, also as dev, and give numbers and weights", function()
    local t = X:sum(2) * 3 + 100
    local list = {}
    for from = 1, 200, 50 do
      local rows = { { from, from + 49 } }
      list[#list + 1] = { X[rows], t[rows]:view(-1, 1), peri.ones(50) }
    end
    local function fit(given)
      local net = network(1)
      return train.fit { model = net, loss = nn.MSELoss(), optimizer = optim.SGD(net:parameters(), { lr = 1e-3 }),
        train = given, dev = given, epochs = 3, progress = false, measure_train = true,
        batch_size = given[2] == t and 50 or nil, shuffle = given[2] ~= t and nil }
    end
    local whole, h = fit { X, t }, fit(list)
    for _, name in ipairs { "train_loss", "train_r2", "dev_loss", "dev_r2" } do
      assert.is_true(((h[name] - whole[name]) / whole[name]):abs():max():item() < 1e-5, name)
    end
  end)

  it("that cannot be are named", function()
    local ce = nn.CrossEntropyLoss()
    local function from(f) return { train = function() return f end, classes = { 1, 2 } } end
    local cases = {
      { { train = 3 }, "train must be a table {X, y}, a data.loader, a list of mini-batches {x, y}, or a function" },
      { { train = print }, "classes is missing (expected a list: the labels of a function's batches are not known" },
      { { train = print, loss = function() end, dev = false }, "task is missing (expected 'classification' or" },
      { { train = function() return X end, classes = { 1, 2 } }, "train's function gives a tensor" },
      { from(function() return nil end), "train gives no mini-batch in epoch 1" },
      { from(function() return X, yt end), "train's batch 1: y has shape 300 (expected 200 labels)" },
      { from(function() return X, y * 2 end), "train's batch 1: y has the label 4, which is not among the 2 classes" },
      { from(function() return 3, y end), "train's batch 1: x must be a tensor or a table of rows, got 3" },
      { from(function() return X, y, peri.ones(3) end), "train's batch 1: w has shape 3 (expected 200 weights)" },
      { from(function() return X, y, -peri.ones(200) end), "train's batch 1: w has entries that are no weights" },
      { { train = pieces(50), shuffle = true }, "shuffle is for train = {X, y} (here whoever gives the mini-batches" },
      { { train = data.loader { X, y }, batch_size = 3 }, "batch_size is for train = {X, y} (here the loader decides" },
      { { train = data.loader { X } }, "train is a loader of 1 tensors (expected x and y, or x, y and weights)" },
      { { train = function() return function() return X, y end end, classes = { 1, 2 }, model = network(3), loss = ce },
        "the model gives 200x3 for 200 rows, but there are 2 classes (expected 200x2)" },
    }
    for _, case in ipairs(cases) do
      local given = without_rows(case[1])
      if case[1].loss == nil then given.loss = ce end
      fails.at_script("fit: " .. case[2], function() train.fit(given) end)
    end
  end)
end)

describe("keep_best of train.fit", function()
  local path = scratch()
  teardown(function() os.remove(path) end)

  it("writes the parameters of the best epoch, as other programs load them", function()
    local states = {}
    local h = train.fit(options { epochs = 12, keep_best = path, callbacks = function(state)
      states[state.epoch] = bits(state.model)
      if state.epoch == 5 then state.optimizer.lr = 30 end
    end })
    local best = h.dev_loss:argmin()
    assert.same({ epoch = best, monitor = "dev_loss", path = path }, h.kept)
    local state, metadata = peri.load(path)
    assert.same({ epoch = tostring(best), dev_loss = ("%.17g"):format(h.dev_loss[best]) }, metadata)
    assert.equal(states[best], bits(network():load_state_dict(state)))
    assert.equal(states[12], bits(h.model))
    assert.matches("^trained 12 epochs %(epochs%); ", tostring(h))
    h = train.fit(options { epochs = 6, keep_best = { path = path, monitor = "train_accuracy" } })
    assert.equal(h.train_accuracy:argmax(), h.kept.epoch)
  end)

  it("keeps averages, and what a function works with", function()
    local h = train.fit(options { ema = 0.9, keep_best = path, early_stopping = { patience = 20 } })
    assert.equal(bits(h.model), bits(network():load_state_dict((peri.load(path)))))
    local w = peri.zeros(2, 2, { requires_grad = true })
    train.fit(options { model = function(x) return x:matmul(w) end, parameters = { w }, keep_best = path,
      optimizer = optim.SGD({ w }, { lr = 0.1 }) })
    assert.same({ 2, 2 }, peri.load(path)[1].shape)
  end)
end)

describe("options of train.fit", function()
  it("that cannot be are named, with the way out", function()
    local function stop(changes) return { early_stopping = changes } end
    for _, case in ipairs {
      { { accumulate = 0 }, "accumulate is 0 (expected at least 1)" },
      { { clip_grad_value = -1 }, "clip_grad_value is -1 (expected a number above 0)" },
      { { ema = 2 }, "ema must be a decay from 0 to 1, a table {decay =} or an optim.EMA, got 2" },
      { { ema = { decay = "x" } }, "ema: EMA: decay must be a number, got 'x'" },
      { { metrics = { 3 } }, "metrics must be a table {name = f(scores, targets), ..}, without loss, accuracy and r2" },
      { { metrics = { loss = print } }, "metrics must be a table" },
      { { metrics = { m = function() return "x" end } }, "metric m gives 'x' (expected a number or a tensor of one)" },
      { { callbacks = { on_step_en = print } },
        "callbacks: unknown function on_step_en (known: on_epoch_begin, on_epoch_end, on_step_begin, on_step_end, " ..
        "on_batch): did you mean on_step_end?" },
      { { callbacks = { { x = 1 } } }, "callback 1 has no function to call (expected one of on_epoch_begin," },
      { { callbacks = { { on_batch = 3 } } }, "callbacks: on_batch of callback 1 must be a function, got 3" },
      { { callbacks = 3 }, "callbacks must be a function, a table of functions such as {on_step_end = f}, or a list" },
      { { early_stopping = { monitor = "dev_m" }, metrics = { m = print } },
        "early_stopping.mode is missing (expected 'min' or 'max': which values of dev_m are better)" },
      { stop { monitor = "dev_los" }, "early_stopping: monitor must be one of train_loss, train_accuracy, dev_loss," },
      { stop { mode = "least" }, "early_stopping: mode must be one of min, max, got 'least'" },
      { { keep_best = 3 }, "keep_best must be the name of a file or a table such as {path =, monitor = 'dev_loss'}" },
      { { keep_best = { path = "x", patience = 3 } }, "keep_best: unknown option patience (known: mode, monitor," },
      { { step = print, accumulate = 2 }, "accumulate cannot change what step does" },
      { { step = print, clip_grad_value = 2 }, "clip_grad_value cannot change what step does" },
      { { model = function(x) return x end, optimizer = {}, step = print, ema = 0.9 },
        "ema needs the model's parameters, and the model is a function (expected parameters)" },
    } do
      local given = options(case[1].optimizer and {} or case[1])
      for name, value in pairs(case[1]) do given[name] = name ~= "optimizer" and value or nil end
      fails.at_script("fit: " .. case[2], function() train.fit(given) end)
    end
  end)
end)

describe("train.lr_find", function()
  local function given(changes, lr)
    local all = options(changes, lr)
    for _, name in ipairs { "epochs", "dev", "progress" } do all[name] = changes[name] end
    return all
  end

  it("trains under rates that grow, as a loop by hand does", function()
    local net, ce = network(), nn.CrossEntropyLoss()
    local sgd = optim.SGD(net:parameters(), { lr = 1 })
    local losses, mean, smoothed, i = {}, 0, {}, 0
    local batches = data.loader({ X, y }, { batch_size = 10, shuffle = true, seed = 3 })
    for _ = 1, 2 do
      for bx, by in batches do
        i = i + 1
        if i > 30 then break end
        sgd.lr = 1e-3 * 1000 ^ ((i - 1) / 29)
        sgd:zero_grad()
        local loss = ce(net(bx), by)
        losses[i] = loss:item()
        loss:backward()
        sgd:step()
        mean = 0.8 * mean + 0.2 * losses[i]
        smoothed[i] = mean / (1 - 0.8 ^ i)
      end
    end
    local f = train.lr_find(given { low = 1e-3, high = 1, steps = 30, smoothing = 0.8, stop = 100 })
    assert.is_true((f.losses - peri.tensor(losses, { dtype = "float64" })):abs():max():item() < 1e-6)
    assert.is_true((f.smoothed - peri.tensor(smoothed, { dtype = "float64" })):abs():max():item() < 1e-6)
    assert.is_true(math.abs(f.rates[30] - 1) < 1e-12 and math.abs(f.rates[16] / f.rates[15] - 1000 ^ (1 / 29)) < 1e-12)
  end)

  it("leaves everything as it was, and ends where the loss is lost", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 10), nn.BatchNorm1d(10), nn.Dropout(), nn.Linear(10, 2)):eval()
    local adam = optim.Adam({ { params = net[1]:parameters(), lr = 0.1 }, { params = net[2]:parameters() },
      { params = net[4]:parameters() } }, { lr = 0.01 })
    local function state()
      local parts = {}
      for _, object in ipairs { net, adam } do
        for name, tensor in pairs(object:state_dict()) do parts[#parts + 1] = name .. tensor:bytes() end
      end
      return table.concat(parts) .. peri.get_rng_state():bytes()
    end
    local before = state()
    local all = given { model = net, optimizer = adam, high = 1000, seed = nil }
    all.seed = nil
    local f = train.lr_find(all)
    assert.equal(before, state())
    assert.is_false(net.training)
    assert.is_true(#f.rates < 100 and f.smoothed[-1] > 4 * f.smoothed:min():item())
    local least = f.smoothed[{ { 11, -1 } }]:argmin() + 10 -- the first means know too little
    assert.is_true(f.suggestion > 1e-4 and f.suggestion < f.rates[least], f.suggestion)
    assert.same(f.losses:totable(), train.lr_find(all).losses:totable())
    all.loss = function() error("enough", 0) end
    assert.equal("enough", fails.message(train.lr_find, all))
    assert.equal(before, state())
    assert.matches("^lr_find: %d+ rates from 1e%-07 to %S+, suggestion ", tostring(f))
    local picture = scratch() .. ".svg"
    f:plot({ title = "rates", labels = { smoothed = "mean" } }):save(picture)
    local file <close> = assert(io.open(picture, "rb"))
    assert.matches("rates.*mini%-batches.*mean.*suggestion: ", file:read "a")
    os.remove(picture)
    assert.is_nil(train.lr_find(given { steps = 2 }).suggestion)
  end)

  it("grows by equal steps too, and names what cannot be", function()
    local f = train.lr_find(given { low = 0.1, high = 0.5, steps = 5, scale = "linear" })
    assert.is_true((f.rates - peri.linspace(0.1, 0.5, 5, { dtype = "float64" })):abs():max():item() < 1e-12)
    for _, case in ipairs {
      { { low = 2, high = 1 }, "low is 2 (expected less than high, 1)" },
      { { steps = 1 }, "steps is 1 (expected at least 2)" }, { { stop = 1 }, "stop is 1 (expected a number above 1)" },
      { { scale = "cube" }, "scale must be one of log, linear, got 'cube'" },
      { { smoothing = 1 }, "smoothing is 1 (expected from 0 to below 1)" },
      { { epochs = 3 }, "unknown option epochs" }, { { accumulate = 3 }, "unknown option accumulate" },
      { { optimizer = { step = print, zero_grad = print } }, "the optimizer has no method state_dict" },
    } do
      fails.at_script("lr_find: " .. case[2], function() train.lr_find(given(case[1])) end)
    end
  end)
end)
