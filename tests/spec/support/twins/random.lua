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

local function floats(f)
  return function(p, stream)
    local dtype = p.dtype or "float32"
    if not array.is_float(dtype) then array.refuse() end
    local element = f(stream, dtype, array.numel(p.shape))
    return array.build(dtype, p.shape, function(_, k) return element(k) end)
  end
end

local function randint(p, stream)
  if p.high < p.low then array.refuse() end
  local offset, range = below(stream, array.numel(p.shape)), p.high - p.low + 1
  return array.build("int64", p.shape, function(_, k) return p.low + offset(k, range) end)
end

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

local shapes = [[ {{}}, {1}, {0}, {5}, {7, 9}, {3, {dtype = 'float64'}}, {{2, 2}, {dtype = 'float64'}},
    {2, {dtype = 'int64'}}, {1037}, {519, {dtype = 'float64'}} ]]

random.rows = {
  rand = { floats(random.uniform), shapes },
  randn = { floats(normal), shapes, close = "all" },
  randint = { randint, [[ {1, 1, {5}}, {-3, 3, {2, 3}}, {5, 4, {2}}, {0, 1, {}}, {1, 2, {0}}, {1, 1000000, {519}},
    {-9, 40, 3, 4}, {math.mininteger, math.maxinteger, {9}},
    {math.mininteger, math.mininteger + 3 * (1 << 62) - 1, {120}},
    {-(1 << 62), 1 << 62, {60}}, {0, (1 << 52) + 1, {60}} ]] },
  randperm = { randperm, "{1}, {2}, {7}, {519}, {1030}, {-1}" },
}

return random
