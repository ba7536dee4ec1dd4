/* What the tests of the support vector machines share: data from streams, and contexts. */
#ifndef PERI_TEST_SVM_SUPPORT_H
#define PERI_TEST_SVM_SUPPORT_H

#include "base/base.h"
#include "kernels/scalar.h"
#include "svm/kernel/svm.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

/* ---- data ---- */

typedef struct svm_data {
  int64_t n, d;
  double *x; /* float64 */
  float *x32;
  int64_t *y;
  double *weights;
} svm_data;

static svm_data svm_data_new(int64_t n, int64_t d) {
  svm_data data = {.n = n, .d = d};
  data.x = calloc((size_t)(n * d), sizeof *data.x);
  data.x32 = calloc((size_t)(n * d), sizeof *data.x32);
  data.y = calloc((size_t)n, sizeof *data.y);
  data.weights = calloc((size_t)n, sizeof *data.weights);
  return data;
}

static void svm_data_free(svm_data *data) {
  free(data->x);
  free(data->x32);
  free(data->y);
  free(data->weights);
}

/* k overlapping groups with labels 7, -4, 12, 1, .. and weights between 0.5 and 2; x and x32 are the
 * same numbers. */
static svm_data svm_groups(int64_t n, int64_t d, int64_t k, double spread, uint64_t seed) {
  static const int64_t labels[] = {7, -4, 12, 1, 0, -1000000000000};
  svm_data data = svm_data_new(n, d);
  peri_stream stream = {.seed = seed};
  double centres[6][64];
  for (int64_t c = 0; c < k; c++) {
    for (int64_t j = 0; j < d; j++) centres[c][j] = peri_stream_normal(&stream);
  }
  for (int64_t i = 0; i < n; i++) {
    int64_t c = i < k ? i : (int64_t)peri_stream_below(&stream, (uint64_t)k);
    data.y[i] = labels[c];
    data.weights[i] = 0.5 + 1.5 * peri_stream_uniform(&stream);
    for (int64_t j = 0; j < d; j++) {
      data.x32[i * d + j] = (float)(centres[c][j] + spread * peri_stream_normal(&stream));
      data.x[i * d + j] = (double)data.x32[i * d + j];
    }
  }
  return data;
}

/* ---- calls ---- */

static inline peri_status svm_fit_rows(peri_context *context, const peri_svm_options *options, peri_dtype dtype,
                                       int64_t n, int64_t d, const void *x, int64_t ldx, const int64_t *y,
                                       const double *weights, peri_svm **out) {
  peri_svm_samples samples = {.dtype = dtype, .n = n, .d = d, .x = x, .ldx = ldx, .labels = y, .weights = weights};
  return peri_svm_fit(context, options, &samples, out);
}

static inline peri_status svm_predict(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m,
                                      int64_t d, const void *x, int64_t ldx, int64_t *out) {
  double *decision = calloc((size_t)(m * model->pairs + 1), sizeof *decision);
  peri_status status = peri_svm_decision(context, model, dtype, m, d, x, ldx, decision);
  if (status == PERI_OK) peri_svm_labels(model, PERI_SVM_LOWEST, m, decision, out);
  free(decision);
  return status;
}

/* ---- contexts ---- */

static peri_context *svm_context(int threads) {
  peri_context *context;
  peri_options options = {.size = sizeof options, .threads = threads};
  if (peri_context_new(&options, &context) != PERI_OK) exit(1);
  return context;
}

#endif
