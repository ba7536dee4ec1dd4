-- Twins of peri.metrics, by definition: each number is counted anew from all rows. Everything is plain Lua tables.
--
-- An entry is {twin, cases}: twin(a, y, options, got) gives a number or a table of what the metric's result holds
-- (numbers and nested lists; got is that result); cases are argument lists, and each option in the metric's
-- documentation must occur in one.
local metrics = {}

local pred = { 1, 2, 2, 3, 1, 3, 3, 2, 1, 5, 2, 3 }
local truth = { 1, 2, 1, 3, 2, 3, 1, 2, 1, 3, 3, 3 }
local weight = { 1, 0.5, 2, 1, 0, 3, 0.25, 1, 1, 2, 1, 0.5 }
local scores = { 0.9, 0.1, 0.4, 0.4, 0.8, -1, 0.35, 0.4, 0.7, 0.1, 0.9, 0.2 }
local two = { 7, 4, 7, 4, 7, 4, 4, 4, 7, 7, 7, 4 }

local function weight_of(options, i) return options.sample_weight and options.sample_weight[i] or 1 end

-- The weight of rows for which f(i) holds, and of all.
local function share(n, options, f)
  local part, all = 0, 0
  for i = 1, n do
    all = all + weight_of(options, i)
    if f(i) then part = part + weight_of(options, i) end
  end
  return part, all
end

local function classes_of(...)
  local list, seen = {}, {}
  for _, labels in ipairs { ... } do
    for _, label in ipairs(labels) do
      if not seen[label] then list[#list + 1] = label end
      seen[label] = true
    end
  end
  table.sort(list)
  return list
end

metrics.accuracy = { function(p, y, options)
  local right, all = share(#y, options, function(i) return p[i] == y[i] end)
  return right / all
end, { { pred, truth }, { pred, truth, { sample_weight = weight } }, { { 4 }, { 4 } }, { { 4 }, { 5 } } } }

metrics.confusion_matrix = { function(p, y, options)
  local labels, matrix = options.labels or classes_of(p, y), {}
  local function count(f) return (share(#y, options, f)) end
  local function listed(label)
    for _, l in ipairs(labels) do
      if l == label then return true end
    end
  end
  for r, row in ipairs(labels) do
    matrix[r] = {}
    for c, column in ipairs(labels) do
      local value = count(function(i) return y[i] == row and p[i] == column end)
      local by = options.normalize or "none"
      if by ~= "none" then
        local function counts(i)
          if by == "true" then return y[i] == row end
          return by == "all" or p[i] == column
        end
        local sum = count(function(i) return listed(y[i]) and listed(p[i]) and counts(i) end)
        value = sum == 0 and 0 or value / sum
      end
      matrix[r][c] = value
    end
  end
  return { labels = labels, matrix = matrix }
end, {
  { pred, truth }, { pred, truth, { sample_weight = weight } }, { pred, truth, { labels = { 3, 1 } } },
  { pred, truth, { normalize = "true" } }, { pred, truth, { normalize = "pred", labels = { 2, 1, 9 } } },
  { pred, truth, { normalize = "all", sample_weight = weight } }, { pred, truth, { normalize = "none" } },
} }

metrics.precision_recall_f1 = { function(p, y, options)
  local labels = options.labels or classes_of(p, y)
  local result = { labels = labels, precision = {}, recall = {}, f1 = {}, support = {} }
  local zero = options.zero_division or 0
  local function divide(a, b) return b == 0 and zero or a / b end
  local right, predicted, is = 0, 0, 0
  for c, label in ipairs(labels) do
    local r = share(#y, options, function(i) return p[i] == label and y[i] == label end)
    local q = share(#y, options, function(i) return p[i] == label end)
    local s = share(#y, options, function(i) return y[i] == label end)
    result.precision[c], result.recall[c], result.f1[c] = divide(r, q), divide(r, s), divide(2 * r, q + s)
    result.support[c] = s
    right, predicted, is = right + r, predicted + q, is + s
  end
  result.micro = { precision = divide(right, predicted), recall = divide(right, is) }
  result.micro.f1 = divide(2 * right, predicted + is)
  result.macro, result.weighted = {}, {}
  for _, name in ipairs { "precision", "recall", "f1" } do
    local sum, weighted = 0, 0
    for c, value in ipairs(result[name]) do
      sum, weighted = sum + value, weighted + value * result.support[c]
    end
    result.macro[name], result.weighted[name] = sum / #labels, divide(weighted, is)
  end
  return result
end, {
  { pred, truth }, { pred, truth, { sample_weight = weight } }, { pred, truth, { labels = { 3, 9, 1 } } },
  { pred, truth, { labels = { 5, 9 }, zero_division = 1 } }, { { 1, 1 }, { 2, 2 } }, { { 1 }, { 1 } },
} }

-- ---- scores ----

local function column(s, c)
  local list = {}
  for i, row in ipairs(s) do list[i] = row[c] end
  return list
end

-- Scores and the label for which they speak.
local function binary(s, y, options)
  local positive = options.positive or options.classes and options.classes[2] or classes_of(y)[2]
  return type(s[1]) == "table" and column(s, 2) or s, positive
end

-- Of pairs of a positive and a negative row, the weight of those in order; ties count half.
local function ordered_pairs(s, y, positive, options)
  local right, all = 0, 0
  for i = 1, #y do
    for j = 1, #y do
      if y[i] == positive and y[j] ~= positive then
        local w = weight_of(options, i) * weight_of(options, j)
        all = all + w
        right = right + (s[i] > s[j] and w or s[i] == s[j] and w / 2 or 0)
      end
    end
  end
  return right / all
end

-- All points of the curve; `roc_curve` without drop_intermediate.
local function points(s, y, options)
  local positive
  s, positive = binary(s, y, options)
  local at, result = {}, { fpr = { 0 }, tpr = { 0 }, thresholds = { math.huge } }
  for i, score in ipairs(s) do
    if weight_of(options, i) > 0 then at[#at + 1] = score end
  end
  table.sort(at, function(a, b) return a > b end)
  local function rate(threshold, is_positive)
    local part = share(#y, options, function(i) return (y[i] == positive) == is_positive and s[i] >= threshold end)
    return part / share(#y, options, function(i) return (y[i] == positive) == is_positive end)
  end
  for i, threshold in ipairs(at) do
    if threshold ~= at[i - 1] then
      table.insert(result.fpr, rate(threshold, false))
      table.insert(result.tpr, rate(threshold, true))
      table.insert(result.thresholds, threshold)
    end
  end
  return result
end

-- Whether point b lies on the straight line from a to c.
local function straight(r, a, b, c)
  local x, y = r.fpr, r.tpr
  return math.abs((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])) < 1e-12
end

-- What is left out lies on the line between neighbours: the twin keeps the points that the metric keeps, if it may.
local function roc_curve(s, y, options, got)
  local all = points(s, y, options)
  if options.drop_intermediate == false then return all end
  local kept, index = { fpr = {}, tpr = {}, thresholds = {} }, {}
  for k, threshold in ipairs(all.thresholds) do
    for _, shown in ipairs(got.thresholds) do
      if shown == threshold then index[#index + 1] = k end
    end
  end
  for n, k in ipairs(index) do
    for name, list in pairs(kept) do list[n] = all[name][k] end
    for between = (index[n - 1] or 0) + 1, k - 1 do
      assert(index[n - 1] and straight(all, index[n - 1], between, k), "a point was left out that is on no line")
    end
  end
  assert(index[#index] == #all.fpr, "the last point was left out")
  return kept
end

local probabilities = {
  { 0.2, 0.5, 0.3 }, { 0.1, 0.8, 0.1 }, { 0.6, 0.2, 0.2 }, { 0.3, 0.3, 0.4 }, { 0.3, 0.3, 0.4 }, { 0, 0, 1 },
  { 0.5, 0.5, 0 }, { 0.1, 0.2, 0.7 }, { 0.9, 0.05, 0.05 }, { 0.2, 0.5, 0.3 }, { 0, 1, 0 }, { 0.3, 0.1, 0.6 },
}
local pairs_of_two = {}
for i, score in ipairs(scores) do pairs_of_two[i] = { -score, score } end

metrics.roc_curve = { roc_curve, {
  { scores, two }, { scores, two, { drop_intermediate = false } }, { scores, two, { positive = 4 } },
  { scores, two, { sample_weight = weight } }, { scores, two, { sample_weight = weight, drop_intermediate = false } },
  { pairs_of_two, two }, { scores, truth, { positive = 2, drop_intermediate = false } },
  { { 1, 2, 3, 4 }, { 1, 1, 2, 2 } }, { { 1, 2, 3, 4 }, { 1, 1, 2, 2 }, { drop_intermediate = true } },
} }

metrics.roc_auc = { function(s, y, options)
  if type(s[1]) ~= "table" or #s[1] == 2 then
    local list, positive = binary(s, y, options)
    return ordered_pairs(list, y, positive, options)
  end
  local areas, sum, all = {}, 0, 0
  for c, label in ipairs(options.classes or classes_of(y)) do
    areas[c] = ordered_pairs(column(s, c), y, label, options)
    local w = options.average == "weighted" and share(#y, options, function(i) return y[i] == label end) or 1
    sum, all = sum + w * areas[c], all + w
  end
  return options.average == "none" and areas or sum / all
end, {
  { scores, two }, { scores, two, { positive = 4 } }, { scores, two, { sample_weight = weight } },
  { pairs_of_two, two }, { pairs_of_two, two, { classes = { 7, 4 } } }, { probabilities, truth },
  { probabilities, truth, { average = "weighted" } },
  { probabilities, truth, { average = "none", sample_weight = weight } },
  { probabilities, truth, { classes = { 3, 1, 2 }, average = "none" } },
  { probabilities, truth, { average = "macro" } },
} }

metrics.log_loss = { function(p, y, options)
  local eps, classes = options.eps or 2 ^ -52, options.classes or classes_of(y)
  local sum, all = 0, 0
  local function limited(x) return math.max(eps, math.min(1 - eps, x)) end
  for i, label in ipairs(y) do
    local row, total = type(p[i]) == "table" and p[i] or { 1 - limited(p[i]), p[i] }, 0
    for _, x in ipairs(row) do total = total + limited(x) end
    for c, class in ipairs(classes) do
      if class == label then sum = sum - weight_of(options, i) * math.log(limited(row[c]) / total) end
    end
    all = all + weight_of(options, i)
  end
  return sum / all
end, {
  { probabilities, truth }, { probabilities, truth, { sample_weight = weight } },
  { probabilities, truth, { eps = 0.1 } }, { probabilities, truth, { classes = { 2, 1, 3 } } },
  { { 0.2, 0.9, 1, 0 }, { 4, 7, 7, 4 } }, { { 0.2, 1 }, { 4, 4 }, { classes = { 4, 7 } } },
  { { { 0.2, 0.7 }, { 1, 1 } }, { 4, 7 } },
} }

-- ---- numbers ----

-- The mean over columns of f(list of predictions, list of targets).
local function by_column(f)
  return function(p, y, options)
    if type(y[1]) ~= "table" then return f(p, y, options) end
    local sum = 0
    for c = 1, #y[1] do sum = sum + f(column(p, c), column(y, c), options) end
    return sum / #y[1]
  end
end

local function mean(n, options, f)
  local sum, all = 0, 0
  for i = 1, n do
    sum, all = sum + weight_of(options, i) * f(i), all + weight_of(options, i)
  end
  return sum / all
end

local rows = {}
for i, score in ipairs(scores) do rows[i] = { score, i * score, 3 } end
local targets = {}
for i = 1, #rows do targets[i] = { truth[i], -i, 3 } end

local cases = {
  { scores, truth }, { scores, truth, { sample_weight = weight } }, { rows, targets },
  { rows, targets, { sample_weight = weight } }, { { 1.5 }, { 2 } }, { { 1, 2 }, { 3, 3 } }, { { 3, 3 }, { 3, 3 } },
}

metrics.mse = { by_column(function(p, y, options)
  return mean(#y, options, function(i) return (p[i] - y[i]) ^ 2 end)
end), cases }
metrics.mae = { by_column(function(p, y, options)
  return mean(#y, options, function(i) return math.abs(p[i] - y[i]) end)
end), cases }
metrics.r2 = { by_column(function(p, y, options)
  if #y < 2 then return 0 / 0 end
  local middle = mean(#y, options, function(i) return y[i] end)
  local residual = mean(#y, options, function(i) return (p[i] - y[i]) ^ 2 end)
  local constant = true
  for i = 2, #y do constant = constant and y[i] == y[1] end
  if constant then return residual == 0 and 1 or 0 end
  return 1 - residual / mean(#y, options, function(i) return (y[i] - middle) ^ 2 end)
end), cases }

return metrics
