/* Rows that choose elements by their rank in sorted order: medians, quantiles, the k-th smallest, the most frequent.
 * note: the dimension, its set, its size. */
#include "ops/along.h"
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* ---- what they share: one row, or one for each along a dimension ---- */

/* The dimension that is argument `arg`, or all of them, where there is an element to choose. */
static peri_status infer_lines(peri_call *call, int arg) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim = 0;
  char text[PERI_SHAPE_TEXT];
  bool given = call->args[arg].given || call->op->params[arg].otherwise != 0;
  if (given) PERI_TRY(peri_along_dim(call, arg, &dim));
  call->note[1] = dim;
  call->note[0] = given && x->ndim > 0 ? (int64_t)1 << dim : ((int64_t)1 << x->ndim) - 1;
  call->note[2] = given && x->ndim > 0 ? x->shape[dim] : x->numel;
  if (call->note[2] > 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s: there is no element to choose",
                        peri_shape_text(x->ndim, x->shape, text));
}

/* x as lines one behind the other, in order of the output. */
typedef struct lines {
  int64_t count, n;
  const char *x;
  peri_tensor *own;
} lines;

static peri_status open_lines(peri_call *call, lines *l) {
  const peri_tensor *x = call->args[0].tensor;
  bool all = call->note[0] == ((int64_t)1 << x->layout.ndim) - 1;
  peri_view rows = all ? x->view : peri_view_dimension_last(&x->view, call->note[1]);
  l->n = call->note[2];
  l->count = l->n > 0 ? x->layout.numel / l->n : 0;
  return peri_view_contiguous(call->context, &rows, &l->x, &l->own);
}

static double element(const lines *l, peri_dtype dtype, int64_t line, int64_t i) {
  return peri_load_number(dtype, l->x + (size_t)(line * l->n + i) * peri_dtype_size(dtype));
}

static int64_t count_nans(const lines *l, peri_dtype dtype, int64_t line) {
  int64_t nans = 0;
  if (dtype == PERI_FLOAT32) {
    const float *x = (const float *)(const void *)l->x + line * l->n;
    for (int64_t i = 0; i < l->n; i++) nans += x[i] != x[i];
  } else if (dtype == PERI_FLOAT64) {
    const double *x = (const double *)(const void *)l->x + line * l->n;
    for (int64_t i = 0; i < l->n; i++) nans += x[i] != x[i];
  }
  return nans;
}

/* The gradient goes to the one element that was chosen, whose index is output 1. */
static peri_status grad_chosen(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->outputs[1]);
  if (g.tensor == NULL) return PERI_OK;
  if (B->note[0] == ((int64_t)1 << x->ndim) - 1) { /* among all elements */
    int64_t one = 1;
    g = peri_step_reshape(B, g, 1, &one);
    g = peri_step_scatter(B, g, 1, &x->numel, peri_step_reshape(B, index, 1, &one), 0);
    peri_answer(B, 0, peri_step_reshape(B, g, x->ndim, x->shape));
    return PERI_OK;
  }
  g = peri_step_unreduce(B, g);
  index = peri_step_unreduce(B, index);
  peri_answer(B, 0, peri_step_scatter(B, g, x->ndim, x->shape, index, B->note[1]));
  return PERI_OK;
}

/* Values, and positions from 1, of the elements that `index` names from 0. */
static void put_chosen(peri_call *call, const lines *l, int64_t *index) {
  peri_tensor *values = call->outputs[0].tensor;
  size_t size = peri_dtype_size(values->layout.dtype);
  for (int64_t line = 0; line < l->count; line++) {
    memcpy(values->data + (size_t)line * size, l->x + (size_t)(line * l->n + index[line]) * size, size);
    index[line]++;
  }
}

static peri_status infer_chosen(peri_call *call, int keepdim) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_reduce_output(call, 0, dtype, call->args[keepdim].integer));
  return peri_reduce_output(call, 1, PERI_INT64, call->args[keepdim].integer);
}

/* The element of a rank that may differ from line to line. */
static peri_status run_chosen(peri_call *call, int64_t (*rank)(const peri_call *call, const lines *l, int64_t line)) {
  lines l;
  int64_t *index = (int64_t *)(void *)call->outputs[1].tensor->data;
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(open_lines(call, &l));
  for (int64_t line = 0; line < l.count; line++) index[line] = rank(call, &l, line);
  peri_status status = peri_select_rows(call->context, dtype, l.count, l.n, 1, index, l.x, index);
  if (status == PERI_OK) put_chosen(call, &l, index);
  peri_tensor_release(&l.own);
  return status;
}

/* ---- median ---- */

static peri_status infer_median(peri_call *call) {
  PERI_TRY(infer_lines(call, 1));
  return infer_chosen(call, 2);
}

/* The lower of the two in the middle; NaN stands last in order. */
static int64_t median_rank(const peri_call *call, const lines *l, int64_t line) {
  int64_t nans = count_nans(l, call->args[0].tensor->layout.dtype, line);
  return nans > 0 ? l->n - nans : (l->n - 1) / 2;
}
static int64_t nanmedian_rank(const peri_call *call, const lines *l, int64_t line) {
  int64_t nans = count_nans(l, call->args[0].tensor->layout.dtype, line);
  return nans == l->n ? 0 : (l->n - nans - 1) / 2;
}
static peri_status run_median(peri_call *call) { return run_chosen(call, median_rank); }
static peri_status run_nanmedian(peri_call *call) { return run_chosen(call, nanmedian_rank); }
#define MEDIAN_PARAMS                                                                                                  \
  {"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}, { "keepdim", PERI_KIND_BOOL, .optional = true }
#define MEDIAN_SAMPLE "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}, {T(5), 1}, {T()}"
const peri_op peri_op_median = {
    .name = "median",
    .flags = PERI_OP_FULL_ONE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {MEDIAN_PARAMS},
    .infer = infer_median,
    .run = run_median,
    .grad = grad_chosen,
    .low = -1,
    .high = 1,
    .sample = MEDIAN_SAMPLE,
    .doc =
        "median(x, dim, keepdim = false) -> values, indices\n"
        "The element in the middle of sorted order along dim, of two the lower one (quantile(x, 0.5) is their mean), "
        "and where sort finds it; without dim that of all elements alone. It gets the gradient. NaN where there is "
        "one. Errors: no element to choose from.",
};
const peri_op peri_op_nanmedian = {
    .name = "nanmedian",
    .flags = PERI_OP_FULL_ONE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {MEDIAN_PARAMS},
    .infer = infer_median,
    .run = run_nanmedian,
    .grad = grad_chosen,
    .low = -1,
    .high = 1,
    .sample = MEDIAN_SAMPLE,
    .doc = "nanmedian(x, dim, keepdim = false) -> values, indices\n"
           "The median of the elements that are not NaN, as median has it; NaN where there is none.",
};

/* ---- kthvalue ---- */

static peri_status infer_kth(peri_call *call) {
  PERI_TRY(infer_lines(call, 2));
  int64_t k = call->args[1].integer;
  if (k < 1 || k > call->note[2]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "k is %lld (expected 1 to %lld)", (long long)k,
                          (long long)call->note[2]);
  }
  return infer_chosen(call, 3);
}
static int64_t kth_rank(const peri_call *call, const lines *l, int64_t line) {
  (void)l;
  (void)line;
  return call->args[1].integer - 1;
}
static peri_status run_kth(peri_call *call) { return run_chosen(call, kth_rank); }
const peri_op peri_op_kthvalue = {
    .name = "kthvalue",
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"k", PERI_KIND_INTEGER},
               {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1},
               {"keepdim", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_kth,
    .run = run_kth,
    .grad = grad_chosen,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2}, {T(2, 3, 4), 2, 2}, {T(3, 4), 4, -1, true}, {T(5), 5, 1}",
    .doc = "kthvalue(x, k, dim = -1, keepdim = false) -> values, indices\n"
           "The k-th smallest element along dim, and where it stands: what sort gives at place k. NaN counts as the "
           "largest. Errors: k not from 1 to the size of dim.",
};

/* ---- mode ---- */

static peri_status infer_mode(peri_call *call) {
  PERI_TRY(infer_lines(call, 1));
  return infer_chosen(call, 2);
}

/* The longest run of equal elements in sorted order, the first of the longest; a NaN equals none. */
static int64_t longest_run(peri_dtype dtype, int64_t n, const char *sorted) {
  lines l = {.n = n, .x = sorted};
  int64_t best = 0, longest = 0;
  for (int64_t i = 0, run = 0; i < n; i++) {
    bool same = i > 0 && memcmp(sorted + (size_t)i * peri_dtype_size(dtype),
                                sorted + (size_t)(i - 1) * peri_dtype_size(dtype), peri_dtype_size(dtype)) == 0;
    if (peri_is_float(dtype)) same = i > 0 && element(&l, dtype, 0, i) == element(&l, dtype, 0, i - 1);
    run = same ? run + 1 : 1;
    if (run > longest) {
      longest = run;
      best = i - run + 1;
    }
  }
  return best;
}
static peri_status run_mode(peri_call *call) {
  lines l;
  int64_t *index = (int64_t *)(void *)call->outputs[1].tensor->data;
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  size_t size = peri_dtype_size(dtype), count;
  void *sorted, *places;
  PERI_TRY(open_lines(call, &l));
  count = (size_t)(l.count * l.n);
  peri_status status = peri_alloc_array(call->context, count, size, &sorted);
  if (status == PERI_OK) {
    status = peri_alloc_array(call->context, count, sizeof(int64_t), &places);
    if (status == PERI_OK) {
      status = peri_sort_rows(call->context, dtype, l.count, l.n, false, l.x, sorted, places);
      for (int64_t line = 0; status == PERI_OK && line < l.count; line++) {
        int64_t first = longest_run(dtype, l.n, (const char *)sorted + (size_t)(line * l.n) * size);
        index[line] = ((const int64_t *)places)[line * l.n + first];
      }
      if (status == PERI_OK) put_chosen(call, &l, index);
      peri_free(call->context, places, count * sizeof(int64_t));
    }
    peri_free(call->context, sorted, count * size);
  }
  peri_tensor_release(&l.own);
  return status;
}
const peri_op peri_op_mode = {
    .name = "mode",
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1},
               {"keepdim", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_mode,
    .run = run_mode,
    .grad = grad_chosen,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4)}, {T(2, 3, 4), 2}, {T(3, 4), -1, true}, {I(3, 20)}",
    .doc = "mode(x, dim = -1, keepdim = false) -> values, indices\n"
           "The element that stands most often along dim, the smallest of several, and the first position where it "
           "stands, which gets the gradient. No NaN equals another. Errors: no element to choose from.",
};

/* ---- quantiles ---- */

enum { LINEAR, LOWER, HIGHER, MIDPOINT, NEAREST };

/* Arguments: x, q, dim, keepdim, interpolation. The output has the dimension of q first, unless that is one number. */
static peri_status infer_q(peri_call *call, int64_t *count) {
  const peri_arg *q = &call->args[1];
  char text[PERI_SHAPE_TEXT];
  *count = 1;
  if (q->tensor != NULL) {
    const peri_layout *layout = &q->tensor->layout;
    if (layout->ndim > 1 || !peri_is_float(layout->dtype)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "q is %s of %s (expected a number, or a vector of floats)",
                            peri_shape_text(layout->ndim, layout->shape, text), peri_dtype_name(layout->dtype));
    }
    if (q->tensor->requires_grad && call->context->grad_mode) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "q requires grad, and has no gradient (use detach)");
    }
    *count = layout->numel;
  }
  return PERI_OK;
}

static double q_value(const peri_arg *q, int64_t i) {
  if (q->tensor == NULL) return q->number;
  const peri_layout *layout = &q->tensor->layout;
  int64_t step = layout->ndim == 0 ? 0 : layout->strides[0] * (int64_t)peri_dtype_size(layout->dtype);
  return peri_load_number(layout->dtype, q->tensor->data + i * step);
}

static peri_status infer_quantile(peri_call *call) {
  int64_t count;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(infer_q(call, &count));
  if (call->args[1].tensor != NULL) count = peri_infer_values(&call->args[1].tensor->layout);
  for (int64_t i = 0; i < count; i++) {
    double q = q_value(&call->args[1], i);
    if (!(q >= 0 && q <= 1)) return peri_call_fail(call, PERI_ERR_ARGUMENT, "q is %g (expected 0 to 1)", q);
  }
  PERI_TRY(infer_lines(call, 2));
  if (call->args[1].tensor == NULL || call->args[0].tensor->layout.ndim < PERI_MAX_DIMS) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions (expected fewer where q is a vector)",
                        PERI_MAX_DIMS);
}

/* The internal row: for each q and line the two elements that it lies between, in row-major order of (q, line), and the
 * weight of the second. */
static peri_status infer_places(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t count;
  PERI_TRY(infer_q(call, &count));
  PERI_TRY(infer_lines(call, 2));
  int64_t shape[2] = {count, x->numel / call->note[2]};
  PERI_TRY(peri_infer_output(call, 0, PERI_INT64, 2, shape));
  PERI_TRY(peri_infer_output(call, 1, PERI_INT64, 2, shape));
  call->workspace_bytes = (size_t)(2 * shape[0] * shape[1]) * sizeof(int64_t);
  return peri_infer_output(call, 2, x->dtype, 2, shape);
}

static void place(double at, int64_t interpolation, int64_t *lower, int64_t *upper, double *weight) {
  double below = floor(at), part = at - below;
  *lower = (int64_t)below;
  *upper = (int64_t)ceil(at);
  *weight = interpolation == MIDPOINT && part > 0 ? 0.5 : part;
  bool goes_up = interpolation == HIGHER || (interpolation == NEAREST && nearbyint(at) > below);
  if (interpolation != LINEAR && interpolation != MIDPOINT) {
    *lower = *upper = goes_up ? *upper : *lower;
    *weight = 0;
  }
}

static peri_status run_places(peri_call *call) {
  peri_tensor *lower = call->outputs[0].tensor, *upper = call->outputs[1].tensor, *weights = call->outputs[2].tensor;
  int64_t *low = (int64_t *)(void *)lower->data, *high = (int64_t *)(void *)upper->data, *ranks = call->workspace;
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  int64_t count = lower->layout.shape[0];
  bool skip = call->args[4].integer;
  lines l;
  PERI_TRY(open_lines(call, &l));
  for (int64_t line = 0; line < l.count; line++) {
    int64_t nans = count_nans(&l, dtype, line), known = l.n - nans;
    for (int64_t i = 0; i < count; i++) {
      int64_t *rank = ranks + 2 * (line * count + i);
      double weight = 0;
      rank[0] = rank[1] = known == l.n || skip ? 0 : known; /* the first NaN */
      if (nans == 0 || (skip && known > 0)) {
        place(q_value(&call->args[1], i) * (double)(known - 1), call->args[3].integer, &rank[0], &rank[1], &weight);
      }
      peri_store_number(dtype, weights->data + (size_t)(i * l.count + line) * peri_dtype_size(dtype), weight);
    }
  }
  peri_status status = peri_select_rows(call->context, dtype, l.count, l.n, 2 * count, ranks, l.x, ranks);
  peri_tensor_release(&l.own);
  for (int64_t line = 0; line < l.count; line++) {
    for (int64_t i = 0; i < count; i++) { /* positions among all lines, from 1 */
      low[i * l.count + line] = line * l.n + ranks[2 * (line * count + i)] + 1;
      high[i * l.count + line] = line * l.n + ranks[2 * (line * count + i) + 1] + 1;
    }
  }
  return status;
}
static const peri_op places_row = {
    .name = "quantile_places",
    .flags = PERI_OP_INTERNAL | PERI_OP_NO_GRADIENT,
    .outputs = 3,
    .params = {{"x", PERI_KIND_TENSOR},
               {"q", PERI_KIND_OPERAND},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"interpolation", PERI_KIND_INTEGER},
               {"skip", PERI_KIND_BOOL}},
    .infer = infer_places,
    .run = run_places,
    .doc = "quantile_places(x, q, dim, interpolation, skip) -> lower, upper, weights\n"
           "Between which elements, counted among all lines along dim, each quantile lies.",
};

/* Elements of the lines, at positions among all. */
static peri_value chosen(peri_backward *B, peri_value x, peri_value at) {
  if (B->formula->status != PERI_OK) return x;
  int64_t shape[2] = {at.tensor->layout.shape[0], at.tensor->layout.shape[1]}, numel = shape[0] * shape[1];
  at = peri_step_reshape(B, at, 1, &numel);
  return peri_step_reshape(B, peri_step_index_select(B, x, 0, at), 2, shape);
}

/* lower + weight (upper - lower), in the shape of the result. */
static peri_status compose_quantile(peri_backward *B) {
  const peri_layout *layout = &B->args[0].tensor->layout;
  peri_value x = peri_of(B->args[0].tensor), q = {B->args[1].tensor, B->args[1].number}, places[3];
  bool keepdim = B->args[3].integer, all = B->note[0] == ((int64_t)1 << layout->ndim) - 1;
  peri_call call;
  peri_step_open(B, &call, &places_row, 2, (peri_value[]){x, q});
  call.args[2].given = B->args[2].given;
  call.args[2].integer = B->note[1];
  call.args[3].integer = B->args[4].integer;
  call.args[4].integer = B->op->id;
  peri_step_run_outputs(B, &call, 3, places);
  int64_t order[PERI_MAX_DIMS], shape[PERI_MAX_DIMS + 1];
  int ndim = 0, moved = 0;
  for (int d = 0; d < layout->ndim; d++) {
    if (d != B->note[1]) order[moved++] = d;
  }
  order[moved] = B->note[1];
  if (!all) x = peri_step_permute(B, x, layout->ndim, order);
  x = peri_step_reshape(B, x, 1, &layout->numel);
  peri_value low = chosen(B, x, places[0]), y = low;
  if (B->args[4].integer == LINEAR || B->args[4].integer == MIDPOINT) {
    peri_value high = chosen(B, x, places[1]), equal = peri_step_eq(B, high, low); /* infinities too */
    y = peri_step_add(B, low, peri_step_mul(B, peri_step_sub(B, high, low), places[2]));
    y = peri_step_where(B, equal, low, y);
  }
  if (q.tensor != NULL && q.tensor->layout.ndim == 1) shape[ndim++] = q.tensor->layout.shape[0];
  for (int d = 0; d < layout->ndim; d++) {
    bool gone = B->note[0] >> d & 1;
    if (!gone || keepdim) shape[ndim++] = gone ? 1 : layout->shape[d];
  }
  peri_answer(B, 0, peri_step_reshape(B, y, ndim, shape));
  return PERI_OK;
}
#define QUANTILE_PARAMS                                                                                                \
  {"x", PERI_KIND_TENSOR}, {"q", PERI_KIND_OPERAND}, {"dim", PERI_KIND_DIM, .optional = true},                         \
      {"keepdim", PERI_KIND_BOOL, .optional = true}, {                                                                 \
    "interpolation", PERI_KIND_CHOICE, .optional = true, .named = true,                                                \
                                       .choices = "linear lower higher midpoint nearest"                               \
  }
#define QUANTILE_SAMPLE                                                                                                \
  "{T(3, 4), 0.4}, {T(2, 3, 4), peri.tensor({0, 0.3, 1}, {dtype = 'float64'}), 2}, {T(3, 4), 0.5, -1, true}, "         \
  "{T(5), 0.7, 1, {interpolation = 'lower'}}, {T(5), 0.3, {interpolation = 'midpoint'}}"
const peri_op peri_op_quantile = {
    .name = "quantile",
    .outputs = 1,
    .params = {QUANTILE_PARAMS},
    .infer = infer_quantile,
    .compose = compose_quantile,
    .low = -1,
    .high = 1,
    .sample = QUANTILE_SAMPLE,
    .doc = "quantile(x, q, dim, keepdim = false, {interpolation = 'linear'}) -> tensor\n"
           "The q-quantile along dim, or of all elements: what stands at place 1 + q (n - 1) of sorted order, between "
           "two elements by linear interpolation, or the lower, higher or nearest (of halves the even place from 0) of "
           "them, or their midpoint. q is a number from 0 to 1, or a vector of floats whose dimension the result has "
           "first. NaN where there is one. Floats only. Errors: no element to choose from.",
    .id = 0,
};
const peri_op peri_op_nanquantile = {
    .name = "nanquantile",
    .outputs = 1,
    .params = {QUANTILE_PARAMS},
    .infer = infer_quantile,
    .compose = compose_quantile,
    .low = -1,
    .high = 1,
    .sample = QUANTILE_SAMPLE,
    .doc = "nanquantile(x, q, dim, keepdim = false, {interpolation = 'linear'}) -> tensor\n"
           "The quantile of the elements that are not NaN, as quantile has it; NaN where there is none.",
    .id = 1,
};

const peri_op *const peri_ops_quantile[] = {&peri_op_median,   &peri_op_nanmedian,   &peri_op_kthvalue, &peri_op_mode,
                                            &peri_op_quantile, &peri_op_nanquantile, &places_row,       NULL};
