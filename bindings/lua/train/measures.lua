-- What is measured of a training: the loss, the share of right labels or R^2, and metrics of the script's own.
local peri, internal = ...
local fail, describe = internal.check.fail, internal.check.describe

local measures = {}

local CHUNK = 1024 -- rows measured or predicted at a time

-- f(from, to) for pieces of n rows.
function measures.in_chunks(n, f)
  for from = 1, n, CHUNK do f(from, math.min(n, from + CHUNK - 1)) end
end

-- The batches of a set: of its source, or pieces of its rows.
local function pieces(set, epoch)
  if set.source then return set.source:each(epoch, 0) end
  local from = 1 - CHUNK
  return function()
    from = from + CHUNK
    if from > #set.X then return nil end
    local rows = { { from, math.min(#set.X, from + CHUNK - 1) } }
    return set.X[rows], set.y[rows], set.w and set.w[rows]
  end
end

-- ---- losses ----
-- A loss with reduction 'sum' is divided by rows too. Of weighted rows, n is the sum of the weights w.

function measures.is_sum(loss)
  local ok, reduction = pcall(function() return loss.reduction end)
  return ok and reduction == "sum"
end

-- The loss of weighted rows, f(scores, y, w, n), from one of single elements: sum(w l) / n, or sum(w l).
function measures.weighted(elements, sums_rows)
  return function(scores, y, w, n)
    local l = elements(scores, y)
    if l:dim() == 2 then l = sums_rows and l:sum(2) or l:mean(2) end
    local sum = (l * w):sum()
    return sums_rows and sum or sum / n
  end
end

function measures.loss_of(job, scores, y, w, n)
  if not w then return job.loss(scores, y) end
  if not job.weighted_loss then fail "fit: weights of rows are for CrossEntropyLoss and MSELoss" end
  return job.weighted_loss(scores, y, w, n)
end

-- ---- running sums over batches ----
-- Numbers and tensors alone, which a checkpoint holds as they are.

function measures.new_sums() return { loss = 0, rows = 0, right = 0, squares = 0, metrics = {} } end

-- The sum of squared deviations of the targets from their means.
function measures.spread(y, w)
  if not w then return (y - y:mean(1, true)):to("float64"):square():sum():item() end
  y, w = y:to "float64", w:to("float64"):unsqueeze(2)
  return ((y - (y * w):sum(1, true) / w:sum()):square() * w):sum():item()
end

-- The same of targets that come in batches: counts, means and squares of two sets as those of both (T. Chan, G. Golub,
-- R. LeVeque 1983).
local function add_spread(sums, y, w, n)
  y, w = y:to "float64", w and w:to("float64"):unsqueeze(2)
  local mean = (w and y * w or y):sum(1, true) / n
  local squares = (y - mean):square()
  squares = (w and squares * w or squares):sum(1, true)
  if sums.mean then
    local delta, both = mean - sums.mean, sums.rows + n
    squares = squares + sums.deviation + delta:square() * (sums.rows * n / both)
    mean = sums.mean + delta * (n / both)
  end
  sums.mean, sums.deviation = mean, squares
end

-- n: rows, or the sum of their weights w. total: whether the spread of the targets is known already. squares: the sum
-- of squared errors, where it is known.
function measures.add(job, sums, loss, scores, y, n, w, total, squares)
  if not job.classes then
    if not squares then
      squares = (scores:detach() - y):square()
      squares = (w and squares * w:unsqueeze(2) or squares):sum()
    end
    sums.squares = sums.squares + squares:item()
    if not total then add_spread(sums, y, w, n) end
  else
    sums.right = sums.right + internal.data.hits(scores, y, w and w:to "float64")
  end
  sums.loss = sums.loss + (job.sums_rows and loss or loss * n)
  sums.rows = sums.rows + n
end

-- What the script's own function gives for scores and targets, as a number.
local function metric_of(metric, scores, y)
  local value = metric.f(scores, y)
  if peri.is_tensor(value) and value:numel() == 1 then value = value:item() end
  if not math.type(value) then
    fail("fit: metric %s gives %s (expected a number or a tensor of one)", metric.name, describe(value))
  end
  return value
end

-- Metrics of a mini-batch of n rows as it was before the step.
function measures.add_metrics(job, sums, scores, y, n)
  for _, metric in ipairs(job.metrics) do
    local value = peri.no_grad(metric_of, metric, scores:detach(), y)
    sums.metrics[metric.name] = (sums.metrics[metric.name] or 0) + value * n
  end
end

-- ---- into the epoch's record ----

function measures.record(job, state, set, sums, total)
  state[set .. "_loss"] = sums.loss / sums.rows
  if job.classes then
    state[set .. "_accuracy"] = sums.right / sums.rows
  else
    total = total or sums.deviation and sums.deviation:sum():item() or 0 / 0
    state[set .. "_r2"] = internal.data.r_squared_of(sums.squares, total)
  end
  for name, sum in pairs(sums.metrics) do state[set .. "_" .. name] = sum / sums.rows end
end

-- The same of many epochs of the training set: sums is 4 x n float64, of losses, right labels, squared errors and rows.
function measures.of_sums(job, sums)
  local rows, total = sums[4], job.train.total
  local columns = { train_loss = sums[1] / rows }
  if job.classes then
    columns.train_accuracy = sums[2] / rows
  elseif total == 0 then
    columns.train_r2 = sums[3]:eq(0):to "float64"
  else
    columns.train_r2 = 1 - sums[3] / total
  end
  return columns
end

-- What stands for the measures of an epoch whose loss is no longer finite.
function measures.record_nothing(job, state, set)
  local nan = 0 / 0
  local sums = { loss = nan, rows = 1, right = nan, squares = nan, metrics = {} }
  for _, metric in ipairs(job.metrics) do sums.metrics[metric.name] = nan end
  measures.record(job, state, set, sums, nan)
end

-- f() with the averages of the parameters in their place, where there are any.
function measures.with_average(job, f)
  if job.ema then return job.ema:apply(f) end
  return f()
end

-- ---- a whole set in one call ----

-- Whether that needs nothing of the script's.
local function is_plain(job, set)
  return set.X and not set.w and not job.elements and not job.ema and #job.metrics == 0 and #set.X > 0
    and internal.nn.plain(job.model) and internal.nn.plain(job.loss)
end

-- As the step of an epoch, which changes nothing (loop.lua).
local function step_of(job)
  local model, loss, classes = job.model, job.loss, job.classes
  return function(x, y)
    return peri.no_grad(function()
      local scores = model(x)
      return loss(scores, y), classes and scores or (scores - y):square():sum()
    end)
  end
end

-- The sums over the set, or nil where the loss of a part is not finite.
local function sums_of(job, set)
  local at = { batch = 0, rows = 0, batches = 0, steps = 0, sums = measures.new_sums() }
  set.loader = set.loader or peri.data.loader({ set.X, set.y }, { batch_size = CHUNK })
  job.measuring = job.measuring or {
    replay = internal.steps.new(step_of(job)),
    how = { accumulate = 1, measures = true, classes = job.classes ~= nil, by_rows = not job.sums_rows },
  }
  job.model:eval()
  internal.steps.begin(set.loader, 2)
  local said
  repeat said = job.go(job, job.measuring.replay, set.loader, at, job.measuring.how) until said ~= "on"
  return said == "end" and at.sums or nil
end

-- Measures a whole set as the model is now; metrics see all of it at once.
function measures.measure(job, state, name, set)
  local quickly = job.go and is_plain(job, set) and sums_of(job, set)
  if quickly then return measures.record(job, state, name, quickly, set.total) end
  local sums, scores_of, targets = measures.new_sums(), {}, {}
  local function run()
    job.model:eval()
    for x, y, w in pieces(set, state.epoch) do
      local n, scores = w and w:sum():item() or #y, job.model(x)
      local loss = measures.loss_of(job, scores, y, w, n)
      measures.add(job, sums, loss:item(), scores, y, n, w, set.total)
      if #job.metrics > 0 then scores_of[#scores_of + 1], targets[#targets + 1] = scores, y end
    end
    if sums.rows == 0 then fail("fit: %s gives no mini-batch", name) end
    local scores = #scores_of > 0 and peri.cat(scores_of, 1)
    for _, metric in ipairs(job.metrics) do
      sums.metrics[metric.name] = metric_of(metric, scores, peri.cat(targets, 1)) * sums.rows
    end
  end
  measures.with_average(job, function() peri.no_grad(run) end)
  measures.record(job, state, name, sums, set.total)
end

return measures
