/* Normalisation as layers. The running statistics of batch_norm are buffers. */
#include "nn/kinds.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

enum { EPS, MOMENTUM }; /* options */
enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, BATCHES };

/* How much of the running statistics the next batch is: as much as each before it, where that is asked for. */
static double momentum_of(const peri_layer *layer, int64_t batches) {
  double momentum = layer->options[MOMENTUM];
  return peri_option_word(momentum) == 0 ? 1 / ((double)batches + 1) : momentum;
}

static peri_status count_batch(void *batches) {
  peri_tensor *x = batches;
  ++*(int64_t *)(void *)x->data;
  x->storage->version++;
  return PERI_OK;
}
static void release_count(void *batches) { peri_tensor_release(&(peri_tensor *){batches}); }

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
  if (!layer->training || count == NULL) return PERI_OK;
  count_batch(batches);
  peri_recorder *r = layer->context->recorder;
  if (r != NULL && peri_option_word(layer->options[MOMENTUM]) == 0)
    peri_refuse_recorder(r, "%s's momentum follows from how many batches it has seen", layer->kind->name);
  if (r != NULL)
    r->act(r, &(peri_act){.name = "count of batches",
                          .run = count_batch,
                          .release = release_count,
                          .object = peri_tensor_retain(batches),
                          .apart = true});
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
  PERI_OPTIONS(                                                                                                        \
      {"eps", PERI_OPTION_NUMBER, 1e-5, 1e-300, 1e300, NULL, "added to the variance"},                                 \
      {"momentum", PERI_OPTION_NUMBER, 0.1, 0, 1, "cumulative",                                                        \
       "how much of the running statistics a batch becomes; 'cumulative': they are the mean of all batches'"},         \
      {"affine", PERI_OPTION_BOOL, 1, 0, 0, NULL, "learn a weight and a bias of each channel"},                        \
      {"track_running_stats", PERI_OPTION_BOOL, 1, 0, 0, NULL, "keep running statistics, which serve after eval()"})
#define PARAMETERS                                                                                                     \
  PERI_PARAMETERS({"weight", "affine", 1, {0}, PERI_FULL(peri_init_ones)},                                             \
                  {"bias", "affine", 1, {0}, PERI_FULL(peri_init_zeros)},                                              \
                  {"running_mean", "track_running_stats", 1, {0}, PERI_FULL(peri_init_zeros), .buffer = true},         \
                  {"running_var", "track_running_stats", 1, {0}, PERI_FULL(peri_init_ones), .buffer = true},           \
                  {"num_batches_tracked", "track_running_stats", 0, .initialise = PERI_FULL(peri_init_zeros),          \
                   .buffer = true, .counts = true})
#define DOC                                                                                                                  \
  " while training by the batch's mean and variance, after eval() by the running ones: peri.batch_norm. weight "             \
  "begins as peri_init_ones, bias as zeros; running_mean, running_var and num_batches_tracked are saved with the layer and " \
  "not trained. momentum is a number or 'cumulative'. Without running statistics the batch's always serve."

const peri_layer_kind peri_kind_batch_norm1d = {
    .name = "BatchNorm1d",
    .inputs = 1,
    .sizes = PERI_SIZES({"num_features"}),
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
    .sizes = PERI_SIZES({"num_features"}),
    .options = OPTIONS,
    .parameters = PARAMETERS,
    .forward = forward_2d,
    .sample = "{{3}, {T(2, 3, 2, 4)}}, {{2, {momentum = 0.5, eps = 0.01}}, {T(1, 2, 3, 3)}}, "
              "{{2, {affine = false, track_running_stats = false}}, {T(4, 2, 1, 2)}}",
    .doc = "BatchNorm2d(num_features, {eps = 1e-5, momentum = 0.1, affine = true, track_running_stats = true, "
           "dtype = 'float32'}) -> layer\n"
           "Normalises each of the C = num_features channels of N x C x H x W:" DOC};

/* ---- each sample by its own numbers: rows of the operation table ---- */

#define EPS_OPTION                                                                                                     \
  { "eps", PERI_OPTION_NUMBER, 1e-5, 1e-300, 1e300, NULL, "added to the variance" }
#define AFFINE_OPTION(initial)                                                                                         \
  { "affine", PERI_OPTION_BOOL, initial, 0, 0, NULL, "learn a weight and a bias of each channel" }

static int normalized_shape(const peri_layer *layer, int copy, int64_t *shape) {
  (void)copy;
  int n = 0;
  for (; n < 4 && layer->sizes[n] > 0; n++) shape[n] = layer->sizes[n];
  return n;
}

const peri_layer_kind peri_kind_layer_norm = {
    .name = "LayerNorm",
    .inputs = 1,
    .sizes = PERI_SIZES({"normalized_shape", 4, .open = true}),
    .options = PERI_OPTIONS(EPS_OPTION, {"elementwise_affine", PERI_OPTION_BOOL, 1, 0, 0, NULL,
                                         "learn a weight and a bias of each element"}),
    .parameters = PERI_PARAMETERS(
        {"weight", "elementwise_affine", .initialise = PERI_FULL(peri_init_ones), .shape_of = normalized_shape},
        {"bias", "elementwise_affine", .initialise = PERI_FULL(peri_init_zeros), .shape_of = normalized_shape}),
    .row = &peri_op_layer_norm,
    .sample = "{{3}, {T(5, 3)}}, {{{3, 4}, {eps = 0.01}}, {T(2, 3, 4)}}, {{4, {elementwise_affine = false}}, {T(2, 2, "
              "4)}}",
    .doc =
        "LayerNorm(normalized_shape, {eps = 1e-5, elementwise_affine = true, dtype = 'float32'}) -> layer\n"
        "Normalises x over its last dimensions, whose sizes are normalized_shape, a number or a table of up to four: "
        "peri.layer_norm. weight and bias, of that shape, begin as ones and zeros."};

const peri_layer_kind peri_kind_rms_norm = {
    .name = "RMSNorm",
    .inputs = 1,
    .sizes = PERI_SIZES({"normalized_shape", 4, .open = true}),
    .options = PERI_OPTIONS({"eps", PERI_OPTION_NUMBER, PERI_OPTION_WORD(0), 1e-300, 1e300, "none",
                             "added to the mean of squares; none: what the dtype rounds 1 by"},
                            {"elementwise_affine", PERI_OPTION_BOOL, 1, 0, 0, NULL, "learn a weight of each element"}),
    .parameters = PERI_PARAMETERS(
        {"weight", "elementwise_affine", .initialise = PERI_FULL(peri_init_ones), .shape_of = normalized_shape}),
    .row = &peri_op_rms_norm,
    .sample = "{{3}, {T(5, 3)}}, {{{3, 4}, {eps = 0.01}}, {T(2, 3, 4)}}, {{4, {elementwise_affine = false}}, {T(2, 2, "
              "4)}}",
    .doc =
        "RMSNorm(normalized_shape, {eps = 'none', elementwise_affine = true, dtype = 'float32'}) -> layer\n"
        "Divides x by the root of the mean of its squares over its last dimensions, whose sizes are normalized_shape, "
        "a number or a table of up to four: peri.rms_norm. weight, of that shape, begins as ones; eps = 'none' is "
        "that of the dtype."};

const peri_layer_kind peri_kind_group_norm = {
    .name = "GroupNorm",
    .inputs = 1,
    .sizes = PERI_SIZES({"num_groups"}, {"num_channels"}),
    .options = PERI_OPTIONS(EPS_OPTION, AFFINE_OPTION(1)),
    .parameters = PERI_PARAMETERS({"weight", "affine", 1, {1}, PERI_FULL(peri_init_ones)},
                                  {"bias", "affine", 1, {1}, PERI_FULL(peri_init_zeros)}),
    .row = &peri_op_group_norm,
    .sample = "{{2, 4}, {T(5, 4)}}, {{1, 3, {eps = 0.01}}, {T(2, 3, 4)}}, {{3, 3, {affine = false}}, {T(2, 3, 2, 2)}}",
    .doc = "GroupNorm(num_groups, num_channels, {eps = 1e-5, affine = true, dtype = 'float32'}) -> layer\n"
           "Normalises each sample of N x C, or with more dimensions behind, in num_groups groups of its C = "
           "num_channels channels: peri.group_norm. weight and bias, one for each channel, begin as ones and zeros."};

/* What the batch makes of the running statistics: the means of those of each image, into room for 2 + 2 N numbers of
 * each of C channels, of which the first two are the new ones. */
static peri_status images_statistics(const peri_layer *layer, peri_tensor *x, double *room) {
  const int64_t n = x->layout.shape[0], c = x->layout.shape[1], count = x->layout.shape[2] * x->layout.shape[3];
  double *now[2] = {room, room + c}, *mean = room + 2 * c, *variance = mean + n * c,
         momentum = layer->options[MOMENTUM];
  const peri_channels channels = {1, n * c, count};
  peri_tensor *own;
  peri_refuse_replay(layer->context, "%s keeps running statistics of its images", layer->kind->name);
  PERI_TRY(peri_tensor_contiguous(x, &own));
  peri_status status = peri_channel_moments(layer->context, own->layout.dtype, channels, own->data, mean, variance);
  peri_tensor_release(&own);
  for (int64_t k = 0; k < c && status == PERI_OK; k++) {
    now[0][k] = now[1][k] = 0;
    for (int64_t i = 0; i < n; i++) {
      now[0][k] += mean[i * c + k] / (double)n;
      now[1][k] += variance[i * c + k] * ((double)count / ((double)count - 1)) / (double)n;
    }
    for (int j = 0; j < 2; j++) {
      const peri_tensor *running = layer->parameters[RUNNING_MEAN + j];
      const size_t size = peri_dtype_size(running->layout.dtype);
      const double was = peri_load_number(running->layout.dtype, running->data + (size_t)k * size);
      now[j][k] = (1 - momentum) * was + momentum * now[j][k];
    }
  }
  return status;
}

static void set_running(const peri_layer *layer, const double *room) {
  for (int j = 0; j < 2; j++) {
    peri_tensor *running = layer->parameters[RUNNING_MEAN + j];
    const int64_t c = running->layout.numel;
    const size_t size = peri_dtype_size(running->layout.dtype);
    for (int64_t k = 0; k < c; k++)
      peri_store_number(running->layout.dtype, running->data + (size_t)k * size, room[j * c + k]);
    running->storage->version++;
  }
}

static peri_status normalize_images(const peri_layer *layer, peri_tensor *x, peri_tensor **out) {
  peri_tensor *operands[] = {x, layer->parameters[WEIGHT], layer->parameters[BIAS]};
  peri_call call;
  peri_call_open(&call, layer->context, &peri_op_instance_norm);
  for (int i = 0; i < 3; i++) {
    call.args[i].given = operands[i] != NULL;
    call.args[i].tensor = operands[i];
  }
  call.args[3].number = layer->options[EPS];
  return peri_layer_run(&call, out);
}

static peri_status forward_instance_norm(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                         peri_tensor **out) {
  const peri_layout *x = &inputs[0]->layout;
  char text[PERI_SHAPE_TEXT];
  (void)activation;
  if (x->ndim != 4 || x->shape[1] != layer->sizes[0]) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "InstanceNorm2d: x is %s (expected N x %lld x H x W)",
                     peri_shape_text(x->ndim, x->shape, text), (long long)layer->sizes[0]);
  }
  const bool tracks = layer->parameters[RUNNING_MEAN] != NULL;
  if (tracks && !layer->training) return forward(layer, inputs[0], 4, 4, "N x C x H x W", out);
  for (int j = 0; j < 2 && tracks; j++)
    PERI_TRY(peri_tensor_check_write(layer->parameters[RUNNING_MEAN + j], layer->kind->name, "a running mean"));
  PERI_TRY(normalize_images(layer, inputs[0], out));
  if (!tracks || x->numel == 0) return PERI_OK;
  const size_t bytes = (size_t)((2 + 2 * x->shape[0]) * x->shape[1]) * sizeof(double);
  void *room;
  peri_status status = peri_alloc(layer->context, bytes, &room);
  if (status == PERI_OK) {
    status = images_statistics(layer, inputs[0], room);
    if (status == PERI_OK) set_running(layer, room);
    peri_free(layer->context, room, bytes);
  }
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

const peri_layer_kind peri_kind_instance_norm2d = {
    .name = "InstanceNorm2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"num_features"}),
    .options = PERI_OPTIONS(
        EPS_OPTION,
        {"momentum", PERI_OPTION_NUMBER, 0.1, 0, 1, NULL, "how much of the running statistics a batch becomes"},
        AFFINE_OPTION(0),
        {"track_running_stats", PERI_OPTION_BOOL, 0, 0, 0, NULL, "keep running statistics, which serve after eval()"}),
    .parameters = PARAMETERS,
    .forward = forward_instance_norm,
    .sample = "{{3}, {T(2, 3, 2, 4)}}, {{2, {affine = true, eps = 0.01}}, {T(1, 2, 3, 3)}}, {{2}, {T(4, 2, 1, 2)}}, "
              "{{2, {track_running_stats = true, momentum = 0.5}}, {T(2, 2, 2, 2)}}",
    .doc = "InstanceNorm2d(num_features, {eps = 1e-5, momentum = 0.1, affine = false, track_running_stats = false, "
           "dtype = 'float32'}) -> layer\n"
           "Normalises each of the C = num_features channels of each image of N x C x H x W, while training and after "
           "eval() alike: peri.instance_norm. weight and bias, with affine = true, begin as ones and zeros. With "
           "track_running_stats = true the means over the images of mean and variance go into running_mean and "
           "running_var while training, as those of BatchNorm2d, and serve after eval()."};
