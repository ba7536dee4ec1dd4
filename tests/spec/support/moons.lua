-- What pictures of models and results are made of: rows of two classes, others of them, and rows of three; networks.
local peri = require "perilune"
local data, train, nn = peri.data, peri.train, peri.nn

local moons = {}

moons.X, moons.y = data.moons(80, { noise = 0.2, seed = 1 })
moons.Xt, moons.yt = data.moons(40, { noise = 0.2, seed = 2 })
moons.X3, moons.y3 = data.blobs(90, { centers = 3, seed = 3 })

--- Builds a network and its optimizer.
function moons.build(p)
  local net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, p.n_classes or p.n_outputs))
  return net, peri.optim.Adam(net:parameters(), { lr = 0.02 })
end

--- A classifier by a network that is trained a little.
function moons.network(options)
  options = options or {}
  options.build, options.seed, options.progress, options.epochs = moons.build, 1, false, options.epochs or 5
  return train.Classifier(options)
end

--- These options, for pictures of few cells.
function moons.small(options)
  options = options or {}
  options.resolution = 12
  return options
end

return moons
