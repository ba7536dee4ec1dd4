/* Further elementary functions, beside those of mathfun.h: logarithms and powers of 2 and 10, inverse trigonometric and
 * hyperbolic functions, the error function. Those of float64 alone serve float32 too, rounded. What a loop does not
 * vectorise (gamma functions, the inverse of the error function) is in gamma.c. */
#ifndef PERI_KERNELS_SPECIAL_H
#define PERI_KERNELS_SPECIAL_H

#include "kernels/mathfun.h"

/* ---- what activations.h needs of each type ---- */

static PERI_ALWAYS_INLINE float product_error_f32(float a, float b, float p) {
  return FUSED ? madd_f32(a, b, -p) : (float)((double)a * (double)b - (double)p);
}

/* 2^n in two factors */
static PERI_ALWAYS_INLINE float half_power_f32(uint32_t n) { return from_bits_f32((n + 2 * 127) >> 1 << 23); }
static PERI_ALWAYS_INLINE float other_power_f32(uint32_t n) {
  uint32_t biased = n + 2 * 127;
  return from_bits_f32((biased - (biased >> 1)) << 23);
}
static PERI_ALWAYS_INLINE double half_power_f64(uint64_t n) { return from_bits_f64((n + 2 * 1023) >> 1 << 52); }
static PERI_ALWAYS_INLINE double other_power_f64(uint64_t n) {
  uint64_t biased = n + 2 * 1023;
  return from_bits_f64((biased - (biased >> 1)) << 52);
}

/* e to minus this is 0, or less than can be told from 1 */
#define vanishing_f32 110.0f
#define vanishing_f64 760.0
/* 2 sqrt(2/pi), and 0.044715 times that */
#define linear_high_f32 0x1.9884540000000p+0f
#define linear_low_f32  -4.534068054340423e-08f
#define linear_high_f64 0x1.9884533d43651p+0
#define linear_low_f64  -9.96930880911092e-17
#define cubic_high_f32  0x1.2444f20000000p-4f
#define cubic_low_f32   2.3988324659995897e-09f
#define cubic_high_f64  0x1.2444f2a4d8b4bp-4
#define cubic_low_f64   -6.175149918155315e-19
/* the largest finite number */
#define largest_f32 0x1.fffffep127f
#define largest_f64 0x1.fffffffffffffp1023
/* where gauss_polynomial is 0, and where a normal distribution ends */
#define gauss_middle_f32 3.0f
#define gauss_middle_f64 3.5
#define normal_end_f32   15.0f
#define normal_end_f64   40.0

/* the square root of 1/2, in two parts */
#define half_root_high_f32 0x1.6a09e6p-1f
#define half_root_high_f64 0x1.6a09e667f3bcdp-1
#define half_root_low_f32  1.21016171e-08f
#define half_root_low_f64  -4.8336466567264567e-17

/* Q(v) = gauss_0 + v (gauss_1 + v (gauss_2 + v gauss_polynomial(v))); the first three have more digits than a double.
 */
#define gauss_0_f32      1.07400691f
#define gauss_1_f32      -0.883394462f
#define gauss_2_f32      0.590228433f
#define gauss_0_rest_f32 0.0f
#define gauss_1_rest_f32 0.0f
#define gauss_2_rest_f32 0.0f
static PERI_ALWAYS_INLINE float gauss_polynomial_f32(float v) {
  float q = madd_f32(-0.000333609153f, v, -0.000498446351f);
  q = madd_f32(q, v, 0.00307859951f);
  q = madd_f32(q, v, -0.00121702874f);
  q = madd_f32(q, v, -0.0268369188f);
  q = madd_f32(q, v, 0.119527171f);
  return madd_f32(q, v, -0.31046658f);
}

#define gauss_0_f64      1.0870555892622601
#define gauss_1_f64      -0.93779972456711204
#define gauss_2_f64      0.69411364663464443
#define gauss_0_rest_f64 -1.2154801273051174e-16
#define gauss_1_rest_f64 -2.7498213227482696e-17
#define gauss_2_rest_f64 -4.6925674481599544e-17
static PERI_ALWAYS_INLINE double gauss_polynomial_f64(double v) {
  double q = madd_f64(3.2944017398938862e-9, v, 9.0339174755023318e-9);
  q = madd_f64(q, v, -2.1772207452927012e-8);
  q = madd_f64(q, v, -8.3498563718828775e-8);
  q = madd_f64(q, v, 1.162075521241138e-7);
  q = madd_f64(q, v, 5.5052788501919128e-7);
  q = madd_f64(q, v, -7.9647241853895644e-7);
  q = madd_f64(q, v, -3.3920354333835359e-6);
  q = madd_f64(q, v, 7.2442169585572249e-6);
  q = madd_f64(q, v, 1.864719684481861e-5);
  q = madd_f64(q, v, -7.4777103580410885e-5);
  q = madd_f64(q, v, -4.2062166664548723e-5);
  q = madd_f64(q, v, 0.00071453168669182421);
  q = madd_f64(q, v, -0.0013053546915761135);
  q = madd_f64(q, v, -0.0031770503425002022);
  q = madd_f64(q, v, 0.026518619881656357);
  q = madd_f64(q, v, -0.092318706638517584);
  q = madd_f64(q, v, 0.2257386216474105);
  return madd_f64(q, v, -0.43525602671688708);
}

static PERI_ALWAYS_INLINE float magnitude_f32(float x) { return __builtin_fabsf(x); }
static PERI_ALWAYS_INLINE double magnitude_f64(double x) { return __builtin_fabs(x); }

#define T  float
#define FN F32
#include "kernels/activations.h"
#undef T
#undef FN
#define T  double
#define FN F64
#include "kernels/activations.h"
#undef T
#undef FN

/* ---- logarithms and powers ---- */

static PERI_ALWAYS_INLINE float log2_f32(float x) {
  float value = (float)log2_for_pow((double)x);
  value = x < INFINITY ? value : x;
  return x > 0.0f ? value : x == 0.0f ? -INFINITY : NAN;
}

/* log2(x) in two parts; of numbers that are not positive and finite, the value that any logarithm has */
static PERI_ALWAYS_INLINE pair_f64 log2_parts_f64(double x) {
  double tiny = x < 0x1p-1022 ? 1.0 : 0.0;
  pair_f64 l = log2_pair_f64(tiny != 0.0 ? x * 0x1p52 : x);
  double log = l.high - 52.0 * tiny, rest = l.low + ((l.high - log) - 52.0 * tiny);
  bool inside = x > 0.0 && x < (double)INFINITY;
  double edge = x == 0.0 ? -(double)INFINITY : x > 0.0 ? x : (double)NAN;
  return (pair_f64){inside ? log : edge, inside ? rest : 0.0};
}

static PERI_ALWAYS_INLINE double log2_f64(double x) { return log2_parts_f64(x).high; }

static PERI_ALWAYS_INLINE double log10_f64(double x) {
  pair_f64 l = log2_parts_f64(x);
  double p = l.high * 0x1.34413509f79ffp-2;
  double rest = product_error_f64(l.high, 0x1.34413509f79ffp-2, p) +
                (l.low * 0x1.34413509f79ffp-2 + l.high * -2.8037281277851704e-18);
  return __builtin_fabs(p) < (double)INFINITY ? p + rest : p;
}

static PERI_ALWAYS_INLINE float exp2_f32(float x) { return (float)exp2_for_pow((double)x); }

static PERI_ALWAYS_INLINE double exp2_f64(double x) {
  double t = x > 1100.0 ? 1100.0 : x;
  return exp2_pair_f64(t < -1100.0 ? -1100.0 : t, 0.0);
}

/* x = 2^3k m: a first value by way of the logarithm, and a step of Newton's method */
static PERI_ALWAYS_INLINE double cbrt_f64(double x) {
  double size = __builtin_fabs(x), tiny = size < 0x1p-1022 ? 1.0 : 0.0;
  log_parts_f64 parts = log_reduce_f64(tiny != 0.0 ? size * 0x1p54 : size);
  double shifted = parts.e * (1.0 / 3.0) + ROUNDER_F64, k = shifted - ROUNDER_F64, left = parts.e - 3.0 * k;
  double m = parts.m * (left > 0.0 ? 2.0 : left < 0.0 ? 0.5 : 1.0);
  double t = exp2_for_pow(log2_for_pow(m) * (1.0 / 3.0)), square = t * t;
  t -= madd_f64(square, t, -m) / (3.0 * square);
  double value = t * from_bits_f64((bits_f64(shifted) - bits_f64(ROUNDER_F64) + 1023) << 52);
  value = tiny != 0.0 ? value * 0x1p-18 : value;
  value = size > 0.0 && size < (double)INFINITY ? value : size;
  return __builtin_copysign(value, x);
}

/* ---- arcs: asin(s) = s + s z Q(z) with z = s^2 <= 1/4, and atan(t) = t + t z Q(z) with |t| <= tan(pi/8) ---- */

#define HALF_PI_HIGH 0x1.921fb54442d18p0
#define HALF_PI_LOW  0x1.1a62633145c07p-54

static PERI_ALWAYS_INLINE double asin_polynomial_f64(double z) {
  double q = madd_f64(0.0287578719503479, z, -0.014851916575765241);
  q = madd_f64(q, z, 0.017400897906395947);
  q = madd_f64(q, z, 0.0054575000967440104);
  q = madd_f64(q, z, 0.010322815852320064);
  q = madd_f64(q, z, 0.011479177190774229);
  q = madd_f64(q, z, 0.013971212995844849);
  q = madd_f64(q, z, 0.017352392719417624);
  q = madd_f64(q, z, 0.022372172942209624);
  q = madd_f64(q, z, 0.030381944138529804);
  q = madd_f64(q, z, 0.044642857146355448);
  q = madd_f64(q, z, 0.074999999999984329);
  q = madd_f64(q, z, 0.16666666666666668);
  return z * q;
}

/* Beyond 1/2: asin(x) = pi/2 - 2 asin(s) with s^2 = (1 - x) / 2. The root's rounding error is known. */
typedef struct arc_f64 {
  double s, rest; /* asin(s) = s + rest */
  bool large;
} arc_f64;

static PERI_ALWAYS_INLINE arc_f64 arc_of_f64(double x) {
  double size = __builtin_fabs(x);
  bool large = size > 0.5;
  double z = large ? (1.0 - size) * 0.5 : x * x, root = __builtin_sqrt(z), square = root * root;
  double root_rest = root > 0.0 ? ((z - square) - product_error_f64(root, root, square)) / (2.0 * root) : 0.0;
  double s = large ? root : size;
  return (arc_f64){s, (large ? root_rest : 0.0) + s * asin_polynomial_f64(z), large};
}

static PERI_ALWAYS_INLINE double asin_f64(double x) {
  arc_f64 arc = arc_of_f64(x);
  double value = arc.large ? HALF_PI_HIGH - (2.0 * arc.s - (HALF_PI_LOW - 2.0 * arc.rest)) : arc.s + arc.rest;
  return __builtin_copysign(value, x);
}

static PERI_ALWAYS_INLINE double acos_f64(double x) {
  arc_f64 arc = arc_of_f64(x);
  double s = x < 0.0 ? -arc.s : arc.s, rest = x < 0.0 ? -arc.rest : arc.rest;
  double middle = HALF_PI_HIGH - (s - (HALF_PI_LOW - rest));
  double end = x < 0.0 ? 2.0 * (HALF_PI_HIGH - (arc.s - (HALF_PI_LOW - arc.rest))) : 2.0 * (arc.s + arc.rest);
  return arc.large ? end : middle;
}

/* (atan t - t) / t^3, where z = t^2 and |t| is at most tan(pi/8) */
static PERI_ALWAYS_INLINE double arc_polynomial_f64(double z) {
  double q = madd_f64(-0.019176800714409819, z, 0.039231587742248212);
  q = madd_f64(q, z, -0.050854472957630807);
  q = madd_f64(q, z, 0.058581484461121952);
  q = madd_f64(q, z, -0.066645113936591626);
  q = madd_f64(q, z, 0.076921831870121697);
  q = madd_f64(q, z, -0.090909045779597307);
  q = madd_f64(q, z, 0.11111111015252321);
  q = madd_f64(q, z, -0.14285714284666493);
  q = madd_f64(q, z, 0.1999999999999552);
  return madd_f64(q, z, -0.3333333333333333);
}

/* The angle of (x, y): with the smaller of both sizes over the larger, or (n - d) / (n + d) of them, it is a multiple
 * of pi/4 and an arc of at most pi/8. */
static PERI_ALWAYS_INLINE double atan2_f64(double y, double x) {
  double ay = __builtin_fabs(y), ax = __builtin_fabs(x);
  bool steep = ay > ax;
  double n = steep ? ax : ay, d = steep ? ay : ax;
  n = d == (double)INFINITY ? (n == d ? 1.0 : 0.0) : n;
  d = d == (double)INFINITY || d == 0.0 ? 1.0 : d;
  double scale = d > 0x1p1000 ? 0x1p-100 : d < 0x1p-900 ? 0x1p100 : 1.0;
  n *= scale, d *= scale;
  bool middle = n > 0x1.a827999fcef32p-2 * d;
  double top = middle ? n - d : n, under = middle ? n + d : d;
  double top_rest = middle ? (n - (top + d)) : 0.0, under_rest = middle ? (n - (under - d)) : 0.0;
  double inverse = 1.0 / under, t = top * inverse, p = t * under;
  double t_rest = (((top - p) - product_error_f64(t, under, p)) + (top_rest - t * under_rest)) * inverse;
  t_rest = __builtin_fabs(t) < 0x1p-900 ? 0.0 : t_rest;
  double z = t * t, rest = madd_f64(t * z, arc_polynomial_f64(z), t_rest);
  double eighths = middle ? 1.0 : 0.0;
  eighths = steep ? 2.0 - eighths : eighths;
  bool left = (bits_f64(x) >> 63) != 0;
  eighths = left ? 4.0 - eighths : eighths;
  bool back = steep != left;
  double base = eighths * (0.5 * HALF_PI_HIGH);
  double base_rest = product_error_f64(eighths, 0.5 * HALF_PI_HIGH, base) + eighths * (0.5 * HALF_PI_LOW);
  double value = base + ((back ? -t : t) + ((back ? -rest : rest) + base_rest));
  value = eighths == 0.0 ? t + rest : value;
  return x != x || y != y ? x + y : __builtin_copysign(value, y);
}

static PERI_ALWAYS_INLINE double atan_f64(double x) {
  double size = __builtin_fabs(x);
  size = size > 0x1p60 ? 0x1p60 : size; /* beyond it all are pi/2 */
  bool steep = size > 1.0;
  double n = steep ? 1.0 : size, d = steep ? size : 1.0;
  bool middle = n > 0x1.a827999fcef32p-2 * d;
  double top = middle ? n - d : n, under = middle ? n + d : d;
  double top_rest = middle ? (n - (top + d)) : 0.0, under_rest = middle ? (n - (under - d)) : 0.0;
  double inverse = 1.0 / under, t = top * inverse, p = t * under;
  double t_rest = (((top - p) - product_error_f64(t, under, p)) + (top_rest - t * under_rest)) * inverse;
  t_rest = n < 0x1p-900 ? 0.0 : t_rest;
  double z = t * t, rest = madd_f64(t * z, arc_polynomial_f64(z), t_rest);
  double eighths = steep ? 1.0 : 0.0;
  eighths = middle ? 0.5 : eighths;
  double base = eighths * HALF_PI_HIGH, base_rest = eighths * HALF_PI_LOW;
  double value = base + ((steep ? -t : t) + ((steep ? -rest : rest) + base_rest));
  return __builtin_copysign(value, x);
}

/* ---- the tangent, from an angle in two parts ---- */

/* sin(r) and cos(r) in two parts, |r| <= pi/4 */
static PERI_ALWAYS_INLINE pair_f64 sin_pair_f64(pair_f64 r) {
  double z = r.high * r.high, whole = sin_poly_f64(r.high), w = 1.0 - 0.5 * z;
  /* the polynomial once more, without its first term: what rounding took from the sum */
  double s = madd_f64(1.58964166304916937e-10, z, -2.50507517890668991e-8);
  s = madd_f64(s, z, 2.75573136529633451e-6);
  s = madd_f64(s, z, -1.98412698297000149e-4);
  s = madd_f64(s, z, 8.33333333332228508e-3);
  s = madd_f64(s, z, -1.66666666666666315e-1);
  return (pair_f64){whole, madd_f64(r.high * z, s, r.high - whole) + r.low * w};
}

static PERI_ALWAYS_INLINE pair_f64 cos_pair_f64(pair_f64 r) {
  double z = r.high * r.high, z_rest = product_error_f64(r.high, r.high, z), w = 1.0 - 0.5 * z;
  double c = madd_f64(-1.13610159387189881e-11, z, 2.08757528622913004e-9);
  c = madd_f64(c, z, -2.75573145993039704e-7);
  c = madd_f64(c, z, 2.48015872904694626e-5);
  c = madd_f64(c, z, -1.38888888888759958e-3);
  c = madd_f64(c, z, 4.16666666666666128e-2);
  double tail = madd_f64(z * z, c, (1.0 - w) - 0.5 * z), whole = w + tail;
  return (pair_f64){whole, (w - whole) + tail - (0.5 * z_rest + r.high * r.low)};
}

static PERI_ALWAYS_INLINE double quotient_of_pairs_f64(pair_f64 a, pair_f64 b) {
  double inverse = 1.0 / b.high, q = a.high * inverse, p = q * b.high;
  return madd_f64(((a.high - p) - product_error_f64(q, b.high, p)) + (a.low - q * b.low), inverse, q);
}

static PERI_ALWAYS_INLINE double tan_of_f64(uint64_t q, pair_f64 r) {
  pair_f64 s = sin_pair_f64(r), c = cos_pair_f64(r);
  bool odd = (q & 1) != 0;
  pair_f64 top = {odd ? -c.high : s.high, odd ? -c.low : s.low};
  return quotient_of_pairs_f64(top, (pair_f64){odd ? s.high : c.high, odd ? s.low : c.low});
}

static PERI_ALWAYS_INLINE double tan_near_f64(double x) {
  uint64_t q;
  pair_f64 r = reduce_near_f64(x, &q);
  return x == 0.0 ? x : tan_of_f64(q, r);
}

static PERI_NOINLINE double tan_f64(double x) {
  uint64_t q;
  if (__builtin_fabs(x) < NEAR_F64) return tan_near_f64(x);
  pair_f64 r = reduce_far_f64(x, &q);
  double value = tan_of_f64(q, r);
  return x < 0.0 ? -value : value;
}

/* ---- hyperbolic functions ---- */

/* e^x / 2, also where e^x overflows */
static PERI_ALWAYS_INLINE double half_exp_f64(double x) {
  exp_parts_f64 parts = exp_reduce_f64(x > 712.0 ? 712.0 : x);
  return (1.0 + parts.tail) * half_power_f64(parts.n - 1) * other_power_f64(parts.n - 1);
}

static PERI_ALWAYS_INLINE double sinh_f64(double x) {
  double size = __builtin_fabs(x), e = expm1_f64(size > 22.0 ? 22.0 : size);
  double value = size > 22.0 ? half_exp_f64(size) : 0.5 * (e + e / (e + 1.0));
  double z = size < 1.0 ? size * size : 0.0;
  double q = madd_f64(7.7461885561423264e-13, z, 1.6057679349820231e-10);
  q = madd_f64(q, z, 2.5052117698709823e-8);
  q = madd_f64(q, z, 2.7557319191368742e-6);
  q = madd_f64(q, z, 1.9841269841324225e-4);
  q = madd_f64(q, z, 8.3333333333332993e-3);
  q = madd_f64(q, z, 1.6666666666666667e-1);
  value = size < 1.0 ? madd_f64(size * z, q, size) : value;
  return __builtin_copysign(value, x);
}

static PERI_ALWAYS_INLINE double cosh_f64(double x) {
  double half = half_exp_f64(__builtin_fabs(x));
  return half + 0.25 / half;
}

static PERI_ALWAYS_INLINE double asinh_f64(double x) {
  double size = __builtin_fabs(x);
  bool large = size > 0x1p28;
  double bounded = large ? 1.0 : size, z = bounded * bounded;
  double log = log1p_f64(large ? size - 1.0 : bounded + z / (1.0 + __builtin_sqrt(1.0 + z)));
  return __builtin_copysign(large ? log + 0x1.62e42fefa39efp-1 : log, x);
}

/* log1p(t + sqrt(2 t + t^2)) with t = x - 1, and what the square, the root and the sum are rounded by */
static PERI_ALWAYS_INLINE double acosh_f64(double x) {
  double t = x - 1.0;
  bool large = x > 0x1p28;
  double bounded = large || !(t > 0.0) ? 1.0 : t, twice = 2.0 * bounded, square = madd_f64(bounded, bounded, twice);
  double root = __builtin_sqrt(square), sum = bounded + root;
  double square_rest = madd_f64(bounded, bounded, twice - square);
  double root_rest = (square_rest - product_error_f64(root, root, square)) / (2.0 * root);
  double rest = (bounded - (sum - root)) + root_rest;
  double log = log1p_f64(large ? t : sum) + (large ? 0x1.62e42fefa39efp-1 : rest / (1.0 + sum));
  log = t == 0.0 ? 0.0 : log;
  return x >= 1.0 ? log : (double)NAN;
}

static PERI_ALWAYS_INLINE double atanh_f64(double x) {
  double size = __builtin_fabs(x), twice = 2.0 * size, under = 1.0 - size;
  double value = 0.5 * log1p_f64(size < 0.5 ? twice + twice * size / under : twice / under);
  return size <= 1.0 ? __builtin_copysign(value, x) : (double)NAN;
}

/* sqrt(x^2 + y^2) without overflow or underflow on the way */
static PERI_ALWAYS_INLINE double hypot_f64(double x, double y) {
  double a = __builtin_fabs(x), b = __builtin_fabs(y), largest = a > b ? a : b;
  double scale = largest > 0x1p500 ? 0x1p-600 : largest < 0x1p-400 ? 0x1p600 : 1.0;
  double inverse = largest > 0x1p500 ? 0x1p600 : largest < 0x1p-400 ? 0x1p-600 : 1.0;
  a *= scale, b *= scale;
  double value = __builtin_sqrt(a * a + b * b) * inverse;
  return a == (double)INFINITY || b == (double)INFINITY ? (double)INFINITY : value;
}

/* sin(pi x) / (pi x) */
static PERI_ALWAYS_INLINE double sinc_f64(double x) {
  double size = __builtin_fabs(x);
  double bounded = size < 0x1p53 ? size : 2.0, whole = round_f64(bounded), r = bounded - whole;
  /* sin(pi r), |r| <= 1/2: beyond 1/4 it is a cosine */
  bool beyond = __builtin_fabs(r) > 0.25;
  double part = beyond ? 0.5 - __builtin_fabs(r) : r, angle = part * (2.0 * HALF_PI_HIGH);
  double angle_rest = product_error_f64(part, 2.0 * HALF_PI_HIGH, angle) + part * (2.0 * HALF_PI_LOW);
  pair_f64 s = sin_pair_f64((pair_f64){angle, angle_rest}), c = cos_pair_f64((pair_f64){angle, angle_rest});
  double half = 0.5 * whole;
  bool minus = (round_f64(half) != half) != (beyond && r < 0.0);
  pair_f64 sine = {beyond ? c.high : s.high, beyond ? c.low : s.low};
  double p = size * (2.0 * HALF_PI_HIGH);
  double rest = product_error_f64(size, 2.0 * HALF_PI_HIGH, p) + size * (2.0 * HALF_PI_LOW);
  double value = quotient_of_pairs_f64(sine, (pair_f64){p, rest});
  value = minus ? -value : value;
  value = size < 0x1p53 ? value : 0.0;
  value = size < 0x1p-500 ? 1.0 : value;
  return x == x ? value : x;
}

/* ---- the error function ---- */

static PERI_ALWAYS_INLINE double erfc_tail_f64(double size) {
  double t = size > 28.0 ? 28.0 : size, square = t * t;
  return gauss_tail_f64(t, 0.0, square, product_error_f64(t, t, square), 1.0);
}

static PERI_ALWAYS_INLINE double erfc_f64(double x) {
  double tail = erfc_tail_f64(__builtin_fabs(x));
  return x < 0.0 ? 2.0 - tail : tail;
}

static PERI_ALWAYS_INLINE double erf_f64(double x) {
  double size = __builtin_fabs(x), near = size > 1.0 ? 1.0 : size, z = near * near;
  double q = madd_f64(5.9571761477489114e-11, z, -1.1372848856791674e-9);
  q = madd_f64(q, z, 1.4659775274047436e-8);
  q = madd_f64(q, z, -1.6350312701054695e-7);
  q = madd_f64(q, z, 1.6461000484121368e-6);
  q = madd_f64(q, z, -1.4925595266831182e-5);
  q = madd_f64(q, z, 0.00012055331111642711);
  q = madd_f64(q, z, -0.00085483269808337899);
  q = madd_f64(q, z, 0.0052239776248180145);
  q = madd_f64(q, z, -0.026866170645076793);
  q = madd_f64(q, z, 0.11283791670954879);
  q = madd_f64(q, z, -0.37612638903183748);
  q = madd_f64(q, z, 0.12837916709551257);
  double value = size > 1.0 ? 1.0 - erfc_tail_f64(size) : madd_f64(size, q, size);
  return __builtin_copysign(value, x);
}

/* ---- rare activations and their like ---- */

/* x tanh(log(1 + u)) with u = e^x, which is x n / (n + 2) with n = u (u + 2); far out on the left, x u */
static PERI_ALWAYS_INLINE double mish_f64(double x) {
  double bounded = x > 40.0 ? 40.0 : x;
  bounded = bounded < -760.0 ? -760.0 : bounded;
  exp_parts_f64 parts = exp_reduce_f64(bounded);
  double mantissa = 1.0 + parts.tail, rest = (1.0 - mantissa) + parts.tail;
  double scale = half_power_f64(parts.n), more = other_power_f64(parts.n);
  double u = mantissa * scale * more, u_rest = rest * scale * more;
  double w = u + 2.0, back = w - u, w_rest = (u - (w - back)) + (2.0 - back) + u_rest;
  double n = u * w, n_rest = product_error_f64(u, w, n) + (u * w_rest + u_rest * w);
  double d = n + 2.0, again = d - n, d_rest = (n - (d - again)) + (2.0 - again) + n_rest;
  double inverse = 1.0 / d, quotient = n * inverse, p = quotient * d;
  double short_of = ((n - p) - product_error_f64(quotient, d, p)) + (n_rest - quotient * d_rest);
  double value = x * madd_f64(short_of, inverse, quotient);
  double left = bounded * mantissa;
  value = x < -40.0 ? madd_f64(bounded, rest, left) * scale * more : value;
  return x > 40.0 ? x : value;
}

/* log(e^a + e^b) */
static PERI_ALWAYS_INLINE double logaddexp_f64(double a, double b) {
  double largest = a > b ? a : b, apart = a == b ? 0.0 : a - b;
  return a != a || b != b ? a + b : largest + log1p_f64(exp_f64(-__builtin_fabs(apart)));
}

static PERI_ALWAYS_INLINE double xlogy_f64(double x, double y) { return x == 0.0 && y == y ? 0.0 : x * log_f64(y); }

#endif
