-- Twins of the convolutions (runtime/ops/convolution.c): sums over the places where the kernel meets the image.
local array = require "support.array"

local activations = {
  none = function(x) return x end,
  relu = function(x) return math.max(x, 0) end,
  sigmoid = function(x) return 1 / (1 + math.exp(-x)) end,
  tanh = function(x) return 1 - 2 / (1 + math.exp(2 * x)) end,
}

-- An option as a list with a number for each dimension of space.
local function numbers(value, dims, otherwise, low)
  if value == nil then value = otherwise end
  if type(value) == "number" then value = { value } end
  if #value ~= 1 and #value ~= dims then array.refuse() end
  local list = {}
  for d = 1, dims do
    list[d] = value[d] or value[1]
    if list[d] < low then array.refuse() end
  end
  return list
end

-- What both kinds need: the sizes of x with a batch, options, groups.
local function open(p, dims, transposed)
  local x, weight, bias = p.x, p.weight, p.bias
  if not array.is_float(x.dtype) or weight.dtype ~= x.dtype or bias and bias.dtype ~= x.dtype then array.refuse() end
  if #x.shape ~= dims + 1 and #x.shape ~= dims + 2 or #weight.shape ~= dims + 2 then array.refuse() end
  local v = { groups = p.groups or 1 }
  v.stride, v.dilation = numbers(p.stride, dims, 1, 1), numbers(p.dilation, dims, 1, 1)
  v.batch = #x.shape == dims + 2
  v.shape = { table.unpack(x.shape) }
  if not v.batch then table.insert(v.shape, 1, 1) end
  v.x = { shape = v.shape, dtype = x.dtype, values = x.values }
  for d = 2, dims + 2 do
    if v.shape[d] < 1 then array.refuse() end
  end
  if array.numel(weight.shape) == 0 or v.groups < 1 then array.refuse() end
  if v.shape[2] % v.groups ~= 0 or weight.shape[1] % v.groups ~= 0 then array.refuse() end
  if transposed and weight.shape[1] ~= v.shape[2] then array.refuse() end
  if not transposed and weight.shape[2] * v.groups ~= v.shape[2] then array.refuse() end
  v.channels = transposed and weight.shape[2] * v.groups or weight.shape[1]
  if bias and (#bias.shape ~= 1 or bias.shape[1] ~= v.channels) then array.refuse() end
  return v
end

-- The result without the batch that x has not.
local function close(v, y)
  if not v.batch then table.remove(y.shape, 1) end
  return y
end

-- Calls f with each position in the kernel.
local function each_tap(kernel, f)
  local position, total = {}, 1
  for d = 1, #kernel do total = total * kernel[d] end
  for t = 0, total - 1 do
    for d = #kernel, 1, -1 do
      position[d] = t % kernel[d] + 1
      t = t // kernel[d]
    end
    f(position)
  end
end

local function inside(shape, place, dims)
  for d = 1, dims do
    if place[d + 2] < 1 or place[d + 2] > shape[d + 2] then return false end
  end
  return true
end

local function convolution(dims)
  return function(p)
    local v = open(p, dims, false)
    local kernel = { table.unpack(p.weight.shape, 3) }
    local padding, shape = {}, { v.shape[1], v.channels }
    if type(p.padding) == "string" then
      if p.padding ~= "same" and p.padding ~= "valid" then array.refuse() end
      for d = 1, dims do padding[d] = p.padding == "same" and (kernel[d] - 1) * v.dilation[d] // 2 or 0 end
    else
      padding = numbers(p.padding, dims, 0, 0)
    end
    for d = 1, dims do
      local covered, size = (kernel[d] - 1) * v.dilation[d] + 1, v.shape[d + 2]
      if p.padding == "same" then
        if v.stride[d] ~= 1 then array.refuse() end
        shape[d + 2] = size
      else
        if covered > size + 2 * padding[d] then array.refuse() end
        shape[d + 2] = (size + 2 * padding[d] - covered) // v.stride[d] + 1
      end
    end
    local channels, outs = v.shape[2] // v.groups, v.channels // v.groups
    local activation = activations[p.activation or "none"]
    return close(v, array.build(v.x.dtype, shape, function(at)
      local total = p.bias and p.bias.values[at[2]] or 0
      local place, factor = { at[1] }, { at[2] }
      for c = 1, channels do
        place[2], factor[2] = (at[2] - 1) // outs * channels + c, c
        each_tap(kernel, function(tap)
          for d = 1, dims do
            place[d + 2] = (at[d + 2] - 1) * v.stride[d] + (tap[d] - 1) * v.dilation[d] - padding[d] + 1
            factor[d + 2] = tap[d]
          end
          if inside(v.shape, place, dims) then
            total = total + array.at(v.x, place) * array.at(p.weight, factor)
          end
        end)
      end
      return activation(total)
    end))
  end
end

-- Each element of x adds itself times the kernel to the result.
local function conv_transpose2d(p)
  local v = open(p, 2, true)
  local padding, extra = numbers(p.padding, 2, 0, 0), numbers(p.output_padding, 2, 0, 0)
  local kernel, shape = { table.unpack(p.weight.shape, 3) }, { v.shape[1], v.channels }
  for d = 1, 2 do
    if extra[d] >= math.max(v.stride[d], v.dilation[d]) then array.refuse() end
    shape[d + 2] = (v.shape[d + 2] - 1) * v.stride[d] - 2 * padding[d] + (kernel[d] - 1) * v.dilation[d] + 1 + extra[d]
    if shape[d + 2] < 1 then array.refuse() end
  end
  local sums = {}
  local channels, outs = v.shape[2] // v.groups, v.channels // v.groups
  local y = array.full("float64", shape, 0)
  array.build("float64", v.shape, function(at, k)
    local value = v.x.values[k]
    for m = 1, outs do
      local place, factor = { at[1], (at[2] - 1) // channels * outs + m }, { at[2], m }
      each_tap(kernel, function(tap)
        for d = 1, 2 do
          place[d + 2] = (at[d + 2] - 1) * v.stride[d] + (tap[d] - 1) * v.dilation[d] - padding[d] + 1
          factor[d + 2] = tap[d]
        end
        if inside(shape, place, 2) then
          local to = array.offset(y, place)
          sums[to] = (sums[to] or 0) + value * array.at(p.weight, factor)
        end
      end)
    end
    return 0
  end)
  return close(v, array.build(v.x.dtype, shape, function(at, k)
    return (sums[k] or 0) + (p.bias and p.bias.values[at[2]] or 0)
  end))
end

return {
  conv1d = { convolution(1), [[ {T(1, 1, 1), T(1, 1, 1), T(1)}, {T(0, 2, 5), T(3, 2, 3)}, {T(2, 3, 4), T(4, 3, 5)},
    {T(2, 3, 4), T(4, 3, 5), {padding = 1}}, {T(2, 3, 9), T(4, 2, 3)}, {T(2, 4, 9), T(6, 2, 3), T(6), {groups = 2}},
    {T(2, 4, 9), T(6, 2, 3), {groups = 3}}, {T(2, 4, 9), T(6, 4, 3), {groups = 0}}, {T(4, 9), T(6, 4, 3), T(5)},
    {T(1, 2, 300), T(3, 2, 7), T(3), {stride = 3, padding = 3, dilation = 5}}, {T(9), T(1, 1, 3)},
    {T(1, 2, 0), T(1, 2, 1), {padding = 3}}, {T(1, 2, 9), T(1, 2, 3), {stride = 0}},
    {T(1, 2, 9), T(1, 2, 3), {stride = {1, 1}}}, {T(1, 2, 9), T(1, 2, 3), {dilation = -1}},
    {T(1, 2, 9), T(1, 2, 3), {padding = -1}}, {T(1, 2, 9), T(1, 2, 4), {padding = 'same', dilation = 3}},
    {T(1, 2, 9), T(1, 2, 4), {padding = 'same', stride = 2}}, {T(1, 2, 9), T(1, 2, 4), {padding = 'valid'}} ]],
    close = "all" },
  conv2d = { convolution(2), [[ {T(1, 1, 1, 1), T(1, 1, 1, 1), T(1)}, {T(0, 2, 5, 5), T(3, 2, 3, 3)},
    {T(2, 2, 3, 5), T(3, 2, 4, 2)}, {T(2, 2, 3, 5), T(3, 2, 4, 2), {padding = {1, 0}}}, {T(2, 2, 5), T(3, 1, 2, 2)},
    {T(3, 4, 6, 7), T(4, 1, 3, 3), T(4), {groups = 4, padding = 1}}, {T(2, 3, 8, 9), T(17, 3, 3, 3), T(17)},
    {T(1, 2, 20, 21), T(3, 2, 5, 4), T(3), {stride = {2, 3}, padding = 'valid', activation = 'relu'}},
    {T(1, 2, 9, 8), T(3, 2, 4, 3), {padding = 'same', dilation = {1, 2}}}, {T(2, 2), T(1, 1, 1, 1)},
    {T(1, 2, 9, 8), T(3, 2, 4, 3), {padding = 'same', stride = {1, 2}}}, {T(2, 2, 3, 3), T(3, 2, 3)},
    {T(2, 2, 3, 3), T(3, 2, 2, 2):to('float64')}, {T(2, 2, 3, 3), T(3, 2, 2, 2), T(3, 1)},
    {T(2, 2, 3, 3), T(0, 2, 2, 2)}, {T(2, 2, 3, 3), T(2, 2, 2, 2), {dilation = 3}},
    {T(2, 2, 3, 3), T(2, 2, 2, 2), {stride = 1 << 31}}, {T(2, 2, 3, 3), T(2, 2, 2, 2), {stride = {1, 2, 3}}},
    {T(40, 2, 1, 1), T(3, 2, 3, 3), {padding = 1}}, {T(2, 40, 2, 2), T(2, 40, 3, 3), {padding = 2, stride = 2}} ]],
    close = "all" },
  conv_transpose2d = { conv_transpose2d, [[ {T(1, 1, 1, 1), T(1, 1, 1, 1), T(1)}, {T(0, 2, 5, 5), T(2, 3, 3, 3)},
    {T(2, 2, 4, 5), T(2, 3, 2, 3), T(3), {stride = 3}}, {T(2, 2, 4, 5), T(2, 3, 2, 3), T(2)},
    {T(4, 3, 3), T(4, 3, 2, 3), T(6), {groups = 2, stride = 2, output_padding = 1}},
    {T(2, 2, 1, 1), T(2, 1, 2, 2), {padding = 1}}, {T(2, 2, 2, 2), T(2, 1, 2, 2), {output_padding = 1}},
    {T(2, 2, 2, 2), T(2, 1, 2, 2), {output_padding = 1, dilation = 2}},
    {T(2, 3, 6, 7), T(3, 9, 4, 3), T(9), {stride = {1, 2}, padding = {2, 1}, dilation = {2, 3}}},
    {T(2, 3, 3, 3), T(2, 2, 2, 2)}, {T(2, 2, 3, 3), T(2, 2, 2, 2), {groups = 3}},
    {T(2, 2, 3, 3), T(2, 2, 2, 2), {stride = -1}},
    {T(1, 2, 3, 3), T(2, 1, 2, 2), {stride = 4, padding = 1}} ]], close = "all" },
}
