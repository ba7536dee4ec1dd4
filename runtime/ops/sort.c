/* Sorting along a dimension. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static peri_status infer_sort(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim = 0;
  if (x->ndim > 0) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  call->note[1] = x->ndim > 0 && dim != x->ndim - 1; /* sorted as rows in a moved copy */
  call->note[0] = dim;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, x->shape));
  return peri_infer_output(call, 1, PERI_INT64, x->ndim, x->shape);
}
static peri_status sort_rows(peri_call *call, int64_t n, const char *x, peri_tensor *values, peri_tensor *indices) {
  int64_t *index = (int64_t *)(void *)indices->data, numel = values->layout.numel;
  PERI_TRY(
      peri_sort_rows(call->context, values->layout.dtype, numel / n, n, call->args[2].integer, x, values->data, index));
  for (int64_t i = 0; i < numel; i++) index[i]++;
  return PERI_OK;
}
/* Sorted as rows in new tensors, which are then put back in place. */
static peri_status sort_moved(peri_call *call, int64_t n, const char *x, const int64_t *shape) {
  peri_tensor *values = call->outputs[0].tensor, *indices = call->outputs[1].tensor;
  peri_tensor *row_values = NULL, *row_indices = NULL;
  peri_view moved_values = peri_view_dimension_last(&values->view, call->note[0]);
  peri_view moved_indices = peri_view_dimension_last(&indices->view, call->note[0]);
  peri_layout layout;
  peri_layout_set(&layout, values->layout.dtype, values->layout.ndim, shape);
  peri_status status = peri_tensor_empty(call->context, &layout, &row_values);
  layout.dtype = PERI_INT64;
  if (status == PERI_OK) status = peri_tensor_empty(call->context, &layout, &row_indices);
  if (status == PERI_OK) status = sort_rows(call, n, x, row_values, row_indices);
  if (status == PERI_OK) status = peri_view_copy_into(call->context, &moved_values, &row_values->view);
  if (status == PERI_OK) status = peri_view_copy_into(call->context, &moved_indices, &row_indices->view);
  peri_tensor_release(&row_values);
  peri_tensor_release(&row_indices);
  return status;
}
static peri_status run_sort(peri_call *call) {
  const peri_tensor *x = call->args[0].tensor;
  if (x->layout.numel == 0) return PERI_OK;
  peri_view rows = peri_view_dimension_last(&x->view, call->note[0]);
  int64_t n = x->layout.ndim == 0 ? 1 : rows.layout.shape[x->layout.ndim - 1];
  const char *data;
  peri_tensor *own;
  PERI_TRY(peri_view_contiguous(call->context, &rows, &data, &own));
  peri_status status = call->note[1] ? sort_moved(call, n, data, rows.layout.shape)
                                     : sort_rows(call, n, data, call->outputs[0].tensor, call->outputs[1].tensor);
  peri_tensor_release(&own);
  return status;
}
static peri_status grad_sort(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), indices = peri_of(B->outputs[1]);
  if (g.tensor == NULL) return PERI_OK;
  peri_answer(B, 0, x->ndim == 0 ? g : peri_step_scatter(B, g, x->ndim, x->shape, indices, B->note[0]));
  return PERI_OK;
}
const peri_op peri_op_sort = {
    .name = "sort",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1},
               {"descending", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_sort,
    .run = run_sort,
    .grad = grad_sort,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4)}, {T(3, 4), 1, true}, {T(5), {descending = true}}, {T()}",
    .doc = "sort(x, dim = -1, descending = false) -> values, indices\n"
           "Sorted along dim; equal values keep their order; NaN counts as the largest. indices say where each value "
           "stood.",
};

const peri_op *const peri_ops_sort[] = {&peri_op_sort, NULL};
