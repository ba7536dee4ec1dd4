/* Linear machines as rows of the table: options, calls, what a fitted one shows, and how it comes back from a file. */
#include "model/machine.h"
#include "svm/linear/linear.h"

#include <math.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

static const peri_linear *machine_of(const peri_machine *e) { return e->fitted; }

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

/* What the first of the choices of `loss` is. */
static const peri_linear_loss first_loss[PERI_LINEAR_KINDS] = {[PERI_LINEAR_CLASSIFIER] = PERI_LOSS_HINGE,
                                                               [PERI_LINEAR_REGRESSOR] = PERI_LOSS_EPSILON,
                                                               [PERI_LINEAR_LOGISTIC] = PERI_LOSS_LOGISTIC};

static peri_linear_options linear_options(const peri_machine *e) {
  peri_linear_kind kind = (peri_linear_kind)e->type->which;
  peri_linear_options o = peri_linear_defaults(kind);
  o.C = peri_machine_value(e, "C", o.C);
  o.penalty = (peri_linear_penalty)peri_machine_value(e, "penalty", o.penalty);
  o.loss = (peri_linear_loss)(first_loss[kind] + (int)peri_machine_value(e, "loss", 0));
  o.multi_class = (peri_multi_class)peri_machine_value(e, "multi_class", o.multi_class);
  o.epsilon = peri_machine_value(e, "epsilon", o.epsilon);
  o.tol = peri_machine_value(e, "tol", o.tol);
  o.max_iter = (int64_t)peri_machine_value(e, "max_iter", 0);
  o.fit_intercept = peri_machine_value(e, "fit_intercept", 1) != 0;
  o.intercept_scaling = peri_machine_value(e, "intercept_scaling", o.intercept_scaling);
  o.seed = (uint64_t)peri_machine_value(e, "seed", 0);
  o.time_limit = peri_machine_value(e, "time_limit", o.time_limit);
  o.class_weights = peri_machine_class_weights(e);
  return o;
}

/* ---- calls ---- */

static peri_status fit(const peri_machine *e, const peri_svm_samples *s, const peri_machine_watch *watch,
                       void **machine) {
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

static peri_status decide(const peri_machine *e, const peri_svm_samples *s, double *out) {
  return peri_linear_decision(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static peri_status predict_labels(const peri_machine *e, const peri_svm_samples *s, void *out) {
  return peri_linear_predict(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static peri_status predict_numbers(const peri_machine *e, const peri_svm_samples *s, void *out) {
  return decide(e, s, out);
}
static peri_status probabilities(const peri_machine *e, const peri_svm_samples *s, double *out) {
  return peri_linear_probability(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static int64_t columns(const peri_machine *e) { return machine_of(e)->rows; }
static peri_machine_facts facts(const peri_machine *e) {
  const peri_linear *m = machine_of(e);
  return (peri_machine_facts){m->n, m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- fields ---- */

static peri_machine_array coef(const peri_machine *e) {
  return (peri_machine_array){PERI_FLOAT64, 2, {machine_of(e)->rows, machine_of(e)->d}, machine_of(e)->coef};
}
static peri_machine_array intercept(const peri_machine *e) {
  return (peri_machine_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->intercept};
}
static peri_machine_array n_iter(const peri_machine *e) {
  return (peri_machine_array){PERI_INT64, 1, {machine_of(e)->rows}, machine_of(e)->n_iter};
}
static peri_machine_array gaps(const peri_machine *e) {
  return (peri_machine_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->gaps};
}

#define COMMON_FIELDS                                                                                                  \
  {"coef", coef}, {"fit_status", NULL, peri_machine_fit_status, true}, {"gap", NULL, peri_machine_gap},                \
      {"gaps", gaps}, {"intercept", intercept}, {"n_iter", n_iter}, {                                                  \
    "shape_fit"                                                                                                        \
  }
static const peri_machine_field class_fields[] = {{"classes", peri_machine_classes}, COMMON_FIELDS, {NULL}};
static const peri_machine_field number_fields[] = {COMMON_FIELDS, {NULL}};

/* ---- files ---- */

static peri_status fill(const peri_machine *e, const peri_machine_source *source, peri_linear *m) {
  PERI_TRY(peri_machine_source_end(e, source, &m->fit_status, &m->gap));
  PERI_TRY(peri_machine_copy_classes(e, source, m->k, m->classes));
  PERI_TRY(peri_machine_copy_array(e, source, "coef", PERI_FLOAT64, m->rows, m->d, m->coef));
  PERI_TRY(peri_machine_copy_array(e, source, "intercept", PERI_FLOAT64, m->rows, -1, m->intercept));
  PERI_TRY(peri_machine_copy_amounts(e, source, "n_iter", PERI_INT64, m->rows, m->n_iter));
  return peri_machine_copy_amounts(e, source, "gaps", PERI_FLOAT64, m->rows, m->gaps);
}

static peri_status restore(const peri_machine *e, const peri_machine_source *source, void **machine) {
  int64_t n = 0, d = 0;
  peri_machine_array classes = {.dtype = PERI_INT64, .ndim = 1, .shape = {-1}};
  peri_machine_array weights = {.dtype = PERI_FLOAT64, .ndim = 2, .shape = {-1, -1}};
  PERI_TRY(peri_machine_source_size(e, source, "n", &n));
  PERI_TRY(peri_machine_source_size(e, source, "d", &d));
  /* the arrays that are there bound what is allocated */
  PERI_TRY(peri_machine_source_array(e, source, "coef", &weights));
  if (weights.shape[1] != d) return peri_machine_refuse(e, "coef and d do not match");
  bool labels = e->type->targets == PERI_TARGET_LABELS;
  if (labels) PERI_TRY(peri_machine_source_array(e, source, "classes", &classes));
  int64_t k = labels ? classes.shape[0] : 0, rows = k > 2 ? k : 1;
  if ((labels && k < 2) || n < k || weights.shape[0] != rows)
    return peri_machine_refuse(e, "coef and classes do not match");
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
  .positive = "C tol max_iter intercept_scaling time_limit", .facts = facts, .fit = PERI_FULL(fit),                    \
  .release = release, .columns = columns, .decide = decide, .restore = restore
#define OF_LABELS                                                                                                      \
  .targets = PERI_TARGET_LABELS, .weighs = true, .fields = PERI_FULL(class_fields), .predict = predict_labels

const peri_machine_type peri_machine_linear_svc = {
    .name = "LinearSVC", .which = PERI_LINEAR_CLASSIFIER, .options = svc_options, OF_LABELS, CALLS};
const peri_machine_type peri_machine_linear_svr = {.name = "LinearSVR",
                                                   .which = PERI_LINEAR_REGRESSOR,
                                                   .options = svr_options,
                                                   .targets = PERI_TARGET_NUMBERS,
                                                   .fields = PERI_FULL(number_fields),
                                                   .predict = predict_numbers,
                                                   CALLS};
const peri_machine_type peri_machine_logistic = {.name = "LogisticRegression",
                                                 .which = PERI_LINEAR_LOGISTIC,
                                                 .options = logistic_options,
                                                 OF_LABELS,
                                                 CALLS,
                                                 .probabilities = probabilities};
