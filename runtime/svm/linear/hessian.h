/* Hessians of smooth linear machines, factored, for use as preconditioners of conjugate gradients: they need not
 * be of the current point, nor of all rows, nor exact. With many features they are diagonals. */
#ifndef PERI_LINEAR_HESSIAN_H
#define PERI_LINEAR_HESSIAN_H

#include "svm/linear/sweep.h"

/* Weights of a machine up to which there are factors; one of that size takes 0.1 s, which nothing interrupts. */
#define PERI_LINEAR_FACTOR_MOST 2048

typedef struct peri_linear_hessian {
  const peri_linear_problem *problem;
  int64_t slots, size; /* size: rows and columns of a matrix, weights of a machine */
  double *diagonal;    /* slots x size, in place of everything below; else NULL */

  bool narrow;       /* matrices are float32, scaled to a diagonal of ones; else float64 */
  bool failed;       /* a float32 matrix had no factor */
  int64_t matrix;    /* bytes of one, enough for float64 */
  char *start, *own; /* serves the slots that have none of their own; of the slots. NULL until built */
  bool *has;         /* slots */
  double *units;     /* slots + 1 (the start's) x size: by what rows and columns are multiplied */
  float *solving;    /* slots x size: scratch */

  int64_t most, stride; /* rows that a matrix may be made of; of `scale`, which is scratch of `size` too */
  int64_t *listed;      /* slots: how many rows it is made of */
  int64_t *row;         /* slots x most */
  double *scale;        /* slots x stride: root of the weight of each */
  int64_t tiles, tile;  /* in which a matrix is computed */
  char *scratch;        /* of each thread: two panels, and what products and factors take */
  size_t panels, scratch_bytes;

  const double *curvature; /* what a build reads */
  const int64_t *building;
  bool to_own;
} peri_linear_hessian;

/* For machines of p->width weights. */
peri_status peri_linear_hessian_new(peri_linear_problem *p, int64_t slots, peri_linear_hessian *out);
/* Goes over to float64: what is built is forgotten. */
void peri_linear_hessian_widen(peri_linear_hessian *h);
/* Builds I + sum_i curvature_i x_i x_i' and its factor for the listed slots or, when `own` is false and the
 * list is a single slot, for all slots that have none of their own (diagonals are always own). curvature is slots x
 * rows. Past the time limit nothing useful is left. */
peri_status peri_linear_hessian_build(peri_linear_hessian *h, const peri_linear_slots *which, const double *curvature,
                                      bool own);
/* z = M^-1 z, for a slot; safe in a body. */
void peri_linear_hessian_solve(const peri_linear_hessian *h, int64_t slot, double *z);

#endif
