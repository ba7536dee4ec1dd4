/* Reductions of a block: for each type from reduce_loops.h and reduce_floats.h, and the simple ones
 * here, whose order does not matter. */
#include "kernels/isa.h"
#include "kernels/rows.h"
#include "kernels/vectors.h"

#include <math.h>
#include <string.h>

#define FOLD 32 /* more than compilers unroll, so that the inner loops are vectorised */

#define SUMS (FOLD / WIDTH)

/* v, and 0 in the place of NaN. */
INLINE doubles known(doubles v) {
  for (int lane = 0; lane < WIDTH; lane++) v[lane] = v[lane] == v[lane] ? v[lane] : 0;
  return v;
}

/* The sum of FOLD lanes, each half added to the other. */
INLINE double total_of(doubles *sum) {
  for (int half = SUMS / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; s++) sum[s] += sum[s + half];
  }
  double lanes[WIDTH];
  store(lanes, sum[0]);
  for (int half = WIDTH / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; j++) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

#define F32(name) name##_f32
#define F64(name) name##_f64
#define I64(name) name##_i64
#define U8(name)  name##_u8

/* Vectors of the machine's width, and the larger and the smaller of two: of a NaN and a number the second operand. */
typedef float vector_f32 __attribute__((vector_size(8 * WIDTH)));
typedef double vector_f64 __attribute__((vector_size(8 * WIDTH)));
typedef int32_t lanes_f32 __attribute__((vector_size(8 * WIDTH)));
typedef int64_t lanes_f64 __attribute__((vector_size(8 * WIDTH)));
#if WIDTH == 8
#define LARGER_F32(a, b)       (vector_f32) _mm512_max_ps((__m512)(a), (__m512)(b))
#define SMALLER_F32(a, b)      (vector_f32) _mm512_min_ps((__m512)(a), (__m512)(b))
#define LARGER_F64(a, b)       (vector_f64) _mm512_max_pd((__m512d)(a), (__m512d)(b))
#define SMALLER_F64(a, b)      (vector_f64) _mm512_min_pd((__m512d)(a), (__m512d)(b))
#define NANS_F32               __mmask16
#define NANS_F64               __mmask8
#define NO_NANS                0
#define WITH_NANS_F32(nans, v) (__mmask16)((nans) | _mm512_cmp_ps_mask((__m512)(v), (__m512)(v), _CMP_UNORD_Q))
#define WITH_NANS_F64(nans, v) (__mmask8)((nans) | _mm512_cmp_pd_mask((__m512d)(v), (__m512d)(v), _CMP_UNORD_Q))
#define ANY_NANS(nans)         ((nans) != 0)
#else
#if WIDTH == 4
#define LARGER_F32(a, b)  (vector_f32) _mm256_max_ps((__m256)(a), (__m256)(b))
#define SMALLER_F32(a, b) (vector_f32) _mm256_min_ps((__m256)(a), (__m256)(b))
#define LARGER_F64(a, b)  (vector_f64) _mm256_max_pd((__m256d)(a), (__m256d)(b))
#define SMALLER_F64(a, b) (vector_f64) _mm256_min_pd((__m256d)(a), (__m256d)(b))
#define WITH_NANS_F32(nans, v)                                                                                         \
  (vector_f32) _mm256_or_ps((__m256)(nans), _mm256_cmp_ps((__m256)(v), (__m256)(v), _CMP_UNORD_Q))
#define WITH_NANS_F64(nans, v)                                                                                         \
  (vector_f64) _mm256_or_pd((__m256d)(nans), _mm256_cmp_pd((__m256d)(v), (__m256d)(v), _CMP_UNORD_Q))
#elif defined(__SSE2__)
#define LARGER_F32(a, b)       (vector_f32) _mm_max_ps((__m128)(a), (__m128)(b))
#define SMALLER_F32(a, b)      (vector_f32) _mm_min_ps((__m128)(a), (__m128)(b))
#define LARGER_F64(a, b)       (vector_f64) _mm_max_pd((__m128d)(a), (__m128d)(b))
#define SMALLER_F64(a, b)      (vector_f64) _mm_min_pd((__m128d)(a), (__m128d)(b))
#define WITH_NANS_F32(nans, v) (vector_f32) _mm_or_ps((__m128)(nans), _mm_cmpunord_ps((__m128)(v), (__m128)(v)))
#define WITH_NANS_F64(nans, v) (vector_f64) _mm_or_pd((__m128d)(nans), _mm_cmpunord_pd((__m128d)(v), (__m128d)(v)))
#else
#define CHOSEN(vector, lanes, m, a, b) (vector)(((m) & (lanes)(a)) | (~(m) & (lanes)(b)))
#define LARGER_F32(a, b)               CHOSEN(vector_f32, lanes_f32, (a) > (b), a, b)
#define SMALLER_F32(a, b)              CHOSEN(vector_f32, lanes_f32, (a) < (b), a, b)
#define LARGER_F64(a, b)               CHOSEN(vector_f64, lanes_f64, (a) > (b), a, b)
#define SMALLER_F64(a, b)              CHOSEN(vector_f64, lanes_f64, (a) < (b), a, b)
#define WITH_NANS_F32(nans, v)         (vector_f32)((lanes_f32)(nans) | ((v) != (v)))
#define WITH_NANS_F64(nans, v)         (vector_f64)((lanes_f64)(nans) | ((v) != (v)))
#endif
#define NANS_F32 vector_f32
#define NANS_F64 vector_f64
#define NO_NANS                                                                                                        \
  { 0 }
static PERI_ALWAYS_INLINE bool any_nans(const void *nans) {
  uint64_t words[WIDTH], any = 0;
  memcpy(words, nans, sizeof words);
  for (int i = 0; i < WIDTH; i++) any |= words[i];
  return any != 0;
}
#define ANY_NANS(nans) any_nans(&(nans))
#endif

#define IS_NAN(x) ((x) != (x))
#define T         float
#define PLACE     int32_t
#define FN        F32
#define VECTOR    vector_f32
#define NANS      NANS_F32
#define LARGER    LARGER_F32
#define SMALLER   SMALLER_F32
#define WITH_NANS WITH_NANS_F32
#include "kernels/reduce_loops.h"
#include "kernels/reduce_floats.h"
#undef T
#undef PLACE
#undef FN
#undef VECTOR
#undef NANS
#undef LARGER
#undef SMALLER
#undef WITH_NANS
#define T         double
#define PLACE     int64_t
#define FN        F64
#define VECTOR    vector_f64
#define NANS      NANS_F64
#define LARGER    LARGER_F64
#define SMALLER   SMALLER_F64
#define WITH_NANS WITH_NANS_F64
#include "kernels/reduce_loops.h"
#include "kernels/reduce_floats.h"
#undef T
#undef PLACE
#undef FN
#undef VECTOR
#undef NANS
#undef LARGER
#undef SMALLER
#undef WITH_NANS
#undef IS_NAN

#define IS_NAN(x) false
#define T         int64_t
#define PLACE     int64_t
#define FN        I64
#include "kernels/reduce_loops.h"
#undef T
#undef PLACE
#undef FN
#define T     uint8_t /* and bool */
#define PLACE int32_t
#define FN    U8
#include "kernels/reduce_loops.h"
#undef T
#undef PLACE
#undef FN

/* ---- int64 wraps around, in any order ---- */

static void sum_i64(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint64_t *xs = x;
  uint64_t *sum = out;
  if (width == 1 && stride == 1) {
    uint64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += xs[i];
    *sum = total;
    return;
  }
  for (int64_t j = 0; j < width; j++) sum[j] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) sum[j] += xs[i * stride + j];
  }
}

static void prod_i64(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint64_t *xs = x;
  uint64_t *prod = out;
  for (int64_t j = 0; j < width; j++) prod[j] = 1;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) prod[j] *= xs[i * stride + j];
  }
}

/* ---- bool ---- */

static void any_u8(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint8_t *xs = x;
  uint8_t *any = out;
  if (width == 1 && stride == 1) {
    uint8_t bits = 0;
    for (int64_t i = 0; i < n; i++) bits |= xs[i];
    *any = bits != 0;
    return;
  }
  for (int64_t j = 0; j < width; j++) any[j] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) any[j] |= xs[i * stride + j] != 0;
  }
}

static void all_u8(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint8_t *xs = x;
  uint8_t *all = out;
  if (width == 1 && stride == 1) {
    uint8_t missing = 0;
    for (int64_t i = 0; i < n; i++) missing |= xs[i] == 0;
    *all = !missing;
    return;
  }
  for (int64_t j = 0; j < width; j++) all[j] = 1;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) all[j] &= xs[i * stride + j] != 0;
  }
}

const peri_reduce_kernels PERI_ISA_NAME(peri_reduce_kernels) = {
    .sum = {sum_f32, sum_f64, PERI_FULL(sum_i64)},
    .prod = PERI_FULL({prod_f32, prod_f64, prod_i64}),
    .deviations = {deviations_f32, deviations_f64},
    .squares = {squares_f32, squares_f64},
    .max = {max_f32, max_f64, PERI_FULL(max_i64, max_u8, max_u8)},
    .min = PERI_FULL({min_f32, min_f64, min_i64, min_u8, min_u8}),
    .any = PERI_FULL(any_u8),
    .all = PERI_FULL(all_u8),
};
