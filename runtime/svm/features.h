/* Features as the kernels want them: contiguous rows of the dtype that is computed in, in the order of
 * the classes, centred where the kernel only sees differences; and their moments. */
#ifndef PERI_SVM_FEATURES_H
#define PERI_SVM_FEATURES_H

#include "svm/data.h"

/* One row: d values, less centre unless it is NULL. Safe in a body. */
void peri_svm_pack_row(peri_dtype from, const void *x, peri_dtype to, void *out, int64_t d, const double *centre);
/* out[i] = row order[i] of x, or row i where order is NULL. */
peri_status peri_svm_pack(peri_context *context, peri_dtype from, int64_t rows, int64_t d, const void *x, int64_t ldx,
                          const int64_t *order, const double *centre, peri_dtype to, void *out);
/* Mean of each column over the rows of order (NULL: all), double arithmetic. */
peri_status peri_svm_means(peri_context *context, peri_dtype dtype, int64_t rows, int64_t d, const void *x, int64_t ldx,
                           const int64_t *order, double *means);
/* 1 / (d variance), or 1 where the variance is 0: the gamma called "scale". It is an error where that is no number. */
peri_status peri_svm_scale_gamma(peri_context *context, const char *who, int64_t d, double variance, double *gamma);
/* Variance of all elements about their common mean. */
peri_status peri_svm_variance(peri_context *context, peri_dtype dtype, int64_t rows, int64_t d, const void *x,
                              int64_t ldx, const int64_t *order, const double *means, double *variance);

#endif
