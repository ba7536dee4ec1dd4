-- Gradients as scripts see them: .grad and its handle, modes, what is refused, higher orders.
local peri = require "perilune"
local fails = require("support.fails").at_script

describe("gradients", function()
  it("are nil before backward, then accumulate, and zero_ keeps them", function()
    local w = peri.ones(2, {requires_grad = true})
    assert.is_nil(w.grad);
    (w * 3):sum():backward()
    assert.same({3, 3}, w.grad:totable());
    (w * 3):sum():backward()
    assert.same({6, 6}, w.grad:totable())
    w.grad:zero_()
    assert.same({0, 0}, w.grad:totable())
    w.grad = nil
    assert.is_nil(w.grad)
    fails("cannot be set", function() w.grad = peri.ones(2) end)
  end)

  it("have one handle, so that tables can be keyed by parameters and gradients", function()
    local w = peri.ones(2, {requires_grad = true})
    w:sum():backward()
    assert.is_true(w.grad == w.grad)
    local seen = {[w] = "w", [w.grad] = "grad"}
    collectgarbage()
    assert.same({"w", "grad"}, {seen[w], seen[w.grad]})
    local again = w.grad
    w:sum():backward()
    assert.is_true(again == w.grad)
    local v = peri.ones(2)
    v:requires_grad_()
    assert.is_true(v:requires_grad_() == v)
    local same = w:contiguous() -- shares memory, but is a value computed from w
    assert.same({false, true}, {same.is_leaf, same:detach():zero_():equal(w)})
  end)

  it("are not recorded under no_grad, which gives f's values and restores on error", function()
    local w = peri.ones(2, {requires_grad = true})
    assert.same({1, nil, 3, n = 3}, table.pack(peri.no_grad(function(...) return ... end, 1, nil, 3)))
    assert.is_false(peri.no_grad(function() return (w * 2).requires_grad end))
    assert.is_true((w * 2).requires_grad)
    local ok, message = pcall(peri.no_grad, function()
      assert.is_false(peri.is_grad_enabled())
      error({"mine"})
    end)
    assert.same({false, {"mine"}, true}, {ok, message, peri.is_grad_enabled()})
    peri.no_grad(function()
      peri.enable_grad(function() assert.is_true(peri.is_grad_enabled()) end)
      assert.is_false(peri.is_grad_enabled())
      pcall(peri.enable_grad, error)
      assert.is_false(peri.is_grad_enabled())
    end)
    assert.is_true(peri.is_grad_enabled())
    assert.is_false(pcall(peri.no_grad))
    assert.is_false(pcall(peri.no_grad, 5))
    assert.is_true(peri.is_grad_enabled())
  end)

  it("belong to one coroutine's mode", function()
    local co = coroutine.wrap(function()
      local ok, message = pcall(peri.no_grad, function() coroutine.yield() end)
      coroutine.yield(ok, message, peri.is_grad_enabled())
      coroutine.yield(peri.is_grad_enabled())
    end)
    local ok, message, mode = co()
    assert.same({false, true, true}, {ok, mode, peri.is_grad_enabled()})
    assert.matches("yield", message)
    local inner = coroutine.wrap(function() coroutine.yield(peri.is_grad_enabled())  return peri.is_grad_enabled() end)
    assert.is_false(peri.no_grad(inner))
    assert.is_true(inner())
  end)

  it("forbid writing in place while recording, and say what to do instead", function()
    local w = peri.ones(2, {requires_grad = true})
    local target = peri.zeros(2)
    for _, f in ipairs {
      function() w:add_(1) end, function() w[1] = 1 end, function() w:view(2):add_(1) end,
      function() target:add_(w) end, function() target[1] = w[1] end, function() (w * 2):zero_() end,
    } do
      fails("cannot write in place while gradients are recorded (use no_grad, clone or where)", f)
    end
    assert.same({{1, 1}, {0, 0}}, {w:detach():totable(), target:totable()})
    peri.no_grad(function() w:add_(1)  w[1] = 5 end)
    assert.same({5, 2}, w:detach():totable())
  end)

  it("notice a value that was changed between forward and backward", function()
    local w, x = peri.ones(2, {requires_grad = true}), peri.ones(2)
    local loss = (w * x):sum()
    x:add_(1)
    fails("backward: b of mul was changed in place", loss.backward, loss)
    assert.is_nil(w.grad)
  end)

  it("free the graph unless it is retained", function()
    local w = peri.ones(2, {requires_grad = true})
    local loss = (w ^ 2):sum()
    loss:backward(nil, {retain_graph = true})
    loss:backward()
    assert.same({4, 4}, w.grad:totable())
    fails("retain_graph", loss.backward, loss)
    fails("backward: the tensor is 2; without a gradient it must have one element", function() (w * 2):backward() end)
    fails("backward: gradient is 3 but the tensor is 2", function() (w * 2):backward(peri.ones(3)) end)
    fails("backward: the tensor does not require grad", function() peri.ones(1):backward() end)
    fails("unknown option retain", function() w:sum():backward(nil, {retain = true}) end);
    (w * 2):backward(peri.tensor {1, 10})
    assert.same({6, 24}, w.grad:totable())
  end)

  it("of higher order come from peri.grad and are not stored", function()
    local x = peri.tensor({2}, {requires_grad = true})
    local first = peri.grad((x ^ 3):sum(), x, {create_graph = true})
    local second = peri.grad(first:sum(), {x, peri.ones(1, {requires_grad = true})})
    assert.same({{12}, {12}, false, true}, {first:detach():totable(), second[1]:totable(), second[2], x.grad == nil})
  end)

  it("are asked for of float tensors only", function()
    fails("the tensor is int64 (expected float32 or float64)", peri.zeros, 2, {dtype = "int64", requires_grad = true})
    fails("the tensor is int64", function() peri.arange(1, 2):requires_grad_() end)
    fails("use detach", function() (peri.ones(1, {requires_grad = true}) * 2):requires_grad_(false) end)
  end)
end)
