-- A layer that answers again and again keeps its weights packed. What is written to them, in whichever way, the next
-- answer sees, and its bits do not depend on it.
local peri = require "perilune"
local nn, optim = peri.nn, peri.optim

local INPUTS, OUTPUTS = 300, 200

local function layer(seed)
  peri.manual_seed(seed)
  return nn.Linear(INPUTS, OUTPUTS)
end

local x = peri.randn(5, INPUTS)

-- The answer of a layer that never answered before.
local function fresh(net)
  local other = nn.Linear(INPUTS, OUTPUTS)
  other:load_state_dict(net:state_dict())
  return other(x)
end

local function answers_often(net)
  for _ = 1, 4 do assert.is_true(net(x):equal(fresh(net))) end
end

local WRITES = {
  ["a step of an optimiser"] = function(net)
    local opt = optim.SGD(net:parameters(), { lr = 0.1 })
    net(x):sum():backward()
    opt:step()
  end,
  ["operations in place"] = function(net) peri.no_grad(function() net.weight:mul_(2) end) end,
  ["a view"] = function(net) peri.no_grad(function() net.weight:narrow(1, 2, 3):fill_(0.5) end) end,
  ["a turned view"] = function(net) peri.no_grad(function() net.weight:t()[3]:add_(1) end) end,
  ["one element"] = function(net) peri.no_grad(function() net.weight[{ 7, 11 }] = 3 end) end,
  ["a detached copy of the handle"] = function(net) net.weight:detach():copy_(peri.randn(OUTPUTS, INPUTS)) end,
  ["load_state_dict"] = function(net) net:load_state_dict(layer(99):state_dict()) end,
  ["conversion there and back"] = function(net) net:to("float64"):to("float32") end,
}

describe("packed weights", function()
  for name, write in pairs(WRITES) do
    it("see what was written by " .. name, function()
      local net = layer(1)
      answers_often(net)
      for _ = 1, 3 do
        write(net)
        answers_often(net)
      end
    end)
  end

  it("give a row the bits that it has in any batch", function()
    local net = layer(2)
    local all = net(x)
    for _ = 1, 4 do
      for i = 1, 5 do assert.is_true(net(x[{ { i, i } }]):equal(all[{ { i, i } }])) end
    end
  end)

  it("are given back with the layer", function()
    collectgarbage()
    collectgarbage()
    local before = peri.memory().in_use
    local net = layer(3)
    answers_often(net)
    assert.is_true(peri.memory().in_use - before >= 2 * INPUTS * OUTPUTS * 4)
    net = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)
end)
