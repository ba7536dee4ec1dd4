-- Convolutions, pools and batch_norm against PyTorch's numbers (golden/conv.lua, which peers/conv_golden.py writes):
-- values, gradients of all operands and running statistics, in both dtypes.
local peri = require "perilune"
local golden = require "golden.conv"

local TOLERANCES = { float32 = 1e-5, float64 = 1e-10 } -- of the largest number of a tensor

-- The operand of conv_golden.py.
local function operand(key, shape, dtype)
  local count, values = 1, {}
  for _, size in ipairs(shape) do count = count * size end
  for i = 0, count - 1 do values[i + 1] = ((73 * i + 29 * key) % 101 - 50) / 32 end
  return peri.tensor(values, { dtype = dtype }):view(table.unpack(shape))
end

local function leaf(...) return operand(...):requires_grad_() end

local function near(expected, got, dtype, where)
  local wanted = peri.tensor(expected, { dtype = "float64" })
  assert.equal(#expected, got:numel(), where)
  local most = wanted:abs():max():item()
  local difference = (got:detach():to "float64":reshape(-1) - wanted):abs():max():item()
  assert.is_true(difference <= TOLERANCES[dtype] * most, ("%s: %g of %g"):format(where, difference, most))
end

-- y and the gradients of sum(g * y) with respect to leaves, {name =}.
local function check(case, y, leaves, dtype, where)
  assert.same(case.y_shape, y.shape, where)
  assert.equal(dtype, y.dtype, where)
  near(case.y, y, dtype, where .. ": y")
  y:backward(operand(9, case.y_shape, dtype))
  for name, x in pairs(leaves) do near(case["grad_" .. name], x.grad, dtype, where .. ": gradient of " .. name) end
end

-- Calls f(case, dtype, where) for each case in each dtype.
local function walk(cases, f)
  for dtype in pairs(TOLERANCES) do
    for i, case in ipairs(cases) do f(case, dtype, ("%s, case %d, %s"):format(case.name or "batch_norm", i, dtype)) end
  end
  assert.is_true(#cases > 7)
end

describe("PyTorch's numbers are those of #once", function()
  it("convolutions", function()
    walk(golden.convolutions, function(case, dtype, where)
      local leaves = { x = leaf(1, case.x, dtype), weight = leaf(2, case.weight, dtype) }
      if case.bias then leaves.bias = leaf(3, case.bias, dtype) end
      check(case, peri[case.name](leaves.x, leaves.weight, leaves.bias, case.options), leaves, dtype, where)
    end)
  end)

  it("pools", function()
    walk(golden.pools, function(case, dtype, where)
      local x = leaf(1, case.x, dtype)
      check(case, peri[case.name](x, case.size, case.options), { x = x }, dtype, where)
      if case.indices then
        local _, indices = peri.max_pool2d_with_indices(x, case.size, case.options)
        assert.same(case.indices, indices:reshape(-1):totable(), where)
      end
    end)
  end)

  it("batch_norm", function()
    walk(golden.norms, function(case, dtype, where)
      local channels, leaves = { case.x[2] }, { x = leaf(1, case.x, dtype) }
      local mean = case.running and operand(4, channels, dtype) or nil
      local var = case.running and operand(5, channels, dtype):abs() + 0.25 or nil
      if case.weight then leaves.weight, leaves.bias = leaf(2, channels, dtype), leaf(3, channels, dtype) end
      check(case, peri.batch_norm(leaves.x, mean, var, leaves.weight, leaves.bias, case.options), leaves, dtype, where)
      if case.running then
        near(case.running_mean, mean, dtype, where .. ": running_mean")
        near(case.running_var, var, dtype, where .. ": running_var")
      end
    end)
  end)
end)
