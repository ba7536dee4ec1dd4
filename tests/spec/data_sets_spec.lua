-- What peri.data makes and transforms: generated sets, scalers, principal components.
local peri = require "perilune"
local golden = require "golden.data_sets"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local inject = require("support.failing").inject
local data = peri.data

local function float64(list) return peri.tensor(list, { dtype = "float64" }) end

local function near(expected, got, rtol)
  if not peri.is_tensor(expected) then expected = float64(expected) end
  assert.same(expected.shape, got.shape)
  assert.is_true(got:to("float64"):allclose(expected, { rtol = rtol or 1e-12, atol = rtol or 1e-12 }),
    tostring(got) .. "\nexpected\n" .. tostring(expected))
end

-- name: columns of X, and whether y holds numbers.
local SETS = {
  circles = { 2 }, moons = { 2 }, blobs = { 2 }, spirals = { 2 }, xor = { 2 }, checkerboard = { 2 },
  regression = { 10, true }, sinc = { 1, true }, friedman1 = { 10, true },
}

local function each_set(visit)
  local names = {}
  for name in pairs(SETS) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do visit(name, data[name], SETS[name][1], SETS[name][2]) end
end

describe("a loader", function()
  it("says what it holds when it is printed", function()
    local x = peri.zeros(10, 2)
    assert.equal("loader(10 rows, {batch_size = 1})", tostring(peri.data.loader({ x }, {})))
    assert.equal("loader(10 rows, {batch_size = 4, shuffle = true, drop_last = true})",
      tostring(peri.data.loader({ x, x }, { batch_size = 4, shuffle = true, drop_last = true, seed = 1 })))
  end)
end)

describe("the generated set", function()
  each_set(function(name, make, width, numbers)
    it(name .. " has its shapes and dtypes", function()
      for _, dtype in ipairs { "float32", "float64" } do
        for _, n in ipairs { 1, 2, 37 } do
          local X, y, more = make(n, { dtype = dtype })
          assert.same({ n, width }, X.shape)
          assert.same({ n }, y.shape)
          assert.equal(dtype, X.dtype)
          assert.equal(numbers and dtype or "int64", y.dtype)
          assert.equal(name == "blobs" or name == "regression", more ~= nil)
          if more then assert.equal(dtype, more.dtype) end
        end
      end
      assert.equal("float32", (make(3)).dtype)
      local X, y = make(50, { noise = 0, dtype = "float64" })
      near(X:to "float32", make(50, { noise = 0 }), 1e-7)
      if not numbers then assert.is_true(y:equal(select(2, make(50, { noise = 0 })))) end
    end)

    it(name .. " follows from the seed alone", function()
      local function picture(...) return samples.all_bits(table.pack(make(...))) end
      local options, seen = { seed = 3, noise = 0.1 }, nil
      local threads = peri.get_num_threads()
      for n = 1, 3 do
        peri.set_num_threads(n)
        peri.manual_seed(n)
        seen = seen or picture(1000, options)
        assert.equal(seen, picture(1000, options))
      end
      peri.set_num_threads(threads)
      assert.not_equal(seen, picture(1000, { seed = 4, noise = 0.1 }))
      assert.equal(picture(9), picture(9, { seed = 0 }))
    end)

    it(name .. " has noise of the deviation that was asked for", function()
      local function deviation(noise)
        local X, y, centres = make(20000, { noise = noise, dtype = "float64", seed = 2 })
        local X0, y0 = make(20000, { noise = 0, dtype = "float64", seed = 2 })
        if numbers and name == "sinc" then
          return (y - X:select(2, 1):sin() / X:select(2, 1)):std():item()
        elseif name == "regression" then
          return (y - X:matmul(centres)):std():item()
        elseif name == "friedman1" then
          local c = function(i) return X:select(2, i) end
          return (y - (10 * (c(1) * c(2) * math.pi):sin() + 20 * (c(3) - 0.5) ^ 2 + 10 * c(4) + 5 * c(5))):std():item()
        elseif name == "blobs" then
          return (X - centres[y]):std():item()
        end
        -- the same places, in the same order, where nothing but the noise is drawn after the permutation
        if name == "circles" or name == "moons" or name == "spirals" then
          assert.is_true(y:equal(y0))
          return (X - X0):std():item()
        end
        return (X:var():item() - 1 / 3) ^ 0.5 -- xor, checkerboard: beside the variance of uniform places
      end
      assert.near(0.5, deviation(0.5), 0.01)
    end)

    it(name .. " refuses wrong arguments", function()
      for _, wrong in ipairs { 0, -1 } do
        fails(("%s: n is %d (expected at least 1)"):format(name, wrong), make, wrong)
      end
      for _, wrong in ipairs { 1.5, "x", {} } do fails(name .. ": n must be a whole number, got ", make, wrong) end
      fails(name .. ": n must be a whole number, got n", make)
      fails(name .. ": unknown option sed", make, 3, { sed = 1 })
      fails(name .. ": noise is -1 (expected 0 to 1000000)", make, 3, { noise = -1 })
      fails(name .. ": noise must be a", make, 3, { noise = "x" })
      fails(name .. ": seed", make, 3, { seed = -1 })
      fails(name .. ": dtype is int64 (expected float32 or float64)", make, 3, { dtype = "int64" })
      fails(name .. ": options must be a table, got 3", make, 3, 3)
    end)

    it(name .. " fails cleanly when memory ends", function() inject(name, nil, function() make(10) end) end)

    it(name .. " is documented, with its errors", function()
      local text = peri.documentation(make)
      assert.equal("data." .. name .. "(n, {", text:sub(1, #name + 10))
      assert.matches("\nErrors: ", text)
    end)
  end)

  it("moons is scikit-learn's", function()
    local X, y = data.moons(9, { dtype = "float64", seed = 1 })
    local rows, expected = {}, {}
    for i = 1, 9 do
      rows[i] = ("%d %.12f %.12f"):format(y[i], X[i][1] + 0.0, X[i][2] + 0.0):gsub("%-0%.0+%f[^0]", "0.000000000000")
      expected[i] = ("%d %.12f %.12f"):format(golden.moons_y[i], golden.moons[i][1], golden.moons[i][2])
        :gsub("%-0%.0+%f[^0]", "0.000000000000")
    end
    assert.not_same(expected, rows) -- shuffled
    table.sort(rows)
    table.sort(expected)
    assert.same(expected, rows)
  end)

  it("blobs has centres in a box, and as many rows for each", function()
    local X, y, centres = data.blobs(1000, { centers = 3, features = 4, noise = 0.1, box = 2, seed = 7 })
    assert.same({ 3, 4 }, centres.shape)
    assert.is_true(centres:abs():max():item() <= 2)
    assert.is_true((X - centres[y]):abs():max():item() < 0.6)
    local counts = {}
    for class = 1, 3 do counts[class] = y:eq(class):sum():item() end
    assert.same({ 334, 333, 333 }, counts)
    fails("blobs: centers is 0 (expected 1 to 1000000)", data.blobs, 3, { centers = 0 })
    fails("blobs: features must be a whole number", data.blobs, 3, { features = 1.5 })
  end)

  it("spirals winds its arms", function()
    local X, y = data.spirals(300, { classes = 3, turns = 2, dtype = "float64" })
    local radius = X:square():sum(2):sqrt()
    assert.near(1, radius:max():item(), 1e-12)
    for i = 1, 300 do
      local angle = 2 * math.pi * (2 * radius[i] + (y[i] - 1) / 3)
      assert.near(radius[i] * math.cos(angle), X[i][1], 1e-9)
      assert.near(radius[i] * math.sin(angle), X[i][2], 1e-9)
    end
    assert.equal(100, y:eq(2):sum():item())
  end)

  it("xor and checkerboard have colours by place", function()
    local X, y = data.xor(500, { dtype = "float64" })
    assert.is_true(X:abs():max():item() <= 1)
    assert.is_true((X:select(2, 1) * X:select(2, 2)):gt(0):equal(y:eq(1)))
    X, y = data.checkerboard(500, { cells = 5, dtype = "float64" })
    local cell = ((X + 1) * 2.5):floor():sum(2):to "int64"
    assert.is_true((cell % 2):eq(0):equal(y:eq(1)))
    assert.is_true(y:eq(1):sum():item() > 200 and y:eq(1):sum():item() < 320)
  end)

  it("regression is linear in its informative columns", function()
    local X, y, coef = data.regression(200, { features = 6, informative = 2, bias = 5, dtype = "float64", seed = 3 })
    near(X:matmul(coef) + 5, y, 1e-10)
    assert.equal(2, coef:ne(0):sum():item())
    assert.is_true(coef:min():item() >= 0 and coef:max():item() < 100)
    assert.equal(6, (select(3, data.regression(2, { features = 6 }))):ne(0):sum():item())
    fails("regression: informative is larger than features", data.regression, 3, { features = 2, informative = 3 })
  end)

  it("sinc and friedman1 are their formulas", function()
    local X, y = data.sinc(100, { range = 3, dtype = "float64" })
    near(X:select(2, 1):sin() / X:select(2, 1), y, 1e-14)
    assert.is_true(X:abs():max():item() <= 3)
    local _, flat = data.sinc(1, { range = 0 })
    assert.equal(1, flat[1])
    X, y = data.friedman1(100, { features = 7, dtype = "float64" })
    assert.same({ 100, 7 }, X.shape)
    assert.is_true(X:min():item() >= 0 and X:max():item() < 1)
    near(10 * math.sin(math.pi * X[3][1] * X[3][2]) + 20 * (X[3][3] - 0.5) ^ 2 + 10 * X[3][4] + 5 * X[3][5],
      float64(y[3]), 1e-12)
    fails("friedman1: features is 4 (expected 5 to 1000000)", data.friedman1, 3, { features = 4 })
  end)
end)

-- ---- transforms ----

local X, fresh = float64(golden.X), float64(golden.fresh)

local TRANSFORMS = {
  StandardScaler = { {}, { mean = false }, { std = false } },
  MinMaxScaler = { {}, { low = -1, high = 2 } },
  PCA = { {}, { components = 4, whiten = true } },
}

describe("the transform", function()
  for name, list in pairs(TRANSFORMS) do
    it(name .. " is the same in every unit, to the last bit", function()
      for _, options in ipairs(list) do
        local kept = options.mean == false and { 1, 2 } or {} -- the third is constant and stays as it is
        local expected = data[name](options):fit(X):transform(X)[{ {}, kept }]
        for _, power in ipairs { -1000, -600, 600, 1000 } do
          local x = X * 2.0 ^ power
          local m = data[name](options):fit(x)
          local z = m:transform(x)
          if options.std == false or name == "PCA" and not options.whiten then z = z / 2.0 ^ power end
          assert.is_true(expected:equal(z[{ {}, kept }]), name .. " " .. power)
          near(X, m:inverse_transform(m:transform(x)) / 2.0 ^ power)
        end
        local x = peri.randn(20, 3) * 2.0 ^ 100
        local m = data[name](name == "PCA" and { whiten = true } or options):fit(x)
        near(x:to "float64" / 2.0 ^ 100, m:inverse_transform(m:transform(x)):to "float64" / 2.0 ^ 100, 1e-4)
      end
    end)
  end

  it("of a column whose deviation has no number leaves it whole, or says so", function()
    local smallest, spread = float64 { { 0 }, { 0 }, { 5e-324 } }, float64 { { -1.79e308 }, { 1.79e308 } }
    for _, name in ipairs { "StandardScaler", "PCA" } do
      local m = data[name](name == "PCA" and { whiten = true } or {})
      near(smallest, m:inverse_transform(m:fit_transform(smallest)), 0)
    end
    local m = data.PCA()
    fails("PCA.fit: a deviation is beyond the largest float64 (scale the columns)", m.fit, m, spread)
    near(float64 { { -1 }, { 1 } }, data.StandardScaler():fit_transform(spread))
  end)

  it("of columns at both ends of the range leaves neither out", function()
    local x = float64 { { 1e300, 1e-300, -1.5e308 }, { 3e300, 2e-300, 1.5e308 }, { 2e300, 3e-300, 1.5e308 } }
    local unit = float64 { { 1, 1, -1.5 }, { 3, 2, 1.5 }, { 2, 3, 1.5 } }
    near(data.StandardScaler():fit_transform(unit), data.StandardScaler():fit_transform(x))
    local scaler = data.StandardScaler():fit(x)
    near(unit, scaler:inverse_transform(scaler:transform(x)) / float64 { 1e300, 1e-300, 1e308 })
    local two = { {}, { 1, 2 } }
    near(data.MinMaxScaler():fit_transform(unit[two]), data.MinMaxScaler():fit_transform(x[two]))
    local white, largest = data.PCA({ components = 1, whiten = true }), x:select(2, 3):unsqueeze(2)
    near(white:fit_transform(unit:select(2, 3):unsqueeze(2)), white:fit_transform(largest))
    near(float64 { 0, 1, 1e9 }:unsqueeze(2), data.MinMaxScaler():fit(float64 { { 0 }, { 1e-310 } }):transform(float64 {
      { 0 }, { 1e-310 }, { 1e-301 } }), 1e-9)
  end)

  it("PCA does not blow up components without variance", function()
    local two = peri.randn(30, 2, { dtype = "float64" })
    for _, size in ipairs { 1e-290, 1, 1e3, 1e290 } do
      local x = peri.cat({ two, two:sum(2, true) }, 2) * size
      local m = data.PCA({ whiten = true }):fit(x)
      local z = m:transform(x)
      near(float64 { 1, 1 }, z:std(1)[{ { 1, 2 } }])
      assert.equal(1, m.deviation[3])
      assert.is_true(z:select(2, 3):abs():max():item() < 1e-12 * math.max(size, 1))
      near(x / size, m:inverse_transform(z) / size)
    end
  end)

  it("takes one row, but for PCA", function()
    local one = float64 { { 3, -1 } }
    for name, value in pairs { StandardScaler = 0, MinMaxScaler = 0 } do
      local m = data[name]():fit(one)
      near(one * value, m:transform(one))
      near(one, m:inverse_transform(m:transform(one)))
    end
  end)

  it("MinMaxScaler meets low and high exactly", function()
    for _, range in ipairs { { 0.1, 0.7 }, { -1, 0.3 }, { 0, 0.1 }, { 1e-3, 7 } } do
      local z = data.MinMaxScaler({ low = range[1], high = range[2] }):fit_transform(X)
      for _, j in ipairs { 1, 2, 4 } do
        assert.equal(range[1], z:select(2, j):min():item())
        assert.equal(range[2], z:select(2, j):max():item())
      end
    end
  end)

  for name, list in pairs(TRANSFORMS) do
    local new = data[name]

    it(name .. " is undone by its inverse, in the dtype of X", function()
      for _, options in ipairs(list) do
        for dtype, tolerance in pairs { float64 = 1e-12, float32 = 1e-4 } do
          local x = X:to(dtype)
          local before, m = samples.bits(x), new(options)
          local z = m:fit_transform(x)
          assert.equal(dtype, z.dtype)
          assert.equal(dtype, m:inverse_transform(z).dtype)
          near(x:to "float64", m:inverse_transform(z), tolerance)
          assert.equal(samples.bits(z), samples.bits(new(options):fit(x):transform(x)))
          assert.equal(before, samples.bits(x))
        end
      end
      near(new():fit_transform(X), new():fit_transform(X:totable()))
    end)

    it(name .. " gives the same bits with any number of threads", function()
      local x, seen = peri.randn(3000, 20), nil
      local threads = peri.get_num_threads()
      for n = 1, 3 do
        peri.set_num_threads(n)
        local bits = samples.bits(new():fit_transform(x))
        seen = seen or bits
        assert.equal(seen, bits)
      end
      peri.set_num_threads(threads)
    end)

    it(name .. " refuses what does not fit, and stays as it was", function()
      local m = new()
      fails(name .. ".transform: it is not fitted", m.transform, m, X)
      fails(name .. ".inverse_transform: it is not fitted", m.inverse_transform, m, X)
      m:fit(X)
      local text, bits = tostring(m), samples.bits(m:transform(X))
      assert.matches("^" .. name .. "{.*} fitted on 4 features$", text)
      fails(name .. ".transform: X has 3 columns (expected 4)", m.transform, m, peri.ones(2, 3))
      fails(name .. ".transform: called with a tensor float64 of 12x4 (expected m:transform(X), m of ", m.transform, X)
      fails(name .. ".fit: X has shape 3 (expected n x d)", m.fit, m, peri.ones(3))
      fails(name .. ".fit: X is int64 (expected float32 or float64)", m.fit, m, X:to "int64")
      fails(name .. ".fit: X must be a tensor or a table of rows, got 'x'", m.fit, m, "x")
      fails(name .. ".fit: X has shape 0x4 (expected 1 or more rows and columns)", m.fit, m, peri.zeros(0, 4))
      for _, odd in ipairs { 0 / 0, 1 / 0 } do
        local x = X:clone()
        x[{ 2, 3 }] = odd
        fails(name .. ".fit: column 3 of X has NaN or infinity", m.fit, m, x)
      end
      assert.equal(text, tostring(m))
      assert.equal(bits, samples.bits(m:transform(X)))
      fails(name .. ": unknown option size", new, { size = 3 })
      assert.matches("^data%." .. name .. "{.*\nErrors: ", peri.documentation(new))
    end)
  end

  it("StandardScaler is scikit-learn's", function()
    local m = data.StandardScaler():fit(X)
    near(golden.standard, m:transform(X))
    near(golden.standard_fresh, m:transform(fresh))
    near(golden.mean, m.mean)
    near(golden.scale, m.scale)
    assert.equal("StandardScaler{mean = true, std = true} fitted on 4 features", tostring(m))
    local constant = m:transform(X):select(2, 3)
    assert.same(peri.zeros(12):totable(), constant:totable()) -- exactly, though 0.1 has no exact mean
    m = data.StandardScaler({ std = false }):fit(X)
    assert.is_nil(m.scale)
    near(X - m.mean, m:transform(X))
    m = data.StandardScaler({ mean = false }):fit(X)
    assert.is_nil(m.mean)
    near(X / m.scale, m:transform(X))
    fails("StandardScaler: mean must be true or false, got 0", data.StandardScaler, { mean = 0 })
  end)

  it("StandardScaler takes a column for constant where its variance is rounding, as scikit-learn does", function()
    local near_X = float64(golden.near)
    local m = data.StandardScaler():fit(near_X)
    near(golden.near_scale, m.scale, 1e-9)
    assert.is_true(m:transform(near_X)[{ {}, { 1, 2 } }]:abs():max():item() < 1e-7)
    for power = -300, 300, 50 do -- whatever the unit
      near(golden.near_scale, data.StandardScaler():fit(near_X * 10.0 ^ power).scale:to "float64" /
        float64 { 1, 1, 10.0 ^ power }, 1e-9)
    end
  end)

  it("MinMaxScaler is scikit-learn's", function()
    local m = data.MinMaxScaler({ low = -1, high = 2 }):fit(X)
    near(golden.minmax, m:transform(X))
    near(golden.minmax_fresh, m:transform(fresh))
    assert.is_true(m:transform(fresh):max():item() > 2)
    local clipped = data.MinMaxScaler({ low = -1, high = 2, clip = true }):fit(X):transform(fresh)
    near(m:transform(fresh):clamp(-1, 2), clipped)
    fails("MinMaxScaler: low is 1 but high is 1 (expected low below high)", data.MinMaxScaler, { low = 1 })
    fails("MinMaxScaler: low is -inf (expected a finite number)", data.MinMaxScaler, { low = -1 / 0 })
    fails("MinMaxScaler.fit: the range of a column is beyond the largest float64", m.fit, m,
      float64 { { -1e308 }, { 1e308 } })
  end)

  it("PCA is scikit-learn's, with the largest entry of each component positive", function()
    local m = data.PCA({ components = 3 }):fit(X)
    near(golden.components, m.components, 1e-11)
    near(golden.variance, m.explained_variance)
    near(golden.ratio, m.explained_variance_ratio)
    near(golden.singular_values, m.singular_values)
    near(golden.scores, m:transform(fresh), 1e-11)
    near(golden.white, data.PCA({ components = 3, whiten = true }):fit(X):transform(fresh), 1e-10)
    assert.equal(3, m.n_components)
    near(peri.eye(3, { dtype = "float64" }), m.components:matmul(m.components:t()))
    assert.equal("PCA{components = 3, whiten = false} fitted on 4 features", tostring(m))
  end)

  it("PCA takes a share of the variance, few rows, and no variance", function()
    local ratio = golden.ratio
    assert.equal(1, data.PCA({ components = ratio[1] - 1e-6 }):fit(X).n_components)
    assert.equal(2, data.PCA({ components = ratio[1] + 1e-6 }):fit(X).n_components)
    local few = data.PCA():fit(X[{ { 1, 3 } }])
    assert.same({ 3, 4 }, few.components.shape)
    near(X[{ { 1, 3 } }], few:inverse_transform(few:transform(X[{ { 1, 3 } }])))
    local none = data.PCA({ whiten = true }):fit(peri.full({ 5, 2 }, 0.1))
    assert.same({ 0, 0 }, none.explained_variance_ratio:totable())
    assert.same({ { 0, 0 } }, none:transform(peri.full({ 1, 2 }, 0.1)):totable())
    assert.equal(2, data.PCA({ components = 0.5 }):fit(peri.full({ 5, 2 }, 0.1)).n_components)
    local m = data.PCA({ components = 5 })
    fails("PCA.fit: components is 5 but there are 4", m.fit, m, X)
    m = data.PCA()
    fails("PCA.fit: X has 1 row (expected 2 or more)", m.fit, m, X[{ { 1, 1 } }])
    m = data.PCA({ components = 2 }):fit(X)
    fails("PCA.inverse_transform: Z has 4 columns (expected 2)", m.inverse_transform, m, X)
    for text, wrong in pairs { ["0"] = 0, ["-1"] = -1, ["1.5"] = 1.5, nan = 0 / 0 } do
      fails(("PCA: components is %s (expected a whole number from 1 or a share below 1)"):format(text), data.PCA,
        { components = wrong })
    end
    fails("PCA: components must be a number, got 'mle'", data.PCA, { components = "mle" })
  end)
end)

describe("mnist", function()
  local folder = os.tmpname()
  os.remove(folder)
  setup(function() assert(os.execute("mkdir " .. folder)) end)
  teardown(function() os.execute("rm -r " .. folder) end)

  local function put(name, bytes)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(bytes)
  end

  local function write(prefix, n, size, labels)
    put(prefix .. "-images-idx3-ubyte", (">I4I4I4I4"):pack(0x803, n, size, size) .. ("\255"):rep(n * size * size))
    put(prefix .. "-labels-idx1-ubyte", (">I4I4"):pack(0x801, #labels) .. string.char(table.unpack(labels)))
  end

  local function refused(what)
    local ok, message = pcall(data.mnist, folder)
    assert.is_false(ok)
    assert.truthy(message:find(what, 1, true), message)
    assert.matches("^tests/spec/data_sets_spec.lua:%d+: mnist: ", message)
  end

  it("is read from its four files, which must be what they say", function()
    write("train", 2, 28, { 0, 9 })
    write("t10k", 1, 28, { 3 })
    local sets = data.mnist(folder)
    assert.same({ { 2, 784 }, { 1, 10 }, { 4 }, 10 },
      { sets.train.x.shape, sets.train.y:totable(), sets.test.y:totable(), #sets.classes })
    assert.equal(1, sets.test.x:min():item())
    write("train", 2, 28, { 0, 26 })
    refused "label 2 of train is 26 (expected 0 to 9"
    write("train", 2, 8, { 0, 1 })
    refused "the train images are 2x8x8 (expected n x 28 x 28"
    write("train", 2, 28, { 0, 1, 2 })
    refused "the train images are uint8 of 2x28x28 and the labels uint8 of 3"
    write("train", 0, 28, {})
    refused "the train images are 0x28x28 (expected n x 28 x 28, n from 1)"
    put("train-images-idx3-ubyte", (">I4I4I4I4"):pack(0x803, 1 << 31, 28, 28))
    local ok, message = pcall(data.mnist, folder)
    assert.is_false(ok)
    assert.matches("sizes 2147483648x28x28 need %d+ bytes", message)
    assert.is_false((pcall(data.mnist, "a\0b")))
  end)
end)
