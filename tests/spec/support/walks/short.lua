-- Memory that a collection finds is used by a row.
local samples = require "support.samples"
local short = require "support.short"

local function row(op, call)
  for s = 1, #samples.arguments(op) do
    local ok, message = short(call, table.unpack((samples.one(op, s))))
    assert(ok, message)
  end
end

return { row = row }
