/* Elementary functions, written without branches so that a loop around them is vectorised.
 *
 * float32: exp expm1 log log1p sin cos tanh sigmoid pow, at most 2 ULP for every input, denormals,
 * infinities, NaN and signed zeros included. float64: exp log tanh sigmoid, at most 2 ULP, and
 * the circle functions of a turn; the others call libm. Each reduces its argument to a short
 * interval and evaluates there a polynomial that is the best in the Chebyshev sense (computed with
 * Remez's exchange in 60 digits, weighted for relative error).
 *
 * Rounding to whole numbers is done by adding 1.5 * 2^23 (or 2^52), which leaves the whole number in the low
 * bits of the sum too. Selections come last, and take NaN through. */
#ifndef PERI_KERNELS_MATHFUN_H
#define PERI_KERNELS_MATHFUN_H

#include "kernels/isa.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define ROUNDER_F32   0x1.8p23f
#define ROUNDER_F64   0x1.8p52
#define SQRT_HALF_F32 0x3f3504f3u
#define SQRT_HALF_F64 0x3fe6a09e667f3bcdull

static PERI_ALWAYS_INLINE uint32_t bits_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static PERI_ALWAYS_INLINE float from_bits_f32(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static PERI_ALWAYS_INLINE uint64_t bits_f64(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static PERI_ALWAYS_INLINE double from_bits_f64(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* ---- whole numbers: no instruction for these in the baseline set ---- */

static PERI_ALWAYS_INLINE float round_f32(float x) {
  float size = __builtin_fabsf(x), whole = (size + 0x1p23f) - 0x1p23f;
  return size < 0x1p23f ? __builtin_copysignf(whole, x) : x;
}

static PERI_ALWAYS_INLINE double round_f64(double x) {
  double size = __builtin_fabs(x), whole = (size + 0x1p52) - 0x1p52;
  return size < 0x1p52 ? __builtin_copysign(whole, x) : x;
}

static PERI_ALWAYS_INLINE float floor_f32(float x) {
  float whole = round_f32(x);
  return __builtin_copysignf(whole - (whole > x ? 1.0f : 0.0f), x);
}

static PERI_ALWAYS_INLINE double floor_f64(double x) {
  double whole = round_f64(x);
  return __builtin_copysign(whole - (whole > x ? 1.0 : 0.0), x);
}

static PERI_ALWAYS_INLINE float ceil_f32(float x) { return -floor_f32(-x); }
static PERI_ALWAYS_INLINE double ceil_f64(double x) { return -floor_f64(-x); }

/* ---- the exponential: x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n (1 + expm1(r)) ---- */

typedef struct exp_parts_f32 {
  float tail; /* expm1(r) */
  uint32_t n; /* as a two's complement number */
} exp_parts_f32;

static PERI_ALWAYS_INLINE exp_parts_f32 exp_reduce_f32(float x) {
  float shifted = madd_f32(x, 0x1.715476p0f, ROUNDER_F32), n = shifted - ROUNDER_F32;
  /* ln 2 in two parts; n times the first has no rounding */
  float r = madd_f32(n, -0x1.63p-1f, x);
  r = madd_f32(n, 2.12194440e-4f, r);
  float q = madd_f32(1.39464801e-3f, r, 8.36660158e-3f);
  q = madd_f32(q, r, 4.16662816e-2f);
  q = madd_f32(q, r, 1.66665429e-1f);
  q = madd_f32(q, r, 5.00000006e-1f);
  return (exp_parts_f32){madd_f32(q, r * r, r), bits_f32(shifted) - bits_f32(ROUNDER_F32)};
}

static PERI_ALWAYS_INLINE float exp_f32(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  exp_parts_f32 parts = exp_reduce_f32(x);
  /* 2^n in two factors, since n alone may be beyond the exponents of a float */
  uint32_t biased = parts.n + 2 * 127, half = biased >> 1;
  return (1.0f + parts.tail) * from_bits_f32(half << 23) * from_bits_f32((biased - half) << 23);
}

/* 2^n tail + (2^n - 1), and the tail itself where n = 0 */
static PERI_ALWAYS_INLINE float expm1_f32(float x) {
  float bounded = x > 89.0f ? 89.0f : x;
  bounded = bounded < -20.0f ? -20.0f : bounded;
  exp_parts_f32 parts = exp_reduce_f32(bounded);
  float half_power = from_bits_f32((parts.n + 126) << 23);
  float value = 2.0f * madd_f32(half_power, parts.tail, half_power - 0.5f);
  value = parts.n == 0 ? parts.tail : value;
  return __builtin_copysignf(value, x);
}

/* With z = e^-2|x|, h = (1 - z) / 2 and w = 2 / (1 + z) = 1 / (1 - h): tanh |x| = h w = h + h^2 w for small x and
 * 1 - z w for others; in both the second term is the smaller one, and its rounding errors count less.
 * The rounding error of h is known, and moves tanh by w^2 times as much. */
static PERI_ALWAYS_INLINE float tanh_f32(float x) {
  float size = __builtin_fabsf(x);
  exp_parts_f32 parts = exp_reduce_f32(-2.0f * (size > 10.0f ? 10.0f : size));
  float scale = from_bits_f32((parts.n + 127) << 23), z = madd_f32(scale, parts.tail, scale);
  float less = scale - 1.0f, part = scale * parts.tail, twice = less + part;
  float h = -0.5f * twice, h_rest = -0.5f * ((less - twice) + part);
  bool small = size < 0.7f;
  float inverse = 2.0f / (1.0f + z);
  float value = small ? h + (h * h + h_rest * inverse) * inverse : 1.0f - z * inverse;
  return __builtin_copysignf(value, x);
}

/* With z = e^-|x|: 1 / (1 + z), or z / (1 + z) for negative x. The rounding errors of z and of 1 + z
 * are known (O. Moller's two-sum, 1965) and corrected for; 1 / (1 + z) is needed there to a few percent only. */
static PERI_ALWAYS_INLINE float sigmoid_f32(float x) {
  float size = __builtin_fabsf(x);
  exp_parts_f32 parts = exp_reduce_f32(size > 104.0f ? -104.0f : -size);
  uint32_t biased = parts.n + 2 * 127, half = biased >> 1;
  float scale = from_bits_f32(half << 23) * from_bits_f32((biased - half) << 23);
  float mantissa = 1.0f + parts.tail, z = mantissa * scale, z_rest = ((1.0f - mantissa) + parts.tail) * scale;
  float sum = 1.0f + z, sum_rest = ((1.0f - sum) + z) + z_rest;
  float top = x < 0.0f ? z : 1.0f, top_rest = x < 0.0f ? z_rest : 0.0f;
  float quotient = top / sum;
  return quotient + (top_rest - quotient * sum_rest) * madd_f32(-0.5f, sum, 1.46f);
}

typedef struct exp_parts_f64 {
  double tail;
  uint64_t n;
} exp_parts_f64;

static PERI_ALWAYS_INLINE exp_parts_f64 exp_reduce_f64(double x) {
  double shifted = madd_f64(x, 0x1.71547652b82fep0, ROUNDER_F64), n = shifted - ROUNDER_F64;
  double r = madd_f64(n, -0x1.62e42fefap-1, x);
  r = madd_f64(n, -0x1.cf79abc9e3b3ap-40, r);
  double q = madd_f64(2.09244642216045337e-9, r, 2.51090751430915057e-8);
  q = madd_f64(q, r, 2.75572426912360769e-7);
  q = madd_f64(q, r, 2.75572441021710962e-6);
  q = madd_f64(q, r, 2.48015873606378416e-5);
  q = madd_f64(q, r, 1.98412698862301204e-4);
  q = madd_f64(q, r, 1.38888888888667953e-3);
  q = madd_f64(q, r, 8.33333333332159089e-3);
  q = madd_f64(q, r, 4.16666666666667015e-2);
  q = madd_f64(q, r, 1.66666666666666766e-1);
  q = madd_f64(q, r, 0.5);
  return (exp_parts_f64){madd_f64(q, r * r, r), bits_f64(shifted) - bits_f64(ROUNDER_F64)};
}

static PERI_ALWAYS_INLINE double exp_f64(double x) {
  x = x > 710.0 ? 710.0 : x;
  x = x < -746.0 ? -746.0 : x;
  exp_parts_f64 parts = exp_reduce_f64(x);
  uint64_t biased = parts.n + 2 * 1023, half = biased >> 1;
  return (1.0 + parts.tail) * from_bits_f64(half << 52) * from_bits_f64((biased - half) << 52);
}

/* As in float32. */
static PERI_ALWAYS_INLINE double tanh_f64(double x) {
  double size = __builtin_fabs(x);
  exp_parts_f64 parts = exp_reduce_f64(-2.0 * (size > 22.0 ? 22.0 : size));
  double scale = from_bits_f64((parts.n + 1023) << 52), z = madd_f64(scale, parts.tail, scale);
  double less = scale - 1.0, part = scale * parts.tail, twice = less + part;
  double h = -0.5 * twice, h_rest = -0.5 * ((less - twice) + part);
  bool small = size < 0.7;
  double inverse = 2.0 / (1.0 + z);
  double value = small ? h + (h * h + h_rest * inverse) * inverse : 1.0 - z * inverse;
  return __builtin_copysign(value, x);
}

static PERI_ALWAYS_INLINE double sigmoid_f64(double x) {
  double size = __builtin_fabs(x);
  exp_parts_f64 parts = exp_reduce_f64(size > 746.0 ? -746.0 : -size);
  uint64_t biased = parts.n + 2 * 1023, half = biased >> 1;
  double scale = from_bits_f64(half << 52) * from_bits_f64((biased - half) << 52);
  double mantissa = 1.0 + parts.tail, z = mantissa * scale, z_rest = ((1.0 - mantissa) + parts.tail) * scale;
  double sum = 1.0 + z, sum_rest = ((1.0 - sum) + z) + z_rest;
  double top = x < 0.0 ? z : 1.0, top_rest = x < 0.0 ? z_rest : 0.0;
  double quotient = top / sum;
  return quotient + (top_rest - quotient * sum_rest) * madd_f64(-0.5, sum, 1.46);
}

/* ---- the logarithm: x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2) ---- */

/* e ln 2 + log(1 + f) */
static PERI_ALWAYS_INLINE float log_combine_f32(float e, float f) {
  float p = madd_f32(6.91675946e-2f, f, -1.17917186e-1f);
  p = madd_f32(p, f, 1.18733650e-1f);
  p = madd_f32(p, f, -1.23840693e-1f);
  p = madd_f32(p, f, 1.42185766e-1f);
  p = madd_f32(p, f, -1.66692633e-1f);
  p = madd_f32(p, f, 2.00022306e-1f);
  p = madd_f32(p, f, -2.49999864e-1f);
  p = madd_f32(p, f, 3.33333104e-1f);
  float square = f * f;
  float small = madd_f32(square, madd_f32(p, f, -0.5f), e * -2.12194440e-4f);
  return madd_f32(e, 0x1.63p-1f, f + small);
}

static PERI_ALWAYS_INLINE float log_f32(float x) {
  float tiny = x < 0x1p-126f ? 1.0f : 0.0f;
  uint32_t bits = bits_f32(tiny != 0.0f ? x * 0x1p23f : x);
  int32_t e = (int32_t)(bits - SQRT_HALF_F32) >> 23;
  float f = from_bits_f32(bits - ((uint32_t)e << 23)) - 1.0f;
  float value = log_combine_f32((float)e - 23.0f * tiny, f);
  value = x < INFINITY ? value : x;
  return x > 0.0f ? value : x == 0.0f ? -INFINITY : NAN;
}

/* 1 + f = 2^-e (1 + x), where f = 2^-e x + (2^-e - 1) is rounded once at most */
static PERI_ALWAYS_INLINE float log1p_f32(float x) {
  float u = 1.0f + x;
  uint32_t bits = bits_f32(u);
  int32_t e = (int32_t)(bits - SQRT_HALF_F32) >> 23;
  float scale = from_bits_f32(0x3f800000u - ((uint32_t)e << 23));
  float f = madd_f32(scale, x, scale - 1.0f);
  f = e > 24 ? from_bits_f32(bits - ((uint32_t)e << 23)) - 1.0f : f;
  float value = __builtin_copysignf(log_combine_f32((float)e, f), x);
  value = x < INFINITY ? value : x;
  return u > 0.0f ? value : u == 0.0f ? -INFINITY : NAN;
}

typedef struct log_parts_f64 {
  double e, m;
} log_parts_f64;

/* x normal and positive. The exponent becomes a double by way of the low bits of 2^52. */
static PERI_ALWAYS_INLINE log_parts_f64 log_reduce_f64(double x) {
  uint64_t bits = bits_f64(x), above = bits - SQRT_HALF_F64 + (1024ull << 52);
  double e = from_bits_f64((above >> 52) | 0x4330000000000000ull) - (0x1p52 + 1024.0);
  return (log_parts_f64){e, from_bits_f64(bits - (above & 0xfff0000000000000ull) + (1024ull << 52))};
}

/* log(1 + f) = 2 atanh(s) = f - s (f - s^2 L(s^2)) with s = f / (2 + f) */
static PERI_ALWAYS_INLINE double log_f64(double x) {
  double tiny = x < 0x1p-1022 ? 1.0 : 0.0;
  log_parts_f64 parts = log_reduce_f64(tiny != 0.0 ? x * 0x1p52 : x);
  double e = parts.e - 52.0 * tiny, f = parts.m - 1.0, s = f / (2.0 + f), z = s * s;
  double l = madd_f64(1.32358536179395390e-1, z, 1.32520437701910342e-1);
  l = madd_f64(l, z, 1.53869926842702298e-1);
  l = madd_f64(l, z, 1.81817782915406455e-1);
  l = madd_f64(l, z, 2.22222226073600864e-1);
  l = madd_f64(l, z, 2.85714285694123992e-1);
  l = madd_f64(l, z, 4.00000000000049010e-1);
  l = madd_f64(l, z, 6.66666666666666630e-1);
  double small = madd_f64(-s, madd_f64(-z, l, f), e * 0x1.cf79abc9e3b3ap-40);
  double value = madd_f64(e, 0x1.62e42fefap-1, f + small);
  value = x < (double)INFINITY ? value : x;
  return x > 0.0 ? value : x == 0.0 ? -(double)INFINITY : (double)NAN;
}

/* ---- sine and cosine: x = q pi/2 + r with |r| <= pi/4 ---- */

static PERI_ALWAYS_INLINE float sin_poly_f32(float r) {
  float z = r * r;
  float s = madd_f32(2.71821692e-6f, z, -1.98393250e-4f);
  s = madd_f32(s, z, 8.33332936e-3f);
  s = madd_f32(s, z, -1.66666666e-1f);
  return madd_f32(r * z, s, r);
}

static PERI_ALWAYS_INLINE float cos_poly_f32(float r) {
  float z = r * r;
  float c = madd_f32(2.44375328e-5f, z, -1.38873598e-3f);
  c = madd_f32(c, z, 4.16666467e-2f);
  return madd_f32(z * z, c, madd_f32(-0.5f, z, 1.0f));
}

/* sin(q pi/2 + r); q + 1 gives the cosine */
static PERI_ALWAYS_INLINE float sin_quadrant_f32(uint32_t q, float r) {
  float value = (q & 1) != 0 ? cos_poly_f32(r) : sin_poly_f32(r);
  return from_bits_f32(bits_f32(value) ^ (q & 2) << 30);
}

/* The near functions hold for |x| < 2^20: the first part of pi/2 has 33 bits, so that its product
 * with q is exact in double, and no float of that size comes closer than 2^-30 to a multiple of pi/2. */
#define NEAR_F32 0x1p20f

static PERI_ALWAYS_INLINE float sin_near_shifted_f32(float x, uint32_t shift) {
  double shifted = (double)x * 0x1.45f306dc9c883p-1 + ROUNDER_F64, q = shifted - ROUNDER_F64;
  double r = ((double)x - q * 0x1.921fb544p0) - q * 0x1.0b4611a626331p-34;
  return sin_quadrant_f32((uint32_t)bits_f64(shifted) + shift, (float)r);
}

static PERI_ALWAYS_INLINE float sin_near_f32(float x) { return x == 0.0f ? x : sin_near_shifted_f32(x, 0); }
static PERI_ALWAYS_INLINE float cos_near_f32(float x) { return sin_near_shifted_f32(x, 1); }

/* M. Payne, R. Hanek, "Radian reduction for trigonometric functions", 1983: with x = m 2^e, the
 * bits of 2/pi whose product with x is a multiple of 4 are left out, and the next 128 give x 2/pi mod 4. */
__extension__ typedef unsigned __int128 wide_bits;
__extension__ typedef __int128 wide_signed;

static inline float sin_far_f32(float x, uint32_t shift) {
  static const uint64_t two_over_pi[6] = {
      0, 0xa2f9836e4e441529u, 0xfc2757d1f534ddc0u, 0xdb6295993c439041u, 0xfe5163abdebbc561u, 0xb7246e3a424dd2e0u,
  };
  if (!(__builtin_fabsf(x) < INFINITY)) return NAN;
  uint32_t bits = bits_f32(x);
  int from = (int)(bits >> 23 & 0xff) - 150 - 2 + 64; /* e - 2, after 64 zeros: x >= 2^20 gives 59 to 166 */
  const uint64_t *words = two_over_pi + from / 64;
  int offset = from % 64;
  wide_bits window = (wide_bits)words[0] << 64 | words[1];
  if (offset > 0) window = window << offset | words[2] >> (64 - offset);
  wide_bits turn = window * ((bits & 0x7fffff) | 0x800000);
  uint32_t q = (uint32_t)((turn + ((wide_bits)1 << 125)) >> 126);
  double r = (double)(wide_signed)(turn - ((wide_bits)q << 126)) * 0x1.921fb54442d18p-126;
  /* x is its size with its sign: sin(-x) = -sin(x), cos(-x) = cos(x) */
  float value = sin_quadrant_f32((q & 3) + shift, (float)r);
  return x < 0.0f && shift == 0 ? -value : value;
}

static inline float sin_f32(float x) { return __builtin_fabsf(x) < NEAR_F32 ? sin_near_f32(x) : sin_far_f32(x, 0); }
static inline float cos_f32(float x) { return __builtin_fabsf(x) < NEAR_F32 ? cos_near_f32(x) : sin_far_f32(x, 1); }

/* Sine and cosine of a part of a turn, 0 <= turn < 1. */
typedef struct circle_f32 {
  float sine, cosine;
} circle_f32;

static PERI_ALWAYS_INLINE circle_f32 circle_of_turn_f32(float turn) {
  float shifted = turn * 4.0f + ROUNDER_F32;
  float r = (turn * 4.0f - (shifted - ROUNDER_F32)) * 0x1.921fb6p0f;
  uint32_t q = bits_f32(shifted);
  return (circle_f32){sin_quadrant_f32(q, r), sin_quadrant_f32(q + 1, r)};
}

typedef struct circle_f64 {
  double sine, cosine;
} circle_f64;

static PERI_ALWAYS_INLINE double sin_poly_f64(double r) {
  double z = r * r;
  double s = madd_f64(1.58964166304916937e-10, z, -2.50507517890668991e-8);
  s = madd_f64(s, z, 2.75573136529633451e-6);
  s = madd_f64(s, z, -1.98412698297000149e-4);
  s = madd_f64(s, z, 8.33333333332228508e-3);
  s = madd_f64(s, z, -1.66666666666666315e-1);
  return madd_f64(r * z, s, r);
}

static PERI_ALWAYS_INLINE double cos_poly_f64(double r) {
  double z = r * r;
  double c = madd_f64(-1.13610159387189881e-11, z, 2.08757528622913004e-9);
  c = madd_f64(c, z, -2.75573145993039704e-7);
  c = madd_f64(c, z, 2.48015872904694626e-5);
  c = madd_f64(c, z, -1.38888888888759958e-3);
  c = madd_f64(c, z, 4.16666666666666128e-2);
  return madd_f64(z * z, c, madd_f64(-0.5, z, 1.0));
}

static PERI_ALWAYS_INLINE double sin_quadrant_f64(uint64_t q, double r) {
  double value = (q & 1) != 0 ? cos_poly_f64(r) : sin_poly_f64(r);
  return from_bits_f64(bits_f64(value) ^ (q & 2) << 62);
}

static PERI_ALWAYS_INLINE circle_f64 circle_of_turn_f64(double turn) {
  double shifted = turn * 4.0 + ROUNDER_F64;
  double r = (turn * 4.0 - (shifted - ROUNDER_F64)) * 0x1.921fb54442d18p0;
  uint64_t q = bits_f64(shifted);
  return (circle_f64){sin_quadrant_f64(q, r), sin_quadrant_f64(q + 1, r)};
}

/* ---- powers: |x|^y = 2^(y log2 |x|) in double; 1 and 2 as exponents are exact ---- */

/* log2(m) = 2 atanh(s) / ln 2 with s = (m - 1) / (m + 1) */
static PERI_ALWAYS_INLINE double log2_for_pow(double x) {
  log_parts_f64 parts = log_reduce_f64(x);
  double s = (parts.m - 1.0) / (parts.m + 1.0), z = s * s;
  double l = madd_f64(2.82933403293795137e-1, z, 3.19903427455682946e-1);
  l = madd_f64(l, z, 4.12209306276974031e-1);
  l = madd_f64(l, z, 5.77077941846017523e-1);
  l = madd_f64(l, z, 9.61796694115076157e-1);
  l = madd_f64(l, z, 2.88539008177784908);
  return madd_f64(s, l, parts.e);
}

static PERI_ALWAYS_INLINE double exp2_for_pow(double t) {
  t = t > 200.0 ? 200.0 : t;
  t = t < -200.0 ? -200.0 : t;
  double shifted = t + ROUNDER_F64, r = t - (shifted - ROUNDER_F64);
  double p = madd_f64(1.32642643980674994e-6, r, 1.53103109895243038e-5);
  p = madd_f64(p, r, 1.54034106752126705e-4);
  p = madd_f64(p, r, 1.33334496968947589e-3);
  p = madd_f64(p, r, 9.61812922995969025e-3);
  p = madd_f64(p, r, 5.55041094211645590e-2);
  p = madd_f64(p, r, 2.40226506954603690e-1);
  p = madd_f64(p, r, 6.93147180545704891e-1);
  p = madd_f64(p, r, 1.0);
  return p * from_bits_f64((bits_f64(shifted) - bits_f64(ROUNDER_F64) + 1023) << 52);
}

static PERI_ALWAYS_INLINE float pow_f32(float x, float y) {
  float size = __builtin_fabsf(x);
  double l = log2_for_pow((double)size);
  l = size == 0.0f ? -(double)INFINITY : l;
  l = size < INFINITY ? l : (double)size;
  double t = (double)y * l;
  t = size == 1.0f && y == y ? 0.0 : t; /* also where y is infinite */
  float value = (float)exp2_for_pow(t);
  float whole = round_f32(y), half = 0.5f * y;
  uint32_t odd = whole == y && round_f32(half) != half ? 0x80000000u : 0;
  value = from_bits_f32(bits_f32(value) ^ (bits_f32(x) & odd));
  value = x < 0.0f && x > -INFINITY && whole != y && y == y ? NAN : value;
  value = y == 2.0f ? x * x : value;
  value = y == 1.0f ? x : value;
  return x == 1.0f || y == 0.0f ? 1.0f : value;
}

static PERI_ALWAYS_INLINE double pow_f64(double x, double y) { return y == 2.0 ? x * x : y == 1.0 ? x : pow(x, y); }

#endif
