-- Every function of data, metrics, select, svm and train, every option and every method of what they give, called
-- with what it does not expect: an error begins with the script's line and speaks of arguments, never of the module's
-- insides.
local peri = require "perilune"
local wording = require "support.wording"
local data, metrics, select_, svm, train = peri.data, peri.metrics, peri.select, peri.svm, peri.train
local nn, optim = peri.nn, peri.optim

local PARTS = { "data", "metrics", "select", "svm", "train" }
local NOWHERE = "/nowhere/x" -- texts may be taken for paths

local function sorted_names(t)
  local names = {}
  for name, value in pairs(t) do
    if type(name) == "string" and not name:find "^_" and type(value) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- What is rarely right; made anew each time, as some of it may be released or changed.
local function wrong_values()
  local gone = peri.ones(2)
  gone:release()
  return {
    1, -1, 0, 2.5, 0 / 0, math.huge, -math.huge, 2.0 ^ 63, NOWHERE, "", {}, { {} }, { 1, 2 }, { "a" }, { a = {} },
    { [1.5] = 2 }, { { 1 }, {} }, peri.ones(3, 2), peri.ones(3), peri.tensor(1), peri.zeros(0, 2), gone, true, false,
    function() end, function() return {} end, coroutine.create(function() end), io.stdout, svm.SVC(), nn.Linear(2, 3),
    { peri.ones(4, 2) },
  }
end
local COUNT = #wrong_values()

local problems = {}

local function problem_of(message)
  if type(message) ~= "string" then return "no text" end
  if not message:find "^tests/spec/wrong_arguments_spec.lua:%d+: " then return "no position" end
  for _, words in ipairs { "attempt to", "perilune/", "bindings/", "bad argument", "\n" } do
    if message:find(words, 1, true) then return "speaks of insides" end
  end
end

-- Calls f; one entry for each kind of problem. With changed fields the error may be that of an operation within.
local function try_changed(label, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  local problem = problem_of(result)
  if problem then
    local key = label .. ": " .. problem
    problems[key] = problems[key] or tostring(result)
  end
  return nil, not problem and result or nil
end

-- The same, where the error is about the arguments, and in the form that all such errors have.
local function try(label, f, ...)
  local result, message = try_changed(label, f, ...)
  local problem = message and wording(message:match "^[^:]*:%d+: (.*)$")
  if problem then problems[label .. ": " .. problem] = message end
  return result
end

local function report()
  local lines = {}
  for key, message in pairs(problems) do lines[#lines + 1] = ("%s: %q"):format(key, message) end
  problems = {}
  table.sort(lines)
  assert.equal("", table.concat(lines, "\n"))
end

local X, y = data.blobs(30, { centers = 3, features = 2, seed = 1, dtype = "float64" })
local X32, numbers = X:to "float32", X:sum(2)

describe("every function", function()
  for _, part in ipairs(PARTS) do
    it("of " .. part .. " names what is wrong", function()
      for _, name in ipairs(sorted_names(peri[part])) do
        local f, label = peri[part][name], part .. "." .. name
        try(label, f)
        for i = 1, COUNT do
          local function value() return wrong_values()[i] end
          try(label, f, value())
          try(label, f, value(), value())
          try(label, f, value(), value(), value())
          try(label, f, X, value())
          try(label, f, X, y, value())
          try(label, f, svm.SVC(), X, value())
          try(label, f, svm.SVC(), X, y, value())
          try(label, f, NOWHERE, value())
          try(label, f, {}, value())
        end
      end
      report()
    end)
  end
end)

-- ---- options ----

local function network(outputs)
  return function()
    local model = nn.Linear(2, outputs)
    return model, optim.SGD(model:parameters(), { lr = 0.1 })
  end
end

local function search(changes)
  local options = { estimator = svm.SVC(), params = { C = { 1, 2 } }, train = { X, y }, cv = 3 }
  for name, value in pairs(changes) do options[name] = value or nil end
  return options
end

-- Arguments before the options, and `must`: a function that gives the options that have to be there; `use`: what is
-- done with a result. Machines, sets and transforms follow below.
local function training(options)
  options.model, options.optimizer = network(3)()
  options.loss, options.train, options.batch_size = nn.CrossEntropyLoss(), { X32, y }, 10
  return options
end

local function swept()
  return { build = network(3), epochs = 1, seeds = 2, train = { X, y }, progress = false }
end

local CALLS = {
  { "metrics.accuracy", { 1, 2, 2 }, { 1, 2, 1 } },
  { "metrics.confusion_matrix", { 1, 2, 2 }, { 1, 2, 1 } },
  { "metrics.precision_recall_f1", { 1, 2, 2 }, { 1, 2, 1 } },
  { "metrics.roc_curve", { 0.1, 0.2, 0.3 }, { 1, 2, 1 } },
  { "metrics.roc_auc", { 0.1, 0.2, 0.3 }, { 1, 2, 1 } },
  { "metrics.roc_auc", peri.rand(4, 3), { 1, 2, 3, 1 } },
  { "metrics.log_loss", { { 0.2, 0.8 }, { 0.6, 0.4 }, { 0.5, 0.5 } }, { 1, 2, 1 } },
  { "metrics.mse", { 1, 2 }, { 2, 3 } }, { "metrics.mae", { 1, 2 }, { 2, 3 } }, { "metrics.r2", { 1, 2 }, { 2, 3 } },
  { "train.lint", must = function()
    return { model = nn.Linear(2, 3), loss = nn.CrossEntropyLoss(), x = X32, y = y + 1 }
  end },
  { "select.KFold" }, { "select.StratifiedKFold" }, { "select.cross_val_score", svm.SVC(), X, y },
  { "select.grid_search", must = function() return search {} end },
  { "select.random_search", must = function() return search { n = 2 } end },
  { "select.learning_curve", must = function() return search { params = false, sizes = { 0.5, 1 } } end },
  { "select.validation_curve", must = function() return search { params = false, name = "C", values = { 1, 2 } } end },
  { "select.compare", must = function() return { { "a", svm.SVC() }, train = { X, y }, test = { X, y } } end },
  { "train.fit", must = function() return training { epochs = 1 } end },
  { "train.sweep", must = function() return swept() end },
  { "train.lr_find", must = function() return training { steps = 3 } end },
  {
    "train.Classifier", must = function() return { build = network(3), epochs = 1 } end,
    use = function(m) return m:fit(X32, y) end,
  },
  {
    "train.Regressor", must = function() return { build = network(1), epochs = 1 } end,
    use = function(m) return m:fit(X32, numbers) end,
  },
  { "svm.path", X, y, must = function() return { Cs = { 1, 2 } } end },
  { "svm.cross_validate", svm.SVC(), X, y }, { "svm.grid_search", svm.SVC(), X, y }, { "svm.kernel_matrix", X, X },
  { "svm.load_libsvm", NOWHERE }, { "data.read_csv", NOWHERE }, { "data.read_svmlight", NOWHERE },
  { "data.write_csv", NOWHERE, X, y }, { "data.write_svmlight", NOWHERE, X, y },
  { "data.write_npz", NOWHERE, { X = X } }, { "data.image_folder", NOWHERE },
  { "data.read_image", NOWHERE }, { "data.read_png", NOWHERE }, { "data.read_pnm", NOWHERE },
  { "data.split", { X, y } }, { "data.loader", { X, y } },
}
for _, name in ipairs {
  "blobs", "checkerboard", "circles", "digits", "friedman1", "moons", "regression", "sinc", "spirals", "xor",
} do
  CALLS[#CALLS + 1] = { "data." .. name, 10 }
end
for _, name in ipairs { "MinMaxScaler", "PCA", "StandardScaler" } do
  CALLS[#CALLS + 1] = { "data." .. name, use = function(m) return m:fit_transform(X) end }
end
for _, name in ipairs { "Nystroem", "RBFSampler" } do
  CALLS[#CALLS + 1] = { "svm." .. name, use = function(m) return m:fit_transform(X) end }
end
for _, row in ipairs(svm.machines()) do
  local function use(m) return m:fit(X, row.name ~= "OneClassSVM" and y or nil) end
  CALLS[#CALLS + 1] = { "svm." .. row.name, use = use }
end

local WITHOUT_OPTIONS = { "data.formats", "data.mnist", "data.read_idx", "data.read_npy", "data.read_npz",
  "data.write_idx", "data.write_image", "data.write_npy", "data.write_png", "data.write_pnm", "svm.load",
  "svm.machines", "train.unfinished" }

-- The names of a call's options, from the error that lists them.
local function option_names(f, arguments, options)
  options.unknown_one = 1
  arguments[#arguments + 1] = options
  local _, message = pcall(f, table.unpack(arguments))
  local names = {}
  for name in (tostring(message):match "known: ([^)]*)" or ""):gmatch "[%w_]+" do names[#names + 1] = name end
  return names
end

describe("every option", function()
  for _, call in ipairs(CALLS) do
    it("of " .. call[1] .. " is checked", function()
      local part, name = call[1]:match "^(%a+)%.(.*)$"
      local f, must = peri[part][name], call.must or function() return {} end
      local arguments = table.move(call, 2, #call, 1, {})
      local names = option_names(f, table.move(arguments, 1, #arguments, 1, {}), must())
      assert.is_true(#names > 0)
      for _, option in ipairs(names) do
        for i = 1, COUNT do
          local value = wrong_values()[i]
          local long = value == 2.0 ^ 63 and (option == "max_iter" or option == "epochs")
          if not long and not (option == "progress" and value == true) then
            local options, label = must(), ("%s{%s}"):format(call[1], option)
            options[option] = value
            arguments[#call] = options
            local result = try(label, f, table.unpack(arguments, 1, #call))
            if result and call.use then try(label .. " used", call.use, result) end
          end
        end
      end
      report()
    end)
  end

  it("is there: no function is left out", function()
    local known = {}
    for _, call in ipairs(CALLS) do known[call[1]] = true end
    for _, name in ipairs(WITHOUT_OPTIONS) do known[name] = true end
    for _, part in ipairs(PARTS) do
      for _, name in ipairs(sorted_names(peri[part])) do
        assert.is_true(known[part .. "." .. name], part .. "." .. name)
      end
    end
  end)
end)

-- ---- methods ----

local OBJECTS = {
  confusion = function() return metrics.confusion_matrix(y, y) end,
  report = function() return metrics.precision_recall_f1(y, y) end,
  KFold = function() return select_.KFold { folds = 3 } end,
  StratifiedKFold = function() return select_.StratifiedKFold { folds = 3 } end,
  search = function() return select_.grid_search(search {}) end,
  curve = function() return select_.learning_curve(search { params = false, sizes = { 0.5, 1 } }) end,
  comparison = function()
    return select_.compare { { "a", svm.SVC() }, train = { X, y }, test = { X, y } }
  end,
  sweep = function() return train.sweep(swept()) end,
  grid = function() return svm.grid_search(svm.SVC(), X, y, { C = { 1, 2 }, folds = 3 }) end,
}
for _, call in ipairs(CALLS) do
  local part, name = call[1]:match "^(%a+)%.(.*)$"
  if name:find "^%u" and (call.use or part == "svm") then
    OBJECTS[name] = function() return peri[part][name](call.must and call.must() or {}) end
    OBJECTS[name .. ", fitted"] = function()
      local m = OBJECTS[name]()
      call.use(m)
      return m
    end
  elseif call[1] == "train.fit" then
    OBJECTS.fit = function() return train.fit(call.must()) end
  end
end

-- The methods that the documentation of a class lists, and those that a metatable shows.
local function methods_of(name, object)
  local found, class = {}, name:match "^%a+"
  local constructor = rawget(svm, class) or data[class] or rawget(train, class)
  local listed = constructor and peri.documentation(constructor):match "Methods: (.-)\n%u"
  for word in (listed or ""):gmatch "[%l_]+" do found[word] = true end
  local meta = getmetatable(object)
  local index = type(meta) == "table" and rawget(meta, "__index")
  for _, method in ipairs(type(index) == "table" and sorted_names(index) or {}) do found[method] = true end
  local names = {}
  for word in pairs(found) do
    local ok, value = pcall(function() return object[word] end)
    if ok and type(value) == "function" then names[#names + 1] = word end
  end
  table.sort(names)
  return names
end

describe("every method", function()
  for _, name in ipairs(sorted_names(OBJECTS)) do
    it("of " .. name .. " says how it is called", function()
      local make = OBJECTS[name]
      local first = make()
      for _, method in ipairs(methods_of(name, first)) do
        local label, f = name .. ":" .. method, first[method]
        try(label, f)
        for i = 1, COUNT do
          local function value() return wrong_values()[i] end
          try(label .. " of something else", f, value())
          try(label .. " of something else", f, value(), value())
          local object = i % 8 == 1 and make() or first -- some change it
          try(label, f, object, value())
          try(label, f, object, value(), value())
          try(label, f, object, X, value())
          try(label, f, object, X, y, value())
        end
      end
      report()
    end)
  end

  for _, name in ipairs(sorted_names(OBJECTS)) do
    it("of " .. name .. " notices fields that have been changed", function()
      local make, fields = OBJECTS[name], {}
      local first = make()
      if type(first) ~= "table" then return end
      for field in pairs(first) do fields[#fields + 1] = field end
      table.sort(fields)
      for _, field in ipairs(fields) do
        for i = 1, COUNT, 3 do
          local object, label = make(), ("%s.%s"):format(name, field)
          pcall(function() object[field] = wrong_values()[i] end)
          try_changed(label .. ", tostring", tostring, object)
          for _, method in ipairs(methods_of(name, first)) do
            if method ~= "plot" then try_changed(label .. ":" .. method, first[method], object, X, y) end
          end
        end
        local emptied = make()
        if type(emptied[field]) == "table" then
          for key in pairs(emptied[field]) do emptied[field][key] = nil end
          try_changed(name .. "." .. field .. " emptied", tostring, emptied)
        end
      end
      report()
    end)
  end

  it("that a file is written with names the way it is called", function()
    local m = svm.SVC():fit(X, y)
    for what, value in pairs { ["'/nowhere/x'"] = NOWHERE, ["nil"] = false, ["a table"] = {} } do
      local ok, message = pcall(m.save, value or nil)
      assert.is_false(ok)
      assert.equal(("save: called with %s (expected m:save(path))"):format(what), message:match "spec.lua:%d+: (.*)$")
    end
  end)
end)

-- ---- estimators that a script has written ----

describe("an estimator that is a Lua table", function()
  it("may give what it should not", function()
    local good = {}
    function good.clone() return setmetatable({}, { __index = good }) end
    function good.fit(self) return self end
    function good.predict(_, x) return peri.full({ #x }, 1, { dtype = "int64" }) end
    function good.score() return 0.5 end
    for _, broken in ipairs { "clone", "fit", "predict", "score" } do
      for i = 1, COUNT do
        local m = setmetatable({ [broken] = function() return wrong_values()[i] end }, { __index = good })
        function m.clone()
          if broken == "clone" then return wrong_values()[i] end
          return setmetatable({ [broken] = m[broken] }, { __index = good })
        end
        for _, metric in ipairs { "accuracy", false } do
          local label = ("%s, metric %s"):format(broken, metric)
          local options = { metric = metric or nil, cv = 3 }
          try(label .. ", cross_val_score", select_.cross_val_score, m, X, y, options)
          local changes = { estimator = m, metric = metric, params = { a = { 1 } } }
          try(label .. ", grid_search", select_.grid_search, search(changes))
          try(label .. ", learning_curve", select_.learning_curve,
            search { estimator = m, metric = metric, params = false, sizes = { 1 } })
          try(label .. ", compare", select_.compare,
            { { "a", m }, train = { X, y }, test = { X, y }, metric = metric or nil })
        end
      end
    end
    report()
  end)
end)

-- ---- the same words in C and in Lua ----

describe("the same fault", function()
  -- One function that is written in C and one in Lua, called alike.
  local FAULTS = {
    { "options must be a table, got 3", function(f) f(3) end },
    { "options must have names, got the key 1", function(f) f { 1 } end },
    { "unknown option sede (known: ", function(f) f { sede = 1 } end, "): did you mean seed?" },
    { "seed must be a whole number, got 1.5", function(f) f { seed = 1.5 } end },
    { "seed must be a whole number, got 'a?b'", function(f) f { seed = "a\0b" } end },
    { "seed must be a whole number, got {1, 2.5}", function(f) f { seed = { 1, 2.5 } } end },
    { "seed must be a whole number, got a tensor float32 of 3x2", function(f) f { seed = peri.ones(3, 2) } end },
    { "seed must be a whole number, got an SVC", function(f) f { seed = svm.SVC() } end },
    { "seed must be a whole number, got a Linear", function(f) f { seed = nn.Linear(1, 1) } end },
    { "seed must be a whole number, got nan", function(f) f { seed = 0 / 0 } end },
    { "seed is -1 (expected at least 0)", function(f) f { seed = -1 } end },
    {
      "options are what read_csv gives third (expected: local X, y = data.read_csv(..))",
      function(f) f { header = true, columns = {}, label = 1 } end,
    },
  }

  it("is told in the same words", function()
    local functions = {
      moons = function(options) data.moons(10, options) end,
      Nystroem = svm.Nystroem,
    }
    for _, fault in ipairs(FAULTS) do
      for name, f in pairs(functions) do
        local _, message = pcall(fault[2], f)
        local said = message:match "^tests/spec/wrong_arguments_spec.lua:%d+: (.*)$" or message
        assert.equal(name .. ": " .. fault[1], said:sub(1, #name + 2 + #fault[1]))
        assert.equal(fault[3] or "", said:match "%): did.*$" or said:sub(#name + 3 + #fault[1]))
      end
    end
  end)

  it("of kind, place and number has one form each in all parts", function()
    local function said(f, ...) return (select(2, pcall(f, ...)):gsub("^[^:]*:%d+: [^:]*: ", "")) end
    assert.equal("kernel must be one of linear, poly, rbf, sigmoid, got 'x'", said(svm.Nystroem, { kernel = "x" }))
    assert.equal("kernel must be one of linear, poly, rbf, sigmoid, got 'x'",
      said(svm.kernel_matrix, X, X, { kernel = "x" }))
    for _, f in ipairs { svm.SVC, svm.Nystroem } do
      assert.matches("^kernel must be one of [^']*, got 'rfb': did you mean rbf%?$", said(f, { kernel = "rfb" }))
      assert.equal("gamma must be scale, auto or a number, got 'scael': did you mean scale?",
        said(f, { gamma = "scael" }))
      assert.equal("gamma is -1 (expected a finite number > 0)", said(f, { gamma = -1 }))
      assert.equal("gamma is inf (expected a finite number > 0)", said(f, { gamma = math.huge }))
    end
    local figure = peri.plot.figure()
    assert.matches("got 'bleu': did you mean blue%?$", said(figure.line, figure, { 1, 2 }, { color = "bleu" }))
    assert.matches("got 'bluse': did you mean blues%?$", said(figure.image, figure, { { 1 } }, { palette = "bluse" }))
    assert.matches("got 'eqaul': did you mean equal%?$", said(peri.plot.figure, { aspect = "eqaul" }))
    assert.equal("called with 3 (expected m:fit(...))", said(svm.SVC().fit, 3))
    assert.equal("called with 3 (expected m:fit(...))", said(svm.Nystroem().fit, 3))
    assert.equal("changes must be a table, got 3", said(svm.SVC().clone, svm.SVC(), 3))
    assert.equal("changes must be a table, got 3", said(svm.Nystroem().clone, svm.Nystroem(), 3))
    assert.equal("path must be a string, got 3", said(data.read_idx, 3))
    assert.equal("path must be a string, got 3", said(data.read_csv, 3))
  end)
end)
