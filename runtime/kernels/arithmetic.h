/* The elementwise functions of elementwise.def for one type that has arithmetic: scalar functions
 * (value, slope) and the loops around them. elementwise.isa.c includes this file for float32, float64
 * and int64, with T and FN(name) as in loops.h, and ROWS_F(...) giving its arguments for a float type
 * and nothing for int64. FN(any_far) says whether a sine or cosine must take the slower way for some of its
 * arguments; the scalar functions are told as `far`. */

#define ADD(a, b)       FN(add)(a, b)
#define SUB(a, b)       FN(sub)(a, b)
#define MUL(a, b)       FN(mul)(a, b)
#define DIV(a, b)       ((a) / (b))
#define NEG(a)          FN(neg)(a)
#define C(constant)     ((T)(constant))
#define ABS(a)          FN(abs)(a)
#define SIGN(a)         FN(sign)(a)
#define SQRT(a)         FN(sqrt)(a)
#define EXP(a)          FN(exp)(a)
#define EXPM1(a)        FN(expm1)(a)
#define LOG(a)          FN(log)(a)
#define LOG1P(a)        FN(log1p)(a)
#define TANH(a)         FN(tanh)(a)
#define SIN(a)          (far ? FN(sin)(a) : FN(sin_near)(a))
#define COS(a)          (far ? FN(cos)(a) : FN(cos_near)(a))
#define SIGMOID(a)      FN(sigmoid)(a)
#define RELU(a)         (!((a) <= 0) ? (a) : C(0))
#define FLOOR(a)        FN(floor)(a)
#define CEIL(a)         FN(ceil)(a)
#define ROUND(a)        FN(round)(a)
#define POW(a, b)       FN(pow)(a, b)
#define FLOOR_DIV(a, b) FN(floor_div)(a, b)
#define MOD(a, b)       FN(mod)(a, b)
#define MAXIMUM(a, b)   FN(maximum)(a, b)
#define MINIMUM(a, b)   FN(minimum)(a, b)
#define GT0(a)          ((a) > 0 ? C(1) : C(0))

#define RUN (64 / (int64_t)sizeof(T)) /* the longest vector */

static PERI_ALWAYS_INLINE void FN(run1)(int64_t n, T *y, const T *a, T (*f)(T, bool)) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) y[i] = f(a[i], false);
}

/* With a costly function, the elements after the last whole vector are worth a vector of their own. */
static PERI_ALWAYS_INLINE void FN(map1)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, T (*f)(T, bool),
                                        bool costly) {
  if (DENSE(T, sy) && DENSE(T, sa)) {
    T *out = (T *)y;
    const T *in = (const T *)a;
    int64_t whole = costly ? n & -RUN : n;
    FN(run1)(whole, out, in, f);
    if (whole < n) {
      T last[RUN], value[RUN];
      for (int64_t i = 0; i < RUN; i++) last[i] = in[peri_min(whole + i, n - 1)];
      FN(run1)(RUN, value, last, f);
      for (int64_t i = whole; i < n; i++) out[i] = value[i - whole];
    }
  } else if (sa == 0 && n > 0) {
    T value = f(*(const T *)a, false);
    for (int64_t i = 0; i < n; i++) PUT(T, y, sy) = value;
  } else {
    for (int64_t i = 0; i < n; i++) PUT(T, y, sy) = f(AT(T, a, sa), false);
  }
}

/* One element after the other, through a pointer: where speed is not asked for. */
static PERI_NOINLINE void FN(each1)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, T (*f)(T, bool)) {
  for (int64_t i = 0; i < n; i++) PUT(T, y, sy) = f(AT(T, a, sa), true);
}

static PERI_NOINLINE void FN(each_chain)(int64_t n, char *gx, ptrdiff_t sgx, const char *g, ptrdiff_t sg, const char *x,
                                         ptrdiff_t sx, const char *y, ptrdiff_t sy, T (*slope)(T, T, bool)) {
  for (int64_t i = 0; i < n; i++) PUT(T, gx, sgx) = AT(T, g, sg) * slope(AT(T, x, sx), AT(T, y, sy), true);
}

/* gx = g * slope(x, y) */
static PERI_ALWAYS_INLINE void FN(chain)(int64_t n, char *gx, ptrdiff_t sgx, const char *g, ptrdiff_t sg, const char *x,
                                         ptrdiff_t sx, const char *y, ptrdiff_t sy, T (*slope)(T, T, bool)) {
  bool dense = DENSE(T, sgx) && DENSE(T, sx) && DENSE(T, sy);
  T *out = (T *)gx;
  const T *xs = (const T *)x, *ys = (const T *)y, *gs = (const T *)g;
  if (dense && DENSE(T, sg)) {
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = gs[i] * slope(xs[i], ys[i], false);
  } else if (dense && sg == 0 && n > 0) {
    T factor = *gs;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = factor * slope(xs[i], ys[i], false);
  } else {
    for (int64_t i = 0; i < n; i++) PUT(T, gx, sgx) = AT(T, g, sg) * slope(AT(T, x, sx), AT(T, y, sy), false);
  }
}

static PERI_ALWAYS_INLINE void FN(map2)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                        ptrdiff_t sb, T (*f)(T, T)) {
  T *out = (T *)y;
  const T *as = (const T *)a, *bs = (const T *)b;
  bool dense = DENSE(T, sy) && n > 0;
  if (dense && DENSE(T, sa) && DENSE(T, sb)) {
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = f(as[i], bs[i]);
  } else if (dense && DENSE(T, sa) && sb == 0) {
    T right = *bs;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = f(as[i], right);
  } else if (dense && sa == 0 && DENSE(T, sb)) {
    T left = *as;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = f(left, bs[i]);
  } else {
    for (int64_t i = 0; i < n; i++) PUT(T, y, sy) = f(AT(T, a, sa), AT(T, b, sb));
  }
}

/* `count` operands from `from` on, one after the other and up to `whole` of them: the last again after their end. */
static PERI_ALWAYS_INLINE const T *FN(piece_of)(const char *a, ptrdiff_t sa, int64_t from, int64_t count, int64_t whole,
                                                T *buffer) {
  if (DENSE(T, sa) && whole == count) return (const T *)a + from;
  if (sa == 0 && from > 0) return buffer;
  for (int64_t i = 0; i < whole; i++) buffer[i] = *(const T *)(a + (from + peri_min(i, count - 1)) * sa);
  return buffer;
}

/* A costly function has one loop, over pieces that are made dense where they are not; what follows the last whole
 * vector is a piece of its own. */
static PERI_ALWAYS_INLINE void FN(map2_costly)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa,
                                               const char *b, ptrdiff_t sb, T (*f)(T, T)) {
  enum { PIECE = 512 };
  T left[PIECE], right[PIECE], result[PIECE];
  for (int64_t from = 0, count; from < n; from += count) {
    count = peri_min(PIECE, n - from);
    if (count > RUN) count -= count % RUN;
    int64_t whole = peri_max(count, RUN);
    const T *as = FN(piece_of)(a, sa, from, count, whole, left), *bs = FN(piece_of)(b, sb, from, count, whole, right);
    bool dense = DENSE(T, sy) && whole == count;
    T *out = dense ? (T *)y + from : result;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < whole; i++) out[i] = f(as[i], bs[i]);
    for (int64_t i = 0; !dense && i < count; i++) *(T *)(y + (from + i) * sy) = result[i];
  }
}

/* ---- a function and a loop for each row of the table ---- */

#define IS_COSTLY_CHEAP      false
#define IS_COSTLY_COSTLY     true
#define IS_COSTLY_PERIODIC   true
#define IS_PERIODIC_CHEAP    false
#define IS_PERIODIC_COSTLY   false
#define IS_PERIODIC_PERIODIC true

#define UNARY_FI(name, cost, value)                                                                                    \
  static PERI_ALWAYS_INLINE T FN(value_##name)(T x, bool far) {                                                        \
    (void)far;                                                                                                         \
    return value;                                                                                                      \
  }                                                                                                                    \
  static void FN(unary_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                        \
    if (IS_PERIODIC_##cost && FN(any_far)(n, a, sa)) {                                                                 \
      FN(each1)(n, y, sy, a, sa, FN(value_##name));                                                                    \
    } else {                                                                                                           \
      FN(map1)(n, y, sy, a, sa, FN(value_##name), IS_COSTLY_##cost);                                                   \
    }                                                                                                                  \
  }
#define UNARY_F(name, cost, value) ROWS_F(UNARY_FI(name, cost, value))

/* The slope reads what the row saves; the operand that it does not save need not be there. */
#define READS_X_X                true
#define READS_X_Y                false
#define READS_X_XY               true
#define READS_X_NONE             false
#define READS_X_NO_GRADIENT      false
#define READS_Y_X                false
#define READS_Y_Y                true
#define READS_Y_XY               true
#define READS_Y_NONE             false
#define READS_Y_NO_GRADIENT      false
#define CHAIN_X(slope)           FN(chain)(n, gx, sgx, g, sg, x, sx, x, sx, slope)
#define CHAIN_Y(slope)           FN(chain)(n, gx, sgx, g, sg, y, sy, y, sy, slope)
#define CHAIN_XY(slope)          FN(chain)(n, gx, sgx, g, sg, x, sx, y, sy, slope)
#define CHAIN_NONE(slope)        FN(chain)(n, gx, sgx, g, sg, g, sg, g, sg, slope)
#define CHAIN_NO_GRADIENT(slope) CHAIN_NONE(slope)

#define OF(name, x) FN(value_##name)(x, far)
#define DERIVATIVE(name, cost, saves, derivative)                                                                      \
  static PERI_ALWAYS_INLINE T FN(slope_##name)(T x, T y, bool far) {                                                   \
    (void)x, (void)y, (void)far;                                                                                       \
    return derivative;                                                                                                 \
  }                                                                                                                    \
  static void FN(derivative_##name)(int64_t n, char *gx, ptrdiff_t sgx, const char *g, ptrdiff_t sg, const char *x,    \
                                    ptrdiff_t sx, const char *y, ptrdiff_t sy) {                                       \
    (void)x, (void)sx, (void)y, (void)sy;                                                                              \
    if (IS_PERIODIC_##cost && READS_X_##saves && FN(any_far)(n, x, sx)) {                                              \
      FN(each_chain)(n, gx, sgx, g, sg, x, sx, READS_Y_##saves ? y : x, READS_Y_##saves ? sy : sx, FN(slope_##name));  \
    } else {                                                                                                           \
      CHAIN_##saves(FN(slope_##name));                                                                                 \
    }                                                                                                                  \
  }

#define BINARY_FI(name, value)                                                                                         \
  static PERI_ALWAYS_INLINE T FN(value_##name)(T a, T b) { return value; }                                             \
  static void FN(binary_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,          \
                                ptrdiff_t sb) {                                                                        \
    if (PERI_BINARY_##name != PERI_BINARY_pow) {                                                                       \
      FN(map2)(n, y, sy, a, sa, b, sb, FN(value_##name));                                                              \
    } else if (sb == 0 && n > 0 && *(const T *)b == 2) {                                                               \
      FN(map2)(n, y, sy, a, sa, a, sa, FN(mul)); /* what POW gives for 2 */                                            \
    } else {                                                                                                           \
      FN(map2_costly)(n, y, sy, a, sa, b, sb, FN(value_##name));                                                       \
    }                                                                                                                  \
  }
#define BINARY_F(name, value) ROWS_F(BINARY_FI(name, value))

#define UNARY(name, kinds, cost, value, ...)        UNARY_##kinds(name, cost, value)
#define BINARY(name, metamethod, kinds, value, ...) BINARY_##kinds(name, value)
#define COMPARE(...)
#include "kernels/elementwise.def"

/* After all values, because a derivative may be written in any of them. */
#define UNARY(name, kinds, cost, value, saves, derivative, ...) ROWS_F(DERIVATIVE(name, cost, saves, derivative))
#define BINARY(...)
#define COMPARE(...)
#include "kernels/elementwise.def"

#undef UNARY_FI
#undef UNARY_F
#undef BINARY_FI
#undef BINARY_F
#undef DERIVATIVE
#undef OF
#undef IS_COSTLY_CHEAP
#undef IS_COSTLY_COSTLY
#undef IS_COSTLY_PERIODIC
#undef IS_PERIODIC_CHEAP
#undef IS_PERIODIC_COSTLY
#undef IS_PERIODIC_PERIODIC
#undef RUN
#undef READS_X_X
#undef READS_X_Y
#undef READS_X_XY
#undef READS_X_NONE
#undef READS_X_NO_GRADIENT
#undef READS_Y_X
#undef READS_Y_Y
#undef READS_Y_XY
#undef READS_Y_NONE
#undef READS_Y_NO_GRADIENT
#undef CHAIN_X
#undef CHAIN_Y
#undef CHAIN_XY
#undef CHAIN_NONE
#undef CHAIN_NO_GRADIENT
#undef ADD
#undef SUB
#undef MUL
#undef DIV
#undef NEG
#undef C
#undef ABS
#undef SIGN
#undef SQRT
#undef EXP
#undef EXPM1
#undef LOG
#undef LOG1P
#undef TANH
#undef SIN
#undef COS
#undef SIGMOID
#undef RELU
#undef FLOOR
#undef CEIL
#undef ROUND
#undef POW
#undef FLOOR_DIV
#undef MOD
#undef MAXIMUM
#undef MINIMUM
#undef GT0
