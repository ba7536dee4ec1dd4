-- What the functions of gradients share: inputs that are one tensor or a list, what a function gives, elements.
local peri, internal = ...
local check = internal.check
local fail, describe = check.fail, check.describe

local common = {}

function common.is_float(x) return peri.is_tensor(x) and x.dtype:find "^float" ~= nil end

-- The inputs as a list of its own, whether they were one, and what they are called in messages.
function common.list(operation, name, values)
  if peri.is_tensor(values) then return { values }, true end
  if type(values) ~= "table" then check.must_be(operation, name, values, "a tensor or a list of tensors") end
  local list = {}
  for i = 1, #values do
    if not peri.is_tensor(values[i]) then check.must_be(operation, common.called(name, i), values[i], "a tensor") end
    list[i] = values[i]
  end
  if #list == 0 then fail("%s: %s is an empty table (expected a tensor or a list of tensors)", operation, name) end
  return list, false
end

function common.called(name, i, one) return one and name or ("%s[%d]"):format(name, i) end

-- In the form in which the inputs were given.
function common.form(list, one) if one then return list[1] end return list end

-- Leaves of their own with the values of the inputs; with create_graph values computed from them, so that what comes
-- of them can be differentiated by the caller.
function common.leaves(operation, inputs, one, create_graph)
  local leaves = {}
  for i, x in ipairs(inputs) do
    if not common.is_float(x) then
      fail("%s: %s is %s (expected float32 or float64)", operation, common.called("inputs", i, one), x.dtype)
    end
    if create_graph and x.requires_grad then
      leaves[i] = x * 1
    else
      leaves[i] = x:detach():clone():requires_grad_()
    end
  end
  return leaves
end

-- Tensors that a function gave.
function common.outputs(operation, ...)
  local n = select("#", ...)
  local outputs = { ... }
  if n == 0 then fail("%s: fn gave nothing (expected a tensor)", operation) end
  for i = 1, n do
    if not peri.is_tensor(outputs[i]) then
      fail("%s: fn gave %s%s (expected a tensor)", operation, describe(outputs[i]),
        n > 1 and (" as result %d"):format(i) or "")
    end
  end
  return outputs
end

function common.scalar(operation, ...)
  local outputs = common.outputs(operation, ...)
  if #outputs > 1 then fail("%s: fn gave %d tensors (expected one)", operation, #outputs) end
  if outputs[1]:numel() ~= 1 then
    fail("%s: fn gave %s (expected one element)", operation, describe(outputs[1]))
  end
  return outputs[1]
end

-- The gradients of what may not depend on the inputs at all: zeros where it does not.
function common.gradients(output, inputs, options)
  local grads = output.requires_grad and peri.grad(output, inputs, options) or {}
  for i, x in ipairs(inputs) do
    if not grads[i] then grads[i] = peri.zeros_like(x) end
  end
  return grads
end

-- The gradients of each element of y, stacked: y's shape, then that of each input.
function common.rows(y, inputs, create_graph)
  local n, parts = y:numel(), {}
  for i in ipairs(inputs) do parts[i] = {} end
  for k = 1, y.requires_grad and n or 0 do
    local one = peri.zeros(n, { dtype = y.dtype })
    one[k] = 1
    local grads = peri.grad(y, inputs,
      { grad_output = one:reshape(y.shape), retain_graph = true, create_graph = create_graph })
    for i in ipairs(inputs) do parts[i][k] = grads[i] or false end
  end
  local rows = {}
  for i, x in ipairs(inputs) do
    local shape = table.move(x.shape, 1, x:dim(), y:dim() + 1, table.move(y.shape, 1, y:dim(), 1, {}))
    for k = 1, n do parts[i][k] = parts[i][k] or peri.zeros(x.shape, { dtype = x.dtype }) end
    rows[i] = n > 0 and peri.stack(parts[i]):reshape(shape) or peri.zeros(shape, { dtype = x.dtype })
  end
  return rows
end

return common
