-- peri.model: pipelines, and how models are described, for files (model/files.lua), hosts and C (model/export.lua).
local peri, internal = ...
local check, model = internal.check, internal.model
local fail, describe = check.fail, check.describe

local models = {}

-- ---- what steps are ----

-- The fields of fitted transforms that files hold, and their options as one would write them.
local function flag(value) return value and "true" or "false" end
local TRANSFORMS = {
  StandardScaler = {
    fields = { "mean", "scale", "var" },
    options = function(t) return ("mean = %s, std = %s"):format(flag(t.with_mean), flag(t.with_std)) end,
  },
  MinMaxScaler = {
    fields = { "min", "max", "range", "scale" },
    options = function(t) return ("low = %.17g, high = %.17g, clip = %s"):format(t.low, t.high, flag(t.clip)) end,
  },
  PCA = {
    fields = { "components", "singular_values", "deviation", "explained_variance", "explained_variance_ratio", "mean" },
    options = function(t)
      return ("%swhiten = %s"):format(t.asked and ("components = %.17g, "):format(t.asked) or "", flag(t.whiten))
    end,
  },
}

local function transform_of(value)
  local row = type(value) == "table" and TRANSFORMS[check.field(value, "name")]
  return row and check.has_method(value, "transform") and row or nil
end

local is_machine = model.is_machine

local TRANSFORM = "a transform, as data.StandardScaler(), MinMaxScaler() or PCA()"
local ESTIMATOR = "an estimator: a machine, as svm.SVC(), or what train gives"

-- What train gives, or one of its estimators.
local function is_network(value) return type(value) == "table" and type(rawget(value, "_class")) == "string" end

-- ---- descriptions ----

local function sizes(list) return "{" .. table.concat(list, ", ") .. "}" end

local function put(tensors, step, name, value) tensors[("%d.%s"):format(step, name)] = value end

local function describe_transform(operation, t, row, step, tensors)
  if not t.n_features then fail("%s: the %s is not fitted", operation, t.name) end
  for _, field in ipairs(row.fields) do put(tensors, step, field, t[field]) end
  return ("%s{%s}"):format(t.name, row.options(t))
end

-- The names of what a fitted machine shows.
local function fields_of(name)
  for _, row in ipairs(peri.svm.machines()) do
    if row.name == name then return row.fields end
  end
end

-- All that a machine is made of, by name.
local function arrays_of(m, name)
  local arrays = {}
  for _, field in ipairs(fields_of(name)) do
    local value = m[field] -- an error when m is not fitted
    if type(value) == "number" then value = peri.tensor(value, { dtype = "float64" }) end
    if peri.is_tensor(value) then arrays[field] = value end
  end
  for i, size in ipairs { "n", "d" } do arrays[size] = peri.tensor(m.shape_fit[i], { dtype = "float64" }) end
  return arrays
end

-- A machine like m with some other arrays.
function model.change(m, name, changes)
  local arrays, svm = arrays_of(m, name), peri.svm -- which fills internal.machines
  for field, value in pairs(changes) do arrays[field] = value end
  return internal.machines[name].restore(svm[name](m:params()), arrays)
end

local function describe_machine(operation, m, step, tensors)
  local text, name = model.machine(m, operation)
  for field, value in pairs(arrays_of(m, name)) do put(tensors, step, field, value) end
  return text
end

local function describe_network(operation, net, step, tensors)
  local text = model.network(operation, net)
  if not text then return nil end
  for name, value in pairs(net:state_dict()) do put(tensors, step, name, value) end
  return text
end

local WHOLE = check.whole_from(1)

-- The options of a model around a network: what its scores are, and the sizes of a row.
local function head(operation, m, input, tensors)
  local words = {}
  if is_network(m) then
    words[1] = m.classes and "task = 'classes'" or "task = 'numbers'"
    if m.classes then tensors.classes = m.classes end
    if m.flat then words[2] = "flat = true" end
    input = input or m.input
  end
  if input then
    for i, size in ipairs(input) do check.read(operation, ("entry %d of input"):format(i), size, WHOLE) end
    words[#words + 1] = "input = " .. sizes(input)
  end
  return words
end

local EXPECTED =
  "a network of built-in layers, a machine, what train gives, or a pipeline of transforms and one of these"

local function describe_last(operation, m, step, tensors, options)
  if is_machine(m) then
    if options.input then fail("%s: input is an option of networks", operation) end
    return describe_machine(operation, m, step, tensors), {}
  end
  local net = m
  if is_network(m) then
    if not m.model then fail("%s: the %s is not fitted", operation, m._class) end
    net = m.model
  end
  local text = describe_network(operation, net, step, tensors)
  if not text then check.must_be(operation, "m", m, EXPECTED) end
  return text, head(operation, m, options.input, tensors)
end

local Pipeline = { __name = "pipeline" }
-- Methods; and of the last step what scores ask for.
function Pipeline.__index(self, key)
  local value = rawget(Pipeline, key)
  if value ~= nil or key ~= "classes" then return value end
  local step = self.steps[#self.steps]
  return check.has(step, "classes") and step.classes or nil
end

-- The description of m, and its tensors by name.
local function describe_model(operation, m, options)
  local steps, parts, tensors = { m }, {}, {}
  if getmetatable(m) == Pipeline then steps = m.steps end
  for i = 1, #steps - 1 do
    parts[i] = describe_transform(operation, steps[i], transform_of(steps[i]), i, tensors)
  end
  local text, words = describe_last(operation, steps[#steps], #steps, tensors, options or {})
  parts[#parts + 1] = text
  table.move(words, 1, #words, #parts + 1, parts)
  return ("Model{%s}"):format(table.concat(parts, ", ")), tensors
end
model.describe = describe_model

-- ---- pipelines ----

internal.set_class("model.pipeline", "Methods of pipelines", Pipeline)

local function method(name, call, f)
  return check.guard(name, function(self, ...)
    check.called(name, getmetatable(self) == Pipeline, self, "m:" .. call)
    return f(self, ...)
  end)
end

function Pipeline:__tostring()
  local words = {}
  for i, step in ipairs(self.steps) do words[i] = tostring(step) end
  return "pipeline{" .. table.concat(words, ", ") .. "}"
end

local function last(self, name)
  local step = self.steps[#self.steps]
  if not check.has_method(step, name) then fail("%s: %s has no %s", name, describe(step), name) end
  return step
end

local function transform(self, X)
  for i = 1, #self.steps - 1 do X = self.steps[i]:transform(X) end
  return X
end

for name, doc in pairs {
  predict = [[
m:predict(X) -> tensor
What the last step predicts for the rows of X, after they went through the transforms before it.
Errors: as those of the steps.]],
  predict_proba = [[
m:predict_proba(X) -> tensor
The last step's probabilities, likewise.
Errors: as those of the steps; a last step that has none.]],
  decision_function = [[
m:decision_function(X) -> tensor
The last step's decisions, likewise.
Errors: as those of the steps; a last step that has none.]],
} do
  internal.document(name, doc, method(name, name .. "(X)", function(self, X)
    local step = last(self, name)
    return step[name](step, transform(self, X))
  end), Pipeline)
end

internal.document("score", [[
m:score(X, y) -> number
The last step's score for the rows of X, after they went through the transforms before it.
Errors: as those of the steps.]], method("score", "score(X, y)", function(self, X, y)
  return last(self, "score"):score(transform(self, X), y)
end), Pipeline)

internal.document("transform", [[
m:transform(X) -> tensor
X after all transforms, as the last step gets it.
Errors: as those of the steps.]], method("transform", "transform(X)", transform), Pipeline)

internal.document("fit", [[
m:fit(X, y, options) -> m
Fits each transform on what the one before it gives for X, then the last step, which gets y and the options.
Errors: as those of the steps, which are then fitted as far as it went.]],
  method("fit", "fit(X, y)", function(self, X, y, options)
    local step = last(self, "fit")
    for i = 1, #self.steps - 1 do X = self.steps[i]:fit(X):transform(X) end
    step:fit(X, y, options)
    return self
  end), Pipeline)

-- ---- options of all steps ----

-- The name of each step: its kind, and of the second of a kind on its number, too (PCA, PCA2).
local function names_of(steps)
  local names, count = {}, {}
  for i, step in ipairs(steps) do
    local kind = is_network(step) and step._class or tostring(step):match "^%a+"
    count[kind] = (count[kind] or 0) + 1
    names[i] = kind .. (count[kind] > 1 and count[kind] or "")
  end
  return names
end

internal.document("params", [[
m:params() -> table
The options of all steps, by names as 'PCA.components': the step's kind (of a second PCA: PCA2) and its option.
Errors: a last step that train.fit gave, which has none.]], method("params", "params()", function(self)
  last(self, "params")
  local params, names = {}, names_of(self.steps)
  for i, step in ipairs(self.steps) do
    for option, value in pairs(step:params()) do params[names[i] .. "." .. option] = value end
  end
  return params
end), Pipeline)

-- {step = {option = value}} of {["step.option"] = value}, by position.
local function changes_by_step(names, changes)
  local by_step, at = {}, {}
  for i, name in ipairs(names) do by_step[i], at[name] = {}, i end
  for name in pairs(changes) do
    if type(name) ~= "string" then fail("clone: changes must have names, got the key %s", describe(name)) end
  end
  for _, name in ipairs(check.sorted_keys(changes)) do
    local step, option = name:match "^(.-)%.(.*)$"
    if not at[step] then
      fail("clone: changes has '%s' (expected STEP.OPTION, where STEP is one of %s)", name, table.concat(names, ", "))
    end
    by_step[at[step]][option] = changes[name]
  end
  return by_step
end

internal.document("clone", [[
m:clone(changes) -> pipeline
A new pipeline of clones of the steps, none of them fitted; changes = {['SVC.C'] = 10, ['PCA.components'] = 2, ..}
replaces some of params. So select.grid_search{estimator = m, params = {['SVC.C'] = {1, 10}}, ..} searches the options
of all steps, with transforms that are fitted within each fold.
Errors: names of no step; those of the steps' clone; a last step that train.fit gave, which has none.]],
  method("clone", "clone(changes)", function(self, changes)
    last(self, "clone")
    if changes ~= nil then check.read("clone", "changes", changes, check.kinds.table) end
    local by_step, steps = changes_by_step(names_of(self.steps), changes or {}), {}
    for i, step in ipairs(self.steps) do steps[i] = step:clone(by_step[i]) end
    return setmetatable({ steps = steps }, Pipeline)
  end), Pipeline)

internal.document("pipeline", [[
model.pipeline{transform, .., estimator} -> pipeline
Transforms of features (data.StandardScaler, MinMaxScaler, PCA) and what learns from them (a machine of svm,
train.Classifier, Regressor, what train.fit gives) as one: it fits, predicts, is cloned, searched (select) and saved
(save_model) as a whole. The steps stay the objects that were given, fitted or not: m.steps. m.classes are the last's.
Errors: another order or kind of steps.]], function(steps)
  check.read("pipeline", "steps", steps, check.kinds.table)
  local list = {}
  for i, step in ipairs(steps) do
    local wanted = i < #steps and TRANSFORM or ESTIMATOR
    local good
    if i < #steps then good = transform_of(step) else good = is_machine(step) or is_network(step) end
    if not good then check.must_be("pipeline", ("step %d"):format(i), step, wanted) end
    list[i] = step
  end
  if #list == 0 then fail "pipeline: there are no steps (expected transforms, then an estimator)" end
  return setmetatable({ steps = list }, Pipeline)
end, models)

-- ---- C ----

internal.document("fewer_vectors", [[
model.fewer_vectors(m, most) -> machine
A machine with a kernel (rbf, poly, sigmoid) on at most so many of its support vectors, for small targets: those that
span the others best, with coefficients whose function is nearest to m's. It predicts, is saved and becomes C as m does;
what that costs is to be measured on rows that m has not seen. m itself where it has no more.
Errors: another kind of machine, not fitted; fewer vectors than classes.
Source: C. J. C. Burges, Simplified support vector decision rules, ICML 1996.]], function(...)
  local fewer = internal.load("model.fewer", peri, internal)
  return fewer(...)
end, models)

internal.document("export_c", [[
model.export_c(path, m, {prefix = 'model', number = 'model', input =}) -> {flash =, ram =}
Writes a model as one C99 file, path (which ends with .c), and its header beside it: const arrays, no memory taken, no
library, PREFIX_score(x, out) for a row and, where there are classes, PREFIX_label(x). m and input: as save_model takes
them. Bits are the runtime's where the target multiplies and adds in one instruction (of machines: for linear ones, and
kernels of up to 8 features; decisions of pairs stand in the order (1,2), (1,3), ..). flash and ram are the bytes of the
arrays and of the buffers, which a comment says too. `perilune export MODEL --c FILE.c` does the same with a file of
save_model.
number: 'model', networks in their own dtype, machines in double; 'float', all in float; 'int8', the weights of a
network as 8-bit numbers with a scale for each output.
Layers: Linear, convolutions and pooling of one and two dimensions, batch norm, elementwise activations but Mish and
PReLU, Dropout, Flatten, Identity.
Errors: layers without such a form, by name; machines of given kernel values; files that cannot be
written.]], function(...)
  local export = internal.load("model.export", peri, internal)
  return export(...)
end, models)

-- What model/files.lua makes of a file.
model.transforms = TRANSFORMS
function model.new_pipeline(steps) return setmetatable({ steps = steps }, Pipeline) end

return models
