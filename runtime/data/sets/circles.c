/* Two concentric rings: the smallest data set that no straight line separates. */
#include "data/sets/sets.h"
#include "data/streams.h"
#include "kernels/scalar.h"
#include "tensor/tensor.h"

#include <math.h>

#define TWO_PI 6.283185307179586476925286766559

static peri_status check_arguments(peri_context *context, int64_t n, double noise, double factor, peri_dtype dtype) {
  if (n < 1) return peri_fail(context, PERI_ERR_ARGUMENT, "circles: n is %lld (expected at least 1)", (long long)n);
  if (!(noise >= 0) || isinf(noise)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "circles: noise is %g (expected a finite number, at least 0)", noise);
  }
  if (!(factor >= 0 && factor < 1)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "circles: factor is %g (expected at least 0 and below 1)", factor);
  }
  if (!peri_is_float(dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "circles: dtype is %s (expected float32 or float64)",
                     peri_dtype_name(dtype));
  }
  return PERI_OK;
}

/* y holds the permutation at first and the classes in the end. */
static void fill(int64_t n, double noise, double factor, uint64_t seed, peri_tensor *x, int64_t *y) {
  peri_stream stream = {.seed = seed, .block = PERI_STREAM_CIRCLES};
  int64_t outer = n / 2;
  peri_stream_permutation(&stream, n, y);
  for (int64_t i = 0; i < n; i++) {
    bool is_outer = y[i] < outer;
    int64_t place = is_outer ? y[i] : y[i] - outer, points = is_outer ? outer : n - outer;
    double angle = TWO_PI * (double)place / (double)points, radius = is_outer ? 1 : factor;
    double point[2] = {radius * peri_cos(angle), radius * peri_sin(angle)};
    for (int c = 0; c < 2; c++) {
      double value = point[c] + noise * peri_stream_normal(&stream);
      if (x->layout.dtype == PERI_FLOAT32)
        ((float *)(void *)x->data)[2 * i + c] = (float)value;
      else
        ((double *)(void *)x->data)[2 * i + c] = value;
    }
    y[i] = is_outer ? 1 : 2;
  }
}

peri_status peri_data_circles(peri_context *context, int64_t n, double noise, double factor, uint64_t seed,
                              peri_dtype dtype, peri_tensor **x, peri_tensor **y) {
  *x = *y = NULL;
  PERI_TRY(check_arguments(context, n, noise, factor, dtype));
  PERI_TRY(peri_tensor_new(context, dtype, 2, (int64_t[]){n, 2}, x));
  peri_status status = peri_tensor_new(context, PERI_INT64, 1, &n, y);
  if (status != PERI_OK) {
    peri_tensor_release(x);
    return status;
  }
  fill(n, noise, factor, seed, *x, (int64_t *)(void *)(*y)->data);
  return PERI_OK;
}
