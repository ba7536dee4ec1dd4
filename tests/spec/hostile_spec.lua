-- Scripts that mean harm: wrong kinds, tables that lie or empty themselves. Each must end in an error that
-- names the operation and the value, or in the right answer.
local peri = require "perilune"
local fails = require("support.fails").like

local function int64(values) return peri.tensor(values, {dtype = "int64"}) end

-- Runs f while the n-th allocation from here and all later ones fail; the collection that is then made runs finalisers.
local function short_of_memory(n, f, ...)
  collectgarbage "stop"
  peri._fail_after(n)
  local ok = pcall(f, ...)
  peri._fail_after(-1)
  collectgarbage "restart"
  return ok
end

describe("arguments", function()
  it("that are numbers are not written in place", function()
    fails("add_: a must be a tensor", peri.add_, 1, peri.ones(3))
    fails("pow_: a must be a tensor", peri.pow_, math.maxinteger, 1.5)
  end)

  it("of no_grad and requires_grad_ are checked", function()
    fails("no_grad: f must be a function, got 5", peri.no_grad, 5)
    fails("enable_grad: f must be a function, got a tensor", peri.enable_grad, peri.ones(3))
    fails("requires_grad_: requires_grad must be true or false, got 'false'", peri.ones(3).requires_grad_,
      peri.ones(3), "false")
  end)

  it("of the iterator of pairs are checked", function()
    local step = pairs(peri.ones(3))
    assert.is_nil((step(peri.ones(3), math.maxinteger)))
    assert.is_nil((step(peri.ones(3), -5)))
    assert.is_nil((step(peri.tensor(1), 0)))
  end)

  it("that are userdata are named in messages", function()
    fails("got a Linear", peri.svm.SVC {}.fit, peri.svm.SVC {}, peri.nn.Linear(2, 2), int64 {1, 2})
  end)

  it("that are empty beside others are no others", function()
    fails("embedding_bag: offsets is empty but index has 3 elements", peri.embedding_bag, int64 { 1, 2, 1 },
      peri.ones(2, 2), { offsets = peri.zeros(0, { dtype = "int64" }) })
    local none = peri.zeros(0, { dtype = "int64" })
    assert.same({ 0, 2 }, peri.embedding_bag(none, peri.ones(2, 2), { offsets = none }).shape)
    local many = peri.zeros(1):expand(1 << 40)
    assert.same({ 0, 3 }, peri.cartesian_prod({ many, peri.zeros(0), many }).shape)
    assert.same({ 0, 3 }, peri.cartesian_prod({ many, many, peri.zeros(0) }).shape)
    for cell, gates in pairs { rnn = 1, gru = 3, lstm = 4 } do -- no hidden units
      local x, w = peri.ones(3, 2, 0, { requires_grad = true }), peri.ones(gates * 0, 0, { requires_grad = true })
      local results = { peri[cell .. "_sequence"](x, w) }
      assert.same({ 3, 2, 0 }, results[1].shape)
      for i = 2, #results do assert.same({ 2, 0 }, results[i].shape) end
      results[1]:sum():backward()
      assert.same({ { 3, 2, 0 }, { 0, 0 } }, { x.grad.shape, w.grad.shape })
    end
  end)

  it("that are huge steps do not overflow", function()
    assert.same({1}, peri.tensor {1, 2, 3}:slice(1, 1, 3, math.maxinteger):totable())
    local x = peri.tensor({1, 2, 3}, {requires_grad = true})
    x[{ {2, 3, math.maxinteger} }]:sum():backward()
    assert.same({0, 1, 0}, x.grad:totable())
  end)
end)

describe("integers", function()
  it("at the ends of the range are counted exactly by arange", function()
    local top, bottom = math.maxinteger, math.mininteger
    assert.same({top - 2, top - 1, top}, peri.arange(top - 2, top):totable())
    assert.same({bottom + 1, bottom}, peri.arange(bottom + 1, bottom, -1):totable())
    assert.same({bottom, -1, top - 1}, peri.arange(bottom, top, top):totable())
    assert.equal(0, #peri.arange(top, top - 1))
    assert.same({5, 3, 1}, peri.arange(5, 1, -2):totable())
  end)

  it("are not made of other numbers in silence", function()
    fails("tensor: 1.5 is no value of int64", peri.tensor, {1.5, 2}, {dtype = "int64"})
    fails("tensor: .*nan is no value of int64", peri.tensor, {0 / 0}, {dtype = "int64"})
    fails("tensor: 300 is no value of uint8", peri.tensor, {300}, {dtype = "uint8"})
    fails("full: value is 1.5, which is no value of int64", peri.full, {2}, 1.5, {dtype = "int64"})
    local x = int64 {1, 2}
    fails("copy_: source is 1.5", function() x[1] = 1.5 end)
    fails("fill_: value is inf", x.fill_, x, math.huge)
    fails("masked_fill_?: value is 0.5", function() x[x:gt(1)] = 0.5 end)
    fails("index_put_: values is 0.5", function() x[int64 {1}] = 0.5 end)
    assert.same({1, 2}, x:totable())
    x[1] = 3.0
    x[2] = math.maxinteger
    assert.same({3, math.maxinteger}, x:totable())
  end)
end)

describe("the mode of recording", function()
  it("comes back when a coroutine dies in it", function()
    local ok = coroutine.resume(coroutine.create(function() peri.no_grad(error, "x") end))
    assert.is_false(ok)
    assert.is_true(peri.is_grad_enabled())
    ok = coroutine.resume(coroutine.create(function() peri.no_grad(coroutine.yield) end))
    assert.is_false(ok)
    assert.is_true(peri.is_grad_enabled())
    local object = {}
    local _, same = coroutine.resume(coroutine.create(function() peri.no_grad(error, object) end))
    assert.equal(object, same)
    assert.same({1, 2}, {coroutine.wrap(function() return peri.no_grad(function(...) return ... end, 1, 2) end)()})
  end)
end)

describe("finalisers and weak tables", function()
  local function weak(t) return setmetatable(t, {__mode = "v"}) end

  it("do not empty lists that are being read", function()
    local leaf = peri.ones(3, {requires_grad = true})
    local sum = leaf:sum()
    local function leaves(n)
      local t = {}
      for i = 1, n do t[i] = peri.ones(40, {requires_grad = true}) end
      return weak(t)
    end
    for n = 0, 6 do
      short_of_memory(n, peri.cat, leaves(5))
      short_of_memory(n, peri.grad, sum, leaves(5), {retain_graph = true})
      short_of_memory(n, peri.optim.Adam, leaves(5), {lr = 1})
      short_of_memory(n, peri.linear, peri.ones(5, 3), peri.ones(2, 3), weak {bias = peri.ones(2)})
      short_of_memory(n, function(key) return peri.ones(5)[key] end, weak {int64 {1, 2}})
      short_of_memory(n, peri.data.loader, leaves(5), {shuffle = true})
      short_of_memory(n, peri.save, os.tmpname(), weak {a = peri.ones(2)})
      short_of_memory(n, peri.nn.Linear(2, 2).load_state_dict, peri.nn.Linear(2, 2),
        weak {weight = peri.ones(2, 2), bias = peri.ones(2)})
    end
    assert.equal(3, peri.grad(sum, leaf):sum():item())
  end)

  it("of garbage make room for generated data", function()
    for _, make in ipairs {peri.data.circles, peri.data.digits} do
      assert.is_false(short_of_memory(0, make, 4))
      assert.equal(4, #make(4))
    end
  end)
end)

describe("a loader", function()
  it("in two loops at once is an error, not a short epoch", function()
    local loader = peri.data.loader({peri.arange(1, 6)}, {batch_size = 2})
    fails("loader: another loop", function()
      for _ in loader do
        for _ in loader do end
      end
    end)
    local seen = 0
    assert.equal(2, #loader(nil, nil)) -- as a loop begins that breaks off
    for x in loader do seen = seen + #x end
    assert.equal(6, seen)
  end)
end)
