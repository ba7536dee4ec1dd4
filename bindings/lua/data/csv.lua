-- read_csv and write_csv: their options; the work is done in C.
local peri, internal = ...
local check = internal.check
local fail = check.fail

-- By the option, or by the ending of the path.
local function separator_of(operation, path, given)
  if given == nil then
    local name = check.read(operation, "path", path, check.kinds.string):lower():gsub("%.gz$", "")
    return (name:find "%.tsv$" or name:find "%.tab$") and "\t" or ","
  end
  if type(given) ~= "string" or #given ~= 1 or not given:find "[\t,;:|&/!#~^=*]" then
    check.must_be(operation, "separator", given, "a tab or one of , ; : | & / ! # ~ ^ = *")
  end
  return given
end

local function check_column(operation, name, value)
  if type(value) == "string" then
    if value:find("\0", 1, true) then fail("%s: %s holds a zero byte", operation, name) end
    return value
  end
  local position = math.type(value) and math.tointeger(value)
  if not position or position == 0 then
    check.must_be(operation, name, value, "a name or a position (from 1, or from -1 at the end)")
  end
  return position
end

local csv = {}

function csv.read_csv(path, options)
  local operation = "read_csv"
  options = check.only(operation, options, "columns dtype header label missing separator")
  local separator = separator_of(operation, path, options.separator)
  local header = 0
  if options.header ~= nil then header = check.flag(operation, "header", options.header) and 1 or 2 end
  local missing = check.choice(operation, "missing", options.missing or "error", "error nan") == "nan"
  local label, columns = options.label, false
  if label ~= nil then label = check_column(operation, "label", label) end
  if options.columns ~= nil then
    if type(options.columns) ~= "table" or #options.columns == 0 then
      check.must_be(operation, "columns", options.columns, "a list of 1 or more names or positions")
    end
    columns = {}
    for i, column in ipairs(options.columns) do
      columns[i] = check_column(operation, ("entry %d of columns"):format(i), column)
    end
  end
  local chosen = { separator, header, missing, options.dtype or "float32", columns, label or false }
  return internal.data.read_csv(path, chosen)
end

-- A list of n texts without zero bytes (n nil: any number).
local function texts(operation, name, list, n, least)
  if type(list) ~= "table" or n and #list ~= n then
    if type(list) == "table" then fail("%s: %s has %d names (expected %d)", operation, name, #list, n) end
    check.must_be(operation, name, list, "a list of names")
  end
  local copy = {}
  for i, text in ipairs(list) do
    if math.type(text) == "integer" then text = tostring(text) end
    if type(text) ~= "string" or #text < least or text:find("\0", 1, true) then
      check.must_be(operation, ("entry %d of %s"):format(i, name), text, "a text")
    end
    copy[i] = text
  end
  return copy
end

function csv.write_csv(path, X, y, options)
  local operation = "write_csv"
  options = check.only(operation, options, "classes columns label separator")
  local separator = separator_of(operation, path, options.separator)
  if not peri.is_tensor(X) or X:dim() ~= 2 then
    check.must_be(operation, "X", X, "a tensor n x d")
  end
  if y == nil and (options.label ~= nil or options.classes ~= nil) then
    fail("%s: label and classes are for y, but there is none", operation)
  end
  local names, classes = false, false
  if options.columns ~= nil then
    names = texts(operation, "columns", options.columns, X:size(2), 0)
  elseif options.label ~= nil then
    names = {}
    for i = 1, X:size(2) do names[i] = "x" .. i end
  end
  if names and y ~= nil then names[#names + 1] = texts(operation, "label", { options.label or "y" }, 1, 0)[1] end
  if options.classes ~= nil then classes = texts(operation, "classes", options.classes, nil, 1) end
  internal.data.write_csv(path, X, y, { separator, names, classes })
end

return csv
