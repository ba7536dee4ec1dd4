/* What all estimators do alike: calls, what is computed from a fitted machine, copies, life and fields; see svm.h. A
 * fit makes a new machine beside the old one and exchanges them at the end. */
#include "svm.h"

#include "bindings/core/names.h"

#include "data/measures.h"

#include <math.h>
#include <string.h>

static bool is_fitted(const estimator *e) { return e->m.fitted != NULL; }

/* ---- calls ---- */

estimator *estimator_begin(lua_State *L, const char *method, int arguments, const char **operation) {
  const estimator_type *type = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, arguments + 1);
  luaL_checkstack(L, 40, method);
  *operation = lua_pushfstring(L, "%s.%s", type->row->name, method);
  estimator *e = bind_is(L, bind_here(L), 1, type->kind) ? lua_touserdata(L, 1) : NULL;
  if (e == NULL) {
    bind_error(L, *operation, "called with %s (expected m:%s(...))", bind_describe(L, 1), method);
  }
  return e;
}

void estimator_check_fitted(lua_State *L, const estimator *e) {
  if (!is_fitted(e)) bind_error(L, e->type->row->name, "not fitted; call fit first");
}

/* ---- what is computed from a fitted machine ----
 * A finaliser of the script may run whenever Lua allocates, and release the machine or fit another. So the
 * handle comes first, and one function then asks, allocates and computes without Lua in between. */

static peri_status check_still_fitted(const estimator *e) {
  if (is_fitted(e)) return PERI_OK;
  return peri_fail(e->m.context, PERI_ERR_STATE, "%s: not fitted; call fit first", e->type->row->name);
}

/* What was read for a machine is not handed to another. */
static peri_status check_same_machine(const estimator *e, const estimator_rows *rows) {
  if (rows->generation == e->generation) return PERI_OK;
  return peri_fail(e->m.context, PERI_ERR_STATE, "%s: fitted anew by a function that this call has called",
                   e->type->row->name);
}

static peri_status compute_prediction(const estimator *e, const void *arg, peri_tensor **out) {
  const estimator_rows *rows = arg;
  const peri_svm_samples *s = &rows->samples;
  PERI_TRY(check_same_machine(e, rows));
  PERI_TRY(peri_tensor_shaped(e->m.context, e->type->row->name,
                              e->type->row->targets == PERI_TARGET_NUMBERS ? PERI_FLOAT64 : PERI_INT64, 1, &s->n, out));
  return e->type->row->predict(&e->m, s, (*out)->data);
}

static peri_status compute_decision(const estimator *e, const void *arg, peri_tensor **out) {
  const estimator_rows *rows = arg;
  const peri_svm_samples *s = &rows->samples;
  PERI_TRY(check_same_machine(e, rows));
  int64_t shape[2] = {s->n, e->type->row->columns(&e->m)};
  PERI_TRY(peri_tensor_shaped(e->m.context, e->type->row->name, PERI_FLOAT64, shape[1] == 1 ? 1 : 2, shape, out));
  return e->type->row->decide(&e->m, s, (double *)(void *)(*out)->data);
}

static peri_status compute_probabilities(const estimator *e, const void *arg, peri_tensor **out) {
  const estimator_rows *rows = arg;
  const peri_svm_samples *s = &rows->samples;
  PERI_TRY(check_same_machine(e, rows));
  int64_t shape[2] = {s->n, e->type->row->facts(&e->m).k};
  PERI_TRY(peri_tensor_shaped(e->m.context, e->type->row->name, PERI_FLOAT64, 2, shape, out));
  return e->type->row->probabilities(&e->m, s, (double *)(void *)(*out)->data);
}

/* Leaves *out NULL when the field has no array. */
static peri_status copy_field(const estimator *e, const void *arg, peri_tensor **out) {
  const peri_machine_field *f = arg;
  peri_machine_array a = f->array(&e->m);
  bool empty = a.shape[0] == 0 || (a.ndim == 2 && a.shape[1] == 0);
  if (a.data == NULL && !empty) return PERI_OK;
  PERI_TRY(peri_tensor_shaped(e->m.context, e->type->row->name, a.dtype, a.ndim, a.shape, out));
  if ((*out)->layout.numel > 0) memcpy((*out)->data, a.data, (size_t)(*out)->layout.numel * peri_dtype_size(a.dtype));
  for (int64_t i = 0; f->first != 0 && i < a.shape[0]; i++) ((int64_t *)(void *)(*out)->data)[i] += f->first;
  return PERI_OK;
}

typedef peri_status (*computation)(const estimator *e, const void *arg, peri_tensor **out);

static peri_status run_computation(const estimator *e, computation compute, const void *arg, peri_tensor **out) {
  PERI_TRY(check_still_fitted(e));
  peri_status status = compute(e, arg, out);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* Pushes what is computed, or nil. */
static peri_tensor *push_computed(lua_State *L, bind_state *S, const estimator *e, computation compute,
                                  const void *arg) {
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, run_computation(e, compute, arg, handle));
  if (*handle == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return NULL;
  }
  return *handle;
}

static int compute_from_rows(lua_State *L, const char *method, computation compute) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = estimator_begin(L, method, 1, &operation);
  estimator_rows rows = {.samples = {.n = 0}};
  estimator_read_fresh(L, S, operation, e, &rows);
  push_computed(L, S, e, compute, &rows);
  bind_charge(L, S);
  return 1;
}

int estimator_predict(lua_State *L) { return compute_from_rows(L, "predict", compute_prediction); }
int estimator_decision_function(lua_State *L) { return compute_from_rows(L, "decision_function", compute_decision); }

int estimator_predict_proba(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "predict_proba", 1, &operation);
  const char *why = e->type->row->no_probabilities == NULL ? NULL : e->type->row->no_probabilities(&e->m);
  if (why != NULL) return bind_error(L, operation, "%s", why);
  lua_settop(L, 2);
  return compute_from_rows(L, "predict_proba", compute_probabilities);
}

/* ---- score ---- */

int estimator_score(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = estimator_begin(L, "score", 3, &operation);
  estimator_rows rows = {.samples = {.n = 0}};
  const peri_svm_samples *s = &rows.samples;
  double all = 0;
  static const peri_option none[] = {{NULL}};
  static const char *const names[] = {"sample_weight", NULL};
  double unused[1];
  bind_options(L, 4, operation, none, names, unused);
  estimator_read_fresh(L, S, operation, e, &rows);
  estimator_read_targets(L, S, operation, e, &rows.samples);
  peri_tensor *prediction = push_computed(L, S, e, compute_prediction, &rows);
  for (int64_t i = 0; i < s->n; i++) {
    double weight = s->weights == NULL ? 1 : s->weights[i];
    if (!(weight >= 0) || isinf(weight)) {
      bind_error(L, operation, "entry %I of sample_weight is %f (expected a finite number >= 0)", (lua_Integer)i + 1,
                 weight);
    }
    all += weight;
  }
  if (all == 0) bind_error(L, operation, "X has %I rows%s", (lua_Integer)s->n, s->n > 0 ? ", all of weight 0" : "");
  if (e->type->row->targets == PERI_TARGET_NUMBERS) {
    double *off = (double *)(void *)prediction->data; /* nobody else has it */
    for (int64_t i = 0; i < s->n; i++) off[i] = s->targets[i] - off[i];
    lua_pushnumber(L, peri_measure_r_squared(s->n, s->targets, off, s->weights));
  } else {
    lua_pushnumber(L, peri_measure_accuracy(s->n, s->labels, (const void *)prediction->data, s->weights));
  }
  bind_charge(L, S);
  return 1;
}

/* ---- copies and life ---- */

int estimator_params(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "params", 0, &operation);
  estimator_push_params(L, 1, e);
  return 1;
}

int estimator_clone(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "clone", 1, &operation);
  if (!lua_isnil(L, 2) && !lua_istable(L, 2)) {
    return bind_error(L, operation, "changes must be a table, got %s", bind_describe(L, 2));
  }
  estimator_push_params(L, 1, e);
  for (lua_pushnil(L); lua_istable(L, 2) && lua_next(L, 2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 4);
  }
  lua_settop(L, 4);
  estimator_push_new(L, bind_here(L), e->type, 4);
  return 1;
}

static void drop_machine(estimator *e) {
  void *machine = e->m.fitted;
  e->m.fitted = NULL;
  e->generation++;
  if (machine != NULL) e->type->row->release(e->m.context, &machine);
}

void estimator_place(estimator *e, void *machine) {
  drop_machine(e);
  e->m.fitted = machine;
}

/* Back to not fitted. */
int estimator_release(lua_State *L) {
  const char *operation;
  drop_machine(estimator_begin(L, "release", 0, &operation));
  lua_pushnil(L);
  lua_setiuservalue(L, 1, ESTIMATOR_TENSORS);
  return 0;
}

void estimator_collect(void *object) { drop_machine(object); }

/* ---- fields ---- */

/* Pushes a copy of the tensor that the estimator keeps in a user value. */
static void push_kept(lua_State *L, bind_state *S, int value) {
  peri_tensor **handle = bind_new_tensor(L, S);
  lua_getiuservalue(L, 1, value);
  peri_tensor *kept = bind_check_tensor(L, S, -1, "field", "the estimator's");
  BIND_TRY(L, S, peri_tensor_copy(kept, kept->layout.dtype, handle));
  lua_pop(L, 1);
}

/* Pushes a field that is no array. */
static void push_value(lua_State *L, const estimator *e, const peri_machine_field *f) {
  if (f->number != NULL) {
    double value = f->number(&e->m);
    if (f->whole)
      lua_pushinteger(L, (lua_Integer)value);
    else
      lua_pushnumber(L, value);
    return;
  }
  peri_machine_facts facts = e->type->row->facts(&e->m); /* shape_fit */
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, facts.n);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, facts.d);
  lua_rawseti(L, -2, 2);
}

/* Pushes the field, from the user value when it was read before. */
static void push_field(lua_State *L, bind_state *S, const estimator *e, const peri_machine_field *f) {
  if (f->array == NULL) {
    push_value(L, e, f);
    return;
  }
  lua_getiuservalue(L, 1, ESTIMATOR_TENSORS);
  lua_pushstring(L, f->name);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (bind_to_tensor(L, S, -1) != NULL) return;
  lua_pop(L, 1);
  if (e->m.has_function && f->kept) {
    push_kept(L, S, ESTIMATOR_VECTORS);
  } else {
    push_computed(L, S, e, copy_field, f);
  }
  lua_pushvalue(L, -1);
  lua_insert(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  bind_charge(L, S);
}

static const peri_machine_field *find_field(const estimator_type *type, const char *name) {
  for (const peri_machine_field *f = type->row->fields; f->name != NULL; f++) {
    if (strcmp(f->name, name) == 0) return f;
  }
  return NULL;
}

static bool has_option(const estimator_type *type, const char *name) {
  for (const peri_option *option = type->row->options; option->name != NULL; option++) {
    if (strcmp(option->name, name) == 0) return true;
  }
  return estimator_find_also(type, name) != NULL;
}

static int no_field(lua_State *L, const estimator_type *type) {
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  for (const peri_machine_field *f = type->row->fields; f->name != NULL; f++) bind_guess_name(&guess, f->name);
  bind_guess_options(&guess, type->row->options);
  for (const estimator_also *also = type->also; also->name != NULL; also++) bind_guess_name(&guess, also->name);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2);
  return bind_no_field(L, type->row->name, name, &guess);
}

/* m.name; upvalue 3 holds the methods. What is a field of the fit and an option too is the option until then. */
int estimator_get_field(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = estimator_begin(L, "field", 1, &operation);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  const peri_machine_field *f = find_field(e->type, name);
  if (f != NULL && is_fitted(e)) {
    push_field(L, S, e, f);
  } else if (has_option(e->type, name)) {
    estimator_push_option(L, 1, e, name);
  } else if (f != NULL) {
    estimator_check_fitted(L, e);
  } else {
    return no_field(L, e->type);
  }
  return 1;
}

int estimator_set_field(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "field", 2, &operation);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2);
  return bind_error(L, e->type->row->name, "%s cannot be set (m:clone{C = 10} is a copy with other options)", name);
}

/* The options as one would write them, then what it was fitted on. */
int estimator_to_string(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "tostring", 0, &operation);
  estimator_push_text(L, 1, e);
  if (!is_fitted(e)) return 1;
  peri_machine_facts f = e->type->row->facts(&e->m);
  lua_pushfstring(L, "%s fitted on %Ix%I", lua_tostring(L, -1), (lua_Integer)f.n, (lua_Integer)f.d);
  if (f.k > 0) lua_pushfstring(L, "%s, %I classes", lua_tostring(L, -1), (lua_Integer)f.k);
  return 1;
}
