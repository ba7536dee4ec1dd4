-- What a notebook shows, in place or anew. The kernel puts functions into internal.notebook; elsewhere the same calls
-- write to the terminal or to the standard output.
local _, internal, interactive = ...
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
  local later = check.flag("interactive.clear_output", "wait", wait, false)
  if internal.notebook then internal.notebook.clear(later) end
end, interactive)

internal.set_class("interactive.shown", "What is shown", Shown)
