-- Networks as estimators: what train.fit gives, and Classifier and Regressor, which build their network in fit.
local peri, internal, data, loop = ...
local check = internal.check
local fail, kinds, describe = check.fail, data.kinds, check.describe

-- ---- options ----

local LOOP = {
  epochs = kinds.count, batch_size = kinds.count, shuffle = kinds.boolean, seed = kinds.seed,
  early_stopping = kinds.stopping, clip_grad_norm = kinds.positive, callbacks = kinds.callbacks,
  progress = kinds.boolean, measure_train = kinds.boolean, on_batch = kinds.callable,
}
local STOPPING = { patience = kinds.count, min_delta = kinds.from_zero, monitor = kinds.monitor }

local function joined(...)
  local all = {}
  for _, t in ipairs { ... } do
    for name, value in pairs(t) do all[name] = value end
  end
  return all
end

local FIT = joined(LOOP, {
  model = kinds.model, parameters = kinds.parameters, loss = kinds.loss, optimizer = kinds.optimizer,
  step = kinds.callable, train = kinds.pair, dev = kinds.pair, sample_weight = kinds.list,
  scheduler = kinds.steps, task = kinds.task, classes = kinds.list,
})
local NOTE = "; parameters of build are named in params = {name = value, ..}"
local CLASSIFIER = joined(LOOP, { build = kinds.build, loss = kinds.loss, params = kinds.table })
local DEFAULTS = { epochs = 10, batch_size = 32, shuffle = true, measure_train = false }

local function with_defaults(options)
  for name, value in pairs(DEFAULTS) do
    if options[name] == nil then options[name] = value end
  end
  local callbacks = options.callbacks
  if callbacks == nil or kinds.callable.read(callbacks) then
    options.callbacks = { callbacks }
  else
    options.callbacks = table.move(callbacks, 1, #callbacks, 1, {})
  end
  return options
end

local function check_stopping(where, stopping, has_dev, classifies)
  if not stopping then return nil end
  stopping = check.options(where .. ": early_stopping", stopping, STOPPING)
  local monitor = stopping.monitor
  if monitor and monitor:find "^dev" and not has_dev then
    fail("%s: early_stopping.monitor is %s but there is no dev set", where, monitor)
  end
  if monitor and monitor:find(classifies and "_r2$" or "_accuracy$") then
    fail("%s: early_stopping.monitor is %s, which %s does not have", where, monitor,
      classifies and "classification" or "regression")
  end
  return stopping
end

-- ---- preparing a training ----

local function class_name(x) return type(x) == "userdata" and tostring(x):match "^%w+" end

-- Labels or numbers: by the loss where it takes only one of them, else by the dtype of y.
local function is_classification(options)
  if options.task then return options.task == "classification" end
  local loss, y = class_name(options.loss), options.train[2]
  if loss == "MSELoss" then return false end
  if type(y) == "table" then y = peri.tensor(y) end
  if not peri.is_tensor(y) or y:dim() ~= 1 then return false end
  if loss == "CrossEntropyLoss" or y.dtype == "int64" then return true end
  return type(options.train[2]) == "table" and (y:floor():eq(y)):all()
end

local function float_dtype(X) return peri.is_tensor(X) and X.dtype:find "^float" and X.dtype or "float32" end

-- A function of x, and the tensors that it works with, as a layer.
local Plain = {}
Plain.__index = Plain

function Plain:__call(x) return self.f(x) end
function Plain:parameters() return self.tensors end
function Plain.train() end
function Plain.eval() end

function Plain:state_dict()
  local state = {}
  for i, p in ipairs(self.tensors) do state[i] = p:detach():clone() end
  return state
end

function Plain:load_state_dict(state)
  peri.no_grad(function()
    for i, p in ipairs(self.tensors) do p:copy_(state[i]) end
  end)
end

local function layer_of(where, options)
  if type(options.model) == "function" then
    local tensors = table.move(options.parameters or {}, 1, #(options.parameters or {}), 1, {})
    if options.early_stopping and #tensors == 0 then
      fail("%s: early_stopping brings parameters back, and the model is a function (expected parameters)", where)
    end
    return setmetatable({ f = options.model, tensors = tensors }, Plain), tensors
  end
  if options.parameters then fail("%s: parameters is for a model that is a function", where) end
  local parameters = options.model:parameters()
  if #parameters == 0 then fail("%s: the model has no parameters", where) end
  return options.model, parameters
end

-- Rows that are listed of a tensor or a table.
local function rows_of(values, index)
  if peri.is_tensor(values) then return values[peri.tensor(index, { dtype = "int64" })] end
  local list = {}
  for i, row in ipairs(index) do list[i] = values[row] end
  return list
end

-- train and its weights, without the rows of weight 0; what cannot be taken apart is left for the checks to name.
local function weighted_rows(where, set, weights, dtype)
  local n, index, kept = #data.rows(where, "train's X", set[1], dtype), {}, {}
  for row, w in ipairs(data.weights(where, weights, n)) do
    if w > 0 then index[#index + 1], kept[#kept + 1] = row, w end
  end
  local y = set[2]
  if #index == n or not ((peri.is_tensor(y) and y:dim() > 0 or type(y) == "table") and #y == n) then
    return set, kept
  end
  return { rows_of(set[1], index), rows_of(y, index) }, kept
end

local function prepare_set(where, name, set, self, weights)
  local X = data.rows(where, name .. "'s X", set[1], self.dtype)
  local w = weights and peri.tensor(weights, { dtype = self.dtype })
  if not self.classes then
    local y = data.targets(where, name .. "'s y", set[2], #X, self.dtype)
    return { X = X, y = y, w = w, total = loop.spread(y, w) }
  end
  local labels = data.labels(where, name .. "'s y", set[2], #X)
  return { X = X, y = data.positions(where, name .. "'s y", labels, self.classes), w = w }
end

-- The loss of each element, which weights multiply.
local function elements_of(where, loss)
  local name = class_name(loss)
  if name == "CrossEntropyLoss" or name == "MSELoss" then return peri.nn[name] { reduction = "none" } end
  fail("%s: sample_weight is for CrossEntropyLoss and MSELoss, the loss is %s", where, name or describe(loss))
end

-- Some rows through the model and the loss: what they give must fit the targets.
local function check_scores(where, job, classes)
  local scores, y, loss = loop.try(job)
  if not peri.is_tensor(scores) then
    fail("%s: the model gives %s (expected a tensor, a row of scores for each of x)", where, describe(scores))
  end
  if classes and (scores:dim() ~= 2 or scores:size(2) ~= #classes) then
    fail("%s: the model gives %s for %d rows, but there are %d classes (expected %dx%d)", where,
      check.shape(scores), #y, #classes, #y, #classes)
  end
  if not classes and check.shape(scores) ~= check.shape(y) then
    fail("%s: the model gives %s for %d rows, but these rows of y are %s", where, check.shape(scores), #y,
      check.shape(y))
  end
  local value = loss()
  if not peri.is_tensor(value) or value:numel() ~= 1 then
    fail("%s: the loss gives %s (expected a tensor of one number: reduction 'mean' or 'sum')", where, describe(value))
  end
end

-- An optimizer of another network would train that one, and a schedule of another optimizer do nothing.
local function check_optimizer(where, options, parameters)
  local optimizer, scheduler = options.optimizer, options.scheduler
  if options.step or peri.type(optimizer) ~= "optimizer" then return end
  if #parameters > 0 and not internal.optim.holds(optimizer, parameters) then
    fail("%s: optimizer holds none of the model's parameters (expected one of model:parameters(), and made after " ..
      "model:to(dtype))", where)
  end
  if peri.type(scheduler) == "schedule" and not internal.optim.drives(scheduler, optimizer) then
    fail("%s: scheduler is of another optimizer (expected one that was made with optimizer)", where)
  end
end

-- ---- a training that an error has ended ----

local left -- of the last: self, what its loop had come to, and the error; then the estimator that is made of it

-- Runs the loop. An error leaves what there is behind; that of Ctrl-C says so, others are the script's own.
local function run(self, job)
  local so_far = {}
  left = nil
  local _ <close> = setmetatable({}, {
    __close = function(_, problem)
      if problem == nil or not so_far.result then return end
      left = { self = self, so_far = so_far, problem = problem }
      if type(problem) == "string" and problem:find "interrupted!?$" then
        local message = ("%s in epoch %d of %d (train.unfinished() gives what was trained until then)"):format(problem,
          #so_far.result.states + 1, job.epochs)
        error(message, 0)
      end
    end,
  })
  return loop.run(job, so_far)
end

-- Trains self.model, and puts the history and classes into self; options are checked.
local function train(where, self, options)
  local model, parameters = layer_of(where, options)
  check_optimizer(where, options, parameters)
  local dtype = parameters[1] and parameters[1].dtype or float_dtype(options.train[1])
  self.model, self.dtype, self.classes = model, dtype, nil
  local set, weights = options.train, nil
  if options.sample_weight then set, weights = weighted_rows(where, set, options.sample_weight, dtype) end
  local y = set[2]
  local classifies = is_classification(options)
  if classifies then
    local n = #data.rows(where, "train's X", set[1], dtype)
    local given = options.classes
    self.classes = data.classes(data.labels(where, given and "classes" or "train's y", given or y, not given and n))
    if #self.classes < 2 then fail("%s: train's y has one label alone, %d", where, self.classes[1]) end
  end
  self.flat = not classifies and (type(y) == "table" and type(y[1]) ~= "table" or peri.is_tensor(y) and y:dim() == 1)
  local job = joined(options, { model = model, parameters = parameters, classes = self.classes })
  job.loss = job.loss or (classifies and peri.nn.CrossEntropyLoss() or peri.nn.MSELoss())
  job.measure_train = job.measure_train or job.step ~= nil
  job.train = prepare_set(where, "train", set, self, weights)
  job.elements = weights and elements_of(where, job.loss)
  job.dev = options.dev and prepare_set(where, "dev", options.dev, self)
  job.early_stopping = check_stopping(where, options.early_stopping, job.dev, classifies)
  check_scores(where, job, self.classes)
  return joined(self, run(self, job))
end

-- ---- fitted estimators ----

local methods = {}

local function fitted(self, where)
  check.called(where, type(self) == "table" and type(self._class) == "string", self, ("m:%s(...)"):format(where))
  if not self.model then fail("%s: the %s is not fitted", where, self._class) end
  return self
end

local function classifier(self, where)
  if not fitted(self, where).classes then fail("%s: this is a regression, which has no classes", where) end
  return self
end

local function scores_of(self, where, X)
  return loop.forward(self.model, data.rows(where, "X", X, self.dtype, 0))
end

function methods.predict(self, X)
  local scores = scores_of(fitted(self, "predict"), "predict", X)
  if self.classes then return self.classes[scores:argmax(2)] end
  return self.flat and scores:flatten() or scores
end

function methods.predict_proba(self, X)
  return peri.no_grad(function() return scores_of(classifier(self, "predict_proba"), "predict_proba", X):softmax(2) end)
end

function methods.decision_function(self, X)
  local scores = scores_of(classifier(self, "decision_function"), "decision_function", X)
  if #self.classes > 2 then return scores end
  return scores[{ {}, 2 }] - scores[{ {}, 1 }]
end

function methods.score(self, X, y)
  fitted(self, "score")
  X = data.rows("score", "X", X, self.dtype)
  if self.classes then
    local labels = data.labels("score", "y", y, #X)
    return internal.data.accuracy(methods.predict(self, X), labels:contiguous())
  end
  local targets = data.targets("score", "y", y, #X, self.dtype)
  local scores = loop.forward(self.model, X)
  if scores:numel() ~= targets:numel() then
    fail("score: y has shape %s (expected %s)", check.shape(targets), check.shape(scores))
  end
  return internal.data.r_squared_of((scores - targets):to("float64"):square():sum():item(), loop.spread(targets))
end

function methods.plot(self, options) return peri.plot and internal.view("history", fitted(self, "plot"), options) end

-- ---- unfitted ones ----

-- A Classifier or Regressor that one of its methods was called on.
local function unfitted(self, call)
  local ours = type(self) == "table" and type(self._options) == "table" and type(self._new) == "function"
  return check.called(call:match "^%a+", ours, self, "m:" .. call)
end

-- The options again, in a table of its own.
function methods.params(self)
  unfitted(self, "params()")
  local options = joined(self._options)
  for _, name in ipairs { "params", "early_stopping" } do
    options[name] = options[name] and joined(options[name])
  end
  return options
end

function methods.clone(self, changes)
  unfitted(self, "clone(changes)")
  local options = methods.params(self)
  if changes ~= nil then check.read("clone", "changes", changes, kinds.table) end
  for _, name in ipairs(check.sorted_keys(changes or {})) do
    if options.params[name] ~= nil and not CLASSIFIER[name] then
      options.params[name] = changes[name]
    else
      options[name] = changes[name]
    end
  end
  return self._new(options)
end

local FIT_METHOD = { dev = kinds.pair, progress = kinds.boolean, sample_weight = kinds.list }

-- What the network is built for: its sizes beside the caller's own numbers.
local function build_arguments(self, X, y)
  local p = joined(self._options.params)
  p.n_features = X:size(-1)
  if self._class == "Classifier" then
    p.n_classes = #data.classes(data.labels("fit", "y", y, #X))
  else
    p.n_outputs = data.targets("fit", "y", y, #X, X.dtype):size(2)
  end
  return p
end

function methods.fit(self, X, y, given)
  unfitted(self, "fit(X, y)")
  local call = check.options("fit", given or {}, FIT_METHOD)
  local options = with_defaults(check.options("fit", methods.params(self), CLASSIFIER))
  if not options.build then fail "fit: the estimator's build is gone (fields have been changed)" end
  local rows = data.rows("fit", "X", X, float_dtype(X))
  local p = build_arguments(self, rows, y)
  if options.seed then peri.manual_seed(options.seed) end
  local model, optimizer, scheduler = options.build(p)
  if not kinds.layer.read(model) then fail("fit: build gave %s first (expected a layer)", describe(model)) end
  if not kinds.optimizer.read(optimizer) then
    fail("fit: build gave %s second (expected an optimizer)", describe(optimizer))
  end
  if scheduler ~= nil and not kinds.steps.read(scheduler) then
    fail("fit: build gave %s third (expected a schedule)", describe(scheduler))
  end
  if call.progress ~= nil then options.progress = call.progress end
  model:eval() -- the mode that it is in after the training
  local result = train("fit", { _class = self._class, _options = self._options, _new = self._new }, joined(options, {
    model = model, optimizer = optimizer, scheduler = scheduler, train = { X, y }, dev = call.dev,
    sample_weight = call.sample_weight,
    task = self._class == "Classifier" and "classification" or "regression",
  }))
  for name in pairs(self) do self[name] = nil end
  for name, value in pairs(result) do self[name] = value end
  return self
end

for name, method in pairs(methods) do
  if name ~= "fit" then methods[name] = check.guard(name, method) end -- which calls the script's functions
end

-- ---- classes ----

-- "trained 12 epochs (early_stopping), best 7; train_loss 0.21, dev_accuracy 0.93": measures of the epoch whose
-- parameters the model has
local function history_text(self)
  local final = {}
  for name, value in pairs(self) do
    if peri.is_tensor(value) and value.dtype == "float64" then
      final[name] = value[not self.best and self.best_epoch or -1]
    end
  end
  local best = self.best_epoch and (", best %d"):format(self.best_epoch) or ""
  local measures = table.concat(data.measures(final, "%s %s"), ", ")
  return ("trained %d %s (%s)%s%s"):format(self.epochs, self.epochs == 1 and "epoch" or "epochs", self.stopped, best,
    measures ~= "" and "; " .. measures or "")
end

local function text(self)
  if not self._options then return history_text(self) end
  local parts = {}
  for _, name in ipairs(check.sorted_keys(self._options)) do
    local value = self._options[name]
    if type(value) == "number" or type(value) == "boolean" then
      parts[#parts + 1] = ("%s = %s"):format(name, tostring(value))
    end
  end
  for _, name in ipairs(check.sorted_keys(self._options.params)) do
    parts[#parts + 1] = ("%s = %s"):format(name, tostring(self._options.params[name]))
  end
  return ("%s{%s}%s"):format(self._class, table.concat(parts, ", "), self.model and ", " .. history_text(self) or "")
end

local function new_class(name)
  local class = { __name = name, __tostring = check.guard("tostring", text) }
  class.__index = class
  return class
end

local classes = { Fitted = new_class "Fitted", Classifier = new_class "Classifier", Regressor = new_class "Regressor" }

local function constructor(name)
  local function new(given)
    local options = check.options(name, given or {}, CLASSIFIER, NOTE)
    if not options.build then
      fail("%s: option build is missing (expected %s)", name, kinds.build.expected)
    end
    check_stopping(name, options.early_stopping, true, name == "Classifier")
    options.params = joined(options.params or {})
    options.early_stopping = options.early_stopping and joined(options.early_stopping)
    return setmetatable({ _class = name, _options = options, _new = new }, classes[name])
  end
  return new
end

-- Tensors are made only now: right after the error Ctrl-C may not be over.
local function unfinished()
  if left and not left.made then
    left.made = setmetatable(joined(left.self, loop.unfinished(left.so_far, left.problem)), classes[left.self._class])
    left.so_far = nil
  end
  return left and left.made
end

local function fit(given)
  local options = check.options("fit", check.table("fit", given), FIT)
  for _, name in ipairs { "model", "train", not options.step and "optimizer" or nil } do
    if not options[name] then fail("fit: option %s is missing (expected %s)", name, FIT[name].expected) end
  end
  if options.step and options.clip_grad_norm then fail "fit: clip_grad_norm cannot change what step does" end
  return setmetatable(train("fit", { _class = "Fitted" }, with_defaults(options)), classes.Fitted)
end

return {
  fit = fit, unfinished = unfinished, Classifier = constructor "Classifier", Regressor = constructor "Regressor",
  classes = classes, methods = methods,
}
