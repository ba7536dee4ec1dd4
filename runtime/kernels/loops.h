/* Loops over one dimension for every element type: comparison, tests and selection. elementwise.isa.c
 * includes this file once per type with T the type and FN(name) the name with the type's suffix. A
 * loop is written for contiguous operands, and numbers beside them; blocks.h makes others such. */

static void FN(where)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb,
                      const char *c, ptrdiff_t sc) {
  T *out = (T *)y;
  const uint8_t *mask = (const uint8_t *)a;
  const T *bs = (const T *)b, *cs = (const T *)c;
  bool dense = DENSE(T, sy) && sa == 1 && n > 0;
  if (dense && DENSE(T, sb) && DENSE(T, sc)) {
    PERI_FOR_EACH(i, n, 32, out[i] = mask[i] ? bs[i] : cs[i]);
  } else if (dense && DENSE(T, sb) && sc == 0) {
    T other = *cs;
    PERI_FOR_EACH(i, n, 32, out[i] = mask[i] ? bs[i] : other);
  } else if (dense && sb == 0 && DENSE(T, sc)) {
    T other = *bs;
    PERI_FOR_EACH(i, n, 32, out[i] = mask[i] ? other : cs[i]);
  } else if (dense && sb == 0 && sc == 0) {
    T one = *bs, other = *cs;
    PERI_FOR_EACH(i, n, 32, out[i] = mask[i] ? one : other);
  } else {
    for (int64_t i = 0; i < n; i++) {
      PERI_ONE_BY_ONE;
      PUT(T, y, sy) = AT(uint8_t, a, sa) ? AT(T, b, sb) : AT(T, c, sc);
    }
  }
}

/* ---- tests of single elements ---- */

#define TEST(name, value, doc)                                                                                         \
  static PERI_ALWAYS_INLINE bool FN(test_##name)(T x) { return value; }                                                \
  static void FN(is_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa) {                           \
    if (sy == 1 && DENSE(T, sa)) {                                                                                     \
      PERI_FOR_EACH(i, n, 32, ((uint8_t *)y)[i] = FN(test_##name)(((const T *)a)[i]));                                 \
    } else {                                                                                                           \
      in_blocks1(n, y, sy, 1, a, sa, sizeof(T), 1, FN(is_##name));                                                     \
    }                                                                                                                  \
  }
#define SIGNBIT(a) FN(signbit)(a)
#include "kernels/elementwise.def"
#undef SIGNBIT

/* ---- comparisons, one function and one loop for each row of the table; a > b is b < a, in the same loop ---- */

static PERI_ALWAYS_INLINE void FN(test2)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                         ptrdiff_t sb, bool (*f)(T, T), peri_loop2 loop) {
  uint8_t *out = (uint8_t *)y;
  const T *as = (const T *)a, *bs = (const T *)b;
  bool dense = sy == 1 && n > 0;
  if (dense && DENSE(T, sa) && DENSE(T, sb)) {
    PERI_FOR_EACH(i, n, 32, out[i] = f(as[i], bs[i]));
  } else if (dense && DENSE(T, sa) && sb == 0) {
    T right = *bs;
    PERI_FOR_EACH(i, n, 32, out[i] = f(as[i], right));
  } else if (dense && sa == 0 && DENSE(T, sb)) {
    T left = *as;
    PERI_FOR_EACH(i, n, 32, out[i] = f(left, bs[i]));
  } else {
    in_blocks2(n, y, sy, 1, a, sa, b, sb, sizeof(T), 1, loop);
  }
}

#define COMPARE(name, value, doc)                                                                                      \
  static PERI_ALWAYS_INLINE bool FN(test_##name)(T a, T b) { return value; }                                           \
  static void FN(compare_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,         \
                                 ptrdiff_t sb) {                                                                       \
    if (PERI_COMPARE_##name == PERI_COMPARE_gt) {                                                                      \
      FN(compare_lt)(n, y, sy, b, sb, a, sa);                                                                          \
    } else if (PERI_COMPARE_##name == PERI_COMPARE_ge) {                                                               \
      FN(compare_le)(n, y, sy, b, sb, a, sa);                                                                          \
    } else {                                                                                                           \
      FN(test2)(n, y, sy, a, sa, b, sb, FN(test_##name), FN(compare_##name));                                          \
    }                                                                                                                  \
  }
static PERI_NOINLINE void FN(compare_lt)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                         ptrdiff_t sb);
static PERI_NOINLINE void FN(compare_le)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                         ptrdiff_t sb);
#include "kernels/elementwise.def"
