/* Reductions of a block: for each type from reduce_loops.h and reduce_floats.h, and the simple ones
 * here, whose order does not matter. */
#include "kernels/isa.h"
#include "kernels/rows.h"

#define FOLD 32 /* more than compilers unroll, so that the inner loops are vectorised */

#define F32(name) name##_f32
#define F64(name) name##_f64
#define I64(name) name##_i64
#define U8(name)  name##_u8

#define IS_NAN(x) ((x) != (x))
#define T         float
#define FN        F32
#include "kernels/reduce_loops.h"
#include "kernels/reduce_floats.h"
#undef T
#undef FN
#define T  double
#define FN F64
#include "kernels/reduce_loops.h"
#include "kernels/reduce_floats.h"
#undef T
#undef FN
#undef IS_NAN

#define IS_NAN(x) false
#define T         int64_t
#define FN        I64
#include "kernels/reduce_loops.h"
#undef T
#undef FN
#define T  uint8_t /* and bool */
#define FN U8
#include "kernels/reduce_loops.h"
#undef T
#undef FN

/* ---- int64 wraps around, in any order ---- */

static void sum_i64(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint64_t *xs = x;
  uint64_t *sum = out;
  if (width == 1 && stride == 1) {
    uint64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += xs[i];
    *sum = total;
    return;
  }
  for (int64_t j = 0; j < width; j++) sum[j] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) sum[j] += xs[i * stride + j];
  }
}

static void prod_i64(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint64_t *xs = x;
  uint64_t *prod = out;
  for (int64_t j = 0; j < width; j++) prod[j] = 1;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) prod[j] *= xs[i * stride + j];
  }
}

/* ---- bool ---- */

static void any_u8(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint8_t *xs = x;
  uint8_t *any = out;
  if (width == 1 && stride == 1) {
    uint8_t bits = 0;
    for (int64_t i = 0; i < n; i++) bits |= xs[i];
    *any = bits != 0;
    return;
  }
  for (int64_t j = 0; j < width; j++) any[j] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) any[j] |= xs[i * stride + j] != 0;
  }
}

static void all_u8(int64_t n, int64_t stride, int64_t width, const void *x, void *out) {
  const uint8_t *xs = x;
  uint8_t *all = out;
  if (width == 1 && stride == 1) {
    uint8_t missing = 0;
    for (int64_t i = 0; i < n; i++) missing |= xs[i] == 0;
    *all = !missing;
    return;
  }
  for (int64_t j = 0; j < width; j++) all[j] = 1;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) all[j] &= xs[i * stride + j] != 0;
  }
}

const peri_reduce_kernels PERI_ISA_NAME(peri_reduce_kernels) = {
    .sum = {sum_f32, sum_f64, sum_i64},
    .prod = {prod_f32, prod_f64, prod_i64},
    .deviations = {deviations_f32, deviations_f64},
    .squares = {squares_f32, squares_f64},
    .max = {max_f32, max_f64, max_i64, max_u8, max_u8},
    .min = {min_f32, min_f64, min_i64, min_u8, min_u8},
    .any = any_u8,
    .all = all_u8,
};
