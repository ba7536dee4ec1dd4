/* The elementwise loops: the scalar functions of each type, the loops around them from arithmetic.h
 * and loops.h, conversions, logic, and the table of all. */
#include "kernels/blocks.h"
#include "kernels/expressions.h"
#include "kernels/scalar.h"
#include "kernels/special.h"

#include <float.h>

#define AT(type, pointer, stride)  (*(const type *)((pointer) + i * (stride)))
#define PUT(type, pointer, stride) (*(type *)((pointer) + i * (stride)))
#define DENSE(type, stride)        ((stride) == (ptrdiff_t)sizeof(type))

/* ---- scalar arithmetic of each type ---- */

/* floor_div and mod as Lua's // and %. */
#define FLOAT_ARITHMETIC(T, U, FN, abs_of, sqrt_of, fmod_of, copysign_of)                                              \
  static PERI_ALWAYS_INLINE T FN(add)(T a, T b) { return a + b; }                                                      \
  static PERI_ALWAYS_INLINE T FN(sub)(T a, T b) { return a - b; }                                                      \
  static PERI_ALWAYS_INLINE T FN(mul)(T a, T b) { return a * b; }                                                      \
  static PERI_ALWAYS_INLINE T FN(neg)(T a) { return -a; }                                                              \
  static PERI_ALWAYS_INLINE T FN(abs)(T a) { return abs_of(a); }                                                       \
  static PERI_ALWAYS_INLINE T FN(sign)(T a) { return a > 0 ? (T)1 : a < 0 ? (T)-1 : a; }                               \
  static PERI_ALWAYS_INLINE T FN(sqrt)(T a) { return sqrt_of(a); }                                                     \
  static PERI_ALWAYS_INLINE T FN(maximum)(T a, T b) { return a > b || a != a ? a : b; }                                \
  static PERI_ALWAYS_INLINE T FN(minimum)(T a, T b) { return a < b || a != a ? a : b; }                                \
  static PERI_ALWAYS_INLINE T FN(floor_div)(T a, T b) { return FN(floor)(a / b); }                                     \
  static PERI_ALWAYS_INLINE T FN(trunc)(T a) { return copysign_of(FN(floor)(abs_of(a)), a); }                          \
  static PERI_ALWAYS_INLINE T FN(fmod)(T a, T b) { return fmod_of(a, b); }                                             \
  static PERI_ALWAYS_INLINE T FN(copysign)(T a, T b) { return copysign_of(a, b); }                                     \
  static PERI_ALWAYS_INLINE T FN(fmax)(T a, T b) { return b > a || a != a ? b : a; }                                   \
  static PERI_ALWAYS_INLINE T FN(fmin)(T a, T b) { return b < a || a != a ? b : a; }                                   \
  static PERI_ALWAYS_INLINE T FN(mod)(T a, T b) {                                                                      \
    T rest = fmod_of(a, b);                                                                                            \
    U across = 0 - (U)(((rest > 0) & (b < 0)) | ((rest < 0) & (b > 0))); /* no branch, which nobody foresees */        \
    return FN(from_bits)((FN(bits)(rest + b) & across) | (FN(bits)(rest) & ~across));                                  \
  }

/* fmod, which libm computes bit by bit. Of floats in double, a quotient below 2^28 is never rounded to the next whole
 * number, since it is at least 2^-25 away, and the product with what is whole in it has 52 bits. */
static PERI_ALWAYS_INLINE float near_fmodf(float a, float b) {
  double quotient = (double)a / (double)b;
  if (!(__builtin_fabs(quotient) < 0x1p28 && __builtin_fabsf(b) <= FLT_MAX)) return fmodf(a, b);
  double rest = (double)a - (double)(int32_t)quotient * (double)b;
  return __builtin_copysignf((float)rest, a);
}

FLOAT_ARITHMETIC(float, uint32_t, F32, __builtin_fabsf, __builtin_sqrtf, near_fmodf, __builtin_copysignf)
FLOAT_ARITHMETIC(double, uint64_t, F64, __builtin_fabs, __builtin_sqrt, fmod, __builtin_copysign)

/* int64 wraps around; unsigned arithmetic does that without undefined behaviour. */
static PERI_ALWAYS_INLINE int64_t add_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static PERI_ALWAYS_INLINE int64_t sub_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static PERI_ALWAYS_INLINE int64_t mul_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static PERI_ALWAYS_INLINE int64_t neg_i64(int64_t a) { return (int64_t)(0 - (uint64_t)a); }
static PERI_ALWAYS_INLINE int64_t abs_i64(int64_t a) { return a < 0 ? neg_i64(a) : a; }
static PERI_ALWAYS_INLINE int64_t sign_i64(int64_t a) { return (a > 0) - (a < 0); }
static PERI_ALWAYS_INLINE int64_t maximum_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static PERI_ALWAYS_INLINE int64_t minimum_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static PERI_ALWAYS_INLINE int64_t floor_i64(int64_t a) { return a; }
static PERI_ALWAYS_INLINE int64_t ceil_i64(int64_t a) { return a; }
static PERI_ALWAYS_INLINE int64_t round_i64(int64_t a) { return a; }

static PERI_ALWAYS_INLINE int64_t trunc_i64(int64_t a) { return a; }
static PERI_ALWAYS_INLINE int64_t fmod_i64(int64_t a, int64_t b) { return b == -1 ? 0 : a % b; }
static PERI_ALWAYS_INLINE int64_t fmax_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static PERI_ALWAYS_INLINE int64_t fmin_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static PERI_ALWAYS_INLINE int64_t bit_and_i64(int64_t a, int64_t b) { return a & b; }
static PERI_ALWAYS_INLINE int64_t bit_or_i64(int64_t a, int64_t b) { return a | b; }
static PERI_ALWAYS_INLINE int64_t bit_xor_i64(int64_t a, int64_t b) { return a ^ b; }

/* By b places, which is not negative; from 64 on all are shifted out. To the right the sign comes in. */
static PERI_ALWAYS_INLINE int64_t shift_left_i64(int64_t a, int64_t b) {
  return b > 63 ? 0 : (int64_t)((uint64_t)a << (b & 63));
}
static PERI_ALWAYS_INLINE int64_t shift_right_i64(int64_t a, int64_t b) {
  uint64_t flip = a < 0 ? ~(uint64_t)0 : 0;
  return (int64_t)(((uint64_t)a ^ flip) >> (b > 63 ? 63 : b & 63) ^ flip);
}

/* Of two sizes, one of which may be 2^63 and wrap around; Euclid, Elements VII. */
static PERI_ALWAYS_INLINE int64_t gcd_i64(int64_t a, int64_t b) {
  uint64_t x = (uint64_t)abs_i64(a), y = (uint64_t)abs_i64(b);
  while (y != 0) {
    uint64_t rest = x % y;
    x = y;
    y = rest;
  }
  return (int64_t)x;
}
static PERI_ALWAYS_INLINE int64_t lcm_i64(int64_t a, int64_t b) {
  uint64_t divisor = (uint64_t)gcd_i64(a, b);
  return divisor == 0 ? 0 : (int64_t)((uint64_t)abs_i64(a) / divisor * (uint64_t)abs_i64(b));
}

static PERI_ALWAYS_INLINE bool signbit_f32(float a) { return bits_f32(a) >> 31; }
static PERI_ALWAYS_INLINE bool signbit_f64(double a) { return bits_f64(a) >> 63; }
static PERI_ALWAYS_INLINE bool signbit_i64(int64_t a) { return a < 0; }
static PERI_ALWAYS_INLINE bool signbit_u8(uint8_t a) { return (void)a, false; }

/* b is not negative. */
static PERI_ALWAYS_INLINE int64_t pow_i64(int64_t a, int64_t b) {
  uint64_t power = 1, square = (uint64_t)a;
  for (uint64_t rest = (uint64_t)b; rest > 0; rest >>= 1, square *= square) power *= rest & 1 ? square : 1;
  return (int64_t)power;
}

/* -1 apart: the quotient of the smallest number and -1 does not fit, and the processor traps. */
static PERI_ALWAYS_INLINE int64_t floor_div_i64(int64_t a, int64_t b) {
  if (b == -1) return neg_i64(a);
  int64_t quotient = a / b, rest = a % b;
  return quotient - (rest != 0 && (rest < 0) != (b < 0));
}

static PERI_ALWAYS_INLINE int64_t mod_i64(int64_t a, int64_t b) {
  if (b == -1) return 0;
  int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* ---- loops ---- */

/* Whether a sine or cosine must take the slower way for some of its arguments. */
#define ANY_FAR_OF(T, FN, abs_of, near)                                                                                \
  static PERI_NOINLINE bool FN(any_far)(int64_t n, const T *x) {                                                       \
    int far = 0;                                                                                                       \
    for (int64_t i = 0; i < n; i++) far |= !(abs_of(x[i]) < near);                                                     \
    return far != 0;                                                                                                   \
  }
ANY_FAR_OF(float, F32, __builtin_fabsf, NEAR_F32)
ANY_FAR_OF(double, F64, __builtin_fabs, NEAR_F64)
static bool any_far_i64(int64_t n, const int64_t *x) { return (void)n, (void)x, false; }

#define ROWS_F(...)  __VA_ARGS__
#define ROWS_FI(...) __VA_ARGS__
#define ROWS_I(...)
#define WIDE1(name, loop) loop
#define WIDE2(name, loop) loop
#define T                 double
#define FN                F64
#include "kernels/arithmetic.h"
#include "kernels/loops.h"
#undef T
#undef FN
#undef WIDE1
#undef WIDE2

/* What is computed in float64 has no loop of float32. */
#define WIDE1(name, loop)                                                                                              \
  static void unary_##name##_f32(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                      \
    wide1(n, y, sy, a, sa, unary_##name##_f64);                                                                        \
  }
#define WIDE2(name, loop)                                                                                              \
  static void binary_##name##_f32(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,        \
                                  ptrdiff_t sb) {                                                                      \
    wide2(n, y, sy, a, sa, b, sb, binary_##name##_f64);                                                                \
  }
#define T  float
#define FN F32
#include "kernels/arithmetic.h"
#include "kernels/loops.h"
#undef T
#undef FN
#undef ROWS_F
#undef ROWS_I

#define ROWS_F(...)
#define ROWS_I(...) __VA_ARGS__
#define T           int64_t
#define FN          I64
#include "kernels/arithmetic.h"
#include "kernels/loops.h"
#undef T
#undef FN

#define T  uint8_t /* and bool */
#define FN U8
#include "kernels/loops.h"
#undef T
#undef FN

/* ---- int64 against float64, exactly: where the double nearest to the integer is not the other, it tells how they
 * stand; else the other is whole, and the integers tell ---- */
static PERI_NOINLINE void each_mixed(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                     ptrdiff_t sb, bool (*test)(int64_t a, double b)) {
  for (int64_t i = 0; i < n; i++) {
    PERI_ONE_BY_ONE;
    PUT(uint8_t, y, sy) = test(AT(int64_t, a, sa), AT(double, b, sb));
  }
}
#define COMPARE(name, value, doc)                                                                                      \
  static bool test_mixed_##name(int64_t a, double b) {                                                                 \
    double near = (double)a;                                                                                           \
    if (near != b) return test_##name##_f64(near, b);                                                                  \
    return b == 0x1p63 ? test_##name##_i64(0, 1) : test_##name##_i64(a, (int64_t)b);                                   \
  }                                                                                                                    \
  static void compare_mixed_##name(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,       \
                                   ptrdiff_t sb) {                                                                     \
    each_mixed(n, y, sy, a, sa, b, sb, test_mixed_##name);                                                             \
  }
#include "kernels/elementwise.def"

/* ---- conversions: to the nearest value that the type has; fractions are cut off, NaN becomes 0 ---- */

static PERI_ALWAYS_INLINE int64_t f64_to_i64(double x) {
  if (x >= 0x1p63) return INT64_MAX;
  if (x >= -0x1p63) return (int64_t)x;
  return x != x ? 0 : INT64_MIN;
}

static PERI_ALWAYS_INLINE uint8_t f32_to_u8(float x) {
  float bounded = x > 0.0f ? (x < 255.0f ? x : 255.0f) : 0.0f;
  return (uint8_t)(int32_t)bounded;
}

static PERI_ALWAYS_INLINE uint8_t f64_to_u8(double x) {
  double bounded = x > 0.0 ? (x < 255.0 ? x : 255.0) : 0.0;
  return (uint8_t)(int32_t)bounded;
}

static PERI_ALWAYS_INLINE uint8_t i64_to_u8(int64_t x) { return (uint8_t)(x > 0 ? (x < 255 ? x : 255) : 0); }

#define CONVERT(name, From, To, value)                                                                                 \
  static void convert_##name(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                          \
    if (DENSE(To, sy) && DENSE(From, sa)) {                                                                            \
      PERI_FOR_EACH(i, n, 32, From x = ((const From *)a)[i]; ((To *)y)[i] = value);                                    \
    } else {                                                                                                           \
      in_blocks1(n, y, sy, sizeof(To), a, sa, sizeof(From), 1, convert_##name);                                        \
    }                                                                                                                  \
  }
/* Of one dtype: bytes are moved. */
#define COPY(name, T)                                                                                                  \
  static void convert_##name(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                          \
    if (DENSE(T, sy) && DENSE(T, sa)) {                                                                                \
      if (n > 0) memmove(y, a, (size_t)n * sizeof(T));                                                                 \
    } else {                                                                                                           \
      copy_elements(n, sizeof(T), y, sy, a, sa);                                                                       \
    }                                                                                                                  \
  }
COPY(f32_f32, float)
CONVERT(f32_f64, float, double, (double)x)
CONVERT(f32_i64, float, int64_t, f64_to_i64((double)x))
CONVERT(f32_u8, float, uint8_t, f32_to_u8(x))
CONVERT(f32_bool, float, uint8_t, x != 0)
CONVERT(f64_f32, double, float, (float)x)
COPY(f64_f64, double)
CONVERT(f64_i64, double, int64_t, f64_to_i64(x))
CONVERT(f64_u8, double, uint8_t, f64_to_u8(x))
CONVERT(f64_bool, double, uint8_t, x != 0)
CONVERT(i64_f32, int64_t, float, (float)x)
CONVERT(i64_f64, int64_t, double, (double)x)
COPY(i64_i64, int64_t)
CONVERT(i64_u8, int64_t, uint8_t, i64_to_u8(x))
CONVERT(i64_bool, int64_t, uint8_t, x != 0)
CONVERT(u8_f32, uint8_t, float, (float)x)
CONVERT(u8_f64, uint8_t, double, (double)x)
CONVERT(u8_i64, uint8_t, int64_t, x)
COPY(u8_u8, uint8_t)
CONVERT(u8_bool, uint8_t, uint8_t, x != 0)

/* ---- logic ---- */

static void logical_and(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb) {
  if (sy != 1 || sa != 1 || sb != 1) {
    in_blocks2(n, y, sy, 1, a, sa, b, sb, 1, 1, logical_and);
    return;
  }
  PERI_FOR_EACH(i, n, 32, ((uint8_t *)y)[i] = (a[i] != 0) & (b[i] != 0));
}

static void logical_or(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb) {
  if (sy != 1 || sa != 1 || sb != 1) {
    in_blocks2(n, y, sy, 1, a, sa, b, sb, 1, 1, logical_or);
    return;
  }
  PERI_FOR_EACH(i, n, 32, ((uint8_t *)y)[i] = (a[i] != 0) | (b[i] != 0));
}

CONVERT(not, uint8_t, uint8_t, x == 0)

/* ---- the tables ---- */

/* Those of the scorer's library have the functions that layers and machines apply, of floats. */
#ifdef PERI_SCORES
#define FUNCTIONS "kernels/scored.def"
#else
#define FUNCTIONS "kernels/elementwise.def"
#endif

#define FLOATS(name) [PERI_FLOAT32] = F32(name), [PERI_FLOAT64] = F64(name)
#define LOOPS_F(name)                                                                                                  \
  { FLOATS(name) }
#define LOOPS_FI(name)                                                                                                 \
  { FLOATS(name), [PERI_INT64] = I64(name) }
#define LOOPS_I(name)                                                                                                  \
  { [PERI_INT64] = I64(name) }
#define LOOPS_ALL(name)                                                                                                \
  { FLOATS(name), [PERI_INT64] = I64(name), [PERI_UINT8] = U8(name), [PERI_BOOL] = U8(name) }
#define CONVERSIONS_OF(from)                                                                                           \
  {                                                                                                                    \
    [PERI_FLOAT32] = convert_##from##_f32, [PERI_FLOAT64] = convert_##from##_f64, [PERI_INT64] = convert_##from##_i64, \
    PERI_FULL([PERI_UINT8] = convert_##from##_u8, [PERI_BOOL] = convert_##from##_bool)                                 \
  }

const peri_elementwise_kernels PERI_ISA_NAME(peri_elementwise_kernels) = {
    .unary =
        {
#define UNARY(name, kinds, ...) [PERI_UNARY_##name] = LOOPS_##kinds(unary_##name),
#include FUNCTIONS
        },
    .tuned =
        {
#define TUNED(name, ...) [PERI_TUNED_##name] = LOOPS_F(tuned_##name),
#include FUNCTIONS
        },
    .test =
        {
#define TEST(name, ...) [PERI_TEST_##name] = LOOPS_ALL(is_##name),
#include FUNCTIONS
        },
    .binary =
        {
#define BINARY(name, metamethod, kinds, ...) [PERI_BINARY_##name] = LOOPS_##kinds(binary_##name),
#include FUNCTIONS
        },
    .compare =
        {
#define COMPARE(name, ...) [PERI_COMPARE_##name] = LOOPS_ALL(compare_##name),
#include FUNCTIONS
        },
    .compare_mixed =
        {
#define COMPARE(name, ...) [PERI_COMPARE_##name] = compare_mixed_##name,
#include FUNCTIONS
        },
    .lerp = PERI_FULL(LOOPS_F(lerp)),
    .where = PERI_FULL(LOOPS_ALL(where)),
    .convert =
        {
            [PERI_FLOAT32] = CONVERSIONS_OF(f32),
            [PERI_FLOAT64] = CONVERSIONS_OF(f64),
            [PERI_INT64] = CONVERSIONS_OF(i64),
            PERI_FULL([PERI_UINT8] = CONVERSIONS_OF(u8), [PERI_BOOL] = CONVERSIONS_OF(u8)),
        },
    .logical_and = PERI_FULL(logical_and),
    .logical_or = PERI_FULL(logical_or),
    .logical_not = PERI_FULL(convert_not),
};

const peri_derivative_kernels PERI_ISA_NAME(peri_derivative_kernels) = {
    .unary =
        {
#define DERIVATIVE_CHEAP(name)    LOOPS_F(derivative_##name)
#define DERIVATIVE_COSTLY(name)   LOOPS_F(derivative_##name)
#define DERIVATIVE_HEAVY(name)    LOOPS_F(derivative_##name)
#define DERIVATIVE_PERIODIC(name) LOOPS_F(derivative_##name)
#define DERIVATIVE_WIDE(name)                                                                                          \
  { NULL }
#define DERIVATIVE_FAR(name)          DERIVATIVE_WIDE(name)
#define UNARY(name, kinds, cost, ...) [PERI_UNARY_##name] = DERIVATIVE_##cost(name),
#include "kernels/elementwise.def"
        },
    .tuned =
        {
#define TUNED(name, ...) [PERI_TUNED_##name] = LOOPS_F(tuned_derivative_##name),
#include "kernels/elementwise.def"
        },
};
