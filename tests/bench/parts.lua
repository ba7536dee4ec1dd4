-- What the constants of the runtime that were found by measurement rule: Perilune alone, with one thread and with all.
--
--   ./dev bench parts [machines] [linear] [loops] [products]      all of them when none is named
--
-- To find a constant anew: change it, and compare the rows of two builds in turn. Data are generated, from fixed seeds.
-- Times are the best of several runs; beside fits stand their iterations, which say whether the way changed.
local peri = require "perilune"
local svm, data = peri.svm, peri.data

local all_threads = peri.get_num_threads()

local function time(t)
  return t >= 1 and ("%.2f s"):format(t) or t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
end

-- The best time of a call, over a fifth of a second at the least; and its last result.
local function measure(f)
  local best, spent, runs, result = math.huge, 0, 0, nil
  while spent < 0.2 or runs < 3 do
    local start = peri.now()
    result = f()
    local seconds = peri.now() - start
    best, spent, runs = math.min(best, seconds), spent + seconds, runs + 1
  end
  return best, result
end

local FORMAT = "%-52s %12s %12s  %s"

local function heading(text)
  print("\n" .. text)
  print((FORMAT):format("", "1 thread", all_threads .. " threads", ""))
end

-- note(result): what to say of it.
local function row(name, f, note)
  peri.set_num_threads(1)
  local one = measure(f)
  peri.set_num_threads(all_threads)
  local all, result = measure(f)
  print((FORMAT):format(name, time(one), time(all), note and note(result) or ""))
end

local function iterations(m) return ("%d iterations, fit_status %d"):format(m.n_iter:sum():item(), m.fit_status) end

local function fit(name, machine, options, X, y)
  row(name, function() return svm[machine](options):fit(X, y) end, iterations)
end

local benches = {}

function benches.machines()
  heading "machines with a kernel"
  local small, small_y = data.circles(200, { noise = 0.15, factor = 0.5, seed = 1 })
  local rings, rings_y = data.circles(2000, { noise = 0.3, factor = 0.5, seed = 1 })
  local many, many_y = data.circles(20000, { noise = 0.3, factor = 0.5, seed = 1 })
  local digits, digits_y = data.digits(3000, { seed = 1 })
  fit("small: rbf, 200 rows", "SVC", {}, small, small_y)
  fit("whole matrix, many at a bound: rbf, 2000 rows", "SVC", {}, rings, rings_y)
  fit("the same, a large C", "SVC", { C = 1000 }, rings, rings_y)
  fit("few free, zigzag: linear, C = 1000", "SVC", { kernel = "linear", C = 1000 }, rings, rings_y)
  fit("a small tolerance: rbf, tol = 1e-8", "SVC", { tol = 1e-8 }, rings, rings_y)
  fit("below rounding: rbf, tol = 1e-14", "SVC", { tol = 1e-14, max_iter = 100000 }, small, small_y)
  fit("two sums: NuSVC, nu = 0.6", "NuSVC", { nu = 0.6 }, rings, rings_y)
  fit("a kink: SVR", "SVR", {}, rings, rings[{ {}, 1 }])
  fit("rows as needed: rbf, 20000 rows, 20 MB", "SVC", { cache_size = 20 }, many, many_y)
  fit("wide rows as needed: digits, 3000, 4 MB", "SVC", { cache_size = 4 }, digits, digits_y)
  fit("pairs of classes: digits, 3000", "SVC", {}, digits, digits_y)
  fit("folds: probabilities, 2000 rows", "SVC", { probability = true }, rings, rings_y)
  local narrow, wide = svm.SVC():fit(rings, rings_y), svm.SVC():fit(digits, digits_y)
  row("predict: 2 features, 20000 rows", function() return narrow:predict(many) end)
  row("predict: 784 features, 10 classes, 3000 rows", function() return wide:predict(digits) end)
  row("kernel_matrix: 3000 digits", function() return svm.kernel_matrix(digits) end)
end

function benches.linear()
  heading "linear machines"
  local digits, digits_y = data.digits(3000, { seed = 1 })
  local few, few_y = digits[{ { 1, 300 } }], digits_y[{ { 1, 300 } }]
  peri.manual_seed(1)
  local X = peri.randn({ 50000, 20 })
  local y = (X[{ {}, 1 }] + X[{ {}, 2 }] * 0.5 + peri.randn({ 50000 })):gt(0):to "int64"
  fit("Newton steps, factored: 50000 x 20", "LinearSVC", { C = 0.1 }, X, y)
  fit("Newton steps: LogisticRegression, digits", "LogisticRegression", {}, digits, digits_y)
  fit("Newton steps, 10 machines: digits", "LinearSVC", { C = 0.1 }, digits, digits_y)
  fit("more features than rows: 300 digits", "LinearSVC", {}, few, few_y)
  fit("the dual: hinge, digits", "LinearSVC", { loss = "hinge", C = 0.1 }, digits, digits_y)
  fit("descent in the weights: l1, digits", "LinearSVC", { penalty = "l1", C = 0.01 }, digits, digits_y)
  fit("classes in one problem: digits", "LinearSVC", { multi_class = "crammer_singer", C = 0.01 }, digits, digits_y)
end

function benches.loops()
  heading "rows on float32 tensors"
  peri.manual_seed(1)
  for _, n in ipairs { 1000, 10000, 100000, 1000000, 10000000 } do
    local a, b = peri.randn(n), peri.randn(n)
    local columns, part = peri.randn({ n // 100, 100 }), peri.randn({ 1, 100 })
    local calls = math.max(1, 100000 // n)
    local function times(f)
      return function() for _ = 1, calls do f() end end
    end
    local cases = {
      { "add", function() return a + b end },
      { "tanh", function() return a:tanh() end },
      { "add, broadcast", function() return columns + part end },
      { "add, transposed", function() return columns:t() + 1 end },
      { "sum", function() return a:sum() end },
      { "sum of columns", function() return columns:sum(1) end },
      { "max of rows", function() return columns:max(2) end },
      { "softmax of rows", function() return columns:softmax(2) end },
      { "sort", function() return a:sort() end },
      { "randn", function() return peri.randn(n) end },
    }
    for _, case in ipairs(cases) do
      row(("%s, %d%s"):format(case[1], n, calls > 1 and (" (%d times)"):format(calls) or ""), times(case[2]))
    end
  end
end

function benches.products()
  heading "products of float32 matrices"
  peri.manual_seed(1)
  for _, size in ipairs { { 10, 10, 2 }, { 16, 16, 16 }, { 64, 64, 64 }, { 128, 128, 784 }, { 256, 256, 256 },
    { 1000, 10, 1000 }, { 512, 512, 512 }, { 2000, 2000, 100 }, { 1500, 1500, 1500 } } do
    local m, n, k = size[1], size[2], size[3]
    local a, b = peri.randn({ m, k }), peri.randn({ k, n })
    local calls = math.max(1, 1000000 // (m * n * k))
    row(("%d x %d, over %d%s"):format(m, n, k, calls > 1 and (" (%d times)"):format(calls) or ""), function()
      for _ = 1, calls do a:matmul(b) end
    end)
  end
end

local order = { "machines", "linear", "loops", "products" }

-- Runs the named parts, all when the list is empty.
return function(names)
  io.stdout:setvbuf "line"
  for _, name in ipairs(names) do
    if not benches[name] then
      error(("bench: no part %s (known: %s)"):format(name, table.concat(order, ", ")), 0)
    end
  end
  for _, name in ipairs(#names > 0 and names or order) do benches[name]() end
end
