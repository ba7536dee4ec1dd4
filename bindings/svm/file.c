/* A fitted machine from the arrays that a file holds; see svm.h and lua/svm.lua. */
#include "svm.h"
#include "bindings/core/pairs.h"

int estimator_restore(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator *e = estimator_begin(L, "restore", 1, &operation);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_newtable(L); /* for the new machine's tensors */
  int made = lua_gettop(L);
  peri_machine_arrays arrays = {.e = &e->m, .n = bind_count_pairs(L, 2, operation, "arrays")};
  /* read before the runtime is: while that runs nothing is asked of Lua */
  const char **names = lua_newuserdatauv(L, (arrays.n + 1) * sizeof *names, 0);
  const peri_tensor **tensors = lua_newuserdatauv(L, (arrays.n + 1) * sizeof *tensors, 0);
  arrays.names = names, arrays.tensors = tensors;
  int kept = bind_keep_pairs(L, 2, operation, arrays.n);
  size_t i = 0;
  for (lua_pushnil(L); lua_next(L, kept); lua_pop(L, 1), i++) {
    names[i] = lua_tostring(L, -2);
    tensors[i] = bind_to_tensor(L, S, -1);
  }
  peri_machine_source source = peri_machine_source_of(&arrays);
  void *machine;
  BIND_TRY(L, S, e->type->row->restore(&e->m, &source, &machine));
  estimator_place(e, machine);
  lua_pushvalue(L, made);
  lua_setiuservalue(L, 1, ESTIMATOR_TENSORS);
  lua_settop(L, 1);
  return 1;
}
