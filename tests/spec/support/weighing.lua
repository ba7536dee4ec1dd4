-- What tests of gradients differentiate: a number made of a row's outputs, for every sample of it.
local peri = require "perilune"
local samples = require "support.samples"

local weighing = {}

local function is_weighed(y) return peri.is_tensor(y) and y.dtype == "float64" end

-- A scalar from all float outputs, or from that of this number alone, with fixed weights so that no output cancels
-- another.
function weighing.weigh(outputs, seed, alone)
  local total
  for k = 1, outputs.n do
    local y = outputs[k]
    if is_weighed(y) and (alone or k) == k then
      local weights = (peri.arange(1, y:numel()) * 0.7 + seed + k):to("float64"):sin()
      local term = (y:reshape(-1) * peri.tensor(weights:totable(), { dtype = "float64" })):sum()
      total = total and total + term or term
    end
  end
  return total
end

-- Calls sample number s of a row with leaves that have the given values (or the sample's own): what `weigh` makes of
-- the outputs, and the leaves.
function weighing.evaluate(op, call, s, values, alone)
  local leaves = {}
  local list = samples.one(op, s, { dtype = "float64", make = function(t, k)
    local leaf = (values and values[k] or t):clone():detach():requires_grad_()
    leaves[k] = leaf
    return leaf
  end })
  return weighing.weigh(table.pack(call(table.unpack(list, 1, #list))), 0, alone), leaves
end

-- visit(s, alone, text) for each sample of a row and what of its outputs is weighed: all (alone is nil), then, where
-- several are floats, each alone, because then a gradient arrives at that one only.
function weighing.each(op, call, visit)
  for s, arguments in ipairs(samples.arguments(op, { dtype = "float64" })) do
    local outputs = table.pack(call(table.unpack(arguments, 1, #arguments)))
    local text, floats = ("%s sample %d"):format(op.name, s), {}
    for k = 1, outputs.n do
      if is_weighed(outputs[k]) then floats[#floats + 1] = k end
    end
    visit(s, nil, text)
    for _, k in ipairs(#floats > 1 and floats or {}) do visit(s, k, text .. ", output " .. k .. " alone") end
  end
end

return weighing
