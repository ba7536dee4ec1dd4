-- peri.help(x): the documentation of a function, of a name, of a value, or of a part of the module.
local peri, internal = ...
local names = internal.load("help.names", peri, internal)
local find = names.find

-- Tables that hold documented functions, by their names; and those of methods.
local PARTS = {
  "linalg", "nn", "optim", "optim.lr_scheduler", "data", "svm", "train", "metrics", "select", "run", "plot", "script",
  "report",
}
local CLASSES = {
  "Tensor", "nn.Module", "plot.figure", "train.Classifier", "train.Regressor", "train.fitted", "run", "script.options",
  "select.search", "select.curve", "svm.grid", "metrics.confusion",
}
local WIDTH = 80

local TENSOR = [[
Numbers of one dtype (float32, float64, int64, uint8, bool) in a shape.
Everything counts from 1, ranges include both ends, -1 is the last.
  x[1]  x[{1, 2}]                        a row, an element
  x[{ {1, 3}, {} }]  x[{1, {2, -1, 2}}]  ranges {from, to, step}
  x[x:gt(0)]  x[indices]                 by a bool tensor, by an int64 tensor
  x[{1, {}}] = 0                         writes, broadcast
  #x  x.shape  x.dtype                   the first dimension, fields
  for i, row in ipairs(x) do             its rows, or elements; pairs(x) too
  x.grad  x.requires_grad  x.is_leaf
Arithmetic broadcasts; name_ changes in place. Methods:]]

-- The documented names of a table, sorted.
local function names_in(value)
  local list = {}
  for name, entry in pairs(value) do
    if type(name) == "string" and name:sub(1, 1) ~= "_" and peri.documentation(entry) then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- The words of a text in lines; the second and later ones begin with indent, the first with first or nothing.
local function wrapped(text, indent, first)
  local lines, line = {}, nil
  for word in text:gmatch "%S+" do
    if not line then
      line = (first or "") .. word
    elseif #line + 1 + #word > WIDTH then
      lines[#lines + 1] = line
      line = indent .. word
    else
      line = line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- A signature, where "name = value" and "-> result" stay together.
local function wrapped_signature(text)
  text = text:gsub(" =", "\0="):gsub("= ", "=\0"):gsub("%-> ", "->\0")
  return (wrapped(text, "    "):gsub("\0", " "))
end

local function list_of_names(value) return wrapped(table.concat(names_in(value), " "), "  ", "  ") end

-- "Errors: ..", "Fields after fit: ..": the beginning of a paragraph.
local function begins_paragraph(line) return line:find "^%u%l[%a ]*:" end

-- A documentation for the terminal: the signature, then its lines, which break at words. A line that is too wide is
-- of a paragraph, with those after it; what is short enough stays as it was written.
local function formatted(text)
  local lines, paragraph = {}, nil
  local function finish()
    if paragraph then lines[#lines + 1] = wrapped(paragraph, "") end
    paragraph = nil
  end
  for line in text:gmatch "[^\n]+" do
    if paragraph and begins_paragraph(line) then finish() end
    if paragraph then
      paragraph = paragraph .. " " .. line
      if #line <= WIDTH then finish() end
    elseif #line <= WIDTH then
      lines[#lines + 1] = line
    elseif #lines == 0 then
      lines[1] = wrapped_signature(line)
    else
      paragraph = line
    end
  end
  finish()
  return table.concat(lines, "\n")
end

local function overview()
  for _, part in ipairs(PARTS) do find(part) end -- a part may be callable itself: peri.run
  local lines = {
    "Perilune " .. peri.version .. ". help(f), help \"name\", help(value) or help(part) says more.",
    "Functions of peri:", list_of_names(peri),
  }
  for _, part in ipairs(PARTS) do
    local value = find(part)
    if type(value) == "table" and #names_in(value) > 0 then
      lines[#lines + 1] = "peri." .. part .. ":"
      lines[#lines + 1] = list_of_names(value)
    end
  end
  lines[#lines + 1] = "Methods of tensors:"
  lines[#lines + 1] = list_of_names(internal.classes.Tensor)
  return table.concat(lines, "\n")
end

-- The first lines of all that is documented in a table.
local function signatures(value)
  local lines = {}
  for i, name in ipairs(names_in(value)) do
    lines[i] = wrapped_signature(peri.documentation(value[name]):match "^[^\n]*")
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

-- A name as help "matmul", help "nn.Linear", help "Linear" or help "backward" gives it.
local function by_name(name)
  name = name:gsub("^peri%.", "")
  local value = name ~= "" and find(name) or nil
  for _, part in ipairs(PARTS) do
    if value == nil then value = find(part .. "." .. name) end
  end
  for _, class in ipairs(CLASSES) do
    if value == nil and names.class(class) then value = names.class(class)[name] end
  end
  return value
end

-- Layers, optimisers and machines print as their class's name and more.
local function of_object(x)
  local class = by_name(tostring(x):match "^%a%w*" or "")
  local text = class ~= nil and peri.documentation(class)
  if not text then return nil end
  local is_layer = pcall(function() return assert(x.named_parameters) end)
  return formatted(text) .. (is_layer and "\nMethods of every layer:\n" .. signatures(peri.nn.Module) or "")
end

local function text_of(x)
  if x == nil then return overview() end
  local text = peri.documentation(x)
  if text then
    local part = type(x) == "table" and signatures(x) -- a function that is a part as well: peri.run, peri.select
    return formatted(text) .. (part and "\n\n" .. part or "")
  end
  if peri.is_tensor(x) then return TENSOR .. "\n" .. list_of_names(internal.classes.Tensor) end
  if type(x) == "string" then
    if x == "tensor" then return formatted(peri.documentation(peri.tensor)) .. "\n\n" .. text_of(peri.zeros(1)) end
    local value = by_name(x)
    if value ~= nil and type(value) ~= "string" then return text_of(value) end
  elseif type(x) == "userdata" then
    text = of_object(x)
  elseif type(x) == "table" then
    text = signatures(x)
    for _, name in ipairs(CLASSES) do
      local class = names.class(name)
      if not text and class and rawequal(getmetatable(x), class) then text = signatures(class) end
    end
    local is_object = getmetatable(x) == false or tostring(x):match "^%a%w*{" -- what a class in Lua has made
    local class = is_object and of_object(x) or nil
    text = class and text and class .. "\nMethods:\n" .. text or class or text
  end
  return text or "there is no documentation of " .. (type(x) == "string" and x or "this " .. type(x))
end

return function(x) print(text_of(x)) end
