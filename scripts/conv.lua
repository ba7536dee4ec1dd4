-- Convolutions, by hand over slices and as an operation; networks of them beside dense ones of as many parameters; and
-- what pooling is for: digits that stand elsewhere than those that were learnt.

local peri = require "perilune"
local nn, data, plot = peri.nn, peri.data, peri.plot
local o = peri.script.options {
  about = "Convolutions and pooling on handwritten digits, which --quick shrinks to half of their size.",
  data = { "", word = "DIR", doc = "folder of MNIST's files; without it digits are generated" },
  digits = { 4000, quick = 1000, doc = "digits to learn from", least = 20 },
  epochs = { 5, doc = "passes over the digits" }, batch = { 50, doc = "digits in a mini-batch" },
  lr = { 0.005, quick = 0.01, doc = "learning rate of Adam", most = 1000 },
}

-- The first n digits in the middle of images of 32 x 32 pixels, or of 16 x 16, which have room for shifts.
local function images(x, y, n)
  local some = { { 1, math.min(n, #x) } }
  local wide = peri.pad(x[some]:view(-1, 1, 28, 28), { 2, 2, 2, 2 })
  return o.quick and peri.avg_pool2d(wide, 2) or wide, y[some]
end
local set = { train = {}, test = {} }
if o.data ~= "" then
  set = peri.script.try(data.mnist, o.data)
else
  set.train.x, set.train.y = data.digits(o.digits, { seed = 1 })
  set.test.x, set.test.y = data.digits(1000, { seed = 2 })
end
local X, y = images(set.train.x, set.train.y, o.digits)
local Xt, yt = images(set.test.x, set.test.y, o.quick and 500 or 1000)
local side = X:size(4)

-- ---- by hand ----

-- Each number of a kernel multiplies all pixels that it meets while the kernel moves, a slice; slices are added.
local function by_hand(x, w)
  local rows, columns = x:size(3) - w:size(3) + 1, x:size(4) - w:size(4) + 1
  local sums = peri.zeros({ #x, #w, rows, columns }, { dtype = x.dtype })
  for m = 1, #w do
    for c = 1, w:size(2) do
      for i = 1, w:size(3) do
        for j = 1, w:size(4) do
          sums[{ {}, m }]:add_(x[{ {}, c, { i, i + rows - 1 }, { j, j + columns - 1 } }] * w[m][c][i][j])
        end
      end
    end
  end
  return sums
end

local rows = { { "convolution", "images", "channels", "ms by hand", "ms of conv2d", "largest difference" } }
for _, dtype in ipairs { "float32", "float64" } do
  for _, channels in ipairs { 1, 8 } do
    local x = peri.randn({ 20, channels, side, side }, { dtype = dtype })
    local w = peri.randn({ 8, channels, 5, 5 }, { dtype = dtype })
    local slow, sums = peri.script.time(function() return by_hand(x, w) end)
    local fast, same = peri.script.time(function() return peri.conv2d(x, w) end, 10)
    rows[#rows + 1] = { dtype, #x, channels .. " to 8", 1e3 * slow, 1e3 * fast, (sums - same):abs():max():item() }
  end
end
print(peri.script.table(rows))

local kernels = peri.tensor { -- that make numbers from -1 to 1 of brightness from 0 to 1
  { { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } } }, { { { -1, 0, 1 }, { -2, 0, 2 }, { -1, 0, 1 } } },
  { { { -1, -2, -1 }, { 0, 0, 0 }, { 1, 2, 1 } } }, { { { 0, -1, 0 }, { -1, 4, -1 }, { 0, -1, 0 } } },
} / peri.tensor({ 9, 4, 4, 4 }):view(4, 1, 1, 1)
local tiles, labels = {}, {}
for k = 1, 3 do
  tiles[#tiles + 1] = Xt[k][{ {}, { 2, side - 1 }, { 2, side - 1 } }]
  tiles[#tiles + 1] = by_hand(Xt[{ { k, k } }], kernels)[1]
  table.move({ "digit", "mean", "change across", "change down", "outline" }, 1, 5, #labels + 1, labels)
end
local figure = plot.figure { title = "Four kernels, made by hand", width = 800, height = 530,
  doc = "Three digits, and what kernels of 3 x 3 make of them: means, changes from left to right and from top to "
    .. "bottom, and outlines." }
local colours = { columns = 5, labels = labels, palette = "diverging", range = { -1, 1 }, colorbar = true }
o:save(figure:images(peri.cat(tiles), colours), "by_hand")

-- ---- networks ----

local function dense(units)
  return nn.Sequential(nn.Flatten(), nn.Linear(side * side, units), nn.Tanh(), nn.Linear(units, 10))
end
local function conv(from, to, stride) return nn.Conv2d(from, to, 5, { padding = 2, stride = stride }) end
local function strides()
  return nn.Sequential(conv(1, 8, 2), nn.Tanh(), conv(8, 16, 2), nn.Tanh(), nn.Flatten(), nn.Linear(side * side, 10))
end
local function pools() -- leave side / 4 x side / 4 pixels of 16 channels
  return nn.Sequential(conv(1, 8), nn.Tanh(), nn.MaxPool2d(2), conv(8, 16), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(side * side, 10))
end
local function last_of_all(channels) -- the largest of a whole channel, wherever it was
  return nn.Sequential(conv(1, 8), nn.Tanh(), nn.MaxPool2d(2), conv(8, channels), nn.Tanh(), nn.MaxPool2d(side // 2),
    nn.Flatten(), nn.Linear(channels, 10))
end

local function parameters(net)
  local count = 0
  for _, p in ipairs(net:parameters()) do count = count + p:numel() end
  return count
end

-- How wide a network may be that has no more parameters than that with pools; each unit more has as many.
local function units(build)
  local one = parameters(build(1))
  return (parameters(pools()) - one) // (parameters(build(2)) - one) + 1
end
local networks = {
  { "dense", dense, units(dense) }, { "dense, 10 times the units", dense, 10 * units(dense) },
  { "convolutions in steps of 2", strides }, { "convolutions, pools of 2 x 2", pools },
  { "convolutions, last pool of all", last_of_all, units(last_of_all) },
}

-- Images moved by s pixels to the right, or by -s to the left; zeros come in.
local function shifted(x, s) return peri.pad(x, { s, -s }) end

local most, shifts, learnt = 3 * side // 16, {}, nil
for s = -most, most do shifts[#shifts + 1] = s end
local curves = plot.figure { xlabel = "epoch", ylabel = "test error", yscale = "log", width = 540, height = 440,
  xticks = o.epochs < 10 and peri.arange(1, o.epochs):totable() or nil }
local moved = plot.figure { xlabel = "shift to the right, in pixels", ylabel = "accuracy", ylim = { 0, 1 }, width = 540,
  height = 440 }
rows = { { "network", "parameters", "seconds", "test" } }
for s = 1, most do rows[1][4 + s] = "shift " .. s end
for i, network in ipairs(networks) do
  peri.manual_seed(1)
  local net = network[2](network[3])
  local h = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = o.lr }),
    train = { X, y }, dev = { Xt, yt }, epochs = o.epochs, batch_size = o.batch, seed = 1, progress = false }
  local accuracy = {}
  for k, s in ipairs(shifts) do accuracy[k] = h:score(shifted(Xt, s), yt) end
  rows[i + 1] = { network[1], parameters(net), h.seconds[-1], accuracy[most + 1] }
  for s = 1, most do rows[i + 1][4 + s] = (accuracy[most + 1 - s] + accuracy[most + 1 + s]) / 2 end
  curves:line(1 - h.dev_accuracy, { label = network[1], marker = "circle" })
  moved:line(shifts, accuracy, { label = network[1], marker = "circle" })
  if network[2] == pools then learnt = net end
end
print("\n" .. peri.script.table(rows))
o:save(plot.page { curves, moved, cols = 2, title = "Dense layers, convolutions and pooling",
  doc = "Errors on other digits while learning, and answers on shifted ones. A pool forgives a pixel or two; where the "
    .. "last pool takes the largest of a whole channel, a shift changes little." }, "networks")

-- ---- what was learnt ----

local weight, wide = learnt[1].weight:detach(), side // 5 * 5 -- numbers become squares of pixels
local large = peri.pad(peri.interpolate(weight / weight:abs():max(), wide), { 0, side - wide, 0, side - wide })
tiles = { peri.zeros(1, side, side), large[{ {}, 1 }] }
for k = 1, 3 do
  tiles[#tiles + 1] = Xt[k]
  tiles[#tiles + 1] = peri.no_grad(function() return learnt[1](Xt[k]):tanh() end)
end
figure = plot.figure { title = "Eight kernels that were learnt", width = 800, height = 380,
  doc = "Kernels of 5 x 5 of the network with pools of 2 x 2, and below each what it makes of three digits." }
colours.columns, colours.labels = 9, nil
o:save(figure:images(peri.cat(tiles), colours), "kernels")
o:finish()
