-- A walk of the operation table; support/walk.lua reads what it prints.
package.path = "tests/spec/?.lua;" .. package.path
local samples = require "support.samples"
local walk = require("support.walks." .. ...)

samples.each(function(op, call)
  local ok, message = xpcall(walk, debug.traceback, op, call)
  local text = ok and "" or tostring(message):gsub("[%[%]]", "|")
  print(("row %s [%s]"):format(op.name, text))
  io.stdout:flush()
end)
