-- Twins of the optimisers and schedules (runtime/optim), from the papers that they name, in PyTorch's variables.
--
-- Entries are {twin, cases}; cases are option tables, and each option must occur in one.
--   optimizers  twin(o, s, p, g, t) gives an element after step t from its value p and gradient g; o are the options, s
--               a table that remembers what the twin puts there
--   schedules   twin(o, s, base, t, metric, lr) gives the rate of epoch t (0 before the first step) from the first
--               rate, base, and the last one, lr
local optim = { optimizers = {}, schedules = {} }
local optimizers, schedules = optim.optimizers, optim.schedules

-- ---- optimisers ----

optimizers.SGD = { function(o, s, p, g, t)
  local d = g + o.weight_decay * p
  if o.momentum > 0 then
    s.b = t == 1 and d or o.momentum * s.b + (1 - o.dampening) * d
    d = o.nesterov and d + o.momentum * s.b or s.b
  end
  return p - o.lr * d
end, {
  {}, { lr = 0.1 }, { lr = 0.1, weight_decay = 0.2 }, { lr = 0.1, momentum = 0.9 },
  { lr = 0.1, momentum = 0.9, dampening = 0.4 }, { lr = 0.1, momentum = 0.8, nesterov = true, weight_decay = 0.1 },
} }

-- Where no gradient has arrived, and eps is 0, there is no step.
local function quotient(a, b) return b == 0 and 0 or a / b end

-- D. Kingma, J. Ba, 2015; AMSGrad: S. Reddi, S. Kale, S. Kumar, 2018.
local function adam(o, s, p, g, t)
  s.m = o.beta1 * (s.m or 0) + (1 - o.beta1) * g
  s.v = o.beta2 * (s.v or 0) + (1 - o.beta2) * g * g
  s.top = math.max(s.top or 0, s.v)
  local m, v = s.m / (1 - o.beta1 ^ t), (o.amsgrad and s.top or s.v) / (1 - o.beta2 ^ t)
  return p - o.lr * quotient(m, math.sqrt(v) + o.eps)
end

local adam_cases = {
  {}, { lr = 0.1 }, { lr = 0.1, eps = 0 }, { lr = 0.1, eps = 0.5 }, { lr = 0.1, beta1 = 0.7, beta2 = 0.8 },
  { lr = 0.1, weight_decay = 0.3 },
  { lr = 0.1, beta2 = 0.5, amsgrad = true }, { lr = 0.2, beta1 = 0, beta2 = 0.3, amsgrad = true, weight_decay = 0.1 },
}

optimizers.Adam = { function(o, s, p, g, t) return adam(o, s, p, g + o.weight_decay * p, t) end, adam_cases }
optimizers.AdamW = { function(o, s, p, g, t)
  return adam(o, s, p - o.lr * o.weight_decay * p, g, t)
end, adam_cases }

optimizers.RMSprop = { function(o, s, p, g)
  local d = g + o.weight_decay * p
  s.v = o.alpha * (s.v or 0) + (1 - o.alpha) * d * d
  s.a = o.alpha * (s.a or 0) + (1 - o.alpha) * d
  local spread = o.centered and math.max(0, s.v - s.a * s.a) or s.v
  s.b = o.momentum * (s.b or 0) + quotient(d, math.sqrt(spread) + o.eps)
  return p - o.lr * s.b
end, {
  {}, { lr = 0.1, alpha = 0.8 }, { lr = 0.1, eps = 0 }, { lr = 0.1, eps = 0.5 }, { lr = 0.1, weight_decay = 0.2 },
  { lr = 0.1, momentum = 0.9 },
  { lr = 0.1, alpha = 0.7, centered = true }, { lr = 0.1, alpha = 0.6, centered = true, momentum = 0.5 },
} }

optimizers.Adagrad = { function(o, s, p, g, t)
  local d = g + o.weight_decay * p
  s.sum = (s.sum or 0) + d * d
  return p - o.lr / (1 + (t - 1) * o.lr_decay) * quotient(d, math.sqrt(s.sum) + o.eps)
end, {
  {}, { lr = 0.1 }, { lr = 0.1, lr_decay = 0.3 }, { lr = 0.1, eps = 0 }, { lr = 0.1, weight_decay = 0.2 },
  { lr = 0.1, eps = 0.5 },
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
