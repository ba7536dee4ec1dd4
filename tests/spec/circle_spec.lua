-- The Circle experiment, run as a user runs it; the numbers that it claims.
local run = require "support.program"

local function circle(...)
  local out, err, status = run { "scripts/circle.lua", "--plots", "no", ... }
  assert.equal(0, status, err)
  local rows = {}
  for name, train, test in out:gmatch "\n(%S[^\n]-) +([%d.]+) +([%d.]+) +[%d.]+" do
    rows[name] = { train = tonumber(train), test = tonumber(test) }
  end
  return rows, tonumber(out:match "differ by at most ([%d.e+-]+)"), out
end

describe("circle.lua", function()
  it("separates 10,000 fresh points, on average over five seeds", function()
    local mean, n = {}, 0
    for seed = 1, 5 do
      for name, row in pairs((circle("--seed", seed, "--test", 10000))) do
        mean[name] = (mean[name] or 0) + row.test / 5
        n = n + 1
      end
    end
    assert.equal(5 * 8, n)
    for name, accuracy in pairs(mean) do
      if name:find "network" or name == "SVC rbf" or name == "SVC poly" then
        assert.is_true(accuracy >= 0.93, ("%s: %.4f"):format(name, accuracy))
      elseif name == "SVC linear" then
        assert.is_true(accuracy <= 0.65, ("%s: %.4f"):format(name, accuracy))
      end
    end
  end)

  it("gives the same parameters by hand and by autograd", function()
    local _, single = circle()
    assert.is_true(single <= 1e-4, single)
    local _, double = circle("--dtype", "float64")
    assert.is_true(double <= 1e-9, double)
  end)

  it("draws its pictures", function()
    local folder = os.tmpname()
    os.remove(folder)
    local out, err, status = run { "scripts/circle.lua", "--epochs", "5", "--out", folder }
    assert.equal(0, status, err)
    assert.matches("pictures: ", out)
    for _, name in ipairs { "loss", "accuracy", "network", "svm_linear", "svm_rbf", "svm_poly", "svm_sigmoid" } do
      for ending, magic in pairs { svg = "^<%?xml", png = "^\137PNG" } do
        local path = ("%s/%s.%s"):format(folder, name, ending)
        local file <close> = assert(io.open(path, "rb"))
        local text = file:read "a"
        assert.matches(magic, text)
        assert.is_true(#text > 2000, path)
        os.remove(path)
      end
    end
    os.remove(folder)
  end)

  it("refuses options that it does not know", function()
    for _, words in ipairs { { "--epoch", "3" }, { "--epochs" }, { "--epochs", "0" }, { "--dtype", "int64" } } do
      local _, err, status = run { "scripts/circle.lua", table.unpack(words) }
      assert.equal(1, status)
      assert.matches("^circle.lua: .*\nusage: circle.lua", err)
    end
  end)
end)

describe("mnist.lua", function()
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

describe("training", function()
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
