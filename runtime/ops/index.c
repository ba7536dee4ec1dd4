/* Rows that choose, place and join elements. Index tensors are int64 and count from 1, as scripts
 * do; kernels count from 0, so a row converts a checked copy in its workspace. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- index tensors ---- */

/* Every value of argument `arg` lies in 1..size. Leaves room for the converted copy. */
static peri_status infer_indices(peri_call *call, int arg, int64_t size) {
  peri_tensor *index = call->args[arg].tensor, *own;
  PERI_TRY(peri_tensor_contiguous(index, &own));
  const int64_t *values = (const int64_t *)(const void *)own->data;
  int64_t wrong = -1;
  for (int64_t i = 0; i < own->layout.numel && wrong < 0; i++) {
    if (values[i] < 1 || values[i] > size) wrong = i;
  }
  int64_t value = wrong < 0 ? 0 : values[wrong];
  peri_tensor_release(&own);
  if (wrong >= 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is %lld (expected 1 to %lld)", call->op->params[arg].name,
                          (long long)wrong + 1, (long long)value, (long long)size);
  }
  call->workspace_bytes = (size_t)index->layout.numel * sizeof(int64_t);
  return PERI_OK;
}

static peri_status need_int64(peri_call *call, int arg) {
  peri_dtype dtype = call->args[arg].tensor->layout.dtype;
  if (dtype == PERI_INT64) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected int64)", call->op->params[arg].name,
                        peri_dtype_name(dtype));
}

static peri_status need_vector(peri_call *call, int arg) {
  const peri_layout *index = &call->args[arg].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  if (index->ndim == 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected one dimension)", call->op->params[arg].name,
                        peri_shape_text(index->ndim, index->shape, text));
}

/* The workspace: the index tensor's values from 0, in row-major order. */
static peri_status zero_based(peri_call *call, int arg, const int64_t **out) {
  peri_tensor *own;
  int64_t *values = call->workspace;
  PERI_TRY(peri_tensor_contiguous(call->args[arg].tensor, &own));
  const int64_t *given = (const int64_t *)(const void *)own->data;
  for (int64_t i = 0; i < own->layout.numel; i++) values[i] = given[i] - 1;
  peri_tensor_release(&own);
  *out = values;
  return PERI_OK;
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
  PERI_TRY(need_int64(call, 1));
  PERI_TRY(need_vector(call, 1));
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &dim));
  PERI_TRY(infer_indices(call, 1, x->shape[dim]));
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] = call->args[1].tensor->layout.numel;
  call->note[0] = dim;
  peri_infer_output(call, 0, x->dtype, x->ndim, shape);
  return PERI_OK;
}
static peri_status run_index_select(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *x;
  const int64_t *index;
  int64_t outer, inner, dim = call->note[0];
  PERI_TRY(zero_based(call, 1, &index));
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
/* A step that puts g back to where an index took it from: row(g, shape, index, dim). */
static peri_status grad_by_placing(peri_backward *b, const peri_op *placing) {
  peri_call call;
  peri_step_open(b, &call, placing, 3,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_constant(0), peri_of(b->args[1].tensor)});
  peri_call_sizes(&call, 1, b->layouts[0]->ndim, b->layouts[0]->shape);
  call.args[3].integer = b->note[0];
  peri_answer(b, 0, peri_step_run(b, &call));
  return PERI_OK;
}
static peri_status grad_index_select(peri_backward *b) { return grad_by_placing(b, &peri_op_index_add); }
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
  peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, shape->count, shape->sizes);
  return infer_indices(call, 2, shape->sizes[call->note[0]]);
}
static peri_status run_index_add(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *g;
  const int64_t *index;
  int64_t outer, inner, dim = call->note[0];
  PERI_TRY(zero_based(call, 2, &index));
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
static peri_status grad_index_add(peri_backward *b) {
  peri_call call;
  peri_step_open(b, &call, &peri_op_index_select, 2,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_of(b->args[2].tensor)});
  call.args[2].integer = b->note[0];
  peri_answer(b, 0, peri_step_run(b, &call));
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

/* ---- gather and its transpose ---- */

static peri_status infer_gather(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[2].tensor->layout;
  int dim;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(need_int64(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  bool fits = index->ndim == x->ndim;
  for (int d = 0; d < x->ndim && fits; d++) fits = d == dim || index->shape[d] == x->shape[d];
  if (!fits) {
    return peri_call_fail(
        call, PERI_ERR_ARGUMENT, "index is %s but x is %s (expected the same sizes except along dim %d)",
        peri_shape_text(index->ndim, index->shape, a), peri_shape_text(x->ndim, x->shape, b), dim + 1);
  }
  call->note[0] = dim;
  peri_infer_output(call, 0, x->dtype, index->ndim, index->shape);
  return infer_indices(call, 2, x->shape[dim]);
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
  PERI_TRY(zero_based(call, 2, &p.index));
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
static peri_status grad_gather(peri_backward *b) {
  peri_call call;
  peri_step_open(b, &call, &peri_op_scatter, 3,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_constant(0), peri_of(b->args[2].tensor)});
  peri_call_sizes(&call, 1, b->layouts[0]->ndim, b->layouts[0]->shape);
  call.args[3].integer = b->note[0];
  peri_answer(b, 0, peri_step_run(b, &call));
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
  PERI_TRY(zero_based(call, 2, &p.index));
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
static peri_status grad_scatter(peri_backward *b) {
  peri_call call;
  peri_step_open(b, &call, &peri_op_gather, 3,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_constant(0), peri_of(b->args[2].tensor)});
  call.args[1].integer = b->note[0];
  peri_answer(b, 0, peri_step_run(b, &call));
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

static peri_status check_mask(peri_call *call, int arg) {
  const peri_layout *x = &call->args[0].tensor->layout, *mask = &call->args[arg].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (mask->dtype == PERI_BOOL && peri_same_shape(x, mask)) return PERI_OK;
  return peri_call_fail(
      call, PERI_ERR_ARGUMENT, "mask is %s of %s but x is %s (expected a bool tensor of the same shape)",
      peri_dtype_name(mask->dtype), peri_shape_text(mask->ndim, mask->shape, a), peri_shape_text(x->ndim, x->shape, b));
}

/* Row-major positions (from 1) where a mask is true: a new int64 vector. */
static peri_status true_positions(peri_call *call, peri_tensor *mask, peri_tensor **out) {
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
  if (mask->dtype == PERI_BOOL) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s (expected bool)", peri_dtype_name(mask->dtype));
}
static peri_status run_nonzero(peri_call *call) {
  return true_positions(call, call->args[0].tensor, &call->outputs[0].tensor);
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

static peri_status infer_masked_select(peri_call *call) { return check_mask(call, 1); }
static peri_status run_masked_select(peri_call *call) {
  peri_tensor *positions, *x;
  PERI_TRY(true_positions(call, call->args[1].tensor, &positions));
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
static peri_status grad_masked_select(peri_backward *b) {
  peri_call call;
  const peri_layout *x = b->layouts[0];
  peri_value mask = peri_of(b->args[1].tensor), positions = peri_apply(b, &peri_op_nonzero, 1, &mask);
  if (b->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(b, &call, &peri_op_scatter, 3,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_constant(0), positions});
  peri_call_sizes(&call, 1, 1, &x->numel);
  peri_answer(b, 0, peri_step_reshape(b, peri_step_run(b, &call), x->ndim, x->shape));
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
  PERI_TRY(need_int64(call, 0));
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
  PERI_TRY(infer_indices(call, 0, call->args[1].integer));
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.dtype = (peri_dtype)call->args[2].integer, .ndim = index->ndim + 1};
  memcpy(y->shape, shape, sizeof shape);
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_one_hot(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const int64_t *index;
  PERI_TRY(zero_based(call, 0, &index));
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

/* ---- joining ---- */

static peri_status infer_joined_dtype(peri_call *call, peri_dtype *dtype) {
  const peri_arg *list = &call->args[0];
  *dtype = list->tensors[0]->layout.dtype;
  for (int i = 1; i < list->count; i++) {
    peri_dtype own = list->tensors[i]->layout.dtype;
    if (own == *dtype) continue;
    if (!peri_is_float(own) || !peri_is_float(*dtype)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s but tensor 1 is %s", i + 1, peri_dtype_name(own),
                            peri_dtype_name(*dtype));
    }
    *dtype = PERI_FLOAT64;
  }
  return PERI_OK;
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
  PERI_TRY(infer_joined_dtype(call, &y->dtype));
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
  peri_tensor *y = call->outputs[0].tensor, part = *y;
  int64_t dim = call->note[0];
  part.contiguous = false;
  for (int i = 0; i < call->args[0].count; i++) {
    peri_tensor *x = call->args[0].tensors[i];
    part.layout.shape[dim] = x->layout.shape[dim];
    PERI_TRY(peri_tensor_copy_into(&part, x));
    part.data += x->layout.shape[dim] * y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  }
  return PERI_OK;
}
static peri_status grad_cat(peri_backward *b) {
  int64_t start = 0, dim = b->note[0];
  for (int i = 0; i < b->edges; i++) {
    int64_t length = b->layouts[i]->shape[dim];
    if (b->needs[i]) {
      peri_call call;
      peri_value g = peri_of(b->grad_outputs[0]);
      peri_step_open(b, &call, &peri_op_narrow, 1, &g);
      call.args[1].integer = dim;
      call.args[2].integer = start;
      call.args[3].integer = length;
      peri_answer(b, i, peri_step_run(b, &call));
    }
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
    .grad = grad_cat,
    .low = -1,
    .high = 1,
    .sample = "{{T(2, 3), T(4, 3)}}, {{T(2, 3), T(2, 1), T(2, 0)}, 2}, {{T(2)}, -1}",
    .doc = "cat(tensors, dim = 1) -> tensor\n"
           "The tensors of a list one behind the other along dim; the other sizes must be equal.",
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
  PERI_TRY(infer_joined_dtype(call, &y->dtype));
  call->note[0] = dim;
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_stack(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, part = *y;
  int64_t dim = call->note[0];
  part.contiguous = false;
  part.layout.ndim--;
  for (int d = 0; d < part.layout.ndim; d++) {
    part.layout.shape[d] = y->layout.shape[d < dim ? d : d + 1];
    part.layout.strides[d] = y->layout.strides[d < dim ? d : d + 1];
  }
  for (int i = 0; i < call->args[0].count; i++) {
    PERI_TRY(peri_tensor_copy_into(&part, call->args[0].tensors[i]));
    part.data += y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  }
  return PERI_OK;
}
static peri_status grad_stack(peri_backward *b) {
  for (int i = 0; i < b->edges; i++) {
    if (!b->needs[i]) continue;
    peri_call call;
    peri_value g = peri_of(b->grad_outputs[0]);
    peri_step_open(b, &call, &peri_op_select, 1, &g);
    call.args[1].integer = b->note[0];
    call.args[2].integer = i;
    peri_answer(b, i, peri_step_run(b, &call));
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
    .grad = grad_stack,
    .low = -1,
    .high = 1,
    .sample = "{{T(2, 3), T(2, 3)}}, {{T(2, 3), T(2, 3), T(2, 3)}, -1}, {{T()}}",
    .doc = "stack(tensors, dim = 1) -> tensor\n"
           "Tensors of one shape side by side along a new dimension dim.",
};

/* ---- sort ---- */

static peri_status infer_sort(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim = 0;
  if (x->ndim > 0) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  if (x->ndim > 0 && dim != x->ndim - 1) {
    call->note[1] = 1; /* sorted as rows in a moved copy */
  } else {
    call->note[1] = 0;
  }
  call->note[0] = dim;
  peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
  peri_infer_output(call, 1, PERI_INT64, x->ndim, x->shape);
  return PERI_OK;
}
static peri_tensor dimension_last(const peri_tensor *x, int64_t dim) {
  peri_tensor moved = *x;
  int last = x->layout.ndim - 1;
  moved.contiguous = false;
  for (int64_t d = dim; d < last; d++) {
    moved.layout.shape[d] = x->layout.shape[d + 1];
    moved.layout.strides[d] = x->layout.strides[d + 1];
  }
  moved.layout.shape[last] = x->layout.shape[dim];
  moved.layout.strides[last] = x->layout.strides[dim];
  return moved;
}
static peri_status sort_rows(peri_call *call, peri_tensor *x, peri_tensor *values, peri_tensor *indices) {
  int64_t n = x->layout.ndim == 0 ? 1 : x->layout.shape[x->layout.ndim - 1];
  int64_t *index = (int64_t *)(void *)indices->data;
  if (x->layout.numel == 0) return PERI_OK;
  PERI_TRY(peri_sort_rows(call->context, x->layout.dtype, x->layout.numel / n, n, call->args[2].integer, x->data,
                          values->data, index));
  for (int64_t i = 0; i < x->layout.numel; i++) index[i]++;
  return PERI_OK;
}
static peri_status run_sort(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, *values = call->outputs[0].tensor, *indices = call->outputs[1].tensor, *own;
  if (!call->note[1]) {
    PERI_TRY(peri_tensor_contiguous(x, &own));
    peri_status status = sort_rows(call, own, values, indices);
    peri_tensor_release(&own);
    return status;
  }
  peri_tensor moved_x = dimension_last(x, call->note[0]), moved_values = dimension_last(values, call->note[0]);
  peri_tensor moved_indices = dimension_last(indices, call->note[0]), *row_values = NULL, *row_indices = NULL;
  peri_layout layout;
  PERI_TRY(peri_tensor_contiguous(&moved_x, &own));
  peri_layout_set(&layout, x->layout.dtype, x->layout.ndim, moved_x.layout.shape);
  peri_status status = peri_tensor_empty(call->context, &layout, &row_values);
  layout.dtype = PERI_INT64;
  if (status == PERI_OK) status = peri_tensor_empty(call->context, &layout, &row_indices);
  if (status == PERI_OK) status = sort_rows(call, own, row_values, row_indices);
  if (status == PERI_OK) status = peri_tensor_copy_into(&moved_values, row_values);
  if (status == PERI_OK) status = peri_tensor_copy_into(&moved_indices, row_indices);
  peri_tensor_release(&own);
  peri_tensor_release(&row_values);
  peri_tensor_release(&row_indices);
  return status;
}
static peri_status grad_sort(peri_backward *b) {
  const peri_layout *x = b->layouts[0];
  if (b->grad_outputs[0] == NULL) return PERI_OK;
  if (x->ndim == 0) {
    peri_answer(b, 0, peri_of(b->grad_outputs[0]));
    return PERI_OK;
  }
  peri_call call;
  peri_step_open(b, &call, &peri_op_scatter, 3,
                 (peri_value[]){peri_of(b->grad_outputs[0]), peri_constant(0), peri_of(b->outputs[1])});
  peri_call_sizes(&call, 1, x->ndim, x->shape);
  call.args[3].integer = b->note[0];
  peri_answer(b, 0, peri_step_run(b, &call));
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

/* ---- writing ---- */

static peri_status infer_written(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
  return PERI_OK;
}
/* A number as a tensor of no dimensions in x's dtype. */
static peri_status number_tensor(peri_tensor *x, const peri_arg *value, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, x->layout.dtype, 0, NULL);
  PERI_TRY(peri_tensor_full(peri_tensor_context(x), &layout, value->number, out));
  if (x->layout.dtype == PERI_INT64 && value->is_integer) *(int64_t *)(void *)(*out)->data = value->integer;
  return PERI_OK;
}
static peri_status write_number(peri_tensor *x, const peri_arg *value) {
  peri_tensor *constant;
  PERI_TRY(number_tensor(x, value, &constant));
  peri_status status = peri_tensor_copy_into(x, constant);
  peri_tensor_release(&constant);
  return status;
}
static peri_status infer_fill(peri_call *call) {
  PERI_TRY(peri_infer_fits(call, 1, call->args[0].tensor->layout.dtype));
  return infer_written(call);
}
static peri_status run_fill(peri_call *call) { return write_number(call->args[0].tensor, &call->args[1]); }
const peri_op peri_op_fill_ = {
    .name = "fill_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"value", PERI_KIND_NUMBER}},
    .infer = infer_fill,
    .run = run_fill,
    .sample = "{T(3, 4), 7}",
    .doc = "fill_(x, value) -> x\nWrites value to every element of x.",
};
static peri_status run_zero(peri_call *call) {
  peri_arg zero = {.number = 0};
  peri_tensor *x = call->args[0].tensor;
  if (!x->contiguous) return write_number(x, &zero);
  memset(x->data, 0, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype));
  return PERI_OK;
}
const peri_op peri_op_zero_ = {
    .name = "zero_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_written,
    .run = run_zero,
    .sample = "{T(3, 4)}",
    .doc = "zero_(x) -> x\nWrites 0 to every element of x.",
};

/* source must broadcast to a target of `ndim` sizes. */
static peri_status fits_target(peri_call *call, const peri_layout *source, int ndim, const int64_t *target) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  int shift = ndim - source->ndim;
  bool fits = shift >= 0;
  for (int d = 0; d < source->ndim && fits; d++) fits = source->shape[d] == 1 || source->shape[d] == target[shift + d];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "source is %s but the target is %s",
                        peri_shape_text(source->ndim, source->shape, a), peri_shape_text(ndim, target, b));
}
static peri_status infer_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_infer_fits(call, 1, x->dtype));
  if (call->args[1].tensor != NULL) PERI_TRY(fits_target(call, &call->args[1].tensor->layout, x->ndim, x->shape));
  return infer_written(call);
}
static peri_status run_copy_(peri_call *call) {
  if (call->args[1].tensor == NULL) return write_number(call->args[0].tensor, &call->args[1]);
  return peri_tensor_copy_into(call->args[0].tensor, call->args[1].tensor);
}
const peri_op peri_op_copy_ = {
    .name = "copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"source", PERI_KIND_OPERAND}},
    .infer = infer_copy,
    .run = run_copy_,
    .sample = "{T(3, 4), T(3, 4)}, {T(3, 4), T(4)}, {T(3, 4), 2}",
    .doc = "copy_(x, source) -> x\n"
           "Writes source, broadcast and converted to x's dtype, into x; what x[{}] = source does.",
};

static peri_status infer_index_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t target[PERI_MAX_DIMS];
  if (x->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has no dimension to index");
  PERI_TRY(need_int64(call, 1));
  PERI_TRY(need_vector(call, 1));
  PERI_TRY(peri_infer_fits(call, 2, x->dtype));
  memcpy(target, x->shape, sizeof target);
  target[0] = call->args[1].tensor->layout.numel;
  if (call->args[2].tensor != NULL) PERI_TRY(fits_target(call, &call->args[2].tensor->layout, x->ndim, target));
  PERI_TRY(infer_indices(call, 1, x->shape[0]));
  return infer_written(call);
}
/* A tensor without its first dimension: entry 0 of it, or all of it where the first size is 1. */
static peri_tensor entry(const peri_tensor *x) {
  peri_tensor row = *x;
  row.contiguous = false;
  row.layout.ndim--;
  memmove(row.layout.shape, x->layout.shape + 1, (size_t)row.layout.ndim * sizeof(int64_t));
  memmove(row.layout.strides, x->layout.strides + 1, (size_t)row.layout.ndim * sizeof(int64_t));
  return row;
}
static peri_status run_index_copy(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, *source;
  const int64_t *index;
  PERI_TRY(zero_based(call, 1, &index));
  if (call->args[2].tensor != NULL) {
    PERI_TRY(peri_tensor_convert(call->args[2].tensor, x->layout.dtype, &source));
  } else {
    PERI_TRY(number_tensor(x, &call->args[2], &source));
  }
  bool rows = source->layout.ndim == x->layout.ndim;
  peri_tensor row = entry(x), from = rows ? entry(source) : *source;
  int64_t size = (int64_t)peri_dtype_size(x->layout.dtype);
  int64_t step = rows && source->layout.shape[0] != 1 ? source->layout.strides[0] * size : 0;
  peri_status status = PERI_OK;
  for (int64_t i = 0; i < call->args[1].tensor->layout.numel && status == PERI_OK; i++) {
    row.data = x->data + index[i] * x->layout.strides[0] * size;
    from.data = source->data + i * step;
    status = peri_tensor_copy_into(&row, &from);
  }
  peri_tensor_release(&source);
  return status;
}
const peri_op peri_op_index_copy_ = {
    .name = "index_copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}, {"source", PERI_KIND_OPERAND}},
    .infer = infer_index_copy,
    .run = run_index_copy,
    .sample = "{T(4, 3), I(4, 2), T(2, 3)}, {T(4, 3), I(4, 5), 1}, {T(4), I(4, 3), T(3)}",
    .doc = "index_copy_(x, index, source) -> x\n"
           "Writes source, broadcast, to the rows of x at the int64 vector index; where a row is named twice the last "
           "one stays. What x[index] = source does.",
};

static peri_status infer_masked_copy(peri_call *call) {
  PERI_TRY(check_mask(call, 1));
  const peri_layout *source = &call->args[2].tensor->layout;
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[1].tensor, &own));
  int64_t count = 0;
  for (int64_t i = 0; i < own->layout.numel; i++) count += own->data[i];
  peri_tensor_release(&own);
  if (source->numel != count && source->numel != 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "source has %lld elements but mask chooses %lld",
                          (long long)source->numel, (long long)count);
  }
  return infer_written(call);
}
static peri_status run_masked_copy(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, *positions, *converted, *source;
  PERI_TRY(true_positions(call, call->args[1].tensor, &positions));
  peri_status status = peri_tensor_convert(call->args[2].tensor, x->layout.dtype, &converted);
  if (status == PERI_OK) {
    status = peri_tensor_contiguous(converted, &source);
    peri_tensor_release(&converted);
  }
  if (status == PERI_OK) {
    const int64_t *position = (const int64_t *)(const void *)positions->data;
    size_t size = peri_dtype_size(x->layout.dtype);
    for (int64_t i = 0; i < positions->layout.numel; i++) {
      int64_t rest = position[i] - 1, at = 0;
      for (int d = x->layout.ndim - 1; d >= 0; d--) {
        at += rest % x->layout.shape[d] * x->layout.strides[d];
        rest /= x->layout.shape[d];
      }
      memcpy(x->data + at * (int64_t)size, source->data + (source->layout.numel == 1 ? 0 : (size_t)i * size), size);
    }
    peri_tensor_release(&source);
  }
  peri_tensor_release(&positions);
  return status;
}
const peri_op peri_op_masked_copy_ = {
    .name = "masked_copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}, {"source", PERI_KIND_TENSOR}},
    .infer = infer_masked_copy,
    .run = run_masked_copy,
    .sample = "{T(3, 4), B(3, 4), T(1)}",
    .doc = "masked_copy_(x, mask, source) -> x\n"
           "Writes the elements of source, in order, to where the bool tensor mask is true; source has as many "
           "elements as mask has trues, or one. What x[mask] = source does.",
};

const peri_op *const peri_ops_index[] = {
    &peri_op_index_select, &peri_op_index_add,     &peri_op_gather,       &peri_op_scatter,
    &peri_op_nonzero,      &peri_op_masked_select, &peri_op_one_hot,      &peri_op_cat,
    &peri_op_stack,        &peri_op_sort,          &peri_op_fill_,        &peri_op_zero_,
    &peri_op_copy_,        &peri_op_index_copy_,   &peri_op_masked_copy_, NULL};
