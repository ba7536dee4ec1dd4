-- Compares what was computed with what a twin says: value, shape and dtype.
local peri = require "perilune"
local abs, huge, mathtype, max = math.abs, math.huge, math.type, math.max
local array = require "support.array"

local compare = {}

-- How far a float result may be from its twin, which computes in float64: a few roundings of the dtype.
local TOLERANCE = { float32 = 2 ^ -20, float64 = 2 ^ -46 }
local SMALLEST = { float32 = 2 ^ -149, float64 = 2 ^ -1074 }

local function text(a) return ("%s of %s"):format(a.dtype, table.concat(a.shape, "x")) end

local function fail(where, ...) error(where .. ": " .. string.format(...), 0) end

local function largest(found, values)
  for _, x in ipairs(values) do
    if type(x) == "number" and abs(x) < huge then found = max(found, abs(x)) end
  end
  return found
end

-- close: nil (the twin's value, rounded once), "each" or true (relative to the element), "all" (relative to the largest
-- of `inputs`, a list of arrays, and the result). moves: signs of zeros count.
function compare.arrays(want, got, where, options)
  if text(want) ~= text(got) then fail(where, "%s, the twin has %s", text(got), text(want)) end
  local slack, tolerance = 0, options.close and TOLERANCE[want.dtype] or 0
  if options.close == "all" and tolerance > 0 then
    slack = largest(0, want.values)
    for _, a in ipairs(options.inputs or {}) do slack = largest(slack, a.values) end
  end
  for k, expected in ipairs(want.values) do
    local x = got.values[k]
    local same = mathtype(x) == mathtype(expected) and (x == expected or x ~= x and expected ~= expected)
    if same and options.moves and expected == 0 then same = 1 / x == 1 / expected end
    if not same and tolerance > 0 and abs(expected) < huge then
      local scale = max(slack, abs(expected))
      same = abs(x - expected) <= tolerance * scale + SMALLEST[want.dtype]
    end
    if not same then fail(where, "element %d is %s, the twin's %s", k, tostring(x), tostring(expected)) end
  end
end

-- A result as the operation gives it (a tensor, a number, a boolean) against an array, a number or a boolean.
function compare.result(want, got, where, options)
  if not array.is(want) then
    if mathtype(got) == mathtype(want) and got == want then return end
    fail(where, "%s, the twin has %s", tostring(got), tostring(want))
  end
  if not peri.is_tensor(got) then fail(where, "%s, the twin has %s", tostring(got), text(want)) end
  compare.arrays(want, array.of(got), where, options)
end

-- Lua numbers within float64's tolerance.
function compare.numbers(want, got, where)
  compare.arrays(array.vector("float64", { want }), array.vector("float64", { got }), where, { close = "each" })
end

return compare
