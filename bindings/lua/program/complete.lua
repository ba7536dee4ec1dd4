-- Completion of names: what could follow the text before the cursor.
--
-- A chain such as net.layers[1]: is followed through its values; the last value's fields are offered, and
-- those of its metatable's __index. Where that is a function it looks fields up in tables that it has as
-- upvalues or that the object has as user values, so these are offered when indexing finds them. Only
-- indexing is done, never a call.

local KEYWORDS = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
  "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"}

local function add_names(names, t)
  for key in next, t do
    if type(key) == "string" and key:find("^[A-Za-z_][A-Za-z0-9_]*$") then names[key] = true end
  end
end

-- Adds the names under which `value` may have fields; `depth` ends chains of metatables that circle.
local function add_fields(names, value, depth)
  if type(value) == "table" then add_names(names, value) end
  local metatable = debug.getmetatable(value)
  if depth > 20 or type(metatable) ~= "table" then return end
  local index = rawget(metatable, "__index")
  if type(index) ~= "function" then return add_fields(names, index, depth + 1) end
  for i = 1, 255 do
    local name, held = debug.getupvalue(index, i)
    if not name then break end
    if type(held) == "table" then add_fields(names, held, depth + 1) end
  end
  for i = 1, type(value) == "userdata" and 255 or 0 do
    local held, exists = debug.getuservalue(value, i)
    if not exists then break end
    if type(held) == "table" then add_fields(names, held, depth + 1) end
  end
  add_names(names, metatable)
end

local function index(value, key) return value[key] end

-- The value of a chain like a.b[1]["c"], or nil.
local function resolve(session, chain)
  local function step(head, key)
    local value = resolve(session, head)
    if value == nil then return nil end
    local ok, field = pcall(index, value, key)
    return ok and field or nil
  end
  local head, key = chain:match("^(.*[^.])%.([A-Za-z_][A-Za-z0-9_]*)$")
  if head then return step(head, key) end
  head, key = chain:match("^(.+)%[(%-?%d+)%]$")
  if head then return step(head, math.tointeger(key)) end
  head, key = chain:match("^(.+)%[\"([^\"\\]*)\"%]$")
  if not head then head, key = chain:match("^(.+)%['([^'\\]*)'%]$") end
  if head then return step(head, key) end
  local name = chain:match("([A-Za-z_][A-Za-z0-9_]*)$")
  if not name then return nil end
  local variable = session.variables[name]
  if variable then return variable.holder() end
  return _G[name]
end

-- The commands that begin so, where a line may be one.
local function commands(session, part)
  local list = {}
  for _, name in ipairs(session.commands) do
    if name:sub(2, #part + 1) == part then list[#list + 1] = name:sub(2) end
  end
  table.sort(list)
  return list, part
end

local function candidates(session, line)
  local command = session.commands and not session.continued and line:match "^%s*%.(%a*)$"
  if command then return commands(session, command) end
  local chain, separator, part = line:match("^(.*[^.])([.:])([A-Za-z0-9_]*)$")
  local names = {}
  if not chain then
    part = line:match("[A-Za-z_][A-Za-z0-9_]*$") or ""
    if part == "" then return {}, part end
    add_fields(names, _G, 0)
    add_names(names, session.variables)
    for _, keyword in ipairs(KEYWORDS) do names[keyword] = true end
  else
    local value = resolve(session, chain)
    local found = {}
    if value ~= nil then add_fields(found, value, 0) end
    for name in pairs(value == package.loaded.perilune and found or {}) do -- what is there for its tests
      if name:find "^_" then found[name] = nil end
    end
    for name in pairs(found) do -- what is not asked for is not indexed: that may load a part of the module
      local ok, field = false, nil
      if name:sub(1, #part) == part then ok, field = pcall(index, value, name) end
      if ok and field ~= nil and (separator == "." or type(field) == "function") then names[name] = true end
    end
  end
  local list = {}
  for name in pairs(names) do
    if name:sub(1, #part) == part and (part ~= "" or name:sub(1, 1) ~= "_") then list[#list + 1] = name end
  end
  table.sort(list)
  return list, part
end

local function common_prefix(list)
  local first, last = list[1], list[#list] -- sorted: these two differ most
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do n = n + 1 end
  return first:sub(1, n)
end

local function in_columns(list, width)
  local widest = 0
  for _, name in ipairs(list) do widest = math.max(widest, #name) end
  local per_row = math.max(1, width // (widest + 2))
  local rows = (#list + per_row - 1) // per_row
  local lines = {}
  for row = 1, rows do
    local cells = {}
    for i = row, #list, rows do
      cells[#cells + 1] = list[i] .. (" "):rep(i + rows <= #list and widest + 2 - #list[i] or 0)
    end
    lines[row] = table.concat(cells)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- complete(session, line, width): the text to insert or nil, the choices to show or nil.
return function(session, line, width)
  local list, part = candidates(session, line)
  if not list[1] then return nil, nil end
  local insertion = common_prefix(list):sub(#part + 1)
  if insertion ~= "" then return insertion, nil end
  return nil, list[2] and in_columns(list, width) or nil
end
