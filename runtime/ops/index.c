/* Rows that choose and place elements by index tensors and masks. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- index tensors ---- */

peri_status peri_index_outside(peri_tensor *index, int64_t size, int64_t *at, int64_t *value) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(index, &own));
  const int64_t *values = (const int64_t *)(const void *)own->data;
  *at = -1;
  for (int64_t i = 0; i < own->layout.numel && *at < 0; i++) {
    if (values[i] < 1 || values[i] > size) *at = i;
  }
  *value = *at < 0 ? 0 : values[*at];
  peri_tensor_release(&own);
  return PERI_OK;
}

peri_status peri_index_shift(peri_tensor *index, int64_t *out) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(index, &own));
  const int64_t *values = (const int64_t *)(const void *)own->data;
  for (int64_t i = 0; i < own->layout.numel; i++) out[i] = values[i] - 1;
  peri_tensor_release(&own);
  return PERI_OK;
}

peri_status peri_index_check(peri_call *call, int arg, int64_t size) {
  int64_t at, value;
  PERI_TRY(peri_index_outside(call->args[arg].tensor, size, &at, &value));
  if (at >= 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is %lld (expected 1 to %lld)", call->op->params[arg].name,
                          (long long)at + 1, (long long)value, (long long)size);
  }
  call->workspace_bytes = (size_t)call->args[arg].tensor->layout.numel * sizeof(int64_t);
  return PERI_OK;
}

peri_status peri_index_need_int64(peri_call *call, int arg) {
  peri_dtype dtype = call->args[arg].tensor->layout.dtype;
  if (dtype == PERI_INT64) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected int64)", call->op->params[arg].name,
                        peri_dtype_name(dtype));
}

peri_status peri_index_need_vector(peri_call *call, int arg) {
  const peri_layout *index = &call->args[arg].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  if (index->ndim == 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected one dimension)", call->op->params[arg].name,
                        peri_shape_text(index->ndim, index->shape, text));
}

peri_status peri_index_from_zero(peri_call *call, int arg, const int64_t **out) {
  *out = call->workspace;
  return peri_index_shift(call->args[arg].tensor, call->workspace);
}

/* A layout as outer x (dimension dim) x inner. */
static void around(const peri_layout *x, int64_t dim, int64_t *outer, int64_t *inner) {
  *outer = *inner = 1;
  for (int d = 0; d < x->ndim; d++) *(d < dim ? outer : inner) *= d == dim ? 1 : x->shape[d];
}

/* ---- rows by index ---- */

static peri_status infer_index_select(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(peri_index_need_int64(call, 1));
  PERI_TRY(peri_index_need_vector(call, 1));
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &dim));
  PERI_TRY(peri_index_check(call, 1, x->shape[dim]));
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] = call->args[1].tensor->layout.numel;
  call->note[0] = dim;
  return peri_infer_output(call, 0, x->dtype, x->ndim, shape);
}
static peri_status run_index_select(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *x;
  const int64_t *index;
  int64_t outer, inner, dim = call->note[0];
  PERI_TRY(peri_index_from_zero(call, 1, &index));
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  around(&x->layout, dim, &outer, &inner);
  size_t bytes = (size_t)inner * peri_dtype_size(x->layout.dtype);
  peri_status status = PERI_OK;
  for (int64_t o = 0; o < outer && status == PERI_OK; o++) {
    status = peri_gather_rows(call->context, y->layout.shape[dim], bytes,
                              x->data + (size_t)(o * x->layout.shape[dim]) * bytes, index,
                              y->data + (size_t)(o * y->layout.shape[dim]) * bytes);
  }
  peri_tensor_release(&x);
  return status;
}
static peri_status grad_index_select(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[1].tensor);
  peri_step_open(B, &call, &peri_op_index_add, 3, (peri_value[]){g, peri_constant(0), index});
  peri_call_sizes(&call, 1, B->layouts[0]->ndim, B->layouts[0]->shape);
  call.args[3].integer = B->note[0];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_index_select = {
    .name = "index_select",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_index_select,
    .run = run_index_select,
    .grad = grad_index_select,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), I(4, 6)}, {T(4, 3), I(3, 2), 2}, {T(4), I(4, 0)}",
    .doc = "index_select(x, index, dim = 1) -> tensor\n"
           "The entries of x along dim at the positions of the int64 vector index, in its order; what x[index] does "
           "for rows.",
};

/* row(g, shape, index, dim): zeros of shape, with the entries of g added at index along dim. */
#define PLACING_PARAMS                                                                                                 \
  {"g", PERI_KIND_TENSOR}, {"shape", PERI_KIND_SHAPE}, {"index", PERI_KIND_INDICES}, { "dim", PERI_KIND_DIM }

static peri_status infer_placing(peri_call *call) {
  const peri_arg *shape = &call->args[1];
  call->note[0] = call->args[3].integer;
  PERI_TRY(peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, shape->count, shape->sizes));
  return peri_index_check(call, 2, shape->sizes[call->note[0]]);
}
static peri_status run_index_add(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *g;
  const int64_t *index;
  int64_t outer, inner, dim = call->note[0];
  PERI_TRY(peri_index_from_zero(call, 2, &index));
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &g));
  size_t size = peri_dtype_size(y->layout.dtype);
  memset(y->data, 0, (size_t)y->layout.numel * size);
  around(&y->layout, dim, &outer, &inner);
  int64_t from = g->layout.shape[dim], to = y->layout.shape[dim];
  peri_status status = PERI_OK;
  for (int64_t o = 0; o < outer && status == PERI_OK; o++) {
    status =
        peri_scatter_add_rows(call->context, y->layout.dtype, from, inner, g->data + (size_t)(o * from * inner) * size,
                              index, to, y->data + (size_t)(o * to * inner) * size);
  }
  peri_tensor_release(&g);
  return status;
}
static peri_status grad_index_add(peri_backward *B) {
  peri_call call;
  peri_step_open(B, &call, &peri_op_index_select, 2,
                 (peri_value[]){peri_of(B->grad_outputs[0]), peri_of(B->args[2].tensor)});
  call.args[2].integer = B->note[0];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_index_add = {
    .name = "index_add",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {PLACING_PARAMS},
    .infer = infer_placing,
    .run = run_index_add,
    .grad = grad_index_add,
    .doc = "index_add(g, shape, index, dim) -> tensor\nThe gradient of index_select.",
};

/* ---- positions together ---- */

static peri_status infer_pairs(peri_call *call) {
  const peri_arg *indices = &call->args[0], *sizes = &call->args[1];
  int64_t shape[PERI_MAX_DIMS];
  int ndim;
  for (int k = 0; k < indices->count; k++) {
    peri_dtype dtype = indices->tensors[k]->layout.dtype;
    if (dtype != PERI_INT64) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "the tensor of positions %d is %s (expected int64)", k + 1,
                            peri_dtype_name(dtype));
    }
    int64_t at, value, size = sizes->sizes[k];
    PERI_TRY(peri_index_outside(indices->tensors[k], size, &at, &value));
    if (at < 0) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "position %lld of tensor %d is %lld (expected 1 to %lld)",
                          (long long)at + 1, k + 1, (long long)value, (long long)size);
  }
  PERI_TRY(peri_broadcast(call->context, call->op->name, indices->count, indices->tensors, &ndim, shape));
  return peri_infer_output(call, 0, PERI_INT64, ndim, shape);
}
/* y = (y - 1) size + index, from the second dimension on */
static void pair_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const int64_t size = *(const int64_t *)arg;
  for (int64_t i = 0; i < n; i++) {
    int64_t *y = (int64_t *)(void *)(p[0] + i * s[0]);
    *y = (*y - 1) * size + *(const int64_t *)(const void *)(p[1] + i * s[1]);
  }
}
static peri_status run_pairs(peri_call *call) {
  const peri_arg *indices = &call->args[0];
  peri_tensor *y = call->outputs[0].tensor;
  peri_iterator it;
  PERI_TRY(peri_tensor_copy_into(y, indices->tensors[0]));
  for (int k = 1; k < indices->count; k++) {
    peri_iterator_open(&it, y->layout.ndim, y->layout.shape, 2,
                       (const peri_view *[]){&y->view, &indices->tensors[k]->view});
    PERI_TRY(peri_iterate(call->context, &it, pair_row, &call->args[1].sizes[k]));
  }
  return PERI_OK;
}
const peri_op peri_op_index = {
    .name = "index",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"indices", PERI_KIND_TENSORS}, {"sizes", PERI_KIND_SHAPE}},
    .infer = infer_pairs,
    .run = run_pairs,
    .doc = "index(indices, sizes) -> int64 tensor\n"
           "The row-major positions in dimensions of those sizes that int64 tensors, broadcast together, name: how "
           "x[{i, j}] is read.",
};

/* ---- gather and its transpose ---- */

static peri_status infer_gather(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[2].tensor->layout;
  int dim;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_index_need_int64(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  bool fits = index->ndim == x->ndim;
  for (int d = 0; d < x->ndim && fits; d++) fits = d == dim || index->shape[d] == x->shape[d];
  if (!fits) {
    return peri_call_fail(
        call, PERI_ERR_ARGUMENT, "index is %s but x is %s (expected the same sizes except along dim %d)",
        peri_shape_text(index->ndim, index->shape, a), peri_shape_text(x->ndim, x->shape, b), dim + 1);
  }
  call->note[0] = dim;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, index->ndim, index->shape));
  return peri_index_check(call, 2, x->shape[dim]);
}

/* For each element of the index tensor: its place there, and the place it points to. */
typedef struct pointing {
  const int64_t *index;
  int64_t outer, inner, count, target;
} pointing;

static int64_t pointed(const pointing *p, int64_t o, int64_t k, int64_t i) {
  return (o * p->target + p->index[(o * p->count + k) * p->inner + i]) * p->inner + i;
}

static peri_status run_gather(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *x;
  pointing p = {.count = y->layout.shape[call->note[0]]};
  PERI_TRY(peri_index_from_zero(call, 2, &p.index));
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  around(&y->layout, call->note[0], &p.outer, &p.inner);
  p.target = x->layout.shape[call->note[0]];
  size_t size = peri_dtype_size(x->layout.dtype);
  char *next = y->data;
  for (int64_t o = 0; o < p.outer; o++) {
    for (int64_t k = 0; k < p.count; k++) {
      for (int64_t i = 0; i < p.inner; i++, next += size)
        memcpy(next, x->data + (size_t)pointed(&p, o, k, i) * size, size);
    }
  }
  peri_tensor_release(&x);
  return PERI_OK;
}
static peri_status grad_gather(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[2].tensor);
  peri_answer(B, 0, peri_step_scatter(B, g, x->ndim, x->shape, index, B->note[0]));
  return PERI_OK;
}
const peri_op peri_op_gather = {
    .name = "gather",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, {"index", PERI_KIND_INDICES}},
    .infer = infer_gather,
    .run = run_gather,
    .grad = grad_gather,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2, I(4, 3, 2)}, {T(3, 4), 1, I(3, 2, 4)}, {T(5), -1, I(5, 7)}",
    .doc = "gather(x, dim, index) -> tensor\n"
           "For each position of the int64 tensor index, the element of x at the same position but at index along dim.",
};

static peri_status run_scatter(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *g;
  pointing p;
  PERI_TRY(peri_index_from_zero(call, 2, &p.index));
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &g));
  around(&y->layout, call->note[0], &p.outer, &p.inner);
  p.target = y->layout.shape[call->note[0]];
  p.count = g->layout.shape[call->note[0]];
  memset(y->data, 0, (size_t)y->layout.numel * peri_dtype_size(y->layout.dtype));
  const char *from = g->data;
  for (int64_t o = 0; o < p.outer; o++) {
    for (int64_t k = 0; k < p.count; k++) {
      for (int64_t i = 0; i < p.inner; i++) {
        int64_t to = pointed(&p, o, k, i), at = (o * p.count + k) * p.inner + i;
        if (y->layout.dtype == PERI_FLOAT32) {
          ((float *)(void *)y->data)[to] += ((const float *)(const void *)from)[at];
        } else {
          ((double *)(void *)y->data)[to] += ((const double *)(const void *)from)[at];
        }
      }
    }
  }
  peri_tensor_release(&g);
  return PERI_OK;
}
static peri_status grad_scatter(peri_backward *B) {
  peri_call call;
  peri_step_open(B, &call, &peri_op_gather, 3,
                 (peri_value[]){peri_of(B->grad_outputs[0]), peri_constant(0), peri_of(B->args[2].tensor)});
  call.args[1].integer = B->note[0];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_scatter = {
    .name = "scatter",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {PLACING_PARAMS},
    .infer = infer_placing,
    .run = run_scatter,
    .grad = grad_scatter,
    .doc = "scatter(g, shape, index, dim) -> tensor\nThe gradient of gather and of max and min.",
};

/* ---- masks ---- */

peri_status peri_mask_check(peri_call *call, int arg) {
  const peri_layout *x = &call->args[0].tensor->layout, *mask = &call->args[arg].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (mask->dtype == PERI_BOOL && peri_same_shape(x, mask)) return PERI_OK;
  return peri_call_fail(
      call, PERI_ERR_ARGUMENT, "mask is %s of %s but x is %s (expected a bool tensor of the same shape)",
      peri_dtype_name(mask->dtype), peri_shape_text(mask->ndim, mask->shape, a), peri_shape_text(x->ndim, x->shape, b));
}

peri_status peri_mask_positions(peri_call *call, peri_tensor *mask, peri_tensor **out) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(mask, &own));
  const uint8_t *m = (const uint8_t *)own->data;
  int64_t count = 0, numel = own->layout.numel;
  for (int64_t i = 0; i < numel; i++) count += m[i];
  peri_layout layout;
  peri_layout_set(&layout, PERI_INT64, 1, &count);
  peri_status status = peri_tensor_empty(call->context, &layout, out);
  if (status == PERI_OK) {
    int64_t *position = (int64_t *)(void *)(*out)->data;
    for (int64_t i = 0; i < numel; i++) {
      if (m[i]) *position++ = i + 1;
    }
  }
  peri_tensor_release(&own);
  return status;
}

static peri_status infer_nonzero(peri_call *call) {
  const peri_layout *mask = &call->args[0].tensor->layout;
  PERI_TRY(peri_infer_output(call, 0, PERI_INT64, 1, (int64_t[]){0})); /* run knows how many */
  if (mask->dtype == PERI_BOOL) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s (expected bool)", peri_dtype_name(mask->dtype));
}
static peri_status run_nonzero(peri_call *call) {
  return peri_mask_positions(call, call->args[0].tensor, &call->outputs[0].tensor);
}
const peri_op peri_op_nonzero = {
    .name = "nonzero",
    .flags = PERI_OP_ALLOCATES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"mask", PERI_KIND_TENSOR}},
    .infer = infer_nonzero,
    .run = run_nonzero,
    .sample = "{B(3, 4)}, {B(7)}, {B(0)}",
    .doc = "nonzero(mask) -> int64 vector\n"
           "The positions where a bool tensor is true, counted from 1 in row-major order.",
};

static peri_status infer_masked_select(peri_call *call) { return peri_mask_check(call, 1); }
static peri_status run_masked_select(peri_call *call) {
  peri_tensor *positions, *x;
  PERI_TRY(peri_mask_positions(call, call->args[1].tensor, &positions));
  peri_status status = peri_tensor_contiguous(call->args[0].tensor, &x);
  if (status == PERI_OK) {
    peri_layout layout;
    size_t size = peri_dtype_size(x->layout.dtype);
    peri_layout_set(&layout, x->layout.dtype, 1, &positions->layout.numel);
    status = peri_tensor_empty(call->context, &layout, &call->outputs[0].tensor);
    const int64_t *position = (const int64_t *)(const void *)positions->data;
    for (int64_t i = 0; status == PERI_OK && i < positions->layout.numel; i++) {
      memcpy(call->outputs[0].tensor->data + (size_t)i * size, x->data + (size_t)(position[i] - 1) * size, size);
    }
    peri_tensor_release(&x);
  }
  peri_tensor_release(&positions);
  return status;
}
static peri_status grad_masked_select(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), mask = peri_of(B->args[1].tensor);
  peri_value positions = peri_apply(B, &peri_op_nonzero, 1, &mask);
  g = peri_step_scatter(B, g, 1, &x->numel, positions, 0);
  peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
  return PERI_OK;
}
const peri_op peri_op_masked_select = {
    .name = "masked_select",
    .flags = PERI_OP_ALLOCATES | PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}},
    .infer = infer_masked_select,
    .run = run_masked_select,
    .grad = grad_masked_select,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), B(3, 4)}, {T(7), B(7)}",
    .doc = "masked_select(x, mask) -> vector\n"
           "The elements of x where the bool tensor mask, of the same shape, is true, in row-major order; what x[mask] "
           "does.",
};

/* ---- one_hot ---- */

static peri_status infer_one_hot(peri_call *call) {
  const peri_layout *index = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_index_need_int64(call, 0));
  if (call->args[1].integer < 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "classes is %lld (expected at least 1)",
                          (long long)call->args[1].integer);
  }
  if (index->ndim == PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s (expected fewer dimensions)",
                          peri_shape_text(index->ndim, index->shape, text));
  }
  memcpy(shape, index->shape, sizeof shape);
  shape[index->ndim] = call->args[1].integer;
  PERI_TRY(peri_index_check(call, 0, call->args[1].integer));
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.dtype = (peri_dtype)call->args[2].integer, .ndim = index->ndim + 1};
  memcpy(y->shape, shape, sizeof shape);
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_one_hot(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const int64_t *index;
  PERI_TRY(peri_index_from_zero(call, 0, &index));
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t classes = call->args[1].integer;
  memset(y->data, 0, (size_t)y->layout.numel * size);
  for (int64_t i = 0; i < call->args[0].tensor->layout.numel; i++) {
    peri_store_number(y->layout.dtype, y->data + (size_t)(i * classes + index[i]) * size, 1);
  }
  return PERI_OK;
}
const peri_op peri_op_one_hot = {
    .name = "one_hot",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"index", PERI_KIND_INDICES},
               {"classes", PERI_KIND_INTEGER},
               {"dtype", PERI_KIND_DTYPE, .optional = true, .named = true}},
    .infer = infer_one_hot,
    .run = run_one_hot,
    .sample = "{I(4, 6), 4}, {I(3, 2, 2), 3, {dtype = 'int64'}}",
    .doc = "one_hot(index, classes, {dtype = 'float32'}) -> tensor\n"
           "A last dimension of `classes` numbers is added: 1 at index, 0 elsewhere.",
};

const peri_op *const peri_ops_index[] = {&peri_op_index_select,  &peri_op_index_add, &peri_op_index,
                                         &peri_op_gather,        &peri_op_scatter,   &peri_op_nonzero,
                                         &peri_op_masked_select, &peri_op_one_hot,   NULL};
