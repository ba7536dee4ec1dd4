-- What of peri.svm is best in Lua. Called with the module and the table that C has begun.
local peri, internal, svm = ...

local function document(name, doc, f, where) internal.document(name, doc, f, where or svm) end

-- ---- files ----

local files = internal.load("svm.files", peri, internal, svm)

local SAVE = [[
m:save(path)
Writes the estimator, options and machine, as a safetensors file, whole or not at all; svm.load reads it, and decides
bitwise as m does.
Errors: not fitted; a kernel that is a Lua function (data is never code); the file cannot be written.]]
for _, row in ipairs(svm.machines()) do
  document("save", SAVE, files.save, internal.machines[row.name].methods)
end

document("load", [[
svm.load(path) -> estimator
Reads an estimator that m:save has written. Nothing in the file is executed, and all that it claims is checked.
Errors: a file that is missing or malformed, or holds no estimator.]], files.load)

local SAVE_LIBSVM = [[
m:save_libsvm(path)
Writes the machine as a model file of LIBSVM, whole or not at all: svm-predict reads it, and svm.load_libsvm. Classes
stand in ascending order; numbers have as many digits as give the same bits again.
Errors: not fitted; a kernel that is a Lua function; the file cannot be written.]]
for _, name in ipairs { "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM" } do
  document("save_libsvm", SAVE_LIBSVM, internal.kernels.save_libsvm, internal.machines[name].methods)
end

document("load_libsvm", [[
svm.load_libsvm(path, {features =, zero_based = false}) -> estimator
Reads a model file of LIBSVM (svm-train's) as SVC, NuSVC, SVR, NuSVR or OneClassSVM, float64, that decides as
svm-predict does. Classes become ascending, whatever their order in the file (of equally many votes the lowest wins,
where svm-predict takes the first of the file). The file does not know the number of features (features =, else its
largest index), C, nu and epsilon (the defaults), nor the rows of the fit: support numbers the support vectors as they
come. zero_based: indices count from 0.
Errors name file and line: what is no model, counts that do not agree with the lines, numbers that are not finite,
support vectors that have no room within the memory limit; a file that was cut, even if it lacks its last line end
alone.]], internal.kernels.load_libsvm)

-- ---- sweeps and searches ----

local search = internal.load("svm.search", peri, internal, svm)

document("path", [[
svm.path(X, y, {Cs =, estimator =, sample_weight =, progress =, kernel = 'rbf', gamma = 'scale', ..}) -> list
A fitted estimator for each C of the list or tensor Cs, in that order: kernel values are computed once, and each machine
starts from that of the next smaller C. Options are those of svm.SVC, or those of `estimator` (SVC, SVR or NuSVR, not
necessarily fitted). X, y, sample_weight and progress as in fit. The time_limit of the options is that of one fit: m
values of C share m times as much.
Errors: as fit; an estimator without C.]], search.path)

document("cross_validate", [[
svm.cross_validate(m, X, y, {folds = 5, seed = 0, sample_weight =, progress =}) -> table
Fits the options of m without each fold in turn and predicts the rows of the fold; labels are spread evenly over the
folds, which follow from the seed. Machines with a kernel share its values between folds; they vote (probability is
left aside), and gamma = 'scale' is that of all rows. Fields: scores (folds, float64: accuracy or R^2), mean, std,
predictions (n), fold (n, int64 from 1), fit_status (1 when some fit ended before tol). m itself stays as it is; its
time_limit is that of each fit.
Errors: as fit; folds beyond the number of rows.]], search.cross_validate)

document("grid_search", [[
svm.grid_search(m, X, y, {C = {..}, gamma = {..}, folds = 5, seed = 0, refit = true, ..}) -> table
cross_validate (and its options) for each pair of C and gamma, by default m's own. Kernel values are computed once for
each gamma, and machines go from the smallest C to the largest. Fields: results, best first, of equals the first gamma
and the smallest C: {C =, gamma =, score =, std =, scores =, fit_status =}; scores, a row for each gamma as given and a
column for each C, ascending (float64, for a heat map); best_params, best_score; best, fitted on all rows unless refit
is false. tostring gives a table, and plot a picture.
Errors: as cross_validate; values that m refuses.]], search.grid_search)

internal.set_class("svm.grid", "Methods of grids over C and gamma", search.Grid)
document("plot", [[
grid:plot{title =, xlabel =, ylabel =, label =, ...} -> figure
The scores over C and gamma as a heat map; when one of them has a single value a line over the other, with a band of
one standard deviation to each side, and label in the legend. Options are those of plot.figure.]],
  search.Grid.plot, search.Grid)

-- ---- kernel approximations ----

internal.load("svm.approximation", peri, internal, svm)

return svm
