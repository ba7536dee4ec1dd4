-- Twins of the rows of integers and bits (runtime/ops/bitwise.c and the lines of int64 alone in elementwise.def).
local array = require "support.array"
local number = array.number

local cases = [[ {I(9, 4), I(9, 4)}, {I(9, 4), B(4)}, {B(4), B(4)}, {B(4), true}, {B(4), 3}, {S('int64'), 3},
  {S('int64'):view(-1, 1), S('int64')}, {12, I(9, 4)}, {I(9, 4), 2.0}, {I(9, 4), 2.5}, {T(3), T(3)},
  {S('int64'), S('uint8')}, {I(9, 3), I(9, 4)}, {I(9, 2, 0), I(9, 2, 1)}, {S('int64'), 63}, {S('int64'), 64},
  {S('int64'), 100}, {I(9, 4), -1}, {I(9, 4), I(9, 4) - 5} ]]

-- f of int64; bool counts as 0 and 1. valid(b): whether b may be the second operand.
local function integral(f, valid)
  return { function(p)
    for _, operand in pairs(p) do
      if array.is(operand) and operand.dtype ~= "int64" and operand.dtype ~= "bool" then array.refuse() end
      if not array.is(operand) and math.type(number(operand)) ~= "integer" then array.refuse() end
    end
    for _, b in ipairs(valid and (array.is(p.b) and p.b.values or { p.b }) or {}) do
      if not valid(number(b)) then array.refuse() end
    end
    return array.map("int64", function(a, b) return f(number(a), number(b)) end, p.a, p.b)
  end, cases }
end

-- Without a sign.
local function quotient(x, y)
  if y < 0 then return math.ult(x, y) and 0 or 1 end
  if x >= 0 then return x // y end
  local half = ((x >> 1) // y) << 1
  return math.ult(x - half * y, y) and half or half + 1
end
local function size(x) return x < 0 and -x or x end
local function divisor(a, b)
  while b ~= 0 do a, b = b, a - quotient(a, b) * b end
  return a
end

local rows = {}
rows.gcd = integral(function(a, b) return divisor(size(a), size(b)) end)
rows.lcm = integral(function(a, b)
  if a == 0 or b == 0 then return 0 end
  return quotient(size(a), divisor(size(a), size(b))) * size(b)
end)
local function not_negative(b) return b >= 0 end
rows.bitwise_left_shift = integral(function(a, b) return a << b end, not_negative)
rows.bitwise_right_shift = integral(function(a, b)
  return b > 62 and (a < 0 and -1 or 0) or a // (1 << b)
end, not_negative)

-- The truth function of single bits, and the same of integers.
local function bits(of_bools, of_integers)
  return { function(p)
    for _, operand in pairs(p) do
      if array.is(operand) and operand.dtype ~= "int64" and operand.dtype ~= "bool" then array.refuse() end
      if not array.is(operand) and math.type(number(operand)) ~= "integer" then array.refuse() end
    end
    local dtype = array.promote(p.a, p.b)
    if dtype == "bool" then return array.map("bool", of_bools, p.a, p.b) end
    return array.map(dtype, function(a, b) return of_integers(number(a), number(b)) end, p.a, p.b)
  end, cases }
end
rows.bitwise_and = bits(function(a, b) return a and b end, function(a, b) return a & b end)
rows.bitwise_or = bits(function(a, b) return a or b end, function(a, b) return a | b end)
rows.bitwise_xor = bits(function(a, b) return a ~= b end, function(a, b) return a ~ b end)
rows.bitwise_not = { function(p)
  if p.x.dtype ~= "bool" and p.x.dtype ~= "int64" then array.refuse() end
  return array.map(p.x.dtype, function(x)
    if p.x.dtype == "bool" then return not x end
    return -x - 1
  end, p.x)
end, "{B()}, {B(0)}, {B(2, 1, 3)}, {T(3)}, {S('int64')}, {S('uint8')}" }

return rows
