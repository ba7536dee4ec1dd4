-- peri.reference(path): writes the reference, from the same documentation that help shows.
local peri, internal = ...
local names = internal.load("help.names", peri, internal)

local function entry(out, text, notes)
  local signature, body = text:match "^([^\n]*)\n?(.*)$"
  out[#out + 1] = ("### `%s`\n\n%s%s\n"):format(signature, body, notes or "")
end

-- What is documented in one or several tables, in the order of names; what two of them share stands once, and nothing
-- of what `skip` has as keys.
local function section(out, title, tables, skip, doc)
  local list, said = {}, {}
  for _, values in ipairs(tables) do
    for name, item in pairs(values) do
      local text = type(name) == "string" and peri.documentation(item)
      if text and not skip[text] and not said[text] then
        said[text] = true
        list[#list + 1] = { name, text }
      end
    end
  end
  if #list == 0 then return end
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  out[#out + 1] = ("## %s\n"):format(title)
  if doc then out[#out + 1] = doc .. "\n" end
  for _, item in ipairs(list) do entry(out, item[2]) end
end

-- The methods of a part's objects, or of the module's own: classes with the same title have one section.
local function classes(out, part, skip)
  local titles, tables = {}, {}
  for _, class in ipairs(names.classes_of(part)) do
    local title = class.title
    if title and not tables[title] then titles[#titles + 1], tables[title] = title, {} end
    if title then table.insert(tables[title], class.methods) end
  end
  for _, title in ipairs(titles) do section(out, title, tables[title], skip) end
end

local function row_notes(op)
  local notes = {}
  if op.metamethod then notes[#notes + 1] = ("Metamethod `%s`."):format(op.metamethod) end
  if op.in_place then notes[#notes + 1] = ("In place: `%s_`."):format(op.name) end
  if op.view then notes[#notes + 1] = "A view." end
  notes[#notes + 1] = op.gradient and "Has a gradient." or "No gradient."
  return "\n\n*" .. table.concat(notes, " ") .. "*"
end

return function(path)
  local out = {
    "# Reference\n\nMade from the operation table and the documentation beside the functions: `./dev docs`.\n",
    "## Operations\n\nEach is a function of the module and, when its first argument is a tensor, a method.\n",
  }
  local rows = {}
  local ops = peri.ops()
  table.sort(ops, function(a, b) return a.name < b.name end)
  for _, op in ipairs(ops) do
    rows[op.doc] = true
    entry(out, op.doc, row_notes(op))
  end
  local parts = names.parts() -- loaded: one may be callable itself, as peri.run
  section(out, "The module", { peri }, rows)
  classes(out, nil, rows)
  for _, part in ipairs(parts) do
    section(out, part.title, { part.value }, rows, part.doc)
    classes(out, part, rows)
  end
  assert(internal.process.write(path, table.concat(out, "\n")))
end
