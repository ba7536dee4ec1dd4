-- Layers, losses and modules. The first half walks peri.nn.layers() and peri.nn.losses(), so that a
-- new row is tested without new test code.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local nn = peri.nn

local function list_of(iterator, ...)
  local list = {}
  for name in iterator, ... do list[#list + 1] = name end
  return list
end

local function names(module) return list_of(module:named_parameters()) end

-- ---- the tables ----

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
    visit(nn[kind.name](table.unpack(sample[1])):to "float64", sample[2], ("%s, sample %d"):format(kind.name, i))
  end
end

-- sum(w y) with fixed weights; layers that draw numbers draw the same each time.
local function scalar(layer, inputs)
  peri.manual_seed(11)
  local y = layer(table.unpack(inputs))
  local w = ((peri.arange(1, y:numel()) * 0.7):to("float64")):sin()
  return (y:reshape(-1) * w):sum()
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
        local wrong = type(option.default) == "string" and 1 or "x"
        assert.matches(kind.name .. ": " .. option.name .. " must be", with { [option.name] = wrong })
      end
      for i, size in ipairs(kind.sizes) do
        for _, wrong in ipairs { 0, -3, 1.5, "x", false } do
          local arguments = { table.unpack(given, 1, #kind.sizes) }
          arguments[i] = wrong
          assert.matches(kind.name .. ": " .. size, message(make, table.unpack(arguments)), 1, true)
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
        copy[#copy + 1] = 8
        assert.matches(kind.name .. ": too many arguments: 8", message(layer, table.unpack(copy)))
        local released = inputs[1]:clone()
        released:release()
        assert.matches("is a released tensor", message(layer, released, inputs[2]))
      end)
    end)

    it(kind.name .. " keeps its state through state_dict", function()
      each_sample(kind, function(layer, inputs, where)
        local twin = make(table.unpack(read_samples(kind)[1][1]))
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

-- ---- single kinds ----

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
    assert.matches("reduction must be one of none sum mean, got 'avg'", message(nn.MSELoss, { reduction = "avg" }))
  end)
end)

-- ---- containers ----

describe("Sequential", function()
  it("is a list of its layers", function()
    local a, b = nn.Linear(2, 3), nn.Tanh()
    for _, net in ipairs { nn.Sequential(a, b), nn.Sequential { a, b } } do
      assert.equal(2, #net)
      assert.equal(a, net[1])
      assert.equal(b, net[2])
      assert.is_nil(net[3])
      assert.is_nil(net[0])
      local seen = {}
      for i, layer in ipairs(net) do seen[i] = layer end
      assert.same({ a, b }, seen)
    end
    assert.equal("Sequential(\n  (1): Linear(2, 3)\n  (2): Tanh()\n)", tostring(nn.Sequential(a, b)))
    assert.equal("Sequential()", tostring(nn.Sequential()))
  end)

  it("computes what its layers compute one by one, with the same gradients", function()
    for _, activation in ipairs { "Tanh", "ReLU", "Sigmoid", "Softmax", "Identity" } do
      peri.manual_seed(4)
      local net = nn.Sequential(nn.Linear(3, 8), nn[activation](), nn[activation](), nn.Linear(8, 2)):to "float64"
      local x = peri.randn(5, 3, { dtype = "float64", requires_grad = true })
      local fused = net(x)
      fused:sum():backward()
      local gradients = { x.grad:clone() }
      for i, p in ipairs(net:parameters()) do gradients[i + 1] = p.grad:clone() end
      net:zero_grad()
      x.grad:zero_()
      local single = x
      for _, layer in ipairs(net) do single = layer(single) end
      single:sum():backward()
      assert.is_true(fused:equal(single), activation)
      assert.is_true(x.grad:allclose(gradients[1]), activation)
      for i, p in ipairs(net:parameters()) do assert.is_true(p.grad:allclose(gradients[i + 1]), activation) end
    end
  end)

  it("calls layers written in Lua between the others", function()
    local Double = nn.Module.extend "Double"
    function Double:forward(x) return x * 2 end
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 3), Double(), nn.Tanh(), nn.Sequential(nn.Linear(3, 1)))
    local x = peri.randn(4, 2)
    assert.is_true(net(x):allclose(net[4](peri.tanh(net[1](x) * 2))))
    assert.is_true(net:forward(x):equal(net(x)))
    assert.same({ "1.weight", "1.bias", "4.1.weight", "4.1.bias" }, names(net))
  end)

  it("names the layer that gives no tensor, and passes errors on", function()
    local Bad = nn.Module.extend "Bad"
    function Bad:forward(x) return self.value end
    local bad = Bad()
    local net = nn.Sequential(nn.Linear(2, 3), bad)
    assert.matches("Sequential: layer 2 %(Bad%) gave nil %(expected a tensor%)", message(net, peri.zeros(1, 2)))
    function Bad:forward() error { code = 7 } end
    assert.equal(7, message(net, peri.zeros(1, 2)).code)
    local before = peri.memory().in_use
    for _ = 1, 50 do pcall(net, peri.zeros(1000, 2)) end
    collectgarbage()
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)

  it("refuses what is no layer", function()
    assert.matches("Sequential: layer 2 is 3 %(expected a module", message(nn.Sequential, nn.Tanh(), 3))
    assert.matches("Sequential: layer 1 is a function", message(nn.Sequential, function() end))
    assert.matches("Sequential: layer 1 is a MSELoss, which takes 2 inputs", message(nn.Sequential, nn.MSELoss()))
    assert.matches("Sequential: x must be a tensor, got nothing", message(nn.Sequential()))
    assert.matches("Sequential: too many arguments: 3", message(nn.Sequential(), peri.zeros(1), 3))
    assert.matches("layers are given when it is made", message(function() nn.Sequential(nn.Tanh())[1] = nn.ReLU() end))
  end)

  it("gives x itself when there is nothing to do", function()
    local x = peri.randn(3, { requires_grad = true })
    assert.equal(x, nn.Sequential()(x))
    assert.equal(x, nn.Sequential(nn.Identity(), nn.Identity())(x))
    assert.equal(x, nn.Identity()(x))
  end)

  it("leaks nothing when memory ends on the way", function()
    local net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Softmax())
    local x = peri.randn(3, 4)
    net(x)
    collectgarbage()
    collectgarbage()
    local before, done = peri.memory().in_use, false
    for n = 0, 100 do
      peri._fail_after(n)
      done = pcall(net, x)
      peri._fail_after(-1)
      collectgarbage()
      collectgarbage()
      assert.equal(before, peri.memory().in_use)
      if done then break end
    end
    assert.is_true(done)
  end)
end)

describe("ModuleList", function()
  it("holds modules and has no forward", function()
    local list = nn.ModuleList { nn.Linear(1, 2), nn.MSELoss() }
    assert.equal(2, #list)
    assert.same({ "1.weight", "1.bias" }, names(list))
    assert.matches("ModuleList: a list of modules has no forward", message(list, peri.zeros(1)))
  end)
end)

-- ---- classes written in Lua ----

describe("Module.extend", function()
  local Net = nn.Module.extend "Net"
  function Net:init(inputs, hidden)
    self.fc1 = nn.Linear(inputs, hidden)
    self.act = nn.Tanh()
    self.scale = nn.Parameter(peri.ones(1))
    self.hidden = hidden
    self.table = { 1, 2 }
    self.data = peri.zeros(3)
    self.fc2 = nn.Linear(hidden, 2)
  end
  function Net:forward(x) return self.fc2(self.act(self.fc1(x))) * self.scale end

  it("gives classes whose objects register parts in the order of assignment", function()
    local net = Net(3, 5)
    assert.same({ "fc1.weight", "fc1.bias", "scale", "fc2.weight", "fc2.bias" }, names(net))
    assert.equal(5, #net:parameters())
    assert.equal(5, net.hidden)
    assert.is_nil(net.nothing)
    assert.same({ 4, 2 }, net(peri.zeros(4, 3)).shape)
    assert.same({ 4, 2 }, net:forward(peri.zeros(4, 3)).shape)
    assert.equal("Net(\n  (fc1): Linear(3, 5)\n  (act): Tanh()\n  (fc2): Linear(5, 2)\n)", tostring(net))
    local inner = "(\n    (fc1): Linear(3, 5)\n    (act): Tanh()\n    (fc2): Linear(5, 2)\n  )"
    assert.equal("Sequential(\n  (1): Net" .. inner .. "\n)", tostring(nn.Sequential(net)))
  end)

  it("keeps the place of a part that is replaced, and forgets one that is gone", function()
    local net = Net(3, 5)
    net.fc1 = nn.Linear(3, 5, { bias = false })
    assert.same({ "fc1.weight", "scale", "fc2.weight", "fc2.bias" }, names(net))
    net.scale = nil
    assert.same({ "fc1.weight", "fc2.weight", "fc2.bias" }, names(net))
    net.fc1 = 5
    net.scale = nn.Parameter(peri.ones(1))
    assert.same({ "fc2.weight", "fc2.bias", "scale" }, names(net))
  end)

  it("trains and sets the mode of all that it holds", function()
    local net = Net(2, 4)
    net.drop = nn.Dropout()
    local inner = nn.Sequential(net, nn.Dropout())
    assert.equal(inner, inner:eval())
    assert.is_false(net.training or net.drop.training or inner[2].training or inner.training or net.fc1.training)
    assert.equal(inner, inner:train())
    assert.is_true(net.training and net.drop.training and inner[2].training and inner.training)
    inner:train(false)
    assert.is_false(net.drop.training)
    assert.matches("Net: training is set by train%(%) and eval%(%)", message(function() net.training = true end))
  end)

  it("inherits from classes", function()
    local Small = Net:extend "Small"
    function Small:init() Net.init(self, 1, 1) end
    local net = Small()
    assert.same({ 7, 2 }, net(peri.zeros(7, 1)).shape)
    assert.matches("^Small%(", tostring(net))
    local Empty = nn.Module.extend "Empty"
    assert.equal("Empty()", tostring(Empty()))
    local Own = nn.Module.extend "Own"
    function Own:init(n) self.n = n end
    function Own:__tostring() return ("Own(%d)\nof two lines"):format(self.n) end
    assert.equal("Own(3)\nof two lines", tostring(Own(3)))
    assert.equal("Sequential(\n  (1): Own(4)\n  of two lines\n  (2): ReLU()\n)",
      tostring(nn.Sequential(Own(4), nn.ReLU())))
    assert.equal("Own(5)\nof two lines", tostring(Own:extend "Heir"(5)))
    local Wrong = nn.Module.extend "Wrong"
    function Wrong.__tostring() return 3 end
    assert.matches("Wrong: __tostring gave 3 %(expected a string%)", message(tostring, Wrong()))
    assert.same({}, Empty():parameters())
    assert.matches("Empty: there is no method forward %(define function Empty:forward%(x%)%)",
      message(Empty(), peri.zeros(1)))
    assert.matches("extend: the class's name must be a string, got nothing", message(nn.Module.extend))
  end)

  it("refuses names that would hide methods, and tables that would hide parameters", function()
    local net = Net(2, 2)
    assert.matches("Net: parameters is a method", message(function() net.parameters = nn.Tanh() end))
    assert.matches("Net: the name 'a.b' of a module", message(function() net["a.b"] = nn.Tanh() end))
    assert.matches("Net: a module or parameter must be assigned to a field with a name, got 1",
      message(function() net[1] = nn.Tanh() end))
    assert.matches("Net: field 'list': a table of modules hides their parameters",
      message(function() net.list = { nn.Tanh() } end))
    net[1] = "plain"
    assert.equal("plain", net[1])
    assert.same(names(Net(2, 2)), names(net))
  end)

  it("raises what init raises", function()
    local Broken = nn.Module.extend "Broken"
    function Broken:init() self.a = nn.Linear(0, 1) end
    assert.matches("nn_spec.lua:%d+: Linear: in_features is 0 %(expected at least 1%)", message(Broken))
  end)

  it("is not deceived by a module that holds itself", function()
    local Loop = nn.Module.extend "Loop"
    local loop = Loop()
    loop.again = loop
    assert.matches("parameters: modules are nested more than 100 deep", message(loop.parameters, loop))
    assert.is_string(tostring(loop))
    loop.again = nil
  end)

  it("nests 100 deep, in every method, and says when it is more", function()
    local net = nn.Linear(1, 1)
    for _ = 1, 99 do net = nn.Sequential(net) end
    assert.same({ 3, 1 }, net(peri.ones(3, 1)).shape)
    assert.equal(2, #net:parameters())
    assert.same({ 3, 1 }, net:train():eval():to("float64")(peri.ones(3, 1, { dtype = "float64" })).shape)
    net:load_state_dict(net:state_dict())
    assert.matches("Linear%(1, 1", tostring(net))
    assert.matches("Sequential: modules are nested more than 100 deep", message(nn.Sequential, net))
    assert.matches("ModuleList: modules are nested more than 100 deep", message(nn.ModuleList, net))
  end)

  it("lets modules and parameters be collected, cycles too", function()
    local before
    for i = 1, 30 do
      local net = Net(100, 100)
      net.fc1.weight:sum():backward()
      net.me = { self = net }
      if i == 10 then
        collectgarbage()
        collectgarbage()
        before = peri.memory().in_use
      end
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)
end)

-- ---- methods of modules ----

describe("modules", function()
  local function network() return nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 2)) end

  it("give their state in the order of registration, as copies", function()
    local net = network()
    local state = net:state_dict()
    assert.same({ "1.weight", "1.bias", "3.weight", "3.bias" }, list_of(pairs(state)))
    assert.is_true(state["1.weight"]:equal(net[1].weight))
    assert.is_false(state["1.weight"].requires_grad)
    peri.no_grad(function() net[1].weight:zero_() end)
    assert.is_false(state["1.weight"]:equal(net[1].weight))
    state.extra, state["1.bias"] = 1, nil
    assert.same({ "1.weight", "3.weight", "3.bias", "extra" }, list_of(pairs(state)))
  end)

  it("load a state, in any float dtype, into the parameters that they have", function()
    local a, b = network(), network():to "float64"
    local weight = b[1].weight
    b:load_state_dict(a:state_dict())
    assert.equal(weight, b[1].weight)
    assert.is_true(b[1].weight:equal(a[1].weight:to "float64"))
    local plain = {}
    for name, value in pairs(a:state_dict()) do plain[name] = value * 2 end
    a:load_state_dict(plain)
    assert.is_true(a[3].bias:to("float64"):allclose(b[3].bias * 2))
  end)

  it("say all that is wrong with a state before anything is written", function()
    local net = network()
    local before = samples.bits(net[1].weight)
    local state = net:state_dict()
    state["1.weight"] = peri.ones(10, 2)
    state["1.bias"], state["3.weight"], state["3.bias"] = nil, peri.zeros(2, 9), peri.zeros(2, { dtype = "int64" })
    state.zeta, state.alpha = peri.zeros(1), 5
    assert.matches("load_state_dict: 1.bias is missing; 3.weight is 2x9 (expected 2x10); "
      .. "3.bias is int64 (expected float32); alpha is unexpected; zeta is unexpected",
      message(net.load_state_dict, net, state), 1, true)
    state = net:state_dict()
    state["1.weight"] = peri.ones(10, 2)
    state["3.bias"] = "x"
    assert.matches("3.bias is 'x' %(expected a tensor%)", message(net.load_state_dict, net, state))
    assert.matches("expected a table of names and tensors, got nil", message(net.load_state_dict, net))
    assert.equal(before, samples.bits(net[1].weight))
  end)

  it("survive peri.save and peri.load", function()
    local path, net, twin = os.tmpname(), network(), network()
    peri.save(path, net:state_dict())
    twin:load_state_dict((peri.load(path)))
    os.remove(path)
    local x = peri.randn(3, 2)
    assert.is_true(net(x):equal(twin(x)))
  end)

  it("change a saved value's version, so that backward notices", function()
    local net = network()
    local y = net(peri.randn(3, 2)):sum()
    net:load_state_dict(net:state_dict())
    assert.matches("backward", message(y.backward, y))
  end)

  it("fill gradients with zeros, in place", function()
    local net = network()
    net:zero_grad()
    assert.is_nil(net[1].weight.grad)
    net(peri.randn(3, 2)):sum():backward()
    local gradient = net[1].weight.grad
    net:zero_grad()
    assert.equal(gradient, net[1].weight.grad)
    assert.is_true(gradient:equal(peri.zeros(10, 2)))
  end)

  it("convert their parameters, shared ones together", function()
    local net = network()
    net[3].weight.requires_grad = false
    local Holder = nn.Module.extend "Holder"
    local holder = Holder()
    holder.net, holder.own, holder.weight = net, nn.Parameter(peri.ones(2)), net[1].weight
    assert.equal(holder, holder:to "float64")
    assert.equal("float64", holder.own.dtype)
    assert.equal("float64", net[1].weight.dtype)
    assert.equal(net[1].weight, holder.weight)
    assert.is_true(net[1].weight.requires_grad)
    assert.is_false(net[3].weight.requires_grad)
    assert.equal(5, #holder:parameters())
    assert.matches("to: dtype is int64", message(net.to, net, "int64"))
    for n = 0, 4 do
      peri._fail_after(n)
      local ok = pcall(holder.to, holder, "float32")
      peri._fail_after(-1)
      if not ok then for _, p in ipairs(holder:parameters()) do assert.equal("float64", p.dtype) end end
    end
  end)

  it("apply a function to all, children first", function()
    local net, seen = network(), {}
    assert.equal(net, net:apply(function(module) seen[#seen + 1] = module end))
    assert.same({ net[1], net[2], net[3], net }, seen)
    assert.matches("apply: expected a function, got 5", message(net.apply, net, 5))
  end)

  it("want the colon", function()
    local net = network()
    for _, method in ipairs { "parameters", "named_parameters", "state_dict", "train", "eval", "zero_grad" } do
      assert.matches(method .. ": expected a module %(net:" .. method, message(net[method]))
      assert.matches(method .. ": expected a module", message(net[method], 5))
    end
  end)

  it("name the position of the caller", function()
    assert.matches("nn_spec.lua:%d+: Linear: out_features must be a whole number, got nothing",
      message(function() nn.Linear(2) end))
  end)
end)

describe("Parameter", function()
  it("is a leaf over the same memory", function()
    local x = peri.zeros(3)
    local p = nn.Parameter(x)
    assert.is_true(p.requires_grad and p.is_leaf)
    x[1] = 5
    assert.equal(5, p:detach()[1])
    assert.equal(p, nn.Parameter(p))
    local q = nn.Parameter(p * 2)
    assert.is_true(q.is_leaf)
    assert.is_true(nn.Parameter(peri.zeros(2, 3):t()):is_contiguous())
    assert.matches("Parameter: the tensor is int64", message(nn.Parameter, peri.zeros(2, { dtype = "int64" })))
    assert.matches("Parameter: the argument must be a tensor, got 3", message(nn.Parameter, 3))
  end)
end)

describe("handles", function()
  it("do not give their finalisers away", function()
    local optim = peri.optim
    local layer = nn.Linear(2, 2)
    for _, object in ipairs { layer, nn.Sequential(layer), optim.SGD(layer:parameters(), { lr = 1 }), peri.zeros(1) } do
      assert.is_false(getmetatable(object))
    end
  end)
end)

describe("buffers of layers written in Lua", function()
  local Norm = nn.Module.extend "Norm"
  function Norm:init(n)
    self.weight = nn.Parameter(peri.ones(n))
    self.mean = nn.Buffer(peri.zeros(n))
    self.count = nn.Buffer(peri.zeros(1, { dtype = "int64" }))
  end
  function Norm:forward(x)
    if self.training then
      peri.no_grad(function()
        self.mean:mul_(0.5):add_(x:mean(1) * 0.5)
        self.count:add_(1)
      end)
    end
    return (x - self.mean) * self.weight
  end

  local function names_of(iterator)
    local list = {}
    for name in iterator do list[#list + 1] = name end
    return list
  end

  it("are tensors that are saved and not trained", function()
    local net = nn.Sequential(nn.Linear(2, 3), Norm(3))
    local x = peri.rand(4, 2)
    net(x)
    assert.is_true(peri.is_tensor(net[2].mean))
    assert.same({ "1.weight", "1.bias", "2.weight" }, names_of(net:named_parameters()))
    assert.same({ "2.mean", "2.count" }, names_of(net:named_buffers()))
    assert.equal(3, #net:parameters())
    local state = net:state_dict()
    assert.equal(1, state["2.count"][1])
    local path = os.tmpname()
    peri.save(path, state)
    local other = nn.Sequential(nn.Linear(2, 3), Norm(3)):load_state_dict(peri.load(path))
    os.remove(path)
    assert.is_true(other:eval()(x):equal(net:eval()(x)))
    assert.is_true(other[2].mean:equal(net[2].mean))
    state["2.mean"] = nil
    assert.matches("2.mean is missing", message(net.load_state_dict, net, state))
  end)

  it("are converted when they are floats, and counts stay", function()
    local net = Norm(2)
    net(peri.rand(3, 2))
    net:to "float64"
    assert.equal("float64", net.mean.dtype)
    assert.equal("float64", net.weight.dtype)
    assert.equal("int64", net.count.dtype)
    assert.equal(1, net.count[1])
  end)

  it("are replaced by a tensor, and leave with anything else", function()
    local net = Norm(2)
    net.mean = peri.ones(2)
    assert.same({ "mean", "count" }, names_of(net:named_buffers()))
    assert.same({ 1, 1 }, net:state_dict().mean:totable())
    net.mean = "gone"
    assert.same({ "count" }, names_of(net:named_buffers()))
    net.count = nn.Parameter(peri.ones(1))
    assert.same({}, names_of(net:named_buffers()))
    assert.same({ "weight", "count" }, names_of(net:named_parameters()))
    net.count = nn.Buffer(peri.ones(1))
    assert.same({ "count" }, names_of(net:named_buffers()))
    assert.same({ "weight" }, names_of(net:named_parameters()))
  end)

  it("come back with the best parameters after early stopping", function()
    local X, y = peri.data.circles(40, { noise = 0.1, seed = 1 })
    peri.manual_seed(1)
    local norm = Norm(2)
    local net = nn.Sequential(norm, nn.Linear(2, 2))
    local counts = {}
    local h = peri.train.fit { model = net, optimizer = peri.optim.SGD(net:parameters(), { lr = 50 }), train = { X, y },
      dev = { X, y }, epochs = 20, batch_size = 40, seed = 1, early_stopping = { patience = 3 }, progress = false,
      callbacks = function(state) counts[state.epoch] = norm.count[1] end }
    assert.equal("early_stopping", h.stopped)
    assert.equal(counts[h.best_epoch], norm.count[1])
    assert.is_true(h.best_epoch < h.epochs)
  end)

  it("are tensors without grad, in fields of modules", function()
    assert.matches("Buffer: the tensor requires grad", message(nn.Buffer, peri.ones(2, { requires_grad = true })))
    assert.matches("Buffer: the argument must be a tensor, got 5", message(nn.Buffer, 5))
    assert.matches("Buffer: it is a tensor once it is assigned",
      message(function() return nn.Buffer(peri.ones(2)).shape end))
  end)
end)
