-- learning_curve and validation_curve: scores on what was fitted and on what was held out, over sizes or values.
local peri, internal, input, rows, folds, evaluate = ...
local check = internal.check
local fail = check.fail

local function float64(list) return peri.tensor(list, { dtype = "float64" }) end

local Curve = {}
Curve.__index = Curve

-- Of one repeat there is no deviation to tell.
Curve.__tostring = check.guard("tostring", function(self)
  local columns = { "train_mean", "train_std", "test_mean", "test_std" }
  local lines = { { self.name, "train", "std", "test", "std" } }
  if self.test_scores:size(2) == 1 then
    columns, lines = { "train_mean", "test_mean" }, { { self.name, "train", "test" } }
  end
  for i = 1, #self.train_mean do
    local at = self.at[i]
    local line = { math.type(at) == "float" and ("%.6g"):format(at) or tostring(at) }
    for _, name in ipairs(columns) do line[#line + 1] = ("%.4f"):format(self[name][i]) end
    lines[#lines + 1] = line
  end
  return input.aligned(lines)
end)

Curve.plot = check.guard("plot", function(self, options)
  check.called("plot", getmetatable(self) == Curve, self, "result:plot(...)")
  return peri.plot and internal.view("curve", self, options)
end)

-- Scores (a list of repeats for each point) as tensors with their means.
local function finish(name, at, scores, scorer)
  local curve = { name = name, at = at, metric = scorer.name }
  for _, kind in ipairs { "train", "test" } do
    local means, stds = {}, {}
    for i, list in ipairs(scores[kind]) do means[i], stds[i] = evaluate.mean_std(list) end
    curve[kind .. "_scores"] = float64(scores[kind])
    curve[kind .. "_mean"], curve[kind .. "_std"] = float64(means), float64(stds)
  end
  return setmetatable(curve, Curve)
end

local function read_seeds(operation, seeds)
  if seeds == nil then return { 0 } end
  seeds = input.values(operation, "seeds", seeds, "whole numbers")
  for i, seed in ipairs(seeds) do check.whole(operation, ("entry %d of seeds"):format(i), seed, 0) end
  return seeds
end

-- What is fitted and scored in each repeat: {train =, test =, order = seed of the order, seed = of the default stream
-- or nil}. With dev a repeat for each seed, with cv one for each fold.
local function read_repeats(operation, options)
  check.one_given(operation, options, "dev", "cv")
  local train, repeats = rows.pair(operation, "train", options.train), {}
  if options.dev ~= nil then
    if options.seed ~= nil then fail("%s: seed is for cv; with dev there is seeds, a list", operation) end
    local dev = rows.pair(operation, "dev", options.dev)
    for i, seed in ipairs(read_seeds(operation, options.seeds)) do
      repeats[i] = { train = train, test = dev, order = seed, seed = options.seeds and seed }
    end
    return repeats
  end
  if options.seeds ~= nil then fail("%s: seeds is for dev; with cv there is seed", operation) end
  local seed = check.whole(operation, "seed", options.seed or 0, 0)
  local fold, k = folds.read(operation, options.cv, seed, train)
  for f = 1, k do
    local inside, out = evaluate.fold_rows(fold, f)
    local function take(index)
      return { x = train.x[index], y = train.y[index], labels = train.labels and train.labels[index] }
    end
    repeats[f] = { train = take(inside), test = take(out), order = seed, seed = options.seed }
  end
  return repeats
end

-- Sizes up to 1 are shares of m rows, others counts; ascending, each once.
local function read_sizes(operation, sizes, m)
  if sizes == nil then sizes = { 0.1, 0.325, 0.55, 0.775, 1 } end
  sizes = input.values(operation, "sizes", sizes, "numbers")
  local counts, seen = {}, {}
  for i, size in ipairs(sizes) do
    check.read(operation, ("entry %d of sizes"):format(i), size, input.SHARE)
    local count = size <= 1 and math.max(1, math.floor(size * m + 1e-9)) or math.tointeger(size)
    if count > m then fail("%s: a size is %d but there are %d rows to fit", operation, count, m) end
    if not seen[count] then counts[#counts + 1] = count end
    seen[count] = true
  end
  table.sort(counts)
  return counts
end

local function new_scores(n)
  local scores = { train = {}, test = {} }
  for i = 1, n do scores.train[i], scores.test[i] = {}, {} end
  return scores
end

local curves = { class = Curve }

function curves.learning_curve(given)
  local operation = "learning_curve"
  local options = check.only(operation, check.table(operation, given),
    "build cv dev estimator metric seed seeds sizes train")
  local build, scorer = evaluate.builder(operation, options), evaluate.scorer(operation, options)
  local repeats, least = read_repeats(operation, options), math.huge
  for _, r in ipairs(repeats) do least = math.min(least, #r.train.x) end
  local sizes = read_sizes(operation, options.sizes, least)
  local scores = new_scores(#sizes)
  local fits <close> = evaluate.fits(operation)
  for k, r in ipairs(repeats) do
    local order = rows.order(#r.train.x, r.train.labels, r.order)
    local make = evaluate.maker(operation, build, r.seed)
    for i, size in ipairs(sizes) do
      local candidate = make({}, ("%d rows"):format(size))
      local function fitted_rows()
        local index = rows.index(table.move(order, 1, size, 1, {}))
        return r.train.x[index], r.train.y[index]
      end
      fits:fit(candidate, nil, fitted_rows, function(m)
        local x, y = fitted_rows()
        scores.train[i][k] = evaluate.score(operation, candidate, scorer, m, x, y)
        scores.test[i][k] = evaluate.score(operation, candidate, scorer, m, r.test.x, r.test.y)
      end)
    end
  end
  fits:finish()
  local curve = finish("size", sizes, scores, scorer)
  curve.sizes = rows.index(sizes)
  return curve
end

function curves.validation_curve(given)
  local operation = "validation_curve"
  local options = check.only(operation, check.table(operation, given),
    "build cv dev estimator metric param seed seeds train values")
  local build, scorer = evaluate.builder(operation, options), evaluate.scorer(operation, options)
  local param, values = options.param, options.values
  check.read(operation, "param", param, check.kinds.string)
  values = input.values(operation, "values", values)
  local scores, numbers = new_scores(#values), true
  for _, value in ipairs(values) do numbers = numbers and math.type(value) ~= nil end
  for k, r in ipairs(read_repeats(operation, options)) do
    local make, list = evaluate.maker(operation, build, r.seed), {}
    for i, value in ipairs(values) do list[i] = make({ [param] = value }, ("%s = %s"):format(param, value)) end
    evaluate.each_fitted(operation, list, r.train.x, r.train.y, function(i, m)
      scores.train[i][k] = evaluate.score(operation, list[i], scorer, m, r.train.x, r.train.y)
      scores.test[i][k] = evaluate.score(operation, list[i], scorer, m, r.test.x, r.test.y)
    end)
  end
  local curve = finish(param, values, scores, scorer)
  curve.values = numbers and float64(values) or values
  return curve
end

return curves
