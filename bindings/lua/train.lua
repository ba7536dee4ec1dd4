-- peri.train: training loops, and networks as estimators.
local peri, internal = ...
local input = internal.load("learn.input", peri, internal)
local data = internal.load("train.data", peri, internal, input)
local progress = internal.load("train.progress", internal.process, data, internal)
local measures = internal.load("train.measures", peri, internal)
local history = internal.load("train.history", peri, measures)
local checkpoint = internal.load("train.checkpoint", peri, internal, history)
local watch = internal.load("train.watch", peri, measures)
local loop = internal.load("train.loop", peri, internal, progress, measures, watch, checkpoint,
  history)
local scores = internal.load("train.scores", peri, internal, measures, loop)
local batches = internal.load("train.batches", peri, internal, data)
local prepare = internal.load("train.prepare", peri, internal, data, { measures = measures, checkpoint = checkpoint,
  loop = loop, batches = batches })
local combinations = internal.load("learn.combinations", peri, internal)
local together = internal.load("train.together", peri, internal, progress, combinations.explain)
internal.together = together
local estimator = internal.load("train.estimator", peri, internal, data, { prepare = prepare, loop = loop,
  measures = measures, together = together, scores = scores })

local sweep = internal.load("train.sweep", peri, internal, data, { prepare = prepare, estimator = estimator,
  together = together, combinations = combinations, aligned = input.aligned })
local find = internal.load("train.find", peri, internal, data, { prepare = prepare, loop = loop })

local classes = estimator.classes
local train = {}

-- What predicts as train.fit's result does, of a model file: {model, dtype, classes, flat, input}.
function internal.fitted_network(fields)
  fields._class = "Fitted"
  return setmetatable(fields, classes.Fitted)
end

internal.set_class("train.fitted", "Methods of networks as estimators", classes.Fitted)
internal.set_class("train.Classifier", "Methods of networks as estimators", classes.Classifier)
internal.set_class("train.Regressor", "Methods of networks as estimators", classes.Regressor)

local function document(name, doc, f, ...)
  for _, where in ipairs { ... } do internal.document(name, doc, f, where) end
end

document("fit", [[
train.fit{model =, optimizer = | step =, train = {X, y}, dev = {X, y}, loss =, epochs = 10, batch_size = 32, ..} -> m
Trains a network by mini-batches. X: a row for each example, a tensor (converted to the model's dtype) or a table of
rows. y, classification: n whole labels of any values (int64, whole floats, a table), mapped to 1..k by sorted value;
the model gives n x k logits. y, regression: n or n x m numbers. Which of both it is says the loss
(CrossEntropyLoss, MSELoss), else y (int64 is classification), or task = 'classification' or 'regression'. loss: of
nn, or a function (scores, targets) -> one number; CrossEntropyLoss or MSELoss by default.
train and dev may also be a data.loader of x and y (and weights of rows); a list of mini-batches, {{x, y}, ..} of
tensors; or a function(epoch) that gives an iterator of x, y (and weights) for each epoch, which needs classes = {..}
for labels, and task where the loss does not say it. batch_size, shuffle and seed are for {X, y} alone.
model: a layer, or a function of x that gives scores, with parameters = {the tensors that it works with}. step(x, y):
changes the parameters for one mini-batch in place of loss, backward and optimizer; it gets labels as 1..k, targets as
n x m.

Steps: accumulate = 1 (so many mini-batches give their gradients to one step, which equals that of one large
mini-batch up to rounding, apart from layers such as batch norm, which see each by itself; an epoch's last step takes
what is left), clip_grad_value (each value of the gradients), clip_grad_norm (of all gradients together; after the
values), ema (a decay, {decay =} or an optim.EMA: averages of the parameters after each step, which dev and
measure_train measure and the model has in the end; field ema), scheduler (stepped after each epoch; ReduceLROnPlateau,
and schedules in Lua, get the dev or else train loss; with mode 'max' the accuracy or R^2).
Data: shuffle = true, seed (of the orders; drawn from the default stream when left out), classes (a list, when y lacks
some), sample_weight (n numbers >= 0, weights of train's rows: a mini-batch's loss is sum(w l) / sum(w), a step gets
them third, measures of train are weighted, rows of weight 0 are as if absent; for CrossEntropyLoss and MSELoss).
Measures: metrics = {name = f(scores, targets), ..}, functions that give a number; dev is given to them as a whole,
train by mini-batches, whose mean by rows is taken; measure_train = false (true, and with step: train measures are taken
after each epoch, else they are means over its mini-batches as they were before their steps).
Ends: early_stopping = {patience = 10, min_delta = 0, monitor = 'dev_loss', or without dev 'train_loss', mode = 'min' or
'max' where monitor is one of metrics} (training ends after patience epochs without improvement, and the best parameters
come back), keep_best = path or {path =, monitor =, mode =} (after each epoch that is the best so far the model's
state_dict is written there with peri.save; by default what early_stopping watches).
Functions: callbacks, a function of the state after each epoch {epoch =, epochs =, learning_rate =, seconds =, model =,
optimizer =, the measures}, or a table of on_epoch_begin, on_epoch_end, on_step_begin, on_step_end and on_batch, or a
list of these; on_batch, a function. Within an epoch the state is {epoch =, loss = (before the update; not with step),
seconds = (of training), learning_rate =, model =, optimizer =} with step = (since the start), or of on_batch batch =
(in the epoch) and batches = (since the start), one table that is used again. Functions of a table get it second. false
ends the training; their time does not count. progress (true, false; by default only when stderr is a terminal).
check = false (true: before the first step train.lint looks at the first rows; m.findings is what it found, which is
also written to stderr unless progress is false).
Checkpoints: checkpoint = {path =, every = (steps), epochs = 1} writes all that the training is made of to a file, after
so many steps or epochs and when the training ends: parameters and buffers, optimizer, schedule, averages, streams of
random numbers, the order of the data and the place in it, best values, history. resume = path goes on there; the
parameters are those of a training that was never stopped, bit for bit. Where resume is the path of checkpoint and there
is no such file yet, the training begins. state = {name = object, ..}: what else is held, generators (peri.Generator)
and objects with state_dict and load_state_dict; callbacks that have these are held too. The options must be those of
before, but for epochs. A function's batches are made again up to the place, from the streams as they were.
Fields: model, classes (k, int64); history, float64, an entry for each epoch: train_loss, train_accuracy or train_r2,
dev_loss, dev_accuracy or dev_r2, those of metrics (train_name, dev_name), learning_rate, seconds (of training until
then); epochs, stopped ('epochs', 'early_stopping', 'callback' or 'diverged'; 'error' in train.unfinished), best_epoch
and monitor (of early stopping), kept ({epoch =, monitor =, path =} of keep_best), ema, diverged, note, not_replayed
(why no step was recorded and made again in C, as peri.replay does it, such as a layer or loss written in Lua; nil where
they were). A loss that is not finite ends the training: diverged is true and note says where.
Every layer of the model has afterwards the mode (train or eval) that it had before, also after an error. Ctrl-C is an
error like others: the model keeps what it has learnt until then, and train.unfinished() gives the history.
Errors: unknown options, wrong values, shapes, labels that are not whole or, in dev, not in train; an optimizer that
holds none of the model's parameters, a schedule of another optimizer; a checkpoint that is damaged or of another
training, which changes nothing.]],
  estimator.fit, train)

document("sweep", [[
train.sweep{build = f, train = {X, y}, dev = {X, y}, seeds = n | {..}, params = {..}, epochs = 10, ..} -> result
Trains many networks that differ in parameters and seeds, side by side on all threads, each bit for bit as if it were
trained alone: as train.Classifier{build = f, params = p, seed = s, ..}:fit(X, y, {dev =}), or Regressor.
build = function(p) return net, optimizer end makes each of them anew, as for Classifier; p = its parameters, n_features
and n_classes or n_outputs. params = {name = {value, ..}}: all combinations, names in sorted order, the last one varies
fastest; or a list of tables {{name = value}, ..}. A name that is an option of Classifier (batch_size, epochs, ..) is
that option, all others are build's. seeds: so many, from 1 on, or a list; each combination is trained with each
(1). What needs no Lua (mini-batches, steps of built-in layers, losses and optimizers) runs on one thread for each
network; measures, schedules, early stopping and callbacks run in Lua, network by network. Small networks of the same
layers go sixteen at a time, but with sample_weight and clip_grad_norm. on_batch and layers in Lua are trained one
network after the other.
Options: those of Classifier but seed, and train, dev, sample_weight, task as of train.fit; monitor (what best is by:
that of early_stopping, else 'dev_loss', or 'train_loss' without dev) with mode = 'min' or 'max' where it is one of
metrics. progress = true shows how many networks are through.
Fields, candidates in order: estimators (fitted), params, seeds, stopped (lists), epochs, best_epochs (k, int64), scores
(k, float64: monitor at the epoch whose parameters the network has, NaN where it diverged); the histories of train.fit
but seconds, k x epochs, float64, NaN behind an early end; monitor. results, best first, of equals the first:
{estimator =, params =, seed =, score =, epochs =, stopped =, number = (of the candidate)}; best, best_params,
best_seed, best_score. tostring gives a table of the best 20, and plot a picture.
Errors: as fit and build, with the parameters and the seed that led to them; build that gives a network twice. After an
error, also Ctrl-C, train.unfinished() gives the result of those that were through and those that were under way.]],
  sweep.sweep, train)
internal.set_class("train.swept", "Methods of a sweep", sweep.class)
document("plot", [[
result:plot{measure =, title =, ...} -> figure
The mean over seeds of a history (that of monitor) over the epochs, with a band of one standard deviation to each side:
a curve for each combination of parameters, of many the best 8. Of one combination, train beside dev. Further options:
those of plot.figure.
Errors: a measure that there is not.]], sweep.class.plot, sweep.class)

document("unfinished", [[
train.unfinished() -> m or nil
What the last training had come to when an error ended it, such as Ctrl-C or one of a callback, as train.fit (or the
estimator whose fit it was) would have given it: the model with the parameters that it has now, and the history of the
whole epochs. stopped is 'error' and note the error; after early_stopping the model is not changed, and best holds the
parameters of best_epoch: m.model:load_state_dict(m.best). nil when the last training came to its end; it is forgotten
when the next begins.]], estimator.unfinished, train)

document("lint", [[
train.lint{model =, loss =, x =, y =, optimizer = | step =} -> list
What is often wrong with a training, found by a step on one mini-batch, x and y; afterwards everything is as it was:
parameters, gradients, optimizer, random stream, modes. Each finding is {kind =, text =}; an empty list is good news.
kind 'labels': labels that do not count from 1 to the number of scores. 'activation': a softmax or sigmoid before a loss
that computes its own. 'gradient': parameters that no gradient reaches, or zeros alone. 'units': more than half of the
units behind a ReLU are 0 for all rows. 'step': a step that changes nothing, or too little for the loss to move.
'zero_grad': with step(x, y), a training step of one's own, gradients that add up from step to step. 'loss': a loss that
is not finite.
Errors: options that are missing or wrong; what model, loss and step raise.]],
  function(...) return internal.load("train.lint", peri, internal).lint(...) end, train)

document("lr_find", [[
train.lr_find{model =, optimizer =, train =, loss =, low = 1e-7, high = 10, steps = 100, scale = 'log', ..} -> f
A training whose learning rate grows from low to high with each mini-batch: where the loss begins to fall, and where it
grows again, says which rates are worth using (the range test of L. Smith, 'Cyclical learning rates for training neural
networks', 2017, which has scale = 'linear'). It ends when the smoothed loss is stop = 4 times the least before, or not
finite. Model, optimizer and the default stream are afterwards what they were. Of several groups the first has that
rate, others theirs in proportion.
Options: those of train.fit that say what is trained: model, parameters, optimizer, loss, train, sample_weight, task,
classes, batch_size = 32, shuffle, seed, clip_grad_norm, clip_grad_value; smoothing = 0.9 (of the running mean of the
losses, corrected for its beginning).
Fields: rates, losses, smoothed (float64, one entry for each mini-batch), suggestion: the rate at which the smoothed
loss falls fastest before it is least, without the first mini-batches (nil where it never falls); scale. f:plot()
shows them.
Errors: as fit.]], find.lr_find, train)
internal.set_class("train.found", "Methods of a range test", find.class)
document("plot", [[
f:plot{title =, ...} -> figure
The losses over the rates, smoothed and as they were, and the suggestion. labels = {losses =, smoothed =, suggestion =}
are words for the legend. Further options: those of plot.figure.]], find.class.plot, find.class)

for _, name in ipairs { "Classifier", "Regressor" } do
  local text = [[
train.NAME{build = function(p) return net, optimizer end, epochs = 10, params = {}, ...} -> estimator
A network that is not fitted: build makes it in fit, with p = params and n_features (the last size of X) and OUTPUTS;
it may give a schedule third. What is named in params, and the options, can be changed by clone and searched.
Options: those of train.fit but model, parameters, optimizer, step, scheduler, train, dev, sample_weight, task,
classes, checkpoint, resume, state and keep_best; loss is LOSS by default. With seed, fit begins with
peri.manual_seed(seed), so that initial weights follow from it. The model is in eval mode when it is fitted.
Methods: fit, predict, METHODSscore, plot, clone, params. Fields after fit: as train.fit's.
Errors: unknown options and wrong values; what fit says.]]
  local words = name == "Classifier"
      and { OUTPUTS = "n_classes", LOSS = "CrossEntropyLoss", METHODS = "predict_proba, decision_function, " }
    or { OUTPUTS = "n_outputs", LOSS = "MSELoss", METHODS = "" }
  words.NAME = name
  document(name, text:gsub("%u%u%u%u+", words), estimator[name], train)
end

local methods, every = estimator.methods, { classes.Fitted, classes.Classifier, classes.Regressor }
document("predict", [[
m:predict(X) -> tensor
The label of each row, n int64 with the values that y had; of a regression numbers in the shape of y.
Errors: not fitted; X that does not fit the model.]], methods.predict, table.unpack(every))
document("predict_proba", [[
m:predict_proba(X) -> tensor
The softmax of the scores: n x k, columns in the order of classes.
Errors: as predict; a regression.]], methods.predict_proba, classes.Fitted, classes.Classifier)
document("decision_function", [[
m:decision_function(X) -> tensor
Two classes: n, logit 2 minus logit 1, positive for classes[2]. More: the n x k logits.
Errors: as predict; a regression.]], methods.decision_function, classes.Fitted, classes.Classifier)
document("score", [[
m:score(X, y) -> number
The share of rows whose label is predicted; of a regression R^2, over all outputs together.
Errors: as predict, and as fit for y.]], methods.score, table.unpack(every))
document("fit", [[
m:fit(X, y, {dev = {X, y}, sample_weight =, progress =}) -> m
Builds the network and trains it, as train.fit. After an error m is what it was before.]],
  methods.fit, classes.Classifier, classes.Regressor)
document("clone", [[
m:clone(changes) -> estimator
A new estimator, not fitted, with the options of m; changes = {name = value, ..} replaces some, or entries of params.]],
  methods.clone, classes.Classifier, classes.Regressor)
document("plot", [[
m:plot{measure = 'loss', title =, ylabel =, ...} -> figure
The history of the training: the measure ('loss', 'accuracy' or 'r2') on train and, if there was one, dev, over the
epochs; after early stopping that watched a curve which is shown, a dot at its best epoch. labels = {train =, dev =,
best =} are words for the legend. Further options: those of plot.figure.
Errors: not fitted; a measure that m does not have.]], methods.plot, table.unpack(every))
document("params", [[
m:params() -> table
The options, in a table of its own: train.Classifier(m:params()).]],
  methods.params, classes.Classifier, classes.Regressor)

return train
