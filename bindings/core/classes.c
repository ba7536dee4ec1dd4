/* Classes of userdata: one registrar, and what an object is once it was collected. */
#include "bind.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char collected_key;

/* ---- collected objects ---- */

static int use_collected(lua_State *L) {
  return bind_error(L, NULL,
                    "the object was collected: it became garbage together with what uses it in a finaliser (keep it "
                    "alive elsewhere, or use it before)");
}

static int collected_text(lua_State *L) {
  lua_pushliteral(L, "collected object");
  return 1;
}

void bind_open_classes(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__index", use_collected},     {"__newindex", use_collected},
                                         {"__call", use_collected},      {"__len", use_collected},
                                         {"__pairs", use_collected},     {"__close", use_collected},
                                         {"__tostring", collected_text}, {NULL, NULL}};
  lua_newtable(L);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, "collected object");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &collected_key);
}

/* ---- classes ---- */

void bind_push_member(lua_State *L, bind_state *S, const void *owner, lua_CFunction function, int n) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)owner);
  lua_insert(L, -n - 1);
  bind_push_function(L, S, function, n + 1);
}

void bind_set_member(lua_State *L, bind_state *S, const void *owner, const char *name, lua_CFunction function,
                     const char *doc) {
  bind_push_member(L, S, owner, function, 0);
  if (doc != NULL) bind_document(L, doc);
  lua_setfield(L, -2, name);
}

/* The __gc of every class; upvalue 1 is the bind_class, 2 its metatable: what is of another class, or was collected, is
 * left alone, as debug lets a script call this with anything. */
static int collect_object(lua_State *L) {
  const bind_class *class = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(2))) return 0;
  class->collect(lua_touserdata(L, 1));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &collected_key);
  lua_setmetatable(L, 1);
  return 0;
}

/* The __newindex of every class that takes no fields; upvalue 1 is what it is called. */
static int refuse_field(lua_State *L) {
  return bind_error(L, lua_tostring(L, lua_upvalueindex(1)), "field %s cannot be set", bind_describe(L, 2));
}

/* "plan" of "perilune.Plan" */
static void push_word(lua_State *L, const bind_class *class) {
  char word[32];
  snprintf(word, sizeof word, "%s", strrchr(class->name, '.') + 1);
  *word = (char)tolower((unsigned char)*word);
  lua_pushstring(L, word);
}

void bind_open_class(lua_State *L, bind_state *S, const bind_class *class, int parent) {
  lua_newtable(L);
  int methods = lua_gettop(L), meta = methods + 1;
  for (const bind_function *m = class->methods; m != NULL && m->name != NULL; m++)
    bind_set_member(L, S, class->owner, m->name, m->function, m->doc);
  if (parent != 0) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, methods);
  }
  lua_newtable(L);
  push_word(L, class);
  lua_pushcclosure(L, refuse_field, 1);
  lua_setfield(L, meta, "__newindex");
  for (const luaL_Reg *m = class->metamethods; m->name != NULL; m++) {
    lua_pushvalue(L, methods);
    bind_push_member(L, S, class->owner, m->func, 1);
    lua_setfield(L, meta, m->name);
  }
  if (class->collect != NULL) {
    bind_class *kept = lua_newuserdatauv(L, sizeof *kept, 0);
    *kept = *class;
    lua_pushvalue(L, meta);
    lua_pushcclosure(L, collect_object, 2);
    lua_setfield(L, meta, "__gc");
  }
  lua_pushstring(L, class->name);
  lua_setfield(L, meta, "__name");
  lua_pushboolean(L, 0); /* scripts cannot call a metamethod on something else */
  lua_setfield(L, meta, "__metatable");
  const void *key = lua_topointer(L, meta);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  S->meta[class->kind] = key;
  S->called[class->kind] = class->called;
}

void *bind_push_object(lua_State *L, bind_state *S, bind_kind kind, size_t size, int values) {
  void *object = lua_newuserdatauv(L, size, values);
  memset(object, 0, size);
  lua_rawgetp(L, LUA_REGISTRYINDEX, S->meta[kind]);
  lua_setmetatable(L, -2);
  return object;
}

bool bind_is(lua_State *L, const bind_state *S, int index, bind_kind kind) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
  bool is = lua_topointer(L, -1) == S->meta[kind];
  lua_pop(L, 1);
  return is;
}

bind_kind bind_kind_of(lua_State *L, const bind_state *S, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return BIND_NONE;
  const void *meta = lua_topointer(L, -1);
  lua_pop(L, 1);
  int kind = BIND_KINDS - 1;
  while (kind > BIND_NONE && S->meta[kind] != meta) kind--;
  return (bind_kind)kind;
}

void *bind_push_box(lua_State *L, size_t size, lua_CFunction collect) {
  void *box = lua_newuserdatauv(L, size, 0);
  memset(box, 0, size);
  const void *key = (const void *)(uintptr_t)collect;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  }
  lua_setmetatable(L, -2);
  return box;
}
