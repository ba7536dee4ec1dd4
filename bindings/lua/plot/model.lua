-- What a fitted estimator says of the plane: the method that is asked, and what kind of regions it makes.

local peri, internal, input = ...
local check = input.check
local fail, field, has_method = check.fail, check.field, check.has_method

local METHODS = {decision = "decision_function", probability = "predict_proba", class = "predict"}
local REGRESSIONS = {SVR = true, NuSVR = true, LinearSVR = true}

-- Layers, machines and networks print as their class's name and more.
local function name_of(m)
  if peri.is_tensor(m) then return "a tensor" end
  local known = type(m) == "userdata" or getmetatable(m) ~= nil and type(m) == "table"
  return known and tostring(m):match "^%a%w*" or check.describe(m)
end

-- Whether it is a network of train; such a thing cannot be when that part was never loaded.
local function is_network(m)
  local classes, class = internal.classes, type(m) == "table" and getmetatable(m) or nil
  return class ~= nil and
    (class == classes["train.fitted"] or class == classes["train.Classifier"] or class == classes["train.Regressor"])
end

local function is_machine(m) return type(m) == "userdata" and peri.svm and internal.machines[name_of(m)] ~= nil end

-- The name of a machine of svm that is fitted on a plane and has classes (or is of one class).
local function check_machine(where, m)
  local name, shape = name_of(m), field(m, "shape_fit")
  if not shape then fail("%s: the %s is not fitted", where, name) end
  if REGRESSIONS[name] then fail("%s: the %s is a regression, which has no classes", where, name) end
  if field(m, "kernel") == "precomputed" then fail("%s: the %s has a precomputed kernel, so no plane", where, name) end
  if shape[2] ~= 2 then fail("%s: the %s was fitted on %d features (expected 2)", where, name, shape[2]) end
  return name
end

local function check_network(where, m)
  local name = m._class
  if not m.model then fail("%s: the %s is not fitted", where, name) end
  if not m.classes then fail("%s: the %s is a regression, which has no classes", where, name) end
  return name
end

local function list_of_classes(m)
  local classes = field(m, "classes")
  return peri.is_tensor(classes) and classes:totable() or type(classes) == "table" and classes or nil
end

-- {predict =, kind =, classes = a list or nil, margins =, colorbar = its title or nil, support_vectors = or nil} of a
-- model; kind is nil or what is asked for.
return function(where, m, kind)
  if not has_method(m, "predict") then
    check.must_be(where, "model", m, "a fitted estimator (with fit and predict)")
  end
  local machine = is_machine(m)
  local name = machine and check_machine(where, m) or is_network(m) and check_network(where, m) or name_of(m)
  local classes = list_of_classes(m)
  local signed = machine and name ~= "LogisticRegression"
  local two = classes and #classes == 2
  if not kind then
    if signed then
      kind = (two or not classes) and "decision" or "class"
    else
      kind = has_method(m, "predict_proba") and "probability" or two and has_method(m, "decision_function")
        and "decision" or "class"
    end
  end
  if not has_method(m, METHODS[kind]) then
    fail("%s: kind is '%s' but the %s has no %s", where, kind, name, METHODS[kind])
  end
  return {
    predict = function(points) return m[METHODS[kind]](m, points) end,
    kind = kind, classes = classes, margins = signed and two or false,
    colorbar = kind == "probability" and two and ("probability of class %s"):format(classes[2]) or nil,
    support_vectors = signed and field(m, "support_vectors") or nil,
  }
end
