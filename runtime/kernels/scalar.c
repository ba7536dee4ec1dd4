/* See scalar.h. */
#define PERI_SCALAR
#include "kernels/scalar.h"

#include "kernels/mathfun.h"

double peri_exp(double x) { return exp_f64(x); }
double peri_log(double x) { return log_f64(x); }
double peri_log1p(double x) { return log1p_f64(x); }
double peri_sin(double x) { return sin_f64(x); }
double peri_cos(double x) { return cos_f64(x); }
double peri_pow(double x, double y) { return pow_f64(x, y); }

double peri_binade(double x) {
  double size = fabs(x);
  if (size < 0x1p-1022) { /* its bits are a whole number, and the binade's are the highest of them */
    uint64_t bits = bits_f64(size);
    while ((bits & (bits - 1)) != 0) bits &= bits - 1;
    return from_bits_f64(bits);
  }
  return from_bits_f64(bits_f64(size) & 0x7ff0000000000000ull);
}

double peri_hypot(double x, double y) {
  double largest = peri_larger(fabs(x), fabs(y));
  if (largest == 0 || !(largest < (double)INFINITY)) return fabs(x) + fabs(y);
  double scale = peri_binade(largest); /* divided by it, nothing is rounded that counts */
  double a = x / scale, b = y / scale;
  return sqrt(a * a + b * b) * scale;
}

/* G. Box, M. Muller, "A note on the generation of random normal deviates", 1958. The radius takes its
 * uniform number from (0, 1], so that its logarithm is finite. */
double peri_stream_normal(peri_stream *stream) {
  uint32_t words[4];
  peri_philox(stream->seed, peri_stream_take(stream, 1), words);
  uint64_t first = words[0] | (uint64_t)words[1] << 32, second = words[2] | (uint64_t)words[3] << 32;
  double u = (double)((first >> 11) + 1) * 0x1p-53, turn = (double)(second >> 11) * 0x1p-53;
  return sqrt(-2 * log_f64(u)) * circle_of_turn_f64(turn).cosine;
}

/* 1 + 5 + 10 bits. A subnormal number is one of so many 2^-24, which is a normal float. */
float peri_float_of_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
  float value;
  if (exponent == 31) bits = sign | 0x7f800000 | fraction << 13;
  if (exponent == 0) {
    value = (float)fraction * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  memcpy(&value, &bits, sizeof value);
  return value;
}
