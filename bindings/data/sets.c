/* Generators: the rows of peri_data_sets. */
#include "data.h"
#include "data/sets/sets.h"

#include <string.h>

static int64_t check_count(lua_State *L, int index, const char *operation) {
  return bind_check_whole(L, index, operation, "n", 1);
}

/* The row is upvalue 2. */
static int generate(lua_State *L) {
  /* a seed as an option has 53 bits, which a double holds */
  static const peri_option seed_options[] = {
      {"seed", PERI_OPTION_INTEGER, 0, 0, 9007199254740992.0, NULL, "of the generator"}, {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  const peri_data_set *set = lua_touserdata(L, lua_upvalueindex(2));
  peri_option options[PERI_MAX_OPTIONS];
  double values[PERI_MAX_OPTIONS];
  int count = 0;
  for (; set->options[count].name != NULL; count++) options[count] = set->options[count];
  memcpy(options + count, seed_options, sizeof seed_options);
  int64_t n = check_count(L, 1, set->name);
  bind_options(L, 2, set->name, options, set->float32_only ? NULL : also, values);
  peri_dtype dtype = PERI_FLOAT32;
  if (!set->float32_only && bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, set->name);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S), **parameters = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_generate(S->context, set, n, values, (uint64_t)values[count], dtype, x, y, parameters));
  bind_charge(L, S);
  if (*parameters == NULL) lua_pop(L, 1);
  return *parameters == NULL ? 2 : 3;
}

void data_open_sets(lua_State *L, bind_state *S) {
  for (const peri_data_set *set = peri_data_sets; set->name != NULL; set++)
    bind_set_member(L, S, set, set->name, generate, set->doc);
}
