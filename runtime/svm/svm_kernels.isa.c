/* The SVM's loops; see svm_kernels.h. Compiled once per instruction set.
 *
 * The passes of SMO find an argmin beside their arithmetic, which compilers do not vectorise by
 * themselves. They are written on vectors of the machine's width through a dozen small functions: gcc's and
 * clang's common vector types, and intrinsics where AVX-512 has mask registers. Several sets of running
 * bests, taken in turn, hide the latency of comparisons. Of equal values the last position wins (as in LIBSVM,
 * which matters where several stationary points exist), whatever the width and the number of sets. */
#include "svm/svm_kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define INLINE      static inline __attribute__((always_inline))

/* ---- vectors of the machine ---- */

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define WIDTH 8
#elif defined(__AVX2__)
#define WIDTH 4
#else
#define WIDTH 2
#endif

/* Every function that takes or returns these vectors is inlined: no calling convention is involved. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef double doubles __attribute__((vector_size(8 * WIDTH)));
typedef int64_t integers __attribute__((vector_size(8 * WIDTH)));
typedef float floats __attribute__((vector_size(4 * WIDTH)));
typedef int8_t bytes __attribute__((vector_size(WIDTH)));

INLINE doubles all(double value) { return value - (doubles){0}; }
INLINE integers all_integers(int64_t value) { return value - (integers){0}; }

INLINE doubles load(const double *x) {
  doubles v;
  memcpy(&v, x, sizeof v);
  return v;
}

/* Kernel values as double: one function for both dtypes, chosen by a constant. (gcc 12 makes five instructions of
 * __builtin_convertvector where AVX-512 has one.) */
INLINE doubles load_row(const void *row, int64_t at, bool wide) {
  if (wide) return load((const double *)row + at);
#if WIDTH == 8
  return (doubles)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)row + at));
#else
  floats v;
  memcpy(&v, (const float *)row + at, sizeof v);
  return __builtin_convertvector(v, doubles);
#endif
}

/* Rows come from memory, and what is done with an element is too long for the processor to see far enough ahead
 * by itself. */
#define AHEAD 2048
INLINE void expect(const void *row, int64_t at, bool wide) {
  __builtin_prefetch((const char *)row + at * (wide ? 8 : 4) + AHEAD);
}

#if WIDTH == 8
typedef __mmask8 mask;
INLINE mask may(const int8_t *state, int8_t way) {
  return (mask)_mm_test_epi8_mask(_mm_loadl_epi64((const __m128i *)state), _mm_set1_epi8(way));
}
INLINE mask reaches(mask among, doubles a, doubles b) { /* a >= b */
  return _mm512_mask_cmp_pd_mask(among, (__m512d)a, (__m512d)b, _CMP_GE_OQ);
}
INLINE doubles pick(mask m, doubles a, doubles b) { return (doubles)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
INLINE integers pick_integers(mask m, integers a, integers b) {
  return (integers)_mm512_mask_blend_epi64(m, (__m512i)b, (__m512i)a);
}
INLINE doubles larger(doubles a, doubles b) { return (doubles)_mm512_max_pd((__m512d)a, (__m512d)b); }
#else
typedef uint64_t naturals __attribute__((vector_size(8 * WIDTH)));
typedef integers mask; /* lanes of all ones or all zeros */
INLINE mask may(const int8_t *state, int8_t way) {
  bytes v;
  memcpy(&v, state, sizeof v);
  return (integers){0} - (integers)(((naturals) __builtin_convertvector(v, integers) >> __builtin_ctz(way)) & 1);
}
INLINE mask reaches(mask among, doubles a, doubles b) { return among & (a >= b); }
INLINE doubles pick(mask m, doubles a, doubles b) { return (doubles)((m & (integers)a) | (~m & (integers)b)); }
INLINE integers pick_integers(mask m, integers a, integers b) { return (m & a) | (~m & b); }
INLINE doubles larger(doubles a, doubles b) { return pick(a > b, a, b); }
#endif

/* ---- extremes and step ---- */

#define SETS (PERI_SVM_LANES / WIDTH > 2 ? PERI_SVM_LANES / WIDTH : 2)

typedef struct running {
  doubles up, down;
  integers at; /* where the vector that gave `up` begins */
} running;

/* The slope on a way: `above` is its bit in the state. Each pass is made twice, for problems with a kink and
 * without. */
INLINE doubles slope(doubles g, const int8_t *state, int8_t above, double kink, bool kinked) {
  return kinked ? pick(may(state, above), g + kink, g - kink) : g;
}

INLINE void watch(running *best, doubles g, const int8_t *state, int64_t at, double kink, bool kinked) {
  doubles up = slope(g, state, PERI_SVM_UP_ABOVE, kink, kinked);
  doubles down = slope(g, state, PERI_SVM_DOWN_ABOVE, kink, kinked);
  mask better = reaches(may(state, PERI_SVM_UP), best->up, up);
  mask higher = reaches(may(state, PERI_SVM_DOWN), down, best->down);
  best->up = pick(better, up, best->up);
  best->at = pick_integers(better, all_integers(at), best->at);
  best->down = pick(higher, down, best->down);
}

INLINE running nothing_seen(void) {
  return (running){.up = all(INFINITY), .down = all(-INFINITY), .at = all_integers(-1)};
}

INLINE void report(const running *best, peri_svm_extremes *out) {
  double lowest = INFINITY, highest = -INFINITY;
  int64_t last = -1;
  for (int set = 0; set < SETS; set++) {
    for (int lane = 0; lane < WIDTH; lane++) {
      double up = best[set].up[lane];
      int64_t at = best[set].at[lane] + lane;
      bool better = up < lowest || (up == lowest && at > last);
      lowest = better ? up : lowest;
      last = better ? at : last;
      highest = best[set].down[lane] > highest ? best[set].down[lane] : highest;
    }
  }
  *out = (peri_svm_extremes){.up = lowest, .down = highest, .up_at = lowest < INFINITY ? last : -1};
}

INLINE void look(int64_t n, const double *g, const int8_t *state, double kink, peri_svm_extremes *out, bool kinked) {
  running best[SETS];
  for (int set = 0; set < SETS; set++) best[set] = nothing_seen();
  for (int64_t t = 0; t < n; t += WIDTH) watch(&best[0], load(g + t), state + t, t, kink, kinked);
  report(best, out);
}

static void extremes(int64_t n, const double *g, const int8_t *state, double kink, peri_svm_extremes *out) {
  if (kink > 0)
    look(n, g, state, kink, out, true);
  else
    look(n, g, state, kink, out, false);
}

/* What a step does to the gradient: the same for every variable. */
typedef struct shift {
  const void *row_i, *row_j;
  double scale;
} shift;

INLINE void step_at(running *best, double *g, const int8_t *state, const shift *by, double kink, int64_t t, bool wide,
                    bool kinked) {
  expect(by->row_j, t, wide); /* row_i has just been read for the choice of j */
  doubles g_t = load(g + t) + by->scale * (load_row(by->row_i, t, wide) - load_row(by->row_j, t, wide));
  memcpy(g + t, &g_t, sizeof g_t);
  watch(best, g_t, state + t, t, kink, kinked);
}

INLINE void step(int64_t n, double *g, const int8_t *state, const shift *by, double kink, peri_svm_extremes *out,
                 bool wide, bool kinked) {
  running best[SETS];
  for (int set = 0; set < SETS; set++) best[set] = nothing_seen();
  int64_t t = 0;
  for (; t + SETS * WIDTH <= n; t += SETS * WIDTH) {
    for (int set = 0; set < SETS; set++) step_at(&best[set], g, state, by, kink, t + set * WIDTH, wide, kinked);
  }
  for (; t < n; t += WIDTH) step_at(&best[0], g, state, by, kink, t, wide, kinked);
  report(best, out);
}

static void step_32(int64_t n, double *g, const int8_t *state, const void *row_i, const void *row_j, double scale,
                    double kink, peri_svm_extremes *out) {
  shift by = {.row_i = row_i, .row_j = row_j, .scale = scale};
  if (kink > 0)
    step(n, g, state, &by, kink, out, false, true);
  else
    step(n, g, state, &by, kink, out, false, false);
}

static void step_64(int64_t n, double *g, const int8_t *state, const void *row_i, const void *row_j, double scale,
                    double kink, peri_svm_extremes *out) {
  shift by = {.row_i = row_i, .row_j = row_j, .scale = scale};
  if (kink > 0)
    step(n, g, state, &by, kink, out, true, true);
  else
    step(n, g, state, &by, kink, out, true, false);
}

/* ---- partner ---- */

/* The best quotient so far of each lane, kept as numerator and denominator: comparing products
 * needs no division. */
typedef struct quotient {
  doubles over, under;
  integers at;
} quotient;

/* The first of a pair: its row, slope and K_ii. */
typedef struct chooser {
  const void *row;
  double slope, k_ii;
} chooser;

INLINE void compete(quotient *best, const double *g, const int8_t *state, const double *diagonal, const chooser *i,
                    double kink, int64_t t, bool wide, bool kinked) {
  doubles down = slope(load(g + t), state + t, PERI_SVM_DOWN_ABOVE, kink, kinked);
  doubles b = larger(down - i->slope, all(0));
  expect(i->row, t, wide);
  doubles k_it = load_row(i->row, t, wide);
  doubles curvature = larger((i->k_ii + load(diagonal + t)) - (k_it + k_it), all(PERI_SVM_CURVATURE));
  doubles over = b * b;
  mask better = reaches(may(state + t, PERI_SVM_DOWN), over * best->under, best->over * curvature);
  best->over = pick(better, over, best->over);
  best->under = pick(better, curvature, best->under);
  best->at = pick_integers(better, all_integers(t), best->at);
}

INLINE void partner(int64_t n, const double *g, const int8_t *state, const double *diagonal, const chooser *i,
                    double kink, peri_svm_partner *out, bool wide, bool kinked) {
  quotient best[SETS];
  for (int set = 0; set < SETS; set++) best[set] = (quotient){.over = all(0), .under = all(1), .at = all_integers(-1)};
  int64_t t = 0;
  for (; t + SETS * WIDTH <= n; t += SETS * WIDTH) {
    for (int set = 0; set < SETS; set++)
      compete(&best[set], g, state, diagonal, i, kink, t + set * WIDTH, wide, kinked);
  }
  for (; t < n; t += WIDTH) compete(&best[0], g, state, diagonal, i, kink, t, wide, kinked);
  double largest = 0;
  int64_t last = -1;
  for (int set = 0; set < SETS; set++) {
    doubles gains = best[set].over / best[set].under;
    for (int lane = 0; lane < WIDTH; lane++) {
      double gain = gains[lane];
      int64_t at = best[set].at[lane] + lane;
      bool better = gain > largest || (gain == largest && gain > 0 && at > last);
      largest = better ? gain : largest;
      last = better ? at : last;
    }
  }
  *out = (peri_svm_partner){.gain = largest, .at = last};
}

static void partner_32(int64_t n, const double *g, const int8_t *state, const double *diagonal, const void *row_i,
                       double slope_i, double k_ii, double kink, peri_svm_partner *out) {
  chooser i = {.row = row_i, .slope = slope_i, .k_ii = k_ii};
  if (kink > 0)
    partner(n, g, state, diagonal, &i, kink, out, false, true);
  else
    partner(n, g, state, diagonal, &i, kink, out, false, false);
}

static void partner_64(int64_t n, const double *g, const int8_t *state, const double *diagonal, const void *row_i,
                       double slope_i, double k_ii, double kink, peri_svm_partner *out) {
  chooser i = {.row = row_i, .slope = slope_i, .k_ii = k_ii};
  if (kink > 0)
    partner(n, g, state, diagonal, &i, kink, out, true, true);
  else
    partner(n, g, state, diagonal, &i, kink, out, true, false);
}

/* ---- vectors ---- */

static void axpy_32(int64_t n, double *restrict y, const void *x, double scale) {
  const float *restrict v = x;
  for (int64_t i = 0; i < n; i++) y[i] += scale * (double)v[i];
}

static void axpy_64(int64_t n, double *restrict y, const void *x, double scale) {
  const double *restrict v = x;
  for (int64_t i = 0; i < n; i++) y[i] += scale * v[i];
}

static void axpy4_32(int64_t n, double *restrict y, const void *const x[4], const double scale[4]) {
  const float *restrict a = x[0], *restrict b = x[1], *restrict c = x[2], *restrict d = x[3];
  double p = scale[0], q = scale[1], r = scale[2], s = scale[3];
  for (int64_t i = 0; i < n; i++) {
    y[i] = (((y[i] + p * (double)a[i]) + q * (double)b[i]) + r * (double)c[i]) + s * (double)d[i];
  }
}

static void axpy4_64(int64_t n, double *restrict y, const void *const x[4], const double scale[4]) {
  const double *restrict a = x[0], *restrict b = x[1], *restrict c = x[2], *restrict d = x[3];
  double p = scale[0], q = scale[1], r = scale[2], s = scale[3];
  for (int64_t i = 0; i < n; i++) y[i] = (((y[i] + p * a[i]) + q * b[i]) + r * c[i]) + s * d[i];
}

INLINE double dot(int64_t n, const void *x, const double *w, bool wide) {
  doubles a = all(0), b = all(0);
  int64_t t = 0;
  for (; t + 2 * WIDTH <= n; t += 2 * WIDTH) {
    a += load_row(x, t, wide) * load(w + t);
    b += load_row(x, t + WIDTH, wide) * load(w + t + WIDTH);
  }
  double sum = 0;
  for (; t < n; t++) sum += (wide ? ((const double *)x)[t] : (double)((const float *)x)[t]) * w[t];
  a += b;
  for (int lane = 0; lane < WIDTH; lane++) sum += a[lane];
  return sum;
}

static double dot_32(int64_t n, const void *x, const double *w) { return dot(n, x, w, false); }
static double dot_64(int64_t n, const void *x, const double *w) { return dot(n, x, w, true); }

INLINE double square(int64_t n, const void *x, bool wide) {
  doubles a = all(0), b = all(0);
  int64_t t = 0;
  for (; t + 2 * WIDTH <= n; t += 2 * WIDTH) {
    doubles u = load_row(x, t, wide), v = load_row(x, t + WIDTH, wide);
    a += u * u;
    b += v * v;
  }
  double sum = 0;
  for (; t < n; t++) {
    double v = wide ? ((const double *)x)[t] : (double)((const float *)x)[t];
    sum += v * v;
  }
  a += b;
  for (int lane = 0; lane < WIDTH; lane++) sum += a[lane];
  return sum;
}

static double square_32(int64_t n, const void *x) { return square(n, x, false); }
static double square_64(int64_t n, const void *x) { return square(n, x, true); }

/* ---- products of few features ---- */

static void narrow_32(int64_t m, int64_t n, int64_t d, const void *a, int64_t lda, const void *b, int64_t ldb,
                      void *out, int64_t ldo) {
  for (int64_t i = 0; i < m; i++) {
    const float *u = (const float *)a + i * lda;
    float *restrict v = (float *)out + i * ldo;
    for (int64_t l = 0; l < d; l += 2) {
      const float *restrict p = (const float *)b + l * ldb, *restrict q = p + (l + 1 < d ? ldb : 0);
      float first = u[l], second = l + 1 < d ? u[l + 1] : 0;
      if (l == 0) {
        for (int64_t j = 0; j < n; j++) v[j] = first * p[j] + second * q[j];
      } else {
        for (int64_t j = 0; j < n; j++) v[j] += first * p[j] + second * q[j];
      }
    }
  }
}

static void narrow_64(int64_t m, int64_t n, int64_t d, const void *a, int64_t lda, const void *b, int64_t ldb,
                      void *out, int64_t ldo) {
  for (int64_t i = 0; i < m; i++) {
    const double *u = (const double *)a + i * lda;
    double *restrict v = (double *)out + i * ldo;
    for (int64_t l = 0; l < d; l += 2) {
      const double *restrict p = (const double *)b + l * ldb, *restrict q = p + (l + 1 < d ? ldb : 0);
      double first = u[l], second = l + 1 < d ? u[l + 1] : 0;
      if (l == 0) {
        for (int64_t j = 0; j < n; j++) v[j] = first * p[j] + second * q[j];
      } else {
        for (int64_t j = 0; j < n; j++) v[j] += first * p[j] + second * q[j];
      }
    }
  }
}

/* ---- squared distances ---- */

static void narrow_squares_32(int64_t m, int64_t n, int64_t d, const void *a, int64_t lda, const void *b, int64_t ldb,
                              void *out, int64_t ldo) {
  for (int64_t i = 0; i < m; i++) {
    const float *u = (const float *)a + i * lda;
    float *restrict v = (float *)out + i * ldo;
    for (int64_t l = 0; l < d; l++) {
      const float *restrict p = (const float *)b + l * ldb;
      if (l == 0) {
        for (int64_t j = 0; j < n; j++) v[j] = (u[l] - p[j]) * (u[l] - p[j]);
      } else {
        for (int64_t j = 0; j < n; j++) v[j] += (u[l] - p[j]) * (u[l] - p[j]);
      }
    }
  }
}

static void narrow_squares_64(int64_t m, int64_t n, int64_t d, const void *a, int64_t lda, const void *b, int64_t ldb,
                              void *out, int64_t ldo) {
  for (int64_t i = 0; i < m; i++) {
    const double *u = (const double *)a + i * lda;
    double *restrict v = (double *)out + i * ldo;
    for (int64_t l = 0; l < d; l++) {
      const double *restrict p = (const double *)b + l * ldb;
      if (l == 0) {
        for (int64_t j = 0; j < n; j++) v[j] = (u[l] - p[j]) * (u[l] - p[j]);
      } else {
        for (int64_t j = 0; j < n; j++) v[j] += (u[l] - p[j]) * (u[l] - p[j]);
      }
    }
  }
}

#define SUMS (16 / WIDTH) /* 16 running sums on every machine */

INLINE double distance(int64_t d, const void *u, bool u_wide, const void *v, bool v_wide) {
  doubles sum[SUMS];
  for (int s = 0; s < SUMS; s++) sum[s] = all(0);
  int64_t t = 0;
  for (; t + 16 <= d; t += 16) {
    for (int s = 0; s < SUMS; s++) {
      doubles difference = load_row(u, t + s * WIDTH, u_wide) - load_row(v, t + s * WIDTH, v_wide);
      sum[s] += difference * difference;
    }
  }
  double total = 0;
  for (int s = 0; s < SUMS; s++) {
    for (int lane = 0; lane < WIDTH; lane++) total += sum[s][lane];
  }
  for (; t < d; t++) {
    double a = u_wide ? ((const double *)u)[t] : (double)((const float *)u)[t];
    double b = v_wide ? ((const double *)v)[t] : (double)((const float *)v)[t];
    total += (a - b) * (a - b);
  }
  return total;
}

static double distance_32_32(int64_t d, const void *u, const void *v) { return distance(d, u, false, v, false); }
static double distance_32_64(int64_t d, const void *u, const void *v) { return distance(d, u, false, v, true); }
static double distance_64_32(int64_t d, const void *u, const void *v) { return distance(d, u, true, v, false); }
static double distance_64_64(int64_t d, const void *u, const void *v) { return distance(d, u, true, v, true); }

/* ---- kernel rows ---- */

static bool distance_exponent_32(int64_t n, void *x, double gamma) {
  float *v = x;
  const float scale = (float)gamma;
  int lost = 0;
  for (int64_t i = 0; i < n; i++) {
    bool good = v[i] <= FLT_MAX;
    v[i] = good ? -(scale * v[i]) : 1;
    lost |= !good;
  }
  return lost != 0;
}

static bool distance_exponent_64(int64_t n, void *x, double gamma) {
  double *v = x;
  for (int64_t i = 0; i < n; i++) v[i] *= -gamma;
  return false;
}

/* An exponent from norms s = gamma (norm + norm_j) is off by some roundings of s, and the kernel's value by exp(-x)
 * times that, x being minus the exponent. It is good enough where s is below RBF_LOSS (1 + x + x^2 / 2), and with that
 * below RBF_LOSS exp(x); and never for neighbours, of which nearly all digits are lost: they are to be as near as they
 * are, and a duplicate at 0. What overflows is not good either. */
#define RBF_NEIGHBOUR 0x1p-10
#define RBF_LOSS_32   4
#define RBF_LOSS_64   256

/* The same with the second condition, where some s may be too large for it to hold everywhere, and without. */
INLINE bool exponents_32(int64_t n, float *restrict v, const float *restrict squares, float square, float scale,
                         bool bounded) {
  const float near = (float)RBF_NEIGHBOUR, loss = RBF_LOSS_32;
  int lost = 0;
  for (int64_t i = 0; i < n; i++) {
    float sum = square + squares[i], distance = sum - 2 * v[i], minus = scale * distance;
    bool good = distance >= near * sum;
    if (!bounded) good &= scale * sum < loss + minus * (loss + (loss / 2) * minus);
    v[i] = good ? -minus : 1;
    lost |= !good;
  }
  return lost != 0;
}

INLINE bool exponents_64(int64_t n, double *restrict v, const double *restrict squares, double square, double scale,
                         bool bounded) {
  const double near = RBF_NEIGHBOUR, loss = RBF_LOSS_64;
  int64_t lost = 0;
  for (int64_t i = 0; i < n; i++) {
    double sum = square + squares[i], distance = sum - 2 * v[i], minus = scale * distance;
    bool good = distance >= near * sum;
    if (!bounded) good &= scale * sum < loss + minus * (loss + (loss / 2) * minus);
    v[i] = good ? -minus : 1;
    lost |= !good;
  }
  return lost != 0;
}

static bool is_bounded(double norm, double largest, double gamma, double loss) {
  return gamma * (norm + largest) < 0.999 * loss;
}

static bool rbf_exponent_32(int64_t n, void *x, const void *norms, double largest, double norm, double gamma) {
  if (is_bounded(norm, largest, gamma, RBF_LOSS_32)) return exponents_32(n, x, norms, (float)norm, (float)gamma, true);
  return exponents_32(n, x, norms, (float)norm, (float)gamma, false);
}

static bool rbf_exponent_64(int64_t n, void *x, const void *norms, double largest, double norm, double gamma) {
  if (is_bounded(norm, largest, gamma, RBF_LOSS_64)) return exponents_64(n, x, norms, norm, gamma, true);
  return exponents_64(n, x, norms, norm, gamma, false);
}

static void affine_32(int64_t n, void *x, double scale, double offset) {
  float *v = x;
  float s = (float)scale, o = (float)offset;
  for (int64_t i = 0; i < n; i++) v[i] = s * v[i] + o;
}

static void affine_64(int64_t n, void *x, double scale, double offset) {
  double *v = x;
  for (int64_t i = 0; i < n; i++) v[i] = scale * v[i] + offset;
}

/* Powers by repeated squaring, a short piece at a time so that it stays in registers and cache. */
#define PIECE 64

static void power_32(int64_t n, void *x, int64_t degree) {
  if (degree == 2) {
    float *v = x;
    for (int64_t i = 0; i < n; i++) v[i] *= v[i];
    return;
  }
  for (float *v = x, *end = v + n; v < end; v += PIECE) {
    int64_t m = end - v < PIECE ? end - v : PIECE;
    float base[PIECE], result[PIECE];
    for (int64_t i = 0; i < m; i++) base[i] = v[i], result[i] = 1;
    for (int64_t left = degree; left > 0; left >>= 1) {
      if (left & 1) {
        for (int64_t i = 0; i < m; i++) result[i] *= base[i];
      }
      if (left == 1) break;
      for (int64_t i = 0; i < m; i++) base[i] *= base[i];
    }
    memcpy(v, result, (size_t)m * sizeof *v);
  }
}

static void power_64(int64_t n, void *x, int64_t degree) {
  if (degree == 2) {
    double *v = x;
    for (int64_t i = 0; i < n; i++) v[i] *= v[i];
    return;
  }
  for (double *v = x, *end = v + n; v < end; v += PIECE) {
    int64_t m = end - v < PIECE ? end - v : PIECE;
    double base[PIECE], result[PIECE];
    for (int64_t i = 0; i < m; i++) base[i] = v[i], result[i] = 1;
    for (int64_t left = degree; left > 0; left >>= 1) {
      if (left & 1) {
        for (int64_t i = 0; i < m; i++) result[i] *= base[i];
      }
      if (left == 1) break;
      for (int64_t i = 0; i < m; i++) base[i] *= base[i];
    }
    memcpy(v, result, (size_t)m * sizeof *v);
  }
}

/* Infinities and NaN are the values whose exponent bits are all set. */
static bool finite_32(int64_t n, const void *x) {
  const float *v = x;
  uint32_t found = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, v + i, sizeof bits);
    found |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return found == 0;
}

static bool finite_64(int64_t n, const void *x) {
  const double *v = x;
  uint64_t found = 0;
  for (int64_t i = 0; i < n; i++) {
    uint64_t bits;
    memcpy(&bits, v + i, sizeof bits);
    found |= (bits & 0x7ff0000000000000u) == 0x7ff0000000000000u;
  }
  return found == 0;
}

const peri_svm_kernels JOIN(peri_svm_kernels_, PERI_ISA) = {
    .extremes = extremes,
    .step = {step_32, step_64},
    .partner = {partner_32, partner_64},
    .axpy = {axpy_32, axpy_64},
    .axpy4 = {axpy4_32, axpy4_64},
    .dot = {dot_32, dot_64},
    .square = {square_32, square_64},
    .narrow = {narrow_32, narrow_64},
    .narrow_squares = {narrow_squares_32, narrow_squares_64},
    .distance = {{distance_32_32, distance_32_64}, {distance_64_32, distance_64_64}},
    .distance_exponent = {distance_exponent_32, distance_exponent_64},
    .rbf_exponent = {rbf_exponent_32, rbf_exponent_64},
    .affine = {affine_32, affine_64},
    .power = {power_32, power_64},
    .finite = {finite_32, finite_64},
};
