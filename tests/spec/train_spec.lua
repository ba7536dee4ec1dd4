-- peri.train: what training computes, when it ends, what it gives back, and what it refuses.
local peri = require "perilune"
local message_of = require("support.fails").message
local nn, optim, data, train = peri.nn, peri.optim, peri.data, peri.train
local rings = require "support.rings"
local network, options, bits = rings.network, rings.options, rings.bits
local X, y, Xt, yt = rings.X, rings.y, rings.Xt, rings.yt

describe("train.fit", function()
  it("does the steps that a loop by hand does, bit for bit", function()
    local h = train.fit(options())
    local net, ce = network(), nn.CrossEntropyLoss()
    local opt, losses = optim.SGD(net:parameters(), { lr = 0.1 }), {}
    local batches = data.loader({ X, y }, { batch_size = 10, shuffle = true, seed = 3 })
    for epoch = 1, 5 do
      local sum = 0
      for bx, by in batches do
        opt:zero_grad()
        local loss = ce(net(bx), by)
        loss:backward()
        opt:step()
        sum = sum + loss:item() * #by
      end
      losses[epoch] = sum / 200
    end
    assert.equal(bits(net), bits(h.model))
    assert.same(losses, h.train_loss:totable())
    peri.no_grad(function()
      assert.is_true(math.abs(ce(net(Xt), yt):item() - h.dev_loss[5]) < 1e-6)
      assert.equal(net(Xt):argmax(2):eq(yt):sum():item() / 300, h.dev_accuracy[5])
    end)
  end)

  it("keeps a history of an entry for each epoch, in float64", function()
    local h = train.fit(options())
    for _, name in ipairs { "train_loss", "train_accuracy", "dev_loss", "dev_accuracy", "learning_rate", "seconds" } do
      assert.equal("float64", h[name].dtype, name)
      assert.same({ 5 }, h[name].shape, name)
    end
    assert.is_nil(h.train_r2)
    assert.equal("epochs", h.stopped)
    assert.is_true(h.seconds[1] > 0 and h.seconds[5] > h.seconds[1])
    assert.is_nil(train.fit(options { dev = false }).dev_loss)
  end)

  it("measures the training rows after each epoch when it is asked to", function()
    local h = train.fit(options { measure_train = true })
    local loss = peri.no_grad(function() return nn.CrossEntropyLoss()(h.model(X), y):item() end)
    assert.is_true(math.abs(loss - h.train_loss[5]) < 1e-6)
    assert.equal(h:score(X, y), h.train_accuracy[5])
  end)

  it("divides a loss that is a sum by the rows", function()
    local mean = train.fit(options({ epochs = 1 }, 0))
    local sum = train.fit(options({ epochs = 1, loss = nn.CrossEntropyLoss { reduction = "sum" } }, 0))
    assert.is_true(math.abs(mean.train_loss[1] - sum.train_loss[1]) < 1e-6)
    assert.is_true(math.abs(mean.dev_loss[1] - sum.dev_loss[1]) < 1e-6)
  end)

  it("stops early and brings the best parameters back", function()
    local at = {}
    local h = train.fit(options { epochs = 200, early_stopping = { patience = 3 }, callbacks = function(state)
      at[state.epoch] = bits(state.model)
      if state.epoch == 4 then state.optimizer.lr = 30 end -- from here on it gets worse
    end })
    assert.equal("early_stopping", h.stopped)
    assert.equal(h.best_epoch + 3, h.epochs)
    assert.equal(h.dev_loss:argmin(), h.best_epoch)
    assert.equal(at[h.best_epoch], bits(h.model))
    assert.are_not.equal(at[h.epochs], bits(h.model))
  end)

  it("counts as better only what is better by more than min_delta, and can watch accuracy", function()
    local h = train.fit(options { epochs = 50, early_stopping = { patience = 2, min_delta = 100 } })
    assert.equal(1, h.best_epoch)
    assert.equal(3, h.epochs)
    h = train.fit(options { epochs = 30, early_stopping = { patience = 30, monitor = "dev_accuracy" } })
    assert.equal(h.dev_accuracy:argmax(), h.best_epoch)
    h = train.fit(options { epochs = 3, early_stopping = {}, dev = false })
    assert.equal(h.train_loss:argmin(), h.best_epoch)
  end)

  it("records divergence instead of raising, and says where", function()
    local X1, y1 = peri.ones(4, 1), peri.tensor { 1, 2, 3, 4 }
    local net = nn.Sequential(nn.Linear(1, 1))
    local h = train.fit { model = net, loss = nn.MSELoss(), optimizer = optim.SGD(net:parameters(), { lr = 1e6 }),
      train = { X1, y1 }, epochs = 100, batch_size = 4 }
    assert.is_true(h.diverged)
    assert.equal("diverged", h.stopped)
    assert.is_true(h.epochs < 100)
    assert.equal(h.epochs, #h.train_loss)
    assert.is_true(h.train_loss[h.epochs] ~= h.train_loss[h.epochs])
    assert.matches("^diverged in epoch %d+: the loss of mini%-batch 1 is %w+ %(a smaller", h.note)
    h = train.fit { model = net, loss = nn.MSELoss(), optimizer = optim.SGD(net:parameters(), { lr = 1 }),
      train = { X1, y1 }, epochs = 1 } -- the parameters are NaN already
    assert.is_true(h.diverged)
  end)

  it("gives back the best parameters also after divergence", function()
    local h = train.fit(options { epochs = 20, early_stopping = {}, callbacks = function(state)
      if state.epoch == 3 then peri.no_grad(function() state.model:parameters()[1]:fill_(0 / 0) end) end
    end })
    assert.is_true(h.diverged)
    assert.equal(4, h.epochs)
    assert.is_true(h:score(Xt, yt) == h.dev_accuracy[h.best_epoch])
  end)

  it("steps schedules, and tells those that ask the loss", function()
    local given = options { epochs = 4 }
    given.scheduler = optim.lr_scheduler.ExponentialLR(given.optimizer, { gamma = 0.5 })
    assert.same({ 0.1, 0.05, 0.025, 0.0125 }, train.fit(given).learning_rate:totable())
    local seen = {}
    given = options { epochs = 4, scheduler = { step = function(_, loss) seen[#seen + 1] = loss end } }
    assert.same(train.fit(given).dev_loss:totable(), seen)
    seen = {}
    given = options { epochs = 4, dev = false, scheduler = { step = function(_, loss) seen[#seen + 1] = loss end } }
    assert.same(train.fit(given).train_loss:totable(), seen)
    given = options { epochs = 6 }
    given.scheduler = optim.lr_scheduler.ReduceLROnPlateau(given.optimizer, { patience = 0, threshold = 1e6,
      threshold_mode = "abs" })
    assert.is_true(train.fit(given).learning_rate[6] < 1e-3)
    local accuracies = {}
    local watch = { mode = "max", step = function(_, value) accuracies[#accuracies + 1] = value end }
    given = options { epochs = 3, scheduler = watch }
    assert.same(train.fit(given).dev_accuracy:totable(), accuracies)
  end)

  it("clips the gradients' common norm", function()
    local net = network()
    local before = net:state_dict()
    train.fit(options { model = net, epochs = 1, batch_size = 200, clip_grad_norm = 1e-3, dev = false })
    local squares = 0
    for name, p in net:named_parameters() do
      squares = squares + (p:detach() - before[name]):to("float64"):square():sum():item()
    end
    assert.is_true(math.abs(math.sqrt(squares) / 1e-4 - 1) < 1e-3, math.sqrt(squares))
  end)

  it("calls back after each epoch; false ends the training", function()
    local epochs = {}
    local h = train.fit(options { epochs = 9, callbacks = {
      function(state) epochs[#epochs + 1] = state.epoch end, function(state) return state.epoch < 3 end,
    } })
    assert.same({ 1, 2, 3 }, epochs)
    assert.equal("callback", h.stopped)
    assert.equal(3, h.epochs)
    assert.matches("^boom$", message_of(train.fit, options { callbacks = function() error("boom", 0) end }))
  end)

  it("maps any whole labels by sorted value and predicts them as given", function()
    local plain = train.fit(options())
    for _, labels in ipairs { y * 10 - 13, (y * 10 - 13):to "float32", (y * 10 - 13):totable() } do
      local h = train.fit(options { train = { X, labels }, dev = { Xt, yt * 10 - 13 } })
      assert.same({ -3, 7 }, h.classes:totable())
      assert.equal(bits(plain.model), bits(h.model))
      assert.is_true((h:predict(Xt)):equal(plain:predict(Xt) * 10 - 13))
      assert.equal("int64", h:predict(Xt).dtype)
      assert.equal(plain:score(Xt, yt), h:score(Xt, yt * 10 - 13))
    end
  end)

  it("gives one decision for two classes and one for each of more", function()
    local h = train.fit(options())
    local logits = peri.no_grad(function() return h.model(Xt) end)
    assert.is_true(h:decision_function(Xt):equal(logits[{ {}, 2 }] - logits[{ {}, 1 }]))
    assert.is_true(h:predict(Xt):eq(2):equal(h:decision_function(Xt):gt(0)))
    assert.is_true(h:predict_proba(Xt):equal(logits:softmax(2)))
    local more = train.fit(options { model = network(4), epochs = 1, classes = { 9, 1, 2, 5 } })
    assert.same({ 300, 4 }, more:decision_function(Xt).shape)
    assert.same({ 1, 2, 5, 9 }, more.classes:totable())
  end)

  it("predicts nothing of no rows, as machines do", function()
    local h = train.fit(options { epochs = 1 })
    local none = X:narrow(1, 1, 0)
    assert.same({ 0 }, h:predict(none).shape)
    assert.same({ 0, 2 }, h:predict_proba(none).shape)
    assert.same({ 0 }, h:decision_function(none).shape)
  end)

  it("learns numbers too, in the shape in which they came", function()
    local x = peri.linspace(-1, 1, 100):view(100, 1)
    for _, target in ipairs { (x:flatten() * 2 - 1), x * 2 - 1, peri.cat({ x * 2 - 1, x }, 2) } do
      local net = nn.Sequential(nn.Linear(1, target:dim() == 2 and target:size(2) or 1))
      local h = train.fit { model = net, loss = nn.MSELoss(), train = { x, target }, dev = { x, target }, epochs = 60,
        optimizer = optim.SGD(net:parameters(), { lr = 0.2 }), seed = 1 }
      assert.is_nil(h.train_accuracy)
      assert.is_true(h:score(x, target) > 0.999, h:score(x, target))
      assert.is_true(math.abs(h.dev_r2[60] - h:score(x, target)) < 1e-6)
      assert.same(target.shape, h:predict(x).shape)
      assert.matches("predict_proba: this is a regression", message_of(h.predict_proba, h, x))
    end
  end)

  it("trains modules that are written in Lua", function()
    local Net = nn.Module.extend "Net"
    function Net:init()
      self.first = nn.Linear(2, 10)
      self.second = nn.Linear(10, 2)
    end
    function Net:forward(x) return self.second(self.first(x):tanh()) end
    peri.manual_seed(1)
    local h = train.fit(options { model = Net(), early_stopping = {} })
    local plain = train.fit(options { early_stopping = {} })
    assert.same(plain.train_loss:totable(), h.train_loss:totable())
    assert.equal(bits(plain.model), bits(h.model))
  end)

  it("leaves dropout out of predictions", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 50), nn.Dropout { p = 0.5 }, nn.Linear(50, 2))
    local h = train.fit(options { model = net })
    assert.is_true(h:predict_proba(Xt):equal(h:predict_proba(Xt)))
    assert.equal(h.dev_accuracy[5], h:score(Xt, yt))
  end)

  it("leaves each layer in the mode that it had, also when it fails", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 10), nn.Sequential(nn.Dropout { p = 0.5 }, nn.Tanh()), nn.Linear(10, 2))
    local function modes() return { net.training, net[2].training, net[2][1].training, net[3].training } end
    local function set()
      net:train()
      net[2]:eval()
      net[2][1]:train()
    end
    local before = { true, false, true, true }
    set()
    local h = train.fit(options { model = net })
    assert.same(before, modes())
    h:predict(X)
    h:score(X, y)
    assert.same(before, modes())
    message_of(train.fit, options { model = net, callbacks = function() error "enough" end })
    assert.same(before, modes())
    message_of(train.fit, options { model = net, loss = function() error "enough" end })
    assert.same(before, modes())
    net:eval()
    train.fit(options { model = net, early_stopping = { patience = 1 } })
    assert.same({ false, false, false, false }, modes())
    local function build() return net, optim.SGD(net:parameters(), { lr = 0.1 }) end
    local m = train.Classifier { build = build, epochs = 1 }
    net:train()
    assert.is_false(m:fit(X, y, { progress = false }).model.training)
  end)

  it("counts in its rows per second what it trains, not what callbacks do", function()
    local now = 0
    local process, check = { is_terminal = function() return false end }, { measures = function() return {} end }
    local written = {}
    local internal = { say = function(text) written[#written + 1] = text end }
    local progress = assert(loadfile("bindings/lua/train/progress.lua", "t"))(process, check, internal)
    local line = progress(true, 2, 100, function() return now end)
    now = 1 -- a second of training, then nine of a callback
    line:epoch { epoch = 1 }
    now = 10
    line:pause(9)
    now = 11
    line:epoch { epoch = 2 }
    assert.same({ "epoch 1/2  100 rows/s  0:01 left\n", "epoch 2/2  100 rows/s  0:00 left\n" }, written)
  end)

  it("names the way of a parameter of build into a search", function()
    local plain = train.Classifier { build = print }
    local search = { estimator = plain, params = { act = { "tanh" } }, train = { X, y }, cv = 3 }
    assert.matches("Classifier: unknown option act %(known: .*; parameters of build are named in params = {name",
      message_of(peri.select.grid_search, search))
    assert.matches("Regressor: unknown option act %(.*are named in params",
      message_of(train.Regressor, { build = print, act = 1 }))
  end)

  it("refuses an optimizer that trains something else, and a schedule of another optimizer", function()
    local net, other = network(), network()
    local before = bits(net)
    local strange = optim.SGD(other:parameters(), { lr = 0.1 })
    assert.matches("fit: optimizer holds none of the model's parameters",
      message_of(train.fit, options { model = net, optimizer = strange }))
    local own = optim.SGD(net:parameters(), { lr = 0.1 })
    assert.matches("fit: scheduler is of another optimizer", message_of(train.fit, options {
      model = net, optimizer = own, scheduler = optim.lr_scheduler.StepLR(strange, { step_size = 1 }) }))
    net:to "float64"
    assert.matches("holds none of the model's parameters %(.*made after model:to",
      message_of(train.fit, options { model = net, optimizer = own }))
    net:to "float32"
    assert.equal(before, bits(net))
    local built = train.Classifier { build = function() return network(), strange end }
    assert.matches("holds none", message_of(built.fit, built, X, y))
    local w = peri.zeros(2, 2, { requires_grad = true })
    assert.matches("holds none", message_of(train.fit, options {
      model = function(x) return x:matmul(w) end, parameters = { w }, optimizer = strange }))
    local last = optim.SGD(network().parameters(net[3]), { lr = 0.1 }) -- of a part: what one fine-tunes
    assert.equal(5, train.fit(options { model = net, optimizer = last }).epochs)
    local mine = { step = function() end, zero_grad = function() end } -- of one's own, which nobody can ask
    assert.equal(5, train.fit(options { model = net, optimizer = mine }).epochs)
  end)

  it("leaves the mode of the model when it refuses, and takes lists over", function()
    local net = network(3)
    net:train()
    message_of(train.fit, options { model = net })
    assert.is_true(net.training)
    local calls = {}
    calls[1] = function() calls[2] = 5 end
    assert.equal(5, train.fit(options { callbacks = calls }).epochs)
    local m = train.Classifier { build = print, early_stopping = { patience = 3 } }
    m:params().early_stopping.patience = -1
    assert.equal(3, m:params().early_stopping.patience)
    local h = train.fit(options { epochs = 9, early_stopping = { patience = 9 }, callbacks = function(state)
      if state.epoch == 4 then state.optimizer.lr = 30 end
    end })
    assert.truthy(tostring(h):find(("dev_loss %.4g"):format(h.dev_loss[h.best_epoch]), 1, true), tostring(h))
  end)

  it("takes a step of one's own in place of loss and optimizer, for a layer or a function", function()
    local h = train.fit(options { measure_train = true })
    local net, ce = network(), nn.CrossEntropyLoss()
    local sgd = optim.SGD(net:parameters(), { lr = 0.1 })
    local function step(bx, by)
      assert.same({ "int64", #bx }, { by.dtype, #by })
      sgd:zero_grad()
      ce(net(bx), by):backward()
      sgd:step()
    end
    local given = options { model = net, step = step }
    given.optimizer, given.loss = nil, nil
    local stepped = train.fit(given)
    assert.equal(bits(h.model), bits(net))
    for _, name in ipairs { "train_loss", "train_accuracy", "dev_loss", "dev_accuracy" } do
      assert.same(h[name]:totable(), stepped[name]:totable(), name)
    end
    assert.is_nil(stepped.learning_rate)
    assert.equal(h:score(Xt, yt), stepped:score(Xt, yt))

    local W, b = peri.zeros(2, 1, { dtype = "float64" }), peri.zeros(1, { dtype = "float64" })
    local target = X:to("float64"):matmul(peri.tensor({ { 2 }, { -1 } }, { dtype = "float64" })) + 3
    local function line(x) return x:matmul(W) + b end
    local m = train.fit { model = line, parameters = { W, b }, train = { X, target }, epochs = 30, batch_size = 10,
      early_stopping = { patience = 30 }, step = function(bx, by)
        local d = (line(bx) - by) / #bx
        W:sub_(bx:t():matmul(d) * 0.5)
        b:sub_(d:sum(1) * 0.5)
      end }
    assert.is_true(m:score(X, target) > 0.999)
    assert.equal("float64", m:predict(X).dtype)
    assert.is_true(m.train_loss[-1] < 1e-20 and m.best_epoch > 5)
    local found = peri.cat({ W:view(-1), b }, 1)
    assert.is_true((found - peri.tensor({ 2, -1, 3 }, { dtype = "float64" })):abs():max():item() < 1e-9)
  end)

  it("trains the tensors of a function with an optimizer, and brings the best back", function()
    local w = peri.randn(2, 2):mul_(0.1):requires_grad_()
    local best
    local m = train.fit { model = function(x) return x:matmul(w) end, parameters = { w }, train = { X, y },
      optimizer = optim.SGD({ w }, { lr = 0.1 }), epochs = 6, seed = 1, clip_grad_norm = 0.1,
      early_stopping = { patience = 6, monitor = "train_loss" }, measure_train = true, callbacks = function(state)
        if state.epoch == 3 then
          best = w:detach():clone()
          state.optimizer.lr = 500
        end
      end }
    assert.equal(3, m.best_epoch)
    assert.is_true(best:equal(w:detach()))
    assert.equal(m.train_accuracy[3], m:score(X, y))
  end)

  it("tells on_batch of each mini-batch, without any change to what is computed", function()
    local seen = {}
    local h = train.fit(options())
    local told = train.fit(options { epochs = 5, on_batch = function(state)
      seen[#seen + 1] = { state.epoch, state.batch, state.batches, state.loss, state.seconds, state.learning_rate }
      assert.is_true(peri.is_tensor(state.model(X)))
      state.model:eval()
    end })
    assert.equal(bits(h.model), bits(told.model))
    assert.same(h.train_loss:totable(), told.train_loss:totable())
    assert.equal(100, #seen)
    local last, sum = 0, 0
    for i, s in ipairs(seen) do
      assert.same({ (i - 1) // 20 + 1, (i - 1) % 20 + 1, i }, table.move(s, 1, 3, 1, {}))
      assert.is_true(s[5] >= last and s[6] == 0.1)
      last = s[5]
      if i <= 20 then sum = sum + s[4] * 10 end
    end
    assert.equal(h.train_loss[1], sum / 200)
    assert.is_true(told.seconds[5] >= last)
  end)

  it("puts the model back into train mode after on_batch, and ends when that says false", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 10), nn.Dropout { p = 0.5 }, nn.Linear(10, 2))
    local h = train.fit(options { model = net, on_batch = function(state)
      assert.is_true(state.model.training)
      state.model:eval()
      if state.batches == 27 then return false end
    end })
    assert.same({ "callback", 2 }, { h.stopped, h.epochs })
    assert.is_true(h.dev_loss[2] > 0)
    assert.is_true(net.training)
  end)

  it("weighs rows: whole weights are repetitions, rows of weight 0 are absent", function()
    local weights, index = {}, {}
    for i = 1, 200 do
      weights[i] = i % 3
      for _ = 1, i % 3 do index[#index + 1] = i end
    end
    index = peri.tensor(index, { dtype = "int64" })
    local t = X:select(2, 1) * 2 + 1
    for _, case in ipairs { { y, nn.CrossEntropyLoss, 2, "train_accuracy" }, { t, nn.MSELoss, 1, "train_r2" } } do
      local target, loss, outputs, measure = table.unpack(case)
      for _, reduction in ipairs { "mean", "sum" } do
        local function fit(rows, w, measured)
          local net = network(outputs)
          return train.fit { model = net, loss = loss { reduction = reduction }, train = rows, sample_weight = w,
            optimizer = optim.SGD(net:parameters(), { lr = reduction == "sum" and 1e-4 or 0.1 }), epochs = 5,
            batch_size = 1000, measure_train = measured, shuffle = false }
        end
        for _, measured in ipairs { false, true } do
          local whole, weighted = fit({ X[index], target[index] }, nil, measured), fit({ X, target }, weights, measured)
          for _, name in ipairs { "train_loss", measure } do
            assert.is_true((whole[name] - weighted[name]):abs():max():item() < 1e-5, name)
          end
          for i, p in ipairs(whole.model:parameters()) do
            assert.is_true((p:detach() - weighted.model:parameters()[i]:detach()):abs():max():item() < 1e-5)
          end
        end
      end
    end
  end)

  it("takes weights in mini-batches, in steps and in estimators", function()
    local plain = train.fit(options())
    local ones = train.fit(options { sample_weight = peri.ones(200) })
    assert.is_true((plain.train_loss - ones.train_loss):abs():max():item() < 1e-6)
    local w, steps = peri.zeros(200), 0
    w[{ { 1, 10 } }] = 2
    local net = network()
    local given = options { model = net, sample_weight = w, epochs = 1, shuffle = false, step = function(bx, _, bw)
      steps = steps + 1
      assert.same({ #bx }, bw.shape)
      assert.equal(20, bw:sum():item())
    end }
    train.fit(given)
    assert.equal(1, steps) -- rows of weight 0 are in no mini-batch
    local odd, labels = X:clone(), y:totable()
    odd[20], labels[20] = 0 / 0, 7
    assert.same({ 1, 2 }, train.fit(options { train = { odd, labels }, dev = false,
      sample_weight = w + X:select(2, 1):eq(X[{ 30, 1 }]):to "float32" }).classes:totable())
    local m = train.Classifier { epochs = 3, seed = 1, build = function()
      local built = network()
      return built, optim.SGD(built:parameters(), { lr = 0.1 })
    end }
    local mostly_first = peri.where(y:eq(1), peri.ones(200), peri.ones(200) * 1e-3)
    assert.equal(1, m:fit(X, y, { sample_weight = mostly_first }):predict(X):max():item())
    for _, case in ipairs {
      { { sample_weight = { 1 } }, "fit: y has 200 entries but sample_weight has 1" },
      { { sample_weight = peri.zeros(200) }, "fit: sample_weight is 0 everywhere" },
      { { sample_weight = -peri.ones(200) }, "fit: entry 1 of sample_weight is %-1.0 %(expected a finite number >= 0" },
      { { sample_weight = 3 }, "fit: sample_weight must be a list or a tensor, got 3" },
      { { sample_weight = w, loss = function(s, t) return nn.CrossEntropyLoss()(s, t) end },
        "fit: sample_weight is for CrossEntropyLoss and MSELoss, the loss is a function" },
    } do
      assert.matches(case[2], message_of(train.fit, options(case[1])))
    end
  end)

  it("refuses steps and functions that cannot be", function()
    local function scores(x) return x:matmul(peri.zeros(2, 2)) end
    local cases = {
      { { step = 3 }, "fit: step must be a function, got 3" },
      { { step = print, clip_grad_norm = 1 }, "fit: clip_grad_norm cannot change what step does" },
      { { on_batch = 3 }, "fit: on_batch must be a function, got 3" },
      { { parameters = { peri.ones(2) } }, "fit: parameters is for a model that is a function" },
      { { model = scores, parameters = { 3 } }, "fit: parameters must be a list of one or more float tensors" },
      { { model = scores, parameters = {} }, "fit: parameters must be a list of one or more float tensors" },
      { { model = scores, step = print, early_stopping = {} },
        "fit: early_stopping brings parameters back, and the model is a function %(expected parameters%)" },
      { { model = function() return 3 end, step = print }, "fit: the model gives 3 %(expected a tensor, a row" },
    }
    for _, case in ipairs(cases) do
      case[1].optimizer = optim.SGD(network():parameters(), { lr = 0.1 })
      local message = message_of(function()
        local given = options { optimizer = case[1].optimizer }
        for name, value in pairs(case[1]) do given[name] = value end
        train.fit(given)
      end)
      assert.matches(case[2], message)
    end
  end)

  it("refuses what it does not know, before anything is trained", function()
    local net = network()
    local before = bits(net)
    local cases = {
      { { epoch = 3 }, "fit: unknown option epoch %(known: accumulate," },
      { { epochs = 0 }, "fit: epochs is 0 %(expected at least 1%)" },
      { { batch_size = 1.5 }, "fit: batch_size must be a whole number, got 1.5" },
      { { model = {}, optimizer = optim.SGD(net:parameters()) }, "fit: model must be a layer or a function, got a" },
      { { optimizer = {} }, "fit: optimizer must be an object with methods step and zero_grad, got a" },
      { { train = { X } }, "fit: train must be a table {X, y}" },
      { { train = { X, yt } }, "fit: train's y has shape 300 %(expected 200 labels%)" },
      { { train = { X, y * 0 } }, "fit: train's y has one label alone, 0" },
      { { train = { X, y + 0.5 } }, "fit: entry 1 of train's y is [%d.]+ %(expected a whole label%)" },
      { { dev = { Xt, yt + 1 } }, "fit: dev's y has the label 3, which is not among the 2 classes" },
      { { model = network(3) }, "fit: the model gives 2x3 for 2 rows, but there are 2 classes %(expected 2x2%)" },
      { { early_stopping = { patience = 0 } }, "fit: early_stopping: patience is 0 %(expected at least 1%)" },
      { { early_stopping = { monitor = "dev_r2" } }, "monitor is dev_r2, which classification does not have" },
      { { early_stopping = { monitor = "dev_loss" }, dev = false }, "monitor is dev_loss but there is no dev set" },
      { { loss = nn.CrossEntropyLoss { reduction = "none" } },
        "fit: the loss gives a tensor float32 of 2 %(expected a tensor of one number" },
      { { loss = function() return 1 end }, "fit: the loss gives 1 %(expected a tensor of one number" },
      { { loss = function(scores) return scores end },
        "fit: the loss gives a tensor float32 of 2x2 %(expected a tensor of one number" },
    }
    for _, case in ipairs(cases) do
      if case[1].model == nil then case[1].model = net end
      local message = message_of(function() train.fit(options(case[1])) end)
      assert.matches("^[^\n]*train_spec.lua:%d+: [^\n]*$", message)
      assert.matches(case[2], message)
      assert.equal(before, bits(net))
    end
    assert.matches("fit: option train is missing", message_of(train.fit, { model = net }))
    assert.matches("fit: option optimizer is missing", message_of(train.fit, { model = net, train = { X, y } }))
  end)
end)
