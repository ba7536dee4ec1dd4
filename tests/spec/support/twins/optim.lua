-- Twins of the optimisers and schedules (runtime/optim), from the papers that they name, in PyTorch's variables.
--
-- Entries are {twin, cases}; cases are option tables, and each option must occur in one.
-- Optimisers whose step needs a closure have none: see optim_spec.lua.
--   optimizers  twin(o, s, p, g, t) gives an element after step t from its value p and gradient g; o are the options, s
--               a table that remembers what the twin puts there
--   schedules   twin(o, s, base, t, metric, lr, rate) gives the rate of epoch t (0 before the first step) from the
--               first rate, base, and the last one, lr; rate({name, options}, base, t) is that of another schedule
local optim = { optimizers = {}, schedules = {} }
local optimizers, schedules = optim.optimizers, optim.schedules

-- ---- optimisers ----

local function direction(o) return o.maximize and -1 or 1 end

-- The gradient that counts, with the penalty's.
local function slope(o, p, g) return direction(o) * g + o.weight_decay * p end

optimizers.SGD = { function(o, s, p, g, t)
  local d = slope(o, p, g)
  if o.momentum > 0 then
    s.b = t == 1 and d or o.momentum * s.b + (1 - o.dampening) * d
    d = o.nesterov and d + o.momentum * s.b or s.b
  end
  return p - o.lr * d
end, {
  {}, { lr = 0.1 }, { lr = 0.1, weight_decay = 0.2 }, { lr = 0.1, momentum = 0.9 },
  { lr = 0.1, momentum = 0.9, dampening = 0.4 }, { lr = 0.1, momentum = 0.8, nesterov = true, weight_decay = 0.1 },
  { lr = 0.1, momentum = 0.8, weight_decay = 0.1, maximize = true },
} }

-- Where no gradient has arrived, and eps is 0, there is no step.
local function quotient(a, b) return b == 0 and 0 or a / b end

-- The running means of gradients and of their squares.
local function means(o, s, d)
  local beta1, beta2 = o.betas[1], o.betas[2]
  s.m = beta1 * (s.m or 0) + (1 - beta1) * d
  s.v = beta2 * (s.v or 0) + (1 - beta2) * d * d
  return beta1, beta2
end

-- D. Kingma, J. Ba, 2015; AMSGrad: S. Reddi, S. Kale, S. Kumar, 2018.
local function adam(o, s, p, d, t)
  local beta1, beta2 = means(o, s, d)
  s.top = math.max(s.top or 0, s.v)
  local m, v = s.m / (1 - beta1 ^ t), (o.amsgrad and s.top or s.v) / (1 - beta2 ^ t)
  return p - o.lr * quotient(m, math.sqrt(v) + o.eps)
end

local adam_cases = {
  {}, { lr = 0.1 }, { lr = 0.1, eps = 0 }, { lr = 0.1, eps = 0.5 }, { lr = 0.1, betas = { 0.7, 0.8 } },
  { lr = 0.1, weight_decay = 0.3 }, { lr = 0.1, weight_decay = 0.3, maximize = true },
  { lr = 0.1, betas = { 0.9, 0.5 }, amsgrad = true },
  { lr = 0.2, betas = { 0, 0.3 }, amsgrad = true, weight_decay = 0.1 },
}

optimizers.Adam = { function(o, s, p, g, t) return adam(o, s, p, slope(o, p, g), t) end, adam_cases }
optimizers.AdamW = { function(o, s, p, g, t)
  return adam(o, s, p - o.lr * o.weight_decay * p, direction(o) * g, t)
end, adam_cases }

local kin_of_adam = {
  {}, { lr = 0.1 }, { lr = 0.1, eps = 0 }, { lr = 0.1, eps = 0.5, maximize = true }, { lr = 0.1, betas = { 0.7, 0.8 } },
  { lr = 0.1, weight_decay = 0.3 }, { lr = 0.1, betas = { 0.5, 0.6 }, weight_decay = 0.1 },
}

optimizers.Adamax = { function(o, s, p, g, t)
  local d = slope(o, p, g)
  local beta1, beta2 = means(o, s, d)
  s.u = math.max(beta2 * (s.u or 0), math.abs(d) + o.eps)
  return p - o.lr / (1 - beta1 ^ t) * quotient(s.m, s.u)
end, kin_of_adam }

-- T. Dozat, 2016.
optimizers.NAdam = { function(o, s, p, g, t)
  local d = slope(o, p, g)
  local beta1, beta2 = means(o, s, d)
  local function mu(at) return beta1 * (1 - 0.96 ^ (at * o.momentum_decay) / 2) end
  s.product = (s.product or 1) * mu(t)
  local forward = mu(t + 1) * s.m / (1 - s.product * mu(t + 1)) + (1 - mu(t)) * d / (1 - s.product)
  return p - o.lr * quotient(forward, math.sqrt(s.v / (1 - beta2 ^ t)) + o.eps)
end, { { lr = 0.1, momentum_decay = 0.5 }, table.unpack(kin_of_adam) } }

-- L. Liu et al., 2020.
optimizers.RAdam = { function(o, s, p, g, t)
  local beta1, beta2 = means(o, s, slope(o, p, g))
  local m = s.m / (1 - beta1 ^ t)
  local longest = 2 / (1 - beta2) - 1
  local rho = longest - 2 * t * beta2 ^ t / (1 - beta2 ^ t)
  if rho <= 5 then return p - o.lr * m end
  local r = math.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
  return p - o.lr * r * m * quotient(math.sqrt(1 - beta2 ^ t), math.sqrt(s.v) + o.eps)
end, kin_of_adam }

-- M. Zeiler, 2012.
optimizers.Adadelta = { function(o, s, p, g)
  local d = slope(o, p, g)
  s.v = o.rho * (s.v or 0) + (1 - o.rho) * d * d
  local x = quotient(math.sqrt((s.a or 0) + o.eps), math.sqrt(s.v + o.eps)) * d
  s.a = o.rho * (s.a or 0) + (1 - o.rho) * x * x
  return p - o.lr * x
end, {
  {}, { lr = 3 }, { rho = 0.5 }, { eps = 0.1 }, { eps = 0 },
  { lr = 2, eps = 0.01, weight_decay = 0.2, maximize = true },
} }

-- B. Polyak, A. Juditsky, 1992: the rate of the next step stands in s.
optimizers.ASGD = { function(o, s, p, g, t)
  local eta = s.eta or o.lr
  s.eta = o.lr / (1 + o.lambd * o.lr * t) ^ o.alpha
  return p - eta * (o.lambd * p + slope(o, p, g))
end, {
  {}, { lr = 0.1 }, { lr = 0.1, lambd = 0.5 }, { lr = 0.1, lambd = 0.5, alpha = 0.3 }, { lr = 0.1, t0 = 2 },
  { lr = 0.1, weight_decay = 0.2, maximize = true },
} }

-- M. Riedmiller, H. Braun, 1993.
optimizers.Rprop = { function(o, s, p, g)
  local d = direction(o) * g
  local turn = d * (s.last or 0)
  local factor = turn > 0 and o.etas[2] or turn < 0 and o.etas[1] or 1
  s.step = math.min(math.max((s.step or o.lr) * factor, o.step_sizes[1]), o.step_sizes[2])
  if turn < 0 then d = 0 end
  s.last = d
  return p - s.step * (d > 0 and 1 or d < 0 and -1 or 0)
end, {
  {}, { lr = 0.1 }, { lr = 0.1, etas = { 0.3, 2 } }, { lr = 0.1, step_sizes = { 0.08, 0.13 } }, { maximize = true },
} }

-- X. Chen et al., 2023.
optimizers.Lion = { function(o, s, p, g)
  local d, m = direction(o) * g, s.m or 0
  local c = o.betas[1] * m + (1 - o.betas[1]) * d
  s.m = o.betas[2] * m + (1 - o.betas[2]) * d
  return p - o.lr * ((c > 0 and 1 or c < 0 and -1 or 0) + o.weight_decay * p)
end, {
  {}, { lr = 0.1 }, { lr = 0.1, betas = { 0.3, 0.5 } }, { lr = 0.1, weight_decay = 0.2 }, { lr = 0.1, maximize = true },
} }

optimizers.RMSprop = { function(o, s, p, g)
  local d = slope(o, p, g)
  s.v = o.alpha * (s.v or 0) + (1 - o.alpha) * d * d
  s.a = o.alpha * (s.a or 0) + (1 - o.alpha) * d
  local spread = o.centered and math.max(0, s.v - s.a * s.a) or s.v
  s.b = o.momentum * (s.b or 0) + quotient(d, math.sqrt(spread) + o.eps)
  return p - o.lr * s.b
end, {
  {}, { lr = 0.1, alpha = 0.8 }, { lr = 0.1, eps = 0 }, { lr = 0.1, eps = 0.5 }, { lr = 0.1, weight_decay = 0.2 },
  { lr = 0.1, momentum = 0.9 },
  { lr = 0.1, weight_decay = 0.1, maximize = true }, { lr = 0.1, alpha = 0.7, centered = true },
  { lr = 0.1, alpha = 0.6, centered = true, momentum = 0.5 },
} }

optimizers.Adagrad = { function(o, s, p, g, t)
  local d = slope(o, p, g)
  s.sum = (s.sum or o.initial_accumulator_value) + d * d
  return p - o.lr / (1 + (t - 1) * o.lr_decay) * quotient(d, math.sqrt(s.sum) + o.eps)
end, {
  {}, { lr = 0.1 }, { lr = 0.1, lr_decay = 0.3 }, { lr = 0.1, eps = 0 }, { lr = 0.1, weight_decay = 0.2 },
  { lr = 0.1, eps = 0.5 }, { lr = 0.1, initial_accumulator_value = 0.7, maximize = true },
} }

-- ---- schedules ----

schedules.StepLR = { function(o, _, base, t) return base * o.gamma ^ (t // o.step_size) end,
  { { step_size = 1 }, { step_size = 3, gamma = 0.5 }, { step_size = 7, gamma = 2 }, { step_size = 30 } } }

schedules.ExponentialLR = { function(o, _, base, t) return base * o.gamma ^ t end, { { gamma = 0.9 }, { gamma = 1 } } }

schedules.InverseTimeLR = { function(o, _, base, t) return base / (1 + o.decay * t) ^ o.power end,
  { { decay = 0.5 }, { decay = 0.1, power = 2 }, { decay = 0 } } }

schedules.CosineAnnealingLR = { function(o, _, base, t)
  return o.eta_min + (base - o.eta_min) / 2 * (1 + math.cos(t / o.T_max * math.pi))
end, { { T_max = 20 }, { T_max = 7, eta_min = 0.01 }, { T_max = 1 } } }

-- How many of a list, or of a single number, are t or less.
local function passed(list, t)
  local n = 0
  for _, at in ipairs(type(list) == "table" and list or { list }) do n = n + (at <= t and 1 or 0) end
  return n
end

schedules.MultiStepLR = { function(o, _, base, t) return base * o.gamma ^ passed(o.milestones, t) end,
  { { milestones = { 3, 7 } }, { milestones = 5, gamma = 0.5 }, { milestones = { 12, 2, 2 }, gamma = 0.3 } } }

schedules.PolynomialLR = { function(o, _, base, t) return base * math.max(0, 1 - t / o.total_iters) ^ o.power end,
  { {}, { total_iters = 15 }, { total_iters = 10, power = 2.5 } } }

schedules.CosineAnnealingWarmRestarts = { function(o, _, base, t)
  local length = o.T_0
  while t >= length do t, length = t - length, length * o.T_mult end
  return o.eta_min + (base - o.eta_min) / 2 * (1 + math.cos(t / length * math.pi))
end, { { T_0 = 6 }, { T_0 = 2, T_mult = 2 }, { T_0 = 3, T_mult = 3, eta_min = 0.05 } } }

-- L. Smith, 2017.
schedules.CyclicLR = { function(o, _, _, t)
  local down = o.step_size_down > 0 and o.step_size_down or o.step_size_up
  local cycle, at = t // (o.step_size_up + down), t % (o.step_size_up + down)
  local height = at <= o.step_size_up and at / o.step_size_up or 1 - (at - o.step_size_up) / down
  if o.mode == "triangular2" then height = height / 2 ^ cycle end
  if o.mode == "exp_range" then height = height * o.gamma ^ t end
  return o.base_lr + (o.max_lr - o.base_lr) * height
end, {
  { base_lr = 0.1, max_lr = 0.5, step_size_up = 4 }, { base_lr = 0, max_lr = 1, step_size_up = 2, step_size_down = 5 },
  { base_lr = 0.1, max_lr = 0.5, step_size_up = 3, mode = "triangular2", base_momentum = 0.1, max_momentum = 0.3 },
  { base_lr = 0.1, max_lr = 0.5, step_size_up = 3, mode = "exp_range", gamma = 0.9, cycle_momentum = false },
} }

-- L. Smith, N. Topin, 2018: points that the rate goes through, and between them a line or half a cosine.
schedules.OneCycleLR = { function(o, _, _, t)
  local total = o.total_steps > 0 and o.total_steps or o.epochs * o.steps_per_epoch
  local low, up = o.max_lr / o.div_factor, o.pct_start * total - 1
  local points = { { 0, low }, { up, o.max_lr } }
  if o.three_phase then points[3] = { 2 * o.pct_start * total - 2, low } end
  points[#points + 1] = { total - 1, low / o.final_div_factor }
  for i = 2, #points do
    local a, b = points[i - 1], points[i]
    if t <= b[1] then
      local share = (t - a[1]) / (b[1] - a[1])
      if o.anneal_strategy == "cos" then share = (1 - math.cos(share * math.pi)) / 2 end
      return (1 - share) * a[2] + share * b[2]
    end
  end
  return points[#points][2]
end, {
  { max_lr = 1, total_steps = 20 }, { max_lr = 1, epochs = 3, steps_per_epoch = 5, pct_start = 0.4 },
  { max_lr = 2, total_steps = 25, anneal_strategy = "linear", div_factor = 5, final_div_factor = 10 },
  { max_lr = 1, total_steps = 21, three_phase = true, cycle_momentum = false },
  { max_lr = 1, total_steps = 21, base_momentum = 0.2, max_momentum = 0.4 },
} }

schedules.LambdaLR = { function(o, _, base, t) return base * o.lr_lambda(t) end,
  { { lr_lambda = function(t) return 1 / (1 + t * t) end }, { lr_lambda = function(t) return t % 3 end } } }

schedules.MultiplicativeLR = { function(o, _, base, t, _, lr) return t == 0 and base or lr * o.lr_lambda(t) end,
  { { lr_lambda = function(t) return 1 - 1 / (t + 1) end }, { lr_lambda = function() return 0.9 end } } }

schedules.SequentialLR = { function(o, _, base, t, _, _, rate)
  local k = passed(o.milestones, t)
  local list = type(o.milestones) == "table" and o.milestones or { o.milestones }
  return rate(o.schedulers[k + 1], base, t - (list[k] or 0))
end, {
  { milestones = 4, schedulers = { { "LinearLR", { total_iters = 4 } }, { "ExponentialLR", { gamma = 0.8 } } } },
  { milestones = { 3, 9 }, schedulers = {
    { "ConstantLR", {} }, { "StepLR", { step_size = 2 } }, { "CosineAnnealingLR", { T_max = 10, eta_min = 0.1 } },
  } },
} }

schedules.ChainedScheduler = { function(o, _, base, t, _, _, rate)
  for _, part in ipairs(o.schedulers) do base = rate(part, base, t) end
  return base
end, {
  { schedulers = { { "LinearLR", {} }, { "ExponentialLR", { gamma = 0.8 } } } },
  { schedulers = { { "ConstantLR", {} }, { "CosineAnnealingLR", { T_max = 10, eta_min = 0.01 } } } },
} }

schedules.ConstantLR = { function(o, _, base, t) return t < o.total_iters and base * o.factor or base end,
  { {}, { factor = 0.5, total_iters = 3 }, { factor = 2, total_iters = 0 } } }

schedules.LinearLR = { function(o, _, base, t)
  local share = math.min(1, t / o.total_iters)
  return base * ((1 - share) * o.start_factor + share * o.end_factor)
end, { {}, { start_factor = 0.1, end_factor = 0.7, total_iters = 9 }, { total_iters = 1 }, { start_factor = 2 } } }

-- A fall after more than `patience` epochs that were no better than the best by the threshold, then `cooldown` epochs
-- in which nothing is counted; never below min_lr, and not by eps or less. A relative threshold is times the size of
-- the best.
schedules.ReduceLROnPlateau = { function(o, s, _, t, metric, lr)
  if t == 0 then return lr end
  local sign = o.mode == "min" and 1 or -1
  local margin = s.best and o.threshold * (o.threshold_mode == "rel" and math.abs(s.best) or 1) or 0
  if s.best == nil or sign * metric < sign * s.best - margin then
    s.best, s.bad = metric, 0
  else
    s.bad = s.bad + 1
  end
  if (s.waiting or 0) > 0 then s.waiting, s.bad = s.waiting - 1, 0 end
  if s.bad <= o.patience then return lr end
  s.bad, s.waiting = 0, o.cooldown
  local fallen = math.max(lr * o.factor, o.min_lr)
  return lr - fallen > o.eps and fallen or lr
end, {
  {}, { patience = 1 }, { patience = 1, factor = 0.5 }, { patience = 0, cooldown = 2 },
  { patience = 2, threshold = 0.2 },
  { patience = 2, threshold = 0.3, threshold_mode = "abs" }, { mode = "max", patience = 1 },
  { mode = "max", patience = 2, threshold = 0.2, threshold_mode = "abs" }, { patience = 1, min_lr = 0.03 },
  { patience = 0, eps = 0.01 },
} }

return optim
