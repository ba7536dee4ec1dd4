/* The linear estimators over the runtime's machines: options, calls, fields and documentation of each. */
#include "svm.h"

#include "svm/linear/linear.h"

#include <math.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

static const peri_linear *machine_of(const estimator *e) { return e->machine; }

/* ---- options ---- */

/* Choices stand in the order of the runtime's enumerations. */
#define PENALTY                                                                                                        \
  { "penalty", PERI_OPTION_CHOICE, PERI_PENALTY_L2, 0, 0, "l2 l1", "of the weights: w'w / 2 or sum |w_j|" }
#define COMMON_OPTIONS(max_iter, least)                                                                                \
  {"tol", PERI_OPTION_NUMBER, 1e-4, 0, 0, NULL, "gap that may be left, > 0"},                                          \
      {"max_iter", PERI_OPTION_INTEGER, max_iter, least, LARGEST, NULL, "passes over the data, or Newton steps"},      \
      {"fit_intercept", PERI_OPTION_BOOL, 1, 0, 0, NULL, "with a constant term"},                                      \
      {"intercept_scaling", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "value of the feature that carries it, > 0"},           \
      {"seed", PERI_OPTION_INTEGER, 0, 0, LARGEST, NULL, "of the order of visits"}, {                                  \
    "time_limit", PERI_OPTION_NUMBER, HUGE_VAL, -HUGE_VAL, HUGE_VAL, NULL, "seconds for a fit, > 0"                    \
  }

static const peri_option svc_options[] = {
    {"C", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "weight of errors, > 0"},
    PENALTY,
    {"loss", PERI_OPTION_CHOICE, PERI_LOSS_SQUARED_HINGE, 0, 0, "hinge squared_hinge", "of a row within the margin"},
    {"multi_class", PERI_OPTION_CHOICE, PERI_OVR, 0, 0, "ovr crammer_singer", "a machine each, or one for all"},
    COMMON_OPTIONS(-1, -1),
    {NULL}};
static const peri_option svr_options[] = {
    {"C", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "weight of errors, > 0"},
    {"epsilon", PERI_OPTION_NUMBER, 0, 0, HUGE_VAL, NULL, "half the width of the tube without loss"},
    {"loss", PERI_OPTION_CHOICE, 0, 0, 0, "epsilon_insensitive squared_epsilon_insensitive",
     "of a row outside the tube"},
    COMMON_OPTIONS(1000, 1),
    {NULL}};
static const peri_option logistic_options[] = {
    {"C", PERI_OPTION_NUMBER, 1, 0, 0, NULL, "weight of errors, > 0"}, PENALTY, COMMON_OPTIONS(1000, 1), {NULL}};

static const estimator_also class_also[] = {ESTIMATOR_CLASS_WEIGHT, {NULL}};
static const estimator_also plain_also[] = {{NULL}};

/* What the first of the choices of `loss` is. */
static const peri_linear_loss first_loss[PERI_LINEAR_KINDS] = {[PERI_LINEAR_CLASSIFIER] = PERI_LOSS_HINGE,
                                                               [PERI_LINEAR_REGRESSOR] = PERI_LOSS_EPSILON,
                                                               [PERI_LINEAR_LOGISTIC] = PERI_LOSS_LOGISTIC};

static peri_linear_options linear_options(const estimator *e) {
  peri_linear_kind kind = (peri_linear_kind)e->type->machine;
  peri_linear_options o = peri_linear_defaults(kind);
  o.C = estimator_value(e, "C", o.C);
  o.penalty = (peri_linear_penalty)estimator_value(e, "penalty", o.penalty);
  o.loss = (peri_linear_loss)(first_loss[kind] + (int)estimator_value(e, "loss", 0));
  o.multi_class = (peri_multi_class)estimator_value(e, "multi_class", o.multi_class);
  o.epsilon = estimator_value(e, "epsilon", o.epsilon);
  o.tol = estimator_value(e, "tol", o.tol);
  o.max_iter = (int64_t)estimator_value(e, "max_iter", 0);
  o.fit_intercept = estimator_value(e, "fit_intercept", 1) != 0;
  o.intercept_scaling = estimator_value(e, "intercept_scaling", o.intercept_scaling);
  o.seed = (uint64_t)estimator_value(e, "seed", 0);
  o.time_limit = estimator_value(e, "time_limit", o.time_limit);
  o.class_weights = estimator_class_weights(e);
  return o;
}

/* ---- calls ---- */

static peri_status fit(const estimator *e, const peri_svm_samples *s, const estimator_watch *watch, void **machine) {
  peri_linear_options options = linear_options(e);
  peri_linear *fresh;
  (void)watch;
  PERI_TRY(peri_linear_fit(e->context, &options, s, &fresh));
  *machine = fresh;
  return PERI_OK;
}

static void release(peri_context *context, void **machine) {
  peri_linear *m = *machine;
  peri_linear_release(context, &m);
  *machine = NULL;
}

static peri_status decide(const estimator *e, const peri_svm_samples *s, double *out) {
  return peri_linear_decision(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static peri_status predict_labels(const estimator *e, const peri_svm_samples *s, void *out) {
  return peri_linear_predict(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static peri_status predict_numbers(const estimator *e, const peri_svm_samples *s, void *out) {
  return decide(e, s, out);
}
static peri_status probabilities(const estimator *e, const peri_svm_samples *s, double *out) {
  return peri_linear_probability(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static int64_t columns(const estimator *e) { return machine_of(e)->rows; }
static estimator_facts facts(const estimator *e) {
  const peri_linear *m = machine_of(e);
  return (estimator_facts){m->n, m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- fields ---- */

static estimator_array coef(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 2, {machine_of(e)->rows, machine_of(e)->d}, machine_of(e)->coef};
}
static estimator_array intercept(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->intercept};
}
static estimator_array n_iter(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {machine_of(e)->rows}, machine_of(e)->n_iter};
}
static estimator_array gaps(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->gaps};
}

#define COMMON_FIELDS                                                                                                  \
  {"coef", coef, NULL, 0}, {"fit_status", NULL, estimator_push_fit_status, 0}, {"gap", NULL, estimator_push_gap, 0},   \
      {"gaps", gaps, NULL, 0}, {"intercept", intercept, NULL, 0}, {"n_iter", n_iter, NULL, 0}, {                       \
    "shape_fit", NULL, estimator_push_shape_fit, 0                                                                     \
  }
static const estimator_field class_fields[] = {{"classes", estimator_classes, NULL, 0}, COMMON_FIELDS, {NULL}};
static const estimator_field number_fields[] = {COMMON_FIELDS, {NULL}};

/* ---- files ---- */

static peri_status fill(const estimator *e, const estimator_source *source, peri_linear *m) {
  PERI_TRY(estimator_source_end(e, source, &m->fit_status, &m->gap));
  PERI_TRY(estimator_copy_classes(e, source, m->k, m->classes));
  PERI_TRY(estimator_copy_array(e, source, "coef", PERI_FLOAT64, m->rows, m->d, m->coef));
  PERI_TRY(estimator_copy_array(e, source, "intercept", PERI_FLOAT64, m->rows, -1, m->intercept));
  PERI_TRY(estimator_copy_amounts(e, source, "n_iter", PERI_INT64, m->rows, m->n_iter));
  return estimator_copy_amounts(e, source, "gaps", PERI_FLOAT64, m->rows, m->gaps);
}

static peri_status restore(const estimator *e, const estimator_source *source, void **machine) {
  int64_t n = 0, d = 0;
  estimator_array classes = {.dtype = PERI_INT64, .ndim = 1, .shape = {-1}};
  estimator_array weights = {.dtype = PERI_FLOAT64, .ndim = 2, .shape = {-1, -1}};
  PERI_TRY(estimator_source_size(e, source, "n", &n));
  PERI_TRY(estimator_source_size(e, source, "d", &d));
  /* the arrays that are there bound what is allocated */
  PERI_TRY(estimator_source_array(e, source, "coef", &weights));
  if (weights.shape[1] != d) return estimator_refuse(e, "coef and d do not match");
  bool labels = e->type->targets == PERI_TARGET_LABELS;
  if (labels) PERI_TRY(estimator_source_array(e, source, "classes", &classes));
  int64_t k = labels ? classes.shape[0] : 0, rows = k > 2 ? k : 1;
  if ((labels && k < 2) || n < k || weights.shape[0] != rows)
    return estimator_refuse(e, "coef and classes do not match");
  peri_linear_options options = linear_options(e);
  peri_linear *m;
  PERI_TRY(peri_linear_new(e->context, &options, n, d, k, &m));
  peri_status status = fill(e, source, m);
  if (status != PERI_OK) peri_linear_release(e->context, &m);
  *machine = m;
  return status;
}

/* ---- the types ---- */

#define CALLS                                                                                                          \
  .positive = "C tol max_iter intercept_scaling time_limit", .facts = facts, .fit = fit, .release = release,           \
  .columns = columns, .decide = decide, .restore = restore
#define COMMON_DOC                                                                                                     \
  "The intercept is the weight of a constant feature of value intercept_scaling, and is penalised like the others "    \
  "(a larger value makes that lighter). seed: of the order in which rows or features are visited. max_iter bounds "    \
  "passes over the data, or Newton steps; " ESTIMATOR_TIME_DOC
#define FALL_DOC                                                                                                       \
  "With 'l1' a machine goes on, besides, while a step makes the objective smaller by more than a share tol. "
#define WEIGHTS_DOC                                                                                                    \
  "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}, which " \
  "multiplies C for the rows of that class in every machine (LIBLINEAR's one-vs-rest machines weigh their own class "  \
  "alone).\n"
#define CLASS_FIELDS_DOC                                                                                               \
  "Fields after fit, for n x d features, k classes and r machines (1 for two classes, else k): classes (k, "           \
  "ascending, int64), coef (r x d), intercept (r), n_iter (r, int64), gaps (r), all float64 where nothing else is "    \
  "said; gap, fit_status, shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC                                                 \
  "Options can be read too (m.C). A machine is positive for its class, the single one for classes[2].\n"
#define ERRORS_DOC                                                                                                     \
  "Errors: unknown options, values out of range; fit says what is wrong with the data, and when its numbers are so "   \
  "large that they overflow.\n"
#define DUAL_SOURCE                                                                                                    \
  "C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, A dual coordinate descent method for "         \
  "large-scale linear SVM, ICML 2008"
#define NEWTON_SOURCE                                                                                                  \
  "S. S. Keerthi, D. DeCoste, A modified finite Newton method for fast solution of large scale linear SVMs, JMLR 6, "  \
  "2005"
#define DESCENT_SOURCE                                                                                                 \
  "G.-X. Yuan, C.-H. Ho, C.-J. Lin, An improved GLMNET for L1-regularized logistic regression, JMLR 13, 2012"

const estimator_type peri_bind_linear_svc = {
    .name = "LinearSVC",
    .machine = PERI_LINEAR_CLASSIFIER,
    .methods = "fit predict decision_function score clone params release restore",
    .class_name = "perilune.svm.LinearSVC",
    .kind = (bind_kind)BIND_LINEAR_SVC,
    .targets = PERI_TARGET_LABELS,
    .options = svc_options,
    .also = class_also,
    .fields = class_fields,
    .doc =
        "svm.LinearSVC{C = 1, penalty = 'l2', loss = 'squared_hinge', multi_class = 'ovr', tol = 1e-4, max_iter = -1, "
        "fit_intercept = true, intercept_scaling = 1, seed = 0, time_limit = math.huge, class_weight =} -> estimator\n"
        "A linear support vector classifier, for many rows, where SVC with a linear kernel is slow: penalty(w) + C sum "
        "loss(y w'x) is made as small as it gets. loss: 'squared_hinge', max(0, 1 - y f)^2, or 'hinge', its root; "
        "penalty 'l1', which leaves many weights at 0, goes with 'squared_hinge' alone. multi_class: 'ovr', a machine "
        "for each class against the rest; 'crammer_singer', all classes in one problem, where penalty and loss are not "
        "read. " COMMON_DOC
        "max_iter = -1 is 1000; of 'crammer_singer', where few rows are left after the first passes, 100,000. tol: "
        "'l2', span of the projected gradient of the dual; 'l1', sum of the violations of the optimality conditions, "
        "relative to that at w = 0 times the share of the smaller class; 'crammer_singer', the largest violation of a "
        "row. " FALL_DOC WEIGHTS_DOC
        "Methods: fit, predict, decision_function, score, save, clone, params, release.\n" CLASS_FIELDS_DOC ERRORS_DOC
        "Source: " DUAL_SOURCE "; " NEWTON_SOURCE "; " DESCENT_SOURCE
        "; S. S. Keerthi, S. Sundararajan, K.-W. Chang, C.-J. Hsieh, C.-J. Lin, A sequential dual method for large "
        "scale multi-class linear SVMs, KDD 2008.",
    .predict = predict_labels,
    CALLS};

const estimator_type peri_bind_linear_svr = {
    .name = "LinearSVR",
    .machine = PERI_LINEAR_REGRESSOR,
    .methods = "fit predict decision_function score clone params release restore",
    .class_name = "perilune.svm.LinearSVR",
    .kind = (bind_kind)BIND_LINEAR_SVR,
    .targets = PERI_TARGET_NUMBERS,
    .options = svr_options,
    .also = plain_also,
    .fields = number_fields,
    .doc =
        "svm.LinearSVR{C = 1, epsilon = 0, loss = 'epsilon_insensitive', tol = 1e-4, max_iter = 1000, fit_intercept = "
        "true, intercept_scaling = 1, seed = 0, time_limit = math.huge} -> estimator\n"
        "Linear support vector regression: w'w / 2 + C sum loss(w'x - y) is made as small as it gets. loss: "
        "'epsilon_insensitive', max(0, |f - y| - epsilon), or 'squared_epsilon_insensitive', its square; epsilon is in "
        "the unit of y. " COMMON_DOC "tol: sum of the violations of the dual's conditions, relative to that at w = 0.\n"
        "Methods: fit, predict, decision_function (the same numbers), score, save, clone, params, release.\n"
        "Fields after fit, for n x d features: coef (1 x d), intercept (1), n_iter (1, int64), gaps (1), all float64 "
        "where nothing else is said; gap, fit_status, shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC
        "Options can be read too (m.C).\n" ERRORS_DOC
        "Source: C.-H. Ho, C.-J. Lin, Large-scale linear support vector regression, JMLR 13, 2012; " NEWTON_SOURCE ".",
    .predict = predict_numbers,
    CALLS};

const estimator_type peri_bind_logistic = {
    .name = "LogisticRegression",
    .machine = PERI_LINEAR_LOGISTIC,
    .methods = "fit predict decision_function predict_proba score clone params release restore",
    .class_name = "perilune.svm.LogisticRegression",
    .kind = (bind_kind)BIND_LOGISTIC,
    .targets = PERI_TARGET_LABELS,
    .options = logistic_options,
    .also = class_also,
    .fields = class_fields,
    .doc =
        "svm.LogisticRegression{C = 1, penalty = 'l2', tol = 1e-4, max_iter = 1000, fit_intercept = true, "
        "intercept_scaling = 1, seed = 0, time_limit = math.huge, class_weight =} -> estimator\n"
        "Logistic regression, one-vs-rest for more than two classes: penalty(w) + C sum log(1 + exp(-y w'x)) is made "
        "as small as it gets; penalty 'l1' leaves many weights at 0. " COMMON_DOC
        "tol, relative to w = 0 times the share of the smaller class: 'l2', norm of the gradient; 'l1', sum of the "
        "violations of the optimality conditions. " FALL_DOC WEIGHTS_DOC
        "Methods: fit, predict, predict_proba (the sigmoid of the decision; for more than two classes those of all "
        "machines over their sum), decision_function, score, save, clone, params, release.\n" CLASS_FIELDS_DOC
            ERRORS_DOC
        "Source: C.-J. Lin, R. C. Weng, S. S. Keerthi, Trust region Newton method for large-scale logistic regression, "
        "JMLR 9, 2008; " DESCENT_SOURCE ".",
    .predict = predict_labels,
    .probabilities = probabilities,
    CALLS};
