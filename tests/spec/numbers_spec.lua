-- Numbers beside tensors, and integers beside floats: nothing is rounded, wrapped or cut off in silence.
local peri = require "perilune"
local fails = require("support.fails").like

local big = 1 << 53 -- from here on float64 does not hold every integer

local function int64(values) return peri.tensor(values, { dtype = "int64" }) end

-- ---- comparisons ----

local lua = {
  eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
  lt = function(a, b) return a < b end, le = function(a, b) return a <= b end,
  gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
}

local function number(value)
  if value == true then return 1 end
  if value == false then return 0 end
  return value
end

local elements = {
  uint8 = { 0, 1, 127, 254, 255 },
  bool = { false, true },
  int64 = { math.mininteger, math.mininteger + 1, -big - 1, -big, -1, 0, 1, (1 << 24) + 1, big, big + 1,
            math.maxinteger - 1, math.maxinteger },
  float32 = { -math.huge, -0x1.fffffep+127, -1, -0.0, 0, 0x1p-149, 1, 2 ^ 24, 2 ^ 24 + 2, 2 ^ 53, 2 ^ 63,
              0x1.fffffep+127, math.huge, 0 / 0 },
  float64 = { -math.huge, -0x1.fffffffffffffp+1023, -1, -0.0, 0, 0x1p-1074, 0.1, 1, 2 ^ 53, 2 ^ 53 + 2, 2 ^ 63,
              0x1.fffffffffffffp+1023, math.huge, 0 / 0 },
}
local numbers = {
  0, 1, -1, 2, 255, 256, -256, 0.5, -0.5, 254.5, 255.5, (1 << 24) + 1, 2.0 ^ 24 + 1, big, big + 1, -big - 1, 2 ^ 53,
  2 ^ 63, -2 ^ 63, 2 ^ 64, math.maxinteger, math.maxinteger - 1, math.mininteger, 1e300, -1e300, 1e-300, -1e-300,
  3.5e38, math.huge, -math.huge, 0 / 0, true, false,
}

describe("a comparison of", function()
  for dtype, values in pairs(elements) do
    local t = peri.tensor(values, { dtype = dtype })
    it(dtype .. " with numbers, on either side, says what Lua says of the two", function()
      for name, f in pairs(lua) do
        for _, n in ipairs(numbers) do
          local right, left = t[name](t, n), peri[name](n, t)
          for i = 1, #values do
            local v = number(t[i])
            local text = ("%s: %s %s %s"):format(dtype, v, name, n)
            assert.equal(f(v, number(n)), right[i], text)
            assert.equal(f(number(n), v), left[i], text .. ", turned round")
          end
        end
      end
    end)
    for other, others in pairs(elements) do
      it(dtype .. " with " .. other .. " says what Lua says of the elements", function()
        local u = peri.tensor(others, { dtype = other })
        for name, f in pairs(lua) do
          local mask = peri[name](t:view(-1, 1), u)
          for i = 1, #values do
            for j = 1, #others do
              local text = ("%s %s %s %s %s"):format(dtype, t[i], name, other, u[j])
              assert.equal(f(number(t[i]), number(u[j])), mask[{ i, j }], text)
            end
          end
        end
      end)
    end
  end

  it("float32 with a fraction rounds the fraction as it rounded the element", function()
    local t = peri.tensor { 0.1, 0.3 }
    assert.same({ true, false }, t:eq(0.1):totable())
    assert.same({ true, false }, t:le(0.1):totable())
    assert.same({ false, true }, t:gt(0.1):totable())
    assert.is_false(t:to("float64"):eq(0.1)[1])
  end)

  it("single elements by < and <= is exact too, and so is equal", function()
    local a, b = int64 { big + 1 }, int64 { big }
    assert.is_true(b < a)
    assert.is_false(a < b)
    assert.is_false(a <= b)
    assert.is_true(a > 2 ^ 53)
    assert.is_false(a <= 2 ^ 53)
    assert.is_true(peri.tensor({ true }) > peri.tensor({ 0 }))
    assert.is_false(a:equal(peri.tensor({ 2 ^ 53 }, { dtype = "float64" })))
    assert.is_true(b:equal(peri.tensor({ 2 ^ 53 }, { dtype = "float64" })))
    assert.is_false(a:equal(b))
    assert.is_false(a:allclose(b, { rtol = 0, atol = 0.5 }))
    assert.is_true(a:allclose(b, { rtol = 0, atol = 1 }))
  end)
end)

-- ---- numbers that are written ----

describe("a number that the dtype does not have is refused by", function()
  local mask = peri.tensor { true, false }
  local wrong = {
    uint8 = { -1, 256, 0.5, 0 / 0, math.huge, 1 << 40 },
    int64 = { 0.5, 2 ^ 63, 0 / 0, -math.huge },
    bool = { 2, 0.5, -1, 0 / 0 },
    float32 = { 1e300, -3.5e38 },
  }
  for dtype, values in pairs(wrong) do
    it("full, fill_, copy_, masked_fill, index_copy_ and tensor, for " .. dtype, function()
      for _, v in ipairs(values) do
        local x = peri.zeros(2, { dtype = dtype })
        local expected = "which is no value of " .. dtype
        fails("full: value is .*" .. expected, peri.full, { 2 }, v, { dtype = dtype })
        fails("fill_: value is .*" .. expected, x.fill_, x, v)
        fails("copy_: source is .*" .. expected, x.copy_, x, v)
        fails("masked_fill: value is .*" .. expected, x.masked_fill, x, mask, v)
        fails("masked_fill_: value is .*" .. expected, x.masked_fill_, x, mask, v)
        fails("index_copy_: source is .*" .. expected, x.index_copy_, x, 1, int64 { 1 }, v)
        fails(expected, function() x[1] = v end)
        fails("is no value of " .. dtype, peri.tensor, { v }, { dtype = dtype })
        assert.is_true(x:equal(peri.zeros(2, { dtype = dtype })))
      end
    end)
  end

  it("tensor, also where float32 is not asked for", function()
    fails("tensor: .*is no value of float32 .dtype = .float64. holds it", peri.tensor, { 1, 1e300 })
    assert.equal(math.huge, peri.tensor({ math.huge })[1])
    assert.equal(1e300, peri.tensor({ 1e300 }, { dtype = "float64" })[1])
  end)

  it("where, beside a tensor of uint8 or int64", function()
    local bytes = peri.tensor({ 1, 2 }, { dtype = "uint8" })
    fails("where: b is 300, which is no value of uint8 %(expected a whole number from 0 to 255%)",
      peri.where, mask, bytes, 300)
    fails("where: a is %-1, which is no value of uint8", peri.where, mask, -1, bytes)
    assert.same({ 1, 255 }, peri.where(mask, bytes, 255):totable())
    assert.equal("uint8", peri.where(mask, bytes, 255).dtype)
    assert.same({ 1, 0.5 }, peri.where(mask, bytes, 0.5):totable()) -- fractions make floats, as everywhere
    local long = int64 { big + 1, 2 }
    assert.same({ big + 1, math.mininteger }, peri.where(mask, long, math.mininteger):totable())
    assert.equal("float64", peri.where(mask, int64 { 16777217, 2 }, 0.5).dtype)
    assert.same({ 16777217, 0.5 }, peri.where(mask, int64 { 16777217, 2 }, 0.5):totable())
  end)

  it("clamp, for int64", function()
    local x = int64 { math.mininteger, -5, 0, big + 1, math.maxinteger }
    fails("clamp: min is 0.5, which is no value of int64", x.clamp, x, 0.5)
    fails("clamp: max is 1.5, which is no value of int64", x.clamp, x, { max = 1.5 })
    fails("clamp: min is inf", x.clamp, x, math.huge)
    fails("clamp: max is .*e%+30", x.clamp, x, { max = -1e30 })
    fails("clamp: min is ", x.clamp, x, big + 1, big) -- equal as doubles
    assert.same({ big + 1, big + 1, big + 1, big + 1, big + 2 }, x:clamp(big + 1, big + 2):totable())
    assert.same(x:totable(), x:clamp(-math.huge, math.huge):totable()) -- nothing lies beyond
    assert.same({ 0, 0, 0, big + 1, math.maxinteger }, x:clamp(0, 1e30):totable())
    assert.same({ math.mininteger, -5, 0, 0, 0 }, x:clamp(-1e30, 0):totable())
    assert.same({ -1, -1, 0, 1, 1 }, x:clone():clamp_(-1.0, 1.0):totable())
  end)
end)

describe("clamp", function()
  it("refuses a bound that is NaN and keeps an element that is", function()
    local x = peri.tensor { 0 / 0, -3, 3 }
    fails("clamp: min is nan", x.clamp, x, 0 / 0)
    fails("clamp: max is nan", x.clamp, x, { max = 0 / 0 })
    fails("clamp: max is nan", x.clamp, x, 1, 0 / 0)
    local y = x:clamp(-1, 1)
    assert.is_true(y[1] ~= y[1])
    assert.same({ -1, 1 }, y[{ { 2, 3 } }]:totable())
  end)
end)

describe("a number beyond float32's range beside it", function()
  local x = peri.tensor { 0, 1 }
  it("is refused in arithmetic, where it would be infinite", function()
    for _, name in ipairs { "add", "sub", "mul", "div", "pow", "floor_div", "mod" } do
      fails(name .. ": b is 1.*e%+300, which is no value of float32 .*float64", peri[name], x, 1e300)
      fails(name .. ": a is %-1.*e%+300, which is no value of float32", peri[name], -1e300, x)
      assert.equal("float64", peri[name](x:to "float64", 1e300).dtype)
    end
    assert.same({ 0, 1 }, x:minimum(1e300):totable())
    assert.same({ 0, 1 }, x:maximum(-1e300):totable())
    assert.same({ 0, 1 }, x:clamp(-1e300, 1e300):totable())
    assert.same({ 0, 0 }, (x / math.huge):totable())
  end)
  it("is refused as a divisor that would be 0", function()
    for _, name in ipairs { "div", "floor_div", "mod" } do
      fails(name .. ": b is 1e%-300, which is 0 in float32", peri[name], x, 1e-300)
    end
    assert.same({ 0, 1 }, (x + 1e-300):totable())
    local y = x / 0
    assert.is_true(y[1] ~= y[1] and y[2] == math.huge)
  end)
end)

-- ---- which one is chosen ----

describe("of equal elements", function()
  local function gradient(values, f)
    local x = peri.tensor(values, { requires_grad = true })
    f(x):sum():backward()
    return x.grad:totable()
  end
  it("the first is the largest and the smallest along a dimension, and has the gradient", function()
    local rows = { { 2, 2, 1 }, { 0, 3, 3 } }
    assert.same({ 1, 2 }, select(2, peri.tensor(rows):max(2)):totable())
    assert.same({ { 1, 0, 0 }, { 0, 1, 0 } }, gradient(rows, function(x) return (x:max(2)) end))
    assert.same({ { 0, 0, 1 }, { 1, 0, 0 } }, gradient(rows, function(x) return (x:min(2)) end))
    assert.same({ 0, 1, 0 }, gradient({ 1, 5, 5 }, function(x) return x:max() end))
  end)
  it("of two tensors both have half of the gradient", function()
    local a, b = peri.tensor({ 1, 2 }, { requires_grad = true }), peri.tensor({ 1, 3 }, { requires_grad = true })
    a:maximum(b):sum():backward()
    assert.same({ 0.5, 0 }, a.grad:totable())
    assert.same({ 0.5, 1 }, b.grad:totable())
  end)
end)

describe("NaN and infinities", function()
  it("go through relu and clamp, and choose a maximum", function()
    local nan = peri.tensor { 0 / 0, -1, 2 }
    for _, y in ipairs { nan:relu(), nan:clamp(0, 1), nan:clamp { max = 1 }, nan:maximum(0), nan:minimum(0) } do
      assert.is_true(y[1] ~= y[1])
    end
    assert.same({ 0, 1 }, nan:clamp(0, 1)[{ { 2, 3 } }]:totable())
  end)
  it("in the branch that where does not choose leave its gradient exactly 0", function()
    for _, bad in ipairs { 0 / 0, math.huge, -math.huge } do
      local a = peri.tensor({ 1, bad }, { requires_grad = true })
      local b = peri.tensor({ bad, 2 }, { requires_grad = true })
      local y = peri.where(peri.tensor { true, false }, a, b)
      y:backward(peri.tensor { 3, 5 })
      assert.same({ 1, 2 }, y:totable())
      assert.same({ 3, 0 }, a.grad:totable())
      assert.same({ 0, 5 }, b.grad:totable())
    end
  end)
end)

-- ---- integers in rows ----

describe("int64", function()
  local values = { math.mininteger, -big - 1, -3, 0, 2, (1 << 24) + 1, big + 1, math.maxinteger }

  it("keeps every digit through the rows whose result is a whole number", function()
    local x = int64(values)
    for _, name in ipairs { "floor", "ceil", "round" } do
      assert.equal("int64", x[name](x).dtype)
      assert.same(values, x[name](x):totable())
    end
    assert.same({ 0, 0, 0, 0, 2, (1 << 24) + 1, big + 1, math.maxinteger }, x:relu():totable())
    assert.same({ math.mininteger + 1, -big, -2, 1, 3, (1 << 24) + 2, big + 2, math.mininteger }, (x + 1):totable())
    assert.same({ 5, 5, 5, 5, 5, (1 << 24) + 1, big + 1, math.maxinteger }, x:maximum(5):totable())
    for _, name in ipairs { "add", "mul", "maximum", "minimum" } do -- a float of Lua is a float, also where it is whole
      assert.same({ "int64", "float64" }, { x[name](x, 2).dtype, x[name](x, 2.0).dtype })
    end
  end)

  it("to a power from 0 stays int64, and wraps around as a product does", function()
    local x = int64 { 3037000499, -3, 0, 7, 2 }
    local function powers(n)
      local result = {}
      for i = 1, 5 do
        result[i] = 1
        for _ = 1, n do result[i] = result[i] * x[i] end
      end
      return result
    end
    for _, n in ipairs { 0, 1, 2, 3, 62, 63, 64 } do
      local y = x ^ n
      assert.equal("int64", y.dtype)
      assert.same(powers(n), y:totable())
      assert.same(powers(n), (x ^ peri.full({ 5 }, n, { dtype = "int64" })):totable())
    end
    assert.same({ 1, 2, 4, 8 }, (2 ^ int64 { 0, 1, 2, 3 }):totable())
  end)

  it("to a power that may give a fraction is float64, or refused", function()
    local y = int64 { 2, -4, 0 } ^ -1
    assert.equal("float64", y.dtype)
    assert.same({ 0.5, -0.25, math.huge }, y:totable())
    assert.same({ 2, 3 }, (int64 { 4, 9 } ^ 0.5):totable())
    fails("pow: element 2 of b is negative .*float64", peri.pow, 10, int64 { 1, -2 })
    assert.same({ 0.01, 10 }, (10.0 ^ int64 { -2, 1 }):totable())
  end)

  it("becomes float64, not float32, where the result is a fraction and no float tensor says otherwise", function()
    local x = int64 { 16777217, 16777219 }
    for _, f in ipairs {
      function(t) return t + 0.5 end, function(t) return t / 2 end, function(t) return t * 1.5 end,
      function(t) return t % 0.75 end,
      function(t) return t // 0.5 end, function(t) return 0.5 - t end, function(t) return t:maximum(0.5) end,
      function(t) return t:minimum(16777217.5) end,
    } do
      local y = f(x)
      assert.equal("float64", y.dtype)
      assert.equal(f(x:to "float64"):totable()[1], y[1])
      assert.equal(f(x:to "float64"):totable()[2], y[2])
    end
    for _, name in ipairs { "sqrt", "log", "exp", "reciprocal", "tanh" } do
      local t = int64 { 1, 3 }
      assert.equal("float64", t[name](t).dtype)
      assert.same(t:to("float64")[name](t:to("float64")):totable(), t[name](t):totable())
    end
    assert.equal(16777217 / 16777219, (x[{ {1, 1} }] / x[{ {2, 2} }])[1])
    assert.equal("float32", (x * peri.ones(2)).dtype) -- the float tensor's dtype
    assert.equal("float32", (peri.tensor { true } * 0.5).dtype)
  end)

  it("has a mean in float64, and a sum that wraps around", function()
    assert.equal("float64", int64({ 1 }):mean().dtype)
    assert.equal(16777217, int64({ 16777217, 16777217 }):mean():item())
    assert.equal("float32", peri.tensor({ true, false }):mean().dtype)
    assert.equal(math.mininteger, int64({ math.maxinteger, 1 }):sum():item())
  end)

  it("where of two booleans beside a bool tensor is bool", function()
    local mask = peri.tensor { true, false }
    assert.equal("bool", peri.where(mask, mask, true).dtype)
    assert.same({ true, true }, peri.where(mask, mask, true):totable())
    assert.same({ false, true }, peri.where(mask, false, true):totable())
    assert.same({ big + 1, 0 }, peri.where(mask, big + 1, 0):totable())
  end)
end)
