-- peri.data.read_svmlight and write_svmlight as a script meets them; lines and numbers are tested in C.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").with
local data = peri.data

describe("svmlight files", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  local function put(text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
  end

  it("are read", function()
    put "# made by hand\n1 qid:4 1:0.5 3:2\n-1 qid:5 2:1e3\n"
    local X, y, qid = data.read_svmlight(path)
    assert.equal("float32", X.dtype)
    assert.same({ { 0.5, 0, 2 }, { 0, 1000, 0 } }, X:totable())
    assert.equal("int64", y.dtype)
    assert.same({ 1, -1 }, y:totable())
    assert.same({ 4, 5 }, qid:totable())
    put "0.5 0:1\n2"
    X, y, qid = data.read_svmlight(path, { dtype = "float64", features = 2, zero_based = true })
    assert.equal("float64", X.dtype)
    assert.same({ { 1, 0 }, { 0, 0 } }, X:totable())
    assert.equal("float64", y.dtype)
    assert.same({ 0.5, 2 }, y:totable())
    assert.is_nil(qid)
  end)

  it("give back the bits that were written", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local X = peri.randn(50, 20, { dtype = dtype })
      X[X:gt(0.5)] = 0
      X[{ {}, 20 }] = 0
      X[{ 1, { 1, 4 } }] = peri.tensor({ -0.0, 1 / 0, -1 / 0, 0 / 0 }, { dtype = dtype })
      for _, y in ipairs { peri.randn(50, { dtype = "float64" }), peri.arange(-10, 39) } do
        data.write_svmlight(path, X, y, { qid = peri.arange(1, 50) })
        local read_X, read_y, qid = data.read_svmlight(path, { dtype = dtype })
        assert.equal(samples.bits(X), samples.bits(read_X))
        assert.equal(samples.bits(y), samples.bits(read_y))
        assert.same(peri.arange(1, 50):totable(), qid:totable())
        data.write_svmlight(path, X:t(), peri.arange(1, 20), { zero_based = true })
        read_X = data.read_svmlight(path, { dtype = dtype, zero_based = true })
        assert.equal(samples.bits(X:t():contiguous()), samples.bits(read_X))
      end
    end
  end)

  it("are learnt from", function()
    local X, y = data.circles(100, { noise = 0.1, seed = 1 })
    data.write_svmlight(path, X, y)
    local read_X, read_y = data.read_svmlight(path)
    local function bits(a, b) return samples.bits(peri.svm.SVC():fit(a, b):decision_function(X)) end
    assert.equal(bits(X, y), bits(read_X, read_y))
  end)

  it("that are broken are named with their lines", function()
    local before = peri.memory().in_use
    for text, message in pairs {
      ["1 1:1\n1,2 1:1"] = "line 2: '1,2' stands for the label", ["1 1:1\n1 0:1"] = "line 2: index 0",
      ["1 2:1 1:1"] = "line 1: index 1 comes after 2", ["1 1:1 1:1"] = "line 1: index 1 comes after 1",
      ["1 1:x"] = "line 1: the value is 'x' (expected a number)", ["1 1:1e999"] = "line 1: the value 1e999 is beyond",
      ["1 2147483647:1"] = "line 1: ", ["1 9000000000000000000:1"] = "line 1: X would be 1 x 9000000000000000000",
      ["\n\n1 1:1\0"] = "line 3: there is a zero byte", ["{}"] = "line 1: the label is '{}'",
    } do
      put(text)
      fails("read_svmlight: " .. path .. ": " .. message, data.read_svmlight, path)
    end
    fails("/nowhere/there: cannot be opened", data.read_svmlight, "/nowhere/there")
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)

  it("ask for sound arguments", function()
    local X, y = peri.zeros(2, 2), peri.zeros(2)
    fails("read_svmlight: path must be a string, got nil", data.read_svmlight, nil)
    fails("read_svmlight: unknown option feature (known: features, zero_based, dtype)", data.read_svmlight, path,
      { feature = 1 })
    fails("read_svmlight: features is 0", data.read_svmlight, path, { features = 0 })
    fails("read_svmlight: dtype is int64", data.read_svmlight, path, { dtype = "int64" })
    fails("write_svmlight: X must be a tensor, got a table", data.write_svmlight, path, {}, y)
    fails("write_svmlight: y must be a tensor, got nil", data.write_svmlight, path, X)
    fails("write_svmlight: qid must be a tensor, got 3", data.write_svmlight, path, X, y, { qid = 3 })
    fails("write_svmlight: unknown option query (known: zero_based, qid)", data.write_svmlight, path, X, y,
      { query = 3 })
    fails("write_svmlight: X has 2 rows but y has 3 entries", data.write_svmlight, path, X, peri.zeros(3))
    fails("/nowhere/there", data.write_svmlight, "/nowhere/there", X, y)
  end)
end)
