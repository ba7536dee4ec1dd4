-- What a machine file claims is checked where it is read: each array with another shape, dtype or value is refused, or
-- makes a machine that answers; none reads behind its rows.
local peri = require "perilune"
local samples = require "support.samples"
local svm, data = peri.svm, peri.data

local X, y = data.blobs(60, { centers = 3, features = 2, noise = 2, seed = 1, dtype = "float64" })
local two = y:gt(1):to("int64") + 1
local z = X:narrow(2, 1, 1):contiguous():view(-1)
local gram = svm.kernel_matrix(X)

local machines = {
  svm.SVC({ kernel = "linear", probability = true }):fit(X, y),
  svm.SVC({ kernel = "precomputed", class_weight = { [1] = 2, [2] = 1 } }):fit(gram, two),
  svm.SVC({ kernel = "poly", gamma = 0.5 }):fit(X:to "float32", two),
  svm.NuSVC({ nu = 0.2 }):fit(X, y),
  svm.SVR({ kernel = "sigmoid" }):fit(X, z),
  svm.NuSVR():fit(X, z),
  svm.OneClassSVM():fit(X),
  svm.LinearSVC():fit(X, y),
  svm.LinearSVR():fit(X, z),
  svm.LogisticRegression({ penalty = "l1" }):fit(X, two),
}

local path

before_each(function() path = os.tmpname() end)
after_each(function() os.remove(path) end)

local function rows_of(m) return m == machines[2] and gram or X end

-- Whether a file of these is refused; if not, its machine answers, with finite numbers.
local function is_refused(m, tensors, metadata)
  peri.save(path, tensors, metadata)
  local ok, loaded = pcall(svm.load, path)
  if not ok then
    assert.truthy(loaded:find("svm.load: " .. path, 1, true), loaded)
    assert.is_nil(loaded:find("%.lua:%d+: .*%.lua:%d+:"), loaded)
    return true
  end
  assert(loaded:decision_function(rows_of(m)):abs():max():item() < 1 / 0)
  return false
end

local function parts(m)
  m:save(path)
  return peri.load(path)
end

local function changed(t, value)
  local copy = t:clone()
  copy:view(-1)[1] = value
  return copy
end

describe("a machine file #once", function()
  it("gives the machine again", function()
    for _, m in ipairs(machines) do
      local rows = rows_of(m)
      m:save(path)
      assert.equal(samples.bits(m:decision_function(rows)), samples.bits(svm.load(path):decision_function(rows)))
    end
  end)

  it("without one of its arrays, options or words is refused", function()
    for _, m in ipairs { machines[2], machines[7], machines[8] } do
      local tensors, metadata = parts(m)
      local function without(list, name)
        local value = list[name]
        list[name] = nil
        assert(is_refused(m, tensors, metadata), tostring(m) .. ": " .. name)
        list[name] = value
      end
      for _, list in ipairs { tensors, metadata } do
        local names = {}
        for name in pairs(list) do names[#names + 1] = name end
        for _, name in ipairs(names) do without(list, name) end
      end
    end
  end)

  it("with an array of another shape or dtype is refused", function()
    for _, m in ipairs { machines[1], machines[8] } do
      for name, t in pairs((parts(m))) do
        local flat, changes = t:reshape(-1), {}
        changes.longer = peri.cat({ flat, flat }, 1)
        changes.shorter = t:numel() > 1 and flat:narrow(1, 1, t:numel() - 1):contiguous() or nil
        changes.deeper = t:reshape(1, 1, -1)
        changes.other = t:to(t.dtype == "int64" and "float64" or "int64")
        for what, value in pairs(changes) do
          local tensors, metadata = parts(m)
          tensors[name] = value
          assert(is_refused(m, tensors, metadata), ("%s: %s, %s"):format(m, name, what))
        end
      end
    end
  end)

  it("with values that no fit gives is refused", function()
    local bad = {
      n = { 0, -1, 1.5, 1, 1 / 0, 0 / 0 }, d = { 0, -1, 1.5, 1, 3, 2 ^ 40, 1 / 0, 0 / 0 }, gap = { -1, 1 / 0, 0 / 0 },
      fit_status = { 2, -1, 0.5, 0 / 0 }, gamma = { -1, 1 / 0, 0 / 0 },
      support = { 0, -5, 61, math.maxinteger, math.mininteger }, n_support = { -1, 61, 0, math.maxinteger },
      classes = { 3, math.maxinteger }, n_iter = { -1 }, gaps = { -1, 1 / 0, 0 / 0 }, offset = { 0 / 0, 1e9 },
      dual_coef = { 1 / 0, 0 / 0 }, intercept = { 1 / 0, 0 / 0 }, objectives = { 1 / 0, 0 / 0 },
      prob_a = { 1 / 0, 0 / 0 }, prob_b = { 1 / 0, 0 / 0 }, support_vectors = { 1 / 0, 0 / 0 }, coef = { 1 / 0, 0 / 0 },
      ["option.C"] = { 0, -1, 0 / 0 }, ["option.nu"] = { 0, 2, 0 / 0 }, ["option.tol"] = { 0, -1, 0 / 0 },
      ["option.degree"] = { -1, 1.5, 0 / 0 }, ["option.coef0"] = { 1 / 0, 0 / 0 },
      ["option.gamma"] = { 0, -1, 7, 0 / 0 },
      ["option.epsilon"] = { -1, 0 / 0 }, ["option.max_iter"] = { -2, 0.5 }, ["option.time_limit"] = { 0, 0 / 0 },
      ["option.cache_size"] = { 0, 0 / 0 }, ["option.seed"] = { -1, 0.5 },
      ["class_weight.weights"] = { 0, -1, 0 / 0 },
    }
    local tried = {}
    for _, m in ipairs(machines) do
      local linear = tostring(m):find "^Linear" or tostring(m):find "^Logistic" -- has arrays and checks of its own
      local tensors, metadata = parts(m)
      for name, t in pairs(tensors) do
        local key = name .. (linear and " linear" or "")
        for _, value in ipairs(not tried[key] and not (linear and name:find "^option") and bad[name] or {}) do
          tensors[name] = changed(t, value)
          assert(is_refused(m, tensors, metadata), ("%s: %s = %s"):format(m, name, value))
        end
        tensors[name] = t
        tried[key] = true
      end
    end
  end)

  it("with words that are none of an option's, or not its own, is refused", function()
    for _, m in ipairs { machines[1], machines[8] } do
      local _, metadata = parts(m)
      for name in pairs(metadata) do
        for _, value in ipairs { "", "yes", "precomputed" } do
          local tensors, words = parts(m)
          if words[name] ~= value then
            words[name] = value
            if name == "perilune" then
              peri.save(path, tensors, words)
              assert.is_false((pcall(svm.load, path)))
            else
              assert(is_refused(m, tensors, words), ("%s: %s = '%s'"):format(m, name, value))
            end
          end
        end
      end
    end
  end)

  it("may not name rows twice, out of order, or have arrays of another machine", function()
    local m = machines[1]
    local function refused(name, change)
      local tensors, metadata = parts(m)
      tensors[name] = change(tensors[name])
      return is_refused(m, tensors, metadata)
    end
    assert.is_true(refused("support", function(t) return t[peri.arange(#t, 1, -1)] end))
    assert.is_true(refused("support", function(t)
      local copy = t:clone()
      copy[#copy] = copy[1]
      return copy
    end))
    assert.is_true(refused("coef", function(t) return t + 1 end))
    assert.is_true(refused("gap", function(t) return t + 1 end))
    assert.is_true(refused("option.coef0x", function() return peri.tensor(1, { dtype = "float64" }) end))
    local tensors, metadata = parts(machines[4])
    tensors.prob_a, tensors.prob_b = peri.zeros(3, { dtype = "float64" }), peri.zeros(3, { dtype = "float64" })
    assert.is_true(is_refused(machines[4], tensors, metadata))
    tensors, metadata = parts(machines[2])
    tensors.support_vectors = X:clone()
    assert.is_true(is_refused(machines[2], tensors, metadata))
    tensors, metadata = parts(machines[2])
    tensors["class_weight.labels"] = peri.tensor { 1, 1 }
    assert.is_true(is_refused(machines[2], tensors, metadata))
  end)
end)

describe("a model file of LIBSVM #once", function()
  it("that is cut anywhere is refused", function()
    for _, m in ipairs { machines[1], machines[2], machines[7] } do
      m:save_libsvm(path)
      local file <close> = assert(io.open(path, "rb"))
      local text = file:read "a"
      for size = 0, #text - 1, #text // 500 + 1 do
        local cut <close> = assert(io.open(path, "wb"))
        cut:write(text:sub(1, size))
        cut:close()
        assert.is_false((pcall(svm.load_libsvm, path)), size .. " bytes are a machine")
      end
    end
  end)
end)
