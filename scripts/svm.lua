-- Support vector machines: kernels, margins, what C and gamma do; regression with a tube, and one class.

local peri = require "perilune"
local svm, data, plot = peri.svm, peri.data, peri.plot
local o = peri.script.options {
  about = "Kernels, C, gamma and margins on two moons; SVR on a sine; a one-class machine.",
  points = { 200, quick = 80, doc = "points to learn from", least = 20 }, seed = { 1, doc = "of the points" },
  noise = { 0.2, doc = "standard deviation of the points around their moon", most = 1000 },
}
local X, y = data.moons(o.points, { noise = o.noise, seed = o.seed })
local Xt, yt = data.moons(2000, { noise = o.noise, seed = o.seed + 1 })

local function picture(title, m, classes)
  return plot.boundary(m, X, classes, { title = title, labels = classes and { "upper moon", "lower moon" }, width = 400,
    height = 300, resolution = 100 })
end

-- 2 / |w|, the width between the margins in the kernel's space: |w|^2 = a' K a, a the coefficients of the vectors.
local function width(m)
  local options = { kernel = m.kernel, gamma = m.gamma, degree = m.degree, coef0 = m.coef0 }
  local K = svm.kernel_matrix(m.support_vectors, options):to "float64"
  local square = (m.dual_coef:matmul(K) * m.dual_coef):sum():item()
  return square > 0 and 2 / math.sqrt(square) or "none"
end

-- Fits a machine with each of the options on a page: a row of the table, and a panel in their place.
local rows = { { "machine", "C", "gamma", "vectors", "at C", "margin", "train", "test" } }
local function compare(name, title, page)
  for i, case in ipairs(page) do
    local m = svm.SVC(case):fit(X, y)
    local at_C = m.dual_coef:abs():ge(m.C * (1 - 1e-9)):sum():item() -- on the wrong side of their margin
    rows[#rows + 1] = { m.kernel, m.C, m.kernel == "linear" and "none" or m.gamma, #m.support, at_C, width(m),
      m:score(X, y), m:score(Xt, yt) }
    local kernel = m.kernel == "poly" and ("poly of degree %d"):format(m.degree) or m.kernel
    page[i] = picture(title:format(kernel, m.C, m.gamma), m, y)
  end
  o:save(plot.page(page), name)
end
compare("kernels", "%s", { title = "Four kernels, C = 1", legend = "below", width = 1040, height = 720,
  doc = "What each kernel makes of the moons: its boundary, its margins and its support vectors.",
  { kernel = "linear" }, { kernel = "poly", coef0 = 1 }, {}, { kernel = "sigmoid" } })
compare("C_and_gamma", "%s, C = %g, gamma = %g", { cols = 3, legend = "below", height = 620,
  doc = "Small C and small gamma are stiff and lean on many vectors; large gamma winds around single points. "
    .. "Where nearly all points are support vectors, none has a ring.",
  title = "rbf: C above, gamma below; from too stiff to too free", { C = 0.1, gamma = 1 }, { C = 10, gamma = 1 },
  { C = 1000, gamma = 1 }, { gamma = 0.1 }, { gamma = 5 }, { gamma = 100 } })
print(peri.script.table(rows))

local g = svm.grid_search(svm.SVC {}, X, y, { C = { 0.01, 0.1, 1, 10, 100, 1000 }, gamma = { 0.01, 0.1, 1, 10, 100 },
  seed = o.seed })
print(("\nbest of the grid: C = %g, gamma = %g, over folds %.3f, test %.3f"):format(g.best_params.C,
  g.best_params.gamma, g.best_score, g.best:score(Xt, yt)))
o:save(g:plot { title = "rbf: accuracy over 5 folds", doc = "The dark cells are best: C and gamma make up for each "
  .. "other along a ridge." }, "grid")

-- Regression: points inside the tube cost nothing, and those on it or outside are the support vectors.
peri.manual_seed(o.seed)
local x = peri.linspace(-3, 3, o.points)
local column, target = x:view(-1, 1), x:sin() + peri.randn(o.points) * 0.2
rows = { { "SVR, epsilon", "vectors", "outside the tube", "train R^2", "R^2 of the sine" } }
local tubes = { title = "Regression: the tube, and its support vectors", cols = 3, share = "y",
  doc = "The wider the tube, the fewer support vectors are on its edge or outside." }
for i, epsilon in ipairs { 0.05, 0.3, 0.6 } do
  local m = svm.SVR { C = 10, epsilon = epsilon }:fit(column, target)
  local f = m:predict(column)
  local outside = (target - f):abs():gt(epsilon + 1e-3):to("float64"):mean():item()
  rows[i + 1] = { epsilon, #m.support, outside, m:score(column, target), m:score(column, x:sin()) }
  tubes[i] = plot.figure { title = ("epsilon = %g"):format(epsilon), xlabel = "x", ylabel = "y", width = 400,
    height = 380 }
  tubes[i]:line(x, f, { label = "SVR" }):band(x, f - epsilon, f + epsilon, { label = "tube" })
  tubes[i]:scatter(x, target, { label = "points", color = "gray", size = 4 })
  tubes[i]:scatter(x[m.support], target[m.support],
    { color = "none", edgecolor = "black", size = 7, label = "support vectors" })
end
print("\n" .. peri.script.table(rows))
o:save(plot.page(tubes), "svr")

-- One class: at most a share nu of the points is left outside, and at least nu of them are support vectors.
rows = { { "one class, nu", "vectors", "outside, of these", "outside, of others" } }
local ones = { title = "One class: where the points are", cols = 3, legend = "below",
  doc = "The larger nu, the more points are left outside." }
for i, nu in ipairs { 0.05, 0.2, 0.5 } do
  local m = svm.OneClassSVM { nu = nu, gamma = 2 }:fit(X)
  local function outside(points) -- what lies on the boundary, as near as tol, does not
    return m:decision_function(points):lt(-m.tol):to("float64"):mean():item()
  end
  rows[i + 1] = { nu, #m.support, outside(X), outside(Xt) }
  ones[i] = picture(("nu = %g"):format(nu), m)
end
print("\n" .. peri.script.table(rows))
o:save(plot.page(ones), "one_class")
o:finish()
