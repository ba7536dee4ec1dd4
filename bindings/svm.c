/* peri.svm: the estimators SVC and LinearSVC as userdata; see svm.h.
 *
 * An estimator's user value is the table of tensors made so far of the machine's arrays, by field. A fit
 * makes a new machine beside the old one and exchanges them at the end. */
#include "svm.h"
#include "option_list.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_fitted(const estimator *e) { return e->svc != NULL || e->linear != NULL; }

/* ---- options ---- */

/* Pushes the entry of the table at index (nil when there is no table), asking no metatable. */
static int push_entry(lua_State *L, int index, const char *name) {
  if (!lua_istable(L, index)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  index = lua_absindex(L, index);
  lua_pushstring(L, name);
  return lua_rawget(L, index);
}

static void check_positive(lua_State *L, const estimator_type *type, const double *values) {
  for (int i = 0; type->options[i].name != NULL; i++) {
    if (bind_choice(type->positive, type->options[i].name) < 0 || values[i] > 0) continue;
    bind_error(L, type->name, "%s is %f (expected a number > 0)", type->options[i].name, values[i]);
  }
}

static void read_gamma(lua_State *L, const estimator_type *type, int index, peri_gamma_mode *mode, double *gamma) {
  int kind = push_entry(L, index, "gamma");
  *mode = PERI_GAMMA_SCALE;
  *gamma = 0;
  if (kind == LUA_TNUMBER) {
    *mode = PERI_GAMMA_VALUE;
    *gamma = lua_tonumber(L, -1);
    if (!(*gamma > 0) || isinf(*gamma)) bind_error(L, type->name, "gamma is %f (expected a finite number > 0)", *gamma);
  } else if (kind != LUA_TNIL) {
    int choice = kind == LUA_TSTRING ? bind_choice("scale auto", lua_tostring(L, -1)) : -1;
    if (choice < 0) bind_error(L, type->name, "gamma must be scale, auto or a number, got %s", bind_describe(L, -1));
    *mode = choice == 0 ? PERI_GAMMA_SCALE : PERI_GAMMA_AUTO;
  }
  lua_pop(L, 1);
}

/* Checks the class_weight at the stack's top and returns how many labels it lists. */
static size_t check_class_weight(lua_State *L, const estimator_type *type) {
  size_t n = 0;
  int kind = lua_type(L, -1);
  if (kind == LUA_TNIL) return 0;
  if (kind == LUA_TSTRING && strcmp(lua_tostring(L, -1), "balanced") == 0) return 0;
  if (kind != LUA_TTABLE) {
    bind_error(L, type->name, "class_weight must be 'balanced' or a table {[label] = weight}, got %s",
               bind_describe(L, -1));
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), n++) {
    if (!lua_isinteger(L, -2)) {
      bind_error(L, type->name, "class_weight has the label %s (expected a whole number)", bind_describe(L, -2));
    }
    lua_Integer label = lua_tointeger(L, -2);
    double weight = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(weight > 0) || isinf(weight)) {
      bind_error(L, type->name, "class_weight of %I is %s (expected a finite number > 0)", label, bind_describe(L, -1));
    }
  }
  return n;
}

/* Fills e from the checked class_weight at index, of at most `room` labels. */
static void read_class_weight(lua_State *L, estimator *e, int index, size_t room) {
  e->weighted = !lua_isnil(L, index);
  e->balanced = lua_type(L, index) == LUA_TSTRING;
  if (!lua_istable(L, index)) return;
  lua_pushnil(L);
  for (; room > 0 && lua_next(L, index); room--, lua_pop(L, 1)) {
    int64_t at = e->weights++, label = lua_tointeger(L, -2);
    for (; at > 0 && e->list[at - 1].label > label; at--) e->list[at] = e->list[at - 1];
    e->list[at] = (peri_class_weight){label, lua_tonumber(L, -1)};
  }
}

static void push_class_weight(lua_State *L, const estimator *e) {
  if (!e->weighted) {
    lua_pushnil(L);
  } else if (e->balanced) {
    lua_pushliteral(L, "balanced");
  } else {
    lua_newtable(L);
    for (int64_t i = 0; i < e->weights; i++) {
      lua_pushnumber(L, e->list[i].weight);
      lua_rawseti(L, -2, e->list[i].label);
    }
  }
}

static void push_gamma_option(lua_State *L, const estimator *e) {
  if (e->gamma_mode == PERI_GAMMA_VALUE) {
    lua_pushnumber(L, e->gamma);
  } else {
    lua_pushstring(L, e->gamma_mode == PERI_GAMMA_AUTO ? "auto" : "scale");
  }
}

/* Pushes the value of an option that the type has. */
static void push_option(lua_State *L, const estimator *e, const char *name) {
  if (bind_push_named_option(L, e->type->options, e->values, name)) return;
  if (strcmp(name, "gamma") == 0) {
    push_gamma_option(L, e);
  } else {
    push_class_weight(L, e);
  }
}

/* Pushes a table of all options with their values. */
static void push_params(lua_State *L, const estimator *e) {
  lua_newtable(L);
  for (const peri_option *option = e->type->options; option->name != NULL; option++) {
    push_option(L, e, option->name);
    lua_setfield(L, -2, option->name);
  }
  for (const char *const *name = e->type->also; *name != NULL; name++) {
    push_option(L, e, *name);
    lua_setfield(L, -2, *name);
  }
}

/* Pushes an unfitted estimator with the options at index. */
static void push_estimator(lua_State *L, bind_state *S, const estimator_type *type, int index) {
  double values[PERI_MAX_OPTIONS], gamma = 0;
  peri_gamma_mode mode = PERI_GAMMA_SCALE;
  bind_options(L, index, type->name, type->options, type->also, values);
  check_positive(L, type, values);
  if (type == &peri_bind_svc) read_gamma(L, type, index, &mode, &gamma);
  push_entry(L, index, "class_weight");
  int weights_at = lua_gettop(L);
  size_t weights = check_class_weight(L, type);
  estimator *e = lua_newuserdatauv(L, sizeof *e + weights * sizeof *e->list, 1);
  *e = (estimator){.context = S->context, .type = type, .gamma_mode = mode, .gamma = gamma};
  memcpy(e->values, values, sizeof values);
  luaL_setmetatable(L, type->metatable);
  read_class_weight(L, e, weights_at, weights);
  lua_settop(L, weights_at + 1);
  lua_remove(L, weights_at);
}

/* svm.SVC(options), svm.LinearSVC(options); upvalue 2 is the type */
static int new_estimator(lua_State *L) {
  lua_settop(L, 1);
  push_estimator(L, bind_here(L), lua_touserdata(L, lua_upvalueindex(2)), 1);
  return 1;
}

/* ---- calls ---- */

/* A method's estimator and name, "SVC.fit"; the stack gets `arguments` entries and the name. */
static estimator *begin(lua_State *L, const char *method, int arguments, const char **operation) {
  const estimator_type *type = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, arguments + 1);
  luaL_checkstack(L, 20, method);
  *operation = lua_pushfstring(L, "%s.%s", type->name, method);
  estimator *e = luaL_testudata(L, 1, type->metatable);
  if (e == NULL) {
    bind_error(L, *operation, "the first argument must be the estimator (m:%s), got %s", method, bind_describe(L, 1));
  }
  return e;
}

static void check_fitted(lua_State *L, const estimator *e) {
  if (!is_fitted(e)) bind_error(L, e->type->name, "not fitted; call fit first");
}

/* The features of a fitted estimator's call. */
static void read_fresh_features(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s) {
  check_fitted(L, e);
  bind_read_features(L, S, operation, 2, s);
  check_fitted(L, e);
  lua_Integer fitted = e->type->facts(e).d;
  if (s->d == fitted) return;
  bind_error(L, operation, "X has %I features but the fit had %I", (lua_Integer)s->d, fitted);
}

/* Reads X, y and {sample_weight =} at 2, 3 and 4. */
static void read_labelled(lua_State *L, bind_state *S, const char *operation, samples *s) {
  bind_read_labels(L, S, operation, 3, s);
  if (push_entry(L, 4, "sample_weight") != LUA_TNIL) bind_read_weights(L, S, operation, lua_gettop(L), s);
}

static void check_call_options(lua_State *L, const char *operation) {
  static const peri_option none[] = {{NULL}};
  static const char *const names[] = {"sample_weight", NULL};
  double unused[1];
  bind_options(L, 4, operation, none, names, unused);
}

/* ---- methods ---- */

static void warn_unless_converged(lua_State *L, const char *operation, const estimator *e) {
  estimator_facts f = e->type->facts(e);
  if (f.fit_status == 0) return;
  lua_pushfstring(
      L,
      "%s: max_iter came before tol: a violation of %f is left (scale the features, raise max_iter or tol, or lower C)",
      operation, f.gap);
  lua_warning(L, lua_tostring(L, -1), 0);
}

static int fit(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  estimator *e = begin(L, "fit", 3, &operation);
  samples s = {.n = 0};
  check_call_options(L, operation);
  bind_read_features(L, S, operation, 2, &s);
  read_labelled(L, S, operation, &s);
  lua_newtable(L); /* for the new machine's tensors; from here to its place nothing can raise but a failed fit */
  int tries = 0;
  peri_status status;
  do {
    status = e->type->fit(e, &s);
  } while (bind_retry(L, S, status, &tries));
  bind_check(L, S, status);
  lua_setiuservalue(L, 1, 1);
  warn_unless_converged(L, operation, e);
  bind_charge(L, S);
  lua_settop(L, 1);
  return 1;
}

/* ---- what is computed from a fitted machine ----
 * A finaliser of the script may run whenever Lua allocates, and release the machine or fit another. So the
 * handle comes first, and one function then asks, allocates and computes without Lua in between. */

static peri_status check_still_fitted(const estimator *e) {
  if (is_fitted(e)) return PERI_OK;
  return peri_fail(e->context, PERI_ERR_STATE, "%s: not fitted; call fit first", e->type->name);
}

static peri_status new_array(const estimator *e, peri_dtype dtype, int ndim, const int64_t *shape, peri_tensor **out) {
  peri_layout layout = {.dtype = dtype, .ndim = ndim};
  memcpy(layout.shape, shape, (size_t)ndim * sizeof *shape);
  PERI_TRY(peri_layout_contiguous(e->context, e->type->name, &layout));
  return peri_tensor_empty(e->context, &layout, out);
}

static peri_status compute_prediction(const estimator *e, const void *arg, peri_tensor **out) {
  const samples *s = arg;
  PERI_TRY(new_array(e, PERI_INT64, 1, &s->n, out));
  return e->type->predict(e, s, (int64_t *)(void *)(*out)->data);
}

static peri_status compute_decision(const estimator *e, const void *arg, peri_tensor **out) {
  const samples *s = arg;
  int64_t shape[2] = {s->n, e->type->columns(e)};
  PERI_TRY(new_array(e, PERI_FLOAT64, shape[1] == 1 ? 1 : 2, shape, out));
  return e->type->decide(e, s, (double *)(void *)(*out)->data);
}

/* Leaves *out NULL when the field has no array. */
static peri_status copy_field(const estimator *e, const void *arg, peri_tensor **out) {
  const estimator_field *f = arg;
  estimator_array a = f->array(e);
  if (a.data == NULL && a.shape[0] > 0) return PERI_OK;
  PERI_TRY(new_array(e, a.dtype, a.ndim, a.shape, out));
  if ((*out)->layout.numel > 0) memcpy((*out)->data, a.data, (size_t)(*out)->layout.numel * peri_dtype_size(a.dtype));
  for (int64_t i = 0; f->first != 0 && i < a.shape[0]; i++) ((int64_t *)(void *)(*out)->data)[i] += f->first;
  return PERI_OK;
}

typedef peri_status (*computation)(const estimator *e, const void *arg, peri_tensor **out);

/* Pushes what is computed, or nil. */
static const peri_tensor *push_computed(lua_State *L, bind_state *S, const estimator *e, computation compute,
                                        const void *arg) {
  peri_tensor **handle = bind_new_tensor(L, S);
  int tries = 0;
  peri_status status;
  do {
    status = check_still_fitted(e);
    if (status == PERI_OK) status = compute(e, arg, handle);
    if (status != PERI_OK) peri_tensor_release(handle);
  } while (bind_retry(L, S, status, &tries));
  bind_check(L, S, status);
  if (*handle == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return NULL;
  }
  return *handle;
}

static int predict(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = begin(L, "predict", 1, &operation);
  samples s = {.n = 0};
  read_fresh_features(L, S, operation, e, &s);
  push_computed(L, S, e, compute_prediction, &s);
  bind_charge(L, S);
  return 1;
}

static int decision_function(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = begin(L, "decision_function", 1, &operation);
  samples s = {.n = 0};
  read_fresh_features(L, S, operation, e, &s);
  push_computed(L, S, e, compute_decision, &s);
  bind_charge(L, S);
  return 1;
}

static int score(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = begin(L, "score", 3, &operation);
  samples s = {.n = 0};
  double right = 0, all = 0;
  check_call_options(L, operation);
  read_fresh_features(L, S, operation, e, &s);
  read_labelled(L, S, operation, &s);
  const peri_tensor *prediction = push_computed(L, S, e, compute_prediction, &s);
  const int64_t *predicted = (const int64_t *)(const void *)prediction->data;
  for (int64_t i = 0; i < s.n; i++) {
    double weight = s.weights == NULL ? 1 : s.weights[i];
    if (!(weight >= 0) || isinf(weight)) {
      bind_error(L, operation, "entry %I of sample_weight is %f (expected a finite number >= 0)", (lua_Integer)i + 1,
                 weight);
    }
    all += weight;
    if (predicted[i] == s.y[i]) right += weight;
  }
  if (all == 0) bind_error(L, operation, "X has %I rows%s", (lua_Integer)s.n, s.n > 0 ? ", all of weight 0" : "");
  lua_pushnumber(L, right / all);
  bind_charge(L, S);
  return 1;
}

/* Copies the entries of the table at index into the one on top of the stack. */
static void copy_entries(lua_State *L, int index) {
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
}

static int params(lua_State *L) {
  const char *operation;
  const estimator *e = begin(L, "params", 0, &operation);
  push_params(L, e);
  return 1;
}

static int clone(lua_State *L) {
  const char *operation;
  const estimator *e = begin(L, "clone", 1, &operation);
  if (!lua_isnil(L, 2) && !lua_istable(L, 2)) {
    return bind_error(L, operation, "changes must be a table of options, got %s", bind_describe(L, 2));
  }
  push_params(L, e);
  if (lua_istable(L, 2)) copy_entries(L, 2);
  push_estimator(L, bind_here(L), e->type, lua_gettop(L));
  return 1;
}

static void drop_machine(estimator *e) {
  peri_svc_release(e->context, &e->svc);
  peri_linear_svc_release(e->context, &e->linear);
}

/* Back to not fitted. */
static int release(lua_State *L) {
  const char *operation;
  drop_machine(begin(L, "release", 0, &operation));
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* The finaliser: as release, but without a message to make. */
static int collect(lua_State *L) {
  const estimator_type *type = lua_touserdata(L, lua_upvalueindex(2));
  estimator *e = luaL_testudata(L, 1, type->metatable);
  if (e != NULL) drop_machine(e);
  return 0;
}

/* ---- fields ---- */

/* Pushes the field, from the user value when it was read before. */
static void push_field(lua_State *L, bind_state *S, const estimator *e, const estimator_field *f) {
  if (f->push != NULL) {
    f->push(L, e);
    return;
  }
  lua_getiuservalue(L, 1, 1);
  lua_pushstring(L, f->name);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (bind_to_tensor(L, S, -1) != NULL) return;
  lua_pop(L, 1);
  push_computed(L, S, e, copy_field, f);
  lua_pushvalue(L, -1);
  lua_insert(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  bind_charge(L, S);
}

/* m.name; upvalues 3 and 4 are the methods and the names of fields (with their rows) and options (false). */
static int get_field(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation;
  const estimator *e = begin(L, "field", 1, &operation);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(4));
  const estimator_field *f = lua_touserdata(L, -1);
  if (f != NULL && is_fitted(e)) {
    push_field(L, S, e, f);
  } else if (lua_isboolean(L, -1) || (f != NULL && strcmp(f->name, "gamma") == 0)) {
    push_option(L, e, lua_tostring(L, 2));
  } else if (f != NULL) {
    check_fitted(L, e);
  } else {
    return bind_error(L, e->type->name, "there is no field or method %s",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2));
  }
  return 1;
}

static int set_field(lua_State *L) {
  const char *operation;
  const estimator *e = begin(L, "field", 2, &operation);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : bind_describe(L, 2);
  return bind_error(L, e->type->name, "%s cannot be set (m:clone{C = 10} is a copy with other options)", name);
}

/* ---- text ---- */

/* Pushes a number as one would write it. */
static const char *push_number(lua_State *L, double value) {
  char digits[40];
  snprintf(digits, sizeof digits, "%.14g", value);
  return lua_pushstring(L, isinf(value) ? "math.huge" : digits);
}

static void push_weights_text(lua_State *L, const estimator *e) {
  lua_pushliteral(L, "");
  for (int64_t i = 0; i < e->weights; i++) {
    const char *weight = push_number(L, e->list[i].weight);
    lua_pushfstring(L, "%s%s[%I] = %s", lua_tostring(L, -2), i == 0 ? "" : ", ", (lua_Integer)e->list[i].label, weight);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "{%s}", lua_tostring(L, -1));
  lua_remove(L, -2);
}

/* Adds "name = value", unless the option is not set. */
static void add_option(lua_State *L, luaL_Buffer *text, const estimator *e, const char *name) {
  const char *value = "";
  int top = lua_gettop(L);
  push_option(L, e, name);
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    lua_pop(L, 1);
    return;
  case LUA_TBOOLEAN:
    value = lua_toboolean(L, -1) ? "true" : "false";
    break;
  case LUA_TNUMBER:
    value = push_number(L, lua_tonumber(L, -1));
    break;
  case LUA_TSTRING:
    value = lua_pushfstring(L, "\"%s\"", lua_tostring(L, -1));
    break;
  default:
    push_weights_text(L, e);
    value = lua_tostring(L, -1);
  }
  lua_pushfstring(L, "%s%s = %s", name == e->type->options[0].name ? "" : ", ", name, value);
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
  luaL_addvalue(text);
}

/* The options as one would write them, then what it was fitted on. */
static int to_string(lua_State *L) {
  const char *operation;
  const estimator *e = begin(L, "tostring", 0, &operation);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, e->type->name);
  luaL_addchar(&text, '{');
  for (const peri_option *option = e->type->options; option->name != NULL; option++) {
    add_option(L, &text, e, option->name);
  }
  for (const char *const *name = e->type->also; *name != NULL; name++) add_option(L, &text, e, *name);
  luaL_addchar(&text, '}');
  if (is_fitted(e)) {
    estimator_facts f = e->type->facts(e);
    lua_pushfstring(L, " fitted on %Ix%I, %I classes", (lua_Integer)f.n, (lua_Integer)f.d, (lua_Integer)f.k);
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  return 1;
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"fit", fit,
     "m:fit(X, y, {sample_weight =}) -> m\n"
     "Learns from X, n x d float32 or float64 (or a Lua table of rows, taken as float64), and y, n whole labels of any "
     "values: int64, floats or a Lua table. sample_weight: n numbers >= 0 that multiply C for their rows; rows of "
     "weight 0 are as if absent. Nothing is recorded for gradients.\n"
     "Errors: shapes or lengths that do not match, labels that are not whole, numbers in X that are not finite, fewer "
     "than 2 classes, class_weight of a label that is not in y. After an error m is what it was before. Reaching "
     "max_iter is no error: fit_status is 1, gap tells, and a Lua warning is given (shown after warn('@on'))."},
    {"predict", predict,
     "m:predict(X) -> labels\n"
     "The label of each row of X (n x d, as in fit): n int64, with the values that y had. SVC: the class with the most "
     "votes of the pairs, the lowest on a tie; LinearSVC: the class of the largest decision.\n"
     "Errors: not fitted, another number of features than the fit had, numbers that are not finite."},
    {"decision_function", decision_function,
     "m:decision_function(X) -> decisions\n"
     "Signed distances in units of the margin, float64 whatever X is. Two classes: n, positive for classes[2]. More: "
     "n x k, largest for the likeliest class; with decision_function_shape = 'ovo' (SVC) n x k (k - 1) / 2, a column "
     "for each pair (1,2), (1,3), .. (2,3), .., positive for its first class.\n"
     "Errors: as predict."},
    {"score", score,
     "m:score(X, y, {sample_weight =}) -> number\n"
     "The share of rows of X whose label is predicted, weighted by sample_weight when given.\n"
     "Errors: as predict, and as fit for y and sample_weight; no rows."},
    {"clone", clone,
     "m:clone(changes) -> estimator\nA new estimator, not fitted, with the options of m; changes = {name = value, ..} "
     "replaces some."},
    {"params", params,
     "m:params() -> table\nThe options and their values, in a table of its own: svm.SVC(m:params())."},
    {"release", release,
     "m:release()\nFrees what was learnt; m is not fitted afterwards. The collector does the same when m is no longer "
     "in use."},
    {NULL, NULL, NULL}};

/* Pushes a closure of the type with n further upvalues. */
static void push_method(lua_State *L, bind_state *S, const estimator_type *type, lua_CFunction function, int n) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)type);
  lua_insert(L, -n - 1);
  bind_push_function(L, S, function, n + 1);
}

/* Pushes the table of names of fields and options. */
static void push_names(lua_State *L, const estimator_type *type) {
  lua_newtable(L);
  for (const peri_option *option = type->options; option->name != NULL; option++) {
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, option->name);
  }
  for (const char *const *name = type->also; *name != NULL; name++) {
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, *name);
  }
  for (const estimator_field *f = type->fields; f->name != NULL; f++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)f);
    lua_setfield(L, -2, f->name);
  }
}

/* With peri.svm on top of the stack. */
static void open_type(lua_State *L, bind_state *S, const estimator_type *type) {
  static const luaL_Reg metamethods[] = {
      {"__gc", collect}, {"__close", release}, {"__newindex", set_field}, {"__tostring", to_string}, {NULL, NULL}};
  luaL_newmetatable(L, type->metatable);
  for (const luaL_Reg *m = metamethods; m->name != NULL; m++) {
    push_method(L, S, type, m->func, 0);
    lua_setfield(L, -2, m->name);
  }
  lua_newtable(L);
  for (const bind_function *m = methods; m->name != NULL; m++) {
    push_method(L, S, type, m->function, 0);
    bind_document(L, m->doc);
    lua_setfield(L, -2, m->name);
  }
  push_names(L, type);
  push_method(L, S, type, get_field, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  push_method(L, S, type, new_estimator, 0);
  bind_document(L, type->doc);
  lua_setfield(L, -2, type->name);
}

/* svm.machines(): for help, the reference and the tests, {name, doc, options, also, fields} of each estimator */
static int list_machines(lua_State *L) {
  static const estimator_type *const types[] = {&peri_bind_svc, &peri_bind_linear_svc};
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
  lua_newtable(L);
  open_type(L, S, &peri_bind_svc);
  open_type(L, S, &peri_bind_linear_svc);
  bind_push_function(L, S, list_machines, 0);
  lua_setfield(L, -2, "machines");
}
