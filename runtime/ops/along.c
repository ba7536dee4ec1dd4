/* Rows that work along one dimension. */
#include "ops/along.h"

peri_status peri_along_dim(peri_call *call, int arg, int *dim) {
  int ndim = call->args[0].tensor->layout.ndim;
  *dim = 0;
  if (ndim > 0) return peri_infer_dim(call, arg, ndim, dim);
  return call->args[arg].integer == 0 || call->args[arg].integer == -1 ? PERI_OK : peri_infer_dim(call, arg, 0, dim);
}

peri_status peri_along_output(peri_call *call, int output, peri_dtype dtype, int dim, int64_t n) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] = n;
  return peri_infer_output(call, output, dtype, x->ndim, shape);
}

static peri_status open_output(peri_call *call, int output, int ndim, peri_along *a) {
  peri_tensor *y = call->outputs[output].tensor;
  if (y == NULL) return PERI_OK;
  peri_view rows = y->view;
  if (y->layout.ndim == ndim && ndim > 0) rows = peri_view_dimension_last(&y->view, a->dim);
  a->y[output] = y->data;
  if (rows.contiguous) return PERI_OK;
  peri_layout layout;
  peri_layout_set(&layout, y->layout.dtype, ndim, rows.layout.shape);
  PERI_TRY(peri_tensor_empty(call->context, &layout, &a->results[output]));
  a->y[output] = a->results[output]->data;
  return PERI_OK;
}

peri_status peri_along_open(peri_call *call, int64_t dim, peri_dtype dtype, peri_along *a) {
  const peri_tensor *x = call->args[0].tensor;
  peri_view rows = peri_view_dimension_last(&x->view, dim);
  *a = (peri_along){.dim = dim, .rows = 1, .n = x->layout.ndim == 0 ? 1 : x->layout.shape[dim]};
  for (int d = 0; d < x->layout.ndim; d++) a->rows *= d == dim ? 1 : x->layout.shape[d];
  peri_status status = PERI_OK;
  if (x->layout.dtype == dtype) {
    status = peri_view_contiguous(call->context, &rows, &a->x, &a->own);
  } else {
    status = peri_view_copy(call->context, &rows, dtype, &a->own);
    if (status == PERI_OK) a->x = a->own->data;
  }
  for (int i = 0; status == PERI_OK && i < call->op->outputs; i++) {
    status = open_output(call, i, x->layout.ndim, a);
  }
  return status == PERI_OK ? PERI_OK : peri_along_close(call, a, status);
}

peri_status peri_along_close(peri_call *call, peri_along *a, peri_status status) {
  for (int i = 0; i < call->op->outputs; i++) {
    if (a->results[i] == NULL) continue;
    if (status == PERI_OK) {
      peri_view rows = peri_view_dimension_last(&call->outputs[i].tensor->view, a->dim);
      status = peri_view_copy_into(call->context, &rows, &a->results[i]->view);
    }
    peri_tensor_release(&a->results[i]);
  }
  peri_tensor_release(&a->own);
  return status;
}
