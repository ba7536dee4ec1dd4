-- Pictures of results in one call each: a model on its plane, the history of a training, searches, curves and
-- confusion matrices. Each takes what is drawn and the options of plot.figure, and gives the figure.

local input, layers, model_of, plot = ...
local fail, kinds = input.check.fail, input.kinds

local views = {}

-- ---- what the pictures share ----

-- The options, some of which are the figure's and some the view's own; in two tables.
local function read(where, given, own)
  local known, parts = {}, {figure = {}, own = {}}
  for name, kind in pairs(plot.options) do known[name] = kind end
  for name, kind in pairs(own) do known[name] = kind end
  for name, value in pairs(input.check.options(where, given, known)) do
    parts[own[name] and "own" or "figure"][name] = value
  end
  return parts.figure, parts.own
end

-- A figure with the options that were given, else the defaults.
local function figure_with(options, defaults)
  for name, value in pairs(defaults) do
    if options[name] == nil then options[name] = value end
  end
  return plot.figure(options)
end

local METRICS = {
  r2 = "R^2", f1_macro = "macro F1", f1_weighted = "weighted F1", roc_auc = "area under the ROC curve",
  log_loss = "log loss", mse = "mean squared error", mae = "mean absolute error",
}

local function words_of(metric) return METRICS[metric] or metric or "score" end

-- A value of a parameter as a name.
local function value_text(value)
  if math.type(value) == "float" then return ("%.6g"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, entry in ipairs(value) do parts[i] = type(entry) == "table" and "{..}" or value_text(entry) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function all_numbers(values)
  for _, value in ipairs(values) do
    if not input.finite(value) then return false end
  end
  return true
end

-- Numbers that span a factor of 20 are easier to see on a log axis.
local function scale_of(values)
  local low, high = math.huge, -math.huge
  for _, value in ipairs(values) do low, high = math.min(low, value), math.max(high, value) end
  return low > 0 and high >= 20 * low and "log" or "linear"
end

-- The least and the largest value that a metric can have; a score without a name is accuracy or R^2.
local SHARE = {0, 1}
local RANGES = {accuracy = SHARE, f1_macro = SHARE, f1_weighted = SHARE, roc_auc = SHARE, r2 = {-math.huge, 1},
  mse = {0, math.huge}, mae = {0, math.huge}, log_loss = {0, math.huge}}

local function range_of(metric)
  return RANGES[metric] or metric == nil and RANGES.r2 or {-math.huge, math.huge}
end

-- A curve with markers, and where there are deviations the band around it, as far as values go.
local function add_curve(figure, xs, ys, stds, range, options)
  figure:line(xs, ys, options)
  if not stds then return end
  local low, high = {}, {}
  for i, y in ipairs(ys) do
    low[i], high[i] = math.max(y - stds[i], range[1]), math.min(y + stds[i], range[2])
  end
  figure:band(xs, low, high)
end

-- Cells and their names are readable from so many pixels; the rest is for axes, names and the colour bar.
local CELL_WIDTH, CELL_HEIGHT, BESIDE, BELOW = 40, 22, 160, 100

local function cells_figure(options, columns, rows, defaults)
  defaults.width = math.min(10000, math.max(640, BESIDE + CELL_WIDTH * columns))
  defaults.height = math.min(10000, math.max(480, BELOW + CELL_HEIGHT * rows))
  return figure_with(options, defaults)
end

-- ---- a model on its plane ----

local function boundary_options()
  local own = {labels = kinds.list_of(kinds.text), support = kinds.boolean, support_label = kinds.text,
    point_label = kinds.text}
  for name, kind in pairs(plot.regions) do own[name] = kind end
  own.predict, own.model = nil, nil
  return own
end

local function points_of(where, X)
  local rows, columns = input.matrix(where, "X", X)
  if columns ~= 2 then fail("%s: X is %dx%d (expected n x 2)", where, #rows, columns) end
  return rows
end

-- The classes of the model, then others that y has.
local function classes_with(where, known, y, n)
  local classes, seen, more = {}, {}, {}
  for i, class in ipairs(known or {}) do classes[i], seen[class] = class, true end
  if y == nil then return classes end
  y = input.vector(where, "y", y)
  if #y ~= n then fail("%s: X has %d rows but y has %d", where, n, #y) end
  for i, class in ipairs(y) do
    if class ~= class then fail("%s: y[%d] is NaN", where, i) end
    if not seen[class] then more[#more + 1] = class end
    seen[class] = true
  end
  table.sort(more)
  return table.move(more, 1, #more, #classes + 1, classes)
end

-- Around all that is drawn, or as far as the axes were asked to go.
local function extent_of(figure, points, vectors)
  local box = layers.new_box(false, false)
  for _, rows in ipairs{points, vectors} do
    for _, row in ipairs(rows) do layers.reach(box, row[1], row[2]) end
  end
  local e = layers.roomy(box)
  local function limits(i, lim)
    if lim then e[i], e[i + 1] = math.min(lim[1], lim[2]), math.max(lim[1], lim[2]) end
  end
  limits(1, figure.xlim)
  limits(3, figure.ylim)
  return e
end

local RING = 11 -- so large that a square stays a square within it
local MOST_RINGED = 0.9 -- of the points: rings around nearly all of them tell nothing

-- The support vectors that get a ring: those that were asked for, or by default when they are not nearly all points.
local function ringed(model, wanted, count)
  if wanted == false or not model.support_vectors then return {} end
  local vectors = model.support_vectors:totable()
  return (wanted or #vectors <= MOST_RINGED * count) and vectors or {}
end

function views.boundary(m, X, y, given)
  local where = "plot.boundary"
  if given == nil and not input.is_data(y) then y, given = nil, y end
  local options, own = read(where, given, boundary_options())
  local model = model_of(where, m, own.kind)
  local points = points_of(where, X)
  local classes = classes_with(where, model.classes, y, #points)
  local labels = own.labels
  if labels and #labels ~= #classes then
    fail("%s: labels has %d names but there are %d classes", where, #labels, #classes)
  end
  if own.support and not model.support_vectors then
    fail("%s: support is true but the model has no support vectors", where)
  end
  local vectors = ringed(model, own.support, #points)
  if model.colorbar and labels and (own.colorbar == nil or own.colorbar == true) then
    own.colorbar = "probability of " .. labels[2]
  end
  if own.extent then
    local e = own.extent
    options.xlim, options.ylim = options.xlim or {e[1], e[2]}, options.ylim or {e[3], e[4]}
  end
  local figure = figure_with(options, {xlabel = "x1", ylabel = "x2", aspect = "equal", width = 560})
  figure:regions{
    model = m, kind = own.kind, extent = own.extent or extent_of(figure, points, vectors),
    resolution = own.resolution, boundary = own.boundary, margins = own.margins, colorbar = own.colorbar,
    label = own.label or "boundary", margin_label = own.margin_label or "margins",
  }
  if y == nil then
    figure:scatter(points, {label = own.point_label or "points", color = "green"})
  else
    for i, class in ipairs(labels and {} or classes) do
      labels = labels or {}
      labels[i] = ("class %g"):format(class)
    end
    figure:scatter(points, {class = y, classes = classes, labels = labels})
  end
  if #vectors > 0 then
    figure:scatter(vectors, {color = "none", edgecolor = "black", size = RING,
      label = own.support_label or "support vectors"})
  end
  return figure
end

-- ---- the history of a training ----

local MEASURES = {{"loss", "loss"}, {"accuracy", "accuracy"}, {"r2", "R^2"}}

-- The names of fields of a training that begin so, and are numbers of each epoch: metrics of the script's own too.
local function measures_of(m, prefix)
  local names = {}
  for field, value in pairs(type(m) == "table" and m or {}) do
    local name = type(field) == "string" and type(value) == "userdata" and field:match("^" .. prefix .. "(.+)$")
    if name then names[name] = true end
  end
  return names
end

-- A table of words for the entries of a legend that have those names.
local function words_for(...)
  local names, expected = {}, {...}
  for _, name in ipairs(expected) do names[name] = true end
  local kind = {expected = ("a table of strings for %s"):format(table.concat(expected, ", "))}
  function kind.read(value)
    if type(value) ~= "table" then return nil end
    local words = {}
    for name, word in pairs(value) do
      words[name] = names[name] and kinds.text.read(word)
      if not words[name] then return nil end
    end
    return words
  end
  return kind
end

local FEW = 8 -- epochs of which each has its tick: gnuplot might put some between them

local function up_to(n)
  local names = {}
  for i = 1, n do names[i] = tostring(i) end
  return names
end

function views.history(m, given)
  local known = measures_of(m, "train_")
  if not next(known) then fail "plot: this training has no history (after 0 epochs, or from a file, there is none)" end
  for _, row in ipairs(MEASURES) do known[row[1]] = true end
  local options, own = read("plot", given, {measure = kinds.one_of(known), labels = words_for("train", "dev", "best")})
  local measure, has, labels, word = own.measure or "loss", {}, own.labels or {}, nil
  for _, row in ipairs(MEASURES) do
    if m["train_" .. row[1]] then has[#has + 1] = row[1] end
    if row[1] == measure then word = row[2] end
  end
  if not m["train_" .. measure] then
    fail("plot: measure is '%s', which this training does not have (it has %s)", measure, table.concat(has, ", "))
  end
  local figure = figure_with(options, {xlabel = "epoch", ylabel = word or measure:gsub("_", " ")})
  for _, set in ipairs{"train", "dev"} do
    local curve = m[set .. "_" .. measure]
    if curve then figure:line(curve, {label = labels[set] or set, marker = #curve == 1 and "circle" or nil}) end
  end
  plot.record(figure).layers[1].ticks = m.epochs <= FEW and {x = up_to(m.epochs)} or nil
  local best = m.best_epoch
  if best and m.monitor:match "^%a+_(.+)$" == measure then
    local label = labels.best or ("best: epoch %d"):format(best)
    figure:scatter({best}, {m[m.monitor][best]}, {label = label, color = "black", size = 8})
  end
  return figure
end

local HISTORY = {
  train_loss = true, train_accuracy = true, train_r2 = true, dev_loss = true, dev_accuracy = true, dev_r2 = true,
  learning_rate = true, seconds = true,
}

-- {name, training, and options of its line} as a curve's points and options.
local function entry_of(where, i, entry, measure)
  if type(entry) ~= "table" or type(entry[1]) ~= "string" then
    input.check.must_be(where, ("entry %d"):format(i), entry, "{name, training}")
  end
  local m, look = entry[2], {}
  local curve = type(m) == "table" and m[measure]
  if not curve then fail("%s: %s has no %s (expected a training, as train.fit gives it)", where, entry[1], measure) end
  for name, value in pairs(entry) do
    if type(name) == "string" then look[name] = value end
  end
  look.label = entry[1]
  look.marker = look.marker or #curve == 1 and "circle" or nil
  return curve, look
end

function views.histories(list, given)
  local where = "plot.histories"
  if type(list) ~= "table" or #list == 0 then
    input.check.must_be(where, "trainings", list, "a list {{name, training}, ..}")
  end
  local known = {}
  for name in pairs(HISTORY) do known[name] = true end
  for _, entry in ipairs(list) do
    local m = type(entry) == "table" and entry[2]
    for _, set in ipairs{"train_", "dev_"} do
      for name in pairs(measures_of(m, set)) do known[set .. name] = true end
    end
  end
  local options, own = read(where, given, {measure = kinds.one_of(known)})
  local measure = own.measure or "train_loss"
  local figure = figure_with(options, {xlabel = "epoch", ylabel = measure:gsub("_", " ")})
  for i, entry in ipairs(list) do figure:line(entry_of(where, i, entry, measure)) end
  return figure
end

-- ---- many networks ----
-- A sweep has results, best first: {params =, number = of its row in the histories}, names (of the parameters),
-- monitor, and histories, candidates x epochs, NaN behind the end of one.

local MOST_CURVES = 8

-- Mean and standard deviation of the candidates that are still trained, epoch by epoch; of a group's rows.
local function means_of(rows)
  local xs, ys, stds = {}, {}, {}
  for e = 1, #rows[1] do
    local n, sum, squares = 0, 0, 0
    for _, row in ipairs(rows) do
      if row[e] == row[e] then n, sum = n + 1, sum + row[e] end
    end
    if n == 0 then break end
    for _, row in ipairs(rows) do
      if row[e] == row[e] then squares = squares + (row[e] - sum / n) ^ 2 end
    end
    xs[e], ys[e], stds[e] = e, sum / n, n > 1 and math.sqrt(squares / (n - 1)) or 0
  end
  return xs, ys, stds
end

-- The results by their parameters, the group of the best first.
local function groups_of(sweep)
  local groups, by_text = {}, {}
  for _, r in ipairs(sweep.results) do
    local parts = {}
    for _, name in ipairs(sweep.names) do
      if r.params[name] ~= nil then parts[#parts + 1] = ("%s = %s"):format(name, value_text(r.params[name])) end
    end
    local text = table.concat(parts, ", ")
    if not by_text[text] then
      by_text[text] = {label = text, numbers = {}}
      groups[#groups + 1] = by_text[text]
    end
    table.insert(by_text[text].numbers, r.number)
  end
  return groups
end

function views.sweep(sweep, given)
  local known = {}
  for _, set in ipairs{"train_", "dev_"} do
    for name in pairs(measures_of(sweep, set)) do known[set .. name] = true end
  end
  if not next(known) then fail "plot: there is no history (after 0 epochs, or where none was through)" end
  local options, own = read("plot", given, {measure = kinds.one_of(known)})
  local measure = own.measure or known[sweep.monitor] and sweep.monitor or "train_loss"
  local figure = figure_with(options, {xlabel = "epoch", ylabel = measure:gsub("_", " ")})
  local histories, groups = sweep[measure]:totable(), groups_of(sweep)
  local sets = {{measure, nil}}
  if #groups == 1 and measure:find "^dev_" then sets[2] = {measure:gsub("^dev_", "train_"), "dashed"} end
  for i, group in ipairs(groups) do
    if i > MOST_CURVES then break end
    for _, set in ipairs(sets) do
      local table_of, rows = set[1] == measure and histories or sweep[set[1]]:totable(), {}
      for k, number in ipairs(group.numbers) do rows[k] = table_of[number] end
      local label = #sets > 1 and set[1]:match "^%a+" or group.label
      local xs, ys, stds = means_of(rows)
      if #xs > 0 then
        local range = range_of(measure:match "accuracy$" or measure:match "r2$"
          or math.min(table.unpack(ys)) >= 0 and "mse" or "other")
        add_curve(figure, xs, ys, #rows > 1 and stds, range, {label = label ~= "" and label or nil,
          marker = #xs == 1 and "circle" or nil, style = set[2]})
      end
    end
  end
  return figure
end

-- ---- a range of learning rates ----

-- f: rates, losses, smoothed and suggestion, as train.lr_find gives them.
function views.rates(f, given)
  local options, own = read("plot", given, {labels = words_for("losses", "smoothed", "suggestion")})
  local labels = own.labels or {}
  local low, high = math.huge, -math.huge
  for _, y in ipairs(f.smoothed:totable()) do low, high = math.min(low, y), math.max(high, y) end
  local room = math.max(high - low, 1e-9) / 10 -- single losses may leave the picture
  local figure = figure_with(options, {xlabel = "learning rate", ylabel = "loss", ylim = {low - room, high + room},
    xscale = scale_of(f.rates:totable())})
  figure:line(f.rates, f.losses, {label = labels.losses or "mini-batches", color = "gray", width = 0.7})
  figure:line(f.rates, f.smoothed, {label = labels.smoothed or "smoothed"})
  if f.suggestion then
    local at = f.rates:eq(f.suggestion):to("int64"):argmax()
    figure:scatter({f.suggestion}, {f.smoothed[at]}, {color = "black", size = 8,
      label = labels.suggestion or ("suggestion: %.2g"):format(f.suggestion)})
  end
  return figure
end

-- ---- searches ----
-- A search has names (of the parameters), results, best first: {params =, score =, std = of folds}, folds (how many, or
-- nil), metric (a name or nil) and less (whether less is better).

-- The values that a parameter has in the results, each once: numbers ascending, then the rest by their text. Nil when
-- some result has none that can be told from others.
local function values_of(search, name)
  local values, seen = {}, {}
  for _, r in ipairs(search.results) do
    local value = r.params[name]
    if value == nil or value ~= value then return nil end
    if not seen[value] then values[#values + 1] = value end
    seen[value] = true
  end
  table.sort(values, function(a, b)
    local x, y = math.type(a) ~= nil, math.type(b) ~= nil
    if x ~= y then return x end
    if x then return a < b end
    return value_text(a) < value_text(b)
  end)
  return values
end

local function names_of(values)
  local names = {}
  for i, value in ipairs(values) do names[i] = value_text(value) end
  return names
end

-- The scores in rows for the values of the second name and columns for those of the first, or nil when the results are
-- no grid.
local function grid_of(search, names, columns, rows)
  if #columns * #rows ~= #search.results then return nil end
  local at, matrix = {}, {}
  for j, value in ipairs(columns) do at[value] = j end
  for i, row in ipairs(rows) do
    matrix[i] = {}
    for _, r in ipairs(search.results) do
      if r.params[names[2]] == row then
        local j = at[r.params[names[1]]]
        if matrix[i][j] then return nil end
        matrix[i][j] = r.score
      end
    end
  end
  return matrix
end

local function draw_line(search, options, name, label)
  local results = table.move(search.results, 1, #search.results, 1, {})
  table.sort(results, function(a, b)
    local x, y = a.params[name], b.params[name]
    if x ~= y then return x < y end
    return a.score < b.score
  end)
  local xs, ys, stds = {}, {}, {}
  for i, r in ipairs(results) do xs[i], ys[i], stds[i] = r.params[name], r.score, r.std end
  local figure = figure_with(options, {xlabel = name, ylabel = words_of(search.metric), xscale = scale_of(xs)})
  add_curve(figure, xs, ys, search.folds and stds, range_of(search.metric),
    {marker = "circle", label = label or search.folds and ("mean of %d folds ± std"):format(search.folds) or nil})
  return figure
end

-- Shares with equally many digits; other numbers as short as they are.
local function score_format(results)
  for _, r in ipairs(results) do
    if math.abs(r.score) > 1 then return "%.4g" end
  end
  return "%.3f"
end

local DARK_IS_LOW = {"#08306b", "#3182bd", "#9ecae1", "#f7fbff"} -- what is best is dark

local function draw_cells(search, options, names, columns, rows, matrix)
  local figure = cells_figure(options, #columns, #rows, {xlabel = names[1], ylabel = names[2]})
  return figure:heatmap(matrix, {
    rows = names_of(rows), columns = names_of(columns), values = score_format(search.results),
    colorbar = words_of(search.metric), palette = search.less and DARK_IS_LOW or "blues",
  })
end

local MOST_BARS = 20

local function draw_bars(search, options, names)
  local labels, heights = {}, {}
  for i = 1, math.min(MOST_BARS, #search.results) do
    local r, parts = search.results[i], {}
    for k, name in ipairs(names) do
      parts[k] = #names > 1 and name .. " = " .. value_text(r.params[name]) or value_text(r.params[name])
    end
    labels[i], heights[i] = table.concat(parts, ", "), r.score
  end
  local figure = figure_with(options, {
    xlabel = words_of(search.metric), ylabel = #names == 1 and names[1] or nil,
    height = math.max(480, BELOW + CELL_HEIGHT * #labels),
  })
  return figure:bars(labels, heights, {values = score_format(search.results), horizontal = true})
end

function views.search(search, given)
  local options, own = read("plot", given, {label = kinds.text})
  local values, names = {}, {}
  for _, name in ipairs(search.names) do
    values[name] = values_of(search, name)
    if not values[name] then return draw_bars(search, options, search.names) end
    if #values[name] > 1 then names[#names + 1] = name end
  end
  if #names == 0 then names = search.names end -- one result
  if #names == 1 and all_numbers(values[names[1]]) then return draw_line(search, options, names[1], own.label) end
  if #names == 2 then
    local columns, rows = values[names[1]], values[names[2]]
    local matrix = grid_of(search, names, columns, rows)
    if matrix then return draw_cells(search, options, names, columns, rows, matrix) end
  end
  return draw_bars(search, options, names)
end

-- ---- curves ----

function views.curve(curve, given)
  local options, own = read("plot", given, {error = kinds.boolean, labels = words_for("train", "test")})
  local is_error, word, labels = own.error, words_of(curve.metric), own.labels or {}
  if is_error then word = (not curve.metric or curve.metric == "accuracy") and "error" or "1 - " .. word end
  local numbers, repeats, range = all_numbers(curve.at), curve.test_scores:size(2), range_of(curve.metric)
  if is_error then range = {1 - range[2], 1 - range[1]} end
  local figure = figure_with(options, {
    xlabel = curve.name == "size" and curve.sizes and "examples" or curve.name, ylabel = word,
    xscale = numbers and scale_of(curve.at) or nil,
  })
  for _, set in ipairs{{"train", "circle"}, {"test", "square"}} do
    local means, stds = curve[set[1] .. "_mean"]:totable(), curve[set[1] .. "_std"]:totable()
    for i, mean in ipairs(is_error and means or {}) do means[i] = 1 - mean end
    if numbers then
      add_curve(figure, curve.at, means, repeats > 1 and stds, range,
        {label = labels[set[1]] or set[1] .. (repeats > 1 and " ± std" or ""), marker = set[2]})
    else
      figure:bars(names_of(curve.at), means, {label = labels[set[1]] or set[1]})
    end
  end
  return figure
end

-- ---- confusion matrices ----

function views.confusion(confusion, given)
  local options, own = read("plot", given, {names = kinds.list_of(kinds.text)})
  local names, n = own.names or names_of(confusion.labels), #confusion.labels
  if #names ~= n then fail("plot: names has %d names but there are %d labels", #names, n) end
  local most, whole = confusion.matrix:max():item(), confusion.matrix.dtype == "int64"
  local figure = cells_figure(options, n, n, {xlabel = "predicted", ylabel = "true"})
  return figure:heatmap(confusion.matrix, {
    rows = names, columns = names, values = whole and "%d" or most <= 1 and "%.2f" or "%.4g",
    range = {0, most > 0 and most or 1},
  })
end

return views
