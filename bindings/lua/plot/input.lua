-- What comes into a picture: checks of options and data, and the errors that they raise.

local internal = ...
local check = internal.check
local fail, kind = check.fail, check.kind

-- What a tensor, or anything else with a method totable, gives as Lua tables; other values as they are.
local function as_table(value)
  if type(value) ~= "table" and type(value) ~= "userdata" then return value end
  local known, totable = pcall(function() return value.totable end)
  if known and totable then return totable(value) end
  return value
end

local function is_data(value)
  if type(value) == "table" then return value[1] ~= nil or value.totable ~= nil end
  return type(value) == "userdata"
end

-- ---- colours ----

-- Okabe and Ito (2008): eight colours that people with any form of colour blindness can tell apart.
local COLORS = {
  blue = "#0072b2", red = "#d55e00", green = "#009e73", purple = "#cc79a7", orange = "#e69f00",
  sky = "#56b4e9", yellow = "#f0e442", black = "#000000", brown = "#7f3c1d", gray = "#808080",
  white = "#ffffff",
}
-- For lines and points on white, a brown that is as far from the others takes the place of their yellow.
local CYCLE = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f3c1d"}

-- Low to high, evenly spaced.
local PALETTES = {
  blues = {"#f7fbff", "#9ecae1", "#3182bd", "#08306b"},
  gray = {"#000000", "#ffffff"},
  ink = {"#ffffff", "#000000"},
  diverging = {"#0072b2", "#ffffff", "#d55e00"},
  heat = {"#10244f", "#3f5480", "#7f7f7f", "#bfa864", "#fde74c"},
}

local function hex(value)
  if type(value) ~= "string" then return nil end
  return COLORS[value] or (value:match("^#%x%x%x%x%x%x$") and value:lower())
end

-- The colour with a share of white in it.
local function tint(color, white)
  local mixed = color:sub(2):gsub("%x%x", function(byte)
    return ("%02x"):format(math.floor(tonumber(byte, 16) * (1 - white) + 255 * white + 0.5))
  end)
  return "#" .. mixed
end

local function cycle_color(i) return CYCLE[(i - 1) % #CYCLE + 1] end

-- ---- options ----

local function finite(x) return type(x) == "number" and x - x == 0 end

-- Two numbers that an axis can tell apart.
local function apart(a, b) return math.abs(a - b) > 1e-9 * math.max(math.abs(a), math.abs(b)) end

-- gnuplot takes numbers beyond this for none at all, and an axis shorter than this for a point.
local LARGEST, SHORTEST = 8e307, 1e-300

-- That an axis, or a scale of colours, can go from low to high.
local function check_span(where, what, low, high, log)
  local form = "%s: %s would go from %.4g to %.4g (expected "
  if math.abs(low) > LARGEST or math.abs(high) > LARGEST then
    fail(form .. "numbers up to %g: divide them by their size)", where, what, low, high, LARGEST)
  elseif math.abs(high - low) < SHORTEST or log and math.min(low, high) < SHORTEST then
    fail(form .. "%s of at least %g: multiply them)", where, what, low, high, log and "numbers" or "a length", SHORTEST)
  end
end

local function one_of(names) return check.one_of(check.sorted_keys(names)) end

local function list_of(item)
  return kind("a list, each " .. item.expected, function(values)
    values = as_table(values)
    if type(values) ~= "table" or #values == 0 then return nil end
    local list = {}
    for i = 1, #values do
      list[i] = item.read(values[i])
      if list[i] == nil then return nil end
    end
    return list
  end)
end

local function either(a, b)
  local one = kind(a.expected .. " or " .. b.expected, function(v)
    local kept = a.read(v)
    if kept == nil then kept = b.read(v) end
    return kept
  end)
  one.words = a.words or b.words
  return one
end

local STYLES = {solid = "1", dashed = "(8,5)", dotted = "(2,4)"}
-- gnuplot's point types: open, filled.
local MARKERS = {
  circle = {6, 7}, square = {4, 5}, triangle = {8, 9}, triangle_down = {10, 11}, diamond = {12, 13},
  cross = {2, 2}, plus = {1, 1},
}
-- Where a legend may be.
local PLACES = {
  best = true, above = true, below = true, right = true,
  ["top right"] = true, ["top left"] = true, ["bottom right"] = true, ["bottom left"] = true,
}

local kinds = setmetatable({list_of = list_of, either = either, one_of = one_of}, {__index = check.kinds})

local function number(expected, test)
  return check.test(expected, function(v) return finite(v) and test(v) end, kinds.number)
end

kinds.text = kind("a string", function(v)
  if type(v) == "string" or type(v) == "number" then return tostring(v) end
end)
kinds.off = check.test("false", function(v) return v == false end)
kinds.size = number("a number above 0, at most 1000", function(v) return v > 0 and v <= 1000 end)
kinds.ratio = number("a number from 0.001 to 1000", function(v) return v >= 0.001 and v <= 1000 end)
kinds.share = number("a number above 0, at most 1", function(v) return v > 0 and v <= 1 end)
kinds.format = kind("a format of one number such as '%.2f'", function(v)
  if type(v) == "string" and v:match "^[^%%\0]*%%[-+ ]?%d?%d?%.?%d?%d?[fge][^%%\0]*$" and #v <= 40 then return v end
  if v == "%d" then return "%.0f" end
end)
kinds.pixels, kinds.count = check.whole_from(50, 10000), check.whole_from(1, 1000)
kinds.resolution = check.whole_from(2, 2000)
kinds.color = kind("a colour: #rrggbb or one of " .. table.concat(check.sorted_keys(COLORS), ", "), hex)
kinds.color.words = check.sorted_keys(COLORS)
kinds.none = check.test("'none'", function(v) return v == "none" end)
local PAIR = kind("{low, high}, two numbers", function(v)
  if type(v) ~= "table" or #v ~= 2 then return nil end
  local low, high = v[1], v[2] -- read once: a table may say another thing the next time
  if math.type(low) and math.type(high) then return {low, high} end
end)
kinds.limits = kind("{low, high}, two different numbers", function(v)
  local pair = PAIR.read(v)
  if pair and finite(pair[1]) and finite(pair[2]) and apart(pair[1], pair[2]) then return pair end
end, PAIR)
kinds.range = kind("{low, high}, ascending", function(v)
  local range = kinds.limits.read(v)
  if range and range[1] < range[2] then return range end
end, PAIR)
kinds.ticks = kind("a list, each a number or {number, name}", function(values)
  values = as_table(values)
  if type(values) ~= "table" or #values == 0 then return nil end
  local ticks = {}
  for i = 1, #values do
    local entry = values[i]
    if finite(entry) then
      ticks[i] = entry
    elseif type(entry) == "table" and finite(entry[1]) and kinds.text.read(entry[2]) and #entry == 2 then
      ticks[i] = {entry[1], kinds.text.read(entry[2])}
    else
      return nil
    end
  end
  return ticks
end)
local FOUR = kind("{xmin, xmax, ymin, ymax}", function(v)
  if type(v) ~= "table" or #v ~= 4 then return nil end
  local e = {v[1], v[2], v[3], v[4]}
  for i = 1, 4 do if not finite(e[i]) then return nil end end
  return e
end)
kinds.extent = kind("{xmin, xmax, ymin, ymax}, ascending", function(v)
  local e = FOUR.read(v)
  if e and e[1] < e[2] and e[3] < e[4] and apart(e[1], e[2]) and apart(e[3], e[4]) then return e end
end, FOUR)
local PALETTE = kind("one of " .. table.concat(check.sorted_keys(PALETTES), ", "), function(v) return PALETTES[v] end)
PALETTE.words = check.sorted_keys(PALETTES)
kinds.palette = either(PALETTE,
  kind("a list of at least two colours", function(v)
    local list = list_of(kinds.color).read(v)
    if list and #list >= 2 then return list end
  end))
kinds.data = check.test("a tensor or a list", is_data)
kinds.object = check.test("an estimator", function(v) return v ~= nil end)
kinds.scale = one_of{linear = true, log = true}
kinds.style = one_of(STYLES)
kinds.marker = one_of(MARKERS)
kinds.place = one_of(PLACES)

-- ---- numbers in ----

local function plain(where, name, value)
  value = as_table(value)
  if type(value) ~= "table" then
    check.must_be(where, name, value, "a tensor or a list of numbers")
  end
  if #value == 0 then fail("%s: %s is empty", where, name) end
  return value
end

-- A list of numbers from a tensor or a list of n, n x 1 or 1 x n: a copy, which nobody changes later.
local function vector(where, name, value)
  local list = plain(where, name, value)
  if type(list[1]) == "table" then
    if #list == 1 then
      list = list[1]
    else
      local column = {}
      for i, row in ipairs(list) do
        if type(row) ~= "table" or #row ~= 1 then
          fail("%s: %s has more than one dimension (expected one)", where, name)
        end
        column[i] = row[1]
      end
      list = column
    end
  end
  local copy = {}
  for i = 1, #list do
    local v = list[i]
    if type(v) ~= "number" then check.must_be(where, ("%s[%d]"):format(name, i), v, "a number") end
    copy[i] = v
  end
  return copy
end

-- A list of rows of equal length, of numbers; a copy.
local function matrix(where, name, value)
  local rows, copy = plain(where, name, value), {}
  local columns
  for i = 1, #rows do
    local row, kept = rows[i], {}
    if type(row) ~= "table" then fail("%s: %s has one dimension (expected two)", where, name) end
    columns = columns or #row
    if #row ~= columns or columns == 0 then
      fail("%s: row %d of %s has %d numbers (expected %d)", where, i, name, #row, math.max(columns, 1))
    end
    for j = 1, columns do
      local v = row[j]
      if type(v) ~= "number" then
        check.must_be(where, ("%s[%d][%d]"):format(name, i, j), v, "a number")
      end
      kept[j] = v
    end
    copy[i] = kept
  end
  return copy, columns
end

-- (y), (y, options), (x, y) or (x, y, options): lists x and y, and the options.
local function curve(where, a, b, c)
  local y = vector(where, (c ~= nil or is_data(b)) and "x" or "y", a)
  if c == nil and not is_data(b) then
    local x = {}
    for i = 1, #y do x[i] = i end
    return x, y, b
  end
  local x = y
  y = vector(where, "y", b)
  if #x ~= #y then fail("%s: x has %d numbers but y has %d", where, #x, #y) end
  return x, y, c
end

return {
  check = check, is_data = is_data, finite = finite,
  apart = apart, check_span = check_span, LARGEST = LARGEST,
  kinds = kinds, plain = plain, vector = vector, matrix = matrix, curve = curve,
  tint = tint, cycle_color = cycle_color, PALETTES = PALETTES, STYLES = STYLES, MARKERS = MARKERS,
}
