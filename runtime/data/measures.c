/* Measures of predictions; see measures.h. */
#include "data/measures.h"

#include <math.h>

static double weight_of(const double *weights, int64_t i) { return weights == NULL ? 1 : weights[i]; }

static double sum_of_weights(int64_t n, const double *weights) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += weight_of(weights, i);
  return sum;
}

double peri_measure_accuracy(int64_t n, const int64_t *truth, const int64_t *predicted, const double *weights) {
  double right = 0;
  for (int64_t i = 0; i < n; i++) right += predicted[i] == truth[i] ? weight_of(weights, i) : 0;
  return right / sum_of_weights(n, weights);
}

double peri_measure_r_squared_of(double residual, double total) {
  if (total == 0) return residual == 0 ? 1 : 0;
  return 1 - residual / total;
}

/* A power of two near the largest size, by which squares of numbers up to it stay within the range. */
static double unit_of(double largest) {
  int exponent;
  if (!(largest > 0) || isinf(largest)) return 1;
  (void)frexp(largest, &exponent);
  return ldexp(1, exponent - 1);
}

double peri_measure_r_squared(int64_t n, const double *truth, const double *residuals, const double *weights) {
  double all = sum_of_weights(n, weights), mean = 0, largest = 0, residual = 0, total = 0;
  bool constant = true;
  if (all == 0) return NAN;
  for (int64_t i = 0; i < n; i++) mean += weight_of(weights, i) / all * truth[i];
  for (int64_t i = 0; i < n; i++) {
    largest = peri_larger(largest, peri_larger(fabs(residuals[i]), fabs(truth[i] - mean)));
    constant = constant && truth[i] == truth[0];
  }
  double unit = unit_of(largest);
  for (int64_t i = 0; i < n; i++) {
    double share = weight_of(weights, i) / all, off = residuals[i] / unit, from_mean = (truth[i] - mean) / unit;
    residual += share * off * off;
    total += share * from_mean * from_mean;
  }
  return peri_measure_r_squared_of(residual, constant ? 0 : total); /* whose mean is rounded */
}

/* The place, from 0, of the largest of k numbers at x; a NaN is larger. Without branches, which scores of a net that
 * learns let nobody foresee. */
#define LARGEST(name, T)                                                                                               \
  static inline int64_t name(const void *from, int64_t stride, int64_t k) {                                            \
    const T *x = from;                                                                                                 \
    int64_t place = 0;                                                                                                 \
    T best = x[0];                                                                                                     \
    for (int64_t j = 1; j < k; j++) {                                                                                  \
      const T value = x[j * stride];                                                                                   \
      const bool larger = (value > best) | ((value != value) & (best == best));                                        \
      place = larger ? j : place;                                                                                      \
      best = larger ? value : best;                                                                                    \
    }                                                                                                                  \
    return place;                                                                                                      \
  }
LARGEST(largest_float, float)
LARGEST(largest_double, double)

double peri_measure_hits(const peri_measure_scores *s, const double *weights) {
  const bool wide = s->dtype == PERI_FLOAT64;
  const int64_t row_bytes = s->row_stride * (int64_t)peri_dtype_size(s->dtype);
  const char *row = s->scores;
  double right = 0;
  for (int64_t i = 0; i < s->n && s->k > 0; i++, row += row_bytes) {
    const int64_t best = (wide ? largest_double : largest_float)(row, s->column_stride, s->k);
    const bool hit = s->truth[i * s->truth_stride] == best + 1;
    if (weights == NULL)
      right += hit;
    else if (hit)
      right += weights[i];
  }
  return right;
}
