-- Where a legend has its place, and how it is written.

local out, layers = ...
local CHARACTER, INK, has_place = out.CHARACTER, layers.INK, layers.has_place

local LINE = 20 -- pixels from one entry to the next
local LOOK = "Left reverse noenhanced samplen 2.5 spacing 1.15 width 1 font ',12'"

-- ---- which corner is free ----

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
  for _, label in ipairs(labels) do longest = math.max(longest, utf8.len(out.clean(label))) end
  return longest * CHARACTER * 12 + 110
end

-- The first free corner; when none is free, below the plot.
local function free_place(figure, box, labels, script)
  if figure.legend ~= "best" then return figure.legend end
  if box.filled then return "below" end
  local w, h = label_width(labels) / (script.width - 90), (#labels * LINE + 30) / (script.height - 100)
  local hits = corner_hits(figure, box, w, h)
  for _, corner in ipairs{"top right", "top left", "bottom right", "bottom left"} do
    if hits[corner] == 0 and w < 0.9 and h < 0.9 then return corner end
  end
  return "below"
end

-- ---- legends ----

local function columns_of(labels, width)
  return math.max(1, math.min(#labels, math.floor((width - 80) / (label_width(labels) - 40))))
end

-- Where the legend of a figure goes: {place, columns, rows, width, height} in pixels, or nil without one.
local function of(figure, box, labels, script)
  if not figure.legend or #labels == 0 then return nil end
  local place, columns = free_place(figure, box, labels, script), 1
  if place == "above" or place == "below" then columns = columns_of(labels, script.width) end
  local rows = math.ceil(#labels / columns)
  return {place = place, columns = columns, rows = rows, width = label_width(labels), height = rows * LINE}
end

local function write(script, legend)
  if not legend then
    script:add("unset key")
    return
  end
  local place = legend.place
  local where = "inside " .. place .. " vertical opaque"
  if place == "right" then
    where = "outside right top vertical"
  elseif place == "above" or place == "below" then
    where = ("outside center %s horizontal maxcols %d"):format(place == "above" and "top" or "bottom", legend.columns)
  end
  script:add("set key %s %s textcolor rgb '%s'", where, LOOK, INK)
end

-- ---- one legend for several panels ----

-- An element of a plot command that has words in the legend, as a sample without data; and what it looks like.
local function sample_of(element)
  local look, title = element:match "^%S+ (with .-) (title .+)$"
  if not look then return nil end
  look = look:gsub("boxxyerror", "boxes")
  return ("NaN %s %s"):format(look, title), look:gsub(" lw %S+", "") .. title, title
end

-- The words that elements have in the legend, in its order; words: of each title.
local function labels_of(elements, words)
  local labels = {}
  for _, element in ipairs(elements) do
    local _, _, title = sample_of(element)
    labels[#labels + 1] = title and words[title]
  end
  return labels
end

-- The samples of panels, each once; and whether each word has one look.
local function samples_of(panels)
  local samples, labels, seen, looks, unique = {}, {}, {}, {}, true
  for _, panel in ipairs(panels) do
    for _, element in ipairs(panel.figure.legend and panel.elements or {}) do
      local sample, look, title = sample_of(element)
      if sample and not seen[look] then
        seen[look] = true
        samples[#samples + 1], labels[#labels + 1] = sample, panel.words[title]
        unique = unique and not looks[title]
        looks[title] = true
      end
    end
  end
  return samples, labels, unique
end

-- Whether the words of one panel are those of all, and all leave their place open.
local function is_shared(panels, labels)
  local with, most = 0, 0
  for _, panel in ipairs(panels) do
    local place = panel.figure.legend
    if place and #panel.labels > 0 then
      if place ~= "best" and place ~= "below" then return false end
      with, most = with + 1, math.max(most, #panel.labels)
    end
  end
  return with > 1 and most == #labels
end

-- The legend that panels share: {samples, columns, rows, height}; nil when each has its own. wanted is 'below', 'each',
-- or nil: one when it says what each would say.
local function shared(panels, wanted, width)
  if wanted == "each" then return nil end
  local samples, labels, unique = samples_of(panels)
  if #samples == 0 or wanted == nil and not (unique and is_shared(panels, labels)) then return nil end
  local columns = columns_of(labels, width)
  local rows = math.ceil(#labels / columns)
  return {samples = samples, columns = columns, rows = rows, height = rows * LINE + 12}
end

-- At the bottom of a page of that height, a panel with nothing but its legend.
local function write_shared(script, legend, height)
  script:add("reset")
  script:add("unset border")
  for _, axis in ipairs{"x", "y"} do script:add("unset %stics", axis) end
  script:add("unset colorbox")
  for _, axis in ipairs{"x", "y"} do script:add("set %srange [0:1]", axis) end
  script:add("set key at screen 0.5, %s center bottom horizontal maxcols %d %s textcolor rgb '%s'", out.num(6 / height),
    legend.columns, LOOK, INK)
  script:add("plot %s", table.concat(legend.samples, ", "))
end

return {of = of, write = write, labels_of = labels_of, shared = shared, write_shared = write_shared}
