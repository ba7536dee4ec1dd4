-- StandardScaler, MinMaxScaler and PCA: fitted on some rows, applied to any.
local peri, internal, input = ...
local check = internal.check
local fail = check.fail

local transforms = {} -- the constructors

-- X as a float tensor of n x d outside of any graph, d as expected (nil: any).
local function read(operation, X, d, name)
  name = name or "X"
  if not peri.is_tensor(X) then
    if type(X) ~= "table" or type(X[1]) ~= "table" then
      check.must_be(operation, name, X, "a tensor or a table of rows")
    end
    X = input.numbers(operation, name, X)
  end
  if X:dim() ~= 2 then fail("%s: %s has shape %s (expected n x d)", operation, name, check.shape(X)) end
  if X.dtype ~= "float32" and X.dtype ~= "float64" then
    fail("%s: %s is %s (expected float32 or float64)", operation, name, X.dtype)
  end
  if d and X:size(2) ~= d then fail("%s: %s has %d columns (expected %d)", operation, name, X:size(2), d) end
  return X:detach()
end

-- The same for fit: 1 or more rows and columns of finite numbers, as float64.
local function read_fit(operation, X)
  X = read(operation, X)
  if X:numel() == 0 then
    fail("%s: X has shape %s (expected 1 or more rows and columns)", operation, table.concat(X.shape, "x"))
  end
  local x = X:to "float64"
  local odd = (x - x):ne(0):any(1):nonzero()
  if #odd > 0 then fail("%s: column %d of X has NaN or infinity", operation, odd[1]) end
  return x
end

-- A class whose objects hold options and, once fitted, fields; methods begin with the class's name in messages. Its
-- parts: describe(self), the options as text; params(self), the options; fit(self, x), the fields for x in float64;
-- transform(self, x) and inverse(self, x), in float64 too; width, the field that says how many columns inverse takes.
local function class(name, parts)
  local new = { name = name, __name = "perilune." .. name }
  new.__index = new
  new.__tostring = check.guard("tostring", function(self)
    local fitted = self.n_features and (" fitted on %d features"):format(self.n_features) or ""
    return name .. parts.describe(self) .. fitted
  end)
  -- "name.method", after a check that self is an object of the class.
  local function operation_of(self, method, arguments)
    local operation = name .. "." .. method
    local call = ("m:%s(%s), m of %s"):format(method, arguments or "X", name)
    check.called(operation, getmetatable(self) == new, self, call)
    return operation
  end
  local function apply(self, method, X, columns, what, f)
    local operation = operation_of(self, method)
    if not self.n_features then fail("%s: it is not fitted", operation) end
    X = read(operation, X, self[columns], what)
    return f(self, X:to "float64"):to(X.dtype)
  end
  new.fit = check.guard(name .. ".fit", function(self, X)
    local fields = parts.fit(self, read_fit(operation_of(self, "fit"), X))
    for field, value in pairs(fields) do self[field] = value end
    return self
  end)
  new.transform = check.guard(name .. ".transform", function(self, X)
    return apply(self, "transform", X, "n_features", "X", parts.transform)
  end)
  new.inverse_transform = check.guard(name .. ".inverse_transform", function(self, Z)
    local what = parts.width == "n_features" and "X" or "Z"
    return apply(self, "inverse_transform", Z, parts.width, what, parts.inverse)
  end)
  function new.fit_transform(self, X)
    operation_of(self, "fit_transform")
    return self:fit(X):transform(X)
  end
  new.params = check.guard(name .. ".params", function(self)
    operation_of(self, "params", "")
    return parts.params(self)
  end)
  new.clone = check.guard(name .. ".clone", function(self, changes)
    local operation = operation_of(self, "clone", "changes")
    local options = parts.params(self)
    if changes ~= nil then check.read(operation, "changes", changes, check.kinds.table) end
    for option, value in pairs(changes or {}) do options[option] = value end
    return transforms[name](options)
  end)
  return new
end

-- ---- the ends of the range ----

-- The power of two near a size: dividing by it rounds nothing but what falls below the smallest number.
local function unit_of(size)
  return size > 0 and internal.data.binade(math.min(size, 2.0 ^ 1023)) or 1.0
end

-- f(1), and f(1/1024) where that is not finite: f(share) computes with such a share of its numbers what does not depend
-- on the share, but that sums and differences on the way leave the range later.
local function within_range(f)
  local plain = f(1)
  if plain:numel() == 0 or plain:max():item() < math.huge and plain:min():item() > -math.huge then return plain end
  return peri.where((plain - plain):eq(0), plain, f(2.0 ^ -10))
end

local function part(x, share) return share == 1 and x or x * share end
local function whole(x, share) return share == 1 and x or x / share end

local function quotient(x, from, over)
  return within_range(function(share) return whole((part(x, share) - part(from, share)) / over, share) end)
end

local function product(x, over, from)
  return within_range(function(share) return whole(part(x, share) * over + part(from, share), share) end)
end

local function plain_moments(z)
  local first = z[{ { 1, 1 } }]
  local same = z:eq(first):all(1, true)
  local mean = peri.where(same, first, z:mean(1, true))
  return mean, (z - mean):square():mean(1, true), same
end

-- Mean, and variance over n, of the columns in units of their own (1 x d each): 1, unless sums or squares leave the
-- range, or come near its ends.
local function moments(x)
  local mean, var, same = plain_moments(x)
  if (same | (var:gt(2.0 ^ -800) & var:lt(2.0 ^ 800))):all() then return mean, var, peri.ones_like(mean) end
  local units = x:abs():max(1):totable()
  for j, size in ipairs(units) do units[j] = unit_of(size) end
  units = peri.tensor({ units }, { dtype = "float64" })
  mean, var = plain_moments(x / units)
  return mean, var, units
end

-- ---- scalers ----

local EPSILON = 2.0 ^ -52

-- A variance is none below what rounding makes of equal values.
local function is_constant(var, mean, n)
  return var:le(var * (n * EPSILON) + (mean * (n * EPSILON)):square())
end

local function fit_standard(self, x)
  local d = x:size(2)
  local mean, var, units = moments(x)
  local scale = var:sqrt() * units -- 0 where it is below the smallest number
  scale = peri.where(is_constant(var, mean, #x) | scale:eq(0), peri.ones_like(var), scale)
  return {
    mean = self.with_mean and (mean * units):view(d) or nil, scale = self.with_std and scale:view(d) or nil,
    var = (var * units * units):view(d), n_features = d,
  }
end

local function standardise(self, x)
  if self.mean and self.scale then return quotient(x, self.mean, self.scale) end
  if self.mean then return x - self.mean end
  return self.scale and x / self.scale or x
end

local function destandardise(self, x)
  if self.mean and self.scale then return product(x, self.scale, self.mean) end
  if self.scale then return x * self.scale end
  return self.mean and x + self.mean or x
end

local Standard = class("StandardScaler", {
  describe = function(self) return ("{mean = %s, std = %s}"):format(self.with_mean, self.with_std) end,
  params = function(self) return { mean = self.with_mean, std = self.with_std } end,
  fit = fit_standard, transform = standardise, inverse = destandardise, width = "n_features",
})

local function fit_range(self, x)
  local min, max = x:min(1), x:max(1)
  local width = max - min
  if (width - width):ne(0):any() then fail "MinMaxScaler.fit: the range of a column is beyond the largest float64" end
  width = peri.where(width:eq(0), peri.ones_like(width), width)
  return { min = min, max = max, range = width, scale = (self.high - self.low) / width, n_features = #min }
end

-- From low to high as t goes from 0 to 1, exact at both.
local function stretch(self, x)
  local t, width = quotient(x, self.min, self.range), self.high - self.low
  x = width == 1 and t or t * width
  if self.low ~= 0 then x = x + self.low end
  if self.low + width ~= self.high then x = x:masked_fill(t:eq(1), self.high) end
  return self.clip and x:clamp(self.low, self.high) or x
end

local function shrink(self, x) return product((x - self.low) / (self.high - self.low), self.range, self.min) end

local MinMax = class("MinMaxScaler", {
  describe = function(self) return ("{low = %g, high = %g, clip = %s}"):format(self.low, self.high, self.clip) end,
  params = function(self) return { low = self.low, high = self.high, clip = self.clip } end,
  fit = fit_range, transform = stretch, inverse = shrink, width = "n_features",
})

-- ---- principal components ----

-- How many of the components with these shares of the variance are asked for.
local function choose(asked, ratio)
  if not asked then return #ratio end
  if asked >= 1 then
    if asked > #ratio then
      fail("PCA.fit: components is %d but there are %d (the smaller of rows and columns)", asked, #ratio)
    end
    return asked
  end
  local sum = 0.0
  for i, share in ipairs(ratio:totable()) do
    sum = sum + share
    if sum >= asked then return i end
  end
  return #ratio
end

local function fit_components(self, x)
  local n, d = #x, x:size(2)
  if n < 2 then fail "PCA.fit: X has 1 row (expected 2 or more)" end
  local mean, _, units = moments(x)
  mean = mean * units
  local centred = quotient(x, mean, 4) -- a quarter, which is within the range
  local unit = unit_of(centred:abs():max():item())
  local scaled = centred / unit
  if n > d then scaled = select(2, peri.linalg.qr(scaled, "r")) end -- which has the same singular values and vectors
  local v, s = peri.linalg.svd(scaled:t(), { full_matrices = false })
  v = v:t():contiguous()
  local variance = s:square() / (n - 1)
  local total = variance:sum():item()
  local ratio = total > 0 and variance / total or peri.zeros_like(variance)
  local k = choose(self.asked, ratio)
  local largest = v:gather(2, select(2, v:abs():max(2, true)))
  v = peri.where(largest:lt(0), -v, v)
  local function kept(t) return t:narrow(1, 1, k):clone() end
  local none = s:le(s:max() * (math.max(n, d) * EPSILON)) -- rounding, where there is no variance
  local deviation = variance:sqrt() * unit * 4
  if deviation:eq(math.huge):any() then
    fail "PCA.fit: a deviation is beyond the largest float64 (scale the columns)"
  end
  deviation = peri.where(none | deviation:eq(0), peri.ones_like(s), deviation)
  return {
    components = kept(v), singular_values = kept(s * unit * 4), deviation = kept(deviation),
    explained_variance = kept(variance * unit * 4 * unit * 4), explained_variance_ratio = kept(ratio),
    mean = mean:view(d), n_components = k, n_features = d,
  }
end

local function project(self, x)
  return within_range(function(share)
    local z = (part(x, share) - part(self.mean, share)):matmul(self.components, { transpose_b = true })
    return whole(self.whiten and z / self.deviation or z, share)
  end)
end

local function unproject(self, z)
  return within_range(function(share)
    local scaled = self.whiten and part(z, share) * self.deviation or part(z, share)
    return whole(scaled:matmul(self.components) + part(self.mean, share), share)
  end)
end

local Pca = class("PCA", {
  describe = function(self)
    local asked = self.asked and ("components = %g, "):format(self.asked) or ""
    return ("{%swhiten = %s}"):format(asked, self.whiten)
  end,
  params = function(self) return { components = self.asked, whiten = self.whiten } end,
  fit = fit_components, transform = project, inverse = unproject, width = "n_components",
})

-- ---- constructors ----

function transforms.StandardScaler(options)
  options = check.only("StandardScaler", options, "mean std")
  return setmetatable({
    with_mean = check.flag("StandardScaler", "mean", options.mean, true),
    with_std = check.flag("StandardScaler", "std", options.std, true),
  }, Standard)
end

function transforms.MinMaxScaler(options)
  options = check.only("MinMaxScaler", options, "clip high low")
  local low, high = options.low or 0, options.high or 1
  check.read("MinMaxScaler", "low", low, check.kinds.finite)
  check.read("MinMaxScaler", "high", high, check.kinds.finite)
  if not (low < high and high - low < math.huge) then
    fail("MinMaxScaler: low is %s but high is %s (expected low below high)", check.describe(low), check.describe(high))
  end
  local clip = check.flag("MinMaxScaler", "clip", options.clip, false)
  return setmetatable({ low = low, high = high, clip = clip }, MinMax)
end

local COMPONENTS = check.test("a whole number from 1 or a share below 1", function(v)
  return math.type(v) and v > 0 and (v < 1 or math.tointeger(v))
end, check.kinds.number)

function transforms.PCA(options)
  options = check.only("PCA", options, "components whiten")
  local k = options.components
  if k ~= nil then check.read("PCA", "components", k, COMPONENTS) end
  k = k and (math.tointeger(k) or k)
  return setmetatable({ asked = k, whiten = check.flag("PCA", "whiten", options.whiten, false) }, Pca)
end

return transforms
