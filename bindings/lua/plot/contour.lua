-- Marching squares: a cell of four neighbouring values is crossed by the level between neighbours on
-- different sides of it, at the place given by linear interpolation. Corners are numbered against the
-- clock from the lower left, bits 1 2 4 8; sides are 1 bottom, 2 right, 3 top, 4 left. In the two
-- saddles (5, 10) the mean of the corners decides which of them belong together.

local SEGMENTS = {
  {4, 1}, {1, 2}, {4, 2}, {2, 3}, {4, 3, 1, 2}, {1, 3}, {4, 3},
  {3, 4}, {3, 1}, {4, 1, 2, 3}, {3, 2}, {2, 4}, {2, 1}, {1, 4},
}
local SADDLES = {[5] = {4, 1, 2, 3}, [10] = {4, 3, 1, 2}}

-- Joins pairs of crossings to lines as long as they get. Crossing e is at xs[e], ys[e] and has at
-- most two neighbours, a[e] and b[e].
local function joined(order, a, b, xs, ys)
  local seen, lines = {}, {}
  local function follow(first)
    local line_x, line_y, last, e = {}, {}, nil, first
    while e and not seen[e] do
      seen[e], last = true, e
      line_x[#line_x + 1], line_y[#line_y + 1] = xs[e], ys[e]
      local next_a, next_b = a[e], b[e]
      e = (next_a and not seen[next_a] and next_a) or (next_b and not seen[next_b] and next_b)
    end
    if #line_x > 2 and (a[last] == first or b[last] == first) then
      line_x[#line_x + 1], line_y[#line_y + 1] = xs[first], ys[first]
    end
    lines[#lines + 1] = {line_x, line_y}
  end
  for _, e in ipairs(order) do if not b[e] and not seen[e] then follow(e) end end
  for _, e in ipairs(order) do if not seen[e] then follow(e) end end
  return lines
end

-- The lines {xs, ys} where z, given at the middles of equal cells of the extent, equals the level.
local function contour_lines(z, level, e)
  local rows, columns = #z, #z[1]
  local dx, dy = (e[2] - e[1]) / columns, (e[4] - e[3]) / rows
  local order, a, b, xs, ys = {}, {}, {}, {}, {}

  -- The crossing on a side, made when its first cell asks for it. Bottom and left sides of cell
  -- (i, j) have the numbers 2k and 2k + 1, its top and right are those of its neighbours.
  local function crossing(i, j, side)
    local vertical = side == 2 or side == 4
    if side == 2 then j = j + 1 elseif side == 3 then i = i + 1 end
    local id = 2 * (i * (columns + 1) + j) + (vertical and 1 or 0)
    if not xs[id] then
      local from, to = z[i][j], vertical and z[i + 1][j] or z[i][j + 1]
      local t = (level / 2 - from / 2) / (to / 2 - from / 2) -- the difference of the largest numbers is none
      xs[id] = e[1] + (j - 0.5 + (vertical and 0 or t)) * dx
      ys[id] = e[3] + (i - 0.5 + (vertical and t or 0)) * dy
      order[#order + 1] = id
    end
    return id
  end

  local function link(from, to)
    if a[from] then b[from] = to else a[from] = to end
    if a[to] then b[to] = from else a[to] = from end
  end

  for i = 1, rows - 1 do
    local low, high = z[i], z[i + 1]
    for j = 1, columns - 1 do
      local v1, v2, v3, v4 = low[j], low[j + 1], high[j + 1], high[j]
      local case = (v1 >= level and 1 or 0) + (v2 >= level and 2 or 0)
        + (v3 >= level and 4 or 0) + (v4 >= level and 8 or 0)
      local mean = v1 / 4 + v2 / 4 + v3 / 4 + v4 / 4
      if case ~= 0 and case ~= 15 and mean - mean == 0 then
        local sides = SADDLES[case] and mean < level and SADDLES[case] or SEGMENTS[case]
        for s = 1, #sides, 2 do link(crossing(i, j, sides[s]), crossing(i, j, sides[s + 1])) end
      end
    end
  end
  return joined(order, a, b, xs, ys)
end

return contour_lines
