-- The Circle experiment: two noisy rings, one small network trained in four degrees of automation, and support vector
-- machines on the same points; learning rates, initial weights, early stopping, and the machines' C.
--
--   perilune scripts/circle.lua [--quick] [--plots no] [--out DIR] [--epochs N] [--seed N] [--test N] [--dtype float64]
--
-- (a) forward, loss, backward and update by hand   (b) autograd   (c) layers   (d) layers and optimiser

local peri = require "perilune"
local nn, optim, svm, data = peri.nn, peri.optim, peri.svm, peri.data

local o = peri.script.options {
  about = "Two noisy rings: a network in four degrees of automation, and support vector machines.",
  epochs = { 150, quick = 30, doc = "passes over the points" }, seed = { 1, doc = "of points, weights and orders" },
  test = { 200, doc = "points to test on" }, plots = { "yes", doc = "pictures", choices = { "yes", "no" } },
  dtype = { "float32", doc = "of all numbers", choices = { "float32", "float64" } },
}
local EPOCHS, SEED, DTYPE = o.epochs, o.seed, o.dtype
local LR, BATCH, HIDDEN = 0.1, 10, 10
local function rings(n, seed) return data.circles(n, { noise = 0.15, factor = 0.5, seed = seed, dtype = DTYPE }) end
local X, y = rings(200, 2 * SEED - 1)
local Xt, yt = rings(o.test, 2 * SEED)
local Y = peri.one_hot(y, 2, { dtype = DTYPE })
local few = { { 1, math.min(200, o.test) } } -- after each epoch a few of the test points will do
local few_x, few_y = Xt[few], yt[few]

local function accuracy(scores, classes) return scores:argmax(2):eq(classes):to("float32"):mean():item() end

-- Trains with step(x, y, one_hot) on each mini-batch; forward gives the scores of a version.
local function train(step, forward, epochs)
  local history = { train_loss = {}, test_loss = {}, train_accuracy = {}, test_accuracy = {} }
  local batches = data.loader({ X, y, Y }, { batch_size = BATCH, shuffle = true, seed = SEED })
  local seconds = 0
  for epoch = 1, epochs or EPOCHS do
    local start = peri.now()
    for bx, by, bY in batches do step(bx, by, bY) end
    seconds = seconds + (peri.now() - start)
    peri.no_grad(function()
      local s, st = forward(X), forward(few_x)
      history.train_loss[epoch] = peri.cross_entropy(s, y):item()
      history.test_loss[epoch] = peri.cross_entropy(st, few_y):item()
      history.train_accuracy[epoch], history.test_accuracy[epoch] = accuracy(s, y), accuracy(st, few_y)
    end)
  end
  history.seconds, history.forward = seconds, forward
  history.score = accuracy(peri.no_grad(forward, Xt), yt)
  return history
end

local function initial_weights()
  peri.manual_seed(SEED)
  local function normal(...) return peri.randn({ ... }, { dtype = DTYPE }) * 0.3 end
  return normal(HIDDEN, 2), normal(HIDDEN), normal(2, HIDDEN), normal(2)
end

-- (a) With p = softmax(z) and the cross-entropy L: dL/dz = (p - y) / n, and tanh' = 1 - h^2.
local function by_hand()
  local Wh, bh, Wy, by = initial_weights()
  local function hidden(x) return (x:matmul(Wh:t()) + bh):tanh() end
  local function forward(x) return hidden(x):matmul(Wy:t()) + by end
  local function step(x, _, target)
    local h = hidden(x)
    local dz = ((h:matmul(Wy:t()) + by):softmax(2) - target) / #x
    local dh = dz:matmul(Wy) * (1 - h * h)
    Wy:sub_(dz:t():matmul(h) * LR)
    by:sub_(dz:sum(1) * LR)
    Wh:sub_(dh:t():matmul(x) * LR)
    bh:sub_(dh:sum(1) * LR)
  end
  return train(step, forward), { Wh, bh, Wy, by }
end

-- (b) The same parameters; gradients by autograd.
local function with_autograd()
  local parameters = { initial_weights() }
  for _, p in ipairs(parameters) do p:requires_grad_() end
  local Wh, bh, Wy, by = table.unpack(parameters)
  local function forward(x) return (x:matmul(Wh:t()) + bh):tanh():matmul(Wy:t()) + by end
  local function step(x, _, target)
    local loss = -(target * forward(x):log_softmax(2)):sum() / #x
    loss:backward()
    peri.no_grad(function()
      for _, p in ipairs(parameters) do
        p:sub_(p.grad * LR)
        p.grad:zero_()
      end
    end)
  end
  return train(step, forward), parameters
end

local function network()
  peri.manual_seed(SEED)
  local dtype = { dtype = DTYPE }
  return nn.Sequential(nn.Linear(2, HIDDEN, dtype), nn.Tanh(), nn.Linear(HIDDEN, 2, dtype)), nn.CrossEntropyLoss()
end

-- (c) Layers; the update by hand.
local function with_layers()
  local net, ce = network()
  local parameters = net:parameters()
  local function step(x, classes)
    net:zero_grad()
    ce(net(x), classes):backward()
    peri.no_grad(function()
      for _, p in ipairs(parameters) do p:sub_(p.grad * LR) end
    end)
  end
  return train(step, net)
end

-- (d) Layers and an optimiser.
local function with_optimizer(rate, epochs)
  local net, ce = network()
  local opt = optim.SGD(net:parameters(), { lr = rate or LR })
  local function step(x, classes)
    opt:zero_grad()
    ce(net(x), classes):backward()
    opt:step()
  end
  return train(step, net, epochs)
end

-- ---- one table of all methods ----

local hand, hand_parameters = by_hand()
local auto, auto_parameters = with_autograd()
local versions = {
  { "(a) by hand", hand }, { "(b) autograd", auto },
  { "(c) layers", with_layers() }, { "(d) layers and SGD", with_optimizer() },
}
local parameters = 0
for _, p in ipairs(hand_parameters) do parameters = parameters + p:numel() end
local rows = { { "method", "train", "test", "seconds", "size" } }
for _, version in ipairs(versions) do
  local h = version[2]
  rows[#rows + 1] = { "network " .. version[1], h.train_accuracy[EPOCHS], h.score, h.seconds,
    parameters .. " parameters" }
end

local machines = {}
local function fit(name, machine)
  local start = peri.now()
  machine:fit(X, y)
  local seconds = peri.now() - start
  local linear = name == "LinearSVC"
  local size = linear and machine.coef:numel() + 1 .. " parameters" or #machine.support .. " support vectors"
  rows[#rows + 1] = { name, machine:score(X, y), machine:score(Xt, yt), seconds, size }
  if not linear then machines[#machines + 1] = machine end
end
fit("LinearSVC", svm.LinearSVC { C = 1 })
for _, kernel in ipairs { "linear", "rbf", "poly", "sigmoid" } do
  fit("SVC " .. kernel, svm.SVC { kernel = kernel, C = 1, degree = 2 })
end
print(peri.script.table(rows))

local difference = 0
for i, p in ipairs(hand_parameters) do
  difference = math.max(difference, (p - auto_parameters[i]:detach()):abs():max():item())
end
print(("after training, parameters of (a) and (b) differ by at most %.1e"):format(difference))

-- ---- smaller learning rates need longer; and early stopping, on points that neither train nor test ----

local rates, runs = { 0.1, 0.03, 0.01, 0.003 }, {}
rows = { { "learning rate", "epochs", "train", "test", "test loss", "seconds" } }
for i, rate in ipairs(rates) do
  local epochs = math.floor(EPOCHS * LR / rate + 0.5)
  local h = with_optimizer(rate, epochs)
  runs[i] = h
  rows[i + 1] = { rate, epochs, h.train_accuracy[epochs], h.score, h.test_loss[epochs], h.seconds }
end
local net, ce = network()
local stopped = peri.train.fit { model = net, loss = ce, optimizer = optim.SGD(net:parameters(), { lr = LR }),
  train = { X, y }, dev = { rings(200, 1000000 + SEED) }, epochs = 10 * EPOCHS, batch_size = BATCH, seed = SEED,
  early_stopping = { patience = EPOCHS // 5 + 1 }, progress = false }
print("\n" .. peri.script.table(rows))
local stopped_loss = peri.metrics.log_loss(stopped:predict_proba(Xt), yt, { classes = { 1, 2 } })
print(("early stopping at rate %g: ended after %d epochs, took those of epoch %d; test %.3f, loss %.3f"):format(LR,
  stopped.epochs, stopped.best_epoch, stopped:score(Xt, yt), stopped_loss))

-- ---- initial weights: the loss over the first mini-batches ----

local initial = { { "all 0", 0 }, { "normal 0.01", 0.01 }, { "normal 0.3", 0.3 }, { "normal 1", 1 }, { "normal 5", 5 },
  { "uniform, of nn.Linear" } }
rows = { { "initial weights", "loss before", "after 20", "after 100", "after 400", "accuracy then" } }
for _, case in ipairs(initial) do
  net, ce = network()
  local opt = optim.SGD(net:parameters(), { lr = LR })
  local function loss() return peri.no_grad(function() return ce(net(X), y):item() end) end
  for _, p in ipairs(case[2] and net:parameters() or {}) do
    peri.no_grad(function() p:copy_(peri.randn(p.shape, { dtype = DTYPE }) * case[2]) end)
  end
  local curve, batches = { loss() }, data.loader({ X, y }, { batch_size = BATCH, shuffle = true, seed = SEED })
  for _ = 1, 20 do
    for bx, by in batches do
      opt:zero_grad()
      ce(net(bx), by):backward()
      opt:step()
      curve[#curve + 1] = loss()
    end
  end
  case.curve = curve
  rows[#rows + 1] = { case[1], curve[1], curve[21], curve[101], curve[401], accuracy(peri.no_grad(net, X), y) }
end
print("\n" .. peri.script.table(rows))

-- ---- C from 10^-3 to 10^5 ----

local Cs, sweeps = {}, {}
for power = -3, 5 do Cs[#Cs + 1] = 10.0 ^ power end
rows = { { "C" } }
for i in ipairs(Cs) do rows[i + 1] = { ("10^%d"):format(i - 4) } end
for k, kernel in ipairs { "rbf", "poly" } do
  local start = peri.now()
  local path = svm.path(X, y, { Cs = Cs, kernel = kernel, degree = 2 })
  local sweep = { kernel, seconds = peri.now() - start, train = {}, test = {} }
  for i, machine in ipairs(path) do
    sweep.train[i], sweep.test[i] = machine:score(X, y), machine:score(Xt, yt)
    table.move({ sweep.train[i], sweep.test[i], #machine.support }, 1, 3, #rows[i + 1] + 1, rows[i + 1])
  end
  table.move({ kernel .. " train", "test", "vectors" }, 1, 3, #rows[1] + 1, rows[1])
  sweeps[k] = sweep
end
print("\n" .. peri.script.table(rows))
print(("seconds of the sweeps: rbf %.4f, poly %.4f"):format(sweeps[1].seconds, sweeps[2].seconds))
if o.plots == "no" then return end

-- ---- pictures ----

local plot = peri.plot

-- (a) and (b) do the same arithmetic, so that their curves coincide: one is drawn wide, one dashed.
local looks = { { width = 5 }, { style = "dashed" }, { width = 2 }, { style = "dashed" } }
for _, curve in ipairs { { "loss", "cross-entropy" }, { "accuracy", "accuracy" } } do
  local title = "Circle: " .. curve[2] .. " on the test points"
  local figure = plot.figure { title = title, xlabel = "epoch", ylabel = curve[2] }
  for i, version in ipairs(versions) do
    figure:line(version[2]["test_" .. curve[1]], { label = version[1], width = looks[i].width, style = looks[i].style })
  end
  o:save(figure, curve[1])
end

local figure = plot.figure { title = "Circle: learning rates, each as long as it needs", xlabel = "epoch",
  ylabel = "cross-entropy on the test points", xscale = "log" }
for i, rate in ipairs(rates) do figure:line(runs[i].test_loss, { label = ("rate %g"):format(rate), width = 1.5 }) end
o:save(figure, "rates")

figure = plot.figure { title = "Circle: early stopping", xlabel = "epoch", ylabel = "cross-entropy" }
figure:line(stopped.train_loss, { label = "train" }):line(stopped.dev_loss, { label = "dev" })
figure:scatter({ stopped.best_epoch }, { stopped.dev_loss[stopped.best_epoch] },
  { label = ("best on dev: epoch %d"):format(stopped.best_epoch), color = "black", size = 8 })
o:save(figure, "early_stopping")

figure = plot.figure { title = "Circle: initial weights and the first 400 mini-batches", xlabel = "mini-batches",
  ylabel = "train loss", yscale = "log" }
for i, case in ipairs(initial) do -- the first two lie on one another
  figure:line(peri.arange(0, #case.curve - 1), case.curve, { label = case[1], width = i == 1 and 4 or 1.5 })
end
o:save(figure, "initialisation")

local panels, least = { cols = 2, title = "Circle: how much a wrong point costs" }, 1
for _, sweep in ipairs(sweeps) do
  least = math.min(least, table.unpack(sweep.train))
  least = math.min(least, table.unpack(sweep.test))
end
for i, sweep in ipairs(sweeps) do
  panels[i] = plot.figure { title = "SVC " .. sweep[1], xlabel = "C", ylabel = "accuracy", xscale = "log",
    ylim = { least - 0.02, 1 }, width = 480, height = 400 }
  panels[i]:line(Cs, sweep.train, { label = "train", marker = "circle" })
  panels[i]:line(Cs, sweep.test, { label = "test", marker = "square" })
end
o:save(plot.page(panels), "C")

-- The plane under a model, and the points.
local extent, names = { -1.8, 1.8, -1.8, 1.8 }, { "outer ring", "inner ring" }
local function plane(title, options)
  local picture = plot.figure { title = "Circle: " .. title, xlabel = "x1", ylabel = "x2", aspect = "equal" }
  options.extent, options.resolution = extent, 120
  return picture:regions(options):scatter(X, { class = y, labels = names })
end
local function probability(points)
  return peri.no_grad(function() return versions[4][2].forward(points):softmax(2)[{ {}, 2 }] end)
end
local function log_odds(points) -- of the inner ring: 0 where the network does not know
  local p = probability(points)
  return (p / (1 - p)):log()
end
o:save(plane("the network's probability of the inner ring", { kind = "probability", label = "probability 1/2",
  colorbar = "probability of the inner ring", predict = probability }), "network")

local pair = { plane("the network's boundary",
  { kind = "decision", label = "boundary", margins = false, predict = log_odds }), cols = 2 }
for _, machine in ipairs(machines) do
  local function decide(points) return machine:decision_function(points) end
  figure = plane(("SVC %s, %d support vectors"):format(machine.kernel, #machine.support), { kind = "decision",
    label = "boundary", margin_label = "margins", predict = decide })
  figure:scatter(machine.support_vectors, { color = "none", edgecolor = "black", size = 9, label = "support vectors" })
  o:save(figure, "svm_" .. machine.kernel)
  if machine.kernel == "rbf" then
    pair[2] = plane("the SVM's boundary", { kind = "decision", label = "boundary", margins = false, predict = decide })
  end
end
o:save(plot.page(pair), "boundaries")
print("pictures: " .. o.out)
