-- Eight optimisers on three surfaces: a narrow valley, a saddle, and Rosenbrock's bent valley. Each has the learning
-- rate, out of a range, that brings it lowest in so many steps without leaving the picture.

local peri = require "perilune"
local optim, plot = peri.optim, peri.plot
local o = peri.script.options {
  about = "The paths of eight optimisers on three surfaces of two parameters.",
  steps = { 100, quick = 60, doc = "of each optimiser", least = 20 },
  rates = { 21, quick = 9, doc = "learning rates that are tried, from 0.0001 to 1", least = 2 },
}
local double = { dtype = "float64" }
local c, s = math.cos(0.5), math.sin(0.5)
local surfaces = { -- f takes numbers and tensors; it is `least` at x, y
  { "valley", f = function(x, y) return ((c * x + s * y) ^ 2 + 50 * (c * y - s * x) ^ 2) / 2 end, least = 0, x = 0,
    y = 0, start = { -2.8, -0.6 }, extent = { -3.4, 1.6, -2.2, 1.6 },
    doc = "A valley that is 50 times steeper across than along. Steps that are long enough along it leap from wall to "
      .. "wall; momentum adds up what they have in common." },
  { "saddle", f = function(x, y) return x ^ 2 - y ^ 2 + y ^ 4 / 4 end, least = -1, x = 0, y = 2 ^ 0.5,
    start = { -1.8, 0.01 }, extent = { -2.2, 1.4, -0.6, 2.2 },
    doc = "In the middle of a saddle there is hardly a slope. Who divides by the size of the slopes leaves it soon." },
  { "bent valley", f = function(x, y) return (1 - x) ^ 2 + 100 * (y - x ^ 2) ^ 2 end, least = 0, x = 1, y = 1,
    start = { -1.2, 1 }, extent = { -1.8, 1.8, -0.8, 2.2 },
    doc = "Rosenbrock's valley: steep walls, and a floor that bends and is nearly flat." },
}
local methods = {
  { "SGD", optim.SGD, color = "blue" }, { "momentum", optim.SGD, { momentum = 0.9 }, color = "orange" },
  { "Nesterov", optim.SGD, { momentum = 0.9, nesterov = true }, color = "green" },
  { "LBFGS", optim.LBFGS, { max_iter = 1 }, color = "purple" }, { "Adagrad", optim.Adagrad, color = "blue" },
  { "RMSprop", optim.RMSprop, color = "orange" }, { "Adam", optim.Adam, color = "green" },
  { "Lion", optim.Lion, color = "purple" },
}

-- The way of an optimiser, the start first, and how far above the least it is; nothing where it leaves the picture.
local function descend(surface, method, rate)
  local p, e = peri.tensor(surface.start, { dtype = "float64", requires_grad = true }), surface.extent
  local options = { lr = rate }
  for name, value in pairs(method[3] or {}) do options[name] = value end
  local optimiser, path = method[2]({ p }, options), { xs = {}, ys = {}, above = {}, rate = rate }
  for k = 1, o.steps + 1 do
    local x, y = table.unpack(p:detach():totable())
    path.xs[k], path.ys[k], path.above[k] = x, y, math.max(surface.f(x, y) - surface.least, 0)
    local inside = x >= e[1] and x <= e[2] and y >= e[3] and y <= e[4]
    if not inside then return nil end
    optimiser:step(function()
      optimiser:zero_grad()
      local value = surface.f(p[1], p[2])
      value:backward()
      return value
    end)
  end
  return path
end

for _, surface in ipairs(surfaces) do
  local e, panels = surface.extent, { cols = 3, title = "Eight optimisers: a " .. surface[1], doc = surface.doc }
  local xs, ys = peri.linspace(e[1], e[2], 150, double):view(1, -1), peri.linspace(e[3], e[4], 150, double):view(-1, 1)
  for i, title in ipairs { "one rate for all parameters", "a rate for each" } do
    panels[i] = plot.figure { title = title, xlim = { e[1], e[2] }, ylim = { e[3], e[4] }, width = 500, height = 480 }
    panels[i]:contour((surface.f(xs, ys) - surface.least + 1e-3):log10(), { extent = e, color = "gray", width = 0.7,
      levels = peri.arange(-1.5, 3, 0.5):totable(), label = "equal height" })
  end
  panels[3] = plot.figure { title = "how low", xlabel = "step", ylabel = "above the least", yscale = "log",
    ylim = { 1e-12, 1000 }, width = 500, height = 480, legend = "below" }
  local rows = { { surface[1], "rate", ("above the least after %d"):format(o.steps), "steps to 1/100 of the start" } }
  for i, method in ipairs(methods) do
    local best
    for _, rate in ipairs(peri.logspace(-4, 0, o.rates, double):totable()) do
      local path = descend(surface, method, rate)
      if path and (not best or path.above[o.steps + 1] < best.above[o.steps + 1]) then best = path end
    end
    rows[i + 1] = { method[1], "-", "leaves the picture", "-" } -- at each of the rates
    if best then
      local above = peri.tensor(best.above, double)
      local there = (above:le(best.above[1] / 100)):nonzero()
      rows[i + 1] = { method[1], best.rate, best.above[o.steps + 1], #there > 0 and there[1] - 1 or "-" }
      local look = { label = method[1], color = method.color, width = 1.7 }
      panels[i <= 4 and 1 or 2]:line(best.xs, best.ys, look)
      look.style = i > 4 and "dashed" or nil
      panels[3]:line(peri.arange(0, o.steps), above:clamp(1e-12, 1e9), look)
    end
  end
  local least = { color = "black", marker = "cross", label = "least" }
  for i = 1, 2 do panels[i]:scatter({ surface.x }, { surface.y }, least) end
  print(peri.script.table(rows) .. "\n")
  o:save(plot.page(panels), (surface[1]:gsub(" ", "_")))
end
o:finish()
