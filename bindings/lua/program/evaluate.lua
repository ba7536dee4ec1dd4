-- One session of inputs, as the prompt and a notebook have it: compiles an input (locals.lua), runs it so that Ctrl-C
-- stops it, keeps its values in _ and __, and says what is wrong with it (errors.lua).
--
--   new(host, name) -> session, with the fields of locals.lua and
--     session:read(text, shown)      a function and whether it is silent; or nil, a message, and true when more lines
--                                    could complete the text. What compiles is the next input, session.inputs[n];
--                                    shown: as it was typed, where that is another text
--     session:wrong(message, text)   what is said of a text that does not compile
--     session:run(chunk, show)       true; or false and what to say of the error. show(...) gets the values
--   name(n): what messages call input n
local host = ...
local new_session, explain_error = host.load "program.locals", host.load "program.errors"

local function line(text, number)
  for found in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number - 1
    if number == 0 then return found end
  end
end

local function contents(path)
  local file <close> = path:find "^%.%.%." == nil and path:find "^/dev/" == nil and io.open(path) or nil
  return file and file:read "a"
end

-- As :set colours says, else as the terminal is.
local function coloured()
  local internal = debug.getregistry()["perilune.internal"]
  local terminal = internal and rawget(internal, "terminal")
  if terminal and terminal.colours ~= nil then return terminal.colours end
  return host.colours
end

-- ": did you mean print?" for a global that is nil and close to one, or to a local of the session.
local function meant(session, message)
  local name = message:match "nil value %(global '([%a_][%w_]*)'%)$"
  local internal = name and debug.getregistry()["perilune.internal"]
  if not internal then return "" end
  local known = {}
  for global in next, _G do known[#known + 1] = type(global) == "string" and global or nil end
  for variable in pairs(session.variables) do known[#known + 1] = variable end
  table.sort(known)
  return internal.meant(name, known)
end

-- Message handler: the text of the error, and the calls that led to it.
local function handler(session)
  local function line_of(source, number)
    if not session.named then return nil end
    local text = session.sources[source] or contents(source)
    return text and line(text, number)
  end
  return function(message)
    if type(message) ~= "string" then
      local metatable = debug.getmetatable(message)
      if type(metatable) == "table" and metatable.__tostring then return tostring(message) end
      message = host.error_object(message)
    else
      message = host.hint(message):gsub("^%[program%.[%w.]+%]:%d+: ", "") -- of a command: no line of the user's
      message = message .. meant(session, message)
    end
    local calls = debug.traceback("", 2):gsub("^\n", "")
    calls = calls:gsub("in function <([^>:]+):%d+>", function(source)
      return (session.sources[source] or source == "stdin") and "in main chunk" or nil
    end):gsub("in %a+ 'chunk'", "in main chunk")
    if message:find "^[^\n]*:%d+: interrupted!$" then message, calls = "interrupted!", nil end
    return explain_error(message, calls, line_of, coloured())
  end
end

return function(name)
  local session = new_session()
  session.named, session.inputs, session.sources = name ~= nil, {}, {}
  session.explain = handler(session)

  -- What is wrong with a text that does not compile, as it is shown.
  function session:wrong(message, text)
    if not self.named then return message end
    return explain_error(message, nil, function(_, number) return line(text, number) end, coloured())
  end

  function session:read(text, shown)
    local chunk_name = "=" .. (name and name(#self.inputs + 1) or "stdin")
    local chunk, message, unfinished = self:compile(text, chunk_name)
    if not chunk then return nil, unfinished and message or self:wrong(message, text), unfinished end
    self.inputs[#self.inputs + 1] = shown or text
    self.sources[chunk_name:sub(2)] = shown or text
    return chunk, message
  end

  function session:run(chunk, show)
    local result = table.pack(host.call(chunk, self.explain))
    if result[1] and result.n > 1 then
      if result[2] ~= nil then rawset(_G, "__", rawget(_G, "_")) rawset(_G, "_", result[2]) end
      result = table.pack(host.call(show, self.explain, table.unpack(result, 2, result.n)))
    end
    return result[1], result[2]
  end

  return session
end
