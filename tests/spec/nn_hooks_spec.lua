-- Hooks on layers, containers, losses and layers written in Lua.
local peri = require "perilune"
local nn = peri.nn
local fails = require("support.fails").at_script
local failing = require "support.failing"

local function x(...) return peri.randn({ ... }, { generator = peri.Generator(1) }) end

local Net = nn.Module.extend "Net"
function Net:init() self.fc = nn.Linear(3, 2) end
function Net:forward(v, w) return self.fc(v), w and v * w end

local Plain = nn.Module.extend "Plain"
function Plain:init() self.fc = nn.Linear(3, 2) end
function Plain:forward(v) return self.fc(v):tanh() end

-- One of each kind, on 4 x 3.
local function modules()
  return { nn.Linear(3, 2), nn.Tanh(), nn.Sequential(nn.Linear(3, 2), nn.Tanh()), Plain() }
end

describe("a forward hook", function()
  it("of every kind of module sees what goes in and out, and may replace it", function()
    for _, m in ipairs(modules()) do
      local v, seen = x(4, 3), {}
      local plain = m(v)
      local before = m:register_forward_pre_hook(function(module, input)
        seen[#seen + 1] = module == m and input == v
      end)
      local after = m:register_forward_hook(function(module, input, output)
        seen[#seen + 1] = module == m and input == v and output:equal(plain)
      end)
      assert.is_true(m(v):equal(plain))
      assert.same({ true, true }, seen)
      before:remove()
      after:remove()
      m(v)
      assert.equal(2, #seen)
      local double = m:register_forward_pre_hook(function(_, input) return input * 2 end)
      assert.is_true(m(v / 2):equal(plain))
      double:remove()
      m:register_forward_hook(function(_, _, y) return y + 1 end)
      m:register_forward_hook(function(_, _, y) return y * 10 end)
      assert.is_true(m(v):equal((plain + 1) * 10))
    end
  end)

  it("of a child is called when its container runs, and fused activations are not passed by", function()
    local net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.ReLU())
    local v, seen = x(4, 3), {}
    local plain = net(v)
    local hooks = {}
    for i = 1, 4 do
      hooks[i] = net[i]:register_forward_hook(function(_, input, output)
        seen[#seen + 1] = ("%d %dx%d"):format(i, input:size(2), output:size(2))
      end)
    end
    assert.is_true(net(v):allclose(plain))
    assert.same({ "1 3x4", "2 4x4", "3 4x2", "4 2x2" }, seen)
    for _, h in ipairs(hooks) do h:remove() end
    assert.is_true(net(v):equal(plain))
    assert.equal(4, #seen)
    net[2]:register_forward_hook(function(_, _, y) return y * 0 end)
    assert.is_true(net(v):equal(net[4](net[3](peri.zeros(4, 4)))))
    assert.is_true(nn.Sequential(net, nn.Tanh())(v):equal(net(v):tanh()))
  end)

  it("sees several values as lists, and gives lists", function()
    local net, v, seen = Net(), x(4, 3), nil
    net:register_forward_pre_hook(function(_, inputs)
      assert.equal(2, #inputs)
      return { inputs[1], 3 }
    end)
    net:register_forward_hook(function(_, inputs, outputs)
      seen = { #inputs, inputs[2], #outputs }
      return { outputs[1], outputs[2] * 2 }
    end)
    local _, w = net(v, 5)
    assert.same({ 2, 3, 2 }, seen)
    assert.is_true(w:equal(v * 6))
    local loss = nn.MSELoss()
    loss:register_forward_hook(function(_, inputs, y)
      assert.equal(2, #inputs)
      return y * 0
    end)
    assert.equal(0, loss(v, v + 1):item())
  end)

  it("is left out by forward itself, and may remove itself or others", function()
    local m, count = nn.Linear(3, 2), ""
    local h, second
    h = m:register_forward_hook(function()
      count = count .. "a"
      h:remove()
      second:remove()
    end)
    second = m:register_forward_hook(function() count = count .. "b" end)
    m:register_forward_hook(function() count = count .. "c" end)
    m:forward(x(1, 3))
    m(x(1, 3))
    m(x(1, 3))
    assert.equal("acc", count)
  end)

  it("errors go on, with the way to the layer where it is the layer's own", function()
    local net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    local e = {}
    local h = net[1]:register_forward_hook(function() error(e) end)
    local ok, message = pcall(net, x(4, 3))
    assert.is_false(ok)
    assert.equal(e, message)
    h:remove()
    net[1]:register_forward_hook(function() end)
    fails("Sequential[1] Linear: x is 4x5 but weight is 2x3", net, peri.ones(4, 5))
    h = net[2]:register_forward_hook(function() return 3 end)
    fails("Sequential: layer 2 (Tanh) gave 3 (expected a tensor)", net, x(4, 3))
    h:remove()
    fails("register_forward_hook: f must be a function, got 3", net.register_forward_hook, net, 3)
    fails("register_forward_hook: called with 3 (expected net:register_forward_hook(f))",
      net.register_forward_hook, 3, print)
    local two = Net()
    two:register_forward_pre_hook(function() return 3 end)
    fails("Net: a forward pre hook gave 3 (expected nil, or a list of 2)", two, x(4, 3), 1)
    net[1]:register_forward_hook(function() coroutine.yield() end)
    assert.is_false((coroutine.resume(coroutine.create(function() net(x(4, 3)) end))))
  end)
end)

describe("a full backward hook", function()
  it("sees the gradients of what went in and out, of every kind of module", function()
    for _, m in ipairs(modules()) do
      local v, seen = x(4, 3):requires_grad_(), nil
      m(v):sum():backward()
      local plain = v.grad:clone()
      v.grad = nil
      local h = m:register_full_backward_hook(function(module, inputs, outputs)
        assert.is_nil(seen)
        seen = { module == m, #inputs, inputs[1]:equal(plain), #outputs, outputs[1]:equal(peri.ones_like(m(v))) }
      end)
      m(v):sum():backward()
      assert.same({ true, 1, true, 1, true }, seen)
      assert.is_true(v.grad:equal(plain))
      h:remove()
      m:register_full_backward_hook(function(_, inputs) return { inputs[1] * 2 } end)
      m:register_full_backward_hook(function(_, inputs) return inputs[1] * 5 end)
      v.grad = nil
      m(v):sum():backward()
      assert.is_true(v.grad:allclose(plain * 10))
    end
  end)

  it("works where the input needs no gradient, and in a container", function()
    local net, seen = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), {}
    for i = 1, 3 do
      net[i]:register_full_backward_hook(function(_, inputs, outputs)
        seen[#seen + 1] = ("%d %s %d"):format(i, tostring(inputs[1] and inputs[1]:size(2)), outputs[1]:size(2))
      end)
    end
    net(x(5, 3)):sum():backward()
    assert.same({ "3 4 2", "2 4 4", "1 false 4" }, seen)
    peri.no_grad(net, x(5, 3))
    assert.equal(3, #seen)
  end)

  it("has a place for each value, false for what is no tensor that requires grad", function()
    local net, v, seen = Net(), x(4, 3):requires_grad_(), nil
    net:register_full_backward_hook(function(_, inputs, outputs)
      seen = { #inputs, peri.is_tensor(inputs[1]), inputs[2], #outputs, outputs[1] and outputs[1].shape[2] }
    end)
    local y, w = net(v, 2);
    (y:sum() + w:sum()):backward()
    assert.same({ 2, true, false, 2, 2 }, seen)
  end)

  it("is differentiated again, and leaves all as it was after an error", function()
    local m = nn.Linear(3, 2):to "float64"
    local v = peri.randn(2, 3, { dtype = "float64", generator = peri.Generator(2) })
    m:register_full_backward_hook(function(_, inputs) return { inputs[1] * 1 } end)
    assert.is_true(peri.gradgradcheck(function(u) return m(u):tanh() end, v))
    local u = v:clone():requires_grad_()
    m:register_full_backward_hook(function() error "mine" end)
    local ok, message = pcall(function() m(u):sum():backward() end)
    assert.is_false(ok)
    assert.matches("mine", message)
    assert.same({ nil, nil }, { u.grad, m.weight.grad })
  end)
end)

describe("hooks on layers", function()
  it("may refer to their layer and are collected with it; memory stays flat", function()
    local gone = setmetatable({}, { __mode = "k" })
    local function step()
      local net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
      gone[net] = true
      net[1]:register_forward_hook(function() return net and nil end)
      net:register_full_backward_hook(function(m) assert.equal(net, m) end)
      net(x(4, 3)):sum():backward()
    end
    for _ = 1, 10 do step() end
    local before = failing.live()
    for _ = 1, 100 do step() end
    assert.is_true(failing.live() <= before)
    failing.live()
    assert.is_nil(next(gone))
  end)

  it("leave everything as it was when memory is short", function()
    local net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    net[1]:register_forward_hook(function(_, _, y) return y * 2 end)
    net:register_full_backward_hook(function(_, g) return g end)
    local v = x(4, 3):requires_grad_()
    for _ = 1, 3 do failing.live() end -- one graph holds the next
    failing.inject("forward", function() return v:bytes() end, function() return net(v) end)
    local loss = net(v):sum()
    for _ = 1, 3 do failing.live() end
    failing.inject("backward", function() return v.grad and v.grad:bytes() end, function()
      loss:backward { retain_graph = true }
    end)
  end)
end)
