/* Pairs of scripts' tables; see pairs.h. */
#include "bindings/core/pairs.h"

size_t bind_count_pairs(lua_State *L, int index, const char *operation, const char *what) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), n++) {
    if (lua_type(L, -2) != LUA_TSTRING)
      bind_error(L, operation, "%s must have strings as keys, got %s", what, bind_describe(L, -2));
  }
  return n;
}

int bind_keep_pairs(lua_State *L, int index, const char *operation, size_t n) {
  lua_createtable(L, 0, (int)n); /* with room for all: from here on nothing allocates */
  int kept = lua_gettop(L);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, index); i++) {
    if (i == n || lua_type(L, -2) != LUA_TSTRING) break;
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, kept);
  }
  if (i != n || lua_gettop(L) != kept) bind_error(L, operation, "a table was changed while it was read");
  return kept;
}
