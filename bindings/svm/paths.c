/* What kernel machines share kernel values for: paths over C and held-out rows; and folds; see svm.h. */
#include "svm.h"

/* The values of C at index, a table or tensor: pushes their array. */
static const double *read_Cs(lua_State *L, bind_state *S, const char *operation, int index, int64_t *count) {
  peri_svm_samples s = {.n = -1};
  if (lua_istable(L, index)) {
    s.n = (int64_t)lua_rawlen(L, index);
  } else {
    const peri_tensor *x = bind_check_tensor(L, S, index, operation, "Cs");
    s.n = x->layout.ndim == 1 ? x->layout.shape[0] : -1;
  }
  if (s.n < 1) bind_error(L, operation, "Cs must be 1 or more numbers, got %s", bind_describe(L, index));
  bind_read_targets(L, S, operation, index, &s);
  *count = s.n;
  return s.targets;
}

/* path(m, X, y, {sample_weight =, progress =}, Cs) -> list of estimators, fitted */
int estimator_path(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator_reporter told;
  const estimator *e = estimator_begin(L, "path", 4, &operation);
  peri_svm_samples s = {.n = 0};
  int64_t count;
  estimator_check_call(L, operation, e);
  const double *Cs = read_Cs(L, S, operation, 5, &count);
  int x = estimator_read_samples(L, S, operation, e, &s);
  peri_machine_watch watch = estimator_read_progress(L, operation, &told);
  lua_createtable(L, (int)count, 0);
  int list = lua_gettop(L);
  estimator_push_params(L, 1, e);
  for (int64_t c = 0; c < count; c++) { /* a C that is refused is refused here */
    lua_pushnumber(L, Cs[c]);
    lua_setfield(L, list + 1, "C");
    estimator_push_new(L, S, e->type, list + 1);
    lua_newtable(L);
    lua_setiuservalue(L, -2, ESTIMATOR_TENSORS);
    lua_rawseti(L, list, c + 1);
  }
  peri_svm **machines = lua_newuserdatauv(L, (size_t)count * sizeof(peri_svm *), 0);
  peri_svm_options options = peri_machine_svm_options(&e->m);
  options.progress = watch.progress;
  options.progress_arg = watch.arg;
  peri_status status = peri_svm_path(S->context, &options, &s, count, Cs, machines);
  if (bind_retry(L, status)) status = peri_svm_path(S->context, &options, &s, count, Cs, machines);
  estimator_check_fit(L, S, &told, status);
  for (int64_t c = 0; c < count; c++) { /* all have their places before anything can raise */
    lua_rawgeti(L, list, c + 1);
    estimator *fitted = lua_touserdata(L, -1);
    fitted->m.fitted = machines[c];
    fitted->m.features = bind_to_tensor(L, S, x)->layout.shape[1];
    lua_pop(L, 1);
  }
  for (int64_t c = 0; c < count; c++) {
    lua_rawgeti(L, list, c + 1);
    if (e->m.has_function) {
      estimator_push_rows(L, S, x, e->type->row->support(machines[c]));
      lua_setiuservalue(L, -2, ESTIMATOR_VECTORS);
    }
    estimator_warn_unless_converged(L, operation, lua_touserdata(L, -1));
    lua_settop(L, list + 2);
  }
  bind_charge(L, S);
  lua_settop(L, list);
  return 1;
}

/* folds(n, y or nil, folds, seed) -> n whole numbers from 1 to folds, each label spread evenly */
int estimator_folds(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_svm_samples s = {.n = luaL_checkinteger(L, 1)};
  lua_Integer folds = luaL_checkinteger(L, 3), seed = luaL_checkinteger(L, 4);
  if (!lua_isnil(L, 2)) bind_read_labels(L, S, "folds", 2, &s);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_shaped(S->context, "folds", PERI_INT64, 1, &s.n, handle));
  int64_t *fold = (int64_t *)(void *)(*handle)->data;
  BIND_TRY(L, S, peri_svm_folds(S->context, s.n, s.labels, folds, (uint64_t)seed, fold));
  for (int64_t i = 0; i < s.n; i++) fold[i]++;
  bind_charge(L, S);
  return 1;
}

/* cross_predict(m, X, y, {sample_weight =, progress =}, fold, folds, Cs or nil) -> predictions (Cs x n), fit_status;
 * fold: n whole numbers from 1 to folds */
int estimator_cross_predict(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator_reporter told;
  const estimator *e = estimator_begin(L, "cross_predict", 6, &operation);
  peri_svm_samples s = {.n = 0}, fold = {.n = 0};
  int64_t count = 0, folds = luaL_checkinteger(L, 6);
  estimator_check_call(L, operation, e);
  const double *Cs = lua_isnil(L, 7) ? NULL : read_Cs(L, S, operation, 7, &count);
  estimator_read_samples(L, S, operation, e, &s);
  fold.n = s.n;
  bind_read_labels(L, S, operation, 5, &fold);
  int64_t *from_zero = lua_newuserdatauv(L, (size_t)s.n * sizeof *from_zero + 1, 0);
  for (int64_t i = 0; i < s.n; i++) {
    from_zero[i] = fold.labels[i] - 1;
    if (from_zero[i] < 0 || from_zero[i] >= folds) bind_error(L, operation, "fold %I", (lua_Integer)fold.labels[i]);
  }
  peri_machine_watch watch = estimator_read_progress(L, operation, &told);
  peri_dtype dtype = e->type->row->targets == PERI_TARGET_NUMBERS ? PERI_FLOAT64 : PERI_INT64;
  peri_tensor **handle = bind_new_tensor(L, S);
  int result = lua_gettop(L), fit_status = 0;
  BIND_TRY(L, S, peri_tensor_shaped(S->context, operation, dtype, 2, (int64_t[]){count > 0 ? count : 1, s.n}, handle));
  void *out = (*handle)->data;
  peri_svm_options options = peri_machine_svm_options(&e->m);
  options.progress = watch.progress;
  options.progress_arg = watch.arg;
  peri_status status = peri_svm_cross_predict(S->context, &options, &s, folds, from_zero, count, Cs, out, &fit_status);
  if (bind_retry(L, status))
    status = peri_svm_cross_predict(S->context, &options, &s, folds, from_zero, count, Cs, out, &fit_status);
  estimator_check_fit(L, S, &told, status);
  bind_charge(L, S);
  lua_pushvalue(L, result);
  lua_pushinteger(L, fit_status);
  return 2;
}
