-- Fits that have no end, and what machines of few rows say: there is an end in every case, and nothing is claimed that
-- was not reached.
local peri = require "perilune"
local fails = require("support.fails").with
local svm, data = peri.svm, peri.data

local function float64(values) return peri.tensor(values, { dtype = "float64" }) end

-- The fit gives up, and says so: never that it has converged, nor a gap below tol.
local function gives_up(m, X, y)
  local ok, result = pcall(m.fit, m, X, y)
  if not ok then
    assert.truthy(result:find("overflow", 1, true), result)
    return
  end
  assert.equal(1, m.fit_status)
  assert(m.gap >= m.tol, "gap " .. m.gap)
end

describe("a fit without an end #once", function()
  local kernels = { "linear", "rbf", "poly" }
  local pairs_X, pairs_y = float64 { { 1 }, { 1 }, { 2 }, { 3 } }, { 1, 2, 1, 2 }

  it("of a hard margin between rows that contradict each other ends", function()
    for _, kernel in ipairs(kernels) do
      for _, C in ipairs { math.huge, 1e300, 1e30 } do
        for _, more in ipairs { {}, { time_limit = 1000 }, { max_iter = 100000 }, { cache_size = 1e-4 } } do
          local options = { kernel = kernel, C = C }
          for name, value in pairs(more) do options[name] = value end
          gives_up(svm.SVC(options), pairs_X, pairs_y)
          gives_up(svm.SVC(options), { { 0 }, { 0 } }, { 1, 2 })
          options.epsilon = 0.1
          gives_up(svm.SVR(options), pairs_X, { 1, 5, 2, 2 })
        end
      end
    end
  end)

  it("ends for given kernels, for probabilities, on a path and in folds too", function()
    local gram = svm.kernel_matrix(pairs_X, nil, { gamma = 1 })
    gives_up(svm.SVC { C = math.huge, kernel = "precomputed" }, gram, pairs_y)
    gives_up(svm.SVC { C = math.huge, kernel = function(a, b) return a:matmul(b:t()) end }, pairs_X, pairs_y)
    gives_up(svm.SVC { C = math.huge, probability = true }, pairs_X, pairs_y)
    for _, m in ipairs(svm.path(pairs_X, pairs_y, { Cs = { 1, math.huge } })) do
      assert.equal(m.C == 1 and 0 or 1, m.fit_status)
    end
    local X, y = peri.cat({ pairs_X, pairs_X, pairs_X }, 1), peri.tensor { 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 }
    assert.equal(1, svm.cross_validate(svm.SVC { C = math.huge }, X, y, { folds = 2 }).fit_status)
  end)

  it("has a largest number of steps", function()
    peri.manual_seed(1)
    local X, y = peri.randn(12, 1, { dtype = "float64" }), { 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 }
    local m = svm.SVC({ C = math.huge, kernel = "linear" }):fit(X, y)
    assert.equal(1, m.fit_status)
    assert(m.gap >= m.tol and m.n_iter[1] <= 1e7)
    local indefinite = svm.SVC { C = 10, kernel = function(a, b) return -(a:matmul(b:t())) * 1000 end }
    assert(indefinite:fit(X, y).n_iter[1] <= 1e7)
  end)

  it("is another thing than one that is only hard", function()
    local X, y = data.moons(60, { noise = 0.1, seed = 2, dtype = "float64" })
    for _, C in ipairs { 1e6, 1e12, math.huge } do
      local m = svm.SVC({ C = C }):fit(X, y)
      assert.equal(0, m.fit_status)
      assert(m.gap < m.tol)
      assert.equal(1, m:score(X, y))
    end
  end)
end)

describe("NuSVC #once", function()
  it("is the machine of a hard margin for every small nu", function()
    for _, set in ipairs { { 20, 0.4, 12 }, { 24, 0.4, 18 }, { 30, 0.4, 9 } } do
      local X, y = data.moons(set[1], { noise = set[2], seed = set[3], dtype = "float64" })
      local hard = svm.SVC({ C = math.huge, tol = 1e-6 }):fit(X, y):decision_function(X)
      for _, nu in ipairs { 1e-2, 1e-3, 1e-6, 1e-9 } do
        for _, tol in ipairs { 1e-3, 1e-5 } do
          local m = svm.NuSVC({ nu = nu, tol = tol }):fit(X, y)
          assert.equal(0, m.fit_status)
          assert.equal(1, m:score(X, y))
          local off = (m:decision_function(X) - hard):abs():max():item()
          assert(off < 100 * tol, ("nu %g, tol %g: off by %g"):format(nu, tol, off))
        end
      end
    end
  end)

  it("refuses rows that nothing separates, whatever tol is", function()
    local X, y = data.circles(60, { noise = 0.3, seed = 1, dtype = "float64" })
    for _, tol in ipairs { 1e-1, 1e-3, 1e-6 } do
      for _, nu in ipairs { 0.5, 1e-3 } do
        local m = svm.NuSVC { kernel = "linear", nu = nu, tol = tol }
        fails("nothing separates the rows", m.fit, m, X, y)
      end
    end
  end)
end)

describe("folds #once", function()
  it("without a machine are an error, whether values are at hand or computed as they are needed", function()
    local X, y = data.circles(60, { noise = 0.3, seed = 1, dtype = "float64" })
    for _, cache_size in ipairs { 200, 1e-3 } do
      local m = svm.NuSVC { kernel = "linear", nu = 0.5, cache_size = cache_size }
      fails("separates the rows", svm.cross_validate, m, X, y)
    end
  end)
end)

describe("OneClassSVM #once", function()
  local function outside(X, options)
    return svm.OneClassSVM(options):fit(X):predict(X):eq(-1):sum():item()
  end

  it("leaves a share nu outside at most, of rows however few or equal", function()
    for _, dtype in ipairs { "float32", "float64" } do
      peri.manual_seed(4)
      local of = { dtype = dtype }
      local sets = {
        peri.tensor({ { 1, 2, 3 }, { 1, 2, 3.1 }, { 1, 2, 3.2 } }, of), peri.ones(5, 2, of), peri.ones(1, 2, of),
        peri.randn(40, 2, of), peri.randn(300, 20, of), peri.cat({ peri.zeros(7, 1, of), peri.ones(3, 1, of) }, 1),
      }
      for _, X in ipairs(sets) do
        for _, nu in ipairs { 1e-6, 0.02, 0.1, 0.5, 0.9 } do
          for _, kernel in ipairs { "rbf", "linear" } do
            local count = outside(X, { nu = nu, kernel = kernel, gamma = "auto" })
            assert(count <= nu * #X, ("%d of %d rows outside at nu %g, %s"):format(count, #X, nu, kernel))
          end
        end
      end
    end
  end)

  it("does so with rows that are computed in float32", function()
    peri.manual_seed(5)
    local X = peri.randn(2500, 12)
    for _, nu in ipairs { 0.01, 0.2 } do assert(outside(X, { nu = nu }) <= nu * 2500) end
  end)

  it("calls inside what its decision is not negative for", function()
    peri.manual_seed(6)
    local X = peri.randn(50, 2, { dtype = "float64" })
    local m = svm.OneClassSVM({ nu = 0.3 }):fit(X)
    assert.is_true(m:predict(X):eq(1):eq(m:decision_function(X):ge(0)):all())
  end)
end)

describe("probabilities of few rows #once", function()
  it("are for the class that the machine is for", function()
    local machines = {
      svm.SVC { kernel = "linear", probability = true }, svm.SVC { probability = true },
      svm.SVC { gamma = 10, probability = true }, svm.NuSVC { nu = 0.2, probability = true },
    }
    for _, m in ipairs(machines) do
      for a = 1, 7 do
        for b = 1, 7 do
          local X, y = {}, {}
          for i = 1, a do X[#X + 1], y[#y + 1] = { -1 - 0.1 * i, 0 }, 1 end
          for i = 1, b do X[#X + 1], y[#y + 1] = { 1 + 0.1 * i, 0 }, 2 end
          if b % 2 == 0 then
            for i = 1, a do X[#X + 1], y[#y + 1] = { 0, 2 + 0.1 * i }, 3 end
          end
          X = float64(X)
          local fitted = m:clone():fit(X, y)
          local alone = m:clone({ probability = false }):fit(X, y)
          assert.same(alone:predict(X):totable(), fitted:predict(X):totable())
          assert.is_true(fitted.prob_a:le(0):all())
        end
      end
    end
  end)

  it("are the classes' shares where held-out rows tell the opposite", function()
    -- Equal rows of both classes: whoever is left out is in the minority of what is left.
    local X, y = peri.zeros(20, 1, { dtype = "float64" }), {}
    for i = 1, 20 do y[i] = i <= 10 and 1 or 2 end
    local m = svm.SVC({ probability = true }):fit(X, y)
    assert(m.prob_a[1] <= 0)
    assert.is_true(m:predict_proba(X):allclose(peri.full({ 20, 2 }, 0.5, { dtype = "float64" }), { atol = 1e-6 }))
  end)
end)

describe("balanced classes #once", function()
  it("count weights: a row of weight 3 is three rows", function()
    peri.manual_seed(5)
    local X, y = peri.randn(40, 3, { dtype = "float64" }), peri.randint(1, 2, { 40 })
    local w = peri.randint(0, 4, { 40 }):to "float64"
    local index = {}
    for i = 1, 40 do
      for _ = 1, math.tointeger(w[i]) do index[#index + 1] = i end
    end
    local at = peri.tensor(index, { dtype = "int64" })
    for _, m in ipairs {
      svm.SVC { class_weight = "balanced", tol = 1e-9, gamma = 0.3 },
      svm.NuSVC { class_weight = "balanced", nu = 0.3, tol = 1e-9, gamma = 0.3 },
      svm.LinearSVC { class_weight = "balanced", tol = 1e-9, max_iter = 100000 },
      svm.LogisticRegression { class_weight = "balanced", tol = 1e-10 },
    } do
      local one = m:clone():fit(X, y, { sample_weight = w }):decision_function(X)
      local other = m:clone():fit(X[at], y[at]):decision_function(X)
      assert((one - other):abs():max():item() < 1e-6, tostring(m))
    end
  end)
end)
