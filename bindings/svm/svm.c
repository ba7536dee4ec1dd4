/* peri.svm: the estimators as userdata; see svm.h. A fit makes a new machine beside the old one and exchanges them
 * at the end. */
#include "svm.h"

#include "bindings/core/names.h"
#include "bindings/core/option_list.h"

#include <math.h>
#include <string.h>

static const estimator_type *const types[] = {&peri_bind_svc,        &peri_bind_nu_svc,    &peri_bind_svr,
                                              &peri_bind_nu_svr,     &peri_bind_one_class, &peri_bind_linear_svc,
                                              &peri_bind_linear_svr, &peri_bind_logistic};

static bool is_fitted(const estimator *e) { return e->machine != NULL; }

/* svm.SVC(options); upvalue 2 is the type */
static int new_estimator(lua_State *L) {
  lua_settop(L, 1);
  estimator_push_new(L, bind_here(L), lua_touserdata(L, lua_upvalueindex(2)), 1);
  return 1;
}

/* ---- calls ---- */

estimator *estimator_begin(lua_State *L, const char *method, int arguments, const char **operation) {
  const estimator_type *type = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, arguments + 1);
  luaL_checkstack(L, 40, method);
  *operation = lua_pushfstring(L, "%s.%s", type->name, method);
  estimator *e = bind_is(L, bind_here(L), 1, type->kind) ? lua_touserdata(L, 1) : NULL;
  if (e == NULL) {
    bind_error(L, *operation, "the first argument must be the estimator (m:%s), got %s", method, bind_describe(L, 1));
  }
  return e;
}

void estimator_check_fitted(lua_State *L, const estimator *e) {
  if (!is_fitted(e)) bind_error(L, e->type->name, "not fitted; call fit first");
}

/* ---- what is computed from a fitted machine ----
 * A finaliser of the script may run whenever Lua allocates, and release the machine or fit another. So the
 * handle comes first, and one function then asks, allocates and computes without Lua in between. */

static peri_status check_still_fitted(const estimator *e) {
  if (is_fitted(e)) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_STATE, "%s: not fitted; call fit first", e->type->name);
}

/* What was read for a machine is not handed to another. */
static peri_status check_same_machine(const estimator *e, const samples *s) {
  if (s->generation == e->generation) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_STATE, "%s: fitted anew by a function that this call has called",
                   e->type->name);
}

static peri_status compute_prediction(const estimator *e, const void *arg, peri_tensor **out) {
  const samples *s = arg;
  PERI_TRY(check_same_machine(e, s));
  PERI_TRY(peri_tensor_shaped(e->context, e->type->name,
                              e->type->targets == PERI_TARGET_NUMBERS ? PERI_FLOAT64 : PERI_INT64, 1, &s->n, out));
  return e->type->predict(e, s, (*out)->data);
}

static peri_status compute_decision(const estimator *e, const void *arg, peri_tensor **out) {
  const samples *s = arg;
  PERI_TRY(check_same_machine(e, s));
  int64_t shape[2] = {s->n, e->type->columns(e)};
  PERI_TRY(peri_tensor_shaped(e->context, e->type->name, PERI_FLOAT64, shape[1] == 1 ? 1 : 2, shape, out));
  return e->type->decide(e, s, (double *)(void *)(*out)->data);
}

static peri_status compute_probabilities(const estimator *e, const void *arg, peri_tensor **out) {
  const samples *s = arg;
  PERI_TRY(check_same_machine(e, s));
  int64_t shape[2] = {s->n, e->type->facts(e).k};
  PERI_TRY(peri_tensor_shaped(e->context, e->type->name, PERI_FLOAT64, 2, shape, out));
  return e->type->probabilities(e, s, (double *)(void *)(*out)->data);
}

/* Leaves *out NULL when the field has no array. */
static peri_status copy_field(const estimator *e, const void *arg, peri_tensor **out) {
  const estimator_field *f = arg;
  estimator_array a = f->array(e);
  bool empty = a.shape[0] == 0 || (a.ndim == 2 && a.shape[1] == 0);
  if (a.data == NULL && !empty) return PERI_OK;
  PERI_TRY(peri_tensor_shaped(e->context, e->type->name, a.dtype, a.ndim, a.shape, out));
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
static const peri_tensor *push_computed(lua_State *L, bind_state *S, const estimator *e, computation compute,
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
  samples s = {.n = 0};
  estimator_read_fresh(L, S, operation, e, &s);
  push_computed(L, S, e, compute, &s);
  bind_charge(L, S);
  return 1;
}

static int predict(lua_State *L) { return compute_from_rows(L, "predict", compute_prediction); }
static int decision_function(lua_State *L) { return compute_from_rows(L, "decision_function", compute_decision); }

static int predict_proba(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "predict_proba", 1, &operation);
  const char *why = e->type->no_probabilities == NULL ? NULL : e->type->no_probabilities(e);
  if (why != NULL) return bind_error(L, operation, "%s", why);
  lua_settop(L, 2);
  return compute_from_rows(L, "predict_proba", compute_probabilities);
}

/* ---- score ---- */

/* The weighted share of labels that are right. */
static double accuracy(const samples *s, const int64_t *predicted, const double *weights, double all) {
  double right = 0;
  for (int64_t i = 0; i < s->n; i++) right += predicted[i] == s->y[i] ? weights == NULL ? 1 : weights[i] : 0;
  return right / all;
}

/* 1 - residual sum of squares / total sum of squares. */
static double r_squared(const samples *s, const double *predicted, const double *weights, double all) {
  double mean = 0, residual = 0, total = 0;
  for (int64_t i = 0; i < s->n; i++) mean += (weights == NULL ? 1 : weights[i]) * s->targets[i] / all;
  for (int64_t i = 0; i < s->n; i++) {
    double w = weights == NULL ? 1 : weights[i];
    residual += w * (s->targets[i] - predicted[i]) * (s->targets[i] - predicted[i]);
    total += w * (s->targets[i] - mean) * (s->targets[i] - mean);
  }
  if (total == 0) return residual == 0 ? 1 : 0; /* targets without variance, as scikit-learn */
  return 1 - residual / total;
}

static int score(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = estimator_begin(L, "score", 3, &operation);
  samples s = {.n = 0};
  double all = 0;
  static const peri_option none[] = {{NULL}};
  static const char *const names[] = {"sample_weight", NULL};
  double unused[1];
  bind_options(L, 4, operation, none, names, unused);
  estimator_read_fresh(L, S, operation, e, &s);
  estimator_read_targets(L, S, operation, e, &s);
  const peri_tensor *prediction = push_computed(L, S, e, compute_prediction, &s);
  for (int64_t i = 0; i < s.n; i++) {
    double weight = s.weights == NULL ? 1 : s.weights[i];
    if (!(weight >= 0) || isinf(weight)) {
      bind_error(L, operation, "entry %I of sample_weight is %f (expected a finite number >= 0)", (lua_Integer)i + 1,
                 weight);
    }
    all += weight;
  }
  if (all == 0) bind_error(L, operation, "X has %I rows%s", (lua_Integer)s.n, s.n > 0 ? ", all of weight 0" : "");
  const void *predicted = prediction->data;
  lua_pushnumber(L, e->type->targets == PERI_TARGET_NUMBERS ? r_squared(&s, predicted, s.weights, all)
                                                            : accuracy(&s, predicted, s.weights, all));
  bind_charge(L, S);
  return 1;
}

/* ---- copies and life ---- */

static int params(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "params", 0, &operation);
  estimator_push_params(L, 1, e);
  return 1;
}

static int clone(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "clone", 1, &operation);
  if (!lua_isnil(L, 2) && !lua_istable(L, 2)) {
    return bind_error(L, operation, "changes must be a table of options, got %s", bind_describe(L, 2));
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
  void *machine = e->machine;
  e->machine = NULL;
  e->generation++;
  if (machine != NULL) e->type->release(e->context, &machine);
}

void estimator_place(estimator *e, void *machine) {
  drop_machine(e);
  e->machine = machine;
}

/* Back to not fitted. */
static int release(lua_State *L) {
  const char *operation;
  drop_machine(estimator_begin(L, "release", 0, &operation));
  lua_pushnil(L);
  lua_setiuservalue(L, 1, ESTIMATOR_TENSORS);
  return 0;
}

static void collect(void *object) { drop_machine(object); }

/* ---- fields ---- */

/* Pushes a copy of the support vectors of a machine whose kernel is a function. */
static void push_vectors(lua_State *L, bind_state *S) {
  peri_tensor **handle = bind_new_tensor(L, S);
  lua_getiuservalue(L, 1, ESTIMATOR_VECTORS);
  peri_tensor *vectors = bind_check_tensor(L, S, -1, "support_vectors", "the estimator's");
  BIND_TRY(L, S, peri_tensor_copy(vectors, vectors->layout.dtype, handle));
  lua_pop(L, 1);
}

/* Pushes the field, from the user value when it was read before. */
static void push_field(lua_State *L, bind_state *S, const estimator *e, const estimator_field *f) {
  if (f->push != NULL) {
    f->push(L, e);
    return;
  }
  lua_getiuservalue(L, 1, ESTIMATOR_TENSORS);
  lua_pushstring(L, f->name);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (bind_to_tensor(L, S, -1) != NULL) return;
  lua_pop(L, 1);
  if (e->has_function && strcmp(f->name, "support_vectors") == 0) {
    push_vectors(L, S);
  } else {
    push_computed(L, S, e, copy_field, f);
  }
  lua_pushvalue(L, -1);
  lua_insert(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  bind_charge(L, S);
}

static const estimator_field *find_field(const estimator_type *type, const char *name) {
  for (const estimator_field *f = type->fields; f->name != NULL; f++) {
    if (strcmp(f->name, name) == 0) return f;
  }
  return NULL;
}

static bool has_option(const estimator_type *type, const char *name) {
  for (const peri_option *option = type->options; option->name != NULL; option++) {
    if (strcmp(option->name, name) == 0) return true;
  }
  for (const char *const *also = type->also; *also != NULL; also++) {
    if (strcmp(*also, name) == 0) return true;
  }
  return false;
}

static int no_field(lua_State *L, const estimator_type *type) {
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  for (const estimator_field *f = type->fields; f->name != NULL; f++) bind_guess_name(&guess, f->name);
  bind_guess_options(&guess, type->options);
  bind_guess_names(&guess, type->also);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2);
  return bind_no_field(L, type->name, name, &guess);
}

/* m.name; upvalue 3 holds the methods. What is a field of the fit and an option too is the option until then. */
static int get_field(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = estimator_begin(L, "field", 1, &operation);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  const estimator_field *f = find_field(e->type, name);
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

static int set_field(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "field", 2, &operation);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2);
  return bind_error(L, e->type->name, "%s cannot be set (m:clone{C = 10} is a copy with other options)", name);
}

/* The options as one would write them, then what it was fitted on. */
static int to_string(lua_State *L) {
  const char *operation;
  const estimator *e = estimator_begin(L, "tostring", 0, &operation);
  estimator_push_text(L, 1, e);
  if (!is_fitted(e)) return 1;
  estimator_facts f = e->type->facts(e);
  lua_pushfstring(L, "%s fitted on %Ix%I", lua_tostring(L, -1), (lua_Integer)f.n, (lua_Integer)f.d);
  if (f.k > 0) lua_pushfstring(L, "%s, %I classes", lua_tostring(L, -1), (lua_Integer)f.k);
  return 1;
}

estimator_array estimator_classes(const estimator *e) {
  estimator_facts f = e->type->facts(e);
  return (estimator_array){PERI_INT64, 1, {f.k}, f.classes};
}
void estimator_push_gap(lua_State *L, const estimator *e) { lua_pushnumber(L, e->type->facts(e).gap); }
void estimator_push_fit_status(lua_State *L, const estimator *e) { lua_pushinteger(L, e->type->facts(e).fit_status); }
void estimator_push_shape_fit(lua_State *L, const estimator *e) {
  estimator_facts f = e->type->facts(e);
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, f.n);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, f.d);
  lua_rawseti(L, -2, 2);
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"fit", estimator_fit,
     "m:fit(X, y, {sample_weight =, progress =}) -> m\n"
     "Learns from X, n x d float32 or float64 (or a Lua table of rows, taken as float64), and y: n whole labels of any "
     "values (int64, floats or a Lua table), for regression n numbers, for OneClassSVM nothing. With kernel = "
     "'precomputed' X is the n x n matrix of kernel values. sample_weight: n numbers >= 0 that multiply C for their "
     "rows; rows of weight 0 are as if absent. progress: a function that is called now and then with {machine =, "
     "machines =, iterations =, gap =} (machines finished, of how many; of the one at work); when it returns false, "
     "the "
     "fit ends there as at a time limit; its error is fit's error. Nothing is recorded for gradients.\n"
     "Errors: shapes or lengths that do not match, labels that are not whole, numbers in X or y that are not finite, "
     "fewer than 2 classes, class_weight of a label that is not in y, a nu that the classes do not allow. After an "
     "error m is what it was before. Reaching max_iter or time_limit is no error: fit_status is 1, gap tells, and a "
     "Lua "
     "warning is given (shown after warn('@on'))."},
    {"predict", predict,
     "m:predict(X) -> labels\n"
     "The label of each row of X (n x d, as in fit): n int64, with the values that y had. SVC and NuSVC: the class "
     "with the most votes of the pairs, the lowest on a tie (or see break_ties), and with probability = true the "
     "likeliest; the linear machines: the class of the largest decision. Regression: n float64. OneClassSVM: 1 inside, "
     "-1 outside. With kernel = 'precomputed' X is n x m, kernel values against the m rows of the fit.\n"
     "Errors: not fitted, another number of features than the fit had, numbers that are not finite."},
    {"decision_function", decision_function,
     "m:decision_function(X) -> decisions\n"
     "Signed distances in units of the margin, float64 whatever X is. Two classes: n, positive for classes[2]. More: "
     "n x k, largest for the likeliest class; with decision_function_shape = 'ovo' (SVC) n x k (k - 1) / 2, a column "
     "for each pair (1,2), (1,3), .. (2,3), .., positive for its first class.\n"
     "Regression and OneClassSVM: n, what predict gives before it is cut to 1 and -1. decision_function can differ in "
     "sign from predict when probability = true.\n"
     "Errors: as predict."},
    {"predict_proba", predict_proba,
     "m:predict_proba(X) -> probabilities\n"
     "n x k float64: the probability of each class, in the order of classes; rows sum to 1, and predict gives the "
     "class of the largest. SVC and NuSVC need probability = true, which fits a sigmoid to the decisions of 5 folds "
     "for each pair of classes, coupled for more than two (with fewer than 5 rows of a class its own decisions tell "
     "how "
     "steep the sigmoid is).\n"
     "Errors: as predict; the machine has no probabilities.\n"
     "Source: J. Platt, Probabilistic outputs for support vector machines, 1999; H.-T. Lin, C.-J. Lin, R. Weng, "
     "Machine "
     "Learning 68, 2007; T.-F. Wu, C.-J. Lin, R. Weng, JMLR 5, 2004 (the second method)."},
    {"score", score,
     "m:score(X, y, {sample_weight =}) -> number\n"
     "The share of rows of X whose label is predicted; for regression R^2, 1 - residual / total sum of squares. "
     "Weighted by sample_weight when given.\n"
     "Errors: as predict, and as fit for y and sample_weight; no rows."},
    {"clone", clone,
     "m:clone(changes) -> estimator\nA new estimator, not fitted, with the options of m; changes = {name = value, ..} "
     "replaces some."},
    {"params", params,
     "m:params() -> table\nThe options and their values, in a table of its own: svm.SVC(m:params())."},
    {"release", release,
     "m:release()\nFrees what was learnt; m is not fitted afterwards. The collector does the same when m is no longer "
     "in use."},
    BIND_HAS("m"),
    {NULL, NULL, NULL}};

static bool has_method(const estimator_type *type, const char *name) {
  if (strcmp(name, "predict_proba") == 0) return type->probabilities != NULL;
  if (strcmp(name, "score") == 0) return type->targets != PERI_TARGET_NONE;
  return true;
}

/* Pushes what lua/svm calls with an estimator: {methods =, restore =, path =, cross_predict =}, methods at index. */
static void push_machine(lua_State *L, bind_state *S, const estimator_type *type, int methods_at) {
  bool shares = type->release == peri_bind_svc.release; /* kernel values */
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, methods_at);
  lua_setfield(L, -2, "methods");
  bind_set_member(L, S, type, "restore", estimator_restore, NULL);
  if (!shares) return;
  bind_set_member(L, S, type, "path", estimator_path, NULL);
  bind_set_member(L, S, type, "cross_predict", estimator_cross_predict, NULL);
}

static const luaL_Reg metamethods[] = {
    {"__close", release}, {"__index", get_field}, {"__newindex", set_field}, {"__tostring", to_string}, {NULL, NULL}};

/* With internal.machines and peri.svm on top of the stack. */
static void open_type(lua_State *L, bind_state *S, const estimator_type *type) {
  bind_class class = {
      .kind = type->kind, .name = type->class_name, .owner = type, .collect = collect, .metamethods = metamethods};
  bind_open_class(L, S, &class, 0);
  for (const bind_function *m = methods; m->name != NULL; m++) {
    if (has_method(type, m->name)) bind_set_member(L, S, type, m->name, m->function, m->doc);
  }
  push_machine(L, S, type, lua_gettop(L));
  lua_setfield(L, -4, type->name);
  lua_pop(L, 1);
  bind_set_member(L, S, type, type->name, new_estimator, type->doc);
}

/* svm.machines(): for help, the reference and the tests, {name, doc, options, also, fields} of each estimator */
static int list_machines(lua_State *L) {
  lua_newtable(L);
  for (size_t n = 0; n < PERI_COUNT(types); n++) {
    lua_createtable(L, 0, 5);
    lua_pushstring(L, types[n]->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, types[n]->doc);
    lua_setfield(L, -2, "doc");
    bind_push_options(L, types[n]->options);
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (int i = 0; types[n]->also[i] != NULL; i++) {
      lua_pushstring(L, types[n]->also[i]);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "also");
    lua_newtable(L);
    for (int i = 0; types[n]->fields[i].name != NULL; i++) {
      lua_pushstring(L, types[n]->fields[i].name);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "fields");
    lua_rawseti(L, -2, (lua_Integer)n + 1);
  }
  return 1;
}

void bind_open_svm(lua_State *L, bind_state *S) {
  bind_push_internal(L);
  int internal = lua_gettop(L);
  lua_newtable(L);
  lua_newtable(L);
  for (size_t t = 0; t < PERI_COUNT(types); t++) open_type(L, S, types[t]);
  bind_set_member(L, S, NULL, "machines", list_machines, NULL);
  lua_insert(L, internal);
  lua_setfield(L, internal + 1, "machines");
  lua_settop(L, internal);
}
