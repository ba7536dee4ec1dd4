-- Machines, and the transforms before a model, as C.
local text = ...
local flat, below, number = text.flat, text.below, text.number

local machines = {}

-- ---- transforms: computed in D, stored as T ----

function machines.transform(w, item, prefix, tensors, i)
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

local function fill(form, words) return (form:gsub("%u[%u%d_]+", words)) end

-- Decisions of pairs from kernel values, class by class, in tiles of 512 support vectors, as the runtime adds them.
function machines.kernel(w, item, t, n_classes)
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
    w.ram = w.ram + most * text.sizes[w.D]
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

function machines.linear(w, t)
  local rows, d = #t.coef, t.coef:size(2)
  w:need("fused_dot", (FUSED_DOT:gsub("GROUPS", rows == 1 and "4" or "2")))
  w:array("D", w.prefix .. "_intercept", flat(t.intercept))
  w:array("D", w.prefix .. "_coef", flat(t.coef))
  local body = [[
const D *x = widened;
  for (int p = 0; p < %d; p++) sums[p] = fused_dot(%d, x, %s_coef + p * %d) + %s_intercept[p];]]
  return d, rows, body:format(rows, d, w.prefix, d, w.prefix)
end

-- What the label is, from `sums`: lines that return a position in classes.
function machines.label_of(name, k, columns)
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

return machines
