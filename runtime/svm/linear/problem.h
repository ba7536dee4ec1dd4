/* What the solvers of the linear machines share: the problem as they see it, and passes over its rows.
 *
 * A solver fills w, n_iter, gaps and reached for each machine. It polls peri_linear_stop at least every 20 ms
 * of work; when its turn is over it leaves the best w it has, with a gap measured there. */
#ifndef PERI_LINEAR_PROBLEM_H
#define PERI_LINEAR_PROBLEM_H

#include "svm/grouping.h"
#include "svm/linear/linear.h"
#include "svm/linear/linear_kernels.h"
#include "svm/turns.h"

#include <math.h>

typedef struct peri_linear_problem {
  peri_context *context;
  const char *who;
  const peri_linear_options *options;
  const peri_linear_kernels *kernels;
  peri_blocks *blocks; /* scratch memory of the whole fit */

  peri_dtype dtype;
  bool wide;
  int64_t d, width; /* features; weights of a machine, the constant feature's last */
  const void *x;
  int64_t ldx;
  double constant;      /* value of the constant feature, 0 where there is none */
  int64_t rows;         /* that take part, in the order of x */
  const int64_t *order; /* rows: of x */
  const double *bound;  /* rows: C_i */
  double *square;       /* rows: x_i'x_i, the constant feature included */
  double largest;       /* of square */

  const peri_grouping *grouping; /* of a classifier: its classes */
  const int64_t *owner;          /* rows: class of each */
  const double *targets;         /* of a regression, by row */
  double smaller; /* share of the smaller class, for relative measures: min(n+, n-) / n; 1 for a regression */

  int64_t max_iter;      /* passes or steps of a machine */
  double deadline;       /* on the clock of peri_now */
  const peri_turn *turn; /* of the machines that solvers for several treat now */

  int64_t machines;
  double *w;       /* machines x width, zero at the start */
  int64_t *n_iter; /* machines */
  double *gaps;    /* machines */
  bool *reached;   /* machines: tol was reached */
} peri_linear_problem;

static inline const void *peri_linear_row(const peri_linear_problem *p, int64_t i) {
  return peri_at(p->dtype, p->x, p->ldx, p->order[i], 0);
}
/* The class that machine m tells from the rest. */
static inline int64_t peri_linear_positive(const peri_linear_problem *p, int64_t m) {
  return p->grouping->k == 2 ? 1 : m;
}
/* -1 or 1 for a classifier, else the number to be met. */
static inline double peri_linear_target(const peri_linear_problem *p, int64_t m, int64_t i) {
  if (p->targets != NULL) return p->targets[i];
  return p->owner[i] == peri_linear_positive(p, m) ? 1 : -1;
}
/* min(n+, n-) / n of machine m; 1 for a regression. */
double peri_linear_smaller_share(const peri_linear_problem *p, int64_t m);

static inline bool peri_linear_stop(const peri_linear_problem *p, const peri_turn *turn) {
  return peri_cancelled(p->context) || peri_turn_late(turn);
}
/* Rows between two polls, for `work` multiplications a row. */
static inline int64_t peri_linear_poll(int64_t work) { return ((int64_t)1 << 22) / work + 1; }

/* ---- solvers ---- */

peri_status peri_linear_newton(peri_linear_problem *p);  /* L2 penalty, losses with a derivative */
peri_status peri_linear_dual(peri_linear_problem *p);    /* L2 penalty, hinge and epsilon losses and their squares */
peri_status peri_linear_descent(peri_linear_problem *p); /* L1 penalty, losses with a derivative */
peri_status peri_linear_crammer_singer(peri_linear_problem *p);

#endif
