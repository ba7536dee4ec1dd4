/* Layers with a table of rows, of two inputs, and those that look at x in another shape. */
#include "nn/kinds.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* ---- rows by their numbers ---- */

enum { NUMBERS, SIZE };

/* The row that is padding, from 1, or 0. */
static int64_t padding_of(const peri_layer *layer) {
  double padding = layer->options[0];
  return peri_option_word(padding) < 0 ? (int64_t)padding : 0;
}

static peri_status normal_rows(const peri_layer *layer, peri_tensor *weight) {
  peri_dtype dtype = weight->layout.dtype;
  int64_t n = weight->layout.numel, padding = padding_of(layer), size = layer->sizes[SIZE];
  if (padding > layer->sizes[NUMBERS]) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "%s: padding_idx is %lld (expected 1 to %lld)",
                     layer->kind->name, (long long)padding, (long long)layer->sizes[NUMBERS]);
  }
  uint64_t first = peri_stream_take(&layer->context->stream, peri_random_blocks(dtype, n));
  PERI_TRY(peri_fill_normal(layer->context, dtype, n, layer->context->stream.seed, first, 0, 1, weight->data));
  size_t bytes = (size_t)size * peri_dtype_size(dtype);
  if (padding > 0) memset(weight->data + (size_t)(padding - 1) * bytes, 0, bytes);
  return PERI_OK;
}

#define PADDING                                                                                                        \
  {                                                                                                                    \
    "padding_idx", PERI_OPTION_INTEGER, PERI_OPTION_WORD(0), 1, INT32_MAX, "none",                                     \
        "the row that begins as zeros and is not trained; none: all are"                                               \
  }

const peri_layer_kind peri_kind_embedding = {
    .name = "Embedding",
    .inputs = 1,
    .sizes = PERI_SIZES({"num_embeddings"}, {"embedding_dim"}),
    .options = PERI_OPTIONS(PADDING),
    .parameters = PERI_PARAMETERS({"weight", NULL, 2, {NUMBERS, SIZE}, PERI_FULL(normal_rows)}),
    .row = &peri_op_embedding,
    .sample = "{{5, 3}, {I(5, 4)}}, {{4, 2, {padding_idx = 4}}, {I(3, 2, 3)}}, {{1, 1}, {I(1, 2)}}",
    .doc =
        "Embedding(num_embeddings, embedding_dim, {padding_idx = 'none', dtype = 'float32'}) -> layer\n"
        "A vector for each of int64 numbers that count from 1: rows of weight (num_embeddings x embedding_dim), which "
        "begin normal with mean 0 and deviation 1, from the default stream. The row padding_idx begins as zeros and "
        "stays: peri.embedding."};

const peri_layer_kind peri_kind_embedding_bag = {
    .name = "EmbeddingBag",
    .inputs = 1,
    .further = PERI_INPUTS({"offsets", .whole = true}),
    .sizes = PERI_SIZES({"num_embeddings"}, {"embedding_dim"}),
    .options =
        PERI_OPTIONS(PADDING, {"mode", PERI_OPTION_CHOICE, 1, 0, 0, "sum mean", "what becomes of the rows of a bag"}),
    .parameters = PERI_PARAMETERS({"weight", NULL, 2, {NUMBERS, SIZE}, PERI_FULL(normal_rows)}),
    .row = &peri_op_embedding_bag,
    .sample =
        "{{5, 3}, {I(5, 4, 2)}}, {{4, 2, {padding_idx = 2, mode = 'sum'}}, {I(4, 2, 3)}}, {{2, 1}, {I(2, 2, 5)}}, "
        "{{3, 2}, {I(3, 5), peri.tensor({1, 3, 3}, {dtype = 'int64'})}}",
    .doc =
        "EmbeddingBag(num_embeddings, embedding_dim, {padding_idx = 'none', mode = 'mean', dtype = 'float32'}) -> "
        "layer\n"
        "The mean or the sum of an Embedding's rows for each row of x, bags x length, without those of padding_idx: "
        "peri.embedding_bag. layer(x, offsets): x is a vector, and offsets, a tensor or a list, says where its bags begin, "
        "the first at 1."};

/* ---- two inputs ---- */

static peri_status uniform_by_inputs(const peri_layer *layer, peri_tensor *parameter) {
  return peri_init_uniform(layer, parameter, (double)layer->sizes[0]);
}

const peri_layer_kind peri_kind_bilinear = {
    .name = "Bilinear",
    .inputs = 2,
    .sizes = PERI_SIZES({"in1_features"}, {"in2_features"}, {"out_features"}),
    .options = PERI_OPTIONS({"bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add a learned bias"}),
    .parameters = PERI_PARAMETERS({"weight", NULL, 3, {2, 0, 1}, PERI_FULL(uniform_by_inputs)},
                                  {"bias", "bias", 1, {2}, PERI_FULL(uniform_by_inputs)}),
    .row = &peri_op_bilinear,
    .sample = "{{3, 2, 4}, {T(5, 3), T(5, 2)}}, {{3, 2, 1, {bias = false}}, {T(2, 2, 3), T(2, 2, 2)}}, {{1, 2, 2}, "
              "{T(1), T(2)}}",
    .doc = "Bilinear(in1_features, in2_features, out_features, {bias = true, dtype = 'float32'}) -> layer\n"
           "layer(input1, input2): input1 weight[k] input2 + bias[k] for each output k: peri.bilinear. weight "
           "(out_features x in1_features x in2_features) and bias begin uniform in +-1/sqrt(in1_features), from the "
           "default stream."};

/* ---- shapes ---- */

const peri_layer_kind peri_kind_unflatten = {
    .name = "Unflatten",
    .inputs = 1,
    .sizes = PERI_SIZES({"dim"}, {"sizes", 4, .open = true}),
    .row = &peri_op_unflatten,
    .sample = "{{2, {3, 2}}, {T(4, 6)}}, {{1, {2, 1, 2}}, {T(4)}}, {{3, {1, 2}}, {T(2, 3, 2)}}",
    .doc = "Unflatten(dim, sizes) -> layer\n"
           "Dimension dim as several, a table of up to four sizes whose product it has: n x 6 becomes n x 3 x 2 with "
           "Unflatten(2, {3, 2})."};

const peri_layer_kind peri_kind_upsample = {
    .name = "Upsample",
    .inputs = 1,
    .options = PERI_OPTIONS(
        {"size", PERI_OPTION_INTEGER, PERI_OPTION_WORD(0), 1, INT32_MAX, "none", "of the result", 2, .open = true},
        {"scale_factor", PERI_OPTION_NUMBER, PERI_OPTION_WORD(0), 1e-300, 1e300, "none",
         "the size of the result to that of x"},
        {"mode", PERI_OPTION_CHOICE, 0, 0, 0, "nearest linear bilinear", "how elements come between others"},
        {"align_corners", PERI_OPTION_BOOL, 0, 0, 0, NULL, "the outermost elements stay where they are"}),
    .row = &peri_op_interpolate,
    .sample = "{{{scale_factor = 2}}, {T(2, 3, 2, 3)}}, {{{size = {3, 5}, mode = 'bilinear'}}, {T(1, 2, 2, 2)}}, "
              "{{{size = 4, mode = 'linear', align_corners = true}}, {T(2, 1, 3)}}",
    .doc = "Upsample({size = 'none', scale_factor = 'none', mode = 'nearest', align_corners = false}) -> layer\n"
           "N x C x L or N x C x H x W at another size, of which one of size and scale_factor is given: "
           "peri.interpolate."};

static peri_status forward_zero_pad(const peri_layer *layer, peri_tensor *const *inputs, int activation,
                                    peri_tensor **out) {
  const peri_layout *x = &inputs[0]->layout;
  char text[PERI_SHAPE_TEXT];
  (void)activation;
  if (x->ndim != 3 && x->ndim != 4) {
    return peri_fail(layer->context, PERI_ERR_ARGUMENT, "ZeroPad2d: x is %s (expected N x C x H x W, or C x H x W)",
                     peri_shape_text(x->ndim, x->shape, text));
  }
  peri_call call;
  peri_call_open(&call, layer->context, &peri_op_pad);
  call.args[0].given = true;
  call.args[0].tensor = inputs[0];
  peri_call_sizes(&call, 1, 4, layer->sizes);
  return peri_layer_run(&call, out);
}

const peri_layer_kind peri_kind_zero_pad2d = {
    .name = "ZeroPad2d",
    .inputs = 1,
    .sizes = PERI_SIZES({"padding", 4, .zero = true}),
    .forward = forward_zero_pad,
    .sample = "{{1}, {T(2, 1, 2, 3)}}, {{{1, 0, 2, 3}}, {T(2, 3, 2)}}, {{0}, {T(1, 1, 1)}}",
    .doc =
        "ZeroPad2d(padding) -> layer\n"
        "Zeros around the images of N x C x H x W, or C x H x W: as many columns on the left and right, and rows above "
        "and below, as a table of four numbers from 0 says, or one number for all. Other ways to pad, such as "
        "reflect: x:pad."};
