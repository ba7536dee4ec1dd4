-- cross_val_score, grid_search and random_search.
local peri, internal, input, rows, folds, evaluate, combinations = ...
local check = internal.check
local fail = check.fail

local Search = {}
Search.__index = Search

local search = { class = Search }

local function float64(list) return peri.tensor(list, { dtype = "float64" }) end

function search.cross_val_score(estimator, X, y, options)
  local operation = "cross_val_score"
  options = check.only(operation, options, "cv metric seed")
  local build = type(estimator) == "function" and estimator
    or evaluate.builder(operation, { estimator = estimator or false })
  local pair = rows.pair(operation, "the data", { X, y })
  local seed = check.whole(operation, "seed", options.seed or 0, 0)
  local scorer = evaluate.scorer(operation, options)
  local fold, k = folds.read(operation, options.cv or 5, seed, pair)
  local candidate = evaluate.maker(operation, build, options.seed)({}, "")
  return float64(evaluate.cross(operation, { candidate }, pair, fold, k, scorer)[1])
end

-- ---- random draws ----

-- Numbers as math.random gives them, from (seed) alone: random() in [0, 1), random(n) from 1, random(m, n).
local function generator(seed)
  local block, at, first = {}, 0, 0
  local function uniform()
    if at == #block then
      block, at = internal.data.uniform(seed, first, 64), 0
      first = first + 64
    end
    at = at + 1
    return block[at]
  end
  return function(m, n)
    if m == nil then return uniform() end
    if n == nil then m, n = 1, m end
    if math.type(m) ~= "integer" or math.type(n) ~= "integer" or m > n then
      fail("random_search: random: %s to %s is no range of whole numbers", check.describe(m), check.describe(n))
    end
    if n - m < 0 or n - m >= 1 << 53 then fail("random_search: random: %d to %d is a range beyond 2^53", m, n) end
    return m + math.floor(uniform() * (n - m + 1))
  end
end

-- What draws a parameter: of a list, of a range {from =, to =, log =, whole =}, or a function(random).
local function drawer(operation, name, given)
  if type(given) == "function" then return given end
  if peri.is_tensor(given) or type(given) ~= "table" or given.from == nil then
    local values = input.values(operation, "params." .. name, given)
    return function(random) return values[random(#values)] end
  end
  local range = check.only(operation .. ": params." .. name, given, "from log to whole")
  local from, to = range.from, range.to
  local log = check.flag(operation, "params." .. name .. ".log", range.log, false)
  local whole = check.flag(operation, "params." .. name .. ".whole", range.whole, false)
  local kind = whole and check.kinds.whole or check.kinds.finite
  from = check.read(operation, "params." .. name .. ".from", from, kind)
  to = check.read(operation, "params." .. name .. ".to", to, kind)
  if from > to then
    fail("%s: params.%s goes from %s to %s (expected the smaller number first)", operation, name, from, to)
  end
  if log and from <= 0 then fail("%s: params.%s has log but begins at %s (expected > 0)", operation, name, from) end
  if whole and not log then return function(random) return random(from, to) end end
  local exp_of, log_of = internal.data.exp, internal.data.log
  return function(random)
    local u = random()
    if not log then return (1 - u) * from + u * to end
    if not whole then
      return math.min(math.max(exp_of((1 - u) * log_of(from) + u * log_of(to)), from), to)
    end
    -- every whole number has the stretch of the logarithm from half below it to half above
    local low, high = log_of(from - 0.5), log_of(to + 0.5)
    return math.min(math.max(math.floor(exp_of(low + u * (high - low)) + 0.5), from), to)
  end
end

-- n different numbers from 0 to count - 1, in random order (Fisher and Yates, with the places that moved in a table).
local function draw_different(n, count, random)
  local moved, drawn = {}, {}
  for i = 0, n - 1 do
    local j = random(i, count - 1)
    drawn[i + 1] = moved[j] or j
    moved[j] = moved[i] or i
  end
  return drawn
end

-- ---- the search ----

-- "text" of each result, best first.
Search.__tostring = check.guard("tostring", function(self)
  local header = table.move(self.names, 1, #self.names, 1, {})
  header[#header + 1] = "score"
  if self.folds then header[#header + 1] = "std" end
  local lines = { header }
  for _, r in ipairs(self.results) do
    local line = {}
    for i, name in ipairs(self.names) do line[i] = combinations.text(r.params[name]) end
    line[#line + 1] = ("%.4f"):format(r.score)
    if self.folds then line[#line + 1] = ("%.4f"):format(r.std) end
    lines[#lines + 1] = line
  end
  return input.aligned(lines)
end)

Search.plot = check.guard("plot", function(self, options)
  check.called("plot", getmetatable(self) == Search, self, "result:plot(...)")
  return peri.plot and internal.view("search", self, options)
end)

-- Whether a is better than b; NaN is worse than all else, and of equals the one that comes first is better.
local function better(scorer, a, b)
  local x, y = a.score, b.score
  if x ~= y and (x == x or y == y) then
    if x ~= x or y ~= y then return x == x end
    if scorer.less then return x < y end
    return x > y
  end
  return a.order < b.order
end

-- The values of a field in the order of the visits, as a tensor where all are numbers.
local function column(results, get)
  local list, numbers = {}, true
  for i, r in ipairs(results) do
    list[i] = get(r)
    numbers = numbers and math.type(list[i]) ~= nil
  end
  return numbers and float64(list) or list
end

local KNOWN = "build cv dev estimator maximize metric n params refit seed train"

local function read(operation, given, known)
  local options = check.only(operation, check.table(operation, given), known)
  local build = evaluate.builder(operation, options)
  check.one_given(operation, options, "dev", "cv")
  local self = {
    train = rows.pair(operation, "train", options.train), scorer = evaluate.scorer(operation, options),
    seed = check.whole(operation, "seed", options.seed or 0, 0),
    refit = check.flag(operation, "refit", options.refit, true),
  }
  self.make = evaluate.maker(operation, build, options.seed)
  if options.dev ~= nil then
    if options.refit ~= nil then fail("%s: refit is for cv (with dev, best is fitted on train)", operation) end
    self.dev = rows.pair(operation, "dev", options.dev)
  else
    self.fold, self.folds = folds.read(operation, options.cv, self.seed, self.train)
  end
  return self, options
end

-- Fits every candidate on train and scores it on dev; only the best one so far is kept.
local function try_on_dev(operation, self, candidates, results)
  local best, leader
  evaluate.each_fitted(operation, candidates, self.train.x, self.train.y, function(i, m)
    local r = results[i]
    r.score = evaluate.score(operation, candidates[i], self.scorer, m, self.dev.x, self.dev.y)
    if not leader or better(self.scorer, r, leader) then best, leader = m, r end
  end)
  return best
end

local function try_on_folds(operation, self, candidates, results)
  local scores = evaluate.cross(operation, candidates, self.train, self.fold, self.folds, self.scorer)
  for i, r in ipairs(results) do
    r.scores = float64(scores[i])
    r.score, r.std = evaluate.mean_std(scores[i])
  end
end

-- Tries the list of parameters.
local function try(operation, self, names, list)
  local candidates, results = {}, {}
  for i, params in ipairs(list) do
    candidates[i] = self.make(params, combinations.label(names, params))
    results[i] = { params = params, order = i }
  end
  local best = (self.dev and try_on_dev or try_on_folds)(operation, self, candidates, results)
  local g = setmetatable({
    names = names, columns = {}, folds = self.folds, metric = self.scorer.name, less = self.scorer.less or nil,
  }, Search)
  for _, name in ipairs(names) do g.columns[name] = column(results, function(r) return r.params[name] end) end
  g.scores = column(results, function(r) return r.score end)
  g.stds = self.folds and column(results, function(r) return r.std end)
  g.results = table.move(results, 1, #results, 1, {})
  table.sort(g.results, function(a, b) return better(self.scorer, a, b) end)
  local first = g.results[1]
  g.best, g.best_score, g.best_params = best, first.score, {}
  for name, value in pairs(first.params) do g.best_params[name] = value end
  if self.folds and self.refit then
    evaluate.each_fitted(operation, { candidates[first.order] }, self.train.x, self.train.y, function(_, m)
      g.best = m
    end)
  end
  return g
end

function search.grid_search(given)
  local operation = "grid_search"
  local self, options = read(operation, given, (KNOWN:gsub(" n ", " ")))
  local names, lists, list = combinations.names(operation, options.params), {}, {}
  for _, name in ipairs(names) do lists[name] = input.values(operation, "params." .. name, options.params[name]) end
  for number = 0, combinations.count(operation, names, lists) - 1 do
    list[#list + 1] = combinations.at(names, lists, number)
  end
  return try(operation, self, names, list)
end

function search.random_search(given)
  local operation = "random_search"
  local self, options = read(operation, given, KNOWN)
  local n = check.whole(operation, "n", options.n or 10, 1)
  local names, draw, lists, list = combinations.names(operation, options.params), {}, {}, {}
  for _, name in ipairs(names) do
    local value = options.params[name]
    draw[name] = drawer(operation, name, value)
    if lists and (type(value) == "function" or type(value) == "table" and value.from ~= nil) then lists = nil end
    if lists then lists[name] = input.values(operation, "params." .. name, value) end
  end
  local random = generator(self.seed)
  if lists then
    local count = combinations.count(operation, names, lists)
    for i, number in ipairs(draw_different(math.min(n, count), count, random)) do
      list[i] = combinations.at(names, lists, number)
    end
    return try(operation, self, names, list)
  end
  for i = 1, n do
    local params = {}
    for _, name in ipairs(names) do params[name] = draw[name](random) end
    list[i] = params
  end
  return try(operation, self, names, list)
end

return search
