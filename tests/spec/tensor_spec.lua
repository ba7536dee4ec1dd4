-- Tensors as scripts see them: making, reading, comparing, printing, release; and input that is wrong.
local peri = require "perilune"
local fails = require("support.fails").at_script

local function shape_of(t) return table.concat(t.shape, "x") end

describe("making tensors", function()
  it("from nested tables, numbers and booleans", function()
    local a = peri.tensor {{1, 2}, {3, 4.5}}
    assert.same({"float32", "2x2", {{1, 2}, {3, 4.5}}}, {a.dtype, shape_of(a), a:totable()})
    assert.same({"bool", {true, false}}, {peri.tensor {true, false}.dtype, peri.tensor {true, false}:totable()})
    assert.same({"float32", 0, 7.0}, {peri.tensor(7).dtype, peri.tensor(7):dim(), peri.tensor(7):item()})
    assert.same({"int64", 2 ^ 53 | 1}, {peri.tensor({1}, {dtype = "int64"}).dtype,
      peri.tensor({2 ^ 53 | 1}, {dtype = "int64"})[1]})
    assert.same({{1, 0}, "float64"}, {peri.tensor({true, false}, {dtype = "float64"}):totable(),
      peri.tensor({0.1}, {dtype = "float64"}).dtype})
    assert.equal(0.1, peri.tensor({0.1}, {dtype = "float64"})[1])
    assert.same({"0", "2x0"}, {shape_of(peri.tensor {}), shape_of(peri.tensor {{}, {}})})
    local deep = {5}
    for _ = 1, 7 do deep = {deep} end
    assert.equal("1x1x1x1x1x1x1x1", shape_of(peri.tensor(deep)))
    fails("tensor: tables are nested more than 8 deep", peri.tensor, {deep})
    fails("tensor: a table has 1 entries but the first of its level has 2", peri.tensor, {{1, 2}, {3}})
    fails("tensor: numbers and booleans are mixed", peri.tensor, {1, true})
    fails("got 'x'", peri.tensor, {1, "x"})
    fails("got {2}", peri.tensor, {1, {2}})
    fails("got 2", peri.tensor, {{1}, 2})
    fails("got nil", peri.tensor)
  end)

  it("copies a tensor, out of the graph", function()
    local a = peri.ones(2, {requires_grad = true})
    local b = peri.tensor(a * 2)
    b[1] = 7
    assert.same({{1, 1}, {7, 2}, false}, {a:totable(), b:totable(), b.requires_grad})
    assert.equal("int64", peri.tensor(a, {dtype = "int64"}).dtype)
  end)

  it("in given shapes", function()
    assert.same({"2x3", "2x3", "0", "2x0x3"}, {shape_of(peri.zeros(2, 3)), shape_of(peri.zeros {2, 3}),
      shape_of(peri.zeros(0)), shape_of(peri.zeros(2, 0, 3))})
    assert.same({"float64", {1, 1}}, {peri.ones(2, {dtype = "float64"}).dtype, peri.ones(2):totable()})
    assert.same({{7, 7, 7}, "2x3"}, {peri.full({3}, 7):totable(), shape_of(peri.full({2, 3}, 7))})
    assert.same({{1, 0, 0}, {0, 1, 0}}, peri.eye(2, 3):totable())
    assert.same({0, 0.25, 0.5, 0.75, 1}, peri.linspace(0, 1, 5):totable())
    assert.is_true(peri.ones(2, {requires_grad = true}).requires_grad)
    assert.is_false(peri.ones(2).requires_grad)
  end)

  it("takes 5.0 for a size, and not 5.5", function()
    assert.equal("5", shape_of(peri.zeros(5.0)))
    fails("zeros: shape must be whole numbers, got 5.5", peri.zeros, 5.5)
    fails("zeros: shape must be whole numbers", peri.zeros, {2, "3"})
    fails("zeros: size -1 of dimension 2 is negative", peri.zeros, 2, -1)
    fails("zeros: shape is missing", peri.zeros)
    fails("9 entries (expected at most 8)", peri.zeros, 1, 1, 1, 1, 1, 1, 1, 1, 1)
  end)

  it("counts as Lua's for does", function()
    assert.same({{1, 2, 3}, "int64"}, {peri.arange(1, 3):totable(), peri.arange(1, 3).dtype})
    assert.same({{5, 3, 1}, {}}, {peri.arange(5, 1, -2):totable(), peri.arange(3, 1):totable()})
    assert.same({11, "float32"}, {#peri.arange(0, 1, 0.1), peri.arange(0, 1, 0.1).dtype})
    assert.same({3, "float32"}, {#peri.arange(1.0, 3), peri.arange(1.0, 3).dtype})
    assert.same({"float64", 3}, {peri.arange(1, 3, {dtype = "float64"}).dtype, #peri.arange(1, 3, {dtype = "float64"})})
    fails("arange: cannot go from 1 to 2 by 0", peri.arange, 1, 2, 0)
  end)

  it("at random, from the seed alone", function()
    peri.manual_seed(3)
    local a, b = peri.rand(50), peri.randn(50)
    peri.manual_seed(3)
    assert.is_true(a:equal(peri.rand(50)) and b:equal(peri.randn(50)))
    local dice = peri.randint(1, 6, {1000})
    assert.same({"int64", 1, 6}, {dice.dtype, dice:min():item(), dice:max():item()})
    assert.same({1, 2, 3, 4, 5}, peri.randperm(5):sort():totable())
    local x = peri.randn(4, 6)
    local values, indices = x:t():sort(1) -- the moved dimension is the last one of x: nothing is copied
    local rows, places = x:sort(2)
    assert.is_true(values:t():equal(rows) and indices:t():equal(places))
    fails("randint: no integer lies from 3 to 2", peri.randint, 3, 2, {1})
    fails("randn: dtype is int64 (expected float32 or float64)", peri.randn, 2, {dtype = "int64"})
  end)
end)

describe("what a tensor says of itself", function()
  it("has properties and sizes", function()
    local a = peri.zeros(2, 3)
    assert.same({{2, 3}, {2, 3}, 2, 3, 3, 2, 6, 2, "float32"},
      {a.shape, a:size(), a:size(1), a:size(2), a:size(-1), a:dim(), a:numel(), #a, a.dtype})
    assert.same({true, false}, {a:is_contiguous(), a:t():is_contiguous()})
    assert.same({true, false, false}, {a.is_leaf, a.requires_grad, a.grad ~= nil})
    fails("size: dim is 3 but the tensor has 2 dimensions", a.size, a, 3)
    fails("size: dim is 0", a.size, a, 0)
    fails("size: dim is -3", a.size, a, -3)
    fails("#: the tensor has no dimensions", function() return #peri.tensor(1) end)
    fails("there is no field or method lenght", function() return a.lenght end)
    fails("cannot be set", function() a.shape = {1} end)
    fails("cannot be set", function() a.colour = "red" end)
  end)

  it("gives Lua values", function()
    assert.same({1.5, 2, true, 255}, {peri.tensor(1.5):item(), peri.tensor({2}, {dtype = "int64"}):item(),
      peri.tensor(true):item(), peri.full({1, 1}, 255, {dtype = "uint8"}):item()})
    assert.equal("integer", math.type(peri.tensor({2}, {dtype = "int64"}):item()))
    fails("item: the tensor is 2 (expected one element)", peri.item or peri.zeros(1).item, peri.zeros(2))
    assert.same({{1, 3}, {2, 4}}, peri.tensor {{1, 2}, {3, 4}}:t():totable())
    assert.equal(string.pack("<fff", 1, 2, 3), peri.tensor {1, 2, 3}:bytes())
    assert.equal(string.pack("<ff", 2, 4), peri.tensor {{1, 2}, {3, 4}}:t()[2]:bytes())
  end)

  it("is always true, so full tests give Lua booleans and full argmax an integer", function()
    local a = peri.tensor {{1, 5}, {2, 3}}
    assert.is_false(a:gt(9):any())
    assert.is_true(a:gt(0):all())
    assert.is_true(a:equal(a:clone()))
    assert.is_false(a:equal(a:view(4)))
    assert.is_true(a:allclose(a + 1e-7))
    assert.same({2, "integer", 1}, {a:argmax(), math.type(a:argmax()), a:argmin()})
    assert.same({{1, 1}, {2, 2}}, {a:argmin(2):totable(), a:argmax(2):totable()})
    assert.same({{false, true}, "bool"}, {a:gt(2):all(1):totable(), a:gt(2):any(1).dtype})
    assert.same({0, 0, 0, 0}, {a:sum():dim(), a:mean():dim(), a:max():dim(), a:std():dim()})
  end)

  it("are compared whole whatever their strides, size and number of threads", function()
    local wide = peri.arange(1, 300 * 400):view(300, 400)
    local other = wide:t():contiguous():t()
    local same, apart = wide:to "float64", other:clone()
    apart[{300, 400}] = 0
    local threads = peri.get_num_threads()
    for _, n in ipairs {1, 3} do
      peri.set_num_threads(n)
      assert.is_true(wide:equal(other) and other:equal(same) and same:allclose(other))
      assert.is_false(wide:equal(apart) or apart:equal(same) or same:allclose(apart))
    end
    peri.set_num_threads(threads)
    assert.is_true(peri.ones(1):expand(5):equal(peri.ones(5)))
    assert.is_true(peri.zeros(0, 3):equal(peri.zeros(0, 3)))
    assert.is_false(peri.zeros(0, 3):equal(peri.zeros(3, 0)))
    assert.is_false(peri.tensor({math.maxinteger}, {dtype = "int64"}):equal(peri.tensor {2.0 ^ 63}))
  end)
end)

describe("iteration and comparison", function()
  it("iterates over rows with pairs", function()
    local rows = {}
    for i, row in pairs(peri.tensor {{1, 2}, {3, 4}}) do rows[i] = row:totable() end
    assert.same({{1, 2}, {3, 4}}, rows)
    local elements = {}
    for _, x in pairs(peri.tensor {5, 6}) do elements[#elements + 1] = x end
    assert.same({5, 6}, elements)
    fails("the tensor has no dimensions", pairs, peri.tensor(1))
  end)

  it("compares one-element tensors as numbers, and nothing larger", function()
    local one, two, many = peri.tensor(1), peri.tensor {{2}}, peri.tensor {1, 2}
    assert.same({true, false, true, true, true, true, false},
      {one < two, one > two, one <= two, two >= 2, one < 2, 0 < one, two < 2})
    fails("a:lt(b)", function() return many < 1 end)
    fails("a:lt(b)", function() return 1 > many end)
    fails("a:le(b)", function() return many <= many end)
    fails("compare a tensor with 'x'", function() return one < "x" end)
  end)

  it("leaves == to identity", function()
    local a = peri.ones(2)
    assert.is_true(a == a)
    assert.is_false(a == a:clone())
    assert.is_false(peri.tensor(1) == 1)
  end)

  it("computes with one-element tensors", function()
    assert.same({3, 6, -1, 8}, {(peri.tensor(1) + 2):item(), (2 * peri.tensor {3}):item(), (-peri.tensor(1)):item(),
      (peri.tensor(2) ^ 3):item()})
    assert.same({{3, 1}, {2, 0.5}, {0, 1}}, {(4 - peri.tensor {1, 3}):totable(), (2 / peri.tensor {1, 4}):totable(),
      (peri.tensor {4, 5} % 2):totable()})
  end)
end)

describe("text", function()
  it("has aligned columns and a footer", function()
    assert.equal("1.  2.\n3.  4.\n[float32 2x2]", tostring(peri.tensor {{1, 2}, {3, 4}}))
    assert.equal(" 0.5000  -1.0000\n[float32 2]", tostring(peri.tensor {0.5, -1}))
    assert.equal("10   2\n[int64 2]", tostring(peri.tensor({10, 2}, {dtype = "int64"})))
    assert.equal(" true  false\n[bool 2]", tostring(peri.tensor {true, false}))
    assert.equal("[float32 0x3]", tostring(peri.zeros(0, 3)))
    assert.equal("2.5000  [float32 0-d]", tostring(peri.tensor(2.5)))
    assert.equal("1.\n[float32 1, requires grad]", tostring(peri.ones(1, {requires_grad = true})))
    assert.matches("^ *nan +inf +%-inf\n%[float32 3%]$", tostring(peri.tensor {0 / 0, 1 / 0, -1 / 0}))
  end)

  it("leaves out the middle of large tensors", function()
    local text = tostring(peri.zeros(100, 100))
    assert.matches("%.%.%.", text)
    assert.matches("%[float32 100x100%]$", text)
    assert.is_true(#text < 500)
    assert.is_true(#tostring(peri.zeros(1000000)) < 100)
  end)

  it("does not fail on a released tensor", function()
    local a = peri.zeros(1)
    a:release()
    assert.equal("released tensor", tostring(a))
  end)
end)

describe("views and places", function()
  it("share memory, and copies do not", function()
    local a = peri.arange(1, 6):to "float32"
    local b = a:view(2, 3)
    b[{2, 1}] = 0
    assert.equal(0.0, a[4])
    assert.same({{1, 0}, {2, 5}, {3, 6}}, b:t():totable())
    b:t():fill_(7)
    assert.same({7, 7, 7, 7, 7, 7}, a:totable())
    a:clone():zero_()
    assert.equal(7.0, a[1])
    assert.same({"2x3", "6x1", "3x2", "1x6", "2x1x3"}, {shape_of(a:reshape(2, 3)), shape_of(a:reshape(-1, 1)),
      shape_of(b:permute(2, 1)), shape_of(a:unsqueeze(1)), shape_of(b:unsqueeze(2))})
    assert.same({"2", "2x2"}, {shape_of(b:select(2, 1)), shape_of(b:narrow(2, 2, 2))})
    fails("view: ", a.view, a, 4)
    fails("transpose: dim", a.transpose, a, 1, 2)
  end)

  it("changes in place with a trailing underscore, and nothing else does", function()
    local a = peri.ones(3)
    assert.is_true(rawequal(a, a:add_(1)))
    assert.same({2, 2, 2}, a:totable())
    for _, f in ipairs {a.add, a.mul, a.sub} do f(a, 5) end
    assert.same({2, 2, 2}, a:totable())
    a:add_(a)
    assert.same({4, 4, 4}, a:totable())
    local m = peri.tensor {{1, 2}, {3, 4}}
    m:add_(m:t())
    assert.same({{2, 5}, {5, 8}}, m:totable())
    fails("mul_: the result is 2x3 but the target is 3", a.mul_, a, peri.ones(2, 3))
    fails("target", peri.ones(3, {dtype = "int64"}).add_, peri.ones(3, {dtype = "int64"}), 1.5)
    fails("share memory (an expanded view)", function() peri.ones(1):expand(3):add_(1) end)
  end)

  it("converts", function()
    local a = peri.tensor {1.9, -1.9, 0}
    assert.same({{1, -1, 0}, {true, true, false}, "float64"},
      {a:to "int64":totable(), a:to "bool":totable(), a:to "float64".dtype})
    fails("to: dtype must be one of", a.to, a, "float16")
    fails("got 'float16'", peri.zeros, 2, {dtype = "float16"})
  end)
end)

describe("copies in another order of dimensions", function()
  -- The elements of a view one by one, which no copy by squares has made.
  local function one_by_one(x)
    local values = {}
    for i = 1, x:size(1) do
      for j = 1, x:size(2) do
        for k = 1, x:size(3) do values[#values + 1] = x[{ i, j, k }] end
      end
    end
    return values
  end
  local function alike(a, b)
    assert.same(a.shape, b.shape)
    assert.is_true(a:eq(b):all())
  end
  local ORDERS = { { 2, 1, 3 }, { 1, 3, 2 }, { 3, 2, 1 }, { 3, 1, 2 }, { 2, 3, 1 } }

  it("hold what the views hold, for sizes around whole squares", function()
    for _, sizes in ipairs { { 3, 16, 8 }, { 2, 17, 33 }, { 20, 7, 9 }, { 1, 15, 40 }, { 4, 16, 16 }, { 8, 31, 1 } } do
      local n = sizes[1] * sizes[2] * sizes[3]
      for _, dtype in ipairs { "float32", "int64", "uint8" } do
        local x = (peri.arange(1, n) % 251):to(dtype):reshape(sizes)
        for _, order in ipairs(ORDERS) do
          local view = x:permute(order)
          assert.same(one_by_one(view), view:contiguous():flatten():totable())
        end
      end
    end
  end)

  it("are those of large matrices, in pieces and turned round, with any number of threads", function()
    local before = peri.get_num_threads()
    local x = peri.arange(1, 301 * 517):to "float32":reshape(301, 517)
    local i, j = peri.arange(1, 517):reshape(517, 1), peri.arange(1, 301):reshape(1, 301)
    local turned = ((j - 1) * 517 + i):to "float32"
    for threads = 1, 3 do
      peri.set_num_threads(threads)
      alike(turned, x:t():contiguous())
      alike(turned:flip { 1 }, x:rot90())
      alike(turned:flip { 2 }, x:rot90(3))
      local target = peri.zeros(301, 600)
      target:narrow(2, 11, 517):copy_(turned:t())
      alike(x, target:narrow(2, 11, 517))
      assert.equal(0, (target:narrow(2, 1, 10):sum() + target:narrow(2, 528, 73):sum()):item())
    end
    peri.set_num_threads(before)
  end)
end)

describe("the first k of many", function()
  it("are the first of a stable sort, however many, with equal elements and NaN", function()
    local x = (peri.arange(1, 3000) * 7919 % 613):to "float32"
    x[2000] = 0 / 0
    for _, largest in ipairs { true, false } do
      local sorted, index = x:sort(1, { descending = largest })
      for _, k in ipairs { 1, 2, 15, 16, 17, 64, 700 } do
        local values, places = x:topk(k, 1, { largest = largest })
        assert.same(index:narrow(1, 1, k):totable(), places:totable())
        assert.same(tostring(sorted:narrow(1, 1, k)), tostring(values))
      end
    end
  end)
end)

describe("release", function()
  it("frees at once, is idempotent, and later use is a clean error", function()
    local before = peri.memory().in_use
    local a, b = peri.zeros(100000), peri.ones(3)
    assert.is_true(peri.memory().in_use >= before + 400000)
    a:release()
    a:release()
    assert.is_true(peri.memory().in_use < before + 10000)
    assert.is_false(peri.is_tensor(a))
    for _, f in ipairs {
      function() return a + 1 end, function() return 1 + a end, function() return b + a end, function() return a[1] end,
      function() a[1] = 2 end, function() return #a end, function() return a.shape end, function() return a:sum() end,
      function() b[1] = a end, function() return b[a] end, function() return peri.cat {b, a} end,
      function() return pairs(a) end, function() return a:item() end, function() return -a end,
      function() a:add_(1) end, function() return a:totable() end,
    } do
      fails("released tensor", f)
    end
    assert.same({1, 1, 1}, b:totable())
  end)

  it("is what a to-be-closed variable does", function()
    local kept
    do
      local t <close> = peri.zeros(2)
      kept = t
    end
    assert.is_false(peri.is_tensor(kept))
  end)

  it("spares views, and is refused for parameters and gradients", function()
    local a = peri.arange(1, 4):to "float32"
    local b = a[{{2, 3}}]
    a:release()
    assert.same({2, 3}, b:totable())
    local w = peri.ones(2, {requires_grad = true})
    w:sum():backward()
    fails("release: the tensor is a parameter or a gradient", w.release, w)
    fails("release: the tensor is a parameter or a gradient", w.grad.release, w.grad)
    assert.same({1, 1}, w.grad:totable())
  end)
end)

describe("wrong input", function()
  local x, y = peri.ones(10, 3), peri.ones(4, 2)

  it("names operation, argument, shapes and values", function()
    for message, f in pairs {
      ["linear: x is 10x3 but weight is 4x2"] = function() return peri.linear(x, y) end,
      ["matmul: "] = function() return x:matmul(y) end,
      ["add: "] = function() return x + y end,
      ["add: b must be a tensor or a number, got 'x'"] = function() return x + "x" end,
      ["add: a is missing"] = function() return peri.add() end,
      ["add: b is missing"] = function() return peri.add(x) end,
      ["add: too many arguments: 3 was not expected"] = function() return peri.add(x, 1, 3) end,
      ["sum: dims: 3 is out of range (the tensor has 2 dimensions)"] = function() return x:sum(3) end,
      ["sum: dims is 0"] = function() return x:sum(0) end,
      ["select: "] = function() return x:select(1, 11) end,
      ["narrow: "] = function() return x:narrow(1, 8, 4) end,
      ["reshape: "] = function() return x:reshape(7, -1) end,
      ["cat: "] = function() return peri.cat({x, y}, 1) end,
      ["cat: tensors[2] must be a tensor, got 5"] = function() return peri.cat {x, 5} end,
      ["cat: tensors has 0 entries"] = function() return peri.cat {} end,
      ["stack: "] = function() return peri.stack {x, y} end,
      ["sum: unknown option 'keepdims' (known: dims, keepdim)"] = function() return x:sum(1, {keepdims = true}) end,
      ["zeros: unknown option 'dytpe' (known: dtype, requires_grad)"] = function() peri.zeros(2, {dytpe = "bool"}) end,
      ["one_hot: "] = function() return peri.one_hot(peri.tensor({1, 5}, {dtype = "int64"}), 3) end,
      ["gather: "] = function() return x:gather(2, peri.full({10, 1}, 4, {dtype = "int64"})) end,
      ["expand: "] = function() return x:expand(10, 4) end,
      ["permute: "] = function() return x:permute(1, 1) end,
      ["squeeze: "] = function() return x:squeeze(5) end,
      ["manual_seed: "] = function() peri.manual_seed("1") end,
      ["set_num_threads: "] = function() peri.set_num_threads(0) end,
    } do
      fails(message, f)
    end
  end)

  it("in labels is refused: out of range, fractional, NaN", function()
    local logits = peri.randn(3, 2)
    local function loss(labels, dtype)
      return function() return peri.cross_entropy(logits, peri.tensor(labels, {dtype = dtype})) end
    end
    fails("cross_entropy: ", loss({1, 2, 3}, "int64"))
    fails("cross_entropy: ", loss({1, 0, 1}, "int64"))
    fails("cross_entropy: ", loss({1, -1, 1}, "int64"))
    fails("cross_entropy: ", loss({1, 2}, "int64"))
    fails("cross_entropy: ", loss({1, 0 / 0, 2}, "float32"))
    fails("cross_entropy: ", loss({{1, 0}, {0, 1}}, "float32"))
    assert.is_true(peri.cross_entropy(logits, peri.tensor({1, 2, 2}, {dtype = "int64"})):item() > 0)
  end)

  it("of impossible size is out of memory or an error, at once", function()
    local huge = 2 ^ 40
    fails("zeros: out of memory: asked 4398046", peri.zeros, huge)
    fails("zeros: out of memory: shape 1099511627776x1099511627776 of float32 has too many elements",
      peri.zeros, huge, huge)
    fails("out of memory", peri.arange, 1, 2 ^ 62)
    fails("out of memory", peri.eye, 2 ^ 31, 2 ^ 31)
    fails("out of memory", function() return peri.ones(1):expand(huge) + 1 end)
    fails("out of memory", function() return peri.one_hot(peri.tensor({1}, {dtype = "int64"}), huge) end)
    fails("zeros: shape must be whole numbers, got", peri.zeros, 1e300)
    fails("zeros: shape must be whole numbers, got", peri.zeros, 0 / 0)
  end)

  it("through a metatable does not reach the insides", function()
    assert.is_false(getmetatable(x))
    assert.is_false(pcall(setmetatable, x, {}))
    assert.is_false(getmetatable(peri.data.loader {x}))
    fails("x must be a tensor, got 5", peri.zeros(1).item, 5)
    fails("x must be a tensor", peri.zeros(1).release, io.stdout)
    fails("x must be a tensor", peri.zeros(1).backward, {})
  end)
end)

describe("wrong files and options", function()
  local paths = {}
  local function file(bytes)
    local path = os.tmpname()
    local handle <close> = assert(io.open(path, "wb"))
    handle:write(bytes)
    paths[#paths + 1] = path
    return path
  end
  teardown(function() for _, path in ipairs(paths) do os.remove(path) end end)

  it("IDX: missing, truncated, lying", function()
    local function header(kind, ...)
      return string.pack(">BBBB" .. ("I4"):rep(select("#", ...)), 0, 0, kind, select("#", ...), ...)
    end
    local good = file(header(8, 2, 3) .. "abcdef")
    assert.same({{97, 98, 99}, {100, 101, 102}}, peri.data.read_idx(good):totable())
    local bad = {
      nothing = "", ["half a header"] = "\0\0\8\2\0\0", ["too few elements"] = header(8, 2, 3) .. "abcde",
      ["too many elements"] = header(8, 2, 3) .. "abcdefg", ["no IDX"] = "hello, world",
      ["an unknown kind"] = header(7, 1) .. "a",
      ["more than there is"] = header(8, 0xffffffff, 0xffffffff, 0xffffffff) .. "a",
      ["a length of 2^32 - 1"] = header(8, 0xffffffff) .. "a", ["no dimension"] = "\0\0\8\0",
      ["255 dimensions"] = "\0\0\8\255",
      ["a broken gzip"] = "\31\139\8\0\0\0\0\0\0\3garbage",
    }
    local before = peri.memory().in_use
    for name, bytes in pairs(bad) do
      local path = file(bytes)
      local ok, message = pcall(peri.data.read_idx, path)
      assert.is_false(ok, name)
      assert(message:find(path, 1, true), name .. ": " .. message)
    end
    fails("/nowhere/there.idx", peri.data.read_idx, "/nowhere/there.idx")
    fails("read_idx: path must be a string, got nothing", peri.data.read_idx)
    fails("zero byte", peri.data.read_idx, good .. "\0.gz")
    fails("mnist: neither train-images-idx3-ubyte.gz nor train-images-idx3-ubyte is in /nowhere",
      peri.data.mnist, "/nowhere")
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)

  it("misspelt options are refused with the known ones", function()
    local X, y = peri.zeros(4, 2), peri.ones(4, {dtype = "int64"})
    fails("circles: unknown option nosie (known: noise, factor, seed, dtype)", peri.data.circles, 10, {nosie = 1})
    fails("loader: unknown option batchsize (known: batch_size, shuffle, seed, drop_last, augment)",
      peri.data.loader, {X, y}, {batchsize = 1})
    fails("loader: batch_size must be a whole number, got 1.5", peri.data.loader, {X, y}, {batch_size = 1.5})
    fails("loader: batch_size is 0", peri.data.loader, {X, y}, {batch_size = 0})
    fails("loader: shuffle must be true or false, got 1", peri.data.loader, {X, y}, {shuffle = 1})
    fails("loader: tensor 2 has 3 rows but tensor 1 has 4", peri.data.loader, {X, peri.ones(3)})
    fails("circles: noise is -1", peri.data.circles, 10, {noise = -1})
    fails("circles: n is 0 (expected at least 1)", peri.data.circles, 0)
    fails("circles: options must be a table, got 5", peri.data.circles, 10, 5)
    fails("circles: options must have names, got the key 1", peri.data.circles, 10, {0.5})
    fails("lerning_rate", peri.optim.SGD, {peri.ones(1, {requires_grad = true})}, {lerning_rate = 1})
  end)
end)
