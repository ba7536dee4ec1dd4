-- A line search: a step that satisfies the strong Wolfe conditions (J. Nocedal, S. Wright, "Numerical optimization",
-- algorithms 3.5 and 3.6, with cubic interpolation). A point is {t = length of the step, f = value, g = gradient,
-- slope = along the direction}.
local DECREASE, CURVATURE, MOST = 1e-4, 0.9, 25

-- The minimum of the cubic through two points with their slopes, between bounds; the middle where there is none.
local function interpolate(a, b, low, high)
  if a.t > b.t then a, b = b, a end
  low, high = low or a.t, high or b.t
  local slope = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
  local square = slope * slope - a.slope * b.slope
  if not (square >= 0 and square < math.huge) then return (low + high) / 2 end
  local root = math.sqrt(square)
  local t = b.t - (b.t - a.t) * ((b.slope + root - slope) / (b.slope - a.slope + 2 * root))
  if t ~= t then return (low + high) / 2 end
  return math.min(math.max(t, low), high)
end

-- A trial that has come too close to an end of the bracket twice, or beyond it, moves a tenth away from it.
local function keep_off(t, low, high, stuck)
  local margin = 0.1 * (high - low)
  if math.min(high - t, t - low) >= margin then return t, false end
  if not (stuck or t >= high or t <= low) then return t, true end
  return high - t < t - low and high - margin or low + margin, false
end

-- try(t) gives the point at t; start is that at 0, `first` the first length, `size` the largest entry of the direction.
-- Gives the point found, and how many were tried.
return function(try, start, first, size, tolerance)
  local tried = 0
  local function at(t)
    local point = try(t)
    tried = tried + 1
    if point.f ~= point.f then point.f = math.huge end -- no number is as bad as any
    return point
  end
  local function too_high(point) return point.f > start.f + DECREASE * point.t * start.slope end
  local function is_flat(point) return math.abs(point.slope) <= -CURVATURE * start.slope end

  -- Longer steps until one has gone too far.
  local last, point, bracket = start, at(first), nil
  while tried <= MOST and not bracket do
    if too_high(point) or tried > 2 and point.f >= last.f then
      bracket = { last, point }
    elseif is_flat(point) then
      return point, tried
    elseif point.slope >= 0 then
      bracket = { last, point }
    else
      local t = interpolate(last, point, point.t + 0.01 * (point.t - last.t), point.t * 10)
      last, point = point, at(t)
    end
  end
  bracket = bracket or { start, point }

  -- Between the two ends of the bracket.
  local low, stuck = bracket[1].f <= bracket[2].f and 1 or 2, false
  while tried <= MOST do
    local a, b = bracket[1], bracket[2]
    if math.abs(b.t - a.t) * size < tolerance then break end
    local t
    t, stuck = keep_off(interpolate(a, b), math.min(a.t, b.t), math.max(a.t, b.t), stuck)
    point = at(t)
    if too_high(point) or point.f >= bracket[low].f then
      bracket[3 - low] = point
      low = bracket[1].f <= bracket[2].f and 1 or 2
    else
      local other = bracket[3 - low]
      local flat = is_flat(point)
      if not flat and point.slope * (other.t - bracket[low].t) >= 0 then bracket[3 - low] = bracket[low] end
      bracket[low] = point
      if flat then break end
    end
  end
  return bracket[low], tried
end
