/* Reductions over some or all dimensions: sums, products, truth. Extremes are in extreme.c, means and variances in
 * moments.c. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- which dimensions ---- */

peri_status peri_reduce_dims(peri_call *call) { return peri_reduce_dims_of(call, 1); }

peri_status peri_reduce_dims_of(peri_call *call, int arg) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *dims = &call->args[arg];
  int64_t set = 0;
  for (int i = 0; i < dims->count; i++) {
    int64_t d = dims->sizes[i] < 0 ? dims->sizes[i] + x->ndim : dims->sizes[i];
    if (d < 0 || d >= x->ndim || (set >> d & 1)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s: %lld is %s (the tensor has %d dimensions)",
                            call->op->params[arg].name,
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

/* But for x. */
static peri_folded fold_shape(const peri_layout *layout, int64_t set) {
  peri_folded f = {.outer = 1, .n = 1, .inner = 1, .together = true};
  int first = 0, last = layout->ndim - 1;
  while (first < layout->ndim && !(set >> first & 1)) first++;
  while (last >= first && !(set >> last & 1)) last--;
  for (int d = first; d <= last; d++) f.together = f.together && (set >> d & 1);
  for (int d = 0; d < layout->ndim; d++) {
    int64_t *side = (set >> d & 1) ? &f.n : f.together && d > last ? &f.inner : &f.outer;
    *side *= layout->shape[d];
  }
  return f;
}

peri_status peri_fold(peri_tensor *x, int64_t set, peri_dtype dtype, peri_folded *out) {
  const peri_layout *layout = &x->layout;
  *out = fold_shape(layout, set);
  if (out->together) {
    if (x->layout.dtype == dtype) return peri_tensor_contiguous(x, &out->x);
    return peri_tensor_convert(x, dtype, &out->x);
  }
  peri_view moved = x->view;
  int place = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (int d = 0; d < layout->ndim; d++) {
      if ((int)(set >> d & 1) != pass) continue;
      moved.layout.shape[place] = layout->shape[d];
      moved.layout.strides[place++] = layout->strides[d];
    }
  }
  return peri_view_copy(peri_tensor_context(x), &moved, dtype, &out->x);
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

bool peri_reduce_fits_lanes(const peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t n = 1, inner = 1;
  int blocks = 0;
  for (int d = 0; d < x->ndim; d++) {
    const bool reduced = call->note[0] >> d & 1;
    blocks += reduced && (d == 0 || !(call->note[0] >> (d - 1) & 1));
    *(reduced ? &n : &inner) *= x->shape[d];
    if (reduced) inner = 1;
  }
  return blocks == 1 && x->dtype == call->dtype && peri_is_float(x->dtype) && (inner > 1 || n <= PERI_LANES_LONGEST);
}

peri_status peri_reduce_lanes(peri_call *call, double divisor) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_sum_lanes(call->context, call->dtype, f.outer, f.n, f.inner / PERI_LANES, divisor, f.x->data,
                 call->outputs[0].tensor->data);
  peri_tensor_release(&f.x);
  return PERI_OK;
}

static peri_status run_sum_lanes(peri_call *call) { return peri_reduce_lanes(call, 1); }
static peri_status run_sum(peri_call *call) { return run_reduction(call, peri_reduce_sum); }

/* Of a sum whose dimensions lie together. */
typedef struct ready_sum {
  int64_t outer, n, inner;
} ready_sum;

static peri_status run_ready_sum(peri_ready *ready) {
  const ready_sum *r = (const ready_sum *)(const void *)ready->note;
  const peri_call *call = ready->call;
  return peri_reduce_sum(call->context, call->dtype, r->outer, r->n, r->inner, call->args[0].tensor->data,
                         call->outputs[0].tensor->data);
}

static bool ready_sum_call(const peri_call *call, bool onto_zeros, peri_ready *ready) {
  const peri_tensor *x = call->args[0].tensor;
  const peri_folded f = fold_shape(&x->layout, call->note[0]);
  (void)onto_zeros;
  if (!f.together || !x->contiguous || x->layout.dtype != call->dtype) return false;
  *(ready_sum *)(void *)ready->note = (ready_sum){f.outer, f.n, f.inner};
  ready->run = run_ready_sum;
  return true;
}

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
    .run_onto_zeros = PERI_FULL(run_sum), /* a sum begins with 0 */
    .ready = PERI_FULL(ready_sum_call),
    .run_lanes = PERI_FULL(run_sum_lanes),
    .lanes_fit = PERI_FULL(peri_reduce_fits_lanes),
    .grad = PERI_FULL(grad_sum),
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {T(0)}, {T(2, 0), 2}",
    .doc = "sum(x, dims, keepdim = false) -> tensor\n"
           "The sum over all dimensions, or over dims (a number or a list); integers and bools sum to int64, which "
           "wraps around. The rounding error does not grow with the count.",
};

static peri_status run_prod(peri_call *call) { return run_reduction(call, peri_reduce_prod); }

/* The gradient of a product at each factor is the product of the others, which no division gives where a factor is 0.
 * Factors are multiplied two by two, halves of a row at a time, up to one; then what stands beside each product is
 * multiplied on the way down: log2(n) steps over rows that have gradients themselves. */

static peri_value ones(peri_backward *B, int64_t rows, int64_t columns) {
  peri_layout layout;
  peri_tensor *constant = NULL;
  peri_layout_set(&layout, PERI_FLOAT64, 2, (int64_t[]){rows, columns});
  peri_status status = peri_tensor_full(B->context, &layout, 1, &constant);
  return peri_formula_fixed(B, status, constant);
}
/* For x of rows x n and g of rows x 1: g times the product of the others of x's row. */
static peri_value product_of_others(peri_backward *B, peri_value x, peri_value g, int64_t rows, int64_t n) {
  peri_value left[64], right[64];
  int level = 0;
  int64_t width = 1;
  while (width < n) width *= 2;
  if (width > n) x = peri_step_cat(B, x, ones(B, rows, width - n), 1);
  for (; width > 1; level++) {
    width /= 2;
    left[level] = peri_step_narrow(B, x, 1, 0, width);
    right[level] = peri_step_narrow(B, x, 1, width, width);
    x = peri_step_mul(B, left[level], right[level]);
  }
  while (level-- > 0) {
    peri_value for_left = peri_step_mul(B, g, right[level]);
    g = peri_step_cat(B, for_left, peri_step_mul(B, g, left[level]), 1);
    width *= 2;
  }
  return width > n ? peri_step_narrow(B, g, 1, 0, n) : g;
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
  peri_value matrix =
      peri_step_permute(B, peri_step_convert(B, peri_of(B->args[0].tensor), PERI_FLOAT64), x->ndim, order);
  matrix = peri_step_reshape(B, matrix, 2, (int64_t[]){rows, n});
  g = peri_step_reshape(B, g, 2, (int64_t[]){rows, 1});
  g = product_of_others(B, matrix, g, rows, n);
  peri_answer(B, 0, peri_step_permute(B, peri_step_reshape(B, g, x->ndim, shape), x->ndim, back));
  return PERI_OK;
}
const peri_op peri_op_prod = {
    .name = "prod",
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_sum,
    .run = run_prod,
    .grad = PERI_FULL(grad_prod),
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {T(0)}, {T(2, 0), 2}",
    .doc = "prod(x, dims, keepdim = false) -> tensor\n"
           "The product over all dimensions, or over dims; integers and bools give int64, which wraps around. The "
           "gradient is the product of the others, also beside zeros.",
};

/* ---- any, all ---- */

static peri_status infer_truth(peri_call *call) {
  PERI_TRY(peri_reduce_dims(call));
  return peri_reduce_output(call, 0, PERI_BOOL, call->args[2].integer);
}
typedef peri_status (*truth)(peri_context *context, int64_t outer, int64_t n, int64_t inner, const uint8_t *x,
                             uint8_t *y);

static peri_status run_truth(peri_call *call, truth reduce) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], PERI_BOOL, &f));
  peri_status status = reduce(call->context, f.outer, f.n, f.inner, (const uint8_t *)f.x->data,
                              (uint8_t *)call->outputs[0].tensor->data);
  peri_tensor_release(&f.x);
  return status;
}
static peri_status run_any(peri_call *call) { return run_truth(call, peri_reduce_any); }
static peri_status run_all(peri_call *call) { return run_truth(call, peri_reduce_all); }
#define TRUTH_SAMPLE "{B(3, 4)}, {B(2, 3, 4), 2}, {T(2, 3), {1, 2}, true}"
const peri_op peri_op_any = {
    .name = "any",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_truth,
    .run = run_any,
    .low = -1,
    .high = 1,
    .sample = TRUTH_SAMPLE,
    .doc = "any(x, dims, keepdim = false) -> bool tensor, or a boolean without dims\n"
           "Whether some element is true (or not zero).",
};
const peri_op peri_op_all = {
    .name = "all",
    .flags = PERI_OP_FULL_VALUE,
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_truth,
    .run = run_all,
    .low = -1,
    .high = 1,
    .sample = TRUTH_SAMPLE,
    .doc = "all(x, dims, keepdim = false) -> bool tensor, or a boolean without dims\n"
           "Whether every element is true (or not zero).",
};

const peri_op *const peri_ops_reduce[] = {&peri_op_sum, &peri_op_prod, &peri_op_any, &peri_op_all, NULL};
