/* The choice of kernels, rows by index, sorting and random fills against plain twins, with the same bits for any
 * number of threads. The other kernels have their own test_kernels_*.c. */
#include "kernels/places.h"
#include "kernels/rows.h"
#include "kernels/scalar.h"
#include "kernels_support.h"

#include <math.h>

/* ---- the choice ---- */

static void test_selection(void) {
  unsetenv("PERILUNE_ISA");
  const peri_kernels *best = peri_kernels_select();
  setenv("PERILUNE_ISA", "unheard of", 1);
  PERI_CHECK(peri_kernels_select() == best, "an unknown name changes nothing");
#if defined(__x86_64__)
  setenv("PERILUNE_ISA", "baseline", 1);
  PERI_CHECK(strcmp(peri_kernels_select()->name, "baseline") == 0, "%s", peri_kernels_select()->name);
  PERI_CHECK(!peri_kernels_select()->same_bits, "the baseline's bits are its own");
  setenv("PERILUNE_EXACT", "1", 1);
  PERI_CHECK(strcmp(peri_kernels_select()->name, "exact") == 0, "%s", peri_kernels_select()->name);
  PERI_CHECK(peri_kernels_select()->same_bits, "what exact stands for");
  unsetenv("PERILUNE_ISA");
  PERI_CHECK(strcmp(best->name, "baseline") == 0 || peri_kernels_select() == best, "only where there is no FMA");
  unsetenv("PERILUNE_EXACT");
#else
  unsetenv("PERILUNE_ISA");
#endif
  PERI_CHECK(best->elementwise != NULL && best->rows != NULL && best->svm != NULL, "a table is missing");
}

/* ---- rows ---- */

static void check_rows(peri_dtype dtype, int64_t rows, int64_t n, int64_t x_rows) {
  size_t size = sizes[dtype], row = (size_t)n * size;
  char *x = calloc((size_t)x_rows, row + 1), *y = malloc((size_t)rows * row + 1);
  char *sum = malloc((size_t)x_rows * row + 1);
  int64_t *index = malloc((size_t)rows * 8 + 1);
  peri_stream stream = {.seed = 1};
  for (int64_t i = 0; i < x_rows * n; i++) {
    double value = peri_stream_uniform(&stream);
    float single = (float)value;
    int64_t integer = (int64_t)(value * 1000);
    memcpy(x + (size_t)i * size,
           dtype == PERI_FLOAT32   ? (void *)&single
           : dtype == PERI_FLOAT64 ? (void *)&value
                                   : (void *)&integer,
           size);
  }
  for (int64_t r = 0; r < rows; r++) index[r] = (int64_t)peri_stream_below(&stream, (uint64_t)x_rows);
  for (size_t t = 0; t < TEAMS; t++) {
    memset(y, 0xff, (size_t)rows * row);
    PERI_CHECK(peri_gather_rows(contexts[t], rows, row, x, index, 0, y) == PERI_OK, "gather");
    for (int64_t r = 0; r < rows; r++) {
      PERI_CHECK(memcmp(y + (size_t)r * row, x + (size_t)index[r] * row, row) == 0, "row %d of %d x %d", (int)r,
                 (int)rows, (int)n);
    }
  }
  memcpy(sum, x, (size_t)x_rows * row);
  peri_places places = {.size = x_rows, .step = (ptrdiff_t)row, .bytes = size};
  for (int64_t r = 0; r < rows; r++) { /* a row is one run of one position */
    int64_t position = index[r] + 1;
    peri_places_combine(PERI_COMBINE_SUM, dtype)(&places, n, (char *[]){sum, (char *)&position, y + (size_t)r * row},
                                                 (ptrdiff_t[]){(ptrdiff_t)size, 0, (ptrdiff_t)size});
  }
  PERI_CHECK(!places.outside, "a position is none");
  for (int64_t r = 0; r < rows; r++) { /* the twin adds to x itself, in the same order */
    for (int64_t j = 0; j < n; j++) {
      char *to = x + (size_t)(index[r] * n + j) * size, *from = y + (size_t)(r * n + j) * size;
      if (dtype == PERI_FLOAT32) *(float *)to += *(float *)from;
      if (dtype == PERI_FLOAT64) *(double *)to += *(double *)from;
      if (dtype == PERI_INT64) *(int64_t *)to += *(int64_t *)from;
    }
  }
  PERI_CHECK(memcmp(x, sum, (size_t)x_rows * row) == 0, "dtype %d: %d x %d into %d", (int)dtype, (int)rows, (int)n,
             (int)x_rows);
  free(x), free(y), free(sum), free(index);
}

static void test_rows(void) {
  static const int64_t shapes[][3] = {{0, 3, 2},       {1, 0, 2},       {1, 1, 1},    {2, 3, 5},
                                      {17, 1, 3},      {5, 17, 2},      {100, 33, 7}, {1000, 1, 10},
                                      {300, 1000, 40}, {20000, 5, 100}, {3, 70001, 2}};
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    open_contexts(variants[v]);
    for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
      for (int dtype = 0; dtype < PERI_ARITHMETICS; dtype++)
        check_rows(dtype, shapes[i][0], shapes[i][1], shapes[i][2]);
    }
    close_contexts();
  }
}

/* ---- sorting ---- */

/* NaN above all, zeros equal. */
static int compare(peri_dtype dtype, const char *x, int64_t a, int64_t b) {
  if (dtype == PERI_INT64) {
    int64_t p = ((const int64_t *)x)[a], q = ((const int64_t *)x)[b];
    return (p > q) - (p < q);
  }
  double p = dtype == PERI_FLOAT32   ? (double)((const float *)x)[a]
             : dtype == PERI_FLOAT64 ? ((const double *)x)[a]
                                     : (double)(uint8_t)x[a];
  double q = dtype == PERI_FLOAT32   ? (double)((const float *)x)[b]
             : dtype == PERI_FLOAT64 ? ((const double *)x)[b]
                                     : (double)(uint8_t)x[b];
  if (p != p || q != q) return (p != p) - (q != q);
  return (p > q) - (p < q);
}

static void put_sortable(peri_dtype dtype, char *x, int64_t i, uint64_t bits) {
  uint64_t kind = bits % 16;
  double value = (double)(int64_t)(bits >> 8 & 0xfff) - 2048;
  if (kind == 0) value = (double)NAN;
  if (kind == 1) value = (double)INFINITY;
  if (kind == 2) value = -(double)INFINITY;
  if (kind == 3) value = -0.0;
  if (kind == 4) value = 0;
  switch (dtype) {
  case PERI_FLOAT32:
    ((float *)x)[i] = (float)value;
    break;
  case PERI_FLOAT64:
    ((double *)x)[i] = value * 1e100;
    break;
  case PERI_INT64:
    ((int64_t *)x)[i] = kind < 4 ? (int64_t)(bits << 8) : (int64_t)(bits >> 60);
    break;
  case PERI_UINT8:
    ((uint8_t *)x)[i] = (uint8_t)(bits >> 8);
    break;
  default:
    ((uint8_t *)x)[i] = bits >> 8 & 1;
  }
}

static void check_sorted(peri_dtype dtype, int64_t n, bool descending, const char *x, const char *y,
                         const int64_t *index) {
  size_t size = sizes[dtype];
  char *seen = calloc((size_t)n, 1);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = index[i];
    if (from < 0 || from >= n || seen[from] || memcmp(y + (size_t)i * size, x + (size_t)from * size, size) != 0) {
      PERI_CHECK(false, "dtype %d of %d: y[%d] came from %d", (int)dtype, (int)n, (int)i, (int)from);
      break;
    }
    seen[from] = 1;
    if (i == 0) continue;
    int order = compare(dtype, x, index[i - 1], from);
    bool right = order == 0 ? index[i - 1] < from : (order < 0) != descending;
    if (right) continue;
    PERI_CHECK(false, "dtype %d of %d, descending %d: order at %d", (int)dtype, (int)n, descending, (int)i);
    break;
  }
  free(seen);
}

static void check_sort(peri_dtype dtype, int64_t rows, int64_t n, bool descending) {
  size_t size = sizes[dtype], bytes = (size_t)(rows * n) * size;
  char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
  int64_t *index = malloc((size_t)(rows * n) * 8 + 1), *other = malloc((size_t)(rows * n) * 8 + 1);
  peri_stream stream = {.seed = 5};
  for (int64_t i = 0; i < rows * n; i++) put_sortable(dtype, x, i, peri_stream_u64(&stream));
  for (size_t t = 0; t < TEAMS; t++) {
    int64_t *to = t == 0 ? index : other;
    PERI_CHECK(peri_sort_rows(contexts[t], dtype, rows, n, descending, x, y, to) == PERI_OK, "sort");
    PERI_CHECK(t == 0 || memcmp(index, other, (size_t)(rows * n) * 8) == 0, "other positions with %d threads", team[t]);
    for (int64_t r = 0; t == 0 && r < rows; r++) {
      size_t at = (size_t)(r * n) * size;
      check_sorted(dtype, n, descending, x + at, y + at, index + r * n);
    }
  }
  free(x), free(y), free(index), free(other);
}

static void test_sort(void) {
  static const int64_t shapes[][2] = {{1, 0},    {0, 5},    {1, 1},     {3, 2},     {2, 3},     {5, 17},
                                      {4, 31},   {2, 33},   {1, 255},   {1, 257},   {70, 300},  {2, 2047},
                                      {2, 2049}, {1000, 5}, {1, 65536}, {1, 65537}, {2, 200003}};
  open_contexts(NULL);
  for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
    for (int dtype = 0; dtype < PERI_DTYPES; dtype++) {
      check_sort(dtype, shapes[i][0], shapes[i][1], false);
      check_sort(dtype, shapes[i][0], shapes[i][1], true);
    }
  }
  float x[300] = {0}, y[300];
  int64_t index[300];
  contexts[1]->fail_after = 0;
  PERI_CHECK(peri_sort_rows(contexts[1], PERI_FLOAT32, 1, 300, false, x, y, index) == PERI_ERR_MEMORY, "no failure");
  close_contexts();
}

/* ---- random numbers ---- */

/* Known answers of Random123 for counter and key zero; the rest of the counter stays zero here. */
static void test_philox(void) {
  uint32_t words[4];
  peri_philox(0, 0, words);
  PERI_CHECK(words[0] == 0x6627e8d5 && words[1] == 0xe169c58d && words[2] == 0xbc57ac4c && words[3] == 0x9b00dbd8,
             "%08x %08x %08x %08x", words[0], words[1], words[2], words[3]);
  peri_stream stream = {.seed = 3};
  PERI_CHECK(peri_stream_take(&stream, 10) == 0 && stream.block == 10, "take");
  int counts[7] = {0};
  double sum = 0, square = 0, u = 0;
  for (int i = 0; i < 70000; i++) {
    uint64_t value = peri_stream_below(&stream, 7);
    PERI_CHECK(value < 7, "below 7");
    counts[value % 7]++;
    double z = peri_stream_normal(&stream), part = peri_stream_uniform(&stream);
    PERI_CHECK(part >= 0 && part < 1, "uniform");
    sum += z, square += z * z, u += part;
  }
  for (int k = 0; k < 7; k++) PERI_CHECK(counts[k] > 9500 && counts[k] < 10500, "%d of 70000", counts[k]);
  PERI_CHECK(fabs(sum / 70000) < 0.02 && fabs(square / 70000 - 1) < 0.03 && fabs(u / 70000 - 0.5) < 0.01, "%g %g %g",
             sum / 70000, square / 70000, u / 70000);
}

typedef enum distribution { UNIFORM, NORMAL, INTEGERS, WIDE, PERMUTATION } distribution;

static void draw(peri_context *context, distribution kind, peri_dtype dtype, int64_t n, uint64_t first, void *y) {
  peri_status status = PERI_OK;
  switch (kind) {
  case UNIFORM:
    status = peri_fill_uniform(context, dtype, n, 42, first, -2, 3, y);
    break;
  case NORMAL:
    status = peri_fill_normal(context, dtype, n, 42, first, 1, 2, y);
    break;
  case INTEGERS:
    status = peri_fill_integers(context, n, 42, first, -3, 6, y);
    break;
  case WIDE: /* a quarter of the bits is refused */
    status = peri_fill_integers(context, n, 42, first, INT64_MIN, ((int64_t)1 << 62) - 1, y);
    break;
  case PERMUTATION:
    status = peri_permutation(context, n, 42, first, y);
    break;
  }
  PERI_CHECK(status == PERI_OK, "status %d", (int)status);
}

/* Neither length nor place nor team changes an element; nothing is written beside. */
static void check_draw(distribution kind, peri_dtype dtype) {
  enum { LONG = 100003 };
  size_t size = sizes[dtype];
  char *whole = malloc(LONG * size), *part = malloc(LONG * size + 64);
  draw(contexts[0], kind, dtype, LONG, 7, whole);
  for (size_t t = 1; t < TEAMS; t++) {
    draw(contexts[t], kind, dtype, LONG, 7, part);
    PERI_CHECK(memcmp(whole, part, LONG * size) == 0, "kind %d dtype %d: other bits with %d threads", (int)kind,
               (int)dtype, team[t]);
  }
  static const int64_t lengths[] = {0, 1, 2, 3, 5, 17, 63, 64, 127, 128, 129, 255, 256, 257, 1000, 16385};
  for (size_t i = 0; kind != PERMUTATION && i < PERI_COUNT(lengths); i++) {
    memset(part, 0x77, LONG * size);
    draw(contexts[1], kind, dtype, lengths[i], 7, part);
    size_t bytes = (size_t)lengths[i] * size;
    PERI_CHECK(memcmp(whole, part, bytes) == 0 && part[bytes] == 0x77, "kind %d dtype %d n %d", (int)kind, (int)dtype,
               (int)lengths[i]);
    int64_t per_block = dtype == PERI_FLOAT32 ? 4 : 2, skipped = lengths[i] / per_block * per_block;
    draw(contexts[1], kind, dtype, 50, 7 + peri_random_blocks(dtype, skipped), part);
    PERI_CHECK(memcmp(whole + (size_t)skipped * size, part, 50 * size) == 0, "kind %d dtype %d from %d", (int)kind,
               (int)dtype, (int)skipped);
  }
  free(whole), free(part);
}

/* Moments up to the fourth, and the range. */
static void check_moments(distribution kind, peri_dtype dtype, double mean, double variance, double kurtosis) {
  enum { MANY = 400000 };
  char *y = malloc(MANY * sizes[dtype]);
  draw(contexts[1], kind, dtype, MANY, 0, y);
  double sum = 0, second = 0, fourth = 0, least = INFINITY, most = -INFINITY;
  for (int i = 0; i < MANY; i++) {
    double value = dtype == PERI_FLOAT32   ? (double)((float *)y)[i]
                   : dtype == PERI_FLOAT64 ? ((double *)y)[i]
                                           : (double)((int64_t *)y)[i];
    double d = value - mean;
    sum += d, second += d * d, fourth += d * d * d * d;
    least = fmin(least, value), most = fmax(most, value);
  }
  PERI_CHECK(fabs(sum / MANY) < 0.02 && fabs(second / MANY / variance - 1) < 0.01 &&
                 fabs(fourth / MANY / (variance * variance) / kurtosis - 1) < 0.03,
             "kind %d dtype %d: mean %g, variance %g, kurtosis %g", (int)kind, (int)dtype, mean + sum / MANY,
             second / MANY, fourth / MANY / (variance * variance));
  if (kind == UNIFORM)
    PERI_CHECK(least >= -2 && least < -1.99 && most < 3 && most > 2.99, "%.17g to %.17g", least, most);
  if (kind == INTEGERS) PERI_CHECK(least == -3 && most == 6, "%g to %g", least, most);
  free(y);
}

static void test_fills(void) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    open_contexts(variants[v]);
    for (int dtype = 0; dtype < PERI_FLOATS; dtype++) {
      check_draw(UNIFORM, dtype);
      check_draw(NORMAL, dtype);
      check_moments(UNIFORM, dtype, 0.5, 25.0 / 12, 1.8);
      check_moments(NORMAL, dtype, 1, 4, 3);
    }
    check_draw(INTEGERS, PERI_INT64);
    check_draw(WIDE, PERI_INT64);
    check_draw(PERMUTATION, PERI_INT64);
    check_moments(INTEGERS, PERI_INT64, 1.5, 8.25, 1.7758);
    close_contexts();
  }
}

/* Of a range of 3 * 2^62 a product without refusals gives each third number twice as often. */
static void test_wide_range(void) {
  enum { MANY = 300000 };
  int64_t *y = malloc(MANY * sizeof *y), high = ((int64_t)1 << 62) - 1;
  int counts[3] = {0};
  open_contexts(NULL);
  PERI_CHECK(peri_fill_integers(contexts[0], MANY, 1, 0, INT64_MIN, high, y) == PERI_OK, "integers");
  for (int i = 0; i < MANY; i++) {
    PERI_CHECK(y[i] <= high, "%lld", (long long)y[i]);
    counts[((uint64_t)y[i] - (uint64_t)INT64_MIN) % 3]++;
  }
  for (int r = 0; r < 3; r++) PERI_CHECK(abs(counts[r] - MANY / 3) < 1500, "residue %d: %d", r, counts[r]);
  close_contexts();
  free(y);
}

/* The words are those of peri_philox. */
static void test_fill_words(void) {
  open_contexts(NULL);
  float y[301];
  int64_t z[301];
  uint64_t seed = 0x123456789abcdefu, first = 0xfffffff0u; /* the block number passes 2^32 */
  PERI_CHECK(peri_fill_uniform(contexts[0], PERI_FLOAT32, 301, seed, first, 0, 1, y) == PERI_OK, "uniform");
  PERI_CHECK(peri_fill_integers(contexts[0], 301, seed, first, INT64_MIN, INT64_MAX, z) == PERI_OK, "integers");
  for (int i = 0; i < 301; i++) {
    uint32_t words[4];
    peri_philox(seed, first + (uint64_t)(i / 4), words);
    PERI_CHECK(y[i] == (float)(words[i % 4] >> 8) * 0x1p-24f, "float %d", i);
    peri_philox(seed, first + (uint64_t)(i / 2), words);
    uint64_t bits = words[i % 2 * 2] | (uint64_t)words[i % 2 * 2 + 1] << 32;
    PERI_CHECK((uint64_t)z[i] == bits + ((uint64_t)1 << 63), "integer %d", i);
  }
  PERI_CHECK(peri_fill_integers(contexts[0], 301, seed, first, 5, 5, z) == PERI_OK && z[300] == 5, "one value");
  PERI_CHECK(peri_random_blocks(PERI_FLOAT32, 5) == 2 && peri_random_blocks(PERI_FLOAT64, 5) == 3 &&
                 peri_random_blocks(PERI_INT64, 4) == 2 && peri_random_blocks(PERI_FLOAT32, 0) == 0,
             "blocks");
  close_contexts();
}

static void test_permutations(void) {
  open_contexts(NULL);
  static const int64_t lengths[] = {0, 1, 2, 3, 511, 512, 513, 60000};
  for (size_t k = 0; k < PERI_COUNT(lengths); k++) {
    int64_t n = lengths[k], *y = malloc((size_t)n * 8 + 8);
    char *seen = calloc((size_t)n + 1, 1);
    y[n] = 77;
    draw(contexts[0], PERMUTATION, PERI_INT64, n, 3, y);
    for (int64_t i = 0; i < n; i++) {
      if (y[i] >= 0 && y[i] < n && !seen[y[i]]) {
        seen[y[i]] = 1;
        continue;
      }
      PERI_CHECK(false, "of %d: y[%d] = %d", (int)n, (int)i, (int)y[i]);
      break;
    }
    PERI_CHECK(y[n] == 77, "wrote beside");
    free(y), free(seen);
  }
  int counts[6] = {0}; /* the six orders of three come equally often */
  for (uint64_t i = 0; i < 60000; i++) {
    int64_t y[3];
    draw(contexts[0], PERMUTATION, PERI_INT64, 3, i * 2, y);
    counts[y[0] * 2 + (y[1] > y[2])]++;
  }
  for (int k = 0; k < 6; k++) PERI_CHECK(counts[k] > 9600 && counts[k] < 10400, "order %d: %d", k, counts[k]);
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_selection), PERI_TEST(test_rows), PERI_TEST(test_sort), PERI_TEST(test_philox),
               PERI_TEST(test_fills), PERI_TEST(test_wide_range), PERI_TEST(test_fill_words),
               PERI_TEST(test_permutations))
