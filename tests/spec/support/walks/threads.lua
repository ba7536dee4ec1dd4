-- The same bits for any number of threads, at sizes that are cut into pieces.
local peri = require "perilune"
local samples = require "support.samples"

local compared, large = 0, 0

-- List number s at the large size; sizes written out in a sample do not grow with it: then the small one serves.
local function arguments(op, s, is_large) return (samples.one(op, s, { large = is_large })) end

-- The bits of a call's results, one text for each. Tensors are released rather than left to the collector, unless they
-- are arguments.
local function bits(call, list)
  peri.manual_seed(11)
  local results, texts, given = table.pack(call(table.unpack(list, 1, #list))), {}, {}
  for k = 1, results.n do
    local y = results[k]
    if peri.is_tensor(y) then
      texts[2 * k - 1], texts[2 * k] = y.dtype .. " " .. table.concat(y.shape, "x"), y:bytes()
    else
      texts[2 * k - 1], texts[2 * k] = samples.bits(y), ""
    end
  end
  for _, tensor in ipairs(samples.tensors(list)) do given[tensor] = true end
  for _, tensor in ipairs(samples.tensors(results)) do
    if not given[tensor] then tensor:release() end
  end
  return texts
end

local function same(a, b)
  for k = 1, math.max(#a, #b) do
    if a[k] ~= b[k] then return false end
  end
  return true
end

local function compare(op, call, s)
  local is_large, list = pcall(arguments, op, s, true)
  local first
  for _, threads in ipairs { 1, 2, 3, 7 } do
    peri.set_num_threads(threads)
    if op.writes or threads == 1 then list = arguments(op, s, is_large) end
    local ok, found = pcall(bits, call, list)
    if not ok and threads == 1 and is_large then
      is_large, list = false, arguments(op, s, false)
      ok, found = pcall(bits, call, list)
    end
    assert(ok, found)
    first = first or found
    assert(same(first, found), ("sample %d with %d threads"):format(s, threads))
    if op.writes then samples.release(list) end
  end
  samples.release(list)
  compared = compared + 1
  if is_large then large = large + 1 end
end

return {
  row = function(op, call)
    for s = 1, #samples.arguments(op) do compare(op, call, s) end
  end,
  all = function() assert(large > 0.7 * compared, ("%d of %d are large"):format(large, compared)) end,
}
