/* Machines with a kernel as rows of the table: options, calls, what a fitted one shows, and how it comes back from the
 * arrays of a file, where everything is checked before it is believed. */
#include "model/machine.h"
#include "svm/kernel/kernel.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define LARGEST 9007199254740992.0 /* whole numbers up to here are exact as doubles */

static const peri_svm *machine_of(const peri_machine *e) { return e->fitted; }

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
  PERI_MACHINE_GAMMA(DBL_MIN), {"degree", PERI_OPTION_INTEGER, 3, 0, INT32_MAX, NULL, "of poly"},                        \
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

peri_svm_options peri_machine_svm_options(const peri_machine *e) {
  peri_svm_options o = peri_svm_defaults((peri_svm_type)e->type->which);
  o.kernel = (peri_svm_kernel_id)peri_machine_value(e, "kernel", o.kernel);
  o.C = peri_machine_value(e, "C", o.C);
  o.nu = peri_machine_value(e, "nu", o.nu);
  o.epsilon = peri_machine_value(e, "epsilon", o.epsilon);
  double gamma = peri_machine_value(e, "gamma", PERI_OPTION_WORD(PERI_GAMMA_SCALE));
  int word = peri_option_word(gamma);
  o.gamma_mode = word >= 0 ? (peri_gamma_mode)word : PERI_GAMMA_VALUE;
  o.gamma = word >= 0 ? 0 : gamma;
  o.degree = (int64_t)peri_machine_value(e, "degree", 0);
  o.coef0 = peri_machine_value(e, "coef0", 0);
  o.tol = peri_machine_value(e, "tol", o.tol);
  o.cache_size = peri_machine_value(e, "cache_size", o.cache_size);
  o.max_iter = (int64_t)peri_machine_value(e, "max_iter", -1);
  o.time_limit = peri_machine_value(e, "time_limit", HUGE_VAL);
  o.probability = peri_machine_value(e, "probability", 0) != 0;
  o.seed = (uint64_t)peri_machine_value(e, "seed", 0);
  o.class_weights = peri_machine_class_weights(e);
  return o;
}

/* ---- calls ---- */

static peri_status fit(const peri_machine *e, const peri_svm_samples *s, const peri_machine_watch *watch,
                       void **machine) {
  peri_svm_options options = peri_machine_svm_options(e);
  options.progress = watch->progress;
  options.progress_arg = watch->arg;
  peri_svm *fresh;
  PERI_TRY(peri_svm_fit(e->context, &options, s, &fresh));
  *machine = fresh;
  return PERI_OK;
}

static peri_status check(const peri_machine *e, const peri_svm_samples *s) {
  peri_svm_options options = peri_machine_svm_options(e);
  return peri_svm_check(e->context, &options, s);
}

static peri_machine_support support_of(const void *machine) {
  const peri_svm *m = machine;
  return (peri_machine_support){m->supports, m->support};
}

static void release(peri_context *context, void **machine) {
  peri_svm *m = *machine;
  peri_svm_release(context, &m);
  *machine = NULL;
}

/* Decisions as the runtime has them: n x pairs, positive for the first class. */
static peri_status decide_pairs(const peri_machine *e, const peri_svm_samples *s, double *out) {
  const peri_svm *m = machine_of(e);
  if (e->has_function) return peri_svm_decision_of_kernel(e->context, m, s->dtype, s->n, s->x, s->d, out);
  return peri_svm_decision(e->context, m, s->dtype, s->n, s->d, s->x, s->d, out);
}

/* What becomes of decisions, some rows at a time: entries `from` and later of out. */
typedef struct pairs_use {
  const peri_machine *e;
  void *out;
} pairs_use;

static peri_status with_pairs(const peri_machine *e, const peri_svm_samples *s, void *out, peri_svm_use use) {
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
  const peri_machine *e = self->e;
  const peri_svm *m = machine_of(e);
  int64_t *out = (int64_t *)self->out + from;
  if (m->prob_a == NULL) {
    peri_svm_labels(m, peri_machine_value(e, "break_ties", 0) != 0 ? PERI_SVM_CONFIDENCE : PERI_SVM_LOWEST, n, pairs,
                    out);
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

static bool shows_pairs(const peri_machine *e) {
  return machine_of(e)->k <= 2 || peri_machine_value(e, "decision_function_shape", 0) != 0;
}

static int64_t columns(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return m->k <= 2 ? 1 : shows_pairs(e) ? m->pairs : m->k;
}

static peri_status decide(const peri_machine *e, const peri_svm_samples *s, double *out) {
  if (!shows_pairs(e)) return with_pairs(e, s, out, use_ovr);
  PERI_TRY(decide_pairs(e, s, out));
  if (machine_of(e)->k == 2) peri_svm_binary_sign(s->n, out);
  return PERI_OK;
}

static peri_status predict(const peri_machine *e, const peri_svm_samples *s, void *out) {
  if (e->type->targets == PERI_TARGET_NUMBERS) return decide_pairs(e, s, out);
  return with_pairs(e, s, out, use_labels);
}

static peri_status probabilities(const peri_machine *e, const peri_svm_samples *s, double *out) {
  return with_pairs(e, s, out, use_probabilities);
}

static const char *no_probabilities(const peri_machine *e) {
  if (peri_machine_value(e, "probability", 0) != 0) return NULL;
  return "there are no probabilities; fit with probability = true";
}

static peri_machine_facts facts(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_facts){m->n, e->has_function ? e->features : m->d, m->k, m->classes, m->gap, m->fit_status};
}

/* ---- fields ---- */

static peri_machine_array support(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_array){PERI_INT64, 1, {m->supports}, m->support};
}
static peri_machine_array support_vectors(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  bool none = m->options.kernel == PERI_SVM_PRECOMPUTED;
  return (peri_machine_array){m->dtype, 2, {none ? 1 : m->supports, m->d}, m->support_vectors};
}
static peri_machine_array n_support(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_array){PERI_INT64, 1, {m->groups}, m->n_support};
}
static peri_machine_array dual_coef(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_array){PERI_FLOAT64, 2, {m->rows, m->supports}, m->dual_coef};
}
static peri_machine_array coef(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_array){PERI_FLOAT64, 2, {m->pairs, m->d}, m->coef};
}

static peri_machine_array of_pairs(const peri_machine *e, const double *data) {
  return (peri_machine_array){PERI_FLOAT64, 1, {machine_of(e)->pairs}, data};
}
static peri_machine_array intercept(const peri_machine *e) { return of_pairs(e, machine_of(e)->intercept); }
static peri_machine_array gaps(const peri_machine *e) { return of_pairs(e, machine_of(e)->gaps); }
static peri_machine_array objectives(const peri_machine *e) { return of_pairs(e, machine_of(e)->objectives); }
static peri_machine_array prob_a(const peri_machine *e) { return of_pairs(e, machine_of(e)->prob_a); }
static peri_machine_array prob_b(const peri_machine *e) { return of_pairs(e, machine_of(e)->prob_b); }
static peri_machine_array n_iter(const peri_machine *e) {
  const peri_svm *m = machine_of(e);
  return (peri_machine_array){PERI_INT64, 1, {m->pairs}, m->n_iter};
}
static double gamma_of(const peri_machine *e) { return machine_of(e)->gamma; }
static double offset(const peri_machine *e) { return -machine_of(e)->intercept[0]; }

#define COMMON_FIELDS                                                                                                  \
  {"coef", coef}, {"dual_coef", dual_coef}, {"fit_status", NULL, peri_machine_fit_status, true},                       \
      {"gamma", NULL, gamma_of}, {"gap", NULL, peri_machine_gap}, {"gaps", gaps}, {"intercept", intercept},            \
      {"n_iter", n_iter}, {"n_support", n_support}, {"objectives", objectives}, {"shape_fit"},                         \
      {"support", support, .first = 1}, {                                                                              \
    "support_vectors", support_vectors, .kept = true                                                                   \
  }

static const peri_machine_field class_fields[] = {
    {"classes", peri_machine_classes}, COMMON_FIELDS, {"prob_a", prob_a}, {"prob_b", prob_b}, {NULL}};
static const peri_machine_field number_fields[] = {COMMON_FIELDS, {NULL}};
static const peri_machine_field one_class_fields[] = {COMMON_FIELDS, {"offset", NULL, offset}, {NULL}};

/* ---- files ---- */

static peri_status read_scalars(const peri_machine *e, const peri_machine_source *source, peri_svm *m) {
  const peri_svm_options *o = &m->options;
  bool uses_gamma = peri_svm_kernel_table[o->kernel].uses_gamma;
  PERI_TRY(peri_machine_source_size(e, source, "n", &m->n));
  PERI_TRY(peri_machine_source_size(e, source, "d", &m->d));
  PERI_TRY(peri_machine_source_number(e, source, "gamma", &m->gamma));
  PERI_TRY(peri_machine_source_end(e, source, &m->fit_status, &m->gap));
  if (m->d > INT32_MAX) return peri_machine_refuse(e, "d is beyond 2^31 - 1");
  if (o->kernel == PERI_SVM_PRECOMPUTED && m->d != m->n)
    return peri_machine_refuse(e, "n and d differ (expected the sides of a kernel matrix, which is square)");
  if (!isfinite(m->gamma) || (uses_gamma ? m->gamma <= 0 : m->gamma < 0) ||
      (uses_gamma && o->gamma_mode == PERI_GAMMA_VALUE && m->gamma != o->gamma))
    return peri_machine_refuse(e, "gamma is no number that it can be");
  return PERI_OK;
}

/* How many classes and support vectors there are: counts is n_support. */
static peri_status read_counts(const peri_machine *e, const peri_machine_source *source, const peri_svm *m,
                               peri_machine_array *counts, int64_t *k, int64_t *supports) {
  peri_machine_array classes = {.dtype = PERI_INT64, .ndim = 1, .shape = {-1}};
  *counts = classes;
  *k = *supports = 0;
  PERI_TRY(peri_machine_source_array(e, source, "n_support", counts));
  if (e->type->targets == PERI_TARGET_LABELS) {
    PERI_TRY(peri_machine_source_array(e, source, "classes", &classes));
    *k = classes.shape[0];
    if (*k < 2 || *k > INT32_MAX) return peri_machine_refuse(e, "there are fewer than 2 classes, or too many");
  }
  if (counts->shape[0] != peri_max(*k, 1)) return peri_machine_refuse(e, "n_support and classes do not match");
  for (int64_t c = 0; c < counts->shape[0]; c++) {
    int64_t count = ((const int64_t *)counts->data)[c];
    if (count < 0 || count > m->n || (*supports += count) > m->n)
      return peri_machine_refuse(e, "n_support exceeds the fit's rows");
  }
  return PERI_OK;
}

/* What a machine of so many classes and support vectors has: every array is there with its shape, before anything of
 * that size is allocated, and no other. Tells the dtype of the features. */
static peri_status check_arrays(const peri_machine *e, const peri_machine_source *source, peri_svm *m, int64_t k,
                                int64_t supports) {
  const peri_svm_options *o = &m->options;
  int64_t pairs = peri_max(k * (k - 1) / 2, 1), rows = peri_max(k - 1, 1);
  bool linear = o->kernel == PERI_SVM_LINEAR, given = o->kernel == PERI_SVM_PRECOMPUTED, sigmoids = o->probability;
  const struct {
    const char *name;
    bool there;
    peri_machine_array array;
  } arrays[] = {{"support", true, {PERI_INT64, 1, {supports}, NULL}},
                {"dual_coef", true, {PERI_FLOAT64, 2, {rows, supports}, NULL}},
                {"intercept", true, {PERI_FLOAT64, 1, {pairs}, NULL}},
                {"n_iter", true, {PERI_INT64, 1, {pairs}, NULL}},
                {"gaps", true, {PERI_FLOAT64, 1, {pairs}, NULL}},
                {"objectives", true, {PERI_FLOAT64, 1, {pairs}, NULL}},
                {"coef", linear, {PERI_FLOAT64, 2, {pairs, m->d}, NULL}},
                {"prob_a", sigmoids, {PERI_FLOAT64, 1, {pairs}, NULL}},
                {"prob_b", sigmoids, {PERI_FLOAT64, 1, {pairs}, NULL}}};
  for (size_t i = 0; i < PERI_COUNT(arrays); i++) {
    peri_machine_array found = arrays[i].array;
    PERI_TRY(arrays[i].there ? peri_machine_source_array(e, source, arrays[i].name, &found)
                             : peri_machine_source_none(e, source, arrays[i].name));
  }
  m->dtype = PERI_FLOAT64;
  if (given) return peri_machine_source_none(e, source, "support_vectors");
  peri_machine_array vectors = {PERI_FLOAT32, 2, {supports, m->d}, NULL};
  if (source->array(source, "support_vectors", &vectors) == PERI_OK && vectors.data != NULL) {
    m->dtype = PERI_FLOAT32; /* the vectors' own dtype is that of the fit */
    return PERI_OK;
  }
  vectors.dtype = PERI_FLOAT64;
  return peri_machine_source_array(e, source, "support_vectors", &vectors);
}

static int by_row(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Rows of the fit, from 1 in the file: ascending within a class, each once. */
static peri_status copy_support(const peri_machine *e, const peri_machine_source *source, peri_svm *m) {
  PERI_TRY(peri_machine_copy_array(e, source, "support", PERI_INT64, m->supports, -1, m->support));
  for (int64_t c = 0, s = 0; c < m->groups; c++) {
    for (int64_t i = 0; i < m->n_support[c]; i++, s++) {
      if (m->support[s] < 1 || m->support[s] > m->n)
        return peri_machine_refuse(e, "support names a row beyond the fit's");
      m->support[s]--;
      if (i > 0 && m->support[s] <= m->support[s - 1])
        return peri_machine_refuse(e, "support is not ascending within a class");
    }
  }
  if (m->k < 2 || m->supports == 0) return PERI_OK;
  void *sorted;
  size_t count = (size_t)m->supports;
  PERI_TRY(peri_alloc_array(e->context, count, sizeof *m->support, &sorted));
  memcpy(sorted, m->support, count * sizeof *m->support);
  qsort(sorted, count, sizeof *m->support, by_row);
  bool twice = false;
  for (size_t s = 1; s < count; s++) twice = twice || ((int64_t *)sorted)[s] == ((int64_t *)sorted)[s - 1];
  peri_free(e->context, sorted, count * sizeof *m->support);
  return twice ? peri_machine_refuse(e, "support names a row twice") : PERI_OK;
}

static peri_status copy_arrays(const peri_machine *e, const peri_machine_source *source, peri_svm *m) {
  PERI_TRY(peri_machine_copy_classes(e, source, m->k, m->classes));
  PERI_TRY(copy_support(e, source, m));
  if (m->support_vectors != NULL)
    PERI_TRY(peri_machine_copy_array(e, source, "support_vectors", m->dtype, m->supports, m->d, m->support_vectors));
  PERI_TRY(peri_machine_copy_array(e, source, "dual_coef", PERI_FLOAT64, m->rows, m->supports, m->dual_coef));
  PERI_TRY(peri_machine_copy_array(e, source, "intercept", PERI_FLOAT64, m->pairs, -1, m->intercept));
  PERI_TRY(peri_machine_copy_amounts(e, source, "n_iter", PERI_INT64, m->pairs, m->n_iter));
  PERI_TRY(peri_machine_copy_amounts(e, source, "gaps", PERI_FLOAT64, m->pairs, m->gaps));
  PERI_TRY(peri_machine_copy_array(e, source, "objectives", PERI_FLOAT64, m->pairs, -1, m->objectives));
  double largest = 0;
  for (int64_t p = 0; p < m->pairs; p++) largest = peri_larger(largest, m->gaps[p]);
  if (largest != m->gap) return peri_machine_refuse(e, "gap is not the largest of gaps");
  if (m->prob_a == NULL) return PERI_OK;
  PERI_TRY(peri_machine_copy_array(e, source, "prob_a", PERI_FLOAT64, m->pairs, -1, m->prob_a));
  return peri_machine_copy_array(e, source, "prob_b", PERI_FLOAT64, m->pairs, -1, m->prob_b);
}

/* What follows from the rest is in the file for other readers, and has to agree. */
static peri_status check_derived(const peri_machine *e, const peri_machine_source *source, const peri_svm *m) {
  if (e->type->targets == PERI_TARGET_NONE) {
    double offset;
    PERI_TRY(peri_machine_source_number(e, source, "offset", &offset));
    if (offset != -m->intercept[0]) return peri_machine_refuse(e, "offset is not minus the intercept");
  }
  if (m->coef == NULL) return PERI_OK;
  peri_machine_array coef = {PERI_FLOAT64, 2, {m->pairs, m->d}, NULL};
  PERI_TRY(peri_machine_source_array(e, source, "coef", &coef));
  double largest = 0, off = 0;
  for (int64_t i = 0; i < m->pairs * m->d; i++) {
    double difference = fabs(((const double *)coef.data)[i] - m->coef[i]);
    largest = peri_larger(largest, fabs(m->coef[i]));
    off = difference > off || isnan(difference) ? difference : off;
  }
  return off <= 1e-6 * largest ? PERI_OK : peri_machine_refuse(e, "coef is not what the support vectors add up to");
}

static peri_status fill(const peri_machine *e, const peri_machine_source *source, peri_svm *m) {
  peri_machine_array counts;
  int64_t k, supports;
  m->options = peri_machine_svm_options(e);
  m->options.class_weights = (peri_class_weights){.balanced = e->balanced};
  PERI_TRY(read_scalars(e, source, m));
  PERI_TRY(read_counts(e, source, m, &counts, &k, &supports));
  PERI_TRY(check_arrays(e, source, m, k, supports));
  PERI_TRY(peri_svm_make_room(m, k, counts.data));
  PERI_TRY(copy_arrays(e, source, m));
  PERI_TRY(peri_svm_prepare(e->context, m));
  return check_derived(e, source, m);
}

static peri_status restore(const peri_machine *e, const peri_machine_source *source, void **machine) {
  peri_svm *m;
  PERI_TRY(peri_svm_new(e->context, &m));
  peri_status status = fill(e, source, m);
  if (status != PERI_OK) peri_svm_release(e->context, &m);
  *machine = m;
  return status;
}

/* ---- the types ---- */

#define CALLS                                                                                                          \
  .callable = "kernel", .reports = true, .facts = facts, .check = PERI_FULL(check), .support = PERI_FULL(support_of),  \
  .fit = PERI_FULL(fit), .release = release, .predict = predict, .columns = columns, .decide = decide,                 \
  .restore = restore
#define OF_LABELS                                                                                                      \
  .targets = PERI_TARGET_LABELS, .weighs = true, .fields = PERI_FULL(class_fields), .probabilities = probabilities,    \
  .no_probabilities = no_probabilities
#define OF_NUMBERS .targets = PERI_TARGET_NUMBERS, .fields = PERI_FULL(number_fields)

const peri_machine_type peri_machine_svc = {.name = "SVC",
                                            .which = PERI_C_SVC,
                                            .options = svc_options,
                                            .positive = "C tol cache_size time_limit",
                                            OF_LABELS,
                                            CALLS};
const peri_machine_type peri_machine_nu_svc = {.name = "NuSVC",
                                               .which = PERI_NU_SVC,
                                               .options = nu_svc_options,
                                               .positive = "nu tol cache_size time_limit",
                                               OF_LABELS,
                                               CALLS};
const peri_machine_type peri_machine_svr = {.name = "SVR",
                                            .which = PERI_EPSILON_SVR,
                                            .options = svr_options,
                                            .positive = "C tol cache_size time_limit",
                                            OF_NUMBERS,
                                            CALLS};
const peri_machine_type peri_machine_nu_svr = {.name = "NuSVR",
                                               .which = PERI_NU_SVR,
                                               .options = nu_svr_options,
                                               .positive = "C nu tol cache_size time_limit",
                                               OF_NUMBERS,
                                               CALLS};
const peri_machine_type peri_machine_one_class = {.name = "OneClassSVM",
                                                  .which = PERI_ONE_CLASS,
                                                  .targets = PERI_TARGET_NONE,
                                                  .options = one_class_options,
                                                  .positive = "nu tol cache_size time_limit",
                                                  .fields = PERI_FULL(one_class_fields),
                                                  CALLS};
