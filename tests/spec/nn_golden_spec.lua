-- Losses and layers against PyTorch's numbers (golden/nn.lua, which peers/nn_golden.py writes): values and gradients of
-- inputs and parameters, in both dtypes.
local peri = require "perilune"
local golden = require "golden.nn"
local nets = require("golden.nets").nets
local nn = peri.nn

local TOLERANCES = { float32 = 1e-5, float64 = 1e-10 } -- of the largest number of a tensor

-- The operand of nn_golden.py.
local function operand(key, shape, dtype)
  local count, values = 1, {}
  for _, size in ipairs(shape) do count = count * size end
  for i = 0, count - 1 do values[i + 1] = ((73 * i + 29 * key) % 101 - 50) / 32 end
  return peri.tensor(values, { dtype = dtype }):reshape(shape)
end

-- The tensor of a kind, {kind, shape}; classes count from 1, and 0 ends a list of them.
local function made(key, what, dtype)
  local kind, shape = what[1], what[2]
  local x = operand(key, shape, dtype)
  if kind == "p" then return (x * 32 + 51) / 102 end
  if kind == "v" then return x:abs() + 0.25 end
  if kind == "s" then return x:gt(0):to(dtype) * 2 - 1 end
  local number = (x * 32 + 50):to "int64"
  if kind == "l" then return number % (shape[#shape] + 1) end
  if kind == "m" then return x:gt(0) & peri.arange(1, shape[#shape]):gt(1) end
  if kind:find "^c" then return number % math.tointeger(kind:sub(2)) + 1 end
  return x
end

local function near(expected, got, dtype, where)
  local wanted = peri.tensor(expected, { dtype = "float64" })
  assert.equal(#expected, got:numel(), where)
  local most = wanted:abs():max():item()
  local difference = (got:detach():to "float64":reshape(-1) - wanted):abs():max():item()
  assert.is_true(difference <= TOLERANCES[dtype] * most, ("%s: %g of %g"):format(where, difference, most))
end

-- The options of a case, with the tensors that it names.
local function options_of(case, dtype)
  local options, i = {}, 0
  for _, name in ipairs { "weight", "pos_weight" } do
    if case.options[name] then
      options[name] = made(20 + i, case.options[name], dtype)
      i = i + 1
    end
  end
  for name, value in pairs(case.options) do options[name] = options[name] or value end
  return options
end

local function check(case, dtype, where)
  local arguments, inputs, leaves = { table.unpack(case.arguments or {}) }, {}, {}
  arguments[#arguments + 1] = options_of(case, dtype)
  local layer = nn[case.name](table.unpack(arguments)):to(dtype)
  for i, what in ipairs(case.inputs) do
    inputs[i] = made(i, what, dtype)
    if what[1]:find "^[xpv]" then
      inputs[i]:requires_grad_()
      leaves[#leaves + 1] = inputs[i]
    end
  end
  local names, i = {}, 0
  peri.no_grad(function()
    for name, p in layer:named_parameters() do
      p:copy_(operand(5 + i, p.shape, dtype))
      i, names[#names + 1] = i + 1, name
    end
  end)
  local y = layer(table.unpack(inputs))
  assert.same(case.y_shape, y.shape, where)
  assert.equal(dtype, y.dtype, where)
  near(case.y, y, dtype, where .. ": y")
  y:backward(operand(9, case.y_shape, dtype))
  for k, x in ipairs(leaves) do
    near(case.inputs_grad[k], x.grad or x * 0, dtype, ("%s: gradient of input %d"):format(where, k))
  end
  for _, name in ipairs(names) do
    near(case.grad[name], layer[name].grad, dtype, ("%s: gradient of %s"):format(where, name))
  end
end

-- Recurrent layers and transformers, which have several outputs, and take more than inputs.
local function check_net(case, dtype, where)
  local arguments = { table.unpack(case.arguments) }
  arguments[#arguments + 1] = case.options
  local layer
  if case.name == "TransformerEncoder" then
    layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(table.unpack(arguments)), 2,
      { norm = nn.LayerNorm(case.arguments[1]) })
  else
    layer = nn[case.name](table.unpack(arguments))
  end
  layer:to(dtype)
  local inputs, given, parameters = {}, {}, {}
  for i, what in ipairs(case.inputs) do inputs[i] = made(i, what, dtype):requires_grad_() end
  for name, value in pairs(case.given) do
    given[name] = type(value) == "table" and type(value[1]) == "string" and made(30, value, dtype) or value
  end
  for name, p in layer:named_parameters() do parameters[name] = p end
  peri.no_grad(function()
    for i, name in ipairs(case.names) do
      local p = assert(parameters[name], name)
      p:copy_(operand(4 + i, p.shape, dtype) / 4)
    end
  end)
  local call = { table.unpack(inputs) }
  if next(given) then -- states that are not given are left out
    if case.name == "LSTM" then call[4] = given else call[#call + 1] = given end
  end
  local outputs, total = table.pack(layer(table.unpack(call, 1, case.name == "LSTM" and 4 or #call))), 0
  assert.equal(#case.outputs, outputs.n, where)
  for k, y in ipairs(outputs) do
    assert.same(case.shapes[k], y.shape, where)
    near(case.outputs[k], y, dtype, ("%s: output %d"):format(where, k))
    total = (y * operand(8 + k, y.shape, dtype)):sum() + total
  end
  total:backward()
  for k, x in ipairs(inputs) do
    near(case.inputs_grad[k], x.grad, dtype, ("%s: gradient of input %d"):format(where, k))
  end
  for _, name in ipairs(case.names) do
    near(case.grad[name], parameters[name].grad, dtype, ("%s: gradient of %s"):format(where, name))
    parameters[name] = nil
  end
  assert.is_nil(next(parameters), where)
end

describe("PyTorch's numbers are those of #once", function()
  it("recurrent layers and transformers", function()
    assert.is_true(#nets > 15)
    for dtype in pairs(TOLERANCES) do
      for i, case in ipairs(nets) do check_net(case, dtype, ("%s, case %d, %s"):format(case.name, i, dtype)) end
    end
  end)

  for _, group in ipairs { "losses", "layers" } do
    it(group, function()
      assert.is_true(#golden[group] > 25)
      for dtype in pairs(TOLERANCES) do
        for i, case in ipairs(golden[group]) do check(case, dtype, ("%s, case %d, %s"):format(case.name, i, dtype)) end
      end
    end)
  end
end)
