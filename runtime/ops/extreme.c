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
  call->outputs[1].unwanted = !call->args[1].given && !call->recording; /* its gradient asks for the place */
  PERI_TRY(peri_reduce_output(call, 0, call->dtype, call->args[2].integer));
  return peri_reduce_output(call, 1, PERI_INT64, call->args[2].integer);
}

typedef peri_status (*extreme)(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                               const void *x, void *value, int64_t *index);

static peri_status run_extreme(peri_call *call, extreme find, void *values, peri_tensor *indices) {
  peri_folded f;
  int64_t *index = indices == NULL ? NULL : (int64_t *)(void *)indices->data;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status = find(call->context, call->dtype, f.outer, f.n, f.inner, f.x->data, values, index);
  peri_tensor_release(&f.x);
  for (int64_t i = 0; index != NULL && i < indices->layout.numel; i++) index[i]++; /* scripts count from 1 */
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
    .grad = PERI_FULL(grad_extreme),
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
    .grad = PERI_FULL(grad_extreme),
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

/* ---- over several dimensions, without positions ---- */

static peri_status infer_value(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_reduce_dims(call));
  call->dtype = x->dtype;
  if (call->note[1] > 0) return peri_reduce_output(call, 0, x->dtype, call->args[2].integer);
  char text[PERI_SHAPE_TEXT];
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s: there is no element to choose",
                        peri_shape_text(x->ndim, x->shape, text));
}
static peri_status run_value(peri_call *call) {
  extreme find = call->op == &peri_op_amax ? peri_reduce_max : peri_reduce_min;
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status =
      find(call->context, call->dtype, f.outer, f.n, f.inner, f.x->data, call->outputs[0].tensor->data, NULL);
  peri_tensor_release(&f.x);
  return status;
}
/* Equal ones share the gradient. */
static peri_status grad_value(peri_backward *B) {
  int64_t dims[PERI_MAX_DIMS];
  int count = peri_reduced(B, dims);
  peri_value y = peri_step_unreduce(B, peri_of(B->outputs[0]));
  peri_value g = peri_step_unreduce(B, peri_of(B->grad_outputs[0]));
  peri_value chosen = peri_step_eq(B, peri_of(B->args[0].tensor), y);
  peri_value sharers = peri_step_sum(B, chosen, count, dims, true);
  g = peri_step_div(B, g, peri_step_convert(B, sharers, B->layouts[0]->dtype));
  peri_answer(B, 0, peri_step_where(B, chosen, g, peri_constant(0)));
  return PERI_OK;
}
const peri_op peri_op_amax = {
    .name = "amax",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_value,
    .run = run_value,
    .grad = PERI_FULL(grad_value),
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE,
    .doc = "amax(x, dims, keepdim = false) -> tensor\n"
           "The largest value over all dimensions, or over dims (a number or a list). NaN counts as the largest; equal "
           "ones share the gradient. Errors: no element to choose from.",
};
const peri_op peri_op_amin = {
    .name = "amin",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_value,
    .run = run_value,
    .grad = PERI_FULL(grad_value),
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE,
    .doc = "amin(x, dims, keepdim = false) -> tensor\n"
           "The smallest value over all dimensions, or over dims (a number or a list). NaN is chosen where there is "
           "one, as for amax; equal ones share the gradient. Errors: no element to choose from.",
};

static peri_status infer_both(peri_call *call) { return resolve_dim(call); }
static peri_status compose_both(peri_backward *B) {
  for (int i = 0; i < 2; i++) {
    peri_value x = peri_of(B->args[0].tensor);
    peri_call call;
    if (B->formula->status != PERI_OK) return PERI_OK;
    peri_step_open(B, &call, i == 0 ? &peri_op_amin : &peri_op_amax, 1, &x);
    if (B->args[1].given) peri_call_sizes(&call, 1, 1, &B->note[2]);
    call.args[2].integer = B->args[2].integer;
    peri_answer(B, i, peri_step_run(B, &call));
  }
  return PERI_OK;
}
const peri_op peri_op_aminmax = {
    .name = "aminmax",
    .outputs = 2,
    .params = {EXTREME_PARAMS},
    .infer = infer_both,
    .compose = compose_both,
    .low = -1,
    .high = 1,
    .sample = EXTREME_SAMPLE ", {T()}, {T(2, 3), {keepdim = true}}",
    .doc = "aminmax(x, dim, keepdim = false) -> min, max\n"
           "What amin and amax give along dim, or of all elements.",
};

const peri_op *const peri_ops_extreme[] = {&peri_op_max,  &peri_op_min,  &peri_op_argmax,  &peri_op_argmin,
                                           &peri_op_amax, &peri_op_amin, &peri_op_aminmax, NULL};
