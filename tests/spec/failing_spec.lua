-- Memory that is short, for every row (support/walks/failing.lua).
local walk = require "support.walk"

describe("allocation failures #table #program", function()
  walk.each("failing", "leave everything as it was in %s and its gradient", it)
end)
