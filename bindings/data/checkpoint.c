/* peri.save and peri.load: tensors by name, as safetensors; of tables in tables, lua/internal/tree.lua says how they
 * become such names and a text, which stands in the metadata beside a checksum of the whole file. */
#include "data.h"
#include "named.h"

#include "bindings/core/pairs.h"

#include <string.h>

#define TREE "perilune.tree"

static bool is_ours(const char *key) { return strcmp(key, TREE) == 0 || strcmp(key, PERI_SAFETENSORS_CHECKSUM) == 0; }

/* Pushes a function of lua/internal/tree.lua. */
static void push_tree_function(lua_State *L, const char *name) {
  bind_push_internal(L);
  lua_getfield(L, -1, "tree");
  lua_getfield(L, -1, name);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* ---- reading ---- */

/* The table of tensors on the top becomes what was saved, where it was more than names and tensors. */
static void restore_tree(lua_State *L, const peri_named_tensors *list, const char *path) {
  const char *tree = NULL;
  bool checked = false;
  for (size_t i = 0; i < list->metadata_n; i++) {
    if (strcmp(list->keys[i], TREE) == 0) tree = list->values[i];
    checked |= strcmp(list->keys[i], PERI_SAFETENSORS_CHECKSUM) == 0;
  }
  if (tree == NULL) return;
  if (!checked)
    bind_error(L, "load", "%s: its checksum is missing (the file is damaged, or not one of peri.save)", path);
  push_tree_function(L, "build");
  lua_insert(L, -2);
  lua_pushliteral(L, "load");
  lua_insert(L, -2);
  lua_pushstring(L, path);
  lua_insert(L, -2);
  lua_pushstring(L, tree);
  lua_call(L, 4, 1);
}

/* peri.load(path) -> what was saved, metadata */
static int load(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "load");
  peri_named_tensors *list = data_push_list(L, S);
  BIND_TRY(L, S, peri_safetensors_read(S->context, path, list));
  data_push_tensors(L, S, list);
  restore_tree(L, list, path);
  lua_createtable(L, 0, 0);
  for (size_t i = 0; i < list->metadata_n; i++) {
    if (is_ours(list->keys[i])) continue;
    lua_pushstring(L, list->values[i]);
    lua_setfield(L, -2, list->keys[i]);
  }
  bind_charge(L, S);
  return 2;
}

/* ---- writing ---- */

/* Whether the table at index holds tensors by names, and nothing else: a file for other programs too, without a word of
 * ours. */
static bool is_flat(lua_State *L, bind_state *S, int index) {
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING || !bind_is(L, S, -1, BIND_TENSOR)) {
      lua_pop(L, 2);
      return false;
    }
    lua_pop(L, 1);
  }
  return true;
}

/* Pushes the text of the tables in the table at index, which becomes that of their tensors; NULL where there are none.
 */
static const char *flatten(lua_State *L, bind_state *S, int index) {
  if (!lua_istable(L, index) || is_flat(L, S, index)) {
    lua_pushnil(L);
    return NULL;
  }
  push_tree_function(L, "flatten");
  lua_pushliteral(L, "save");
  lua_pushvalue(L, index);
  lua_call(L, 2, 2);
  lua_insert(L, -2);
  lua_replace(L, index);
  return lua_tostring(L, -1);
}

/* peri.save(path, table, {metadata strings}) */
static int save(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "save");
  if (lua_istable(L, 2) && !lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return bind_error(L, "save", "metadata must be a table of strings, got %s", bind_describe(L, 3));
  lua_settop(L, 3);
  const char *tree = flatten(L, S, 2);
  data_named named = data_check_tensors(L, S, 2, "save");
  const size_t given = lua_istable(L, 3) ? bind_count_pairs(L, 3, "save", "metadata") : 0;
  const size_t m = given + (tree != NULL ? 2 : 0);
  const char **words = lua_newuserdatauv(L, (2 * m + 1) * sizeof *words, 0);
  int kept = given > 0 ? bind_keep_pairs(L, 3, "save", given) : 0;
  size_t i = 0;
  for (lua_pushnil(L); given > 0 && lua_next(L, kept); lua_pop(L, 1), i++) {
    words[i] = lua_tostring(L, -2);
    if (is_ours(words[i])) bind_error(L, "save", "metadata %s is a name of peri.save's own", words[i]);
    if (lua_type(L, -1) != LUA_TSTRING)
      bind_error(L, "save", "metadata %s must be a string, got %s", words[i], bind_describe(L, -1));
    words[i + m] = lua_tostring(L, -1);
  }
  if (tree != NULL) {
    words[given] = PERI_SAFETENSORS_CHECKSUM;
    words[given + m] = "";
    words[given + 1] = TREE;
    words[given + 1 + m] = tree;
  }
  BIND_TRY(L, S, peri_safetensors_write(S->context, path, named.n, named.names, named.tensors, m, words, words + m));
  return 0;
}

void bind_open_files(lua_State *L, bind_state *S) {
  bind_push_function(L, S, load, 0);
  bind_document(L,
                "load(path) -> table, metadata\n"
                "Reads a safetensors file: a table of names and tensors, or what peri.save was given, and the file's "
                "metadata, a table of strings. Nothing in the file is executed.\n"
                "Errors, with the place in the file: whatever is not as the format says; where save wrote more than "
                "names and tensors also a checksum that does not fit, as of a damaged file.");
  lua_setfield(L, -2, "load");
  bind_push_function(L, S, save, 0);
  bind_document(
      L, "save(path, table, metadata)\n"
         "Writes a table of names and tensors (what state_dict gives) as safetensors, whole or not at all: other "
         "programs load it by those names. The table may also hold numbers, strings, booleans, and tables of "
         "all these, with strings or whole numbers as keys; peri.load gives them back bit for bit. Tensors in it "
         "are named by the way to them (model.weight); the rest and a checksum stand in the file's metadata, "
         "to which metadata, a table of strings, is added.\n"
         "Errors: what is none of these, a table that holds itself, more than 30 tables in one another; the file "
         "cannot be written. An old file stays as it was then.");
  lua_setfield(L, -2, "save");
  data_open_files(L, S);
}
