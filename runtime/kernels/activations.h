/* Gates of float32 and float64: x times a sigmoid or a normal distribution, and softplus, at most 2 ULP far out in
 * their tails, too. special.h includes this file for each type, with T and FN(name) as in loops.h. A value that
 * is rounded on the way to a large factor or exponent keeps its rounding error as `name_rest`, and the error is made up
 * for at the end; powers of two are multiplied in last, so that denormal results are rounded once. */

typedef struct FN(exponential) {
  T mantissa, rest; /* their sum is the exponential, divided by scale and more */
  T scale, more;    /* powers of two: one alone may be beyond the exponents of the type */
} FN(exponential);

/* e^-(size + size_rest), where 0 <= size */
static PERI_ALWAYS_INLINE FN(exponential) FN(decay)(T size, T size_rest) {
  FN(exp_parts) parts = FN(exp_reduce)(-size);
  T mantissa = 1 + parts.tail, rest = ((1 - mantissa) + parts.tail) + FN(exp_rest)(parts);
  return (FN(exponential)){mantissa, rest - mantissa * size_rest, FN(half_power)(parts.n), FN(other_power)(parts.n)};
}

/* x / (1 + e^-(w + w_rest)); beyond `most` the exponential is 0 */
static PERI_ALWAYS_INLINE T FN(gate)(T x, T w, T w_rest, T most) {
  T size = FN(magnitude)(w);
  FN(exponential) e = FN(decay)(size > most ? most : size, w < 0 ? -w_rest : w_rest);
  T scale = e.scale * e.more, z = e.mantissa * scale;
  T sum = 1 + z, sum_rest = ((1 - sum) + z) + e.rest * scale;
  T top = w < 0 ? e.mantissa : 1, top_rest = w < 0 ? e.rest : 0;
  T inverse = 1 / sum, quotient = top * inverse, product = quotient * sum;
  T short_of = ((top - product) - FN(product_error)(quotient, sum, product)) + (top_rest - quotient * sum_rest);
  T value = x * FN(madd)(short_of, inverse, quotient);
  return w < 0 ? value * e.scale * e.more : value;
}

static PERI_ALWAYS_INLINE T FN(silu)(T x) {
  T most = FN(vanishing);
  return FN(gate)(x < -most ? -most : x, x, 0, most);
}

/* x sigmoid(w), where w = 2 sqrt(2/pi) (x + 0.044715 x^3) */
static PERI_ALWAYS_INLINE T FN(gelu_tanh)(T x) {
  T bounded = x < -40 ? -40 : x;
  bounded = bounded > 40 ? 40 : bounded;
  T square = bounded * bounded, square_rest = FN(product_error)(bounded, bounded, square);
  T cubic = FN(cubic_high) * square;
  T cubic_rest =
      FN(product_error)(FN(cubic_high), square, cubic) + (FN(cubic_high) * square_rest + FN(cubic_low) * square);
  T sum = FN(linear_high) + cubic, back = sum - FN(linear_high);
  T sum_rest = ((FN(linear_high) - (sum - back)) + (cubic - back)) + (cubic_rest + FN(linear_low));
  T w = bounded * sum, w_rest = FN(product_error)(bounded, sum, w) + bounded * sum_rest;
  return FN(gate)(x < -40 ? -40 : x, w, w_rest, FN(vanishing));
}

/* log(1 + e^-|x|) */
static PERI_ALWAYS_INLINE T FN(softplus_of_minus)(T x) {
  T size = FN(magnitude)(x);
  FN(exponential) e = FN(decay)(size > FN(vanishing) ? FN(vanishing) : size, 0);
  T z = e.mantissa * e.scale * e.more, z_rest = e.rest * e.scale * e.more;
  return FN(log1p)(z) + z_rest * FN(madd)((T)-0.5, z, 1);
}

static PERI_ALWAYS_INLINE T FN(softplus)(T x) { return (x > 0 ? x : 0) + FN(softplus_of_minus)(x); }
static PERI_ALWAYS_INLINE T FN(logsigmoid)(T x) { return (x < 0 ? x : 0) - FN(softplus_of_minus)(x); }

static PERI_ALWAYS_INLINE T FN(sum_error)(T a, T b, T sum) {
  T back = sum - a;
  return (a - (sum - back)) + (b - back);
}

/* factor times e^-(h + l) erfcx(t + t_rest), where h + l is the square of that and erfcx(t) = e^(t^2) erfc(t); a
 * polynomial Q in v = (t - k) / (t + k) = 1 - 2 k r gives (t + k) erfcx(t). Its last steps keep their errors, the third
 * last one where float64 needs it. */
static PERI_ALWAYS_INLINE T FN(gauss_tail)(T t, T t_rest, T h, T l, T factor) {
  const T k = FN(gauss_middle);
  T d = t + k, r = 1 / d, unit = r * d;
  T r_error = ((1 - unit) - FN(product_error)(r, d, unit)) - r * (FN(sum_error)(t, k, d) + t_rest);
  T less = 2 * k * r, less_rest = FN(product_error)(2 * k, r, less) + less * r_error;
  T v = 1 - less, v_rest = ((1 - v) - less) - less_rest;
  T q3 = FN(gauss_polynomial)(v), q2 = FN(madd)(v, q3, FN(gauss_2)), p2 = v * q3;
  T q2_rest = sizeof(T) == 8 ? FN(gauss_2_rest) + ((FN(gauss_2) - q2) + p2) + FN(product_error)(v, q3, p2) : 0;
  T p1 = v * q2, q1 = FN(gauss_1) + p1, p0 = v * q1, q = FN(gauss_0) + p0;
  T q1_rest = FN(gauss_1_rest) + FN(sum_error)(FN(gauss_1), p1, q1) + FN(product_error)(v, q2, p1) + v * q2_rest;
  T q_rest = FN(gauss_0_rest) + FN(sum_error)(FN(gauss_0), p0, q) + FN(product_error)(v, q1, p0) +
             (v * q1_rest + v_rest * FN(madd)(v, FN(madd)(v, q3, q2), q1)); /* of the slope, what is large */
  FN(exponential) e = FN(decay)(h, 0);
  T part = r * q, whole = e.mantissa * part, value = whole * factor;
  T part_rest = FN(product_error)(r, q, part) + r * q_rest;
  T value_rest = FN(product_error)(whole, factor, value) +
                 factor * (FN(product_error)(e.mantissa, part, whole) + e.mantissa * part_rest);
  T error = (r_error - l) + e.rest * (2 - e.mantissa); /* nearly divided by the mantissa */
  return (value + FN(madd)(value, error, value_rest)) * e.scale * e.more;
}

/* The normal distribution: x < 0 ? tail : 1 - tail, and x times it. */
static PERI_ALWAYS_INLINE T FN(normal_tail)(T x, bool times_x) {
  T size = FN(magnitude)(x), most = FN(normal_end);
  size = size > most ? most : size;
  T square = size * size, half_rest = (T)0.5 * FN(product_error)(size, size, square);
  T t = size * FN(half_root_high);
  T t_rest = FN(product_error)(size, FN(half_root_high), t) + size * FN(half_root_low);
  return FN(gauss_tail)(t, t_rest, (T)0.5 * square, half_rest, (times_x ? size : 1) * (T)0.5);
}

static PERI_ALWAYS_INLINE T FN(normal_cdf)(T x) {
  T tail = FN(normal_tail)(x, false);
  return x < 0 ? tail : 1 - tail;
}

static PERI_ALWAYS_INLINE T FN(gelu)(T x) {
  T tail = FN(normal_tail)(x, true);
  return (x > 0 ? x : 0) - tail;
}
