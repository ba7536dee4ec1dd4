/* The quadratic programme behind every kernel machine, and its solver.
 *
 *     minimise  1/2 b'Kb + q'b + kink sum |b|   subject to   sum b = constant,   low <= b <= high
 *
 * K is the kernel between samples, from a peri_row_source; b_t = y_t alpha_t, so that no sign appears
 * in it: classification has q = -y and bounds [0, C] or [-C, 0]; a one-class machine has q = 0. In
 * regression b is the difference of the two sides of the tube, of which one is 0, and the tube's width is the
 * kink. The machines with nu have the sum constant over each segment by itself: `separate`; a regression
 * with nu then has a variable for each side, and both share the sample's kernel row.
 * Any b that meets the constraints may be the start. */
#ifndef PERI_SVM_SMO_H
#define PERI_SVM_SMO_H

#include "svm/gram.h"
#include "svm/svm_kernels.h"
#include "svm/turns.h"

/* Variables at position .. position + count - 1 belong to the samples first, first + 1, .. of the
 * row source. Positions are multiples of PERI_SVM_LANES; between segments lies padding. */
typedef struct peri_smo_segment {
  int64_t position, count, first;
} peri_smo_segment;

#define PERI_SMO_SEGMENTS 2

/* A problem, whose arrays lie in one workspace. */
typedef struct peri_smo {
  /* given: set by peri_smo_begin, then by the caller for each variable */
  int64_t n; /* positions, padding included */
  bool separate;
  double kink; /* 0: none */
  int64_t segments;
  peri_smo_segment segment[PERI_SMO_SEGMENTS];
  double *linear, *low, *high; /* q and the bounds */
  double *beta;                /* the start; at the end the solution */
  double *diagonal;            /* K_tt */
  /* found */
  double *gradient; /* Kb + q */
  int8_t *state;    /* bits of svm_kernels.h */
  int64_t *number;  /* the sample of each variable */

  bool team;                    /* it is not within a body: passes over many rows may go to the team */
  struct peri_smo_block *block; /* the solver's working set */
} peri_smo;

/* When to end. */
typedef struct peri_smo_limits {
  double tol;
  int64_t max_iter; /* steps */
  const peri_turn *turn;
  /* asked now and then with the steps taken and the gap: false ends it. NULL is always true. */
  bool (*go_on)(void *arg, int64_t steps, double gap);
  void *arg;
} peri_smo_limits;

typedef struct peri_smo_result {
  int64_t iterations;
  /* of the largest violating pair; below tol when converged. Where the rounding error of the gradient is beyond tol,
   * so that nothing below it can be told, that error if it is more. */
  double gap;
  /* the thresholds: f(x) = sum b_t K(x_t, x) - rho; of each segment when they are separate, else all the same */
  double rho[PERI_SMO_SEGMENTS];
  double least;     /* the smallest slope of variables that may go up; infinity when there is none */
  double noise;     /* about the rounding error of slopes, kernel values' included */
  double objective; /* 1/2 b'Kb + q'b + kink sum |b| */
  bool converged;
  bool limited; /* max_iter, the deadline or go_on ended it */
} peri_smo_result;

/* Positions that segments of these counts take. */
static inline int64_t peri_smo_padded(int64_t count) {
  return (count + PERI_SVM_LANES - 1) / PERI_SVM_LANES * PERI_SVM_LANES;
}
/* Bytes of workspace for problems of up to n positions over a source. */
size_t peri_smo_bytes(int64_t n, const peri_row_source *source);
void peri_smo_place(peri_smo *smo, int64_t n, const peri_row_source *source, void *workspace);
/* Lays out segments (counts and first samples); bounds, b, q and K_tt are set to padding's values. */
void peri_smo_begin(peri_smo *smo, bool separate, double kink, int64_t segments, const int64_t *counts,
                    const int64_t *firsts);

/* Solves until the gap is below tol or a limit is met. With `warm` the gradient belongs to b already. Over a
 * whole matrix it allocates nothing, sets no message and may run in a body; it fails only when cancelled, or as
 * the source's fetch does. */
peri_status peri_smo_solve(peri_context *context, peri_row_source *source, peri_smo *smo, bool warm,
                           const peri_smo_limits *limits, peri_smo_result *result);

#endif
