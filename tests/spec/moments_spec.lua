-- Means, variances and deviations where numbers are large beside their spread, equal, or at the ends of the range.
local peri = require "perilune"

local function float64(values) return peri.tensor(values, { dtype = "float64" }) end
local function near(expected, got, tolerance, text)
  text = ("%s: %.17g, right: %.17g"):format(text, got, expected)
  assert.is_true(math.abs(got - expected) <= tolerance * math.abs(expected), text)
end

describe("the mean", function()
  it("of equal numbers that sum exactly is that number, for every count", function()
    for n = 1, 1500 do
      for _, dtype in ipairs { "float32", "float64" } do
        local x = peri.ones({ 2, n }, { dtype = dtype })
        assert.equal(1, x[1]:mean():item())
        assert.same({ 1, 1 }, x:mean(2):totable())
        assert.equal(1, x:t():mean({ 1, 2 }):item())
      end
    end
  end)

  it("is the sum divided by the count", function()
    peri.manual_seed(3)
    for _, n in ipairs { 3, 7, 49, 1000, 99991 } do
      local x = peri.rand(n, { dtype = "float64" })
      assert.equal(x:sum():item() / n, x:mean():item())
    end
  end)

  it("does not overflow with its sum", function()
    assert.equal(peri.tensor { 3e38 }[1], peri.tensor({ 3e38, 3e38 }):mean():item())
    assert.equal(1.5e308, float64({ 1.5e308, 1.5e308 }):mean():item())
    local rows = float64 { { 1.5e308, 1.5e308 }, { 1, 3 }, { -1e308, -1e308 } }
    assert.same({ 1.5e308, 2, -1e308 }, rows:mean(2):totable())
    assert.equal(math.huge, float64({ math.huge, 1 }):mean():item())
    local none = float64({ math.huge, -math.huge }):mean():item()
    assert.is_true(none ~= none)
    local long = peri.full({ 100000 }, 1.5e308, { dtype = "float64" })
    near(1.5e308, long:mean():item(), 1e-15, "long")
  end)

  it("has a gradient of 1 / n, divided too", function()
    local x = peri.ones(49, { dtype = "float64", requires_grad = true })
    x:mean():backward()
    assert.equal(1 / 49, x.grad[1])
    assert.equal(1 / 49, x.grad[49])
  end)
end)

describe("the variance", function()
  it("of numbers +-1 is the count divided by the count - correction", function()
    for n = 2, 1000, 2 do
      local x = peri.ones(n, { dtype = "float64" })
      x[{ { 1, n // 2 } }] = -1
      assert.equal(1, x:var({ correction = 0 }):item())
      assert.equal(n / (n - 1), x:var():item())
      assert.equal(math.sqrt(n / (n - 1)), x:std():item())
    end
  end)

  it("and the deviation of equal numbers are exactly 0", function()
    for _, dtype in ipairs { "float32", "float64" } do
      for _, v in ipairs { 0.1, 1 / 3, 1e6 + 0.3, -12345.678, 1e-30, 1e30, 1e-310 } do
        for _, n in ipairs { 1, 2, 3, 49, 1000, 70001 } do
          if dtype == "float64" or v > 1e-300 then
            local x = peri.full({ n }, v, { dtype = dtype })
            assert.equal(0, x:var({ correction = 0 }):item())
            assert.equal(0, x:std({ correction = 0 }):item())
            assert.equal(0, x:view(n, 1):std(1, { correction = 0 })[1])
          end
        end
      end
    end
  end)

  it("keeps its digits where the numbers are large beside it", function()
    local x = float64 { 1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4 }
    assert.equal(5 / 3, x:var():item())
    near(5 / 3, peri.tensor({ 1e6 + 1, 1e6 + 2, 1e6 + 3, 1e6 + 4 }):var():item(), 1e-7, "float32")
  end)

  it("refuses a correction that is no number", function()
    for _, c in ipairs { 0 / 0, math.huge } do
      assert.has_error(function() peri.ones(3):var { correction = c } end)
      assert.has_error(function() peri.ones(3):std { correction = c } end)
    end
  end)
end)

describe("the deviation", function()
  it("is right over the whole range of both floats, over all and over a dimension", function()
    local scales = { float32 = { 1e-44, 1e-37, 1e-30, 1e-22, 1e-20, 1, 1e18, 1e20, 1e37 },
                     float64 = { 1e-310, 1e-200, 1e-163, 1e-161, 1e-150, 1, 1e150, 1e153, 1e155, 1e200, 5e307 } }
    for dtype, list in pairs(scales) do
      for _, scale in ipairs(list) do
        local x = peri.tensor({ { 1 * scale, 2 * scale, 3 * scale }, { 3, 1, 2 } }, { dtype = dtype })
        local tolerance = dtype == "float32" and (scale < 1e-37 and 0.1 or 1e-6) or 1e-12
        local text = dtype .. " " .. scale
        near(scale, x[1]:std():item(), tolerance, text)
        near(scale, x:std(2)[1], tolerance, text)
        near(1, x:std(2)[2], 1e-6, text)
        near(scale, x:t():std(1)[1], tolerance, text)
      end
    end
    near(math.sqrt(2) * 1e308, float64({ -1e308, 1e308 }):std():item(), 1e-15, "across 0")
    for _, same in ipairs { 5e-324, 1e-200, 1e128, -1e200, 1.7e308 } do
      local x = float64 { { same, same, same }, { 1, 2, 3 } }
      assert.same({ 0, 1 }, x:std(2):totable())
      assert.same({ 0, 1 }, x:var(2):totable())
    end
    local long = peri.ones(100000, { dtype = "float64" }) * 1e-170
    long[{ { 1, 50000 } }] = -1e-170
    near(1e-170, long:std({ correction = 0 }):item(), 1e-12, "cut in pieces")
  end)

  it("has the right gradient there, and 0 where all are equal", function()
    local scales = { float32 = { 1e-37, 1e-25, 1, 1e20, 1e37 }, float64 = { 1e-300, 1e-163, 1, 1e154, 1e300 } }
    for dtype, list in pairs(scales) do
      for _, scale in ipairs(list) do
        local x = peri.tensor({ 1 * scale, 2 * scale, 3 * scale }, { dtype = dtype, requires_grad = true })
        x:std():backward()
        near(-0.5, x.grad[1], 1e-6, "first")
        assert.is_true(math.abs(x.grad[2]) < 1e-6)
        near(0.5, x.grad[3], 1e-6, "last")
      end
      for _, v in ipairs { 0, 1, 0.1, 1 / 3, 1e6 + 0.3 } do
        local x = peri.full({ 2, 3 }, v, { dtype = dtype, requires_grad = true })
        local y = x[1]
        y:std():backward()
        assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, x.grad:totable())
        x.grad = nil
        x:std(2, { correction = 0 }):sum():backward()
        assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, x.grad:totable())
      end
    end
    local mixed = float64({ { 1, 1, 1 }, { 1, 2, 3 } }):requires_grad_()
    mixed:std(2):sum():backward()
    assert.same({ { 0, 0, 0 }, { -0.5, 0, 0.5 } }, mixed.grad:totable())
    local one = peri.tensor({ { 3 } }, { requires_grad = true })
    one:std(1, false, { correction = 0 }):sum():backward()
    assert.equal(0, one.grad[1][1])
  end)

  it("and the variance have gradients that are right where numbers are large beside their spread", function()
    local x = peri.tensor({ 1e6, 1e6 + 1, 1e6 + 5 }, { requires_grad = true })
    x:var():backward()
    for i, right in ipairs { -2, -1, 3 } do near(right, x.grad[i], 1e-6, "var") end
    x.grad = nil
    x:std():backward()
    local std = math.sqrt(7)
    for i, right in ipairs { -2, -1, 3 } do near(right / std / 2, x.grad[i], 1e-6, "std") end
  end)
end)

describe("a mean loss", function()
  it("does not overflow with the sum of its losses, and divides its gradient", function()
    local x = peri.tensor({ 1.5e19, 1.5e19, -1.5e19 }, { requires_grad = true })
    local loss = peri.mse_loss(x, peri.zeros(3))
    near(2.25e38, loss:item(), 1e-6, "loss")
    local y = peri.ones(49, { dtype = "float64", requires_grad = true })
    local scaled = peri.mse_loss(y, peri.zeros(49, { dtype = "float64" })) * 3
    scaled:backward()
    assert.equal(2 * (3 / 49), y.grad[1])
  end)
end)
