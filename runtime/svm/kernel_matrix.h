/* Kernel values between two sets of rows, as kernel approximations and scripts want them. */
#ifndef PERI_SVM_KERNEL_MATRIX_H
#define PERI_SVM_KERNEL_MATRIX_H

#include "svm/kernel.h"

/* n rows of d features, one after the other. */
typedef struct peri_svm_rows {
  peri_dtype dtype;
  int64_t n, d;
  const void *x;
} peri_svm_rows;

/* That they are finite numbers of a float dtype, 1 or more in a row; `who` begins messages. */
peri_status peri_svm_check_rows(peri_context *context, const char *who, const peri_svm_rows *rows);
/* out (a.n x b.n, contiguous) = k(a_i, b_j), of the wider of both dtypes, in which it is computed. The rows are checked
 * already and have as many features; b NULL stands for a, and then the matrix is exactly symmetric. The kernel's
 * gamma is a number. Takes memory for norms, and for copies of the rows where the kernel is centred or dtypes differ.
 */
peri_status peri_svm_kernel_matrix(peri_context *context, const char *who, const peri_svm_kernel *kernel,
                                   const peri_svm_rows *a, const peri_svm_rows *b, void *out);
/* The number that a mode of gamma stands for on these rows; that of PERI_GAMMA_VALUE is given. */
peri_status peri_svm_gamma_of(peri_context *context, const char *who, peri_gamma_mode mode, double given,
                              const peri_svm_rows *rows, double *gamma);

#endif
