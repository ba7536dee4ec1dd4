/* Normalisation of each sample by its own numbers: of rows, groups of channels or single channels. They are seen as the
 * channels of one batch, which batch_norm normalises; weights and biases follow. */
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

static peri_status check_eps(peri_call *call, int arg) {
  double eps = call->args[arg].number;
  if (eps > 0 && isfinite(eps)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "eps is %g (expected a positive number)", eps);
}

/* Argument `arg`, where it is given, has that shape and x's dtype. */
static peri_status check_shape(peri_call *call, int arg, int ndim, const int64_t *shape) {
  const peri_tensor *vector = call->args[arg].tensor;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (vector == NULL) return PERI_OK;
  PERI_TRY(peri_infer_same_dtype(call, 0, arg));
  bool same = vector->layout.ndim == ndim;
  for (int d = 0; same && d < ndim; d++) same = vector->layout.shape[d] == shape[d];
  if (same) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", call->op->params[arg].name,
                        peri_shape_text(vector->layout.ndim, vector->layout.shape, a), peri_shape_text(ndim, shape, b));
}

/* x as `rows` times as many numbers, each row less its mean and divided by its deviation, in the shape of x. */
static peri_value normal_rows(peri_backward *B, int64_t rows, double eps) {
  const peri_layout *x = &B->args[0].tensor->layout;
  int64_t shape[3] = {1, rows, rows > 0 ? x->numel / rows : 1};
  peri_value y = peri_of(B->args[0].tensor);
  if (x->numel == 0 || shape[2] == 1) return peri_step_sub(B, y, y); /* a number is its mean */
  y = peri_step_reshape(B, y, 3, shape);
  if (B->formula->status != PERI_OK) return y;
  peri_call call;
  peri_step_open(B, &call, &peri_op_batch_norm, 1, &y);
  call.args[5].given = call.args[7].given = true;
  call.args[5].integer = true;
  call.args[7].number = eps;
  return peri_step_reshape(B, peri_step_run(B, &call), x->ndim, x->shape);
}

static peri_value scaled(peri_backward *B, peri_value y, peri_value weight, peri_value bias) {
  if (weight.tensor != NULL) y = peri_step_mul(B, y, weight);
  return bias.tensor != NULL ? peri_step_add(B, y, bias) : y;
}

/* ---- rows: the last dimensions ---- */

/* The last dimensions of x are those of argument 1; rows are noted. */
static peri_status check_last(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *wanted = &call->args[1];
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  bool fits = wanted->count >= 1 && wanted->count <= x->ndim;
  call->note[0] = 1;
  for (int d = 0; fits && d < wanted->count; d++) fits = wanted->sizes[d] == x->shape[x->ndim - wanted->count + d];
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but normalized_shape is %s (expected x's last dimensions)",
                          peri_shape_text(x->ndim, x->shape, a), peri_shape_text(wanted->count, wanted->sizes, b));
  }
  for (int d = 0; d < x->ndim - wanted->count; d++) call->note[0] *= x->shape[d];
  return PERI_OK;
}

enum { WEIGHT = 2, BIAS, EPS };

static peri_status infer_layer_norm(peri_call *call) {
  PERI_TRY(check_last(call));
  PERI_TRY(check_shape(call, WEIGHT, call->args[1].count, call->args[1].sizes));
  PERI_TRY(check_shape(call, BIAS, call->args[1].count, call->args[1].sizes));
  return check_eps(call, EPS);
}
static peri_status compose_layer_norm(peri_backward *B) {
  peri_value y = normal_rows(B, B->note[0], B->args[EPS].number);
  peri_answer(B, 0, scaled(B, y, peri_of(B->args[WEIGHT].tensor), peri_of(B->args[BIAS].tensor)));
  return PERI_OK;
}
const peri_op peri_op_layer_norm = {
    .name = "layer_norm",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"normalized_shape", PERI_KIND_SHAPE, .count = PERI_LISTED},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"bias", PERI_KIND_TENSOR, .optional = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-5}},
    .infer = infer_layer_norm,
    .compose = compose_layer_norm,
    .low = 0.25,
    .high = 2,
    .sample = "{T(5, 4), 4, T(4), T(4)}, {T(2, 3, 4), {3, 4}}, {T(2, 3, 4), {4}, T(4), {eps = 0.1}}, "
              "{T(2, 3, 5), {3, 5}, T(3, 5), T(3, 5)}",
    .doc =
        "layer_norm(x, normalized_shape, weight, bias, eps = 1e-5) -> tensor\n"
        "(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions of x, whose sizes are "
        "normalized_shape, a number or a table: each row by its own mean and variance (divided by the count). weight "
        "and bias have that shape, or are left out: 1 and 0. Floats of one dtype. J. L. Ba et al., 'Layer "
        "Normalization', 2016.\n"
        "Errors: other last dimensions; eps not above 0.",
};

enum { RMS_EPS = 3 };

static peri_status infer_rms_norm(peri_call *call) {
  PERI_TRY(check_last(call));
  PERI_TRY(check_shape(call, WEIGHT, call->args[1].count, call->args[1].sizes));
  return call->args[RMS_EPS].given ? check_eps(call, RMS_EPS) : PERI_OK;
}
static peri_status compose_rms_norm(peri_backward *B) {
  const peri_layout *layout = &B->args[0].tensor->layout;
  const double least = layout->dtype == PERI_FLOAT32 ? 0x1p-23 : 0x1p-52;
  const double eps = B->args[RMS_EPS].given ? B->args[RMS_EPS].number : least;
  peri_value x = peri_of(B->args[0].tensor), square = peri_step_mul(B, x, x);
  int64_t dims[PERI_MAX_DIMS];
  int count = B->args[1].count;
  for (int d = 0; d < count; d++) dims[d] = layout->ndim - count + d;
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_call call;
  peri_step_open(B, &call, &peri_op_mean, 1, &square);
  peri_call_sizes(&call, 1, count, dims);
  call.args[2].integer = true;
  peri_value inverse = peri_step_rsqrt(B, peri_step_add(B, peri_step_run(B, &call), peri_constant(eps)));
  peri_answer(B, 0, scaled(B, peri_step_mul(B, x, inverse), peri_of(B->args[WEIGHT].tensor), peri_constant(0)));
  return PERI_OK;
}
const peri_op peri_op_rms_norm = {
    .name = "rms_norm",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"normalized_shape", PERI_KIND_SHAPE, .count = PERI_LISTED},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"eps", PERI_KIND_NUMBER, .optional = true}},
    .infer = infer_rms_norm,
    .compose = compose_rms_norm,
    .low = 0.25,
    .high = 2,
    .sample = "{T(5, 4), 4, T(4)}, {T(2, 3, 4), {3, 4}}, {T(2, 3, 4), {4}, T(4), {eps = 0.1}}",
    .doc =
        "rms_norm(x, normalized_shape, weight, eps) -> tensor\n"
        "x / sqrt(mean(x^2) + eps) * weight over the last dimensions of x, whose sizes are normalized_shape, a number "
        "or a table. weight has that shape, or is left out: 1. eps is that of the dtype where it is left out: 2^-23 "
        "or 2^-52. Floats of one dtype. B. Zhang, R. Sennrich, 'Root Mean Square Layer Normalization', 2019.\n"
        "Errors: other last dimensions; eps not above 0.",
};

/* ---- channels ---- */

/* A vector along the second dimension of x. */
static peri_value along_channels(peri_backward *B, int arg) {
  const peri_layout *x = &B->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  if (B->args[arg].tensor == NULL) return peri_constant(0);
  for (int d = 0; d < x->ndim; d++) shape[d] = d == 1 ? x->shape[1] : 1;
  return peri_step_reshape(B, peri_of(B->args[arg].tensor), x->ndim, shape);
}

static peri_status check_channels(peri_call *call, int weight, int eps) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim < 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected N x C, or more dimensions behind)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  PERI_TRY(check_shape(call, weight, 1, x->shape + 1));
  PERI_TRY(check_shape(call, weight + 1, 1, x->shape + 1));
  return check_eps(call, eps);
}

static peri_status infer_group_norm(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t groups = call->args[1].integer;
  PERI_TRY(check_channels(call, WEIGHT, EPS));
  if (groups < 1 || x->shape[1] % groups != 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "num_groups is %lld (expected a divisor of %lld channels)",
                          (long long)groups, (long long)x->shape[1]);
  }
  call->note[0] = x->shape[0] * groups;
  return PERI_OK;
}
static peri_status compose_group_norm(peri_backward *B) {
  peri_value y = normal_rows(B, B->note[0], B->args[EPS].number);
  peri_answer(B, 0, scaled(B, y, along_channels(B, WEIGHT), along_channels(B, BIAS)));
  return PERI_OK;
}
const peri_op peri_op_group_norm = {
    .name = "group_norm",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"num_groups", PERI_KIND_INTEGER},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"bias", PERI_KIND_TENSOR, .optional = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-5}},
    .infer = infer_group_norm,
    .compose = compose_group_norm,
    .low = 0.25,
    .high = 2,
    .sample = "{T(2, 4, 3), 2, T(4), T(4)}, {T(3, 4), 1}, {T(2, 6, 2, 2), 3, T(6), {eps = 0.1}}",
    .doc = "group_norm(x, num_groups, weight, bias, eps = 1e-5) -> tensor\n"
           "The channels of each sample of x, which is N x C or has more dimensions behind, in num_groups groups, each "
           "group by its own mean and variance (divided by the count); then times weight plus bias, C values each, "
           "which may be left out: 1 and 0. Floats of one dtype. Y. Wu, K. He, 'Group Normalization', 2018.\n"
           "Errors: a num_groups that does not divide C; eps not above 0.",
};

static peri_status infer_instance_norm(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(check_channels(call, 1, 3));
  int64_t inner = 1;
  for (int d = 2; d < x->ndim; d++) inner *= x->shape[d];
  call->note[0] = x->shape[0] * x->shape[1];
  if (x->ndim > 2 && inner != 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected more than 1 value for each channel)",
                        peri_shape_text(x->ndim, x->shape, text));
}
static peri_status compose_instance_norm(peri_backward *B) {
  peri_value y = normal_rows(B, B->note[0], B->args[3].number);
  peri_answer(B, 0, scaled(B, y, along_channels(B, 1), along_channels(B, 2)));
  return PERI_OK;
}
const peri_op peri_op_instance_norm = {
    .name = "instance_norm",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"bias", PERI_KIND_TENSOR, .optional = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-5}},
    .infer = infer_instance_norm,
    .compose = compose_instance_norm,
    .low = 0.25,
    .high = 2,
    .sample = "{T(2, 4, 3), T(4), T(4)}, {T(3, 2, 5)}, {T(2, 3, 2, 2), T(3), {eps = 0.1}}",
    .doc = "instance_norm(x, weight, bias, eps = 1e-5) -> tensor\n"
           "Each channel of each sample of x, N x C x L or with more dimensions behind, by its own mean and variance "
           "(divided by the count); then times weight plus bias, C values each, which may be left out: 1 and 0. Floats "
           "of one dtype. D. Ulyanov et al., 'Instance Normalization', 2016.\n"
           "Errors: one value for each channel; eps not above 0.",
};

const peri_op *const peri_ops_normalize_rows[] = {&peri_op_layer_norm, &peri_op_rms_norm, &peri_op_group_norm,
                                                  &peri_op_instance_norm, NULL};
