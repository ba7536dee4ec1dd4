-- What a guest may do: train a network, and keep it in its folder.
local peri = require "perilune"
local X, y = peri.data.circles(200, { noise = 0.1, factor = 0.5, seed = 1 })
local net = peri.nn.Sequential(peri.nn.Linear(2, 10), peri.nn.Tanh(), peri.nn.Linear(10, 2))
local loss_of, optimizer = peri.nn.CrossEntropyLoss(), peri.optim.Adam(net:parameters(), { lr = 0.05 })
local loss
for _ = 1, 100 do
  optimizer:zero_grad()
  loss = loss_of(net(X), y)
  loss:backward()
  optimizer:step()
end
peri.save("net.st", net:state_dict())
return loss:item() < 0.1 and peri.metrics.accuracy(net(X):argmax(2), y) == 1 and 1 or 0
