/* SVC and LinearSVC over the runtime's machines: options, calls, fields and documentation of each. */
#include "svm.h"

#include <math.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

static peri_class_weights class_weights(const estimator *e) {
  return (peri_class_weights){.balanced = e->balanced, .count = e->weights, .list = e->list};
}

/* ---- SVC ---- */

enum { KERNEL, C, DEGREE, COEF0, TOL, CACHE_SIZE, MAX_ITER, SHAPE };
static const peri_option svc_options[] = {
    {"kernel", PERI_OPTION_CHOICE, PERI_SVM_RBF, 0, 0, "linear poly rbf sigmoid", "what compares two rows"},
    {"C", PERI_OPTION_NUMBER, 1, -HUGE_VAL, HUGE_VAL, NULL, "weight of errors, > 0; math.huge: a hard margin"},
    {"degree", PERI_OPTION_INTEGER, 3, 0, INT32_MAX, NULL, "of poly"},
    {"coef0", PERI_OPTION_NUMBER, 0, 0, 0, NULL, "of poly and sigmoid"},
    {"tol", PERI_OPTION_NUMBER, 1e-3, 0, 0, NULL, "violation of the optimality conditions that may be left, > 0"},
    {"cache_size", PERI_OPTION_NUMBER, 200, 0, 0, NULL, "megabytes for kernel values, > 0"},
    {"max_iter", PERI_OPTION_INTEGER, -1, -1, LARGEST, NULL, "steps for each pair of classes; -1: no limit"},
    {"decision_function_shape", PERI_OPTION_CHOICE, 0, 0, 0, "ovr ovo", "columns: a class each, or a pair each"},
    {NULL}};
static const char *const svc_also[] = {"gamma", "class_weight", NULL};

static peri_status fit_svc(estimator *e, const samples *s) {
  const double *v = e->values;
  peri_svc *fresh;
  peri_svc_options options = {.kernel = (peri_svm_kernel_id)v[KERNEL],
                              .C = v[C],
                              .gamma_mode = e->gamma_mode,
                              .gamma = e->gamma,
                              .degree = (int64_t)v[DEGREE],
                              .coef0 = v[COEF0],
                              .tol = v[TOL],
                              .cache_size = v[CACHE_SIZE],
                              .max_iter = (int64_t)v[MAX_ITER],
                              .class_weights = class_weights(e)};
  PERI_TRY(peri_svc_fit(e->context, &options, s->dtype, s->n, s->d, s->x, s->d, s->y, s->weights, &fresh));
  peri_svc_release(e->context, &e->svc);
  e->svc = fresh;
  return PERI_OK;
}

static peri_status predict_svc(const estimator *e, const samples *s, int64_t *out) {
  return peri_svc_predict(e->context, e->svc, s->dtype, s->n, s->d, s->x, s->d, out);
}

static int64_t columns_of_svc(const estimator *e) {
  return e->svc->k == 2 ? 1 : e->values[SHAPE] != 0 ? e->svc->pairs : e->svc->k;
}

static peri_status decide_svc(const estimator *e, const samples *s, double *out) {
  const peri_svc *m = e->svc;
  if (m->k == 2 || e->values[SHAPE] != 0) {
    PERI_TRY(peri_svc_decision(e->context, m, s->dtype, s->n, s->d, s->x, s->d, out));
    if (m->k == 2) peri_svc_binary_sign(s->n, out);
    return PERI_OK;
  }
  void *pairs;
  size_t n = (size_t)s->n, row = (size_t)m->pairs * sizeof(double);
  PERI_TRY(peri_alloc_array(e->context, n, row, &pairs));
  peri_status status = peri_svc_decision(e->context, m, s->dtype, s->n, s->d, s->x, s->d, pairs);
  if (status == PERI_OK) peri_svc_ovr(m->k, s->n, pairs, out);
  peri_free(e->context, pairs, n * row);
  return status;
}

static estimator_facts facts_of_svc(const estimator *e) {
  const peri_svc *m = e->svc;
  return (estimator_facts){m->n, m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- LinearSVC ---- */

enum { LINEAR_C, LINEAR_LOSS, LINEAR_TOL, LINEAR_MAX_ITER, LINEAR_INTERCEPT, LINEAR_SCALING, LINEAR_SEED };
static const peri_option linear_options[] = {
    {"C", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "weight of errors, > 0"},
    {"loss", PERI_OPTION_CHOICE, PERI_SQUARED_HINGE, 0, 0, "hinge squared_hinge", "of a row within the margin"},
    {"tol", PERI_OPTION_NUMBER, 1e-4, 0, 0, NULL, "span of the projected gradient that may be left, > 0"},
    {"max_iter", PERI_OPTION_INTEGER, 1000, 1, LARGEST, NULL, "passes over the rows"},
    {"fit_intercept", PERI_OPTION_BOOL, 1, 0, 0, NULL, "with a constant term"},
    {"intercept_scaling", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "value of the feature that carries the intercept, > 0"},
    {"seed", PERI_OPTION_INTEGER, 0, 0, LARGEST, NULL, "of the order of the rows"},
    {NULL}};
static const char *const linear_also[] = {"class_weight", NULL};

static peri_status fit_linear(estimator *e, const samples *s) {
  const double *v = e->values;
  peri_linear_svc *fresh;
  peri_linear_svc_options options = {.C = v[LINEAR_C],
                                     .loss = (peri_hinge)v[LINEAR_LOSS],
                                     .tol = v[LINEAR_TOL],
                                     .max_iter = (int64_t)v[LINEAR_MAX_ITER],
                                     .fit_intercept = v[LINEAR_INTERCEPT] != 0,
                                     .intercept_scaling = v[LINEAR_SCALING],
                                     .seed = (uint64_t)v[LINEAR_SEED],
                                     .class_weights = class_weights(e)};
  PERI_TRY(peri_linear_svc_fit(e->context, &options, s->dtype, s->n, s->d, s->x, s->d, s->y, s->weights, &fresh));
  peri_linear_svc_release(e->context, &e->linear);
  e->linear = fresh;
  return PERI_OK;
}

static peri_status predict_linear(const estimator *e, const samples *s, int64_t *out) {
  return peri_linear_svc_predict(e->context, e->linear, s->dtype, s->n, s->d, s->x, s->d, out);
}
static int64_t columns_of_linear(const estimator *e) { return e->linear->rows; }
static peri_status decide_linear(const estimator *e, const samples *s, double *out) {
  return peri_linear_svc_decision(e->context, e->linear, s->dtype, s->n, s->d, s->x, s->d, out);
}
static estimator_facts facts_of_linear(const estimator *e) {
  const peri_linear_svc *m = e->linear;
  return (estimator_facts){m->n, m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- fields ---- */

static estimator_array classes(const estimator *e) {
  estimator_facts f = e->type->facts(e);
  return (estimator_array){PERI_INT64, 1, {f.k}, f.classes};
}
static void push_gap(lua_State *L, const estimator *e) { lua_pushnumber(L, e->type->facts(e).gap); }
static void push_fit_status(lua_State *L, const estimator *e) { lua_pushinteger(L, e->type->facts(e).fit_status); }
static void push_shape_fit(lua_State *L, const estimator *e) {
  estimator_facts f = e->type->facts(e);
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, f.n);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, f.d);
  lua_rawseti(L, -2, 2);
}

static estimator_array support(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {e->svc->supports}, e->svc->support};
}
static estimator_array support_vectors(const estimator *e) {
  return (estimator_array){e->svc->dtype, 2, {e->svc->supports, e->svc->d}, e->svc->support_vectors};
}
static estimator_array n_support(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {e->svc->k}, e->svc->n_support};
}
static estimator_array dual_coef(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 2, {e->svc->k - 1, e->svc->supports}, e->svc->dual_coef};
}
static estimator_array svc_coef(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 2, {e->svc->pairs, e->svc->d}, e->svc->coef};
}
static estimator_array svc_intercept(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {e->svc->pairs}, e->svc->intercept};
}
static estimator_array svc_n_iter(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {e->svc->pairs}, e->svc->n_iter};
}
static estimator_array svc_gaps(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {e->svc->pairs}, e->svc->gaps};
}
static void push_gamma(lua_State *L, const estimator *e) { lua_pushnumber(L, e->svc->gamma); }

static const estimator_field svc_fields[] = {{"classes", classes, NULL, 0},
                                             {"coef", svc_coef, NULL, 0},
                                             {"dual_coef", dual_coef, NULL, 0},
                                             {"fit_status", NULL, push_fit_status, 0},
                                             {"gamma", NULL, push_gamma, 0},
                                             {"gap", NULL, push_gap, 0},
                                             {"gaps", svc_gaps, NULL, 0},
                                             {"intercept", svc_intercept, NULL, 0},
                                             {"n_iter", svc_n_iter, NULL, 0},
                                             {"n_support", n_support, NULL, 0},
                                             {"shape_fit", NULL, push_shape_fit, 0},
                                             {"support", support, NULL, 1},
                                             {"support_vectors", support_vectors, NULL, 0},
                                             {NULL}};

static estimator_array linear_coef(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 2, {e->linear->rows, e->linear->d}, e->linear->coef};
}
static estimator_array linear_intercept(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {e->linear->rows}, e->linear->intercept};
}
static estimator_array linear_n_iter(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {e->linear->rows}, e->linear->n_iter};
}
static estimator_array linear_gaps(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {e->linear->rows}, e->linear->gaps};
}

static const estimator_field linear_fields[] = {{"classes", classes, NULL, 0},
                                                {"coef", linear_coef, NULL, 0},
                                                {"fit_status", NULL, push_fit_status, 0},
                                                {"gap", NULL, push_gap, 0},
                                                {"gaps", linear_gaps, NULL, 0},
                                                {"intercept", linear_intercept, NULL, 0},
                                                {"n_iter", linear_n_iter, NULL, 0},
                                                {"shape_fit", NULL, push_shape_fit, 0},
                                                {NULL}};

/* ---- the two types ---- */

#define FIT_FIELDS_DOC                                                                                                 \
  "Arrays are copies, made when first read; counts and rows count from 1. fit_status is 0, or 1 (with a warning) "     \
  "when "                                                                                                              \
  "max_iter came first; gap is what was left of the violation that tol bounds, gaps the same for each machine. "

const estimator_type peri_bind_svc = {
    .name = "SVC",
    .metatable = "perilune.svm.SVC",
    .options = svc_options,
    .also = svc_also,
    .positive = "C tol cache_size",
    .fields = svc_fields,
    .doc =
        "svm.SVC{kernel = 'rbf', C = 1, gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = 200, max_iter "
        "= "
        "-1, class_weight =, decision_function_shape = 'ovr'} -> estimator\n"
        "A support vector classifier with a kernel, one-vs-one for more than two classes. Kernels: linear u.v, poly "
        "(gamma "
        "u.v + coef0)^degree, rbf exp(-gamma |u - v|^2), sigmoid tanh(gamma u.v + coef0). gamma: 'scale', 1 / (d "
        "Var(X)); "
        "'auto', 1 / d; or a number > 0. class_weight: 'balanced', or {[label] = weight}, which multiplies C. "
        "cache_size is "
        "in megabytes; max_iter bounds the steps of each pair of classes.\n"
        "Methods: fit, predict, decision_function, score, clone, params, release.\n"
        "Fields after fit, for n x d features, k classes, p = k (k - 1) / 2 pairs ((1,2), (1,3), ..) and s support "
        "vectors: "
        "classes (k, ascending, int64), support (s, int64: rows of X, by class), support_vectors (s x d, the dtype of "
        "X), "
        "n_support (k, int64), dual_coef ((k-1) x s), intercept (p), coef (p x d; nil unless the kernel is linear), "
        "n_iter "
        "(p, int64), gaps (p), all float64 where nothing else is said; gap, fit_status, gamma (the number used), "
        "shape_fit "
        "{n, d}. " FIT_FIELDS_DOC
        "Options can be read too (m.C); m.gamma is the option until the fit. With two classes dual_coef, coef and "
        "intercept are positive for classes[2]; with more, for the first class of the pair.\n"
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: R.-E. Fan, P.-H. Chen, C.-J. Lin, Working set selection using second order information for training "
        "support vector machines, JMLR 6, 2005.",
    .facts = facts_of_svc,
    .fit = fit_svc,
    .predict = predict_svc,
    .columns = columns_of_svc,
    .decide = decide_svc};

const estimator_type peri_bind_linear_svc = {
    .name = "LinearSVC",
    .metatable = "perilune.svm.LinearSVC",
    .options = linear_options,
    .also = linear_also,
    .positive = "C tol intercept_scaling",
    .fields = linear_fields,
    .doc =
        "svm.LinearSVC{C = 1, loss = 'squared_hinge', tol = 1e-4, max_iter = 1000, fit_intercept = true, "
        "intercept_scaling = 1, seed = 0, class_weight =} -> estimator\n"
        "A linear support vector classifier, one-vs-rest for more than two classes; for many rows, where SVC with a "
        "linear kernel is slow. loss: 'squared_hinge' or 'hinge'. The intercept is the weight of a constant feature "
        "of value intercept_scaling, and is regularised like the others. class_weight: 'balanced', or {[label] = "
        "weight}, which multiplies C. seed: of the order in which rows are visited; max_iter: passes over them.\n"
        "Methods: fit, predict, decision_function, score, clone, params, release.\n"
        "Fields after fit, for n x d features, k classes and r machines (1 for two classes, else k): classes (k, "
        "ascending, int64), coef (r x d), intercept (r), n_iter (r, int64: passes), gaps (r), all float64 where "
        "nothing else is said; gap, fit_status, shape_fit {n, d}. " FIT_FIELDS_DOC
        "Options can be read too (m.C). A machine is positive for its class, the single one for classes[2].\n"
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, A dual coordinate descent method "
        "for large-scale linear SVM, ICML 2008.",
    .facts = facts_of_linear,
    .fit = fit_linear,
    .predict = predict_linear,
    .columns = columns_of_linear,
    .decide = decide_linear};
