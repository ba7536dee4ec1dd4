/* peri.svm: the list of estimators and their methods; see svm.h. */
#include "svm.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"

static const estimator_type *const types[] = {&peri_bind_svc,        &peri_bind_nu_svc,    &peri_bind_svr,
                                              &peri_bind_nu_svr,     &peri_bind_one_class, &peri_bind_linear_svc,
                                              &peri_bind_linear_svr, &peri_bind_logistic};

/* svm.SVC(options); upvalue 2 is the type */
static int new_estimator(lua_State *L) {
  lua_settop(L, 1);
  estimator_push_new(L, bind_here(L), lua_touserdata(L, lua_upvalueindex(2)), 1);
  return 1;
}

static const bind_function methods[] = {
    {"fit", estimator_fit,
     "m:fit(X, y, {sample_weight =, progress =}) -> m\n"
     "Learns from X, n x d float32 or float64 (or a Lua table of rows, taken as float64), and y: n whole labels of "
     "any values (int64, floats or a Lua table), for regression n numbers, for OneClassSVM nothing. With kernel = "
     "'precomputed' X is the n x n matrix of kernel values. sample_weight: n numbers >= 0 that multiply C for their "
     "rows; rows of weight 0 are as if absent. progress: a function that is called now and then with {machine =, "
     "machines =, iterations =, gap =} (machines finished, of how many; of the one at work); when it returns false, "
     "the fit ends there as at a time limit; its error is fit's error. Nothing is recorded for gradients.\n"
     "Errors: shapes or lengths that do not match, labels that are not whole, numbers in X or y that are not finite, "
     "fewer than 2 classes, class_weight of a label that is not in y, a nu that the classes do not allow. After an "
     "error m is what it was before. Reaching max_iter or time_limit is no error: fit_status is 1, gap tells, and a "
     "Lua warning is given (shown after warn('@on'))."},
    {"predict", estimator_predict,
     "m:predict(X) -> labels\n"
     "The label of each row of X (n x d, as in fit): n int64, with the values that y had. SVC and NuSVC: the class "
     "with the most votes of the pairs, the lowest on a tie (or see break_ties), and with probability = true the "
     "likeliest; the linear machines: the class of the largest decision. Regression: n float64. OneClassSVM: 1 inside, "
     "-1 outside. With kernel = 'precomputed' X is n x m, kernel values against the m rows of the fit.\n"
     "Errors: not fitted, another number of features than the fit had, numbers that are not finite."},
    {"decision_function", estimator_decision_function,
     "m:decision_function(X) -> decisions\n"
     "Signed distances in units of the margin, float64 whatever X is. Two classes: n, positive for classes[2]. More: "
     "n x k, largest for the likeliest class; with decision_function_shape = 'ovo' (SVC) n x k (k - 1) / 2, a column "
     "for each pair (1,2), (1,3), .. (2,3), .., positive for its first class.\n"
     "Regression and OneClassSVM: n, what predict gives before it is cut to 1 and -1. decision_function can differ in "
     "sign from predict when probability = true.\n"
     "Errors: as predict."},
    {"predict_proba", estimator_predict_proba,
     "m:predict_proba(X) -> probabilities\n"
     "n x k float64: the probability of each class, in the order of classes; rows sum to 1, and predict gives the "
     "class of the largest. SVC and NuSVC need probability = true, which fits a sigmoid to the decisions of 5 folds "
     "for each pair of classes, coupled for more than two (with fewer than 5 rows of a class its own decisions tell "
     "how steep the sigmoid is).\n"
     "Errors: as predict; the machine has no probabilities.\n"
     "Source: J. Platt, Probabilistic outputs for support vector machines, 1999; H.-T. Lin, C.-J. Lin, R. Weng, "
     "Machine Learning 68, 2007; T.-F. Wu, C.-J. Lin, R. Weng, JMLR 5, 2004 (the second method)."},
    {"score", estimator_score,
     "m:score(X, y, {sample_weight =}) -> number\n"
     "The share of rows of X whose label is predicted; for regression R^2, 1 - residual / total sum of squares. "
     "Weighted by sample_weight when given.\n"
     "Errors: as predict, and as fit for y and sample_weight; no rows."},
    {"clone", estimator_clone,
     "m:clone(changes) -> estimator\n"
     "A new estimator, not fitted, with the options of m; changes = {name = value, ..} replaces some."},
    {"params", estimator_params,
     "m:params() -> table\nThe options and their values, in a table of its own: svm.SVC(m:params())."},
    {"release", estimator_release,
     "m:release()\n"
     "Frees what was learnt; m is not fitted afterwards. The collector does the same when m is no longer in use."},
    {NULL, NULL, NULL}};

static const bind_function common[] = {BIND_HAS("m"), {NULL, NULL, NULL}};

/* What lua/svm calls with an estimator. */
static const bind_function hidden[] = {{"restore", estimator_restore, NULL},
                                       {"path", estimator_path, NULL},
                                       {"cross_predict", estimator_cross_predict, NULL},
                                       {NULL, NULL, NULL}};

/* Into the table on top of the stack: those that the type's column names. */
static void set_members(lua_State *L, bind_state *S, const estimator_type *type, const bind_function *functions) {
  for (const bind_function *f = functions; f->name != NULL; f++) {
    if (bind_choice(type->methods, f->name) >= 0) bind_set_member(L, S, type, f->name, f->function, f->doc);
  }
}

static const luaL_Reg metamethods[] = {{"__close", estimator_release},
                                       {"__index", estimator_get_field},
                                       {"__newindex", estimator_set_field},
                                       {"__tostring", estimator_to_string},
                                       {NULL, NULL}};

/* With internal.machines and peri.svm on top of the stack. */
static void open_type(lua_State *L, bind_state *S, const estimator_type *type) {
  bind_class class = {.kind = type->kind,
                      .name = type->class_name,
                      .owner = type,
                      .collect = estimator_collect,
                      .methods = common,
                      .metamethods = metamethods};
  bind_open_class(L, S, &class, 0);
  set_members(L, S, type, methods);
  bind_set_class(L, lua_pushfstring(L, "svm.%s", type->row->name), "Methods of machines", -2);
  lua_pop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "methods");
  set_members(L, S, type, hidden);
  lua_setfield(L, -4, type->row->name);
  lua_pop(L, 1);
  bind_set_member(L, S, type, type->row->name, new_estimator, type->doc);
}

/* svm.machines(): for help, the reference and the tests, {name, doc, options, also, fields} of each estimator */
static int list_machines(lua_State *L) {
  lua_newtable(L);
  for (size_t n = 0; n < PERI_COUNT(types); n++) {
    lua_createtable(L, 0, 5);
    lua_pushstring(L, types[n]->row->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, types[n]->doc);
    lua_setfield(L, -2, "doc");
    bind_push_options(L, types[n]->row->options);
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (int i = 0; types[n]->also[i].name != NULL; i++) {
      lua_pushstring(L, types[n]->also[i].name);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "also");
    lua_newtable(L);
    for (int i = 0; types[n]->row->fields[i].name != NULL; i++) {
      lua_pushstring(L, types[n]->row->fields[i].name);
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
