-- What an error says at the prompt, in a notebook and of a script: the message, the line of Lua that it speaks of with
-- a caret below the name that it names, and the calls that led there without the program's and the module's own.
--
--   explain(message, traceback, line_of, colours) -> text
--     traceback: as debug.traceback gives it, without a message
--     line_of(source, number): a line's text, or nil where it is not known; source as messages write it

-- A call of the module, or of the program that evaluates.
local function is_own(line) return line:find "^\tperilune/" ~= nil or line:find "^\t%[program%." ~= nil end

local function is_of_C(line) return line:find "^\t%[C%]: " ~= nil or line:find "^\t%(%.%.%.tail calls" ~= nil end

-- The lines of a traceback that are the script's. A C function that the module's own code called is the module's.
local function script_calls(traceback)
  local lines, kept = {}, {}
  for line in traceback:gsub("^stack traceback:\n", ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  local own = true -- whether what comes below, the caller, is the program's
  for i = #lines, 1, -1 do -- a caller stands below what it called
    local line = lines[i]
    if is_own(line) then own = true end
    if not is_own(line) and not (own and is_of_C(line)) then
      own = false
      table.insert(kept, 1, line)
    end
  end
  return kept
end

-- Where in a line what the message names stands: the first and the last byte; nil when that cannot be told.
local function place(message, line)
  local name = message:match "%(%a+ '([^']+)'%)" or message:match "near '([^']+)'" or message:match "variable '([^']+)'"
    or message:match "there is no field or method ([%w_]+)"
  local call = not name and message:match "^([%a_][%w_.:]*): "
  name = name or call and call:match "[%w_]+$"
  if not name or name == "?" then return nil end
  local from = 1
  while true do
    local first, last = line:find(name, from, true)
    if not first then return nil end
    local whole = not name:find "^[%w_]+$" or not line:sub(first - 1, first - 1):find "[%w_]" and
      not line:sub(last + 1, last + 1):find "[%w_]"
    if whole or first == 1 and not line:sub(last + 1, last + 1):find "[%w_]" then return first, last end
    from = last + 1
  end
end

-- As many cells as the text before has: tabs stay tabs.
local function blank(text) return (text:gsub("[^\t\128-\191]", " "):gsub("[\128-\191]", "")) end

local function marked_line(message, source, number, line_of)
  local line = line_of(source, number)
  if not line or not line:find "%S" or #line > 1000 then return nil end
  local said = message:match ":%d+: (.*)" or message
  local first, last = place(said, line)
  local text = "    " .. line
  if not first then return text end
  local shown = utf8.len(line:sub(first, last)) or 1
  return text, "    " .. blank(line:sub(1, first - 1)) .. "^" .. ("~"):rep(shown - 1)
end

return function(message, traceback, line_of, colours)
  local function paint(code, text) return colours and ("\27[%sm%s\27[0m"):format(code, text) or text end
  local position, rest = message:match "^([^\n]-:%d+: )(.*)$"
  local parts = { position and paint("1", position) .. paint("31", rest) or paint("31", message) }
  local source, number = message:match "^([^\n]-):(%d+): "
  if source and line_of then
    local line, caret = marked_line(message, source, math.tointeger(number), line_of)
    parts[#parts + 1] = line
    parts[#parts + 1] = caret and paint("32", caret)
  end
  local calls = traceback and script_calls(traceback) or {}
  local shown = #parts > 1 and calls[#calls] or "" -- the one line that led there
  local alone = shown:find("^\t[^\n]*:%d+: in main chunk$") and (#calls == 1 or #calls == 2 and is_of_C(calls[1]))
  if #calls > 0 and not alone then
    parts[#parts + 1] = paint("2", "stack traceback:\n" .. table.concat(calls, "\n"))
  end
  return table.concat(parts, "\n")
end
