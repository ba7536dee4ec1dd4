/* peri.save and peri.load: tensors by name, as safetensors. */
#include "data.h"
#include "named.h"

#include "bindings/core/pairs.h"

/* peri.load(path) -> {name = tensor}, metadata */
static int load(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "load");
  peri_named_tensors *list = data_push_list(L, S);
  BIND_TRY(L, S, peri_safetensors_read(S->context, path, list));
  data_push_tensors(L, S, list);
  lua_createtable(L, 0, 0);
  for (size_t i = 0; i < list->metadata_n; i++) {
    lua_pushstring(L, list->values[i]);
    lua_setfield(L, -2, list->keys[i]);
  }
  bind_charge(L, S);
  return 2;
}

/* peri.save(path, {name = tensor}, {metadata strings}) */
static int save(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "save");
  if (lua_istable(L, 2) && !lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return bind_error(L, "save", "metadata must be a table of strings, got %s", bind_describe(L, 3));
  lua_settop(L, 3);
  data_named named = data_check_tensors(L, S, 2, "save");
  size_t m = lua_istable(L, 3) ? bind_count_pairs(L, 3, "save", "metadata") : 0;
  const char **words = lua_newuserdatauv(L, (2 * m + 1) * sizeof *words, 0);
  int kept = m > 0 ? bind_keep_pairs(L, 3, "save", m) : 0;
  size_t i = 0;
  for (lua_pushnil(L); m > 0 && lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    if (lua_type(L, -1) != LUA_TSTRING)
      bind_error(L, "save", "metadata %s must be a string, got %s", words[i], bind_describe(L, -1));
    words[i + m] = lua_tostring(L, -1);
  }
  BIND_TRY(L, S, peri_safetensors_write(S->context, path, named.n, named.names, named.tensors, m, words, words + m));
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
  data_open_files(L, S);
}
