-- Variables: which hold tensors, models and machines; a file of them.
local peri, internal, interactive, PATH = ...
local check = internal.check
local document = internal.document

local KINDS = { tensor = "tensor", layer = "model", estimator = "machine", optimizer = "optimizer", loader = "loader",
                search = "search", figure = "figure" }

local function shape_text(x) return x:dim() == 0 and "()" or table.concat(x.shape, "x") end

local SIZES = { float64 = 8, float32 = 4, int64 = 8, uint8 = 1, bool = 1 }

-- Bytes of the tensors in a table of names; a storage that several view counts for each.
local function bytes_of(tensors)
  local bytes = 0
  for _, tensor in pairs(tensors) do
    if peri.is_tensor(tensor) then bytes = bytes + tensor:numel() * SIZES[tensor.dtype] end
  end
  return bytes
end

local function row_of(name, value)
  local kind = KINDS[peri.type(value) or ""]
  if not kind then return nil end
  if kind == "tensor" then
    return { name = name, kind = kind, shape = shape_text(value), dtype = value.dtype, bytes = bytes_of { value } }
  end
  local state = check.has_method(value, "state_dict") and select(2, pcall(value.state_dict, value))
  local what = tostring(value):match "^[%a_][%w_.]*" or kind
  local bytes = type(state) == "table" and bytes_of(state) or nil
  return { name = name, kind = kind, shape = what, dtype = "", bytes = bytes }
end

local Who = { __name = "who" }
Who.__index = Who

function Who:__tostring()
  if #self == 0 then return "no variable holds a tensor, a model or a machine" end
  local rows, bytes = { { "name", "kind", "shape", "dtype", "size" } }, 0
  for _, row in ipairs(self) do
    bytes = bytes + (row.bytes or 0)
    rows[#rows + 1] = { row.name, row.kind, row.shape, row.dtype, row.bytes and internal.bytes_text(row.bytes) or "" }
  end
  return peri.script.table(rows) .. ("\ntensors in use: %s"):format(internal.bytes_text(peri.memory().in_use))
end

document("who", [[
interactive.who(variables = _G) -> list
Which of a table's fields hold tensors, models (layers), machines (estimators), optimisers, loaders, searches and
figures: {name =, kind =, shape =, dtype =, bytes =} for each, sorted by name; shape of what is no tensor is its class.
The list has a text, which the prompt shows.]], function(variables)
  if variables ~= nil then check.read("interactive.who", "variables", variables, check.kinds.table) end
  local list = {}
  for name, value in next, variables or _G do
    if type(name) == "string" and name ~= "_" and name ~= "__" then list[#list + 1] = row_of(name, value) end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  collectgarbage()
  return setmetatable(list, Who)
end, interactive)

-- What a file can hold of a value: itself, or nil. Plain tables are looked through.
local function is_plain(value, around)
  local kind = type(value)
  if kind == "number" or kind == "string" or kind == "boolean" or peri.is_tensor(value) then return true end
  if kind ~= "table" or getmetatable(value) ~= nil or around[value] then return false end
  around[value] = true
  for key, entry in next, value do
    if type(key) ~= "string" and math.type(key) ~= "integer" or not is_plain(entry, around) then return false end
  end
  around[value] = nil
  return true
end

document("save", [[
interactive.save(path, variables) -> left_out
Writes what a table of names and values holds as safetensors, whole or not at all: tensors, numbers, strings, booleans,
and plain tables of these. left_out: the sorted names of what is something else (models are written by peri.save).
Errors: as those of peri.save.]], function(path, variables)
  check.read("interactive.save", "path", path, PATH)
  check.read("interactive.save", "variables", variables, check.kinds.table)
  local kept, left_out = {}, {}
  for name, value in next, variables do
    if type(name) == "string" and is_plain(value, {}) then
      kept[name] = value
    else
      left_out[#left_out + 1] = tostring(name)
    end
  end
  table.sort(left_out)
  peri.save(path, { workspace = kept }, { perilune = "workspace" })
  return left_out
end, interactive)

document("load", [[
interactive.load(path) -> variables
Reads what interactive.save has written. Nothing in the file is executed.
Errors: a file that it has not written, or that is damaged.]], function(path)
  check.read("interactive.load", "path", path, PATH)
  local values, told = peri.load(path)
  if told.perilune ~= "workspace" or type(values.workspace) ~= "table" then
    check.fail("interactive.load: %s holds no workspace (expected a file of interactive.save)", path)
  end
  return values.workspace
end, interactive)
