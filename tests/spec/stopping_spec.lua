-- A context that the host has stopped: with the flag up every function of the module fails at once; raised while a row
-- is at work on large data, the row ends at its next look. Nothing is measured in time: looks at the flag are counted
-- (peri._looks), and the flag raises itself at one of them.
local peri = require "perilune"
local samples = require "support.samples"
local internal = require "support.internal"

-- What f does when the flag is up from look n on: whether it was interrupted, else what it gave or raised.
local function stopped_at(n, f, ...)
  peri._looks(n)
  local ok, message = pcall(f, ...)
  peri._looks()
  if not ok and tostring(message):find("interrupted", 1, true) then return true end
  return false, ("%s %s"):format(ok and "gave" or "raised", tostring(message))
end

local function looks_of(f, ...)
  peri._looks(0)
  local ok, message = pcall(f, ...)
  local n = peri._looks()
  return ok and n or nil, message
end

-- ---- every function ----

-- What is there to let go, to tell of the module itself, or to keep tests going. None of them computes.
local ANSWERS = {}
for name in ([[peri._fail_after peri._looks peri.documentation peri.help peri.memory peri.now peri.ops peri.reference
  peri.data.formats peri.nn.layers peri.nn.losses peri.optim.optimizers peri.optim.schedules peri.svm.machines
  peri.run.json peri.train.unfinished]]):gmatch "%S+" do
  ANSWERS[name] = true
end

describe("with the flag up #once", function()
  local answered, count, seen = {}, 0, {}

  -- Metamethods of classes written in Lua are called on objects of theirs alone.
  local function try(name, f)
    if seen[f] or ANSWERS[name] or name:find "[.:]__" then return end
    seen[f], count = true, count + 1
    local ok, did = stopped_at(1, f, nil)
    if not ok then answered[#answered + 1] = ("%s %s"):format(name, did) end
  end

  local function walk(t, name)
    if seen[t] then return end
    seen[t] = true
    for key, value in pairs(t) do
      local path = ("%s.%s"):format(name, key)
      if type(value) == "function" then try(path, value) end
      if type(value) == "table" then walk(value, path) end
    end
  end

  it("every function of the module fails at once", function()
    for _, part in ipairs(internal.parts) do assert(peri[part.name:match "^[^.]+"]) end
    walk(peri, "peri")
    for _, class in ipairs(internal.class_list) do
      for name, f in pairs(class.methods) do
        if type(f) == "function" then try(("%s:%s"):format(class.name, name), f) end
      end
    end
    table.sort(answered)
    assert.equal("", table.concat(answered, "\n"))
    assert.is_true(count > 800)
  end)

  it("memory is given back", function()
    local x, y = peri.ones(1000), peri.ones(1000)
    peri._looks(1)
    assert.is_false((pcall(peri.exp, x)))
    x:release()
    do local _ <close> = y end
    peri._looks()
    for _, gone in ipairs { x, y } do assert.matches("released", tostring(gone)) end
  end)

  it("what a pass had changed is put back", function()
    local net = peri.nn.Sequential(peri.nn.Linear(3, 3), peri.nn.Dropout())
    local all = looks_of(peri.nn.summary, net, { 2, 3 })
    for n = 1, all do
      local stopped = stopped_at(n, peri.nn.summary, net, { 2, 3 })
      assert.is_true(stopped or n > all - 20) -- while it is put back, nothing stops
      assert.is_true(net.training and net[2].training)
    end
  end)
end)

-- ---- every row ----

local ELEMENTS = 1 << 20

local function function_of(op)
  local f = peri
  for name in op.name:gmatch "[^.]+" do f = f[name] end
  return f
end

-- Full tensors are made faster than random ones. What would be far larger than is wanted fits no other argument either.
local function fill(op, sizes, dtype)
  local low, high, n = op.low, op.high, 1
  for _, size in ipairs(sizes) do n = n * size end
  if n > 64 * ELEMENTS then error "too large" end
  if dtype == "bool" then return peri.ones(sizes, { dtype = "bool" }) end
  if low == high then low, high = -3, 3 end
  return peri.full(sizes, low + 0.6 * (high - low), { dtype = "float32" }):to(dtype)
end

local function arguments(op, text, scale)
  local lists, made = samples.arguments(op, { text = text, scale = scale, draw = fill })
  return lists[1], made
end

-- By how much the sizes of a list are to be multiplied so that its largest tensor has so many elements; nil when none
-- grows.
local function scale_of(made)
  local largest, dims
  for _, t in ipairs(made) do
    local d = 0
    for _, size in ipairs(t.shape) do d = d + (size > 1 and 1 or 0) end
    if d > 0 and t:numel() > (largest or 0) then largest, dims = t:numel(), d end
  end
  return largest and math.ceil((ELEMENTS / largest) ^ (1 / dims))
end

-- Rows that have no list here whose work grows with the tensors in it:
local NOTHING = {}
for name in ([[
  detach flatten reshape contiguous
  zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full
  inverse slogdet
  combinations cross kron matrix_exp matrix_power multinomial diag layer_norm rms_norm random_crop]]):gmatch "%S+" do
  -- views; below, by size; LAPACK; sizes that are fixed by others, below where they are loops of their own
  NOTHING[name] = true
end

local function is_lapack(op) return op.name:find "^linalg%." or op.name:find "^cholesky_" end

-- Lists that the samples have only in small.
local FURTHER = {
  zeros = { 1 << 26 }, ones = { 1 << 26 }, full = { { 1 << 26 }, 7 }, eye = { 4000 }, arange = { 1, 1 << 24 },
  linspace = { 0, 1, 1 << 24 }, rand = { 1 << 24 }, randn = { 1 << 24 }, randperm = { 1 << 22 },
  randint = { 1, 6, { 1 << 24 } }, tril_indices = { 3000, 3000 },
  zeros_like = { peri.zeros(1):expand(1 << 26) }, full_like = { peri.zeros(1):expand(1 << 26), 2 },
  layer_norm = { peri.ones(5000, 300), 300 }, rms_norm = { peri.ones(5000, 300), 300 },
  multinomial = { peri.ones(1000, 1000), 5, { replacement = true } },
}

describe("raised while a row is at work on large data #once #slow", function()
  local threads
  setup(function()
    threads = peri.get_num_threads()
    peri.set_num_threads(1)
  end)
  teardown(function() peri.set_num_threads(threads) end)

  -- Whether the row, which looks a few times on the small list, is stopped at the next look on the large one.
  local function is_stopped(f, small, large)
    local few = looks_of(f, table.unpack(small))
    return few and stopped_at(few + 1, f, table.unpack(large))
  end

  -- How many lists of the row's sample were stopped.
  local function try(op)
    local f, stopped = function_of(op), 0
    for text in op.sample:gmatch "%b{}" do
      local small, made = arguments(op, text, 1)
      local scale = scale_of(made)
      local fits, large = pcall(arguments, op, text, scale)
      if scale and fits and is_stopped(f, small, large) then stopped = stopped + 1 end
    end
    return stopped
  end

  it("the row ends", function()
    local problems = {}
    for _, op in ipairs(peri.ops()) do
      local out = op.view or op.creates or op.writes or is_lapack(op) or NOTHING[op.name]
      if not out and op.sample:find "T%(" and try(op) == 0 then problems[#problems + 1] = op.name end
    end
    assert.equal("", table.concat(problems, "\n"))
  end)

  for name, list in pairs(FURTHER) do
    it(name .. " ends", function()
      local few = looks_of(peri[name], table.unpack(list))
      assert.is_true(few > 4 and (stopped_at(4, peri[name], table.unpack(list)))) -- the call itself looks twice
    end)
  end

  it("what writes in place is finished first", function()
    local x = peri.zeros(ELEMENTS)
    for _, f in ipairs { function() x:fill_(7) end, function() x:add_(1) end, function() x:exp_() end } do
      local all = looks_of(f)
      local before = x:clone()
      for n = 4, all, 16 do
        local ok = stopped_at(n, f)
        assert.is_true(ok or x:min():item() == x:max():item())
        x:copy_(before)
      end
    end
  end)
end)
