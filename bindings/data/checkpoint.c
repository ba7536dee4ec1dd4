/* peri.save and peri.load: tensors by name, as safetensors. */
#include "bindings/core/pairs.h"
#include "data/formats/formats.h"

typedef struct named_list {
  bind_state *S;
  peri_named_tensors list;
} named_list;

static int close_list(lua_State *L) {
  named_list *n = lua_touserdata(L, 1);
  peri_named_tensors_release(n->S->context, &n->list);
  return 0;
}

/* peri.load(path) -> {name = tensor}, metadata */
static int load(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "load");
  named_list *n = bind_push_box(L, sizeof *n, close_list);
  n->S = S;
  BIND_TRY(L, S, peri_safetensors_read(S->context, path, &n->list));
  lua_createtable(L, 0, n->list.n < 1000000 ? (int)n->list.n : 0);
  for (size_t i = 0; i < n->list.n; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    *handle = peri_tensor_retain(n->list.tensors[i]);
    lua_setfield(L, -2, n->list.names[i]);
  }
  lua_createtable(L, 0, 0);
  for (size_t i = 0; i < n->list.metadata_n; i++) {
    lua_pushstring(L, n->list.values[i]);
    lua_setfield(L, -2, n->list.keys[i]);
  }
  bind_charge(L, S);
  return 2;
}

/* peri.save(path, {name = tensor}, {metadata strings}) */
static int save(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "save");
  if (!lua_istable(L, 2))
    return bind_error(L, "save", "tensors must be a table of names and tensors, got %s", bind_describe(L, 2));
  if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return bind_error(L, "save", "metadata must be a table of strings, got %s", bind_describe(L, 3));
  lua_settop(L, 3);
  size_t n = bind_count_pairs(L, 2, "save", "tensors"),
         m = lua_istable(L, 3) ? bind_count_pairs(L, 3, "save", "metadata") : 0;
  const char **words = lua_newuserdatauv(L, (n + 2 * m + 1) * sizeof *words, 0);
  peri_tensor **tensors = lua_newuserdatauv(L, (n + 1) * sizeof *tensors, 0);
  luaL_checkstack(L, 8, "save");
  int kept = bind_keep_pairs(L, 2, "save", n);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    tensors[i] = bind_check_tensor(L, S, -1, "save", words[i]);
  }
  if (m > 0) kept = bind_keep_pairs(L, 3, "save", m);
  for (lua_pushnil(L); m > 0 && lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING)
      bind_error(L, "save", "metadata %s must be a string, got %s", words[i], bind_describe(L, -1));
    words[i + m] = lua_tostring(L, -1);
  }
  BIND_TRY(L, S, peri_safetensors_write(S->context, path, n, words, tensors, m, words + n, words + n + m));
  return 0;
}

void bind_open_files(lua_State *L, bind_state *S) {
  bind_push_function(L, S, load, 0);
  bind_document(L, "load(path) -> tensors, metadata\n"
                   "Reads a safetensors file: a table of names and tensors, and its metadata, a table of strings. "
                   "Nothing in the file is executed.");
  lua_setfield(L, -2, "load");
  bind_push_function(L, S, save, 0);
  bind_document(L, "save(path, tensors, metadata)\n"
                   "Writes a table of names and tensors (what state_dict gives) as safetensors, whole or not at all.");
  lua_setfield(L, -2, "save");
}
