-- Fits and scores candidates: {make = function() -> an estimator that is not fitted, label = text for messages}.
-- Machines with a kernel that differ only in C are fitted together, so that they share kernel values.
local peri, internal, combinations = ...
local check = internal.check
local fail, attempt = check.fail, combinations.attempt

local evaluate = {}

-- ---- scores ----

local function classes_of(m)
  if not check.has(m, "classes") then return nil end
  local classes = m.classes
  return peri.is_tensor(classes) and classes:totable() or classes
end

local function predict(m, x) return m:predict(x) end

local function decide(m, x)
  if check.has(m, "decision_function") then return m:decision_function(x) end
  return m:predict_proba(x)
end

local function probabilities(m, x) return m:predict_proba(x) end

local function mean_f1(kind)
  return function(pred, y) return peri.metrics.precision_recall_f1(pred, y)[kind].f1 end
end

-- The metrics that have names: what they read of an estimator, and whether less is better.
local METRICS = {
  accuracy = { read = predict, measure = function(pred, y) return peri.metrics.accuracy(pred, y) end },
  f1_macro = { read = predict, measure = mean_f1 "macro" },
  f1_weighted = { read = predict, measure = mean_f1 "weighted" },
  r2 = { read = predict, measure = function(pred, y) return peri.metrics.r2(pred, y) end },
  mse = { read = predict, less = true, measure = function(pred, y) return peri.metrics.mse(pred, y) end },
  mae = { read = predict, less = true, measure = function(pred, y) return peri.metrics.mae(pred, y) end },
  roc_auc = {
    read = decide,
    measure = function(scores, y, classes) return peri.metrics.roc_auc(scores, y, { classes = classes }) end,
  },
  log_loss = {
    read = probabilities, less = true,
    measure = function(p, y, classes) return peri.metrics.log_loss(p, y, { classes = classes }) end,
  },
}
local NAMES = "accuracy f1_macro f1_weighted log_loss mae mse r2 roc_auc"

local function as_number(operation, value)
  if peri.is_tensor(value) and value:numel() == 1 then value = value:item() end
  if math.type(value) then return value + 0.0 end
  fail("%s: the metric gave %s (expected a number)", operation, check.describe(value))
end

-- The scorer that options metric and maximize ask for: {name = of the metric, or nil, less =, of = function(m, x, y) ->
-- number, of_predictions = function(m, pred, y) -> number, or nil when the metric reads something else}.
function evaluate.scorer(operation, options)
  local metric, maximize = options.metric, options.maximize
  if maximize ~= nil and type(metric) ~= "function" then
    fail("%s: maximize says whether more is better of a metric that is a function", operation)
  end
  local scorer = { less = not check.flag(operation, "maximize", maximize, true) }
  if metric == nil then
    scorer.of = function(m, x, y) return as_number(operation, m:score(x, y)) end
    scorer.of_predictions = function(m, pred, y)
      local numbers = tostring(m):find "^%a*SVR"
      return numbers and peri.metrics.r2(pred, y) or peri.metrics.accuracy(pred, y)
    end
    return scorer
  end
  local row = { read = predict, measure = metric }
  if type(metric) ~= "function" then
    row = METRICS[check.choice(operation, "metric (if it is no function)", metric, NAMES)]
    scorer.less, scorer.name = row.less, metric
  end
  scorer.of = function(m, x, y) return as_number(operation, row.measure(row.read(m, x), y, classes_of(m))) end
  if row.read == predict then
    scorer.of_predictions = function(_, pred, y) return as_number(operation, row.measure(pred, y)) end
  end
  return scorer
end

-- ---- candidates ----

-- A function that makes the candidate of a set of parameters. A seed starts the default stream anew before each.
function evaluate.maker(operation, build, seed)
  return function(params, label)
    return {
      label = label, seed = seed,
      make = function()
        if seed then peri.manual_seed(seed) end
        local copy = {}
        for name, value in pairs(params) do copy[name] = value end
        local m = attempt(operation, label, build, copy)
        if not (check.has(m, "fit") and check.has(m, "predict")) then
          fail("%s: build gave %s (expected an estimator: fit, predict, score)", operation, check.describe(m))
        end
        return m
      end,
    }
  end
end

-- What makes an estimator of a set of parameters: the option build, or copies of the option estimator.
function evaluate.builder(operation, options)
  local build, estimator = options.build, options.estimator
  check.one_given(operation, options, "build", "estimator")
  if build ~= nil then
    if type(build) == "function" then return build end
    check.must_be(operation, "build", build, "a function that gives an estimator")
  end
  if check.has(estimator, "clone") and check.has(estimator, "predict") then
    return function(params) return estimator:clone(params) end
  end
  check.must_be(operation, "estimator", estimator, "an estimator that can be cloned")
end

local function value_text(value)
  if math.type(value) then return ("%a"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, entry in pairs(value) do parts[#parts + 1] = ("%s=%s"):format(key, value_text(entry)) end
  table.sort(parts)
  return table.concat(parts, ";")
end

-- A text that is equal for machines with a kernel that differ only in C; nil for all else.
local function sharing_key(m)
  local kind = type(m) == "userdata" and peri.svm and tostring(m):match "^%a+"
  if not kind or not internal.machines[kind] or not internal.machines[kind].path then return nil end
  local params, names = m:params(), {}
  if params.C == nil then return nil end
  for name in pairs(params) do names[#names + 1] = name end
  table.sort(names)
  local parts = { kind }
  for _, name in ipairs(names) do
    if name ~= "C" then parts[#parts + 1] = name .. "=" .. value_text(params[name]) end
  end
  return table.concat(parts, "\n")
end

-- Makes the candidates in order. Those that share go into groups, in the order in which they appear: {machine =,
-- label =, Cs =, at = positions}; alone(i, candidate, m) is called with the others at once.
local function group(list, fits, alone)
  local groups, by_key = {}, {}
  for i, candidate in ipairs(list) do
    local m = fits:make(candidate)
    local key = sharing_key(m)
    if not key then
      alone(i, candidate, m)
    else
      local members = by_key[key]
      if not members then
        members = { machine = m, label = candidate.label, Cs = {}, at = {} }
        groups[#groups + 1], by_key[key] = members, members
      end
      members.Cs[#members.Cs + 1], members.at[#members.at + 1] = m.C, i
    end
  end
  return groups
end

local function fit_group(operation, members, x, y)
  local m = members.machine
  if #members.Cs == 1 then return { attempt(operation, members.label, m.fit, m, x, y) } end
  return attempt(operation, members.label .. " and other C", peri.svm.path, x, y, { estimator = m, Cs = members.Cs })
end

-- Some estimators return themselves from fit, others nothing.
function evaluate.fit_alone(operation, candidate, m, x, y)
  local fitted = attempt(operation, candidate.label, m.fit, m, x, y)
  return check.has(fitted, "predict") and fitted or m
end

-- ---- networks side by side ----
-- A network whose fit begins with a seed does not depend on what was fitted before it: such ones are trained side by
-- side (train/together.lua), all else waits for its turn.

local Fits = {}
Fits.__index = Fits

-- What fits and hands on in order, to be closed.
function evaluate.fits(operation) return setmetatable({ operation = operation }, Fits) end

function Fits:__close()
  if self.crew then self.crew:__close() end
end

-- Until everything that was begun is through.
function Fits:finish()
  if self.crew then self.crew:finish() end
end

-- The estimator of a candidate. Where others are under way the default stream is not where it will be, so that one that
-- draws from it without a seed is made anew when they are through.
function Fits:make(candidate)
  if candidate.seed or not self.crew or self.crew:is_idle() then return candidate.make() end
  local stream = internal.steps.stream
  local seed, block = stream()
  local m = candidate.make()
  local now, at = stream()
  if now == seed and at == block then return m end
  stream(seed, block)
  self:finish()
  return candidate.make()
end

-- Fits m (nil: what the candidate makes) on rows(), x and y, and calls visit(m) in the end.
function Fits:fit(candidate, m, rows, visit)
  m = m or self:make(candidate)
  local together = internal.together
  if together and together.takes(m, candidate.seed) then
    self.crew = self.crew or together.new(self.operation)
    return self.crew:start(candidate.label, function() return m:fit(rows()) end, visit)
  end
  if self.crew and not self.crew:is_idle() then
    local seed, block = internal.steps.stream()
    self:finish()
    if candidate.seed then internal.steps.stream(seed, block) end
  end
  visit(evaluate.fit_alone(self.operation, candidate, m, rows()))
end

-- Calls visit(i, m) for every candidate fitted on x and y; the order is not that of the list.
function evaluate.each_fitted(operation, list, x, y, visit)
  local fits <close> = evaluate.fits(operation)
  local groups = group(list, fits, function(i, candidate, m)
    fits:fit(candidate, m, function() return x, y end, function(fitted) visit(i, fitted) end)
  end)
  fits:finish()
  for _, members in ipairs(groups) do
    for g, m in ipairs(fit_group(operation, members, x, y)) do visit(members.at[g], m) end
  end
end

function evaluate.score(operation, candidate, scorer, m, x, y)
  return attempt(operation, candidate.label, scorer.of, m, x, y)
end

-- Rows that are held out of each fold's fit, and those that are in it.
function evaluate.fold_rows(fold, f) return fold:ne(f):nonzero(), fold:eq(f):nonzero() end

local function score_group_by_folds(operation, members, pair, fold, folds, scorer, scores)
  for f = 1, folds do
    local inside, out = evaluate.fold_rows(fold, f)
    for g, m in ipairs(fit_group(operation, members, pair.x[inside], pair.y[inside])) do
      scores[members.at[g]][f] = evaluate.score(operation, members, scorer, m, pair.x[out], pair.y[out])
    end
  end
end

local function score_group_at_once(operation, members, pair, fold, folds, scorer, scores)
  local m = members.machine
  local cross_predict = internal.machines[tostring(m):match "^%a+"].cross_predict
  local predictions = attempt(operation, members.label, cross_predict, m, pair.x, pair.y, {}, fold, folds, members.Cs)
  for f = 1, folds do
    local out = fold:eq(f):nonzero()
    for g, i in ipairs(members.at) do
      scores[i][f] = attempt(operation, members.label, scorer.of_predictions, m, predictions[g][out], pair.y[out])
    end
  end
end

-- For each candidate the list of its scores, a score for each fold.
function evaluate.cross(operation, list, pair, fold, folds, scorer)
  local scores = {}
  for i = 1, #list do scores[i] = {} end
  local fits <close> = evaluate.fits(operation)
  local groups = group(list, fits, function(i, candidate, m)
    for f = 1, folds do
      local function rows()
        local inside = evaluate.fold_rows(fold, f)
        return pair.x[inside], pair.y[inside]
      end
      fits:fit(candidate, m, rows, function(fitted)
        local _, out = evaluate.fold_rows(fold, f)
        scores[i][f] = evaluate.score(operation, candidate, scorer, fitted, pair.x[out], pair.y[out])
      end)
      m = nil
    end
  end)
  fits:finish()
  local score_group = scorer.of_predictions and score_group_at_once or score_group_by_folds
  for _, members in ipairs(groups) do score_group(operation, members, pair, fold, folds, scorer, scores) end
  return scores
end

-- The mean and the standard deviation (over count - 1; 0 of one) of a list.
function evaluate.mean_std(list)
  local x = peri.tensor(list, { dtype = "float64" })
  return x:mean():item(), #list > 1 and x:std():item() or 0.0
end

return evaluate
