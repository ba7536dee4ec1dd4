/* Scalar twins of the elementwise functions for test_kernels_elementwise.c: the lines of the table once more, with the
 * C library's functions in double, and in integers that do not overflow. What a line says is held elsewhere: its value
 * by the twins of the rows in tests/spec, its derivative by their gradients. */
#ifndef ELEMENTWISE_TWINS_H
#define ELEMENTWISE_TWINS_H

#include "kernels/kernels.h"

#include <math.h>

typedef double (*twin1)(double x);
typedef double (*twin2)(double a, double b);

#define C(constant)     (constant)
#define ADD(a, b)       ((a) + (b))
#define SUB(a, b)       ((a) - (b))
#define MUL(a, b)       ((a) * (b))
#define DIV(a, b)       ((a) / (b))
#define NEG(a)          (-(a))
#define GT0(a)          ((double)((a) > 0))
#define ABS(a)          fabs(a)
#define SIGN(a)         ((a) > 0 ? 1 : (a) < 0 ? -1 : (a))
#define SQRT(a)         sqrt(a)
#define EXP(a)          exp(a)
#define EXPM1(a)        expm1(a)
#define LOG(a)          log(a)
#define LOG1P(a)        log1p(a)
#define SIN(a)          sin(a)
#define COS(a)          cos(a)
#define TANH(a)         tanh(a)
#define SIGMOID(a)      (1 / (1 + exp(-(a))))
#define RELU(a)         ((a) != (a) ? (a) : fmax(a, 0))
#define FLOOR(a)        floor(a)
#define CEIL(a)         ceil(a)
#define ROUND(a)        nearbyint(a)
#define POW(a, b)       pow(a, b)
#define FLOOR_DIV(a, b) floor((a) / (b))
#define MOD(a, b)       twin_mod(a, b)
#define MAXIMUM(a, b)   ((a) != (a) ? (a) : (b) != (b) ? (b) : fmax(a, b))
#define MINIMUM(a, b)   ((a) != (a) ? (a) : (b) != (b) ? (b) : fmin(a, b))
#define OF(name, x)     value_of_##name(x)

static double twin_mod(double a, double b) {
  double rest = fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

#define UNARY(name, kinds, cost, value, ...)                                                                           \
  static double value_of_##name(double x) { return value; }
#define BINARY(name, metamethod, kinds, value, ...)                                                                    \
  static double value_of_##name(double a, double b) { return value; }
#define COMPARE(...)
#include "kernels/elementwise.def"

/* In x alone. */
#define UNARY(name, kinds, cost, value, saves, derivative, ...)                                                        \
  static double slope_of_##name(double x) {                                                                            \
    double y = value_of_##name(x);                                                                                     \
    (void)y;                                                                                                           \
    return derivative;                                                                                                 \
  }
#define BINARY(...)
#define COMPARE(...)
#include "kernels/elementwise.def"

static const struct {
  twin1 value, slope;
} unary_twins[PERI_UNARIES] = {
#define UNARY(name, ...) [PERI_UNARY_##name] = {value_of_##name, slope_of_##name},
#define BINARY(...)
#define COMPARE(...)
#include "kernels/elementwise.def"
};
static const twin2 binary_twins[PERI_BINARIES] = {
#define UNARY(...)
#define BINARY(name, ...) [PERI_BINARY_##name] = value_of_##name,
#define COMPARE(...)
#include "kernels/elementwise.def"
};

/* ---- int64: exact, then its lowest 64 bits; NULL where the line says F ---- */

__extension__ typedef __int128 twin_integer;
typedef twin_integer (*integer_twin1)(twin_integer x);
typedef twin_integer (*integer_twin2)(twin_integer a, twin_integer b);

#undef ABS
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

#define ROWS_F(...)
#define ROWS_FI(...) __VA_ARGS__
#define UNARY(name, kinds, cost, value, ...)                                                                           \
  ROWS_##kinds(static twin_integer integer_of_##name(twin_integer x) { return value; })
#define BINARY(name, metamethod, kinds, value, ...)                                                                    \
  ROWS_##kinds(static twin_integer integer_of_##name(twin_integer a, twin_integer b) { return value; })
#define COMPARE(...)
#include "kernels/elementwise.def"

static const integer_twin1 unary_integer_twins[PERI_UNARIES] = {
#define UNARY(name, kinds, ...) ROWS_##kinds([PERI_UNARY_##name] = integer_of_##name, )
#define BINARY(...)
#define COMPARE(...)
#include "kernels/elementwise.def"
};
static const integer_twin2 binary_integer_twins[PERI_BINARIES] = {
#define UNARY(...)
#define BINARY(name, metamethod, kinds, ...) ROWS_##kinds([PERI_BINARY_##name] = integer_of_##name, )
#define COMPARE(...)
#include "kernels/elementwise.def"
};

#endif
