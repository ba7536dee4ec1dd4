/* The linear machines' loops; see linear_kernels.h. Compiled once per instruction set.
 *
 * What reads features works on vectors of the machine's width, several sums side by side, the same ones on every
 * machine; both dtypes come from one function whose last argument is a constant. */
#include "svm/linear/linear_kernels.h"

#include "kernels/isa.h"
#include "kernels/mathfun.h"
#include "kernels/vectors.h"

/* ---- rows ---- */

/* To measure: ./dev bench parts linear. */
#if WIDTH == 8
#define MOST 5 /* products with one row at a time: as many as there are registers for their sums */
#else
#define MOST 3
#endif

/* Sums of 16 lanes, of 32 for a product alone (groups: 2 or 4), since additions of few sums wait for each other. */
INLINE void some_dots(int64_t d, const void *x, int count, int groups, const double *w, int64_t ldw, double *out,
                      int64_t ldo, bool wide) {
  doubles sum[MOST][4 * GROUP];
  int steps = groups * GROUP;
  for (int r = 0; r < count; r++) {
    for (int s = 0; s < steps; s++) sum[r][s] = all(0);
  }
  int64_t t = 0;
  for (; t + steps * WIDTH <= d; t += steps * WIDTH) {
    for (int s = 0; s < steps; s++) {
      doubles v = values_at(x, t + s * WIDTH, wide);
      for (int r = 0; r < count; r++) sum[r][s] = fused(v, load(w + r * ldw + t + s * WIDTH), sum[r][s]);
    }
  }
  for (int r = 0; r < count; r++) {
    double rest = 0;
    for (int64_t j = t; j < d; j++) rest = madd_f64(value_at(x, j, wide), w[r * ldw + j], rest);
    out[r * ldo] = rest + sum_of(sum[r], groups);
  }
}

INLINE void dots(int64_t d, const void *x, int64_t count, const double *w, int64_t ldw, double *out, int64_t ldo,
                 bool wide) {
  if (count == 1) {
    some_dots(d, x, 1, 4, w, ldw, out, ldo, wide);
    return;
  }
  for (; count >= MOST; count -= MOST, w += MOST * ldw, out += MOST * ldo)
    some_dots(d, x, MOST, 2, w, ldw, out, ldo, wide);
  switch (count) {
#if MOST > 3
  case 4:
    some_dots(d, x, 4, 2, w, ldw, out, ldo, wide);
    break;
  case 3:
    some_dots(d, x, 3, 2, w, ldw, out, ldo, wide);
    break;
#endif
  case 2:
    some_dots(d, x, 2, 2, w, ldw, out, ldo, wide);
    break;
  case 1:
    some_dots(d, x, 1, 2, w, ldw, out, ldo, wide);
    break;
  default:
    break;
  }
}

#define TOGETHER 4 /* rows that are added in one pass over y */

INLINE void add_some(int64_t d, int rows, const void *const *x, const double *coef, double *y, bool wide) {
  int64_t t = 0;
  for (; t + WIDTH <= d; t += WIDTH) {
    doubles v = load(y + t);
    for (int i = 0; i < rows; i++) v = fused(values_at(x[i], t, wide), all(coef[i]), v);
    store(y + t, v);
  }
  for (; t < d; t++) {
    for (int i = 0; i < rows; i++) y[t] = madd_f64(value_at(x[i], t, wide), coef[i], y[t]);
  }
}

INLINE void add_rows(int64_t d, int64_t rows, const void *const *x, const double *coef, double *y, bool wide) {
  int64_t i = 0;
  for (; i + TOGETHER <= rows; i += TOGETHER) add_some(d, TOGETHER, x + i, coef + i, y, wide);
  for (; i < rows; i++) add_some(d, 1, x + i, coef + i, y, wide);
}

INLINE void add_squares(int64_t d, const void *x, double coef, double *restrict y, bool wide) {
  for (int64_t j = 0; j < d; j++) {
    double v = value_at(x, j, wide);
    y[j] += coef * (v * v);
  }
}

INLINE void scaled(int64_t d, const void *x, double scale, double *restrict y, bool wide) {
  for (int64_t j = 0; j < d; j++) y[j] = scale * value_at(x, j, wide);
}

INLINE void narrowed(int64_t d, const void *x, double scale, const double *units, float *restrict y, bool wide) {
  for (int64_t j = 0; j < d; j++) y[j] = (float)(scale * units[j] * value_at(x, j, wide));
}

/* ---- columns ---- */

#define COLUMN_SUMS (4 * GROUP)

INLINE double column_sum(int64_t n, const void *x, const double *by, bool squares, bool wide) {
  doubles sum[COLUMN_SUMS];
  for (int s = 0; s < COLUMN_SUMS; s++) sum[s] = all(0);
  int64_t t = 0;
  for (; t + COLUMN_SUMS * WIDTH <= n; t += COLUMN_SUMS * WIDTH) {
    for (int s = 0; s < COLUMN_SUMS; s++) {
      doubles v = values_at(x, t + s * WIDTH, wide);
      sum[s] = fused(squares ? v * v : v, load(by + t + s * WIDTH), sum[s]);
    }
  }
  double rest = 0;
  for (; t < n; t++) {
    double v = value_at(x, t, wide);
    rest = madd_f64(squares ? v * v : v, by[t], rest);
  }
  return rest + sum_of(sum, 4);
}

static double against_32(int64_t n, const void *x, const double *slope) {
  return column_sum(n, x, slope, false, false);
}
static double against_64(int64_t n, const void *x, const double *slope) { return column_sum(n, x, slope, false, true); }
static double squares_against_32(int64_t n, const void *x, const double *by) {
  return column_sum(n, x, by, true, false);
}
static double squares_against_64(int64_t n, const void *x, const double *by) {
  return column_sum(n, x, by, true, true);
}

INLINE void shifted(int64_t n, const void *x, double step, const double *f, double *out, bool wide) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) out[i] = madd_f64(step, value_at(x, i, wide), f[i]);
}

INLINE void bent(int64_t n, const void *x, double step, const double *curvature, double *z, bool wide) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) z[i] = madd_f64(step * curvature[i], value_at(x, i, wide), z[i]);
}

/* ---- factors ---- */

#define T        float
#define FN(name) name##_32
#define ROOT     __builtin_sqrtf
#include "svm/linear/factor_loops.h"
#undef T
#undef FN
#undef ROOT

#define T        double
#define FN(name) name##_64
#define ROOT     __builtin_sqrt
#include "svm/linear/factor_loops.h"

/* ---- losses ---- */

static void derive_hinge(int64_t n, const double *restrict f, const double *restrict y, const double *restrict c,
                         double epsilon, double *restrict slope, double *restrict curvature) {
  (void)epsilon;
  for (int64_t i = 0; i < n; i++) {
    double lack = 1 - y[i] * f[i], twice = lack > 0 ? 2 * c[i] : 0;
    slope[i] = -twice * lack * y[i];
    curvature[i] = twice;
  }
}

static void derive_epsilon(int64_t n, const double *restrict f, const double *restrict y, const double *restrict c,
                           double epsilon, double *restrict slope, double *restrict curvature) {
  for (int64_t i = 0; i < n; i++) {
    double off = f[i] - y[i], size = __builtin_fabs(off) - epsilon, twice = size > 0 ? 2 * c[i] : 0;
    slope[i] = twice * (off > 0 ? size : -size);
    curvature[i] = twice;
  }
}

static void derive_logistic(int64_t n, const double *restrict f, const double *restrict y, const double *restrict c,
                            double epsilon, double *restrict slope, double *restrict curvature) {
  (void)epsilon;
  for (int64_t i = 0; i < n; i++) {
    double z = y[i] * f[i], e = exp_f64(-__builtin_fabs(z)), wrong = (z > 0 ? e : 1.0) / (1.0 + e);
    slope[i] = -c[i] * y[i] * wrong;
    curvature[i] = c[i] * (e / ((1.0 + e) * (1.0 + e)));
  }
}

#define VALUE_LANES 8 /* sums side by side, whatever the vector's width */

INLINE double sum_of_losses(int64_t n, const double *f, const double *y, const double *c,
                            double (*loss)(double f, double y)) {
  double sum[VALUE_LANES] = {0};
  int64_t i = 0;
  for (; i + VALUE_LANES <= n; i += VALUE_LANES) {
    for (int s = 0; s < VALUE_LANES; s++) sum[s] = madd_f64(c[i + s], loss(f[i + s], y[i + s]), sum[s]);
  }
  for (; i < n; i++) sum[0] = madd_f64(c[i], loss(f[i], y[i]), sum[0]);
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

INLINE double hinge_of(double f, double y) {
  double lack = 1 - y * f;
  return lack > 0 ? lack * lack : 0;
}
INLINE double logistic_of(double f, double y) {
  double z = y * f;
  return log_f64(1.0 + exp_f64(-__builtin_fabs(z))) + (z < 0 ? -z : 0);
}
static double value_hinge(int64_t n, const double *f, const double *y, const double *c) {
  return sum_of_losses(n, f, y, c, hinge_of);
}
static double value_logistic(int64_t n, const double *f, const double *y, const double *c) {
  return sum_of_losses(n, f, y, c, logistic_of);
}

/* ---- the table ---- */

#define BOTH(function, parameters, ...)                                                                                \
  static void function##_32 parameters { function(__VA_ARGS__, false); }                                               \
  static void function##_64 parameters { function(__VA_ARGS__, true); }

BOTH(dots, (int64_t d, const void *x, int64_t count, const double *w, int64_t ldw, double *out, int64_t ldo), d, x,
     count, w, ldw, out, ldo)
BOTH(add_rows, (int64_t d, int64_t rows, const void *const *x, const double *coef, double *y), d, rows, x, coef, y)
BOTH(add_squares, (int64_t d, const void *x, double coef, double *y), d, x, coef, y)
BOTH(scaled, (int64_t d, const void *x, double scale, double *y), d, x, scale, y)
BOTH(narrowed, (int64_t d, const void *x, double scale, const double *units, float *y), d, x, scale, units, y)
BOTH(shifted, (int64_t n, const void *x, double step, const double *f, double *out), n, x, step, f, out)
BOTH(bent, (int64_t n, const void *x, double step, const double *curvature, double *z), n, x, step, curvature, z)

#define PAIR(function)                                                                                                 \
  { function##_32, function##_64 }

const peri_linear_kernels PERI_ISA_NAME(peri_linear_kernels) = {
    .dots = PAIR(dots),
    .add_rows = PERI_FULL(PAIR(add_rows)),
    .add_squares = PERI_FULL(PAIR(add_squares)),
    .scaled = PERI_FULL(PAIR(scaled)),
    .narrowed = PERI_FULL(PAIR(narrowed)),
    .against = PERI_FULL(PAIR(against)),
    .squares_against = PERI_FULL(PAIR(squares_against)),
    .shifted = PERI_FULL(PAIR(shifted)),
    .bent = PERI_FULL(PAIR(bent)),
    .less = PERI_FULL(PAIR(less)),
    .pivot = PERI_FULL(PAIR(pivot)),
    .negated = PERI_FULL(PAIR(negated)),
    .solve = PERI_FULL(PAIR(solve)),
    .derive = PERI_FULL({derive_hinge, derive_epsilon, derive_logistic}),
    .value = PERI_FULL({[PERI_SMOOTH_HINGE] = value_hinge, [PERI_SMOOTH_LOGISTIC] = value_logistic}),
};
