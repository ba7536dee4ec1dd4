-- Steps of small networks beside PyTorch: in a loop of one's own, replayed, and in train.fit; many networks at once.
--
--   ./dev bench step [ROW ..] [many] [grid] [lenet] [memory]      all when none is named
--
-- The peers' side is tests/peers/bench_step.py, with one thread but where it is said. Times are the best of several
-- runs, of one step.
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim
local best_of = dofile "tests/bench/best_of.lua"

local function peer(name, threads)
  local command = "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 /usr/bin/python3 "
    .. ("tests/peers/bench_step.py %s %d"):format(name, threads or 1)
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

-- Seconds of a loss of one's own with its gradient, by itself and replayed, where its operations are joined.
local function measure_chain()
  peri.manual_seed(1)
  local a, b = peri.rand(1000000):requires_grad_(), peri.rand(1000000)
  local function step(target)
    a.grad:zero_()
    local l = ((a - target) ^ 2 * 0.7 + 0.1):tanh():mean()
    l:backward()
    return l:detach()
  end
  a:sum():backward()
  local plan, times = peri.replay(step), {}
  for i, f in ipairs { step, plan } do
    times[i] = best_of(15, function()
      for _ = 1, 5 do f(b) end
    end) / 5
  end
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
  { "chain", "a loss of 10^6 numbers, gradient", measure_chain },
}

local function time(t) return t and ("%.2f us"):format(t * 1e6) or "-" end

-- ---- many networks at once ----

local circles = { peri.data.circles(200, { noise = 0.15, factor = 0.5, seed = 1 }) }

local function circle(p)
  local net = network { 2, p.units or 10, 2 }
  return net, optim.SGD(net:parameters(), { lr = p.lr or 0.1 })
end

local function with_threads(n, f)
  local before = peri.get_num_threads()
  peri.set_num_threads(n)
  local _ <close> = setmetatable({}, { __close = function() peri.set_num_threads(before) end })
  return f()
end

-- An epoch of training in a loop of one's own.
local function by_hand(net, opt, epochs)
  local ce, loader = nn.CrossEntropyLoss(), peri.data.loader(circles, { batch_size = 10, shuffle = true, seed = 1 })
  for _ = 1, epochs do
    for x, y in loader do
      opt:zero_grad()
      ce(net(x), y):backward()
      opt:step()
    end
  end
end

local function report(text, t, reference)
  print(("%-56s %9.2f s %s"):format(text, t, reference and ("%8.1fx"):format(reference / t) or ""))
end

local function many()
  local networks, epochs, few = 1000, 150, 10
  print(("\n%d Circle networks, %d epochs each (* measured on %d networks, or one step, and scaled)"):format(networks,
    epochs, few))
  local loop = with_threads(1, function()
    return best_of(3, function()
      for _ = 1, few do
        local net, opt = circle {}
        by_hand(net, opt, epochs)
      end
    end) / few * networks
  end)
  local fit = with_threads(1, function()
    return best_of(3, function()
      for seed = 1, few do
        peri.train.Classifier { build = circle, epochs = epochs, batch_size = 10, seed = seed, progress = false }:fit(
          circles[1], circles[2])
      end
    end) / few * networks
  end)
  report("* one by one, a loop of one's own", loop)
  report("* one by one, Classifier:fit", fit, loop)
  for threads = 1, 2 do
    report(("train.sweep, %d thread%s"):format(threads, threads == 1 and "" or "s"), with_threads(threads, function()
      return best_of(3, function()
        peri.train.sweep { build = circle, seeds = networks, epochs = epochs, batch_size = 10, train = circles,
          progress = false }
      end)
    end), loop)
  end
  report("* PyTorch, its steps alone, one thread", peer "circle10" * networks * epochs * 20, loop)
end

local function grid()
  print "\n12 networks of three sizes and four rates, 100 epochs each"
  local params = { units = { 4, 10, 16 }, lr = { 0.01, 0.03, 0.1, 0.3 } }
  local function estimator(p)
    return peri.train.Classifier { build = circle, params = p, epochs = 100, batch_size = 10, seed = 1,
      progress = false }
  end
  local loop = best_of(3, function()
    for _, units in ipairs(params.units) do
      for _, lr in ipairs(params.lr) do
        estimator { units = units, lr = lr }:fit(circles[1], circles[2]):score(circles[1], circles[2])
      end
    end
  end)
  report("one by one", loop)
  for threads = 1, 2 do
    report(("select.grid_search, %d thread%s"):format(threads, threads == 1 and "" or "s"),
      with_threads(threads, function()
        return best_of(3, function()
          peri.select.grid_search { build = estimator, params = params, train = circles, dev = circles }
        end)
      end), loop)
  end
end

local function lenet()
  local folder, what = dofile "tests/bench/digits_folder.lua"()
  local set, epochs = peri.data.mnist(folder).train, 10
  local images = set.x:view(#set.x, 1, 28, 28)
  print(("\nLeNet-5, %d images of %s, batches of 128, %d epochs (* measured on one and scaled)"):format(#images, what,
    epochs))
  local best
  for threads = 1, 2 do
    local t = peer("lenet", threads) * math.ceil(#images / 128) * epochs
    report(("* PyTorch, its steps alone, %d thread%s"):format(threads, threads == 1 and "" or "s"), t)
    best = math.min(best or t, t)
  end
  for threads = 1, 2 do
    report(("* train.fit, %d thread%s"):format(threads, threads == 1 and "" or "s"), with_threads(threads, function()
      peri.manual_seed(1)
      local net = nn.Sequential(nn.Conv2d(1, 6, 5, { padding = 2 }), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5),
        nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10))
      local opt = optim.SGD(net:parameters(), { lr = 0.1 })
      return best_of(3, function()
        peri.train.fit { model = net, optimizer = opt, train = { images, set.y }, batch_size = 128, epochs = 1,
          seed = 1, progress = false }
      end) * epochs
    end), best)
  end
end

local function memory()
  print "\nmemory in use after so many steps of train.fit (bytes of tensors, and of Lua)"
  local net, opt = circle {}
  for _, steps in ipairs { 1000, 10000, 100000, 1000000 } do
    peri.train.fit { model = net, optimizer = opt, train = circles, batch_size = 10, epochs = steps // 20, seed = 1,
      progress = false }
    collectgarbage()
    collectgarbage()
    print(("%10d steps: %10d %10d"):format(steps, peri.memory().in_use, math.floor(collectgarbage "count" * 1024)))
  end
end

local MORE = { many = many, grid = grid, lenet = lenet, memory = memory }

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
  for _, name in ipairs { "many", "grid", "lenet", "memory" } do
    if #names == 0 or wanted[name] then MORE[name]() end
  end
end
