/* The elementwise loops on every instruction set of this processor: single elements against scalar
 * twins, then whole loops, of any stride, length and offset, against single elements, bit by bit. */
#include "elementwise_twins.h"
#include "kernels_support.h"

#include <math.h>

#define ROOM    160 /* elements of a buffer: 67 with stride 2, offsets, and a margin that must stay as it is */
#define LONGEST 67

/* NULL where this processor lacks the set. */
static const peri_kernels *variant(size_t v) {
  setenv("PERILUNE_ISA", variants[v], 1);
  const peri_kernels *kernels = peri_kernels_select();
  unsetenv("PERILUNE_ISA");
  if (strcmp(variants[v], "baseline") == 0) return kernels; /* whatever it is called on this processor */
  size_t length = strlen(kernels->name), wanted = strlen(variants[v]);
  return length >= wanted && strcmp(kernels->name + length - wanted, variants[v]) == 0 ? kernels : NULL;
}

/* ---- values ---- */

static const double float_values[] = {0.5,      0.0,   -0.0, 1.0,     -1.0,  2.0,       -2.0,    1.5,   -1.5,  2.5,
                                      -2.5,     0.3,   -0.7, 3.0,     100.0, INFINITY,  -2.2,    NAN,   10.0,  -10.0,
                                      0x1p-149, 1e-30, 5e6,  -8e6,    1e9,   -INFINITY, 7.0,     0.25,  -0.25, 88.0,
                                      0.9,      4.0,   -3.0, 12345.0, 0.1,   6.5,       0x1p-60, 0x1p23};
static const int64_t integer_values[] = {0,  1,  -1,  2,   -2,   3,         -3,        7,
                                         -7, 10, 255, 256, -256, INT64_MAX, INT64_MIN, 1000003};

static double float_value(int64_t i) { return float_values[(size_t)i % PERI_COUNT(float_values)]; }
static int64_t integer_value(int64_t i) { return integer_values[(size_t)i % PERI_COUNT(integer_values)]; }

static void put_value(peri_dtype dtype, char *at, int64_t i) {
  float single = (float)float_value(i);
  double number = float_value(i);
  int64_t integer = integer_value(i);
  uint8_t byte = dtype == PERI_BOOL ? i % 3 == 0 : (uint8_t)(i * 37);
  const void *const from[PERI_DTYPES] = {&single, &number, &integer, &byte, &byte};
  memcpy(at, from[dtype], sizes[dtype]);
}

/* Divisors of int64 are never zero: that is checked before the loop. */
static void fill(peri_dtype dtype, char *buffer, int64_t first, bool divisor) {
  for (int64_t i = 0; i < ROOM; i++) {
    char *at = buffer + (size_t)i * sizes[dtype];
    put_value(dtype, at, first + i);
    int64_t one = 1;
    if (divisor && dtype == PERI_INT64 && integer_value(first + i) == 0) memcpy(at, &one, sizeof one);
  }
}

static bool same_element(peri_dtype dtype, const void *a, const void *b) {
  if (memcmp(a, b, sizes[dtype]) == 0) return true;
  float f[2];
  double d[2];
  if (dtype == PERI_FLOAT32) {
    memcpy(f, a, 4), memcpy(f + 1, b, 4);
    return f[0] != f[0] && f[1] != f[1];
  }
  if (dtype == PERI_FLOAT64) {
    memcpy(d, a, 8), memcpy(d + 1, b, 8);
    return d[0] != d[0] && d[1] != d[1];
  }
  return false;
}

static double get_float(peri_dtype dtype, const void *at) {
  float single;
  double number;
  memcpy(&single, at, 4);
  if (dtype == PERI_FLOAT32) return (double)single;
  memcpy(&number, at, 8);
  return number;
}

/* ---- whole loops against single elements ---- */

static const double numbers[3] = {0.5, 1.5, -2.5}; /* of tuned loops */

/* A loop of up to three operands; the twin applies the same loop to one element at a time. */
typedef struct loop {
  const char *name, *isa;
  int operands;
  peri_loop1 one;
  peri_loop2 two;
  peri_loop3 three;
  peri_tuned1 tuned1;
  peri_tuned2 tuned2;
  peri_dtype in[3], out;
  bool divides;
} loop;

static void run_loop(const loop *l, int64_t n, char *y, ptrdiff_t sy, char *const *x, const ptrdiff_t *sx) {
  if (l->tuned1 != NULL) {
    l->tuned1(n, y, sy, x[0], sx[0], numbers);
  } else if (l->tuned2 != NULL) {
    l->tuned2(n, y, sy, x[0], sx[0], x[1], sx[1], numbers);
  } else if (l->operands == 1) {
    l->one(n, y, sy, x[0], sx[0]);
  } else if (l->operands == 2) {
    l->two(n, y, sy, x[0], sx[0], x[1], sx[1]);
  } else {
    l->three(n, y, sy, x[0], sx[0], x[1], sx[1], x[2], sx[2]);
  }
}

/* Strides in elements, in_place < 0 for an output of its own, else the operand that is overwritten. */
static void check_loop(const loop *l, int64_t n, int64_t offset, int64_t out_stride, const int64_t *strides,
                       int in_place) {
  static char inputs[3][ROOM * 8], output[ROOM * 8], expected[ROOM * 8];
  char *x[3] = {NULL};
  ptrdiff_t sx[3] = {0};
  for (int k = 0; k < l->operands; k++) {
    size_t size = sizes[l->in[k]];
    fill(l->in[k], inputs[k], 11 * k + offset, l->divides && k == 1);
    sx[k] = (ptrdiff_t)strides[k] * (ptrdiff_t)size;
    x[k] = inputs[k] + (size_t)(strides[k] < 0 ? ROOM - 4 - offset : 3 + offset) * size;
  }
  size_t size = sizes[l->out];
  memset(output, 0x5a, sizeof output);
  memcpy(expected, output, sizeof output);
  ptrdiff_t sy = (ptrdiff_t)out_stride * (ptrdiff_t)size;
  size_t start = (size_t)(out_stride < 0 ? ROOM - 4 - offset : 3 + offset) * size;
  for (int64_t i = 0; i < n; i++) {
    char *at[3] = {NULL};
    for (int k = 0; k < l->operands; k++) at[k] = x[k] + i * sx[k];
    const ptrdiff_t alone[3] = {(ptrdiff_t)sizes[l->in[0]], (ptrdiff_t)sizes[l->in[1]], (ptrdiff_t)sizes[l->in[2]]};
    run_loop(l, 1, expected + start + i * sy, (ptrdiff_t)size, at, alone);
  }
  if (in_place >= 0) {
    run_loop(l, n, x[in_place], sx[in_place], x, sx);
    for (int64_t i = 0; i < n; i++) memcpy(output + start + i * sy, x[in_place] + i * sx[in_place], size);
  } else {
    run_loop(l, n, output + start, sy, x, sx);
  }
  for (size_t at = 0; at < ROOM * size; at += size) {
    if (same_element(l->out, output + at, expected + at)) continue;
    PERI_CHECK(false, "%s %s dtype %d: n %d offset %d strides %d <- %d %d %d, in place %d, element %d", l->isa, l->name,
               (int)l->in[0], (int)n, (int)offset, (int)out_stride, (int)strides[0], (int)strides[1], (int)strides[2],
               in_place, (int)((at - start) / size));
    return;
  }
}

static void check_all_strides(const loop *l) {
  static const int64_t kinds[] = {1, 0, 2, -1};
  int combinations = l->operands == 1 ? 4 : l->operands == 2 ? 16 : 64;
  for (int c = 0; c < combinations; c++) {
    int64_t strides[3] = {kinds[c % 4], kinds[c / 4 % 4], kinds[c / 16]};
    for (int64_t n = 1; n <= LONGEST; n += c == 0 ? 1 : 7) {
      check_loop(l, n, n % 5, 1, strides, -1);
      check_loop(l, n, 0, n % 2 ? 2 : -1, strides, -1);
    }
    for (int k = 0; k < l->operands; k++) {
      if (strides[k] != 0 && sizes[l->in[k]] == sizes[l->out]) check_loop(l, LONGEST, 1, 1, strides, k);
    }
  }
  const int64_t dense[3] = {1, 1, 1};
  for (int64_t offset = 0; offset < 20; offset++) check_loop(l, 40, offset, 1, dense, -1);
  check_loop(l, 0, 0, 1, dense, -1);
}

static const char *const unary_names[] = {
#define UNARY(name, ...) #name,
#include "kernels/elementwise.def"
};
static const char *const binary_names[] = {
#define BINARY(name, ...) #name,
#include "kernels/elementwise.def"
};
static const char *const tuned_names[] = {
#define TUNED(name, ...) #name,
#include "kernels/elementwise.def"
};
static const char *const test_names[] = {
#define TEST(name, ...) #name,
#include "kernels/elementwise.def"
};
static const char *const compare_names[] = {
#define COMPARE(name, ...) #name,
#include "kernels/elementwise.def"
};

static void check_arithmetic_loops(const peri_kernels *set, const char *isa) {
  const peri_elementwise_kernels *kernels = set->elementwise;
  for (int d = 0; d < PERI_DTYPES; d++) {
    for (int f = 0; f < PERI_UNARIES; f++) {
      loop l = {.name = unary_names[f], .isa = isa, .operands = 1, .one = kernels->unary[f][d], .in = {d}, .out = d};
      if (l.one != NULL) check_all_strides(&l);
      loop slope = {.name = unary_names[f],
                    .isa = isa,
                    .operands = 3,
                    .three = set->derivatives->unary[f][d],
                    .in = {d, d, d},
                    .out = d};
      if (slope.three != NULL) check_all_strides(&slope);
    }
    for (int f = 0; f < PERI_BINARIES; f++) {
      loop l = {.name = binary_names[f],
                .isa = isa,
                .operands = 2,
                .two = kernels->binary[f][d],
                .in = {d, d},
                .out = d,
                .divides = f == PERI_BINARY_floor_div || f == PERI_BINARY_mod || f == PERI_BINARY_fmod};
      if (l.two != NULL) check_all_strides(&l);
    }
    for (int f = 0; f < PERI_TUNEDS; f++) {
      loop l = {.name = tuned_names[f], .isa = isa, .operands = 1, .in = {d}, .out = d};
      l.tuned1 = kernels->tuned[f][d];
      loop slope = {.name = tuned_names[f], .isa = isa, .operands = 2, .in = {d, d}, .out = d};
      slope.tuned2 = set->derivatives->tuned[f][d];
      if (l.tuned1 != NULL) check_all_strides(&l);
      if (slope.tuned2 != NULL) check_all_strides(&slope);
    }
    loop lerp = {.name = "lerp", .isa = isa, .operands = 3, .three = kernels->lerp[d], .in = {d, d, d}, .out = d};
    if (lerp.three != NULL) check_all_strides(&lerp);
  }
}

static void check_other_loops(const peri_elementwise_kernels *kernels, const char *isa) {
  for (int d = 0; d < PERI_DTYPES; d++) {
    for (int f = 0; f < PERI_COMPARES; f++) {
      loop l = {.name = compare_names[f],
                .isa = isa,
                .operands = 2,
                .two = kernels->compare[f][d],
                .in = {d, d},
                .out = PERI_BOOL};
      check_all_strides(&l);
    }
    for (int f = 0; f < PERI_TESTS; f++) {
      loop l = {
          .name = test_names[f], .isa = isa, .operands = 1, .one = kernels->test[f][d], .in = {d}, .out = PERI_BOOL};
      check_all_strides(&l);
    }
    loop where = {
        .name = "where", .isa = isa, .operands = 3, .three = kernels->where[d], .in = {PERI_BOOL, d, d}, .out = d};
    check_all_strides(&where);
    for (int to = 0; to < PERI_DTYPES; to++) {
      loop l = {.name = "convert", .isa = isa, .operands = 1, .one = kernels->convert[d][to], .in = {d}, .out = to};
      check_all_strides(&l);
    }
  }
  loop both = {.name = "and",
               .isa = isa,
               .operands = 2,
               .two = kernels->logical_and,
               .in = {PERI_BOOL, PERI_BOOL},
               .out = PERI_BOOL};
  loop either = both,
       not = {
           .name = "not", .isa = isa, .operands = 1, .one = kernels->logical_not, .in = {PERI_BOOL}, .out = PERI_BOOL};
  either.two = kernels->logical_or;
  check_all_strides(&both);
  check_all_strides(&either);
  check_all_strides(&not );
}

static void test_loops(void) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    const peri_kernels *set = variant(v);
    if (set == NULL) continue;
    const peri_elementwise_kernels *kernels = set->elementwise;
    check_arithmetic_loops(set, variants[v]);
    check_other_loops(kernels, variants[v]);
  }
}

/* ---- single elements against scalar twins ---- */

/* Within ulps of the result of the dtype; an overflow of float32 is one of the twin too. */
static bool close_to(peri_dtype dtype, double value, double expected, double ulps) {
  double rounded = dtype == PERI_FLOAT32 ? (double)(float)expected : expected;
  if (rounded != rounded) return value != value;
  if (isinf(rounded) || isinf(value)) return value == rounded;
  double unit =
      dtype == PERI_FLOAT32 ? fmax(fabs(rounded) * 0x1p-23, 0x1p-149) : fmax(fabs(rounded) * 0x1p-52, 0x1p-1074);
  return fabs(value - rounded) <= ulps * unit;
}

/* Sums that cancel each other near a zero: there an absolute error counts. */
static bool near_its_zeros(int f) {
  return f == PERI_UNARY_lgamma || f == PERI_UNARY_digamma || f == PERI_UNARY_trigamma || f == PERI_UNARY_tetragamma;
}

static bool is_rounded_more(int f) {
  return f == PERI_BINARY_pow || f == PERI_BINARY_atan2 || f == PERI_BINARY_hypot || f == PERI_BINARY_logaddexp ||
         f == PERI_BINARY_xlogy;
}

static void check_tuned_twins(const peri_kernels *set, const char *isa, peri_dtype d, double x,
                              const char *at) {
  const peri_elementwise_kernels *kernels = set->elementwise;
  char y[8], gx[8], g[8];
  float g32 = 1.5f;
  double g64 = 1.5, unit = d == PERI_FLOAT32 ? 0x1p-23 : 0x1p-52;
  memcpy(g, d == PERI_FLOAT32 ? (void *)&g32 : (void *)&g64, sizes[d]);
  for (int f = 0; f < PERI_TUNEDS; f++) {
    kernels->tuned[f][d](1, y, 0, at, 0, numbers);
    double want = tuned_twins[f].value(x, numbers[0], numbers[1], numbers[2]);
    PERI_CHECK(close_to(d, get_float(d, y), want, 2), "%s %s(%g) dtype %d = %g, not %g", isa, tuned_names[f], x, (int)d,
               get_float(d, y), want);
    if (fabs(x) > 10) continue;
    set->derivatives->tuned[f][d](1, gx, 0, g, 0, at, 0, numbers);
    double slope = 1.5 * tuned_twins[f].slope(x, numbers[0], numbers[1], numbers[2]), got = get_float(d, gx);
    PERI_CHECK(close_to(d, got, slope, 8) || fabs(got - slope) <= 8 * unit,
               "%s slope of %s at %g dtype %d = %g, not %g", isa, tuned_names[f], x, (int)d, got, slope);
  }
}

static void check_float_twins(const peri_kernels *set, const char *isa, peri_dtype d) {
  const peri_elementwise_kernels *kernels = set->elementwise;
  char at[8], at_b[8], y[8], gx[8], g[8];
  float g32 = 1.5f;
  double g64 = 1.5;
  memcpy(g, d == PERI_FLOAT32 ? (void *)&g32 : (void *)&g64, sizes[d]);
  for (size_t i = 0; i < PERI_COUNT(float_values); i++) {
    put_value(d, at, (int64_t)i);
    double a = get_float(d, at);
    check_tuned_twins(set, isa, d, a, at);
    for (int f = 0; f < PERI_UNARIES; f++) {
      kernels->unary[f][d](1, y, 0, at, 0);
      double want = unary_twins[f].value(a);
      bool near = near_its_zeros(f) && fabs(get_float(d, y) - want) <= 4 * (d == PERI_FLOAT32 ? 0x1p-24 : 0x1p-53);
      PERI_CHECK(near || close_to(d, get_float(d, y), want, 2), "%s %s(%g) dtype %d = %g, not %g", isa, unary_names[f],
                 a, (int)d, get_float(d, y), want);
      if (set->derivatives->unary[f][d] == NULL) continue;
      /* the slope from the rounded y may be off where the twin's y is not */
      if (fabs(a) > 10 || (d == PERI_FLOAT32 && a != 0 && fabs(a) < 1e-25)) continue;
      set->derivatives->unary[f][d](1, gx, 0, g, 0, at, 0, y, 0);
      double slope = 1.5 * unary_twins[f].slope(a), got = get_float(d, gx),
             unit = d == PERI_FLOAT32 ? 0x1p-23 : 0x1p-52;
      PERI_CHECK(close_to(d, got, slope, 8) || fabs(got - slope) <= 8 * unit,
                 "%s slope of %s at %g dtype %d = %g, not %g", isa, unary_names[f], a, (int)d, got, slope);
    }
    for (size_t j = 0; j < PERI_COUNT(float_values); j++) {
      put_value(d, at_b, (int64_t)j);
      double b = get_float(d, at_b);
      for (int f = 0; f < PERI_BINARIES; f++) {
        if (kernels->binary[f][d] == NULL) continue;
        kernels->binary[f][d](1, y, (ptrdiff_t)sizes[d], at, (ptrdiff_t)sizes[d], at_b, (ptrdiff_t)sizes[d]);
        double expected = f == PERI_BINARY_floor_div && d == PERI_FLOAT32 ? (double)floorf((float)a / (float)b)
                                                                          : binary_twins[f](a, b);
        bool near = f == PERI_BINARY_logaddexp && fabs(get_float(d, y) - expected) <= 4 * 0x1p-53;
        PERI_CHECK(near || close_to(d, get_float(d, y), expected, is_rounded_more(f) ? 2 : 0.5),
                   "%s %s(%g, %g) dtype %d = %g, not %g", isa, binary_names[f], a, b, (int)d, get_float(d, y),
                   expected);
      }
    }
  }
}

static int64_t wrapped(twin_integer value) { return (int64_t)(uint64_t)value; }

static void check_integer_twins(const peri_elementwise_kernels *kernels, const char *isa) {
  for (size_t i = 0; i < PERI_COUNT(integer_values); i++) {
    int64_t a = integer_values[i], y = 0;
    for (int f = 0; f < PERI_UNARIES; f++) {
      PERI_CHECK((kernels->unary[f][PERI_INT64] == NULL) == (unary_integer_twins[f] == NULL), "%s", unary_names[f]);
      if (unary_integer_twins[f] == NULL) continue;
      kernels->unary[f][PERI_INT64](1, (char *)&y, 0, (const char *)&a, 0);
      PERI_CHECK(y == wrapped(unary_integer_twins[f](a)), "%s %s(%lld) = %lld", isa, unary_names[f], (long long)a,
                 (long long)y);
    }
    for (size_t j = 0; j < PERI_COUNT(integer_values); j++) {
      int64_t b = integer_values[j];
      if (b == 0) continue;
      for (int f = 0; f < PERI_BINARIES; f++) {
        PERI_CHECK((kernels->binary[f][PERI_INT64] == NULL) == (binary_integer_twins[f] == NULL), "%s",
                   binary_names[f]);
        if (binary_integer_twins[f] == NULL) continue;
        bool counts =
            f == PERI_BINARY_pow || f == PERI_BINARY_bitwise_left_shift || f == PERI_BINARY_bitwise_right_shift;
        if (counts && (b < 0 || b > 1000)) continue; /* checked before the loop; long for the twin */
        kernels->binary[f][PERI_INT64](1, (char *)&y, 8, (const char *)&a, 8, (const char *)&b, 8);
        PERI_CHECK(y == wrapped(binary_integer_twins[f](a, b)), "%s %s(%lld, %lld) = %lld", isa, binary_names[f],
                   (long long)a, (long long)b, (long long)y);
      }
    }
  }
}

/* -1, 0 or 1 as a is below, at or above b, which is not NaN; by the whole part of b. */
static int order_of(int64_t a, double b) {
  double whole = floor(b);
  if (b >= 0x1p63 || b < -0x1p63) return b > 0 ? -1 : 1;
  if (a != (int64_t)whole) return a < (int64_t)whole ? -1 : 1;
  return whole < b ? -1 : 0;
}

/* int64 against float64, also where doubles do not hold the integers. */
static void check_mixed(const peri_elementwise_kernels *kernels, const char *isa) {
  static const int64_t integers[] = {INT64_MIN,        INT64_MIN + 1,    -9007199254740993, -1,       0, 1,
                                     9007199254740992, 9007199254740993, INT64_MAX - 1,     INT64_MAX};
  static const double floats[] = {-INFINITY, -0x1p64, -0x1p63, -0x1p53,    -1,     -0.5,   -0.0,     0,  0x1p-1074,
                                  0.5,       1,       0x1p53,  0x1p53 + 2, 0x1p63, 0x1p64, INFINITY, NAN};
  for (size_t i = 0; i < PERI_COUNT(integers); i++) {
    for (size_t j = 0; j < PERI_COUNT(floats); j++) {
      const char *a = (const char *)&integers[i], *b = (const char *)&floats[j];
      int order = order_of(integers[i], isnan(floats[j]) ? 0 : floats[j]);
      for (int f = 0; f < PERI_COMPARES; f++) {
        char y = 7;
        bool right = f == PERI_COMPARE_eq   ? order == 0
                     : f == PERI_COMPARE_ne ? order != 0
                     : f == PERI_COMPARE_lt ? order < 0
                     : f == PERI_COMPARE_le ? order <= 0
                     : f == PERI_COMPARE_gt ? order > 0
                                            : order >= 0;
        if (isnan(floats[j])) right = f == PERI_COMPARE_ne;
        kernels->compare_mixed[f](1, &y, 1, a, 8, b, 8);
        PERI_CHECK(y == right, "%s comparison %d of %lld with %g", isa, f, (long long)integers[i], floats[j]);
      }
    }
  }
}

/* Conversions and comparisons of a few values, as documented. */
static void check_conversions(const peri_elementwise_kernels *kernels, const char *isa) {
  static const double from[] = {0.0, -0.0, 1.9, -1.9, 255.5, 256.0, 1e30, -1e30, NAN, INFINITY, -INFINITY, -1.0};
  static const int64_t integers[] = {0, 0, 1, -1, 255, 256, INT64_MAX, INT64_MIN, 0, INT64_MAX, INT64_MIN, -1};
  static const uint8_t bytes[] = {0, 0, 1, 0, 255, 255, 255, 0, 0, 255, 0, 0};
  static const uint8_t bools[] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (size_t i = 0; i < PERI_COUNT(from); i++) {
    float single = (float)from[i];
    const void *const x[2] = {&single, &from[i]};
    for (int d = 0; d < 2; d++) {
      int64_t integer;
      uint8_t byte, boolean;
      kernels->convert[d][PERI_INT64](1, (char *)&integer, 8, x[d], 0);
      kernels->convert[d][PERI_UINT8](1, (char *)&byte, 1, x[d], 0);
      kernels->convert[d][PERI_BOOL](1, (char *)&boolean, 1, x[d], 0);
      PERI_CHECK(integer == integers[i] && byte == bytes[i] && boolean == bools[i], "%s %g gives %lld %d %d", isa,
                 from[i], (long long)integer, byte, boolean);
    }
  }
  static const int64_t wide[] = {-5, 0, 7, 255, 300, INT64_MIN, INT64_MAX};
  static const uint8_t narrow[] = {0, 0, 7, 255, 255, 0, 255};
  for (size_t i = 0; i < PERI_COUNT(wide); i++) {
    uint8_t byte;
    kernels->convert[PERI_INT64][PERI_UINT8](1, (char *)&byte, 1, (const char *)&wide[i], 0);
    PERI_CHECK(byte == narrow[i], "%s %lld gives %d", isa, (long long)wide[i], byte);
  }
}

static void check_comparisons(const peri_elementwise_kernels *kernels, const char *isa) {
  static const double values[] = {-1.0, 0.0, -0.0, 2.0, NAN, INFINITY};
  for (size_t i = 0; i < PERI_COUNT(values); i++) {
    for (size_t j = 0; j < PERI_COUNT(values); j++) {
      double a = values[i], b = values[j];
      const uint8_t expected[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
      for (int f = 0; f < PERI_COMPARES; f++) {
        uint8_t y;
        kernels->compare[f][PERI_FLOAT64](1, (char *)&y, 1, (const char *)&a, 8, (const char *)&b, 8);
        PERI_CHECK(y == expected[f], "%s %g %s %g", isa, a, compare_names[f], b);
      }
    }
  }
}

static void check_tests(const peri_elementwise_kernels *kernels, const char *isa) {
  for (size_t i = 0; i < PERI_COUNT(float_values); i++) {
    float single = (float)float_values[i];
    double x = float_values[i];
    for (int sign = 0; sign < 2; sign++, x = -x, single = -single) {
      const bool expected[PERI_TESTS] = {[PERI_TEST_isnan] = isnan(x),
                                         [PERI_TEST_isinf] = isinf(x),
                                         [PERI_TEST_isfinite] = isfinite(x),
                                         [PERI_TEST_signbit] = signbit(x) != 0};
      for (int f = 0; f < PERI_TESTS; f++) {
        uint8_t y[2];
        kernels->test[f][PERI_FLOAT32](1, (char *)&y[0], 1, (const char *)&single, 4);
        kernels->test[f][PERI_FLOAT64](1, (char *)&y[1], 1, (const char *)&x, 8);
        PERI_CHECK(y[0] == expected[f] && y[1] == expected[f], "%s %s of %g: %d %d", isa, test_names[f], x, y[0], y[1]);
      }
    }
  }
  for (size_t i = 0; i < PERI_COUNT(integer_values); i++) {
    for (int f = 0; f < PERI_TESTS; f++) {
      uint8_t y;
      bool expected = f == PERI_TEST_isfinite || (f == PERI_TEST_signbit && integer_values[i] < 0);
      kernels->test[f][PERI_INT64](1, (char *)&y, 1, (const char *)&integer_values[i], 8);
      PERI_CHECK(y == expected, "%s %s of %lld: %d", isa, test_names[f], (long long)integer_values[i], y);
    }
  }
}

static void test_values(void) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    const peri_kernels *set = variant(v);
    if (set == NULL) continue;
    const peri_elementwise_kernels *kernels = set->elementwise;
    check_float_twins(set, variants[v], PERI_FLOAT32);
    check_float_twins(set, variants[v], PERI_FLOAT64);
    check_integer_twins(kernels, variants[v]);
    check_mixed(kernels, variants[v]);
    check_conversions(kernels, variants[v]);
    check_comparisons(kernels, variants[v]);
    check_tests(kernels, variants[v]);
  }
}

/* Operands that a slope does not save may be missing. */
static void test_unsaved_operands(void) {
  const peri_kernels *set = variant(0);
  float x[3] = {-1, 0, 2}, y[3] = {0, 0, 2}, g[3] = {1, 2, 3}, gx[3];
  set->derivatives->unary[PERI_UNARY_abs][PERI_FLOAT32](3, (char *)gx, 4, (char *)g, 4, (char *)x, 4, NULL, 0);
  PERI_CHECK(gx[0] == -1 && gx[1] == 0 && gx[2] == 3, "abs: %g %g %g", (double)gx[0], (double)gx[1], (double)gx[2]);
  set->derivatives->unary[PERI_UNARY_relu][PERI_FLOAT32](3, (char *)gx, 4, (char *)g, 4, NULL, 0, (char *)y, 4);
  PERI_CHECK(gx[0] == 0 && gx[1] == 0 && gx[2] == 3, "relu: %g %g %g", (double)gx[0], (double)gx[1], (double)gx[2]);
  set->derivatives->unary[PERI_UNARY_neg][PERI_FLOAT32](3, (char *)gx, 4, (char *)g, 4, NULL, 0, NULL, 0);
  PERI_CHECK(gx[0] == -1 && gx[1] == -2 && gx[2] == -3, "neg: %g %g %g", (double)gx[0], (double)gx[1], (double)gx[2]);
}

PERI_TEST_MAIN(PERI_TEST(test_loops), PERI_TEST(test_values), PERI_TEST(test_unsaved_operands))
