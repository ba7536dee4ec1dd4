-- Walks of the operation table in a process of their own, because they collect garbage at every step and a collection
-- looks at all that lives, of which busted has much. A walk is a file of support/walks that returns f(op, call), which
-- raises where a row is wrong, and may return a second function that is called after all rows.
local samples = require "support.samples"
local run = require "support.program"

-- What walks have found: an error's text for a row's name, or true; `rest`: what is said of those that are missing.
local found = {}

local function results(walk)
  if found[walk] then return found[walk] end
  local list = {}
  local out, err, status = run({ "tests/spec/support/walks/run.lua", walk })
  for name, text in out:gmatch "row ([%w_. ]+) (%b[])\n" do list[name] = text == "[]" or text:sub(2, -2) end
  if status ~= 0 then list.rest = ("the walk ended with status %s\n%s"):format(status, err:sub(-4000)) end
  found[walk] = list
  return list
end

local function check(walk, name)
  local list = results(walk)
  local result = list[name] or list.rest or "the walk did not come to this row"
  if result ~= true then error(result, 0) end
end

local walks = {}

--- A test for each row, named by `title`, a format; with `which`, for the rows alone for which it is true.
function walks.each(walk, title, it, which)
  samples.each(function(op)
    if not which or which(op) then it(title:format(op.name), function() check(walk, op.name) end) end
  end)
end

--- What the walk says of all rows together.
function walks.in_all(walk) check(walk, "in all") end

return walks
