-- Networks beside PyTorch: steps of training, forward and backward passes, steps of an optimiser, and memory.
--
--   ./dev bench nn [row...]     all rows when none is named
--
-- The peers' side is tests/peers/bench_nn.py. Both run with one thread, and then with all, and the peer's best of the
-- two stands beside ours with all. Times are the best of several runs.
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim
local best_of = dofile "tests/bench/best_of.lua"

local ORDER = { "circle", "mnist32", "mnist128", "mlp", "lenet", "LSTM", "GRU", "RNN", "transformer", "adam" }

local function peer(threads, name)
  local one = threads == 1 and "OPENBLAS_NUM_THREADS=1" or ""
  local command = ("env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE %s /usr/bin/python3 %s %d %s"):format(one,
    "tests/peers/bench_nn.py", threads, name)
  local pipe <close> = assert(io.popen(command))
  return tonumber(pipe:read "a") or error("no figure of the peer for " .. name)
end

-- A step of training on one batch: seconds.
local function training(net, x, y, runs, calls)
  local ce, opt = nn.CrossEntropyLoss(), optim.SGD(net:parameters(), { lr = 0.01 })
  return best_of(runs, function()
    for _ = 1, calls do
      opt:zero_grad()
      ce(net(x), y):backward()
      opt:step()
    end
  end) / calls
end

local function layers(sizes)
  local list = {}
  for i = 1, #sizes - 1 do
    list[#list + 1] = nn.Linear(sizes[i], sizes[i + 1])
    if i < #sizes - 1 then list[#list + 1] = nn.Tanh() end
  end
  return nn.Sequential(list)
end

local function pass(net, x)
  x:requires_grad_()
  return best_of(15, function()
    local y = net(x) -- of several outputs the first
    y:sum():backward()
  end)
end

local rows = {}
function rows.circle() return training(layers { 2, 10, 2 }, peri.randn(10, 2), peri.randint(1, 2, { 10 }), 50, 400) end
local function mnist(batch) return training(layers { 784, 128, 10 }, peri.randn(batch, 784),
  peri.randint(1, 10, { batch }), 20, 40) end
function rows.mnist32() return mnist(32) end
function rows.mnist128() return mnist(128) end
function rows.mlp()
  return training(layers { 784, 1024, 1024, 10 }, peri.randn(128, 784), peri.randint(1, 10, { 128 }), 10, 5)
end
function rows.lenet()
  local net = nn.Sequential(nn.Conv2d(1, 6, 5, { padding = 2 }), nn.Tanh(), nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
    nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
  return training(net, peri.randn(128, 1, 28, 28), peri.randint(1, 10, { 128 }), 8, 3)
end
for _, name in ipairs { "LSTM", "GRU", "RNN" } do
  rows[name] = function() return pass(nn[name](64, 64), peri.randn(128, 32, 64)) end
end
function rows.transformer()
  return pass(nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4), 2), peri.randn(64, 32, 64))
end
function rows.adam()
  local parameters = {}
  for i = 1, 1000 do
    parameters[i] = nn.Parameter(peri.randn(10))
    parameters[i]:sum():backward()
  end
  local opt = optim.Adam(parameters)
  return best_of(100, function() opt:step() end)
end

local AIMS = { circle = 20, mnist32 = 3, LSTM = 2, GRU = 2, transformer = 2, adam = 20 }
local WORDS = {
  circle = "Circle step, batch 10", mnist32 = "784-128-10, batch 32", mnist128 = "784-128-10, batch 128",
  mlp = "784-1024-1024-10, batch 128", lenet = "LeNet, batch 128", LSTM = "LSTM 128 x 32 x 64",
  GRU = "GRU 128 x 32 x 64", RNN = "RNN 128 x 32 x 64", transformer = "transformer 2 x 64 x 32 x 64",
  adam = "Adam, 1,000 tensors of 10",
}

local function time(t)
  return t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
end

local function measure(name)
  local one = peer(1, name)
  local all = peer(0, name)
  for _, threads in ipairs { 1, 2 } do
    peri.set_num_threads(threads)
    peri.manual_seed(0)
    local ours, theirs = rows[name](), threads == 1 and one or math.min(one, all)
    local aim = AIMS[name] and threads == 1 and AIMS[name] .. "x" or ""
    print(("%-32s %7d %12s %12s %8.1fx %6s"):format(WORDS[name], threads, time(ours), time(theirs), theirs / ours, aim))
  end
end

-- Bytes of the process at its peak, and what 10,000 steps of training add to those after 1,000.
local function memory()
  peri.set_num_threads(1)
  local function resident(what)
    local file <close> = assert(io.open "/proc/self/status")
    return tonumber(file:read("a"):match(what .. ":%s*(%d+) kB")) * 1024
  end
  local net, x, y = layers { 784, 128, 10 }, peri.randn(32, 784), peri.randint(1, 10, { 32 })
  training(net, x, y, 1, 1000)
  local before = resident "VmRSS"
  training(net, x, y, 1, 10000)
  print(("10,000 steps of 784-128-10 add %.2f MB"):format((resident "VmRSS" - before) / 2 ^ 20))
  rows.transformer()
  print(("peak after the transformer: %.0f MB, PyTorch's %.0f MB"):format(resident "VmHWM" / 2 ^ 20,
    peer(1, "memory") / 2 ^ 20))
end

return function(chosen)
  if #chosen == 0 then chosen = table.move(ORDER, 1, #ORDER, 1, { [#ORDER + 1] = "memory" }) end
  print(("%-32s %7s %12s %12s %9s %6s"):format("", "threads", "Perilune", "PyTorch", "faster", "aim"))
  for _, name in ipairs(chosen) do
    if name == "memory" then
      memory()
    elseif rows[name] then
      measure(name)
    else
      error(("no row %s (known: %s, memory)"):format(name, table.concat(ORDER, ", ")), 0)
    end
  end
end
