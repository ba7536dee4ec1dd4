/* The factor, some rows at a time; see cholesky.h. */
#include "svm/linear/cholesky.h"

#include "kernels/kernels.h"
#include "product/product.h"
#include "svm/linear/linear_kernels.h"

#define ROWS   64  /* of U that are made in loops before a product takes them off the rest */
#define STRIP  64  /* rows of the rest at a time, so that little below the diagonal is computed */
#define WIDEST 512 /* columns of a product that ask for the most scratch memory */

typedef struct matrix {
  const peri_context *context;
  const peri_linear_kernels *kernels;
  peri_dtype dtype;
  bool wide;
  int64_t n;
  char *a;
} matrix;

static matrix matrix_of(const peri_context *context, peri_dtype dtype, int64_t n, void *a) {
  return (matrix){.context = context,
                  .kernels = context->kernels->linear,
                  .dtype = dtype,
                  .wide = dtype == PERI_FLOAT64,
                  .n = n,
                  .a = a};
}

static void *at(const matrix *m, int64_t i, int64_t j) { return m->a + (i * m->n + j) * (m->wide ? 8 : 4); }

/* Rows i .. of the rest less the product of the rows of U and their negatives. */
static peri_product product_of(const matrix *m, int64_t first, int64_t rows, int64_t i, const void *negative) {
  int64_t rest = m->n - first - rows, size = m->wide ? 8 : 4;
  return (peri_product){
      .dtype = m->dtype,
      .m = peri_min(STRIP, m->n - i),
      .n = m->n - i,
      .k = rows,
      .a = {.data = (const char *)negative + (i - first - rows) * size, .along = 1, .step = rest},
      .b = {.data = at(m, first, i), .along = 1, .step = m->n},
      .c = at(m, i, i),
      .ldc = m->n,
      .add = true,
  };
}

static size_t negative_bytes(const matrix *m) { return (size_t)(ROWS * m->n * (m->wide ? 8 : 4) + 63) / 64 * 64; }

size_t peri_cholesky_scratch(const peri_context *context, peri_dtype dtype, int64_t n) {
  char any[8];
  matrix m = matrix_of(context, dtype, n, any);
  peri_product largest = product_of(&m, 0, peri_min(ROWS, n), 0, any);
  largest.n = peri_min(WIDEST, n);
  return negative_bytes(&m) + peri_multiply_scratch(context, &largest);
}

/* Rows first .. of U, from what products have left of A. */
static bool make_rows(const matrix *m, int64_t first, int64_t rows) {
  for (int64_t i = first; i < first + rows; i++) {
    m->kernels->less[m->wide](m->n - i, i - first, at(m, first, i), m->n, at(m, first, i), m->n, at(m, i, i));
    if (!m->kernels->pivot[m->wide](m->n - i, at(m, i, i))) return false;
  }
  return true;
}

bool peri_cholesky_factor(const peri_context *context, peri_dtype dtype, int64_t n, void *a, void *scratch) {
  matrix m = matrix_of(context, dtype, n, a);
  void *workspace = (char *)scratch + negative_bytes(&m);
  for (int64_t first = 0; first < n; first += ROWS) {
    int64_t rows = peri_min(ROWS, n - first), rest = n - first - rows;
    if (!make_rows(&m, first, rows)) return false;
    for (int64_t r = 0; r < rows; r++)
      m.kernels->negated[m.wide](rest, at(&m, first + r, first + rows), (char *)scratch + r * rest * (m.wide ? 8 : 4));
    for (int64_t i = first + rows; i < n; i += STRIP) {
      peri_product product = product_of(&m, first, rows, i, scratch);
      peri_multiply_here(context, &product, workspace);
    }
  }
  return true;
}

void peri_cholesky_solve(const peri_context *context, peri_dtype dtype, int64_t n, const void *u, void *x) {
  context->kernels->linear->solve[dtype == PERI_FLOAT64](n, u, x);
}
