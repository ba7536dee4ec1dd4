-- The twin of attention (runtime/ops/attention.c).
local array = require "support.array"
local random = require "support.twins.random"

-- The sizes of three arrays before their last two, broadcast.
local function leading(...)
  local ndim, shape = 2, {}
  for _, x in ipairs { ... } do
    if #x.shape < 2 then array.refuse() end
    ndim = math.max(ndim, #x.shape)
  end
  for d = 1, ndim - 2 do
    shape[d] = 1
    for _, x in ipairs { ... } do
      local size = x.shape[d - (ndim - #x.shape)] or 1
      if size ~= 1 and shape[d] ~= 1 and size ~= shape[d] then array.refuse() end
      if size ~= 1 then shape[d] = size end
    end
  end
  return shape
end

-- Something of these sizes, for `leading`.
local function leading_of(...)
  local shape = leading(...)
  table.move({ 1, 1 }, 1, 2, #shape + 1, shape)
  return { shape = shape }
end

local function attention(p, stream)
  local q, k, v, mask, dropout = p.query, p.key, p.value, p.attn_mask, p.dropout_p or 0
  local dtype = q.dtype
  if not array.is_float(dtype) or k.dtype ~= dtype or v.dtype ~= dtype then array.refuse() end
  local shape, all = leading(q, k), leading(leading_of(q, k), v)
  local queries, keys = q.shape[#q.shape - 1], k.shape[#k.shape - 1]
  local features, values = q.shape[#q.shape], v.shape[#v.shape]
  if k.shape[#k.shape] ~= features or v.shape[#v.shape - 1] ~= keys then array.refuse() end
  if not (dropout >= 0 and dropout <= 1) or p.scale and p.scale - p.scale ~= 0 then array.refuse() end
  local of_scores = { table.unpack(shape) }
  table.move({ queries, keys }, 1, 2, #shape + 1, of_scores)
  if mask then
    if p.is_causal or mask.dtype ~= "bool" and mask.dtype ~= dtype or #mask.shape > #of_scores then array.refuse() end
    for d, size in ipairs(mask.shape) do
      if size ~= 1 and size ~= of_scores[d + #of_scores - #mask.shape] then array.refuse() end
    end
  end
  local scale = p.scale or 1 / math.sqrt(math.max(features, 1))
  local function row(x, position, i)
    local dims = #position - 2
    local at = table.move(position, 1, dims, 1, {})
    at[dims + 1] = i
    return function(j)
      at[dims + 2] = j
      local own = { table.unpack(at, #at - #x.shape + 1) }
      for d = 1, #own - 2 do own[d] = x.shape[d] == 1 and 1 or own[d] end
      return array.at(x, own)
    end
  end
  local scores = {}
  array.build("float64", of_scores, function(position, at)
    local a, b, sum = row(q, position, position[#position - 1]), row(k, position, position[#position]), 0
    for f = 1, features do sum = sum + a(f) * b(f) end
    sum = sum * scale
    if p.is_causal and position[#position] > position[#position - 1] then sum = -math.huge end
    if mask then
      local m = array.stretched(mask, position)
      if mask.dtype == "bool" then sum = m and sum or -math.huge else sum = sum + m end
    end
    scores[at] = sum
    return 0
  end)
  local weights = array.build(dtype, of_scores, function(position, at)
    local first = at - position[#position]
    local most, total = -math.huge, 0
    for j = 1, keys do most = math.max(most, scores[first + j]) end
    for j = 1, keys do total = total + math.exp(scores[first + j] - most) end
    return math.exp(scores[at] - most) / total
  end)
  weights = random.rows.dropout[1]({ x = weights, p = dropout }, stream)
  local of_result = { table.unpack(all) }
  table.move({ queries, values }, 1, 2, #all + 1, of_result)
  local y = array.build(dtype, of_result, function(position)
    local sum, own = 0, table.move(position, 1, #position, 1, {})
    for j = 1, keys do
      own[#own] = j
      sum = sum + array.stretched(weights, own) * row(v, position, j)(position[#position])
    end
    return sum
  end)
  if p.need_weights then return y, weights end
  return y
end

return {
  scaled_dot_product_attention = { attention, [[ {T(7, 5), T(9, 5), T(9, 3)}, {T(2, 3, 4), T(2, 5, 4), T(2, 5, 2),
    {is_causal = true}}, {T(2, 2, 3, 4), T(2, 2, 5, 4), T(2, 2, 5, 2), T(2, 1, 1, 5), {need_weights = true}},
    {T(3, 2), T(3, 2), T(3, 2), peri.ones(3, 3):gt(0), 0.5, {need_weights = true}}, {T(3, 2), T(3, 1), T(3, 2)},
    {T(3, 2), T(3, 2), T(2, 2)}, {T(3), T(3), T(3)}, {T(3, 2), T(3, 2), T(3, 2), T(2, 3)},
    {T(3, 2), T(3, 2), T(3, 2), nil, 1.5}, {T(3, 2), T(3, 2), T(3, 2), peri.ones(3, 3), {is_causal = true}},
    {T(3, 2), T(3, 2), T(3, 2), ints{1, 2, 3}}, {T(2, 3, 2), T(3, 3, 2), T(3, 2)}, {T(0, 2), T(3, 2), T(3, 2)},
    {T(3, 2), T(3, 2), T(3, 2), {scale = 0/0}} ]], close = "all" },
}
