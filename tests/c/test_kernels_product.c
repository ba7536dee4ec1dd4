/* Matrix products against a plain twin in double: shapes from empty to cut, transposes, leading
 * dimensions, alpha and beta, and the same bits with any number of threads. */
#include "kernels/rows.h"
#include "kernels_support.h"

#include <math.h>

typedef struct shape {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  double alpha, beta;
  int64_t spare; /* what the leading dimensions have beyond the rows */
} shape;

/* Values in [-1, 1] that are no round numbers. */
static void *random_matrix(peri_dtype dtype, int64_t n, uint64_t seed) {
  void *x = malloc((size_t)(n + 1) * 8);
  peri_stream stream = {.seed = seed};
  for (int64_t i = 0; i < n; i++) put(dtype, x, i, 2 * peri_stream_uniform(&stream) - 1);
  return x;
}

/* op(A)(i, :) op(B)(:, j), and the sum of the sizes of its terms, for the error bound */
static double twin(const shape *s, peri_dtype dtype, const void *a, int64_t lda, const void *b, int64_t ldb, int64_t i,
                   int64_t j, double *size) {
  double sum = 0;
  *size = 0;
  for (int64_t p = 0; p < s->k; p++) {
    double term = number(dtype, a, s->transpose_a ? p * lda + i : i * lda + p) *
                  number(dtype, b, s->transpose_b ? j * ldb + p : p * ldb + j);
    sum += term;
    *size += fabs(term);
  }
  return sum;
}

static void check_values(const shape *s, peri_dtype dtype, const void *a, int64_t lda, const void *b, int64_t ldb,
                         const void *before, const void *c, int64_t ldc) {
  /* of large products, some elements: all corners of tiles are met by the odd steps */
  int64_t step_m = s->m * s->n * s->k > 4000000 ? 13 : 1, step_n = step_m > 1 ? 17 : 1;
  double unit = dtype == PERI_FLOAT32 ? 0x1p-24 : 0x1p-53;
  for (int64_t i = 0; i < s->m; i += step_m) {
    for (int64_t j = 0; j < s->n; j += step_n) {
      double size, sum = twin(s, dtype, a, lda, b, ldb, i, j, &size);
      double old = s->beta != 0 ? s->beta * number(dtype, before, i * ldc + j) : 0;
      double expected = s->alpha * sum + old, got = number(dtype, c, i * ldc + j);
      double bound = 2 * ((double)s->k + 2) * unit * (fabs(s->alpha) * size + fabs(old));
      if (fabs(got - expected) <= bound) continue;
      PERI_CHECK(false, "dtype %d: %d x %d x %d, transposes %d %d, alpha %g beta %g: c[%d][%d] = %g, not %g",
                 (int)dtype, (int)s->m, (int)s->n, (int)s->k, s->transpose_a, s->transpose_b, s->alpha, s->beta, (int)i,
                 (int)j, got, expected);
      return;
    }
  }
}

static void check_product(const shape *s, peri_dtype dtype, size_t threads) {
  int64_t lda = (s->transpose_a ? s->m : s->k) + s->spare, ldb = (s->transpose_b ? s->k : s->n) + s->spare;
  int64_t ldc = s->n + s->spare, c_size = s->m * ldc;
  lda = peri_max(1, lda), ldb = peri_max(1, ldb);
  void *a = random_matrix(dtype, (s->transpose_a ? s->k : s->m) * lda, 1);
  void *b = random_matrix(dtype, (s->transpose_b ? s->n : s->k) * ldb, 2);
  void *before = random_matrix(dtype, c_size, 3), *first = NULL;
  if (s->beta == 0) { /* must not be read */
    for (int64_t i = 0; i < c_size; i++) put(dtype, before, i, (double)NAN);
  }
  size_t bytes = (size_t)c_size * (dtype == PERI_FLOAT32 ? 4 : 8);
  for (size_t t = 0; t < threads; t++) {
    void *c = malloc(bytes + 1);
    memcpy(c, before, bytes);
    PERI_CHECK(peri_gemm(contexts[t], dtype, s->transpose_a, s->transpose_b, s->m, s->n, s->k, s->alpha, a, lda, b, ldb,
                         s->beta, c, ldc) == PERI_OK,
               "%s", peri_message(contexts[t]));
    if (t == 0) {
      check_values(s, dtype, a, lda, b, ldb, before, c, ldc);
      for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = s->n; j < ldc; j++) {
          double old = number(dtype, before, i * ldc + j), now = number(dtype, c, i * ldc + j);
          PERI_CHECK(old == now || (old != old && now != now), "wrote beside the matrix at %d, %d", (int)i, (int)j);
        }
      }
      first = c;
      continue;
    }
    PERI_CHECK(memcmp(first, c, bytes) == 0, "dtype %d: %d x %d x %d: other bits with %d threads", (int)dtype,
               (int)s->m, (int)s->n, (int)s->k, team[t]);
    free(c);
  }
  free(first), free(a), free(b), free(before);
}

static void check_all_forms(int64_t m, int64_t n, int64_t k, size_t threads) {
  static const double scales[][2] = {{1, 0}, {1, 1}, {-0.5, 2}, {0, 0.5}, {0, 0}, {2, 0}};
  for (int form = 0; form < 4; form++) {
    for (size_t i = 0; i < PERI_COUNT(scales); i++) {
      shape s = {m, n, k, form & 1, form >> 1, scales[i][0], scales[i][1], (int64_t)(i % 2) * 3};
      check_product(&s, PERI_FLOAT32, threads);
      check_product(&s, PERI_FLOAT64, threads);
    }
  }
}

static void test_awkward_shapes(void) {
  static const int64_t extents[] = {0, 1, 2, 3, 5, 10, 17};
  open_contexts(NULL);
  for (size_t i = 0; i < PERI_COUNT(extents); i++) {
    for (size_t j = 0; j < PERI_COUNT(extents); j++) {
      for (size_t p = 0; p < PERI_COUNT(extents); p++) check_all_forms(extents[i], extents[j], extents[p], 1);
    }
  }
  check_all_forms(1, 1, 1000, 2);
  check_all_forms(1000, 1, 3, 2);
  check_all_forms(3, 1000, 1, 2);
  check_all_forms(33, 65, 31, 2);
  close_contexts();
}

static void test_every_set(void) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    setenv("PERILUNE_ISA", variants[v], 1);
    open_contexts(NULL);
    for (int64_t m = 1; m < 12; m += 3) {
      for (int64_t n = 1; n < 20; n++) check_all_forms(m, n, m % 5 + 1, 1);
    }
    close_contexts();
  }
  unsetenv("PERILUNE_ISA");
}

/* From uncut to cut along each dimension. */
static void test_threads(void) {
  static const shape shapes[] = {
      {128, 128, 784, 0, 1, 1, 0, 0},    {128, 784, 128, 1, 0, 1, 1, 0},  {300, 301, 299, 0, 0, 1, 0, 5},
      {1000, 33, 100, 1, 1, -1, 0.5, 1}, {17, 1000, 1000, 0, 0, 1, 0, 0}, {10, 10, 60000, 1, 0, 1, 1, 0},
      {3, 5, 400000, 0, 1, 2, 0, 0},     {1, 1000, 5000, 0, 0, 1, 0, 0},  {5000, 1, 1000, 0, 0, 1, 0, 0},
      {1, 1, 3000000, 0, 1, 1, 0, 0},    {700, 700, 1200, 0, 1, 1, 0, 0}};
  open_contexts(NULL);
  for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
    check_product(&shapes[i], PERI_FLOAT32, TEAMS);
    check_product(&shapes[i], PERI_FLOAT64, TEAMS);
  }
  close_contexts();
}

/* What is multiplied by zero is not looked at, as in BLAS. */
static void test_alpha_of_zero(void) {
  open_contexts(NULL);
  for (int64_t n = 1; n < 40; n += 19) {
    int64_t size = n * n;
    double *a = random_matrix(PERI_FLOAT64, size, 1), *c = random_matrix(PERI_FLOAT64, size, 2);
    for (int64_t i = 0; i < size; i++) a[i] = (double)NAN;
    PERI_CHECK(peri_gemm(contexts[0], PERI_FLOAT64, false, false, n, n, n, 0, a, n, a, n, 0, c, n) == PERI_OK,
               "failed");
    for (int64_t i = 0; i < size; i++) PERI_CHECK(c[i] == 0, "%g", c[i]);
    free(a), free(c);
  }
  close_contexts();
}

static void test_failures(void) {
  open_contexts(NULL);
  peri_context *context = contexts[1];
  int64_t k = 200000;
  float *a = random_matrix(PERI_FLOAT32, 10 * k, 1), *b = random_matrix(PERI_FLOAT32, 10 * k, 2), c[100] = {7};
  context->fail_after = 0;
  peri_status status = peri_gemm(context, PERI_FLOAT32, false, true, 10, 10, k, 1, a, k, b, k, 0, c, 10);
  PERI_CHECK(status == PERI_ERR_MEMORY && c[0] == 7, "status %d", (int)status);
  context->fail_after = -1;
  peri_cancel(context);
  status = peri_gemm(context, PERI_FLOAT32, false, true, 10, 10, k, 1, a, k, b, k, 0, c, 10);
  PERI_CHECK(status == PERI_ERR_CANCELLED, "status %d", (int)status);
  free(a), free(b);
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_awkward_shapes), PERI_TEST(test_every_set), PERI_TEST(test_threads),
               PERI_TEST(test_alpha_of_zero), PERI_TEST(test_failures))
