-- Parameters that are tried: names with lists of values, and their combinations.
local _, internal = ...
local check = internal.check
local fail = check.fail

local combinations = {}

-- The names of params, sorted.
function combinations.names(operation, params)
  check.read(operation, "params", params, check.kinds.table)
  local names = {}
  for name in pairs(params) do
    if type(name) ~= "string" then
      fail("%s: params must have names, got the key %s", operation, check.describe(name))
    end
    names[#names + 1] = name
  end
  if #names == 0 then fail("%s: params is empty", operation) end
  table.sort(names)
  return names
end

function combinations.text(value)
  if math.type(value) == "float" then return ("%.6g"):format(value) end
  return tostring(value)
end

-- "h = 4, lr = 0.1"
function combinations.label(names, params)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = name .. " = " .. combinations.text(params[name]) end
  return table.concat(parts, ", ")
end

-- The combination of that number (from 0) of the lists: the last name varies fastest.
function combinations.at(names, lists, number)
  local params = {}
  for i = #names, 1, -1 do
    local list = lists[names[i]]
    params[names[i]] = list[number % #list + 1]
    number = number // #list
  end
  return params
end

function combinations.count(operation, names, lists)
  local count = 1
  for _, name in ipairs(names) do
    if count > 2 ^ 40 / #lists[name] then fail("%s: params has more than 2^40 combinations", operation) end
    count = count * #lists[name]
  end
  return count
end

-- Raises the message of an error with what it came from.
function combinations.explain(operation, label, message)
  if type(message) ~= "string" or label == "" then error(message, 0) end
  local position, rest = message:match "^([^:\n]+:%d+: )(.*)$"
  if not position then fail("%s: with %s: %s", operation, label, message) end
  error(("%s%s: with %s: %s"):format(position, operation, label, rest), 0)
end

-- f(...), whose error names what it was called for.
function combinations.attempt(operation, label, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  return combinations.explain(operation, label, results[2])
end

return combinations
