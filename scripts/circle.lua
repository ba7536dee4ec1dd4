-- The Circle experiment: two noisy rings, one small network trained in four degrees of automation,
-- and four kernel SVMs on the same points.
--
--   perilune scripts/circle.lua [--plots no] [--out DIR] [--epochs N] [--seed N] [--test N] [--dtype float64]
--
-- (a) forward, loss, backward and update by hand   (b) autograd   (c) layers   (d) layers and optimiser

local peri = require "perilune"
local nn, optim, svm, data = peri.nn, peri.optim, peri.svm, peri.data

local options = { plots = "yes", out = "out/circle", epochs = "150", seed = "1", test = "200", dtype = "float32" }
local function usage(reason)
  io.stderr:write("circle.lua: ", reason,
    "\nusage: circle.lua [--plots no] [--out DIR] [--epochs N] [--seed N] [--test N] [--dtype float64]\n")
  os.exit(1)
end
for i = 1, #arg, 2 do
  local name = arg[i]:match "^%-%-(%w+)$"
  if not options[name or ""] then usage("unknown option " .. arg[i]) end
  options[name] = arg[i + 1] or usage("a value is missing after " .. arg[i])
end
local function count(name)
  local n = math.tointeger(tonumber(options[name]))
  return n and n > 0 and n or usage(("--%s must be a whole number from 1, got %s"):format(name, options[name]))
end
if options.plots ~= "yes" and options.plots ~= "no" then usage("--plots is yes or no") end
if options.dtype ~= "float32" and options.dtype ~= "float64" then usage("--dtype is float32 or float64") end

local EPOCHS, SEED, DTYPE = count "epochs", count "seed", options.dtype
local LR, BATCH, HIDDEN = 0.1, 10, 10
local function rings(n, seed) return data.circles(n, { noise = 0.15, factor = 0.5, seed = seed, dtype = DTYPE }) end
local X, y = rings(200, 2 * SEED - 1)
local Xt, yt = rings(count "test", 2 * SEED)
local Y = peri.one_hot(y, 2, { dtype = DTYPE })

local function accuracy(scores, classes) return scores:argmax(2):eq(classes):to("float32"):mean():item() end

-- Trains with step(x, y, one_hot) on each mini-batch; forward gives the scores of a version.
local function train(step, forward)
  local history = { train_loss = {}, test_loss = {}, train_accuracy = {}, test_accuracy = {} }
  local batches = data.loader({ X, y, Y }, { batch_size = BATCH, shuffle = true, seed = SEED })
  local seconds = 0
  for epoch = 1, EPOCHS do
    local start = peri.now()
    for bx, by, bY in batches do step(bx, by, bY) end
    seconds = seconds + (peri.now() - start)
    peri.no_grad(function()
      local s, st = forward(X), forward(Xt)
      history.train_loss[epoch] = peri.cross_entropy(s, y):item()
      history.test_loss[epoch] = peri.cross_entropy(st, yt):item()
      history.train_accuracy[epoch], history.test_accuracy[epoch] = accuracy(s, y), accuracy(st, yt)
    end)
  end
  history.seconds, history.forward = seconds, forward
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
local function with_optimizer()
  local net, ce = network()
  local opt = optim.SGD(net:parameters(), { lr = LR })
  local function step(x, classes)
    opt:zero_grad()
    ce(net(x), classes):backward()
    opt:step()
  end
  return train(step, net)
end

-- ---- run, and the table ----

local rows = {}
local function report(name, train_accuracy, test_accuracy, seconds)
  rows[#rows + 1] = ("%-28s %8.3f %8.3f %10.4f"):format(name, train_accuracy, test_accuracy, seconds)
end

local hand, hand_parameters = by_hand()
local auto, auto_parameters = with_autograd()
local versions = {
  { "(a) by hand", hand }, { "(b) autograd", auto },
  { "(c) layers", with_layers() }, { "(d) layers and SGD", with_optimizer() },
}
local difference = 0
for i, p in ipairs(hand_parameters) do
  difference = math.max(difference, (p - auto_parameters[i]:detach()):abs():max():item())
end
for _, version in ipairs(versions) do
  local h = version[2]
  report("network " .. version[1], h.train_accuracy[EPOCHS], h.test_accuracy[EPOCHS], h.seconds)
end

local machines = {}
for _, kernel in ipairs { "linear", "rbf", "poly", "sigmoid" } do
  local start = peri.now()
  local machine = svm.SVC { kernel = kernel, C = 1, degree = 2 }
  machine:fit(X, y)
  local seconds = peri.now() - start
  machines[#machines + 1] = { kernel, machine }
  report("SVC " .. kernel, machine:score(X, y), machine:score(Xt, yt), seconds)
end

print(("%-28s %8s %8s %10s"):format("method", "train", "test", "seconds"))
print(table.concat(rows, "\n"))
print(("after training, parameters of (a) and (b) differ by at most %.1e"):format(difference))
if options.plots == "no" then return end

-- ---- pictures ----

local plot = peri.plot
local function both(figure, name)
  local path = options.out .. "/" .. name
  figure:save { path .. ".svg", path .. ".png" }
end

-- (a) and (b) do the same arithmetic, so that their curves coincide: one is drawn wide, one dashed.
local looks = { { width = 5 }, { style = "dashed" }, { width = 2 }, { style = "dashed" } }
for _, curve in ipairs { { "loss", "cross-entropy" }, { "accuracy", "accuracy" } } do
  local title = "Circle: " .. curve[2] .. " on the test points"
  local figure = plot.figure { title = title, xlabel = "epoch", ylabel = curve[2] }
  for i, version in ipairs(versions) do
    figure:line(version[2]["test_" .. curve[1]], { label = version[1], width = looks[i].width, style = looks[i].style })
  end
  both(figure, curve[1])
end

local extent = { -1.8, 1.8, -1.8, 1.8 }
local names = { "outer ring", "inner ring" }
local net = versions[4][2].forward
local regions = plot.figure {
  title = "Circle: the network's probability of the inner ring", xlabel = "x1", ylabel = "x2", aspect = "equal",
}
regions:regions { kind = "probability", extent = extent, resolution = 120, label = "probability 1/2",
  colorbar = "probability of the inner ring",
  predict = function(points) return peri.no_grad(function() return net(points):softmax(2)[{ {}, 2 }] end) end }
both(regions:scatter(X, { class = y, labels = names }), "network")

for _, entry in ipairs(machines) do
  local kernel, machine = table.unpack(entry)
  local title = ("Circle: SVC %s, %d support vectors"):format(kernel, #machine.support)
  local figure = plot.figure { title = title, xlabel = "x1", ylabel = "x2", aspect = "equal" }
  figure:regions { kind = "decision", extent = extent, resolution = 120,
    predict = function(points) return machine:decision_function(points) end }
  figure:scatter(X, { class = y, labels = names })
  figure:scatter(machine.support_vectors, { color = "none", edgecolor = "black", size = 9, label = "support vectors" })
  both(figure, "svm_" .. kernel)
end
print("pictures: " .. options.out)
