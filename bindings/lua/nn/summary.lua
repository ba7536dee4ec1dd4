-- nn.summary: what a network makes of an input, layer by layer.
local peri, internal, nn = ...
local check = internal.check
local fail, describe, kinds = check.fail, check.describe, check.kinds

-- Multiplications (each with its addition) of the layers that have many: f(layer, inputs, y).
local function of_weight(layer, _, y) return y:numel() * (layer.weight:numel() // layer.weight.shape[1]) end
-- Of recurrent layers: each weight once for each step of each sequence.
local function of_steps(layer, x)
  local n = 0
  for name, p in layer:named_parameters() do
    if name:find "^weight" then n = n + p:numel() end
  end
  return x:numel() // layer.input_size * n
end
local MULTIPLICATIONS = {
  RNN = of_steps, GRU = of_steps, LSTM = of_steps, RNNCell = of_steps, GRUCell = of_steps, LSTMCell = of_steps,
  Linear = of_weight, Bilinear = of_weight, Conv1d = of_weight, Conv2d = of_weight,
  ConvTranspose2d = function(layer, x) return x:numel() * (layer.weight:numel() // layer.weight.shape[1]) end,
}

local function parameters_of(module)
  local n = 0
  for _, p in ipairs(module:parameters()) do n = n + p:numel() end
  return n
end

-- Adds the rows of a module that x goes through, and gives what comes out. A Sequential is walked through; what is
-- written in Lua is one row.
local function walk(rows, module, name, depth, x)
  local row = { name = name, layer = nn.type(module), depth = depth, parameters = parameters_of(module), macs = 0 }
  rows[#rows + 1] = row
  if row.layer == "Sequential" then
    for i, child in ipairs(module) do
      local inner = walk(rows, child, tostring(i), depth + 1, x)
      x, row.macs = inner.y, row.macs + inner.macs
    end
    row.y = x
  else
    row.y = (module(x)) -- of several outputs the first
    if not peri.is_tensor(row.y) then
      fail("summary: %s gave %s (expected a tensor)", row.layer, describe(row.y))
    end
    local count = MULTIPLICATIONS[row.layer]
    if count then
      row.macs = count(module, x, row.y)
    elseif check.has_method(module, "macs") then -- those of nn/attention.lua
      row.macs = module:macs(x)
    end
  end
  row.shape = row.y.shape
  return row
end

-- Calls f with the module in the mode for predictions, and puts all modes back.
local function predicting(net, f)
  local modules, modes = {}, {}
  net:apply(function(module)
    modules[#modules + 1] = module
    modes[#modes + 1] = module.training
  end)
  net:eval()
  local results = table.pack(pcall(f))
  internal.put_back(function()
    for i = #modules, 1, -1 do modules[i]:train(modes[i]) end -- parents first
  end)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- ---- the table ----

local Summary = { __name = "summary" }
Summary.__index = Summary

-- 1234567 as 1,234,567
local function thousands(n)
  local text = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

function Summary:__tostring()
  local lines = { { "layer", "output", "parameters", "multiply-adds" } }
  for _, row in ipairs(self) do
    local label = ("  "):rep(row.depth) .. (row.name ~= "" and ("(%s): "):format(row.name) or "") .. row.layer
    lines[#lines + 1] = { label, table.concat(row.shape, "x"), thousands(row.parameters), thousands(row.macs) }
  end
  local widths = { 0, 0, 0, 0 }
  for _, line in ipairs(lines) do
    for c, text in ipairs(line) do widths[c] = math.max(widths[c], #text) end
  end
  for i, line in ipairs(lines) do
    for c, text in ipairs(line) do
      local space = (" "):rep(widths[c] - #text)
      line[c] = c == 1 and text .. space or space .. text
    end
    lines[i] = table.concat(line, "  ")
  end
  return table.concat(lines, "\n")
end

internal.document("summary", [[
nn.summary(net, shape, {dtype = 'float32'}) -> summary
What becomes of an input of that shape, a table of sizes, in eval mode: a row for the network and each layer of its
Sequentials, with name, layer, depth, shape (of the output), parameters (their number, of what it holds) and macs, the
multiplications with an addition each of linear, recurrent and attention layers and convolutions. Layers written in
Lua are one row, without macs unless they have a method macs(x). print(summary) shows it; summary.parameters and
summary.macs are those of the whole. The input is all ones, of dtype or as the parameters are; 'int64' for an
Embedding.]], function(net, shape, options, ...)
  if nn.type(net) == nil then check.must_be("summary", "net", net, "a module") end
  if select("#", ...) > 0 then fail("summary: too many arguments: %s was not expected", describe((...))) end
  check.read("summary", "shape", shape, kinds.table)
  options = check.only("summary", options, "dtype")
  local first = net:parameters()[1]
  local x = peri.ones(shape, { dtype = options.dtype or first and first.dtype or "float32" })
  local rows = {}
  predicting(net, function() peri.no_grad(walk, rows, net, "", 0, x) end)
  for _, row in ipairs(rows) do row.y = nil end
  rows.parameters, rows.macs = rows[1].parameters, rows[1].macs
  return setmetatable(rows, Summary)
end, nn)
