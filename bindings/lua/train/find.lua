-- The range test of learning rates: L. Smith, 'Cyclical learning rates for training neural networks', 2017.
local peri, internal, data, parts = ...
local check = internal.check
local fail, kinds = check.fail, data.kinds
local prepare, loop = parts.prepare, parts.loop

local OPTIONS = prepare.joined(prepare.DATA, {
  batch_size = kinds.count, shuffle = kinds.boolean, seed = kinds.seed, clip_grad_norm = kinds.positive,
  clip_grad_value = kinds.positive, low = kinds.positive, high = kinds.positive, steps = check.whole_from(2),
  scale = check.one_of "log linear",
  smoothing = check.test("from 0 to below 1", function(v) return math.type(v) and v >= 0 and v < 1 end, kinds.number),
  stop = check.test("a number above 1", function(v) return math.type(v) and v > 1 end, kinds.number),
})
local OWN = { low = 1e-7, high = 10, steps = 100, scale = "log", smoothing = 0.9, stop = 4 }

local Found = { __name = "lr_find" }
Found.__index = Found

-- Rate i of n.
local function rate_of(o, i)
  local share = (i - 1) / (o.steps - 1)
  if o.scale == "linear" then return o.low + (o.high - o.low) * share end
  return o.low * internal.data.exp(internal.data.log(o.high / o.low) * share)
end

-- Sets the rate of the first group, and those of others in proportion; returns a function that does.
local function setter(optimizer)
  local ok, groups = pcall(function() return optimizer.param_groups end)
  if not ok or type(groups) ~= "table" then return function(rate) optimizer.lr = rate end end
  local base = {}
  for i, group in ipairs(groups) do base[i] = group.lr end
  return function(rate)
    for i, group in ipairs(groups) do group.lr = base[1] > 0 and rate * base[i] / base[1] or rate end
  end
end

-- Mini-batches without end: epoch after epoch.
local function batches_of(job)
  local epoch, f, s, control = 0, nil, nil, nil
  return function()
    for _ = 1, 2 do
      local x, y, w
      if f then x, y, w = f(s, control) end
      control = x
      if x ~= nil then return x, y, w end
      epoch = epoch + 1
      f, s, control = job.source:each(epoch, 0)
    end
    fail "lr_find: train gives no mini-batch"
  end
end

-- The first mini-batches, of which the mean knows too few to tell what is least.
local function first_of(o) return math.ceil(math.min(1 / (1 - o.smoothing), o.steps / 10)) end

-- The losses under rates that grow with each mini-batch, until they are no longer what they were.
local function run(job, o)
  local set, next_batch = setter(job.optimizer), batches_of(job)
  local rates, losses, smoothed, mean, least = {}, {}, {}, 0, math.huge
  job.model:train()
  for i = 1, o.steps do
    local x, y, w = next_batch()
    local n = w and w:sum():item() or #y
    set(rate_of(o, i))
    job.optimizer:zero_grad()
    local loss = loop.pass(job, x, y, n, w)
    if loss - loss ~= 0 then break end
    if job.sums_rows then loss = loss / n end
    mean = o.smoothing * mean + (1 - o.smoothing) * loss
    rates[i], losses[i], smoothed[i] = rate_of(o, i), loss, mean / (1 - o.smoothing ^ i)
    if smoothed[i] > o.stop * least then break end
    if i > first_of(o) then least = math.min(least, smoothed[i]) end
    loop.step(job, n)
  end
  return rates, losses, smoothed
end

-- Where the smoothed loss falls fastest, before it is least, as the axis of the rates is.
local function steepest(rates, smoothed, o)
  local first = first_of(o) + 1
  local least = first
  for i = first, #smoothed do
    if smoothed[i] < smoothed[least] then least = i end
  end
  local best, slope = nil, 0
  for i = first + 1, least - 1 do
    local width = o.scale == "log" and internal.data.log(rates[i + 1] / rates[i - 1]) or rates[i + 1] - rates[i - 1]
    local here = (smoothed[i + 1] - smoothed[i - 1]) / width
    if here < slope then best, slope = i, here end
  end
  return best and rates[best]
end

-- f(), after which, also when it fails, objects and the default stream are as they were.
local function undone(objects, f)
  local before, stream = {}, peri.get_rng_state()
  for i, object in ipairs(objects) do
    for _, name in ipairs { "state_dict", "load_state_dict" } do
      if not check.has_method(object, name) then
        fail("lr_find: the optimizer has no method %s (which brings it back to what it was)", name)
      end
    end
    before[i] = object:state_dict()
  end
  local _ <close> = setmetatable({}, { __close = function()
    for i = #objects, 1, -1 do objects[i]:load_state_dict(before[i]) end
    peri.set_rng_state(stream)
  end })
  return f()
end

local function lr_find(given)
  local options = check.options("lr_find", check.table("lr_find", given), OPTIONS)
  for _, name in ipairs { "model", "train", "optimizer" } do
    if not options[name] then fail("lr_find: option %s is missing (expected %s)", name, OPTIONS[name].expected) end
  end
  local own = {}
  for name, default in pairs(OWN) do
    own[name] = options[name] == nil and default or options[name]
    options[name] = nil
  end
  if own.low >= own.high then fail("lr_find: low is %g (expected less than high, %g)", own.low, own.high) end
  local stream = peri.get_rng_state() -- before the order of the data is drawn
  local job = prepare.job("lr_find", {}, options)
  peri.set_rng_state(stream)
  loop.ready(job)
  local rates, losses, smoothed = undone({ job.model, job.optimizer }, function()
    return loop.keeping_modes(job.model, run, job, own)
  end)
  local function float64(list) return peri.tensor(list, { dtype = "float64" }) end
  if #rates == 0 then fail "lr_find: the loss of the first mini-batch is not finite" end
  return setmetatable({
    rates = float64(rates), losses = float64(losses), smoothed = float64(smoothed), scale = own.scale,
    suggestion = steepest(rates, smoothed, own),
  }, Found)
end

function Found:plot(options)
  check.called("plot", getmetatable(self) == Found, self, "f:plot(options)")
  return peri.plot and internal.view("rates", self, options)
end

function Found:__tostring()
  return ("lr_find: %d rates from %.3g to %.3g, %s"):format(#self.rates, self.rates[1], self.rates[-1],
    self.suggestion and ("suggestion %.3g"):format(self.suggestion) or "no suggestion")
end

return { lr_find = lr_find, class = Found }
