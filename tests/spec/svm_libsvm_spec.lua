-- svm.load_libsvm and m:save_libsvm. golden/libsvm-*.model are svm-train's, golden/libsvm.lua what svm-predict said
-- with them (peers/libsvm_golden.py); what is refused is tested in C.
local peri = require "perilune"
local samples = require "support.samples"
local golden = require "golden.libsvm"
local fails = require("support.fails").with
local failing = require "support.failing"
local svm, data = peri.svm, peri.data

local folder = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" .. "/golden/"
local fresh = peri.tensor(golden.fresh, { dtype = "float64" })
local X = peri.tensor(golden.X, { dtype = "float64" })

local function load_golden(name)
  return svm.load_libsvm(folder .. "libsvm-" .. name .. ".model", { features = name == "precomputed" and 30 or 3 })
end

-- What the machine of that name is asked about.
local function questions(name)
  return name == "precomputed" and svm.kernel_matrix(fresh, X, { kernel = "linear" }) or fresh
end

-- How many classes have the most votes, which are the whole part of decisions of more than two classes.
local function count_winners(decision)
  local most, winners = 0, 0
  for _, value in ipairs(decision) do
    local votes = math.floor(value + 0.5)
    if votes > most then most, winners = votes, 0 end
    if votes == most then winners = winners + 1 end
  end
  return winners
end

local function class_of(m) return tostring(m):match "^%a+" end

local function all_bits(m, questions_of)
  local list = { samples.bits(m:decision_function(questions_of)), samples.bits(m:predict(questions_of)) }
  if class_of(m):find "SVC" and m.prob_a then list[3] = samples.bits(m:predict_proba(questions_of)) end
  return table.concat(list, "\n")
end

local CLASSES = {
  three = "SVC", probability = "SVC", two = "NuSVC", svr = "SVR", ["nu-svr"] = "NuSVR", ["one-class"] = "OneClassSVM",
  precomputed = "SVC",
}

describe("a model of svm-train", function()
  for _, case in ipairs(golden) do
    it("decides as in svm-predict: " .. case.name, function()
      local m, x = load_golden(case.name), questions(case.name)
      assert.equal(CLASSES[case.name], class_of(m))
      for i, row in ipairs(case.probabilities or {}) do
        local p = m:predict_proba(x)[i]:totable()
        for c = 1, 3 do -- LIBSVM couples to a tolerance of 0.005 / 3
          assert.is_true(math.abs(p[c] - row[c]) < 0.004, ("%d, %d: %g, not %g"):format(i, c, p[c], row[c]))
        end
      end
      local said, ties = m:predict(x), 0
      for i, expected in ipairs(case.predictions or {}) do
        if case.name == "three" and count_winners(m:decision_function(x)[i]:totable()) > 1 then
          ties = ties + 1
          assert.equal(-2, said[i]) -- the lowest; svm-predict takes the first of its file
        else
          assert.is_true(math.abs(said[i] - expected) < 1e-12, ("%d: %g, not %g"):format(i, said[i], expected))
        end
      end
      assert.is_true(ties <= 2)
    end)
  end

  it("has ascending classes, and the fields of a fit", function()
    local m = load_golden "three"
    assert.same({ -2, 3, 7 }, m.classes:totable())
    local total = m.n_support:sum():item()
    assert.same({ total, 3 }, m.support_vectors.shape)
    assert.same({ 2, total }, m.dual_coef.shape)
    assert.same({ total, 3 }, m.shape_fit)
    assert.equal(0.5, m.gamma)
    assert.equal(0.5, m:params().gamma)
    assert.equal("rbf", m.kernel)
    assert.is_nil(m.prob_a)
    assert.equal(0, m.fit_status)
    local poly = load_golden "two"
    assert.same({ "poly", 3, 0.5, 1 }, { poly.kernel, poly.degree, poly.gamma, poly.coef0 })
    fails("X has 4 features but the fit had 3", m.predict, m, peri.zeros(1, 4, { dtype = "float64" }))
  end)
end)

describe("save_libsvm", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  local function text()
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
  end

  it("gives back what was loaded, bit for bit", function()
    for name in pairs(CLASSES) do
      local m, x = load_golden(name), questions(name)
      m:save_libsvm(path)
      local back = svm.load_libsvm(path, name == "precomputed" and { features = 30 } or nil)
      assert.equal(all_bits(m, x), all_bits(back, x), name)
      local first = text()
      back:save_libsvm(path)
      assert.equal(first, text())
    end
  end)

  it("gives back what was fitted, bit for bit", function()
    local labels = peri.tensor({ 4, -3, 9 }, { dtype = "int64" })[peri.randint(1, 3, { 60 })]
    local numbers = peri.randn(60, { dtype = "float64" })
    for _, dtype in ipairs { "float32", "float64" } do
      local rows = peri.randn(60, 4, { dtype = dtype })
      rows[{ {}, 4 }] = 0
      local asked = peri.randn(20, 4, { dtype = dtype })
      for _, kernel in ipairs { "linear", "poly", "rbf", "sigmoid" } do
        for _, name in ipairs { "SVC", "SVR", "OneClassSVM", "NuSVR" } do
          local y = name == "SVC" and labels or name:find "SVR" and numbers or nil
          local options = { kernel = kernel, coef0 = 0.5, probability = name == "SVC" and kernel == "rbf" or nil }
          local m = svm[name](options):fit(rows, y)
          m:save_libsvm(path)
          local back = svm.load_libsvm(path)
          assert.equal(all_bits(m, asked), all_bits(back, asked), name .. " " .. kernel)
          assert.equal(samples.bits(m.dual_coef), samples.bits(back.dual_coef))
        end
      end
    end
  end)

  it("is read by svm-predict", function()
    if not os.execute "command -v svm-predict >/dev/null 2>&1" then
      pending "svm-predict is not installed"
      return
    end
    local asked, answers = os.tmpname(), os.tmpname()
    local rows, labels = data.circles(80, { noise = 0.2, seed = 1, dtype = "float64" })
    local questions_of = peri.randn(50, 2, { dtype = "float64" })
    data.write_svmlight(asked, questions_of, peri.zeros(50))
    local cases = {
      svm.SVC():fit(rows, labels), svm.NuSVC { kernel = "poly", degree = 2, nu = 0.3 }:fit(rows, labels),
      svm.OneClassSVM():fit(rows),
      svm.SVR { kernel = "sigmoid", gamma = 0.2 }:fit(rows, rows[{ {}, 1 }]), svm.NuSVR():fit(rows, rows[{ {}, 1 }]),
    }
    for _, m in ipairs(cases) do
      m:save_libsvm(path)
      assert(os.execute(("svm-predict '%s' '%s' '%s' >/dev/null"):format(asked, path, answers)))
      local predictions, i = m:predict(questions_of), 0
      for answer in io.lines(answers) do
        i = i + 1
        assert.is_true(math.abs(predictions[i] - tonumber(answer)) < 1e-10, class_of(m))
      end
      assert.equal(50, i)
    end
    os.remove(asked)
    os.remove(answers)
  end)

  it("is checked, and so is load_libsvm", function()
    local m = svm.SVC()
    fails("SVC: not fitted; call fit first", m.save_libsvm, m, path)
    fails("SVC.save_libsvm: path must be a string, got nil", m.save_libsvm, m)
    fails("save_libsvm: called with 3 (expected m:save_libsvm(path))", m.save_libsvm, 3, path)
    m:fit({ { 0 }, { 1 } }, { 1, 2 })
    fails("/nowhere/there", m.save_libsvm, m, "/nowhere/there")
    local custom = svm.SVC { kernel = function(a, b) return a:matmul(b:t()) end }:fit({ { 0 }, { 1 } }, { 1, 2 })
    fails("SVC.save_libsvm: the kernel is a Lua function", custom.save_libsvm, custom, path)
    fails("load_libsvm: path must be a string, got nil", svm.load_libsvm)
    fails("load_libsvm: unknown option feature (known: features, zero_based)", svm.load_libsvm, path, { feature = 1 })
    fails("load_libsvm: /nowhere/there: cannot be opened", svm.load_libsvm, "/nowhere/there")
    local golden_path = folder .. "libsvm-nu-svr.model"
    fails("line 7: index 3 is beyond the 2 features", svm.load_libsvm, golden_path, { features = 2 })
    assert.truthy(peri.documentation(m.save_libsvm))
    assert.truthy(peri.documentation(svm.load_libsvm))
  end)

  it("fails whole when memory is short", function()
    load_golden "three"
    failing.inject("load_libsvm", nil, function() load_golden "three" end)
  end)
end)
