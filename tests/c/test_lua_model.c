/* Models that scripts have made, scored without Lua: every built-in layer, every machine, pipelines and what train
 * fits, by file and by peri_lua_model, with the bits of the script's own predict, in batches of any size; from many
 * threads; and without an allocation once warm. libperilune_score gives the bits of all files, too, by each of its
 * instruction sets, but for layers that it refuses by name. */
#include "bindings/core/bind.h"
#include "test.h"

#include <dlfcn.h>
#include <lualib.h>
#include <perilune/lua.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* ---- allocations, counted ---- */

static _Thread_local int64_t allocations;

#ifndef SANITIZED
void *malloc(size_t bytes) {
  static void *(*next)(size_t);
  if (next == NULL) {
    void *found = dlsym(RTLD_NEXT, "malloc");
    memcpy(&next, &found, sizeof next);
  }
  allocations++;
  return next(bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  static void *(*next)(size_t, size_t);
  if (next == NULL) {
    void *found = dlsym(RTLD_NEXT, "aligned_alloc");
    memcpy(&next, &found, sizeof next);
  }
  allocations++;
  return next(alignment, bytes);
}
#endif

/* ---- what scripts call: score(m, X, what, most, path) -> float64 or int64 tensor ---- */

typedef peri_status (*scoring)(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                               void *out);
static peri_status scores(peri_scorer *s, peri_dtype dtype, int64_t rows, const void *x, int64_t stride, void *out) {
  return peri_score(s, dtype, rows, x, stride, out);
}
static peri_status labels(peri_scorer *s, peri_dtype dtype, int64_t rows, const void *x, int64_t stride, void *out) {
  return peri_score_labels(s, dtype, rows, x, stride, out);
}
static peri_status probabilities(peri_scorer *s, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                                 void *out) {
  return peri_score_probabilities(s, dtype, rows, x, stride, out);
}

/* Scores twice: the second time must give the same and allocate nothing. */
static peri_status score_twice(peri_scorer *scorer, scoring score, peri_tensor *x, int64_t rows, void *out,
                               size_t bytes) {
  const peri_dtype dtype = peri_tensor_dtype(x);
  const void *data = peri_tensor_data(x);
  peri_status status = score(scorer, dtype, rows, data, 0, out);
  if (status != PERI_OK) return status;
  void *again = calloc(bytes + 1, 1);
  const int64_t before = allocations;
  PERI_CHECK(score(scorer, dtype, rows, data, 0, again) == PERI_OK, "%s", peri_scorer_message(scorer));
  PERI_CHECK(allocations == before, "%lld allocations", (long long)(allocations - before));
  PERI_CHECK(memcmp(out, again, bytes) == 0, "another result");
  free(again);
  return PERI_OK;
}

/* ---- the library that only scores, where the build has one ---- */

#define LIGHT_CALLS(call)                                                                                              \
  call(peri_context_new) call(peri_context_release) call(peri_message) call(peri_model_load) call(peri_model_release)  \
      call(peri_scorer_new) call(peri_scorer_release) call(peri_scorer_message) call(peri_score)                       \
          call(peri_score_labels) call(peri_score_probabilities)
static struct {
#define MEMBER(name) __typeof__(&name) name;
  LIGHT_CALLS(MEMBER)
} light;
static int light_models, light_refusals;

/* false: there is none */
static bool open_light(void) {
  char path[4096];
  const char *build = getenv("PERILUNE_BUILD_DIR");
  snprintf(path, sizeof path, "%s/libperilune_score.so", build != NULL ? build : ".");
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return false;
#define FIND(name)                                                                                                     \
  {                                                                                                                    \
    void *found = dlsym(library, #name);                                                                               \
    PERI_CHECK(found != NULL, "libperilune_score has no " #name);                                                      \
    memcpy(&light.name, &found, sizeof found);                                                                         \
  }
  LIGHT_CALLS(FIND)
  return true;
}

static peri_status light_score(peri_scorer *scorer, char what, peri_tensor *x, int64_t rows, void *out) {
  const peri_dtype dtype = peri_tensor_dtype(x);
  const void *data = peri_tensor_data(x);
  return what == 's'   ? light.peri_score(scorer, dtype, rows, data, 0, out)
         : what == 'l' ? light.peri_score_labels(scorer, dtype, rows, data, 0, out)
                       : light.peri_score_probabilities(scorer, dtype, rows, data, 0, out);
}

/* The file by the other library: the same bits, or the same status and message. */
static void compare_light(const char *path, const char *set, char what, int64_t most, peri_tensor *x, int64_t rows,
                          peri_status status, const char *message, const void *wanted, size_t bytes) {
  peri_context *context = NULL;
  peri_model *model = NULL;
  peri_scorer *scorer = NULL;
  setenv("PERILUNE_ISA", set, 1);
  PERI_CHECK(light.peri_context_new(NULL, &context) == PERI_OK, "no context");
  if (light.peri_model_load(context, path, &model) == PERI_OK) {
    void *out = calloc(bytes + 1, 1);
    PERI_CHECK(light.peri_scorer_new(model, most, &scorer) == PERI_OK, "no scorer");
    peri_status own = light_score(scorer, what, x, rows, out);
    PERI_CHECK(own == status, "status %d, not %d: %s", own, status, light.peri_scorer_message(scorer));
    if (status == PERI_OK)
      PERI_CHECK(memcmp(out, wanted, bytes) == 0, "libperilune_score by %s has other bits", set);
    else
      PERI_CHECK(strcmp(light.peri_scorer_message(scorer), message) == 0, "%s", light.peri_scorer_message(scorer));
    light_models++;
    free(out);
  } else {
    const char *text = light.peri_message(context);
    PERI_CHECK(strstr(text, "libperilune_score has no ") != NULL && strstr(text, "(libperilune has)") != NULL, "%s",
               text);
    light_refusals++;
  }
  unsetenv("PERILUNE_ISA");
  light.peri_scorer_release(&scorer);
  light.peri_model_release(&model);
  light.peri_context_release(&context);
}

static peri_model *get_model(lua_State *L, const char *path) {
  if (path == NULL) return peri_lua_model(L, 1);
  peri_model *model;
  if (peri_model_load(peri_lua_context(L), path, &model) != PERI_OK)
    luaL_error(L, "%s", peri_message(peri_lua_context(L)));
  return model;
}

static int score(lua_State *L) {
  peri_tensor *x = peri_lua_check_tensor(L, 2);
  const char what = *luaL_checkstring(L, 3);
  peri_model *model = get_model(L, luaL_optstring(L, 5, NULL));
  peri_scorer *scorer = NULL;
  PERI_CHECK(peri_scorer_new(model, luaL_checkinteger(L, 4), &scorer) == PERI_OK, "no scorer");
  const int64_t rows = peri_tensor_shape(x)[0], k = peri_model_classes(model, NULL);
  const int64_t columns = what == 's' ? peri_model_outputs(model) : what == 'p' ? k : 1;
  PERI_CHECK(peri_model_inputs(model) * rows == peri_tensor_numel(x), "%lld inputs",
             (long long)peri_model_inputs(model));
  peri_tensor *out = NULL;
  const int64_t shape[2] = {rows, columns};
  peri_tensor_new(peri_lua_context(L), what == 'l' ? PERI_INT64 : PERI_FLOAT64, 2, shape, &out);
  peri_status status = score_twice(scorer,
                                   what == 's'   ? scores
                                   : what == 'l' ? labels
                                                 : probabilities,
                                   x, rows, peri_tensor_data(out), (size_t)(rows * columns) * 8);
  if (lua_isstring(L, 5) && light.peri_score != NULL) {
    static const char *const sets[] = {"v3", "exact"};
    for (size_t i = 0; i < PERI_COUNT(sets); i++)
      compare_light(lua_tostring(L, 5), sets[i], what, luaL_checkinteger(L, 4), x, rows, status,
                    peri_scorer_message(scorer), peri_tensor_data(out), (size_t)(rows * columns) * 8);
  }
  if (status == PERI_OK)
    peri_lua_push_tensor(L, out);
  else
    lua_pushstring(L, peri_scorer_message(scorer));
  peri_tensor_release(&out);
  peri_scorer_release(&scorer);
  peri_model_release(&model);
  return 1;
}

/* ---- cases ---- */

/* same(m, X, what, wanted): by the object and by its file, some rows at a time */
static const char prelude[] =
    "local score, path = ...\n"
    "peri = require 'perilune'\n"
    "local function equal(got, wanted, name)\n"
    "  if type(got) == 'string' then error(name .. ': ' .. got, 0) end\n"
    "  wanted = wanted:to(got.dtype):reshape(got:size())\n"
    "  local same = got:eq(wanted) | (got:ne(got) & wanted:ne(wanted))\n"
    "  if not same:all() then error(('%s: %s\\n%s'):format(name, got, wanted), 0) end\n"
    "end\n"
    "function same(m, X, what, wanted, input)\n"
    "  local name = ('%s, %s'):format(m, what)\n"
    "  peri.save_model(path, m, input and {input = input})\n"
    "  for _, most in ipairs {1, 3, 100} do\n"
    "    if not input then equal(score(m, X, what, most), wanted, name) end\n"
    "    equal(score(m, X, what, most, path), wanted, name .. ' of a file')\n"
    "  end\n"
    "end\n"
    "function refused(m, X, what) local text = score(m, X, what, 5) assert(type(text) == 'string', what) return text end\n";

static void run(const char *script) {
  char path[64];
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  peri_lua_open(L, NULL);
  lua_settop(L, 0);
  snprintf(path, sizeof path, "/dev/shm/perilune-model-%ld", (long)getpid());
  if (luaL_loadstring(L, prelude) == LUA_OK) {
    lua_pushcfunction(L, score);
    lua_pushstring(L, path);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK && luaL_dostring(L, script) == LUA_OK) lua_settop(L, 0);
  }
  if (lua_gettop(L) > 0) PERI_CHECK(0, "%s", lua_tostring(L, -1));
  remove(path);
  lua_close(L);
}

static void machines(void) {
  run("peri.manual_seed(3)\n"
      "local svm = peri.svm\n"
      "local X, Z, t = peri.randn(40, 3), peri.randn(17, 3), peri.randn(40)\n"
      "local two, three = peri.arange(1, 40) % 2 + 1, peri.arange(1, 40) % 3 - 1\n"
      "for _, dtype in ipairs {'float32', 'float64'} do\n"
      "  local X, Z = X:to(dtype), Z:to(dtype)\n"
      "  for _, m in ipairs {svm.SVC{}:fit(X, three), svm.SVC{kernel = 'linear', probability = true}:fit(X, two),\n"
      "      svm.SVC{kernel = 'poly', decision_function_shape = 'ovo', break_ties = true}:fit(X, three),\n"
      "      svm.SVC{kernel = 'sigmoid', probability = true}:fit(X, three), svm.NuSVC{nu = 0.3}:fit(X, two),\n"
      "      svm.OneClassSVM{}:fit(X), svm.LinearSVC{}:fit(X, three), svm.LinearSVC{}:fit(X, two),\n"
      "      svm.LogisticRegression{class_weight = {2, 1}}:fit(X, two), svm.LogisticRegression{}:fit(X, three)} do\n"
      "    same(m, Z, 'scores', m:decision_function(Z))\n"
      "    same(m, Z, 'labels', m:predict(Z))\n"
      "    local ok, p = pcall(function() return m:predict_proba(Z) end)\n"
      "    if ok then same(m, Z, 'probabilities', p)\n"
      "    else assert(refused(m, Z, 'probabilities'):find 'no probabilities') end\n"
      "  end\n"
      "  for _, m in ipairs {svm.SVR{}:fit(X, t), svm.NuSVR{kernel = 'linear'}:fit(X, t), svm.LinearSVR{}:fit(X, t)} do\n"
      "    same(m, Z, 'scores', m:predict(Z))\n"
      "    assert(refused(m, Z, 'labels'):find 'no classes')\n"
      "  end\n"
      "  local K = svm.SVC{kernel = 'precomputed'}:fit(X:matmul(X:t()), two)\n"
      "  same(K, Z:matmul(X:t()), 'labels', K:predict(Z:matmul(X:t())))\n"
      "end\n"
      "local f = svm.SVC{kernel = function(a, b) return a:matmul(b:t()) end}:fit(X, two)\n"
      "local ok, text = pcall(peri.save_model, '/dev/null', f)\n"
      "assert(not ok and text:find 'kernel of the SVC is a Lua function')\n");
}

/* Each layer that takes one input, alone and behind another; the tests' own samples say constructor arguments and an
 * input. */
static void layers(void) {
  run("local nn, seen = peri.nn, 0\n"
      "local skip = {Bilinear = true, RNNCell = true, LSTMCell = true, GRUCell = true}\n"
      "for _, row in ipairs(nn.layers()) do\n"
      "  peri.manual_seed(5)\n"
      "  local T = function(...) return peri.randn({...}) end\n"
      "  local I = function(high, ...) return peri.randint(1, high, {...}) end\n"
      "  local list = load('return {' .. row.sample .. '}', 'sample', 't', {T = T, I = I, peri = peri, math = math})()\n"
      "  for _, sample in ipairs(list) do\n"
      "    local net, X = nn[row.name](table.unpack(sample[1])), sample[2][1]\n"
      "    local whole = row.name:find 'Embedding'\n"
      "    if #sample[2] == 1 and X:dim() > 1 and not skip[row.name] and (whole or X.dtype == 'float32') then\n"
      "      net = nn.Sequential(net):eval()\n"
      "      local input = {table.unpack(X:size(), 2)}\n"
      "      local wanted = peri.no_grad(function() return net(X) end)\n"
      "      if wanted:size(1) == X:size(1) then\n"
      "        local x = X:to('float64'):reshape(#X, -1):contiguous()\n"
      "        if not whole then x = x:to 'float32' end\n"
      "        local ok, text = pcall(same, net, x, 'scores', wanted:contiguous(), input)\n"
      "        if not ok and not text:find 'the network gives' and not text:find 'mixes rows' and\n"
      "           not text:find 'while training' then error(row.name .. ': ' .. text, 0) end\n"
      "        if ok then seen = seen + 1 end\n"
      "      end\n"
      "    end\n"
      "  end\n"
      "end\n"
      "assert(seen > 60, seen)\n");
}

static void networks(void) {
  run("local nn = peri.nn\n"
      "peri.manual_seed(7)\n"
      "local X, Z = peri.randn(50, 6), peri.randn(23, 6)\n"
      "local net = nn.Sequential(nn.Linear(6, 30), nn.Tanh(), nn.Dropout{p = 0.5}, nn.Sequential(nn.Linear(30, 300),\n"
      "  nn.ELU{alpha = 0.7}), nn.Linear(300, 5, {bias = false}), nn.Sigmoid()):eval()\n"
      "same(net, Z, 'scores', net(Z):detach())\n"
      "same(net, Z:to 'float64', 'scores', net(Z):detach())\n"
      "local wide = nn.Sequential(nn.Linear(6, 7, {dtype = 'float64'}), nn.GELU(), nn.Linear(7, 2, {dtype = 'float64'}))\n"
      "same(wide, Z, 'scores', wide(Z:to 'float64'):detach())\n"
      "local long = nn.Sequential(nn.Linear(9000, 3), nn.ReLU())\n" /* more steps than a part has */
      "local L = peri.randn(4, 9000)\n"
      "same(long, L, 'scores', long(L):detach())\n"
      "local image = nn.Sequential(nn.Conv2d(1, 4, 3, {padding = 1}), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),\n"
      "  nn.Flatten(), nn.Linear(4 * 3 * 3, 3))\n"
      "image(peri.randn(9, 1, 6, 6))\n" /* running statistics */
      "image:eval()\n"
      "local P = peri.randn(5, 1, 6, 6)\n"
      "same(image, P:reshape(5, -1), 'scores', image(P):detach(), {1, 6, 6})\n"
      "local flat = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Softplus())\n"
      "same(flat, P:reshape(5, -1), 'scores', flat(P):detach(), {1, 6, 6})\n"
      /* what train fits */
      "local y, t = peri.arange(1, 50) % 3 + 5, peri.randn(50)\n"
      "local m = peri.train.Classifier{build = function(p) local net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(),\n"
      "  nn.Linear(4, p.n_classes)) return net, peri.optim.Adam(net:parameters(), {lr = 0.05}) end, epochs = 3}\n"
      "m:fit(X, y, {progress = false})\n"
      "same(m, Z, 'labels', m:predict(Z)) same(m, Z, 'probabilities', m:predict_proba(Z))\n"
      "local r = nn.Linear(6, 1)\n"
      "local f = peri.train.fit{model = r, optimizer = peri.optim.SGD(r:parameters(), {lr = 0.1}), train = {X, t},\n"
      "  epochs = 2, progress = false}\n"
      "same(f, Z, 'scores', f:predict(Z))\n"
      "assert(refused(f, Z, 'labels'):find 'no classes')\n"
      /* pipelines */
      "local d = peri.data\n"
      "local B = Z * 1e3 + 1e5\n"
      "for _, dtype in ipairs {'float32', 'float64'} do\n"
      "  for _, steps in ipairs {{d.StandardScaler()}, {d.StandardScaler{mean = false}}, {d.StandardScaler{std = false}},\n"
      "      {d.MinMaxScaler{low = -1, high = 3, clip = true}}, {d.MinMaxScaler()}, {d.PCA{components = 4}},\n"
      "      {d.StandardScaler(), d.PCA{components = 3, whiten = true}, d.MinMaxScaler{low = 0.1}}} do\n"
      "    local copy = {table.unpack(steps)}\n"
      "    copy[#copy + 1] = peri.svm.SVC{probability = true}\n"
      "    local p, b = peri.model.pipeline(copy), B:to(dtype)\n"
      "    p:fit((X * 1e3 + 1e5):to(dtype), y)\n"
      "    same(p, b, 'probabilities', p:predict_proba(b)) same(p, b, 'scores', p:decision_function(b))\n"
      "  end\n"
      "  local s = peri.model.pipeline{d.StandardScaler():fit(X), m}\n"
      "  same(s, Z:to(dtype), 'labels', s:predict(Z:to(dtype)))\n"
      "  local wide = Z:to 'float64' * 4e307\n" /* beyond the range on the way */
      "  same(peri.model.pipeline{d.StandardScaler():fit(X:to 'float64' * 4e307), peri.svm.SVR{}:fit(X, t)}, wide, 'scores',\n"
      "    peri.model.pipeline{d.StandardScaler():fit(X:to 'float64' * 4e307), peri.svm.SVR{}:fit(X, t)}:predict(wide))\n"
      "end\n");
}

/* ---- threads ---- */

enum { THREADS = 8, TURNS = 30, ROWS = 5 };

typedef struct caller {
  pthread_t thread;
  peri_model *model;
  const float *x;
  double out[ROWS * 3];
} caller;

static void *call_often(void *arg) {
  caller *c = arg;
  for (int turn = 0; turn < TURNS; turn++) {
    peri_scorer *scorer;
    peri_model *own = peri_model_retain(c->model);
    if (peri_scorer_new(own, ROWS, &scorer) != PERI_OK) return c;
    for (int i = 0; i < 3; i++) {
      if (peri_score(scorer, PERI_FLOAT32, ROWS, c->x, 0, c->out) != PERI_OK) return c;
    }
    peri_model_release(&own);
    peri_scorer_release(&scorer);
  }
  return NULL;
}

/* Many scorers of one model, made and dropped at once; the state that trained it is closed before. */
static void threads(void) {
  static const char *const scripts[] = {
      "local nn = require 'perilune'.nn return nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 3))",
      "local nn = require 'perilune'.nn return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Linear(9, 3)):eval()",
      ("local peri = require 'perilune' return peri.model.pipeline{peri.data.StandardScaler(), "
       "peri.svm.SVC{}}:fit(peri.randn(60, 6), peri.arange(1, 60) % 3)")};
  float x[ROWS * 6];
  for (int i = 0; i < ROWS * 6; i++) x[i] = (float)(i % 7) - 3;
  for (size_t s = 0; s < PERI_COUNT(scripts); s++) {
    static caller callers[THREADS];
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    peri_lua_open(L, NULL);
    if (luaL_dostring(L, scripts[s]) != LUA_OK) {
      PERI_CHECK(0, "%s", lua_tostring(L, -1));
      return;
    }
    peri_model *model = peri_lua_model(L, -1);
    lua_close(L);
    for (int t = 0; t < THREADS; t++) {
      callers[t] = (caller){.model = model, .x = x};
      pthread_create(&callers[t].thread, NULL, call_often, &callers[t]);
    }
    for (int t = 0; t < THREADS; t++) {
      void *failed;
      pthread_join(callers[t].thread, &failed);
      PERI_CHECK(failed == NULL, "thread %d", t);
      PERI_CHECK(memcmp(callers[t].out, callers[0].out, sizeof callers[0].out) == 0, "thread %d has other bits", t);
    }
    peri_model_release(&model);
  }
}

/* What the tests before have compared. */
static void light_library(void) {
  if (light.peri_score == NULL) return;
  PERI_CHECK(light_models > 1000, "%d files", light_models);
  PERI_CHECK(light_refusals > 0, "none was refused");
}

static void opens(void) {
  bool has = open_light();
#ifndef SANITIZED
  PERI_CHECK(has, "%s", dlerror());
#endif
  (void)has;
}

PERI_TEST_MAIN(PERI_TEST(opens), PERI_TEST(machines), PERI_TEST(layers), PERI_TEST(networks), PERI_TEST(threads),
               PERI_TEST(light_library))
