/* Rows that join tensors. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static peri_dtype joined_dtype(const peri_arg *list) {
  peri_dtype dtype = list->tensors[0]->layout.dtype;
  for (int i = 1; i < list->count; i++) dtype = peri_wider_dtype(dtype, list->tensors[i]->layout.dtype);
  return dtype;
}

static peri_status shape_mismatch(peri_call *call, int i) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  const peri_layout *x = &call->args[0].tensors[0]->layout, *other = &call->args[0].tensors[i]->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s but tensor 1 is %s", i + 1,
                        peri_shape_text(other->ndim, other->shape, a), peri_shape_text(x->ndim, x->shape, b));
}

static peri_status infer_cat(peri_call *call) {
  const peri_arg *list = &call->args[0];
  const peri_layout *first = &list->tensors[0]->layout;
  int dim;
  PERI_TRY(peri_infer_dim(call, 1, first->ndim, &dim));
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.ndim = first->ndim};
  memcpy(y->shape, first->shape, sizeof y->shape);
  y->dtype = joined_dtype(list);
  y->shape[dim] = 0;
  for (int i = 0; i < list->count; i++) {
    const peri_layout *x = &list->tensors[i]->layout;
    if (x->ndim != first->ndim) return shape_mismatch(call, i);
    for (int d = 0; d < x->ndim; d++) {
      if (d != dim && x->shape[d] != first->shape[d]) return shape_mismatch(call, i);
    }
    y->shape[dim] += x->shape[dim];
  }
  call->note[0] = dim;
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_cat(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  peri_view part = y->view;
  int64_t dim = call->note[0];
  for (int i = 0; i < call->args[0].count; i++) {
    peri_tensor *x = call->args[0].tensors[i];
    part.layout.shape[dim] = x->layout.shape[dim];
    PERI_TRY(peri_view_copy_into(call->context, &part, &x->view));
    part.data += x->layout.shape[dim] * y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  }
  return PERI_OK;
}
static peri_status grad_cat(peri_backward *B) {
  int64_t start = 0, dim = B->note[0];
  for (int i = 0; i < B->edges; i++) {
    int64_t length = B->layouts[i]->shape[dim];
    if (B->needs[i]) peri_answer(B, i, peri_step_narrow(B, peri_of(B->grad_outputs[0]), dim, start, length));
    start += length;
  }
  return PERI_OK;
}
const peri_op peri_op_cat = {
    .name = "cat",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"tensors", PERI_KIND_TENSORS}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_cat,
    .run = run_cat,
    .grad = PERI_FULL(grad_cat),
    .low = -1,
    .high = 1,
    .sample = "{{T(2, 3), T(4, 3)}}, {{T(2, 3), T(2, 1), T(2, 0)}, 2}, {{T(2)}, -1}",
    .doc = "cat(tensors, dim = 1) -> tensor\n"
           "The tensors of a list one behind the other along dim; the other sizes must be equal. Dtypes are promoted.",
};

static peri_status infer_stack(peri_call *call) {
  const peri_arg *list = &call->args[0];
  const peri_layout *first = &list->tensors[0]->layout;
  int dim;
  if (first->ndim == PERI_MAX_DIMS)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the tensors have %d dimensions already", PERI_MAX_DIMS);
  PERI_TRY(peri_infer_dim(call, 1, first->ndim + 1, &dim));
  for (int i = 1; i < list->count; i++) {
    if (!peri_same_shape(first, &list->tensors[i]->layout)) return shape_mismatch(call, i);
  }
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.ndim = first->ndim + 1};
  for (int d = 0; d < y->ndim; d++) y->shape[d] = d == dim ? list->count : first->shape[d < dim ? d : d - 1];
  y->dtype = joined_dtype(list);
  call->note[0] = dim;
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_stack(peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  peri_view part = y->view;
  int64_t dim = call->note[0];
  part.layout.ndim--;
  for (int d = 0; d < part.layout.ndim; d++) {
    part.layout.shape[d] = y->layout.shape[d < dim ? d : d + 1];
    part.layout.strides[d] = y->layout.strides[d < dim ? d : d + 1];
  }
  for (int i = 0; i < call->args[0].count; i++) {
    PERI_TRY(peri_view_copy_into(call->context, &part, &call->args[0].tensors[i]->view));
    part.data += y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  }
  return PERI_OK;
}
static peri_status grad_stack(peri_backward *B) {
  for (int i = 0; i < B->edges; i++) {
    if (!B->needs[i]) continue;
    peri_call call;
    peri_value g = peri_of(B->grad_outputs[0]);
    peri_step_open(B, &call, &peri_op_select, 1, &g);
    call.args[1].integer = B->note[0];
    call.args[2].integer = i;
    peri_answer(B, i, peri_step_run(B, &call));
  }
  return PERI_OK;
}
const peri_op peri_op_stack = {
    .name = "stack",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"tensors", PERI_KIND_TENSORS}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_stack,
    .run = run_stack,
    .grad = PERI_FULL(grad_stack),
    .low = -1,
    .high = 1,
    .sample = "{{T(2, 3), T(2, 3)}}, {{T(2, 3), T(2, 3), T(2, 3)}, -1}, {{T()}}",
    .doc = "stack(tensors, dim = 1) -> tensor\n"
           "Tensors of one shape side by side along a new dimension dim. Dtypes are promoted.",
};

const peri_op *const peri_ops_join[] = {&peri_op_cat, &peri_op_stack, NULL};
