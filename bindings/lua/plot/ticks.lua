-- Where an axis has its marks, and what is written at them. gnuplot chooses those of a linear axis by itself, unless
-- there is little room: in the terminal, and on a page, where panels must know how wide their numbers are.

local out = ...
local CHARACTER, num, exact = out.CHARACTER, out.num, out.exact
local SIZE = 12 -- of the letters

local LETTER = CHARACTER * SIZE

-- How many words of so many letters stand beside each other, or lines below each other.
local function room_for(axis, script, letters)
  if script.text then
    if axis == "x" then return math.max(2, (script.width // 8 - 10) // (letters + 2)) end
    return math.max(2, (script.height // 18 - script.taken) // 2)
  end
  if axis == "x" then return (script.width - 90) / (letters * LETTER + 12) end
  return (script.height - 100) / 20
end

-- Every k-th of a list, so that no more than most are left.
local function sparse(list, most)
  local k, kept = math.max(1, math.ceil(#list / math.max(1, most))), {}
  for i = 1, #list, k do kept[#kept + 1] = list[i] end
  return kept
end

-- ---- linear axes ----

-- Steps of 1, 2 or 5 times a power of ten, at most so many from low to high; nil where numbers are too close or large.
local function multiples(low, high, most)
  local raw = high / most - low / most
  local power = 10.0 ^ math.floor(math.log(raw, 10))
  for _, m in ipairs{1, 2, 5, 10} do
    local step = m * power
    local first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if not (step > 1e-290 and math.max(math.abs(first), math.abs(last)) < 1e9) then return nil end
    if last - first + 1 <= most then
      local ticks = {}
      for i = first, last do ticks[#ticks + 1] = i * step + 0.0 end
      return ticks, step
    end
  end
end

local function longest(texts)
  local most = 0
  for _, text in ipairs(texts) do most = math.max(most, utf8.len(text) or #text) end
  return most
end

local function texts_of(ticks)
  local texts = {}
  for i, at in ipairs(ticks) do texts[i] = ("%g"):format(at) end
  return texts
end

local MOST = {x = 9, y = 8}

local function linear(axis, low, high, script)
  local most = MOST[axis]
  for _ = 1, 4 do -- fewer marks may have shorter numbers
    local ticks, step = multiples(low, high, most)
    if not ticks then return nil end
    local texts = texts_of(ticks)
    local room = math.max(2, math.floor(room_for(axis, script, longest(texts))))
    if #ticks <= room or most <= 2 then return {step = step, texts = texts} end
    most = math.min(most - 1, room)
  end
end

-- ---- log axes ----

-- Every second power of ten, or third, when not all of them have room.
local function powers(axis, low, high, script)
  local first, last = math.ceil(math.log(low, 10) - 1e-9), math.floor(math.log(high, 10) + 1e-9)
  local letters = math.max(#("%g"):format(10.0 ^ first), #("%g"):format(10.0 ^ last))
  local step = math.ceil((last - first + 1) / math.max(2, room_for(axis, script, letters)))
  local ticks = {}
  for power = math.ceil(first / step) * step, last, step do ticks[#ticks + 1] = 10.0 ^ power end
  return {places = step > 1 and ticks or nil, texts = texts_of(ticks)} -- gnuplot marks every power, and those between
end

-- As many of the ticks as have room, or powers of ten alone, where there are two.
local function at_places(axis, ticks, low, high, script)
  local room = room_for(axis, script, longest(texts_of(ticks)))
  if #ticks > room and high / low >= 100 then return powers(axis, low, high, script) end
  ticks = sparse(ticks, room)
  return {places = ticks, texts = texts_of(ticks)}
end

-- On a log axis gnuplot marks powers of ten alone. Over less than three of them more is wanted: 1 2 5, or
-- steps of one; over a fraction of one, equal steps.
local function logarithmic(axis, low, high, script)
  if high / low > 1000 then return powers(axis, low, high, script) end
  for _, steps in ipairs{{1, 2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} do
    local ticks = {}
    for power = math.floor(math.log(low, 10)), math.ceil(math.log(high, 10)) do
      for _, step in ipairs(steps) do
        local at = step * 10.0 ^ power
        if at >= low and at <= high then ticks[#ticks + 1] = at end
      end
    end
    if #ticks >= 3 then return at_places(axis, ticks, low, high, script) end
  end
  local power = 10.0 ^ math.floor(math.log(high - low, 10))
  local step = (high - low) / power < 3 and power / 2 or power
  local ticks = {}
  for i = math.ceil(low / step), math.floor(high / step) do ticks[#ticks + 1] = i * step end
  return at_places(axis, ticks, low, high, script)
end

-- ---- names ----

-- The first letters of a name, at least one; what is left out is an ellipsis.
local function cut(name, letters)
  if utf8.len(name) <= math.max(1, letters) then return name end
  return name:sub(1, utf8.offset(name, math.max(2, letters)) - 1) .. (letters > 2 and "…" or "")
end

-- Names instead of numbers along an axis, at places. Those that are too wide to stand side by side are broken between
-- words; when a word is too wide, they lean. Where lines have no room, every second one is left out, or more.
local function named(axis, names, places, script)
  local order = {}
  for i = 1, #names do order[i] = i end
  if axis == "y" then order = sparse(order, script.text and room_for("y", script) * 2 or (script.height - 60) / 13) end
  local room, leans = (script.width - 110) / #order, false
  for _, i in ipairs(order) do
    for word in out.clean(names[i]):gmatch("%S+") do
      leans = leans or axis == "x" and utf8.len(word) > math.max(8, math.floor(room / LETTER))
    end
  end
  local parts, texts, lines = {}, {}, 1
  local wraps = axis == "x" and not leans and not script.text
  for k, i in ipairs(order) do
    local most = wraps and math.max(200, 3 * room) or axis == "y" and math.max(200, 0.45 * script.width) or 200
    local name = out.shortened(names[i], most, SIZE)
    if script.text and axis == "x" then name = cut(name, (script.width // 8 - 12) // #order - 1) end
    texts[k] = name
    name = name:gsub("%%", "%%%%") -- gnuplot takes the names of ticks for formats
    local words = wraps and out.wrapped(name, room, SIZE) or out.quoted(name)
    lines = math.max(lines, select(2, words:gsub([["\n"]], "")) + 1)
    parts[k] = words .. " " .. exact(places[i])
  end
  return {named = table.concat(parts, ", "), texts = texts, lines = lines, leans = leans and not script.text}
end

-- What a figure was asked for: numbers, or {number, name}.
local function given(axis, list, script)
  local names, places, plain = {}, {}, true
  for i, entry in ipairs(list) do
    local at, name = entry, nil
    if type(entry) == "table" then at, name = entry[1], entry[2] end
    plain = plain and not name
    names[i], places[i] = name or ("%g"):format(at), at
  end
  if plain then return {places = places, texts = names} end
  return named(axis, names, places, script)
end

-- ---- the marks of an axis ----

-- The marks of a figure's axis: texts (what is written), lines (of the tallest), leans, and what write needs. names are
-- those that a layer brings; placed is true on a page.
local function marks_of(figure, axis, box, script, names, placed)
  local wanted = figure[axis .. "ticks"]
  if wanted == false then return {off = true, texts = {}, lines = 0} end
  local low, high = box[axis .. 1], box[axis .. 2]
  low, high = math.min(low, high), math.max(low, high)
  local marks
  if wanted then
    marks = given(axis, wanted, script)
  elseif names then
    local places = {}
    for i = 1, #names do places[i] = i end
    marks = named(axis, names, places, script)
  elseif box["log_" .. axis] then
    marks = logarithmic(axis, low, high, script)
  else
    marks = linear(axis, low, high, script) or {texts = texts_of{low, high}}
    if not script.text and not placed then marks.step = nil end
  end
  marks.lines = marks.lines or 1
  return marks
end

local function write(script, axis, marks)
  if marks.off then
    script:add("unset %stics", axis)
  elseif marks.named then
    script:add("set %stics %s (%s)", axis, marks.leans and "rotate by 35 right" or "", marks.named)
  elseif marks.places then
    local parts = {}
    for i, at in ipairs(marks.places) do parts[i] = exact(at) end
    script:add("set %stics (%s)", axis, table.concat(parts, ", "))
  elseif marks.step then
    script:add("set %stics %s", axis, num(marks.step))
  end
end

-- Pixels across the widest text, and down to the end of the lowest.
local function width_of(marks) return longest(marks.texts) * LETTER end

local function height_of(marks)
  if marks.off then return 0 end
  return marks.leans and width_of(marks) * 0.6 + 10 or 16 * marks.lines
end

return {marks_of = marks_of, write = write, width_of = width_of, height_of = height_of}
