-- What comes into training: kinds of options, and checks of data.
local peri, internal, input = ...
local check = internal.check
local fail, has_method = check.fail, check.has_method

local data = { weights = input.weights }

-- The measures of an epoch in words.
function data.measures(state, form)
  local parts = {}
  for _, set in ipairs { "train_", "dev_" } do
    local names = { set .. "loss", set .. "accuracy", set .. "r2" }
    for _, name in ipairs(check.sorted_keys(state)) do
      if name:find("^" .. set) and not (" loss accuracy r2 "):find(name:sub(#set + 1), 1, true) then
        names[#names + 1] = name
      end
    end
    for _, name in ipairs(names) do
      local x = state[name]
      if x then parts[#parts + 1] = form:format(name, x ~= x and "nan" or ("%.4g"):format(x)) end
    end
  end
  return parts
end

-- ---- options ----

local function is_layer(v) return has_method(v, "parameters") and has_method(v, "state_dict") end

local function is_pair(v)
  return type(v) == "table" and v[1] ~= nil and v[2] ~= nil and not (type(v[1]) == "table" and peri.is_tensor(v[1][1]))
end

-- A list of batches: {{x, y}, ..} of tensors.
local function is_batches(v) return type(v) == "table" and type(v[1]) == "table" and peri.is_tensor(v[1][1]) end

local function are_functions(v)
  if type(v) ~= "table" then return false end
  for name, f in pairs(v) do
    local fits = type(name) == "string" and name:find "^[%a_][%w_]*$" and check.is_callable(f)
    if not fits or name == "loss" or name == "accuracy" or name == "r2" then return false end
  end
  return true
end

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
  pair = check.test("a table {X, y}", is_pair),
  train = check.test("a table {X, y}, a data.loader, a list of mini-batches {x, y}, or a function(epoch) that gives an "
    .. "iterator of them", function(v)
      return is_pair(v) or is_batches(v) or type(v) == "function" or peri.type(v) == "loader"
    end),
  metrics = check.test("a table {name = f(scores, targets), ..}, without loss, accuracy and r2", are_functions),
  ema = check.test("a decay from 0 to 1, a table {decay =} or an optim.EMA", function(v)
    return math.type(v) and v >= 0 and v <= 1 or peri.type(v) == "average" or type(v) == "table" and v.decay ~= nil
  end),
  path = check.test("the name of a file", function(v) return type(v) == "string" and v ~= "" and not v:find "%z" end),
  keep = check.test("the name of a file or a table such as {path =, monitor = 'dev_loss'}", function(v)
    return type(v) == "string" and v ~= "" and not v:find "%z" or type(v) == "table" and type(v.path) == "string"
  end),
  checkpoint = check.test("a table such as {path =, every = 100}", function(v) return type(v) == "table" end),
  state = check.test("a table {name = object, ..}", function(v)
    if type(v) ~= "table" then return false end
    for name in pairs(v) do if type(name) ~= "string" then return false end end
    return true
  end),
  list = check.test("a list or a tensor", function(v) return type(v) == "table" and #v > 0 or peri.is_tensor(v) end),
  callbacks = check.test("a function, a table of functions such as {on_step_end = f}, or a list of these", function(v)
    if type(v) ~= "table" or check.is_callable(v) then return check.is_callable(v) end
    for _, f in ipairs(v) do if type(f) ~= "table" and not check.is_callable(f) then return false end end
    return true
  end),
  task = check.one_of "classification regression", mode = check.one_of "min max",
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
  return X.dtype == dtype and not X.requires_grad and X or X:detach():to(dtype)
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

-- Weights of n rows of a mini-batch.
function data.batch_weights(where, name, w, n, dtype)
  w = as_tensor(where, name, w, dtype):to(dtype)
  if w:dim() ~= 1 or #w ~= n then fail("%s: %s has shape %s (expected %d weights)", where, name, check.shape(w), n) end
  if not (w:ge(0) & w:lt(math.huge)):all() then
    fail("%s: %s has entries that are no weights (expected finite numbers >= 0)", where, name)
  end
  return w
end

-- The labels that occur, ascending, as int64.
function data.classes(y) return (peri.unique(y)) end

-- Labels as positions in classes.
function data.positions(where, name, y, classes)
  local k = #classes
  if #y > 0 and classes[1] == 1 and classes[k] == k and y:min():item() >= 1 and y:max():item() <= k then return y end
  local rank, list = {}, y:totable()
  for i, class in ipairs(classes:totable()) do rank[class] = i end
  for i, label in ipairs(list) do
    list[i] = rank[label] or fail("%s: %s has the label %d, which is not among the %d classes of the training rows",
      where, name, label, #classes)
  end
  return peri.tensor(list, { dtype = "int64" })
end

return data
