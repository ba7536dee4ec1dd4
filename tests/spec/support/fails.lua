-- Calls that must fail, and what they say.
local assert = require "luassert"

local fails = {}

--- The message of a call that fails.
function fails.message(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error was raised")
  return message
end

--- That a call fails with a message that holds these words; gives the message.
function fails.with(part, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "no error (" .. part .. ")")
  assert.truthy(tostring(message):find(part, 1, true), ("%q does not hold %q"):format(tostring(message), part))
  return message
end

--- The same, with a message of one line that says so after a script's position: not one within the module.
function fails.at_script(part, f, ...)
  local message = fails.with(part, f, ...)
  local text = message:match "^tests/spec/[%w_/]+%.lua:%d+: ([^\n]*)$"
  assert.truthy(text, "not one line after the script's position: " .. message)
  assert.truthy(text:find(part, 1, true), ("%q does not hold %q"):format(text, part))
  return message
end

--- That a call fails with a message that matches a pattern.
function fails.like(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "accepted; expected " .. pattern)
  assert.matches(pattern, message)
end

return fails
