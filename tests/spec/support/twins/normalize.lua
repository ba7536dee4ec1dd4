-- The twins of normalisations (runtime/ops/normalize.c, normalize_rows.c).
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

-- ---- each sample by its own numbers ----

-- f(list) of the numbers that share key(position, k), divided by its second result after the first is taken off.
local function by_lists(x, eps, key, spread)
  local lists = {}
  array.build("int64", x.shape, function(position, k)
    local name = key(position, k)
    lists[name] = lists[name] or {}
    table.insert(lists[name], x.values[k])
    return 0
  end)
  local known = {}
  for name, list in pairs(lists) do known[name] = { spread(list) } end
  return function(position, k)
    local mean, variance = table.unpack(known[key(position, k)])
    return (x.values[k] - mean) / math.sqrt(variance + eps)
  end
end

local function check_eps(eps)
  if not (eps > 0 and eps < math.huge) then array.refuse() end
end

local function check_shape(x, weight, shape)
  if weight == nil then return end
  if weight.dtype ~= x.dtype or table.concat(weight.shape, "x") ~= table.concat(shape, "x") then array.refuse() end
end

local function squares(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x * x end
  return 0, total / #list
end

-- The last dimensions, with the spread of a row, and what eps is when it is not given.
local function of_last(spread, least)
  return function(p)
    local x, shape = p.x, type(p.normalized_shape) == "number" and { p.normalized_shape } or p.normalized_shape
    if not array.is_float(x.dtype) or #shape < 1 or #shape > #x.shape then array.refuse() end
    for d, size in ipairs(shape) do
      if size ~= x.shape[#x.shape - #shape + d] then array.refuse() end
    end
    check_shape(x, p.weight, shape)
    check_shape(x, p.bias, shape)
    local eps, n = type(p.eps) == "number" and p.eps or least[x.dtype], array.numel(shape)
    check_eps(eps)
    local normal = by_lists(x, eps, function(_, k) return (k - 1) // n end, spread)
    return array.build(x.dtype, x.shape, function(position, k)
      local at = (k - 1) % n + 1
      return normal(position, k) * (p.weight and p.weight.values[at] or 1) + (p.bias and p.bias.values[at] or 0)
    end)
  end
end

-- Groups of channels of each sample; groups(p, channels) says how many.
local function of_groups(groups)
  return function(p)
    local x, eps = p.x, p.eps or 1e-5
    if not array.is_float(x.dtype) or #x.shape < 2 then array.refuse() end
    local count_of = x.shape[2]
    local count = groups(p, count_of)
    if count < 1 and count_of > 0 or count_of % count ~= 0 then array.refuse() end
    check_shape(x, p.weight, { count_of })
    check_shape(x, p.bias, { count_of })
    check_eps(eps)
    local size = count_of // count
    local normal = by_lists(x, eps, function(at) return at[1] .. " " .. (at[2] - 1) // size end, moments)
    return array.build(x.dtype, x.shape, function(at, k)
      local c = at[2]
      return normal(at, k) * (p.weight and p.weight.values[c] or 1) + (p.bias and p.bias.values[c] or 0)
    end)
  end
end

local function instance_groups(p, count_of)
  local inner = #p.x.shape > 2 and 1 or 0
  for d = 3, #p.x.shape do inner = inner * p.x.shape[d] end
  if #p.x.shape < 3 or inner == 1 then array.refuse() end
  return math.max(count_of, 1)
end

local last = [[ {T(67, 70), 70, T(70), T(70)}, {T(3), 3}, {T(2, 3), 2}, {T(2, 3), {2, 3}}, {T(2, 3), {4, 2, 3}},
    {T(2, 3), {3}, T(2)},
  {T(2, 1), 1}, {T(0, 3), 3}, {T(2, 3), 3, {eps = 0}}, {T(2, 3), 3, {eps = 1 / 0}}, {T(2, 3), 3, T(3):to('float64')},
  {T(2, 3, 4), {3, 4}, T(3, 4)}, {T(2, 3, 4), {3, 4}, T(4)}, {T(), 1} ]]

return {
  layer_norm = { of_last(moments, { float32 = 1e-5, float64 = 1e-5 }),
    last .. ", {T(3, 300) + 100, 300, nil, T(300)}", close = "all" },
  rms_norm = { of_last(squares, { float32 = 0x1p-23, float64 = 0x1p-52 }), (last:gsub("T%(70%), T%(70%)", "T(70)")),
    close = "all" },
  group_norm = { of_groups(function(p) return p.num_groups end), [[ {T(7, 6, 5), 3, T(6), T(6)}, {T(2, 4), 4},
    {T(2, 4), 3},
    {T(2, 4), 0}, {T(4), 1}, {T(2, 6, 3, 3), 2, nil, T(6)}, {T(2, 4), 2, T(2)}, {T(0, 4), 2}, {T(2, 4, 0), 2},
    {T(2, 4, 3), 1, {eps = -1}} ]], close = "all" },
  instance_norm = { of_groups(instance_groups), [[ {T(7, 6, 5), T(6), T(6)}, {T(2, 4)}, {T(2, 4, 1)},
    {T(2, 3, 4, 5), nil, T(3)},
    {T(2, 3, 4), T(4)}, {T(0, 3, 4)}, {T(2, 3, 4), {eps = 0}} ]], close = "all" },
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
