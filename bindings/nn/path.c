/* Where in a net an error is: "Sequential[3].Net.fc1 Linear: x is ..". The calls that are running say it, so that a
 * pass that goes well pays for nothing but the number of the child that a container is at. */
#include "nn.h"

#include <string.h>

/* Pushes "Sequential[3]" when the value on the top is a container that is at the module at `inner`, or at a layer of
 * its own where that is nil. */
static bool push_container_step(lua_State *L, bind_state *S, int inner) {
  const nn_container *container = lua_touserdata(L, -1);
  int self = lua_gettop(L);
  const int current = nn_current(container);
  if (current < 1 || current > container->n) return false;
  lua_getiuservalue(L, self, current);
  bool at = lua_isnil(L, inner) || lua_rawequal(L, -1, inner);
  lua_pop(L, 1);
  if (at) lua_pushfstring(L, "%s[%d]", nn_name(L, S, self), current);
  return at;
}

/* Pushes "Net.fc1" when the object on the top holds the module at `inner` in the field fc1. */
static bool push_object_step(lua_State *L, bind_state *S, int inner) {
  int self = lua_gettop(L);
  lua_getiuservalue(L, self, NN_FIELDS);
  lua_getiuservalue(L, self, NN_ORDER);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  bool found = false;
  for (lua_Integer i = 1; i <= n && !found; i++) {
    lua_settop(L, self + 2);
    lua_rawgeti(L, self + 2, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, self + 1);
    found = lua_rawequal(L, -1, inner);
  }
  if (found) {
    lua_pushfstring(L, "%s.%s", nn_name(L, S, self), lua_tostring(L, self + 3));
    lua_replace(L, self + 1);
  }
  lua_settop(L, self + found);
  return found;
}

/* Pushes the way from the outermost module to what the calls are at, with a dot between steps; "" where there is none.
 * The value on the top is where it ends: a module, or nil for a layer that a container runs itself. */
static void push_path(lua_State *L, bind_state *S) {
  int inner = lua_gettop(L), steps = 0;
  lua_Debug frame;
  lua_pushliteral(L, "");
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    luaL_checkstack(L, 10, "modules are nested too deep");
    lua_settop(L, inner + 1);
    if (lua_getlocal(L, &frame, 1) == NULL) continue;
    bind_kind kind = nn_kind_of(L, S, -1);
    bool step = kind == BIND_CONTAINER ? push_container_step(L, S, inner)
                : kind == BIND_OBJECT  ? push_object_step(L, S, inner)
                                       : false;
    if (!step) continue;
    lua_pushfstring(L, "%s%s%s", lua_tostring(L, -1), steps++ > 0 ? "." : "", lua_tostring(L, inner + 1));
    lua_replace(L, inner + 1);
    lua_settop(L, inner + 2);
    lua_replace(L, inner);
    lua_settop(L, inner + 1);
  }
  lua_settop(L, inner + 1);
  lua_remove(L, inner);
}

void nn_push_path(lua_State *L, bind_state *S) {
  lua_pushnil(L);
  push_path(L, S);
}

/* Behind "linear: " or "Linear: ", which say what the path says. */
static const char *without_name(const char *message, const peri_layer_kind *kind) {
  const char *names[] = {kind->name, kind->row != NULL ? kind->row->name : kind->name};
  for (int i = 0; i < 2; i++) {
    size_t n = strlen(names[i]);
    if (strncmp(message, names[i], n) == 0 && strncmp(message + n, ": ", 2) == 0) return message + n + 2;
  }
  return message;
}

/* nn.path(module) -> text: for modules written in Lua. */
static int path_of(lua_State *L) {
  lua_settop(L, 1);
  push_path(L, bind_here(L));
  return 1;
}

/* nn.plain(module) -> whether steps with it can be replayed: layers in C, and of classes that promise it; no hooks */
static bool is_plain(lua_State *L, bind_state *S, int index, bool held);

static bool has_plain_parts(lua_State *L, bind_state *S, int index) {
  const int top = lua_gettop(L);
  bool plain = true;
  lua_getiuservalue(L, index, NN_FIELDS);
  lua_getiuservalue(L, index, NN_ORDER);
  for (lua_Integer i = 1; plain && lua_rawgeti(L, top + 2, i) != LUA_TNIL; i++) {
    lua_rawget(L, top + 1);
    plain = bind_to_tensor(L, S, -1) != NULL || is_plain(L, S, lua_gettop(L), true);
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return plain;
}

/* held: by an object, which calls the elements of a list itself */
static bool is_plain(lua_State *L, bind_state *S, int index, bool held) {
  luaL_checkstack(L, 8, "plain");
  if (nn_to_layer(L, S, index) != NULL) return !nn_to_layer(L, S, index)->hooked;
  if (bind_is(L, S, index, BIND_OBJECT))
    return !((const nn_object *)lua_touserdata(L, index))->hooked && nn_is_known(L, index) &&
           has_plain_parts(L, S, index);
  if (!bind_is(L, S, index, BIND_CONTAINER)) return false;
  const nn_container *container = lua_touserdata(L, index);
  bool plain = (container->runs || held) && !container->hooked;
  for (int i = 1; i <= container->n && plain; i++) {
    lua_getiuservalue(L, index, i);
    plain = is_plain(L, S, lua_gettop(L), held);
    lua_pop(L, 1);
  }
  return plain;
}
static int plain(lua_State *L) {
  lua_pushboolean(L, is_plain(L, bind_here(L), 1, false));
  return 1;
}

void nn_open_path(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {{"path", path_of}, {"plain", plain}, {NULL, NULL}};
  bind_set_internal(L, S, "nn", list);
}

int nn_raise(lua_State *L, bind_state *S, peri_status status, const peri_layer *layer, int self) {
  if (status != PERI_ERR_ARGUMENT && status != PERI_ERR_STATE) return bind_raise(L, S, status);
  if (self != 0)
    lua_pushvalue(L, self);
  else
    lua_pushnil(L);
  push_path(L, S);
  if (*lua_tostring(L, -1) == '\0') return bind_raise(L, S, status);
  return bind_error(L, NULL, "%s %s: %s", lua_tostring(L, -1), layer->kind->name,
                    without_name(peri_message(S->context), layer->kind));
}
