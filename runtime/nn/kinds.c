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

/* ---- initial values ---- */

peri_status peri_init_zeros(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  memset(parameter->data, 0, (size_t)parameter->layout.numel * peri_dtype_size(parameter->layout.dtype));
  return PERI_OK;
}

peri_status peri_init_ones(const peri_layer *layer, peri_tensor *parameter) {
  peri_dtype dtype = parameter->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  (void)layer;
  for (int64_t i = 0; i < parameter->layout.numel; i++) peri_store_number(dtype, parameter->data + (size_t)i * size, 1);
  return PERI_OK;
}

peri_status peri_init_uniform(const peri_layer *layer, peri_tensor *parameter, double inputs) {
  peri_dtype dtype = parameter->layout.dtype;
  int64_t n = parameter->layout.numel;
  double bound = 1 / sqrt(inputs);
  uint64_t first = peri_stream_take(&layer->context->stream, peri_random_blocks(dtype, n));
  return peri_fill_uniform(layer->context, dtype, n, layer->context->stream.seed, first, -bound, bound,
                           parameter->data);
}

/* ---- Linear ---- */

static peri_status uniform_by_inputs(const peri_layer *layer, peri_tensor *parameter) {
  return peri_init_uniform(layer, parameter, (double)layer->sizes[0]);
}

static const peri_layer_kind Linear = {
    .name = "Linear",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_features"}, {"out_features"}),
    .options = PERI_OPTIONS({"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias"}),
    .parameters = PERI_PARAMETERS({"weight", NULL, 2, {1, 0}, PERI_FULL(uniform_by_inputs)},
                                  {"bias", "bias", 1, {1}, PERI_FULL(uniform_by_inputs)}),
    .row = &peri_op_linear,
    .activates = true,
    .sample = "{{3, 4}, {T(5, 3)}}, {{3, 4, {bias = false}}, {T(2, 5, 3)}}, {{2, 1}, {T(2)}}",
    .doc = "Linear(in_features, out_features, {bias = true, dtype = 'float32'}) -> layer\n"
           "x weight' + bias over the last dimension of x. weight (out_features x in_features) and bias begin "
           "uniform in +-1/sqrt(in_features), from the default stream."};

/* ---- Dropout ---- */

/* The images of the channels of x are dropped together: ones of their number are, and spread. */
static peri_status drop_images(peri_context *context, double p, peri_tensor *x, peri_tensor **out) {
  peri_tensor *ones = NULL, *mask = NULL;
  peri_layout layout;
  const int64_t shape[4] = {x->layout.shape[0], x->layout.shape[1], 1, 1};
  peri_stream before = context->stream;
  peri_layout_set(&layout, x->layout.dtype, 4, shape);
  PERI_TRY(peri_tensor_full(context, &layout, 1, &ones));
  if (context->recorder != NULL) context->recorder->constant(context->recorder, ones);
  peri_status status = peri_layer_drop(context, p, ones, &mask);
  if (status == PERI_OK) {
    peri_call call;
    peri_call_open(&call, context, &peri_op_mul);
    call.args[0].given = call.args[1].given = true;
    call.args[0].tensor = x;
    call.args[1].tensor = mask;
    status = peri_layer_run(&call, out);
  }
  peri_tensor_release(&ones);
  peri_tensor_release(&mask);
  if (status != PERI_OK) context->stream = before;
  return status;
}

peri_status peri_layer_drop(peri_context *context, double p, peri_tensor *x, peri_tensor **out) {
  peri_call call;
  peri_call_open(&call, context, &peri_op_dropout);
  call.args[0].given = true;
  call.args[0].tensor = x;
  call.args[1].number = p;
  return peri_layer_run(&call, out);
}

static peri_status drop_while_training(const peri_layer *layer, peri_tensor *x, bool images, peri_tensor **out) {
  char text[PERI_SHAPE_TEXT];
  if (!peri_is_float(x->layout.dtype)) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: x is %s (expected float32 or float64)", layer->kind->name,
                     peri_dtype_name(x->layout.dtype));
  }
  if (images && x->layout.ndim != 4) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: x is %s (expected N x C x H x W)", layer->kind->name,
                     peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  if (PERI_TRAINS && layer->training && layer->options[0] > 0) {
    if (images) return drop_images(layer->context, layer->options[0], x, out);
    return peri_layer_drop(layer->context, layer->options[0], x, out);
  }
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

static peri_status forward_dropout(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                   peri_tensor **out) {
  (void)activation;
  return drop_while_training(layer, inputs[0], false, out);
}
static peri_status forward_dropout2d(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                     peri_tensor **out) {
  (void)activation;
  return drop_while_training(layer, inputs[0], true, out);
}

const peri_layer_kind peri_kind_dropout2d = {
    .name = "Dropout2d",
    .inputs = 1,
    .options = PERI_OPTIONS({"p", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "the probability that a channel becomes zero"}),
    .forward = forward_dropout2d,
    .sample = "{{{p = 0.25}}, {T(2, 3, 2, 2)}}, {{}, {T(1, 2, 2, 3)}}, {{{p = 0}}, {T(2, 1, 1, 1)}}",
    .doc =
        "Dropout2d({p = 0.5}) -> layer\n"
        "While training, each channel of each image of N x C x H x W becomes 0 with probability p and else is divided "
        "by 1 - p; after eval() x itself. Draws from the default stream. J. Tompson et al., 'Efficient object "
        "localization using convolutional networks', 2015."};

static const peri_layer_kind Dropout = {
    .name = "Dropout",
    .inputs = 1,
    .options = PERI_OPTIONS({"p", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "the probability that an element becomes zero"}),
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

#define NONE                                                                                                           \
  { NULL }
#define NUMBER(name, value, doc)                                                                                       \
  { name, PERI_OPTION_NUMBER, value, 0, 0, NULL, doc }
#define CHOICE(name, words, doc)                                                                                       \
  { name, PERI_OPTION_CHOICE, 0, 0, 0, words, doc }
#define TWO(first, second) first, second
#define ACTIVATION(class_name, row_name, fused, option_list, arguments, samples, doc_text)                             \
  static const peri_layer_kind class_name = {.name = #class_name,                                                      \
                                             .inputs = 1,                                                              \
                                             .options = PERI_OPTIONS(option_list),                                     \
                                             .row = &peri_op_##row_name,                                               \
                                             .activation = fused,                                                      \
                                             .sample = "{{}, {T(4, 3)}}" samples,                                      \
                                             .doc = #class_name "(" arguments ") -> layer\n" doc_text};
#include "nn/activations.def"

static int one_for_each(const peri_layer *layer, int copy, int64_t *shape) {
  (void)copy;
  shape[0] = (int64_t)layer->options[0];
  return 1;
}
static peri_status slopes(const peri_layer *layer, peri_tensor *weight) {
  for (int64_t i = 0; i < weight->layout.numel; i++) {
    peri_store_number(weight->layout.dtype, weight->data + (size_t)i * peri_dtype_size(weight->layout.dtype),
                      layer->options[1]);
  }
  return PERI_OK;
}
static const peri_layer_kind PReLU = {
    .name = "PReLU",
    .inputs = 1,
    .options = PERI_OPTIONS(
        {"num_parameters", PERI_OPTION_INTEGER, 1, 1, INT32_MAX, NULL, "one for all, or one for each channel"},
        {"init", PERI_OPTION_NUMBER, 0.25, 0, 0, NULL, "what the slopes begin as"}),
    .parameters = PERI_PARAMETERS({"weight", .initialise = PERI_FULL(slopes), .shape_of = one_for_each}),
    .row = &peri_op_prelu,
    .sample = "{{}, {T(4, 3)}}, {{{num_parameters = 3, init = 0.5}}, {T(2, 3, 2)}}",
    .doc = "PReLU({num_parameters = 1, init = 0.25, dtype = 'float32'}) -> layer\n"
           "Each element where it is positive, else a learned slope times it: weight, which has one number, or one for "
           "each channel (the second dimension of x). K. He et al., 'Delving deep into rectifiers', 2015."};

#define DIM_OPTION(initial, doc)                                                                                       \
  PERI_OPTIONS({"dim", PERI_OPTION_INTEGER, initial, -PERI_MAX_DIMS, PERI_MAX_DIMS, NULL, doc})

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

static const peri_layer_kind GLU = {
    .name = "GLU",
    .inputs = 1,
    .row = &peri_op_glu,
    .options = DIM_OPTION(-1, "the dimension that is halved"),
    .sample = "{{}, {T(3, 4)}}, {{{dim = 1}}, {T(4, 3)}}",
    .doc = "GLU({dim = -1}) -> layer\nThe first half of x along dim, times the sigmoid of the second half."};

static const peri_layer_kind Flatten = {
    .name = "Flatten",
    .inputs = 1,
    .row = &peri_op_flatten,
    .options = DIM_OPTION(2, "the first of the dimensions that become one"),
    .sample = "{{}, {T(4, 3, 2)}}, {{{dim = 1}}, {T(4, 3)}}, {{}, {T(4, 3)}}",
    .doc = "Flatten({dim = 2}) -> layer\nThe dimensions from dim on as one: n x 1 x 28 x 28 becomes n x 784."};

#ifdef PERI_SCORES
#define ELSEWHERE(name, kind) #name,
const char *const peri_layers_elsewhere[] = {PERI_KINDS_ELSEWHERE(ELSEWHERE) NULL};
#undef ELSEWHERE
#define ELSEWHERE(name, kind)
#else
#define ELSEWHERE(name, kind) &peri_kind_##kind,
const char *const peri_layers_elsewhere[] = {NULL};
#endif

const peri_layer_kind *const peri_layer_kinds[] = {&Linear,
                                                   &peri_kind_conv2d,
#define ACTIVATION(name, ...) &name,
#include "nn/activations.def"
                                                   &PReLU,
                                                   &GLU,
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
                                                   &peri_kind_conv1d,
                                                   &peri_kind_conv_transpose2d,
                                                   &peri_kind_max_pool1d,
                                                   &peri_kind_avg_pool1d,
                                                   &peri_kind_adaptive_avg_pool1d,
                                                   &peri_kind_layer_norm,
                                                   &peri_kind_rms_norm,
                                                   &peri_kind_group_norm,
                                                   &peri_kind_instance_norm2d,
                                                   &peri_kind_embedding,
                                                   &peri_kind_dropout2d,
                                                   &peri_kind_unflatten,
                                                   &peri_kind_zero_pad2d,
                                                   &peri_kind_rnn,
                                                   &peri_kind_lstm,
                                                   &peri_kind_gru,
                                                   PERI_KINDS_ELSEWHERE(ELSEWHERE) NULL};
