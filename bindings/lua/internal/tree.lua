-- Tables in tables as peri.save writes them: tensors by names, and a text that says how all hangs together.
--
-- A tensor's name is the way to it, {model = {weight = x}} is "model.weight", so that other programs find it. The text
-- is JSON and looks like the table. What JSON cannot say is an object with one key: {"$tensor": name}; {"$float": 16
-- digits}, a number that is not finite, by its bits; {"$bytes": digits}, a string that is no UTF-8; {"$pairs": [[key,
-- value], ..]}, a table with other keys than 1 to n or texts without a $ in front.
local peri, internal = ...
local check, json = internal.check, internal.json
local fail, describe = check.fail, check.describe

local DEEPEST = 30 -- tables in tables: each takes up to three levels of the text

-- ---- to a text ----

-- keys lead to what is described now, `taken` are names of tensors, `open` the tables around.
local Flat = {}
Flat.__index = Flat

function Flat:path(separator)
  local parts = {}
  for _, key in ipairs(self.keys) do parts[#parts + 1] = tostring(key) end
  return table.concat(parts, separator)
end

function Flat:fail(message, ...)
  local path = #self.keys > 0 and "tensors." .. self:path "." or "tensors"
  fail("%s: %s " .. message, self.operation, path, ...)
end

local function is_text(s) return utf8.len(s) ~= nil and not s:find "%z" end

-- A name for the tensor that no other has.
function Flat:name()
  local path = self:path ".":gsub("%z", "?")
  while not utf8.len(path) do
    local _, bad = utf8.len(path)
    path = path:sub(1, bad - 1) .. "?" .. path:sub(bad + 1)
  end
  local name, n = path, 1
  while self.tensors[name] or name == "__metadata__" do
    n = n + 1
    name = ("%s#%d"):format(path, n)
  end
  return name
end

local function hexadecimal(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- Keys in an order that does not depend on the table, and whether they are 1 to n, or texts that JSON may have.
function Flat:sorted(t)
  local keys, plain = {}, true
  for key in next, t do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      self:fail("has the key %s (expected strings or whole numbers)", describe(key))
    end
    keys[#keys + 1] = key
    plain = plain and type(key) == "string" and is_text(key) and key:sub(1, 1) ~= "$"
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys, #keys > 0 and keys[1] == 1 and keys[#keys] == #keys, plain
end

local described

function Flat:table(t)
  if self.open[t] then self:fail "holds itself" end
  if #self.keys >= DEEPEST then self:fail("is nested more than %d deep", DEEPEST) end
  self.open[t] = true
  local keys, list, plain = self:sorted(t)
  local made = {}
  for i, key in ipairs(keys) do
    self.keys[#self.keys + 1] = key
    local value = described(self, rawget(t, key))
    self.keys[#self.keys] = nil
    if list or plain then made[key] = value else made[i] = { described(self, key), value } end
  end
  self.open[t] = nil
  return (list or plain) and made or { ["$pairs"] = made }
end

local WRITERS = {
  boolean = function(_, value) return value end,
  number = function(_, x) return x - x == 0 and x or { ["$float"] = hexadecimal((">d"):pack(x)) } end,
  string = function(_, s) return is_text(s) and s or { ["$bytes"] = hexadecimal(s) } end,
  table = Flat.table,
  userdata = function(self, value)
    if not peri.is_tensor(value) then return end
    local name = self:name()
    self.tensors[name] = value
    return { ["$tensor"] = name }
  end,
}

function described(self, value)
  local writer = WRITERS[type(value)]
  local text = writer and writer(self, value)
  if text == nil then
    self:fail("is %s (expected tensors, numbers, strings, booleans and tables of them%s)", describe(value),
      check.has_method(value, "state_dict") and "; what it holds is its state_dict()" or "")
  end
  return text
end

-- The tensors in a table by their names, and its text.
local function flatten(operation, value)
  local flat = setmetatable({ operation = operation, keys = {}, open = {}, tensors = {} }, Flat)
  return flat.tensors, (json.write(operation, flat:table(value), "tensors"))
end

-- ---- from a text ----

local function bytes_of(digits)
  if type(digits) ~= "string" or #digits % 2 ~= 0 or digits:find "[^0-9a-f]" then return nil end
  return (digits:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

local restored

local READERS = {
  ["$tensor"] = function(name, tensors) return type(name) == "string" and tensors[name] or nil end,
  ["$float"] = function(digits)
    local bytes = bytes_of(digits)
    return bytes and #bytes == 8 and (">d"):unpack(bytes) or nil
  end,
  ["$bytes"] = bytes_of,
  ["$pairs"] = function(pairs_of, tensors)
    local made = {}
    for _, pair in ipairs(type(pairs_of) == "table" and pairs_of or {}) do
      if type(pair) ~= "table" then return nil end
      local key, value = restored(pair[1], tensors), restored(pair[2], tensors)
      if type(key) ~= "string" and math.type(key) ~= "integer" or value == nil or made[key] ~= nil then return nil end
      made[key] = value
    end
    return made
  end,
}

-- nil where the text says what cannot be.
function restored(value, tensors)
  if type(value) ~= "table" then return value end
  local key, only = next(value)
  local reader = type(key) == "string" and next(value, key) == nil and READERS[key]
  if reader then return reader(only, tensors) end
  for name, entry in pairs(value) do
    local made = restored(entry, tensors)
    if made == nil then return nil end
    value[name] = made
  end
  return value
end

-- The table that was flattened to the tensors and the text; raises what is wrong with a file where it cannot be.
local function build(operation, path, tensors, text)
  local value, problem = json.read(text)
  local made = type(value) == "table" and restored(value, tensors) or nil
  if type(made) ~= "table" then
    fail("%s: %s: what it says of its tables cannot be: %s", operation, path, problem or "a tensor or a key is missing")
  end
  return made
end

return { flatten = flatten, build = build }
