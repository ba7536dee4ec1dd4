/* Activations with more than a tensor: one row for each TUNED of elementwise.def; gelu, prelu and glu. */
#include "ops/elementwise.h"
#include "ops/rows.h"

#include <float.h>
#include <math.h>

/* p, q and r: what is given, or the row's default. */
static void read_numbers(const peri_op *op, const peri_arg *args, peri_dtype dtype,
                         double numbers[PERI_TUNED_NUMBERS]) {
  int n = peri_op_params(op) - 1;
  for (int i = 0; i < PERI_TUNED_NUMBERS; i++) numbers[i] = i < n ? args[i + 1].number : 0;
  if (op->id != PERI_TUNED_nan_to_num) return;
  double largest = dtype == PERI_FLOAT32 ? (double)FLT_MAX : DBL_MAX;
  if (!args[2].given) numbers[1] = largest;
  if (!args[3].given) numbers[2] = -largest;
}

static peri_status infer_tuned(peri_call *call) {
  PERI_TRY(peri_infer_floats(call));
  for (int i = 1; i < peri_op_params(call->op); i++) {
    const char *name = call->op->params[i].name;
    if (isnan(call->args[i].number))
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is nan (expected a number)", name);
    PERI_TRY(peri_infer_fits(call, i, call->dtype));
  }
  if (call->op->id == PERI_TUNED_hardtanh && call->args[1].number > call->args[2].number) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "min_val is %g but max_val is %g", call->args[1].number,
                          call->args[2].number);
  }
  bool divides = call->op->id == PERI_TUNED_celu || call->op->id == PERI_TUNED_softplus;
  double divisor = call->dtype == PERI_FLOAT32 ? (double)(float)call->args[1].number : call->args[1].number;
  if (divides && divisor == 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a number other than 0%s)",
                          call->op->params[1].name, call->args[1].number,
                          call->args[1].number == 0 ? "" : " in float32");
  }
  return PERI_OK;
}

static peri_status run_tuned(peri_call *call) {
  double numbers[PERI_TUNED_NUMBERS];
  read_numbers(call->op, call->args, call->dtype, numbers);
  peri_loops l = {.tuned1 = call->context->kernels->elementwise->tuned[call->op->id][call->dtype], .numbers = numbers};
  peri_operands o;
  PERI_TRY(peri_open_operands(call, &o, 0, 1, call->dtype));
  return peri_run_loops(call->outputs[0].tensor, &o, &l);
}

static peri_status grad_tuned(peri_backward *B) {
  double numbers[PERI_TUNED_NUMBERS];
  peri_tensor *x = B->args[0].tensor, *g = B->grad_outputs[0];
  read_numbers(B->op, B->args, g->layout.dtype, numbers);
  peri_loops l = {.tuned2 = B->context->kernels->derivatives->tuned[B->op->id][g->layout.dtype], .numbers = numbers};
  peri_answer(B, 0,
              B->create_graph ? peri_step_mul(B, peri_of(g), peri_tuned_derivative(B, B->op->id, peri_of(x), numbers))
                              : peri_fused_gradient(B, &l, g, x, NULL));
  return PERI_OK;
}

#define NUMBER(name, value)                                                                                            \
  { #name, PERI_KIND_NUMBER, .optional = true, .otherwise = value }
#define ONE(a, x)               NUMBER(a, x)
#define TWO(a, x, b, y)         NUMBER(a, x), NUMBER(b, y)
#define THREE(a, x, b, y, c, z) NUMBER(a, x), NUMBER(b, y), NUMBER(c, z)

#define TUNED(name_, params_, cost, value, derivative, low_, high_, doc_)                                              \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS | PERI_SERVES(doc_),                             \
      .saves = PERI_SAVE_INPUT(0),                                                                                     \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}, params_},                                                                    \
      .infer = infer_tuned,                                                                                            \
      .run = run_tuned,                                                                                                \
      .run_lanes = PERI_FULL(run_tuned),                                                                               \
      .grad = PERI_FULL(grad_tuned),                                                                                   \
      .low = low_,                                                                                                     \
      .high = high_,                                                                                                   \
      .sample = "{T(3, 4)}, {T()}, {T(0)}, {T(5), 0.5}",                                                               \
      .doc = doc_,                                                                                                     \
      .id = PERI_TUNED_##name_,                                                                                        \
  };
#include "kernels/elementwise.def"

/* ---- gelu ---- */

static const int gelu_ids[] = {PERI_UNARY_gelu_none, PERI_UNARY_gelu_tanh};

static peri_status run_gelu(peri_call *call) { return peri_run_unary(call, gelu_ids[call->args[1].integer]); }
static peri_status grad_gelu(peri_backward *B) {
  peri_answer(B, 0,
              peri_unary_gradient(B, gelu_ids[B->args[1].integer], peri_of(B->grad_outputs[0]),
                                  peri_of(B->args[0].tensor), peri_constant(0)));
  return PERI_OK;
}
const peri_op peri_op_gelu = {
    .name = "gelu",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"approximate", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "none tanh"}},
    .infer = peri_infer_floats,
    .run = run_gelu,
    .run_lanes = PERI_FULL(run_gelu),
    .grad = PERI_FULL(grad_gelu),
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4)}, {T()}, {T(0)}, {T(5), {approximate = 'tanh'}}",
    .doc =
        "gelu(x, {approximate = 'none'}) -> tensor\n"
        "x times the part of a normal distribution below x, for floats; with approximate = 'tanh' "
        "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2. D. Hendrycks, K. Gimpel, Gaussian error linear units, 2016.",
};

/* ---- prelu: one slope for all, or one for each place of dimension 2 (of a vector: of its only one) ---- */

static int channel_dim(const peri_layout *x) { return x->ndim > 1 ? 1 : 0; }

static peri_status infer_prelu(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *weight = &call->args[1].tensor->layout;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  int64_t channels = x->ndim == 0 ? 1 : x->shape[channel_dim(x)];
  char text[PERI_SHAPE_TEXT], other[PERI_SHAPE_TEXT];
  if (weight->ndim > 1 || (weight->numel != 1 && weight->numel != channels)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s but x is %s (expected 1 number, or a vector of %lld)",
                          peri_shape_text(weight->ndim, weight->shape, other), peri_shape_text(x->ndim, x->shape, text),
                          (long long)channels);
  }
  call->dtype = x->dtype;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}

/* The shape in which weight is broadcast to x; returns its dimensions. */
static int weight_shape(const peri_layout *x, const peri_layout *weight, int64_t shape[PERI_MAX_DIMS]) {
  int ndim = weight->numel == 1 || x->ndim == 0 ? 0 : x->ndim - channel_dim(x);
  for (int d = 0; d < ndim; d++) shape[d] = d == 0 ? weight->numel : 1;
  return ndim;
}

static peri_status run_prelu(peri_call *call) {
  peri_tensor *weight = call->args[1].tensor, *own = NULL, *view = NULL;
  int64_t shape[PERI_MAX_DIMS];
  peri_layout layout;
  PERI_TRY(peri_tensor_contiguous(weight, &own));
  peri_layout_set(&layout, weight->layout.dtype, weight_shape(&call->args[0].tensor->layout, &weight->layout, shape),
                  shape);
  layout.offset = peri_tensor_offset(own);
  peri_status status = peri_tensor_view(own, &layout, &view);
  if (status == PERI_OK) {
    peri_arg slope = {.given = true, .tensor = view};
    peri_loop2 loop = call->context->kernels->elementwise->binary[PERI_BINARY_prelu_loop][call->dtype];
    status = peri_run_two(call, loop, &call->args[0], &slope, call->dtype);
    peri_tensor_release(&view);
  }
  peri_tensor_release(&own);
  return status;
}

static peri_status grad_prelu(peri_backward *B) {
  peri_tensor *x = B->args[0].tensor, *weight = B->args[1].tensor;
  peri_value g = peri_of(B->grad_outputs[0]), y = peri_constant(0);
  int64_t shape[PERI_MAX_DIMS], others[PERI_MAX_DIMS];
  int ndim = weight_shape(&x->layout, &weight->layout, shape), n = 0;
  peri_value slope = peri_step_reshape(B, peri_of(weight), ndim, shape);
  if (B->needs[0]) peri_answer(B, 0, peri_binary_gradient(B, PERI_BINARY_prelu_loop, 0, peri_of(x), slope, y, g));
  if (!B->needs[1]) return PERI_OK;
  for (int d = 0; d < x->layout.ndim; d++) {
    if (ndim == 0 || d != channel_dim(&x->layout)) others[n++] = d;
  }
  peri_value part = peri_binary_gradient(B, PERI_BINARY_prelu_loop, 1, peri_of(x), slope, y, g);
  if (n > 0) part = peri_step_sum(B, part, n, others, false);
  peri_answer(B, 1, peri_step_reshape(B, part, weight->layout.ndim, weight->layout.shape));
  return PERI_OK;
}
const peri_op peri_op_prelu = {
    .name = "prelu",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"weight", PERI_KIND_TENSOR}},
    .infer = infer_prelu,
    .run = run_prelu,
    .grad = PERI_FULL(grad_prelu),
    .low = -3,
    .high = 3,
    .sample = "{T(2, 3, 2), T(3)}, {T(3, 4), T()}, {T(4), T(1)}, {T(4), T(4)}",
    .doc =
        "prelu(x, weight) -> tensor\n"
        "x where it is positive, else weight times x. weight is one number, or a vector with one for each place of "
        "dimension 2 (of a vector x: of dimension 1); both are of one float dtype. K. He and others, Delving deep into "
        "rectifiers, 2015.",
};

/* ---- glu ---- */

static peri_status infer_glu(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  PERI_TRY(peri_infer_float(call, 0));
  if (!call->args[1].given) call->args[1].integer = -1;
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  if (x->shape[dim] % 2 != 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dimension %d of x has %lld places (expected an even number)",
                          dim + 1, (long long)x->shape[dim]);
  }
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] /= 2;
  call->dtype = x->dtype;
  call->note[0] = dim;
  return peri_infer_output(call, 0, x->dtype, x->ndim, shape);
}

/* y = sigmoid(the second half), then y = the first half times y. */
static peri_status run_glu(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  peri_tensor *x = call->args[0].tensor, *y = call->outputs[0].tensor, *half[2] = {NULL, NULL};
  peri_layout layout = x->layout;
  int64_t dim = call->note[0], length = x->layout.shape[dim] / 2;
  layout.shape[dim] = length;
  layout.numel = y->layout.numel;
  peri_status status = PERI_OK;
  for (int i = 0; i < 2 && status == PERI_OK; i++) {
    layout.offset = peri_tensor_offset(x) + (layout.numel > 0 ? i * length * x->layout.strides[dim] : 0);
    status = peri_tensor_view(x, &layout, &half[i]);
  }
  if (status == PERI_OK) status = peri_apply_loop(kernels->unary[PERI_UNARY_sigmoid][call->dtype], half[1], y);
  if (status == PERI_OK) {
    peri_operands o = {.n = 2};
    o.converted[0] = peri_tensor_retain(half[0]);
    o.converted[1] = peri_tensor_retain(y);
    status = peri_run_loops(y, &o, &(peri_loops){.two = kernels->binary[PERI_BINARY_mul][call->dtype]});
  }
  for (int i = 0; i < 2; i++) peri_tensor_release(&half[i]);
  return status;
}

static peri_status grad_glu(peri_backward *B) {
  int64_t dim = B->note[0], length = B->layouts[0]->shape[dim] / 2;
  peri_value x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  peri_value a = peri_step_narrow(B, x, dim, 0, length), b = peri_step_narrow(B, x, dim, length, length);
  peri_value s = peri_step_sigmoid(B, b), first = peri_step_mul(B, g, s);
  peri_value second = peri_step_mul(B, peri_step_mul(B, first, a), peri_step_sub(B, peri_constant(1), s));
  peri_call call;
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(B, &call, &peri_op_cat, 0, NULL);
  call.args[0].given = true;
  call.args[0].tensors = (peri_tensor *[]){first.tensor, second.tensor};
  call.args[0].count = 2;
  call.args[1].integer = dim;
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_glu = {
    .name = "glu",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_glu,
    .run = run_glu,
    .grad = PERI_FULL(grad_glu),
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4)}, {T(4, 3), 1}, {T(2, 6, 2), 2}, {T(0, 2)}",
    .doc = "glu(x, dim = -1) -> tensor\n"
           "The first half of x along dim times the sigmoid of its second half, for floats; dim has an even number of "
           "places. Y. Dauphin and others, Language modeling with gated convolutional networks, 2017.",
};

const peri_op *const peri_ops_activation[] = {&peri_op_gelu, &peri_op_prelu, &peri_op_glu,
#define TUNED(name, ...) &peri_op_##name,
#include "kernels/elementwise.def"
                                              NULL};
