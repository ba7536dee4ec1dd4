/* Fitting estimators: what is read, progress, kernels that are Lua functions, paths over C and held-out rows; see
 * svm.h. */
#include "svm.h"

#include <string.h>

/* ---- kernels that are functions ---- */

/* A further handle for the tensor at index. */
static void push_shared(lua_State *L, bind_state *S, int index) {
  peri_tensor **handle = bind_new_tensor(L, S);
  *handle = peri_tensor_retain(bind_check_tensor(L, S, index, "kernel", "X"));
}

/* Calls the function at `function` with two tensors and leaves its m x n result on the stack. Nothing is recorded
 * while it runs. */
static void call_kernel(lua_State *L, bind_state *S, const char *operation, int a, int b, int64_t m, int64_t n,
                        samples *s) {
  char text[PERI_SHAPE_TEXT];
  a = lua_absindex(L, a);
  b = lua_absindex(L, b);
  lua_getiuservalue(L, 1, ESTIMATOR_KERNEL);
  push_shared(L, S, a); /* the function may release what it is given */
  push_shared(L, S, b);
  bool recording = S->context->grad_mode;
  S->context->grad_mode = false;
  int status = lua_pcall(L, 2, 1, 0);
  S->context->grad_mode = recording;
  if (status != LUA_OK && lua_isnil(L, -1)) bind_error(L, operation, "the kernel function raised nil");
  if (status != LUA_OK) lua_error(L);
  peri_tensor *values = bind_check_tensor(L, S, -1, operation, "the kernel's value");
  const peri_layout *layout = &values->layout;
  if (layout->ndim != 2 || layout->shape[0] != m || layout->shape[1] != n || !peri_is_float(layout->dtype)) {
    bind_error(L, operation, "the kernel gave %s of %s (expected floats of %Ix%I)", peri_dtype_name(layout->dtype),
               peri_shape_text(layout->ndim, layout->shape, text), (lua_Integer)m, (lua_Integer)n);
  }
  samples of_values = {.n = 0};
  bind_read_features(L, S, operation, lua_gettop(L), &of_values); /* contiguous */
  s->dtype = of_values.dtype;
  s->x = of_values.x;
}

/* The rows of the tensor at index that support says, as a new tensor on the stack. */
static void push_rows(lua_State *L, bind_state *S, int index, int64_t count, const int64_t *rows) {
  const peri_tensor *from = bind_to_tensor(L, S, index);
  peri_dtype dtype = from->layout.dtype;
  size_t row_bytes = (size_t)from->layout.shape[1] * peri_dtype_size(dtype);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_shaped(S->context, "fit", dtype, 2, (int64_t[]){count, from->layout.shape[1]}, handle));
  for (int64_t i = 0; i < count; i++) {
    memcpy((*handle)->data + (size_t)i * row_bytes, from->data + (size_t)rows[i] * row_bytes, row_bytes);
  }
}

/* ---- what is read ---- */

static void read_y(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s) {
  if (e->type->targets == PERI_TARGET_LABELS) bind_read_labels(L, S, operation, 3, s);
  if (e->type->targets == PERI_TARGET_NUMBERS) bind_read_targets(L, S, operation, 3, s);
  if (e->type->targets == PERI_TARGET_NONE && !lua_isnil(L, 3)) {
    bind_error(L, operation, "y is %s (expected nil: there are no labels)", bind_describe(L, 3));
  }
}

void estimator_read_targets(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s) {
  read_y(L, S, operation, e, s);
  if (bind_push_entry(L, 4, "sample_weight") != LUA_TNIL) {
    bind_read_weights(L, S, operation, lua_gettop(L), s);
  }
}

/* A fit's X, y and {sample_weight =} at 2, 3 and 4; where the kernel is a function, X becomes its values, when all
 * else is known to be right. Returns where X's tensor stands. */
static int read_samples(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s) {
  bind_read_features(L, S, operation, 2, s);
  int x = lua_gettop(L);
  estimator_read_targets(L, S, operation, e, s);
  if (!e->has_function) return x;
  peri_svm_options options = estimator_svm_options(e);
  peri_svm_samples given = {s->dtype, s->n, s->d, s->x, s->d, s->y, s->targets, s->weights};
  BIND_TRY(L, S, peri_svm_check(S->context, &options, &given));
  call_kernel(L, S, operation, x, x, s->n, s->n, s);
  s->d = s->n;
  return x;
}

void estimator_read_fresh(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s) {
  bind_read_features(L, S, operation, 2, s);
  int x = lua_gettop(L);
  estimator_check_fitted(L, e);
  s->generation = e->generation;
  lua_Integer fitted = e->type->facts(e).d;
  if (s->d != fitted) {
    bind_error(L, operation, "X has %I features but the fit had %I", (lua_Integer)s->d, fitted);
  }
  if (!e->has_function) return;
  lua_getiuservalue(L, 1, ESTIMATOR_VECTORS);
  int64_t supports = bind_check_tensor(L, S, -1, operation, "support_vectors")->layout.shape[0];
  if (supports > 0) call_kernel(L, S, operation, x, lua_gettop(L), s->n, supports, s);
  s->d = supports;
}

/* ---- progress ---- */

typedef struct reporter {
  lua_State *L;
  int function, error; /* where the function stands, and where its error goes */
} reporter;

static void push_progress(lua_State *L, const peri_svm_progress *state) {
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, state->machine);
  lua_setfield(L, -2, "machine");
  lua_pushinteger(L, state->machines);
  lua_setfield(L, -2, "machines");
  lua_pushinteger(L, state->iterations);
  lua_setfield(L, -2, "iterations");
  lua_pushnumber(L, state->gap);
  lua_setfield(L, -2, "gap");
}

/* What may raise, called by lua_pcall: the function with its table. */
static int call_progress(lua_State *L) {
  push_progress(L, lua_touserdata(L, 2));
  lua_replace(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

static peri_svm_verdict report(void *arg, const peri_svm_progress *state) {
  reporter *self = arg;
  lua_State *L = self->L;
  lua_pushcfunction(L, call_progress);
  lua_pushvalue(L, self->function);
  lua_pushlightuserdata(L, (void *)(uintptr_t)state);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
    lua_replace(L, self->error);
    return PERI_SVM_ABORT;
  }
  bool enough = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_pop(L, 1);
  return enough ? PERI_SVM_ENOUGH : PERI_SVM_GO_ON;
}

/* Leaves two places on the stack: the function of {progress =} at 4 and its error. */
static estimator_watch read_progress(lua_State *L, const char *operation, reporter *out) {
  int kind = bind_push_entry(L, 4, "progress");
  if (kind != LUA_TNIL && kind != LUA_TFUNCTION) {
    bind_error(L, operation, "progress must be a function, got %s", bind_describe(L, -1));
  }
  lua_pushnil(L);
  *out = (reporter){.L = L, .function = lua_gettop(L) - 1, .error = lua_gettop(L)};
  return kind == LUA_TNIL ? (estimator_watch){NULL, NULL} : (estimator_watch){report, out};
}

/* Raises the progress function's error, or the runtime's. */
static void check_fit(lua_State *L, bind_state *S, const reporter *r, peri_status status) {
  if (status != PERI_OK && !lua_isnil(L, r->error)) {
    lua_pushvalue(L, r->error);
    lua_error(L);
  }
  if (status != PERI_OK) bind_raise(L, S);
}

/* ---- fit ---- */

static void check_call_options(lua_State *L, const char *operation, const estimator *e) {
  static const peri_option none[] = {{NULL}};
  static const char *const names[] = {"progress", "sample_weight", NULL};
  double unused[1];
  bind_options(L, 4, operation, none, e->type->reports ? names : names + 1, unused);
}

static void warn_unless_converged(lua_State *L, const char *operation, const estimator *e) {
  estimator_facts f = e->type->facts(e);
  if (f.fit_status == 0) return;
  lua_pushfstring(L,
                  "%s: a limit came before tol: a violation of %f is left (scale the features, raise max_iter, "
                  "time_limit or tol, or lower C)",
                  operation, f.gap);
  lua_warning(L, lua_tostring(L, -1), 0);
}

/* Everything a fitted estimator has beside its machine, put in place without a chance to fail: the table of tensors at
 * `tensors`, and at `vectors`, when the kernel is a function, the support vectors. */
static void settle(lua_State *L, int index, estimator *e, void *machine, int tensors, int vectors, int64_t features) {
  estimator_place(e, machine);
  e->features = features;
  lua_pushvalue(L, tensors);
  lua_setiuservalue(L, index, ESTIMATOR_TENSORS);
  if (!e->has_function) return;
  lua_pushvalue(L, vectors);
  lua_setiuservalue(L, index, ESTIMATOR_VECTORS);
}

int estimator_fit(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  reporter told;
  estimator *e = estimator_begin(L, "fit", 3, &operation);
  samples s = {.n = 0};
  check_call_options(L, operation, e);
  int x = read_samples(L, S, operation, e, &s);
  estimator_watch watch = read_progress(L, operation, &told);
  lua_newtable(L); /* for the new machine's tensors */
  int tensors = lua_gettop(L);
  /* the machine waits in an estimator of its own until nothing can raise any more */
  lua_newtable(L);
  estimator *waiting = estimator_push_new(L, S, e->type, tensors + 1);
  waiting->has_function = false;
  void *machine;
  peri_status status = e->type->fit(e, &s, &watch, &machine);
  if (bind_retry(L, status)) status = e->type->fit(e, &s, &watch, &machine);
  check_fit(L, S, &told, status);
  waiting->machine = machine;
  int64_t features = s.d;
  if (e->has_function) {
    const peri_svm *m = machine;
    features = bind_to_tensor(L, S, x)->layout.shape[1];
    push_rows(L, S, x, m->supports, m->support);
  }
  waiting->machine = NULL;
  settle(L, 1, e, machine, tensors, lua_gettop(L), features);
  warn_unless_converged(L, operation, e);
  bind_charge(L, S);
  lua_settop(L, 1);
  return 1;
}

/* ---- several C ---- */

/* The values of C at index, a table or tensor: pushes their array. */
static const double *read_Cs(lua_State *L, bind_state *S, const char *operation, int index, int64_t *count) {
  samples s = {.n = -1};
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
  reporter told;
  const estimator *e = estimator_begin(L, "path", 4, &operation);
  samples s = {.n = 0};
  int64_t count;
  check_call_options(L, operation, e);
  const double *Cs = read_Cs(L, S, operation, 5, &count);
  int x = read_samples(L, S, operation, e, &s);
  estimator_watch watch = read_progress(L, operation, &told);
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
  peri_svm_options options = estimator_svm_options(e);
  options.progress = watch.progress;
  options.progress_arg = watch.arg;
  peri_svm_samples given = {s.dtype, s.n, s.d, s.x, s.d, s.y, s.targets, s.weights};
  peri_status status = peri_svm_path(S->context, &options, &given, count, Cs, machines);
  if (bind_retry(L, status)) status = peri_svm_path(S->context, &options, &given, count, Cs, machines);
  check_fit(L, S, &told, status);
  for (int64_t c = 0; c < count; c++) { /* all have their places before anything can raise */
    lua_rawgeti(L, list, c + 1);
    estimator *fitted = lua_touserdata(L, -1);
    fitted->machine = machines[c];
    fitted->features = bind_to_tensor(L, S, x)->layout.shape[1];
    lua_pop(L, 1);
  }
  for (int64_t c = 0; c < count; c++) {
    lua_rawgeti(L, list, c + 1);
    if (e->has_function) {
      push_rows(L, S, x, machines[c]->supports, machines[c]->support);
      lua_setiuservalue(L, -2, ESTIMATOR_VECTORS);
    }
    warn_unless_converged(L, operation, lua_touserdata(L, -1));
    lua_settop(L, list + 2);
  }
  bind_charge(L, S);
  lua_settop(L, list);
  return 1;
}

/* folds(n, y or nil, folds, seed) -> n whole numbers from 1 to folds, each label spread evenly */
int estimator_folds(lua_State *L) {
  bind_state *S = bind_here(L);
  samples s = {.n = luaL_checkinteger(L, 1)};
  lua_Integer folds = luaL_checkinteger(L, 3), seed = luaL_checkinteger(L, 4);
  if (!lua_isnil(L, 2)) bind_read_labels(L, S, "folds", 2, &s);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_shaped(S->context, "folds", PERI_INT64, 1, &s.n, handle));
  int64_t *fold = (int64_t *)(void *)(*handle)->data;
  BIND_TRY(L, S, peri_svm_folds(S->context, s.n, s.y, folds, (uint64_t)seed, fold));
  for (int64_t i = 0; i < s.n; i++) fold[i]++;
  bind_charge(L, S);
  return 1;
}

/* cross_predict(m, X, y, {sample_weight =, progress =}, fold, folds, Cs or nil) -> predictions (Cs x n), fit_status;
 * fold: n whole numbers from 1 to folds */
int estimator_cross_predict(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  reporter told;
  const estimator *e = estimator_begin(L, "cross_predict", 6, &operation);
  samples s = {.n = 0}, fold = {.n = 0};
  int64_t count = 0, folds = luaL_checkinteger(L, 6);
  check_call_options(L, operation, e);
  const double *Cs = lua_isnil(L, 7) ? NULL : read_Cs(L, S, operation, 7, &count);
  read_samples(L, S, operation, e, &s);
  fold.n = s.n;
  bind_read_labels(L, S, operation, 5, &fold);
  int64_t *from_zero = lua_newuserdatauv(L, (size_t)s.n * sizeof *from_zero + 1, 0);
  for (int64_t i = 0; i < s.n; i++) {
    from_zero[i] = fold.y[i] - 1;
    if (from_zero[i] < 0 || from_zero[i] >= folds) bind_error(L, operation, "fold %I", (lua_Integer)fold.y[i]);
  }
  estimator_watch watch = read_progress(L, operation, &told);
  peri_dtype dtype = e->type->targets == PERI_TARGET_NUMBERS ? PERI_FLOAT64 : PERI_INT64;
  peri_tensor **handle = bind_new_tensor(L, S);
  int result = lua_gettop(L), fit_status = 0;
  BIND_TRY(L, S, peri_tensor_shaped(S->context, operation, dtype, 2, (int64_t[]){count > 0 ? count : 1, s.n}, handle));
  void *out = (*handle)->data;
  peri_svm_options options = estimator_svm_options(e);
  options.progress = watch.progress;
  options.progress_arg = watch.arg;
  peri_svm_samples given = {s.dtype, s.n, s.d, s.x, s.d, s.y, s.targets, s.weights};
  peri_status status =
      peri_svm_cross_predict(S->context, &options, &given, folds, from_zero, count, Cs, out, &fit_status);
  if (bind_retry(L, status))
    status = peri_svm_cross_predict(S->context, &options, &given, folds, from_zero, count, Cs, out, &fit_status);
  check_fit(L, S, &told, status);
  bind_charge(L, S);
  lua_pushvalue(L, result);
  lua_pushinteger(L, fit_status);
  return 2;
}
