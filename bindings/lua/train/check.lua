-- What comes into training: checks of options and data, and the errors that they raise.
local peri, internal, input = ...

local check = { weights = input.weights, guard = input.guard }

function check.fail(message, ...) internal.raise(message:format(...)) end

local fail = check.fail

-- A value as an error message shows it.
function check.shown(value)
  if peri.is_tensor(value) then return ("a tensor of %s (%s)"):format(table.concat(value.shape, "x"), value.dtype) end
  if type(value) == "string" then return "'" .. value:sub(1, 60):gsub("%c", "?") .. "'" end
  if type(value) == "number" or type(value) == "boolean" or value == nil then return tostring(value) end
  return internal.describe(value)
end

-- The measures of an epoch in words.
function check.measures(state, form)
  local parts = {}
  for _, name in ipairs { "train_loss", "train_accuracy", "train_r2", "dev_loss", "dev_accuracy", "dev_r2" } do
    local x = state[name]
    if x then parts[#parts + 1] = form:format(name, x ~= x and "nan" or ("%.4g"):format(x)) end
  end
  return parts
end

-- ---- options ----
-- A kind of option: what it expects in words, and a test.

local function kind(expected, test) return { expected = expected, test = test } end

local function has_method(v, name)
  if type(v) ~= "table" and type(v) ~= "userdata" then return false end
  local ok, method = pcall(function() return v[name] end)
  return ok and type(method) == "function"
end

-- Layers and losses hide their metatable, and have forward.
local function is_callable(v)
  if type(v) == "function" or has_method(v, "forward") then return true end
  local meta = type(v) == "table" and getmetatable(v)
  return type(meta) == "table" and meta.__call ~= nil
end

local function is_layer(v) return has_method(v, "parameters") and has_method(v, "state_dict") end

local function whole_from(least)
  return kind("a whole number from " .. least, function(v) return math.type(v) and math.tointeger(v) and v >= least end)
end

local MONITORS = { dev_loss = true, dev_accuracy = true, dev_r2 = true, train_loss = true, train_accuracy = true,
  train_r2 = true }

local kinds = {
  count = whole_from(1), seed = whole_from(0),
  boolean = kind("true or false", function(v) return type(v) == "boolean" end),
  positive = kind("a number above 0", function(v) return type(v) == "number" and v > 0 and v < math.huge end),
  from_zero = kind("a number from 0", function(v) return type(v) == "number" and v >= 0 and v < math.huge end),
  layer = kind("a layer", is_layer),
  model = kind("a layer or a function", function(v) return is_layer(v) or type(v) == "function" end),
  parameters = kind("a list of one or more float tensors", function(v)
    if type(v) ~= "table" or #v == 0 then return false end
    for _, p in ipairs(v) do
      if not (peri.is_tensor(p) and p.dtype:find "^float") then return false end
    end
    return true
  end),
  loss = kind("a loss or a function", is_callable),
  callable = kind("a function", is_callable),
  build = kind("a function that gives a network and its optimizer", is_callable),
  optimizer = kind("an object with methods step and zero_grad",
    function(v) return has_method(v, "step") and has_method(v, "zero_grad") end),
  steps = kind("an object with a method step", function(v) return has_method(v, "step") end),
  stopping = kind("a table such as {patience = 10}", function(v) return type(v) == "table" end),
  table = kind("a table", function(v) return type(v) == "table" end),
  pair = kind("a table {X, y}", function(v) return type(v) == "table" and v[1] ~= nil and v[2] ~= nil end),
  list = kind("a list or a tensor", function(v) return type(v) == "table" and #v > 0 or peri.is_tensor(v) end),
  callbacks = kind("a function or a list of functions", function(v)
    if type(v) ~= "table" or is_callable(v) then return is_callable(v) end
    for _, f in ipairs(v) do if not is_callable(f) then return false end end
    return true
  end),
  monitor = kind("dev_loss, dev_accuracy, dev_r2 or train_..", function(v) return MONITORS[v] end),
  task = kind("'classification' or 'regression'", function(v) return v == "classification" or v == "regression" end),
}
check.kinds = kinds

function check.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

-- A copy of the options, each checked, in the order of their names; a note goes to the end of the known.
function check.options(where, given, known, note)
  if type(given) ~= "table" then fail("%s: the options must be a table, got %s", where, check.shown(given)) end
  local kept, names, values = {}, check.sorted_keys(given), {}
  for name, value in pairs(given) do values[tostring(name)] = value end
  for _, name in ipairs(names) do
    local want = known[name]
    if not want and internal.is_contents(given) then
      fail("%s: options are what read_csv gives third (expected: local X, y = data.read_csv(..))", where)
    end
    if not want then
      fail("%s: unknown option %s (known: %s%s)%s", where, name:sub(1, 60),
        table.concat(check.sorted_keys(known), ", "), note or "", internal.meant(name, known))
    end
    if not want.test(values[name]) then
      fail("%s: %s must be %s, got %s", where, name, want.expected, check.shown(values[name]))
    end
    kept[name] = values[name]
  end
  return kept
end

-- ---- data ----

-- X as a tensor of the model's dtype: one row an example, and `least` of them (1).
function check.rows(where, name, X, dtype, least)
  if type(X) == "table" then X = peri.tensor(X, { dtype = dtype }) end
  if not peri.is_tensor(X) then
    fail("%s: %s must be a tensor or a table of rows, got %s", where, name, check.shown(X))
  end
  if X:dim() < 2 or #X < (least or 1) then
    fail("%s: %s must have a row for each example, got %s", where, name, check.shown(X))
  end
  return X:detach():to(dtype)
end

local function whole_numbers(where, name, y)
  if y.dtype == "bool" then fail("%s: the labels in %s must be whole numbers, got %s", where, name, check.shown(y)) end
  if y.dtype:find "^float" and not (y:floor():eq(y) & y:abs():lt(2 ^ 53)):all() then
    fail("%s: the labels in %s must be whole numbers, and some are not", where, name)
  end
  return y:to "int64"
end

local function as_tensor(where, name, y, dtype)
  if type(y) == "table" then y = peri.tensor(y, { dtype = dtype }) end
  if not peri.is_tensor(y) then fail("%s: %s must be a tensor or a table, got %s", where, name, check.shown(y)) end
  return y:detach()
end

-- n whole labels as int64; floats and tables too.
function check.labels(where, name, y, n)
  y = as_tensor(where, name, y, "float64")
  if y:dim() ~= 1 or n and #y ~= n then
    fail("%s: %s must have a label for each of the %s rows, got %s", where, name, n or "", check.shown(y))
  end
  return whole_numbers(where, name, y)
end

-- n x outputs numbers; one column may come as a vector.
function check.targets(where, name, y, n, dtype)
  y = as_tensor(where, name, y, dtype)
  if y:dim() == 0 or #y ~= n then
    fail("%s: %s must have a row for each of the %d rows of X, got %s", where, name, n, check.shown(y))
  end
  return (y:dim() == 1 and y:unsqueeze(2) or y):to(dtype)
end

-- The labels that occur, ascending, as int64.
function check.classes(y)
  local seen, list = {}, {}
  for _, label in ipairs(y:totable()) do
    if not seen[label] then
      seen[label] = true
      list[#list + 1] = label
    end
  end
  table.sort(list)
  return peri.tensor(list, { dtype = "int64" })
end

-- Labels as positions in classes.
function check.positions(where, name, y, classes)
  local rank, list = {}, y:totable()
  for i, class in ipairs(classes:totable()) do rank[class] = i end
  for i, label in ipairs(list) do
    list[i] = rank[label] or fail("%s: %s has the label %d, which is not among the %d classes of the training rows",
      where, name, label, #classes)
  end
  return peri.tensor(list, { dtype = "int64" })
end

return check
