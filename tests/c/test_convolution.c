/* Convolutions and their gradients against the definition, bit for bit: the factors of each element are written down in
 * order, and multiplied and added as product.h says. Shapes with every awkwardness, every set of instructions and
 * number of threads, an image alone and in a batch. */
#include "product/convolution.h"
#include "product_support.h"

#include <math.h>

/* ---- the definition ---- */

/* The factors of one element. */
typedef struct factors {
  int64_t count, room;
  double *a, *b;
} factors;

static void push(factors *f, double a, double b) {
  if (f->count == f->room) {
    f->room = 2 * f->room + 64;
    f->a = realloc(f->a, (size_t)f->room * sizeof *f->a);
    f->b = realloc(f->b, (size_t)f->room * sizeof *f->b);
  }
  f->a[f->count] = a;
  f->b[f->count++] = b;
}

static double product_of(peri_dtype dtype, const factors *f) {
  int64_t k = f->count, part = k <= 8192 ? k : peri_max(4096, ((k + 63) / 64 + 255) / 256 * 256);
  double total = 0;
  for (int64_t first = 0; first < k; first += part) {
    int64_t end = peri_min(k, first + part);
    double of_part = 0;
    for (int64_t from = first; from < end; from += 256) {
      double block = 0;
      for (int64_t l = from; l < peri_min(end, from + 256); l++) block = madd(dtype, f->a[l], f->b[l], block);
      of_part = from == first ? block : add(dtype, of_part, block);
    }
    total = first == 0 ? of_part : add(dtype, total, of_part);
  }
  return total;
}

typedef struct tensors {
  const void *x, *weight, *gy;
} tensors;

/* x at a place that may lie outside of the image. */
static double pixel(const peri_convolution *v, const void *x, int64_t n, int64_t c, int64_t h, int64_t w) {
  if (h < 0 || w < 0 || h >= v->in[0] || w >= v->in[1]) return 0;
  return number(v->dtype, x, ((n * v->in_channels + c) * v->in[0] + h) * v->in[1] + w);
}

static double gradient(const peri_convolution *v, const void *gy, int64_t n, int64_t m, int64_t h, int64_t w) {
  if (h < 0 || w < 0 || h >= v->out[0] || w >= v->out[1]) return 0;
  return number(v->dtype, gy, ((n * v->out_channels + m) * v->out[0] + h) * v->out[1] + w);
}

static double weight_at(const peri_convolution *v, const void *weight, int64_t m, int64_t c, int64_t kh, int64_t kw) {
  return number(v->dtype, weight, ((m * (v->in_channels / v->groups) + c) * v->kernel[0] + kh) * v->kernel[1] + kw);
}

static void factors_of_y(const peri_convolution *v, const tensors *t, int64_t n, int64_t m, int64_t oh, int64_t ow,
                         factors *f) {
  int64_t channels = v->in_channels / v->groups, first = m / (v->out_channels / v->groups) * channels;
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t kh = 0; kh < v->kernel[0]; kh++) {
      for (int64_t kw = 0; kw < v->kernel[1]; kw++) {
        int64_t h = oh * v->stride[0] + kh * v->dilation[0] - v->padding[0];
        int64_t w = ow * v->stride[1] + kw * v->dilation[1] - v->padding[1];
        push(f, weight_at(v, t->weight, m, c, kh, kw), pixel(v, t->x, n, first + c, h, w));
      }
    }
  }
}

/* What one tap adds; nothing where it does not reach. */
static void factors_of_gx(const peri_convolution *v, const tensors *t, int64_t n, int64_t c, int64_t h, int64_t w,
                          int64_t tap, factors *f) {
  int64_t channels = v->in_channels / v->groups, outs = v->out_channels / v->groups, group = c / channels;
  int64_t kh = tap / v->kernel[1], kw = tap % v->kernel[1];
  int64_t down = h + v->padding[0] - kh * v->dilation[0], right = w + v->padding[1] - kw * v->dilation[1];
  if (down % v->stride[0] != 0 || right % v->stride[1] != 0) return;
  down /= v->stride[0];
  right /= v->stride[1];
  if (down < 0 || right < 0 || down >= v->out[0] || right >= v->out[1]) return;
  for (int64_t m = group * outs; m < (group + 1) * outs; m++)
    push(f, weight_at(v, t->weight, m, c % channels, kh, kw), gradient(v, t->gy, n, m, down, right));
}

static void factors_of_gw(const peri_convolution *v, const tensors *t, int64_t m, int64_t c, int64_t kh, int64_t kw,
                          factors *f) {
  int64_t first = m / (v->out_channels / v->groups) * (v->in_channels / v->groups);
  for (int64_t n = 0; n < v->images; n++) {
    for (int64_t oh = 0; oh < v->out[0]; oh++) {
      for (int64_t ow = 0; ow < v->out[1]; ow++) {
        int64_t h = oh * v->stride[0] + kh * v->dilation[0] - v->padding[0];
        int64_t w = ow * v->stride[1] + kw * v->dilation[1] - v->padding[1];
        push(f, gradient(v, t->gy, n, m, oh, ow), pixel(v, t->x, n, first + c, h, w));
      }
    }
  }
}

typedef double (*element_of)(const peri_convolution *v, const tensors *t, const int64_t at[4], factors *f);

static double element_of_y(const peri_convolution *v, const tensors *t, const int64_t at[4], factors *f) {
  f->count = 0;
  factors_of_y(v, t, at[0], at[1], at[2], at[3], f);
  return product_of(v->dtype, f);
}

static double element_of_gx(const peri_convolution *v, const tensors *t, const int64_t at[4], factors *f) {
  double sum = 0;
  for (int64_t tap = 0; tap < v->kernel[0] * v->kernel[1]; tap++) {
    f->count = 0;
    factors_of_gx(v, t, at[0], at[1], at[2], at[3], tap, f);
    if (f->count > 0) sum = add(v->dtype, sum, product_of(v->dtype, f));
  }
  return sum;
}

static double element_of_gw(const peri_convolution *v, const tensors *t, const int64_t at[4], factors *f) {
  f->count = 0;
  factors_of_gw(v, t, at[0], at[1], at[2], at[3], f);
  return product_of(v->dtype, f);
}

/* A result of four dimensions; of many elements, some. */
static void compare(const char *what, const peri_convolution *v, const tensors *t, const int64_t shape[4],
                    element_of of, int64_t steps, const void *bias, const void *got) {
  factors f = {0};
  int64_t elements = shape[0] * shape[1] * shape[2] * shape[3];
  int64_t every = elements * steps > 400000 ? elements * steps / 400000 * 2 + 1 : 1;
  for (int64_t i = 0; i < elements; i += every) {
    int64_t at[4], rest = i;
    for (int d = 3; d >= 0; rest /= shape[d--]) at[d] = rest % shape[d];
    double expected = of(v, t, at, &f), found = number(v->dtype, got, i);
    if (bias != NULL) expected = add(v->dtype, expected, number(v->dtype, bias, at[1]));
    if (memcmp(&expected, &found, sizeof found) == 0) continue;
    PERI_CHECK(false, "%s, dtype %d, %s: [%d][%d][%d][%d] is %.17g, not %.17g", what, (int)v->dtype,
               contexts[0]->kernels->name, (int)at[0], (int)at[1], (int)at[2], (int)at[3], found, expected);
    break;
  }
  free(f.a), free(f.b);
}

/* ---- a convolution with every number of threads ---- */

typedef struct results {
  void *y, *gx, *gw;
} results;

static void run(peri_context *context, const peri_convolution *v, const tensors *t, const void *bias, results *r) {
  const peri_convolution_end with_bias = {.bias = bias}, *end = bias == NULL ? NULL : &with_bias;
  PERI_CHECK(peri_convolve(context, v, t->x, t->weight, end, r->y) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_convolve_input(context, v, t->gy, t->weight, end, r->gx) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_convolve_weight(context, v, t->x, t->gy, r->gw) == PERI_OK, "%s", peri_message(context));
}

/* Two elements more than there are, which must stay as they are. */
static void *fresh(peri_dtype dtype, int64_t n) {
  void *x = malloc((size_t)(n + 2) * sizes[dtype]);
  for (int64_t i = 0; i < n + 2; i++) put(dtype, x, i, (double)NAN);
  return x;
}

static void check(const char *what, peri_convolution v, size_t threads) {
  for (int d = 0; d < 2; d++) {
    if (v.groups == 0) v.groups = 1;
    if (v.stride[d] == 0) v.stride[d] = 1;
    if (v.dilation[d] == 0) v.dilation[d] = 1;
    if (v.out[d] == 0)
      v.out[d] = (v.in[d] + 2 * v.padding[d] - (v.kernel[d] - 1) * v.dilation[d] - 1) / v.stride[d] + 1;
  }
  const int64_t y[4] = {v.images, v.out_channels, v.out[0], v.out[1]};
  const int64_t x[4] = {v.images, v.in_channels, v.in[0], v.in[1]};
  const int64_t w[4] = {v.out_channels, v.in_channels / v.groups, v.kernel[0], v.kernel[1]};
  int64_t ny = y[0] * y[1] * y[2] * y[3], nx = x[0] * x[1] * x[2] * x[3], nw = w[0] * w[1] * w[2] * w[3];
  void *ax = random_matrix(v.dtype, nx, 1), *aw = random_matrix(v.dtype, nw, 2), *ag = random_matrix(v.dtype, ny, 3);
  void *bias = random_matrix(v.dtype, peri_max(v.out_channels, v.in_channels), 4);
  const tensors t = {ax, aw, ag};
  for (int form = 0; form < 2; form++) {
    results first = {0};
    for (size_t i = 0; i < threads; i++) {
      results r = {fresh(v.dtype, ny), fresh(v.dtype, nx), fresh(v.dtype, nw)};
      run(contexts[i], &v, &t, form == 0 ? NULL : bias, &r);
      for (int e = 0; e < 2; e++) {
        PERI_CHECK(isnan(number(v.dtype, r.y, ny + e)) && isnan(number(v.dtype, r.gx, nx + e)) &&
                       isnan(number(v.dtype, r.gw, nw + e)),
                   "%s: wrote behind a result", what);
      }
      if (i == 0) {
        int64_t taps = w[2] * w[3];
        compare(what, &v, &t, y, element_of_y, w[1] * taps, form == 0 ? NULL : bias, r.y);
        compare(what, &v, &t, x, element_of_gx, w[0] / v.groups * taps, form == 0 ? NULL : bias, r.gx);
        compare(what, &v, &t, w, element_of_gw, y[0] * y[2] * y[3], NULL, r.gw);
        first = r;
        continue;
      }
      PERI_CHECK(memcmp(first.y, r.y, (size_t)ny * sizes[v.dtype]) == 0, "%s: y has other bits", what);
      PERI_CHECK(memcmp(first.gx, r.gx, (size_t)nx * sizes[v.dtype]) == 0, "%s: gx has other bits", what);
      PERI_CHECK(memcmp(first.gw, r.gw, (size_t)nw * sizes[v.dtype]) == 0, "%s: gw has other bits", what);
      free(r.y), free(r.gx), free(r.gw);
    }
    free(first.y), free(first.gx), free(first.gw);
  }
  free(ax), free(aw), free(ag), free(bias);
}

static void check_both(const char *what, peri_convolution v, size_t threads) {
  v.dtype = PERI_FLOAT32;
  check(what, v, threads);
  v.dtype = PERI_FLOAT64;
  check(what, v, threads);
}

#define SHAPE(n, c, m, h, w, kh, kw) .images = n, .in_channels = c, .out_channels = m, .in = {h, w}, .kernel = {kh, kw}

static void every_kind(void) {
  check_both("one of everything", (peri_convolution){SHAPE(1, 1, 1, 1, 1, 1, 1)}, 1);
  check_both("1 x 1 kernels", (peri_convolution){SHAPE(3, 5, 4, 6, 7, 1, 1)}, 1);
  check_both("1 x 1 kernels in steps", (peri_convolution){SHAPE(2, 5, 4, 6, 7, 1, 1), .stride = {2, 3}}, 1);
  check_both("no padding", (peri_convolution){SHAPE(3, 3, 7, 9, 11, 3, 3)}, 2);
  check_both("padding", (peri_convolution){SHAPE(2, 3, 5, 8, 8, 3, 3), .padding = {1, 1}}, 2);
  check_both("more padding than kernel", (peri_convolution){SHAPE(2, 2, 3, 5, 4, 3, 2), .padding = {4, 5}}, 1);
  check_both("uneven padding", (peri_convolution){SHAPE(2, 2, 3, 7, 6, 4, 2), .padding = {1, 0}, .out = {7, 6}}, 1);
  check_both("stride 2", (peri_convolution){SHAPE(2, 3, 4, 11, 12, 3, 3), .stride = {2, 2}, .padding = {1, 1}}, 2);
  check_both("stride 3 and 2", (peri_convolution){SHAPE(2, 3, 4, 13, 10, 5, 4), .stride = {3, 2}}, 1);
  check_both("strides beyond the kernel", (peri_convolution){SHAPE(2, 2, 3, 17, 19, 2, 2), .stride = {5, 4}}, 1);
  check_both("dilation", (peri_convolution){SHAPE(2, 3, 4, 12, 13, 3, 3), .dilation = {2, 3}, .padding = {2, 3}}, 1);
  check_both("dilation and stride",
             (peri_convolution){SHAPE(2, 2, 3, 14, 15, 3, 3), .dilation = {3, 2}, .stride = {2, 4}, .padding = {1, 2}},
             1);
  check_both("groups", (peri_convolution){SHAPE(2, 6, 4, 7, 8, 3, 3), .groups = 2, .padding = {1, 1}}, 2);
  check_both("depthwise", (peri_convolution){SHAPE(2, 6, 12, 9, 8, 3, 3), .groups = 6, .stride = {2, 1}}, 2);
  check_both("the kernel is the image", (peri_convolution){SHAPE(9, 4, 3, 5, 6, 5, 6)}, 1);
  check_both("images of one pixel", (peri_convolution){SHAPE(70, 5, 6, 1, 1, 3, 3), .padding = {1, 1}}, 1);
  check_both("narrow images", (peri_convolution){SHAPE(5, 2, 3, 40, 2, 3, 1)}, 1);
  check_both("one dimension", (peri_convolution){SHAPE(3, 4, 5, 1, 50, 1, 5), .padding = {0, 2}, .stride = {1, 2}}, 1);
  check_both("rows and columns that nothing reaches", (peri_convolution){SHAPE(2, 2, 2, 9, 9, 2, 2), .stride = {4, 5}},
             1);
  check_both("no images", (peri_convolution){SHAPE(0, 2, 3, 5, 5, 3, 3)}, 1);
}

static void test_every_kind(void) { with_every_set(every_kind); }

/* Large enough to be cut: by images, bands, columns and rows of the weights; steps in blocks and parts. */
static void cut_shapes(void) {
  check("images", (peri_convolution){SHAPE(40, 8, 13, 12, 12, 5, 5)}, TEAMS);
  check("bands", (peri_convolution){SHAPE(3, 20, 32, 40, 37, 3, 3), .padding = {1, 1}}, TEAMS);
  check("bands in steps", (peri_convolution){SHAPE(2, 8, 16, 79, 81, 5, 5), .padding = {2, 2}, .stride = {2, 2}},
        TEAMS);
  check("columns", (peri_convolution){SHAPE(2, 4, 6, 1, 5000, 1, 9), .padding = {0, 4}}, TEAMS);
  check("columns in steps", (peri_convolution){SHAPE(1, 4, 6, 2, 7001, 1, 9), .stride = {1, 3}}, TEAMS);
  check("windows", (peri_convolution){SHAPE(1, 2, 3, 100, 300, 3, 3), .padding = {1, 1}}, TEAMS);
  check("windows in steps", (peri_convolution){SHAPE(1, 3, 2, 130, 700, 5, 3), .stride = {2, 2}}, 2);
  check("wide rows, many filters", (peri_convolution){SHAPE(2, 3, 20, 3, 600, 2, 5), .padding = {0, 2}}, TEAMS);
  check("weights", (peri_convolution){SHAPE(1, 100, 150, 4, 4, 3, 3), .padding = {1, 1}}, TEAMS);
  check("parts", (peri_convolution){SHAPE(2, 1000, 20, 5, 5, 3, 3), .padding = {1, 1}}, TEAMS);
  check("groups", (peri_convolution){SHAPE(8, 32, 64, 14, 14, 3, 3), .groups = 4, .padding = {1, 1}}, TEAMS);
}

static void test_cut_shapes(void) { with_every_set(cut_shapes); }

/* The same image alone. */
static void test_single_images(void) {
  open_contexts(NULL);
  peri_convolution v = {SHAPE(6, 5, 9, 10, 11, 3, 3), .dtype = PERI_FLOAT32, .groups = 1};
  for (int d = 0; d < 2; d++) v.stride[d] = v.dilation[d] = v.padding[d] = 1, v.out[d] = v.in[d];
  int64_t in = 5 * 110, out = 9 * 110;
  float *x = random_matrix(PERI_FLOAT32, 6 * in, 1), *w = random_matrix(PERI_FLOAT32, 9 * 45, 2);
  float *all = malloc((size_t)(6 * out) * sizeof *all), *one = malloc((size_t)out * sizeof *one);
  PERI_CHECK(peri_convolve(contexts[1], &v, x, w, NULL, all) == PERI_OK, "%s", peri_message(contexts[1]));
  v.images = 1;
  for (int64_t i = 0; i < 6; i++) {
    PERI_CHECK(peri_convolve(contexts[0], &v, x + i * in, w, NULL, one) == PERI_OK, "%s", peri_message(contexts[0]));
    PERI_CHECK(memcmp(one, all + i * out, (size_t)out * sizeof *one) == 0, "image %d has other bits alone", (int)i);
  }
  free(x), free(w), free(all), free(one);
  close_contexts();
}

/* Bias, then the loop. */
static void test_activation(void) {
  open_contexts(NULL);
  peri_context *context = contexts[1];
  peri_convolution v = {SHAPE(3, 2, 4, 6, 6, 3, 3), .dtype = PERI_FLOAT32, .groups = 1, .out = {4, 4}};
  v.stride[0] = v.stride[1] = v.dilation[0] = v.dilation[1] = 1;
  float *x = random_matrix(PERI_FLOAT32, 216, 1), *w = random_matrix(PERI_FLOAT32, 72, 2), plain[192], y[192];
  float *bias = random_matrix(PERI_FLOAT32, 4, 3);
  peri_convolution_end end = {.bias = bias};
  PERI_CHECK(peri_convolve(context, &v, x, w, &end, plain) == PERI_OK, "%s", peri_message(context));
  end.activation = context->kernels->elementwise->unary[PERI_UNARY_relu][PERI_FLOAT32];
  PERI_CHECK(peri_convolve(context, &v, x, w, &end, y) == PERI_OK, "%s", peri_message(context));
  for (int i = 0; i < 192; i++) PERI_CHECK(y[i] == (plain[i] > 0 ? plain[i] : 0), "element %d is %g", i, (double)y[i]);
  free(x), free(w), free(bias);
  close_contexts();
}

static void test_failures(void) {
  open_contexts(NULL);
  peri_context *context = contexts[1];
  peri_convolution v = {SHAPE(8, 4, 4, 16, 16, 3, 3), .dtype = PERI_FLOAT32, .groups = 1, .out = {14, 14}};
  v.stride[0] = v.stride[1] = v.dilation[0] = v.dilation[1] = 1;
  float *x = random_matrix(PERI_FLOAT32, 8192, 1), *w = random_matrix(PERI_FLOAT32, 144, 2),
        *y = calloc(8192, sizeof *y);
  for (int allowed = 0; allowed < 2; allowed++) {
    context->fail_after = allowed;
    peri_status status = peri_convolve(context, &v, x, w, NULL, y);
    PERI_CHECK(status == PERI_ERR_MEMORY && y[0] == 0, "status %d", (int)status);
    context->fail_after = allowed;
    status = peri_convolve_input(context, &v, x, w, NULL, y);
    PERI_CHECK(status == PERI_ERR_MEMORY && y[0] == 0, "status %d", (int)status);
    context->fail_after = allowed;
    status = peri_convolve_weight(context, &v, x, x, y);
    PERI_CHECK(status == PERI_ERR_MEMORY && y[0] == 0, "status %d", (int)status);
    context->fail_after = -1;
  }
  peri_cancel(context);
  peri_status status = peri_convolve(context, &v, x, w, NULL, y);
  PERI_CHECK(status == PERI_ERR_CANCELLED, "status %d", (int)status);
  /* zeros that no memory holds */
  v.padding[1] = (int64_t)1 << 40;
  v.stride[1] = (int64_t)1 << 40;
  v.out[1] = 3;
  v.kernel[1] = 2;
  v.dilation[1] = ((int64_t)1 << 40) - 1;
  status = peri_convolve(context, &v, x, w, NULL, y);
  PERI_CHECK(status == PERI_ERR_MEMORY, "status %d: %s", (int)status, peri_message(context));
  free(x), free(w), free(y);
  close_contexts();
}

PERI_TEST_MAIN(PERI_TEST(test_every_kind), PERI_TEST(test_cut_shapes), PERI_TEST(test_single_images),
               PERI_TEST(test_activation), PERI_TEST(test_failures))
