-- Parts of a graph that are computed again in the walk back, in place of being kept.
local peri, internal = ...
local check = internal.check
local common = internal.load("autograd.common", peri, internal)
local own = internal.autograd
local fail, describe, kinds = check.fail, check.describe, check.kinds

-- f's modules with the mode that each is in.
local function modes_of(f)
  local list = {}
  if peri.type(f) == "layer" then f:apply(function(module) list[#list + 1] = { module, module.training } end) end
  return list
end

-- A layer's mode is set for all that it holds, so that parents come first.
local function set_modes(list)
  for i = #list, 1, -1 do list[i][1]:train(list[i][2]) end
end

-- Calls g as f was called the first time: with the same random stream and modes. All come back, also after an error.
local function as_before(call, g, ...)
  local stream, modes = peri.get_rng_state(), modes_of(call.f)
  peri.set_rng_state(call.stream)
  set_modes(call.modes)
  local result = table.pack(pcall(g, ...))
  internal.put_back(function()
    peri.set_rng_state(stream)
    set_modes(modes)
  end)
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

local function check_leaves(root, known)
  for _, leaf in ipairs(own.leaves(root)) do
    if not known[leaf] then
      fail("checkpoint: f works on a %s tensor %s that requires grad and is no argument (expected it in the option "
        .. "parameters)", leaf.dtype, check.shape(leaf))
    end
  end
end

-- What f gave the first time, and again.
local function check_same(before, again)
  if again.n ~= before.n then
    fail("checkpoint: f gave %d results when it was computed again, and %d before (expected the same)", again.n,
      before.n)
  end
  for i = 1, before.n do
    local now = describe(again[i])
    if now ~= before[i] then
      fail("checkpoint: f gave %s as result %d when it was computed again, and %s before (expected the same)", now, i,
        before[i])
    end
  end
end

-- The gradients of f(arguments) by those tensors that are wanted, false where there is none: tensors are the arguments
-- of floats, then the parameters, then the gradients of the results.
local function gradients(call, tensors, create_graph)
  local arguments, wanted, known = table.move(call.arguments, 1, call.n, 1, {}), {}, {}
  for k, place in ipairs(call.places) do
    local x = tensors[k]
    if not create_graph then x = x:detach():requires_grad_(call.needs[k]) end
    arguments[place] = x
    if call.needs[k] then wanted[#wanted + 1] = { k, x } end
    known[x] = true
  end
  for k, p in ipairs(call.parameters) do
    if p.requires_grad then wanted[#wanted + 1] = { #call.places + k, p } end
    known[p] = true
  end
  local outputs = table.pack(as_before(call, call.f, table.unpack(arguments, 1, call.n)))
  check_same(call.given, outputs)
  local sum
  for k, y in ipairs(outputs) do
    if common.is_float(y) and y.requires_grad then
      if not create_graph then check_leaves(y, known) end
      local g = tensors[#call.places + #call.parameters + k]
      local term = (y * (create_graph and g or g:detach())):sum()
      sum = sum and sum + term or term
    end
  end
  local inputs, given = {}, {}
  for i, entry in ipairs(wanted) do inputs[i] = entry[2] end
  for i = 1, #call.places + #call.parameters do given[i] = false end
  local grads = sum and #inputs > 0 and peri.grad(sum, inputs, { create_graph = create_graph }) or {}
  for i, entry in ipairs(wanted) do given[entry[1]] = grads[i] or false end
  return given
end

local Checkpoint

local function make_function()
  Checkpoint = peri.Function.extend("checkpoint", {
    forward = function(ctx, call, ...)
      ctx.call = call
      ctx:save_for_backward(...)
      local results = table.pack(call.f(table.unpack(call.arguments, 1, call.n)))
      call.given = { n = results.n }
      for i = 1, results.n do call.given[i] = describe(results[i]) end
      return table.unpack(results, 1, results.n)
    end,
    backward = function(ctx, ...)
      local call, saved = ctx.call, ctx.saved_tensors
      local tensors = table.move(saved, 1, #call.places + #call.parameters, 1, {})
      for k = 1, select("#", ...) do tensors[#call.places + #call.parameters + k] = (select(k, ...)) end
      local given
      if peri.is_grad_enabled() then -- the gradient is to be differentiated: it is a function to be computed again too
        given = call.again(tensors)
      else
        given = peri.enable_grad(gradients, call, tensors, false)
      end
      for i = 1, #call.places + #call.parameters do given[i] = given[i] or nil end
      return nil, table.unpack(given, 1, #call.places + #call.parameters)
    end,
  })
end

-- checkpoint(f, arguments) with the parameters that f works on.
local function run(f, parameters, ...)
  if not Checkpoint then make_function() end
  local call = { f = f, arguments = { ... }, n = select("#", ...), places = {}, needs = {}, parameters = parameters,
                 stream = peri.get_rng_state(), modes = modes_of(f) }
  local tensors = {}
  for i = 1, call.n do
    local x = call.arguments[i]
    if common.is_float(x) then
      tensors[#tensors + 1] = x
      call.places[#tensors] = i
      call.needs[#tensors] = x.requires_grad
    end
  end
  for _, p in ipairs(parameters) do tensors[#tensors + 1] = p end
  -- The gradients as a function of the tensors and of the gradients of the results, false for what is wanted by nobody.
  function call.again(all)
    local n = #call.places + #call.parameters
    local some = {}
    local function first(...)
      local list = { ... }
      local given = peri.enable_grad(gradients, call, list, true)
      local results = {}
      for i = 1, n do
        if given[i] then results[#results + 1] = given[i] end
        some[i] = given[i] ~= false
      end
      if #results == 0 then results[1] = peri.zeros(1) end
      return table.unpack(results)
    end
    local function detached(...) -- without recording, gradients still need a graph to walk
      if peri.is_grad_enabled() then return first(...) end
      local list = { ... }
      for i in ipairs(list) do
        if i <= #call.places then list[i] = list[i]:detach():requires_grad_(call.needs[i]) end
        if i > n then list[i] = list[i]:detach() end
      end
      return first(table.unpack(list))
    end
    local arguments = table.move(all, 1, #call.places, 1, {})
    local rest = {}
    for i = n + 1, #all do rest[#rest + 1] = all[i] end
    local results = { run(function(...)
      local list = { ... }
      local joined = table.move(list, 1, #call.places, 1, {})
      for _, p in ipairs(call.parameters) do joined[#joined + 1] = p end
      for i = #call.places + 1, #list do joined[#joined + 1] = list[i] end
      return detached(table.unpack(joined))
    end, call.parameters, table.unpack(table.move(rest, 1, #rest, #arguments + 1, arguments))) }
    local given, k = {}, 0
    for i = 1, n do
      if some[i] then
        k = k + 1
        given[i] = results[k]
      else
        given[i] = false
      end
    end
    return given
  end
  return Checkpoint(call, table.unpack(tensors))
end

internal.document("checkpoint", [[
checkpoint(f, x, ..., {parameters =}) -> what f gives
f(x, ...) without its graph: only the arguments are kept, and the walk back computes f once more, with the random stream
and the modes of layers as they were, so that Dropout drops the same. Memory for half of the work again. f is a layer,
whose parameters take part by themselves, or a function, whose parameters the option lists: tensors, or a layer. It
gives tensors, must give the same each time, and changes nothing that lasts. A table that comes last is the options.
Errors, when the walk back computes f again: a tensor that requires grad and is neither an argument nor named; results
of another number, shape or dtype.]],
  function(f, ...)
    check.read("checkpoint", "f", f, kinds.callable)
    local arguments, options = table.pack(...), nil
    local last = arguments[arguments.n]
    if type(last) == "table" and getmetatable(last) == nil then
      options = last
      arguments.n = arguments.n - 1
    end
    options = check.only("checkpoint", options, "parameters")
    local parameters = options.parameters
    if parameters == nil then
      parameters = peri.type(f) == "layer" and f:parameters() or {}
    elseif peri.type(parameters) == "layer" then
      parameters = parameters:parameters()
    elseif type(parameters) ~= "table" or next(parameters) ~= nil then
      parameters = common.list("checkpoint", "parameters", parameters)
    end
    for i, p in ipairs(parameters) do
      if not p.is_leaf then
        fail("checkpoint: %s is computed from others (expected a parameter, or to have it as an argument)",
          common.called("parameters", i))
      end
    end
    if not peri.is_grad_enabled() then return f(table.unpack(arguments, 1, arguments.n)) end
    if arguments.n == 0 and #parameters == 0 then
      fail("checkpoint: there are no arguments and no parameters, got %s alone", describe(f))
    end
    return run(f, parameters, table.unpack(arguments, 1, arguments.n))
  end, peri)
