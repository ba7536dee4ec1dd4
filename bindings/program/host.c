/* What the program's own Lua files (bindings/lua/program) are given: the table `host`. */
#include "bindings/core/lua_sources.h"
#include "program.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* call(f, handler, ...): like xpcall, and Ctrl-C interrupts it. */
static int call(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_insert(L, 1);
  lua_remove(L, 3);
  int status = peri_program_call(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
  fflush(stdout);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* load(name): runs an embedded file with the host; gives its results. */
static int load_source(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct peri_lua_source *source = peri_lua_sources;
  while (source->name && strcmp(source->name, name) != 0) source++;
  if (!source->name) return luaL_error(L, "no embedded file '%s'", name);
  lua_pushfstring(L, "=[%s]", name);
  if (luaL_loadbufferx(L, source->text, source->size, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L) - 2;
}

/* hint(message): with what the module can say of it. */
static int hint(lua_State *L) {
  lua_settop(L, 1);
  luaL_checkstring(L, 1);
  peri_add_hint(L);
  return 1;
}

/* error_object(value) */
static int error_object(lua_State *L) {
  lua_settop(L, 1);
  peri_push_error_object(L, 1);
  return 1;
}

/* interrupted(): whether Ctrl-C came while nothing was called; it is then forgotten. */
static int interrupted(lua_State *L) {
  lua_pushboolean(L, peri_interrupt_came());
  return 1;
}

/* wait(seconds): false when Ctrl-C came meanwhile. */
static int wait_for(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  struct timespec rest = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  lua_pushboolean(L, nanosleep(&rest, NULL) == 0);
  return 1;
}

/* program(): the path of this program, or nil */
static int program_path(lua_State *L) {
  char path[4096];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0 || n >= (ssize_t)sizeof path) return 0;
  lua_pushlstring(L, path, (size_t)n);
  return 1;
}

/* kernel(): the functions of bindings/kernel; nil and a message where it was not built. */
static int open_kernel(lua_State *L) {
  void *library = dlopen("libperilune_kernel.so", RTLD_NOW | RTLD_LOCAL);
  lua_CFunction open = NULL;
  void *symbol = library ? dlsym(library, "luaopen_perilune_kernel") : NULL;
  memcpy(&open, &symbol, sizeof open); /* POSIX: pointers to functions and to data are alike */
  if (!open) {
    lua_pushnil(L);
    lua_pushfstring(L, "this program was built without the kernel of notebooks (libzmq and nettle): %s", dlerror());
    return 2;
  }
  peri_interrupt_keep();
  lua_pushcfunction(L, open);
  lua_call(L, 0, 1);
  return 1;
}

void peri_push_host(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", call},     {"columns", peri_columns},      {"load", load_source},
                                       {"hint", hint},     {"error_object", error_object}, {"interrupted", interrupted},
                                       {"wait", wait_for}, {"program", program_path},      {"kernel", open_kernel},
                                       {NULL, NULL}};
  lua_newtable(L);
  for (const luaL_Reg *function = functions; function->name; function++) {
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, function->func, 1);
    lua_setfield(L, -2, function->name);
  }
  lua_pushboolean(L, peri_colours());
  lua_setfield(L, -2, "colours");
}
