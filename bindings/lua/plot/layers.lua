-- The layers of a figure, and the box that they span.

local input, out, contour_lines = ...
local fail, options, finite, is_data = input.check.fail, input.check.options, input.finite, input.is_data
local vector, matrix, curve, cycle_color = input.vector, input.matrix, input.curve, input.cycle_color
local PALETTES, STYLES, MARKERS, kinds = input.PALETTES, input.STYLES, input.MARKERS, input.kinds
local either, list_of = kinds.either, kinds.list_of
local quoted, num, points, NUMBER = out.quoted, out.num, out.points, out.NUMBER

local INK = "#404040"
local MARK = 10.85 -- pixels across a circle of gnuplot's pointsize 1
local CLASS_MARKERS = {"circle", "triangle", "square", "diamond", "triangle_down"}

-- ---- the box ----

-- The smallest box around finite points; on a log axis only positive numbers have a place.
local function new_box(log_x, log_y) return {log_x = log_x, log_y = log_y} end

local function has_place(box, x, y)
  return x - x == 0 and y - y == 0 and (x > 0 or not box.log_x) and (y > 0 or not box.log_y)
end

local function reach(box, x, y)
  if not has_place(box, x, y) then return end
  x, y = x + 0.0, y + 0.0 -- differences of integers may overflow
  if not box.x1 then
    box.x1, box.x2, box.y1, box.y2 = x, x, y, y
  else
    if x < box.x1 then box.x1 = x elseif x > box.x2 then box.x2 = x end
    if y < box.y1 then box.y1 = y elseif y > box.y2 then box.y2 = y end
  end
end

local function reach_all(box, xs, ys) for i = 1, #xs do reach(box, xs[i], ys[i]) end end

local function reach_extent(box, e)
  reach(box, e[1], e[3])
  reach(box, e[2], e[4])
  box.x1, box.x2 = box.x1 or 1, box.x2 or 2
  box.y1, box.y2 = box.y1 or 1, box.y2 or 2
end

-- Room around data does not go beyond what can be drawn.
local function held(low, high, room_low, room_high)
  local most = input.LARGEST
  return math.min(low, math.max(room_low, -most)), math.max(high, math.min(room_high, most))
end

-- Limits of an axis, with room around the data: a share of their distance.
local function padded(low, high, share)
  if not low then return 0, 1 end
  if not input.apart(low, high) then
    local room = math.abs(low) < 1e-290 and 1 or math.abs(low) * 0.1
    return held(low, high, low - room, high + room)
  end
  local room = (high - low) * share
  return held(low, high, low - room, high + room)
end

-- The same on a log axis: a share of their ratio. gnuplot has no place for numbers near the smallest.
local function log_padded(low, high, share)
  if not low then return 1, 10 end
  low = math.max(low, 1e-300)
  high = math.max(low, high)
  local factor = input.apart(low, high) and (high / low) ^ share or 2
  if finite(factor) then return held(low, high, math.max(low / factor, math.min(low, 1e-299)), high * factor) end
  return math.min(low, high / 10), high
end

-- A box with room around, as an extent.
local function roomy(box)
  local x1, x2 = padded(box.x1, box.x2, 0.08)
  local y1, y2 = padded(box.y1, box.y2, 0.08)
  return {x1, x2, y1, y2}
end

-- ---- layers ----
-- A row of LAYERS has
--   doc              its documentation
--   options          what its trailing table may say
--   new(...)         the layer, from the method's arguments; it raises when they are wrong
--   span(layer, box) grows the box around the layer
--   draw(layer, script, box, i)  adds data and settings, returns the elements of gnuplot's plot command, and one
--                    that only gives the legend its sample, where the elements do not
--   curves(layer)    lists {xs, ys, only the points}, which the legend must not cover
--   cycles           true when it takes the next colour
--   join(layer, others)  what it takes over from the layers before, where there is such
--   text(figure, layer)  the figure in letters, where that is not left to gnuplot
-- and a layer has labels, the list of its words in the legend, and may have aspect, fills (it covers its
-- extent), picture (its first row is on top), below (it lies under what does not), stands (the axis
-- 'x' or 'y' along which it stands on 0), ticks (names
-- along x and y) and bare (the figure has no axes).

local LAYERS = {}

-- Smallest and largest of each stretch: a long curve looks the same and stays small. Stretches are equally many
-- points, on a log axis equally long.
local MOST_POINTS = 4000

local function ends_of_stretches(xs, count, log)
  local n, ends = #xs, {}
  if not log or xs[1] <= 0 then
    for k = 1, count do ends[k] = k * n // count end
    return ends
  end
  local low, span, k = math.log(xs[1]), math.log(xs[n]) - math.log(xs[1]), 1
  for i = 1, n do
    while k < count and math.log(xs[i]) > low + span * k / count do
      if i - 1 > (ends[#ends] or 0) then ends[#ends + 1] = i - 1 end
      k = k + 1
    end
  end
  ends[#ends + 1] = n
  return ends
end

local function thinned(xs, ys, log)
  local n = #xs
  if n <= MOST_POINTS then return xs, ys end
  for i = 2, n do if xs[i] < xs[i - 1] or xs[i] ~= xs[i] then return xs, ys end end
  local thin_x, thin_y, m = {}, {}, 0
  local function keep(i)
    m = m + 1
    thin_x[m], thin_y[m] = xs[i], ys[i]
  end
  local first = 1
  for _, last in ipairs(ends_of_stretches(xs, MOST_POINTS // 4, log)) do
    local low, high, gap = first, first, nil
    for i = first, last do
      if ys[i] - ys[i] ~= 0 then gap = i end
      if ys[i] < ys[low] then low = i end
      if ys[i] > ys[high] then high = i end
    end
    keep(first)
    keep(math.min(low, high))
    if gap then keep(gap) end
    keep(math.max(low, high))
    keep(last)
    first = last + 1
  end
  return thin_x, thin_y
end

-- The element that draws rows as lines; without any it still gives the legend its sample.
local function stroke(script, rows, layer, color, marks)
  local form = "%s with %s lc rgb '%s' lw %s dt %s %s%s"
  return form:format(#rows > 0 and script:block(rows) or "NaN", marks ~= "" and "linespoints" or "lines", color,
    num(layer.width or 2), STYLES[layer.style or "solid"], marks, script:title(layer.label))
end

LAYERS.line = {
  doc = [[
figure:line(x, y, {label =, color =, width = 2, style = 'solid', marker =, size =}) -> figure
A curve through the points (x[i], y[i]), tensors or lists; line(y) counts x from 1. What is not finite is a gap. style:
'solid', 'dashed' or 'dotted'; marker: 'circle', 'square', 'triangle', 'triangle_down', 'diamond', 'cross' or 'plus'.]],
  cycles = true,
  options = {
    label = kinds.text, color = kinds.color, width = kinds.size, style = kinds.style, marker = kinds.marker,
    size = kinds.size,
  },
  new = function(a, b, c)
    local xs, ys, given = curve("plot.line", a, b, c)
    local layer = options("plot.line", given, LAYERS.line.options)
    layer.xs, layer.ys, layer.labels = xs, ys, {layer.label}
    return layer
  end,
  span = function(layer, box) reach_all(box, layer.xs, layer.ys) end,
  curves = function(layer) return {{layer.xs, layer.ys}} end,
  draw = function(layer, script, box, i)
    local xs, ys = {}, {}
    for k, x in ipairs(layer.xs) do
      local placed = has_place(box, x, layer.ys[k])
      xs[k], ys[k] = x, placed and layer.ys[k] or 0 / 0
    end
    local marks = ""
    if layer.marker then
      local every = math.max(1, #xs // 25)
      marks = ("pt %d ps %s pi %d "):format(MARKERS[layer.marker][2], num((layer.size or 6) / MARK), every)
    end
    return {stroke(script, points(thinned(xs, ys, box.log_x)), layer, layer.color or cycle_color(i), marks)}
  end,
}

-- Points of each class, in the order of the classes' values, or of those in `order`, some of which may have no points.
local function by_class(where, xs, ys, classes, labels, order)
  classes = vector(where, "class", classes)
  if #classes ~= #xs then fail("%s: %d points but %d classes", where, #xs, #classes) end
  local groups, values, known = {}, {}, nil
  if order then
    known = {}
    for _, value in ipairs(order) do known[value] = true end
  end
  for i, class in ipairs(classes) do
    if class ~= class then fail("%s: class[%d] is NaN", where, i) end
    if known and not known[class] then fail("%s: class[%d] is %g, which is not in classes", where, i, class) end
    if not groups[class] then
      groups[class] = {xs = {}, ys = {}}
      values[#values + 1] = class
    end
    local group = groups[class]
    group.xs[#group.xs + 1], group.ys[#group.ys + 1] = xs[i], ys[i]
  end
  table.sort(values)
  values = order or values
  if labels and #labels < #values then fail("%s: %d classes but %d labels", where, #values, #labels) end
  local list = {}
  for rank, value in ipairs(values) do
    local group = groups[value]
    if group then
      group.color, group.label = cycle_color(rank), labels and labels[rank]
      group.marker = CLASS_MARKERS[(rank - 1) % #CLASS_MARKERS + 1]
      list[#list + 1] = group
    end
  end
  return list
end

local function point_arguments(where, a, b, c)
  if c ~= nil or is_data(b) then return curve(where, a, b, c) end
  local rows, columns = matrix(where, "the points", a)
  if columns ~= 2 then fail("%s: the points are %dx%d (expected n x 2, or x and y)", where, #rows, columns) end
  local xs, ys = {}, {}
  for i, row in ipairs(rows) do xs[i], ys[i] = row[1], row[2] end
  return xs, ys, b
end

LAYERS.scatter = {
  doc = [[
figure:scatter(points, {class =, classes =, labels =, label =, color =, edgecolor =, marker =, size = 6, ...}) -> figure
Points: n x 2, or x and y as two arguments. class is a label for each point: one colour and marker for each class,
named in the legend by labels. classes lists them when some may have no point here (by default those that occur,
ascending). color 'none' leaves rings; edgewidth = 1.]],
  cycles = true,
  options = {
    label = kinds.text, class = kinds.data, classes = list_of(kinds.finite), labels = list_of(kinds.text),
    color = either(kinds.color, kinds.none), edgecolor = either(kinds.color, kinds.none), edgewidth = kinds.size,
    marker = kinds.marker, size = kinds.size,
  },
  new = function(a, b, c)
    local xs, ys, given = point_arguments("plot.scatter", a, b, c)
    local layer = options("plot.scatter", given, LAYERS.scatter.options)
    if layer.class then
      layer.groups = by_class("plot.scatter", xs, ys, layer.class, layer.labels, layer.classes)
    elseif layer.classes then
      fail("plot.scatter: classes are for points with a class")
    elseif layer.labels then
      fail("plot.scatter: labels are for points with a class (one label is 'label')")
    else
      layer.groups = {{xs = xs, ys = ys, label = layer.label}}
    end
    layer.labels = {}
    for _, group in ipairs(layer.groups) do layer.labels[#layer.labels + 1] = group.label end
    return layer
  end,
  span = function(layer, box) for _, group in ipairs(layer.groups) do reach_all(box, group.xs, group.ys) end end,
  curves = function(layer)
    local list = {}
    for i, group in ipairs(layer.groups) do list[i] = {group.xs, group.ys, true} end
    return list
  end,
  -- gnuplot's points have no edge: it is a larger point of the edge's colour below.
  draw = function(layer, script, box, i)
    local elements, size = {}, layer.size or 6
    local edge = layer.edgecolor or (layer.class and "#ffffff") or "none"
    local width = layer.edgewidth or 1
    for _, group in ipairs(layer.groups) do
      local rows = {}
      for k, x in ipairs(group.xs) do
        if has_place(box, x, group.ys[k]) then rows[#rows + 1] = (NUMBER .. " " .. NUMBER):format(x, group.ys[k]) end
      end
      local block = #rows > 0 and script:block(rows)
      local types = MARKERS[layer.marker or group.marker or "circle"]
      local function element(point_type, diameter, line_width, point_color, label)
        elements[#elements + 1] = ("%s with points pt %d ps %s lw %s lc rgb '%s' %s"):format(
          block, point_type, num(diameter / MARK), num(line_width), point_color, script:title(label))
      end
      if block and layer.color == "none" then
        element(types[1], size, layer.edgewidth or 1.2, edge ~= "none" and edge or INK, group.label)
      elseif block then -- else every point is off the axes
        if edge ~= "none" then element(types[2], size + 2 * width, 1, edge) end
        element(types[2], size, 1.5, layer.color or group.color or cycle_color(i), group.label)
      end
    end
    return elements
  end,
}

-- The matrix and where it lies. Without an extent it is a picture: pixels of size 1, row 1 on top;
-- with one it is a function on a grid: row 1 at ymin.
local function grid_arguments(where, value, layer)
  local rows, columns = matrix(where, "the matrix", value)
  layer.picture = not layer.extent
  layer.extent = layer.extent or {0.5, columns + 0.5, 0.5, #rows + 0.5}
  layer.rows, layer.columns, layer.labels = rows, columns, layer.labels or {}
  return layer
end

local function value_range(rows)
  local low, high = math.huge, -math.huge
  for _, row in ipairs(rows) do
    for _, v in ipairs(row) do
      if v - v == 0 then
        if v < low then low = v end
        if v > high then high = v end
      end
    end
  end
  if low > high then return 0, 1 end
  low, high = low + 0.0, high + 0.0
  if not input.apart(low, high) then
    local room = math.max(0.5, math.abs(low) * 0.1)
    return low - room, high + room
  end
  return low, high
end

-- gnuplot takes an image without a number for a fault.
local function has_value(rows)
  for _, row in ipairs(rows) do
    for _, v in ipairs(row) do if v - v == 0 then return true end end
  end
  return false
end

-- stops: {position, colour, position, colour, ...}
local function set_palette(script, stops)
  local parts = {}
  for i = 1, #stops, 2 do parts[#parts + 1] = ("%s '%s'"):format(num(stops[i]), stops[i + 1]) end
  script:add("set palette defined (%s) maxcolors 128", table.concat(parts, ", "))
end

-- A row of the middles of columns after their count, then rows that begin with their own middle: this
-- form gnuplot reads without evaluating expressions, which would take most of its time. It draws no
-- image of a single row or column, so that is cut into two.
local function image_rows(layer)
  local e, height, width = layer.extent, #layer.rows, layer.columns
  local tall, wide = height == 1 and 2 or 1, width == 1 and 2 or 1
  local dx, dy = (e[2] - e[1]) / (width * wide), (e[4] - e[3]) / (height * tall)
  local texts, lines = {width * wide}, {}
  for j = 1, width * wide do texts[j + 1] = NUMBER:format(e[1] + (j - 0.5) * dx) end
  lines[1] = table.concat(texts, " ")
  for i = 1, height * tall do
    local row = layer.rows[(i + tall - 1) // tall]
    texts[1] = NUMBER:format(e[3] + (i - 0.5) * dy)
    for j = 1, width * wide do
      local v = row[(j + wide - 1) // wide]
      texts[j + 1] = v - v == 0 and ("%.5g"):format(v) or "NaN"
    end
    lines[i + 1] = table.concat(texts, " ")
  end
  return lines
end

-- A layer whose values are colours, from a palette's first to its last.
local function as_picture(where, value, layer, colors)
  grid_arguments(where, value, layer)
  layer.stops = {}
  for i, c in ipairs(colors) do
    layer.stops[2 * i - 1], layer.stops[2 * i] = i - 1, c
  end
  local range = layer.range or {value_range(layer.rows)}
  layer.low, layer.high = range[1], range[2]
  layer.aspect, layer.fills = "equal", true
  return layer
end

-- An image in text: darker letters for higher values, two per pixel, since letters are tall.
local RAMP = {" ", ".", ":", "-", "=", "+", "*", "#", "%", "@"}

local function image_text(figure, layer)
  local step = math.max(1, math.ceil(layer.columns / 39))
  local lines = {figure.title and out.clean(figure.title)}
  for i = 1, #layer.rows, step do
    local letters = {}
    for j = 1, layer.columns, step do
      local v = (layer.rows[i][j] - layer.low) / (layer.high - layer.low)
      v = v == v and math.max(0, math.min(1, v)) or 0
      letters[#letters + 1] = RAMP[math.floor(v * (#RAMP - 1) + 0.5) + 1]:rep(2)
    end
    local line = table.concat(letters):gsub("%s+$", "")
    -- A function on a grid has its first row at the bottom.
    if layer.picture then lines[#lines + 1] = line else table.insert(lines, figure.title and 2 or 1, line) end
  end
  return table.concat(lines, "\n") .. "\n"
end

LAYERS.image = {
  doc = [[
figure:image(matrix, {palette =, range =, colorbar = false, extent =, gray =, smooth = false}) -> figure
A matrix as pixels, row 1 on top; with extent = {xmin, xmax, ymin, ymax} a function on a grid, row 1 at ymin. palette:
'gray', 'ink', 'blues', 'heat', 'diverging' or a list of colours; range: the numbers at its ends; colorbar: true or its
title.]],
  options = {
    extent = kinds.extent, palette = kinds.palette, range = kinds.range, colorbar = either(kinds.boolean, kinds.text),
    gray = kinds.boolean, smooth = kinds.boolean,
  },
  new = function(value, given)
    local layer = options("plot.image", given, LAYERS.image.options)
    return as_picture("plot.image", value, layer, layer.palette or layer.gray and PALETTES.gray or PALETTES.heat)
  end,
  text = image_text,
  span = function(layer, box) reach_extent(box, layer.extent) end,
  curves = function() return {} end,
  draw = function(layer, script)
    if script.text then return {} end
    local block = has_value(layer.rows) and script:block(image_rows(layer))
    set_palette(script, layer.stops)
    input.check_span("plot." .. layer.kind.name, "the colours", layer.low, layer.high)
    script:numbers("set cbrange [" .. NUMBER .. ":" .. NUMBER .. "]", layer.low, layer.high)
    if layer.colorbar then
      script:add("set colorbox")
      local words = type(layer.colorbar) == "string" and quoted(layer.colorbar) or "''"
      script:add("set cblabel %s offset 1 font ',13'", words)
    end
    return block and {("%s nonuniform matrix using 1:2:3 with image notitle"):format(block)} or {}
  end,
}

LAYERS.contour = {
  doc = [[
figure:contour(matrix, {levels = {0}, extent =, color =, width = 2, style = 'solid', label =}) -> figure
The lines on which a function on a grid has the values levels; extent as for image.]],
  options = {
    extent = kinds.extent, levels = list_of(kinds.finite), color = kinds.color, width = kinds.size,
    style = kinds.style, label = kinds.text,
  },
  new = function(value, given)
    local layer = grid_arguments("plot.contour", value, options("plot.contour", given, LAYERS.contour.options))
    if #layer.rows < 2 or layer.columns < 2 then
      fail("plot.contour: the matrix is %dx%d (expected at least 2x2)", #layer.rows, layer.columns)
    end
    layer.lines = {}
    for _, level in ipairs(layer.levels or {0}) do
      for _, line in ipairs(contour_lines(layer.rows, level, layer.extent)) do layer.lines[#layer.lines + 1] = line end
    end
    layer.labels = #layer.lines > 0 and {layer.label} or {}
    return layer
  end,
  span = function(layer, box) reach_extent(box, layer.extent) end,
  curves = function(layer) return layer.lines end,
  draw = function(layer, script)
    local rows = {}
    for _, line in ipairs(layer.lines) do
      points(line[1], line[2], rows)
      rows[#rows + 1] = ""
    end
    return #rows > 0 and {stroke(script, rows, layer, layer.color or INK, "")} or {} -- no words for what is not there
  end,
}

return {
  LAYERS = LAYERS, INK = INK, new_box = new_box, has_place = has_place, reach = reach, reach_all = reach_all,
  padded = padded, log_padded = log_padded, roomy = roomy, value_range = value_range, as_picture = as_picture,
  has_value = has_value,
}
