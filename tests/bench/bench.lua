-- Perilune beside PyTorch, NumPy and scikit-learn, in one run on one machine.
--
--   ./dev bench [start] [circle] [mnist] [ops] [optim]      all of them and svm when none is named
--   ./dev bench svm [row...]                        the support vector machines: see tests/bench/svm.lua
--   ./dev bench product [part...]                   products and convolutions: tests/bench/product.lua
--   ./dev bench tensor [row...]                     operations of tensors: tests/bench/tensor.lua
--   ./dev bench nn [row...]                         networks: tests/bench/nn.lua
--   ./dev bench step [row...]                       steps of small networks, replayed: tests/bench/step.lua
--   ./dev bench parts [part...]                     Perilune alone, for the runtime's constants: tests/bench/parts.lua
--
-- PERILUNE_MNIST names a folder with MNIST; without it, generated digits of the same shapes serve.
-- The peers' side is tests/peers/bench_torch.py, run by /usr/bin/python3. Times are the best of several runs.
local peri = require "perilune"
local nn, optim, data = peri.nn, peri.optim, peri.data

local best_of = dofile "tests/bench/best_of.lua"
local digits_folder = dofile "tests/bench/digits_folder.lua"
local svm_rows = dofile "tests/bench/svm.lua"
local parts = dofile "tests/bench/parts.lua"
local product = dofile "tests/bench/product.lua"
local tensor = dofile "tests/bench/tensor.lua"
local networks = dofile "tests/bench/nn.lua"
local small_steps = dofile "tests/bench/step.lua"

local program = arg[-1]

local function peer(...)
  local words = { "/usr/bin/python3", "tests/peers/bench_torch.py", ... }
  for i, word in ipairs(words) do words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  local pipe <close> = assert(io.popen(table.concat(words, " ")))
  local rows = {}
  for line in pipe:lines() do
    local name, values = line:match "^([^\t]+)\t(.*)$"
    if name then
      rows[name] = {}
      for value in values:gmatch "[^\t]+" do rows[name][#rows[name] + 1] = tonumber(value) end
    end
  end
  return rows
end

local function heading(text) print("\n" .. text) end
local function row(name, ours, theirs, aim, note)
  local function time(t)
    if not t then return "-" end
    return t >= 1 and ("%.2f s"):format(t) or t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
  end
  local faster = theirs and ("%.1fx"):format(theirs / ours) or "-"
  print(("%-34s %12s %12s %9s %12s  %s"):format(name, time(ours), time(theirs), faster, aim and time(aim) or "",
    note or ""))
end
local function columns(peer_name)
  print(("%-34s %12s %12s %9s %12s"):format("", "Perilune", peer_name, "faster", "aim"))
end

local benches = {}

function benches.start()
  heading "start: program ready"
  columns "import torch"
  local ours = best_of(20, function() os.execute(("'%s' -e ''"):format(program)) end)
  row("perilune -e ''", ours, best_of(3, function() peer "start" end), 5e-3)
  row("require 'perilune', one sum", best_of(20, function()
    os.execute(("'%s' -e 'require(\"perilune\").ones(3):sum()'"):format(program))
  end))
end

function benches.circle()
  heading "Circle, layers and SGD: one optimisation step, batch 10"
  columns "PyTorch"
  local X, y = data.circles(200, { noise = 0.15, factor = 0.5, seed = 1 })
  local net, ce = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 2)), nn.CrossEntropyLoss()
  local opt = optim.SGD(net:parameters(), { lr = 0.1 })
  local batches = data.loader({ X, y }, { batch_size = 10, shuffle = true, seed = 1 })
  local seconds = best_of(20, function()
    for _ = 1, 50 do
      for bx, by in batches do
        opt:zero_grad()
        ce(net(bx), by):backward()
        opt:step()
      end
    end
  end)
  local theirs = peer("circle", 1)["circle step"][1]
  row("step", seconds / 1000, theirs, 4e-6)
  local fitted = math.huge -- the same steps, with the loss and the accuracy of each epoch
  for _ = 1, 20 do
    local h = peri.train.fit { model = net, loss = ce, optimizer = opt, train = { X, y }, epochs = 50, batch_size = 10,
      seed = 1, progress = false }
    fitted = math.min(fitted, h.seconds[-1])
  end
  row("step of train.fit", fitted / 1000, theirs)
end

function benches.mnist()
  local folder, name = digits_folder()
  heading("784-128-10 tanh on " .. name .. ", batch 128: one epoch of 60,000")
  columns "PyTorch"
  local set = data.mnist(folder)
  local theirs, accuracy = {}, {}
  for threads = 1, 2 do
    local result = peer("mnist", folder, 3, threads)["mnist epoch"]
    theirs[threads], accuracy[threads] = result[1], result[2]
  end
  local best = math.min(theirs[1], theirs[2])
  for threads = 1, 2 do
    peri.set_num_threads(threads)
    peri.manual_seed(0)
    local net, ce = nn.Sequential(nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 10)), nn.CrossEntropyLoss()
    local opt = optim.SGD(net:parameters(), { lr = 0.1 })
    local batches = data.loader({ set.train.x, set.train.y }, { batch_size = 128, shuffle = true, seed = 1 })
    local seconds = best_of(3, function()
      for x, y in batches do
        opt:zero_grad()
        ce(net(x), y):backward()
        opt:step()
      end
    end)
    local ours = peri.no_grad(function()
      return net(set.test.x):argmax(2):eq(set.test.y):to("float32"):mean():item()
    end)
    local label, aim = threads == 1 and "1 thread" or threads .. " threads", best * (threads == 1 and 0.8 or 0.5)
    row(label, seconds, theirs[threads], aim,
      ("test accuracy after 3 epochs: %.4f, PyTorch %.4f"):format(ours, accuracy[threads]))
  end
end

function benches.ops()
  heading "operations on float32 tensors, 1 thread (NumPy's time in brackets)"
  columns "PyTorch"
  peri.set_num_threads(1)
  local theirs = peer("ops", 1)
  for _, n in ipairs { 10, 1000, 100000, 10000000 } do
    local a, b = peri.randn(n), peri.randn(n)
    local cases = {
      { "add", function() return a + b end },
      { "exp", function() return a:exp() end }, { "tanh", function() return a:tanh() end },
      { "sum", function() return a:sum() end }, { "max", function() return a:max() end },
    }
    for _, case in ipairs(cases) do
      local name, f = ("%s %d"):format(case[1], n), case[2]
      local calls = math.max(1, 2000000 // (n + 50))
      local seconds = best_of(5, function() for _ = 1, calls do f() end end) / calls
      row(name, seconds, theirs[name][1], n == 10 and 0.2e-6 or nil, ("[%.2f us]"):format(theirs[name][2] * 1e6))
    end
  end
end

function benches.optim()
  heading "Steps of optimisers over 1,000 parameters, one thread; PyTorch's faster of foreach and not"
  columns "PyTorch"
  peri.set_num_threads(1)
  local theirs = peer("optim", 1)
  for _, size in ipairs { 10, 100, 1000 } do
    for _, kind in ipairs { { "SGD", { lr = 0.001, momentum = 0.9 } }, { "Adam" } } do
      local parameters = {}
      for i = 1, 1000 do
        parameters[i] = nn.Parameter(peri.randn(size))
        parameters[i]:sum():backward()
      end
      local optimizer = optim[kind[1]](parameters, kind[2])
      local name = ("%s, %d values each"):format(kind[1], size)
      row(name, best_of(200, function() optimizer:step() end), theirs[name][1])
    end
  end
end

local order = { "start", "circle", "mnist", "ops", "optim", "svm" }
local chosen = #arg > 0 and { table.unpack(arg) } or order
local with_rows = { svm = svm_rows, product = product, tensor = tensor, nn = networks, step = small_steps,
  parts = parts }
local rows = {} -- of one of those: what follows the word
if chosen[1] == "svm60000" then chosen = { "svm", "mnist60000" } end
if with_rows[chosen[1]] then
  rows, chosen = table.move(chosen, 2, #chosen, 1, {}), { chosen[1] }
end
for name, bench in pairs(with_rows) do benches[name] = function() bench(rows) end end

for _, name in ipairs(chosen) do
  if not benches[name] then
    local known = table.concat(order, ", ")
    io.stderr:write(("bench: no bench %s (known: %s, product, tensor, nn, parts)\n"):format(name, known))
    os.exit(1)
  end
end
local info = peri.build_info()
print(("Perilune %s, %s, kernels %s, OpenBLAS core %s"):format(info.version, info.compiler, info.kernels,
  info.openblas_core))
for _, name in ipairs(chosen) do benches[name]() end
