-- peri.help(x): the documentation of a function, of a name, or of a part of the module.
local peri = ...

-- Tables that hold documented functions, by their names.
local PARTS = { "linalg", "nn", "optim", "optim.lr_scheduler", "data", "svm", "plot" }

local function find(name)
  local value = peri
  for part in name:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[part]
  end
  return value
end

-- The documented names of a table, sorted.
local function names_in(value)
  local names = {}
  for name, entry in pairs(value) do
    if type(name) == "string" and name:sub(1, 1) ~= "_" and peri.documentation(entry) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function wrapped(names)
  local lines, line = {}, " "
  for _, name in ipairs(names) do
    if #line + #name > 78 then
      lines[#lines + 1] = line
      line = " "
    end
    line = line .. " " .. name
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function overview()
  local lines = { "Perilune " .. peri.version .. ". help(f), help \"name\" or help(part) says more. Functions of peri:", wrapped(names_in(peri)) }
  for _, part in ipairs(PARTS) do
    local value = find(part)
    if type(value) == "table" then
      local names = names_in(value)
      if #names > 0 then
        lines[#lines + 1] = "peri." .. part .. ":"
        lines[#lines + 1] = wrapped(names)
      end
    end
  end
  return table.concat(lines, "\n")
end

local function text_of(x)
  if x == nil then return overview() end
  local text = peri.documentation(x)
  if text then return text end
  if type(x) == "string" then
    local value = find((x:gsub("^peri%.", "")))
    if value ~= nil and type(value) ~= "string" then return text_of(value) end
  elseif type(x) == "table" then
    local names = names_in(x)
    if #names > 0 then return wrapped(names) end
  end
  return "there is no documentation of " .. (type(x) == "string" and x or type(x))
end

return function(x) print(text_of(x)) end
