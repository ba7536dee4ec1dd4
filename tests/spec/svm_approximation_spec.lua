-- svm.kernel_matrix, svm.Nystroem and svm.RBFSampler; golden/nystroem.lua is scikit-learn's.
local peri = require "perilune"
local samples = require "support.samples"
local golden = require "golden.nystroem"
local run = require "support.program"
local fails = require("support.fails").with
local svm, data = peri.svm, peri.data

local KERNELS = { "linear", "poly", "rbf", "sigmoid" }
local CLASSES = { "Nystroem", "RBFSampler" }

local function normal(n, d, dtype)
  peri.manual_seed(n + d)
  return peri.randn(n, d, { dtype = dtype or "float64" })
end

local function distance(a, b) return (a:to "float64" - b:to "float64"):abs():max():item() end
local function deviation(a, b) return ((a:to "float64" - b:to "float64") ^ 2):mean():item() ^ 0.5 end
local function gram(Z) return Z:matmul(Z:t()) end

describe("kernel_matrix #once", function()
  it("of one set is symmetric to the bit, with ones on the diagonal of rbf", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local A = normal(600, 30, dtype) * 100
      for _, kernel in ipairs(KERNELS) do
        local K = svm.kernel_matrix(A, nil, { kernel = kernel, gamma = 1e-5, coef0 = 1 })
        assert.equal(samples.bits(K), samples.bits(K:t():contiguous()))
        local close = K:abs():max():item() * (dtype == "float64" and 1e-12 or 1e-4)
        local whole = svm.kernel_matrix(A, A, { kernel = kernel, gamma = 1e-5, coef0 = 1 })
        assert.is_true(distance(K, whole) <= close, kernel)
        if kernel == "rbf" then
          for i = 1, 600 do assert.equal(1, K[{ i, i }]) end
        end
      end
    end
  end)

  it("has the gamma of SVC", function()
    local X, fresh = normal(20, 3) * 2, normal(5, 3)
    local scale = 1 / (3 * X:var({ 1, 2 }, false, { correction = 0 }):item())
    local function K(gamma) return svm.kernel_matrix(fresh, X, { gamma = gamma }) end
    assert.is_true(distance(K "scale", K(scale)) < 1e-14)
    assert.equal(samples.bits(K "scale"), samples.bits(svm.kernel_matrix(fresh, X)))
    assert.equal(samples.bits(K "auto"), samples.bits(K(1 / 3)))
    assert.same({ { 1, 1 }, { 1, 1 } }, svm.kernel_matrix({ { 2, 2 }, { 2, 2 } }):totable())
  end)

  it("takes tables, views, both dtypes, and no rows", function()
    local A = normal(6, 4)
    local K = svm.kernel_matrix(A)
    assert.equal(samples.bits(K), samples.bits(svm.kernel_matrix(A:totable())))
    assert.equal(samples.bits(K), samples.bits(svm.kernel_matrix(A:t():contiguous():t())))
    local mixed = svm.kernel_matrix(A:to "float32", A)
    assert.equal("float64", mixed.dtype)
    assert.is_true(distance(mixed, K) < 1e-6)
    assert.same({ 0, 6 }, svm.kernel_matrix(peri.zeros(0, 4), A).shape)
    assert.same({ 6, 0 }, svm.kernel_matrix(A, peri.zeros(0, 4)).shape)
    assert.same({ 0, 0 }, svm.kernel_matrix(peri.zeros(0, 4)).shape)
    assert.is_false(svm.kernel_matrix(peri.ones(2, 2, { requires_grad = true })).requires_grad)
  end)

  it("takes options in the place of B, and what a fitted linear machine has for gamma", function()
    local A = normal(6, 4)
    local options = { kernel = "linear", gamma = 0 }
    assert.equal(samples.bits(svm.kernel_matrix(A, nil, options)), samples.bits(svm.kernel_matrix(A, options)))
    assert.is_true(distance(svm.kernel_matrix(A, options), A:matmul(A:t())) < 1e-12)
    local m = svm.SVC { kernel = "linear" }:fit(A, { 1, 2, 1, 2, 1, 2 })
    options = { kernel = m.kernel, gamma = m.gamma }
    assert.same({ #m.support, #m.support }, svm.kernel_matrix(m.support_vectors, options).shape)
  end)

  it("checks what it gets", function()
    local A = normal(3, 2)
    fails("kernel_matrix: A must be a tensor, got nil", svm.kernel_matrix)
    fails("kernel_matrix: B must be a tensor, got 3", svm.kernel_matrix, A, 3)
    fails("kernel_matrix: A has 2 features but B has 3", svm.kernel_matrix, A, normal(3, 3))
    fails("kernel_matrix: A has shape 3 ", svm.kernel_matrix, peri.zeros(3))
    fails("kernel_matrix: B is int64", svm.kernel_matrix, A, peri.ones(2, 2, { dtype = "int64" }))
    fails("kernel_matrix (B): X has inf in row 1, column 2", svm.kernel_matrix, A, { { 0, math.huge } })
    fails("kernel_matrix: unknown option gama (known: kernel, degree, coef0, gamma)", svm.kernel_matrix, A, nil,
      { gama = 1 })
    fails("kernel_matrix: unknown option gama", svm.kernel_matrix, A, { gama = 1 })
    fails("kernel_matrix: gamma is -1 (expected at least 0)", svm.kernel_matrix, A, { kernel = "linear", gamma = -1 })
    fails("kernel_matrix: gamma is 0 (expected a finite number > 0)", svm.kernel_matrix, A, nil, { gamma = 0 })
    fails("kernel_matrix: gamma must be scale, auto or a number, got 'x'", svm.kernel_matrix, A, nil, { gamma = "x" })
    fails("kernel_matrix: kernel must be one of linear, poly, rbf, sigmoid", svm.kernel_matrix, A, nil,
      { kernel = "x" })
    fails("out of memory", svm.kernel_matrix, peri.zeros(2 ^ 20, 1), peri.zeros(2 ^ 20, 1))
  end)
end)

describe("Nystroem #once", function()
  it("is scikit-learn's over the same rows", function()
    local X = peri.tensor(golden.X, { dtype = "float64" })
    local fresh = peri.tensor(golden.fresh, { dtype = "float64" })
    for i, case in ipairs(golden) do
      for seed = 0, 2 do
        local m = svm.Nystroem(case.options):clone { n_components = 8, seed = seed }:fit(X)
        local _, order = m.component_indices:sort()
        local Z = m:transform(fresh):t()[order]:t()
        assert.is_true(distance(Z, peri.tensor(case.features, { dtype = "float64" })) < 1e-10, "case " .. i)
        assert.same(X[m.component_indices]:totable(), m.components:totable())
      end
    end
  end)

  it("of all rows gives the kernel", function()
    local X, fresh = normal(150, 5), normal(40, 5)
    local m = svm.Nystroem { gamma = 0.2, n_components = 150 }:fit(X)
    assert.is_true(distance(gram(m:transform(X)), svm.kernel_matrix(X, nil, { gamma = 0.2 })) < 1e-10)
    local between = m:transform(fresh):matmul(m:transform(X):t())
    assert.is_true(distance(between, svm.kernel_matrix(fresh, X, { gamma = 0.2 })) < 1e-10)
    local narrow = svm.Nystroem { gamma = 0.2, n_components = 150 }:fit_transform(X:to "float32")
    assert.equal("float32", narrow.dtype)
    assert.is_true(distance(gram(narrow), svm.kernel_matrix(X, nil, { gamma = 0.2 })) < 1e-3)
  end)

  it("comes nearer with more components", function()
    local X = normal(400, 4)
    for _, kernel in ipairs { "rbf", "poly" } do
      local last = math.huge
      for _, n in ipairs { 5, 20, 80, 320 } do
        local m = svm.Nystroem { kernel = kernel, n_components = n, seed = 4 }
        local error = deviation(gram(m:fit_transform(X)), svm.kernel_matrix(X, nil,
          { kernel = kernel, gamma = m.gamma, coef0 = 1 }))
        assert.is_true(error < 0.75 * last or error < 1e-6, ("%s %d: %g after %g"):format(kernel, n, error, last))
        last = error
      end
    end
  end)

  it("bears rows that are equal, and kernels that are not definite", function()
    local row = normal(20, 3)
    local X = peri.cat({ row, row, row }, 1)
    local Z = svm.Nystroem { gamma = 0.3, n_components = 60 }:fit_transform(X)
    assert.is_true(distance(gram(Z), svm.kernel_matrix(X, nil, { gamma = 0.3 })) < 1e-8)
    Z = svm.Nystroem { kernel = "sigmoid", gamma = 2, coef0 = -1, n_components = 60 }:fit_transform(X)
    assert.is_true(Z:abs():max():item() < math.huge)
    Z = svm.Nystroem():fit_transform(peri.ones(5, 2))
    assert.is_true(distance(gram(Z), peri.ones(5, 5)) < 1e-3)
    assert.same({ 1, 1 }, svm.Nystroem { n_components = 1 }:fit_transform { { 3, 4 } }.shape)
  end)

  it("warns of more components than rows", function()
    local m = svm.Nystroem { n_components = 11 }:fit(normal(10, 2))
    assert.same({ 10, 2 }, m.components.shape)
    assert.equal(11, m.n_components)
    local out, err = run { "-e", [[
      local peri = require "perilune"
      warn "@on"
      peri.svm.Nystroem { n_components = 3 }:fit { { 1 }, { 2 }, { 3 } }
      peri.svm.Nystroem { n_components = 4 }:fit { { 1 }, { 2 }, { 3 } }]] }
    assert.equal("", out)
    assert.equal("Lua warning: Nystroem.fit: n_components is 4 but X has 3 rows: there will be 3 components\n", err)
  end)

  it("refuses a kernel that overflows, and keeps what it had", function()
    local m = svm.Nystroem { kernel = "poly", degree = 1000, gamma = 1, n_components = 3 }:fit { { 0.5 }, { 1 }, { 0 } }
    local before = samples.bits(m.components)
    fails("Nystroem.fit: the poly kernel overflows", m.fit, m, normal(3, 1) * 1000)
    assert.equal(before, samples.bits(m.components))
  end)

  it("makes a linear machine as good as one with the kernel", function()
    local X, y = data.circles(400, { noise = 0.1, seed = 1 })
    local fresh, labels = data.circles(400, { noise = 0.1, seed = 2 })
    for _, name in ipairs(CLASSES) do
      local m = svm[name] { gamma = 2, n_components = 60 }
      local machine = svm.LinearSVC():fit(m:fit_transform(X, y), y)
      local whole = svm.SVC { gamma = 2 }:fit(X, y)
      assert.is_true(machine:score(m:transform(fresh), labels) > whole:score(fresh, labels) - 0.02, name)
    end
  end)
end)

describe("RBFSampler #once", function()
  it("has the kernel as its mean, with an error that falls as its root", function()
    local X = normal(100, 4)
    local K = svm.kernel_matrix(X, nil, { gamma = 0.3 })
    for _, n in ipairs { 100, 1000, 10000 } do
      local error = deviation(gram(svm.RBFSampler { gamma = 0.3, n_components = n, seed = 5 }:fit_transform(X)), K)
      assert.is_true(error < 1.3 / n ^ 0.5 and error > 0.4 / n ^ 0.5, ("%d: %g"):format(n, error))
    end
  end)

  it("draws normal weights and even offsets, of which a seed decides", function()
    local m = svm.RBFSampler { gamma = 0.5, n_components = 5000, seed = 1 }:fit(normal(2, 4))
    assert.same({ 4, 5000 }, m.random_weights.shape)
    assert.same({ 5000 }, m.random_offset.shape)
    assert.is_true(math.abs(m.random_weights:mean():item()) < 0.03)
    assert.is_true(math.abs(m.random_weights:std({ 1, 2 }):item() - 1) < 0.03)
    assert.is_true(math.abs(m.random_offset:mean():item() - math.pi) < 0.1)
    assert.is_true(m.random_offset:min():item() >= 0 and m.random_offset:max():item() < 2 * math.pi)
    assert.equal(samples.bits(m.random_weights), samples.bits(m:clone():fit(normal(3, 4)).random_weights))
    local other = m:clone { seed = 2 }:fit(normal(3, 4))
    assert.not_equal(samples.bits(m.random_weights), samples.bits(other.random_weights))
    local narrow = m:clone():fit(normal(2, 4, "float32"))
    assert.equal("float32", narrow.random_weights.dtype)
    assert.is_true(distance(narrow.random_weights, m.random_weights) < 1e-6)
  end)

  it("leaves the default stream alone", function()
    peri.manual_seed(1)
    local expected = samples.bits(peri.rand(3))
    peri.manual_seed(1)
    svm.RBFSampler():fit { { 1, 2 } }
    svm.Nystroem { n_components = 1 }:fit { { 1, 2 } }
    assert.equal(expected, samples.bits(peri.rand(3)))
  end)

  it("takes gamma from the rows when asked", function()
    local X = normal(50, 5) * 3
    assert.is_true(math.abs(svm.RBFSampler { gamma = "scale" }:fit(X).gamma * X:var({ 1, 2 }, false, { correction = 0 })
      :item() * 5 - 1) < 1e-12)
    assert.equal(0.2, svm.RBFSampler { gamma = "auto" }:fit(X).gamma)
    assert.equal(1, svm.RBFSampler():fit(X).gamma)
    assert.equal(1, svm.RBFSampler { gamma = "scale" }:fit(peri.ones(3, 3)).gamma)
  end)
end)

describe("kernel approximations #once", function()
  local X = normal(30, 3)

  for _, name in ipairs(CLASSES) do
    local new = svm[name]

    it("have options and fields: " .. name, function()
      local m = new { n_components = 12.0, seed = 3 }
      assert.equal(12, m.n_components)
      assert.equal("integer", math.type(m.n_components))
      local params = m:params()
      params.seed = 9
      assert.equal(3, m.seed)
      assert.same(m:params(), new(m:params()):params())
      assert.equal(5, m:clone { seed = 5 }.seed)
      assert.equal(12, m:clone { seed = 5 }.n_components)
      assert.truthy(tostring(m):find("^" .. name .. "{.*n_components = 12, seed = 3}$"), tostring(m))
      local field = name == "Nystroem" and "components" or "random_weights"
      fails(name .. ": not fitted; call fit first", function() return m[field] end)
      fails(name .. ": not fitted; call fit first", m.transform, m, X)
      assert.equal(m, m:fit(X))
      assert.truthy(tostring(m):find("fitted on 30x3", 1, true))
      assert.same({ 30, 12 }, m:transform(X).shape)
      assert.equal(samples.bits(m:transform(X)), samples.bits(m:clone():fit_transform(X, nil)))
      assert.equal("float64", m:transform(X:to "float32").dtype)
      m:release()
      m:release()
      fails("not fitted", m.transform, m, X)
      assert.truthy(peri.documentation(m.fit))
      assert.truthy(peri.documentation(new):find("^svm%." .. name .. "{"))
    end)

    it("check what they get: " .. name, function()
      fails(name .. ": unknown option gama (known: ", new, { gama = 1 })
      fails(name .. ": options must be a table, got 3", new, 3)
      fails(name .. ": options must have names, got the key 1", new, { 1 })
      fails(name .. ": n_components is 0 (expected 1 to 2147483647)", new, { n_components = 0 })
      fails(name .. ": n_components must be a whole number, got 1.5", new, { n_components = 1.5 })
      fails(name .. ": n_components must be a whole number, got 'x'", new, { n_components = "x" })
      fails(name .. ": seed is -1", new, { seed = -1 })
      for _, value in ipairs { 0, -1, 1 / 0, 0 / 0 } do fails(name .. ": gamma is ", new, { gamma = value }) end
      fails(name .. ": gamma must be scale, auto or a number, got a table", new, { gamma = {} })
      local m = new { n_components = 2 }
      fails(name .. ".fit: called with a tensor float64 of 30x3 (expected m:fit(...))", m.fit, X)
      fails(name .. ".fit: X must be a tensor, got nil", m.fit, m)
      fails(name .. ".fit: X has 0 rows", m.fit, m, peri.zeros(0, 2))
      fails(name .. ".fit: X has shape 3 ", m.fit, m, peri.zeros(3))
      fails(name .. ".fit: X has ", m.fit, m, { { 1, 0 / 0 } })
      fails(name .. ".fit: row 2 of X has 1 values but row 1 has 2", m.fit, m, { { 1, 2 }, { 3 } })
      m:fit(X)
      fails(name .. ".transform: X has 2 features but the fit had 3", m.transform, m, peri.zeros(1, 2))
      assert.same({ 0, 2 }, m:transform(peri.zeros(0, 3)).shape)
      fails(name .. ": there is no field or method nonsense", function() return m.nonsense end)
      fails(name .. ": seed cannot be set", function() m.seed = 4 end)
      assert.is_false(getmetatable(m))
      fails(name .. ".clone: changes must be a table, got 1", m.clone, m, 1)
      fails(name .. ": unknown option x", m.clone, m, { x = 1 })
    end)

    it("record nothing for gradients: " .. name, function()
      local leaf = normal(10, 2):clone()
      leaf = peri.tensor(leaf:totable(), { dtype = "float64", requires_grad = true })
      assert.is_false(new { n_components = 4 }:fit_transform(leaf).requires_grad)
    end)
  end

  it("check kernel, degree and coef0", function()
    fails("Nystroem: kernel must be one of linear, poly, rbf, sigmoid, got 'cosine'", svm.Nystroem,
      { kernel = "cosine" })
    fails("Nystroem: kernel must be one of linear, poly, rbf, sigmoid, got 1", svm.Nystroem, { kernel = 1 })
    fails("Nystroem: degree is -1", svm.Nystroem, { degree = -1 })
    fails("Nystroem: coef0 is inf (expected a finite number)", svm.Nystroem, { coef0 = 1 / 0 })
    fails("RBFSampler: unknown option kernel (known: gamma, n_components, seed)", svm.RBFSampler, { kernel = "rbf" })
  end)

  it("have the same bits with 1, 2 and 3 threads", function()
    local threads, large, pictures = peri.get_num_threads(), normal(600, 40, "float32"), {}
    for n = 1, 3 do
      peri.set_num_threads(n)
      local list = { samples.bits(svm.kernel_matrix(large)), samples.bits(svm.kernel_matrix(large, large)) }
      for _, name in ipairs(CLASSES) do
        list[#list + 1] = samples.bits(svm[name] { n_components = 200 }:fit_transform(large))
      end
      pictures[n] = table.concat(list, "\n")
    end
    peri.set_num_threads(threads)
    assert.equal(pictures[1], pictures[2])
    assert.equal(pictures[1], pictures[3])
  end)

  it("fail whole when memory is short", function()
    collectgarbage()
    for _, name in ipairs(CLASSES) do
      for n = 0, 400 do
        local m = svm[name] { n_components = 5 }
        peri._fail_after(n)
        local ok, message = pcall(m.fit, m, X)
        peri._fail_after(-1)
        if ok then break end
        assert.truthy(message:find("out of memory", 1, true), message)
        fails("not fitted", m.transform, m, X)
        assert.is_true(n < 400)
      end
    end
    local turned = X:t():contiguous():t()
    for n = 0, 50 do
      peri._fail_after(n)
      local ok = pcall(svm.kernel_matrix, X, turned, { gamma = "scale" })
      peri._fail_after(-1)
      if ok then break end
      assert.is_true(n < 50)
    end
  end)
end)
