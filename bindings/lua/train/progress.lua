-- How far training has come: one line that is rewritten on a terminal and in a notebook, a line every few epochs
-- elsewhere.
local process, data, internal = ...

local Progress = {}
Progress.__index = Progress

local INTERVAL = 0.1 -- seconds between two writings of the line on a terminal
local PLAIN_LINES = 20

local function clock(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 3600 then return ("%d:%02d"):format(seconds // 60, seconds % 60) end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end

-- wanted: true, false, or nil for a terminal alone. rows: in an epoch, nil where that is not known.
local function new(wanted, epochs, rows, now)
  local notebook = internal.notebook
  local terminal = notebook ~= nil or process.is_terminal(2)
  local on = wanted or wanted == nil and terminal
  return setmetatable({
    on = on, terminal = terminal, notebook = notebook, live = on and terminal, epochs = epochs, rows = rows, now = now,
    start = now(), last = -math.huge, said = "", every = math.ceil(epochs / PLAIN_LINES), before = 0,
  }, Progress)
end

-- The training goes on after so many epochs, and rows of the next, that another process has trained.
function Progress:from(epochs, rows) self.before = epochs * (self.rows or 0) + rows end

-- The line when so many rows have passed since the start.
local function text(self, epoch, passed)
  local said = ("epoch %d/%d  %s"):format(epoch, self.epochs, self.said ~= "" and self.said .. "  " or "")
  if not self.rows then return said end
  local elapsed, done = math.max(self.now() - self.start, 1e-9), math.max(passed - self.before, 0)
  local left = elapsed * (self.epochs * self.rows - passed) / math.max(done, 1)
  return ("%s%.0f rows/s  %s left"):format(said, done / elapsed, clock(left))
end

local shown = 0 -- lines of a notebook, each of which has its name

local function rewrite(self, line)
  if self.notebook then
    local update = self.line ~= nil
    if not update then shown = shown + 1 end
    self.line = self.line or ("perilune-progress-%d"):format(shown)
    return self.notebook.display(setmetatable({}, { __tostring = function() return line end }), self.line, update)
  end
  internal.say(("\r%s\27[K"):format(line))
  self.open = true
end

-- Only when live: within an epoch the line on a terminal alone goes on.
function Progress:batch(epoch, rows_done)
  local t = self.now()
  if t - self.last < INTERVAL then return end
  self.last = t
  rewrite(self, text(self, epoch, (epoch - 1) * (self.rows or 0) + rows_done))
end

-- Of trainings side by side: how many are through, and the epochs of all in all, of as many as there can be.
function Progress:networks(through, all, epochs, most)
  if not self.on then return end
  local t = self.now()
  local live = self.terminal and (through == all or t - self.last >= INTERVAL)
  if not live and (self.terminal or through % self.every > 0) then return end
  self.last = t
  local left = through == all and 0 or (t - self.start) * (most - epochs) / math.max(epochs, 1)
  local line = ("%d/%d networks  %d epochs  %s left"):format(through, all, epochs, clock(left))
  if self.terminal then rewrite(self, line) else internal.say(line .. "\n") end
end

function Progress:epoch(state)
  if not self.on then return end
  self.said = table.concat(data.measures(state, "%s %s"), "  "):gsub("_", " ")
  if self.terminal then
    rewrite(self, text(self, state.epoch, state.epoch * (self.rows or 0)))
  elseif state.epoch % self.every == 0 or state.epoch == 1 or state.epoch == self.epochs then
    internal.say(text(self, state.epoch, state.epoch * (self.rows or 0)) .. "\n")
  end
end

-- Time that went by outside of the training, in the script's own functions.
function Progress:pause(seconds) self.start = self.start + seconds end

function Progress:note(message)
  if not self.on then return end
  self:__close()
  internal.say(message .. "\n")
end

-- Also when an error ends the training: what follows begins on a line of its own.
function Progress:__close()
  if self.open then internal.say "\n" end
  self.open = false
end

return new
