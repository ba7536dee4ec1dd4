-- Layers and losses. The first part walks peri.nn.layers() and peri.nn.losses(), so that a new row is tested without
-- new test code.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local nn = peri.nn
local modules = require "support.modules"
local names = modules.names

-- The samples of a kind: lists {constructor arguments, inputs}; T gives float64 of [-2, 2].
local function read_samples(kind)
  local env = { peri = peri }
  function env.T(...) return peri.rand({ ... }, { dtype = "float64" }) * 4 - 2 end
  function env.I(high, ...) return peri.randint(1, high, { ... }) end
  return assert(load("return {" .. kind.sample .. "}", "=sample of " .. kind.name, "t", env))()
end

local function each(visit)
  for _, list in ipairs { nn.layers(), nn.losses() } do
    for _, kind in ipairs(list) do visit(kind, nn[kind.name]) end
  end
end

local function each_sample(kind, visit)
  peri.manual_seed(3)
  for i, sample in ipairs(read_samples(kind)) do
    local where = ("%s, sample %d"):format(kind.name, i)
    visit(nn[kind.name](table.unpack(sample[1])):to "float64", sample[2], where, sample[1])
  end
end

-- sum(w y) with fixed weights over all outputs; layers that draw numbers draw the same each time.
local function scalar(layer, inputs)
  peri.manual_seed(11)
  local total = 0
  for k, y in ipairs { layer(table.unpack(inputs)) } do
    local w = ((peri.arange(1, y:numel()) * (0.7 * k)):to("float64")):sin()
    total = (y:reshape(-1) * w):sum() + total
  end
  return total
end

local function difference(layer, inputs, x, i)
  local flat, h = x:detach():reshape(-1), 1e-6
  local value = flat[i]
  return peri.no_grad(function()
    flat[i] = value + h
    local up = scalar(layer, inputs):item()
    flat[i] = value - h
    local down = scalar(layer, inputs):item()
    flat[i] = value
    return (up - down) / (2 * h)
  end)
end

local function check_gradients(layer, inputs, where)
  layer:zero_grad()
  local leaves = layer:parameters()
  for i, x in ipairs(inputs) do
    if x.dtype == "float64" then
      inputs[i] = nn.Parameter(x:detach():clone())
      leaves[#leaves + 1] = inputs[i]
    end
  end
  scalar(layer, inputs):backward()
  for k, leaf in ipairs(leaves) do
    for i = 1, leaf:numel() do
      local got, expected = leaf.grad:reshape(-1)[i], difference(layer, inputs, leaf, i)
      assert.is_true(math.abs(got - expected) < 1e-6 * math.max(1, math.abs(expected)),
        ("%s: gradient %d, element %d: %.10g, by differences %.10g"):format(where, k, i, got, expected))
    end
  end
end

describe("every kind of layer and loss", function()
  each(function(kind, make)
    it(kind.name .. " has gradients that agree with differences", function()
      each_sample(kind, function(layer, inputs, where)
        check_gradients(layer, inputs, where)
        check_gradients(layer:eval(), inputs, where .. " after eval()")
      end)
    end)

    it(kind.name .. " refuses wrong arguments", function()
      local given = read_samples(kind)[1][1]
      local function with(options)
        local copy = { table.unpack(given, 1, #kind.sizes) }
        copy[#kind.sizes + 1] = options
        return message(make, table.unpack(copy, 1, #kind.sizes + 1))
      end
      assert.matches(kind.name .. ": unknown option lerning_rate", with { lerning_rate = 1 })
      assert.matches(kind.name .. ": options must be a table, got 'x'", with "x")
      assert.matches(kind.name .. ": options must have names", with { 3 })
      for _, option in ipairs(kind.options) do
        local wrong = option.kind == "choice" and 1 or "x"
        assert.matches(kind.name .. ": " .. option.name .. " must be", with { [option.name] = wrong })
        for word in (option.choices or ""):gmatch "%S+" do
          assert.matches("did you mean " .. word .. "%?$", with { [option.name] = word .. "x" })
        end
        if option.count then
          local expected = " has 0 entries %(expected [1 to]*" .. option.count -- an open list has 1 to so many
          assert.matches(option.name .. expected, with { [option.name] = {} })
        end
      end
      for i, size in ipairs(kind.sizes) do
        for _, wrong in ipairs { 0, -3, 1.5, "x", false } do
          local arguments = { table.unpack(given, 1, #kind.sizes) }
          arguments[i] = wrong
          if wrong ~= 0 or not kind.from_zero[size] then
            assert.matches(kind.name .. ": " .. size, message(make, table.unpack(arguments)), 1, true)
          end
        end
      end
      local many = { table.unpack(given, 1, #kind.sizes) }
      many[#kind.sizes + 1], many[#kind.sizes + 2] = {}, 7
      assert.matches(kind.name .. ": too many arguments: 7", message(make, table.unpack(many)))
    end)

    it(kind.name .. " refuses wrong inputs", function()
      each_sample(kind, function(layer, inputs)
        local copy = { table.unpack(inputs) }
        assert.matches(kind.name .. ": .* must be a tensor, got nothing", message(layer))
        copy[#copy] = 5
        assert.matches(kind.name .. ": .* must be a tensor, got 5", message(layer, table.unpack(copy)))
        copy[#copy] = inputs[#inputs]
        local by_place, named = 0, false
        for _, input in ipairs(kind.inputs) do
          if input.named then named = true else by_place = by_place + 1 end
        end
        local most = by_place + (named and 1 or 0)
        copy[most + 1] = 8
        assert.matches(kind.name .. ": too many arguments: 8", message(layer, table.unpack(copy, 1, most + 1)))
        if named then
          copy[most + 1], copy[most] = nil, { no_such = 1 }
          assert.matches(kind.name .. ": unknown option no_such", message(layer, table.unpack(copy, 1, most)))
        end
        local released = inputs[1]:clone()
        released:release()
        assert.matches("is a released tensor", message(layer, released, inputs[2]))
      end)
    end)

    it(kind.name .. " keeps its state through state_dict", function()
      each_sample(kind, function(layer, inputs, where, arguments)
        local twin = make(table.unpack(arguments))
        if #kind.sizes == 0 then twin:load_state_dict(layer:state_dict()) end
        local state = layer:state_dict()
        local before = samples.bits(scalar(layer, inputs))
        peri.no_grad(function() for _, p in ipairs(layer:parameters()) do p:add_(1) end end)
        assert.equal(layer, layer:load_state_dict(state))
        assert.equal(before, samples.bits(scalar(layer, inputs)), where)
      end)
    end)

    it(kind.name .. " fails cleanly when memory ends", function()
      each_sample(kind, function(layer, inputs, where)
        local done
        for n = 0, 200 do
          peri._fail_after(n)
          done = pcall(layer, table.unpack(inputs))
          peri._fail_after(-1)
          if done then break end
        end
        assert.is_true(done, where)
        assert.is_true(pcall(layer, table.unpack(inputs)))
      end)
    end)

    it(kind.name .. " is documented and can be printed", function()
      local layer = make(table.unpack(read_samples(kind)[1][1]))
      assert.matches("^" .. kind.name .. "%(", kind.doc)
      assert.equal(kind.doc, peri.documentation(make))
      assert.matches("^" .. kind.name .. "%(.*%)$", tostring(layer))
      assert.matches(kind.name .. ": there is no field or method 'wieght'", message(function() return layer.wieght end))
      assert.is_true(layer.training)
      for _, option in ipairs(kind.options) do
        if option.name ~= "bias" then assert.is_not_nil(layer[option.name]) end
      end
    end)
  end)
end)

describe("Linear", function()
  it("begins uniform in +-1/sqrt(in_features), from the seed", function()
    peri.manual_seed(1)
    local a = nn.Linear(100, 200)
    peri.manual_seed(1)
    local b = nn.Linear(100, 200)
    assert.is_true(a.weight:equal(b.weight))
    assert.same({ 200, 100 }, a.weight.shape)
    assert.same({ 200 }, a.bias.shape)
    local largest = a.weight:abs():max():item()
    assert.is_true(largest <= 0.1 and largest > 0.0999)
    assert.is_true(math.abs(a.weight:mean():item()) < 2e-3)
    assert.is_true(math.abs(a.weight:std():item() - 0.1 / math.sqrt(3)) < 1e-3)
    assert.is_false(nn.Linear(100, 200).weight:equal(a.weight))
  end)

  it("takes a dtype and can do without bias", function()
    local layer = nn.Linear(2, 3, { dtype = "float64", bias = false })
    assert.equal("float64", layer.weight.dtype)
    assert.is_nil(layer.bias)
    assert.same({ "weight" }, names(layer))
    assert.equal('Linear(2, 3, {bias = false, dtype = "float64"})', tostring(layer))
    assert.matches("Linear: dtype is int64", message(nn.Linear, 2, 3, { dtype = "int64" }))
  end)

  it("names the shapes that do not fit", function()
    assert.matches("nn_spec.lua:%d+: linear: x is 10x3 but weight is 4x2 %(expected x's last dimension to be 2%)",
      message(function() return nn.Linear(2, 4)(peri.zeros(10, 3)) end))
  end)

  it("leaves the random stream alone when it cannot be made", function()
    peri.manual_seed(5)
    local expected = peri.rand(3)
    for n = 0, 3 do
      peri.manual_seed(5)
      peri._fail_after(n)
      local ok = pcall(nn.Linear, 20, 30)
      peri._fail_after(-1)
      if not ok then assert.is_true(peri.rand(3):equal(expected)) end
    end
    assert.matches("out of memory", message(nn.Linear, 1 << 40, 1 << 40))
  end)

  it("takes shared parameters, and counts them once", function()
    local a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    assert.equal(a.weight, b.weight)
    local net = nn.Sequential(a, nn.Tanh(), b)
    assert.equal(3, #net:parameters())
    assert.same({ "1.weight", "1.bias", "3.bias" }, names(net))
    assert.matches("Linear: weight is 2x3 %(expected 3x3%)",
      message(function() b.weight = nn.Parameter(peri.zeros(2, 3)) end))
    assert.matches("Linear: weight must be a parameter", message(function() b.weight = peri.zeros(3, 3) end))
    assert.matches("Linear: field 'wieght' cannot be set", message(function() b.wieght = a.weight end))
  end)

  it("has one handle for each parameter", function()
    local layer = nn.Linear(2, 2)
    local seen = { [layer.weight] = true }
    collectgarbage()
    assert.is_true(seen[layer.weight])
    assert.is_true(seen[layer:parameters()[1]])
  end)
end)

describe("Dropout", function()
  it("scales what it keeps, and rests after eval()", function()
    peri.manual_seed(2)
    local layer, x = nn.Dropout { p = 0.25 }, peri.ones(20000)
    local y = layer(x)
    local kept = y:gt(0):to("float64"):mean():item()
    assert.is_true(math.abs(kept - 0.75) < 0.01)
    assert.is_true(math.abs(y:max():item() - 1 / 0.75) < 1e-6)
    assert.equal(x, layer:eval()(x))
    assert.is_true(nn.Dropout { p = 1 }(x):equal(peri.zeros(20000)))
  end)
end)

describe("InstanceNorm2d", function()
  it("keeps running statistics where it is asked to, the means over images of their own", function()
    local layer = nn.InstanceNorm2d(2, { track_running_stats = true, momentum = 0.25, dtype = "float64" })
    local x = peri.rand(3, 2, 4, 5, { dtype = "float64" }) * 3 + 1
    local before = peri.instance_norm(x)
    assert.is_true(layer(x):equal(before))
    local flat = x:reshape(3, 2, 20)
    local mean, var = flat:mean(3):mean(1), flat:var(3):mean(1)
    assert.is_true(layer.running_mean:allclose(mean * 0.25, { rtol = 1e-12 }))
    assert.is_true(layer.running_var:allclose(var * 0.25 + 0.75, { rtol = 1e-12 }))
    assert.equal(0, layer.num_batches_tracked:item())
    local y = layer:eval()(x)
    local own = peri.batch_norm(x, layer.running_mean, layer.running_var)
    assert.is_true(y:equal(own))
    assert.is_nil(nn.InstanceNorm2d(2).running_mean)
  end)
end)

describe("options of dimensions", function()
  it("count from 1 and refuse 0", function()
    local x = peri.randn(3, 4)
    assert.is_true(nn.Softmax { dim = 1 }(x):equal(x:softmax(1)))
    assert.is_true(nn.Softmax()(x):equal(x:softmax(2)))
    assert.matches("Softmax: dim is 0", message(nn.Softmax, { dim = 0 }))
    assert.matches("softmax: dim is 3", message(nn.Softmax { dim = 3 }, x))
    assert.same({ 5, 6 }, nn.Flatten()(peri.zeros(5, 3, 2)).shape)
    assert.same({ 30 }, nn.Flatten { dim = 1 }(peri.zeros(5, 3, 2)).shape)
  end)
end)

describe("losses", function()
  it("agree with their rows", function()
    local x, y = peri.randn(6, 3), peri.tensor({ 1, 2, 3, 1, 2, 3 }):to "int64"
    assert.is_true(nn.CrossEntropyLoss()(x, y):equal(peri.cross_entropy(x, y)))
    assert.is_true(nn.MSELoss { reduction = "sum" }(x, x * 2):equal(peri.mse_loss(x, x * 2, { reduction = "sum" })))
    assert.matches("cross_entropy: row 1 of target is class 0 %(classes count from 1",
      message(nn.CrossEntropyLoss(), x, y - 1))
    assert.matches("reduction must be one of none, sum, mean, got 'avg'$", message(nn.MSELoss, { reduction = "avg" }))
    assert.matches("got 'maen': did you mean mean%?$", message(nn.MSELoss, { reduction = "maen" }))
    assert.matches("got 'maen': did you mean mean%?$", message(peri.mse_loss, x, x, { reduction = "maen" }))
    assert.matches("Linear: dtype must be one of .*, got 'flaot32': did you mean float32%?$",
      message(nn.Linear, 2, 3, { dtype = "flaot32" }))
  end)
end)
