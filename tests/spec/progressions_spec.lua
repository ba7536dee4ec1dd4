-- arange and linspace at the ends of the numbers, and in dtypes that do not have what they ask for.
local peri = require "perilune"
local fails = require("support.fails").like

local double, long = { dtype = "float64" }, { dtype = "int64" }
local largest, least = 0x1.fffffffffffffp+1023, 0x1p-1074

describe("linspace", function()
  it("begins and ends exactly, and rises, wherever its ends are", function()
    local ends = { { -1.7e308, 1.7e308 }, { -largest, largest }, { largest, -largest }, { 0, largest },
                   { 1.6e308, 1.7e308 }, { 0, least },
                   { -least, least }, { 0, 10 * least }, { 1e-310, 3e-310 }, { 0.1, 0.3 }, { -1, 1 }, { 1, 1 },
                   { 1, 1 + 2 ^ -52 }, { 1e-200, 1 }, { 5e-324, 1e308 } }
    for _, range in ipairs(ends) do
      local from, to = range[1], range[2]
      for _, n in ipairs { 2, 3, 4, 5, 11, 100, 1001 } do
        local x = peri.linspace(from, to, n, double):totable()
        assert.equal(from, x[1])
        assert.equal(to, x[n])
        for i = 2, n do
          local rises = x[i] - x[i - 1] >= 0
          assert.is_true(to > from and rises or to < from and x[i] <= x[i - 1] or to == from and x[i] == to,
            ("linspace(%g, %g, %d): %g, %g"):format(from, to, n, x[i - 1], x[i]))
        end
        if n % 2 == 1 and from == -to then assert.equal(0, x[n // 2 + 1]) end
      end
    end
  end)

  it("has equal distances there too, and a middle", function()
    for n = 3, 301, 2 do
      assert.equal(0, peri.linspace(-3, 3, n)[n // 2 + 1])
      assert.equal(0.5, peri.linspace(0, 1, n, double)[n // 2 + 1])
    end
    local x = peri.linspace(-1.7e308, 1.7e308, 5, double):totable()
    assert.same({ -1.7e308, -0.85e308, 0, 0.85e308, 1.7e308 }, x)
    x = peri.linspace(0, 10 * least, 11, double):totable()
    for i = 1, 11 do assert.equal((i - 1) * least, x[i]) end
    x = peri.linspace(0, 10 * least, 21, double):totable()
    for i = 1, 21 do assert.is_true(math.abs(x[i] / least - (i - 1) / 2) <= 0.5) end
  end)

  it("of integers counts in integers", function()
    local x = peri.linspace(math.mininteger, math.maxinteger, 2, long)
    assert.same({ math.mininteger, math.maxinteger }, x:totable())
    x = peri.linspace(math.maxinteger - 6, math.maxinteger, 3, long):totable()
    assert.same({ math.maxinteger - 6, math.maxinteger - 3, math.maxinteger }, x)
    assert.same({ 10, 5, 0 }, peri.linspace(10, 0, 3, long):totable())
    assert.same({ 7 }, peri.linspace(7, 9, 1, long):totable())
    assert.same({ 0, 85, 170, 255 }, peri.linspace(0, 255, 4, { dtype = "uint8" }):totable())
    assert.same({ false, true }, peri.linspace(0, 1, 2, { dtype = "bool" }):totable())
  end)

  it("refuses what the dtype does not have, and ends that are no numbers", function()
    fails("linspace: element 2 is 0.25, which is no value of int64", peri.linspace, 0, 1, 5, long)
    fails("linspace: element 4 is 300, which is no value of uint8", peri.linspace, 0, 300, 4, { dtype = "uint8" })
    fails("linspace: element 257 is 256, which is no value of uint8", peri.linspace, 0, 300, 301, { dtype = "uint8" })
    fails("linspace: element 2 is 4.9.*e%+38, which is no value of float32", peri.linspace, 0, 1e39, 3)
    fails("linspace: element 36 is 3.5e%+38, which is no value of float32", peri.linspace, 0, 1e40, 1001)
    fails("linspace: element 1 is %-1, which is no value of uint8", peri.linspace, -1, 1, 3, { dtype = "uint8" })
    fails("linspace: element 3 is 2, which is no value of bool", peri.linspace, 0, 2, 3, { dtype = "bool" })
    fails("linspace: element 1 is .*, which is no value of float32", peri.linspace, -1.7e308, 1.7e308, 5)
    for _, bad in ipairs { 0 / 0, math.huge } do
      fails("linspace: cannot go from 0 to", peri.linspace, 0, bad, 3)
      fails("linspace: cannot go from", peri.linspace, bad, 0, 3)
    end
    fails("linspace: size %-1", peri.linspace, 0, 1, -1)
    fails("linspace: out of memory", peri.linspace, 0, 1, math.maxinteger)
  end)
end)

describe("arange", function()
  it("of floats ends exactly with `to` where the steps reach it", function()
    for _, case in ipairs { { 0, 0.3, 0.1 }, { 0, 1, 0.1 }, { 1, 2, 0.2 }, { -0.7, 0.7, 0.1 }, { 3, 0, -0.3 } } do
      local x = peri.arange(case[1], case[2], case[3], double):totable()
      assert.equal(case[2], x[#x])
      assert.equal(math.floor((case[2] - case[1]) / case[3] + 1e-6) + 1, #x)
    end
    assert.same({ 0, 0.25, 0.5 }, peri.arange(0, 0.7, 0.25):totable())
    assert.same({ 1.5 }, peri.arange(1.5, 1.5):totable())
  end)

  it("goes over the whole range of floats", function()
    assert.same({ -1.5e308, -0.5e308, 0.5e308, 1.5e308 }, peri.arange(-1.5e308, 1.5e308, 1e308, double):totable())
    assert.same({ 1.5e308, 0, -1.5e308 }, peri.arange(1.5e308, -1.5e308, -1.5e308, double):totable())
    assert.same({ 0, least, 2 * least }, peri.arange(0, 2 * least, least, double):totable())
    fails("arange: out of memory: from %-1.7e%+308 to 1.7e%+308 by 1 is too many", peri.arange, -1.7e308, 1.7e308, 1.0)
    fails("arange: out of memory", peri.arange, 0, 1, least)
  end)

  it("of integers counts in integers, up to the ends of int64", function()
    local top, bottom = math.maxinteger, math.mininteger
    assert.same({ top - 2, top - 1, top }, peri.arange(top - 2, top):totable())
    assert.same({ top - 1 }, peri.arange(top - 1, top, 5):totable())
    assert.same({ bottom + 1, bottom }, peri.arange(bottom + 1, bottom, -1):totable())
    assert.same({ top, top - (1 << 62), top - (2 << 62), bottom + (1 << 62) - 1 },
      peri.arange(top, bottom, -(1 << 62)):totable())
    assert.same({ bottom, -1, top - 1 }, peri.arange(bottom, top, top):totable())
    assert.same({ top, -1 }, peri.arange(top, bottom, bottom):totable())
    assert.same({}, peri.arange(top, top - 1):totable())
    assert.same({}, peri.arange(1, 3, -1):totable())
    fails("arange: out of memory", peri.arange, bottom, top)
    fails("arange: out of memory", peri.arange, 1, top)
    fails("arange: cannot go from 1 to 3 by 0", peri.arange, 1, 3, 0)
    for _, bad in ipairs { 0 / 0, math.huge } do
      fails("arange: cannot go", peri.arange, 0, bad)
      fails("arange: cannot go", peri.arange, 0, 1, bad)
      fails("arange: cannot go", peri.arange, bad, 0)
    end
  end)

  it("in a dtype of integers has integers alone", function()
    assert.same({ 1, 2, 3 }, peri.arange(1.0, 3.0, long):totable())
    assert.same({ 0, 1, 2, 3, 4 }, peri.arange(0, 4.5, long):totable())
    local big = 2.0 ^ 60
    assert.same({ 1 << 60, (1 << 60) + 1 }, peri.arange(big, (1 << 60) + 1, long):totable())
    assert.same({ 0, 100, 200 }, peri.arange(0, 256, 100, { dtype = "uint8" }):totable())
    fails("arange: element 2 is 0.25, which is no value of int64", peri.arange, 0, 1, 0.25, long)
    fails("arange: element 1 is 0.5, which is no value of int64", peri.arange, 0.5, 3, 1, long)
    fails("arange: element 256 is 256, which is no value of uint8", peri.arange, 1, 300, { dtype = "uint8" })
    fails("arange: element 1 is %-1, which is no value of uint8", peri.arange, -1, 1, { dtype = "uint8" })
    fails("arange: element 3 is 2, which is no value of bool", peri.arange, 0, 3, { dtype = "bool" })
    fails("arange: element 2 is 1.*e%+300, which is no value of float32", peri.arange, 0, 1e300, 1e300)
  end)
end)
