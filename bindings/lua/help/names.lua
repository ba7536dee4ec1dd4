-- The module by names, for help and the reference: its parts, as their table in C lists them, what scripts can write
-- ("linalg.solve"), and the classes of objects that only a call gives ("plot.figure"), which a part makes known when it
-- is loaded.
local peri, internal = ...
local names = {}

-- The methods of a class.
function names.class(name)
  local _ = peri[name:match "^[^.]+"] -- is then loaded
  for _, class in ipairs(internal.class_list) do
    if class.name == name then return class.methods end
  end
end

function names.find(name)
  local value, path = peri, nil
  for part in name:gmatch "[^.]+" do
    if type(value) ~= "table" then value = path and names.class(path) end
    if type(value) ~= "table" then return nil end
    value, path = value[part], path and path .. "." .. part or part
  end
  return value
end

-- The parts that have a section, in its order, loaded: {name =, title =, doc =, value = the table}. Functions of the
-- module that are loaded like parts are there then, too.
function names.parts()
  local list = {}
  for _, part in ipairs(internal.parts) do
    local value = names.find(part.name)
    if part.title then list[#list + 1] = { name = part.name, title = part.title, doc = part.doc, value = value } end
  end
  return list
end

-- The part whose table a value is, when it was loaded.
function names.part_of(value)
  local name = internal.part(value)
  for _, part in ipairs(name and internal.parts or {}) do
    if part.name == name or part.name:match "[^.]+$" == name then return part end
  end
end

-- The classes of a part's objects, in the order in which it made them known; without a part those of the module itself.
function names.classes_of(part)
  local list, own = {}, part and part.name
  for _, class in ipairs(internal.class_list) do
    local owner = class.name:match "^(.*)%.[^.]+$"
    if owner == own and (own or not peri[class.name]) or own == class.name then list[#list + 1] = class end
  end
  return list
end

-- All classes, in the order of the parts, which are loaded: {name =, title =, methods =}.
function names.classes()
  local parts, list = names.parts(), names.classes_of(nil)
  for _, part in ipairs(parts) do
    for _, class in ipairs(names.classes_of(part)) do list[#list + 1] = class end
  end
  return list
end

-- found(name, text) for all that is documented, each text once: functions of the module, of its parts, methods.
function names.each(found)
  local said = {}
  local function look(prefix, values)
    for _, name in ipairs(internal.check.sorted_keys(values)) do
      local text = name:sub(1, 1) ~= "_" and peri.documentation(values[name]) or nil
      if text and not said[text] then
        said[text] = true
        found(prefix .. name, text)
      end
    end
  end
  look("", peri)
  for _, part in ipairs(names.parts()) do look(part.name .. ".", part.value) end
  for _, class in ipairs(names.classes()) do look(class.name .. ":", class.methods) end
end

return names
