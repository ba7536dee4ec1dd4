/* Generators: the rows of peri_data_sets, and two of their own. */
#include "data.h"
#include "data/sets/sets.h"

#include <string.h>

static int64_t check_count(lua_State *L, int index, const char *operation) {
  return bind_check_whole(L, index, operation, "n", 1);
}

/* A seed as an option has 53 bits, which a double holds. */
#define SEED_OPTION                                                                                                    \
  { "seed", PERI_OPTION_INTEGER, 0, 0, 9007199254740992.0, NULL, "of the generator" }

static int circles(lua_State *L) {
  static const peri_option options[] = {
      {"noise", PERI_OPTION_NUMBER, 0, 0, 1e6, NULL, "standard deviation on both coordinates"},
      {"factor", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "radius of the inner circle"},
      SEED_OPTION,
      {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  double values[3];
  int64_t n = check_count(L, 1, "circles");
  bind_options(L, 2, "circles", options, also, values);
  peri_dtype dtype = PERI_FLOAT32;
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, "circles");
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_circles(S->context, n, values[0], values[1], (uint64_t)values[2], dtype, x, y));
  bind_charge(L, S);
  return 2;
}

static int digits(lua_State *L) {
  static const peri_option options[] = {SEED_OPTION, {NULL}};
  bind_state *S = bind_here(L);
  double values[1];
  int64_t n = check_count(L, 1, "digits");
  bind_options(L, 2, "digits", options, NULL, values);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_digits(S->context, n, (uint64_t)values[0], x, y));
  bind_charge(L, S);
  return 2;
}

/* Of every row of peri_data_sets; the row is upvalue 2. */
static int generate(lua_State *L) {
  static const peri_option seed_options[] = {SEED_OPTION, {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  const peri_data_set *set = lua_touserdata(L, lua_upvalueindex(2));
  peri_option options[PERI_MAX_OPTIONS];
  double values[PERI_MAX_OPTIONS];
  int count = 0;
  for (; set->options[count].name != NULL; count++) options[count] = set->options[count];
  memcpy(options + count, seed_options, sizeof seed_options);
  int64_t n = check_count(L, 1, set->name);
  bind_options(L, 2, set->name, options, also, values);
  peri_dtype dtype = PERI_FLOAT32;
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, set->name);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S), **parameters = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_data_generate(S->context, set, n, values, (uint64_t)values[count], dtype, x, y, parameters));
  bind_charge(L, S);
  if (*parameters == NULL) lua_pop(L, 1);
  return *parameters == NULL ? 2 : 3;
}

static const bind_function functions[] = {
    {"circles", circles,
     "data.circles(n, {noise = 0, factor = 0.5, seed = 0, dtype = 'float32'}) -> X, y\n"
     "Two concentric rings, as scikit-learn's make_circles: X is n x 2, y int64: 1 on the outer ring (radius 1), 2 on "
     "the inner (radius factor)."},
    {"digits", digits,
     "data.digits(n, {seed = 0}) -> X, y\n"
     "Handwritten-like digits of 28 x 28 pixels: X is n x 784 float32 in [0, 1], y int64: the digit + 1. Image i "
     "depends on (seed, i) alone."},
    {NULL, NULL, NULL}};

void data_open_sets(lua_State *L, bind_state *S) {
  bind_set_documented(L, S, functions);
  for (const peri_data_set *set = peri_data_sets; set->name != NULL; set++)
    bind_set_member(L, S, set, set->name, generate, set->doc);
}
