/* Cholesky's factor against the matrix that it is one of, and solutions against what they solve: both dtypes, sizes
 * around those of its blocks, every set of instructions; the same bits from all that have fused multiply-adds. */
#include "svm/linear/cholesky.h"

#include "kernels_support.h"

#include <math.h>

static const int64_t extents[] = {1, 2, 3, 5, 31, 63, 64, 65, 130, 200, 577};

/* B B' + I of small numbers that both dtypes hold exactly; below the diagonal zeros. */
static void *matrix_of(peri_dtype dtype, int64_t n) {
  void *a = malloc((size_t)(n * n) * sizes[dtype]);
  double *b = malloc((size_t)(n * 8) * sizeof *b);
  for (int64_t i = 0; i < n * 8; i++) b[i] = (double)(rand() % 17 - 8) / 8;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = i == j;
      for (int64_t l = 0; l < 8; l++) sum += b[i * 8 + l] * b[j * 8 + l];
      put(dtype, a, i * n + j, j < i ? 0 : sum);
    }
  }
  free(b);
  return a;
}

static void check_factor(peri_dtype dtype, int64_t n, const void *a, const void *u) {
  double tolerance = dtype == PERI_FLOAT64 ? 1e-13 : 1e-4;
  for (int64_t i = 0; i < n; i += 1 + n / 40) {
    for (int64_t j = i; j < n; j += 1 + n / 40) {
      double sum = 0;
      for (int64_t l = 0; l <= i; l++) sum += number(dtype, u, l * n + i) * number(dtype, u, l * n + j);
      double expected = number(dtype, a, i * n + j);
      PERI_CHECK(fabs(sum - expected) <= tolerance, "%d rows: (%d, %d) is %.17g, not %.17g", (int)n, (int)i, (int)j,
                 sum, expected);
    }
  }
}

static void check_solution(peri_dtype dtype, int64_t n, const void *a, const void *right, const void *x) {
  double tolerance = dtype == PERI_FLOAT64 ? 1e-11 : 1e-2;
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += number(dtype, a, peri_min(i, j) * n + peri_max(i, j)) * number(dtype, x, j);
    PERI_CHECK(fabs(sum - number(dtype, right, i)) <= tolerance, "%d rows: row %d gives %g", (int)n, (int)i,
               sum - number(dtype, right, i));
  }
}

/* The factor, then the solution, of n x n and n elements at `out`. */
static void factor_and_solve(const peri_context *context, peri_dtype dtype, int64_t n, const void *a, const void *right,
                             char *out) {
  size_t matrix = (size_t)(n * n) * sizes[dtype];
  void *scratch = aligned_alloc(64, (peri_cholesky_scratch(context, dtype, n) + 63) / 64 * 64);
  memcpy(out, a, matrix);
  memcpy(out + matrix, right, (size_t)n * sizes[dtype]);
  PERI_CHECK(peri_cholesky_factor(context, dtype, n, out, scratch), "%d rows: no factor", (int)n);
  peri_cholesky_solve(context, dtype, n, out, out + matrix);
  free(scratch);
}

static void check(peri_dtype dtype, int64_t n) {
  void *a = matrix_of(dtype, n), *right = malloc((size_t)n * sizes[dtype]);
  for (int64_t i = 0; i < n; i++) put(dtype, right, i, (double)(rand() % 9 - 4));
  size_t matrix = (size_t)(n * n) * sizes[dtype], upper_row = (size_t)n * sizes[dtype];
  char *first = NULL;
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    open_contexts(variants[v]);
    char *out = malloc(matrix + upper_row);
    factor_and_solve(contexts[0], dtype, n, a, right, out);
    check_factor(dtype, n, a, out);
    check_solution(dtype, n, a, right, out + matrix);
    bool is_fused = strcmp(contexts[0]->kernels->name, "baseline") != 0;
    for (int64_t i = 0; is_fused && first != NULL && i < n; i++)
      PERI_CHECK(memcmp(first + (size_t)(i * n + i) * sizes[dtype], out + (size_t)(i * n + i) * sizes[dtype],
                        (size_t)(n - i) * sizes[dtype]) == 0,
                 "%d rows: row %d of U has other bits with %s", (int)n, (int)i, variants[v]);
    PERI_CHECK(!is_fused || first == NULL || memcmp(first + matrix, out + matrix, upper_row) == 0,
               "%d rows: another solution with %s", (int)n, variants[v]);
    if (is_fused && first == NULL)
      first = out;
    else
      free(out);
    close_contexts();
  }
  free(first), free(a), free(right);
}

static void test_factors(void) {
  for (size_t i = 0; i < PERI_COUNT(extents); i++) {
    check(PERI_FLOAT32, extents[i]);
    check(PERI_FLOAT64, extents[i]);
  }
}

/* Without a factor: a number on the diagonal that is negative, 0, NaN or infinite, in the first block and later. */
static void test_refusals(void) {
  static const double wrong[] = {-1, 0, (double)NAN, (double)INFINITY};
  open_contexts(NULL);
  for (peri_dtype dtype = PERI_FLOAT32; dtype <= PERI_FLOAT64; dtype++) {
    int64_t n = 150;
    void *scratch = aligned_alloc(64, (peri_cholesky_scratch(contexts[0], dtype, n) + 63) / 64 * 64);
    for (size_t w = 0; w < PERI_COUNT(wrong); w++) {
      for (int64_t at = 3; at < n; at += 70) {
        void *a = matrix_of(dtype, n);
        put(dtype, a, at * n + at, wrong[w]);
        PERI_CHECK(!peri_cholesky_factor(contexts[0], dtype, n, a, scratch), "a factor with %g at %d", wrong[w],
                   (int)at);
        free(a);
      }
    }
    free(scratch);
  }
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_factors), PERI_TEST(test_refusals))
