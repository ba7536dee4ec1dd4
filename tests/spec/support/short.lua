-- short(f, ...): calls f while the first attempt to allocate fails; the collection that follows runs a finaliser, after
-- which there is memory. Gives what pcall gives.
local peri = require "perilune"

return function(f, ...)
  collectgarbage()
  collectgarbage "stop"
  setmetatable({}, { __gc = function() peri._fail_after(-1) end })
  peri._fail_after(0)
  local result = table.pack(pcall(f, ...))
  peri._fail_after(-1)
  collectgarbage "restart"
  return table.unpack(result, 1, result.n)
end
