/* What the files *.isa.c share. Each of them is compiled once per instruction set with PERI_ISA
 * defined as baseline, v3 or v4 and -march to match, and exports one constant table whose name ends
 * in that word. They want -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math: the last two
 * change no value, and let square roots and selections be vectorised. */
#ifndef PERI_KERNELS_ISA_H
#define PERI_KERNELS_ISA_H

#include <stdint.h>

#ifndef PERI_ISA
#define PERI_ISA baseline
#endif
#define PERI_ISA_PASTE_(name, isa) name##_##isa
#define PERI_ISA_PASTE(name, isa)  PERI_ISA_PASTE_(name, isa)
#define PERI_ISA_NAME(name)        PERI_ISA_PASTE(name, PERI_ISA)

#define PERI_ALWAYS_INLINE inline __attribute__((always_inline))

/* Before a loop whose iterations do not depend on each other: the output may be an input itself, so
 * "restrict" would be a lie and the compiler's own overlap check would take the slow path. */
#if defined(__clang__)
#define PERI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* loops around a libm call stay scalar */
#else
#define PERI_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* a * b + c: one rounding where the set has the instruction, two elsewhere. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static PERI_ALWAYS_INLINE float madd_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static PERI_ALWAYS_INLINE double madd_f64(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
static PERI_ALWAYS_INLINE float madd_f32(float a, float b, float c) { return a * b + c; }
static PERI_ALWAYS_INLINE double madd_f64(double a, double b, double c) { return a * b + c; }
#endif

#endif
