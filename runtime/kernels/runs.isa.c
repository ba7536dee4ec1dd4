/* Loops over runs of elements, one after the other in memory. */
#include "kernels/isa.h"
#include "kernels/rows.h"

#define DROPS(T, FN)                                                                                                   \
  static void FN(drop)(int64_t n, double p, double scale, const void *u, const void *x, void *y, void *kept) {         \
    const T *us = u, *xs = x, below = (T)p, by = (T)scale;                                                             \
    uint8_t *keep = kept;                                                                                              \
    T *ys = y;                                                                                                         \
    PERI_INDEPENDENT                                                                                                   \
    for (int64_t i = 0; i < n; i++) ys[i] = xs[i] * (us[i] < below ? 0 : by);                                          \
    if (keep == NULL) return;                                                                                          \
    PERI_INDEPENDENT                                                                                                   \
    for (int64_t i = 0; i < n; i++) keep[i] = (uint8_t) !(us[i] < below);                                              \
  }                                                                                                                    \
  static void FN(drop_back)(int64_t n, double scale, const void *g, const void *kept, void *gx) {                      \
    const T *gs = g, by = (T)scale;                                                                                    \
    const uint8_t *keep = kept;                                                                                        \
    T *out = gx;                                                                                                       \
    PERI_INDEPENDENT                                                                                                   \
    for (int64_t i = 0; i < n; i++) out[i] = keep[i] ? gs[i] * by : 0;                                                 \
  }
DROPS(float, F32)
DROPS(double, F64)

const peri_run_kernels PERI_ISA_NAME(peri_run_kernels) = {.drop = {drop_f32, drop_f64},
                                                          .drop_back = {drop_back_f32, drop_back_f64}};
