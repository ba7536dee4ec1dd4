-- Products and convolutions beside PyTorch and NumPy in one run, with one thread and with all.
--
--   ./dev bench product [matmul] [small] [conv] [lenet]      all of them when none is named
--
-- The peers' side is tests/peers/bench_product.py. They run with the kernels that their libraries choose by
-- themselves: OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are unset for them. `of peak`: of what one core's multiply-adds do
-- in registers alone (tests/bench/peak.c, measured in the same run), for each thread. `faster`: than the better peer
-- with one thread; for all threads, than its best with one or all. Times are the best of many runs.
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim

local BUDGET = tonumber(os.getenv "PERILUNE_BENCH_SECONDS" or "") or 0.1
local all_threads = peri.get_num_threads()

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function peak()
  local program = os.tmpname()
  local built = os.execute(("cc -O2 -o '%s' tests/bench/peak.c"):format(program))
  assert(built, "tests/bench/peak.c: no compiler cc")
  local rate = tonumber(output_of(("'%s'"):format(program)))
  os.remove(program)
  return rate * 1e9
end

-- The seconds of a call, the best of as many as the budget holds.
local function measure(f)
  local best, finish = math.huge, peri.now() + BUDGET
  repeat
    local start = peri.now()
    f()
    best = math.min(best, peri.now() - start)
  until peri.now() > finish
  return best
end

-- Answers of the peers: by job, a list of seconds.
local function ask_peers(jobs, threads)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat(jobs, "\n"), "\n")
  file:close()
  local text = output_of(("env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=%d /usr/bin/python3 "
    .. "tests/peers/bench_product.py %d %g < '%s'"):format(threads, threads, BUDGET, path))
  os.remove(path)
  local answers = {}
  for line in text:gmatch "[^\n]+" do
    local job, seconds = line:match "^([^\t]+)\t(.*)$"
    answers[job] = {}
    for value in seconds:gmatch "[^\t]+" do table.insert(answers[job], tonumber(value) or value) end
  end
  return answers
end

local function least(list)
  local best
  for _, value in ipairs(list or {}) do best = best and math.min(best, value) or value end
  return best
end

local FORMAT = "%-34s %10s %8s %8s  %10s %8s %8s"
local function time(t)
  return t >= 1 and ("%.2f s"):format(t) or t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
end

-- One row: name, floating-point operations, the fastest that a core can do, a call, and the peers' seconds.
local function row(name, flops, rate, f, one_peer, all_peers)
  peri.set_num_threads(1)
  local one = measure(f)
  peri.set_num_threads(all_threads)
  local all = measure(f)
  local function share(seconds, threads)
    return flops and ("%.0f%%"):format(100 * flops / seconds / rate / threads) or ""
  end
  local function faster(seconds, peer) return peer and ("%.2fx"):format(peer / seconds) or "-" end
  local best_peer = one_peer and all_peers and math.min(one_peer, all_peers) or one_peer
  print((FORMAT):format(name, time(one), share(one, 1), faster(one, one_peer), time(all), share(all, all_threads),
    faster(all, best_peer)))
end

local function heading(text)
  print("\n" .. text)
  print((FORMAT):format("", "1 thread", "of peak", "faster", all_threads .. " threads", "of peak", "faster"))
end

local SHAPES = {
  { 128, 128, 784 }, { 128, 784, 128 }, { 128, 1000, 3136 }, { 1000, 3136, 128 }, { 256, 256, 256 }, { 300, 300, 300 },
  { 384, 384, 384 }, { 512, 512, 512 }, { 768, 768, 768 }, { 1024, 1024, 1024 }, { 2048, 128, 512 }, { 128, 2048, 512 },
  { 64, 1024, 1024 }, { 1024, 64, 1024 }, { 512, 512, 4096 }, { 1000, 1000, 300 }, { 333, 777, 555 },
  { 2000, 500, 200 }, { 10000, 128, 128 }, { 256, 10000, 100 },
}
local SMALL = { { 10, 10, 2 }, { 10, 2, 10 }, { 16, 16, 16 }, { 32, 32, 32 }, { 64, 64, 64 }, { 128, 10, 128 },
  { 1, 1024, 1024 } }

local benches = {}

local function products(title, shapes, rate)
  for _, dtype in ipairs { "float32", "float64" } do
    local jobs, cases = {}, {}
    for _, shape in ipairs(shapes) do
      for form = 0, 3 do
        local m, n, k, flip_a, flip_b = shape[1], shape[2], shape[3], form % 2, form // 2
        local job = ("matmul %s %d %d %d %d %d"):format(dtype, m, n, k, flip_a, flip_b)
        table.insert(jobs, job)
        table.insert(cases, { job = job, m = m, n = n, k = k, flip_a = flip_a == 1, flip_b = flip_b == 1 })
      end
    end
    local one, all = ask_peers(jobs, 1), ask_peers(jobs, all_threads)
    heading(("%s %s: m x n x k, N as it stands, T transposed"):format(dtype, title))
    for _, case in ipairs(cases) do
      local a = case.flip_a and peri.randn(case.k, case.m, { dtype = dtype })
        or peri.randn(case.m, case.k, { dtype = dtype })
      local b = case.flip_b and peri.randn(case.n, case.k, { dtype = dtype })
        or peri.randn(case.k, case.n, { dtype = dtype })
      local options = { transpose_a = case.flip_a, transpose_b = case.flip_b }
      local name = ("%d x %d x %d  %s%s"):format(case.m, case.n, case.k, case.flip_a and "T" or "N",
        case.flip_b and "T" or "N")
      row(name, 2 * case.m * case.n * case.k, dtype == "float32" and rate or rate / 2,
        function() return a:matmul(b, options) end, least(one[case.job]), least(all[case.job]))
    end
  end
end

function benches.matmul(rate) products("products", SHAPES, rate) end
function benches.small(rate) products("small products", SMALL, rate) end

local CONVOLUTIONS = { { 1, 32, 5, 28 }, { 32, 64, 5, 12 }, { 3, 32, 3, 32 }, { 32, 32, 3, 32 }, { 64, 64, 3, 16 },
  { 1, 6, 5, 28 } }
local BATCH = 128

function benches.conv(rate)
  local jobs = {}
  for _, c in ipairs(CONVOLUTIONS) do
    table.insert(jobs, ("conv %d %d %d %d %d"):format(c[1], c[2], c[3], c[4], BATCH))
  end
  local one, all = ask_peers(jobs, 1), ask_peers(jobs, all_threads)
  heading(("float32 convolutions, batch %d: forward, gradient of the data, of the weights"):format(BATCH))
  for i, c in ipairs(CONVOLUTIONS) do
    local channels, filters, kernel, size = table.unpack(c)
    local side = size - kernel + 1
    local flops = 2 * BATCH * filters * channels * kernel * kernel * side * side
    local x, weight = peri.randn(BATCH, channels, size, size), peri.randn(filters, channels, kernel, kernel)
    local gradient = peri.randn(BATCH, filters, side, side)
    local function backward(which)
      local operands = { x:detach(), weight:detach() }
      local leaf = operands[which]:requires_grad_(true)
      local y = peri.conv2d(table.unpack(operands))
      return function() return peri.grad(y, leaf, { grad_output = gradient, retain_graph = true }) end
    end
    local calls = { function() return peri.conv2d(x, weight) end, backward(1), backward(2) }
    for which, what in ipairs { "forward", "data", "weights" } do
      row(("%d -> %d, %dx%d on %d: %s"):format(channels, filters, kernel, kernel, size, what), flops, rate,
        calls[which], one[jobs[i]][which], all[jobs[i]][which])
    end
  end
end

function benches.lenet(rate)
  local job = ("lenet %d"):format(BATCH)
  local one, all = ask_peers({ job }, 1), ask_peers({ job }, all_threads)
  heading(("a training step of the conv net, batch %d"):format(BATCH))
  local net = nn.Sequential(nn.Conv2d(1, 32, 5, { padding = 2 }), nn.Tanh(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 5, { padding = 2 }), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 1000), nn.Tanh(),
    nn.Linear(1000, 10))
  local opt, ce = optim.SGD(net:parameters(), { lr = 0.1 }), nn.CrossEntropyLoss()
  local x, y = peri.rand(BATCH, 1, 28, 28), peri.randint(1, 10, { BATCH })
  row("step", nil, rate, function()
    opt:zero_grad()
    ce(net(x), y):backward()
    opt:step()
  end, one[job][1], all[job][1])
end

local ORDER = { "matmul", "small", "conv", "lenet" }

return function(chosen)
  chosen = #chosen > 0 and chosen or ORDER
  local rate = peak()
  print(("one core: %.0f GFLOP/s in registers (float32)"):format(rate / 1e9))
  for _, name in ipairs(chosen) do
    if not benches[name] then
      io.stderr:write(("bench product: no %s (known: %s)\n"):format(name, table.concat(ORDER, ", ")))
      os.exit(1)
    end
    benches[name](rate)
  end
  peri.set_num_threads(all_threads)
end
