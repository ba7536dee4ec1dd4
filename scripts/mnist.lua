-- A network of one hidden layer on handwritten digits.
--
--   perilune scripts/mnist.lua [--data DIR] [--epochs N] [--hidden N] [--batch N] [--lr X]
--
-- DIR holds the four IDX files of MNIST (plain or .gz); without it, generated digits are used.

local peri = require "perilune"
local nn, optim, data = peri.nn, peri.optim, peri.data

local options = { epochs = 3, hidden = 128, batch = 128, lr = 0.1 }
local function usage(reason)
  io.stderr:write("mnist.lua: ", reason, "\n",
    "usage: mnist.lua [--data DIR] [--epochs N] [--hidden N] [--batch N] [--lr X]\n")
  os.exit(1)
end
for i = 1, #arg, 2 do
  local name, value = arg[i]:match("^%-%-(%w+)$"), arg[i + 1]
  if name ~= "data" and not options[name or ""] then usage("unknown option " .. arg[i]) end
  if not value then usage("a value is missing after " .. arg[i]) end
  local number = name == "lr" and tonumber(value) or math.tointeger(tonumber(value))
  if name ~= "data" and not (number and number > 0) then
    usage(("--%s must be a %s above 0, got %s"):format(name, name == "lr" and "number" or "whole number", value))
  end
  options[name] = name == "data" and value or number
end

local train, test
if options.data then
  local set = data.mnist(options.data)
  train, test = set.train, set.test
else
  print("no --data: 10,000 generated digits for training, 2,000 for testing")
  train, test = {}, {}
  train.x, train.y = data.digits(10000, { seed = 1 })
  test.x, test.y = data.digits(2000, { seed = 2 })
end

peri.manual_seed(0)
local net = nn.Sequential(nn.Linear(train.x:size(2), options.hidden), nn.Tanh(), nn.Linear(options.hidden, 10))
local ce = nn.CrossEntropyLoss()
local opt = optim.SGD(net:parameters(), { lr = options.lr })

-- Accuracy in per cent, and the mean loss.
local function evaluate(set)
  return peri.no_grad(function()
    local scores = net(set.x)
    return 100 * scores:argmax(2):eq(set.y):to("float32"):mean():item(), ce(scores, set.y):item()
  end)
end

local function report(label)
  local accuracy, loss = evaluate(train)
  local test_accuracy, test_loss = evaluate(test)
  print(("%s: Acc train %.1f%% (%.2f), acc test %.1f%% (%.2f)"):format(label, accuracy, loss, test_accuracy, test_loss))
end

-- An Iter is 100 mini-batches; every tenth is reported.
local batches = data.loader({ train.x, train.y }, { batch_size = options.batch, shuffle = true, seed = 1 })
local count, seconds = 0, 0
for epoch = 1, options.epochs do
  local start = peri.now()
  for x, y in batches do
    opt:zero_grad()
    ce(net(x), y):backward()
    opt:step()
    count = count + 1
    if count % 100 == 0 and (count // 100 % 10 == 0 or not options.data) then
      seconds = seconds + (peri.now() - start)
      report(("Iter %d"):format(count // 100))
      start = peri.now()
    end
  end
  seconds = seconds + (peri.now() - start)
  report(("Epoch %d"):format(epoch))
end
print(("%d mini-batches in %.2f s: %.3f s an epoch"):format(count, seconds, seconds / options.epochs))
