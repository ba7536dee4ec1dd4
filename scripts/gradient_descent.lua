-- Gradient descent with all examples, some, or one for each update: a line through points, two parameters. "online" has
-- two senses: one random example for each update, n updates an epoch; and one update an epoch.

local peri = require "perilune"
local nn, plot = peri.nn, peri.plot
local o = peri.script.options {
  about = "Batch, mini-batch and online gradient descent on a line's two parameters.",
  epochs = { 100, quick = 20, doc = "passes" }, points = { 100, quick = 40, doc = "examples", least = 2 },
  lr = { 0.05, doc = "learning rate of all methods" }, seed = { 1, doc = "of points and orders" },
}

peri.manual_seed(o.seed)
local n, double = o.points, { dtype = "float64" }
local x = peri.rand(n, 1, double) * 3 - 1
local y = x * 2 - 1 + peri.randn(n, 1, double) * 0.3
local A = peri.cat({ x, peri.ones(n, 1, double) }, 2)
local best = peri.linalg.solve(A:t():matmul(A), A:t():matmul(y)) -- the normal equations
local function loss_at(w, b) return (x * w + b - y):square():mean():item() end
local least = loss_at(best[{ 1, 1 }], best[{ 2, 1 }])

-- Calls after(k, seconds of it, net) after each update k.
local function descend(method, after)
  local net, mse = nn.Linear(1, 1, double), nn.MSELoss()
  peri.no_grad(function() net.weight:fill_(-1) net.bias:fill_(2) end)
  local opt = peri.optim.SGD(net:parameters(), { lr = o.lr })
  local batches = peri.data.loader({ x, y }, { batch_size = method.batch, shuffle = true, seed = o.seed })
  local updates = 0
  for _ = 1, o.epochs do
    for bx, by in batches do
      local start = peri.now()
      opt:zero_grad()
      mse(net(bx), by):backward()
      opt:step()
      updates = updates + 1
      after(updates, peri.now() - start, net)
      if method.updates == 1 then break end
    end
  end
end

-- The history of a method. Other programs only make an update slower, so that the shortest of three runs counts.
local function history(method)
  local h, shortest = { updates = {}, seconds = {}, epochs = {}, loss = {}, w = { -1 }, b = { 2 } }, {}
  for _ = 1, 2 do
    descend(method, function(k, seconds) shortest[k] = math.min(shortest[k] or math.huge, seconds) end)
  end
  descend(method, function(k, seconds, net)
    local w, b = net.weight:item(), net.bias:item()
    h.updates[k], h.epochs[k] = k, k / method.updates
    h.seconds[k] = (h.seconds[k - 1] or 0) + math.min(shortest[k], seconds)
    h.w[k + 1], h.b[k + 1], h.loss[k] = w, b, loss_at(w, b)
  end)
  return h
end

local methods = {
  { "online, n updates an epoch", batch = 1, updates = n, color = "purple" },
  { "online, 1 update an epoch", batch = 1, updates = 1, color = "orange" },
  { "mini-batches of 8", batch = 8, updates = math.ceil(n / 8), color = "green" },
  { "mini-batches of 32", batch = 32, updates = math.ceil(n / 32), color = "red" },
  { "batch", batch = n, updates = 1, color = "blue" },
}
local rows = { { "method", "updates", "loss", "above the least", "seconds" } }
for _, m in ipairs(methods) do
  m.h = history(m)
  rows[#rows + 1] = { m[1], #m.h.loss, m.h.loss[#m.h.loss], m.h.loss[#m.h.loss] - least, m.h.seconds[#m.h.loss] }
end
print(peri.script.table(rows))

local panels = { title = "Gradient descent: one loss, three measures of work", cols = 3, share = "y",
  doc = "In epochs many small steps are far ahead; update for update, and second for second, they are much alike." }
for i, axis in ipairs { "epochs", "updates", "seconds" } do
  panels[i] = plot.figure { xlabel = axis, ylabel = "loss", yscale = "log", xscale = i > 1 and "log" or "linear",
    width = 400, height = 440 }
  for _, m in ipairs(methods) do
    panels[i]:line(m.h[axis], m.h.loss, { label = m[1], color = m.color, width = 1.5 })
  end
end
o:save(plot.page(panels), "loss")

-- The loss at 80 x 80 pairs of w and b, and how the methods come down on it.
local w, b = peri.linspace(-1.57, 3.57, 80, double), peri.linspace(-2.57, 2.57, 80, double)
local losses = (w:view(1, 80, 1) * x:view(1, 1, n) + b:view(80, 1, 1) - y:view(1, 1, n)):square():mean(3)
local path = plot.figure { title = "The path of the parameters on the loss surface", xlabel = "w", ylabel = "b",
  xlim = { -1.6, 3.6 }, ylim = { -2.6, 2.6 }, height = 640, legend = "below",
  doc = "All come down the same valley; at a constant rate single examples keep on trembling around its lowest point." }
path:contour(losses:log() / math.log(10), { extent = { -1.6, 3.6, -2.6, 2.6 }, color = "gray", width = 1,
  label = "equal loss", levels = { -0.9, -0.6, -0.3, 0, 0.3, 0.6, 0.9, 1.2, 1.5 } })
for i, m in ipairs(methods) do
  path:line(m.h.w, m.h.b, { label = m[1], color = m.color, width = 1.5, marker = i == 5 and "circle" or nil })
end
path:scatter({ best[{ 1, 1 }] }, { best[{ 2, 1 }] }, { label = "least loss", color = "black", marker = "cross" })
o:save(path, "path")
o:finish()
