-- peri.metrics: how good predictions are. Labels are any whole numbers; the meaning is scikit-learn's.
local peri, internal = ...
local check, input = internal.check, internal.load("learn.input", peri, internal)
local fail = check.fail

local metrics = {}

local function document(name, doc, f) internal.document(name, doc, f, metrics) end

local function float64(list) return peri.tensor(list, { dtype = "float64" }) end
local function int64(list) return peri.tensor(list, { dtype = "int64" }) end

-- Predictions and labels as lists of integers, and weights (a list or nil).
local function read_labels(operation, pred, y, options)
  local p, t = input.labels(operation, "pred", pred), input.labels(operation, "y", y)
  input.same_length(operation, "pred", #p, "y", #t)
  return p, t, input.weights(operation, options.sample_weight, #t)
end

-- Labels as int64, which a tensor of labels is as it stands.
local function label_tensor(operation, name, value)
  local ready = peri.is_tensor(value) and value.dtype == "int64" and value:dim() == 1 and #value > 0
  return ready and value:contiguous() or int64(input.labels(operation, name, value))
end

-- The classes that an option lists, in its order, or those that occur.
local function choose_classes(operation, name, given, ...)
  if given == nil then return input.classes(...) end
  local list, position = input.labels(operation, name, given), {}
  for i, label in ipairs(list) do
    if position[label] then fail("%s: %s has %d twice", operation, name, label) end
    position[label] = i
  end
  return list, position
end

local function check_known(operation, t, position)
  for i, label in ipairs(t) do
    if not position[label] then fail("%s: entry %d of y is %d, which is none of classes", operation, i, label) end
  end
end

-- ---- classes ----

document("accuracy", [[
metrics.accuracy(pred, y, {sample_weight =}) -> number
The share of entries of pred (n whole numbers) that equal those of y, weighted
if asked. Tensors or Lua tables.
Errors: lengths that differ; entries that are no whole numbers; weights that are
negative, not finite or all 0.]],
  function(pred, y, options)
    options = check.only("accuracy", options, "sample_weight")
    local p, t = label_tensor("accuracy", "pred", pred), label_tensor("accuracy", "y", y)
    input.same_length("accuracy", "pred", #p, "y", #t)
    local weights = input.weights("accuracy", options.sample_weight, #t)
    return internal.data.accuracy(p, t, weights and float64(weights))
  end)

local Confusion = {}

function Confusion.__index(self, key)
  if math.type(key) then return self.matrix[key] end
  return Confusion[key]
end

function Confusion.__len(self) return #self.labels end

Confusion.__tostring = check.guard("tostring", function(self)
  local rows = { { "true \\ pred" } }
  local whole = self.matrix.dtype == "int64"
  for i, label in ipairs(self.labels) do
    rows[1][i + 1] = tostring(label)
    local row = { tostring(label) }
    for j, value in ipairs(self.matrix[i]:totable()) do
      row[j + 1] = whole and tostring(value) or ("%.4f"):format(value)
    end
    rows[i + 1] = row
  end
  return input.aligned(rows)
end)

local function normalized(matrix, by)
  local sums = by == "true" and matrix:sum(2, true) or by == "pred" and matrix:sum(1, true) or matrix:sum()
  return peri.where(sums:eq(0), peri.zeros_like(matrix), matrix / sums)
end

document("confusion_matrix", [[
metrics.confusion_matrix(pred, y, {labels =, normalize = 'none', sample_weight =}) -> table
How often each class (row) was predicted as each class (column): matrix (k x k,
int64; float64 with weights or normalize), labels (list of k: those that occur,
ascending, or as given; entries of others are left out). c[i] is a row of the
matrix, tostring gives a table, c:plot() a picture. normalize is 'none', or divides by the sums of
'true' (rows), 'pred' (columns) or 'all'; where a sum is 0 the result is 0.
Errors: as accuracy; labels none of which occurs in y, or one twice.]],
  function(pred, y, options)
    local operation = "confusion_matrix"
    options = check.only(operation, options, "labels normalize sample_weight")
    local by = check.choice(operation, "normalize", options.normalize or "none", "none true pred all")
    local p, t, weights = read_labels(operation, pred, y, options)
    local labels, position = choose_classes(operation, "labels", options.labels, p, t)
    local counts, seen = {}, false
    for i = 1, #labels do
      counts[i] = {}
      for j = 1, #labels do counts[i][j] = weights and 0.0 or 0 end
    end
    for i = 1, #t do
      local row, column = position[t[i]], position[p[i]]
      seen = seen or row ~= nil
      if row and column then counts[row][column] = counts[row][column] + (weights and weights[i] or 1) end
    end
    if not seen then fail("%s: none of the labels occurs in y", operation) end
    local matrix = peri.tensor(counts, { dtype = weights and "float64" or "int64" })
    if by ~= "none" then matrix = normalized(matrix:to "float64", by) end
    return setmetatable({ matrix = matrix, labels = labels }, Confusion)
  end)

internal.set_class("metrics.confusion", "Methods of confusion matrices", Confusion)

internal.document("plot", [[
c:plot{names =, title =, xlabel = 'predicted', ylabel = 'true', ...} -> figure
The matrix as a heat map with its counts or shares; names (a list) stand for the
labels. Further options: those of plot.figure.
Errors: names that are not as many as the labels.]], check.guard("plot", function(self, options)
    check.called("plot", getmetatable(self) == Confusion, self, "c:plot(...)")
    return peri.plot and internal.view("confusion", self, options)
  end), Confusion)

local Report = {}

Report.__tostring = check.guard("tostring", function(self)
  local rows = { { "class", "precision", "recall", "f1", "support" } }
  local function add(name, precision, recall, f1, support)
    local row = { name }
    for i, value in ipairs { precision, recall, f1 } do row[i + 1] = ("%.4f"):format(value) end
    row[5] = support and ("%.6g"):format(support) or ""
    rows[#rows + 1] = row
  end
  for i, label in ipairs(self.labels) do
    add(tostring(label), self.precision[i], self.recall[i], self.f1[i], self.support[i])
  end
  for _, name in ipairs { "micro", "macro", "weighted" } do
    local mean = self[name]
    add(name, mean.precision, mean.recall, mean.f1)
  end
  return input.aligned(rows)
end)

-- How often each label is right, is predicted and is true.
local function count_labels(p, t, weights)
  local right, predicted, true_ = {}, {}, {}
  for i = 1, #t do
    local w = weights and weights[i] or 1
    predicted[p[i]] = (predicted[p[i]] or 0) + w
    true_[t[i]] = (true_[t[i]] or 0) + w
    if p[i] == t[i] then right[t[i]] = (right[t[i]] or 0) + w end
  end
  return right, predicted, true_
end

local ZERO_OR_ONE = check.test("0 or 1", function(v) return v == 0 or v == 1 end, check.kinds.number)

document("precision_recall_f1", [[
metrics.precision_recall_f1(pred, y, {labels =, zero_division = 0, sample_weight =}) -> table
For each class: precision (right among those predicted so), recall (right among
those that are so) and f1 = 2 right / (predicted + true), float64 tensors of k;
support (k: how many, or how much weight, are of the class); labels (list of k:
those that occur, ascending, or as given). macro, weighted (by support) and
micro are their means over classes: {precision =, recall =, f1 =}. tostring
gives a table.
zero_division (0 or 1) stands where a quotient is 0/0: precision of a class
never predicted, recall of one that is not in y, f1 of one that is neither, and
what is weighted when no class has support.
Errors: as accuracy; labels with one twice.]],
  function(pred, y, options)
    local operation = "precision_recall_f1"
    options = check.only(operation, options, "labels sample_weight zero_division")
    local undefined = check.read(operation, "zero_division", options.zero_division or 0, ZERO_OR_ONE)
    local p, t, weights = read_labels(operation, pred, y, options)
    local labels = choose_classes(operation, "labels", options.labels, p, t)
    local right, predicted, true_ = count_labels(p, t, weights)
    local function quotient(a, b) return b == 0 and undefined + 0.0 or a / b end
    local columns = { precision = {}, recall = {}, f1 = {} }
    local support, all = {}, { right = 0, predicted = 0, true_ = 0 }
    for i, label in ipairs(labels) do
      local r, q, s = right[label] or 0, predicted[label] or 0, true_[label] or 0
      columns.precision[i], columns.recall[i], columns.f1[i] = quotient(r, q), quotient(r, s), quotient(2 * r, q + s)
      support[i] = s
      all.right, all.predicted, all.true_ = all.right + r, all.predicted + q, all.true_ + s
    end
    local result = { labels = labels, macro = {}, weighted = {} }
    for name, values in pairs(columns) do
      local sum, weighted = 0.0, 0.0
      for i, value in ipairs(values) do
        sum = sum + value
        weighted = weighted + value * support[i]
      end
      result[name] = float64(values)
      result.macro[name], result.weighted[name] = sum / #labels, quotient(weighted, all.true_)
    end
    result.micro = {
      precision = quotient(all.right, all.predicted), recall = quotient(all.right, all.true_),
      f1 = quotient(2 * all.right, all.predicted + all.true_),
    }
    result.support = peri.tensor(support, { dtype = weights and "float64" or "int64" })
    return setmetatable(result, Report)
  end)

-- ---- scores ----

-- Scores of n or n x k (k from 2), float64 or int64, and labels as a list.
local function read_scores(operation, name, scores, y)
  local s, t = input.exact(operation, name, scores), input.labels(operation, "y", y)
  if s:dim() == 2 and s:size(2) < 2 then
    fail("%s: %s has shape %s (expected n, or n x k with a column for each class)", operation, name,
      table.concat(s.shape, "x"))
  end
  input.same_length(operation, name, #s, "y", #t)
  if s:ne(s):any() then fail("%s: %s has NaN", operation, name) end
  return s, t
end

-- The label that counts as positive: as given, else the larger of two. Scores of two columns give their second.
local function read_binary(operation, s, t, positive)
  local classes, position = input.classes(t)
  if s:dim() == 2 then
    if s:size(2) > 2 then
      fail("%s: scores has %d columns (expected n, or n x 2 of two classes)", operation, s:size(2))
    end
    s = s:select(2, 2)
  end
  if positive == nil then
    if #classes > 2 then fail("%s: y has %d classes (expected 2, or option positive)", operation, #classes) end
    positive = classes[2]
  elseif not position[check.read(operation, "positive", positive, check.kinds.whole)] then
    fail("%s: positive is %d but y has none of it", operation, positive)
  end
  if #classes < 2 then
    fail("%s: y has one class only (%d), so there is no rate of the other", operation, classes[1])
  end
  return s, math.tointeger(positive)
end

-- Weights of negatives and of positives at or above each score that occurs, from the highest down.
local function cumulate(operation, scores, t, positive, weights)
  local values, order = scores:contiguous():sort(1, true)
  values, order = values:totable(), order:totable()
  local fps, tps, thresholds, fp, tp = {}, {}, {}, 0.0, 0.0
  local last
  for i, row in ipairs(order) do
    local w = weights and weights[row] or 1
    if w > 0 then
      if last ~= values[i] then
        last = values[i]
        thresholds[#thresholds + 1] = last
      end
      if t[row] == positive then tp = tp + w else fp = fp + w end
      fps[#thresholds], tps[#thresholds] = fp, tp
    end
  end
  if tp == 0 or fp == 0 then
    fail("%s: no row %s class %d has weight", operation, tp == 0 and "of" or "outside of", positive)
  end
  return fps, tps, thresholds
end

document("roc_curve", [[
metrics.roc_curve(scores, y, {positive =, drop_intermediate = true, sample_weight =}) -> {fpr =, tpr =, thresholds =}
The rates of false and of true positives when rows with scores >= threshold
count as positive, float64 tensors that begin at (0, 0) with threshold infinity;
rows of equal score come in together. scores are n, as decision_function gives
them (or n x 2, as predict_proba does: column 2 counts); positive is the label
that they speak for, by default the larger of two. drop_intermediate leaves out
points half-way between their neighbours, as scikit-learn does: on a straight
line the ends of equal steps stay, and no curve drawn looks different.
Errors: lengths that differ; NaN; y of one class, or of more than two without
positive. T. Fawcett, 'An introduction to ROC analysis', 2006.]],
  function(scores, y, options)
    local operation = "roc_curve"
    options = check.only(operation, options, "drop_intermediate positive sample_weight")
    local drop = check.flag(operation, "drop_intermediate", options.drop_intermediate, true)
    local s, t = read_scores(operation, "scores", scores, y)
    local weights = input.weights(operation, options.sample_weight, #t)
    local positive
    s, positive = read_binary(operation, s, t, options.positive)
    local fps, tps, thresholds = cumulate(operation, s, t, positive, weights)
    local n, fpr, tpr, at = #fps, { 0.0 }, { 0.0 }, { math.huge }
    local function bends(list, i) return list[i + 1] - list[i] ~= list[i] - list[i - 1] end
    for i = 1, n do
      if not drop or i == 1 or i == n or bends(fps, i) or bends(tps, i) then
        fpr[#fpr + 1], tpr[#tpr + 1], at[#at + 1] = fps[i] / fps[n], tps[i] / tps[n], thresholds[i]
      end
    end
    return { fpr = float64(fpr), tpr = float64(tpr), thresholds = float64(at) }
  end)

-- By trapezoids: ties count half.
local function area(operation, scores, t, positive, weights)
  local fps, tps = cumulate(operation, scores, t, positive, weights)
  local all_fp, all_tp = fps[#fps], tps[#tps]
  local f, p = weights and all_fp or 1, weights and all_tp or 1 -- counts are whole, and their sums exact
  local sum, fp, tp = 0.0, 0.0, 0.0
  for i = 1, #fps do
    sum = sum + (fps[i] - fp) / f * ((tps[i] + tp) / p)
    fp, tp = fps[i], tps[i]
  end
  return sum / (2 * (all_fp / f) * (all_tp / p))
end

document("roc_auc", [[
metrics.roc_auc(scores, y, {positive =, classes =, average = 'macro', sample_weight =}) -> number
The area under the ROC curve: the share of pairs of a positive and a negative
row whose scores are in that order, ties counting half. scores of two classes as
for roc_curve. Of n x k scores (k > 2): each class against the rest by its
column, then the mean: 'macro', 'weighted' by the classes' weight in y, or
'none' (a float64 tensor of k). classes (list) says which label each column is
for, by default the labels of y, ascending.
Errors: as roc_curve; a number of classes that is not that of the columns; a
class that y has not, or a label of y that is none of classes.]],
  function(scores, y, options)
    local operation = "roc_auc"
    options = check.only(operation, options, "average classes positive sample_weight")
    local average = check.choice(operation, "average", options.average or "macro", "macro weighted none")
    local s, t = read_scores(operation, "scores", scores, y)
    local weights = input.weights(operation, options.sample_weight, #t)
    if s:dim() == 1 or s:size(2) == 2 then
      local positive = options.positive
      if options.classes ~= nil then
        local classes, position = choose_classes(operation, "classes", options.classes)
        if #classes ~= 2 then fail("%s: classes has %d labels (expected 2)", operation, #classes) end
        check_known(operation, t, position)
        if positive == nil then positive = classes[2] end
      end
      s, positive = read_binary(operation, s, t, positive)
      return area(operation, s, t, positive, weights)
    end
    if options.positive ~= nil then
      fail("%s: positive is for two classes, but scores has %d columns", operation, s:size(2))
    end
    local classes, position = choose_classes(operation, "classes", options.classes, t)
    if #classes ~= s:size(2) then
      fail("%s: scores has %d columns but there are %d classes (option classes says which they are)", operation,
        s:size(2), #classes)
    end
    check_known(operation, t, position)
    local _, _, support = count_labels(t, t, weights)
    local areas, sum, all = {}, 0.0, 0.0
    for c, label in ipairs(classes) do
      areas[c] = area(operation, s:select(2, c), t, label, weights)
      local share = average == "weighted" and support[label] or 1
      sum, all = sum + share * areas[c], all + share
    end
    return average == "none" and float64(areas) or sum / all
  end)

local EPSILON = { float32 = 2.0 ^ -23, float64 = 2.0 ^ -52 }

local BELOW_HALF = check.test("a number from 0 to below 0.5", function(v)
  return math.type(v) and v >= 0 and v < 0.5
end, check.kinds.number)

document("log_loss", [[
metrics.log_loss(probabilities, y, {classes =, eps =, sample_weight =}) -> number
The mean of -log(probability of the true class), weighted if asked.
probabilities are n x k (columns in the order of classes) or n (of the larger of
two classes); they are limited to [eps, 1 - eps] (eps by default 2^-23 of
float32, else 2^-52) and each row is divided by its sum, as scikit-learn does.
classes (list) are by default the labels of y, ascending.
Errors: lengths that differ; numbers outside [0, 1]; a number of classes that is
not that of the columns; a label that is none of classes.]],
  function(probabilities, y, options)
    local operation = "log_loss"
    options = check.only(operation, options, "classes eps sample_weight")
    local p, t = read_scores(operation, "probabilities", probabilities, y)
    p = p:to "float64"
    local weights = input.weights(operation, options.sample_weight, #t)
    if p:lt(0):any() or p:gt(1):any() then fail("%s: probabilities has numbers outside [0, 1]", operation) end
    local dtype = peri.is_tensor(probabilities) and probabilities.dtype or "float64"
    local eps = options.eps or EPSILON[dtype] or EPSILON.float64
    check.read(operation, "eps", eps, BELOW_HALF)
    p = p:clamp(eps, 1 - eps)
    if p:dim() == 1 then p = peri.stack({ 1 - p, p }, 2) end
    local classes, position = choose_classes(operation, "classes", options.classes, t)
    if #classes ~= p:size(2) then
      fail("%s: probabilities are of %d classes but there are %d (option classes says which they are)", operation,
        p:size(2), #classes)
    end
    check_known(operation, t, position)
    local columns = {}
    for i, label in ipairs(t) do columns[i] = position[label] end
    local index = peri.tensor(columns, { dtype = "int64" }):unsqueeze(2)
    local losses = (p / p:sum(2, true)):gather(2, index):squeeze(2):log():neg()
    if not weights then return losses:mean():item() end
    local w = float64(weights)
    return (losses * w):sum():item() / w:sum():item()
  end)

-- ---- numbers ----

-- Predictions and targets of one shape as n x d, float64 or int64; weights n x 1 that sum to 1; those given, n or nil.
local function read_numbers(operation, pred, y, options)
  options = check.only(operation, options, "sample_weight")
  local p, t = input.exact(operation, "pred", pred), input.exact(operation, "y", y)
  local a, b = table.concat(p.shape, "x"), table.concat(t.shape, "x")
  if a ~= b then fail("%s: pred is %s but y is %s", operation, a, b) end
  local weights = input.weights(operation, options.sample_weight, #t)
  local given = weights and float64(weights)
  local w = given or peri.ones(#t, { dtype = "float64" })
  return p:reshape(#p, -1), t:reshape(#t, -1), (w / w:sum()):unsqueeze(2), given
end

-- a - b as float64: of integers first subtracted, where that does not overflow.
local function less(a, b)
  local rough = a:to "float64" - b:to "float64"
  if a.dtype ~= "int64" or b.dtype ~= "int64" then return rough end
  return peri.where(rough:abs():lt(2.0 ^ 62), (a - b):to "float64", rough)
end

document("mse", [[
metrics.mse(pred, y, {sample_weight =}) -> number
The mean of (pred - y)^2 over the rows (weighted if asked) and columns of n or n
x d numbers. NaN and infinities count.
Errors: shapes that differ; weights that are negative, not finite or all 0.]],
  function(pred, y, options)
    local p, t, w = read_numbers("mse", pred, y, options)
    return (less(p, t):square() * w):sum(1):mean():item()
  end)

document("mae", [[
metrics.mae(pred, y, {sample_weight =}) -> number
The mean of |pred - y| over the rows (weighted if asked) and columns of n or n x
d numbers. NaN and infinities count.
Errors: as mse.]],
  function(pred, y, options)
    local p, t, w = read_numbers("mae", pred, y, options)
    return (less(p, t):abs() * w):sum(1):mean():item()
  end)

document("r2", [[
metrics.r2(pred, y, {sample_weight =}) -> number
1 - (sum of (pred - y)^2) / (sum of (y - mean of y)^2), weighted if asked: 1 is
perfect, 0 is what the mean gives. Of n x d numbers the mean over columns. A
column of y that is constant gives 1 when pred equals it, else 0; a single row
NaN.
Errors: as mse.]],
  function(pred, y, options)
    local p, t, _, weights = read_numbers("r2", pred, y, options)
    if #t < 2 then return 0 / 0 end
    local off = less(t, p)
    local from = t.dtype == "int64" and less(t, t[{ { 1, 1 } }]) or t -- integers beyond 2^53 are told apart
    local sum = 0.0
    for j = 1, t:size(2) do
      sum = sum + internal.data.r_squared(from:select(2, j):contiguous(), off:select(2, j):contiguous(), weights)
    end
    return sum / t:size(2)
  end)

return metrics
