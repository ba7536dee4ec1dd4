-- What can be set at the prompt: one row each.
local peri, internal, interactive = ...
local check = internal.check
local kinds = check.kinds

local function print_option(name, kind, doc)
  local function get() return peri.get_printoptions()[name] end
  local function set(value) peri.set_printoptions { [name] = value } end
  return { name = name, kind = kind, doc = doc, get = get, set = set }
end

local PLOTS = "auto kitty sixel text"
local AUTO = check.kind("a whole number or auto", function(v) return v == "auto" and v or kinds.whole.read(v) end)
local AUTO_BOOLEAN = check.kind("true, false or auto", function(v)
  if v == "auto" or type(v) == "boolean" then return v end
end)

local SETTINGS = {
  { name = "colours", kind = kinds.boolean, doc = "whether errors are coloured",
    get = function() return internal.terminal.colours == nil and "auto" or internal.terminal.colours end,
    set = function(value) internal.terminal.colours = value end },
  print_option("edge_items", kinds.whole, "entries at each end of a dimension that is cut short"),
  print_option("line_width", AUTO, "characters of a line of a tensor"),
  { name = "plots", kind = check.one_of(PLOTS), doc = "how figure:show() draws: " .. PLOTS,
    get = function() return internal.terminal.plots end,
    set = function(value) internal.terminal.plots = value end },
  print_option("precision", kinds.whole, "digits behind the point of a tensor"),
  print_option("sci_mode", AUTO_BOOLEAN, "whether tensors have exponents"),
  { name = "threads", kind = kinds.whole, doc = "threads that compute",
    get = peri.get_num_threads, set = peri.set_num_threads },
  print_option("threshold", kinds.whole, "elements from which a tensor is cut short"),
}

-- Of the terminal: colours (nil: as the terminal is), plots.
internal.terminal = internal.terminal or {}
if internal.terminal.plots == nil then internal.terminal.plots = "auto" end

local Settings = { __name = "settings" }

function Settings:__tostring()
  local lines = {}
  for i, row in ipairs(SETTINGS) do
    lines[i] = ("%-11s %-6s %s"):format(row.name, tostring(self[row.name]), row.doc)
  end
  return table.concat(lines, "\n")
end

internal.document("set", [[
interactive.set(name, value) -> settings
Sets one thing of the prompt: colours (of errors), edge_items, line_width, precision, sci_mode and threshold (of
tensors, as peri.set_printoptions), plots (how figure:show() draws: 'auto', 'kitty', 'sixel' or 'text'), threads.
Without arguments nothing is set. Gives a table of all that is set, which has a text.
Errors: unknown names, values of another kind.]], function(name, value)
  local settings, names = {}, {}
  for i, row in ipairs(SETTINGS) do
    names[i] = row.name
    if row.name == name then row.set(check.read("interactive.set", name, value, row.kind)) end
  end
  if name ~= nil then check.choice("interactive.set", "name", name, table.concat(names, " ")) end
  for _, row in ipairs(SETTINGS) do settings[row.name] = row.get() end
  return setmetatable(settings, Settings)
end, interactive)
