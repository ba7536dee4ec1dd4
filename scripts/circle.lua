-- The Circle experiment: two noisy rings, one small network trained in four degrees of automation, and support vector
-- machines on the same points; learning rates, early stopping, initial weights, and the machines' C.

local peri = require "perilune"
local nn, svm, select, plot = peri.nn, peri.svm, peri.select, peri.plot
local o = peri.script.options {
  about = "Two noisy rings: a network in four degrees of automation, and support vector machines.",
  epochs = { 150, quick = 100, doc = "passes over the points" }, seed = { 1, doc = "of points, weights and orders" },
  test = { 200, doc = "points to test on" },
  dtype = { "float32", doc = "of all numbers", choices = { "float32", "float64" } },
}
local RATE, dtype, ce = 0.1, { dtype = o.dtype }, nn.CrossEntropyLoss()
local function rings(n, seed)
  return { peri.data.circles(n, { noise = 0.15, factor = 0.5, seed = seed, dtype = o.dtype }) }
end
local train, test, dev = rings(200, 2 * o.seed - 1), rings(o.test, 2 * o.seed), rings(200, 1000000 + o.seed)

local function learn(model, options)
  local all = { train = train, dev = dev, loss = ce, epochs = o.epochs, batch_size = 10, seed = o.seed,
    measure_train = true, progress = false }
  for _, more in ipairs { model, options } do
    for name, value in pairs(more) do all[name] = value end
  end
  return peri.train.fit(all)
end

local function weights()
  peri.manual_seed(o.seed)
  local function normal(...) return peri.randn({ ... }, dtype) * 0.3 end
  return { normal(10, 2), normal(10), normal(2, 10), normal(2) }
end
local function scores(w, x)
  local h = (x:matmul(w[1]:t()) + w[2]):tanh()
  return h:matmul(w[3]:t()) + w[4], h
end
local function descend(parameters)
  peri.no_grad(function()
    for _, p in ipairs(parameters) do
      p:sub_(p.grad * RATE)
      p.grad:zero_()
    end
  end)
end

-- (a) By hand: with p = softmax(z) and the cross-entropy L, dL/dz = (p - y) / n; and tanh' = 1 - h^2.
local w = weights()
local function by_hand(x, y)
  local z, h = scores(w, x)
  local dz = (z:softmax(2) - peri.one_hot(y, 2, dtype)) / #x
  local da = dz:matmul(w[3]) * (1 - h * h)
  for i, gradient in ipairs { da:t():matmul(x), da:sum(1), dz:t():matmul(h), dz:sum(1) } do
    w[i]:sub_(gradient * RATE)
  end
end

-- (b) The same weights, gradients by autograd.
local v = weights()
for _, p in ipairs(v) do p:requires_grad_() end
local function with_autograd(x, y)
  ce((scores(v, x)), y):backward()
  descend(v)
end

-- (c) Layers; and (d) with an optimiser, which fit steps by itself.
local function network(rate)
  peri.manual_seed(o.seed)
  local net = nn.Sequential(nn.Linear(2, 10, dtype), nn.Tanh(), nn.Linear(10, 2, dtype))
  return { model = net, optimizer = peri.optim.SGD(net:parameters(), { lr = rate or RATE }) }
end
local net = network().model
local function with_layers(x, y)
  ce(net(x), y):backward()
  descend(net:parameters())
end

-- (a) and (b) do the same arithmetic, as do (c) and (d), so that their curves coincide. Nothing is chosen here by what
-- is measured beside the training, so that it may be the test set.
local shown = { dev = test }
local runs = { train = train, test = test,
  { "(a) by hand", learn({ model = function(x) return (scores(w, x)) end, parameters = w, step = by_hand }, shown),
    width = 5 },
  { "(b) autograd", learn({ model = function(x) return (scores(v, x)) end, parameters = v, step = with_autograd },
    shown), style = "dashed" },
  { "(c) layers", learn({ model = net, step = with_layers }, shown) },
  { "(d) layers and SGD", learn(network(), shown), style = "dashed" } }
for _, measure in ipairs { "loss", "accuracy" } do
  local sets = { cols = 2, share = "y", title = "Circle: four ways to train one network",
    doc = ("The %s of the four programs on train and test points; where two do the same arithmetic, curves coincide.")
      :format(measure) }
  for i, set in ipairs { "train", "test" } do
    sets[i] = plot.histories(runs, { measure = (i == 1 and "train_" or "dev_") .. measure, ylabel = measure,
      title = set, width = 520, height = 420 })
  end
  o:save(plot.page(sets), measure)
end

-- Smaller learning rates need longer; and early stopping.
local rates = { { ("(d) rate 0.1, %d epochs"):format(o.epochs), runs[4][2] } }
for i, rate in ipairs { 0.03, 0.01, 0.003 } do
  local epochs = math.floor(o.epochs * RATE / rate + 0.5)
  rates[i + 1] = { ("(d) rate %g, %d epochs"):format(rate, epochs), learn(network(rate), { epochs = epochs }) }
  runs[i + 4] = rates[i + 1]
end
o:save(plot.histories(rates, { measure = "dev_loss", title = "Circle: learning rates, each as long as it needs",
  xscale = "log", ylabel = "loss on other points",
  doc = "A rate that is a third as large takes three times as long." }), "rates")
local stopped = learn(network(), { epochs = 10 * o.epochs, early_stopping = { patience = o.epochs // 5 + 1 } })
runs[8] = { ("(d) stopped early, of %d epochs took %d"):format(stopped.epochs, stopped.best_epoch), stopped }
if o.plots == "yes" then -- to see what was spared: the same training to its end
  local whole = learn(network(), { epochs = 10 * o.epochs })
  local figure = whole:plot { title = "Circle: early stopping", doc = "After the epoch whose parameters are taken the "
    .. "loss on train points goes on falling, that on dev points turns and rises." }
  figure:line({ stopped.epochs, stopped.epochs }, { 0, 0.7 }, { color = "gray", style = "dashed", label = "stopped" })
  figure:scatter({ stopped.best_epoch }, { stopped.dev_loss[stopped.best_epoch] },
    { color = "black", size = 9, label = ("best on dev: epoch %d, taken"):format(stopped.best_epoch) })
  o:save(figure, "early_stopping")
end

-- Initial weights, and the loss over the first mini-batches.
local figure = plot.figure { title = "Circle: initial weights and the first 400 mini-batches", xlabel = "mini-batches",
  ylabel = "train loss", yscale = "log", doc = "Weights of 0 never part, small ones take long to, large ones begin "
    .. "with great confidence in the wrong class." }
for i, std in ipairs { 0, 0.01, 0.3, 1, 5 } do
  local fresh, curve = network(), {}
  for _, p in ipairs(fresh.model:parameters()) do
    peri.no_grad(p.copy_, p, peri.randn(p.shape, dtype) * std)
  end
  local function loss() return peri.no_grad(function() return ce(fresh.model(train[1]), train[2]):item() end) end
  runs[8 + i] = { ("(d) weights of std %g, 20 epochs"):format(std),
    learn(fresh, { epochs = 20, on_batch = function(state) curve[state.batches] = loss() end }) }
  figure:line(curve, { label = ("normal, std %g"):format(std), width = i == 1 and 5 or 1.5 }) -- the first two coincide
end
o:save(figure, "initialisation")

-- The machines beside them.
local WORDS = { linear = "linear", rbf = "rbf", poly = "poly of degree 2", sigmoid = "sigmoid" } -- of the kernels
runs[14] = { "LinearSVC", svm.LinearSVC { C = 1 } }
for i, kernel in ipairs { "linear", "rbf", "poly", "sigmoid" } do
  runs[14 + i] = { "SVC " .. WORDS[kernel], svm.SVC { kernel = kernel, C = 1, degree = 2 } }
end
local compared, difference = select.compare(runs), 0
print(compared)
for i, p in ipairs(w) do difference = math.max(difference, (p - v[i]:detach()):abs():max():item()) end
print(("after training, parameters of (a) and (b) differ by at most %.1e"):format(difference))

-- C from 10^-3 to 10^5.
local Cs, panels = {}, { cols = 2, share = "y", title = "Circle: how much a wrong point costs",
  doc = "Accuracy against C. With rbf a large C buys the train points one by one, and the test points pay for it." }
for power = -3, 5 do Cs[#Cs + 1] = 10.0 ^ power end
for i, kernel in ipairs { "rbf", "poly" } do
  local seconds, curve = peri.script.time(function()
    return select.validation_curve { estimator = svm.SVC { kernel = kernel, degree = 2 }, param = "C", values = Cs,
      train = train, dev = test }
  end)
  print(("\nSVC %s, nine machines and their scores in %.4f s\n%s"):format(WORDS[kernel], seconds, curve))
  panels[i] = curve:plot { title = "SVC " .. WORDS[kernel], ylabel = "accuracy", width = 520, height = 420 }
end
o:save(plot.page(panels), "C")

-- The plane as the models see it.
local function boundary(m, title, doc)
  return plot.boundary(m, train[1], train[2], { title = title, labels = { "outer ring", "inner ring" }, doc = doc,
    width = 520 })
end
local machines = { cols = 2, legend = "below", title = "Circle: four kernels",
  doc = "Only curved boundaries part rings; to a straight one nearly every point is a support vector: no rings." }
for i = 1, 4 do
  local m = compared.results[14 + i].model
  machines[i] = boundary(m, ("SVC %s, %d support vectors"):format(WORDS[m.kernel], #m.support))
end
o:save(plot.page(machines), "svm")
o:save(boundary(runs[4][2], "Circle: the network's probability of the inner ring",
  "The network (d): sure within and without, and a soft zone between."), "network")
o:save(plot.page { boundary(runs[4][2], "the network's soft zone"),
  boundary(compared.results[16].model, "the SVM's hard line"), cols = 2, legend = "below",
  title = "Circle: a network and a support vector machine", doc = "The network says how probable the inner ring is; "
    .. "the machine says on which side a point lies, and has its margins on both." }, "boundaries")
o:finish()
