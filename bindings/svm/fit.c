/* Fitting estimators: what is read, progress, kernels that are Lua functions; see svm.h. */
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
                        peri_svm_samples *s) {
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
  peri_svm_samples of_values = {.n = 0};
  bind_read_features(L, S, operation, lua_gettop(L), &of_values); /* contiguous */
  s->dtype = of_values.dtype;
  s->x = of_values.x;
}

void estimator_push_rows(lua_State *L, bind_state *S, int index, peri_machine_support rows) {
  const peri_tensor *from = bind_to_tensor(L, S, index);
  peri_dtype dtype = from->layout.dtype;
  size_t row_bytes = (size_t)from->layout.shape[1] * peri_dtype_size(dtype);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S,
           peri_tensor_shaped(S->context, "fit", dtype, 2, (int64_t[]){rows.count, from->layout.shape[1]}, handle));
  for (int64_t i = 0; i < rows.count; i++) {
    memcpy((*handle)->data + (size_t)i * row_bytes, from->data + (size_t)rows.rows[i] * row_bytes, row_bytes);
  }
}

/* ---- what is read ---- */

static void read_y(lua_State *L, bind_state *S, const char *operation, const estimator *e, peri_svm_samples *s) {
  if (e->type->row->targets == PERI_TARGET_LABELS) bind_read_labels(L, S, operation, 3, s);
  if (e->type->row->targets == PERI_TARGET_NUMBERS) bind_read_targets(L, S, operation, 3, s);
  if (e->type->row->targets == PERI_TARGET_NONE && !lua_isnil(L, 3)) {
    bind_error(L, operation, "y is %s (expected nil: there are no labels)", bind_describe(L, 3));
  }
}

void estimator_read_targets(lua_State *L, bind_state *S, const char *operation, const estimator *e,
                            peri_svm_samples *s) {
  read_y(L, S, operation, e, s);
  if (bind_push_entry(L, 4, "sample_weight") != LUA_TNIL) {
    bind_read_weights(L, S, operation, lua_gettop(L), s);
  }
}

int estimator_read_samples(lua_State *L, bind_state *S, const char *operation, const estimator *e,
                           peri_svm_samples *s) {
  bind_read_features(L, S, operation, 2, s);
  int x = lua_gettop(L);
  estimator_read_targets(L, S, operation, e, s);
  if (!e->m.has_function) return x;
  BIND_TRY(L, S, e->type->row->check(&e->m, s));
  call_kernel(L, S, operation, x, x, s->n, s->n, s);
  s->d = s->ldx = s->n;
  return x;
}

void estimator_read_fresh(lua_State *L, bind_state *S, const char *operation, const estimator *e,
                          estimator_rows *rows) {
  peri_svm_samples *s = &rows->samples;
  bind_read_features(L, S, operation, 2, s);
  int x = lua_gettop(L);
  estimator_check_fitted(L, e);
  rows->generation = e->generation;
  lua_Integer fitted = e->type->row->facts(&e->m).d;
  if (s->d != fitted) {
    bind_error(L, operation, "X has %I features but the fit had %I", (lua_Integer)s->d, fitted);
  }
  if (!e->m.has_function) return;
  lua_getiuservalue(L, 1, ESTIMATOR_VECTORS);
  int64_t supports = bind_check_tensor(L, S, -1, operation, "support_vectors")->layout.shape[0];
  if (supports > 0) call_kernel(L, S, operation, x, lua_gettop(L), s->n, supports, s);
  s->d = s->ldx = supports;
}

/* ---- progress ---- */

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
  estimator_reporter *self = arg;
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

peri_machine_watch estimator_read_progress(lua_State *L, const char *operation, estimator_reporter *out) {
  int kind = bind_push_entry(L, 4, "progress");
  if (kind != LUA_TNIL && kind != LUA_TFUNCTION) {
    bind_error(L, operation, "progress must be a function, got %s", bind_describe(L, -1));
  }
  lua_pushnil(L);
  *out = (estimator_reporter){.L = L, .function = lua_gettop(L) - 1, .error = lua_gettop(L)};
  return kind == LUA_TNIL ? (peri_machine_watch){NULL, NULL} : (peri_machine_watch){report, out};
}

void estimator_check_fit(lua_State *L, bind_state *S, const estimator_reporter *r, peri_status status) {
  if (status != PERI_OK && !lua_isnil(L, r->error)) {
    lua_pushvalue(L, r->error);
    lua_error(L);
  }
  if (status != PERI_OK) bind_raise(L, S, status);
}

/* ---- fit ---- */

void estimator_check_call(lua_State *L, const char *operation, const estimator *e) {
  static const peri_option none[] = {{NULL}};
  static const char *const names[] = {"progress", "sample_weight", NULL};
  double unused[1];
  bind_options(L, 4, operation, none, e->type->row->reports ? names : names + 1, unused);
}

void estimator_warn_unless_converged(lua_State *L, const char *operation, const estimator *e) {
  peri_machine_facts f = e->type->row->facts(&e->m);
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
  e->m.features = features;
  lua_pushvalue(L, tensors);
  lua_setiuservalue(L, index, ESTIMATOR_TENSORS);
  if (!e->m.has_function) return;
  lua_pushvalue(L, vectors);
  lua_setiuservalue(L, index, ESTIMATOR_VECTORS);
}

int estimator_fit(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator_reporter told;
  estimator *e = estimator_begin(L, "fit", 3, &operation);
  peri_svm_samples s = {.n = 0};
  estimator_check_call(L, operation, e);
  int x = estimator_read_samples(L, S, operation, e, &s);
  peri_machine_watch watch = estimator_read_progress(L, operation, &told);
  lua_newtable(L); /* for the new machine's tensors */
  int tensors = lua_gettop(L);
  /* the machine waits in an estimator of its own until nothing can raise any more */
  lua_newtable(L);
  estimator *waiting = estimator_push_new(L, S, e->type, tensors + 1);
  waiting->m.has_function = false;
  void *machine;
  peri_status status = e->type->row->fit(&e->m, &s, &watch, &machine);
  if (bind_retry(L, status)) status = e->type->row->fit(&e->m, &s, &watch, &machine);
  estimator_check_fit(L, S, &told, status);
  waiting->m.fitted = machine;
  int64_t features = s.d;
  if (e->m.has_function) {
    features = bind_to_tensor(L, S, x)->layout.shape[1];
    estimator_push_rows(L, S, x, e->type->row->support(machine));
  }
  waiting->m.fitted = NULL;
  settle(L, 1, e, machine, tensors, lua_gettop(L), features);
  estimator_warn_unless_converged(L, operation, e);
  bind_charge(L, S);
  lua_settop(L, 1);
  return 1;
}
