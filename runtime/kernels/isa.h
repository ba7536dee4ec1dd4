/* What the files *.isa.c share. Each of them is compiled once per instruction set with PERI_ISA
 * defined as baseline, exact, v3 or v4 and -march to match, and exports one constant table whose name ends
 * in that word. All sets but the baseline of x86 give the same bits: docs/numerics.md says how that is kept. They want
 * -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math: the last two change no value, and let square roots and
 * selections be vectorised. */
#ifndef PERI_KERNELS_ISA_H
#define PERI_KERNELS_ISA_H

#include "base/full.h"

#include <stdint.h>

#ifndef PERI_ISA
#define PERI_ISA baseline
#endif
#define PERI_ISA_PASTE_(name, isa) name##_##isa
#define PERI_ISA_PASTE(name, isa)  PERI_ISA_PASTE_(name, isa)
#define PERI_ISA_NAME(name)        PERI_ISA_PASTE(name, PERI_ISA)

#if defined(PERI_EXACT) || defined(PERI_SMALL) /* small before fast */
#define PERI_ALWAYS_INLINE inline
#else
#define PERI_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

#if defined(__clang__)
#define PERI_NOINLINE __attribute__((noinline, unused))
#else
#define PERI_NOINLINE __attribute__((noinline, noclone, unused))
#endif

/* bytes of the set's vector */
#if defined(__AVX512F__)
#define PERI_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define PERI_VECTOR_BYTES 32
#else
#define PERI_VECTOR_BYTES 16
#endif

/* for i from 0 below n: whole vectors, then the rest one by one, for which the compiler would else make code of its own
 * for each shorter vector. */
#define PERI_FOR_EACH(i, n, lanes, statement)                                                                          \
  do {                                                                                                                 \
    int64_t peri_from = 0;                                                                                             \
    for (; peri_from + (lanes) <= (n); peri_from += (lanes)) {                                                         \
      PERI_INDEPENDENT                                                                                                 \
      for (int64_t peri_lane = 0; peri_lane < (lanes); peri_lane++) {                                                  \
        const int64_t i = peri_from + peri_lane;                                                                       \
        statement;                                                                                                     \
      }                                                                                                                \
    }                                                                                                                  \
    PERI_ROLLED                                                                                                        \
    for (int64_t i = peri_from; i < (n); i++) {                                                                        \
      PERI_ONE_BY_ONE;                                                                                                 \
      statement;                                                                                                       \
    }                                                                                                                  \
  } while (0)

/* In a loop over strides: vectors of gathered elements are larger code, and not faster. */
#define PERI_ONE_BY_ONE __asm__ volatile("")

/* Before a loop whose iterations do not depend on each other: the output may be an input itself, so
 * "restrict" would be a lie and the compiler's own overlap check would take the slow path. */
#if defined(__clang__)
#define PERI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#define PERI_ROLLED      _Pragma("clang loop unroll(disable)")
#pragma clang diagnostic ignored "-Wpass-failed" /* loops around a libm call stay scalar */
#else
#define PERI_INDEPENDENT _Pragma("GCC ivdep")
#define PERI_ROLLED      _Pragma("GCC unroll 1")
#endif

/* A function's name for a type. */
#define F32(name) name##_f32
#define F64(name) name##_f64
#define I64(name) name##_i64
#define U8(name)  name##_u8

/* a * b + c, where FUSED says whether it has one rounding: where the set has the instruction, and in the variant
 * `exact`, which has the baseline's instructions and calls libm's fma(). Elsewhere it has two, and in scalar.c, whose
 * functions are the same on every machine. */
#if defined(PERI_SCALAR)
#define FUSED 0
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMA) || defined(PERI_EXACT)
#define FUSED 1
#else
#define FUSED 0
#endif
static PERI_ALWAYS_INLINE float madd_f32(float a, float b, float c) {
  return FUSED ? __builtin_fmaf(a, b, c) : a * b + c;
}
static PERI_ALWAYS_INLINE double madd_f64(double a, double b, double c) {
  return FUSED ? __builtin_fma(a, b, c) : a * b + c;
}

#endif
