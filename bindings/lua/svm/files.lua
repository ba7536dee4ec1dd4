-- Estimators in files: m:save(path) and svm.load(path). A safetensors file holds the machine's arrays and numbers under
-- the names of their fields, options that are numbers as "option.NAME", and words and switches as metadata.
local peri, internal, svm = ...
local check = internal.check

local function number(value) return peri.tensor(value, { dtype = "float64" }) end

local function rows()
  local by_name = {}
  for _, row in ipairs(svm.machines()) do by_name[row.name] = row end
  return by_name
end

local function save(m, path)
  local name = type(m) == "userdata" and tostring(m):match "^%a+"
  local row = rows()[name or ""]
  check.called("save", row, m, "m:save(path)")
  local params = m:params()
  local tensors, metadata = {}, { perilune = "svm." .. name }
  if type(params.kernel) == "function" then
    internal.raise(name .. ".save: the kernel is a Lua function, which cannot be saved (data is never code)")
  end
  check.read(name .. ".save", "path", path, check.kinds.string)
  for _, field in ipairs(row.fields) do
    local value = m[field] -- an error when m is not fitted
    if type(value) == "number" then value = number(value) end
    if peri.is_tensor(value) then tensors[field] = value end
  end
  tensors.n, tensors.d = number(m.shape_fit[1]), number(m.shape_fit[2])
  if peri.is_tensor(params.class_weight) or type(params.class_weight) == "table" then
    local labels, weights = {}, {}
    for label in pairs(params.class_weight) do labels[#labels + 1] = label end
    table.sort(labels)
    for i, label in ipairs(labels) do weights[i] = params.class_weight[label] end
    tensors["class_weight.labels"] = peri.tensor(labels, { dtype = "int64" })
    tensors["class_weight.weights"] = peri.tensor(weights, { dtype = "float64" })
    params.class_weight = nil
  end
  for option, value in pairs(params) do
    if type(value) == "number" then
      tensors["option." .. option] = number(value)
    else
      metadata[option] = tostring(value)
    end
  end
  peri.save(path, tensors, metadata)
end

local function refuse(message, ...) error(message:format(...), 0) end

-- {[label] = weight} from both of its tensors, which may be nil.
local function class_weight(labels, weights)
  local matching = labels and weights and labels.dtype == "int64" and weights.dtype == "float64" and labels:dim() == 1
  if not matching or weights:dim() ~= 1 or #labels ~= #weights then
    refuse "class_weight.labels and class_weight.weights do not match"
  end
  local by_label = {}
  for i = 1, #labels do
    if by_label[labels[i]] then refuse("class_weight has label %d twice", labels[i]) end
    by_label[labels[i]] = weights[i]
  end
  return by_label
end

-- The options that a file gives to an estimator of this row; the names it does not know are left for the
-- constructor to refuse.
local function read_options(row, tensors, metadata)
  local options, switches, integers = {}, {}, {}
  local function put(name, value)
    if options[name] ~= nil then refuse("option %s is there twice", name) end
    options[name] = value
  end
  for _, option in ipairs(row.options) do
    switches[option.name] = type(option.default) == "boolean"
    integers[option.name] = math.type(option.default) == "integer"
  end
  for name, value in pairs(metadata) do
    if switches[name] and value ~= "true" and value ~= "false" then
      refuse("%s is '%s' (expected true or false)", name, value)
    end
    if switches[name] then value = value == "true" end
    if name ~= "perilune" then put(name, value) end
  end
  for name, tensor in pairs(tensors) do
    local option = name:match "^option%.(.+)$"
    if option then
      if tensor.dtype ~= "float64" or tensor:dim() ~= 0 then refuse("option %s is no number", option) end
      local value = tensor:item()
      put(option, integers[option] and math.tointeger(value) or value)
    end
  end
  local labels, weights = tensors["class_weight.labels"], tensors["class_weight.weights"]
  if labels or weights then put("class_weight", class_weight(labels, weights)) end
  for _, option in ipairs(row.options) do
    if options[option.name] == nil then refuse("there is no option %s", option.name) end
  end
  for _, name in ipairs(row.also) do
    if name ~= "class_weight" and options[name] == nil then refuse("there is no option %s", name) end
  end
  return options
end

local function load(path)
  local tensors, metadata = peri.load(path)
  local name = (metadata.perilune or ""):match "^svm%.(%a+)$"
  local row = name and rows()[name]
  if not row then internal.raise(("svm.load: %s holds no estimator"):format(path)) end
  local ok, result = pcall(function()
    local m = svm[name](read_options(row, tensors, metadata))
    return internal.machines[name].restore(m, tensors)
  end)
  if ok then return result end
  internal.raise(("svm.load: %s: %s"):format(path, tostring(result):gsub("^[^:]*:%d+: ", "")))
end

return { save = save, load = load }
