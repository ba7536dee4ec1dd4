-- From the options of a training to the job that the loop runs: what they are checked for, and made of.
local peri, internal, data, parts = ...
local check = internal.check
local fail, kinds, describe = check.fail, data.kinds, check.describe
local measures, checkpoint, loop, batches = parts.measures, parts.checkpoint, parts.loop, parts.batches

local prepare = {}

-- ---- options ----

-- Of all trainings; of fit alone are those that name a file or hold what the script has made.
prepare.LOOP = {
  epochs = kinds.count, batch_size = kinds.count, shuffle = kinds.boolean, seed = kinds.seed,
  early_stopping = kinds.stopping, clip_grad_norm = kinds.positive, clip_grad_value = kinds.positive,
  accumulate = kinds.count, ema = kinds.ema, metrics = kinds.metrics, callbacks = kinds.callbacks,
  progress = kinds.boolean, measure_train = kinds.boolean, on_batch = kinds.callable,
}
prepare.DATA = {
  model = kinds.model, parameters = kinds.parameters, loss = kinds.loss, optimizer = kinds.optimizer,
  train = kinds.train, sample_weight = kinds.list, task = kinds.task, classes = kinds.list,
}
prepare.FILES = { checkpoint = kinds.checkpoint, resume = kinds.path, keep_best = kinds.keep, state = kinds.state }

local STOPPING = { patience = kinds.count, min_delta = kinds.from_zero, monitor = kinds.string, mode = kinds.mode }
local KEEPING = { path = kinds.path, monitor = kinds.string, mode = kinds.mode }
local WRITING = { path = kinds.path, every = kinds.count, epochs = kinds.count }
local DEFAULTS = { epochs = 10, batch_size = 32, shuffle = true, measure_train = false, accumulate = 1 }

prepare.DEFAULTS = DEFAULTS

local joined = internal.joined
prepare.joined = joined

-- What is to be called, by the name of the moment.
local MOMENTS = { "on_epoch_begin", "on_epoch_end", "on_step_begin", "on_step_end", "on_batch" }

local function hooks_of(where, callbacks, on_batch)
  local hooks = {}
  local function add(name, f)
    hooks[name] = hooks[name] or {}
    table.insert(hooks[name], f)
  end
  if on_batch then add("on_batch", on_batch) end
  for i, callback in ipairs(callbacks) do
    if check.is_callable(callback) then
      add("on_epoch_end", callback)
    else
      local found = false
      for _, name in ipairs(MOMENTS) do
        local f = check.field(callback, name)
        if f ~= nil then
          check.read(where, ("callbacks: %s of callback %d"):format(name, i), f, kinds.callable)
          add(name, function(state) return f(state, callback) end)
          found = true
        end
      end
      for _, name in ipairs(check.sorted_keys(callback)) do
        if name:find "^on_" and not check.one_of(MOMENTS).read(name) then
          fail("%s: callbacks: unknown function %s (known: %s)%s", where, name, table.concat(MOMENTS, ", "),
            internal.meant(name, MOMENTS))
        end
      end
      if not found then
        fail("%s: callback %d has no function to call (expected one of %s)", where, i, table.concat(MOMENTS, ", "))
      end
    end
  end
  return hooks
end

local function with_defaults(where, options)
  options = joined(DEFAULTS, options)
  local callbacks = options.callbacks
  local one = callbacks ~= nil and (check.is_callable(callbacks) or #callbacks == 0 and next(callbacks) ~= nil)
  if one then callbacks = { callbacks } end
  callbacks = callbacks or {}
  options.callbacks = table.move(callbacks, 1, #callbacks, 1, {})
  options.hooks = hooks_of(where, options.callbacks, options.on_batch)
  local metrics = {}
  for _, name in ipairs(check.sorted_keys(options.metrics or {})) do
    metrics[#metrics + 1] = { name = name, f = options.metrics[name] }
  end
  options.metrics = metrics
  return options
end

-- The measures that an epoch will have, by name.
local function monitors(job)
  local names = {}
  for _, set in ipairs { "train_", job.dev and "dev_" or nil } do
    for _, name in ipairs { "loss", job.classes and "accuracy" or "r2" } do names[#names + 1] = set .. name end
    for _, metric in ipairs(job.metrics) do names[#names + 1] = set .. metric.name end
  end
  return names
end

-- What watches a measure: of early stopping, or of the file of the best.
local function check_watch(where, name, given, known, has_dev, classifies, available)
  if not given then return nil end
  local watch = check.options(where .. ": " .. name, given, known)
  local monitor = watch.monitor
  if not monitor then return watch end
  if monitor:find "^dev_" and not has_dev then
    fail("%s: %s.monitor is %s but there is no dev set", where, name, monitor)
  end
  if monitor == "dev_r2" or monitor == "train_r2" or monitor:find "_accuracy$" then
    if classifies == (monitor:find "_r2$" ~= nil) then
      fail("%s: %s.monitor is %s, which %s does not have", where, name, monitor,
        classifies and "classification" or "regression")
    end
  elseif available then
    check.choice(where .. ": " .. name, "monitor", monitor, available)
  end
  if not monitor:find "_loss$" and not monitor:find "_accuracy$" and not monitor:find "_r2$" and not watch.mode then
    fail("%s: %s.mode is missing (expected 'min' or 'max': which values of %s are better)", where, name, monitor)
  end
  return watch
end

-- Early stopping as the options of an estimator say it, before there are data.
function prepare.check_stopping(where, given, classifies, metrics)
  local names = {}
  for _, set in ipairs { "train_", "dev_" } do
    for _, name in ipairs { "loss", "accuracy", "r2" } do names[#names + 1] = set .. name end
    for _, name in ipairs(check.sorted_keys(metrics or {})) do names[#names + 1] = set .. name end
  end
  return check_watch(where, "early_stopping", given, STOPPING, true, classifies, names)
end

-- ---- what is trained ----

local function class_name(x) return type(x) == "userdata" and tostring(x):match "^%w+" end

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
  for i, p in ipairs(self.tensors) do
    if not peri.is_tensor(state[i]) or check.shape(state[i]) ~= check.shape(p) then
      fail("load_state_dict: parameter %d is %s (expected %s)", i, describe(state[i]), check.shape(p))
    end
  end
  peri.no_grad(function()
    for i, p in ipairs(self.tensors) do p:copy_(state[i]) end
  end)
end

local function layer_of(where, options)
  if type(options.model) == "function" then
    local tensors = table.move(options.parameters or {}, 1, #(options.parameters or {}), 1, {})
    for _, name in ipairs { "early_stopping", "ema", "keep_best", "checkpoint", "resume" } do
      if options[name] and #tensors == 0 then
        fail("%s: %s %s, and the model is a function (expected parameters)", where, name,
          name == "early_stopping" and "brings parameters back" or "needs the model's parameters")
      end
    end
    return setmetatable({ f = options.model, tensors = tensors }, Plain), tensors
  end
  if options.parameters then fail("%s: parameters is for a model that is a function", where) end
  local parameters = options.model:parameters()
  if #parameters == 0 then fail("%s: the model has no parameters", where) end
  return options.model, parameters
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

-- The averages that the option ema asks for.
local function average_of(where, given, model, parameters)
  if given == nil or peri.type(given) == "average" then return given end
  local source = getmetatable(model) == Plain and parameters or model
  local ok, made = pcall(peri.optim.EMA, source, type(given) == "table" and given or { decay = given })
  if not ok then fail("%s: ema: %s", where, (tostring(made):gsub("^[^\n]-:%d+: ", ""))) end
  return made
end

-- The loss of each element, which weights multiply. Those of batches may come yet.
local function elements_of(where, loss, weights, known)
  if known and not weights then return nil end
  local name = class_name(loss)
  if name == "CrossEntropyLoss" or name == "MSELoss" then return peri.nn[name] { reduction = "none" } end
  if not weights then return nil end
  fail("%s: sample_weight is for CrossEntropyLoss and MSELoss, the loss is %s", where, name or describe(loss))
end

-- What the model and the loss give must fit the targets.
local function check_scores(where, scores, y, classes, loss)
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

-- ---- the data ----

local function float_dtype(X) return peri.is_tensor(X) and X.dtype:find "^float" and X.dtype or "float32" end
prepare.float_dtype = float_dtype

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
  local w = weights and (peri.is_tensor(weights) and weights:to(self.dtype)
    or peri.tensor(weights, { dtype = self.dtype }))
  if not self.classes then
    local y = data.targets(where, name .. "'s y", set[2], #X, self.dtype)
    return { X = X, y = y, w = w, total = measures.spread(y, w) }
  end
  local labels = data.labels(where, name .. "'s y", set[2], #X)
  return { X = X, y = data.positions(where, name .. "'s y", labels, self.classes), w = w }
end

-- The rows of a set that has them all at hand, {X, y, w}; nil of a list or a function.
local function known_rows(where, name, set)
  if kinds.pair.read(set) then return set end
  if peri.type(set) ~= "loader" then return nil end
  local tensors = internal.data.tensors_of(set)
  if #tensors < 2 or #tensors > 3 then
    fail("%s: %s is a loader of %d tensors (expected x and y, or x, y and weights)", where, name, #tensors)
  end
  return tensors
end

-- Some targets, by which labels are told from numbers; nil where none is known yet.
local function targets_of(set)
  if set == nil then return nil end
  if kinds.pair.read(set) then return set[2] end
  if peri.type(set) == "loader" then return internal.data.tensors_of(set)[2] end
  return type(set) == "table" and type(set[1]) == "table" and set[1][2] or nil
end

-- Labels or numbers: by the loss where it takes only one of them, else by the dtype of y.
function prepare.is_classification(where, options)
  if options.task then return options.task == "classification" end
  local loss, given = class_name(options.loss), targets_of(options.train)
  if loss == "MSELoss" then return false end
  if given == nil then
    if loss == "CrossEntropyLoss" then return true end
    given = targets_of(options.dev)
    if given == nil then
      fail("%s: task is missing (expected 'classification' or 'regression': the targets of a function are not known "
        .. "before)", where)
    end
  end
  local y = given
  if type(y) == "table" then y = peri.tensor(y) end
  if not peri.is_tensor(y) or y:dim() ~= 1 then return false end
  if loss == "CrossEntropyLoss" or y.dtype == "int64" then return true end
  return type(given) == "table" and (y:floor():eq(y)):all()
end

-- The classes of the labels: those that are given, else those that occur.
local function classes_of(where, options, rows, dtype)
  local given = options.classes
  if given then return data.classes(data.labels(where, "classes", given)) end
  if rows then
    return data.classes(data.labels(where, "train's y", rows[2], #data.rows(where, "train's X", rows[1], dtype)))
  end
  if type(options.train) == "function" then
    fail("%s: classes is missing (expected a list: the labels of a function's batches are not known before)", where)
  end
  local labels = {}
  for i, batch in ipairs(options.train) do
    local name = ("train's batch %d: y"):format(i)
    labels[i] = data.labels(where, name, type(batch) == "table" and batch[2] or nil)
  end
  return data.classes(peri.cat(labels, 1))
end

-- A set whose batches the script gives.
local function given_set(where, name, given, self)
  local source = batches.given(name, given, batches.reader(where, name, self.dtype, self.classes))
  return { source = source }
end

-- Where the mini-batches of train come from.
local function source_of(where, job, options, self)
  if peri.type(options.train) == "loader" then
    local tensors, read = internal.data.tensors_of(options.train), nil
    local as_is = tensors[1].dtype == self.dtype and not self.classes and tensors[2].dtype == self.dtype
      and tensors[2]:dim() == 2 and not tensors[3]
    if not as_is then read = batches.reader(where, "train", self.dtype, self.classes) end
    return batches.of_loader(options.train, #tensors[1], read)
  elseif job.train.source then
    return job.train.source
  end
  local loader = peri.data.loader({ job.train.X, job.train.y, job.train.w },
    { batch_size = job.batch_size, shuffle = job.shuffle, seed = job.seed })
  return batches.of_loader(loader, #job.train.X)
end

-- What a loader or the script's own batches have decided already.
local function check_given(where, options)
  if kinds.pair.read(options.train) then return end
  local what = peri.type(options.train) == "loader" and "the loader" or "whoever gives the mini-batches"
  for _, name in ipairs { "batch_size", "shuffle", "seed", "sample_weight" } do
    if options[name] ~= nil then
      fail("%s: %s is for train = {X, y} (here %s decides it)", where, name, what)
    end
  end
end

-- Tries the first rows; those of a function are tried when they come.
local function try_first(where, job)
  local x, y
  if job.train.X then
    local rows = { { 1, math.min(2, #job.train.X) } }
    x, y = job.train.X[rows], job.train.y[rows]
  elseif type(job.train.source.given) == "table" then
    x, y = job.train.source:each(1, 0)()
  end
  if x then
    local scores, targets, loss = loop.try(job, x, y)
    return check_scores(where, scores, targets, job.classes, loss)
  end
  job.check_first = function(scores, targets)
    check_scores(where, scores, targets, job.classes, function() return peri.no_grad(job.loss, scores, targets) end)
  end
end

-- ---- the whole ----

local NOT_WITH_STEP = { "clip_grad_norm", "clip_grad_value", "accumulate" }

-- The job of a training of self, {model, dtype, classes, flat}, which is filled; options are checked, one by one.
function prepare.job(where, self, options)
  for _, name in ipairs(NOT_WITH_STEP) do
    if options.step and options[name] then fail("%s: %s cannot change what step does", where, name) end
  end
  check_given(where, options)
  options = with_defaults(where, options)
  local model, parameters = layer_of(where, options)
  check_optimizer(where, options, parameters)
  local rows = known_rows(where, "train", options.train)
  local dtype = parameters[1] and parameters[1].dtype or float_dtype(rows and rows[1])
  self.model, self.dtype, self.classes = model, dtype, nil
  local weights = rows and rows[3]
  if options.sample_weight then rows, weights = weighted_rows(where, rows, options.sample_weight, dtype) end
  if prepare.is_classification(where, options) then
    self.classes = classes_of(where, options, rows, dtype)
    if #self.classes < 2 then fail("%s: train's y has one label alone, %d", where, self.classes[1]) end
  end
  local y = targets_of(options.train)
  self.flat = not self.classes and (type(y) == "table" and type(y[1]) ~= "table" or peri.is_tensor(y) and y:dim() == 1)
  local job = joined(options, { model = model, parameters = parameters, classes = self.classes })
  job.loss = job.loss or (self.classes and peri.nn.CrossEntropyLoss() or peri.nn.MSELoss())
  job.measure_train = job.measure_train or job.step ~= nil
  job.train = rows and prepare_set(where, "train", rows, self, weights)
    or given_set(where, "train", options.train, self)
  self.input = job.train.X and { table.unpack(job.train.X.shape, 2) } or nil
  job.elements = elements_of(where, job.loss, weights, rows)
  local dev = options.dev and known_rows(where, "dev", options.dev)
  job.dev = dev and prepare_set(where, "dev", dev, self) or options.dev and given_set(where, "dev", options.dev, self)
  job.ema = average_of(where, options.ema, model, parameters)
  self.ema = job.ema
  local stopping, names, classifies = options.early_stopping, monitors(job), self.classes ~= nil
  job.early_stopping = check_watch(where, "early_stopping", stopping, STOPPING, job.dev, classifies, names)
  local keep = options.keep_best
  if type(keep) == "string" then
    stopping = stopping or {}
    keep = { path = keep, monitor = stopping.monitor, mode = stopping.mode }
  end
  job.keep_best = check_watch(where, "keep_best", keep, KEEPING, job.dev, classifies, names)
  if options.checkpoint then job.checkpoint = check.options(where .. ": checkpoint", options.checkpoint, WRITING) end
  local writing = job.checkpoint
  if writing and not writing.path then fail("%s: checkpoint.path is missing (expected the name of a file)", where) end
  if writing and not writing.every and not writing.epochs then writing.epochs = 1 end
  job.saved = options.resume and checkpoint.read(where, options.resume, writing and writing.path)
  job.stream = peri.get_rng_state()
  try_first(where, job)
  job.source = source_of(where, job, options, self)
  return job
end

return prepare
