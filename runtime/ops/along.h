/* Rows that work along one dimension: x with that dimension last, one row behind the other, and results that are put
 * back where it stood. A tensor without dimensions is one row of one element. */
#ifndef PERI_ALONG_H
#define PERI_ALONG_H

#include "ops/ops.h"

typedef struct peri_along {
  int64_t dim, rows, n;
  const char *x;
  char *y[PERI_MAX_OUTPUTS]; /* where the rows of each output are computed; NULL where it is not wanted */
  peri_tensor *own, *results[PERI_MAX_OUTPUTS];
} peri_along;

/* Resolves the argument that is a dimension of argument 0; 0 where that has none. */
peri_status peri_along_dim(peri_call *call, int arg, int *dim);
/* An output with x's sizes, and so many along dim; 0 dimensions where x has none. */
peri_status peri_along_output(peri_call *call, int output, peri_dtype dtype, int dim, int64_t n);
/* x (argument 0) in dtype. An output may have any size along dim, or lack it. */
peri_status peri_along_open(peri_call *call, int64_t dim, peri_dtype dtype, peri_along *a);
/* Puts results back when status is PERI_OK, and lets go; the status of both. */
peri_status peri_along_close(peri_call *call, peri_along *a, peri_status status);

#endif
