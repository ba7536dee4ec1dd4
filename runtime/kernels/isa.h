/* What the files *.isa.c share. Each of them is compiled once per instruction set with PERI_ISA
 * defined as baseline, exact, v3 or v4 and -march to match, and exports one constant table whose name ends
 * in that word. All sets but the baseline of x86 give the same bits: docs/numerics.md says how that is kept. They want
 * -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math: the last two change no value, and let square roots and
 * selections be vectorised. */
#ifndef PERI_KERNELS_ISA_H
#define PERI_KERNELS_ISA_H

#include <stdint.h>

#ifndef PERI_ISA
#define PERI_ISA baseline
#endif
#define PERI_ISA_PASTE_(name, isa) name##_##isa
#define PERI_ISA_PASTE(name, isa)  PERI_ISA_PASTE_(name, isa)
#define PERI_ISA_NAME(name)        PERI_ISA_PASTE(name, PERI_ISA)

#if defined(PERI_EXACT) /* small before fast */
#define PERI_ALWAYS_INLINE inline
#else
#define PERI_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

#define PERI_NOINLINE __attribute__((noinline, unused))

/* Before a loop whose iterations do not depend on each other: the output may be an input itself, so
 * "restrict" would be a lie and the compiler's own overlap check would take the slow path. */
#if defined(__clang__)
#define PERI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* loops around a libm call stay scalar */
#else
#define PERI_INDEPENDENT _Pragma("GCC ivdep")
#endif

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
