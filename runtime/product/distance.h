/* Distances between the rows of two matrices, Euclid's or sums of absolute differences, from the differences of their
 * elements: no digits are lost where rows are close. A sum is one chain over the elements, in order, of squares with
 * fused multiply-adds, so that a distance depends on its two rows alone. */
#ifndef PERI_DISTANCE_H
#define PERI_DISTANCE_H

#include "base/base.h"

/* c[b][i][j] is the distance of row i of a[b] and row j of b[b], of d elements. The rows of a lie side by side, those
 * of b are columns: element k of row j at b[k * n + j]. The matrices of a batch follow one another. */
typedef struct peri_distances {
  peri_dtype dtype; /* a float */
  int order;        /* 1 or 2 */
  int64_t batch, m, n, d;
  const void *a, *b;
  void *c;
} peri_distances;

peri_status peri_distance(peri_context *context, const peri_distances *job);

typedef struct peri_distance_kernels {
  /* rows of a against columns of b, by order (from 1) and float type */
  void (*block[2][2])(int64_t rows, int64_t columns, int64_t d, const void *a, const void *b, int64_t ldb, void *c,
                      int64_t ldc);
} peri_distance_kernels;

#endif
