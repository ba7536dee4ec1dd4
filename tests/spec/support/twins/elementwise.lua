-- Twins of the elementwise rows (runtime/ops/elementwise.c, compare.c, choose.c, runtime/kernels/elementwise.def).
local array = require "support.array"
local number = array.number

-- ---- functions that Lua has not ----

local functions = {}

function functions.sign(x) return x > 0 and 1 or x < 0 and -1 or x end

function functions.expm1(x)
  local y = math.exp(x)
  if y == 1 then return x end
  if y - 1 == -1 or y == math.huge then return y - 1 end
  return (y - 1) * x / math.log(y) -- W. Kahan: the errors of numerator and logarithm cancel
end

function functions.log1p(x)
  local y = 1 + x
  if y == 1 or y == math.huge then return x end
  return math.log(y) * x / (y - 1)
end

function functions.tanh(x)
  if math.abs(x) > 30 then return x > 0 and 1 or -1 end
  local e = functions.expm1(2 * math.abs(x))
  return (x < 0 and -1 or 1) * e / (e + 2)
end

function functions.sigmoid(x) return x < 0 and math.exp(x) / (1 + math.exp(x)) or 1 / (1 + math.exp(-x)) end

-- Halves go to the even number; from 2^52 up all floats are whole.
function functions.round(x)
  if math.type(x) == "integer" or x ~= x or math.abs(x) >= 0x1p52 then return x end
  local below = math.floor(x)
  local rest = x - below
  if rest > 0.5 or rest == 0.5 and below % 2 == 1 then return below + 1 end
  return below
end

function functions.maximum(a, b) return (a ~= a or a > b) and a or b end
function functions.minimum(a, b) return (a ~= a or a < b) and a or b end

-- ---- one operand ----

-- f for floats; `integers` is the same for int64, which else becomes float64.
local function unary(f, integers, options)
  local entry = { function(p)
    local dtype = p.x.dtype
    if dtype == "uint8" or dtype == "bool" then array.refuse() end
    if dtype == "int64" and not integers then dtype = "float64" end
    return array.map(dtype, f, array.to(p.x, dtype))
  end, "{T(1)}, {T(1, 1, 1)}, {T(2, 0, 3)}, {T(2, 3, 2)}, {S()}, {S():view(-1, 1)}, {T(131)}" }
  for name, value in pairs(options or {}) do entry[name] = value end
  return entry
end

local near = { close = true }

local rows = {
  neg = unary(function(x) return -x end, true),
  abs = unary(function(x) return x < 0 and -x or x == 0 and 0 or x end, true),
  sign = unary(functions.sign, true),
  square = unary(function(x) return x * x end, true),
  reciprocal = unary(function(x) return 1 / x end),
  sqrt = unary(math.sqrt),
  rsqrt = unary(function(x) return 1 / math.sqrt(x) end, false, near),
  exp = unary(math.exp, false, near),
  expm1 = unary(functions.expm1, false, near),
  log = unary(math.log, false, near),
  log1p = unary(functions.log1p, false, near),
  sin = unary(math.sin, false, near),
  cos = unary(math.cos, false, near),
  tanh = unary(functions.tanh, false, near),
  sigmoid = unary(functions.sigmoid, false, near),
  relu = unary(function(x) return x <= 0 and 0 or x end, true),
  floor = unary(math.floor, true),
  ceil = unary(math.ceil, true),
  round = unary(functions.round, true),
}

-- ---- two operands ----

-- An operand as dtype holds it.
local function as(dtype, a)
  return array.is(a) and array.to(a, dtype) or array.round(dtype, a)
end

local pairs_of = [[ {T(1), T(1)}, {T(2, 1, 3), T(4, 1)}, {T(1), T(0)}, {T(2, 0), T(1, 1)}, {T(3), T()}, {T(), T()},
  {2, T(3)}, {2.5, T(3)}, {T(3), 2}, {T(0), 1.5}, {S(), S()}, {S():view(-1, 1), S()}, {T(67), T(67)},
  {T(3), T(3):to('float64')}, {T(3):to('int64'), T(3)}, {T(3), B(3)}, {T(2, 3), T(3):select(1, 1):to('float64')},
  {T(3), T(4)}, {T(3, 4), T(4):expand(3, 4)}, {both(T(3, 3), 't')},
  {both(T(6), 'view', 2, 3)},
  {I(9, 9) - 5, I(3, 9)}, {I(9, 9) - 5, I(3, 9) - 4}, {S('int64'), 7}, {S('int64'), -1}, {7, I(3, 9) - 4},
  {I(9, 9) - 5, 2.5}, {-7.5, I(3, 9)}, {T(3), 1e300}, {-1e300, T(3)}, {T(3), 1e-300}, {1e-300, T(3)}, {T(3), 1/0} ]]

-- Beside float32 a number must not become infinite, nor a divisor 0.
local function check_number(x, options, name)
  if options and options.chooses then return end
  if not array.fits("float32", x) then array.refuse() end
  if options and options.divides and name == "b" and number(x) ~= 0 and array.round("float32", x) == 0 then
    array.refuse()
  end
end

-- Loops for floats, and for int64 where `integers`; bool counts as 0 and 1, uint8 only stores.
local function binary(f, integers, options)
  local entry = { function(p)
    local dtype = array.promote(p.a, p.b)
    for name, operand in pairs(p) do
      if array.is(operand) and operand.dtype == "uint8" then array.refuse() end
      if not array.is(operand) and dtype == "float32" then check_number(operand, options, name) end
    end
    if dtype == "bool" then dtype = "int64" end
    if not integers and dtype == "int64" then dtype = "float64" end
    return array.map(dtype, function(a, b) return f(a, b, dtype) end, as(dtype, p.a), as(dtype, p.b))
  end, pairs_of }
  for name, value in pairs(options or {}) do entry[name] = value end
  return entry
end

-- Integers cannot be divided by zero: the row refuses a b that has one.
local function dividing(f)
  local entry = binary(f, true, { divides = true })
  local twin = entry[1]
  entry[1] = function(p)
    local dtype = array.promote(p.a, p.b)
    if not array.is_float(dtype) then
      for _, b in ipairs(array.is(p.b) and p.b.values or { p.b }) do
        if number(b) == 0 then array.refuse() end
      end
    end
    return twin(p)
  end
  return entry
end

rows.add = binary(function(a, b) return a + b end, true)
rows.sub = binary(function(a, b) return a - b end, true)
rows.mul = binary(function(a, b) return a * b end, true)
rows.div = binary(function(a, b) return a / b end, false, { divides = true })

-- int64 stays int64: a product of b factors, which wraps around. There a number b below 0 gives float64, and a tensor b
-- must not hold one.
rows.pow = binary(function(a, b, dtype)
  if dtype ~= "int64" then return a ^ b end
  local product, square = 1, a
  while b > 0 do
    if b & 1 == 1 then product = product * square end
    square, b = square * square, b >> 1
  end
  return product
end, true, near)
local power = rows.pow[1]
rows.pow[1] = function(p)
  if not array.is_float(array.promote(p.a, p.b)) then
    for _, b in ipairs(array.is(p.b) and p.b.values or {}) do
      if number(b) < 0 then array.refuse() end
    end
    if not array.is(p.b) and number(p.b) < 0 then
      if p.a.dtype == "uint8" then array.refuse() end
      return array.map("float64", function(a) return number(a) ^ p.b end, p.a)
    end
  end
  return power(p)
end

rows.floor_div = dividing(function(a, b, dtype)
  if dtype == "int64" then return a // b end
  local quotient = array.round(dtype, a / b) -- floor of the quotient as the dtype holds it
  return quotient == quotient and math.abs(quotient) < math.huge and math.floor(quotient) or quotient
end)
rows.mod = dividing(function(a, b) return a % b end)
rows.maximum = binary(functions.maximum, true, { chooses = true })
rows.minimum = binary(functions.minimum, true, { chooses = true })

-- What Lua says of the two numbers; but a fraction beside float32 is rounded to it first, as the elements were.
local function comparison(f)
  return { function(p)
    local function read(a, other)
      local rounded = not array.is(a) and array.round("float32", a)
      if rounded and other.dtype == "float32" and a ~= math.floor(a) and rounded ~= 0 then return rounded end
      return a
    end
    return array.map("bool", function(a, b) return f(number(a), number(b)) end, read(p.a, p.b), read(p.b, p.a))
  end, pairs_of .. [[, {B(4), B(4)}, {T(4):to('uint8'), T(4):to('uint8')}, {T(9):to('uint8'), 2}, {S(), 0}, {0, S()},
    {I(3, 7), I(3, 7)}, {I(3, 7), 2}, {I(3, 7), 1.5}, {S('int64'), S('int64')}, {S('int64'):view(-1, 1), S('int64')},
    {S('int64'), math.maxinteger}, {S('int64'), math.maxinteger - 1}, {math.mininteger, S('int64')},
    {S('int64'), 2.0 ^ 53}, {S('int64'):view(-1, 1), S()}, {S('float64'):view(-1, 1), S('int64')}, {S(), 0.1},
    {0.1, S()},
    {S('uint8'), 256}, {-1, S('uint8')}, {S('uint8'), 254.5}, {S('uint8'), 1 << 40}, {S('uint8'), -256}, {S(), 1e300},
    {S('uint8'):view(-1, 1), S('int64')}, {S('uint8'), 0/0}, {S('int64'), -1e30}, {B(5), 2}, {B(5), true},
    {S(), 16777217} ]] }
end

rows.eq = comparison(function(a, b) return a == b end)
rows.ne = comparison(function(a, b) return a ~= b end)
rows.lt = comparison(function(a, b) return a < b end)
rows.le = comparison(function(a, b) return a <= b end)
rows.gt = comparison(function(a, b) return a > b end)
rows.ge = comparison(function(a, b) return a >= b end)

-- ---- bool ----

local function logical(f)
  return function(...)
    for _, a in ipairs { ... } do
      if a.dtype ~= "bool" then array.refuse() end
    end
    return array.map("bool", f, ...)
  end
end
local both = logical(function(a, b) return a and b end)
local either = logical(function(a, b) return a or b end)
local negation = logical(function(x) return not x end)

rows.logical_xor = { function(p) return logical(function(a, b) return a ~= b end)(p.a, p.b) end,
  "{B(), B(3)}, {B(0), B(1)}, {T(3), B(3)}, {B(5), B(5)}" }
rows.logical_not = { function(p) return negation(p.x) end, "{B()}, {B(0)}, {B(2, 1, 3)}, {T(3)}" }
rows.logical_and = { function(p) return both(p.a, p.b) end, "{B(), B(3)}, {B(0), B(1)}, {B(3), T(3)}, {B(5), B(5)}" }
rows.logical_or = { function(p) return either(p.a, p.b) end, "{B(), B(3)}, {B(0), B(1)}, {T(3), B(3)}, {B(5), B(5)}" }

-- ---- choices ----

rows.where = { function(p)
  if p.mask.dtype ~= "bool" then array.refuse() end
  local dtype = array.promote(p.a, p.b)
  for _, name in ipairs { "a", "b" } do
    if not array.is(p[name]) and not array.fits(dtype, p[name]) then array.refuse() end
  end
  return array.map(dtype, function(mask, a, b)
    if mask then return a end
    return b
  end, p.mask, as(dtype, p.a), as(dtype, p.b))
end, [[ {B(3), 1, 2}, {B(3), 1.5, 2}, {B(3), T(3), T(3):to('float64')}, {B(3), I(4, 3), 0.5}, {B(3), B(3), B(3)},
  {B(2, 1), T(3), T()}, {B(0), T(1), 2}, {T(3), T(3), T(3)}, {B(3), S('uint8'):narrow(1, 1, 3), 7},
    {B(3), I(4, 3), math.mininteger},
  {B(3), S('uint8'):narrow(1, 1, 3), 256}, {B(3), -1, S('uint8'):narrow(1, 1, 3)}, {B(3), B(3), true},
    {B(3), T(3), 1e300} ]] }

rows.masked_fill = { function(p)
  if p.mask.dtype ~= "bool" or not array.fits(p.x.dtype, p.value) then array.refuse() end
  local y = array.map(p.x.dtype, function(x, mask)
    if mask then return p.value end
    return x
  end, p.x, p.mask)
  if table.concat(y.shape, "x") ~= table.concat(p.x.shape, "x") then array.refuse() end
  return y
end, [[ {T(2, 3), B(2, 1), 5}, {T(3), B(3), 1.5}, {T(3), B(), 1}, {T(0), B(1), 1}, {T(3), B(2, 3), 1}, {T(3), T(3), 1},
  {T(3), B(3), -1/0}, {T(3), B(3), 300}, {I(5, 3), B(3), math.maxinteger} ]] }

-- Bounds are numbers or tensors; numbers beside int64 are whole, or so far out that they limit nothing.
local function bounded(p)
  local dtype = p.x.dtype
  if dtype == "uint8" or dtype == "bool" or p.min == nil and p.max == nil then array.refuse() end
  for _, bound in pairs { p.min, p.max } do
    local tensor = array.is(bound)
    if tensor and (bound.dtype == "uint8" or bound.dtype == "bool") or not tensor and bound ~= bound then
      array.refuse()
    end
    local higher = tensor and array.CATEGORY[bound.dtype] > array.CATEGORY[dtype]
    if higher or tensor and #bound.shape > 0 and bound.dtype == "float64" then dtype = bound.dtype end
  end
  return dtype
end

rows.clamp = { function(p)
  local dtype = bounded({ x = p.x, min = p.min, max = p.max })
  local numbers = not array.is(p.min) and not array.is(p.max)
  if numbers and p.min and p.max and p.min > p.max then array.refuse() end
  local bounds = {}
  for name, sign in pairs { min = -1, max = 1 } do
    local bound = p[name]
    local far = bound and not array.is(bound) and sign * bound >= 0x1p63
    if bound and not array.is(bound) and dtype == "int64" and not far and not array.fits("int64", bound) then
      array.refuse()
    end
    bounds[name] = bound and array.is(bound) and array.to(bound, dtype) or bound or sign * math.huge
  end
  return array.map(dtype, function(x, min, max)
    if min ~= min or x < min then x = min end
    if max ~= max or x > max then x = max end
    return x
  end, array.to(p.x, dtype), bounds.min, bounds.max)
end, [[ {T(5)}, {T(5), 1, 0}, {T(5), {min = 0}}, {T(5), 1, 1}, {T(0), 0, 1}, {T(2, 3), -0.5, 0.5}, {S(), -1, 1},
  {S(), 0.25}, {S(), {max = -2}}, {I(9, 6), 3, 5}, {I(9, 6), math.mininteger, math.maxinteger}, {I(9, 6), 2, 1e30},
  {I(9, 6), 2.5}, {I(9, 6), -1/0, 4.0}, {T(3), 0/0}, {T(3), {max = 0/0}}, {S('int64'), (1 << 53) + 1, (1 << 53) + 2},
  {I(9, 6), 1/0}, {T(3), -1/0, 1/0}, {S(), T(1), 0}, {S(), {max = S()}}, {T(3), B(3)}, {I(9, 6), I(9, 6), 7},
  {I(9, 6), T(6):to('float64'), 4}, {T(3), T():to('float64')}, {T(3), {max = T(3):to('float64')}}, {T(3), T(4)} ]] }

rows.to = { function(p) return array.to(p.x, p.dtype) end,
  [[ {T(4), 'uint8'}, {T(4), 'bool'}, {T(4), 'int64'}, {T(0), 'bool'}, {T(), 'float32'}, {S(), 'float32'},
  {S(), 'float64'}, {S(), 'bool'}, {S(), 'int64'}, {S(), 'uint8'}, {B(4), 'float32'}, {S('int64'), 'float32'},
  {S('int64'), 'uint8'}, {S('uint8'), 'int64'} ]] }

return { rows = rows, unary = unary, binary = binary, dividing = dividing, functions = functions, pairs_of = pairs_of }
