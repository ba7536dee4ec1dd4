-- What backpropagation saves: all gradients of a deep network in one pass back, against each layer's gradient by a
-- forward and a backward pass of its own. Operations are counted; times are measured beside them.
--
--   perilune scripts/backprop_cost.lua [--quick] [--out DIR] [--depth N] [--width N] [--rows N]

local peri = require "perilune"
local o = peri.script.options {
  about = "Gradients of networks of 1 to 64 layers, by backpropagation and without sharing anything.",
  depth = { 64, doc = "layers of the deepest network", least = 2 }, width = { 24, quick = 8, doc = "units in a layer" },
  rows = { 16, quick = 4, doc = "examples" },
}

-- Every product is counted: a multiplication and an addition for each of its terms.
local operations
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
  local h, gradients = forward(x, W), {}
  local d = h[#W]
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

peri.manual_seed(1)
local x, weights = peri.randn(o.rows, o.width), {}
for l = 1, o.depth do weights[l] = peri.randn(o.width, o.width) / math.sqrt(o.width) end
operations = 0
each_alone(x, weights) -- the first milliseconds of a program are slower; they are not measured
local methods = {
  { "backpropagation", backpropagation, operations = {}, seconds = {} },
  { "each layer alone", each_alone, operations = {}, seconds = {} },
}
local depths, rows = {}, { { "layers", "operations", "each alone", "seconds", "each alone", "largest difference" } }
local L = 1
while L <= o.depth do
  local W, gradients, difference = table.move(weights, 1, L, 1, {}), {}, 0
  depths[#depths + 1] = L
  for i, m in ipairs(methods) do
    m.seconds[#depths] = math.huge
    for _ = 1, 3 + 64 // L do -- the quickest counts: other programs only make it slower
      operations = 0
      local start = peri.now()
      gradients[i] = m[2](x, W)
      m.seconds[#depths] = math.min(m.seconds[#depths], peri.now() - start)
    end
    m.operations[#depths] = operations
  end
  for l = 1, L do difference = math.max(difference, (gradients[1][l] - gradients[2][l]):abs():max():item()) end
  local a, b, n = methods[1], methods[2], #depths
  rows[n + 1] = { L, a.operations[n], b.operations[n], a.seconds[n], b.seconds[n], difference }
  L = L * 2
end
print(peri.script.table(rows))

local panels = { cols = 2, title = "The cost of all gradients" }
for i, measure in ipairs { "operations", "seconds" } do
  panels[i] = peri.plot.figure { xlabel = "layers", ylabel = measure, xscale = "log", yscale = "log",
    legend = "top left" }
  for _, m in ipairs(methods) do panels[i]:line(depths, m[measure], { label = m[1], marker = "circle" }) end
end
for _, m in ipairs(methods) do -- the exponent: a slope on two logarithmic axes
  local n, first = #depths, math.max(1, #depths - 3)
  local slope = math.log(m.operations[n] / m.operations[first]) / math.log(depths[n] / depths[first])
  print(("%s: from %d to %d layers, operations grow as layers^%.2f"):format(m[1], depths[first], depths[n], slope))
end
o:save(peri.plot.page(panels), "cost")
print("pictures: " .. o.out)
