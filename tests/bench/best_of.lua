-- best_of(runs, f): the seconds that f took the fastest time.
local peri = require "perilune"

return function(runs, f)
  local best = math.huge
  for _ = 1, runs do
    local start = peri.now()
    f()
    best = math.min(best, peri.now() - start)
  end
  return best
end
