/* The kernels k(u, v) as a table, and what is computed with them in blocks: matrix products first,
 * then one vectorised pass that turns a row of products into a row of kernel values. */
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
  bool centred; /* depends on u - v alone: features are centred, which costs nothing and saves digits */
  /* x = products u.v_j in place to k(u, v_j), j < n; norms are the v_j.v_j, norm is u.u */
  void (*apply)(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, void *x,
                const void *norms, double norm);
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
/* The products, then the kernel on them. */
void peri_svm_kernel_block(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t m,
                           int64_t n, int64_t d, const void *a, int64_t lda, const void *a_norms, const void *b,
                           int64_t ldb, const void *b_norms, void *out, int64_t ldo);

/* norms[i] = x_i.x_i of dtype, by the routine that gives the products, so that the distance of a row
 * to itself or to its duplicate comes out as 0. */
peri_status peri_svm_norms(peri_context *context, peri_dtype dtype, int64_t n, int64_t d, const void *x, int64_t ldx,
                           void *norms);
/* k(x_i, x_i) from the norms. */
void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal);

#endif
