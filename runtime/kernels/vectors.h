/* Vectors of the machine's width, for files *.isa.c: gcc's and clang's common vector types, and
 * intrinsics where they do better. Where the order of additions tells, sums have as many lanes on every machine: a
 * multiple of GROUP_LANES, in as many vectors as that takes. */
#ifndef PERI_KERNELS_VECTORS_H
#define PERI_KERNELS_VECTORS_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define WIDTH 8
#elif defined(__AVX2__)
#include <immintrin.h>
#define WIDTH 4
#else
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif
#define WIDTH 2
#endif
#define GROUP_LANES 8
#define GROUP       (GROUP_LANES / WIDTH)

/* Every function that takes or returns these vectors is inlined: no calling convention is involved. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef double doubles __attribute__((vector_size(8 * WIDTH)));
#if WIDTH < 8
typedef float floats __attribute__((vector_size(4 * WIDTH)));
#endif

INLINE doubles all(double value) { return value - (doubles){0}; }

INLINE doubles load(const double *x) {
  doubles v;
  memcpy(&v, x, sizeof v);
  return v;
}
INLINE void store(double *y, doubles v) { memcpy(y, &v, sizeof v); }

/* a * b + c */
INLINE doubles fused(doubles a, doubles b, doubles c) {
#if WIDTH == 8
  return (doubles)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif WIDTH == 4 && FUSED
  return (doubles)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  return (doubles)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif !FUSED
  return a * b + c;
#else
  for (int lane = 0; lane < WIDTH; lane++) c[lane] = madd_f64(a[lane], b[lane], c[lane]);
  return c;
#endif
}

/* The sum of all lanes of 1, 2 or 4 groups (a constant): groups first, then halves of a group. */
INLINE double sum_of(doubles *sum, int groups) {
  for (int half = groups / 2; half > 0; half /= 2) {
    for (int v = 0; v < half * GROUP; v++) sum[v] += sum[v + half * GROUP];
  }
  double lanes[GROUP_LANES];
  for (int v = 0; v < GROUP; v++) store(lanes + v * WIDTH, sum[v]);
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Floats of either dtype as double, chosen by a constant. */
INLINE double value_at(const void *x, int64_t at, bool wide) {
  return wide ? ((const double *)x)[at] : (double)((const float *)x)[at];
}
INLINE doubles values_at(const void *x, int64_t at, bool wide) {
  if (wide) return load((const double *)x + at);
  const float *from = (const float *)x + at; /* gcc 12 makes many instructions of a conversion of common vectors */
#if WIDTH == 8
  return (doubles)_mm512_cvtps_pd(_mm256_loadu_ps(from));
#elif WIDTH == 4
  return (doubles)_mm256_cvtps_pd(_mm_loadu_ps(from));
#elif defined(__aarch64__)
  return (doubles)vcvt_f64_f32(vld1_f32(from));
#elif defined(__SSE2__)
  return (doubles)_mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd((const double *)(const void *)from)));
#else
  floats v;
  memcpy(&v, from, sizeof v);
  return __builtin_convertvector(v, doubles);
#endif
}

#endif
