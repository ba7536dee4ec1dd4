/* Pooling of planes, for each float type from pool_loops.h. */
#include "kernels/isa.h"
#include "kernels/rows.h"

#include <math.h>

#define BYTES 16 /* of a vector: rows of windows are short */

/* Vectors pass only between functions that are inlined: how a call would pass them does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* ---- windows: start is their first position, which padding and dilation may put before 0 ---- */

/* The first of a window's places that lies in [0, n), and one beyond the last. */
static inline int64_t first_place(const peri_windows *windows, int64_t start) {
  return start >= 0 ? 0 : (windows->dilation - 1 - start) / windows->dilation;
}
static inline int64_t past_places(const peri_windows *windows, int64_t start) {
  return peri_min(windows->size, (windows->n - start + windows->dilation - 1) / windows->dilation);
}

/* The windows that lie in [0, n) with all their places. */
static inline peri_span whole_windows(const peri_windows *windows) {
  int64_t last = windows->n - 1 - (windows->size - 1) * windows->dilation + windows->padding;
  int64_t from = peri_min(windows->count, (windows->padding + windows->stride - 1) / windows->stride);
  int64_t to = last < 0 ? 0 : peri_min(windows->count, last / windows->stride + 1);
  return (peri_span){.from = from, .to = peri_max(from, to)};
}

/* Where a place lies, from the first of its window. */
static inline int64_t place_offset(const peri_windows windows[2], int64_t place) {
  return place / windows[1].size * windows[0].dilation * windows[1].n + place % windows[1].size * windows[1].dilation;
}

static inline bool are_twos(const peri_windows *windows) {
  return windows->size == 2 && windows->stride == 2 && windows->padding == 0 && windows->dilation == 1 &&
         2 * windows->count <= windows->n;
}
static inline bool are_fours(const peri_windows windows[2]) { return are_twos(&windows[0]) && are_twos(&windows[1]); }

/* Whether a division by it is, to the bit, a product with its inverse. */
static inline bool is_power(double divisor) {
  int exponent;
  return fabs(frexp(divisor, &exponent)) == 0.5;
}

/* Whether each two are averaged, all by one divisor. */
static inline bool are_pairs(const peri_spans *spans) {
  for (int64_t j = 0; j < spans->count; j++) {
    peri_span span = spans->span[j];
    if (span.from != 2 * j || span.to != 2 * j + 2 || span.divisor != spans->span[0].divisor) return false;
  }
  return true;
}

#define F32(name) name##_f32
#define F64(name) name##_f64

#define T     float
#define PLACE int32_t
#define LANES 4
#define FN    F32
#include "kernels/pool_loops.h"
#undef T
#undef PLACE
#undef LANES
#undef FN

#define T     double
#define PLACE int64_t
#define LANES 2
#define FN    F64
#include "kernels/pool_loops.h"

#define FLOATS(name)                                                                                                   \
  { F32(name), F64(name) }
const peri_pool_kernels PERI_ISA_NAME(peri_pool_kernels) = {
    .max = FLOATS(max),
    .scatter = PERI_FULL(FLOATS(scatter)),
    .gather = PERI_FULL(FLOATS(gather)),
    .average = FLOATS(average),
    .spread = PERI_FULL(FLOATS(spread)),
};
