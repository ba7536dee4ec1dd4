/* Cholesky's factor of a symmetric positive definite matrix, and solving with it: A = U'U, rows of U one after the
 * other. Plain loops and the product engine, so that the bits are the same on every machine. */
#ifndef PERI_LINEAR_CHOLESKY_H
#define PERI_LINEAR_CHOLESKY_H

#include "base/base.h"

/* Bytes of scratch memory for a matrix of n rows. */
size_t peri_cholesky_scratch(const peri_context *context, peri_dtype dtype, int64_t n);
/* a (n x n) holds the upper half of A, which U replaces; the lower half holds finite numbers, and is left with others.
 * False where A is not positive definite: then nothing of it is left. On the thread that calls, safe in a body. */
bool peri_cholesky_factor(const peri_context *context, peri_dtype dtype, int64_t n, void *a, void *scratch);
/* x = A^-1 x of U. */
void peri_cholesky_solve(const peri_context *context, peri_dtype dtype, int64_t n, const void *u, void *x);

#endif
