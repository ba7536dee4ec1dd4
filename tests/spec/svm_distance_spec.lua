-- Kernels of distances where rows lie far from their centre compared with their distances: |u|^2 + |v|^2 - 2 u.v has
-- no digits of them left, whatever the features are centred on.
local peri = require "perilune"
local samples = require "support.samples"
local svm = peri.svm

-- exp(-gamma |u - v|^2) from differences, in float64.
local function rbf(X, gamma)
  local x, out = X:to("float64"):totable(), {}
  for i, u in ipairs(x) do
    out[i] = {}
    for k, v in ipairs(x) do
      local sum = 0
      for j = 1, #u do sum = sum + (u[j] - v[j]) ^ 2 end
      out[i][k] = math.exp(-gamma * sum)
    end
  end
  return peri.tensor(out, { dtype = "float64" })
end

-- n rows of d features, half of them 2 * far away from the others in the first, two classes apart in the last.
local function clusters(n, d, far, dtype)
  local x = peri.zeros(n, d, { dtype = "float64" })
  local y = {}
  for i = 1, n do
    local up = (i // 2) % 2
    for j = 1, d - 1 do x[{ i, j }] = 0.01 * ((i * j) % 7) end
    x[{ i, 1 }] = i % 2 == 0 and far or -far
    x[{ i, d }] = up * 2 + 0.1 * (i % 5)
    y[i] = up + 1
  end
  return x:to(dtype), peri.tensor(y, { dtype = "int64" })
end

describe("a kernel of distances #once", function()
  -- what rounding leaves of products of up to 40 features that are summed in float32
  local allowed = { float32 = 4e-6, float64 = 1e-13 }

  it("is right for clusters far apart, with few features and many", function()
    for dtype, error in pairs(allowed) do
      for _, d in ipairs { 2, 8, 9, 16, 40 } do
        for _, far in ipairs { 0, 1, 30, 3e4, 1.7e9 } do
          local X = clusters(60, d, far, dtype)
          local exact = rbf(X, 1)
          local off = (svm.kernel_matrix(X, nil, { gamma = 1 }):to "float64" - exact):abs():max():item()
          assert(off < error, ("%s, %d features, %g apart: off by %g"):format(dtype, d, far, off))
          off = (svm.kernel_matrix(X, X:clone(), { gamma = 1 }):to "float64" - exact):abs():max():item()
          assert(off < error, ("%s, %d features, %g apart, two sets: off by %g"):format(dtype, d, far, off))
        end
      end
    end
  end)

  it("is right for rows whose squares overflow", function()
    for _, d in ipairs { 2, 12 } do
      local X = peri.zeros(3, d)
      X[1], X[2], X[3] = 1e20, 1e20, 1.5e20
      local gamma = 1e-40
      local off = (svm.kernel_matrix(X, nil, { gamma = gamma }):to "float64" - rbf(X, gamma)):abs():max():item()
      assert(off < 1e-3, "off by " .. off)
    end
  end)

  it("has no noise in the sizes of features that scripts use", function()
    peri.manual_seed(3)
    for _, d in ipairs { 9, 100, 784 } do
      for _, gamma in ipairs { 0.1, 1, 10 } do
        local X = peri.randn(50, d) + 5
        local K = svm.kernel_matrix(X, nil, { gamma = gamma / d }):to "float64"
        local off = (K - rbf(X, gamma / d)):abs():max():item()
        assert(off < 1e-6, ("%d features: off by %g"):format(d, off))
      end
    end
  end)

  it("is 1 for rows that are equal, and one number for a pair both ways", function()
    for _, dtype in ipairs { "float32", "float64" } do
      for _, d in ipairs { 3, 30 } do
        peri.manual_seed(d)
        local X = peri.randn(300, d, { dtype = dtype }) * 100 + 1000
        X[300] = X[1]
        local K = svm.kernel_matrix(X, nil, { gamma = 1e-3 })
        local two = svm.kernel_matrix(X, X:clone(), { gamma = 1e-3 })
        assert.equal(1, K[{ 1, 300 }])
        assert.equal(1, two[{ 1, 300 }])
        for i = 1, 300 do
          assert.equal(1, K[{ i, i }])
          assert.equal(1, two[{ i, i }])
        end
        assert.equal(0, (K - K:t()):abs():max():item())
      end
    end
  end)

  it("has the same bits for a pair alone, in a batch, and with any number of threads", function()
    local threads = peri.get_num_threads()
    local X = clusters(600, 20, 3e4, "float32")
    local all = svm.kernel_matrix(X, nil, { gamma = 1 })
    for count = 1, 3 do
      peri.set_num_threads(count)
      assert.equal(samples.bits(all), samples.bits(svm.kernel_matrix(X, nil, { gamma = 1 })))
    end
    peri.set_num_threads(threads)
    for i = 1, 600, 97 do
      local row = svm.kernel_matrix(X:narrow(1, i, 1), X, { gamma = 1 })
      for j = i % 2 + 1, 600, 2 do -- the other cluster, whose values are 0
        assert.equal(0, row[{ 1, j }])
      end
      for j = 2 - i % 2, 600, 2 do -- its own, of which distances cancel
        assert.equal(all[{ i, j }], row[{ 1, j }])
      end
    end
  end)

  it("serves machines of few and of many rows", function()
    for _, n in ipairs { 200, 2100 } do
      for _, d in ipairs { 2, 12 } do
        local X, y = clusters(n, d, 3e4, "float32")
        local z = y:to "float64"
        assert.equal(1, svm.SVC({ gamma = 1 }):fit(X, y):score(X, y))
        assert.equal(1, svm.NuSVC({ gamma = 1, nu = 0.1 }):fit(X, y):score(X, y))
        for _, name in ipairs { "SVR", "NuSVR" } do
          local W = X:to "float64"
          local narrow, wide = svm[name]({ gamma = 1 }):fit(X, z), svm[name]({ gamma = 1 }):fit(W, z)
          assert((narrow:predict(X) - wide:predict(W)):abs():max():item() < 2e-3)
        end
        local by_rows = svm.SVC({ gamma = 1, cache_size = 0.5 }):fit(X, y)
        assert.equal(1, by_rows:score(X, y))
      end
    end
  end)

  it("serves Nystroem", function()
    local X = clusters(80, 12, 3e4, "float32")
    local Z = svm.Nystroem({ gamma = 1, n_components = 80, seed = 1 }):fit(X):transform(X):to "float64"
    assert((Z:matmul(Z:t()) - rbf(X, 1)):abs():max():item() < 1e-2)
  end)

  it("has an error for a variance of which gamma = 'scale' makes no number", function()
    local X = peri.tensor({ { 1e200, 0 }, { -1e200, 1 } }, { dtype = "float64" })
    for _, f in ipairs { function() svm.SVC():fit(X, { 1, 2 }) end, function() svm.kernel_matrix(X) end } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.truthy(message:find("the variance of X is inf", 1, true), message)
    end
  end)
end)

describe("a linear kernel #once", function()
  it("is as good far from 0", function()
    for _, n in ipairs { 200, 2100 } do
      for _, d in ipairs { 2, 12 } do
        peri.manual_seed(1)
        local near = peri.randn(n, d, { dtype = "float64" })
        local y = near:sum(2):gt(0):to("int64"):view(-1)
        local z = near:sum(2):view(-1) + peri.randn(n, { dtype = "float64" }) * 0.3
        for _, case in ipairs { { "float32", 1e4 }, { "float64", 1.7e9 } } do
          local X = (near + case[2]):to(case[1])
          local machines = { svm.SVC { kernel = "linear" }, svm.NuSVC { kernel = "linear", nu = 0.2 } }
          for _, m in ipairs(machines) do
            m:fit(X, y)
            assert.equal(0, m.fit_status)
            assert(m:score(X, y) > 0.97, ("%s of %d rows: %g"):format(m, n, m:score(X, y)))
          end
          assert(svm.SVR({ kernel = "linear" }):fit(X, z):score(X, z) > 0.94)
          assert(svm.NuSVR({ kernel = "linear" }):fit(X, z):score(X, z) > 0.94)
          local folds = svm.cross_validate(machines[1], X, y, { folds = 3 })
          assert(folds.mean > 0.95, folds.mean)
        end
      end
    end
  end)
end)
