-- Names: every documented one that has a word, and where a function was written.
local peri, internal, interactive = ...
local check = internal.check
local names = internal.load("help.names", peri, internal)
local document = internal.document

-- What a documentation says first, in a line.
local function gist(text)
  local line = text:match "\n([^\n]*)" or ""
  return line:match "^(.-)[.;:]%f[%s\0]" or line
end

local WORD = check.test("a word", function(v) return type(v) == "string" and v:find "%S" ~= nil end, check.kinds.string)
local WIDTH = 80

local function line(name, text)
  local said = ("  %-26s %s"):format(name, gist(text))
  if utf8.len(said) <= WIDTH then return said end
  return said:sub(1, utf8.offset(said, WIDTH - 2) - 1):gsub("%s+%S*$", "") .. " .."
end

document("apropos", [[
interactive.apropos(word) -> string
Every documented name that has the word in it, a line for each, and below them the names in whose documentation it
stands; capital letters make no difference.]], function(word)
  word = check.read("interactive.apropos", "word", word, WORD):lower()
  local named, mentioned = {}, {}
  names.each(function(name, text)
    if name:lower():find(word, 1, true) then
      named[#named + 1] = line(name, text)
    elseif text:lower():find(word, 1, true) then
      mentioned[#mentioned + 1] = line(name, text)
    end
  end)
  if #named + #mentioned == 0 then return ("nothing has the word %s in its name or documentation"):format(word) end
  if #mentioned > 0 then
    table.insert(mentioned, 1, (#named > 0 and "It" or word) .. " also stands in the documentation of:")
    if #named == 0 then mentioned[1] = ("Nothing is named %s; it stands in the documentation of:"):format(word) end
  end
  return table.concat(table.move(mentioned, 1, #mentioned, #named + 1, named), "\n")
end, interactive)

local function lines_of(text, first, last)
  local lines, n = {}, 0
  for found in (text:gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    if n >= first and n <= last then lines[#lines + 1] = found end
  end
  return table.concat(lines, "\n")
end

document("source", [[
interactive.source(f) -> string
The lines that define a Lua function, with where they stand. Of what is written in C, its documentation.
Errors: f is no function, nor something that is called as one.]], function(f, inputs)
  local given = f
  if type(f) == "string" then check.must_be("interactive.source", "f", f, "a function") end
  if type(f) == "table" and getmetatable(f) then f = (debug.getmetatable(f) or {}).__call or f end
  if type(f) ~= "function" then
    local text = peri.documentation(given)
    return text or check.must_be("interactive.source", "f", given, "a function")
  end
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return peri.documentation(given) or "this function is written in C, and not documented" end
  local path, text = info.source:match "^@(.*)", inputs and inputs[info.short_src]
  text = text or path and internal.process.read(path) or nil
  if not text then
    return peri.documentation(given) or ("the source of this function is gone (%s)"):format(info.short_src)
  end
  if info.what == "main" then return text end
  local first, last = info.linedefined, info.lastlinedefined
  return ("-- %s:%d\n%s"):format(info.short_src, first, lines_of(text, first, last))
end, interactive)
