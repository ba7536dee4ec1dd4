/* What rows share that reduce some or all dimensions: which those are, x folded to outer x n x inner, and the way back
 * of a gradient. The call's notes are the bit set of reduced dimensions and n, their count of elements. */
#ifndef PERI_REDUCE_H
#define PERI_REDUCE_H

#include "ops/ops.h"

#define PERI_REDUCE_PARAMS                                                                                             \
  {"x", PERI_KIND_TENSOR}, {"dims", PERI_KIND_DIMS, .optional = true}, { "keepdim", PERI_KIND_BOOL, .optional = true }
#define PERI_REDUCE_SAMPLE                                                                                             \
  "{T(3, 4)}, {T(2, 3, 4), 2}, {T(2, 3, 4), 1, true}, {T(2, 3, 4), {1, 3}}, {T()}, {T(3, 1, 2), -1, {keepdim = true}}"

/* Reads the argument dims into the notes; all dimensions when it is left out. */
peri_status peri_reduce_dims(peri_call *call);
/* The same of another argument than the second. */
peri_status peri_reduce_dims_of(peri_call *call, int arg);
/* States an output without the reduced dimensions, or with them as sizes of 1. */
peri_status peri_reduce_output(peri_call *call, int output, peri_dtype dtype, bool keepdim);

/* x in dtype, contiguous, with its reduced dimensions between outer and inner. Where they do not lie side by side, x is
 * copied with them last. */
typedef struct peri_folded {
  peri_tensor *x; /* a reference */
  int64_t outer, n, inner;
  bool together; /* they lie side by side */
} peri_folded;
peri_status peri_fold(peri_tensor *x, int64_t set, peri_dtype dtype, peri_folded *out);

/* Sums in lanes: whether the reduced dimensions of a float tensor lie side by side; and the sum, which is divided by
 * `divisor`. */
bool peri_reduce_fits_lanes(const peri_call *call);
peri_status peri_reduce_lanes(peri_call *call, double divisor);

/* Formulas: the reduced dimensions of the input, from 0; returns how many. */
int peri_reduced(const peri_backward *B, int64_t dims[PERI_MAX_DIMS]);
/* g with the reduced dimensions as sizes of 1 again, so that it broadcasts against x; and expanded to x's shape. */
peri_value peri_step_unreduce(peri_backward *B, peri_value g);
peri_value peri_step_expand(peri_backward *B, peri_value g);

#endif
