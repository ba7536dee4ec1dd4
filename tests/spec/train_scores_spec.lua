-- Estimators predict by plans: what they give is, bit for bit, what the model gives in eval mode, whatever has happened
-- to it in between, and nothing of it stays when the model is gone.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local nn = peri.nn

local NETS = {
  dense = { 3, function() return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)) end },
  modes = { 3, function()
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout { p = 0.5 }, nn.Linear(8, 2))
  end },
  images = { 36, function()
    return nn.Sequential(nn.Unflatten(2, { 1, 6, 6 }), nn.Conv2d(1, 3, 3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
      nn.Linear(12, 2))
  end },
}

local function estimator(build, inputs, class)
  peri.manual_seed(3)
  local X = peri.randn { 40, inputs }
  local y = X:narrow(2, 1, 1):flatten()
  local m = peri.train[class or "Classifier"] {
    build = function()
      local model = build()
      return model, peri.optim.SGD(model:parameters(), { lr = 0.05 })
    end, epochs = 2, batch_size = 10,
  }
  return m:fit(X, class and peri.stack({ y, y }, 2) or y:gt(0):to "int64"), X
end

-- What the model says of X, row by row of the pieces that predictions are made in.
local function scores(model, X)
  local was = model.training
  model:eval()
  local parts = {}
  for from = 1, #X, 1024 do
    parts[#parts + 1] = peri.no_grad(model, X[{ { from, math.min(#X, from + 1023) } }])
  end
  if was then model:train() end
  return peri.cat(parts, 1)
end

local function agrees(m, X)
  assert.equal(samples.bits(scores(m.model, X)), samples.bits(m.classes and m:decision_function(X) and
    peri.no_grad(function() return scores(m.model, X) end) or m:predict(X)))
  if m.classes then
    local expected = scores(m.model, X)
    assert.equal(samples.bits(m.classes[expected:argmax(2)]), samples.bits(m:predict(X)))
    assert.equal(samples.bits(expected:softmax(2)), samples.bits(m:predict_proba(X)))
    assert.equal(samples.bits(expected[{ {}, 2 }] - expected[{ {}, 1 }]), samples.bits(m:decision_function(X)))
  end
end

describe("an estimator predicts as its model gives it", function()
  for name, net in pairs(NETS) do
    it("of " .. name, function()
      for _, class in ipairs { false, "Regressor" } do
        local m = estimator(net[2], net[1], class)
        for _ = 1, 3 do
          for _, n in ipairs { 1, 5, 1024, 1025, 2500, 5 } do agrees(m, peri.randn { n, net[1] }) end
        end
      end
    end)
  end

  it("after its parameters have changed", function()
    local m, X = estimator(NETS.modes[2], 3)
    for k = 1, 6 do
      for _ = 1, 3 do agrees(m, X) end
      if k == 1 then m.model[1].weight:detach():mul_(1.5) end
      if k == 2 then m.model:train() end -- and stays in that mode
      if k == 3 then m.model[1].weight.requires_grad = false end
      if k == 4 then m.model:to("float64"):to "float32" end
      if k == 5 then m.model[2].running_mean:fill_(0.1) end
      if k == 3 then assert.is_true(m.model.training) end
    end
  end)

  it("of rows that lie otherwise each time", function()
    local m, X = estimator(NETS.dense[2], 3)
    local turned = X:t():contiguous():t()
    for _ = 1, 20 do
      agrees(m, X)
      agrees(m, turned)
    end
  end)

  it("with hooks, which are called each time", function()
    local m, X = estimator(NETS.dense[2], 3)
    for _ = 1, 3 do m:predict(X) end
    local calls = 0
    m.model[1]:register_forward_hook(function() calls = calls + 1 end)
    for _ = 1, 3 do m:predict(X) end
    assert.equal(3, calls)
  end)

  it("of rows that require grad, without recording, and within a step that is recorded", function()
    local m, X = estimator(NETS.dense[2], 3)
    for _ = 1, 3 do m:predict(X) end
    local given = X:clone():requires_grad_()
    assert.is_false(m:predict_proba(given).requires_grad)
    local expected = samples.bits(m:predict_proba(X))
    assert.equal(expected, samples.bits(peri.no_grad(function() return m:predict_proba(X) end)))
    local step = peri.replay(function(x) return m:predict_proba(x) * 1 end)
    for _ = 1, 3 do assert.equal(expected, samples.bits(step(X))) end
  end)

  it("or says what is wrong, as before", function()
    local m, X = estimator(NETS.dense[2], 3)
    local wide = peri.randn { 40, 4 }
    local first = message(m.predict, m, wide)
    for _ = 1, 3 do m:predict(X) end
    for _ = 1, 3 do assert.equal(first, message(m.predict, m, wide)) end
    assert.equal(0, #m:predict(peri.empty { 0, 3 }))
    peri._looks(1)
    local ok, text = pcall(m.predict, m, X)
    peri._looks()
    assert(not ok and text:find "interrupted", text)
    peri._fail_after(0)
    ok, text = pcall(m.predict, m, X)
    peri._fail_after(-1)
    assert(not ok and text:find "out of memory", text)
    agrees(m, X)
  end)

  it("and leaves no memory behind", function()
    local function in_use()
      for _ = 1, 3 do collectgarbage() end
      return peri.memory().in_use
    end
    local before = in_use()
    do
      local m, X = estimator(NETS.images[2], 36)
      for _ = 1, 4 do m:predict(X) end
      local model, one = m.model, in_use()
      for k = 1, 240 do m:predict(peri.randn { 1 + k % 60, 36 }) end
      local more = in_use()
      assert(more < one + (1 << 20), more - one)
      for _ = 1, 4 do -- plans of parameters that are gone go with them
        model:to("float64"):to "float32"
        for k = 1, 120 do m:predict(peri.randn { 1 + k % 60, 36 }) end
        assert(in_use() <= more, in_use() - more)
      end
      local large = nn.Sequential(nn.Linear(36, 9000), nn.ReLU(), nn.Linear(9000, 2))
      m.model = large -- whose plans are too large to be kept
      for _ = 1, 4 do m:predict(peri.randn { 1024, 36 }) end
      assert(in_use() < more + (8 << 20), in_use() - more)
      assert.is_true(#model:parameters() > 0)
    end
    assert.equal(before, in_use())
  end)
end)
