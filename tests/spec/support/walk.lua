-- Walks of the operation table in a process of their own, because they collect garbage at every step and a collection
-- looks at all that lives, of which busted has much. A walk is a file of support/walks with a table: row(op, call),
-- which raises where a row is wrong; all(), if there is more to say after them; inventory(visit), if it walks no rows
-- but other things that have a name.
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

--- A test for each row, named by `title`, a format.
function walks.each(name, title, it)
  local inventory = require("support.walks." .. name).inventory or samples.each
  inventory(function(row)
    it(title:format(row.name), function() check(name, row.name) end)
  end)
end

--- A test of what the walk says of all rows together.
function walks.all(name) check(name, "in all") end

return walks
