-- x[key] and x[key] = value; and writing from a source that shares memory with the target.
local peri = require "perilune"
local fails = require("support.fails").at_script

local function shape_of(t) return table.concat(t.shape, "x") end

describe("indexing", function()
  local a
  before_each(function() a = peri.tensor {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}} end)

  it("gives rows as views and elements as Lua values", function()
    assert.same({{1, 2, 3}, 2.0, 2.0, {10, 11, 12}, 12.0},
      {a[1]:totable(), a[1][2], a[{1, 2}], a[-1]:totable(), a[{-1, -1}]})
    a[1]:fill_(0)
    assert.same({0, 0, 0}, a[1]:totable())
    assert.equal(true, peri.tensor {true}[1])
    assert.equal("integer", math.type(peri.arange(1, 3)[2]))
    assert.equal(5.0, a[{2.0, 2}])
  end)

  it("takes ranges that include their end", function()
    assert.same({{4, 5, 6}, {7, 8, 9}}, a[{{2, 3}}]:totable())
    assert.same({3, 6, 9, 12}, a[{{}, -1}]:totable())
    assert.same({1, 4}, a[{{1, 2}, 1}]:totable())
    assert.same({{1, 3}, {7, 9}}, a[{{1, -1, 2}, {1, 3, 2}}]:totable())
    assert.same({"0x3", "4x3"}, {shape_of(a[{{1, 0}}]), shape_of(a[{}])})
    assert.same({{2, 3}}, a[{{1, 1}, {2, 3}}]:totable())
    a[{{2, 3}, {}}]:zero_()
    assert.same({{1, 2, 3}, {0, 0, 0}, {0, 0, 0}, {10, 11, 12}}, a:totable())
  end)

  it("takes masks and positions", function()
    assert.same({10, 11, 12}, a[a:gt(9)]:totable())
    assert.same({{4, 5, 6}, {10, 11, 12}}, a[peri.tensor {false, true, false, true}]:totable())
    assert.same({{7, 8, 9}, {1, 2, 3}, {7, 8, 9}}, a[peri.tensor({3, 1, 3}, {dtype = "int64"})]:totable())
    assert.same({{2, 1}, {5, 4}, {8, 7}, {11, 10}}, a[{{}, peri.tensor({2, 1}, {dtype = "int64"})}]:totable())
    assert.equal("0", shape_of(a[a:gt(99)]))
    local taken = a[peri.tensor({1}, {dtype = "int64"})]
    taken:zero_()
    assert.equal(1.0, a[{1, 1}])
  end)

  it("writes", function()
    a[{1, {}}] = 0
    a[2] = peri.tensor {1, 2, 3}
    a[{3, 2}] = -1
    a[{{}, 3}] = 5
    assert.same({{0, 0, 5}, {1, 2, 5}, {7, -1, 5}, {10, 11, 5}}, a:totable())
    a[a:lt(0)] = 100
    a[a:eq(5)] = peri.tensor {1, 2, 3, 4}
    assert.same({{0, 0, 1}, {1, 2, 2}, {7, 100, 3}, {10, 11, 4}}, a:totable())
    a[peri.tensor({1, 4}, {dtype = "int64"})] = peri.tensor {{1, 1, 1}, {2, 2, 2}}
    a[peri.tensor {false, true, true, false}] = 9
    assert.same({{1, 1, 1}, {9, 9, 9}, {9, 9, 9}, {2, 2, 2}}, a:totable())
    a[{}] = 3
    assert.same({3, 3, 3}, a[4]:totable())
    a[{{1, 2}, {2, 3}}] = {{1, 2}, {3, 4}}
    assert.same({{3, 1, 2}, {3, 3, 4}}, a[{{1, 2}}]:totable())
    a[1] = a[2]
    assert.same({3, 3, 4}, a[1]:totable())
  end)

  it("keeps the precision of what a table holds", function()
    local wide, whole = peri.zeros(2, {dtype = "float64"}), peri.zeros(2, {dtype = "int64"})
    wide[{}] = {0.1, 1 / 3}
    whole[{}] = {2 ^ 53 | 1, -(2 ^ 53 | 1)}
    assert.same({{0.1, 1 / 3}, {2 ^ 53 | 1, -(2 ^ 53 | 1)}}, {wide:totable(), whole:totable()})
    whole[1] = math.maxinteger
    assert.equal(math.maxinteger, whole[1])
  end)

  it("gives a 0-d tensor while recording", function()
    local w = peri.tensor({1, 2}, {requires_grad = true})
    assert.is_true(peri.is_tensor(w[1]))
    assert.equal(0, w[1]:dim())
    assert.equal(1.0, peri.no_grad(function() return w[1] end))
    assert.equal(2.0, w:detach()[2])
    w[2]:backward()
    assert.same({0, 1}, w.grad:totable())
  end)

  it("refuses what is out of range or no key, and changes nothing", function()
    local before = a:totable()
    fails("position 0 (counting starts at 1, or at -1 from the end)", function() return a[0] end)
    fails("index: position 5 is out of range: dimension 1 has 4", function() return a[5] end)
    fails("index: position -5 is out of range: dimension 1 has 4", function() return a[-5] end)
    fails("index: position 4 is out of range: dimension 2 has 3", function() return a[{1, 4}] end)
    fails("range 3 to 0 (an empty range has to = from - 1)", function() return a[{{3, 0}}] end)
    fails("positions must be whole numbers, got 1.5", function() return a[1.5] end)
    fails("a key must be a number, a table or a tensor, got true", function() return a[true] end)
    fails("3 positions for a tensor of 4x3", function() return a[{1, 1, 1}] end)
    fails("a range has 1 numbers", function() return a[{{1}}] end)
    fails("a range has 4 numbers", function() return a[{{1, 2, 3, 4}}] end)
    fails("step", function() return a[{{1, 2, 0}}] end)
    fails("position 0", function() return a[{{0, 2}}] end)
    fails("9", function() return a[{{1, 9}}] end)
    fails("positions must be whole numbers", function() return a[{"1"}] end)
    fails("the tensor has no dimensions", function() return peri.tensor(1)[1] end)
    fails("5", function() return a[peri.tensor({5}, {dtype = "int64"})] end)
    for _, index in ipairs {0, 5, -5, 2 ^ 62 | 0, math.mininteger} do
      fails(("position %d is out of range: dimension 1 has 4 (number 1 of the index tensor)"):format(index), function()
        return a[peri.tensor({index}, {dtype = "int64"})]
      end)
    end
    fails("got a released tensor", function() local gone = peri.zeros(1)  gone:release()  return a[gone] end)
    fails("float32", function() return a[peri.tensor {1}] end)
    fails("mask", function() return a[peri.tensor {true, false}] end)
    fails("5", function() a[5] = 1 end)
    fails("5", function() a[peri.tensor({1, 5}, {dtype = "int64"})] = 1 end)
    fails("3", function() a[1] = peri.zeros(2) end)
    fails("3", function() a[a:gt(9)] = peri.zeros(2) end)
    fails("the value written must be a tensor, got 'x'", function() a[1] = "x" end)
    fails("the value written must be a tensor, got nil", function() a[1] = nil end)
    assert.same(before, a:totable())
  end)

  it("does not append: a[#a + 1] is an error that says so", function()
    fails("index: position 5 is out of range: dimension 1 has 4 (tensors do not grow", function() a[#a + 1] = 0 end)
  end)
end)

describe("a source that shares memory with the target is written as it was before, by", function()
  local kinds = { "float32", "float64", "int64", "uint8" }
  local function seven(dtype) return peri.arange(1, 7):to(dtype) end

  it("index_copy_ and x[index] = x", function()
    local index = peri.tensor({ 3, 7, 1, 2, 2, 6, 5 }, { dtype = "int64" })
    for _, dtype in ipairs(kinds) do
      local right = seven(dtype):index_copy_(1, index, seven(dtype)):totable()
      local x = seven(dtype)
      assert.same(right, x:index_copy_(1, index, x):totable())
      x = seven(dtype)
      x[index] = x:detach()
      assert.same(right, x:totable())
      x = seven(dtype) -- the last seven of ten, shifted by one
      local long = peri.cat { peri.zeros(1, { dtype = dtype }), x }
      local shifted = long[{ { 1, 7 } }]
      local expected = long[{ { 2, 8 } }]:clone():index_copy_(1, index, shifted:clone()):totable()
      assert.same(expected, long[{ { 2, 8 } }]:index_copy_(1, index, shifted):totable())
    end
    local x = peri.tensor({ 2, 3, 1 }, { dtype = "int64" })
    x[x] = x
    assert.same({ 1, 2, 3 }, x:totable())
    local m = peri.arange(1, 9):view(3, 3)
    m[peri.tensor({ 2, 3, 1 }, { dtype = "int64" })] = m:t()
    assert.same({ { 3, 6, 9 }, { 1, 4, 7 }, { 2, 5, 8 } }, m:totable())
  end)

  it("masked_scatter_ and x[mask] = x", function()
    local mask = peri.tensor { true, false, true, true, false, true, false }
    for _, dtype in ipairs(kinds) do
      local x = seven(dtype)
      x[mask] = x[{ { 1, 4 } }]
      assert.same({ 1, 2, 2, 3, 5, 4, 7 }, x:totable())
      x = seven(dtype)
      x[mask] = x[{ { 4, 7 } }]
      assert.same({ 4, 2, 5, 6, 5, 7, 7 }, x:totable())
      x = seven(dtype)
      assert.same({ 3, 2, 4, 5, 5, 6, 7 }, x:masked_scatter_(mask, x[{ { 3, 7 } }]):totable())
    end
    local x = peri.tensor { true, false, true }
    x[x] = x[{ { 2, 3 } }]
    assert.same({ false, false, true }, x:totable())
  end)

  it("copy_ of a part to another", function()
    for _, dtype in ipairs(kinds) do
      local x = seven(dtype)
      x[{ { 2, 7 } }] = x[{ { 1, 6 } }]
      assert.same({ 1, 1, 2, 3, 4, 5, 6 }, x:totable())
      local m = peri.arange(1, 4):to(dtype):view(2, 2)
      m:copy_(m:t())
      assert.same({ { 1, 3 }, { 2, 4 } }, m:totable())
    end
  end)

  it("in-place forms", function()
    local m = peri.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 2, 5 }, { 5, 8 } }, m:add_(m:t()):totable())
    m = peri.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 2, 4 }, { 4, 6 } }, m:add_(m[1]):totable())
    local mask = peri.tensor { { true, false }, { true, true } }
    assert.same({ { true, false }, { false, true } }, mask:logical_and_(mask:t()):totable())
  end)
end)
