-- Plans join elementwise neighbours: every row that does, and random chains of them, give the bits of the steps one by
-- one, for any size around the block, views, writes in place and threads.
local peri = require "perilune"
local samples = require "support.samples"

local BLOCK, LEAST = 2048, 16384 -- elements: of a block, and up to which nothing is joined
local DTYPES = os.getenv "PERILUNE_SANITIZED" and { "float32" } or { "float32", "float64" }
local threads = peri.get_num_threads()

local function bits_of(f, ...)
  local results = table.pack(f(...))
  for k = 1, results.n do results[k] = samples.bits(results[k]) end
  return table.concat(results, "\n")
end

-- How often a row stands within a joined step of the plan.
local function joined(plan, name)
  local n = 0
  for _, step in ipairs(plan:steps()) do
    if step.within and (step.name == name or not name) then n = n + 1 end
  end
  return n
end

-- The row's samples with as many elements as are joined, at another place of the stream for each seed; those that are
-- broadcast are left out.
local function arguments_of(op, dtype, seed)
  local set = peri.manual_seed
  peri.manual_seed = function(s) set(s + seed) end
  local function draw(row, sizes, kind)
    local shape = #sizes == 0 and {} or sizes[1] == 3 and sizes[2] == 4 and { LEAST + BLOCK + 37 } or sizes
    if kind == "bool" then return peri.rand(shape):gt(0.5) end
    local low, high = row.low, row.high
    if low == high then low, high = -3, 3 end
    return (peri.rand(shape, { dtype = "float64" }) * (high - low) + low):to(dtype)
  end
  local lists = samples.arguments(op, { dtype = dtype, draw = draw })
  peri.manual_seed = set
  for s = #lists, 1, -1 do
    local large, others = 0, 0
    for _, t in ipairs(samples.tensors(lists[s])) do
      if t:numel() > LEAST then large = large + 1 elseif t:numel() ~= 1 then others = others + 1 end
    end
    if large == 0 or others > 0 then lists[s] = false end
  end
  return lists
end

local function with_tensors(list, visit)
  local copy = {}
  for key, value in pairs(list) do
    copy[key] = peri.is_tensor(value) and visit(value) or type(value) == "table" and with_tensors(value, visit) or value
  end
  return copy
end

-- The row between two products, with the gradient of a weight; and in place, of which there is none.
local function step_of(op, call, list, weight)
  local tensors, place = {}, {}
  with_tensors(list, function(t)
    tensors[#tensors + 1] = t
    return t
  end)
  for i, t in ipairs(samples.tensors(list)) do place[t] = i end
  return function(...)
    local given = { ... }
    local first = true
    local filled = with_tensors(list, function(t)
      local x = given[place[t]]
      if first and x.dtype:find "float" and x:dim() > 0 then
        x, first = x * weight, false
      end
      return x
    end)
    local y = call(table.unpack(filled, 1, #filled))
    if y.dtype == "bool" then
      y = peri.where(y, 1.5, filled[1].dtype == "bool" and given[1]:to "float64" or filled[1])
    end
    local z = y * 0.5
    if not z.requires_grad then return z end
    weight.grad:zero_()
    ;(z * z):sum():backward()
    return z:detach(), weight.grad:clone()
  end
end

local function in_place_step(call, list)
  local place = {}
  for i, t in ipairs(samples.tensors(list)) do place[t] = i end
  return function(...)
    local given = { ... }
    local filled = with_tensors(list, function(t) return given[place[t]] end)
    local y = filled[1].dtype == "bool" and filled[1]:clone():logical_not() or filled[1] * 1.25
    filled[1] = y
    call(table.unpack(filled, 1, #filled))
    return y
  end
end

local function compare(where, step, sets)
  local plan = peri.replay(step)
  for i, tensors in ipairs(sets) do
    local expected = bits_of(step, table.unpack(tensors))
    peri.set_num_threads(({ 1, 7 })[i])
    local got = bits_of(plan, table.unpack(tensors))
    peri.set_num_threads(threads)
    assert(expected == got, where .. ", set " .. i)
  end
  assert(plan.replays >= 1, where .. ": " .. tostring(plan.reason))
  return plan
end

describe("joined steps of #once", function()
  local rows = 0
  samples.each(function(op, call)
    if not op.joins then return end
    rows = rows + 1
    it(op.name .. " give what they give one by one", function()
      for _, dtype in ipairs(DTYPES) do
        local sets = { arguments_of(op, dtype, 0), arguments_of(op, dtype, 1) }
        for s, list in ipairs(sets[1]) do
          if list and (samples.tensors(list)[1].dtype ~= "int64") then
            local given = {}
            for i, set in ipairs(sets) do given[i] = samples.tensors(set[s]) end
            local weight = peri.nn.Parameter(peri.full({ LEAST + BLOCK + 37 }, 1.25, { dtype = dtype }))
            ;(weight * weight):sum():backward()
            local where = ("%s of %s, sample %d"):format(op.name, dtype, s)
            local plan = compare(where, step_of(op, call, list, weight), given)
            assert(joined(plan, op.name) > 0, where .. " is not joined")
            local form = op.in_place and peri[op.name .. "_"]
            if form and given[1][1]:numel() > LEAST and peri.is_tensor(list[1]) then
              plan = compare(where .. ", in place", in_place_step(form, list), given)
              assert(joined(plan, op.name) > 0, where .. ", in place, is not joined")
            end
          end
        end
      end
    end)
  end)
  it("are those of more than ninety rows", function() assert(rows > 90, rows) end)
end)

-- ---- random chains ----

local UNARY = { "tanh", "exp", "abs", "neg", "sigmoid", "relu", "sin", "sqrt", "erf", "softplus", "square" }
local BINARY = { "add", "sub", "mul", "maximum", "div", "atan2" }

-- A list of instructions over numbered values; each has what it reads by number.
local function program(length)
  local list = {}
  for i = 1, length do
    local kind = math.random(14)
    local a, b = math.random(64), math.random(64)
    list[i] = { kind = kind, a = a, b = b, unary = UNARY[a % #UNARY + 1], binary = BINARY[b % #BINARY + 1],
                number = (a - 20) / 16 }
  end
  return list
end

-- Runs it on x, a vector of n, z, a vector of 2 n, and a number; state is written in place, weight gets a gradient.
local function chain(list, n, state, weight)
  return function(x, z, number)
    local values = { x * weight, z:narrow(1, 1, n) + x, x }
    local function at(k) return values[k % #values + 1] end
    local scratch = z * 2
    for _, i in ipairs(list) do
      local a, b = at(i.a), at(i.b)
      local y
      local kind = i.kind
      if kind <= 3 then
        y = a[i.unary](a)
      elseif kind <= 5 then
        y = a[i.binary](a, b)
      elseif kind == 6 then
        y = a * i.number
      elseif kind == 7 then
        y = i.number - number * a
      elseif kind == 8 then
        y = peri.where(a:gt(b), a, b * 0.5)
      elseif kind == 9 then
        y = a:clamp(-1, 1.5)
      elseif kind == 10 then
        y = a - a:mean()
      elseif kind == 11 then
        y = a:detach():clone()
        y:mul_(1.5):add_(b:detach())
      elseif kind == 12 then -- halves of one buffer, one written while the other is read
        local low, high = scratch:narrow(1, 1, n), scratch:narrow(1, n + 1, n)
        high:add_(low)
        low:copy_(a:detach())
        y = high:clone() * a
      elseif kind == 13 then
        state:mul_(0.5):add_(a:detach())
        y = a * state:clone()
      else -- shifted by one place: what is written is read elsewhere
        local low, high = scratch:narrow(1, 1, n), scratch:narrow(1, 2, n)
        low:mul_(0.5)
        y = high:clone() + a
      end
      values[#values + 1] = y
    end
    local total = values[1] + values[#values]
    for k = 4, #values - 1, 3 do total = total + values[k] end
    weight.grad:zero_()
    total:mean():backward()
    weight:detach():sub_(weight.grad * 0.01)
    return total:detach(), scratch, values[2]
  end
end

-- The step by itself and the plan from the same state, three times.
local function compare_chain(where, list, n, dtype)
  local options = { dtype = dtype }
  local state = peri.rand({ n }, options)
  local weight = peri.nn.Parameter(peri.rand({ n }, options) + 0.5)
  ;(weight * weight):sum():backward()
  local step = chain(list, n, state, weight)
  local plan, saved = peri.replay(step), { state:clone(), weight:detach():clone() }
  local function run(f, ...)
    state:copy_(saved[1])
    weight:detach():copy_(saved[2])
    return bits_of(function(...)
      local y, scratch, value = f(...)
      return y, scratch, value, state, weight:detach(), weight.grad
    end, ...)
  end
  for i = 1, 3 do
    local x, z = peri.randn({ n }, options), peri.randn({ 2 * n + 1 }, options)
    peri.set_num_threads(({ 1, 2, 7 })[i])
    local expected = run(step, x, z, 0.75)
    peri.set_num_threads(({ 7, 1, 2 })[i])
    local got = run(plan, x, z, 0.75)
    peri.set_num_threads(threads)
    assert(expected == got, ("%s, %d elements of %s, run %d"):format(where, n, dtype, i))
  end
  assert(plan.replays == 2, where .. ": " .. tostring(plan.reason))
  return plan
end

describe("chains of elementwise steps of #once", function()
  it("give the bits of the steps, for all sizes", function()
    math.randomseed(11)
    peri.manual_seed(11)
    local most = 0
    for k, n in ipairs { 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, LEAST, LEAST + 1, LEAST + BLOCK, 2 * LEAST, 2 * LEAST + 1,
                         3 * LEAST - 1, 70001 } do
      for _, dtype in ipairs { "float32", "float64" } do
        local plan = compare_chain("chain " .. k, program(18), n, dtype)
        assert(n > LEAST == (joined(plan) > 0), ("chain %d of %d: %s"):format(k, n, plan))
        most = math.max(most, joined(plan))
      end
    end
    assert(most > 20, most)
  end)
  it("give them for many chains", function()
    math.randomseed(12)
    peri.manual_seed(12)
    for k = 1, os.getenv "PERILUNE_SANITIZED" and 6 or 24 do
      local dtype = k % 2 == 0 and "float32" or "float64"
      compare_chain("chain " .. k, program(6 + k % 40), LEAST + 1 + (k * 997) % 40000, dtype)
    end
  end)
end)

describe("a plan with joined steps", function()
  local n = 100000
  local function loss(a, b)
    return function(w)
      local y = ((a - b) ^ 2 * w + 0.1):tanh():mean()
      a.grad:zero_()
      y:backward()
      return y:detach()
    end
  end
  local function parameter()
    local a = peri.rand({ n }):requires_grad_()
    a:sum():backward()
    return a
  end

  it("says what is joined, and needs no memory for what is between", function()
    local a, b = parameter(), peri.rand { n }
    local plan = peri.replay(loss(a, b))
    plan(0.5)
    local steps = plan:steps()
    local whole, parts = nil, {}
    for i, step in ipairs(steps) do
      if step.kind == "joined" then whole = whole or i end
      if step.within == whole and whole then
        parts[#parts + 1] = step.name
        assert.is_nil(step.bytes)
      end
    end
    assert.equal("sub pow mul add tanh tanh mul", table.concat(parts, " "):match "^sub pow mul add tanh tanh mul")
    assert.is_true(steps[whole].bytes < 24 * n)
    assert.is_true(plan.bytes < 16 * n, plan.bytes)
    assert.truthy(tostring(plan):find("joined, %d+ steps +%d+ bytes"))
  end)

  it("is stopped wherever it looks, and goes on the next time", function()
    local a, b = parameter(), peri.rand { n }
    local step = loss(a, b)
    local plan = peri.replay(step)
    plan(0.5)
    local function bits(f) return bits_of(f, 0.5) .. samples.bits(a.grad) end
    local expected = bits(step)
    assert.equal(expected, bits(plan))
    peri._looks(0)
    plan(0.5)
    local looks = peri._looks()
    assert(looks > 8, looks)
    local stopped = 0
    for k = 1, looks do
      peri._looks(k)
      local ok, message = pcall(plan, 0.5)
      peri._looks()
      if not ok then stopped = stopped + 1 end -- what has begun to write in place ends first
      assert(ok or tostring(message):find("interrupted", 1, true), message)
      assert.equal(expected, bits(plan))
    end
    assert(stopped > 8, stopped)
  end)

  it("writes to what is outside wholly, or not at all", function()
    local x, state = peri.rand { n }, peri.rand { n }
    local plan = peri.replay(function(y)
      state:mul_(0.5):add_(y):tanh_()
      return y * state
    end)
    plan(x)
    plan(x)
    assert.equal(4, joined(plan))
    peri._looks(0)
    plan(x)
    for k = 1, peri._looks() do
      local before = state:clone()
      local after = ((before * 0.5) + x):tanh()
      peri._looks(k)
      local ok = pcall(plan, x)
      peri._looks()
      assert(state:equal(after) or (not ok and state:equal(before)))
    end
  end)

  it("writes to nothing outside before what may fail first has not", function()
    local x, state, one = peri.rand { n }, peri.rand { n }, peri.ones({ 3 }, { dtype = "int64" })
    local plan = peri.replay(function(y, d)
      local t = y * 2
      local u = t + 1
      local q = (d + 1) // (d * 1) -- where that has zeros it fails
      state:add_(t):add_(u)
      return q
    end)
    for _ = 1, 3 do plan(x, one) end
    assert(joined(plan, "mul") > 0 and plan.replays == 2)
    local before = state:clone()
    assert.is_false(pcall(plan, x, peri.zeros({ 3 }, { dtype = "int64" })))
    assert.equal(samples.bits(before), samples.bits(state))
    plan(x, one)
    local t = x * 2
    assert.equal(samples.bits(before:add(t):add(t + 1)), samples.bits(state))
  end)

  it("leaves large gradients as the step does, wherever it is stopped", function()
    local p, q, x = peri.nn.Parameter(peri.rand { n }), peri.nn.Parameter(peri.rand { 3 }), peri.rand { n }
    local optimizer = peri.optim.SGD({ p, q }, { lr = 0.5 })
    local function step(y)
      optimizer:zero_grad()
      local l = ((p - y) ^ 2 * q:sum()):tanh():sum()
      l:backward()
      optimizer:step()
      return l:detach()
    end
    local plan = peri.replay(step)
    for _ = 1, 4 do plan(x) end
    local saved, before = { p:detach():clone(), q:detach():clone() }, p.grad:clone()
    local function reset()
      p:detach():copy_(saved[1])
      q:detach():copy_(saved[2])
      p.grad:copy_(before)
    end
    reset()
    step(x)
    local after, stepped = p.grad:clone(), p:detach():clone()
    reset()
    peri._looks(0)
    plan(x)
    local looks, seen = peri._looks(), {}
    assert(p.grad:equal(after) and p:equal(stepped))
    for k = 1, looks do
      reset()
      peri._looks(k)
      local ok = pcall(plan, x)
      peri._looks()
      local is = p.grad:equal(before) and "before" or p.grad:equal(after) and "after" or "zeros"
      assert(is ~= "zeros" or not p.grad:ne(0):any())
      assert(p:equal(ok and stepped or saved[1]) or is == "after")
      seen[is] = true
    end
    assert(seen.before and seen.zeros and seen.after)
  end)

  it("puts nothing in the place of an element that stands for all", function()
    local step = function(a, b)
      local sums = a:cumsum(1)
      return (b * sums:narrow(1, 1, 1) + 1):cumsum(1)
    end
    local plan = peri.replay(step)
    for _ = 1, 3 do
      local a, b = peri.rand { n }, peri.rand { n }
      assert.equal(bits_of(step, a, b), bits_of(plan, a, b))
    end
    assert.equal(2, joined(plan))
    local dense = peri.replay(function(a, b) return (a:cumsum(1) * b + 1):cumsum(1) end)
    for _ = 1, 2 do dense(peri.rand { n }, peri.rand { n }) end
    assert.equal(2, joined(dense))
    assert(dense.bytes < plan.bytes - 3 * n) -- there the sum takes the place of what it is made of
  end)

  it("takes memory for more threads before it begins", function()
    local state = peri.rand { n }
    local before, x = state:clone(), peri.rand { n }
    peri.set_num_threads(1)
    local plan = peri.replay(function(y) return state:mul_(0.5):add_(y):clone() end)
    plan(x)
    peri.set_num_threads(5)
    state:copy_(before)
    peri._fail_after(1)
    local ok, message = pcall(plan, x)
    peri._fail_after(-1)
    assert(not ok and tostring(message):find("out of memory", 1, true), message)
    assert.equal(samples.bits(before), samples.bits(state))
    local expected = samples.bits(before * 0.5 + x)
    assert.equal(expected, samples.bits(plan(x)))
    peri.set_num_threads(threads)
  end)
end)
