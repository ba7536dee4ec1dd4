-- What is often wrong with a training.
local peri = require "perilune"
local nn, optim, train = peri.nn, peri.optim, peri.train
local fails = require("support.fails").at_script

local X, y = peri.data.circles(40, { noise = 0.1, factor = 0.5, seed = 1 })

local function net(...)
  peri.manual_seed(1)
  return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2), ...)
end

-- The findings as one text, and that nothing has changed.
local function lint(options)
  local model = options.model
  options.x, options.y = options.x or X, options.y or y
  options.loss = options.loss or nn.CrossEntropyLoss()
  local function everything()
    local texts = { peri.get_rng_state():bytes() }
    for _, x in pairs(model:state_dict()) do texts[#texts + 1] = x:bytes() end
    for _, p in ipairs(model:parameters()) do texts[#texts + 1] = p.grad and p.grad:bytes() or "none" end
    model:apply(function(m) texts[#texts + 1] = tostring(m.training) end)
    return table.concat(texts, "|")
  end
  local before = everything()
  local found = train.lint(options)
  assert.is_true(before == everything())
  local texts = {}
  for i, finding in ipairs(found) do texts[i] = finding.kind .. ": " .. finding.text end
  return table.concat(texts, "\n")
end

describe("lint", function()
  it("finds nothing in what is right", function()
    local model = net(nn.Dropout { p = 0.2 })
    assert.equal("", lint { model = model })
    local opt = optim.Adam(model:parameters(), { lr = 0.01 })
    assert.equal("", lint { model = model, optimizer = opt })
    local ce = nn.CrossEntropyLoss()
    local function step(a, b)
      opt:zero_grad()
      ce(model(a), b):backward()
      opt:step()
    end
    step(X, y)
    model[1]:eval()
    assert.equal("", lint { model = model, step = step })
  end)

  it("finds labels that count from 0, or beyond the scores", function()
    assert.equal("labels: the labels go from 0 to 1, and count from 1 to 2 (y + 1 does)",
      lint { model = net(), y = y - 1 })
    assert.equal("labels: the labels go from 2 to 3, and the model gives 2 scores (expected labels from 1 to 2)",
      lint { model = net(), y = y + 1 })
  end)

  it("finds an activation in front of a loss that has its own", function()
    assert.equal("activation: softmax goes into the loss: CrossEntropyLoss takes scores and computes the softmax "
      .. "itself",
      lint { model = net(nn.Softmax { dim = 2 }) })
    assert.equal("activation: softmax goes into NLLLoss, which takes logarithms of probabilities (LogSoftmax)",
      lint { model = net(nn.Softmax { dim = 2 }), loss = nn.NLLLoss() })
    assert.equal("", lint { model = net(nn.LogSoftmax { dim = 2 }), loss = nn.NLLLoss() })
    assert.matches("^activation: sigmoid goes into the loss: BCEWithLogitsLoss", lint {
      model = nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 1), nn.Sigmoid()), loss = nn.BCEWithLogitsLoss(),
      y = (y - 1):to("float32"):unsqueeze(2) })
  end)

  it("finds parameters without a gradient", function()
    local Forgets = nn.Module.extend "Forgets"
    function Forgets:init() self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2) end
    function Forgets:forward(x) return self.a(x) end
    assert.equal("gradient: no gradient reaches b.weight, b.bias", lint { model = Forgets() })
    local Cuts = nn.Module.extend "Cuts"
    function Cuts:init() self.a = nn.Linear(2, 2) end
    function Cuts:forward(x) return self.a(x):detach() end
    assert.equal("gradient: the loss does not depend on any parameter", lint { model = Cuts() })
    local still = net()
    peri.no_grad(function() still[3].weight:zero_() end)
    assert.equal("gradient: the gradient is 0 everywhere in 1.weight, 1.bias", lint { model = still })
  end)

  it("finds units that are dead", function()
    local model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    peri.no_grad(function() model[1].bias[{ { 1, 6 } }] = -100 end)
    assert.equal("units: 6 of 8 units of ReLU 1 are 0 for all rows, and learn nothing", lint { model = model })
  end)

  it("finds steps that are too small, or of other parameters", function()
    local model = net()
    assert.matches("^step: a step changes no parameter %(does the optimizer hold", lint {
      model = model, optimizer = optim.SGD(net():parameters(), { lr = 0.1 }) })
    assert.matches("^step: a step changes .*lr", lint {
      model = model, optimizer = optim.SGD(model:parameters(), { lr = 1e-9 }) })
    model:to "float64"
    assert.matches("^step: a step changes the loss by", lint {
      model = model, x = X:to "float64", optimizer = optim.SGD(model:parameters(), { lr = 1e-9 }) })
  end)

  it("finds that zero_grad is missing", function()
    local model, ce = net(), nn.CrossEntropyLoss()
    local opt = optim.SGD(model:parameters(), { lr = 0.1 })
    assert.equal("zero_grad: gradients add up from step to step (optimizer:zero_grad() is missing before backward)",
      lint { model = model, step = function(a, b)
        ce(model(a), b):backward()
        opt:step()
      end })
  end)

  it("finds a loss that is not finite", function()
    local model = net()
    peri.no_grad(function() model[3].bias:fill_(0 / 0) end)
    assert.matches("^loss: the loss is %-?nan at the first step$", lint { model = model })
  end)

  it("is asked by train.fit with check, and changes nothing of what is trained", function()
    local function fit(model, check)
      return train.fit { model = model, optimizer = optim.SGD(model:parameters(), { lr = 0.1 }), train = { X, y },
        epochs = 2, seed = 1, progress = false, check = check }
    end
    local plain, checked = fit(net()), fit(net(), true)
    assert.same({ nil, {} }, { plain.findings, checked.findings })
    assert.is_true(plain.model[1].weight:equal(checked.model[1].weight))
    assert.equal("activation", fit(net(nn.Softmax { dim = 2 }), true).findings[1].kind)
  end)

  it("hands errors on, with everything as it was", function()
    local model, e = net(), {}
    local ok, message = pcall(lint, { model = model, loss = function() error(e) end })
    assert.is_false(ok)
    assert.equal(e, message)
    assert.is_true(model.training)
    fails("lint: options must be a table, got nil", train.lint)
    fails("lint: option loss is missing (expected a function)", train.lint, { model = model })
    fails("lint: model must be a layer, got 3", train.lint, { model = 3 })
    fails("lint: x is 40x2 but y is 39", train.lint, { model = model, loss = print, x = X, y = y[{ { 1, 39 } }] })
    fails("lint: unknown option optimiser", train.lint, { model = model, optimiser = 3 })
  end)
end)
