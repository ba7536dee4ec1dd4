/* Rows whose elements are the reduction of all up to their place: cumulative sums, products, extremes, log-sum-exps.
 * note: the dimension, its set for peri_fold. */
#include "ops/along.h"
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

#define SCAN_PARAMS                                                                                                    \
  {"x", PERI_KIND_TENSOR}, { "dim", PERI_KIND_DIM }
#define SCAN_SAMPLE "{T(3, 4), 1}, {T(2, 3, 4), 2}, {T(5), 1}, {T(2, 3), -1}"

static peri_status infer_scan(peri_call *call, bool widens) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  PERI_TRY(peri_along_dim(call, 1, &dim));
  call->note[0] = dim;
  call->note[1] = x->ndim > 0 ? (int64_t)1 << dim : 0;
  call->dtype = widens && !peri_is_float(x->dtype) ? PERI_INT64 : x->dtype;
  peri_dtype dtype = call->in_place && x->dtype == PERI_UINT8 ? PERI_UINT8 : call->dtype;
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}

static peri_status scan_into(peri_call *call, peri_scan which, bool reverse, peri_tensor *y, int64_t *index) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[1], call->dtype, &f));
  peri_status status =
      peri_scan_along(call->context, which, reverse, call->dtype, f.outer, f.n, f.inner, f.x->data, y->data, index);
  peri_tensor_release(&f.x);
  return status;
}

/* The target of a form in place may lie anywhere, and be uint8: the result is computed beside it, and then copied. */
static peri_status scan(peri_call *call, peri_scan which, bool reverse, int64_t *index) {
  peri_tensor *target = call->outputs[0].tensor, *y;
  if (!call->in_place) return scan_into(call, which, reverse, target, index);
  peri_layout layout;
  peri_layout_set(&layout, call->dtype, target->layout.ndim, target->layout.shape);
  PERI_TRY(peri_tensor_empty(call->context, &layout, &y));
  peri_status status = scan_into(call, which, reverse, y, index);
  if (status == PERI_OK) status = peri_tensor_copy_into(target, y);
  peri_tensor_release(&y);
  return status;
}

/* x moved by one place along dim, towards its end or its beginning, with value in the place that becomes free. */
static peri_value shifted(peri_backward *B, peri_value x, int64_t dim, bool to_end, double value) {
  if (B->formula->status != PERI_OK || x.tensor->layout.ndim == 0) return x;
  peri_layout layout;
  peri_tensor *constant = NULL;
  int64_t shape[PERI_MAX_DIMS], n = x.tensor->layout.shape[dim];
  memcpy(shape, x.tensor->layout.shape, sizeof shape);
  shape[dim] = peri_min(n, 1);
  peri_layout_set(&layout, x.tensor->layout.dtype, x.tensor->layout.ndim, shape);
  peri_status status = peri_tensor_full(B->context, &layout, value, &constant);
  peri_value filling = peri_formula_fixed(B, status, constant);
  if (B->formula->status != PERI_OK) return x;
  if (n <= 1) return filling;
  x = peri_step_narrow(B, x, dim, to_end ? 0 : 1, n - 1);
  return to_end ? peri_step_cat(B, filling, x, dim) : peri_step_cat(B, x, filling, dim);
}

/* ---- sums ---- */

static peri_status infer_wide(peri_call *call) { return infer_scan(call, true); }
static peri_status run_cumsum(peri_call *call) { return scan(call, PERI_SCAN_SUM, false, NULL); }
static peri_status run_cumsum_reversed(peri_call *call) { return scan(call, PERI_SCAN_SUM, true, NULL); }

static peri_value scan_step(peri_backward *B, const peri_op *op, peri_value x) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, op, 1, &x);
  call.args[1].integer = B->note[0];
  return peri_step_run(B, &call);
}

static const peri_op cumsum_reversed;

static peri_status grad_cumsum(peri_backward *B) {
  const peri_op *other = B->op == &peri_op_cumsum ? &cumsum_reversed : &peri_op_cumsum;
  peri_answer(B, 0, scan_step(B, other, peri_of(B->grad_outputs[0])));
  return PERI_OK;
}
const peri_op peri_op_cumsum = {
    .name = "cumsum",
    .flags = PERI_OP_IN_PLACE,
    .outputs = 1,
    .params = {SCAN_PARAMS},
    .infer = infer_wide,
    .run = run_cumsum,
    .grad = grad_cumsum,
    .low = -1,
    .high = 1,
    .sample = SCAN_SAMPLE,
    .doc = "cumsum(x, dim) -> tensor\n"
           "Along dim the sums of all elements up to each; integers and bools sum to int64, which wraps around. The "
           "rounding error does not grow with the count.",
};
static const peri_op cumsum_reversed = {
    .name = "cumsum_reversed",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {SCAN_PARAMS},
    .infer = infer_wide,
    .run = run_cumsum_reversed,
    .grad = grad_cumsum,
    .doc = "cumsum_reversed(x, dim) -> tensor\nThe sums of all elements from each on: the gradient of cumsum.",
};

/* ---- recurrences: what gradients of products and log-sum-exps are ---- */

static peri_status infer_recurrence(peri_call *call) {
  const peri_layout *g = &call->args[0].tensor->layout;
  call->dtype = g->dtype;
  call->note[0] = call->args[2].integer;
  call->note[1] = g->ndim > 0 ? (int64_t)1 << call->note[0] : 0;
  return peri_infer_output(call, 0, g->dtype, g->ndim, g->shape);
}

static peri_status run_recurrence(peri_call *call) {
  peri_folded g, a;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[1], call->dtype, &g));
  peri_status status = peri_fold(call->args[1].tensor, call->note[1], call->dtype, &a);
  if (status == PERI_OK) {
    status = peri_recurrence(call->context, call->args[3].integer, call->dtype, g.outer, g.n, g.inner, g.x->data,
                             a.x->data, call->outputs[0].tensor->data);
    peri_tensor_release(&a.x);
  }
  peri_tensor_release(&g.x);
  return status;
}

static const peri_op recurrence_row;

static peri_value recur(peri_backward *B, peri_value g, peri_value a, bool reverse) {
  peri_call call;
  if (B->formula->status != PERI_OK) return g;
  peri_step_open(B, &call, &recurrence_row, 2, (peri_value[]){g, a});
  call.args[2].integer = B->note[0];
  call.args[3].integer = reverse;
  return peri_step_run(B, &call);
}

/* h = gy + (the a after it) * (the h after it): the other way; and a's is h times the y before it. */
static peri_status grad_recurrence(peri_backward *B) {
  bool reverse = B->args[3].integer;
  peri_value a = peri_of(B->args[1].tensor), y = peri_of(B->outputs[0]);
  peri_value h = recur(B, peri_of(B->grad_outputs[0]), shifted(B, a, B->note[0], reverse, 0), !reverse);
  peri_answer(B, 0, h);
  if (!B->needs[1]) return PERI_OK;
  y = y.tensor->layout.ndim == 0 ? peri_constant(0) : shifted(B, y, B->note[0], !reverse, 0);
  peri_answer(B, 1, peri_step_mul(B, h, y));
  return PERI_OK;
}
static const peri_op recurrence_row = {
    .name = "recurrence",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR}, {"a", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, {"reverse", PERI_KIND_BOOL}},
    .infer = infer_recurrence,
    .run = run_recurrence,
    .grad = grad_recurrence,
    .doc = "recurrence(g, a, dim, reverse) -> tensor\n"
           "y = g + a * (the y before it along dim, or with reverse after it), of two float tensors of one shape.",
};

/* ---- products ---- */

static peri_status run_cumprod(peri_call *call) { return scan(call, PERI_SCAN_PROD, false, NULL); }

/* Of x_k the product before it times g_k + x_{k+1} (g_{k+1} + x_{k+2} (...)), which no zero spoils. */
static peri_status grad_cumprod(peri_backward *B) {
  int64_t dim = B->note[0];
  peri_value x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  peri_value before = shifted(B, peri_of(B->outputs[0]), dim, true, 1);
  if (B->layouts[0]->ndim == 0) {
    peri_answer(B, 0, g);
    return PERI_OK;
  }
  peri_answer(B, 0, peri_step_mul(B, before, recur(B, g, shifted(B, x, dim, false, 0), true)));
  return PERI_OK;
}
const peri_op peri_op_cumprod = {
    .name = "cumprod",
    .flags = PERI_OP_IN_PLACE,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SCAN_PARAMS},
    .infer = infer_wide,
    .run = run_cumprod,
    .grad = grad_cumprod,
    .low = -1,
    .high = 1,
    .sample = SCAN_SAMPLE,
    .doc = "cumprod(x, dim) -> tensor\n"
           "Along dim the products of all elements up to each, of float32 made in double; integers and bools give "
           "int64, which wraps around. The gradient is right beside zeros too.",
};

/* ---- extremes ---- */

static peri_status infer_extremes(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(infer_scan(call, false));
  return peri_infer_output(call, 1, PERI_INT64, x->ndim, x->shape);
}
static peri_status run_extremes(peri_call *call, peri_scan which) {
  int64_t *index = (int64_t *)(void *)call->outputs[1].tensor->data;
  PERI_TRY(scan(call, which, false, index));
  for (int64_t i = 0; i < call->outputs[1].tensor->layout.numel; i++) index[i]++; /* scripts count from 1 */
  return PERI_OK;
}
static peri_status run_cummax(peri_call *call) { return run_extremes(call, PERI_SCAN_MAX); }
static peri_status run_cummin(peri_call *call) { return run_extremes(call, PERI_SCAN_MIN); }

static peri_status grad_extremes(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  if (g.tensor == NULL) return PERI_OK;
  if (x->ndim > 0) g = peri_step_scatter(B, g, x->ndim, x->shape, peri_of(B->outputs[1]), B->note[0]);
  peri_answer(B, 0, g);
  return PERI_OK;
}
const peri_op peri_op_cummax = {
    .name = "cummax",
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {SCAN_PARAMS},
    .infer = infer_extremes,
    .run = run_cummax,
    .grad = grad_extremes,
    .low = -1,
    .high = 1,
    .sample = SCAN_SAMPLE,
    .doc = "cummax(x, dim) -> values, indices\n"
           "Along dim the largest of all elements up to each, and the last position where it stands, which gets the "
           "gradient. NaN counts as the largest.",
};
const peri_op peri_op_cummin = {
    .name = "cummin",
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {SCAN_PARAMS},
    .infer = infer_extremes,
    .run = run_cummin,
    .grad = grad_extremes,
    .low = -1,
    .high = 1,
    .sample = SCAN_SAMPLE,
    .doc = "cummin(x, dim) -> values, indices\n"
           "Along dim the smallest of all elements up to each, and the last position where it stands, which gets the "
           "gradient. NaN is chosen where there is one, as for cummax.",
};

/* ---- logcumsumexp ---- */

static peri_status infer_log_sum(peri_call *call) {
  PERI_TRY(peri_infer_float(call, 0));
  return infer_scan(call, false);
}
static peri_status run_log_sum(peri_call *call) { return scan(call, PERI_SCAN_LOGSUMEXP, false, NULL); }

/* Of x_j the sum over i >= j of g_i e^(x_j - y_i): e^(x_j - y_j) times t_j = g_j + e^(y_j - y_{j+1}) t_{j+1}, where no
 * power is above 0. Where y is -infinity, so is x, and has no slope. */
static peri_status grad_log_sum(peri_backward *B) {
  int64_t dim = B->note[0];
  peri_value x = peri_of(B->args[0].tensor), y = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  peri_value nothing = peri_step_eq(B, y, peri_constant(-INFINITY)), finite;
  finite = peri_step_where(B, nothing, peri_constant(0), y);
  if (B->layouts[0]->ndim > 0) {
    peri_value step = peri_step_exp(B, peri_step_sub(B, finite, shifted(B, y, dim, false, 0)));
    g = recur(B, g, peri_step_where(B, nothing, peri_constant(0), step), true);
  }
  peri_answer(B, 0, peri_step_mul(B, peri_step_exp(B, peri_step_sub(B, x, finite)), g));
  return PERI_OK;
}
const peri_op peri_op_logcumsumexp = {
    .name = "logcumsumexp",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SCAN_PARAMS},
    .infer = infer_log_sum,
    .run = run_log_sum,
    .grad = grad_log_sum,
    .low = -1,
    .high = 1,
    .sample = SCAN_SAMPLE,
    .doc = "logcumsumexp(x, dim) -> tensor\n"
           "Along dim log(sum exp) of all elements up to each, without overflow, made in double. Floats only.",
};

const peri_op *const peri_ops_scan[] = {&peri_op_cumsum,  &peri_op_cumprod,      &peri_op_cummax, &peri_op_cummin,
                                        &cumsum_reversed, &peri_op_logcumsumexp, &recurrence_row, NULL};
