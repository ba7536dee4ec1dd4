/* Where the script is, for the mode that detects anomalies: its line and the way to the layer that runs. Asked within
 * calls of the runtime, so that what may raise is protected. */
#include "anomaly.h"

#include <string.h>

/* Pushes "script.lua:12, in Sequential[3]". */
static int push_place(lua_State *L) {
  bind_state *S = lua_touserdata(L, 1);
  bind_push_position(L);
  size_t length;
  const char *position = lua_tolstring(L, -1, &length);
  if (length > 2) lua_pushlstring(L, position, length - 2); /* without ": " */
  if (S->push_path == NULL) return 1;
  S->push_path(L, S);
  if (*lua_tostring(L, -1) == '\0') {
    lua_pop(L, 1);
    return 1;
  }
  lua_pushfstring(L, "%s, in %s", lua_tostring(L, -2), lua_tostring(L, -1));
  return 1;
}

static void where(void *user, char *text, size_t size) {
  bind_state *S = user;
  lua_State *L = S->running;
  if (L == NULL || !lua_checkstack(L, LUA_MINSTACK)) return;
  lua_pushcfunction(L, push_place);
  lua_pushlightuserdata(L, S);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    const char *place = lua_tostring(L, -1);
    size_t length = strlen(place) < size ? strlen(place) : size - 1;
    memcpy(text, place, length);
    text[length] = '\0';
  }
  lua_pop(L, 1);
  S->running = L;
}

void bind_open_anomaly(bind_state *S) {
  S->context->where = where;
  S->context->where_user = S;
}
