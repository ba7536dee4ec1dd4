-- model.export_c: a model as one C99 file and its header, without a library.
--
-- The file has const arrays, one static function for each step, and the functions of kernels/mathfun.h and
-- activations.h that the model needs, taken from those files themselves, so that they have the runtime's bits. Sums are
-- made in the runtime's order (product/product.h, svm_kernels.isa.c).
local peri, internal = ...
local check, model = internal.check, internal.model
local fail = check.fail
local text = internal.load("model.export.text", internal)
local network = internal.load("model.export.layers", internal, text)
local machines = internal.load("model.export.machines", text)
local flat, numel, below = text.flat, text.numel, text.below

local PRELUDE = [[
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define FUSED 1
#else
#define FUSED 0
#endif
#if defined(__FMA__) || defined(__FP_FAST_FMA)
#define FUSED_DOUBLE 1
#else
#define FUSED_DOUBLE 0
#endif
#if FUSED
#define madd_f32(a, b, c) __builtin_fmaf(a, b, c)
#else
#define madd_f32(a, b, c) ((a) * (b) + (c))
#endif
#if FUSED_DOUBLE
#define madd_f64(a, b, c) __builtin_fma(a, b, c)
#else
#define madd_f64(a, b, c) ((a) * (b) + (c))
#endif
]]

-- The parts of a long chain are of a length that depends on it alone; the runtime says it.
local function part_of(steps) return steps > 0 and ("#define PART %dL\n"):format(model.part(steps)) or "" end

local NUMBERS = check.one_of "model float int8"

local OPTIONS = {
  prefix = check.test("a name of C", function(v) return type(v) == "string" and v:find "^%a[%w_]*$" end),
  number = NUMBERS,
}

local function describe_in_comment(root, names)
  local words = {}
  for _, item in ipairs(root) do
    words[#words + 1] = item.call == "Sequential" and ("Sequential of %d"):format(#item) or item.call
  end
  return table.concat(words, ", ") .. (names and "; " .. names or "")
end

-- A network computes in its own type; a machine in double; number = 'float' has both in float.
local function export(path, m, options)
  options.prefix = options.prefix or "model"
  local description, given = model.describe("export", m, { input = options.input })
  local root, facts = model.parts("export", description, given)
  local tensors = given
  local last = root[#root]
  local machine = last.call:match "^svm%.(%a+)$"
  local double = not machine and facts.dtype == "float64"
  local float = options.number == "float"
  local T = (machine or double) and not float and "double" or "float"
  local w = text.writer(options, T, float and "float" or "double")
  if machine and options.number == "int8" then fail "export: int8 is for the weights of networks" end

  local inputs, outputs, labels
  local classes = tensors.classes or machine and tensors[("%d.classes"):format(#root)]
  for i = 1, #root - 1 do
    local d = machines.transform(w, root[i], ("%d."):format(i), tensors, i)
    inputs = inputs or d
  end
  local final
  if machine then
    if last.kernel == "precomputed" then fail "export: a machine of given kernel values has no form in C" end
    if last.probability then w.note = "labels are by votes, where predict takes the likeliest class" end
    local t = below(tensors, ("%d."):format(#root))
    local k = classes and #classes or 0
    local features
    if machine:find "^Linear" or machine == "LogisticRegression" then
      features, outputs, final = machines.linear(w, t)
    else
      features, outputs, final = machines.kernel(w, last, t, k)
    end
    inputs = inputs or features
    w.features = features
    if k > 0 then labels = machines.label_of(machine, k, outputs) end
    if machine == "OneClassSVM" then classes, labels = peri.tensor { -1, 1 }, "  return sums[0] >= 0;" end
  else
    local shape = facts.row
    inputs = inputs or numel(shape)
    outputs = network(w, last, ("%d."):format(#root), tensors, shape)
    if classes then
      labels = machines.label_of("Linear", #classes, outputs)
    end
  end
  return w, root, { inputs = inputs, outputs = outputs, classes = classes, labels = labels, final = final,
    machine = machine }
end

-- The steps as the body of score: two buffers in turn.
local function score_text(w, facts)
  local lines, at = {}, "x"
  local widest = math.max(w.widest, 1)
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  if #w.steps > 0 then
    add("static T rooms[2][%d];", widest)
    w.ram = w.ram + 2 * widest * text.sizes[w.T]
  end
  if facts.machine then
    add("static D widened[%d], sums[%d];", w.features, facts.outputs)
    w.ram = w.ram + (w.features + facts.outputs) * text.sizes[w.D]
  end
  for i, step in ipairs(w.steps) do
    lines[#lines + 1] = ("/* %s */\nstatic void %s_run_%d(const T *in, T *out) {\n  %s\n}"):format(step.comment,
      w.prefix, i, step.call)
  end
  if facts.machine then
    lines[#lines + 1] = ("/* decisions */\nstatic void %s_decide(void) {\n  %s\n}"):format(w.prefix, facts.final)
  end
  lines[#lines + 1] = ("static const T *%s_run(const T *x) {"):format(w.prefix)
  for i in ipairs(w.steps) do
    local room = ("rooms[%d]"):format(i % 2)
    add("  %s_run_%d(%s, %s);", w.prefix, i, at, room)
    at = room
  end
  if facts.machine then
    add("  for (int j = 0; j < %d; j++) widened[j] = (D)%s[j];", w.features, at)
    add("  %s_decide();", w.prefix)
    at = w.T == w.D and "sums" or nil
    if not at then
      add("  static T narrowed[%d];", facts.outputs)
      add("  for (int p = 0; p < %d; p++) narrowed[p] = (T)sums[p];", facts.outputs)
      at = "narrowed"
    end
  end
  add("  return %s;\n}", at)
  lines[#lines + 1] = ([[

void %s_score(const T *x, T *out) {
  const T *sums_of = %s_run(x);
  for (int i = 0; i < %d; i++) out[i] = sums_of[i];
}]]):format(w.prefix, w.prefix, facts.outputs)
  if facts.labels then
    lines[#lines + 1] = ([[

static int %s_position(const T *sums) {
%s
}

long long %s_label(const T *x) { return %s_classes[%s_position(%s_run(x))]; }]]):format(w.prefix, facts.labels,
      w.prefix, w.prefix, w.prefix, w.prefix)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function header_text(w, facts, title, name)
  local guard = name:upper():gsub("[^%w]", "_")
  if guard:find "^%d" then guard = "M_" .. guard end
  local upper = w.prefix:upper()
  local lines = {
    ("/* %s, as C: written by perilune export. */"):format(title),
    ("#ifndef %s\n#define %s\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n"):format(guard, guard),
    ("enum { %s_INPUTS = %d, %s_OUTPUTS = %d, %s_CLASSES = %d };\n"):format(upper, facts.inputs, upper, facts.outputs,
      upper, facts.classes and #facts.classes or 0),
    ("typedef %s %s_number;\n"):format(w.T, w.prefix),
    ("/* %s_OUTPUTS scores of one row of %s_INPUTS numbers. It has buffers of its own: one call at a time. */"):format(
      upper, upper),
    ("void %s_score(const %s_number *x, %s_number *out);"):format(w.prefix, w.prefix, w.prefix),
  }
  if facts.labels then
    lines[#lines + 1] = "/* The label of one row. */"
    lines[#lines + 1] = ("long long %s_label(const %s_number *x);"):format(w.prefix, w.prefix)
  end
  lines[#lines + 1] = "\n#ifdef __cplusplus\n}\n#endif\n#endif\n"
  return table.concat(lines, "\n")
end

local function longest_chain(root)
  local longest = 0
  local function walk(item)
    if item.call == "Linear" then longest = math.max(longest, item[1]) end
    for _, child in ipairs(item) do
      if type(child) == "table" and child.call then walk(child) end
    end
  end
  for _, item in ipairs(root) do walk(item) end
  return longest
end

local function write(path, content)
  local written, problem = internal.process.write(path, content)
  if not written then fail("export: %s", problem) end
end

return function(path, m, options)
  check.read("export_c", "path", path, check.test("the name of a .c file", function(v)
    return type(v) == "string" and v:find "^[^\0]+%.c$"
  end))
  options = check.only("export_c", options, "prefix number input")
  for name, kind in pairs(OPTIONS) do
    if options[name] ~= nil then options[name] = check.read("export_c", name, options[name], kind) end
  end
  local w, root, facts = export(path, m, options)
  local body = score_text(w, facts)
  local tail = ""
  if facts.labels then -- which stand behind the rest
    w:array("long long", w.prefix .. "_classes", flat(facts.classes))
    tail = table.remove(w.lines) .. "\n"
  end
  local name = path:match "[^/]*$"
  local header = path:gsub("%.c$", ".h")
  local title = describe_in_comment(root, w.note)
  local content = table.concat({
    ("/* %s, as C: written by perilune export."):format(title),
    (" * flash: %d bytes of numbers, beside the code; RAM: %d bytes, beside a few on the stack */"):format(w.flash,
      w.ram),
    ("#include \"%s\"\n"):format(header:match "[^/]*$"),
    "#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n",
    PRELUDE .. text.functions_of(w.names),
    ("typedef %s T;\ntypedef %s D;\n#define madd(a, b, c) madd%s(a, b, c)"):format(w.T, w.D, w.suffix),
    ("#define madd_D(a, b, c) madd%s(a, b, c)"):format(w.D == "float" and "_f32" or "_f64"),
    part_of(longest_chain(root)) .. table.concat(w.lines, "\n"),
    tail .. body,
  }, "\n")
  write(path, content)
  write(header, header_text(w, facts, title, name:gsub("%.c$", ".h")))
  return { flash = w.flash, ram = w.ram }
end
