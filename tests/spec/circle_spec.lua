-- The Circle experiment, run as a user runs it; the numbers that it claims.
local peri = require "perilune"
local run = require "support.program"

-- The rows of the table that begins with a heading, by their first cell, as lists of numbers.
local function table_of(out, heading)
  local text = (out .. "\n\n"):match(heading .. "[^\n]*\n(.-)\n\n")
  local rows, n = {}, 0
  for line in text:gmatch "[^\n]+" do
    local name, cells = line:match "^(.-)  +(.*)$"
    if not name then break end
    rows[name], n = {}, n + 1
    for cell in cells:gmatch "[%d.e+-]+" do table.insert(rows[name], tonumber(cell)) end
  end
  return rows, n
end

local function circle(...)
  local out, err, status = run { "scripts/circle.lua", "--plots", "no", ... }
  assert.equal(0, status, err)
  return out, tonumber(out:match "differ by at most ([%d.e+-]+)")
end

describe("circle.lua #once", function()
  it("separates 10,000 fresh points, on average over five seeds #slow", function()
    local mean = {}
    for seed = 1, 5 do
      local rows, n = table_of(circle("--seed", seed, "--test", 10000), "method")
      assert.equal(18, n)
      for name, row in pairs(rows) do
        if name:find "^%(" then assert.equal(52, row[6]) end
        if not name:find "epochs" then mean[name] = (mean[name] or 0) + row[3] / 5 end
      end
      assert.equal(3, rows.LinearSVC[6])
      assert.is_true(rows["SVC rbf"][6] < rows["SVC linear"][6])
    end
    for name, accuracy in pairs(mean) do
      if name:find "^%(" or name == "SVC rbf" or name == "SVC poly of degree 2" then
        assert.is_true(accuracy >= 0.93, ("%s: %.4f"):format(name, accuracy))
      elseif name:find "linear" or name == "LinearSVC" then
        assert.is_true(accuracy <= 0.65, ("%s: %.4f"):format(name, accuracy))
      end
    end
  end)

  it("gets as far with smaller rates and longer training, stops in time, and does not begin at 0 #slow", function()
    local rows, rates = table_of(circle(), "method"), 0
    for name, row in pairs(rows) do
      local rate, epochs = name:match "^%(d%) rate ([%d.]+), (%d+) epochs$"
      if rate then
        rates = rates + 1
        assert.equal(15, math.floor(rate * epochs + 0.5))
        assert.is_true(row[3] > 0.93, name)
      end
      local ended, best = name:match "stopped early, of (%d+) epochs took (%d+)"
      if ended then
        assert.equal(31, ended - best)
        assert.is_true(row[2] > 0.95 and row[3] > 0.93)
      end
    end
    assert.equal(3, rates)
    local function train_accuracy(std) return rows[("(d) weights of std %g, 20 epochs"):format(std)][2] end
    assert.equal(0.5, train_accuracy(0))
    assert.is_true(train_accuracy(0.01) < 0.6 and train_accuracy(0.3) > 0.6)
    assert.is_true(train_accuracy(1) > 0.9 and train_accuracy(5) < train_accuracy(1))
  end)

  it("sweeps C from 10^-3 to 10^5 for two kernels", function()
    local out = circle("--epochs", 2)
    local X, y = peri.data.circles(200, { noise = 0.15, factor = 0.5, seed = 1 })
    local Xt, yt = peri.data.circles(200, { noise = 0.15, factor = 0.5, seed = 2 })
    for kernel, words in pairs { rbf = "rbf", poly = "poly of degree 2" } do
      local rows, n = table_of(out, "SVC " .. words .. ", nine machines and their scores in [%d.e-]+ s\nC")
      assert.equal(9, n)
      for power = -3, 5 do
        local row = rows[("%.6g"):format(10.0 ^ power)]
        local m = peri.svm.SVC { kernel = kernel, degree = 2, C = 10.0 ^ power }:fit(X, y)
        assert.is_true(math.abs(row[1] - m:score(X, y)) <= 0.01, kernel .. power)
        assert.is_true(math.abs(row[2] - m:score(Xt, yt)) <= 0.015, kernel .. power)
      end
      assert.is_true(rows["0.001"][2] < rows["1"][2])
      if kernel == "rbf" then -- too much
        assert.is_true(rows["100000"][1] > rows["1"][1] and rows["100000"][2] < rows["1"][2])
      end
    end
  end)

  it("gives the same parameters by hand and by autograd", function()
    local _, single = circle("--epochs", 40)
    assert.is_true(single <= 1e-4, single)
    local _, double = circle("--epochs", 40, "--dtype", "float64")
    assert.is_true(double <= 1e-9, double)
  end)

  it("draws its pictures", function()
    local folder = os.tmpname()
    os.remove(folder)
    local out, err, status = run { "scripts/circle.lua", "--epochs", "5", "--out", folder }
    assert.equal(0, status, err)
    assert.matches("pictures: ", out)
    local curves = { "<text>train</text>", "<text>test</text>", "<text>(a) by hand</text>", "<desc>" }
    local shown = {
      loss = curves, accuracy = curves, rates = { "<text>(d) rate 0.1, 5 epochs</text>", "<desc>" },
      early_stopping = { "<text>stopped</text>", "<text>dev</text>", "<desc>" }, initialisation = { "<desc>" },
      C = { "<text>SVC poly of degree 2</text>", "<desc>" },
      network = { "<text>probability of inner ring</text>", "<desc>" },
      svm = { "<text>SVC poly of degree 2, ", "<text>support vectors</text>", "<desc>" },
      boundaries = { "<text>probability of inner ring</text>", "<text>margins</text>", "hard line", "<desc>" },
    }
    for name, parts in pairs(shown) do
      for ending, magic in pairs { svg = "^<%?xml", png = "^\137PNG" } do
        local path = ("%s/%s.%s"):format(folder, name, ending)
        local file <close> = assert(io.open(path, "rb"))
        local text = file:read "a"
        assert.matches(magic, text)
        assert.is_true(#text > 2000, path)
        for _, part in ipairs(ending == "svg" and parts or {}) do
          assert.is_truthy(text:find(part, 1, true), ("%s: no %s"):format(path, part))
        end
        os.remove(path)
      end
    end
    os.remove(folder)
  end)

  it("refuses options that it does not know", function()
    for _, words in ipairs { { "--epoch", "3" }, { "--epochs" }, { "--epochs", "0" }, { "--dtype", "int64" } } do
      local _, err, status = run { "scripts/circle.lua", table.unpack(words) }
      assert.equal(1, status)
      assert.matches("^circle.lua: [^\n]+\n$", err)
    end
  end)
end)

describe("mnist.lua #once", function()
  it("learns generated digits when there are no files", function()
    local out, err, status = run { "scripts/mnist.lua", "--epochs", "4", "--hidden", "64", "--lr", "0.3",
      "--svm", "100", "--plots", "no" }
    assert.equal(0, status, err)
    local train, loss, test = out:match "Iter 3: Acc train ([%d.]+)%% %(([%d.]+)%), acc test ([%d.]+)%% %([%d.]+%)"
    assert.is_truthy(train, out)
    assert.is_true(tonumber(train) > 85 and tonumber(test) > 85 and tonumber(loss) < 0.6, out)
  end)

  it("says what is wrong with its options and files", function()
    local _, err, status = run { "scripts/mnist.lua", "--hiden", "3" }
    assert.equal(1, status)
    assert.matches("unknown option %-%-hiden", err)
    _, err, status = run { "scripts/mnist.lua", "--data", "/nonexistent" }
    assert.equal(1, status)
    assert.matches("^mnist.lua: mnist: neither train%-images%-idx3%-ubyte.gz nor [^\n]+\n$", err)
  end)
end)

describe("training #once", function()
  it("gives bitwise the same parameters with 1 and 2 threads", function()
    local script = [[
      local peri = require "perilune"
      local nn, optim, data = peri.nn, peri.optim, peri.data
      local x, y = data.digits(1000, { seed = 1 })
      peri.manual_seed(5)
      local net = nn.Sequential(nn.Linear(784, 300), nn.Tanh(), nn.Linear(300, 10))
      local ce, opt = nn.CrossEntropyLoss(), optim.Adam(net:parameters(), { lr = 0.001 })
      for bx, by in data.loader({ x, y }, { batch_size = 250, shuffle = true, seed = 2 }) do
        opt:zero_grad() ce(net(bx), by):backward() opt:step()
      end
      for _, p in ipairs(net:parameters()) do
        io.write((p:detach():bytes():gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
      end]]
    local one, err, status = run { "--threads", "1", "-e", script }
    assert.equal(0, status, err)
    assert.is_true(#one > 1000000)
    assert.is_true(one == run { "--threads", "2", "-e", script })
  end)
end)
