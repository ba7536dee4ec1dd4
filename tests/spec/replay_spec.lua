-- peri.replay: steps of every layer, loss and optimizer give the bits that they give without it, whatever changes in
-- between; and what cannot be replayed says why. Rows of operations are in replay_rows_spec.lua.
local peri = require "perilune"
local samples = require "support.samples"
local message = require("support.fails").message
local nn, optim = peri.nn, peri.optim

-- ---- two of everything: one steps by itself, the other is replayed ----

local state_bits = samples.state_bits

local function twins(build)
  peri.manual_seed(1)
  local a = build()
  peri.manual_seed(1)
  return a, (build())
end

-- Runs both with the same arguments from the same place of the stream, and compares all there is.
local function both(where, a, b, step, plan, ...)
  local stream = peri.get_rng_state()
  local expected = table.pack(step(...))
  local after = peri.get_rng_state():totable()
  peri.set_rng_state(stream)
  local got = table.pack(plan(...))
  assert.same(after, peri.get_rng_state():totable(), where .. ": the stream")
  assert.equal(expected.n, got.n, where)
  for k = 1, expected.n do
    assert.equal(samples.bits(expected[k]), samples.bits(got[k]), ("%s: result %d"):format(where, k))
  end
  assert.equal(state_bits(a), state_bits(b), where .. ": the state")
end

-- ---- every kind of layer and loss ----

local function read_samples(kind, seed)
  local env = { peri = peri }
  function env.T(...) return peri.rand({ ... }, { dtype = "float64" }) * 4 - 2 end
  function env.I(high, ...) return peri.randint(1, high, { ... }) end
  peri.manual_seed(seed)
  return assert(load("return {" .. kind.sample .. "}", "=sample of " .. kind.name, "t", env))()
end

-- A layer as a part of a net that is trained: what it gives is weighed and summed. Without parameters of its own a
-- weight that is multiplied with the input stands for them.
local function trainer(layer, weight, opt)
  return function(...)
    local inputs = { ... }
    opt:zero_grad()
    if inputs[1].dtype == "float64" then inputs[1] = inputs[1] * weight end
    local outputs, total = table.pack(layer(table.unpack(inputs))), nil
    for k = 1, outputs.n do
      local y = outputs[k]
      if y.requires_grad then total = (y * y):sum() * (0.25 * k) + (total or 0) end
      outputs[k] = y:detach()
    end
    if total then
      total:backward()
      opt:step()
    end
    return table.unpack(outputs, 1, outputs.n)
  end
end

-- What refuses, and how its reason begins: values that the layer itself reads.
local REFUSED = {
  EmbeddingBag = "a tensor is made in it", InstanceNorm2d = "running statistics",
  BatchNorm1d = "momentum follows from how many",
}

local refused = {}
describe("a replay of", function()
  for _, list in ipairs { nn.layers(), nn.losses() } do
    for _, kind in ipairs(list) do
      it(kind.name .. " gives the same bits in train and eval mode", function()
        local sets = {}
        for i = 1, 5 do sets[i] = read_samples(kind, i) end
        for s, sample in ipairs(sets[1]) do
          local a, b = twins(function() return nn[kind.name](table.unpack(sample[1])):to "float64" end)
          local wa = nn.Parameter(peri.full({ 1 }, 0.75, { dtype = "float64" }))
          local wb = nn.Parameter(wa:detach():clone())
          local pa, pb = a:parameters(), b:parameters()
          pa[#pa + 1], pb[#pb + 1] = wa, wb
          local step, other = trainer(a, wa, optim.SGD(pa, { lr = 0.01 })), trainer(b, wb, optim.SGD(pb, { lr = 0.01 }))
          local plan = peri.replay(other)
          for i = 1, 15 do
            if i == 6 then a:eval() b:eval() elseif i == 11 then a:train() b:train() end
            local inputs = sets[i % 5 + 1][s][2]
            local ok = pcall(step, table.unpack(inputs)) -- some samples do not fit a mode
            a:load_state_dict(b:state_dict()) -- what it has done is undone
            peri.no_grad(function()
              for k, p in ipairs(pa) do
                p:copy_(pb[k])
                if not pb[k].grad then p.grad = nil elseif p.grad then p.grad:copy_(pb[k].grad) end
              end
            end)
            if ok then
              both(("%s, sample %d, call %d"):format(kind.name, s, i), a, b, step, plan, table.unpack(inputs))
              assert.equal(samples.bits(wa), samples.bits(wb))
            end
          end
          if plan.reason then refused[kind.name] = plan.reason end
          assert.is_true(plan.replays > 0 or plan.reason ~= nil, kind.name .. " is not replayed")
        end
      end)
    end
  end

  it("some layers is refused, for these reasons", function()
    for name, reason in pairs(refused) do
      assert(REFUSED[name] and reason:find(REFUSED[name], 1, true), ("%s: %s"):format(name, reason))
    end
    for name in pairs(REFUSED) do assert(refused[name], name .. " is not refused any more") end
  end)
end)

-- ---- every optimizer ----

local function small_net(dtype)
  return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout { p = 0.25 }, nn.Linear(5, 2)):to(dtype or "float32")
end

local function classifier(net, opt, loss)
  loss = loss or nn.CrossEntropyLoss()
  return function(x, y)
    opt:zero_grad()
    local l = loss(net(x), y)
    l:backward()
    opt:step()
    return l
  end
end

local function batch(n, dtype) return peri.randn({ n, 3 }, { dtype = dtype or "float32" }), peri.randint(1, 2, n) end

describe("a replay with the optimizer", function()
  for _, kind in ipairs(optim.optimizers()) do
    if not kind.closure then
      for _, dtype in ipairs { "float32", "float64" } do
        it(("%s in %s gives the same bits while lr changes"):format(kind.name, dtype), function()
          local a, b = twins(function() return small_net(dtype) end)
          local oa, ob = optim[kind.name](a:parameters()), optim[kind.name](b:parameters())
          local step, plan = classifier(a, oa), peri.replay(classifier(b, ob))
          for i = 1, 12 do
            if i > 5 then oa.lr, ob.lr = 0.3 / i, 0.3 / i end
            both(kind.name .. ", call " .. i, a, b, step, plan, batch(4, dtype))
          end
          assert.is_true(plan.replays >= 8 or (plan.reason or ""):find "written in Lua" ~= nil, plan.reason)
        end)
      end
    end
  end
end)

-- ---- what may change between calls ----

describe("a replay notices", function()
  local a, b, oa, ob, step, plan
  before_each(function()
    a, b = twins(small_net)
    oa, ob = optim.Adam(a:parameters(), { lr = 0.01 }), optim.Adam(b:parameters(), { lr = 0.01 })
    step, plan = classifier(a, oa), peri.replay(classifier(b, ob))
  end)
  local function go(where, n, rows)
    for i = 1, n do both(("%s, call %d"):format(where, i), a, b, step, plan, batch(rows or 4)) end
  end
  local function each(f)
    f(a, oa)
    f(b, ob)
  end

  it("other numbers of rows", function()
    go("4 rows", 5)
    go("7 rows", 5, 7)
    local replays = plan.replays
    go("4 rows again", 5)
    assert.equal(replays + 5, plan.replays)
    assert.equal(2, plan.plans)
    for n = 1, 20 do go(n .. " rows", 2, n) end
  end)
  it("eval and train mode", function()
    go("train", 4)
    for i = 1, 3 do
      each(function(net) net:eval() end)
      go("eval " .. i, 3)
      each(function(net) net:train() end)
      go("train " .. i, 3)
    end
    assert.equal(2, plan.plans)
  end)
  it("fields of a module whose class promises to be replayed", function()
    local Net = nn.Module.extend("Net", { replays = true })
    function Net:init() self.fc, self.twice = nn.Linear(2, 2), false end
    function Net:forward(x)
      local y = self.fc(x)
      if self.scale then y = y * self.scale end
      if self.twice then y = y * 2 end
      return self.training and y or -y
    end
    local net = Net()
    local plain = peri.replay(function(x) return peri.no_grad(net, x) end)
    local function same(where)
      local before = plain.replays
      for _ = 1, 4 do
        local x = peri.randn(3, 2)
        assert.equal(peri.no_grad(net, x):bytes(), plain(x):bytes(), where)
      end
      assert.is_nil(plain.reason, where)
      assert.is_true(plain.replays >= before + 3, where)
    end
    same "as made"
    net.twice = true
    same "a field"
    net:eval()
    same "eval mode"
    net.scale = nn.Buffer(peri.rand(2))
    same "a buffer"
    peri.no_grad(function() net.fc.weight:mul_(2) net.scale:mul_(2) end)
    same "elements"
    net:to "float64"
    assert.matches("x is float32 but weight is float64", message(function() plain(peri.randn(3, 2)) end))
    net:to "float32"
    same "there and back"
    net.scale:release()
    assert.matches("released", message(function() plain(peri.randn(3, 2)) end))
    net.scale = nil
    net.scale = peri.rand(2)
    local other = peri.replay(function(x) return peri.no_grad(net, x) end)
    for _ = 1, 3 do assert.equal(peri.no_grad(net, peri.ones(1, 2)):bytes(), other(peri.ones(1, 2)):bytes()) end
    assert.matches("a tensor that is no argument", other.reason)
    local Own = nn.Module.extend("Own", { replays = true }) -- nothing but tensors of its own
    function Own:init() self.w, self.b = nn.Parameter(peri.ones(2)), nn.Buffer(peri.ones(2)) end
    function Own:forward(x) return x * self.w + self.b end
    local own = Own()
    local of_own = peri.replay(function(x) return peri.no_grad(own, x) end)
    for _ = 1, 3 do of_own(peri.ones(3, 2)) end
    assert.equal(2, of_own.replays)
    own:to "float64"
    assert.equal("float64", of_own(peri.ones(3, 2)).dtype)
    own.b:release()
    assert.matches("released", message(function() of_own(peri.ones(3, 2)) end))
    local part = Net:extend("Part")()
    local inherited = peri.replay(function(x) return peri.no_grad(part, x) end)
    inherited(peri.ones(1, 2))
    assert.matches("Part is a layer written in Lua", inherited.reason)
    assert.matches("extend: unknown option replay", message(function() nn.Module.extend("Net", { replay = true }) end))
    assert.matches("too many arguments", message(function() nn.Module.extend("Net", {}, 1) end))
  end)
  it("fields of a module that is made of others", function()
    for _, first in ipairs { false, true } do
      local one, other = twins(function()
        return nn.Sequential(nn.Linear(4, 6), nn.TransformerEncoderLayer(6, 2, { dim_feedforward = 8, dropout = 0.1 }),
          nn.PositionalEncoding(6, { dropout = 0.1 }))
      end)
      local nets = { one, other }
      local plans = { function(x) return peri.no_grad(one, x) end,
        peri.replay(function(x) return peri.no_grad(other, x) end) }
      local function same(where, replays)
        local before = plans[2].replays
        for i = 1, 4 do
          local x, got = peri.randn(3, 5, 4), {}
          for k = 1, 2 do
            peri.manual_seed(i)
            got[k] = plans[k](x):bytes()
          end
          assert.equal(got[1], got[2], where)
        end
        assert.is_nil(plans[2].reason, where)
        assert.is_true(plans[2].replays >= before + (replays or 3), where)
      end
      same "as made"
      for _, net in ipairs(nets) do net[2].dropout, net[2].self_attn.dropout = nn.Dropout { p = 0.5 }, 0.3 end
      same "another part, and an option"
      for _, net in ipairs(nets) do net:eval() end
      same "eval mode"
      for _, net in ipairs(nets) do net:train() end
      same("train mode again", 4)
      for _, net in ipairs(nets) do
        net[2].self_attn.batch_first, net[2].batch_first, net[3].batch_first = true, true, first
      end
      same "fields"
      for _, net in ipairs(nets) do net[3].pe = net[3].pe * 2 end
      same "a buffer"
      for _, net in ipairs(nets) do net[3].pe:mul_(2) end
      same("a buffer's elements", 4)
      for _, net in ipairs(nets) do net[2].self_attn.in_proj_weight.requires_grad = false end
      same "frozen"
      local net = other[2].self_attn
      function net:forward(x) return x, x end
      plans[2](peri.randn(3, 5, 4))
      plans[2](peri.randn(3, 5, 4))
      assert.matches("MultiheadAttention is a layer written in Lua", plans[2].reason)
    end
  end)
  it("parameters that are frozen, and thawed", function()
    go("all", 4)
    each(function(net) net[1].weight.requires_grad = false end)
    go("frozen", 4)
    each(function(net) net[1].weight.requires_grad = true end)
    go("thawed", 4)
  end)
  it("parameters that are written to, also by load_state_dict", function()
    go("before", 4)
    each(function(net) peri.no_grad(function() net[1].weight:mul_(0.5) end) end)
    go("written", 2)
    local state = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout { p = 0.25 }, nn.Linear(5, 2)):state_dict()
    each(function(net) net:load_state_dict(state) end)
    local replays = plan.replays
    go("loaded", 3)
    assert.equal(replays + 3, plan.replays)
  end)
  it("another dtype", function()
    go("float32", 4)
    each(function(net) net:to "float64" end)
    oa, ob = optim.Adam(a:parameters()), optim.Adam(b:parameters())
    local message_a = message(function() step(batch(4)) end)
    assert.equal(message_a, message(function() plan(batch(4)) end))
  end)
  it("gradients that are dropped", function()
    go("before", 4)
    each(function(net) net[1].weight.grad = nil end)
    go("dropped", 4)
    each(function(_, opt) opt:zero_grad() end)
    go("zeros", 4)
  end)
  it("a step of the optimizer's state, loaded", function()
    go("before", 4)
    local state = oa:state_dict()
    go("on", 2)
    each(function(_, opt) opt:load_state_dict(state) end)
    go("loaded", 3)
  end)
  it("hooks on a module, and on a parameter", function()
    go("before", 4)
    local calls = 0
    local replays = plan.replays
    each(function(net) net[1]:register_forward_hook(function() calls = calls + 1 end) end)
    go("hooked", 3)
    assert.equal(6, calls)
    assert.equal(replays, plan.replays)
  end)
  it("whether gradients are recorded", function()
    local f = peri.replay(function(x) return b(x) end)
    b:eval()
    local x = peri.randn(4, 3)
    peri.no_grad(function()
      for _ = 1, 3 do assert.equal(b(x):bytes(), f(x):bytes()) end
    end)
    assert.equal(2, f.replays)
    local y = f(x)
    assert.is_true(y.requires_grad)
    y:sum():backward()
    assert.matches("part of a graph", f.reason)
  end)
  it("another variable, local, global or within a function", function()
    local scale = peri.tensor { 2 }
    local function inner(x) return x * scale end
    local f = peri.replay(function(x) return inner(x) + OFFSET end) -- luacheck: ignore
    OFFSET = peri.tensor { 1 } -- luacheck: ignore
    local x = peri.tensor { 1, 2 }
    for _ = 1, 3 do assert.same({ 3, 5 }, f(x):totable()) end
    assert.equal(2, f.replays)
    scale = peri.tensor { 3 }
    for _ = 1, 2 do assert.same({ 4, 7 }, f(x):totable()) end
    OFFSET = peri.tensor { 10 } -- luacheck: ignore
    for _ = 1, 2 do assert.same({ 13, 16 }, f(x):totable()) end
    scale:fill_(1) -- the same tensor
    assert.same({ 11, 12 }, f(x):totable())
    OFFSET = nil -- luacheck: ignore
    assert.is_not_nil(message(function() f(x) end))
    scale:release()
    assert.is_not_nil(message(function() f(x) end))
  end)
  it("arguments that share memory, or that are numbers", function()
    local f = peri.replay(function(x, y, k) return x:mul_(2) + y * k end)
    local x, y = peri.ones(2), peri.ones(2)
    for i = 1, 3 do assert.same({ 2 ^ i + 3, 2 ^ i + 3 }, f(x, y, 3):totable()) end
    assert.equal(2, f.replays)
    assert.same({ 20, 20 }, f(x, y, 4):totable())
    assert.same({ 160, 160 }, f(x, x, 4):totable())
    assert.same({ 64 + 3, 64 + 3 }, f(x, y, 3):totable())
    assert.equal(3, f.replays)
  end)
  it("nothing as an argument, also as the last of them", function()
    local sum = peri.replay(function(x, k, y, l) return x * (k or 2) + (y or 1) * (l or 3) end)
    local x, y = peri.rand(3), peri.rand(3)
    for _ = 1, 3 do
      assert.equal(samples.bits(x * 2 + y * 3), samples.bits(sum(x, nil, y, nil)))
      assert.equal(samples.bits(x * 2 + y * 3), samples.bits(sum(x, nil, y)))
      assert.equal(samples.bits(x * 2 + 4), samples.bits(sum(x, nil, nil, 4)))
    end
    assert.equal(3, sum.plans)
    assert.equal(6, sum.replays)
  end)
  it("values that operations refuse, with their words", function()
    go("before", 4)
    local x = peri.randn(4, 3)
    local bad = peri.tensor({ 1, 2, 3, 1 }, { dtype = "int64" })
    local words = message(function() step(x, bad) end)
    assert.equal(words, message(function() plan(x, bad) end))
    go("after", 3)
    local ignored = peri.tensor({ 1, -100, -100, 2 }, { dtype = "int64" })
    for _ = 1, 3 do both("ignored", a, b, step, plan, x, ignored) end
    go("all again", 2)
  end)
end)

-- ---- results, memory, failures ----

describe("a replay", function()
  it("gives fresh results, which the next one leaves alone", function()
    local f = peri.replay(function(x) return x * 2, x + 1 end)
    local kept = {}
    for i = 1, 6 do kept[i] = { f(peri.tensor { i, i }) } end
    for i = 1, 6 do
      assert.same({ 2 * i, 2 * i }, kept[i][1]:totable())
      assert.same({ i + 1, i + 1 }, kept[i][2]:totable())
      kept[i][1]:fill_(0)
    end
    assert.same({ 14, 14 }, (f(peri.tensor { 7, 7 })):totable())
  end)
  it("of views and arguments gives what the step gives", function()
    local f = peri.replay(function(x) local y = x:t() return x, y, y:reshape(-1), x[{ { 1, 2 } }] end)
    for i = 1, 3 do
      local x = peri.arange(1, 6):reshape(3, 2) * i
      local a, b, c, d = f(x)
      assert.equal(x:bytes(), a:bytes())
      assert.equal(x:t():bytes(), b:bytes())
      assert.equal(x:t():reshape(-1):bytes(), c:bytes())
      assert.equal(x[{ { 1, 2 } }]:bytes(), d:bytes())
      a:fill_(0)
      assert.equal(0, x:sum():item())
    end
  end)
  it("keeps its memory flat", function()
    local net = small_net()
    local f = peri.replay(classifier(net, optim.Adam(net:parameters())))
    local x, y = batch(4)
    for _ = 1, 5 do f(x, y) end
    collectgarbage()
    local before = peri.memory().in_use
    for _ = 1, 3000 do f(x, y) end
    collectgarbage()
    assert.equal(before, peri.memory().in_use)
  end)
  it("gives memory back with its plans", function()
    collectgarbage()
    collectgarbage()
    local before = peri.memory().in_use
    do
      local net = small_net()
      local f = peri.replay(classifier(net, optim.Adam(net:parameters())))
      for _ = 1, 5 do f(batch(4)) end
      f:forget()
      assert.equal(0, f.plans)
      for _ = 1, 5 do f(batch(4)) end
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, peri.memory().in_use)
  end)
  it("that runs out of memory fails as the step does, and can be made again", function()
    local failing = 0
    for n = 0, 400 do
      local a, b = twins(small_net)
      local oa, ob = optim.Adam(a:parameters()), optim.Adam(b:parameters())
      local step, plan = classifier(a, oa), peri.replay(classifier(b, ob))
      peri.manual_seed(4)
      local x, y = batch(4)
      for _ = 1, 2 do step(x, y) end
      peri.manual_seed(4)
      x, y = batch(4)
      plan(x, y)
      peri._fail_after(n)
      local ok, err = pcall(plan, x, y)
      peri._fail_after(-1)
      if not ok then
        failing = failing + 1
        assert.matches("out of memory", tostring(err))
      else
        assert.equal(state_bits(a), state_bits(b), "after " .. n)
      end
      for _ = 1, 3 do plan(x, y) end
      if ok and n > 300 then break end
    end
    assert.is_true(failing > 10)
  end)
  it("goes on where memory has come back, and until then gradients are what the step leaves", function()
    local retried, seen = 0, {}
    for n = 0, 60 do
      local function build()
        return nn.Sequential(nn.Linear(96, 80), nn.Linear(80, 90), nn.Tanh(), nn.Linear(90, 70))
      end
      local a, b = twins(build)
      local step = classifier(a, optim.SGD(a:parameters(), { lr = 0.1 }))
      local plan = peri.replay(classifier(b, optim.SGD(b:parameters(), { lr = 0.1 })))
      local x, y = peri.randn(64, 96), peri.randint(1, 70, { 64 })
      for _ = 1, 3 do
        step(x, y)
        plan(x, y)
      end
      local before, between = {}, nil
      for k, p in ipairs(b:parameters()) do before[k] = samples.bits(p.grad) end
      step(x, y)
      setmetatable({}, { __gc = function()
        if between or pcall(peri.zeros, 2) then return end -- a collection without need
        peri._fail_after(-1)
        between = {}
        for k, p in ipairs(b:parameters()) do between[k] = p.grad:clone() end
      end })
      peri._fail_after(n)
      local ok, err = pcall(plan, x, y)
      local met = between ~= nil
      peri._fail_after(-1)
      between = between or {}
      assert.is_true(ok, err)
      -- all of them as they were, zeros, or what the step gives
      local kinds = {}
      for k, g in ipairs(between) do
        local bits = samples.bits(g)
        kinds[bits == before[k] and "before" or bits == samples.bits(g:zeros_like()) and "zeros"
          or bits == samples.bits(a:parameters()[k].grad) and "done" or "something else"] = true
      end
      local kind = next(kinds)
      assert.is_nil(next(kinds, kind))
      assert.not_equal("something else", kind)
      if kind then seen[kind] = true end
      assert.is_true(state_bits(a) == state_bits(b), "after " .. n)
      for _ = 1, 2 do
        step(x, y)
        plan(x, y)
      end
      assert.is_true(state_bits(a) == state_bits(b), "later, after " .. n)
      if not met then break end
      retried = retried + 1
    end
    assert.is_true(retried > 4)
    assert.is_true(seen.zeros)
  end)
  it("says when arguments change so often that nothing is replayed", function()
    local f, x = peri.replay(function(x, k) return x * k end), peri.ones(2)
    for k = 1, 16 do f(x, k) end
    assert.same({ 16, 0 }, { f.plans, f.replays })
    assert.is_nil(f.reason)
    f(x, 1)
    assert.matches("^plan of 1 step over 8 bytes, replayed 1 time\n", tostring(f))
    f(x, 17)
    assert.matches("^more than 16 kinds of arguments came", f.reason)
    assert.is_nil(f:forget().reason)
    local read = peri.replay(function(y) return y:sum():item() * y end, x)
    assert.matches("^plan of nothing: the script reads a value", tostring(read))
  end)

  it("lists its steps, and how often it was used", function()
    local net = small_net()
    local f = peri.replay(classifier(net, optim.SGD(net:parameters(), { lr = 0.1 })))
    assert.equal("plan of nothing yet", tostring(f))
    for _ = 1, 20 do f(batch(4)) end
    assert.matches("^plan of %d+ steps over %d+ bytes, replayed 18 times\n", tostring(f))
    local linear
    for _, s in ipairs(f:steps()) do
      if s.name == "linear" and s.kind == "operation" and not linear then linear = s end
      assert.is_true(s.seconds >= 0)
    end
    assert.equal(4 * 3 * 5, linear.multiply_adds)
    assert.equal(4 * (4 * 3 + 3 * 5 + 5 + 4 * 5), linear.bytes)
    assert.equal(20, f.calls)
    assert.is_true(f.bytes > 0)
    assert.matches("did you mean replays", message(function() return f.replay end))
  end)
  it("begins with examples, and within another step is a part of it", function()
    local f = peri.replay(function(x) return x + 1 end, peri.ones(2))
    assert.equal(1, f.plans)
    local outer = peri.replay(function(x) return f(x) * 2 end)
    for _ = 1, 3 do assert.same({ 4, 4 }, outer(peri.ones(2)):totable()) end
    assert.equal(2, outer.replays)
  end)
  it("is an error of its arguments", function()
    assert.matches("step must be a function, got 3", message(function() peri.replay(3) end))
    assert.matches("step must be a function, got nothing", message(function() peri.replay() end))
  end)
end)

-- ---- what refuses ----

describe("a step is not replayed where", function()
  local w = nn.Parameter(peri.ones(2))
  ;(w * w):sum():backward()
  local held = { peri.ones(2) }
  local generator = peri.Generator(1)
  local count = 0
  local cases = {
    ["the script reads a value"] = { "reads a value", function(x) return x * x:sum():item() end },
    ["the script compares"] = { "reads a value", function(x) if x:sum() > 0 then return x end return -x end },
    ["the script prints"] = { "made a text", function(x) tostring(x) return x + 1 end },
    ["the script makes a table"] = { "reads a value", function(x) x:totable() return x + 1 end },
    ["the script takes bytes"] = { "bytes", function(x) x:bytes() return x + 1 end },
    ["the script reads an element"] = { "reads a value", function(x) return x + x[1] end },
    ["tensors are compared"] = { "compared", function(x) if x:equal(x) then return x + 1 end end },
    ["a tensor is made of numbers"] = { "is made in it", function(x) return x + peri.tensor { 1, 2 } end },
    ["a tensor is found in a table"] = { "no variable of its own", function(x) return x + held[1] end },
    ["a shape is by values"] = { "shape by values", function(x) return x[x:gt(0)] end },
    ["a generator is drawn from"] = { "generator", function(x) return x + peri.rand(2, { generator = generator }) end },
    ["the stream is set"] = { "stream", function(x) peri.manual_seed(1) return x + 1 end },
    ["numbers are drawn otherwise"] = { "stream", function(x) nn.Linear(2, 2) return x + 1 end },
    ["a variable is counted up"] = { "changes a variable", function(x) count = count + 1 return x + 1 end },
    ["a global is set"] = { "global variable COUNTED", function(x) COUNTED = 1 return x + 1 end }, -- luacheck: ignore
    ["it gives a number"] = { "it gives 3", function() return 3 end },
    ["a graph is left"] = { "part of a graph", function(x) return x * w end },
    ["a function has a gradient of its own"] = { "of the script", function(x)
      local Square = peri.Function.extend("Square", {
        forward = function(_, v) return v * v end,
        backward = function(_, g) return g end,
      })
      Square(x * w):sum():backward()
      return x + 1
    end },
    ["a hook is called"] = { "hook", function(x)
      local y = x * w
      y:register_hook(function(g) return g * 2 end)
      y:sum():backward()
      return x + 1
    end },
    ["gradients are set to nothing"] = { "drops a gradient", function(x)
      w.grad = nil
      ;(w * x):sum():backward()
      return x + 1
    end },
  }
  for name, case in pairs(cases) do
    it(name, function()
      local plan = peri.replay(case[2])
      for _ = 1, 4 do plan(peri.tensor { 1, 2 }) end
      assert.equal(0, plan.replays)
      assert.matches(case[1], plan.reason, 1, true)
    end)
  end
  it("the model is written in Lua, and stays as it was", function()
    local Net = nn.Module.extend "Net"
    function Net:init() self.fc = nn.Linear(2, 2) end
    function Net:forward(x) return self.fc(x) end
    local net = Net()
    local plan = peri.replay(function(x) return peri.no_grad(net, x) end)
    for _ = 1, 4 do assert.equal(peri.no_grad(net, peri.ones(1, 2)):bytes(), plan(peri.ones(1, 2)):bytes()) end
    assert.matches("Net is a layer written in Lua", plan.reason)
  end)
  it("it fails, and its error comes through", function()
    local plan = peri.replay(function(x) return x:reshape(7) end)
    assert.matches("reshape", message(function() plan(peri.ones(2)) end))
    assert.matches("reshape", message(function() plan(peri.ones(2)) end))
    local thrown = {}
    local ok, err = pcall(peri.replay(function() error(thrown) end))
    assert.is_false(ok)
    assert.equal(thrown, err)
  end)
end)
