/* Recurrent cells over whole sequences. x has what the input gives to the gates, made for all steps by one product; the
 * rest is one loop in the runtime (product/sequence.h). */
#include "ops/recurrent.h"

#include "product/sequence.h"

enum { X = PERI_SEQUENCE_X, WEIGHT, BIAS, H, C };
enum { LENGTHS = 4, REVERSE, NONLINEARITY, C_LENGTHS = 5, C_REVERSE };
enum { CELL = PERI_NOTE_CELL, STEPS, BATCH, HIDDEN, AT_LENGTHS, IS_REVERSE };

/* ---- checks ---- */

static peri_status check_weight(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout, *weight = &call->args[WEIGHT].tensor->layout;
  const int64_t gates = peri_sequence_gates((int)call->note[CELL]);
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, X));
  PERI_TRY(peri_infer_same_dtype(call, X, WEIGHT));
  if (x->ndim != 3) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected steps x batch x gates)",
                          peri_shape_text(x->ndim, x->shape, a));
  }
  if (weight->ndim != 2 || weight->shape[0] != gates * weight->shape[1]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s (expected %lld hidden x hidden)",
                          peri_shape_text(weight->ndim, weight->shape, a), (long long)gates);
  }
  if (x->shape[2] != weight->shape[0]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but weight is %s (expected x's last dimension to be %lld)",
                          peri_shape_text(x->ndim, x->shape, a), peri_shape_text(2, weight->shape, b),
                          (long long)weight->shape[0]);
  }
  memcpy(call->note + STEPS, (int64_t[]){x->shape[0], x->shape[1], weight->shape[1]}, 3 * sizeof(int64_t));
  return PERI_OK;
}

static peri_status check_shape(peri_call *call, int arg, int ndim, const int64_t *shape) {
  const peri_tensor *given = call->args[arg].tensor;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (given == NULL) return PERI_OK;
  PERI_TRY(peri_infer_same_dtype(call, X, arg));
  bool same = given->layout.ndim == ndim;
  for (int d = 0; same && d < ndim; d++) same = given->layout.shape[d] == shape[d];
  if (same) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", call->op->params[arg].name,
                        peri_shape_text(given->layout.ndim, given->layout.shape, a), peri_shape_text(ndim, shape, b));
}

static peri_status check_lengths(peri_call *call, int arg) {
  const peri_tensor *lengths = call->args[arg].tensor;
  const int64_t steps = call->note[STEPS], batch = call->note[BATCH];
  char text[PERI_SHAPE_TEXT];
  if (lengths == NULL) return PERI_OK;
  const peri_layout *layout = &lengths->layout;
  if (layout->dtype != PERI_INT64 || layout->ndim != 1 || layout->shape[0] != batch) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "lengths is %s, %s (expected int64, one for each of %lld rows)",
                          peri_shape_text(layout->ndim, layout->shape, text), peri_dtype_name(layout->dtype),
                          (long long)batch);
  }
  for (int64_t i = 0; i < batch; i++) {
    const int64_t length = peri_load_integer(PERI_INT64, lengths->data + i * layout->strides[0] * 8);
    if (length >= 1 && length <= steps) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "lengths[%lld] is %lld (expected 1 to %lld, the steps of x)",
                          (long long)(i + 1), (long long)length, (long long)steps);
  }
  return PERI_OK;
}

static peri_status infer_sequence(peri_call *call, int cell, int lengths) {
  call->note[CELL] = cell;
  call->note[AT_LENGTHS] = lengths;
  call->note[IS_REVERSE] = call->args[lengths + 1].integer;
  PERI_TRY(check_weight(call));
  const int64_t *sizes = call->note + STEPS, hidden = call->note[HIDDEN];
  PERI_TRY(check_shape(call, BIAS, 1, call->args[WEIGHT].tensor->layout.shape));
  for (int arg = H; arg < lengths; arg++) PERI_TRY(check_shape(call, arg, 2, sizes + 1));
  PERI_TRY(check_lengths(call, lengths));
  const peri_dtype dtype = call->args[X].tensor->layout.dtype;
  PERI_TRY(peri_infer_output(call, 0, dtype, 3, sizes));
  int output = 1;
  for (int arg = H; arg < lengths; arg++) PERI_TRY(peri_infer_output(call, output++, dtype, 2, sizes + 1));
  if (output == call->op->outputs) return PERI_OK; /* rnn keeps nothing */
  const int64_t kept = peri_sequence_kept(cell, hidden);
  return peri_infer_output(call, output, dtype, 3, (int64_t[]){sizes[0], sizes[1], kept});
}

static peri_status infer_rnn(peri_call *call) {
  return infer_sequence(call, PERI_CELL_TANH + (int)call->args[NONLINEARITY].integer, LENGTHS);
}
static peri_status infer_gru(peri_call *call) { return infer_sequence(call, PERI_CELL_GRU, LENGTHS); }
static peri_status infer_lstm(peri_call *call) { return infer_sequence(call, PERI_CELL_LSTM, C_LENGTHS); }

/* ---- computing ---- */

/* Arguments one behind the other in memory, as they are or copied; by argument. */
typedef struct operands {
  peri_tensor *own[PERI_MAX_PARAMS];
} operands;

static peri_status take(const peri_arg *args, operands *o, int from, int to) {
  for (int i = from; i <= to; i++) {
    if (args[i].tensor != NULL) PERI_TRY(peri_tensor_contiguous(args[i].tensor, &o->own[i]));
  }
  return PERI_OK;
}
static void let_go(operands *o) {
  for (int i = 0; i < PERI_MAX_PARAMS; i++) peri_tensor_release(&o->own[i]);
}
static void *data_of(const peri_tensor *x) { return x == NULL ? NULL : x->data; }

static peri_sequence sequence_of(const int64_t *note, const operands *o, const peri_tensor *weight) {
  const bool has_c = note[CELL] == PERI_CELL_LSTM;
  const int64_t *strides = weight->layout.strides;
  return (peri_sequence){.cell = (int)note[CELL],
                         .dtype = weight->layout.dtype,
                         .steps = note[STEPS],
                         .batch = note[BATCH],
                         .hidden = note[HIDDEN],
                         .reverse = note[IS_REVERSE],
                         .lengths = data_of(o->own[note[AT_LENGTHS]]),
                         .x = data_of(o->own[X]),
                         .bias = data_of(o->own[BIAS]),
                         .weight = {.data = weight->data, .along = strides[0], .step = strides[1]},
                         .h = data_of(o->own[H]),
                         .c = has_c ? data_of(o->own[C]) : NULL};
}

static peri_status run_sequence(peri_call *call) {
  operands o = {{NULL}};
  peri_output *outputs = call->outputs;
  peri_status status = take(call->args, &o, X, X);
  if (status == PERI_OK) status = take(call->args, &o, BIAS, (int)call->note[AT_LENGTHS]);
  if (status == PERI_OK) {
    peri_sequence s = sequence_of(call->note, &o, call->args[WEIGHT].tensor);
    const bool lstm = s.cell == PERI_CELL_LSTM;
    s.y = outputs[0].tensor->data;
    s.h_last = outputs[1].tensor->data;
    s.c_last = lstm ? outputs[2].tensor->data : NULL;
    s.kept = lstm ? data_of(outputs[3].tensor) : s.cell == PERI_CELL_GRU ? data_of(outputs[2].tensor) : NULL;
    status = peri_sequence_run(call->context, &s);
  }
  let_go(&o);
  return status;
}

/* ---- the gradient at once ---- */

enum { GX, GP, GH, GC, H_BEFORE, SLOPES };

static peri_status new_tensor(peri_backward *B, int ndim, const int64_t *shape, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, B->layouts[X]->dtype, ndim, shape);
  return peri_formula_new(B, &layout, out);
}

/* A gradient that arrives at a last state, or zeros. */
static peri_status new_state(peri_backward *B, peri_tensor *g, peri_tensor **out) {
  peri_layout layout;
  if (g != NULL) return peri_tensor_copy(g, B->layouts[X]->dtype, out);
  peri_layout_set(&layout, B->layouts[X]->dtype, 2, B->note + BATCH);
  return peri_tensor_full(B->context, &layout, 0, out);
}

static peri_status make_slopes(peri_backward *B, operands *o, peri_tensor **slopes) {
  const int64_t *note = B->note, gates = peri_sequence_gates((int)note[CELL]) * note[HIDDEN];
  const int64_t shape[3] = {note[STEPS], note[BATCH], gates};
  const bool lstm = note[CELL] == PERI_CELL_LSTM;
  PERI_TRY(new_tensor(B, 3, shape, &slopes[GX]));
  if (note[CELL] == PERI_CELL_GRU) PERI_TRY(new_tensor(B, 3, shape, &slopes[GP]));
  PERI_TRY(new_tensor(B, 3, note + STEPS, &slopes[H_BEFORE]));
  PERI_TRY(new_state(B, B->grad_outputs[1], &slopes[GH]));
  if (lstm) PERI_TRY(new_state(B, B->grad_outputs[2], &slopes[GC]));
  if (o->own[H] == NULL) PERI_TRY(new_state(B, NULL, &o->own[H]));
  return lstm && o->own[C] == NULL ? new_state(B, NULL, &o->own[C]) : PERI_OK;
}

static peri_status run_slopes(peri_backward *B, operands *o, peri_tensor **slopes) {
  peri_tensor *weight = B->args[WEIGHT].tensor, *gy = NULL;
  PERI_TRY(take(B->args, o, H, (int)B->note[AT_LENGTHS]));
  PERI_TRY(make_slopes(B, o, slopes));
  if (B->grad_outputs[0] != NULL) PERI_TRY(peri_tensor_contiguous(B->grad_outputs[0], &gy));
  peri_sequence s = sequence_of(B->note, o, weight);
  s.weight =
      (peri_operand){.data = weight->data, .along = weight->layout.strides[1], .step = weight->layout.strides[0]};
  s.y = B->outputs[0]->data;
  s.kept = data_of(B->outputs[s.cell == PERI_CELL_LSTM ? 3 : 2]);
  peri_sequence_slope g = {.gy = data_of(gy),
                           .gh = slopes[GH]->data,
                           .gc = data_of(slopes[GC]),
                           .gx = slopes[GX]->data,
                           .gp = slopes[GP] != NULL ? slopes[GP]->data : slopes[GX]->data,
                           .h_before = slopes[H_BEFORE]->data};
  peri_status status = peri_sequence_slopes(B->context, &s, &g);
  peri_tensor_release(&gy);
  return status;
}

static bool needs(const peri_backward *B, int edge) { return edge < B->edges && B->needs[edge]; }

/* Weight and bias: what the state added to the gates, at all steps at once. */
static void answer_parameters(peri_backward *B, peri_value gp, peri_value h_before) {
  const int64_t rows = B->note[STEPS] * B->note[BATCH], gates = B->layouts[X]->shape[2];
  if (!needs(B, WEIGHT) && !needs(B, BIAS)) return;
  gp = peri_step_reshape(B, gp, 2, (int64_t[]){rows, gates});
  if (needs(B, WEIGHT)) {
    h_before = peri_step_reshape(B, h_before, 2, (int64_t[]){rows, B->note[HIDDEN]});
    peri_answer(B, WEIGHT, peri_step_matmul(B, gp, h_before, true, false));
  }
  if (needs(B, BIAS)) peri_answer(B, BIAS, peri_step_sum(B, gp, 1, (int64_t[]){0}, false));
}

static peri_status grad_at_once(peri_backward *B) {
  operands o = {{NULL}};
  peri_tensor *slopes[SLOPES] = {NULL};
  peri_value values[SLOPES];
  peri_status status = run_slopes(B, &o, slopes);
  let_go(&o);
  for (int i = 0; i < SLOPES; i++) {
    values[i] = peri_constant(0);
    if (status == PERI_OK && slopes[i] != NULL) {
      values[i] = peri_formula_own(B, PERI_OK, slopes[i]);
    } else {
      peri_tensor_release(&slopes[i]);
    }
  }
  if (status != PERI_OK) return status;
  answer_parameters(B, values[slopes[GP] != NULL ? GP : GX], values[H_BEFORE]);
  if (needs(B, X)) peri_answer(B, X, values[GX]);
  if (needs(B, H)) peri_answer(B, H, values[GH]);
  if (B->note[CELL] == PERI_CELL_LSTM && needs(B, C)) peri_answer(B, C, values[GC]);
  return PERI_OK;
}

static peri_status grad_sequence(peri_backward *B) {
  return B->create_graph ? peri_sequence_formula(B) : grad_at_once(B);
}

/* ---- rows ---- */

#define INPUTS                                                                                                         \
  {"x", PERI_KIND_TENSOR}, {"weight", PERI_KIND_TENSOR}, {"bias", PERI_KIND_TENSOR, .optional = true}, {               \
    "h", PERI_KIND_TENSOR, .optional = true                                                                            \
  }
#define ORDER                                                                                                          \
  {"lengths", PERI_KIND_INDICES, .optional = true, .named = true}, {                                                   \
    "reverse", PERI_KIND_BOOL, .optional = true, .named = true                                                         \
  }
#define SAVED                                                                                                          \
  (PERI_SAVE_INPUT(X) | PERI_SAVE_INPUT(WEIGHT) | PERI_SAVE_INPUT(BIAS) | PERI_SAVE_INPUT(H) | PERI_SAVE_OUTPUT(0))
#define SHAPES                                                                                                            \
  " lengths, one whole number from 1 for each row of the batch, says where rows end: what lies beyond is not read, is 0 " \
  "in y, and leaves the state. With reverse = true the steps go from each row's end to its first. y is steps x batch x "  \
  "hidden, h batch x hidden (zeros where it is not given; the last state among the results). Floats of one dtype."

const peri_op peri_op_rnn_sequence = {
    .name = "rnn_sequence",
    .saves = SAVED | PERI_SAVE_INPUT(LENGTHS),
    .outputs = 2,
    .params = {INPUTS,
               ORDER,
               {"nonlinearity", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "tanh relu"}},
    .infer = infer_rnn,
    .run = run_sequence,
    .grad = PERI_FULL(grad_sequence),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 2, 2), T(2, 2), T(2), T(2, 2)}, {T(2, 3, 2), T(2, 2), {lengths = {2, 1, 2}, reverse = true}}, "
              "{T(3, 2, 1), T(1, 1), nil, T(2, 1), {nonlinearity = 'relu', lengths = {3, 1}}}",
    .doc = "rnn_sequence(x, weight, bias, h, {lengths, reverse = false, nonlinearity = 'tanh'}) -> y, h\n"
           "h = tanh(x + h weight' + bias), or relu, step by step: x is steps x batch x hidden, what the input gives, "
           "weight hidden x hidden, bias hidden or left out." SHAPES
           " J. L. Elman, 'Finding structure in time', 1990; nn.RNN is made of it.\n"
           "Errors: shapes that do not fit; lengths below 1 or above the steps."};
const peri_op peri_op_gru_sequence = {
    .name = "gru_sequence",
    .saves = SAVED | PERI_SAVE_INPUT(LENGTHS) | PERI_SAVE_OUTPUT(2) | PERI_HIDDEN_OUTPUT(2),
    .outputs = 3,
    .params = {INPUTS, ORDER},
    .infer = infer_gru,
    .run = run_sequence,
    .grad = PERI_FULL(grad_sequence),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 1, 6), T(6, 2), T(6), T(1, 2)}, {T(2, 3, 3), T(3, 1), {lengths = {2, 1, 2}, reverse = true}}, "
              "{T(3, 2, 3), T(3, 1), nil, T(2, 1), {lengths = {3, 1}}}",
    .doc =
        "gru_sequence(x, weight, bias, h, {lengths, reverse = false}) -> y, h\n"
        "Gated recurrent units, step by step, with p = h weight' + bias: r = sigmoid(x_r + p_r), z = sigmoid(x_z + "
        "p_z), n = tanh(x_n + r p_n), h = (1 - z) n + z h. x is steps x batch x 3 hidden, what the input gives to r, "
        "z and n, weight 3 hidden x hidden, bias 3 hidden or left out." SHAPES
        " K. Cho et al., 'Learning phrase representations using RNN encoder-decoder', 2014, with the reset behind the "
        "product; nn.GRU is made of it.\n"
        "Errors: shapes that do not fit; lengths below 1 or above the steps."};
const peri_op peri_op_lstm_sequence = {
    .name = "lstm_sequence",
    .saves = SAVED | PERI_SAVE_INPUT(C) | PERI_SAVE_INPUT(C_LENGTHS) | PERI_SAVE_OUTPUT(3) | PERI_HIDDEN_OUTPUT(3),
    .outputs = 4,
    .params = {INPUTS, {"c", PERI_KIND_TENSOR, .optional = true}, ORDER},
    .infer = infer_lstm,
    .run = run_sequence,
    .grad = PERI_FULL(grad_sequence),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 1, 8), T(8, 2), T(8), T(1, 2), T(1, 2)}, "
              "{T(2, 3, 4), T(4, 1), {lengths = {2, 1, 2}, reverse = true}}, "
              "{T(3, 2, 4), T(4, 1), nil, T(2, 1), T(2, 1), {lengths = {3, 1}}}",
    .doc =
        "lstm_sequence(x, weight, bias, h, c, {lengths, reverse = false}) -> y, h, c\n"
        "Long short-term memory, step by step, with p = h weight' + bias: i, f, o = sigmoid(x + p) and g = tanh(x + "
        "p) of their parts, c = f c + i g, h = o tanh(c). x is steps x batch x 4 hidden, what the input gives to i, "
        "f, g and o, weight 4 hidden x hidden, bias 4 hidden or left out; c is like h." SHAPES
        " S. Hochreiter, J. Schmidhuber, 'Long short-term memory', 1997; F. Gers et al., 'Learning to forget', 2000; "
        "nn.LSTM is made of it.\n"
        "Errors: shapes that do not fit; lengths below 1 or above the steps."};

const peri_op *const peri_ops_recurrent[] = {&peri_op_rnn_sequence, &peri_op_gru_sequence, &peri_op_lstm_sequence,
                                             NULL};
