-- Layers that hold layers: Sequential and ModuleList.
local peri = require "perilune"
local message = require("support.fails").message
local nn = peri.nn
local modules = require "support.modules"
local failing = require "support.failing"
local names = modules.names

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
    assert.equal([[
Sequential(            -- 502,009 parameters
  (1): Linear(2, 3)    -- 9: weight 3x2, bias 3
  (2): Tanh()
  (3): LSTM(250, 250)  -- 502,000: weight_ih_l0 1000x250, weight_hh_l0 1000x250, bias_ih_l0 1000, bias_hh_l0 1000
)]], tostring(nn.Sequential(a, b, nn.LSTM(250, 250))))
    assert.equal("Sequential(\n  (1): Tanh()\n)", tostring(nn.Sequential(b)))
    local shared = nn.Sequential(a, a) -- counted once
    assert.equal("Sequential(          -- 9 parameters", tostring(shared):match "[^\n]+")
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
    local before = failing.live()
    failing.inject("net", nil, function() net(x) end)
    assert.equal(before, failing.live())
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
