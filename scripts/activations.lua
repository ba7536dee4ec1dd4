-- Activations of deep networks: what linear layers cannot learn, and how gradients vanish with depth.

local peri = require "perilune"
local nn, optim, data, plot = peri.nn, peri.optim, peri.data, peri.plot

local o = peri.script.options {
  about = "Two rings, and networks whose layers differ in their activation alone.",
  depth = { 20, quick = 8, doc = "hidden layers in the measurement of gradients", least = 2, most = 1000 },
  epochs = { 80, quick = 25, doc = "passes over the points, with 3 hidden layers" },
  seed = { 1, doc = "of points, weights and orders" },
}

-- 0 or 1: its derivative is 0 wherever there is one, so nothing comes back through it.
local Step = nn.Module.extend("Step", { replays = true })
function Step:forward(x) return (x:sign() + 1) / 2 end

local activations = {
  { "linear", nn.Identity, 1 }, { "tanh", nn.Tanh, 1 }, { "ReLU", nn.ReLU, 2 }, { "sigmoid", nn.Sigmoid, 1 },
  { "step", Step, 1 },
}

-- Weights with variance gain / inputs, so that the outputs of a layer are about as large as its inputs.
local function network(activation, gain, depth)
  peri.manual_seed(o.seed)
  local layers, width = {}, 32
  for i = 1, depth + 1 do
    local layer = nn.Linear(i == 1 and 2 or width, i > depth and 2 or width)
    peri.no_grad(function()
      layer.weight:copy_(peri.randn(layer.weight.shape) * math.sqrt(gain / layer.weight:size(2)))
      layer.bias:zero_()
    end)
    layers[#layers + 1] = layer
    if i <= depth then layers[#layers + 1] = activation() end
  end
  return nn.Sequential(layers)
end

local function norm(t) return t and t:square():sum():sqrt():item() or 0 end

local X, y = data.circles(400, { noise = 0.1, factor = 0.5, seed = o.seed })
local Xt, yt = data.circles(1000, { noise = 0.1, factor = 0.5, seed = o.seed + 1 })
local ce = nn.CrossEntropyLoss()
local rows = { { "activation", "gradient, layer 1", "last hidden", "ratio", "accuracy", "hidden layers moved" } }
local gradients = plot.figure { title = ("Gradients before training, %d hidden layers"):format(o.depth),
  xlabel = "layer", ylabel = "norm of the gradient of its weights", yscale = "log",
  doc = "On the way back through sigmoids the gradient shrinks in each layer; tanh and ReLU let it through." }
local losses = plot.figure { title = "Learning two rings with 3 hidden layers", xlabel = "epoch",
  ylabel = "cross-entropy", ylim = { 0, 1 },
  doc = "Only tanh and ReLU learn the rings; at 0.69 a network is guessing." }

for _, a in ipairs(activations) do
  local name, activation, gain = table.unpack(a)
  local deep, norms = network(activation, gain, o.depth), {}
  ce(deep(X), y):backward()
  for i = 1, o.depth do norms[i] = norm(deep[2 * i - 1].weight.grad) end
  gradients:line(norms, { label = norms[1] > 0 and name or name .. ": zero in all layers" })

  local net = network(activation, gain, 3)
  local before = net:state_dict()
  local h = peri.train.fit {
    model = net, loss = ce, optimizer = optim.SGD(net:parameters(), { lr = 0.1 }), train = { X, y }, epochs = o.epochs,
    batch_size = 20, seed = o.seed, progress = false,
  }
  local moved, ratio = 0, norms[o.depth] > 0 and norms[1] / norms[o.depth] or "none"
  for i = 1, 5, 2 do moved = moved + norm(net[i].weight:detach() - before[i .. ".weight"]) end
  losses:line(h.train_loss, { label = ("%s: %.0f%% of test points"):format(name, 100 * h:score(Xt, yt)) })
  rows[#rows + 1] = { name, norms[1], norms[o.depth], ratio, h:score(Xt, yt), moved }
end
print(peri.script.table(rows))
o:save(gradients, "gradients")
o:save(losses, "losses")
o:finish()
