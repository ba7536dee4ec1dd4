-- What a machine says of a row depends on the row alone: the same bits by itself, in any batch, at any place in one,
-- with any number of threads and however the features lie in memory.
local peri = require "perilune"
local svm = peri.svm

local MOST = 300 -- steps: how well a machine is fitted does not matter here
local ROWS = 270 -- more than a piece of rows, and no multiple of anything

-- Rows of d features around centers, that many classes, and numbers of theirs.
local function sample(n, d, classes, dtype)
  local X, y = peri.data.blobs(n, { features = d, centers = classes, noise = 3, seed = d + classes, dtype = dtype })
  return X, y, (X:sum(2):sin() + y:to(dtype)):to(dtype)
end

local function same(what, whole, rows, from)
  assert(whole:narrow(1, from, rows:size(1)):contiguous():bytes() == rows:bytes(),
    ("%s: other bits of row %d in a batch of %d"):format(what, from, rows:size(1)))
end

-- say(X) has a row for each of X.
local function check(what, say, X)
  local n, d = X:size(1), X:size(2)
  peri.set_num_threads(1)
  local whole = say(X)
  for _, from in ipairs { 1, 17, 256, 257, n } do
    same(what, whole, say(X:narrow(1, from, 1)), from)
  end
  same(what, whole, say(X:narrow(1, 3, 5)), 3)
  same(what, whole, say(X:narrow(1, 100, 150)), 100)
  local wide = peri.cat({ X, X }, 2):narrow(2, d + 1, d)
  same(what .. ", part of wider rows", whole, say(wide), 1)
  same(what .. ", transposed", whole, say(X:t():contiguous():t()), 1)
  peri.set_num_threads(3)
  same(what .. ", three threads", whole, say(X), 1)
end

local function with(options, max_iter)
  local all = { max_iter = max_iter }
  for name, value in pairs(options) do all[name] = value end
  return all
end

local function decides(what, machine, X)
  check(what, function(rows) return machine:decision_function(rows) end, X)
end

describe("a row alone #alone #once", function()
  local threads = peri.get_num_threads()
  after_each(function() peri.set_num_threads(threads) end)

  local KERNELS = { { kernel = "rbf" }, { kernel = "poly", degree = 3, coef0 = 1 }, { kernel = "linear" },
                    { kernel = "sigmoid", gamma = 0.01 } }

  for _, dtype in ipairs { "float32", "float64" } do
    for _, d in ipairs { 2, 8, 9, 30, 784 } do
      it(("has its decisions: %d features of %s"):format(d, dtype), function()
        local X, y, z = sample(ROWS, d, 3, dtype)
        for _, options in ipairs(KERNELS) do
          local about = options.kernel .. ", " .. d .. " features"
          decides("SVC " .. about, svm.SVC(with(options, MOST)):fit(X, y), X)
          local regression = svm.SVR(with(options, MOST)):fit(X, z)
          check("SVR " .. about, function(rows) return regression:predict(rows) end, X)
        end
        decides("OneClassSVM", svm.OneClassSVM { nu = 0.2 }:fit(X), X)
        decides("NuSVC", svm.NuSVC { nu = 0.5, max_iter = MOST }:fit(X, y), X)
      end)
    end

    it("has them of linear machines and approximations: " .. dtype, function()
      for _, d in ipairs { 2, 30, 784 } do
        local X, y, z = sample(ROWS, d, 3, dtype)
        decides("LinearSVC", svm.LinearSVC {}:fit(X, y), X)
        decides("LogisticRegression", svm.LogisticRegression {}:fit(X, y), X)
        local regression = svm.LinearSVR {}:fit(X, z)
        check("LinearSVR", function(rows) return regression:predict(rows) end, X)
        for _, name in ipairs { "Nystroem", "RBFSampler" } do
          local features = svm[name] { gamma = 0.1, n_components = 70 }:fit(X)
          check(name, function(rows) return features:transform(rows) end, X)
        end
        local principal = peri.data.PCA { components = 2 }:fit(X)
        check("PCA", function(rows) return principal:transform(rows) end, X)
      end
    end)
  end

  it("has them of machines computed in float32, and of more support vectors than a tile has", function()
    for _, d in ipairs { 2, 30, 784 } do
      local X = sample(2100, d, 2, "float32")
      peri.manual_seed(d)
      local y = peri.randint(1, 2, { 2100 }) -- nothing to learn: nearly all rows are support vectors
      for _, options in ipairs { { gamma = 1 / d }, { kernel = "poly", coef0 = 1 } } do
        options.C = 0.01
        local machine = svm.SVC(with(options, 1500)):fit(X, y)
        assert(machine.support:size(1) > 1100, "few support vectors")
        decides("SVC of 2100 rows", machine, X:narrow(1, 1, ROWS):contiguous())
      end
    end
  end)

  it("has them where classes have fewer support vectors than there are others", function()
    local X, y = sample(ROWS, 20, 60, "float32")
    decides("SVC of 60 classes", svm.SVC { gamma = 0.001 }:fit(X, y), X)
  end)

  it("has its kernel values", function()
    for _, d in ipairs { 2, 30, 784 } do
      local X = sample(ROWS, d, 3, "float32")
      local others = sample(300, d, 4, "float32")
      for _, options in ipairs(KERNELS) do
        check("kernel_matrix", function(rows) return svm.kernel_matrix(rows, others, options) end, X)
      end
    end
  end)
end)
