-- The experiments, run as a user runs them, on small sizes: the numbers that they claim, their pictures, and what
-- they say about wrong options.
local peri = require "perilune"
local run = require "support.program"

local folder

-- What a script prints, and its lines by their first cell; cells stand two spaces apart.
local function experiment(name, ...)
  local out, err, status = run { "scripts/" .. name .. ".lua", "--quick", "--out", folder, ... }
  assert.equal(0, status, err)
  assert.equal("", err)
  local rows = {}
  for line in out:gmatch "[^\n]+" do
    local cells = {}
    for cell in (line .. "  "):gmatch "%s*(.-)%s%s+" do
      if cell ~= "" then cells[#cells + 1] = tonumber(cell) or cell end
    end
    rows[tostring(cells[1])] = cells
  end
  return rows, out
end

local function pictures(...)
  for _, name in ipairs { ... } do
    for ending, magic in pairs { svg = "^<%?xml", png = "^\137PNG" } do
      local path = ("%s/%s.%s"):format(folder, name, ending)
      local file <close> = assert(io.open(path, "rb"))
      local bytes = file:read "a"
      assert.matches(magic, bytes)
      assert.is_true(#bytes > 2000, path)
    end
  end
end

local function close_to(expected, value, what)
  assert.is_true(math.abs(value - expected) <= 1e-3 * math.abs(expected), ("%s: %s"):format(what, value))
end

describe("the experiment #slow", function()
  setup(function()
    folder = os.tmpname()
    os.remove(folder)
  end)

  teardown(function()
    local pipe = assert(io.popen("rm -r '" .. folder .. "'"))
    assert(pipe:close())
  end)

  it("gradient_descent.lua: updates count, until their noise does", function()
    local rows = experiment "gradient_descent"
    local updates = { batch = 20, ["mini-batches of 32"] = 40, ["mini-batches of 8"] = 100,
      ["online, 1 update an epoch"] = 20, ["online, n updates an epoch"] = 800 }
    for name, n in pairs(updates) do
      assert.equal(n, rows[name][2], name)
      assert.is_true(rows[name][4] > 0, name) -- nothing is below the least loss
    end
    local function above(name) return rows[name][4] end
    assert.is_true(above "mini-batches of 8" < above "mini-batches of 32" / 10)
    assert.is_true(above "mini-batches of 32" < above "batch" / 2)
    assert.is_true(above "online, n updates an epoch" < above "online, 1 update an epoch" / 10)
    assert.is_true(above "online, n updates an epoch" < above "batch" / 10)
    pictures("loss", "path")
    rows = experiment("gradient_descent", "--epochs", 300)
    assert.is_true(above "batch" < 1e-5)
    assert.is_true(above "online, n updates an epoch" > 1e-4) -- a constant rate keeps the noise
  end)

  it("learning_rate.lua: too small learns less, too large diverges, what falls comes to rest", function()
    local rows = experiment "learning_rate"
    assert.is_true(rows["0.1"][3] < 0.8 * rows["0.002"][3])
    assert.same({ "inf", "inf", "diverged" }, { table.unpack(rows["0.9"], 3) })
    assert.equal("learnt", rows["0.1"][5])
    close_to(0.15, rows.constant[3], "constant")
    close_to(0.15 * 0.3 ^ 3, rows.step[3], "step")
    close_to(0.15 * 0.01 ^ (39 / 40), rows.exponential[3], "exponential")
    close_to(0.15 / (1 + 20 * 39 / 40), rows["1/t"][3], "1/t")
    close_to(0.15 * (1 + math.cos(math.pi * 39 / 40)) / 2, rows.cosine[3], "cosine")
    assert.is_true(rows.plateau[3] < 0.15 / 10)
    for _, name in ipairs { "step", "exponential", "1/t", "cosine", "plateau" } do
      assert.is_true(rows[name][5] < rows.constant[5] / 5, name)
    end
    pictures("rates", "schedules")
  end)

  it("live.lua: the last picture, of letters alone where there is no terminal", function()
    local _, out = experiment("live", "--data", "moons", "--columns", 40, "--rows", 12)
    local lines = {}
    for line in out:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal(13, #lines)
    for row = 1, 12 do assert.matches("^[ .ox]+$", lines[row]) assert.equal(40, #lines[row]) end
    local epoch, accuracy = lines[13]:match "^epoch (%d+), loss 0%.%d+, accuracy (%S+)$"
    assert.equal("400", epoch)
    assert.is_true(tonumber(accuracy) > 0.95)
    assert.is_true(select(2, lines[3]:gsub("[x ]", "")) > 30) -- the upper moon's side
    assert.is_true(select(2, lines[11]:gsub("[o.]", "")) > 30)
  end)

  it("optimisers.lua: momentum in a valley, divided slopes at a saddle, and the one that knows how it bends", function()
    local _, out = experiment "optimisers"
    local above, steps, surface = {}, {}, nil
    for line in out:gmatch "[^\n]+" do
      local name, rate, height, there = line:match "^(.-)%s%s+(%S+)%s%s+(%S+)%s%s+(%S+)$"
      if tonumber(rate) then
        above[surface][name], steps[surface][name] = tonumber(height), tonumber(there) or math.huge
      elseif line:find "above the least after 60" then
        surface = line:match "^(.-)%s%s"
        above[surface], steps[surface] = {}, {}
      end
    end
    for _, valley in ipairs { "valley", "bent valley" } do
      for name, height in pairs(above[valley]) do
        assert.is_true(height >= 0 and (name == "LBFGS" or above[valley].LBFGS < height), name)
      end
    end
    assert.is_true(above.valley.momentum < above.valley.SGD / 2 and above.valley.Nesterov < above.valley.SGD / 100)
    for _, name in ipairs { "Adagrad", "RMSprop" } do
      for _, other in ipairs { "SGD", "momentum", "Nesterov", "LBFGS" } do
        assert.is_true(steps.saddle[name] < steps.saddle[other], name)
      end
    end
    pictures("valley", "saddle", "bent_valley")
  end)

  it("sequence.lua: gates that begin open remember, and so does attention", function()
    local rows = experiment "sequence"
    for _, name in ipairs { "LSTM, gates open", "attention" } do
      for k = 2, 4 do assert.is_true(rows[name][k] > 0.95, name) end -- 5, 10 and 20 steps
    end
    for _, name in ipairs { "RNN", "GRU", "LSTM" } do assert.is_true(rows[name][2] > 0.9, name) end
    assert.is_true(rows.LSTM[4] < 0.75)
    pictures "memory"
  end)

  it("regularisation.lua: with nothing against it a network learns by heart", function()
    local rows = experiment "regularisation"
    local nothing = rows.nothing
    for _, name in ipairs { "weight decay", "dropout", "batch norm", "early stopping", "ten times the points" } do
      local row = rows[name]
      assert.is_true(row[2] > nothing[2], name) -- learns less of its own points
      assert.is_true(row[3] < 0.7 * nothing[3], name) -- and more of all others
      assert.is_true(row[6] < 0.75 * nothing[6] and row[5] > nothing[5], name)
      assert.is_true(math.abs(row[4] - row[5] - row[6]) < 1e-3, name)
    end
    assert.is_true(nothing[3] > 4 * nothing[2])
    pictures("losses", "boundaries")
  end)

  it("activations.lua: linear layers cannot, sigmoids vanish, steps have no gradient", function()
    local rows = experiment "activations"
    for _, name in ipairs { "linear", "tanh", "ReLU" } do assert.is_true(rows[name][4] > 0.02, name) end
    assert.is_true(rows.sigmoid[4] < 1e-4)
    assert.is_true(rows.linear[5] < 0.65)
    assert.is_true(rows.tanh[5] > 0.95 and rows.ReLU[5] > 0.95)
    assert.same({ "step", 0, 0, "none" }, { table.unpack(rows.step, 1, 4) })
    assert.equal(0, rows.step[6])
    assert.is_true(rows.step[5] < 0.65 and rows.sigmoid[6] > 0)
    pictures("gradients", "losses")
  end)

  it("losses.lua: formulas are right, by hand overflows, both losses learn", function()
    local rows = experiment "losses"
    for _, name in ipairs { "(z - t)^2", "(p - t)^2", "-t log p - (1 - t) log(1 - p)" } do
      assert.is_true(rows[name][3] < 1e-12, name)
    end
    close_to(math.log(1 + math.exp(-1) + math.exp(-2)), rows["1"][3], "1")
    close_to(rows["1"][2], rows["1"][3], "1 by hand")
    for s = 100, 1000, 900 do
      local row = rows[tostring(s)]
      assert.same({ "nan", 0, "inf", 2 * s }, { table.unpack(row, 2) })
    end
    assert.is_true(rows["cross-entropy"][2] > 0.9 and rows["squared error"][2] > 0.8)
    assert.is_true(rows["cross-entropy"][3] < 0.2 and rows["squared error"][3] < 0.2)
    pictures("probabilities", "losses")
  end)

  it("backprop_cost.lua: linear growth, against quadratic growth without sharing", function()
    local rows, out = experiment "backprop_cost"
    local n, d = 4, 8
    for L = 1, 64 do
      if rows[tostring(L)] then
        local product = 2 * n * d * d
        assert.equal((3 * L - 1) * product, rows[tostring(L)][2]) -- forward L, gradients L, back L - 1
        assert.equal((L * L + L * (L - 1) // 2 + L) * product, rows[tostring(L)][3])
        assert.is_true(rows[tostring(L)][6] <= 1e-5)
      end
    end
    local shared = tonumber(out:match "backpropagation: from 8 to 64 layers, operations grow as layers^([%d.]+)")
    local alone = tonumber(out:match "each layer alone: from 8 to 64 layers, operations grow as layers^([%d.]+)")
    assert.is_true(shared > 0.8 and shared < 1.2, shared)
    assert.is_true(alone > 1.8 and alone < 2.2, alone)
    pictures "cost"
  end)

  it("gradients.lua: three ways to the same numbers", function()
    local rows = experiment "gradients"
    local numbers = { W = 8, b = 4, a = 200, V = 8, c = 2, z = 100 }
    for name, count in pairs(numbers) do
      assert.equal(count, rows[name][2])
      assert.is_true(rows[name][3] < 1e-14, name)
      assert.is_true(rows[name][4] < 1e-8, name)
    end
    pictures "differences"
  end)

  it("svm.lua: C buys narrow margins, gamma bends, the tube sets the vectors, nu the outside", function()
    local _, out = experiment "svm"
    local cases = {}
    for kernel, C, gamma, vectors, at_C, margin, train, test in
      out:gmatch "\n(%l+) +([%d.]+) +(%S+) +(%d+) +(%d+) +(%S+) +([%d.]+) +([%d.]+)" do
      cases[#cases + 1] = { kernel = kernel, C = tonumber(C), gamma = tonumber(gamma), vectors = tonumber(vectors),
        at_C = tonumber(at_C), margin = tonumber(margin), train = tonumber(train), test = tonumber(test) }
    end
    assert.equal(10, #cases)
    local linear, poly, rbf, sigmoid = table.unpack(cases)
    assert.same({ "linear", "poly", "rbf", "sigmoid" }, { linear.kernel, poly.kernel, rbf.kernel, sigmoid.kernel })
    assert.is_true(poly.test > linear.test + 0.05 and rbf.test > linear.test + 0.05 and sigmoid.test < linear.test)
    local X, y = peri.data.moons(80, { noise = 0.2, seed = 1 })
    local m = peri.svm.SVC { kernel = "linear" }:fit(X, y)
    close_to(2 / m.coef:square():sum():sqrt():item(), linear.margin, "2 / |w|")
    for i = 5, 7 do
      assert.equal(1, cases[i].gamma)
      assert.is_true(cases[i].at_C <= cases[i].vectors)
      if i > 5 then
        assert.is_true(cases[i].margin < cases[i - 1].margin and cases[i].vectors < cases[i - 1].vectors)
        assert.is_true(cases[i].train >= cases[i - 1].train)
      end
    end
    assert.is_true(cases[10].train > cases[8].train and cases[10].test < cases[9].test)
    local folds, test = out:match "best of the grid: C = %S+, gamma = %S+, over folds ([%d.]+), test ([%d.]+)"
    assert.is_true(tonumber(folds) > 0.93 and tonumber(test) > 0.93)

    local last = 1 / 0
    for epsilon, vectors, outside, r2 in out:match "SVR, epsilon.-\n\n":gmatch
      "\n *([%d.]+) +(%d+) +([%d.]+) +([%d.]+)" do
      vectors, outside = tonumber(vectors), tonumber(outside)
      assert.is_true(vectors < last and outside <= vectors / 80 + 1e-9, epsilon)
      assert.is_true(tonumber(r2) > 0.8, epsilon)
      last = vectors
    end
    assert.is_true(last < 10)
    local count = 0
    for nu, vectors, outside in out:match "one class, nu.*":gmatch "\n *([%d.]+) +(%d+) +([%d.]+) +[%d.]+" do
      nu, count = tonumber(nu), count + 1
      assert.is_true(tonumber(vectors) >= nu * 80 and tonumber(outside) <= nu, nu)
    end
    assert.equal(3, count)
    pictures("kernels", "C_and_gamma", "grid", "svr", "one_class")
  end)

  it("model_selection.lua: the set that chooses is believed too much, training stops in time #slow", function()
    local rows, out = experiment("model_selection", "--seeds", 10)
    local sizes = { out:match "\ntrain +(%d+).-\ndev +(%d+).-\ntest +(%d+).-\nfresh +(%d+)" }
    assert.same({ "120", "40", "40", "5000" }, sizes)
    local gaps = {}
    for chosen, scored, score, fresh, gap, deviation in
      out:gmatch "\n([dt]e%l+) +([dt]e%l+) +([%d.]+) +([%d.]+) +([-%d.]+) +([%d.]+)" do
      gaps[chosen .. scored] = { gap = tonumber(gap), deviation = tonumber(deviation) }
      assert.is_true(math.abs(score - fresh - gap) < 2e-4)
    end
    for _, name in ipairs { "devdev", "testtest" } do
      assert.is_true(gaps[name].gap > 2 * gaps[name].deviation, name)
      assert.is_true(gaps[name].gap > gaps.devtest.gap + 0.02, name)
    end
    assert.is_true(math.abs(gaps.devtest.gap) < 3 * gaps.devtest.deviation)
    local whole, early = rows["to the end"], rows["early stopping"]
    assert.equal(250, whole[2])
    assert.is_true(early[2] < whole[2] and early[3] == early[2] - 30)
    assert.is_true(early[4] > whole[4] and early[5] < whole[5] and early[6] > whole[6])
    pictures("optimism", "grid", "early_stopping")
  end)

  it("sample_size.lua: the gap between train and test closes", function()
    local _, out = experiment "sample_size"
    for _, method in ipairs { "network", "SVM" } do
      local gaps, tests = {}, {}
      for n, train, test, gap in out:gmatch("\n" .. method .. " +(%d+) +([%d.]+) +%S+ +([%d.]+) +%S+ +([-%d.]+)") do
        assert.is_true(math.abs(test - train - gap) < 2e-4, n)
        gaps[tonumber(n)], tests[tonumber(n)] = tonumber(gap), tonumber(test)
      end
      assert.is_true(gaps[200] < gaps[10] / 2 and tests[200] < tests[20] and tests[200] < 0.12, method)
      assert.is_truthy(out:find(method .. ": 20 fits", 1, true))
    end
    pictures "errors"
  end)

  it("mnist.lua: both methods learn generated digits, and pictures show how", function()
    local rows, out = experiment("mnist", "--epochs", 8, "--batch", 32)
    assert.is_true(rows["network 784-32-10"][4] > 0.8)
    assert.equal("25450 parameters", rows["network 784-32-10"][7])
    assert.same({ "SVC rbf", 1000, "-" }, { table.unpack(rows["SVC rbf"], 1, 3) })
    assert.is_true(rows["SVC rbf"][4] > 0.9)
    local wrong = tonumber(out:match "the network takes (%d+) of 2000 test digits for others")
    close_to(1 - rows["network 784-32-10"][4], wrong / 2000, "wrong digits")
    pictures("learning", "confusion", "wrong", "weights")
  end)

  it("mnist.lua --net conv: convolutions learn from fewer digits, and show their kernels and channels #slow", function()
    local words = { "--digits", 400, "--epochs", 2, "--batch", 10, "--svm", 20 }
    local rows, out = experiment("mnist", "--net", "conv", table.unpack(words))
    local network = rows["network of convolutions"]
    assert.same({ 400, "3199106 parameters" }, { network[2], network[7] })
    assert.matches("\nlearning took [%d.]+ s: %d+ digits a second\n", out)
    local dense = experiment("mnist", "--plots=no", table.unpack(words))["network 784-32-10"]
    assert.is_true(network[4] > 0.85 and network[4] > dense[4] + 0.1, out)
    pictures("learning", "confusion", "wrong", "weights", "maps")
  end)

  it("conv.lua: by hand as by the operation, more right with as many parameters, and pools forgive shifts", function()
    local rows, out = experiment "conv"
    local count = 0
    for dtype, channels, difference in out:gmatch "\n(float%d+) +20 +(%d) to 8 +[%d.]+ +[%d.e-]+ +(%S+)" do
      local sum, digits = 25 * channels, dtype == "float32" and 2 ^ -24 or 2 ^ -53
      assert.is_true(tonumber(difference) < 2 * sum * digits * 5, dtype) -- of sums of normal numbers
      count = count + 1
    end
    assert.equal(4, count)
    local dense, wide = rows.dense, rows["dense, 10 times the units"]
    local steps, pools = rows["convolutions in steps of 2"], rows["convolutions, pools of 2 x 2"]
    local last = rows["convolutions, last pool of all"]
    assert.equal(pools[2], steps[2]) -- parameters
    for _, row in ipairs { dense, last } do assert.is_true(row[2] <= pools[2] and row[2] > 0.95 * pools[2], row[1]) end
    assert.is_true(wide[2] > 9 * pools[2])
    local function above(a, b, k, by) assert.is_true(a[k] > b[k] + by, ("%s, %s: %d"):format(a[1], b[1], k)) end
    above(pools, dense, 4, 0.05)
    above(pools, wide, 4, 0.03)
    for k = 5, 7 do -- shifts of 1 to 3 pixels
      above(pools, dense, k, 0.2)
      above(pools, wide, k, 0.2)
      above(pools, steps, k, 0.1)
    end
    assert.is_true(dense[6] < dense[4] / 2 and wide[6] < wide[4] / 2 and last[6] > 0.95 * last[4])
    pictures("by_hand", "networks", "kernels")
  end)
end)

describe("every experiment #once", function()
  local names = { "gradient_descent", "learning_rate", "activations", "losses", "backprop_cost", "gradients", "svm",
    "model_selection", "sample_size", "circle", "mnist", "conv" }

  it("has a help, and one line for what is wrong", function()
    for _, name in ipairs(names) do
      local out, err, status = run { "scripts/" .. name .. ".lua", "--help" }
      assert.equal(0, status, err)
      assert.matches("^usage: perilune scripts/" .. name .. ".lua %[options%]\n", out)
      assert.matches("\n  %-%-out DIR +folder of the pictures; out/" .. name, out)
      assert.matches("\n  %-%-quick +smaller sizes", out)
      assert.matches("\n  %-%-plots TEXT +pictures; one of yes, no; yes", out)
      out, err, status = run { "scripts/" .. name .. ".lua", "--quik" }
      assert.equal(1, status)
      assert.equal("", out)
      assert.equal(name .. ".lua: unknown option --quik (see --help): did you mean quick?\n", err)
    end
  end)

  it("works with the smallest values that it takes", function()
    for name, words in pairs {
      circle = { "--epochs", 1, "--test", 1 }, gradient_descent = { "--epochs", 1, "--points", 2 },
      learning_rate = { "--epochs", 20 }, sample_size = { "--seeds", 2, "--epochs", 1 },
      activations = { "--depth", 2, "--epochs", 1 }, losses = { "--epochs", 1 },
      backprop_cost = { "--depth", 2, "--width", 1, "--rows", 1 }, gradients = { "--hidden", 1 },
      model_selection = { "--seeds", 2, "--epochs", 1 }, svm = { "--points", 20 },
      mnist = { "--digits", 20, "--epochs", 1, "--hidden", 1, "--batch", 1, "--svm", 20 },
      conv = { "--digits", 20, "--epochs", 1, "--batch", 1 }, optimisers = { "--rates", 2, "--steps", 20 },
      regularisation = { "--epochs", 30, "--points", 20, "--repetitions", 1 },
      sequence = { "--epochs", 1, "--longest", 10, "--sequences", 100, "--repetitions", 1 },
      live = { "--epochs", 1, "--points", 4, "--columns", 8, "--rows", 4 },
    } do
      local _, err, status = run { "scripts/" .. name .. ".lua", "--quick", "--plots=no", table.unpack(words) }
      assert.equal("", err)
      assert.equal(0, status)
    end
  end)

  it("prints all that it has to say without gnuplot, and in one line that pictures are missing", function()
    for _, name in ipairs { "gradients", "model_selection" } do
      local out, err, status = run({ "scripts/" .. name .. ".lua", "--quick" }, nil, "PATH=/nonexistent")
      assert.equal(1, status)
      assert.equal(run { "scripts/" .. name .. ".lua", "--quick", "--plots", "no" }, out)
      assert.matches("^" .. name .. ".lua: no pictures: plot: gnuplot is not installed %(on Debian: [%w -]+%)\n$", err)
    end
  end)
end)
