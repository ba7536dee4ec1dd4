/* The inner loops of the linear machines against plain loops: both dtypes, every length around a vector's, every
 * instruction set. */
#include "svm/linear/linear_kernels.h"

#include "base/base.h"
#include "kernels/kernels.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

#define MOST 70
#define ROWS 11 /* products and sums at a time: all group sizes */

/* Features are exact in float32. */
typedef struct sample {
  int64_t n;
  double x[ROWS * MOST], by[ROWS * MOST], f[MOST], y[MOST], c[MOST];
  float x32[ROWS * MOST];
} sample;

static double number(void) { return (rand() % 2001 - 1000) * 0x1p-8; }

static void fill(sample *s, int64_t n) {
  s->n = n;
  for (int64_t i = 0; i < ROWS * n; i++) {
    s->x32[i] = (float)(s->x[i] = number());
    s->by[i] = number();
  }
  for (int64_t i = 0; i < n; i++) {
    s->f[i] = number() * (rand() % 8 == 0 ? 100 : 1);
    s->y[i] = rand() % 2 ? 1 : -1;
    s->c[i] = 0.25 * (1 + rand() % 8);
  }
}

static const void *features(const sample *s, int wide, int64_t row) {
  return wide ? (const void *)(s->x + row * s->n) : s->x32 + row * s->n;
}

static void near(const char *what, double got, double expected, double size) {
  PERI_CHECK(fabs(got - expected) <= 1e-14 * (size + 1), "%s: %.17g, not %.17g", what, got, expected);
}

static void check_rows(const peri_linear_kernels *k, const sample *s, int wide) {
  for (int64_t count = 1; count <= ROWS; count++) {
    double got[2 * ROWS], sum[MOST], size[MOST] = {0};
    const void *rows[ROWS];
    k->dots[wide](s->n, features(s, wide, 0), count, s->by, s->n, got, 2);
    for (int64_t r = 0; r < count; r++) {
      double expected = 0, terms = 0;
      for (int64_t j = 0; j < s->n; j++) {
        expected += s->x[j] * s->by[r * s->n + j];
        terms += fabs(s->x[j] * s->by[r * s->n + j]);
      }
      near("dots", got[2 * r], expected, terms);
      rows[r] = features(s, wide, r);
    }
    memcpy(sum, s->f, sizeof sum);
    k->add_rows[wide](s->n, count, rows, s->c, sum);
    for (int64_t j = 0; j < s->n; j++) {
      double expected = s->f[j];
      for (int64_t r = 0; r < count; r++) {
        expected += s->c[r] * s->x[r * s->n + j];
        size[j] += fabs(s->c[r] * s->x[r * s->n + j]);
      }
      near("add_rows", sum[j], expected, size[j] + fabs(s->f[j]));
    }
  }
}

static void check_columns(const peri_linear_kernels *k, const sample *s, int wide) {
  const void *x = features(s, wide, 0);
  double sum = 0, squares = 0, terms = 0, shifted[MOST], bent[MOST];
  memcpy(bent, s->f, sizeof bent);
  k->shifted[wide](s->n, x, 1.75, s->f, shifted);
  k->bent[wide](s->n, x, 1.75, s->c, bent);
  for (int64_t i = 0; i < s->n; i++) {
    sum += s->x[i] * s->by[i];
    squares += s->x[i] * s->x[i] * s->by[i];
    terms += (fabs(s->x[i]) + s->x[i] * s->x[i]) * fabs(s->by[i]);
    near("shifted", shifted[i], s->f[i] + 1.75 * s->x[i], fabs(s->f[i]) + fabs(s->x[i]));
    near("bent", bent[i], s->f[i] + 1.75 * s->c[i] * s->x[i], fabs(s->f[i]) + 2 * fabs(s->x[i]));
  }
  near("against", k->against[wide](s->n, x, s->by), sum, terms);
  near("squares_against", k->squares_against[wide](s->n, x, s->by), squares, terms);
}

/* Values, and derivatives as differences of plain formulas. */
static void check_losses(const peri_linear_kernels *k, const sample *s) {
  double slope[3][MOST], curvature[3][MOST], hinge = 0, logistic = 0;
  for (int loss = 0; loss < PERI_SMOOTH_LOSSES; loss++) {
    k->derive[loss](s->n, s->f, s->y, s->c, 0.5, slope[loss], curvature[loss]);
  }
  for (int64_t i = 0; i < s->n; i++) {
    double f = s->f[i], y = s->y[i], c = s->c[i], lack = fmax(0, 1 - y * f), off = fmax(0, fabs(f - y) - 0.5);
    double wrong = 1 / (1 + exp(y * f));
    hinge += c * lack * lack;
    logistic += c * (y * f > 0 ? log1p(exp(-y * f)) : log1p(exp(y * f)) - y * f);
    near("slope of the hinge", slope[PERI_SMOOTH_HINGE][i], -2 * c * lack * y, 4 * c * lack);
    near("slope of the tube", slope[PERI_SMOOTH_EPSILON][i], 2 * c * off * (f > y ? 1 : -1), 4 * c * off);
    near("slope of the logistic", slope[PERI_SMOOTH_LOGISTIC][i], -c * y * wrong, 4 * c);
    near("curvature of the hinge", curvature[PERI_SMOOTH_HINGE][i], lack > 0 ? 2 * c : 0, c);
    near("curvature of the tube", curvature[PERI_SMOOTH_EPSILON][i], off > 0 ? 2 * c : 0, c);
    near("curvature of the logistic", curvature[PERI_SMOOTH_LOGISTIC][i], c * wrong * (1 - wrong), 4 * c);
  }
  near("value of the hinge", k->value[PERI_SMOOTH_HINGE](s->n, s->f, s->y, s->c), hinge, hinge);
  near("value of the logistic", k->value[PERI_SMOOTH_LOGISTIC](s->n, s->f, s->y, s->c), logistic, 4 * logistic);
}

static void test_loops(void) {
  static const char *const sets[] = {"baseline", "exact", "v3", "v4"};
  static sample s;
  for (size_t set = 0; set < PERI_COUNT(sets); set++) {
    setenv("PERILUNE_ISA", sets[set], 1);
    const peri_linear_kernels *kernels = peri_kernels_select()->linear;
    unsetenv("PERILUNE_ISA");
    for (int64_t n = 1; n <= MOST; n++) {
      fill(&s, n);
      for (int wide = 0; wide < 2; wide++) {
        check_rows(kernels, &s, wide);
        check_columns(kernels, &s, wide);
      }
      check_losses(kernels, &s);
    }
  }
}

/* Every sum, of numbers that are not exact: in one order, whatever the instruction set. */
static int64_t sums(const peri_linear_kernels *k, const sample *s, int wide, double *out) {
  double *at = out;
  for (int64_t count = 1; count <= ROWS; count++, at += ROWS) {
    k->dots[wide](s->n, features(s, wide, 0), count, s->by, s->n, at, 1);
  }
  *at++ = k->against[wide](s->n, features(s, wide, 0), s->by);
  *at++ = k->squares_against[wide](s->n, features(s, wide, 0), s->by);
  *at++ = k->value[PERI_SMOOTH_HINGE](s->n, s->f, s->y, s->c);
  *at++ = k->value[PERI_SMOOTH_LOGISTIC](s->n, s->f, s->y, s->c);
  return at - out;
}

static void test_same_bits(void) {
  static const char *const sets[] = {"exact", "v3", "v4"};
  static sample s;
  for (int64_t n = 1; n <= MOST; n++) {
    fill(&s, n);
    for (int64_t i = 0; i < ROWS * n; i++) s.x32[i] = (float)(s.x[i] /= 3), s.by[i] /= 7;
    for (int64_t i = 0; i < n; i++) s.f[i] /= 11;
    for (int wide = 0; wide < 2; wide++) {
      double expected[ROWS * ROWS + 4] = {0}, got[ROWS * ROWS + 4] = {0};
      for (size_t set = 0; set < PERI_COUNT(sets); set++) {
        setenv("PERILUNE_ISA", sets[set], 1);
        const peri_kernels *kernels = peri_kernels_select();
        unsetenv("PERILUNE_ISA");
        int64_t count = sums(kernels->linear, &s, wide, set == 0 ? expected : got);
        PERI_CHECK(set == 0 || memcmp(got, expected, (size_t)count * sizeof *got) == 0, "other bits with %s, %lld",
                   kernels->name, (long long)n);
      }
    }
  }
}

PERI_TEST_MAIN(PERI_TEST(test_loops), PERI_TEST(test_same_bits))
