-- The Circle experiment: two noisy rings, one small network trained in four degrees of automation, and support vector
-- machines on the same points; learning rates, early stopping, initial weights, and the machines' C.
local peri = require "perilune"
local nn, svm, select, plot = peri.nn, peri.svm, peri.select, peri.plot
local o = peri.script.options {
  about = "Two noisy rings: a network in four degrees of automation, and support vector machines.",
  epochs = { 150, quick = 30, doc = "passes over the points" }, seed = { 1, doc = "of points, weights and orders" },
  test = { 200, doc = "points to test on" },
  dtype = { "float32", doc = "of all numbers", choices = { "float32", "float64" } },
}
local RATE, dtype, ce = 0.1, { dtype = o.dtype }, nn.CrossEntropyLoss()
local function rings(n, seed)
  return { peri.data.circles(n, { noise = 0.15, factor = 0.5, seed = seed, dtype = o.dtype }) }
end
local train, test = rings(200, 2 * o.seed - 1), rings(o.test, 2 * o.seed)
local first = { { 1, math.min(200, o.test) } } -- after each epoch a few of the test points will do
local few = { test[1][first], test[2][first] }

local function learn(...) -- with the options of all tables
  local all = { train = train, dev = few, loss = ce, epochs = o.epochs, batch_size = 10, seed = o.seed,
    measure_train = true, progress = false }
  for _, options in ipairs { ... } do
    for name, value in pairs(options) do all[name] = value end
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

-- (c) Layers; and (d) with an optimiser.
local function network(rate)
  peri.manual_seed(o.seed)
  local net = nn.Sequential(nn.Linear(2, 10, dtype), nn.Tanh(), nn.Linear(10, 2, dtype))
  return { model = net, optimizer = peri.optim.SGD(net:parameters(), { lr = rate }) }
end
local net = network(RATE).model
local function with_layers(x, y)
  ce(net(x), y):backward()
  descend(net:parameters())
end

local methods = { train = train, test = test,
  { "(a) by hand", learn { model = function(x) return (scores(w, x)) end, parameters = w, step = by_hand } },
  { "(b) autograd", learn { model = function(x) return (scores(v, x)) end, parameters = v, step = with_autograd } },
  { "(c) layers", learn { model = net, step = with_layers } },
  { "(d) layers and SGD", learn(network(RATE)) },
  { "LinearSVC", svm.LinearSVC { C = 1 } } }
for _, kernel in ipairs { "linear", "rbf", "poly", "sigmoid" } do
  methods[#methods + 1] = { "SVC " .. kernel, svm.SVC { kernel = kernel, C = 1, degree = 2 } }
end
local compared = select.compare(methods)
print(compared)
local difference = 0
for i, p in ipairs(w) do difference = math.max(difference, (p - v[i]:detach()):abs():max():item()) end
print(("after training, parameters of (a) and (b) differ by at most %.1e"):format(difference))


-- (a) and (b) do the same arithmetic, so that their curves coincide: one is drawn wide, one dashed.
local training = { cols = 2, title = "Circle: four ways to train one network" }
for k, measure in ipairs { "loss", "accuracy" } do
  training[k] = plot.figure { xlabel = "epoch", ylabel = measure .. " on the test points" }
  for i, look in ipairs { { width = 5 }, { style = "dashed" }, { width = 2 }, { style = "dashed" } } do
    look.label = methods[i][1]
    training[k]:line(methods[i][2]["dev_" .. measure], look)
  end
end
o:save(plot.page(training), "training")

-- Smaller learning rates need longer; and early stopping, on points that neither train nor test.
local rows = { { "learning rate", "epochs", "train", "test", "test loss", "seconds" } }
local figure = plot.figure { title = "Circle: learning rates, each as long as it needs", xlabel = "epoch",
  ylabel = "cross-entropy on the test points", xscale = "log" }
for i, rate in ipairs { 0.1, 0.03, 0.01, 0.003 } do
  local h = learn(network(rate), { epochs = math.floor(o.epochs * RATE / rate + 0.5) })
  rows[i + 1] = { rate, h.epochs, h.train_accuracy[-1], h.dev_accuracy[-1], h.dev_loss[-1], h.seconds[-1] }
  figure:line(h.dev_loss, { label = ("rate %g"):format(rate), width = 1.5 })
end
print("\n" .. peri.script.table(rows))
o:save(figure, "rates")
local stopped = learn(network(RATE), { dev = rings(200, 1000000 + o.seed), epochs = 10 * o.epochs,
  early_stopping = { patience = o.epochs // 5 + 1 } })
print(("early stopping at rate %g: ended after %d epochs, took those of epoch %d; test %.3f"):format(RATE,
  stopped.epochs, stopped.best_epoch, stopped:score(test[1], test[2])))
o:save(stopped:plot { title = "Circle: early stopping" }, "early_stopping")

-- Initial weights, and the loss over the first mini-batches.
rows = { { "initial weights", "loss before", "after 20", "after 100", "after 400", "accuracy then" } }
figure = plot.figure { title = "Circle: initial weights and the first 400 mini-batches", xlabel = "mini-batches",
  ylabel = "train loss", yscale = "log" }
for i, std in ipairs { 0, 0.01, 0.3, 1, 5, false } do
  local fresh = network(RATE)
  for _, p in ipairs(std and fresh.model:parameters() or {}) do
    peri.no_grad(p.copy_, p, peri.randn(p.shape, dtype) * std)
  end
  local function loss() return peri.no_grad(function() return ce(fresh.model(train[1]), train[2]):item() end) end
  local curve = { loss() }
  local h = learn(fresh, { epochs = 20, on_batch = function() curve[#curve + 1] = loss() end })
  local name = std and ("normal, std %g"):format(std) or "uniform, of nn.Linear"
  rows[i + 1] = { name, curve[1], curve[21], curve[101], curve[401], h.train_accuracy[-1] }
  figure:line(peri.arange(0, 400), curve, { label = name, width = i == 1 and 4 or 1.5 }) -- the first two coincide
end
print("\n" .. peri.script.table(rows))
o:save(figure, "initialisation")

-- C from 10^-3 to 10^5.
local Cs, panels = {}, { cols = 2, title = "Circle: how much a wrong point costs" }
for power = -3, 5 do Cs[#Cs + 1] = 10.0 ^ power end
for i, kernel in ipairs { "rbf", "poly" } do
  local seconds, curve = peri.script.time(function()
    return select.validation_curve { estimator = svm.SVC { kernel = kernel, degree = 2 }, param = "C", values = Cs,
      train = train, dev = test }
  end)
  print(("\nSVC %s, nine machines and their scores in %.4f s\n%s"):format(kernel, seconds, curve))
  panels[i] = curve:plot { title = "SVC " .. kernel, ylabel = "accuracy", width = 480, height = 400 }
end
o:save(plot.page(panels), "C")

-- The plane as the models see it.
local function boundary(m, title, options)
  options = options or {}
  options.title, options.labels, options.width = title, { "outer ring", "inner ring" }, 520
  return plot.boundary(m, train[1], train[2], options)
end
local layered, machines = methods[4][2], { cols = 2, title = "Circle: four kernels" }
for i = 1, 4 do
  local m = compared.results[i + 5].model
  machines[i] = boundary(m, ("SVC %s, %d support vectors"):format(m.kernel, #m.support))
end
o:save(plot.page(machines), "svm")
o:save(boundary(layered, "Circle: the network's probability of the inner ring"), "network")
o:save(plot.page { cols = 2, boundary(layered, "Circle: the network's boundary", { kind = "decision" }),
  boundary(compared.results[7].model, "Circle: the SVM's boundary", { margins = false, support = false }) },
  "boundaries")
o:finish()
