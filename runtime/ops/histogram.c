/* Counts of integers, and of floats in bins. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

#define BETWEEN_LOOKS 65536 /* elements */

/* ---- bincount ---- */

static peri_status infer_bincount(peri_call *call) {
  peri_tensor *x = call->args[0].tensor;
  const peri_tensor *weights = call->args[1].tensor;
  int64_t at, value, most = call->args[2].integer;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_index_need_int64(call, 0));
  PERI_TRY(peri_index_need_vector(call, 0));
  if (most < 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "minlength is %lld (expected at least 0)", (long long)most);
  }
  if (weights != NULL && (weights->layout.ndim != 1 || weights->layout.numel != x->layout.numel)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weights is %s (expected %lld, one for each element)",
                          peri_shape_text(weights->layout.ndim, weights->layout.shape, text),
                          (long long)x->layout.numel);
  }
  if (weights != NULL) PERI_TRY(peri_infer_float(call, 1));
  PERI_TRY(peri_index_outside(x, INT64_MAX, &at, &value));
  if (at >= 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x[%lld] is %lld (expected at least 1: counting starts there)",
                          (long long)at + 1, (long long)value);
  }
  for (int64_t i = 0; i < peri_infer_values(&x->layout); i++) {
    int64_t own;
    memcpy(&own, x->data + i * x->layout.strides[0] * (int64_t)sizeof own, sizeof own);
    most = peri_max(most, own);
  }
  PERI_TRY(peri_infer_output(call, 0, weights != NULL ? weights->layout.dtype : PERI_INT64, 1, &most));
  if (weights != NULL) call->workspace_bytes = (size_t)most * sizeof(double);
  return PERI_OK;
}

static peri_status run_bincount(peri_call *call) {
  const peri_tensor *x = call->args[0].tensor, *weights = call->args[1].tensor;
  peri_tensor *y = call->outputs[0].tensor;
  double *sums = call->workspace;
  int64_t *counts = (int64_t *)(void *)y->data;
  if (y->layout.numel == 0) return PERI_OK;
  memset(weights != NULL ? (void *)sums : (void *)counts, 0, (size_t)y->layout.numel * sizeof(int64_t));
  int64_t step = x->layout.strides[0] * (int64_t)sizeof(int64_t);
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(call->context));
    int64_t value;
    memcpy(&value, x->data + i * step, sizeof value);
    if (weights == NULL) {
      counts[value - 1]++;
      continue;
    }
    const char *weight =
        weights->data + i * weights->layout.strides[0] * (int64_t)peri_dtype_size(weights->layout.dtype);
    sums[value - 1] += peri_load_number(weights->layout.dtype, weight);
  }
  for (int64_t i = 0; weights != NULL && i < y->layout.numel; i++) {
    peri_store_number(y->layout.dtype, y->data + (size_t)i * peri_dtype_size(y->layout.dtype), sums[i]);
  }
  return PERI_OK;
}
static peri_status grad_bincount(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), x = peri_of(B->args[0].tensor);
  if (B->edges > 1 && B->needs[1]) peri_answer(B, 1, peri_step_index_select(B, g, 0, x));
  return PERI_OK;
}
const peri_op peri_op_bincount = {
    .name = "bincount",
    .flags = PERI_OP_COUNTS,
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {{"x", PERI_KIND_INDICES},
               {"weights", PERI_KIND_TENSOR, .optional = true},
               {"minlength", PERI_KIND_INTEGER, .optional = true}},
    .infer = infer_bincount,
    .run = run_bincount,
    .grad = grad_bincount,
    .low = -1,
    .high = 1,
    .sample = "{I(5, 20)}, {I(3, 8), T(8)}, {I(3, 8), nil, 6}, {I(4, 5), T(5), {minlength = 7}}",
    .doc =
        "bincount(x, weights, minlength = 0) -> vector\n"
        "How often each number from 1 to the largest stands in x, an int64 vector as of labels: entry i counts i, in "
        "int64. With weights, a vector of floats, the sums of their weights, in that dtype. At least minlength "
        "entries. Errors: a number below 1.",
};

/* ---- histc, histogram ---- */

/* The ends of x; those of nothing are 0. NaN where there is one. */
static peri_status find_range(peri_context *context, const peri_tensor *x, double *low, double *high) {
  *low = *high = x->layout.numel > 0 ? peri_load_number(x->layout.dtype, x->data) : 0;
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(context));
    double value = peri_load_number(x->layout.dtype, x->data + (size_t)i * peri_dtype_size(x->layout.dtype));
    if (value < *low || value != value) *low = value;
    if (value > *high || value != value) *high = value;
    if (value != value) return PERI_OK;
  }
  return PERI_OK;
}

/* low < high, both finite; equal ones by one wider on both sides. */
static peri_status settle_range(peri_call *call, double *low, double *high) {
  if (!isfinite(*low) || !isfinite(*high)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the range of x is %g to %g (expected finite numbers; give it)",
                          *low, *high);
  }
  if (*low == *high) {
    *low -= 1;
    *high += 1;
  }
  return PERI_OK;
}

static peri_status check_bins(peri_call *call, int64_t bins) {
  if (bins >= 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "bins is %lld (expected at least 1)", (long long)bins);
}

/* Edges of equal bins as x's dtype holds them, in double. */
static void set_edges(peri_dtype dtype, int64_t bins, double low, double high, double *edges) {
  for (int64_t i = 0; i <= bins; i++) {
    double share = (double)i / (double)bins;
    edges[i] = i == bins ? high : low * (1 - share) + high * share;
    if (dtype == PERI_FLOAT32) edges[i] = (double)(float)edges[i];
  }
}

/* The bin of a value, from 0, of which each has its lower edge and the last its upper one too; -1 where none has it. */
static int64_t find_bin(int64_t bins, const double *edges, bool even, double value) {
  if (!(value >= edges[0] && value <= edges[bins])) return -1;
  int64_t bin, length = bins;
  if (even) {
    bin = (int64_t)((value - edges[0]) / (edges[bins] - edges[0]) * (double)bins);
    bin = peri_min(bin, bins - 1);
    while (value < edges[bin]) bin--;
    while (bin < bins - 1 && value >= edges[bin + 1]) bin++;
    return bin;
  }
  for (bin = 0; length > 1;) { /* edges[bin] <= value */
    int64_t half = length / 2;
    bool upper = value >= edges[bin + half];
    bin += upper ? half : 0;
    length = upper ? length - half : half;
  }
  return bin;
}

/* sums[bin] += weight of each element; weights may be NULL. */
static peri_status fill_bins(peri_context *context, const peri_tensor *x, const peri_tensor *weights, int64_t bins,
                             const double *edges, bool even, double *sums) {
  size_t size = peri_dtype_size(x->layout.dtype);
  for (int64_t i = 0; i < bins; i++) sums[i] = 0;
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(context));
    int64_t bin = find_bin(bins, edges, even, peri_load_number(x->layout.dtype, x->data + (size_t)i * size));
    if (bin < 0) continue;
    sums[bin] += weights == NULL ? 1 : peri_load_number(x->layout.dtype, weights->data + (size_t)i * size);
  }
  return PERI_OK;
}

static void put_numbers(const double *numbers, peri_tensor *y) {
  size_t size = peri_dtype_size(y->layout.dtype);
  for (int64_t i = 0; i < y->layout.numel; i++) {
    peri_store_number(y->layout.dtype, y->data + (size_t)i * size, numbers[i]);
  }
}

static peri_status infer_histc(peri_call *call) {
  double low = call->args[2].number, high = call->args[3].number;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(check_bins(call, call->args[1].integer));
  if (!isfinite(low) || !isfinite(high) || low > high) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "min is %g and max is %g (expected finite numbers, min first)", low,
                          high);
  }
  PERI_TRY(peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, 1, &call->args[1].integer));
  if ((uint64_t)call->args[1].integer > SIZE_MAX / 32) return peri_fail_memory(call->context, "too many bins");
  call->workspace_bytes = (size_t)(2 * call->args[1].integer + 1) * sizeof(double);
  return PERI_OK;
}
static peri_status run_histc(peri_call *call) {
  int64_t bins = call->args[1].integer;
  double low = call->args[2].number, high = call->args[3].number, *edges = call->workspace;
  peri_tensor *x;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  peri_status status = low == high ? find_range(call->context, x, &low, &high) : PERI_OK;
  if (status == PERI_OK) status = settle_range(call, &low, &high);
  if (status == PERI_OK) {
    set_edges(PERI_FLOAT64, bins, low, high, edges);
    status = fill_bins(call->context, x, NULL, bins, edges, true, edges + bins + 1);
    put_numbers(edges + bins + 1, call->outputs[0].tensor);
  }
  peri_tensor_release(&x);
  return status;
}
const peri_op peri_op_histc = {
    .name = "histc",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"bins", PERI_KIND_INTEGER, .optional = true, .otherwise = 100},
               {"min", PERI_KIND_NUMBER, .optional = true},
               {"max", PERI_KIND_NUMBER, .optional = true}},
    .infer = infer_histc,
    .run = run_histc,
    .low = -1,
    .high = 1,
    .sample = "{T(20), 5}, {T(4, 5), 4, -0.5, 0.5}, {T(9)}, {T(6), {bins = 3, max = 2}}",
    .doc =
        "histc(x, bins = 100, min = 0, max = 0) -> vector\n"
        "How many elements lie in each of equal bins from min to max, in x's dtype; where min and max are equal, from "
        "the smallest element to the largest. Elements beyond are not counted. Floats only, without a gradient. "
        "Errors: NaN or infinities where x says the range.",
};

enum { BINS = 1, RANGE, WEIGHT, DENSITY };

static peri_status check_edges(peri_call *call, const peri_tensor *edges) {
  const peri_layout *layout = &edges->layout;
  char text[PERI_SHAPE_TEXT];
  if (call->args[RANGE].given) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "both edges and a range are given (expected one)");
  }
  if (layout->ndim != 1 || layout->numel < 2 || layout->dtype != call->args[0].tensor->layout.dtype) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "bins is %s of %s (expected a number, or a vector of edges in x's "
                          "dtype)",
                          peri_shape_text(layout->ndim, layout->shape, text), peri_dtype_name(layout->dtype));
  }
  int64_t step = layout->strides[0] * (int64_t)peri_dtype_size(layout->dtype);
  for (int64_t i = 1; i < layout->numel; i++) {
    double before = peri_load_number(layout->dtype, edges->data + (i - 1) * step);
    double after = peri_load_number(layout->dtype, edges->data + i * step);
    if (before <= after) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "bins[%lld] is %g but bins[%lld] is %g (expected an ascending order)", (long long)i, before,
                          (long long)i + 1, after);
  }
  return PERI_OK;
}

static peri_status check_range(peri_call *call) {
  const peri_arg *range = &call->args[RANGE];
  if (!range->given) return PERI_OK;
  double low = peri_arg_number(range, 0), high = peri_arg_number(range, 1);
  if (isfinite(low) && isfinite(high) && low <= high) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "range is %g to %g (expected finite numbers, the lower first)", low,
                        high);
}

static peri_status infer_histogram(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *bins = &call->args[BINS];
  const peri_tensor *weight = call->args[WEIGHT].tensor;
  char own[PERI_SHAPE_TEXT], text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (bins->tensor != NULL) PERI_TRY(check_edges(call, bins->tensor));
  if (bins->tensor == NULL && !bins->is_integer) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "bins is %g (expected a whole number)", bins->number);
  }
  int64_t count = bins->tensor != NULL ? bins->tensor->layout.numel - 1 : bins->integer, edges = count + 1;
  PERI_TRY(check_bins(call, count));
  PERI_TRY(check_range(call));
  if (weight != NULL) {
    PERI_TRY(peri_infer_same_dtype(call, 0, WEIGHT));
    if (!peri_same_shape(&weight->layout, x)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s but x is %s",
                            peri_shape_text(weight->layout.ndim, weight->layout.shape, text),
                            peri_shape_text(x->ndim, x->shape, own));
    }
  }
  PERI_TRY(peri_infer_output(call, 0, x->dtype, 1, &count));
  PERI_TRY(peri_infer_output(call, 1, x->dtype, 1, &edges));
  if ((uint64_t)count > SIZE_MAX / 32) return peri_fail_memory(call->context, "too many bins");
  call->workspace_bytes = (size_t)(2 * count + 1) * sizeof(double);
  return PERI_OK;
}

static peri_status find_edges(peri_call *call, const peri_tensor *x, int64_t bins, double *edges) {
  const peri_tensor *given = call->args[BINS].tensor;
  double low = 0, high = 0;
  if (given != NULL) {
    int64_t step = given->layout.strides[0] * (int64_t)peri_dtype_size(given->layout.dtype);
    for (int64_t i = 0; i <= bins; i++) edges[i] = peri_load_number(given->layout.dtype, given->data + i * step);
    return PERI_OK;
  }
  if (call->args[RANGE].given) {
    low = peri_arg_number(&call->args[RANGE], 0);
    high = peri_arg_number(&call->args[RANGE], 1);
  } else {
    PERI_TRY(find_range(call->context, x, &low, &high));
  }
  PERI_TRY(settle_range(call, &low, &high));
  set_edges(x->layout.dtype, bins, low, high, edges);
  return PERI_OK;
}

static void make_density(int64_t bins, const double *edges, double *sums) {
  double total = 0;
  for (int64_t i = 0; i < bins; i++) total += sums[i];
  for (int64_t i = 0; i < bins; i++) sums[i] = sums[i] / total / (edges[i + 1] - edges[i]);
}

static peri_status run_histogram(peri_call *call) {
  int64_t bins = call->outputs[0].layout.numel;
  double *edges = call->workspace, *sums = edges + bins + 1;
  peri_tensor *x, *weight = NULL;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  peri_status status = find_edges(call, x, bins, edges);
  if (status == PERI_OK && call->args[WEIGHT].tensor != NULL) {
    status = peri_tensor_contiguous(call->args[WEIGHT].tensor, &weight);
  }
  if (status == PERI_OK) {
    status = fill_bins(call->context, x, weight, bins, edges, call->args[BINS].tensor == NULL, sums);
    if (call->args[DENSITY].integer) make_density(bins, edges, sums);
    put_numbers(sums, call->outputs[0].tensor);
    put_numbers(edges, call->outputs[1].tensor);
  }
  peri_tensor_release(&weight);
  peri_tensor_release(&x);
  return status;
}
const peri_op peri_op_histogram = {
    .name = "histogram",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"bins", PERI_KIND_OPERAND, .reads = true},
               {"range", PERI_KIND_NUMBERS, .optional = true, .named = true, .count = 2},
               {"weight", PERI_KIND_TENSOR, .optional = true, .named = true},
               {"density", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_histogram,
    .run = run_histogram,
    .low = -1,
    .high = 1,
    .sample = "{T(20), 5}, {T(4, 5), 4, {range = {-0.5, 0.5}, density = true}}, {T(9), 3, {weight = T(9)}}",
    .doc =
        "histogram(x, bins, {range, weight, density = false}) -> hist, edges\n"
        "How many elements lie in each bin, in x's dtype, and the edges of the bins. bins is a number of equal bins, "
        "from range = {low, high} or from the smallest element to the largest; or a vector of ascending edges in x's "
        "dtype. A bin has its lower edge, the last its upper one too; elements beyond are not counted. With weight, "
        "a tensor of x's shape, the sums of weights; with density, divided by their total and each bin's width. "
        "Floats only, without a gradient. Errors: NaN or infinities where x says the range.",
};

const peri_op *const peri_ops_histogram[] = {&peri_op_bincount, &peri_op_histc, &peri_op_histogram, NULL};
