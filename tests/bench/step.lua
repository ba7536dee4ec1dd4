-- Steps of small networks beside PyTorch: in a loop of one's own, replayed, and in train.fit.
--
--   ./dev bench step
--
-- The peers' side is tests/peers/bench_step.py, with one thread. Times are the best of several runs, of one step.
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim
local best_of = dofile "tests/bench/best_of.lua"

local function peer(name)
  local command = "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 /usr/bin/python3 "
    .. "tests/peers/bench_step.py " .. name
  local pipe <close> = assert(io.popen(command))
  return tonumber(pipe:read "a") or error("no figure of the peer for " .. name)
end

local function network(sizes)
  local layers = {}
  for i = 1, #sizes - 1 do
    layers[#layers + 1] = nn.Linear(sizes[i], sizes[i + 1])
    if i < #sizes - 1 then layers[#layers + 1] = nn.Tanh() end
  end
  return nn.Sequential(layers)
end

-- Seconds of a step: by itself, replayed, and in train.fit.
local function measure(sizes, rows, batch_size, how)
  peri.manual_seed(1)
  local X, y = peri.randn(rows, sizes[1]), peri.randint(1, sizes[#sizes], rows)
  local x, t = X[{ { 1, batch_size } }]:clone(), y[{ { 1, batch_size } }]:clone()
  local net, ce = network(sizes), nn.CrossEntropyLoss()
  local opt = how.adam and optim.Adam(net:parameters()) or optim.SGD(net:parameters(), { lr = 0.01 })
  local function step(a, b)
    opt:zero_grad()
    local l = ce(net(a), b)
    l:backward()
    if not how.gradient then opt:step() end
    return l
  end
  local plan, times = peri.replay(step), {}
  for i, f in ipairs { step, plan } do
    times[i] = best_of(15, function()
      for _ = 1, how.calls do f(x, t) end
    end) / how.calls
  end
  if how.gradient then return times end
  local steps = math.ceil(rows / batch_size)
  local epochs = math.max(1, how.calls // steps)
  times[3] = best_of(15, function()
    peri.train.fit { model = net, optimizer = opt, loss = ce, train = { X, y }, batch_size = batch_size,
      epochs = epochs, seed = 1, progress = false }
  end) / (epochs * steps)
  return times
end

local ROWS = {
  { "circle10", "2-10-2, batch 10, SGD", function() return measure({ 2, 10, 2 }, 200, 10, { calls = 2000 }) end },
  { "circle1", "2-10-2, batch 1, SGD", function() return measure({ 2, 10, 2 }, 200, 1, { calls = 2000 }) end },
  { "gradient", "24-8-2, 200 rows, gradient", function()
    return measure({ 24, 8, 2 }, 200, 200, { calls = 500, gradient = true })
  end },
  { "full", "4-32-16-4, 10,000 rows, Adam", function()
    return measure({ 4, 32, 16, 4 }, 10000, 10000, { calls = 3, adam = true })
  end },
  { "mnist32", "784-128-10, batch 32, SGD", function()
    return measure({ 784, 128, 10 }, 3200, 32, { calls = 100 })
  end },
}

local function time(t) return t and ("%.2f us"):format(t * 1e6) or "-" end

return function(names)
  peri.set_num_threads(1)
  local wanted = {}
  for _, name in ipairs(names) do wanted[name] = true end
  print(("%-32s %12s %12s %12s %12s %9s"):format("one step, one thread", "Perilune", "replayed", "train.fit", "PyTorch",
    "faster"))
  for _, row in ipairs(ROWS) do
    if #names == 0 or wanted[row[1]] then
      local times, theirs = row[3](), peer(row[1])
      print(("%-32s %12s %12s %12s %12s %8.1fx"):format(row[2], time(times[1]), time(times[2]), time(times[3]),
        time(theirs), theirs / (times[3] or times[2])))
    end
  end
end
