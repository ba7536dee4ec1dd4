-- Names that do not exist and what was meant; questions that an object answers; messages that say the way out.
local peri = require "perilune"
local message = require("support.fails").message
local nn, optim, svm, train = peri.nn, peri.optim, peri.svm, peri.train

local function field(x, name) return message(function() return x[name] end) end

describe("a name that does not exist", function()
  it("is answered by the closest there is, in every class", function()
    local net = nn.Sequential(nn.Linear(2, 3))
    local opt = optim.SGD(net:parameters(), { lr = 0.1 })
    local meant = {
      { peri.rand(3), "maen", "mean" }, { peri.rand(3), "shpae", "shape" }, { net, "paramters", "parameters" },
      { net[1], "wieght", "weight" }, { net[1], "in_feature", "in_features" }, { opt, "setp", "step" },
      { opt, "momentun", "momentum" }, { optim.lr_scheduler.StepLR(opt, { step_size = 2 }), "step_sise", "step_size" },
      { svm.SVC {}, "suport", "support" }, { svm.SVC {}, "gama", "gamma" }, { svm.LinearSVC {}, "predct", "predict" },
      { svm.Nystroem {}, "n_componets", "n_components" },
    }
    for _, row in ipairs(meant) do
      assert.matches("there is no field or method '?" .. row[2] .. "'?: did you mean " .. row[3] .. "%?$",
        field(row[1], row[2]))
    end
  end)

  it("is left alone when nothing is close", function()
    assert.matches("there is no field or method frobnicate$", field(peri.rand(3), "frobnicate"))
    assert.matches("there is no field or method 'x'$", field(nn.ReLU(), "x"))
    assert.matches("there is no field or method", field(peri.rand(3), ("a"):rep(1000)))
    assert.matches("there is no field or method $", field(peri.rand(3), ""))
  end)

  it("is an error with the class and the name in every class there is, read or written", function()
    local net = nn.Sequential(nn.Linear(2, 3))
    local opt = optim.SGD(net:parameters(), { lr = 0.1 })
    local objects = {
      tensor = peri.rand(3), Linear = net[1], Sequential = net, Module = nn.Module.extend("Mine")(),
      Buffer = nn.Buffer(peri.rand(3)),
      SGD = opt, group = opt.param_groups[1], StepLR = optim.lr_scheduler.StepLR(opt, { step_size = 2 }),
      loader = peri.data.loader({ peri.rand(3, 2) }, { batch_size = 2 }), generator = peri.Generator(1),
      plan = peri.replay(function(x) return x end),
      hook = (peri.rand(3, { requires_grad = true }) * 2):register_hook(function() end),
    }
    for _, row in ipairs(svm.machines()) do objects[row.name] = svm[row.name] {} end
    local free = { Module = true } -- takes fields
    local seen = {}
    for name, x in pairs(objects) do
      seen[debug.getmetatable(x)] = true
      local called = name == "group" and "SGD" or name
      if not free[name] then
        local read, written = field(x, "zzz"), message(function() x.zzz = 1 end)
        assert.matches("^[^:]+:%d+: " .. called .. ": [^\n]*", read)
        assert.matches("^[^:]+:%d+: " .. called .. ": [^\n]*", written)
        if name ~= "Buffer" then assert.matches("there is no field or method '?zzz", read) end
      end
    end
    for _, meta in pairs(debug.getregistry()) do
      local name = type(meta) == "table" and tostring(rawget(meta, "__name")) or ""
      if name:find "^perilune%." then assert.is_true(seen[meta], name .. " is not looked at") end
    end
    assert.matches("hook: there is no field or method 'zzz' %(known: remove%)$", field(objects.hook, "zzz"))
    assert.matches("plan: there is no field or method 1 %(known: bytes, calls, .*steps%)$", field(objects.plan, 1))
    assert.matches("plan: field 'zzz' cannot be set$", message(function() objects.plan.zzz = 1 end))
  end)

  it("is the same for options, in C and in Lua", function()
    local meant = {
      { "dtype", peri.zeros, 2, { dtyp = "float64" } }, { "dtype", peri.tensor, { 2 }, { dtyp = "float64" } },
      { "bias", nn.Linear, 2, 3, { bais = true } }, { "gamma", svm.SVC, { gama = 3 } },
      { "model", train.fit, { modl = 1 } },
      { "sample_weight", peri.metrics.accuracy, { 1 }, { 1 }, { sample_wieght = 1 } },
      { "label", peri.plot.figure {}.line, peri.plot.figure {}, { 1, 2 }, { lable = "a" } },
      { "name", peri.run, { nmae = "a" } }, { "n_components", svm.Nystroem, { n_component = 3 } },
      { "estimator", peri.select.grid_search, { estimater = 1 } },
    }
    for _, row in ipairs(meant) do
      assert.matches("unknown option .*%(known: .*%): did you mean " .. row[1] .. "%?$",
        message(row[2], table.unpack(row, 3)))
    end
    assert.matches("%(known: [^()]*%)$", message(peri.zeros, 2, { colour = 1 }))
  end)

  it("of several as close is the first in the alphabet, and capitals count little", function()
    assert.matches("did you mean sum%?$", field(peri.rand(3), "sUM"))
    for _ = 1, 3 do assert.equal(field(peri.rand(3), "si"), field(peri.rand(3), "si")) end
  end)
end)

describe("has", function()
  it("tells of fields and methods without an error", function()
    assert.is_true(nn.Linear(2, 2):has "weight")
    assert.is_false(nn.ReLU():has "weight")
    assert.is_false(nn.Linear(2, 2, { bias = false }):has "bias")
    local found = {}
    nn.Sequential(nn.Linear(2, 2), nn.ReLU()):apply(function(m) found[#found + 1] = m:has "weight" end)
    assert.same({ true, false, false }, found)
    local L = nn.Module.extend "L"
    function L:init() self.fc = nn.Linear(2, 2) end
    assert.is_true(L():has "fc" and L():has "parameters")
    assert.is_false(L():has "fd")
    local opt = optim.SGD(nn.Linear(2, 2):parameters(), { lr = 0.1 })
    assert.is_true(opt:has "momentum" and opt:has "step")
    assert.is_false(opt:has "betas")
    assert.is_true(optim.lr_scheduler.StepLR(opt, { step_size = 2 }):has "epoch")
  end)

  it("of a machine follows its fit", function()
    local m = svm.SVC {}
    assert.is_false(m:has "support")
    m:fit(peri.tensor { { 0, 0 }, { 1, 1 } }, { 1, 2 })
    assert.is_true(m:has "support")
    assert.is_false(svm.LinearSVC {}:fit(peri.tensor { { 0, 0 }, { 1, 1 } }, { 1, 2 }):has "support")
    assert.is_true(svm.Nystroem {}:has "transform")
    assert.is_false(svm.Nystroem {}:has "components")
  end)

  it("wants an object and a name", function()
    local net = nn.ReLU()
    assert.matches("has: name must be a string, got 3", message(net.has, net, 3))
    assert.matches("has: called with 3", message(net.has, 3, "weight"))
  end)
end)

describe("peri.type and nn.type", function()
  it("tell what a value is", function()
    local net = nn.Linear(2, 2)
    local opt = optim.SGD(net:parameters(), { lr = 0.1 })
    local X, y = peri.data.circles(10, { seed = 1 })
    local kinds = {
      tensor = { peri.rand(2), net.weight }, group = opt.param_groups, average = { optim.EMA(net) },
      optimizer = { opt, optim.LBFGS(net:parameters()), optim.Optimizer.extend("Mine", { lr = 1 })(net:parameters()) },
      layer = { net, nn.Sequential(), nn.ModuleList(), nn.MSELoss(), nn.Module.extend "M"() },
      schedule = { optim.lr_scheduler.StepLR(opt, { step_size = 1 }) }, buffer = { nn.Buffer(peri.zeros(2)) },
      loader = { peri.data.loader { X } }, figure = { peri.plot.figure {} },
      estimator = { svm.SVC {}, svm.LinearSVR {}, svm.RBFSampler {}, train.Classifier { build = print },
        train.fit { model = net, optimizer = opt, train = { X, y }, epochs = 1, progress = false } },
      confusion = { peri.metrics.confusion_matrix({ 1, 2 }, { 1, 2 }) },
    }
    for kind, values in pairs(kinds) do
      for _, x in ipairs(values) do assert.equal(kind, peri.type(x)) end
    end
    for _, x in ipairs { 1, "tensor", true, print, {}, setmetatable({}, {}), io.stdout } do
      assert.is_nil(peri.type(x))
    end
    assert.is_nil(peri.type(nil))
    local released = peri.rand(2)
    released:release()
    assert.is_nil(peri.type(released))
  end)

  it("tell which layer it is", function()
    assert.same({ "Linear", "Sequential", "ModuleList", "MSELoss", "Mine" }, {
      nn.type(nn.Linear(1, 1)), nn.type(nn.Sequential()), nn.type(nn.ModuleList()), nn.type(nn.MSELoss()),
      nn.type(nn.Module.extend "Mine"()),
    })
    assert.is_nil(nn.type(peri.rand(2)))
    assert.is_nil(nn.type(svm.SVC {}))
  end)
end)

describe("a message", function()
  it("names an object by its class", function()
    local net = nn.Linear(2, 2)
    for name, x in pairs {
      ["a Linear"] = net, ["a Sequential"] = nn.Sequential(net), ["an SGD"] = optim.SGD(net:parameters(), { lr = 1 }),
      ["an Adam"] = optim.Adam(net:parameters()), ["an SVC"] = svm.SVC {},
      ["a Loader"] = peri.data.loader { peri.rand(2) },
      ["a Net"] = nn.Module.extend "Net"(),
    } do
      assert.matches("got " .. name .. "$", message(peri.sum, x))
      if peri.type(x) ~= "layer" then
        assert.matches("model must be a layer or a function, got " .. name, message(train.fit, { model = x }))
      end
    end
  end)

  it("sees a part's function that is called with a colon", function()
    assert.matches("rand: called with a colon %(write peri%.rand%(%.%.%), with a dot%)$",
      message(function() local x = peri:rand(2, 3) return x end))
    assert.matches("Linear: called with a colon %(write nn%.Linear",
      message(function() local x = nn:Linear(2, 3) return x end))
    assert.matches("fit: called with a colon %(write train%.fit",
      message(function() local x = train:fit {} return x end))
    assert.matches("KFold: called with a colon %(write select%.KFold",
      message(function() local x = peri.select:KFold() return x end))
    assert.matches("StepLR: called with a colon %(write lr_scheduler%.StepLR",
      message(function() local x = optim.lr_scheduler:StepLR({}) return x end))
    assert.matches("solve: called with a colon %(write linalg%.solve",
      message(function() local x = peri.linalg:solve(peri.rand(2, 2)) return x end))
    assert.matches("unknown option nmae", message(function() local x = peri.run { nmae = 1 } return x end))
  end)

  it("says where classes begin, in which row, and how dtypes meet", function()
    local ce, y = nn.CrossEntropyLoss(), peri.tensor({ 1, 0, 2 }, { dtype = "int64" })
    assert.matches("row 2 of target is class 0 %(classes count from 1: expected 1 to 2; target %+ 1",
      message(ce, peri.rand(3, 2), y))
    assert.matches("row 1 of target is class 4 %(classes count from 1: expected 1 to 2%)$",
      message(ce, peri.rand(3, 2), y + 3))
    local wide = peri.rand(3, 2, { dtype = "float64" })
    assert.matches('x is float64 but weight is float32 %(x:to "float32" converts a tensor, net:to "float64"',
      message(nn.Linear(2, 2), wide))
    assert.matches('input is float32 but target is float64 %(input:to "float64"',
      message(nn.MSELoss(), peri.rand(3, 2), wide))
    assert.matches('A is float32 but b is float64 %(A:to "float64"',
      message(peri.linalg.solve, peri.eye(3), wide))
    assert.matches("tensor 2 is int64 but tensor 1 is float32 %(expected floats of one dtype%)",
      message(peri.linalg.multi_dot, { peri.rand(2, 2), peri.eye(2, { dtype = "int64" }) }))
  end)

  it("names a bound that is one", function()
    local p = nn.Linear(2, 2):parameters()
    assert.matches("lr is %-1 %(expected at least 0%)$", message(optim.SGD, p, { lr = -1 }))
    assert.matches("batch_size is 0 %(expected at least 1%)$",
      message(peri.data.loader, { peri.rand(2) }, { batch_size = 0 }))
    assert.matches("p is 2 %(expected 0 to 1%)$", message(nn.Dropout, { p = 2 }))
    assert.matches("lr is nan %(expected a finite number%)$", message(optim.SGD, p, { lr = -(0 / 0) }))
    assert.matches("X has nan in row 1",
      message(svm.SVC {}.fit, svm.SVC {}, peri.tensor { { 0 / 0, 1 }, { 1, 2 } }, { 1, 2 }))
    assert.matches("X has nan in row 1",
      message(svm.SVC {}.fit, svm.SVC {}, peri.tensor { { -(0 / 0), 1 }, { 1, 2 } }, { 1, 2 }))
  end)

  it("of grad is named grad", function()
    local x = peri.rand(3, { requires_grad = true })
    assert.matches("grad: the tensor does not require grad", message(peri.grad, peri.rand(1), x))
    assert.matches("grad: the tensor is 3; without", message(peri.grad, x * 2, x))
    assert.matches("grad: gradient is 2 but the tensor is 3",
      message(peri.grad, x * 2, x, { grad_output = peri.rand(2) }))
    local y = (x * x):sum()
    peri.grad(y, x)
    assert.matches("grad: the graph of [%w_]+ was freed", message(peri.grad, y, x))
    assert.matches(" backward: the graph of [%w_]+ was freed", message(y.backward, y))
  end)

  it("of a file that is something else says so", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write("this is a letter and no model\n")
    file:flush()
    assert.matches("this is no safetensors file", message(peri.load, path))
    os.remove(path)
  end)
end)

describe("ipairs", function()
  it("goes over the rows of a tensor and ends", function()
    local x, seen = peri.tensor { { 1, 2 }, { 3, 4 }, { 5, 6 } }, {}
    for i, row in ipairs(x) do seen[i] = row[2] end
    assert.same({ 2, 4, 6 }, seen)
    local sum = 0
    for _, v in ipairs(peri.arange(1, 4)) do sum = sum + v end
    assert.equal(10, sum)
    for _ in ipairs(peri.zeros(0, 3)) do error "no rows" end
    local w, rows = peri.rand(2, { requires_grad = true }), 0
    for _, row in ipairs(w) do
      assert.is_true(peri.is_tensor(row))
      rows = rows + 1
    end
    assert.equal(2, rows)
    assert.equal(3, coroutine.wrap(function()
      local n = 0
      for i in ipairs(x) do n = i end
      return n
    end)())
  end)

  it("leaves x[#x + 1] the error that it is", function()
    local x = peri.rand(3)
    assert.matches("position 4 is out of range", message(function() return x[#x + 1] end))
    for i in ipairs(x) do
      if i == 2 then assert.matches("position 4 is out of range", message(function() return x[4] end)) end
    end
    assert.matches("position 4 is out of range", message(table.insert, x, 1))
    assert.matches("position 5 is out of range", message(function() return x[5] end))
    assert.matches("no dimensions", message(function() for _ in ipairs(peri.tensor(1)) do error "none" end end))
  end)
end)
