-- Remembering: which of four symbols a sequence began with, however many others came behind it. Recurrent layers hand
-- what they know from step to step; attention looks back at all steps at once.

local peri = require "perilune"
local nn, plot = peri.nn, peri.plot
local o = peri.script.options {
  about = "RNN, GRU, LSTM and attention remember the first symbol of sequences of growing length.",
  sequences = { 800, quick = 400, doc = "to learn from", least = 100 },
  epochs = { 15, quick = 10, doc = "passes over the sequences" },
  longest = { 40, quick = 20, doc = "steps; lengths double from 5 on", least = 10, most = 500 },
  repetitions = { 3, quick = 1, doc = "of each training, with other sequences and weights" },
}
local UNITS, SYMBOLS = 24, 4 -- of the layers; that are to be told apart, and others as many

-- n sequences as one-hot vectors, n x steps x symbols, and which of the first four each begins with.
local function sequences(n, steps, seed)
  local g = { generator = peri.Generator(seed) }
  local first, rest = peri.randint(1, SYMBOLS, { n, 1 }, g), peri.randint(1, SYMBOLS, { n, steps - 1 }, g) + SYMBOLS
  return { peri.one_hot(peri.cat({ first, rest }, 2), 2 * SYMBOLS):to "float32", first:view(-1) }
end

local Memory = nn.Module.extend("Memory", { replays = true }) -- scores of the last step's output
function Memory:init(kind)
  if kind == "attention" then
    self.inner = nn.Sequential(nn.Linear(2 * SYMBOLS, UNITS),
      nn.PositionalEncoding(UNITS, { dropout = 0, batch_first = true }),
      nn.TransformerEncoderLayer(UNITS, 4, { dim_feedforward = 2 * UNITS, dropout = 0, batch_first = true }))
  else
    self.inner = nn[kind:match "%w+"](2 * SYMBOLS, UNITS, { batch_first = true })
    if kind:find "open" then -- the forget gates, second of four, begin open
      peri.no_grad(function() self.inner.bias_ih_l0[{ { UNITS + 1, 2 * UNITS } }] = 3 end)
    end
  end
  self.out = nn.Linear(UNITS, SYMBOLS)
end
function Memory:forward(x) return self.out((self.inner(x))[{ {}, -1 }]) end

-- How much the scores of a new network change with each step: the norm of the gradient there.
local function influence(kind, x)
  local sum = peri.zeros(x:size(2))
  for seed = 1, 10 do
    peri.manual_seed(seed)
    local leaf = x:clone():requires_grad_()
    Memory(kind)(leaf):square():sum():backward()
    sum:add_(leaf.grad:square():sum(3):sqrt():mean(1))
  end
  return (sum / sum[-1]):clamp(1e-9, 1e9)
end

-- The share of right answers on other sequences, and the seconds of learning.
local function learn(kind, steps, seed)
  peri.manual_seed(seed)
  local net = Memory(kind)
  local h = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = 0.01 }), seed = seed,
    train = sequences(o.sequences, steps, seed), epochs = o.epochs, batch_size = 20, clip_grad_norm = 1,
    progress = false }
  return h:score(table.unpack(sequences(1000, steps, 1000 + seed))), h.seconds[-1]
end

local lengths, rows = {}, { { "layer" } }
local length = 5
while length <= o.longest do
  lengths[#lengths + 1] = length
  rows[1][#lengths + 1] = length .. " steps"
  length = 2 * length
end
rows[1][#lengths + 2] = "seconds"
local longest = sequences(50, lengths[#lengths], 1)[1]
local slopes = plot.figure { xlabel = "step", ylabel = "gradient of the scores, last step = 1", yscale = "log",
  width = 520, height = 420, title = "What the scores of new networks hang on" }
local reach = plot.figure { xlabel = "steps", ylabel = "right answers", xscale = "log", ylim = { 0, 1.05 }, width = 520,
  height = 420, title = "What trained ones remember", xticks = lengths }
for i, kind in ipairs { "RNN", "GRU", "LSTM", "LSTM, gates open", "attention" } do
  local row, seconds = { kind }, 0
  for k, steps in ipairs(lengths) do
    row[k + 1] = 0
    for seed = 1, o.repetitions do
      local right, time = learn(kind, steps, seed)
      row[k + 1], seconds = row[k + 1] + right / o.repetitions, seconds + time
    end
  end
  rows[i + 1] = row
  slopes:line(influence(kind, longest), { label = kind, width = 1.7 })
  reach:line(lengths, { table.unpack(row, 2) }, { label = kind, marker = "circle" })
  row[#row + 1] = seconds
end
reach:line({ 5, lengths[#lengths] }, { 1 / SYMBOLS, 1 / SYMBOLS }, { label = "by chance", color = "gray" })
print(peri.script.table(rows))
o:save(plot.page { slopes, reach, cols = 2, title = "Remembering the first symbol of a sequence",
  doc = "Where scores hardly change with the first step there is nothing to learn from. Gates that begin open hand on "
    .. "what there was; attention sees all steps at once." }, "memory")
o:finish()
