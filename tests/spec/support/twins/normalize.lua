-- The twin of batch_norm (runtime/ops/normalize.c).
local array = require "support.array"

-- A vector of one value for each channel, or nil.
local function check_vector(x, vector)
  if vector == nil then return end
  if #vector.shape ~= 1 or vector.shape[1] ~= x.shape[2] or vector.dtype ~= x.dtype then array.refuse() end
end

local function moments(list)
  local mean, squares = 0, 0
  for _, x in ipairs(list) do mean = mean + x / #list end
  for _, x in ipairs(list) do squares = squares + (x - mean) ^ 2 end
  return mean, squares / #list
end

local function channels(x)
  local lists = {}
  for c = 1, x.shape[2] do lists[c] = {} end
  array.build("int64", x.shape, function(position, k)
    table.insert(lists[position[2]], x.values[k])
    return 0
  end)
  return lists
end

local function batch_norm(p)
  local x, mean, variance = p.x, {}, {}
  local eps, momentum = p.eps or 1e-5, p.momentum or 0.1
  if not array.is_float(x.dtype) or #x.shape < 2 then array.refuse() end
  for _, name in ipairs { "running_mean", "running_var", "weight", "bias" } do check_vector(x, p[name]) end
  if (p.running_mean == nil) ~= (p.running_var == nil) or not (p.training or p.running_mean) then array.refuse() end
  if not (eps > 0 and eps < math.huge) or momentum - momentum ~= 0 then array.refuse() end
  if p.training then
    if #x.values <= x.shape[2] then array.refuse() end
    for c, list in ipairs(channels(x)) do mean[c], variance[c] = moments(list) end
  else
    mean, variance = p.running_mean.values, p.running_var.values
  end
  return array.build(x.dtype, x.shape, function(position, k)
    local c = position[2]
    local normal = (x.values[k] - mean[c]) / math.sqrt(variance[c] + eps)
    return normal * (p.weight and p.weight.values[c] or 1) + (p.bias and p.bias.values[c] or 0)
  end)
end

return {
  batch_norm = { batch_norm, [[ {T(7, 5), T(5), T(5), T(5), T(5), true}, {T(9, 300), nil, nil, {training = true}},
    {T(300, 3), nil, nil, T(3), {training = true, eps = 0.5}}, {T(2, 3, 70), nil, nil, nil, T(3), true},
    {T(2, 3, 5, 90), T(3), T(3), {training = true, momentum = 0.5}}, {T(3, 2, 300), nil, nil, {training = true}},
    {T(3, 2, 3, 2, 3), T(2), T(2), T(2), T(2)}, {T(0, 3), T(3), T(3)}, {T(3, 0), T(0), T(0)}, {T(2, 3, 0), T(3), T(3)},
    {T(6, 2) + 1000, nil, nil, {training = true}}, {T(1, 3), T(3), T(3), T(3), T(3)},
    {T(1, 3), T(3), T(3), nil, nil, true}, {T(0, 3), nil, nil, {training = true}}, {T(5, 3)}, {T(5, 3), T(3)},
    {T(5, 3), nil, T(3)}, {T(5, 3), T(3), nil, T(3)},
    {T(5, 3), T(4), T(4)}, {T(5, 3), T(3), T(3), T(1, 3)}, {T(5), T(5), T(5)}, {T(5, 3), T(3), T(3), {eps = 0}},
    {T(5, 3), T(3), T(3), {eps = -1}}, {T(5, 3), T(3), T(3), {momentum = 1 / 0}}, {T(5, 3), T(3):to('float64'), T(3)},
    {T(4, 3), T(3), T(3), T(3), T(3), false, 0.1, 0.25} ]], close = "all" },
}
