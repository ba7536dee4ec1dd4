-- Twins of the random rows (runtime/ops/create.c): Philox4x32-10, written out in Lua's 64-bit integers.
-- J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
local array = require "support.array"

local random = {}

local WORD = 0xFFFFFFFF

-- The four 32-bit words of a block of the stream of a seed. The upper half of the counter is 0 but where an element
-- asks for other bits (`attempt` and `place` from 1).
function random.block(seed, number, attempt, place)
  local c0, c1, c2, c3 = number & WORD, number >> 32, attempt or 0, place or 0
  local k0, k1 = seed & WORD, seed >> 32
  for _ = 1, 10 do
    local p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
    c0, c1, c2, c3 = p1 >> 32 ~ c1 ~ k0, p1 & WORD, p0 >> 32 ~ c3 ~ k1, p0 & WORD
    k0, k1 = k0 + 0x9E3779B9 & WORD, k1 + 0xBB67AE85 & WORD
  end
  return { c0, c1, c2, c3 }
end

-- A stream: draws take whole blocks, so that element i of a draw depends on the seed and its place alone.
function random.stream(seed) return { seed = seed, next = 0 } end

-- The words of n elements that have `per_block` of them in a block.
local function draw(stream, n, per_block)
  local first = stream.next
  stream.next = first + (n + per_block - 1) // per_block
  return function(i)
    local number = first + (i - 1) // per_block
    return random.block(stream.seed, number), (i - 1) % per_block + 1, number
  end
end

-- 64 bits of two words of a block.
local function bits_of(words, half) return words[2 * half - 1] | words[2 * half] << 32 end

-- n numbers in [0, 1): 24 bits of a word each for float32, 53 bits of two words for float64.
function random.uniform(stream, dtype, n)
  if dtype == "float32" then
    local at = draw(stream, n, 4)
    return function(i)
      local words, k = at(i)
      return (words[k] >> 8) * 0x1p-24
    end
  end
  local at = draw(stream, n, 2)
  return function(i) return (bits_of(at(i)) >> 11) * 0x1p-53 end
end

-- G. Box, M. Muller, 1958: of two uniform numbers one makes the radius, the other the angle of a pair of normal ones.
local function normal(stream, dtype, n)
  local at = draw(stream, n, dtype == "float32" and 4 or 2)
  return function(i)
    local words, k = at(i)
    local u, turn
    if dtype == "float32" then
      local pair = k > 2 and 2 or 0
      u, turn = ((words[pair + 1] >> 1) + 0.5) * 0x1p-31, (words[pair + 2] >> 8) * 0x1p-24
    else
      u, turn = ((bits_of(words, 1) >> 11) + 1) * 0x1p-53, (bits_of(words, 2) >> 11) * 0x1p-53
    end
    return math.sqrt(-2 * math.log(u)) * (k % 2 == 1 and math.cos or math.sin)(2 * math.pi * turn)
  end
end

-- The high 64 bits of the product of two numbers of 64 bits without sign.
local function high(a, b)
  local a0, a1, b0, b1 = a & WORD, a >> 32, b & WORD, b >> 32
  local middle = a1 * b0 + (a0 * b0 >> 32)
  local cross = a0 * b1 + (middle & WORD)
  return a1 * b1 + (middle >> 32) + (cross >> 32)
end

-- 2^64 modulo a bound without sign.
local function remainder(bound)
  if bound < 0 then return bound == math.mininteger and 0 or -bound end
  local rest = -bound - ((-bound >> 1) // bound << 1) * bound
  return math.ult(rest, bound) and rest or rest - bound
end

-- Numbers from 0 to below a bound (0: 2^64), f(i, bound): the high half of bits times bound. Low halves that some
-- numbers would get once more often than others are refused (D. Lemire, "Fast random integer generation in an
-- interval", 2019).
local function below(stream, n)
  local at = draw(stream, n, 2)
  return function(i, bound)
    local words, half, number = at(i)
    local bits, attempt = bits_of(words, half), 0
    if bound == 0 then return bits end
    while math.ult(bits * bound, remainder(bound)) do
      attempt = attempt + 1
      bits = bits_of(random.block(stream.seed, number, attempt, half), 1)
    end
    return high(bits, bound)
  end
end

random.below = below

local function floats(f)
  return function(p, stream)
    local dtype = p.dtype or "float32"
    if not array.is_float(dtype) then array.refuse() end
    local element = f(stream, dtype, array.numel(p.shape))
    return array.build(dtype, p.shape, function(_, k) return element(k) end)
  end
end

local function integers(p, stream, shape, dtype)
  if p.high < p.low or not (array.fits(dtype, p.low) and array.fits(dtype, p.high)) then array.refuse() end
  local offset, range = below(stream, array.numel(shape)), p.high - p.low + 1
  return array.build(dtype, shape, function(_, k) return p.low + offset(k, range) end)
end
local function randint(p, stream) return integers(p, stream, p.shape, p.dtype or "int64") end
local function randint_like(p, stream) return integers(p, stream, p.x.shape, p.dtype or p.x.dtype) end

-- R. Durstenfeld, "Algorithm 235: random permutation", 1964: element i changes places with one of those up to it.
local function randperm(p, stream)
  if p.n < 0 then array.refuse() end
  local offset, order = below(stream, p.n), {}
  for i = 1, p.n do
    local other = offset(i, i) + 1
    order[i] = i
    order[i], order[other] = order[other], i
  end
  return array.vector("int64", order)
end

-- The same in the shape and dtype of x.
local function like(f)
  return function(p, stream) return f({ shape = p.x.shape, dtype = p.dtype or p.x.dtype }, stream) end
end

-- Draws that a and b describe, or a number where they are arrays.
local function finite(x) return x == x and math.abs(x) < math.huge end

local function check_interval(p)
  if not (finite(p.low) and finite(p.high) and p.low <= p.high and finite(p.high - p.low)) then array.refuse() end
end

local function uniform(p, stream)
  check_interval(p)
  local numbers = floats(random.uniform)(p, stream)
  return array.build(numbers.dtype, p.shape, function(_, k) return p.low + (p.high - p.low) * numbers.values[k] end)
end

-- 52 bits and a half of their last one, in doubles.
local function exponential(p, stream)
  local dtype = p.dtype or "float32"
  if not array.is_float(dtype) or not finite(p.rate) or p.rate <= 0 then array.refuse() end
  local at = draw(stream, array.numel(p.shape), 2)
  return array.build(dtype, p.shape, function(_, k)
    return -math.log(((bits_of(at(k)) >> 12) * 2 + 1) * 0x1p-53) / p.rate
  end)
end

local function normal_of(p, stream)
  local mean, std, dtype = p.mean, p.std, p.dtype or "float32"
  for _, x in ipairs { mean, std } do
    if array.is(x) and not array.is_float(x.dtype) then array.refuse() end
    if array.is(x) and x.dtype == "float64" and not p.dtype then dtype = "float64" end
    if not array.is(x) and not finite(x) then array.refuse() end
  end
  for _, x in ipairs(array.is(std) and std.values or { std }) do
    if x < 0 or x ~= x then array.refuse() end
  end
  local shape = p.shape
  if not array.is(mean) and not array.is(std) then
    if not shape then array.refuse() end
  else
    local common = array.broadcast(mean, std)
    local shift = #(shape or common) - #common
    if shift < 0 then array.refuse() end
    for d, size in ipairs(common) do
      if size ~= 1 and size ~= (shape or common)[shift + d] then array.refuse() end
    end
    shape = shape or common
  end
  local numbers = floats(normal)({ shape = shape, dtype = dtype }, stream)
  return array.build(dtype, shape, function(at, k)
    return array.stretched(mean, at) + array.stretched(std, at) * numbers.values[k]
  end)
end

-- 1 where 53 bits are below the chance.
local function trials(shape, dtype, chance, stream)
  for _, p in ipairs(array.is(chance) and chance.values or { chance }) do
    if not (p >= 0 and p <= 1) then array.refuse() end
  end
  if array.is(chance) and not array.is_float(chance.dtype) then array.refuse() end
  local u = random.uniform(stream, "float64", array.numel(shape))
  return array.build(dtype, shape, function(at, k) return u(k) < array.stretched(chance, at) and 1 or 0 end)
end
local function bernoulli(p, stream) return trials(p.p.shape, p.p.dtype, p.p, stream) end
local function bernoulli_(p, stream)
  if array.is(p.p) and table.concat(array.broadcast(p.x, p.p), "x") ~= table.concat(p.x.shape, "x") then
    array.refuse()
  end
  return trials(p.x.shape, p.x.dtype, p.p or 0.5, stream)
end

local function written(f, defaults)
  return function(p, stream)
    if not array.is_float(p.x.dtype) then array.refuse() end
    local q = { shape = p.x.shape, dtype = p.x.dtype }
    for name, value in pairs(defaults) do q[name] = p[name] or value end
    return f(q, stream)
  end
end

-- With replacement, or of one: where a part of the sum lies among the running sums. Else exponential numbers over the
-- weights, whose order it is.
local function multinomial(p, stream)
  local w, rows, draws = p.weights, 1, p.n
  local size = w.shape[#w.shape]
  if not array.is_float(w.dtype) or #w.shape < 1 or #w.shape > 2 or size == 0 or draws < 0 then array.refuse() end
  if #w.shape == 2 then rows = w.shape[1] end
  local replacement, chosen = p.replacement or draws == 1, {}
  for row = 1, rows do
    local sum, possible = 0, 0
    for i = 1, size do
      local x = w.values[(row - 1) * size + i]
      if not (x >= 0 and x < math.huge) then array.refuse() end
      sum = sum + x
      possible = possible + (x > 0 and 1 or 0)
    end
    if draws > 0 and (sum == 0 or not replacement and draws > possible) then array.refuse() end
  end
  local at = draw(stream, rows * (replacement and draws or size), 2)
  for row = 1, rows do
    local keys, sum = {}, 0
    local function weight(i) return w.values[(row - 1) * size + i] end
    for i = 1, size do sum = sum + weight(i) end
    for k = 1, replacement and draws or 0 do
      local wanted, run, i = (bits_of(at((row - 1) * draws + k)) >> 11) * 0x1p-53 * sum, 0, 0
      repeat
        i = i + 1
        run = run + weight(i)
      until run > wanted
      chosen[#chosen + 1] = i
    end
    for i = 1, replacement and 0 or size do
      local u = ((bits_of(at((row - 1) * size + i)) >> 12) * 2 + 1) * 0x1p-53
      if weight(i) > 0 then keys[#keys + 1] = { -math.log(u) / weight(i), i } end
    end
    table.sort(keys, function(a, b) return a[1] < b[1] end)
    for k = 1, replacement and 0 or draws do chosen[#chosen + 1] = keys[k][2] end
  end
  return array.build("int64", #w.shape == 2 and { rows, draws } or { draws }, function(_, k) return chosen[k] end)
end

local function dropout(p, stream)
  local x, rate = p.x, p.p or 0.5
  if not array.is_float(x.dtype) or not (rate >= 0 and rate <= 1) then array.refuse() end
  if p.training == false or rate == 0 then return array.copy(x) end
  local u = random.uniform(stream, x.dtype, #x.values)
  local limit = array.round(x.dtype, rate)
  local scale = array.round(x.dtype, rate < 1 and 1 / (1 - rate) or 0)
  return array.build(x.dtype, x.shape, function(_, k) return x.values[k] * (u(k) < limit and 0 or scale) end)
end

local shapes = [[ {{}}, {1}, {0}, {5}, {7, 9}, {3, {dtype = 'float64'}}, {{2, 2}, {dtype = 'float64'}},
    {2, {dtype = 'int64'}}, {1037}, {519, {dtype = 'float64'}} ]]

random.rows = {
  rand = { floats(random.uniform), shapes },
  randn = { floats(normal), shapes, close = "all" },
  randint = { randint, [[ {1, 1, {5}}, {-3, 3, {2, 3}}, {5, 4, {2}}, {0, 1, {}}, {1, 2, {0}}, {1, 1000000, {519}},
    {-9, 40, 3, 4}, {math.mininteger, math.maxinteger, {9}},
    {math.mininteger, math.mininteger + 3 * (1 << 62) - 1, {120}}, {0, 1, 9, {dtype = 'bool'}},
    {0, 2, 9, {dtype = 'bool'}}, {-5, 5, 600, {dtype = 'float32'}}, {-5, 5, 6, {dtype = 'uint8'}},
    {-(1 << 62), 1 << 62, {60}}, {0, (1 << 52) + 1, {60}} ]] },
  randint_like = { randint_like, [[ {T(2, 3), -3, 3}, {T(3), 5, 4}, {T(3), 0, 255, {dtype = 'uint8'}},
    {T(3), 0, 256, {dtype = 'uint8'}}, {T(3), 0, 9, {dtype = 'int64'}}, {T(), 1, 1}, {B(4), 0, 1},
    {T(1030), 0, 1} ]] },
  rand_like = { like(floats(random.uniform)), "{T()}, {T(0)}, {T(519)}, {B(3)}, {B(3), {dtype = 'float64'}}" },
  randn_like = { like(floats(normal)), "{T()}, {T(0)}, {T(519)}, {B(3)}, {B(3), {dtype = 'float64'}}", close = "all" },
  uniform = { uniform, [[ {0, 1, {}}, {-2, 3, {519}}, {2, 2, {3}}, {1, 0, {2}}, {0, 1/0, 2}, {0/0, 1, 2}, {0, 1, 0},
    {-1e308, 1e308, 2}, {-2, 3, {519}, {dtype = 'float64'}}, {0, 1, 2, {dtype = 'int64'}} ]], close = "all" },
  exponential = { exponential, [[ {1, {}}, {2, 1030}, {0.5, {2, 3}, {dtype = 'float64'}}, {0, 2}, {-1, 2}, {1/0, 2},
    {0/0, 2}, {1, 0}, {1, 2, {dtype = 'bool'}} ]], close = "each" },
  normal = { normal_of, [[ {0, 1, {}}, {2, 3, {519}}, {1, 0, {3}}, {0, -1, {3}}, {0, 0/0, {3}}, {1/0, 1, {3}}, {0, 1},
    {T(3), 1, {2, 3}}, {T(3), 1, {2, 2}}, {T(2, 3), peri.ones(3), 3}, {T(3), -peri.ones(3)},
    {peri.zeros(2, 1, {dtype = 'float64'}), peri.ones(3)}, {ints{1, 2}, 1}, {T(2), 1, {2}, {dtype = 'float64'}},
    {T(0), 1}, {0, 1, {2}, {dtype = 'int64'}}, {T(3, 2):t(), 0.5} ]], close = "all" },
  dropout = { dropout, [[ {T()}, {T(0)}, {T(1037), 0.3}, {T(40, 50):t(), 0.9}, {T(3), 0}, {T(3), 1.1}, {T(3), -1},
    {T(3), 0/0}, {S()} ]] },
  bernoulli = { bernoulli, [[ {peri.rand(700)}, {peri.rand(3, 4, {dtype = 'float64'}):t()}, {peri.zeros(4)},
    {peri.ones(4)}, {peri.ones(2) * 1.5}, {-peri.ones(2)}, {peri.ones(1) * (0/0)}, {peri.ones(2, {dtype = 'int64'})},
    {peri.rand({})}, {peri.rand(0)} ]] },
  bernoulli_ = { bernoulli_, [[ {T(700), 0.25}, {T(3), 0}, {T(3), 1}, {T(3), 1.01}, {T(3), -0.1}, {T(3), 0/0}, {T()},
    {T(3, 4), peri.rand(4)}, {T(3, 4), peri.rand(3)}, {T(4), peri.rand(3, 4)}, {T(3), ints{0, 1, 1}}, {T(0), 0.5},
    {T(3), peri.ones(3) * 2} ]] },
  normal_ = { written(normal_of, { mean = 0, std = 1 }), [[ {T(519)}, {T(3), 2}, {T(3), 1, 0}, {T(3), 0, -1},
    {T()}, {T(0)},
    {T(3), 0/0} ]], close = "all" },
  uniform_ = { written(uniform, { low = 0, high = 1 }), [[ {T(519)}, {T(3), 2, 2}, {T(3), 1, 0}, {T(), -1}, {T(0)},
    {T(3), 0, 1/0} ]], close = "all" },
  exponential_ = { written(exponential, { rate = 1 }), "{T(519)}, {T(3), 0.1}, {T(3), 0}, {T(3), -1}, {T()}, {T(0)}",
    close = "each" },
  multinomial = { multinomial, [[ {peri.tensor{0, 1, 0}, 1}, {peri.tensor{0, 1, 0}, 5, true}, {peri.tensor{0, 1, 0}, 2},
    {peri.tensor{1, 2, 3}, 3}, {peri.tensor{1, 2, 3}, 4}, {peri.tensor{0, 0}, 1}, {peri.tensor{1, -1}, 1},
    {peri.tensor{1, 0/0}, 1}, {peri.tensor{1, 1/0}, 1}, {peri.tensor{1, 2}, -1}, {peri.tensor{1, 2}, 0},
    {peri.rand(3, 20), 20}, {peri.rand(20, 3):t(), 300, true}, {peri.rand(2, 2, 2), 1}, {peri.rand(0), 0},
    {peri.ones(3, {dtype = 'int64'}), 1}, {peri.rand(0, 3), 2}, {peri.tensor({1e-310, 1}, {dtype = 'float64'}), 2} ]] },
  randperm = { randperm, "{1}, {2}, {7}, {519}, {1030}, {-1}" },
}

return random
