/* The product engine against its definition, bit for bit: a chain of multiply-adds for each block of steps, the sums of
 * blocks and of parts in order. Shapes from empty to cut in every way, operands that lie anyhow in memory, batches, the
 * finishing of strips, every set of instructions and number of threads. */
#include "product/product.h"
#include "product_support.h"

#include <math.h>

/* ---- the definition ---- */

static int64_t place(const peri_operand *x, int64_t vector, int64_t step) {
  return (x->index != NULL ? x->index[vector] : vector) * x->along + step * x->step;
}

static double chain(const peri_product *p, const void *a, const void *b, int64_t i, int64_t j, int64_t from,
                    int64_t end) {
  double sum = 0;
  for (int64_t l = from; l < end; l++)
    sum = madd(p->dtype, number(p->dtype, a, place(&p->a, i, l)), number(p->dtype, b, place(&p->b, j, l)), sum);
  return sum;
}

static int64_t length_of_parts(const peri_product *p) {
  if (p->part > 0) return p->part;
  if (p->k <= 8192) return p->k;
  int64_t sixty_fourth = (p->k + 63) / 64;
  return peri_max(4096, (sixty_fourth + 255) / 256 * 256);
}

static double element(const peri_product *p, const void *a, const void *b, int64_t i, int64_t j) {
  double sum = 0;
  int64_t length = peri_max(1, length_of_parts(p));
  for (int64_t part = 0; part < p->k; part += length) {
    int64_t end = peri_min(p->k, part + length);
    double of_part = 0;
    for (int64_t from = part; from < end; from += 256) {
      double block = chain(p, a, b, i, j, from, peri_min(end, from + 256));
      of_part = from == part ? block : add(p->dtype, of_part, block);
    }
    sum = part == 0 ? of_part : add(p->dtype, sum, of_part);
  }
  return p->bias != NULL ? add(p->dtype, sum, number(p->dtype, p->bias, j)) : sum;
}

/* ---- a product with every number of threads ---- */

static int64_t batches_of(const peri_product *p) {
  int64_t batches = 1;
  for (int d = 0; d < p->batch_dims; d++) batches *= p->batch_shape[d];
  return batches;
}

static const char *batch_at(const peri_product *p, const peri_operand *x, const int64_t *strides, int64_t batch) {
  int64_t offset = 0;
  for (int d = p->batch_dims - 1; d >= 0; d--) {
    offset += batch % p->batch_shape[d] * strides[d];
    batch /= p->batch_shape[d];
  }
  return (const char *)x->data + offset * (int64_t)sizes[p->dtype];
}

static void compare(const peri_product *p, const void *c) {
  /* of large products, some elements: the odd steps meet all corners of tiles */
  int64_t step = p->m * p->n * p->k > 4000000 ? 13 : 1;
  for (int64_t batch = 0; batch < batches_of(p); batch++) {
    const char *a = batch_at(p, &p->a, p->batch_a, batch), *b = batch_at(p, &p->b, p->batch_b, batch);
    for (int64_t i = 0; i < p->m; i += peri_min(step, peri_max(1, p->m / 20))) {
      for (int64_t j = 0; j < p->n; j += peri_min(step + 4 * (step > 1), peri_max(1, p->n / 20))) {
        double expected = element(p, a, b, i, j), got = number(p->dtype, c, (batch * p->m + i) * p->ldc + j);
        if (memcmp(&expected, &got, sizeof got) == 0) continue;
        PERI_CHECK(false, "dtype %d: %d x %d x %d, strides %d %d and %d %d: c[%d][%d] = %.17g, not %.17g",
                   (int)p->dtype, (int)p->m, (int)p->n, (int)p->k, (int)p->a.along, (int)p->a.step, (int)p->b.along,
                   (int)p->b.step, (int)i, (int)j, got, expected);
        return;
      }
    }
  }
}

static void check(peri_product p, size_t threads) {
  int64_t elements = batches_of(&p) * p.m * p.ldc;
  char *first = NULL;
  size_t bytes = (size_t)elements * sizes[p.dtype];
  for (size_t t = 0; t < threads; t++) {
    char *c = malloc(bytes + 1);
    for (int64_t i = 0; i < elements; i++) put(p.dtype, c, i, (double)NAN);
    p.c = c;
    PERI_CHECK(peri_multiply(contexts[t], &p) == PERI_OK, "%s", peri_message(contexts[t]));
    for (int64_t i = 0; i < batches_of(&p) * p.m; i++) {
      for (int64_t j = p.n; j < p.ldc; j++)
        PERI_CHECK(isnan(number(p.dtype, c, i * p.ldc + j)), "wrote beside the matrix at %d, %d", (int)i, (int)j);
    }
    if (t == 0) {
      compare(&p, c);
      first = c;
      continue;
    }
    PERI_CHECK(memcmp(first, c, bytes) == 0, "dtype %d: %d x %d x %d: other bits with %d threads", (int)p.dtype,
               (int)p.m, (int)p.n, (int)p.k, team[t]);
    free(c);
  }
  free(first);
}

/* Operands along, across, and anyhow in memory, with bias and without. */
static void check_forms(peri_dtype dtype, int64_t m, int64_t n, int64_t k, size_t threads) {
  int64_t gap = 3, last = peri_max(1, peri_max(m, n));
  void *a = random_matrix(dtype, 2 * (m + gap) * (k + gap), 1), *b = random_matrix(dtype, 2 * (n + gap) * (k + gap), 2);
  void *bias = random_matrix(dtype, n, 3);
  int64_t *order = malloc((size_t)last * sizeof *order);
  for (int64_t i = 0; i < last; i++) order[i] = i * 7 % 5 % last;
  for (int form = 0; form < 16; form++) {
    peri_product p = {.dtype = dtype, .m = m, .n = n, .k = k, .ldc = n + form % 3};
    int left = form % 4, right = form / 4;
    p.a = (peri_operand){.data = a, .along = k + gap, .step = 1};
    if (left == 1) p.a = (peri_operand){.data = a, .along = 1, .step = m + gap};
    if (left == 2) p.a = (peri_operand){.data = a, .along = 2, .step = 2 * m + gap};
    if (left == 3) p.a.index = order;
    p.b = (peri_operand){.data = b, .along = 1, .step = n};
    if (right == 1) p.b = (peri_operand){.data = b, .along = k, .step = 1};
    if (right == 2) p.b = (peri_operand){.data = b, .along = 2 * k + gap, .step = 2};
    if (right == 3) p.b = (peri_operand){.data = b, .along = k, .step = 1, .index = order};
    if (form % 2 == 1) p.bias = bias;
    check(p, threads);
  }
  free(a), free(b), free(bias), free(order);
}

static void check_both(int64_t m, int64_t n, int64_t k, size_t threads) {
  check_forms(PERI_FLOAT32, m, n, k, threads);
  check_forms(PERI_FLOAT64, m, n, k, threads);
}

/* ---- the tests ---- */

static void awkward_shapes(void) {
  static const int64_t extents[] = {0, 1, 2, 5, 17, 33};
  for (size_t i = 0; i < PERI_COUNT(extents); i++) {
    for (size_t j = 0; j < PERI_COUNT(extents); j++) {
      for (size_t p = 0; p < PERI_COUNT(extents); p++) check_both(extents[i], extents[j], extents[p], 1);
    }
  }
  for (int64_t m = 1; m < 14; m++) check_both(m, 70 - 5 * m, m + 3, 1);
  for (int64_t k = 254; k < 259; k++) check_both(3, 40, k, 1);
  check_both(1, 1, 1000, 2);
  check_both(1, 1, 1024, 2);
  check_both(1, 1, 30007, TEAMS);
  check_both(1000, 1, 3, 2);
  check_both(3, 1000, 1, 2);
}

static void test_awkward_shapes(void) { with_every_set(awkward_shapes); }

/* From whole to cut along each dimension. What is cut does not depend on the set: all teams with one of them, two with
 * the others, one with that which calls a function for each multiply-add. */
static void cut_shapes(void) {
  const char *name = contexts[0]->kernels->name;
  const size_t teams = strcmp(name, "baseline") == 0 ? TEAMS : strcmp(name, "exact") == 0 ? 1 : 2;
  check_both(128, 128, 784, teams);
  check_both(128, 784, 128, teams);
  check_both(301, 77, 299, teams);
  check_both(17, 1100, 300, teams);
  check_both(10, 11, 20000, teams);
  check_both(1, 3, 70001, teams);
  check_both(200, 1, 9000, teams);
}

static void test_cut_shapes(void) { with_every_set(cut_shapes); }

/* Large enough that B is packed by each piece. */
static void test_unshared(void) {
  open_contexts(NULL);
  fused = strcmp(contexts[0]->kernels->name, "baseline") != 0;
  void *x = random_matrix(PERI_FLOAT32, 1200 * 2000, 1);
  peri_product p = {.dtype = PERI_FLOAT32, .m = 90, .n = 1200, .k = 2000, .ldc = 1200};
  p.a = (peri_operand){.data = x, .along = 2000, .step = 1};
  p.b = (peri_operand){.data = x, .along = 2000, .step = 1};
  check(p, 2);
  p.m = 1200;
  p.part = 300; /* no whole number of blocks */
  check(p, 2);
  free(x);
  close_contexts();
}

static void batches(void) {
  static const int64_t shape[] = {3, 2}, strides[] = {400, 2000}, broadcast[] = {0, 1000};
  void *a = random_matrix(PERI_FLOAT64, 6000, 1), *b = random_matrix(PERI_FLOAT64, 6000, 2);
  peri_product p = {.dtype = PERI_FLOAT64, .m = 20, .n = 23, .k = 19, .ldc = 23};
  p.a = (peri_operand){.data = a, .along = 19, .step = 1};
  p.b = (peri_operand){.data = b, .along = 1, .step = 23};
  p.batch_dims = 2, p.batch_shape = shape, p.batch_a = strides, p.batch_b = broadcast;
  check(p, TEAMS);
  p.batch_shape = (int64_t[]){3, 0};
  check(p, 1);
  p.batch_dims = 1, p.batch_shape = (int64_t[]){400}, p.batch_a = (int64_t[]){10}, p.batch_b = (int64_t[]){0};
  p.m = 5, p.n = 40, p.ldc = 40, p.b.along = 19, p.b.step = 1;
  check(p, TEAMS);
  p.m = 40, p.n = 1, p.ldc = 1;
  check(p, TEAMS);
  free(a), free(b);
}

static void test_batches(void) { with_every_set(batches); }

/* A row alone, and the same row among others. */
static void test_single_rows(void) {
  open_contexts(NULL);
  int64_t k = 700, n = 45, m = 150;
  float *a = random_matrix(PERI_FLOAT32, m * k, 1), *b = random_matrix(PERI_FLOAT32, n * k, 2);
  float *all = malloc((size_t)(m * n) * sizeof *all), *one = malloc((size_t)n * sizeof *one);
  peri_product p = {.dtype = PERI_FLOAT32, .m = m, .n = n, .k = k, .c = all, .ldc = n};
  p.a = (peri_operand){.data = a, .along = k, .step = 1};
  p.b = (peri_operand){.data = b, .along = k, .step = 1};
  PERI_CHECK(peri_multiply(contexts[1], &p) == PERI_OK, "%s", peri_message(contexts[1]));
  p.m = 1, p.c = one;
  for (int64_t i = 0; i < m; i++) {
    p.a.data = a + i * k;
    PERI_CHECK(peri_multiply(contexts[0], &p) == PERI_OK, "%s", peri_message(contexts[0]));
    PERI_CHECK(memcmp(one, all + i * n, (size_t)n * sizeof *one) == 0, "row %d has other bits alone", (int)i);
  }
  free(a), free(b), free(all), free(one);
  close_contexts();
}

/* ---- strips ---- */

typedef struct strips {
  const peri_product *product;
  float *out;
  int *seen;
} strips;

static void take(const void *state, int64_t batch, int64_t i, int64_t rows, int64_t j, int64_t columns, void *c,
                 int64_t ldc) {
  const strips *s = state;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t q = 0; q < columns; q++) {
      int64_t at = (batch * s->product->m + i + r) * s->product->n + j + q;
      s->out[at] = ((float *)c)[r * ldc + q];
      s->seen[at]++;
    }
  }
}

/* Every element is seen once, with or without a C, cut by rows, columns, batches or parts. */
static void check_strips(peri_product p) {
  int64_t elements = batches_of(&p) * p.m * p.n;
  size_t bytes = (size_t)elements * sizeof(float);
  strips s = {.product = &p, .out = malloc(bytes), .seen = malloc((size_t)elements * sizeof(int))};
  float *plain = malloc(bytes), *c = malloc(bytes);
  p.ldc = p.n, p.c = plain;
  PERI_CHECK(peri_multiply(contexts[1], &p) == PERI_OK, "%s", peri_message(contexts[1]));
  p.finish = take, p.state = &s;
  for (int form = 0; form < 2; form++) {
    p.c = form == 0 ? c : NULL;
    memset(s.seen, 0, (size_t)elements * sizeof(int));
    PERI_CHECK(peri_multiply(contexts[3], &p) == PERI_OK, "%s", peri_message(contexts[3]));
    PERI_CHECK(memcmp(s.out, plain, bytes) == 0, "%d x %d x %d: a strip differs", (int)p.m, (int)p.n, (int)p.k);
    for (int64_t i = 0; i < elements; i++)
      PERI_CHECK(s.seen[i] == 1, "element %d was finished %d times", (int)i, s.seen[i]);
  }
  free(s.out), free(s.seen), free(plain), free(c);
}

static void test_strips(void) {
  open_contexts(NULL);
  float *a = random_matrix(PERI_FLOAT32, 300000, 1), *b = random_matrix(PERI_FLOAT32, 300000, 2);
  static const int64_t shapes[][3] = {{5, 6, 7}, {130, 70, 300}, {40, 900, 100}, {3, 4, 30000}, {60, 33, 4000}};
  for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
    peri_product p = {.dtype = PERI_FLOAT32, .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2], .bias = b};
    p.a = (peri_operand){.data = a, .along = p.k, .step = 1};
    p.b = (peri_operand){.data = b, .along = 1, .step = p.n};
    check_strips(p);
    p.part = 512;
    check_strips(p);
  }
  peri_product p = {.dtype = PERI_FLOAT32, .m = 20, .n = 30, .k = 40, .batch_dims = 1};
  p.batch_shape = (int64_t[]){50}, p.batch_a = (int64_t[]){800}, p.batch_b = (int64_t[]){1};
  p.a = (peri_operand){.data = a, .along = 40, .step = 1};
  p.b = (peri_operand){.data = b, .along = 1, .step = 30};
  check_strips(p);
  free(a), free(b);
  close_contexts();
}

/* ---- added to what stands there ---- */

/* The sum of a block, or of a part where there are several, is added to C as the others are. */
static double added(const peri_product *p, const void *a, const void *b, int64_t i, int64_t j, double sum) {
  int64_t length = peri_max(1, length_of_parts(p));
  if (length < p->k) {
    for (int64_t from = 0; from < p->k; from += length) {
      peri_product part = *p;
      part.k = peri_min(length, p->k - from), part.part = length;
      const char *a_part = (const char *)a + from * p->a.step * (int64_t)sizes[p->dtype];
      const char *b_part = (const char *)b + from * p->b.step * (int64_t)sizes[p->dtype];
      sum = add(p->dtype, sum, element(&part, a_part, b_part, i, j));
    }
    return sum;
  }
  for (int64_t from = 0; from < p->k; from += 256)
    sum = add(p->dtype, sum, chain(p, a, b, i, j, from, peri_min(p->k, from + 256)));
  return sum;
}

static void check_added(peri_dtype dtype, int64_t m, int64_t n, int64_t k) {
  void *a = random_matrix(dtype, m * k, 1), *b = random_matrix(dtype, n * k, 2), *c = random_matrix(dtype, m * n, 3);
  peri_product p = {.dtype = dtype, .m = m, .n = n, .k = k, .ldc = n, .add = true};
  p.a = (peri_operand){.data = a, .along = k, .step = 1};
  p.b = (peri_operand){.data = b, .along = 1, .step = n};
  for (size_t t = 0; t < TEAMS; t++) {
    p.c = malloc((size_t)(m * n) * sizes[dtype]);
    memcpy(p.c, c, (size_t)(m * n) * sizes[dtype]);
    PERI_CHECK(peri_multiply(contexts[t], &p) == PERI_OK, "%s", peri_message(contexts[t]));
    for (int64_t i = 0; i < m; i += peri_max(1, m / 7)) {
      for (int64_t j = 0; j < n; j += peri_max(1, n / 7)) {
        double expected = added(&p, a, b, i, j, number(dtype, c, i * n + j)), got = number(dtype, p.c, i * n + j);
        PERI_CHECK(got == expected, "%d x %d x %d: %.17g, not %.17g", (int)m, (int)n, (int)k, got, expected);
      }
    }
    free(p.c);
  }
  free(a), free(b), free(c);
}

static void sums(void) {
  static const int64_t shapes[][3] = {{5, 7, 3}, {1, 40, 256}, {64, 1, 257}, {130, 600, 700}, {3, 5, 20000}};
  for (size_t i = 0; i < PERI_COUNT(shapes); i++) {
    check_added(PERI_FLOAT32, shapes[i][0], shapes[i][1], shapes[i][2]);
    check_added(PERI_FLOAT64, shapes[i][0], shapes[i][1], shapes[i][2]);
  }
}

static void test_sums(void) { with_every_set(sums); }

/* ---- within a body, and failures ---- */

typedef struct here {
  const peri_context *context;
  peri_product product;
  char *scratch;
  size_t bytes;
} here;

static void multiply_here(void *arg, int64_t piece) {
  here *h = arg;
  peri_product p = h->product;
  p.c = (float *)p.c + piece * p.m * p.n;
  peri_multiply_here(h->context, &p, h->scratch + (size_t)peri_worker() * h->bytes);
}

static void test_within_a_body(void) {
  open_contexts(NULL);
  float *x = random_matrix(PERI_FLOAT32, 100 * 600, 1), *plain = malloc(100 * 100 * sizeof *plain);
  peri_product p = {.dtype = PERI_FLOAT32, .m = 100, .n = 100, .k = 600, .c = plain, .ldc = 100};
  p.a = (peri_operand){.data = x, .along = 600, .step = 1};
  p.b = (peri_operand){.data = x, .along = 600, .step = 1};
  PERI_CHECK(peri_multiply(contexts[0], &p) == PERI_OK, "%s", peri_message(contexts[0]));
  float *all = malloc(8 * 100 * 100 * sizeof *all);
  p.c = all;
  here h = {.context = contexts[3], .product = p, .bytes = peri_multiply_scratch(contexts[3], &p)};
  h.scratch = aligned_alloc(64, h.bytes * 8);
  PERI_CHECK(peri_parallel(contexts[3], 8, multiply_here, &h) == PERI_OK, "%s", peri_message(contexts[3]));
  for (int i = 0; i < 8; i++)
    PERI_CHECK(memcmp(all + i * 10000, plain, 10000 * sizeof *all) == 0, "piece %d has other bits", i);
  free(x), free(plain), free(all), free(h.scratch);
  close_contexts();
}

/* Scratch memory of a product is enough for all smaller ones; a sanitizer sees it if not. */
static void test_scratch(void) {
  open_contexts(NULL);
  int64_t m = 150, n = 3000, k = 300;
  float *x = random_matrix(PERI_FLOAT32, m * n * 3, 1), *c = malloc((size_t)(m * n) * sizeof *c);
  peri_product p = {.dtype = PERI_FLOAT32, .m = m, .n = n, .k = k};
  size_t bytes = peri_multiply_scratch(contexts[0], &p);
  for (int form = 0; form < 8; form++) {
    for (int64_t columns = 1; columns <= n; columns = columns * 3 + form) {
      for (int64_t rows = 1; rows <= m; rows = rows * 4 + form) {
        p.m = rows, p.n = columns, p.k = form < 4 ? k : 100;
        p.a = (peri_operand){.data = x, .along = k, .step = 1};
        p.b = form % 2 == 0 ? (peri_operand){.data = x, .along = 1, .step = columns}
                            : (peri_operand){.data = x, .along = p.k, .step = 1};
        p.c = form % 4 < 2 ? c : NULL;
        p.ldc = columns;
        PERI_CHECK(peri_multiply_scratch(contexts[0], &p) <= bytes, "%d x %d needs more than %d x %d", (int)rows,
                   (int)columns, (int)m, (int)n);
        char *scratch = aligned_alloc(64, bytes);
        peri_multiply_here(contexts[0], &p, scratch);
        free(scratch);
      }
    }
  }
  free(x), free(c);
  close_contexts();
}

static void test_failures(void) {
  open_contexts(NULL);
  peri_context *context = contexts[1];
  int64_t k = 200000;
  float *a = random_matrix(PERI_FLOAT32, 10 * k, 1), *b = random_matrix(PERI_FLOAT32, 10 * k, 2), c[100] = {7};
  peri_product p = {.dtype = PERI_FLOAT32, .m = 10, .n = 10, .k = k, .c = c, .ldc = 10};
  p.a = (peri_operand){.data = a, .along = k, .step = 1};
  p.b = (peri_operand){.data = b, .along = k, .step = 1};
  context->fail_after = 0;
  peri_status status = peri_multiply(context, &p);
  PERI_CHECK(status == PERI_ERR_MEMORY && c[0] == 7, "status %d", (int)status);
  context->fail_after = -1;
  peri_cancel(context);
  status = peri_multiply(context, &p);
  PERI_CHECK(status == PERI_ERR_CANCELLED, "status %d", (int)status);
  free(a), free(b);
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_awkward_shapes), PERI_TEST(test_cut_shapes), PERI_TEST(test_unshared),
               PERI_TEST(test_batches), PERI_TEST(test_single_rows), PERI_TEST(test_strips), PERI_TEST(test_sums),
               PERI_TEST(test_within_a_body), PERI_TEST(test_scratch), PERI_TEST(test_failures))
