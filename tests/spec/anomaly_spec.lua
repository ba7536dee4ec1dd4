-- The mode that finds who made a NaN, and pictures of the graph.
local peri = require "perilune"
local nn = peri.nn
local fails = require("support.fails").at_script
local failing = require "support.failing"

local function leaf(...) return peri.tensor({ ... }, { requires_grad = true }) end
local function detect(f) return function() return peri.detect_anomaly(f) end end
-- The line of the script that calls it.
local function line() return debug.getinfo(2, "l").currentline end

describe("detecting anomalies", function()
  it("names the operation that made them of finite arguments, and no other", function()
    fails("log: the result has inf, and the arguments are finite (x is float32 3)",
      detect(function() return peri.tensor({ 1, 0, 2 }):log() end))
    fails("div: the result has nan and inf", detect(function()
      return peri.tensor { 0, 1 } / peri.tensor { 0, 0 }
    end))
    fails("sqrt_: the result has nan", detect(function() return peri.tensor({ -1 }):sqrt_() end))
    fails("einsum: the result has inf", detect(function()
      return peri.einsum("i,i->", peri.full({ 2 }, 3e38), peri.full({ 2 }, 3e38))
    end))
    local bad = peri.tensor { 1, -1 / 0, 0 / 0 }
    peri.detect_anomaly(function() -- what is not finite already is nobody's fault
      assert.equal(2, (bad + 1):isfinite():logical_not():sum():item())
      peri.zeros(2, 2):masked_fill(peri.eye(2):gt(0), -math.huge):softmax(2)
      peri.full({ 2 }, math.huge)
      assert.equal(1, (peri.arange(1, 3) // 2):sum():item() // 2)
    end)
    assert.has_no.errors(function() return peri.tensor({ 0 }):log() end)
  end)

  it("names the layer in which it runs", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh(), nn.Linear(2, 2)))
    peri.no_grad(function() net[2][2].weight:fill_(3e38) net[1].bias:fill_(5) end)
    fails("linear: the result has inf, in Sequential[2].Sequential[2], and the arguments are finite",
      detect(function() return net(peri.ones(1, 2)) end))
    local Net = nn.Module.extend "Net"
    function Net:forward(x) return (x - 1):log() end -- luacheck: ignore
    fails("log: the result has inf, in Sequential[1]", detect(function()
      return nn.Sequential(Net())(peri.ones(1, 2))
    end))
  end)

  it("names who made it in the walk back, with the line that recorded it", function()
    local x, at = leaf(0, 4), nil
    local y = peri.detect_anomaly(function()
      at = line() + 1
      local root = x:sqrt()
      return root:sum()
    end)
    local words = ("backward: the gradient of sqrt by x has inf, and the gradient of its result is finite "
      .. "(x is float32 2, recorded at tests/spec/anomaly_spec.lua:%d)"):format(at)
    fails(words, detect(function() y:backward { retain_graph = true } end))
    assert.is_nil(x.grad)
    fails("grad: the gradient of sqrt by x has inf", detect(function() peri.grad(y, x, { retain_graph = true }) end))
    y:backward()
    assert.equal(math.huge, x.grad[1])
    fails("backward: the gradient that reached the result of sum has nan", detect(function()
      x:sum():backward(peri.tensor(0 / 0))
    end))
    fails("(x is float32 2)", detect(function() -- recorded before, without a line
      local before
      peri.set_detect_anomaly(false)
      before = x:sqrt():sum()
      peri.set_detect_anomaly(true)
      before:backward()
    end))
    local net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    local Root = nn.Module.extend "Root"
    function Root:forward(v) return (v * 0):sqrt() end -- luacheck: ignore
    fails("in Sequential[2]", detect(function() nn.Sequential(net, Root())(peri.ones(1, 2)):sum():backward() end))
  end)

  it("finds what functions and hooks of scripts make", function()
    local f = peri.Function.extend("Bad", { forward = function(_, x) return x * 1 end,
      backward = function(_, g) return g / 0 end })
    local x = leaf(1)
    fails("div: the result has inf", detect(function() f(x):backward() end))
    local g = peri.Function.extend("Bad", { forward = function(_, v) return v * 1 end,
      backward = function() return peri.full({ 1 }, 0 / 0) end })
    fails("backward: the gradient of Bad by inputs[1] has nan", detect(function() g(x):backward() end))
    local y = x * 2
    y:register_hook(function() return peri.full({ 1 }, math.huge) end)
    fails("backward: the gradient that reached the result of mul has inf", detect(function() y:backward() end))
    assert.is_nil(x.grad)
  end)

  it("is a mode that comes back", function()
    assert.has_error(detect(function() error "mine" end))
    assert.has_no.errors(function() return peri.zeros(1):log() end)
    local ok = coroutine.resume(coroutine.create(detect(function() coroutine.yield() end)))
    assert.is_false(ok)
    assert.has_no.errors(function() return peri.zeros(1):log() end)
    peri.set_detect_anomaly(true)
    local caught = pcall(function() return peri.zeros(1):log() end)
    peri.set_detect_anomaly(false)
    assert.is_false(caught)
    assert.equal(3, peri.detect_anomaly(function(a, b) return a + b end, 1, 2))
    fails("set_detect_anomaly: on must be true or false, got nil", peri.set_detect_anomaly, nil)
    fails("detect_anomaly: f must be a function, got 3", peri.detect_anomaly, 3)
  end)

  it("keeps nothing, and leaves everything as it was when memory is short", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    local function step()
      peri.detect_anomaly(function()
        net(peri.ones(1, 2)):sum():backward()
        pcall(function() return net(peri.ones(1, 2)):sub(100):log() end)
      end)
      net:zero_grad()
    end
    for _ = 1, 10 do step() end
    local before = failing.live()
    for _ = 1, 100 do step() end
    assert.is_true(failing.live() <= before)
    failing.inject("forward", nil, detect(function() return net(peri.ones(1, 2)) end))
    local x = leaf(1, 2)
    local y = peri.detect_anomaly(function() return (x * x):sum() end)
    failing.inject("backward", function() return x.grad and x.grad:bytes() end, detect(function()
      y:backward { retain_graph = true }
    end))
  end)
end)

describe("explain", function()
  it("draws the graph as a tree, with what is known", function()
    local w, x = leaf(2, 3), peri.tensor { 5, 7 }
    local y = (w * x + w):sum()
    assert.equal(table.concat({
      "sum  float32 (); 36",
      "`- x = add  float32 2",
      "   |- x = mul  float32 2",
      "   |  |- x = leaf [1]  float32 2; 2 to 3; no gradient yet",
      "   |  `- y = constant  float32 2; 5 to 7",
      "   `- y = leaf: see [1]",
    }, "\n"), (peri.explain(y):gsub("a = ", "x = "):gsub("b = ", "y = ")))
    y:backward { retain_graph = true }
    assert.truthy(peri.explain(y):find("gradient: norm 10", 1, true))
    assert.truthy(peri.explain(w):find "^leaf  float32 2; 2 to 3; gradient: norm")
  end)

  it("names parameters, lines, and functions written in Lua", function()
    local net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    local f = peri.Function.extend("Twice", { forward = function(_, x) return x * 2 end,
      backward = function(_, g) return g * 2 end })
    local y = peri.detect_anomaly(function() return f(net(peri.ones(4, 2))):mean() end)
    local text = peri.explain(y, { net = net })
    for _, words in ipairs { "mean  float32 ()", "Twice  float32 4x1", "1.weight", "3.bias",
      "linear + tanh  float32 4x3",
      "tests/spec/anomaly_spec.lua:", "in Sequential[1]" } do
      assert.truthy(text:find(words, 1, true), words .. "\n" .. text)
    end
  end)

  it("draws a picture, and writes files", function()
    local w = leaf(1, 2)
    local y = (w * w):exp():sum()
    local text = peri.explain(y, { format = "svg" })
    assert.truthy(text:find "^<svg ")
    for _, word in ipairs { "sum", "exp", "mul", "leaf", "float32 2" } do
      assert.truthy(text:find(word, 1, true), word)
    end
    local _, boxes = text:gsub('<rect x="', "")
    assert.equal(4, boxes)
    local path = os.tmpname()
    local pictured = path .. ".svg"
    assert.equal(text, peri.explain(y, { path = pictured }))
    peri.explain(y, { path = path })
    for name, wanted in pairs { [path] = peri.explain(y) .. "\n", [pictured] = text } do
      local file <close> = assert(io.open(name))
      assert.equal(wanted, file:read "a")
      os.remove(name)
    end
  end)

  it("goes through long graphs, and says what is wrong", function()
    local w = leaf(1)
    local y = w
    for _ = 1, 3000 do y = y * 1 end
    local text = peri.explain(y)
    assert.equal(3000 + 29, select(2, text:gsub("\n", "\n"))) -- with each hundredth's "see [n]"
    for n = 1, 29 do
      assert.truthy(text:find("mul: see [" .. n .. "]\nmul [" .. n .. "]  ", 1, true), n)
    end
    for row in text:gmatch "[^\n]+" do assert.truthy(#row < 400) end
    assert.truthy(#peri.explain(y, { format = "svg" }) > 3000)
    fails("explain: x does not require grad", peri.explain, peri.ones(1))
    fails("explain: x must be a tensor, got 3", peri.explain, 3)
    fails("explain: format must be one of text, svg, got 'png'", peri.explain, y, { format = "png" })
    fails("explain: net must be a layer, got 3", peri.explain, y, { net = 3 })
    fails("explain: /nowhere/x", peri.explain, y, { path = "/nowhere/x" })
    y = w * 2
    y:backward()
    fails("explain: the graph of mul was freed by an earlier backward or grad", peri.explain, y)
  end)

  it("keeps nothing, also when memory is short, and may be called within a hook on another graph", function()
    local w = leaf(1, 2)
    local y, text = (w * 2):sum(), nil
    fails("explain: path is 'graph.png' (expected a name that ends in .svg, or in .txt for text)", peri.explain, y,
      { path = "graph.png" })
    failing.inject("explain", function() return w:bytes() end, function() return peri.explain(y) end)
    local v = leaf(1)
    v:register_hook(function() text = peri.explain(y) end)
    v:sum():backward()
    assert.truthy(text:find "mul")
    y:register_hook(function() peri.explain(y) end)
    fails("explain: reached sum, through which a backward or grad that called this goes", function() y:backward() end)
  end)
end)
