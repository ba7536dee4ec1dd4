/* Hooks on modules. What a script has given stands in lua/nn/hooks.lua, by module in a table with weak keys, so that a
 * hook may refer to its module; a module that has any is marked, and is then called through the function there. */
#include "nn.h"
#include "bindings/core/hooks.h"

static const char call_key;

int nn_call_hooked(lua_State *L, lua_CFunction plain) {
  peri_refuse_replay(bind_here(L)->context, "a module has hooks");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &call_key);
  lua_insert(L, 1);
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, lua_upvalueindex(i)); /* the state, the owner, the methods */
  lua_pushcclosure(L, plain, 3);
  lua_insert(L, 2);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* set_call(f): f(plain, module, ...) calls a module that has hooks */
static int set_call(lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &call_key);
  return 0;
}

/* mark(module, hooked) */
static int mark(lua_State *L) {
  const bind_state *S = bind_here(L);
  bool hooked = lua_toboolean(L, 2);
  bind_here(L)->context->hooked++;
  switch (nn_kind_of(L, S, 1)) {
  case BIND_LAYER:
    nn_to_layer(L, S, 1)->hooked = hooked;
    break;
  case BIND_CONTAINER:
    ((nn_container *)lua_touserdata(L, 1))->hooked = hooked;
    break;
  case BIND_OBJECT:
    ((nn_object *)lua_touserdata(L, 1))->hooked = hooked;
    break;
  default:
    break;
  }
  return 0;
}

/* is_module(x) */
static int is_module(lua_State *L) {
  lua_pushboolean(L, nn_kind_of(L, bind_here(L), 1) != BIND_NONE);
  return 1;
}

/* handle(list, entry) -> hook */
static int handle(lua_State *L) {
  bind_push_hook_handle(L, bind_here(L), 1, 2);
  return 1;
}

void nn_open_hooks(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {
      {"set_call", set_call}, {"mark", mark}, {"is_module", is_module}, {"handle", handle}, {NULL, NULL}};
  bind_set_internal(L, S, "hooks", list);
  S->push_path = nn_push_path;
}
