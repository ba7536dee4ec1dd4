/* Batch normalisation (S. Ioffe, C. Szegedy, "Batch Normalization", 2015): each channel by its mean and variance, over
 * the batch while training, else by running ones. */
#include "kernels/kernels.h"
#include "ops/rows.h"

#include <math.h>

enum { X, RUNNING_MEAN, RUNNING_VAR, WEIGHT, BIAS, TRAINING, MOMENTUM, EPS }; /* the row's arguments */

static peri_channels channels_of(const peri_layout *x) {
  peri_channels size = {.n = x->shape[0], .channels = x->shape[1], .inner = 1};
  for (int d = 2; d < x->ndim; d++) size.inner *= x->shape[d];
  return size;
}

/* ---- checks ---- */

static peri_status check_vector(peri_call *call, int arg) {
  const peri_layout *x = &call->args[X].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (call->args[arg].tensor == NULL) return PERI_OK;
  const peri_layout *vector = &call->args[arg].tensor->layout;
  if (vector->ndim != 1 || vector->shape[0] != x->shape[1]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but x is %s (expected %lld values, one for each channel)",
                          call->op->params[arg].name, peri_shape_text(vector->ndim, vector->shape, a),
                          peri_shape_text(x->ndim, x->shape, b), (long long)x->shape[1]);
  }
  return peri_infer_same_dtype(call, X, arg);
}

/* Running statistics are both there or neither, and while training they are written. */
static peri_status check_running(peri_call *call, bool training) {
  const peri_tensor *mean = call->args[RUNNING_MEAN].tensor, *var = call->args[RUNNING_VAR].tensor;
  if ((mean == NULL) != (var == NULL) || (mean == NULL && !training)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is missing (expected both running statistics%s)",
                          call->op->params[mean == NULL ? RUNNING_MEAN : RUNNING_VAR].name,
                          training ? ", or none" : "; with training = true the batch's own serve");
  }
  for (int i = RUNNING_MEAN; training && mean != NULL && i <= RUNNING_VAR; i++) {
    const peri_tensor *x = call->args[i].tensor;
    if (x->requires_grad || x->base_requires_grad) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s requires grad, and training writes to it (use detach)",
                            call->op->params[i].name);
    }
    if (x->layout.shape[0] > 1 && x->layout.strides[0] == 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT,
                            "%s is an expanded view, whose elements share memory; clone it first",
                            call->op->params[i].name);
    }
  }
  return PERI_OK;
}

static peri_status check_numbers(peri_call *call, bool training, peri_channels size) {
  double eps = call->args[EPS].number, momentum = call->args[MOMENTUM].number;
  char text[PERI_SHAPE_TEXT];
  if (!(eps > 0 && isfinite(eps)))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "eps is %g (expected a positive number)", eps);
  if (!isfinite(momentum))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "momentum is %g (expected a finite number)", momentum);
  if (!training || size.n > 1 || size.inner > 1) {
    if (!training || (size.n > 0 && size.inner > 0)) return PERI_OK;
  }
  const peri_layout *x = &call->args[X].tensor->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected more than 1 value for each channel while training)",
                        peri_shape_text(x->ndim, x->shape, text));
}

/* ---- computing ---- */

/* Numbers of a workspace or of a gradient, one for each channel. */
typedef struct statistics {
  double *mean, *variance, *inverse, *scale, *shift;
} statistics;
#define STATISTICS 5

static statistics statistics_of(void *block, int64_t channels) {
  double *first = block;
  if (channels == 0) return (statistics){NULL};
  return (statistics){first, first + channels, first + 2 * channels, first + 3 * channels, first + 4 * channels};
}

static void read_vector(const peri_tensor *x, int64_t n, double otherwise, double *to) {
  for (int64_t c = 0; c < n; c++) {
    to[c] = otherwise;
    if (x == NULL) continue;
    to[c] = peri_load_number(x->layout.dtype,
                             x->data + c * x->layout.strides[0] * (int64_t)peri_dtype_size(x->layout.dtype));
  }
}

static peri_status infer_batch_norm(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  bool training = call->args[TRAINING].integer;
  PERI_TRY(peri_infer_float(call, X));
  if (x->ndim < 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected N x C, or more dimensions behind)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  for (int i = RUNNING_MEAN; i <= BIAS; i++) PERI_TRY(check_vector(call, i));
  PERI_TRY(check_running(call, training));
  PERI_TRY(check_numbers(call, training, channels_of(x)));
  for (int i = RUNNING_MEAN; i <= RUNNING_VAR; i++) { /* while training they are no part of y, and change */
    const peri_tensor *running = call->args[i].tensor;
    if (training || running == NULL || !running->requires_grad) call->saves &= ~PERI_SAVE_INPUT(i);
    if (training && running != NULL)
      PERI_TRY(peri_tensor_check_write(running, peri_call_name(call), call->op->params[i].name));
  }
  call->workspace_bytes = STATISTICS * sizeof(double) * (size_t)x->shape[1];
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, x->shape));
  return peri_infer_output(call, 1, PERI_FLOAT64, 2, (int64_t[]){2, x->shape[1]});
}

static peri_status run_batch_norm(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor, *kept = call->outputs[1].tensor;
  peri_channels size = channels_of(&y->layout);
  statistics s = statistics_of(call->workspace, size.channels);
  PERI_TRY(peri_tensor_contiguous(call->args[X].tensor, &x));
  peri_status status = PERI_OK;
  if (call->args[TRAINING].integer) {
    status = peri_channel_moments(call->context, x->layout.dtype, size, x->data, s.mean, s.variance);
  } else {
    read_vector(call->args[RUNNING_MEAN].tensor, size.channels, 0, s.mean);
    read_vector(call->args[RUNNING_VAR].tensor, size.channels, 1, s.variance);
  }
  read_vector(call->args[WEIGHT].tensor, size.channels, 1, s.scale);
  read_vector(call->args[BIAS].tensor, size.channels, 0, s.shift);
  for (int64_t c = 0; status == PERI_OK && c < size.channels; c++) {
    s.inverse[c] = 1 / sqrt(s.variance[c] + call->args[EPS].number);
    s.scale[c] *= s.inverse[c];
    if (kept == NULL) continue;
    ((double *)(void *)kept->data)[c] = s.mean[c];
    ((double *)(void *)kept->data)[size.channels + c] = s.inverse[c];
  }
  if (status == PERI_OK)
    status = peri_channel_scale(call->context, x->layout.dtype, size, x->data, s.mean, s.scale, s.shift, y->data);
  peri_tensor_release(&x);
  return status;
}

static void update(peri_tensor *running, int64_t n, const double *now, double factor, double momentum) {
  peri_dtype dtype = running->layout.dtype;
  int64_t step = running->layout.strides[0] * (int64_t)peri_dtype_size(dtype);
  for (int64_t c = 0; c < n; c++) {
    double before = peri_load_number(dtype, running->data + c * step);
    peri_store_number(dtype, running->data + c * step, (1 - momentum) * before + momentum * (now[c] * factor));
  }
  running->storage->version++;
}

/* The running variance is of the distribution, not of the batch: divided by one value less. */
static void commit_batch_norm(peri_call *call) {
  peri_tensor *mean = call->args[RUNNING_MEAN].tensor, *var = call->args[RUNNING_VAR].tensor;
  if (!call->args[TRAINING].integer || mean == NULL) return;
  peri_channels size = channels_of(&call->args[X].tensor->layout);
  double count = (double)size.n * (double)size.inner, momentum = call->args[MOMENTUM].number;
  statistics s = statistics_of(call->workspace, size.channels);
  update(mean, size.channels, s.mean, 1, momentum);
  update(var, size.channels, s.variance, count / (count - 1), momentum);
}

/* ---- the gradient at once: with deviations d = x - mean, m of them for each channel,
 * gx = weight / std (g - mean(g) - d sum(g d) / (m std^2)) while training, else weight / std g ---- */

typedef struct fused {
  peri_tensor *g, *x, *answers[BIAS + 1];
} fused;

static bool needs(const peri_backward *B, int edge) { return edge < B->edges && B->needs[edge]; }

static peri_status answer_vector(peri_backward *B, int edge, int64_t n, const double *numbers, fused *f) {
  if (!needs(B, edge)) return PERI_OK;
  PERI_TRY(peri_formula_new(B, B->layouts[edge], &f->answers[edge]));
  peri_dtype dtype = B->layouts[edge]->dtype;
  for (int64_t c = 0; c < n; c++) {
    peri_store_number(dtype, f->answers[edge]->data + (size_t)c * peri_dtype_size(dtype), numbers[c]);
  }
  return PERI_OK;
}

static peri_status answer_x(peri_backward *B, peri_channels size, const double *mean, const statistics *s, fused *f) {
  peri_dtype dtype = f->x->layout.dtype;
  bool training = B->args[TRAINING].integer;
  if (!needs(B, X)) return PERI_OK;
  peri_layout layout;
  peri_layout_set(&layout, dtype, f->x->layout.ndim, f->x->layout.shape);
  PERI_TRY(peri_formula_new(B, &layout, &f->answers[X]));
  char *gx = f->answers[X]->data;
  if (training)
    return peri_channel_correct(B->context, dtype, size, f->g->data, f->x->data, mean, s->variance, s->mean, s->scale,
                                gx);
  return peri_channel_scale(B->context, dtype, size, f->g->data, s->mean, s->scale, s->mean, gx);
}

/* s.shift has the sums of g, s.inverse those of g d; s.mean and s.variance what is taken from g and for each d. */
static peri_status fused_gradient(peri_backward *B, void *block, fused *f) {
  peri_channels size = channels_of(&f->x->layout);
  int64_t n = size.channels;
  statistics s = statistics_of(block, n);
  const double *mean = (const double *)(const void *)B->outputs[1]->data, *inverse = mean + n;
  double count = (double)size.n * (double)size.inner;
  bool training = B->args[TRAINING].integer;
  if (training || needs(B, WEIGHT) || needs(B, BIAS))
    PERI_TRY(
        peri_channel_products(B->context, f->x->layout.dtype, size, f->g->data, f->x->data, mean, s.shift, s.inverse));
  read_vector(B->args[WEIGHT].tensor, n, 1, s.scale);
  for (int64_t c = 0; c < n; c++) {
    s.scale[c] *= inverse[c];
    s.mean[c] = training ? s.shift[c] / count : 0;
    s.variance[c] = training ? s.inverse[c] / count * inverse[c] * inverse[c] : 0;
    s.inverse[c] *= inverse[c];
  }
  PERI_TRY(answer_vector(B, WEIGHT, n, s.inverse, f));
  PERI_TRY(answer_vector(B, BIAS, n, s.shift, f));
  return answer_x(B, size, mean, &s, f);
}

static peri_status grad_at_once(peri_backward *B) {
  fused f = {NULL, NULL, {NULL}};
  void *block = NULL;
  size_t bytes = STATISTICS * sizeof(double) * (size_t)B->layouts[X]->shape[1];
  peri_status status = peri_tensor_contiguous(B->grad_outputs[0], &f.g);
  if (status == PERI_OK) status = peri_tensor_contiguous(B->args[X].tensor, &f.x);
  if (status == PERI_OK) status = peri_alloc(B->context, bytes, &block);
  if (status == PERI_OK) status = fused_gradient(B, block, &f);
  peri_free(B->context, block, block != NULL ? bytes : 0);
  peri_tensor_release(&f.g);
  peri_tensor_release(&f.x);
  for (int i = 0; i <= BIAS; i++) {
    if (f.answers[i] == NULL) continue;
    if (status == PERI_OK) {
      peri_answer(B, i, peri_formula_own(B, PERI_OK, f.answers[i]));
    } else {
      peri_tensor_release(&f.answers[i]);
    }
  }
  return status;
}

/* ---- the gradient as a formula ---- */

/* The sum or the mean over all dimensions but the second. */
static peri_value over_batch(peri_backward *B, const peri_op *reduce, peri_value x, bool keepdim) {
  peri_call call;
  int64_t dims[PERI_MAX_DIMS] = {0};
  int count = 1;
  for (int d = 2; d < B->layouts[X]->ndim; d++) dims[count++] = d;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, reduce, 1, &x);
  peri_call_sizes(&call, 1, count, dims);
  call.args[2].integer = keepdim;
  return peri_step_run(B, &call);
}

/* A vector along the second dimension of x. */
static peri_value along_channels(peri_backward *B, peri_value vector) {
  int64_t shape[PERI_MAX_DIMS];
  for (int d = 0; d < B->layouts[X]->ndim; d++) shape[d] = d == 1 ? B->layouts[X]->shape[1] : 1;
  return peri_step_reshape(B, vector, B->layouts[X]->ndim, shape);
}

/* What was kept of the running statistics: row 0 the mean, row 1 the inverse of the deviation. */
static peri_value kept(peri_backward *B, int64_t row) {
  peri_tensor *constant = NULL; /* the formula is not to lead back to this node */
  peri_status status = peri_tensor_detach(B->outputs[1], &constant);
  peri_value value = peri_step_narrow(B, peri_formula_own(B, status, constant), 0, row, 1);
  return along_channels(B, peri_step_convert(B, value, B->layouts[X]->dtype));
}

static peri_value inverse_of(peri_backward *B, peri_value variance) {
  return peri_step_rsqrt(B, peri_step_add(B, variance, peri_constant(B->args[EPS].number)));
}

/* Deviations, once more from their own mean, which is not quite 0 where that of x is large; and 1 / std. */
static peri_value deviations(peri_backward *B, peri_value *inverse) {
  peri_value x = peri_of(B->args[X].tensor);
  if (B->args[TRAINING].integer) {
    for (int i = 0; i < 2; i++) x = peri_step_sub(B, x, over_batch(B, &peri_op_mean, x, true));
    *inverse = inverse_of(B, over_batch(B, &peri_op_mean, peri_step_mul(B, x, x), true));
    return x;
  }
  const peri_tensor *mean = B->args[RUNNING_MEAN].tensor, *variance = B->args[RUNNING_VAR].tensor;
  *inverse = variance != NULL ? inverse_of(B, along_channels(B, peri_of(B->args[RUNNING_VAR].tensor))) : kept(B, 1);
  return peri_step_sub(B, x, mean != NULL ? along_channels(B, peri_of(B->args[RUNNING_MEAN].tensor)) : kept(B, 0));
}

static void answer_running(peri_backward *B, peri_value g, peri_value normal, peri_value inverse) {
  if (needs(B, RUNNING_MEAN)) peri_answer(B, RUNNING_MEAN, peri_step_neg(B, over_batch(B, &peri_op_sum, g, false)));
  if (needs(B, RUNNING_VAR)) {
    peri_value slope = peri_step_mul(B, peri_step_mul(B, g, normal), inverse);
    peri_answer(B, RUNNING_VAR, peri_step_mul(B, over_batch(B, &peri_op_sum, slope, false), peri_constant(-0.5)));
  }
}

static peri_status grad_as_formula(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), inverse = peri_constant(1);
  peri_value normal = deviations(B, &inverse);
  normal = peri_step_mul(B, normal, inverse);
  if (needs(B, BIAS)) peri_answer(B, BIAS, over_batch(B, &peri_op_sum, g, false));
  if (needs(B, WEIGHT)) peri_answer(B, WEIGHT, over_batch(B, &peri_op_sum, peri_step_mul(B, g, normal), false));
  if (!needs(B, X) && !needs(B, RUNNING_MEAN) && !needs(B, RUNNING_VAR)) return PERI_OK;
  if (B->args[TRAINING].integer) {
    peri_value tilt = over_batch(B, &peri_op_mean, peri_step_mul(B, g, normal), true);
    g = peri_step_sub(B, g, over_batch(B, &peri_op_mean, g, true));
    g = peri_step_sub(B, g, peri_step_mul(B, normal, tilt));
  }
  peri_value scale = inverse;
  if (B->args[WEIGHT].tensor != NULL)
    scale = peri_step_mul(B, scale, along_channels(B, peri_of(B->args[WEIGHT].tensor)));
  g = peri_step_mul(B, g, scale);
  answer_running(B, g, normal, inverse);
  if (needs(B, X)) peri_answer(B, X, g);
  return PERI_OK;
}

static peri_status grad_batch_norm(peri_backward *B) {
  bool formula = B->create_graph || needs(B, RUNNING_MEAN) || needs(B, RUNNING_VAR);
  return formula ? grad_as_formula(B) : grad_at_once(B);
}

/* ---- networks in lanes: n x channels as it lies there is n x (channels of all lanes) ---- */

#define LANE_ROWS     256 /* rows that are not cut, however many channels there are */
#define LANE_CHANNELS 256 /* that are added up beside each other; one alone is added up otherwise */

static bool fits_lanes(const peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  bool fits = x->ndim == 2 && x->shape[0] <= LANE_ROWS && x->shape[1] > 1 && x->shape[1] <= LANE_CHANNELS;
  for (int i = X; i <= BIAS; i++) fits = fits && (call->args[i].tensor == NULL || call->args[i].tensor->contiguous);
  return fits;
}

static peri_layout all_channels(peri_layout layout) {
  layout.ndim--;
  layout.shape[layout.ndim - 1] *= PERI_LANES;
  layout.strides[layout.ndim - 1] = 1;
  return layout;
}

/* A contiguous tensor in lanes with the channels of all; it is the caller's. */
static peri_tensor *with_all_channels(const peri_tensor *x, peri_tensor *room) {
  if (x == NULL) return NULL;
  *room = *x;
  room->references = 1;
  room->layout = all_channels(x->layout);
  return room;
}

static peri_status run_lanes(peri_call *call) {
  peri_tensor args[BIAS + 1], outputs[2];
  peri_call own = *call;
  own.outputs = own.few_outputs;
  for (int i = X; i <= BIAS; i++) own.args[i].tensor = with_all_channels(call->args[i].tensor, &args[i]);
  for (int i = 0; i < 2; i++) own.outputs[i].tensor = with_all_channels(call->outputs[i].tensor, &outputs[i]);
  PERI_TRY(run_batch_norm(&own));
  commit_batch_norm(&own);
  return PERI_OK;
}

static peri_status grad_lanes(const peri_backward *B, peri_tensor *const *answers) {
  peri_tensor args[BIAS + 1], kept, arrived, made[BIAS + 1], *g, *supply[BIAS + 1], *given[EPS + 1] = {NULL};
  peri_arg own_args[EPS + 1];
  peri_layout layout;
  const peri_layout *layouts[EPS + 1];
  peri_formula formula;
  peri_backward own = *B;
  int n = 0;
  PERI_TRY(peri_tensor_contiguous(B->grad_outputs[0], &g));
  memcpy(own_args, B->args, sizeof own_args);
  for (int i = X; i <= BIAS; i++) own_args[i].tensor = with_all_channels(B->args[i].tensor, &args[i]);
  for (int i = 0; i < B->edges && i <= EPS; i++) layouts[i] = B->layouts[i];
  for (int i = X; i <= BIAS; i++) {
    if (!needs(B, i)) continue;
    supply[n] = with_all_channels(answers[n], &made[n]);
    n++;
  }
  layout = args[X].layout;
  layouts[X] = &layout;
  own.args = own_args;
  own.layouts = layouts;
  own.outputs[1] = with_all_channels(B->outputs[1], &kept);
  own.grad_outputs = (peri_tensor *[]){with_all_channels(g, &arrived)};
  own.answers = given;
  own.supply = supply;
  peri_formula_begin(&own, &formula);
  peri_status status = grad_at_once(&own), steps = peri_formula_end(&own);
  for (int i = X; i <= BIAS; i++) peri_tensor_release(&given[i]);
  peri_tensor_release(&g);
  return status == PERI_OK ? steps : status;
}

const peri_op peri_op_batch_norm = {
    .name = "batch_norm",
    .saves = PERI_SAVE_INPUT(X) | PERI_SAVE_INPUT(RUNNING_MEAN) | PERI_SAVE_INPUT(RUNNING_VAR) |
             PERI_SAVE_INPUT(WEIGHT) | PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"running_mean", PERI_KIND_TENSOR, .optional = true},
               {"running_var", PERI_KIND_TENSOR, .optional = true},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"bias", PERI_KIND_TENSOR, .optional = true},
               {"training", PERI_KIND_BOOL, .optional = true},
               {"momentum", PERI_KIND_NUMBER, .optional = true, .otherwise = 0.1},
               {"eps", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-5}},
    .infer = infer_batch_norm,
    .run = run_batch_norm,
    .commit = commit_batch_norm,
    .grad = PERI_FULL(grad_batch_norm),
    .run_lanes = PERI_FULL(run_lanes),
    .lanes_fit = PERI_FULL(fits_lanes),
    .grad_lanes = PERI_FULL(grad_lanes),
    .low = 0.25,
    .high = 2,
    .sample = "{T(5, 3), T(3):detach(), T(3):detach(), T(3), T(3), true}, {T(2, 3, 4), T(3), T(3), T(3), T(3)}, "
              "{T(2, 3, 2, 2), {training = true, eps = 0.01}}, {T(4, 2), T(2), T(2)}, "
              "{T(2, 3, 4), nil, nil, T(3), T(3), true}, "
              "{T(4, 3), (T(3) * 0):detach(), (T(3) * 0 + 2):detach(), T(3), T(3)}",
    .doc = "batch_norm(x, running_mean, running_var, weight, bias, training = false, momentum = 0.1, eps = 1e-5) -> "
           "tensor\n"
           "(x - mean) / sqrt(var + eps) * weight + bias for each channel of x, which is N x C or has more dimensions "
           "behind. Mean and variance are the running ones, C values each; with training = true those of the batch "
           "(divided by the count), and running_mean and running_var, if given, become (1 - momentum) of what they "
           "were and momentum of the batch's (the variance divided by count - 1), in place. weight and bias may be "
           "left out: 1 and 0. Floats of one dtype. S. Ioffe, C. Szegedy, 'Batch Normalization', 2015.\n"
           "Errors: one value for each channel while training; running statistics that require grad then.",
};

const peri_op *const peri_ops_normalize[] = {&peri_op_batch_norm, NULL};
