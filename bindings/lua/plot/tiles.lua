-- Layers of cells: heat maps with names and numbers, grids of small images, and words in the plane.

local input, out, layers = ...
local fail, options, kinds, PALETTES = input.check.fail, input.check.options, input.kinds, input.PALETTES
local LAYERS, INK = layers.LAYERS, layers.INK

-- ---- heat maps ----

-- The colour of a palette at a share from 0 to 1: red, green, blue from 0 to 255.
local function palette_at(colors, share)
  local place = math.max(0, math.min(1, share)) * (#colors - 1)
  local i = math.min(math.floor(place), #colors - 2)
  local t, rgb = place - i, {}
  for c = 1, 3 do
    local from = tonumber(colors[i + 1]:sub(2 * c, 2 * c + 1), 16)
    local to = tonumber(colors[i + 2]:sub(2 * c, 2 * c + 1), 16)
    rgb[c] = from + (to - from) * t
  end
  return rgb
end

-- Black on light colours, white on dark ones (ITU-R BT.601's weights).
local function ink_on(colors, share)
  local rgb = palette_at(colors, share)
  return 0.299 * rgb[1] + 0.587 * rgb[2] + 0.114 * rgb[3] > 140 and "#000000" or "#ffffff"
end

local function check_names(where, names, n)
  if names and #names ~= n then fail("plot.heatmap: %s has %d names but the matrix has %d", where, #names, n) end
end

-- The numbers in columns, for the terminal.
local function table_of_numbers(figure, layer)
  local names, lines = layer.row_names or {}, {figure.title and out.clean(figure.title)}
  local function line(first, cells) lines[#lines + 1] = ("%-12s"):format(first) .. table.concat(cells) end
  local function cell(text) return (" "):rep(10 - utf8.len(text)) .. text end
  local heads = {}
  for j = 1, layer.columns do
    heads[j] = cell(out.shortened(layer.column_names and layer.column_names[j] or tostring(j), 65, 12))
  end
  line("", heads)
  for i, row in ipairs(layer.rows) do
    local cells = {}
    for j, v in ipairs(row) do cells[j] = cell((layer.values or "%.4g"):format(v)) end
    line(out.shortened(names[i] or tostring(i), 80, 12), cells)
  end
  return table.concat(lines, "\n") .. "\n"
end

LAYERS.heatmap = {
  doc = [[
figure:heatmap(matrix, {rows =, columns =, values = '%.3g', palette = 'blues', range =, colorbar = false}) -> figure
A matrix as coloured cells with its numbers, row 1 on top. rows and columns: lists of names; values: the format of the
numbers, or false; palette, range and colorbar as for image.]],
  options = {
    rows = kinds.list_of(kinds.text), columns = kinds.list_of(kinds.text), palette = kinds.palette,
    values = kinds.either(kinds.off, kinds.format), range = kinds.range,
    colorbar = kinds.either(kinds.boolean, kinds.text),
  },
  new = function(value, given)
    local layer = options("plot.heatmap", given, LAYERS.heatmap.options)
    layer.row_names, layer.column_names, layer.rows = layer.rows, layer.columns, nil
    layers.as_picture("plot.heatmap", value, layer, layer.palette or PALETTES.blues)
    check_names("rows", layer.row_names, #layer.rows)
    check_names("columns", layer.column_names, layer.columns)
    if layer.values == nil then layer.values = "%.3g" end
    layer.ticks = {x = layer.column_names, y = layer.row_names}
    layer.aspect = nil
    return layer
  end,
  span = LAYERS.image.span,
  curves = LAYERS.image.curves,
  text = table_of_numbers,
  draw = function(layer, script)
    local elements = LAYERS.image.draw(layer, script)
    local cell = (script.width - 120) / layer.columns
    local size = math.max(6, math.min(13, cell / 4, (script.height - 100) / #layer.rows / 1.6))
    local colors = {}
    for i = 2, #layer.stops, 2 do colors[#colors + 1] = layer.stops[i] end
    for i, row in ipairs(layer.values and not script.text and layer.rows or {}) do
      for j, v in ipairs(row) do
        if v == v then
          local share = (v - layer.low) / (layer.high - layer.low)
          script:label(layer.values:format(v), j, i, size, ink_on(colors, share), "center")
        end
      end
    end
    return elements
  end,
}

-- ---- grids of images ----

local GAP = 14 -- images are so many times wider than what is between them
local CAPTION = 0.3 -- of an image's height, for its words

-- n images of h x w from n x h x w, or n x p with a width (by default p is a square).
local function list_of_images(value, width)
  local images = input.plain("plot.images", "the images", value)
  local list, height = {}, nil
  for i, image in ipairs(images) do
    if type(image) ~= "table" then
      input.check.must_be("plot.images", ("image %d"):format(i), image, "rows of pixels")
    end
    if type(image[1]) ~= "table" then
      local n = #image
      local w = width or math.floor(math.sqrt(n) + 0.5)
      if n == 0 or n % w ~= 0 or not width and w * w ~= n then
        fail("plot.images: image %d has %d pixels, which is no %s (see width)", i, n,
          width and "multiple of " .. width or "square")
      end
      local rows = {}
      for r = 1, n // w do rows[r] = table.move(image, (r - 1) * w + 1, r * w, 1, {}) end
      image = rows
    end
    local rows, columns = input.matrix("plot.images", ("image %d"):format(i), image)
    height, width = height or #rows, width or columns
    if #rows ~= height or columns ~= width then
      fail("plot.images: image %d is %dx%d but image 1 is %dx%d", i, #rows, columns, height, width)
    end
    list[i] = rows
  end
  return list, height, width
end

local function scaled(rows)
  local low, high = layers.value_range(rows)
  local copy = {}
  for i, row in ipairs(rows) do
    copy[i] = {}
    for j, v in ipairs(row) do copy[i][j] = (v - low) / (high - low) end
  end
  return copy
end

-- One matrix of all images, with NaN between them; the place of each caption.
local function sheet(images, height, width, columns, caption)
  local count, gap = math.ceil(#images / columns), math.ceil(width / GAP)
  local tall, wide = height + caption + gap, width + gap
  local matrix, places = {}, {}
  for r = 1, count * tall - gap do
    matrix[r] = {}
    for c = 1, columns * wide - gap do matrix[r][c] = 0 / 0 end
  end
  for i, image in ipairs(images) do
    local top, left = (i - 1) // columns * tall + caption, (i - 1) % columns * wide
    for r, row in ipairs(image) do table.move(row, 1, width, left + 1, matrix[top + r]) end
    places[i] = {left + (width + 1) / 2, top - caption / 2 + 0.5}
  end
  return matrix, places, wide
end

LAYERS.images = {
  doc = [[
figure:images(X, {columns =, width =, labels =, colors =, palette = 'gray', range =, each = false, ...}) -> figure
Small images side by side: X is n x height x width, or n x pixels with a width (by default they are squares). labels:
a caption for each, and colors of the captions; each: every image has its own range of values; colorbar as for image.]],
  options = {
    columns = kinds.count, width = kinds.count, labels = kinds.list_of(kinds.text),
    colors = kinds.list_of(kinds.color), palette = kinds.palette, range = kinds.range, each = kinds.boolean,
    colorbar = kinds.either(kinds.boolean, kinds.text),
  },
  new = function(value, given)
    local layer = options("plot.images", given, LAYERS.images.options)
    local images, height, width = list_of_images(value, layer.width)
    local captions = layer.labels
    if captions and #captions ~= #images then
      fail("plot.images: %d images but %d labels", #images, #captions)
    end
    for i = 1, layer.each and #images or 0 do images[i] = scaled(images[i]) end
    local columns = math.min(#images, layer.columns or math.ceil(math.sqrt(#images * 1.6)))
    local caption = captions and math.max(2, math.ceil(height * CAPTION)) or 0
    local matrix, places, tile = sheet(images, height, width, columns, caption)
    layer.captions, layer.places, layer.caption, layer.labels = captions or {}, places, caption, nil
    layer.tile, layer.bare = tile, true
    return layers.as_picture("plot.images", matrix, layer, layer.palette or PALETTES.gray)
  end,
  span = LAYERS.image.span,
  curves = LAYERS.image.curves,
  text = LAYERS.image.text,
  draw = function(layer, script)
    local elements = LAYERS.image.draw(layer, script)
    local scale = math.min((script.width - 40) / layer.columns, (script.height - 60) / #layer.rows)
    local size = math.max(6, math.min(13, 0.8 * layer.caption * scale))
    for i, text in ipairs(layer.captions) do
      script:label(out.shortened(text, layer.tile * scale, size), layer.places[i][1], layer.places[i][2], size,
        layer.colors and layer.colors[i] or INK, "center")
    end
    return elements
  end,
}

-- ---- words ----

LAYERS.text = {
  doc = [[
figure:text(x, y, words, {color =, size = 12, align = 'left'}) -> figure
Words at a point; align: 'left', 'center' or 'right'.]],
  options = {
    color = kinds.color, size = kinds.size, align = kinds.one_of{left = true, center = true, right = true},
  },
  new = function(x, y, words, given)
    input.check.read("plot.text", "x", x, kinds.finite)
    input.check.read("plot.text", "y", y, kinds.finite)
    local layer = options("plot.text", given, LAYERS.text.options)
    layer.x, layer.y, layer.labels = x, y, {}
    layer.words = input.check.read("plot.text", "words", words, kinds.text)
    return layer
  end,
  span = function(layer, box) layers.reach(box, layer.x, layer.y) end,
  curves = function(layer) return {{{layer.x}, {layer.y}, true}} end,
  draw = function(layer, script, box)
    if layers.has_place(box, layer.x, layer.y) then
      script:label(layer.words, layer.x, layer.y, layer.size or 12, layer.color or INK, layer.align or "left")
    end
    return {}
  end,
}
