-- Twins of embeddings and of bilinear (runtime/ops/embedding.c).
local array = require "support.array"

local function check(p)
  local index, weight = p.index, p.weight
  if not array.is_float(weight.dtype) or #weight.shape ~= 2 or index.dtype ~= "int64" or #index.shape > 7 then
    array.refuse()
  end
  if p.padding_idx and (p.padding_idx < 1 or p.padding_idx > weight.shape[1]) then array.refuse() end
  for _, i in ipairs(index.values) do
    if i < 1 or i > weight.shape[1] then array.refuse() end
  end
end

local function embedding(p)
  check(p)
  local size, shape = p.weight.shape[2], { table.unpack(p.index.shape) }
  shape[#shape + 1] = size
  return array.build(p.weight.dtype, shape, function(_, k)
    return array.at(p.weight, { p.index.values[(k - 1) // size + 1], (k - 1) % size + 1 })
  end)
end

local function embedding_bag(p)
  check(p)
  if p.offsets then
    local given = array.is(p.offsets)
    local begins, n = given and p.offsets.values or p.offsets, #p.index.values
    if given and (p.offsets.dtype ~= "int64" or #p.offsets.shape ~= 1) or #p.index.shape ~= 1 then array.refuse() end
    for b, at in ipairs(begins) do
      if at < (begins[b - 1] or 1) or at > n + 1 or b == 1 and at ~= 1 then array.refuse() end
    end
    return array.build(p.weight.dtype, { #begins, p.weight.shape[2] }, function(position)
      local total, count = 0, 0
      for j = begins[position[1]], (begins[position[1] + 1] or n + 1) - 1 do
        local i = p.index.values[j]
        if i ~= p.padding_idx then total, count = total + array.at(p.weight, { i, position[2] }), count + 1 end
      end
      return p.mode == "sum" and total or total / math.max(count, 1)
    end)
  end
  if #p.index.shape ~= 2 then array.refuse() end
  return array.build(p.weight.dtype, { p.index.shape[1], p.weight.shape[2] }, function(at)
    local total, count = 0, 0
    for j = 1, p.index.shape[2] do
      local i = array.at(p.index, { at[1], j })
      if i ~= p.padding_idx then total, count = total + array.at(p.weight, { i, at[2] }), count + 1 end
    end
    return p.mode == "sum" and total or total / math.max(count, 1)
  end)
end

local function bilinear(p)
  local a, b, w, bias = p.input1, p.input2, p.weight, p.bias
  if not array.is_float(a.dtype) or b.dtype ~= a.dtype or w.dtype ~= a.dtype then array.refuse() end
  if #a.shape == 0 or #a.shape ~= #b.shape or #w.shape ~= 3 then array.refuse() end
  for d = 1, #a.shape - 1 do
    if a.shape[d] ~= b.shape[d] then array.refuse() end
  end
  local outputs, n1, n2 = table.unpack(w.shape)
  if a.shape[#a.shape] ~= n1 or b.shape[#b.shape] ~= n2 then array.refuse() end
  if bias and (bias.dtype ~= a.dtype or #bias.shape ~= 1 or bias.shape[1] ~= outputs) then array.refuse() end
  return array.build(a.dtype, array.with(a.shape, #a.shape, outputs), function(_, k)
    local row, out = (k - 1) // outputs, (k - 1) % outputs + 1
    local total = bias and bias.values[out] or 0
    for i = 1, n1 do
      for j = 1, n2 do
        total = total + a.values[row * n1 + i] * array.at(w, { out, i, j }) * b.values[row * n2 + j]
      end
    end
    return total
  end)
end

return {
  embedding = { embedding, [[ {I(67, 40), T(67, 9)}, {ints{1, 6}, T(5, 2)}, {ints{0, 1}, T(5, 2)}, {I(5, 3), T(5)},
    {I(5, 3), T(5, 2), {padding_idx = 6}}, {I(5, 3), T(5, 2), {padding_idx = 0}}, {I(3, 0), T(3, 2)},
    {I(3, 2), T(3, 0)}, {T(3), T(3, 2)}, {ints{-1}, T(3, 2)} ]] },
  embedding_bag = { embedding_bag, [[ {I(67, 20, 9), T(67, 9)}, {I(5, 3), T(5, 2)}, {I(3, 2, 0), T(3, 2)},
    {peri.ones(2, 3, {dtype = 'int64'}), T(5, 2), {padding_idx = 1}}, {I(5, 0, 3), T(5, 2)},
    {I(5, 2, 3), T(5, 2), {mode = 'sum'}}, {ints{1, 6}:view(1, 2), T(5, 2)} ]], close = "all" },
  bilinear = { bilinear, [[ {T(9, 7), T(9, 8), T(6, 7, 8), T(6)}, {T(4, 3), T(3, 2), T(5, 3, 2)},
    {T(4, 3), T(4, 3), T(5, 3, 2)},
    {T(4, 3), T(4, 2), T(5, 3, 2), T(4)}, {T(3), T(1, 2), T(2, 3, 2)}, {T(0, 3), T(0, 2), T(2, 3, 2)},
    {T(), T(), T(1, 1, 1)},
    {T(4, 3), T(4, 2), T(3, 2)} ]], close = "all" },
}
