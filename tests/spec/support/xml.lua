-- Whether a text is well-formed XML 1.0 as far as pictures need it (no DTD, no namespaces): nil, or what is wrong.
-- The second result is the list of the texts of its <text> elements, as a reader sees them.

local NAME = "[%a_:][%w_:.-]*"
local ENTITIES = {amp = "&", lt = "<", gt = ">", quot = '"', apos = "'"}

local function is_char(c)
  return c == 9 or c == 10 or c == 13 or c >= 0x20 and c <= 0xD7FF or c >= 0xE000 and c <= 0xFFFD
    or c >= 0x10000 and c <= 0x10FFFF
end

-- Character data or an attribute's value with its references replaced, or nil and what is wrong.
local function decoded(text)
  if text:find "]]>" then return nil, "]]> in text" end
  local wrong
  local plain = text:gsub("&([^;&<]*)(;?)", function(name, ending)
    local hex, decimal = name:match "^#x(%x+)$", name:match "^#(%d+)$"
    local code = hex and tonumber(hex, 16) or decimal and tonumber(decimal)
    if ending == "" or not (ENTITIES[name] or code and is_char(code)) then wrong = wrong or "&" .. name .. ending end
    return ENTITIES[name] or code and is_char(code) and utf8.char(code) or ""
  end)
  if wrong then return nil, "the reference " .. wrong end
  return plain
end

-- A start tag's attributes.
local function check_attributes(text)
  local seen, at = {}, 1
  while true do
    local _, stop, name, quote = text:find("^%s+(" .. NAME .. ")%s*=%s*([\"'])", at)
    if not stop then break end
    local ending = text:find(quote, stop + 1, true)
    if not ending then return "an attribute without end" end
    local value = text:sub(stop + 1, ending - 1)
    if seen[name] then return "the attribute " .. name .. " twice" end
    if value:find "<" then return "< in an attribute" end
    local _, wrong = decoded(value)
    if wrong then return wrong end
    seen[name], at = true, ending + 1
  end
  if text:find("%S", at) then return "attributes: " .. text:sub(at) end
end

local function check_characters(xml)
  local length, bad = utf8.len(xml)
  if not length then return "byte " .. bad .. " is no UTF-8" end
  for _, c in utf8.codes(xml) do if not is_char(c) then return ("the character U+%04X"):format(c) end end
end

-- One piece of markup at `at`: where it ends, and what is wrong. open: the names of the elements around it.
local function check_markup(xml, at, open)
  local _, stop = xml:find("^<%?xml%s[^<>]*%?>", at)
  if stop then return stop, at > 1 and "a late declaration" or nil end
  if xml:find("^<!%-%-", at) then
    _, stop = xml:find("--", at + 4, true)
    return stop and stop + 1, (not stop or xml:sub(stop + 1, stop + 1) ~= ">") and "-- in a comment" or nil
  end
  _, stop = xml:find("^<!DOCTYPE[^<>%[]*>", at)
  if stop then return stop end
  local name
  _, stop, name = xml:find("^</(" .. NAME .. ")%s*>", at)
  if stop then
    if table.remove(open) ~= name then return stop, "</" .. name .. "> ends another element" end
    return stop
  end
  local attributes, empty
  _, stop, name, attributes, empty = xml:find("^<(" .. NAME .. ")([^<>]-)(/?)>", at)
  if not stop then return nil, "markup: " .. xml:sub(at, at + 30) end
  if empty == "" then open[#open + 1] = name end
  return stop, check_attributes(attributes)
end

return function(xml)
  local wrong = check_characters(xml)
  local open, texts, at = {}, {}, 1
  while not wrong and at <= #xml do
    local tag = xml:find("<", at, true) or #xml + 1
    local data
    data, wrong = decoded(xml:sub(at, tag - 1))
    if not wrong and #open == 0 and data:find "%S" then wrong = "text outside of the root: " .. data end
    if open[#open] == "text" or open[#open] == "tspan" then texts[#texts + 1] = data end
    if wrong or tag > #xml then break end
    local stop
    stop, wrong = check_markup(xml, tag, open)
    at = (stop or #xml) + 1
  end
  return wrong or open[1] and "<" .. open[1] .. "> has no end" or nil, texts
end
