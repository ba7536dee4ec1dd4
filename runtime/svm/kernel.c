/* The table of kernels and their blocks; see kernel.h. */
#include "svm/kernel.h"

#include "base/blas.h"
#include "svm/data.h"
#include "svm/svm_kernels.h"

/* ---- the table ---- */

static void apply_linear(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                         void *x, const void *norms, double norm) {
  (void)kernels, (void)kernel, (void)dtype, (void)n, (void)x, (void)norms, (void)norm;
}

static void apply_poly(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, void *x,
                       const void *norms, double norm) {
  (void)norms, (void)norm;
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  kernels->svm->power[peri_is_wide(dtype)](n, x, kernel->degree);
}

static void apply_unary(const peri_kernels *kernels, peri_unary_id id, peri_dtype dtype, int64_t n, void *x) {
  ptrdiff_t size = (ptrdiff_t)peri_float_size(dtype);
  kernels->elementwise->unary[id][dtype](n, x, size, x, size);
}

static void apply_rbf(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, void *x,
                      const void *norms, double norm) {
  kernels->svm->rbf_exponent[peri_is_wide(dtype)](n, x, norms, norm, kernel->gamma);
  apply_unary(kernels, PERI_UNARY_exp, dtype, n, x);
}

static void apply_sigmoid(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                          void *x, const void *norms, double norm) {
  (void)norms, (void)norm;
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  apply_unary(kernels, PERI_UNARY_tanh, dtype, n, x);
}

const peri_svm_kernel_row peri_svm_kernel_table[PERI_SVM_KERNEL_COUNT] = {
    [PERI_SVM_LINEAR] = {.name = "linear", .apply = apply_linear},
    [PERI_SVM_POLY] = {.name = "poly", .uses_gamma = true, .apply = apply_poly},
    [PERI_SVM_RBF] = {.name = "rbf", .uses_gamma = true, .centred = true, .apply = apply_rbf},
    [PERI_SVM_SIGMOID] = {.name = "sigmoid", .uses_gamma = true, .apply = apply_sigmoid},
    [PERI_SVM_PRECOMPUTED] = {.name = "precomputed"},
};

bool peri_svm_kernel_is_definite(const peri_svm_kernel *kernel) {
  switch (kernel->id) {
  case PERI_SVM_POLY:
    return kernel->coef0 >= 0;
  case PERI_SVM_SIGMOID:
  case PERI_SVM_PRECOMPUTED: /* unknown */
    return false;
  default:
    return true;
  }
}

const char *peri_svm_kernel_name(int64_t id) {
  return id >= 0 && id < PERI_SVM_KERNEL_COUNT ? peri_svm_kernel_table[id].name : NULL;
}

int64_t peri_svm_kernel_find(const char *name) {
  for (int64_t id = 0; id < PERI_SVM_KERNEL_COUNT; id++) {
    if (strcmp(peri_svm_kernel_table[id].name, name) == 0) return id;
  }
  return -1;
}

/* ---- blocks ---- */

#define NARROW         8 /* features up to which a product is not worth OpenBLAS's packing */
#define NARROW_COLUMNS 128

/* Columns of b' a piece at a time, transposed on the stack. */
static void narrow_products(const peri_kernels *kernels, peri_dtype dtype, int64_t m, int64_t n, int64_t d,
                            const void *a, int64_t lda, const void *b, int64_t ldb, void *out, int64_t ldo) {
  union {
    double wide[NARROW * NARROW_COLUMNS];
    float single[NARROW * NARROW_COLUMNS];
  } transposed;
  for (int64_t from = 0; from < n; from += NARROW_COLUMNS) {
    int64_t columns = peri_min(NARROW_COLUMNS, n - from);
    for (int64_t j = 0; j < columns; j++) {
      const void *row = peri_at(dtype, b, ldb, from + j, 0);
      for (int64_t l = 0; l < d; l++) {
        if (dtype == PERI_FLOAT64)
          transposed.wide[l * NARROW_COLUMNS + j] = ((const double *)row)[l];
        else
          transposed.single[l * NARROW_COLUMNS + j] = ((const float *)row)[l];
      }
    }
    kernels->svm->narrow[peri_is_wide(dtype)](m, columns, d, a, lda, &transposed, NARROW_COLUMNS,
                                              (char *)out + from * (int64_t)peri_float_size(dtype), ldo);
  }
}

peri_status peri_svm_parallel(peri_context *context, int64_t d, int64_t pieces, peri_body body, void *arg) {
  return d <= NARROW ? peri_parallel(context, pieces, body, arg) : peri_blas_parallel(context, pieces, body, arg);
}

void peri_svm_products(const peri_context *context, peri_dtype dtype, int64_t m, int64_t n, int64_t d, const void *a,
                       int64_t lda, const void *b, int64_t ldb, void *out, int64_t ldo) {
  if (d <= NARROW) {
    narrow_products(context->kernels, dtype, m, n, d, a, lda, b, ldb, out, ldo);
  } else if (dtype == PERI_FLOAT64) {
    context->blas->cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)d, 1, a, (int)lda, b,
                               (int)ldb, 0, out, (int)ldo);
  } else {
    context->blas->cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)d, 1, a, (int)lda, b,
                               (int)ldb, 0, out, (int)ldo);
  }
}

void peri_svm_kernel_block(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t m,
                           int64_t n, int64_t d, const void *a, int64_t lda, const void *a_norms, const void *b,
                           int64_t ldb, const void *b_norms, void *out, int64_t ldo) {
  peri_svm_products(context, dtype, m, n, d, a, lda, b, ldb, out, ldo);
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[kernel->id];
  for (int64_t i = 0; i < m; i++) {
    row->apply(context->kernels, kernel, dtype, n, (char *)out + i * ldo * (int64_t)peri_float_size(dtype), b_norms,
               peri_value(dtype, a_norms, i));
  }
}

/* ---- norms ---- */

#define NORM_ROWS  64
#define NORM_PIECE (32 * NORM_ROWS)

typedef struct norms_job {
  const peri_context *context;
  peri_dtype dtype;
  int64_t n, d, ldx;
  const void *x;
  void *norms;
} norms_job;

static void norms_body(void *arg, int64_t piece) {
  const norms_job *job = arg;
  size_t size = peri_float_size(job->dtype);
  int64_t end = peri_min(job->n, (piece + 1) * NORM_PIECE);
  int64_t rows = peri_min(job->n, NORM_ROWS); /* every product has the same shape: the last one reaches back */
  double products[NORM_ROWS * NORM_ROWS];
  for (int64_t at = piece * NORM_PIECE; at < end; at += NORM_ROWS) {
    int64_t from = peri_min(at, job->n - rows);
    const void *x = peri_at(job->dtype, job->x, job->ldx, from, 0);
    peri_svm_products(job->context, job->dtype, rows, rows, job->d, x, job->ldx, x, job->ldx, products, rows);
    for (int64_t i = 0; i < rows; i++) {
      if (from + i < at) continue; /* another piece's */
      memcpy((char *)job->norms + (size_t)(from + i) * size, (char *)products + (size_t)(i * rows + i) * size, size);
    }
  }
}

peri_status peri_svm_norms(peri_context *context, peri_dtype dtype, int64_t n, int64_t d, const void *x, int64_t ldx,
                           void *norms) {
  norms_job job = {.context = context, .dtype = dtype, .n = n, .d = d, .ldx = ldx, .x = x, .norms = norms};
  return peri_svm_parallel(context, d, (n + NORM_PIECE - 1) / NORM_PIECE, norms_body, &job);
}

void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal) {
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[kernel->id];
  for (int64_t i = 0; i < n; i++) {
    const void *norm = (const char *)norms + (size_t)i * peri_float_size(dtype);
    double value = 0;
    memcpy(&value, norm, peri_float_size(dtype));
    row->apply(kernels, kernel, dtype, 1, &value, norm, peri_value(dtype, norm, 0));
    diagonal[i] = peri_value(dtype, &value, 0);
  }
}
