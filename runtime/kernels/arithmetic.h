/* The elementwise functions of elementwise.def for one type that has arithmetic: scalar functions (value, slope) and
 * the loops around them. elementwise.isa.c includes this file for float64, float32 and int64, with T and FN(name) as in
 * loops.h; ROWS_kinds(...) gives its arguments where the type has the loops, and WIDE1 and WIDE2 say what float32
 * does instead of a loop that float64 alone has. The words of the lines are those of expressions.h. */

/* A single loop each: around one of PERI_FOR_EACH's the compiler checks for overlap once more, and takes a form of no
 * vectors where y is an input. */
static PERI_ALWAYS_INLINE void FN(map1)(int64_t n, T *y, const T *a, T (*f)(T, bool)) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) y[i] = f(a[i], false);
}

/* Whole vectors: n is a multiple of LANES, and no code is made for a rest. */
static PERI_ALWAYS_INLINE void FN(map1_lanes)(int64_t n, T *y, const T *a, T (*f)(T, bool)) {
  for (int64_t i = 0; i < n; i += LANES) {
    PERI_INDEPENDENT
    for (int64_t j = 0; j < LANES; j++) y[i + j] = f(a[i + j], false);
  }
}

/* One element after the other, through a pointer: where speed is not asked for. */
static PERI_NOINLINE void FN(each1)(int64_t n, T *y, const T *a, T (*f)(T, bool)) {
  for (int64_t i = 0; i < n; i++) y[i] = f(a[i], true);
}

static PERI_NOINLINE void FN(each_chain)(int64_t n, T *gx, const T *g, const T *x, const T *y, T (*slope)(T, T, bool)) {
  for (int64_t i = 0; i < n; i++) gx[i] = g[i] * slope(x[i], y[i], true);
}

/* gx = g * slope(x, y) */
static PERI_ALWAYS_INLINE void FN(chain)(int64_t n, T *gx, const T *g, const T *x, const T *y, T (*slope)(T, T, bool)) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) gx[i] = g[i] * slope(x[i], y[i], false);
}

static PERI_ALWAYS_INLINE void FN(chain_lanes)(int64_t n, T *gx, const T *g, const T *x, const T *y,
                                               T (*slope)(T, T, bool)) {
  for (int64_t i = 0; i < n; i += LANES) {
    PERI_INDEPENDENT
    for (int64_t j = 0; j < LANES; j++) gx[i + j] = g[i + j] * slope(x[i + j], y[i + j], false);
  }
}

static PERI_ALWAYS_INLINE void FN(map2)(int64_t n, T *y, const T *a, const T *b, T (*f)(T, T, bool)) {
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) y[i] = f(a[i], b[i], false);
}

/* For what is used everywhere: a number on either side, and any strides. */
static PERI_ALWAYS_INLINE void FN(map2_any)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa,
                                            const char *b, ptrdiff_t sb, T (*f)(T, T, bool)) {
  T *out = (T *)y;
  const T *as = (const T *)a, *bs = (const T *)b;
  if (DENSE(T, sy) && DENSE(T, sa) && sb == 0 && n > 0) {
    T right = *bs;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = f(as[i], right, false);
  } else if (DENSE(T, sy) && sa == 0 && DENSE(T, sb) && n > 0) {
    T left = *as;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = f(left, bs[i], false);
  } else {
    for (int64_t i = 0; i < n; i++) {
      PERI_ONE_BY_ONE;
      PUT(T, y, sy) = f(AT(T, a, sa), AT(T, b, sb), false);
    }
  }
}

static PERI_ALWAYS_INLINE void FN(map2_lanes)(int64_t n, T *y, const T *a, const T *b, T (*f)(T, T, bool)) {
  for (int64_t i = 0; i < n; i += LANES) {
    PERI_INDEPENDENT
    for (int64_t j = 0; j < LANES; j++) y[i + j] = f(a[i + j], b[i + j], false);
  }
}

/* ---- a function and a loop for each row of the table ---- */

#define UNARY_LOOP(name, value, by_lanes, periodic)                                                                    \
  static PERI_ALWAYS_INLINE T FN(value_##name)(T x, bool far) {                                                        \
    (void)far;                                                                                                         \
    return value;                                                                                                      \
  }                                                                                                                    \
  static void FN(unary_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                        \
    T *out = (T *)y;                                                                                                   \
    const T *in = (const T *)a;                                                                                        \
    if (!(DENSE(T, sy) && DENSE(T, sa) && (!(by_lanes) || n % LANES == 0))) {                                          \
      in_blocks1(n, y, sy, sizeof(T), a, sa, sizeof(T), (by_lanes) ? LANES : 1, FN(unary_##name));                     \
    } else if ((periodic) && FN(any_far)(n, in)) {                                                                     \
      FN(each1)(n, out, in, FN(value_##name));                                                                         \
    } else if (by_lanes) {                                                                                             \
      FN(map1_lanes)(n, out, in, FN(value_##name));                                                                    \
    } else {                                                                                                           \
      FN(map1)(n, out, in, FN(value_##name));                                                                          \
    }                                                                                                                  \
  }

#define UNARY_SLOPE(name, saves, derivative, by_lanes, periodic)                                                       \
  static PERI_ALWAYS_INLINE T FN(slope_##name)(T x, T y, bool far) {                                                   \
    (void)x, (void)y, (void)far;                                                                                       \
    return derivative;                                                                                                 \
  }                                                                                                                    \
  static void FN(derivative_##name)(int64_t n, char *gx, ptrdiff_t sgx, const char *g, ptrdiff_t sg, const char *x,    \
                                    ptrdiff_t sx, const char *y, ptrdiff_t sy) {                                       \
    READ_##saves;                                                                                                      \
    T *out = (T *)gx;                                                                                                  \
    const T *gs = (const T *)g, *xs = (const T *)x, *ys = (const T *)y;                                                \
    bool dense = DENSE(T, sgx) && DENSE(T, sg) && DENSE(T, sx) && DENSE(T, sy);                                        \
    if (!(dense && (!(by_lanes) || n % LANES == 0))) {                                                                 \
      in_blocks3(n, gx, sgx, g, sg, sizeof(T), x, sx, y, sy, sizeof(T), (by_lanes) ? LANES : 1,                        \
                 FN(derivative_##name));                                                                               \
    } else if ((periodic) && FN(any_far)(n, xs)) {                                                                     \
      FN(each_chain)(n, out, gs, xs, ys, FN(slope_##name));                                                            \
    } else if (by_lanes) {                                                                                             \
      FN(chain_lanes)(n, out, gs, xs, ys, FN(slope_##name));                                                           \
    } else {                                                                                                           \
      FN(chain)(n, out, gs, xs, ys, FN(slope_##name));                                                                 \
    }                                                                                                                  \
  }

/* What pow gives for the exponents 1 and 2 are products: with 1, and of the number with itself. */
#define BINARY_LOOP(name, value, hot, by_lanes)                                                                        \
  static PERI_ALWAYS_INLINE T FN(value_##name)(T a, T b, bool far) {                                                   \
    (void)far;                                                                                                         \
    return value;                                                                                                      \
  }                                                                                                                    \
  static void FN(binary_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,          \
                                ptrdiff_t sb) {                                                                        \
    const bool power = PERI_BINARY_##name == PERI_BINARY_pow && sb == 0 && n > 0;                                      \
    if (power && (*(const T *)b == 1 || *(const T *)b == 2)) {                                                         \
      const bool once = *(const T *)b == 1;                                                                            \
      FN(binary_mul)(n, y, sy, a, sa, once ? b : a, once ? sb : sa);                                                   \
    } else if ((hot) && !(DENSE(T, sy) && DENSE(T, sa) && DENSE(T, sb))) {                                             \
      FN(map2_any)(n, y, sy, a, sa, b, sb, FN(value_##name));                                                          \
    } else if (!(DENSE(T, sy) && DENSE(T, sa) && DENSE(T, sb) && (!(by_lanes) || n % LANES == 0))) {                   \
      in_blocks2(n, y, sy, sizeof(T), a, sa, b, sb, sizeof(T), (by_lanes) ? LANES : 1, FN(binary_##name));             \
    } else if (by_lanes) {                                                                                             \
      FN(map2_lanes)(n, (T *)y, (const T *)a, (const T *)b, FN(value_##name));                                         \
    } else {                                                                                                           \
      FN(map2)(n, (T *)y, (const T *)a, (const T *)b, FN(value_##name));                                               \
    }                                                                                                                  \
  }

static void FN(binary_mul)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb);
#define UNARY(name, kinds, cost, value, ...)              ROWS_##kinds(LOOP1_##cost(name, value))
#define BINARY(name, metamethod, kinds, cost, value, ...) ROWS_##kinds(LOOP2_##cost(name, value))
#include "kernels/elementwise.def"
#undef UNARY_LOOP
#undef BINARY_LOOP

/* ---- after all values, because a derivative may be written in any of them ---- */

#define UNARY(name, kinds, cost, value, saves, derivative, ...) ROWS_F(SLOPE_##cost(name, saves, derivative))
#include "kernels/elementwise.def"
#undef UNARY_SLOPE

/* ---- with numbers p, q and r: single loops too; n is a multiple of LANES, which spares the code for a rest ---- */

#define TUNED_LOOPS(name, value, derivative, by_lanes)                                                                 \
  static void FN(tuned_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const double *numbers) { \
    const bool far = false;                                                                                            \
    const T p = (T)numbers[0], q = (T)numbers[1], r = (T)numbers[2];                                                   \
    (void)p, (void)q, (void)r, (void)far;                                                                              \
    if (!(DENSE(T, sy) && DENSE(T, sa) && n % LANES == 0)) {                                                           \
      in_blocks_tuned1(n, y, sy, a, sa, sizeof(T), numbers, LANES, FN(tuned_##name));                                  \
      return;                                                                                                          \
    }                                                                                                                  \
    PERI_INDEPENDENT                                                                                                   \
    for (int64_t i = 0; i < (n & -(int64_t)LANES); i++) {                                                              \
      T x = ((const T *)a)[i];                                                                                         \
      ((T *)y)[i] = value;                                                                                             \
    }                                                                                                                  \
  }                                                                                                                    \
  static void FN(tuned_derivative_##name)(int64_t n, char *gx, ptrdiff_t sgx, const char *g, ptrdiff_t sg,             \
                                          const char *a, ptrdiff_t sa, const double *numbers) {                        \
    const bool far = false;                                                                                            \
    const T p = (T)numbers[0], q = (T)numbers[1], r = (T)numbers[2];                                                   \
    (void)p, (void)q, (void)r, (void)far;                                                                              \
    if (!(DENSE(T, sgx) && DENSE(T, sg) && DENSE(T, sa) && n % LANES == 0)) {                                          \
      in_blocks_tuned2(n, gx, sgx, g, sg, a, sa, sizeof(T), numbers, LANES, FN(tuned_derivative_##name));              \
      return;                                                                                                          \
    }                                                                                                                  \
    PERI_INDEPENDENT                                                                                                   \
    for (int64_t i = 0; i < (n & -(int64_t)LANES); i++) {                                                              \
      T x = ((const T *)a)[i];                                                                                         \
      ((T *)gx)[i] = ((const T *)g)[i] * (derivative);                                                                 \
    }                                                                                                                  \
  }
#define TUNED(name, params, cost, value, derivative, ...) ROWS_F(TUNED_##cost(name, value, derivative))
#include "kernels/elementwise.def"
#undef TUNED_LOOPS

/* ---- from a to b by a weight, from the nearer end ---- */

ROWS_F(static void FN(lerp)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb,
                            const char *c, ptrdiff_t sc) {
  if (!(DENSE(T, sy) && DENSE(T, sa) && DENSE(T, sb) && DENSE(T, sc))) {
    in_blocks3(n, y, sy, a, sa, sizeof(T), b, sb, c, sc, sizeof(T), 1, FN(lerp));
    return;
  }
  T *out = (T *)y;
  const T *from = (const T *)a, *to = (const T *)b, *weight = (const T *)c;
  for (int64_t i = 0; i < n; i++) {
    T far = to[i] - from[i], w = weight[i];
    out[i] = w < (T)0.5 ? from[i] + w * far : to[i] - far * (1 - w);
  }
})
