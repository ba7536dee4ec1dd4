-- Initial values: peri.nn.init.
local peri = require "perilune"
local message = require("support.fails").message
local nn = peri.nn
local init = nn.init

local function near(expected, got, within, where)
  assert.is_true(math.abs(got - expected) <= within, ("%s: %g, not %g"):format(where, got, expected))
end

local function moments(x) return x:mean():item(), x:std():item() end

describe("nn.init", function()
  before_each(function() peri.manual_seed(3) end)

  it("writes constants into parameters and gives them back", function()
    local layer = nn.Linear(3, 4)
    assert.equal(layer.weight, init.zeros_(layer.weight))
    assert.is_true(layer.weight:eq(0):all())
    assert.is_true(init.ones_(layer.weight):eq(1):all())
    assert.is_true(init.constant_(layer.weight, -2.5):eq(-2.5):all())
    assert.is_true(init.eye_(layer.weight):detach():equal(peri.eye(4, 3)))
    assert.is_true(layer.weight.requires_grad and layer.weight.is_leaf)
  end)

  it("draws uniform and normal numbers", function()
    local x = peri.empty(200, 300, { dtype = "float64" })
    init.uniform_(x, -2, 4)
    assert.is_true(x:ge(-2):all() and x:lt(4):all())
    near(1, (moments(x)), 0.03, "mean")
    init.normal_(x, 3, 2)
    local mean, std = moments(x)
    near(3, mean, 0.03, "mean")
    near(2, std, 0.03, "deviation")
  end)

  it("takes the deviations of Glorot and He from the sizes", function()
    local x = peri.empty(40, 30, 5, 4) -- 600 inputs, 800 outputs
    local _, std = moments(init.xavier_normal_(x, 2))
    near(2 * math.sqrt(2 / 1400), std, 1e-3, "xavier_normal_")
    _, std = moments(init.kaiming_normal_(x))
    near(math.sqrt(2 / 600), std, 1e-3, "kaiming_normal_")
    _, std = moments(init.kaiming_normal_(x, { a = 1, mode = "fan_out" }))
    near(math.sqrt(1 / 800), std, 1e-3, "fan_out")
    local bound = math.sqrt(6 / 1400)
    near(bound, init.xavier_uniform_(x):abs():max():item(), 1e-4, "xavier_uniform_")
    bound = 5 / 3 * math.sqrt(3 / 600)
    near(bound, init.kaiming_uniform_(x, 0, "fan_in", "tanh"):abs():max():item(), 1e-4, "kaiming_uniform_")
  end)

  it("knows the gains", function()
    assert.equal(1, init.calculate_gain "linear")
    assert.equal(5 / 3, init.calculate_gain "tanh")
    assert.equal(math.sqrt(2), init.calculate_gain "relu")
    assert.equal(math.sqrt(2 / 1.04), init.calculate_gain("leaky_relu", 0.2))
    assert.equal(0.75, init.calculate_gain "selu")
  end)

  it("cuts off normal numbers, in the middle and far from it", function()
    local x = peri.empty(100, 200, { dtype = "float64" })
    init.trunc_normal_(x, 0, 1, -1, 1)
    assert.is_true(x:ge(-1):all() and x:le(1):all())
    local _, std = moments(x)
    near(0.5396, std, 0.01, "deviation between -1 and 1") -- sqrt(1 - 2 phi(1) / (2 Phi(1) - 1))
    init.trunc_normal_(x, 0, 1, 3, 5)
    assert.is_true(x:ge(3):all() and x:le(5):all())
    near(3.2831, (moments(x)), 0.01, "mean of the tail") -- (phi(3) - phi(5)) / (Phi(5) - Phi(3))
    assert.is_true(init.trunc_normal_(x, 9, 0):eq(2):all())
  end)

  it("makes orthonormal rows or columns", function()
    for _, shape in ipairs { { 5, 3 }, { 3, 5 }, { 4, 4 }, { 4, 2, 3 }, { 1, 1 } } do
      local x = init.orthogonal_(peri.empty(shape, { dtype = "float64" }), 2)
      local flat = x:reshape(shape[1], -1)
      local rows, columns = flat.shape[1], flat.shape[2]
      local product = rows <= columns and flat:matmul(flat:t()) or flat:t():matmul(flat)
      local n = math.min(rows, columns)
      assert.is_true((product - peri.eye(n, n, { dtype = "float64" }) * 4):abs():max():item() < 1e-12)
    end
  end)

  it("leaves part of each column 0", function()
    local x = init.sparse_(peri.empty(10, 30), 0.25, 2)
    assert.is_true(x:eq(0):sum(1):eq(3):all())
  end)

  it("draws from a generator that is given", function()
    local function draws(f, ...)
      local g = peri.Generator(5)
      local arguments = { ... }
      arguments[#arguments + 1] = { generator = g }
      return f(peri.empty(6, 5), table.unpack(arguments))
    end
    for _, name in ipairs { "uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_",
                            "kaiming_uniform_", "kaiming_normal_" } do
      assert.is_true(draws(init[name]):equal(draws(init[name])), name)
    end
    assert.is_true(draws(init.sparse_, 0.3):equal(draws(init.sparse_, 0.3)))
  end)

  it("refuses what it cannot do, and then changes nothing", function()
    local x = peri.ones(3)
    for name, what in pairs { xavier_uniform_ = "two or more", kaiming_normal_ = "two or more", eye_ = "two dim",
                              orthogonal_ = "two or more", sparse_ = "two dim" } do
      local given = name == "sparse_" and 0.1 or nil
      assert.matches(name .. ": tensor is 3 %(expected " .. what, message(init[name], x, given))
    end
    assert.matches("uniform_: tensor is int64 %(expected float32",
      message(init.uniform_, peri.ones(2, { dtype = "int64" })))
    assert.matches("zeros_: tensor must be a tensor, got 3", message(init.zeros_, 3))
    assert.matches("constant_: val is missing", message(init.constant_, x))
    assert.matches("normal_: std is %-1.* %(expected a number of at least 0%)", message(init.normal_, x, 0, -1))
    assert.matches("kaiming_normal_: mode must be one of", message(init.kaiming_normal_, peri.ones(2, 2), 0, "fan"))
    assert.matches("uniform_: unknown option c", message(init.uniform_, x, { c = 1 }))
    assert.matches("zeros_: too many arguments: 1 was not expected", message(init.zeros_, x, 1))
    assert.matches("trunc_normal_: a is 2 and b is 1", message(init.trunc_normal_, x, 0, 1, 2, 1))
    assert.matches("sparse_: sparsity is 2 %(expected 0 to 1%)", message(init.sparse_, peri.ones(2, 2), 2))
    assert.is_true(x:eq(1):all())
  end)
end)
