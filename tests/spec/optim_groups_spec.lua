-- What all optimisers do: they come to the minimum, go up when asked, and have groups of parameters with options of
-- their own.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local failing = require "support.failing"
local nn, optim = peri.nn, peri.optim
local scheduler = optim.lr_scheduler

local function state_text(optimizer)
  local lines = {}
  for name, value in pairs(optimizer:state_dict()) do lines[#lines + 1] = name .. " " .. samples.bits(value) end
  return table.concat(lines, "\n")
end

local function parameter(n) return nn.Parameter(peri.ones(n or 1)) end

-- n steps, by a closure.
local function advance(optimizer, f, n, schedule)
  for _ = 1, n do
    optimizer:step(function()
      optimizer:zero_grad()
      local loss = f()
      loss:backward()
      return loss
    end)
    if schedule then schedule:step() end
  end
end

-- ---- minima ----

describe("the minimum of a quadratic", function()
  -- Options, steps, and the factor by which the rate falls with each of them.
  local ways = {
    SGD = { { lr = 0.04, momentum = 0.5 }, 200, 1 }, Adam = { { lr = 0.3 }, 600, 0.985 },
    AdamW = { { lr = 0.3, weight_decay = 0 }, 600, 0.985 }, Adamax = { { lr = 0.3 }, 900, 0.99 },
    NAdam = { { lr = 0.3 }, 600, 0.985 }, RAdam = { { lr = 0.3 }, 900, 0.99 },
    Adadelta = { { lr = 20, eps = 1e-3 }, 800, 0.99 }, RMSprop = { { lr = 0.2 }, 600, 0.98 },
    Adagrad = { { lr = 1 }, 400, 1 }, ASGD = { { lr = 0.04, lambd = 0, alpha = 0.1 }, 400, 1 },
    Rprop = { { lr = 0.1, step_sizes = { 0, 50 } }, 200, 1 }, Lion = { { lr = 0.2 }, 600, 0.975 },
    LBFGS = { { line_search_fn = "strong_wolfe" }, 3, 1 },
  }
  for _, kind in ipairs(optim.optimizers()) do
    it("is found by " .. kind.name, function()
      local way = assert(ways[kind.name], "no way is known")
      local options = { dtype = "float64" }
      local x, c = nn.Parameter(peri.zeros(4, options)), peri.tensor({ 1, -2, 0.5, 3 }, options)
      local steepness = peri.tensor({ 1, 3, 10, 0.5 }, options)
      local optimizer = optim[kind.name]({ x }, way[1])
      local schedule = scheduler.ExponentialLR(optimizer, { gamma = way[3] })
      advance(optimizer, function() return (steepness * (x - c) ^ 2):sum() end, way[2], schedule)
      local gap = (x:detach() - c):abs():max():item()
      assert.is_true(gap <= 1e-4, tostring(gap))
    end)

    it("of -f is where " .. kind.name .. " goes up, bit for bit", function()
      local names, options = {}, { lr = 0.02 }
      for _, option in ipairs(kind.options) do names[option.name] = true end
      if names.weight_decay then options.weight_decay = 0.1 end
      local up = { maximize = true }
      for name, value in pairs(options) do up[name] = value end
      local p, q = parameter(5), parameter(5)
      local c = peri.linspace(-1, 2, 5)
      advance(optim[kind.name]({ p }, options), function() return ((p - c) ^ 4):sum() end, 5)
      advance(optim[kind.name]({ q }, up), function() return -((q - c) ^ 4):sum() end, 5)
      assert.is_false(p:equal(peri.ones(5)))
      assert.equal(samples.bits(p), samples.bits(q))
    end)
  end

  it("of Rosenbrock's valley is found by LBFGS, to eight digits", function()
    for _, dtype in ipairs { "float64", "float32" } do
      local x = nn.Parameter(peri.tensor({ -1.2, 1 }, { dtype = dtype }))
      local optimizer = optim.LBFGS({ x }, { line_search_fn = "strong_wolfe", max_iter = 60,
        tolerance_change = 0 })
      local function f() return (1 - x[1]) ^ 2 + 100 * (x[2] - x[1] ^ 2) ^ 2 end
      advance(optimizer, f, 2)
      local gap = (x:detach() - 1):abs():max():item()
      assert.is_true(gap <= (dtype == "float64" and 1e-8 or 1e-3), tostring(gap))
    end
  end)
end)

describe("a closure", function()
  it("is called before the step, which gives back the loss; when it raises, nothing changes", function()
    for _, kind in ipairs(optim.optimizers()) do
      local p = parameter(3)
      local optimizer = optim[kind.name]({ p }, { lr = 0.1 })
      local before = state_text(optimizer)
      assert.equal("boom", message(optimizer.step, optimizer, function()
        p:sum():backward()
        error("boom", 0)
      end))
      assert.is_true(p:equal(peri.ones(3)))
      assert.equal(before, state_text(optimizer))
      assert.equal(3, optimizer:step(function()
        optimizer:zero_grad()
        local loss = p:sum()
        loss:backward()
        return loss
      end):item())
      assert.is_false(p:equal(peri.ones(3)))
      assert.matches("closure .*got 3$", message(optimizer.step, optimizer, 3))
    end
  end)
end)

-- ---- groups ----

describe("groups of parameters", function()
  it("have options of their own, which can be read and set", function()
    local a, b, c = parameter(2), parameter(3), parameter(4)
    local optimizer = optim.SGD({ { params = { a, b }, lr = 0.01 }, { params = { c }, weight_decay = 0.5 } },
      { lr = 0.1, momentum = 0.9 })
    local first, second = table.unpack(optimizer.param_groups)
    assert.equal(2, #optimizer.param_groups)
    assert.same({ 0.01, 0.9, 0 }, { first.lr, first.momentum, first.weight_decay })
    assert.same({ 0.1, 0.9, 0.5 }, { second.lr, second.momentum, second.weight_decay })
    assert.is_true(rawequal(a, first.params[1]) and rawequal(b, first.params[2]) and rawequal(c, second.params[1]))
    assert.equal("group", peri.type(first))
    assert.is_true(first:has "momentum" and not first:has "betas")
    assert.equal("group(2 parameters, {lr = 0.01, momentum = 0.9})", tostring(first))
    assert.equal("SGD(2 parameters, {lr = 0.01, momentum = 0.9}; 1 parameters, {lr = 0.1, momentum = 0.9, " ..
      "weight_decay = 0.5})", tostring(optimizer))
    assert.equal(0.01, optimizer.lr) -- that of the first
    second.lr, second.weight_decay = 0.3, 0
    assert.same({ 0.01, 0.3, 0 }, { first.lr, optimizer.param_groups[2].lr, optimizer.param_groups[2].weight_decay })
    optimizer.lr = 0.7 -- of all
    assert.same({ 0.7, 0.7 }, { first.lr, second.lr })
    second.momentum = 0.5
    second.momentum = 0
    assert.equal(0, second.momentum)
  end)

  it("are updated as so many optimizers would do", function()
    for _, kind in ipairs(optim.optimizers()) do
      if not kind.closure then
        peri.manual_seed(2)
        local function make() return nn.Parameter(peri.linspace(-1, 2, 40)), nn.Parameter(peri.linspace(3, 1, 9)) end
        local a, b = make()
        local c, d = make()
        local both = optim[kind.name]({ { params = { a }, lr = 0.05 }, { params = { b } } }, { lr = 0.2 })
        local one, two = optim[kind.name]({ c }, { lr = 0.05 }), optim[kind.name]({ d }, { lr = 0.2 })
        advance(both, function() return (a ^ 4):sum() + (b:sin() * 3):sum() end, 4)
        advance(one, function() return (c ^ 4):sum() end, 4)
        advance(two, function() return (d:sin() * 3):sum() end, 4)
        assert.equal(samples.bits(a), samples.bits(c), kind.name)
        assert.equal(samples.bits(b), samples.bits(d), kind.name)
      end
    end
  end)

  it("of many and large parameters have the same bits with any number of threads", function()
    local function run(threads)
      local before = peri.get_num_threads()
      peri.set_num_threads(threads)
      peri.manual_seed(4)
      local list, rest = {}, {}
      for i = 1, 60 do list[i] = nn.Parameter(peri.randn(i * 211)) end
      for i = 1, 5 do rest[i] = nn.Parameter(peri.randn(40000 + i)) end
      local optimizer = optim.Adam({ { params = list, lr = 0.1 }, { params = rest, weight_decay = 0.1 } })
      for step = 1, 3 do
        optimizer:zero_grad()
        for i, p in ipairs(list) do
          if (i + step) % 3 > 0 then (p * p):sum():backward() end -- some have taken fewer steps
        end
        for _, p in ipairs(rest) do p:sin():sum():backward() end
        optimizer:step()
      end
      peri.set_num_threads(before)
      local bits = {}
      for _, p in ipairs(list) do bits[#bits + 1] = samples.bits(p) end
      for _, p in ipairs(rest) do bits[#bits + 1] = samples.bits(p) end
      return table.concat(bits)
    end
    local alone = run(1)
    assert.is_true(alone == run(2))
    assert.is_true(alone == run(3))
  end)

  it("can be added, with the first one's options where they do not say their own", function()
    local a, b = parameter(2), parameter(3)
    local optimizer = optim.SGD({ a }, { lr = 0.1, momentum = 0.9 })
    assert.equal(optimizer, optimizer:add_param_group { params = { b }, lr = 0.01 })
    assert.same({ 0.01, 0.9 }, { optimizer.param_groups[2].lr, optimizer.param_groups[2].momentum })
    advance(optimizer, function() return (a ^ 2):sum() + (b ^ 2):sum() end, 1)
    assert.is_true(math.abs(a:detach()[1] - 0.8) < 1e-6 and math.abs(b:detach()[1] - 0.98) < 1e-6)
    assert.equal(1, optimizer:state(b).step)
    assert.is_true(optimizer:state(b).momentum_buffer:equal(peri.full({ 3 }, 2)))
    assert.matches("state: the tensor is no parameter of this optimizer",
      message(optimizer.state, optimizer, peri.ones(1)))
  end)

  it("that are wrong are refused, and nothing changes", function()
    local a, b, c = parameter(1), parameter(1), parameter(1)
    local optimizer = optim.SGD({ { params = { a, b } } }, { lr = 0.1 })
    local cases = {
      { { params = { a } }, "SGD: parameter 1 of group 2 is parameter 1 of group 1 too" },
      { { params = { c, b } }, "SGD: parameter 2 of group 2 is parameter 2 of group 1 too" },
      { { params = { c, c } }, "SGD: parameters 1 and 2 of group 2 are the same tensor" },
      { { params = {} }, "SGD: the list of parameters of group 2 is empty" },
      { {}, "SGD: params of group 2 must be a list of tensors .*, got nil" },
      { { params = c }, "SGD: params of group 2 must be a list of tensors" },
      { { params = { 3 } }, "SGD: parameter 1 of group 2 must be a tensor, got 3" },
      { { params = { c * 2 } }, "SGD: parameter 1 of group 2 was computed while recording" },
      { { params = { c }, lr = -1 }, "SGD: group 2: lr is %-1" },
      { { params = { c }, lr = 0 / 0 }, "SGD: group 2: lr is nan" },
      { { params = { c }, momentun = 1 }, "SGD: group 2: unknown option momentun .*did you mean momentum" },
      { { params = { c }, nesterov = true }, "SGD: nesterov needs" },
      { 3, "SGD: group 2 must be a table such as {params = .*got 3" },
    }
    local before = state_text(optimizer)
    for _, case in ipairs(cases) do
      assert.matches(case[2], message(optimizer.add_param_group, optimizer, case[1]))
      if case[1] ~= 3 then
        local list = { { params = { a, b } }, case[1] }
        assert.matches(case[2], message(optim.SGD, list, { lr = 0.1 }))
      end
    end
    assert.equal(before, state_text(optimizer))
    assert.equal(1, #optimizer.param_groups)
    assert.matches("SGD: the list of parameters is empty", message(optim.SGD, { { params = {} } }))
    assert.matches("SGD: no parameter requires grad", message(optim.SGD, { { params = { peri.ones(1) } } }))
    local frozen = peri.ones(1)
    assert.equal(2, #optim.SGD({ { params = { frozen } }, { params = { a } } }, { lr = 1 }).param_groups)
  end)

  it("refuse values as a constructor does", function()
    local optimizer = optim.Adam({ { params = { parameter() } }, { params = { parameter() } } })
    local group = optimizer.param_groups[2]
    local function set(name, value) return message(function() group[name] = value end) end
    assert.matches("Adam: lr is %-1 %(expected at least 0", set("lr", -1))
    assert.matches("Adam: lr must be a number, got 'x'", set("lr", "x"))
    assert.matches("Adam: entry 2 of betas is 1 %(expected 0 to below 1", set("betas", { 0.9, 1 }))
    assert.matches("Adam: the options there need a max_exp_avg_sq, and this optimizer has none", set("amsgrad", true))
    assert.matches("Adam: field 'params' of a group cannot be set", set("params", {}))
    assert.matches("Adam: field 3 of a group cannot be set", set(3, 4))
    assert.matches("Adam: there is no field or method 'beta'", message(function() return group.beta end))
    assert.same({ 0.001, { 0.9, 0.999 }, false }, { group.lr, group.betas, group.amsgrad })
    local sgd = optim.SGD({ parameter() }, { lr = 1, momentum = 0.9, nesterov = true })
    assert.matches("SGD: nesterov needs momentum above 0", message(function() sgd.param_groups[1].momentum = 0 end))
    assert.matches("has: called with 3", message(group.has, 3, "lr"))
  end)

  it("are saved and loaded", function()
    local function make(options, more)
      local a, b = parameter(2), parameter(3)
      local optimizer = optim.SGD({ { params = { a }, lr = 0.1 }, { params = { b } } }, options)
      if more then optimizer:add_param_group { params = { parameter(2) } } end
      return optimizer, function() return (a ^ 2):sum() + (b ^ 3):sum() end
    end
    local optimizer, f = make { lr = 0.2, momentum = 0.9 }
    advance(optimizer, f, 2)
    local state = optimizer:state_dict()
    assert.equal(0.2, state["group.2.lr"]:item())
    assert.equal(2, state["group.2.first"]:item())
    local twin = make { lr = 5, momentum = 0.1 }
    twin:load_state_dict(state)
    assert.equal(state_text(optimizer), state_text(twin))

    local other = make({ lr = 0.2, momentum = 0.9 }, true)
    local before = state_text(other)
    assert.matches("load_state_dict: group%.3%.lr is missing", message(other.load_state_dict, other, state))
    assert.equal(before, state_text(other))
    assert.matches("group%.3%.lr is unexpected",
      message(optimizer.load_state_dict, optimizer, other:state_dict()))
    local one, two, three = parameter(2), parameter(3), parameter(4)
    local left = optim.SGD({ { params = { one } }, { params = { two, three } } }, { lr = 1 })
    local right = optim.SGD({ { params = { one, two } }, { params = { three } } }, { lr = 2 })
    before = state_text(right)
    assert.matches("load_state_dict: group 2 begins there with parameter 2.0, and here with 3",
      message(right.load_state_dict, right, left:state_dict()))
    local bad = optimizer:state_dict()
    bad["group.2.momentum"] = peri.tensor(-1, { dtype = "float64" })
    assert.matches("load_state_dict: momentum is %-1", message(twin.load_state_dict, twin, bad))
    bad = optimizer:state_dict()
    bad["momentum_buffer.2"] = peri.ones(7)
    assert.matches("load_state_dict: momentum_buffer.2 is 7 %(expected 3%)", message(twin.load_state_dict, twin, bad))
    assert.equal(before, state_text(right))
    assert.equal(state_text(optimizer), state_text(twin))
  end)

  it("fail cleanly when memory ends", function()
    local a, b, c = parameter(50), parameter(60), parameter(70)
    local before = failing.live()
    failing.inject("groups", nil, function() optim.Adam({ { params = { a } }, { params = { b } } }) end)
    assert.equal(before, failing.live())
    failing.inject("add_param_group", nil, function()
      local optimizer = optim.Adam { a }
      optimizer:add_param_group { params = { b, c } }
    end)
    assert.equal(before, failing.live())
    failing.inject("schedules of groups", nil, function()
      local optimizer = optim.Adam { a }
      local schedule = scheduler.OneCycleLR(optimizer, { max_lr = 1, total_steps = 9 })
      optimizer:add_param_group { params = { b } }
      schedule:step()
    end)
    assert.equal(before, failing.live())
  end)
end)

-- ---- schedules of groups ----

describe("schedules", function()
  local function two(lr)
    local a, b = parameter(), parameter()
    return optim.SGD({ { params = { a } }, { params = { b }, lr = lr / 10 } }, { lr = lr })
  end
  local function rates(optimizer)
    local list = {}
    for i, group in ipairs(optimizer.param_groups) do list[i] = group.lr end
    return list
  end

  it("take in groups that are added later, from the rate that they come with", function()
    local optimizer = two(1)
    local schedule = scheduler.StepLR(optimizer, { step_size = 2, gamma = 0.5 })
    schedule:step()
    optimizer:add_param_group { params = { parameter() }, lr = 8 }
    assert.same({ 1, 0.1, 8 }, rates(optimizer))
    schedule:step()
    assert.same({ 0.5, 0.05, 4 }, rates(optimizer))
    assert.same({ 0.5, 0.05, 4 }, schedule:get_last_lr())
    assert.equal(8, schedule:state_dict()["group.3.base_lr"]:item())
  end)

  it("begin with the rate before the first of them, or that was set by hand since", function()
    local optimizer = two(1)
    local warm = scheduler.LinearLR(optimizer, { start_factor = 0.1 })
    assert.equal(0.1, optimizer.lr)
    assert.equal(1, scheduler.ExponentialLR(optimizer, { gamma = 0.5 }).base_lr)
    warm:step()
    optimizer.param_groups[1].lr = 0.25
    assert.equal(0.25, scheduler.StepLR(optimizer, { step_size = 1 }).base_lr)
    assert.equal(1, warm.base_lr)
  end)

  it("of functions leave all as it is when one raises or gives no number", function()
    for _, name in ipairs { "LambdaLR", "MultiplicativeLR" } do
      local optimizer, what = two(1), nil
      local schedule = scheduler[name](optimizer, { lr_lambda = { function() return 0.5 end, function()
        if what == "raise" then error("boom", 0) end
        return what or 0.5
      end } })
      schedule:step()
      local before, state = rates(optimizer), schedule:state_dict()
      for _, case in ipairs { { "raise", "^boom$" }, { "x", name .. ": lr_lambda gave 'x' for epoch 2" },
        { -1, name .. ": lr_lambda gave %-1 for epoch 2" }, { 0 / 0, name .. ": lr_lambda gave nan for epoch 2" },
        { 1 / 0, name .. ": lr_lambda gave inf for epoch 2 %(expected a number from 0%)" } } do
        what = case[1]
        local ok, problem = pcall(schedule.step, schedule)
        assert.is_false(ok)
        assert.matches(case[2], problem)
        assert.same(before, rates(optimizer))
        assert.equal(1, schedule.epoch)
      end
      for key, value in pairs(schedule:state_dict()) do assert.equal(state[key]:item(), value:item()) end
      what = 0.25
      schedule:step()
      assert.equal(2, schedule.epoch)
    end
  end)

  it("of lists want one value for each group", function()
    local optimizer = two(1)
    local function wrong(name, options) return message(scheduler[name], optimizer, options) end
    assert.matches("OneCycleLR: max_lr has 3 entries %(expected 1, or 2: one for each group%)",
      wrong("OneCycleLR", { max_lr = { 1, 2, 3 }, total_steps = 5, cycle_momentum = false }))
    assert.matches("LambdaLR: lr_lambda has 3 functions %(expected 1, or 2",
      wrong("LambdaLR", { lr_lambda = { math.abs, math.abs, math.abs } }))
    assert.matches("MultiStepLR: milestones has 33 entries %(expected 1 to 32%)", wrong("MultiStepLR",
      { milestones = peri.arange(1, 33):totable() }))
    local schedule = scheduler.LambdaLR(optimizer, { lr_lambda = { function() return 1 end, function() return 2 end } })
    optimizer:add_param_group { params = { parameter() } }
    assert.matches("lr_lambda has 2 functions %(expected 1, or 3", message(schedule.step, schedule))
    assert.equal(0, schedule.epoch)
  end)

  it("of momentum want an optimizer that has it", function()
    local function wrong(optimizer, more)
      local options = { max_lr = 1, total_steps = 9 }
      for name, value in pairs(more or {}) do options[name] = value end
      return message(scheduler.OneCycleLR, optimizer, options)
    end
    assert.matches("OneCycleLR: cycle_momentum needs an optimizer with momentum, and this SGD has none", wrong(two(1)))
    assert.matches("this Adagrad has none", wrong(optim.Adagrad { parameter() }))
    assert.matches("OneCycleLR: option total_steps is missing %(or epochs and steps_per_epoch%)",
      wrong(two(1), { total_steps = 0, epochs = 3 }))
    local adam = optim.Adam { parameter() }
    local schedule = scheduler.OneCycleLR(adam, { max_lr = 1, total_steps = 9 })
    assert.same({ 0.95, 0.999 }, adam.betas)
    for _ = 1, 20 do schedule:step() end -- beyond its end it stays
    assert.is_true(math.abs(adam.betas[1] - 0.95) < 1e-12 and math.abs(adam.lr - 4e-6) < 1e-15)
  end)

  it("of schedules refuse what cannot be a part", function()
    local optimizer, other = two(1), two(1)
    local step, foreign = scheduler.StepLR(optimizer, { step_size = 1 }), scheduler.StepLR(other, { step_size = 1 })
    local plateau = scheduler.ReduceLROnPlateau(optimizer)
    for _, name in ipairs { "SequentialLR", "ChainedScheduler" } do
      local function wrong(list)
        local options = { schedulers = list }
        if name == "SequentialLR" then options.milestones = { 2 } end
        return message(scheduler[name], optimizer, options)
      end
      assert.matches(name .. ": schedule 2 is of another optimizer", wrong { step, foreign })
      assert.matches(name .. ": schedule 2 takes a metric %(ReduceLROnPlateau", wrong { step, plateau })
      assert.matches(name .. ": schedule 1 must be a schedule, got 3", wrong { 3 })
      assert.matches(name .. ": schedulers must be a list of schedules", wrong {})
    end
    local function sequence(milestones)
      return message(scheduler.SequentialLR, optimizer, { schedulers = { step, step, step }, milestones = milestones })
    end
    assert.matches("SequentialLR: milestones has 1 entries for 3 schedules %(expected 2%)", sequence { 4 })
    assert.matches("SequentialLR: milestones must ascend, and 2.0 follows 4.0", sequence { 4, 2 })
  end)

  it("of schedules can be nested, and cycle momentum", function()
    local optimizer = optim.SGD({ parameter() }, { lr = 1, momentum = 0.5 })
    local warm = scheduler.LinearLR(optimizer, { start_factor = 0.5, total_iters = 2 })
    local cycle = scheduler.CyclicLR(optimizer, { base_lr = 0.1, max_lr = 0.3, step_size_up = 2 })
    local half = scheduler.MultiplicativeLR(optimizer, { lr_lambda = function() return 0.5 end })
    local chain = scheduler.ChainedScheduler(optimizer, { schedulers = { warm, half } })
    local all = scheduler.SequentialLR(optimizer, { schedulers = { chain, cycle }, milestones = { 3 } })
    local seen, momenta = {}, {}
    for epoch = 0, 5 do
      if epoch > 0 then all:step() end
      seen[#seen + 1], momenta[#momenta + 1] = optimizer.lr, optimizer.param_groups[1].momentum
    end
    assert.same({ 0.5, 0.375, 0.25, 0.1, 0.2, 0.3 }, seen)
    assert.is_true(math.abs(momenta[4] - 0.9) < 1e-15 and math.abs(momenta[6] - 0.8) < 1e-15)
  end)
end)
