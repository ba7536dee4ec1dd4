/* Variables of functions written in Lua.
 *
 * The table of a watch is a list of triples: a function, the number of its upvalue, the value; or a table of globals, a
 * name, the value. Where a tensor is, a fourth says whether it required grad. Field "environments" holds what is undone
 * at the end: a function, its upvalue's number, a chunk that shares the variable as it was. While a function is
 * watched its variable _ENV is another one, whose value passes reads on and notes them. */
#include "closure.h"

#include <string.h>

enum { OWNER = 1, NAME, VALUE, GRAD, FIELDS = GRAD };

#define MOST_VARIABLES 250 /* functions, and names of globals */

static void watch_function(lua_State *L, bind_state *S, int watched, int index);
static bool is_seen(lua_State *L, int watched, int index);

/* Appends the value on top, which is popped, as the value of a variable. */
static void note(lua_State *L, bind_state *S, int watched, int owner, int name) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, watched);
  const peri_tensor *x = bind_to_tensor(L, S, -1);
  if (lua_isnil(L, -1)) { /* no hole in the list */
    lua_pop(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&note);
  }
  lua_pushvalue(L, owner);
  lua_rawseti(L, watched, n + OWNER);
  lua_pushvalue(L, name);
  lua_rawseti(L, watched, n + NAME);
  lua_rawseti(L, watched, n + VALUE);
  lua_pushboolean(L, x != NULL && x->requires_grad);
  lua_rawseti(L, watched, n + GRAD);
}

/* ---- globals: the value of _ENV while a function is watched; upvalues: state, the globals, the watch ---- */

static int read_global(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_gettable(L, lua_upvalueindex(2));
  lua_pushvalue(L, lua_upvalueindex(2)); /* 4 */
  lua_pushvalue(L, lua_upvalueindex(3)); /* 5 */
  if (!is_seen(L, 5, 2)) {
    lua_pushvalue(L, 3);
    note(L, bind_here(L), 5, 4, 2);
    if (lua_isfunction(L, 3) && !lua_iscfunction(L, 3)) watch_function(L, bind_here(L), 5, 3);
  }
  lua_settop(L, 3);
  return 1;
}

static int write_global(lua_State *L) {
  lua_settop(L, 3);
  peri_refuse_replay(bind_here(L)->context, "it sets the global variable %s",
                     lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
  lua_settable(L, lua_upvalueindex(2));
  return 0;
}

static int next_global(lua_State *L) {
  peri_refuse_replay(bind_here(L)->context, "it goes through the global variables");
  lua_getglobal(L, "next");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushnil(L);
  return 3;
}

static void push_environment(lua_State *L, bind_state *S, int globals, int watched) {
  static const luaL_Reg functions[] = {
      {"__index", read_global}, {"__newindex", write_global}, {"__pairs", next_global}, {NULL, NULL}};
  lua_newtable(L);
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushvalue(L, globals);
    lua_pushvalue(L, watched);
    bind_push_function(L, S, f->func, 2);
    lua_setfield(L, -2, f->name);
  }
  lua_setmetatable(L, -2);
}

/* ---- functions ---- */

static const char chunk_key;

/* A function of one variable, its own. */
static void push_chunk(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &chunk_key) == LUA_TNIL) {
    lua_pop(L, 1);
    if (luaL_loadstring(L, "local variable; return function() return variable end") != LUA_OK) lua_error(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &chunk_key);
  }
  lua_call(L, 0, 1);
}

/* The function's variable number i is another from now on, until bind_unwatch_closure. */
static void change_environment(lua_State *L, bind_state *S, int watched, int index, int i, int globals) {
  lua_getfield(L, watched, "environments");
  const int list = lua_gettop(L);
  const lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  push_chunk(L); /* keeps the variable */
  lua_upvaluejoin(L, -1, 1, index, i);
  push_chunk(L); /* has the other */
  push_environment(L, S, globals, watched);
  lua_setupvalue(L, -2, 1);
  lua_pushvalue(L, index);
  lua_rawseti(L, list, n + 1);
  lua_pushinteger(L, i);
  lua_rawseti(L, list, n + 2);
  lua_pushvalue(L, -2);
  lua_rawseti(L, list, n + 3); /* from here on it is undone */
  lua_upvaluejoin(L, index, i, -1, 1);
  lua_settop(L, list - 1);
}

static bool is_seen(lua_State *L, int watched, int index) {
  lua_getfield(L, watched, "seen");
  lua_pushvalue(L, index);
  const bool known = lua_rawget(L, -2) != LUA_TNIL;
  const lua_Integer n = (lua_Integer)luaL_len(L, -2);
  if (!known && n < MOST_VARIABLES) {
    lua_pushvalue(L, index);
    lua_pushboolean(L, 1);
    lua_rawset(L, -4);
    lua_pushboolean(L, 1);
    lua_rawseti(L, -3, n + 1);
  }
  lua_pop(L, 2);
  if (!known && n >= MOST_VARIABLES)
    peri_refuse_replay(bind_here(L)->context, "it rests on too many functions and globals");
  return known || n >= MOST_VARIABLES;
}

static void watch_function(lua_State *L, bind_state *S, int watched, int index) {
  luaL_checkstack(L, 16, "replay");
  if (is_seen(L, watched, index)) return;
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, index, i)) != NULL; i++) {
    const int value = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); /* a stripped function has no names */
    if (lua_istable(L, value) && (strcmp(name, "_ENV") == 0 || lua_rawequal(L, value, value + 1))) {
      change_environment(L, S, watched, index, i, value);
    } else {
      lua_pushinteger(L, i);
      lua_pushvalue(L, value);
      note(L, S, watched, index, value + 2);
      if (lua_isfunction(L, value) && !lua_iscfunction(L, value)) watch_function(L, S, watched, value);
    }
    lua_settop(L, value - 1);
  }
}

void bind_watch_closure(lua_State *L, bind_state *S, int index) {
  lua_newtable(L);
  lua_newtable(L);
  lua_setfield(L, -2, "environments");
  lua_newtable(L);
  lua_setfield(L, -2, "seen");
  if (lua_isfunction(L, index) && !lua_iscfunction(L, index)) watch_function(L, S, lua_gettop(L), index);
}

void bind_unwatch_closure(lua_State *L, bind_state *S, int watched) {
  lua_getfield(L, watched, "environments");
  const int list = lua_gettop(L);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, list) - 2; i > 0; i -= 3) {
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, list, i + 1);
    lua_rawgeti(L, list, i + 2);
    lua_upvaluejoin(L, list + 1, (int)lua_tointeger(L, list + 2), list + 3, 1);
    lua_settop(L, list);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setfield(L, watched, "environments");
  lua_pushnil(L);
  lua_setfield(L, watched, "seen");
  if (S->context->recorder != NULL && !bind_closure_holds(L, S, watched))
    peri_refuse_replay(S->context, "it changes a variable from outside");
}

/* ---- what was noted ---- */

bool bind_closure_holds(lua_State *L, bind_state *S, int watched) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, watched);
  const int top = lua_gettop(L);
  bool holds = true;
  for (lua_Integer i = 0; i < n && holds; i += FIELDS) {
    const bool local = lua_rawgeti(L, watched, i + OWNER) == LUA_TFUNCTION;
    lua_rawgeti(L, watched, i + NAME);
    if (local) {
      lua_getupvalue(L, top + 1, (int)lua_tointeger(L, top + 2));
    } else {
      lua_gettable(L, top + 1); /* as the function does it */
    }
    lua_rawgeti(L, watched, i + VALUE);
    const bool nothing = lua_touserdata(L, -1) == (void *)(uintptr_t)&note;
    holds = nothing ? lua_isnil(L, -2) : lua_rawequal(L, -2, -1);
    if (holds && bind_to_handle(L, S, -1) != NULL) {
      const peri_tensor *x = bind_to_tensor(L, S, -1);
      lua_rawgeti(L, watched, i + GRAD);
      holds = x != NULL && x->requires_grad == (bool)lua_toboolean(L, -1);
    }
    lua_settop(L, top);
  }
  return holds;
}

bool bind_closure_has(lua_State *L, bind_state *S, int watched, const peri_tensor *x) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, watched);
  bool found = false;
  for (lua_Integer i = 0; i < n && !found; i += FIELDS) {
    lua_rawgeti(L, watched, i + VALUE);
    const peri_tensor *held = bind_to_tensor(L, S, -1);
    found = held != NULL && held->storage == x->storage;
    lua_pop(L, 1);
  }
  return found;
}
