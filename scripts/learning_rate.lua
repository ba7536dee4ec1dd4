-- Learning rates: too small, right, too large; and rates that fall while the network learns.

local peri = require "perilune"
local nn, optim, plot = peri.nn, peri.optim, peri.plot
local schedule = optim.lr_scheduler

local o = peri.script.options {
  about = "A small network learns a sine under several learning rates and schedules.",
  epochs = { 200, quick = 40, doc = "passes over the points", least = 20 },
  seed = { 1, doc = "of points, weights and orders" },
}

peri.manual_seed(o.seed)
local function points(n)
  local x = peri.rand(n, 1) * 4 - 2
  return { x, (x * 2):sin() + peri.randn(n, 1) * 0.3 }
end
local train, dev = points(120), points(500)

local function learn(rate, batch_size, new_schedule)
  peri.manual_seed(o.seed)
  local net = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
  local opt = optim.SGD(net:parameters(), { lr = rate })
  return peri.train.fit {
    model = net, loss = nn.MSELoss(), optimizer = opt, scheduler = new_schedule and new_schedule(opt), train = train,
    dev = dev, epochs = o.epochs, batch_size = batch_size, seed = o.seed, measure_train = true, progress = false,
  }
end

-- ---- constant rates, all points for each update: nothing but the rate is to blame ----

local rows = { { "rate", "epochs", "train loss", "dev loss", "what happened" } }
local rates = plot.figure { title = "Too small, right, too large", xlabel = "epoch", ylabel = "train loss",
  yscale = "log", ylim = { 0.05, 1000 },
  doc = "The smallest rate gets nowhere in time, the largest leaves the picture." }
for _, case in ipairs { { 0.002, "too small" }, { 0.1, "right" }, { 0.9, "too large" } } do
  local h = learn(case[1], 120)
  rows[#rows + 1] = {
    case[1], h.epochs, h.train_loss[-1], h.dev_loss[-1],
    h.diverged and "diverged" or "learnt",
  }
  local label = ("%g: %s%s"):format(case[1], case[2], h.diverged and ", diverges in epoch " .. h.epochs or "")
  rates:line(h.train_loss, { label = label })
end
print(peri.script.table(rows))
o:save(rates, "rates")

-- ---- rates that fall, small mini-batches: a rate that stays lets their noise stay ----

local E = o.epochs
local schedules = {
  { "constant" },
  { "step", function(opt) return schedule.StepLR(opt, { step_size = E // 4, gamma = 0.3 }) end },
  { "exponential", function(opt) return schedule.ExponentialLR(opt, { gamma = 0.01 ^ (1 / E) }) end },
  { "1/t", function(opt) return schedule.InverseTimeLR(opt, { decay = 20 / E }) end },
  { "cosine", function(opt) return schedule.CosineAnnealingLR(opt, { T_max = E }) end },
  { "plateau", function(opt) return schedule.ReduceLROnPlateau(opt, { factor = 0.3, patience = E // 15 }) end },
}
rows = { { "schedule", "first rate", "last rate", "train loss", "spread of the last tenth" } }
local look = { xlabel = "epoch", yscale = "log", width = 560, height = 420 }
look.ylabel = "learning rate"
local rate = plot.figure(look)
look.ylabel = "train loss"
local loss = plot.figure(look)
for _, case in ipairs(schedules) do
  local h = learn(0.15, 4, case[2])
  local tail = h.train_loss[{ { E - E // 10 + 1, E } }]
  rows[#rows + 1] = { case[1], h.learning_rate[1], h.learning_rate[-1], h.train_loss[-1], tail:std():item() }
  rate:line(h.learning_rate, { label = case[1], width = 1.5 })
  loss:line(h.train_loss, { label = case[1], width = 1.5 })
end
print()
print(peri.script.table(rows))
o:save(plot.page { rate, loss, title = "Learning rates that fall", cols = 2,
  doc = "A rate that stays keeps the loss trembling; one that falls lets it come to rest." }, "schedules")
o:finish()
