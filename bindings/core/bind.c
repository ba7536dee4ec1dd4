/* The state that belongs to one Lua state, and what is registered in it: functions, parts, documentation. */
#define _GNU_SOURCE /* dladdr */
#include "bind.h"

#include <dlfcn.h>
#include <string.h>

static const char state_key, documents_key, parts_key;

/* ---- the state ---- */

/* Finalisers of objects older than the module run after this one and may call the module: they find a
 * context in which nothing can be made. */
static int close_state(lua_State *L) {
  bind_state *S = lua_touserdata(L, 1);
  if (S->context == NULL || S->context == &S->closed) return 0;
  bind_close_hooks(S);
  S->context->where = NULL; /* tensors that the host holds may keep the context */
  S->closed = (peri_context){.kernels = S->context->kernels,
                             .home = &S->closed,
                             .threads = 1,
                             .references = 1,
                             .fail_after = -1,
                             .interrupt = &S->quiet};
  peri_context_release(&S->context);
  S->context = &S->closed;
  return 0;
}

static bind_state *find_state(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  bind_state *S = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return S;
}

static void make_context(lua_State *L, const peri_options *options, peri_context **out) {
  peri_status status = peri_context_new(options, out);
  if (status == PERI_ERR_ARGUMENT)
    luaL_error(L,
               "perilune: the options have no size (expected sizeof(peri_options)), or a field that is not known here");
  if (status != PERI_OK) luaL_error(L, "perilune: out of memory");
}

/* The registry learns of the state last: where memory ran out on the way, the next call begins anew. */
/* A library by the address of something in it. */
static const char *path_of(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "?";
}

/* Two copies of the module in one state would not know each other's objects. The registry says which is the first. */
static void check_alone(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.copy") == LUA_TLIGHTUSERDATA &&
      lua_touserdata(L, -1) != (const void *)&state_key)
    luaL_error(L, "perilune: %s is loaded into a Lua state that has a copy already, %s (expected one of them)",
               path_of(&state_key), path_of(lua_touserdata(L, -1)));
  lua_pushlightuserdata(L, (void *)(uintptr_t)&state_key);
  lua_setfield(L, LUA_REGISTRYINDEX, "perilune.copy");
  lua_pop(L, 1);
}

static bind_state *open_state(lua_State *L, const peri_options *options, peri_context *context) {
  check_alone(L);
  bind_state *S = lua_newuserdatauv(L, sizeof *S, 0);
  *S = (bind_state){.context = NULL, .print = {.precision = 4, .threshold = 1000, .edge_items = 3}};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (context != NULL)
    S->context = context;
  else
    make_context(L, options, &S->context);
  bind_open_handles(L, S);
  bind_open_classes(L);
  bind_open_errors(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &documents_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &parts_key);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  return S;
}

bind_state *bind_open(lua_State *L, const peri_options *options) {
  bind_state *S = find_state(L);
  return S != NULL ? S : open_state(L, options, NULL);
}

bind_state *bind_open_in(lua_State *L, peri_context *context) { return open_state(L, NULL, context); }

peri_context *peri_lua_context(lua_State *L) { return bind_open(L, NULL)->context; }

void bind_push_function(lua_State *L, bind_state *S, lua_CFunction function, int n) {
  lua_pushlightuserdata(L, S);
  lua_insert(L, -n - 1);
  lua_pushcclosure(L, function, n + 1);
}

void bind_set_functions(lua_State *L, bind_state *S, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    bind_push_function(L, S, list->func, 0);
    lua_setfield(L, -2, list->name);
  }
}

/* What is known of the value at index, in the registry's table under key: the value on the top, which is taken. */
static void note(lua_State *L, const char *key, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  lua_pushvalue(L, index);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

static void push_note(lua_State *L, const char *key, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

void bind_push_internal(lua_State *L) { luaL_getsubtable(L, LUA_REGISTRYINDEX, "perilune.internal"); }

/* The place in the list on top of the stack of the class of that name: its own when the module is opened once more. */
static lua_Integer class_place(lua_State *L, const char *name) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1), place = 1;
  for (bool found = false; place <= n && !found; place += !found) {
    lua_rawgeti(L, -1, place);
    lua_getfield(L, -1, "name");
    found = strcmp(lua_tostring(L, -1), name) == 0;
    lua_pop(L, 2);
  }
  return place;
}

void bind_set_class(lua_State *L, const char *name, const char *title, int index) {
  index = lua_absindex(L, index);
  bind_push_internal(L);
  luaL_getsubtable(L, -1, "classes");
  lua_pushvalue(L, index);
  lua_setfield(L, -2, name);
  luaL_getsubtable(L, -2, "class_list");
  lua_Integer place = class_place(L, name);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "methods");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, title);
  lua_setfield(L, -2, "title");
  lua_rawseti(L, -2, place);
  lua_pop(L, 3);
}

void bind_set_part(lua_State *L, int index, const char *name) {
  index = lua_absindex(L, index);
  lua_pushstring(L, name);
  note(L, &parts_key, index);
}

void bind_push_part_name(lua_State *L, int index) { push_note(L, &parts_key, index); }

void bind_set_internal(lua_State *L, bind_state *S, const char *name, const luaL_Reg *list) {
  bind_push_internal(L);
  lua_newtable(L);
  bind_set_functions(L, S, list);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void bind_document(lua_State *L, const char *doc) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)doc);
  note(L, &documents_key, -2);
}

void bind_document_value(lua_State *L, int index) {
  lua_pushvalue(L, index);
  note(L, &documents_key, -2);
}

/* C's texts are kept as addresses, so that opening the module makes no strings of them. */
void bind_push_document(lua_State *L, int index) {
  push_note(L, &documents_key, index);
  if (lua_islightuserdata(L, -1)) {
    const char *doc = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_pushstring(L, doc);
  }
}

void bind_set_documented(lua_State *L, bind_state *S, const bind_function *list) {
  for (; list->name != NULL; list++) {
    bind_push_function(L, S, list->function, 0);
    bind_document(L, list->doc);
    lua_setfield(L, -2, list->name);
  }
}

void bind_add_functions(lua_State *L, bind_state *S, int index, const bind_function *list) {
  lua_pushvalue(L, index);
  bind_set_documented(L, S, list);
  lua_pop(L, 1);
}
