/* The functions of Lua's libraries that catch errors, set finalisers, or loop for long where no hook comes. */
#include "limits.h"

#include <lualib.h>

#define BETWEEN_LOOKS 4096 /* elements moved, comparisons */
#define TAB_R         1
#define TAB_W         2

void limits_replace(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_getfield(L, -1, list->name);
    lua_pushcclosure(L, list->func, 1);
    lua_setfield(L, -2, list->name);
  }
}

/* ---- what catches errors ---- */

/* The error on the top was caught: it goes on where the script has nothing to say. */
static void raise_again(lua_State *L) {
  if (limits_stopped(limits_of(L))) lua_error(L);
}

static int finish_pcall(lua_State *L, int status, lua_KContext below) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)below;
  raise_again(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int guarded_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

/* What a hook raises is handled within the hook, where no further one comes: the script's handler is not asked then. */
static int handle(lua_State *L) {
  if (limits_stopped(limits_of(L))) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* The handler is below the function. */
static int guarded_xpcall(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handle, 1);
  lua_insert(L, 1);
  lua_pushvalue(L, 2);
  lua_replace(L, 3);
  lua_pushboolean(L, 1);
  lua_replace(L, 2); /* handler, true, function, arguments */
  return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 1, finish_pcall), 1);
}

/* ---- coroutines ----
 * One that a hook's error ends never sees another hook, not even when its variables are closed. So the function runs in
 * a call of its own, where Lua puts that right, and closes what is to be closed; then the error goes on. */

static int finish_body(lua_State *L, int status, lua_KContext unused) {
  (void)unused;
  return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) : lua_error(L);
}

static int body(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  return finish_body(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, finish_body), 0);
}

/* coroutine.create, coroutine.wrap */
static int guarded_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, body, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Those of which the first result says whether there was an error, and the second which. */
static int guarded_result(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  if (lua_toboolean(L, 1)) return lua_gettop(L);
  lua_pushvalue(L, lua_gettop(L) >= 2 ? 2 : 1);
  raise_again(L);
  lua_pop(L, 1);
  return lua_gettop(L);
}

/* load(chunk, name, mode, env): a sandbox has no bytecode; and no script is the module's own code by its name. */
static int guarded_load(lua_State *L) {
  int given = lua_gettop(L) < 3 ? 3 : lua_gettop(L);
  lua_settop(L, given);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strncmp(name, "=perilune/", 10) == 0 || strncmp(name, "@perilune/", 10) == 0) {
    lua_pushliteral(L, "=(load)");
    lua_replace(L, 2);
  }
  if (limits_of(L)->sandbox) {
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
  }
  return guarded_result(L);
}

/* ---- finalisers ---- */

static bool is_own(lua_State *L, int index) {
  lua_Debug function;
  if (lua_iscfunction(L, index) || !lua_isfunction(L, index)) return false;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">S", &function);
  return strncmp(function.source, "=perilune/", 10) == 0;
}

static int guarded_setmetatable(lua_State *L) {
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    lua_rawget(L, 2);
    if (!lua_isnil(L, -1) && !is_own(L, lua_gettop(L)))
      return luaL_error(L, "setmetatable: scripts have no finalisers here (__gc); __close is called");
    lua_pop(L, 1);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* ---- tables: loops over what __len and __index say, or numbers of the script's ---- */

static void look_now_and_then(lua_State *L, lua_Integer i) {
  if (i % BETWEEN_LOOKS == 0) limits_look(L, BETWEEN_LOOKS);
}

/* A table, or what behaves as one. */
static void check_table(lua_State *L, int index, int wanted) {
  if (lua_istable(L, index)) return;
  bool reads = luaL_getmetafield(L, index, "__index") != LUA_TNIL, writes;
  if (reads) lua_pop(L, 1);
  writes = luaL_getmetafield(L, index, "__newindex") != LUA_TNIL;
  if (writes) lua_pop(L, 1);
  if ((!reads && (wanted & TAB_R)) || (!writes && (wanted & TAB_W))) luaL_checktype(L, index, LUA_TTABLE);
}

static int guarded_insert(lua_State *L) {
  check_table(L, 1, TAB_R | TAB_W);
  lua_Integer end = (lua_Integer)((lua_Unsigned)luaL_len(L, 1) + 1), at = end;
  int given = lua_gettop(L);
  if (given != 2 && given != 3) return luaL_error(L, "wrong number of arguments to 'insert'");
  if (given == 3) {
    at = luaL_checkinteger(L, 2);
    luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
    for (lua_Integer i = end; i > at; i--) {
      look_now_and_then(L, i);
      lua_geti(L, 1, i - 1);
      lua_seti(L, 1, i);
    }
  }
  lua_seti(L, 1, at);
  return 0;
}

static int guarded_remove(lua_State *L) {
  check_table(L, 1, TAB_R | TAB_W);
  lua_Integer size = luaL_len(L, 1), at = luaL_optinteger(L, 2, size);
  if (lua_gettop(L) >= 2)
    luaL_argcheck(L, (lua_Unsigned)size + 1u >= (lua_Unsigned)at && (at != 0 || size == 0), 2,
                  "position out of bounds");
  lua_geti(L, 1, at);
  for (; at < size; at++) {
    look_now_and_then(L, at);
    lua_geti(L, 1, at + 1);
    lua_seti(L, 1, at);
  }
  lua_pushnil(L);
  lua_seti(L, 1, at);
  return 1;
}

static int guarded_move(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
  int target = !lua_isnoneornil(L, 5) ? 5 : 1;
  check_table(L, 1, TAB_R);
  check_table(L, target, TAB_W);
  if (end >= from) {
    luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
    lua_Integer n = end - from + 1;
    luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
    bool upwards = to > end || to <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
    for (lua_Integer i = 0; i < n; i++) {
      lua_Integer k = upwards ? i : n - 1 - i;
      look_now_and_then(L, i);
      lua_geti(L, 1, from + k);
      lua_seti(L, target, to + k);
    }
  }
  lua_pushvalue(L, target);
  return 1;
}

static void add_field(lua_State *L, luaL_Buffer *text, lua_Integer i) {
  lua_geti(L, 1, i);
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
  luaL_addvalue(text);
}

static int guarded_concat(lua_State *L) {
  luaL_Buffer text;
  check_table(L, 1, TAB_R);
  lua_Integer end = luaL_len(L, 1);
  size_t size;
  const char *between = luaL_optlstring(L, 2, "", &size);
  lua_Integer i = luaL_optinteger(L, 3, 1);
  end = luaL_optinteger(L, 4, end);
  luaL_buffinit(L, &text);
  for (; i < end; i++) {
    look_now_and_then(L, i);
    add_field(L, &text, i);
    luaL_addlstring(&text, between, size);
  }
  if (i == end) add_field(L, &text, i);
  luaL_pushresult(&text);
  return 1;
}

/* The order of a script, or Lua's own: upvalue 1, and how often it was asked: 2. */
static int compare(lua_State *L) {
  lua_Integer asked = lua_tointeger(L, lua_upvalueindex(2)) + 1;
  lua_pushinteger(L, asked);
  lua_replace(L, lua_upvalueindex(2));
  if (asked % 64 == 0) limits_look(L, 64); /* what is compared may be long strings */
  if (lua_isnil(L, lua_upvalueindex(1))) {
    lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

static int guarded_sort(lua_State *L) {
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, compare, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

/* ---- all of them ---- */

static void guard_library(lua_State *L, const char *name, const luaL_Reg *list) {
  lua_getglobal(L, name);
  limits_replace(L, list);
  lua_pop(L, 1);
}

/* Of debug what tells and changes nothing. */
static void keep_of_debug(lua_State *L) {
  lua_getglobal(L, LUA_DBLIBNAME);
  lua_createtable(L, 0, 2);
  for (const char *const *name = (const char *const[]){"traceback", "getinfo", NULL}; *name != NULL; name++) {
    lua_getfield(L, -2, *name);
    lua_setfield(L, -2, *name);
  }
  lua_pushvalue(L, -1);
  lua_setglobal(L, LUA_DBLIBNAME);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_insert(L, -2);
  lua_setfield(L, -2, LUA_DBLIBNAME);
  lua_pop(L, 2);
}

void limits_guard(lua_State *L) {
  static const luaL_Reg base[] = {{"pcall", guarded_pcall},
                                  {"xpcall", guarded_xpcall},
                                  {"load", guarded_load},
                                  {"setmetatable", guarded_setmetatable},
                                  {NULL, NULL}};
  static const luaL_Reg coroutines[] = {{"create", guarded_create},
                                        {"wrap", guarded_create},
                                        {"resume", guarded_result},
                                        {"close", guarded_result},
                                        {NULL, NULL}};
  static const luaL_Reg tables[] = {{"insert", guarded_insert}, {"remove", guarded_remove}, {"move", guarded_move},
                                    {"concat", guarded_concat}, {"sort", guarded_sort},     {NULL, NULL}};
  lua_pushglobaltable(L);
  limits_replace(L, base);
  lua_pop(L, 1);
  guard_library(L, LUA_COLIBNAME, coroutines);
  guard_library(L, LUA_TABLIBNAME, tables);
  limits_guard_strings(L);
  keep_of_debug(L);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) { /* its __gc is not to become a script's */
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
}
