-- Machines of many classes: a pair of each two of them, whose decisions and kernel values are not all held at once.
local peri = require "perilune"
local run = require "support.program"
local samples = require "support.samples"
local svm, data = peri.svm, peri.data

-- k classes of `each` rows in the plane.
local function classes(k, each, dtype)
  peri.manual_seed(k)
  local y = {}
  for i = 1, k * each do y[i] = (i - 1) % k + 1 end
  return peri.randn(k * each, 2, { dtype = dtype or "float64" }), peri.tensor(y, { dtype = "int64" })
end

-- The class with the most votes of the pairs, the lowest of equals.
local function by_votes(decision, k)
  local votes, pair = {}, 0
  for c = 1, k do votes[c] = 0 end
  for a = 1, k do
    for b = a + 1, k do
      pair = pair + 1
      local winner = decision[pair] > 0 and a or b
      votes[winner] = votes[winner] + 1
    end
  end
  local best = 1
  for c = 2, k do best = votes[c] > votes[best] and c or best end
  return best
end

describe("a machine of many classes #once", function()
  local k = 120
  local X, y = classes(k, 3)
  local Z = peri.randn(1300, 2, { dtype = "float64" }) -- of 7,140 decisions each: more than are held at a time

  it("says of a row what it says of it in any batch", function()
    local gram = svm.kernel_matrix(X, nil, { gamma = 1 })
    local machines = {
      { svm.SVC({ gamma = 1 }):fit(X, y), Z }, { svm.SVC({ kernel = "linear" }):fit(X, y), Z },
      { svm.SVC({ kernel = "precomputed" }):fit(gram, y), svm.kernel_matrix(Z, X, { gamma = 1 }) },
      { svm.SVC({ kernel = function(a, b) return svm.kernel_matrix(a, b, { gamma = 1 }) end }):fit(X, y), Z },
      { svm.SVC({ break_ties = true }):fit(X:to "float32", y), Z },
    }
    for _, case in ipairs(machines) do
      local m, rows = case[1], case[2]
      local all, decision = m:predict(rows), m:decision_function(rows)
      for _, i in ipairs { 1, 17, 586, 587, 588, 1174, 1175, 1300 } do
        local row = rows:narrow(1, i, 1)
        assert.equal(all[i], m:predict(row)[1])
        assert.equal(samples.bits(decision[i]:contiguous()), samples.bits(m:decision_function(row)[1]:contiguous()))
      end
      local half = rows:narrow(1, 651, 650)
      assert.equal(samples.bits(all:narrow(1, 651, 650):contiguous()), samples.bits(m:predict(half)))
    end
  end)

  it("predicts by the votes of its pairs, with any number of threads", function()
    local m = svm.SVC({ gamma = 1, decision_function_shape = "ovo" }):fit(X, y)
    local rows, threads = Z:narrow(1, 1, 40), peri.get_num_threads()
    local predicted, decision = m:predict(rows), m:decision_function(rows):totable()
    for i = 1, 40 do assert.equal(by_votes(decision[i], k), predicted[i]) end
    local all = samples.bits(m:predict(Z))
    for count = 1, 3 do
      peri.set_num_threads(count)
      assert.equal(all, samples.bits(m:predict(Z)))
    end
    peri.set_num_threads(threads)
  end)

  it("sums up decisions the same way whichever class has few support vectors", function()
    local few_X, few_y = data.blobs(90, { centers = 9, features = 3, noise = 3, seed = 2, dtype = "float64" })
    local m = svm.SVC({ gamma = 0.1, decision_function_shape = "ovo" }):fit(few_X, few_y)
    assert(m.n_support:min():item() < 8 and m.n_support:max():item() >= 8)
    local K = svm.kernel_matrix(few_X, m.support_vectors, { gamma = 0.1 })
    local decision, pair, start = m:decision_function(few_X), 0, { 1 }
    for c = 1, 9 do start[c + 1] = start[c] + m.n_support[c] end
    for a = 1, 9 do
      for b = a + 1, 9 do
        pair = pair + 1
        local sum = peri.full({ 90 }, m.intercept[pair], { dtype = "float64" })
        for c, row in pairs { [a] = b - 1, [b] = a } do
          for s = start[c], start[c + 1] - 1 do sum = sum + K[{ {}, s }] * m.dual_coef[{ row, s }] end
        end
        assert((sum - decision[{ {}, pair }]):abs():max():item() < 1e-12)
      end
    end
  end)

  it("holds a block of decisions, not all", function()
    local out, err = run { "-e", [[
      local peri = require "perilune"
      local X, y = peri.randn(360, 2, { dtype = "float64" }), {}
      for i = 1, 360 do y[i] = i % 120 end
      local m = peri.svm.SVC({ probability = false }):fit(X, y)
      local many = peri.randn(6000, 2, { dtype = "float64" }) -- 343 MB of decisions
      m:predict(many)
      m:score(many, peri.ones(6000, { dtype = "int64" }))
      m:decision_function(many)
      print(peri.memory().peak)]] }
    assert.equal("", err)
    assert(tonumber(out) < 100e6, "a peak of " .. out)
  end)

  it("has a matrix for each pair where the cache does not hold that of all", function()
    local threads = peri.get_num_threads()
    for _, dtype in ipairs { "float32", "float64" } do
      for _, features in ipairs { 2, 20 } do
        local n = features == 2 and 2400 or 800
        local rows, labels = data.blobs(n, { centers = 8, features = features, noise = 6, seed = 3, dtype = dtype })
        labels = labels - labels:eq(8):to "int64" * 3 -- one class of twice the others' rows
        local whole = { gamma = 0.02, tol = 1e-5, cache_size = 1000, probability = true }
        whole.decision_function_shape = "ovo"
        local by_pairs = { cache_size = n == 2400 and 20 or 2 }
        for name, value in pairs(whole) do by_pairs[name] = by_pairs[name] or value end
        local T = rows:narrow(1, 1, 300)
        local expected = svm.SVC(whole):fit(rows, labels):decision_function(T)
        local bits
        for count = 1, 3 do
          peri.set_num_threads(count)
          local m = svm.SVC(by_pairs):fit(rows, labels)
          assert.equal(0, m.fit_status)
          assert((m:decision_function(T) - expected):abs():max():item() < 1e-3)
          local found = samples.bits(m.dual_coef) .. samples.bits(m:predict_proba(T))
          assert.equal(bits or found, found)
          bits = found
        end
        peri.set_num_threads(threads)
        if n == 800 then
          local gram = svm.kernel_matrix(rows, nil, { gamma = 0.02 })
          local given = svm.SVC({ kernel = "precomputed", tol = 1e-5, cache_size = 2 }):fit(gram, labels)
          local same = svm.SVC({ kernel = "precomputed", tol = 1e-5 }):fit(gram, labels)
          assert((given:decision_function(gram) - same:decision_function(gram)):abs():max():item() < 1e-3)
          local path = svm.path(rows, labels, { Cs = { 0.1, 1, 10 }, gamma = 0.02, cache_size = 2, tol = 1e-5 })
          assert.equal(samples.bits(path[2].classes), samples.bits(given.classes))
          local again = path[2]:clone({ decision_function_shape = "ovo" }):fit(rows, labels)
          assert((again:decision_function(T) - expected):abs():max():item() < 1e-3)
        end
      end
    end
  end)

  it("stops and reports as any other while its pairs have their own matrices", function()
    local rows, labels = data.blobs(800, { centers = 8, features = 20, noise = 6, seed = 3 })
    local m, calls = svm.SVC { gamma = 0.02, cache_size = 2 }, 0
    m:fit(rows, labels, { progress = function(state)
      calls = calls + 1
      assert.equal(28, state.machines)
    end })
    assert(calls >= 14)
    assert.has_error(function() m:clone():fit(rows, labels, { progress = function() error "enough" end }) end)
    local ended = m:clone():fit(rows, labels, { progress = function() return false end })
    assert.equal(1, ended.fit_status)
  end)
end)
