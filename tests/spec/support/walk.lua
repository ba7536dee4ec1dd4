-- Walks of the operation table in a process of their own, because they collect garbage at every step and a collection
-- looks at all that lives, of which busted has much. A walk is a file of support/walks that returns f(op, call), which
-- raises where a row is wrong.
local samples = require "support.samples"
local run = require "support.program"

-- What walks have found: an error's text for a row's name, or true; `end` once all were seen.
local found = {}

local function results(walk)
  if found[walk] then return found[walk] end
  local list = {}
  local out, err, status = run({ "tests/spec/support/walks/run.lua", walk })
  for name, text in out:gmatch "row ([%w_.]+) (%b[])\n" do list[name] = text == "[]" or text:sub(2, -2) end
  if status ~= 0 then list.rest = ("the walk ended with status %s\n%s"):format(status, err:sub(-4000)) end
  found[walk] = list
  return list
end

--- A test for each row, named by `title`, a format.
return function(walk, title, it)
  samples.each(function(op)
    it(title:format(op.name), function()
      local list = results(walk)
      local result = list[op.name] or list.rest or "the walk did not come to this row"
      if result ~= true then error(result, 0) end
    end)
  end)
end
