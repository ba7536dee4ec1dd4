/* The table of layers. */
#include "nn/kinds.h"

#include "kernels/kernels.h"
#include "ops/rows.h"

#include <math.h>

peri_status peri_layer_run(peri_call *call, peri_tensor **out) {
  PERI_TRY(peri_call_run(call));
  for (int i = 1; i < call->op->outputs; i++) peri_tensor_release(&call->outputs[i].tensor);
  *out = call->outputs[0].tensor;
  return PERI_OK;
}

/* ---- Linear ---- */

/* Uniform in +-1/sqrt(inputs of one output), weight and bias alike: what PyTorch's layers do, which follows
 * Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient BackProp", 1998, up to a constant. */
static peri_status uniform_within(const peri_layer *layer, peri_tensor *parameter, double bound) {
  peri_dtype dtype = parameter->layout.dtype;
  int64_t n = parameter->layout.numel;
  uint64_t first = peri_stream_take(&layer->context->stream, peri_random_blocks(dtype, n));
  return peri_fill_uniform(layer->context, dtype, n, layer->context->stream.seed, first, -bound, bound,
                           parameter->data);
}

static peri_status uniform_by_inputs(const peri_layer *layer, peri_tensor *parameter) {
  return uniform_within(layer, parameter, 1 / sqrt((double)layer->sizes[0]));
}

/* A row's first arguments: x, weight, bias if there is one. */
static void open_with_parameters(peri_call *call, const peri_layer *layer, const peri_op *op, peri_tensor *x) {
  peri_call_open(call, layer->context, op);
  peri_tensor *operands[] = {x, layer->parameters[0], layer->parameters[1]};
  for (int i = 0; i < 3; i++) {
    call->args[i].given = operands[i] != NULL;
    call->args[i].tensor = operands[i];
  }
}

static peri_status forward_linear(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                  peri_tensor **out) {
  peri_call call;
  open_with_parameters(&call, layer, &peri_op_linear, inputs[0]);
  call.args[3].integer = activation;
  return peri_layer_run(&call, out);
}

static const peri_layer_kind Linear = {
    .name = "Linear",
    .inputs = 1,
    .sizes = {{"in_features"}, {"out_features"}},
    .options = {{"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias"}},
    .parameters = {{"weight", NULL, 2, {1, 0}, uniform_by_inputs}, {"bias", "bias", 1, {1}, uniform_by_inputs}},
    .forward = forward_linear,
    .activates = true,
    .sample = "{{3, 4}, {T(5, 3)}}, {{3, 4, {bias = false}}, {T(2, 5, 3)}}, {{2, 1}, {T(2)}}",
    .doc = "Linear(in_features, out_features, {bias = true, dtype = 'float32'}) -> layer\n"
           "x weight' + bias over the last dimension of x. weight (out_features x in_features) and bias begin "
           "uniform in +-1/sqrt(in_features), from the default stream."};

/* ---- Conv2d ---- */

/* The values of its sizes and options. */
enum { IN_CHANNELS, OUT_CHANNELS, KERNEL };
enum { STRIDE, PADDING = 2, DILATION = 4, GROUPS = 6 };

static void shape_of_kernels(const peri_layer *layer, int64_t *shape) {
  shape[0] = layer->sizes[OUT_CHANNELS];
  shape[1] = layer->sizes[IN_CHANNELS] / (int64_t)layer->options[GROUPS];
  shape[2] = layer->sizes[KERNEL];
  shape[3] = layer->sizes[KERNEL + 1];
}

/* Which word stands in the place of the padding, or -1. */
static int padding_word(const peri_layer *layer) { return peri_option_word(layer->options[PADDING]); }

static peri_status check_conv(const peri_layer *layer) {
  const int64_t *sizes = layer->sizes, groups = (int64_t)layer->options[GROUPS];
  if (sizes[IN_CHANNELS] % groups != 0 || sizes[OUT_CHANNELS] % groups != 0) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT,
                     "Conv2d: groups is %lld (expected a divisor of in_channels, %lld, and of out_channels, %lld)",
                     (long long)groups, (long long)sizes[IN_CHANNELS], (long long)sizes[OUT_CHANNELS]);
  }
  if (padding_word(layer) == 1 && (layer->options[STRIDE] != 1 || layer->options[STRIDE + 1] != 1)) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT,
                     "Conv2d: padding is 'same' and stride is %.0f x %.0f (expected 1)", layer->options[STRIDE],
                     layer->options[STRIDE + 1]);
  }
  return PERI_OK;
}

static peri_status uniform_by_patch(const peri_layer *layer, peri_tensor *parameter) {
  int64_t shape[4];
  PERI_TRY(check_conv(layer));
  shape_of_kernels(layer, shape);
  return uniform_within(layer, parameter, 1 / sqrt((double)shape[1] * (double)shape[2] * (double)shape[3]));
}

static void set_pair(peri_call *call, int arg, const double *values) {
  peri_call_sizes(call, arg, 2, (int64_t[]){(int64_t)values[0], (int64_t)values[1]});
}

static peri_status forward_conv(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                peri_tensor **out) {
  peri_call call;
  open_with_parameters(&call, layer, &peri_op_conv2d, inputs[0]);
  set_pair(&call, 3, layer->options + STRIDE);
  if (padding_word(layer) < 0)
    set_pair(&call, 4, layer->options + PADDING);
  else
    call.args[4].integer = 1 + padding_word(layer);
  set_pair(&call, 5, layer->options + DILATION);
  call.args[6].integer = (int64_t)layer->options[GROUPS];
  call.args[7].integer = activation;
  return peri_layer_run(&call, out);
}

#define MOST_STEP 1073741824
static const peri_layer_kind Conv2d = {
    .name = "Conv2d",
    .inputs = 1,
    .sizes = {{"in_channels"}, {"out_channels"}, {"kernel_size", 2}},
    .options = {{"stride", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "from one patch to the next", 2},
                {"padding", PERI_OPTION_INTEGER, 0, 0, MOST_STEP, "valid same",
                 "zeros around the image; same: the result is as large as x", 2},
                {"dilation", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "from one element of a patch to the next", 2},
                {"groups", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "of channels, which do not see each other"},
                {"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias"}},
    .parameters = {{"weight", NULL, 4, .initialise = uniform_by_patch, .shape_of = shape_of_kernels},
                   {"bias", "bias", 1, {OUT_CHANNELS}, uniform_by_patch}},
    .forward = forward_conv,
    .activates = true,
    .sample =
        "{{2, 3, 3}, {T(2, 2, 5, 4)}}, {{2, 4, {3, 2}, {stride = 2, padding = {1, 0}, groups = 2, bias = false}}, "
        "{T(2, 5, 6)}}, {{1, 2, 3, {padding = 'same', dilation = 2}}, {T(2, 1, 4, 5)}}",
    .doc = "Conv2d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = "
           "true, dtype = 'float32'}) -> layer\n"
           "conv2d of images N x C x H x W or C x H x W. kernel_size, stride, padding and dilation are a number or "
           "{rows, columns}; padding may be 'valid' or 'same'. weight (out_channels x in_channels / groups x rows x "
           "columns) and bias begin uniform in +-1/sqrt(in_channels / groups * rows * columns), from the default "
           "stream."};

/* ---- Dropout ---- */

/* Zero with probability p, else 1 / (1 - p). u holds uniform numbers of [0, 1) and becomes the mask. */
static void make_mask(peri_tensor *u, double p) {
  double scale = p < 1 ? 1 / (1 - p) : 0;
  int64_t n = u->layout.numel;
  if (u->layout.dtype == PERI_FLOAT64) {
    double *mask = (double *)(void *)u->data;
    for (int64_t i = 0; i < n; i++) mask[i] = mask[i] < p ? 0 : scale;
  } else {
    float *mask = (float *)(void *)u->data, limit = (float)p, kept = (float)scale;
    for (int64_t i = 0; i < n; i++) mask[i] = mask[i] < limit ? 0 : kept;
  }
}

static peri_status drop(const peri_layer *layer, peri_tensor *x, double p, peri_tensor **out) {
  peri_context *context = layer->context;
  peri_tensor *mask;
  peri_layout layout;
  peri_stream before = context->stream;
  peri_layout_set(&layout, x->layout.dtype, x->layout.ndim, x->layout.shape);
  PERI_TRY(peri_tensor_empty(context, &layout, &mask));
  uint64_t first = peri_stream_take(&context->stream, peri_random_blocks(layout.dtype, layout.numel));
  peri_status status = peri_fill_uniform(context, layout.dtype, layout.numel, before.seed, first, 0, 1, mask->data);
  if (status == PERI_OK) {
    make_mask(mask, p);
    peri_call call;
    peri_call_open(&call, context, &peri_op_mul);
    call.args[0].given = call.args[1].given = true;
    call.args[0].tensor = x;
    call.args[1].tensor = mask;
    status = peri_layer_run(&call, out);
  }
  peri_tensor_release(&mask);
  if (status != PERI_OK) context->stream = before;
  return status;
}

static peri_status forward_dropout(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                   peri_tensor **out) {
  peri_tensor *x = inputs[0];
  (void)activation;
  if (!peri_is_float(x->layout.dtype)) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "Dropout: x is %s (expected float32 or float64)",
                     peri_dtype_name(x->layout.dtype));
  }
  if (layer->training && layer->options[0] > 0) return drop(layer, x, layer->options[0], out);
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

static const peri_layer_kind Dropout = {
    .name = "Dropout",
    .inputs = 1,
    .options = {{"p", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "the probability that an element becomes zero"}},
    .forward = forward_dropout,
    .sample = "{{{p = 0.25}}, {T(4, 3)}}, {{}, {T(5)}}, {{{p = 0}}, {T(5)}}",
    .doc = "Dropout({p = 0.5}) -> layer\n"
           "While training, each element becomes 0 with probability p and else is divided by 1 - p; after eval() x "
           "itself. Draws from the default stream. N. Srivastava et al., 'Dropout', 2014."};

/* ---- Identity ---- */

static peri_status forward_identity(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                    peri_tensor **out) {
  (void)layer, (void)activation;
  *out = peri_tensor_retain(inputs[0]);
  return PERI_OK;
}

static const peri_layer_kind Identity = {.name = "Identity",
                                         .inputs = 1,
                                         .forward = forward_identity,
                                         .sample = "{{}, {T(4, 3)}}",
                                         .doc = "Identity() -> layer\nx itself."};

/* ---- rows of the operation table ---- */

static const peri_layer_kind Tanh = {.name = "Tanh",
                                     .inputs = 1,
                                     .row = &peri_op_tanh,
                                     .activation = 1,
                                     .sample = "{{}, {T(4, 3)}}",
                                     .doc = "Tanh() -> layer\nThe hyperbolic tangent of each element."};
static const peri_layer_kind ReLU = {.name = "ReLU",
                                     .inputs = 1,
                                     .row = &peri_op_relu,
                                     .activation = 2,
                                     .sample = "{{}, {T(4, 3)}}",
                                     .doc = "ReLU() -> layer\nEach element where it is positive, else 0."};
static const peri_layer_kind Sigmoid = {.name = "Sigmoid",
                                        .inputs = 1,
                                        .row = &peri_op_sigmoid,
                                        .activation = 3,
                                        .sample = "{{}, {T(4, 3)}}",
                                        .doc = "Sigmoid() -> layer\n1 / (1 + exp(-x)) of each element."};

#define DIM_OPTION(initial, doc)                                                                                       \
  {                                                                                                                    \
    { "dim", PERI_OPTION_INTEGER, initial, -PERI_MAX_DIMS, PERI_MAX_DIMS, NULL, doc }                                  \
  }

static const peri_layer_kind Softmax = {
    .name = "Softmax",
    .inputs = 1,
    .row = &peri_op_softmax,
    .options = DIM_OPTION(-1, "the dimension whose elements sum to 1"),
    .sample = "{{}, {T(4, 3)}}, {{{dim = 1}}, {T(4, 3)}}, {{{dim = -2}}, {T(2, 3, 2)}}",
    .doc = "Softmax({dim = -1}) -> layer\n"
           "exp(x) divided by its sum along dim. Before CrossEntropyLoss it is not needed: that takes logits."};
static const peri_layer_kind LogSoftmax = {
    .name = "LogSoftmax",
    .inputs = 1,
    .row = &peri_op_log_softmax,
    .options = DIM_OPTION(-1, "the dimension along which it normalises"),
    .sample = "{{}, {T(4, 3)}}, {{{dim = 1}}, {T(4, 3)}}",
    .doc = "LogSoftmax({dim = -1}) -> layer\nThe logarithm of the softmax along dim."};

static const peri_layer_kind Flatten = {
    .name = "Flatten",
    .inputs = 1,
    .row = &peri_op_flatten,
    .options = DIM_OPTION(2, "the first of the dimensions that become one"),
    .sample = "{{}, {T(4, 3, 2)}}, {{{dim = 1}}, {T(4, 3)}}, {{}, {T(4, 3)}}",
    .doc = "Flatten({dim = 2}) -> layer\nThe dimensions from dim on as one: n x 1 x 28 x 28 becomes n x 784."};

const peri_layer_kind *const peri_layer_kinds[] = {&Linear,
                                                   &Conv2d,
                                                   &Tanh,
                                                   &ReLU,
                                                   &Sigmoid,
                                                   &Softmax,
                                                   &LogSoftmax,
                                                   &Flatten,
                                                   &Identity,
                                                   &Dropout,
                                                   &peri_kind_max_pool2d,
                                                   &peri_kind_avg_pool2d,
                                                   &peri_kind_adaptive_avg_pool2d,
                                                   &peri_kind_batch_norm1d,
                                                   &peri_kind_batch_norm2d,
                                                   NULL};
