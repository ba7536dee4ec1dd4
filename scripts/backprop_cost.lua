-- What backpropagation saves: all gradients of a deep network in one pass back, against each layer's gradient by a
-- forward and a backward pass of its own. Operations are counted; times are measured beside them.

local peri = require "perilune"
local o = peri.script.options {
  about = "Gradients of networks of 1 to 64 layers, by backpropagation and without sharing anything.",
  depth = { 64, doc = "layers of the deepest network", least = 2 }, width = { 24, quick = 8, doc = "units in a layer" },
  rows = { 16, quick = 4, doc = "examples" },
}

-- Every product is counted: a multiplication and an addition for each of its terms.
local operations = 0
local function product(a, b)
  operations = operations + 2 * a:size(1) * a:size(2) * b:size(2)
  return a:matmul(b)
end

-- h[0] = x, h[l] = tanh(h[l-1] W[l]), and the loss is half the sum of h[L]^2, so that dL/dh[L] = h[L].
local function forward(x, W)
  local h = { [0] = x }
  for l = 1, #W do h[l] = product(h[l - 1], W[l]):tanh() end
  return h
end

-- One way back, which gives the gradients of all weights as it passes.
local function backpropagation(x, W)
  local h = forward(x, W)
  local gradients, d = {}, h[#W]
  for l = #W, 1, -1 do
    d = d * (1 - h[l] * h[l])
    gradients[l] = product(h[l - 1]:t(), d)
    if l > 1 then d = product(d, W[l]:t()) end
  end
  return gradients
end

-- For each layer a way forward and a way back to it, as if nothing else had been computed.
local function each_alone(x, W)
  local gradients = {}
  for layer = 1, #W do
    local h = forward(x, W)
    local d = h[#W]
    for l = #W, layer + 1, -1 do d = product(d * (1 - h[l] * h[l]), W[l]:t()) end
    gradients[layer] = product(h[layer - 1]:t(), d * (1 - h[layer] * h[layer]))
  end
  return gradients
end

local x, weights, depths = peri.randn(o.rows, o.width), {}, {}
for l = 1, o.depth do weights[l] = peri.randn(o.width, o.width) / math.sqrt(o.width) end
while 2 ^ #depths <= o.depth do depths[#depths + 1] = 1 << #depths end
each_alone(x, weights) -- the first milliseconds of a program are slower; they are not measured
local shared = { "backpropagation", backpropagation, operations = {}, seconds = {} }
local alone = { "each layer alone", each_alone, operations = {}, seconds = {} }
local rows = { { "layers", "operations", "each alone", "seconds", "each alone", "largest difference" } }
for n, L in ipairs(depths) do
  local W, gradients, difference = table.move(weights, 1, L, 1, {}), {}, 0
  for i, m in ipairs { shared, alone } do
    m.seconds[n], gradients[i] = peri.script.time(function()
      operations = 0
      return m[2](x, W)
    end, 3 + 64 // L)
    m.operations[n] = operations
  end
  for l = 1, L do difference = math.max(difference, (gradients[1][l] - gradients[2][l]):abs():max():item()) end
  rows[n + 1] = { L, shared.operations[n], alone.operations[n], shared.seconds[n], alone.seconds[n], difference }
end
print(peri.script.table(rows))

local last, first = #depths, math.max(1, #depths - 3)
local panels = { cols = 2, title = "The cost of all gradients",
  doc = "With what layers share, the cost grows as their number; without, as its square." }
for i, measure in ipairs { "operations", "seconds" } do
  panels[i] = peri.plot.figure { xlabel = "layers", ylabel = measure, xscale = "log", yscale = "log", width = 540,
    height = 420 }
  for _, m in ipairs { shared, alone } do panels[i]:line(depths, m[measure], { label = m[1], marker = "circle" }) end
end
for _, m in ipairs { shared, alone } do -- the exponent: a slope on two logarithmic axes
  local slope = math.log(m.operations[last] / m.operations[first]) / math.log(depths[last] / depths[first])
  print(("%s: from %d to %d layers, operations grow as layers^%.2f"):format(m[1], depths[first], depths[last], slope))
end
o:save(peri.plot.page(panels), "cost")
o:finish()
