-- Trainings side by side. Each is a coroutine that runs the code of any training, and hands over what of its epochs
-- needs no Lua: the epochs of all are then run by the threads of the team (bindings/data/steps.c). Each has its own
-- default stream, so that it is bit for bit what it would be alone.
--
-- At most so many are under way at a time. What they give is handed on in the order in which they were begun.
local peri, internal, progress, explain = ...
local steps = internal.steps
local fail = internal.check.fail

local together = {}

local AT_ONCE = 32 -- for each thread: mini-batches are few, but networks, optimizers and best parameters add up

-- ---- one ----

local Side = {}
Side.__index = Side

local beginning -- the side whose function is to call `fit` next

-- For `fit`: the side that called it, or nil where a script did; what its function calls besides is not side by side.
function together.take()
  local side = beginning
  beginning = nil
  return side
end

-- The network's parameters are this training's until it is handed on: a second training of them waits, or, where each
-- is to have a network of its own, is an error.
function Side:own(parameters)
  local owners, strict = self.crew.owners, self.crew.strict
  for _, p in ipairs(parameters) do
    local owner = owners[p]
    if owner and owner ~= self and strict then
      fail("build gave the network of %s again (expected a new one each time)", owner.label)
    end
    while owner and owner ~= self and not owner.over do
      coroutine.yield(self)
      owner = owners[p]
    end
    owners[p] = self
  end
end

-- How far it has come, for the line of progress: so many epochs more.
function Side:count(n) self.crew.epochs = self.crew.epochs + n end

-- Goes on with the coroutine, under its own stream. `handed` is what it hands over: nil when it only waits.
local function resume(self, ...)
  local seed, block = steps.stream(self.seed, self.block)
  self.replay = nil
  local ok, given, result = coroutine.resume(self.thread, ...)
  beginning = nil
  self.seed, self.block = steps.stream(seed, block)
  if coroutine.status(self.thread) == "dead" then
    self.through, self.ok, self.result = true, ok and given, result
  elseif given ~= self then
    self.through, self.ok = true, false
    self.result = "fit: a function of the script yields (it cannot, where networks train side by side)"
    coroutine.close(self.thread)
  end
end

-- Whether m is a network that is not fitted and whose fit does not depend on where the default stream stands; seeded:
-- that was set before m was made.
function together.takes(m, seeded)
  local class = type(m) == "table" and rawget(m, "_class")
  if class ~= "Classifier" and class ~= "Regressor" then return false end
  return seeded ~= nil or type(m._options) == "table" and m._options.seed ~= nil
end

-- ---- all ----

local Crew = {}
Crew.__index = Crew

-- operation is what messages name. strict: every training must have a network of its own. all: how many there will be,
-- with at most so many epochs together, for the line of progress, which is wanted (true, false or nil for a terminal);
-- without it there is none.
function together.new(operation, strict, all, most, wanted)
  local line = all and progress(wanted, all, nil, peri.now) or nil
  return setmetatable({
    sides = {}, first = 1, last = 0, active = {}, owners = setmetatable({}, { __mode = not strict and "k" or nil }),
    operation = operation, strict = strict, line = line, all = all, all_epochs = most, epochs = 0,
    most = AT_ONCE * peri.get_num_threads(),
  }, Crew)
end

function Crew:__close()
  for i = self.first, self.last do
    if not self.sides[i].through then coroutine.close(self.sides[i].thread) end
  end
  if self.line then self.line:__close() end
end

-- What is through is handed on, in order; an error is raised at once, whose place in the order does not matter.
local function hand_on(self)
  for _, side in ipairs(self.active) do
    if side.through and not side.ok then
      explain(self.operation, side.label, side.result)
    end
  end
  local active = {}
  for _, side in ipairs(self.active) do
    if not side.through then active[#active + 1] = side end
  end
  self.active = active
  while self.first <= self.last and self.sides[self.first].through do
    local side = self.sides[self.first]
    local seed, block = steps.stream(side.seed, side.block)
    self.sides[self.first] = nil
    self.first = self.first + 1
    side.done(side.result)
    side.over = true
    self.seed, self.block = steps.stream(seed, block)
    for name in pairs(side) do -- it stays as an owner
      if name ~= "label" and name ~= "over" then side[name] = nil end
    end
    if self.line then self.line:networks(self.first - 1, self.all, self.epochs, self.all_epochs) end
  end
end

-- An epoch, or a slice of it, of all that are under way.
local function advance(self)
  local list = {}
  for _, side in ipairs(self.active) do
    if side.replay then list[#list + 1] = side end
  end
  if #list > 0 then
    self.crew = self.crew or steps.crew(self.most)
    steps.together(self.crew, list)
    if self.line and self.line.live then
      self.line:networks(self.first - 1, self.all, self.epochs, self.all_epochs)
    end
  end
  for _, side in ipairs(self.active) do resume(side, side.said) end
  hand_on(self)
end

-- Begins f(), which trains by the `fit` that it calls first, with the default stream as it stands; label is what
-- messages call it. When it is through, and all that began before it, done(result) is called, under the stream that it
-- leaves.
function Crew:start(label, f, done)
  while #self.active >= self.most do advance(self) end
  local side = setmetatable({ crew = self, label = label, done = done }, Side)
  side.thread = coroutine.create(function() return pcall(f) end)
  side.seed, side.block = steps.stream()
  self.last = self.last + 1
  self.sides[self.last], self.active[#self.active + 1] = side, side
  beginning = side
  resume(side)
  hand_on(self)
end

function Crew:is_idle() return self.first > self.last end

-- Until all are through; the default stream is then where the last one has left it.
function Crew:finish()
  while not self:is_idle() do advance(self) end
  if self.seed then steps.stream(self.seed, self.block) end
  self.seed = nil
end

return together
