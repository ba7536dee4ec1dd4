-- Choosing a network: parameters by the dev set, what the test set says then, and what it says when it has chosen
-- itself; and when to stop the training.

local peri = require "perilune"
local nn, optim, select, plot = peri.nn, peri.optim, peri.select, peri.plot
local o = peri.script.options {
  about = "A grid over hidden units and learning rates, by dev and by test set; and early stopping.",
  seeds = { 16, quick = 6, doc = "repetitions, each with points of its own", least = 2 },
  epochs = { 40, quick = 25, doc = "passes of each network in the grid" },
  seed = { 1, doc = "of the first repetition" },
}
local params = { hidden = { 1, 2, 4, 8, 16, 32 }, rate = { 0.01, 0.03, 0.1, 0.2, 0.3, 1 } }
local function rings(n, seed) return { peri.data.circles(n, { noise = 0.25, factor = 0.5, seed = seed }) } end
local fresh = rings(5000, 100000 + o.seed) -- so many that the score on them is nearly the truth

local function network(hidden) return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2)) end
local classifier = peri.train.Classifier { epochs = o.epochs, batch_size = 20, seed = o.seed, progress = false,
  params = { hidden = 0, rate = 0 }, build = function(p)
    local net = network(p.hidden)
    return net, optim.SGD(net:parameters(), { lr = p.rate, momentum = 0.9 })
  end }

-- Each repetition: 200 points in three parts; the best network of the grid by the dev part, and by the test part.
local cases = { { "dev", "dev" }, { "dev", "test" }, { "test", "test" } } -- the sets that choose and that score
for _, case in ipairs(cases) do case.score, case.fresh = {}, {} end
local first, parts_of_first
for k = 1, o.seeds do
  local seed, best = o.seed + k - 1, {}
  local parts = peri.data.split(rings(200, seed), { train = 0.6, dev = 0.2, test = 0.2, seed = seed, stratify = true })
  for _, set in ipairs { "dev", "test" } do
    best[set] = select.grid_search { estimator = classifier, params = params, train = parts.train, dev = parts[set] }
  end
  for _, case in ipairs(cases) do
    local m, set = best[case[1]].best, parts[case[2]]
    case.score[k], case.fresh[k] = m:score(set.x, set.y), m:score(fresh[1], fresh[2])
  end
  if k == 1 then first, parts_of_first = best.dev, parts end
end

print(("first repetition: %d hidden units, learning rate %g"):format(first.best_params.hidden, first.best_params.rate))
local rows = { { "set", "points", "accuracy of the chosen network" } }
parts_of_first.fresh = { x = fresh[1], y = fresh[2] }
for i, name in ipairs { "train", "dev", "test", "fresh" } do
  local set = parts_of_first[name]
  rows[i + 1] = { name, #set.x, first.best:score(set.x, set.y) }
end
print(peri.script.table(rows))
o:save(first:plot { title = "Accuracy on the dev set", xlabel = "hidden units", ylabel = "learning rate",
  doc = "The dark cells are best; what is chosen is the best on 40 points, luck included." }, "grid")

rows = { { "chosen on", "scored on", "score", "on fresh points", "optimism", "standard error" } }
local names, means, places, gaps = {}, {}, {}, {}
for i, case in ipairs(cases) do
  local score, truth = peri.tensor(case.score), peri.tensor(case.fresh)
  local gap = score - truth
  names[i], means[i] = ("%s chose, %s scored"):format(case[1], case[2]), gap:mean():item()
  rows[i + 1] = { case[1], case[2], score:mean():item(), truth:mean():item(), means[i],
    gap:std():item() / math.sqrt(o.seeds) }
  places[i], gaps[i] = peri.linspace(i - 0.3, i + 0.3, o.seeds), gap -- side by side
end
print("\n" .. peri.script.table(rows))
local figure = plot.figure { title = "The set that has chosen promises too much",
  ylabel = "score less that on fresh points", doc = "Where one set chose and another scored, the mean is near 0; where "
    .. "the same did both, the score is too good." }:bars(names, means, { color = "orange", label = "mean" })
figure:scatter(peri.cat(places, 1), peri.cat(gaps, 1), { label = "a repetition", color = "blue" })
o:save(figure, "optimism")

-- Early stopping: few points and many units, so that training soon learns what is not there.
local few = rings(60, o.seed)
local function learn(early_stopping)
  peri.manual_seed(o.seed)
  local net = network(64)
  return peri.train.fit { model = net, loss = nn.CrossEntropyLoss(), train = few, dev = parts_of_first.dev,
    optimizer = optim.Adam(net:parameters(), { lr = 0.02 }), epochs = 10 * o.epochs, batch_size = 20, seed = o.seed,
    early_stopping = early_stopping, measure_train = true, progress = false }
end
local whole, early = learn(), learn { patience = 30 }
rows = { { "training", "epochs", "parameters of epoch", "train loss", "fresh loss", "fresh accuracy" } }
for i, h in ipairs { whole, early } do
  local at = h.best_epoch or h.epochs
  rows[i + 1] = { i == 1 and "to the end" or "early stopping", h.epochs, at, h.train_loss[at],
    peri.metrics.log_loss(h:predict_proba(fresh[1]), fresh[2]), h:score(fresh[1], fresh[2]) }
end
print("\n" .. peri.script.table(rows))
figure = whole:plot { title = "Early stopping: 64 units, 60 points",
  doc = "Soon the loss on dev points rises while that on the few train points goes to 0." }
figure:line({ early.epochs, early.epochs }, { 0, 1.2 }, { color = "gray", style = "dashed", label = "stopped" })
figure:scatter({ early.best_epoch }, { early.dev_loss[early.best_epoch] },
  { color = "black", size = 9, label = "best on dev, taken" })
o:save(figure, "early_stopping")
o:finish()
