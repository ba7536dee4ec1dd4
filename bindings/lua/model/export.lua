-- model.export_c: a model as one C99 file and its header, without a library.
--
-- The file has const arrays, one static function for each step, and the functions of kernels/mathfun.h and
-- activations.h that the model needs, taken from those files themselves, so that they have the runtime's bits. Sums are
-- made in the runtime's order (product/product.h, svm_kernels.isa.c).
local peri, internal = ...
local check, model = internal.check, internal.model
local fail = check.fail

-- ---- the runtime's functions: definitions of its headers by name ----

local definitions -- {name = {text =, at =}}

-- Definitions begin in the first column, and end with a brace there or with their only line.
local function read_definitions(text, into)
  local name, lines
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if lines then
      lines[#lines + 1] = line
    elseif line:find "^static " or line:find "^typedef struct " then
      lines = { line }
      name = line:match "^typedef struct ([%w_]+)" or line:match "([%w_]+)[%(%[]"
    elseif line:find "^#define [%w_]+ " then
      into[#into + 1] = { name = line:match "^#define ([%w_]+)", text = line }
    end
    local ends = lines and (line:find "^}" or #lines == 1 and line:find "}$")
    if ends then
      into[#into + 1] = { name = name, text = table.concat(lines, "\n"):gsub("PERI_ALWAYS_INLINE", "inline") }
      lines = nil
    end
  end
  return into
end

local TYPES = { f32 = "float", f64 = "double" }

local function load_definitions()
  if definitions then return definitions end
  definitions = read_definitions(internal.source "kernels/mathfun.h", {})
  local special, activations = internal.source "kernels/special.h", internal.source "kernels/activations.h"
  read_definitions(special:match "^(.-)#define T ", definitions)
  for suffix, type_name in pairs(TYPES) do
    local text = activations:gsub("FN%(([%w_]+)%)", "%1_" .. suffix):gsub("%f[%w_]T%f[^%w_]", type_name)
    read_definitions(text, definitions)
  end
  for at, row in ipairs(definitions) do
    row.at = at
    definitions[row.name] = row
  end
  return definitions
end

-- The texts of functions by these names and of all that they use, in the order of the files.
local function functions_of(names)
  local all, wanted, list = load_definitions(), {}, {}
  local function want(name)
    local row = all[name]
    if not row or wanted[row] then return end
    wanted[row] = true
    list[#list + 1] = row
    for word in row.text:gmatch "%f[%a_][%w_]+" do want(word) end
  end
  for name in pairs(names) do want(name) end
  table.sort(list, function(a, b) return a.at < b.at end)
  local texts = {}
  for i, row in ipairs(list) do texts[i] = row.text end
  return table.concat(texts, "\n")
end

-- ---- the text ----

local Writer = {}
Writer.__index = Writer

function Writer:add(text, ...) self.lines[#self.lines + 1] = select("#", ...) > 0 and text:format(...) or text end
function Writer:use(name)
  self.names[name .. self.suffix] = true
  return name .. self.suffix
end

local function number(value, single)
  if value ~= value then return "NAN" end
  if value == math.huge or value == -math.huge then return value < 0 and "-INFINITY" or "INFINITY" end
  return ("%a%s"):format(value, single and "f" or "")
end

-- A const array, and its bytes, counted.
local SIZES = { float = 4, double = 8, int8_t = 1, ["long long"] = 8 }
function Writer:array(type_name, name, values)
  local words = {}
  for i, value in ipairs(values) do
    local whole = type_name == "int8_t" or type_name == "long long"
    local text = whole and ("%d"):format(value) or number(value, type_name == "float")
    words[i] = (i % 8 == 1 and "\n    " or " ") .. text
  end
  if #words == 0 then words[1] = "0" end
  self.flash = self.flash + #values * SIZES[type_name]
  self:add("static const %s %s[] = {%s};", type_name, name, table.concat(words, ","))
end

local function flat(x) return x:to("float64"):reshape(-1):totable() end

local function numel(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- ---- what each layer is ----
-- A row: function(w, layer, x) that writes what is needed before, and gives the shape of the result and the call.
-- x.shape is that of a row; T stands for the number's type. Calls are lines with `in` and `out`.

local function option(layer, name)
  for _, part in ipairs(layer) do
    if type(part) == "table" and not part.call and part[name] ~= nil then return part[name] end
  end
  return layer[name]
end

local function pair(value) return type(value) == "table" and value or { value, value } end

-- Weights as numbers, or with int8 a scale for each of n rows and whole numbers from -127 to 127.
local function put_weights(w, name, values, n)
  if not w.int8 then return w:array(w.T, name, values) end
  local scales, whole, k = {}, {}, #values // n
  for i = 1, n do
    local largest = 0.0
    for j = 1, k do largest = math.max(largest, math.abs(values[(i - 1) * k + j])) end
    local scale = largest > 0 and largest / 127 or 1.0
    scales[i] = scale
    for j = 1, k do whole[(i - 1) * k + j] = math.floor(values[(i - 1) * k + j] / scale + 0.5) end
  end
  w:array("int8_t", name, whole)
  w:array(w.T, name .. "_scale", scales)
end

local function put_bias(w, name, bias)
  if bias then w:array(w.T, name, flat(bias)) end
  return bias and name or "NULL"
end

local DENSE = [[
/* y = W x + b: a chain of multiply-adds for each block of 256 steps, blocks added in order, parts of long chains too */
static void dense(const T *in, T *out, long n, long k, const WEIGHT *w, SCALEconst T *b) {
  for (long i = 0; i < n; i++) {
    T total = 0;
    for (long part = 0; part < k; part += PART) {
      T sum = 0;
      const long stop = k - part < PART ? k : part + PART;
      for (long from = part; from < stop; from += 256) {
        const long end = stop - from < 256 ? stop : from + 256;
        T block = 0;
        for (long p = from; p < end; p++) block = madd(in[p], (T)w[i * k + p], block);
        sum = from == part ? block : sum + block;
      }
      total = part == 0 ? sum : total + sum;
    }
TIMES    out[i] = b == NULL ? total : total + b[i];
  }
}
]]

local CONV = [[
/* A convolution of c x h x w into m x oh x ow: (c, kh, kw) is the order of each chain, zeros around are factors too */
typedef struct conv_sizes {
  int c, h, w, m, oh, ow, groups, kh, kw, sh, sw, dh, dw, ph, pw;
} conv_sizes;
static T pixel(const conv_sizes *s, const T *in, int c, int y, int x) {
  return y < 0 || x < 0 || y >= s->h || x >= s->w ? 0 : in[(c * s->h + y) * s->w + x];
}
static void conv(const conv_sizes *s, const T *in, T *out, const WEIGHT *w, SCALEconst T *b) {
  const int inside = s->c / s->groups, steps = inside * s->kh * s->kw, each = s->m / s->groups;
  for (int m = 0; m < s->m; m++) {
    for (int y = 0; y < s->oh; y++) {
      for (int x = 0; x < s->ow; x++) {
        const WEIGHT *row = w + (long)m * steps;
        T total = 0, sum = 0;
        int step = 0;
        for (int c = 0; c < inside; c++) {
          for (int i = 0; i < s->kh; i++) {
            for (int j = 0; j < s->kw; j++) {
              const T value = pixel(s, in, m / each * inside + c, y * s->sh + i * s->dh - s->ph,
                                    x * s->sw + j * s->dw - s->pw);
              sum = madd((T)row[step], value, sum);
              if (++step % 256 == 0 || step == steps) {
                total = step <= 256 ? sum : total + sum;
                sum = 0;
              }
            }
          }
        }
TIMES        *out++ = b == NULL ? total : total + b[m];
      }
    }
  }
}
]]

local POOL = [[
typedef struct pool_sizes {
  int c, h, w, oh, ow, kh, kw, sh, sw, dh, dw, ph, pw, with_padding;
} pool_sizes;
]]

local MAX_POOL = [[
static void max_pool(const pool_sizes *s, const T *in, T *out) {
  for (int c = 0; c < s->c; c++, in += s->h * s->w) {
    for (int y = 0; y < s->oh; y++) {
      for (int x = 0; x < s->ow; x++) {
        T best = 0;
        int any = 0;
        for (int i = 0; i < s->kh; i++) {
          const int row = y * s->sh + i * s->dh - s->ph;
          for (int j = 0; j < s->kw && row >= 0 && row < s->h; j++) {
            const int column = x * s->sw + j * s->dw - s->pw;
            if (column < 0 || column >= s->w) continue;
            const T value = in[row * s->w + column];
            if (!any || value > best || (value != value && best == best)) best = value;
            any = 1;
          }
        }
        *out++ = best;
      }
    }
  }
}
]]

local AVG_POOL = [[
/* What a window covers along one dimension, and by how much it divides. */
static int clip(int at, int most) { return at < 0 ? 0 : at > most ? most : at; }
static int counted(int from, int size, int n, int padding, int with_padding) {
  if (!with_padding) return clip(from + size, n) - clip(from, n);
  return (from + size > n + padding ? n + padding : from + size) - from;
}
static void avg_pool(const pool_sizes *s, const T *in, T *out) {
  for (int c = 0; c < s->c; c++, in += s->h * s->w) {
    for (int y = 0; y < s->oh; y++) {
      const int from = y * s->sh - s->ph, top = clip(from, s->h), bottom = clip(from + s->kh, s->h);
      for (int x = 0; x < s->ow; x++) {
        const int start = x * s->sw - s->pw, left = clip(start, s->w), right = clip(start + s->kw, s->w);
        double total = 0;
        for (int j = left; j < right; j++) {
          double sum = (double)in[top * s->w + j];
          for (int i = top + 1; i < bottom; i++) sum += (double)in[i * s->w + j];
          total = j == left ? sum : total + sum;
        }
        *out++ = (T)(total / ((double)counted(from, s->kh, s->h, s->ph, s->with_padding) *
                              (double)counted(start, s->kw, s->w, s->pw, s->with_padding)));
      }
    }
  }
}
]]

local NORM = [[
/* Of each channel: the mean in two parts, a factor and a term. */
static void channels(const T *in, T *out, int c, int inside, const T (*numbers)[4]) {
  for (int i = 0; i < c; i++) {
    const T *n = numbers[i];
    for (int j = 0; j < inside; j++) out[i * inside + j] = ((in[i * inside + j] - n[0]) - n[1]) * n[2] + n[3];
  }
}
]]

-- Height and width of what a row's shape says; a shape of two dimensions is one row.
local function image_of(operation, shape, dims)
  if #shape ~= dims + 1 then
    fail("export: a %s gets %s (expected %d dimensions)", operation, table.concat(shape, "x"), dims + 1)
  end
  return shape[1], dims == 1 and 1 or shape[2], shape[#shape]
end

local function with_dims(dims, c, h, w) return dims == 1 and { c, w } or { c, h, w } end

local function convolution(w, layer, x, dims)
  local c, h, width = image_of(layer.call, x.shape, dims)
  local function of(value) return dims == 1 and { nil, value } or pair(value) end
  local kernel, stride, dilation = of(layer[3]), of(option(layer, "stride")), of(option(layer, "dilation"))
  local padding = option(layer, "padding")
  local ph, pw
  if dims == 1 then kernel[1], stride[1], dilation[1] = 1, 1, 1 end
  if padding == "same" then
    ph, pw = dilation[1] * (kernel[1] - 1), dilation[2] * (kernel[2] - 1)
  elseif padding == "valid" then
    ph, pw = 0, 0
  else
    padding = of(padding)
    ph, pw = 2 * (padding[1] or 0), 2 * padding[2]
  end
  local oh = (h + ph - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
  local ow = (width + pw - dilation[2] * (kernel[2] - 1) - 1) // stride[2] + 1
  w:need("conv", CONV)
  put_weights(w, x.name .. "_w", flat(x.tensors.weight), layer[2])
  local bias = put_bias(w, x.name .. "_b", x.tensors.bias)
  w:add("static const conv_sizes %s_sizes = {%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d};", x.name,
    c, h, width, layer[2], oh, ow, option(layer, "groups"), kernel[1], kernel[2], stride[1], stride[2], dilation[1],
    dilation[2], ph // 2, pw // 2)
  local scale = w.int8 and (", %s_w_scale"):format(x.name) or ""
  local call = ("conv(&%s_sizes, in, out, %s_w%s, %s);"):format(x.name, x.name, scale, bias)
  return with_dims(dims, layer[2], oh, ow), call
end

local function pool(w, layer, x, dims, name)
  local c, h, width = image_of(layer.call, x.shape, dims)
  local function of(value, one) return dims == 1 and { one, value } or pair(value) end
  local kernel, stride, padding = of(layer[1], 1), of(option(layer, "stride"), 1), of(option(layer, "padding"), 0)
  local dilation = of(option(layer, "dilation") or 1, 1)
  if option(layer, "ceil_mode") then fail("export: a %s with ceil_mode has no form in C", layer.call) end
  local oh = (h + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
  local ow = (width + 2 * padding[2] - dilation[2] * (kernel[2] - 1) - 1) // stride[2] + 1
  w:need("pool", POOL)
  w:need(name, name == "max_pool" and MAX_POOL or AVG_POOL)
  w:add("static const pool_sizes %s_sizes = {%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d};", x.name, c, h,
    width, oh, ow, kernel[1], kernel[2], stride[1], stride[2], dilation[1], dilation[2], padding[1], padding[2],
    option(layer, "count_include_pad") and 1 or 0)
  return with_dims(dims, c, oh, ow), ("%s(&%s_sizes, in, out);"):format(name, x.name)
end

local function batch_norm(w, layer, x)
  local t, n = x.tensors, layer[1]
  if not t.running_mean then fail "export: a batch norm without running statistics has no form in C" end
  local mean, variance, scale, shift = flat(t.running_mean), flat(t.running_var), {}, {}
  local weight, bias, eps = t.weight and flat(t.weight), t.bias and flat(t.bias), option(layer, "eps")
  for i = 1, n do
    scale[i] = (weight and weight[i] or 1.0) * (1 / math.sqrt(variance[i] + eps))
    shift[i] = bias and bias[i] or 0.0
  end
  local function rounded(value) return w.T == "float" and string.unpack("f", string.pack("f", value)) or value end
  local rows = {}
  for i = 1, n do
    local high = rounded(mean[i])
    rows[i] = ("    {%s, %s, %s, %s}"):format(number(high, w.T == "float"),
      number(rounded(high - high == 0 and mean[i] - high or 0.0), w.T == "float"),
      number(rounded(scale[i]), w.T == "float"), number(rounded(shift[i]), w.T == "float"))
  end
  w:need("channels", NORM)
  w:add("static const T %s_n[][4] = {\n%s};", x.name, table.concat(rows, ",\n"))
  w.flash = w.flash + 4 * n * SIZES[w.T]
  return x.shape, ("channels(in, out, %d, %d, %s_n);"):format(n, numel(x.shape) // n, x.name)
end

local function linear(w, layer, x)
  if #x.shape ~= 1 then fail "export: a Linear behind images needs a Flatten before it" end
  w:need("dense", DENSE)
  put_weights(w, x.name .. "_w", flat(x.tensors.weight), layer[2])
  local bias = put_bias(w, x.name .. "_b", x.tensors.bias)
  local scale = w.int8 and (", %s_w_scale"):format(x.name) or ""
  return { layer[2] }, ("dense(in, out, %d, %d, %s_w%s, %s);"):format(layer[2], layer[1], x.name, scale, bias)
end

-- An expression of v, the element.
local function elementwise(expression)
  return function(w, layer, x)
    local text = expression(function(name) return w:use(name) end, function(name)
      return "(T)" .. number(option(layer, name), w.T == "float")
    end, layer)
    return x.shape, ("for (long i = 0; i < %d; i++) {\n    const T v = in[i];\n    out[i] = %s;\n  }"):format(
      numel(x.shape), text)
  end
end

local function of_function(name)
  return elementwise(function(use) return use(name) .. "(v)" end)
end

local RELU6_OF = "(%s <= 0 ? 0 : %s > 6 ? 6 : %s)"
local function relu6(v) return RELU6_OF:format(v, v, v) end

local function nothing(_, _, x) return x.shape end

local LAYERS = {
  Linear = linear, BatchNorm1d = batch_norm, BatchNorm2d = batch_norm, Identity = nothing, Dropout = nothing,
  Dropout2d = nothing,
  Conv1d = function(w, layer, x) return convolution(w, layer, x, 1) end,
  Conv2d = function(w, layer, x) return convolution(w, layer, x, 2) end,
  MaxPool1d = function(w, layer, x) return pool(w, layer, x, 1, "max_pool") end,
  MaxPool2d = function(w, layer, x) return pool(w, layer, x, 2, "max_pool") end,
  AvgPool1d = function(w, layer, x) return pool(w, layer, x, 1, "avg_pool") end,
  AvgPool2d = function(w, layer, x) return pool(w, layer, x, 2, "avg_pool") end,
  Flatten = function(_, layer, x)
    if option(layer, "dim") ~= 2 then fail "export: a Flatten of other dimensions than a row's has no form in C" end
    return { numel(x.shape) }
  end,
  Tanh = of_function "tanh", Sigmoid = of_function "sigmoid", SiLU = of_function "silu",
  LogSigmoid = of_function "logsigmoid",
  GELU = elementwise(function(use, _, layer)
    return use(option(layer, "approximate") == "tanh" and "gelu_tanh" or "gelu") .. "(v)"
  end),
  ReLU = elementwise(function() return "v <= 0 ? 0 : v" end),
  ReLU6 = elementwise(function() return relu6 "v" end),
  Hardsigmoid = elementwise(function() return relu6 "(v + 3)" .. " / 6" end),
  Hardswish = elementwise(function() return "v * (" .. relu6 "(v + 3)" .. " / 6)" end),
  Softsign = elementwise(function(use) return "v / (1 + " .. use "magnitude" .. "(v))" end),
  LeakyReLU = elementwise(function(_, n) return ("v > 0 ? v : %s * v"):format(n "negative_slope") end),
  ELU = elementwise(function(use, n) return ("v > 0 ? v : %s * %s(v)"):format(n "alpha", use "expm1") end),
  CELU = elementwise(function(use, n)
    return ("v > 0 ? v : %s * %s(v / %s)"):format(n "alpha", use "expm1", n "alpha")
  end),
  SELU = elementwise(function(use)
    return ("v > 0 ? (T)1.0507009873554805 * v : (T)1.7580993408473766 * %s(v)"):format(use "expm1")
  end),
  Softplus = elementwise(function(use, n)
    return ("v * %s > %s ? v : %s(v * %s) / %s"):format(n "beta", n "threshold", use "softplus", n "beta", n "beta")
  end),
  Hardtanh = elementwise(function(_, n)
    return ("v > %s ? %s : %s > v ? %s : v"):format(n "max_val", n "max_val", n "min_val", n "min_val")
  end),
}

-- ---- networks ----

-- The tensors whose names begin with a prefix, without it.
local function below(tensors, prefix)
  local found = {}
  for name, value in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

-- All layers in the order in which they run: {layer =, tensors =, way =}.
local function layers_of(item, prefix, tensors, list)
  if item.call ~= "Sequential" then
    list[#list + 1] = { layer = item, tensors = below(tensors, prefix) }
    return list
  end
  for i, child in ipairs(item) do layers_of(child, ("%s%d."):format(prefix, i), tensors, list) end
  return list
end

local function network(w, item, prefix, tensors, shape)
  for i, row in ipairs(layers_of(item, prefix, tensors, {})) do
    local write = LAYERS[row.layer.call]
    if not write then
      fail("export: layer %d is a %s, which has no form in C (expected of %s)", i, row.layer.call,
        table.concat(check.sorted_keys(LAYERS), ", "))
    end
    local before, call = shape
    shape, call = write(w, row.layer, { shape = shape, tensors = row.tensors, name = ("%s_%d"):format(w.prefix, i) })
    w:step(("%d: %s"):format(i, row.layer.call), call, numel(before), numel(shape))
  end
  return numel(shape)
end

-- ---- transforms: computed in D, stored as T ----

local function transform(w, item, prefix, tensors, i)
  local t, name = below(tensors, prefix), ("%s_step_%d"):format(w.prefix, i)
  local d = #(t.mean or t.var or t.min)
  local function put(field)
    if t[field] then w:array(w.D, ("%s_%s"):format(name, field), flat(t[field])) end
    return ("%s_%s"):format(name, field)
  end
  local n = d
  local call
  if item.call == "StandardScaler" then
    local value = "(D)in[j]"
    if item.mean then value = ("(%s - %s[j])"):format(value, put "mean") end
    if item.std then value = ("%s / %s[j]"):format(value, put "scale") end
    call = ("for (int j = 0; j < %d; j++) out[j] = (T)(%s);"):format(d, value)
  elseif item.call == "MinMaxScaler" then
    local width = item.high - item.low
    local low, high = number(item.low + 0.0, w.D == "float"), number(item.high + 0.0, w.D == "float")
    local lines = { ("    D v = ((D)in[j] - %s[j]) / %s[j];"):format(put "min", put "range") }
    if item.low + width ~= item.high then lines[#lines + 1] = "    const int last = v == 1;" end
    if width ~= 1 then lines[#lines + 1] = ("    v *= %s;"):format(number(width + 0.0, w.D == "float")) end
    if item.low ~= 0 then lines[#lines + 1] = ("    v += %s;"):format(low) end
    if item.low + width ~= item.high then lines[#lines + 1] = ("    if (last) v = %s;"):format(high) end
    if item.clip then lines[#lines + 1] = ("    v = v < %s ? %s : v > %s ? %s : v;"):format(low, low, high, high) end
    call = ("for (int j = 0; j < %d; j++) {\n%s\n    out[j] = (T)v;\n  }"):format(d, table.concat(lines, "\n"))
  else
    n = #t.components
    local scale = item.whiten and ("sum /= %s[i];"):format(put "deviation") or ""
    call = ([[
for (int i = 0; i < %d; i++) {
    D sum = 0;
    for (int from = 0; from < %d; from += 256) {
      D block = 0;
      for (int j = from; j < %d && j < from + 256; j++) {
        block = madd_D((D)in[j] - %s[j], %s[i * %d + j], block);
      }
      sum = from == 0 ? block : sum + block;
    }
    %s
    out[i] = (T)sum;
  }]]):format(n, d, d, put "mean", put "components", d, scale)
  end
  w:step(("step %d: %s"):format(i, item.call), call, d, n)
  return d
end

-- ---- machines ----

local DOT = [[
/* Sixteen sums side by side, as the runtime has them. */
static D dot(long n, const D *x, const D *w) {
  D sum[16] = {0}, rest = 0;
  long t = 0;
  for (; t + 16 <= n; t += 16) {
    for (int s = 0; s < 16; s++) sum[s] += x[t + s] * w[t + s];
  }
  for (; t < n; t++) rest += x[t] * w[t];
  for (int s = 0; s < 8; s++) sum[s] += sum[s + 8];
  return rest + (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])));
}
]]

local FUSED_DOT = [[
/* GROUPS times eight sums side by side, as the runtime has them. */
static D fused_dot(long n, const D *x, const D *w) {
  D sum[8 * GROUPS] = {0}, rest = 0;
  long t = 0;
  for (; t + 8 * GROUPS <= n; t += 8 * GROUPS) {
    for (int s = 0; s < 8 * GROUPS; s++) sum[s] = madd_D(x[t + s], w[t + s], sum[s]);
  }
  for (; t < n; t++) rest = madd_D(x[t], w[t], rest);
  for (int half = GROUPS / 2; half > 0; half /= 2) {
    for (int s = 0; s < 8 * half; s++) sum[s] += sum[s + 8 * half];
  }
  return rest + (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])));
}
]]

local VALUES = {
  rbf = [[
    D sum = 0;
    for (int l = 0; l < FEATURES; l++) {
      const D off = x[l] - u[l];
      sum = l == 0 ? off * off : sum + off * off;
    }
    values[s] = EXP(sum * -(GAMMA));]],
  poly = [[
    D base = (GAMMA) * chain(x, u) + (COEF0), value = 1;
    for (long left = DEGREE; left > 0; left >>= 1) {
      if (left & 1) value *= base;
      if (left > 1) base *= base;
    }
    values[s] = value;]],
  sigmoid = "    values[s] = TANH((GAMMA) * chain(x, u) + (COEF0));",
}

local CHAIN = [[
static D chain(const D *x, const D *u) {
  D sum = 0;
  for (int from = 0; from < FEATURES; from += 256) {
    D block = 0;
    for (int l = from; l < FEATURES && l < from + 256; l++) block = madd_D(x[l], u[l], block);
    sum = from == 0 ? block : sum + block;
  }
  return sum;
}
]]

local function fill(text, words) return (text:gsub("%u[%u%d_]+", words)) end

-- Decisions of pairs from kernel values, class by class, in tiles of 512 support vectors, as the runtime adds them.
local function kernel_machine(w, item, t, n_classes)
  local d, gamma = math.tointeger(t.d:item()), t.gamma:item()
  local supports = flat(t.n_support)
  local pairs_n = math.max(n_classes * (n_classes - 1) // 2, 1)
  local sign = n_classes == 2 and "-" or ""
  w:need("dot", DOT)
  w:array("D", w.prefix .. "_intercept", flat(t.intercept))
  local body = { ("const D *x = widened;\n  for (int p = 0; p < %d; p++) sums[p] = %s%s_intercept[p];"):format(pairs_n,
    sign, w.prefix) }
  if item.kernel == "linear" then
    w:array("D", w.prefix .. "_coef", flat(t.coef))
    body[#body + 1] = ("  for (int p = 0; p < %d; p++) sums[p] += %sdot(%d, x, %s_coef + p * %d);"):format(pairs_n,
      sign == "-" and "-" or "", d, w.prefix, d)
  else
    local words = {
      FEATURES = tostring(d), GAMMA = number(gamma, w.D == "float"), COEF0 = number(item.coef0 + 0.0, w.D == "float"),
      DEGREE = tostring(item.degree), EXP = item.kernel == "rbf" and w:use_D "exp",
      TANH = item.kernel == "sigmoid" and w:use_D "tanh",
    }
    if item.kernel ~= "rbf" then w:need("chain", fill(CHAIN, words)) end
    w:array("D", w.prefix .. "_vectors", flat(t.support_vectors))
    w:array("D", w.prefix .. "_dual", flat(t.dual_coef))
    local all = #t.support
    local most = 1
    for _, count in ipairs(supports) do most = math.max(most, math.min(512, math.tointeger(count))) end
    w:add("static D values[%d];", most)
    w.ram = w.ram + most * SIZES[w.D]
    w:add("static void kernel_values(const D *x, long from, long n) {\n  for (long s = 0; s < n; s++) {\n"
      .. "    const D *u = %s_vectors + (from + s) * %d;\n%s\n  }\n}", w.prefix, d, fill(VALUES[item.kernel], words))
    local start = 0
    for c = 0, #supports - 1 do
      local count = math.tointeger(supports[c + 1])
      for from = start, start + count - 1, 512 do
        local columns = math.min(512, start + count - from)
        body[#body + 1] = ("  kernel_values(x, %d, %d);"):format(from, columns)
        if n_classes == 0 then
          body[#body + 1] = ("  sums[0] += dot(%d, values, %s_dual + %d);"):format(columns, w.prefix, from)
        end
        for other = 0, n_classes - 1 do
          if other ~= c then
            local a, b = math.min(other, c), math.max(other, c)
            local p = a * (2 * n_classes - a - 1) // 2 + (b - a - 1)
            body[#body + 1] = ("  sums[%d] += %sdot(%d, values, %s_dual + %d);"):format(p, sign, columns, w.prefix,
              (other < c and other or other - 1) * all + from)
          end
        end
      end
      start = start + count
    end
  end
  if n_classes == 2 then body[#body + 1] = "  sums[0] = -sums[0]; /* positive for the second class */" end
  return d, pairs_n, table.concat(body, "\n")
end

local function linear_machine(w, t)
  local rows, d = #t.coef, t.coef:size(2)
  w:need("fused_dot", (FUSED_DOT:gsub("GROUPS", rows == 1 and "4" or "2")))
  w:array("D", w.prefix .. "_intercept", flat(t.intercept))
  w:array("D", w.prefix .. "_coef", flat(t.coef))
  local text = [[
const D *x = widened;
  for (int p = 0; p < %d; p++) sums[p] = fused_dot(%d, x, %s_coef + p * %d) + %s_intercept[p];]]
  return d, rows, text:format(rows, d, w.prefix, d, w.prefix)
end

-- What the label is, from `sums`: lines that return a position in classes.
local function label_of(name, k, columns)
  if name:find "Linear" or name == "LogisticRegression" then
    if columns == 1 then return "  return sums[0] > 0;" end
    return ([[
  int best = 0;
  for (int c = 1; c < %d; c++) best = sums[c] > sums[best] ? c : best;
  return best;]]):format(columns)
  end
  if k == 2 then return "  return -sums[0] > 0 ? 0 : 1;" end
  return ([[
  int votes[%d] = {0}, best = 0, p = 0;
  for (int a = 0; a < %d; a++) {
    for (int b = a + 1; b < %d; b++) votes[sums[p++] > 0 ? a : b]++;
  }
  for (int c = 1; c < %d; c++) best = votes[c] > votes[best] ? c : best;
  return best;]]):format(k, k, k, k)
end

-- ---- the file ----

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

local function new_writer(options, T, D)
  local w = setmetatable({
    lines = {}, names = {}, needed = {}, steps = {}, flash = 0, ram = 0, widest = 0, prefix = options.prefix,
    T = T, D = D, suffix = T == "float" and "_f32" or "_f64", int8 = options.number == "int8",
  }, Writer)
  return w
end

-- A piece of text that stands once.
function Writer:need(name, text)
  if self.needed[name] then return end
  self.needed[name] = true
  local scale = self.int8 and "const T *scale, " or ""
  local at = name == "conv" and "m" or "i"
  local times = self.int8 and ("%stotal *= scale[%s];\n"):format(name == "conv" and "        " or "    ", at) or ""
  self:add(((text:gsub("TIMES", times):gsub("SCALE", scale):gsub("WEIGHT", self.int8 and "int8_t" or "T"))
    :gsub("\n$", "")))
end

function Writer:use_D(name)
  local full = name .. (self.D == "float" and "_f32" or "_f64")
  self.names[full] = true
  return full
end

function Writer:step(comment, call, before, after)
  self.widest = math.max(self.widest, before, after)
  if call then self.steps[#self.steps + 1] = { comment = comment, call = call } end
end

local write_array = Writer.array
function Writer:array(type_name, name, values)
  if type_name ~= "D" then return write_array(self, type_name, name, values) end
  return write_array(self, self.D, name, values)
end

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
  local text, given = model.describe("export", m, { input = options.input })
  local root, facts = model.parts("export", text, given)
  local tensors = given
  local last = root[#root]
  local machine = last.call:match "^svm%.(%a+)$"
  local double = not machine and facts.dtype == "float64"
  local float = options.number == "float"
  local T = (machine or double) and not float and "double" or "float"
  local w = new_writer(options, T, float and "float" or "double")
  if machine and options.number == "int8" then fail "export: int8 is for the weights of networks" end

  local inputs, outputs, labels
  local classes = tensors.classes or machine and tensors[("%d.classes"):format(#root)]
  for i = 1, #root - 1 do
    local d = transform(w, root[i], ("%d."):format(i), tensors, i)
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
      features, outputs, final = linear_machine(w, t)
    else
      features, outputs, final = kernel_machine(w, last, t, k)
    end
    inputs = inputs or features
    w.features = features
    if k > 0 then labels = label_of(machine, k, outputs) end
    if machine == "OneClassSVM" then classes, labels = peri.tensor { -1, 1 }, "  return sums[0] >= 0;" end
  else
    local shape = facts.row
    inputs = inputs or numel(shape)
    outputs = network(w, last, ("%d."):format(#root), tensors, shape)
    if classes then
      labels = label_of("Linear", #classes, outputs)
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
    w.ram = w.ram + 2 * widest * SIZES[w.T]
  end
  if facts.machine then
    add("static D widened[%d], sums[%d];", w.features, facts.outputs)
    w.ram = w.ram + (w.features + facts.outputs) * SIZES[w.D]
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

local function write(path, text)
  local written, problem = internal.process.write(path, text)
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
  local text = table.concat({
    ("/* %s, as C: written by perilune export."):format(title),
    (" * flash: %d bytes of numbers, beside the code; RAM: %d bytes, beside a few on the stack */"):format(w.flash,
      w.ram),
    ("#include \"%s\"\n"):format(header:match "[^/]*$"),
    "#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n",
    PRELUDE .. functions_of(w.names),
    ("typedef %s T;\ntypedef %s D;\n#define madd(a, b, c) madd%s(a, b, c)"):format(w.T, w.D, w.suffix),
    ("#define madd_D(a, b, c) madd%s(a, b, c)"):format(w.D == "float" and "_f32" or "_f64"),
    part_of(longest_chain(root)) .. table.concat(w.lines, "\n"),
    tail .. body,
  }, "\n")
  write(path, text)
  write(header, header_text(w, facts, title, name:gsub("%.c$", ".h")))
  return { flash = w.flash, ram = w.ram }
end
