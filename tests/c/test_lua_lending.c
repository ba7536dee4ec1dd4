/* Memory that a host lends: with strides, to be read alone (on pages where a write is a signal), and taken back. Every
 * row of the operation table is tried, in place and otherwise. */
#include "autograd/autograd.h"
#include "base/memory.h"
#include "bindings/core/bind.h"
#include "test.h"

#include <lualib.h>
#include <math.h>
#include <perilune/lua.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- loans on pages of their own ---- */

typedef struct page {
  size_t bytes;
  int given_back;
} page;

static void give_back(void *data, void *user) {
  page *p = user;
  p->given_back++;
  munmap(data, p->bytes); /* a use after this is a signal, too */
  free(p);
}

static peri_status lend_copy(peri_tensor *x, int read_only, peri_tensor **out) {
  page *p = calloc(1, sizeof *p);
  p->bytes = (size_t)peri_tensor_numel(x) * peri_dtype_size(peri_tensor_dtype(x)) + 64;
  void *memory = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(memory, peri_tensor_data(x), p->bytes - 64);
  if (read_only) mprotect(memory, p->bytes, PROT_READ);
  const peri_loan loan = {.size = sizeof loan,
                          .dtype = peri_tensor_dtype(x),
                          .ndim = peri_tensor_ndim(x),
                          .shape = peri_tensor_shape(x),
                          .read_only = read_only,
                          .data = memory,
                          .deleter = give_back,
                          .user = p};
  return peri_tensor_borrow(peri_tensor_context(x), &loan, out);
}

/* lend(x, read_only) -> a loan with the numbers of x, which is contiguous */
static int lend(lua_State *L) {
  peri_tensor *loan;
  if (lend_copy(peri_lua_check_tensor(L, 1), lua_toboolean(L, 2), &loan) != PERI_OK)
    return luaL_error(L, "%s", peri_message(peri_lua_context(L)));
  peri_lua_push_tensor(L, loan);
  peri_tensor_release(&loan);
  return 1;
}

/* lend_source(x, bits) -> a source of x's shape over other memory: float16 with `bits` everywhere */
static int lend_source(lua_State *L) {
  peri_tensor *x = peri_lua_check_tensor(L, 1), *source;
  page *p = calloc(1, sizeof *p);
  p->bytes = 2 * (size_t)peri_tensor_numel(x) + 64;
  uint16_t *memory = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int64_t i = 0; i < peri_tensor_numel(x); i++) memory[i] = (uint16_t)lua_tointeger(L, 2);
  if (peri_tensor_lend(peri_tensor_context(x), PERI_FLOAT16, peri_tensor_ndim(x), peri_tensor_shape(x), memory,
                       give_back, p, &source) != PERI_OK)
    return luaL_error(L, "%s", peri_message(peri_lua_context(L)));
  peri_lua_push_tensor(L, source);
  peri_tensor_release(&source);
  return 1;
}

/* alias(x, first, n) -> n elements of x's own memory, from that one on, as a host lends them that was given it */
static int alias(lua_State *L) {
  peri_tensor *x = peri_lua_check_tensor(L, 1), *same;
  const int64_t n = lua_tointeger(L, 3);
  char *from = (char *)peri_tensor_data(x) + (lua_tointeger(L, 2) - 1) * (int64_t)peri_dtype_size(peri_tensor_dtype(x));
  if (peri_tensor_lend(peri_tensor_context(x), peri_tensor_dtype(x), 1, &n, from, NULL, NULL, &same) != PERI_OK)
    return luaL_error(L, "%s", peri_message(peri_lua_context(L)));
  peri_lua_push_tensor(L, same);
  peri_tensor_release(&same);
  return 1;
}

static int revoke(lua_State *L) {
  PERI_CHECK(peri_tensor_revoke(peri_lua_to_tensor(L, 1)) == PERI_OK, "revoke");
  return 0;
}

static void run(const char *script) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  peri_lua_open(L, NULL);
  lua_setglobal(L, "peri");
  lua_register(L, "lend", lend);
  lua_register(L, "lend_source", lend_source);
  lua_register(L, "alias", alias);
  lua_register(L, "revoke", revoke);
  lua_pushfstring(L, "package.path = '%s/tests/spec/?.lua;' .. package.path",
                  getenv("PERILUNE_SOURCE_DIR") != NULL ? getenv("PERILUNE_SOURCE_DIR") : ".");
  if (luaL_dostring(L, lua_tostring(L, -1)) != LUA_OK || luaL_dostring(L, script) != LUA_OK)
    PERI_CHECK(0, "%s", lua_tostring(L, -1));
  peri_context *context = peri_lua_context(L);
  peri_context_retain(context);
  lua_close(L);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes are left", peri_memory_in_use(context));
  peri_context_drop(context);
}

static const char walk[] =
    "local samples = require 'support.samples'\n"
    "local failures = {}\n"
    "function each_call(visit)\n" /* visit(op, f, arguments), for the first list of arguments of each row */
    "  for _, op in ipairs(peri.ops()) do\n"
    "    local ok, lists = pcall(samples.arguments, op, {dtype = 'float32'})\n"
    "    local f = peri\n"
    "    for part in op.name:gmatch '[^.]+' do f = f[part] end\n"
    "    for _, arguments in ipairs(ok and lists or {}) do visit(op, f, arguments) end\n"
    "  end\n"
    "end\n"
    "function is_lendable(x) return peri.is_tensor(x) and x:is_contiguous() and x:numel() > 0 end\n";

/* In place over a page that cannot be written: an error, and no signal. Otherwise the result is that of a copy. */
static void read_only(void) {
  char script[8000];
  snprintf(
      script, sizeof script, "%s%s", walk,
      "local tried, same = 0, 0\n"
      "each_call(function(op, f, arguments)\n"
      "  local x = arguments[1]\n"
      "  if not is_lendable(x) then return end\n"
      "  local loan = lend(x, true)\n"
      "  local name = op.in_place and op.name .. '_' or (op.name:sub(-1) == '_' and op.name) or nil\n"
      "  local g = name and loan[name]\n"
      "  if g then\n"
      "    local ok, text = pcall(peri.no_grad, g, loan, table.unpack(arguments, 2))\n"
      "    if not text:find('lent to be read alone', 1, true) then error(name .. ': ' .. tostring(text), 0) end\n"
      "    tried = tried + 1\n"
      "  end\n"
      "  peri.manual_seed(1)\n"
      "  local ok, y = pcall(f, table.unpack(arguments))\n"
      "  peri.manual_seed(1)\n"
      "  local ok2, z = pcall(f, loan, table.unpack(arguments, 2))\n"
      "  if ok and peri.is_tensor(y) and not op.writes then\n"
      "    if not ok2 then error(op.name .. ': ' .. tostring(z), 0) end\n"
      "    if not ((y:eq(z) | (y:ne(y) & z:ne(z))):all()) then error(op.name .. ': another result', 0) end\n"
      "    same = same + 1\n"
      "  end\n"
      "end)\n"
      "assert(tried > 100 and same > 300, tried .. ' ' .. same)\n"
      /* and every other way to write */
      "local function refused(f, ...)\n"
      "  local ok, text = pcall(f, ...)\n"
      "  if ok or not tostring(text):find('lent to be read alone', 1, true) then error('written: ' .. tostring(text), 2) end\n"
      "end\n"
      "local x = lend(peri.randn(4, 4), true)\n"
      "refused(function() x[1] = 3 end) refused(function() x[{2, 2}] = 3 end) refused(function() x[{{}, 1}] = 0 end)\n"
      "refused(function() x[x:gt(0)] = 1 end) refused(function() x:t():zero_() end) refused(function() x[1]:fill_(2) end)\n"
      "refused(function() x:view(16):add_(1) end) refused(function() x:copy_(peri.ones(4, 4)) end)\n"
      "refused(function() x:apply_(math.sin) end) refused(function() x:map_(x, math.max) end)\n"
      "local w = lend(peri.randn(3, 3), true)\n"
      "w.requires_grad = true\n"
      "(w * 2):sum():backward()\n"
      "assert(w.grad[1][1] == 2)\n"
      "for _, name in ipairs {'SGD', 'Adam', 'RMSprop'} do\n"
      "  local opt = peri.optim[name]({w}, {lr = 0.1})\n"
      "  refused(function() opt:step() end)\n"
      "end\n"
      "local l = peri.nn.Linear(3, 3)\n"
      "l.weight = w\n"
      "refused(function() l:load_state_dict(peri.nn.Linear(3, 3):state_dict()) end)\n"
      "refused(function() peri.nn.init.zeros_(w) end)\n"
      "local mean = lend(peri.zeros(3), true)\n"
      "refused(peri.batch_norm, peri.randn(5, 3), mean, peri.ones(3), nil, nil, true)\n");
  run(script);
}

/* Once taken back, whatever touches it is an error, also through views, graphs, layers, optimisers and loaders; the
 * page is gone, so that a read would be a signal. */
static void revoked(void) {
  char script[8000];
  snprintf(
      script, sizeof script, "%s%s", walk,
      "local tried = 0\n"
      "each_call(function(op, f, arguments)\n"
      "  for i, x in ipairs(arguments) do\n"
      "    if is_lendable(x) then\n"
      "      local given = table.move(arguments, 1, #arguments, 1, {})\n"
      "      given[i] = lend(x)\n"
      "      revoke(given[i])\n"
      "      local ok, text = pcall(f, table.unpack(given))\n"
      "      if ok or not text:find('taken back', 1, true) then error(op.name .. ': ' .. tostring(text), 0) end\n"
      "      tried = tried + 1\n"
      "    end\n"
      "  end\n"
      "end)\n"
      "assert(tried > 400, tried)\n"
      "local function refused(f, ...)\n"
      "  local ok, text = pcall(f, ...)\n"
      "  if ok or not tostring(text):find('taken back', 1, true) then error('touched: ' .. tostring(text), 2) end\n"
      "end\n"
      "local x = lend(peri.randn(6, 4))\n"
      "local w = peri.randn(4, 2, {requires_grad = true})\n"
      "local row, turned, loss = x[2], x:t(), x:matmul(w):square():sum()\n"
      "local leaf = lend(peri.randn(2))\n"
      "leaf.requires_grad = true\n"
      "local square = leaf:square():sum()\n"
      "local loader = peri.data.loader({x}, {batch_size = 2, shuffle = true, seed = 1})\n"
      "local layer = peri.nn.Linear(2, 1, {bias = false})\n"
      "local weight = lend(peri.randn(1, 2))\n"
      "weight.requires_grad = true\n"
      "layer.weight = weight\n"
      "layer(peri.ones(1, 2)):sum():backward()\n"
      "local opt = peri.optim.SGD(layer:parameters(), {lr = 0.1})\n"
      "revoke(x) revoke(leaf) revoke(weight)\n"
      "refused(function() return row:sum() end) refused(function() return turned + 1 end)\n"
      "refused(function() return x[1] end) refused(function() x[1] = 2 end) refused(function() return x:totable() end)\n"
      "refused(function() return row:item() end) refused(function() return x.shape end)\n"
      "refused(function() return peri.tensor(x) end) refused(peri.save, '/dev/null', {x = x})\n"
      "refused(function() return x == row, x < row end) refused(function() return #x end)\n"
      "refused(function() loss:backward() end) refused(function() square:backward() end)\n"
      "refused(function() for b in loader do end end)\n"
      "refused(function() layer(peri.ones(1, 2)) end) refused(function() opt:step() end)\n"
      "refused(function() layer:state_dict() end) refused(function() layer:to 'float64' end)\n"
      "refused(function() peri.svm.SVC{}:fit(x, {1, 2, 1, 2, 1, 2}) end)\n"
      "assert(tostring(x):find 'taken back')\n"
      "x:release()\n");
  run(script);
}

/* ---- strides, without Lua ---- */

static void strides(void) {
  static float image[24]; /* 3 x 8, of which every second column from the second on is lent */
  peri_context *context;
  peri_tensor *x = NULL, *y = NULL;
  const int64_t shape[2] = {3, 3}, steps[2] = {8, 2};
  peri_loan loan = {
      .size = sizeof loan, .dtype = PERI_FLOAT32, .ndim = 2, .shape = shape, .strides = steps, .data = &image[1]};
  if (peri_context_new(NULL, &context) != PERI_OK) abort();
  for (int i = 0; i < 24; i++) image[i] = (float)i;
  PERI_CHECK(peri_tensor_borrow(context, &loan, &x) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(!peri_tensor_is_contiguous(x) && peri_tensor_strides(x)[0] == 8, "a view");
  PERI_CHECK(peri_tensor_contiguous(x, &y) == PERI_OK, "%s", peri_message(context));
  for (int i = 0; i < 9; i++)
    PERI_CHECK(((float *)peri_tensor_data(y))[i] == (float)(i / 3 * 8 + i % 3 * 2 + 1), "element %d", i);
  PERI_CHECK(peri_tensor_revoke(y) == PERI_ERR_ARGUMENT, "its own memory");
  PERI_CHECK(peri_tensor_revoke(x) == PERI_OK && peri_tensor_data(x) == NULL, "taken back");
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  const struct {
    int64_t strides[2];
    int read_only;
    peri_status expected;
  } rows[] = {{{0, 1}, 0, PERI_ERR_ARGUMENT},
              {{0, 1}, 1, PERI_OK},
              {{2, 1}, 0, PERI_ERR_ARGUMENT},
              {{2, 1}, 1, PERI_OK},
              {{1, 3}, 0, PERI_OK},
              {{3, 1}, 0, PERI_OK},
              {{-3, 1}, 1, PERI_ERR_ARGUMENT},
              {{INT64_MAX, 1}, 1, PERI_ERR_ARGUMENT},
              {{INT64_MAX / 2, 1}, 1, PERI_ERR_ARGUMENT}};
  for (size_t i = 0; i < PERI_COUNT(rows); i++) {
    loan.strides = rows[i].strides;
    loan.read_only = rows[i].read_only;
    peri_status status = peri_tensor_borrow(context, &loan, &x);
    PERI_CHECK(status == rows[i].expected, "row %zu: status %d: %s", i, (int)status, peri_message(context));
    peri_tensor_release(&x);
  }
  loan.size = 8;
  PERI_CHECK(peri_tensor_borrow(context, &loan, &x) == PERI_ERR_ARGUMENT && x == NULL, "a size that is none");
  PERI_CHECK(peri_memory_in_use(context) == 0, "bytes are left");
  peri_context_release(&context);
}

/* ---- sources ---- */

/* Every row but `to` refuses a source in the place of each tensor, and so does what is no row. */
static void sources_in_scripts(void) {
  char script[8000];
  snprintf(
      script, sizeof script, "%s%s", walk,
      "local tried = 0\n"
      "local function refused(f, ...)\n"
      "  local ok, text = pcall(f, ...)\n"
      "  if ok or not tostring(text):find(':to(\"float32\") converts it', 1, true) then\n"
      "    error('taken: ' .. tostring(text), 2)\n"
      "  end\n"
      "end\n"
      "each_call(function(op, f, arguments)\n"
      "  for i, x in ipairs(arguments) do\n"
      "    if is_lendable(x) and op.name ~= 'to' then\n"
      "      local given = table.move(arguments, 1, #arguments, 1, {})\n"
      "      given[i] = lend_source(x, 0x3c00)\n"
      "      local ok, text = pcall(f, table.unpack(given))\n"
      "      if ok or not text:find('lent as it is', 1, true) then error(op.name .. ': ' .. tostring(text), 0) end\n"
      "      tried = tried + 1\n"
      "    end\n"
      "  end\n"
      "end)\n"
      "assert(tried > 400, tried)\n"
      "local x = lend_source(peri.zeros(6, 4), 0xc100)\n" /* -2.5 */

      "assert(x.dtype == 'float16' and x:size(2) == 4 and #x == 6 and x.ndim == 2 and x:numel() == 24)\n"
      "assert(tostring(x) == 'lent float16 6x4 (x:to(\"float32\") converts it)')\n"
      "assert(peri.is_tensor(x) and not x.requires_grad and x.shape[1] == 6)\n"
      "assert(x:to('float32'):eq(-2.5):all() and x:to('int64'):eq(-2):all() and x:to('bool'):all())\n"
      "refused(function() return x[1] end) refused(function() x[1] = 2 end) refused(function() return x:totable() end)\n"
      "refused(function() return x.T end) refused(function() return x + 1 end) refused(function() return -x end)\n"
      "refused(function() return peri.tensor(x) end) refused(peri.save, '/dev/null', {x = x})\n"
      "refused(function() return x < 1 end) refused(function() return x:equal(x) end)\n"
      "refused(function() return x:clone() end) refused(function() return peri.zeros(6, 4):copy_(x) end)\n"
      "refused(function() for b in peri.data.loader({x}, {batch_size = 2, shuffle = true}) do end end)\n"
      "refused(function() for b in peri.data.loader({x}, {batch_size = 2}) do end end)\n"
      "refused(function() peri.nn.Linear(4, 2)(x) end) refused(function() x:apply(math.abs) end)\n"
      "refused(function() peri.nn.Sequential(peri.nn.Linear(4, 2))(x) end)\n"
      "refused(function() peri.svm.SVC{}:fit(x, {1, 2, 1, 2, 1, 2}) end) refused(function() x:backward() end)\n"
      "local l = peri.nn.Linear(4, 6)\n"
      "refused(function() l.weight = x end)\n"
      "assert(not pcall(function() x.requires_grad = true end))\n"
      "assert(not pcall(function() return peri.zeros(5)[x] end))\n"
      "peri.set_detect_anomaly(true)\n"
      "refused(function() return x * 2 end)\n"
      "peri.set_detect_anomaly(false)\n"
      /* a replay converts what is there by then, and what has been taken back is not read by it */
      "local step = peri.replay(function(a) return a:to('float32'):mul(2):sum() end)\n"
      "for i = 1, 4 do assert(step(lend_source(peri.zeros(3), 0x3c00 + i)):item() == (1 + i / 1024) * 6) end\n"
      "local double = peri.replay(function(a) return a * 2 end)\n"
      "local a = lend(peri.ones(3))\n"
      "for i = 1, 4 do double(a) end\n"
      "revoke(a) revoke(x)\n"
      "local ok, text = pcall(double, a)\n"
      "assert(not ok and text:find 'taken back', text)\n"
      "local ok, text = pcall(x.to, x, 'float32')\n"
      "assert(not ok and text:find 'taken back', text)\n"
      "local w = lend(peri.ones(3))\n"
      "local scaled = peri.replay(function(a) return a * w end)\n"
      "for i = 1, 4 do scaled(peri.ones(3)) end\n"
      "revoke(w)\n"
      "local ok, text = pcall(scaled, peri.ones(3))\n"
      "assert(not ok and text:find 'taken back', text)\n");
  run(script);
}

/* Steps that a plan joins go block by block, which must not be seen where a host lends what they write to. */
static void joined(void) {
  run("local n = 40000\n"
      "local function try(lends_first)\n"
      "  local state = peri.rand(n + 1)\n"
      "  local before = state:clone()\n"
      "  local function step(y)\n"
      "    state:narrow(1, 1, n):mul_(0.5):add_(y):tanh_()\n"
      "    return state:clone()\n"
      "  end\n"
      "  local replay = peri.replay(step)\n"
      "  if lends_first then replay(lend(peri.rand(n))) end\n"
      "  for _ = 1, 3 do replay(peri.rand(n)) end\n"
      "  assert(replay.replays >= 2, replay.reason)\n"
      "  local function run(f)\n"
      "    state:copy_(before)\n"
      "    return f(alias(state, 2, n)):bytes()\n"
      "  end\n"
      "  local expected = run(step)\n"
      "  for _ = 1, 3 do assert(run(replay) == expected) end\n"
      "end\n"
      "peri.manual_seed(1)\n"
      "peri.set_num_threads(1)\n" /* what overlaps is read and written in one order alone by one thread */
      "try(false) try(true)\n");
}

static peri_tensor *convert(peri_context *context, peri_dtype from, int ndim, const int64_t *shape,
                            const int64_t *strides, const void *data, const char *to) {
  const peri_loan loan = {.size = sizeof loan,
                          .dtype = from,
                          .ndim = ndim,
                          .shape = shape,
                          .strides = strides,
                          .read_only = 1,
                          .data = data};
  peri_tensor *x = NULL, *y = NULL;
  PERI_CHECK(peri_tensor_borrow(context, &loan, &x) == PERI_OK, "%s", peri_message(context));
  char options[32];
  snprintf(options, sizeof options, "dtype = '%s'", to);
  PERI_CHECK(peri_operate(context, "to", 1, &x, options, 1, &y) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_tensor_revoke(x) == PERI_OK, "%s", peri_message(context));
  peri_tensor_release(&x);
  return y;
}

/* A number of 1 + 5 + 10 bits, by its definition. */
static double half(int bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                      : exponent > 0 ? ldexp(1024 + fraction, exponent - 25)
                                     : ldexp(fraction, -24);
  return bits & 0x8000 ? -size : size;
}

/* Every value of 16 bits, in rows that are lent in turn and apart, by one thread and three. */
static void sources_in_numbers(void) {
  enum { ALL = 1 << 16, APART = 3 };
  static uint16_t bits[ALL * APART];
  static const int32_t wide[] = {0, -1, INT32_MAX, INT32_MIN, 16777217, -16777219, 255, 256, 1 << 30};
  static const float rounded[] = {0, -1, 0x1p31f, -0x1p31f, 16777216, -16777220, 255, 256, 0x1p30f};
  const int64_t shape[2] = {256, 256}, strides[2] = {APART, 256 * APART}, n = PERI_COUNT(wide);
  static const struct {
    peri_dtype dtype;
    const char *name;
  } kinds[] = {{PERI_INT16, "int16"}, {PERI_UINT16, "uint16"}, {PERI_FLOAT16, "float16"}};
  for (int i = 0; i < ALL; i++) bits[i * APART] = (uint16_t)i;
  for (int threads = 1; threads <= 3; threads += 2) {
    peri_context *context;
    if (peri_context_new(&(peri_options){.size = sizeof(peri_options), .threads = threads}, &context) != PERI_OK)
      abort();
    for (size_t k = 0; k < PERI_COUNT(kinds); k++) {
      PERI_CHECK(strcmp(peri_dtype_name(kinds[k].dtype), kinds[k].name) == 0, "%s", kinds[k].name);
      peri_tensor *f = convert(context, kinds[k].dtype, 2, shape, strides, bits, "float32"),
                  *d = convert(context, kinds[k].dtype, 2, shape, strides, bits, "float64"),
                  *i = convert(context, kinds[k].dtype, 2, shape, strides, bits, "int64"),
                  *u = convert(context, kinds[k].dtype, 2, shape, strides, bits, "uint8");
      int wrong = 0;
      for (int at = 0; at < ALL; at++) {
        const int v = at % 256 * 256 + at / 256; /* the element at row-major `at`: the first stride is the smaller */
        const double value = kinds[k].dtype == PERI_INT16    ? (double)(int16_t)v
                             : kinds[k].dtype == PERI_UINT16 ? (double)v
                                                             : half(v);
        const float got_f = ((float *)peri_tensor_data(f))[at];
        const double got_d = ((double *)peri_tensor_data(d))[at];
        const int64_t got_i = ((int64_t *)peri_tensor_data(i))[at];
        const float single = (float)value;
        wrong += isnan(value)
                     ? !isnan(got_f) || !isnan(got_d) || !signbit(got_f) != !signbit(value)
                     : memcmp(&single, &got_f, sizeof single) != 0 || memcmp(&value, &got_d, sizeof value) != 0;
        wrong += isfinite(value) && got_i != (int64_t)value;
        wrong += value >= 0 && value < 256 && ((uint8_t *)peri_tensor_data(u))[at] != (uint8_t)value;
      }
      PERI_CHECK(wrong == 0, "%d values of %s are wrong, %d threads", wrong, kinds[k].name, threads);
      peri_tensor_release(&f), peri_tensor_release(&d), peri_tensor_release(&i), peri_tensor_release(&u);
    }
    peri_tensor *i = convert(context, PERI_INT32, 1, &n, NULL, wide, "int64"),
                *f = convert(context, PERI_INT32, 1, &n, NULL, wide, "float32");
    for (int64_t at = 0; at < n; at++)
      PERI_CHECK(((int64_t *)peri_tensor_data(i))[at] == wide[at] && ((float *)peri_tensor_data(f))[at] == rounded[at],
                 "int32 %d", wide[at]);
    peri_tensor_release(&i), peri_tensor_release(&f);
    peri_tensor *none = NULL;
    PERI_CHECK(peri_tensor_new(context, PERI_INT16, 1, &n, &none) == PERI_ERR_ARGUMENT && none == NULL, "new");
    PERI_CHECK(peri_tensor_lend(context, PERI_INT32, 1, &n, (char *)bits + 2, NULL, NULL, &none) == PERI_ERR_ARGUMENT,
               "memory that is not aligned");
    PERI_CHECK(peri_tensor_lend(context, (peri_dtype)PERI_SOURCE_DTYPES, 1, &n, bits, NULL, NULL, &none) ==
                   PERI_ERR_ARGUMENT,
               "no dtype");
    PERI_CHECK(peri_memory_in_use(context) == 0, "bytes are left");
    peri_context_release(&context);
  }
}

PERI_TEST_MAIN(PERI_TEST(read_only), PERI_TEST(revoked), PERI_TEST(strides), PERI_TEST(sources_in_scripts),
               PERI_TEST(joined), PERI_TEST(sources_in_numbers))
