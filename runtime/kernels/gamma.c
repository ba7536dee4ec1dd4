/* Gamma functions and the inverse of the error function: rare, full of branches, and the same bits on every machine. */
#define PERI_SCALAR
#include "kernels/scalar.h"
#include "kernels/special.h"

#define PI 0x1.921fb54442d18p1

/* Even and odd terms apart: the two chains do not wait for each other. */
static double polynomial(double x, int n, const double *c) {
  double square = x * x, last = c[n - 1], other = c[n - 2];
  int i = n - 3;
  for (; i >= 1; i -= 2) {
    last = last * square + c[i];
    other = other * square + c[i - 1];
  }
  if (i == 0) last = last * square + c[0]; /* the one with the even terms */
  return i == 0 ? other * x + last : last * x + other;
}

/* sin(pi x) and cos(pi x); the reduction is exact */
static circle_f64 circle_of_half_turns(double x) {
  double turns = 0.5 * fabs(x);
  circle_f64 circle = circle_of_turn_f64(turns - floor(turns));
  if (x < 0) circle.sine = -circle.sine;
  return circle;
}

static bool is_pole(double x) { return x <= 0 && floor(x) == x; }

/* ---- the logarithm of the gamma function ---- */

/* log gamma(1 + z) / z and log gamma(2 + z) / z for |z| <= 1/2 */
static const double above_one[] = {
    -0.57721566490153285,  0.82246703342411321,   -0.4006856343865406,   0.27058080842779345,   -0.2073855510262953,
    0.16955717699509999,   -0.14404989701106718,  0.12550966975978471,   -0.1113342530365414,   0.10009944506030896,
    -0.090954423013489728, 0.083354234370201252,  -0.076924235685671234, 0.071424911506659056,  -0.066782758817468334,
    0.062611616747404298,  -0.057737256640806415, 0.054501409023364235,  -0.059850048562680856, 0.057003000096539547,
    -0.014509338086091673, 0.01333577663873192,   -0.14497971020532595,  0.14011729595820724,   0.15287151682585531,
    -0.14857260899606311,  -0.22471180158915515,  0.21762817640022098};
static const double above_two[] = {0.42278433509846714,    0.32246703342411322,    -0.067352301053195639,
                                   0.02058080842778338,    -0.0073855510289355447, 0.0028905103308659009,
                                   -0.0011927539009983087, 0.00050966951965266728, -0.00022315497746292723,
                                   9.9457616921571331e-5,  -4.4923727564247653e-5, 2.0506019701747619e-5,
                                   -9.4562885151017192e-6, 4.3828545383846668e-6,  -1.9743106888421067e-6,
                                   9.2428522251622767e-7,  -5.8112777689212462e-7, 2.7475390051909664e-7};

static double lgamma_positive(double x) {
  /* J. Stirling, Methodus differentialis, 1730: B_2k / (2k (2k - 1)) */
  static const double stirling[] = {1.0 / 12,        -1.0 / 360, 1.0 / 1260,       -1.0 / 1680,     1.0 / 1188,
                                    -691.0 / 360360, 1.0 / 156,  -3617.0 / 122400, 43867.0 / 244188};
  if (x < 0.5) return x * polynomial(x, (int)PERI_COUNT(above_one), above_one) - log_f64(x);
  if (x < 1.5) return (x - 1) * polynomial(x - 1, (int)PERI_COUNT(above_one), above_one);
  if (x < 8) {
    double product = 1;
    while (x >= 2.5) product *= x -= 1;
    return log_f64(product) + (x - 2) * polynomial(x - 2, (int)PERI_COUNT(above_two), above_two);
  }
  double inverse = 1 / x;
  double rest = 0.91893853320467274 + inverse * polynomial(inverse * inverse, (int)PERI_COUNT(stirling), stirling);
  return x > 0x1p60 ? x * (log_f64(x) - 1) : ((x - 0.5) * log_f64(x) - x) + rest;
}

double peri_lgamma(double x) {
  if (x != x) return x;
  if (is_pole(x) || fabs(x) == (double)INFINITY) return (double)INFINITY;
  if (x > 0) return lgamma_positive(x);
  /* gamma(x) gamma(-x) = -pi / (x sin(pi x)) */
  double size = -x, sine = fabs(circle_of_half_turns(size).sine);
  if (size < 0x1p-60) return -log_f64(size);
  return log_f64(PI / (size * sine)) - lgamma_positive(size);
}

/* ---- its derivatives: recurrence up to 10, then the asymptotic series; left of 0 by reflection ---- */

static const double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6};

/* a + b in two parts (D. Knuth, The art of computer programming, volume 2) */
static pair_f64 sum_of(double a, double b) {
  double sum = a + b, back = sum - a;
  return (pair_f64){sum, (a - (sum - back)) + (b - back)};
}

/* The parts nearly cancel each other around the roots: all are sums of two parts. */
double peri_digamma(double x) {
  static const double series[] = {-1.0 / 12, 1.0 / 120, -1.0 / 252, 1.0 / 240, -1.0 / 132, 691.0 / 32760, -1.0 / 12};
  if (x == 0) return signbit(x) ? (double)INFINITY : -(double)INFINITY;
  if (x != x || is_pole(x)) return (double)NAN;
  if (x == (double)INFINITY) return x;
  if (fabs(x) < 0x1p-900) return -1 / x;
  if (x > 0x1p100) return log_f64(x);
  double reflected = 0, rest = 0;
  if (x < 0) {
    circle_f64 circle = circle_of_half_turns(x);
    reflected = -PI * circle.cosine / circle.sine;
    x = 1 - x;
  }
  pair_f64 sum = {0, 0};
  for (; x < 10; x += 1) {
    double q = 1 / x, p = q * x;
    rest -= ((1 - p) - product_error_f64(q, x, p)) / x;
    sum = sum_of(sum.high, -q);
    rest += sum.low;
  }
  double z = 1 / (x * x), half = 0.5 / x, half_rest = (0.5 - half * x - product_error_f64(half, x, half * x)) / x;
  pair_f64 log2 = log2_pair_f64(x);
  double log = log2.high * 0x1.62e42fefa39efp-1;
  rest += product_error_f64(log2.high, 0x1.62e42fefa39efp-1, log) +
          (log2.high * 0x1.abc9e3b39803fp-56 + log2.low * 0x1.62e42fefa39efp-1);
  sum = sum_of(log, sum.high);
  rest += sum.low + z * polynomial(z, (int)PERI_COUNT(series), series) - half_rest;
  sum = sum_of(sum.high, -half);
  rest += sum.low;
  sum = sum_of(sum.high, reflected);
  return sum.high + (sum.low + rest);
}

double peri_trigamma(double x) {
  if (x != x || is_pole(x)) return x != x || x < 0 ? (double)NAN : (double)INFINITY;
  double value = 0, sign = 1;
  if (x < 0) {
    double over = PI / circle_of_half_turns(x).sine;
    value = over * over;
    x = 1 - x;
    sign = -1;
  }
  for (; x < 10; x += 1) value += sign / (x * x);
  double z = 1 / (x * x), series = 1 / x + 0.5 * z + z / x * polynomial(z, (int)PERI_COUNT(bernoulli), bernoulli);
  return value + sign * series;
}

double peri_tetragamma(double x) {
  if (x != x || is_pole(x)) return x != x || x < 0 ? (double)NAN : -(double)INFINITY;
  double value = 0, c[PERI_COUNT(bernoulli)];
  if (x < 0) {
    circle_f64 circle = circle_of_half_turns(x);
    double over = PI / circle.sine;
    value = -2 * over * over * over * circle.cosine;
    x = 1 - x;
  }
  for (; x < 10; x += 1) value -= 2 / (x * x * x);
  for (size_t i = 0; i < PERI_COUNT(c); i++) c[i] = (double)(2 * i + 3) * bernoulli[i];
  double z = 1 / (x * x);
  return value - (z + z / x + z * z * polynomial(z, (int)PERI_COUNT(c), c));
}

/* ---- the inverse of the error function ---- */

/* From S. Winitzki's approximation (A handy approximation for the error function and its inverse, 2008), up to three
 * steps of Halley's method; beyond 1/2 for the complement, which is exact there. */
double peri_erfinv(double x) {
  double size = fabs(x), left = 1 - size;
  if (!(size < 1)) return size == 1 ? x * (double)INFINITY : (double)NAN;
  if (size < 0x1p-30) return x * 0.88622692545275801;
  double log = log1p_f64(-size * size), a = 4.3307467508 + 0.5 * log;
  double y = sqrt(sqrt(a * a - log * 6.8027210884) - a);
  for (int step = 0; step < 3; step++) {
    double error = size > 0.5 ? left - erfc_f64(y) : erf_f64(y) - size;
    double move = error * 0.88622692545275801 * exp_f64(y * y);
    y -= move / (1 + y * move);
    if (fabs(move) < 0x1p-19) break; /* what is left is its cube times at most 12 */
  }
  return x < 0 ? -y : y;
}
