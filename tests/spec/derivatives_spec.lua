-- Derivatives of whole functions, beside formulas and finite differences.
local peri = require "perilune"
local nn = peri.nn
local fails = require("support.fails").at_script

local F64 = { dtype = "float64" }
local function x64(...) return peri.tensor({ ... }, F64) end
local function close(a, b) assert.is_true(a:allclose(b, { atol = 1e-9 }), tostring(a) .. "\n" .. tostring(b)) end

describe("jacobian", function()
  it("has the result's shape, then the input's", function()
    local A = peri.randn(3, 4, { dtype = "float64", generator = peri.Generator(1) })
    close(peri.jacobian(function(x) return A:matmul(x) end, peri.ones(4, F64)), A)
    local J = peri.jacobian(function(x) return x * x end, x64({ 1, 2 }, { 3, 4 }))
    assert.same({ 2, 2, 2, 2 }, J.shape)
    close(J:reshape(4, 4), peri.diag(x64(2, 4, 6, 8)))
    assert.is_false(J.requires_grad)
  end)

  it("has the form of the inputs, and of several results", function()
    local a, b = x64(1, 2), x64(3)
    local J = peri.jacobian(function(p, q) return p * q, q:sum(), p end, { a, b })
    assert.equal(3, #J)
    close(J[1][1], x64({ 3, 0 }, { 0, 3 }))
    close(J[1][2], x64({ 1 }, { 2 }))
    assert.same({ 0, 0 }, J[2][1]:totable())
    assert.same({ 2, 1 }, J[3][2].shape)
    assert.same({ 0, 2 }, peri.jacobian(function(x) return x:narrow(1, 1, 1)[x:narrow(1, 1, 1):gt(5)] end,
      peri.ones(2, F64)).shape)
  end)

  it("can be differentiated with create_graph, by the inputs that were given", function()
    local x = x64(1, 2):requires_grad_()
    local J = peri.jacobian(function(v) return v ^ 3 end, x, { create_graph = true })
    close(peri.grad(J:sum(), x), x64(6, 12))
    assert.is_nil(x.grad)
  end)

  it("works under no_grad, and gives the mode back after an error", function()
    peri.no_grad(function()
      close(peri.jacobian(function(v) return v * 2 end, x64(1)), x64({ 2 }))
      local ok, message = pcall(peri.jacobian, function() error({ "mine" }) end, x64(1))
      assert.same({ false, { "mine" } }, { ok, message })
      assert.is_false(peri.is_grad_enabled())
    end)
    assert.is_true(peri.is_grad_enabled())
  end)

  it("says what is wrong", function()
    local f = function(x) return x end
    fails("jacobian: fn must be a function, got 3", peri.jacobian, 3, x64(1))
    fails("jacobian: inputs must be a tensor or a list of tensors, got 3", peri.jacobian, f, 3)
    fails("jacobian: inputs[2] must be a tensor, got 'a'", peri.jacobian, f, { x64(1), "a" })
    fails("jacobian: inputs is an empty table", peri.jacobian, f, {})
    fails("jacobian: inputs is int64 (expected float32 or float64)", peri.jacobian, f, peri.arange(1, 3))
    fails("jacobian: fn gave 'y' (expected a tensor)", peri.jacobian, function() return "y" end, x64(1))
    fails("jacobian: fn gave nothing", peri.jacobian, function() end, x64(1))
    fails("jacobian: fn gave nil as result 2", peri.jacobian, function(x) return x, nil end, x64(1))
    fails("jacobian: unknown option graph", peri.jacobian, f, x64(1), { graph = true })
  end)
end)

describe("hessian", function()
  it("is symmetric, and blocks of it where there are several inputs", function()
    local A = peri.randn(3, 3, { dtype = "float64", generator = peri.Generator(2) })
    close(peri.hessian(function(x) return x:matmul(A):matmul(x) end, x64(1, 2, 3)), A + A.T)
    local H = peri.hessian(function(a, b) return (a * a * b):sum() end, { x64(1, 2), x64(3) })
    close(H[1][1], x64({ 6, 0 }, { 0, 6 }))
    close(H[1][2], x64({ 2 }, { 4 }))
    close(H[2][1], x64({ 2, 4 }))
    assert.same({ { 0 } }, H[2][2]:totable())
    assert.same({ { 0 } }, peri.hessian(function(x) return x:sum() end, x64(5)):totable())
  end)

  it("wants one element", function()
    fails("hessian: fn gave a tensor float64 of 2 (expected one element)", peri.hessian,
      function(x) return x end, x64(1, 2))
  end)

  it("can be differentiated with create_graph", function()
    local x = x64(2):requires_grad_()
    close(peri.grad(peri.hessian(function(v) return (v ^ 4):sum() end, x, { create_graph = true }):sum(), x), x64(48))
  end)
end)

describe("products with vectors", function()
  local A = peri.randn(3, 2, { dtype = "float64", generator = peri.Generator(3) })
  local function f(x) return A:matmul(x):tanh() end
  local x = x64(0.3, -0.2)
  local J = peri.jacobian(f, x)

  it("are those of the Jacobian", function()
    local v, u = x64(1, -2, 0.5), x64(0.7, 3)
    local y, g = peri.vjp(f, x, v)
    close(y, f(x))
    close(g, v:matmul(J))
    y, g = peri.jvp(f, x, u)
    close(y, f(x))
    close(g, J:matmul(u))
    assert.same({ false, false }, { y.requires_grad, g.requires_grad })
  end)

  it("are those of the Hessian", function()
    local function s(p) return f(p):sum() end
    local y, g = peri.hvp(s, x, x64(2, 1))
    close(y, s(x))
    close(g, peri.hessian(s, x):matmul(x64(2, 1)))
  end)

  it("take lists, and several results", function()
    local function g(a, b) return a * b, a + b end
    local inputs = { x64(2), x64(5) }
    local y, products = peri.vjp(g, inputs, { x64(1), x64(10) })
    assert.same({ { 10 }, { 7 } }, { y[1]:totable(), y[2]:totable() })
    assert.same({ { 15 }, { 12 } }, { products[1]:totable(), products[2]:totable() })
    y, products = peri.jvp(g, inputs, { x64(1), x64(10) })
    assert.same({ { 10 }, { 7 } }, { y[1]:totable(), y[2]:totable() })
    assert.same({ { 25 }, { 11 } }, { products[1]:totable(), products[2]:totable() })
    y, products = peri.hvp(function(a, b) return (a * b):sum() end, inputs, { x64(1), x64(10) })
    assert.same({ { 10 }, { 10 }, { 1 } }, { y:reshape(1):totable(), products[1]:totable(), products[2]:totable() })
  end)

  it("are zero where nothing depends on the inputs, or nothing of it on them twice", function()
    local one = function() return peri.ones(2, F64) end
    assert.same({ 0, 0 }, select(2, peri.vjp(one, x, x64(1, 1))):totable())
    assert.same({ 0, 0 }, select(2, peri.jvp(one, x, x64(1, 1))):totable())
    assert.same({ 0, 0 }, select(2, peri.hvp(function(v) return v:sum() end, x, x64(1, 1))):totable())
  end)

  it("can be differentiated with create_graph", function()
    local p = x64(3):requires_grad_()
    local function cube(v) return v ^ 3 end
    close(peri.grad(select(2, peri.vjp(cube, p, x64(2), { create_graph = true })):sum(), p), x64(36))
    close(peri.grad(select(2, peri.jvp(cube, p, x64(2), { create_graph = true })):sum(), p), x64(36))
    local _, product = peri.hvp(function(v) return cube(v):sum() end, p, x64(2), { create_graph = true })
    close(peri.grad(product:sum(), p), x64(12))
  end)

  it("say what is wrong with the vector", function()
    fails("vjp: v is missing, and what fn gives is 3", peri.vjp, f, x)
    fails("vjp: v is 2 (expected 3, as what fn gives)", peri.vjp, f, x, x64(1, 2))
    fails("jvp: v has 2 tensors (expected 1, one for each of inputs)", peri.jvp, f, x, { x, x })
    fails("hvp: v must be a tensor or a list of tensors, got 1", peri.hvp, f, x, 1)
  end)
end)

describe("per_sample_grad", function()
  it("is the gradient of each row alone", function()
    local net, ce = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)):to "float64", nn.CrossEntropyLoss()
    local X = peri.randn(5, 3, { dtype = "float64", generator = peri.Generator(4) })
    local y = peri.tensor({ 1, 2, 1, 2, 2 }, { dtype = "int64" })
    local function loss(a, b) return ce(net(a), b) end
    local rows = peri.per_sample_grad(loss, net, X, y)
    assert.equal(4, #rows)
    local whole = peri.grad(loss(X, y), net:parameters())
    for i, g in ipairs(rows) do
      assert.equal(5, g:size(1))
      close(g:mean(1), whole[i])
      close(g[3], peri.grad(loss(X:narrow(1, 3, 1), y:narrow(1, 3, 1)), net:parameters())[i])
      assert.is_nil(net:parameters()[i].grad)
    end
    local weight = net[1].weight
    assert.same({ 5, 4, 3 }, peri.per_sample_grad(loss, weight, X, y).shape)
    assert.same({ 0, 4, 3 }, peri.per_sample_grad(loss, weight, X:narrow(1, 1, 0), y:narrow(1, 1, 0)).shape)
  end)

  it("says what is wrong", function()
    local w = x64(1):requires_grad_()
    local function loss(a) return (a * w):sum() end
    fails("parameters does not require grad", peri.per_sample_grad, loss, x64(1), x64(1))
    fails("per_sample_grad: parameters is a MSELoss, which has none (expected tensors, or a layer with parameters)",
      peri.per_sample_grad, loss, peri.nn.MSELoss(), x64(1), x64(1))
    fails("data 2 has 3 rows (expected 2)", peri.per_sample_grad, loss, w, x64(1, 2), x64(1, 2, 3))
    fails("data 1 is a single number", peri.per_sample_grad, loss, w, peri.tensor(1))
    fails("data is an empty table", peri.per_sample_grad, loss, w)
  end)
end)

describe("gradcheck", function()
  it("is true of right gradients, of the first and the second order", function()
    local a = peri.randn(2, 3, { dtype = "float64", generator = peri.Generator(5) })
    local b = peri.randn(3, { dtype = "float64", generator = peri.Generator(6) })
    local function f(p, q) return (p * q):tanh(), q:exp(), p:gt(0) end
    assert.is_true(peri.gradcheck(f, { a, b }))
    assert.is_true(peri.gradgradcheck(f, { a, b }))
    assert.is_true(peri.gradcheck(function(x) return x:exp() end, b, { eps = 1e-5, atol = 1e-6, rtol = 1e-4 }))
    assert.is_true(peri.gradcheck(nn.Linear(3, 2, F64), a))
    assert.is_true(peri.gradcheck(function(x) return x:narrow(1, 1, 1):sum() end, b))
    assert.is_nil(a.grad)
    assert.same({ false, false }, { a.requires_grad, b.requires_grad })
  end)

  it("names what is wrong of a gradient", function()
    local x = x64({ 1, 2 }, { 3, 4 })
    local function bent(v) return (v * v:detach()):sum(1) end -- half of its gradient is missing
    fails("gradcheck: the gradient of output 1, element [1], by inputs, element [1, 1], is 1 "
      .. "(finite differences give ", peri.gradcheck, bent, x)
    fails("output 2, element [2], by inputs[2], element [1], is 0 (finite differences give 1",
      peri.gradcheck, function(p, q) return p, q:detach():flip(1) end, { x64(1, 2), x64(1, 2) })
    fails("gradgradcheck: the gradient of output 1", peri.gradgradcheck, function(v)
      return v * v:detach() + v * v
    end, x64(1, 2))
    fails("element []", peri.gradcheck, function(v) return v:detach() * 1 end, peri.tensor(1, F64))
  end)

  it("checks what requires grad, where anything does", function()
    local a, b = x64(1, 2):requires_grad_(), x64(1, 2)
    assert.is_true(peri.gradcheck(function(p, q) return p * q:detach() end, { a, b }))
    fails("inputs[2], element", peri.gradcheck, function(p, q) return p * q:detach() end, { a:detach(), b })
  end)

  it("wants float64, and says the way out", function()
    fails('gradcheck: inputs is float32 (expected float64, whose digits differences need: x:to "float64")',
      peri.gradcheck, function(x) return x end, peri.ones(2))
    fails("gradgradcheck: inputs[2] is float32", peri.gradgradcheck, function(x) return x end,
      { x64(1), peri.ones(2) })
    fails("inputs have no floats", peri.gradcheck, function(x) return x end, peri.arange(1, 3))
    fails("gradcheck: fn gave no floats", peri.gradcheck, function(x) return x:gt(0) end, x64(1))
    fails("gradcheck: eps is 0 (expected a number above 0)", peri.gradcheck, function(x) return x end, x64(1),
      { eps = 0 })
  end)

  it("hands errors of the function on, and gives everything back", function()
    local x, calls = x64(1, 2), 0
    local ok, message = pcall(peri.gradcheck, function(v)
      calls = calls + 1
      if calls == 3 then error({ "mine" }) end
      return v
    end, x)
    assert.same({ false, { "mine" }, true, { 1, 2 } }, { ok, message, peri.is_grad_enabled(), x:totable() })
  end)
end)

describe("derivatives", function()
  it("keep nothing", function()
    local function once()
      local x = x64(1, 2)
      local f = function(v) return (v ^ 3):sum() end
      peri.gradgradcheck(f, x)
      peri.hessian(f, x)
      peri.jvp(f, x, x)
      peri.hvp(f, x, x)
      peri.per_sample_grad(function(r, w) return (r * w):sum() end, peri.ones(1, { requires_grad = true }), x, x)
    end
    local live = require("support.failing").live
    once()
    local before = live()
    for _ = 1, 50 do once() end
    assert.equal(before, live())
  end)

  it("leave everything as it was when memory is short", function()
    local inject = require("support.failing").inject
    local x = x64(1, 2)
    local f = function(v) return (v ^ 3):sum() end
    local w = peri.ones(1, { requires_grad = true })
    for name, call in pairs {
      jacobian = function() return peri.jacobian(f, x) end, hessian = function() return peri.hessian(f, x) end,
      vjp = function() return peri.vjp(f, x) end, jvp = function() return peri.jvp(f, x, x) end,
      hvp = function() return peri.hvp(f, x, x) end, gradcheck = function() return peri.gradcheck(f, x) end,
      per_sample_grad = function() return peri.per_sample_grad(function(r) return (r * w):sum() end, w, x) end,
    } do
      inject(name, function() return x:bytes() end, call)
      assert.is_true(peri.is_grad_enabled())
    end
  end)
end)
