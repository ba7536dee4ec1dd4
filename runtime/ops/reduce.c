/* Reductions over some or all dimensions, and the softmax family, which normalises along one; means and variances are
 * in moments.c. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- which dimensions ---- */

peri_status peri_reduce_dims(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *dims = &call->args[1];
  int64_t set = 0;
  for (int i = 0; i < dims->count; i++) {
    int64_t d = dims->sizes[i] < 0 ? dims->sizes[i] + x->ndim : dims->sizes[i];
    if (d < 0 || d >= x->ndim || (set >> d & 1)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims: %lld is %s (the tensor has %d dimensions)",
                            (long long)(dims->sizes[i] < 0 ? dims->sizes[i] : dims->sizes[i] + 1),
                            d >= 0 && d < x->ndim ? "there twice" : "out of range", x->ndim);
    }
    set |= (int64_t)1 << d;
  }
  if (!dims->given) set = ((int64_t)1 << x->ndim) - 1;
  call->note[0] = set;
  call->note[1] = 1;
  for (int d = 0; d < x->ndim; d++) call->note[1] *= (set >> d & 1) ? x->shape[d] : 1;
  return PERI_OK;
}

peri_status peri_reduce_output(peri_call *call, int output, peri_dtype dtype, bool keepdim) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  int ndim = 0;
  for (int d = 0; d < x->ndim; d++) {
    bool reduced = call->note[0] >> d & 1;
    if (!reduced || keepdim) shape[ndim++] = reduced ? 1 : x->shape[d];
  }
  return peri_infer_output(call, output, dtype, ndim, shape);
}

peri_status peri_fold(peri_tensor *x, int64_t set, peri_dtype dtype, peri_folded *out) {
  const peri_layout *layout = &x->layout;
  int first = 0, last = layout->ndim - 1;
  while (first < layout->ndim && !(set >> first & 1)) first++;
  while (last >= first && !(set >> last & 1)) last--;
  bool together = true;
  for (int d = first; d <= last; d++) together &= (int)(set >> d & 1);
  *out = (peri_folded){.outer = 1, .n = 1, .inner = 1};
  for (int d = 0; d < layout->ndim; d++) {
    int64_t *side = (set >> d & 1) ? &out->n : together && d > last ? &out->inner : &out->outer;
    *side *= layout->shape[d];
  }
  if (together) {
    if (x->layout.dtype == dtype) return peri_tensor_contiguous(x, &out->x);
    return peri_tensor_convert(x, dtype, &out->x);
  }
  peri_tensor moved = *x;
  int place = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (int d = 0; d < layout->ndim; d++) {
      if ((int)(set >> d & 1) != pass) continue;
      moved.layout.shape[place] = layout->shape[d];
      moved.layout.strides[place++] = layout->strides[d];
    }
  }
  moved.contiguous = false;
  if (x->layout.dtype == dtype) return peri_tensor_contiguous(&moved, &out->x);
  return peri_tensor_convert(&moved, dtype, &out->x);
}

int peri_reduced(const peri_backward *B, int64_t dims[PERI_MAX_DIMS]) {
  int count = 0;
  for (int d = 0; d < B->layouts[0]->ndim; d++) {
    if (B->note[0] >> d & 1) dims[count++] = d;
  }
  return count;
}

peri_value peri_step_unreduce(peri_backward *B, peri_value g) {
  const peri_layout *x = B->layouts[0];
  int64_t shape[PERI_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) shape[d] = (B->note[0] >> d & 1) ? 1 : x->shape[d];
  return peri_step_reshape(B, g, x->ndim, shape);
}

peri_value peri_step_expand(peri_backward *B, peri_value g) {
  peri_call call;
  if (B->formula->status != PERI_OK) return g;
  peri_step_open(B, &call, &peri_op_expand, 1, &g);
  peri_call_sizes(&call, 1, B->layouts[0]->ndim, B->layouts[0]->shape);
  return peri_step_run(B, &call);
}

/* ---- sum, prod ---- */

static peri_status infer_sum(peri_call *call) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_reduce_dims(call));
  call->dtype = peri_is_float(dtype) ? dtype : PERI_INT64;
  return peri_reduce_output(call, 0, call->dtype, call->args[2].integer);
}

typedef peri_status (*reduction)(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                                 const void *x, void *y);

static peri_status run_reduction(peri_call *call, reduction reduce) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status =
      reduce(call->context, call->dtype, f.outer, f.n, f.inner, f.x->data, call->outputs[0].tensor->data);
  peri_tensor_release(&f.x);
  return status;
}

static peri_status run_sum(peri_call *call) { return run_reduction(call, peri_reduce_sum); }
static peri_status grad_sum(peri_backward *B) {
  peri_answer(B, 0, peri_step_expand(B, peri_step_unreduce(B, peri_of(B->grad_outputs[0]))));
  return PERI_OK;
}
const peri_op peri_op_sum = {
    .name = "sum",
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_sum,
    .run = run_sum,
    .grad = grad_sum,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {T(0)}, {T(2, 0), 2}",
    .doc = "sum(x, dims, keepdim = false) -> tensor\n"
           "The sum over all dimensions, or over dims (a number or a list); integers and bools sum to int64, "
           "which wraps around. The "
           "rounding error does not grow with the count.",
};

static peri_status run_prod(peri_call *call) { return run_reduction(call, peri_reduce_prod); }

/* The gradient of a product at each factor is the product of the others, which no division gives where a factor is 0.
 * Factors are multiplied two by two, halves of a row at a time, up to one; then what stands beside each product is
 * multiplied on the way down: log2(n) steps over rows that have gradients themselves. */

static peri_value half(peri_backward *B, peri_value x, bool second, int64_t length) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_narrow, 1, &x);
  call.args[1].integer = 1;
  call.args[2].integer = second ? length : 0;
  call.args[3].integer = length;
  return peri_step_run(B, &call);
}
static peri_value beside(peri_backward *B, peri_value left, peri_value right) {
  peri_call call;
  if (B->formula->status != PERI_OK) return left;
  peri_step_open(B, &call, &peri_op_cat, 0, NULL);
  call.args[0].given = true;
  call.args[0].tensors = (peri_tensor *[]){left.tensor, right.tensor};
  call.args[0].count = 2;
  call.args[1].integer = 1;
  return peri_step_run(B, &call);
}
static peri_value ones(peri_backward *B, int64_t rows, int64_t columns) {
  peri_layout layout;
  peri_tensor *constant = NULL;
  peri_layout_set(&layout, PERI_FLOAT64, 2, (int64_t[]){rows, columns});
  peri_status status = peri_tensor_full(B->context, &layout, 1, &constant);
  return peri_formula_own(B, status, constant);
}
/* For x of rows x n and g of rows x 1: g times the product of the others of x's row. */
static peri_value product_of_others(peri_backward *B, peri_value x, peri_value g, int64_t rows, int64_t n) {
  peri_value left[64], right[64];
  int level = 0;
  int64_t width = 1;
  while (width < n) width *= 2;
  if (width > n) x = beside(B, x, ones(B, rows, width - n));
  for (; width > 1; level++) {
    width /= 2;
    left[level] = half(B, x, false, width);
    right[level] = half(B, x, true, width);
    x = peri_step_mul(B, left[level], right[level]);
  }
  while (level-- > 0) {
    peri_value for_left = peri_step_mul(B, g, right[level]);
    g = beside(B, for_left, peri_step_mul(B, g, left[level]));
    width *= 2;
  }
  return width > n ? half(B, g, false, n) : g;
}
static peri_value permute(peri_backward *B, peri_value x, int ndim, const int64_t *order) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_permute, 1, &x);
  peri_call_sizes(&call, 1, ndim, order);
  return peri_step_run(B, &call);
}
/* Reduced dimensions come last, as the columns of a matrix; in double, as the product itself. */
static peri_status grad_prod(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_step_convert(B, peri_of(B->grad_outputs[0]), PERI_FLOAT64);
  if (x->numel == 0) {
    peri_answer(B, 0, peri_step_expand(B, peri_step_unreduce(B, g)));
    return PERI_OK;
  }
  int64_t order[PERI_MAX_DIMS], back[PERI_MAX_DIMS], shape[PERI_MAX_DIMS], n = B->note[1], rows = x->numel / n;
  int place = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (int d = 0; d < x->ndim; d++) {
      if ((int)(B->note[0] >> d & 1) == pass) order[place++] = d;
    }
  }
  for (int d = 0; d < x->ndim; d++) back[order[d]] = d, shape[d] = x->shape[order[d]];
  peri_value matrix = permute(B, peri_step_convert(B, peri_of(B->args[0].tensor), PERI_FLOAT64), x->ndim, order);
  matrix = peri_step_reshape(B, matrix, 2, (int64_t[]){rows, n});
  g = peri_step_reshape(B, g, 2, (int64_t[]){rows, 1});
  g = product_of_others(B, matrix, g, rows, n);
  peri_answer(B, 0, permute(B, peri_step_reshape(B, g, x->ndim, shape), x->ndim, back));
  return PERI_OK;
}
const peri_op peri_op_prod = {
    .name = "prod",
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_sum,
    .run = run_prod,
    .grad = grad_prod,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {T(0)}, {T(2, 0), 2}",
    .doc = "prod(x, dims, keepdim = false) -> tensor\n"
           "The product over all dimensions, or over dims; integers and bools give int64, which wraps around. The "
           "gradient is the product of the others, also beside zeros.",
};

/* ---- max, min, and where they stand ---- */

#define EXTREME_PARAMS                                                                                                 \
  {"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}, { "keepdim", PERI_KIND_BOOL, .optional = true }

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
  peri_call call;
  int64_t dim = B->note[2];
  int64_t flat[1] = {1}, size[1] = {x->numel};
  bool all = !B->args[1].given;
  g = all ? peri_step_reshape(B, g, 1, flat) : peri_step_unreduce(B, g);
  index = all ? peri_step_reshape(B, index, 1, flat) : peri_step_unreduce(B, index);
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(B, &call, &peri_op_scatter, 3, (peri_value[]){g, peri_constant(0), index});
  peri_call_sizes(&call, 1, all ? 1 : x->ndim, all ? size : x->shape);
  call.args[3].integer = all ? 0 : dim;
  g = peri_step_run(B, &call);
  peri_answer(B, 0, all ? peri_step_reshape(B, g, x->ndim, x->shape) : g);
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
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}, {T()}",
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
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}, {T()}",
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
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}",
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
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}",
    .doc =
        "argmin(x, dim, keepdim = false) -> int64 tensor, or an integer without dim\n"
        "The first position of the smallest value along dim, or among all elements in row-major order. Counts from 1.",
};

/* ---- any, all ---- */

static peri_status infer_truth(peri_call *call) {
  PERI_TRY(peri_reduce_dims(call));
  return peri_reduce_output(call, 0, PERI_BOOL, call->args[2].integer);
}
static peri_status run_truth(peri_call *call) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], PERI_BOOL, &f));
  const uint8_t *x = (const uint8_t *)f.x->data;
  uint8_t *y = (uint8_t *)call->outputs[0].tensor->data;
  peri_status status = call->op->id ? peri_reduce_all(call->context, f.outer, f.n, f.inner, x, y)
                                    : peri_reduce_any(call->context, f.outer, f.n, f.inner, x, y);
  peri_tensor_release(&f.x);
  return status;
}
const peri_op peri_op_any = {
    .name = "any",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_truth,
    .run = run_truth,
    .low = -1,
    .high = 1,
    .sample = "{B(3, 4)}, {B(2, 3, 4), 2}, {T(2, 3), {1, 2}, true}",
    .doc = "any(x, dims, keepdim = false) -> bool tensor, or a boolean without dims\n"
           "Whether some element is true (or not zero).",
    .id = 0,
};
const peri_op peri_op_all = {
    .name = "all",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_truth,
    .run = run_truth,
    .low = -1,
    .high = 1,
    .sample = "{B(3, 4)}, {B(2, 3, 4), 2}, {T(2, 3), {1, 2}, true}",
    .doc = "all(x, dims, keepdim = false) -> bool tensor, or a boolean without dims\n"
           "Whether every element is true (or not zero).",
    .id = 1,
};

/* ---- softmax ----
 * The kernels take rows; another dimension is brought last and back again. note: the dimension. */

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
  return run_rows(call->context, call->note[0], call->op->id ? log_softmax_rows : softmax_rows, call->args[0].tensor,
                  NULL, call->outputs[0].tensor);
}

static peri_status grad_softmax(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), y = peri_of(B->outputs[0]);
  int64_t dim = B->note[0];
  if (B->create_graph) { /* softmax: y (g - sum(g y)); log_softmax: g - exp(y) sum(g) */
    peri_value p = B->op->id ? peri_step_exp(B, y) : y;
    peri_value weighted = B->op->id ? g : peri_step_mul(B, g, y);
    peri_value total = B->layouts[0]->ndim == 0 ? weighted : peri_step_sum(B, weighted, 1, &dim, true);
    if (B->op->id) {
      total = peri_step_mul(B, p, total);
      peri_answer(B, 0, peri_step_sub(B, g, total));
    } else {
      total = peri_step_sub(B, g, total);
      peri_answer(B, 0, peri_step_mul(B, p, total));
    }
    return PERI_OK;
  }
  peri_tensor *gx = NULL;
  peri_layout layout;
  peri_layout_set(&layout, y.tensor->layout.dtype, y.tensor->layout.ndim, y.tensor->layout.shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &gx);
  if (status == PERI_OK) {
    status = run_rows(B->context, dim, B->op->id ? peri_log_softmax_backward : peri_softmax_backward, g.tensor,
                      y.tensor, gx);
    if (status != PERI_OK) peri_tensor_release(&gx);
  }
  peri_answer(B, 0, peri_formula_own(B, status, gx));
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
    .id = 0,
};
const peri_op peri_op_log_softmax = {
    .name = "log_softmax",
    .saves = PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SOFTMAX_PARAMS},
    .infer = infer_softmax,
    .run = run_softmax,
    .grad = grad_softmax,
    .low = -2,
    .high = 2,
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(5), 1}",
    .doc = "log_softmax(x, dim = -1) -> tensor\n"
           "The logarithm of softmax: x - log(sum(exp(x))) along dim, by the log-sum-exp form. Floats only.",
    .id = 1,
};

const peri_op *const peri_ops_reduce[] = {&peri_op_sum,     &peri_op_prod,        &peri_op_max, &peri_op_min,
                                          &peri_op_argmax,  &peri_op_argmin,      &peri_op_any, &peri_op_all,
                                          &peri_op_softmax, &peri_op_log_softmax, NULL};
