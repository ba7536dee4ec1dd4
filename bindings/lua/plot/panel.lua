-- One figure as gnuplot's commands: its limits, axes, legend and layers. A panel holds what is known on the way: its
-- figure, box (its limits), part (the commands of its layers), elements (of the plot command), marks (of its axes) and
-- legend.

local input, out, layers, ticks, legends = ...
local wrapped, NUMBER = out.wrapped, out.NUMBER
local LAYERS, INK = layers.LAYERS, layers.INK
local new_box, padded, log_padded = layers.new_box, layers.padded, layers.log_padded

-- ---- limits ----

-- The limits of both axes: given ones, else those of the layers; curves get a little room, images none.
local function limits(figure)
  local box = new_box(figure.xscale == "log", figure.yscale == "log")
  local filled, picture, stands, only_lines = false, false, {}, true
  for _, layer in ipairs(figure.layers) do
    layer.kind.span(layer, box)
    filled = filled or layer.fills
    picture = picture or layer.picture
    if layer.stands then stands[layer.stands] = true end
    only_lines = only_lines and (layer.kind == LAYERS.line or layer.kind == LAYERS.band)
  end
  local room = filled and 0 or 0.05
  local on_base = {}
  for axis in pairs(stands) do
    local low = box[axis .. 1]
    if low and not box["log_" .. axis] then on_base[axis] = low >= 0 end
  end
  box.x1, box.x2 = (box.log_x and log_padded or padded)(box.x1, box.x2, only_lines and 0.015 or room)
  box.y1, box.y2 = (box.log_y and log_padded or padded)(box.y1, box.y2, room)
  for axis, touches in pairs(on_base) do -- bars touch the axis, else there is a line at 0
    if touches then box[axis .. 1] = 0 else box["base_" .. axis] = true end
  end
  if picture then box.y1, box.y2 = box.y2, box.y1 end -- row 1 on top
  if figure.xlim then box.x1, box.x2 = figure.xlim[1], figure.xlim[2] end
  if figure.ylim then box.y1, box.y2 = figure.ylim[1], figure.ylim[2] end
  box.filled = filled
  return box
end

-- ---- what cannot be seen ----

-- Whether a stretch of an axis meets the one that is shown.
local function meets(low, high, from, to) return high >= math.min(from, to) and low <= math.max(from, to) end

local function is_in_view(layer, box)
  if layer.fills then return layers.has_value(layer.rows) end
  for _, c in ipairs(layer.kind.curves(layer)) do
    local all = new_box(box.log_x, box.log_y)
    layers.reach_all(all, c[1], c[2])
    if all.x1 and meets(all.x1, all.x2, box.x1, box.x2) and meets(all.y1, all.y2, box.y1, box.y2) then return true end
  end
  return false
end

-- Why a figure with layers is an empty frame, or nil.
local function why_empty(figure)
  if #figure.layers == 0 then return nil end
  local box = limits(figure)
  for _, layer in ipairs(figure.layers) do
    if is_in_view(layer, box) then return nil end
  end
  local reasons = {"numbers that are finite"}
  for _, axis in ipairs{"x", "y"} do
    if box["log_" .. axis] then reasons[#reasons + 1] = ("above 0 on the log axis %s"):format(axis) end
    if figure[axis .. "lim"] then reasons[#reasons + 1] = ("within %slim"):format(axis) end
  end
  return table.concat(reasons, ", ")
end

-- ---- axes ----

local function property(figure, name, axis)
  for _, layer in ipairs(figure.layers) do
    local value = layer[name]
    if value and axis then value = value[axis] end
    if value then return value end
  end
end

-- The margin below in gnuplot's lines, which its own is too small for; 1.7 of them are an axis' label.
local function set_bottom(script, figure, lines)
  script:numbers("set bmargin %.3g", 2.4 + (figure.xlabel and 1.7 or 0) + lines)
end

local function write_axis(panel, script, axis)
  local figure, box, marks = panel.figure, panel.box, panel.marks[axis]
  local label, extra = figure[axis .. "label"], math.max(0, marks.lines - 1)
  if panel.bare then script:add("unset %stics", axis) else ticks.write(script, axis, marks) end
  if label then
    local room = axis == "x" and script.width - 80 or script.height - 80
    local offset = extra > 0 and axis == "x" and (" offset 0,-%d"):format(extra) or ""
    script:add("set %slabel %s%s font ',13'", axis, wrapped(label, room, 13), offset)
  end
  if extra > 0 and axis == "x" then set_bottom(script, figure, extra) end -- gnuplot's own has room for one line
  if box["log_" .. axis] then script:add("set logscale %s", axis) end
  script:numbers("set %srange [" .. NUMBER .. ":" .. NUMBER .. "]", axis, box[axis .. 1], box[axis .. 2])
end

local function write_axes(panel, script)
  local figure, box = panel.figure, panel.box
  script:add("set tics out nomirror scale 0.6 font ',12' textcolor rgb '%s'", INK)
  script:add(panel.bare and "unset border" or "set border %d lc rgb '%s' lw 1", box.filled and 15 or 3, INK)
  for _, axis in ipairs{"x", "y", "cb"} do script:add("set format %s '%%g'", axis) end
  for _, axis in ipairs{"x", "y"} do write_axis(panel, script, axis) end
  for _, axis in ipairs{"x", "y"} do
    local other = axis == "x" and "y" or "x"
    if box["base_" .. other] and not script.text then script:add("set %szeroaxis lt 1 lc rgb '%s' lw 1", axis, INK) end
  end
  local grid = figure.grid
  if grid == nil then grid = not box.filled end
  if grid and not script.text then
    local which = property(figure, "stands") == "x" and "xtics noytics " or "" -- a line would cross a bar's number
    script:add("set grid %sback lt 1 lc rgb '%s' lw 1 dt 1", which, "#e4e4e4")
  end
end

-- The shape of a figure that stands alone; on a page it is the page that knows the place.
local function write_aspect(panel, script)
  if panel.aspect == "equal" then
    script:add("set size ratio -1")
  elseif type(panel.aspect) == "number" then
    script:numbers("set size ratio %.6g", panel.aspect)
  end
end

-- ---- a panel, step by step ----

local function prepare(figure)
  local panel = {figure = figure, box = limits(figure), aspect = figure.aspect or property(figure, "aspect")}
  panel.bare = figure.axes == false or figure.axes == nil and property(figure, "bare") or false
  return panel
end

-- Images lie under everything else, bands under lines; the rest keeps the order in which it was added.
local function draw(panel, script)
  local box = panel.box
  for _, axis in ipairs{"x", "y"} do
    input.check_span("plot", ("the %s axis"):format(axis), box[axis .. 1], box[axis .. 2], box["log_" .. axis])
  end
  local part, levels, cycle = script:part(), {{}, {}, {}}, 0
  for _, layer in ipairs(panel.figure.layers) do
    if layer.kind.cycles then cycle = cycle + 1 end
    local level = levels[layer.fills and 1 or layer.below and 2 or 3]
    local elements, legend = layer.kind.draw(layer, part, box, cycle)
    for _, element in ipairs(elements) do level[#level + 1] = element end
    levels[3][#levels[3] + 1] = legend
  end
  panel.part, panel.words, panel.elements = part, part.words, {}
  for _, level in ipairs(levels) do table.move(level, 1, #level, #panel.elements + 1, panel.elements) end
  panel.labels = legends.labels_of(panel.elements, panel.words)
end

-- The legend and the marks of the axes; on_page: what is around the plot must be known.
local function mark(panel, script, on_page)
  local figure = panel.figure
  panel.legend = legends.of(figure, panel.box, panel.labels, script)
  local below = panel.legend and panel.legend.place == "below" and panel.legend.rows or 0
  script.taken = 3 + (figure.title and 2 or 0) + (figure.xlabel and 1 or 0) + below -- lines in the terminal
  panel.marks = {}
  for _, axis in ipairs{"x", "y"} do
    local names = not panel.bare and property(figure, "ticks", axis)
    panel.marks[axis] = ticks.marks_of(figure, axis, panel.box, script, names, on_page)
  end
end

-- place() writes where it is, when that is not gnuplot's choice.
local function write(panel, script, place)
  local figure, legend = panel.figure, panel.legend
  if figure.title then
    script:add("set title %s font ',15' textcolor rgb '#000000'", wrapped(figure.title, script.width - 60, 15))
  end
  script:add("unset colorbox")
  write_axes(panel, script)
  legends.write(script, legend)
  if legend and legend.place == "below" and not script.text then -- gnuplot's margin lets the label touch the legend
    set_bottom(script, figure, math.max(0, panel.marks.x.lines - 1) + 1.25 * legend.rows)
  end
  if place then place() else write_aspect(panel, script) end
  script:append(panel.part)
  script:add("plot %s", #panel.elements > 0 and table.concat(panel.elements, ", ") or "NaN notitle")
end

-- A figure that stands alone.
local function write_figure(figure, script)
  script.width, script.height = figure.width, figure.height
  local panel = prepare(figure)
  draw(panel, script)
  mark(panel, script, false)
  write(panel, script)
end

return {prepare = prepare, draw = draw, mark = mark, write = write, write_figure = write_figure, why_empty = why_empty}
