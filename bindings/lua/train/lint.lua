-- What is often wrong with a training, found by one step on one mini-batch, which leaves everything as it was.
local peri, internal = ...
local check = internal.check
local fail, kinds = check.fail, check.kinds

local OPTIONS = {
  model = check.test("a layer", function(v) return peri.type(v) == "layer" end), loss = kinds.callable,
  optimizer = check.test("an optimizer", function(v) return peri.type(v) == "optimizer" end), step = kinds.callable,
  x = check.test("a tensor", peri.is_tensor), y = check.test("a tensor", peri.is_tensor),
}

-- ---- leaving everything as it was ----

-- A function that puts back what a step changes: parameters, buffers, gradients, the optimizer, the stream, the modes.
local function snapshot(job)
  local state, stream, modes, grads = job.model:state_dict(), peri.get_rng_state(), {}, {}
  local optimizer = job.optimizer and job.optimizer:state_dict()
  job.model:apply(function(m) modes[#modes + 1] = { m, m.training } end)
  for _, p in ipairs(job.parameters) do grads[p] = p.grad and p.grad:clone() end
  return function(keep_gradients)
    job.model:load_state_dict(state)
    if optimizer then job.optimizer:load_state_dict(optimizer) end
    peri.set_rng_state(stream)
    for i = #modes, 1, -1 do modes[i][1]:train(modes[i][2]) end
    if keep_gradients then return end
    for _, p in ipairs(job.parameters) do
      if not grads[p] then
        p.grad = nil
      elseif p.grad then
        p.grad:copy_(grads[p])
      end
    end
  end
end

-- ---- what the script's functions give ----

local function scores_of(job)
  local scores = job.model(job.x)
  if not peri.is_tensor(scores) then fail("lint: model gave %s (expected a tensor)", check.describe(scores)) end
  return scores
end

local function loss_of(job, scores)
  local loss = job.loss(scores, job.y)
  if not peri.is_tensor(loss) or loss:numel() ~= 1 then
    fail("lint: loss gave %s (expected a tensor of one element)", check.describe(loss))
  end
  return loss
end

-- ---- single questions; each adds what it finds ----

local function labels(job, scores, add)
  local y = job.y
  if y.dtype ~= "int64" or scores:dim() < 2 or y:dim() ~= scores:dim() - 1 or y:numel() == 0 then return true end
  local low, high, k = y:min(), y:max(), scores:size(2)
  if peri.is_tensor(low) then low, high = low:item(), high:item() end
  if low < 1 and high < k then
    add("labels", "the labels go from %d to %d, and count from 1 to %d (y + 1 does)", low, high, k)
  elseif low < 1 or high > k then
    add("labels", "the labels go from %d to %d, and the model gives %d scores (expected labels from 1 to %d)", low,
      high, k, k)
  end
  return low >= 1 and high <= k
end

local ACTIVATED = {
  cross_entropy_rows = { softmax = "CrossEntropyLoss takes scores and computes the softmax itself",
                    sigmoid = "CrossEntropyLoss takes scores, not probabilities" },
  binary_cross_entropy_with_logits = { sigmoid = "BCEWithLogitsLoss takes scores and computes the sigmoid itself",
                                       softmax = "BCEWithLogitsLoss takes scores, not probabilities" },
}

-- What stands in front of the loss's row in the graph, and is one activation too much.
local function activations(job, scores, loss, add)
  local nodes = internal.autograd.graph(loss)
  local last = internal.autograd.graph(scores)[1]
  if peri.nn.type(job.loss) == "NLLLoss" and last and last.op == "softmax" then
    add("activation", "softmax goes into NLLLoss, which takes logarithms of probabilities (LogSoftmax)")
  end
  for _, node in ipairs(nodes) do
    local wrong = ACTIVATED[node.op]
    local edge = wrong and node.edges[1]
    local before = edge and edge.node and nodes[edge.node].op
    if before and wrong[before] then
      add("activation", "%s goes into the loss: %s", before, wrong[before])
    end
  end
end

local function missing_gradients(job, add)
  local none, zero = {}, {}
  for name, p in job.model:named_parameters() do
    if p.requires_grad and not p.grad then
      none[#none + 1] = name
    elseif p.grad and not p.grad:ne(0):any() then
      zero[#zero + 1] = name
    end
  end
  if #none > 0 then add("gradient", "no gradient reaches %s", table.concat(none, ", ")) end
  if #zero > 0 then add("gradient", "the gradient is 0 everywhere in %s", table.concat(zero, ", ")) end
end

-- Hooks that count, for each ReLU, units that are 0 for all rows; a function that takes them off and says so. With a
-- hook a Sigmoid is no part of the layer before it, and stands in the graph.
local function watch_units(job, add)
  local hooks, others, found = {}, {}, {}
  job.model:apply(function(m)
    if peri.nn.type(m) == "Sigmoid" then others[#others + 1] = m:register_forward_hook(function() end) end
    if peri.nn.type(m) ~= "ReLU" then return end
    local place = #hooks + 1
    hooks[place] = m:register_forward_hook(function(_, _, y)
      if y:dim() < 2 or y:size(1) < 2 then return end
      local alive = y:detach():gt(0):any(1)
      found[place] = { alive:numel() - alive:sum():item(), alive:numel() }
    end)
  end)
  return function(quiet)
    for _, list in ipairs { hooks, others } do
      for _, hook in ipairs(list) do hook:remove() end
    end
    for place = 1, quiet and 0 or #hooks do
      local dead = found[place]
      if dead and dead[1] * 2 > dead[2] then
        add("units", "%d of %d units of ReLU %d are 0 for all rows, and learn nothing", dead[1], dead[2], place)
      end
    end
  end
end

-- The relative size of what a step has changed, over all parameters.
local function moved(job, before)
  local change, size = 0, 0
  for i, p in ipairs(job.parameters) do
    local now = p:detach()
    change = change + (now - before[i]):to("float64"):square():sum():item()
    size = size + before[i]:to("float64"):square():sum():item()
  end
  return math.sqrt(change), math.sqrt(size)
end

local function copies(job, of)
  local list = {}
  for i, p in ipairs(job.parameters) do
    local x = of(p)
    list[i] = x and x:detach():clone()
  end
  return list
end

local function gradient_of(p) return p.grad end

-- The same step twice from the same parameters: gradients that have doubled were added up.
local function zero_grad(job, restore, add)
  local first = copies(job, gradient_of)
  restore(true)
  job.step(job.x, job.y)
  local doubled, some = true, false
  for i, p in ipairs(job.parameters) do
    local g = first[i]
    if g and p.grad and g:ne(0):any() then
      some = true
      doubled = doubled and p.grad:allclose(g * 2, { rtol = 1e-4, atol = 1e-12 })
    end
  end
  if some and doubled then
    add("zero_grad", "gradients add up from step to step (optimizer:zero_grad() is missing before backward)")
  end
end

local SMALLEST = 1e-7 -- of a loss
local ROUNDED = { float32 = 2 ^ -24, float64 = 2 ^ -53 }

local function too_small(job, before, value, add)
  local change, size = moved(job, before)
  local loss = peri.no_grad(function() return loss_of(job, scores_of(job)):item() end)
  if change == 0 then
    add("step", "a step changes no parameter (does the optimizer hold the model's parameters, and is its lr above 0?)")
  elseif change < ROUNDED[job.parameters[1].dtype] * size then
    add("step", "a step changes the parameters by %.1e of their size, which rounding takes (a larger lr may help)",
      change / size)
  elseif math.abs(loss - value) <= SMALLEST * math.abs(value) then
    add("step", "a step changes the loss by %.1e, from %.6g (a larger lr may help)", loss - value, value)
  end
end

-- ---- the whole ----

local function inspect(job, restore, add)
  job.model:train()
  local report = watch_units(job, add)
  local _ <close> = setmetatable({}, { __close = function(_, problem) report(problem ~= nil) end })
  local scores = scores_of(job)
  if not labels(job, scores:detach(), add) then return end -- the loss would raise
  for _, p in ipairs(job.parameters) do p.grad = nil end
  local loss = loss_of(job, scores)
  local value = loss:item()
  if value - value ~= 0 then return add("loss", "the loss is %s at the first step", value) end
  if not loss.requires_grad then return add("gradient", "the loss does not depend on any parameter") end
  activations(job, scores, loss, add)
  loss:backward()
  missing_gradients(job, add)
  if not job.step and not job.optimizer then return end
  local before = copies(job, function(p) return p end)
  if job.step then
    for _, p in ipairs(job.parameters) do p.grad = nil end
    peri.set_rng_state(job.stream)
    job.step(job.x, job.y)
  else
    job.optimizer:step()
  end
  peri.set_rng_state(job.stream)
  too_small(job, before, value, add)
  if job.step then zero_grad(job, restore, add) end
end

-- Gives the findings, a list of {kind =, text =}.
local function lint(given)
  local job = check.options("lint", check.table("lint", given), OPTIONS)
  for _, name in ipairs { "model", "loss", "x", "y" } do
    if job[name] == nil then fail("lint: option %s is missing (expected %s)", name, OPTIONS[name].expected) end
  end
  if job.x:dim() == 0 or job.y:dim() == 0 or #job.x ~= #job.y then
    fail("lint: x is %s but y is %s (expected a row for each example)", check.shape(job.x), check.shape(job.y))
  end
  job.parameters, job.stream = job.model:parameters(), peri.get_rng_state()
  local findings = {}
  local function add(kind, message, ...) findings[#findings + 1] = { kind = kind, text = message:format(...) } end
  local restore = snapshot(job)
  local ok, problem = pcall(peri.enable_grad, inspect, job, restore, add)
  internal.put_back(restore)
  if not ok then error(problem, 0) end
  return findings
end

-- The same of what train.fit is about to do, on its first rows; it says what it finds, unless progress is false. Models
-- that are functions, and data that are made batch by batch, are let be.
local function of_job(job)
  if peri.type(job.model) ~= "layer" or not job.train.X then return {} end
  local rows = { { 1, math.min(job.batch_size or 32, #job.train.X) } }
  local findings = lint { model = job.model, loss = job.loss, x = job.train.X[rows], y = job.train.y[rows],
    optimizer = job.optimizer, step = not job.train.w and job.step or nil }
  for _, finding in ipairs(job.progress ~= false and findings or {}) do
    internal.say(("train.fit: %s\n"):format(finding.text))
  end
  return findings
end

return { lint = lint, of_job = of_job }
