-- How many examples are enough: errors on the points that were learnt and on others, against their number.

local peri = require "perilune"
local nn, optim, data, plot = peri.nn, peri.optim, peri.data, peri.plot
local o = peri.script.options {
  about = "Learning curves of a network and an SVM on two moons.",
  seeds = { 10, quick = 4, doc = "repetitions, each with points and weights of its own", least = 2 },
  epochs = { 60, quick = 40, doc = "passes of the network over its points" },
  noise = { 0.3, doc = "standard deviation of the points around their moon", most = 1000 },
}
local sizes = o.quick and { 10, 20, 50, 100, 200 } or { 10, 20, 50, 100, 200, 500, 1000 }
local X, y = data.moons(20000, { noise = o.noise, seed = 1 })
local Xt, yt = data.moons(5000, { noise = o.noise, seed = 2 })
local seeds = {}
for k = 1, o.seeds do seeds[k] = k end

local function network()
  local net = nn.Sequential(nn.Linear(2, 30), nn.Tanh(), nn.Linear(30, 2))
  return net, optim.Adam(net:parameters(), { lr = 0.02 })
end
local methods = {
  { "network", function()
    return peri.train.Classifier { build = network, epochs = o.epochs, batch_size = 10, progress = false }
  end },
  { "SVM", function() return peri.svm.SVC { C = 10, gamma = 1 } end },
}

local rows = { { "method", "N", "train error", "+-", "test error", "+-", "gap" } }
local panels = { cols = 2, title = ("Errors against the number of examples: mean of %d repetitions, +- one standard "
  .. "deviation"):format(o.seeds), doc = "With few examples the errors on them are far below those on other points, "
  .. "and both differ from one repetition to the next; with many they are close." }
for i, method in ipairs(methods) do
  local start = peri.now()
  local curve = peri.select.learning_curve { build = method[2], train = { X, y }, dev = { Xt, yt }, sizes = sizes,
    seeds = seeds }
  local train, test = 1 - curve.train_mean, 1 - curve.test_mean
  for k, n in ipairs(sizes) do
    rows[#rows + 1] = { method[1], n, train[k], curve.train_std[k], test[k], curve.test_std[k], test[k] - train[k] }
  end
  print(("%s: %d fits and scores in %.2f s"):format(method[1], #sizes * o.seeds, peri.now() - start))
  local figure = plot.figure { title = method[1], xlabel = "examples", ylabel = "error", xscale = "log",
    ylim = { 0, 0.3 }, width = 540, height = 420 }
  figure:line(sizes, train, { label = "on the examples", marker = "circle" })
  figure:band(sizes, (train - curve.train_std):clamp(0, 1), train + curve.train_std)
  figure:line(sizes, test, { label = "on 5000 other points", marker = "square" })
  panels[i] = figure:band(sizes, (test - curve.test_std):clamp(0, 1), test + curve.test_std)
end
print(peri.script.table(rows))
o:save(plot.page(panels), "errors")
o:finish()
