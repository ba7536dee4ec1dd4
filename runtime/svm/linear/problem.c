/* What solvers ask of a problem; see problem.h. */
#include "svm/linear/problem.h"

double peri_linear_smaller_share(const peri_linear_problem *p, int64_t m) {
  if (p->grouping == NULL) return 1;
  int64_t c = peri_linear_positive(p, m), positive = p->grouping->start[c + 1] - p->grouping->start[c];
  return (double)peri_min(positive, p->rows - positive) / (double)p->rows;
}
