-- Twins of rows that make images of another size (runtime/ops/interpolate.c, pad.c).
local array = require "support.array"

-- ---- interpolate ----

local LARGEST = 0x7FFFFFFF

-- The factor of a dimension behind N x C, if there is one.
local function factor_of(p, d)
  if type(p.scale_factor) ~= "table" then return p.scale_factor end
  return p.scale_factor[d] or p.scale_factor[1]
end

-- The sizes behind N x C.
local function sizes_of(p)
  local dims, sizes = #p.x.shape - 2, {}
  if (p.size == nil) == (p.scale_factor == nil) then array.refuse() end
  local list = type(p.size) == "number" and { p.size } or p.size
  if list and #list ~= 1 and #list ~= dims then array.refuse() end
  if type(p.scale_factor) == "table" and #p.scale_factor ~= 1 and #p.scale_factor ~= dims then array.refuse() end
  for d = 1, dims do
    local factor = factor_of(p, d)
    if factor and not (factor > 0 and factor <= LARGEST) then array.refuse() end
    sizes[d] = list and (list[d] or list[1]) or math.floor(p.x.shape[d + 2] * factor)
    if sizes[d] < 1 or sizes[d] > LARGEST then array.refuse() end
  end
  return sizes
end

-- What element i of a dimension is made of: {{place, weight}, ..}, all from 1.
local function taps_of(p, d, i, n, count)
  local factor = factor_of(p, d)
  i = i - 1
  if p.mode == nil or p.mode == "nearest" then
    local at = factor and math.floor(i / factor) or i * n // count
    return { { math.min(at, n - 1) + 1, 1 } }
  end
  local at
  if p.align_corners then
    at = count > 1 and i * (n - 1) / (count - 1) or 0.0
  else
    at = math.max(0, (i + 0.5) * (factor and 1 / factor or n / count) - 0.5)
  end
  local first = math.min(math.floor(at), n - 1)
  local share = first < n - 1 and at - first or 0
  return { { first + 1, 1 - share }, { math.min(first + 1, n - 1) + 1, share } }
end

local function interpolate(p)
  local x = p.x
  if not array.is_float(x.dtype) or (#x.shape ~= 3 and #x.shape ~= 4) then array.refuse() end
  local dims, mode = #x.shape - 2, p.mode or "nearest"
  for d = 3, #x.shape do
    if x.shape[d] == 0 then array.refuse() end
  end
  if mode ~= "nearest" and mode ~= (dims == 1 and "linear" or "bilinear") then array.refuse() end
  if mode == "nearest" and p.align_corners ~= nil then array.refuse() end
  local sizes = sizes_of(p)
  return array.build(x.dtype, { x.shape[1], x.shape[2], table.unpack(sizes) }, function(position)
    local at, value = { table.unpack(position) }, nil
    local rows = dims == 2 and taps_of(p, 1, position[3], x.shape[3], sizes[1]) or { { 1, 1 } }
    for _, row in ipairs(rows) do
      local across
      for _, column in ipairs(taps_of(p, dims, position[#position], x.shape[#x.shape], sizes[dims])) do
        if dims == 2 then at[3] = row[1] end
        at[#at] = column[1]
        local term = array.at(x, at)
        if mode ~= "nearest" then term = term * column[2] end
        across = across and across + term or term
      end
      if mode == "bilinear" then across = across * row[2] end
      value = value and value + across or across
    end
    return value
  end)
end

-- ---- pad ----

local function place(mode, at, n)
  if at >= 1 and at <= n then return at end
  if mode == "reflect" then return at < 1 and 2 - at or 2 * n - at end
  if mode == "replicate" then return at < 1 and 1 or n end
  if mode == "circular" then return at < 1 and at + n or at - n end
end

local function pad(p)
  local x, sizes, mode = p.x, p.sizes, p.mode or "constant"
  if #sizes % 2 ~= 0 or #sizes // 2 > #x.shape or #sizes > 8 then array.refuse() end
  if p.value ~= nil and (mode ~= "constant" or not array.fits(x.dtype, p.value)) then array.refuse() end
  local shape, before = {}, {}
  for d, n in ipairs(x.shape) do
    local k = 2 * (#x.shape - d) + 1
    for _, side in ipairs { sizes[k] or 0, sizes[k + 1] or 0 } do
      local most = mode == "reflect" and math.max(0, n - 1) or mode == "circular" and n
        or mode == "replicate" and n == 0 and 0 or math.maxinteger
      if side < -n or side > most or math.ult(math.maxinteger, n + side) then array.refuse() end
    end
    before[d] = sizes[k] or 0
    shape[d] = n + before[d] + (sizes[k + 1] or 0)
    if shape[d] < 0 then array.refuse() end
  end
  return array.build(x.dtype, shape, function(position)
    local at = {}
    for d, n in ipairs(x.shape) do
      at[d] = place(mode, position[d] - before[d], n)
      if at[d] == nil then return p.value or (x.dtype == "bool" and false) or 0 end
    end
    return array.at(x, at)
  end)
end

-- ---- cases ----

local resized = [[ {T(2, 3, 4, 5), 8}, {T(2, 3, 4, 5), {1, 1}}, {T(1, 2, 9, 7), {4, 13}}, {T(1, 1, 1, 1), {3, 4}},
  {T(3, 2, 11), 29}, {T(3, 2, 11), {4}}, {T(1, 1, 6), {scale_factor = 0.3}}, {T(0, 2, 3, 3), 5}, {T(2, 0, 3), 5},
  {T(1, 1, 5, 3), {scale_factor = 3}}, {T(1, 2, 5, 6), {scale_factor = {2, 0.4}}},
  {T(1, 2, 6), {scale_factor = {1.5}}}, {T(1, 2, 40, 70), {33, 90}}, {S():view(1, 3, -1), 17},
  {T(2, 1, 6, 5), {3, 9}, {mode = 'bilinear'}}, {T(1, 1, 1, 4), {3, 9}, {mode = 'bilinear'}},
  {T(1, 3, 4, 1), {2, 3}, {mode = 'bilinear', align_corners = true}}, {T(1, 1, 3, 4), 1, {mode = 'bilinear'}},
  {T(1, 1, 3, 4), 1, {mode = 'bilinear', align_corners = true}}, {T(2, 1, 33, 50), {70, 41}, {mode = 'bilinear'}},
  {T(1, 1, 7, 9), {scale_factor = 0.4, mode = 'bilinear', align_corners = true}},
  {T(1, 1, 7, 9), {scale_factor = 2.6, mode = 'bilinear'}}, {T(2, 2, 30), {7}, {mode = 'linear'}},
  {T(2, 2, 7), 30, {mode = 'linear', align_corners = true}}, {T(2, 2, 7), {scale_factor = 1.3, mode = 'linear'}},
  {T(1, 1, 1), 4, {mode = 'linear'}}, {T(1, 2, 2):fill_(1 / 0), 5, {mode = 'linear'}}, ]]
local not_resized = [[ {T(2, 3, 4, 5)}, {T(2, 3, 4, 5), 3, {scale_factor = 2}}, {T(2, 3, 4, 5), {1, 2, 3}},
  {T(2, 3, 4), {1, 2}}, {T(2, 3, 4, 5), 0}, {T(2, 3, 4, 5), {3, -1}}, {T(2, 3, 4, 5), 3000000000},
  {T(2, 3, 4, 5), math.mininteger}, {T(3, 4), 2}, {T(1, 2, 3, 4, 5), 2}, {T(2, 3, 0, 5), 2}, {T(2, 3, 0), 2},
  {T(2, 3, 4, 5), 2, {mode = 'linear'}}, {T(2, 3, 4), 2, {mode = 'bilinear'}},
  {T(2, 3, 4, 5), 2, {align_corners = false}}, {T(2, 3, 4, 5), {scale_factor = 0}},
  {T(2, 3, 4, 5), {scale_factor = -1}}, {T(2, 3, 4, 5), {scale_factor = 0 / 0}},
  {T(2, 3, 4, 5), {scale_factor = 1 / 0}}, {T(2, 3, 4, 5), {scale_factor = 1e-3}},
  {T(2, 3, 4, 5), {scale_factor = 1e12}}, {T(2, 3, 4, 5), {scale_factor = {1, 2, 3}}},
  {T(2, 3, 4, 5), {scale_factor = {}}}, {T(2, 3, 4), {scale_factor = {1, 2}}},
  {T(2, 3, 4, 5), {scale_factor = {2, -1}}} ]]
local padded = [[ {T(5), {2, 3}}, {T(3, 4), {0, 0}}, {T(2, 3), {0, 0, 0, 0}, 'reflect'}, {T(3, 4), {}},
  {T(2, 3, 4), {0, 0, 1, 2}, 'circular'}, {T(2, 3, 4, 5), {1, 0, 0, 0, 2, 1, 0, 3}},
  {T(2, 3, 4, 5), {1, 2, 0, 0, 1, 1, 1, 0}, 'reflect'}, {T(2, 2, 3, 3, 2), {0, 0, 2, 3, 1, 0, 1, 2}, 'replicate'},
  {T(3, 3), {3, 3, 3, 3}, 'circular'}, {T(4, 4), {3, 3, 3, 3}, 'reflect'}, {T(4, 5), {-2, -3}}, {T(4, 5), {-5, 2}},
  {T(4, 5), {-2, 3, -4, 1}, 'reflect'}, {T(4, 5), {-2, 3, -1, 1}, 'circular'}, {T(4, 5), {-2, 3, 5, -1}, 'replicate'},
  {T(0, 3), {1, 2, 3, 0}}, {T(0, 3), {1, 2}, 'reflect'}, {T(0, 3), {1, 2, 0, 0}, 'replicate'},
  {T(1, 3), {0, 0, 4, 4}, 'replicate'},
  {S():view(3, -1), {2, 1, 1, 0}}, {S():view(3, -1), {2, 1, 1, 0}, 'replicate'},
  {T(2, 40, 60), {3, 7, 9, 2}, 'reflect'},
  {T(2, 40, 60), {3, 7, 9, 2}}, {T(3, 4), 1, 2}, {T(3, 4), {1, 1}, {value = 1}}, {T(3, 4), {-1, -3}}, ]]
local not_padded = [[ {T(3, 4), {1}}, {T(3, 4), {1, 2, 3}}, {T(3, 4), {1, 1, 1, 1, 1, 1}}, {T(3, 4), {-5, 5}},
  {T(3, 4), {-3, -2}}, {T(3, 4), {4, 0}, 'reflect'}, {T(3, 4), {0, 5}, 'circular'}, {T(3, 4), {-5, 0}, 'replicate'},
  {T(0, 3), {0, 0, 1, 0}, 'replicate'}, {T(0, 3), {0, 0, 1, 0}, 'reflect'}, {T(0, 3), {0, 0, 0, 1}, 'circular'},
  {T(3, 4), {math.maxinteger, 0}}, {T(3, 4), {math.mininteger, math.maxinteger}}, {T(3, 4), {1, math.maxinteger - 4}},
  {T(3, 4), {1, 1}, 'reflect', 1}, {T(3, 4), {1, 1}, {value = 1e300}}, {T(3, 4), {1, 1}, {value = 0.5}},
  {T(3, 4), {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} ]]

return {
  interpolate = { interpolate, resized .. not_resized, close = "all" },
  pad = { pad, padded .. not_padded, moves = true },
}
