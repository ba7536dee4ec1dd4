/* The largest errors of the elementwise functions of one argument, in units of the last place, on the instruction set
 * that PERILUNE_ISA names or the best that there is:
 *
 *   accuracy [count] [stride] [name ...]
 *
 * float64 against MPFR on `count` arguments (20000), over all exponents and around what is special: what libm's long
 * double, which is right to a fraction of a unit of double, shows to be below the largest error so far is not computed
 * again, so that 10^8 arguments take minutes; float32 against
 * float64, which has just been measured, on every `stride`-th of all 2^32 arguments (1021; 1 is all of them). Fails
 * where an error is larger than 2 units; of functions with zeros that are no floats the error counts beside 1 there,
 * and both are printed. */
#include "kernels/kernels.h"

#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 320 /* bits */
#define BATCH  4096

typedef void (*reference)(mpfr_t y, mpfr_t x);

static mpfr_t t, u;

#define SAME(name, function)                                                                                           \
  static void ref_##name(mpfr_t y, mpfr_t x) { function(y, x, MPFR_RNDN); }
SAME(exp, mpfr_exp)
SAME(expm1, mpfr_expm1)
SAME(log, mpfr_log)
SAME(log1p, mpfr_log1p)
SAME(sin, mpfr_sin)
SAME(cos, mpfr_cos)
SAME(tanh, mpfr_tanh)
SAME(exp2, mpfr_exp2)
SAME(log2, mpfr_log2)
SAME(log10, mpfr_log10)
SAME(cbrt, mpfr_cbrt)
SAME(tan, mpfr_tan)
SAME(asin, mpfr_asin)
SAME(acos, mpfr_acos)
SAME(atan, mpfr_atan)
SAME(sinh, mpfr_sinh)
SAME(cosh, mpfr_cosh)
SAME(asinh, mpfr_asinh)
SAME(acosh, mpfr_acosh)
SAME(atanh, mpfr_atanh)
SAME(erf, mpfr_erf)
SAME(erfc, mpfr_erfc)
SAME(digamma, mpfr_digamma)

static void ref_lgamma(mpfr_t y, mpfr_t x) {
  int sign;
  mpfr_lgamma(y, &sign, x, MPFR_RNDN);
}

/* 1 / (1 + e^-x) */
static void ref_sigmoid(mpfr_t y, mpfr_t x) {
  mpfr_neg(t, x, MPFR_RNDN);
  mpfr_exp(t, t, MPFR_RNDN);
  mpfr_add_ui(t, t, 1, MPFR_RNDN);
  mpfr_ui_div(y, 1, t, MPFR_RNDN);
}

/* x f(x), where the product with -infinity is 0 */
static void times_x(mpfr_t y, mpfr_t x) {
  if (mpfr_inf_p(x) && mpfr_sgn(x) < 0) {
    mpfr_set_zero(y, -1);
  } else {
    mpfr_mul(y, y, x, MPFR_RNDN);
  }
}

static void ref_silu(mpfr_t y, mpfr_t x) {
  ref_sigmoid(y, x);
  times_x(y, x);
}

/* log(1 + e^x) */
static void softplus(mpfr_t y, mpfr_t x) {
  if (mpfr_cmp_ui(x, 1000) > 0) {
    mpfr_set(y, x, MPFR_RNDN);
    return;
  }
  mpfr_exp(t, x, MPFR_RNDN);
  mpfr_log1p(y, t, MPFR_RNDN);
}

static void ref_logsigmoid(mpfr_t y, mpfr_t x) {
  mpfr_neg(u, x, MPFR_RNDN);
  softplus(y, u);
  mpfr_neg(y, y, MPFR_RNDN);
}

static void ref_mish(mpfr_t y, mpfr_t x) {
  softplus(y, x);
  mpfr_tanh(y, y, MPFR_RNDN);
  times_x(y, x);
}

static void ref_normal_cdf(mpfr_t y, mpfr_t x) {
  mpfr_sqrt_ui(t, 2, MPFR_RNDN);
  mpfr_div(t, x, t, MPFR_RNDN);
  mpfr_neg(t, t, MPFR_RNDN);
  mpfr_erfc(y, t, MPFR_RNDN);
  mpfr_div_ui(y, y, 2, MPFR_RNDN);
}

static void ref_gelu_none(mpfr_t y, mpfr_t x) {
  ref_normal_cdf(y, x);
  times_x(y, x);
}

static void ref_gelu_tanh(mpfr_t y, mpfr_t x) {
  mpfr_set_str(u, "0.044715", 10, MPFR_RNDN);
  mpfr_sqr(t, x, MPFR_RNDN);
  mpfr_mul(u, u, t, MPFR_RNDN);
  mpfr_add_ui(u, u, 1, MPFR_RNDN);
  mpfr_mul(u, u, x, MPFR_RNDN);
  mpfr_const_pi(t, MPFR_RNDN);
  mpfr_ui_div(t, 8, t, MPFR_RNDN);
  mpfr_sqrt(t, t, MPFR_RNDN);
  mpfr_mul(u, u, t, MPFR_RNDN);
  ref_sigmoid(y, u);
  times_x(y, x);
}

static void ref_sinc(mpfr_t y, mpfr_t x) {
  if (mpfr_zero_p(x)) {
    mpfr_set_ui(y, 1, MPFR_RNDN);
    return;
  }
  mpfr_const_pi(t, MPFR_RNDN);
  mpfr_mul(t, t, x, MPFR_RNDN);
  mpfr_sin(y, t, MPFR_RNDN);
  mpfr_div(y, y, t, MPFR_RNDN);
  if (mpfr_integer_p(x) || mpfr_inf_p(x)) mpfr_set_zero(y, 1);
}

/* A step of Newton's method from what was computed, which is nearly exact. */
static double inverse_of;
static void ref_erfinv(mpfr_t y, mpfr_t x) {
  if (!(fabs(inverse_of) > 0 && fabs(inverse_of) < (double)INFINITY)) {
    mpfr_set_d(y, inverse_of, MPFR_RNDN);
    return;
  }
  mpfr_set_d(u, inverse_of, MPFR_RNDN);
  mpfr_erf(y, u, MPFR_RNDN);
  mpfr_sub(y, x, y, MPFR_RNDN);
  mpfr_sqr(t, u, MPFR_RNDN);
  mpfr_exp(t, t, MPFR_RNDN);
  mpfr_mul(y, y, t, MPFR_RNDN);
  mpfr_const_pi(t, MPFR_RNDN);
  mpfr_sqrt(t, t, MPFR_RNDN);
  mpfr_mul(y, y, t, MPFR_RNDN);
  mpfr_div_ui(y, y, 2, MPFR_RNDN);
  mpfr_add(y, y, u, MPFR_RNDN);
}

/* ---- long double ---- */

#define PI_L      3.14159265358979323846264338327950288L
#define ROOT_HALF 0.707106781186547524400844362104849039L

static long double rough_sigmoid(long double x) { return 1 / (1 + expl(-x)); }
static long double rough_silu(long double x) { return x * rough_sigmoid(x); }
static long double rough_softplus(long double x) { return x > 1000 ? x : log1pl(expl(x)); }
static long double rough_logsigmoid(long double x) { return -rough_softplus(-x); }
static long double rough_mish(long double x) { return x * tanhl(rough_softplus(x)); }

/* erfc(-x / sqrt(2)) / 2, and what the argument's rounding does to it */
static long double rough_normal_cdf(long double x) {
  const long double a = -x * ROOT_HALF, lost = -fmal(x, ROOT_HALF, a);
  return (erfcl(a) - 2 / sqrtl(PI_L) * expl(-a * a) * lost) / 2;
}
static long double rough_gelu_none(long double x) { return x * rough_normal_cdf(x); }
static long double gelu_argument(long double x) { return sqrtl(8 / PI_L) * x * (1 + 0.044715L * x * x); }
static long double rough_gelu_tanh(long double x) { return x * rough_sigmoid(gelu_argument(x)); }

static long double rough_sinc(long double x) {
  long double d = x - 2 * rintl(x / 2); /* exact, as is what follows */
  d = d > 0.5L ? 1 - d : d < -0.5L ? -1 - d : d;
  return x == 0 ? 1 : sinl(PI_L * d) / (PI_L * x);
}

static long double rough_erfinv(long double x) {
  const long double guess = (long double)inverse_of, size = fabsl(x);
  const long double apart = size > 0.5L ? erfcl(fabsl(guess)) - (1 - size) : size - erfl(fabsl(guess));
  return guess + (x < 0 ? -1 : 1) * apart * sqrtl(PI_L) / 2 * expl(guess * guess);
}

/* Units of double by which a rough value may be wrong. */
#define SLACK 0.05
static double slack_of(peri_unary_id id, double x) {
  return id == PERI_UNARY_gelu_tanh && x < 0 ? SLACK + (double)fabsl(gelu_argument((long double)x)) / 512 : SLACK;
}

static const struct function {
  const char *name;
  peri_unary_id id;
  reference exact;
  bool zeros;                          /* that are no floats: near them an absolute error counts */
  long double (*rough)(long double x); /* or NULL */
} functions[] = {
#define F(name, zeros, rough)                                                                                          \
  { #name, PERI_UNARY_##name, ref_##name, zeros, rough }
    F(exp, false, expl),
    F(expm1, false, expm1l),
    F(log, false, logl),
    F(log1p, false, log1pl),
    F(sin, false, sinl),
    F(cos, false, cosl),
    F(tanh, false, tanhl),
    F(sigmoid, false, rough_sigmoid),
    F(exp2, false, exp2l),
    F(log2, false, log2l),
    F(log10, false, log10l),
    F(cbrt, false, cbrtl),
    F(tan, false, tanl),
    F(asin, false, asinl),
    F(acos, false, acosl),
    F(atan, false, atanl),
    F(sinh, false, sinhl),
    F(cosh, false, coshl),
    F(asinh, false, asinhl),
    F(acosh, false, acoshl),
    F(atanh, false, atanhl),
    F(sinc, false, rough_sinc),
    F(erf, false, erfl),
    F(erfc, false, erfcl),
    F(erfinv, false, rough_erfinv),
    F(lgamma, true, lgammal),
    F(digamma, true, NULL),
    F(silu, false, rough_silu),
    F(mish, false, rough_mish),
    F(logsigmoid, false, rough_logsigmoid),
    F(normal_cdf, false, rough_normal_cdf),
    F(gelu_none, false, rough_gelu_none),
    F(gelu_tanh, false, rough_gelu_tanh),
};

typedef struct worst {
  double error, at;
} worst;

static void note(worst *w, double error, double x) {
  if (error > w->error) *w = (worst){error, x};
}

/* How large what cancels to a small value is: log|x| in digamma, and left of 0 |x| log|x| in lgamma. */
static double terms(const struct function *f, double x) {
  double size = fabs(x), log_of = fabs(log(size > 2 ? size : 2));
  if (f->id == PERI_UNARY_digamma) return log_of > 1 ? log_of : 1;
  return f->id == PERI_UNARY_lgamma && x < 0 && size > 2 ? size * log_of : 1;
}

/* ---- float64 ---- */

static double random_unit(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

static double argument(uint64_t *state, int64_t i) {
  double x = random_unit(state), sign = random_unit(state) < 0.5 ? -1 : 1;
  switch (i % 8) {
  case 0:
    return sign * x;
  case 1:
    return sign * (1 + (x - 0.5) * exp2(-30 * random_unit(state)));
  case 2:
    return sign * x * 6;
  case 3:
    return sign * x * 40;
  case 4:
    return sign * x * 760;
  case 5:
    return sign * exp2(-40 * x);
  default:
    return sign * (1 + x) * exp2(floor(random_unit(state) * 2097) - 1074);
  }
}

static double unit_of(double x) {
  int exponent;
  frexp(x, &exponent);
  return ldexp(1, exponent - 53 < -1074 ? -1074 : exponent - 53);
}

/* Whether the error is known to be no larger than what was met before. */
static bool is_passed(const struct function *f, double x, double value, const worst *ulp, const worst *beside_terms) {
  if (f->rough == NULL) return false;
  inverse_of = value;
  const long double rough = f->rough((long double)x), size = fabsl(rough);
  if (rough != rough || value != value) return false;
  if (size > 0x1.0000001p1024L || size < 0x1p-1077L)
    return isinf(value) ? size > 1 && (value > 0) == (rough > 0) : value == 0 && size < 1;
  if (size < 0x1p-1021L || size > 0x1.fffffffffffp1023L) return false;
  const double unit = unit_of((double)rough), apart = (double)fabsl((long double)value - rough);
  const double error = apart / unit + slack_of(f->id, x);
  const double floor_of = terms(f, x) * 0x1p-53;
  return error <= ulp->error &&
         (!f->zeros || apart / (unit > floor_of ? unit : floor_of) + SLACK <= beside_terms->error);
}

/* Units of the last place of the nearest double, and of numbers of size 1. */
static void compare_f64(const struct function *f, double x, double value, mpfr_t exact, mpfr_t argument_of, worst *ulp,
                        worst *beside_terms) {
  if (is_passed(f, x, value, ulp, beside_terms)) return;
  mpfr_set_d(argument_of, x, MPFR_RNDN);
  inverse_of = value;
  f->exact(exact, argument_of);
  double nearest = mpfr_get_d(exact, MPFR_RNDN);
  if (nearest != nearest || value != value) {
    bool pole = f->zeros && x <= 0 && floor(x) == x; /* MPFR has other signs there */
    if ((nearest != nearest) != (value != value) && !pole) note(ulp, INFINITY, x);
    return;
  }
  if (nearest == value && (nearest == 0 || isinf(nearest))) return;
  if (isinf(nearest) || isinf(value)) {
    bool limit = fabs(nearest) == (double)INFINITY ? fabs(value) == 0x1.fffffffffffffp1023
                                                   : fabs(nearest) == 0x1.fffffffffffffp1023;
    note(ulp, limit ? 1 : INFINITY, x);
    return;
  }
  mpfr_sub_d(exact, exact, value, MPFR_RNDN);
  double unit = unit_of(nearest), apart = fabs(mpfr_get_d(exact, MPFR_RNDN));
  if (unit == 0x1p-1074) apart = fabs(value - nearest); /* a double holds no less */
  note(ulp, apart / unit, x);
  note(beside_terms, apart / (unit > terms(f, x) * 0x1p-53 ? unit : terms(f, x) * 0x1p-53), x);
}

static void measure_f64(const struct function *f, const peri_elementwise_kernels *kernels, int64_t count, worst *ulp,
                        worst *beside_terms) {
  static const double edges[] = {0.0,
                                 1.0,
                                 2.0,
                                 0.5,
                                 0.25,
                                 3.0,
                                 0x1p-1074,
                                 0x1p-1022,
                                 1e-300,
                                 0x1p-27,
                                 0x1p27,
                                 709.78,
                                 710.4758,
                                 745.13,
                                 26.543,
                                 27.2,
                                 38.4,
                                 0x1.fffffffffffffp1023,
                                 INFINITY,
                                 NAN,
                                 22.0,
                                 0x1.fffffffffffffp-1,
                                 0x1.0000000000001p0,
                                 0x1p53,
                                 0x1p60,
                                 1e17};
  static double x[BATCH], y[BATCH];
  uint64_t state = 5;
  mpfr_t exact, own;
  mpfr_inits2(DIGITS, exact, own, (mpfr_ptr)0);
  for (int64_t from = 0; from < count; from += BATCH) {
    int64_t n = 0, some = (int64_t)(sizeof edges / sizeof *edges);
    while (n < BATCH && from + n < count) {
      int64_t i = from + n;
      x[n++] = i < 2 * some ? (i % 2 ? -1 : 1) * edges[i / 2] : argument(&state, i);
    }
    kernels->unary[f->id][PERI_FLOAT64](n, (char *)y, 8, (const char *)x, 8);
    for (int64_t i = 0; i < n; i++) compare_f64(f, x[i], y[i], exact, own, ulp, beside_terms);
  }
  mpfr_clears(exact, own, (mpfr_ptr)0);
}

/* ---- float32 ---- */

static void compare_f32(const struct function *f, float x, float value, double exact, worst *ulp, worst *beside_terms) {
  float nearest = (float)exact;
  if (nearest != nearest || value != value) {
    if ((nearest != nearest) != (value != value)) note(ulp, INFINITY, (double)x);
    return;
  }
  if (nearest == value) { /* within half a unit, and the usual case */
    note(ulp, 0.5, (double)x);
    note(beside_terms, 0.5, (double)x);
    return;
  }
  if (isinf(nearest) || isinf(value)) {
    bool limit = fabsf(isinf(nearest) ? value : nearest) == 0x1.fffffep127f;
    note(ulp, limit ? 1 : INFINITY, (double)x);
    return;
  }
  int exponent;
  frexp(exact, &exponent);
  double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24), apart = fabs((double)value - exact);
  note(ulp, apart / unit, (double)x);
  double floor_of = terms(f, (double)x) * 0x1p-24;
  note(beside_terms, apart / (unit > floor_of ? unit : floor_of), (double)x);
}

static void measure_f32(const struct function *f, const peri_elementwise_kernels *kernels, uint64_t stride, worst *ulp,
                        worst *beside_terms) {
  static float x[BATCH], y[BATCH];
  static double wide[BATCH], exact[BATCH];
  for (uint64_t from = 0; from < (uint64_t)1 << 32; from += stride * BATCH) {
    int64_t n = 0;
    for (; n < BATCH && from + stride * (uint64_t)n < (uint64_t)1 << 32; n++) {
      uint32_t bits = (uint32_t)(from + stride * (uint64_t)n);
      memcpy(&x[n], &bits, sizeof bits);
      wide[n] = (double)x[n];
    }
    kernels->unary[f->id][PERI_FLOAT32](n, (char *)y, 4, (const char *)x, 4);
    kernels->unary[f->id][PERI_FLOAT64](n, (char *)exact, 8, (const char *)wide, 8);
    for (int64_t i = 0; i < n; i++) compare_f32(f, x[i], y[i], exact[i], ulp, beside_terms);
  }
}

static bool wanted(const char *name, int n, char **names) {
  for (int i = 0; i < n; i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return n <= 0;
}

int main(int argc, char **argv) {
  int64_t count = argc > 1 ? atoll(argv[1]) : 20000;
  uint64_t stride = argc > 2 ? strtoull(argv[2], NULL, 10) : 1021;
  if (count < 0 || stride < 1) {
    fprintf(stderr, "usage: accuracy [count] [stride] [name ...]\n");
    return 2;
  }
  const peri_kernels *kernels = peri_kernels_select();
  int failures = 0;
  mpfr_inits2(DIGITS, t, u, (mpfr_ptr)0);
  printf("%s: float64 on %lld arguments, float32 on every %llu-th; units of the last place\n", kernels->name,
         (long long)count, (unsigned long long)stride);
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
    const struct function *f = &functions[k];
    if (!wanted(f->name, argc - 3, argv + 3)) continue;
    worst ulp[2] = {{0, 0}, {0, 0}}, one[2] = {{0, 0}, {0, 0}};
    measure_f64(f, kernels->elementwise, count, &ulp[0], &one[0]);
    measure_f32(f, kernels->elementwise, stride, &ulp[1], &one[1]);
    printf("%-12s float64 %6.3f at %-24a float32 %6.3f at %-16a", f->name, ulp[0].error, ulp[0].at, ulp[1].error,
           ulp[1].at);
    if (f->zeros) printf(" beside the terms: %.3f at %a, %.3f at %a", one[0].error, one[0].at, one[1].error, one[1].at);
    bool right = f->zeros ? one[0].error <= 8 && one[1].error <= 2 : ulp[0].error <= 2 && ulp[1].error <= 2;
    printf("%s\n", right ? "" : "  TOO LARGE");
    fflush(stdout);
    failures += !right;
  }
  mpfr_clears(t, u, (mpfr_ptr)0);
  mpfr_free_cache();
  return failures > 0;
}
