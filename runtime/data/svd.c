/* The singular values and right singular vectors that principal components are; see svd.h. */
#include "base/blas.h"
#include "data/svd.h"
#include "tensor/tensor.h"

#include <limits.h>

/* A row-major n x d matrix is a column-major d x n one, whose left singular vectors are the rows asked for. */
static peri_status run(peri_context *context, lapack_int d, lapack_int n, double *a, peri_tensor *s, peri_tensor *v) {
  double best, *values = (double *)(void *)s->data, *vectors = (double *)(void *)v->data;
  lapack_int info = context->blas->LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'N', d, n, a, d, values, vectors, d, NULL,
                                                       1, &best, -1);
  if (info != 0 || best > INT_MAX) {
    return peri_fail(context, PERI_ERR_MEMORY, "out of memory: a matrix of %d x %d is too large", (int)n, (int)d);
  }
  lapack_int count = (lapack_int)best;
  void *work;
  PERI_TRY(peri_alloc_array(context, (size_t)count, sizeof(double), &work));
  info = context->blas->LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'N', d, n, a, d, values, vectors, d, NULL, 1, work,
                                            count);
  peri_free(context, work, (size_t)count * sizeof(double));
  PERI_TRY(peri_check_cancel(context));
  if (info == 0) return PERI_OK;
  return peri_fail(context, PERI_ERR_NUMERIC, "svd: the iteration did not converge (LAPACK gesvd: %d)", (int)info);
}

static peri_status decompose(peri_tensor *x, peri_tensor **s, peri_tensor **v) {
  peri_context *context = peri_tensor_context(x);
  int64_t n = x->layout.shape[0], d = x->layout.shape[1], k = peri_min(n, d);
  size_t bytes = (size_t)x->layout.numel * sizeof(double);
  PERI_TRY(peri_tensor_new(context, PERI_FLOAT64, 1, &k, s));
  PERI_TRY(peri_tensor_new(context, PERI_FLOAT64, 2, (int64_t[]){k, d}, v));
  if (k == 0) return PERI_OK;
  void *a;
  PERI_TRY(peri_alloc(context, bytes, &a));
  memcpy(a, x->data, bytes);
  peri_status status = peri_blas_begin(context);
  if (status == PERI_OK) status = run(context, (lapack_int)d, (lapack_int)n, a, *s, *v);
  peri_blas_end(context);
  peri_free(context, a, bytes);
  return status;
}

peri_status peri_data_svd(peri_tensor *x, peri_tensor **s, peri_tensor **v) {
  *s = *v = NULL;
  peri_context *context = peri_tensor_context(x);
  if (x->layout.ndim != 2 || x->layout.dtype != PERI_FLOAT64 || x->layout.shape[0] > INT_MAX ||
      x->layout.shape[1] > INT_MAX) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "svd: x must be a float64 matrix of less than 2^31 rows and columns");
  }
  peri_tensor *flat;
  PERI_TRY(peri_tensor_contiguous(x, &flat));
  peri_status status = decompose(flat, s, v);
  peri_tensor_release(&flat);
  if (status != PERI_OK) {
    peri_tensor_release(s);
    peri_tensor_release(v);
  }
  return status;
}
