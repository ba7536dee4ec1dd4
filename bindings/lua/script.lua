-- peri.script: what scripts have in common: options of the command line, tables of results, pictures in a folder.
local peri, internal = ...

local check = internal.check
local fail, kinds = check.fail, check.kinds

local Options = { __name = "options" }
Options.__index = Options

-- ---- leaving ----

local function script_name() return type(arg) == "table" and tostring(arg[0]):match "([^/]+)$" or "script" end

-- One line on stderr.
local function say(message, ...)
  local line = message:format(...):gsub("%c", "?")
  internal.say(("%s: %s\n"):format(script_name(), line))
end

-- The same, and the end of the script.
local function leave(message, ...)
  if not os or not os.exit then check.fail(message, ...) end
  say(message, ...)
  os.exit(1, true)
end

-- ---- what a script declares ----

local COMMON = {
  help = { false, doc = "this text" }, quick = { false, doc = "smaller sizes" },
  out = { "", doc = "folder of the pictures", word = "DIR" },
  plots = { "yes", doc = "pictures", choices = { "yes", "no" } },
}

local function kind_of(name, row)
  local default = row[1]
  if type(default) == "boolean" then return "flag" end
  if type(default) == "string" then return "text" end
  if math.type(default) == "integer" then return "whole" end
  if math.type(default) == "float" then return "number" end
  return check.must_be("script.options", "the default of " .. name, default, "a number, a string or a boolean")
end

local FIELDS = { doc = "string", word = "string", choices = "table", least = "number", most = "number" }

local function check_row(name, row)
  for field, kind in pairs(FIELDS) do
    if row[field] ~= nil then check.read("script.options", field .. " of " .. name, row[field], kinds[kind]) end
  end
  if row.quick ~= nil and type(row.quick) ~= type(row[1]) then
    check.must_be("script.options", "quick of " .. name, row.quick, ("a %s, as its default is"):format(type(row[1])))
  end
  for i, choice in ipairs(row.choices or {}) do
    check.read("script.options", ("choice %d of %s"):format(i, name), choice, kinds.string)
  end
end

local WORDS = { text = "TEXT", whole = "N", number = "X" }

local function declared(given)
  check.table("script.options", given)
  if given.about ~= nil then check.read("script.options", "about", given.about, kinds.string) end
  local rows, names = {}, {}
  for name, row in pairs(given) do
    if type(name) == "string" and name ~= "about" then
      if not name:match "^%l[%l%d_]*$" or COMMON[name] or Options[name] then
        fail("script.options: %s cannot be the name of an option", name)
      end
      rows[name] = type(row) == "table" and row or { row }
    end
  end
  for name, row in pairs(COMMON) do rows[name] = row end
  for name, row in pairs(rows) do
    names[#names + 1] = name
    kind_of(name, row)
    check_row(name, row)
  end
  table.sort(names)
  return rows, names
end

-- ---- help ----

local function shown(value) return type(value) == "number" and ("%.6g"):format(value) or tostring(value) end

local function help(about, rows, names, out)
  local path = type(arg) == "table" and arg[0] or "script"
  local lines = { "usage: perilune " .. tostring(path) .. " [options]" }
  if about then lines[#lines + 1] = about end
  for _, name in ipairs(names) do
    local row, kind = rows[name], kind_of(name, rows[name])
    local default = name == "out" and out or row[1]
    local notes = { row.doc }
    if row.choices then notes[#notes + 1] = "one of " .. table.concat(row.choices, ", ") end
    if kind ~= "flag" and default ~= "" then
      notes[#notes + 1] = shown(default) .. (row.quick and (" (quick: %s)"):format(shown(row.quick)) or "")
    end
    local left = "--" .. name .. (kind ~= "flag" and " " .. (row.word or WORDS[kind]) or "")
    lines[#lines + 1] = ("  %-18s %s"):format(left, table.concat(notes, "; "))
  end
  return table.concat(lines, "\n")
end

-- ---- the command line ----

local function contains(list, value)
  for _, item in ipairs(list) do if item == value then return true end end
  return false
end

local MOST = 1 << 31 -- of whole numbers: twice that, or a sum with it, is still one

local READERS = {
  text = function(row, text)
    if row.choices and not contains(row.choices, text) then
      return nil, "one of " .. table.concat(row.choices, ", ")
    end
    return text
  end,
  whole = function(row, text)
    local n, least, most = math.tointeger(tonumber(text)), row.least or 1, row.most or MOST
    if n and n >= least and n <= most then return n end
    return nil, n and n > most and "a whole number up to " .. most or "a whole number from " .. least
  end,
  number = function(row, text)
    local x, most = tonumber(text), row.most or math.huge
    if x and x > 0 and x < math.huge and x <= most then return x + 0.0 end
    return nil, x and x > most and ("a number up to %g"):format(most) or "a number above 0"
  end,
}

local function parse(rows, arguments)
  local values, i = {}, 1
  while arguments[i] do
    local word = arguments[i]
    local name, value = word:match "^%-%-([%l%d_]+)=(.*)$"
    name = name or word:match "^%-%-([%l%d_]+)$"
    local row = name and rows[name]
    if not row then leave("unknown option %s (see --help)%s", word, name and internal.meant(name, rows) or "") end
    local kind = kind_of(name, row)
    if kind == "flag" then
      if value then leave("--%s takes no value", name) end
      values[name] = true
    else
      if not value then
        i = i + 1
        value = arguments[i] or leave("a value is missing after %s", word)
      end
      local read, expected = READERS[kind](row, value)
      if read == nil then leave("--%s must be %s, got %s", name, expected, value) end
      values[name] = read
    end
    i = i + 1
  end
  return values
end

-- The words of the command line, or of the list that is given in their place.
local function words_of(given)
  if given == nil then given = type(arg) == "table" and arg or {} end
  if type(given) ~= "table" then check.must_be("script.options", "arguments", given, "a list of strings") end
  local words = {}
  for i, word in ipairs(given) do
    words[i] = check.read("script.options", ("argument %d"):format(i), word, kinds.string)
  end
  return words
end

local function options(given, arguments)
  local rows, names = declared(given)
  local out = "out/" .. script_name():gsub("%.lua$", "")
  local values = parse(rows, words_of(arguments))
  if values.help then
    print(help(given.about, rows, names, out))
    os.exit(0, true)
  end
  if values.out == "" then leave "--out must be a folder" end
  for name, row in pairs(rows) do
    if values[name] == nil and values.quick then values[name] = row.quick end
    if values[name] == nil then values[name] = row[1] end
  end
  if values.out == "" then values.out = out end
  return setmetatable(values, Options)
end

-- ---- what can fail ----

local function try(f, ...)
  check.read("script.try", "f", f, kinds.callable)
  local results = table.pack(pcall(f, ...))
  if not results[1] then leave("%s", (tostring(results[2]):gsub("^%S+:%d+: ", ""))) end
  return table.unpack(results, 2, results.n)
end

-- ---- time ----

local function time(f, times)
  check.read("script.time", "f", f, kinds.callable)
  times = check.whole("script.time", "times", times or 1, 1)
  local least, results = math.huge, nil
  for _ = 1, times do
    local start = peri.now()
    results = table.pack(f())
    least = math.min(least, peri.now() - start)
  end
  return least, table.unpack(results, 1, results.n)
end

-- ---- pictures ----

local PICTURE = check.test("a figure or a page",
  function(v) return type(v) == "table" and check.has_method(v, "save") end)
local NAME = check.test("a string without '/' that does not begin with '.'",
  function(v) return type(v) == "string" and v:match "^[^/%c.][^/%c]*$" end, kinds.string)

local function check_options(self, method)
  check.called(method, getmetatable(self) == Options, self, ("options:%s(...)"):format(method))
end

function Options:save(picture, name)
  check_options(self, "save")
  check.read("save", "picture", picture, PICTURE)
  check.read("save", "name", name, NAME)
  if self.plots == "no" then return nil end
  if internal.notebook then internal.notebook.display(picture) end
  local path = self.out .. "/" .. name
  local ok, message = pcall(picture.save, picture, { path .. ".svg", path .. ".png" })
  if ok then return path end
  local reason = tostring(message):gsub("^%S+:%d+: ", "")
  if not reason:find "^plot" then error(message, 0) end -- Ctrl-C, and what is no matter of pictures
  if not self._failed then say("no pictures: %s", reason) end
  self._failed = true
  return nil
end

function Options:finish()
  check_options(self, "finish")
  if self._failed then os.exit(1, true) end
  if self.plots == "yes" then print("pictures: " .. self.out) end
end

-- ---- tables ----

local function cell(value)
  if value ~= value then return "nan" end
  if math.type(value) == "float" then return ("%.4g"):format(value + 0.0) end -- no -0
  return tostring(value)
end

-- Columns as wide as their widest cell; those with numbers stand on the right.
local function as_table(rows)
  if type(rows) ~= "table" then check.must_be("script.table", "rows", rows, "a list of lists") end
  local widths, right, texts = {}, {}, {}
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then check.must_be("script.table", ("row %d"):format(i), row, "a list") end
    texts[i] = {}
    for j, value in ipairs(row) do
      texts[i][j] = cell(value)
      widths[j] = math.max(widths[j] or 0, utf8.len(texts[i][j]) or #texts[i][j])
      right[j] = right[j] or i > 1 and type(value) == "number"
    end
  end
  local lines = {}
  for i, row in ipairs(texts) do
    local parts = {}
    for j, text in ipairs(row) do
      local room = (" "):rep(widths[j] - (utf8.len(text) or #text))
      parts[j] = right[j] and room .. text or text .. room
    end
    lines[i] = table.concat(parts, "  "):match "^.*%S" or ""
  end
  return table.concat(lines, "\n")
end

local script = {}
internal.set_class("script.options", "Methods of options", Options)
internal.document("options", [[
script.options({name = {default, quick =, doc =, choices =, least = 1, most =}, .., about =}, arguments) -> options
Reads a script's command line (arg): --name VALUE or --name=VALUE for each option, a flag where the default is a
boolean, and always --help (prints and ends the script), --quick (options that have one take their quick value), --out
DIR ('out/NAME' by default) and --plots no (no pictures). Whole defaults take whole numbers from least to most (2^31),
others numbers above 0, up to most. What is wrong is one line on stderr and the end of the script with status 1.
Fields: a value for each option.
Errors: names and defaults that no option can have; arguments that are no list of strings.]], options, script)
internal.document("table", [[
script.table{{heading, ...}, {value, ...}, ...} -> string
Rows as text, in columns; columns of numbers stand on the right, floats have four digits (strings stay as they are).]],
  as_table, script)
internal.document("try", [[
script.try(f, ...) -> what f gives
Calls f(...), for what a user may get wrong, such as the name of a file: an error is one line on stderr and the end of
the script with status 1.]], try, script)
internal.document("time", [[
script.time(f, times = 1) -> seconds, what f gives
Calls f() that many times and measures each; gives the shortest, since other programs only make it slower, and what the
last call gave.]], time, script)
internal.document("save", [[
options:save(figure, name) -> path or nil
Saves a figure or page as name.svg and name.png in the folder of --out; with --plots no it does nothing. When gnuplot is
missing, or the disk full, the first call says so in one line on stderr and the script goes on, for what it prints.]],
  Options.save, Options)
internal.document("finish", [[
options:finish()
The last line of a script: prints where the pictures are. When some could not be saved the script ends with status 1.]],
  Options.finish, Options)

return script
