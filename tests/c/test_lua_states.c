/* Lua states that hold the module: opened and closed by the thousand in odd orders, side by side in
 * threads, forked, short of memory, interrupted; and the calls of perilune/lua.h. */
#include "autograd/autograd.h"
#include "base/memory.h"
#include "bindings/core/bind.h"
#include "test.h"

#include <fenv.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- states: the module linked here, and the one that is built ---- */

static void run(lua_State *L, const char *script) {
  if (luaL_dostring(L, script) == LUA_OK) return;
  PERI_CHECK(0, "%s", lua_tostring(L, -1));
  lua_settop(L, 0);
}

static lua_State *open_state(const peri_options *options) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  peri_lua_open(L, options);
  lua_settop(L, 0);
  return L;
}

/* The context outlives the state for a moment, to be looked at. */
static void close_state(lua_State *L) {
  peri_context *context = peri_lua_context(L);
  peri_context_retain(context);
  lua_close(L);
  PERI_CHECK(peri_memory_in_use(context) == 0 && context->references == 1, "%zu bytes and %zu references are left",
             peri_memory_in_use(context), context->references - 1);
  peri_context_drop(context);
}

/* What a state may be doing when it is closed. Each is a chunk that is given `peri`. */
static const char *const lives[] = {
    /* tensors and views, global and registered */
    "x = peri.randn(30, 40)  y = x:t()  z = {x[1], x[{{}, 2}], [x] = y}",
    /* a graph that nobody walked, one walked and kept, one of second order */
    "w = peri.randn(20, {requires_grad = true})  loss = ((w * 2):exp() - 1):sum()\n"
    "other = (w * w):sum()  other:backward(nil, {retain_graph = true})  g = w.grad\n"
    "first = peri.grad((w ^ 3):sum(), w, {create_graph = true})",
    /* a long chain of nodes */
    "w = peri.ones(2, {requires_grad = true})  y = w  for i = 1, 5000 do y = y + 1 end",
    /* only the end of the graph is alive; a gradient alone is alive; a table keyed by a parameter */
    "local w = peri.ones(2, {requires_grad = true})  y = (w * 3):sum()\n"
    "local v = peri.ones(2, {requires_grad = true})  v:sum():backward()  g = v.grad  keyed = {[v] = v.grad}",
    /* a parallel product, just over */
    "x = peri.randn(300, 300)  y = x:matmul(x)",
    /* an error in the middle of no_grad, and a coroutine that will never go on */
    "pcall(peri.no_grad, function() keep = peri.zeros(3)  error(keep) end)\n"
    "co = coroutine.create(function() local t <close> = peri.zeros(9)  coroutine.yield(t) end)  coroutine.resume(co)",
    /* a finaliser that reaches for tensors and for the module while the state goes down; it makes none, because
     * what finalisers make while a state is closing Lua itself does not finalise */
    "local x, y = peri.ones(3), peri.ones(3, {requires_grad = true})  y:sum():backward()\n"
    "last = setmetatable({}, {__gc = function()\n"
    "  pcall(function() x:add_(1)  x:release()  return x:sum() end)  pcall(function() y:add_(1)  return y.shape, "
    "y.dtype end)\n"
    "  pcall(peri.set_num_threads, 2)  kept = x  x = y\n"
    "end})",
    /* parts of the module, a loader in the middle of an epoch */
    "local X, y = peri.data.circles(50, {seed = 1})\n"
    "loader = peri.data.loader({X, y}, {batch_size = 7, shuffle = true, seed = 1})\n"
    "for x in loader do batch = x  break end",
    /* a released tensor, and an error that carries one */
    "x = peri.zeros(10)  x:release()  ok, message = pcall(peri.add, x, 1)",
    /* functions written in Lua and hooks, in graphs that nobody walked, and one that is walked and kept */
    "f = peri.Function.extend('F', {forward = function(ctx, x) ctx:save_for_backward(x)  return x * 2 end,\n"
    "  backward = function(ctx, g) return g * ctx.saved_tensors[1] end})\n"
    "w = peri.ones(3, {requires_grad = true})  h = w:register_hook(function(g) return g end)\n"
    "y = f(f(w))  y:register_hook(function() return y end)  s = y:sum()  z = f(w):sum()  z:backward(nil, {retain_graph = true})\n"
    "last = setmetatable({}, {__gc = function() pcall(h.remove, h)  kept = y  y = s end})",
    /* hooks on layers that hold the layer, a checkpoint, and places kept while anomalies are detected */
    "net = peri.nn.Sequential(peri.nn.Linear(2, 2), peri.nn.Tanh())\n"
    "net[1]:register_forward_hook(function() return net and nil end)\n"
    "net:register_full_backward_hook(function(m) assert(m == net) end)\n"
    "x = peri.detect_anomaly(net, peri.ones(1, 2)):sum()  y = peri.checkpoint(net, peri.ones(1, 2))  x:backward()",
    /* the module forgotten and opened once more */
    "package.loaded.perilune = nil  again = require 'perilune'  x = again.zeros(2) + peri.ones(2)",
};

/* In front of a life: an older object whose finaliser runs after the module's own. */
static const char *const prelude =
    "older = setmetatable({}, {__gc = function()\n"
    "  local peri = package.loaded.perilune\n"
    "  pcall(peri.zeros, 3)  pcall(peri.set_num_threads, 2)  pcall(peri.manual_seed, 1)  pcall(tostring, x)\n"
    "  pcall(function() return x:sum() end)  pcall(function() return w.grad:add_(1) end)  pcall(peri.tensor, {1, 2})\n"
    "  pcall(peri.memory)  pcall(peri.no_grad, function() return peri.ones(2) end)  pcall(peri.randn, 4)\n"
    "end})  peri = require 'perilune'\n";

/* The module is found through package.cpath or package.preload. */
static void live(lua_State *L, size_t life) {
  run(L, prelude);
  run(L, lives[life]);
}

static long resident_pages(void) {
  long size = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file != NULL && fscanf(file, "%ld %ld", &size, &resident) != 2) resident = 0;
  if (file != NULL) fclose(file);
  return resident;
}

/* As the stock interpreter does it: the module's library is opened and closed again each time. */
static void thousand_states(void) {
  const char *directory = getenv("PERILUNE_BUILD_DIR");
  long after_warm_up = 0;
  for (int i = 0; i < 1000; i++) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/?.so", directory == NULL ? "build" : directory);
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
    live(L, (size_t)i % PERI_COUNT(lives));
    lua_close(L);
    if (i == 200) after_warm_up = resident_pages();
    if (peri_test_failures > 0) return;
  }
#if !defined(__has_feature) /* a sanitizer keeps what was freed */
  long grown = (resident_pages() - after_warm_up) * sysconf(_SC_PAGESIZE);
  PERI_CHECK(grown < 8 << 20, "800 states left %ld bytes", grown);
#else
  (void)after_warm_up;
#endif
}

/* States of guests, each with a training of its own: nothing of them stays. PERILUNE_STATES says how many, for a longer
 * run. */
static void trained_states(void) {
  static const char fit[] =
      "local peri = require 'perilune'\n"
      "peri.manual_seed(1)\n"
      "local x, y = peri.randn(16, 2), peri.arange(1, 16) % 2\n"
      "local net = peri.nn.Sequential(peri.nn.Linear(2, 4), peri.nn.Tanh(), peri.nn.Linear(4, 2))\n"
      "local loss, opt = peri.nn.CrossEntropyLoss(), peri.optim.Adam(net:parameters(), {lr = 0.01})\n"
      "for _ = 1, 3 do opt:zero_grad() loss(net(x), y + 1):backward() opt:step() end\n"
      "assert(#peri.svm.SVC{}:fit(x, y).support > 0)\n";
  const char *asked = getenv("PERILUNE_STATES");
  const int states = asked != NULL ? atoi(asked) : 1000;
  long after_warm_up = 0;
  for (int i = 0; i < states && peri_test_failures == 0; i++) {
    lua_State *L = peri_lua_new(&(peri_lua_options){
        .size = sizeof(peri_lua_options), .context = {.size = sizeof(peri_options), .memory_limit = 64 << 20}});
    PERI_CHECK(L != NULL && peri_lua_load(L, "fit", fit, sizeof fit - 1) == PERI_OK &&
                   peri_lua_call(L, 0, 0) == PERI_OK,
               "state %d: %s", i, L == NULL ? "none" : lua_tostring(L, -1));
    if (L != NULL) lua_close(L);
    if (i == 200) after_warm_up = resident_pages();
  }
#if !defined(__has_feature)
  long grown = (resident_pages() - after_warm_up) * sysconf(_SC_PAGESIZE);
  PERI_CHECK(grown < 4 << 20, "%d states left %ld bytes", states, grown);
#else
  (void)after_warm_up;
#endif
}

/* All at once, and closed in another order than they were opened. */
static void states_side_by_side(void) {
  enum { STATES = 100 };
  lua_State *states[STATES];
  for (size_t i = 0; i < STATES; i++) {
    states[i] = luaL_newstate();
    luaL_openlibs(states[i]);
    luaL_getsubtable(states[i], LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(states[i], luaopen_perilune);
    lua_setfield(states[i], -2, "perilune");
    lua_settop(states[i], 0);
    live(states[i], i % PERI_COUNT(lives));
  }
  for (int i = 0; i < STATES; i++) { /* 37 and 100 have no common divisor: every state once */
    run(states[i * 37 % STATES], "assert(require('perilune').ones(3):sum():item() == 3)");
    close_state(states[i * 37 % STATES]);
  }
}

/* ---- memory errors of Lua itself ---- */

typedef struct failing {
  long left; /* allocations that succeed; negative: all */
} failing;

static void *failing_allocator(void *user, void *block, size_t old_size, size_t new_size) {
  failing *f = user;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  bool grows = block == NULL || new_size > old_size;
  if (grows && f->left == 0) return NULL;
  if (grows && f->left > 0) f->left--;
  return realloc(block, new_size);
}

static int open_and_live(lua_State *L) {
  peri_lua_open(L, NULL);
  lua_setglobal(L, "peri");
  if (luaL_dostring(L, lua_tostring(L, 1)) != LUA_OK) lua_error(L);
  return 0;
}

/* Lua's n-th allocation fails, for growing n, until opening the module and a life succeed. */
static void lua_out_of_memory(void) {
  static const size_t tried[] = {1, 3, 7, 9, 10};
  for (size_t t = 0; t < PERI_COUNT(tried); t++) {
    bool succeeded = false;
    for (long n = 0; !succeeded && n < 100000; n += 1 + n / 50) {
      failing f = {.left = -1};
      lua_State *L = lua_newstate(failing_allocator, &f);
      luaL_openlibs(L);
      lua_pushcfunction(L, open_and_live);
      lua_pushstring(L, lives[tried[t]]);
      f.left = n;
      int status = lua_pcall(L, 1, 0, 0);
      f.left = -1;
      PERI_CHECK(status == LUA_OK || status == LUA_ERRMEM || strstr(lua_tostring(L, -1), "memory") != NULL, "%s",
                 lua_tostring(L, -1));
      succeeded = status == LUA_OK;
      if (!succeeded) { /* the same state opens the module once there is memory */
        lua_settop(L, 0);
        lua_pushcfunction(L, open_and_live);
        lua_pushstring(L, lives[tried[t]]);
        PERI_CHECK(lua_pcall(L, 1, 0, 0) == LUA_OK, "opening again after allocation %ld failed: %s", n,
                   lua_tostring(L, -1));
      }
      close_state(L);
    }
    PERI_CHECK(succeeded, "life %zu", tried[t]);
  }
}

/* Lua's n-th allocation fails, for growing n, while a machine is made from the arrays of a file: nothing is lost. */
static void lua_out_of_memory_in_restore(void) {
  static const char *const kinds[] = {"SVC{probability = true}", "SVR{kernel = 'linear'}", "LogisticRegression{}"};
  for (size_t k = 0; k < PERI_COUNT(kinds); k++) {
    failing f = {.left = -1};
    lua_State *L = lua_newstate(failing_allocator, &f);
    luaL_openlibs(L);
    peri_lua_open(L, NULL);
    lua_settop(L, 0);
    lua_pushfstring(L,
                    "local peri = require 'perilune'  local m = peri.svm.%s\n"
                    "m:fit({{0, 1}, {1, 0}, {3, 4}, {4, 3}}, {1, 1, 2, 2})  path = os.tmpname()  m:save(path)\n"
                    "function restore() return peri.svm.load(path) end  restore():release()",
                    kinds[k]);
    run(L, lua_tostring(L, 1));
    lua_settop(L, 0);
    size_t before = 0;
    int status = LUA_ERRRUN;
    for (long n = 0; status != LUA_OK && n < 100000; n++) {
      run(L, "collectgarbage()  collectgarbage()");
      size_t held = peri_memory_in_use(peri_lua_context(L));
      if (n == 0) before = held;
      PERI_CHECK(held == before, "%s: %zu bytes instead of %zu after allocation %ld failed", kinds[k], held, before, n);
      lua_getglobal(L, "restore");
      f.left = n;
      status = lua_pcall(L, 0, 0, 0);
      f.left = -1;
      PERI_CHECK(status == LUA_OK || strstr(lua_tostring(L, -1), "memory") != NULL, "%s", lua_tostring(L, -1));
      lua_settop(L, 0);
    }
    PERI_CHECK(status == LUA_OK, "%s", kinds[k]);
    run(L, "os.remove(path)");
    close_state(L);
  }
}

/* Lua's n-th allocation fails, for growing n, in functions that a walk back calls: no gradient has changed. */
static void lua_out_of_memory_in_a_walk(void) {
  failing f = {.left = -1};
  lua_State *L = lua_newstate(failing_allocator, &f);
  luaL_openlibs(L);
  peri_lua_open(L, NULL);
  lua_settop(L, 0);
  run(L, "local peri = require 'perilune'\n"
         "local f = peri.Function.extend('F', {forward = function(ctx, x) ctx:save_for_backward(x)  return x * 2 end,\n"
         "  backward = function(ctx, g) return g * ctx.saved_tensors[1] end})\n"
         "local net = peri.nn.Linear(2, 2)  net:register_full_backward_hook(function(_, g) return g end)\n"
         "local w = peri.ones(2, {requires_grad = true})  w:register_hook(function(g) return g * 2 end)\n"
         "local function again(x) return x:exp() end\n"
         "function step() net(peri.checkpoint(again, f(w))):sum():backward() end\n"
         "function changed() return w.grad ~= nil or net.weight.grad ~= nil end\n"
         "step()  w.grad = nil  net.weight.grad = nil  net.bias.grad = nil");
  int status = LUA_ERRRUN;
  for (long n = 0; status != LUA_OK && n < 100000 && peri_test_failures == 0; n++) {
    lua_getglobal(L, "step");
    f.left = n;
    status = lua_pcall(L, 0, 0, 0);
    f.left = -1;
    PERI_CHECK(status == LUA_OK || strstr(lua_tostring(L, -1), "memory") != NULL, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    if (status != LUA_OK) run(L, "assert(not changed())");
  }
  PERI_CHECK(status == LUA_OK, "the step never succeeded");
  close_state(L);
}

/* ---- the calls of perilune/lua.h ---- */

static void open_module(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  run(L, "before = {}  for name in pairs(_G) do before[name] = true end");
  peri_options options = {.size = sizeof options, .memory_limit = 1 << 26, .threads = 3};
  peri_lua_open(L, &options);
  PERI_CHECK(lua_gettop(L) == 1 && lua_istable(L, 1), "the module's table");
  options.threads = 1;
  peri_lua_open(L, &options);
  PERI_CHECK(lua_gettop(L) == 2 && lua_rawequal(L, 1, 2), "the same table");
  lua_setfield(L, LUA_REGISTRYINDEX, "the module");
  lua_settop(L, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "the module");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "perilune");
  lua_call(L, 1, 1);
  PERI_CHECK(lua_rawequal(L, 1, 2), "require finds it");
  run(L, "local peri = require 'perilune'\n"
         "assert(peri.get_num_threads() == 1 and peri.memory().limit == 2^26)\n" /* those of the second call */
         "for name in pairs(_G) do assert(before[name] or name == 'before', name) end");
  close_state(L);
}

static void count_deletion(void *data, void *user) {
  (void)data;
  ++*(int *)user;
}

static void push_and_check(void) {
  lua_State *L = open_state(NULL);
  double data[3] = {1, 2, 3};
  int deleted = 0;
  peri_tensor *x;
  PERI_CHECK(peri_tensor_lend(peri_lua_context(L), PERI_FLOAT64, 1, (int64_t[]){3}, data, count_deletion, &deleted,
                              &x) == PERI_OK,
             "lent");
  peri_lua_push_tensor(L, x);
  PERI_CHECK(peri_lua_check_tensor(L, -1) == x && peri_lua_to_tensor(L, 1) == x, "the tensor itself");
  peri_tensor_release(&x);
  lua_setglobal(L, "x");
  run(L, "x:mul_(10)  x[{2, }] = 7  y = x[{{2, 3}}]  x:release()");
  PERI_CHECK(data[0] == 10 && data[1] == 7 && data[2] == 30 && deleted == 0, "%g %g %g", data[0], data[1], data[2]);
  run(L, "y = nil  collectgarbage()");
  PERI_CHECK(deleted == 1, "deleted %d times", deleted);
  run(L, "released = require 'perilune'.zeros(1)  released:release()");
  const char *const others[] = {"nil", "1", "'x'", "{}", "io.stdout", "released"};
  for (size_t i = 0; i < PERI_COUNT(others); i++) {
    lua_settop(L, 0);
    lua_pushfstring(L, "return %s", others[i]);
    run(L, lua_tostring(L, 1));
    PERI_CHECK(peri_lua_to_tensor(L, -1) == NULL && peri_lua_to_tensor(L, 7) == NULL, "%s is no tensor", others[i]);
  }
  close_state(L);
}

static int check_first(lua_State *L) {
  peri_lua_check_tensor(L, 1);
  return 0;
}

static int push_foreign(lua_State *L) {
  peri_lua_push_tensor(L, lua_touserdata(L, 1));
  return 1;
}

static void check_errors(void) {
  lua_State *L = open_state(NULL), *other = open_state(NULL);
  lua_pushcfunction(L, check_first);
  lua_setglobal(L, "check");
  run(L, "local peri = require 'perilune'  local gone = peri.zeros(1)  gone:release()\n"
         "local function message(...) return select(2, pcall(check, ...)) end\n"
         "assert(message(1):find('must be a tensor, got 1', 1, true), message(1))\n"
         "assert(message():find('must be a tensor, got nothing', 1, true), message())\n"
         "assert(message(gone):find('is a released tensor', 1, true), message(gone))");
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(peri_lua_context(other), PERI_FLOAT32, 1, (int64_t[]){3}, &x) == PERI_OK,
             "a tensor of the other");
  lua_pushcfunction(L, push_foreign);
  lua_pushlightuserdata(L, x);
  PERI_CHECK(lua_pcall(L, 1, 1, 0) != LUA_OK && strstr(lua_tostring(L, -1), "another context") != NULL, "%s",
             luaL_tolstring(L, -1, NULL));
  peri_tensor_release(&x);
  close_state(other);
  close_state(L);
}

/* A tensor may be pushed before the module was opened. */
static void push_first(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(peri_lua_context(L), PERI_FLOAT32, 1, (int64_t[]){3}, &x) == PERI_OK, "a tensor");
  peri_lua_push_tensor(L, x);
  peri_tensor_release(&x);
  PERI_CHECK(lua_gettop(L) == 1, "one value, not %d", lua_gettop(L));
  lua_setglobal(L, "x");
  run(L, "assert(#x == 3 and (x + 1):sum():item() == 3)");
  close_state(L);
}

/* What C retains outlives the state. */
static void tensor_outlives_state(void) {
  lua_State *L = open_state(NULL);
  run(L, "local peri = require 'perilune'  w = peri.ones(4, {requires_grad = true})  y = w * 2  y:sum():backward()");
  lua_getglobal(L, "y");
  peri_tensor *y = peri_tensor_retain(peri_lua_check_tensor(L, -1));
  lua_getglobal(L, "w");
  peri_tensor *w = peri_tensor_retain(peri_lua_check_tensor(L, -1));
  lua_close(L);
  PERI_CHECK(((float *)peri_tensor_data(y))[3] == 2 && ((float *)peri_tensor_data(w))[0] == 1, "the values are there");
  peri_tensor_release(&w);
  peri_tensor_release(&y); /* and with the last of them the context; the leak checker watches */
}

/* A graph with functions written in Lua, whose state is closed: there is nothing to call, and all is freed. */
static void graph_outlives_state(void) {
  lua_State *L = open_state(NULL);
  run(L, "peri = require 'perilune'");
  run(L, lives[9]);
  lua_getglobal(L, "s");
  peri_tensor *sum = peri_tensor_retain(peri_lua_check_tensor(L, -1));
  peri_context *context = peri_lua_context(L);
  PERI_CHECK(peri_backward_run(sum, NULL, false) == PERI_ERR_STATE &&
                 strstr(peri_message(context), "written in Lua") != NULL,
             "%s", peri_message(context));
  peri_context_retain(context);
  lua_close(L);
  PERI_CHECK(peri_backward_run(sum, NULL, false) == PERI_ERR_STATE, "a hook was called");
  peri_tensor_release(&sum);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes are left", peri_memory_in_use(context));
  peri_context_drop(context);
}

/* One handle while one is alive, a new one afterwards; equal for C and Lua. */
static void one_handle(void) {
  lua_State *L = open_state(NULL);
  run(L, "local peri = require 'perilune'  w = peri.ones(2, {requires_grad = true})  w:sum():backward()\n"
         "assert(rawequal(w.grad, w.grad))  keyed = {[w] = 1, [w.grad] = 2}  assert(keyed[w.grad] == 2)");
  lua_getglobal(L, "w");
  peri_lua_push_tensor(L, peri_lua_check_tensor(L, -1));
  PERI_CHECK(lua_rawequal(L, -1, -2), "C pushes the handle that Lua has");
  peri_tensor *w = peri_tensor_retain(peri_lua_check_tensor(L, -1));
  lua_settop(L, 0);
  run(L, "w, keyed = nil, nil  collectgarbage()");
  peri_lua_push_tensor(L, w);
  lua_setglobal(L, "v");
  run(L, "assert(v.requires_grad and v.grad:sum():item() == 2 and v.grad == v.grad)");
  peri_tensor_release(&w);
  close_state(L);
}

/* ---- memory ---- */

static void budget(void) {
  peri_options options = {.size = sizeof options, .memory_limit = 64 << 20, .threads = 1};
  lua_State *L = open_state(&options);
  /* Garbage is found without being asked for, and peak says how much there was. */
  run(L, "peri = require 'perilune'  for i = 1, 500 do local x = peri.zeros(250000) end\n"
         "assert(peri.memory().peak < 16e6, peri.memory().peak)");
  /* What is asked for, in use, and allowed; then everything works again. */
  run(L, "local kept, ok, message = {}\n"
         "repeat ok, message = pcall(function() kept[#kept + 1] = peri.zeros(250000) end) until not ok\n"
         "local asked, used, limit = message:match(\n"
         "  '^%[string [^\\n]*%]:%d+: zeros: out of memory: asked (%d+) bytes, in use (%d+), limit (%d+)$')\n"
         "assert(asked, message)\n"
         "assert(tonumber(asked) >= 1000000 and tonumber(asked) < 1001000 and tonumber(limit) == 64 * 2^20)\n"
         "assert(tonumber(used) == peri.memory().in_use and tonumber(used) + tonumber(asked) > tonumber(limit))\n"
         "assert(#kept >= 66 and #kept <= 67, #kept)\n"
         "local x = kept[1]  x[1] = 5\n"
         "ok, message = pcall(x.matmul, x:view(-1, 1), x:view(1, -1))  assert(not ok and message:find 'matmul: out of "
         "memory')\n"
         "ok, message = pcall(peri.cat, kept)  assert(not ok and message:find 'cat: out of memory')\n"
         "ok, message = pcall(tostring, x)\n"
         "x:add_(1)  assert(x[1] == 6 and x[2] == 1)\n"
         "kept = nil  local again = peri.zeros(2500000)  assert(#again == 2500000)");
  close_state(L);
}

/* A script that stopped the collector is obeyed while the budget lasts, and helped when it does not. */
static void stopped_collector(void) {
  peri_options options = {.size = sizeof options, .memory_limit = 64 << 20, .threads = 1};
  lua_State *L = open_state(&options);
  run(L, "peri = require 'perilune'  collectgarbage()  collectgarbage 'stop'\n"
         "for i = 1, 50 do local x = peri.zeros(250000) end\n"
         "assert(peri.memory().in_use >= 50e6, peri.memory().in_use)\n"
         "for i = 1, 500 do local x = peri.zeros(250000) end\n"
         "assert(peri.memory().peak <= 64 * 2^20 and not collectgarbage 'isrunning')");
  run(L, "collectgarbage 'restart'  collectgarbage 'generational'\n"
         "for i = 1, 500 do local x = peri.zeros(250000) end\n"
         "collectgarbage 'incremental'\n"
         "for i = 1, 500 do local x = peri.zeros(250000) end");
  close_state(L);
}

/* ---- interruption ---- */

static void *raise_flag(void *context) {
  peri_cancel(context);
  return NULL;
}

static void interruption(void) {
  lua_State *L = open_state(NULL);
  peri_context *context = peri_lua_context(L);
  run(L, "peri = require 'perilune'  a = peri.randn(400, 400)  b = a:clone()");
  peri_cancel(context);
  run(L,
      "local ok, message = pcall(function() return a:matmul(a) end)  assert(not ok and message:find 'interrupted$', message)\n"
      "ok, message = pcall(function() a:add_(1) end)  assert(not ok and message:find 'interrupted$', message)\n"
      "for _, row in ipairs {'exp', 't', 'sum', 'clone'} do\n" /* small operations and views too */
      "  ok, message = pcall(function() return a[row](a) end)  assert(not ok and message:find 'interrupted$', row)\n"
      "end");
  peri_clear_cancel(context);
  run(L, "assert(a:equal(b) and a:matmul(a).shape[1] == 400)");
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, raise_flag, context);
    int status = luaL_dostring(L, "while true do local c = a:matmul(a) end");
    PERI_CHECK(status != LUA_OK && strstr(lua_tostring(L, -1), "interrupted") != NULL, "%s", lua_tostring(L, -1));
    pthread_join(thread, NULL);
    peri_clear_cancel(context);
    lua_settop(L, 0);
  }
  run(L, "assert(a:equal(b))");
  close_state(L);
}

/* ---- threads and fork ---- */

static const char *const training = "local peri = require 'perilune'\n"
                                    "peri.manual_seed(3)\n"
                                    "local x, w = peri.randn(500, 60), peri.randn(60, 40, {requires_grad = true})\n"
                                    "local y = peri.randn(500, 40)\n"
                                    "for i = 1, 30 do\n"
                                    "  local loss = ((x:matmul(w) - y) ^ 2):mean()\n"
                                    "  loss:backward()\n"
                                    "  peri.no_grad(function() w:sub_(w.grad * 0.5)  w.grad:zero_() end)\n"
                                    "end\n"
                                    "return w:bytes()";

static void *train(void *unused) {
  (void)unused;
  lua_State *L = open_state(NULL);
  char *result = NULL;
  run(L, training);
  if (lua_isstring(L, -1)) {
    result = malloc(lua_rawlen(L, -1));
    memcpy(result, lua_tostring(L, -1), lua_rawlen(L, -1));
  }
  close_state(L);
  return result;
}

static void states_in_threads(void) {
  void *expected = train(NULL), *results[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, train, NULL);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], &results[i]);
  for (int i = 0; i < 2; i++) {
    PERI_CHECK(expected != NULL && results[i] != NULL && memcmp(expected, results[i], 60 * 40 * 4) == 0, "thread %d",
               i);
    free(results[i]);
  }
  free(expected);
}

static int threads_of_process(void) {
  char line[256];
  int threads = 1;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Threads: %d", &threads) == 1) break;
  }
  if (file != NULL) fclose(file);
  return threads;
}

/* The team is the process's: states that have multiplied have no threads of their own. */
static void one_team(void) {
  enum { STATES = 200 };
  static lua_State *states[STATES];
  int first = 0;
  for (int i = 0; i < STATES; i++) {
    states[i] = open_state(&(peri_options){.size = sizeof(peri_options), .threads = 3});
    run(states[i], "peri = require 'perilune'  x = peri.randn(200, 200)  y = x:matmul(x)");
    if (i == 0) first = threads_of_process();
  }
  PERI_CHECK(first >= 3 && threads_of_process() == first, "%d threads after one product, %d after %d states", first,
             threads_of_process(), STATES);
  for (int i = 0; i < STATES; i++) close_state(states[i]);
}

/* ---- the floating-point mode ---- */

static const char *const tiny =
    "local peri = require 'perilune'\n"
    "peri.manual_seed(3)\n"
    "local x = peri.randn(400, 400) * 1e-36\n"
    "local d = x:to 'float64' * 1e-271\n"
    "local parts = {x * 0.01, x:sum(1), (x * 0.01):sum(1), d * 0.01, (d * 0.01):sum(2),\n"
    "  x:matmul(peri.randn(400, 300)), (x * 0.01):cumsum(1), (peri.randn(400, 400) * 90):softmax(2)}\n"
    "for i, part in ipairs(parts) do parts[i] = part:bytes() end\n"
    "return table.concat(parts)";

/* Pushes what the script gives with so many threads. */
static void compute_tiny(lua_State *L, int threads) {
  lua_pushfstring(L, "require 'perilune'.set_num_threads(%d)", threads);
  run(L, lua_tostring(L, -1));
  lua_pop(L, 1);
  run(L, tiny);
}

static void set_denormals_are_zero(bool on) {
#if defined(__SSE__)
  const unsigned mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(on ? mode | 0x8040 : mode & ~0x8040u);
#else
  (void)on;
#endif
}

/* What a host turns on after the team was made holds in its workers, too: the same bits for one thread and several. */
static void modes_of_workers(void) {
  lua_State *L = open_state(&(peri_options){.size = sizeof(peri_options), .threads = 3});
  compute_tiny(L, 3); /* the team is there */
  for (int mode = 0; mode < 2; mode++) {
    lua_settop(L, 1);
    if (mode == 0) set_denormals_are_zero(true);
    if (mode == 1) fesetround(FE_UPWARD);
    for (int i = 0; i < 6; i++) compute_tiny(L, 1 + 2 * (i % 2));
    set_denormals_are_zero(false);
    fesetround(FE_TONEAREST);
    int same = 0;
    for (int i = 0; i < 6; i++) same += lua_rawequal(L, -1, -1 - i);
    PERI_CHECK(same == 6, "mode %d: %d of 6 results have other bits", mode, 6 - same);
#if defined(__SSE__)
    PERI_CHECK(!lua_rawequal(L, 1, -1), "mode %d changes nothing", mode);
#endif
  }
  close_state(L);
}

/* A child of a process whose team has worked: it trains in the inherited state and in one of its own. */
static void train_in_child(void) {
  peri_options options = {.size = sizeof options, .threads = 2};
  lua_State *L = open_state(&options);
  char *expected = train(NULL);
  run(L, "peri = require 'perilune'  x = peri.randn(600, 600)  y = x:matmul(x)");
  fflush(stdout);
  int failures = peri_test_failures;
  pid_t child = fork();
  if (child == 0) {
    run(L, training);
    bool same = lua_isstring(L, -1) && memcmp(expected, lua_tostring(L, -1), 60 * 40 * 4) == 0;
    run(L, "assert(y:equal(x:matmul(x)))");
    char *alone = train(NULL);
    same &= memcmp(expected, alone, 60 * 40 * 4) == 0;
    PERI_CHECK(threads_of_process() == 1, "%d threads in the child", threads_of_process());
    free(alone);
    free(expected);
    close_state(L);
    exit(same && peri_test_failures == failures ? 0 : 1);
  }
  int status;
  PERI_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
  run(L, "assert(y:equal(x:matmul(x)))");
  free(expected);
  close_state(L);
}

PERI_TEST_MAIN(PERI_TEST(thousand_states), PERI_TEST(trained_states), PERI_TEST(one_team), PERI_TEST(modes_of_workers),
               PERI_TEST(states_side_by_side), PERI_TEST(lua_out_of_memory), PERI_TEST(lua_out_of_memory_in_restore),
               PERI_TEST(open_module), PERI_TEST(push_and_check), PERI_TEST(check_errors), PERI_TEST(push_first),
               PERI_TEST(tensor_outlives_state), PERI_TEST(one_handle), PERI_TEST(lua_out_of_memory_in_a_walk),
               PERI_TEST(graph_outlives_state), PERI_TEST(budget), PERI_TEST(stopped_collector),
               PERI_TEST(interruption), PERI_TEST(states_in_threads), PERI_TEST(train_in_child))
