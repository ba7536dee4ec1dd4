/* Batch normalisation as layers: the row's running statistics are buffers. */
#include "nn/kinds.h"
#include "ops/rows.h"

enum { EPS, MOMENTUM }; /* options */
enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, BATCHES };

static peri_status fill(peri_tensor *parameter, double value) {
  peri_dtype dtype = parameter->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  for (int64_t i = 0; i < parameter->layout.numel; i++) {
    peri_store_number(dtype, parameter->data + (size_t)i * size, value);
  }
  return PERI_OK;
}
static peri_status zeros(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  return fill(parameter, 0);
}
static peri_status ones(const peri_layer *layer, peri_tensor *parameter) {
  (void)layer;
  return fill(parameter, 1);
}

/* How much of the running statistics the next batch is: as much as each before it, where that is asked for. */
static double momentum_of(const peri_layer *layer, int64_t batches) {
  double momentum = layer->options[MOMENTUM];
  return peri_option_word(momentum) == 0 ? 1 / ((double)batches + 1) : momentum;
}

static peri_status forward(const peri_layer *layer, peri_tensor *x, int least, int most, const char *expected,
                           peri_tensor **out) {
  char text[PERI_SHAPE_TEXT];
  if (x->layout.ndim < least || x->layout.ndim > most) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: x is %s (expected %s)", layer->kind->name,
                     peri_shape_text(x->layout.ndim, x->layout.shape, text), expected);
  }
  peri_tensor *const *own = layer->parameters, *batches = own[BATCHES];
  peri_tensor *operands[] = {x, own[RUNNING_MEAN], own[RUNNING_VAR], own[WEIGHT], own[BIAS]};
  int64_t *count = batches != NULL ? (int64_t *)(void *)batches->data : NULL;
  peri_call call;
  peri_call_open(&call, layer->context, &peri_op_batch_norm);
  for (int i = 0; i < 5; i++) {
    call.args[i].given = operands[i] != NULL;
    call.args[i].tensor = operands[i];
  }
  call.args[5].integer = layer->training || operands[1] == NULL;
  call.args[6].number = momentum_of(layer, count != NULL ? *count : 0);
  call.args[7].number = layer->options[EPS];
  PERI_TRY(peri_layer_run(&call, out));
  if (layer->training && count != NULL) {
    ++*count;
    batches->storage->version++;
  }
  return PERI_OK;
}

static peri_status forward_1d(const peri_layer *layer, peri_tensor *const *inputs, int activation, peri_tensor **out) {
  (void)activation;
  return forward(layer, inputs[0], 2, 3, "N x C or N x C x L", out);
}
static peri_status forward_2d(const peri_layer *layer, peri_tensor *const *inputs, int activation, peri_tensor **out) {
  (void)activation;
  return forward(layer, inputs[0], 4, 4, "N x C x H x W", out);
}

#define OPTIONS                                                                                                        \
  {                                                                                                                    \
    {"eps", PERI_OPTION_NUMBER, 1e-5, 1e-300, 1e300, NULL, "added to the variance"},                                   \
        {"momentum",                                                                                                   \
         PERI_OPTION_NUMBER,                                                                                           \
         0.1,                                                                                                          \
         0,                                                                                                            \
         1,                                                                                                            \
         "cumulative",                                                                                                 \
         "how much of the running statistics a batch becomes; 'cumulative': they are the mean of all batches'"},       \
        {"affine", PERI_OPTION_BOOL, 1, 0, 0, NULL, "learn a weight and a bias of each channel"},                      \
        {"track_running_stats", PERI_OPTION_BOOL, 1, 0, 0, NULL, "keep running statistics, which serve after eval()"}, \
  }
#define PARAMETERS                                                                                                     \
  {                                                                                                                    \
    {"weight", "affine", 1, {0}, ones}, {"bias", "affine", 1, {0}, zeros},                                             \
        {"running_mean", "track_running_stats", 1, {0}, zeros, .buffer = true},                                        \
        {"running_var", "track_running_stats", 1, {0}, ones, .buffer = true},                                          \
        {"num_batches_tracked", "track_running_stats", 0, .initialise = zeros, .buffer = true, .counts = true},        \
  }
#define DOC                                                                                                            \
  " while training by the batch's mean and variance, after eval() by the running ones: peri.batch_norm. weight "       \
  "begins as ones, bias as zeros; running_mean, running_var and num_batches_tracked are saved with the layer and "     \
  "not trained. momentum is a number or 'cumulative'. Without running statistics the batch's always serve."

const peri_layer_kind peri_kind_batch_norm1d = {
    .name = "BatchNorm1d",
    .inputs = 1,
    .sizes = {{"num_features"}},
    .options = OPTIONS,
    .parameters = PARAMETERS,
    .forward = forward_1d,
    .sample = "{{3}, {T(5, 3)}}, {{3, {momentum = 'cumulative', eps = 0.01}}, {T(2, 3, 4)}}, "
              "{{2, {affine = false, track_running_stats = false}}, {T(4, 2)}}",
    .doc = "BatchNorm1d(num_features, {eps = 1e-5, momentum = 0.1, affine = true, track_running_stats = true, "
           "dtype = 'float32'}) -> layer\n"
           "Normalises each of the C = num_features channels of N x C or N x C x L:" DOC};

const peri_layer_kind peri_kind_batch_norm2d = {
    .name = "BatchNorm2d",
    .inputs = 1,
    .sizes = {{"num_features"}},
    .options = OPTIONS,
    .parameters = PARAMETERS,
    .forward = forward_2d,
    .sample = "{{3}, {T(2, 3, 2, 4)}}, {{2, {momentum = 0.5, eps = 0.01}}, {T(1, 2, 3, 3)}}, "
              "{{2, {affine = false, track_running_stats = false}}, {T(4, 2, 1, 2)}}",
    .doc = "BatchNorm2d(num_features, {eps = 1e-5, momentum = 0.1, affine = true, track_running_stats = true, "
           "dtype = 'float32'}) -> layer\n"
           "Normalises each of the C = num_features channels of N x C x H x W:" DOC};
