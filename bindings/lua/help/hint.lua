-- What the program adds to an error of Lua's own about a name that is nil: a function or part of the module that was
-- misspelt, a gradient that is not there. Parts give nil for names that they do not have, so that scripts can ask; the
-- hint is made only when nobody has caught the error.
local peri, internal = ...
local find = internal.load("help.names", peri, internal).find
local debug = debug

local NO_GRADIENT = " (a gradient is nil until backward has reached its tensor, and always for the result of " ..
  "recorded operations, as w is after w = w - lr * w.grad: write peri.no_grad(function() w:sub_(lr * w.grad) end))"

-- The innermost frame of the script, and the variables that it sees: locals over upvalues over globals.
local function script_frame()
  local seen, level, info = setmetatable({}, { __index = _G }), 1
  repeat
    level = level + 1
    info = debug.getinfo(level, "Slf")
    if not info then return nil end
  until info.currentline > 0 and not info.source:find "^=perilune/" and not info.source:find "^=%[program%."
  for i = 1, 255 do
    local name, value = debug.getupvalue(info.func, i)
    if not name then break end
    seen[name] = value
  end
  for i = 1, 255 do
    local name, value = debug.getlocal(level, i)
    if not name then break end
    seen[name] = value
  end
  return info, seen
end

local function line_of(info)
  local path = info.source:match "^@(.*)"
  local file = path and not path:find "^/dev/" and io.open(path) -- what was read from there is gone
  if not file then return "" end
  local n, text = 0, ""
  for line in file:lines() do
    n = n + 1
    if n == info.currentline then
      text = line
      break
    end
  end
  file:close()
  return text
end

-- Whether the name was asked of a part of the module, as far as one can see.
local function of_a_part(info, seen, name)
  local root = line_of(info):match("([%a_][%w_]*)[%w_.]*%s*[.:]%s*" .. name .. "%f[^%w_]")
  if root then return internal.part(seen[root]) ~= nil end
  for _, value in pairs(seen) do if internal.part(value) then return true end end
  return internal.part(_G.peri) ~= nil
end

-- All names of the module, as a script writes them.
local function all_names()
  local names = {}
  local function add(part, prefix)
    for name in pairs(part) do
      local full = prefix .. "." .. tostring(name)
      if type(name) == "string" and not name:find "^_" and (not names[name] or full < names[name]) then
        names[name] = full
      end
    end
  end
  for _, part in ipairs(internal.parts) do
    local value = find(part.name)
    if type(value) == "table" then add(value, "peri." .. part.name) end
  end
  for _, part in ipairs(internal.parts) do
    if not part.name:find(".", 1, true) then names[part.name] = "peri." .. part.name end
  end
  for name in pairs(peri) do names[name] = not tostring(name):find "^_" and "peri." .. name or nil end
  return names
end

return function(message)
  if message:find "nil value %(field 'grad'%)" then return NO_GRADIENT end
  local kind, name = message:match "attempt to %a+ a nil value %((%a+) '([%a_][%w_]*)'%)"
  if kind ~= "field" and kind ~= "method" or not debug then return "" end
  local info, seen = script_frame()
  if not info or not of_a_part(info, seen, name) then return "" end
  local names = all_names()
  local close = names[name] and name or internal.meant(name, names):match "did you mean ([%w_]+)%?$"
  return close and (": did you mean %s?"):format(names[close]) or ""
end
