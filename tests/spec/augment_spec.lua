-- Random changes of images: what the twins do not say, and mini-batches that a loader changes.
local peri = require "perilune"
local fails = require "support.fails"
local data = peri.data

-- Images that say where each pixel is: 100 row + column.
local function images(n, rows, columns)
  local one = peri.arange(1, rows):view(rows, 1) * 100 + peri.arange(1, columns):view(1, columns)
  return one:to("float32"):expand(n, 1, rows, columns)
end

local function g(seed) return { generator = peri.Generator(seed) } end

describe("random changes of images", function()
  it("reach all places with equal chance, each image by itself and its planes together", function()
    local x = images(9000, 5, 5)
    local y = peri.random_shift(x, 1, g(1))
    local seen = {}
    for _, middle in ipairs(y[{ {}, 1, 3, 3 }]:totable()) do seen[middle] = (seen[middle] or 0) + 1 end
    local places = 0
    for place, count in pairs(seen) do
      places = places + 1
      assert.is_true(place >= 202 and place <= 404 and math.abs(count - 1000) < 150, count)
    end
    assert.equal(9, places)
    local planes = peri.cat({ x, x + 1000 }, 2)
    for _, f in ipairs {
      function(z) return peri.random_shift(z, 2, g(2)) end, function(z) return peri.random_crop(z, 3, g(3)) end,
      function(z) return peri.random_flip(z, g(4)) end,
    } do
      local z = f(planes)
      local inside = z[{ {}, 1 }]:gt(0) -- pixels that came from outside are 0 in both
      assert.is_true((z[{ {}, 2 }] - z[{ {}, 1 }])[inside]:eq(1000):all())
      assert.is_true((z[{ {}, 2 }]):gt(0):equal(inside))
    end
    local flipped = peri.random_flip(x, { p = 0.25, generator = peri.Generator(5) })
    local share = flipped[{ {}, 1, 1, 1 }]:eq(105):to("float32"):mean():item()
    assert.is_true(math.abs(share - 0.25) < 0.02, share)
  end)

  it("turn counter-clockwise, and whole turns are what they are", function()
    local bar = peri.zeros(1, 5, 5)
    bar[{ 1, 3, { 3, 5 } }] = 1 -- from the middle to the right
    local up = peri.zeros(1, 5, 5)
    up[{ 1, { 1, 3 }, 3 }] = 1
    local closest = math.huge
    for seed = 1, 400 do -- angles up to 180: some are about 90
      local turned = peri.random_rotate(bar, 180, g(seed))
      closest = math.min(closest, (turned - up):abs():sum():item())
    end
    assert.is_true(closest < 0.2, closest)
    assert.is_true(peri.random_rotate(bar, 0):equal(bar))
    assert.is_true(peri.random_rotate(bar, 0, { mode = "nearest" }):equal(bar))
    local flat = peri.random_rotate(peri.ones(40, 9, 9), 45, g(1))
    assert.is_true((flat[{ {}, { 3, 7 }, { 3, 7 } }] - 1):abs():max():item() < 1e-6)
    assert.is_true(flat:max():item() <= 1 + 1e-6 and flat:min():item() >= 0)
  end)

  it("follow the stream alone, whatever the threads", function()
    local x = peri.randn({ 64, 3, 40, 40 }, { dtype = "float64" })
    local threads = peri.get_num_threads()
    local function all()
      local parts = {}
      for i, f in ipairs { peri.random_shift, peri.random_rotate, peri.random_crop } do
        parts[i] = f(x, i == 2 and 33 or i == 1 and 7 or 30, g(9)):bytes()
      end
      return table.concat(parts)
    end
    local one
    for n = 1, 4 do
      peri.set_num_threads(n)
      one = one or all()
      assert.is_true(one == all())
    end
    peri.set_num_threads(threads)
  end)
end)

describe("augment of data.loader", function()
  local X, y = peri.randn(50, 1, 8, 8), peri.arange(1, 50)

  local function batches(loader, epochs)
    local list = {}
    for _ = 1, epochs do
      for bx, by in loader do list[#list + 1] = bx:bytes() .. by:bytes() end
    end
    return list
  end
  local every = { crop = { size = 8, padding = 1 }, flip = true, rotate = 10, shift = { 1, 0 }, noise = 0.1,
    value = 0.5 }
  local function loader(augment, seed)
    return data.loader({ X, y }, { batch_size = 8, shuffle = true, seed = seed or 3, augment = augment })
  end

  it("changes each mini-batch of each epoch otherwise, by the seed alone", function()
    local first = batches(loader(every), 3)
    peri.manual_seed(99)
    assert.same(first, batches(loader(every), 3))
    assert.are_not.same(first, batches(loader(every, 4), 3))
    local seen = {}
    for _, batch in ipairs(first) do
      assert.is_nil(seen[batch])
      seen[batch] = true
    end
    local stream = peri.get_rng_state():totable()
    batches(loader(every), 1)
    assert.same(stream, peri.get_rng_state():totable())
    local fixed = data.loader({ X }, { batch_size = 50, seed = 1, augment = { noise = 1 } }) -- in order, and yet
    local a, b = batches(data.loader({ X, y }, { batch_size = 50, seed = 1, augment = { noise = 1 } }), 2), nil
    for x in fixed do b = x end
    assert.are_not.equal(a[1], a[2])
    assert.equal(a[1], b:bytes() .. y:bytes())
  end)

  it("does what the rows do, one after the other", function()
    local plain, changed = loader(), loader(function(x, generator)
      assert.equal("generator", peri.type(generator))
      x = peri.random_crop(x, 8, { padding = 1, value = 0.5, generator = generator })
      x = peri.random_flip(x, { generator = generator })
      x = peri.random_rotate(x, 10, { value = 0.5, generator = generator })
      x = peri.random_shift(x, { 1, 0 }, { value = 0.5, generator = generator })
      return x + peri.randn_like(x, { generator = generator }) * 0.1
    end)
    local wanted = batches(changed, 2)
    assert.same(wanted, batches(loader(every), 2))
    assert.are_not.same(wanted, batches(plain, 2))
    for _, none in ipairs { {}, { flip = false }, { shift = 0, rotate = 0 } } do
      assert.same(batches(loader(), 1), batches(loader(none), 1))
    end
    for x in loader { crop = { size = { 4, 6 } } } do assert.same({ 1, 4, 6 }, { table.unpack(x.shape, 2) }) end
  end)

  it("goes on as it would have, also in a training", function()
    local whole, other = batches(loader(every), 2), loader(every, 77)
    local list, one = {}, loader(every)
    for bx, by in one do
      list[#list + 1] = bx:bytes() .. by:bytes()
      if #list == 3 then break end
    end
    other:load_state_dict(one:state_dict())
    for _, batch in ipairs(batches(other, 2)) do list[#list + 1] = batch end
    assert.same(whole, table.move(list, 1, #whole, 1, {}))
    peri.manual_seed(1)
    local net = peri.nn.Sequential(peri.nn.Conv2d(1, 2, 3), peri.nn.Flatten(), peri.nn.Linear(72, 2))
    local h = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters()), epochs = 2, progress = false,
      train = data.loader({ X, y % 2 + 1 }, { batch_size = 10, shuffle = true, seed = 1, augment = every }) }
    assert.equal(2, h.epochs)
  end)

  it("names what cannot be", function()
    for _, case in ipairs {
      { 3, "loader: augment must be a function or a table of options, got 3" },
      { { turn = 3 }, "loader: augment: unknown option turn (known: crop, flip, noise, rotate, shift, value)" },
      { { flip = 2 }, "loader: augment: flip must be true or a chance from 0 to 1, got 2" },
      { { rotate = -1 }, "loader: augment: rotate must be degrees from 0 to 360, got -1" },
      { { crop = 3 }, "loader: augment: crop must be a table {size =, padding = 0}, got 3" },
      { { crop = { size = 3, pad = 1 } }, "loader: augment.crop: unknown option pad" },
      { { noise = -1 }, "loader: augment: noise is -1 (expected a number from 0)" },
    } do
      fails.at_script(case[2], function() loader(case[1]) end)
    end
    fails.with("loader: augment gives 3 (expected a tensor with the 8 rows of the mini-batch)", function()
      for _ in loader(function() return 3 end) do error "never" end
    end)
    fails.with("augment gives a tensor float32 of 2x2 (expected a tensor with the 8 rows", function()
      for _ in loader(function() return peri.ones(2, 2) end) do error "never" end
    end)
    fails.with("enough", function()
      for _ in loader(function() error "enough" end) do error "never" end
    end)
  end)
end)
