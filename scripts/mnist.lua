-- A network of one hidden layer, and a support vector machine, on handwritten digits.
--
--   perilune scripts/mnist.lua [--quick] [--data DIR] [--out DIR] [--epochs N] [--hidden N] [--batch N] [--lr X]
--     [--plots no] [--svm N] [--c X] [--gamma X]
--
-- DIR holds the four IDX files of MNIST (plain or .gz); without it, generated digits are used.

local peri = require "perilune"
local nn, optim, data, plot = peri.nn, peri.optim, peri.data, peri.plot
local o = peri.script.options {
  about = "A network and an SVM on handwritten digits.",
  data = { "", word = "DIR", doc = "folder of MNIST's files; without it digits are generated" },
  digits = { 10000, quick = 2000, doc = "generated digits to learn from", least = 20 },
  epochs = { 3, doc = "passes over the digits" }, hidden = { 128, quick = 32, doc = "units of the hidden layer" },
  batch = { 128, doc = "digits in a mini-batch" }, lr = { 0.1, doc = "learning rate" },
  plots = { "yes", doc = "pictures", choices = { "yes", "no" } },
  svm = { 10000, quick = 1000, doc = "digits that the SVM learns from (the first of all)", least = 20 },
  c = { 10.0, doc = "C of the SVM" }, gamma = { 0.02, doc = "of its rbf kernel" },
}

local train, test
if o.data ~= "" then
  local set = peri.script.try(data.mnist, o.data)
  train, test = set.train, set.test
else
  print(("no --data: %d generated digits for training, 2000 for testing"):format(o.digits))
  train, test = {}, {}
  train.x, train.y = data.digits(o.digits, { seed = 1 })
  test.x, test.y = data.digits(2000, { seed = 2 })
end

peri.manual_seed(0)
local net = nn.Sequential(nn.Linear(train.x:size(2), o.hidden), nn.Tanh(), nn.Linear(o.hidden, 10))
local ce = nn.CrossEntropyLoss()
local opt = optim.SGD(net:parameters(), { lr = o.lr })

-- Accuracy in per cent, and the mean loss.
local function evaluate(set)
  return peri.no_grad(function()
    local scores = net(set.x)
    return 100 * peri.metrics.accuracy(scores:argmax(2), set.y), ce(scores, set.y):item()
  end)
end

local curves = { batches = {}, train_error = {}, test_error = {}, train_loss = {}, test_loss = {} }
local function report(label, batches)
  local accuracy, loss = evaluate(train)
  local test_accuracy, test_loss = evaluate(test)
  local row = { batches = batches, train_error = 100 - accuracy, test_error = 100 - test_accuracy, train_loss = loss,
    test_loss = test_loss }
  if batches ~= curves.batches[#curves.batches] then
    for name, list in pairs(curves) do list[#list + 1] = row[name] end
  end
  if label then
    print(("%s: Acc train %.1f%% (%.2f), acc test %.1f%% (%.2f)"):format(label, accuracy, loss, test_accuracy,
      test_loss))
  end
end

-- An Iter is 100 mini-batches; of MNIST every tenth is told.
local batches = data.loader({ train.x, train.y }, { batch_size = o.batch, shuffle = true, seed = 1 })
local every, told = 10, 100
if o.data ~= "" then every, told = 100, 1000 end
local count, seconds = 0, 0
report(nil, 0)
for epoch = 1, o.epochs do
  local start = peri.now()
  for x, y in batches do
    opt:zero_grad()
    ce(net(x), y):backward()
    opt:step()
    count = count + 1
    if count % every == 0 then
      seconds = seconds + (peri.now() - start)
      report(count % told == 0 and ("Iter %d"):format(count // 100), count)
      start = peri.now()
    end
  end
  seconds = seconds + (peri.now() - start)
  report(("Epoch %d"):format(epoch), count)
end
print(("%d mini-batches in %.2f s: %.3f s an epoch"):format(count, seconds, seconds / o.epochs))

-- The machine on the same digits, and both in one table.
local n = math.min(o.svm, #train.x)
local start = peri.now()
local machine = peri.svm.SVC { C = o.c, gamma = o.gamma }:fit(train.x[{ { 1, n } }], train.y[{ { 1, n } }])
local fitted = peri.now()
local said = machine:predict(test.x)
local predicted = peri.now()
local rows = { { "method", "digits", "test accuracy", "seconds to fit", "to predict" } }
rows[3] = { ("SVC rbf, %d support vectors"):format(#machine.support), n, peri.metrics.accuracy(said, test.y),
  fitted - start, predicted - fitted }
start = peri.now()
said = peri.no_grad(net, test.x):argmax(2)
rows[2] = { ("network 784-%d-10"):format(o.hidden), #train.x, peri.metrics.accuracy(said, test.y), seconds,
  peri.now() - start }
print(peri.script.table(rows))
if o.plots == "no" then return end

-- ---- pictures: learning, confusion, wrong digits, weights ----

local learning = { cols = 2, title = "A network learns digits" }
for i, measure in ipairs { { "_error", "errors in per cent" }, { "_loss", "cross-entropy" } } do
  learning[i] = plot.figure { xlabel = "mini-batches", ylabel = measure[2], yscale = "log" }
  for _, name in ipairs { "train", "test" } do
    learning[i]:line(curves.batches, curves[name .. measure[1]], { label = name, marker = "circle", size = 4 })
  end
end
o:save(plot.page(learning), "learning")

local names = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" }
local confusion = peri.metrics.confusion_matrix(said, test.y, { labels = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } })
local figure = plot.figure { title = "What the network says of each digit", xlabel = "predicted", ylabel = "true" }
o:save(figure:heatmap(confusion.matrix, { rows = names, columns = names, values = "%d" }), "confusion")

local wrong = said:ne(test.y):nonzero()
print(("the network takes %d of %d test digits for others"):format(#wrong, #test.x))
if #wrong > 0 then
  local shown, words = wrong[{ { 1, math.min(40, #wrong) } }], {}
  for i = 1, #shown do words[i] = ("%d as %d"):format(test.y[shown[i]] - 1, said[shown[i]] - 1) end
  figure = plot.figure { title = "Digits that the network gets wrong", width = 800,
    height = 90 + 90 * math.ceil(#shown / 10) }
  o:save(figure:images(test.x[shown], { columns = 10, labels = words, palette = "ink" }), "wrong")
end

-- A row of the first layer's weights is a picture of what its unit looks for: red where ink speaks for it.
local weights = net[1].weight:detach()[{ { 1, math.min(40, o.hidden) } }]
local most = weights:abs():max():item()
figure = plot.figure { title = "Weights of the first layer", width = 800, height = 70 + 75 * math.ceil(#weights / 10) }
figure:images(weights, { columns = 10, palette = "diverging", range = { -most, most }, colorbar = true })
o:save(figure, "weights")
print("pictures: " .. o.out)
