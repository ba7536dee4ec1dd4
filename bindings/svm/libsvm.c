/* Machines in LIBSVM's model files; see svm/model_libsvm.h. */
#include "svm.h"
#include "svm/kernel/model_libsvm.h"

#include <string.h>

static const estimator_type *const types[PERI_SVM_TYPE_COUNT] = {[PERI_C_SVC] = &peri_bind_svc,
                                                                 [PERI_NU_SVC] = &peri_bind_nu_svc,
                                                                 [PERI_ONE_CLASS] = &peri_bind_one_class,
                                                                 [PERI_EPSILON_SVR] = &peri_bind_svr,
                                                                 [PERI_NU_SVR] = &peri_bind_nu_svr};

/* ---- saving ---- */

int bind_save_libsvm(lua_State *L) {
  bind_state *S = bind_here(L);
  const estimator *e = NULL;
  lua_settop(L, 2);
  bind_kind kind = bind_kind_of(L, S, 1);
  for (int type = 0; type < PERI_SVM_TYPE_COUNT && e == NULL; type++) {
    if (types[type]->kind == kind) e = lua_touserdata(L, 1);
  }
  if (e == NULL) {
    return bind_error(L, "save_libsvm", "called with %s (expected m:save_libsvm(path))", bind_describe(L, 1));
  }
  const char *operation = lua_pushfstring(L, "%s.save_libsvm", e->type->row->name);
  const char *path = bind_check_path(L, 2, operation);
  if (e->m.has_function) {
    return bind_error(L, operation, "the kernel is a Lua function, which cannot be saved (data is never code)");
  }
  estimator_check_fitted(L, e);
  BIND_TRY(L, S, peri_svm_write_libsvm(S->context, path, e->m.fitted));
  return 0;
}

/* ---- loading ---- */

/* A machine that no estimator has yet. */
typedef struct machine_box {
  peri_context *context;
  peri_svm *machine;
} machine_box;

static int close_box(lua_State *L) {
  machine_box *box = lua_touserdata(L, 1);
  peri_svm_release(box->context, &box->machine);
  return 0;
}

/* Pushes the options that the file gave, as for the constructor. */
static void push_known_options(lua_State *L, const peri_svm_options *o) {
  lua_newtable(L);
  lua_pushstring(L, peri_svm_kernel_name(o->kernel));
  lua_setfield(L, -2, "kernel");
  lua_pushinteger(L, o->degree);
  lua_setfield(L, -2, "degree");
  lua_pushnumber(L, o->coef0);
  lua_setfield(L, -2, "coef0");
  if (o->gamma_mode == PERI_GAMMA_VALUE) {
    lua_pushnumber(L, o->gamma);
    lua_setfield(L, -2, "gamma");
  }
  if (o->probability) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "probability");
  }
}

int bind_load_libsvm(lua_State *L) {
  static const peri_option options[] = {
      {"features", PERI_OPTION_INTEGER, 0, 1, INT32_MAX, NULL, "of the fit; left out: the largest index"},
      {"zero_based", PERI_OPTION_BOOL, 0, 0, 0, NULL, "indices count from 0"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[2];
  lua_settop(L, 2);
  const char *path = bind_check_path(L, 1, "load_libsvm");
  bind_options(L, 2, "load_libsvm", options, NULL, values);
  peri_libsvm_options given = {.features = (int64_t)values[0], .zero_based = values[1] != 0};
  machine_box *box = bind_push_box(L, sizeof *box, close_box);
  box->context = S->context;
  BIND_TRY(L, S, peri_svm_read_libsvm(S->context, path, &given, &box->machine));
  push_known_options(L, &box->machine->options);
  estimator *e = estimator_push_new(L, S, types[box->machine->options.type], lua_gettop(L));
  lua_newtable(L);
  lua_setiuservalue(L, -2, ESTIMATOR_TENSORS);
  estimator_place(e, box->machine);
  box->machine = NULL;
  bind_charge(L, S);
  return 1;
}
