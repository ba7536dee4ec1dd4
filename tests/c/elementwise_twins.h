/* Scalar twins of the elementwise functions for test_kernels_elementwise.c: the lines of the table once more, with the
 * C library's functions in double, and in integers that do not overflow. What a line says is held elsewhere: its value
 * by the twins of the rows in tests/spec, its derivative by their gradients. */
#ifndef ELEMENTWISE_TWINS_H
#define ELEMENTWISE_TWINS_H

#include "kernels/kernels.h"

#include <float.h>
#include <math.h>

typedef double (*twin1)(double x);
typedef double (*twin2)(double a, double b);
typedef double (*tuned_twin)(double x, double p, double q, double r);

#define C(constant)          (constant)
#define ADD(a, b)            ((a) + (b))
#define SUB(a, b)            ((a) - (b))
#define MUL(a, b)            ((a) * (b))
#define DIV(a, b)            ((a) / (b))
#define NEG(a)               (-(a))
#define GT0(a)               ((double)((a) > 0))
#define ABS(a)               fabs(a)
#define SIGN(a)              ((a) > 0 ? 1 : (a) < 0 ? -1 : (a))
#define SQRT(a)              sqrt(a)
#define EXP(a)               exp(a)
#define EXPM1(a)             expm1(a)
#define LOG(a)               log(a)
#define LOG1P(a)             log1p(a)
#define SIN(a)               sin(a)
#define COS(a)               cos(a)
#define TAN(a)               tan(a)
#define TANH(a)              tanh(a)
#define SIGMOID(a)           (1 / (1 + exp(-(a))))
#define RELU(a)              ((a) != (a) ? (a) : fmax(a, 0))
#define FLOOR(a)             floor(a)
#define CEIL(a)              ceil(a)
#define ROUND(a)             nearbyint(a)
#define POW(a, b)            pow(a, b)
#define TRUNC(a)             trunc(a)
#define EXP2(a)              exp2(a)
#define LOG2(a)              log2(a)
#define LOG10(a)             log10(a)
#define CBRT(a)              cbrt(a)
#define ASIN(a)              asin(a)
#define ACOS(a)              acos(a)
#define ATAN(a)              atan(a)
#define SINH(a)              sinh(a)
#define COSH(a)              cosh(a)
#define ASINH(a)             asinh(a)
#define ACOSH(a)             acosh(a)
#define ATANH(a)             atanh(a)
#define ERF(a)               erf(a)
#define ERFC(a)              erfc(a)
#define LGAMMA(a)            lgamma(a)
#define SINC(a)              twin_sinc(a)
#define ERFINV(a)            twin_erfinv(a)
#define DIGAMMA(a)           twin_polygamma(0, a)
#define TRIGAMMA(a)          twin_polygamma(1, a)
#define TETRAGAMMA(a)        twin_polygamma(2, a)
#define SILU(a)              twin_times(a, 1 / (1 + expl(-(long double)(a))))
#define NORMAL_CDF(a)        (0.5 * (double)erfcl(-(long double)(a)*0.7071067811865475244L))
#define GELU(a)              twin_times(a, 0.5L * erfcl(-(long double)(a)*0.7071067811865475244L))
#define GELU_TANH(a)         twin_times(a, twin_gate(a))
#define SOFTPLUS(a)          ((a) > 0 ? (a) + log1p(exp(-(a))) : log1p(exp(a)))
#define LOGSIGMOID(a)        (-SOFTPLUS(-(a)))
#define MISH(a)              twin_times(a, tanhl(log1pl(expl((long double)(a)))))
#define ATAN2(a, b)          atan2(a, b)
#define HYPOT(a, b)          hypot(a, b)
#define LOGADDEXP(a, b)      twin_logaddexp(a, b)
#define XLOGY(a, b)          ((a) == 0 && (b) == (b) ? 0 : (a)*log(b))
#define FMOD(a, b)           fmod(a, b)
#define COPYSIGN(a, b)       copysign(a, b)
#define FMAX(a, b)           fmax(a, b)
#define FMIN(a, b)           fmin(a, b)
#define LARGEST              DBL_MAX
#define IS_NUMBER(a)         ((a) == (a))
#define FLOOR_DIV(a, b)      floor((a) / (b))
#define MOD(a, b)            twin_mod(a, b)
#define MAXIMUM(a, b)        ((a) != (a) ? (a) : (b) != (b) ? (b) : fmax(a, b))
#define MINIMUM(a, b)        ((a) != (a) ? (a) : (b) != (b) ? (b) : fmin(a, b))
#define IF_GT(x, t, yes, no) ((x) > (t) ? (yes) : (no))
#define OF(name, x)          value_of_##name(x)

/* An infinity times 0 is 0 far out on the left, where the other factor vanishes. */
static double twin_times(double x, long double factor) {
  return factor == 0 && isinf(x) ? -0.0 : (double)((long double)x * factor);
}

static long double twin_gate(double x) {
  long double cubic = (long double)x * x * x;
  return 1 / (1 + expl(-1.595769121605730711759542L * ((long double)x + 0.044715L * cubic)));
}

static double twin_sinc(double x) {
  const long double pi = 3.14159265358979323846264338327950288L;
  if (isinf(x) || x == 0) return x == 0;
  long double rest = remainderl((long double)x, 2); /* sin(pi x) is that of the rest, and of 1 - rest */
  if (fabsl(rest) > 0.5L) rest = copysignl(1, rest) - rest;
  return (double)(sinl(pi * rest) / (pi * (long double)x));
}

/* Newton's method from 0, which approaches the solution from below. */
static double twin_erfinv(double x) {
  long double size = fabsl((long double)x), y = 0;
  if (!(size < 1)) return size == 1 ? x * HUGE_VAL : NAN;
  for (int i = 0; i < 500; i++) y += (size - erfl(y)) * 0.886226925452758013649083741670572591L * expl(y * y);
  return copysign((double)y, x);
}

/* The derivatives of log gamma from the first on: by recurrence to 40, and there the asymptotic series. */
static double twin_polygamma(int order, double x) {
  long double sum = 0, t = (long double)x;
  if (x == 0) return order == 0 ? copysign(HUGE_VAL, -x) : order == 1 ? HUGE_VAL : -HUGE_VAL;
  if (x < 0 && floor(x) == x) return NAN;
  for (; t < 40; t++) sum += order == 0 ? -1 / t : order == 1 ? 1 / (t * t) : -2 / (t * t * t);
  long double z = 1 / (t * t), log = logl(t);
  if (isinf(x)) return order == 0 ? x : order == 1 ? 0 : -0.0;
  if (order == 0) return (double)(sum + log - 0.5L / t - z / 12 + z * z / 120 - z * z * z / 252 + z * z * z * z / 240);
  if (order == 1)
    return (double)(sum + 1 / t + z / 2 + z / t / 6 - z * z / t / 30 + z * z * z / t / 42 - z * z * z * z / t / 30);
  return (double)(sum - z - z / t - z * z / 2 + z * z * z / 6 - z * z * z * z / 6 + 3 * z * z * z * z * z / 10);
}

static double twin_logaddexp(double a, double b) {
  if (a != a || b != b) return NAN;
  double larger = fmax(a, b), smaller = fmin(a, b);
  return larger == smaller ? larger + 0.693147180559945309417 : larger + log1p(exp(smaller - larger));
}

static double twin_mod(double a, double b) {
  double rest = fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

#define UNARY(name, kinds, cost, value, ...)                                                                           \
  static double value_of_##name(double x) { return value; }
#define ROWS_F(...)  __VA_ARGS__
#define ROWS_FI(...) __VA_ARGS__
#define ROWS_I(...)
#define BINARY(name, metamethod, kinds, cost, value, ...)                                                              \
  ROWS_##kinds(static double value_of_##name(double a, double b) { return value; })
#define TUNED(name, params, cost, value, ...)                                                                          \
  static double value_of_##name(double x, double p, double q, double r) {                                              \
    (void)p, (void)q, (void)r;                                                                                         \
    return value;                                                                                                      \
  }
#include "kernels/elementwise.def"

/* In x alone. */
#define UNARY(name, kinds, cost, value, saves, derivative, ...)                                                        \
  static double slope_of_##name(double x) {                                                                            \
    double y = value_of_##name(x);                                                                                     \
    (void)y;                                                                                                           \
    return derivative;                                                                                                 \
  }
#define TUNED(name, params, cost, value, derivative, ...)                                                              \
  static double slope_of_##name(double x, double p, double q, double r) {                                              \
    (void)p, (void)q, (void)r;                                                                                         \
    return derivative;                                                                                                 \
  }
#include "kernels/elementwise.def"

static const struct {
  tuned_twin value, slope;
} tuned_twins[PERI_TUNEDS] = {
#define TUNED(name, ...) [PERI_TUNED_##name] = {value_of_##name, slope_of_##name},
#include "kernels/elementwise.def"
};

static const struct {
  twin1 value, slope;
} unary_twins[PERI_UNARIES] = {
#define UNARY(name, ...) [PERI_UNARY_##name] = {value_of_##name, slope_of_##name},
#include "kernels/elementwise.def"
};
static const twin2 binary_twins[PERI_BINARIES] = {
#define BINARY(name, metamethod, kinds, ...) ROWS_##kinds([PERI_BINARY_##name] = value_of_##name, )
#include "kernels/elementwise.def"
};
#undef ROWS_F
#undef ROWS_FI
#undef ROWS_I

/* ---- int64: exact, then its lowest 64 bits; NULL where the line says F ---- */

__extension__ typedef __int128 twin_integer;
typedef twin_integer (*integer_twin1)(twin_integer x);
typedef twin_integer (*integer_twin2)(twin_integer a, twin_integer b);

#undef ABS
#undef TRUNC
#undef FMOD
#undef FMAX
#undef FMIN
#undef RELU
#undef FLOOR
#undef CEIL
#undef ROUND
#undef POW
#undef FLOOR_DIV
#undef MOD
#undef MAXIMUM
#undef MINIMUM
#define ABS(a)          ((a) < 0 ? -(a) : (a))
#define RELU(a)         MAXIMUM(a, 0)
#define FLOOR(a)        (a)
#define CEIL(a)         (a)
#define ROUND(a)        (a)
#define POW(a, b)       integer_power(a, b)
#define FLOOR_DIV(a, b) integer_quotient(a, b)
#define MOD(a, b)       ((a)-integer_quotient(a, b) * (b))
#define MAXIMUM(a, b)   ((a) > (b) ? (a) : (b))
#define MINIMUM(a, b)   ((a) < (b) ? (a) : (b))

/* By b multiplications. */
static twin_integer integer_power(twin_integer a, twin_integer b) {
  uint64_t power = 1;
  for (twin_integer i = 0; i < b; i++) power *= (uint64_t)a;
  return (twin_integer)power;
}

static twin_integer integer_quotient(twin_integer a, twin_integer b) {
  twin_integer quotient = a / b;
  return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

#define TRUNC(a)          (a)
#define FMOD(a, b)        ((a) % (b))
#define FMAX(a, b)        MAXIMUM(a, b)
#define FMIN(a, b)        MINIMUM(a, b)
#define BIT_AND(a, b)     ((a) & (b))
#define BIT_OR(a, b)      ((a) | (b))
#define BIT_XOR(a, b)     ((a) ^ (b))
#define SHIFT_LEFT(a, b)  ((b) > 63 ? 0 : (a) * ((twin_integer)1 << (b)))
#define SHIFT_RIGHT(a, b) integer_quotient(a, (twin_integer)1 << MINIMUM(b, 100))
#define GCD(a, b)         integer_divisor(a, b)
#define LCM(a, b)         ((a) == 0 || (b) == 0 ? 0 : ABS(a) / integer_divisor(a, b) * ABS(b))

static twin_integer integer_divisor(twin_integer a, twin_integer b) {
  return b == 0 ? ABS(a) : integer_divisor(b, a % b);
}

#define ROWS_F(...)
#define ROWS_FI(...) __VA_ARGS__
#define ROWS_I(...)  __VA_ARGS__
#define UNARY(name, kinds, cost, value, ...)                                                                           \
  ROWS_##kinds(static twin_integer integer_of_##name(twin_integer x) { return value; })
#define BINARY(name, metamethod, kinds, cost, value, ...)                                                              \
  ROWS_##kinds(static twin_integer integer_of_##name(twin_integer a, twin_integer b) { return value; })
#include "kernels/elementwise.def"

static const integer_twin1 unary_integer_twins[PERI_UNARIES] = {
#define UNARY(name, kinds, ...) ROWS_##kinds([PERI_UNARY_##name] = integer_of_##name, )
#include "kernels/elementwise.def"
};
static const integer_twin2 binary_integer_twins[PERI_BINARIES] = {
#define BINARY(name, metamethod, kinds, ...) ROWS_##kinds([PERI_BINARY_##name] = integer_of_##name, )
#include "kernels/elementwise.def"
};

#endif
