-- Twins of random changes of images (runtime/ops/augment.c).
local array = require "support.array"
local random = require "support.twins.random"

-- The images of x, and their rows and columns.
local function sizes_of(x)
  local d = #x.shape
  if d < 3 then array.refuse() end
  return x.shape[1], x.shape[d - 1], x.shape[d]
end

local function check_value(p)
  if p.value and not array.fits(p.x.dtype, p.value) then array.refuse() end
  return p.value or 0
end

local function pair(size) return type(size) == "table" and size or { size, size } end

-- An array like x, with other sizes of images: pixel(image, row, column, read), read(row, column) of x from 1, or the
-- value.
local function build(p, rows, columns, pixel)
  local x, shape, value = p.x, { table.unpack(p.x.shape) }, check_value(p)
  local d = #shape
  local in_rows, in_columns = shape[d - 1], shape[d]
  shape[d - 1], shape[d] = rows, columns
  return array.build(x.dtype, shape, function(position)
    local at = { table.unpack(position) }
    return pixel(at[1], at[d - 1], at[d], function(row, column)
      if row < 1 or row > in_rows or column < 1 or column > in_columns then return value end
      at[d - 1], at[d] = row, column
      return array.at(x, at)
    end)
  end)
end

local function is_empty(x, rows, columns)
  return rows == 0 or columns == 0 or array.numel({ table.unpack(x.shape, 1, #x.shape - 2) }) == 0
end

-- n draws of whole numbers from low to high.
local function draws(stream, n, low, high)
  local offset = random.below(stream, n)
  return function(i) return low + offset(i, high - low + 1) end
end

local function shift(p, stream)
  local n, rows, columns = sizes_of(p.x)
  local most = pair(p.shift)
  if most[1] < 0 or most[2] < 0 or most[1] >= 1 << 31 or most[2] >= 1 << 31 then array.refuse() end
  if is_empty(p.x, rows, columns) then return build(p, rows, columns, function() end) end
  local down = draws(stream, n, -most[1], most[1])
  local right = draws(stream, n, -most[2], most[2])
  return build(p, rows, columns, function(i, row, column, read) return read(row - down(i), column - right(i)) end)
end

local function crop(p, stream)
  local n, rows, columns = sizes_of(p.x)
  local size, padding = pair(p.size), p.padding or 0
  if padding < 0 or padding >= 1 << 31 then array.refuse() end
  local most = { rows + 2 * padding, columns + 2 * padding }
  for d = 1, 2 do
    if size[d] < 1 or size[d] > most[d] then array.refuse() end
  end
  if is_empty(p.x, size[1], size[2]) then return build(p, size[1], size[2], function() end) end
  local row_of = draws(stream, n, 0, most[1] - size[1])
  local column_of = draws(stream, n, 0, most[2] - size[2])
  return build(p, size[1], size[2], function(i, row, column, read)
    return read(row + row_of(i) - padding, column + column_of(i) - padding)
  end)
end

local function flip(p, stream)
  local n, rows, columns = sizes_of(p.x)
  local chance, d, dim = p.p or 0.5, #p.x.shape, p.dim or -1
  if not (chance >= 0 and chance <= 1) then array.refuse() end
  if dim < 0 then dim = dim + d + 1 end
  if dim ~= d and dim ~= d - 1 then array.refuse() end
  if is_empty(p.x, rows, columns) then return build(p, rows, columns, function() end) end
  local u = random.uniform(stream, "float64", n)
  return build(p, rows, columns, function(i, row, column, read)
    local mirrored = u(i) < chance
    return read(mirrored and dim == d - 1 and rows + 1 - row or row, mirrored and dim == d and columns + 1 - column
      or column)
  end)
end

local function rotate(p, stream)
  local n, rows, columns = sizes_of(p.x)
  if not array.is_float(p.x.dtype) or not (p.degrees >= 0 and p.degrees <= 360) then array.refuse() end
  check_value(p)
  if is_empty(p.x, rows, columns) then return build(p, rows, columns, function() end) end
  local u = random.uniform(stream, "float64", n)
  local middle_row, middle_column = (rows + 1) / 2, (columns + 1) / 2
  return build(p, rows, columns, function(i, row, column, read)
    local angle = math.rad(-p.degrees + 2 * p.degrees * u(i))
    local up, right = middle_row - row, column - middle_column
    -- the pixel came from where turning back by the angle leads
    local from_up = math.cos(angle) * up - math.sin(angle) * right
    local from_right = math.cos(angle) * right + math.sin(angle) * up
    local r, c = middle_row - from_up, middle_column + from_right
    if p.mode == "nearest" then return read(math.floor(r + 0.5), math.floor(c + 0.5)) end
    local r0, c0 = math.floor(r), math.floor(c)
    local function share(dr, dc) return (1 - math.abs(r - r0 - dr)) * (1 - math.abs(c - c0 - dc)) end
    local sum = 0
    for dr = 0, 1 do
      for dc = 0, 1 do sum = sum + share(dr, dc) * read(r0 + dr, c0 + dc) end
    end
    return sum
  end)
end

return {
  random_shift = { shift, [[ {T(2, 3, 0), 1}, {T(0, 2, 3), 1}, {T(3, 2), 1}, {T(2, 3, 3), -1},
    {T(4, 2, 3, 4, 5), {0, 9}}, {T(3, 4, 5), 0}, {T(300, 2, 2), 1}, {B(3, 2, 2), 1, {value = 1}}, {B(3, 2, 2), 1, {value = 2}},
    {I(9, 2, 3, 3), 1, {value = 7}}, {T(1, 1, 1), 3} ]], moves = true },
  random_crop = { crop, [[ {T(2, 3, 0), 1}, {T(2, 3, 0), 1, {padding = 1, value = 2}}, {T(0, 2, 3), 1}, {T(3, 2), 1},
    {T(2, 3, 3), 4}, {T(2, 3, 3), 0}, {T(2, 3, 3), {3, 4}, {padding = 1}}, {T(2, 3, 3), 2, {padding = -1}},
    {T(40, 1, 6, 5), {3, 2}}, {T(5, 3, 4), {3, 4}} ]], moves = true },
  random_flip = { flip, [[ {T(2, 3, 0)}, {T(0, 2, 3)}, {T(3, 2)}, {T(3, 3, 3), {p = 2}}, {T(3, 3, 3), {p = -0.1}},
    {T(3, 3, 3), {dim = 1}}, {T(3, 2, 3, 4), {dim = -2}}, {T(60, 2, 2), {p = 0.2}}, {T(4, 3, 3), {p = 1, dim = 2}}, {T(3, 2, 5), {p = 0}} ]],
    moves = true },
  random_rotate = { rotate, [[ {T(2, 3, 0), 9}, {T(0, 2, 3), 9}, {T(3, 2), 9}, {T(3, 3, 3), -1}, {T(3, 3, 3), 361},
    {I(4, 2, 3, 3), 9}, {T(3, 3, 3), 0}, {T(5, 1, 7, 4), 20, {value = 2}}, {T(2, 2, 6, 6), 360, {mode = 'bilinear'}},
    {T(2, 1, 4), 45}, {T(3, 5, 5), 25, {mode = 'nearest', value = 3}} ]], close = "all" },
}
