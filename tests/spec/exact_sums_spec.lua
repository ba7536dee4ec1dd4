-- Sums whose rounding errors do not grow with the count: long ones, and those around a large mean.
local peri = require "perilune"

describe("the sum of #once", function()
  it("10^8 numbers of float32 is right to their last digits #slow", function()
    local x = peri.full({ 100000000 }, 0.1)
    local exact = x[1] * 1e8 -- what float32 holds of 0.1, so often
    assert.is_true(math.abs(x:sum():item() - exact) <= 1e-7 * exact)
    assert.is_true(math.abs(x:mean():item() - x[1]) <= 1e-7 * x[1])
    assert.is_true(math.abs(x:sum():item() - 1e7) <= 1e-6 * 1e7)
  end)

  it("many numbers of float64 is right where a plain loop's is not", function()
    local n = 3000000
    local sum, plain = peri.full({ n }, 0.1, { dtype = "float64" }):sum():item(), 0
    for _ = 1, n do plain = plain + 0.1 end
    assert.is_true(math.abs(sum - 300000) <= 2 ^ -34)
    assert.is_true(math.abs(plain - 300000) > 2 ^ -30) -- or this says nothing
  end)
end)

describe("the variance around a mean of 10^6 #once", function()
  it("is that of the numbers that float32 holds", function()
    peri.manual_seed(3)
    local x = peri.randn(1000, 30) + 1e6
    local exact = x:to "float64"
    for _, dims in ipairs { { 1 }, { 2 }, { 1, 2 } } do
      assert.is_true(x:var(dims):to("float64"):allclose(exact:var(dims), { rtol = 1e-6 }))
    end
    assert.is_true(math.abs(x:std():item() - 1) < 0.02)
  end)
end)

-- The largest distance of y from the exact sums of copies of x up to each, in units of the last place of x's sum.
local function worst(y, x, unit)
  local steps = peri.arange(1, y:numel()):to "float64"
  return ((y:to "float64" - steps * x):abs() / (steps * x * unit)):max():item()
end

describe("cumsum #once", function()
  it("of float32 is right to its last digit everywhere", function()
    for _, n in ipairs { 50, 5000, 3000000 } do
      local x = peri.full({ n }, 0.1)
      assert.is_true(worst(x:cumsum(1), x[1], 2 ^ -24) <= 1.01)
    end
    local columns = peri.full({ 100000, 3 }, 0.1)
    assert.is_true(worst(columns:cumsum(1):select(2, 2), columns[1][1], 2 ^ -24) <= 1.01)
  end)

  it("of float64 has an error that does not grow with the count", function()
    local function errors(n, shape, pick)
      local x = peri.full(shape or { n }, 0.1, { dtype = "float64" })
      local y = x:cumsum(1)
      return worst(pick and pick(y) or y, 0.1, 2 ^ -53)
    end
    assert.is_true(errors(1000) <= 40)
    assert.is_true(errors(3000000) <= 40)
    assert.is_true(errors(300000, { 300000, 2 }, function(y) return y:select(2, 1):contiguous() end) <= 40)
    local plain, most = 0, 0
    for k = 1, 3000000 do
      plain = plain + 0.1
      most = math.max(most, math.abs(plain - k * 0.1) / (k * 0.1 * 2 ^ -53))
    end
    assert.is_true(most > 1000) -- what a plain loop has
  end)

  it("is the sum at its end", function()
    peri.manual_seed(1)
    local x = peri.randn(100003)
    assert.is_true(math.abs(x:cumsum(1)[-1] - x:sum():item()) <= 1e-4)
  end)
end)
