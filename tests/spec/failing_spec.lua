-- Memory that is short, for every row: what failed has changed nothing and kept nothing. A file of its own, since each
-- failure ends with collections, which cost little where little lives.
local samples = require "support.samples"
local inject = require("support.failing").inject
local weighing = require "support.weighing"

describe("allocation failures #table in", function()
  local function inject_into(name, tensors, f)
    inject(name, function() return samples.all_bits(tensors) end, f)
  end

  samples.each(function(op, call)
    it(op.name .. " leave everything as it was", function()
      for _, arguments in ipairs(samples.arguments(op)) do
        inject_into(op.name, samples.tensors(arguments), function() call(table.unpack(arguments, 1, #arguments)) end)
      end
    end)
    if op.gradient then
      it("the gradient of " .. op.name .. " leave everything as it was", function()
        weighing.each(op, call, function(s, alone, text)
          local loss, leaves = weighing.evaluate(op, call, s, nil, alone)
          if loss and loss.requires_grad then
            inject_into("gradient of " .. text, leaves, function() loss:backward() end)
            assert.is_truthy(#leaves > 0)
          end
        end)
      end)
    end
  end)
end)
