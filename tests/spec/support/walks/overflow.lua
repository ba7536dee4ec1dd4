-- Shapes that cannot be counted in 64 bits, or whose elements cannot be had, do not reach the memory of a row.
local peri = require "perilune"
local samples = require "support.samples"

local function refuse(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and type(message) == "string", "was not refused")
end

-- T, B and I of a row's sample with one dimension, d from the end, expanded to n (where it has as many).
local function arguments(op, s, d, n)
  local function stretch(t)
    local dim = #t.shape - d + 1
    if dim < 1 or t:numel() == 0 then return t end
    local shape = t.shape
    shape[dim] = n
    return t:narrow(dim, 1, 1):expand(table.unpack(shape))
  end
  local function walk(list)
    for i, value in pairs(list) do
      if peri.is_tensor(value) then
        list[i] = stretch(value)
      elseif type(value) == "table" then
        walk(value)
      end
    end
    return list
  end
  return walk((samples.one(op, s)))
end

-- The first output of a row that can be called so, else nil.
local function output(call, list)
  local ok, result = pcall(call, table.unpack(list))
  return ok and peri.is_tensor(result) and result or nil
end

local bytes_of = { float32 = 4, float64 = 8, int64 = 8, uint8 = 1, bool = 1 }

local function row(op, call)
  for s, sample in ipairs(samples.arguments(op)) do
    for d = 1, #samples.tensors(sample) > 0 and 3 or 0 do
      -- where the output grows with the operand and has memory of its own, the large one cannot be had
      local list = arguments(op, s, d, 256)
      local before = peri.memory().in_use
      local small = output(call, list)
      local grows = small and small:numel() >= 256 and not op.writes
        and peri.memory().in_use >= before + small:numel() * bytes_of[small.dtype]
      for _, n in ipairs { 2 ^ 31, 2 ^ 58 } do
        local made, large = pcall(arguments, op, s, d, n)
        if made then
          if grows and n > 2 ^ 31 then refuse(call, table.unpack(large)) end
          peri._fail_after(0) -- what can be counted is out of memory, and runs for no year
          pcall(call, table.unpack(large))
          peri._fail_after(-1)
        end
      end
    end
  end
end

return { row = row }
