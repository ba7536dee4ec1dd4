-- StandardScaler, MinMaxScaler and PCA: fitted on some rows, applied to any.
local peri, internal, input = ...
local fail = input.fail

-- X as a float tensor of n x d outside of any graph, d as expected (nil: any).
local function read(operation, X, d, name)
  name = name or "X"
  if not peri.is_tensor(X) then
    if type(X) ~= "table" or type(X[1]) ~= "table" then
      fail("%s: %s must be a tensor or a table of rows, got %s", operation, name, input.describe(X))
    end
    X = peri.tensor(X, { dtype = "float64" })
  end
  if X:dim() ~= 2 then
    fail("%s: %s has shape %s (expected n x d)", operation, name, table.concat(X.shape, "x"))
  end
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

-- A class whose objects hold options; methods begin with the class's name in messages.
local function class(name)
  local new = { name = name }
  new.__index = new
  function new.__tostring(self)
    local fitted = self.n_features and (" fitted on %d features"):format(self.n_features) or ""
    return name .. self:options() .. fitted
  end
  -- "name.method", after a check that self is an object that was fitted.
  function new.need(self, method)
    if getmetatable(self) ~= new then
      fail("%s.%s: the first argument must be a %s, got %s", name, method, name, input.describe(self))
    end
    if not self.n_features then fail("%s.%s: it is not fitted", name, method) end
    return name .. "." .. method
  end
  function new.fit_transform(self, X) return self:fit(X):transform(X) end
  return new
end

-- The first row, and whether each column equals it all the way down.
local function constant(x)
  local first = x[{ { 1, 1 } }]
  return first, x:eq(first):all(1, true)
end

-- ---- scalers: x * factor + offset, in float64 ----

local function affine(operation, self, X, f)
  X = read(operation, X, self.n_features)
  return f(X:to "float64"):to(X.dtype)
end

local Standard = class "StandardScaler"

function Standard:options() return ("{mean = %s, std = %s}"):format(self.with_mean, self.with_std) end

function Standard:fit(X)
  local x = read_fit("StandardScaler.fit", X)
  local first, same = constant(x)
  local d = x:size(2)
  local mean = peri.where(same, first, x:mean(1, true))
  local var = (x - mean):square():mean(1, true)
  local scale = peri.where(same | var:eq(0), peri.ones_like(var), var:sqrt())
  self.mean = self.with_mean and mean:view(d) or nil
  self.scale = self.with_std and scale:view(d) or nil
  self.var, self.n_features = var:view(d), d
  return self
end

function Standard:transform(X)
  return affine(Standard.need(self, "transform"), self, X, function(x)
    if self.mean then x = x - self.mean end
    return self.scale and x / self.scale or x
  end)
end

function Standard:inverse_transform(X)
  return affine(Standard.need(self, "inverse_transform"), self, X, function(x)
    if self.scale then x = x * self.scale end
    return self.mean and x + self.mean or x
  end)
end

local MinMax = class "MinMaxScaler"

function MinMax:options() return ("{low = %g, high = %g, clip = %s}"):format(self.low, self.high, self.clip) end

function MinMax:fit(X)
  local x = read_fit("MinMaxScaler.fit", X)
  local min, max = x:min(1), x:max(1)
  local width = max - min
  if (width - width):ne(0):any() then fail "MinMaxScaler.fit: the range of a column is beyond the largest float64" end
  self.min, self.max = min, max
  self.scale = (self.high - self.low) / peri.where(width:eq(0), peri.ones_like(width), width)
  self.n_features = #min
  return self
end

function MinMax:transform(X)
  return affine(MinMax.need(self, "transform"), self, X, function(x)
    x = (x - self.min) * self.scale + self.low
    return self.clip and x:clamp(self.low, self.high) or x
  end)
end

function MinMax:inverse_transform(X)
  return affine(MinMax.need(self, "inverse_transform"), self, X, function(x)
    return (x - self.low) / self.scale + self.min
  end)
end

-- ---- principal components ----

local Pca = class "PCA"

function Pca:options()
  local asked = self.asked and ("components = %g, "):format(self.asked) or ""
  return ("{%swhiten = %s}"):format(asked, self.whiten)
end

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

function Pca:fit(X)
  local x = read_fit("PCA.fit", X)
  local n, d = #x, x:size(2)
  if n < 2 then fail "PCA.fit: X has 1 row (expected 2 or more)" end
  local first, same = constant(x)
  local mean = peri.where(same, first, x:mean(1, true))
  local s, v = internal.data.svd(x - mean)
  local variance = s:square() / (n - 1)
  local total = variance:sum():item()
  local ratio = total > 0 and variance / total or peri.zeros_like(variance)
  local k = choose(self.asked, ratio)
  local largest = v:gather(2, select(2, v:abs():max(2, true)))
  v = peri.where(largest:lt(0), -v, v)
  self.components = v:narrow(1, 1, k):clone()
  self.singular_values = s:narrow(1, 1, k):clone()
  self.explained_variance = variance:narrow(1, 1, k):clone()
  self.explained_variance_ratio = ratio:narrow(1, 1, k):clone()
  self.mean, self.n_components, self.n_features = mean:view(d), k, d
  return self
end

-- What whitening divides by; 1 where there is no variance.
local function deviation(self)
  local std = self.explained_variance:sqrt()
  return peri.where(std:eq(0), peri.ones_like(std), std)
end

function Pca:transform(X)
  X = read(Pca.need(self, "transform"), X, self.n_features)
  local z = (X:to "float64" - self.mean):matmul(self.components, { transpose_b = true })
  return (self.whiten and z / deviation(self) or z):to(X.dtype)
end

function Pca:inverse_transform(Z)
  Z = read(Pca.need(self, "inverse_transform"), Z, self.n_components, "Z")
  local z = Z:to "float64"
  if self.whiten then z = z * deviation(self) end
  return (z:matmul(self.components) + self.mean):to(Z.dtype)
end

-- ---- constructors ----

local transforms = {}

function transforms.StandardScaler(options)
  options = input.only("StandardScaler", options, "mean std")
  return setmetatable({
    with_mean = input.flag("StandardScaler", "mean", options.mean, true),
    with_std = input.flag("StandardScaler", "std", options.std, true),
  }, Standard)
end

function transforms.MinMaxScaler(options)
  options = input.only("MinMaxScaler", options, "clip high low")
  local low, high = options.low or 0, options.high or 1
  if not (math.type(low) and math.type(high) and low < high and high - low < math.huge) then
    fail("MinMaxScaler: low must be below high, both finite numbers, got %s and %s", input.describe(low),
      input.describe(high))
  end
  local clip = input.flag("MinMaxScaler", "clip", options.clip, false)
  return setmetatable({ low = low, high = high, clip = clip }, MinMax)
end

function transforms.PCA(options)
  options = input.only("PCA", options, "components whiten")
  local k = options.components
  if k ~= nil and not (math.type(k) and k > 0 and (k < 1 or math.tointeger(k))) then
    fail("PCA: components must be a whole number from 1 or a share below 1, got %s", input.describe(k))
  end
  k = k and (math.tointeger(k) or k)
  return setmetatable({ asked = k, whiten = input.flag("PCA", "whiten", options.whiten, false) }, Pca)
end

return transforms
