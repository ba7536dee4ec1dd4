/* The kernels k(u, v) as a table, and what is computed with them in blocks: matrix products first,
 * then one vectorised pass that turns a row of products into a row of kernel values.
 *
 * A kernel of distances has them from |u|^2 + |v|^2 - 2 u.v, which cancels where rows are near each other, compared
 * with their distance from the centre. Those that come out with too few digits are computed from the differences of
 * the features as they were given, before they were centred and rounded; with few features all are. */
#ifndef PERI_SVM_KERNEL_H
#define PERI_SVM_KERNEL_H

#include "kernels/kernels.h"
#include "svm/svm.h"

typedef struct peri_svm_kernel {
  peri_svm_kernel_id id;
  double gamma, coef0;
  int64_t degree;
} peri_svm_kernel;

/* One row of the table. */
typedef struct peri_svm_kernel_row {
  const char *name;
  bool uses_gamma;
  bool of_distance; /* depends on u - v alone */
  /* x in place to k(u, v_j), j < n: from products u.v_j, or where it is one of distances from -gamma |u - v_j|^2 */
  void (*apply)(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, void *x);
} peri_svm_kernel_row;

/* Whether every Gram matrix of it is positive semidefinite, so that optima are global. */
bool peri_svm_kernel_is_definite(const peri_svm_kernel *kernel);

extern const peri_svm_kernel_row peri_svm_kernel_table[PERI_SVM_KERNEL_COUNT];

/* Runs a job whose bodies make products of rows of d features, as peri_parallel does; where these are matrix products
 * it opens the gate to BLAS. */
peri_status peri_svm_parallel(peri_context *context, int64_t d, int64_t pieces, peri_body body, void *arg);

/* out (m x n) = a (m x d) b' (n x d); one thread, in a body of peri_svm_parallel: it allocates nothing. */
void peri_svm_products(const peri_context *context, peri_dtype dtype, int64_t m, int64_t n, int64_t d, const void *a,
                       int64_t lda, const void *b, int64_t ldb, void *out, int64_t ldo);

/* Rows of one side of a block: as they are multiplied, and as they were given. */
typedef struct peri_svm_side {
  const void *x, *norms; /* of the dtype that is computed in: rows of ld elements, and x_i.x_i */
  int64_t ld;
  peri_dtype from; /* row i as given is that of number order[i], or i where order is NULL */
  const void *given;
  int64_t given_ld;
  const int64_t *order;
} peri_svm_side;

const void *peri_svm_given_row(const peri_svm_side *side, int64_t i);
/* The rows from `row` on. */
peri_svm_side peri_svm_side_from(const peri_svm_side *side, peri_dtype dtype, int64_t row);
/* Whether x is to be centred, so that few distances cancel; else x is what was given. */
bool peri_svm_wants_centre(const peri_svm_kernel *kernel, int64_t d);
/* out (m x n) = k(a_i, b_j); one thread, in a body of peri_svm_parallel. A value depends on its two rows alone, as far
 * as the products do. */
void peri_svm_kernel_block(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t d,
                           int64_t m, const peri_svm_side *a, int64_t n, const peri_svm_side *b, void *out,
                           int64_t ldo);

/* norms[i] = x_i.x_i of dtype: for distances as exact as that allows, else by the routine that gives the products, so
 * that k(x_i, x_i) is rounded as k(x_i, x_j) is. */
peri_status peri_svm_norms(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const void *x, int64_t ldx, void *norms);
/* k(x_i, x_i) from the norms. */
void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal);

#endif
