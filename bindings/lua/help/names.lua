-- Values by their names, for help and the reference: what scripts can write ("linalg.solve"), and the classes of
-- objects that only a call gives ("plot.figure"), whose methods are found here.
local peri, internal = ...
local names = {}

-- The methods of a class, which the part that it belongs to makes known when it is loaded; of layers, nn.Module.
function names.class(name)
  local part = peri[name:match "^[^.]+"]
  return internal.classes[name] or type(part) == "table" and rawget(part, name:match "[^.]+$") or nil
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

return names
