-- Pictures of models: their regions in the plane, and plot.boundary. Figures are looked at by their layers and by
-- what gnuplot is told.
local peri = require "perilune"
local plot, svm, train, nn = peri.plot, peri.svm, peri.train, peri.nn
local fails = require("support.fails").at_script
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local layers_of, labels_of = pictures.layers_of, pictures.labels_of
local moons = require "support.moons"
local build, network, small = moons.build, moons.network, moons.small
local X, y, yt, X3, y3 = moons.X, moons.y, moons.yt, moons.X3, moons.y3

describe("regions of a model", function()
  local square = { -2, 3, -2, 2 }

  -- A figure with the regions of m, and the kind that they are of, by what the image's colours mean.
  local function regions(m, options)
    options = small(options)
    options.model, options.extent = m, options.extent or square
    return plot.figure():regions(options)
  end

  local function same(m, expected)
    expected.extent, expected.resolution = expected.extent or square, 12
    assert.equal(commands_of(plot.figure():regions(expected)), commands_of(regions(m, { extent = expected.extent })))
  end

  local function calls(m, method) return function(points) return m[method](m, points) end end

  it("are those of its decision function, with margins, for machines of two classes", function()
    for _, m in ipairs { svm.SVC { gamma = 1 }, svm.NuSVC(), svm.LinearSVC(), svm.SVC { probability = true } } do
      m:fit(X, y)
      same(m, { kind = "decision", predict = calls(m, "decision_function") })
      assert.equal(2, #layers_of(regions(m), "contour"))
    end
  end)

  it("have no margins for one class", function()
    local m = svm.OneClassSVM({ gamma = 2 }):fit(X)
    same(m, { kind = "decision", margins = false, predict = calls(m, "decision_function") })
    assert.equal(2, #layers_of(regions(m, { margins = true }), "contour"))
  end)

  it("are probabilities for networks and logistic regression, whose second class is named", function()
    local net, logistic = network():fit(X, y * 3), svm.LogisticRegression():fit(X, y * 3)
    for _, m in ipairs { net, logistic } do
      same(m, { kind = "probability", predict = calls(m, "predict_proba"), colorbar = "probability of class 6" })
      has(commands_of(regions(m)), "set cblabel 'probability of class 6'")
      lacks(commands_of(regions(m, { colorbar = false })), "cblabel")
    end
    local model, optimizer = build { n_classes = 2 }
    local fitted = train.fit { model = model, optimizer = optimizer, loss = nn.CrossEntropyLoss(), train = { X, y },
      epochs = 1, progress = false }
    same(fitted, { kind = "probability", predict = calls(fitted, "predict_proba") })
    local many = network():fit(X3, y3)
    same(many, { kind = "probability", predict = calls(many, "predict_proba") })
  end)

  it("are classes for machines of several, each in its colour even where one is not there", function()
    local m = svm.SVC():fit(X3, y3)
    same(m, { kind = "class", predict = calls(m, "predict"), extent = { -10, 4, -8, 12 } })
    local around = X3[y3:eq(3)]:mean(1):totable()
    local f = plot.figure():regions(small { model = m,
      extent = { around[1] - 0.1, around[1] + 0.1, around[2] - 0.1, around[2] + 0.1 } })
    local image = layers_of(f, "image")[1]
    assert.equal(2.5, image.rows[1][1])
    assert.equal(3, image.high)
  end)

  it("keep to a class's colour where the model is sure, and draw smooth lines between classes", function()
    for classes = 3, 10 do
      local f = plot.figure():regions(small { kind = "probability", extent = square, predict = function(points)
        local first = points[{ {}, 1 }]
        local class = ((first - first:min()) / (first:max() - first:min()) * (classes - 1) + 1.5):floor():to "int64"
        return peri.one_hot(class, classes)
      end })
      local image = layers_of(f, "image")[1]
      for _, row in ipairs(image.rows) do
        for _, shade in ipairs(row) do -- 1/256 of the palette away from where the next class begins
          assert.is_true(shade % 1 > classes / 256 and shade % 1 < 1 - classes / 256)
        end
      end
    end
    local step = plot.figure():regions(small { extent = square, predict = function(points)
      return points[{ {}, 1 }]:gt(0):to "int64"
    end })
    local lines = layers_of(step, "contour")
    assert.equal(1, #lines)
  end)

  it("are what kind asks for", function()
    local net = network():fit(X, y)
    assert.equal(1, #layers_of(regions(net, { kind = "decision" }), "contour"))
    assert.equal(2, #layers_of(regions(net, { kind = "decision", margins = true }), "contour"))
    local m = svm.SVC({ probability = true }):fit(X, y)
    has(commands_of(regions(m, { kind = "probability" })), "set cblabel 'probability of class 2'")
    assert.equal(2, layers_of(regions(m, { kind = "class" }), "image")[1].high)
  end)

  it("ask estimators in Lua for what they have", function()
    local Line = {}
    Line.__index = Line
    function Line:predict(x) return x:select(2, 1):gt(self.at):to "int64" + 1 end
    local line = setmetatable({ at = 0 }, Line)
    same(line, { kind = "class", predict = calls(line, "predict") })
    function Line:decision_function(x) return x:select(2, 1) - self.at end
    line.classes = { 1, 2 }
    same(line, { kind = "decision", margins = false, predict = calls(line, "decision_function") })
    function Line:predict_proba(x) return (x:select(2, 1) - self.at):sigmoid() end
    same(line, { kind = "probability", predict = calls(line, "predict_proba") })
  end)

  it("have errors that name the model", function()
    local function try(expected, m, options) fails("plot.regions: " .. expected, regions, m, options) end
    fails("plot.regions: neither predict nor model is given (expected one of them)", function()
      plot.figure():regions { extent = square }
    end)
    try("predict and model are both given (expected one of them)", svm.SVC(), { predict = function() end })
    try("model must be a fitted estimator (with fit and predict), got 5", 5)
    try("model must be a fitted estimator (with fit and predict), got a table", {})
    try("model must be a fitted estimator (with fit and predict), got a tensor float32 of 80x2", X)
    try("model must be a fitted estimator (with fit and predict), got a Sequential", nn.Sequential(nn.Linear(2, 2)))
    try("model must be a fitted estimator (with fit and predict), got a Nystroem", svm.Nystroem())
    try("the SVC is not fitted", svm.SVC())
    try("the LinearSVC is not fitted", svm.LinearSVC())
    try("the Classifier is not fitted", network())
    local x = X:select(2, 1)
    for _, name in ipairs { "SVR", "NuSVR", "LinearSVR" } do
      try(("the %s is a regression, which has no classes"):format(name), svm[name]():fit(X, x))
    end
    local regressor = train.Regressor { build = build, epochs = 1, progress = false }
    try("the Regressor is a regression, which has no classes", regressor:fit(X, x))
    try("the SVC was fitted on 3 features (expected 2)", svm.SVC():fit(peri.randn(20, 3), y[{ { 1, 20 } }]))
    try("the SVC has a precomputed kernel, so no plane", svm.SVC({ kernel = "precomputed" }):fit(peri.eye(80), y))
    try("kind is 'probability' but the LinearSVC has no predict_proba", svm.LinearSVC():fit(X, y),
      { kind = "probability" })
    try("predict gave 3 numbers a point (kind 'decision' expects 1)", network():fit(X3, y3), { kind = "decision" })
    fails("there are no probabilities; fit with probability = true", regions, svm.SVC():fit(X, y),
      { kind = "probability" })
  end)
end)

describe("plot.boundary", function()
  it("has regions, points by class and rings around the support vectors", function()
    local m = svm.SVC({ gamma = 1 }):fit(X, y)
    local f = plot.boundary(m, X, y, small { labels = { "upper", "lower" }, title = "moons" })
    assert.same({ "margins", "boundary", "upper", "lower", "support vectors" }, labels_of(f))
    local groups = layers_of(f, "scatter")
    assert.equal(80, #groups[1].groups[1].xs + #groups[1].groups[2].xs)
    assert.equal(#m.support, #groups[2].groups[1].xs)
    assert.same({ "x1", "x2", "equal", "moons" }, { f.xlabel, f.ylabel, f.aspect, f.title })
    local commands = commands_of(f)
    has(commands, "set title 'moons'")
    has(commands, "set key outside center bottom")
    local e = f.layers[1].extent
    local low, high = X:min(1):totable(), X:max(1):totable()
    for i = 1, 2 do
      assert.is_true(e[2 * i - 1] < low[i] and e[2 * i] > high[i])
      assert.near((high[i] - low[i]) * 1.16, e[2 * i] - e[2 * i - 1], 1e-5)
    end
  end)

  it("takes tables and tensors, and rings, words and lines as asked", function()
    local m = svm.SVC():fit(X, y)
    assert.equal(commands_of(plot.boundary(m, X, y, small())),
      commands_of(plot.boundary(m, X:totable(), y:totable(), small())))
    local f = plot.boundary(m, X, y, small { support = false, label = "f = 0", margin_label = "|f| = 1" })
    assert.same({ "|f| = 1", "f = 0", "class 1", "class 2" }, labels_of(f))
    f = plot.boundary(m, X, y,
      small { boundary = false, margins = false, legend = false, xlabel = "a", aspect = "auto" })
    assert.same({ "class 1", "class 2", "support vectors" }, labels_of(f))
    has(commands_of(f), "unset key")
    assert.same({ "a", "x2", "auto" }, { f.xlabel, f.ylabel, f.aspect })
    f = plot.boundary(svm.LinearSVC():fit(X, y), X, y, small())
    assert.equal(1, #layers_of(f, "scatter"))
    f = plot.boundary(m, X, y, small { extent = { 0, 1, 0, 1 } })
    has(commands_of(f), "set xrange [0:1]")
    f = plot.boundary(m, X, y, small { xlim = { -5, 5 } })
    assert.same({ -5, 5 }, table.move(f.layers[1].extent, 1, 2, 1, {}))
  end)

  it("names the second class at the colour bar", function()
    local net = network():fit(X, y)
    has(commands_of(plot.boundary(net, X, y, small { labels = { "a", "b" } })), "set cblabel 'probability of b'")
    has(commands_of(plot.boundary(net, X, y, small { labels = { "a", "b" }, colorbar = "p" })), "set cblabel 'p'")
    has(commands_of(plot.boundary(net, X, y, small())), "set cblabel 'probability of class 2'")
    lacks(commands_of(plot.boundary(net, X, y, small { labels = { "a", "b" }, colorbar = false })), "cblabel")
  end)

  it("rings support vectors unless nearly all points are some, and has words in any language", function()
    local xor, side = peri.tensor { { 0, 0 }, { 1, 1 }, { 0, 1 }, { 1, 0 } }, peri.tensor { 1, 1, 2, 2 }
    local m = svm.SVC({ gamma = 1, C = 100 }):fit(xor, side)
    assert.equal(4, #m.support)
    assert.equal(1, #layers_of(plot.boundary(m, xor, side, small()), "scatter"))
    assert.equal(4, #layers_of(plot.boundary(m, xor, side, small { support = true }), "scatter")[2].groups[1].xs)
    local words = { label = "frontière", margin_label = "marges", support_label = "vecteurs de support",
      labels = { "haut", "bas" } }
    assert.same({ "marges", "frontière", "haut", "bas", "vecteurs de support" },
      labels_of(plot.boundary(svm.SVC():fit(X, y), X, y, small(words))))
    local one = plot.boundary(svm.OneClassSVM({ gamma = 2 }):fit(X), X, small { point_label = "points (fr)" })
    assert.same({ "boundary", "points (fr)", "support vectors" }, labels_of(one))
  end)

  it("names no margins that are not in view", function()
    local m = svm.LinearSVC({ C = 1e-6 }):fit(X, y) -- so wide that they are far away
    local f = plot.boundary(m, X, y, small { legend = "below" })
    assert.is_nil(table.concat(labels_of(f), " "):find("margins", 1, true))
    lacks(commands_of(f), "margins")
    has(commands_of(plot.boundary(svm.LinearSVC({ C = 10 }):fit(X, y), X, y, small())), "title 'margins'")
  end)

  it("gives points the colour of their class, whichever are there", function()
    local m = svm.SVC():fit(X3, y3)
    local third = y3:eq(3)
    local f = plot.boundary(m, X3[third], y3[third], small { support = false, labels = { "a", "b", "c" } })
    assert.same({ "c" }, labels_of(f)) -- no boundary is in view
    assert.equal("#009e73", layers_of(f, "scatter")[1].groups[1].color)
    f = plot.boundary(m, X3, y3 + 1, small { support = false }) -- a class that the machine does not know
    assert.same({ "boundary", "class 2", "class 3", "class 4" }, labels_of(f))
  end)

  it("has one colour when there are no classes", function()
    local m = svm.OneClassSVM({ gamma = 2 }):fit(X)
    local expected = { "boundary", "points", "support vectors" }
    assert.same(expected, labels_of(plot.boundary(m, X, nil, small())))
    assert.same(expected, labels_of(plot.boundary(m, X, small())))
    assert.same({ "boundary", "class -1", "class 1", "support vectors" },
      labels_of(plot.boundary(m, X, m:predict(X), small())))
  end)

  it("says what is wrong", function()
    local m = svm.SVC():fit(X, y)
    local function try(expected, ...) fails("plot.boundary: " .. expected, plot.boundary, ...) end
    try("model must be a fitted estimator (with fit and predict), got nil", nil, X, y)
    try("the SVC is not fitted", svm.SVC(), X, y)
    try("X is 4x3 (expected n x 2)", m, peri.zeros(4, 3), { 1, 1, 1, 1 })
    try("X must be a tensor or a list of numbers, got nil", m)
    try("X has one dimension (expected two)", m, { 1, 2 }, { 1, 2 })
    try("X has 80 rows but y has 40", m, X, yt)
    try("y[2] is NaN", m, { { 0, 0 }, { 1, 1 } }, { 1, 0 / 0 })
    try("labels has 3 names but there are 2 classes", m, X, y, { labels = { "a", "b", "c" } })
    try("support is true but the model has no support vectors", svm.LinearSVC():fit(X, y), X, y, { support = true })
    try("support must be true or false, got 1", m, X, y, { support = 1 })
    try("unknown option predict (known: aspect, axes, boundary,", m, X, y, { predict = print })
    try("options must be a table, got 5", m, X, y, 5)
    fails("plot.regions: the axes must be linear", plot.boundary, m, X, y, small { xscale = "log" })
  end)
end)
