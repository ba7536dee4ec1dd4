/* What a sandbox leaves out of Lua's libraries, and what it hides: addresses, metatables, other programs' things. */
#include "limits.h"

#include <lualib.h>
#include <stdio.h>

static const char numbers_key;

/* ---- values as text, without addresses ---- */

/* Pushes the number that the object at index has among those that were shown. */
static void push_number_of(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &numbers_key);
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 0); /* the last that was given */
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_replace(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, 0);
    lua_pushvalue(L, index);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

static bool shows_address(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TUSERDATA && type != LUA_TTHREAD &&
      type != LUA_TLIGHTUSERDATA)
    return false;
  if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes the value at index as tostring gives it. */
static void push_text(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (!shows_address(L, index)) {
    luaL_tolstring(L, index, NULL);
    return;
  }
  const char *kind = luaL_typename(L, index);
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) kind = lua_tostring(L, -1);
  push_number_of(L, index);
  lua_pushfstring(L, "%s: %I", kind, (LUAI_UACINT)lua_tointeger(L, -1));
}

static int hiding_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  push_text(L, 1);
  return 1;
}

static int hiding_print(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t size;
    push_text(L, i);
    const char *text = lua_tolstring(L, -1, &size);
    if (i > 1) fputc('\t', stdout);
    fwrite(text, 1, size, stdout);
    lua_settop(L, n);
  }
  fputc('\n', stdout);
  fflush(stdout);
  return 0;
}

/* What would be shown with an address goes in as text; %p is none of the formats. */
static int hiding_format(lua_State *L) {
  const char *format = luaL_checkstring(L, 1);
  for (const char *at = format; (at = strchr(at, '%')) != NULL;) {
    at += 1 + strspn(at + 1, "-+ #0123456789.");
    if (*at == 'p') return luaL_error(L, "invalid conversion '%%p' to 'format'");
    if (*at != '\0') at++;
  }
  int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) {
    if (!shows_address(L, i)) continue;
    push_text(L, i);
    lua_replace(L, i);
    lua_settop(L, n);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, n, 1);
  return 1;
}

/* ---- what is left of other functions ---- */

static int modest_collectgarbage(lua_State *L) {
  static const char *const options[] = {"collect", "count", "step", NULL};
  luaL_checkoption(L, 1, "collect", options);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* What is loaded already, and nothing else. */
static int modest_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  static const char *const known[] = {"perilune", "string", "table", "math", "coroutine", "utf8", NULL};
  for (const char *const *at = known; *at != NULL; at++) {
    if (strcmp(*at, name) != 0) continue;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, name);
    return 1;
  }
  return luaL_error(L, "module '%s' is not to be had in a sandbox", name);
}

/* ---- the whole ---- */

static void leave_out(lua_State *L, const char *const *names) {
  for (; *names != NULL; names++) {
    lua_pushnil(L);
    lua_setfield(L, -2, *names);
  }
}

/* A library in the place of the global: what is named of it. */
static void keep_of(lua_State *L, const char *library, const char *const *names) {
  lua_getglobal(L, library);
  lua_newtable(L);
  for (; *names != NULL; names++) {
    lua_getfield(L, -2, *names);
    lua_setfield(L, -2, *names);
  }
  lua_setglobal(L, library);
  lua_pop(L, 1);
}

void limits_close_sandbox(lua_State *L) {
  static const luaL_Reg base[] = {{"tostring", hiding_tostring},
                                  {"print", hiding_print},
                                  {"collectgarbage", modest_collectgarbage},
                                  {"require", modest_require},
                                  {NULL, NULL}};
  static const luaL_Reg strings[] = {{"format", hiding_format}, {NULL, NULL}};
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &numbers_key);

  lua_pushglobaltable(L);
  limits_replace(L, base);
  leave_out(L, (const char *const[]){"io", "debug", "package", "dofile", "loadfile", "warn", NULL});
  lua_getfield(L, -1, LUA_STRLIBNAME);
  limits_replace(L, strings);
  leave_out(L, (const char *const[]){"dump", NULL});
  lua_pop(L, 2);
  keep_of(L, LUA_OSLIBNAME, (const char *const[]){"time", "clock", "date", "difftime", NULL});

  lua_getglobal(L, LUA_MATHLIBNAME); /* draws are the same in each run */
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, 0);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}
