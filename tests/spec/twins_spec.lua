-- Every row of the operation table against its twin (support/twins.lua): values, shapes and dtypes, in each dtype and
-- each form.
local peri = require "perilune"
local samples = require "support.samples"
local array = require "support.array"
local compare = require "support.compare"
local twins = require "support.twins"
local random = require "support.twins.random"

local DTYPES = { "float32", "float64", "int64", "uint8", "bool" }
local STRIDED = { float32 = true, int64 = true, bool = true } -- of each size one
local SEED = 0x123456789ABCDE

collectgarbage "incremental" -- twins make many small tables, of which a young generation is never young for long

-- Arguments by name, tensors as arrays.
local function as_arrays(value)
  if peri.is_tensor(value) then return array.of(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = as_arrays(item) end
  return copy
end

local function list_arrays(value, found)
  if array.is(value) then
    found[#found + 1] = value
  elseif type(value) == "table" then
    for _, item in pairs(value) do list_arrays(item, found) end
  end
  return found
end

-- What the twin gives as a packed list, or nil where it refuses.
local function ask(entry, p, stream)
  local results = table.pack(pcall(entry[1], p, stream))
  if results[1] then return table.pack(table.unpack(results, 2, results.n)) end
  if not array.is_refusal(results[2]) then error(results[2], 0) end
end

local function spread(arguments) return table.unpack(arguments, 1, #arguments) end

-- The row's samples and the twin's cases in a dtype, each with words that say where it comes from. Some cannot be made
-- in each dtype, but all can in floats.
local function each_case(op, entry, options, visit)
  for _, source in ipairs { "sample", "case" } do
    local lists = samples.arguments(op, {
      dtype = options.dtype, make = options.make, skip = not options.dtype:find "float",
      text = source == "case" and (entry[2] or "") or nil,
    })
    for i, arguments in ipairs(lists) do
      visit(arguments, ("%s, %s %d, %s%s"):format(op.name, source, i, options.dtype, options.words or ""))
    end
  end
end

local function check_refused(op, where, arguments, f)
  local tensors = samples.tensors(arguments)
  local before = samples.all_bits(tensors)
  local ok, message = pcall(f)
  assert.is_false(ok, where .. ": was computed, the twin refuses")
  assert.truthy(message:find(op.name, 1, true), where .. ": " .. message)
  assert.equal(before, samples.all_bits(tensors), where .. ": the arguments were changed")
end

local function check_results(entry, p, want, got, where)
  local options = { close = entry.close, moves = entry.moves, inputs = list_arrays(p, {}) }
  if entry.check then
    local results = {}
    for k = 1, got.n do results[k] = array.of(got[k]) end
    local function close(a, b, words) compare.arrays(a, b, where .. ", " .. words, options) end
    entry.check(p, close, table.unpack(results))
    return
  end
  assert.equal(want.n, got.n, where .. ": number of results")
  for k = 1, want.n do compare.result(want[k], got[k], ("%s, result %d"):format(where, k), options) end
end

-- A view shows what is written to its operand, and the result of a row that is not for views never does.
local function check_memory(op, arguments, got, where)
  local results = {}
  for k = 1, got.n do results[k] = peri.is_tensor(got[k]) and got[k] or nil end
  local before = samples.all_bits(results)
  for _, x in ipairs(samples.tensors(arguments)) do pcall(x.fill_, x, 1) end -- expanded ones cannot be written
  if op.view then
    for _, result in ipairs(results) do assert.is_true(result:eq(1):all(), where .. ": is no view") end
  else
    assert.is_true(before == samples.all_bits(results), where .. ": the result shares memory with an operand")
  end
end

-- Calls the row with one list of arguments and compares; true where it was computed.
local function check_call(op, entry, call, arguments, where)
  local p = as_arrays(samples.bind(op, arguments))
  local want = ask(entry, p, random.stream(SEED))
  if not want then
    check_refused(op, where, arguments, function() call(spread(arguments)) end)
    return false
  end
  peri.manual_seed(SEED)
  local got = table.pack(call(spread(arguments)))
  check_results(entry, p, want, got, where)
  if op.writes then
    assert.equal(arguments[1], got[1], where .. ": gives its target")
  elseif not op.allocates then
    check_memory(op, arguments, got, where)
  end
  return true
end

describe("the twin of #once", function()
  samples.each(function(op, call)
    local entry = twins[op.name]

    it(op.name .. " computes the same", function()
      assert(entry, op.name .. " has no twin in support/twins")
      local computed = 0
      local function visit(arguments, where)
        if check_call(op, entry, call, arguments, where) then computed = computed + 1 end
      end
      for _, dtype in ipairs(op.creates and { "float32" } or DTYPES) do
        each_case(op, entry, { dtype = dtype }, visit)
        if STRIDED[dtype] and not entry.contiguous and not (op.creates or op.random) then
          each_case(op, entry, { dtype = dtype, make = samples.scatter, words = ", strided" }, visit)
        end
      end
      assert.is_true(computed > 2, op.name .. " computed too little")
    end)
  end)

  it("no row that is not there", function()
    local rows = {}
    for _, op in ipairs(peri.ops()) do rows[op.name] = true end
    for name in pairs(twins) do assert.is_true(rows[name], name .. " has a twin and no row") end
  end)
end)

-- ---- the other forms of a row ----

local metamethods = {
  __add = function(a, b) return a + b end, __sub = function(a, b) return a - b end,
  __mul = function(a, b) return a * b end, __div = function(a, b) return a / b end,
  __mod = function(a, b) return a % b end, __pow = function(a, b) return a ^ b end,
  __idiv = function(a, b) return a // b end, __unm = function(a) return -a end, __bnot = function(a) return ~a end,
  __band = function(a, b) return a & b end, __bor = function(a, b) return a | b end,
  __bxor = function(a, b) return a ~ b end, __shl = function(a, b) return a << b end,
  __shr = function(a, b) return a >> b end,
}

-- The other ways to call a row with these arguments.
local function other_forms(op, call, arguments)
  local forms, method = {}, not op.no_method and op.name:match "^[%w_]+$"
  forms["the call by names"] = function() return call(samples.bind(op, arguments)) end
  if method and peri.is_tensor(arguments[1]) then
    forms["the method"] = function() return arguments[1][method](spread(arguments)) end
  end
  if op.metamethod and #arguments <= 2 then
    local operator = assert(metamethods[op.metamethod], op.metamethod)
    forms["the operator"] = function() return operator(spread(arguments)) end
  end
  return forms
end

-- What a call gives, as text, or "refused". The target of a row that writes begins with the values `before`.
local function outcome(f, target, before)
  if before then target:copy_(before) end
  peri.manual_seed(SEED)
  local results = table.pack(pcall(f))
  if not results[1] then return "refused" end
  return samples.all_bits(table.pack(table.unpack(results, 2, results.n)))
end

-- In place the result has the target's shape and dtype; float64 operands of a float32 target are taken as float32.
local function check_in_place(op, entry, in_place, arguments, where)
  local target = arguments[1]
  if not peri.is_tensor(target) then return false end
  local p = as_arrays(samples.bind(op, arguments))
  for name, value in pairs(p) do
    if array.is(value) and value.dtype == "float64" and target.dtype == "float32" then
      p[name] = array.to(value, "float32")
    end
  end
  local want = ask(entry, p)
  local fits = want and array.CATEGORY[want[1].dtype] <= array.CATEGORY[target.dtype] and
               table.concat(want[1].shape, "x") == table.concat(target.shape, "x")
  if not fits then
    check_refused(op, where, arguments, function() in_place(spread(arguments)) end)
    return false
  end
  local before = target:clone()
  for words, f in pairs { ["by place"] = function() return in_place(spread(arguments)) end,
                          ["by names"] = function() return in_place(samples.bind(op, arguments)) end } do
    target:copy_(before)
    assert.equal(target, f(), where .. ", " .. words .. ": gives its target")
    check_results(entry, p, { n = 1, array.to(want[1], target.dtype) }, { n = 1, target }, where .. ", " .. words)
  end
  return true
end

describe("the forms of #once", function()
  samples.each(function(op, call)
    local entry = twins[op.name]

    it(op.name .. " are one", function()
      local compared = 0
      for _, dtype in ipairs(op.creates and { "float32" } or { "float32", "int64", "bool" }) do
        each_case(op, entry, { dtype = dtype }, function(arguments, where)
          local target = arguments[1]
          local before = op.writes and target:clone()
          local expected = outcome(function() return call(spread(arguments)) end, target, before)
          for words, f in pairs(other_forms(op, call, arguments)) do
            local got = outcome(f, target, before)
            assert.is_true(expected == got, ("%s: %s gives another result"):format(where, words))
            compared = compared + 1
          end
        end)
      end
      assert.is_true(compared > 0)
    end)

    if op.in_place then
      it(op.name .. "_ writes what its twin computes", function()
        local in_place, written = samples.find(op.name .. "_"), 0
        for _, dtype in ipairs(DTYPES) do
          local function visit(arguments, where)
            if check_in_place(op, entry, in_place, arguments, where) then written = written + 1 end
          end
          each_case(op, entry, { dtype = dtype, words = ", in place" }, visit)
          if STRIDED[dtype] then
            each_case(op, entry, { dtype = dtype, make = samples.scatter, words = ", in place, strided" }, visit)
          end
        end
        assert.is_true(written > 2, op.name .. "_ wrote too little")
      end)
    end
  end)
end)
