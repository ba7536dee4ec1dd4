-- Batch normalisation: what it writes, accuracy, gradients at sizes that are cut, and the layers' buffers.
local peri = require "perilune"
local fails = require "support.fails"
local nn = peri.nn

local function close(a, b, tolerance) assert.is_true(a:allclose(b, { rtol = tolerance, atol = tolerance })) end

-- By other rows, in float64: mean, variance (over the count) and the normalised x, over all dimensions but the second.
local function reference(x, eps)
  local dims = { 1 }
  for d = 3, x:dim() do dims[#dims + 1] = d end
  x = x:to "float64"
  local mean = x:mean(dims, true)
  local variance = x:var(dims, true, { correction = 0 })
  return (x - mean) / (variance + (eps or 1e-5)):sqrt(), mean:reshape(-1), variance:reshape(-1)
end

-- Sizes of each way to cut: columns of many channels, few channels and long n, wide channels, blocks of several.
local SIZES = { { 5, 3 }, { 300, 700 }, { 50000, 3 }, { 70000, 1 }, { 1100, 40 }, { 2, 3, 5000 }, { 1, 2, 300 },
                { 600, 2, 7, 9 }, { 3, 50, 8, 8 }, { 2000, 1, 6, 6 }, { 40, 3, 20, 20 } }

describe("batch_norm", function()
  it("while training writes the running statistics, and nothing else", function()
    local x = peri.tensor { { 1, 10 }, { 2, 20 }, { 6, 30 } }
    local mean, var = peri.zeros(2), peri.ones(2)
    local y = peri.batch_norm(x, mean, var, nil, nil, true, 0.25)
    close(y, (reference(x)):to "float32", 1e-6)
    close(mean, peri.tensor { 0.75, 5 }, 1e-7)
    close(var, peri.tensor { 0.75 + 0.25 * 7, 0.75 + 0.25 * 100 }, 1e-7)
    local saved = { mean:totable(), var:totable() }
    peri.batch_norm(x, mean, var)
    assert.same(saved, { mean:totable(), var:totable() })
    peri.batch_norm(x, nil, nil, { training = true })
    -- every second place of a larger tensor
    local strided = peri.zeros(4):slice(1, 2, 4, 2)
    peri.batch_norm(x, strided, var, { training = true, momentum = 1 })
    assert.same({ 3, 20 }, strided:totable())
  end)

  it("writes them last: a call that fails has changed nothing", function()
    local x = peri.randn({ 6, 3 }, { requires_grad = true })
    local mean, var = peri.zeros(3), peri.ones(3)
    local failures = 0
    for n = 0, 100 do
      peri._fail_after(n)
      local ok, text = pcall(peri.batch_norm, x, mean, var, { training = true })
      peri._fail_after(-1)
      if ok then break end
      failures = failures + 1
      assert.matches("batch_norm: out of memory", text)
      assert.same({ { 0, 0, 0 }, { 1, 1, 1 } }, { mean:totable(), var:totable() })
    end
    assert.is_true(failures > 2)
    assert.is_true(mean:ne(0):all())
  end)

  it("raises the versions of what it writes, and a graph of its own does not need them", function()
    local x = peri.randn({ 6, 3 }, { requires_grad = true })
    local mean, var = peri.zeros(3), peri.ones(3)
    local product = (x:sum() * mean:sum()) + (x * mean):sum()
    local first = peri.batch_norm(x, mean, var, { training = true })
    local eval = peri.batch_norm(x, mean, var)
    peri.batch_norm(x, mean, var, { training = true })
    first:sum():backward()
    eval:sum():backward()
    fails.with("changed in place", product.backward, product)
  end)

  it("is right where the mean is a million deviations", function()
    peri.manual_seed(1)
    for _, sizes in ipairs { { 5000, 3 }, { 8, 4, 20, 20 }, { 4, 2, 6 } } do
      local x = (peri.randn(sizes, { dtype = "float64" }) + 1e6):to "float32"
      local want, mean, variance = reference(x)
      local running, running_var = peri.zeros(sizes[2]), peri.zeros(sizes[2])
      local y = peri.batch_norm(x, running, running_var, { training = true, momentum = 1 })
      close(y, want:to "float32", 2e-6)
      close(running, mean:to "float32", 1e-7)
      local count = x:numel() / sizes[2]
      close(running_var, (variance * (count / (count - 1))):to "float32", 1e-6)
      x = x:to "float64" + 1e9
      close(peri.batch_norm(x, nil, nil, { training = true }), (reference(x)), 1e-6)
    end
  end)

  it("has the same gradient at once as by its formula, and as other rows, however it is cut", function()
    peri.manual_seed(2)
    for _, sizes in ipairs(SIZES) do
      local C = sizes[2]
      local x = (peri.randn(sizes, { dtype = "float64" }) * 2 + 3):requires_grad_()
      local weight = peri.randn({ C }, { dtype = "float64" }):requires_grad_()
      local bias = peri.randn({ C }, { dtype = "float64" }):requires_grad_()
      local g = peri.randn(sizes, { dtype = "float64" })
      local leaves = { x, weight, bias }
      local shape = { 1, C }
      for d = 3, #sizes do shape[d] = 1 end
      local by_rows = (reference(x)) * weight:reshape(shape) + bias:reshape(shape)
      local want = peri.grad(by_rows, leaves, { grad_output = g })
      local y = peri.batch_norm(x, nil, nil, weight, bias, { training = true })
      close(y:detach(), by_rows:detach(), 1e-12)
      local formula = peri.grad(y, leaves, { grad_output = g, create_graph = true })
      local fused = peri.grad(y, leaves, { grad_output = g })
      -- a float32 batch has float64's statistics
      local single = peri.batch_norm(x:detach():to "float32", nil, nil, { training = true })
      close(single, (reference(x:detach():to "float32")):to "float32", 2e-6)
      for k = 1, 3 do
        local size = want[k]:abs():max():item()
        close(formula[k]:detach(), want[k], 1e-11 * math.max(1, size))
        close(fused[k], want[k], 1e-11 * math.max(1, size))
      end
    end
  end)

  it("by running statistics has their gradient, where they require it", function()
    peri.manual_seed(3)
    local x = peri.randn({ 4, 3, 5 }, { dtype = "float64" }):requires_grad_()
    local mean = peri.randn({ 3 }, { dtype = "float64" }):requires_grad_()
    local var = (peri.rand({ 3 }, { dtype = "float64" }) + 0.5):requires_grad_()
    local g = peri.randn({ 4, 3, 5 }, { dtype = "float64" })
    local by_rows = (x - mean:reshape(1, 3, 1)) / (var:reshape(1, 3, 1) + 1e-5):sqrt()
    local want = peri.grad(by_rows, { x, mean, var }, { grad_output = g })
    for _, create_graph in ipairs { false, true } do
      local y = peri.batch_norm(x, mean, var)
      local got = peri.grad(y, { x, mean, var }, { grad_output = g, create_graph = create_graph })
      for k = 1, 3 do close(got[k]:detach(), want[k], 1e-13) end
    end
    local fixed = peri.grad(peri.batch_norm(x, mean:detach(), var:detach()), x, { grad_output = g })
    close(fixed, want[1], 1e-13)
    local weight = peri.randn({ 3 }, { dtype = "float64" }):requires_grad_()
    local y = peri.batch_norm(x, mean:detach(), var:detach(), weight)
    local slope = peri.grad(y, x, { grad_output = g, create_graph = true })
    local second = peri.grad(slope, weight, { grad_output = x:detach() })
    close(second, (want[1] * x:detach()):sum { 1, 3 }, 1e-13)
  end)

  it("gives the same bits for any number of threads", function()
    local before = peri.get_num_threads()
    finally(function() peri.set_num_threads(before) end)
    peri.manual_seed(4)
    for _, sizes in ipairs(SIZES) do
      local x = peri.randn(sizes):requires_grad_()
      local weight = peri.randn(sizes[2]):requires_grad_()
      local g = peri.randn(sizes)
      local first
      for _, threads in ipairs { 1, 2, 5 } do
        peri.set_num_threads(threads)
        local mean, var = peri.zeros(sizes[2]), peri.ones(sizes[2])
        local y = peri.batch_norm(x, mean, var, weight, { training = true })
        local gradients = peri.grad(y, { x, weight }, { grad_output = g })
        local bits = y:bytes() .. mean:bytes() .. var:bytes() .. gradients[1]:bytes() .. gradients[2]:bytes()
        first = first or bits
        assert.is_true(first == bits)
      end
    end
  end)

  it("is refused where it cannot be, by name and value", function()
    local x, c = peri.randn(4, 3), peri.ones(3)
    local function refused(pattern, ...) fails.like(pattern, peri.batch_norm, ...) end
    refused("batch_norm: x is 1x3 %(expected more than 1 value for each channel while training%)",
      peri.ones(1, 3), c, c, { training = true })
    refused("x is 0x3x2 %(expected more than 1", peri.ones(0, 3, 2), nil, nil, { training = true })
    refused("x is 3 %(expected N x C", c, c, c)
    refused("running_mean is missing %(expected both running statistics; with training = true", x)
    refused("running_var is missing %(expected both running statistics, or none", x, c, { training = true })
    refused("weight is 4 but x is 4x3 %(expected 3 values", x, c, c, peri.ones(4))
    refused("x is float32 but bias is float64", x, c, c, c, c:to "float64")
    refused("running_var requires grad, and training writes to it %(use detach%)", x, c, c:clone():requires_grad_(),
      { training = true })
    refused("running_mean is an expanded view", x, peri.ones(1):expand(3), c, { training = true })
    refused("eps is 0 %(expected a positive number%)", x, c, c, { eps = 0 })
    refused("momentum is inf", x, c, c, { momentum = 1 / 0 })
  end)
end)

describe("nn.BatchNorm", function()
  it("counts batches and keeps running statistics while it trains, and uses them after eval()", function()
    peri.manual_seed(5)
    local layer, mean, var = nn.BatchNorm2d(3), peri.zeros(3), peri.ones(3)
    for n = 1, 4 do
      local x = peri.randn(4, 3, 5, 5) * 2 + 1
      close(layer(x):detach(), peri.batch_norm(x, mean, var, { training = true }), 1e-6)
      assert.equal(n, layer.num_batches_tracked:item())
      assert.same(mean:totable(), layer.running_mean:totable())
      assert.same(var:totable(), layer.running_var:totable())
    end
    layer:eval()
    local x = peri.randn(1, 3, 1, 1)
    close(layer(x):detach(), peri.batch_norm(x, mean, var), 1e-6)
    assert.equal(4, layer.num_batches_tracked:item())
    assert.is_false(pcall(layer, peri.randn(4, 2, 5, 5)))
    layer:train()
    fails.with("more than 1 value", layer, x)
    assert.equal(4, layer.num_batches_tracked:item())
  end)

  it("with momentum 'cumulative' has the mean of all batches", function()
    peri.manual_seed(6)
    local layer = nn.BatchNorm1d(2, { momentum = "cumulative" })
    local means, vars = peri.zeros(2), peri.zeros(2)
    for _ = 1, 5 do
      local x = peri.randn(7, 2)
      layer(x)
      means, vars = means + x:mean(1) / 5, vars + x:var(1) / 5
    end
    close(layer.running_mean, means, 1e-6)
    close(layer.running_var, vars, 1e-6)
    assert.equal("cumulative", layer.momentum)
  end)

  it("saves its buffers and loads them, and converts all but the count", function()
    local layer, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    layer(peri.randn(5, 3))
    other:load_state_dict(layer:state_dict())
    local names = {}
    for name, value in pairs(layer:state_dict()) do
      names[#names + 1] = name
      assert.is_true(value:equal(other[name]:detach()), name)
    end
    assert.same({ "weight", "bias", "running_mean", "running_var", "num_batches_tracked" }, names)
    layer:to "float64"
    assert.equal("float64", layer.running_var.dtype)
    assert.equal("int64", layer.num_batches_tracked.dtype)
    layer(peri.randn({ 5, 3 }, { dtype = "float64" }))
    assert.equal(2, layer.num_batches_tracked:item())
    assert.equal(2, #layer:parameters())
  end)

  it("without weights or running statistics has none, and always takes the batch's", function()
    local layer = nn.BatchNorm1d(3, { affine = false, track_running_stats = false })
    assert.equal(0, #layer:parameters())
    assert.is_nil(layer.weight)
    assert.is_nil(layer.running_mean)
    assert.is_nil(layer.num_batches_tracked)
    local x = peri.randn(5, 3)
    local y = layer(x)
    layer:eval()
    assert.is_true(y:equal(layer(x)))
  end)

  it("says which shapes it takes", function()
    fails.with("BatchNorm2d: x is 4x3 (expected N x C x H x W)", nn.BatchNorm2d(3), peri.ones(4, 3))
    fails.with("BatchNorm1d: x is 4x3x2x2 (expected N x C or N x C x L)", nn.BatchNorm1d(3), peri.ones(4, 3, 2, 2))
  end)
end)
