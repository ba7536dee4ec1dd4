-- peri.help(x): the documentation of a function, of a name, of a value, or of a part of the module.
local peri, internal = ...
local names = internal.load("help.names", peri, internal)
local find = names.find

local FIELDS = "shape ndim dtype T grad requires_grad is_leaf" -- of tensors
local METHODS = { layer = "nn.Module", optimizer = "optim.optimizer", schedule = "optim.lr_scheduler.schedule",
                  generator = "generator" }
local WIDTH, MOST = 80, 20

local TENSOR = [[
Numbers of one dtype (float32, float64, int64, uint8, bool) in a shape.
Everything counts from 1, ranges include both ends, -1 is the last.
  x[1]  x[{1, 2}]                        a row, an element
  x[{ {1, 3}, {} }]  x[{1, {2, -1, 2}}]  ranges {from, to, step}
  x[{ {-1, 1, -1} }]                     a range that goes down, a copy
  x[x:gt(0)]  x[indices]                 by a bool tensor, by an int64 tensor
  x[{1, {}}] = 0                         writes, broadcast
  #x  x.shape  x.ndim  x.dtype           the first dimension, fields
  x.T                                    the transpose of a matrix
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

-- Operations by subject, in the order of their table: {{subject =, names = {name, ..}}, ..}. Forms in place stand under
-- their operation alone.
local function subjects()
  local list, by_name = {}, {}
  for _, op in ipairs(peri.ops()) do
    local entry = by_name[op.subject]
    if not entry then
      entry = { subject = op.subject, names = {} }
      list[#list + 1], by_name[op.subject] = entry, entry
    end
    entry.names[#entry.names + 1] = op.name
  end
  for _, entry in ipairs(list) do table.sort(entry.names) end
  return list
end

-- A line of the contents: as many names as fit behind what they are the names of.
local function line_of_contents(heading, list)
  local line = ("  %-24s"):format(heading)
  for i, name in ipairs(list) do
    if #line + 1 + #name + (i < #list and 3 or 0) > WIDTH then return line .. " .." end
    line = line .. " " .. name
  end
  return line
end

-- Functions of the module that are neither operations nor parts.
local function others(parts)
  local known, list = {}, {}
  for _, part in ipairs(parts) do known[part.name] = true end
  for _, op in ipairs(peri.ops()) do
    known[op.name], known[op.name .. "_"] = true, true
    for name in (op.also or ""):gmatch "%S+" do known[name], known[name .. "_"] = true, true end
  end
  for _, name in ipairs(names_in(peri)) do if not known[name] then list[#list + 1] = name end end
  return list
end

local function overview()
  local parts = names.parts()
  local lines = {
    ("Perilune %s. help \"name\", help(f) or help(value) says more, help \"losses\" or"):format(peri.version),
    "help(peri.nn) all of a subject or a part.", "Operations on tensors: peri.name(x, ..) and x:name(..)",
  }
  for _, entry in ipairs(subjects()) do lines[#lines + 1] = line_of_contents(entry.subject, entry.names) end
  lines[#lines + 1] = line_of_contents("The module", others(parts))
  for _, part in ipairs(parts) do
    if #names_in(part.value) > 0 then
      lines[#lines + 1] = ("peri.%s: %s"):format(part.name, part.title)
      lines[#lines + 1] = list_of_names(part.value)
    end
  end
  return table.concat(lines, "\n")
end

-- The signatures of all operations of a subject, or nil.
local function of_subject(word)
  local list = word:lower() == "the module" and others(names.parts()) or nil
  for _, entry in ipairs(list and {} or subjects()) do
    if entry.subject:lower() == word:lower() then list = entry.names end
  end
  if not list then return nil end
  local lines = {}
  for i, name in ipairs(list) do lines[i] = wrapped_signature(peri.documentation(peri[name]):match "^[^\n]*") end
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

-- What a name means, as help "matmul", help "nn.Linear", help "Linear", help "fit" or help "m:fit" gives it: what has
-- just that name, else all that end with it and say something else.
local function by_name(name)
  name = name:gsub("^peri%.", "")
  local method = name:match "^[%a_][%w_]*:([%a_][%w_]*)$"
  local value = not method and name ~= "" and find(name) or nil
  if value ~= nil then return { value } end
  local parts, list, said = names.parts(), {}, {}
  local function add(entry)
    local text = entry ~= nil and (peri.documentation(entry) or entry)
    if not text or said[text] then return end
    said[text] = true
    list[#list + 1] = entry
  end
  if not method then
    for _, part in ipairs(parts) do add(find(part.name .. "." .. name)) end
  end
  for _, class in ipairs(names.classes()) do add(rawget(class.methods, method or name)) end
  if name:find "^figure:" then list = { names.class "plot.figure"[method] } end
  return list
end

-- Where a word stands in the documentation of something else: the names of those.
local function search(word)
  local found = {}
  local pattern = "%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]"
  names.each(function(name, text)
    if text:find(pattern) then found[#found + 1] = name end
  end)
  return found
end

-- Layers, optimisers and machines are documented by their class, and have methods.
local function of_object(x)
  local kind = peri.type(x)
  local name = kind == "layer" and peri.nn.type(x) or kind == "loader" and "data.loader" or tostring(x):match "^%a%w*"
  local class = by_name(name or "")[1]
  local text = class ~= nil and type(class) ~= "string" and peri.documentation(class)
  local methods = names.class(METHODS[kind] or "")
  if kind == "estimator" and type(x) == "userdata" then methods = names.class("svm." .. name) end
  if not text and not methods then return nil end
  local list = methods and ("Methods of every %s:\n%s"):format(kind, signatures(methods))
  if not text then return list end
  return formatted(text) .. (list and "\n" .. list:gsub("every estimator", "it") or "")
end

-- The text, or nil and the name that the word is but for capital letters.
local function of_word(word)
  if (" " .. FIELDS .. " "):find(" " .. word .. " ", 1, true) then
    return TENSOR .. "\n" .. list_of_names(internal.classes.Tensor)
  end
  local list = word:find "%w" and search(word) or {}
  if #list == 0 then
    local known = {}
    local function add(values)
      for _, name in ipairs(names_in(values)) do known[name] = true end
    end
    for _, part in ipairs(names.parts()) do add(part.value) end
    add(peri)
    for _, class in ipairs(names.classes()) do add(class.methods) end
    local meant = internal.meant(word, known)
    local close = meant:match "did you mean ([%w_]+)%?$"
    if close and close ~= word and close:lower() == word:lower() then return nil, close end
    return "there is no documentation of " .. word .. meant
  end
  local more = #list > MOST and (" and %d more"):format(#list - MOST) or ""
  return wrapped(("Nothing is named %s; the word stands in the documentation of:"):format(word), "  ") .. "\n" ..
    wrapped(table.concat(list, " ", 1, math.min(#list, MOST)) .. more, "  ", "  ")
end

local function text_of(x)
  local text = peri.documentation(x)
  if text then
    local part = type(x) == "table" and signatures(x) -- a function that is a part as well: peri.run, peri.select
    return formatted(text) .. (part and "\n\n" .. part or "")
  end
  if peri.is_tensor(x) then return TENSOR .. "\n" .. list_of_names(internal.classes.Tensor) end
  if type(x) == "string" then
    if x == "tensor" then return formatted(peri.documentation(peri.tensor)) .. "\n\n" .. text_of(peri.zeros(1)) end
    local texts = { of_subject(x) }
    for _, value in ipairs(#texts == 0 and by_name(x) or {}) do
      if type(value) ~= "string" then texts[#texts + 1] = text_of(value) end
    end
    local close
    text = #texts > 0 and table.concat(texts, "\n\n")
    if not text then text, close = of_word(x) end
    if close then return text_of(close) end
  elseif type(x) == "userdata" then
    text = of_object(x)
  elseif type(x) == "table" then
    local part = names.part_of(x)
    text = signatures(x)
    if part and part.doc then text = wrapped(part.title .. ". " .. part.doc, "") .. "\n\n" .. text end
    for _, class in ipairs(internal.class_list) do
      local metatable = internal.classes[class.name]
      if not text and rawequal(getmetatable(x), metatable) then text = signatures(class.methods) end
    end
    local is_object = getmetatable(x) == false or tostring(x):match "^%a%w*{" -- what a class in Lua has made
    local class = is_object and of_object(x) or nil
    text = class and text and class .. "\nMethods:\n" .. text or class or text
  end
  return text or "there is no documentation of " .. (type(x) == "string" and x or "this " .. type(x))
end

internal.help_text = text_of

return function(...)
  if select("#", ...) == 0 then return print(overview()) end
  local x = ...
  if x == nil then return print 'this is nil: is the name written right? (help "word" searches, help() lists all)' end
  print(text_of(x))
end
