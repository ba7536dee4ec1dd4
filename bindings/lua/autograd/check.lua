-- Gradients beside finite differences.
local peri, internal = ...
local check = internal.check
local common = internal.load("autograd.common", peri, internal)
local fail, kinds = check.fail, check.kinds

local OPTIONS = { eps = kinds.positive, atol = kinds.from_zero, rtol = kinds.from_zero }

local function read_options(operation, given)
  local options = check.options(operation, given, OPTIONS)
  return { eps = options.eps or 1e-6, atol = options.atol or 1e-5, rtol = options.rtol or 1e-3 }
end

-- Copies of the inputs and which of them are checked: those that require grad, or all of floats where none does.
local function read_inputs(operation, fn, inputs)
  check.read(operation, "fn", fn, kinds.callable)
  local list, one = common.list(operation, "inputs", inputs)
  local copies, checked, some = {}, {}, false
  for _, x in ipairs(list) do some = some or x.requires_grad end
  for i, x in ipairs(list) do
    copies[i] = x:detach():clone()
    if x.requires_grad or (not some and common.is_float(x)) then
      if x.dtype ~= "float64" then
        fail('%s: %s is %s (expected float64, whose digits differences need: x:to "float64")', operation,
          common.called("inputs", i, one), x.dtype)
      end
      copies[i]:requires_grad_()
      checked[#checked + 1] = i
    end
  end
  if #checked == 0 then fail("%s: inputs have no floats to differentiate by (expected float64)", operation) end
  return copies, checked, one
end

-- "[2, 3]": element k, from 1, of a tensor of that shape.
local function place(x, k)
  local at, shape = {}, x.shape
  k = k - 1
  for d = #shape, 1, -1 do
    at[d] = k % shape[d] + 1
    k = k // shape[d]
  end
  return "[" .. table.concat(at, ", ") .. "]"
end

local function values(outputs)
  local list = {}
  for k, y in ipairs(outputs) do list[k] = y:detach():reshape(-1):clone() end
  return list
end

-- What fn gives when element e of input i is moved by `step`.
local function moved(operation, fn, inputs, i, e, step)
  return peri.no_grad(function()
    local flat = inputs[i]:reshape(-1)
    local before = flat[e]
    flat[e] = before + step
    local ok, result = pcall(function(...) return values(common.outputs(operation, fn(...))) end, table.unpack(inputs))
    -- after the values were taken: fn may give what shares memory with its inputs
    internal.put_back(function() flat[e] = before end)
    if not ok then error(result, 0) end
    return result
  end)
end

local function close(a, b, options)
  return a == b or math.abs(a - b) <= options.atol + options.rtol * math.abs(b)
end

-- Column e of the Jacobian by input i: each output's differences beside its gradients.
local function compare(operation, fn, inputs, i, e, outputs, jacobians, options, one)
  local above = moved(operation, fn, inputs, i, e, options.eps)
  local below = moved(operation, fn, inputs, i, e, -options.eps)
  for k, y in ipairs(outputs) do
    if not above[k] or above[k]:numel() ~= y:numel() then
      fail("%s: fn gave other shapes when it was called again", operation)
    end
    local differences = ((above[k] - below[k]) / (2 * options.eps)):totable()
    for row, difference in ipairs(differences) do
      local gradient = jacobians[k][row][e]
      if not close(gradient, difference, options) then
        fail("%s: the gradient of output %d, element %s, by %s, element %s, is %.10g (finite differences give %.10g)",
          operation, k, place(y, row), common.called("inputs", i, one), place(inputs[i], e), gradient, difference)
      end
    end
  end
end

local function gradients(outputs, inputs, checked)
  local leaves, jacobians = {}, {}
  for n, i in ipairs(checked) do leaves[n], jacobians[n] = inputs[i], {} end
  for k, y in ipairs(outputs) do
    for n, rows in ipairs(common.rows(y, leaves)) do
      jacobians[n][k] = rows:detach():reshape(y:numel(), leaves[n]:numel()):totable()
    end
  end
  return jacobians
end

-- Compares, for the outputs that are floats.
local function verify(operation, fn, inputs, checked, options, one)
  local floats = function(...)
    local kept = {}
    for _, y in ipairs(common.outputs(operation, ...)) do
      if common.is_float(y) then kept[#kept + 1] = y end
    end
    if #kept == 0 then fail("%s: fn gave no floats (expected float64)", operation) end
    return table.unpack(kept)
  end
  local call = function(...) return floats(fn(...)) end
  local outputs = { call(table.unpack(inputs)) }
  local jacobians = gradients(outputs, inputs, checked)
  for n, i in ipairs(checked) do
    for e = 1, inputs[i]:numel() do
      compare(operation, call, inputs, i, e, outputs, jacobians[n], options, one)
    end
  end
  return true
end

internal.document("gradcheck", [[
gradcheck(fn, inputs, {eps = 1e-6, atol = 1e-5, rtol = 1e-3}) -> true
Compares the gradients of fn(input, ..) with differences, (fn(x + eps) - fn(x - eps)) / 2 eps, element by element.
inputs is a tensor or a list; checked are those that require grad, or all floats where none does, which must be float64.
fn works on copies, and must give the same each time. Returns true.
Errors: a gradient that is further from the difference than atol + rtol times it, with output, input, element and both
values; inputs of float32.]], function(fn, inputs, options)
  local copies, checked, one = read_inputs("gradcheck", fn, inputs)
  options = read_options("gradcheck", options)
  return peri.enable_grad(verify, "gradcheck", fn, copies, checked, options, one)
end, peri)

internal.document("gradgradcheck", [[
gradgradcheck(fn, inputs, {eps = 1e-6, atol = 1e-5, rtol = 1e-3}) -> true
The same for second derivatives: checks the gradients of fn's gradients, by the inputs and by the vectors that backward
is given, which are drawn from a stream of their own. In messages outputs are gradients by the inputs that are checked.
Errors: as gradcheck; an operation that cannot be differentiated twice.]], function(fn, inputs, options)
  local copies, checked, one = read_inputs("gradgradcheck", fn, inputs)
  options = read_options("gradgradcheck", options)
  return peri.enable_grad(function()
    local n, stream = #copies, peri.Generator(1)
    for _, y in ipairs(common.outputs("gradgradcheck", fn(table.unpack(copies)))) do
      if common.is_float(y) then
        checked[#checked + 1] = #copies + 1
        copies[#copies + 1] = peri.randn(y.shape, { dtype = y.dtype, generator = stream }):requires_grad_()
      end
    end
    local function first(...)
      return peri.enable_grad(function(...)
        local arguments, leaves = { ... }, {}
        for i = 1, n do
          if arguments[i].requires_grad then leaves[#leaves + 1] = arguments[i] end
        end
        local sum, given = 0, n
        for _, y in ipairs(common.outputs("gradgradcheck", fn(table.unpack(arguments, 1, n)))) do
          if common.is_float(y) then
            given = given + 1
            sum = sum + (y * arguments[given]):sum()
          end
        end
        return table.unpack(common.gradients(sum, leaves, { create_graph = true }))
      end, ...)
    end
    return verify("gradgradcheck", first, copies, checked, options, one)
  end)
end, peri)
