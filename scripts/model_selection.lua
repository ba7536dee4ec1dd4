-- Choosing a network: parameters by the dev set, what the test set says then, and what it says when it has chosen
-- itself; and when to stop the training.
--
--   perilune scripts/model_selection.lua [--quick] [--out DIR] [--seeds N] [--epochs N] [--seed N]

local peri = require "perilune"
local nn, optim, data, plot = peri.nn, peri.optim, peri.data, peri.plot
local o = peri.script.options {
  about = "A grid over hidden units and learning rates, by dev and by test set; and early stopping.",
  seeds = { 20, quick = 6, doc = "repetitions, each with points of its own", least = 2 },
  epochs = { 40, quick = 25, doc = "passes of each network in the grid" },
  seed = { 1, doc = "of the first repetition" },
}
local hidden, rates = { 1, 2, 4, 8, 16, 32 }, { 0.01, 0.03, 0.1, 0.2, 0.3, 1 }
local function rings(n, seed) return data.circles(n, { noise = 0.25, factor = 0.5, seed = seed }) end
local fresh_x, fresh_y = rings(5000, 100000 + o.seed) -- so many that the score on them is nearly the truth

local networks -- all those of a grid, for the test set to choose from what the dev set has tried
local function build(p)
  local function network()
    local net = nn.Sequential(nn.Linear(2, p.hidden), nn.Tanh(), nn.Linear(p.hidden, 2))
    return net, optim.SGD(net:parameters(), { lr = p.rate, momentum = 0.9 })
  end
  networks[#networks + 1] = peri.train.Classifier { build = network, epochs = o.epochs, batch_size = 20, seed = o.seed,
    progress = false }
  return networks[#networks]
end

-- Each repetition: 200 points in three parts; the best network of the grid by the dev part, and by the test part.
local cases = {
  { chosen = "dev", scored = "dev" }, { chosen = "dev", scored = "test" }, { chosen = "test", scored = "test" },
}
for _, case in ipairs(cases) do case.score, case.fresh = {}, {} end
local first, s
for k = 1, o.seeds do
  local X, y = rings(200, o.seed + k - 1)
  local parts = data.split({ X, y }, { train = 0.6, dev = 0.2, test = 0.2, seed = o.seed + k - 1, stratify = true })
  networks = {}
  local g = peri.select.grid_search { build = build, params = { hidden = hidden, rate = rates }, train = parts.train,
    dev = parts.dev }
  local best = { dev = g.best, test = networks[1] }
  for _, m in ipairs(networks) do
    if m:score(parts.test.x, parts.test.y) > best.test:score(parts.test.x, parts.test.y) then best.test = m end
  end
  for _, case in ipairs(cases) do
    local m, set = best[case.chosen], parts[case.scored]
    case.score[k], case.fresh[k] = m:score(set.x, set.y), m:score(fresh_x, fresh_y)
  end
  if k == 1 then first, s = g, parts end
end

print(("first repetition: %d hidden units, learning rate %g"):format(first.best_params.hidden, first.best_params.rate))
local rows = { { "set", "points", "accuracy of the chosen network" } }
for _, name in ipairs { "train", "dev", "test" } do
  rows[#rows + 1] = { name, #s[name].x, first.best:score(s[name].x, s[name].y) }
end
rows[5] = { "fresh", #fresh_x, first.best:score(fresh_x, fresh_y) }
print(peri.script.table(rows))

rows = { { "chosen on", "scored on", "score", "on fresh points", "optimism", "standard error" } }
local names, means, places, gaps = {}, {}, {}, {}
for i, case in ipairs(cases) do
  local score, fresh = peri.tensor(case.score), peri.tensor(case.fresh)
  local gap = score - fresh
  names[i], means[i] = ("chosen on %s, scored on %s"):format(case.chosen, case.scored), gap:mean():item()
  rows[i + 1] = { case.chosen, case.scored, score:mean():item(), fresh:mean():item(), means[i],
    gap:std():item() / math.sqrt(o.seeds) }
  for k = 1, o.seeds do
    places[#places + 1], gaps[#gaps + 1] = i + 0.6 * (k - 0.5) / o.seeds - 0.3, gap[k] -- side by side
  end
end
print("\n" .. peri.script.table(rows))
local figure = plot.figure { title = "The set that has chosen promises too much",
  ylabel = "score less that on fresh points" }
figure:bars(names, means, { color = "orange", label = "mean" })
o:save(figure:scatter(places, gaps, { label = "a repetition", color = "blue" }), "optimism")

local grid = plot.figure { title = "Accuracy on the dev set", xlabel = "learning rate", ylabel = "hidden units" }
grid:heatmap(first.scores:view(#hidden, #rates), { rows = hidden, columns = rates, values = "%.3f",
  colorbar = "accuracy" })
o:save(grid, "grid")

-- Early stopping: few points and many units, so that training soon learns what is not there.
local X, y = rings(60, o.seed)
figure = plot.figure { title = "Early stopping: 64 units, 60 points", xlabel = "epoch", ylabel = "cross-entropy" }
rows = { { "training", "epochs", "parameters of epoch", "train loss", "fresh loss", "fresh accuracy" } }
for _, case in ipairs { { "to the end" }, { "early stopping", { patience = 30 } } } do
  peri.manual_seed(o.seed)
  local net = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 2))
  local h = peri.train.fit { model = net, loss = nn.CrossEntropyLoss(), train = { X, y }, dev = s.dev,
    optimizer = optim.Adam(net:parameters(), { lr = 0.02 }), epochs = 10 * o.epochs, batch_size = 20, seed = o.seed,
    early_stopping = case[2], measure_train = true, progress = false }
  local at = h.best_epoch or h.epochs
  local loss = peri.metrics.log_loss(h:predict_proba(fresh_x), fresh_y)
  rows[#rows + 1] = { case[1], h.epochs, at, h.train_loss[at], loss, h:score(fresh_x, fresh_y) }
  if case[2] then
    figure:line({ h.epochs, h.epochs }, { 0, 1.2 }, { color = "gray", style = "dashed", label = "stopped" })
    figure:scatter({ at }, { h.dev_loss[at] }, { color = "black", size = 9, label = "best on dev, taken" })
  else
    figure:line(h.train_loss, { label = "train" }):line(h.dev_loss, { label = "dev" })
  end
end
print("\n" .. peri.script.table(rows))
o:save(figure, "early_stopping")
print("pictures: " .. o.out)
