/* Elementary functions, written without branches so that a loop around them is vectorised. No result
 * depends on a libm, whose functions differ between systems and between processors.
 *
 * exp expm1 log log1p sin cos tanh sigmoid pow of float32 and float64, at most 2 ULP for every input, denormals,
 * infinities, NaN and signed zeros included, and the circle functions of a turn. Each reduces its argument
 * to a short interval and evaluates there a polynomial that is the best in the Chebyshev sense (computed with
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

/* What tail lacks of expm1(r), where that counts. */
static PERI_ALWAYS_INLINE float exp_rest_f32(exp_parts_f32 parts) {
  (void)parts;
  return 0.0f;
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
  double tail; /* r + bend */
  uint64_t n;
  double r, bend, r_rest;
} exp_parts_f64;

static PERI_ALWAYS_INLINE exp_parts_f64 exp_reduce_f64(double x) {
  double shifted = madd_f64(x, 0x1.71547652b82fep0, ROUNDER_F64), n = shifted - ROUNDER_F64;
  double near = madd_f64(n, -0x1.62e42fefap-1, x), r = madd_f64(n, -0x1.cf79abc9e3b3ap-40, near);
  double r_rest = madd_f64(n, -0x1.cf79abc9e3b3ap-40, near - r);
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
  return (exp_parts_f64){madd_f64(q, r * r, r), bits_f64(shifted) - bits_f64(ROUNDER_F64), r, q * (r * r), r_rest};
}

static PERI_ALWAYS_INLINE double exp_rest_f64(exp_parts_f64 parts) {
  return ((parts.r - parts.tail) + parts.bend) + madd_f64(parts.r_rest, parts.tail, parts.r_rest);
}

static PERI_ALWAYS_INLINE double exp_f64(double x) {
  x = x > 710.0 ? 710.0 : x;
  x = x < -746.0 ? -746.0 : x;
  exp_parts_f64 parts = exp_reduce_f64(x);
  uint64_t biased = parts.n + 2 * 1023, half = biased >> 1;
  return (1.0 + parts.tail) * from_bits_f64(half << 52) * from_bits_f64((biased - half) << 52);
}

/* 2^n r + (2^n - 1), of which next to nothing is lost where most of it cancels, and then the smaller term */
static PERI_ALWAYS_INLINE double expm1_f64(double x) {
  double bounded = x > 710.0 ? 710.0 : x;
  bounded = bounded < -40.0 ? -40.0 : bounded;
  exp_parts_f64 parts = exp_reduce_f64(bounded);
  double half_power = from_bits_f64((parts.n + 1022) << 52);
  double value = 2.0 * (madd_f64(half_power, parts.r, half_power - 0.5) + half_power * parts.bend);
  value = parts.n == 0 ? parts.tail : value;
  return __builtin_copysign(value, x);
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

/* e ln 2 + log(1 + f), where log(1 + f) = 2 atanh(s) = f - s (f - s^2 L(s^2)) with s = f / (2 + f) */
static PERI_ALWAYS_INLINE double log_combine_f64(double e, double f) {
  double s = f / (2.0 + f), z = s * s;
  double l = madd_f64(1.32358536179395390e-1, z, 1.32520437701910342e-1);
  l = madd_f64(l, z, 1.53869926842702298e-1);
  l = madd_f64(l, z, 1.81817782915406455e-1);
  l = madd_f64(l, z, 2.22222226073600864e-1);
  l = madd_f64(l, z, 2.85714285694123992e-1);
  l = madd_f64(l, z, 4.00000000000049010e-1);
  l = madd_f64(l, z, 6.66666666666666630e-1);
  double small = madd_f64(-s, madd_f64(-z, l, f), e * 0x1.cf79abc9e3b3ap-40);
  return madd_f64(e, 0x1.62e42fefap-1, f + small);
}

static PERI_ALWAYS_INLINE double log_f64(double x) {
  double tiny = x < 0x1p-1022 ? 1.0 : 0.0;
  log_parts_f64 parts = log_reduce_f64(tiny != 0.0 ? x * 0x1p52 : x);
  double value = log_combine_f64(parts.e - 52.0 * tiny, parts.m - 1.0);
  value = x < (double)INFINITY ? value : x;
  return x > 0.0 ? value : x == 0.0 ? -(double)INFINITY : (double)NAN;
}

/* As in float32. */
static PERI_ALWAYS_INLINE double log1p_f64(double x) {
  double u = 1.0 + x;
  log_parts_f64 parts = log_reduce_f64(u);
  uint64_t exponent = (bits_f64(u) - SQRT_HALF_F64) & 0xfff0000000000000ull;
  double scale = from_bits_f64(0x3ff0000000000000ull - exponent);
  double f = madd_f64(scale, x, scale - 1.0);
  f = parts.e > 53.0 ? parts.m - 1.0 : f;
  double value = __builtin_copysign(log_combine_f64(parts.e, f), x);
  value = x < (double)INFINITY ? value : x;
  return u > 0.0 ? value : u == 0.0 ? -(double)INFINITY : (double)NAN;
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

static const uint64_t two_over_pi[21] = {
    0,
    0xa2f9836e4e441529u,
    0xfc2757d1f534ddc0u,
    0xdb6295993c439041u,
    0xfe5163abdebbc561u,
    0xb7246e3a424dd2e0u,
    0x06492eea09d1921cu,
    0xfe1deb1cb129a73eu,
    0xe88235f52ebb4484u,
    0xe99c7026b45f7e41u,
    0x3991d639835339f4u,
    0x9c845f8bbdf9283bu,
    0x1ff897ffde05980fu,
    0xef2f118b5a0a6d1fu,
    0x6d367ecf27cb09b7u,
    0x4f463f669e5fea2du,
    0x7527bac7ebe5f17bu,
    0x3d0739f78a5292eau,
    0x6bfb5fb11f8d5d08u,
    0x56033046fc7b6babu,
    0xf0cfbc209af4361du,
};

static PERI_NOINLINE float sin_far_f32(float x, uint32_t shift) {
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

/* ---- products with their rounding error: p + product_error(a, b, p) is a b exactly, p being a b rounded ---- */

static PERI_ALWAYS_INLINE double product_error_f64(double a, double b, double p) {
  if (FUSED) return madd_f64(a, b, -p);
  /* T. Dekker, "A floating-point technique for extending the available precision", 1971 */
  double a_wide = 0x1.0000002p27 * a, a_high = a_wide - (a_wide - a), a_low = a - a_high;
  double b_wide = 0x1.0000002p27 * b, b_high = b_wide - (b_wide - b), b_low = b - b_high;
  return (((a_high * b_high - p) + a_high * b_low) + a_low * b_high) + a_low * b_low;
}

/* ---- sine and cosine in float64, near for |x| < 2^20: the first three parts of pi/2 have 33 bits each, so that their
 * products with q are exact ---- */
#define NEAR_F64 0x1p20

typedef struct pair_f64 {
  double high, low;
} pair_f64;

static PERI_ALWAYS_INLINE pair_f64 reduce_near_f64(double x, uint64_t *quadrant) {
  double shifted = x * 0x1.45f306dc9c883p-1 + ROUNDER_F64, q = shifted - ROUNDER_F64;
  double a = x - q * 0x1.921fb544p0; /* no rounding */
  double b = q * 0x1.0b4611a6p-34, r = a - b, back = r - a, rest = (a - (r - back)) - (b + back);
  double c = q * 0x1.3198a2ep-69, s = r - c, again = s - r;
  rest += (r - (s - again)) - (c + again);
  double low = rest - q * 0x1.b839a252049c1p-104, high = s + low;
  *quadrant = bits_f64(shifted);
  return (pair_f64){high, (s - high) + low};
}

static PERI_ALWAYS_INLINE double sin_near_shifted_f64(double x, uint64_t shift) {
  uint64_t q;
  pair_f64 r = reduce_near_f64(x, &q);
  return sin_quadrant_f64(q + shift, r.high);
}

static PERI_ALWAYS_INLINE double sin_near_f64(double x) { return x == 0.0 ? x : sin_near_shifted_f64(x, 0); }
static PERI_ALWAYS_INLINE double cos_near_f64(double x) { return sin_near_shifted_f64(x, 1); }

/* As in float32, with 192 bits: the product's first 128 are those of a number above 2^64, however near to a multiple of
 * pi/2 a double comes. Of the size of x; quadrants 0 to 3. */
static PERI_NOINLINE pair_f64 reduce_far_f64(double x, uint64_t *quadrant) {
  *quadrant = 0;
  if (!(__builtin_fabs(x) < (double)INFINITY)) return (pair_f64){(double)NAN, (double)NAN};
  uint64_t bits = bits_f64(x), m = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  int from = (int)(bits >> 52 & 0x7ff) - 1075 - 2 + 64; /* x >= 2^20 gives 30 to 1033 */
  const uint64_t *words = two_over_pi + from / 64;
  int offset = from % 64;
  uint64_t window[3];
  for (int i = 0; i < 3; i++) window[i] = offset > 0 ? words[i] << offset | words[i + 1] >> (64 - offset) : words[i];
  wide_bits low = (wide_bits)window[2] * m, middle = (wide_bits)window[1] * m + (low >> 64);
  uint64_t high = window[0] * m + (uint64_t)(middle >> 64), q = (high + (1ull << 61)) >> 62;
  wide_signed turn = (wide_signed)((wide_bits)(high - (q << 62)) << 64 | (uint64_t)middle);
  double t = (double)turn, t_rest = (double)(turn - (wide_signed)t);
  double p = t * 0x1.921fb54442d18p0, error = product_error_f64(t, 0x1.921fb54442d18p0, p);
  double rest = error + (t * 0x1.1a62633145c07p-54 + t_rest * 0x1.921fb54442d18p0), r = p + rest;
  *quadrant = q & 3;
  return (pair_f64){r * 0x1p-126, ((p - r) + rest) * 0x1p-126};
}

static double sin_far_f64(double x, uint64_t shift) {
  uint64_t q;
  pair_f64 r = reduce_far_f64(x, &q);
  double value = sin_quadrant_f64(q + shift, r.high);
  return x < 0.0 && shift == 0 ? -value : value;
}

static inline double sin_f64(double x) { return __builtin_fabs(x) < NEAR_F64 ? sin_near_f64(x) : sin_far_f64(x, 0); }
static inline double cos_f64(double x) { return __builtin_fabs(x) < NEAR_F64 ? cos_near_f64(x) : sin_far_f64(x, 1); }

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

/* In float64 log2 |x| has two parts, so that its product with y is good to 2^-55, and so have s, s^2 and the first two
 * coefficients of the series. */
/* x normal and positive */
static PERI_ALWAYS_INLINE pair_f64 log2_pair_f64(double x) {
  log_parts_f64 parts = log_reduce_f64(x);
  double above = parts.m - 1.0, under = parts.m + 1.0, under_rest = parts.m - (under - 1.0);
  double s = above / under, p = s * under;
  double s_rest = (((above - p) - product_error_f64(s, under, p)) - s * under_rest) / under;
  double z = s * s, z_rest = product_error_f64(s, s, z) + 2.0 * s * s_rest;
  double l = madd_f64(1.69133135187361105e-1, z, 1.68884939051897710e-1);
  l = madd_f64(l, z, 1.92380580275686e-1);
  l = madd_f64(l, z, 2.21952788299342316e-1);
  l = madd_f64(l, z, 2.62308191471094499e-1);
  l = madd_f64(l, z, 3.2059889796714027e-1);
  l = madd_f64(l, z, 4.12198583111143895e-1);
  l = madd_f64(l, z, 5.77078016355585360e-1) * z;
  double third = 0x1.ec709dc3a03fdp-1 + l, third_rest = ((0x1.ec709dc3a03fdp-1 - third) + l) + 0x1.d27f05548af0cp-55;
  double tail = z * third, tail_rest = product_error_f64(z, third, tail) + (z * third_rest + z_rest * third);
  double sum = 0x1.71547652b82fep1 + tail;
  double sum_rest = ((0x1.71547652b82fep1 - sum) + tail) + (tail_rest + 0x1.777d0ffda0d24p-55);
  double log = s * sum, log_rest = product_error_f64(s, sum, log) + (s * sum_rest + s_rest * sum);
  double high = parts.e + log, low = ((parts.e - high) + log) + log_rest;
  return (pair_f64){high + low, (high - (high + low)) + low};
}

/* 2^(t + rest), rest being small */
static PERI_ALWAYS_INLINE double exp2_pair_f64(double t, double rest) {
  double shifted = t + ROUNDER_F64, r = (t - (shifted - ROUNDER_F64)) + rest;
  double q = madd_f64(2.57378372809666211e-11, r, 4.4575378232073633e-10);
  q = madd_f64(q, r, 7.05489145167240897e-9);
  q = madd_f64(q, r, 1.01780452638952913e-7);
  q = madd_f64(q, r, 1.32154868233360396e-6);
  q = madd_f64(q, r, 1.52527338711148326e-5);
  q = madd_f64(q, r, 1.54035303933547322e-4);
  q = madd_f64(q, r, 1.33335581463741434e-3);
  q = madd_f64(q, r, 9.61812910762848664e-3);
  q = madd_f64(q, r, 5.55041086648218713e-2);
  q = madd_f64(q, r, 2.40226506959100712e-1);
  q = madd_f64(q, r, 6.93147180559945307e-1);
  uint64_t biased = bits_f64(shifted) - bits_f64(ROUNDER_F64) + 2 * 1023, half = biased >> 1;
  return madd_f64(q, r, 1.0) * from_bits_f64(half << 52) * from_bits_f64((biased - half) << 52);
}

static PERI_ALWAYS_INLINE double pow_f64(double x, double y) {
  double size = __builtin_fabs(x), tiny = size < 0x1p-1022 ? 1.0 : 0.0;
  pair_f64 l = log2_pair_f64(tiny != 0.0 ? size * 0x1p52 : size);
  double log = l.high - 52.0 * tiny, log_rest = l.low + ((l.high - log) - 52.0 * tiny);
  log = size == 0.0 ? -(double)INFINITY : log;
  bool ends = !(size > 0.0 && size < (double)INFINITY);
  log = size == 0.0 || !ends ? log : size;
  /* beyond 2^65 every power but those of 1 overflows or is zero */
  double bounded = y > 0x1p65 ? 0x1p65 : y;
  bounded = bounded < -0x1p65 ? -0x1p65 : bounded;
  double t = bounded * log, rest = madd_f64(bounded, log_rest, product_error_f64(bounded, log, t));
  rest = ends || !(__builtin_fabs(t) < 1100.0) ? 0.0 : rest;
  t = t > 1100.0 ? 1100.0 : t;
  t = t < -1100.0 ? -1100.0 : t;
  double value = exp2_pair_f64(t, rest);
  double whole = round_f64(y), half = 0.5 * y;
  uint64_t odd = whole == y && round_f64(half) != half ? 0x8000000000000000ull : 0;
  value = from_bits_f64(bits_f64(value) ^ (bits_f64(x) & odd));
  value = x < 0.0 && x > -(double)INFINITY && whole != y && y == y ? (double)NAN : value;
  value = y == 2.0 ? x * x : value;
  value = y == 1.0 ? x : value;
  return x == 1.0 || y == 0.0 ? 1.0 : value;
}

#endif
