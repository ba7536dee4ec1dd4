-- A network of one hidden layer, or with --net conv one of convolutions, and a support vector machine, on handwritten
-- digits: MNIST, when --data names the folder of its four IDX files (plain or .gz), else generated ones.

local peri = require "perilune"
local nn, data, metrics, plot = peri.nn, peri.data, peri.metrics, peri.plot
local o = peri.script.options {
  about = "A network and an SVM on handwritten digits.",
  data = { "", word = "DIR", doc = "folder of MNIST's files; without it digits are generated" },
  digits = { 10000, quick = 2000, doc = "generated digits to learn from", least = 20 },
  net = { "dense", doc = "what learns", choices = { "dense", "conv" } },
  epochs = { 3, doc = "passes over the digits" },
  hidden = { 128, quick = 32, doc = "units of the dense net's hidden layer" },
  batch = { 128, doc = "digits in a mini-batch" }, lr = { 0.1, doc = "learning rate", most = 1000 },
  svm = { 10000, quick = 1000, doc = "digits that the SVM learns from (the first of all)", least = 20 },
  c = { 10.0, doc = "C of the SVM" }, gamma = { 0.02, doc = "of its rbf kernel" },
  seed = { 1, doc = "of weights and orders" },
}
local train, test, every = {}, {}, 10 -- mini-batches between measurements; every tenth is told, as an Iter of 100
if o.data ~= "" then
  local set = peri.script.try(data.mnist, o.data)
  train, test, every = set.train, set.test, 100
else
  print(("no --data: %d generated digits for training, 2000 for testing"):format(o.digits))
  train.x, train.y = data.digits(o.digits, { seed = 1 })
  test.x, test.y = data.digits(2000, { seed = 2 })
end

-- Rows of 784 pixels as images of one channel.
local Images = nn.Module.extend("Images", { replays = true })
function Images:forward(x) return x:view(#x, 1, 28, 28) end

local function dense()
  return nn.Sequential(nn.Linear(train.x:size(2), o.hidden), nn.Tanh(), nn.Linear(o.hidden, 10))
end

-- Two convolutions, each followed by the largest of every 2 x 2 pixels: 28 x 28, 14 x 14, 7 x 7.
local function conv()
  return nn.Sequential(Images(), nn.Conv2d(1, 32, 5, { padding = 2 }), nn.Tanh(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 5, { padding = 2 }), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(64 * 7 * 7, 1000), nn.Tanh(), nn.Linear(1000, 10))
end

peri.manual_seed(o.seed)
local last = o.epochs * math.ceil(#train.x / o.batch)
local net, called, optimizer, schedule, sample
if o.net == "dense" then
  net, called, sample = dense(), ("network 784-%d-10"):format(o.hidden), math.huge
  optimizer = peri.optim.SGD(net:parameters(), { lr = o.lr })
else
  net, called, sample = conv(), "network of convolutions", 1000 -- all digits would take longer than learning does
  optimizer = peri.optim.SGD(net:parameters(), { lr = o.lr, momentum = 0.8 })
  schedule = peri.optim.lr_scheduler.CosineAnnealingLR(optimizer, { T_max = last }) -- down to 0 at the last mini-batch
  print(("Iter: of the first %d digits of each set, at most"):format(sample))
end
local ce, at = nn.CrossEntropyLoss(), {}
local curves = { { "train", train, loss = {}, errors = {} }, { "test", test, loss = {}, errors = {} } }
local function measure(batches)
  local numbers, k = {}, #at + 1
  at[k] = batches
  for i, curve in ipairs(curves) do
    local some = { { 1, math.min(sample, #curve[2].x) } }
    local scores, y = peri.no_grad(net, curve[2].x[some]), curve[2].y[some]
    curve.loss[k], curve.errors[k] = ce(scores, y):item(), 100 * (1 - metrics.accuracy(scores:argmax(2), y))
    numbers[2 * i - 1], numbers[2 * i] = 100 - curve.errors[k], curve.loss[k]
  end
  if batches % (10 * every) > 0 and batches < last then return end
  print(("Iter %g: Acc train %.1f%% (%.2f), acc test %.1f%% (%.2f)"):format(batches / 100, table.unpack(numbers)))
end
measure(0)
local fitted = peri.train.fit { model = net, loss = ce, optimizer = optimizer, train = { train.x, train.y },
  epochs = o.epochs, batch_size = o.batch, seed = o.seed, progress = false,
  on_batch = function(state)
    if schedule then schedule:step() end
    if state.batches % every == 0 or state.batches == last then measure(state.batches) end
  end }
local n = math.min(o.svm, #train.x)
print(peri.select.compare { test = test, measure_train = false,
  { called, fitted, train = train },
  { "SVC rbf", peri.svm.SVC { C = o.c, gamma = o.gamma }, train = { train.x[{ { 1, n } }], train.y[{ { 1, n } }] } } })

local panels = { cols = 2, title = "A network learns digits",
  doc = "Errors and loss on train and test digits, every few mini-batches." }
for i, name in ipairs { "errors", "loss" } do
  panels[i] = plot.figure { xlabel = "mini-batches", ylabel = i == 1 and "errors in per cent" or "cross-entropy",
    yscale = "log", width = 540, height = 420 }
  for _, curve in ipairs(curves) do panels[i]:line(at, curve[name], { label = curve[1], marker = "circle" }) end
end
o:save(plot.page(panels), "learning")

local said = fitted:predict(test.x)
local confusion = metrics.confusion_matrix(said, test.y, { labels = peri.arange(1, 10) })
o:save(confusion:plot { title = "What the network says of each digit", names = peri.arange(0, 9),
  doc = "Rows are true digits, columns what they were taken for." }, "confusion")

local wrong = said:ne(test.y):nonzero()
print(("the network takes %d of %d test digits for others"):format(#wrong, #test.x))
if #wrong > 0 then
  local shown, words = wrong[{ { 1, math.min(40, #wrong) } }], {}
  for i = 1, #shown do words[i] = ("%d as %d"):format(test.y[shown[i]] - 1, said[shown[i]] - 1) end
  local figure = plot.figure { title = "Digits that the network gets wrong", width = 800,
    height = 90 + 90 * math.ceil(#shown / 10), doc = "Above each the true digit, and what it was taken for." }
  o:save(figure:images(test.x[shown], { columns = 10, labels = words, palette = "ink" }), "wrong")
end

-- A row of the first layer's weights, or a kernel, is a picture of what its unit looks for: orange where ink speaks for
-- it.
local function weights_of(layer, what)
  local rows = layer.weight:detach():flatten(2)[{ { 1, math.min(40, #layer.weight) } }]
  local most = rows:abs():max():item()
  local figure = plot.figure { title = "Weights of the first layer", width = 800,
    height = 70 + 85 * math.ceil(#rows / 8), doc = ("Orange where ink speaks for %s, blue where it speaks against it.")
      :format(what) }
  return figure:images(rows, { columns = 8, palette = "diverging", range = { -most, most }, colorbar = true })
end

if o.net == "dense" then
  o:save(weights_of(net[1], "a hidden unit"), "weights")
else
  print(("learning took %.1f s: %.0f digits a second"):format(fitted.seconds[-1],
    fitted.epochs * #train.x / fitted.seconds[-1]))
  o:save(weights_of(net[2], "a channel"), "weights")
  local maps = peri.no_grad(function() return net[3](net[2](net[1](test.x[{ { 1, 1 } }])))[1] end)
  local figure = plot.figure { title = "What the first convolution makes of a digit", width = 800, height = 410,
    doc = "The test digit's image in each channel, between -1 and 1." }
  o:save(figure:images(maps, { columns = 8, palette = "diverging", range = { -1, 1 }, colorbar = true }), "maps")
end
o:finish()
