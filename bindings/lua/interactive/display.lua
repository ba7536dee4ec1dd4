-- What a notebook shows, in place or anew. The kernel puts functions into internal.notebook; elsewhere the same calls
-- write to the terminal or to the standard output.
local peri, internal, interactive = ...
local check = internal.check
local document, text_of = internal.document, internal.text

local Shown = { __name = "display" }
Shown.__index = Shown

local function is_shown(value) return getmetatable(value) == Shown end

local function put(value, id, update)
  local notebook = internal.notebook
  if notebook then return notebook.display(value, id, update) end
  if type(value) == "table" and check.has_method(value, "save") and check.has_method(value, "show") then
    value:show()
  else
    io.stdout:write(text_of(value, 80), "\n")
  end
end

local count = 0

document("display", [[
interactive.display(x) -> shown
Shows x where a cell of a notebook stands: a figure as a picture, tensors, confusion matrices and searches as tables,
all else as text. shown:update(y) puts y in its place, as live plots and progress do. Elsewhere x is drawn or
printed, and what is put in its place follows below.]], function(x)
  internal.look()
  count = count + 1
  local shown = setmetatable({ id = ("perilune-%d"):format(count) }, Shown)
  put(x, shown.id, false)
  return shown
end, interactive)

document("update", [[
shown:update(x) -> shown
Shows x in the place of what interactive.display showed.]], function(self, x)
  check.called("update", is_shown(self), self, "shown:update(x)")
  put(x, self.id, true)
  return self
end, Shown)

document("clear_output", [[
interactive.clear_output(wait = false)
Takes away what the cell of a notebook has shown so far; with wait, as soon as something new is shown. Elsewhere nothing
happens.]], function(wait)
  internal.look()
  local later = check.flag("interactive.clear_output", "wait", wait, false)
  if internal.notebook then internal.notebook.clear(later) end
end, interactive)

local EVERY = 1 -- seconds between two drawings

document("follow", [[
interactive.follow{title =, ylabel = 'loss', ...} -> callback
A callback of train.fit that draws the losses of the epochs so far, once a second and at the end, each picture in the
place of the last in a notebook. Options are those of plot.figure.]], function(options)
  local given = check.only("interactive.follow", options,
    "title xlabel ylabel xlim ylim xscale yscale width height legend grid aspect doc")
  given.xlabel, given.ylabel = given.xlabel or "epoch", given.ylabel or "loss"
  local curves, names, shown, last = {}, {}, nil, -math.huge
  return function(state)
    for _, name in ipairs { "train_loss", "dev_loss" } do
      if state[name] and not curves[name] then curves[name], names[#names + 1] = {}, name end
      if state[name] then table.insert(curves[name], state[name]) end
    end
    local now = peri.now()
    if now - last < EVERY and state.epoch < state.epochs then return end
    last = now
    local figure = peri.plot.figure(given)
    for _, name in ipairs(names) do figure:line(curves[name], { label = name:gsub("_", " ") .. "" }) end
    shown = shown and shown:update(figure) or interactive.display(figure)
  end
end, interactive)

internal.set_class("interactive.shown", "What is shown", Shown)
