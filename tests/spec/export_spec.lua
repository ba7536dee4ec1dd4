-- Models as C files: compiled here, they give the runtime's bits. ./dev export-check does the same with 100,000 rows,
-- and for a Cortex-M4.
local peri = require "perilune"
local exported = require "support.exported"
local message = require("support.fails").message
local nn, data, svm = peri.nn, peri.data, peri.svm

local ROWS = 300

local function training(d, seed)
  peri.manual_seed(seed)
  return peri.randn(60, d), peri.arange(1, 60) % 3 + 4, peri.arange(1, 60) % 2, peri.randn(60)
end

describe("a model as C #stock #once", function()
  local folder
  before_each(function() -- not in memory, where programs may not run
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)
  after_each(function() os.execute("rm -r " .. folder) end)

  -- wanted(m)(X): scores, and labels where there are any
  local function check(m, d, wanted, options)
    options = options or {}
    local file, dtype = folder .. "/model.c", options.type == "double" and "float64" or "float32"
    peri.model.export_c(file, m, { input = options.input, number = options.number })
    local X = exported.rows(ROWS, d, dtype)
    local scores, labels = wanted(m)(X)
    local got_scores, got_labels = exported.compiled("cc -march=native", file, ROWS,
      { type = options.type, labels = labels ~= nil })
    if scores then assert.equal(exported.digest(scores), got_scores) end
    if labels then assert.equal(exported.digest(labels), got_labels) end
  end

  local function of_net(input)
    return function(net)
      net:eval()
      return function(X)
        return peri.no_grad(function() return net(input and X:reshape(#X, table.unpack(input)) or X) end)
      end
    end
  end

  it("has the bits of a network with each activation there is", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(5, 300), nn.Tanh(), nn.Linear(300, 9, { bias = false }), nn.GELU(),
      nn.Linear(9, 9), nn.GELU { approximate = "tanh" }, nn.SiLU(), nn.Linear(9, 9), nn.ELU { alpha = 0.7 },
      nn.CELU { alpha = 0.3 }, nn.SELU(), nn.Linear(9, 9), nn.Softplus { beta = 2 }, nn.LogSigmoid(), nn.Linear(9, 9),
      nn.LeakyReLU(), nn.Hardtanh { min_val = -0.5 }, nn.Dropout(), nn.Linear(9, 9), nn.Softsign(), nn.Hardswish(),
      nn.Linear(9, 9), nn.Hardsigmoid(), nn.Linear(9, 9), nn.ReLU6(), nn.Sequential(nn.Linear(9, 4), nn.Sigmoid()))
    check(net, 5, of_net())
    local wide = nn.Sequential(nn.Linear(5, 7, { dtype = "float64" }), nn.Tanh(),
      nn.Linear(7, 2, { dtype = "float64" }), nn.Sigmoid())
    check(wide, 5, of_net(), { type = "double" })
  end)

  it("has the bits of convolutions, pooling and batch norm", function()
    peri.manual_seed(2)
    local net = nn.Sequential(nn.Conv2d(2, 4, 3, { padding = 1 }), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
      nn.Conv2d(4, 40, { 2, 3 }, { groups = 2, padding = "same", dilation = { 2, 1 } }),
      nn.AvgPool2d(2, { padding = 1 }),
      nn.Conv2d(40, 3, 2, { stride = { 2, 1 } }), nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 3))
    net(peri.randn(30, 2, 8, 8))
    check(net, 128, of_net { 2, 8, 8 }, { input = { 2, 8, 8 } })
    local line = nn.Sequential(nn.Conv1d(2, 3, 3, { stride = 2, padding = 2 }), nn.Tanh(),
      nn.MaxPool1d(2, { padding = 1 }),
      nn.AvgPool1d(2, { stride = 1, count_include_pad = false, padding = 1 }), nn.Flatten(), nn.Linear(18, 2))
    check(line, 26, of_net { 2, 13 }, { input = { 2, 13 } })
  end)

  it("has the bits of machines and what stands before them", function()
    local function of(m) return function(Z) return m:decision_function(Z), m:predict(Z) end end
    local function labels(m) return function(Z) return nil, m:predict(Z) end end
    local wide = { type = "double" }
    local X, three, two = training(3, 3)
    local t
    X = X:to "float64"
    check(svm.SVC { kernel = "linear" }:fit(X, two), 3, of, wide)
    check(svm.SVC { kernel = "poly" }:fit(X, two), 3, of, wide)
    check(svm.SVC { decision_function_shape = "ovo" }:fit(X, three), 3, of, wide)
    check(svm.LinearSVC {}:fit(X, three), 3, of, wide)
    X, three, two, t = training(20, 20)
    X = X:to "float64"
    check(svm.SVC { kernel = "sigmoid", decision_function_shape = "ovo" }:fit(X, three), 20, of, wide)
    check(svm.SVC {}:fit(X, three), 20, labels, wide)
    check(svm.LogisticRegression {}:fit(X, two), 20, of, wide)
    check(svm.OneClassSVM {}:fit(X), 20, labels, wide)
    check(svm.LinearSVR {}:fit(X, t), 20, function(m) return function(Z) return m:predict(Z) end end, wide)
    for _, steps in ipairs { { data.StandardScaler(), data.MinMaxScaler { low = -0.3 } },
      { data.StandardScaler { mean = false }, data.PCA { components = 3, whiten = true },
        data.MinMaxScaler { clip = true } } } do
      steps[#steps + 1] = svm.SVC { kernel = "linear", decision_function_shape = "ovo" }
      check(peri.model.pipeline(steps):fit(X, three), 20, of, wide)
    end
  end)

  it("of what train fits gives its labels, and in float and 8 bits nearly", function()
    local X, y = training(4, 5)
    local net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    local m = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = 0.02 }),
      train = { X, y }, epochs = 20, progress = false, seed = 1 }
    check(m, 4, function() return function(Z) return of_net()(net)(Z), m:predict(Z) end end)
    check(peri.model.pipeline { data.StandardScaler():fit(X), m }, 4,
      function(p) return function(Z) return nil, p:predict(Z) end end)
    local file, small = folder .. "/model.c", peri.model.export_c(folder .. "/small.c", m, { number = "int8" })
    local full = peri.model.export_c(file, m)
    assert.is_true(small.flash < full.flash)
    exported.compiled("cc", folder .. "/small.c", 10, { labels = true })
    exported.compiled("cc -march=native", file, 10, { labels = true })
  end)

  it("can be of a machine on fewer vectors, which are nearest to it", function()
    local X, y = data.moons(300, { noise = 0.2, seed = 1 })
    local Z, w = data.moons(1000, { noise = 0.2, seed = 2 })
    local m = svm.SVC {}:fit(X, y)
    local few = peri.model.fewer_vectors(m, 20)
    assert.is_true(#few.support <= 20 and #m.support > 40)
    assert.is_true(few:score(Z, w) > m:score(Z, w) - 0.005)
    assert.is_true(peri.model.fewer_vectors(m, 1000) == m)
    check(few, 2, function(f) return function(Q) return f:decision_function(Q), f:predict(Q) end end,
      { type = "double" })
    local all = peri.model.fewer_vectors(m, #m.support - 1) -- nearly the same function
    assert.is_true((all:decision_function(Z) - m:decision_function(Z)):abs():max():item() < 1e-3)
    local T = peri.randn(200, 2)
    local three = T[{ {}, 1 }]:gt(0):to "int64" + T[{ {}, 2 }]:gt(0):to "int64"
    local q = svm.SVC { kernel = "poly" }:fit(T, three)
    local less = peri.model.fewer_vectors(q, 12) -- as many as its function needs
    assert.is_true(less:score(T, three) > q:score(T, three) - 0.01)
    local r = svm.SVR {}:fit(X, X[{ {}, 1 }]:sin())
    assert.is_true(peri.model.fewer_vectors(r, 10):score(Z, Z[{ {}, 1 }]:sin()) > 0.95)
    assert.matches("most is 1 %(expected at least 2", message(peri.model.fewer_vectors, m, 1))
    assert.matches("m must be a fitted machine with a kernel", message(peri.model.fewer_vectors, svm.LinearSVC {}, 5))
    assert.matches("the kernel of the SVC is 'linear'",
      message(peri.model.fewer_vectors, svm.SVC { kernel = "linear" }:fit(X, y), 5))
    local path = folder .. "/m.model"
    peri.save_model(path, peri.model.pipeline { data.StandardScaler(), svm.SVC {} }:fit(X, y))
    data.write_csv(folder .. "/rows.csv", peri.cat({ Z:to "float64", w:to "float64":reshape(-1, 1) }, 2))
    local program = (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune"
    local said = exported.run(("%s export %s --c %s/m.c --most-vectors 15 --data %s/rows.csv"):format(program, path,
      folder, folder))
    assert.matches("^%d+ of %d+ support vectors\nscore on .*: 0%.9%d+, was 0%.9%d+\n.*m%.c: %d+ bytes", said)
  end)

  it("is refused by name where there is no form in C", function()
    local function refused(m, options) return message(peri.model.export_c, folder .. "/m.c", m, options) end
    assert.matches("layer 2 is a Mish, which has no form in C", refused(nn.Sequential(nn.Linear(2, 2), nn.Mish())))
    assert.matches("ceil_mode has no form", refused(nn.MaxPool2d(2, { ceil_mode = true }), { input = { 1, 4, 4 } }))
    assert.matches("int8 is for the weights of networks",
      refused(svm.SVC {}:fit(peri.randn(9, 2), peri.arange(1, 9) % 2), { number = "int8" }))
    assert.matches("prefix must be a name of C", refused(nn.Linear(2, 2), { prefix = "3x" }))
    assert.matches("path must be the name of a %.c file", message(peri.model.export_c, "m.h", nn.Linear(2, 2)))
    assert.matches("cannot be written", message(peri.model.export_c, "/nowhere/m.c", nn.Linear(2, 2)):gsub("No such.*",
      "cannot be written"))
  end)
end)
