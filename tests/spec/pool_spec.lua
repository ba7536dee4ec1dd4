-- Pooling beyond what the walks over rows ask: places, gradients, large windows, memory, messages.
local peri = require "perilune"
local fails = require "support.fails"

local function plane(rows, options) return peri.tensor({ rows }, options) end

describe("max_pool2d", function()
  it("takes a number or {height, width} for each size, and stride is kernel_size where it is left out", function()
    local x = peri.arange(1, 36):to("float32"):reshape(1, 6, 6)
    assert.same({ { { 15, 17 }, { 27, 29 } } }, peri.max_pool2d(x, 3, 2):totable())
    assert.same({ { { 15, 18 }, { 33, 36 } } }, peri.max_pool2d(x, 3):totable())
    assert.same({ { { 8, 10, 12 }, { 26, 28, 30 } } }, peri.max_pool2d(x, 2, { 3, 2 }):totable())
    assert.same({ { { 12, 18, 24, 30, 36 } } }, peri.max_pool2d(x, { 2, 6 }, 1):transpose(2, 3):totable())
    assert.same({ { { 21, 22, 23, 24 }, { 33, 34, 35, 36 } } },
      peri.max_pool2d(x, { 2, 3 }, { 2, 1 }, 0, { 3, 1 }):totable())
    assert.same(peri.max_pool2d(x, 2):totable(), peri.max_pool2d(x, 2, {}):totable())
  end)

  it("gives the gradient to the first of equal elements, and to the first NaN", function()
    local nan = 0 / 0
    local x = plane { { 1, 1, 2, nan }, { 1, 1, nan, 2 }, { -1 / 0, -1 / 0, 0.0, -0.0 }, { -1 / 0, -1 / 0, -0.0, 0.0 } }
    x:requires_grad_()
    local y = peri.max_pool2d(x, 2)
    y:backward(peri.tensor { { { 1, 2 }, { 3, 4 } } })
    assert.same({ { { 1, 0, 0, 2 }, { 0, 0, 0, 0 }, { 3, 0, 4, 0 }, { 0, 0, 0, 0 } } }, x.grad:totable())
    assert.is_true(y[1][1][2] ~= y[1][1][2])
  end)

  it("says where the largest elements stand, counted from 1 in their plane, whatever the windows are", function()
    peri.manual_seed(3)
    local x = peri.randn(2, 3, 20, 31)
    for _, options in ipairs { { kernel_size = 2 }, { kernel_size = 3, stride = 2, padding = 1 },
                               { kernel_size = { 2, 3 }, stride = 1, padding = 1, dilation = { 3, 2 } },
                               { kernel_size = { 16, 17 }, stride = { 1, 3 }, padding = 8 } } do
      local kernel_size = options.kernel_size
      options.kernel_size = nil
      local values, indices = x:max_pool2d_with_indices(kernel_size, options)
      assert.equal("int64", indices.dtype)
      local flat = x:reshape(2, 3, -1):gather(3, indices:reshape(2, 3, -1))
      assert.is_true(flat:equal(values:reshape(2, 3, -1)))
      assert.is_true(values:equal(peri.max_pool2d(x, kernel_size, options)))
    end
  end)

  it("adds up gradients of windows that overlap, also where a window has more places than a byte counts", function()
    peri.manual_seed(4)
    local x = peri.randn({ 2, 2, 30, 33 }, { dtype = "float64" }):requires_grad_()
    for _, options in ipairs { { 3, 1, 1 }, { { 16, 17 }, { 1, 2 }, 8 }, { 2, 1, 0, { 4, 3 } }, { 3, 2, 1 } } do
      local y, indices = peri.max_pool2d_with_indices(x, table.unpack(options))
      local g = peri.randn(y.shape, { dtype = "float64" })
      local expected, flat = {}, g:reshape(4, -1):totable()
      for p, places in ipairs(indices:reshape(4, -1):totable()) do
        expected[p] = {}
        for k = 1, 30 * 33 do expected[p][k] = 0 end
        for k, at in ipairs(places) do expected[p][at] = expected[p][at] + flat[p][k] end
      end
      x.grad = nil
      y:backward(g)
      assert.same(expected, x.grad:reshape(4, -1):totable())
      -- and the gradient of the gradient picks what stands at the places
      local slope = peri.grad(peri.max_pool2d(x, table.unpack(options)), x,
        { grad_output = g:requires_grad_(), create_graph = true })
      local back = peri.grad(slope, g, { grad_output = x:detach() })
      assert.is_true(back:equal(y:detach()))
    end
  end)

  it("keeps one byte of each window for the gradient, and not x", function()
    local x = peri.zeros(1, 512, 512):requires_grad_()
    collectgarbage()
    collectgarbage()
    local before = peri.memory().in_use
    local y = peri.relu(peri.max_pool2d(x * 1, 2)) -- x * 1 is nobody's any more
    collectgarbage()
    collectgarbage()
    local windows = 256 * 256
    assert.is_true(peri.memory().in_use - before < windows * (2 * 4 + 1) + 20000)
    assert.is_true(y.requires_grad)
  end)

  it("is refused for sizes that are none, by name and value", function()
    local x = peri.zeros(2, 3, 4, 5)
    local refused = fails.like
    refused("max_pool2d: kernel_size is 0 %(expected 1 to 2147483647%)", peri.max_pool2d, x, { 2, 0 })
    refused("max_pool2d: stride is %-1 %(expected 1", peri.max_pool2d, x, 2, -1)
    refused("avg_pool2d: stride is 0 %(expected 1", peri.avg_pool2d, x, 2, { stride = { 1, 0 } })
    refused("padding is 2 %(expected at most half of kernel_size, 3%)", peri.max_pool2d, x, 3, 1, 2)
    refused("x has 4 rows with padding, but a window of kernel_size 5 spans 5", peri.max_pool2d, x, 5)
    refused("x has 7 columns with padding, but a window of kernel_size 3 spans 9", peri.max_pool2d, x, { 1, 3 }, 1,
      { 0, 1 }, 4)
    refused("a window has padding alone: x has 1 rows, kernel_size is 2, padding 1, dilation 2", peri.max_pool2d,
      peri.zeros(1, 1, 5), 2, 1, 1, 2)
    refused("x is 4x5 %(expected N x C x H x W or C x H x W", peri.max_pool2d, peri.zeros(4, 5), 2)
    refused("x is 2x3x0x5 %(expected N x C x H x W or C x H x W, with elements%)", peri.max_pool2d,
      peri.zeros(2, 3, 0, 5), 1)
    refused("max_pool2d: x is int64", peri.max_pool2d, peri.zeros({ 1, 4, 4 }, { dtype = "int64" }), 2)
    refused("kernel_size has 3 numbers %(expected 2%)", peri.max_pool2d, x, { 1, 2, 3 })
    refused("kernel_size must be whole numbers in a table, or one, got 1.5", peri.max_pool2d, x, 1.5)
    refused("adaptive_avg_pool2d: output_size is 0 %(expected 1", peri.adaptive_avg_pool2d, x, { 1, 0 })
    refused("divisor_override is 0", peri.avg_pool2d, x, 2, { divisor_override = 0 })
    refused("adaptive_avg_pool2d: out of memory: shape 2x3x2147483647x2147483647", peri.adaptive_avg_pool2d, x,
      2147483647)
    refused("max_pool1d: x is 2x3x4x5 %(expected N x C x L or C x L", peri.max_pool1d, x, 2)
  end)
end)

describe("avg_pool2d", function()
  local x = plane({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } }, { dtype = "float64" })

  it("divides by what lies in the window, with its padding or without, or by the given number", function()
    assert.same({ { { 12 / 4, 16 / 4 }, { 24 / 4, 28 / 4 } } }, peri.avg_pool2d(x, 2, 1):totable())
    assert.same({ { { 1 / 4, 5 / 4 }, { 11 / 4, 28 / 4 } } }, peri.avg_pool2d(x, 2, 2, 1):totable())
    assert.same({ { { 1, 5 / 2 }, { 11 / 2, 28 / 4 } } }, peri.avg_pool2d(x, 2, 2, 1, false, false):totable())
    assert.same({ { { 12 / 4, 9 / 2 }, { 15 / 2, 9 } } }, peri.avg_pool2d(x, 2, 2, 0, true):totable())
    assert.same({ { { 12 / 3 } } }, peri.avg_pool2d(x, 2, { divisor_override = 3, stride = 2 }):totable())
  end)

  it("spreads its gradient over the elements, and adaptive_avg_pool2d over parts that overlap", function()
    local leaf = x:clone():requires_grad_()
    peri.avg_pool2d(leaf, 2, 1):backward(peri.tensor({ { { 4, 8 }, { 12, 16 } } }, { dtype = "float64" }))
    assert.same({ { { 1, 3, 2 }, { 4, 10, 6 }, { 3, 7, 4 } } }, leaf.grad:totable())
    leaf.grad = nil
    peri.adaptive_avg_pool2d(leaf, 2):backward(peri.tensor({ { { 4, 8 }, { 12, 16 } } }, { dtype = "float64" }))
    assert.same({ { { 1, 3, 2 }, { 4, 10, 6 }, { 3, 7, 4 } } }, leaf.grad:totable())
  end)

  it("of ones is ones, at any size", function()
    for _, sizes in ipairs { { 3, 40, 40 }, { 2, 2, 301, 203 }, { 1, 1, 2000, 37 } } do
      local ones = peri.ones(sizes)
      for _, y in ipairs { peri.avg_pool2d(ones, 2), peri.avg_pool2d(ones, 7, 3, 2, true, false),
                           peri.adaptive_avg_pool2d(ones, { 6, 5 }), peri.adaptive_avg_pool2d(ones, 1) } do
        assert.is_true(y:eq(1):all())
      end
    end
  end)
end)

describe("gradients of pooling", function()
  local before = peri.get_num_threads()
  after_each(function() peri.set_num_threads(before) end)

  it("are the same bits for any number of threads", function()
    peri.manual_seed(5)
    local x = peri.randn(4, 9, 70, 71):requires_grad_()
    for _, pool in ipairs { function() return peri.max_pool2d(x, 3, 2, 1) end,
                            function() return peri.max_pool2d(x, 2) end,
                            function() return peri.avg_pool2d(x, 3, 1, 1) end,
                            function() return peri.adaptive_avg_pool2d(x, 9) end } do
      local reference
      for _, threads in ipairs { 1, 2, 5 } do
        peri.set_num_threads(threads)
        x.grad = nil
        local y = pool()
        y:backward(peri.arange(1, y:numel()):to("float32"):sin():reshape(y.shape))
        reference = reference or x.grad:bytes()
        assert.is_true(reference == x.grad:bytes())
      end
    end
  end)
end)
