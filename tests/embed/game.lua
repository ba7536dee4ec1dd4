-- Gives the function of a tick. Agents that are steered by a network, one row of a tensor for each; beside them a world
-- of tables.
local peri = require "perilune"
local AGENTS = 64
local world = {}
for i = 1, 50000 do world[i] = { x = i, y = -i } end
collectgarbage()
local net = peri.nn.Sequential(peri.nn.Linear(4, 16), peri.nn.Tanh(), peri.nn.Linear(16, 2))
local place, speed = peri.randn(AGENTS, 2), peri.zeros(AGENTS, 2)

return function(dt)
  peri.no_grad(function()
    local push = net(peri.cat({ place, speed }, 2))
    speed = (speed + push * dt) * 0.99
    place = place + speed * dt
    world[1].x = world[2].x + place[{ 1, 1 }]
  end)
end
