-- Kernel approximations: Nystroem and RBFSampler turn rows into features whose scalar products are near the
-- kernel's values, so that a linear machine learns as one with the kernel would. Called with the module and
-- the table of peri.svm.
local peri, internal, svm = ...
local kernels = internal.kernels

svm.kernel_matrix = kernels.kernel_matrix

-- A documentation: lines that are indented go on with the line before.
local function text(lines) return (lines:gsub("\n  ", " ")) end

-- ---- errors ----

local function fail(operation, message, ...) internal.raise(("%s: " .. message):format(operation, ...)) end

-- A value as a message shows it.
local function shown(value)
  local kind = type(value)
  if kind == "string" then return "'" .. value .. "'" end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring(value) end
  return peri.is_tensor(value) and "a tensor" or "a " .. kind
end

-- ---- options: each kind checks a value and gives what is kept ----

local LARGEST = 2 ^ 53 -- whole numbers up to here are exact as doubles

local function integer(low, high)
  return function(operation, name, value)
    if type(value) ~= "number" then fail(operation, "%s must be a number, got %s", name, shown(value)) end
    local whole = math.tointeger(value)
    if not whole then fail(operation, "%s must be a whole number, got %s", name, value) end
    if whole < low or whole > high then
      fail(operation, "%s is %d (expected %d to %.0f)", name, whole, low, high)
    end
    return whole
  end
end

local function finite(operation, name, value)
  if type(value) ~= "number" then fail(operation, "%s must be a number, got %s", name, shown(value)) end
  if value - value ~= 0 then fail(operation, "%s must be finite, got %s", name, value) end
  return value + 0.0
end

local function gamma(operation, name, value)
  if value == "scale" or value == "auto" then return value end
  if type(value) ~= "number" then fail(operation, "gamma must be scale, auto or a number, got %s", shown(value)) end
  if not (value > 0 and value < math.huge) then
    fail(operation, "gamma is %s (expected a finite number > 0)", value + 0.0)
  end
  return value + 0.0
end

local KERNELS = { linear = true, poly = true, rbf = true, sigmoid = true }

local function kernel(operation, name, value)
  if type(value) == "string" and KERNELS[value] then return value end
  fail(operation, "kernel must be one of linear poly rbf sigmoid, got %s", shown(value))
end

-- The options of an estimator, in the order in which messages and texts name them: {name, kind, default}.
local NYSTROEM = {
  { "kernel", kernel, "rbf" }, { "gamma", gamma, "auto" }, { "degree", integer(0, 2 ^ 31 - 1), 3 },
  { "coef0", finite, 1.0 }, { "n_components", integer(1, 2 ^ 31 - 1), 100 }, { "seed", integer(0, LARGEST), 0 },
}
local RBF_SAMPLER = {
  { "gamma", gamma, 1.0 }, { "n_components", integer(1, 2 ^ 31 - 1), 100 }, { "seed", integer(0, LARGEST), 0 },
}

local function names_of(options)
  local names = {}
  for i, option in ipairs(options) do names[i] = option[1] end
  return table.concat(names, ", ")
end

local function read_options(operation, options, given)
  local params, known = {}, {}
  for _, option in ipairs(options) do params[option[1]], known[option[1]] = option[3], option[2] end
  if given == nil then return params end
  if type(given) ~= "table" then fail(operation, "options must be a table, got %s", shown(given)) end
  for name, value in next, given do
    if type(name) ~= "string" then fail(operation, "options must have names, got the key %s", shown(name)) end
    if not known[name] then
      fail(operation, "unknown option %s (known: %s)%s", name, names_of(options), internal.meant(name, known))
    end
    params[name] = known[name](operation, name, value)
  end
  return params
end

-- ---- estimators ----

local states = setmetatable({}, { __mode = "k" }) -- of each estimator its class, its params, what it has fitted

local FIT = text [[
m:fit(X, y) -> m
Learns from X, n x d float32 or float64 (or a Lua table of rows, taken as float64); y is not looked at. Nothing is
  recorded for gradients.
Errors: shapes that do not fit, no rows, numbers that are not finite. After an error m is what it was before.]]
local TRANSFORM = text [[
m:transform(X) -> tensor
The features of the rows of X (n x d, as in fit): n x n_components, of the dtype of the fit. Their scalar products
  are near the kernel's values.
Errors: not fitted, another number of features than the fit had, numbers that are not finite.]]
local FIT_TRANSFORM = "m:fit_transform(X, y) -> tensor\nm:fit(X, y):transform(X)."
local CLONE = text [[
m:clone(changes) -> estimator
A new estimator, not fitted, with the options of m; changes = {name = value, ..} replaces some.]]
local PARAMS = "m:params() -> table\nThe options and their values, in a table of its own."
local HAS = text [[
m:has(name) -> boolean
Whether there is a field or method of that name now; reading one that is not there is an error.]]
local RELEASE = "m:release()\nFrees what was learnt; m is not fitted afterwards."

-- A class: name, options, fields (names of what a fit gives), fit(params, X, operation) -> fields,
-- transform(fitted, X, params) -> tensor, doc. The constructor goes into svm.
local function define(class)
  local methods, is_option, is_field, meta = {}, {}, {}, { __metatable = false, __name = "perilune.svm." .. class.name }
  for _, option in ipairs(class.options) do is_option[option[1]] = true end
  for _, name in ipairs(class.fields) do is_field[name] = true end

  local function new(params)
    local m = setmetatable({}, meta)
    states[m] = { class = class, params = params }
    return m
  end

  local function method(name, doc, f)
    internal.document(name, doc, function(m, ...)
      local state = states[m]
      local operation = class.name .. "." .. name
      if not state or state.class ~= class then
        fail(operation, "the first argument must be the estimator (m:%s), got %s", name, shown(m))
      end
      return f(m, state, operation, ...)
    end, methods)
  end

  local function fit(m, state, operation, X)
    local x = kernels.features(X, operation)
    if #x == 0 then fail(operation, "X has 0 rows (expected 1 or more)") end
    local fitted = class.fit(state.params, x, operation)
    fitted.n, fitted.d, fitted.dtype = #x, x:size(2), x.dtype
    state.fitted = fitted
    return m
  end

  local function transform(_, state, operation, X)
    if not state.fitted then fail(class.name, "not fitted; call fit first") end
    local x, fitted = kernels.features(X, operation), state.fitted
    if x:size(2) ~= fitted.d then
      fail(operation, "X has %d features but the fit had %d", x:size(2), fitted.d)
    end
    return class.transform(fitted, x:to(fitted.dtype), state.params)
  end

  method("fit", FIT, fit)
  method("transform", TRANSFORM, transform)
  method("fit_transform", FIT_TRANSFORM, function(m, state, operation, X)
    return transform(fit(m, state, operation, X), state, operation, X)
  end)
  method("params", PARAMS, function(_, state)
    local copy = {}
    for name, value in next, state.params do copy[name] = value end
    return copy
  end)
  method("clone", CLONE, function(m, state, operation, changes)
    if changes ~= nil and type(changes) ~= "table" then
      fail(operation, "changes must be a table of options, got %s", shown(changes))
    end
    local merged = methods.params(m)
    for name, value in next, changes or {} do merged[name] = value end
    return new(read_options(class.name, class.options, merged))
  end)
  method("has", HAS, function(m, _, operation, name)
    if type(name) ~= "string" then fail(operation, "name must be a string, got %s", shown(name)) end
    local ok, value = pcall(function() return m[name] end)
    return ok and value ~= nil
  end)
  method("release", RELEASE, function(_, state) state.fitted = nil end)

  function meta.__index(m, name)
    local state = states[m]
    if methods[name] then return methods[name] end
    if is_field[name] and state.fitted then return state.fitted[name] end
    if is_option[name] then return state.params[name] end
    if is_field[name] then fail(class.name, "not fitted; call fit first") end
    local known = setmetatable({}, { __index = methods })
    for _, names in ipairs { is_field, is_option } do
      for key in pairs(names) do known[key] = true end
    end
    fail(class.name, "there is no field or method %s%s", type(name) == "string" and name or shown(name),
      internal.meant(name, known))
  end

  internal.classes["svm." .. class.name] = meta

  function meta.__newindex(_, name)
    fail(class.name, "%s cannot be set (m:clone{n_components = 10} is a copy with other options)", tostring(name))
  end

  function meta.__tostring(m)
    local state, list = states[m], {}
    for i, option in ipairs(class.options) do
      local value = state.params[option[1]]
      local written = type(value) == "string" and '"' .. value .. '"' or ("%.14g"):format(value)
      list[i] = option[1] .. " = " .. written
    end
    local fitted = state.fitted and (" fitted on %dx%d"):format(state.fitted.n, state.fitted.d) or ""
    return ("%s{%s}%s"):format(class.name, table.concat(list, ", "), fitted)
  end

  internal.document(class.name, class.doc, function(options)
    return new(read_options(class.name, class.options, options))
  end, svm)
end

local function number_of_gamma(params, x)
  return type(params.gamma) == "number" and params.gamma or kernels.gamma(x, params.gamma)
end

-- ---- Nystroem ----

local function kernel_options(params, value)
  return { kernel = params.kernel, gamma = value, degree = params.degree, coef0 = params.coef0 }
end

-- U S^(-1/2) V of K = U S V, by the eigenvectors of K, whose values' signs U takes. As in scikit-learn a
-- singular value counts as 1e-12 at least; of float32 kernel values also as what their rounding can make of 0.
local function inverse_root(K)
  local values, vectors = peri.linalg.eigh(K:to "float64")
  local sizes = values:abs()
  local floor = K.dtype == "float32" and math.max(1e-12, sizes:max():item() * 2 ^ -23) or 1e-12
  local signs = 1 - 2 * values:lt(0):to "float64"
  return (vectors * (signs / sizes:clamp(floor):sqrt())):matmul(vectors:t()):to(K.dtype)
end

local function fit_nystroem(params, x, operation)
  local n, count = #x, params.n_components
  if count > n then
    local message = "%s: n_components is %d but X has %d rows: there will be %d components"
    kernels.warn(message:format(operation, count, n, n))
    count = n
  end
  local fitted = { gamma = number_of_gamma(params, x) }
  fitted.component_indices = kernels.draw("order", params.seed, n):narrow(1, 1, count):clone()
  fitted.components = x[fitted.component_indices]
  local K = kernels.kernel_matrix(fitted.components, nil, kernel_options(params, fitted.gamma))
  if not (K - K):eq(0):all() then
    fail(operation, "the %s kernel overflows (scale the features, or lower gamma or degree)", params.kernel)
  end
  fitted.normalization = inverse_root(K)
  return fitted
end

define {
  name = "Nystroem",
  options = NYSTROEM,
  fields = { "components", "component_indices", "normalization", "gamma" },
  fit = fit_nystroem,
  transform = function(fitted, x, params)
    local K = kernels.kernel_matrix(x, fitted.components, kernel_options(params, fitted.gamma))
    return K:matmul(fitted.normalization:t())
  end,
  doc = text [[
svm.Nystroem{kernel = 'rbf', gamma = 'auto', degree = 3, coef0 = 1, n_components = 100, seed = 0} -> estimator
Features whose scalar products are near a kernel's values, from the kernel between rows and n_components rows of the
  fit, chosen at random by seed; exact between rows of the fit when all of them are chosen. With svm.LinearSVC behind it
  a kernel machine for many rows. Kernels as in svm.kernel_matrix; gamma: 'auto', 1 / d; 'scale', 1 / (d Var(X)); or a
  number > 0. normalization is by LAPACK's syevd, whose bits are the processor's.
Methods: fit, transform, fit_transform, clone, params, release.
Fields after fit, for c components (n_components, or n with a Lua warning when X has fewer rows): components (c x d),
  component_indices (c, int64: rows of X), normalization (c x c), gamma (the number used). Options can be read too
  (m.n_components); m.gamma is the option until the fit.
Errors: unknown options, values out of range; fit says what is wrong with the data.
Source: C. Williams, M. Seeger, Using the Nystroem method to speed up kernel machines, NIPS 2000.]],
}

-- ---- RBFSampler ----

define {
  name = "RBFSampler",
  options = RBF_SAMPLER,
  fields = { "random_weights", "random_offset", "gamma" },
  fit = function(params, x)
    local fitted = { gamma = number_of_gamma(params, x) }
    local normal = kernels.draw("normal", params.seed, x:size(2), params.n_components)
    fitted.random_weights = normal:mul_(math.sqrt(2 * fitted.gamma)):to(x.dtype)
    fitted.random_offset = kernels.draw("angles", params.seed, params.n_components):to(x.dtype)
    return fitted
  end,
  transform = function(fitted, x, params)
    local phases = x:matmul(fitted.random_weights):add_(fitted.random_offset)
    return phases:cos_():mul_(math.sqrt(2 / params.n_components))
  end,
  doc = text [[
svm.RBFSampler{gamma = 1, n_components = 100, seed = 0} -> estimator
Features whose scalar products are near exp(-gamma |u - v|^2), by random waves: sqrt(2 / c) cos(x w + b). The error
  falls as 1 / sqrt(n_components); rows of the fit play no part but for gamma: a number > 0, 'scale', 1 / (d Var(X)), or
  'auto', 1 / d.
Methods: fit, transform, fit_transform, clone, params, release.
Fields after fit: random_weights (d x c), random_offset (c), gamma (the number used). Options can be read too
  (m.n_components); m.gamma is the option until the fit.
Errors: unknown options, values out of range; fit says what is wrong with the data.
Source: A. Rahimi, B. Recht, Random features for large-scale kernel machines, NIPS 2007.]],
}

