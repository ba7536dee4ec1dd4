-- Completion: what could follow the text before the cursor. Names; options of a function behind f{ or f(x, {; files in
-- a string, and modules in that of require; commands behind a colon. Asked twice, it shows how these are called.
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

-- ---- where the cursor is ----

-- The end of a string or a comment that begins at `from`, or nil and the quote where it is still open.
local function skip(line, from)
  local bracket = line:match("^%-%-%[(=*)%[", from) or line:match("^%[(=*)%[", from)
  if bracket then
    local _, last = line:find("]" .. bracket .. "]", from, true)
    return last
  end
  if line:find("^%-%-", from) then return (line:find("\n", from, true)) end
  local quote, position = line:sub(from, from), from + 1
  while true do
    local found = line:find("[\\" .. quote .. "]", position)
    if not found then return nil, quote end
    if line:sub(found, found) == quote then return found end
    position = found + 2
  end
end

-- The brackets that are open at the end of a line, as a list of positions; and where a string began that is open, which
-- is 0 in a comment.
local function open_brackets(line)
  local stack, position = {}, 1
  while position <= #line do
    local c = line:sub(position, position)
    if c == '"' or c == "'" or line:find("^%-%-", position) or line:find("^%[=*%[", position) then
      local last, quote = skip(line, position)
      if not last then return stack, quote and position or 0 end
      position = last
    elseif c:find "[%(%[{]" then
      stack[#stack + 1] = position
    elseif c:find "[%)%]}]" then
      stack[#stack] = nil
    end
    position = position + 1
  end
  return stack, nil
end

-- ---- what is called there ----

-- A chain that a text ends with, and the way to its last name: "peri.nn" and "Linear".
local function documentation(session, text)
  local peri = package.loaded.perilune
  local chain = text:match "([%a_][%w_.:%[%]\"']*)%s*$"
  local value = chain and resolve(session, (chain:gsub(":", ".")))
  return value ~= nil and peri and peri.documentation(value) or nil
end

-- The documentation of the function whose call is open.
local function of_open_call(session, line, stack)
  for i = #stack, 1, -1 do
    local before = line:sub(1, stack[i] - 1)
    local text = before:find "[%w_%]]%s*$" and documentation(session, before)
    if text then return text end
  end
end

-- The names of options that a documentation tells of: in the braces of its signature, and with an = behind them or
-- after "options:" in what follows.
local function options_of(text)
  local names = {}
  local signature, body = text:match "^([^\n]*)\n?(.*)$"
  for braces in signature:gmatch "%b{}" do
    for name in braces:gmatch "[{,]%s*([%a_][%w_]*)" do names[name] = true end
  end
  for name in body:gmatch "%f[%w_]([%a_][%w_]+) =[^=]" do names[name] = true end
  for list in body:gmatch "[oO]ptions: ([^.;]*)" do
    for name in (", " .. list:gsub("%b()", "")):gmatch "[,&]%s+([%a_][%w_]*)" do names[name] = true end
  end
  for _, word in ipairs { "and", "the", "as", "those", "of", "a" } do names[word] = nil end
  return names
end

local function begins_with(name, part) return name:sub(1, #part) == part end

local function sorted(names, part)
  local list = {}
  for name in pairs(names) do if begins_with(name, part) then list[#list + 1] = name end end
  table.sort(list)
  return list
end

local function of_options(session, line, stack)
  local at = stack[#stack]
  if not at or line:sub(at, at) ~= "{" then return nil end
  local part = line:sub(at):match "[{,]%s*([%a_]?[%w_]*)$"
  local text = part and of_open_call(session, line, stack)
  if not text then return nil end
  local list = sorted(options_of(text), part)
  for i, name in ipairs(list) do list[i] = name .. " = " end
  if #list > 0 then return list, part end
end

-- ---- files ----

local function entries_of(folder)
  local internal = debug.getregistry()["perilune.internal"]
  return internal and internal.process.list(folder) or nil
end

local function files(part)
  local folder, name = part:match "^(.*/)([^/]*)$"
  name = name or part
  local home = os.getenv "HOME"
  local path = (folder or "./"):gsub("^~/", home and home .. "/" or "~/")
  local list = {}
  for _, entry in ipairs(entries_of(path) or {}) do
    if begins_with(entry, name) and (name ~= "" or entry:sub(1, 1) ~= ".") and not entry:find "%c" then
      list[#list + 1] = entry .. (entries_of(path .. entry) and "/" or "")
    end
  end
  table.sort(list)
  return list, name
end

-- Modules that are loaded, that wait, and that package.path leads to.
local function modules(part)
  local names = {}
  for _, loaded in ipairs { package.loaded, package.preload } do add_names(names, loaded) end
  local above = part:match "^.*%." or ""
  for template in package.path:gmatch "[^;]+" do
    local folder, ending = template:match "^(.-)%?(.*)$"
    for _, entry in ipairs(folder and entries_of(folder .. above:gsub("%.", "/") .. ".") or {}) do
      if #entry > #ending and entry:sub(-#ending) == ending then
        names[above .. entry:sub(1, -#ending - 1)] = true
      elseif not entry:find "%." and ending:sub(1, 1) == "/" and
        package.searchpath(above .. entry, template) then
        names[above .. entry] = true
      end
    end
  end
  return sorted(names, part), part
end

local function in_string(line, from)
  local part = line:sub(from + 1)
  if line:sub(1, from - 1):find "%f[%w_]require%s*%(?%s*$" then return modules(part) end
  return files(part)
end

-- ---- names ----

-- The commands that begin so, where a line may be one; or the files that one of them takes.
local function commands(session, line)
  local part = line:match "^%s*:(%a*)$"
  if part then
    local list = {}
    for _, name in ipairs(session.commands.names()) do
      if begins_with(name, ":" .. part) then list[#list + 1] = name:sub(2) end
    end
    table.sort(list)
    return list, part
  end
  local name, path = line:match "^%s*(:%a+)%s+(%S*)$"
  if name and session.commands.takes_file(name) then return files(path) end
end

local function names_for(session, line)
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
      if begins_with(name, part) then ok, field = pcall(index, value, name) end
      if ok and field ~= nil and (separator == "." or type(field) == "function") then names[name] = true end
    end
  end
  local list = sorted(names, part)
  for i = #list, 1, -1 do if part == "" and list[i]:sub(1, 1) == "_" then table.remove(list, i) end end
  return list, part, chain
end

-- What could follow, sorted; what of it is typed; and the chain before it, if any.
local function candidates(session, line)
  if session.commands and not session.continued and line:find "^%s*:" then
    local list, part = commands(session, line)
    if list then return list, part end
    line = line:gsub("^%s*:%a*", "")
  end
  line = line:gsub("^%s*%?%?*", "")
  local stack, string_at = open_brackets(line)
  if string_at == 0 then return {}, "" end
  if string_at then return in_string(line, string_at) end
  local list, part = of_options(session, line, stack)
  if list then return list, part end
  return names_for(session, line)
end

local function common_prefix(list)
  local first, last = list[1], list[#list] -- sorted: these two differ most
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do n = n + 1 end
  return first:sub(1, n)
end

local function in_columns(list, width)
  local widest = 0
  for _, name in ipairs(list) do widest = math.max(widest, utf8.len(name) or #name) end
  local per_row = math.max(1, width // (widest + 2))
  local rows = (#list + per_row - 1) // per_row
  local lines = {}
  for row = 1, rows do
    local cells = {}
    for i = row, #list, rows do
      cells[#cells + 1] = list[i] .. (" "):rep(i + rows <= #list and widest + 2 - (utf8.len(list[i]) or #list[i]) or 0)
    end
    lines[row] = table.concat(cells)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- How the names are called, as far as they are documented; of no name, how the function of the open call is.
local function signatures(session, line, list, chain, width)
  local lines = {}
  local function add(text)
    if not text then return end
    local now = ""
    local together = text:match("^[^\n]*"):gsub(" =", "\0="):gsub("= ", "=\0") -- "name = value"
    for word in together:gmatch "%S+" do
      if #now + #word + 1 > width then
        lines[#lines + 1] = now
        now = "   "
      end
      now = now == "" and word or now .. " " .. word:gsub("%z", " ")
    end
    lines[#lines + 1] = now
  end
  for i = 1, math.min(#list, 12) do add(documentation(session, (chain and chain .. "." or "") .. list[i])) end
  if #lines == 0 then add(of_open_call(session, line, (open_brackets(line)))) end
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or nil
end

-- complete(session, line, width): the text to insert or nil, the choices to show or nil. session.asked is the line that
-- was last asked about.
local function complete(session, line, width)
  local list, part, chain = candidates(session, line)
  local again = session.asked == line
  session.asked = line
  if not list[1] then return nil, signatures(session, line, list, chain, width) end
  local insertion = common_prefix(list):sub(#part + 1)
  if insertion ~= "" then return insertion, nil end
  if again or not list[2] then
    local text = signatures(session, line, list, chain, width)
    if text then return nil, text end
  end
  return nil, list[2] and in_columns(list, width) or nil
end

-- What completes a line, the value of a chain, and the choices alone.
return complete, resolve, candidates
