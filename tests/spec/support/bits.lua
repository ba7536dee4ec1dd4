-- The digests behind "same bits on every machine": one for each row of the operation table and dtype, of its values and
-- of its gradients, and one for each optimiser, schedule, data set, training and machine, on fixed inputs.
--
--   perilune tests/spec/support/bits.lua            prints name, tab, digest
--   perilune tests/spec/support/bits.lua A B        compares two files of these, with status 1 where they differ
--
-- bits_spec runs it with every set of instructions of this processor, ./dev arm on this machine and on another's.
-- A NaN is a NaN: its sign and payload say nothing, and processors differ in them.

local bits = {}

-- ---- digests: FNV-1a over words of 64 bits (G. Fowler, L. Noll, K. Vo, 1991), folded so that no bit stays high ----

local START, PRIME = 0xcbf29ce484222325, 0x100000001b3
local unpack = string.unpack

local function add_word(digest, word)
  digest = (digest ~ word) * PRIME
  return digest ~ digest >> 32
end

local function add_text(digest, text)
  local whole = #text // 32 * 32
  for at = 1, whole, 32 do
    local a, b, c, d = unpack("<i8i8i8i8", text, at)
    digest = add_word(add_word(add_word(add_word(digest, a), b), c), d)
  end
  for i = whole + 1, #text do digest = add_word(digest, text:byte(i)) end
  return add_word(digest, #text)
end

local function add_tensor(digest, t)
  digest = add_text(digest, t.dtype .. " " .. table.concat(t.shape, "x"))
  if t.dtype:find "^float" then
    local unordered = t:isnan()
    if unordered:any() then digest, t = add_text(digest, unordered:bytes()), t:detach():masked_fill(unordered, 0) end
  end
  return add_text(digest, t:bytes())
end

local add

local function add_table(digest, value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do digest = add(add(digest, key), value[key]) end
  return digest
end

function add(digest, value)
  local peri = require "perilune"
  if peri.is_tensor(value) then return add_tensor(digest, value) end
  if type(value) == "table" then return add_table(digest, value) end
  if math.type(value) == "float" then
    return add_text(digest, value ~= value and "nan" or ("%a"):format(value))
  end
  return add_text(digest, tostring(value))
end

-- ---- the operation table ----

local DTYPES = { "float32", "float64", "int64", "uint8", "bool" }

-- Rows over LAPACK say so, or that they are the same as one that does.
local function is_exempt(op)
  if op.doc:find "bits are the%s+processor's" then return true end
  local name = op.doc:match "The same as ([%w_.]*[%w_])"
  for _, other in ipairs(name and require("perilune").ops() or {}) do
    if other.name == name then return is_exempt(other) end
  end
  return false
end

-- Beside a row's own samples: vectors shorter than any, around one and of many, with all special values; and for what
-- takes dimensions, long and short ones of either kind.
local function further(op)
  local first, lists = op.sample:match "%b{}", {}
  if first == "{T(3, 4)}" then
    lists = { "{S()}", "{T(1)}", "{T(7)}", "{T(64)}", "{T(1000)}", "{T(20, 50):t()}" }
    for _, param in ipairs(op.params) do
      if param.name == "dim" then
        for _, list in ipairs { "{T(33, 70), 1}", "{T(33, 70), 2}", "{T(5000, 3), 1}", "{T(3, 5000), 2}" } do
          lists[#lists + 1] = list
        end
        if op.sample:find "{T%(%)}" then lists[#lists + 1] = "{T(40000)}" end
      end
    end
  elseif first == "{T(3, 4), T(3, 4)}" then
    lists = { "{S(), S()}", "{S(), S():unsqueeze(2)}", "{T(7), T(7)}", "{T(64), T(64)}", "{T(1000), T(1000)}",
              "{T(1000), 1.7}", "{T(20, 50):t(), T(50, 20)}" }
  elseif first == "{T(5, 3), I(3, 5)}" then
    lists = { "{T(64, 10), I(10, 64)}", "{T(7, 1000), I(1000, 7)}" }
  end
  return table.concat(lists, ", ")
end

local function weighed(outputs)
  local peri, total = require "perilune", nil
  for k = 1, outputs.n do
    local y = outputs[k]
    if peri.is_tensor(y) and y.requires_grad then
      local weights = ((peri.arange(1, y:numel()) * 7 + k) % 13 - 5):to(y.dtype):reshape(y.shape)
      local term = (y * weights):sum()
      total = total and total + term or term
    end
  end
  return total
end

local function add_call(digest, call, arguments, leaves)
  local outputs = table.pack(pcall(call, table.unpack(arguments, 1, #arguments)))
  if not outputs[1] then return add_text(digest, "refused") end
  table.remove(outputs, 1)
  outputs.n = outputs.n - 1
  for k = 1, outputs.n do digest = add(digest, outputs[k]) end
  if leaves then
    local loss = weighed(outputs)
    if loss then loss:backward() end
    for _, leaf in ipairs(leaves) do digest = add(digest, leaf.grad or "none") end
  end
  return digest
end

-- Larger than the blocks of every loop, and no multiples of them; of images a product of four sizes grows.
local function scale_of(op) return op.sample:find "T%([%d ]+,[%d ]+,[%d ]+,[%d ]+%)" and 5 or 7 end

local function add_row(samples, op, call, dtype, recorded)
  local digest = START
  for _, options in ipairs { {}, { scale = scale_of(op) }, { text = further(op) } } do
    local leaves = recorded and {}
    options.dtype, options.skip = dtype, true
    if recorded then
      options.make = function(t)
        local leaf = t:clone():requires_grad_()
        leaves[#leaves + 1] = leaf
        return leaf
      end
    end
    for _, arguments in ipairs(samples.arguments(op, options)) do
      digest = add_call(digest, call, arguments, leaves)
    end
  end
  return digest
end

local function rows(emit)
  local samples = require "support.samples"
  samples.each(function(op, call)
    if is_exempt(op) then return end
    for _, dtype in ipairs(DTYPES) do
      emit(op.name .. ": " .. dtype, add_row(samples, op, call, dtype))
      if op.gradient and dtype:find "^float" then
        emit(op.name .. ": gradients of " .. dtype, add_row(samples, op, call, dtype, true))
      end
    end
  end)
end

-- ---- what is made of rows ----

local FLOATS = { "float32", "float64" }
local OPTIMISERS = {
  { "SGD", { lr = 0.1 } }, { "SGD", { lr = 0.1, momentum = 0.9, dampening = 0.1, weight_decay = 0.01 } },
  { "SGD", { lr = 0.1, momentum = 0.9, nesterov = true } }, { "Adam", { lr = 0.1, weight_decay = 0.01 } },
  { "Adam", { lr = 0.1, amsgrad = true } }, { "AdamW", { lr = 0.1, weight_decay = 0.01 } }, { "RMSprop", { lr = 0.1 } },
  { "RMSprop", { lr = 0.1, momentum = 0.9, centered = true, weight_decay = 0.01 } }, { "Adagrad", { lr = 0.1 } },
  { "Adamax", { lr = 0.1 } }, { "NAdam", { lr = 0.1 } }, { "RAdam", { lr = 0.1 } },
  { "Adadelta", { weight_decay = 0.1 } },
  { "ASGD", { lr = 0.1, t0 = 3 } }, { "Rprop", { lr = 0.1 } }, { "Lion", { lr = 0.1, weight_decay = 0.1 } },
  { "SGD", { lr = 0.1, maximize = true } },
}

local function optimisers(peri, emit)
  for _, dtype in ipairs(FLOATS) do
    for i, row in ipairs(OPTIMISERS) do
      peri.manual_seed(i)
      local w = peri.randn(1003, { dtype = dtype }):requires_grad_()
      local optimiser, digest = peri.optim[row[1]]({ w }, row[2]), START
      for _ = 1, 12 do
        optimiser:zero_grad()
        ;((w * w):sum() + w:sin():sum()):backward()
        optimiser:step()
        digest = add(digest, w)
      end
      emit(("%s %d: %s"):format(row[1], i, dtype), digest)
    end
  end
end

local SCHEDULES = {
  { "StepLR", { step_size = 3, gamma = 0.3 } }, { "ExponentialLR", { gamma = 0.93 } },
  { "InverseTimeLR", { decay = 0.1, power = 0.7 } }, { "CosineAnnealingLR", { T_max = 13 } }, { "ConstantLR", {} },
  { "LinearLR", {} }, { "MultiStepLR", { milestones = { 5, 9, 30 } } },
  { "PolynomialLR", { total_iters = 30, power = 0.7 } },
  { "CosineAnnealingWarmRestarts", { T_0 = 3, T_mult = 2 } }, { "CyclicLR", { base_lr = 0.1, max_lr = 0.7,
    step_size_up = 6, mode = "exp_range", gamma = 0.97, cycle_momentum = false } },
  { "OneCycleLR", { max_lr = 1, total_steps = 35, cycle_momentum = false } },
}

local function schedules(peri, emit)
  for _, row in ipairs(SCHEDULES) do
    local optimiser, digest = peri.optim.SGD({ peri.zeros(1):requires_grad_() }, { lr = 0.1 }), START
    local schedule = peri.optim.lr_scheduler[row[1]](optimiser, row[2])
    for _ = 1, 40 do
      schedule:step()
      digest = add(digest, optimiser.lr)
    end
    emit(row[1], digest)
  end
end

local SETS = { "circles", "moons", "blobs", "spirals", "xor", "checkerboard", "sinc", "friedman1", "digits" }

local function sets(peri, emit)
  for _, name in ipairs(SETS) do
    for _, dtype in ipairs(name == "digits" and { "float32" } or FLOATS) do
      local options = name == "digits" and {} or { dtype = dtype }
      options.seed = 3
      local ok, X, y = pcall(peri.data[name], 60, options)
      if not ok then error(name .. ": " .. tostring(X), 0) end
      emit(("data %s: %s"):format(name, dtype), add(add(START, X), y))
    end
  end
end

local function nets(peri, emit)
  local nn = peri.nn
  for _, dtype in ipairs(FLOATS) do
    local o = { dtype = dtype }
    local X, y = peri.data.circles(200, { noise = 0.15, factor = 0.5, seed = 1, dtype = dtype })
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(2, 10, o), nn.Tanh(), nn.Linear(10, 2, o))
    local h = peri.train.fit { model = net, loss = nn.CrossEntropyLoss(), train = { X, y }, dev = { X, y }, epochs = 20,
      optimizer = peri.optim.SGD(net:parameters(), { lr = 0.1 }), batch_size = 10, seed = 1, progress = false }
    emit("circle net: " .. dtype, add(add(add(START, h.train_loss), h.dev_loss), net:state_dict()))
  end
  local X, y = peri.data.digits(300, { seed = 2 })
  peri.manual_seed(1)
  local net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
  local h = peri.train.fit { model = net, loss = nn.CrossEntropyLoss(), train = { X, y }, dev = { X, y }, epochs = 2,
    optimizer = peri.optim.Adam(net:parameters(), { lr = 0.01 }), batch_size = 32, seed = 1, progress = false }
  emit("digits net", add(add(add(START, h.train_loss), h.dev_loss), net:state_dict()))
  for _, dtype in ipairs(FLOATS) do
    peri.manual_seed(1)
    local conv = nn.Sequential(nn.Conv2d(1, 6, 5, { padding = 2 }), nn.BatchNorm2d(6), nn.Tanh(), nn.MaxPool2d(2),
      nn.Conv2d(6, 8, 3, { stride = 2 }), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)):to(dtype)
    local opt, ce = peri.optim.SGD(conv:parameters(), { lr = 0.05 }), nn.CrossEntropyLoss()
    local images = X:view(-1, 1, 28, 28):to(dtype)
    for step = 1, 20 do
      local from = (step - 1) * 12 + 1
      opt:zero_grad()
      ce(conv(images[{ { from, from + 11 } }]), y[{ { from, from + 11 } }]):backward()
      opt:step()
    end
    emit("conv net: " .. dtype, add(START, conv:state_dict()))
  end
end

local function fitted(machine, X, y, fields)
  machine:fit(X, y)
  local digest = START
  for _, field in ipairs(fields) do digest = add(digest, machine[field]) end
  return add(digest, machine.decision_function and machine:decision_function(X) or machine:predict(X))
end

local KERNELS = {
  { "rbf", {} }, { "poly", { degree = 3, coef0 = 1 } }, { "sigmoid", { gamma = 0.3 } }, { "linear", {} },
}

-- On two features, which are multiplied in loops of the machines, and on twenty, which are a matrix product.
local function machines_of(svm, emit, about, x, labels)
  local z = (x:sum(2):sin() + labels:to(x.dtype)):to(x.dtype)
  local function put(name, more, digest)
    emit(("%s of %d features: %s %s"):format(name, x:size(2), more, about), digest)
  end
  local solution = { "support", "dual_coef", "intercept", "n_iter" }
  for _, kernel in ipairs(KERNELS) do
    local options = { kernel = kernel[1], C = 2 }
    for name, value in pairs(kernel[2]) do options[name] = value end
    put("SVC", kernel[1], fitted(svm.SVC(options), x, labels, solution))
    put("SVR", kernel[1], fitted(svm.SVR(options), x, z, solution))
  end
  put("OneClassSVM", "rbf", fitted(svm.OneClassSVM { nu = 0.3 }, x, nil, solution))
  local likely = svm.SVC { probability = true, seed = 1 }:fit(x, labels)
  put("SVC", "probabilities", add(START, likely:predict_proba(x)))
  local weights = { "coef", "intercept" }
  put("LinearSVC", "by Newton's steps", fitted(svm.LinearSVC {}, x, labels, weights))
  put("LogisticRegression", "by Newton's steps", fitted(svm.LogisticRegression {}, x, labels, weights))
  put("LinearSVC in the dual", "hinge", fitted(svm.LinearSVC { loss = "hinge" }, x, labels, weights))
  put("LinearSVC with l1", "squared hinge", fitted(svm.LinearSVC { penalty = "l1" }, x, labels, weights))
  put("LogisticRegression with l1", "", fitted(svm.LogisticRegression { penalty = "l1" }, x, labels, weights))
  put("LinearSVR in the dual", "epsilon", fitted(svm.LinearSVR {}, x, z, weights))
  put("kernel_matrix", "rbf", add(START, svm.kernel_matrix(x, x, { kernel = "rbf", gamma = 0.5 })))
end

local function machines(peri, emit)
  for _, dtype in ipairs(FLOATS) do
    machines_of(peri.svm, emit, dtype, peri.data.circles(150, { noise = 0.2, factor = 0.5, seed = 4, dtype = dtype }))
    machines_of(peri.svm, emit, dtype,
      peri.data.blobs(150, { features = 20, centers = 3, noise = 4, seed = 5, dtype = dtype }))
    local X, y = peri.data.circles(701, { noise = 0.3, factor = 0.5, seed = 6, dtype = dtype })
    emit("SVC of 2 features: 701 rows, " .. dtype,
      fitted(peri.svm.SVC { C = 10, cache_size = 1 }, X, y, { "support", "dual_coef", "intercept", "n_iter" }))
  end
end

local function others(peri, emit)
  local X = peri.data.blobs(101, { features = 3, seed = 1, dtype = "float64" })
  for _, name in ipairs { "StandardScaler", "MinMaxScaler" } do
    emit(name, add(START, peri.data[name]():fit_transform(X)))
  end
  local y, p = peri.randint(1, 3, { 500 }), peri.randn(500)
  emit("metrics", add(add(START, peri.metrics.roc_auc(p, y:gt(1):to "int64")), peri.metrics.r2(p, y:to "float32")))
end

function bits.each(emit)
  local peri = require "perilune"
  rows(emit)
  for _, part in ipairs { optimisers, schedules, sets, nets, machines, others } do part(peri, emit) end
end

-- ---- comparing ----

-- The digests of a text, by name, and the names in order.
function bits.read(text)
  local list, names = {}, {}
  for name, digest in text:gmatch "([^\t\n]+)\t(%x+)\n" do
    list[name] = digest
    names[#names + 1] = name
  end
  return list, names
end

-- The names whose digests differ, or are in one list alone, without what is pending; and how many were compared.
function bits.differences(a, b)
  local first, names = bits.read(a)
  local second, others_names = bits.read(b)
  local wrong, count = {}, 0
  for _, name in ipairs(names) do
    count = count + 1
    if first[name] ~= second[name] then wrong[#wrong + 1] = name end
  end
  for _, name in ipairs(others_names) do
    if not first[name] then wrong[#wrong + 1] = name end
  end
  return wrong, count
end

if arg and arg[0] and arg[0]:find "support/bits%.lua$" then
  if arg[1] then
    local texts = {}
    for i, path in ipairs(arg) do
      local file <close> = assert(io.open(path, "rb"))
      texts[i] = file:read "a"
    end
    local wrong, count = bits.differences(texts[1], texts[2])
    for _, name in ipairs(wrong) do print("other bits: " .. name) end
    print(("%d digests compared, %d differ"):format(count, #wrong))
    os.exit(#wrong == 0 and count > 0, true)
  end
  package.path = arg[0]:gsub("support/bits%.lua$", "?.lua;") .. package.path
  bits.each(function(name, digest) io.write(name, "\t", ("%016x"):format(digest), "\n") end)
end

return bits
