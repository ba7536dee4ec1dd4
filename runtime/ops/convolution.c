/* Convolutions. Three rows for gradients alone are closed under differentiation: `convolve`, the gradient of its input
 * and that of its weights, each with the sizes of its result. The rows of scripts read options, have a bias, and take
 * one dimension or an image without a batch: their gradients are steps of those three. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "product/convolution.h"

#define MOST_OPTION ((int64_t)1 << 60)

/* ---- what all rows note: options, resolved, and the sizes of the result ---- */

enum { STRIDE = 0, PADDING = 2, DILATION = 4, SIZES = 6 };

/* N x C x H x W of a tensor with `dims` dimensions of space and perhaps no batch; of weights, M x C / groups x KH x KW
 */
static void four_sizes(const peri_layout *x, int dims, int64_t sizes[4]) {
  int from = x->ndim - dims;
  sizes[0] = from == 2 ? x->shape[0] : 1;
  sizes[1] = x->shape[from - 1];
  sizes[2] = dims == 2 ? x->shape[from] : 1;
  sizes[3] = x->shape[x->ndim - 1];
}

/* The convolution of which x is the input or, `transposed`, the output. */
static peri_convolution convolution_of(const peri_layout *x, const peri_layout *weight, int dims, const int64_t *note,
                                       int64_t groups, bool transposed) {
  int64_t given[4], kernel[4];
  four_sizes(x, dims, given);
  four_sizes(weight, dims, kernel);
  peri_convolution v = {.dtype = x->dtype, .images = given[0], .groups = groups};
  v.out_channels = kernel[0];
  v.in_channels = kernel[1] * groups;
  for (int d = 0; d < 2; d++) {
    v.kernel[d] = kernel[2 + d];
    v.stride[d] = note[STRIDE + d];
    v.padding[d] = note[PADDING + d];
    v.dilation[d] = note[DILATION + d];
    v.in[d] = transposed ? note[SIZES + d] : given[2 + d];
    v.out[d] = transposed ? given[2 + d] : note[SIZES + d];
  }
  return v;
}

/* Contiguous elements of an argument that may be missing. */
static peri_status elements_of(peri_call *call, int arg, const char **data, peri_tensor **own) {
  *data = NULL;
  *own = NULL;
  if (!call->args[arg].given) return PERI_OK;
  return peri_view_contiguous(call->context, &call->args[arg].tensor->view, data, own);
}

typedef peri_status (*compute)(peri_call *call, const char *const *operands);

/* Runs with the elements of the first n arguments. */
static peri_status with_elements(peri_call *call, int n, compute body) {
  const char *operands[3];
  peri_tensor *own[3] = {NULL};
  peri_status status = PERI_OK;
  if (call->outputs[0].tensor->layout.numel == 0) return PERI_OK;
  for (int i = 0; i < n && status == PERI_OK; i++) status = elements_of(call, i, &operands[i], &own[i]);
  if (status == PERI_OK) status = body(call, operands);
  for (int i = 0; i < n; i++) peri_tensor_release(&own[i]);
  return status;
}

/* ---- the rows of gradients: (a, b, sizes, stride, padding, dilation, groups), all of four dimensions ---- */

#define CORE_PARAMS(a, b)                                                                                              \
  {a, PERI_KIND_TENSOR}, {b, PERI_KIND_TENSOR}, {"sizes", PERI_KIND_SHAPE}, {"stride", PERI_KIND_SHAPE},               \
      {"padding", PERI_KIND_SHAPE}, {"dilation", PERI_KIND_SHAPE}, {                                                   \
    "groups", PERI_KIND_INTEGER                                                                                        \
  }

static void note_core(peri_call *call) {
  memcpy(call->note + STRIDE, call->args[3].sizes, 2 * sizeof(int64_t));
  memcpy(call->note + PADDING, call->args[4].sizes, 2 * sizeof(int64_t));
  memcpy(call->note + DILATION, call->args[5].sizes, 2 * sizeof(int64_t));
  memcpy(call->note + SIZES, call->args[2].sizes, 2 * sizeof(int64_t));
}

/* Calls one of the rows as a step of a formula. */
static peri_value step(peri_backward *B, const peri_op *op, peri_value a, peri_value b, const int64_t sizes[2],
                       const peri_convolution *v) {
  peri_call call;
  if (B->formula->status != PERI_OK) return a;
  peri_step_open(B, &call, op, 2, (peri_value[]){a, b});
  peri_call_sizes(&call, 2, 2, sizes);
  peri_call_sizes(&call, 3, 2, v->stride);
  peri_call_sizes(&call, 4, 2, v->padding);
  peri_call_sizes(&call, 5, 2, v->dilation);
  call.args[6].integer = v->groups;
  return peri_step_run(B, &call);
}

static const peri_op convolve, convolve_input, convolve_weight;

static peri_status infer_convolve(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *weight = &call->args[1].tensor->layout;
  const int64_t *sizes = call->args[2].sizes;
  note_core(call);
  return peri_infer_output(call, 0, x->dtype, 4, (int64_t[]){x->shape[0], weight->shape[0], sizes[0], sizes[1]});
}

static peri_status compute_convolve(peri_call *call, const char *const *operands) {
  peri_convolution v = convolution_of(&call->args[0].tensor->layout, &call->args[1].tensor->layout, 2, call->note,
                                      call->args[6].integer, false);
  return peri_convolve(call->context, &v, operands[0], operands[1], NULL, call->outputs[0].tensor->data);
}

static peri_status run_convolve(peri_call *call) { return with_elements(call, 2, compute_convolve); }

static peri_status grad_convolve(peri_backward *B) {
  peri_convolution v = convolution_of(B->layouts[0], B->layouts[1], 2, B->note, B->args[6].integer, false);
  peri_value x = peri_of(B->args[0].tensor), weight = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->needs[0]) peri_answer(B, 0, step(B, &convolve_input, g, weight, v.in, &v));
  if (B->needs[1]) peri_answer(B, 1, step(B, &convolve_weight, x, g, v.kernel, &v));
  return PERI_OK;
}

static const peri_op convolve = {.name = "convolve",
                                 .flags = PERI_OP_INTERNAL,
                                 .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
                                 .outputs = 1,
                                 .params = {CORE_PARAMS("x", "weight")},
                                 .infer = infer_convolve,
                                 .run = run_convolve,
                                 .grad = PERI_FULL(grad_convolve),
                                 .doc = "convolve(x, weight, ...)"};

static peri_status infer_convolve_input(peri_call *call) {
  const peri_layout *gy = &call->args[0].tensor->layout, *weight = &call->args[1].tensor->layout;
  const int64_t *sizes = call->args[2].sizes;
  note_core(call);
  int64_t channels = weight->shape[1] * call->args[6].integer;
  return peri_infer_output(call, 0, gy->dtype, 4, (int64_t[]){gy->shape[0], channels, sizes[0], sizes[1]});
}

static peri_status compute_convolve_input(peri_call *call, const char *const *operands) {
  peri_convolution v = convolution_of(&call->args[0].tensor->layout, &call->args[1].tensor->layout, 2, call->note,
                                      call->args[6].integer, true);
  return peri_convolve_input(call->context, &v, operands[0], operands[1], NULL, call->outputs[0].tensor->data);
}

static peri_status run_convolve_input(peri_call *call) { return with_elements(call, 2, compute_convolve_input); }

static peri_status grad_convolve_input(peri_backward *B) {
  peri_convolution v = convolution_of(B->layouts[0], B->layouts[1], 2, B->note, B->args[6].integer, true);
  peri_value gy = peri_of(B->args[0].tensor), weight = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->needs[0]) peri_answer(B, 0, step(B, &convolve, g, weight, v.out, &v));
  if (B->needs[1]) peri_answer(B, 1, step(B, &convolve_weight, g, gy, v.kernel, &v));
  return PERI_OK;
}

static const peri_op convolve_input = {.name = "convolve_input",
                                       .flags = PERI_OP_INTERNAL,
                                       .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
                                       .outputs = 1,
                                       .params = {CORE_PARAMS("gy", "weight")},
                                       .infer = infer_convolve_input,
                                       .run = run_convolve_input,
                                       .grad = PERI_FULL(grad_convolve_input),
                                       .doc = "convolve_input(gy, weight, ...)"};

/* The convolution from x and gy: the weights are the result. */
static peri_convolution convolution_of_weight(const peri_layout *x, const peri_layout *gy, const int64_t *note,
                                              int64_t groups) {
  const int64_t sizes[2] = {gy->shape[2], gy->shape[3]};
  int64_t of_x[8];
  peri_layout weight;
  peri_layout_set(&weight, x->dtype, 4, (int64_t[]){gy->shape[1], x->shape[1] / groups, note[SIZES], note[SIZES + 1]});
  memcpy(of_x, note, sizeof of_x);
  memcpy(of_x + SIZES, sizes, sizeof sizes);
  return convolution_of(x, &weight, 2, of_x, groups, false);
}

static peri_status infer_convolve_weight(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *gy = &call->args[1].tensor->layout;
  const int64_t *sizes = call->args[2].sizes;
  note_core(call);
  int64_t channels = x->shape[1] / call->args[6].integer;
  return peri_infer_output(call, 0, x->dtype, 4, (int64_t[]){gy->shape[1], channels, sizes[0], sizes[1]});
}

static peri_status compute_convolve_weight(peri_call *call, const char *const *operands) {
  peri_convolution v = convolution_of_weight(&call->args[0].tensor->layout, &call->args[1].tensor->layout, call->note,
                                             call->args[6].integer);
  return peri_convolve_weight(call->context, &v, operands[0], operands[1], call->outputs[0].tensor->data);
}

static peri_status run_convolve_weight(peri_call *call) { return with_elements(call, 2, compute_convolve_weight); }

static peri_status grad_convolve_weight(peri_backward *B) {
  peri_convolution v = convolution_of_weight(B->layouts[0], B->layouts[1], B->note, B->args[6].integer);
  peri_value x = peri_of(B->args[0].tensor), gy = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->needs[0]) peri_answer(B, 0, step(B, &convolve_input, gy, g, v.in, &v));
  if (B->needs[1]) peri_answer(B, 1, step(B, &convolve, x, g, v.out, &v));
  return PERI_OK;
}

static const peri_op convolve_weight = {.name = "convolve_weight",
                                        .flags = PERI_OP_INTERNAL,
                                        .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
                                        .outputs = 1,
                                        .params = {CORE_PARAMS("x", "gy")},
                                        .infer = infer_convolve_weight,
                                        .run = run_convolve_weight,
                                        .grad = PERI_FULL(grad_convolve_weight),
                                        .doc = "convolve_weight(x, gy, ...)"};

/* ---- reading options ---- */

/* Argument `arg` as rows and columns: one number for both, or one for each dimension of space. */
static peri_status read_pair(peri_call *call, int arg, int dims, int64_t low, int64_t otherwise, int64_t pair[2]) {
  const peri_arg *given = &call->args[arg];
  const char *name = call->op->params[arg].name;
  pair[0] = low;
  pair[1] = otherwise;
  if (dims == 2) pair[0] = otherwise;
  if (!given->given) return PERI_OK;
  if (given->count != 1 && given->count != dims) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s has %d entries (expected a number%s)", name, given->count,
                          dims == 2 ? ", or one for rows and one for columns" : "");
  }
  for (int i = 0; i < given->count; i++) {
    if (given->sizes[i] >= low && given->sizes[i] <= MOST_OPTION) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld (expected a whole number from %d to %lld)", name,
                          (long long)given->sizes[i], (int)low, (long long)MOST_OPTION);
  }
  if (dims == 2) pair[0] = given->sizes[0];
  pair[1] = given->sizes[given->count - 1];
  return PERI_OK;
}

static const char *text_of(const peri_layout *x, char *room) { return peri_shape_text(x->ndim, x->shape, room); }

/* Dimensions and dtypes of x, weight and bias, and groups; `own` of weight's dimensions goes with x's channels. */
static peri_status check_tensors(peri_call *call, int dims, int groups_at, bool transposed) {
  const peri_layout *x = &call->args[0].tensor->layout, *weight = &call->args[1].tensor->layout;
  int64_t groups = call->args[groups_at].integer;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim != dims + 1 && x->ndim != dims + 2)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected %s or %s)", text_of(x, a),
                          dims == 2 ? "N x C x H x W" : "N x C x L", dims == 2 ? "C x H x W" : "C x L");
  if (weight->ndim != dims + 2)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s (expected %s x %s)", text_of(weight, b),
                          transposed ? "C x M / groups" : "M x C / groups", dims == 2 ? "KH x KW" : "KL");
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  PERI_TRY(peri_infer_same_dtype(call, 0, 2));
  for (int d = 0; d < x->ndim; d++) {
    if (x->shape[d] > 0 || (d == 0 && x->ndim == dims + 2)) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (only the batch may be empty)", text_of(x, a));
  }
  if (weight->numel == 0)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s (expected sizes of at least 1)", text_of(weight, b));
  if (groups < 1)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "groups is %lld (expected at least 1)", (long long)groups);
  int64_t channels = x->shape[x->ndim - dims - 1];
  if (channels % groups != 0 || weight->shape[0] % groups != 0)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "groups is %lld, which does not divide %s (x is %s, weight is %s)",
                          (long long)groups, channels % groups != 0 ? "the channels of x" : "those of weight",
                          text_of(x, a), text_of(weight, b));
  int64_t wanted = transposed ? channels : channels / groups, got = weight->shape[transposed ? 0 : 1];
  if (wanted != got)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "x is %s but weight is %s with groups %lld (expected weight's dimension %d to be %lld)",
                          text_of(x, a), text_of(weight, b), (long long)groups, transposed ? 1 : 2, (long long)wanted);
  return PERI_OK;
}

static peri_status check_bias(peri_call *call, int64_t channels) {
  char a[PERI_SHAPE_TEXT];
  if (!call->args[2].given) return PERI_OK;
  const peri_layout *bias = &call->args[2].tensor->layout;
  if (bias->ndim == 1 && bias->shape[0] == channels) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "bias is %s (expected %lld values, one for each channel)",
                        text_of(bias, a), (long long)channels);
}

/* What a kernel of size k covers, or -1 where that cannot be counted. */
static int64_t reach(int64_t kernel, int64_t dilation) {
  int64_t covered;
  if (__builtin_mul_overflow(kernel - 1, dilation, &covered) || covered >= INT64_MAX / 4) return -1;
  return covered + 1;
}

/* The output: batch as in x, then channels and sizes; a dimension less for one of space. */
static peri_status infer_images(peri_call *call, int dims, int64_t channels, const int64_t sizes[2]) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t shape[4];
  int n = 0;
  if (x->ndim == dims + 2) shape[n++] = x->shape[0];
  shape[n++] = channels;
  if (dims == 2) shape[n++] = sizes[0];
  shape[n++] = sizes[1];
  return peri_infer_output(call, 0, x->dtype, n, shape);
}

/* ---- conv1d and conv2d ---- */

enum { VALID = 1, SAME };

/* Padding and output of one dimension. */
static peri_status infer_extent(peri_call *call, int dims, int d) {
  int64_t x[4], kernel[4], *note = call->note;
  const int64_t word = call->args[4].integer;
  four_sizes(&call->args[0].tensor->layout, dims, x);
  four_sizes(&call->args[1].tensor->layout, dims, kernel);
  int64_t covered = reach(kernel[2 + d], note[DILATION + d]), size = x[2 + d], padded;
  if (word == SAME && note[STRIDE + d] != 1)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "padding is 'same' and stride is %lld (expected stride 1)",
                          (long long)note[STRIDE + d]);
  if (word == SAME && covered > 0) {
    note[PADDING + d] = (covered - 1) / 2;
    note[SIZES + d] = size;
    return PERI_OK;
  }
  padded = size + 2 * note[PADDING + d];
  if (covered < 0 || covered > padded)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "a kernel of size %lld with dilation %lld is larger than x of size %lld with padding %lld",
                          (long long)kernel[2 + d], (long long)note[DILATION + d], (long long)size,
                          (long long)note[PADDING + d]);
  note[SIZES + d] = (padded - covered) / note[STRIDE + d] + 1;
  return PERI_OK;
}

static peri_status infer_conv(peri_call *call) {
  const int dims = call->op->id;
  PERI_TRY(check_tensors(call, dims, 6, false));
  PERI_TRY(check_bias(call, call->args[1].tensor->layout.shape[0]));
  PERI_TRY(read_pair(call, 3, dims, 1, 1, call->note + STRIDE));
  PERI_TRY(read_pair(call, 5, dims, 1, 1, call->note + DILATION));
  call->note[PADDING] = call->note[PADDING + 1] = 0;
  if (call->args[4].integer == 0) PERI_TRY(read_pair(call, 4, dims, 0, 0, call->note + PADDING));
  for (int d = 2 - dims; d < 2; d++) PERI_TRY(infer_extent(call, dims, d));
  if (dims == 1) call->note[SIZES] = 1;
  if (call->args[7].integer == 0) call->saves &= ~PERI_SAVE_OUTPUT(0);
  return infer_images(call, dims, call->args[1].tensor->layout.shape[0], call->note + SIZES);
}

static peri_status compute_conv(peri_call *call, const char *const *operands) {
  peri_convolution v = convolution_of(&call->args[0].tensor->layout, &call->args[1].tensor->layout, call->op->id,
                                      call->note, call->args[6].integer, false);
  peri_convolution_end end = {.bias = operands[2]};
  const peri_op *activation = peri_activations[call->args[7].integer];
  if (activation != NULL) end.activation = call->context->kernels->elementwise->unary[activation->id][v.dtype];
  return peri_convolve(call->context, &v, operands[0], operands[1], &end, call->outputs[0].tensor->data);
}

static peri_status run_conv(peri_call *call) { return with_elements(call, 3, compute_conv); }

/* A tensor as N x C x H x W, and back. */
static peri_value as_four(peri_backward *B, peri_value x, int dims) {
  int64_t sizes[4];
  if (B->formula->status != PERI_OK || x.tensor->layout.ndim == 4) return x;
  four_sizes(&x.tensor->layout, dims, sizes);
  return peri_step_reshape(B, x, 4, sizes);
}

static void answer_as(peri_backward *B, int edge, peri_value x) {
  const peri_layout *wanted = B->layouts[edge];
  peri_answer(B, edge, wanted->ndim == 4 ? x : peri_step_reshape(B, x, wanted->ndim, wanted->shape));
}

static void answer_bias(peri_backward *B, peri_value g) {
  if (B->edges > 2 && B->needs[2]) peri_answer(B, 2, peri_step_sum(B, g, 3, (int64_t[]){0, 2, 3}, false));
}

static peri_status grad_conv(peri_backward *B) {
  const int dims = B->op->id;
  const peri_op *activation = peri_activations[B->args[7].integer];
  peri_convolution v = convolution_of(B->layouts[0], B->layouts[1], dims, B->note, B->args[6].integer, false);
  peri_value g = peri_of(B->grad_outputs[0]);
  if (activation != NULL) g = peri_step_derivative(B, activation, g, peri_of(B->outputs[0]));
  g = as_four(B, g, dims);
  if (B->needs[0]) {
    peri_value weight = as_four(B, peri_of(B->args[1].tensor), dims);
    answer_as(B, 0, step(B, &convolve_input, g, weight, v.in, &v));
  }
  if (B->needs[1]) {
    peri_value x = as_four(B, peri_of(B->args[0].tensor), dims);
    answer_as(B, 1, step(B, &convolve_weight, x, g, v.kernel, &v));
  }
  answer_bias(B, g);
  return PERI_OK;
}

#define TENSORS                                                                                                        \
  {"x", PERI_KIND_TENSOR}, {"weight", PERI_KIND_TENSOR}, { "bias", PERI_KIND_TENSOR, .optional = true }
#define PAIR(name)                                                                                                     \
  { name, PERI_KIND_SHAPE, .optional = true, .named = true }
#define GROUPS                                                                                                         \
  { "groups", PERI_KIND_INTEGER, .optional = true, .named = true, .otherwise = 1 }
#define CONV_ROW                                                                                                       \
  .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0), .outputs = 1,                                \
  .params = {TENSORS,                                                                                                  \
             PAIR("stride"),                                                                                           \
             {"padding", PERI_KIND_SHAPE, .optional = true, .named = true, .choices = "valid same"},                   \
             PAIR("dilation"),                                                                                         \
             GROUPS,                                                                                                   \
             {"activation", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = PERI_ACTIVATIONS}},          \
  .infer = infer_conv, .run = run_conv, .grad = PERI_FULL(grad_conv), .low = -1, .high = 1

const peri_op peri_op_conv1d = {
    .name = "conv1d",
    .id = 1,
    CONV_ROW,
    .sample = "{T(2, 3, 7), T(4, 3, 3), T(4)}, {T(4, 6), T(2, 2, 2), {groups = 2}}, {T(2, 2, 8), T(3, 2, 3), T(3), "
              "{stride = 2, padding = {2}, dilation = 2, activation = 'tanh'}}, {T(2, 1, 6), T(2, 1, 4), {padding = "
              "'same'}}",
    .doc = "conv1d(x, weight, bias, {stride = 1, padding = 0, dilation = 1, groups = 1, activation = 'none'}) -> "
           "tensor\n"
           "conv2d with one dimension of space: x is N x C x L or C x L, weight M x C / groups x K, the result N x M x "
           "L'. Errors: as conv2d's."};

const peri_op peri_op_conv2d = {
    .name = "conv2d",
    .id = 2,
    CONV_ROW,
    .sample =
        "{T(2, 2, 5, 4), T(3, 2, 3, 2), T(3)}, {T(2, 5, 5), T(4, 1, 2, 2), {groups = 2, stride = 2}}, {T(2, 1, 4, "
        "6), T(2, 1, 3, 2), T(2), {stride = {1, 2}, padding = {2, 1}, dilation = {2, 1}, activation = "
        "'sigmoid'}}, {T(1, 2, 3, 4), T(1, 2, 2, 4), {padding = 'same'}}, {T(2, 1, 3, 3), T(1, 1, 3, 3), T(1), "
        "{padding = 1, activation = 'relu'}}",
    .doc =
        "conv2d(x, weight, bias, {stride = 1, padding = 0, dilation = 1, groups = 1, activation = 'none'}) -> "
        "tensor\n"
        "y[n][m][i][j] = bias[m] + the sum over c, k, l of weight[m][c][k][l] * x[n][c][i * stride + k * dilation - "
        "padding][...], counted from 0, with zeros around x. x is N x C x H x W or C x H x W, weight M x C / groups "
        "x KH x KW, bias M values or left out. Options are a number or {rows, columns}; padding may be 'valid' (0) "
        "or 'same': y is as large as x, with one zero more below and on the right where the zeros are odd (stride 1 "
        "only). Group g of the channels of y sees group g of those of x. Then tanh, relu or sigmoid if asked. "
        "Floats of one dtype.\n"
        "Errors: a kernel with its dilation larger than x with its padding; groups that do not divide the channels of x "
        "and M; 'same' with a stride other than 1."};

/* ---- conv_transpose2d ---- */

static peri_status infer_transpose_extent(peri_call *call, int d) {
  int64_t x[4], kernel[4], *note = call->note, extra[2], grown;
  PERI_TRY(read_pair(call, 5, 2, 0, 0, extra));
  four_sizes(&call->args[0].tensor->layout, 2, x);
  four_sizes(&call->args[1].tensor->layout, 2, kernel);
  if (extra[d] >= note[STRIDE + d] && extra[d] >= note[DILATION + d])
    return peri_call_fail(
        call, PERI_ERR_ARGUMENT,
        "output_padding is %lld with stride %lld and dilation %lld (expected less than one of the two)",
        (long long)extra[d], (long long)note[STRIDE + d], (long long)note[DILATION + d]);
  int64_t covered = reach(kernel[2 + d], note[DILATION + d]);
  if (covered < 0 || __builtin_mul_overflow(x[2 + d] - 1, note[STRIDE + d], &grown) || grown > INT64_MAX / 4)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "x of size %lld with stride %lld and a kernel of size %lld with dilation %lld give more "
                          "elements than can be counted",
                          (long long)x[2 + d], (long long)note[STRIDE + d], (long long)kernel[2 + d],
                          (long long)note[DILATION + d]);
  note[SIZES + d] = grown - 2 * note[PADDING + d] + covered + extra[d];
  if (note[SIZES + d] > 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "padding is %lld, which leaves nothing of the %lld elements that x of size %lld gives",
                        (long long)note[PADDING + d], (long long)(grown + covered + extra[d]), (long long)x[2 + d]);
}

static peri_status infer_conv_transpose(peri_call *call) {
  PERI_TRY(check_tensors(call, 2, 7, true));
  int64_t channels, groups = call->args[7].integer;
  if (__builtin_mul_overflow(call->args[1].tensor->layout.shape[1], groups, &channels))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "groups is %lld (more channels than can be counted)",
                          (long long)groups);
  PERI_TRY(check_bias(call, channels));
  PERI_TRY(read_pair(call, 3, 2, 1, 1, call->note + STRIDE));
  PERI_TRY(read_pair(call, 4, 2, 0, 0, call->note + PADDING));
  PERI_TRY(read_pair(call, 6, 2, 1, 1, call->note + DILATION));
  for (int d = 0; d < 2; d++) PERI_TRY(infer_transpose_extent(call, d));
  return infer_images(call, 2, channels, call->note + SIZES);
}

static peri_status compute_conv_transpose(peri_call *call, const char *const *operands) {
  peri_convolution v = convolution_of(&call->args[0].tensor->layout, &call->args[1].tensor->layout, 2, call->note,
                                      call->args[7].integer, true);
  peri_convolution_end end = {.bias = operands[2]};
  return peri_convolve_input(call->context, &v, operands[0], operands[1], &end, call->outputs[0].tensor->data);
}

static peri_status run_conv_transpose(peri_call *call) { return with_elements(call, 3, compute_conv_transpose); }

/* x stands where a convolution has the gradient of its result. */
static peri_status grad_conv_transpose(peri_backward *B) {
  peri_convolution v = convolution_of(B->layouts[0], B->layouts[1], 2, B->note, B->args[7].integer, true);
  peri_value g = as_four(B, peri_of(B->grad_outputs[0]), 2);
  if (B->needs[0]) answer_as(B, 0, step(B, &convolve, g, peri_of(B->args[1].tensor), v.out, &v));
  if (B->needs[1]) {
    peri_value x = as_four(B, peri_of(B->args[0].tensor), 2);
    peri_answer(B, 1, step(B, &convolve_weight, g, x, v.kernel, &v));
  }
  answer_bias(B, g);
  return PERI_OK;
}

const peri_op peri_op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {TENSORS, PAIR("stride"), PAIR("padding"), PAIR("output_padding"), PAIR("dilation"), GROUPS},
    .infer = infer_conv_transpose,
    .run = run_conv_transpose,
    .grad = PERI_FULL(grad_conv_transpose),
    .low = -1,
    .high = 1,
    .sample =
        "{T(2, 2, 3, 4), T(2, 3, 3, 2), T(3)}, {T(4, 2, 3), T(4, 1, 2, 2), {groups = 2, stride = 2}}, {T(1, 2, 3, "
        "2), T(2, 2, 3, 3), T(2), {stride = {2, 3}, padding = {2, 1}, output_padding = {1, 2}, dilation = {2, "
        "1}}}",
    .doc =
        "conv_transpose2d(x, weight, bias, {stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1}) "
        "-> tensor\n"
        "The gradient of conv2d with respect to its x, as a function of that of its result: each element of x adds "
        "itself times the kernel at stride times its place. x is N x C x H x W or C x H x W, weight C x M / groups "
        "x KH x KW; the result has M channels of (H - 1) * stride - 2 * padding + (KH - 1) * dilation + 1 + "
        "output_padding rows, and columns likewise. Floats of one dtype.\n"
        "Errors: a result without rows or columns; output_padding that is below neither stride nor dilation; groups that do "
        "not divide C."};

const peri_op *const peri_ops_convolution[] = {
    &peri_op_conv1d, &peri_op_conv2d, &peri_op_conv_transpose2d, &convolve, &convolve_input, &convolve_weight, NULL};
