-- Layers that fill an area from a base: bars, histograms and bands.

local input, out, layers = ...
local fail, options, vector, curve = input.check.fail, input.check.options, input.vector, input.curve
local kinds, cycle_color, is_data = input.kinds, input.cycle_color, input.is_data
local num, NUMBER = out.num, out.NUMBER
local LAYERS, reach, has_place = layers.LAYERS, layers.reach, layers.has_place

-- ---- boxes ----
-- A box is {from, to, height}; it stands on 0, on a log axis on the lower end of the axis. from and to lie along x and
-- the height along y, of a horizontal layer the other way around.

local function placed(layer, along, height)
  if layer.horizontal then return height, along end
  return along, height
end

-- The axis of the heights, and whether it is a log one.
local function height_axis(layer, box)
  if layer.horizontal then return "x", box.log_x end
  return "y", box.log_y
end

local function span_boxes(layer, box)
  local _, log = height_axis(layer, box)
  for _, b in ipairs(layer.boxes(layer)) do
    if b[3] - b[3] == 0 then
      local base = log and b[3] or 0
      reach(box, placed(layer, b[1], base))
      reach(box, placed(layer, b[2], base))
      reach(box, placed(layer, b[2], b[3]))
    end
  end
end

-- What the legend must not cover: points all over each box.
local function box_points(layer)
  local xs, ys = {}, {}
  for _, b in ipairs(layer.boxes(layer)) do
    for i = 0, 4 do
      for j = 0, 8 do
        local along, height = b[1] + (b[2] - b[1]) * i / 4, b[3] * (j == 0 and 1e-3 or j / 8)
        xs[#xs + 1], ys[#ys + 1] = placed(layer, along, height)
      end
    end
  end
  return {{xs, ys, true}}
end

local function box_rows(layer, box)
  local pair = NUMBER .. " " .. NUMBER
  local axis, log = height_axis(layer, box)
  local base, rows = log and math.min(box[axis .. 1], box[axis .. 2]) or 0, {}
  for _, b in ipairs(layer.boxes(layer)) do
    if has_place(box, placed(layer, b[1], b[3])) and has_place(box, placed(layer, b[2], b[3])) then
      local along, high = pair:format(b[1], b[2]), pair:format(math.min(base, b[3]), math.max(base, b[3]))
      rows[#rows + 1] = ("%s %s %s"):format(pair:format(placed(layer, (b[1] + b[2]) / 2, b[3])),
        placed(layer, along, high))
    end
  end
  return rows
end

local function draw_boxes(layer, script, box, i, fill)
  local rows = box_rows(layer, box)
  if #rows == 0 then return {} end
  return {("%s with boxxyerror fs %s lc rgb '%s' lw 1 %s"):format(script:block(rows), fill,
    layer.color or cycle_color(i), script:title(layer.label))}
end

-- ---- bars ----

-- (heights), (x, heights) or (names, heights), and options.
local function bar_arguments(a, b, c)
  if type(a) ~= "table" or type(a[1]) ~= "string" then return curve("plot.bars", a, b, c) end
  local heights = vector("plot.bars", "the heights", b)
  local names = input.check.read("plot.bars", "names", a, kinds.list_of(kinds.text))
  if #names ~= #heights then fail("plot.bars: %d names but %d heights", #names, #heights) end
  local xs = {}
  for i = 1, #names do xs[i] = i end
  return xs, heights, c, names
end

-- The least distance of neighbours, of which a bar's width is a share.
local function spacing(xs)
  local sorted, least = table.move(xs, 1, #xs, 1, {}), math.huge
  table.sort(sorted)
  for i = 2, #sorted do
    if sorted[i] > sorted[i - 1] then least = math.min(least, sorted[i] - sorted[i - 1]) end
  end
  return least < math.huge and least or 1
end

-- Numbers beside horizontal bars reach so much farther.
local WORDS_BESIDE = 1.12

LAYERS.bars = {
  doc = [[
figure:bars(names, heights, {label =, color =, width = 0.8, values =, horizontal = false}) -> figure
Bars from 0; names may be numbers, their places, or be left out. Bars added again stand beside the earlier ones. width
is a share of their distance; values: a format such as '%.2f', with which each height is written at its bar.
horizontal: bars to the right, the first on top, with room for long names.]],
  cycles = true,
  options = {
    label = kinds.text, color = kinds.color, width = kinds.share, values = kinds.format, horizontal = kinds.boolean,
  },
  new = function(a, b, c)
    local xs, heights, given, names = bar_arguments(a, b, c)
    for i, x in ipairs(xs) do
      if x - x ~= 0 then fail("plot.bars: x[%d] is %s (expected a finite number)", i, input.check.describe(x)) end
    end
    local layer = options("plot.bars", given, LAYERS.bars.options)
    layer.xs, layer.heights, layer.labels, layer.space = xs, heights, {layer.label}, spacing(xs)
    layer.names, layer.picture = names, layer.horizontal or false
    layer.ticks, layer.stands = layer.horizontal and {y = names} or {x = names}, layer.horizontal and "x" or "y"
    return layer
  end,
  -- Layers of bars share their places.
  join = function(layer, others)
    for _, other in ipairs(others) do
      if other.kind == LAYERS.bars then layer.group = other.group end
    end
    local first = layer.group and layer.group[1]
    if first and first.picture ~= layer.picture then
      fail("plot.bars: horizontal must be %s, as of the bars before", tostring(first.picture))
    end
    if first and first.names and layer.names
      and table.concat(first.names, "\0") ~= table.concat(layer.names, "\0") then
      fail("plot.bars: the names differ from those of the bars before")
    end
    layer.group = layer.group or {}
    layer.group[#layer.group + 1] = layer
    layer.place = #layer.group
    layer.boxes = function(self)
      local n, list = #self.group, {}
      local w = self.space * (self.width or 0.8) / n
      for i, x in ipairs(self.xs) do
        local middle = x + (self.place - (n + 1) / 2) * w
        local half = w / 2 * (n > 1 and 0.92 or 1)
        list[i] = {middle - half, middle + half, self.heights[i]}
      end
      return list
    end
  end,
  span = function(layer, box)
    span_boxes(layer, box)
    local axis, log = height_axis(layer, box)
    local low = box[axis .. 1]
    for i, x in ipairs(low and layer.xs or {}) do
      if axis == "x" and layer.values and not log then reach(box, layer.heights[i] * WORDS_BESIDE, x) end
      if axis == "x" and not box.log_y or axis == "y" and not box.log_x then -- as much room as between two
        reach(box, placed(layer, x - layer.space / 2, low))
        reach(box, placed(layer, x + layer.space / 2, low))
      end
    end
  end,
  curves = box_points,
  draw = function(layer, script, box, i)
    for k, b in ipairs(layer.values and not script.text and layer.boxes(layer) or {}) do
      local height = layer.heights[k]
      local x, y = placed(layer, (b[1] + b[2]) / 2, height)
      if has_place(box, x, y) then
        local places = layer.horizontal and {"left offset 0.6,0", "right offset -0.6,0"}
          or {"center offset 0,0.6", "center offset 0,-0.7"}
        script:label(layer.values:format(height), x, y, 11, layers.INK, places[height < 0 and 2 or 1])
      end
    end
    return draw_boxes(layer, script, box, i, "solid 1 noborder")
  end,
}

-- ---- histograms ----

-- Freedman and Diaconis (1981): the width 2 IQR / n^(1/3); at least as many as Sturges (1926).
local function bin_count(sorted, low, high)
  local n = #sorted
  local least = math.ceil(math.log(n, 2)) + 1
  local iqr = sorted[math.ceil(0.75 * n)] - sorted[math.ceil(0.25 * n)]
  local width = 2 * iqr / n ^ (1 / 3)
  local wanted = width > 0 and width < math.huge and (high - low) / width or 0
  return math.floor(math.max(least, math.min(200, math.ceil(wanted))))
end

local function finite_values(values)
  local list = {}
  for _, v in ipairs(values) do if v - v == 0 then list[#list + 1] = v + 0.0 end end
  table.sort(list)
  if #list == 0 then fail("plot.histogram: there is no finite value") end
  return list
end

local function bin_edges(sorted, bins, range)
  if type(bins) == "table" then
    for i = 2, #bins do
      if bins[i] <= bins[i - 1] then fail("plot.histogram: the edges in bins do not ascend at %d", i) end
    end
    if #bins < 2 then fail("plot.histogram: bins has one edge (expected at least 2, or a number of bins)") end
    return bins
  end
  local low, high = sorted[1], sorted[#sorted]
  if range then low, high = range[1], range[2] end
  if not input.apart(low, high) then low, high = layers.padded(low, high, 0) end
  local n, edges = bins or bin_count(sorted, low, high), {}
  for i = 0, n do edges[i + 1] = low * (1 - i / n) + high * (i / n) end -- the distance may be beyond all numbers
  edges[n + 1] = high
  return edges
end

-- How many values lie in each bin; the last one has both its ends.
local function counts_of(sorted, edges)
  local counts, bin = {}, 1
  for i = 1, #edges - 1 do counts[i] = 0 end
  for _, v in ipairs(sorted) do
    if v >= edges[1] and v <= edges[#edges] then
      while bin < #counts and v >= edges[bin + 1] do bin = bin + 1 end
      counts[bin] = counts[bin] + 1
    end
  end
  return counts
end

LAYERS.histogram = {
  doc = [[
figure:histogram(values, {bins =, range =, density = false, label =, color =}) -> figure
How many values lie in each of equal bins. bins: their number (by default after Freedman and Diaconis) or a list of
edges; range: the outer edges; density: the area is 1. Values that are not finite, or outside, are left out.]],
  cycles = true,
  options = {
    label = kinds.text, color = kinds.color, range = kinds.range, density = kinds.boolean,
    bins = kinds.either(kinds.count, kinds.list_of(kinds.finite)),
  },
  new = function(values, given)
    local list = vector("plot.histogram", "the values", values)
    local layer = options("plot.histogram", given, LAYERS.histogram.options)
    local sorted = finite_values(list)
    local edges = bin_edges(sorted, layer.bins, layer.range)
    local counts, list_of_boxes = counts_of(sorted, edges), {}
    local all = 0
    for _, c in ipairs(counts) do all = all + c end
    for i, c in ipairs(counts) do
      local height = layer.density and c / math.max(all, 1) / (edges[i + 1] - edges[i]) or c
      if height - height ~= 0 then
        fail("plot.histogram: the density would go from 0 to %.4g in bin %d (expected wider bins: multiply values)",
          height, i)
      end
      list_of_boxes[i] = {edges[i], edges[i + 1], height}
    end
    layer.edges, layer.counts = edges, counts
    layer.boxes, layer.labels, layer.stands = function() return list_of_boxes end, {layer.label}, "y"
    return layer
  end,
  span = span_boxes,
  curves = box_points,
  draw = function(layer, script, box, i)
    local color = layer.color or cycle_color(i)
    return draw_boxes(layer, script, box, i, ("transparent solid 0.55 border rgb '%s'"):format(color))
  end,
}

-- ---- bands ----

LAYERS.band = {
  doc = [[
figure:band(x, low, high, {label =, color =, opacity = 0.25}) -> figure
The area between two curves, below all lines: a mean's uncertainty. x may be left out: band(low, high). The colour is
by default that of the line before. What is not finite is a gap.]],
  options = {label = kinds.text, color = kinds.color, opacity = kinds.share},
  new = function(a, b, c, d)
    if not is_data(c) then a, b, c, d = nil, a, b, c end
    local low = vector("plot.band", "low", b)
    local high = vector("plot.band", "high", c)
    local xs = {}
    for i = 1, #low do xs[i] = i end
    if a ~= nil then xs = vector("plot.band", "x", a) end
    if #xs ~= #low or #low ~= #high then
      fail("plot.band: x has %d numbers, low %d and high %d", #xs, #low, #high)
    end
    local layer = options("plot.band", d, LAYERS.band.options)
    layer.xs, layer.low, layer.high, layer.labels, layer.below = xs, low, high, {layer.label}, true
    return layer
  end,
  span = function(layer, box)
    layers.reach_all(box, layer.xs, layer.low)
    layers.reach_all(box, layer.xs, layer.high)
  end,
  curves = function(layer) return {{layer.xs, layer.low}, {layer.xs, layer.high}} end,
  draw = function(layer, script, box, i)
    local rows, form = {}, NUMBER .. " " .. NUMBER .. " " .. NUMBER
    for k, x in ipairs(layer.xs) do
      local low, high = layer.low[k], layer.high[k]
      if box.log_y and low - low == 0 then low = math.max(low, math.min(box.y1, box.y2)) end
      if has_place(box, x, low) and has_place(box, x, high) then
        rows[#rows + 1] = form:format(x, low, high)
      elseif #rows > 0 and rows[#rows] ~= "" then
        rows[#rows + 1] = ""
      end
    end
    if #rows == 0 or script.text then return {} end -- letters cannot be seen through
    local look = ("fs transparent solid %s noborder lc rgb '%s'"):format(num(layer.opacity or 0.25),
      layer.color or cycle_color(math.max(i, 1)))
    return {("%s with filledcurves %s notitle"):format(script:block(rows), look)},
      layer.label and ("NaN with boxes %s %s"):format(look, script:title(layer.label)) or nil
  end,
}
