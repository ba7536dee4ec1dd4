-- peri.select: which model, with which parameters. Called with the module and the table to fill, which can be called
-- as the row `select` and is loaded at the first look into it.
local peri, internal, part = ...
local input = internal.load("learn.input", peri, internal)
local rows = internal.load("learn.rows", peri, internal, input)
local folds = internal.load("select.folds", peri, internal, input, rows)
local combinations = internal.load("learn.combinations", peri, internal)
local evaluate = internal.load("select.evaluate", peri, internal, combinations)
local search = internal.load("select.search", peri, internal, input, rows, folds, evaluate, combinations)
local curves = internal.load("select.curves", peri, internal, input, rows, folds, evaluate)
local compare = internal.load("select.compare", peri, internal, input, rows, evaluate)

local function document(name, doc, f, where) internal.document(name, doc, f, where or part) end

document("KFold", [[
select.KFold{folds = 5, shuffle = true, seed = 0} -> splitter
`for train, test in splitter:split(X) do` gives, for each fold, the rows outside
of it and those in it (int64 tensors, ascending). X is a tensor, a table of rows
or their number. Fold sizes differ by one at most. Without shuffle folds are
stretches of rows, the first ones larger, as scikit-learn's. The same splitter
gives the same folds each time.
Errors: folds beyond the number of rows.]], folds.KFold)

document("StratifiedKFold", [[
select.StratifiedKFold{folds = 5, seed = 0} -> splitter
As KFold, shuffled: `splitter:split(X, y)` spreads each label of y (n whole
numbers) evenly over the folds: their counts differ by one at most.
Errors: folds beyond the number of rows of the largest class; y that holds no
labels.]], folds.StratifiedKFold)

local ESTIMATOR = [[

An estimator has fit(X, y), predict(X) and score(X, y). Machines of svm with a
kernel that differ only in C are fitted together: kernel values are computed
once, and each machine starts from that of the next smaller C (svm.path; over
folds as svm.cross_validate, whose gamma = 'scale' is that of all rows); all
else is fitted one after the other.]]

local METRIC = [[

metric is accuracy, f1_macro, f1_weighted, r2, roc_auc (more is better), mse,
mae, log_loss (less is better), or a function(pred, y), of which more is better
unless maximize = false; without it the estimator's score counts. roc_auc reads
decision_function, log_loss predict_proba.]]

local SEED = [[

cv is a number of folds (spread by label when y holds whole numbers), KFold or
StratifiedKFold; these follow from seed (0). When seed is given,
peri.manual_seed(seed) also goes before each build, so that initial weights are
alike.]]

document("cross_val_score", [[
select.cross_val_score(estimator, X, y, {cv = 5, metric =, seed = 0}) -> tensor
The scores on each fold of copies of the estimator that were fitted without it:
float64, a score for each fold. estimator is one that can be cloned, and stays
as it is, or a function() that gives a new one.]] .. ESTIMATOR ..
  METRIC .. SEED .. [[

Errors: as fit; folds beyond the number of rows; an estimator without what the
metric reads.]], search.cross_val_score)

local FIELDS = [[

Fields: best (the fitted estimator), best_params, best_score; results, best
first, of equals the first visited: {params =, score =}, over folds also {std =,
scores =}; columns (a tensor of the values of each parameter, or a list where
not all are numbers), scores and stds in the order of the visits, for plots.
tostring gives a table, and plot a picture.]]

document("grid_search", [[
select.grid_search{build = | estimator =, params =, train =, dev = | cv =, metric =, refit =, seed =, ..} -> table
Tries every combination of params = {name = {value, ..}}: build(p), p = {name =
value}, or estimator:clone(p), is fitted on train = {X, y} and scored on
dev = {X, y} or over the folds of cv. Names are taken in sorted order, the last
one varies fastest. Of dev, best is the one fitted on train; of cv it is fitted
anew on all of train (unless refit is false; maximize and refit are true by
default).]] .. ESTIMATOR .. METRIC .. SEED .. FIELDS .. [[

Errors: those of build and fit, with the parameters that led to them; both or
none of dev and cv.]], search.grid_search)

document("random_search", [[
select.random_search{build = | estimator =, params =, n = 10, train =, dev = | cv =, metric =, seed = 0, ..} -> table
As grid_search with n random combinations, which follow from seed: of params =
{name = list}, from which one is taken; {from =, to =, log = false, whole =
false}, a range with both ends (log: even in the logarithm; whole: whole
numbers); or function(random), where random draws as math.random does. When all
are lists no combination comes twice.
Errors: as grid_search; ranges that are empty or, with log, not positive.]], search.random_search)

document("learning_curve", [[
select.learning_curve{build = | estimator =, train =, dev = | cv =, sizes =, seeds =, seed =, metric =} -> table
Scores of estimators fitted on more and more rows of train = {X, y}: on these
rows, and on dev = {X, y} or the fold held out. sizes (0.1, 0.325, 0.55, 0.775,
1) up to 1 are shares, others counts; the rows are the first of a random order,
labels in proportion. With dev there is a repeat for each of seeds ({0}), which
gives the order and (when given) goes to peri.manual_seed before each build;
with cv one for each fold, as for grid_search. Fields: sizes (k, int64),
train_mean, train_std, test_mean, test_std (k, float64; std over count - 1, 0 of
one), train_scores, test_scores (k x repeats). tostring gives a table, and plot a
picture.]] .. ESTIMATOR .. METRIC .. [[

Errors: as grid_search; sizes beyond the rows that are fitted.]], curves.learning_curve)

document("validation_curve", [[
select.validation_curve{build = | estimator =, param =, values =, train =, dev = | cv =, seeds =, seed =, ..} -> table
Scores of build(p), p = {[param] = value}, or of estimator:clone(p), for each of
values, on train = {X, y} and on what is held out: dev = {X, y}, with a repeat
for each of seeds, or the folds of cv. Fields as of learning_curve, with values (a tensor, or a list where not all
are numbers) in the place of sizes.]] .. ESTIMATOR .. METRIC .. [[

Errors: as grid_search.]], curves.validation_curve)

document("compare", [[
select.compare{{name, estimator}, .., train = {X, y}, test = {X, y}, metric =, measure_train = true} -> table
Fits a copy of each estimator on train, in order, and scores it on test and (unless measure_train is false) on train. An
entry {name, estimator, train = {X, y}} has rows of its own; what cannot be fitted, as a result of train.fit, is taken
as it is. Fields: results, in order: {name =, model = (fitted), rows = (number that it was fitted on), train =, test =
(scores), fit_seconds = (of a network those of its steps), score_seconds = (of test), size = ('52 parameters', '41
support vectors')}. tostring gives a table.]] .. METRIC .. [[

Errors: as fit, with the name of the estimator.]], compare)

-- ---- pictures of the results ----

internal.set_class("select.search", "Methods of searches", search.class)
internal.set_class("select.curve", "Methods of curves", curves.class)

document("plot", [[
result:plot{title =, xlabel =, ylabel =, label =, ...} -> figure
The scores of a search. Of one parameter of numbers (others may have one value
alone): a line, over folds with a band of one standard deviation to each side,
on a log axis where all values are positive and the largest is 20 times the
smallest or more. Of a grid of two: a heat map. Of all else: the best 20 as
bars, best first. label is the line's in the legend; further options are those
of plot.figure.]], search.class.plot, search.class)

document("plot", [[
result:plot{error = false, title =, xlabel =, ylabel =, ...} -> figure
Means of the scores on train and test over sizes or values, with bands of one
standard deviation to each side where there is more than one repeat; error: 1 -
score. A log axis as for a search; values that are not numbers get bars. labels
= {train =, test =} are words for the legend. Further options: those of
plot.figure.]], curves.class.plot, curves.class)

return part
