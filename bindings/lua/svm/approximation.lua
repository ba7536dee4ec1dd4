-- Kernel approximations: Nystroem and RBFSampler turn rows into features whose scalar products are near the
-- kernel's values, so that a linear machine learns as one with the kernel would. Called with the module and
-- the table of peri.svm.
local peri, internal, svm = ...
local check, kernels = internal.check, internal.kernels
local fail, kinds = check.fail, check.kinds

svm.kernel_matrix = kernels.kernel_matrix

-- A documentation: lines that are indented go on with the line before.
local function text(lines) return (lines:gsub("\n  ", " ")) end

-- ---- options ----

local LARGEST = 2 ^ 53 -- whole numbers up to here are exact as doubles
local COMPONENTS, SEED = check.whole_from(1, 2 ^ 31 - 1), check.whole_from(0, LARGEST)
local KERNEL = check.one_of "linear poly rbf sigmoid"
local COEF0 = check.kind("a finite number", function(v) return kinds.finite.read(v) and v + 0.0 end, kinds.number)
local WIDTH = check.test("scale, auto or a number",
  function(v) return v == "scale" or v == "auto" or math.type(v) ~= nil end)
WIDTH.words = { "scale", "auto" }
local GAMMA = check.kind("a finite number > 0", function(v)
  if type(v) == "string" then return WIDTH.read(v) end
  return kinds.positive.read(v) and v + 0.0
end, WIDTH)

-- The options of an estimator, in the order in which messages and texts name them: {name, kind, default}.
local NYSTROEM = {
  { "kernel", KERNEL, "rbf" }, { "gamma", GAMMA, "auto" }, { "degree", check.whole_from(0, 2 ^ 31 - 1), 3 },
  { "coef0", COEF0, 1.0 }, { "n_components", COMPONENTS, 100 }, { "seed", SEED, 0 },
}
local RBF_SAMPLER = { { "gamma", GAMMA, 1.0 }, { "n_components", COMPONENTS, 100 }, { "seed", SEED, 0 } }

local function read_options(operation, options, given)
  local names = {}
  for i, option in ipairs(options) do names[i] = option[1] end
  local params = check.only(operation, given, table.concat(names, " "))
  for _, option in ipairs(options) do
    local name, kind, default = table.unpack(option)
    params[name] = params[name] == nil and default or check.read(operation, name, params[name], kind)
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
      check.called(operation, state and state.class == class, m, ("m:%s(...)"):format(name))
      return f(m, state, operation, ...)
    end, methods)
  end

  local function fit(m, state, operation, X)
    local x = kernels.features(X, operation)
    if #x == 0 then fail("%s: X has 0 rows (expected 1 or more)", operation) end
    local fitted = class.fit(state.params, x, operation)
    fitted.n, fitted.d, fitted.dtype = #x, x:size(2), x.dtype
    state.fitted = fitted
    return m
  end

  local function transform(_, state, operation, X)
    if not state.fitted then fail("%s: not fitted; call fit first", class.name) end
    local x, fitted = kernels.features(X, operation), state.fitted
    if x:size(2) ~= fitted.d then
      fail("%s: X has %d features but the fit had %d", operation, x:size(2), fitted.d)
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
    if changes ~= nil then check.read(operation, "changes", changes, kinds.table) end
    local merged = methods.params(m)
    for name, value in next, changes or {} do merged[name] = value end
    return new(read_options(class.name, class.options, merged))
  end)
  method("has", HAS, function(m, _, operation, name)
    return check.has(m, check.read(operation, "name", name, kinds.string))
  end)
  method("release", RELEASE, function(_, state) state.fitted = nil end)

  function meta.__index(m, name)
    local state = states[m]
    if methods[name] then return methods[name] end
    if is_field[name] and state.fitted then return state.fitted[name] end
    if is_option[name] then return state.params[name] end
    if is_field[name] then fail("%s: not fitted; call fit first", class.name) end
    local known = setmetatable({}, { __index = methods })
    for _, names in ipairs { is_field, is_option } do
      for key in pairs(names) do known[key] = true end
    end
    fail("%s: there is no field or method %s%s", class.name, type(name) == "string" and name or check.describe(name),
      internal.meant(name, known))
  end

  internal.set_class("svm." .. class.name, "Methods of kernel approximations", methods, meta)

  function meta.__newindex(_, name)
    fail("%s: %s cannot be set (m:clone{n_components = 10} is a copy with other options)", class.name, tostring(name))
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
    fail("%s: the %s kernel overflows (scale the features, or lower gamma or degree)", operation, params.kernel)
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

