/* What rows share that make tensors from numbers. */
#ifndef PERI_CREATE_H
#define PERI_CREATE_H

#include "ops/ops.h"

#define DTYPE_PARAM(kind_default)                                                                                      \
  { "dtype", PERI_KIND_DTYPE, .optional = true, .named = true, .otherwise = kind_default }
#define GRAD_PARAM                                                                                                     \
  { "requires_grad", PERI_KIND_BOOL, .optional = true, .named = true }
#define SHAPE_PARAMS {"shape", PERI_KIND_SHAPE}, DTYPE_PARAM(PERI_FLOAT32), GRAD_PARAM

/* The output has the sizes of a SHAPE argument; is a vector. */
static inline peri_status peri_infer_sizes(peri_call *call, const peri_arg *shape, peri_dtype dtype) {
  return peri_infer_output(call, 0, dtype, shape->count, shape->sizes);
}
static inline peri_status peri_infer_vector(peri_call *call, peri_dtype dtype, int64_t n) {
  return peri_infer_output(call, 0, dtype, 1, &n);
}

#endif
