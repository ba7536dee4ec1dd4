-- Optimisers written in Lua, the step of LBFGS, averages of parameters, and gradients within bounds.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local failing = require "support.failing"
local nn, optim = peri.nn, peri.optim
local Optimizer = optim.Optimizer

local function state_text(object)
  local lines = {}
  for name, value in pairs(object:state_dict()) do lines[#lines + 1] = name .. " " .. samples.bits(value) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function parameter(n) return nn.Parameter(peri.ones(n or 3)) end

local function advance(optimizer, f, n)
  for _ = 1, n do
    optimizer:zero_grad()
    local loss = f()
    loss:backward()
    optimizer:step()
  end
end

-- ---- optimisers written in Lua ----

local function heavy_ball()
  local Heavy = Optimizer.extend("Heavy", { lr = 0.1, momentum = 0.9 }, { "velocity" })
  function Heavy:update(p, grad, state, o) -- luacheck: no unused args
    state.velocity:mul_(o.momentum):add_(grad)
    p:sub_(state.velocity * o.lr)
  end
  return Heavy
end

describe("an optimizer written in Lua", function()
  it("does what the row does", function()
    local Heavy = heavy_ball()
    for _, maximize in ipairs { false, true } do
      local a, b = parameter(), parameter()
      local options = { lr = 0.05, momentum = 0.8, maximize = maximize }
      local mine, sgd = Heavy({ a }, options), optim.SGD({ b }, options)
      advance(mine, function() return (a ^ 3):sum() end, 4)
      advance(sgd, function() return (b ^ 3):sum() end, 4)
      assert.equal(samples.bits(b), samples.bits(a))
      assert.is_true(mine:state(a).velocity:equal(sgd:state(b).momentum_buffer))
      assert.equal(4, mine:state(a).step)
    end
  end)

  it("is an optimizer as all are", function()
    local Heavy, a, b = heavy_ball(), parameter(), parameter(2)
    local mine = Heavy({ { params = { a }, lr = 0.5 }, { params = { b } } }, { momentum = 0 })
    assert.equal("optimizer", peri.type(mine))
    assert.equal("Heavy(1 parameters, {lr = 0.5, momentum = 0.0}; 1 parameters, {momentum = 0.0})", tostring(mine))
    assert.same({ 0.5, 0 }, { mine.lr, mine.momentum })
    mine.param_groups[2].lr = 0.25
    a:sum():backward()
    mine:step() -- b has no gradient
    assert.is_true(a:equal(peri.full({ 3 }, 0.5)) and b:equal(peri.ones(2)))
    assert.same({ 1, 0 }, { mine:state(a).step, mine:state(b).step })
    local schedule = optim.lr_scheduler.StepLR(mine, { step_size = 1 })
    schedule:step()
    assert.same({ 0.05, 0.025 }, schedule:get_last_lr())
    mine:add_param_group { params = { parameter() }, lr = 3 }
    assert.equal(3, mine.param_groups[3].lr)
    assert.matches("Heavy: lr is %-1", message(Heavy, { parameter() }, { lr = -1 }))
    assert.matches("Heavy: unknown option momentun .*did you mean momentum", message(Heavy, { a }, { momentun = 1 }))
    assert.matches("Heavy: too many arguments", message(Heavy, { a }, {}, 3))
    assert.matches("Heavy: there is no field or method 'setp': did you mean step",
      message(function() return mine.setp end))
    assert.matches("Heavy: field 'momentum' cannot be set", message(function() mine.momentum = 3 end))
  end)

  it("continues from a saved state", function()
    local Heavy, a, b = heavy_ball(), parameter(), parameter()
    local mine, twin = Heavy({ a }, { lr = 0.05 }), Heavy({ b }, { lr = 7 })
    local path = os.tmpname()
    advance(mine, function() return (a ^ 3):sum() end, 3)
    peri.save(path, mine:state_dict())
    twin:load_state_dict((peri.load(path)))
    os.remove(path)
    peri.no_grad(function() b:copy_(a) end)
    advance(mine, function() return (a ^ 3):sum() end, 2)
    advance(twin, function() return (b ^ 3):sum() end, 2)
    assert.equal(samples.bits(a), samples.bits(b))
    assert.equal(state_text(mine), state_text(twin))
    local state, before = mine:state_dict(), state_text(twin)
    state["velocity.1"] = nil
    assert.matches("load_state_dict: velocity.1 is missing", message(twin.load_state_dict, twin, state))
    state["velocity.1"] = peri.ones(4)
    assert.matches("load_state_dict: velocity.1 is 4 %(expected 3%)", message(twin.load_state_dict, twin, state))
    assert.equal(before, state_text(twin))
  end)

  it("trains a network", function()
    local X, y = peri.data.circles(100, { noise = 0.1, seed = 1 })
    local function fit(make)
      peri.manual_seed(1)
      local net = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 2))
      local optimizer = make(net:parameters(), { lr = 0.1, momentum = 0.9 })
      peri.train.fit { model = net, loss = nn.CrossEntropyLoss(), optimizer = optimizer, train = { X, y }, epochs = 5,
        seed = 1, progress = false, scheduler = optim.lr_scheduler.ExponentialLR(optimizer, { gamma = 0.9 }) }
      return samples.bits(net[1].weight)
    end
    assert.equal(fit(optim.SGD), fit(heavy_ball()))
  end)

  it("may put new tensors into its state, have tensors of the whole, and a step of its own", function()
    local Counting = Optimizer.extend("Counting", { lr = 1, scales = { 1, 2 } }, { "last" })
    function Counting:init() self.count = nn.Buffer(peri.zeros(2)) end
    function Counting:update(p, grad, state, o)
      p:sub_(grad * o.lr * o.scales[2])
      state.last = grad * state.step
      self.count[2] = self.count[2] + 1
    end
    function Counting:step(closure)
      self.count[1] = self.count[1] + 1
      self.note = "stepped"
      return Optimizer.step(self, closure)
    end
    local a, b = parameter(), parameter(2)
    local mine = Counting({ a, b }, { lr = 0.5, scales = { 1, 4 } })
    local function closure()
      mine:zero_grad()
      local loss = (a * 2):sum() + b:sum()
      loss:backward()
      return loss
    end
    assert.equal(8, mine:step(closure):item())
    mine:step(closure)
    assert.is_true(mine:state(a).last:equal(peri.full({ 3 }, 4)))
    assert.is_true(mine.count:equal(peri.tensor { 2, 4 }))
    assert.equal("stepped", mine.note)
    assert.is_true(a:equal(peri.full({ 3 }, 1 - 2 * 0.5 * 4 * 2)))
    local twin = Counting({ parameter(), parameter(2) })
    twin:load_state_dict(mine:state_dict())
    assert.same({ 0.5, { 1, 4 } }, { twin.lr, twin.scales })
    assert.equal(state_text(mine), state_text(twin))
    twin.count = peri.ones(2) -- is the buffer from then on
    assert.equal(1, twin:state_dict().count[1])

    local Doubled = Counting:extend("Doubled", { lr = 2 }, { "last" })
    function Doubled:update(p, grad, state, o) -- luacheck: no unused args
      p:sub_(grad * o.lr * 2)
    end
    local c = parameter()
    local doubled = Doubled { c }
    c:sum():backward()
    doubled:step()
    assert.is_true(c:equal(peri.full({ 3 }, -3)))
    assert.equal(1, doubled.count[1])
  end)

  it("that is wrong is refused where it is", function()
    local function wrong(...) return message(Optimizer.extend, ...) end
    assert.matches("extend: the class's name must be a name, got 3", wrong(3))
    assert.matches("extend: the options must be a table, got nil", wrong "A")
    assert.matches("extend: option lr is missing", wrong("A", {}))
    assert.matches("extend: the default of lr must be a number from 0, got %-1", wrong("A", { lr = -1 }))
    assert.matches("extend: the default of b must be a number, a boolean or a list of numbers, got 'x'",
      wrong("A", { lr = 1, b = "x" }))
    assert.matches("extend: entry 2 of b must be a number, got 'x'", wrong("A", { lr = 1, b = { 1, "x" } }))
    assert.matches("extend: the default of b is nan", wrong("A", { lr = 1, b = 0 / 0 }))
    assert.matches("extend: option step has another meaning", wrong("A", { lr = 1, step = 2 }))
    assert.matches("extend: option zero_grad has another meaning", wrong("A", { lr = 1, zero_grad = 2 }))
    assert.matches("extend: state must be a name, got 'a.b'", wrong("A", { lr = 1 }, { "a.b" }))
    assert.matches("extend: state has 5 names %(expected at most 4%)",
      wrong("A", { lr = 1 }, { "a", "b", "c", "d", "e" }))
    assert.matches("extend: there are more than 15 options", wrong("A", { lr = 1, b = peri.ones(15):totable() }))

    local Bare = Optimizer.extend("Bare", { lr = 1 })
    local a = parameter()
    local bare = Bare { a }
    a:sum():backward()
    assert.matches("Bare: there is no method update", message(bare.step, bare))
    function Bare:update(_, _, state) state.extra = 3 end -- luacheck: no unused args
    assert.matches("Bare: state.extra is not kept %(expected a name that extend was given%)", message(bare.step, bare))
    local Shapes = Optimizer.extend("Shapes", { lr = 1 }, { "m" })
    function Shapes:update(_, _, state) state.m = peri.ones(7) end -- luacheck: no unused args
    local shapes = Shapes { a }
    assert.matches("Shapes: state.m must be a tensor of the parameter's shape, got a tensor",
      message(shapes.step, shapes))
    function Shapes:update() error("boom", 0) end -- luacheck: no unused args
    assert.equal("boom", message(shapes.step, shapes))
    assert.is_true((a * 2).requires_grad) -- recording goes on
    assert.equal(0, shapes:state(a).step)
    local sgd = optim.SGD({ a }, { lr = 1 })
    assert.matches("step: SGD is not written in Lua", message(Optimizer.step, sgd))
    assert.matches("step: expected an optimizer, got 3", message(Optimizer.step, 3))
  end)

  it("is collected with its class, and lives as long as its schedule", function()
    local weak = setmetatable({}, { __mode = "v" })
    local schedule
    do
      local Heavy = heavy_ball()
      local mine = Heavy { parameter() }
      schedule = optim.lr_scheduler.StepLR(mine, { step_size = 1 })
      weak[1] = Heavy
    end
    collectgarbage()
    collectgarbage()
    schedule:step()
    assert.is_true(math.abs(schedule.last_lr - 0.01) < 1e-15)
    assert.is_not_nil(weak[1])
    schedule = nil -- luacheck: no unused
    for _ = 1, 4 do collectgarbage() end
    assert.is_nil(weak[1])
  end)

  it("fails cleanly when memory ends", function()
    local Heavy, a = heavy_ball(), parameter(50)
    failing.inject("Heavy", nil, function() Heavy { a } end)
  end)
end)

-- ---- LBFGS ----

describe("LBFGS", function()
  local function rosenbrock(x) return (1 - x[1]) ^ 2 + 100 * (x[2] - x[1] ^ 2) ^ 2 end

  it("changes nothing when the closure raises or gives no number", function()
    for _, search in ipairs { "strong_wolfe", "none" } do
      local x = nn.Parameter(peri.tensor({ -1.2, 1 }, { dtype = "float64" }))
      local optimizer = optim.LBFGS({ x }, { line_search_fn = search, lr = search == "none" and 1e-3 or 1, max_iter = 8,
        history_size = 3 })
      local calls, fault, at = 0, nil, nil
      local function closure()
        calls = calls + 1
        optimizer:zero_grad()
        local loss = rosenbrock(x)
        loss:backward()
        if calls == at then
          if fault == "raise" then error("boom", 0) end
          return fault
        end
        return loss
      end
      for round = 1, 3 do
        local before, bits = state_text(optimizer), samples.bits(x)
        for _, case in ipairs { { "raise", "^boom$" }, { "x", "LBFGS: the closure gave 'x'" },
          { peri.ones(2), "LBFGS: the closure gave a tensor float32 of 2" },
          { true, "LBFGS: the closure gave true" } } do
          for k = 1, 6 do
            calls, fault, at = 0, case[1], k
            assert.matches(case[2], message(optimizer.step, optimizer, closure))
            assert.equal(bits, samples.bits(x), ("round %d, call %d"):format(round, k))
            assert.equal(before, state_text(optimizer))
          end
        end
        at = nil
        optimizer:step(closure)
        assert.is_false(bits == samples.bits(x))
      end
      assert.is_true((x * 2).requires_grad)
    end
  end)

  it("brings parameters back when it is stopped", function()
    local x = nn.Parameter(peri.tensor({ -1.2, 1 }, { dtype = "float64" }))
    local optimizer = optim.LBFGS({ x }, { max_iter = 8, lr = 1e-3 })
    local before, bits, calls = state_text(optimizer), samples.bits(x), 0
    local ok = pcall(optimizer.step, optimizer, function()
      optimizer:zero_grad()
      local loss = rosenbrock(x)
      loss:backward()
      calls = calls + 1
      if calls == 3 then peri._fail_after(0) end -- from here on there is no memory either
      return loss
    end)
    peri._fail_after(-1)
    assert.is_false(ok)
    assert.equal(bits, samples.bits(x))
    assert.equal(before, state_text(optimizer))
  end)

  it("gives the first loss, and takes numbers for losses", function()
    local x = nn.Parameter(peri.tensor({ 3 }, { dtype = "float64" }))
    local optimizer = optim.LBFGS({ x }, { max_iter = 1 })
    local function closure()
      optimizer:zero_grad()
      local loss = (x * x):sum()
      loss:backward()
      return loss:item()
    end
    assert.equal(9, optimizer:step(closure))
    assert.equal(1, optimizer:state(x).step)
  end)

  it("has one group of one dtype, and needs a closure", function()
    local a, b = parameter(), nn.Parameter(peri.ones(2, { dtype = "float64" }))
    assert.matches("LBFGS: there are 2 groups of parameters %(expected 1%)",
      message(optim.LBFGS, { { params = { a } }, { params = { b } } }))
    assert.matches("LBFGS: parameter 2 is float64, but the first is float32", message(optim.LBFGS, { a, b }))
    local optimizer = optim.LBFGS { a }
    assert.matches("there is one group of parameters",
      message(optimizer.add_param_group, optimizer, { params = { b } }))
    assert.matches("LBFGS: step needs a closure that .*, got nil", message(optimizer.step, optimizer))
  end)

  it("leaves parameters without a gradient where they are, and frozen ones", function()
    local a, b, c = parameter(), parameter(), peri.ones(2)
    local optimizer = optim.LBFGS({ a, b, c }, { line_search_fn = "strong_wolfe" })
    optimizer:step(function()
      optimizer:zero_grad()
      local loss = ((a - 3) ^ 2):sum()
      loss:backward()
      return loss
    end)
    assert.is_true((a:detach() - 3):abs():max():item() < 1e-5)
    assert.is_true(b:equal(peri.ones(3)) and c:equal(peri.ones(2)))
  end)

  it("comes back from where the loss is no number", function()
    local x = nn.Parameter(peri.tensor({ 0.001 }, { dtype = "float64" }))
    local optimizer = optim.LBFGS({ x }, { line_search_fn = "strong_wolfe", lr = 100 })
    for _ = 1, 3 do
      optimizer:step(function() -- has no value below 0
        optimizer:zero_grad()
        local loss = (x - x:log()):sum()
        loss:backward()
        return loss
      end)
    end
    assert.is_true(math.abs(x:item() - 1) < 1e-6, tostring(x))
  end)
end)

-- ---- averages ----

describe("EMA", function()
  local function network()
    peri.manual_seed(3)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
  end

  it("is the exponential moving average, of buffers the last value", function()
    local net = network()
    local ema, mean = optim.EMA(net, { decay = 0.75 }), net[1].weight:detach():to "float64"
    for step = 1, 5 do
      peri.no_grad(function() net[1].weight:add_(step) end)
      net(peri.randn(4, 2))
      assert.equal(ema, ema:update())
      mean = mean * 0.75 + net[1].weight:detach():to "float64" * 0.25
    end
    local state = ema:state_dict()
    assert.is_true(state["average.1.weight"]:to("float64"):allclose(mean, { rtol = 1e-6 }))
    assert.is_true(state["buffer.2.running_mean"]:equal(net[2].running_mean))
    assert.same({ 5, 0.75 }, { state.updates:item(), state.decay:item() })
    assert.equal("EMA(7 tensors, {decay = 0.75}), 5 updates", tostring(ema))
    assert.equal("average", peri.type(ema))
  end)

  it("takes the place of the parameters for a while, and gives it back", function()
    local w = parameter(2)
    local ema = optim.EMA({ w }, { decay = 0.5 })
    peri.no_grad(function() w:fill_(3) end)
    ema:update()
    local two, three = peri.full({ 2 }, 2), peri.full({ 2 }, 3)
    assert.is_true(ema:apply(function(k) return w:equal(two) and k end, true))
    assert.is_true(w:equal(three))
    assert.equal("boom", message(ema.apply, ema, function() error("boom", 0) end))
    assert.is_true(w:equal(three))
    ema:store():copy_to()
    assert.is_true(w:equal(two))
    ema:restore()
    assert.is_true(w:equal(three) and w.requires_grad)
    assert.matches("EMA: restore: there is nothing to bring back", message(ema.restore, ema))
    assert.matches("EMA: apply: f must be a function, got 3", message(ema.apply, ema, 3))
  end)

  it("is saved and loaded, and refuses what does not fit", function()
    local net, other = network(), network()
    local ema, twin = optim.EMA(net, { decay = 0.9 }), optim.EMA(other)
    peri.no_grad(function() net[1].weight:add_(1) end)
    ema:update()
    local path = os.tmpname()
    peri.save(path, ema:state_dict())
    assert.equal(twin, twin:load_state_dict((peri.load(path))))
    os.remove(path)
    assert.equal(state_text(ema), state_text(twin))
    local function wrong(change)
      local state, before = ema:state_dict(), state_text(twin)
      change(state)
      local problem = message(twin.load_state_dict, twin, state)
      assert.equal(before, state_text(twin))
      return problem
    end
    local function number(x) return peri.tensor(x, { dtype = "float64" }) end
    assert.matches("load_state_dict: average.1.bias is missing; more is unexpected", wrong(function(s)
      s["average.1.bias"], s.more = nil, number(1)
    end))
    assert.matches("average.1.weight is 2 %(expected 3x2%)",
      wrong(function(s) s["average.1.weight"] = peri.ones(2) end))
    assert.matches("average.1.weight is 3 %(expected a tensor%)", wrong(function(s) s["average.1.weight"] = 3 end))
    assert.matches("decay is 2 %(expected 0 to 1%)", wrong(function(s) s.decay = number(2) end))
    assert.matches("updates is 0.5 %(expected a whole number", wrong(function(s) s.updates = number(0.5) end))
    assert.matches("state must be a table of names and tensors, got 3", message(twin.load_state_dict, twin, 3))
  end)

  it("refuses what it cannot average", function()
    local source = "EMA: parameters must be a layer or a list of one or more float tensors, got "
    assert.matches(source .. "3", message(optim.EMA, 3))
    assert.matches(source, message(optim.EMA, {}))
    assert.matches("EMA: parameter 2 must be a float tensor, got",
      message(optim.EMA, { parameter(), peri.arange(1, 3) }))
    assert.matches("EMA: decay is 1.5 %(expected 0 to 1%)", message(optim.EMA, { parameter() }, { decay = 1.5 }))
    assert.matches("EMA: unknown option deacy .*did you mean decay", message(optim.EMA, { parameter() }, { deacy = 1 }))
    local ema = optim.EMA { parameter() }
    assert.matches("EMA: update: called with 3 %(expected ema:update", message(ema.update, 3))
  end)
end)

-- ---- gradients within bounds ----

describe("the norm of gradients", function()
  local function with(values, dtype)
    local p = nn.Parameter(peri.zeros(#values, { dtype = dtype or "float64" }))
    local loss = (p * peri.tensor(values, { dtype = p.dtype })):sum()
    loss:backward()
    return p
  end
  local clip = nn.utils.clip_grad_norm_

  it("is that of all together, of any power", function()
    peri.manual_seed(6)
    for _, dtype in ipairs { "float32", "float64" } do
      for _, power in ipairs { 1, 2, 3, 0.5, math.huge } do
        local parameters, total, most = {}, 0, 0
        for i, n in ipairs { 1, 7, 100, 4099 } do
          parameters[i] = with(peri.randn(n):totable(), dtype)
          for _, g in ipairs(parameters[i].grad:totable()) do
            total, most = total + math.abs(g) ^ power, math.max(most, math.abs(g))
          end
        end
        parameters[#parameters + 1] = parameter() -- without a gradient
        local expected = power == math.huge and most or total ^ (1 / power)
        local before = parameters[3].grad:clone()
        local norm = clip(parameters, 1e9, { norm_type = power })
        assert.is_true(math.abs(norm - expected) <= 1e-12 * expected,
          ("%s: %.17g, %.17g"):format(power, norm, expected))
        assert.is_true(parameters[3].grad:equal(before))
        assert.equal(norm, clip(parameters, norm / 4, { norm_type = power }))
        assert.is_true(parameters[3].grad:allclose(before / 4, { rtol = 1e-5 }))
        local clipped = clip(parameters, 1e9, { norm_type = power })
        assert.is_true(math.abs(clipped / (norm / 4) - 1) < 1e-4)
      end
    end
  end)

  it("does not leave the range of numbers on the way", function()
    assert.is_true(math.abs(clip({ with { 3e200, 4e200 } }, 1) / 5e200 - 1) < 1e-15)
    assert.is_true(math.abs(clip({ with { 3e-200, 4e-200 } }, 1) / 5e-200 - 1) < 1e-15)
    assert.equal(0, clip({ with { 0, 0 } }, 1))
    assert.equal(0, clip({ parameter() }, 1))
    assert.equal(5, clip(with { 3, 4 }, 10)) -- one tensor
  end)

  it("shows what is no finite number, and may refuse it", function()
    for _, bad in ipairs { 0 / 0, 1 / 0 } do
      local p = with { 1, bad }
      local bits = samples.bits(p.grad)
      assert.matches("clip_grad_norm_: the norm of the gradients is .*%(expected a finite number",
        message(clip, { p }, 1, { error_if_nonfinite = true }))
      assert.equal(bits, samples.bits(p.grad))
      for _, power in ipairs { 1, 2, 3, math.huge } do
        local norm = clip({ with { 1, bad, 2 } }, 1, { norm_type = power })
        assert.is_true(norm - norm ~= 0)
      end
    end
  end)

  it("refuses wrong arguments", function()
    local p = with { 1 }
    assert.matches("clip_grad_norm_: parameters must be a list of tensors .* got 3", message(clip, 3, 1))
    assert.matches("clip_grad_norm_: parameter 2 must be a tensor, got 'x'", message(clip, { p, "x" }, 1))
    assert.matches("clip_grad_norm_: max_norm is %-1", message(clip, { p }, -1))
    assert.matches("clip_grad_norm_: max_norm must be a number, got nil", message(clip, { p }))
    assert.matches("clip_grad_norm_: norm_type is 0", message(clip, { p }, 1, { norm_type = 0 }))
    assert.matches("clip_grad_norm_: unknown option norm", message(clip, { p }, 1, { norm = 0 }))
    assert.matches("clip_grad_value_: clip_value is %-1", message(nn.utils.clip_grad_value_, { p }, -1))
  end)

  it("is one thing, single values another", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local p, q = with({ -3, 0.5, 0 / 0, 2, -0.25 }, dtype), parameter()
      nn.utils.clip_grad_value_({ p, q }, 1)
      local g = p.grad:totable()
      assert.is_true(g[3] ~= g[3])
      g[3] = 0
      assert.same({ -1, 0.5, 0, 1, -0.25 }, g)
    end
  end)
end)
