/* Arbitrary bytes as the file of a fitted estimator, through svm.load as scripts call it; and the same bytes as a list
 * of changes to the numbers, shapes and words of a sound one, which gets further. Either is refused with an error that
 * is a string, or predicts a row of zeros; and no tensor is left. */
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>
#include <perilune/lua.h>
#include <stdio.h>
#include <unistd.h>

#define EDITS 100 /* bytes up to which an input is a list of changes: no file is as short */

/* Gives the two functions. A change is four bytes: which array, which element, what to do, with which value. */
static const char script[] =
    "local peri, path = ...\n"
    "local svm = peri.svm\n"
    "local values = {0, 1, 2, 3, 7, 8, 9, -1, 0.5, 100, 2 ^ 31, 2 ^ 53, 1e15, 1e300, 0 / 0, math.huge}\n"
    "peri.manual_seed(1)\n"
    "local X, t = peri.randn(40, 3), peri.randn(40)\n"
    "local two, three = peri.arange(1, 40) % 2 + 1, peri.arange(1, 40) % 3 + 1\n"
    "local machines = {svm.SVC{}:fit(X, three), svm.SVC{kernel = 'linear', probability = true}:fit(X, two),\n"
    "  svm.SVC{kernel = 'precomputed'}:fit(X:matmul(X:t()), three), svm.NuSVC{nu = 0.3}:fit(X, two),\n"
    "  svm.SVR{kernel = 'poly', degree = 2}:fit(X, t), svm.OneClassSVM{}:fit(X), svm.LinearSVC{}:fit(X, three),\n"
    "  svm.LinearSVR{}:fit(X, t), svm.LogisticRegression{class_weight = {2, 1}}:fit(X, two)}\n"
    "local files = {}\n"
    "for i, m in ipairs(machines) do\n"
    "  m:save(path)\n"
    "  local file <close> = io.open(path, 'rb')\n"
    "  files[i] = file:read 'a'\n"
    "end\n"
    "os.remove(path)\n"
    "local function put(name, text)\n"
    "  local file <close> = assert(io.open(name, 'wb'))\n"
    "  file:write(text)\n"
    "end\n"
    "local function sorted(map)\n"
    "  local names = {}\n"
    "  for name in pairs(map) do names[#names + 1] = name end\n"
    "  table.sort(names)\n"
    "  return names\n"
    "end\n"
    "local function use(name)\n"
    "  local m = svm.load(name)\n"
    "  local d = m.shape_fit[2]\n"
    "  if d <= 1000 then m:predict(peri.zeros(1, d)) end\n"
    "end\n"
    "local function change(tensors, metadata, which, where, what, value)\n"
    "  if what % 8 == 7 then\n"
    "    local words = sorted(metadata)\n"
    "    local word = words[which % #words + 1]\n"
    "    metadata[word] = what < 128 and metadata[words[where % #words + 1]] or nil\n"
    "    return\n"
    "  end\n"
    "  local names = sorted(tensors)\n"
    "  local name = names[which % #names + 1]\n"
    "  local x = tensors[name]\n"
    "  local flat = x:reshape(-1)\n"
    "  if what % 8 == 6 then\n"
    "    tensors[name] = ({nil, x:dim() > 0 and x[1] or flat, flat, peri.cat{flat, flat}})[where % 4 + 1]\n"
    "    if type(tensors[name]) == 'number' then tensors[name] = flat[{{1, 1}}] end\n"
    "  elseif #flat > 0 then\n"
    "    pcall(function() flat[where % #flat + 1] = values[value % #values + 1] end)\n"
    "    tensors[name] = flat:reshape(x:size())\n"
    "  end\n"
    "end\n"
    "local function edit(name, changes)\n"
    "  put(name, files[(changes:byte(1) or 0) % #files + 1])\n"
    "  local tensors, metadata = peri.load(name)\n"
    "  for i = 2, math.min(#changes - 3, 40), 4 do\n"
    "    if next(tensors) == nil or next(metadata) == nil then break end\n"
    "    change(tensors, metadata, changes:byte(i, i + 3))\n"
    "  end\n"
    "  peri.save(name, tensors, metadata)\n"
    "  use(name)\n"
    "end\n"
    "return function(name, text) put(name, text) use(name) end, edit\n";

/* Calls the function at a stack index. */
static void call(lua_State *L, int function, const char *path, const uint8_t *bytes, size_t size) {
  lua_pushvalue(L, function);
  lua_pushstring(L, path);
  lua_pushlstring(L, (const char *)bytes, size);
  fuzz_check(lua_pcall(L, 2, 0, 0) == LUA_OK || lua_type(L, -1) == LUA_TSTRING);
  lua_settop(L, 2);
  lua_gc(L, LUA_GCCOLLECT);
  fuzz_check(peri_memory_in_use(peri_lua_context(L)) == 0);
}

static lua_State *open_state(const char *path) {
  peri_options options = {.size = sizeof options, .memory_limit = (size_t)64 << 20, .threads = 1};
  lua_State *L = luaL_newstate();
  fuzz_check(L != NULL);
  luaL_openlibs(L);
  fuzz_check(luaL_loadstring(L, script) == LUA_OK);
  peri_lua_open(L, &options);
  lua_pushstring(L, path);
  lua_call(L, 2, 2);
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static lua_State *L; /* one for all inputs: opening one costs more than an input */
  static char path[64];
  if (L == NULL) {
    snprintf(path, sizeof path, "/dev/shm/perilune-fuzz-%ld", (long)getpid());
    L = open_state(path);
  }
  call(L, size > EDITS ? 1 : 2, path, bytes, size);
  remove(path);
  return 0;
}
