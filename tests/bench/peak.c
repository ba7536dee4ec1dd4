/* The multiply-adds that one core can do: chains in registers alone, as wide as the processor has them.
 * Prints GFLOP/s for float32; half of it is float64's. */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define CHAINS 12
#define STEPS  200000

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* x = x * a + b on twelve registers, of which the compiler may not know that they begin as equals. */
#define HIDE(c)                                                                                                        \
  __asm__ volatile(""                                                                                                  \
                   : "+" c(x0), "+" c(x1), "+" c(x2), "+" c(x3), "+" c(x4), "+" c(x5), "+" c(x6), "+" c(x7),           \
                     "+" c(x8), "+" c(x9), "+" c(x10), "+" c(x11))
#define CHAIN_LOOP(vector, madd, a, b, c)                                                                              \
  vector x0 = a, x1 = a, x2 = a, x3 = a, x4 = a, x5 = a, x6 = a, x7 = a, x8 = a, x9 = a, x10 = a, x11 = a;             \
  HIDE(c);                                                                                                             \
  for (int step = 0; step < STEPS; step++) {                                                                           \
    x0 = madd(x0, a, b), x1 = madd(x1, a, b), x2 = madd(x2, a, b), x3 = madd(x3, a, b), x4 = madd(x4, a, b),           \
    x5 = madd(x5, a, b), x6 = madd(x6, a, b), x7 = madd(x7, a, b), x8 = madd(x8, a, b), x9 = madd(x9, a, b),           \
    x10 = madd(x10, a, b), x11 = madd(x11, a, b);                                                                      \
  }                                                                                                                    \
  HIDE(c)

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void wide_chains(void) {
  __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  CHAIN_LOOP(__m512, _mm512_fmadd_ps, a, b, "v");
}
__attribute__((target("avx2,fma"))) static void chains(void) {
  __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  CHAIN_LOOP(__m256, _mm256_fmadd_ps, a, b, "x");
}
#elif defined(__ARM_NEON)
#define MADD(x, a, b) vfmaq_f32(b, x, a)
static void chains(void) {
  float32x4_t a = vdupq_n_f32(0.5f), b = vdupq_n_f32(0.25f);
  CHAIN_LOOP(float32x4_t, MADD, a, b, "w");
}
#else
#define MADD(x, a, b) ((x) * (a) + (b))
static void chains(void) {
  float a = 0.5f, b = 0.25f;
  CHAIN_LOOP(float, MADD, a, b, "g");
}
#endif

/* GFLOP/s, the best of several runs. */
static double rate(void (*run)(void), int lanes) {
  double best = 1e9;
  for (int i = 0; i < 200; i++) {
    double start = now();
    run();
    double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  return 2.0 * CHAINS * STEPS * lanes / best * 1e-9;
}

int main(void) {
  double best = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) best = rate(wide_chains, 16);
  if (__builtin_cpu_supports("fma")) {
    double narrow = rate(chains, 8);
    if (narrow > best) best = narrow;
  }
#elif defined(__ARM_NEON)
  best = rate(chains, 4);
#else
  best = rate(chains, 1);
#endif
  printf("%.1f\n", best);
  return 0;
}
