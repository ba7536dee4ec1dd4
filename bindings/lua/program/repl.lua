-- The read-eval-print loop. The argument holds what C does for it (bindings/repl.c): read a line, call
-- a function so that Ctrl-C stops it, remember an input, tell the terminal's width, load a file.
--
-- A line that is an expression prints its values, unless it ends in a semicolon; one that is unfinished is continued; a
-- local stays visible to later lines (locals.lua); a command begins with a colon (commands.lua), a question with ?
-- (help.lua). peri, help, apropos, and the last values _ and __ are the only globals that are set.
local host = ...
local new_session, complete = host.load "program.session", host.load "program.complete"
local text_of = host.load "internal.text"

local function report(message)
  io.stdout:flush()
  io.stderr:write(message, "\n")
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

local session = new_session(host.interactive and function(n) return ("[%d]"):format(n) end or nil, show)
if host.history then session.history = host.history end

local function prompt_for(text)
  local prompt = _G[text and "_PROMPT2" or "_PROMPT"]
  return prompt and tostring(prompt) or (text and ".. " or "> ")
end

-- A prompt may be any value of the user's, with a __tostring of its own.
local function read(text)
  local made, prompt = host.call(prompt_for, session.explain, text)
  if not made then report(prompt) end
  return host.read(made and prompt or "> ")
end

-- A line, with those that it continues, if any. What is unfinished comes back, with what is wrong with it.
local function take(before, line)
  local text = before and before .. "\n" .. line or line
  if not before and line:find "\n" then -- pasted, or recalled
    local done, waiting, message = session:take_lines(line, report)
    if waiting then return waiting, message end
    if done then return host.remember(line) end
  end
  local ok, message, unfinished = session:take(text)
  if unfinished then return text, message end
  if text:find "%S" then host.remember(text) end
  if not ok then report(message) end
end

local function loop()
  local text, message
  while not session.left do
    session.continued = text ~= nil
    local line = read(text)
    if line == nil and not (text and host.interactive) then break end
    if not line then -- Ctrl-C, or Ctrl-D where a line is continued: the input is given up
      text = nil
    else
      text, message = take(text, line)
    end
  end
  if text then report(message) end
  host.call(session.close, session.explain, session, report)
end

local function start()
  local opened, message = host.call(session.open, session.explain, session)
  if not opened then report(message) end
  if host.interactive then
    show "?x explains x, :help lists commands, Tab completes, Ctrl-C stops, Ctrl-D leaves"
  end
  loop()
end

return start, function(line) return complete(session, line, host.columns()) end
