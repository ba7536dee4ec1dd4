-- Commands of the prompt and of a notebook: a line that begins with a colon and a letter, as no line of Lua does. One
-- row each; the loop (repl.lua), the kernel, Tab, the greeting and help() read the table. To add a command, add a row:
--
--   name      what is typed behind the colon
--   argument  how its argument is written: [X] may be left out; nil: it has none
--   code      whether the argument is Lua code: run is given the compiled chunk, and lines that continue it are read
--   file      whether the argument is a path, which Tab completes
--   doc       a line
--   run(argument, prompt)  argument is a string, nil or the chunk; what it gives is shown as the values of an
--                          expression are, and Ctrl-C stops it. The prompt has
--                            leave()            ends the session after it
--                            help(name)         explains
--                            variables()        the session's own, by name
--                            set(name, value)   gives one a value; false when it is constant
--                            clear()            lets go of them
--                            inputs()           the list of what was accepted
--                            history()          the list of what was typed, in earlier sessions too
--                            evaluate(text)     runs a text as if it were typed

local function interactive() return require "perilune".interactive end

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- Lines of a history with their numbers; those of one entry stand below each other.
local function numbered(entries, word)
  local lines = {}
  for i, entry in ipairs(entries) do
    if not word or entry:lower():find(word:lower(), 1, true) then
      lines[#lines + 1] = ("%5d  %s"):format(i, (entry:gsub("\n", "\n       ")))
    end
  end
  return lines
end

-- A value as it is typed: a number, true, false, or a word.
local function typed(word)
  if word == "true" or word == "false" then return word == "true" end
  return tonumber(word) or word
end

-- The session's variables and the globals that Lua has not made.
local function with_globals(prompt)
  local values = {}
  for name, value in next, _G do if not prompt.standard[name] then values[name] = value end end
  for name, value in pairs(prompt.variables()) do values[name] = value end
  return values
end

local COMMANDS = {
  {
    name = "help", argument = "[NAME]", doc = "lists what there is, or explains NAME",
    run = function(name, prompt) prompt.help(name) end,
  },
  {
    name = "time", argument = "CODE", code = true, doc = "runs CODE once and says how long it took",
    run = function(chunk)
      local now = require("perilune").now
      local began = now()
      local values = table.pack(chunk())
      print("time: " .. interactive().seconds(now() - began))
      return table.unpack(values, 1, values.n)
    end,
  },
  {
    name = "bench", argument = "CODE", code = true,
    doc = "runs CODE many times: median, spread, bytes",
    run = function(chunk) return interactive().bench(chunk) end,
  },
  {
    name = "who", doc = "tensors, models and machines, and how large they are",
    run = function(_, prompt) return interactive().who(with_globals(prompt)) end,
  },
  {
    name = "clear", doc = "lets go of all variables",
    run = function(_, prompt)
      for name in pairs(with_globals(prompt)) do _G[name] = nil end
      prompt.clear()
      collectgarbage()
    end,
  },
  {
    name = "save", argument = "FILE", file = true, doc = "writes the variables: tensors and plain data",
    run = function(path, prompt)
      local values = with_globals(prompt)
      values._, values.__ = nil, nil
      for name, value in pairs(values) do if type(value) == "function" then values[name] = nil end end
      local left_out = interactive().save(path, values)
      if #left_out > 0 then print("left out, as no data: " .. table.concat(left_out, ", ")) end
    end,
  },
  {
    name = "load", argument = "FILE", file = true, doc = "reads the variables that :save has written",
    run = function(path, prompt)
      local names, constant = {}, {}
      for name, value in pairs(interactive().load(path)) do
        table.insert(prompt.set(name, value) and names or constant, name)
      end
      table.sort(names)
      print(#names > 0 and table.concat(names, " ") or "there was nothing in it")
      if #constant > 0 then print("left alone, as constant: " .. table.concat(constant, ", ")) end
    end,
  },
  {
    name = "history", argument = "[WORD]", doc = "lists what was typed, or what has WORD",
    run = function(word, prompt)
      for _, line in ipairs(numbered(prompt.history(), word)) do print(line) end
    end,
  },
  {
    name = "script", argument = "FILE", file = true, doc = "writes this session's inputs as a script",
    run = function(path, prompt)
      local inputs = prompt.inputs()
      write_file(path, 'local peri = require "perilune"\nlocal help = peri.help\n' ..
        table.concat(inputs, "\n") .. (#inputs > 0 and "\n" or ""))
      print(("%d inputs in %s"):format(#inputs, path))
    end,
  },
  {
    name = "edit", argument = "[FILE]", file = true, doc = "edits the last input, or FILE, and runs it",
    run = function(path, prompt)
      local editor = os.getenv "VISUAL" or os.getenv "EDITOR" or "vi"
      local scratch = not path and os.tmpname() or nil
      if scratch then
        local inputs = prompt.inputs()
        write_file(scratch, (inputs[#inputs] or "") .. "\n")
      end
      local ok = os.execute(editor .. " " .. quoted(path or scratch))
      local text = ok and contents(path or scratch) or nil
      if scratch then os.remove(scratch) end
      if not text then error(("edit: %s could not be run, or gave up"):format(editor), 0) end
      if text:find "%S" then prompt.evaluate((text:gsub("%s+$", ""))) end
    end,
  },
  {
    name = "reload", argument = "MODULE", doc = "reads a module again whose file has changed",
    run = function(name) interactive().reload(name) end,
  },
  {
    name = "plot", argument = "CODE", code = true, doc = "draws its value: a line, an image, a histogram",
    run = function(chunk) interactive().plot((chunk())):show() end,
  },
  {
    name = "set", argument = "[NAME VALUE]", doc = "lists what can be set, or sets it",
    run = function(argument)
      if not argument then return interactive().set() end
      local name, value = argument:match "^(%S+)%s+(%S+)$"
      if not name then error(":set: the value is missing (expected :set NAME VALUE)", 0) end
      interactive().set(name, typed(value))
    end,
  },
  {
    name = "quit", doc = "ends the session, as Ctrl-D does",
    run = function(_, prompt) prompt.leave() end,
  },
}

local commands = {}

local function usage(row) return ":" .. row.name .. (row.argument and " " .. row.argument or "") end

-- The names as they are typed.
function commands.names()
  local list = {}
  for i, row in ipairs(COMMANDS) do list[i] = ":" .. row.name end
  return list
end

-- Whether the argument of the command of that name (":save") is a path.
function commands.takes_file(name)
  for _, row in ipairs(COMMANDS) do if name == ":" .. row.name then return row.file end end
end

-- A line for each, for help(); or what help says of one (":time"), nil when there is none of that name.
function commands.text(name)
  local lines, widest = {}, 0
  for _, row in ipairs(COMMANDS) do widest = math.max(widest, #usage(row)) end
  for _, row in ipairs(COMMANDS) do
    if name == ":" .. row.name then return usage(row) .. "\n" .. row.doc:gsub("^%l", string.upper) .. "." end
    lines[#lines + 1] = ("  %-" .. widest .. "s  %s"):format(usage(row), row.doc)
  end
  return not name and table.concat(lines, "\n") or nil
end

-- ": did you mean :quit?", by the measure of the module, where it is loaded.
local function meant(name)
  local internal, names = debug.getregistry()["perilune.internal"], {}
  for i, row in ipairs(COMMANDS) do names[i] = row.name end
  return internal and internal.meant(name, names):gsub("mean ", "mean :") or ""
end

-- The row that a line asks for and its argument, a string or nil; nothing when the line is none for a command; nil and
-- a message when it is wrong.
function commands.find(line)
  local dotted = line:match "^%s*%.(%a[%w_]*)"
  for _, row in ipairs(COMMANDS) do
    if dotted == row.name then return nil, ("commands begin with a colon: :%s"):format(dotted) end
  end
  local name, argument = line:match "^%s*:(%a[%w_]*)%s*(.-)%s*$"
  if not name then return end
  for _, row in ipairs(COMMANDS) do
    if row.name == name then
      if argument == "" then argument = nil end
      if argument and not row.argument then
        return nil, (":%s: too many arguments: %s was not expected"):format(name, argument)
      elseif not argument and row.argument and not row.argument:find "^%[" then
        return nil, (":%s: the argument is missing (expected %s)"):format(name, usage(row))
      end
      return row, argument
    end
  end
  return nil, (":%s: there is no such command (:help lists them)%s"):format(name, meant(name))
end

return commands
