/* Rows that broadcast several tensors together, as a list of views. */
#include "ops/view.h"
#include "ops/rows.h"

static peri_status list_tensors(peri_call *call, int64_t *count) {
  *count = call->args[0].count;
  return PERI_OK;
}

/* Output k is tensor k with the strides 0 where it is repeated. */
static peri_layout *begin_output(peri_call *call, int k, int ndim, const int64_t *shape) {
  const peri_tensor *x = call->args[0].tensors[k];
  peri_layout *y = &call->outputs[k].layout;
  y->dtype = x->layout.dtype;
  y->ndim = ndim;
  memcpy(y->shape, shape, (size_t)ndim * sizeof *shape);
  memset(y->strides, 0, (size_t)ndim * sizeof *shape);
  return y;
}

/* The count of elements must not overflow; the strides and the place are the view's. */
static peri_status end_output(peri_call *call, int k, const int64_t *strides) {
  peri_layout *y = &call->outputs[k].layout;
  PERI_TRY(peri_layout_contiguous(call->context, call->op->name, y));
  memcpy(y->strides, strides, (size_t)y->ndim * sizeof *strides);
  y->offset = peri_tensor_offset(call->args[0].tensors[k]);
  return PERI_OK;
}

/* ---- broadcast_tensors ---- */

static peri_status infer_broadcast_tensors(peri_call *call) {
  int64_t shape[PERI_MAX_DIMS], strides[PERI_MAX_DIMS];
  int ndim;
  PERI_TRY(peri_broadcast(call->context, call->op->name, call->output_count, call->args[0].tensors, &ndim, shape));
  for (int k = 0; k < call->output_count; k++) {
    const peri_layout *x = &call->args[0].tensors[k]->layout;
    begin_output(call, k, ndim, shape);
    for (int d = 0; d < ndim; d++) {
      int own = d - (ndim - x->ndim);
      strides[d] = own < 0 || (x->shape[own] == 1 && shape[d] != 1) ? 0 : x->strides[own];
    }
    PERI_TRY(end_output(call, k, strides));
  }
  return PERI_OK;
}
static peri_status grad_broadcast_tensors(peri_backward *B) {
  for (int k = 0; k < B->edges; k++) {
    if (B->needs[k] && B->grad_outputs[k] != NULL) peri_answer(B, k, peri_of(B->grad_outputs[k]));
  }
  return PERI_OK;
}
const peri_op peri_op_broadcast_tensors = {
    .name = "broadcast_tensors",
    .flags = PERI_OP_VIEW | PERI_OP_NO_METHOD,
    .list = list_tensors,
    .params = {{"tensors", PERI_KIND_TENSORS}},
    .infer = infer_broadcast_tensors,
    .grad = grad_broadcast_tensors,
    .low = -1,
    .high = 1,
    .sample = "{{T(3, 1), T(2)}}, {{T(2, 3), T(3), T()}}",
    .doc = "broadcast_tensors(tensors) -> list of tensors\n"
           "The tensors of a list expanded to their common shape, as a Lua table of views.",
};

/* ---- meshgrid ---- */

enum { INDEXING_IJ, INDEXING_XY };

/* The dimension of the grid along which tensor k varies. */
static int grid_dim(int64_t indexing, int k, int n) { return indexing == INDEXING_XY && k < 2 && n > 1 ? 1 - k : k; }

static peri_status infer_meshgrid(peri_call *call) {
  int n = call->output_count;
  int64_t indexing = call->args[1].integer, shape[PERI_MAX_DIMS], strides[PERI_MAX_DIMS];
  char text[PERI_SHAPE_TEXT];
  if (n > PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensors has %d entries (expected at most %d)", n, PERI_MAX_DIMS);
  }
  for (int k = 0; k < n; k++) {
    const peri_layout *x = &call->args[0].tensors[k]->layout;
    if (x->ndim > 1) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s (expected a vector)", k + 1,
                            peri_shape_text(x->ndim, x->shape, text));
    }
    shape[grid_dim(indexing, k, n)] = x->numel;
  }
  for (int k = 0; k < n; k++) {
    const peri_layout *x = &call->args[0].tensors[k]->layout;
    begin_output(call, k, n, shape);
    memset(strides, 0, sizeof strides);
    strides[grid_dim(indexing, k, n)] = x->ndim == 0 ? 1 : x->strides[0];
    PERI_TRY(end_output(call, k, strides));
  }
  return PERI_OK;
}
static peri_status grad_meshgrid(peri_backward *B) {
  for (int k = 0; k < B->edges; k++) {
    if (!B->needs[k] || B->grad_outputs[k] == NULL) continue;
    int64_t dims[PERI_MAX_DIMS];
    int count = 0, own = grid_dim(B->args[1].integer, k, B->edges);
    for (int d = 0; d < B->edges; d++) {
      if (d != own) dims[count++] = d;
    }
    peri_value g = peri_of(B->grad_outputs[k]);
    if (count > 0) g = peri_step_sum(B, g, count, dims, false);
    peri_answer(B, k, peri_step_reshape(B, g, B->layouts[k]->ndim, B->layouts[k]->shape));
  }
  return PERI_OK;
}
const peri_op peri_op_meshgrid = {
    .name = "meshgrid",
    .flags = PERI_OP_VIEW | PERI_OP_NO_METHOD,
    .list = list_tensors,
    .params = {{"tensors", PERI_KIND_TENSORS}, {"indexing", PERI_KIND_CHOICE, .optional = true, .choices = "ij xy"}},
    .infer = infer_meshgrid,
    .grad = grad_meshgrid,
    .low = -1,
    .high = 1,
    .sample = "{{T(2), T(3)}}, {{T(2), T(3), T(2)}, 'xy'}, {{T()}}",
    .doc = "meshgrid(tensors, indexing = 'ij') -> list of tensors\n"
           "The coordinates of the points of a grid, from a list of vectors (at most 8), as a Lua table of views, one "
           "for each vector, all of the grid's shape. With 'ij' tensor k varies along dimension k, with 'xy' the first "
           "along the columns and the second along the rows, as pictures have it.",
};

const peri_op *const peri_ops_together[] = {&peri_op_broadcast_tensors, &peri_op_meshgrid, NULL};
