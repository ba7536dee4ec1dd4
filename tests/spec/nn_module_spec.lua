-- Layers written in Lua: Module.extend, what all modules can, parameters and buffers.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local nn = peri.nn
local modules = require "support.modules"
local list_of, names = modules.list_of, modules.names

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
    assert.equal([[
Net(                   -- 33 parameters
  (fc1): Linear(3, 5)  -- 20: weight 5x3, bias 5
  (act): Tanh()
  (fc2): Linear(5, 2)  -- 12: weight 2x5, bias 2
)]], tostring(net))
    assert.equal([[
Sequential(              -- 33 parameters
  (1): Net(              -- 33
    (fc1): Linear(3, 5)  -- 20: weight 5x3, bias 5
    (act): Tanh()
    (fc2): Linear(5, 2)  -- 12: weight 2x5, bias 2
  )
)]], tostring(nn.Sequential(net)))
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
    assert.matches("nn_module_spec.lua:%d+: Linear: in_features is 0 %(expected at least 1%)", message(Broken))
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

  it("refuse a number of float64 that float32 does not hold, and stay as they are", function()
    local net = network()
    local before, state = samples.bits(net[1].weight), net:state_dict()
    for name, value in pairs(state) do state[name] = value:to "float64" + 1 end
    state["3.weight"][2][5] = -1e300
    assert.matches("load_state_dict: 3.weight has %-1e%+300 in element 15 %(expected numbers that float32 holds%)$",
      message(net.load_state_dict, net, state))
    assert.equal(before, samples.bits(net[1].weight))
    state["3.weight"][2][5] = -math.huge -- which is one of float32's too
    net:load_state_dict(state)
    assert.equal(-math.huge, net[3].weight[2][5]:item())
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
    assert.matches("nn_module_spec.lua:%d+: Linear: out_features must be a whole number, got nothing",
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
