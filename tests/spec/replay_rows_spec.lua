-- Steps that are replayed give the bits of the steps themselves: for every row of the operation table, with its
-- gradient, on other values than those that were recorded. A row that refuses is named here.
local peri = require "perilune"
local samples = require "support.samples"

-- What does not become a plan, in a sample at least, by its reason. Lists and whole numbers that a sample gives as a
-- table become tensors within the step; so do matrices that LAPACK's pivots name, and exponents of matrix_exp.
local REASONS = {
  ["a shape by values"] = "argwhere index index_put masked_scatter masked_select nonzero unique unique_consecutive",
  ["follows from values that the step computes"] = "cross_entropy repeat_interleave",
  ["a tensor is made in it"] = "embedding_bag rnn_sequence gru_sequence lstm_sequence linalg.lstsq linalg.lu "
    .. "linalg.lu_solve linalg.matrix_exp matrix_exp",
  ["no variable of its own"] = "tile vander",
}
local REFUSED = {}
for reason, names in pairs(REASONS) do
  for name in names:gmatch "%S+" do REFUSED[name] = reason end
end

-- The arguments of a row's samples, with values of a seed: the spec's own, since samples have but one.
local function arguments_of(op, seed)
  local set = peri.manual_seed
  peri.manual_seed = function(s) set(s + seed) end
  local ok, lists = pcall(samples.arguments, op, { dtype = "float64" })
  peri.manual_seed = set
  assert(ok, lists)
  return lists
end

-- The list with its tensors, also those in tables, replaced by what visit makes of each.
local function rebuilt(list, visit)
  local copy = {}
  for key, value in pairs(list) do
    if peri.is_tensor(value) then
      copy[key] = visit(value)
    elseif type(value) == "table" then
      copy[key] = rebuilt(value, visit)
    else
      copy[key] = value
    end
  end
  return copy
end

-- The tensors of a list in an order of their own, and a function that puts others in their places.
local function opened(list)
  local tensors, place = {}, {}
  local marked = rebuilt(list, function(t)
    tensors[#tensors + 1] = t:detach()
    return t
  end)
  for i, t in ipairs(samples.tensors(list)) do place[t] = i end
  local order = {}
  for i, t in ipairs(samples.tensors(marked)) do order[i] = t:detach() end
  return order, function(...)
    local given = { ... }
    return rebuilt(list, function(t) return given[place[t]] end)
  end
end

local function step_of(op, call, fill, w)
  return function(...)
    local given = { ... }
    for i, t in ipairs(given) do
      if op.gradient and t.dtype == "float64" then given[i] = t * w end
    end
    local list = fill(table.unpack(given))
    local y = table.pack(call(table.unpack(list, 1, #list)))
    local total
    local results = {}
    for k = 1, y.n do
      results[k] = y[k]:detach()
      if y[k].requires_grad then
        local term = (y[k] * y[k] * (k + 0.5)):sum()
        total = total and total + term or term
      end
    end
    if total then
      w.grad:zero_()
      total:backward()
      results[#results + 1] = w.grad:clone()
    end
    return table.unpack(results)
  end
end

local function run(f, tensors)
  peri.manual_seed(5)
  local results = table.pack(pcall(f, table.unpack(tensors)))
  local text = results[1] and {} or { tostring(results[2]):gsub("^[^\n]-:%d+: ", ""):match "^[^\n]*" }
  for k = 2, results[1] and results.n or 0 do text[k - 1] = samples.bits(results[k]) end
  return table.concat(text, "\n"), results[1]
end

local function parameter()
  local w = peri.nn.Parameter(peri.full({ 1 }, 1.25, { dtype = "float64" }))
  ;(w * w):sum():backward()
  return w
end

local seen = {}

describe("a replay of #once", function()
  samples.each(function(op, call)
    it(op.name .. " gives what the row gives", function()
      local sets = { arguments_of(op, 0), arguments_of(op, 1), arguments_of(op, 2) }
      for s = 1, #sets[1] do
        local tensors, fill = opened(sets[1][s])
        local w = parameter()
        local step = step_of(op, call, fill, w)
        local gives, ok = run(step, tensors)
        if ok and #tensors > 0 then
          local plan = peri.replay(step)
          assert.equal(gives, (run(plan, tensors)), op.name .. ", recorded")
          if plan.reason then
            seen[op.name] = plan.reason
          else
            local failed = false
            for i = 2, #sets do
              local others = opened(sets[i][s])
              local expected, worked = run(step, others)
              failed = failed or not worked
              local stream = peri.get_rng_state():totable()[2]
              assert.equal(expected, (run(plan, others)), ("%s, sample %d, set %d"):format(op.name, s, i))
              assert.equal(stream, peri.get_rng_state():totable()[2])
            end
            assert.is_true(plan.replays >= 1 or failed, op.name .. " is not replayed")
          end
        end
      end
    end)
  end)

  it("some rows is refused, for these reasons", function()
    for name, reason in pairs(seen) do
      assert(REFUSED[name] and reason:find(REFUSED[name], 1, true), ("%s: %s"):format(name, reason))
    end
    for name in pairs(REFUSED) do assert(seen[name], name .. " is not refused any more") end
  end)
end)
