-- What metrics, searches and transforms are given: options, labels, numbers and weights as tensors or Lua tables,
-- checked here and named in messages.
local peri, internal = ...

local input = {}

local function fail(message, ...) internal.raise(message:format(...)) end
input.fail = fail

-- A value for a message.
local function describe(value)
  if peri.is_tensor(value) then return "a tensor " .. table.concat(value.shape, "x") end
  if type(value) == "string" then return ("'%s'"):format(value:sub(1, 80):gsub("%c", "?")) end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  if type(value) == "userdata" then return tostring(value):match "^(%a%w*)[{(]" or internal.describe(value) end
  return value == nil and "nothing" or "a " .. type(value)
end
input.describe = describe

-- The options, of which only those in names (words between spaces) may be there.
function input.only(operation, options, names)
  if options == nil then return {} end
  if type(options) ~= "table" then fail("%s: options must be a table, got %s", operation, describe(options)) end
  local unknown = {}
  for name in pairs(options) do
    if type(name) ~= "string" or not (" " .. names .. " "):find(" " .. name .. " ", 1, true) then
      unknown[#unknown + 1] = tostring(name)
    end
  end
  table.sort(unknown)
  if #unknown > 0 then fail("%s: unknown option %s (known: %s)", operation, unknown[1], names:gsub(" ", ", ")) end
  return options
end

-- An option that is one of the words.
function input.choice(operation, name, value, words)
  if type(value) == "string" and (" " .. words .. " "):find(" " .. value .. " ", 1, true) then return value end
  fail("%s: %s must be one of %s, got %s", operation, name, words:gsub(" ", ", "), describe(value))
end

function input.flag(operation, name, value, default)
  if value == nil then return default end
  if type(value) == "boolean" then return value end
  fail("%s: %s must be true or false, got %s", operation, name, describe(value))
end

function input.whole(operation, name, value, least)
  local integer = math.type(value) and math.tointeger(value)
  if not integer or integer < least then
    fail("%s: %s must be a whole number from %d, got %s", operation, name, least, describe(value))
  end
  return integer
end

-- A list of numbers from a one-dimensional tensor or a Lua table of numbers.
local function list_of(operation, name, value)
  local list
  if peri.is_tensor(value) then
    if value:dim() ~= 1 then
      fail("%s: %s has shape %s (expected one dimension)", operation, name, table.concat(value.shape, "x"))
    end
    if value.dtype == "bool" then fail("%s: %s is bool (expected numbers)", operation, name) end
    list = value:totable()
  elseif type(value) == "table" then
    list = table.move(value, 1, #value, 1, {})
    for i = 1, #list do
      if type(list[i]) ~= "number" then
        fail("%s: entry %d of %s is %s (expected a number)", operation, i, name, describe(list[i]))
      end
    end
  else
    fail("%s: %s must be a tensor or a table of numbers, got %s", operation, name, describe(value))
  end
  if #list == 0 then fail("%s: %s is empty", operation, name) end
  return list
end
input.list = list_of

-- Labels as a list of integers.
function input.labels(operation, name, value)
  local list = list_of(operation, name, value)
  for i = 1, #list do
    local whole = math.tointeger(list[i])
    if not whole then
      fail("%s: entry %d of %s is %s (expected a whole number)", operation, i, name, describe(list[i]))
    end
    list[i] = whole
  end
  return list
end

-- Numbers as a float64 tensor of one or two dimensions, outside of any graph.
function input.numbers(operation, name, value)
  local x = value
  if not peri.is_tensor(value) then x = peri.tensor(list_of(operation, name, value), { dtype = "float64" }) end
  if x.dtype == "bool" then fail("%s: %s is bool (expected numbers)", operation, name) end
  if x:dim() < 1 or x:dim() > 2 then
    fail("%s: %s has shape %s (expected n or n x d)", operation, name, table.concat(x.shape, "x"))
  end
  if x:numel() == 0 then fail("%s: %s is empty", operation, name) end
  return x:detach():to "float64"
end

function input.same_length(operation, first, n, second, m)
  if n ~= m then fail("%s: %s has %d entries but %s has %d", operation, first, n, second, m) end
end

-- Weights as a list of numbers that are finite, at least 0 and not all 0; nil stays nil.
function input.weights(operation, value, n)
  if value == nil then return nil end
  local list = list_of(operation, "sample_weight", value)
  input.same_length(operation, "y", n, "sample_weight", #list)
  local any = false
  for i, w in ipairs(list) do
    if not (w >= 0 and w < math.huge) then
      fail("%s: entry %d of sample_weight is %s (expected a finite number >= 0)", operation, i, w)
    end
    any = any or w > 0
  end
  if not any then fail("%s: sample_weight is 0 everywhere", operation) end
  return list
end

-- The different labels of lists, ascending, and the position of each.
function input.classes(...)
  local classes, position = {}, {}
  for _, list in ipairs { ... } do
    for _, label in ipairs(list) do
      if not position[label] then
        position[label] = true
        classes[#classes + 1] = label
      end
    end
  end
  table.sort(classes)
  for i, label in ipairs(classes) do position[label] = i end
  return classes, position
end

-- Rows of strings as lines with columns: the first aligned on the left, the others on the right.
function input.aligned(rows)
  local width, lines = {}, {}
  for _, row in ipairs(rows) do
    for c, text in ipairs(row) do width[c] = math.max(width[c] or 0, #text) end
  end
  for i, row in ipairs(rows) do
    local parts = {}
    for c, text in ipairs(row) do
      local blanks = (" "):rep(width[c] - #text)
      parts[c] = c == 1 and text .. blanks or blanks .. text
    end
    lines[i] = table.concat(parts, "  "):match "^.*%S" or ""
  end
  return table.concat(lines, "\n")
end

return input
