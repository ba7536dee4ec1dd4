-- Layers, losses, optimisers, schedules, metrics and kernels against their twins in plain Lua (support/twins). What
-- has no twin fails, and so does a twin of nothing.
local peri = require "perilune"
local samples = require "support.samples"
local array = require "support.array"
local compare = require "support.compare"
local random = require "support.twins.random"
local nn, optim = peri.nn, peri.optim

local SEED = 0xFEDCBA987

-- Both ways: the names of a list of kinds, and the keys of a table of twins.
local function check_names(kinds, twins)
  local names = {}
  for _, kind in ipairs(kinds) do
    names[kind.name] = true
    assert(twins[kind.name], kind.name .. " has no twin")
  end
  for name in pairs(twins) do assert(names[name], name .. " has a twin and is not there") end
end

-- Each option of a kind occurs in one of the twin's cases.
local function check_options(kind, cases)
  for _, option in ipairs(kind.options) do
    local found = false
    for _, options in ipairs(cases) do found = found or options[option.name] ~= nil end
    assert(found, ("%s: no case of the twin has option %s"):format(kind.name, option.name))
  end
end

local function with_defaults(kind, options)
  local all = {}
  for _, option in ipairs(kind.options) do all[option.name] = option.default end
  for name, value in pairs(options) do all[name] = value end
  return all
end

-- ---- layers and losses ----

local function each_layer(visit)
  for _, list in ipairs { nn.layers(), nn.losses() } do
    for _, kind in ipairs(list) do visit(kind) end
  end
end

-- Lists {constructor arguments, inputs}: T of [-2, 2] in a dtype, made into what `make` gives.
local function layer_samples(text, dtype, make)
  peri.manual_seed(5)
  local env = { peri = peri }
  function env.T(...) return make((peri.rand({ ... }, { dtype = "float64" }) * 4 - 2):to(dtype)) end
  function env.I(high, ...) return make(peri.randint(1, high, { ... })) end
  return assert(load("return {" .. text .. "}", "=samples", "t", env))()
end

-- What the twin sees of a layer: sizes, options, parameters and buffers by name.
local function fields(kind, layer)
  local result = { training = layer.training }
  for _, size in ipairs(kind.sizes) do result[size] = layer[size] end
  for _, option in ipairs(kind.options) do
    if option.name ~= "bias" then result[option.name] = layer[option.name] end
  end
  for name, parameter in layer:named_parameters() do result[name] = array.of(parameter:detach()) end
  for name, buffer in layer:named_buffers() do result[name] = array.of(buffer) end
  return result
end

local function check_layer(kind, entry, layer, inputs, where)
  local arrays = {}
  for i, x in ipairs(inputs) do arrays[i] = array.of(x) end
  local want = table.pack(pcall(entry[1], fields(kind, layer), arrays, random.stream(SEED)))
  local ok = want[1]
  if not ok and not array.is_refusal(want[2]) then error(want[2], 0) end
  peri.manual_seed(SEED)
  local got = table.pack(pcall(layer, table.unpack(inputs)))
  assert.equal(ok, got[1], ("%s: %s, the twin %s"):format(where, got[1] and "computed" or got[2],
    ok and "computes" or "refuses"))
  if ok then
    assert.equal(kind.outputs, got.n - 1, where)
    assert.equal(want.n, got.n, where)
    for k = 2, want.n do
      compare.result(want[k], got[k]:detach(), ("%s, result %d"):format(where, k - 1),
        { close = entry.close, inputs = arrays })
    end
  end
  return ok
end

describe("the twin of the layer #once", function()
  local twins = require "support.twins.nn"

  it("is there for each, and for nothing else", function()
    local kinds = {}
    each_layer(function(kind) kinds[#kinds + 1] = kind end)
    check_names(kinds, twins)
  end)

  each_layer(function(kind)
    local entry = twins[kind.name] or {}

    it(kind.name .. " computes the same", function()
      local computed = 0
      local function visit(sample, dtype, where)
        local made, layer = pcall(nn[kind.name], table.unpack(sample[1]))
        if not made and not dtype:find "float" then -- tensors that are given to it must be of floats
          assert.matches("expected floats that require no grad", layer, where)
          return
        end
        assert(made, layer)
        if dtype:find "float" then layer:to(dtype) end
        for _, mode in ipairs { "train", "eval" } do
          layer[mode](layer)
          local done = check_layer(kind, entry, layer, sample[2], where .. ", " .. mode)
          if done and dtype == "float32" then computed = computed + 1 end
        end
      end
      for _, text in ipairs { kind.sample, entry[2] } do
        for _, dtype in ipairs { "float32", "float64", "int64", "bool" } do
          for words, make in pairs { plain = function(t) return t end, strided = samples.scatter } do
            local ok, list = pcall(layer_samples, text, dtype, make)
            assert(ok or not dtype:find "float", list)
            for i, sample in ipairs(ok and list or {}) do
              visit(sample, dtype, ("%s %d of %s, %s, %s"):format(kind.name, i, text, dtype, words))
            end
          end
        end
      end
      assert.is_true(computed > 2, kind.name .. " computed too little")
    end)

    if entry.initial then
      it(kind.name .. " begins with the same parameters", function()
        for _, text in ipairs { kind.sample, entry[2] } do
          for _, sample in ipairs(layer_samples(text, "float32", function(t) return t end)) do
            peri.manual_seed(SEED)
            local layer = nn[kind.name](table.unpack(sample[1]))
            local want, count = entry.initial(random.stream(SEED), table.unpack(sample[1])), 0
            for name, parameter in layer:named_parameters() do
              compare.result(want[name], parameter:detach(), kind.name .. "." .. name, {
                close = entry.initial_close })
              count = count + 1
            end
            for _ in pairs(want) do count = count - 1 end
            assert.equal(0, count)
          end
        end
      end)
    else
      it(kind.name .. " has no parameters", function()
        for _, sample in ipairs(layer_samples(kind.sample, "float32", function(t) return t end)) do
          assert.equal(0, #nn[kind.name](table.unpack(sample[1])):parameters())
        end
      end)
    end
  end)
end)

-- ---- optimisers and schedules ----

-- Fixed gradients that change sign and size from step to step and from element to element; for some elements they are
-- 0 until the fourth step.
local function gradient(k, i, t)
  if i % 5 == 3 and t < 4 then return 0 end
  return math.sin(1.3 * i + 0.7 * t * k) * (1 + 0.2 * t)
end

describe("the twin of the optimiser #once", function()
  local twins = require("support.twins.optim").optimizers

  local kinds = {}
  for _, kind in ipairs(optim.optimizers()) do
    if not kind.closure then kinds[#kinds + 1] = kind end
  end

  it("is there for each, and for nothing else", function() check_names(kinds, twins) end)

  for _, kind in ipairs(kinds) do
    local twin, cases = table.unpack(twins[kind.name] or {})

    local function run(options, dtype)
      local all = with_defaults(kind, options)
      local parameters, values, states, steps = {}, {}, { {}, {} }, { 0, 0 }
      for k, n in ipairs { 7, 35 } do
        values[k] = array.build(dtype, { n }, function(at) return math.cos(at[1] * k) end)
        parameters[k] = nn.Parameter(array.tensor(values[k]))
      end
      local optimizer = optim[kind.name](parameters, options)
      for t = 1, 6 do
        optimizer:zero_grad()
        for k, p in ipairs(parameters) do
          if k == 1 or t ~= 1 then -- the second parameter has no gradient before the second step
            local g = array.build(dtype, values[k].shape, function(at) return gradient(k, at[1], t) end)
            local loss = (p * array.tensor(g)):sum()
            loss:backward()
            steps[k] = steps[k] + 1
            for i, x in ipairs(values[k].values) do
              states[k][i] = states[k][i] or {}
              values[k].values[i] = twin(all, states[k][i], x, g.values[i], steps[k])
            end
          end
        end
        optimizer:step()
        for k, p in ipairs(parameters) do
          local where = ("%s, step %d, parameter %d, %s"):format(tostring(optimizer), t, k, dtype)
          compare.result(array.to(values[k], dtype), p:detach(), where, { close = "all" })
        end
      end
    end

    it(kind.name .. " goes the same way", function()
      check_options(kind, cases)
      for _, options in ipairs(cases) do
        for _, dtype in ipairs { "float32", "float64" } do run(options, dtype) end
      end
    end)
  end
end)

describe("the twin of the schedule #once", function()
  local twins = require("support.twins.optim").schedules
  local metrics = { 1, 0.9, 0.9, 1.2, 0.7, 0.7, 0.71, 0.69, 2, 1.9, 0.4, 0.39, 0.5, 0.5, 0.6, 0.7, 3, 3.5, 3.5, 3.6 }

  local kinds = {}
  for _, kind in ipairs(optim.schedules()) do kinds[kind.name] = kind end

  -- The rate of {name, options} by its twin.
  local function rate_of(part, base, t)
    return twins[part[1]][1](with_defaults(kinds[part[1]], part[2]), {}, base, t, nil, base, rate_of)
  end

  it("is there for each, and for nothing else", function() check_names(optim.schedules(), twins) end)

  for _, kind in ipairs(optim.schedules()) do
    local twin, cases = table.unpack(twins[kind.name] or {})

    local function follow(options, shift)
      local all, state = with_defaults(kind, options), {}
      local optimizer = optim.SGD({ nn.Parameter(peri.ones(1)) }, { lr = 0.2, momentum = 0.5 })
      local given = {}
      for name, value in pairs(options) do given[name] = value end
      if kind.takes == "schedulers" then
        given.schedulers = {}
        for i, part in ipairs(options.schedulers) do
          given.schedulers[i] = optim.lr_scheduler[part[1]](optimizer, part[2])
        end
      end
      local schedule = optim.lr_scheduler[kind.name](optimizer, given)
      local lr = twin(all, state, 0.2, 0, nil, 0.2, rate_of)
      compare.numbers(lr, optimizer.lr, tostring(schedule) .. ", epoch 0")
      for t, metric in ipairs(metrics) do
        lr = twin(all, state, 0.2, t, metric + shift, lr, rate_of)
        if kind.observes then schedule:step(metric + shift) else schedule:step() end
        compare.numbers(lr, optimizer.lr, ("%s, epoch %d"):format(tostring(schedule), t))
      end
    end

    it(kind.name .. " gives the same rates for 20 epochs", function()
      check_options(kind, cases)
      for _, options in ipairs(cases) do
        for _, shift in ipairs(kind.observes and { 0, -1.5 } or { 0 }) do follow(options, shift) end
      end
    end)
  end
end)

-- ---- metrics ----

-- A twin's result against the metric's, which may have tensors for lists and more fields than the twin knows.
local function check_measure(want, got, where)
  if type(want) == "number" then
    if want ~= want then assert.is_true(got ~= got, where) else compare.numbers(want, got + 0.0, where) end
    return
  end
  if peri.is_tensor(got) then got = got:totable() end
  if #want > 0 then assert.equal(#want, #got, where) end
  for key, value in pairs(want) do check_measure(value, got[key], where .. "." .. tostring(key)) end
end

local function lists(result)
  if type(result) ~= "table" then return result end
  local copy = {}
  for key, value in pairs(result) do copy[key] = peri.is_tensor(value) and value:totable() or value end
  return copy
end

describe("the twin of the metric #once", function()
  local twins = require "support.twins.metrics"
  local kinds = {}
  for name in pairs(peri.metrics) do
    if not name:find "^_" then kinds[#kinds + 1] = { name = name, options = {} } end
  end
  table.sort(kinds, function(a, b) return a.name < b.name end)

  it("is there for each, and for nothing else", function() check_names(kinds, twins) end)

  for _, kind in ipairs(kinds) do
    local metric, entry = peri.metrics[kind.name], twins[kind.name]
    it(kind.name .. " measures the same", function()
      local named = {}
      for _, case in ipairs(entry[2]) do named[#named + 1] = case[3] end
      for option in peri.documentation(metric):match("{(.-)}"):gmatch "([%w_]+) =" do
        table.insert(kind.options, { name = option })
      end
      check_options(kind, named)
      for i, case in ipairs(entry[2]) do
        local function tensor(list) return peri.tensor(list, { dtype = "float64" }) end
        for words, make in pairs { tables = function(x) return x end, tensors = tensor } do
          if words == "tensors" or type(case[1][1]) ~= "table" then
            local got = metric(make(case[1]), make(case[2]), case[3])
            local want = entry[1](case[1], case[2], case[3] or {}, lists(got))
            check_measure(want, got, ("%s %d of %s"):format(kind.name, i, words))
          end
        end
      end
    end)
  end
end)

-- ---- kernels ----

describe("the twin of the kernel #once", function()
  local twins = require "support.twins.kernels"
  local kernel_matrix = peri.svm.kernel_matrix
  -- the message is the one place where a script sees the table of kernels
  local kinds, names = {}, select(2, pcall(kernel_matrix, peri.ones(1, 1), { kernel = "?" }))
  for name in names:match("one of ([%w, ]+), got"):gmatch "%w+" do kinds[#kinds + 1] = { name = name } end

  it("is there for each, and for nothing else", function() check_names(kinds, twins) end)

  local function check(a, b, options, dtype)
    local A = array.build(dtype, { a, b.d }, function(at) return math.sin(at[1] + 2.1 * at[2]) end)
    local B = array.build(dtype, { b.n, b.d }, function(at) return math.cos(1.7 * at[1] - at[2]) end)
    local function row(x, i) return { table.unpack(x.values, (i - 1) * b.d + 1, i * b.d) } end
    for _, other in ipairs { B, A } do
      local gamma = options.gamma or "scale"
      if gamma == "auto" then gamma = 1 / b.d end
      if gamma == "scale" then
        local sum, square, n = 0, 0, #other.values
        for _, x in ipairs(other.values) do sum = sum + x end
        for _, x in ipairs(other.values) do square = square + (x - sum / n) ^ 2 end
        gamma = n / (b.d * square)
      end
      local all = { gamma = gamma, degree = options.degree or 3, coef0 = options.coef0 or 0 }
      local want = array.build(dtype, { a, other.shape[1] }, function(at)
        return twins[options.kernel](row(A, at[1]), row(other, at[2]), all)
      end)
      local where = ("%s, %d and %d rows of %d, %s"):format(options.kernel, a, other.shape[1], b.d, dtype)
      local measure = { close = "all", inputs = { A, other } }
      local got = kernel_matrix(array.tensor(A), other == B and array.tensor(B) or nil, options)
      compare.result(want, got, where, measure)
      got = kernel_matrix(samples.scatter(array.tensor(A)), samples.scatter(array.tensor(other)), options)
      compare.result(want, got, where .. ", strided", measure)
    end
  end

  for _, kind in ipairs(kinds) do
    it(kind.name .. " computes the same", function()
      for _, dtype in ipairs { "float32", "float64" } do
        for _, size in ipairs { { 1, 1, 1 }, { 5, 3, 2 }, { 4, 9, 8 }, { 6, 5, 9 }, { 20, 33, 17 } } do
          for _, options in ipairs {
            {}, { gamma = 0.3 }, { gamma = "auto" }, { gamma = 0.2, coef0 = 0.5 },
            { gamma = 0.4, degree = 2, coef0 = -1 },
          } do
            options.kernel = kind.name
            if size[2] * size[3] > 1 or options.gamma then
              check(size[1], { n = size[2], d = size[3] }, options, dtype)
            end
          end
        end
      end
    end)
  end
end)
