/* The SVM's loops; see svm_kernels.h. Compiled once per instruction set.
 *
 * The passes of SMO find an argmin beside their arithmetic, which compilers do not vectorise by
 * themselves. They are written on vectors of the machine's width through a dozen small functions: gcc's and
 * clang's common vector types, and intrinsics where AVX-512 has mask registers. Several sets of running
 * bests, taken in turn, hide the latency of comparisons. Of equal values the last position wins (as in LIBSVM,
 * which matters where several stationary points exist), whatever the width and the number of sets. */
#include "svm/svm_kernels.h"
#include "kernels/vectors.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef int64_t integers __attribute__((vector_size(8 * WIDTH)));
#if WIDTH < 8
typedef int8_t bytes __attribute__((vector_size(WIDTH)));
#endif

INLINE integers all_integers(int64_t value) { return value - (integers){0}; }

/* Rows come from memory, and what is done with an element is too long for the processor to see far enough ahead
 * by itself. To measure: ./dev bench parts machines. */
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

#define SETS (PERI_SVM_LANES / WIDTH > 2 ? PERI_SVM_LANES / WIDTH : 2) /* extremes are the same for any number */

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
  doubles g_t = load(g + t) + by->scale * (values_at(by->row_i, t, wide) - values_at(by->row_j, t, wide));
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
  doubles k_it = values_at(i->row, t, wide);
  doubles curvature = larger((i->k_ii + load(diagonal + t)) - (k_it + k_it), all(PERI_SVM_CURVATURE));
  doubles over = b * b;
  mask better = reaches(may(state + t, PERI_SVM_DOWN), over * best->under, best->over * curvature);
  best->over = pick(better, over, best->over);
  best->under = pick(better, curvature, best->under);
  best->at = pick_integers(better, all_integers(t), best->at);
}

/* Which of two quotients wins may be a matter of the rounding of those products: so the lanes are the same ones on
 * every machine, two groups of them. */
#define PARTNER_SETS (2 * GROUP)
/* As many of them at a time as there are registers for, a stretch of variables after the other. */
#if WIDTH == 4 || defined(__SSE2__) && WIDTH == 2
#define AT_ONCE 2
#define STRETCH 256
#else
#define AT_ONCE PARTNER_SETS
#define STRETCH INT64_MAX
#endif

INLINE void partner(int64_t n, const double *g, const int8_t *state, const double *diagonal, const chooser *i,
                    double kink, peri_svm_partner *out, bool wide, bool kinked) {
  quotient best[PARTNER_SETS];
  for (int set = 0; set < PARTNER_SETS; set++) {
    best[set] = (quotient){.over = all(0), .under = all(1), .at = all_integers(-1)};
  }
  int64_t whole = n & -(2 * GROUP_LANES);
  for (int64_t from = 0, end; from < whole; from = end) {
    end = whole - from < STRETCH ? whole : from + STRETCH;
    for (int first = 0; first < PARTNER_SETS; first += AT_ONCE) {
      quotient some[AT_ONCE];
      for (int set = 0; set < AT_ONCE; set++) some[set] = best[first + set];
      for (int64_t t = from; t < end; t += 2 * GROUP_LANES) {
        for (int set = 0; set < AT_ONCE; set++)
          compete(&some[set], g, state, diagonal, i, kink, t + (first + set) * WIDTH, wide, kinked);
      }
      for (int set = 0; set < AT_ONCE; set++) best[first + set] = some[set];
    }
  }
  if (whole < n) {
    for (int set = 0; set < GROUP; set++)
      compete(&best[set], g, state, diagonal, i, kink, whole + set * WIDTH, wide, kinked);
  }
  double largest = 0;
  int64_t last = -1;
  for (int set = 0; set < PARTNER_SETS; set++) {
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

/* ---- vectors ---- */

#define SUMS (2 * GROUP)

INLINE double dot(int64_t n, const void *x, const double *w, bool wide) {
  doubles sum[SUMS];
  for (int s = 0; s < SUMS; s++) sum[s] = all(0);
  int64_t t = 0;
  for (; t + SUMS * WIDTH <= n; t += SUMS * WIDTH) {
    for (int s = 0; s < SUMS; s++) sum[s] += values_at(x, t + s * WIDTH, wide) * load(w + t + s * WIDTH);
  }
  double rest = 0;
  for (; t < n; t++) rest += value_at(x, t, wide) * w[t];
  return rest + sum_of(sum, 2);
}

INLINE double square(int64_t n, const void *x, bool wide) {
  doubles sum[SUMS];
  for (int s = 0; s < SUMS; s++) sum[s] = all(0);
  int64_t t = 0;
  for (; t + SUMS * WIDTH <= n; t += SUMS * WIDTH) {
    for (int s = 0; s < SUMS; s++) {
      doubles v = values_at(x, t + s * WIDTH, wide);
      sum[s] += v * v;
    }
  }
  double rest = 0;
  for (; t < n; t++) {
    double v = value_at(x, t, wide);
    rest += v * v;
  }
  return rest + sum_of(sum, 2);
}

INLINE double distance(int64_t d, const void *u, bool u_wide, const void *v, bool v_wide) {
  doubles sum[SUMS];
  for (int s = 0; s < SUMS; s++) sum[s] = all(0);
  int64_t t = 0;
  for (; t + SUMS * WIDTH <= d; t += SUMS * WIDTH) {
    for (int s = 0; s < SUMS; s++) {
      doubles difference = values_at(u, t + s * WIDTH, u_wide) - values_at(v, t + s * WIDTH, v_wide);
      sum[s] += difference * difference;
    }
  }
  double total = 0;
  for (int s = 0; s < SUMS; s++) {
    for (int lane = 0; lane < WIDTH; lane++) total += sum[s][lane];
  }
  for (; t < d; t++) {
    double a = value_at(u, t, u_wide);
    double b = value_at(v, t, v_wide);
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

static bool is_bounded(double norm, double largest, double gamma, double loss) {
  return gamma * (norm + largest) < 0.999 * loss;
}

#define PIECE 64 /* of a power */

#define T        float
#define WIDE     false
#define FN(name) name##_32
#define COUNT    int32_t
#define BITS     uint32_t
#define EXPONENT 0x7f800000u
#define RBF_LOSS 4
#include "svm/svm_loops.h"
#undef T
#undef WIDE
#undef FN
#undef COUNT
#undef BITS
#undef EXPONENT
#undef RBF_LOSS

#define T        double
#define WIDE     true
#define FN(name) name##_64
#define COUNT    int64_t
#define BITS     uint64_t
#define EXPONENT 0x7ff0000000000000u
#define RBF_LOSS 256
#include "svm/svm_loops.h"

const peri_svm_kernels PERI_ISA_NAME(peri_svm_kernels) = {
    .extremes = PERI_FULL(extremes),
    .step = PERI_FULL({step_32, step_64}),
    .partner = PERI_FULL({partner_32, partner_64}),
    .axpy = {axpy_32, axpy_64},
    .axpy4 = {axpy4_32, axpy4_64},
    .dot = {dot_32, dot_64},
    .square = {square_32, square_64},
    .narrow_squares = {narrow_squares_32, narrow_squares_64},
    .distance = {{distance_32_32, distance_32_64}, {distance_64_32, distance_64_64}},
    .distance_exponent = {distance_exponent_32, distance_exponent_64},
    .rbf_exponent = {rbf_exponent_32, rbf_exponent_64},
    .affine = {affine_32, affine_64},
    .power = {power_32, power_64},
    .finite = {finite_32, finite_64},
};
