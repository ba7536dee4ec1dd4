/* Loops over one dimension for every element type: comparison and selection. elementwise.isa.c
 * includes this file once per type with T the type and FN(name) the name with the type's suffix. A
 * loop takes the scalar function that it applies and is inlined into a caller that knows it, so that
 * the function disappears in the loop. Contiguous operands and repeated ones (stride 0) have loops
 * that are vectorised; the last form takes any strides. An element's arithmetic is the same in all. */

static PERI_ALWAYS_INLINE void FN(test2)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                         ptrdiff_t sb, bool (*f)(T, T)) {
  uint8_t *out = (uint8_t *)y;
  const T *as = (const T *)a, *bs = (const T *)b;
  bool dense = sy == 1 && n > 0;
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
    for (int64_t i = 0; i < n; i++) PUT(uint8_t, y, sy) = f(AT(T, a, sa), AT(T, b, sb));
  }
}

static void FN(where)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb,
                      const char *c, ptrdiff_t sc) {
  T *out = (T *)y;
  const uint8_t *mask = (const uint8_t *)a;
  const T *bs = (const T *)b, *cs = (const T *)c;
  bool dense = DENSE(T, sy) && sa == 1 && n > 0;
  if (dense && DENSE(T, sb) && DENSE(T, sc)) {
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = mask[i] ? bs[i] : cs[i];
  } else if (dense && DENSE(T, sb) && sc == 0) {
    T other = *cs;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = mask[i] ? bs[i] : other;
  } else if (dense && sb == 0 && DENSE(T, sc)) {
    T other = *bs;
    PERI_INDEPENDENT
    for (int64_t i = 0; i < n; i++) out[i] = mask[i] ? other : cs[i];
  } else {
    for (int64_t i = 0; i < n; i++) PUT(T, y, sy) = AT(uint8_t, a, sa) ? AT(T, b, sb) : AT(T, c, sc);
  }
}

/* ---- comparisons, one function and one loop for each row of the table; a > b is b < a, in the same loop ---- */
#define UNARY(...)
#define BINARY(...)
#define COMPARE(name, value, doc)                                                                                      \
  static PERI_ALWAYS_INLINE bool FN(test_##name)(T a, T b) { return value; }                                           \
  static void FN(compare_##name)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,         \
                                 ptrdiff_t sb) {                                                                       \
    if (PERI_COMPARE_##name == PERI_COMPARE_gt) {                                                                      \
      FN(compare_lt)(n, y, sy, b, sb, a, sa);                                                                          \
    } else if (PERI_COMPARE_##name == PERI_COMPARE_ge) {                                                               \
      FN(compare_le)(n, y, sy, b, sb, a, sa);                                                                          \
    } else {                                                                                                           \
      FN(test2)(n, y, sy, a, sa, b, sb, FN(test_##name));                                                              \
    }                                                                                                                  \
  }
static void FN(compare_lt)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb);
static void FN(compare_le)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb);
#include "kernels/elementwise.def"
