/* Loops over runs of elements, one after the other in memory. */
#include "kernels/isa.h"
#include "kernels/rows.h"

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

const peri_run_kernels PERI_ISA_NAME(peri_run_kernels) = {.add = {add_f32, add_f64, add_i64}};
