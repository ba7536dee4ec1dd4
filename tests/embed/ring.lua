-- Gives the function of a tick: the mean score of the window's samples, of which the newer part may be empty.
local peri = require "perilune"
local weight = peri.tensor { { 1 }, { -0.5 } }
local kept

return function(older, newer)
  if kept then assert(not pcall(kept.sum, kept)) end -- of the tick before, and taken back
  kept = newer
  assert(not pcall(older.add_, older, 1)) -- to be read alone
  local sum = older:matmul(weight):sum() + newer:matmul(weight):sum()
  return sum:item() / (#older + #newer)
end
