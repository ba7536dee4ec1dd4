-- Hooks on layers: what is called before and after a layer, and with the gradients that go through it.
local peri, internal, nn = ...
local check = internal.check
local own = internal.hooks
local fail, describe = check.fail, check.describe

local hooks_of = setmetatable({}, { __mode = "k" }) -- by module: lists of {f =}, by when they are called

-- Calls visit(f) for each hook of the list, which hooks may change meanwhile.
local function each(list, visit)
  local i = 1
  while i <= #list do
    local entry = list[i]
    visit(entry.f)
    if list[i] == entry then i = i + 1 end
  end
end

-- What a hook sees: the one value, or a list of several.
local function shown(values)
  if values.n == 1 then return values[1] end
  return table.move(values, 1, values.n, 1, {})
end

-- What stands in the place of the values, where a hook gave anything.
local function replaced(module, what, values, given)
  if given == nil then return values end
  if values.n == 1 then return { given, n = 1 } end
  if type(given) ~= "table" or #given ~= values.n then
    fail("%s: a %s gave %s (expected nil, or a list of %d)", nn.type(module), what, describe(given), values.n)
  end
  return table.move(given, 1, values.n, 1, { n = values.n })
end

-- ---- gradients that go through ----

local Entered, Left -- identities before and behind a layer, whose backward is where gradients pass

-- What the hooks make of the gradients by the inputs, which are false where there are none.
local function pass(state, gradients)
  local outputs = internal.autograd.scratch()[state] or {}
  each(state.hooks, function(f)
    local given = f(state.module, table.move(gradients, 1, gradients.n, 1, {}), table.move(outputs, 1, #outputs, 1, {}))
    if gradients.n == 1 and type(given) == "table" then given = given[1] end
    gradients = replaced(state.module, "full backward hook", gradients, given)
  end)
  return gradients
end

-- The list of `n` that has values at places, and false elsewhere.
local function spread(values, places, n)
  local list = { n = n }
  for i = 1, n do list[i] = false end
  for k, place in ipairs(places) do list[place] = values[k] end
  return list
end

local function make_identities()
  local function forward(ctx, state, ...)
    ctx.state = state
    return ...
  end
  Entered = peri.Function.extend("full_backward_hook", { forward = forward, backward = function(ctx, ...)
    local state = ctx.state
    local gradients = pass(state, spread({ ... }, state.places, state.n))
    local given = {}
    for k, place in ipairs(state.places) do given[k] = gradients[place] or nil end
    return nil, table.unpack(given, 1, #state.places)
  end })
  Left = peri.Function.extend("full_backward_hook", { forward = forward, backward = function(ctx, ...)
    local state = ctx.state
    internal.autograd.scratch()[state] = spread({ ... }, state.results, state.given) -- until this walk ends
    if #state.places == 0 then pass(state, spread({}, {}, state.n)) end
    return nil, ...
  end })
end

-- Puts those values that gradients reach through an identity; gives the values, and their places.
local function through(identity, state, values)
  local tensors, places, out = {}, {}, table.move(values, 1, values.n, 1, { n = values.n })
  for i = 1, values.n do
    if peri.is_tensor(values[i]) and values[i].requires_grad then
      tensors[#tensors + 1], places[#places + 1] = values[i], i
    end
  end
  if #tensors > 0 then
    local results = { identity(state, table.unpack(tensors)) }
    for k, place in ipairs(places) do out[place] = results[k] end
  end
  return out, places
end

-- ---- the call ----

local function call(plain, module, ...)
  local hooks = hooks_of[module]
  if not hooks or #hooks.before + #hooks.after + #hooks.backward == 0 then
    own.mark(module, false)
    return plain(module, ...)
  end
  local inputs = table.pack(...)
  each(hooks.before, function(f)
    inputs = replaced(module, "forward pre hook", inputs, f(module, shown(inputs)))
  end)
  local entered, state = inputs, nil
  if #hooks.backward > 0 and peri.is_grad_enabled() then
    if not Left then make_identities() end -- both, or memory ended between them
    state = { module = module, hooks = hooks.backward, n = inputs.n, places = {}, results = {} }
    entered, state.places = through(Entered, state, inputs)
  end
  local outputs = table.pack(plain(module, table.unpack(entered, 1, entered.n)))
  each(hooks.after, function(f)
    outputs = replaced(module, "forward hook", outputs, f(module, shown(inputs), shown(outputs)))
  end)
  if state then
    state.given = outputs.n
    for i = 1, outputs.n do
      if peri.is_tensor(outputs[i]) and outputs[i].requires_grad then state.results[#state.results + 1] = i end
    end
    outputs = through(Left, state, outputs)
  end
  return table.unpack(outputs, 1, outputs.n)
end
own.set_call(call)

-- ---- methods ----

local function register(name, list, module, f)
  if not own.is_module(module) then fail("%s: called with %s (expected net:%s(f))", name, describe(module), name) end
  check.read(name, "f", f, check.kinds.callable)
  local hooks = hooks_of[module]
  if not hooks then
    hooks = { before = {}, after = {}, backward = {} }
    hooks_of[module] = hooks
  end
  local entry = { f = f }
  local handle = own.handle(hooks[list], entry)
  table.insert(hooks[list], entry)
  own.mark(module, true)
  return handle
end

internal.document("register_forward_pre_hook", [[
net:register_forward_pre_hook(f) -> hook
f(net, x) is called before each net(x), for a layer, a container, a loss, or a layer written in Lua. It gives nil, or
what takes the place of x. Where the layer is called with several values, x is a list of them, and f gives a list. Of
several hooks each sees what the one before gave; hook:remove() ends it. net:forward(x) calls no hooks of net's own.]],
  function(module, f) return register("register_forward_pre_hook", "before", module, f) end, nn.Module)

internal.document("register_forward_hook", [[
net:register_forward_hook(f) -> hook
f(net, x, y) is called after each y = net(x). It gives nil, or what takes the place of y. Several values are a list
each, as register_forward_pre_hook says.]],
  function(module, f) return register("register_forward_hook", "after", module, f) end, nn.Module)

internal.document("register_full_backward_hook", [[
net:register_full_backward_hook(f) -> hook
f(net, grad_inputs, grad_outputs) is called when a walk back has gone through net: lists with the gradients by what it
was called with and by what it gave, and false for what is no tensor that requires grad. It gives nil, or a list in the
place of grad_inputs (of one input also the tensor alone). Where no input requires grad, it is called with those of the
results, and what it gives is left. Recorded for each call while gradients are; hook:remove() ends it.]],
  function(module, f) return register("register_full_backward_hook", "backward", module, f) end, nn.Module)
