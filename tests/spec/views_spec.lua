-- Pictures of results: the method plot of trainings, searches, curves and confusion matrices. Figures are looked at
-- by their layers and by what gnuplot is told; it runs for `save` alone.
local peri = require "perilune"
local run = require "support.program"
local plot, svm, train, select, metrics, nn = peri.plot, peri.svm, peri.train, peri.select, peri.metrics, peri.nn
local process = require "support.internal".process
local fails = require("support.fails").at_script
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local layers_of, labels_of = pictures.layers_of, pictures.labels_of
local moons = require "support.moons"
local build, network, small = moons.build, moons.network, moons.small
local X, y, Xt, yt = moons.X, moons.y, moons.Xt, moons.yt

local function raised_by_plot(expected, m, options) fails(expected, function() return m:plot(options) end) end

describe("the plot of a training", function()
  it("has lines for train and dev over the epochs", function()
    local m = network { epochs = 12 }
    m:fit(X, y, { dev = { Xt, yt } })
    local f = m:plot()
    assert.same({ "train", "dev" }, labels_of(f))
    assert.same({ "epoch", "loss" }, { f.xlabel, f.ylabel })
    local lines = layers_of(f, "line")
    assert.same(m.train_loss:totable(), lines[1].ys)
    assert.same(m.dev_loss:totable(), lines[2].ys)
    assert.equal(12, lines[1].xs[12])
    f = m:plot { measure = "accuracy", title = "t", ylabel = "right", yscale = "log", legend = false }
    assert.same({ "right", "t", "log", false }, { f.ylabel, f.title, f.yscale, f.legend })
    assert.same(m.dev_accuracy:totable(), layers_of(f, "line")[2].ys)
    assert.same({ "train" }, labels_of(network():fit(X, y):plot()))
  end)

  it("marks every epoch where there are few, and draws one as a point", function()
    has(commands_of(network({ epochs = 3 }):fit(X, y):plot()), "set xtics  ('1' 1, '2' 2, '3' 3)")
    lacks(commands_of(network({ epochs = 9 }):fit(X, y):plot()), "set xtics  (")
    has(commands_of(network({ epochs = 1 }):fit(X, y):plot()), "with linespoints")
  end)

  it("has a dot at the best epoch of the curve that was watched", function()
    local m = network { epochs = 20, early_stopping = { patience = 3, monitor = "dev_accuracy" } }
    m:fit(X, y, { dev = { Xt, yt } })
    assert.equal("dev_accuracy", m.monitor)
    assert.same({ "train", "dev" }, labels_of(m:plot()))
    local f = m:plot { measure = "accuracy" }
    local dot = layers_of(f, "scatter")[1]
    assert.same({ ("best: epoch %d"):format(m.best_epoch) }, dot.labels)
    assert.same({ { m.best_epoch }, { m.dev_accuracy[m.best_epoch] } }, { dot.groups[1].xs, dot.groups[1].ys })
    f = m:plot { measure = "accuracy", labels = { train = "apprentissage", best = "meilleure époque" } }
    assert.same({ "apprentissage", "dev", "meilleure époque" }, labels_of(f))
    raised_by_plot("plot: labels must be a table of strings for train, dev, best, got a table", m,
      { labels = { test = "x" } })
    m = network { epochs = 4, early_stopping = {} }
    local train_alone = m:fit(X, y):plot()
    assert.same({ "train", ("best: epoch %d"):format(m.best_epoch) }, labels_of(train_alone))
  end)

  it("knows regressions and what train.fit gives", function()
    local m = train.Regressor { build = build, epochs = 3, progress = false }
    m:fit(X, X:select(2, 1))
    assert.same({ "R^2", "epoch" }, { m:plot({ measure = "r2" }).ylabel, m:plot().xlabel })
    local model, optimizer = build { n_classes = 2 }
    local h = train.fit { model = model, optimizer = optimizer, loss = nn.CrossEntropyLoss(), train = { X, y },
      epochs = 2, progress = false }
    assert.same(h.train_loss:totable(), h:plot().layers[1].ys)
    raised_by_plot("plot: measure is 'accuracy', which this training does not have (it has loss, r2)", m,
      { measure = "accuracy" })
    raised_by_plot("plot: measure is 'r2', which this training does not have (it has loss, accuracy)", h,
      { measure = "r2" })
  end)

  it("says what is wrong", function()
    raised_by_plot("plot: the Classifier is not fitted", network())
    local m = network():fit(X, y)
    raised_by_plot("plot: measure must be one of accuracy, loss, r2, got 'cost'", m, { measure = "cost" })
    raised_by_plot("plot: unknown option color (known: aspect, axes, doc, grid,", m, { color = "red" })
    raised_by_plot("plot: width is 3 (expected 50 to 10000)", m, { width = 3 })
    fails("plot: called with nil (expected m:plot(...))", m.plot)
    raised_by_plot("plot.figure: ylim is {-1, 1} on a log axis", m, { yscale = "log", ylim = { -1, 1 } })
  end)
end)

describe("plot.histories", function()
  local short, long = network { epochs = 3 }, network { epochs = 12 }
  short:fit(X, y, { dev = { Xt, yt } })
  long:fit(X, y)

  it("draws a measure of several trainings, each with its name and its look", function()
    local f = plot.histories({ { "short", short, style = "dashed" }, { "long", long, width = 5 } })
    assert.same({ "short", "long" }, labels_of(f))
    assert.same({ "epoch", "train loss" }, { f.xlabel, f.ylabel })
    local lines = layers_of(f, "line")
    assert.same({ short.train_loss:totable(), long.train_loss:totable() }, { lines[1].ys, lines[2].ys })
    assert.same({ "dashed", 5 }, { lines[1].style, lines[2].width })
    f = plot.histories({ { "short", short } }, { measure = "dev_accuracy", title = "t", ylabel = "right" })
    assert.same({ "t", "right" }, { f.title, f.ylabel })
    assert.same(short.dev_accuracy:totable(), layers_of(f, "line")[1].ys)
  end)

  it("says what is wrong", function()
    fails("plot.histories: trainings must be a list {{name, training}, ..}, got nil", plot.histories)
    fails("plot.histories: entry 1 must be {name, training}, got a table", plot.histories, { { short } })
    fails("plot.histories: long has no dev_loss (expected a training, as train.fit gives it)", plot.histories,
      { { "short", short }, { "long", long } }, { measure = "dev_loss" })
    fails("plot.histories: an SVC has no train_loss", plot.histories, { { "an SVC", svm.SVC() } })
    fails("plot.histories: measure must be one of dev_accuracy,", plot.histories, { { "a", short } },
      { measure = "loss" })
    fails("unknown option color", plot.histories, { { "a", short } }, { color = "red" })
    fails("unknown option colour", plot.histories, { { "a", short, colour = "red" } })
  end)
end)

describe("the plot of a search", function()
  local function machine(p) return svm.SVC { C = p.C, gamma = p.gamma, kernel = p.kernel } end

  local function grid(params, options)
    options = options or { dev = { Xt, yt } }
    options.build, options.params, options.train = machine, params, { X, y }
    return select.grid_search(options)
  end

  it("is a line over a parameter of numbers, in their order", function()
    local g = grid { C = { 10, 0.1, 1 } }
    local f = g:plot()
    assert.same({ "C", "score", "log" }, { f.xlabel, f.ylabel, f.xscale })
    local line, scores = f.layers[1], g.scores:totable()
    assert.same({ { 0.1, 1, 10 }, { scores[2], scores[3], scores[1] } }, { line.xs, line.ys })
    assert.equal("circle", line.marker)
    assert.equal(1, #f.layers)
    assert.equal("linear", grid({ C = { 1, 19 } }):plot().xscale)
    assert.equal("log", grid({ C = { 1, 20 } }):plot().xscale)
    assert.equal("linear", grid({ C = { 1, 20 } }):plot({ xscale = "linear" }).xscale)
    f = grid({ C = { 1, 2 }, gamma = { 0.5 }, kernel = { "rbf" } }):plot { title = "t", ylabel = "s" }
    assert.same({ "C", "t", "s", { 1, 2 } }, { f.xlabel, f.title, f.ylabel, f.layers[1].xs })
    assert.same({ 3 }, grid({ C = { 3 } }):plot().layers[1].xs)
  end)

  it("has a band of one standard deviation over folds", function()
    local g = grid({ C = { 0.1, 1 } }, { cv = 4, metric = "f1_macro" })
    local f = g:plot()
    local band, means, stds = layers_of(f, "band")[1], g.scores:totable(), g.stds:totable()
    for i = 1, 2 do
      assert.equal(means[i] - stds[i], band.low[i])
      assert.equal(math.min(means[i] + stds[i], 1), band.high[i]) -- no share is more than 1
    end
    assert.same({ "mean of 4 folds ± std" }, labels_of(f))
    assert.equal("macro F1", f.ylabel)
  end)

  it("is a heat map of a grid over two", function()
    local g = grid { C = { 1, 0.1, 10 }, gamma = { 2, 1 } }
    local f = g:plot()
    local map, scores = layers_of(f, "heatmap")[1], g.scores:totable()
    assert.same({ { "0.1", "1", "10" }, { "1", "2" } }, { map.column_names, map.row_names })
    assert.same({ { scores[4], scores[2], scores[6] }, { scores[3], scores[1], scores[5] } }, map.rows)
    assert.same({ "C", "gamma", "score", "%.3f" }, { f.xlabel, f.ylabel, map.colorbar, map.values })
    f = grid({ C = { 1, 2 }, kernel = { "rbf", "linear" } }, { dev = { Xt, yt }, metric = "accuracy" }):plot()
    assert.same({ "linear", "rbf" }, layers_of(f, "heatmap")[1].row_names)
    has(commands_of(f), "set cblabel 'accuracy'")
    local many = {}
    for i = 1, 30 do many[i] = i end
    f = grid({ C = many, gamma = { 1, 2 } }):plot()
    assert.same({ 1360, 480 }, { f.width, f.height })
  end)

  it("has dark cells where less is better and the score is low", function()
    local function net(p) return network { epochs = p.epochs, batch_size = p.batch_size } end
    local g = select.grid_search { build = net, params = { epochs = { 1, 2 }, batch_size = { 20, 40 } },
      train = { X, y }, dev = { Xt, yt }, metric = "log_loss" }
    local map = layers_of(g:plot(), "heatmap")[1]
    assert.same({ "#08306b", "log loss" }, { map.stops[2], map.colorbar })
  end)

  it("is bars of the best for all else", function()
    local g = grid { C = { 0.1, 1, 10 }, gamma = { 0.1, 1, 10 }, kernel = { "rbf", "sigmoid", "poly" } }
    local f = g:plot()
    local bars = layers_of(f, "bars")[1]
    assert.equal(20, #bars.heights)
    for i = 1, 20 do
      local r = g.results[i]
      assert.equal(r.score, bars.heights[i])
      assert.equal(("C = %g, gamma = %g, kernel = %s"):format(r.params.C, r.params.gamma, r.params.kernel),
        bars.names[i])
    end
    local commands = commands_of(f)
    has(commands, "set ytics  ('C = ")
    assert.equal("score", f.xlabel)
    assert.is_true(tonumber(commands:match "set yrange %[([%d.]+):") > 20) -- the best on top
    f = grid({ kernel = { "rbf", "linear" } }):plot()
    assert.equal("kernel", f.ylabel)
    assert.is_true(layers_of(f, "bars")[1].names[1] == "rbf" or layers_of(f, "bars")[1].names[1] == "linear")
    local drawn = select.random_search { build = machine, train = { X, y }, dev = { Xt, yt }, n = 5,
      params = { C = { from = 0.1, to = 10, log = true }, gamma = { from = 0.1, to = 10, log = true } } }
    assert.equal(5, #layers_of(drawn:plot(), "bars")[1].heights)
    local once = select.random_search { build = machine, train = { X, y }, dev = { Xt, yt }, n = 5,
      params = { C = { from = 0.1, to = 10, log = true } } }
    assert.equal(5, #layers_of(once:plot(), "line")[1].xs)
  end)

  it("names values that are lists, and bears results without a value", function()
    local function of(p) return svm.SVC { C = p.hidden and p.hidden[1] or 1 } end
    local g = select.grid_search { build = of, params = { hidden = { { 1, 2 }, { 3, { 4 } } } }, train = { X, y },
      dev = { Xt, yt } }
    local names = layers_of(g:plot(), "bars")[1].names
    table.sort(names)
    assert.same({ "{1, 2}", "{3, {..}}" }, names)
    local n = 0
    g = select.random_search { build = of, n = 2, train = { X, y }, dev = { Xt, yt }, params = { hidden = function()
      n = n + 1
      return n == 1 and { 1 } or nil
    end } }
    names = layers_of(g:plot(), "bars")[1].names
    table.sort(names)
    assert.same({ "nil", "{1}" }, names)
  end)

  it("of svm.grid_search is alike", function()
    local g = svm.grid_search(svm.SVC(), X, y, { C = { 0.1, 1, 10 }, gamma = { 0.5, 1 }, folds = 3 })
    local f = g:plot { title = "t" }
    local map = layers_of(f, "heatmap")[1]
    assert.same(g.scores:totable(), map.rows)
    assert.same({ "C", "gamma", "accuracy", "t" }, { f.xlabel, f.ylabel, map.colorbar, f.title })
    f = svm.grid_search(svm.SVC(), X, y, { C = { 0.1, 1 }, gamma = { 0.5 }, folds = 3 }):plot()
    assert.same({ "C", { 0.1, 1 }, "linear" }, { f.xlabel, f.layers[1].xs, f.xscale })
    assert.same({ "mean of 3 folds ± std" }, labels_of(f))
    f = svm.grid_search(svm.SVC(), X, y, { gamma = { 1, 0.01 }, folds = 3 }):plot()
    assert.same({ "gamma", { 0.01, 1 }, "log" }, { f.xlabel, f.layers[1].xs, f.xscale })
    f = svm.grid_search(svm.LinearSVC(), X, y, { C = { 1, 2 }, folds = 3 }):plot()
    assert.same({ "C", { 1, 2 } }, { f.xlabel, f.layers[1].xs })
    f = svm.grid_search(svm.SVR(), X, X:select(2, 1), { C = { 1, 2 }, folds = 3 }):plot()
    assert.equal("R^2", f.ylabel)
    f = svm.grid_search(svm.SVC(), X, y, { C = { 1, 2 }, gamma = { "scale", 1 }, folds = 3 }):plot()
    assert.same({ "1", "scale" }, layers_of(f, "heatmap")[1].row_names)
    raised_by_plot("plot: unknown option values (known: ", g, { values = "%d" })
    fails("plot: called with nil (expected grid:plot(...))", g.plot)
  end)

  it("says what is wrong", function()
    local g = grid { C = { 1, 2 } }
    raised_by_plot("plot: unknown option color (known: aspect,", g, { color = "red" })
    fails("plot: called with a table (expected result:plot(...))", g.plot, {})
  end)
end)

describe("the plot of a curve", function()
  local function machine(p) return svm.SVC { C = p.C, kernel = p.kernel } end

  local function learning(options)
    options.estimator, options.train, options.sizes = svm.SVC(), { X, y }, options.sizes or { 10, 40, 80 }
    return select.learning_curve(options)
  end

  it("has train and test over the sizes, with bands where there are repeats", function()
    local c = learning { dev = { Xt, yt }, seeds = { 1, 2, 3 } }
    local f = c:plot()
    assert.same({ "examples", "score", "linear" }, { f.xlabel, f.ylabel, f.xscale })
    assert.same({ "train ± std", "test ± std" }, labels_of(f))
    local lines, bands = layers_of(f, "line"), layers_of(f, "band")
    assert.same({ 10, 40, 80 }, lines[1].xs)
    assert.same({ c.train_mean:totable(), c.test_mean:totable() }, { lines[1].ys, lines[2].ys })
    assert.same((c.test_mean - c.test_std):totable(), bands[2].low)
    assert.same((c.test_mean + c.test_std):totable(), bands[2].high)
    assert.same({ "circle", "square" }, { lines[1].marker, lines[2].marker })
    f = learning({ dev = { Xt, yt } }):plot()
    assert.same({ 0, { "train", "test" } }, { #layers_of(f, "band"), labels_of(f) })
  end)

  it("shows errors when asked to", function()
    local c = learning { cv = 3, metric = "accuracy", sizes = { 2, 40 } }
    local f = c:plot { error = true, ylim = { 0, 0.5 } }
    assert.same({ "error", "log" }, { f.ylabel, f.xscale })
    for i, mean in ipairs(c.test_mean:totable()) do
      assert.equal(1 - mean, layers_of(f, "line")[2].ys[i])
      assert.equal(1 - mean - c.test_std[i], layers_of(f, "band")[2].low[i])
    end
    assert.equal("accuracy", c:plot({ error = false }).ylabel)
    c = learning { cv = 3, metric = "f1_macro", sizes = { 40 } }
    assert.equal("1 - macro F1", c:plot({ error = true }).ylabel)
  end)

  it("has the values of a parameter, or bars where these are no numbers", function()
    local c = select.validation_curve { build = machine, param = "C", values = { 0.1, 1, 10 }, train = { X, y },
      cv = 3 }
    local f = c:plot()
    assert.same({ "C", "log", { 0.1, 1, 10 } }, { f.xlabel, f.xscale, f.layers[1].xs })
    c = select.validation_curve { build = machine, param = "kernel", values = { "rbf", "linear" }, train = { X, y },
      dev = { Xt, yt } }
    f = c:plot { error = true }
    local bars = layers_of(f, "bars")
    assert.same({ "kernel", { "rbf", "linear" }, "error" }, { f.xlabel, bars[2].names, f.ylabel })
    assert.same({ 1 - c.train_mean[1], 1 - c.train_mean[2] }, bars[1].heights)
    assert.same({ "train", "test" }, labels_of(f))
  end)

  it("says what is wrong", function()
    local c = learning { dev = { Xt, yt } }
    raised_by_plot("plot: error must be true or false, got 1", c, { error = 1 })
    fails("plot: called with 3 (expected result:plot(...))", c.plot, 3)
  end)
end)

describe("the plot of a confusion matrix", function()
  local pred, truth = { 1, 2, 2, 5, 5, 5 }, { 1, 1, 2, 5, 5, 2 }

  it("is a heat map with counts", function()
    local f = metrics.confusion_matrix(pred, truth):plot()
    local map = layers_of(f, "heatmap")[1]
    assert.same({ { 1, 1, 0 }, { 0, 1, 1 }, { 0, 0, 2 } }, map.rows)
    assert.same({ "predicted", "true", "%.0f", { "1", "2", "5" }, { "1", "2", "5" } },
      { f.xlabel, f.ylabel, map.values, map.row_names, map.column_names })
    assert.same({ 0, 2 }, { map.low, map.high })
    f = metrics.confusion_matrix(pred, truth):plot { names = { "a", "b", "c" }, title = "t", xlabel = "said" }
    assert.same({ "said", "t" }, { f.xlabel, f.title })
    has(commands_of(f), "set ytics  ('a' 1, 'b' 2, 'c' 3)")
  end)

  it("has shares and weights as they are", function()
    local function format_of(options)
      return layers_of(metrics.confusion_matrix(pred, truth, options):plot(), "heatmap")[1].values
    end
    assert.equal("%.2f", format_of { normalize = "true" })
    assert.equal("%.4g", format_of { sample_weight = { 1, 2, 3, 1, 1, 1 } })
  end)

  it("grows with its classes", function()
    local list = {}
    for i = 1, 40 do list[i] = i end
    local f = metrics.confusion_matrix(list, list):plot()
    assert.same({ 1760, 980 }, { f.width, f.height })
    assert.same({ 300, 980 }, { metrics.confusion_matrix(list, list):plot({ width = 300 }).width, f.height })
  end)

  it("is shown in the terminal without gnuplot", function()
    local line, real, run_all = nil, print, process.run_all
    _G.print, process.run_all = function(text) line = text end, function() error "gnuplot was asked" end
    local ok, message = pcall(function()
      metrics.confusion_matrix(pred, truth):plot({ names = { "a", "b", "c" } }):show()
    end)
    _G.print, process.run_all = real, run_all
    assert(ok, message)
    assert.matches("a +1 +1 +0\nb +0 +1 +1\nc +0 +0 +2$", line)
  end)

  it("says what is wrong, and stays a matrix", function()
    local c = metrics.confusion_matrix(pred, truth)
    raised_by_plot("plot: names has 2 names but there are 3 labels", c, { names = { "a", "b" } })
    raised_by_plot("plot: names must be a list, each a string, got 'abc'", c, { names = "abc" })
    fails("plot: called with a table (expected c:plot(...))", c.plot, {})
    assert.same({ 1, 1, 0 }, c[1]:totable())
    assert.equal(3, #c)
    assert.is_nil(c.nonsense)
  end)
end)

describe("points of classes that are listed", function()
  it("keep their colours, and are all in the list", function()
    local f = plot.figure():scatter({ { 1, 2 }, { 3, 4 } },
      { class = { 7, 7 }, classes = { 5, 7 }, labels = { "a", "b" } })
    local group = f.layers[1].groups[1]
    assert.same({ "b", "#d55e00", "triangle" }, { group.label, group.color, group.marker })
    fails("plot.scatter: class[1] is 7, which is not in classes", f.scatter, f, { { 1, 2 } },
      { class = { 7 }, classes = { 1, 2 } })
    fails("plot.scatter: 2 classes but 1 labels", f.scatter, f, { { 1, 2 } },
      { class = { 1 }, classes = { 1, 2 }, labels = { "a" } })
    fails("plot.scatter: classes are for points with a class", f.scatter, f, { { 1, 2 } }, { classes = { 1 } })
  end)
end)

describe("horizontal bars", function()
  it("go to the right from 0, the first on top", function()
    local f = plot.figure():bars({ "a", "b" }, { 3, 5 }, { horizontal = true, values = "%.1f" })
    local commands = commands_of(f)
    has(commands, "3 1 0 3 0.6 1.4\n5 2 0 5 1.6 2.4")
    has(commands, "set ytics  ('a' 1, 'b' 2)")
    has(commands, "set yrange [2.6:0.4]")
    has(commands, "set label '5.0' at 5, 2 left offset 0.6,0")
    assert.equal("0", commands:match "set xrange %[([^:]*):")
    assert.is_true(tonumber(commands:match "set xrange %[0:([%d.]+)%]") > 5.5) -- the numbers have room
    commands = commands_of(plot.figure():bars({ 1, -2 }, { horizontal = true, values = "%d" }))
    has(commands, "set yzeroaxis")
    has(commands, "at -2, 2 right offset -0.6,0")
    has(commands_of(plot.figure { xscale = "log" }:bars({ 10, 1000 }, { horizontal = true })), "\n1000 2 7.9432823")
  end)

  it("stand beside their like alone", function()
    local f = plot.figure():bars({ "a", "b" }, { 3, 5 }, { horizontal = true })
    fails("plot.bars: horizontal must be true, as of the bars before", f.bars, f, { 1, 2 })
    f:bars({ 1, 2 }, { horizontal = true })
    has(commands_of(f), "3 0.8 0 3 0.616 0.984")
    f = plot.figure():bars { 1, 2 }
    fails("plot.bars: horizontal must be false, as of the bars before", f.bars, f, { 1, 2 }, { horizontal = true })
  end)
end)

describe("all these pictures", function()
  it("are drawn by gnuplot without a complaint", function()
    local path = os.tmpname()
    local net = network { epochs = 4, early_stopping = {} }
    net:fit(X, y, { dev = { Xt, yt } })
    local bars = select.grid_search { build = function(p) return svm.SVC { kernel = p.kernel } end, train = { X, y },
      params = { kernel = { "rbf", "linear" } }, cv = 3 }
    local curve = select.learning_curve { estimator = svm.SVC(), train = { X, y }, cv = 3 }
    plot.page({
      plot.boundary(svm.SVC():fit(X, y), X, y, small()), plot.boundary(svm.OneClassSVM():fit(X), X, small()),
      net:plot(), plot.boundary(net, X, y, small()), bars:plot(), curve:plot(), metrics.confusion_matrix(y, y):plot(),
      svm.grid_search(svm.SVC(), X, y, { C = { 1, 2 }, gamma = { 1, 2 } }):plot(),
    }):save({ path .. ".svg", path .. ".txt" })
    for _, ending in ipairs { "", ".svg", ".txt" } do os.remove(path .. ending) end
  end)

  it("load nothing before they are asked for", function()
    local out, err = run { "-e", [[
      local peri = require "perilune"
      local X, y = peri.data.moons(30, { seed = 1 })
      local c = peri.select.learning_curve { estimator = peri.svm.SVC(), train = { X, y }, cv = 3 }
      local g = peri.svm.grid_search(peri.svm.SVC(), X, y, { C = { 1, 2 }, folds = 3 })
      local m = peri.metrics.confusion_matrix(y, y)
      print(rawget(peri, "train"), rawget(peri, "plot"))
      print(c:plot(), g:plot(), m:plot(), rawget(peri, "train"))
    ]] }
    assert.equal("nil\tnil\nfigure 640x480 with 4 layers\tfigure 640x480 with 2 layers\tfigure 640x480 with 1 layers"
      .. "\tnil\n", out, err)
  end)

  it("are found by help and have their documentation", function()
    local lines, real = {}, print
    local function helped(x)
      lines = {}
      _G.print = function(text) lines[#lines + 1] = text end
      local ok, message = pcall(peri.help, x)
      _G.print = real
      assert(ok, message)
      return table.concat(lines, "\n")
    end
    local confusion = metrics.confusion_matrix({ 1, 2 }, { 1, 2 })
    local search = select.grid_search { build = function() return svm.SVC() end, params = { C = { 1 } },
      train = { X, y }, dev = { Xt, yt } }
    local curve = select.learning_curve { estimator = svm.SVC(), train = { X, y }, cv = 3 }
    local grid = svm.grid_search(svm.SVC(), X, y, { C = { 1, 2 }, folds = 3 })
    for m, signature in pairs { [confusion] = "^c:plot{", [search] = "^result:plot{", [curve] = "^result:plot{error",
      [grid] = "^grid:plot{" } do
      assert.matches(signature, helped(m))
      assert.matches(signature, helped(m.plot))
    end
    assert.matches("m:plot{measure", helped(network()))
    assert.matches("^plot.boundary%(m, X, y", helped "plot.boundary")
    assert.matches("model is a fitted estimator", (helped "plot.figure.regions":gsub("%s+", " ")))
  end)
end)
