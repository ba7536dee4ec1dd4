/* Machines with a kernel from the arrays of a file: everything is checked before it is believed. */
#include "svm.h"
#include "svm/kernel/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static peri_status read_scalars(const estimator *e, const estimator_source *source, peri_svm *m) {
  const peri_svm_options *o = &m->options;
  bool uses_gamma = peri_svm_kernel_table[o->kernel].uses_gamma;
  PERI_TRY(estimator_source_size(e, source, "n", &m->n));
  PERI_TRY(estimator_source_size(e, source, "d", &m->d));
  PERI_TRY(estimator_source_number(e, source, "gamma", &m->gamma));
  PERI_TRY(estimator_source_end(e, source, &m->fit_status, &m->gap));
  if (m->d > INT32_MAX) return estimator_refuse(e, "d is beyond 2^31 - 1");
  if (o->kernel == PERI_SVM_PRECOMPUTED && m->d != m->n)
    return estimator_refuse(e, "n and d differ (expected the sides of a kernel matrix, which is square)");
  if (!isfinite(m->gamma) || (uses_gamma ? m->gamma <= 0 : m->gamma < 0) ||
      (uses_gamma && o->gamma_mode == PERI_GAMMA_VALUE && m->gamma != o->gamma))
    return estimator_refuse(e, "gamma is no number that it can be");
  return PERI_OK;
}

/* How many classes and support vectors there are: counts is n_support. */
static peri_status read_counts(const estimator *e, const estimator_source *source, const peri_svm *m,
                               estimator_array *counts, int64_t *k, int64_t *supports) {
  estimator_array classes = {.dtype = PERI_INT64, .ndim = 1, .shape = {-1}};
  *counts = classes;
  *k = *supports = 0;
  PERI_TRY(estimator_source_array(e, source, "n_support", counts));
  if (e->type->targets == PERI_TARGET_LABELS) {
    PERI_TRY(estimator_source_array(e, source, "classes", &classes));
    *k = classes.shape[0];
    if (*k < 2 || *k > INT32_MAX) return estimator_refuse(e, "there are fewer than 2 classes, or too many");
  }
  if (counts->shape[0] != peri_max(*k, 1)) return estimator_refuse(e, "n_support and classes do not match");
  for (int64_t c = 0; c < counts->shape[0]; c++) {
    int64_t count = ((const int64_t *)counts->data)[c];
    if (count < 0 || count > m->n || (*supports += count) > m->n)
      return estimator_refuse(e, "n_support exceeds the fit's rows");
  }
  return PERI_OK;
}

/* What a machine of so many classes and support vectors has: every array is there with its shape, before anything of
 * that size is allocated, and no other. Tells the dtype of the features. */
static peri_status check_arrays(const estimator *e, const estimator_source *source, peri_svm *m, int64_t k,
                                int64_t supports) {
  const peri_svm_options *o = &m->options;
  int64_t pairs = peri_max(k * (k - 1) / 2, 1), rows = peri_max(k - 1, 1);
  bool linear = o->kernel == PERI_SVM_LINEAR, given = o->kernel == PERI_SVM_PRECOMPUTED, sigmoids = o->probability;
  const struct {
    const char *name;
    bool there;
    estimator_array array;
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
    estimator_array found = arrays[i].array;
    PERI_TRY(arrays[i].there ? estimator_source_array(e, source, arrays[i].name, &found)
                             : estimator_source_none(e, source, arrays[i].name));
  }
  m->dtype = PERI_FLOAT64;
  if (given) return estimator_source_none(e, source, "support_vectors");
  estimator_array vectors = {PERI_FLOAT32, 2, {supports, m->d}, NULL};
  if (source->array(source, "support_vectors", &vectors) == PERI_OK && vectors.data != NULL) {
    m->dtype = PERI_FLOAT32; /* the vectors' own dtype is that of the fit */
    return PERI_OK;
  }
  vectors.dtype = PERI_FLOAT64;
  return estimator_source_array(e, source, "support_vectors", &vectors);
}

static int by_row(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Rows of the fit, from 1 in the file: ascending within a class, each once. */
static peri_status copy_support(const estimator *e, const estimator_source *source, peri_svm *m) {
  PERI_TRY(estimator_copy_array(e, source, "support", PERI_INT64, m->supports, -1, m->support));
  for (int64_t c = 0, s = 0; c < m->groups; c++) {
    for (int64_t i = 0; i < m->n_support[c]; i++, s++) {
      if (m->support[s] < 1 || m->support[s] > m->n) return estimator_refuse(e, "support names a row beyond the fit's");
      m->support[s]--;
      if (i > 0 && m->support[s] <= m->support[s - 1])
        return estimator_refuse(e, "support is not ascending within a class");
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
  return twice ? estimator_refuse(e, "support names a row twice") : PERI_OK;
}

static peri_status copy_arrays(const estimator *e, const estimator_source *source, peri_svm *m) {
  PERI_TRY(estimator_copy_classes(e, source, m->k, m->classes));
  PERI_TRY(copy_support(e, source, m));
  if (m->support_vectors != NULL)
    PERI_TRY(estimator_copy_array(e, source, "support_vectors", m->dtype, m->supports, m->d, m->support_vectors));
  PERI_TRY(estimator_copy_array(e, source, "dual_coef", PERI_FLOAT64, m->rows, m->supports, m->dual_coef));
  PERI_TRY(estimator_copy_array(e, source, "intercept", PERI_FLOAT64, m->pairs, -1, m->intercept));
  PERI_TRY(estimator_copy_amounts(e, source, "n_iter", PERI_INT64, m->pairs, m->n_iter));
  PERI_TRY(estimator_copy_amounts(e, source, "gaps", PERI_FLOAT64, m->pairs, m->gaps));
  PERI_TRY(estimator_copy_array(e, source, "objectives", PERI_FLOAT64, m->pairs, -1, m->objectives));
  double largest = 0;
  for (int64_t p = 0; p < m->pairs; p++) largest = peri_larger(largest, m->gaps[p]);
  if (largest != m->gap) return estimator_refuse(e, "gap is not the largest of gaps");
  if (m->prob_a == NULL) return PERI_OK;
  PERI_TRY(estimator_copy_array(e, source, "prob_a", PERI_FLOAT64, m->pairs, -1, m->prob_a));
  return estimator_copy_array(e, source, "prob_b", PERI_FLOAT64, m->pairs, -1, m->prob_b);
}

/* What follows from the rest is in the file for other readers, and has to agree. */
static peri_status check_derived(const estimator *e, const estimator_source *source, const peri_svm *m) {
  if (e->type->targets == PERI_TARGET_NONE) {
    double offset;
    PERI_TRY(estimator_source_number(e, source, "offset", &offset));
    if (offset != -m->intercept[0]) return estimator_refuse(e, "offset is not minus the intercept");
  }
  if (m->coef == NULL) return PERI_OK;
  estimator_array coef = {PERI_FLOAT64, 2, {m->pairs, m->d}, NULL};
  PERI_TRY(estimator_source_array(e, source, "coef", &coef));
  double largest = 0, off = 0;
  for (int64_t i = 0; i < m->pairs * m->d; i++) {
    double difference = fabs(((const double *)coef.data)[i] - m->coef[i]);
    largest = peri_larger(largest, fabs(m->coef[i]));
    off = difference > off || isnan(difference) ? difference : off;
  }
  return off <= 1e-6 * largest ? PERI_OK : estimator_refuse(e, "coef is not what the support vectors add up to");
}

static peri_status fill(const estimator *e, const estimator_source *source, peri_svm *m) {
  estimator_array counts;
  int64_t k, supports;
  m->options = estimator_svm_options(e);
  m->options.class_weights = (peri_class_weights){.balanced = e->balanced};
  PERI_TRY(read_scalars(e, source, m));
  PERI_TRY(read_counts(e, source, m, &counts, &k, &supports));
  PERI_TRY(check_arrays(e, source, m, k, supports));
  PERI_TRY(peri_svm_make_room(m, k, counts.data));
  PERI_TRY(copy_arrays(e, source, m));
  PERI_TRY(peri_svm_prepare(e->context, m));
  return check_derived(e, source, m);
}

peri_status estimator_restore_svm(const estimator *e, const estimator_source *source, void **machine) {
  peri_svm *m;
  PERI_TRY(peri_svm_new(e->context, &m));
  peri_status status = fill(e, source, m);
  if (status != PERI_OK) peri_svm_release(e->context, &m);
  *machine = m;
  return status;
}
