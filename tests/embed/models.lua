-- Trains and saves what the hosts score: models.lua FOLDER
local folder = ...
local peri = require "perilune"
local nn, data = peri.nn, peri.data
peri.manual_seed(1)
local X, y = data.moons(400, { noise = 0.2, seed = 1 })
local small = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 2))
peri.save_model(folder .. "/small.model", peri.train.fit {
  model = small, optimizer = peri.optim.Adam(small:parameters(), { lr = 0.02 }), train = { X, y }, epochs = 5,
  seed = 1, progress = false,
})
peri.save_model(folder .. "/wide.model", nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)))
peri.save_model(folder .. "/machine.model", peri.svm.SVC { C = 1 }:fit(X, y))
peri.save_model(folder .. "/pipeline.model",
  peri.model.pipeline { data.StandardScaler(), peri.svm.SVC { C = 10, probability = true } }:fit(X, y))
-- what the library for scoring alone has no layers for
peri.save_model(folder .. "/bags.model", nn.Sequential(nn.EmbeddingBag(9, 3)), { input = { 2 } })
-- digits in MNIST's files
for prefix, n in pairs { train = 2000, t10k = 500 } do
  local x, labels = data.digits(n, { seed = n })
  data.write_idx(("%s/%s-images-idx3-ubyte"):format(folder, prefix), (x * 255):round():to("uint8"):view(n, 28, 28))
  data.write_idx(("%s/%s-labels-idx1-ubyte"):format(folder, prefix), (labels - 1):to "uint8")
end
