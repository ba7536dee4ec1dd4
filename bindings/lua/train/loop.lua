-- The training loop: epochs of mini-batches, steps, and what is said of them.
local peri, internal, progress, measures, watch, checkpoint, history = ...
local fail, describe = internal.check.fail, internal.check.describe

-- Each module and its mode, so that what training and predicting do to it can be undone; containers come after what
-- they hold, and set its mode too.
local function modes_of(model)
  local modes = {}
  if type(model) == "userdata" then
    peri.nn.Module.apply(model, function(m)
      local n = #modes
      modes[n + 1], modes[n + 2] = m, m.training
    end)
  elseif type(rawget(model, "training")) == "boolean" then
    modes[1], modes[2] = model, model.training
  end
  return modes
end

local function restore(modes)
  for i = #modes, 2, -2 do
    local m, training = modes[i - 1], modes[i]
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
local function try(job, x, y)
  local scores = keeping_modes(job.model, function()
    job.model:eval()
    return peri.no_grad(job.model, x)
  end)
  return scores, y, function() return peri.no_grad(job.loss, scores, y) end
end

local function is_finite(x) return x - x == 0 end

-- ---- what the script's functions are told ----

-- Calls the functions of a hook with the state; false when one of them ends the training. Their time does not count.
local function call(job, hook, state, ...)
  local functions = job.hooks[hook]
  if not functions then return true end
  local go_on, start = true, peri.now()
  for _, f in ipairs(functions) do
    if f(state, ...) == false then go_on = false end
  end
  local paused = peri.now() - start
  job.start = job.start + paused
  job.line:pause(paused)
  return go_on
end

-- The same within an epoch: what they did to the mode of the model is undone.
local function call_within(job, hook, state)
  if not job.hooks[hook] then return true end
  state.seconds, state.learning_rate = peri.now() - job.start, job.optimizer and job.optimizer.lr
  local go_on = call(job, hook, state)
  job.model:train()
  return go_on
end

-- ---- one step ----

-- A mini-batch through model and loss, and back: its loss, which is not finite when the gradients are left alone, and
-- the scores. Of several for one step the gradients of sums are added up.
local function pass(job, x, y, n, w)
  local scores = job.model(x)
  if job.check_first then
    job.check_first(scores, y)
    job.check_first = nil
  end
  local loss = measures.loss_of(job, scores, y, w, n)
  if not peri.is_tensor(loss) then fail("fit: the loss gives %s (expected a tensor of one number)", describe(loss)) end
  local value = loss:item()
  if is_finite(value) then
    if job.accumulate > 1 and not job.sums_rows then loss = loss * n end
    loss:backward()
  end
  return value, scores
end

-- Gradients of a sum over n rows become those of the mean; part: 1 / n, or a tensor of it.
local function average(parameters, part)
  peri.no_grad(function()
    for _, p in ipairs(parameters) do
      if p.grad ~= nil then p.grad:mul_(part) end
    end
  end)
end

-- The optimizer's step on the gradients of mini-batches that have n rows (or weights) in all.
local function step(job, n)
  local parameters = job.parameters
  if job.accumulate > 1 and not job.sums_rows then average(parameters, 1 / n) end
  if job.clip_grad_value then peri.nn.utils.clip_grad_value_(parameters, job.clip_grad_value) end
  if job.clip_grad_norm then peri.nn.utils.clip_grad_norm_(parameters, job.clip_grad_norm) end
  job.optimizer:step()
end

-- What a mini-batch does to the model, as a step that can be replayed: x and y, with weights w of rows perhaps, through
-- model and loss, and back. It may be the first or the last of those of a step of the optimizer, which have n rows in
-- all (of weights `part` is the tensor 1 / n); no step follows a loss that is not finite. Gives the loss and the
-- scores, or else the sum of their squared errors; of weighted rows also the sum of w, and w as float64. `both`: the
-- loss, the scores, and that sum.
local function step_of(job, both)
  local model, loss, optimizer, parameters, classes = job.model, job.loss, job.optimizer, job.parameters, job.classes
  local averages = job.accumulate > 1 and not job.sums_rows
  local clip_value, clip_norm, weighted = job.clip_grad_value, job.clip_grad_norm, job.weighted_loss
  local function results(l, scores, y, w, rows)
    local squares = not classes and (scores - y):square()
    if squares then squares = (w and squares * w:unsqueeze(2) or squares):sum() end
    if both and squares then return l, scores, squares end
    if both or not w then return l, squares or scores end
    return l, squares or scores, rows, w:to "float64"
  end
  return function(x, y, first, last, n, w, part)
    if first then optimizer:zero_grad() end
    local scores, rows = model(x), w and w:sum()
    local l
    if w then l = weighted(scores, y, w, rows) else l = loss(scores, y) end
    local given = table.pack(results(l, scores:detach(), y, w, rows))
    if not internal.steps.go_on(l) then return table.unpack(given, 1, given.n) end
    if averages then (l * (rows or #y)):backward() else l:backward() end
    if last then
      if averages then average(parameters, part or 1 / n) end
      if clip_value then peri.nn.utils.clip_grad_value_(parameters, clip_value) end
      if clip_norm then internal.steps.clip(parameters, clip_norm) end
      optimizer:step()
    end
    return table.unpack(given, 1, given.n)
  end
end

-- As an epoch in one call takes it: tensors first.
local function epoch_step_of(job)
  local step_with = step_of(job)
  if not job.elements then return step_with end
  return function(x, y, w, first, last, n) return step_with(x, y, first, last, n, w) end
end

-- ---- one epoch ----

-- Ends a step whose mini-batches have n rows and the loss: averages, functions, a checkpoint. False when one of the
-- functions ends the training.
local function finish_step(job, loss, n)
  local at, told = job.at, job.told_step
  at.steps, at.due = at.steps + 1, true
  if job.ema then job.ema:update() end
  told.epoch, told.step, told.loss = at.epoch, at.steps, loss and loss / n
  return call_within(job, "on_step_end", told)
end

-- The checkpoint of a step that is due for it, or ends the training.
local function write_checkpoint(job, result, go_on)
  local at, wanted = job.at, job.checkpoint
  if wanted and at.due and (not go_on or wanted.every and at.steps % wanted.every == 0) then
    result.trained = peri.now() - job.start
    checkpoint.write(job, result)
  end
  at.due = false
  return go_on
end

-- on_batch of a mini-batch, which may have ended a step; false when that or on_batch ends the training.
local function finish_batch(job, loss, go_on)
  local at, told = job.at, job.told_batch
  at.batches = at.batches + 1
  told.epoch, told.batch, told.batches, told.loss = at.epoch, at.batch, at.batches, loss
  return call_within(job, "on_batch", told) and go_on
end

local function begin_step(job)
  if not job.hooks.on_step_begin then return true end
  local told = job.told_step
  told.epoch, told.step, told.loss = job.at.epoch, job.at.steps + 1, nil
  return call_within(job, "on_step_begin", told)
end

local function begin_epoch(job)
  local at = job.at
  at.batch, at.rows, at.sums = 0, 0, measures.new_sums()
  at.streams = job.checkpoint and checkpoint.streams(job)
end

-- The batches of the epoch that job.at stands in.
local function batches_of(job)
  local at = job.at
  if at.resumed then return checkpoint.reenter(job, at.epoch) end
  begin_epoch(job)
  return job.source:each(at.epoch, 0)
end

local MOST_SHAPES = 12 -- of mini-batches that have plans

local PROMISE = " (nn.Module.extend(name, {replays = true}) promises that it can be replayed)"

-- Why the steps of this training cannot be replayed, or nil.
local function reason_of(job)
  if not job.optimizer or job.step then return "step is the script's own" end
  if not internal.nn.plain(job.model) then return "the model has hooks, or layers written in Lua" .. PROMISE end
  if not internal.nn.plain(job.loss) then return "the loss has hooks, or is written in Lua" .. PROMISE end
end

-- Whether a mini-batch goes by a plan. Of a source that gives any shapes only those that come again do.
local function is_planned(job, x, y)
  if job.check_first or job.not_replayed then return false end
  if job.source.loader then return true end
  local shapes = job.shapes or { n = 0 }
  job.shapes = shapes
  local shape = ("%s %s"):format(table.concat(x.shape, "x"), table.concat(y.shape, "x"))
  if shapes[shape] ~= nil or shapes.n == MOST_SHAPES then
    local known = shapes[shape]
    shapes[shape] = known ~= nil or nil
    return known ~= nil
  end
  shapes[shape], shapes.n = false, shapes.n + 1
  return false
end

-- A mini-batch, which may be the first or the last of a step of `rows` rows, as replayed: loss, scores, squares.
local function pass_by_plan(job, x, y, w, first, last, rows)
  job.single = job.single or internal.steps.new(step_of(job, true))
  local several = last and job.accumulate > 1 -- a sum of weights is seldom the same: it comes as a tensor
  local part = several and w and peri.tensor(1 / rows, { dtype = w.dtype }) or nil
  local loss, scores, squares = job.single(x, y, first, last, several and not w and rows or 0, w, part)
  return loss:item(), scores, squares
end

-- Runs an epoch; gives whether a function of the script has ended it, or nothing, the mini-batch and its loss that is
-- no longer finite.
local function run_epoch(job, result, line)
  local at, accumulate = job.at, job.accumulate
  local group, group_loss, group_rows = 0, 0, 0 -- mini-batches of the step that is under way
  job.model:train()
  job.not_replayed = reason_of(job)
  for x, y, w in batches_of(job) do
    local count, go_on, loss = #y, true, nil
    local n = w and w:sum():item() or count
    if group == 0 and not begin_step(job) then return true end
    at.batch, at.rows = at.batch + 1, at.rows + count
    if job.step then
      job.step(x, y, w)
      go_on = finish_step(job)
    else
      local scores, squares
      local last, planned = group + 1 == accumulate or at.batch == job.source.batches, is_planned(job, x, y)
      if planned then
        loss, scores, squares = pass_by_plan(job, x, y, w, group == 0, last, group_rows + n)
      else
        if group == 0 then job.optimizer:zero_grad() end
        loss, scores = pass(job, x, y, n, w)
      end
      if not is_finite(loss) then return nil, at.batch, loss end
      group, group_rows = group + 1, group_rows + n
      group_loss = group_loss + (job.sums_rows and loss or loss * n)
      if last then
        if not planned then step(job, group_rows) end
        go_on = finish_step(job, group_loss, group_rows)
        group, group_loss, group_rows = 0, 0, 0
      end
      if not job.measure_train then
        measures.add(job, at.sums, loss, scores, y, n, w, job.train.total, squares)
        measures.add_metrics(job, at.sums, scores, y, n)
      end
    end
    if line.live then line:batch(at.epoch, at.rows) end
    if not write_checkpoint(job, result, finish_batch(job, loss, go_on)) then return true end
  end
  if group > 0 then -- of a source that does not say how many it has
    step(job, group_rows)
    if not write_checkpoint(job, result, finish_step(job, group_loss, group_rows)) then return true end
  end
  if at.batch == 0 then fail("fit: train gives no mini-batch in epoch %d", at.epoch) end
  return false
end

-- ---- an epoch in one call ----

-- Whether nothing of the script's is called between mini-batches, so that they need not come by here.
local function is_quiet(job)
  local hooks, source = job.hooks, job.source
  local tensors = job.elements and 3 or 2
  return job.optimizer and not job.step and not job.ema and (not job.elements or job.accumulate == 1)
    and not hooks.on_batch and not hooks.on_step_begin and not hooks.on_step_end
    and not (job.checkpoint and job.checkpoint.every) and (job.measure_train or #job.metrics == 0)
    and not job.check_first and source.loader and not source.read and internal.steps.takes(source.loader, tensors)
    and internal.nn.plain(job.model) and internal.nn.plain(job.loss)
end

local SLICE = 0.1 -- seconds between two looks at the line of progress

-- The first steps, which nothing replays: how.eager makes gradients, without which nothing can be recorded, and where
-- other trainings are to take part, the next one is recorded.
local function go_first(job, replay, loader, at, how)
  how.begun = true
  local said = "on"
  if how.eager then said = internal.steps.epoch(how.eager, loader, at, how) end
  if job.side and said == "on" then said = internal.steps.epoch(replay, loader, at, how) end
  return said
end

-- An epoch, or a slice of it: beside those of other trainings where there are any (together.lua).
local function go(job, replay, loader, at, how)
  local first = how.begun or go_first(job, replay, loader, at, how)
  if first ~= "on" and first ~= true then return first end
  if not job.side then return internal.steps.epoch(replay, loader, at, how, SLICE) end
  local side = job.side
  side.replay, side.loader, side.at, side.how = replay, loader, at, how
  local start = peri.now()
  local said = coroutine.yield(side)
  job.start = job.start + (peri.now() - start) - side.seconds -- those of others are not its own
  if said == "failed" then internal.steps.fail(side.status, side.message) end
  return said == "script" and internal.steps.epoch(replay, loader, at, how) or said
end

local AT_ONCE = 1024 -- epochs whose sums have room at a time

-- Room for the sums of epochs that may follow without coming by here.
local function open_ahead(job)
  local at = job.at
  at.ahead, at.done_n, at.done = job.epochs - at.epoch, 0, nil
  if at.ahead > 0 then at.done = peri.empty(4, math.min(at.ahead + 1, AT_ONCE), { dtype = "float64" }) end
end

-- Takes in those that are through; also before an error, so that nothing is computed.
local function take_done(job, result)
  local at, n, sums = job.at, job.at.done_n, job.at.done
  if n == 0 then return end
  local now, before = peri.now() - job.start, result.trained
  result.history:add_sums(job, n, sums, job.rate, before, now)
  at.epoch, result.trained, at.done, at.done_n = at.epoch + n, now, nil, 0
  if job.side then job.side:count(n) end
end

-- The same where others may follow.
local function take_and_go_on(job, result, line)
  local at, n, sums, before = job.at, job.at.done_n, job.at.done, result.trained
  if n == 0 then return end
  take_done(job, result)
  open_ahead(job)
  if not line.on then return end
  local columns, first = measures.of_sums(job, sums[{ {}, { 1, n } }]), at.epoch - n - 1
  for i = 1, n do
    local state = { epoch = first + i, seconds = before + (result.trained - before) * i / n }
    for name, column in pairs(columns) do state[name] = column[i] end
    line:epoch(state)
  end
end

-- run_epoch without functions of the script: the same, bit for bit. `result` takes in epochs that are through, where
-- others may follow.
local function run_quietly(job, line, result)
  local at = job.at
  job.model:train()
  begin_epoch(job)
  internal.steps.begin(job.source.loader, job.elements and 3 or 2)
  if not job.replay then
    local one_step = epoch_step_of(job)
    job.replay = internal.steps.new(one_step)
    job.how = { accumulate = job.accumulate, measures = not job.measure_train, classes = job.classes ~= nil,
      by_rows = not job.sums_rows, weighted = job.elements ~= nil, eager = one_step }
  end
  local said
  repeat
    said = go(job, job.replay, job.source.loader, at, job.how)
    if result then take_and_go_on(job, result, line) end
    if line.live then line:batch(at.epoch, at.rows) end
  until said ~= "on"
  if said ~= "end" then return nil, at.batch, said end
  if at.batch == 0 then fail("fit: train gives no mini-batch in epoch %d", at.epoch) end
  return false
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

-- ---- the whole ----

local function diverged(result, epoch, what)
  result.diverged, result.stopped = true, "diverged"
  result.note = ("diverged in epoch %d: %s (a smaller learning rate or clip_grad_norm may help)"):format(epoch, what)
end

local function named(loss) return loss ~= loss and "NaN" or loss > 0 and "infinite" or "minus infinity" end

-- The measures of an epoch whose batches are through.
local function measure_epoch(job, state)
  if not job.measure_train then
    measures.record(job, state, "train", job.at.sums, job.train.total)
  else
    measures.measure(job, state, "train", job.train)
  end
  if job.dev then measures.measure(job, state, "dev", job.dev) end
end

-- Whether nothing at all is to be done between epochs, so that one follows the other without coming by here.
local function is_idle(job)
  return next(job.hooks) == nil and next(job.watches) == nil and not job.dev and not job.scheduler
    and not job.measure_train and not job.checkpoint and is_quiet(job)
end

-- One epoch and what is known after it, and others before it where nothing is to be done between them; true when
-- training ends with it.
local function epoch_of(job, result, line)
  local at = job.at
  local rate = job.optimizer and tonumber(job.optimizer.lr)
  job.start = peri.now() - result.trained
  at.ahead, at.done, at.done_n = nil, nil, 0
  local idle = not at.resumed and is_idle(job)
  if idle then
    job.rate = rate
    open_ahead(job)
  end
  local _ <close> = idle and setmetatable({}, { __close = function() take_done(job, result) end }) or nil
  local state = {
    epoch = at.epoch, epochs = job.epochs, learning_rate = rate, model = job.model, optimizer = job.optimizer,
  }
  if not at.resumed and not call(job, "on_epoch_begin", state) then
    result.stopped = "callback"
    return true
  end
  local ended, batch, loss
  if not at.resumed and is_quiet(job) then
    ended, batch, loss = run_quietly(job, line, idle and result)
  else
    ended, batch, loss = run_epoch(job, result, line)
  end
  local epoch = at.epoch
  if idle and epoch > job.epochs then return false end -- all were taken in
  result.trained = peri.now() - job.start
  state.epoch, state.seconds = epoch, result.trained
  if ended == nil then
    measures.record_nothing(job, state, "train")
    if job.dev then measures.record_nothing(job, state, "dev") end
    result.history:add(state)
    diverged(result, epoch, ("the loss of mini-batch %d is %s"):format(batch, named(loss)))
    return true
  end
  measure_epoch(job, state)
  result.history:add(state) -- once it is whole
  if job.side then job.side:count(1) end
  line:epoch(state)
  local measured = state.dev_loss or state.train_loss
  if not is_finite(measured) then
    diverged(result, epoch, ("the loss on the %s set is %s"):format(job.dev and "dev" or "training", named(measured)))
    return true
  end
  if job.scheduler then
    if job.observes then job.scheduler:step(metric(job.scheduler, state)) else job.scheduler:step() end
  end
  for _, watched in pairs(job.watches) do watched:see(state, job) end
  local stopper = job.watches.early_stopping
  if not call(job, "on_epoch_end", state) or ended then
    result.stopped = "callback"
  elseif stopper and stopper:is_enough() then
    result.stopped = "early_stopping"
  end
  at.epoch, at.batch, at.rows = epoch + 1, 0, 0
  local wanted = job.checkpoint
  local last = result.stopped or epoch == job.epochs
  if wanted and not ended and (last or wanted.epochs and epoch % wanted.epochs == 0) then
    at.sums = measures.new_sums()
    checkpoint.write(job, result)
  end
  return result.stopped ~= nil
end

local function write_history(result)
  for name, values in pairs(result.history:tensors()) do result[name] = values end
  result.epochs = result.history.n
  result.history, result.trained = nil, nil
end

-- The best parameters or the averages of the last, which the model has in the end.
local function bring_back(job, result)
  local stopper, keeper = job.watches.early_stopping, job.watches.keep_best
  if stopper and stopper.parameters then
    job.model:load_state_dict(stopper.parameters)
  elseif job.ema then
    job.ema:copy_to()
  end
  if stopper then result.best_epoch, result.monitor = stopper.epoch, stopper.monitor end
  if keeper and keeper.epoch then
    result.kept = { epoch = keeper.epoch, monitor = keeper.monitor, path = keeper.path }
  end
end

local function run_epochs(job, result)
  local line <close> = progress(job.progress, job.epochs, job.source.rows, peri.now)
  job.line = line
  local at, stopper = job.at, job.watches.early_stopping
  line:from(at.epoch - 1, at.rows)
  if stopper and stopper:is_enough() then result.stopped = "early_stopping" end -- when the checkpoint was written
  while not result.stopped and at.epoch <= job.epochs do epoch_of(job, result, line) end
  if not result.diverged and not internal.steps.finite(job.parameters) then
    diverged(result, result.history.n, "parameters are no longer finite")
  end
  if result.note then line:note(result.note) end
end

-- What single steps go by.
local function ready(job)
  job.sums_rows = measures.is_sum(job.loss)
  job.go = go
  if job.elements then job.weighted_loss = measures.weighted(job.elements, job.sums_rows) end
end

-- job: model, loss, optimizer or step, parameters, source, train {X, y, w, total, of rows that are known}, elements
-- (for w, the loss of single elements), dev, classes, metrics, hooks, saved (a checkpoint), stream (the default one as
-- it was), and fit's options. Gives the history, epochs, stopped, best_epoch, monitor, diverged, note, not_replayed.
-- What there is so far stands in `so_far`, {result, job}, where it is found after an error.
local function trained(job, so_far)
  local result = { history = history.new(), trained = 0, diverged = false }
  so_far.result, so_far.job = result, job
  ready(job)
  job.told_batch = { model = job.model, optimizer = job.optimizer }
  job.told_step = { model = job.model, optimizer = job.optimizer }
  job.observes = job.scheduler and observes(job.scheduler)
  job.watches = { early_stopping = watch(job.early_stopping, job.dev), keep_best = watch(job.keep_best, job.dev) }
  job.at = { epoch = 1, batch = 0, rows = 0, batches = 0, steps = 0, sums = measures.new_sums() }
  if job.checkpoint or job.saved then checkpoint.check("fit", job) end
  if job.saved then checkpoint.restore("fit", job.saved, job, result) end
  run_epochs(job, result)
  result.stopped = result.stopped or "epochs"
  bring_back(job, result)
  write_history(result)
  local replay = job.replay or job.single
  result.not_replayed = job.not_replayed or replay and replay.replays == 0 and replay.reason or nil
  return result
end
local function run(job, so_far) return keeping_modes(job.model, trained, job, so_far) end

-- The same of a training that an error has ended: the model stays as it is, the best parameters are a field.
local function unfinished(so_far, problem)
  local result, stopper = so_far.result, so_far.job.watches and so_far.job.watches.early_stopping
  result.stopped, result.note = "error", tostring(problem)
  if stopper and stopper.parameters then
    result.best, result.best_epoch, result.monitor = stopper.parameters, stopper.epoch, stopper.monitor
  end
  write_history(result)
  return result
end

return { run = run, unfinished = unfinished, try = try, ready = ready, pass = pass,
  step = step, keeping_modes = keeping_modes }
