/* The table of kernels and their blocks; see kernel.h. */
#include "svm/kernel/kernel.h"

#include "base/blas.h"
#include "svm/grouping.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* ---- the table ---- */

static void apply_linear(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                         void *x) {
  (void)kernels, (void)kernel, (void)dtype, (void)n, (void)x;
}

static void apply_poly(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       void *x) {
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  kernels->svm->power[peri_is_wide(dtype)](n, x, kernel->degree);
}

static void apply_unary(const peri_kernels *kernels, peri_unary_id id, peri_dtype dtype, int64_t n, void *x) {
  ptrdiff_t size = (ptrdiff_t)peri_float_size(dtype);
  kernels->elementwise->unary[id][dtype](n, x, size, x, size);
}

static void apply_rbf(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                      void *x) {
  (void)kernel;
  apply_unary(kernels, PERI_UNARY_exp, dtype, n, x);
}

static void apply_sigmoid(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                          void *x) {
  kernels->svm->affine[peri_is_wide(dtype)](n, x, kernel->gamma, kernel->coef0);
  apply_unary(kernels, PERI_UNARY_tanh, dtype, n, x);
}

const peri_svm_kernel_row peri_svm_kernel_table[PERI_SVM_KERNEL_COUNT] = {
    [PERI_SVM_LINEAR] = {.name = "linear", .apply = apply_linear},
    [PERI_SVM_POLY] = {.name = "poly", .uses_gamma = true, .apply = apply_poly},
    [PERI_SVM_RBF] = {.name = "rbf", .uses_gamma = true, .of_distance = true, .apply = apply_rbf},
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

/* To measure: ./dev bench parts machines. */
#define NARROW         8 /* features up to which a product is not worth OpenBLAS's packing */
#define NARROW_COLUMNS 128

/* One of the loops over few features. */
typedef void (*narrow_loop)(int64_t m, int64_t n, int64_t d, const void *a, int64_t lda, const void *b, int64_t ldb,
                            void *out, int64_t ldo);

/* Columns of b' a piece at a time, transposed on the stack. */
static void narrow_block(narrow_loop loop, peri_dtype dtype, int64_t m, int64_t n, int64_t d, const void *a,
                         int64_t lda, const void *b, int64_t ldb, void *out, int64_t ldo) {
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
    loop(m, columns, d, a, lda, &transposed, NARROW_COLUMNS, (char *)out + from * (int64_t)peri_float_size(dtype), ldo);
  }
}

peri_status peri_svm_parallel(peri_context *context, int64_t d, int64_t pieces, peri_body body, void *arg) {
  return d <= NARROW ? peri_parallel(context, pieces, body, arg) : peri_blas_parallel(context, pieces, body, arg);
}

void peri_svm_products(const peri_context *context, peri_dtype dtype, int64_t m, int64_t n, int64_t d, const void *a,
                       int64_t lda, const void *b, int64_t ldb, void *out, int64_t ldo) {
  if (d <= NARROW) {
    narrow_block(context->kernels->svm->narrow[peri_is_wide(dtype)], dtype, m, n, d, a, lda, b, ldb, out, ldo);
  } else if (dtype == PERI_FLOAT64) {
    context->blas->cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)d, 1, a, (int)lda, b,
                               (int)ldb, 0, out, (int)ldo);
  } else {
    context->blas->cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)d, 1, a, (int)lda, b,
                               (int)ldb, 0, out, (int)ldo);
  }
}

/* ---- blocks of kernel values ---- */

const void *peri_svm_given_row(const peri_svm_side *side, int64_t i) {
  return peri_at(side->from, side->given, side->given_ld, side->order != NULL ? side->order[i] : i, 0);
}

peri_svm_side peri_svm_side_from(const peri_svm_side *side, peri_dtype dtype, int64_t row) {
  peri_svm_side rest = *side;
  rest.x = peri_at(dtype, side->x, side->ld, row, 0);
  rest.norms = peri_at(dtype, side->norms, 1, row, 0);
  if (side->order != NULL)
    rest.order = side->order + row;
  else
    rest.given = peri_svm_given_row(side, row);
  return rest;
}

bool peri_svm_wants_centre(const peri_svm_kernel *kernel, int64_t d) {
  return peri_svm_kernel_table[kernel->id].of_distance && d > NARROW;
}

/* Those of a row of exponents that are marked (see rbf_exponent), from the differences. */
static void restore_exponents(const peri_kernels *kernels, double gamma, peri_dtype dtype, int64_t d,
                              const peri_svm_side *a, int64_t i, int64_t n, const peri_svm_side *b, void *x) {
  double (*distance)(int64_t d, const void *u, const void *v) =
      kernels->svm->distance[peri_is_wide(a->from)][peri_is_wide(b->from)];
  const void *u = peri_svm_given_row(a, i);
  for (int64_t j = 0; j < n; j++) {
    if (dtype == PERI_FLOAT64) {
      double *value = (double *)x + j;
      if (*value > 0) *value = -gamma * distance(d, u, peri_svm_given_row(b, j));
    } else {
      float *value = (float *)x + j;
      if (*value > 0) *value = (float)(-gamma * distance(d, u, peri_svm_given_row(b, j)));
    }
  }
}

/* A row of exponents -gamma |a_i - b_j|^2, from squared distances where there are few features, else from products. */
static void exponents(const peri_kernels *kernels, double gamma, peri_dtype dtype, int64_t d, const peri_svm_side *a,
                      int64_t i, int64_t n, const peri_svm_side *b, double largest, void *x) {
  bool wide = peri_is_wide(dtype), lost;
  if (d <= NARROW)
    lost = kernels->svm->distance_exponent[wide](n, x, gamma);
  else
    lost = kernels->svm->rbf_exponent[wide](n, x, b->norms, largest, peri_value(dtype, a->norms, i), gamma);
  if (lost) restore_exponents(kernels, gamma, dtype, d, a, i, n, b, x);
}

void peri_svm_kernel_block(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t d,
                           int64_t m, const peri_svm_side *a, int64_t n, const peri_svm_side *b, void *out,
                           int64_t ldo) {
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[kernel->id];
  const peri_kernels *kernels = context->kernels;
  if (row->of_distance && d <= NARROW)
    narrow_block(kernels->svm->narrow_squares[peri_is_wide(dtype)], dtype, m, n, d, a->x, a->ld, b->x, b->ld, out, ldo);
  else
    peri_svm_products(context, dtype, m, n, d, a->x, a->ld, b->x, b->ld, out, ldo);
  double largest = 0;
  for (int64_t j = 0; row->of_distance && d > NARROW && j < n; j++)
    largest = peri_larger(largest, peri_value(dtype, b->norms, j));
  for (int64_t i = 0; i < m; i++) {
    void *values = (char *)out + i * ldo * (int64_t)peri_float_size(dtype);
    if (row->of_distance) exponents(kernels, kernel->gamma, dtype, d, a, i, n, b, largest, values);
    row->apply(kernels, kernel, dtype, n, values);
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

static void squares_body(void *arg, int64_t piece) {
  const norms_job *job = arg;
  bool wide = peri_is_wide(job->dtype);
  int64_t end = peri_min(job->n, (piece + 1) * NORM_PIECE);
  for (int64_t i = piece * NORM_PIECE; i < end; i++) {
    double norm = job->context->kernels->svm->square[wide](job->d, peri_at(job->dtype, job->x, job->ldx, i, 0));
    if (wide)
      ((double *)job->norms)[i] = norm;
    else
      ((float *)job->norms)[i] = (float)norm;
  }
}

static void products_body(void *arg, int64_t piece) {
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

peri_status peri_svm_norms(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const void *x, int64_t ldx, void *norms) {
  norms_job job = {.context = context, .dtype = dtype, .n = n, .d = d, .ldx = ldx, .x = x, .norms = norms};
  bool of_distance = peri_svm_kernel_table[kernel->id].of_distance;
  int64_t pieces = (n + NORM_PIECE - 1) / NORM_PIECE;
  if (of_distance) return peri_parallel(context, pieces, squares_body, &job);
  return peri_svm_parallel(context, d, pieces, products_body, &job);
}

void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal) {
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[kernel->id];
  for (int64_t i = 0; i < n; i++) {
    const void *norm = (const char *)norms + (size_t)i * peri_float_size(dtype);
    double value = 0;
    if (!row->of_distance) memcpy(&value, norm, peri_float_size(dtype));
    row->apply(kernels, kernel, dtype, 1, &value);
    diagonal[i] = peri_value(dtype, &value, 0);
  }
}
