/* A decomposition of data. */
#ifndef PERI_DATA_SVD_H
#define PERI_DATA_SVD_H

#include "base/base.h"

/* Of x (n x d float64): the min(n, d) singular values, descending, and the right singular vectors as rows of *v,
 * min(n, d) x d (LAPACK gesvd). Each vector's sign is LAPACK's. */
peri_status peri_data_svd(peri_tensor *x, peri_tensor **s, peri_tensor **v);

#endif
