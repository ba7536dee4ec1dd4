-- Many networks that differ in parameters and seeds, trained side by side.
local peri, internal, data, parts = ...
local check = internal.check
local fail, kinds = check.fail, data.kinds
local prepare, estimator, together, combinations = parts.prepare, parts.estimator, parts.together, parts.combinations

local Sweep = {}
Sweep.__index = Sweep

local MANY = check.whole_from(1, 1000000)
local OPTIONS = prepare.joined(prepare.LOOP, {
  build = kinds.build, loss = kinds.loss, params = kinds.table, task = kinds.task, train = kinds.pair,
  dev = kinds.pair, sample_weight = kinds.list, monitor = kinds.string, mode = kinds.mode,
  seeds = check.kind("a number of seeds, up to 1000000, or a list of whole numbers from 0", function(v)
    return MANY.read(v) or type(v) == "table" and #v > 0 and v or nil
  end),
})
OPTIONS.seed = nil
local WITH_OTHERS = { build = true, params = true, seeds = true, train = true, dev = true, sample_weight = true,
  task = true, monitor = true, mode = true, progress = true } -- which are no options of an estimator

local function float64(list) return peri.tensor(list, { dtype = "float64" }) end
local function int64(list) return peri.tensor(list, { dtype = "int64" }) end

-- ---- candidates ----

local function read_seeds(where, given)
  local seeds = {}
  if given == nil then given = 1 end
  if math.type(given) then
    for i = 1, math.tointeger(given) do seeds[i] = i end
    return seeds
  end
  local seen = {}
  for i, seed in ipairs(given) do
    seeds[i] = check.whole(where, ("entry %d of seeds"):format(i), seed, 0)
    if seen[seeds[i]] then fail("%s: seeds has %d twice", where, seeds[i]) end
    seen[seeds[i]] = true
  end
  return seeds
end

-- The sets of parameters, and the names that are in any of them, sorted: of lists of values all combinations.
local function read_params(where, params)
  if params == nil then return { {} }, {} end
  if #params == 0 then
    local names, lists, list = combinations.names(where, params), {}, {}
    for _, name in ipairs(names) do
      local values = params[name]
      if peri.is_tensor(values) and values:dim() == 1 then values = values:totable() end
      if type(values) ~= "table" or #values == 0 then
        check.must_be(where, "params." .. name, values, "a list of 1 or more values")
      end
      lists[name] = values
    end
    for number = 0, combinations.count(where, names, lists) - 1 do
      list[#list + 1] = combinations.at(names, lists, number)
    end
    return list, names
  end
  local list, all = {}, {}
  for i, entry in ipairs(params) do
    check.read(where, ("entry %d of params"):format(i), entry, kinds.table)
    list[i] = {}
    for name, value in pairs(entry) do
      if type(name) ~= "string" then
        fail("%s: entry %d of params must have names, got the key %s", where, i, check.describe(name))
      end
      list[i][name], all[name] = value, true
    end
  end
  return list, check.sorted_keys(all)
end

-- Those that have a seed each: {params =, seed =, label =}.
local function candidates_of(list, names, seeds)
  local candidates = {}
  for _, params in ipairs(list) do
    for _, seed in ipairs(seeds) do
      local own = {}
      for _, name in ipairs(names) do
        if params[name] ~= nil then own[#own + 1] = name end
      end
      local label = combinations.label(own, params)
      candidates[#candidates + 1] = { params = params, seed = seed,
        label = ("%s%sseed = %d"):format(label, label ~= "" and ", " or "", seed) }
    end
  end
  return candidates
end

-- The estimator of a candidate: parameters that are options of a training are those, the others are build's.
local function estimator_of(where, options, classifies, candidate)
  local own = { build = options.build, params = {}, seed = candidate.seed }
  for name, value in pairs(options) do
    if not WITH_OTHERS[name] then own[name] = value end
  end
  for name, value in pairs(candidate.params) do
    if WITH_OTHERS[name] or name == "seed" then fail("%s: params.%s cannot differ between networks", where, name) end
    if OPTIONS[name] then own[name] = value else own.params[name] = value end
  end
  return estimator[classifies and "Classifier" or "Regressor"](own)
end

-- ---- what is best ----

local function read_monitor(where, options, classifies)
  local stopping = options.early_stopping or {}
  local monitor = options.monitor or stopping.monitor or (options.dev and "dev_loss" or "train_loss")
  local names = {}
  for _, set in ipairs { "train_", options.dev and "dev_" or nil } do
    for _, name in ipairs { "loss", classifies and "accuracy" or "r2" } do names[#names + 1] = set .. name end
    for _, name in ipairs(check.sorted_keys(options.metrics or {})) do names[#names + 1] = set .. name end
  end
  check.choice(where, "monitor", monitor, names)
  local mode = options.mode or monitor == stopping.monitor and stopping.mode
    or monitor:find "_loss$" and "min" or (monitor:find "_accuracy$" or monitor:find "_r2$") and "max"
  if not mode then
    fail("%s: mode is missing (expected 'min' or 'max': which values of %s are better)", where, monitor)
  end
  return monitor, mode == "min"
end

-- The monitored value of the epoch whose parameters the network has; NaN of one that has diverged.
local function score_of(m, monitor)
  local history = m[monitor]
  if m.diverged or not history or #history == 0 then return 0 / 0 end
  return history[m.best_epoch or -1]
end

-- NaN is worse than all else, and of equals the first comes first.
local function better(a, b, less)
  local x, y = a.score, b.score
  if x ~= y and (x == x or y == y) then
    if x ~= x or y ~= y then return x == x end
    if less then return x < y end
    return x > y
  end
  return a.number < b.number
end

-- ---- the result ----

-- A history of each, in rows as long as the longest: NaN behind the end of one.
local function table_of(fitted, name, epochs)
  local rows, nothing = {}, peri.full({ epochs }, 0 / 0, { dtype = "float64" })
  for i, m in ipairs(fitted) do
    local row = m[name]
    if not row or #row < epochs then
      row = row and #row > 0 and peri.cat({ row, nothing[{ { #row + 1, epochs } }] }, 1) or nothing
    end
    rows[i] = row
  end
  return peri.stack(rows, 1)
end

local function is_history(name, value)
  return peri.is_tensor(value) and (name:find "^train_" or name:find "^dev_" or name == "learning_rate")
end

-- Candidates with what they have come to, in order.
local function result_of(self, candidates, fitted)
  local epochs, names = 0, {}
  self.estimators, self.params, self.seeds, self.stopped = fitted, {}, {}, {}
  self.results = {}
  local counts, scores, best_epochs = {}, {}, {}
  for i, m in ipairs(fitted) do
    local candidate = candidates[i]
    counts[i], epochs = m.epochs, math.max(epochs, m.epochs)
    self.params[i], self.seeds[i], self.stopped[i] = candidate.params, candidate.seed, m.stopped
    scores[i], best_epochs[i] = score_of(m, self.monitor), m.best_epoch or m.epochs
    self.results[i] = { params = candidate.params, seed = candidate.seed, score = scores[i], estimator = m,
      epochs = m.epochs, stopped = m.stopped, number = i }
    for name, value in pairs(m) do names[name] = names[name] or is_history(name, value) end
  end
  if #fitted == 0 then return setmetatable(self, Sweep) end
  for name, wanted in pairs(names) do
    if wanted and epochs > 0 then self[name] = table_of(fitted, name, epochs) end
  end
  self.epochs, self.best_epochs, self.scores = int64(counts), int64(best_epochs), float64(scores)
  table.sort(self.results, function(a, b) return better(a, b, self.less) end)
  local first = self.results[1]
  self.best, self.best_params, self.best_seed, self.best_score =
    first.estimator, prepare.joined(first.params), first.seed, first.score
  return setmetatable(self, Sweep)
end

-- Those that were through when an error came, and those that were under way: as they were then.
local function unfinished(self, candidates, fitted, crew, problem)
  local numbers, all = {}, {}
  for i = 1, #candidates do
    local side = crew.sides[i]
    if fitted[i] or side and side.so_far and side.so_far.result then numbers[#numbers + 1] = i end
  end
  for k, i in ipairs(numbers) do
    all[k] = fitted[i] or crew.sides[i].through and crew.sides[i].ok and crew.sides[i].result
      or estimator.partly(crew.sides[i], problem)
    numbers[k] = candidates[i]
  end
  self.note = tostring(problem)
  return result_of(self, numbers, all)
end

-- ---- the whole ----

-- The rows once and for all, as estimators take them.
local function rows_of(where, name, set, classifies)
  local X = data.rows(where, name .. "'s X", set[1], prepare.float_dtype(set[1]))
  local y = set[2]
  if classifies then
    y = data.labels(where, name .. "'s y", y, #X)
  elseif type(y) == "table" then
    y = peri.tensor(y, { dtype = "float64" })
  end
  return { X, y }
end

-- Trains them, each by its estimator; fitted[i] are those that are through.
local function train_all(where, options, classifies, candidates, crew, fitted)
  local train = rows_of(where, "train", options.train, classifies)
  local dev = options.dev and rows_of(where, "dev", options.dev, classifies)
  for i, candidate in ipairs(candidates) do
    local function fit()
      return candidate.estimator:fit(train[1], train[2], { dev = dev, sample_weight = options.sample_weight })
    end
    crew:start(candidate.label, fit, function(m) fitted[i] = m end)
  end
  crew:finish()
end

local function sweep(given)
  local where = "sweep"
  local options = check.options(where, check.table(where, given), OPTIONS)
  for _, name in ipairs { "build", "train" } do
    if not options[name] then fail("%s: option %s is missing (expected %s)", where, name, OPTIONS[name].expected) end
  end
  if peri.type(options.ema) == "average" then
    fail("%s: ema is an EMA of one network (expected a decay, or a table {decay =}, of which each gets its own)", where)
  end
  local classifies = prepare.is_classification(where, options)
  local list, names = read_params(where, options.params)
  local candidates = candidates_of(list, names, read_seeds(where, options.seeds))
  local self, fitted = { names = names }, {}
  self.monitor, self.less = read_monitor(where, options, classifies)
  local epochs = 0
  for _, candidate in ipairs(candidates) do -- wrong options are errors before anything is trained
    candidate.estimator = estimator_of(where, options, classifies, candidate)
    epochs = epochs + (candidate.estimator._options.epochs or prepare.DEFAULTS.epochs)
  end
  local crew <close> = together.new(where, true, #candidates, epochs, options.progress)
  local ok, problem = pcall(train_all, where, options, classifies, candidates, crew, fitted)
  if ok then return result_of(self, candidates, fitted) end
  estimator.leave(function() return unfinished(self, candidates, fitted, crew, problem) end)
  if type(problem) == "string" and problem:find "interrupted!?$" then
    problem = ("%s after %d of %d networks (train.unfinished() gives what was trained until then)"):format(problem,
      crew.first - 1, #candidates)
  end
  error(problem, 0)
end

-- ---- texts and pictures ----

local MOST = 20 -- lines

Sweep.__tostring = check.guard("tostring", function(self)
  local header = table.move(self.names, 1, #self.names, 1, {})
  for _, name in ipairs { "seed", "epochs", self.monitor, "stopped" } do header[#header + 1] = name end
  local lines = { header }
  for i, r in ipairs(self.results) do
    if i > MOST then break end
    local line = {}
    for k, name in ipairs(self.names) do
      line[k] = r.params[name] == nil and "" or combinations.text(r.params[name])
    end
    for _, text in ipairs { tostring(r.seed), tostring(r.epochs), ("%.4g"):format(r.score), r.stopped } do
      line[#line + 1] = text
    end
    lines[#lines + 1] = line
  end
  local rest = #self.results - MOST
  return parts.aligned(lines) .. (rest > 0 and ("\n... %d more"):format(rest) or "")
end)

Sweep.plot = check.guard("plot", function(self, options)
  check.called("plot", getmetatable(self) == Sweep, self, "result:plot(...)")
  return peri.plot and internal.view("sweep", self, options)
end)

return { sweep = sweep, class = Sweep }
