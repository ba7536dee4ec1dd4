/* Vectors of the machine's width, for the files *.isa.c of this room: gcc's and clang's common vector types, and
 * intrinsics where they do better. */
#ifndef PERI_SVM_VECTORS_H
#define PERI_SVM_VECTORS_H

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
#define WIDTH 2
#endif

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

/* Floats of either dtype as double, chosen by a constant. */
INLINE double value_at(const void *x, int64_t at, bool wide) {
  return wide ? ((const double *)x)[at] : (double)((const float *)x)[at];
}
INLINE doubles values_at(const void *x, int64_t at, bool wide) {
  if (wide) return load((const double *)x + at);
#if WIDTH == 8 /* gcc 12 makes five instructions of a conversion to 512 bits */
  return (doubles)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)x + at));
#else
  floats v;
  memcpy(&v, (const float *)x + at, sizeof v);
  return __builtin_convertvector(v, doubles);
#endif
}

#endif
