-- Checkpoints: all that a training is made of at one step, as a file from which another process goes on.
--
-- What has a state_dict is held by it; random streams by where they stand; the order of the data by the loader's state,
-- or, where batches come from a function, by how many of the epoch's were taken and where the streams stood when it
-- began.
local peri, internal, history = ...
local check = internal.check
local fail, describe, has_method = check.fail, check.describe, check.has_method

local checkpoint = {}

local FORMAT = "perilune training 1"

-- ---- objects ----

local function state_of(object)
  if peri.type(object) == "generator" then return object:get_state() end
  return object:state_dict()
end

local function set_state(object, state)
  if peri.type(object) == "generator" then return object:set_state(state) end
  return object:load_state_dict(state)
end

local function has_state(object)
  return peri.type(object) == "generator" or has_method(object, "state_dict") and has_method(object, "load_state_dict")
end

-- All that has a state, in the order in which it is restored, as {name, object}. Schedules come after the optimizer,
-- whose rates they set.
local function objects(job)
  local list = { { "model", job.model } }
  for _, name in ipairs { "optimizer", "scheduler", "ema" } do
    if job[name] then list[#list + 1] = { name, job[name] } end
  end
  for _, name in ipairs(check.sorted_keys(job.watches)) do list[#list + 1] = { name, job.watches[name] } end
  for _, name in ipairs(check.sorted_keys(job.state or {})) do
    list[#list + 1] = { "state." .. name, job.state[name] }
  end
  for i, callback in ipairs(job.callbacks) do
    if type(callback) == "table" and has_state(callback) then list[#list + 1] = { "callbacks." .. i, callback } end
  end
  return list
end

-- That everything can be held, before anything is trained.
function checkpoint.check(where, job)
  for _, entry in ipairs(objects(job)) do
    if not has_state(entry[2]) then
      fail("%s: %s has no state that a checkpoint can hold (expected methods state_dict and load_state_dict)", where,
        entry[1])
    end
  end
end

-- ---- streams ----

local function streams(job)
  local list = { default = peri.get_rng_state() }
  for name, object in pairs(job.state or {}) do
    if peri.type(object) == "generator" then list["state." .. name] = object:get_state() end
  end
  return list
end
checkpoint.streams = streams

local function set_streams(job, list)
  peri.set_rng_state(list.default)
  for name, object in pairs(job.state or {}) do
    if peri.type(object) == "generator" then object:set_state(list["state." .. name]) end
  end
end

-- ---- writing ----

-- What must be the same where a training goes on.
local function setup(job)
  return {
    rows = job.source.rows, batches = job.source.batches, accumulate = job.accumulate,
    shuffle = job.source.rows and job.shuffle, parameters = #job.parameters,
  }
end

-- at: {epoch, batch, rows, sums, streams} of the epoch that is under way, and batches, steps since the start.
function checkpoint.write(job, result)
  local at, graded, held = job.at, {}, {}
  for i, p in ipairs(job.parameters) do graded[i] = p.grad ~= nil end
  for _, entry in ipairs(objects(job)) do held[entry[1]] = state_of(entry[2]) end
  peri.save(job.checkpoint.path, {
    format = FORMAT, setup = setup(job), objects = held, graded = graded, streams = streams(job),
    at = { epoch = at.epoch, batch = at.batch, rows = at.rows, sums = at.sums, streams = at.streams,
      batches = at.batches, steps = at.steps, source = job.source.state and job.source:state() or nil },
    history = result.history:tensors(), seconds = result.trained,
  })
end

-- ---- reading ----

local function exists(path)
  return internal.process.exists(path)
end

-- What the file holds; nil where it is the one that checkpoint is going to write, and not there yet.
function checkpoint.read(where, path, written)
  if path == written and not exists(path) then return nil end
  local saved = peri.load(path)
  if rawget(saved, "format") ~= FORMAT then
    fail("%s: resume: %s holds no training (expected a file that the option checkpoint wrote)", where, path)
  end
  return saved
end

local function check_setup(where, saved, job)
  local here = setup(job)
  for _, name in ipairs { "parameters", "rows", "batches", "accumulate", "shuffle" } do
    if here[name] ~= saved.setup[name] then
      fail("%s: resume: %s is %s, and was %s when the checkpoint was written", where, name, describe(here[name]),
        describe(saved.setup[name]))
    end
  end
  local here_too = {}
  for _, entry in ipairs(objects(job)) do
    here_too[entry[1]] = true
    if saved.objects[entry[1]] == nil then
      fail("%s: resume: the checkpoint was written without %s", where, entry[1])
    end
  end
  for _, name in ipairs(check.sorted_keys(saved.objects)) do
    if not here_too[name] then fail("%s: resume: the checkpoint was written with %s, which is missing", where, name) end
  end
end

-- Takes over all states, or none of them.
local function restore_objects(where, saved, job)
  local before = {}
  for _, entry in ipairs(objects(job)) do
    local name, object = entry[1], entry[2]
    before[#before + 1] = { object, state_of(object) }
    local ok, problem = pcall(set_state, object, saved.objects[name])
    if not ok then
      internal.put_back(function()
        for i = #before, 1, -1 do set_state(before[i][1], before[i][2]) end
      end)
      fail("%s: resume: %s: %s", where, name, (tostring(problem):gsub("^[^\n]-:%d+: ", "")))
    end
  end
end

-- Zeros where there was a gradient: an optimizer steps for those parameters alone.
local function restore_gradients(saved, job)
  for i, p in ipairs(job.parameters) do
    if saved.graded[i] and p.grad == nil and p.requires_grad then p:backward(peri.zeros_like(p)) end
  end
end

local function restore(where, saved, job, result)
  check_setup(where, saved, job)
  restore_objects(where, saved, job)
  restore_gradients(saved, job)
  result.history, result.trained = history.of_tensors(saved.history), saved.seconds
  job.at = saved.at
  if job.at.batch > 0 then
    job.at.resumed = saved.streams
  else
    if job.source.go_to then job.source:go_to(job.at.source) end
    set_streams(job, saved.streams)
  end
end

-- Puts the training where the checkpoint was written; job.at is then that place. Where it does not fit, the default
-- stream is left where it was before the order of the data was drawn from it.
function checkpoint.restore(where, saved, job, result)
  local ok, problem = pcall(restore, where, saved, job, result)
  if ok then return end
  internal.put_back(peri.set_rng_state, job.stream)
  error(problem, 0)
end

-- The rest of the epoch that the training stood in, as source:each gives it.
function checkpoint.reenter(job, epoch)
  local at = job.at
  local now = at.resumed
  at.resumed = nil
  if job.source.go_to then
    job.source:go_to(at.source)
  else
    set_streams(job, at.streams) -- as they stood when the epoch began: what is skipped is made again
  end
  local f, s, control = job.source:each(epoch, at.batch)
  set_streams(job, now)
  return f, s, control
end

return checkpoint
