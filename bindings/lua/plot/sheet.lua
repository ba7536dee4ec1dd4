-- A page of several panels. Whatever stands around them, all plots of a page are of one size and in line: columns are
-- as wide, and rows as high, as their widest and highest words ask for.

local input, out, ticks, legends, panels = ...
local fail, num, wrapped, CHARACTER = input.check.fail, out.num, out.wrapped, out.CHARACTER

local LEAST = 40 -- pixels that must be left for a plot

-- ---- axes that panels share ----

-- The limits of all panels on an axis, each in its own direction.
local function share_axis(list, axis)
  local from, to, low, high, scale = axis .. 1, axis .. 2, math.huge, -math.huge, list[1].figure[axis .. "scale"]
  for i, panel in ipairs(list) do
    if panel.figure[axis .. "scale"] ~= scale then
      fail("plot.page: share has %s but %sscale of panel %d is another than of panel 1", axis, axis, i)
    end
    low = math.min(low, panel.box[from], panel.box[to])
    high = math.max(high, panel.box[from], panel.box[to])
  end
  for _, panel in ipairs(list) do
    local box = panel.box
    if box[from] <= box[to] then box[from], box[to] = low, high else box[from], box[to] = high, low end
  end
end

-- ---- what stands around a plot ----

local function lines_of(text, width, size) return select(2, wrapped(text, width, size):gsub([["\n"]], "")) + 1 end

-- The scale of colours is a share of the plot's width away, and as wide again.
local BAR = 0.075

local function bar_words(figure)
  for _, layer in ipairs(figure.layers) do
    if layer.fills and layer.colorbar then
      local numbers = math.max(#("%.3g"):format(layer.low), #("%.3g"):format(layer.high), 4)
      return numbers * CHARACTER * 12 + 16 + (type(layer.colorbar) == "string" and 26 or 0)
    end
  end
end

-- Pixels on each side of a panel's plot, and the share of its width for a scale of colours; marks by axis.
local function around(panel, script)
  local figure, marks, legend = panel.figure, panel.marks, panel.legend
  local sides = {left = 14, right = 20, top = 12, bottom = 12, bar = 0}
  if not panel.bare then
    sides.left = sides.left + ticks.width_of(marks.y) + 8
    sides.bottom = sides.bottom + ticks.height_of(marks.x) + 4
  end
  if figure.ylabel then sides.left = sides.left + 8 + 17 * lines_of(figure.ylabel, script.height - 80, 13) end
  if figure.xlabel then sides.bottom = sides.bottom + 10 + 17 * lines_of(figure.xlabel, script.width - 80, 13) end
  if figure.title then sides.top = sides.top + 8 + 19 * lines_of(figure.title, script.width - 60, 15) end
  local bar = bar_words(figure)
  if bar then sides.right, sides.bar = bar, BAR end
  if legend and legend.place == "right" then sides.right = sides.right + legend.width end
  if legend and (legend.place == "below" or legend.place == "above") then
    local side = legend.place == "below" and "bottom" or "top"
    sides[side] = sides[side] + legend.height + (side == "top" and 18 or 6)
  end
  return sides
end

-- The most that any panel in a column, or row, has on a side.
local function most_of(list, cols, of_row, side)
  local most = {}
  for i, panel in ipairs(list) do
    local at = of_row and (i - 1) // cols + 1 or (i - 1) % cols + 1
    most[at] = math.max(most[at] or 0, panel.sides[side])
  end
  return most
end

local function sum(list)
  local total = 0
  for _, value in ipairs(list) do total = total + value end
  return total
end

-- ---- where panels have their places ----

-- The plot's rectangle within {left, right, bottom, top} in pixels, where one of the axes decides its shape.
local function shaped(rectangle, panel)
  local aspect, box = panel.aspect, panel.box
  local width, height = rectangle.right - rectangle.left, rectangle.top - rectangle.bottom
  if aspect == "equal" then
    local function length(axis)
      local low, high = box[axis .. 1], box[axis .. 2]
      if box["log_" .. axis] then low, high = math.log(low), math.log(high) end
      return math.abs(high - low)
    end
    aspect = length "y" / length "x"
  end
  if type(aspect) ~= "number" then return rectangle end
  local w = math.min(width, height / aspect)
  local h = w * aspect
  local x, y = (rectangle.left + rectangle.right - w) / 2, (rectangle.bottom + rectangle.top - h) / 2
  return {left = x, right = x + w, bottom = y, top = y + h}
end

-- Gives each panel its cell and the rectangle of its plot, in pixels from the page's lower left, and says whether there
-- is room for that.
local function lay_out(list, page, head, foot)
  local cols, rows = page.cols, page.rows
  local left, right = most_of(list, cols, false, "left"), most_of(list, cols, false, "right")
  local bar = most_of(list, cols, false, "bar")
  local top, bottom = most_of(list, cols, true, "top"), most_of(list, cols, true, "bottom")
  cols, rows = math.min(cols, #left), math.min(rows, #top)
  local width = (page.width - sum(left) - sum(right)) / (cols + sum(bar))
  local height = (page.height - head - foot - sum(top) - sum(bottom)) / rows
  if width < LEAST or height < LEAST then return false end
  local y = page.height - head
  for r = 1, rows do
    local x = 0
    local cell_height = top[r] + height + bottom[r]
    for c = 1, cols do
      local panel = list[(r - 1) * page.cols + c]
      local cell_width = left[c] + width * (1 + bar[c]) + right[c]
      if panel then
        panel.cell = {left = x, bottom = y - cell_height, width = cell_width, height = cell_height}
        panel.plot = shaped({left = x + left[c], right = x + left[c] + width, bottom = y - top[r] - height,
          top = y - top[r]}, panel)
      end
      x = x + cell_width
    end
    y = y - cell_height
  end
  return true
end

-- The commands that put a panel's plot in its place: the legend's is in the cell.
local function write_place(script, panel, page)
  local cell, plot = panel.cell, panel.plot
  script:add("set origin %s, %s", num(cell.left / page.width), num(cell.bottom / page.height))
  script:add("set size %s, %s", num(cell.width / page.width), num(cell.height / page.height))
  for _, side in ipairs{{"l", "left", "width"}, {"r", "right", "width"}, {"b", "bottom", "height"},
    {"t", "top", "height"}} do
    script:add("set %smargin at screen %s", side[1], num(plot[side[2]] / page[side[3]]))
  end
end

-- ---- the page ----

local function prepared(page, script)
  local list = {}
  for i, figure in ipairs(page.figures) do list[i] = panels.prepare(figure, script) end
  for _, axis in ipairs{"x", "y"} do
    if page.share == axis or page.share == "both" then share_axis(list, axis) end
  end
  for _, panel in ipairs(list) do panels.draw(panel, script) end
  return list
end

local function write(page, script)
  local title = page.title and "title " .. wrapped(page.title, page.width - 60, 17) .. " font ',17'" or ""
  local head = page.title and 18 + 21 * lines_of(page.title, page.width - 60, 17) or 0
  local shared, placed = nil, false
  script.width, script.height = page.width // page.cols, (page.height - head) // page.rows
  local list = prepared(page, script)
  if not script.text then
    shared = legends.shared(list, page.legend, page.width)
    for _, panel in ipairs(list) do
      panels.mark(panel, script, true)
      if shared then panel.legend = nil end
      panel.sides = around(panel, script)
    end
    placed = lay_out(list, page, head, shared and shared.height or 0)
    if not placed then shared = nil end
  end
  script:add("set multiplot %s %s", placed and "" or ("layout %d,%d"):format(page.rows, page.cols), title)
  for _, panel in ipairs(list) do
    script:add("reset")
    if not placed then panels.mark(panel, script, false) end
    panels.write(panel, script, placed and function() write_place(script, panel, page) end)
  end
  if shared then legends.write_shared(script, shared, page.height) end
  script:add("unset multiplot")
end

return {write = write}
