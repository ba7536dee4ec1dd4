/* Resampling of planes: each dimension by itself, from two elements with weights or from one. */
#ifndef PERI_RESAMPLE_H
#define PERI_RESAMPLE_H

#include "base/base.h"

/* One dimension. Element i of y is low_weight[i] x[low[i]] + high_weight[i] x[high[i]]; without weights (NULL) it is
 * x[low[i]]. low and high ascend, and high[i] is low[i] or the next. Weights are of the tensors' dtype. */
typedef struct peri_taps {
  int64_t n, count; /* elements of x and of y along it */
  const int32_t *low, *high;
  const void *low_weight, *high_weight;
} peri_taps;

/* y is planes x taps[0].count x taps[1].count, of x planes x taps[0].n x taps[1].n; contiguous, float dtypes. Across,
 * then down; where there is one row (n = count = 1), across alone. Products and sums are rounded each. */
peri_status peri_resample(peri_context *context, peri_dtype dtype, int64_t planes, const peri_taps taps[2],
                          const void *x, void *y);
/* gx of gy: the transposed map. Sums go in the order of gy. */
peri_status peri_resample_backward(peri_context *context, peri_dtype dtype, int64_t planes, const peri_taps taps[2],
                                   const void *gy, void *gx);

#endif
