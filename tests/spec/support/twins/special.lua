-- Twins of the further elementwise functions (runtime/kernels/elementwise.def), activations (runtime/ops/activation.c)
-- and mixtures (runtime/ops/mix.c).
local array = require "support.array"
local elementwise = require "support.twins.elementwise"
local unary, binary, functions = elementwise.unary, elementwise.binary, elementwise.functions
local number, huge, pi = array.number, math.huge, math.pi
local sigmoid, log1p, expm1, tanh = functions.sigmoid, functions.log1p, functions.expm1, functions.tanh

local near, roughly = { close = true }, { close = "all" }

local function sign_of(x) return string.pack(">d", x):byte() >= 128 and -1 or 1 end
local function signed(f)
  return function(x) return sign_of(x) * f(math.abs(x)) end
end

-- ---- functions that Lua has not ----

-- e^-(x^2 / d) with x^2 in two parts, of which the first is exact
local function gauss(x, d)
  local high = string.unpack("f", string.pack("f", x))
  return math.exp(-high * high / d) * math.exp(-(x - high) * (x + high) / d)
end

-- For x >= 1.5, by the continued fraction of P. Laplace, from its 400th step back.
local function erfc_far(x)
  if x > 30 then return 0.0 end
  local f = x
  for k = 400, 1, -1 do f = x + k / 2 / f end
  return gauss(x, 1) / math.sqrt(pi) / f
end

-- A sum of positive terms.
local function erf_near(x)
  local term, sum, k = x, x, 0
  while term > sum * 1e-17 do
    k = k + 1
    term = term * 2 * x * x / (2 * k + 1)
    sum = sum + term
  end
  return 2 / math.sqrt(pi) * math.exp(-x * x) * sum
end

local erf = signed(function(x)
  if x ~= x or x < 1.5 then return erf_near(x) end
  return 1 - erfc_far(x)
end)

local function erfc(x) return x >= 1.5 and erfc_far(x) or 1 - erf(x) end

-- The part of a normal distribution below x.
local function normal(x)
  if x ~= x or x > -2 then return erfc(-x / math.sqrt(2)) / 2 end
  if x < -60 then return 0.0 end
  local f = -x
  for k = 400, 1, -1 do f = -x + k / f end
  return gauss(x, 2) / math.sqrt(2 * pi) / f
end

local function is_pole(x) return x <= 0 and math.floor(x) == x end

-- Recurrence up to 20, then J. Stirling's series.
local function lgamma(x)
  if x ~= x then return x end
  if is_pole(x) or x == huge then return huge end
  if x == 1 or x == 2 then return 0 end
  if x < 0 then return math.log(pi / math.abs(x * math.sin(pi * (x % 2)))) - lgamma(-x) end
  local product = 1
  if x < 1e-300 then return -math.log(x) end
  while x < 20 do product, x = product * x, x + 1 end
  local rest = 1 / (12 * x) - 1 / (360 * x ^ 3) + 1 / (1260 * x ^ 5) - 1 / (1680 * x ^ 7)
  return (x - 0.5) * math.log(x) - x + math.log(2 * pi) / 2 + rest - math.log(product)
end

local function digamma(x)
  if x == 0 then return -sign_of(x) * huge end
  if x ~= x or is_pole(x) then return 0 / 0 end
  local sum = 0
  while x < 20 do sum, x = sum - 1 / x, x + 1 end
  if x == huge then return x end
  return sum + math.log(x) - 1 / (2 * x) - 1 / (12 * x ^ 2) + 1 / (120 * x ^ 4) - 1 / (252 * x ^ 6) + 1 / (240 * x ^ 8)
end

local erfinv = signed(function(x)
  if x == 1 then return huge end
  if x ~= x or x > 1 then return 0 / 0 end
  local y = 0.0
  for _ = 1, 300 do y = y + (x - erf(y)) * math.sqrt(pi) / 2 * math.exp(y * y) end -- I. Newton
  return y
end)

local cbrt = signed(function(x)
  if x == 0 or x ~= x or x == huge then return x end
  local y = x ^ (1 / 3)
  return y - (y - x / y / y) / 3
end)

local function sinc(x)
  if x == 0 then return 1 end
  if math.abs(x) == huge or x == math.floor(x) then return 0 end
  local r = x - 2 * math.floor(x / 2 + 0.5)
  if r > 0.5 then r = 1 - r elseif r < -0.5 then r = -1 - r end
  return math.sin(pi * r) / (pi * x)
end

local function softplus(x) return math.max(x, 0) + log1p(math.exp(-math.abs(x))) end
local function limited(x, low, high) return x < low and low or x > high and high or x end
-- x times what vanishes at minus infinity
local function times(f)
  return function(x) return x == -huge and 0 or x * f(x) end
end
local function truncate(x)
  if x ~= x or math.abs(x) == huge then return x end
  return x < 0 and math.ceil(x) or math.floor(x)
end

local rows = {
  trunc = unary(truncate, true),
  frac = unary(function(x) return x - truncate(x) end),
  exp2 = unary(function(x) return 2 ^ x end, false, near),
  log2 = unary(function(x) return math.log(x, 2) end, false, near),
  log10 = unary(function(x) return math.log(x, 10) end, false, near),
  cbrt = unary(cbrt, false, near),
  tan = unary(math.tan, false, near),
  asin = unary(math.asin, false, near),
  acos = unary(math.acos, false, near),
  atan = unary(function(x) return math.atan(x) end, false, near),
  sinh = unary(signed(function(x)
    if x > 20 then return math.exp(x / 2) / 2 * math.exp(x / 2) end
    local e = expm1(x)
    return (e + e / (e + 1)) / 2
  end), false, near),
  cosh = unary(function(x)
    local half = math.exp(math.abs(x) / 2)
    return half / 2 * half + 0.5 / half / half
  end, false, near),
  asinh = unary(signed(function(x)
    if x > 1e10 then return math.log(x) + math.log(2) end
    return log1p(x + x * x / (1 + math.sqrt(x * x + 1)))
  end), false, near),
  acosh = unary(function(x)
    if x > 1e10 then return math.log(x) + math.log(2) end
    return x < 1 and 0 / 0 or log1p(x - 1 + math.sqrt((x - 1) * (x + 1)))
  end, false, near),
  atanh = unary(signed(function(x)
    if x > 1 then return 0 / 0 end
    return x < 1e-8 and x or log1p(2 * x / (1 - x)) / 2
  end), false, near),
  sinc = unary(sinc, false, near),
  erf = unary(erf, false, near),
  erfc = unary(erfc, false, near),
  erfinv = unary(erfinv, false, near),
  lgamma = unary(lgamma, false, roughly),
  digamma = unary(digamma, false, roughly),
  relu6 = unary(function(x) return limited(x, 0, 6) end),
  hardsigmoid = unary(function(x) return limited(x + 3, 0, 6) / 6 end, false, roughly),
  hardswish = unary(function(x) return x * limited(x + 3, 0, 6) / 6 end, false, roughly),
  softsign = unary(function(x) return x / (1 + math.abs(x)) end, false, near),
  silu = unary(times(sigmoid), false, near),
  mish = unary(times(function(x) return tanh(softplus(x)) end), false, near),
  logsigmoid = unary(function(x) return -softplus(-x) end, false, near),
  selu = unary(function(x)
    return x > 0 and 1.0507009873554805 * x or 1.0507009873554805 * 1.6732632423543772 * expm1(x)
  end, false, near),
}

-- ---- with numbers ----

-- f(x, a, b, c) with the numbers by their names, or their defaults. NaN is refused, and what float32 cannot hold.
local function tuned(names, defaults, f, options)
  return { function(p)
    local dtype = p.x.dtype
    if dtype == "uint8" or dtype == "bool" then array.refuse() end
    if dtype == "int64" then dtype = "float64" end
    local numbers = {}
    for i, name in ipairs(names) do
      numbers[i] = p[name] and number(p[name]) or defaults[i]
      local given = p[name] and number(p[name])
      if given and (given ~= given or not array.fits(dtype, given)) then array.refuse() end
    end
    if options and options.refuses and options.refuses(dtype, table.unpack(numbers)) then array.refuse() end
    return array.map(dtype, function(x) return f(x, dtype, table.unpack(numbers)) end, array.to(p.x, dtype))
  end, "{T(1)}, {T(2, 0, 3)}, {T(2, 3, 2), 1.5}, {S()}, {S():view(-1, 1), 0.25}, {T(131), 2}, {T(3), 0/0}," ..
       "{T(3), 1e300}," ..
       (options and options.cases or "{S(), -0.5}"), close = options and options.close }
end

rows.leaky_relu = tuned({ "negative_slope" }, { 0.01 }, function(x, _, p) return x > 0 and x or p * x end, near)
rows.elu = tuned({ "alpha" }, { 1 }, function(x, _, p) return x > 0 and x or p * expm1(x) end, near)
rows.celu = tuned({ "alpha" }, { 1 }, function(x, _, p) return x > 0 and x or p * expm1(x / p) end,
  { close = true, refuses = function(dtype, p) return array.round(dtype, p) == 0 end,
    cases = "{T(3), 0}, {T(3), 1e-60}" })
rows.softplus = tuned({ "beta", "threshold" }, { 1, 20 },
  function(x, _, p, q) return x * p > q and x or softplus(x * p) / p end,
  { close = true, refuses = function(dtype, p) return array.round(dtype, p) == 0 end,
    cases = "{T(3), 0}, {S(), {threshold = 1}}, {S(), -0.5}" })
rows.hardtanh = tuned({ "min_val", "max_val" }, { -1, 1 }, function(x, _, p, q) return limited(x, p, q) end,
  { refuses = function(_, p, q) return p > q end, cases = "{S(), -2, 2.5}, {S(), {max_val = -2}}, {S(), 1, 1}" })
local LARGEST = { float32 = 0x1.fffffep127, float64 = 0x1.fffffffffffffp1023 }
rows.nan_to_num = tuned({ "nan", "posinf", "neginf" }, { 0, false, false }, function(x, dtype, p, q, r)
  if x ~= x then return p end
  if math.abs(x) < huge then return x end
  return x > 0 and (q or LARGEST[dtype]) or x < 0 and (r or -LARGEST[dtype])
end, { cases = "{S(), 1, 2, 3}, {S(), {neginf = 0}}, {S(), {posinf = 7, nan = -1}}" })

-- a b and its rounding error (T. Dekker)
local function product(a, b)
  local p, wide_a, wide_b = a * b, 0x1p27 * a + a, 0x1p27 * b + b
  local high_a, high_b = wide_a - (wide_a - a), wide_b - (wide_b - b)
  local low_a, low_b = a - high_a, b - high_b
  return p, ((high_a * high_b - p) + high_a * low_b + low_a * high_b) + low_a * low_b
end

-- sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), where rounding errors before the exponential count many times over
local function tanh_gate(x)
  if math.abs(x) > 40 then return x > 0 and 1 or 0 end
  local square, square_rest = product(x, x)
  local cubic, cubic_rest = product(0.07135481627260025, square)
  local c, c_rest = 1.5957691216057308, -9.96930880911092e-17
  local sum = c + cubic
  local sum_rest = (c - (sum - (sum - c)) + (cubic - (sum - c))) + cubic_rest + c_rest +
                   0.07135481627260025 * square_rest +
                   -6.175149918155315e-19 * square
  local w, w_rest = product(x, sum)
  w_rest = w_rest + x * sum_rest
  return sigmoid(w) * (1 + w_rest * (1 - sigmoid(w)))
end

rows.gelu = { function(p)
  local dtype = p.x.dtype
  if dtype == "uint8" or dtype == "bool" then array.refuse() end
  local gate = normal
  if p.approximate == "tanh" then
    gate = tanh_gate
  end
  return array.map(dtype == "int64" and "float64" or dtype, times(gate), array.to(p.x, dtype))
end, "{T(1)}, {T(2, 0, 3)}, {S()}, {T(131)}, {S():view(-1, 1), {approximate = 'tanh'}}," ..
  "{T(67), {approximate = 'tanh'}}",
  close = true }

-- ---- of several operands ----

rows.prelu = { function(p)
  local x, weight = p.x, p.weight
  local dim = #x.shape > 1 and 2 or 1
  if not array.is_float(x.dtype) or x.dtype ~= weight.dtype or #weight.shape > 1 then array.refuse() end
  if #weight.values ~= 1 and #weight.values ~= (x.shape[dim] or 1) then array.refuse() end
  return array.build(x.dtype, x.shape, function(position, k)
    local slope = weight.values[#weight.values == 1 and 1 or position[dim]]
    return x.values[k] > 0 and x.values[k] or slope * x.values[k]
  end)
end, [[ {T(2, 3), T(2)}, {T(2, 3), T(3, 1)}, {T(3), T(3):to('float64')}, {T(), T()}, {T(), T(1)}, {S(), T()},
  {T(0, 3), T(3)},
  {S(), S()} ]] }

rows.glu = { function(p)
  local x = p.x
  local dim = p.dim or -1
  if dim < 0 then dim = dim + #x.shape + 1 end
  if not array.is_float(x.dtype) or not x.shape[dim] or x.shape[dim] % 2 ~= 0 then array.refuse() end
  local shape, strides, stride = { table.unpack(x.shape) }, {}, 1
  shape[dim] = shape[dim] // 2
  for d = #x.shape, 1, -1 do
    strides[d] = stride
    stride = stride * x.shape[d]
  end
  return array.build(x.dtype, shape, function(position)
    local k = 1
    for d = 1, #shape do k = k + (position[d] - 1) * strides[d] end
    return x.values[k] * array.round(x.dtype, sigmoid(x.values[k + shape[dim] * strides[dim]]))
  end)
end, "{T()}, {T(3, 5)}, {T(3, 4), 3}, {T(3, 4), -2}, {T(4, 6, 2), -2}, {T(2, 0)}", close = true }

rows.lerp = { function(p)
  for _, name in ipairs { "a", "b", "weight" } do
    if array.is(p[name]) and not array.is_float(p[name].dtype) then array.refuse() end
  end
  local dtype = array.promote(p.a, p.b, p.weight)
  if not array.is(p.weight) and not array.fits(dtype, p.weight) then array.refuse() end
  return array.map(dtype, function(a, b, w)
    if number(w) < 0.5 then return a + w * (b - a) end
    return b - (b - a) * (1 - w)
  end, p.a, p.b, p.weight)
end, [[ {T(3), T(3), T(3)}, {T(3), T(1):to('float64'), 0.5}, {T(3), T(3), 2}, {T(3), T(3), -1}, {T(3), T(4), 0.5},
  {T(3), I(4, 3), 0.5}, {T(3), T(3), B(3)}, {T(3), T(3), 1e300}, {T(2, 3), T(), T(3)} ]], close = "all" }

rows.isclose = { function(p)
  local rtol, atol = p.rtol or 1e-5, p.atol or 1e-8
  if not (rtol >= 0 and atol >= 0) then array.refuse() end
  return array.map("bool", function(a, b)
    a, b = number(a), number(b)
    if a == b then return true end
    if a ~= a and b ~= b then return p.equal_nan == true end
    if math.abs(a) == huge or math.abs(b) == huge then return false end
    local apart = a > b and a - b or b - a
    if apart < 0 then apart = apart + 2.0 ^ 64 end -- of integers, which wrap around
    return apart <= atol + rtol * math.abs(b + 0.0)
  end, p.a, p.b)
end, [[ {S(), S()}, {S(), S(), {equal_nan = true}}, {S(), S():view(-1, 1), 0.5, 1}, {T(3), T(4)}, {T(3), T(3), -1},
  {T(3), T(3), {atol = 0/0}}, {I(9, 3), I(9, 3), 0.2}, {B(4), B(4)}, {I(9, 3), T(3), {atol = 3}} ]] }

rows.float_power = { function(p)
  return array.map("float64", function(a, b) return (number(a) + 0.0) ^ number(b) end, p.a, p.b)
end, "{T(1), T(1)}, {T(2, 1, 3), T(4, 1)}, {T(3), B(3)}, {I(9, 3), -1}, {2.5, T(3)}, {T(3), T(4)}, {S(), 2}",
  close = true }

-- ---- two operands ----

rows.fmod = elementwise.dividing(math.fmod)
rows.remainder = elementwise.dividing(function(a, b) return a % b end)
rows.atan2 = binary(math.atan, false, near)
rows.hypot = binary(function(a, b)
  local larger = math.max(math.abs(a), math.abs(b))
  if math.abs(a) == huge or math.abs(b) == huge then return huge end
  if larger == 0 or a ~= a or b ~= b then return a + b end
  local _, exponent = string.format("%a", larger):match "(.*)p(.*)"
  local scale = 2.0 ^ (tonumber(exponent) // 2)
  a, b = a / scale / scale, b / scale / scale
  return math.sqrt(a * a + b * b) * scale * scale
end, false, near)
rows.copysign = binary(function(a, b) return sign_of(b) * math.abs(a) end, false, { chooses = true })
rows.logaddexp = binary(function(a, b)
  if a == b then return a + math.log(2) end
  local larger, smaller = math.max(a, b), math.min(a, b)
  return (a ~= a or b ~= b) and 0 / 0 or larger + log1p(math.exp(smaller - larger))
end, false, roughly)
rows.xlogy = binary(function(a, b) return a == 0 and b == b and 0 or a * math.log(b) end, false, near)
rows.fmax = binary(function(a, b) return (b > a or a ~= a) and b or a end, true, { chooses = true })
rows.fmin = binary(function(a, b) return (b < a or a ~= a) and b or a end, true, { chooses = true })

-- ---- tests of single elements ----

local function test(f)
  return { function(p)
    return array.map("bool", function(x) return f(number(x)) end, p.x)
  end, "{T(1)}, {T(2, 0, 3)}, {S()}, {S():view(-1, 1)}, {B(3)}, {S('int64')}, {S('uint8')}, {T(131)}" }
end
rows.isnan = test(function(x) return x ~= x end)
rows.isinf = test(function(x) return math.abs(x) == huge end)
rows.isfinite = test(function(x) return x - x == 0 end)
rows.signbit = test(function(x)
  if math.type(x) == "integer" then return x < 0 end
  return sign_of(x) < 0
end)

return rows
