-- Memory that is short, for a row and its gradient: what failed has changed nothing and kept nothing.
local samples = require "support.samples"
local inject = require("support.failing").inject
local weighing = require "support.weighing"

local function inject_into(name, tensors, f)
  inject(name, function() return samples.all_bits(tensors) end, f)
end

local function row(op, call)
  for _, arguments in ipairs(samples.arguments(op)) do
    inject_into(op.name, samples.tensors(arguments), function() call(table.unpack(arguments, 1, #arguments)) end)
  end
  if not op.gradient then return end
  weighing.each(op, call, function(s, alone, text)
    local loss, leaves = weighing.evaluate(op, call, s, nil, alone)
    if loss and loss.requires_grad then
      inject_into("gradient of " .. text, leaves, function() loss:backward() end)
      assert(#leaves > 0)
    end
  end)
end

return { row = row }
