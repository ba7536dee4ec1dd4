-- The training loop: epochs of mini-batches, measures of both sets, early stopping.
local peri, internal, progress = ...

local CHUNK = 1024 -- rows measured or predicted at a time

-- f(from, to) for pieces of n rows.
local function in_chunks(n, f)
  for from = 1, n, CHUNK do f(from, math.min(n, from + CHUNK - 1)) end
end

-- The mode of each module, so that what training and predicting do to it can be undone; containers come after what they
-- hold, and set its mode too.
local function modes_of(model)
  local modes = {}
  if type(model) == "userdata" then
    peri.nn.Module.apply(model, function(m) modes[#modes + 1] = { m, m.training } end)
  elseif type(rawget(model, "training")) == "boolean" then
    modes[1] = { model, model.training }
  end
  return modes
end

local function restore(modes)
  for i = #modes, 1, -1 do
    local m, training = modes[i][1], modes[i][2]
    if m.training ~= training then
      if training then m:train() else m:eval() end
    end
  end
end

-- f(...), after which, also when it fails, each module of the model has the mode that it had.
local function keeping_modes(model, f, ...)
  local modes = modes_of(model)
  local _ <close> = setmetatable({}, { __close = function() restore(modes) end })
  return f(...)
end

-- The first two rows through the model, before anything is trained: its scores, their targets, and a function that
-- gives their loss.
local function try(job)
  local rows = { { 1, math.min(2, #job.train.X) } }
  local y = job.train.y[rows]
  local scores = keeping_modes(job.model, function()
    job.model:eval()
    return peri.no_grad(job.model, job.train.X[rows])
  end)
  return scores, y, function() return peri.no_grad(job.loss, scores, y) end
end

-- What the model gives for X, without recording and in eval mode.
local function predict(model, X)
  model:eval()
  if #X == 0 then return model(X) end
  local parts = {}
  in_chunks(#X, function(from, to) parts[#parts + 1] = model(X[{ { from, to } }]) end)
  return #parts == 1 and parts[1] or peri.cat(parts, 1)
end
local function forward(model, X) return keeping_modes(model, peri.no_grad, predict, model, X) end

-- ---- losses and measures ----
-- Running sums over batches, and what becomes of them. A loss with reduction 'sum' is divided by rows too. Of weighted
-- rows, n is the sum of the weights w.

local function is_sum(loss)
  local ok, reduction = pcall(function() return loss.reduction end)
  return ok and reduction == "sum"
end

-- The loss of weighted rows, f(scores, y, w, n), from one of single elements: sum(w l) / n, or sum(w l).
local function weighted(elements, sums_rows)
  return function(scores, y, w, n)
    local l = elements(scores, y)
    if l:dim() == 2 then l = sums_rows and l:sum(2) or l:mean(2) end
    local sum = (l * w):sum()
    return sums_rows and sum or sum / n
  end
end

local function new_sums() return { loss = 0, rows = 0, right = 0, squares = 0 } end

local function add(job, sums, loss, scores, y, n, w)
  sums.loss = sums.loss + (job.sums_rows and loss or loss * n)
  sums.rows = sums.rows + n
  if not job.classes then
    local squares = (scores:detach() - y):square()
    sums.squares = sums.squares + (w and squares * w:unsqueeze(2) or squares):sum():item()
  else
    sums.right = sums.right + internal.data.hits(scores, y, w and w:to "float64")
  end
end

-- The sum of squared deviations of the targets from their means.
local function spread(y, w)
  if not w then return (y - y:mean(1, true)):to("float64"):square():sum():item() end
  y, w = y:to "float64", w:to("float64"):unsqueeze(2)
  return ((y - (y * w):sum(1, true) / w:sum()):square() * w):sum():item()
end

-- Adds the measures of a set to the epoch's record.
local function record(job, state, set, sums, total)
  state[set .. "_loss"] = sums.loss / sums.rows
  if job.classes then
    state[set .. "_accuracy"] = sums.right / sums.rows
  else
    state[set .. "_r2"] = internal.data.r_squared_of(sums.squares, total)
  end
end

local function measure(job, state, name, set)
  local sums = new_sums()
  peri.no_grad(function()
    job.model:eval()
    in_chunks(#set.X, function(from, to)
      local x, y, w = set.X[{ { from, to } }], set.y[{ { from, to } }], set.w and set.w[{ { from, to } }]
      local n, scores = w and w:sum():item() or #y, job.model(x)
      local loss = w and job.weighted_loss(scores, y, w, n) or job.loss(scores, y)
      add(job, sums, loss:item(), scores, y, n, w)
    end)
  end)
  record(job, state, name, sums, set.total)
end

-- ---- one epoch ----

local function is_finite(x) return x - x == 0 end

-- One mini-batch by the model, the loss and the optimizer: its loss, and the scores before the step.
local function ordinary_step(job, x, y, n, w)
  job.optimizer:zero_grad()
  local scores = job.model(x)
  local loss = w and job.weighted_loss(scores, y, w, n) or job.loss(scores, y)
  local value = loss:item()
  if is_finite(value) then
    loss:backward()
    if job.clip_grad_norm then peri.nn.utils.clip_grad_norm_(job.parameters, job.clip_grad_norm) end
    job.optimizer:step()
  end
  return value, scores
end

-- Tells on_batch of a mini-batch; true when that ends the training. Its time does not count, and what it did to the
-- mode of the model is undone.
local function tell_batch(job, epoch, batch, loss)
  local start, told = peri.now(), job.told
  job.batches = job.batches + 1
  told.epoch, told.batch, told.batches, told.loss = epoch, batch, job.batches, loss
  told.seconds, told.learning_rate = start - job.start, job.optimizer and job.optimizer.lr
  local go_on = job.on_batch(told)
  job.model:train()
  local paused = peri.now() - start
  job.start = job.start + paused
  job.line:pause(paused)
  return go_on == false
end

-- Runs an epoch; gives the running sums and whether on_batch has ended it, or nothing, the mini-batch and its loss that
-- is no longer finite.
local function run_epoch(job, epoch, line)
  local sums, batch, rows = new_sums(), 0, 0
  job.model:train()
  for x, y, w in job.loader do
    local count, loss = #y, nil
    local n = w and w:sum():item() or count
    batch, rows = batch + 1, rows + count
    if job.step then
      job.step(x, y, w)
    else
      local scores
      loss, scores = ordinary_step(job, x, y, n, w)
      if not is_finite(loss) then return nil, batch, loss end
      if not job.measure_train then add(job, sums, loss, scores, y, n, w) end
    end
    if line.live then line:batch(epoch, rows) end
    if job.on_batch and tell_batch(job, epoch, batch, loss) then return sums, true end
  end
  return sums, false
end

-- ---- schedules ----

local function observes(scheduler)
  if type(scheduler) ~= "userdata" then return true end
  local name = tostring(scheduler):match "^%w+"
  for _, kind in ipairs(peri.optim.schedules()) do
    if kind.name == name then return kind.observes end
  end
  return true
end

-- The dev set's loss, or the training set's; where more is better, its accuracy or R^2.
local function metric(scheduler, state)
  local ok, mode = pcall(function() return scheduler.mode end)
  local set = state.dev_loss and "dev" or "train"
  if ok and mode == "max" then return state[set .. "_accuracy"] or state[set .. "_r2"] end
  return state[set .. "_loss"]
end

-- ---- early stopping ----

local Stopper = {}
Stopper.__index = Stopper

local function new_stopper(job)
  local wanted = job.early_stopping
  if not wanted then return nil end
  local monitor = wanted.monitor or (job.dev and "dev_loss" or "train_loss")
  return setmetatable({
    monitor = monitor, sign = monitor:find "_loss$" and 1 or -1, patience = wanted.patience or 10,
    min_delta = wanted.min_delta or 0, best = math.huge, waited = 0,
  }, Stopper)
end

-- Whether to stop after this epoch.
function Stopper:see(state, model)
  local value = self.sign * state[self.monitor]
  if value < self.best - self.min_delta then
    self.best, self.epoch, self.waited = value, state.epoch, 0
    self.parameters = model:state_dict()
    return false
  end
  self.waited = self.waited + 1
  return self.waited >= self.patience
end

-- ---- the whole ----

local function all_finite(parameters)
  for _, p in ipairs(parameters) do
    local values = p:detach()
    if not (values - values):eq(0):all() then return false end
  end
  return true
end

local function diverged(result, epoch, what)
  result.diverged, result.stopped = true, "diverged"
  result.note = ("diverged in epoch %d: %s (a smaller learning rate or clip_grad_norm may help)"):format(epoch, what)
end

local function named(loss) return loss ~= loss and "NaN" or loss > 0 and "infinite" or "minus infinity" end

local function call_back(job, state)
  local go_on, start = true, peri.now()
  for _, f in ipairs(job.callbacks) do
    if f(state) == false then go_on = false end
  end
  job.line:pause(peri.now() - start)
  return go_on
end

-- One epoch and what is known after it; true when training ends with it.
local function epoch_of(job, result, epoch, line, stopper)
  local rate = job.optimizer and tonumber(job.optimizer.lr)
  job.start = peri.now() - result.trained
  local sums, batch, loss = run_epoch(job, epoch, line)
  result.trained = peri.now() - job.start
  local state = {
    epoch = epoch, epochs = job.epochs, learning_rate = rate, seconds = result.trained, model = job.model,
    optimizer = job.optimizer,
  }
  if not sums then
    result.states[epoch] = state
    sums = { loss = 0 / 0, rows = 1, right = 0 / 0, squares = 0 / 0 }
    record(job, state, "train", sums, job.train.total)
    if job.dev then record(job, state, "dev", sums, job.dev.total) end
    diverged(result, epoch, ("the loss of mini-batch %d is %s"):format(batch, named(loss)))
    return true
  end
  if job.measure_train then
    measure(job, state, "train", job.train)
  else
    record(job, state, "train", sums, job.train.total)
  end
  if job.dev then measure(job, state, "dev", job.dev) end
  result.states[epoch] = state -- once it is whole
  line:epoch(state)
  local measured = state.dev_loss or state.train_loss
  if not is_finite(measured) then
    diverged(result, epoch, ("the loss on the %s set is %s"):format(job.dev and "dev" or "training", named(measured)))
    return true
  end
  if job.scheduler then
    if job.observes then job.scheduler:step(metric(job.scheduler, state)) else job.scheduler:step() end
  end
  local enough = stopper and stopper:see(state, job.model)
  if not call_back(job, state) or batch then
    result.stopped = "callback"
  elseif enough then
    result.stopped = "early_stopping"
  end
  return result.stopped ~= nil
end

local HISTORY = {
  "train_loss", "train_accuracy", "train_r2", "dev_loss", "dev_accuracy", "dev_r2", "learning_rate", "seconds",
}

local function history(result)
  for _, name in ipairs(HISTORY) do
    if result.states[1] and result.states[1][name] then
      local values = {}
      for i, state in ipairs(result.states) do values[i] = state[name] end
      result[name] = peri.tensor(values, { dtype = "float64" })
    end
  end
  result.epochs = #result.states
  result.states, result.trained = nil, nil
end

-- job: model, loss, optimizer or step, parameters, train {X, y, w or nil, total}, elements (for w, the loss of single
-- elements), dev, classes, and fit's options. Gives the history, epochs, stopped, best_epoch, monitor, diverged, note.
-- What there is so far stands in `so_far`, {result, stopper}, where it is found after an error.
local function trained(job, so_far)
  local result, stopper = { states = {}, trained = 0, diverged = false }, new_stopper(job)
  so_far.result, so_far.stopper = result, stopper
  job.told, job.batches = { model = job.model, optimizer = job.optimizer }, 0
  job.sums_rows, job.observes = is_sum(job.loss), job.scheduler and observes(job.scheduler)
  if job.elements then job.weighted_loss = weighted(job.elements, job.sums_rows) end
  job.loader = peri.data.loader({ job.train.X, job.train.y, job.train.w },
    { batch_size = job.batch_size, shuffle = job.shuffle, seed = job.seed })
  do
    local line <close> = progress(job.progress, job.epochs, #job.train.X, peri.now)
    job.line = line
    for epoch = 1, job.epochs do
      if epoch_of(job, result, epoch, line, stopper) then break end
    end
    if not result.diverged and not all_finite(job.parameters) then
      diverged(result, #result.states, "parameters are no longer finite")
    end
    if result.note then line:note(result.note) end
  end
  result.stopped = result.stopped or "epochs"
  if stopper and stopper.parameters then
    job.model:load_state_dict(stopper.parameters)
    result.best_epoch, result.monitor = stopper.epoch, stopper.monitor
  end
  history(result)
  return result
end
local function run(job, so_far) return keeping_modes(job.model, trained, job, so_far) end

-- The same of a training that an error has ended: the model stays as it is, the best parameters are a field.
local function unfinished(so_far, problem)
  local result, stopper = so_far.result, so_far.stopper
  result.stopped, result.note = "error", tostring(problem)
  if stopper and stopper.parameters then
    result.best, result.best_epoch, result.monitor = stopper.parameters, stopper.epoch, stopper.monitor
  end
  history(result)
  return result
end

return { run = run, unfinished = unfinished, try = try, forward = forward, spread = spread }
