/* Probabilities from decisions: Platt's sigmoid for two classes (in the stable form of Lin, Lin, Weng 2007), and the
 * coupling of pairs for more (Wu, Lin, Weng 2004, method 2). */
#ifndef PERI_SVM_PLATT_H
#define PERI_SVM_PLATT_H

#include "base/base.h"

#define PERI_PLATT_FOLDS 5 /* whose rows are decided by machines that have not seen them */

/* Fits P(positive | f) = 1 / (1 + exp(a f + b)), a <= 0, to n decisions by Newton's method with line search; the
 * targets are (N+ + 1) / (N+ + 2) and 1 / (N- + 2). Decisions that tell nothing, or the opposite, have a = 0: the
 * probability is the share of the class. */
void peri_platt_fit(int64_t n, const double *decision, const bool *positive, double *a, double *b);
/* The same with b = 0, so that the likelier class is the one that the decision is for. */
void peri_platt_fit_slope(int64_t n, const double *decision, const bool *positive, double *a, double *b);
double peri_platt(double decision, double a, double b);

/* p (k classes) from r (k x k): r[i * k + j] = P(i | i or j), with r_ij + r_ji = 1. scratch: k * k + k doubles. */
void peri_couple(int64_t k, const double *r, double *p, double *scratch);

#endif
