-- Decision regions: what a model says at every point of a grid: an image, and contours on it. A kind of region makes
-- of the predicted rows (one number, or one per class, for each point) what the image shows and the
-- fields whose zero lines are boundaries.

local peri, _, input, model_of = ...
local fail, kinds, tint, cycle_color = input.check.fail, input.kinds, input.tint, input.cycle_color

local OPTIONS = {
  predict = kinds.callable, model = kinds.object, extent = kinds.extent, resolution = kinds.resolution,
  kind = kinds.one_of{probability = true, decision = true, class = true},
  colorbar = kinds.either(kinds.boolean, kinds.text), boundary = kinds.boolean, margins = kinds.boolean,
  label = kinds.text, margin_label = kinds.text,
}

local function flat_stops(classes)
  local stops = {}
  for c = 1, classes do
    local flat = tint(cycle_color(c), 0.72)
    for _, at in ipairs{c - 1, c} do
      stops[#stops + 1] = at
      stops[#stops + 1] = flat
    end
  end
  return stops
end

-- f(row) over the predicted rows, as a list; the grid is folded later.
local function mapped(rows, f)
  local list = {}
  for i = 1, #rows do list[i] = f(rows[i]) end
  return list
end

local REGIONS = {}

-- Signed values of a two-class decision function: the sign is the class, 0 the boundary, -1 and 1 the margins.
function REGIONS.decision(rows, columns)
  if columns ~= 1 then fail("plot.regions: predict gave %d numbers a point (kind 'decision' expects 1)", columns) end
  local values = mapped(rows, function(row) return row[1] end)
  return {
    shade = mapped(values, function(v) return v == v and (v > 0 and 1.5 or 0.5) or v end),
    stops = flat_stops(2), range = {0, 2}, fields = {values}, margins = true,
  }
end

-- A field on the n x n grid, each value a weighted mean of those around it: the boundary between 0 and 1 becomes a
-- smooth line, where without it would go around every cell.
local function smoothed(field, n)
  local weights, result = {1, 4, 6, 4, 1}, field
  for _, stride in ipairs{1, n} do
    local from, to = result, {}
    for k = 1, n * n do
      local at, sum = (k - 1) // stride % n, 0
      for i = 1, 5 do
        local shift = math.max(0, math.min(n - 1, at + i - 3)) - at
        sum = sum + weights[i] * from[k + shift * stride]
      end
      to[k] = sum / 16
    end
    result = to
  end
  return result
end

-- Class labels: whole numbers, in their order; known are those of a model, which need not all occur.
function REGIONS.class(rows, columns, known)
  if columns ~= 1 then fail("plot.regions: predict gave %d numbers a point (kind 'class' expects 1 label)", columns) end
  local rank, classes = {}, table.move(known or {}, 1, known and #known or 0, 1, {})
  for _, class in ipairs(classes) do rank[class] = 0 end
  for _, row in ipairs(rows) do
    local class = row[1]
    if class == class and not rank[class] then
      rank[class] = 0
      classes[#classes + 1] = class
      if #classes > 50 then
        fail("plot.regions: predict gave more than 50 different labels (kind 'decision' is for signed values)")
      end
    end
  end
  table.sort(classes)
  for r, class in ipairs(classes) do
    if class % 1 ~= 0 then
      fail("plot.regions: predict gave the label %g (kind 'decision' is for signed values)", class)
    end
    rank[class] = r
  end
  local fields = {}
  for r = 1, #classes - 1 do
    local inside = mapped(rows, function(row) return row[1] == classes[r] and 0.5 or -0.5 end)
    fields[r] = smoothed(inside, math.floor(math.sqrt(#rows) + 0.5))
  end
  local shade = mapped(rows, function(row) return rank[row[1]] and rank[row[1]] - 0.5 or 0 / 0 end)
  return {shade = shade, stops = flat_stops(#classes), range = {0, #classes}, fields = fields}
end

-- A class has the stretch c - 1 to c of the palette, from white to its colour, and uses this share in the middle of it:
-- gnuplot rounds positions, by as much as 1/256 of the whole palette.
local USED = 0.8

-- Probabilities of several classes: the most probable one, the paler the less it leads.
local function leading_class(rows, classes)
  local stops, fields = {}, {}
  local edge = (1 - USED) / 2
  for c = 1, classes do
    local pale, full = tint(cycle_color(c), 1), tint(cycle_color(c), 0.5)
    for _, stop in ipairs{{0, pale}, {edge, pale}, {1 - edge, full}, {1, full}} do
      stops[#stops + 1], stops[#stops + 2] = c - 1 + stop[1], stop[2]
    end
  end
  local function lead(row, c)
    local other = -math.huge
    for k = 1, classes do if k ~= c and row[k] > other then other = row[k] end end
    return row[c] - other
  end
  for c = 1, classes - 1 do fields[c] = mapped(rows, function(row) return lead(row, c) end) end
  local shade = mapped(rows, function(row)
    local best = 1
    for c = 2, classes do if row[c] > row[best] then best = c end end
    local sure = (row[best] - 1 / classes) / (1 - 1 / classes)
    return best - 1 + edge + USED * math.max(0, math.min(1, sure))
  end)
  return {shade = shade, stops = stops, range = {0, classes}, fields = fields}
end

-- The probability of the second class, or one probability per class.
function REGIONS.probability(rows, columns)
  if columns > 2 then return leading_class(rows, columns) end
  local values = mapped(rows, function(row) return row[columns] end)
  for _, p in ipairs(values) do
    if p < -1e-6 or p > 1 + 1e-6 then
      fail("plot.regions: predict gave %g (kind 'probability' expects numbers from 0 to 1)", p)
    end
  end
  return {
    shade = values, range = {0, 1}, colorbar = "probability of class 2",
    stops = {0, tint(cycle_color(1), 0.5), 0.5, "#ffffff", 1, tint(cycle_color(2), 0.5)},
    fields = {mapped(values, function(p) return p - 0.5 end)},
  }
end

-- The middles of n x n equal cells, row by row from the lower left, as float32, which is what models take.
local LARGEST = 3e38

local function grid_points(e, n)
  for i, at in ipairs(e) do
    if math.abs(at) > LARGEST then
      fail("plot.regions: entry %d of extent is %.4g (expected numbers up to %g)", i, at, LARGEST)
    end
  end
  local flat, k = {}, 0
  for i = 1, n do
    local y = e[3] + (i - 0.5) * (e[4] - e[3]) / n
    for j = 1, n do
      flat[k + 1], flat[k + 2] = e[1] + (j - 0.5) * (e[2] - e[1]) / n, y
      k = k + 2
    end
  end
  return peri.tensor(flat):reshape(n * n, 2)
end

local function folded(list, n)
  local rows = {}
  for i = 1, n do rows[i] = table.move(list, (i - 1) * n + 1, i * n, 1, {}) end
  return rows
end

-- The predicted rows: n x k, or n, as lists of k numbers.
local function predicted(value, n)
  local rows = input.plain("plot.regions", "what predict gave", value)
  if type(rows[1]) ~= "table" then
    rows = mapped(input.vector("plot.regions", "what predict gave", rows), function(v) return {v} end)
  end
  local _, columns = input.matrix("plot.regions", "what predict gave", rows)
  if #rows ~= n then fail("plot.regions: predict gave %d rows for %d points", #rows, n) end
  return rows, columns
end

-- The options, where a model stands for predict and decides what was left open.
local function read(given)
  local opts = input.check.options("plot.regions", given, OPTIONS)
  input.check.one_given("plot.regions", opts, "predict", "model")
  if opts.model == nil then return opts end
  local m = model_of("plot.regions", opts.model, opts.kind)
  opts.predict, opts.kind, opts.classes = m.predict, m.kind, m.classes
  if opts.margins == nil then opts.margins = m.margins end
  if opts.colorbar == nil or opts.colorbar == true then opts.colorbar = m.colorbar end
  return opts
end

-- Adds the regions to a figure; add_layer(figure, method, ...) adds a layer.
local function add(figure, given, natural_extent, add_layer)
  local opts = read(given)
  if figure.xscale == "log" or figure.yscale == "log" then fail("plot.regions: the axes must be linear") end
  local e, n = opts.extent or natural_extent(figure), opts.resolution or 200
  input.check_span("plot.regions", "the first feature", e[1], e[2])
  input.check_span("plot.regions", "the second feature", e[3], e[4])
  local rows, columns = predicted(opts.predict(grid_points(e, n)), n * n)
  local region = REGIONS[opts.kind or "class"](rows, columns, opts.classes)
  local bar = opts.colorbar
  if bar == nil or bar == true then bar = region.colorbar end
  local look = {extent = e, range = region.range, colorbar = bar or false, smooth = true}
  add_layer(figure, "image", folded(region.shade, n), look).stops = region.stops
  local named = false
  for _, field in ipairs(region.fields) do
    local z = folded(field, n)
    if region.margins and opts.margins ~= false then
      add_layer(figure, "contour", z,
        {extent = e, levels = {-1, 1}, style = "dashed", width = 1.2, label = opts.margin_label})
    end
    if opts.boundary ~= false then
      local layer = add_layer(figure, "contour", z, {extent = e, label = not named and opts.label or ""})
      named = named or #layer.lines > 0 -- the first boundary that is in view
    end
  end
end

return {add = add, OPTIONS = OPTIONS}
