-- Pictures: figures of lines, points, images and contours, drawn by gnuplot.
--
-- A figure is a list of layers (plot/layers.lua). gnuplot is started without a shell, gets commands and
-- data blocks on its standard input and answers with the picture, which is saved here: no file name ever
-- reaches it. What a user wrote goes out through plot/script.lua and nothing else, so that data never
-- become a command; what comes in is checked by plot/input.lua.

local peri, internal = ...
local process = internal.process
local input = internal.load("plot.input", internal)
local out = internal.load("plot.script", input, process)
local layers = internal.load("plot.layers", input, out, internal.load("plot.contour"))
internal.load("plot.bars", input, out, layers)
internal.load("plot.tiles", input, out, layers)
local model_of = internal.load("plot.model", peri, internal, input)
local regions = internal.load("plot.regions", peri, internal, input, model_of)

local fail, public, shown, options, kinds = input.fail, input.public, input.shown, input.options, input.kinds
local clean, wrapped, NUMBER, CHARACTER = out.clean, out.wrapped, out.NUMBER, out.CHARACTER
local LAYERS, INK = layers.LAYERS, layers.INK
local new_box, has_place, padded, log_padded = layers.new_box, layers.has_place, layers.padded, layers.log_padded

-- ---- what scripts hold ----
-- A figure and a page are tables without fields; what they are made of stands in RECORDS, where no script changes it.
-- Their options can be read, and set as when they were made; the layers can be looked at.

local RECORDS = setmetatable({}, {__mode = "k"})

-- A value for a script to look at: lists are copies, functions are not shown.
local function seen(value)
  if type(value) == "function" then return nil end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, entry in pairs(value) do copy[key] = seen(entry) end
  return copy
end

local HIDDEN = {group = true} -- of layers: bars that share their places hold each other

local function seen_layer(layer)
  return setmetatable({}, {
    __name = "layer", __metatable = false,
    __index = function(_, key)
      if key == "kind" then return layer.kind.name end
      if not HIDDEN[key] then return seen(layer[key]) end
    end,
    __newindex = public(function()
      fail("plot: the layers of a figure cannot be changed (give figure:%s its options)", layer.kind.name)
    end),
  })
end

local function seen_layers(record)
  local list = {}
  for i, layer in ipairs(record.layers) do list[i] = seen_layer(layer) end
  return list
end

-- The metatable of figures, or of pages. checked(options, record) gives the options with their defaults.
local function new_class(name, methods, known, checked)
  local class = {__name = name, __metatable = methods} -- by which help knows the class
  function class.__index(self, key)
    local record = RECORDS[self]
    if methods[key] ~= nil or not record then return methods[key] end
    if key == "layers" and record.layers then return seen_layers(record) end
    if known[key] then return seen(record[key]) end
  end
  class.__newindex = public(function(self, key, value)
    local record = RECORDS[self]
    local given = {}
    for option in pairs(known) do given[option] = record[option] end
    if not known[key] then
      fail("plot: a %s has no option %s (known: %s)", name, shown(key), table.concat(input.sorted_keys(known), ", "))
    end
    given[key] = value
    record[key] = checked(given, record)[key]
  end)
  return class
end

local function record_of(self, method, class)
  local record = RECORDS[self]
  if record and (class ~= "page") == (record.layers ~= nil) then return record end
  return fail("plot.%s: called with %s (expected %s:%s(...))", method, shown(self), class or "figure", method)
end

-- ---- figures ----

local Figure = {}

local FIGURE_OPTIONS = {
  title = kinds.text, width = kinds.pixels, height = kinds.pixels, xlabel = kinds.text, ylabel = kinds.text,
  xlim = kinds.limits, ylim = kinds.limits, xscale = kinds.scale, yscale = kinds.scale,
  legend = kinds.either(kinds.off, kinds.place), grid = kinds.boolean, axes = kinds.boolean,
  aspect = kinds.either(kinds.one_of{equal = true, auto = true}, kinds.ratio),
}

local function figure_options(given, record)
  local figure = options("plot.figure", given, FIGURE_OPTIONS)
  figure.width, figure.height = figure.width or 640, figure.height or 480
  if figure.legend == nil then figure.legend = "best" end
  for _, axis in ipairs{"x", "y"} do
    local lim, log = figure[axis .. "lim"], figure[axis .. "scale"] == "log"
    if log and lim and (lim[1] <= 0 or lim[2] <= 0) then
      fail("plot.figure: %slim is {%g, %g} on a log axis (expected positive numbers)", axis, lim[1], lim[2])
    end
    for _, layer in ipairs(log and record and record.layers or {}) do
      if layer.fills then fail("plot.figure: %sscale is 'log' but there is an image (expected linear axes)", axis) end
    end
  end
  return figure
end

local FigureClass = new_class("figure", Figure, FIGURE_OPTIONS, figure_options)

function FigureClass:__tostring()
  local record = RECORDS[self]
  return ("figure %dx%d with %d layers"):format(record.width, record.height, #record.layers)
end

local function new_figure(given)
  local record, figure = figure_options(given), setmetatable({}, FigureClass)
  record.layers = {}
  RECORDS[figure] = record
  return figure
end

-- Adds what the method of that name makes of its arguments; gives the layer.
local function add_layer(record, name, ...)
  local row = LAYERS[name]
  local layer = row.new(...)
  layer.kind = row
  if layer.fills then
    if record.xscale == "log" or record.yscale == "log" then fail("plot.%s: the axes must be linear", name) end
    for _, other in ipairs(record.layers) do
      if other.fills then fail("plot.%s: the figure has an image already (one for each figure)", name) end
    end
  end
  if row.join then row.join(layer, record.layers) end
  record.layers[#record.layers + 1] = layer
  return layer
end

for name, row in pairs(LAYERS) do
  row.name = name
  internal.document(name, row.doc, public(function(self, ...)
    add_layer(record_of(self, name), name, ...)
    return self
  end), Figure)
end

-- Where the layers lie, with room around, for regions that say no extent.
local function natural_extent(figure)
  local box = new_box(false, false)
  for _, layer in ipairs(figure.layers) do layer.kind.span(layer, box) end
  if not box.x1 then fail("plot.regions: extent is missing (expected {xmin, xmax, ymin, ymax}, or points before)") end
  return layers.roomy(box)
end

internal.document("regions", [[
figure:regions{model = | predict =, kind =, extent =, resolution = 200, boundary = true, margins =, ...} -> figure
What a model says at every point of the plane. predict(points) gets n x 2 and gives n class labels (kind 'class', its
default), or with kind 'decision' n signed values (0 is the boundary, -1 and 1 the margins), or with kind 'probability'
n probabilities of the second class, or n x k. model is a fitted estimator of 2 features, whose method is called, and
kind by default 'decision' for machines of svm with two classes (with margins) and OneClassSVM, else 'probability' where
there is predict_proba (networks, LogisticRegression), else 'class'. extent is {xmin, xmax, ymin, ymax}, by default that
of the points before. Further options: colorbar (its title, or false), label and margin_label (of the lines, in the
legend).
Errors: both or none of model and predict; a model that is no estimator, is not fitted, is a regression, or has not 2
features or what kind asks for; what predict gives has not the form of kind.]], public(function(self, given)
  regions.add(record_of(self, "regions"), given, natural_extent, add_layer)
  return self
end), Figure)

-- The limits of both axes: given ones, else those of the layers; curves get a little room, images none.
local function figure_limits(figure)
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

-- ---- the legend's place ----

local function figure_labels(figure)
  local labels = {}
  for _, layer in ipairs(figure.layers) do
    for _, label in ipairs(layer.labels) do
      if label ~= "" then labels[#labels + 1] = label end
    end
  end
  return labels
end

local function position(low, high, v, log)
  if log then low, high, v = math.log(low), math.log(high), math.log(v) end
  return (v - low) / (high - low)
end

-- How many points (of curves: also of the segments between them) lie in each corner's w x h share.
local function corner_hits(figure, box, w, h)
  local hits = {["top right"] = 0, ["top left"] = 0, ["bottom right"] = 0, ["bottom left"] = 0}
  local function count_in(x, y)
    if x < 0 or x > 1 or y < 0 or y > 1 then return end
    for corner in pairs(hits) do
      local beside = corner:find("right") and x > 1 - w or corner:find("left") and x < w
      local level = corner:find("top") and y > 1 - h or corner:find("bottom") and y < h
      if beside and level then hits[corner] = hits[corner] + 1 end
    end
  end
  local steps = 12
  for _, layer in ipairs(figure.layers) do
    for _, c in ipairs(layer.kind.curves(layer)) do
      local last_x, last_y
      for i = 1, #c[1] do
        local x, y
        if has_place(box, c[1][i], c[2][i]) then
          x, y = position(box.x1, box.x2, c[1][i], box.log_x), position(box.y1, box.y2, c[2][i], box.log_y)
          count_in(x, y)
          local far = last_x and not c[3] and (math.abs(x - last_x) > 0.05 or math.abs(y - last_y) > 0.05)
          for s = 1, far and steps - 1 or 0 do
            count_in(last_x + (x - last_x) * s / steps, last_y + (y - last_y) * s / steps)
          end
        end
        last_x, last_y = x, y
      end
    end
  end
  return hits
end

local function label_width(labels)
  local longest = 0
  for _, label in ipairs(labels) do longest = math.max(longest, utf8.len(clean(label))) end
  return longest * CHARACTER * 12 + 110
end

-- The first free corner; when none is free, below the plot.
local function legend_place(figure, box, labels, width, height)
  if figure.legend ~= "best" then return figure.legend end
  if box.filled then return "below" end
  local w, h = label_width(labels) / (width - 90), (#labels * 20 + 30) / (height - 100)
  local hits = corner_hits(figure, box, w, h)
  for _, corner in ipairs{"top right", "top left", "bottom right", "bottom left"} do
    if hits[corner] == 0 and w < 0.9 and h < 0.9 then return corner end
  end
  return "below"
end

-- ---- a figure as gnuplot's commands ----

-- Every second power of ten, or third, when not all of them have room.
local function sparse_ticks(axis, low, high, script)
  local first, last = math.ceil(math.log(low, 10) - 1e-9), math.floor(math.log(high, 10) + 1e-9)
  local letters = math.max(#("%g"):format(10.0 ^ first), #("%g"):format(10.0 ^ last))
  local room = axis == "x" and (script.width - 90) / (letters * CHARACTER * 12 + 12) or (script.height - 100) / 20
  local step = math.ceil((last - first + 1) / math.max(2, room))
  if step == 1 then return nil end
  local ticks = {}
  for power = math.ceil(first / step) * step, last, step do ticks[#ticks + 1] = out.num(10.0 ^ power) end
  return ticks
end

-- On a log axis gnuplot marks powers of ten alone. Over less than three of them more is wanted: 1 2 5, or
-- steps of one; over a fraction of one, equal steps.
local function log_ticks(axis, low, high, script)
  if high / low > 1000 then return sparse_ticks(axis, low, high, script) end
  for _, steps in ipairs{{1, 2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} do
    local ticks = {}
    for power = math.floor(math.log(low, 10)), math.ceil(math.log(high, 10)) do
      for _, step in ipairs(steps) do
        local at = step * 10.0 ^ power
        if at >= low and at <= high then ticks[#ticks + 1] = out.num(at) end
      end
    end
    if #ticks >= 3 then return ticks end
  end
  local power = 10.0 ^ math.floor(math.log(high - low, 10))
  local step = (high - low) / power < 3 and power / 2 or power
  local ticks = {}
  for i = math.ceil(low / step), math.floor(high / step) do ticks[#ticks + 1] = out.num(i * step) end
  return ticks
end

-- Names instead of numbers along an axis. Those that are too wide to stand side by side are broken between
-- words; when a word is too wide, they lean. Gives the number of lines.
local function write_tick_names(script, axis, names)
  local room, leans = (script.width - 110) / #names, false
  for _, name in ipairs(names) do
    for word in clean(name):gmatch("%S+") do
      leans = leans or axis == "x" and utf8.len(word) > math.max(8, math.floor(room / (CHARACTER * 12)))
    end
  end
  local parts, lines = {}, 1
  local wraps = axis == "x" and not leans and not script.text
  for i, name in ipairs(names) do
    -- gnuplot takes the names of ticks for formats
    local most = wraps and math.max(200, 3 * room) or axis == "y" and math.max(200, 0.45 * script.width) or 200
    name = out.shortened(name, most, 12):gsub("%%", "%%%%")
    local words = wraps and wrapped(name, room, 12) or out.quoted(name)
    lines = math.max(lines, select(2, words:gsub([["\n"]], "")) + 1)
    parts[i] = ("%s %d"):format(words, i)
  end
  script:add("set %stics %s (%s)", axis, leans and not script.text and "rotate by 35 right" or "",
    table.concat(parts, ", "))
  return lines
end

local function property(figure, name, axis)
  for _, layer in ipairs(figure.layers) do
    local value = layer[name]
    if value and axis then value = value[axis] end
    if value then return value end
  end
end

local function write_axes(figure, script, box)
  local bare = figure.axes == false or figure.axes == nil and property(figure, "bare")
  script:add("set tics out nomirror scale 0.6 font ',12' textcolor rgb '%s'", INK)
  script:add(bare and "unset border" or "set border %d lc rgb '%s' lw 1", box.filled and 15 or 3, INK)
  for _, axis in ipairs(bare and {"x", "y"} or {}) do script:add("unset %stics", axis) end
  for _, axis in ipairs{"x", "y", "cb"} do script:add("set format %s '%%g'", axis) end
  for _, axis in ipairs{"x", "y"} do
    local label, extra = figure[axis .. "label"], 0
    local names = not bare and property(figure, "ticks", axis)
    if names then extra = write_tick_names(script, axis, names) - 1 end
    if label then
      local room = axis == "x" and script.width - 80 or script.height - 80
      local offset = extra > 0 and (" offset 0,-%d"):format(extra) or ""
      script:add("set %slabel %s%s", axis, wrapped(label, room, 13), offset)
    end
    if extra > 0 then -- gnuplot's own margin has room for one line
      box.extra_lines = extra
      script:numbers("set bmargin %.3g", 2.4 + (label and 1.7 or 0) + extra)
    end
    local low, high = box[axis .. "1"], box[axis .. "2"]
    input.check_span("plot", ("the %s axis"):format(axis), low, high, box["log_" .. axis])
    if figure[axis .. "scale"] == "log" then
      script:add("set logscale %s", axis)
      local ticks = log_ticks(axis, math.min(low, high), math.max(low, high), script)
      if ticks then script:add("set %stics (%s)", axis, table.concat(ticks, ", ")) end
    end
    script:numbers("set %srange [" .. NUMBER .. ":" .. NUMBER .. "]", axis, low, high)
  end
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
  local aspect = figure.aspect or property(figure, "aspect")
  if aspect == "equal" then
    script:add("set size ratio -1")
  elseif type(aspect) == "number" then
    script:numbers("set size ratio %.6g", aspect)
  end
end

local function write_legend(figure, script, box)
  local labels = figure_labels(figure)
  if not figure.legend or #labels == 0 then
    script:add("unset key")
    return
  end
  local place = legend_place(figure, box, labels, script.width, script.height)
  local where = "inside " .. place .. " vertical opaque"
  if place == "right" then
    where = "outside right top vertical"
  elseif place == "above" or place == "below" then
    local columns = math.max(1, math.min(#labels, math.floor((script.width - 80) / (label_width(labels) - 40))))
    where = ("outside center %s horizontal maxcols %d"):format(place == "above" and "top" or "bottom", columns)
    if place == "below" and not script.text then -- gnuplot's own margin lets the axis label touch the legend
      local rows = math.ceil(#labels / columns)
      script:numbers("set bmargin %.3g", 2.4 + (figure.xlabel and 1.7 or 0) + (box.extra_lines or 0) + 1.25 * rows)
    end
  end
  local look = "Left reverse noenhanced samplen 2.5 spacing 1.15 width 1 font ',12'"
  script:add("set key %s %s textcolor rgb '%s'", where, look, INK)
end

-- One panel. Images lie under everything else, bands under lines; the rest keeps the order in which it was added.
local function write_figure(figure, script)
  local box = figure_limits(figure)
  if figure.title then
    script:add("set title %s font ',15' textcolor rgb '#000000'", wrapped(figure.title, script.width - 60, 15))
  end
  script:add("unset colorbox")
  write_axes(figure, script, box)
  write_legend(figure, script, box)
  local levels, cycle = {{}, {}, {}}, 0
  for _, layer in ipairs(figure.layers) do
    if layer.kind.cycles then cycle = cycle + 1 end
    local level = levels[layer.fills and 1 or layer.below and 2 or 3]
    local elements, legend = layer.kind.draw(layer, script, box, cycle)
    for _, element in ipairs(elements) do level[#level + 1] = element end
    levels[3][#levels[3] + 1] = legend
  end
  local elements = {}
  for _, level in ipairs(levels) do table.move(level, 1, #level, #elements + 1, elements) end
  script:add("plot %s", #elements > 0 and table.concat(elements, ", ") or "NaN notitle")
end

-- ---- pages of several panels ----

local Page = {}

local PAGE_OPTIONS = {
  title = kinds.text, rows = kinds.count, cols = kinds.count, width = kinds.pixels, height = kinds.pixels,
}

-- record: the page; figures are the records of its panels.
local function page_options(given, record)
  local page, figures = options("plot.page", given, PAGE_OPTIONS), record.figures
  page.cols = page.cols or math.ceil(page.rows and #figures / page.rows or math.sqrt(#figures))
  page.rows = page.rows or math.ceil(#figures / page.cols)
  if page.rows * page.cols < #figures then
    fail("plot.page: %d figures do not fit in %d rows of %d", #figures, page.rows, page.cols)
  end
  page.width = page.width or math.min(10000, page.cols * figures[1].width)
  page.height = page.height or math.min(10000, page.rows * figures[1].height)
  return page
end

local PageClass = new_class("page", Page, PAGE_OPTIONS, page_options)

function PageClass:__tostring()
  local record = RECORDS[self]
  return ("page of %d figures in %d rows of %d"):format(#record.figures, record.rows, record.cols)
end

local function new_page(given)
  local figures, named = {}, {}
  for key, value in pairs(type(given) == "table" and given or {}) do
    if math.type(key) ~= "integer" then named[key] = value end
  end
  for i, figure in ipairs(type(given) == "table" and given or {}) do
    local record = RECORDS[figure]
    if not record or record.figures then fail("plot.page: panel %d is %s (expected a figure)", i, shown(figure)) end
    figures[i] = record
  end
  if #figures == 0 then fail("plot.page: there are no panels (expected a list of figures)") end
  local record, page = page_options(named, {figures = figures}), setmetatable({}, PageClass)
  record.figures = figures
  RECORDS[page] = record
  return page
end

-- A figure or a page.
local function write_picture(picture, script)
  if not picture.figures then
    script.width, script.height = picture.width, picture.height
    write_figure(picture, script)
    return
  end
  local title = picture.title and "title " .. wrapped(picture.title, picture.width - 60, 17) .. " font ',17'" or ""
  script:add("set multiplot layout %d,%d %s", picture.rows, picture.cols, title)
  script.width, script.height = picture.width // picture.cols, picture.height // picture.rows
  for _, figure in ipairs(picture.figures) do
    script:add("reset")
    write_figure(figure, script)
  end
  script:add("unset multiplot")
end

-- ---- saving and showing ----

local function save(picture, paths, given)
  local opts = options("plot.save", given, {scale = kinds.positive})
  if type(paths) == "string" then paths = {paths} end
  if type(paths) ~= "table" or #paths == 0 then
    fail("plot.save: the path is %s (expected a file name or a list of them)", shown(paths))
  end
  local s = (opts.scale or 2) + 0.0 -- integers would wrap around
  local formats, wanted = {}, {}
  for i, path in ipairs(paths) do
    if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
      fail("plot.save: path %d is %s (expected a file name)", i, shown(path))
    end
    local format = (path:match("%.(%w+)$") or ""):lower()
    if not out.FORMATS[format] then
      local known = table.concat(input.sorted_keys(out.FORMATS), ", .")
      fail("plot.save: '%s' has no known extension (known: .%s)", clean(path), known)
    end
    if not wanted[format] then formats[#formats + 1] = format end
    wanted[format], wanted[i] = true, format
  end
  if wanted.png and picture.width * s * picture.height * s > 1e8 then
    fail("plot.save: scale %g makes the picture larger than 100 million pixels", s)
  end
  local pictures = out.render("plot.save", picture, write_picture, formats, s)
  for i, path in ipairs(paths) do
    local folder = path:match("^(.+)/[^/]*$")
    local ok, message = true, nil
    if folder then ok, message = process.mkdir(folder) end
    if ok then ok, message = process.write(path, pictures[wanted[i]]) end
    if not ok then fail("plot.save: %s", message) end
  end
end

local function as_text(where, picture)
  if picture.figures then
    local parts = {picture.title and clean(picture.title) .. "\n"}
    for _, figure in ipairs(picture.figures) do parts[#parts + 1] = as_text(where, figure) end
    return table.concat(parts, "\n")
  end
  local layer = #picture.layers == 1 and picture.layers[1]
  if layer and layer.kind.text then return layer.kind.text(picture, layer) end
  return out.render(where, picture, write_picture, {"txt"}, 1).txt
end

local SAVE_DOC = [[
%s:save(path, {scale = 2}) -> %s
Writes .svg, .png, .pdf or .txt by the path's ending, or a list of paths in one go; folders are made. scale: of .png.]]
local SHOW_DOC = "%s:show() -> %s\nDraws with characters in the terminal."

for name, methods in pairs{figure = Figure, page = Page} do
  internal.document("save", SAVE_DOC:format(name, name), public(function(self, ...)
    save(record_of(self, "save", name), ...)
    return self
  end), methods)
  internal.document("show", SHOW_DOC:format(name, name), public(function(self)
    print((as_text("plot.show", record_of(self, "show", name)):gsub("\n$", "")))
    return self
  end), methods)
end

local plot = {}
internal.classes["plot.figure"] = Figure
internal.document("figure", [[
plot.figure{title =, xlabel =, ylabel =, xlim =, ylim =, xscale =, yscale =, width = 640, height = 480, ...} -> figure
A picture to which layers are added: line, scatter, bars, histogram, band, image, heatmap, images, contour, regions,
text; then save or show it. Drawn by gnuplot.
Limits are {low, high}; scales 'linear' or 'log'. Further options: legend ('best', false, 'above', 'below', 'right',
'top left', ...), grid (true or false), axes = true, aspect ('equal', 'auto' or height / width).
Options can be read and set later (figure.title = 'x'); data are copied when a layer is added.
Errors: options and data that are wrong; when it is drawn, axes beyond 8e307 or shorter than 1e-300.]],
  public(new_figure), plot)
internal.document("page", [[
plot.page{figure, figure, ..., title =, rows =, cols =, width =, height =} -> page
Several figures in one picture, row by row; page:save and page:show as for a figure.]], public(new_page), plot)

-- ---- pictures of results ----

local views

-- internal.view(name, ...): a picture that plot/views.lua draws, for the methods of results.
internal.view = public(function(name, ...)
  views = views or internal.load("plot.views", input, layers, model_of,
    {figure = new_figure, record = function(figure) return RECORDS[figure] end, options = FIGURE_OPTIONS,
      regions = regions.OPTIONS})
  return views[name](...)
end)

internal.document("boundary", [[
plot.boundary(m, X, y, {labels =, support =, title =, xlabel = 'x1', ylabel = 'x2', aspect = 'equal', ...}) -> figure
What a fitted estimator m of 2 features says of the plane, as figure:regions{model = m} draws it, and the points X
(n x 2) by their class y (n; it may be left out). labels are names of the classes of m, ascending; around each support
vector of a machine with a kernel is a ring, unless support = false. Further options are those of plot.figure, and of
regions: extent, resolution, kind, margins, boundary, colorbar, label = 'boundary', margin_label = 'margins'.
Errors: as figure:regions; X that is not n x 2, y of another length, labels that are not as many as the classes,
support = true without support vectors.]], function(...) return internal.view("boundary", ...) end, plot)

internal.document("histories", [[
plot.histories({{name, m, width =, style =, ..}, ..}, {measure = 'train_loss', title =, ylabel =, ..}) -> figure
One measure of several trainings (what train.fit, or a Classifier's or Regressor's fit, has given) over their epochs, a
line for each with its name in the legend; an entry may have options of figure:line. measure: 'train_loss', 'dev_loss',
'train_accuracy', 'dev_accuracy', 'train_r2', 'dev_r2', 'learning_rate' or 'seconds'. Further options: plot.figure's.
Errors: entries without a name, or whose training does not have the measure.]],
  function(...) return internal.view("histories", ...) end, plot)
return plot
