-- The support vector machines beside scikit-learn, LIBSVM and LIBLINEAR, in one run on one machine.
--
--   ./dev bench svm [row...]       all rows but mnist60000 when none is named; `./dev bench svm60000` is that one
--
-- PERILUNE_MNIST names a folder with MNIST; without it, generated digits of the same shapes serve. The peers' side
-- is tests/peers/bench_svm.py. A fit of 10,000 rows and more is made once. "faster" is scikit-learn's time over our
-- best, "aim" what it should be. Prediction is of 10,000 rows. The commands' times include reading text.
--
-- Many features make it a matter of matrix products, whose rate stands beside the times: n^2 d operations for the
-- kernel values of a fit, 2 m s d for those of m rows and s support vectors. On a core where OpenBLAS multiplies such
-- tiles at 102 GFlop/s (float32), no prediction of 10,000 digits by the 2,810 support vectors of poly takes less than
-- 0.43 s, or 0.22 s on two: 22 times faster than scikit-learn there, whatever surrounds the products. A fit of 5,000
-- digits has 0.19 s of them, one of 10,000 has 0.77 s.
local peri = require "perilune"
local svm, data = peri.svm, peri.data
local digits_folder = dofile "tests/bench/digits_folder.lua"

local all_threads = peri.get_num_threads()

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

-- What the peer prints: lists of numbers by name.
local function peer(...)
  local words = { "/usr/bin/python3", "tests/peers/bench_svm.py", ... }
  for i, word in ipairs(words) do words[i] = quote(word) end
  local pipe <close> = assert(io.popen(table.concat(words, " ")))
  local rows = {}
  for line in pipe:lines() do
    local name, values = line:match "^([^\t]+)\t(.*)$"
    rows[name] = {}
    for value in values:gmatch "[^\t]+" do table.insert(rows[name], tonumber(value)) end
  end
  return rows
end

local function time(t)
  if not t then return "-" end
  return t >= 1 and ("%.2f s"):format(t) or t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
end

local FORMAT = "%-23s %10s %10s %12s %10s %7s %5s  %s"
local function heading(text, command)
  print("\n" .. text)
  print((FORMAT):format("", "1 thread", all_threads .. " threads", "scikit-learn", command or "", "faster", "aim", ""))
end
local function row(name, one, all, theirs, command, aim, note)
  print((FORMAT):format(name, time(one), time(all), time(theirs), command and time(command) or "",
    theirs and ("%.1fx"):format(theirs / math.min(one, all)) or "-", aim and aim .. "x" or "", note or ""))
end

local function measure(runs, f)
  local best, result = math.huge, nil
  for _ = 1, runs do
    local start = peri.now()
    result = f()
    best = math.min(best, peri.now() - start)
  end
  return best, result
end

-- f() with one thread and with all: both times, and the last result.
local function with_threads(runs, f)
  peri.set_num_threads(1)
  local one = measure(runs, f)
  peri.set_num_threads(all_threads)
  local all, result = measure(runs, f)
  return one, all, result
end

-- ---- Circle ----

local function read_csv(path)
  local rows, labels = {}, {}
  for line in io.lines(path) do
    local x1, x2, class = line:match "^([%d.e+-]+),([%d.e+-]+),(%d+)"
    if x1 then
      rows[#rows + 1] = { tonumber(x1), tonumber(x2) }
      labels[#labels + 1] = math.tointeger(class)
    end
  end
  return peri.tensor(rows, { dtype = "float64" }), peri.tensor(labels, { dtype = "int64" })
end

local function circle()
  heading "Circle, 200 points: fit, score and a 100x100 grid of decisions; sweeps of C = 1e-3 .. 1e5, fit and score"
  local X, y = read_csv "data/circle/train.csv"
  local Xt, yt = read_csv "data/circle/test.csv"
  local axis = peri.linspace(-2, 2, 100):to "float64"
  local grid = peri.stack({ axis:unsqueeze(1):expand(100, 100), axis:unsqueeze(2):expand(100, 100) }, 3):view(10000, 2)
  local steps = 0
  local function fitted(options)
    local m = svm.SVC(options):fit(X, y)
    assert(m.fit_status == 0 and m.gap <= m.tol, "a fit did not converge")
    steps = steps + m.n_iter[1]
    return m
  end
  local function picture(kernel)
    local m = fitted { kernel = kernel, degree = 2 }
    local accuracy = m:score(Xt, yt)
    m:decision_function(grid)
    return accuracy
  end
  local function sweep(kernel)
    local accuracy
    for e = -3, 5 do accuracy = fitted({ kernel = kernel, degree = 2, C = 10.0 ^ e }):score(Xt, yt) end
    return accuracy
  end
  local theirs = peer("circle", "data/circle")
  local total = { 0, 0, 0 }
  local function part(name, f, kernel)
    local one, all, accuracy = with_threads(5, function() return f(kernel) end)
    steps = 0
    f(kernel)
    local other = theirs[name .. " " .. kernel]
    for i, t in ipairs { one, all, other[1] } do total[i] = total[i] + t end
    row(name .. " " .. kernel, one, all, other[1], nil, nil,
      ("accuracy %.3f / %.3f, %d steps"):format(accuracy, other[2], steps))
  end
  for _, kernel in ipairs { "linear", "rbf", "poly", "sigmoid" } do part("picture", picture, kernel) end
  for _, kernel in ipairs { "rbf", "poly" } do part("sweep", sweep, kernel) end
  row("all of Circle", total[1], total[2], total[3], nil, 20, "aim 5x without a finishing step")
end

-- ---- one machine on many rows ----

local machines = {
  rbf = { "SVC", { kernel = "rbf", C = 10, gamma = 0.02 } },
  poly = { "SVC", { kernel = "poly", degree = 2, gamma = 0.02, coef0 = 1, C = 1 } },
  linear = { "SVC", { kernel = "linear", C = 1 } },
  linearsvc = { "LinearSVC", { C = 0.1 } },
  svr = { "SVR", { kernel = "rbf", C = 1, epsilon = 0.1, gamma = 0.05 } },
  oneclass = { "OneClassSVM", { kernel = "rbf", nu = 0.1, gamma = 0.05 } },
}

local function rate(operations, seconds) return ("%.0f GFlop/s of products"):format(operations / seconds * 1e-9) end

-- job: name of the machine above, rows n, folder with the peers' files, X, y, Xt, yt, command: whether to run it.
local function compare(job)
  local kind, options = table.unpack(machines[job.machine])
  if kind ~= "LinearSVC" then options.cache_size = 2000 end -- as the peers have
  local function fit()
    local m = svm[kind](options)
    if kind == "OneClassSVM" then return m:fit(job.X) end
    return m:fit(job.X, job.y)
  end
  local fit_one, fit_all, m = with_threads(job.n >= 10000 and 1 or 2, fit)
  local predict_one, predict_all, predicted = with_threads(2, function() return m:predict(job.Xt) end)
  local good
  if kind == "SVR" then
    local spread = job.yt - job.yt:mean()
    good = 1 - (((predicted - job.yt) ^ 2):sum() / (spread * spread):sum()):item()
  else
    good = predicted:eq(job.yt):to("float64"):mean():item()
  end
  local theirs = peer(job.machine, "sklearn", job.folder, job.n).result
  local command = job.command and peer(job.machine, "command", job.folder, job.n).result or {}
  local name = job.machine .. " " .. job.n
  local supports = kind ~= "LinearSVC" and ("  SV %d / %d"):format(#m.support, theirs[4] // 1) or ""
  local fit_rate, predict_rate = "", ""
  if kind == "SVC" then
    fit_rate = rate(job.n ^ 2 * #job.X[1], math.min(fit_one, fit_all))
    if options.kernel ~= "linear" then
      predict_rate = ", " .. rate(2 * #job.Xt * #m.support * #job.X[1], math.min(predict_one, predict_all))
    end
  end
  row(name .. " fit", fit_one, fit_all, theirs[1], command[1], job.fit_aim,
    m.fit_status ~= 0 and "not converged" or fit_rate)
  row(name .. " predict", predict_one, predict_all, theirs[2], command[2], job.predict_aim,
    ("%s %.4f / %.4f%s%s"):format(job.quality or "accuracy", good, theirs[3], supports, predict_rate))
end

local digits -- folder, name and the set, when a row has asked for it
local function digit_rows(n)
  if not digits then
    local folder, name = digits_folder()
    digits = { folder = folder, name = name, set = data.mnist(folder) }
  end
  local train, test = digits.set.train, digits.set.test
  local rows = { { 1, n } }
  return { folder = digits.folder, n = n, X = train.x[rows], y = train.y[rows], Xt = test.x, yt = test.y }
end

local function mnist(n, kernels, command)
  return function()
    local job = digit_rows(n)
    heading(("SVC, %d of %s; C = 10 gamma = 0.02 (rbf), degree 2 C = 1 (poly), C = 1 (linear)"):format(n, digits.name),
      command and "LIBSVM")
    job.fit_aim, job.predict_aim, job.command = 10, 40, command
    for _, kernel in ipairs(kernels) do
      job.machine = kernel
      compare(job)
    end
  end
end

local function linear(n)
  return function()
    local job = digit_rows(n)
    heading(("LinearSVC, %d of %s, C = 0.1"):format(n, digits.name), "LIBLINEAR")
    job.machine, job.fit_aim, job.command = "linearsvc", 4, true
    compare(job)
  end
end

-- 10,000 + 10,000 rows with 20 normal features, as tensors and as files of their bytes in a folder of its own.
local function synthetic(machine, quality, title)
  return function()
    heading(title, "LIBSVM")
    local folder, n = os.tmpname(), 10000
    os.remove(folder)
    assert(require("support.internal").process.mkdir(folder))
    peri.manual_seed(1)
    local X = peri.randn({ 2 * n, 20 }, { dtype = "float64" })
    local noise = peri.randn({ 2 * n }, { dtype = "float64" }) * 0.1
    local y = X[{ {}, 1 }]:sin() + X[{ {}, 2 }] * X[{ {}, 3 }] * 0.5 + noise
    local first, second = { { 1, n } }, { { n + 1, 2 * n } }
    local job = { machine = machine, n = n, folder = folder, command = true, quality = quality, fit_aim = 10,
                  predict_aim = 40, X = X[first], y = y[first], Xt = X[second], yt = y[second] }
    local parts = { ["train-x"] = job.X, ["train-y"] = job.y, ["test-x"] = job.Xt, ["test-y"] = job.yt }
    for name, part in pairs(parts) do
      local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(part:bytes())
    end
    if machine == "oneclass" then job.yt = peri.ones(n, { dtype = "int64" }) end
    compare(job)
    for name in pairs(parts) do os.remove(folder .. "/" .. name) end
    os.remove(folder)
  end
end

local benches = {
  circle = circle,
  mnist5000 = mnist(5000, { "rbf", "poly", "linear" }, true),
  mnist10000 = mnist(10000, { "rbf", "poly", "linear" }, true),
  mnist60000 = mnist(60000, { "rbf" }, false),
  linear10000 = linear(10000),
  linear60000 = linear(60000),
  svr = synthetic("svr", "R2", "SVR, rbf, C = 1, epsilon = 0.1, on 10,000 x 20"),
  oneclass = synthetic("oneclass", "inliers", "OneClassSVM, rbf, nu = 0.1, on 10,000 x 20"),
}
local order = { "circle", "mnist5000", "mnist10000", "linear10000", "linear60000", "svr", "oneclass" }
local known = "circle, mnist5000, mnist10000, mnist60000, linear10000, linear60000, svr, oneclass"

-- Runs the named rows; all but mnist60000 when the list is empty.
return function(names)
  for _, name in ipairs(names) do
    if not benches[name] then error(("bench: no row %s of svm (known: %s)"):format(name, known), 0) end
  end
  io.stdout:setvbuf "line"
  for _, name in ipairs(#names > 0 and names or order) do benches[name]() end
end
