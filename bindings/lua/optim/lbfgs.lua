-- The step of LBFGS (D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989): the
-- direction is the gradient times an inverse Hessian that the last changes of the gradient and steps imply. All
-- parameters are one vector, in their order. It works on copies until it is done: when the closure raises, parameters
-- and state are as they were.
local peri, internal, Optimizer = ...
local search = internal.load("optim.line_search")
local fail, describe = internal.check.fail, internal.check.describe
local nn, no_grad, assign = peri.nn, peri.no_grad, internal.optim.assign

local LBFGS = setmetatable({}, { __index = Optimizer, __name = "LBFGS" })

local ITERATIONS, EVALUATIONS, PAIRS, OLDEST, LENGTH, SCALE = 1, 2, 3, 4, 5, 6 -- of self.numbers

-- The buffers: the last direction and gradient; the pairs y = change of the gradient and s = step, in a ring of which
-- OLDEST is the first; 1 / y's of each; numbers.
function LBFGS:init()
  local groups = self.param_groups
  if #groups > 1 then fail("LBFGS: there are %d groups of parameters (expected 1)", #groups) end
  local parameters, n = groups[1].params, 0
  local dtype = parameters[1].dtype
  for i, p in ipairs(parameters) do
    if p.dtype ~= dtype then fail("LBFGS: parameter %d is %s, but the first is %s", i, p.dtype, dtype) end
    n = n + p:numel()
  end
  local options = { dtype = dtype }
  self.direction, self.gradient = nn.Buffer(peri.zeros(n, options)), nn.Buffer(peri.zeros(n, options))
  self.changes = nn.Buffer(peri.zeros(self.history_size, n, options))
  self.steps = nn.Buffer(peri.zeros(self.history_size, n, options))
  self.inverses = nn.Buffer(peri.zeros(self.history_size, { dtype = "float64" }))
  self.numbers = nn.Buffer(peri.zeros(6, { dtype = "float64" }))
end

function LBFGS.add_param_group() fail "LBFGS: add_param_group: there is one group of parameters" end

-- ---- vectors ----

local function dot(a, b) return (a * b):sum():item() end
local function largest(a) return a:abs():max():item() end

local function gather(parameters, sign)
  local parts = {}
  for i, p in ipairs(parameters) do
    local g = p.grad
    parts[i] = g and g:reshape(-1) or peri.zeros(p:numel(), { dtype = p.dtype })
  end
  local all = peri.cat(parts, 1)
  return sign < 0 and -all or all -- cat has copied it
end

-- Parameters become x + t d.
local function move(parameters, x, t, d)
  local from = 1
  for i, p in ipairs(parameters) do
    local n = p:numel()
    if n > 0 then p:copy_(x[i] + (d[{ { from, from + n - 1 } }] * t):reshape(table.unpack(p.shape))) end
    from = from + n
  end
end

local function copies(parameters)
  local list = {}
  for i, p in ipairs(parameters) do list[i] = p:detach():clone() end
  return list
end

-- ---- memory ----

-- The pairs, oldest first: {y =, s =, inverse =}.
local function recall(self)
  local pairs_, numbers, size = {}, self.numbers, self.history_size
  local oldest = numbers[OLDEST]
  for k = 1, numbers[PAIRS] do
    local row = math.tointeger((oldest + k - 1) % size + 1)
    pairs_[k] = { y = self.changes[row], s = self.steps[row], inverse = self.inverses[row] }
  end
  return pairs_
end

-- What the state becomes after a step, as a list of tensors and their values: the pairs that are new go into the ring,
-- over the oldest.
local function changes_of(self, memory, state)
  local size, list = self.history_size, {}
  local function change(tensor, value) list[#list + 1] = { tensor, value } end
  for k, pair in ipairs(memory) do
    if pair.new then
      local row = math.tointeger((state.oldest + k - 1) % size + 1)
      change(self.changes[row], pair.y)
      change(self.steps[row], pair.s)
      change(self.inverses[{ { row, row } }], peri.tensor({ pair.inverse }, { dtype = "float64" }))
    end
  end
  if state.d ~= self.direction then change(self.direction, state.d) end
  if state.last ~= self.gradient then change(self.gradient, state.last) end
  local numbers = { state.iterations, state.evaluations, #memory, state.oldest % size, state.t, state.scale }
  change(self.numbers, peri.tensor(numbers, { dtype = "float64" }))
  return list
end

-- The next direction from gradient g; a pair comes to memory where it says that the curvature is positive.
local function direct(state, memory, g, size)
  if state.iterations == 1 then
    state.scale = 1
    return -g
  end
  local y, s = g - state.last, state.d * state.t
  local ys = dot(y, s)
  if ys > 1e-10 then
    if #memory == size then
      table.remove(memory, 1)
      state.oldest = state.oldest + 1
    end
    memory[#memory + 1] = { y = y, s = s, inverse = 1 / ys, new = true }
    state.scale = ys / dot(y, y)
  end
  local q, shares = -g, {}
  for i = #memory, 1, -1 do
    local pair = memory[i]
    shares[i] = dot(pair.s, q) * pair.inverse
    q = q - pair.y * shares[i]
  end
  q = q * state.scale
  for i, pair in ipairs(memory) do q = q + pair.s * (shares[i] - dot(pair.y, q) * pair.inverse) end
  return q
end

-- ---- the step ----

-- One iteration after the other, from loss f and gradient g; `evaluate` gives both for the parameters as they are.
local function iterate(self, state, memory, parameters, evaluate, f, g)
  local most, evaluations = self.max_iter, 1
  local most_evaluations = self.max_eval > 0 and self.max_eval or most * 5 // 4
  for n = 1, most do
    state.iterations = state.iterations + 1
    state.d = direct(state, memory, g, self.history_size)
    state.last = g
    local before = f
    state.t = self.lr * (state.iterations == 1 and math.min(1, 1 / g:abs():sum():item()) or 1)
    local slope = dot(g, state.d)
    if slope > -self.tolerance_change then return end
    local x, d = copies(parameters), state.d
    if self.line_search_fn == "strong_wolfe" then
      local function try(t)
        move(parameters, x, t, d)
        local value, gradient = evaluate()
        return { t = t, f = value, g = gradient, slope = dot(gradient, d) }
      end
      local found, used = search(try, { t = 0, f = f, g = g, slope = slope }, state.t, largest(d),
        self.tolerance_change)
      f, g, state.t, evaluations = found.f, found.g, found.t, evaluations + used
      move(parameters, x, found.t, d)
    else
      move(parameters, x, state.t, d)
      if n < most then
        f, g = evaluate()
        evaluations = evaluations + 1
      end
    end
    if n == most or evaluations >= most_evaluations or largest(g) <= self.tolerance_grad or
      largest(d) * state.t <= self.tolerance_change or math.abs(f - before) < self.tolerance_change then
      return
    end
  end
end

function LBFGS.step(...)
  internal.optim.ready(...)
  local self, closure = ...
  if type(closure) ~= "function" then
    fail("LBFGS: step needs a closure that computes the loss and the gradients and gives the loss, got %s",
      describe(closure))
  end
  local parameters, numbers = self.param_groups[1].params, self.numbers
  local sign = self.maximize and -1 or 1
  local state = {
    iterations = numbers[ITERATIONS], evaluations = numbers[EVALUATIONS], oldest = numbers[OLDEST],
    t = numbers[LENGTH], scale = numbers[SCALE], d = self.direction, last = self.gradient,
  }
  local memory, start, first = recall(self), no_grad(copies, parameters), nil
  local function evaluate()
    local loss = peri.enable_grad(closure)
    local value = loss
    if peri.is_tensor(loss) and loss:numel() == 1 then value = loss:item() end
    if math.type(value) == nil then
      fail("LBFGS: the closure gave %s (expected the loss: a number or a tensor of one element)", describe(loss))
    end
    internal.optim.ready(self)
    first = first or loss
    state.evaluations = state.evaluations + 1
    return sign * value, gather(parameters, sign)
  end
  local ok, changes = pcall(no_grad, function()
    local f, g = evaluate()
    if largest(g) > self.tolerance_grad then iterate(self, state, memory, parameters, evaluate, f, g) end
    return changes_of(self, memory, state)
  end)
  if not ok then -- by Ctrl-C it may be, so that nothing that can be stopped may follow
    for i, p in ipairs(parameters) do assign(p, start[i]) end
    error(changes, 0)
  end
  for _, change in ipairs(changes) do assign(change[1], change[2]) end
  for i, p in ipairs(parameters) do
    if p.grad then internal.optim.keep(self, i, {}) end
  end
  return first
end

return LBFGS
