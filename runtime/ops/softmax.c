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

typedef peri_status (*along_rows)(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *a,
                                  const void *b, void *y);

/* y = kernel(a, b) along dim; b may be NULL. */
static peri_status run_rows(peri_context *context, int64_t dim, along_rows kernel, const peri_tensor *a,
                            const peri_tensor *b, peri_tensor *y) {
  if (y->layout.numel == 0) return PERI_OK;
  peri_view rows_a = peri_view_dimension_last(&a->view, dim), rows_y = peri_view_dimension_last(&y->view, dim);
  peri_tensor *own_a, *own_b = NULL, *result = NULL;
  const char *data_a, *data_b = NULL;
  int ndim = y->layout.ndim;
  int64_t n = ndim == 0 ? 1 : rows_y.layout.shape[ndim - 1];
  peri_status status = peri_view_contiguous(context, &rows_a, &data_a, &own_a);
  if (status == PERI_OK && b != NULL) {
    peri_view rows_b = peri_view_dimension_last(&b->view, dim);
    status = peri_view_contiguous(context, &rows_b, &data_b, &own_b);
  }
  if (status == PERI_OK && !rows_y.contiguous) {
    peri_layout layout;
    peri_layout_set(&layout, y->layout.dtype, ndim, rows_y.layout.shape);
    status = peri_tensor_empty(context, &layout, &result);
  }
  if (status == PERI_OK) {
    status = kernel(context, y->layout.dtype, y->layout.numel / n, n, data_a, data_b,
                    result != NULL ? result->data : y->data);
  }
  if (status == PERI_OK && result != NULL) status = peri_view_copy_into(context, &rows_y, &result->view);
  peri_tensor_release(&own_a);
  peri_tensor_release(&own_b);
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
  peri_status status = peri_formula_new(B, &layout, &gx);
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
#define SOFTMAX_SAMPLE "{T(3, 4)}, {T(2, 3, 4), 2}, {T(5), 1}"
const peri_op peri_op_softmax = {
    .name = "softmax",
    .saves = PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SOFTMAX_PARAMS},
    .infer = infer_softmax,
    .run = run_softmax,
    .grad = PERI_FULL(grad_softmax),
    .low = -2,
    .high = 2,
    .sample = SOFTMAX_SAMPLE,
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
    .grad = PERI_FULL(grad_log_softmax),
    .low = -2,
    .high = 2,
    .sample = SOFTMAX_SAMPLE,
    .doc = "log_softmax(x, dim = -1) -> tensor\n"
           "The logarithm of softmax: x - log(sum(exp(x))) along dim, by the log-sum-exp form. Floats only.",
};

const peri_op *const peri_ops_softmax[] = {&peri_op_softmax, &peri_op_log_softmax, NULL};
