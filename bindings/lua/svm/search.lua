-- Sweeps over C, cross-validation and grids over (C, gamma), which share kernel values and start each machine from
-- the one before.
local peri, internal, svm = ...
local check, input = internal.check, internal.load("learn.input", peri, internal)
local fail, whole = check.fail, check.whole

local function check_estimator(operation, m)
  local name = type(m) == "userdata" and tostring(m):match "^(%a+)%{"
  if not name or not internal.machines[name] then
    check.must_be(operation, "the first argument", m, "an estimator of svm")
  end
  return name
end

-- Splits options into those named (call) and the rest.
local function part(operation, options, names)
  local call, rest = {}, {}
  if options ~= nil then check.table(operation, options) end
  for name, value in pairs(options or {}) do
    if type(name) == "string" and (" " .. names .. " "):find(" " .. name .. " ", 1, true) then
      call[name] = value
    else
      rest[name] = value
    end
  end
  return call, rest
end

local function rows_of(operation, X)
  if peri.is_tensor(X) and X:dim() > 0 or type(X) == "table" then return #X end
  check.must_be(operation, "X", X, "a tensor or a table of rows")
end

local function check_C(operation, m, name)
  local ok, C = pcall(function() return m.C end)
  if not ok then fail("%s: %s has no C to vary", operation, name) end
  return C
end

-- ---- sweeps ----

local function path(X, y, options)
  local call, rest = part("path", options, "Cs estimator sample_weight progress")
  if call.Cs == nil then fail "path: option Cs is missing" end
  local m = call.estimator
  if m == nil then
    m = svm.SVC(rest)
  else
    check_estimator("path", m)
    if next(rest) ~= nil then fail("path: unknown option %s (the estimator has its own)", tostring(next(rest))) end
  end
  local name = tostring(m):match "^%a+"
  check_C("path", m, name)
  local run = internal.machines[name].path
  if not run then fail("path: %s has no kernel whose values can be shared", name) end
  return run(m, X, y, { sample_weight = call.sample_weight, progress = call.progress }, call.Cs)
end

-- ---- cross-validation ----

-- The share of right answers, or R^2, over the rows where mask holds, weighted.
local function score(numbers, predictions, y, mask, weights)
  local p, t, w = predictions[mask], y[mask], weights and weights[mask]
  if numbers then return internal.data.r_squared(t, t - p, w) end
  return internal.data.accuracy(p, t, w)
end

-- Machines without shared kernel values: a fit for each fold.
local function predict_folds(m, X, y, fold, folds, weights)
  local predictions, status = y:clone(), 0
  for f = 1, folds do
    local inside, out = fold:ne(f), fold:eq(f)
    local fresh = m:clone():fit(X[inside], y[inside], { sample_weight = weights and weights[inside] })
    status = math.max(status, fresh.fit_status)
    predictions[out] = fresh:predict(X[out])
  end
  return predictions, status
end

local function as_tensor(value, dtype)
  if value == nil then return nil end
  return peri.is_tensor(value) and value:to(dtype) or peri.tensor(value, { dtype = dtype })
end

local NUMBERS = { SVR = true, NuSVR = true, LinearSVR = true }

-- What several candidates share: the rows, their folds, and how they are scored.
local function prepare(operation, m, X, y, call)
  local name = check_estimator(operation, m)
  if name == "OneClassSVM" then fail("%s: OneClassSVM has no labels to score", operation) end
  local self = { numbers = NUMBERS[name], n = rows_of(operation, X), X = X }
  self.folds = whole(operation, "folds", call.folds or 5, 2)
  if self.folds > self.n then fail("%s: folds is %d but X has %d rows", operation, self.folds, self.n) end
  local seed = whole(operation, "seed", call.seed or 0, 0)
  self.y = as_tensor(y, self.numbers and "float64" or "int64")
  if self.y == nil then check.must_be(operation, "y", y, "a tensor or a table") end
  if self.y:dim() ~= 1 or #self.y ~= self.n then
    fail("%s: y has shape %s (expected %d entries, as X has rows)", operation, check.shape(self.y), self.n)
  end
  self.weights = as_tensor(call.sample_weight, "float64")
  self.fold = internal.kernels.folds(self.n, not self.numbers and self.y or nil, self.folds, seed)
  self.progress = call.progress
  return self
end

-- Predictions (a row for each C) and the worst fit_status.
local function cross_predict(self, m, Cs)
  local run = internal.machines[check_estimator("cross_predict", m)].cross_predict
  if run then
    return run(m, self.X, self.y, { sample_weight = self.weights, progress = self.progress }, self.fold,
      self.folds, Cs)
  end
  local X, rows, worst = as_tensor(self.X, peri.is_tensor(self.X) and self.X.dtype or "float64"), {}, 0
  for i, C in ipairs(Cs or { m.C }) do
    local status
    rows[i], status = predict_folds(m:clone { C = C }, X, self.y, self.fold, self.folds, self.weights)
    worst = math.max(worst, status)
  end
  return peri.stack(rows), worst
end

local function scores_of(self, predictions)
  local scores = {}
  for f = 1, self.folds do
    scores[f] = score(self.numbers, predictions, self.y, self.fold:eq(f), self.weights)
  end
  return peri.tensor(scores, { dtype = "float64" })
end

local function cross_validate(m, X, y, options)
  local call = check.only("cross_validate", options, "folds progress sample_weight seed")
  local self = prepare("cross_validate", m, X, y, call)
  local predictions, status = cross_predict(self, m)
  predictions = predictions[1]
  local scores = scores_of(self, predictions)
  return {
    scores = scores, mean = scores:mean():item(), std = scores:std():item(),
    predictions = predictions, fold = self.fold, fit_status = status,
  }
end

-- ---- grids ----

local Grid = {}
Grid.__index = Grid

-- A table of the results, best first, as text.
Grid.__tostring = check.guard("tostring", function(grid)
  local lines = { ("%12s %12s %9s %9s"):format("C", "gamma", "score", "std") }
  for _, r in ipairs(grid.results) do
    local gamma = type(r.gamma) == "number" and ("%.6g"):format(r.gamma) or tostring(r.gamma or "")
    lines[#lines + 1] = ("%12.6g %12s %9.4f %9.4f"):format(r.C, gamma, r.score, r.std)
  end
  return table.concat(lines, "\n")
end)

-- What select's searches have: names, results with params, folds and metric.
Grid.plot = check.guard("plot", function(self, options)
  check.called("plot", getmetatable(self) == Grid, self, "grid:plot(...)")
  local search = { names = { "C" }, results = {}, folds = #self.results[1].scores, metric = self.metric }
  for i, r in ipairs(self.results) do
    search.results[i] = { params = { C = r.C, gamma = r.gamma }, score = r.score, std = r.std }
    if r.gamma ~= nil then search.names[2] = "gamma" end
  end
  return peri.plot and internal.view("search", search, options)
end)

local function before(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.order < b.order
end

local function grid_search(m, X, y, options)
  local call = check.only("grid_search", options, "C folds gamma progress refit sample_weight seed")
  local self = prepare("grid_search", m, X, y, call)
  local C = check_C("grid_search", m, tostring(m):match "^%a+")
  local Cs = { table.unpack(input.values("grid_search", "C", call.C or { C })) }
  local gammas = call.gamma and input.values("grid_search", "gamma", call.gamma) or { m:params().gamma or false }
  for _, value in ipairs(Cs) do m:clone { C = value } end -- a value that is refused is refused before any fit
  table.sort(Cs)
  local results, matrix = {}, {}
  for g, gamma in ipairs(gammas) do
    matrix[g] = {}
    local candidate = gamma and m:clone { gamma = gamma } or m
    local predictions, status = cross_predict(self, candidate, Cs)
    for i, value in ipairs(Cs) do
      local scores = scores_of(self, predictions[i])
      results[#results + 1] = {
        C = value, gamma = gamma or nil, score = scores:mean():item(), std = scores:std():item(), scores = scores,
        fit_status = status, order = #results,
      }
      matrix[g][i] = results[#results].score
    end
  end
  table.sort(results, before)
  for _, r in ipairs(results) do r.order = nil end
  local best = results[1]
  local grid = {
    results = results, best_score = best.score, best_params = { C = best.C, gamma = best.gamma },
    scores = peri.tensor(matrix, { dtype = "float64" }), metric = self.numbers and "r2" or "accuracy",
  }
  if call.refit ~= false then
    grid.best = m:clone(grid.best_params):fit(X, y, { sample_weight = call.sample_weight })
  end
  return setmetatable(grid, Grid)
end

return { path = path, cross_validate = cross_validate, grid_search = grid_search, Grid = Grid }
