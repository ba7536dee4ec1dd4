-- The read-eval-print loop. The argument holds what C does for it (bindings/repl.c): read a line, call
-- a function so that Ctrl-C stops it, remember a line, tell the terminal's width, load a file.
--
-- A line that is an expression prints its values; one that is unfinished is continued; a local stays
-- visible to later lines (locals.lua). peri and help are the only globals that are set.
local host = ...
local new_session, complete = host.load("program.locals"), host.load("program.complete")
local text_of = host.load("program.text")

local session = new_session()

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
  return (text:gsub("in function <stdin:%d+>$", "in main chunk"))
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

local function loop()
  local text
  while true do
    local line = read(text)
    if line == nil and not (text and host.interactive) then break end
    if not line then -- Ctrl-C, or Ctrl-D where a line is continued: the input is given up
      text = nil
    else
      if line:find("%S") then host.remember(line) end
      text = text and text .. "\n" .. line or line:gsub("^=", "return ") -- "=x" as lua takes it
      local chunk, message, unfinished = session:compile(text)
      if chunk or not unfinished then
        text = nil
        if chunk then evaluate(chunk) else report(message) end
      end
    end
  end
  if text then report((select(2, session:compile(text)))) end
  host.call(session.close, explain, session, report)
end

local function open_module()
  local peri = require "perilune"
  _G.peri = peri
  function _G.help(...)
    return peri.help(...)
  end
end

local function start()
  local opened, message = host.call(open_module, explain)
  if not opened then report(message) end
  if host.interactive then show("help(x) explains x, Tab completes, Ctrl-C stops, Ctrl-D leaves.") end
  loop()
end

return start, function(line) return complete(session, line, host.columns()) end
