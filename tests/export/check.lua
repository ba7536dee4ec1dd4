-- check.lua FOLDER, which ./dev export-check runs: models as C, compiled for this machine and for a Cortex-M4 under
-- qemu, with 100,000 rows each. Their bits must be the model's own; what is computed in another type than the model's
-- must have the same bits on both.
package.path = "tests/spec/?.lua;" .. package.path
local peri = require "perilune"
local exported = require "support.exported"
local nn, data, svm = peri.nn, peri.data, peri.svm

local folder, ROWS = ..., 100000
local NATIVE = "cc -march=native"
local ARM = "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 --specs=rdimon.specs"
  .. " -nostartfiles -T tests/export/cortex-m4.ld -Wl,--no-warn-rwx-segments tests/export/cortex-m4.c"
local QEMU = "qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel"

peri.manual_seed(1)
local X, y, two = peri.randn(80, 4), peri.arange(1, 80) % 3, peri.arange(1, 80) % 2
local net = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 6), nn.GELU(), nn.Linear(6, 3))
local fitted = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = 0.02 }),
  train = { X, y }, epochs = 10, progress = false, seed = 1 }
local image = nn.Sequential(nn.Conv2d(1, 2, 3, { padding = 1 }), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
  nn.Flatten(), nn.Linear(8, 3), nn.Sigmoid())
image(peri.randn(30, 1, 4, 4))
image:eval()

-- own: the model computes in the type of the file, whose bits are then its own; double: which a Cortex-M4 does not
-- multiply and add in one instruction
local cases = {
  { name = "network", m = fitted, d = 4, own = true, labels = true },
  { name = "convolutions", m = image, d = 16, own = true, input = { 1, 4, 4 } },
  { name = "pipeline", m = peri.model.pipeline { data.StandardScaler():fit(X), fitted }, d = 4, labels = true },
  { name = "network in 8 bits", m = fitted, d = 4, number = "int8", labels = true },
  { name = "SVC in double", m = svm.SVC { C = 1 }:fit(X, two), d = 4, own = true, labels = true, double = true },
  { name = "SVC in float", m = svm.SVC { C = 1 }:fit(X, y), d = 4, number = "float", labels = true },
  { name = "LinearSVC in float", m = svm.LinearSVC {}:fit(X, y), d = 4, number = "float", labels = true },
}

local function own_digests(case, Z)
  local m = case.m
  if case.labels then
    local scores = case.double and m:decision_function(Z) or peri.no_grad(function() return m.model(Z) end)
    return exported.digest(scores), exported.digest(m:predict(Z))
  end
  return exported.digest(peri.no_grad(function() return m(Z:reshape(#Z, table.unpack(case.input))) end))
end

local failed = 0
local function say(case, what, good)
  print(("%s: %s: %s"):format(case.name, what, good and "equal" or "NOT EQUAL"))
  if not good then failed = failed + 1 end
end

for _, case in ipairs(cases) do
  local file = folder .. "/model.c"
  peri.model.export_c(file, case.m, { input = case.input, number = case.number })
  local scores, labels = exported.compiled(NATIVE, file, ROWS, { labels = case.labels })
  if case.own then
    local Z = exported.rows(ROWS, case.d, case.double and "float64" or "float32")
    local own, own_labels = own_digests(case, Z)
    say(case, "this machine and the model itself", own == scores and (not case.labels or own_labels == labels))
  end
  if not case.double then
    local arm, arm_labels = exported.compiled(ARM, file, ROWS, { labels = case.labels, runner = QEMU, ending = ".elf" })
    say(case, "Cortex-M4 and this machine", arm == scores and arm_labels == labels)
  end
end
os.exit(failed == 0)
