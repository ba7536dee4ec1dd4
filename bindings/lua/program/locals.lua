-- Chunks of one session that share their top-level locals, as the lines of one script do.
--
-- Each chunk is compiled by Lua alone, as the body of a function between two additions:
--
--   local capture, a, b = ...  return function(...)  CHUNK  capture(function() return x, y end)  end
--
-- In front stand the locals of earlier chunks that the text mentions; they become upvalues of the
-- function, and debug.upvaluejoin puts the earlier chunks' own variables into their place, so that
-- old closures and new lines see one variable. At the end (before a final return) the locals that the
-- chunk itself declares at its top level are handed over through a closure, whose upvalues are again
-- the variables themselves. Scopes, shadowing, <const> and goto are thus decided by Lua's compiler; all
-- that is read off the text is which names follow `local` outside every block.
--
-- A top-level <close> variable would be closed at the end of its line. It is compiled as <const> and
-- closed when the session ends, where the script would end.

local OPENS = {["do"] = 1, ["if"] = 1, ["function"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1}
local CAPTURE = "_perilune_capture"

-- The position after a string, comment bracket or number that begins at `first`, or nil.
local function after_long_bracket(text, first)
  local _, opening, level = text:find("^%[(=*)%[", first)
  if not opening then return nil end
  local _, closing = text:find("]" .. level .. "]", opening + 1, true)
  return (closing or #text) + 1
end

local function after_string(text, first)
  local quote = text:sub(first, first)
  local position = first + 1
  while true do
    local found = text:find("[\\" .. quote .. "]", position)
    if not found then return #text + 1 end
    if text:sub(found, found) == quote then return found + 1 end
    position = found + 2
  end
end

local function after_number(text, first)
  local marker = text:find("^0[xX]", first) and "[pP]" or "[eE]"
  local position = first
  while true do
    local _, last = text:find("^[%w.]", position)
    if not last then return position end
    position = last + 1
    if text:find("^" .. marker .. "[+-]", last) then position = position + 1 end
  end
end

local function after_blank(text, first)
  local position = first
  while true do
    local _, last = text:find("^%s+", position)
    position = (last or position - 1) + 1
    if text:sub(position, position + 1) ~= "--" then return position end
    position = after_long_bracket(text, position + 2) or (text:find("[\r\n]", position) or #text + 1)
  end
end

-- The tokens of a chunk that is known to compile: {text, first}. Strings and numbers are "".
local function tokens_of(text)
  local tokens = {}
  local position = after_blank(text, 1)
  while position <= #text do
    local first = position
    local _, last = text:find("^[A-Za-z_][A-Za-z0-9_]*", first)
    local word
    if last then
      word, position = text:sub(first, last), last + 1
    elseif text:find("^[\"']", first) then
      word, position = "", after_string(text, first)
    elseif text:find("^%.?[0-9]", first) then
      word, position = "", after_number(text, first)
    else
      position = after_long_bracket(text, first)
      word = position and "" or text:sub(first, first)
      position = position or first + 1
    end
    tokens[#tokens + 1] = {word, first}
    position = after_blank(text, position)
  end
  return tokens
end

-- What a chunk says of its top level: the names it declares with their attributes, in order; where its
-- final return begins; and every name that it mentions. The text has <const> for <close>.
local function survey(text)
  local tokens = tokens_of(text)
  local found = {names = {}, attributes = {}, mentioned = {}}
  local depth = 0
  local function declare(name, attribute)
    if not found.attributes[name] then found.names[#found.names + 1] = name end
    found.attributes[name] = attribute
  end
  local function word(i) return tokens[i] and tokens[i][1] end
  local function declare_list(i)
    repeat
      local name, attribute = word(i), ""
      if word(i + 1) == "<" then
        attribute = word(i + 2)
        if attribute == "close" then
          local first = tokens[i + 2][2]
          text = text:sub(1, first - 1) .. "const" .. text:sub(first + 5)
        end
        i = i + 3
      end
      declare(name, attribute)
      i = i + 2
    until word(i - 1) ~= ","
  end
  for i, token in ipairs(tokens) do
    local name = token[1]
    found.mentioned[name] = true
    if depth == 0 and name == "local" then
      if word(i + 1) == "function" then declare(word(i + 2), "") else declare_list(i + 1) end
    elseif depth == 0 and name == "return" then
      found.final_return = token[2]
    end
    depth = depth + (OPENS[name] or 0)
  end
  found.text, found.silent = text, word(#tokens) == ";"
  return found
end

local Session = {}
Session.__index = Session

-- A closure of one upvalue: holds a variable, its own or after upvaluejoin another's.
local function new_holder(value)
  return function() return value end
end

local function upvalues_of(f)
  local indices = {}
  for i = 1, math.huge do
    local name = debug.getupvalue(f, i)
    if not name then return indices end
    indices[name] = i
  end
end

-- Takes over the variables that a chunk has declared; the closure returns them in order.
function Session:capture(found, closure)
  local values, upvalues = table.pack(closure()), upvalues_of(closure)
  for i, name in ipairs(found.names) do
    local attribute, value = found.attributes[name], values[i]
    if attribute == "close" and value then
      if not (debug.getmetatable(value) or {}).__close then
        error(("variable '%s' got a non-closable value"):format(name), 3)
      end
      table.insert(self.closing, value)
    end
    local holder = new_holder(value)
    if upvalues[name] then debug.upvaluejoin(holder, 1, closure, upvalues[name]) end -- else a constant
    self.variables[name] = {holder = holder, constant = attribute ~= ""}
  end
end

local function wrap(self, found, with_capture)
  local heads, names = {CAPTURE}, {}
  for name in pairs(found.mentioned) do
    if self.variables[name] then names[#names + 1] = name end
  end
  if self.variables._ENV and not found.mentioned._ENV then names[#names + 1] = "_ENV" end
  table.sort(names)
  for _, name in ipairs(names) do
    heads[#heads + 1] = name .. (self.variables[name].constant and " <const>" or "")
  end
  local before, after = found.text, ""
  if found.final_return then
    before, after = found.text:sub(1, found.final_return - 1), found.text:sub(found.final_return)
  end
  local capture = ""
  if with_capture and found.names[1] then
    -- the new line ends a comment; before a final return none is open, and lines keep their numbers
    capture = ("%s;%s(function() return %s end) "):format(found.final_return and "" or "\n", CAPTURE,
      table.concat(found.names, ", "))
  end
  return ("local %s = ... return function(...) %s%s%s\nend"):format(table.concat(heads, ", "), before, capture, after)
end

-- Compiles text as an expression or as statements; errors name its source. Gives a function, and true when it ends in a
-- semicolon; or nil, a message, and true when more lines could complete it.
function Session:compile(text, source)
  source = source or "=stdin"
  local as_expression, expression_error = load("return " .. text, source, "t")
  local as_chunk, chunk_error = load(text, source, "t")
  if not as_expression and not as_chunk then
    return nil, chunk_error, chunk_error:find("<eof>$") or expression_error:find("<eof>$")
  end
  local found = survey(as_expression and "return " .. text or text)
  -- the addition at the end can make a goto illegal, then the locals of this chunk are its own
  local make, message = load(wrap(self, found, true), source, "t")
  if not make then make, message = load(wrap(self, found, false), source, "t") end
  if not make then return nil, message end
  local chunk = make(function(closure) self:capture(found, closure) end)
  for name, index in pairs(upvalues_of(chunk)) do
    local variable = self.variables[name]
    if variable then debug.upvaluejoin(chunk, index, variable.holder, 1) end
  end
  return chunk, found.silent
end

-- Gives a variable a value: the local of that name, unless it is constant, else the global.
function Session:set(name, value)
  local variable = self.variables[name]
  if not variable then
    _G[name] = value
  elseif not variable.constant then
    debug.setupvalue(variable.holder, 1, value)
  else
    return false
  end
  return true
end

-- Lets go of every local, and closes nothing.
function Session:forget() self.variables = {} end

-- Closes what <close> variables hold, the last first; report(message) hears of errors.
function Session:close(report)
  for i = #self.closing, 1, -1 do
    local value = self.closing[i]
    local closed, message = pcall(debug.getmetatable(value).__close, value, nil)
    if not closed then report(tostring(message)) end
  end
  self.closing = {}
end

-- variables: name -> {holder = function that returns the value, constant = boolean}
return function()
  return setmetatable({variables = {}, closing = {}}, Session)
end
