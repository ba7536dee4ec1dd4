/* The kernel's functions for Lua (bindings/lua/program/kernel.lua); see kernel.h. The library is opened by the program
 * as a module of C is. */
#include "kernel.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST "peri.request"

static kernel *the_kernel;

static int close_request(lua_State *L) {
  kernel_message *message = luaL_checkudata(L, 1, REQUEST);
  kernel_message_free(message);
  return 0;
}

/* open(path): begins to listen, and turns the streams. Raises what is wrong. */
static int open_kernel(lua_State *L) {
  char error[512] = "not enough memory";
  the_kernel = kernel_open(luaL_checkstring(L, 1), error, sizeof error);
  if (the_kernel == NULL) return luaL_error(L, "%s", error);
  if (!kernel_turn_streams(L, the_kernel)) return luaL_error(L, "the streams cannot be turned: not enough memory");
  return 0;
}

/* next(wait): a request, its type and its content; nothing when there is none, or when a signal came. */
static int next_request(lua_State *L) {
  bool wait = lua_toboolean(L, 1);
  kernel_message *message = lua_newuserdatauv(L, sizeof *message, 0);
  *message = (kernel_message){0};
  luaL_setmetatable(L, REQUEST);
  if (kernel_next(the_kernel, wait, message) != KERNEL_RECEIVED) return 0;
  lua_pushstring(L, message->type);
  kernel_push(L, message->content);
  return 3;
}

/* current(request or nil, allow_stdin): which one is worked on; it must not be collected meanwhile. */
static int set_current(lua_State *L) {
  kernel_flush_streams(the_kernel);
  kernel_set_current(the_kernel, lua_isnil(L, 1) ? NULL : luaL_checkudata(L, 1, REQUEST), lua_toboolean(L, 2));
  return 0;
}

/* reply(type, content) */
static int reply(lua_State *L) {
  const char *type = luaL_checkstring(L, 1);
  char *content = kernel_encode(L, 2);
  kernel_flush_streams(the_kernel);
  kernel_reply(the_kernel, type, content);
  cJSON_free(content);
  return 0;
}

/* publish(type, content): behind what was written until now. */
static int publish(lua_State *L) {
  const char *type = luaL_checkstring(L, 1);
  char *content = kernel_encode(L, 2);
  kernel_flush_streams(the_kernel);
  kernel_publish(the_kernel, type, NULL, content);
  cJSON_free(content);
  return 0;
}

/* info(content): what the control socket answers to kernel_info_request. */
static int set_info(lua_State *L) {
  char *content = kernel_encode(L, 1);
  kernel_set_info(the_kernel, content);
  cJSON_free(content);
  return 0;
}

static int leaves(lua_State *L) {
  lua_pushboolean(L, kernel_leaves(the_kernel));
  return 1;
}

/* list(table): the table, which JSON shows as a list though it is empty. */
static int mark_list(lua_State *L) {
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_setmetatable(L, "peri.list");
  return 1;
}

__attribute__((visibility("default"))) int luaopen_perilune_kernel(lua_State *L);
int luaopen_perilune_kernel(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", open_kernel}, {"next", next_request}, {"current", set_current},
                                       {"reply", reply},      {"publish", publish},   {"info", set_info},
                                       {"leaves", leaves},    {"list", mark_list},    {NULL, NULL}};
  luaL_newmetatable(L, "peri.list");
  if (luaL_newmetatable(L, REQUEST)) {
    lua_pushcfunction(L, close_request);
    lua_setfield(L, -2, "__gc");
  }
  luaL_newlib(L, functions);
  return 1;
}
