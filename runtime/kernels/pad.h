/* Padding: each element of a larger (or smaller) array is one of x, or a value. */
#ifndef PERI_PAD_H
#define PERI_PAD_H

#include "base/base.h"

#define PERI_PAD_DIMS 4

/* Along a dimension element i of y is element map[i] of x, or the value where map[i] is -1. The last dimensions may be
 * units of several elements. */
typedef struct peri_padding {
  int dims; /* 1 to PERI_PAD_DIMS */
  int64_t outer, unit;
  int64_t n[PERI_PAD_DIMS], count[PERI_PAD_DIMS]; /* of x and of y */
  const int64_t *map[PERI_PAD_DIMS];
} peri_padding;

/* y is outer x counts x unit, of x outer x n x unit; contiguous; element is the value, of `size` bytes. */
peri_status peri_pad(peri_context *context, const peri_padding *padding, size_t size, const void *element,
                     const void *x, void *y);
/* gx of gy, float dtypes: what several elements of y have of one of x is added in their order. */
peri_status peri_pad_backward(peri_context *context, peri_dtype dtype, const peri_padding *padding, const void *gy,
                              void *gx);

#endif
