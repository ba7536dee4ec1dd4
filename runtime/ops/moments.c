/* Mean, variance and standard deviation over some or all dimensions. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

#define SPREAD_PARAMS                                                                                                  \
  PERI_REDUCE_PARAMS, { "correction", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1 }
#define SPREAD_SAMPLE "{T(3, 4)}, {T(2, 3, 4), 2}, {T(2, 3, 4), {1, 3}, {correction = 0}}, {T(5, 2), 1, true}"

typedef enum moment { MEAN, VAR, STD } moment;

/* ---- computing ---- */

static peri_status reduce(peri_call *call, moment which, const peri_folded *f, const void *x, void *y) {
  double degrees = which == MEAN ? 1 : peri_larger((double)f->n - call->args[3].number, 0);
  return peri_reduce_moments(call->context, call->dtype, f->outer, f->n, f->inner, x, degrees, which == STD,
                             which == MEAN ? y : NULL, which == MEAN ? NULL : y);
}

static void multiply_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (*(const peri_loop2 *)arg)(n, p[0], s[0], p[1], s[1], p[2], s[2]);
}

/* y, of the folded x times a power of two, in new tensors; divided by that power, or its square for a variance. */
static peri_status reduce_scaled(peri_call *call, moment which, const peri_folded *f, double power, peri_tensor **y) {
  peri_tensor *scaled;
  PERI_TRY(peri_tensor_empty(call->context, &call->outputs[0].layout, y));
  peri_status status = peri_tensor_empty(call->context, &f->x->layout, &scaled);
  if (status == PERI_OK) {
    peri_loop2 multiply = call->context->kernels->elementwise->binary[PERI_BINARY_mul][PERI_FLOAT64];
    peri_iterator it;
    peri_iterator_open(&it, f->x->layout.ndim, f->x->layout.shape, 3,
                       (const peri_view *[]){&scaled->view, &f->x->view, NULL});
    peri_iterator_scalar(&it, 2, &power);
    status = peri_iterate(call->context, &it, multiply_row, &multiply);
    if (status == PERI_OK) status = reduce(call, which, f, scaled->data, (*y)->data);
    peri_tensor_release(&scaled);
  }
  double *values = (double *)(void *)(*y)->data;
  for (int64_t i = 0; status == PERI_OK && i < (*y)->layout.numel; i++) {
    values[i] /= power;
    if (which == VAR) values[i] /= power;
  }
  if (status != PERI_OK) peri_tensor_release(y);
  return status;
}

/* At the ends of float64's range sums overflow, and squares overflow or vanish: what may have suffered by it is taken
 * from the same reduction of x times 2^-600 or 2^600, where no number that matters leaves the range. */
static bool too_large(double y) { return !isfinite(y); }
static bool too_small(double y) { return y < 1e-140; }

static peri_status correct_by(peri_call *call, moment which, const peri_folded *f, bool (*suffered)(double y),
                              double power) {
  double *y = (double *)(void *)call->outputs[0].tensor->data;
  int64_t i = 0, numel = call->outputs[0].layout.numel;
  while (i < numel && !suffered(y[i])) i++;
  if (i == numel) return PERI_OK;
  peri_tensor *corrected;
  PERI_TRY(reduce_scaled(call, which, f, power, &corrected));
  const double *values = (const double *)(const void *)corrected->data;
  for (; i < numel; i++) {
    bool made_large = isfinite(y[i]) && !isfinite(values[i]); /* equal large numbers by 2^600: they deviate by 0 */
    if (suffered(y[i]) && !made_large) y[i] = values[i];
  }
  peri_tensor_release(&corrected);
  return PERI_OK;
}

static peri_status run_moment(peri_call *call, moment which) {
  peri_folded f;
  PERI_TRY(peri_fold(call->args[0].tensor, call->note[0], call->dtype, &f));
  peri_status status = reduce(call, which, &f, f.x->data, call->outputs[0].tensor->data);
  bool divided_by_0 = which != MEAN && (double)f.n <= call->args[3].number; /* that is no harm of a sum */
  if (call->dtype == PERI_FLOAT64 && !divided_by_0) {
    if (status == PERI_OK) status = correct_by(call, which, &f, too_large, 0x1p-600);
    if (status == PERI_OK && which == STD) status = correct_by(call, which, &f, too_small, 0x1p600);
  }
  peri_tensor_release(&f.x);
  return status;
}

static peri_status run_mean(peri_call *call) { return run_moment(call, MEAN); }
static peri_status run_var(peri_call *call) { return run_moment(call, VAR); }
static peri_status run_std(peri_call *call) { return run_moment(call, STD); }

/* ---- mean ---- */

/* A sum of doubles that overflows would be corrected. */
static bool mean_fits_lanes(const peri_call *call) {
  return call->dtype == PERI_FLOAT32 && peri_reduce_fits_lanes(call);
}
static peri_status run_mean_lanes(peri_call *call) { return peri_reduce_lanes(call, (double)call->note[1]); }

static peri_status infer_mean(peri_call *call) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_reduce_dims(call));
  call->dtype = peri_is_float(dtype) ? dtype : dtype == PERI_INT64 ? PERI_FLOAT64 : PERI_FLOAT32;
  return peri_reduce_output(call, 0, call->dtype, call->args[2].integer);
}
static peri_status grad_mean(peri_backward *B) {
  peri_value g = peri_step_unreduce(B, peri_of(B->grad_outputs[0]));
  g = peri_step_div(B, g, peri_constant((double)B->note[1]));
  peri_answer(B, 0, peri_step_expand(B, g));
  return PERI_OK;
}
const peri_op peri_op_mean = {
    .name = "mean",
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_mean,
    .run = run_mean,
    .run_lanes = PERI_FULL(run_mean_lanes),
    .lanes_fit = PERI_FULL(mean_fits_lanes),
    .grad = PERI_FULL(grad_mean),
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE,
    .doc = "mean(x, dims, keepdim = false) -> tensor\n"
           "The mean over all dimensions, or over dims; of int64 in float64, of uint8 and bool in float32. Of nothing: "
           "NaN. A sum that overflows on the way does no harm.",
};

/* ---- variance and standard deviation ---- */

static peri_status infer_spread(peri_call *call) {
  PERI_TRY(peri_infer_float(call, 0));
  if (!isfinite(call->args[3].number)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "correction is %g (expected a finite number)", call->args[3].number);
  }
  return infer_mean(call);
}

static peri_value mean_of(peri_backward *B, peri_value x) {
  peri_call call;
  int64_t dims[PERI_MAX_DIMS];
  int count = peri_reduced(B, dims);
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_mean, 1, &x);
  peri_call_sizes(&call, 1, count, dims);
  call.args[2].integer = true;
  return peri_step_run(B, &call);
}
/* x - mean, and once more, as the mean is rounded and may be large beside the deviations. */
static peri_value centred(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor);
  x = peri_step_sub(B, x, mean_of(B, x));
  return peri_step_sub(B, x, mean_of(B, x));
}
static double degrees_of_freedom(const peri_backward *B) {
  return peri_larger((double)B->note[1] - B->args[3].number, 0);
}

/* 2 (x - mean) / degrees */
static peri_status grad_var(peri_backward *B) {
  peri_value g = peri_step_mul(B, peri_of(B->grad_outputs[0]), peri_constant(2));
  g = peri_step_div(B, g, peri_constant(degrees_of_freedom(B)));
  peri_answer(B, 0, peri_step_mul(B, centred(B), peri_step_unreduce(B, g)));
  return PERI_OK;
}
const peri_op peri_op_var = {
    .name = "var",
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {SPREAD_PARAMS},
    .infer = infer_spread,
    .run = run_var,
    .grad = PERI_FULL(grad_var),
    .low = -1,
    .high = 1,
    .sample = SPREAD_SAMPLE,
    .doc =
        "var(x, dims, keepdim = false, {correction = 1}) -> tensor\n"
        "The variance: squared deviations from the mean, summed and divided by count - correction, or by 0 where that "
        "is less. The sum of equal numbers' deviations is exactly 0. Floats only.",
};

/* (x - mean) / std / degrees; where std is 0 so are the deviations, and 0 is the gradient, as abs has it at its kink.
 */
static peri_status grad_std(peri_backward *B) {
  peri_value y = peri_step_unreduce(B, peri_of(B->outputs[0]));
  peri_value zero = peri_step_eq(B, y, peri_constant(0));
  y = peri_step_where(B, zero, peri_constant(1), y);
  peri_value slope = peri_step_div(B, centred(B), y);
  peri_value g = peri_of(B->grad_outputs[0]);
  g = peri_step_div(B, g, peri_constant(degrees_of_freedom(B)));
  peri_answer(B, 0, peri_step_mul(B, slope, peri_step_unreduce(B, g)));
  return PERI_OK;
}
const peri_op peri_op_std = {
    .name = "std",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SPREAD_PARAMS},
    .infer = infer_spread,
    .run = run_std,
    .grad = PERI_FULL(grad_std),
    .low = -1,
    .high = 1,
    .sample = SPREAD_SAMPLE,
    .doc = "std(x, dims, keepdim = false, {correction = 1}) -> tensor\n"
           "The standard deviation: the square root of the variance, also where that is beyond the dtype's range. Of "
           "equal numbers exactly 0, and so is the gradient there.",
};

const peri_op *const peri_ops_moments[] = {&peri_op_mean, &peri_op_var, &peri_op_std, NULL};
