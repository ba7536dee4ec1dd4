/* Differences of neighbours, and integrals by the trapezoidal rule. note: the dimension, its size. */
#include "ops/along.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* ---- diff ---- */

enum { ORDER = 1, DIM, PREPEND, APPEND };

static peri_status check_joined(peri_call *call, int arg, int dim) {
  const peri_layout *x = &call->args[0].tensor->layout;
  if (call->args[arg].tensor == NULL) return PERI_OK;
  const peri_layout *other = &call->args[arg].tensor->layout;
  char own_text[PERI_SHAPE_TEXT], text[PERI_SHAPE_TEXT];
  bool fits = other->ndim == x->ndim;
  for (int d = 0; fits && d < x->ndim; d++) fits = d == dim || other->shape[d] == x->shape[d];
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but x is %s (expected the same but for dimension %d)",
                          call->op->params[arg].name, peri_shape_text(other->ndim, other->shape, text),
                          peri_shape_text(x->ndim, x->shape, own_text), dim + 1);
  }
  if (other->dtype == x->dtype) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but x is %s", call->op->params[arg].name,
                        peri_dtype_name(other->dtype), peri_dtype_name(x->dtype));
}

static peri_status infer_diff(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  if (x->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is 0-d (expected at least one dimension)");
  PERI_TRY(peri_infer_dim(call, DIM, x->ndim, &dim));
  if (x->dtype == PERI_UINT8) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is uint8, which has no differences (x:to \"int64\" converts)");
  }
  if (call->args[ORDER].integer < 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "n is %lld (expected at least 0)",
                          (long long)call->args[ORDER].integer);
  }
  PERI_TRY(check_joined(call, PREPEND, dim));
  PERI_TRY(check_joined(call, APPEND, dim));
  call->note[0] = dim;
  return PERI_OK;
}

static peri_status compose_diff(peri_backward *B) {
  int64_t dim = B->note[0];
  peri_value x = peri_of(B->args[0].tensor);
  if (B->args[PREPEND].tensor != NULL) x = peri_step_cat(B, peri_of(B->args[PREPEND].tensor), x, dim);
  if (B->args[APPEND].tensor != NULL) x = peri_step_cat(B, x, peri_of(B->args[APPEND].tensor), dim);
  if (B->args[ORDER].integer == 0) x = peri_apply(B, &peri_op_clone, 1, &x);
  for (int64_t order = 0; order < B->args[ORDER].integer && B->formula->status == PERI_OK; order++) {
    int64_t n = x.tensor->layout.shape[dim], count = peri_max(n - 1, 0);
    peri_value from = peri_step_narrow(B, x, dim, 0, count), to = peri_step_narrow(B, x, dim, n - count, count);
    x = B->args[0].tensor->layout.dtype == PERI_BOOL ? peri_step_ne(B, to, from) : peri_step_sub(B, to, from);
    if (count == 0) break;
  }
  peri_answer(B, 0, x);
  return PERI_OK;
}
const peri_op peri_op_diff = {
    .name = "diff",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"n", PERI_KIND_INTEGER, .optional = true, .otherwise = 1},
               {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1},
               {"prepend", PERI_KIND_TENSOR, .optional = true, .named = true},
               {"append", PERI_KIND_TENSOR, .optional = true, .named = true}},
    .infer = infer_diff,
    .compose = compose_diff,
    .low = -1,
    .high = 1,
    .sample = "{T(5)}, {T(3, 4)}, {T(3, 4), 2, 1}, {T(3, 4), {prepend = T(3, 1), append = T(3, 2)}}",
    .doc = "diff(x, n = 1, dim = -1, {prepend, append}) -> tensor\n"
           "Each element along dim less the one before it, and that n times over: one element fewer each time. prepend "
           "and append are joined to x first. Of bools, whether neighbours differ. Not for uint8.",
};

/* ---- integrals ---- */

enum { ABSCISSAE = 1, STEP, ALONG };

static peri_status infer_trapezoid(peri_call *call) {
  const peri_layout *y = &call->args[0].tensor->layout;
  int dim;
  PERI_TRY(peri_infer_float(call, 0));
  if (y->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "y is 0-d (expected at least one dimension)");
  PERI_TRY(peri_infer_dim(call, ALONG, y->ndim, &dim));
  call->note[0] = dim;
  call->note[1] = y->shape[dim];
  if (call->args[ABSCISSAE].tensor == NULL) return PERI_OK;
  const peri_layout *x = &call->args[ABSCISSAE].tensor->layout;
  char own[PERI_SHAPE_TEXT], other[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_same_dtype(call, 0, ABSCISSAE));
  if (call->args[STEP].given) return peri_call_fail(call, PERI_ERR_ARGUMENT, "both x and dx are given (expected one)");
  if (peri_same_shape(x, y) || (x->ndim == 1 && x->shape[0] == y->shape[dim])) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but y is %s (expected %lld, or y's shape)",
                        peri_shape_text(x->ndim, x->shape, other), peri_shape_text(y->ndim, y->shape, own),
                        (long long)y->shape[dim]);
}

/* What lies between neighbours, twice: (y_i + y_{i+1}) times (x_{i+1} - x_i), or the step. */
static peri_value twice_between(peri_backward *B) {
  const peri_layout *layout = &B->args[0].tensor->layout;
  int64_t dim = B->note[0], n = B->note[1], count = peri_max(n - 1, 0), shape[PERI_MAX_DIMS];
  peri_value y = peri_of(B->args[0].tensor), x = peri_of(B->args[ABSCISSAE].tensor);
  y = peri_step_add(B, peri_step_narrow(B, y, dim, n - count, count), peri_step_narrow(B, y, dim, 0, count));
  if (x.tensor == NULL) return peri_step_mul(B, y, peri_constant(B->args[STEP].number));
  if (x.tensor->layout.ndim < layout->ndim) {
    for (int d = 0; d < layout->ndim; d++) shape[d] = d == dim ? n : 1;
    x = peri_step_reshape(B, x, layout->ndim, shape);
  }
  x = peri_step_sub(B, peri_step_narrow(B, x, dim, n - count, count), peri_step_narrow(B, x, dim, 0, count));
  return peri_step_mul(B, y, x);
}

static peri_status compose_trapezoid(peri_backward *B) {
  peri_value sum = peri_step_sum(B, twice_between(B), 1, B->note, false);
  peri_answer(B, 0, peri_step_mul(B, sum, peri_constant(0.5)));
  return PERI_OK;
}
static peri_status compose_cumulative(peri_backward *B) {
  peri_value between = twice_between(B);
  peri_call call;
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(B, &call, &peri_op_cumsum, 1, &between);
  call.args[1].integer = B->note[0];
  peri_answer(B, 0, peri_step_mul(B, peri_step_run(B, &call), peri_constant(0.5)));
  return PERI_OK;
}
#define TRAPEZOID_PARAMS                                                                                               \
  {"y", PERI_KIND_TENSOR}, {"x", PERI_KIND_TENSOR, .optional = true},                                                  \
      {"dx", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1}, {                                     \
    "dim", PERI_KIND_DIM, .optional = true, .named = true, .otherwise = -1                                             \
  }
#define TRAPEZOID_SAMPLE                                                                                               \
  "{T(5)}, {T(3, 4), {dim = 1}}, {T(3, 4), {dx = 0.5}}, {T(4, 2), T(4), {dim = 1}}, {T(2, 3), T(2, 3)}"
const peri_op peri_op_trapezoid = {
    .name = "trapezoid",
    .outputs = 1,
    .params = {TRAPEZOID_PARAMS},
    .infer = infer_trapezoid,
    .compose = compose_trapezoid,
    .low = -1,
    .high = 1,
    .sample = TRAPEZOID_SAMPLE,
    .doc =
        "trapezoid(y, x, {dx = 1, dim = -1}) -> tensor\n"
        "The integral of y along dim by the trapezoidal rule, where neighbours are dx apart, or stand at x: a vector "
        "of as many, or a tensor of y's shape. Floats only.",
};
const peri_op peri_op_cumulative_trapezoid = {
    .name = "cumulative_trapezoid",
    .outputs = 1,
    .params = {TRAPEZOID_PARAMS},
    .infer = infer_trapezoid,
    .compose = compose_cumulative,
    .low = -1,
    .high = 1,
    .sample = TRAPEZOID_SAMPLE,
    .doc =
        "cumulative_trapezoid(y, x, {dx = 1, dim = -1}) -> tensor\n"
        "The integral of y along dim from its first element up to each further one, as trapezoid has it: one element "
        "fewer than y. Floats only.",
};

const peri_op *const peri_ops_differences[] = {&peri_op_diff, &peri_op_trapezoid, &peri_op_cumulative_trapezoid, NULL};
