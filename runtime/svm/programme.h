/* The quadratic programme of one machine (a pair of classes, a regression, a one-class set) at one C, with
 * or without a fold of the rows held out. A row that is held out has a box of no width: it never moves, and
 * its gradient tells the decision of a machine that has not seen it, at no cost in kernel values. */
#ifndef PERI_SVM_PROGRAMME_H
#define PERI_SVM_PROGRAMME_H

#include "svm/problem.h"
#include "svm/smo.h"

typedef struct peri_programme {
  const peri_problem *problem;
  peri_row_source *source; /* the problem's, or the matrix of this pair */
  peri_smo *smo;           /* with room for peri_programme_most positions */
  int64_t pair;
  double C;
  const int64_t *fold; /* of each row in the problem's order; NULL: nothing is held out */
  int64_t held;        /* the fold that is */

  int64_t row[PERI_SMO_SEGMENTS]; /* where each segment's rows begin in that order */
  double tol;
} peri_programme;

/* What a machine has come to: f(x) = scale * sum b_t K(x_t, x) - rho. */
typedef struct peri_programme_result {
  peri_smo_result smo;
  double rho, scale;
} peri_programme_result;

/* The most positions that a programme of this problem takes. */
int64_t peri_programme_most(const peri_problem *problem);

/* Sets smo up for problem, pair, C, fold and held, with a feasible start. */
void peri_programme_begin(peri_programme *self);
/* A solved programme becomes that of a larger C: of the feasible starts t b, 1 <= t <= C / old C, the best. */
void peri_programme_raise_C(peri_programme *self, double C);
/* limits: with max_iter -1 a number of steps beyond what machines need that come to an end. warm: the gradient is right
 * already, as after peri_programme_raise_C. */
peri_status peri_programme_solve(peri_programme *self, bool warm, const peri_smo_limits *limits,
                                 peri_programme_result *result);

/* Adds scale * b to beta, one entry for each row of the problem's order; segment: one, or -1 for all. */
void peri_programme_read(const peri_programme *self, const peri_programme_result *result, int64_t segment,
                         double *beta);
/* The decision of row `at` of a segment. */
double peri_programme_decision(const peri_programme *self, const peri_programme_result *result, int64_t segment,
                               int64_t at);

#endif
