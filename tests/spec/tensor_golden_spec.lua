-- Rows of the operation table against the numbers of NumPy, PyTorch and SciPy (golden/tensor_*.lua, which
-- peers/tensor_golden.py writes): values, dtypes and shapes, and gradients of first and second order.
--
-- A case is {row, arguments, results, g = gradients, h = those of second order}; tensors are texts. An operand is "@"
-- with dtype, * where its gradient is wanted, layout, shape, and a kind of numbers with key and limit, the name of a
-- list of special values, or |numbers. A result is "dtype shape|numbers", n|number, or t|boolean (0 or 1).
local peri = require "perilune"
local samples = require "support.samples"
local abs, huge, max, mathtype = math.abs, math.huge, math.max, math.type

local FAMILIES = {
  "elementwise", "pairs", "activations", "reductions", "order", "shapes", "indices", "products", "linalg", "networks",
  "losses", "creation",
}
local DTYPES = { f = "float32", d = "float64", i = "int64", u = "uint8", b = "bool" }
local SMALLEST = { f = 2 ^ -149, d = 2 ^ -1074 }
local NAN = peri.tensor({ 0 / 0 }, { dtype = "float64" }):abs():item() -- 0 / 0 has a minus sign on some processors
local WORDS = { nan = NAN, inf = huge, ["-inf"] = -huge }

-- ---- operands, as peers/tensor_cases/cases.py has them ----

local KINDS = {
  x = function(k) return (k - 50) / 32 end,
  w = function(k) return (k - 50) / 8 end,
  p = function(k) return (k + 4) / 32 end,
  u = function(k) return (k + 14) / 128 end,
  c = function(k) return (k - 50) / 64 end,
  g = function(k) return (k + 36) / 32 end,
  z = function(k) return (k % 7 - 3) / 2 end,
  s = function(k) return k % 2 * 2 - 1 end,
  i = function(k) return k - 50 end,
  j = function(k) return k % 9 - 4 end,
  n = function(k) return k % 9 + 1 end,
  m = function(k) return k % 3 == 0 end,
}

local function formula(kind, key, count, high)
  local values, f = {}, kind == "h" and function(k) return k % high + 1 end or KINDS[kind]
  for i = 0, count - 1 do values[i + 1] = f((73 * i + 29 * key) % 101) end
  return values
end

local function numbers(text)
  local values = {}
  for word in text:gmatch "%S+" do values[#values + 1] = WORDS[word] or tonumber(word) end
  return values
end

local function sizes(text)
  local shape, count = {}, 1
  for size in text:gmatch "%d+" do
    shape[#shape + 1] = math.tointeger(size)
    count = count * shape[#shape]
  end
  return shape, count
end

-- Regular (q), positive definite (y), symmetric (k) and lower triangular (l) matrices of numbers about 0.
local function matrices(kind, x, shape)
  local rows, columns, values = shape[#shape - 1], shape[#shape], {}
  for k = 1, #x do
    local i, j = (k - 1) // columns % rows, (k - 1) % columns
    local turned = x[k - i * columns - j + j * columns + i]
    local diagonal = i == j and 1 or 0
    if kind == "q" then
      values[k] = x[k] + 3 * diagonal
    elseif kind == "l" then
      values[k] = i == j and abs(x[k]) + 1 or i > j and x[k] or 0
    else
      values[k] = (x[k] + turned) / 2 + (kind == "y" and 6 or 0) * diagonal
    end
  end
  return values
end

local function tensor(values, dtype, shape)
  if DTYPES[dtype] == "bool" then
    for k, v in ipairs(values) do values[k] = v == true or v == 1 end
  end
  return peri.tensor(values, { dtype = DTYPES[dtype] }):reshape(shape)
end

-- The same values elsewhere in memory.
local function placed(x, layout)
  local n = x:dim()
  if layout == "" then return x end
  if layout == "b" then return x:narrow(1, 1, 1):clone():expand(x.shape) end
  local order, turned, larger = {}, {}, {}
  for d = 1, n do order[d], turned[d], larger[d] = n + 1 - d, x.shape[n + 1 - d], x.shape[d] end
  local view
  if layout == "t" then
    view = peri.zeros(turned, { dtype = x.dtype }):permute(order)
  else
    larger[n] = larger[n] * 2
    view = peri.ones(larger, { dtype = x.dtype })
    view = layout == "s" and view:slice(n, 2, -1, 2) or view:narrow(n, x.shape[n], x.shape[n])
  end
  view:copy_(x)
  return view
end

local function operand(text, special)
  local dtype, star, layout, shape_text, rest = text:match "^@(%a)(%*?)(%l?) ([%d,-]+)(.*)$"
  local shape, count = sizes(shape_text)
  local values
  if rest:sub(1, 1) == "|" then
    values = numbers(rest:sub(2))
  else
    local kind, key, high = rest:match "^ (%a)(%d*)%.?(%d*)$"
    key, high = tonumber(key), tonumber(high)
    if special[dtype .. kind] then
      values = numbers(special[dtype .. kind])
    elseif layout == "b" then
      local part = formula(kind, key, count // max(shape[1], 1), high)
      values = {}
      for k = 1, count do values[k] = part[(k - 1) % #part + 1] end
    elseif kind:find "[qykl]" then
      values = matrices(kind, formula("x", key, count), shape)
    else
      values = formula(kind, key, count, high)
    end
  end
  local x = placed(tensor(values, dtype, shape), layout)
  return star == "*" and x:detach():requires_grad_() or x, star == "*"
end

-- Arguments with tensors for their texts, and the tensors whose gradients are wanted, in the order of the generator:
-- those of the options last.
local function arguments(value, special, leaves)
  if type(value) == "string" and value:sub(1, 1) == "@" then
    local x, wanted = operand(value, special)
    if wanted then leaves[#leaves + 1] = x end
    return x
  end
  if type(value) ~= "table" then return value end
  local made = {}
  for k = 1, value.n or #value do made[k] = arguments(value[k], special, leaves) end
  local names = {}
  for name in pairs(value) do
    if type(name) == "string" and name ~= "n" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do made[name] = arguments(value[name], special, leaves) end
  return made
end

-- ---- comparison ----

-- Nothing, or what differs. tolerance: of = "element" (relative to each), "tensor" (to the largest of the result) or
-- "one" (to the largest of the result, or 1);
-- signs of zeros count where it says so. Gradients are cotangents of about 1 times something: what cancels in that
-- something counts beside 1, which is their floor.
local function difference(wanted, got, tolerance, floor)
  local head, rest = wanted:match "^(.-)|(.*)$"
  if head == "n" or head == "t" then
    local value = head == "t" and rest == "1" or head == "n" and tonumber(rest)
    if got == value and mathtype(got) == mathtype(value) then return end
    return ("%s, expected %s"):format(tostring(got), rest)
  end
  if not peri.is_tensor(got) then return ("%s, expected a tensor %s"):format(tostring(got), head) end
  local letter, shape = head:match "^(%a) (.*)$"
  local found = #got.shape == 0 and "-" or table.concat(got.shape, ",")
  if DTYPES[letter] ~= got.dtype or shape ~= found then
    return ("%s of %s, expected %s of %s"):format(got.dtype, found, DTYPES[letter], shape)
  end
  local values, actual = numbers(rest), got:detach():flatten():totable()
  if #values ~= #actual then return ("%d elements, expected %d"):format(#actual, #values) end
  local limit, largest = tolerance[letter], floor or tolerance.of == "one" and 1 or 0
  if limit and tolerance.of ~= "element" then
    for _, v in ipairs(values) do
      if v == v and abs(v) < huge then largest = max(largest, abs(v)) end
    end
  end
  local signs = tolerance.signs and not floor
  for k, v in ipairs(values) do
    local x = actual[k]
    if type(x) == "boolean" then x = x and 1 or 0 end
    local same
    if limit then
      same = x == v or x ~= x and v ~= v
      if same and v == 0 and signs then same = 1 / x == 1 / v end
      if not same and abs(v) < huge then
        same = abs(x - v) <= limit * max(largest, abs(v)) + SMALLEST[letter]
      end
    else
      same = mathtype(x) == "integer" and x == v
    end
    if not same then return ("element %d of %s is %s, expected %s"):format(k, shape, tostring(x), tostring(v)) end
  end
end

local function flat(results)
  local list = {}
  for k = 1, results.n do
    if type(results[k]) == "table" then
      for _, x in ipairs(results[k]) do list[#list + 1] = x end
    else
      list[#list + 1] = results[k]
    end
  end
  return list
end

local function cotangent(key, y)
  return peri.tensor(formula("x", key, y:numel()), { dtype = y.dtype }):reshape(y.shape)
end

-- The sum of the live ones of tensors times cotangents with keys from there on; nil where none is.
local function weighed(tensors, key)
  local total
  for k, y in ipairs(tensors) do
    if peri.is_tensor(y) and y.requires_grad then
      local part = (y * cotangent(key + k - 1, y)):sum()
      total = total and total + part or part
    end
  end
  return total
end

local function compare(wanted, got, tolerance, what, floor)
  for k, text in ipairs(wanted) do
    local found = got[k] == nil and "nothing" or difference(text, got[k], tolerance, floor)
    if found then return ("%s %d: %s"):format(what, k, found) end
  end
  if #got ~= #wanted then return ("%d of %s, expected %d"):format(#got, what, #wanted) end
end

-- Zeros for the gradients of what a result does not depend on.
local function filled(gradients, leaves)
  for k, x in ipairs(leaves) do gradients[k] = gradients[k] or peri.zeros_like(x) end
  return gradients
end

local function check(case, golden)
  local leaves = {}
  local made = arguments(case[2], golden.special, leaves)
  local results = flat(table.pack(samples.find(case[1])(table.unpack(made, 1, case[2].n or #case[2]))))
  local tolerance = golden.tolerance
  local failure = compare(case[3], results, tolerance, "result")
  if failure or not case.g then return failure end
  local total = weighed(results, 9)
  local gradients = filled(total and peri.grad(total, leaves, { create_graph = case.h ~= nil }) or {}, leaves)
  failure = compare(case.g, gradients, tolerance, "gradient", 1)
  if failure or not case.h then return failure end
  total = weighed(gradients, 20)
  local again = filled(total and peri.grad(total, leaves) or {}, leaves)
  return compare(case.h, again, tolerance, "gradient of second order", 1)
end

-- An argument list as text.
local function plain(value)
  if type(value) == "string" then return value end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for k = 1, value.n or #value do parts[k] = plain(value[k]) end
  for name, v in pairs(value) do
    if type(name) == "string" then parts[#parts + 1] = name .. " = " .. plain(v) end
  end
  return "{" .. table.concat(parts, "; ") .. "}"
end

-- Rows that may be without golden values, and why.
local WITHOUT = {}
for _, op in ipairs(peri.ops()) do
  if op.random then WITHOUT[op.name] = "draws: no peer has our streams" end
end

describe("PyTorch's and NumPy's numbers are those of rows that are #once", function()
  for _, family in ipairs(FAMILIES) do
    it(family, function()
      local golden, failures = require("golden.tensor_" .. family), {}
      for k, case in ipairs(golden) do
        local ok, failure = pcall(check, case, golden)
        if not ok or failure then
          failures[#failures + 1] = ("case %d: %s%s: %s"):format(k, case[1], plain(case[2]), failure)
        end
      end
      assert.is_true(#golden > 50)
      assert(#failures == 0, #failures .. " cases fail:\n" .. table.concat(failures, "\n"))
    end)
  end

  it("all but those that draw", function()
    local covered, missing = {}, {}
    for _, family in ipairs(FAMILIES) do
      for _, case in ipairs(require("golden.tensor_" .. family)) do covered[case[1]] = true end
    end
    for _, op in ipairs(peri.ops()) do
      if not covered[op.name] and not WITHOUT[op.name] then missing[#missing + 1] = op.name end
      covered[op.name] = nil
    end
    assert.same({}, missing)
    assert.is_nil(next(covered)) -- of a row that is no more
  end)
end)
