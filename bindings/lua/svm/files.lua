-- Estimators in files: m:save(path) and svm.load(path). A safetensors file holds the machine's arrays and numbers under
-- the names of their fields, options that are numbers as "option.NAME", and words and switches as metadata.
local peri, internal, svm = ...

local function number(value) return peri.tensor(value, { dtype = "float64" }) end

local function rows()
  local by_name = {}
  for _, row in ipairs(svm.machines()) do by_name[row.name] = row end
  return by_name
end

local function save(m, path)
  local name = tostring(m):match "^%a+"
  local row, params = rows()[name], m:params()
  local tensors, metadata = {}, { perilune = "svm." .. name }
  if type(params.kernel) == "function" then
    internal.raise(name .. ".save: the kernel is a Lua function, which cannot be saved (data is never code)")
  end
  if type(path) ~= "string" then internal.raise(("%s.save: path must be a string, got %s"):format(name, type(path))) end
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

-- The options that a file gives to an estimator of this row; the names it does not know are left for the
-- constructor to refuse.
local function read_options(row, tensors, metadata)
  local options, switches, integers = {}, {}, {}
  for _, option in ipairs(row.options) do
    switches[option.name] = type(option.default) == "boolean"
    integers[option.name] = math.type(option.default) == "integer"
  end
  for name, value in pairs(metadata) do
    if name ~= "perilune" then options[name] = switches[name] and value == "true" or not switches[name] and value end
  end
  for name, tensor in pairs(tensors) do
    local option = name:match "^option%.(.+)$"
    if option then
      local value = tensor:item()
      options[option] = integers[option] and math.tointeger(value) or value
    end
  end
  local labels, weights = tensors["class_weight.labels"], tensors["class_weight.weights"]
  if labels then
    options.class_weight = {}
    for i = 1, #labels do options.class_weight[labels[i]] = weights[i] end
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
