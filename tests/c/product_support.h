/* What the tests of products and convolutions share: values, the arithmetic of their definition, and every set. */
#ifndef PRODUCT_SUPPORT_H
#define PRODUCT_SUPPORT_H

#include "kernels_support.h"

#include <math.h>

/* Values in [-1, 1] that are no round numbers. */
static inline void *random_matrix(peri_dtype dtype, int64_t n, uint64_t seed) {
  void *x = malloc((size_t)(n + 1) * 8);
  peri_stream stream = {.seed = seed};
  for (int64_t i = 0; i < n; i++) put(dtype, x, i, 2 * peri_stream_uniform(&stream) - 1);
  return x;
}

static bool fused; /* the set has fused multiply-adds */

static inline double madd(peri_dtype dtype, double a, double b, double c) {
  if (dtype == PERI_FLOAT64) return fused ? fma(a, b, c) : a * b + c;
  if (fused) return (double)fmaf((float)a, (float)b, (float)c);
  float product = (float)a * (float)b;
  return (double)(product + (float)c);
}

static inline double add(peri_dtype dtype, double a, double b) {
  return dtype == PERI_FLOAT64 ? a + b : (double)((float)a + (float)b);
}

/* A body with the contexts of each set that the processor has. Sanitizers would find in "exact", which takes ten times
 * as long, nothing but what they find in the baseline: it is the same loops. */
static inline void with_every_set(void (*body)(void)) {
  for (size_t v = 0; v < PERI_COUNT(variants); v++) {
    if (SANITIZED && variants[v] != NULL && strcmp(variants[v], "exact") == 0) continue;
    open_contexts(variants[v]);
    const char *name = contexts[0]->kernels->name;
    if (v == 0 || strcmp(name, "baseline") != 0) { /* a set that the processor has */
      fused = strcmp(name, "baseline") != 0;
#if defined(__ARM_FEATURE_FMA)
      fused = true;
#endif
      body();
    }
    close_contexts();
  }
}

#endif
