-- Networks as estimators: what train.fit gives, and Classifier and Regressor, which build their network in fit.
local peri, internal, data, pieces = ...
local check = internal.check
local fail, kinds, describe = check.fail, data.kinds, check.describe
local prepare, loop, spread, together = pieces.prepare, pieces.loop, pieces.measures.spread, pieces.together
local forward = pieces.scores
local joined = prepare.joined

local FIT = joined(prepare.LOOP, prepare.DATA, prepare.FILES,
  { step = kinds.callable, dev = kinds.train, scheduler = kinds.steps, check = kinds.boolean })
local NOTE = "; parameters of build are named in params = {name = value, ..}"
local CLASSIFIER = joined(prepare.LOOP, { build = kinds.build, loss = kinds.loss, params = kinds.table })

-- ---- a training that an error has ended ----

local left -- of the last: self, what its loop had come to, and the error; then the estimator that is made of it

-- Runs the loop. An error leaves what there is behind; that of Ctrl-C says so, others are the script's own.
local function run(self, job)
  local so_far = {}
  if job.side then job.side.self, job.side.so_far = self, so_far end
  left = nil
  local _ <close> = setmetatable({}, {
    __close = function(_, problem)
      if problem == nil or not so_far.result then return end
      left = { self = self, so_far = so_far, problem = problem }
      if type(problem) == "string" and problem:find "interrupted!?$" then
        local message = ("%s in epoch %d of %d (train.unfinished() gives what was trained until then)"):format(problem,
          so_far.result.history.n + 1, job.epochs)
        error(message, 0)
      end
    end,
  })
  return loop.run(job, so_far)
end

-- Trains as the options say, which are checked, and gives self with the model, classes and history. side: where others
-- are trained beside it.
local function train(where, self, options, side)
  local job = prepare.job(where, self, options)
  job.side = side
  if side then side:own(job.parameters) end
  if side and job.progress == nil then job.progress = false end
  local findings = options.check and internal.load("train.lint", peri, internal).of_job(job) or nil
  return joined(self, { findings = findings }, run(self, job))
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
  return forward(self.model, data.rows(where, "X", X, self.dtype, 0))
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
  local scores = forward(self.model, X)
  if scores:numel() ~= targets:numel() then
    fail("score: y has shape %s (expected %s)", check.shape(targets), check.shape(scores))
  end
  return internal.data.r_squared_of((scores - targets):to("float64"):square():sum():item(), spread(targets))
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
  local side = together.take()
  unfitted(self, "fit(X, y)")
  local call = check.options("fit", given or {}, FIT_METHOD)
  local options = check.options("fit", methods.params(self), CLASSIFIER)
  if not options.build then fail "fit: the estimator's build is gone (fields have been changed)" end
  local rows = data.rows("fit", "X", X, prepare.float_dtype(X))
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
  }), side)
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
  if not self.epochs then return "trained (from a file)" end
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
    prepare.check_stopping(name, options.early_stopping, name == "Classifier", options.metrics)
    options.params = joined(options.params or {})
    options.early_stopping = options.early_stopping and joined(options.early_stopping)
    return setmetatable({ _class = name, _options = options, _new = new }, classes[name])
  end
  return new
end

-- Tensors are made only now: right after the error Ctrl-C may not be over.
local function unfinished()
  if left and not left.made and left.make then left.made = left.make() end
  if left and not left.made then
    left.made = setmetatable(joined(left.self, loop.unfinished(left.so_far, left.problem)), classes[left.self._class])
    left.so_far = nil
  end
  return left and left.made
end

-- What a side (together.lua) had come to when an error ended the whole.
local function partly(side, problem)
  return setmetatable(joined(side.self, loop.unfinished(side.so_far, problem)), classes[side.self._class])
end

-- An error has ended many trainings: make() gives what they had come to.
local function leave(make) left = { make = make } end

local function fit(given)
  local options = check.options("fit", check.table("fit", given), FIT)
  for _, name in ipairs { "model", "train", not options.step and "optimizer" or nil } do
    if not options[name] then fail("fit: option %s is missing (expected %s)", name, FIT[name].expected) end
  end
  return setmetatable(train("fit", { _class = "Fitted" }, options), classes.Fitted)
end

return {
  fit = fit, unfinished = unfinished, Classifier = constructor "Classifier", Regressor = constructor "Regressor",
  classes = classes, methods = methods, partly = partly, leave = leave,
}
