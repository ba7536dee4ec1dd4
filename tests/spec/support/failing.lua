-- Allocations that fail, one after the other.
local peri = require "perilune"
local assert = require "luassert"

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
    assert.truthy(message:find("out of memory", 1, true), name .. ": " .. message)
    if unchanged then
      assert.equal(before, unchanged(), ("%s: %d allocations, then a failure: something changed"):format(name, n))
    end
    collectgarbage()
    if peri.memory().in_use ~= bytes then -- what one collection finalises may have held what the next one does
      assert.equal(bytes, failing.live(), ("%s: %d allocations, then a failure: bytes stayed"):format(name, n))
    end
  end
  error(name .. " never succeeded")
end

return failing
