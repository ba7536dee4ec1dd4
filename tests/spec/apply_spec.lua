-- A Lua function for each element.
local peri = require "perilune"
local fails = require("support.fails").at_script

describe("apply and map", function()
  it("call a function for each element, in order, and give a new tensor", function()
    local x, seen = peri.tensor { { 1, 2 }, { 3, 4 } }, {}
    local y = x:t():apply(function(v)
      seen[#seen + 1] = v
      return v * 10
    end)
    assert.same({ { 1, 3, 2, 4 }, { { 10, 30 }, { 20, 40 } }, { { 1, 2 }, { 3, 4 } } },
      { seen, y:totable(), x:totable() })
    assert.same({ 11, 22 }, peri.tensor { 1, 2 }:map(peri.tensor { 10, 20 }, function(a, b) return a + b end):totable())
  end)

  it("write in place, keeping the dtype", function()
    local x = peri.tensor({ 1, math.maxinteger }, { dtype = "int64" })
    assert.equal(x, x:apply_(function(v) return v ~ 1 end))
    assert.same({ 0, math.maxinteger - 1 }, x:totable())
    local mask = peri.tensor { true, false }
    mask:map_(mask:clone(), function(a, b) return not (a and b) end)
    assert.same({ false, true }, mask:totable())
  end)

  it("change nothing when the function fails or gives what the dtype has not", function()
    local x = peri.tensor({ 1, 2 }, { dtype = "uint8" })
    assert.is_false(pcall(x.apply_, x, function(v) if v == 2 then error "mine" end return 0 end))
    fails("apply_: f gave 300 for element 1, which is no value of uint8", x.apply_, x, function() return 300 end)
    fails("apply: f gave nil for element 1 (expected a number)", x.apply, x, function() end)
    fails("map: b is 3 but x is 2", x.map, x, peri.ones(3), print)
    fails("apply: f must be a function, got 1", x.apply, x, 1)
    fails("map: too many arguments", x.map, x, x, print, 1)
    fails("no gradient goes through a Lua function", function()
      peri.ones(2, { requires_grad = true }):apply(function(v) return v end)
    end)
    assert.same({ 1, 2 }, x:totable())
  end)

  it("survive a function that releases its operands", function()
    local x, b = peri.ones(3), peri.ones(3)
    fails("released", function()
      x:map_(b, function(v, w)
        x:release()
        b:release()
        collectgarbage()
        return v + w
      end)
    end)
  end)
end)
