-- Averages of parameters that are kept beside them while they are trained.
local peri, internal = ...
local check = internal.check
local fail, kinds, describe = check.fail, check.kinds, check.describe

local Average = { __name = "average" }
Average.__index = Average

local DECAY = check.test("0 to 1", function(v) return math.type(v) ~= nil and v >= 0 and v <= 1 end, kinds.number)
local SOURCE = "a layer or a list of one or more float tensors"

-- What a script must not change stands here: {decay, updates, entries, stored}. An entry is a tensor of the source, its
-- copy and its name in a state; `copied` are buffers, whose copies are as they are.
local held = setmetatable({}, { __mode = "k" })

local function of(self, operation)
  local own = type(self) == "table" and held[self]
  if not own then check.called("EMA: " .. operation, false, self, ("ema:%s()"):format(operation)) end
  return own
end

local function add(entries, name, tensor, copied)
  entries[#entries + 1] = { name = name, tensor = tensor, copied = copied, mean = tensor:detach():clone() }
end

local function entries_of(source)
  local entries = {}
  if check.has_method(source, "named_parameters") then
    for name, p in source:named_parameters() do add(entries, "average." .. name, p, false) end
    for name, b in source:named_buffers() do add(entries, "buffer." .. name, b, true) end
    return entries
  end
  for i, p in ipairs(type(source) == "table" and source or {}) do
    local fits = peri.is_tensor(p) and p.dtype:find "^float"
    if not fits then check.must_be("EMA", "parameter " .. i, p, "a float tensor") end
    add(entries, "average." .. i, p, false)
  end
  if #entries == 0 then check.must_be("EMA", "parameters", source, SOURCE) end
  return entries
end

local function new(source, options, ...)
  if select("#", ...) > 0 then fail("EMA: too many arguments: %s was not expected", describe((...))) end
  options = check.options("EMA", options, { decay = DECAY })
  local self = setmetatable({}, Average)
  held[self] = { decay = options.decay or 0.999, updates = 0, entries = entries_of(source) }
  return self
end

-- ---- methods ----

function Average:update()
  local own = of(self, "update")
  peri.no_grad(function()
    for _, e in ipairs(own.entries) do
      if e.copied then
        e.mean:copy_(e.tensor)
      else
        e.mean:add_((e.tensor - e.mean) * (1 - own.decay))
      end
    end
  end)
  own.updates = own.updates + 1
  return self
end

-- Not stopped half-way by Ctrl-C.
local function write(entries, field)
  for _, e in ipairs(entries) do internal.optim.assign(e.tensor, e[field]) end
end

function Average:copy_to()
  write(of(self, "copy_to").entries, "mean")
  return self
end

local function store(own)
  local stored = {}
  for i, e in ipairs(own.entries) do stored[i] = e.tensor:detach():clone() end
  for i, e in ipairs(own.entries) do e.stored = stored[i] end
end

function Average:store()
  store(of(self, "store"))
  return self
end

function Average:restore()
  local own = of(self, "restore")
  if not own.entries[1].stored then fail "EMA: restore: there is nothing to bring back (expected store before)" end
  write(own.entries, "stored")
  for _, e in ipairs(own.entries) do e.stored = nil end
  return self
end

function Average:apply(f, ...)
  local own = of(self, "apply")
  check.read("EMA: apply", "f", f, kinds.callable)
  local before = {}
  for i, e in ipairs(own.entries) do before[i] = { tensor = e.tensor, value = e.tensor:detach():clone() } end
  local _ <close> = setmetatable({}, { __close = function() write(before, "value") end })
  write(own.entries, "mean")
  return f(...)
end

local function number(value) return peri.tensor(value, { dtype = "float64" }) end

function Average:state_dict()
  local own = of(self, "state_dict")
  local state = { decay = number(own.decay), updates = number(own.updates) }
  for _, e in ipairs(own.entries) do state[e.name] = e.mean:clone() end
  return state
end

-- What is wrong with a state, in words; nothing when it fits.
local function problems(own, state)
  local wrong, known = {}, { decay = number(0), updates = number(0) }
  for _, e in ipairs(own.entries) do known[e.name] = e.mean end
  for name, mean in pairs(known) do
    local value = rawget(state, name)
    if value == nil then
      wrong[#wrong + 1] = name .. " is missing"
    elseif not peri.is_tensor(value) then
      wrong[#wrong + 1] = ("%s is %s (expected a tensor)"):format(name, describe(value))
    elseif check.shape(value) ~= check.shape(mean) then
      wrong[#wrong + 1] = ("%s is %s (expected %s)"):format(name, check.shape(value), check.shape(mean))
    elseif value.dtype ~= mean.dtype and not (value.dtype:find "^float" and mean.dtype:find "^float") then
      wrong[#wrong + 1] = ("%s is %s (expected %s)"):format(name, value.dtype, mean.dtype)
    end
  end
  for name in next, state do
    if not known[name] then wrong[#wrong + 1] = ("%s is unexpected"):format(tostring(name)) end
  end
  table.sort(wrong)
  return wrong
end

function Average:load_state_dict(state)
  local own = of(self, "load_state_dict")
  check.read("load_state_dict", "state", state, check.test("a table of names and tensors",
    function(v) return type(v) == "table" end))
  local wrong = problems(own, state)
  if #wrong > 0 then fail("load_state_dict: %s", table.concat(wrong, "; ")) end
  local decay, updates = state.decay:item(), state.updates:item()
  if not DECAY.read(decay) then fail("load_state_dict: decay is %g (expected 0 to 1)", decay) end
  if not (updates >= 0 and updates < 2 ^ 53 and updates % 1 == 0) then
    fail("load_state_dict: updates is %g (expected a whole number from 0)", updates)
  end
  own.decay, own.updates = decay, math.tointeger(updates)
  for _, e in ipairs(own.entries) do internal.optim.assign(e.mean, state[e.name]) end
  return self
end

function Average:__tostring()
  local own = of(self, "__tostring")
  return ("EMA(%d tensors, {decay = %.10g}), %d updates"):format(#own.entries, own.decay, own.updates)
end

local DOCUMENTS = {
  update = [[
ema:update() -> ema
The averages take in the parameters as they are: after each step of the optimizer.]],
  copy_to = [[
ema:copy_to() -> ema
Writes the averages into the parameters (and buffers).]],
  store = [[
ema:store() -> ema
Keeps the parameters as they are, for restore.]],
  restore = [[
ema:restore() -> ema
Brings back what store kept.
Errors: nothing was stored.]],
  apply = [[
ema:apply(f, ...) -> what f gives
Calls f(...) with the averages in the place of the parameters, which are brought back then, also after an error.]],
  state_dict = [[
ema:state_dict() -> table
Copies of the averages by name, decay, and updates (how many), for peri.save or load_state_dict.]],
  load_state_dict = [[
ema:load_state_dict(state) -> ema
Takes over a state.
Errors: names that are missing or unexpected, other shapes; nothing changes then.]],
}
for name, doc in pairs(DOCUMENTS) do internal.document(name, doc, Average[name], Average) end

return { class = Average, new = new }
