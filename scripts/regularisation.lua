-- Over-fitting, and what is done against it: weight decay, dropout, batch norm, early stopping; and more points.

local peri = require "perilune"
local nn, data, plot = peri.nn, peri.data, peri.plot
local o = peri.script.options {
  about = "A large network learns few noisy points by heart; what each remedy does to that.",
  points = { 100, doc = "to learn from", least = 20 }, noise = { 0.4, doc = "standard deviation of the points" },
  epochs = { 200, quick = 100, doc = "passes over the points", least = 30 },
  repetitions = { 5, quick = 2, doc = "of each training, with other points and weights" },
}

-- Two layers of 64 units, each with what a method puts beside its ReLU.
local function network(method)
  local layers, inputs = {}, 2
  for _ = 1, 2 do
    for _, layer in ipairs { nn.Linear(inputs, 64), method.norm and nn.BatchNorm1d(64) or nn.Identity(), nn.ReLU(),
      method.dropout and nn.Dropout { p = method.dropout } or nn.Identity() } do layers[#layers + 1] = layer end
    inputs = 64
  end
  layers[#layers + 1] = nn.Linear(64, 2)
  return nn.Sequential(table.unpack(layers))
end

local methods = {
  { "nothing" }, { "weight decay", decay = 0.5 }, { "dropout", dropout = 0.5 }, { "batch norm", norm = true },
  { "early stopping", stopping = { patience = 30 } }, { "ten times the points", times = 10 },
}

local function moons(n, seed)
  local x, y = data.moons(n, { noise = o.noise, seed = seed })
  return { x, y }
end

-- The curves are of dev, which also says when to stop; test is looked at once.
local function learn(method, seed)
  peri.manual_seed(seed)
  local net, train, test = network(method), moons(o.points * (method.times or 1), seed), moons(2000, 2000 + seed)
  local h = peri.train.fit {
    model = net, optimizer = peri.optim.AdamW(net:parameters(), { lr = 0.01, weight_decay = method.decay or 0 }),
    train = train, dev = moons(400, 1000 + seed), epochs = o.epochs, batch_size = 20 * (method.times or 1), seed = seed,
    measure_train = true, early_stopping = method.stopping, progress = false,
  }
  local function loss_of(set) return peri.metrics.log_loss(h:predict_proba(set[1]), set[2]) end
  return { loss_of(train), loss_of(test), h:score(table.unpack(train)), h:score(table.unpack(test)) }, h
end

local rows = { { "method", "train loss", "test loss", "train accuracy", "test accuracy", "gap" } }
local look = { xlabel = "epoch", yscale = "log", ylim = { 0.02, 4 }, width = 540, height = 440, legend = "below" }
look.ylabel = "train loss"
local learnt = plot.figure(look)
look.ylabel = "loss on other points"
local others = plot.figure(look)
local shown = moons(o.points, 1)
local plane = { width = 380, height = 320, extent = { -1.6, 2.6, -1.4, 1.9 }, xlabel = "", ylabel = "" }
plane.colorbar = false
local planes = { cols = 3, title = "What six networks make of the plane, and the points that five of them learnt",
  doc = "With nothing against it the boundary winds around single points, and the network is sure of all it says: "
    .. "there is hardly any white, which stands for doubt." }
for i, method in ipairs(methods) do
  local sums = peri.zeros(4, { dtype = "float64" })
  for seed = o.repetitions, 1, -1 do
    local measures, h = learn(method, seed)
    sums:add_(peri.tensor(measures, { dtype = "float64" }))
    if seed == 1 then
      learnt:line(h.train_loss, { label = method[1], width = 1.5 })
      others:line(h.dev_loss, { label = method[1], width = 1.5 })
      plane.title = method[1]
      planes[i] = plot.boundary(h, shown[1], shown[2], plane)
    end
  end
  local mean = (sums / o.repetitions):totable()
  rows[i + 1] = { method[1], mean[1], mean[2], mean[3], mean[4], mean[3] - mean[4] }
end
print(peri.script.table(rows))
o:save(plot.page { learnt, others, cols = 2, share = "y", title = "What is learnt, and what it is worth",
  doc = "Learning by heart brings the train loss down for ever; on other points it grows again early on." }, "losses")
o:save(plot.page(planes), "boundaries")
o:finish()
