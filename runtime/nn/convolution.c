/* Layers of convolutions: rows of the operation table. */
#include "nn/kinds.h"
#include "ops/rows.h"

#define MOST_STEP 1073741824
#define STRIDE(count)                                                                                                  \
  { "stride", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "from one patch to the next", count }
#define PADDING(count, words, doc)                                                                                     \
  { "padding", PERI_OPTION_INTEGER, 0, 0, MOST_STEP, words, doc, count }
#define DILATION(count)                                                                                                \
  { "dilation", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "from one element of a patch to the next", count }
#define GROUPS                                                                                                         \
  { "groups", PERI_OPTION_INTEGER, 1, 1, MOST_STEP, NULL, "of channels, which do not see each other" }
#define BIAS                                                                                                           \
  { "bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias" }
#define SAME_DOC "zeros around x; same: the result is as large as x"

enum { IN_CHANNELS, OUT_CHANNELS, KERNEL };

static double option_of(const peri_layer *layer, const char *name) {
  const double *value = layer->options;
  for (const peri_option *option = peri_kind_options(layer->kind); option->name != NULL; option++) {
    if (strcmp(option->name, name) == 0) return *value;
    value += peri_option_values(option);
  }
  return 0;
}

/* One or two sizes of the kernel behind those of the channels. */
static int shape_of_kernels(const peri_layer *layer, int copy, int64_t *shape) {
  (void)copy;
  const int dims = peri_layer_size_values(&peri_kind_sizes(layer->kind)[KERNEL]);
  shape[0] = layer->sizes[OUT_CHANNELS];
  shape[1] = layer->sizes[IN_CHANNELS] / (int64_t)option_of(layer, "groups");
  for (int d = 0; d < dims; d++) shape[2 + d] = layer->sizes[KERNEL + d];
  return 2 + dims;
}
static int shape_of_transposed(const peri_layer *layer, int copy, int64_t *shape) {
  int ndim = shape_of_kernels(layer, copy, shape);
  shape[0] = layer->sizes[IN_CHANNELS];
  shape[1] = layer->sizes[OUT_CHANNELS] / (int64_t)option_of(layer, "groups");
  return ndim;
}

static peri_status check_channels(const peri_layer *layer) {
  const int64_t *sizes = layer->sizes, groups = (int64_t)option_of(layer, "groups");
  if (sizes[IN_CHANNELS] % groups == 0 && sizes[OUT_CHANNELS] % groups == 0) return PERI_OK;
  return peri_fail(layer->context, PERI_ERR_ARGUMENT,
                   "%s: groups is %lld (expected a divisor of in_channels, %lld, and of out_channels, %lld)",
                   layer->kind->name, (long long)groups, (long long)sizes[IN_CHANNELS], (long long)sizes[OUT_CHANNELS]);
}

/* 'same' has no strides. */
static peri_status check_padding(const peri_layer *layer) {
  const int dims = peri_layer_size_values(&peri_kind_sizes(layer->kind)[KERNEL]);
  const double *stride = layer->options; /* the first of the options */
  if (peri_option_word(option_of(layer, "padding")) != 1 || (stride[0] == 1 && stride[dims - 1] == 1)) return PERI_OK;
  if (dims == 1) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: padding is 'same' and stride is %.0f (expected 1)",
                     layer->kind->name, stride[0]);
  }
  return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: padding is 'same' and stride is %.0f x %.0f (expected 1)",
                   layer->kind->name, stride[0], stride[1]);
}

/* Of weight and bias alike. */
static peri_status uniform_by_patch(const peri_layer *layer, peri_tensor *parameter) {
  int64_t shape[PERI_MAX_DIMS];
  double inputs = 1;
  PERI_TRY(check_channels(layer));
  PERI_TRY(check_padding(layer));
  int ndim = peri_kind_parameters(layer->kind)[0].shape_of(layer, 0, shape);
  for (int d = 1; d < ndim; d++) inputs *= (double)shape[d];
  return peri_init_uniform(layer, parameter, inputs);
}

#define PARAMETERS(shape)                                                                                              \
  PERI_PARAMETERS({"weight", .initialise = PERI_FULL(uniform_by_patch), .shape_of = shape},                            \
                  {"bias", "bias", 1, {OUT_CHANNELS}, PERI_FULL(uniform_by_patch)})

const peri_layer_kind peri_kind_conv2d = {
    .name = "Conv2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"kernel_size", 2}),
    .options = PERI_OPTIONS(STRIDE(2), PADDING(2, "valid same", SAME_DOC), DILATION(2), GROUPS, BIAS),
    .parameters = PARAMETERS(shape_of_kernels),
    .row = &peri_op_conv2d,
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

const peri_layer_kind peri_kind_conv1d = {
    .name = "Conv1d",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"kernel_size"}),
    .options = PERI_OPTIONS(STRIDE(1), PADDING(1, "valid same", SAME_DOC), DILATION(1), GROUPS, BIAS),
    .parameters = PARAMETERS(shape_of_kernels),
    .row = &peri_op_conv1d,
    .activates = true,
    .sample = "{{2, 3, 3}, {T(2, 2, 5)}}, {{2, 4, 3, {stride = 2, padding = 1, groups = 2, bias = false}}, {T(2, 6)}}, "
              "{{1, 2, 3, {padding = 'same', dilation = 2}}, {T(2, 1, 5)}}",
    .doc =
        "Conv1d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0, dilation = 1, groups = 1, bias = "
        "true, dtype = 'float32'}) -> layer\n"
        "conv1d of N x C x L or C x L; padding may be 'valid' or 'same'. weight (out_channels x in_channels / groups "
        "x kernel_size) and bias begin uniform in +-1/sqrt(in_channels / groups * kernel_size), from the default "
        "stream."};

const peri_layer_kind peri_kind_conv_transpose2d = {
    .name = "ConvTranspose2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"in_channels"}, {"out_channels"}, {"kernel_size", 2}),
    .options = PERI_OPTIONS(
        STRIDE(2), PADDING(2, NULL, "cut off around the result"),
        {"output_padding", PERI_OPTION_INTEGER, 0, 0, MOST_STEP, NULL, "added at the end of the result", 2},
        DILATION(2), GROUPS, BIAS),
    .parameters = PARAMETERS(shape_of_transposed),
    .row = &peri_op_conv_transpose2d,
    .sample =
        "{{2, 3, 3}, {T(2, 2, 3, 2)}}, {{2, 4, {3, 2}, {stride = 2, padding = {1, 0}, groups = 2, bias = false}}, "
        "{T(2, 3, 4)}}, {{1, 2, 3, {stride = 2, output_padding = 1, dilation = 2}}, {T(2, 1, 2, 3)}}",
    .doc = "ConvTranspose2d(in_channels, out_channels, kernel_size, {stride = 1, padding = 0, output_padding = 0, "
           "dilation = 1, groups = 1, bias = true, dtype = 'float32'}) -> layer\n"
           "conv_transpose2d of images N x C x H x W or C x H x W, the way back of a convolution. kernel_size, stride, "
           "padding, output_padding and dilation are a number or {rows, columns}. weight (in_channels x out_channels / "
           "groups x rows x columns) and bias begin uniform in +-1/sqrt(out_channels / groups * rows * columns), from "
           "the default stream."};
