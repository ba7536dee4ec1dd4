-- Twins of the losses (runtime/ops/loss*.c).
local array = require "support.array"

-- Losses (float64) as they are asked for, in dtype; of the mean the divisor is their number where it is not given.
local function reduced(dtype, losses, reduction, divisor)
  if reduction == "none" then return array.to(losses, dtype) end
  local total = 0
  for _, x in ipairs(losses.values) do total = total + x end
  if reduction == "batchmean" then divisor = losses.shape[1] or 1 end
  return array.full(dtype, {}, reduction == "sum" and total or total / (divisor or #losses.values))
end

local function same_shape(a, b) return table.concat(a.shape, "x") == table.concat(b.shape, "x") end

local function alike(a, b)
  if not array.is_float(a.dtype) or a.dtype ~= b.dtype or not same_shape(a, b) then array.refuse() end
end

-- -1 and 1, of int64 or the input's dtype, in the input's shape where that is given.
local function signs(x, target, shape)
  if not array.is_float(x.dtype) or target.dtype ~= x.dtype and target.dtype ~= "int64" then array.refuse() end
  if shape and not same_shape(x, target) then array.refuse() end
  for _, t in ipairs(target.values) do
    if t ~= 1 and t ~= -1 then array.refuse() end
  end
  return true
end

local function finite(x, low, strictly)
  if x == nil then return end
  if x - x ~= 0 or low and (x < low or strictly and x == low) then array.refuse() end
end

-- What broadcasts to x.
local function check_weight(x, weight)
  if weight == nil then return end
  if weight.dtype ~= x.dtype or #weight.shape > #x.shape then array.refuse() end
  for d = 1, #weight.shape do
    local size = weight.shape[#weight.shape + 1 - d]
    if size ~= 1 and size ~= x.shape[#x.shape + 1 - d] then array.refuse() end
  end
end

-- ---- losses of each element ----

-- The twin of a loss f(x, t, p) of each element; check(p) refuses more, and says whether it has looked at the target.
local function of_elements(f, check)
  return function(p)
    if not check or not check(p) then alike(p.input, p.target) end
    return reduced(p.input.dtype, array.map("float64", function(x, t) return f(x, t, p) end, p.input, p.target),
      p.reduction)
  end
end

local function huber(x, t, p)
  local d, delta = math.abs(x - t), p.delta or 1
  return d <= delta and d * d / 2 or delta * (d - delta / 2)
end

local function smooth_l1(x, t, p)
  local d, beta = math.abs(x - t), p.beta or 1
  return d < beta and d * d / (2 * beta) or d - beta / 2
end

local function log1p_exp(x) return math.max(x, 0) + math.log(1 + math.exp(-math.abs(x))) end

local function kl_div(x, t, p)
  if p.log_target then return math.exp(t) * (t - x) end
  return t == 0 and 0 * x or t * (math.log(t) - x)
end

local function poisson(x, t, p)
  local loss = x - t * math.log(x + (p.eps or 1e-8))
  if p.log_input ~= false then loss = math.exp(x) - t * x end
  if p.full and t > 1 then loss = loss + t * math.log(t) - t + math.log(2 * math.pi * t) / 2 end
  return loss
end

-- f(x, t, weight, positive) of each element
local function weighted(f, check)
  return function(p)
    alike(p.input, p.target)
    check_weight(p.input, p.weight)
    check_weight(p.input, p.pos_weight)
    if check then check(p) end
    return reduced(p.input.dtype, array.map("float64", f, p.input, p.target, p.weight or 1, p.pos_weight or 1),
      p.reduction)
  end
end

local function bce(x, t, weight)
  local function log(y) return math.max(y > 0 and math.log(y) or -math.huge, -100) end
  return -weight * (t * log(x) + (1 - t) * log(1 - x))
end

local function bce_with_logits(x, t, weight, positive)
  return weight * (positive * t * log1p_exp(-x) + (1 - t) * log1p_exp(x))
end

local function probabilities(p)
  for _, a in ipairs { p.input, p.target } do
    for _, x in ipairs(a.values) do
      if not (x >= 0 and x <= 1) then array.refuse() end
    end
  end
end

local function gaussian(p)
  local x, var = p.input, p.var
  alike(x, p.target)
  if var.dtype ~= x.dtype or #var.shape ~= #x.shape and #var.shape ~= #x.shape - 1 then array.refuse() end
  local missing = #var.shape < #x.shape
  for d, size in ipairs(var.shape) do
    if size ~= x.shape[d] and not (d == #x.shape and size == 1) then array.refuse() end
  end
  for _, v in ipairs(var.values) do
    if not (v >= 0 and v < math.huge) then array.refuse() end
  end
  finite(p.eps, 0, true)
  if missing then
    local shape = { table.unpack(var.shape) }
    shape[#shape + 1] = 1
    var = { dtype = var.dtype, shape = shape, values = var.values }
  end
  return reduced(x.dtype, array.map("float64", function(mean, t, v)
    v = math.max(v, p.eps or 1e-6)
    return (math.log(v) + (mean - t) ^ 2 / v) / 2 + (p.full and math.log(2 * math.pi) / 2 or 0)
  end, x, p.target, var), p.reduction)
end

-- ---- losses of classes ----

-- The input as rows of classes: their shape, count, and at(row, class).
local function as_rows(x)
  if not array.is_float(x.dtype) or #x.shape == 0 then array.refuse() end
  local dim = #x.shape > 1 and 2 or 1
  local k, inner = x.shape[dim], 1
  if k == 0 then array.refuse() end
  for d = dim + 1, #x.shape do inner = inner * x.shape[d] end
  return array.without(x.shape, dim), k, function(a, row, class)
    local outer = (row - 1) // inner
    return a.values[(outer * k + class - 1) * inner + (row - 1) % inner + 1]
  end
end

local function check_classes(x, target, shape, k, ignored)
  if target.dtype ~= "int64" or table.concat(target.shape, "x") ~= table.concat(shape, "x") then array.refuse() end
  for _, class in ipairs(target.values) do
    if class ~= ignored and (class < 1 or class > k) then array.refuse() end
  end
end

local function check_class_weight(x, weight, k)
  if weight and (weight.dtype ~= x.dtype or #weight.shape ~= 1 or weight.shape[1] ~= k) then array.refuse() end
end

-- Of each row r the sum of share(r, j) weight[j] term(r, j), and the mean by the weights of the classes.
local function likelihoods(p, term)
  local x, target, smoothing = p.input, p.target, p.label_smoothing or 0
  local shape, k, at = as_rows(x)
  local ignored = p.ignore_index or -100
  local soft = p.label_smoothing ~= false and target.dtype == x.dtype
  check_class_weight(x, p.weight, k)
  if soft then
    if not same_shape(x, target) then array.refuse() end
    for _, t in ipairs(target.values) do
      if not (t >= 0 and t < math.huge) then array.refuse() end
    end
  else
    check_classes(x, target, shape, k, ignored)
  end
  local function weight(j) return p.weight and p.weight.values[j] or 1 end
  smoothing = smoothing or 0
  local divisor = 0
  local losses = array.build("float64", shape, function(_, r)
    local class, loss = not soft and target.values[r], 0
    if class == ignored then return 0 end
    divisor = divisor + (class and weight(class) or 1)
    for j = 1, k do
      local share = not soft and (class == j and 1 or 0) or at(target, r, j)
      local own = share * (1 - smoothing) * (class and weight(class) or weight(j)) + smoothing / k * weight(j)
      if own ~= 0 then loss = loss + own * term(x, r, j, k, at) end
    end
    return loss
  end)
  return reduced(x.dtype, losses, p.reduction, divisor)
end

local function cross_entropy(p)
  if (p.label_smoothing or 0) < 0 or (p.label_smoothing or 0) > 1 then array.refuse() end
  local sums = {}
  return likelihoods(p, function(x, r, j, k, at)
    if not sums[r] then
      local largest, total = -math.huge, 0
      for i = 1, k do largest = math.max(largest, at(x, r, i)) end
      for i = 1, k do total = total + math.exp(at(x, r, i) - largest) end
      sums[r] = largest + math.log(total)
    end
    return sums[r] - at(x, r, j)
  end)
end

local function nll(p)
  local options = { label_smoothing = false } -- never of probabilities
  for name, value in pairs(p) do options[name] = value end
  return likelihoods(options, function(x, r, j, _, at) return -at(x, r, j) end)
end

local function multi_margin(p)
  local shape, k, at = as_rows(p.input)
  local power = p.p or 1
  if #p.input.shape > 2 or power ~= 1 and power ~= 2 then array.refuse() end
  check_classes(p.input, p.target, shape, k)
  check_class_weight(p.input, p.weight, k)
  finite(p.margin)
  return reduced(p.input.dtype, array.build("float64", shape, function(_, r)
    local class, loss = p.target.values[r], 0
    for j = 1, k do
      local over = (p.margin or 1) - at(p.input, r, class) + at(p.input, r, j)
      if j ~= class then loss = loss + math.max(0, over) ^ power end
    end
    return loss / k * (p.weight and p.weight.values[class] or 1)
  end), p.reduction)
end

local function multilabel_margin(p)
  local x, target = p.input, p.target
  if #x.shape < 1 or #x.shape > 2 or not same_shape(x, target) then array.refuse() end
  local shape, k, at = as_rows(x)
  check_classes(x, target, x.shape, k, 0)
  return reduced(x.dtype, array.build("float64", shape, function(_, r)
    local listed, list, loss = {}, {}, 0
    for i = 1, k do
      local class = at(target, r, i)
      if class == 0 then break end
      listed[class] = true
      list[i] = class
    end
    for _, class in ipairs(list) do
      for i = 1, k do
        if not listed[i] then loss = loss + math.max(0, 1 - at(x, r, class) + at(x, r, i)) end
      end
    end
    return loss / k
  end), p.reduction)
end

-- ---- losses that compare ----

local function margin_ranking(p)
  alike(p.input1, p.input2)
  signs(p.input1, p.target, true)
  finite(p.margin)
  return reduced(p.input1.dtype, array.map("float64", function(a, b, t)
    return math.max(0, (p.margin or 0) - t * (a - b))
  end, p.input1, p.input2, p.target), p.reduction)
end

-- f(list, list) of the lines of two arrays along the last dimension
local function of_lines(a, b, f)
  local n = a.shape[#a.shape]
  return array.build("float64", array.without(a.shape, #a.shape), function(_, r)
    local first, second = {}, {}
    for i = 1, n do first[i], second[i] = a.values[(r - 1) * n + i], b.values[(r - 1) * n + i] end
    return f(first, second)
  end)
end

local function cosine_embedding(p)
  local a, target = p.input1, p.target
  alike(a, p.input2)
  if #a.shape < 1 or #a.shape > 2 or #target.shape ~= #a.shape - 1 then array.refuse() end
  if #a.shape == 2 and target.shape[1] ~= a.shape[1] then array.refuse() end
  signs(a, target)
  finite(p.margin)
  local cosines = of_lines(a, p.input2, function(x, y)
    local xy, xx, yy = 0, 1e-12, 1e-12
    for i = 1, #x do xy, xx, yy = xy + x[i] * y[i], xx + x[i] ^ 2, yy + y[i] ^ 2 end
    return xy / math.sqrt(xx * yy)
  end)
  return reduced(a.dtype, array.map("float64", function(c, t)
    return t == 1 and 1 - c or math.max(0, c - (p.margin or 0))
  end, cosines, target), p.reduction)
end

local function triplet_margin(p)
  local a, power, eps = p.anchor, p.p or 2, p.eps or 1e-6
  alike(a, p.positive)
  alike(a, p.negative)
  finite(p.margin)
  finite(p.eps, 0)
  finite(p.p, 0, true)
  if #a.shape == 0 then array.refuse() end
  local function distance(x, y)
    local total = 0
    for i = 1, #x do total = total + math.abs(x[i] - y[i] + eps) ^ power end
    return total ^ (1 / power)
  end
  local near, far = of_lines(a, p.positive, distance), of_lines(a, p.negative, distance)
  local swapped = of_lines(p.positive, p.negative, distance)
  return reduced(a.dtype, array.map("float64", function(x, y, z)
    return math.max(0, x - (p.swap and math.min(y, z) or y) + (p.margin or 1))
  end, near, far, swapped), p.reduction)
end

-- Cases of losses of two alike tensors; `more` stands behind.
local function pairs_of(more)
  return [[ {T(), T()}, {T(0), T(0)}, {T(0), T(0), {reduction = 'sum'}}, {T(3), T(3, 1)}, {T(5, 1), T(5)},
    {T(67), T(67)}, {T(3), T(3):to('int64')}, {T(3, 4), T(4, 3):t()}, {T(3, 4), T(3, 4), {reduction = 'mean'}} ]] ..
    (more or "")
end
-- The same where the second is -1 and 1, which ! makes of it.
local function signed(more)
  local cases = [[ {T(67), T(67)!}, {T(0), T(0), {reduction = 'sum'}}, {T(3), T(3, 1)!}, {T(3, 4), T(4, 3):t()!},
    {T(2, 3), T(2, 3) * 0.7}, {T(3), T(3) * 0}, {T(3), T(3)!:to('int64')}, {T(), T()!} ]] .. more
  return (cases:gsub("!", ":sign():detach()"))
end

return {
  cross_entropy = { cross_entropy, [[ {T(1, 1), I(1, 1)}, {T(4, 3) * 500, I(3, 4)},
    {T(0, 3), I(3, 0), {reduction = 'none'}},
    {T(0, 3), I(3, 0), {reduction = 'sum'}}, {T(0, 3), I(3, 0)}, {T(2, 3), ints{1, 4}}, {T(2, 3), ints{0, 1}},
    {T(2, 3), I(3, 3)},
    {T(3), I(3, 3)}, {T(3, 4), I(4, 3):to('float32')}, {T(67, 10), I(10, 67)},
    {T(3, 70), I(70, 3), {reduction = 'none'}}, {T(), I(3)}, {T(2, 3), ints{2, -100}}, {T(2, 3), ints{-100, -100}},
    {T(3, 3), ints{2, 0, 3}, {ignore_index = 0}}, {T(3, 3), ints{2, 1, 3}, T(3), {ignore_index = 1}},
    {T(3, 3), ints{2, 1, 3}, T(3), {ignore_index = 1, label_smoothing = 0.3, reduction = 'none'}},
    {T(2, 3), I(3, 2), T(2)}, {T(2, 3), I(3, 2), T(3, 1)}, {T(2, 3), I(3, 2), {label_smoothing = 1.5}},
    {T(2, 3), I(3, 2), {label_smoothing = -0.1}}, {T(2, 4, 3, 2), I(4, 2, 3, 2), {reduction = 'none'}},
    {T(2, 4, 3), I(4, 2, 2)}, {T(2, 4, 3), T(2, 4, 3):softmax(2), {label_smoothing = 0.1, reduction = 'none'}},
    {T(2, 4, 3), T(2, 4, 3):softmax(2)}, {T(4), T(4):softmax(1), {reduction = 'none'}}, {T(4, 3), -T(4, 3):softmax()},
    {T(2, 3), I(3, 2), T(3), {reduction = 'sum', label_smoothing = 0.1}}, {T(3), I(3), {reduction = 'none'}},
    {T(4, 3), peri.one_hot(I(3, 4), 3):to('float64')}, {T(4, 3), peri.one_hot(I(3, 4), 3), {reduction = 'sum'}} ]],
    close = "all" },
  nll_loss = { nll, [[ {T(1, 1), I(1, 1)}, {T(0, 3), I(3, 0), {reduction = 'none'}}, {T(0, 3), I(3, 0)},
    {T(2, 3), ints{1, 4}},
    {T(2, 3), ints{0, 1}}, {T(2, 3), T(2, 3)}, {T(3, 3), ints{2, 0, 3}, {ignore_index = 0}}, {T(67, 10), I(10, 67)},
    {T(3, 3), ints{2, 1, 3}, T(3), {ignore_index = 1}}, {T(2, 3), I(3, 2), T(2)}, {T(2, 3, 2, 2), I(3, 2, 2, 2)},
    {T(2, 3), ints{-100, 1}, {reduction = 'none'}} ]], close = "all" },
  multi_margin_loss = { multi_margin, [[ {T(67, 10), I(10, 67)}, {T(2, 3), ints{1, 4}}, {T(2, 3), I(3, 2), 3},
    {T(0, 3), I(3, 0)},
    {T(2, 3), I(3, 2), 2, {reduction = 'none'}}, {T(2, 3), I(3, 2), {margin = 0 / 0}}, {T(2, 3, 2), I(3, 2, 2)},
    {T(2, 3), I(3, 2), {weight = T(3)}}, {T(2, 3), I(3, 2), {weight = T(2)}}, {T(3, 1), I(1, 3)} ]], close = "all" },
  multilabel_margin_loss = { multilabel_margin, [[ {T(9, 7), I(8, 9, 7) - 1}, {T(2, 3), I(3, 2)}, {T(2, 3), I(3, 3, 2)},
    {T(3), ints{2, 0, 3}}, {T(3), ints{0, 1, 2}}, {T(3), ints{1, 4, 2}}, {T(3), ints{2, 2, 1}},
    {T(0, 3), I(3, 0, 3), {reduction = 'sum'}}, {T(2, 2, 2), I(2, 2, 2, 2)} ]], close = "all" },
  mse_loss = { of_elements(function(x, t) return (x - t) ^ 2 end), pairs_of(), close = "all" },
  l1_loss = { of_elements(function(x, t) return math.abs(x - t) end), pairs_of(), close = "all" },
  huber_loss = { of_elements(huber, function(p) finite(p.delta, 0, true) end),
    pairs_of ", {T(3), T(3), 0}, {T(3), T(3), 1 / 0}, {T(9), T(9), 0.3, {reduction = 'none'}}", close = "all" },
  smooth_l1_loss = { of_elements(smooth_l1, function(p) finite(p.beta, 0) end),
    pairs_of ", {T(3), T(3), -1}, {T(3), T(3), 0 / 0}, {T(9), T(9), 0.3, {reduction = 'none'}}", close = "all" },
  kl_div = { of_elements(kl_div), pairs_of [[, {T(3, 2), T(3, 2), {reduction = 'batchmean'}},
    {T(), T(), {reduction = 'batchmean'}}, {T(4), T(4) * 0}, {T(3, 2), T(3, 2), {log_target = true}} ]],
    close = "all" },
  poisson_nll_loss = { of_elements(poisson, function(p) finite(p.eps, 0) end),
    pairs_of ", {T(9), T(9), {full = true}}, {T(9), T(9), {log_input = false, eps = 0.1}}, {T(3), T(3), {eps = -1}}",
    close = "all" },
  soft_margin_loss = { of_elements(function(x, t) return log1p_exp(-t * x) end,
    function(p) return signs(p.input, p.target, true) end), signed [[ , {T(5) * 300, T(5)!, {reduction = 'none'}} ]],
    close = "all" },
  hinge_embedding_loss = { of_elements(function(x, t, p) return t == 1 and x or math.max(0, (p.margin or 1) - x) end,
    function(p)
      finite(p.margin)
      return signs(p.input, p.target, true)
    end), signed ", {T(5), T(5)!, 1 / 0}, {T(5), T(5)!, -0.5}", close = "all" },
  binary_cross_entropy = { weighted(bce, probabilities), pairs_of [[, {T(3), T(3) + 1}, {T(3) * 5, T(3)}, {-T(3), T(3)},
    {T(3):round(), T(3):round()}, {T(2, 3), T(2, 3), T(2, 1)}, {T(2, 3), T(2, 3), T(2)}, {T(3), T(3), T(2, 3)},
    {T(3) * 0, T(3), {reduction = 'none'}} ]], close = "all" },
  binary_cross_entropy_with_logits = { weighted(bce_with_logits), pairs_of [[, {T(3) * 300, T(3), {reduction = 'none'}},
    {T(2, 3), T(2, 3), T(2, 1), T(3)}, {T(2, 3), T(2, 3), T(2)}, {T(3), T(3), nil, T(2, 3)}, {T(3) * 0, T(3)},
    {T(3), T(3), {pos_weight = T(1)}} ]], close = "all" },
  gaussian_nll_loss = { gaussian, [[ {T(3), T(3), T()}, {T(3), T(3, 1), T(3)}, {T(2, 3), T(2, 3), T(3)},
    {T(2, 3), T(2, 3), T(2, 2)},
    {T(2, 3), T(2, 3), T(2, 3) * 0}, {T(2, 3), T(2, 3), -T(2, 3)}, {T(2, 3), T(2, 3), T(2, 3), {eps = 0}},
    {T(2, 3), T(2, 3), T(2, 3), {eps = 1}}, {T(), T(), T()}, {T(67), T(67), T(1), {full = true}} ]], close = "all" },
  margin_ranking_loss = { margin_ranking, [[ {T(5), T(5), T(5)}, {T(5), T(5, 1), T(5)},
    {T(67), T(67), T(67):sign():detach()},
    {T(0), T(0), T(0)}, {T(3), T(3), T(3):sign():detach(), 1 / 0}, {T(3), T(3), T(3):sign():detach(), -1},
    {T(), T(), T():sign():detach()} ]], close = "all" },
  cosine_embedding_loss = { cosine_embedding, [[ {T(9, 67), T(9, 67), T(9):sign():detach()}, {T(3, 2), T(3, 2), T(3)},
    {T(3, 2), T(3, 2), T(2):sign():detach()}, {T(3, 2), T(3, 1), T(3):sign():detach()}, {T(), T(), T():sign():detach()},
    {T(2, 3) * 0, T(2, 3), T(2):sign():detach()}, {T(2, 2, 2), T(2, 2, 2), T(2, 2):sign():detach()},
    {T(3), T(3), T():sign():detach(), {reduction = 'none'}} ]], close = "all" },
  triplet_margin_loss = { triplet_margin, [[ {T(9, 67), T(9, 67), T(9, 67)}, {T(3, 2), T(3, 1), T(3, 2)},
    {T(3), T(3), T(2)},
    {T(2, 3), T(2, 3), T(2, 3), 1, 0}, {T(2, 3), T(2, 3), T(2, 3), {eps = -1}}, {T(2, 3), T(2, 3), T(2, 3), 1 / 0},
    {T(), T(), T()}, {T(2, 3, 2), T(2, 3, 2), T(2, 3, 2), {p = 1.5, reduction = 'none'}},
    {T(0, 3), T(0, 3), T(0, 3)} ]],
    close = "all" },
}
