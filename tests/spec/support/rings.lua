-- What trainings are given: rows on two rings, others of them, and a small network.
local peri = require "perilune"
local nn, optim, data = peri.nn, peri.optim, peri.data

local rings = {}

rings.X, rings.y = data.circles(200, { noise = 0.1, factor = 0.5, seed = 1 })
rings.Xt, rings.yt = data.circles(300, { noise = 0.1, factor = 0.5, seed = 2 })

--- A network for them, from a seed.
function rings.network(outputs, seed)
  peri.manual_seed(seed or 1)
  return nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, outputs or 2))
end

--- Options of a training on them; changes replace some, dev = false leaves that out.
function rings.options(changes, lr)
  local net = changes and changes.model or rings.network()
  local all = {
    model = net, loss = nn.CrossEntropyLoss(),
    optimizer = changes and changes.optimizer or optim.SGD(net:parameters(), { lr = lr or 0.1 }),
    train = { rings.X, rings.y }, dev = { rings.Xt, rings.yt }, epochs = 5, batch_size = 10, seed = 3, progress = false,
  }
  for name, value in pairs(changes or {}) do all[name] = value end
  all.dev = all.dev or nil
  return all
end

--- The bytes of all parameters.
function rings.bits(net)
  local parts = {}
  for _, p in ipairs(net:parameters()) do parts[#parts + 1] = p:detach():bytes() end
  return table.concat(parts)
end

return rings
