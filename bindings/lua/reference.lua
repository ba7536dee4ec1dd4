-- peri.reference(path): writes the reference, from the same documentation that help shows.
local peri, internal = ...
local names = internal.load("help.names", peri, internal)

-- Parts, and classes of objects that only a call gives.
local SECTIONS = {
  { class = "Tensor", "Methods of tensors that are not operations" }, { "linalg", "Linear algebra" },
  { "nn", "Layers and losses" }, { class = "nn.Module", "Methods of layers" }, { "optim", "Optimisers" },
  { "optim.lr_scheduler", "Schedules" }, { "data", "Data" }, { "svm", "Support vector machines" },
  { class = "svm.grid", "Methods of grids over C and gamma" }, { "train", "Training" },
  { class = "train.Classifier", "Methods of networks as estimators" }, { "metrics", "Metrics" },
  { class = "metrics.confusion", "Methods of confusion matrices" }, { "select", "Selecting models" },
  { class = "select.search", "Methods of searches" }, { class = "select.curve", "Methods of curves" },
  { "plot", "Pictures" }, { class = "plot.figure", "Methods of figures" }, { "run", "Records of runs" },
  { class = "run", "Methods of records" }, { "script", "Scripts" },
  { class = "script.options", "Methods of options" },
  { "report" }, -- a function of the module, which is there once it is looked for
}

-- Objects whose methods are found through them alone.
local function with_methods()
  local weight = peri.zeros(1, { requires_grad = true })
  local optimizer = peri.optim.SGD({ weight }, { lr = 1 })
  local learning = { "step", "zero_grad", "state_dict", "load_state_dict", "has" }
  return {
    optim = { { "Methods of optimisers", optimizer, learning } },
    ["optim.lr_scheduler"] = {
      {
        "Methods of schedules", peri.optim.lr_scheduler.StepLR(optimizer, { step_size = 1 }),
        { "step", "state_dict", "load_state_dict", "has" },
      },
    },
    svm = {
      {
        "Methods of machines", peri.svm.SVC(),
        {
          "fit", "predict", "predict_proba", "decision_function", "score", "save", "save_libsvm", "clone", "params",
          "release", "has",
        },
      },
      {
        "Methods of kernel approximations", peri.svm.Nystroem(),
        { "fit", "transform", "fit_transform", "clone", "params", "release", "has" },
      },
    },
  }
end

local function entry(out, text, notes)
  local signature, body = text:match "^([^\n]*)\n?(.*)$"
  out[#out + 1] = ("### `%s`\n\n%s%s\n"):format(signature, body, notes or "")
end

local function section(out, title, value, skip)
  local list = {}
  for name, item in pairs(value) do
    if type(name) == "string" and not skip[name] and peri.documentation(item) then list[#list + 1] = name end
  end
  if #list == 0 then return end
  table.sort(list)
  out[#out + 1] = ("## %s\n"):format(title)
  for _, name in ipairs(list) do entry(out, peri.documentation(value[name])) end
end

local function row_notes(op)
  local notes = {}
  if op.metamethod then notes[#notes + 1] = ("Metamethod `%s`."):format(op.metamethod) end
  if op.in_place then notes[#notes + 1] = ("In place: `%s_`."):format(op.name) end
  if op.view then notes[#notes + 1] = "A view." end
  notes[#notes + 1] = op.gradient and "Has a gradient." or "No gradient."
  return "\n\n*" .. table.concat(notes, " ") .. "*"
end

return function(path)
  local out = {
    "# Reference\n\nMade from the operation table and the documentation beside the functions: `./dev docs`.\n",
    "## Operations\n\nEach is a function of the module and, when its first argument is a tensor, a method.\n",
  }
  local rows = {}
  local ops = peri.ops()
  table.sort(ops, function(a, b) return a.name < b.name end)
  for _, op in ipairs(ops) do
    rows[op.name], rows[op.name .. "_"] = true, true
    entry(out, op.doc, row_notes(op))
  end
  for _, part in ipairs(SECTIONS) do names.find(part[1]) end -- a part may be callable itself: peri.run
  section(out, "The module", peri, rows)
  local objects = with_methods()
  for _, part in ipairs(SECTIONS) do
    local value = part.class and names.class(part.class) or names.find(part[1])
    local skip = {}
    local prefix = part.class == "Tensor" and "" or part[1] .. "."
    for name in pairs(rows) do
      if name:sub(1, #prefix) == prefix then skip[name:sub(#prefix + 1)] = true end
    end
    if type(value) == "table" then section(out, part[#part], value, skip) end
    for _, object in ipairs(objects[part[1]] or {}) do
      out[#out + 1] = ("## %s\n"):format(object[1])
      for _, name in ipairs(object[3]) do entry(out, peri.documentation(object[2][name])) end
    end
  end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(out, "\n"))
  file:close()
end
