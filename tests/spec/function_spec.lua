-- Functions with a gradient written in Lua, and hooks on tensors: what they compute, and what they survive.
local peri = require "perilune"
local fails = require("support.fails").at_script
local failing = require "support.failing"

local F64 = { dtype = "float64" }
local function x64(...) return peri.tensor({ ... }, F64) end
local function leaf(...) return x64(...):requires_grad_() end
local function close(a, b) assert.is_true(a:allclose(b, { atol = 1e-12 }), tostring(a) .. "\n" .. tostring(b)) end

local Swish = peri.Function.extend("Swish", {
  forward = function(ctx, x, beta)
    ctx:save_for_backward(x)
    ctx.beta = beta
    return x * (x * beta):sigmoid()
  end,
  backward = function(ctx, g)
    local x = ctx.saved_tensors[1]
    local s = (x * ctx.beta):sigmoid()
    return g * (s + x * s * (1 - s) * ctx.beta), nil
  end,
})
local Exp = peri.Function.extend("Exp", {
  forward = function(ctx, x)
    local y = x:exp()
    ctx:save_for_backward(y)
    return y
  end,
  backward = function(ctx, g) return g * ctx.saved_tensors[1] end,
})
-- Two results of two tensors: a b and a + b.
local Both = peri.Function.extend("Both", {
  forward = function(ctx, a, b)
    ctx:save_for_backward(a, nil, b)
    return a * b, a + b
  end,
  backward = function(ctx, g, h)
    local a, b = ctx.saved_tensors[1], ctx.saved_tensors[3]
    return g * b + h, g * a + h
  end,
})
-- A function of one argument whose backward is f.
local function with_backward(f)
  return peri.Function.extend("Probe", { forward = function(_, x) return x * 2 end, backward = f })
end

describe("a function written in Lua", function()
  it("has the gradients that it says, of the first and the second order", function()
    local x, b = peri.randn(3, 2, { dtype = "float64", generator = peri.Generator(1) }), x64(0.5, 2)
    for _, f in ipairs { function(v) return Swish(v, 2) end, Exp, function(v) return Exp(Swish(v, 1.5)):sum(1) end } do
      assert.is_true(peri.gradcheck(f, x))
      assert.is_true(peri.gradgradcheck(f, x))
    end
    assert.is_true(peri.gradcheck(Both, { x, peri.randn(3, 2, F64) }))
    assert.is_true(peri.gradgradcheck(Both, { x, x + 1 }))
    assert.is_true(peri.gradgradcheck(function(v) return (Both(v, v)) end, b))
  end)

  it("is what its operations are, when they are recorded", function()
    local x = leaf(0.3, -1)
    Swish(x, 2):sum():backward()
    local y = x:detach():requires_grad_();
    (y * (y * 2):sigmoid()):sum():backward()
    close(x.grad, y.grad)
  end)

  it("gets zeros for a result that nothing depends on, and nil stands for zeros", function()
    local a, b, seen = leaf(2), leaf(3), nil
    local product, sum = Both(a, b)
    sum:backward()
    assert.same({ { 1 }, { 1 } }, { a.grad:totable(), b.grad:totable() })
    assert.is_true(product.requires_grad)
    local f = with_backward(function(_, g) seen = g end)
    assert.is_false(peri.grad(f(a):sum(), a))
    assert.same({ 1 }, seen:totable())
  end)

  it("knows which gradients are wanted", function()
    local seen
    local f = peri.Function.extend("Wanted", {
      forward = function(ctx, a, n, b)
        seen = ctx.needs_input_grad
        ctx.n = n
        return a + b
      end,
      backward = function(ctx, g)
        assert.equal(seen, ctx.needs_input_grad)
        return g * ctx.n, nil, ctx.needs_input_grad[3] and g or nil
      end,
    })
    local a = leaf(1)
    peri.enable_grad(f, a, 3, x64(1)):backward()
    assert.same({ true, false, false }, seen)
    assert.same({ 3 }, a.grad:totable())
    assert.is_false(f(x64(1), 3, x64(1)).requires_grad)
    assert.is_false(peri.no_grad(f, a, 3, x64(1)).requires_grad)
    assert.same({ false, false, false }, seen)
  end)

  it("may give its argument, tensors that are no floats, and be called with whatever", function()
    local f = peri.Function.extend("Same", {
      forward = function(_, x, i) return x, i, x:gt(0) end,
      backward = function(_, g, none, neither)
        assert.same({ { 0, 0 }, { false } }, { none:totable(), neither:totable() })
        return g * 5
      end,
    })
    local x = leaf(1)
    local y, i, positive = f(x, peri.arange(1, 2), {}, "a", nil)
    assert.same({ { 1 }, { 1, 2 }, { true } }, { y:detach():totable(), i:totable(), positive:totable() })
    assert.same({ false, true, false, false }, { y.is_leaf, x.is_leaf, i.requires_grad, positive.requires_grad })
    y:backward()
    assert.same({ 5 }, x.grad:totable())
  end)

  it("may call grad and backward within its backward", function()
    local inner = leaf(4)
    local f = with_backward(function(_, g)
      local v = leaf(3)
      local first = peri.enable_grad(function() return peri.grad((v ^ 2):sum(), v) end)
      peri.enable_grad(function() (inner * inner):sum():backward() end)
      return g * first
    end)
    local x = leaf(1)
    peri.grad(f(f(x)):sum() + (inner * x):sum(), { x, inner })
    assert.same({ 16 }, inner.grad:totable()) -- twice; of the outer walk nothing
    inner.grad = nil;
    (f(x):sum() + (inner * x):sum()):backward()
    assert.same({ { 10 }, { 9 } }, { x.grad:totable(), inner.grad:totable() })
  end)

  it("does not walk through the graph of the walk that calls it", function()
    local x, y = leaf(1), nil
    local f = with_backward(function(_, g)
      peri.enable_grad(function() y:sum():backward() end)
      return g
    end)
    y = x * 3
    fails("backward: reached mul, through which a backward or grad that called this goes (detach what it gave)",
      function() f(y):backward() end)
    assert.is_nil(x.grad)
    y:backward() -- which is as it was
    assert.same({ 3 }, x.grad:totable())
  end)

  it("hands its errors on, and leaves everything as it was", function()
    local x, e = leaf(1, 2), { "mine" }
    local bad = true
    local f = with_backward(function(_, g)
      if bad then error(e) end
      return g * 2
    end)
    local y = (f(x) * 3):sum()
    for _ = 1, 3 do
      local ok, message = pcall(y.backward, y)
      assert.is_false(ok)
      assert.equal(e, message)
      assert.same({ nil, true }, { x.grad, peri.is_grad_enabled() })
    end
    for _, value in ipairs { "text", 5, false } do
      e = value
      local ok, message = pcall(peri.grad, y, x)
      assert.is_false(ok)
      assert.equal(e, type(value) == "string" and "text" or message)
    end
    local ok, nothing = pcall(peri.grad, with_backward(function() error() end)(x):sum(), x)
    assert.same({ false, nil }, { ok, nothing })
    bad = false
    y:backward()
    assert.same({ 6, 6 }, x.grad:totable())
    ok, e = pcall(peri.Function.extend("Bad", { forward = function() error { 7 } end, backward = print }), x)
    assert.same({ false, { 7 }, true }, { ok, e, peri.is_grad_enabled() })
  end)

  it("cannot yield from its backward, but runs in any coroutine, and makes its own", function()
    local x = leaf(1)
    local f = with_backward(function(_, g) coroutine.yield() return g end)
    local co = coroutine.create(function() f(x):backward() end)
    local ok, message = coroutine.resume(co)
    assert.is_false(ok)
    assert.matches("yield", message)
    local g = with_backward(function(_, v)
      return coroutine.wrap(function()
        local w = leaf(3)
        peri.enable_grad(function() (w * w):sum():backward() end)
        return v * w.grad
      end)()
    end)
    coroutine.wrap(function() g(g(x)):backward() end)()
    collectgarbage()
    assert.same({ 36, true }, { x.grad[1], peri.is_grad_enabled() })
  end)

  it("says what is wrong", function()
    local x = leaf(1, 2)
    local function back(f) return function() with_backward(f)(x):sum():backward() end end
    fails("Probe: backward gave a gradient 3 for argument 1, which is 2", back(function() return peri.ones(3) end))
    fails("Probe: backward gave 'a' for argument 1 (expected a tensor of floats, or nil)",
      back(function() return "a" end))
    fails("Probe: backward gave a tensor int64 of 2 for argument 1", back(function() return peri.arange(1, 2) end))
    fails("Probe: backward gave 2 gradients (expected 1: one for each argument of forward)",
      back(function(_, g) return g, nil end))
    fails("Swish: backward gave a gradient for argument 2, which is no tensor of floats (expected nil)", function()
      local f = peri.Function.extend("Swish", { forward = function(_, v) return v * 1 end,
        backward = function(_, g) return g, g end })
      f(x, 3):sum():backward()
    end)
    fails("Nothing: forward gave nothing", peri.Function.extend("Nothing", { forward = function() end,
      backward = print }), x)
    fails("Nil: forward gave nil as result 2", peri.Function.extend("Nil", { backward = print,
      forward = function(_, v) return v, nil end }), x)
    fails("extend: the function's name must be a name, got 3", peri.Function.extend, 3)
    fails("extend: forward is missing", peri.Function.extend, "A", { backward = print })
    fails("extend: unknown option backwards", peri.Function.extend, "A", { forward = print, backwards = print })
    fails("saved tensor 1 must be a tensor or nil, got 3", peri.Function.extend("Saves", { backward = print,
      forward = function(ctx) ctx:save_for_backward(3) end }), x)
    fails("save_for_backward: called with 3", function()
      peri.Function.extend("Saves", { backward = print, forward = function(ctx) ctx.save_for_backward(3) end })(x)
    end)
    fails("Late: save_for_backward is called after forward", function()
      local kept
      peri.Function.extend("Late", { backward = print, forward = function(ctx, v) kept = ctx return v end })(x)
      kept:save_for_backward(x)
    end)
  end)

  it("notices that a saved tensor was changed in place", function()
    local x, w = leaf(1), x64(2)
    local f = peri.Function.extend("Keeps", {
      forward = function(ctx, v)
        ctx:save_for_backward(v, w)
        return v * w
      end,
      backward = function(ctx, g) return g * ctx.saved_tensors[2] end,
    })
    local y = f(x)
    w:mul_(2)
    fails("Keeps: saved tensor 2 was changed in place after it was saved (version 0, now 1)", function()
      y:backward()
    end)
    fails("Exp: saved tensor 1 was changed in place", function()
      local z = Exp(x)
      peri.no_grad(z.mul_, z, 2)
      z:backward()
    end)
  end)

  it("is freed with the graph, and keeps no memory over many steps", function()
    local x = leaf(1, 2, 3)
    fails("the graph of Swish was freed by an earlier backward", function()
      local y = Swish(x, 2)
      y:sum():backward()
      y:sum():backward()
    end)
    local function step()
      local y = Swish(Exp(x), 2):sum() + Both(x, x):sum()
      y:backward({ retain_graph = true })
      y:backward()
      peri.grad(Exp(Swish(x, 1)):sum(), x, { create_graph = true })
      Swish(x, 3) -- never walked
    end
    for _ = 1, 20 do step() end
    local before = failing.live()
    for _ = 1, 100 do step() end
    assert.is_true(failing.live() <= before)
    local function least() -- of four rounds: weak tables grow and shrink with the collector's turns
      local low = math.huge
      for _ = 1, 4 do
        for _ = 1, 100 do step() end
        failing.live()
        low = math.min(low, collectgarbage "count")
      end
      return low
    end
    local lua = least()
    assert.is_true(least() < lua + 20)
  end)

  it("gives a gradient for each argument that wants one", function()
    local x = leaf(1, 2)
    local two = peri.Function.extend("Two", { forward = function(_, a, b) return a + b end,
      backward = function(_, g) return g end })
    fails("Two: backward gave 1 gradients (expected 2: one for each argument of forward, or nil for zeros)",
      function() two(x, leaf(1, 2)):sum():backward() end)
    two(x, peri.ones(2)):sum():backward() -- no gradient of the second is wanted
    assert.same({ 1, 1 }, x.grad:totable())
  end)

  it("leaves everything as it was when memory is short", function()
    local x = leaf(1, 2)
    failing.inject("Both", nil, function() return (Both(x, x)) end)
    local loss = (Swish(Exp(x), 2) + Both(x, x)):sum()
    failing.inject("backward", function() return x.grad and x.grad:bytes() end, function()
      loss:backward { retain_graph = true }
    end)
    failing.inject("grad", nil, function() return peri.grad(loss, x, { create_graph = true }) end)
  end)

  it("may release what it works on, and so may its finalisers", function()
    local x = leaf(1, 2)
    local y
    local f = with_backward(function(_, g)
      local h = g * 2
      g:release()
      if y then y:release() end
      return h
    end)
    y = f(f(x)):sum()
    y:backward()
    assert.same({ 4, 4 }, x.grad:totable())
    local input = leaf(5) * 1
    local z = with_backward(function(_, g) input:release() return g end)(input)
    assert.same({ 1 }, peri.grad(z, input):totable())
    fails("forward gave a released tensor", peri.Function.extend("Gone", { backward = print, forward = function(_, v)
      local r = v * 2
      r:release()
      return r
    end }), x)
  end)

  it("gives the right gradient, or a clean error, while a finaliser releases its tensors", function()
    local function collecting(k, act, g)
      local function arm(n)
        setmetatable({}, { __gc = function() if n > 1 then arm(n - 1) else act() end end })
      end
      arm(k)
      collectgarbage("incremental", 1, 1000, 30)
      collectgarbage "step"
      local result = table.pack(pcall(g))
      collectgarbage("incremental", 400, 200, 13)
      return result
    end
    for k = 1, 24 do
      local x, a = leaf(1, 2), x64(3, 4)
      local y = Both(x, a)
      local other = Exp(x)
      local result = collecting(k, function()
        pcall(a.release, a)
        pcall(y.release, y)
        pcall(function() other:sum():backward() end)
      end, function()
        local z = (y + Swish(Both(x, a), 2)):sum()
        return peri.grad(z, x)
      end)
      if result[1] then
        assert.equal(2, result[2]:numel())
      else
        assert.matches("released", tostring(result[2]))
      end
    end
  end)
end)

describe("a hook on a tensor", function()
  it("sees the whole gradient of a leaf, once, before it reaches .grad", function()
    local x, seen = leaf(1, 2), {}
    local h = x:register_hook(function(g) seen[#seen + 1] = g:totable() end);
    (x * 2 + x * 3):sum():backward()
    assert.same({ { 5, 5 } }, seen)
    assert.same({ 5, 5 }, x.grad:totable());
    (x * 2):sum():backward()
    assert.same({ { 5, 5 }, { 2, 2 } }, seen)
    h:remove()
    h:remove();
    (x * 2):sum():backward()
    assert.equal(2, #seen)
    assert.equal("hook", peri.type(h))
  end)

  it("may take the gradient's place, of computed tensors too", function()
    local x = leaf(1, 2)
    local y = x * 3
    local z = y:exp()
    y:register_hook(function(g) return g * 0 + 1 end)
    x:register_hook(function(g) return -g end)
    z:sum():backward { retain_graph = true }
    assert.same({ -3, -3 }, x.grad:totable())
    assert.same({ { 1, 1 }, { -3, -3 } }, { peri.grad(z:sum(), y, { retain_graph = true }):totable(),
      peri.grad(z:sum(), x, { retain_graph = true }):totable() })
    local constant = x64(7, 7)
    y:register_hook(function() return constant end)
    x.grad = nil
    z:sum():backward()
    assert.same({ { -21, -21 }, { 7, 7 } }, { x.grad:totable(), constant:totable() })
  end)

  it("is called in the order in which it was given, and may give or remove others", function()
    local x, order, second = leaf(1), "", nil
    x:register_hook(function()
      order = order .. "a"
      if second then second:remove() end
    end)
    second = x:register_hook(function() order = order .. "b" end)
    local third
    third = x:register_hook(function()
      order = order .. "c"
      third:remove()
      x:register_hook(function() order = order .. "d" end)
    end)
    x:sum():backward()
    assert.equal("acd", order)
    x:sum():backward()
    assert.equal("acdad", order)
  end)

  it("of grad is called at the leaves that it is asked for", function()
    local x, w, seen = leaf(1), leaf(2), ""
    x:register_hook(function() seen = seen .. "x" end)
    w:register_hook(function() seen = seen .. "w" end)
    peri.grad((x * w):sum(), x)
    peri.grad((x * w):sum(), { w, w })
    assert.equal("xw", seen)
  end)

  it("lives as long as the tensor, not the handle", function()
    local w, seen = peri.nn.Linear(2, 1), 0
    w.weight:register_hook(function() seen = seen + 1 end)
    collectgarbage()
    w(peri.ones(1, 2)):sum():backward()
    assert.equal(1, seen)
    local x = leaf(1)
    do
      local y = x * 2
      y:register_hook(function(g) return g * 10 end)
      x = y:sum()
    end
    collectgarbage()
    x:backward()
  end)

  it("is recorded where the gradient is to be differentiated again", function()
    local x = leaf(3)
    local y = x * x
    y:register_hook(function(g) return g * x end)
    local g = peri.grad(y:sum(), x, { create_graph = true })
    close(g, x64(18)) -- x 2 x
    close(peri.grad(g:sum(), x), x64(12)) -- 4 x
    local z = leaf(3)
    z:register_hook(function() return z end) -- no graph without it
    z:sum():backward()
    assert.same({ { 3 }, false }, { z.grad:totable(), z.grad.requires_grad })
    z.grad:zero_()
    assert.same({ 3 }, z:detach():totable())
  end)

  it("may walk through other graphs, with the same leaves", function()
    local x, w = leaf(1), leaf(2)
    x:register_hook(function(g)
      peri.enable_grad(function() (x:detach() * w * 10):sum():backward() end)
      return g + peri.enable_grad(function() return peri.grad((w * w):sum(), w) end)
    end);
    (x * w):sum():backward()
    assert.same({ { 6 }, { 11 } }, { x.grad:totable(), w.grad:totable() })
  end)

  it("says what is wrong, and its errors go on", function()
    local x = leaf(1, 2)
    fails("register_hook: f must be a function, got 3", x.register_hook, x, 3)
    fails("register_hook: the tensor does not require grad", x64(1).register_hook, x64(1), print)
    local y = x * 2
    y:sum():backward()
    fails("register_hook: the graph of mul was freed", y.register_hook, y, print)
    x.grad = nil
    local h = x:register_hook(function() return 5 end)
    fails("register_hook: the function gave 5 (expected nil, or a tensor float64 of 2 as the gradient)",
      function() x:sum():backward() end)
    h:remove()
    h = x:register_hook(function() return peri.ones(2) end)
    fails("the function gave a tensor float32 of 2 (expected nil, or a tensor float64 of 2", function()
      x:sum():backward()
    end)
    h:remove()
    local e = {}
    h = x:register_hook(function() error(e) end)
    local ok, message = pcall(function() x:sum():backward() end)
    assert.equal(e, message)
    assert.same({ false, nil }, { ok, x.grad })
    h:remove()
    fails("remove: called with 3 (expected h:remove())", h.remove, 3)
    fails("hook: there is no field or method 'removed': did you mean remove?", function() return h.removed end)
  end)

  it("keeps nothing over many steps, and all as it was when memory is short", function()
    local x = leaf(1, 2)
    local function step()
      local y = x * 2
      y:register_hook(function(g) return g * 2 end)
      local h = x:register_hook(function(g) return g + 1 end)
      y:sum():backward()
      h:remove();
      (x * 3):register_hook(print) -- never walked
    end
    for _ = 1, 10 do step() end
    local before = failing.live()
    for _ = 1, 100 do step() end
    assert.is_true(failing.live() <= before)
    x.grad = nil
    local y = x * 2
    failing.inject("register_hook", nil, function() y:register_hook(print):remove() end)
    y:register_hook(function(g) return g * 2 end)
    x:register_hook(function(g) return g + 1 end)
    failing.inject("backward", function() return x.grad and x.grad:bytes() end, function()
      y:sum():backward { retain_graph = true }
    end)
    assert.same({ 5, 5 }, x.grad:totable())
  end)
end)
