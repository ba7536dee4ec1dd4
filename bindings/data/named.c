/* Tables of names and tensors; see named.h. */
#include "named.h"

#include "bindings/core/pairs.h"

#include <string.h>

typedef struct named_list {
  peri_named_tensors list; /* first: the box is known as the list */
  bind_state *S;
} named_list;

static int close_list(lua_State *L) {
  named_list *n = lua_touserdata(L, 1);
  peri_named_tensors_release(n->S->context, &n->list);
  return 0;
}

peri_named_tensors *data_push_list(lua_State *L, bind_state *S) {
  named_list *n = bind_push_box(L, sizeof *n, close_list);
  n->S = S;
  return &n->list;
}

void data_push_tensors(lua_State *L, bind_state *S, const peri_named_tensors *list) {
  lua_createtable(L, 0, list->n < 1000000 ? (int)list->n : 0);
  for (size_t i = 0; i < list->n; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    *handle = peri_tensor_retain(list->tensors[i]);
    lua_setfield(L, -2, list->names[i]);
  }
}

data_named data_check_tensors(lua_State *L, bind_state *S, int index, const char *operation) {
  if (!lua_istable(L, index))
    bind_error(L, operation, "tensors must be a table of names and tensors, got %s", bind_describe(L, index));
  data_named named = {.n = bind_count_pairs(L, index, operation, "tensors")};
  named.names = lua_newuserdatauv(L, (named.n + 1) * sizeof *named.names, 0);
  named.tensors = lua_newuserdatauv(L, (named.n + 1) * sizeof *named.tensors, 0);
  luaL_checkstack(L, 8, operation);
  int kept = bind_keep_pairs(L, index, operation, named.n);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, kept); lua_pop(L, 1), i++) {
    named.names[i] = lua_tostring(L, -2);
    if (strlen(named.names[i]) != lua_rawlen(L, -2))
      bind_error(L, operation, "the name %s holds a zero byte", bind_describe(L, -2));
    named.tensors[i] = bind_check_tensor(L, S, -1, operation, named.names[i]);
  }
  return named;
}
