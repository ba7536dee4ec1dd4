/* The linear estimators over the runtime's machines: options, calls, fields and documentation. */
#include "svm.h"

#include <math.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

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

static const peri_linear_svc *machine_of(const estimator *e) { return e->machine; }

static peri_status fit_linear(const estimator *e, const samples *s, const estimator_watch *watch, void **machine) {
  const double *v = e->values;
  peri_linear_svc *fresh;
  (void)watch;
  peri_linear_svc_options options = {.C = v[LINEAR_C],
                                     .loss = (peri_hinge)v[LINEAR_LOSS],
                                     .tol = v[LINEAR_TOL],
                                     .max_iter = (int64_t)v[LINEAR_MAX_ITER],
                                     .fit_intercept = v[LINEAR_INTERCEPT] != 0,
                                     .intercept_scaling = v[LINEAR_SCALING],
                                     .seed = (uint64_t)v[LINEAR_SEED],
                                     .class_weights = estimator_class_weights(e)};
  PERI_TRY(peri_linear_svc_fit(e->context, &options, s->dtype, s->n, s->d, s->x, s->d, s->y, s->weights, &fresh));
  *machine = fresh;
  return PERI_OK;
}

static void release_linear(peri_context *context, void **machine) {
  peri_linear_svc *m = *machine;
  peri_linear_svc_release(context, &m);
  *machine = NULL;
}

static peri_status predict_linear(const estimator *e, const samples *s, void *out) {
  return peri_linear_svc_predict(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static int64_t columns_of_linear(const estimator *e) { return machine_of(e)->rows; }
static peri_status decide_linear(const estimator *e, const samples *s, double *out) {
  return peri_linear_svc_decision(e->context, machine_of(e), s->dtype, s->n, s->d, s->x, s->d, out);
}
static estimator_facts facts_of_linear(const estimator *e) {
  const peri_linear_svc *m = machine_of(e);
  return (estimator_facts){m->n, m->d, m->k, m->classes, m->gap, m->fit_status};
}

static estimator_array linear_coef(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 2, {machine_of(e)->rows, machine_of(e)->d}, machine_of(e)->coef};
}
static estimator_array linear_intercept(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->intercept};
}
static estimator_array linear_n_iter(const estimator *e) {
  return (estimator_array){PERI_INT64, 1, {machine_of(e)->rows}, machine_of(e)->n_iter};
}
static estimator_array linear_gaps(const estimator *e) {
  return (estimator_array){PERI_FLOAT64, 1, {machine_of(e)->rows}, machine_of(e)->gaps};
}

static const estimator_field linear_fields[] = {{"classes", estimator_classes, NULL, 0},
                                                {"coef", linear_coef, NULL, 0},
                                                {"fit_status", NULL, estimator_push_fit_status, 0},
                                                {"gap", NULL, estimator_push_gap, 0},
                                                {"gaps", linear_gaps, NULL, 0},
                                                {"intercept", linear_intercept, NULL, 0},
                                                {"n_iter", linear_n_iter, NULL, 0},
                                                {"shape_fit", NULL, estimator_push_shape_fit, 0},
                                                {NULL}};

const estimator_type peri_bind_linear_svc = {
    .name = "LinearSVC",
    .metatable = "perilune.svm.LinearSVC",
    .targets = PERI_TARGET_LABELS,
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
        "nothing else is said; gap, fit_status, shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC
        "Options can be read too (m.C). A machine is positive for its class, the single one for classes[2].\n"
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, A dual coordinate descent method "
        "for large-scale linear SVM, ICML 2008.",
    .facts = facts_of_linear,
    .fit = fit_linear,
    .release = release_linear,
    .predict = predict_linear,
    .columns = columns_of_linear,
    .decide = decide_linear};
