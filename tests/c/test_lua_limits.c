/* States of peri_lua_new: scripts that mean harm (hostile.txt) and statuses of what stops them, options that would be
 * void, the matcher of patterns beside Lua's own. */
#include "base/memory.h"
#include "bindings/core/bind.h"
#include "test.h"

#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- hostile scripts ---- */

static const struct {
  char letter;
  peri_status status;
} endings[] = {{'O', PERI_OK},           {'I', PERI_ERR_INSTRUCTIONS}, {'M', PERI_ERR_MEMORY}, {'S', PERI_ERR_SCRIPT},
               {'A', PERI_ERR_ARGUMENT}, {'F', PERI_ERR_IO},           {'T', PERI_ERR_STATE}};

static char *read_text(const char *name) {
  const char *source = getenv("PERILUNE_SOURCE_DIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/c/%s", source != NULL ? source : ".", name);
  FILE *file = fopen(path, "rb");
  char *text = calloc(1, 1 << 20);
  if (file == NULL || text == NULL || fread(text, 1, (1 << 20) - 1, file) == 0) {
    printf("%s cannot be read\n", path);
    exit(2);
  }
  fclose(file);
  return text;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  fwrite(bytes, 1, size, file);
  fclose(file);
}

/* A folder with what leads out of it, and with files that lie. */
static void make_root(char *root) {
  char path[4096];
  if (mkdtemp(root) == NULL) exit(2);
  snprintf(path, sizeof path, "%s/inner", root);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/link", root);
  if (symlink("/etc/passwd", path) != 0) exit(2);
  snprintf(path, sizeof path, "%s/out", root);
  if (symlink("/etc", path) != 0) exit(2);
  snprintf(path, sizeof path, "%s/fifo", root);
  mkfifo(path, 0600);
  static const char npy[] =
      "\x93NUMPY\x01\0\x46\0{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': ()}\n";
  write_file(root, "bad.npy", npy, sizeof npy - 1);
  static const unsigned char huge[16] = {0, 0, 0, 0, 0, 0, 0, 0x80, '{'};
  write_file(root, "huge.st", huge, sizeof huge);
  write_file(root, "far.svm", "1 2147483647:1\n", 15);
}

static lua_State *open_limited(const char *root, int64_t instructions) {
  peri_lua_options options = {.size = sizeof options,
                              .context = {.size = sizeof(peri_options), .memory_limit = 24 << 20, .threads = 2},
                              .deadline = 60, /* none needs it */
                              .instructions = instructions,
                              .sandbox = 1,
                              .root = root};
  return peri_lua_new(&options);
}

static peri_status run(lua_State *L, const char *name, const char *text, size_t size) {
  peri_status status = peri_lua_load(L, name, text, size);
  return status == PERI_OK ? peri_lua_call(L, 0, 0) : status;
}

static bool may_end(const char *letters, size_t n, peri_status status) {
  for (size_t i = 0; i < n; i++) {
    for (size_t e = 0; e < PERI_COUNT(endings); e++)
      if (endings[e].letter == letters[i] && endings[e].status == status) return true;
  }
  return false;
}

static const char after[] = "local peri = require 'perilune' peri.set_num_threads(2) local x = peri.ones(100, 100)\n"
                            "assert(x:matmul(x):sum():item() == 1e6 and ('abc'):upper() == 'ABC')";

/* One script in a state of its own: it ends as it may, and leaves a state that works and gives everything back. */
static void try_script(const char *root, const char *header, size_t header_size, const char *text, size_t size) {
  size_t kind = strcspn(header, " ");
  lua_State *L = open_limited(root, 300000);
  PERI_CHECK(L != NULL, "no state");
  if (L == NULL) return;
  peri_context *context = peri_lua_context(L);
  peri_status status = run(L, "script", text, size);
  bool told = status == PERI_OK ? lua_gettop(L) == 0 : lua_gettop(L) == 1 && lua_type(L, 1) == LUA_TSTRING;
  bool known = status == PERI_OK || (told && peri_lua_status(L, 1) == status) || status == PERI_ERR_MEMORY;
  PERI_CHECK(may_end(header + kind + 1, header_size - kind - 1, status) && told && known,
             "%.*s ended with %d, %d results: %s\n%.*s", (int)header_size, header, status, lua_gettop(L),
             told && status != PERI_OK ? lua_tostring(L, 1) : "", (int)size, text);
  if (told && status != PERI_OK)
    PERI_CHECK(strstr(lua_tostring(L, 1), "0x55") == NULL && strstr(lua_tostring(L, 1), "0x7f") == NULL, "%s",
               lua_tostring(L, 1));
  lua_settop(L, 0);
  PERI_CHECK(peri_memory_peak(context) <= (24u << 20), "%zu bytes", peri_memory_peak(context));
  status = run(L, "after", after, sizeof after - 1);
  PERI_CHECK(status == PERI_OK, "afterwards: %d %s\n%.*s", status, lua_tostring(L, 1), (int)size, text);
  peri_context_retain(context);
  lua_close(L);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes are left of\n%.*s", peri_memory_in_use(context), (int)size,
             text);
  peri_context_drop(context);
}

static void hostile_scripts(void) {
  char *text = read_text("hostile.txt"), root[] = "/tmp/perilune-hostile-XXXXXX", command[200];
  int count = 0;
  make_root(root);
  setvbuf(stdout, NULL, _IONBF, 0);
  for (char *at = strstr(text, "\n@ "); at != NULL;) {
    char *header = at + 3, *script = strchr(header, '\n') + 1, *next = strstr(script - 1, "\n@ ");
    size_t size = next != NULL ? (size_t)(next + 1 - script) : strlen(script);
    try_script(root, header, (size_t)(script - 1 - header), script, size);
    count++;
    at = next;
  }
  PERI_CHECK(count >= 180, "%d scripts", count);
  snprintf(command, sizeof command, "rm -r '%s'", root);
  PERI_CHECK(system(command) == 0, "%s", command);
  free(text);
}

/* ---- statuses ---- */

static void deadline(void) {
  peri_lua_options options = {.size = sizeof options, .deadline = 0.02};
  lua_State *L = peri_lua_new(&options);
  static const char loop[] = "while true do pcall(function() while true do end end) end";
  static const char products[] = "local x = peri.ones(500, 500) while true do pcall(x.matmul, x, x) end";
  static const char pattern[] = "return ('a'):rep(40):find(('a-'):rep(40) .. 'b')";
  for (int i = 0; i < 2; i++) {
    PERI_CHECK(run(L, "loop", loop, sizeof loop - 1) == PERI_ERR_DEADLINE, "%s", lua_tostring(L, -1));
    PERI_CHECK(peri_lua_status(L, -1) == PERI_ERR_DEADLINE, "not told");
    PERI_CHECK(run(L, "products", products, sizeof products - 1) == PERI_ERR_DEADLINE, "%s", lua_tostring(L, -1));
    PERI_CHECK(run(L, "pattern", pattern, sizeof pattern - 1) == PERI_ERR_DEADLINE, "%s", lua_tostring(L, -1));
  }
  peri_status status = PERI_ERR_DEADLINE; /* a busy machine may take that long for anything, but not each time */
  for (int i = 0; i < 1000 && status == PERI_ERR_DEADLINE; i++) {
    lua_settop(L, 0);
    status = run(L, "fine", "return 1", 8);
  }
  PERI_CHECK(status == PERI_OK, "%s", lua_tostring(L, -1));
  lua_close(L);
}

static void *raise_later(void *interrupt) {
  struct timespec soon = {.tv_nsec = 20000000};
  nanosleep(&soon, NULL);
  peri_interrupt_raise(interrupt);
  return NULL;
}

/* Raised by another thread; it stays until the host takes it back, and may be raised when all is gone. */
static void interrupt(void) {
  peri_lua_options options = {.size = sizeof options};
  lua_State *L = peri_lua_new(&options);
  peri_context *context = peri_lua_context(L);
  peri_interrupt *watchdog;
  pthread_t thread;
  static const char loop[] = "while true do pcall(function() while true do end end) end";
  PERI_CHECK(peri_interrupt_new(context, &watchdog) == PERI_OK, "no interrupt");
  pthread_create(&thread, NULL, raise_later, watchdog);
  PERI_CHECK(run(L, "loop", loop, sizeof loop - 1) == PERI_ERR_CANCELLED, "%s", lua_tostring(L, -1));
  pthread_join(thread, NULL);
  PERI_CHECK(run(L, "again", "peri.ones(2)", 12) == PERI_ERR_CANCELLED, "%s", lua_tostring(L, -1));
  PERI_CHECK(run(L, "again", "return 1", 8) == PERI_ERR_CANCELLED, "nothing that is run succeeds");
  peri_clear_cancel(context);
  PERI_CHECK(run(L, "again", "peri.ones(2)", 12) == PERI_OK, "%s", lua_tostring(L, -1));
  lua_close(L);
  peri_interrupt_raise(watchdog);
  peri_interrupt_release(&watchdog);
  PERI_CHECK(watchdog == NULL, "not cleared");
}

static int call_inner(lua_State *L) {
  static const char loop[] = "while true do end";
  peri_status status = run(L, "inner", loop, sizeof loop - 1);
  lua_pushinteger(L, status);
  return 1;
}

/* A call within a call has what is left of the outer one's instructions. */
static void nested(void) {
  peri_lua_options options = {.size = sizeof options, .instructions = 100000};
  lua_State *L = peri_lua_new(&options);
  lua_register(L, "inner", call_inner);
  static const char outer[] = "code = inner() code = inner() return code";
  PERI_CHECK(run(L, "outer", outer, sizeof outer - 1) == PERI_ERR_INSTRUCTIONS, "%s", lua_tostring(L, -1));
  PERI_CHECK(run(L, "fine", "return 1", 8) == PERI_OK, "%s", lua_tostring(L, -1));
  lua_close(L);
}

static void statuses(void) {
  peri_lua_options options = {.size = sizeof options,
                              .context = {.size = sizeof(peri_options), .memory_limit = 8 << 20}};
  static const struct {
    const char *script;
    peri_status status;
  } cases[] = {{"error 'x'", PERI_ERR_SCRIPT},
               {"error()", PERI_ERR_SCRIPT},
               {"peri.ones(-1)", PERI_ERR_ARGUMENT},
               {"local ok, m = pcall(peri.ones, -1) error(m, 0)", PERI_ERR_ARGUMENT},
               {"pcall(peri.ones, -1) error 'x'", PERI_ERR_SCRIPT},
               {"pcall(peri.zeros, 1e9) error 'x'", PERI_ERR_SCRIPT},
               {"peri.zeros(1e9)", PERI_ERR_MEMORY},
               {"return ('x'):rep(1e9)", PERI_ERR_MEMORY},
               {"peri.load '/nowhere/x'", PERI_ERR_IO},
               {"local x = peri.ones(2, {requires_grad = true}):sum() x:backward() x:backward()", PERI_ERR_STATE},
               {"peri.linalg.cholesky(peri.ones(2, 2) * -1)", PERI_ERR_NUMERIC},
               {"x = = 1", PERI_ERR_SCRIPT},
               {"pcall(peri.ones, -1)", PERI_OK}};
  lua_State *L = peri_lua_new(&options);
  for (size_t i = 0; i < PERI_COUNT(cases); i++) {
    peri_status status = run(L, "case", cases[i].script, strlen(cases[i].script));
    PERI_CHECK(status == cases[i].status, "%s: %d %s", cases[i].script, status, lua_tostring(L, -1));
    lua_settop(L, 0);
  }
  lua_close(L);
}

/* ---- options ---- */

static int open_with(lua_State *L) {
  peri_lua_open(L, lua_touserdata(L, 1));
  return 0;
}

static bool opens(lua_State *L, const peri_options *options) {
  lua_pushcfunction(L, open_with);
  lua_pushlightuserdata(L, (void *)(uintptr_t)options);
  bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
  lua_settop(L, 0);
  return done;
}

static void options_count(void) {
  struct {
    peri_options known;
    long further;
  } longer = {.known = {.size = sizeof longer, .memory_limit = 1 << 20}};
  peri_context *context;
  PERI_CHECK(peri_context_new(&(peri_options){.memory_limit = 1 << 20}, &context) == PERI_ERR_ARGUMENT, "no size");
  PERI_CHECK(peri_context_new(&longer.known, &context) == PERI_OK, "what is 0 behind is nothing");
  peri_context_release(&context);
  longer.further = 1;
  PERI_CHECK(peri_context_new(&longer.known, &context) == PERI_ERR_ARGUMENT && context == NULL, "a field from later");
  PERI_CHECK(peri_lua_new(&(peri_lua_options){.deadline = 1}) == NULL, "no size");
  peri_lua_options options = {.size = sizeof options, .context = {.memory_limit = 1 << 20}};
  PERI_CHECK(peri_lua_new(&options) == NULL, "no size within");
  options = (peri_lua_options){.size = sizeof options, .sandbox = 1, .root = "/nowhere/at/all"};
  PERI_CHECK(peri_lua_new(&options) == NULL, "no such root");
  options = (peri_lua_options){.size = sizeof options, .context = {.size = sizeof(peri_options), .memory_limit = 1000}};
  PERI_CHECK(peri_lua_new(&options) == NULL, "Lua itself needs more");

  /* a context that is there before the module is opened */
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  context = peri_lua_context(L);
  PERI_CHECK(!opens(L, &(peri_options){.memory_limit = 1 << 20}), "no size");
  PERI_CHECK(opens(L, &(peri_options){.size = sizeof(peri_options), .memory_limit = 1 << 20, .threads = 3}), "refused");
  PERI_CHECK(context->limit == 1 << 20 && peri_threads(context) == 3, "void options");
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT64, 1, (int64_t[]){1000}, &x) == PERI_OK, "no tensor");
  PERI_CHECK(!opens(L, &(peri_options){.size = sizeof(peri_options), .memory_limit = 10}), "less than is in use");
  PERI_CHECK(peri_set_memory_limit(context, 10) == PERI_ERR_STATE, "less than is in use");
  peri_tensor_release(&x);
  lua_close(L);
  PERI_CHECK(peri_version_number() == PERI_VERSION_NUMBER, "%d", peri_version_number());
}

/* ---- patterns ---- */

/* Random patterns on random texts, all results as one text; the same numbers in every state. */
static const char patterns[] =
    "local seed = 1\n"
    "local function draw(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n + 1 end\n"
    "local PIECES = {'a', 'b', '.', '%a', '%d', '[ab]', '[^a]', '(', ')', '()', '*', '+', '-', '?', '$', '^', '%1',\n"
    "  '%bab', '%f[b]', '%', '[', ']', '[]a]', '[%d-]', '%S', '[a-c%s]', '1', ' ', '%-', '[^%w]', '%b', '%f', '\\0', '[+-]'}\n"
    "local CHARACTERS = {'a', 'b', 'a', 'b', 'c', '1', ' ', '-', '\\0', ']'}\n"
    "local function text(from, most) local t = {} for i = 1, draw(most) - 1 do t[i] = from[draw(#from)] end return table.concat(t) end\n"
    "local function all(f, ...)\n"
    "  local t = table.pack(pcall(f, ...))\n"
    "  if not t[1] then return 'error' end\n"
    "  for i = 1, t.n do t[i] = tostring(t[i]) end\n"
    "  return table.concat(t, '|')\n"
    "end\n"
    "local function matches(s, p) local t = {} for a, b in s:gmatch(p) do t[#t + 1] = tostring(a) .. ',' .. tostring(b) end return table.concat(t, ';') end\n"
    "local out = {}\n"
    "for i = 1, 20000 do\n"
    "  local s, p = text(CHARACTERS, 12), text(PIECES, 7)\n"
    "  local r = text({'x', '%0', '%1', '%%', '%2'}, 3)\n"
    "  out[#out + 1] = ('%q %q %s %s %s %s %s %s'):format(s, p, all(string.find, s, p, draw(5) - 3), all(string.match, s, p),\n"
    "    all(matches, s, p), all(string.gsub, s, p, r), all(string.gsub, s, p, {a = 'y', ab = false}, draw(3)),\n"
    "    all(string.gsub, s, p, function(a, b) return b end))\n"
    "end\n"
    "return table.concat(out, '\\n')";

static void patterns_as_luas(void) {
  lua_State *own = peri_lua_new(NULL), *stock = luaL_newstate();
  luaL_openlibs(stock);
  peri_status status = peri_lua_load(own, "patterns", patterns, sizeof patterns - 1);
  if (status == PERI_OK) status = peri_lua_call(own, 0, 1);
  PERI_CHECK(status == PERI_OK, "%s", lua_tostring(own, -1));
  int failed = luaL_dostring(stock, patterns);
  PERI_CHECK(!failed, "%s", lua_tostring(stock, -1));
  const char *a = lua_tostring(own, -1), *b = lua_tostring(stock, -1);
  size_t i = 0, line = 0;
  for (; a[i] != '\0' && a[i] == b[i]; i++) line = a[i] == '\n' ? i + 1 : line;
  PERI_CHECK(a[i] == b[i], "%.*s\nbut Lua\n%.*s", (int)strcspn(a + line, "\n"), a + line, (int)strcspn(b + line, "\n"),
             b + line);
  lua_close(own);
  lua_close(stock);
}

/* ---- many states ---- */

static void many_states(void) {
  static const char train[] = "local w = peri.ones(20, {requires_grad = true})\n"
                              "for i = 1, 5 do (w * w):sum():backward() end";
  for (int i = 0; i < 300; i++) {
    lua_State *L = open_limited(NULL, 0);
    PERI_CHECK(run(L, "train", train, sizeof train - 1) == PERI_OK, "%s", lua_tostring(L, -1));
    lua_close(L);
  }
}

PERI_TEST_MAIN(PERI_TEST(hostile_scripts), PERI_TEST(deadline), PERI_TEST(interrupt), PERI_TEST(nested),
               PERI_TEST(statuses), PERI_TEST(options_count), PERI_TEST(patterns_as_luas), PERI_TEST(many_states))
