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

/* Whether number t is the first of the largest of k at x; a NaN is larger than others. Without branches, which scores
 * of a net that learns let nobody foresee. */
#define IS_LARGEST(name, T)                                                                                            \
  static inline bool name(const void *from, int64_t stride, int64_t k, int64_t t) {                                    \
    const T *x = from, own = x[t * stride];                                                                            \
    bool largest = true;                                                                                               \
    for (int64_t j = 0; j < k; j++) {                                                                                  \
      const T value = x[j * stride];                                                                                   \
      largest &= (value < own) | ((value == own) & (j >= t));                                                          \
    }                                                                                                                  \
    if (own == own) return largest;                                                                                    \
    for (int64_t j = 0; j < t; j++) {                                                                                  \
      if (x[j * stride] != x[j * stride]) return false;                                                                \
    }                                                                                                                  \
    return true;                                                                                                       \
  }
IS_LARGEST(is_largest_float, float)
IS_LARGEST(is_largest_double, double)

static inline bool is_hit(const peri_measure_scores *s, int64_t row) {
  const bool wide = s->dtype == PERI_FLOAT64;
  const char *scores = (const char *)s->scores + row * s->row_stride * (int64_t)(wide ? sizeof(double) : sizeof(float));
  const int64_t truth = s->truth[row * s->truth_stride] - 1;
  return truth >= 0 && truth < s->k &&
         (wide ? is_largest_double : is_largest_float)(scores, s->column_stride, s->k, truth);
}

double peri_measure_hits(const peri_measure_scores *s, const double *weights) {
  int64_t count = 0;
  double right = 0;
  for (int64_t i = 0; i < s->n && weights == NULL; i++) count += is_hit(s, i);
  for (int64_t i = 0; i < s->n && weights != NULL; i++) right += is_hit(s, i) ? weights[i] : 0;
  return weights == NULL ? (double)count : right;
}
