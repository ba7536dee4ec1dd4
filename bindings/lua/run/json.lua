-- Lua values as JSON (RFC 8259): UTF-8, keys sorted. What JSON cannot say is an error, or is told apart.
local peri, _, fail = ...

-- ---- strings ----

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end

-- Bytes that are no UTF-8 become the replacement character.
local function valid(text)
  local parts, from = {}, 1
  while from <= #text do
    local _, bad = utf8.len(text, from)
    parts[#parts + 1] = text:sub(from, (bad or #text + 1) - 1)
    if not bad then break end
    parts[#parts + 1] = "\u{FFFD}"
    from = bad + 1
  end
  return table.concat(parts)
end

local function string_text(text) return '"' .. valid(text):gsub('[%c"\\]', escape) .. '"' end

-- ---- numbers ----

-- The shortest decimal that reads back as the same number. A host's locale may have another decimal sign.
local function number_text(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  local text
  for digits = 15, 17 do
    text = ("%%.%dg"):format(digits):format(x)
    if tonumber(text) == x then break end
  end
  local sign = ("%.1f"):format(0.5):sub(2, -2)
  if sign ~= "." then text = text:gsub(sign:gsub("%p", "%%%0"), ".") end
  return text:find "[.e]" and text or text .. ".0"
end

local function not_finite(x) return x ~= x and "nan" or x > 0 and "inf" or "-inf" end

-- ---- values ----

local DEEPEST = 100 -- readers of JSON have limits of this kind

local encode

local function is_list(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n > 0 and n == #t
end

-- The keys as strings, sorted, and the values by them.
local function entries(path, t)
  local names, values = {}, {}
  for key, value in pairs(t) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      fail("%s has a key that is a %s (expected strings or whole numbers)", path, type(key))
    end
    local name = tostring(key)
    if values[name] ~= nil then fail("%s has the key %s twice, as a string and as a number", path, name) end
    names[#names + 1], values[name] = name, value
  end
  table.sort(names)
  return names, values
end

local function table_text(state, path, t)
  if state.open[t] then fail("%s holds itself", path) end
  if state.depth == DEEPEST then fail("%s is nested more than %d deep", path:match "^[^.%[]*", DEEPEST) end
  state.open[t], state.depth = true, state.depth + 1
  local parts, form = {}, "[%s]"
  if is_list(t) then
    for i = 1, #t do parts[i] = encode(state, ("%s[%d]"):format(path, i), t[i]) end
  else
    form = "{%s}"
    local names, values = entries(path, t)
    for i, name in ipairs(names) do
      parts[i] = string_text(name) .. ":" .. encode(state, path == "" and name or path .. "." .. name, values[name])
    end
  end
  state.open[t], state.depth = nil, state.depth - 1
  return form:format(table.concat(parts, ","))
end

local WRITERS = {
  ["nil"] = function() return "null" end,
  boolean = function(_, _, value) return tostring(value) end,
  string = function(_, _, value) return string_text(value) end,
  number = function(state, path, x)
    if x - x == 0 then return number_text(x) end
    state.lost[#state.lost + 1] = { path, not_finite(x) }
    return "null"
  end,
  table = table_text,
  -- tensors as lists; layers, optimisers and the like by their text
  userdata = function(state, path, value)
    if peri.is_tensor(value) then return encode(state, path, value:totable()) end
    return string_text(tostring(value))
  end,
}

function encode(state, path, value)
  local writer = WRITERS[type(value)]
  if not writer then fail("%s is a %s, which JSON cannot say", path, type(value)) end
  return writer(state, path, value)
end

-- The text of a value, and a list of the numbers in it that are null there: {path, 'nan' | 'inf' | '-inf'}.
return function(value, path)
  local state = { open = {}, depth = 0, lost = {} }
  return encode(state, path or "", value), state.lost
end
