-- What a script must not be able to do whatever it calls: reach memory that is not its own, or that was freed. Each
-- test walks an inventory, so that a new row, layer or class is held to it without a new test.
local peri = require "perilune"
local run = require "support.program"
local formats = require "support.formats"
local short = require "support.short"
local walk = require "support.walk"
local nn, optim, svm, data = peri.nn, peri.optim, peri.svm, peri.data

local function refusal(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.is_string(message)
  return message
end

-- ---- shapes that cannot be counted ----

describe("shapes beyond 64 bits #table #program", function()
  walk.each("overflow", "do not reach the memory of %s", it)

  it("are refused where two operands make them", function()
    local a, b = peri.zeros(1, 1):expand(2 ^ 31, 1), peri.zeros(1, 1):expand(1, 2 ^ 31)
    local mask = peri.zeros(1, 1, { dtype = "bool" })
    local p, q = mask:expand(2 ^ 31, 1), mask:expand(1, 2 ^ 31)
    for _, f in ipairs { peri.add, peri.maximum, peri.lt } do
      assert.matches("too many elements", refusal(f, a, b))
    end
    assert.matches("too many elements", refusal(peri.logical_and, p, q))
    assert.matches("too many elements", refusal(peri.where, p, b, 1))
    assert.matches("too many elements", refusal(peri.add, peri.zeros(2 ^ 32, 1, 0), peri.zeros(1, 2 ^ 32, 0)))
    assert.matches("matmul: out of memory", refusal(peri.matmul, a, b))
    assert.matches("cat: out of memory", refusal(peri.cat, { a:expand(2 ^ 31, 2 ^ 28), a:expand(2 ^ 31, 2 ^ 28) }, 1))
    assert.matches("out of memory", refusal(peri.stack, { a:expand(2 ^ 31, 2 ^ 28), a:expand(2 ^ 31, 2 ^ 28) }))
  end)

  it("are refused where the bytes of another dtype make them", function()
    local mask = peri.zeros(1, { dtype = "bool" }):expand(2 ^ 61)
    assert.matches("too many elements", refusal(mask.to, mask, "float64"))
    assert.matches("too many elements", refusal(peri.zeros_like, mask, { dtype = "float64" }))
    assert.matches("out of memory", refusal(peri.tensor, mask, { dtype = "float64" }))
    assert.matches("out of memory", refusal(mask.clone, mask))
    assert.matches("out of memory", refusal(mask.bytes, mask))
    assert.matches("expand: out of memory", refusal(mask.expand, mask:narrow(1, 1, 1), 2 ^ 60, 8))
  end)
end)

-- ---- finalisers within calls ----

describe("a finaliser that releases an argument #program", function()
  it("leaves the right answer, or a clean error, in every row and binding", function()
    local out, err, status = run({ "tests/spec/support/finaliser_inventory.lua" })
    assert.same({ "done\n", "", 0 }, { out, err, status })
  end)
end)

describe("a release by a finaliser", function()
  it("makes the tensor one that was released, and frees it with the handle", function()
    local before = peri.memory().in_use
    do
      local x = peri.zeros(1 << 20)
      setmetatable({}, { __gc = function() x:release() end })
      collectgarbage()
      assert.equal("released tensor", tostring(x))
      assert.matches("x is a released tensor", refusal(x.sum, x))
      assert.is_nil(x:release())
    end
    collectgarbage()
    assert.is_true(peri.memory().in_use < before + (1 << 20))
  end)

  it("by a script frees at once", function()
    local x = peri.zeros(1 << 20)
    local before = peri.memory().in_use
    x:release()
    assert.is_true(peri.memory().in_use <= before - (4 << 20))
  end)
end)

-- ---- short memory ----

describe("memory that a collection #table #program finds", function()
  walk.each("short", "is used by %s", it)

  it("is used by everything else that allocates", function()
    local path = os.tmpname()
    local x, q = peri.randn(20, 30), peri.ones(3, { requires_grad = true })
    local labels = peri.arange(1, 20) % 2
    local net, class = nn.Linear(3, 3), nn.Module.extend "Class"
    function class:init() self.layer = nn.Linear(2, 2) end
    local adam = optim.Adam(net:parameters())
    local twice = peri.Function.extend("Twice", { forward = function(ctx, v) ctx:save_for_backward(v) return v * 2 end,
      backward = function(_, g) return g * 2 end })
    local machine = svm.SVC():fit(x, labels)
    peri.save(path, { a = x })
    local libsvm = os.tmpname()
    machine:save_libsvm(libsvm)
    local calls = {
      function() return peri.tensor { 1, 2 } end, function() return peri.tensor(x:t()) end,
      function() return peri.load(path) end, function() return peri.save(path, { a = x:t() }) end,
      function() return data.loader({ x:t() }, { shuffle = true, seed = 1 }) end,
      function() for a in data.loader({ x }, { shuffle = true, seed = 1 }) do assert(a) end end,
      function() return data.circles(20), data.moons(20), data.digits(3) end,
      function() return tostring(x), x:t():bytes() end, function() return x[{ {}, { 1, 2 } }], x[x:gt(0)] end,
      function() x[1] = 2 x[x:gt(0)] = 1 end, function() return x:equal(x), x:allclose(x) end,
      function() (q * 2):sum():backward() end, function() return peri.grad((q * 2):sum(), q) end,
      function() return nn.Parameter(x:t()) end, function() return nn.Linear(4, 4) end, class,
      function() return net(peri.ones(2, 3)) end, function() return nn.Sequential(net, nn.Tanh())(peri.ones(2, 3)) end,
      function() return net:load_state_dict(net:state_dict()) end, function() return nn.Linear(2, 2):to "float64" end,
      function() return adam:load_state_dict(adam:state_dict()) end, function() return optim.SGD({ q }, { lr = 1 }) end,
      function() return optim.lr_scheduler.StepLR(adam, { step_size = 1 }):state_dict() end,
      function()
        local parts = { { params = { peri.ones(2, { requires_grad = true }) } }, { params = { q }, lr = 2 } }
        local grouped = optim.Adam(parts, { lr = 1 })
        grouped:add_param_group { params = { peri.ones(2, { requires_grad = true }) } }
        grouped:load_state_dict(grouped:state_dict())
        optim.lr_scheduler.CyclicLR(grouped, { base_lr = 0, max_lr = 1 }):step()
        return grouped.param_groups[2].params, grouped:state(q).exp_avg
      end,
      function() return twice(q), twice(twice(q)):sum():backward() end,
      function() q:register_hook(print):remove() end,
      function() return peri.checkpoint(net, peri.ones(2, 3)):sum():backward() end,
      function() return peri.hessian(function(v) return (v * v):sum() end, peri.ones(3)) end,
      function() return peri.explain((q * q):sum()) end,
      function() return peri.detect_anomaly(net, peri.ones(2, 3)) end,
      function() return optim.EMA(net):update():store():restore():state_dict() end,
      function() return nn.utils.clip_grad_norm_({ q }, 1) end,
      function() return svm.SVC():fit(x, labels) end, function() return machine:predict(x), machine.support_vectors end,
      function() return machine:decision_function(x) end, function() return machine:score(x, labels) end,
      function() return svm.LinearSVC():fit(x, labels):predict(x) end,
      function() return svm.SVC { kernel = function(a, b) return a:matmul(b:t()) end }:fit(x, labels):predict(x) end,
      function() return svm.SVC { probability = true }:fit(x, labels):predict_proba(x) end,
      function() return svm.kernel_matrix(x, x) end, function() return machine:save(path) end,
      function() return svm.load(path) end, function() return machine:save_libsvm(libsvm) end,
      function() return svm.load_libsvm(libsvm) end, function() return svm.Nystroem():fit(x):transform(x) end,
    }
    for i, call in ipairs(calls) do
      local ok, message = short(call)
      assert.is_true(ok, "call " .. i .. ": " .. tostring(message))
    end
    for _, name in ipairs { path, libsvm } do os.remove(name) end
  end)

  it("is used by every reader and writer of files", function()
    local path = os.tmpname()
    for _, name in ipairs(data.formats()) do
      local given, ending = formats[name]()
      local at = path .. (ending or "")
      for _, verb in ipairs { "write_", "read_" } do
        local ok, message = short(data[verb .. name], at, table.unpack(verb == "write_" and given or {}))
        assert.is_true(ok, verb .. name .. ": " .. tostring(message))
      end
      os.remove(at)
    end
    os.remove(path)
  end)
end)

-- ---- objects of the same cycle ----

describe("an object #table that was collected", function()
  -- What `use` says of an object that is garbage together with the finaliser that calls it, and is finalised before.
  local function after_collection(make, use)
    local result
    do
      local holder = setmetatable({}, { __gc = function(self) result = table.pack(pcall(use, self.object)) end })
      holder.object = make()
    end
    collectgarbage()
    collectgarbage()
    assert(result, "the finaliser did not run")
    return result
  end

  local weight = peri.ones(2, { requires_grad = true })
  local makers = {
    layer = function() return nn.Linear(2, 2) end, loss = function() return nn.MSELoss() end,
    sequential = function() return nn.Sequential(nn.Linear(2, 2), nn.Tanh()) end,
    list = function() return nn.ModuleList(nn.Linear(2, 2)) end,
    optimizer = function() return optim.SGD({ weight }, { lr = 1 }) end,
    schedule = function() return optim.lr_scheduler.StepLR(optim.SGD({ weight }, { lr = 1 }), { step_size = 1 }) end,
    group = function() return optim.SGD({ weight }, { lr = 1 }).param_groups[1] end,
    written = function() return optim.LBFGS({ weight }, { history_size = 2 }) end,
    sequence = function()
      local sgd = optim.SGD({ weight }, { lr = 1 })
      local part = optim.lr_scheduler.ConstantLR(sgd)
      return optim.lr_scheduler.SequentialLR(sgd, { schedulers = { part, part }, milestones = { 2 } })
    end,
    loader = function() return data.loader({ peri.ones(4, 2) }, { batch_size = 2, shuffle = true }) end,
  }
  for _, machine in ipairs(svm.machines()) do makers[machine.name] = function() return svm[machine.name]() end end

  for name, make in pairs(makers) do
    it(name .. " refuses every use", function()
      local uses = {
        function(o) return o.training end, function(o) return o.lr end, function(o) o.lr = 1 end,
        function(o) return #o end, function(o) return o(peri.ones(1, 2), peri.ones(1, 2)) end,
        function(o) for a in o do assert(a) end end, function(o) return nn.Sequential(o) end,
        function(o) return nn.ModuleList { o } end,
        function(o) return optim.lr_scheduler.StepLR(o, { step_size = 1 }) end,
      }
      local alive = make()
      for _, method in ipairs { "step", "state_dict", "load_state_dict", "zero_grad", "parameters", "train", "to",
        "fit", "predict", "params", "clone", "release", "save", "forward" } do
        local ok, f = pcall(function() return alive[method] end)
        local argument = ({ train = true, to = "float64", load_state_dict = {}, save = "/dev/null/x" })[method]
        uses[#uses + 1] = function(o) return o[method](o, argument) end
        if ok and type(f) == "function" then -- the method from elsewhere
          uses[#uses + 1] = function(o) return f(o, argument) end
        end
      end
      for i, use in ipairs(uses) do
        local result = after_collection(make, use)
        assert.is_false(result[1], name .. ", use " .. i)
        assert.matches("collected", result[2], name .. ", use " .. i)
      end
      assert.same({ true, "collected object" }, { table.unpack(after_collection(make, tostring), 1, 2) })
    end)
  end

  it("in a layer written in Lua is missed when that is saved", function()
    local class = nn.Module.extend "Class"
    function class:init() self.layer = nn.Linear(2, 2) end
    assert.matches("collected", after_collection(class, function(o) return o:state_dict() end)[2])
    assert.matches("collected", after_collection(class, function(o) return o:parameters() end)[2])
  end)
end)

describe("what collects an object #table", function()
  it("collects nothing of another class, and nothing twice, though debug lets a script call it", function()
    local objects = {
      peri.ones(64), nn.Linear(2, 2), nn.Sequential(nn.Tanh()), optim.Adam { peri.ones(3, { requires_grad = true }) },
      data.loader { peri.ones(5) }, svm.SVC():fit(peri.randn(6, 2), peri.arange(1, 6) % 2), svm.LinearSVC(),
      optim.lr_scheduler.StepLR(optim.SGD { peri.ones(1, { requires_grad = true }) }, { step_size = 1 }),
    }
    for i, object in ipairs(objects) do
      local collect = debug.getmetatable(object).__gc
      for j, other in ipairs(objects) do
        if debug.getmetatable(other) ~= debug.getmetatable(object) then
          collect(other)
          assert.is_string(tostring(other), i .. " " .. j)
        end
      end
      for _, other in ipairs { 1, "text", {}, io.stdout } do collect(other) end
      collect()
    end
    assert.equal(64, objects[1]:sum():item())
    assert.equal(6, #objects[6]:predict(peri.randn(6, 2)))
    for _, object in ipairs(objects) do
      local collect = debug.getmetatable(object).__gc
      collect(object)
      collect(object)
    end
    refusal(peri.sum, objects[1])
  end)
end)

describe("a loader that a finaliser runs too", function()
  it("gives no rows from behind its end", function()
    for pause = 0, 40 do
      local X = peri.arange(1, 7):view(7, 1)
      local loader = data.loader({ X }, { batch_size = 3, shuffle = true, seed = 1 })
      setmetatable({}, { __gc = function() for _ in loader do local _ = 0 end end })
      collectgarbage("incremental", 1, 1000, 30)
      for _ = 1, pause do local _ = {} end
      pcall(function()
        for x in loader do
          assert(x:min():item() >= 1 and x:max():item() <= 7)
        end
      end)
      collectgarbage("incremental", 200, 100, 13)
    end
  end)
end)

-- ---- tables of scripts ----

describe("options", function()
  local touched
  local trap = { __index = function(_, key) touched = key end, __len = function() touched = "#" end,
    __pairs = function() touched = "pairs" error "pairs" end }
  local function options(values) return setmetatable(values or {}, trap) end

  it("are read without asking their metatables", function()
    local w, X, y = peri.ones(3, { requires_grad = true }), peri.rand(8, 2), peri.arange(1, 8) % 2
    local calls = {
      function() return peri.tensor({ 1 }, options { dtype = "float64" }) end,
      function() return peri.zeros(2, options { dtype = "float64" }) end,
      function() return peri.grad((w * 2):sum(), w, options { retain_graph = true }) end,
      function() (w * 2):sum():backward(nil, options { retain_graph = true }) end,
      function() return X:allclose(X, options { rtol = 0 }) end,
      function() return data.circles(5, options { seed = 1 }) end,
      function() return data.blobs(5, options { seed = 1 }) end,
      function() return data.loader({ X }, options { batch_size = 2 }) end,
      function() return svm.kernel_matrix(X, nil, options { gamma = 1 }) end,
    }
    for _, kind in ipairs(nn.losses()) do calls[#calls + 1] = function() return nn[kind.name](options()) end end
    for _, kind in ipairs(optim.optimizers()) do
      calls[#calls + 1] = function() return optim[kind.name]({ w }, options { lr = 0.1 }) end
    end
    for _, machine in ipairs(svm.machines()) do
      calls[#calls + 1] = function()
        local m = svm[machine.name](options())
        return machine.name == "OneClassSVM" and m:fit(X, nil, options()) or m:fit(X, y, options())
      end
    end
    for i, call in ipairs(calls) do
      touched = nil
      call()
      assert.is_nil(touched, "call " .. i .. " asked the metatable for " .. tostring(touched))
    end
  end)
end)

describe("tables that change while they are read", function()
  it("are read as they were, or refused", function()
    for _, make in ipairs {
      function(t) return peri.tensor(t) end,
      function(t) return svm.SVC():fit(t, { 1, 2 }) end,
      function(t) return svm.kernel_matrix(t) end,
      function(t) return peri.zeros(t) end,
      function(t) return peri.cat { peri.tensor(t), peri.tensor(t) } end,
    } do
      for pad = 0, 40 do
        local t = { { 1, 2 }, { 3, 4 } }
        collectgarbage()
        collectgarbage "stop"
        setmetatable({}, { __gc = function() t[1], t[2] = nil, 5 end })
        for _ = 1, pad do local _ = {} end
        collectgarbage "restart"
        pcall(make, t)
      end
    end
  end)

  it("are those of weak values too", function()
    for _ = 1, 20 do
      local weak = setmetatable({}, { __mode = "v" })
      for i = 1, 8 do weak["k" .. i] = peri.full({ 4 }, i) end
      local path = os.tmpname()
      peri._fail_after(0)
      pcall(peri.save, path, weak)
      peri._fail_after(-1)
      pcall(peri.save, path, weak)
      os.remove(path)
    end
  end)
end)

describe("classes and dictionaries whose metatable was taken off", function()
  it("still have a name to be called by, and an order", function()
    local class = nn.Module.extend "Net"
    function class:init() self.layer = nn.Linear(2, 2) end
    local net = class()
    for _, metatable in ipairs { false, {}, { __name = 5 }, { __name = {} } } do
      setmetatable(class, metatable or nil)
      assert.matches("^Module%(", tostring(net))
      assert.is_string(refusal(function() net.training = 1 end))
      assert.is_string(refusal(function() return net(1) end))
      assert.is_string(refusal(function() net.parameters = nn.Linear(1, 1) end))
    end
    local state = setmetatable(nn.Module.state_dict(net), nil)
    assert.equal(net, nn.Module.load_state_dict(net, state))
  end)
end)

-- ---- callbacks ----

describe("a kernel function", function()
  local X, y = data.circles(30, { noise = 0.1, seed = 1, dtype = "float64" })
  it("may release what it is given", function()
    local m = svm.SVC { kernel = function(a, b)
      local k = a:matmul(b:t())
      a:release()
      b:release()
      return k
    end }
    local plain = svm.SVC { kernel = function(a, b) return a:matmul(b:t()) end }:fit(X, y)
    assert.is_true(m:fit(X, y):decision_function(X):equal(plain:decision_function(X)))
    assert.equal(2, X:size(2))
  end)

  it("leaves the machine its support vectors whatever becomes of the field", function()
    local m = svm.SVC { kernel = function(a, b) return a:matmul(b:t()) end }:fit(X, y)
    local before = m:decision_function(X)
    m.support_vectors:zero_()
    m.support_vectors:release()
    assert.is_true(m:decision_function(X):equal(before))
    assert.equal(#m.support, #m.support_vectors)
  end)
end)

describe("a function that a prediction calls, and a finaliser within it,", function()
  local X, y = data.circles(60, { noise = 0.1, seed = 1, dtype = "float64" })
  local act
  local function kernel(a, b)
    local f = act
    act = nil
    if f then f() end
    return a:matmul(b:t())
  end

  it("may fit the machine anew: no row is decided by half of each", function()
    local m = svm.SVC { kernel = kernel }
    for rows = 5, 60, 11 do
      for _, method in ipairs { "predict", "decision_function", "score" } do
        m:fit(X, y)
        act = function() m:fit(X:narrow(1, 1, rows), y:narrow(1, 1, rows)) end
        assert.matches("SVC: fitted anew", refusal(m[method], m, X, y))
        m:fit(X, y)
        act = function() m:release() end
        assert.matches("SVC: not fitted", refusal(m[method], m, X, y))
      end
    end
  end)

  it("may fail in any way", function()
    local m = svm.SVC { kernel = kernel }:fit(X, y)
    local want = m:decision_function(X)
    for _, bad in ipairs { function() error {} end, function() error(nil) end, function() coroutine.yield() end } do
      act = bad
      assert.is_false((pcall(m.predict, m, X)))
      act = bad
      assert.is_false((coroutine.resume(coroutine.create(function() m:fit(X, y) end))))
    end
    assert.is_true(m:decision_function(X):equal(want))
    local message = refusal(m.fit, svm.SVC(), X, y, { progress = function() error(nil) end })
    assert.matches("SVC: stopped by its progress function", message)
    act = function() error(nil) end
    assert.matches("SVC.predict: the kernel function raised nil", refusal(m.predict, m, X))
  end)
end)

describe("a progress function", function()
  it("may release the samples, and the estimator, that are being fitted", function()
    local X, y = data.moons(300, { noise = 0.3, seed = 1, dtype = "float64" })
    local want = svm.SVC { C = 100 }:fit(X, y):decision_function(X)
    local given, labels, called = X:clone(), y:clone(), 0
    local m = svm.SVC { C = 100 }
    m:fit(given, labels, { progress = function()
      called = called + 1
      given:release()
      labels:release()
      m:release()
    end })
    assert.is_true(m:decision_function(X):equal(want))
  end)
end)

-- ---- in-place rows, options ----

describe("rows", function()
  it("in place give their target also when it was named", function()
    local t = peri.ones(3)
    assert.equal(t, peri.add_ { a = t, b = 1 })
    assert.equal(t, peri.fill_ { x = t, value = 3 })
    assert.equal(t, peri.mul_(t, { b = 2 }))
    assert.same({ 6, 6, 6 }, t:totable())
  end)

  it("take an empty table as no options", function()
    assert.same({ 3 }, peri.rand(3, {}).shape)
    assert.same({ 2, 2 }, peri.matmul(peri.ones(2, 2), peri.ones(2, 2), {}).shape)
    assert.same({}, peri.zeros({}).shape)
    assert.equal(5, #peri.arange(1, 5, {}))
  end)
end)

describe("errors", function()
  it("name the script's line also in a folder called perilune", function()
    local f = load("require('perilune').zeros('x')", "@perilune/mine.lua")
    assert.matches("^perilune/mine.lua:1: zeros: ", refusal(f))
  end)

  it("come from modes that are no booleans", function()
    assert.matches("train: on must be true or false, got 'no'", refusal(nn.Linear(1, 1).train, nn.Linear(1, 1), "no"))
  end)
end)
