-- train.fit makes steps by plans, and whole epochs where no function of the script is called between mini-batches: what
-- comes of a training is bit for bit what comes of it without plans, for which a hook on the model sees.
local peri = require "perilune"
local samples = require "support.samples"
local steps = require("support.internal").steps
local nn, optim, train = peri.nn, peri.optim, peri.train

local state_bits = samples.state_bits

local MEASURES = { "train_loss", "train_accuracy", "train_r2", "dev_loss", "dev_accuracy", "dev_r2", "learning_rate" }

local function outcome(m, model)
  local parts = { state_bits(model), m.epochs, m.stopped, tostring(m.best_epoch), tostring(m.note),
    samples.bits(peri.get_rng_state()) }
  for _, name in ipairs(MEASURES) do
    local column = m[name]
    parts[#parts + 1] = name .. (column and samples.bits(column) or "none")
  end
  return table.concat(parts, "\n")
end

-- How many mini-batches a plan made in f.
local function counted(f)
  local new, made = steps.new, {}
  steps.new = function(...)
    made[#made + 1] = new(...)
    return made[#made]
  end
  local results = table.pack(pcall(f))
  steps.new = new
  assert(results[1], results[2])
  return made, table.unpack(results, 2, results.n)
end

local function nothing() end

-- By plans; step by step, with a function that looks on; without plans.
local EPOCHS, STEPS, NONE = 1, 2, 3
local function look_on(turn, options)
  if turn == STEPS then options.on_batch = nothing end
  if turn == NONE then options.model:register_forward_hook(nothing) end
end

-- build() -> options of a training with a new model. Trains in each of the three ways.
local function compare(where, build, refused)
  local outcomes = {}
  local plan
  for turn = EPOCHS, NONE do
    peri.manual_seed(3)
    local options = build()
    options.seed, options.progress = 5, false
    look_on(turn, options)
    local made, m = counted(function() return train.fit(options) end)
    local measured = (options.dev or options.measure_train) and not options.ema and not options.metrics
    assert.equal(turn == NONE and 0 or 1 + (measured and 1 or 0), #made, where)
    plan = plan or made[1]
    if turn == STEPS and not refused then assert.is_true(made[1].plans >= 1, where) end
    assert.equal(turn == NONE or refused ~= nil, m.not_replayed ~= nil, ("%s: %s"):format(where, m.not_replayed))
    outcomes[turn] = outcome(m, options.model)
  end
  assert.equal(outcomes[NONE], outcomes[EPOCHS], where)
  assert.equal(outcomes[NONE], outcomes[STEPS], where)
  if refused then
    assert.matches(refused, plan.reason, 1, true)
  else
    assert.is_nil(plan.reason, where)
    assert.is_true(plan.plans >= 1, where)
  end
  return plan
end

local function rows(n, features) return peri.randn(n, features or 4) end
local function labels(n, k) return peri.randint(1, k or 3, n) end

local function small() return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)) end
local function sgd(model, options) return optim.SGD(model:parameters(), options or { lr = 0.1 }) end

describe("train.fit by plans gives the same bits", function()
  it("with every optimizer", function()
    for _, kind in ipairs(optim.optimizers()) do
      if not kind.closure then
        local written = kind.name
        compare(kind.name, function()
          local model = small()
          return { model = model, optimizer = optim[kind.name](model:parameters()), train = { rows(23), labels(23) },
            batch_size = 5, epochs = 4 }
        end, written == "LBFGS" and "written in Lua" or nil)
      end
    end
  end)
  it("with every kind of layer that fits", function()
    local nets = {
      conv = { { 2, 6, 6 }, nn.Conv2d, 2, 3, 3 }, conv1d = { { 2, 9 }, nn.Conv1d, 2, 3, 3 },
    }
    for name, net in pairs(nets) do
      compare(name, function()
        local model = nn.Sequential(net[2](net[3], net[4], net[5]), nn.ReLU(), nn.Flatten(),
          nn.Linear(name == "conv" and 48 or 21, 3))
        return { model = model, optimizer = sgd(model), batch_size = 4, epochs = 3,
          train = { peri.randn(14, table.unpack(net[1])), labels(14) } }
      end)
    end
    local plain = { nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Softplus, nn.PReLU, nn.Softmax,
      nn.LogSoftmax, nn.Dropout, nn.Identity }
    for i, make in ipairs(plain) do
      compare("activation " .. i, function()
        local model = nn.Sequential(nn.Linear(4, 6), make(), nn.Linear(6, 3))
        return { model = model, optimizer = sgd(model), train = { rows(14), labels(14) }, batch_size = 4, epochs = 3 }
      end)
    end
    for name, make in pairs { BatchNorm1d = nn.BatchNorm1d, LayerNorm = nn.LayerNorm, RMSNorm = nn.RMSNorm } do
      compare(name, function()
        local model = nn.Sequential(nn.Linear(4, 6), make(6), nn.Linear(6, 3))
        return { model = model, optimizer = sgd(model), train = { rows(14), labels(14) }, dev = { rows(6), labels(6) },
          batch_size = 4, epochs = 3 }
      end)
    end
    compare("attention", function()
      local model = nn.Sequential(nn.Linear(4, 6), nn.PositionalEncoding(6, { dropout = 0.2, batch_first = true }),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, { dim_feedforward = 8, batch_first = true }), 2),
        nn.Flatten(), nn.Linear(30, 3))
      return { model = model, optimizer = sgd(model), train = { peri.randn(14, 5, 4), labels(14) },
        dev = { peri.randn(6, 5, 4), labels(6) }, batch_size = 4, epochs = 3 }
    end)
    compare("pooling and dropout of images", function()
      local model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3))
      return { model = model, optimizer = sgd(model), train = { peri.randn(14, 1, 7, 7), labels(14) }, batch_size = 4,
        epochs = 3 }
    end)
  end)
  it("with losses of numbers, and of labels", function()
    for _, loss in ipairs { nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(),
      nn.MSELoss { reduction = "sum" } } do
      compare(tostring(loss), function()
        local model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
        return { model = model, optimizer = sgd(model, { lr = 0.01 }), train = { rows(23), rows(23, 2) }, loss = loss,
          dev = { rows(7), rows(7, 2) }, batch_size = 5, epochs = 4 }
      end)
    end
    for _, loss in ipairs { nn.CrossEntropyLoss { label_smoothing = 0.1 }, nn.CrossEntropyLoss { reduction = "sum" },
      nn.CrossEntropyLoss { weight = peri.tensor { 1, 2, 3 } }, nn.MultiMarginLoss() } do
      compare(tostring(loss), function()
        local model = small()
        return { model = model, optimizer = sgd(model, { lr = 0.01 }), train = { rows(23), labels(23) }, loss = loss,
          batch_size = 5, epochs = 4 }
      end)
    end
  end)
  it("with clipping, accumulation, schedules, and all together", function()
    local cases = {
      { clip_grad_norm = 0.1 }, { clip_grad_value = 0.01 }, { clip_grad_norm = 0.1, clip_grad_value = 0.02 },
      { accumulate = 2 }, { accumulate = 3, clip_grad_norm = 0.1 }, { accumulate = 100 }, { shuffle = false },
      { measure_train = true }, { batch_size = 1 }, { batch_size = 50 }, { early_stopping = { patience = 2 } },
      { schedule = "StepLR" }, { schedule = "plateau" }, { dtype = "float64", accumulate = 2 },
    }
    for i, case in ipairs(cases) do
      compare("case " .. i, function()
        local model = small():to(case.dtype or "float32")
        local optimizer = optim.Adam(model:parameters(), { lr = 0.01 })
        local options = { model = model, optimizer = optimizer, train = { rows(23), labels(23) },
          dev = { rows(9), labels(9) }, batch_size = 5, epochs = 6 }
        for name, value in pairs(case) do
          if name ~= "schedule" and name ~= "dtype" then options[name] = value end
        end
        if case.schedule == "StepLR" then
          options.scheduler = optim.lr_scheduler.StepLR(optimizer, { step_size = 2, gamma = 0.5 })
        elseif case.schedule == "plateau" then
          options.scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, { patience = 0 })
        end
        return options
      end)
    end
  end)
  it("where a function changes the model between epochs", function()
    compare("changes", function()
      local model = small()
      local optimizer = sgd(model)
      return { model = model, optimizer = optimizer, train = { rows(23), labels(23) }, batch_size = 5, epochs = 8,
        callbacks = function(state)
          if state.epoch == 2 then peri.no_grad(function() model[1].weight:mul_(0.5) end) end
          if state.epoch == 3 then optimizer.lr = 0.01 end
          if state.epoch == 4 then model[1].weight.requires_grad = false end
          if state.epoch == 5 then model[1].weight.requires_grad = true end
          if state.epoch == 6 then model[3].bias.grad = nil end
          model:eval()
        end }
    end)
  end)
  it("of more epochs than there is room for at once", function()
    compare("many epochs", function()
      local model = nn.Sequential(nn.Linear(2, 2))
      return { model = model, optimizer = sgd(model, { lr = 1e-3 }), train = { rows(3, 2), rows(3, 2) }, batch_size = 2,
        epochs = 2300 }
    end)
  end)
  it("where some labels have no loss", function()
    local plan = compare("ignored", function()
      local model = small()
      return { model = model, optimizer = sgd(model), loss = nn.CrossEntropyLoss { ignore_index = 2 },
        train = { rows(23), labels(23) }, batch_size = 5, epochs = 9 }
    end)
    assert.is_true(plan.plans > 2) -- for how many
  end)
  it("that diverge in the same place", function()
    compare("diverges", function()
      local model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
      return { model = model, optimizer = sgd(model, { lr = 1e6 }), train = { rows(23), rows(23, 2) }, batch_size = 5,
        epochs = 50 }
    end)
  end)
  it("with a loader of the script's, whose loop is not disturbed", function()
    local orders = {}
    for turn = 1, 2 do
      peri.manual_seed(3)
      local model = nn.Sequential(nn.Linear(4, 2))
      local loader = peri.data.loader({ rows(23), rows(23, 2) }, { batch_size = 5, shuffle = true, seed = 2,
        drop_last = true })
      train.fit { model = model, optimizer = sgd(model, { lr = 0.01 }), train = loader, epochs = 3, progress = false,
        on_batch = turn == 2 and nothing or nil }
      orders[turn] = { state_bits(model), loader:state_dict() }
      for x in loader do orders[turn][#orders[turn] + 1] = samples.bits(x) end
    end
    assert.same(orders[2], orders[1])
  end)
  it("with weights, averages, metrics, checkpoints, and mini-batches of the script's", function()
    local path = os.tmpname()
    local function uneven(y)
      return function()
        local i = 0
        return function()
          i = i + 1
          if i <= 9 then return rows(3 + i % 3), y(3 + i % 3), i % 2 == 0 and peri.rand(3 + i % 3) + 0.5 or nil end
        end
      end
    end
    local function numbers(n) return rows(n, 3) end
    local cases = {
      weights = { sample_weight = true }, weighted_numbers = { sample_weight = true, y = numbers },
      weights_of_several = { sample_weight = true, accumulate = 2, clip_grad_norm = 0.1 },
      weighted_sums = { sample_weight = true, y = numbers, loss = nn.MSELoss { reduction = "sum" } },
      averages = { ema = 0.9, dev = true }, checkpoints = { checkpoint = { path = path, every = 2 } },
      metrics = { metrics = { best = function(s) return s:max() end }, dev = true },
      metrics_of_numbers = { metrics = { best = function(s) return s:max() end }, y = numbers, accumulate = 2 },
      list = { train = function(y) return { { rows(5), y(5) }, { rows(5), y(5) }, { rows(4), y(4) } } end },
      uneven = { train = uneven, classes = { 1, 2, 3 } }, uneven_numbers = { train = uneven, y = numbers },
      loader = { train = function(y)
        return peri.data.loader({ rows(23), y(23), peri.rand(23) + 0.5 }, { batch_size = 5, shuffle = true, seed = 1 })
      end },
      ends = { callbacks = { on_batch = function(state) return state.batches < 12 end }, accumulate = 2 },
    }
    for name, case in pairs(cases) do
      local outcomes = {}
      for turn = EPOCHS, NONE do
        peri.manual_seed(3)
        local y = case.y or labels
        local model = nn.Sequential(nn.Linear(4, 6), nn.Dropout { p = 0.2 }, nn.Linear(6, 3))
        local options = { epochs = 4, progress = false, model = model, optimizer = sgd(model, { lr = 0.05 }) }
        for key, value in pairs(case) do options[key] = value end
        options.y, options.train = nil, case.train and case.train(y) or { rows(23), y(23) }
        if not case.train then options.seed, options.batch_size = 5, 5 end
        if case.train == uneven then options.task = case.y and "regression" or "classification" end
        if case.dev then options.dev = { rows(9), y(9) } end
        if case.sample_weight then options.sample_weight = peri.rand(23):totable() end
        look_on(turn, options)
        local made, m = counted(function() return train.fit(options) end)
        outcomes[turn] = outcome(m, model) .. tostring(m.train_best and samples.bits(m.train_best))
        assert.equal(turn == NONE, m.not_replayed ~= nil, ("%s: %s"):format(name, m.not_replayed))
        if turn == STEPS then assert.is_true(made[1].replays >= 4, name .. ": " .. made[1].replays) end
      end
      assert.equal(outcomes[NONE], outcomes[EPOCHS], name)
      assert.equal(outcomes[NONE], outcomes[STEPS], name)
    end
    os.remove(path)
  end)
  it("stopped and resumed from a checkpoint", function()
    local outcomes = {}
    for turn = 1, 2 do
      local path = os.tmpname()
      for part = 1, 2 do
        peri.manual_seed(3)
        local model = nn.Sequential(nn.Linear(4, 6), nn.Dropout { p = 0.5 }, nn.Linear(6, 3))
        local optimizer = optim.Adam(model:parameters(), { lr = 0.01 })
        local m = train.fit { model = model, optimizer = optimizer, train = { rows(23), labels(23) }, batch_size = 5,
          epochs = part == 1 and 3 or 6, seed = 5, progress = false, checkpoint = { path = path },
          resume = part == 2 and path or nil, on_batch = turn == 2 and nothing or nil }
        outcomes[turn] = outcome(m, model)
      end
      os.remove(path)
    end
    assert.equal(outcomes[2], outcomes[1])
  end)
  it("by estimators", function()
    local predictions = {}
    local function build()
      local model = small()
      return model, sgd(model)
    end
    for turn = 1, 2 do
      peri.manual_seed(3)
      local X, y, Z = rows(30), labels(30), rows(7)
      local made, fitted = counted(function()
        return train.Classifier { build = build, epochs = 4, batch_size = 5, seed = 1, progress = false,
          on_batch = turn == 2 and nothing or nil }:fit(X, y)
      end)
      assert.equal(1, #made)
      predictions[turn] = state_bits(fitted.model) .. samples.bits(fitted:predict(Z))
    end
    assert.equal(predictions[2], predictions[1])
  end)
end)

describe("train.fit leaves to Lua", function()
  local function replays(options)
    peri.manual_seed(3)
    options.progress, options.epochs = false, 2
    options.model = options.model or small()
    options.optimizer = options.optimizer or sgd(options.model)
    options.train = options.train or { rows(23), labels(23) }
    local made, m = counted(function() return train.fit(options) end)
    assert.equal(#made == 0, m.not_replayed ~= nil)
    return #made
  end
  it("models and losses that are written in Lua", function()
    assert.equal(1, replays {})
    assert.equal(1, replays { sample_weight = peri.rand(23) + 0.5 })
    assert.equal(0, replays { loss = function(scores, y) return nn.CrossEntropyLoss()(scores, y) end })
    local model = small()
    assert.equal(0, replays { model = function(x) return model(x) end, optimizer = sgd(model),
      parameters = model:parameters() })
    local hooked = small()
    hooked[1]:register_forward_hook(nothing)
    assert.equal(0, replays { model = hooked })
    local Net = nn.Module.extend "Net"
    function Net:init() self.fc = nn.Linear(4, 3) end
    function Net:forward(x) return self.fc(x) end
    assert.equal(0, replays { model = Net() })
  end)
  it("labels that the script changes between epochs", function()
    local words = {}
    for turn = 1, 2 do
      peri.manual_seed(3)
      local model, y, epochs = small(), labels(23), 0
      local ok, message = pcall(train.fit, { model = model, optimizer = sgd(model), train = { rows(23), y },
        batch_size = 5, epochs = 6, seed = 1, progress = false, on_batch = turn == 2 and function() end or nil,
        callbacks = function(state)
          epochs = state.epoch
          if epochs == 2 then y[7] = y[7] % 3 + 1 end
          if epochs == 3 then y[9] = 4 end
        end })
      assert.is_false(ok)
      assert.equal(3, epochs)
      assert.matches("cross_entropy: row %d of target is class 4", message)
      words[turn] = message:match "cross.*" .. state_bits(model)
    end
    assert.equal(words[2], words[1])
  end)
  it("errors of operations, in their words", function()
    local words = {}
    for turn = 1, 2 do
      peri.manual_seed(3)
      local model = nn.Sequential(nn.Linear(4, 2), nn.Sigmoid())
      local y = peri.rand(20, 2)
      y[7] = 1.5
      local ok, message = pcall(train.fit, { model = model, optimizer = sgd(model), loss = nn.BCELoss(),
        train = { rows(20), y }, batch_size = 5, epochs = 3, seed = 1, shuffle = false, progress = false,
        on_batch = turn == 2 and nothing or nil })
      assert.is_false(ok)
      assert.matches("binary_cross_entropy: element %(2, 1%) of target is 1.5", message)
      words[turn] = message:match "binary.*" .. state_bits(model)
    end
    assert.equal(words[2], words[1])
  end)
end)
