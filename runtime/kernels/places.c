/* Runs of positions: reading, writing and combining the elements of x that they point to. */
#include "kernels/places.h"

static void mark(peri_places *places) { atomic_store_explicit(&places->outside, true, memory_order_relaxed); }

/* Finds the step to position v, and says whether there is none. Those from the start take one comparison. */
static inline bool resolve(const peri_places *places, int64_t v, uint64_t *step) {
  const uint64_t size = (uint64_t)places->size;
  *step = (uint64_t)v - 1;
  if (*step < size) return true;
  if (v >= 0) return false;
  *step += (uint64_t)places->wrap;
  return *step < size;
}

static bool any_outside(const peri_places *places, int64_t n, const char *index, ptrdiff_t s) {
  uint64_t step;
  for (int64_t i = 0; i < n; i++) {
    if (!resolve(places, *(const int64_t *)(const void *)(index + i * s), &step)) return true;
  }
  return false;
}

void peri_places_check(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  peri_places *places = arg;
  if (s[0] == sizeof(int64_t)) { /* the signs of v - 1 and size - v, without a branch */
    const uint64_t *v = (const uint64_t *)(const void *)p[0], size = (uint64_t)places->size;
    uint64_t signs = 0;
    for (int64_t i = 0; i < n; i++) signs |= (v[i] - 1) | (size - v[i]);
    if (signs >> 63 == 0) return;
  }
  if (any_outside(places, n, p[0], s[0])) mark(places);
}

/* DO is said with `at`, an element of x, and `value`, the one beside it; WHOLE with x, beside and n, for a run of one
 * position. The common strides are constants to the compiler: a vector of positions, and a vector beside it. */
#define STEPS(T, DO, X, SX, SI, SV)                                                                                    \
  for (int64_t i = 0; i < n; i++) {                                                                                    \
    uint64_t step;                                                                                                     \
    if (!resolve(places, *(const int64_t *)(const void *)(index + i * (SI)), &step)) {                                 \
      mark(places);                                                                                                    \
      return;                                                                                                          \
    }                                                                                                                  \
    T *at = (T *)(void *)(x + i * (SX) + (ptrdiff_t)step * (X)), *value = (T *)(void *)(beside + i * (SV));            \
    DO;                                                                                                                \
  }
#define RUN(name, T, DO, WHOLE)                                                                                        \
  static void name(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {                                         \
    peri_places *places = arg;                                                                                         \
    const ptrdiff_t unit = (ptrdiff_t)sizeof(T);                                                                       \
    char *x = p[0], *index = p[1], *beside = p[2];                                                                     \
    if (s[1] == 0) {                                                                                                   \
      uint64_t step;                                                                                                   \
      if (!resolve(places, *(const int64_t *)(const void *)index, &step)) {                                            \
        mark(places);                                                                                                  \
        return;                                                                                                        \
      }                                                                                                                \
      x += (ptrdiff_t)step * places->step;                                                                             \
      if (s[0] == unit && s[2] == unit) {                                                                              \
        WHOLE;                                                                                                         \
      } else {                                                                                                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
          T *at = (T *)(void *)(x + i * s[0]), *value = (T *)(void *)(beside + i * s[2]);                              \
          DO;                                                                                                          \
        }                                                                                                              \
      }                                                                                                                \
    } else if (s[0] == 0 && s[1] == 8 && s[2] == unit && places->step == unit) {                                       \
      STEPS(T, DO, unit, 0, 8, unit)                                                                                   \
    } else {                                                                                                           \
      STEPS(T, DO, places->step, s[0], s[1], s[2])                                                                     \
    }                                                                                                                  \
  }
#define MOVE(name, T, DO, TO, FROM) RUN(name, T, DO, memcpy(TO, FROM, (size_t)n * sizeof(T)))
#define COMBINE(name, T, DO)                                                                                           \
  RUN(                                                                                                                 \
      name, T, DO, for (int64_t i = 0; i < n; i++) {                                                                   \
        T *at = (T *)(void *)x + i;                                                                                    \
        T *value = (T *)(void *)beside + i;                                                                            \
        DO;                                                                                                            \
      })

MOVE(read_1, uint8_t, *value = *at, beside, x)
MOVE(read_4, uint32_t, *value = *at, beside, x)
MOVE(read_8, uint64_t, *value = *at, beside, x)
MOVE(write_1, uint8_t, *at = *value, x, beside)
MOVE(write_4, uint32_t, *at = *value, x, beside)
MOVE(write_8, uint64_t, *at = *value, x, beside)

COMBINE(add_f32, float, *at = *at + *value)
COMBINE(add_f64, double, *at = *at + *value)
COMBINE(add_i64, uint64_t, *at = *at + *value)
COMBINE(mul_f32, float, *at = *at * *value)
COMBINE(mul_f64, double, *at = *at * *value)
COMBINE(mul_i64, uint64_t, *at = *at * *value)
/* A NaN that is there stays: nothing is larger or smaller. */
#define LARGER  *at = *value > *at || *value != *value ? *value : *at
#define SMALLER *at = *value < *at || *value != *value ? *value : *at
COMBINE(max_f32, float, LARGER)
COMBINE(max_f64, double, LARGER)
COMBINE(max_i64, int64_t, *at = *value > *at ? *value : *at)
COMBINE(min_f32, float, SMALLER)
COMBINE(min_f64, double, SMALLER)
COMBINE(min_i64, int64_t, *at = *value < *at ? *value : *at)

peri_places_run peri_places_read(size_t bytes) { return bytes == 1 ? read_1 : bytes == 4 ? read_4 : read_8; }
peri_places_run peri_places_write(size_t bytes) { return bytes == 1 ? write_1 : bytes == 4 ? write_4 : write_8; }

peri_places_run peri_places_combine(peri_combination op, peri_dtype dtype) {
  static const peri_places_run runs[][3] = {[PERI_COMBINE_SUM] = {add_f32, add_f64, add_i64},
                                            [PERI_COMBINE_PROD] = {mul_f32, mul_f64, mul_i64},
                                            [PERI_COMBINE_MAX] = {max_f32, max_f64, max_i64},
                                            [PERI_COMBINE_MIN] = {min_f32, min_f64, min_i64}};
  return runs[op][dtype];
}
