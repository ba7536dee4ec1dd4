-- Optimisers and schedules against PyTorch's numbers (golden/optim.lua, which peers/optim_golden.py
-- writes), and what a user may do wrong.
local peri = require "perilune"
local samples = require "support.samples"
local golden = require "golden.optim"
local message = require("support.fails").message
local failing = require "support.failing"
local nn, optim = peri.nn, peri.optim
local scheduler = optim.lr_scheduler

local function near(expected, got, where, tolerance)
  assert.is_true(math.abs(expected - got) <= (tolerance or 1e-12) * math.max(1, math.abs(expected)),
    ("%s: %.17g, PyTorch %.17g"):format(where, got, expected))
end

-- The objective of optim_golden.py.
local function objective(dtype, power)
  local function tensor(list) return peri.tensor(list, { dtype = dtype or "float64" }) end
  local p = nn.Parameter(tensor { 0.5, -1.0, 2.0, 0.25, -0.75 })
  local q = nn.Parameter(tensor { { 1.5, -0.5, 0.75 }, { -1.25, 0.3, 0.1 } })
  local a, c = tensor { 1.0, 0.5, 2.0, 0.1, 3.0 }, tensor { 0.0, 1.0, 1.5, -2.0, 0.5 }
  return { p, q }, function() return (a * (p - c) ^ 2):sum() + (q ^ (power or 3) * 0.7):mean() end
end

local function values(list)
  local all = {}
  for _, x in ipairs(list) do
    for _, v in ipairs(x:detach():reshape(-1):totable()) do all[#all + 1] = v end
  end
  return all
end

local closures = {}
for _, kind in ipairs(optim.optimizers()) do closures[kind.name] = kind.closure end

-- n steps; those that need a closure are given one.
local function advance(optimizer, f, n)
  local function closure()
    optimizer:zero_grad()
    local loss = f()
    loss:backward()
    return loss
  end
  for _ = 1, n do
    if closures[tostring(optimizer):match "^%w+"] then
      optimizer:step(closure)
    else
      closure()
      optimizer:step()
    end
  end
end

local function describe_options(options)
  local words = {}
  for name, value in pairs(options) do
    if type(value) == "table" then value = type(value[1]) == "number" and table.concat(value, " ") or "list" end
    if type(value) == "function" then value = "f" end
    words[#words + 1] = name .. " = " .. tostring(value)
  end
  table.sort(words)
  return table.concat(words, ", ")
end

-- ---- optimisers ----

describe("optimizers", function()
  -- The parameters of a case, in groups where it has them, with other options if asked.
  local function start(case, dtype, changes)
    local parameters, f = objective(dtype, case.name == "LBFGS" and 4 or nil)
    local options, given = {}, parameters
    for name, value in pairs(case.options) do options[name] = value end
    for name, value in pairs(changes or {}) do options[name] = value end
    if case.groups then
      given = {}
      for i, p in ipairs(parameters) do
        given[i] = { params = { p } }
        for name, value in pairs(case.groups[i]) do given[i][name] = value end
      end
    end
    return optim[case.name](given, options), parameters, f
  end

  local TOLERANCE = { float64 = 1e-12, float32 = 1e-5 }

  for _, case in ipairs(golden.optimizers) do
    local title = ("%s{%s}%s"):format(case.name, describe_options(case.options), case.groups and " with groups" or "")
    for _, dtype in ipairs { "float64", "float32" } do
      it(("%s goes PyTorch's way in %s"):format(title, dtype), function()
        local optimizer, parameters, f = start(case, dtype)
        local tolerance = case.name == "LBFGS" and dtype == "float64" and 1e-10 or TOLERANCE[dtype]
        for step, row in ipairs(case[dtype]) do
          advance(optimizer, f, 1)
          for i, got in ipairs(values(parameters)) do
            near(row[i], got, ("step %d, value %d"):format(step, i), tolerance)
          end
        end
      end)

      it(("%s continues from a saved state in %s"):format(title, dtype), function()
        local optimizer, parameters, f = start(case, dtype)
        local path = os.tmpname()
        advance(optimizer, f, 3)
        peri.save(path, optimizer:state_dict())
        local twin, others, g = start(case, dtype, { lr = 123 }) -- the state brings its own
        for i, p in ipairs(others) do peri.no_grad(function() p:copy_(parameters[i]) end) end
        assert.equal(twin, twin:load_state_dict((peri.load(path))))
        os.remove(path)
        assert.equal(tostring(optimizer), tostring(twin))
        advance(optimizer, f, 4)
        advance(twin, g, 4)
        for i, p in ipairs(parameters) do assert.equal(samples.bits(p), samples.bits(others[i])) end
        for name, value in pairs(optimizer:state_dict()) do
          assert.equal(samples.bits(value), samples.bits(twin:state_dict()[name]), name)
        end
      end)
    end
  end

  it("all have golden values", function()
    local seen = {}
    for _, case in ipairs(golden.optimizers) do seen[case.name] = true end
    for _, kind in ipairs(optim.optimizers()) do
      assert.is_true(seen[kind.name], kind.name)
      assert.matches("^" .. kind.name .. "%(parameters", kind.doc)
      assert.equal(kind.doc, peri.documentation(optim[kind.name]))
    end
  end)
end)

describe("every optimizer", function()
  for _, kind in ipairs(optim.optimizers()) do
    local make, decays = optim[kind.name], false
    for _, option in ipairs(kind.options) do decays = decays or option.name == "weight_decay" end
    local function parameter(...) return nn.Parameter(peri.ones(...)) end

    it(kind.name .. " refuses wrong options", function()
      local function with(options) return message(make, { parameter(1) }, options) end
      assert.matches(kind.name .. ": unknown option lerning_rate %(known: lr", with { lerning_rate = 1 })
      for _, option in ipairs(kind.options) do
        assert.matches(kind.name .. ": " .. option.name .. " must be", with { [option.name] = "x" })
        if option.kind ~= "boolean" and option.kind ~= "choice" and option.name ~= "dampening" then
          assert.matches(kind.name .. ": " .. option.name .. " is %-1", with { [option.name] = -1 })
          assert.matches(kind.name .. ": " .. option.name .. (option.kind == "integer" and " must be" or " is nan"),
            with { [option.name] = 0 / 0 })
        end
        if option.name == "betas" then
          assert.matches(kind.name .. ": entry 2 of betas is 1 %(expected 0 to below 1%)", with { betas = { 0, 1 } })
          assert.matches(kind.name .. ": entry 1 of betas is %-0.1", with { betas = { -0.1, 0 } })
          assert.matches(kind.name .. ": betas has 3 entries %(expected 2", with { betas = { 0, 0, 0 } })
        end
      end
      assert.matches("too many arguments", message(make, { parameter(1) }, {}, 3))
    end)

    it(kind.name .. " refuses wrong parameters", function()
      local p = parameter(2)
      assert.matches(kind.name .. ": the list of parameters is empty", message(make, {}))
      assert.matches(kind.name .. ": parameters must be a list of tensors", message(make, p))
      assert.matches(kind.name .. ": parameters must be a list of tensors", message(make, nn.Linear(1, 1)))
      assert.matches(kind.name .. ": parameters must be a list of tensors .* got nil", message(make))
      assert.matches(kind.name .. ": parameter 2 must be a tensor, got 'x'", message(make, { p, "x" }))
      assert.matches(kind.name .. ": parameters 1 and 3 are the same tensor", message(make, { p, parameter(1), p }))
      assert.matches(kind.name .. ": parameter 2 was computed while recording", message(make, { p, p * 2 }))
      assert.matches(kind.name .. ": parameter 1 is int64", message(make, { peri.zeros(1, { dtype = "int64" }) }))
      assert.matches(kind.name .. ": no parameter requires grad", message(make, { peri.zeros(1) }))
      local transposed = peri.zeros(2, 3):t():requires_grad_()
      assert.matches(kind.name .. ": parameter 1 is not contiguous", message(make, { transposed }))
    end)

    it(kind.name .. " leaves parameters without a gradient alone", function()
      local p, q, frozen = parameter(3), parameter(3), peri.ones(3)
      local optimizer = make({ p, q, frozen }, { lr = 0.1 })
      if not kind.closure then optimizer:step() end
      advance(optimizer, function() return p:sum() end, 1)
      assert.is_false(p:equal(peri.ones(3)))
      assert.is_true(q:equal(peri.ones(3)))
      assert.is_true(frozen:equal(peri.ones(3)))
      local state = optimizer:state_dict()
      assert.equal(1, state["step.1"]:item())
      assert.equal(0, state["step.2"]:item())
    end)

    if not kind.closure then it(kind.name .. " computes large parameters as small ones, on any number of threads",
      function()
      peri.manual_seed(3)
      local n = 100003
      local start, slope = peri.randn(n), peri.randn(n)
      local function run(first, last, threads)
        local before = peri.get_num_threads()
        peri.set_num_threads(threads)
        local p = nn.Parameter(start[{ { first, last } }]:clone())
        local optimizer = make({ p }, decays and { lr = 0.01, weight_decay = 0.1 } or { lr = 0.01 })
        advance(optimizer, function() return (p * slope[{ { first, last } }]):sum() end, 3)
        peri.set_num_threads(before)
        return p:detach()
      end
      local whole = run(1, n, 1)
      assert.is_true(whole:equal(run(1, n, 2)))
      assert.is_true(whole:equal(run(1, n, 3)))
      for _, range in ipairs { { 1, 1 }, { 2, 32 }, { 32760, 32777 }, { 99990, n } } do
        assert.is_true(whole[{ range }]:equal(run(range[1], range[2], 1)))
      end
    end) end

    it(kind.name .. " fails cleanly when memory ends", function()
      local p = parameter(50)
      local before = failing.live()
      failing.inject(kind.name, nil, function() make({ p }) end)
      assert.equal(before, failing.live())
      p:sum():backward()
      if kind.closure then return end
      local optimizer = make({ p })
      peri._fail_after(0) -- a step asks for no memory
      local ok = pcall(optimizer.step, optimizer)
      peri._fail_after(-1)
      assert.is_true(ok)
    end)

    it(kind.name .. " shows its options", function()
      local optimizer = make({ parameter(1), parameter(2) }, { lr = 0.25 })
      assert.matches("^" .. kind.name .. "%(2 parameters, {lr = 0.25}%)$", tostring(optimizer))
      assert.equal(0.25, optimizer.lr)
      optimizer.lr = 0.5
      assert.equal(0.5, optimizer.lr)
      for _, option in ipairs(kind.options) do
        if option.name ~= "lr" then
          assert.same(option.default, optimizer[option.name])
          assert.matches(kind.name .. ": field '" .. option.name .. "' cannot be set",
            message(function() optimizer[option.name] = option.default end))
        end
      end
      for _, wrong in ipairs { "x", false } do
        assert.matches(kind.name .. ": lr must be a number, got ", message(function() optimizer.lr = wrong end))
      end
      for text, wrong in pairs { ["%-1 %(expected at least 0"] = -1, ["nan %(expected a finite number"] = 0 / 0,
        ["inf %(expected a finite number"] = 1 / 0 } do
        assert.matches(kind.name .. ": lr is " .. text, message(function() optimizer.lr = wrong end))
      end
      assert.matches(kind.name .. ": there is no field or method 'lerning_rate'",
        message(function() return optimizer.lerning_rate end))
      assert.matches("step: expected an optimizer, got nothing", message(optimizer.step))
    end)

    it(kind.name .. " refuses states that are not its own, and is not changed", function()
      local p = parameter(3)
      local optimizer = make({ p }, { lr = 0.1 })
      advance(optimizer, function() return p:sum() end, 1)
      local function load_changed(change)
        local before, state = {}, optimizer:state_dict()
        for name, value in pairs(state) do before[#before + 1] = name .. samples.bits(value) end
        change(state)
        local err = message(optimizer.load_state_dict, optimizer, state)
        local after = {}
        for name, value in pairs(optimizer:state_dict()) do after[#after + 1] = name .. samples.bits(value) end
        assert.same(before, after)
        return err
      end
      local function number(x) return peri.tensor(x, { dtype = "float64" }) end
      assert.matches("load_state_dict: lr is missing", load_changed(function(state) state.lr = nil end))
      assert.matches("load_state_dict: lr is %-1", load_changed(function(state) state.lr = number(-1) end))
      assert.matches("load_state_dict: lr is nan %(expected a finite number%)",
        load_changed(function(state) state.lr = number(0 / 0) end))
      assert.matches("load_state_dict: step.1 is 1.5", load_changed(function(state) state["step.1"] = number(1.5) end))
      assert.matches("load_state_dict: step.1 is %-1", load_changed(function(state) state["step.1"] = number(-1) end))
      assert.matches("load_state_dict: more is unexpected", load_changed(function(state) state.more = number(1) end))
    end)
  end
end)

describe("SGD", function()
  it("is gradient descent on a network, in place", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 2))
    local x, loss = peri.randn(50, 2), nil
    local y = (x:select(2, 1) * x:select(2, 2)):gt(0):to("int64") + 1
    local ce, optimizer = nn.CrossEntropyLoss(), optim.SGD(net:parameters(), { lr = 0.5, momentum = 0.9 })
    local weight = net[1].weight
    local first = ce(net(x), y):item()
    for _ = 1, 200 do
      optimizer:zero_grad()
      loss = ce(net(x), y)
      loss:backward()
      optimizer:step()
    end
    assert.is_true(loss:item() < first / 10)
    assert.equal(weight, net[1].weight)
  end)

  it("refuses options that contradict each other", function()
    local p = nn.Parameter(peri.ones(1))
    local function wrong(options) return message(optim.SGD, { p }, options) end
    assert.matches("SGD: nesterov needs momentum above 0 and dampening 0", wrong { nesterov = true })
    assert.matches("SGD: nesterov needs", wrong { nesterov = true, momentum = 0.9, dampening = 0.1 })
    local with, without = optim.SGD({ p }, { momentum = 0.9 }), optim.SGD({ p })
    assert.matches("load_state_dict: momentum_buffer.1 is unexpected",
      message(without.load_state_dict, without, with:state_dict()))
    assert.matches("load_state_dict: momentum_buffer.1 is missing",
      message(with.load_state_dict, with, without:state_dict()))
    local lying = without:state_dict()
    lying.momentum = peri.tensor(0.9, { dtype = "float64" })
    assert.matches("the options there need a momentum_buffer, and this optimizer has none",
      message(without.load_state_dict, without, lying))
  end)

  it("changes a parameter's version, so that backward notices", function()
    local p = nn.Parameter(peri.ones(3))
    local optimizer = optim.SGD { p }
    local y = (p * p):sum()
    p:sum():backward()
    optimizer:step()
    assert.matches("backward", message(y.backward, y))
  end)

  it("writes to leaves while operations are recorded", function()
    local p = nn.Parameter(peri.ones(3))
    local optimizer = optim.SGD({ p }, { lr = 1 })
    p:sum():backward()
    optimizer:step()
    assert.is_true(p.requires_grad and p.is_leaf)
    assert.is_true(p:detach():equal(peri.zeros(3)))
  end)
end)

describe("Adam", function()
  it("takes betas as a list", function()
    local p = nn.Parameter(peri.ones(1))
    assert.same({ 0.8, 0.9 }, optim.Adam({ p }, { betas = { 0.8, 0.9 }, lr = 1 }).betas)
    assert.same({ 0.9, 0.999 }, optim.Adam({ p }).betas)
    assert.matches("{betas = {0.8, 0.9}}", tostring(optim.Adam({ p }, { betas = { 0.8, 0.9 } })))
    assert.matches("Adam: betas must be a number or a list of 2, got 'x'", message(optim.Adam, { p }, { betas = "x" }))
    assert.matches("Adam: betas has 3 entries", message(optim.Adam, { p }, { betas = { 0.9, 0.9, 0.9 } }))
    assert.matches("Adam: entry 1 of betas is 1 %(expected 0 to below 1", message(optim.Adam, { p },
      { betas = { 1, 0.9 } }))
    assert.matches("Adam: unknown option beta1 .*did you mean betas%?", message(optim.Adam, { p }, { beta1 = 0.9 }))
    assert.matches("Adam: unknown option momentum", message(optim.Adam, { p }, { betas = { 0.9, 0.9 }, momentum = 1 }))
    assert.matches("SGD: unknown option betas", message(optim.SGD, { p }, { betas = { 0.9, 0.9 } }))
    local options = { betas = { 0.8, 0.9 } }
    optim.Adam({ p }, options)
    assert.same({ betas = { 0.8, 0.9 } }, options)
  end)
end)

-- ---- schedules ----

local function some_optimizer(lr)
  return optim.SGD({ nn.Parameter(peri.ones(1)) }, { lr = lr or 0.2, momentum = 0.5 })
end

-- The optimizer of optim_golden.py: two groups, the second with a quarter of the first's rate.
local function two_groups(lr)
  lr = lr or 0.2
  local a, b = nn.Parameter(peri.ones(1)), nn.Parameter(peri.ones(1))
  return optim.SGD({ { params = { a } }, { params = { b }, lr = lr / 4 } },
    { lr = lr, momentum = 0.5 })
end

-- Options with schedules of the optimizer where a list of {name, options} stands for them.
local function made_schedule(name, optimizer, options)
  local own = {}
  for key, value in pairs(options) do own[key] = value end
  if options.schedulers then
    own.schedulers = {}
    for i, part in ipairs(options.schedulers) do own.schedulers[i] = made_schedule(part[1], optimizer, part[2]) end
  end
  return scheduler[name](optimizer, own)
end

-- Options without which a kind cannot be made.
local function required(kind, optimizer)
  local options = {}
  for _, option in ipairs(kind.options) do
    if option.default == nil then options[option.name] = 1 end
  end
  if kind.takes == "lr_lambda" then options.lr_lambda = function() return 1 end end
  if kind.takes == "schedulers" then
    options.schedulers = { scheduler.ConstantLR(optimizer), scheduler.ConstantLR(optimizer) }
  end
  if kind.name == "OneCycleLR" then options.total_steps = 9 end
  return options
end

describe("schedules", function()
  local observes = {}
  for _, kind in ipairs(optim.schedules()) do observes[kind.name] = kind.observes end
  local function step(schedule, case, epoch)
    if observes[case.name] then schedule:step(golden.metrics[epoch]) else schedule:step() end
  end
  local function rates(optimizer)
    local groups = optimizer.param_groups
    return { groups[1].lr, groups[2].lr }
  end

  for _, case in ipairs(golden.schedules) do
    local title = ("%s{%s}"):format(case.name, describe_options(case.options))
    it(title .. " goes PyTorch's way", function()
      local optimizer = two_groups()
      local schedule = made_schedule(case.name, optimizer, case.options)
      for epoch = 0, #case.values - 1 do
        if epoch > 0 then step(schedule, case, epoch) end
        for g, group in ipairs(optimizer.param_groups) do
          local where = ("epoch %d, group %d"):format(epoch, g)
          near(case.values[epoch + 1][g], group.lr, where)
          near(case.momenta and case.momenta[epoch + 1][g] or 0.5, group.momentum, where .. ", momentum")
        end
        assert.equal(optimizer.lr, schedule.last_lr)
        assert.same(rates(optimizer), schedule:get_last_lr())
        assert.equal(epoch, schedule.epoch)
      end
    end)

    it(title .. " continues from a saved state", function()
      local optimizer, other = two_groups(), two_groups(5)
      local schedule = made_schedule(case.name, optimizer, case.options)
      local twin = made_schedule(case.name, other, case.options)
      for epoch = 1, 9 do step(schedule, case, epoch) end
      assert.equal(twin, twin:load_state_dict(schedule:state_dict()))
      assert.same(rates(optimizer), rates(other))
      for epoch = 10, 25 do
        step(schedule, case, epoch)
        step(twin, case, epoch)
        assert.same(rates(optimizer), rates(other))
        assert.equal(optimizer.param_groups[2].momentum, other.param_groups[2].momentum)
      end
    end)

    if not observes[case.name] then
      it(title .. " goes to any epoch at once", function()
        local optimizer = two_groups()
        local schedule = made_schedule(case.name, optimizer, case.options)
        for _, epoch in ipairs { 30, 3, 50, 0 } do
          schedule.epoch = epoch
          for g, rate in ipairs(rates(optimizer)) do near(case.values[epoch + 1][g], rate, "epoch " .. epoch) end
        end
      end)
    end
  end

  for _, kind in ipairs(optim.schedules()) do
    local make = scheduler[kind.name]
    it(kind.name .. " has golden values and documentation", function()
      local found = false
      for _, case in ipairs(golden.schedules) do found = found or case.name == kind.name end
      assert.is_true(found)
      assert.matches("^" .. kind.name .. "%(optimizer", kind.doc)
      assert.equal(kind.doc, peri.documentation(make))
    end)

    it(kind.name .. " refuses wrong options", function()
      local optimizer = some_optimizer()
      local complete = required(kind, optimizer)
      local function with(name, value)
        local options = {}
        for key, given in pairs(complete) do options[key] = given end
        options[name] = value
        return message(make, optimizer, options)
      end
      for name in pairs(complete) do
        assert.matches(kind.name .. ": option " .. name .. " is missing", with(name, nil))
      end
      for _, option in ipairs(kind.options) do
        local word = option.kind == "choice"
        assert.matches(kind.name .. ": " .. option.name .. " must be", with(option.name, word and 1 or "x"))
        if option.kind == "number" or option.kind == "integer" then
          assert.matches(kind.name .. ": " .. option.name .. " is %-1", with(option.name, -1))
          assert.matches(kind.name .. ": " .. option.name .. " ", with(option.name, 0 / 0))
        end
      end
      if kind.takes then
        assert.matches(kind.name .. ": " .. kind.takes .. " must be", with(kind.takes, 3))
        assert.matches(kind.name .. ": ", with(kind.takes, { 3 }))
        assert.matches(kind.name .. ": ", with(kind.takes, {}))
      end
      assert.matches(kind.name .. ": unknown option stepsize", message(make, some_optimizer(), { stepsize = 1 }))
      assert.matches(kind.name .. ": expected an optimizer, got nothing", message(make))
      local schedule = make(optimizer, complete)
      assert.matches("^" .. kind.name .. "%({", tostring(schedule))
      assert.matches(kind.name .. ": there is no field or method 'rate'", message(function() return schedule.rate end))
      if kind.observes then
        assert.matches(kind.name .. ": step needs the metric: .* got nothing", message(schedule.step, schedule))
        schedule:step(peri.tensor(2.5))
        assert.equal(2.5, schedule.best)
      else
        assert.matches(kind.name .. ": step takes no metric, got 3", message(schedule.step, schedule, 3))
      end
      assert.matches("step: expected a schedule", message(schedule.step))
    end)
  end

  it("go to any epoch at once", function()
    local optimizer = some_optimizer()
    local schedule = scheduler.StepLR(optimizer, { step_size = 2, gamma = 0.5 })
    schedule.epoch = 5
    assert.equal(0.05, optimizer.lr)
    schedule:step()
    assert.equal(0.025, optimizer.lr)
    schedule.epoch = 0
    assert.equal(0.2, optimizer.lr)
    assert.matches("StepLR: epoch is %-1 %(expected at least 0%)", message(function() schedule.epoch = -1 end))
    assert.matches("StepLR: field 'last_lr' cannot be set", message(function() schedule.last_lr = 1 end))
  end)

  it("refuse a rate that is no finite number, and stay where they are", function()
    local cases = {
      { "StepLR", { step_size = 1, gamma = 1e300 } }, { "ExponentialLR", { gamma = 1e300 } },
      { "LinearLR", { start_factor = 1, end_factor = 1.5e308, total_iters = 1 }, 100 },
    }
    for _, case in ipairs(cases) do
      local optimizer = some_optimizer()
      optimizer.lr = case[3] or 0.5
      local schedule = scheduler[case[1]](optimizer, case[2])
      local before, ok, err
      repeat before, ok, err = optimizer.lr, pcall(schedule.step, schedule) until not ok or schedule.epoch == 3
      local epoch = schedule.epoch
      assert.matches(("%s: lr is inf after epoch %d, from [%%d.]+ %%(expected a finite number%%)$"):format(case[1],
        epoch + 1), err)
      assert.equal(before, optimizer.lr)
      assert.equal(before, schedule.last_lr)
      assert.matches("lr is inf after epoch 9", message(function() schedule.epoch = 9 end))
      assert.same({ epoch, before }, { schedule.epoch, optimizer.lr })
    end
    local optimizer = some_optimizer()
    optimizer.lr = 100
    assert.matches("ConstantLR: lr is inf after epoch 0", message(scheduler.ConstantLR, optimizer, { factor = 1e307 }))
    assert.equal(100, optimizer.lr)
  end)

  it("name a bound that a factor may not reach", function()
    for _, factor in ipairs { 1, 1.5, -0.1 } do
      local words = ("ReduceLROnPlateau: factor is %s %%(expected 0 to below 1%%)$"):format(factor):gsub("%-", "%%-")
      assert.matches(words, message(scheduler.ReduceLROnPlateau, some_optimizer(), { factor = factor }))
    end
  end)

  it("refuse states that are not theirs", function()
    local schedule = scheduler.ExponentialLR(some_optimizer(), { gamma = 0.5 })
    local state = schedule:state_dict()
    state.epoch = peri.tensor(-1, { dtype = "float64" })
    assert.matches("load_state_dict: epoch is %-1", message(schedule.load_state_dict, schedule, state))
    state = schedule:state_dict()
    state.last_lr = peri.tensor(0 / 0, { dtype = "float64" })
    assert.matches("load_state_dict: last_lr is", message(schedule.load_state_dict, schedule, state))
    assert.equal(0, schedule.epoch)
  end)

  it("keep their optimizer alive", function()
    local schedule
    do
      local optimizer = some_optimizer()
      schedule = scheduler.StepLR(optimizer, { step_size = 1 })
    end
    collectgarbage()
    collectgarbage()
    schedule:step()
    assert.is_true(math.abs(schedule.last_lr - 0.02) < 1e-15)
  end)

  it("two on one optimizer: the one that steps last is followed", function()
    local optimizer = some_optimizer()
    local half = scheduler.ExponentialLR(optimizer, { gamma = 0.5 })
    local tenth = scheduler.ExponentialLR(optimizer, { gamma = 0.1 })
    half:step()
    assert.equal(0.1, optimizer.lr)
    tenth:step()
    assert.is_true(math.abs(optimizer.lr - 0.02) < 1e-15)
    half:step()
    assert.equal(0.05, optimizer.lr)
  end)

  it("and their optimizer load their states in either order", function()
    local optimizer = some_optimizer()
    local schedule = scheduler.StepLR(optimizer, { step_size = 2, gamma = 0.5 })
    for _ = 1, 5 do schedule:step() end
    local saved, saved_optimizer = schedule:state_dict(), optimizer:state_dict()
    schedule:step()
    for _, first in ipairs { "optimizer", "schedule" } do
      local other = some_optimizer(5)
      local twin = first == "schedule" and scheduler.StepLR(other, { step_size = 2, gamma = 0.5 })
      if twin then twin:load_state_dict(saved) end
      other:load_state_dict(saved_optimizer)
      twin = twin or scheduler.StepLR(other, { step_size = 2, gamma = 0.5 }):load_state_dict(saved)
      assert.equal(0.05, other.lr)
      twin:step()
      assert.equal(optimizer.lr, other.lr)
    end
  end)

  it("on a plateau judge negative metrics by their size", function()
    for mode, sign in pairs { min = -1, max = 1 } do
      local schedule = scheduler.ReduceLROnPlateau(some_optimizer(), { mode = mode, threshold = 0.1, patience = 100 })
      schedule:step(10 * sign)
      schedule:step(9.9 * sign) -- worse
      assert.equal(10 * sign, schedule.best)
      schedule:step(10.9 * sign) -- better by less than a tenth
      assert.equal(10 * sign, schedule.best)
      schedule:step(11.1 * sign)
      assert.equal(11.1 * sign, schedule.best)
    end
    local any = scheduler.ReduceLROnPlateau(some_optimizer(), { threshold = 1 })
    any:step(1e300)
    assert.equal(1e300, any.best)
  end)
end)

describe("a step of", function()
  local kinds = {
    { "Adam" }, { "Adam", { amsgrad = true } }, { "AdamW", { weight_decay = 0 } },
    { "AdamW", { weight_decay = 0, amsgrad = true } }, { "RMSprop" }, { "RMSprop", { centered = true } },
    { "RMSprop", { centered = true, momentum = 0.9 } }, { "Adagrad" },
  }
  local function optimizer_of(kind, start, dtype, more)
    local options = { lr = 0.1 }
    for _, list in ipairs { kind[2] or {}, more or {} } do
      for k, v in pairs(list) do options[k] = v end
    end
    local p = peri.tensor(start, { dtype = dtype, requires_grad = true })
    return p, optim[kind[1]]({ p }, options)
  end
  local function step_with(p, optimizer, gradient)
    optimizer:zero_grad()
    local loss = (p * peri.tensor(gradient, { dtype = p.dtype })):sum()
    loss:backward()
    optimizer:step()
  end
  local function finite(p)
    for _, v in ipairs(p:detach():totable()) do
      if v ~= v or v == math.huge or v == -math.huge then return false end
    end
    return true
  end

  for _, kind in ipairs(kinds) do
    local title = kind[1]
    for name in pairs(kind[2] or {}) do title = title .. " " .. name end
    for _, dtype in ipairs { "float32", "float64" } do
      it(title .. ", " .. dtype .. ", divides nothing by 0 where eps is 0", function()
        local p, optimizer = optimizer_of(kind, { 1, 2, 3 }, dtype, { eps = 0 })
        step_with(p, optimizer, { 0, 0, 0 })
        assert.same({ 1, 2, 3 }, p:totable())
        step_with(p, optimizer, { 0, 1, 0 }) -- beside one that moves
        assert.equal(1, p:detach()[1])
        assert.equal(3, p:detach()[3])
        assert.is_true(kind[2] and kind[2].centered or p:detach()[2] < 2)
        local tiny, by_tiny = optimizer_of(kind, { 1 }, dtype, { eps = 0 })
        step_with(tiny, by_tiny, { dtype == "float32" and 1e-40 or 1e-300 }) -- its square is 0
        assert.is_true(finite(tiny))
      end)

      it(title .. ", " .. dtype .. ", goes on after a gradient whose square overflows", function()
        local huge = dtype == "float32" and 1e30 or 1e200
        local p, optimizer = optimizer_of(kind, { 1, 1 }, dtype)
        step_with(p, optimizer, { huge, -huge })
        assert.is_true(finite(p))
        local x = p:detach()
        assert.is_true(x[1] < 1 and x[2] > 1)
        if not (kind[2] and kind[2].centered) then
          assert.is_true(math.abs(x[1] - 1) <= 1.1, "a step of a scaled optimizer is bounded")
        end
        local before = x:clone()
        for _ = 1, 3 do step_with(p, optimizer, { huge, -huge }) end
        assert.is_true(finite(p) and p:detach()[1] < before[1] and p:detach()[2] > before[2])
      end)
    end
    it(title .. " shows an infinite or missing gradient", function()
      for _, bad in ipairs { 0 / 0, math.huge } do
        local p, optimizer = optimizer_of(kind, { 1 }, "float32")
        for _ = 1, 2 do step_with(p, optimizer, { bad }) end
        assert.is_false(finite(p))
      end
    end)
  end

  it("RMSprop centered stays finite with steady gradients", function()
    for _, momentum in ipairs { 0, 0.9 } do
      local kind = { "RMSprop", { centered = true, momentum = momentum } }
      local p, optimizer = optimizer_of(kind, { 0, 0, 0, 0 }, "float32", { lr = 1e-3 })
      for _ = 1, 3000 do step_with(p, optimizer, { 1e4, 0.1, 1 / 3, 12345.678 }) end
      assert.is_true(finite(p))
    end
  end)
end)
