-- Lua values as JSON (RFC 8259): UTF-8, keys sorted. What JSON cannot say is an error, or is told apart.
local peri, check = ...
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
return function(operation, value, root)
  local state = setmetatable({ operation = operation, root = root, open = {}, lost = {}, keys = {}, values = 0 }, State)
  return encode(state, value), state.lost
end
