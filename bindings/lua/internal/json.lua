-- Lua values as JSON (RFC 8259): UTF-8, keys sorted. What JSON cannot say is an error, or is told apart. And back.
local peri, internal = ...
local check = internal.check
local fail, describe = check.fail, check.describe

-- ---- strings ----

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end

-- Bytes that are no UTF-8 become the replacement character.
local function valid(text)
  local parts, from = {}, 1
  while from <= #text do
    local _, bad = utf8.len(text, from)
    parts[#parts + 1] = text:sub(from, (bad or #text + 1) - 1)
    if not bad then break end
    parts[#parts + 1] = "\u{FFFD}"
    from = bad + 1
  end
  return table.concat(parts)
end

local function string_text(text) return '"' .. valid(text):gsub('[%c"\\]', escape) .. '"' end

-- ---- numbers ----

-- The shortest decimal that reads back as the same number. A host's locale may have another decimal sign.
local function number_text(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  local text
  for digits = 15, 17 do
    text = ("%%.%dg"):format(digits):format(x)
    if tonumber(text) == x then break end
  end
  local sign = ("%.1f"):format(0.5):sub(2, -2)
  if sign ~= "." then text = text:gsub(sign:gsub("%p", "%%%0"), ".") end
  return text:find "[.e]" and text or text .. ".0"
end

local function not_finite(x) return x ~= x and "nan" or x > 0 and "inf" or "-inf" end

-- ---- values ----

local DEEPEST = 100 -- tables in tables; readers give up before a thousand
local MOST = 10000000 -- values: a table that stands in many places is written in each

-- One value on its way to text: keys are those that lead to where it is now.
local State = {}
State.__index = State

function State:path()
  local parts = { self.root }
  for _, key in ipairs(self.keys) do
    if math.type(key) then key = ("[%d]"):format(key) elseif parts[1] then key = "." .. key end
    parts[#parts + 1] = key
  end
  return table.concat(parts)
end

function State:fail(message, ...) fail(self.operation .. ": %s " .. message, self:path(), ...) end

local encode

local function is_list(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n > 0 and n == #t
end

-- The keys as strings, sorted, and the values by them.
local function entries(state, t)
  local names, values = {}, {}
  for key, value in pairs(t) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      state:fail("has the key %s (expected strings or whole numbers)", describe(key))
    end
    local name = tostring(key)
    if values[name] ~= nil then state:fail("has the key %s twice, as a string and as a number", name) end
    names[#names + 1], values[name] = name, value
  end
  table.sort(names)
  return names, values
end

local function table_text(state, t)
  local keys = state.keys
  local depth = #keys + 1
  if state.open[t] then state:fail "holds itself" end
  if depth > DEEPEST then
    state.keys = {}
    state:fail("is nested more than %d deep", DEEPEST)
  end
  state.open[t] = true
  local parts, form = {}, "[%s]"
  if is_list(t) then
    for i = 1, #t do
      keys[depth] = i
      parts[i] = encode(state, t[i])
    end
  else
    form = "{%s}"
    local names, values = entries(state, t)
    for i, name in ipairs(names) do
      keys[depth] = name
      parts[i] = string_text(name) .. ":" .. encode(state, values[name])
    end
  end
  state.open[t], keys[depth] = nil, nil
  return form:format(table.concat(parts, ","))
end

local WRITERS = {
  ["nil"] = function() return "null" end,
  boolean = function(_, value) return tostring(value) end,
  string = function(_, value) return string_text(value) end,
  number = function(state, x)
    if x - x == 0 then return number_text(x) end
    state.lost[#state.lost + 1] = { state:path(), not_finite(x) }
    return "null"
  end,
  table = table_text,
  -- tensors as lists; layers, optimisers and the like by their text
  userdata = function(state, value)
    if not peri.is_tensor(value) then return string_text(tostring(value)) end
    if value:numel() > MOST then state:fail("has %d elements (expected at most %d)", value:numel(), MOST) end
    return encode(state, value:totable())
  end,
}

function encode(state, value)
  local writer = WRITERS[type(value)]
  if not writer then state:fail("is %s, which JSON cannot say", describe(value)) end
  state.values = state.values + 1
  if state.values > MOST then
    state.keys = {}
    state:fail("holds more than %d values", MOST)
  end
  return writer(state, value)
end

-- The text of a value, and a list of the numbers in it that are null there: {path, 'nan' | 'inf' | '-inf'}. root names
-- the value in messages of the operation, and begins the paths.
local function write(operation, value, root)
  local state = setmetatable({ operation = operation, root = root, open = {}, lost = {}, keys = {}, values = 0 }, State)
  return encode(state, value), state.lost
end

-- ---- reading ----

-- A text and the place in it that is read next; `deep` is how many tables are open there.
local Reader = {}
Reader.__index = Reader

-- To what follows white space, which must be of the pattern; what that captures, or the place.
function Reader:take(pattern, expected)
  local from, to, found = self.text:find("^[ \t\r\n]*" .. pattern, self.at)
  if not from then error({ at = self.at, expected = expected }, 0) end
  self.at = to + 1
  return found
end

-- Whether the character is the next, which is then behind.
function Reader:skips(character)
  local _, to = self.text:find("^[ \t\r\n]*%" .. character, self.at)
  self.at = to and to + 1 or self.at
  return to ~= nil
end

local UNESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- The character of an escape whose backslash is behind; two of them where it is half of a pair.
function Reader:escaped()
  local c = self.text:sub(self.at, self.at)
  self.at = self.at + 1
  if c ~= "u" then return UNESCAPED[c] or error({ at = self.at - 1, expected = "an escape" }, 0) end
  local code, low = self.text:match("^(%x%x%x%x)", self.at), nil
  if code and code:find "^[dD][89abAB]" then
    code, low = self.text:match("^(%x%x%x%x)\\u([dD][c-fC-F]%x%x)", self.at)
  end
  if not code then error({ at = self.at, expected = "four hexadecimal digits, or two halves of a pair" }, 0) end
  self.at = self.at + (low and 10 or 4)
  code = tonumber(code, 16)
  return utf8.char(low and 0x10000 + ((code - 0xD800) << 10) + (tonumber(low, 16) - 0xDC00) or code)
end

function Reader:string()
  local parts = {}
  self:take('"', "a string")
  repeat
    local plain, stop = self.text:match('^([^%c"\\]*)(["\\])', self.at)
    if not plain then error({ at = self.at, expected = "the end of a string" }, 0) end
    self.at = self.at + #plain + 1
    parts[#parts + 1] = plain
    if stop == "\\" then parts[#parts + 1] = self:escaped() end
  until stop == '"'
  return table.concat(parts)
end

function Reader:number()
  local from = self.at
  local text = self:take("(-?%d[%d.eE+-]*)", "a value")
  local whole = text:find "^-?%d+$"
  local number = not text:find "^-?0%d" and tonumber(text)
  if not number or whole and math.type(number) ~= "integer" or number - number ~= 0 then
    error({ at = from, expected = "a number" }, 0)
  end
  return number
end

-- The entries of a table, each read by `entry`, until the closing bracket.
function Reader:entries(close, entry)
  self.deep = self.deep + 1
  if self.deep > DEEPEST then error({ at = self.at, expected = "no more tables in tables" }, 0) end
  if not self:skips(close) then
    repeat entry() until not self:skips ","
    self:take("%" .. close, "a comma or " .. close)
  end
  self.deep = self.deep - 1
end

local CONSTANTS = { ["true"] = true, ["false"] = false }

function Reader:value()
  local made = {}
  if self:skips "{" then
    self:entries("}", function()
      local key = self:string()
      self:take(":", "a colon")
      made[key] = self:value()
    end)
    return made
  elseif self:skips "[" then
    self:entries("]", function() made[#made + 1] = self:value() end)
    return made
  elseif self.text:find('^[ \t\r\n]*"', self.at) then
    return self:string()
  end
  local word = self.text:match("^[ \t\r\n]*(%a+)", self.at)
  if word == "null" and self.null ~= nil then
    self:take(word)
    return self.null
  end
  if word and CONSTANTS[word] ~= nil then
    self:take(word)
    return CONSTANTS[word]
  end
  return self:number()
end

-- The value of a text, or nil and what is wrong with it. null stands for what is null there; without it none may be.
local function read(text, null)
  local reader = setmetatable({ text = text, at = 1, deep = 0, null = null }, Reader)
  local ok, value = pcall(function()
    local value = reader:value()
    reader:take("$", "its end")
    return value
  end)
  if ok then return value end
  if type(value) ~= "table" then error(value, 0) end
  return nil, ("byte %d (expected %s)"):format(value.at, value.expected)
end

return { write = write, read = read }
