/* How good predictions are: the one place of each measure that machines, networks and peri.metrics have in common. Sums
 * go from the first row to the last. Weights may be NULL. */
#ifndef PERI_DATA_MEASURES_H
#define PERI_DATA_MEASURES_H

#include "base/base.h"

/* The weighted share of n labels that are right; NaN where no row has weight. */
double peri_measure_accuracy(int64_t n, const int64_t *truth, const int64_t *predicted, const double *weights);
/* R^2 of n numbers, weighted likewise, from what they are off by. Squares that are beyond the range do no harm. */
double peri_measure_r_squared(int64_t n, const double *truth, const double *residuals, const double *weights);
/* R^2 from the residual and the total sum of squares: targets without variance give 1 or 0. */
double peri_measure_r_squared_of(double residual, double total);

/* n rows of k float scores, at strides in elements, and the place of each row's class from 1. */
typedef struct peri_measure_scores {
  peri_dtype dtype;
  int64_t n, k;
  const void *scores;
  int64_t row_stride, column_stride;
  const int64_t *truth;
  int64_t truth_stride;
} peri_measure_scores;
/* How many rows (or how much weight of them) have their largest score, the first of equals and NaN before all, at that
 * place. */
double peri_measure_hits(const peri_measure_scores *s, const double *weights);

#endif
