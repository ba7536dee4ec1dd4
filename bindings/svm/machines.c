/* The estimators with a kernel over the runtime's machines: options, calls, fields and documentation of each. */
#include "svm.h"

#include <float.h>
#include <math.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

static const peri_svm *machine_of(const estimator *e) { return e->machine; }

/* ---- options ---- */

#define KERNEL                                                                                                         \
  {                                                                                                                    \
    "kernel", PERI_OPTION_CHOICE, PERI_SVM_RBF, 0, 0, "linear poly rbf sigmoid precomputed",                           \
        "what compares two rows; or a function"                                                                        \
  }
#define C_OF(default, doc)                                                                                             \
  { "C", PERI_OPTION_NUMBER, default, -HUGE_VAL, HUGE_VAL, NULL, doc }
#define NU(doc)                                                                                                        \
  { "nu", PERI_OPTION_NUMBER, 0.5, -HUGE_VAL, 1, NULL, doc }
#define EPSILON                                                                                                        \
  { "epsilon", PERI_OPTION_NUMBER, 0.1, 0, HUGE_VAL, NULL, "half the width of the tube without loss" }
#define OF_KERNEL                                                                                                        \
  BIND_GAMMA(DBL_MIN), {"degree", PERI_OPTION_INTEGER, 3, 0, INT32_MAX, NULL, "of poly"},                                \
      {"coef0", PERI_OPTION_NUMBER, 0, 0, 0, NULL, "of poly and sigmoid"},                                               \
      {"tol", PERI_OPTION_NUMBER, 1e-3, 0, 0, NULL, "violation of the optimality conditions that may be left, > 0"},     \
      {"cache_size", PERI_OPTION_NUMBER, 200, 0, 0, NULL, "megabytes for kernel values, > 0"},                           \
      {"max_iter", PERI_OPTION_INTEGER, -1, -1, LARGEST, NULL, "steps for each machine; -1: 10^7, or 100 for each row"}, \
  {                                                                                                                      \
    "time_limit", PERI_OPTION_NUMBER, HUGE_VAL, -HUGE_VAL, HUGE_VAL, NULL, "seconds for a fit, > 0"                      \
  }
#define OF_CLASSES                                                                                                     \
  {"decision_function_shape", PERI_OPTION_CHOICE, 0, 0, 0, "ovr ovo", "columns: a class each, or a pair each"},        \
      {"break_ties", PERI_OPTION_BOOL, 0, 0, 0, NULL, "equal votes: by decision_function, not the lowest"},            \
      {"probability", PERI_OPTION_BOOL, 0, 0, 0, NULL, "fit what predict_proba needs"}, {                              \
    "seed", PERI_OPTION_INTEGER, 0, 0, LARGEST, NULL, "of the folds behind probabilities"                              \
  }

static const peri_option svc_options[] = {
    KERNEL, C_OF(1, "weight of errors, > 0; math.huge: a hard margin"), OF_KERNEL, OF_CLASSES, {NULL}};
static const peri_option nu_svc_options[] = {
    KERNEL,
    NU("share of margin errors, at most, and of support vectors, at least, > 0"),
    OF_KERNEL,
    OF_CLASSES,
    {NULL}};
static const peri_option svr_options[] = {KERNEL, C_OF(1, "weight of errors, > 0"), EPSILON, OF_KERNEL, {NULL}};
static const peri_option nu_svr_options[] = {
    KERNEL, C_OF(1, "weight of errors, > 0"), NU("share of rows outside the tube, about, > 0"), OF_KERNEL, {NULL}};
static const peri_option one_class_options[] = {
    KERNEL, NU("share of rows outside, at most, and of support vectors, at least, > 0"), OF_KERNEL, {NULL}};

static const estimator_also class_also[] = {ESTIMATOR_CLASS_WEIGHT, {NULL}};
static const estimator_also plain_also[] = {{NULL}};

peri_svm_options estimator_svm_options(const estimator *e) {
  peri_svm_options o = peri_svm_defaults((peri_svm_type)e->type->machine);
  o.kernel = (peri_svm_kernel_id)estimator_value(e, "kernel", o.kernel);
  o.C = estimator_value(e, "C", o.C);
  o.nu = estimator_value(e, "nu", o.nu);
  o.epsilon = estimator_value(e, "epsilon", o.epsilon);
  double gamma = estimator_value(e, "gamma", PERI_OPTION_WORD(PERI_GAMMA_SCALE));
  int word = peri_option_word(gamma);
  o.gamma_mode = word >= 0 ? (peri_gamma_mode)word : PERI_GAMMA_VALUE;
  o.gamma = word >= 0 ? 0 : gamma;
  o.degree = (int64_t)estimator_value(e, "degree", 0);
  o.coef0 = estimator_value(e, "coef0", 0);
  o.tol = estimator_value(e, "tol", o.tol);
  o.cache_size = estimator_value(e, "cache_size", o.cache_size);
  o.max_iter = (int64_t)estimator_value(e, "max_iter", -1);
  o.time_limit = estimator_value(e, "time_limit", HUGE_VAL);
  o.probability = estimator_value(e, "probability", 0) != 0;
  o.seed = (uint64_t)estimator_value(e, "seed", 0);
  o.class_weights = estimator_class_weights(e);
  return o;
}

/* ---- calls ---- */

static peri_status fit(const estimator *e, const peri_svm_samples *s, const estimator_watch *watch, void **machine) {
  peri_svm_options options = estimator_svm_options(e);
  options.progress = watch->progress;
  options.progress_arg = watch->arg;
  peri_svm *fresh;
  PERI_TRY(peri_svm_fit(e->context, &options, s, &fresh));
  *machine = fresh;
  return PERI_OK;
}

static peri_status check(const estimator *e, const peri_svm_samples *s) {
  peri_svm_options options = estimator_svm_options(e);
  return peri_svm_check(e->context, &options, s);
}

static estimator_support support_of(const void *machine) {
  const peri_svm *m = machine;
  return (estimator_support){m->supports, m->support};
}

static void release(peri_context *context, void **machine) {
  peri_svm *m = *machine;
  peri_svm_release(context, &m);
  *machine = NULL;
}

/* Decisions as the runtime has them: n x pairs, positive for the first class. */
static peri_status decide_pairs(const estimator *e, const peri_svm_samples *s, double *out) {
  const peri_svm *m = machine_of(e);
  if (e->has_function) return peri_svm_decision_of_kernel(e->context, m, s->dtype, s->n, s->x, s->d, out);
  return peri_svm_decision(e->context, m, s->dtype, s->n, s->d, s->x, s->d, out);
}

/* What becomes of decisions, some rows at a time: entries `from` and later of out. */
typedef struct pairs_use {
  const estimator *e;
  void *out;
} pairs_use;

static peri_status with_pairs(const estimator *e, const peri_svm_samples *s, void *out, peri_svm_use use) {
  pairs_use arg = {.e = e, .out = out};
  return peri_svm_decision_blocks(e->context, machine_of(e), e->has_function, s->dtype, s->n, s->d, s->x, s->d, use,
                                  &arg);
}

static peri_status use_ovr(void *arg, int64_t from, int64_t n, const double *pairs) {
  const pairs_use *self = arg;
  int64_t k = machine_of(self->e)->k;
  peri_svm_ovr(k, n, pairs, (double *)self->out + from * k);
  return PERI_OK;
}

static peri_status use_probabilities(void *arg, int64_t from, int64_t n, const double *pairs) {
  const pairs_use *self = arg;
  const peri_svm *m = machine_of(self->e);
  return peri_svm_probabilities(self->e->context, m, n, pairs, (double *)self->out + from * m->k);
}

static peri_status use_labels(void *arg, int64_t from, int64_t n, const double *pairs) {
  const pairs_use *self = arg;
  const estimator *e = self->e;
  const peri_svm *m = machine_of(e);
  int64_t *out = (int64_t *)self->out + from;
  if (m->prob_a == NULL) {
    peri_svm_labels(m, estimator_value(e, "break_ties", 0) != 0 ? PERI_SVM_CONFIDENCE : PERI_SVM_LOWEST, n, pairs, out);
    return PERI_OK;
  }
  void *probabilities;
  size_t row = (size_t)m->k * sizeof(double);
  PERI_TRY(peri_alloc_array(e->context, (size_t)n, row, &probabilities));
  peri_status status = peri_svm_probabilities(e->context, m, n, pairs, probabilities);
  if (status == PERI_OK) peri_svm_likeliest(m, n, probabilities, out);
  peri_free(e->context, probabilities, (size_t)n * row);
  return status;
}

static bool shows_pairs(const estimator *e) {
  return machine_of(e)->k <= 2 || estimator_value(e, "decision_function_shape", 0) != 0;
}

static int64_t columns(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return m->k <= 2 ? 1 : shows_pairs(e) ? m->pairs : m->k;
}

static peri_status decide(const estimator *e, const peri_svm_samples *s, double *out) {
  if (!shows_pairs(e)) return with_pairs(e, s, out, use_ovr);
  PERI_TRY(decide_pairs(e, s, out));
  if (machine_of(e)->k == 2) peri_svm_binary_sign(s->n, out);
  return PERI_OK;
}

static peri_status predict(const estimator *e, const peri_svm_samples *s, void *out) {
  if (e->type->targets == PERI_TARGET_NUMBERS) return decide_pairs(e, s, out);
  return with_pairs(e, s, out, use_labels);
}

static peri_status probabilities(const estimator *e, const peri_svm_samples *s, double *out) {
  return with_pairs(e, s, out, use_probabilities);
}

static const char *no_probabilities(const estimator *e) {
  if (estimator_value(e, "probability", 0) != 0) return NULL;
  return "there are no probabilities; fit with probability = true";
}

static estimator_facts facts(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_facts){m->n, e->has_function ? e->features : m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- fields ---- */

static estimator_array support(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_array){PERI_INT64, 1, {m->supports}, m->support};
}
static estimator_array support_vectors(const estimator *e) {
  const peri_svm *m = machine_of(e);
  bool none = m->options.kernel == PERI_SVM_PRECOMPUTED;
  return (estimator_array){m->dtype, 2, {none ? 1 : m->supports, m->d}, m->support_vectors};
}
static estimator_array n_support(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_array){PERI_INT64, 1, {m->groups}, m->n_support};
}
static estimator_array dual_coef(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_array){PERI_FLOAT64, 2, {m->rows, m->supports}, m->dual_coef};
}
static estimator_array coef(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_array){PERI_FLOAT64, 2, {m->pairs, m->d}, m->coef};
}

static estimator_array of_pairs(const estimator *e, const double *data) {
  return (estimator_array){PERI_FLOAT64, 1, {machine_of(e)->pairs}, data};
}
static estimator_array intercept(const estimator *e) { return of_pairs(e, machine_of(e)->intercept); }
static estimator_array gaps(const estimator *e) { return of_pairs(e, machine_of(e)->gaps); }
static estimator_array objectives(const estimator *e) { return of_pairs(e, machine_of(e)->objectives); }
static estimator_array prob_a(const estimator *e) { return of_pairs(e, machine_of(e)->prob_a); }
static estimator_array prob_b(const estimator *e) { return of_pairs(e, machine_of(e)->prob_b); }
static estimator_array n_iter(const estimator *e) {
  const peri_svm *m = machine_of(e);
  return (estimator_array){PERI_INT64, 1, {m->pairs}, m->n_iter};
}
static void push_gamma(lua_State *L, const estimator *e) { lua_pushnumber(L, machine_of(e)->gamma); }
static void push_offset(lua_State *L, const estimator *e) { lua_pushnumber(L, -machine_of(e)->intercept[0]); }

#define COMMON_FIELDS                                                                                                  \
  {"coef", coef, NULL, 0}, {"dual_coef", dual_coef, NULL, 0}, {"fit_status", NULL, estimator_push_fit_status, 0},      \
      {"gamma", NULL, push_gamma, 0}, {"gap", NULL, estimator_push_gap, 0}, {"gaps", gaps, NULL, 0},                   \
      {"intercept", intercept, NULL, 0}, {"n_iter", n_iter, NULL, 0}, {"n_support", n_support, NULL, 0},               \
      {"objectives", objectives, NULL, 0}, {"shape_fit", NULL, estimator_push_shape_fit, 0},                           \
      {"support", support, NULL, 1}, {                                                                                 \
    "support_vectors", support_vectors, NULL, 0, ESTIMATOR_VECTORS                                                     \
  }

static const estimator_field class_fields[] = {{"classes", estimator_classes, NULL, 0},
                                               COMMON_FIELDS,
                                               {"prob_a", prob_a, NULL, 0},
                                               {"prob_b", prob_b, NULL, 0},
                                               {NULL}};
static const estimator_field number_fields[] = {COMMON_FIELDS, {NULL}};
static const estimator_field one_class_fields[] = {COMMON_FIELDS, {"offset", NULL, push_offset, 0}, {NULL}};

/* ---- the types ---- */

#define CALLS                                                                                                          \
  .callable = "kernel", .reports = true, .facts = facts, .check = check, .support = support_of, .fit = fit,            \
  .release = release, .predict = predict, .columns = columns, .decide = decide, .restore = estimator_restore_svm
#define KERNEL_DOC                                                                                                     \
  "Kernels: linear u.v; poly (gamma u.v + coef0)^degree; rbf exp(-gamma |u - v|^2); sigmoid tanh(gamma u.v + coef0); " \
  "precomputed: X holds kernel values; or a Lua function f(A, B) of two tensors, m x d and n x d, that gives their m " \
  "x n kernel values as a tensor (called once with all rows in a fit). gamma: 'scale', 1 / (d Var(X)); 'auto', 1 / "   \
  "d; or a number > 0. cache_size is in megabytes: kernel values up to that size are computed once, else those of "    \
  "each pair of classes, or, beyond the size too, as they are needed. max_iter bounds the steps of each machine (-1: " \
  "10^7, or 100 for each row if they are more), " ESTIMATOR_TIME_DOC
#define FIELDS_DOC                                                                                                     \
  "support_vectors (s x d, the dtype of X; nil with precomputed), coef (p x d; nil unless the kernel is linear), "     \
  "n_iter (p, int64), gaps (p), objectives (p: of the dual, minimised, in the units of dual_coef), all float64 where " \
  "nothing else is said; gap, fit_status, gamma (the number used), shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC        \
  "Options can be read too (m.C); m.gamma is the option until the fit. "
#define CLASS_FIELDS_DOC                                                                                               \
  "Methods: fit, predict, predict_proba, decision_function, score, save, clone, params, release.\n"                    \
  "Fields after fit, for n x d features, k classes, p = k (k - 1) / 2 pairs ((1,2), (1,3), ..) and s support "         \
  "vectors: classes (k, ascending, int64), support (s, int64: rows of X, by class), n_support (k, int64), dual_coef "  \
  "((k-1) x s), intercept (p), prob_a, prob_b (p; nil without probability), " FIELDS_DOC                               \
  "With two classes dual_coef, coef and intercept are positive for classes[2]; with more, for the first class of the " \
  "pair.\n"
#define PLAIN_FIELDS_DOC                                                                                               \
  "Fields after fit, for n x d features and s support vectors (p = 1): support (s, int64: rows of X), n_support (1, "  \
  "int64), dual_coef (1 x s), intercept (1), " FIELDS_DOC "\n"
#define SOLVER_SOURCE                                                                                                  \
  "R.-E. Fan, P.-H. Chen, C.-J. Lin, Working set selection using second order information for training support "       \
  "vector machines, JMLR 6, 2005."

const estimator_type peri_bind_svc = {
    .name = "SVC",
    .machine = PERI_C_SVC,
    .methods = "fit predict decision_function predict_proba score clone params release restore path cross_predict",
    .class_name = "perilune.svm.SVC",
    .kind = (bind_kind)BIND_SVC,
    .targets = PERI_TARGET_LABELS,
    .options = svc_options,
    .also = class_also,
    .positive = "C tol cache_size time_limit",
    .fields = class_fields,
    .doc =
        "svm.SVC{kernel = 'rbf', C = 1, gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = 200, "
        "max_iter = -1, time_limit = math.huge, class_weight =, decision_function_shape = 'ovr', break_ties = false, "
        "probability = false, seed = 0} -> estimator\n"
        "A support vector classifier with a kernel, one-vs-one for more than two classes. " KERNEL_DOC
        "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}, "
        "which multiplies C.\n" CLASS_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: " SOLVER_SOURCE,
    CALLS,
    .probabilities = probabilities,
    .no_probabilities = no_probabilities};

const estimator_type peri_bind_nu_svc = {
    .name = "NuSVC",
    .machine = PERI_NU_SVC,
    .methods = "fit predict decision_function predict_proba score clone params release restore path cross_predict",
    .class_name = "perilune.svm.NuSVC",
    .kind = (bind_kind)BIND_NU_SVC,
    .targets = PERI_TARGET_LABELS,
    .options = nu_svc_options,
    .also = class_also,
    .positive = "nu tol cache_size time_limit",
    .fields = class_fields,
    .doc =
        "svm.NuSVC{nu = 0.5, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = 200, "
        "max_iter = -1, time_limit = math.huge, class_weight =, decision_function_shape = 'ovr', break_ties = false, "
        "probability = false, seed = 0} -> estimator\n"
        "A support vector classifier in which nu, in (0, 1], takes the place of C: at most that share of the rows are "
        "margin errors, and at least that share are support vectors. " KERNEL_DOC
        "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}: "
        "weights of the class's rows.\n" CLASS_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data, when nu is more than "
        "uneven classes allow, how much it can be, and when nothing separates the rows, as no C would do then.\n"
        "Source: B. Schoelkopf, A. Smola, R. Williamson, P. Bartlett, New support vector algorithms, Neural "
        "Computation 12, 2000; " SOLVER_SOURCE,
    CALLS,
    .probabilities = probabilities,
    .no_probabilities = no_probabilities};

const estimator_type peri_bind_svr = {
    .name = "SVR",
    .machine = PERI_EPSILON_SVR,
    .methods = "fit predict decision_function score clone params release restore path cross_predict",
    .class_name = "perilune.svm.SVR",
    .kind = (bind_kind)BIND_SVR,
    .targets = PERI_TARGET_NUMBERS,
    .options = svr_options,
    .also = plain_also,
    .positive = "C tol cache_size time_limit",
    .fields = number_fields,
    .doc = "svm.SVR{kernel = 'rbf', C = 1, epsilon = 0.1, gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, "
           "cache_size = 200, max_iter = -1, time_limit = math.huge} -> estimator\n"
           "Support vector regression: errors below epsilon cost nothing. " KERNEL_DOC
           "\nMethods: fit, predict, decision_function, score, save, clone, params, release.\n" PLAIN_FIELDS_DOC
           "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
           "Source: V. Vapnik, Statistical learning theory, 1998; " SOLVER_SOURCE,
    CALLS};

const estimator_type peri_bind_nu_svr = {
    .name = "NuSVR",
    .machine = PERI_NU_SVR,
    .methods = "fit predict decision_function score clone params release restore path cross_predict",
    .class_name = "perilune.svm.NuSVR",
    .kind = (bind_kind)BIND_NU_SVR,
    .targets = PERI_TARGET_NUMBERS,
    .options = nu_svr_options,
    .also = plain_also,
    .positive = "C nu tol cache_size time_limit",
    .fields = number_fields,
    .doc =
        "svm.NuSVR{nu = 0.5, C = 1, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = "
        "200, max_iter = -1, time_limit = math.huge} -> estimator\n"
        "Support vector regression that finds the width of the tube: at most a share nu of the rows, in (0, 1], lies "
        "outside, and at least that share are support vectors. " KERNEL_DOC
        "\nMethods: fit, predict, decision_function, score, save, clone, params, release.\n" PLAIN_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: B. Schoelkopf, A. Smola, R. Williamson, P. Bartlett, New support vector algorithms, Neural "
        "Computation 12, 2000; " SOLVER_SOURCE,
    CALLS};

const estimator_type peri_bind_one_class = {
    .name = "OneClassSVM",
    .machine = PERI_ONE_CLASS,
    .methods = "fit predict decision_function clone params release restore path cross_predict",
    .class_name = "perilune.svm.OneClassSVM",
    .kind = (bind_kind)BIND_ONE_CLASS,
    .targets = PERI_TARGET_NONE,
    .options = one_class_options,
    .also = plain_also,
    .positive = "nu tol cache_size time_limit",
    .fields = one_class_fields,
    .doc = "svm.OneClassSVM{nu = 0.5, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = "
           "200, max_iter = -1, time_limit = math.huge} -> estimator\n"
           "Where rows lie, learnt without labels: at most a share nu of them, in (0, 1], is left outside. fit(X, nil, "
           "options); predict gives 1 inside, where the decision is not negative, and -1 outside. " KERNEL_DOC
           "\nMethods: fit, predict, decision_function, save, clone, params, release.\n" PLAIN_FIELDS_DOC
           "offset is minus the intercept.\n"
           "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
           "Source: B. Schoelkopf, J. Platt, J. Shawe-Taylor, A. Smola, R. Williamson, Estimating the support of a "
           "high-dimensional distribution, Neural Computation 13, 2001; " SOLVER_SOURCE,
    CALLS};
