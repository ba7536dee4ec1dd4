-- Derivatives of functions as a whole: rows of Jacobians, products with vectors, gradients of single rows.
local peri, internal = ...
local check = internal.check
local common = internal.load("autograd.common", peri, internal)
local fail, kinds = check.fail, check.kinds

local CREATE = { create_graph = kinds.boolean }

-- What of the list does not require grad is not to be differentiated again.
local function finish(list, create_graph)
  for i, x in ipairs(list) do
    if type(x) == "table" then
      finish(x, create_graph)
    elseif not create_graph then
      list[i] = x:detach()
    end
  end
  return list
end

local function prepare(operation, fn, inputs, options)
  check.read(operation, "fn", fn, kinds.callable)
  options = check.options(operation, options, CREATE)
  local list, one = common.list(operation, "inputs", inputs)
  return list, one, options.create_graph or false
end

internal.document("jacobian", [[
jacobian(fn, inputs, {create_graph = false}) -> tensor, or list
The derivatives of every element of fn(input, ..) by every element of each input: of the result's shape, followed by the
input's. inputs is a tensor or a list, and what is given has its form; where fn gives several tensors, it is a list of
that for each of them. One backward pass for each element of the result. The inputs are detached first; with
create_graph what is given can be differentiated by them. What does not depend on an input has zeros.
Errors: inputs that are no floats; results that are no tensors.]], function(fn, inputs, options)
  local list, one, create_graph = prepare("jacobian", fn, inputs, options)
  return peri.enable_grad(function()
    local leaves = common.leaves("jacobian", list, one, create_graph)
    local outputs, given = common.outputs("jacobian", fn(table.unpack(leaves))), {}
    for k, y in ipairs(outputs) do
      given[k] = common.form(finish(common.rows(y, leaves, create_graph), create_graph), one)
    end
    return #given == 1 and given[1] or given
  end)
end, peri)

internal.document("hessian", [[
hessian(fn, inputs, {create_graph = false}) -> tensor, or list of lists
The second derivatives of fn(input, ..), which gives one element, by all elements of the inputs: of the input's shape,
twice. Of a list of inputs it is a list of lists: h[i][j] has derivatives by input i, then by input j. The inputs are
detached first; with create_graph what is given can be differentiated by them.
Errors: a result of more than one element; an operation within fn that cannot be differentiated twice.]],
  function(fn, inputs, options)
    local list, one, create_graph = prepare("hessian", fn, inputs, options)
    return peri.enable_grad(function()
      local leaves = common.leaves("hessian", list, one, create_graph)
      local y = common.scalar("hessian", fn(table.unpack(leaves)))
      local rows = {}
      for i, g in ipairs(common.gradients(y, leaves, { create_graph = true })) do
        rows[i] = common.form(finish(common.rows(g, leaves, create_graph), create_graph), one)
      end
      return common.form(rows, one)
    end)
  end, peri)

-- Vectors that belong to tensors, of their shapes; nil stands for ones where each has one element.
local function vectors(operation, v, tensors, what)
  if v == nil then
    local ones = {}
    for i, x in ipairs(tensors) do
      if x:numel() ~= 1 then
        fail("%s: v is missing, and %s is %s (v may be left out for one element)", operation, what, check.shape(x))
      end
      ones[i] = peri.ones_like(x)
    end
    return ones
  end
  local list, one = common.list(operation, "v", v)
  if #list ~= #tensors then
    fail("%s: v has %d tensors (expected %d, one for each of %s)", operation, #list, #tensors, what)
  end
  for i, x in ipairs(tensors) do
    if check.shape(list[i]) ~= check.shape(x) then
      fail("%s: %s is %s (expected %s, as %s)", operation, common.called("v", i, one), check.shape(list[i]),
        check.shape(x), what)
    end
    list[i] = list[i]:to(x.dtype)
  end
  return list
end

-- The sum of products, element by element, of what requires grad; nil when nothing does.
local function inner(a, b)
  local sum
  for i, x in ipairs(a) do
    if x and x.requires_grad then
      local term = (x * b[i]):sum()
      sum = sum and sum + term or term
    end
  end
  return sum
end

local function detached(list, create_graph)
  local out = {}
  for i, x in ipairs(list) do out[i] = create_graph and x or x:detach() end
  return table.unpack(out)
end

-- The results of fn, then the products.
local function give(outputs, products, one, create_graph)
  local results = { detached(outputs, create_graph) }
  return common.form(results, #results == 1), common.form(finish(products, create_graph), one)
end

internal.document("vjp", [[
vjp(fn, inputs, v, {create_graph = false}) -> y, products
The product of the vector v, of the shape of y = fn(input, ..), and the Jacobian: one backward pass. v may be left out
where y has one element; where fn gives several tensors, y and v are lists. The products have the form and shapes of the
inputs.
Errors: a v of another shape than y.]], function(fn, inputs, v, options)
  local list, one, create_graph = prepare("vjp", fn, inputs, options)
  return peri.enable_grad(function()
    local leaves = common.leaves("vjp", list, one, create_graph)
    local outputs = common.outputs("vjp", fn(table.unpack(leaves)))
    v = vectors("vjp", v, outputs, "what fn gives")
    local sum = inner(outputs, v)
    local products = common.gradients(sum or peri.zeros(1), leaves, { create_graph = create_graph })
    return give(outputs, products, one, create_graph)
  end)
end, peri)

internal.document("jvp", [[
jvp(fn, inputs, v, {create_graph = false}) -> y, product
The product of the Jacobian of y = fn(input, ..) and the vector v, which has the form and shapes of the inputs: the
derivative of y in the direction v, of y's shape. By two backward passes: the gradient of a vector's product with the
Jacobian is linear in that vector, and its derivative by it is the product. Where fn gives several tensors, y and the
product are lists.
Errors: a v of other shapes than the inputs; an operation within fn that cannot be differentiated twice.]],
  function(fn, inputs, v, options)
    local list, one, create_graph = prepare("jvp", fn, inputs, options)
    v = vectors("jvp", v, list, "inputs")
    return peri.enable_grad(function()
      local leaves = common.leaves("jvp", list, one, create_graph)
      local outputs, weights = common.outputs("jvp", fn(table.unpack(leaves))), {}
      for k, y in ipairs(outputs) do weights[k] = peri.zeros_like(y):requires_grad_() end
      local sum = inner(outputs, weights)
      local grads = sum and peri.grad(sum, leaves, { create_graph = true }) or {}
      local products = common.gradients(inner(grads, v) or peri.zeros(1), weights, { create_graph = create_graph })
      return give(outputs, products, #products == 1, create_graph)
    end)
  end, peri)

internal.document("hvp", [[
hvp(fn, inputs, v, {create_graph = false}) -> y, products
The product of the Hessian of y = fn(input, ..), which has one element, and the vector v, which has the form and shapes
of the inputs, as the products have. Two backward passes, without the matrix.
Errors: a result of more than one element; a v of other shapes than the inputs; an operation within fn that cannot be
differentiated twice.]], function(fn, inputs, v, options)
  local list, one, create_graph = prepare("hvp", fn, inputs, options)
  v = vectors("hvp", v, list, "inputs")
  return peri.enable_grad(function()
    local leaves = common.leaves("hvp", list, one, create_graph)
    local y = common.scalar("hvp", fn(table.unpack(leaves)))
    local grads = common.gradients(y, leaves, { create_graph = true })
    local products = common.gradients(inner(grads, v) or peri.zeros(1), leaves, { create_graph = create_graph })
    return give({ y }, products, one, create_graph)
  end)
end, peri)

-- ---- single rows ----

local function parameters_of(operation, parameters)
  if peri.type(parameters) == "layer" then
    local layer = parameters
    parameters = layer:parameters()
    if #parameters == 0 then
      fail("%s: parameters is a %s, which has none (expected tensors, or a layer with parameters)", operation,
        peri.nn.type(layer))
    end
  end
  local list, one = common.list(operation, "parameters", parameters)
  for i, p in ipairs(list) do
    if not p.requires_grad then
      fail("%s: %s does not require grad", operation, common.called("parameters", i, one))
    end
  end
  return list, one
end

local function rows_of(tensors)
  local n
  for i, x in ipairs(tensors) do
    if x:dim() == 0 then fail("per_sample_grad: data %d is a single number (expected rows)", i) end
    n = n or x:size(1)
    if x:size(1) ~= n then fail("per_sample_grad: data %d has %d rows (expected %d)", i, x:size(1), n) end
  end
  return n
end

internal.document("per_sample_grad", [[
per_sample_grad(loss, parameters, x, y, ...) -> list
The gradients of loss(x, y, ..) for each row of the data alone: loss is called once for each row, with tensors that have
one row, and gives one element. parameters is a tensor, a list, or a layer, whose parameters it then is; each result has
its parameter's shape behind a dimension of as many as there are rows. .grad is not touched.
Errors: data of different numbers of rows; a result of more than one element.]], function(loss, parameters, ...)
  check.read("per_sample_grad", "loss", loss, kinds.callable)
  local list, one = parameters_of("per_sample_grad", parameters)
  local data = common.list("per_sample_grad", "data", { ... })
  local n = rows_of(data)
  return peri.enable_grad(function()
    local parts, given = {}, {}
    for i in ipairs(list) do parts[i] = {} end
    for row = 1, n do
      local rows = {}
      for k, x in ipairs(data) do rows[k] = x:narrow(1, row, 1) end
      local y = common.scalar("per_sample_grad", loss(table.unpack(rows)))
      for i, g in ipairs(common.gradients(y, list)) do parts[i][row] = g end
    end
    for i, p in ipairs(list) do
      given[i] = n > 0 and peri.stack(parts[i]) or peri.zeros({ 0, table.unpack(p.shape) }, { dtype = p.dtype })
    end
    return common.form(given, one)
  end)
end, peri)
