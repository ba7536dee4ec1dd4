-- A walk of the operation table; support/walk.lua reads what it prints.
package.path = "tests/spec/?.lua;" .. package.path
local samples = require "support.samples"
local walk, finish = dofile(("tests/spec/support/walks/%s.lua"):format((...)))

local function say(name, f, ...)
  local ok, message = xpcall(f, debug.traceback, ...)
  local text = ok and "" or tostring(message):gsub("[%[%]]", "|")
  print(("row %s [%s]"):format(name, text))
  io.stdout:flush()
end

samples.each(function(op, call) say(op.name, walk, op, call) end)
if finish then say("in all", finish) end
