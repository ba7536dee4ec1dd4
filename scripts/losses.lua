-- Squared error and cross-entropy: their gradients, what they do to a confident mistake, and why softmax and
-- cross-entropy are computed together.

local peri = require "perilune"
local nn, optim, data, plot = peri.nn, peri.optim, peri.data, peri.plot
local o = peri.script.options {
  about = "Two losses, their gradients, and networks that learn under them.",
  epochs = { 100, quick = 30, doc = "passes over the points" }, seed = { 1, doc = "of points, weights and orders" },
}
peri.manual_seed(o.seed)

-- The formulas against automatic differentiation: the largest difference. p = sigmoid(z), t the target.
local z, t = peri.randn(50, { dtype = "float64" }), peri.rand(50, { dtype = "float64" })
local p, rows = z:sigmoid(), { { "loss", "gradient", "difference" } }
local function entropy(q) return -(t * q:log() + (1 - t) * (1 - q):log()) end
for _, case in ipairs {
  { "(z - t)^2", "2 (z - t)", function(x) return (x - t) ^ 2 end, 2 * (z - t) },
  { "(p - t)^2", "2 (p - t) p (1 - p)", function(x) return (x:sigmoid() - t) ^ 2 end, 2 * (p - t) * p * (1 - p) },
  { "-t log p - (1 - t) log(1 - p)", "p - t", function(x) return entropy(x:sigmoid()) end, p - t },
} do
  local x = z:clone():requires_grad_()
  case[3](x):sum():backward()
  rows[#rows + 1] = { case[1], case[2], (x.grad - case[4]):abs():max():item() }
end
print(peri.script.table(rows))

-- Cross-entropy of the logits (s, 0, -s) when class 1, or 3, is right: e^89 is more than float32 holds.
rows = { { "s", "1: by hand", "1: log-sum-exp", "3: by hand", "3: log-sum-exp" } }
for _, s in ipairs { 1, 10, 100, 1000 } do
  local x = peri.tensor { s, 0, -s }
  local by_hand, log_sum_exp = -(x:exp() / x:exp():sum()):log(), -x:log_softmax()
  rows[#rows + 1] = { s, by_hand[1], log_sum_exp[1], by_hand[3], log_sum_exp[3] }
end
print("\n" .. peri.script.table(rows))

-- The same networks under both losses: classes of points, and a probability as a number.
local X, y = data.circles(200, { noise = 0.1, factor = 0.5, seed = o.seed })
local x = peri.linspace(-3, 3, 200):view(200, 1)
local share = (x * 2):sin() * 0.45 + 0.5
local both = peri.cat({ 1 - share, share }, 2)
local function squared(scores, target)
  return peri.mse_loss(scores:softmax(2), target.dtype == "int64" and peri.one_hot(target, 2) or target)
end
local function learn(loss, inputs, targets, task, callbacks)
  peri.manual_seed(o.seed)
  local net = nn.Sequential(nn.Linear(inputs:size(2), 16), nn.Tanh(), nn.Linear(16, 2))
  return peri.train.fit { model = net, loss = loss, optimizer = optim.SGD(net:parameters(), { lr = 0.2 }), task = task,
    train = { inputs, targets }, epochs = o.epochs, batch_size = 10, seed = o.seed, callbacks = callbacks }
end
rows = { { "loss", "classification: accuracy", "regression: root mean square error" } }
local panels = { title = "Predicted probability of the inner ring, five points", cols = 2,
  doc = "After as many epochs cross-entropy is sure of each point; squared error has hardly left the middle." }
for i, loss in ipairs { { "cross-entropy", nn.CrossEntropyLoss() }, { "squared error", squared } } do
  local curves = { {}, {}, {}, {}, {} }
  local h = learn(loss[2], X, y, "classification", function(state)
    local probability = peri.no_grad(function() return state.model(X[{ { 1, 5 } }]):softmax(2) end)
    for k, curve in ipairs(curves) do curve[state.epoch] = probability[{ k, 2 }] end
  end)
  local predicted = learn(loss[2], x, both, "regression"):predict(x):softmax(2)
  rows[#rows + 1] = { loss[1], h:score(X, y), (predicted - both):square():mean():sqrt():item() }
  panels[i] = plot.figure { title = loss[1], xlabel = "epoch", ylabel = "probability", ylim = { 0, 1 },
    width = 540, height = 420 }
  for k, curve in ipairs(curves) do
    local ring = y[k] == 2 and "inner" or "outer"
    panels[i]:line(curve, { label = ("%d, %s ring"):format(k, ring), style = ring == "inner" and "solid" or "dashed" })
  end
end
print("\n" .. peri.script.table(rows))
o:save(plot.page(panels), "probabilities")

-- Loss and gradient at a logit when the class is right: far on the wrong side one of them still pulls.
local grid = peri.linspace(-8, 8, 200)
local q = grid:sigmoid()
local loss = plot.figure { xlabel = "logit of the right class", ylabel = "loss", ylim = { 0, 4 }, width = 540,
  height = 420 }
local slope = plot.figure { xlabel = "logit of the right class", ylabel = "gradient", width = 540, height = 420 }
loss:line(grid, -q:log(), { label = "cross-entropy" }):line(grid, (q - 1) ^ 2, { label = "squared error" })
slope:line(grid, q - 1, { label = "p - 1" }):line(grid, 2 * (q - 1) * q * (1 - q), { label = "2 (p - 1) p (1 - p)" })
o:save(plot.page { loss, slope, cols = 2, title = "A confident mistake has no gradient under squared error",
  doc = "Left of 0 the right class is thought wrong: cross-entropy pulls harder, squared error lets go." }, "losses")
o:finish()
