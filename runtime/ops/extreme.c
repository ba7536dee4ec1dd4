/* The largest and smallest elements, and where they stand. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#define EXTREME_PARAMS                                                                                                 \
  {"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}, { "keepdim", PERI_KIND_BOOL, .optional = true }
#define EXTREME_SAMPLE "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}"

static peri_status resolve_dim(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim = 0;
  if (call->args[1].given) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  call->note[0] = call->args[1].given ? (int64_t)1 << dim : ((int64_t)1 << x->ndim) - 1;
  call->note[1] = call->args[1].given ? x->shape[dim] : x->numel;
  call->note[2] = dim;
  if (call->note[1] > 0) return PERI_OK;
  char text[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s: there is no element to choose",
                        peri_shape_text(x->ndim, x->shape, text));
}

/* Without a dimension the result is the value alone; with one, values and indices. */
static peri_status infer_extreme(peri_call *call) {
  PERI_TRY(resolve_dim(call));
  call->dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_reduce_output(call, 0, call->dtype, call->args[2].integer));
  return peri_reduce_output(call, 1, PERI_INT64, call->args[2].integer);
}

typedef peri_status (*extreme)(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                               const void *x, void *value, int64_t *index);

static peri_status run_extreme(peri_call *call, extreme find, void *values, peri_tensor *indices) {
  peri_folded f;
  int64_t *index = (int64_t *)(void *)indices->data;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status = find(call->context, call->dtype, f.outer, f.n, f.inner, f.x->data, values, index);
  peri_tensor_release(&f.x);
  for (int64_t i = 0; i < indices->layout.numel; i++) index[i]++; /* scripts count from 1 */
  return status;
}

/* The gradient goes to the one element that was chosen. */
static peri_status grad_extreme(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->outputs[1]);
  if (B->grad_outputs[0] == NULL) return PERI_OK;
  if (B->args[1].given) {
    g = peri_step_unreduce(B, g);
    index = peri_step_unreduce(B, index);
    peri_answer(B, 0, peri_step_scatter(B, g, x->ndim, x->shape, index, B->note[2]));
    return PERI_OK;
  }
  int64_t one = 1;
  g = peri_step_reshape(B, g, 1, &one);
  index = peri_step_reshape(B, index, 1, &one);
  g = peri_step_scatter(B, g, 1, &x->numel, index, 0);
  peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
  return PERI_OK;
}

static peri_status run_max(peri_call *call) {
  return run_extreme(call, peri_reduce_max, call->outputs[0].tensor->data, call->outputs[1].tensor);
}
static peri_status run_min(peri_call *call) {
  return run_extreme(call, peri_reduce_min, call->outputs[0].tensor->data, call->outputs[1].tensor);
}
const peri_op peri_op_max = {
    .name = "max",
    .flags = PERI_OP_FULL_ONE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {EXTREME_PARAMS},
    .infer = infer_extreme,
    .run = run_max,
    .grad = grad_extreme,
    .low = -1,
    .high = 1,
    .sample = EXTREME_SAMPLE ", {T()}",
    .doc = "max(x, dim, keepdim = false) -> values, indices\n"
           "The largest value along dim and the first position where it stands, which gets the gradient; without dim "
           "the largest of all elements alone. NaN counts as the largest.",
};
const peri_op peri_op_min = {
    .name = "min",
    .flags = PERI_OP_FULL_ONE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {EXTREME_PARAMS},
    .infer = infer_extreme,
    .run = run_min,
    .grad = grad_extreme,
    .low = -1,
    .high = 1,
    .sample = EXTREME_SAMPLE ", {T()}",
    .doc = "min(x, dim, keepdim = false) -> values, indices\n"
           "The smallest value along dim and the first position where it stands, which gets the gradient; without dim "
           "the smallest of all elements alone. NaN is chosen where there is one, as for max.",
};

static peri_status infer_argument(peri_call *call) {
  PERI_TRY(resolve_dim(call));
  call->dtype = call->args[0].tensor->layout.dtype;
  return peri_reduce_output(call, 0, PERI_INT64, call->args[2].integer);
}
static peri_status run_argmax(peri_call *call) {
  return run_extreme(call, peri_reduce_max, NULL, call->outputs[0].tensor);
}
static peri_status run_argmin(peri_call *call) {
  return run_extreme(call, peri_reduce_min, NULL, call->outputs[0].tensor);
}
const peri_op peri_op_argmax = {
    .name = "argmax",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {EXTREME_PARAMS},
    .infer = infer_argument,
    .run = run_argmax,
    .low = -1,
    .high = 1,
    .sample = EXTREME_SAMPLE,
    .doc =
        "argmax(x, dim, keepdim = false) -> int64 tensor, or an integer without dim\n"
        "The first position of the largest value along dim, or among all elements in row-major order. Counts from 1.",
};
const peri_op peri_op_argmin = {
    .name = "argmin",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {EXTREME_PARAMS},
    .infer = infer_argument,
    .run = run_argmin,
    .low = -1,
    .high = 1,
    .sample = EXTREME_SAMPLE,
    .doc =
        "argmin(x, dim, keepdim = false) -> int64 tensor, or an integer without dim\n"
        "The first position of the smallest value along dim, or among all elements in row-major order. Counts from 1.",
};

const peri_op *const peri_ops_extreme[] = {&peri_op_max, &peri_op_min, &peri_op_argmax, &peri_op_argmin, NULL};
