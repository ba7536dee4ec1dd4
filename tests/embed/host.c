/* A host that lives with Lua: it lends its samples to a script, runs it, and reads a tensor back.
 *   host script.lua
 * The script is called with the samples (4 x 2) and returns the slope and the offset of a line. */
#include <lauxlib.h>
#include <lualib.h>
#include <perilune/lua.h>
#include <stdio.h>

typedef struct job {
  const char *path;
  peri_tensor *lent; /* main releases it, after an error as well */
} job;

/* Everything that may raise runs in here, called by lua_pcall. */
static int run_script(lua_State *L) {
  static double samples[4][2] = {{1, 1}, {2, 3}, {3, 5}, {4, 7}};
  job *j = lua_touserdata(L, 1);
  peri_lua_open(L, &(peri_options){.size = sizeof(peri_options), .memory_limit = 64 << 20});
  peri_context *context = peri_lua_context(L);
  if (peri_tensor_lend(context, PERI_FLOAT64, 2, (int64_t[]){4, 2}, samples, NULL, NULL, &j->lent) != PERI_OK) {
    return luaL_error(L, "%s", peri_message(context));
  }
  if (luaL_loadfile(L, j->path) != LUA_OK) return lua_error(L);
  peri_lua_push_tensor(L, j->lent); /* the handle has a reference of its own */
  lua_call(L, 1, 1);
  peri_tensor *line = peri_lua_check_tensor(L, -1); /* borrowed: it lives while its handle does */
  if (peri_tensor_dtype(line) != PERI_FLOAT64 || !peri_tensor_is_contiguous(line) || peri_tensor_numel(line) != 2) {
    return luaL_error(L, "%s must return a float64 tensor of 2", j->path);
  }
  const double *values = peri_tensor_data(line);
  printf("y = %.4f x + %.4f, sample 1 is now (%g, %g)\n", values[0], values[1], samples[0][0], samples[0][1]);
  return 0;
}

int main(int argc, char **argv) {
  lua_State *L = argc == 2 ? luaL_newstate() : NULL;
  if (L == NULL) {
    fprintf(stderr, "usage: host script.lua\n");
    return 2;
  }
  job j = {.path = argv[1], .lent = NULL};
  luaL_openlibs(L);
  lua_pushcfunction(L, run_script);
  lua_pushlightuserdata(L, &j);
  int failed = lua_pcall(L, 1, 0, 0) != LUA_OK;
  if (failed) fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
  peri_tensor_release(&j.lent); /* NULL is nothing */
  lua_close(L);
  return failed;
}
