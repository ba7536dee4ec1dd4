/* Vectors as wide as the instruction set's registers, for the files of this room that are compiled once for each set.
 * Everything else is written over them in plain C. */
#ifndef PERI_PRODUCT_VECTORS_H
#define PERI_PRODUCT_VECTORS_H

#include "kernels/isa.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* Vectors pass only between functions that are inlined: how a call would pass them does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

#if defined(__AVX512F__)
#define PERI_VECTOR 64
#elif defined(__AVX2__)
#define PERI_VECTOR 32
#else
#define PERI_VECTOR 16
#endif

typedef float peri_f32s __attribute__((vector_size(PERI_VECTOR)));
typedef double peri_f64s __attribute__((vector_size(PERI_VECTOR)));

/* a * b + c in each lane, rounded once where FUSED says so (kernels/isa.h). */
#if defined(__AVX512F__)
#define PERI_MADD_F32(a, b, c) (peri_f32s) _mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c))
#define PERI_MADD_F64(a, b, c) (peri_f64s) _mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c))
#elif defined(__FMA__)
#define PERI_MADD_F32(a, b, c) (peri_f32s) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define PERI_MADD_F64(a, b, c) (peri_f64s) _mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c))
#elif defined(__ARM_FEATURE_FMA)
#define PERI_MADD_F32(a, b, c) (peri_f32s) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define PERI_MADD_F64(a, b, c) (peri_f64s) vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b))
#elif FUSED /* no instruction: lane by lane */
static PERI_ALWAYS_INLINE peri_f32s peri_madd_f32(peri_f32s a, peri_f32s b, peri_f32s c) {
  for (int i = 0; i < PERI_VECTOR / (int)sizeof(float); i++) c[i] = madd_f32(a[i], b[i], c[i]);
  return c;
}
static PERI_ALWAYS_INLINE peri_f64s peri_madd_f64(peri_f64s a, peri_f64s b, peri_f64s c) {
  for (int i = 0; i < PERI_VECTOR / (int)sizeof(double); i++) c[i] = madd_f64(a[i], b[i], c[i]);
  return c;
}
#define PERI_MADD_F32(a, b, c) peri_madd_f32(a, b, c)
#define PERI_MADD_F64(a, b, c) peri_madd_f64(a, b, c)
#else
#define PERI_MADD_F32(a, b, c) ((a) * (b) + (c))
#define PERI_MADD_F64(a, b, c) ((a) * (b) + (c))
#endif

/* Half of such a vector, where it is as wide as two of what many processors compute with. */
#if defined(__AVX512F__)
typedef float peri_f32h __attribute__((vector_size(32)));
typedef double peri_f64h __attribute__((vector_size(32)));
#define PERI_MADD_F32H(a, b, c)            (peri_f32h) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define PERI_MADD_F64H(a, b, c)            (peri_f64h) _mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c))
#define PERI_LOAD_F32H(from, count)        (peri_f32h) _mm256_maskz_loadu_ps((__mmask8)((1u << (count)) - 1), from)
#define PERI_LOAD_F64H(from, count)        (peri_f64h) _mm256_maskz_loadu_pd((__mmask8)((1u << (count)) - 1), from)
#define PERI_STORE_F32H(to, count, vector) _mm256_mask_storeu_ps(to, (__mmask8)((1u << (count)) - 1), (__m256)(vector))
#define PERI_STORE_F64H(to, count, vector) _mm256_mask_storeu_pd(to, (__mmask8)((1u << (count)) - 1), (__m256d)(vector))
#endif

/* The first count lanes, fewer than all: nothing beyond them is read or written, lanes not read are 0. */
#if defined(__AVX512F__)
#define PERI_LOAD_F32(from, count)        (peri_f32s) _mm512_maskz_loadu_ps((__mmask16)((1u << (count)) - 1), from)
#define PERI_LOAD_F64(from, count)        (peri_f64s) _mm512_maskz_loadu_pd((__mmask8)((1u << (count)) - 1), from)
#define PERI_STORE_F32(to, count, vector) _mm512_mask_storeu_ps(to, (__mmask16)((1u << (count)) - 1), (__m512)(vector))
#define PERI_STORE_F64(to, count, vector) _mm512_mask_storeu_pd(to, (__mmask8)((1u << (count)) - 1), (__m512d)(vector))
#elif defined(__AVX2__)
/* Read from 8 - count (4 - count) on, these are count times all bits, then zeros. */
static const int32_t peri_lanes_f32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t peri_lanes_f64[8] = {-1, -1, -1, -1};
#define PERI_MASK_F32(count)              _mm256_loadu_si256((const __m256i *)(const void *)(peri_lanes_f32 + 8 - (count)))
#define PERI_MASK_F64(count)              _mm256_loadu_si256((const __m256i *)(const void *)(peri_lanes_f64 + 4 - (count)))
#define PERI_LOAD_F32(from, count)        (peri_f32s) _mm256_maskload_ps(from, PERI_MASK_F32(count))
#define PERI_LOAD_F64(from, count)        (peri_f64s) _mm256_maskload_pd(from, PERI_MASK_F64(count))
#define PERI_STORE_F32(to, count, vector) _mm256_maskstore_ps(to, PERI_MASK_F32(count), (__m256)(vector))
#define PERI_STORE_F64(to, count, vector) _mm256_maskstore_pd(to, PERI_MASK_F64(count), (__m256d)(vector))
#else
static PERI_ALWAYS_INLINE peri_f32s peri_load_f32(const float *from, int64_t count) {
  peri_f32s vector = {0};
  memcpy(&vector, from, (size_t)count * sizeof *from);
  return vector;
}
static PERI_ALWAYS_INLINE peri_f64s peri_load_f64(const double *from, int64_t count) {
  peri_f64s vector = {0};
  memcpy(&vector, from, (size_t)count * sizeof *from);
  return vector;
}
#define PERI_LOAD_F32(from, count)        peri_load_f32(from, count)
#define PERI_LOAD_F64(from, count)        peri_load_f64(from, count)
#define PERI_STORE_F32(to, count, vector) memcpy(to, &(vector), (size_t)(count) * sizeof(float))
#define PERI_STORE_F64(to, count, vector) memcpy(to, &(vector), (size_t)(count) * sizeof(double))
#endif

/* Some lanes of a vector, from `low` up to before `high`; and those lanes loaded, the others as they were. Nothing but
 * them is read. Lanes that have been merged once are not merged again. */
#if defined(__AVX512F__)
typedef __mmask16 peri_lanes_of_f32;
typedef __mmask8 peri_lanes_of_f64;
#define PERI_LANES_F32(low, high)           ((__mmask16)((1u << (high)) - (1u << (low))))
#define PERI_LANES_F64(low, high)           ((__mmask8)((1u << (high)) - (1u << (low))))
#define PERI_MERGE_F32(vector, lanes, from) (peri_f32s) _mm512_mask_loadu_ps((__m512)(vector), lanes, from)
#define PERI_MERGE_F64(vector, lanes, from) (peri_f64s) _mm512_mask_loadu_pd((__m512d)(vector), lanes, from)
#elif defined(__AVX2__)
typedef __m256i peri_lanes_of_f32;
typedef __m256i peri_lanes_of_f64;
#define PERI_LANES_F32(low, high)           _mm256_andnot_si256(PERI_MASK_F32(low), PERI_MASK_F32(high))
#define PERI_LANES_F64(low, high)           _mm256_andnot_si256(PERI_MASK_F64(low), PERI_MASK_F64(high))
#define PERI_MERGE_F32(vector, lanes, from) (peri_f32s) _mm256_or_ps((__m256)(vector), _mm256_maskload_ps(from, lanes))
#define PERI_MERGE_F64(vector, lanes, from) (peri_f64s) _mm256_or_pd((__m256d)(vector), _mm256_maskload_pd(from, lanes))
#else
typedef struct peri_lane_range {
  int low, high;
} peri_lanes_of_f32;
typedef peri_lanes_of_f32 peri_lanes_of_f64;
#define PERI_LANES_F32(low, high)           ((peri_lanes_of_f32){low, high})
#define PERI_LANES_F64(low, high)           ((peri_lanes_of_f64){low, high})
static PERI_ALWAYS_INLINE peri_f32s peri_merge_f32(peri_f32s vector, peri_lanes_of_f32 lanes, const float *from) {
  for (int i = lanes.low; i < lanes.high; i++) vector[i] = from[i];
  return vector;
}
static PERI_ALWAYS_INLINE peri_f64s peri_merge_f64(peri_f64s vector, peri_lanes_of_f64 lanes, const double *from) {
  for (int i = lanes.low; i < lanes.high; i++) vector[i] = from[i];
  return vector;
}
#define PERI_MERGE_F32(vector, lanes, from) peri_merge_f32(vector, lanes, from)
#define PERI_MERGE_F64(vector, lanes, from) peri_merge_f64(vector, lanes, from)
#endif

#endif
