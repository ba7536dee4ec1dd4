-- Support vector machines: kernels, margins, what C and gamma do; regression with a tube, and one class.
--
--   perilune scripts/svm.lua [--quick] [--out DIR] [--points N] [--noise X] [--seed N]

local peri = require "perilune"
local svm, data, plot = peri.svm, peri.data, peri.plot
local o = peri.script.options {
  about = "Kernels, C, gamma and margins on two moons; SVR on a sine; a one-class machine.",
  points = { 200, quick = 80, doc = "points to learn from", least = 20 }, seed = { 1, doc = "of the points" },
  noise = { 0.2, doc = "standard deviation of the points around their moon" },
}
local X, y = data.moons(o.points, { noise = o.noise, seed = o.seed })
local Xt, yt = data.moons(2000, { noise = o.noise, seed = o.seed + 1 })

-- A machine's decision over the plane, with its margins, and a ring around each support vector.
local function picture(title, m, points, classes)
  local figure = plot.figure { title = title, xlabel = "x1", ylabel = "x2", width = 440, height = 470,
    aspect = "equal", legend = "below" }
  figure:regions { kind = "decision", extent = { -1.8, 2.8, -1.8, 2.2 }, resolution = o.quick and 60 or 100,
    label = "boundary", margins = classes ~= nil, margin_label = "margins",
    predict = function(p) return m:decision_function(p) end }
  figure:scatter(points, classes and { class = classes, labels = { "upper moon", "lower moon" }, size = 5 }
    or { label = "points", color = "green", size = 5 })
  return figure:scatter(m.support_vectors, { color = "none", edgecolor = "black", size = 8, label = "support vectors" })
end

-- 2 / |w|, the width between the margins in the kernel's space: |w|^2 = a' K a, a the coefficients of the vectors.
local function width(m)
  local gamma = m.gamma > 0 and m.gamma or nil -- the linear kernel has none
  local kernel = { kernel = m.kernel, gamma = gamma, degree = m.degree, coef0 = m.coef0 }
  local a, K = m.dual_coef, svm.kernel_matrix(m.support_vectors, nil, kernel):to "float64"
  local square = (a:matmul(K) * a):sum():item()
  return square > 0 and 2 / math.sqrt(square) or "none"
end

-- Fits a machine for each case; rows of the table, panels of the page.
local rows = { { "machine", "C", "gamma", "vectors", "at C", "margin", "train", "test" } }
local function compare(title, cases)
  local panels = {}
  for i, case in ipairs(cases) do
    local m = svm.SVC(case):fit(X, y)
    local kernel = case.kernel or "rbf"
    local at_C = m.dual_coef:abs():ge(m.C * (1 - 1e-9)):sum():item() -- on the wrong side of their margin
    local gamma = m.gamma > 0 and m.gamma or "none"
    rows[#rows + 1] = { kernel, m.C, gamma, #m.support, at_C, width(m), m:score(X, y), m:score(Xt, yt) }
    panels[i] = picture(title:format(kernel, m.C, m.gamma), m, X, y)
  end
  return panels
end
local kernels = compare("%s", { { kernel = "linear" }, { kernel = "poly", coef0 = 1 }, {}, { kernel = "sigmoid" } })
kernels.title = "Four kernels, C = 1"
local sweeps = compare("%s, C = %g, gamma = %g", {
  { C = 0.1, gamma = 1 }, { C = 10, gamma = 1 }, { C = 1000, gamma = 1 },
  { gamma = 0.1 }, { gamma = 5 }, { gamma = 100 },
})
sweeps.title, sweeps.cols = "rbf: C above, gamma below; from too stiff to too free", 3
print(peri.script.table(rows))

-- Accuracy over 5 folds for each pair of C and gamma.
local Cs, gammas = { 0.01, 0.1, 1, 10, 100, 1000 }, { 0.01, 0.1, 1, 10, 100 }
local g = svm.grid_search(svm.SVC {}, X, y, { C = Cs, gamma = gammas, seed = o.seed })
print(("\nbest of the grid: C = %g, gamma = %g, over folds %.3f, test %.3f"):format(g.best_params.C,
  g.best_params.gamma, g.best_score, g.best:score(Xt, yt)))
local grid = plot.figure { title = "rbf: accuracy over 5 folds", xlabel = "C", ylabel = "gamma" }
grid:heatmap(g.scores, { rows = gammas, columns = Cs, values = "%.3f", colorbar = "accuracy" })

-- Regression: points inside the tube cost nothing, and those on it or outside are the support vectors.
local x = peri.linspace(-3, 3, o.points):view(-1, 1)
peri.manual_seed(o.seed)
local target = x:view(-1):sin() + peri.randn(o.points) * 0.2
rows = { { "SVR, epsilon", "vectors", "outside the tube", "train R^2", "R^2 of the sine" } }
local tubes = { title = "Regression: the tube, and its support vectors", cols = 3 }
for i, epsilon in ipairs { 0.05, 0.3, 0.6 } do
  local m = svm.SVR { C = 10, epsilon = epsilon }:fit(x, target)
  local f = m:predict(x)
  local outside = (target - f):abs():gt(epsilon + 1e-3):to("float64"):mean():item()
  rows[i + 1] = { epsilon, #m.support, outside, m:score(x, target), m:score(x, x:view(-1):sin()) }
  tubes[i] = plot.figure { title = ("epsilon = %g"):format(epsilon), xlabel = "x", ylabel = "y", width = 440,
    height = 400, legend = "below" }
  tubes[i]:line(x:view(-1), f, { label = "SVR" }):band(x:view(-1), f - epsilon, f + epsilon, { label = "tube" })
  tubes[i]:scatter(x:view(-1), target, { label = "points", color = "gray", size = 4 })
  tubes[i]:scatter(m.support_vectors:view(-1), target[m.support], { color = "none", edgecolor = "black", size = 7,
    label = "support vectors" })
end
print("\n" .. peri.script.table(rows))

-- One class: at most a share nu of the points is left outside, and at least nu of them are support vectors.
rows = { { "one class, nu", "vectors", "outside, of these", "outside, of others" } }
local ones = { title = "One class: where the points are", cols = 3 }
for i, nu in ipairs { 0.05, 0.2, 0.5 } do
  local m = svm.OneClassSVM { nu = nu, gamma = 2 }:fit(X)
  local function outside(points) -- what lies on the boundary, as near as tol, does not
    return m:decision_function(points):lt(-m.tol):to("float64"):mean():item()
  end
  rows[i + 1] = { nu, #m.support, outside(X), outside(Xt) }
  ones[i] = picture(("nu = %g"):format(nu), m, X)
end
print("\n" .. peri.script.table(rows))

o:save(plot.page(kernels), "kernels")
o:save(plot.page(sweeps), "C_and_gamma")
o:save(grid, "grid")
o:save(plot.page(tubes), "svr")
o:save(plot.page(ones), "one_class")
print("pictures: " .. o.out)
