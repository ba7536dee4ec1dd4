/* Runs of positions: reading, writing and combining the elements of x that they point to. */
#include "kernels/places.h"

/* The step to position v, or one beyond all where there is none. */
static inline uint64_t resolve(const peri_places *places, int64_t v) {
  if (v < 0) v += places->wrap;
  return (uint64_t)v - 1;
}

static void mark(peri_places *places) { atomic_store_explicit(&places->outside, true, memory_order_relaxed); }

void peri_places_check(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  peri_places *places = arg;
  const uint64_t size = (uint64_t)places->size;
  bool outside = false;
  for (int64_t i = 0; i < n; i++) outside |= resolve(places, *(const int64_t *)(const void *)(p[0] + i * s[0])) >= size;
  if (outside) mark(places);
}

/* DO is said with `at`, an element of x, and `value`, the one beside it. The common strides are constants to the
 * compiler: a vector of positions, and a vector or one number beside it. */
#define STEPS(T, DO, X, SX, SI, SV)                                                                                    \
  for (int64_t i = 0; i < n; i++) {                                                                                    \
    const uint64_t step = resolve(places, *(const int64_t *)(const void *)(index + i * (SI)));                         \
    if (step >= size) {                                                                                                \
      mark(places);                                                                                                    \
      return;                                                                                                          \
    }                                                                                                                  \
    T *at = (T *)(void *)(x + i * (SX) + (ptrdiff_t)step * (X)), *value = (T *)(void *)(beside + i * (SV));            \
    DO;                                                                                                                \
  }
#define RUN(name, T, DO)                                                                                               \
  static void name(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {                                         \
    peri_places *places = arg;                                                                                         \
    const uint64_t size = (uint64_t)places->size;                                                                      \
    const ptrdiff_t unit = (ptrdiff_t)sizeof(T);                                                                       \
    char *x = p[0], *index = p[1], *beside = p[2];                                                                     \
    if (s[1] == 0) {                                                                                                   \
      const uint64_t step = resolve(places, *(const int64_t *)(const void *)index);                                    \
      if (step >= size) {                                                                                              \
        mark(places);                                                                                                  \
        return;                                                                                                        \
      }                                                                                                                \
      x += (ptrdiff_t)step * places->step;                                                                             \
      if (s[0] == unit && s[2] == unit) {                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
          T *at = (T *)(void *)x + i, *value = (T *)(void *)beside + i;                                                \
          DO;                                                                                                          \
        }                                                                                                              \
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

RUN(read_1, uint8_t, *value = *at)
RUN(read_4, uint32_t, *value = *at)
RUN(read_8, uint64_t, *value = *at)
RUN(write_1, uint8_t, *at = *value)
RUN(write_4, uint32_t, *at = *value)
RUN(write_8, uint64_t, *at = *value)

RUN(add_f32, float, *at = *at + *value)
RUN(add_f64, double, *at = *at + *value)
RUN(add_i64, uint64_t, *at = *at + *value)
RUN(mul_f32, float, *at = *at * *value)
RUN(mul_f64, double, *at = *at * *value)
RUN(mul_i64, uint64_t, *at = *at * *value)
/* A NaN that is there stays: nothing is larger or smaller. */
#define LARGER  *at = *value > *at || *value != *value ? *value : *at
#define SMALLER *at = *value < *at || *value != *value ? *value : *at
RUN(max_f32, float, LARGER)
RUN(max_f64, double, LARGER)
RUN(max_i64, int64_t, *at = *value > *at ? *value : *at)
RUN(min_f32, float, SMALLER)
RUN(min_f64, double, SMALLER)
RUN(min_i64, int64_t, *at = *value < *at ? *value : *at)

peri_places_run peri_places_read(size_t bytes) { return bytes == 1 ? read_1 : bytes == 4 ? read_4 : read_8; }
peri_places_run peri_places_write(size_t bytes) { return bytes == 1 ? write_1 : bytes == 4 ? write_4 : write_8; }

peri_places_run peri_places_combine(peri_combination op, peri_dtype dtype) {
  static const peri_places_run runs[][3] = {[PERI_COMBINE_SUM] = {add_f32, add_f64, add_i64},
                                            [PERI_COMBINE_PROD] = {mul_f32, mul_f64, mul_i64},
                                            [PERI_COMBINE_MAX] = {max_f32, max_f64, max_i64},
                                            [PERI_COMBINE_MIN] = {min_f32, min_f64, min_i64}};
  return runs[op][dtype];
}
