-- A value as the prompt, a notebook and peri.interactive show it: what tostring gives, and a plain table as Lua would
-- read it: first its list, then its other fields in the order of their names. What it holds more than MOST of, or
-- deeper than DEEPEST, is "..."; a table within itself is <cycle>. No metamethod but __tostring is called.
-- The program has the file as well as the module, which may not be loaded when a value is shown.

local MOST, DEEPEST = 20, 6

local text_of

-- A function of the module as its documentation begins, else as Lua shows it.
local function text_of_function(value)
  local peri = package.loaded.perilune
  local text = type(peri) == "table" and peri.documentation and peri.documentation(value)
  return text and "function " .. text:match "^[^\n]*" or tostring(value)
end

-- What the module has for nobody but its tests.
local function is_hidden(t, key)
  return t == package.loaded.perilune and type(key) == "string" and key:find "^_" ~= nil
end

-- In characters where it is UTF-8, else in bytes.
local function width_of(text) return utf8.len(text) or #text end

-- A string as Lua reads it, in one line; what is very long has its end left out. Bytes of no UTF-8 are escaped.
local function quoted(text)
  local left_out = #text > 2000 and #text - 1000 or 0
  local head = left_out > 0 and text:sub(1, (utf8.offset(text, 0, 1001) or 1001) - 1) or text
  local shown = ("%q"):format(head):gsub("\\\n", "\\n"):gsub("\\9", "\\t"):gsub("\r", "\\r")
  if not utf8.len(shown) then shown = shown:gsub("[\128-\255]", function(c) return ("\\x%02X"):format(c:byte()) end) end
  return shown .. (left_out > 0 and (" --[[%d bytes more]]"):format(left_out) or "")
end

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while]]):gmatch "%l+" do
  KEYWORDS[word] = true
end

local function is_name(key) return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil and not KEYWORDS[key] end

-- Numbers first, then names, then what else there is.
local function before(a, b)
  local order = { number = 1, string = 2, boolean = 3 }
  local first, second = order[type(a)] or 4, order[type(b)] or 4
  if first ~= second then return first < second end
  if first < 3 then return a < b end
  return tostring(a) < tostring(b)
end

-- The entries as text: a list's values alone, other fields as name = value. around: the tables that hold t.
local function entries(t, width, around)
  local parts, names, length = {}, {}, rawlen(t)
  for i = 1, math.min(length, MOST) do parts[i] = text_of(rawget(t, i), width, around) end
  if length > MOST then parts[MOST + 1] = ("... %d more"):format(length - MOST) end
  for key in next, t do
    local listed = math.type(key) == "integer" and key >= 1 and key <= length
    if not listed and not is_hidden(t, key) then names[#names + 1] = key end
  end
  table.sort(names, before)
  for i = 1, math.min(#names, MOST) do
    local key, value = names[i], text_of(rawget(t, names[i]), width, around)
    parts[#parts + 1] = (is_name(key) and key or "[" .. text_of(key, width, { deep = true }) .. "]") .. " = " .. value
  end
  if #names > MOST then parts[#parts + 1] = ("... %d more"):format(#names - MOST) end
  return parts
end

-- Entries one behind the other in lines that begin with indent; one of several lines has lines of its own.
local function in_lines(parts, indent, width)
  local lines, line = {}, indent
  for i, part in ipairs(parts) do
    local full = width_of(line) + width_of(part) + 2 > width
    if #line > #indent and (full or part:find "\n" or parts[i - 1]:find "\n") then
      lines[#lines + 1] = line
      line = indent
    end
    line = line .. (#line > #indent and " " or "") .. part .. ","
  end
  return table.concat(lines) .. line
end

-- What has a text of its own, within a table: of several lines, the last where it is a tensor's dtype and shape, else
-- the name before the first bracket.
local function within(text)
  if not text:find "\n" then return text end
  local name = text:match "^([%a_][%w_.]*)[({]"
  return text:match "\n(%[[^\n]*%])$" or name and name .. "(...)" or text
end

-- around: nil for what was asked for, else the list of the tables that hold the value.
function text_of(value, width, around)
  if around and type(value) == "string" then return quoted(value) end
  if type(value) == "function" then return around and "function" or text_of_function(value) end
  local metatable = debug.getmetatable(value)
  if type(value) ~= "table" or metatable and (rawget(metatable, "__tostring") or rawget(metatable, "__name")) then
    local text = tostring(value)
    return around and within(text) or text
  end
  if next(value) == nil then return "{}" end
  around = around or {}
  for _, holder in ipairs(around) do if rawequal(holder, value) then return "<cycle>" end end
  if around.deep or #around >= DEEPEST then return "{...}" end
  around[#around + 1] = value
  local parts = entries(value, width, around)
  around[#around] = nil
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if width_of(line) + 2 * #around <= width and not line:find "\n" then return line end
  return "{" .. in_lines(parts, "\n" .. ("  "):rep(#around + 1), width) .. "\n" .. ("  "):rep(#around) .. "}"
end

-- text_of(value, width) -> string
return function(value, width) return text_of(value, width) end
