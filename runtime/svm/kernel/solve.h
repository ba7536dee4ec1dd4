/* All machines of a problem, for a list of C: over the team where the Gram matrix is at hand, one after the
 * other where its rows take the team themselves. */
#ifndef PERI_SVM_SOLVE_H
#define PERI_SVM_SOLVE_H

#include "svm/kernel/programme.h"

/* One machine. */
typedef struct peri_solved {
  peri_programme_result result;
  double prob_a, prob_b; /* when options ask for probabilities */
} peri_solved;

/* The machines of one C. */
typedef struct peri_solution {
  double C;
  double *beta;         /* max(k - 1, 1) x rows in the problem's order, laid out as dual_coef */
  peri_solved *machine; /* pairs */
} peri_solution;

/* solutions has count entries, whose C are given, ascending; arrays live in the problem's blocks. */
peri_status peri_solve(peri_problem *problem, int64_t count, peri_solution *solutions);

/* The same with each fold held out in turn, over a whole matrix: decisions (count x rows x pairs) of every row
 * by the machines that have not seen it; fold is that of each row in the problem's order. *converged: all were. */
peri_status peri_solve_folds(peri_problem *problem, int64_t folds, const int64_t *fold, int64_t count, const double *Cs,
                             double *decisions, bool *converged);

#endif
