-- The argument lists that rows of the operation table are tested with, from the rows' own `sample`:
-- T(sizes...) a tensor of the row's interval, B(sizes...) a bool tensor, I(high, sizes...) int64 values
-- 1..high, symmetric(n) a symmetric matrix. Everything is seeded.
local peri = require "perilune"

local samples = {}

local function scaled(sizes, scale)
  local result = {}
  for i, n in ipairs(sizes) do result[i] = n > 1 and n * scale or n end
  return result
end

-- How many times larger: matrices 80, tensors of three dimensions and more 16.
local function choose_scale(text) return text:find "T%(%d+,[^)]-,[^)]-%)" and 16 or 80 end

-- options: dtype of T; make(t, k): what stands for the k-th T; large: sizes multiplied.
-- Returns a list of argument lists, and the tensors that T made.
function samples.arguments(op, options)
  options = options or {}
  local made = {}
  -- under sanitizers everything is slow, and the release build has done it at full size
  local scale = options.large and not os.getenv "PERILUNE_SANITIZED" and choose_scale(op.sample) or 1
  peri.manual_seed(7)
  local env = { peri = peri }
  function env.T(...)
    local sizes = scaled({ ... }, scale)
    local t = (peri.rand(sizes, { dtype = "float64" }) * (op.high - op.low) + op.low):to(options.dtype or "float32")
    made[#made + 1] = t
    return options.make and options.make(t, #made) or t
  end
  function env.B(...) return peri.rand(scaled({ ... }, scale)):gt(0.5) end
  function env.I(high, ...) return peri.randint(1, high * scale, scaled({ ... }, scale)) end
  function env.symmetric(n)
    local a = env.T(n, n)
    return a + a:t()
  end
  return assert(load("return {" .. op.sample .. "}", "=sample of " .. op.name, "t", env))(), made
end

-- The function of a row: peri.<name>, which may be in a sub-table.
function samples.find(name)
  local value = peri
  for part in name:gmatch "[^.]+" do value = value[part] end
  return value
end

function samples.each(visit)
  for _, op in ipairs(peri.ops()) do visit(op, samples.find(op.name)) end
end

-- Lua values and tensors as comparable text: bits for floats.
function samples.bits(value)
  if not peri.is_tensor(value) then return tostring(value) end
  return ("%s %s %s"):format(value.dtype, table.concat(value.shape, "x"), value:bytes())
end

function samples.all_bits(list)
  local parts = {}
  for i = 1, list.n or #list do parts[i] = samples.bits(list[i]) end
  return table.concat(parts, "\n")
end

-- The tensors in an argument list, also those in lists.
function samples.tensors(arguments, found)
  found = found or {}
  for _, value in ipairs(arguments) do
    if peri.is_tensor(value) then
      found[#found + 1] = value
    elseif type(value) == "table" then
      samples.tensors(value, found)
    end
  end
  return found
end

return samples
