-- The gradients of a network of one hidden layer: derived by hand, by automatic differentiation, and by differences.
--
-- a = x W' + b, h = tanh(a), z = h V' + c, and the loss is the mean cross-entropy of softmax(z):
--   dz = (softmax(z) - onehot(y)) / n    dV = dz' h    dc = sum dz    da = dz V (1 - h^2)    dW = da' x    db = sum da
-- The gradients of a and z, before their activations, are those of zeros that are added to them.

local peri = require "perilune"
local o = peri.script.options {
  about = "Three ways to the same gradients.", seed = { 1, doc = "of points and weights" },
  hidden = { 10, quick = 4, doc = "units of the hidden layer" },
}

peri.manual_seed(o.seed)
local function normal(...) return peri.randn({ ... }, { dtype = "float64" }) end
local X, y = peri.data.circles(50, { noise = 0.1, seed = o.seed, dtype = "float64" })
local names = { "W", "b", "a", "V", "c", "z" }
local p = { x = X, W = normal(o.hidden, 2), b = normal(o.hidden), V = normal(2, o.hidden), c = normal(2),
  a = normal(#X, o.hidden) * 0, z = normal(#X, 2) * 0 }

local function forward(q)
  local h = (q.x:matmul(q.W:t()) + q.b + q.a):tanh()
  return h:matmul(q.V:t()) + q.c + q.z, h
end
local function loss_of(q) return peri.cross_entropy(forward(q), y) end

local function by_hand()
  local z, h = forward(p)
  local dz = (z:softmax(2) - peri.one_hot(y, 2, { dtype = "float64" })) / #X
  local da = dz:matmul(p.V) * (1 - h * h)
  return { W = da:t():matmul(X), b = da:sum(1), a = da, V = dz:t():matmul(h), c = dz:sum(1), z = dz }
end

local function by_autograd()
  local q, gradients = { x = X }, {}
  for _, name in ipairs(names) do q[name] = p[name]:clone():requires_grad_() end
  loss_of(q):backward()
  for _, name in ipairs(names) do gradients[name] = q[name].grad end
  return gradients
end

-- (L(w + e) - L(w - e)) / 2e for each number w in turn, in a dtype.
local function by_differences(e, dtype)
  local q, gradients = { x = X:to(dtype) }, {}
  for _, name in ipairs(names) do q[name] = p[name]:to(dtype):clone() end
  for _, name in ipairs(names) do
    local w, g = q[name]:view(-1), {}
    for i = 1, #w do
      local middle = w[i]
      w[i] = middle + e
      local above = loss_of(q):item()
      w[i] = middle - e
      g[i] = (above - loss_of(q):item()) / (2 * e)
      w[i] = middle
    end
    gradients[name] = peri.tensor(g, { dtype = "float64" }):view(p[name].shape)
  end
  return gradients
end

local function difference(a, b, name) return (a[name] - b[name]):abs():max():item() end
local hand, auto, near = by_hand(), by_autograd(), by_differences(1e-5, "float64")
local rows = { { "gradient of", "numbers", "hand - autograd", "hand - differences" } }
for _, name in ipairs(names) do
  rows[#rows + 1] = { name, p[name]:numel(), difference(hand, auto, name), difference(hand, near, name) }
end
print(peri.script.table(rows))

local figure = peri.plot.figure { title = "Finite differences: too long a step, or too few digits",
  xlabel = "step e", ylabel = "largest error of the gradient of W", xscale = "log", yscale = "log",
  doc = "From right to left the error falls with the step, until nearly equal numbers lose their digits." }
for _, dtype in ipairs { "float32", "float64" } do
  local steps, errors = {}, {}
  for k = 0, 20 do
    steps[k + 1] = 10 ^ (-k / 2)
    errors[k + 1] = difference(hand, by_differences(steps[k + 1], dtype), "W")
  end
  figure:line(steps, errors, { label = dtype, marker = "circle" })
end
o:save(figure, "differences")
o:finish()
