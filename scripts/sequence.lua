-- Remembering: which of four symbols a sequence began with, however many others came behind it. Recurrent layers hand
-- what they know from step to step; attention looks back at all steps at once.

local peri = require "perilune"
local nn, plot = peri.nn, peri.plot
local o = peri.script.options {
  about = "RNN, GRU, LSTM and attention remember the first symbol of sequences of growing length.",
  sequences = { 1000, quick = 400, doc = "to learn from", least = 100 },
  epochs = { 20, quick = 10, doc = "passes over the sequences" },
  longest = { 80, quick = 40, doc = "steps; lengths double from 5 on", least = 10, most = 500 },
}
local UNITS, SYMBOLS = 24, 4 -- of the layers; that are to be told apart, and others as many

-- n sequences as one-hot vectors, n x steps x symbols, and which of the first four each begins with.
local function sequences(n, steps, seed)
  local g = { generator = peri.Generator(seed) }
  local first, rest = peri.randint(1, SYMBOLS, { n, 1 }, g), peri.randint(1, SYMBOLS, { n, steps - 1 }, g) + SYMBOLS
  return { peri.one_hot(peri.cat({ first, rest }, 2), 2 * SYMBOLS):to "float32", first:view(-1) }
end

local Memory = nn.Module.extend "Memory" -- scores of the last step's output
function Memory:init(kind)
  if kind == "attention" then
    self.inner = nn.Sequential(nn.Linear(2 * SYMBOLS, UNITS),
      nn.PositionalEncoding(UNITS, { dropout = 0, batch_first = true }),
      nn.TransformerEncoderLayer(UNITS, 4, { dim_feedforward = 2 * UNITS, dropout = 0, batch_first = true }))
  else
    self.inner = nn[kind](2 * SYMBOLS, UNITS, { batch_first = true })
  end
  self.out = nn.Linear(UNITS, SYMBOLS)
end
function Memory:forward(x) return self.out((self.inner(x))[{ {}, -1 }]) end

-- How much the scores change with each step of the sequences: the norm of the gradient there.
local function influence(net, x)
  x = x:clone():requires_grad_()
  net(x):square():sum():backward()
  return x.grad:square():sum(3):sqrt():mean(1)
end

local lengths, rows = {}, { { "layer" } }
local length = 5
while length <= o.longest do
  lengths[#lengths + 1] = length
  rows[1][#lengths + 1] = length .. " steps"
  length = 2 * length
end
rows[1][#lengths + 2] = "seconds"
local reach = plot.figure { xlabel = "steps", ylabel = "right answers", xscale = "log", ylim = { 0, 1.05 }, width = 520,
  height = 420, title = "What is remembered", xticks = lengths }
local weight = plot.figure { xlabel = "step", ylabel = "gradient of the scores", yscale = "log", width = 520,
  height = 420, title = ("What the answer hangs on, of %d steps"):format(lengths[#lengths]) }
for i, kind in ipairs { "RNN", "GRU", "LSTM", "attention" } do
  local accuracies, seconds, net = {}, 0, nil
  for k, steps in ipairs(lengths) do
    peri.manual_seed(1)
    net = Memory(kind)
    local h = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = 0.01 }), seed = 1,
      train = sequences(o.sequences, steps, 1), epochs = o.epochs, batch_size = 20, clip_grad_norm = 1,
      progress = false }
    accuracies[k], seconds = h:score(table.unpack(sequences(1000, steps, 2))), seconds + h.seconds[-1]
  end
  rows[i + 1] = { kind, table.unpack(accuracies) }
  rows[i + 1][#lengths + 2] = seconds
  reach:line(lengths, accuracies, { label = kind, marker = "circle" })
  weight:line(influence(net, sequences(50, lengths[#lengths], 3)[1]):clamp(1e-9, 1e9), { label = kind, width = 1.7 })
end
reach:line({ lengths[1], lengths[#lengths] }, { 1 / SYMBOLS, 1 / SYMBOLS }, { label = "by chance", color = "gray",
  style = "dashed" })
print(peri.script.table(rows))
o:save(plot.page { reach, weight, cols = 2, title = "Remembering the first symbol of a sequence",
  doc = "Where a plain recurrent layer hardly changes with the first step any more, it has nothing to learn from; gates "
    .. "keep the way open for longer, attention has no way to go." }, "memory")
o:finish()
