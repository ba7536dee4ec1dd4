-- Parts of a graph that are computed again.
local peri = require "perilune"
local nn = peri.nn
local fails = require("support.fails").at_script
local failing = require "support.failing"

local F64 = { dtype = "float64" }
local function leaf(...) return peri.tensor({ ... }, F64):requires_grad_() end
local function grads(net, v)
  local list = { v.grad }
  for _, p in ipairs(net:parameters()) do list[#list + 1] = p.grad end
  return list
end
local function clear(net, v)
  v.grad = nil
  for _, p in ipairs(net:parameters()) do p.grad = nil end
end

describe("checkpoint", function()
  it("gives the values and gradients of the layer, of which parameters take part by themselves", function()
    local net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2), nn.Tanh())
    local v = peri.randn(4, 3, { generator = peri.Generator(1), requires_grad = true })
    local y = net(v)
    y:sum():backward()
    local plain = grads(net, v)
    for i, g in ipairs(plain) do plain[i] = g:clone() end
    clear(net, v)
    local again = peri.checkpoint(net, v)
    assert.is_true(again:equal(y))
    again:sum():backward()
    for i, g in ipairs(grads(net, v)) do assert.is_true(g:equal(plain[i]), i) end
    local w = v:detach() -- the layer's parameters alone
    clear(net, v)
    peri.checkpoint(net, w):sum():backward()
    assert.is_true(net[1].weight.grad:equal(plain[2]))
    assert.is_false(peri.no_grad(peri.checkpoint, net, v).requires_grad)
  end)

  it("drops the same, in the mode of then, and leaves stream and mode alone", function()
    local net = nn.Sequential(nn.Dropout { p = 0.5 }, nn.Linear(20, 20), nn.Dropout { p = 0.3 })
    local v = peri.ones(4, 20, { requires_grad = true })
    peri.manual_seed(5)
    net(v):sum():backward()
    local plain, drawn = v.grad:clone(), peri.rand(3)
    clear(net, v)
    peri.manual_seed(5)
    local y = peri.checkpoint(net, v)
    assert.is_true(drawn:equal(peri.rand(3)))
    local state = peri.get_rng_state()
    net:eval()
    y:sum():backward()
    assert.is_true(v.grad:equal(plain))
    assert.is_true(state:equal(peri.get_rng_state()))
    assert.same({ false, false }, { net.training, net[1].training })
  end)

  it("takes functions of several values, with the parameters named", function()
    local w, u = leaf(2), leaf(5)
    local a, b = leaf(3), leaf(4)
    local function f(p, n, q) return p * w * n, q * u + p end
    local y, z = peri.checkpoint(f, a, 10, b, { parameters = { w, u } });
    (y:sum() + (z * 2):sum()):backward()
    assert.same({ 22, 10, 30, 8 }, { a.grad[1], b.grad[1], w.grad[1], u.grad[1] })
    local only = peri.grad(peri.checkpoint(f, a, 10, b, { parameters = { w, u } }):sum(), { a, u })
    assert.same({ 20, false }, { only[1][1], only[2] and only[2][1] ~= 0 })
  end)

  it("is an error where a leaf was not named", function()
    local w, a = leaf(2), leaf(3)
    fails("checkpoint: f works on a float64 tensor 1 that requires grad and is no argument", function()
      peri.checkpoint(function(v) return v * w end, a):backward()
    end)
    assert.is_nil(a.grad)
    fails("reached mul", function()
      local c = w * 2
      local y = peri.checkpoint(function(v) return v * c end, a);
      (y + c):backward()
    end)
  end)

  it("nests, and is differentiated again", function()
    local w = leaf(0.5, -1)
    local function inner(v) return (v * w):tanh() end
    local function outer(v) return peri.checkpoint(inner, v * v, { parameters = { w } }) * v end
    local function f(v) return peri.checkpoint(outer, v, { parameters = w }) end
    local v = leaf(0.3, 0.7)
    assert.is_true(peri.gradcheck(f, v))
    assert.is_true(peri.gradgradcheck(f, v))
    assert.is_true(peri.gradgradcheck(function(p) return peri.checkpoint(function(q) return q ^ 3 end, p) end, v))
    f(v):sum():backward()
    local g = w.grad:clone()
    w.grad = nil;
    ((v * v * w):tanh() * v):sum():backward()
    assert.is_true(g:allclose(w.grad))
  end)

  it("holds less memory than the graph, and less at its peak", function()
    local blocks = {}
    for i = 1, 6 do
      local layers = {}
      for k = 1, 12, 2 do layers[k], layers[k + 1] = nn.Linear(64, 64), nn.Tanh() end
      blocks[i] = nn.Sequential(layers)
    end
    local v = peri.randn(8000, 64)
    local function run(call)
      local before = failing.live()
      local y = v
      for _, block in ipairs(blocks) do y = call(block, y) end
      local loss = y:sum()
      local held = failing.live() - before
      loss:backward()
      for _, block in ipairs(blocks) do block:zero_grad() end
      return held, peri.memory().peak
    end
    run(peri.checkpoint)
    local small, low = run(peri.checkpoint)
    local large, high = run(function(block, y) return block(y) end)
    assert.is_true(small < large * 0.5, small .. " of " .. large)
    assert.is_true(low < high * 0.75, low .. " of " .. high)
  end)

  it("hands errors on, and gives everything back", function()
    local a, e, calls = leaf(3), {}, 0
    local stream
    local y = peri.checkpoint(function(v)
      calls = calls + 1
      peri.rand(1)
      if calls == 2 then error(e) end
      return v * 2
    end, a)
    stream = peri.get_rng_state()
    local ok, message = pcall(y.backward, y)
    assert.is_false(ok)
    assert.equal(e, message)
    assert.same({ nil, true, true }, { a.grad, stream:equal(peri.get_rng_state()), peri.is_grad_enabled() })
    y:backward()
    assert.same({ 2 }, a.grad:totable())
    fails("checkpoint: f must be a function, got 3", peri.checkpoint, 3, a)
    fails("checkpoint: unknown option parameter", peri.checkpoint, print, a, { parameter = a })
    fails("checkpoint: parameters[1] is computed from others", peri.checkpoint, print, a, { parameters = a * 1 })
    fails("checkpoint: forward gave nothing", peri.checkpoint, function() end, a)
    for _, other in ipairs {
      { "f gave 2 results when it was computed again, and 1 before", function(v) return v * 2, v * 3 end },
      { "f gave a tensor float64 of 0-d as result 1", function(v) return v:sum() end },
      { "f gave a tensor float64 of 1x1 as result 1", function(v) return v:view(1, 1) * 2 end },
      { "f gave a tensor float32 of 1 as result 1", function(v) return v:to "float32" end },
      { "f gave 'a' as result 1", function() return "a" end },
    } do
      local b, again = leaf(3), false
      local z = peri.checkpoint(function(v)
        if again then return other[2](v) end
        again = true
        return v * 2
      end, b)
      fails("checkpoint: " .. other[1], z.backward, z)
      assert.is_nil(b.grad)
    end
    fails("was changed in place", function()
      local w = leaf(1)
      local z = peri.checkpoint(function(v) return v * w end, a, { parameters = w })
      peri.no_grad(w.add_, w, 1)
      z:backward()
    end)
  end)

  it("keeps nothing, and leaves everything as it was when memory is short", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Dropout { p = 0.5 })
    local v = peri.ones(3, 2, { requires_grad = true })
    local function step()
      peri.checkpoint(net, v):sum():backward()
      peri.checkpoint(net, v)
    end
    local function live() -- one graph holds the next
      for _ = 1, 3 do failing.live() end
      return failing.live()
    end
    for _ = 1, 10 do step() end
    local before = live()
    for _ = 1, 100 do step() end
    assert.is_true(live() <= before)
    clear(net, v)
    local function state() return peri.get_rng_state():bytes() .. (v.grad and v.grad:bytes() or "") end
    live()
    failing.inject("checkpoint", nil, function() return peri.checkpoint(net, v) end)
    local loss = peri.checkpoint(net, v):sum()
    live()
    failing.inject("backward", state, function() loss:backward { retain_graph = true } end)
  end)
end)
