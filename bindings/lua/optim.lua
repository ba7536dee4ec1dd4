-- What of peri.optim is written in Lua: optimisers that scripts write, the step of LBFGS, averages of parameters.
local peri, internal, optim = ...
local check = internal.check
local fail, describe, kinds = check.fail, check.describe, check.kinds
local own = internal.optim

-- ---- optimisers written in Lua ----

local Optimizer = { __name = "Optimizer" }
optim.Optimizer = Optimizer

-- The step of a class that has `update` alone.
function Optimizer.step(...)
  own.ready(...)
  local self, closure = ...
  local loss
  if closure ~= nil then
    loss = check.read("step", "closure", closure, kinds.callable)()
    own.ready(self)
  end
  local update = self.update
  peri.no_grad(function()
    local i = 0
    for g, n in ipairs(own.sizes(self)) do
      local options = own.options(self, g)
      for _ = 1, n do
        i = i + 1
        local p, grad, state = own.entry(self, i)
        if p then
          update(self, p, options.maximize and -grad or grad, state, options)
          own.keep(self, i, state)
        end
      end
    end
  end)
  return loss
end
internal.document("step", [[
Optimizer.step(optimizer, closure) -> loss
The step of classes of Optimizer.extend: update for every parameter that has a gradient. A class that defines step calls
it for its own.]], Optimizer.step, Optimizer)

function Optimizer.update(self)
  local name = tostring(self):match "^[%w_]+"
  fail("%s: there is no method update (define function %s:update(p, grad, state, options))", name, name)
end

local NAME = check.test("a name", function(v) return type(v) == "string" and v:find "^%a[%w_]*$" end)
local RESERVED = { params = true, param_groups = true, step = true, first = true, group = true }
local methods = internal.classes["optim.optimizer"]

local function check_name(what, name)
  check.read("extend", what, name, NAME)
  if RESERVED[name] or methods[name] or Optimizer[name] then
    fail("extend: %s %s has another meaning (expected a name that is no method)", what, name)
  end
end

-- The names of options: lr, then the others as they come in the alphabet; all optimisers have maximize.
local function names_of(defaults)
  local names = {}
  for name in pairs(defaults) do
    check_name("option", name)
    if name ~= "lr" then names[#names + 1] = name end
  end
  table.sort(names)
  table.insert(names, 1, "lr")
  return names
end

local kind_of = setmetatable({}, { __mode = "k" }) -- the rows of classes, which no script may reach

-- Class(parameters, options)
local function construct(class, parameters, options, ...)
  local kind = kind_of[class]
  if not kind then fail("Optimizer: expected a class of Optimizer.extend, got %s", describe(class)) end
  if select("#", ...) > 0 then
    fail("%s: too many arguments: %s was not expected", getmetatable(class).__name, describe((...)))
  end
  return own.make(kind, class, parameters, options)
end

internal.document("extend", [[
Optimizer.extend(name, {lr =, ...}, {names}) -> class
A class of optimisers written in Lua. Its options and their defaults are numbers, booleans or lists of numbers; lr must
be among them, and maximize is always there. The names are those of tensors that it keeps for each parameter, zeros of
its shape at first. Define update(self, p, grad, state, options), which changes p in place and is not recorded:
state has the tensors by name, and step, 1 at the first. Class(parameters, {lr = 0.1}) makes an optimizer, with groups,
schedules and state dictionaries as all have them. Fields of self are the script's; one that is assigned an nn.Buffer is
a tensor of the whole and saved with the state. init(self) is called when one is made; step(self, closure) may take the
place of the step (Optimizer.step is that of all). Class:extend(name, ..) builds on a class.]], function(...)
  local parent = Optimizer
  local arguments = { ... }
  if type(arguments[1]) == "table" then parent = table.remove(arguments, 1) end -- Class:extend(name)
  local name, defaults, state = table.unpack(arguments, 1, 3)
  check.read("extend", "the class's name", name, NAME)
  local given = {}
  for key, value in pairs(check.read("extend", "the options", defaults, kinds.table)) do given[key] = value end
  if given.lr == nil then fail "extend: option lr is missing (it needs a default)" end
  if given.maximize == nil then given.maximize = false end
  local buffers = {}
  for i, buffer in ipairs(check.read("extend", "the names of state", state or {}, kinds.table)) do
    check_name("state", buffer)
    buffers[i] = buffer
  end
  local class = setmetatable({}, { __index = parent, __name = name, __call = construct })
  kind_of[class] = own.kind(name, names_of(given), given, buffers)
  return class
end, Optimizer)

internal.set_class("optim.Optimizer", "Optimisers written in Lua", Optimizer)

-- The classes of those rows of the table whose step is written in Lua, loaded when one is made.
local WRITTEN = { LBFGS = "optim.lbfgs" }
own.classes = setmetatable({}, { __index = function(classes, name)
  local class = internal.load(WRITTEN[name], peri, internal, Optimizer)
  classes[name] = class
  return class
end })

-- ---- averages of parameters ----

local average = internal.load("optim.average", peri, internal)

internal.document("EMA", [[
EMA(parameters, {decay = 0.999}) -> ema
The exponential moving average of the parameters of a layer, whose buffers are copied, or of a list of tensors: average
= decay average + (1 - decay) parameter at each update (B. Polyak, A. Juditsky 1992 for averages of iterates). What is
trained stays as it is; ema:apply(f) computes with the averages.
Errors: unknown options; what is no layer and no list of float tensors.]], average.new, optim)
internal.set_class("optim.average", "Methods of averages", average.class)

return optim
