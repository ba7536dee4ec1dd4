-- Rows that give a list of tensors, and views that share memory: what twins do not see.
local peri = require "perilune"
local fails = require("support.fails").with

describe("a list of tensors", function()
  it("is a Lua table of views", function()
    local x = peri.zeros(5, 2)
    local parts = x:split(2)
    assert.equal("table", type(parts))
    assert.same({ 3, { 2, 2 }, { 1, 2 } }, { #parts, parts[1].shape, parts[3].shape })
    parts[3]:fill_(7)
    for i, part in ipairs(x:split { 1, 4 }) do part:add_(i) end
    for _, row in ipairs(x:unbind(2)) do row:mul_(2) end
    assert.same({ { 2, 2 }, { 4, 4 }, { 4, 4 }, { 4, 4 }, { 18, 18 } }, x:totable())
    local a, b = table.unpack(peri.meshgrid { peri.arange(1, 2), peri.arange(1, 3) })
    assert.same({ { 1, 1, 1 }, { 2, 2, 2 } }, a:totable())
    assert.same({ { 1, 2, 3 }, { 1, 2, 3 } }, b:totable())
    assert.same({}, peri.zeros(0, 3):unbind())
    assert.same({ 1, { 0, 3 } }, { #peri.zeros(0, 3):split(4), peri.zeros(0, 3):split(4)[1].shape })
  end)

  it("has one node, and one gradient where parts are left out", function()
    local x = peri.arange(1, 6):to "float64":requires_grad_()
    local parts = x:split { 1, 2, 3 }
    local loss = (parts[1] * 10):sum() + (parts[3] ^ 2):sum()
    loss:backward()
    assert.same({ 10, 0, 0, 8, 10, 12 }, x.grad:totable())
    x.grad = nil
    local rows = x:view(3, 2):unbind()
    local total = peri.zeros(2, { dtype = "float64" })
    for i, row in ipairs(rows) do total = total * 2 + row * i end
    total:sum():backward()
    assert.same({ 4, 4, 4, 4, 3, 3 }, x.grad:totable())
    local y = peri.ones(2, { requires_grad = true })
    local other = peri.broadcast_tensors { y, peri.zeros(3, 1) }
    other[1]:sum():backward()
    assert.same({ 3, 3 }, y.grad:totable())
  end)

  it("may be long, and is freed with its graph", function()
    local in_use = peri.memory().in_use
    do
      local x = peri.rand(20000, { requires_grad = true })
      local sum = peri.cat(x:view(-1, 1):unbind()):sum()
      sum:backward()
      assert.is_true(x.grad:eq(1):all())
      local sizes = {}
      for i = 1, 20000 do sizes[i] = 1 end
      assert.equal(20000, #x:split(sizes))
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(peri.memory().in_use <= in_use + 4096)
    fails("unbind: the list would have 1000001 tensors (expected at most 1000000)", peri.unbind,
      peri.zeros(1):expand(1000001))
    fails("chunk: chunks is 0 (expected at least 1)", peri.chunk, peri.zeros(3), 0)
    fails("split: the sizes do not add up to 3, the size of dimension 1", peri.split, peri.zeros(3), { 1, 1 })
    fails("tensor_split: end 2 is 1 (expected 2 to 3)", peri.tensor_split, peri.zeros(3), { 2, 1 })
  end)

  it("cannot be written while gradients are recorded", function()
    local x = peri.ones(4, { requires_grad = true })
    fails("fill_: cannot write in place while gradients are recorded", x:split(2)[1].fill_, x:split(2)[1], 0)
    local half = peri.no_grad(function() return x:split(2) end)[1]
    fails("fill_: cannot write in place while gradients are recorded", half.fill_, half, 0)
    peri.no_grad(function() half:fill_(5) end)
    assert.same({ 5, 5, 1, 1 }, x:totable())
  end)
end)

describe("a view", function()
  it("shares memory in every way to look at it", function()
    local x = peri.zeros(2, 6)
    x:movedim(1, 2)[1]:fill_(1)
    x:swapaxes(1, 2)[2]:fill_(2)
    x:unflatten(2, { 3, 2 })[{ 1, 2 }]:fill_(3)
    x:diagonal(4):fill_(4)
    x:unfold(2, 2, 2)[{ 2, 2 }]:fill_(5)
    x.T[6]:add_(10)
    x:view_as(peri.zeros(12))[12] = 6
    assert.same({ { 1, 2, 3, 3, 4, 10 }, { 1, 2, 5, 5, 0, 6 } }, x:totable())
    assert.same({ 2, 2 }, { x.ndim, peri.atleast_2d(x).ndim })
    fails("elements of the target share memory", peri.zeros(3):unfold(1, 2, 1).fill_, peri.zeros(2, 1):expand(2, 2), 1)
  end)

  it("has the shape of another tensor, of which it wants no gradient", function()
    local x, w = peri.ones(3), peri.ones(2, 3, { requires_grad = true })
    assert.is_false(x:expand_as(w).requires_grad)
    assert.is_false(x:clone():reshape_as(peri.ones(3, { requires_grad = true })).requires_grad)
    assert.is_false(w:new_zeros(2).requires_grad)
    assert.is_true(w:view_as(peri.ones(6)).requires_grad)
  end)
end)

describe("frombytes", function()
  it("takes what bytes gave, in every dtype", function()
    for _, dtype in ipairs { "float32", "float64", "int64", "uint8", "bool" } do
      local x = (peri.rand(3, 4) * 5):to(dtype)
      local y = peri.frombytes(x:bytes(), { dtype = dtype, shape = { 3, 4 } })
      assert.is_true(x:equal(y) and y.dtype == dtype)
      assert.is_true(x:t():equal(peri.frombytes(x:t():bytes(), { dtype = dtype, shape = { -1, 3 } })))
    end
    assert.same({ 1, -2 }, peri.frombytes(("<i8i8"):pack(1, -2), { dtype = "int64" }):totable())
    assert.same({ 0.5 }, peri.frombytes(("<f"):pack(0.5)):totable())
    assert.same({ 0 }, peri.frombytes("").shape)
    assert.equal(3, peri.frombytes(("<d"):pack(3), { dtype = "float64", shape = {} }):item())
    local text = "abc"
    local copy = peri.frombytes(text, { dtype = "uint8" })
    copy:fill_(0)
    assert.equal("abc", text)
  end)

  it("refuses what does not fit", function()
    local refused = {
      ["there are 3 bytes (expected a multiple of 4, the size of a float32)"] = { "abc" },
      ["1 elements do not fit the shape 2"] = { "abcd", { shape = { 2 } } },
      ["1 elements do not fit the shape -1x2"] = { "abcd", { shape = { -1, 2 } } },
      ["0 elements do not fit the shape -1x0"] = { "", { shape = { -1, 0 } } },
      ["-1x-1 is not a shape"] = { "abcd", { shape = { -1, -1 } } },
      ["1048576x1048576x16777216 is not a shape"] = { "", { shape = { 1 << 20, 1 << 20, 1 << 24, 4096 } } },
      ["shape[1] must be a whole number, got 1.5"] = { "abcd", { shape = { 1.5 } } },
      ["shape must be a table of at most 8 sizes, got 4"] = { "abcd", { shape = 4 } },
      ["byte 2 is 2, which is no bool (expected 0 or 1)"] = { "\1\2", { dtype = "bool" } },
      ["bytes must be a string, got 3"] = { 3 }, ["unknown option shap"] = { "", { shap = {} } },
      ["dtype must be one of float32"] = { "", { dtype = "float16" } },
      ["too many arguments: 3 was not expected"] = { "", {}, 3 },
    }
    for text, arguments in pairs(refused) do
      fails("frombytes: " .. text, peri.frombytes, table.unpack(arguments))
    end
  end)
end)
