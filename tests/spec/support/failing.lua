-- Allocations that fail, one after the other.
local peri = require "perilune"

local failing = {}

--- The bytes that tensors hold when all garbage is gone.
function failing.live()
  collectgarbage()
  collectgarbage()
  return peri.memory().in_use
end

--- Fails each allocation in turn until f() succeeds; gives how many succeeded by then. Each failure says so, leaves
--- nothing behind, and unchanged() gives what it gave before.
function failing.inject(name, unchanged, f)
  local before, bytes = unchanged and unchanged(), failing.live()
  for n = 0, 1000 do
    peri._fail_after(n)
    local ok, message = pcall(f)
    peri._fail_after(-1)
    if ok then return n end
    if not message:find("out of memory", 1, true) then error(name .. ": " .. message, 0) end
    if unchanged and before ~= unchanged() then
      error(("%s: %d allocations, then a failure: something changed"):format(name, n), 0)
    end
    collectgarbage()
    if peri.memory().in_use ~= bytes then -- what one collection finalises may have held what the next one does
      local stayed = failing.live() - bytes
      if stayed ~= 0 then
        error(("%s: %d allocations, then a failure: %d bytes stayed"):format(name, n, stayed), 0)
      end
    end
  end
  error(name .. " never succeeded")
end

return failing
