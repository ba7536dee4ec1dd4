/* Masks: runs over bool elements, one behind the other, that count, list and move what is true. A mask of n elements
 * is cut into pieces; how many are true before each of them is counted first, and tells every piece where it writes. */
#ifndef PERI_KERNELS_MASKS_H
#define PERI_KERNELS_MASKS_H

#include "kernels/kernels.h"

/* How many numbers peri_mask_count gives. */
int64_t peri_mask_counts(int64_t n);
/* starts[i]: how many are true before piece i; the last number is how many there are. */
peri_status peri_mask_count(peri_context *context, int64_t n, const uint8_t *mask, int64_t *starts);
/* The positions, counted from 1. */
peri_status peri_mask_list(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts,
                           int64_t *positions);
/* y = the elements of x where the mask is true */
peri_status peri_mask_pick(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts, size_t bytes,
                           const void *x, void *y);
/* x = the elements of source, one after the other, where the mask is true */
peri_status peri_mask_spread(peri_context *context, int64_t n, const uint8_t *mask, const int64_t *starts, size_t bytes,
                             const void *source, void *x);

#endif
