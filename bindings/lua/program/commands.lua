-- Commands of the prompt: a line that begins with a dot and a letter, as no line of Lua does. One row each; the loop
-- (repl.lua), Tab, the greeting and help() read the table. To add a command, add a row:
--
--   name      what is typed behind the dot
--   argument  how its argument is written: [X] may be left out; nil: it has none
--   code      whether the argument is Lua code: run is given the compiled chunk, and lines that continue it are read
--   doc       a line
--   run(argument, prompt)  argument is a string, nil or the chunk; what it gives is shown as the values of an
--                          expression are, and Ctrl-C stops it. prompt.leave() ends the session after it,
--                          prompt.help(name) explains.

local function shown_seconds(seconds)
  if seconds >= 1 then return ("%.3g s"):format(seconds) end
  if seconds >= 1e-3 then return ("%.3g ms"):format(seconds * 1e3) end
  return ("%.3g us"):format(seconds * 1e6)
end

local COMMANDS = {
  {
    name = "help", argument = "[NAME]", doc = "lists what there is, or explains NAME as help 'NAME' does",
    run = function(name, prompt) prompt.help(name) end,
  },
  {
    name = "quit", doc = "ends the session, as Ctrl-D does",
    run = function(_, prompt) prompt.leave() end,
  },
  {
    name = "time", argument = "CODE", code = true, doc = "runs CODE, says how long it took and shows its values",
    run = function(chunk)
      local now = require("perilune").now
      local began = now()
      local values = table.pack(chunk())
      io.stdout:write("time: ", shown_seconds(now() - began), "\n")
      return table.unpack(values, 1, values.n)
    end,
  },
}

local commands = {}

local function usage(row) return "." .. row.name .. (row.argument and " " .. row.argument or "") end

-- The names as they are typed.
function commands.names()
  local list = {}
  for i, row in ipairs(COMMANDS) do list[i] = "." .. row.name end
  return list
end

-- A line for each, for help(); or what help says of one (".time"), nil when there is none of that name.
function commands.text(name)
  local lines, widest = {}, 0
  for _, row in ipairs(COMMANDS) do widest = math.max(widest, #usage(row)) end
  for _, row in ipairs(COMMANDS) do
    if name == "." .. row.name then return usage(row) .. "\n" .. row.doc:gsub("^%l", string.upper) .. "." end
    lines[#lines + 1] = ("  %-" .. widest .. "s  %s"):format(usage(row), row.doc)
  end
  return not name and table.concat(lines, "\n") or nil
end

-- The row that a line asks for and its argument, a string or nil; nothing when the line is none for a command; nil and
-- a message when it is wrong.
function commands.find(line)
  local name, argument = line:match "^%s*%.(%a[%w_]*)%s*(.-)%s*$"
  if not name then return end
  for _, row in ipairs(COMMANDS) do
    if row.name == name then
      if argument == "" then argument = nil end
      if argument and not row.argument then
        return nil, (".%s: too many arguments: %s was not expected"):format(name, argument)
      elseif not argument and row.argument and not row.argument:find "^%[" then
        return nil, (".%s: the argument is missing (expected %s)"):format(name, usage(row))
      end
      return row, argument
    end
  end
  return nil, (".%s: there is no such command (there are %s)"):format(name, table.concat(commands.names(), ", "))
end

return commands
