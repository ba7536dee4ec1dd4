-- Twins of the losses (runtime/ops/loss.c).
local array = require "support.array"

-- Losses (float64) as they are asked for, in dtype.
local function reduced(dtype, losses, reduction)
  if reduction == "none" then return array.to(losses, dtype) end
  local total = 0
  for _, x in ipairs(losses.values) do total = total + x end
  return array.full(dtype, {}, reduction == "sum" and total or total / #losses.values)
end

local function log_sum_exp(x, row, k)
  local largest, total = -math.huge, 0
  for j = 1, k do largest = math.max(largest, array.at(x, { row, j })) end
  for j = 1, k do total = total + math.exp(array.at(x, { row, j }) - largest) end
  return largest + math.log(total)
end

local function cross_entropy(p)
  local x, target = p.input, p.target
  if not array.is_float(x.dtype) or #x.shape ~= 2 or x.shape[2] == 0 then array.refuse() end
  local n, k = x.shape[1], x.shape[2]
  local classes = target.dtype == "int64" and #target.shape == 1
  if not classes and target.dtype ~= x.dtype or target.shape[1] ~= n or not classes and target.shape[2] ~= k then
    array.refuse()
  end
  for _, value in ipairs(target.values) do
    if classes and (value < 1 or value > k) or not classes and (value < 0 or value > 1) then array.refuse() end
  end
  local losses = array.build("float64", { n }, function(at)
    local row, loss = at[1], 0
    local total = log_sum_exp(x, row, k)
    for j = 1, k do
      local share = classes and (target.values[row] == j and 1 or 0) or array.at(target, { row, j })
      if share > 0 then loss = loss + share * (total - array.at(x, { row, j })) end
    end
    return loss
  end)
  return reduced(x.dtype, losses, p.reduction)
end

local function mse_loss(p)
  local a, b = p.input, p.target
  if not array.is_float(a.dtype) or a.dtype ~= b.dtype then array.refuse() end
  if table.concat(a.shape, "x") ~= table.concat(b.shape, "x") then array.refuse() end
  local losses = array.map("float64", function(x, y) return (x - y) ^ 2 end, a, b)
  return reduced(a.dtype, losses, p.reduction)
end

return {
  cross_entropy = { cross_entropy, [[ {T(1, 1), I(1, 1)}, {T(4, 3) * 500, I(3, 4)},
    {T(0, 3), I(3, 0), {reduction = 'none'}},
    {T(0, 3), I(3, 0), {reduction = 'sum'}}, {T(0, 3), I(3, 0)}, {T(2, 3), ints{1, 4}}, {T(2, 3), ints{0, 1}},
    {T(2, 3), I(3, 3)},
    {T(3), I(3, 3)}, {T(3, 4), I(4, 3):to('float32')}, {T(67, 10), I(10, 67)},
    {T(3, 70), I(70, 3), {reduction = 'none'}},
    {T(4, 3), peri.one_hot(I(3, 4), 3):to('float64')}, {T(4, 3), peri.one_hot(I(3, 4), 3), {reduction = 'sum'}} ]],
    close = "all" },
  mse_loss = { mse_loss, [[ {T(), T()}, {T(0), T(0)}, {T(0), T(0), {reduction = 'sum'}}, {T(3), T(3, 1)},
    {T(67), T(67)},
    {T(3), T(3):to('int64')}, {T(3, 4), T(4, 3):t()}, {T(3, 4), T(3, 4), {reduction = 'mean'}} ]], close = "all" },
}
