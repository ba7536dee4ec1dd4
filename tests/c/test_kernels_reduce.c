/* Reductions and the softmax family against plain twins in double: awkward and cut shapes, special
 * values, every instruction set, and the same bits with any number of threads. */
#include "kernels/rows.h"
#include "kernels_support.h"

#include <math.h>

/* Values from low to high; with few of them, ties. */
static void *random_values(peri_dtype dtype, int64_t n, double low, double high, uint64_t seed) {
  char *x = malloc((size_t)n * sizes[dtype] + 1);
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    put(dtype, x, i, low + (high - low) * (double)(seed >> 11) * 0x1p-53);
  }
  return x;
}

typedef struct shape {
  int64_t outer, n, inner;
} shape;

static const shape shapes[] = {
    {1, 1, 1},     {1, 2, 1},       {3, 5, 1},     {2, 17, 3},     {5, 31, 1},     {1, 32, 1},    {1, 33, 1},
    {4, 64, 1},    {1, 65, 2},      {1, 100, 1},   {7, 129, 1},    {1, 1000, 1},   {17, 3, 1000}, {1, 10, 10},
    {1, 128, 300}, {2, 200, 257},   {40, 1000, 1}, {300, 200, 1},  {1, 100000, 1}, {1, 70001, 3}, {2, 50000, 2},
    {1, 999, 130}, {1, 10, 100000}, {3, 40001, 1}, {100, 10, 100}, {1, 300000, 1}, {20000, 2, 3}, {1000, 100, 1},
    {0, 4, 2},     {3, 4, 0},       {50, 5000, 1},
};

/* ---- sums ---- */

static int64_t element(const shape *s, int64_t o, int64_t i, int64_t j) { return (o * s->n + i) * s->inner + j; }

static bool near(peri_dtype dtype, double got, double expected, double size, double ulps) {
  double unit = dtype == PERI_FLOAT32 ? 0x1p-23 : 0x1p-52;
  return got == expected || fabs(got - expected) <= ulps * unit * size || (got != got && expected != expected);
}

/* Sum, product, mean and squares of one output in long double. */
static void check_sums_at(const shape *s, peri_dtype dtype, const void *x, int64_t o, int64_t j, double sum,
                          double prod, double mean, double squares) {
  long double total = 0, size = 0, product = 1, centre, spread = 0;
  for (int64_t i = 0; i < s->n; i++) {
    long double value = (long double)number(dtype, x, element(s, o, i, j));
    total += value;
    size += fabsl(value);
    product *= value;
  }
  centre = total / (long double)s->n;
  for (int64_t i = 0; i < s->n; i++) {
    long double distance = (long double)number(dtype, x, element(s, o, i, j)) - centre;
    spread += distance * distance;
  }
  /* a sum of a million has the error of a sum of a hundred */
  double of_sum = dtype == PERI_FLOAT32 ? fabs((double)total) + (double)size * 0x1p-20 : (double)size;
  PERI_CHECK(near(dtype, sum, (double)total, of_sum, 8), "sum dtype %d of %d x %d x %d = %.17g, not %.17Lg", (int)dtype,
             (int)s->outer, (int)s->n, (int)s->inner, sum, total);
  if (dtype == PERI_FLOAT32) product = (long double)(float)product;
  double growth = dtype == PERI_FLOAT64 ? (double)s->n : 2;
  PERI_CHECK(near(dtype, prod, (double)product, fabs((double)product), growth),
             "prod dtype %d of %d x %d x %d = %g, not %Lg", (int)dtype, (int)s->outer, (int)s->n, (int)s->inner, prod,
             product);
  if (dtype == PERI_INT64) return;
  PERI_CHECK(near(dtype, mean, (double)centre, of_sum / (double)s->n, 8), "mean dtype %d of %d x %d x %d = %g, not %Lg",
             (int)dtype, (int)s->outer, (int)s->n, (int)s->inner, mean, centre);
  PERI_CHECK(near(dtype, squares, (double)spread, (double)spread, 8), "squares dtype %d of %d x %d x %d = %g, not %Lg",
             (int)dtype, (int)s->outer, (int)s->n, (int)s->inner, squares, spread);
}

static void check_sums(const shape *s, peri_dtype dtype, size_t teams) {
  int64_t outputs = s->outer * s->inner;
  size_t bytes = ((size_t)outputs * sizes[dtype] + 16) / 8 * 8; /* aligned, with room to spare */
  bool integer = dtype == PERI_INT64;
  void *x = random_values(dtype, outputs * s->n, integer ? -9 : 0.75, integer ? 9 : 1.3, 1);
  char *out[TEAMS];
  for (size_t t = 0; t < teams; t++) {
    char *y = out[t] = calloc(4, bytes);
    peri_status status = peri_reduce_sum(contexts[t], dtype, s->outer, s->n, s->inner, x, y);
    status |= peri_reduce_prod(contexts[t], dtype, s->outer, s->n, s->inner, x, y + bytes);
    if (!integer) {
      status |=
          peri_reduce_moments(contexts[t], dtype, s->outer, s->n, s->inner, x, 1, false, y + 2 * bytes, y + 3 * bytes);
    }
    PERI_CHECK(status == PERI_OK, "status %d", (int)status);
    PERI_CHECK(memcmp(out[0], y, 4 * bytes) == 0, "dtype %d %d x %d x %d: other bits with %d threads", (int)dtype,
               (int)s->outer, (int)s->n, (int)s->inner, team[t]);
  }
  int64_t step = outputs > 1000 ? 7 : 1;
  for (int64_t at = 0; at < outputs; at += step) {
    double values[4];
    for (size_t k = 0; k < 4; k++) {
      char cell[8];
      memcpy(cell, out[0] + k * bytes + (size_t)at * sizes[dtype], sizes[dtype]);
      values[k] = number(dtype, cell, 0);
    }
    if (!integer || s->n < 10)
      check_sums_at(s, dtype, x, at / s->inner, at % s->inner, values[0], values[1], values[2], values[3]);
  }
  for (size_t t = 0; t < teams; t++) free(out[t]);
  free(x);
}

/* ---- extremes ---- */

static bool beats(double a, double best, bool largest) {
  if (a != a) return best == best;
  return best == best && (largest ? a > best : a < best);
}

typedef peri_status (*extreme)(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                               const void *x, void *value, int64_t *index);

static void check_extremes_twin(const shape *s, peri_dtype dtype, bool largest, const char *x, const char *value,
                                const int64_t *index) {
  for (int64_t at = 0; at < s->outer * s->inner; at++) {
    int64_t best = 0, o = at / s->inner, j = at % s->inner;
    for (int64_t i = 1; i < s->n; i++) {
      if (beats(number(dtype, x, element(s, o, i, j)), number(dtype, x, element(s, o, best, j)), largest)) best = i;
    }
    const void *expected = x + (size_t)element(s, o, best, j) * sizes[dtype];
    if (index[at] == best && memcmp(value + (size_t)at * sizes[dtype], expected, sizes[dtype]) == 0) continue;
    PERI_CHECK(false, "%s dtype %d of %d x %d x %d: %g at %d, not at %d", largest ? "max" : "min", (int)dtype,
               (int)s->outer, (int)s->n, (int)s->inner, number(dtype, value, at), (int)index[at], (int)best);
    return;
  }
}

static void check_extremes(const shape *s, peri_dtype dtype, bool with_nan, size_t teams) {
  int64_t outputs = s->outer * s->inner;
  size_t bytes = (size_t)outputs * sizes[dtype];
  char *x = random_values(dtype, outputs * s->n, 0, dtype == PERI_BOOL ? 2 : 200, 3);
  peri_stream stream = {.seed = 4};
  for (int64_t i = 0; with_nan && outputs > 0 && i < 3; i++) {
    put(dtype, x, (int64_t)peri_stream_below(&stream, (uint64_t)(outputs * s->n)), (double)NAN);
  }
  char *value = malloc(bytes + 1), *other = malloc(bytes + 1);
  int64_t *index = malloc((size_t)outputs * 8 + 1), *other_index = malloc((size_t)outputs * 8 + 1);
  for (int largest = 0; largest < 2; largest++) {
    extreme reduce = largest ? peri_reduce_max : peri_reduce_min;
    PERI_CHECK(reduce(contexts[0], dtype, s->outer, s->n, s->inner, x, value, index) == PERI_OK, "failed");
    check_extremes_twin(s, dtype, largest, x, value, index);
    PERI_CHECK(reduce(contexts[0], dtype, s->outer, s->n, s->inner, x, other, NULL) == PERI_OK, "failed");
    PERI_CHECK(memcmp(value, other, bytes) == 0, "the value depends on the index");
    for (size_t t = 1; t < teams; t++) {
      PERI_CHECK(reduce(contexts[t], dtype, s->outer, s->n, s->inner, x, other, other_index) == PERI_OK, "failed");
      PERI_CHECK(memcmp(value, other, bytes) == 0 && memcmp(index, other_index, (size_t)outputs * 8) == 0,
                 "others with %d threads", team[t]);
    }
  }
  free(value), free(other), free(index), free(other_index), free(x);
}

static void check_bools(const shape *s) {
  int64_t outputs = s->outer * s->inner;
  for (int rare = 0; rare < 2; rare++) {
    uint8_t *x = random_values(PERI_BOOL, outputs * s->n, 0, 1 + 0.5 / (double)s->n, 5);
    for (int64_t i = 0; rare && i < outputs * s->n; i++) x[i] = !x[i];
    for (size_t t = 1; t < 2; t++) {
      uint8_t *any = malloc((size_t)outputs + 1), *all = malloc((size_t)outputs + 1);
      PERI_CHECK(peri_reduce_any(contexts[t], s->outer, s->n, s->inner, x, any) == PERI_OK, "failed");
      PERI_CHECK(peri_reduce_all(contexts[t], s->outer, s->n, s->inner, x, all) == PERI_OK, "failed");
      for (int64_t at = 0; at < outputs; at++) {
        int some = 0, every = 1;
        for (int64_t i = 0; i < s->n; i++) {
          int value = x[element(s, at / s->inner, i, at % s->inner)];
          some |= value, every &= value;
        }
        PERI_CHECK(any[at] == some && all[at] == every, "any %d all %d of %d x %d x %d", any[at], all[at],
                   (int)s->outer, (int)s->n, (int)s->inner);
      }
      free(any), free(all);
    }
    free(x);
  }
}

static void test_reductions(void) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    open_contexts(variants[v]);
    size_t teams = v == 1 ? TEAMS : 2;
    for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
      if (v != 1 && shapes[i].outer * shapes[i].n * shapes[i].inner > 120000) continue;
      for (int dtype = 0; dtype < PERI_ARITHMETICS; dtype++) check_sums(&shapes[i], dtype, teams);
      for (int dtype = 0; dtype < PERI_DTYPES; dtype++) {
        check_extremes(&shapes[i], dtype, false, teams);
        if (dtype < PERI_FLOATS) check_extremes(&shapes[i], dtype, true, teams);
      }
      check_bools(&shapes[i]);
    }
    close_contexts();
  }
}

static void test_reductions_of_nothing(void) {
  open_contexts(NULL);
  float sum[2] = {7, 7}, prod[2] = {7, 7}, mean[2] = {7, 7}, squares[2] = {7, 7};
  PERI_CHECK(peri_reduce_sum(contexts[0], PERI_FLOAT32, 1, 0, 2, NULL, sum) == PERI_OK, "sum");
  PERI_CHECK(peri_reduce_prod(contexts[0], PERI_FLOAT32, 2, 0, 1, NULL, prod) == PERI_OK, "prod");
  PERI_CHECK(peri_reduce_moments(contexts[0], PERI_FLOAT32, 2, 0, 1, NULL, 1, false, mean, squares) == PERI_OK,
             "moments");
  PERI_CHECK(sum[0] == 0 && sum[1] == 0 && prod[0] == 1 && prod[1] == 1, "%g %g", (double)sum[0], (double)prod[0]);
  PERI_CHECK(mean[1] != mean[1] && squares[1] == 0, "%g %g", (double)mean[1], (double)squares[1]);
  int64_t integers[2] = {7, 7};
  PERI_CHECK(peri_reduce_sum(contexts[0], PERI_INT64, 2, 0, 1, NULL, integers) == PERI_OK, "sum");
  PERI_CHECK(integers[0] == 0 && integers[1] == 0, "int64");
  close_contexts();
}

/* A million tenths; infinities; wrapping integers; a mean far from zero. */
static void test_hard_sums(void) {
  open_contexts(NULL);
  int64_t n = 1000003;
  float *x = malloc((size_t)n * 4), sum, mean, squares;
  double *d = malloc((size_t)n * 8), total, centre, spread;
  for (int64_t i = 0; i < n; i++) x[i] = 0.1f, d[i] = 1e8 + (double)(i % 2);
  PERI_CHECK(peri_reduce_sum(contexts[1], PERI_FLOAT32, 1, n, 1, x, &sum) == PERI_OK, "failed");
  PERI_CHECK(sum == (float)((double)n * (double)0.1f), "%.9g", (double)sum);
  PERI_CHECK(peri_reduce_moments(contexts[1], PERI_FLOAT64, 1, n, 1, d, 1, false, &centre, &spread) == PERI_OK,
             "failed");
  PERI_CHECK(fabs(spread / ((double)n / 4) - 1) < 1e-9, "%.17g", spread);
  PERI_CHECK(peri_reduce_moments(contexts[1], PERI_FLOAT32, 1, n, 1, x, 1, false, &mean, &squares) == PERI_OK,
             "failed");
  PERI_CHECK(mean == 0.1f && squares >= 0 && squares < 1e-9f, "%g %g", (double)mean, (double)squares);
  x[500] = INFINITY, d[7] = 1e308, d[8] = 1e308;
  PERI_CHECK(peri_reduce_sum(contexts[1], PERI_FLOAT32, 1, n, 1, x, &sum) == PERI_OK && sum == INFINITY, "%g",
             (double)sum);
  PERI_CHECK(peri_reduce_sum(contexts[1], PERI_FLOAT64, 1, n, 1, d, &total) == PERI_OK && total == (double)INFINITY,
             "%g", total);
  x[501] = -INFINITY;
  PERI_CHECK(peri_reduce_sum(contexts[1], PERI_FLOAT32, 1, n, 1, x, &sum) == PERI_OK && sum != sum, "%g", (double)sum);
  int64_t wrap[3] = {INT64_MAX, 1, 5}, result;
  PERI_CHECK(peri_reduce_sum(contexts[0], PERI_INT64, 1, 3, 1, wrap, &result) == PERI_OK && result == INT64_MIN + 5,
             "wrap");
  free(x), free(d);
  close_contexts();
}

static void test_failures(void) {
  open_contexts(NULL);
  peri_context *context = contexts[1];
  int64_t n = 400000;
  float *x = random_values(PERI_FLOAT32, n, 0, 1, 1), y = 7, z = 7;
  for (int64_t after = 0; after < 2; after++) {
    context->fail_after = after;
    PERI_CHECK(peri_reduce_moments(context, PERI_FLOAT32, 1, n, 1, x, 1, false, &y, &z) == PERI_ERR_MEMORY,
               "no failure");
    PERI_CHECK(y == 7 && z == 7 && peri_memory_in_use(context) == 0, "changed");
  }
  context->fail_after = -1;
  peri_cancel(context);
  PERI_CHECK(peri_reduce_sum(context, PERI_FLOAT32, 1, n, 1, x, &y) == PERI_ERR_CANCELLED && y == 7, "not cancelled");
  free(x);
  close_contexts();
}

/* ---- softmax ---- */

static void check_softmax_rows(peri_dtype dtype, int64_t rows, int64_t n, size_t teams) {
  size_t bytes = (size_t)(rows * n) * sizes[dtype], row_bytes = (size_t)rows * sizes[dtype];
  char *x = random_values(dtype, rows * n, -20, 20, 9), *gy = random_values(dtype, rows * n, -1, 1, 10);
  int64_t *target = malloc((size_t)rows * 8 + 1);
  peri_stream stream = {.seed = 11};
  for (int64_t r = 0; r < rows; r++) target[r] = (int64_t)peri_stream_below(&stream, (uint64_t)n);
  char *first[8] = {NULL};
  for (size_t t = 0; t < teams; t++) {
    char *y[8];
    for (int k = 0; k < 8; k++) y[k] = calloc(1, bytes + row_bytes + 1);
    peri_context *c = contexts[t];
    peri_status status = peri_softmax(c, dtype, rows, n, x, y[0]);
    status |= peri_log_softmax(c, dtype, rows, n, x, y[1]);
    status |= peri_softmax_backward(c, dtype, rows, n, gy, y[0], y[2]);
    status |= peri_log_softmax_backward(c, dtype, rows, n, gy, y[1], y[3]);
    status |= peri_cross_entropy(c, dtype, rows, n, x, target, y[4], y[5]);
    status |= peri_cross_entropy(c, dtype, rows, n, x, target, y[6], NULL);
    status |= peri_cross_entropy_backward(c, dtype, rows, n, gy, 1, 0.5, y[5], target, y[7]);
    PERI_CHECK(status == PERI_OK, "status %d", (int)status);
    PERI_CHECK(memcmp(y[0], y[5], bytes) == 0, "p is not the softmax");
    PERI_CHECK(memcmp(y[4], y[6], row_bytes) == 0, "the loss depends on p: %d x %d", (int)rows, (int)n);
    for (int k = 0; k < 8; k++) {
      if (t == 0) {
        first[k] = y[k];
        continue;
      }
      PERI_CHECK(memcmp(first[k], y[k], bytes + row_bytes) == 0, "other bits with %d threads: %d", team[t], k);
      free(y[k]);
    }
  }
  double eps = dtype == PERI_FLOAT32 ? 0x1p-23 : 0x1p-52;
  for (int64_t r = 0; r<rows; r += rows> 100 ? 237 : 1) {
    double most = -INFINITY;
    long double sum = 0, dot = 0, total = 0;
    for (int64_t j = 0; j < n; j++) most = peri_larger(most, number(dtype, x, r * n + j));
    for (int64_t j = 0; j < n; j++) sum += (long double)exp(number(dtype, x, r * n + j) - most);
    for (int64_t j = 0; j < n; j++) {
      long double g = (long double)number(dtype, gy, r * n + j);
      dot += (long double)exp(number(dtype, x, r * n + j) - most) / sum * g;
      total += g;
    }
    double row_dot = (double)dot, row_total = (double)total, log_sum = log((double)sum);
    for (int64_t j = 0; j < n; j++) {
      int64_t at = r * n + j;
      double log_p = number(dtype, x, at) - most - log_sum, p = exp(log_p), g = number(dtype, gy, at);
      double hot = (double)(j == target[r]), g_row = number(dtype, gy, r * 1);
      PERI_CHECK(fabs(number(dtype, first[0], at) - p) <= 50 * eps * p, "softmax %d x %d", (int)rows, (int)n);
      PERI_CHECK(fabs(number(dtype, first[1], at) - log_p) <= 4 * eps * (40 + fabs(log_p)), "log_softmax");
      PERI_CHECK(fabs(number(dtype, first[2], at) - p * (g - row_dot)) <= 60 * eps * p, "softmax backward");
      PERI_CHECK(fabs(number(dtype, first[3], at) - (g - p * row_total)) <= 80 * eps * (fabs(g) + p * (double)n),
                 "log_softmax backward");
      PERI_CHECK(fabs(number(dtype, first[7], at) - 0.5 * g_row * (p - hot)) <= 60 * eps, "cross_entropy backward");
      if (j == target[r]) {
        PERI_CHECK(fabs(number(dtype, first[4], r) + log_p) <= 4 * eps * (40 + fabs(log_p)), "cross_entropy %g, not %g",
                   number(dtype, first[4], r), -log_p);
      }
    }
  }
  for (int k = 0; k < 8; k++) free(first[k]);
  free(x), free(gy), free(target);
}

static void test_softmax(void) {
  static const int64_t rows[][2] = {{1, 1},     {10, 2},    {3, 5},   {17, 10},  {128, 10},  {2, 31},
                                    {2, 32},    {5, 33},    {3, 100}, {2, 1000}, {1, 70000}, {9000, 10},
                                    {700, 600}, {40000, 2}, {1, 511}, {1, 512},  {1, 513},   {64, 1500}};
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    open_contexts(variants[v]);
    for (size_t i = 0; i < PERI_COUNT(rows); i++) {
      if (v != 1 && rows[i][0] * rows[i][1] > 80000) continue;
      check_softmax_rows(PERI_FLOAT32, rows[i][0], rows[i][1], v == 1 ? TEAMS : 2);
      check_softmax_rows(PERI_FLOAT64, rows[i][0], rows[i][1], v == 1 ? TEAMS : 2);
    }
    close_contexts();
  }
}

static void test_softmax_specials(void) {
  open_contexts(NULL);
  float x[] = {1000, 1000, -INFINITY, -1000, 0, 89, NAN, 1, 2}, y[9], loss[3];
  int64_t target[] = {0, 2, 0};
  PERI_CHECK(peri_softmax(contexts[0], PERI_FLOAT32, 3, 3, x, y) == PERI_OK, "failed");
  PERI_CHECK(y[0] == 0.5f && y[1] == 0.5f && y[2] == 0 && y[3] == 0 && y[5] == 1 && y[7] != y[7], "%g %g %g %g",
             (double)y[0], (double)y[2], (double)y[5], (double)y[7]);
  PERI_CHECK(peri_cross_entropy(contexts[0], PERI_FLOAT32, 3, 3, x, target, loss, y) == PERI_OK, "failed");
  PERI_CHECK(fabsf(loss[0] - 0.693147181f) < 1e-6f && loss[1] == 0 && loss[2] != loss[2], "%g %g", (double)loss[0],
             (double)loss[1]);
  PERI_CHECK(peri_softmax(contexts[0], PERI_FLOAT32, 0, 3, NULL, NULL) == PERI_OK, "no rows");
  PERI_CHECK(peri_softmax(contexts[0], PERI_FLOAT32, 3, 0, NULL, NULL) == PERI_OK, "no columns");
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_reductions), PERI_TEST(test_reductions_of_nothing), PERI_TEST(test_hard_sums),
               PERI_TEST(test_failures), PERI_TEST(test_softmax), PERI_TEST(test_softmax_specials))
