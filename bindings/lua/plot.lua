-- Pictures: figures of lines, points, images and contours, drawn by gnuplot.
--
-- A figure is a list of layers (plot/layers.lua), which becomes a panel (plot/panel.lua), alone or on a page
-- (plot/sheet.lua). gnuplot is started without a shell, gets commands and
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
local ticks, legends = internal.load("plot.ticks", out), internal.load("plot.legend", out, layers)
local panels = internal.load("plot.panel", input, out, layers, ticks, legends)
local sheet = internal.load("plot.sheet", input, out, ticks, legends, panels)
local model_of = internal.load("plot.model", peri, internal, input)
local regions = internal.load("plot.regions", peri, internal, input, model_of)

local check, kinds = internal.check, input.kinds
local fail, options, describe = check.fail, check.options, check.describe
local clean, LAYERS, new_box = out.clean, layers.LAYERS, layers.new_box

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
    __newindex = function()
      fail("plot: the layers of a figure cannot be changed (give figure:%s its options)", layer.kind.name)
    end,
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
  class.__newindex = function(self, key, value)
    local record = RECORDS[self]
    local given = {}
    for option in pairs(known) do given[option] = record[option] end
    if not known[key] then
      local words = type(key) == "string" and describe(key):sub(2, -2) or describe(key)
      fail("plot: a %s has no option %s (known: %s)%s", name, words, table.concat(check.sorted_keys(known), ", "),
        internal.meant(key, known))
    end
    given[key] = value
    record[key] = checked(given, record)[key]
  end
  return class
end

local function record_of(self, method, class)
  local record = RECORDS[self]
  if record and (class ~= "page") == (record.layers ~= nil) then return record end
  return fail("plot.%s: called with %s (expected %s:%s(...))", method, describe(self), class or "figure", method)
end

-- ---- figures ----

local Figure = {}

local FIGURE_OPTIONS = {
  title = kinds.text, width = kinds.pixels, height = kinds.pixels, xlabel = kinds.text, ylabel = kinds.text,
  xlim = kinds.limits, ylim = kinds.limits, xscale = kinds.scale, yscale = kinds.scale,
  legend = kinds.either(kinds.off, kinds.place), grid = kinds.boolean, axes = kinds.boolean,
  aspect = kinds.either(kinds.one_of{equal = true, auto = true}, kinds.ratio),
  xticks = kinds.either(kinds.off, kinds.ticks), yticks = kinds.either(kinds.off, kinds.ticks), doc = kinds.text,
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
    for i, tick in ipairs(log and figure[axis .. "ticks"] or {}) do
      local at = type(tick) == "table" and tick[1] or tick
      if at <= 0 then fail("plot.figure: %sticks[%d] is %g on a log axis (expected a positive number)", axis, i, at) end
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
  internal.document(name, row.doc, function(self, ...)
    add_layer(record_of(self, name), name, ...)
    return self
  end, Figure)
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
features or what kind asks for; what predict gives has not the form of kind.]], function(self, given)
  regions.add(record_of(self, "regions"), given, natural_extent, add_layer)
  return self
end, Figure)

-- ---- pages of several panels ----

local Page = {}

local PAGE_OPTIONS = {
  title = kinds.text, rows = kinds.count, cols = kinds.count, width = kinds.pixels, height = kinds.pixels,
  legend = kinds.one_of{below = true, each = true}, share = kinds.one_of{x = true, y = true, both = true},
  doc = kinds.text,
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
    if not record or record.figures then
      check.must_be("plot.page", ("panel %d"):format(i), figure, "a figure")
    end
    figures[i] = record
  end
  if #figures == 0 then fail("plot.page: there are no panels (expected a list of figures)") end
  local record, page = page_options(named, {figures = figures}), setmetatable({}, PageClass)
  record.figures = figures
  RECORDS[page] = record
  return page
end

-- ---- saving and showing ----

-- A figure or a page as commands.
local function write_picture(picture, script)
  if picture.figures then sheet.write(picture, script) else panels.write_figure(picture, script) end
end

-- What a picture is called: its title, or what its panels or its axes say.
local function name_of(picture)
  if picture.title then return picture.title end
  local names = {}
  for _, figure in ipairs(picture.figures or {}) do names[#names + 1] = name_of(figure) end
  if picture.xlabel and picture.ylabel then names[1] = picture.ylabel .. " against " .. picture.xlabel end
  return #names > 0 and table.concat(names, "; ") or nil
end

-- Says on stderr which figures will be empty frames.
local function warn_of_empty(where, picture)
  for i, figure in ipairs(picture.figures or {picture}) do
    local expected = panels.why_empty(figure)
    if expected then
      local which = picture.figures and ("panel %d"):format(i) or "the figure"
      local name = figure.title and (" '%s'"):format(clean(figure.title)) or ""
      internal.say(("%s: nothing of %s%s can be drawn (expected %s)\n"):format(where, which, name, expected))
    end
  end
end

local function save(picture, paths, given)
  local opts = options("plot.save", given, {scale = kinds.positive})
  if type(paths) == "string" then paths = {paths} end
  if type(paths) ~= "table" or #paths == 0 then
    check.must_be("plot.save", "path", paths, "a file name or a list of them")
  end
  local s = (opts.scale or 2) + 0.0 -- integers would wrap around
  local formats, wanted = {}, {}
  for i, path in ipairs(paths) do
    if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
      check.must_be("plot.save", ("path %d"):format(i), path, "a file name")
    end
    local format = (path:match("%.(%w+)$") or ""):lower()
    if not out.FORMATS[format] or out.FORMATS[format].hidden then
      local shown = {}
      for name, row in pairs(out.FORMATS) do if not row.hidden then shown[name] = row end end
      local known = table.concat(check.sorted_keys(shown), ", .")
      fail("plot.save: '%s' has no known extension (known: .%s)", clean(path), known)
    end
    if not wanted[format] then formats[#formats + 1] = format end
    wanted[format], wanted[i] = true, format
  end
  if wanted.png and picture.width * s * picture.height * s > 1e8 then
    fail("plot.save: scale %g makes the picture larger than 100 million pixels", s)
  end
  warn_of_empty("plot.save", picture)
  local pictures = out.render("plot.save", picture, write_picture, formats, s,
    {name = name_of(picture), doc = picture.doc})
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
  warn_of_empty(where, picture)
  local layer = #picture.layers == 1 and picture.layers[1]
  if layer and layer.kind.text then return layer.kind.text(picture, layer) end
  return out.render(where, picture, write_picture, {"txt"}, 1).txt
end

local SAVE_DOC = [[
%s:save(path, {scale = 2}) -> %s
Writes .svg, .png, .pdf or .txt by the path's ending, or a list of paths in one go; folders are made. scale: of .png.]]
local SHOW_DOC = [[
%s:show() -> %s
Draws in the terminal: pixels where it says that it has kitty's protocol or sixel, else characters; in a notebook, a
picture. What is no terminal gets characters alone.]]

-- How the terminal draws, which is asked once.
local function protocol()
  local terminal = internal.terminal or {}
  local wanted = terminal.plots or "auto"
  if wanted == "text" or not process.is_terminal(1) then return nil end
  if wanted ~= "auto" then return wanted end
  if terminal.answer == nil then terminal.answer = process.terminal_pictures() or false end
  internal.terminal = terminal
  return terminal.answer or nil
end

-- A PNG in pieces of at most 4,096 characters, as kitty's protocol has it.
local function in_pieces(bytes)
  local text, parts = internal.base64(bytes), {}
  for from = 1, #text, 4096 do
    local last = from + 4096 > #text
    parts[#parts + 1] = ("\27_G%sm=%d;%s\27\\"):format(from == 1 and "f=100,a=T," or "", last and 0 or 1,
      text:sub(from, from + 4095))
  end
  return table.concat(parts)
end

local function show(picture)
  local drawn = protocol()
  if not drawn then return print((as_text("plot.show", picture):gsub("\n$", ""))) end
  warn_of_empty("plot.show", picture)
  local told = {name = name_of(picture), doc = picture.doc}
  if drawn == "kitty" then
    io.stdout:write(in_pieces(out.render("plot.show", picture, write_picture, {"png"}, 1, told).png), "\n")
  else
    io.stdout:write(out.render("plot.show", picture, write_picture, {"sixel"}, 1, told).sixel, "\n")
  end
end

-- For a notebook: whether a value is a figure or a page, and as bytes in each of the formats, if any.
function internal.picture(value, formats)
  local record = value ~= nil and RECORDS[value]
  if not record or not formats then return record ~= nil and record ~= false end
  return out.render("plot.show", record, write_picture, formats, 1.5, {name = name_of(record), doc = record.doc})
end

for name, methods in pairs{figure = Figure, page = Page} do
  internal.document("save", SAVE_DOC:format(name, name), function(self, ...)
    save(record_of(self, "save", name), ...)
    return self
  end, methods)
  internal.document("show", SHOW_DOC:format(name, name), function(self)
    local record = record_of(self, "show", name)
    if internal.notebook then internal.notebook.display(self) else show(record) end
    return self
  end, methods)
end

local plot = {}
internal.set_class("plot.figure", "Methods of figures", Figure)
internal.document("figure", [[
plot.figure{title =, xlabel =, ylabel =, xlim =, ylim =, xscale =, yscale =, width = 640, height = 480, ...} -> figure
A picture to which layers are added: line, scatter, bars, histogram, band, image, heatmap, images, contour, regions,
text; then save or show it. Drawn by gnuplot.
Limits are {low, high}; scales 'linear' or 'log'. Further options: legend ('best', false, 'above', 'below', 'right',
'top left', ...), grid (true or false), axes = true, aspect ('equal', 'auto' or height / width), xticks and yticks (a
list of numbers, or of {number, name}; false for none), doc (what there is to see, in a sentence: an SVG's description,
and the words below the picture in a report).
Options can be read and set later (figure.title = 'x'); data are copied when a layer is added. When save or show finds
that nothing of a figure's layers can be drawn (all NaN, or not positive on a log axis), it says so on stderr.
Errors: options and data that are wrong; when it is drawn, axes beyond 8e307 or shorter than 1e-300.]],
  new_figure, plot)
internal.document("page", [[
plot.page{figure, figure, ..., title =, rows =, cols =, width =, height =, legend =, share =, doc =} -> page
Several figures in one picture, row by row; page:save and page:show as for a figure. All plots are of one size. legend:
'below' is one for all panels under them, 'each' one in each; by default one when all would say the same, and none of
the figures asks for another place than 'best' or 'below'. share: 'x', 'y' or 'both', the axes that have the same limits
in all panels; doc as for plot.figure.
Errors: more figures than places; an axis to share that is linear in one panel and log in another.]],
  new_page, plot)

-- ---- pictures of results ----

local views

-- internal.view(name, ...): a picture that plot/views.lua draws, for the methods of results.
internal.view = function(name, ...)
  views = views or internal.load("plot.views", input, layers, model_of,
    {figure = new_figure, record = function(figure) return RECORDS[figure] end, options = FIGURE_OPTIONS,
      regions = regions.OPTIONS})
  return views[name](...)
end

internal.document("boundary", [[
plot.boundary(m, X, y, {labels =, support =, title =, xlabel = 'x1', ylabel = 'x2', aspect = 'equal', ...}) -> figure
What a fitted estimator m of 2 features says of the plane, as figure:regions{model = m} draws it, and the points X
(n x 2) by their class y (n; it may be left out). labels are names of the classes of m, ascending. support: a ring
around each support vector of a machine with a kernel, by default unless nearly all points (over 90 %) are some. Further
options are those of plot.figure, and of regions: extent, resolution, kind, margins, boundary, colorbar, label =
'boundary', margin_label = 'margins'; and support_label = 'support vectors', point_label = 'points' (without y).
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
