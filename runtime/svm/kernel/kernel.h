/* The kernels k(u, v) as a table, and what is computed with them in blocks: strips of a matrix product, which
 * vectorised passes turn into kernel values while they are in cache. A value depends on its two rows alone, bit for
 * bit, whatever block it is computed in.
 *
 * A kernel of distances has them from |u|^2 + |v|^2 - 2 u.v, which cancels where rows are near each other, compared
 * with their distance from the centre. Those that come out with too few digits are computed from the differences of
 * the features as they were given, before they were centred and rounded; with few features all are. */
#ifndef PERI_SVM_KERNEL_H
#define PERI_SVM_KERNEL_H

#include "kernels/kernels.h"
#include "svm/kernel/svm.h"

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

/* Rows of one side of a block: as they are multiplied, and as they were given. */
typedef struct peri_svm_side {
  const void *x, *norms; /* of the dtype that is computed in: rows of ld elements, and x_i.x_i */
  int64_t ld;
  peri_dtype from; /* row i as given is that of number order[i], or i where order is NULL */
  const void *given;
  int64_t given_ld;
  const int64_t *order;
  /* Where distances come from differences alone: the rows as columns, d x columns_ld, with PERI_SVM_PAD zeros at least
   * behind the last; or NULL. */
  const void *columns;
  int64_t columns_ld;
} peri_svm_side;

#define PERI_SVM_PAD 16 /* what loops over kernel values may go beyond the last */
static inline int64_t peri_svm_padded(int64_t n) { return (n + PERI_SVM_PAD - 1) / PERI_SVM_PAD * PERI_SVM_PAD; }

const void *peri_svm_given_row(const peri_svm_side *side, int64_t i);
/* The rows from `row` on. */
peri_svm_side peri_svm_side_from(const peri_svm_side *side, peri_dtype dtype, int64_t row);
/* Whether distances of so few features come from their differences alone. */
bool peri_svm_is_narrow(const peri_svm_kernel *kernel, int64_t d);
/* Whether x is to be centred, so that few distances cancel; else x is what was given. */
bool peri_svm_wants_centre(const peri_svm_kernel *kernel, int64_t d);

/* A block of m x n kernel values k(a_i, b_j). */
typedef struct peri_svm_block {
  const peri_svm_kernel *kernel;
  peri_dtype dtype;
  int64_t d, m, n; /* n is at most PERI_SVM_COLUMNS */
  peri_svm_side a, b;
  const int64_t *rows; /* a_i is row rows[i] of a; or NULL */
  void *out;           /* rows of ldo elements; or NULL, when only `use` sees the values */
  int64_t ldo;
  /* Called once for each strip of rows i .. when its values stand, of all columns; or NULL. */
  void (*use)(const void *state, int64_t i, int64_t rows, const void *values, int64_t ld);
  const void *state;
} peri_svm_block;

#define PERI_SVM_COLUMNS 512

/* What blocks of up to m x n take as scratch memory; kept: they have an `out`. */
size_t peri_svm_block_scratch(const peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t d,
                              int64_t m, int64_t n, bool kept);
/* On the thread that calls, which may be in a body: it allocates nothing. */
void peri_svm_block_fill(const peri_context *context, const peri_svm_block *block, void *scratch);

/* norms[i] = x_i.x_i of dtype: for distances as exact as that allows, else the element of the product, so that
 * k(x_i, x_i) is rounded as k(x_i, x_j) is. */
peri_status peri_svm_norms(peri_context *context, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n, int64_t d,
                           const void *x, int64_t ldx, void *norms);
/* k(x_i, x_i) from the norms. */
void peri_svm_diagonal(const peri_kernels *kernels, const peri_svm_kernel *kernel, peri_dtype dtype, int64_t n,
                       const void *norms, double *diagonal);

#endif
