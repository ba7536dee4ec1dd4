-- The twins of recurrent cells over sequences (runtime/ops/recurrent.c).
local array = require "support.array"

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
local function tanh(x)
  local e = math.exp(-2 * math.abs(x))
  return (x < 0 and -1 or 1) * (1 - e) / (1 + e)
end

-- What the new state is: f(a(gate), b(gate), h, c) gives h and c, where a is the input's part and b the state's.
local cells = {}
function cells.rnn_sequence(nonlinearity)
  return 1, function(a, b)
    local sum = a(1) + b(1)
    if nonlinearity == "relu" then return math.max(sum, 0) end
    return tanh(sum)
  end
end
function cells.gru_sequence()
  return 3, function(a, b, h)
    local r, z = sigmoid(a(1) + b(1)), sigmoid(a(2) + b(2))
    local n = tanh(a(3) + r * b(3))
    return (1 - z) * n + z * h
  end
end
function cells.lstm_sequence()
  return 4, function(a, b, _, c)
    local function sum(gate) return a(gate) + b(gate) end
    local next = sigmoid(sum(2)) * c + sigmoid(sum(1)) * tanh(sum(3))
    return sigmoid(sum(4)) * tanh(next), next
  end
end

local function check(x, other, ...)
  if other == nil then return end
  if other.dtype ~= x.dtype or #other.shape ~= select("#", ...) then array.refuse() end
  for d, size in ipairs { ... } do
    if other.shape[d] ~= size then array.refuse() end
  end
end

local function lengths_of(p, steps, batch)
  local list = {}
  if p.lengths == nil then
    for i = 1, batch do list[i] = steps end
    return list
  end
  local values = array.is(p.lengths) and p.lengths.values or p.lengths
  if array.is(p.lengths) and (p.lengths.dtype ~= "int64" or #p.lengths.shape ~= 1) then array.refuse() end
  if #values ~= batch then array.refuse() end
  for i, length in ipairs(values) do
    if math.type(length) ~= "integer" or length < 1 or length > steps then array.refuse() end
    list[i] = length
  end
  return list
end

local function sequence(name)
  return function(p)
    local gates, cell = cells[name](p.nonlinearity)
    local x, weight = p.x, p.weight
    if not array.is_float(x.dtype) or #x.shape ~= 3 or #weight.shape ~= 2 then array.refuse() end
    local steps, batch, hidden = x.shape[1], x.shape[2], weight.shape[2]
    check(x, weight, gates * hidden, hidden)
    if x.shape[3] ~= gates * hidden then array.refuse() end
    check(x, p.bias, gates * hidden)
    check(x, p.h, batch, hidden)
    check(x, p.c, batch, hidden)
    local lengths, y = lengths_of(p, steps, batch), {}
    local last_h, last_c = {}, {}
    for n = 1, batch do
      local h, c = {}, {}
      for j = 1, hidden do
        local at = (n - 1) * hidden + j
        h[j], c[j] = p.h and p.h.values[at] or 0.0, p.c and p.c.values[at] or 0.0
      end
      for i = 1, lengths[n] do
        local t = p.reverse and lengths[n] + 1 - i or i
        local new_h, new_c = {}, {}
        for j = 1, hidden do
          local function a(gate)
            return x.values[((t - 1) * batch + n - 1) * gates * hidden + (gate - 1) * hidden + j]
          end
          local function b(gate)
            local row, sum = (gate - 1) * hidden + j, 0
            for k = 1, hidden do sum = sum + weight.values[(row - 1) * hidden + k] * h[k] end
            return sum + (p.bias and p.bias.values[row] or 0)
          end
          new_h[j], new_c[j] = cell(a, b, h[j], c[j])
          y[((t - 1) * batch + n - 1) * hidden + j] = new_h[j]
        end
        h, c = new_h, new_c
      end
      for j = 1, hidden do
        last_h[(n - 1) * hidden + j], last_c[(n - 1) * hidden + j] = h[j], c[j]
      end
    end
    local state = { batch, hidden }
    local results = { array.build(x.dtype, { steps, batch, hidden }, function(_, k) return y[k] or 0.0 end),
                      array.build(x.dtype, state, function(_, k) return last_h[k] end) }
    if name == "lstm_sequence" then results[3] = array.build(x.dtype, state, function(_, k) return last_c[k] end) end
    return table.unpack(results)
  end
end

-- Cases: more rows than a piece, more of the state than a block of a loop, wrong shapes and lengths.
local function cases(gates)
  return (([[{T(3, 14, G * 33), T(G * 33, 33) * 0.1, T(G * 33)}, {T(2, 2, G * 8), T(G * 8, 8) * 0.2, nil, T(2, 8)},
    {T(3, 2, G), T(G, 1), {lengths = ints{3, 2}}}, {T(3, 2, G), T(G, 1), {lengths = ints{3, 0}}},
    {T(3, 2, G), T(G, 1), {lengths = {4, 1}}}, {T(3, 2, G), T(G, 1), {lengths = {3}}},
    {T(3, 2, G), T(G, 1), T(G + 1)}, {T(3, 2, G), T(G + 1, 1)}, {T(3, 2, G + 1), T(G, 1)}, {T(2, G), T(G, 1)},
    {T(3, 2, G), T(G, 1), T(G), T(1, 1)}, {T(0, 2, G), T(G, 1)}, {T(2, 0, G), T(G, 1)}]]):gsub("G", gates))
end

return {
  rnn_sequence = { sequence "rnn_sequence", cases "1", close = "all" },
  gru_sequence = { sequence "gru_sequence", cases "3", close = "all" },
  lstm_sequence = { sequence "lstm_sequence", cases "4", close = "all" },
}
