-- What watches a measure from epoch to epoch: early stopping, and the file of the best parameters.
local peri, measures = ...

local Watch = {}
Watch.__index = Watch

-- wanted: monitor, mode, min_delta, patience (nil: never enough), path (nil: no file).
local function new(wanted, has_dev)
  if not wanted then return nil end
  local monitor = wanted.monitor or (has_dev and "dev_loss" or "train_loss")
  local least = wanted.mode == nil and monitor:find "_loss$" or wanted.mode == "min"
  return setmetatable({
    monitor = monitor, sign = least and 1 or -1, patience = wanted.patience, path = wanted.path,
    min_delta = wanted.min_delta or 0, best = math.huge, waited = 0,
  }, Watch)
end

-- The model's parameters, or their averages.
local function parameters_of(job) return measures.with_average(job, function() return job.model:state_dict() end) end

-- Takes in an epoch; keeps the parameters, or writes them, when it is the best so far.
function Watch:see(state, job)
  local value = self.sign * state[self.monitor]
  local better = value < self.best - self.min_delta
  if not better then -- NaN too
    self.waited = self.waited + 1
    return
  end
  self.best, self.epoch, self.waited = value, state.epoch, 0
  local parameters = parameters_of(job)
  if not self.path then
    self.parameters = parameters
  else
    peri.save(self.path, parameters,
      { epoch = ("%d"):format(state.epoch), [self.monitor] = ("%.17g"):format(state[self.monitor]) })
  end
end

function Watch:is_enough() return self.patience ~= nil and self.waited >= self.patience end

-- ---- for checkpoints ----

function Watch:state_dict()
  return { best = self.best, epoch = self.epoch, waited = self.waited, parameters = self.parameters }
end

function Watch:load_state_dict(state)
  self.best, self.epoch, self.waited, self.parameters = state.best, state.epoch, state.waited, state.parameters
end

return new
