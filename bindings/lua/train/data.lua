-- What comes into training: kinds of options, and checks of data.
local peri, internal, input = ...
local check = internal.check
local fail, has_method = check.fail, check.has_method

local data = { weights = input.weights }

-- The measures of an epoch in words.
function data.measures(state, form)
  local parts = {}
  for _, name in ipairs { "train_loss", "train_accuracy", "train_r2", "dev_loss", "dev_accuracy", "dev_r2" } do
    local x = state[name]
    if x then parts[#parts + 1] = form:format(name, x ~= x and "nan" or ("%.4g"):format(x)) end
  end
  return parts
end

-- ---- options ----

local function is_layer(v) return has_method(v, "parameters") and has_method(v, "state_dict") end

local MONITORS = "dev_loss dev_accuracy dev_r2 train_loss train_accuracy train_r2"

local kinds = setmetatable({
  count = check.whole_from(1), seed = check.whole_from(0),
  layer = check.test("a layer", is_layer),
  model = check.test("a layer or a function", function(v) return is_layer(v) or type(v) == "function" end),
  parameters = check.test("a list of one or more float tensors", function(v)
    if type(v) ~= "table" or #v == 0 then return false end
    for _, p in ipairs(v) do
      if not (peri.is_tensor(p) and p.dtype:find "^float") then return false end
    end
    return true
  end),
  loss = check.test("a loss or a function", check.is_callable),
  build = check.test("a function that gives a network and its optimizer", check.is_callable),
  optimizer = check.test("an object with methods step and zero_grad",
    function(v) return has_method(v, "step") and has_method(v, "zero_grad") end),
  steps = check.test("an object with a method step", function(v) return has_method(v, "step") end),
  stopping = check.test("a table such as {patience = 10}", function(v) return type(v) == "table" end),
  pair = check.test("a table {X, y}", function(v) return type(v) == "table" and v[1] ~= nil and v[2] ~= nil end),
  list = check.test("a list or a tensor", function(v) return type(v) == "table" and #v > 0 or peri.is_tensor(v) end),
  callbacks = check.test("a function or a list of functions", function(v)
    if type(v) ~= "table" or check.is_callable(v) then return check.is_callable(v) end
    for _, f in ipairs(v) do if not check.is_callable(f) then return false end end
    return true
  end),
  monitor = check.one_of(MONITORS), task = check.one_of "classification regression",
}, { __index = check.kinds })
data.kinds = kinds

-- ---- data ----

-- X as a tensor of the model's dtype: one row an example, and `least` of them (1).
function data.rows(where, name, X, dtype, least)
  if type(X) == "table" then X = peri.tensor(X, { dtype = dtype }) end
  if not peri.is_tensor(X) then
    check.must_be(where, name, X, "a tensor or a table of rows")
  end
  if X:dim() < 2 or #X < (least or 1) then
    fail("%s: %s has shape %s (expected a row for each example)", where, name, check.shape(X))
  end
  return X:detach():to(dtype)
end

local function whole_numbers(where, name, y)
  if y.dtype == "bool" then fail("%s: %s is bool (expected whole labels)", where, name) end
  if y.dtype:find "^float" then
    local odd = (y:floor():eq(y) & y:abs():lt(2 ^ 53)):logical_not():nonzero()
    if #odd > 0 then
      fail("%s: entry %d of %s is %s (expected a whole label)", where, odd[1], name, check.describe(y[odd[1]]))
    end
  end
  return y:to "int64"
end

local function as_tensor(where, name, y, dtype)
  if type(y) == "table" then y = peri.tensor(y, { dtype = dtype }) end
  if not peri.is_tensor(y) then check.must_be(where, name, y, "a tensor or a table") end
  return y:detach()
end

-- n whole labels as int64; floats and tables too.
function data.labels(where, name, y, n)
  y = as_tensor(where, name, y, "float64")
  if y:dim() ~= 1 or n and #y ~= n then
    fail("%s: %s has shape %s (expected %s labels)", where, name, check.shape(y), n or "a list of")
  end
  return whole_numbers(where, name, y)
end

-- n x outputs numbers; one column may come as a vector.
function data.targets(where, name, y, n, dtype)
  y = as_tensor(where, name, y, dtype)
  if y:dim() == 0 or #y ~= n then
    fail("%s: %s has shape %s (expected %d rows, as X)", where, name, check.shape(y), n)
  end
  return (y:dim() == 1 and y:unsqueeze(2) or y):to(dtype)
end

-- The labels that occur, ascending, as int64.
function data.classes(y)
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
function data.positions(where, name, y, classes)
  local rank, list = {}, y:totable()
  for i, class in ipairs(classes:totable()) do rank[class] = i end
  for i, label in ipairs(list) do
    list[i] = rank[label] or fail("%s: %s has the label %d, which is not among the %d classes of the training rows",
      where, name, label, #classes)
  end
  return peri.tensor(list, { dtype = "int64" })
end

return data
