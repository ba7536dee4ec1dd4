/* Products of small matrices, where the call of a BLAS costs more than the arithmetic, and the few
 * loops over runs that products need; for each float type from small_gemm.h. */
#include "kernels/isa.h"
#include "kernels/rows.h"

#if defined(__FMA__)
#include <immintrin.h>
#define MADD_F32(a, b, c) (vector_f32) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define MADD_F64(a, b, c) (vector_f64) _mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c))
#else
#define MADD_F32(a, b, c) ((a) * (b) + (c))
#define MADD_F64(a, b, c) ((a) * (b) + (c))
#endif

#if defined(__AVX__)
#include <immintrin.h>
/* Read from 8 - count (4 - count) on, these are count times all bits, then zeros. */
static const int32_t lanes_f32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t lanes_f64[8] = {-1, -1, -1, -1};
#define MASK_F32(count) _mm256_loadu_si256((const __m256i *)(const void *)(lanes_f32 + 8 - (count)))
#define MASK_F64(count) _mm256_loadu_si256((const __m256i *)(const void *)(lanes_f64 + 4 - (count)))
#endif

/* Vectors pass only between functions that are inlined: how a call would pass them does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float vector_f32 __attribute__((vector_size(32)));
typedef double vector_f64 __attribute__((vector_size(32)));

#define F32(name) name##_f32
#define F64(name) name##_f64

#define T      float
#define FN     F32
#define VECTOR vector_f32
#define LANES  8
#define MADD   MADD_F32
#if defined(__AVX__)
#define PARTIAL_LOAD(from, count)        (vector_f32) _mm256_maskload_ps(from, MASK_F32(count))
#define PARTIAL_STORE(to, count, vector) _mm256_maskstore_ps(to, MASK_F32(count), (__m256)(vector))
#endif
#include "kernels/small_gemm.h"
#undef T
#undef FN
#undef VECTOR
#undef LANES
#undef MADD
#undef PARTIAL_LOAD
#undef PARTIAL_STORE

#define T      double
#define FN     F64
#define VECTOR vector_f64
#define LANES  4
#define MADD   MADD_F64
#if defined(__AVX__)
#define PARTIAL_LOAD(from, count)        (vector_f64) _mm256_maskload_pd(from, MASK_F64(count))
#define PARTIAL_STORE(to, count, vector) _mm256_maskstore_pd(to, MASK_F64(count), (__m256d)(vector))
#endif
#include "kernels/small_gemm.h"

static void add_f32(int64_t n, const void *x, void *y) {
  const float *from = x;
  float *to = y;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void add_f64(int64_t n, const void *x, void *y) {
  const double *from = x;
  double *to = y;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void add_i64(int64_t n, const void *x, void *y) {
  const uint64_t *from = x; /* wraps around */
  uint64_t *to = y;
  PERI_INDEPENDENT
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

const peri_product_kernels PERI_ISA_NAME(peri_product_kernels) = {
    .small = {small_f32, small_f64},
    .scale = {scale_f32, scale_f64},
    .add = {add_f32, add_f64, add_i64},
};
