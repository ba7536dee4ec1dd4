-- What modules hold, as lists.
local modules = {}

--- The first value of each turn of an iterator.
function modules.list_of(iterator, ...)
  local list = {}
  for name in iterator, ... do list[#list + 1] = name end
  return list
end

--- The names of a module's parameters.
function modules.names(module) return modules.list_of(module:named_parameters()) end

return modules
