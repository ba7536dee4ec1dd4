-- peri.nn.init: initial values of parameters, written in place and not recorded.
local peri, internal, init = ...
local check = internal.check
local fail, describe, kinds = check.fail, check.describe, check.kinds

-- ---- arguments ----

local FINITE = check.test("a finite number", function(v) return math.type(v) ~= nil and v - v == 0 end, kinds.number)
local AT_LEAST_0 = check.test("a number of at least 0", function(v)
  return math.type(v) ~= nil and v >= 0 and v < math.huge
end, kinds.number)
local SHARE = check.test("0 to 1", function(v) return math.type(v) ~= nil and v >= 0 and v <= 1 end, kinds.number)
local NONLINEARITIES = { "linear", "conv1d", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu" }

-- The function `name` of a tensor, numbers by place or name ({name, kind, default} in order), and a generator:
-- run(x, values, options for the draw).
local function define(name, params, run, doc)
  local known = { generator = kinds.any or check.test("a peri.Generator", function(v) return v ~= nil end) }
  for _, param in ipairs(params) do known[param[1]] = param[2] end
  internal.document(name, doc, function(x, ...)
    if not peri.is_tensor(x) then check.must_be(name, "tensor", x, "a tensor") end
    if not x.dtype:find "^float" then fail("%s: tensor is %s (expected float32 or float64)", name, x.dtype) end
    local given, n = { ... }, select("#", ...)
    local options = type(given[n]) == "table" and table.remove(given, n) or nil
    if options then n = n - 1 end
    while n > 0 and given[n] == nil do n = n - 1 end
    if n > #params then fail("%s: too many arguments: %s was not expected", name, describe(given[#params + 1])) end
    options = check.options(name, options or {}, known)
    local values = {}
    for i, param in ipairs(params) do
      local value = given[i]
      if value == nil then value = options[param[1]] else value = check.read(name, param[1], value, param[2]) end
      if value == nil then value = param[3] end
      if value == nil then fail("%s: %s is missing", name, param[1]) end
      values[i] = value
    end
    peri.no_grad(run, x, values, { generator = options.generator })
    return x
  end, init)
end

-- The inputs and outputs of one element: the second and the first size, times those behind them.
local function fans(name, x)
  if x:dim() < 2 then fail("%s: tensor is %s (expected two or more dimensions)", name, check.shape(x)) end
  local field = 1
  for d = 3, x:dim() do field = field * x.shape[d] end
  return x.shape[2] * field, x.shape[1] * field
end

-- ---- gains ----

local function gain_of(nonlinearity, slope)
  if nonlinearity == "tanh" then return 5 / 3 end
  if nonlinearity == "relu" then return math.sqrt(2) end
  if nonlinearity == "leaky_relu" then return math.sqrt(2 / (1 + slope ^ 2)) end
  return nonlinearity == "selu" and 0.75 or 1
end

internal.document("calculate_gain", [[
calculate_gain(nonlinearity, param) -> number
By how much a layer's weights are scaled that the function follows: 1 for linear, conv1d, conv2d and sigmoid, 5/3 for
tanh, sqrt(2) for relu, sqrt(2 / (1 + param^2)) for leaky_relu (param = 0.01), 3/4 for selu.]],
  function(nonlinearity, param)
    check.choice("calculate_gain", "nonlinearity", nonlinearity, NONLINEARITIES)
    local slope = param == nil and 0.01 or check.read("calculate_gain", "param", param, FINITE)
    return gain_of(nonlinearity, slope)
  end, init)

-- ---- constants ----

define("zeros_", {}, function(x) x:zero_() end, "zeros_(tensor) -> tensor\nAll elements 0.")
define("ones_", {}, function(x) x:fill_(1) end, "ones_(tensor) -> tensor\nAll elements 1.")
define("constant_", { { "val", FINITE } }, function(x, v) x:fill_(v[1]) end,
  "constant_(tensor, val) -> tensor\nAll elements val.")

define("eye_", {}, function(x)
  if x:dim() ~= 2 then fail("eye_: tensor is %s (expected two dimensions)", check.shape(x)) end
  x:copy_(peri.eye(x.shape[1], x.shape[2], { dtype = x.dtype }))
end, "eye_(tensor) -> tensor\nThe identity, of a matrix: 1 on its diagonal, 0 elsewhere.")

-- ---- draws ----

local GENERATOR = " From the default stream, or that of {generator =}."

define("uniform_", { { "a", FINITE, 0 }, { "b", FINITE, 1 } },
  function(x, v, options) x:uniform_(v[1], v[2], options) end,
  "uniform_(tensor, a = 0, b = 1, {generator}) -> tensor\nUniform in [a, b)." .. GENERATOR)
define("normal_", { { "mean", FINITE, 0 }, { "std", AT_LEAST_0, 1 } },
  function(x, v, options) x:normal_(v[1], v[2], options) end,
  "normal_(tensor, mean = 0, std = 1, {generator}) -> tensor\nNormal with that mean and deviation." .. GENERATOR)

-- What lies outside is drawn again, from the normal numbers while much of them lies inside, else from uniform ones, of
-- which the density decides how many stay.
local function truncated(x, low, high, options)
  local nearest = math.max(low, math.min(0, high)) -- where the density is largest
  local normal = low < 1 and high > -1 and high - low > 0.5
  local y, open = peri.zeros_like(x), peri.ones_like(x):gt(0)
  repeat
    local draw = peri.zeros_like(x)
    if normal then
      draw:normal_(0, 1, options)
      local inside = draw:ge(low) & draw:le(high)
      y, open = peri.where(open & inside, draw, y), open & ~inside
    else
      draw:uniform_(low, high, options)
      local keep = peri.zeros_like(x):uniform_(0, 1, options):le((((draw * draw) - nearest ^ 2) * -0.5):exp())
      y, open = peri.where(open & keep, draw, y), open & ~keep
    end
  until not open:any()
  return y
end

define("trunc_normal_", { { "mean", FINITE, 0 }, { "std", AT_LEAST_0, 1 }, { "a", FINITE, -2 }, { "b", FINITE, 2 } },
  function(x, v, options)
    local mean, std, a, b = table.unpack(v)
    if a >= b then fail("trunc_normal_: a is %g and b is %g (expected a below b)", a, b) end
    if std == 0 then
      x:fill_(math.max(a, math.min(mean, b)))
    else
      x:copy_((truncated(x, (a - mean) / std, (b - mean) / std, options) * std + mean):clamp(a, b))
    end
  end, [[
trunc_normal_(tensor, mean = 0, std = 1, a = -2, b = 2, {generator}) -> tensor
Normal with that mean and deviation, of numbers from a to b alone.]] .. GENERATOR)

define("xavier_uniform_", { { "gain", FINITE, 1 } }, function(x, v, options)
  local inputs, outputs = fans("xavier_uniform_", x)
  local bound = math.abs(v[1]) * math.sqrt(6 / (inputs + outputs))
  x:uniform_(-bound, bound, options)
end, [[
xavier_uniform_(tensor, gain = 1, {generator}) -> tensor
Uniform in +-gain sqrt(6 / (inputs + outputs)) of one element of a layer. X. Glorot, Y. Bengio, 'Understanding the
difficulty of training deep feedforward neural networks', 2010.]] .. GENERATOR)
define("xavier_normal_", { { "gain", FINITE, 1 } }, function(x, v, options)
  local inputs, outputs = fans("xavier_normal_", x)
  x:normal_(0, math.abs(v[1]) * math.sqrt(2 / (inputs + outputs)), options)
end, [[
xavier_normal_(tensor, gain = 1, {generator}) -> tensor
Normal with deviation gain sqrt(2 / (inputs + outputs)); see xavier_uniform_.]] .. GENERATOR)

local KAIMING = { { "a", FINITE, 0 }, { "mode", check.one_of { "fan_in", "fan_out" }, "fan_in" },
                  { "nonlinearity", check.one_of(NONLINEARITIES), "leaky_relu" } }
local function deviation(name, x, v)
  local inputs, outputs = fans(name, x)
  return gain_of(v[3], v[1]) / math.sqrt(v[2] == "fan_in" and inputs or outputs)
end

define("kaiming_uniform_", KAIMING, function(x, v, options)
  local bound = math.sqrt(3) * deviation("kaiming_uniform_", x, v)
  x:uniform_(-bound, bound, options)
end, [[
kaiming_uniform_(tensor, a = 0, mode = 'fan_in', nonlinearity = 'leaky_relu', {generator}) -> tensor
Uniform in +-gain sqrt(3 / inputs), or outputs with mode = 'fan_out'; the gain is that of the nonlinearity behind the
layer, of leaky_relu with slope a. K. He et al., 'Delving deep into rectifiers', 2015.]] .. GENERATOR)
define("kaiming_normal_", KAIMING, function(x, v, options)
  x:normal_(0, deviation("kaiming_normal_", x, v), options)
end, [[
kaiming_normal_(tensor, a = 0, mode = 'fan_in', nonlinearity = 'leaky_relu', {generator}) -> tensor
Normal with deviation gain / sqrt(inputs), or outputs with mode = 'fan_out'; see kaiming_uniform_.]] .. GENERATOR)

-- Columns, each less its part along those before it, twice, and of length 1. A column of a normal matrix that is left
-- with nothing has no probability.
local function orthonormal(matrix)
  local rows, columns = table.unpack(matrix.shape)
  local q = peri.zeros(rows, columns, { dtype = "float64" })
  for j = 1, columns do
    local v = matrix:narrow(2, j, 1)
    if j > 1 then
      local before = q:narrow(2, 1, j - 1)
      for _ = 1, 2 do v = v - before:matmul(before:t():matmul(v)) end
    end
    q:narrow(2, j, 1):copy_(v / (v * v):sum():sqrt())
  end
  return q
end

define("orthogonal_", { { "gain", FINITE, 1 } }, function(x, v, options)
  if x:dim() < 2 then fail("orthogonal_: tensor is %s (expected two or more dimensions)", check.shape(x)) end
  if x:numel() == 0 then return end
  local rows = x.shape[1]
  local columns = x:numel() // rows
  local wide = rows < columns
  local draw = peri.zeros(math.max(rows, columns), math.min(rows, columns), { dtype = "float64" })
  draw:normal_(0, 1, options)
  local q = orthonormal(draw)
  x:copy_(((wide and q:t() or q) * v[1]):reshape(x.shape))
end, [[
orthogonal_(tensor, gain = 1, {generator}) -> tensor
gain times a random matrix with orthonormal rows or columns, whichever are fewer; all dimensions but the first count as
columns. A. Saxe et al., 'Exact solutions to the nonlinear dynamics of learning in deep linear neural networks',
2013.]] .. GENERATOR)

define("sparse_", { { "sparsity", SHARE }, { "std", AT_LEAST_0, 0.01 } }, function(x, v, options)
  if x:dim() ~= 2 then fail("sparse_: tensor is %s (expected two dimensions)", check.shape(x)) end
  local rows, columns = table.unpack(x.shape)
  local zeros = math.ceil(v[1] * rows)
  x:normal_(0, v[2], options)
  for c = 1, zeros > 0 and columns or 0 do
    local places = peri.randperm(rows, options):narrow(1, 1, zeros)
    x:select(2, c):index_fill_(1, places, 0)
  end
end, [[
sparse_(tensor, sparsity, std = 0.01, {generator}) -> tensor
A matrix of normal numbers with deviation std, of which in each column that part is 0, rounded up. J. Martens, 'Deep
learning via Hessian-free optimization', 2010.]] .. GENERATOR)
