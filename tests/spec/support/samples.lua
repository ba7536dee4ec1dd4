-- The argument lists that rows of the operation table are tested with, from the rows' own `sample`:
-- T(sizes...) a tensor of the row's interval, B(sizes...) a bool tensor, I(high, sizes...) int64 values
-- 1..high, symmetric(n) a symmetric matrix. The cases of twins (support/twins.lua) also say S(dtype) for a vector of
-- the dtype's special values, ints{...} for given indices, and both, placed, masked for operands that share memory.
local peri = require "perilune"

local samples = {}

local function scaled(sizes, scale)
  local result = {}
  for i, n in ipairs(sizes) do result[i] = n > 1 and n * scale or n end
  return result
end

-- Signed zeros, ends of ranges, numbers that other dtypes do not hold.
local NAN = string.unpack("<d", "\0\0\0\0\0\0\xf8\x7f") -- that of 0 / 0 has the processor's sign
local floats = { 0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 0.1, 1e-3, -1e-6, 1e-30, 1e-40, 10.25, 88.5, 89.5,
                 -104, 710, 16777217, 1e10, -3e30, 0x1.fffffep127, 1 / 0, -1 / 0, NAN }
local special = {
  float32 = floats, float64 = floats, uint8 = { 0, 1, 2, 128, 255 }, bool = { true, false },
  int64 = { 0, 1, -1, 2, -3, 7, 256, (1 << 53) + 1, math.maxinteger, math.maxinteger - 1, math.mininteger },
}

-- Random numbers of the row's interval, or of [-3, 3] where its gradient asks for none; ten times that for integers.
local function draw(op, sizes, dtype)
  if dtype == "bool" then return peri.rand(sizes):gt(0.5) end
  local low, high = op.low, op.high
  if low == high then low, high = -3, 3 end
  local numbers = peri.rand(sizes, { dtype = "float64" }) * (high - low) + low
  if dtype == "int64" then numbers = numbers * 10 end
  if dtype == "uint8" then numbers = (numbers * 10):abs() end
  return numbers:to(dtype)
end

-- How many times larger: vectors and matrices 80, tensors of three dimensions 16, images of four 6.
local function choose_scale(text)
  local most = 1
  for list in text:gmatch "T(%b())" do most = math.max(most, select(2, list:gsub(",", ",")) + 1) end
  return ({ 80, 80, 16 })[most] or 6
end

-- A function of the environment for each list of a text, made once while one row is asked for.
local compiled = {}
local function makers(op, text)
  if compiled.row ~= op.name then compiled = { row = op.name, texts = {} } end
  local list = compiled.texts[text]
  if not list then
    list = {}
    for piece in text:gmatch "%b{}" do
      list[#list + 1] = assert(load("local _ENV = ... return " .. piece, "=sample of " .. op.name, "t"))
    end
    compiled.texts[text] = list
  end
  return list
end

-- options: dtype of T; make(t, k): what stands for the k-th T or S; large: sizes multiplied; scale: by this; draw: what
-- T and B make, of the row, sizes and dtype; text: other lists than the row's; only: this list alone, the others are
-- false; skip: lists that cannot be made, as of this dtype, are left out. Returns a list of argument lists, and the
-- tensors that T and S made.
function samples.arguments(op, options)
  options = options or {}
  local made = {}
  -- under sanitizers everything is slow, and the release build has done it at full size
  local scale = options.scale or options.large and not os.getenv "PERILUNE_SANITIZED" and choose_scale(op.sample) or 1
  local env = { peri = peri, math = math }
  local function keep(t)
    made[#made + 1] = t
    return options.make and options.make(t, #made) or t
  end
  function env.T(...)
    local sizes = scaled({ ... }, scale)
    return keep((options.draw or draw)(op, sizes, options.dtype or "float32"))
  end
  function env.S(dtype)
    dtype = dtype or options.dtype or "float32"
    return keep(peri.tensor(special[dtype], { dtype = dtype }))
  end
  -- operands that share memory: x and a method of it; x, 1, where, x; x, where, x transposed
  function env.both(x, method, ...) return x, x[method](x, ...) end
  function env.placed(x, index) return x, 1, index, x:detach() end
  function env.masked(x, mask) return x, mask, x:t() end
  function env.ints(list) return peri.tensor(list, { dtype = "int64" }) end
  function env.B(...)
    local sizes = scaled({ ... }, scale)
    return options.draw and options.draw(op, sizes, "bool") or peri.rand(sizes):gt(0.5)
  end
  function env.I(high, ...) return peri.randint(1, high * scale, scaled({ ... }, scale)) end
  function env.symmetric(n)
    local a = env.T(n, n)
    return a + a:t()
  end
  local lists = {}
  peri.manual_seed(7)
  for i, make in ipairs(makers(op, options.text or op.sample)) do
    local ok, list = true, false
    if i == (options.only or i) then ok, list = pcall(make, env) end
    if not ok and not options.skip then error(list, 0) end
    if ok then lists[#lists + 1] = list end
  end
  return lists, made
end

--- The argument list number s alone, with numbers of its own, and what T and S made for it.
function samples.one(op, s, options)
  local wanted = { only = s }
  for name, value in pairs(options or {}) do wanted[name] = value end
  local lists, made = samples.arguments(op, wanted)
  return lists[s], made
end

-- A table with names and no list part holds options.
local function is_options(value)
  return type(value) == "table" and #value == 0 and next(value) ~= nil
end

-- An argument list as a table by the names of the row's parameters; sizes and dimensions become lists.
function samples.bind(op, arguments)
  local bound, i, n = {}, 1, #arguments
  if is_options(arguments[n]) then
    for name, value in pairs(arguments[n]) do bound[name] = value end
    n = n - 1
  end
  for _, param in ipairs(op.params) do
    if not param.named and i <= n then
      if (param.kind == "shape" or param.kind == "dims") and not param.counted and type(arguments[i]) == "number" then
        bound[param.name] = {}
        while type(arguments[i]) == "number" do
          table.insert(bound[param.name], arguments[i])
          i = i + 1
        end
      elseif param.spread and peri.is_tensor(arguments[i]) then
        bound[param.name] = {}
        while i <= n and peri.is_tensor(arguments[i]) do
          table.insert(bound[param.name], arguments[i])
          i = i + 1
        end
      else
        bound[param.name] = arguments[i]
        i = i + 1
      end
    end
  end
  return bound
end

-- The same values at every second place of a larger tensor, dimensions in reverse order.
function samples.scatter(t)
  if t:dim() == 0 or t:numel() == 0 then return t end
  local sizes, order = {}, {}
  for d, n in ipairs(t.shape) do
    sizes[#t.shape + 1 - d] = n
    order[d] = #t.shape + 1 - d
  end
  sizes[#sizes] = sizes[#sizes] * 2
  local view = peri.full(sizes, 99, { dtype = t.dtype }):slice(#sizes, 1, -1, 2):permute(order)
  view:copy_(t)
  return view
end

-- The function of a row: peri.<name>, which may be in a sub-table.
function samples.find(name)
  local value = peri
  for part in name:gmatch "[^.]+" do value = value[part] end
  return value
end

-- visit(row, function) for each row; where it gives a list of tensors the function gives them one by one.
local function visit_row(visit, op)
  local call = samples.find(op.name)
  visit(op, op.list and function(...) return table.unpack(call(...)) end or call)
end

function samples.each(visit)
  for _, op in ipairs(peri.ops()) do visit_row(visit, op) end
end

-- The same for those who collect garbage at every step: only the row that is visited lives, of a list that is larger
-- than all else.
function samples.each_alone(visit)
  for i = 1, #peri.ops() do visit_row(visit, peri.ops()[i]) end
end

-- Lua values and tensors as comparable text: bits for floats.
function samples.bits(value)
  if type(value) == "table" then return samples.all_bits(value) end
  if not peri.is_tensor(value) then return tostring(value) end
  return ("%s %s %s"):format(value.dtype, table.concat(value.shape, "x"), value:bytes())
end

function samples.all_bits(list)
  local parts = {}
  for i = 1, list.n or #list do parts[i] = samples.bits(list[i]) end
  return table.concat(parts, "\n")
end

-- The tensors in an argument list, also those in tables of it: of each what it lists, then what has names, by these.
function samples.tensors(arguments, found)
  found = found or {}
  local values, names = { table.unpack(arguments) }, {}
  for name in pairs(arguments) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do values[#values + 1] = arguments[name] end
  for _, value in ipairs(values) do
    if peri.is_tensor(value) then
      found[#found + 1] = value
    elseif type(value) == "table" then
      samples.tensors(value, found)
    end
  end
  return found
end

-- Gives their memory back at once.
function samples.release(arguments)
  for _, tensor in ipairs(samples.tensors(arguments)) do tensor:release() end
end

--- The bits of a model's state and of its gradients, as a text.
function samples.state_bits(model)
  local parts = {}
  for name, x in pairs(model:state_dict()) do parts[#parts + 1] = name .. samples.bits(x) end
  for name, p in model:named_parameters() do parts[#parts + 1] = name .. (p.grad and samples.bits(p.grad) or "none") end
  table.sort(parts)
  return table.concat(parts, "\n")
end

return samples
