-- peri.save_model and peri.load_model.
local peri, internal = ...
local check, model = internal.check, internal.model
local _ = peri.model -- which puts `describe` and what else is used here into internal.model

internal.document("save_model", [[
save_model(path, m, {input =})
Writes what was trained as a file, whole or not at all: a network (a built-in layer or a Sequential of them), a fitted
machine of svm, what train.fit gives, a fitted Classifier or Regressor, or a pipeline. The file is safetensors and holds
data alone: a description ("Sequential{Linear(2, 10, ..), Tanh(), ..}"), parameters, buffers, classes, and a checksum;
the same model gives the same bytes. load_model reads it; so do programs without Lua (perilune/model.h), with the same
bits, and `perilune export` makes C of it. A Sequential counts as in eval mode there.
input: the sizes of a row, {1, 28, 28}, where a network's first layers do not say them (convolutions); of what train has
fitted on tensors they are known.
Errors: layers written in Lua, kernels that are Lua functions, by name; what is not fitted; the file cannot be
written.]], function(path, m, options)
  check.read("save_model", "path", path, check.kinds.string)
  options = check.only("save_model", options, "input")
  if options.input ~= nil then check.read("save_model", "input", options.input, check.kinds.table) end
  model.save("save_model", path, model.describe("save_model", m, options))
end, peri)

-- The tensors that begin with a step's number, without it.
local function of_step(tensors, step)
  local prefix, found = ("%d."):format(step), {}
  for name, value in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

-- Items of a description as a constructor takes them: those by place, then those by name.
local function arguments(item)
  local list, named = {}, {}
  for key, value in pairs(item) do
    if math.type(key) then
      list[key] = value
    elseif key ~= "call" then
      named[key] = value
    end
  end
  return list, named
end

local function build_network(item)
  local list, named = arguments(item)
  if item.call == "Sequential" then
    for i, child in ipairs(list) do list[i] = build_network(child) end
    return peri.nn.Sequential(list)
  end
  if next(named) ~= nil then list[#list + 1] = named end
  return peri.nn[item.call](table.unpack(list))
end

local function build_transform(item, tensors)
  local _, options = arguments(item)
  local t = peri.data[item.call](options)
  for _, field in ipairs(model.transforms[item.call].fields) do t[field] = tensors[field] end
  if item.call == "PCA" then t.n_components = #t.components end
  t.n_features = #(t.mean or t.var or t.min)
  return t
end

local function build_machine(item, tensors)
  local _, options = arguments(item)
  local name, svm = item.call:sub(5), peri.svm -- which fills internal.machines
  return internal.machines[name].restore(svm[name](options), tensors)
end

local function build_last(item, root, tensors, alone)
  if item.call:find("svm.", 1, true) == 1 then return build_machine(item, of_step(tensors, root.step)) end
  local net = build_network(item)
  net:load_state_dict(of_step(tensors, root.step))
  net:eval()
  if alone and not root.task then return net end
  local first = net:parameters()[1]
  local dtype = first and first.dtype or "float32"
  local _ = peri.train -- which says how
  return internal.fitted_network {
    model = net, dtype = dtype, classes = tensors.classes, flat = root.flat, input = root.input,
  }
end

internal.document("load_model", [[
load_model(path) -> m
Reads what save_model has written, or a program without Lua: a network (in eval mode), a machine, a pipeline, or what
predicts as train.fit's result does, without a history. Nothing in the file is executed, and all that it claims is
checked.
Errors: a file that is missing, malformed or damaged, or holds no model.]], function(path)
  check.read("load_model", "path", path, check.kinds.string)
  local root, tensors = model.open(path)
  local steps = {}
  root.step = #root
  for i, item in ipairs(root) do
    steps[i] = model.transforms[item.call] and i < #root and build_transform(item, of_step(tensors, i))
      or build_last(item, root, tensors, #root == 1)
  end
  return #steps == 1 and steps[1] or model.new_pipeline(steps)
end, peri)
