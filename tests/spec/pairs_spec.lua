-- Tensors of positions in a key: several name pairs, as one list of positions beside another.
local peri = require "perilune"
local fails = require("support.fails").like

local function long(values) return peri.tensor(values, { dtype = "int64" }) end
describe("positions in a key", function()
  local x = peri.arange(1, 24):view(2, 3, 4)
  local i, j, k = long { 1, 2, 2 }, long { 3, 1, 1 }, long { 4, 4, 1 }

  it("side by side name pairs", function()
    assert.same({ x[{ 1, 3, 4 }], x[{ 2, 1, 4 }], x[{ 2, 1, 1 }] }, x[{ i, j, k }]:totable())
    assert.same({ x[{ 1, 3 }]:totable(), x[{ 2, 1 }]:totable(), x[{ 2, 1 }]:totable() }, x[{ i, j }]:totable())
    local inner = x[{ {}, j, k }]
    assert.same({ 2, 3 }, inner.shape)
    for a = 1, 2 do
      for n = 1, 3 do assert.equal(x[{ a, j[n], k[n] }], inner[{ a, n }]) end
    end
    assert.same({ x[{ 2, 3, 4 }], x[{ 2, 1, 4 }], x[{ 2, 1, 1 }] }, x[{ 2, j, k }]:totable())
    assert.same({ x[{ 1, 2, 4 }], x[{ 2, 2, 4 }], x[{ 2, 2, 1 }] }, x[{ i, 2, k }]:totable())
  end)

  it("apart stand first in the result", function()
    local y = x[{ i, { 2, 3 }, k }]
    assert.same({ 3, 2 }, y.shape)
    for n = 1, 3 do
      for b = 1, 2 do assert.equal(x[{ i[n], b + 1, k[n] }], y[{ n, b }]) end
    end
  end)

  it("are broadcast together, so that a column beside a row is a block", function()
    local rows, columns = long { 3, 1 }, long { 4, 1, 2 }
    local block = x[1][{ rows:view(-1, 1), columns }]
    assert.same({ 2, 3 }, block.shape)
    for a = 1, 2 do
      for b = 1, 3 do assert.equal(x[{ 1, rows[a], columns[b] }], block[{ a, b }]) end
    end
    assert.same(x[1]:index_select(1, rows):index_select(2, columns):totable(), block:totable())
    assert.same({ x[{ 1, 3, 4 }], x[{ 2, 3, 4 }], x[{ 2, 3, 4 }] }, x[{ i, long { 3 }, long { 4 } }]:totable())
  end)

  it("of several dimensions give their shape, alone too", function()
    local table_of_rows = peri.arange(1, 6):view(3, 2)
    local y = table_of_rows[long { { 1, 3 }, { 2, 2 } }]
    assert.same({ { { 1, 2 }, { 5, 6 } }, { { 3, 4 }, { 3, 4 } } }, y:totable())
    assert.same({ { { 1, 2 } }, { { 3, 4 } }, { { 5, 6 } } }, table_of_rows[{ {}, long { { 1, 2 } } }]:totable())
    assert.same({ 5, 6 }, table_of_rows[peri.tensor(3, { dtype = "int64" })]:totable())
    assert.same({ 0, 2 }, table_of_rows[peri.zeros(0, { dtype = "int64" })].shape)
    assert.same({ 0 }, table_of_rows[{ peri.zeros(0, { dtype = "int64" }), peri.zeros(0, { dtype = "int64" }) }].shape)
  end)

  it("have a gradient, which adds up where one is named twice", function()
    local leaf = peri.zeros(2, 3, 4, { requires_grad = true })
    leaf[{ i, j, k }]:sum():backward()
    assert.equal(3, leaf.grad:sum():item())
    leaf.grad = nil
    local loss = leaf[{ long { 1, 1, 2 }, long { 2, 2, 3 } }] * peri.tensor { { 1 }, { 10 }, { 100 } }
    loss:sum():backward()
    assert.same({ 11, 11, 11, 11 }, leaf.grad[{ 1, 2 }]:totable())
    assert.same({ 100, 100, 100, 100 }, leaf.grad[{ 2, 3 }]:totable())
    assert.equal(444, leaf.grad:sum():item())
  end)

  it("work on views, and on every dtype", function()
    for _, dtype in ipairs { "float32", "float64", "int64", "uint8" } do
      local t = x:to(dtype):permute(3, 1, 2)
      assert.same({ t[{ 4, 1, 3 }], t[{ 4, 2, 1 }], t[{ 1, 2, 1 }] }, t[{ k, i, j }]:totable())
    end
  end)

  it("are written as they are read", function()
    local keys = { { i, j, k }, { i, j }, { {}, j, k }, { 2, j, k }, { i, { 2, 3 }, k }, { i:view(-1, 1), j },
                   { {}, j }, { {}, {}, long { { 1, 2 }, { 4, 4 } } }, { long { { 2 } } },
                   { peri.zeros(0, { dtype = "int64" }) } }
    local targets = {
      function() return peri.zeros(2, 3, 4) end,
      function() return peri.zeros(4, 2, 3):permute(2, 3, 1) end, -- whose dimensions cannot be seen as one
      function() return peri.zeros(2, 3, 8)[{ {}, {}, { 1, 8, 2 } }] end,
    }
    for _, make in ipairs(targets) do
      for n, key in ipairs(keys) do
        local t = make()
        local shape = t[key].shape
        t[key] = 5
        local count = 0
        for _, v in ipairs(t:reshape(-1):totable()) do count = count + (v == 5 and 1 or 0) end
        assert.equal(t:sum():item(), 5 * count)
        assert.is_true(t[key]:eq(5):all(), "key " .. n)
        -- distinct entries get distinct values; of those that are named twice the last one stays
        local values = peri.arange(1, t[key]:numel()):to("float32"):view(shape)
        t[key] = values
        local plain, flat = {}, values:reshape(-1):totable()
        local names = peri.arange(1, 24):view(2, 3, 4)[key]:reshape(-1):totable()
        for e, name in ipairs(names) do plain[name] = flat[e] end
        for e, v in ipairs(t:reshape(-1):totable()) do assert.equal(plain[e] or 0, v, "key " .. n) end
      end
    end
    local t = peri.zeros(3, 2)
    t[{ i, long { 1, 2, 2 } }] = { 7, 8, 9 }
    assert.same({ { 7, 0 }, { 0, 9 }, { 0, 0 } }, t:totable())
    t[{ {}, long { 2, 1 } }] = t -- the columns change places
    assert.same({ { 0, 7 }, { 9, 0 }, { 0, 0 } }, t:totable())
    t[long { { 1 }, { 3 } }] = peri.tensor { 1, 2 }
    assert.same({ { 1, 2 }, { 9, 0 }, { 1, 2 } }, t:totable())
  end)

  it("that are not to be written change nothing", function()
    local t = peri.ones(2, 3)
    fails("index_put_: values is 2 but the target is 3", function() t[{ i, j }] = { 1, 2 } end)
    fails("index: position 9 is out of range: dimension 2 has 3 %(number 2 of the index tensor; entry 2 of the key%)",
      function() t[{ i, long { 1, 9, 1 } }] = 1 end)
    fails("index_put_: values is 0.5, which is no value of int64", function() peri.ones_like(x)[{ i, j }] = 0.5 end)
    local leaf = peri.ones(2, 3, { requires_grad = true })
    fails("cannot write in place while gradients are recorded", function() leaf[{ i, j }] = 0 end)
    fails("cannot write in place while gradients are recorded", function() t[{ i, j }] = leaf[{ i, j }] end)
    assert.is_true(t:eq(1):all() and leaf:detach():eq(1):all())
  end)

  it("leave everything as it was when memory ends", function()
    local t = peri.zeros(4, 2, 3):permute(2, 3, 1)
    for n = 0, 100 do
      peri._fail_after(n)
      local ok, message = pcall(function() t[{ i, j }] = 5 end)
      peri._fail_after(-1)
      if ok then
        assert.is_true(n > 1)
        break
      end
      assert.matches("out of memory", message)
      assert.is_true(t:eq(0):all())
    end
    assert.equal(2 * 4 * 5, t:sum():item())
  end)

  it("that are none are refused", function()
    fails("index: position 4 is out of range: dimension 2 has 3 %(number 2 of the index tensor; entry 2 of the key%)",
      function() return x[{ i, long { 1, 4, 1 } }] end)
    fails("index: position 0 is out of range: dimension 1 has 2 %(number 1 of the index tensor",
      function() return x[{ long { 0, 1 }, long { 1, 1 } }] end)
    fails("index: shapes 3 and 2 cannot be broadcast", function() return x[{ i, long { 1, 2 } }] end)
    local ones = peri.ones(3)
    fails("index: an index tensor is float32 %(expected int64 .*entry 2 of the key",
      function() return x[{ i, ones }] end)
    local deep = peri.zeros(1, 1, 1, 1, 1, 1)
    local many = peri.ones(1, 1, 1, 1, 1, 1, { dtype = "int64" })
    fails("index: the result has %d+ dimensions", function() return deep[many] end)
  end)
end)
