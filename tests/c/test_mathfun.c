/* The elementary functions against references of higher precision, on every instruction set of this
 * processor. float32: a stride through all inputs, or all 2^32 of them with PERI_EXHAUSTIVE set, and
 * special values; float64: values over the whole range and special values. Prints the largest error of each. */
#include "kernels/kernels.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

#define BATCH 4096

typedef struct function {
  const char *name;
  peri_unary_id id;
  double (*reference)(double);
  long double (*reference_long)(long double);
} function;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static long double sigmoid_long(long double x) { return 1 / (1 + expl(-x)); }

static const function functions[] = {
    {"exp", PERI_UNARY_exp, exp, expl},     {"expm1", PERI_UNARY_expm1, expm1, expm1l},
    {"log", PERI_UNARY_log, log, logl},     {"log1p", PERI_UNARY_log1p, log1p, log1pl},
    {"sin", PERI_UNARY_sin, sin, sinl},     {"cos", PERI_UNARY_cos, cos, cosl},
    {"tanh", PERI_UNARY_tanh, tanh, tanhl}, {"sigmoid", PERI_UNARY_sigmoid, sigmoid, sigmoid_long},
};

/* The distance of value from the exact result in units of the last place of the float nearest to it. */
static double error_f32(float value, double exact) {
  if (exact != exact) return value != value ? 0 : INFINITY;
  float nearest = (float)exact;
  if (nearest == value) return signbit(nearest) == signbit(value) ? 0 : INFINITY;
  if (isinf(nearest) || isinf(value)) {
    return fabs(exact) > 0x1.fffffep127 && fabsf(value) == 0x1.fffffep127f && (value > 0) == (exact > 0) ? 1 : INFINITY;
  }
  int exponent;
  frexp(exact, &exponent);
  double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
  return fabs((double)value - exact) / unit;
}

static double error_f64(double value, long double exact) {
  if (exact != exact) return value != value ? 0 : INFINITY;
  double nearest = (double)exact;
  if (nearest == value) return signbit(nearest) == signbit(value) ? 0 : INFINITY;
  if (isinf(nearest) || isinf(value)) return INFINITY;
  int exponent;
  frexpl(exact, &exponent);
  long double unit = ldexpl(1, exponent - 53 < -1074 ? -1074 : exponent - 53);
  return (double)(fabsl((long double)value - exact) / unit);
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static const char *const variants[] = {"baseline", "v3", "v4", "exact"};
#define VARIANTS 4

/* NULL where this processor lacks the set. */
static const peri_elementwise_kernels *variant(int v) {
  setenv("PERILUNE_ISA", variants[v], 1);
  const peri_kernels *kernels = peri_kernels_select();
  unsetenv("PERILUNE_ISA");
  if (strcmp(variants[v], "baseline") == 0) return kernels->elementwise; /* whatever it is called on this processor */
  size_t length = strlen(kernels->name), wanted = strlen(variants[v]);
  return length >= wanted && strcmp(kernels->name + length - wanted, variants[v]) == 0 ? kernels->elementwise : NULL;
}

/* ---- float32 ---- */

typedef struct worst {
  double error;
  float x, value;
} worst;

static void check_batch(const function *f, const peri_elementwise_kernels *const *kernels, int64_t n, const float *x,
                        worst *worsts) {
  static float y[VARIANTS][BATCH];
  for (int v = 0; v < VARIANTS; v++) {
    if (kernels[v] != NULL) kernels[v]->unary[f->id][PERI_FLOAT32](n, (char *)y[v], 4, (const char *)x, 4);
  }
  for (int64_t i = 0; i < n; i++) {
    double exact = f->reference((double)x[i]);
    for (int v = 0; v < VARIANTS; v++) {
      if (kernels[v] == NULL) continue;
      double error = error_f32(y[v][i], exact);
      if (error > worsts[v].error) worsts[v] = (worst){error, x[i], y[v][i]};
    }
  }
}

static void test_unary_f32(void) {
  const peri_elementwise_kernels *kernels[VARIANTS] = {variant(0), variant(1), variant(2), variant(3)};
  uint64_t stride = getenv("PERI_EXHAUSTIVE") != NULL ? 1 : 1021; /* a prime: all exponents, all low digits */
  static const uint32_t edges[] = {0x00000000, 0x00000001, 0x00000002, 0x007fffff, 0x00800000, 0x00800001, 0x33000000,
                                   0x33800000, 0x3eaaaaaa, 0x3f000000, 0x3f3504f2, 0x3f3504f3, 0x3f3504f4, 0x3f800000,
                                   0x3f7fffff, 0x3f800001, 0x3fb504f3, 0x3fc90fda, 0x3fc90fdb, 0x40490fdb, 0x42b17217,
                                   0x42b17218, 0x42b17219, 0x42cff1b4, 0x42cff1b5, 0x497fffff, 0x49800000, 0x49800001,
                                   0x4b800000, 0x7effffff, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001};
  for (size_t k = 0; k < PERI_COUNT(functions); k++) {
    worst worsts[VARIANTS] = {0};
    static float x[BATCH];
    for (uint64_t from = 0; from < (uint64_t)1 << 32; from += stride * BATCH) {
      int64_t n = 0;
      while (n < BATCH && from + stride * (uint64_t)n < (uint64_t)1 << 32) {
        x[n] = float_of((uint32_t)(from + stride * (uint64_t)n));
        n++;
      }
      check_batch(&functions[k], kernels, n, x, worsts);
    }
    for (size_t i = 0; i < PERI_COUNT(edges); i++) {
      float both[2] = {float_of(edges[i]), float_of(edges[i] | 0x80000000u)};
      check_batch(&functions[k], kernels, 2, both, worsts);
    }
    for (int v = 0; v < VARIANTS; v++) {
      if (kernels[v] == NULL) continue;
      printf("%-8s float32 %-8s %.3f ULP at %a\n", functions[k].name, variants[v], worsts[v].error,
             (double)worsts[v].x);
      PERI_CHECK(worsts[v].error <= 2, "%s(%a) = %a in %s", functions[k].name, (double)worsts[v].x,
                 (double)worsts[v].value, variants[v]);
    }
  }
}

/* ---- powers ---- */

static double unit_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

static void check_pow(const peri_elementwise_kernels *const *kernels, int64_t n, const float *x, const float *y,
                      worst *worsts) {
  static float z[VARIANTS][BATCH];
  for (int v = 0; v < VARIANTS; v++) {
    if (kernels[v] == NULL) continue;
    kernels[v]->binary[PERI_BINARY_pow][PERI_FLOAT32](n, (char *)z[v], 4, (const char *)x, 4, (const char *)y, 4);
    for (int64_t i = 0; i < n; i++) {
      double error = error_f32(z[v][i], pow((double)x[i], (double)y[i]));
      if (error > worsts[v].error) worsts[v] = (worst){error, x[i], y[i]};
    }
  }
}

static void test_pow_f32(void) {
  const peri_elementwise_kernels *kernels[VARIANTS] = {variant(0), variant(1), variant(2), variant(3)};
  worst worsts[VARIANTS] = {0};
  static float x[BATCH], y[BATCH];
  uint64_t state = 1;
  for (int round = 0; round < 1000; round++) {
    for (int i = 0; i < BATCH; i++) {
      /* results over the whole range: y = t / log2(x) */
      double t = unit_random(&state) * 300 - 150, base = exp2(unit_random(&state) * 40 - 20);
      if (round % 4 == 1) base = 1 + (unit_random(&state) - 0.5) * 0x1p-10;
      if (round % 4 == 2) base = exp2(unit_random(&state) * 276 - 149);
      x[i] = (float)base;
      y[i] = (float)(t / log2((double)x[i]));
      if (round % 4 == 3) {
        y[i] = rintf((float)(unit_random(&state) * 60 - 30));
        x[i] = (float)((unit_random(&state) - 0.5) * 40);
      }
    }
    check_pow(kernels, BATCH, x, y, worsts);
  }
  static const float specials[] = {
      0.0f,    1.0f,        2.0f,       3.0f,       0.5f,  1.5f,        0x1p-149f,  0x1p-126f, 0x1.fffffep127f,
      0x1p24f, 16777215.0f, 8388609.0f, 8388607.5f, 1e10f, 0.99999994f, 1.0000001f, 33.0f,     150.0f};
  for (size_t i = 0; i < 2 * PERI_COUNT(specials) + 3; i++) {
    int64_t n = 0;
    float base = i >= 2 * PERI_COUNT(specials) ? (float[]){INFINITY, -INFINITY, NAN}[i - 2 * PERI_COUNT(specials)]
                                               : specials[i / 2] * (i % 2 ? -1.0f : 1.0f);
    for (size_t j = 0; j < PERI_COUNT(specials); j++) {
      x[n] = base, y[n++] = specials[j];
      x[n] = base, y[n++] = -specials[j];
    }
    x[n] = base, y[n++] = INFINITY;
    x[n] = base, y[n++] = -INFINITY;
    x[n] = base, y[n++] = NAN;
    check_pow(kernels, n, x, y, worsts);
  }
  for (int v = 0; v < VARIANTS; v++) {
    if (kernels[v] == NULL) continue;
    printf("pow      float32 %-8s %.3f ULP at %a, %a\n", variants[v], worsts[v].error, (double)worsts[v].x,
           (double)worsts[v].value);
    PERI_CHECK(worsts[v].error <= 2, "pow(%a, %a) in %s", (double)worsts[v].x, (double)worsts[v].value, variants[v]);
  }
}

/* ---- float64 ---- */

static double special_f64(int i) {
  static const double values[] = {0.0,
                                  0x1p-1074,
                                  0x1p-1022,
                                  0x1.fffffffffffffp-1023,
                                  0x1p-60,
                                  0x1p-54,
                                  0.5,
                                  1.0,
                                  0.70710678118654746,
                                  0.70710678118654757,
                                  1.4142135623730949,
                                  0.34657359027997264,
                                  0.3465735902799727,
                                  20.0,
                                  22.0,
                                  36.7,
                                  37.5,
                                  708.3,
                                  709.78271289338397,
                                  709.782712893384,
                                  709.8,
                                  745.1,
                                  745.13321910194122,
                                  745.2,
                                  1e10,
                                  1e300,
                                  0x1.fffffffffffffp1023,
                                  INFINITY,
                                  NAN};
  return i / 2 < (int)PERI_COUNT(values) ? values[i / 2] * (i % 2 ? -1.0 : 1.0) : NAN;
}

/* Near zero, over the exponential's range, and over all exponents. */
static double sample_f64(uint64_t *state, int i) {
  double u = unit_random(state), sign = unit_random(state) < 0.5 ? -1 : 1;
  if (i % 4 == 0) return sign * u;
  if (i % 4 == 1) return sign * u * 40;
  if (i % 4 == 2) return sign * u * 750;
  return sign * (1 + u) * exp2(floor(unit_random(state) * 2045 - 1022));
}

static void test_unary_f64(void) {
  const peri_elementwise_kernels *kernels[VARIANTS] = {variant(0), variant(1), variant(2), variant(3)};
  for (size_t k = 0; k < PERI_COUNT(functions); k++) {
    const function *f = &functions[k];
    double worst_error[VARIANTS] = {0}, worst_x[VARIANTS] = {0};
    static double x[BATCH], y[BATCH];
    uint64_t state = 7;
    for (int round = 0; round < 200; round++) {
      for (int i = 0; i < BATCH; i++) x[i] = round == 0 && i < 64 ? special_f64(i) : sample_f64(&state, i);
      for (int v = 0; v < VARIANTS; v++) {
        if (kernels[v] == NULL) continue;
        kernels[v]->unary[f->id][PERI_FLOAT64](BATCH, (char *)y, 8, (const char *)x, 8);
        for (int i = 0; i < BATCH; i++) {
          double error = error_f64(y[i], f->reference_long((long double)x[i]));
          if (error > worst_error[v]) worst_error[v] = error, worst_x[v] = x[i];
        }
      }
    }
    for (int v = 0; v < VARIANTS; v++) {
      if (kernels[v] == NULL) continue;
      printf("%-8s float64 %-8s %.3f ULP at %a\n", f->name, variants[v], worst_error[v], worst_x[v]);
      PERI_CHECK(worst_error[v] <= 2, "%s(%a) in %s", f->name, worst_x[v], variants[v]);
    }
  }
}

/* Bases and exponents whose power is within the range of the exponents, and beyond it. */
static void sample_pow_f64(uint64_t *state, int i, double *x, double *y) {
  double size = i % 3 == 0 ? 1 + (unit_random(state) - 0.5) * exp2(-50 * unit_random(state))
                           : (1 + unit_random(state)) * exp2(floor(unit_random(state) * 2096 - 1074));
  double log = log2(size);
  double most = fabs(log) > 0 ? 1100 / fabs(log) : 1e6;
  *y = i % 7 == 0 ? floor(40 * unit_random(state)) - 20 : most * (2 * unit_random(state) - 1);
  *x = i % 5 == 0 ? -size : size;
  if (i % 10 == 0) *y = floor(*y);
}

static void test_pow_f64(void) {
  const peri_elementwise_kernels *kernels[VARIANTS] = {variant(0), variant(1), variant(2), variant(3)};
  double worst_error[VARIANTS] = {0}, worst_x[VARIANTS] = {0}, worst_y[VARIANTS] = {0};
  static double x[BATCH], y[BATCH], z[BATCH];
  uint64_t state = 11;
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < BATCH; i++) {
      if (round == 0) { /* all pairs of the special values */
        x[i] = special_f64(i % 62);
        y[i] = special_f64(i / 62);
      } else {
        sample_pow_f64(&state, i, &x[i], &y[i]);
      }
    }
    for (int v = 0; v < VARIANTS; v++) {
      if (kernels[v] == NULL) continue;
      kernels[v]->binary[PERI_BINARY_pow][PERI_FLOAT64](BATCH, (char *)z, 8, (const char *)x, 8, (const char *)y, 8);
      for (int i = 0; i < BATCH; i++) {
        double error = error_f64(z[i], powl((long double)x[i], (long double)y[i]));
        if (error > worst_error[v]) worst_error[v] = error, worst_x[v] = x[i], worst_y[v] = y[i];
      }
    }
  }
  for (int v = 0; v < VARIANTS; v++) {
    if (kernels[v] == NULL) continue;
    printf("pow      float64 %-8s %.3f ULP at %a, %a\n", variants[v], worst_error[v], worst_x[v], worst_y[v]);
    PERI_CHECK(worst_error[v] <= 2, "pow(%a, %a) in %s", worst_x[v], worst_y[v], variants[v]);
  }
}

PERI_TEST_MAIN(PERI_TEST(test_unary_f32), PERI_TEST(test_pow_f32), PERI_TEST(test_unary_f64), PERI_TEST(test_pow_f64))
