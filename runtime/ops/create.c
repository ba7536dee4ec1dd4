/* Rows that make tensors of one value, and in the shape of others. Sequences are in sequence.c, random draws in
 * random.c. */
#include "ops/create.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#define BETWEEN_LOOKS (1 << 21) /* elements */

static peri_status fill(peri_call *call, const peri_arg *value) {
  peri_tensor *y = call->outputs[0].tensor;
  double element;
  peri_arg_store(value, y->layout.dtype, &element);
  ptrdiff_t size = (ptrdiff_t)peri_dtype_size(y->layout.dtype);
  for (int64_t at = 0, n; at < y->layout.numel; at += n) {
    PERI_TRY(peri_check_cancel(call->context));
    n = peri_min(y->layout.numel - at, BETWEEN_LOOKS);
    call->context->kernels->elementwise->convert[y->layout.dtype][y->layout.dtype](n, y->data + at * size, size,
                                                                                   (const char *)&element, 0);
  }
  return PERI_OK;
}

/* ---- constants ---- */

static peri_status infer_shape(peri_call *call) {
  return peri_infer_sizes(call, &call->args[0], (peri_dtype)call->args[1].integer);
}
static peri_status run_zeros(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  return peri_clear(call->context, y->data, (size_t)y->layout.numel * peri_dtype_size(y->layout.dtype));
}
static peri_status run_ones(peri_call *call) { return fill(call, &(peri_arg){.number = 1}); }

const peri_op peri_op_zeros = {
    .name = "zeros",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_zeros,
    .sample = "{2, 3}, {0}, {{4, 1, 2}, {dtype = 'int64'}}",
    .doc = "zeros(shape, {dtype = 'float32', requires_grad = false}) -> tensor\nA tensor of zeros.",
};

const peri_op peri_op_ones = {
    .name = "ones",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_ones,
    .sample = "{2, 3}, {{4}, {dtype = 'bool'}}",
    .doc = "ones(shape, {dtype = 'float32', requires_grad = false}) -> tensor\nA tensor of ones.",
};

/* Uninitialised bytes would give other bits each time, so that empty is zeros with another promise. */
const peri_op peri_op_empty = {
    .name = "empty",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_zeros,
    .sample = "{2, 3}",
    .doc = "empty(shape, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "A tensor whose values do not matter because they will be written. They are zeros, so that results never "
           "depend on what memory held before.",
};

static peri_status infer_full(peri_call *call) {
  PERI_TRY(peri_infer_fits(call, 1, (peri_dtype)call->args[2].integer));
  return peri_infer_sizes(call, &call->args[0], (peri_dtype)call->args[2].integer);
}
static peri_status run_full(peri_call *call) { return fill(call, &call->args[1]); }
const peri_op peri_op_full = {
    .name = "full",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"shape", PERI_KIND_SHAPE}, {"value", PERI_KIND_NUMBER}, DTYPE_PARAM(PERI_FLOAT32), GRAD_PARAM},
    .infer = infer_full,
    .run = run_full,
    .sample = "{{2, 3}, 7}, {{2}, -1, {dtype = 'int64'}}",
    .doc = "full(shape, value, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "A tensor that is value everywhere; the dtype must have it.",
};

/* ---- in the shape of another ---- */

static peri_status infer_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[1].given ? (peri_dtype)call->args[1].integer : x->dtype;
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
const peri_op peri_op_zeros_like = {
    .name = "zeros_like",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_zeros,
    .sample = "{T(2, 3)}",
    .doc = "zeros_like(x, {dtype = x.dtype}) -> tensor\nZeros in the shape and dtype of x.",
};
const peri_op peri_op_ones_like = {
    .name = "ones_like",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_ones,
    .sample = "{T(2, 3)}",
    .doc = "ones_like(x, {dtype = x.dtype}) -> tensor\nOnes in the shape and dtype of x.",
};

const peri_op peri_op_empty_like = {
    .name = "empty_like",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_zeros,
    .sample = "{T(2, 3)}",
    .doc = "empty_like(x, {dtype = x.dtype}) -> tensor\n"
           "A tensor in the shape and dtype of x whose values do not matter because they will be written: zeros.",
};

static peri_status infer_full_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[2].given ? (peri_dtype)call->args[2].integer : x->dtype;
  PERI_TRY(peri_infer_fits(call, 1, dtype));
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
const peri_op peri_op_full_like = {
    .name = "full_like",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"value", PERI_KIND_NUMBER}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_full_like,
    .run = run_full,
    .sample = "{T(2, 3), 2}",
    .doc = "full_like(x, value, {dtype = x.dtype}) -> tensor\n"
           "value everywhere, in the shape and dtype of x, which must have it.",
};

/* ---- of the dtype of another: methods that take a shape ---- */

static peri_dtype dtype_like(const peri_call *call, int option) {
  return call->args[option].given ? (peri_dtype)call->args[option].integer : call->args[0].tensor->layout.dtype;
}
static peri_status infer_new(peri_call *call) { return peri_infer_sizes(call, &call->args[1], dtype_like(call, 2)); }
static peri_status infer_new_full(peri_call *call) {
  PERI_TRY(peri_infer_fits(call, 2, dtype_like(call, 3)));
  return peri_infer_sizes(call, &call->args[1], dtype_like(call, 3));
}
static peri_status run_new_full(peri_call *call) { return fill(call, &call->args[2]); }
#define NEW_ROW(row, how, what)                                                                                        \
  const peri_op peri_op_##row = {                                                                                      \
      .name = #row,                                                                                                    \
      .flags = PERI_OP_NO_GRADIENT,                                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR, .shape_only = true}, {"shape", PERI_KIND_SHAPE}, DTYPE_PARAM(PERI_FLOAT32)},  \
      .infer = infer_new,                                                                                              \
      .run = how,                                                                                                      \
      .sample = "{T(2), 2, 3}, {T(2), {4}, {dtype = 'int64'}}",                                                        \
      .doc = #row "(x, shape, {dtype = x.dtype}) -> tensor\nA tensor of " what " of the dtype of x.",                  \
  }
NEW_ROW(new_zeros, run_zeros, "zeros");
NEW_ROW(new_ones, run_ones, "ones");
NEW_ROW(new_empty, run_zeros, "values that will be written, which are zeros,");
const peri_op peri_op_new_full = {
    .name = "new_full",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR, .shape_only = true},
               {"shape", PERI_KIND_SHAPE},
               {"value", PERI_KIND_NUMBER},
               DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_new_full,
    .run = run_new_full,
    .sample = "{T(2), {2, 3}, 7}",
    .doc = "new_full(x, shape, value, {dtype = x.dtype}) -> tensor\n"
           "A tensor that is value everywhere, of the dtype of x, which must have it.",
};

/* ---- the unit matrix ---- */

static peri_status infer_eye(peri_call *call) {
  int64_t n = call->args[0].integer, m = call->args[1].given ? call->args[1].integer : n;
  peri_arg shape = {.count = 2, .sizes = (int64_t[]){n, m}};
  return peri_infer_sizes(call, &shape, (peri_dtype)call->args[2].integer);
}
static peri_status run_eye(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  PERI_TRY(run_zeros(call));
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t columns = y->layout.shape[1], n = peri_min(y->layout.shape[0], columns);
  for (int64_t i = 0; i < n; i++) peri_store_number(y->layout.dtype, y->data + (size_t)(i * columns + i) * size, 1);
  return PERI_OK;
}
const peri_op peri_op_eye = {
    .name = "eye",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"n", PERI_KIND_INTEGER},
               {"m", PERI_KIND_INTEGER, .optional = true},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_eye,
    .run = run_eye,
    .sample = "{3}, {2, 4}",
    .doc = "eye(n, m = n, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "An n x m matrix with ones on the diagonal and zeros elsewhere.",
};

const peri_op *const peri_ops_create[] = {&peri_op_zeros,      &peri_op_ones,
                                          &peri_op_full,       &peri_op_empty,
                                          &peri_op_zeros_like, &peri_op_ones_like,
                                          &peri_op_empty_like, &peri_op_full_like,
                                          &peri_op_new_zeros,  &peri_op_new_ones,
                                          &peri_op_new_empty,  &peri_op_new_full,
                                          &peri_op_eye,        NULL};
