-- The read-eval-print loop. The argument holds what C does for it (bindings/repl.c): read a line, call
-- a function so that Ctrl-C stops it, remember a line, tell the terminal's width, load a file.
--
-- A line that is an expression prints its values; one that is unfinished is continued; a local stays
-- visible to later lines (locals.lua); a command begins with a dot (commands.lua). peri and help are the only globals
-- that are set.
local host = ...
local new_session, complete = host.load("program.locals"), host.load("program.complete")
local text_of, commands = host.load("program.text"), host.load("program.commands")

local session = new_session()
session.commands = commands.names() -- for Tab

local function report(message)
  io.stdout:flush()
  io.stderr:write(message, "\n")
end

-- Message handler: the error's text and the calls that led to it, without those of the loop itself.
local function explain(message)
  if type(message) ~= "string" then
    local metatable = debug.getmetatable(message)
    if type(metatable) == "table" and metatable.__tostring then return tostring(message) end
    message = host.error_object(message)
  else
    message = host.hint(message)
  end
  local text = debug.traceback(message, 2)
  text = text:match("^(.*)\n\t%[C%]: in [^\n]*\n\t%[program%.repl%]:") or text
  text = text:gsub("\n\t%[program%.[^\n]*", "")
  return (text:gsub("in function <stdin:%d+>$", "in main chunk"):gsub("in %a+ 'chunk'$", "in main chunk"))
end

-- Values in a line, or each below the other when one has several lines.
local function show(...)
  local values, between = table.pack(...), "\t"
  for i = 1, values.n do
    values[i] = text_of(values[i], host.columns())
    if values[i]:find "\n" then between = "\n" end
  end
  if values.n > 0 then io.stdout:write(table.concat(values, between), "\n") end
end

-- Runs a compiled chunk and shows its values; both can be interrupted.
local function evaluate(chunk)
  local result = table.pack(host.call(chunk, explain))
  if result[1] then result = table.pack(host.call(show, explain, table.unpack(result, 2, result.n))) end
  if not result[1] then report(result[2]) end
end

local function prompt_for(text)
  local prompt = _G[text and "_PROMPT2" or "_PROMPT"]
  return prompt and tostring(prompt) or (text and ".. " or "> ")
end

-- A prompt may be any value of the user's, with a __tostring of its own.
local function read(text)
  local made, prompt = host.call(prompt_for, explain, text)
  if not made then report(prompt) end
  return host.read(made and prompt or "> ")
end

-- What help says at the prompt: of the module, and of the commands.
local function help(...)
  local peri, name = require "perilune", ...
  local text = type(name) == "string" and commands.text(name)
  if text then return print(text) end
  peri.help(...)
  if select("#", ...) == 0 then print("Commands at the prompt:\n" .. commands.text()) end
end

local left = false
local prompt = { leave = function() left = true end }
function prompt.help(name)
  if name == nil then return help() end
  help(commands.text("." .. name) and "." .. name or name) -- a command is known without its dot too
end

local function run_command(row, argument)
  evaluate(function()
    local values = table.pack(row.run(argument, prompt))
    return table.unpack(values, 1, values.n)
  end)
end

-- The first line of an input: what is left to compile, and the command that it is for, if any; nothing when all is
-- done.
local function begin(line)
  local row, argument = commands.find(line)
  if row and row.code then return argument, row end
  if row then
    run_command(row, argument)
  elseif argument then
    report(argument)
  else
    return (line:gsub("^=", "return ")) -- "=x" as lua takes it
  end
end

local function loop()
  local text, command
  while not left do
    session.continued = text ~= nil
    local line = read(text)
    if line == nil and not (text and host.interactive) then break end
    if not line then -- Ctrl-C, or Ctrl-D where a line is continued: the input is given up
      text = nil
    else
      if line:find("%S") then host.remember(line) end
      if text then
        text = text .. "\n" .. line
      else
        text, command = begin(line)
      end
      local chunk, message, unfinished
      if text then chunk, message, unfinished = session:compile(text) end
      if chunk or not unfinished then
        text = nil
        if message then report(message) end
        if chunk and command then run_command(command, chunk) elseif chunk then evaluate(chunk) end
      end
    end
  end
  if text then report((select(2, session:compile(text)))) end
  host.call(session.close, explain, session, report)
end

local function open_module()
  _G.peri = require "perilune"
  _G.help = help
end

local function start()
  local opened, message = host.call(open_module, explain)
  if not opened then report(message) end
  if host.interactive then
    show("help(x) explains x, Tab completes, Ctrl-C stops, Ctrl-D leaves. Commands:")
    show("  " .. table.concat(commands.names(), " "))
  end
  loop()
end

return start, function(line) return complete(session, line, host.columns()) end
