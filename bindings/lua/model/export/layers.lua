-- The layers of networks as C: a row for each kind.
local internal, text = ...
local check = internal.check
local fail = check.fail
local flat, numel, below, number = text.flat, text.numel, text.below, text.number

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
  w.flash = w.flash + 4 * n * text.sizes[w.T]
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
    local value = expression(function(name) return w:use(name) end, function(name)
      return "(T)" .. number(option(layer, name), w.T == "float")
    end, layer)
    return x.shape, ("for (long i = 0; i < %d; i++) {\n    const T v = in[i];\n    out[i] = %s;\n  }"):format(
      numel(x.shape), value)
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

-- All layers in the order in which they run: {layer =, tensors =, way =}.
local function layers_of(item, prefix, tensors, list)
  if item.call ~= "Sequential" then
    list[#list + 1] = { layer = item, tensors = below(tensors, prefix) }
    return list
  end
  for i, child in ipairs(item) do layers_of(child, ("%s%d."):format(prefix, i), tensors, list) end
  return list
end

return function(w, item, prefix, tensors, shape)
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
