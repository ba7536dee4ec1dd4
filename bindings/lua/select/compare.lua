-- compare: estimators side by side.
local peri, internal, input, rows, evaluate = ...
local check = internal.check
local fail = check.fail

local Comparison = {}
Comparison.__index = Comparison

Comparison.__tostring = check.guard("tostring", function(self)
  local metric = self.metric and " " .. self.metric or ""
  local lines = { { "method", "rows", "train" .. metric, "test" .. metric, "ms to fit", "ms to score", "size" } }
  for i, r in ipairs(self.results) do
    lines[i + 1] = {
      r.name, tostring(r.rows), r.train and ("%.4f"):format(r.train) or "-", ("%.4f"):format(r.test),
      ("%.2f"):format(1000 * r.fit_seconds), ("%.2f"):format(1000 * r.score_seconds), r.size,
    }
  end
  return input.aligned(lines)
end)

local function count(tensors)
  local n = 0
  for _, t in ipairs(tensors) do n = n + t:numel() end
  return n
end

-- What an estimator holds in the end, in words.
local function words_of_size(m)
  if check.has(m, "support") then return ("%d support vectors"):format(#m.support) end
  if check.has(m, "parameters") then return ("%d parameters"):format(count(m.parameters)) end
  if check.has(m, "model") and check.has(m.model, "parameters") then
    return ("%d parameters"):format(count(m.model:parameters()))
  end
  if check.has(m, "coef") then return ("%d parameters"):format(count { m.coef, m.intercept }) end
  return "-"
end

-- Of a foreign estimator these fields may be anything.
local function size_of(m)
  local ok, size = pcall(words_of_size, m)
  return ok and size or "-"
end

-- A fitted copy (where there can be one: the estimator stays as it is), and of a network the seconds of its steps,
-- without the measures of its epochs.
local function fitted(operation, name, m, train)
  if check.has(m, "fit") and check.has(m, "clone") then
    m = m:clone()
    if not check.has(m, "fit") then
      fail("%s: clone of %s gave %s (expected an estimator)", operation, name, check.describe(m))
    end
  end
  local start = peri.now()
  if check.has(m, "fit") then m = evaluate.fit_alone(operation, { label = name }, m, train.x, train.y) end
  local seconds = check.has(m, "seconds") and m.seconds[-1] or peri.now() - start
  return m, seconds
end

local function read_row(operation, i, row, train)
  if type(row) ~= "table" or getmetatable(row) then
    check.must_be(operation, ("entry %d"):format(i), row, "{name, estimator}")
  end
  local name, m = row[1], row[2]
  check.read(operation, ("the name of entry %d"):format(i), name, check.kinds.string)
  if not (check.has(m, "predict") and check.has(m, "score")) then
    check.must_be(operation, name, m, "an estimator (fit, predict, score)")
  end
  if row.train == nil and not train then fail("%s: %s has no rows to fit (train is missing)", operation, name) end
  return {
    name = name, given = m,
    train = row.train == nil and train or rows.pair(operation, "train of " .. name, row.train),
  }
end

return function(given)
  local operation = "compare"
  check.table(operation, given)
  local named, list = {}, {}
  for key, value in pairs(given) do
    if math.type(key) ~= "integer" then named[key] = value end
  end
  local options = check.only(operation, named, "maximize measure_train metric test train")
  local train = options.train ~= nil and rows.pair(operation, "train", options.train) or nil
  local test = rows.pair(operation, "test", options.test)
  local measure_train = check.flag(operation, "measure_train", options.measure_train, true)
  local scorer = evaluate.scorer(operation, options)
  if #given == 0 then fail("%s: there is no estimator (expected {name, estimator}, ...)", operation) end
  for i, row in ipairs(given) do list[i] = read_row(operation, i, row, train) end
  local results = {}
  for i, row in ipairs(list) do
    local candidate = { label = row.name }
    local m, seconds = fitted(operation, row.name, row.given, row.train)
    local start = peri.now()
    local score = evaluate.score(operation, candidate, scorer, m, test.x, test.y)
    local r = {
      name = row.name, model = m, rows = #row.train.x, test = score, fit_seconds = seconds,
      score_seconds = peri.now() - start, size = size_of(m),
    }
    if measure_train then r.train = evaluate.score(operation, candidate, scorer, m, row.train.x, row.train.y) end
    results[i] = r
  end
  return setmetatable({ results = results, metric = scorer.name }, Comparison)
end
