/* A quadratic programme (see smo.h) whose matrix is at hand, and the two ways to make progress on it:
 * steps on pairs of variables, and Newton steps on all free variables at once. */
#ifndef PERI_SVM_DENSE_H
#define PERI_SVM_DENSE_H

#include "base/base.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* Variables at position .. position + count - 1 belong to the samples first, first + 1, .. of the
 * row source. Positions are multiples of PERI_SVM_LANES; between segments lies padding. */
typedef struct peri_smo_segment {
  int64_t position, count, first;
} peri_smo_segment;

#define PERI_SMO_SEGMENTS 2

/* Positions that segments of these counts take. */
static inline int64_t peri_smo_padded(int64_t count) {
  return (count + PERI_SVM_LANES - 1) / PERI_SVM_LANES * PERI_SVM_LANES;
}

typedef struct peri_dense {
  const peri_svm_kernels *kernels;
  bool wide;     /* the matrix is float64 */
  bool separate; /* the sum is constant within each segment: a pair is of one segment */
  double kink;
  int64_t segments;
  peri_smo_segment segment[PERI_SMO_SEGMENTS];
  double *gradient, *beta;
  const double *low, *high, *diagonal;
  int8_t *state;
  const int64_t *number; /* row and column of each variable in the matrix */
  const char *matrix;
  int64_t row_bytes;
} peri_dense;

static inline int8_t peri_svm_state(double beta, double low, double high, double kink) {
  int ways = (beta < high ? PERI_SVM_UP : 0) | (beta > low ? PERI_SVM_DOWN : 0);
  int above = (beta >= 0 ? PERI_SVM_UP_ABOVE : 0) | (beta > 0 ? PERI_SVM_DOWN_ABOVE : 0);
  return (int8_t)(kink > 0 ? ways | above : ways);
}
/* May move both ways with one slope: neither at a bound nor at the kink. */
static inline bool peri_svm_is_free(int8_t state) {
  bool up_above = state & PERI_SVM_UP_ABOVE, down_above = state & PERI_SVM_DOWN_ABOVE;
  return (state & PERI_SVM_UP) && (state & PERI_SVM_DOWN) && up_above == down_above;
}
static inline double peri_svm_up_slope(double gradient, int8_t state, double kink) {
  return state & PERI_SVM_UP_ABOVE ? gradient + kink : gradient - kink;
}
static inline double peri_svm_down_slope(double gradient, int8_t state, double kink) {
  return state & PERI_SVM_DOWN_ABOVE ? gradient + kink : gradient - kink;
}

static inline int8_t peri_dense_state(const peri_dense *p, int64_t t) {
  return peri_svm_state(p->beta[t], p->low[t], p->high[t], p->kink);
}
static inline bool peri_dense_is_free(const peri_dense *p, int64_t t) { return peri_svm_is_free(p->state[t]); }
static inline double peri_dense_up_slope(const peri_dense *p, int64_t t) {
  return peri_svm_up_slope(p->gradient[t], p->state[t], p->kink);
}
static inline double peri_dense_down_slope(const peri_dense *p, int64_t t) {
  return peri_svm_down_slope(p->gradient[t], p->state[t], p->kink);
}
/* How far up and down a variable may go with the same slope: to a bound or to the kink. */
static inline double peri_dense_top(const peri_dense *p, int64_t t) {
  return p->kink > 0 && p->beta[t] < 0 ? peri_smaller(p->high[t], 0) : p->high[t];
}
static inline double peri_dense_bottom(const peri_dense *p, int64_t t) {
  return p->kink > 0 && p->beta[t] > 0 ? peri_larger(p->low[t], 0) : p->low[t];
}
static inline const char *peri_dense_row(const peri_dense *p, int64_t t) {
  return p->matrix + p->number[t] * p->row_bytes;
}
/* Where a row's values for the variables of a segment begin. */
static inline const void *peri_dense_columns(const peri_dense *p, const char *row, int64_t segment) {
  return row + p->segment[segment].first * (p->wide ? 8 : 4);
}
static inline double peri_dense_element(const peri_dense *p, const char *row, int64_t t) {
  return p->wide ? ((const double *)row)[p->number[t]] : (double)((const float *)row)[p->number[t]];
}

/* ---- pairs ---- */

/* The extremes among which pairs are formed: of each segment when they are separate, else of all together
 * in each entry. */
typedef struct peri_dense_view {
  peri_svm_extremes of[PERI_SMO_SEGMENTS];
} peri_dense_view;

peri_dense_view peri_dense_look(const peri_dense *p);
/* The gap that remains: the largest of the segments' when they are separate; -infinity when no variable can go up. */
double peri_dense_gap(const peri_dense *p, const peri_dense_view *view);
/* Whether a variable of a segment can be part of a violating pair: free, or at a bound that its gradient leaves. */
bool peri_dense_is_active(const peri_dense *p, int64_t t, const peri_svm_extremes *e);
/* How many are. */
int64_t peri_dense_count_active(const peri_dense *p);

typedef enum peri_outcome {
  PERI_REACHED, /* the gap is below tol */
  PERI_PAUSED,  /* the steps are used up, or the computation was cancelled */
  PERI_STUCK    /* rounding leaves no step that changes anything */
} peri_outcome;

/* Runs until the gap is below tol, or for at most `limit` steps, which it counts. */
peri_outcome peri_dense_run(const peri_dense *p, const peri_context *context, double tol, int64_t limit,
                            int64_t *steps);

/* ---- free variables ---- */

#define PERI_NEWTON_MOST 256 /* free variables of a Newton step; to measure: ./dev bench parts machines */

/* Doubles of workspace for up to n free variables. */
static inline int64_t peri_newton_doubles(int64_t n) { return n * n + 5 * n; }
/* Minimises over the free variables, those that meet a bound leaving the set, until the gap among them is
 * below tol; returns the number of Newton steps, 0 when nothing was done: fewer than two free
 * variables, more than `most`, or a matrix too indefinite. */
int64_t peri_dense_newton(const peri_dense *p, double tol, int64_t most, double *workspace);

#endif
