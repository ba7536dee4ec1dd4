-- What metrics, searches and transforms are given: labels, numbers and weights as tensors or Lua tables, checked here
-- and named in messages.
local peri, internal = ...
local check = internal.check
local fail = check.fail

local input = {}

-- A part of what there is.
input.SHARE = check.test("a share up to 1 or a count above 1", function(v)
  return math.type(v) and v > 0 and (v <= 1 or math.tointeger(v))
end, check.kinds.number)

-- One or more values as a Lua list: of a table or a one-dimensional tensor.
function input.values(operation, name, values, what)
  if peri.is_tensor(values) and values:dim() == 1 then values = values:totable() end
  if type(values) ~= "table" or #values == 0 then
    check.must_be(operation, name, values, "a list of 1 or more " .. (what or "values"))
  end
  return values
end

-- A list of numbers from a one-dimensional tensor or a Lua table of numbers.
local function list_of(operation, name, value, hint)
  local list
  if peri.is_tensor(value) then
    if value:dim() ~= 1 then
      fail("%s: %s has shape %s (expected one dimension)%s", operation, name, check.shape(value), hint or "")
    end
    if value.dtype == "bool" then fail("%s: %s is bool (expected numbers)", operation, name) end
    list = value:totable()
  elseif type(value) == "table" then
    list = table.move(value, 1, #value, 1, {})
    for i = 1, #list do
      if type(list[i]) ~= "number" then
        fail("%s: entry %d of %s is %s (expected a number)", operation, i, name, check.describe(list[i]))
      end
    end
  else
    check.must_be(operation, name, value, "a tensor or a table of numbers")
  end
  if #list == 0 then fail("%s: %s is empty", operation, name) end
  return list
end
input.list = list_of

-- Labels as a list of integers.
function input.labels(operation, name, value)
  local list = list_of(operation, name, value, name == "pred" and ": pred:argmax(2) makes classes of scores" or nil)
  for i = 1, #list do
    local whole = math.tointeger(list[i])
    if not whole then
      fail("%s: entry %d of %s is %s (expected a whole number)", operation, i, name, check.describe(list[i]))
    end
    list[i] = whole
  end
  return list
end

local function are_integers(list)
  for i = 1, #list do
    if math.type(list[i]) ~= "integer" then return false end
  end
  return true
end

-- A table of numbers, or of rows of numbers, as an int64 tensor when all are integers, else as float64.
local function tensor_of(operation, name, value)
  if type(value) ~= "table" or type(value[1]) ~= "table" then
    local list = list_of(operation, name, value)
    return peri.tensor(list, { dtype = are_integers(list) and "int64" or "float64" })
  end
  local rows, whole = table.move(value, 1, #value, 1, {}), true
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then
      fail("%s: row %d of %s is %s (expected a table of numbers)", operation, i, name, check.describe(row))
    end
    rows[i] = list_of(operation, ("row %d of %s"):format(i, name), row)
    if #rows[i] ~= #rows[1] then
      fail("%s: row %d of %s has %d entries but row 1 has %d", operation, i, name, #rows[i], #rows[1])
    end
    whole = whole and are_integers(rows[i])
  end
  return peri.tensor(rows, { dtype = whole and "int64" or "float64" })
end

-- Numbers (a tensor, a table of numbers or of rows of them) as a tensor of one or two dimensions, outside of any graph:
-- int64 when they are integers, which float64 does not hold beyond 2^53, else float64.
function input.exact(operation, name, value)
  local x = peri.is_tensor(value) and value or tensor_of(operation, name, value)
  if x.dtype == "bool" then fail("%s: %s is bool (expected numbers)", operation, name) end
  if x:dim() < 1 or x:dim() > 2 then
    fail("%s: %s has shape %s (expected n or n x d)", operation, name, check.shape(x))
  end
  if x:numel() == 0 then fail("%s: %s is empty", operation, name) end
  return x:detach():to((x.dtype == "int64" or x.dtype == "uint8") and "int64" or "float64")
end

-- The same as float64.
function input.numbers(operation, name, value) return input.exact(operation, name, value):to "float64" end

function input.same_length(operation, first, n, second, m)
  if n ~= m then fail("%s: %s has %d entries but %s has %d", operation, first, n, second, m) end
end

-- Weights as a list of numbers that are at least 0, not all 0 and with a finite sum; nil stays nil.
function input.weights(operation, value, n)
  if value == nil then return nil end
  local list = list_of(operation, "sample_weight", value)
  input.same_length(operation, "y", n, "sample_weight", #list)
  local sum = 0.0
  for i, w in ipairs(list) do
    if not (w >= 0 and w < math.huge) then
      fail("%s: entry %d of sample_weight is %s (expected a finite number >= 0)", operation, i, check.describe(w))
    end
    sum = sum + w
  end
  if sum == 0 then fail("%s: sample_weight is 0 everywhere", operation) end
  if 4 * sum == math.huge then fail("%s: the sum of sample_weight overflows (scale them)", operation) end
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
