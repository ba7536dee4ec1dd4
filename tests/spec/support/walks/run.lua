-- A walk of the operation table; support/walk.lua reads what it prints.
package.path = "tests/spec/?.lua;" .. package.path
local samples = require "support.samples"
local walk = require("support.walks." .. ...)

local function say(name, f, ...)
  local ok, message = xpcall(f, debug.traceback, ...)
  local text = ok and "" or tostring(message):gsub("[%[%]]", "|")
  print(("row %s [%s]"):format(name, text))
  io.stdout:flush()
end

local inventory = walk.inventory or samples.each_alone
inventory(function(row, call) say(row.name, walk.row, row, call) end)
if walk.all then say("in all", walk.all) end
