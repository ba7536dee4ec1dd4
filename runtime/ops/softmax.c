/* Softmax and its logarithm, which normalise along a dimension.
 *
 * The kernels take rows; another dimension is brought last and back again. note: the dimension. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static peri_status infer_softmax(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim = 0;
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim > 0) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  call->note[0] = dim;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}

peri_tensor peri_dimension_last(const peri_tensor *x, int64_t dim) {
  peri_tensor moved = *x;
  int last = x->layout.ndim - 1;
  if (dim >= last) return moved;
  for (int64_t d = dim; d < last; d++) {
    moved.layout.shape[d] = x->layout.shape[d + 1];
    moved.layout.strides[d] = x->layout.strides[d + 1];
  }
  moved.layout.shape[last] = x->layout.shape[dim];
  moved.layout.strides[last] = x->layout.strides[dim];
  moved.contiguous = peri_layout_is_contiguous(&moved.layout);
  return moved;
}

typedef peri_status (*along_rows)(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *a,
                                  const void *b, void *y);

/* y = kernel(a, b) along dim; b may be NULL. */
static peri_status run_rows(peri_context *context, int64_t dim, along_rows kernel, peri_tensor *a, peri_tensor *b,
                            peri_tensor *y) {
  peri_tensor moved_a = peri_dimension_last(a, dim), moved_y = peri_dimension_last(y, dim);
  peri_tensor moved_b = b != NULL ? peri_dimension_last(b, dim) : moved_a;
  peri_tensor *own_a = NULL, *own_b = NULL, *result = NULL;
  int ndim = y->layout.ndim;
  int64_t n = ndim == 0 ? 1 : moved_y.layout.shape[ndim - 1];
  peri_status status = peri_tensor_contiguous(&moved_a, &own_a);
  bool moved = own_a == &moved_a; /* retained the local header: no new tensor was made */
  if (status == PERI_OK) status = peri_tensor_contiguous(&moved_b, &own_b);
  bool moved_2 = own_b == &moved_b;
  if (status == PERI_OK && !moved_y.contiguous) {
    peri_layout layout;
    peri_layout_set(&layout, y->layout.dtype, ndim, moved_y.layout.shape);
    status = peri_tensor_empty(context, &layout, &result);
  }
  if (status == PERI_OK && y->layout.numel > 0) {
    status = kernel(context, y->layout.dtype, y->layout.numel / n, n, own_a->data, own_b->data,
                    (result != NULL ? result : y)->data);
  }
  if (status == PERI_OK && result != NULL) status = peri_tensor_copy_into(&moved_y, result);
  if (!moved) peri_tensor_release(&own_a);
  if (!moved_2) peri_tensor_release(&own_b);
  peri_tensor_release(&result);
  return status;
}

static peri_status softmax_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *a,
                                const void *b, void *y) {
  (void)b;
  return peri_softmax(context, dtype, rows, n, a, y);
}
static peri_status log_softmax_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *a,
                                    const void *b, void *y) {
  (void)b;
  return peri_log_softmax(context, dtype, rows, n, a, y);
}
static peri_status run_softmax(peri_call *call) {
  return run_rows(call->context, call->note[0], softmax_rows, call->args[0].tensor, NULL, call->outputs[0].tensor);
}
static peri_status run_log_softmax(peri_call *call) {
  return run_rows(call->context, call->note[0], log_softmax_rows, call->args[0].tensor, NULL, call->outputs[0].tensor);
}

/* gx by the kernel that has it at once, from g and y. */
static peri_status fused_gradient(peri_backward *B, along_rows kernel) {
  peri_tensor *y = B->outputs[0], *gx = NULL;
  peri_layout layout;
  peri_layout_set(&layout, y->layout.dtype, y->layout.ndim, y->layout.shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &gx);
  if (status == PERI_OK) {
    status = run_rows(B->context, B->note[0], kernel, B->grad_outputs[0], y, gx);
    if (status != PERI_OK) peri_tensor_release(&gx);
  }
  peri_answer(B, 0, peri_formula_own(B, status, gx));
  return PERI_OK;
}

static peri_value sum_along(peri_backward *B, peri_value x) {
  return B->layouts[0]->ndim == 0 ? x : peri_step_sum(B, x, 1, B->note, true);
}

/* y (g - sum(g y)) */
static peri_status grad_softmax(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), y = peri_of(B->outputs[0]);
  if (!B->create_graph) return fused_gradient(B, peri_softmax_backward);
  peri_answer(B, 0, peri_step_mul(B, y, peri_step_sub(B, g, sum_along(B, peri_step_mul(B, g, y)))));
  return PERI_OK;
}

/* g - exp(y) sum(g) */
static peri_status grad_log_softmax(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), y = peri_of(B->outputs[0]);
  if (!B->create_graph) return fused_gradient(B, peri_log_softmax_backward);
  peri_answer(B, 0, peri_step_sub(B, g, peri_step_mul(B, peri_step_exp(B, y), sum_along(B, g))));
  return PERI_OK;
}

#define SOFTMAX_PARAMS                                                                                                 \
  {"x", PERI_KIND_TENSOR}, { "dim", PERI_KIND_DIM, .optional = true, .otherwise = -1 }
const peri_op peri_op_softmax = {
    .name = "softmax",
    .saves = PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SOFTMAX_PARAMS},
    .infer = infer_softmax,
    .run = run_softmax,
    .grad = grad_softmax,
    .low = -2,
    .high = 2,
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(5), 1}",
    .doc = "softmax(x, dim = -1) -> tensor\n"
           "exp(x) divided by its sum along dim; large x do not overflow. Floats only.",
};
const peri_op peri_op_log_softmax = {
    .name = "log_softmax",
    .saves = PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SOFTMAX_PARAMS},
    .infer = infer_softmax,
    .run = run_log_softmax,
    .grad = grad_log_softmax,
    .low = -2,
    .high = 2,
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(5), 1}",
    .doc = "log_softmax(x, dim = -1) -> tensor\n"
           "The logarithm of softmax: x - log(sum(exp(x))) along dim, by the log-sum-exp form. Floats only.",
};

const peri_op *const peri_ops_softmax[] = {&peri_op_softmax, &peri_op_log_softmax, NULL};
