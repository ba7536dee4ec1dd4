-- Functions whose gradient is written in Lua.
local peri, internal = ...
local check = internal.check
local own = internal.autograd
local fail, describe, kinds = check.fail, check.describe, check.kinds

local Function = {}
local calls = setmetatable({}, { __mode = "k" }) -- of each ctx: what no script may reach of its call

-- ---- ctx ----

local Context = {}
Context.__index = Context

internal.document("save_for_backward", [[
ctx:save_for_backward(tensor, ...)
Within forward: what backward finds in the list ctx.saved_tensors, nil where nil was given. Arguments and results are
kept as parts of the graph, so that second derivatives reach them, and without memory of their own. A tensor that is
changed in place afterwards is an error in backward.]], function(ctx, ...)
  local call = calls[ctx]
  if not call then fail("save_for_backward: called with %s (expected ctx:save_for_backward(...))", describe(ctx)) end
  if call.finished then fail("%s: save_for_backward is called after forward", call.class.name) end
  local saved = {}
  for i = 1, select("#", ...) do
    local x = select(i, ...)
    if x ~= nil and not peri.is_tensor(x) then
      check.must_be(call.class.name, ("saved tensor %d"):format(i), x, "a tensor or nil")
    end
    saved[i] = x or false
  end
  call.saved = saved
end, Context)

internal.set_class("Function.ctx", "The ctx of a function", Context)

-- ---- forward ----

local function is_float(x) return peri.is_tensor(x) and x.dtype:find "^float" ~= nil end

-- What forward gave, all tensors; whether any is a float.
local function checked_results(name, ...)
  local results, floats = { ... }, false
  local n = select("#", ...)
  if n == 0 then fail("%s: forward gave nothing (expected a tensor)", name) end
  for i = 1, n do
    if not peri.is_tensor(results[i]) then
      fail("%s: forward gave %s as result %d (expected a tensor)", name, describe(results[i]), i)
    end
    floats = floats or is_float(results[i])
  end
  return results, floats
end

local function apply(class, ...)
  local n = select("#", ...)
  local arguments, inputs, places, shapes, needs = { ... }, {}, {}, {}, {}
  local recording, tracked = peri.is_grad_enabled(), false
  for i = 1, n do
    local x = arguments[i]
    needs[i] = false
    if is_float(x) then
      inputs[#inputs + 1], places[i], shapes[i] = x, #inputs + 1, x.shape
      needs[i] = recording and x.requires_grad
      tracked = tracked or needs[i]
    end
  end
  local ctx = setmetatable({ needs_input_grad = needs }, Context)
  local call = { class = class, n = n, needs = needs, places = places, shapes = shapes, saved = {} }
  calls[ctx] = call
  local results, floats = checked_results(class.name, peri.no_grad(class.forward, ctx, table.unpack(arguments, 1, n)))
  call.finished = true
  if tracked and floats then
    call.inputs = #inputs
    results = own.record(ctx, class.name, inputs, results, call.saved)
  end
  call.saved = nil
  return table.unpack(results)
end

-- ---- backward ----

local function check_gradient(call, i, g)
  if not is_float(g) then
    fail("%s: backward gave %s for argument %d (expected a tensor of floats, or nil)", call.class.name, describe(g), i)
  end
  if not call.shapes[i] then
    fail("%s: backward gave a gradient for argument %d, which is no tensor of floats (expected nil)",
      call.class.name, i)
  end
  local shape = g.shape
  local same = #shape == #call.shapes[i]
  for d, size in ipairs(shape) do same = same and size == call.shapes[i][d] end
  if not same then
    local wanted = #call.shapes[i] > 0 and table.concat(call.shapes[i], "x") or "()"
    fail("%s: backward gave a gradient %s for argument %d, which is %s", call.class.name, check.shape(g), i, wanted)
  end
end

own.set_runner(function(ctx, saved, gradients)
  local call = calls[ctx]
  ctx.saved_tensors = saved
  local given = table.pack(pcall(call.class.backward, ctx, table.unpack(gradients)))
  ctx.saved_tensors = nil
  if not given[1] then error(given[2], 0) end
  if given.n - 1 > call.n then
    fail("%s: backward gave %d gradients (expected %d: one for each argument of forward)", call.class.name, given.n - 1,
      call.n)
  end
  local left_out = given.n
  while left_out <= call.n and not call.needs[left_out] do left_out = left_out + 1 end
  if given.n > 1 and left_out <= call.n then -- nothing at all are zeros
    fail("%s: backward gave %d gradients (expected %d: one for each argument of forward, or nil for zeros)",
      call.class.name, given.n - 1, call.n)
  end
  local answers = {}
  for k = 1, call.inputs do answers[k] = false end
  for i = 1, call.n do
    local g = given[i + 1]
    if g then
      check_gradient(call, i, g)
      answers[call.places[i]] = g
    end
  end
  return answers
end)

-- ---- classes ----

local NAME = check.test("a name", function(v) return type(v) == "string" and v:find "^%a[%w_]*$" end)

internal.document("extend", [[
Function.extend(name, {forward =, backward =}) -> function
A function with a gradient of its own: f(x, ...) calls forward(ctx, x, ...), which is not recorded, with whatever f is
called with, and gives the tensors that that gives. backward(ctx, g, ...) is called in a walk back with the gradient of
each result (zeros where none arrived) and gives one for each argument of forward, of its shape, or nil: for what is
no tensor of floats, and in place of zeros. ctx is a table for the two: ctx:save_for_backward(x, ..) hands tensors on to
the list ctx.saved_tensors, other fields are free, and ctx.needs_input_grad[i] says whether the gradient by argument i
is wanted. ctx lives as long as the graph. Where gradients are to be differentiated again, backward is recorded, as far
as it is made of operations and of saved arguments and results. Gradients are not to be written in place. backward may
call peri.grad on what it has computed itself; where memory is short, the walk may begin anew, and call it again.
Errors: a gradient of another shape than its argument; more gradients than arguments, or so few that one that is wanted
is not among them. An error within backward goes on, and no .grad has changed.]], function(name, methods)
  check.read("extend", "the function's name", name, NAME)
  local known = { forward = kinds.callable, backward = kinds.callable }
  local class = check.options("extend", check.read("extend", "methods", methods, kinds.table), known)
  for _, method in ipairs { "backward", "forward" } do
    if not class[method] then fail("extend: %s is missing (expected a function)", method) end
  end
  class.name = name
  return function(...) return apply(class, ...) end
end, Function)

peri.Function = Function
