/* Reductions that are made of other rows: counts, sums beside NaN, log-sum-exp, moments together, covariances. Notes as
 * peri_reduce_dims leaves them. */
#include "ops/reduce.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* A reduction of x over the dimensions that are noted. */
static peri_value reduced(peri_backward *B, const peri_op *op, peri_value x, bool keepdim) {
  peri_call call;
  int64_t dims[PERI_MAX_DIMS];
  int count = 0;
  if (B->formula->status != PERI_OK) return x;
  for (int d = 0; d < x.tensor->layout.ndim; d++) {
    if (B->note[0] >> d & 1) dims[count++] = d;
  }
  peri_step_open(B, &call, op, 1, &x);
  peri_call_sizes(&call, 1, count, dims);
  call.args[2].integer = keepdim;
  if (op == &peri_op_var || op == &peri_op_std) call.args[3].number = B->args[3].number;
  return peri_step_run(B, &call);
}

/* ---- counts ---- */

static peri_status infer_any_dtype(peri_call *call) { return peri_reduce_dims(call); }

static peri_status compose_count(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor);
  if (x.tensor->layout.dtype != PERI_BOOL) x = peri_step_ne(B, x, peri_constant(0));
  peri_answer(B, 0, reduced(B, &peri_op_sum, x, B->args[2].integer));
  return PERI_OK;
}
const peri_op peri_op_count_nonzero = {
    .name = "count_nonzero",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_any_dtype,
    .compose = compose_count,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {B(3, 4)}, {T(0)}",
    .doc = "count_nonzero(x, dims, keepdim = false) -> int64 tensor\n"
           "How many elements are not zero, over all dimensions or over dims; NaN is not zero.",
};

/* ---- beside NaN ---- */

static peri_status infer_floats(peri_call *call) {
  PERI_TRY(peri_infer_float(call, 0));
  return peri_reduce_dims(call);
}

static peri_value without_nans(peri_backward *B, peri_value x, peri_value *nans) {
  *nans = peri_step_ne(B, x, x);
  return peri_step_where(B, *nans, peri_constant(0), x);
}

static peri_status compose_nansum(peri_backward *B) {
  peri_value nans, x = without_nans(B, peri_of(B->args[0].tensor), &nans);
  peri_answer(B, 0, reduced(B, &peri_op_sum, x, B->args[2].integer));
  return PERI_OK;
}
const peri_op peri_op_nansum = {
    .name = "nansum",
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_floats,
    .compose = compose_nansum,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE ", {T(0)}",
    .doc = "nansum(x, dims, keepdim = false) -> tensor\n"
           "The sum over all dimensions, or over dims, with NaN counted as 0. Floats only.",
};

static peri_status compose_nanmean(peri_backward *B) {
  bool keepdim = B->args[2].integer;
  peri_value nans, x = without_nans(B, peri_of(B->args[0].tensor), &nans);
  peri_dtype dtype = B->args[0].tensor->layout.dtype;
  peri_value missing = peri_step_convert(B, reduced(B, &peri_op_sum, nans, keepdim), dtype);
  peri_value count = peri_step_sub(B, peri_constant((double)B->note[1]), missing);
  peri_answer(B, 0, peri_step_div(B, reduced(B, &peri_op_sum, x, keepdim), count));
  return PERI_OK;
}
const peri_op peri_op_nanmean = {
    .name = "nanmean",
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_floats,
    .compose = compose_nanmean,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE,
    .doc = "nanmean(x, dims, keepdim = false) -> tensor\n"
           "The mean of the elements that are not NaN, over all dimensions or over dims; NaN where there is none. "
           "Floats only.",
};

/* ---- log-sum-exp, recorded as one ---- */

static peri_status compose_log_sum(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), sum;
  bool keepdim = B->args[2].integer;
  if (B->note[1] == 0) { /* of nothing: log 0 */
    peri_answer(B, 0, peri_step_log(B, reduced(B, &peri_op_sum, x, keepdim)));
    return PERI_OK;
  }
  peri_value most = reduced(B, &peri_op_amax, x, true);
  peri_value infinite = peri_step_eq(B, peri_step_abs(B, most), peri_constant(INFINITY));
  most = peri_step_where(B, infinite, peri_constant(0), most);
  sum = reduced(B, &peri_op_sum, peri_step_exp(B, peri_step_sub(B, x, most)), keepdim);
  if (B->formula->status != PERI_OK) return PERI_OK;
  if (!keepdim) most = peri_step_reshape(B, most, sum.tensor->layout.ndim, sum.tensor->layout.shape);
  peri_answer(B, 0, peri_step_add(B, peri_step_log(B, sum), most));
  return PERI_OK;
}

/* e^(x - y); where y is -infinity all x are, and have no slope. */
static peri_status grad_log_sum(peri_backward *B) {
  peri_value y = peri_step_unreduce(B, peri_of(B->outputs[0])), g = peri_of(B->grad_outputs[0]);
  y = peri_step_where(B, peri_step_eq(B, y, peri_constant(-INFINITY)), peri_constant(0), y);
  peri_value weights = peri_step_exp(B, peri_step_sub(B, peri_of(B->args[0].tensor), y));
  peri_answer(B, 0, peri_step_mul(B, weights, peri_step_unreduce(B, g)));
  return PERI_OK;
}
const peri_op peri_op_logsumexp = {
    .name = "logsumexp",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {PERI_REDUCE_PARAMS},
    .infer = infer_floats,
    .compose = compose_log_sum,
    .grad = grad_log_sum,
    .low = -1,
    .high = 1,
    .sample = PERI_REDUCE_SAMPLE,
    .doc = "logsumexp(x, dims, keepdim = false) -> tensor\n"
           "log(sum(exp(x))) over all dimensions, or over dims, without overflow; of nothing -infinity. Floats only.",
};

/* ---- mean and spread together ---- */

static peri_status infer_spread(peri_call *call) {
  PERI_TRY(infer_floats(call));
  if (isfinite(call->args[3].number)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "correction is %g (expected a finite number)", call->args[3].number);
}

static peri_status compose_spread(peri_backward *B) {
  const peri_op *spread = B->op->id == 2 ? &peri_op_var : &peri_op_std;
  peri_value x = peri_of(B->args[0].tensor);
  peri_answer(B, 0, reduced(B, spread, x, B->args[2].integer));
  peri_answer(B, 1, reduced(B, &peri_op_mean, x, B->args[2].integer));
  return PERI_OK;
}
#define SPREAD_PARAMS                                                                                                  \
  PERI_REDUCE_PARAMS, { "correction", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1 }
#define SPREAD_SAMPLE "{T(3, 4)}, {T(2, 3, 4), 2}, {T(2, 3, 4), {1, 3}, {correction = 0}}, {T(5, 2), 1, true}"
const peri_op peri_op_std_mean = {
    .name = "std_mean",
    .outputs = 2,
    .params = {SPREAD_PARAMS},
    .infer = infer_spread,
    .compose = compose_spread,
    .low = -1,
    .high = 1,
    .sample = SPREAD_SAMPLE,
    .doc = "std_mean(x, dims, keepdim = false, {correction = 1}) -> std, mean\n"
           "What std and mean give, together. Floats only.",
    .id = 1,
};
const peri_op peri_op_var_mean = {
    .name = "var_mean",
    .outputs = 2,
    .params = {SPREAD_PARAMS},
    .infer = infer_spread,
    .compose = compose_spread,
    .low = -1,
    .high = 1,
    .sample = SPREAD_SAMPLE,
    .doc = "var_mean(x, dims, keepdim = false, {correction = 1}) -> var, mean\n"
           "What var and mean give, together. Floats only.",
    .id = 2,
};

/* ---- covariance ---- */

static peri_status infer_variables(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim <= 2) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected variables x observations, or one variable)",
                        peri_shape_text(x->ndim, x->shape, text));
}

/* Weights are a number for each observation, none below 0. */
static peri_status check_weights(peri_call *call, int arg, bool whole) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_tensor *weights = call->args[arg].tensor;
  int64_t n = x->ndim == 0 ? 1 : x->shape[x->ndim - 1];
  char text[PERI_SHAPE_TEXT];
  if (weights == NULL) return PERI_OK;
  const peri_layout *w = &weights->layout;
  const char *name = call->op->params[arg].name;
  if (w->ndim != 1 || w->shape[0] != n) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %lld, one for each observation)", name,
                          peri_shape_text(w->ndim, w->shape, text), (long long)n);
  }
  if (whole ? w->dtype != PERI_INT64 : !peri_is_float(w->dtype)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", name, peri_dtype_name(w->dtype),
                          whole ? "int64" : "float32 or float64");
  }
  size_t step = (size_t)w->strides[0] * peri_dtype_size(w->dtype);
  for (int64_t i = 0; i < peri_infer_values(w); i++) {
    double value = peri_load_number(w->dtype, weights->data + (size_t)i * step);
    if (value >= 0) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s[%lld] is %g (expected at least 0)", name, (long long)i + 1,
                          value);
  }
  return PERI_OK;
}

static peri_status infer_cov(peri_call *call) {
  PERI_TRY(infer_variables(call));
  if (!isfinite(call->args[1].number)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "correction is %g (expected a finite number)", call->args[1].number);
  }
  PERI_TRY(check_weights(call, 2, true));
  return check_weights(call, 3, false);
}

static peri_value sum_over(peri_backward *B, peri_value x, int64_t dim) { return peri_step_sum(B, x, 1, &dim, true); }

/* The weights as one row in x's dtype, or nothing. */
static peri_value weights_of(peri_backward *B, peri_dtype dtype) {
  peri_value w = peri_constant(1);
  for (int i = 2; i < 4; i++) {
    if (B->args[i].tensor == NULL) continue;
    peri_value own = peri_step_convert(B, peri_of(B->args[i].tensor), dtype);
    w = w.tensor == NULL ? own : peri_step_mul(B, w, own);
  }
  if (w.tensor == NULL || B->formula->status != PERI_OK) return w;
  return peri_step_reshape(B, w, 2, (int64_t[]){1, w.tensor->layout.numel});
}

/* x - its mean over observations, and once more: the mean is rounded, and may be large beside the deviations. */
static peri_value centred(peri_backward *B, peri_value x, peri_value w, peri_value total) {
  for (int pass = 0; pass < 2; pass++) {
    peri_value sum = sum_over(B, w.tensor != NULL ? peri_step_mul(B, x, w) : x, 1);
    x = peri_step_sub(B, x, peri_step_div(B, sum, total));
  }
  return x;
}

/* What the sums of products are divided by: the total less the correction, which stands for single observations where
 * weights count them, and for weights' mean where weights are of importance; never below 0. */
static peri_value divisor(peri_backward *B, peri_value w, peri_value total) {
  peri_value correction = peri_constant(B->args[1].number);
  if (B->args[3].tensor != NULL) {
    peri_value own =
        peri_step_reshape(B, peri_of(B->args[3].tensor), 2,
                          B->formula->status == PERI_OK ? w.tensor->layout.shape : (const int64_t[]){1, 1});
    own = peri_step_convert(B, own, B->args[0].tensor->layout.dtype);
    correction = peri_step_mul(B, peri_step_div(B, sum_over(B, peri_step_mul(B, w, own), 1), total), correction);
  }
  if (total.tensor == NULL) return peri_constant(peri_larger(total.number - correction.number, 0));
  return peri_step_relu(B, peri_step_sub(B, total, correction));
}

static peri_value covariance(peri_backward *B, bool weighted) {
  const peri_layout *layout = &B->args[0].tensor->layout;
  int64_t n = layout->ndim == 0 ? 1 : layout->shape[layout->ndim - 1];
  int64_t variables = layout->ndim == 2 ? layout->shape[0] : 1;
  peri_value x = peri_step_reshape(B, peri_of(B->args[0].tensor), 2, (int64_t[]){variables, n});
  peri_value w = weighted ? weights_of(B, layout->dtype) : peri_constant(1);
  peri_value total = w.tensor != NULL ? sum_over(B, w, 1) : peri_constant((double)n);
  x = centred(B, x, w, total);
  peri_value products = peri_step_matmul(B, w.tensor != NULL ? peri_step_mul(B, x, w) : x, x, false, true);
  if (!weighted) return products;
  return peri_step_div(B, products, divisor(B, w, total));
}

static peri_status compose_cov(peri_backward *B) {
  peri_value c = covariance(B, true);
  if (B->args[0].tensor->layout.ndim < 2) c = peri_step_reshape(B, c, 0, B->note);
  peri_answer(B, 0, c);
  return PERI_OK;
}
const peri_op peri_op_cov = {
    .name = "cov",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"correction", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1},
               {"fweights", PERI_KIND_TENSOR, .reads = true, .optional = true, .named = true},
               {"aweights", PERI_KIND_TENSOR, .reads = true, .optional = true, .named = true}},
    .infer = infer_cov,
    .compose = compose_cov,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 5)}, {T(4)}, {T(2, 6), {correction = 0}}, {T(2, 3), {fweights = peri.tensor({1, 2, 3}, {dtype = "
              "'int64'}), aweights = peri.tensor{0.5, 1, 0.25}}}",
    .doc = "cov(x, {correction = 1, fweights, aweights}) -> tensor\n"
           "The covariances of x's rows, each a variable, over its columns, the observations; of one row 0-d. Sums of "
           "products of deviations are divided by count - correction, or by 0 where that is less. fweights (int64) say "
           "how often each observation counts, aweights (floats) how much. Floats only.",
};

/* Entry i, j divided by the roots of entries i, i and j, j; rounding keeps it within [-1, 1]. */
static peri_status compose_corrcoef(peri_backward *B) {
  const peri_layout *x = &B->args[0].tensor->layout;
  int64_t n = x->ndim == 2 ? x->shape[0] : 1;
  peri_call call;
  peri_value c = covariance(B, false), flat = peri_step_reshape(B, c, 1, (int64_t[]){n * n});
  if (n > 0 && B->formula->status == PERI_OK) {
    peri_step_open(B, &call, &peri_op_slice, 1, &flat);
    call.args[1].integer = 0;
    call.args[2].integer = 0;
    call.args[3].integer = n * n - 1;
    call.args[4].integer = n + 1;
    peri_value roots = peri_step_sqrt(B, peri_step_run(B, &call));
    c = peri_step_div(B, c, peri_step_reshape(B, roots, 2, (int64_t[]){n, 1}));
    c = peri_step_div(B, c, peri_step_reshape(B, roots, 2, (int64_t[]){1, n}));
  }
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(B, &call, &peri_op_clamp, 1, &c);
  call.args[1].given = call.args[2].given = true;
  call.args[1].number = -1;
  call.args[2].number = 1;
  c = peri_step_run(B, &call);
  if (x->ndim < 2) c = peri_step_reshape(B, c, 0, B->note);
  peri_answer(B, 0, c);
  return PERI_OK;
}
const peri_op peri_op_corrcoef = {
    .name = "corrcoef",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_variables,
    .compose = compose_corrcoef,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 5)}, {T(2, 6)}, {T(4)}",
    .doc = "corrcoef(x) -> tensor\n"
           "The coefficients of correlation of x's rows, each a variable, over its columns, the observations; of one "
           "row 0-d. NaN where a variable is constant. Floats only.",
};

const peri_op *const peri_ops_statistics[] = {&peri_op_count_nonzero, &peri_op_nansum,   &peri_op_nanmean,
                                              &peri_op_logsumexp,     &peri_op_std_mean, &peri_op_var_mean,
                                              &peri_op_cov,           &peri_op_corrcoef, NULL};
