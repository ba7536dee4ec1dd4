-- A value as the prompt shows it: what tostring gives, and a plain table with what is in it: first its
-- list, then its other fields in the order of their names. No metamethod but __tostring is called.

local MOST, DEEPEST = 20, 3

local text_of

-- A function of the module as its documentation begins, else as Lua shows it.
local function text_of_function(value)
  local peri = package.loaded.perilune
  local text = type(peri) == "table" and peri.documentation and peri.documentation(value)
  return text and "function " .. text:match "^[^\n]*" or tostring(value)
end

-- What the module has for nobody but its tests.
local function is_hidden(t, key)
  return t == package.loaded.perilune and type(key) == "string" and key:find "^_" ~= nil
end

-- The entries as text: a list's values alone, other fields as name = value.
local function entries(t, width, depth)
  local parts, names, length = {}, {}, rawlen(t)
  for i = 1, math.min(length, MOST) do parts[i] = text_of(rawget(t, i), width, depth + 1) end
  if length > MOST then parts[MOST + 1] = "... " .. length - MOST .. " more" end
  for key in next, t do
    local listed = math.type(key) == "integer" and key >= 1 and key <= length
    if not listed and not is_hidden(t, key) then names[#names + 1] = key end
  end
  table.sort(names, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) < type(b)
  end)
  for i = 1, math.min(#names, MOST) do
    local key, value = names[i], text_of(rawget(t, names[i]), width, depth + 1)
    local plain = type(key) == "string" and key:find "^[%a_][%w_]*$"
    parts[#parts + 1] = (plain and key or "[" .. text_of(key, width, DEEPEST) .. "]") .. " = " .. value
  end
  if #names > MOST then parts[#parts + 1] = "... " .. #names - MOST .. " more" end
  return parts
end

-- Entries one behind the other in lines that begin with indent; one of several lines has lines of its own.
local function in_lines(parts, indent, width)
  local lines, line = {}, indent
  for i, part in ipairs(parts) do
    if #line > #indent and (#line + #part + 2 > width or part:find "\n" or parts[i - 1]:find "\n") then
      lines[#lines + 1] = line
      line = indent
    end
    line = line .. (#line > #indent and " " or "") .. part .. ","
  end
  return table.concat(lines) .. line
end

-- depth is 0 for what was asked for, else that of the tables around the value.
function text_of(value, width, depth)
  depth = depth or 0
  if depth > 0 and type(value) == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") .. "" end
  if type(value) == "function" then return depth > 0 and "function" or text_of_function(value) end
  local metatable = debug.getmetatable(value)
  if type(value) ~= "table" or metatable and (rawget(metatable, "__tostring") or rawget(metatable, "__name")) then
    local text = tostring(value)
    -- of several lines, the last: a tensor's dtype and shape
    return depth > 0 and text:match "\n(%[[^\n]*%])$" or text
  end
  if next(value) == nil then return "{}" end
  if depth >= DEEPEST then return "{...}" end
  local parts = entries(value, width, depth)
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line + 2 * depth <= width and not line:find "\n" then return line end
  return "{" .. in_lines(parts, "\n" .. ("  "):rep(depth + 1), width) .. "\n" .. ("  "):rep(depth) .. "}"
end

return text_of
