/* Recurrent layers: the products of the input for all steps, and the rows of sequences (ops/recurrent.c). A cell is a
 * sequence of one step. */
#include "nn/kinds.h"
#include "ops/recurrent.h"

#include <stdio.h>

enum { INPUT, HIDDEN };                                                    /* sizes */
enum { LAYERS, WITH_BIAS, BATCH_FIRST, DROPOUT, BOTH_WAYS, NONLINEARITY }; /* options */
enum { CELL_BIAS, CELL_NONLINEARITY };                                     /* of a cell */
enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, ROWS };                     /* parameters of a layer and direction */

/* What the kinds differ in. */
typedef struct recurrent {
  const peri_op *sequence;
  int gates, states;
  bool one_bias; /* of input and state, which are only added */
} recurrent;

/* ---- parameters ---- */

static int directions(const peri_layer *layer) { return layer->options[BOTH_WAYS] != 0 ? 2 : 1; }
static int copies(const peri_layer *layer) { return (int)layer->options[LAYERS] * directions(layer); }
static void suffix(const peri_layer *layer, int copy, char *text) {
  snprintf(text, PERI_LAYER_NAME, "_l%d%s", copy / directions(layer), copy % directions(layer) ? "_reverse" : "");
}

static peri_status uniform_by_hidden(const peri_layer *layer, peri_tensor *parameter) {
  return peri_init_uniform(layer, parameter, (double)layer->sizes[HIDDEN]);
}

#define SHAPES(name, gates)                                                                                            \
  static int input_##name(const peri_layer *layer, int copy, int64_t *shape) {                                         \
    shape[0] = gates * layer->sizes[HIDDEN];                                                                           \
    shape[1] = copy < directions(layer) ? layer->sizes[INPUT] : directions(layer) * layer->sizes[HIDDEN];              \
    return 2;                                                                                                          \
  }                                                                                                                    \
  static int cell_input_##name(const peri_layer *layer, int copy, int64_t *shape) {                                    \
    shape[0] = gates * layer->sizes[HIDDEN];                                                                           \
    shape[1] = layer->sizes[INPUT];                                                                                    \
    return 2 + 0 * copy;                                                                                               \
  }                                                                                                                    \
  static int state_##name(const peri_layer *layer, int copy, int64_t *shape) {                                         \
    shape[0] = gates * layer->sizes[HIDDEN];                                                                           \
    shape[1] = layer->sizes[HIDDEN];                                                                                   \
    return 2 + 0 * copy;                                                                                               \
  }                                                                                                                    \
  static int bias_##name(const peri_layer *layer, int copy, int64_t *shape) {                                          \
    shape[0] = gates * layer->sizes[HIDDEN];                                                                           \
    return 1 + 0 * copy;                                                                                               \
  }
SHAPES(rnn, 1)
SHAPES(gru, 3)
SHAPES(lstm, 4)

static const recurrent rnn = {&peri_op_rnn_sequence, 1, 1, true}, gru = {&peri_op_gru_sequence, 3, 1, false},
                       lstm = {&peri_op_lstm_sequence, 4, 2, true};

/* ---- checks ---- */

#define FAIL(layer, ...) peri_fail((layer)->context, PERI_ERR_ARGUMENT, "%s: " __VA_ARGS__)

static peri_status check_dtype(const peri_layer *layer, const char *name, const peri_tensor *x) {
  if (x->layout.dtype == layer->dtype) return PERI_OK;
  return FAIL(layer, "%s is %s but the layer is %s (%s:to \"%s\" converts a tensor, net:to \"%s\" a network)",
              layer->kind->name, name, peri_dtype_name(x->layout.dtype), peri_dtype_name(layer->dtype), name,
              peri_dtype_name(layer->dtype),
              peri_is_float(x->layout.dtype) ? peri_dtype_name(x->layout.dtype) : "float64");
}

/* The named input has those sizes, if it is given. */
static peri_status check_state(const peri_layer *layer, const char *name, const peri_tensor *state, int ndim,
                               const int64_t *shape) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (state == NULL) return PERI_OK;
  PERI_TRY(check_dtype(layer, name, state));
  bool same = state->layout.ndim == ndim;
  for (int d = 0; same && d < ndim; d++) same = state->layout.shape[d] == shape[d];
  if (same) return PERI_OK;
  return FAIL(layer, "%s is %s (expected %s)", layer->kind->name, name,
              peri_shape_text(state->layout.ndim, state->layout.shape, a), peri_shape_text(ndim, shape, b));
}

/* ---- lengths ---- */

/* How many of a row's steps a mask has, which must be its first ones. */
static peri_status count_steps(const peri_layer *layer, const peri_tensor *mask, int64_t row, int64_t row_stride,
                               int64_t steps, int64_t step_stride, int64_t *length) {
  int64_t n = 0, last = 0;
  for (int64_t t = 0; t < steps; t++) {
    if (!mask->data[row * row_stride + t * step_stride]) continue;
    n++;
    last = t + 1;
  }
  *length = n;
  if (n >= 1 && n == last) return PERI_OK;
  return FAIL(layer, "mask has %s (expected true for the first steps of each row, one at least)", layer->kind->name,
              n == 0 ? "a row without steps" : "a step behind one that is missing");
}

/* lengths from a mask of the first two dimensions of x. */
static peri_status lengths_of_mask(const peri_layer *layer, const peri_tensor *mask, int64_t steps, int64_t batch,
                                   bool batch_first, peri_tensor **out) {
  const peri_layout *m = &mask->layout;
  char text[PERI_SHAPE_TEXT];
  const int row = batch_first ? 0 : 1;
  if (m->dtype != PERI_BOOL || m->ndim != 2 || m->shape[row] != batch || m->shape[1 - row] != steps) {
    return FAIL(layer, "mask is %s, %s (expected bool, %lld x %lld)", layer->kind->name,
                peri_shape_text(m->ndim, m->shape, text), peri_dtype_name(m->dtype),
                (long long)(batch_first ? batch : steps), (long long)(batch_first ? steps : batch));
  }
  peri_layout layout;
  peri_layout_set(&layout, PERI_INT64, 1, &batch);
  peri_refuse_replay(layer->context, "%s reads the lengths of its sequences", layer->kind->name);
  PERI_TRY(peri_tensor_empty(layer->context, &layout, out));
  peri_status status = PERI_OK;
  for (int64_t i = 0; i < batch && status == PERI_OK; i++) {
    status =
        count_steps(layer, mask, i, m->strides[row], steps, m->strides[1 - row], &((int64_t *)(void *)(*out)->data)[i]);
  }
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* ---- steps ---- */

/* A layer's pass as a formula, whose steps record themselves. */
typedef struct pass {
  peri_backward B;
  peri_formula formula;
  const peri_layer *layer;
  const recurrent *how;
  peri_value lengths;
} pass;

static void begin(pass *p, const peri_layer *layer, const recurrent *how, peri_tensor **out) {
  *p = (pass){.layer = layer, .how = how, .B = {.context = layer->context, .op = how->sequence, .answers = out}};
  peri_formula_begin(&p->B, &p->formula);
}

static peri_status end(pass *p) {
  peri_status status = peri_formula_end(&p->B);
  const int n = peri_layer_outputs(p->layer->kind);
  for (int i = 0; status != PERI_OK && i < n; i++) peri_tensor_release(&p->B.answers[i]);
  return status;
}

static peri_value swap_first(pass *p, peri_value x) {
  peri_call call;
  if (p->formula.status != PERI_OK) return x;
  peri_step_open(&p->B, &call, &peri_op_transpose, 1, &x);
  call.args[1].integer = 0;
  call.args[2].integer = 1;
  return peri_step_run(&p->B, &call);
}

static peri_value parameter(const pass *p, int copy, int row) {
  return peri_of(p->layer->parameters[copy * ROWS + row]);
}

/* One layer in one direction over x, steps x batch x inputs, from states batch x hidden: y and the last states. */
static void sequence(pass *p, int copy, bool reverse, peri_value x, const peri_value *states, peri_value *results) {
  peri_backward *B = &p->B;
  peri_value bias_ih = parameter(p, copy, BIAS_IH), bias_hh = parameter(p, copy, BIAS_HH);
  for (int i = 0; i <= p->how->states; i++) results[i] = peri_constant(0);
  if (bias_ih.tensor != NULL && p->how->one_bias) {
    bias_ih = peri_step_add(B, bias_ih, bias_hh);
    bias_hh = peri_constant(0);
  }
  peri_call call;
  if (p->formula.status != PERI_OK) return;
  peri_step_open(B, &call, &peri_op_linear, 2, (peri_value[]){x, parameter(p, copy, WEIGHT_IH)});
  call.args[2].given = bias_ih.tensor != NULL;
  call.args[2].tensor = bias_ih.tensor;
  x = peri_step_run(B, &call);
  if (p->formula.status != PERI_OK) return;
  const int lengths = PERI_SEQUENCE_H + p->how->states;
  peri_step_open(B, &call, p->how->sequence, 2, (peri_value[]){x, parameter(p, copy, WEIGHT_HH)});
  call.args[PERI_SEQUENCE_BIAS].tensor = bias_hh.tensor;
  for (int i = 0; i < p->how->states; i++) call.args[PERI_SEQUENCE_H + i].tensor = states[i].tensor;
  call.args[lengths].tensor = p->lengths.tensor;
  for (int i = PERI_SEQUENCE_BIAS; i <= lengths; i++) call.args[i].given = call.args[i].tensor != NULL;
  call.args[lengths + 1].integer = reverse;
  if (p->how->gates == 1)
    call.args[lengths + 2].integer =
        (int64_t)p->layer->options[p->layer->kind->copies != NULL ? NONLINEARITY : CELL_NONLINEARITY];
  peri_step_run_outputs(B, &call, 1 + p->how->states, results);
}

static peri_value drop(pass *p, peri_value x) {
  const peri_layer *layer = p->layer;
  peri_tensor *y = NULL;
  if (!PERI_TRAINS || p->formula.status != PERI_OK || !layer->training || layer->options[DROPOUT] == 0) return x;
  peri_status status = peri_layer_drop(layer->context, layer->options[DROPOUT], x.tensor, &y);
  return peri_formula_own(&p->B, status, y);
}

/* One of the first states, given as copies x batch x hidden, or nothing. */
static peri_value state_of(pass *p, peri_tensor *given, int copy) {
  peri_call call;
  peri_value all = peri_of(given);
  if (given == NULL || p->formula.status != PERI_OK) return peri_constant(0);
  peri_step_open(&p->B, &call, &peri_op_select, 1, &all);
  call.args[1].integer = 0;
  call.args[2].integer = copy;
  return peri_step_run(&p->B, &call);
}

/* ---- layers ---- */

typedef struct sizes {
  int64_t steps, batch;
  bool alone; /* a sequence without a batch */
} sizes;

static peri_status check_inputs(const peri_layer *layer, const recurrent *how, peri_tensor *const *inputs, sizes *s) {
  const peri_layout *x = &inputs[0]->layout;
  const bool batch_first = layer->options[BATCH_FIRST] != 0;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(check_dtype(layer, "x", inputs[0]));
  s->alone = x->ndim == 2;
  if ((x->ndim != 2 && x->ndim != 3) || x->shape[x->ndim - 1] != layer->sizes[INPUT]) {
    return FAIL(layer, "x is %s (expected %s x %lld, or steps x %lld alone)", layer->kind->name,
                peri_shape_text(x->ndim, x->shape, text), batch_first ? "batch x steps" : "steps x batch",
                (long long)layer->sizes[INPUT], (long long)layer->sizes[INPUT]);
  }
  s->steps = x->shape[!s->alone && batch_first ? 1 : 0];
  s->batch = s->alone ? 1 : x->shape[batch_first ? 0 : 1];
  if (s->steps == 0)
    return FAIL(layer, "x is %s (expected one step at least)", layer->kind->name,
                peri_shape_text(x->ndim, x->shape, text));
  const int64_t shape[3] = {copies(layer), s->alone ? layer->sizes[HIDDEN] : s->batch, layer->sizes[HIDDEN]};
  for (int i = 0; i < how->states; i++)
    PERI_TRY(check_state(layer, peri_kind_further(layer->kind)[i].name, inputs[1 + i], s->alone ? 2 : 3, shape));
  return PERI_OK;
}

static peri_status check_lengths(const peri_layer *layer, const peri_tensor *lengths, const sizes *s) {
  const peri_layout *l = &lengths->layout;
  char text[PERI_SHAPE_TEXT];
  if (l->dtype != PERI_INT64 || l->ndim != 1 || l->shape[0] != s->batch) {
    return FAIL(layer, "lengths is %s, %s (expected int64, one for each of %lld rows)", layer->kind->name,
                peri_shape_text(l->ndim, l->shape, text), peri_dtype_name(l->dtype), (long long)s->batch);
  }
  peri_refuse_replay(layer->context, "%s reads the lengths of its sequences", layer->kind->name);
  for (int64_t i = 0; i < s->batch; i++) {
    const int64_t length = peri_load_integer(PERI_INT64, lengths->data + i * l->strides[0] * 8);
    if (length < 1 || length > s->steps) {
      return FAIL(layer, "lengths[%lld] is %lld (expected 1 to %lld, the steps of x)", layer->kind->name,
                  (long long)(i + 1), (long long)length, (long long)s->steps);
    }
  }
  return PERI_OK;
}

/* lengths as they are given, or from the mask. */
static peri_status find_lengths(pass *p, peri_tensor *lengths, const peri_tensor *mask, const sizes *s) {
  const peri_layer *layer = p->layer;
  peri_tensor *made = NULL;
  if (lengths != NULL && mask != NULL)
    return FAIL(layer, "lengths and mask are both given (expected one of them)", layer->kind->name);
  if ((lengths != NULL || mask != NULL) && s->alone)
    return FAIL(layer, "a sequence without a batch has all its steps (expected no lengths and no mask)",
                layer->kind->name);
  if (lengths != NULL) PERI_TRY(check_lengths(layer, lengths, s));
  p->lengths = peri_of(lengths);
  if (mask == NULL) return PERI_OK;
  PERI_TRY(lengths_of_mask(layer, mask, s->steps, s->batch, layer->options[BATCH_FIRST] != 0, &made));
  p->lengths = peri_formula_own(&p->B, PERI_OK, made);
  return PERI_OK;
}

/* The last states of all layers and directions, one behind the other. */
static peri_value join_states(pass *p, const peri_value *states, int n, const sizes *s) {
  const int64_t shape[3] = {n, s->batch, p->layer->sizes[HIDDEN]};
  peri_value all = states[0];
  for (int i = 1; i < n && p->formula.status == PERI_OK; i++) all = peri_step_cat(&p->B, all, states[i], 0);
  all = peri_step_reshape(&p->B, all, 3, shape);
  return s->alone ? peri_step_reshape(&p->B, all, 2, (int64_t[]){n, shape[2]}) : all;
}

static void run_layers(pass *p, peri_tensor *const *inputs, const sizes *s, peri_value *last) {
  const peri_layer *layer = p->layer;
  const int ways = directions(layer), n = copies(layer), states = p->how->states;
  const bool turned = layer->options[BATCH_FIRST] != 0 && !s->alone;
  const peri_layout *shape = &inputs[0]->layout;
  peri_value y = peri_of(inputs[0]), first[2], results[2][3];
  if (turned) y = swap_first(p, y);
  if (s->alone) y = peri_step_reshape(&p->B, y, 3, (int64_t[]){s->steps, 1, shape->shape[1]});
  peri_tensor *given[2] = {inputs[1], states > 1 ? inputs[2] : NULL};
  for (int copy = 0; copy < n; copy++) {
    const int way = copy % ways;
    if (way == 0 && copy > 0) y = drop(p, y);
    for (int i = 0; i < states; i++) {
      first[i] = state_of(p, given[i], copy);
      if (s->alone && given[i] != NULL)
        first[i] = peri_step_reshape(&p->B, first[i], 2, (int64_t[]){1, layer->sizes[HIDDEN]});
    }
    sequence(p, copy, way == 1, y, first, results[way]);
    for (int i = 0; i < states; i++) last[i * n + copy] = results[way][1 + i];
    if (way < ways - 1 || p->formula.status != PERI_OK) continue;
    y = ways == 2 ? peri_step_cat(&p->B, results[0][0], results[1][0], 2) : results[0][0];
  }
  if (turned) y = swap_first(p, y);
  if (s->alone) y = peri_step_reshape(&p->B, y, 2, (int64_t[]){s->steps, ways * layer->sizes[HIDDEN]});
  peri_answer(&p->B, 0, y);
  for (int i = 0; i < states; i++) peri_answer(&p->B, 1 + i, join_states(p, last + i * n, n, s));
}

static peri_status forward(const peri_layer *layer, const recurrent *how, peri_tensor *const *inputs,
                           peri_tensor **out) {
  const size_t bytes = (size_t)(copies(layer) * how->states) * sizeof(peri_value);
  const peri_stream before = layer->context->stream;
  sizes s = {0, 0, false};
  void *last;
  PERI_TRY(check_inputs(layer, how, inputs, &s));
  PERI_TRY(peri_alloc(layer->context, bytes, &last));
  pass p;
  begin(&p, layer, how, out);
  peri_status status = find_lengths(&p, inputs[1 + how->states], inputs[2 + how->states], &s);
  if (status == PERI_OK) run_layers(&p, inputs, &s, last);
  peri_status steps = end(&p);
  peri_free(layer->context, last, bytes);
  if (status == PERI_OK) status = steps;
  if (status != PERI_OK) layer->context->stream = before;
  return status;
}

/* ---- cells ---- */

static peri_status forward_cell(const peri_layer *layer, const recurrent *how, peri_tensor *const *inputs,
                                peri_tensor **out) {
  const peri_layout *x = &inputs[0]->layout;
  const int64_t hidden = layer->sizes[HIDDEN];
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(check_dtype(layer, "x", inputs[0]));
  if ((x->ndim != 1 && x->ndim != 2) || x->shape[x->ndim - 1] != layer->sizes[INPUT]) {
    return FAIL(layer, "x is %s (expected batch x %lld)", layer->kind->name, peri_shape_text(x->ndim, x->shape, text),
                (long long)layer->sizes[INPUT]);
  }
  const int64_t batch = x->ndim == 2 ? x->shape[0] : 1, shape[2] = {x->ndim == 2 ? batch : hidden, hidden};
  for (int i = 0; i < how->states; i++)
    PERI_TRY(check_state(layer, peri_kind_further(layer->kind)[i].name, inputs[1 + i], x->ndim, shape));
  pass p;
  begin(&p, layer, how, out);
  peri_value first[2], results[3];
  for (int i = 0; i < how->states; i++) {
    first[i] = peri_of(inputs[1 + i]);
    if (x->ndim == 1 && inputs[1 + i] != NULL) first[i] = peri_step_reshape(&p.B, first[i], 2, (int64_t[]){1, hidden});
  }
  peri_value step = peri_step_reshape(&p.B, peri_of(inputs[0]), 3, (int64_t[]){1, batch, layer->sizes[INPUT]});
  sequence(&p, 0, false, step, first, results);
  for (int i = 0; i < how->states; i++)
    peri_answer(&p.B, i, x->ndim == 1 ? peri_step_reshape(&p.B, results[1 + i], 1, &hidden) : results[1 + i]);
  return end(&p);
}

#define FORWARD(name)                                                                                                  \
  static peri_status forward_##name(const peri_layer *layer, peri_tensor *const *inputs, int activation,               \
                                    peri_tensor **out) {                                                               \
    (void)activation;                                                                                                  \
    return forward(layer, &name, inputs, out);                                                                         \
  }                                                                                                                    \
  static peri_status forward_cell_##name(const peri_layer *layer, peri_tensor *const *inputs, int activation,          \
                                         peri_tensor **out) {                                                          \
    (void)activation;                                                                                                  \
    return forward_cell(layer, &name, inputs, out);                                                                    \
  }
FORWARD(rnn)
FORWARD(gru)
FORWARD(lstm)

/* ---- rows ---- */

#define BIAS_OPTION                                                                                                    \
  { "bias", PERI_OPTION_BOOL, 1, 0, 0, NULL, "add learned biases, bias_ih and bias_hh" }
#define NONLINEARITY_OPTION                                                                                            \
  { "nonlinearity", PERI_OPTION_CHOICE, 0, 0, 0, "tanh relu", "what is done with the sum" }
#define OPTIONS                                                                                                        \
  {"num_layers", PERI_OPTION_INTEGER, 1, 1, 1000, NULL, "so many, one on the output of the other"}, BIAS_OPTION,       \
      {"batch_first", PERI_OPTION_BOOL, 0, 0, 0, NULL, "x and y are batch x steps, not steps x batch"},                \
      {"dropout", PERI_OPTION_NUMBER, 0, 0, 1, NULL, "of what one layer hands to the next, while training"}, {         \
    "bidirectional", PERI_OPTION_BOOL, 0, 0, 0, NULL, "a second one goes from the end, and y has both"                 \
  }
#define PARAMETERS(prefix, name)                                                                                       \
  PERI_PARAMETERS({"weight_ih", .initialise = PERI_FULL(uniform_by_hidden), .shape_of = prefix##input_##name},         \
                  {"weight_hh", .initialise = PERI_FULL(uniform_by_hidden), .shape_of = state_##name},                 \
                  {"bias_ih", "bias", .initialise = PERI_FULL(uniform_by_hidden), .shape_of = bias_##name},            \
                  {"bias_hh", "bias", .initialise = PERI_FULL(uniform_by_hidden), .shape_of = bias_##name})
#define DOC_OPTIONS                                                                                                    \
  "num_layers = 1, bias = true, batch_first = false, dropout = 0, bidirectional = false, dtype = 'float32'}) -> layer\n"
#define DOC(state)                                                                                                       \
  " x is steps x batch x input_size (batch first with batch_first, or steps x input_size alone), y has hidden_size, or " \
  "twice that, in its last dimension. " state                                                                            \
  " are num_layers (twice that with bidirectional) x batch x hidden_size: of the first step, zeros where they are not "  \
  "given, and among the results of the last. {lengths = table or int64 tensor} or {mask = bool tensor of x's first two " \
  "dimensions, true where there is a step} say where rows end: what lies beyond is not read and 0 in y, and states are " \
  "those at each row's end. Parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, then _l0_reverse, then _l1 "  \
  "begin uniform in +-1/sqrt(hidden_size), from the default stream; gates stand in PyTorch's order. A Sequential hands " \
  "on y. "

const peri_layer_kind peri_kind_rnn = {
    .name = "RNN",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}, {"lengths", true}, {"mask", true}),
    .outputs = 2,
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(OPTIONS, NONLINEARITY_OPTION),
    .parameters = PARAMETERS(, rnn),
    .copies = copies,
    .suffix = suffix,
    .forward = forward_rnn,
    .sample =
        "{{2, 3}, {T(2, 2, 2), T(1, 2, 3)}}, {{1, 2, {num_layers = 2, bidirectional = true, batch_first = true}}, "
        "{T(2, 2, 1), T(4, 2, 2)}}, {{2, 1, {bias = false, nonlinearity = 'relu', dropout = 0.5}}, {T(3, 2), T(1, "
        "1)}}",
    .doc = "RNN(input_size, hidden_size, {nonlinearity = 'tanh', " DOC_OPTIONS
           "y, h = layer(x, h, {lengths, mask}): h = tanh (or relu) of weight_ih x + bias_ih + weight_hh h + bias_hh, "
           "step by step: peri.rnn_sequence." DOC("h")};
const peri_layer_kind peri_kind_gru = {
    .name = "GRU",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}, {"lengths", true}, {"mask", true}),
    .outputs = 2,
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(OPTIONS),
    .parameters = PARAMETERS(, gru),
    .copies = copies,
    .suffix = suffix,
    .forward = forward_gru,
    .sample =
        "{{2, 3}, {T(2, 2, 2), T(1, 2, 3)}}, {{1, 2, {num_layers = 2, bidirectional = true, batch_first = true}}, "
        "{T(2, 2, 1), T(4, 2, 2)}}, {{2, 1, {bias = false, dropout = 0.5}}, {T(3, 2), T(1, 1)}}",
    .doc = "GRU(input_size, hidden_size, {" DOC_OPTIONS
           "y, h = layer(x, h, {lengths, mask}): gated recurrent units: peri.gru_sequence." DOC("h")};
const peri_layer_kind peri_kind_lstm = {
    .name = "LSTM",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}, {"c"}, {"lengths", true}, {"mask", true}),
    .outputs = 3,
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(OPTIONS),
    .parameters = PARAMETERS(, lstm),
    .copies = copies,
    .suffix = suffix,
    .forward = forward_lstm,
    .sample =
        "{{2, 3}, {T(2, 2, 2), T(1, 2, 3), T(1, 2, 3)}}, {{1, 2, {num_layers = 2, bidirectional = true, batch_first "
        "= true}}, {T(2, 2, 1), T(4, 2, 2), T(4, 2, 2)}}, {{2, 1, {bias = false, dropout = 0.5}}, {T(3, 2), T(1, "
        "1), T(1, 1)}}",
    .doc = "LSTM(input_size, hidden_size, {" DOC_OPTIONS
           "y, h, c = layer(x, h, c, {lengths, mask}): long short-term memory: peri.lstm_sequence." DOC(
               "h and c") "There is no proj_size."};

#define CELL_DOC(states)                                                                                                \
  " x is batch x input_size (or input_size alone), " states                                                             \
  " batch x hidden_size, zeros where not given. Parameters weight_ih, weight_hh, bias_ih and bias_hh begin uniform in " \
  "+-1/sqrt(hidden_size), from the default stream."

const peri_layer_kind peri_kind_rnn_cell = {
    .name = "RNNCell",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}),
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(BIAS_OPTION, NONLINEARITY_OPTION),
    .parameters = PARAMETERS(cell_, rnn),
    .forward = forward_cell_rnn,
    .sample = "{{2, 3}, {T(2, 2), T(2, 3)}}, {{2, 1, {bias = false, nonlinearity = 'relu'}}, {T(2), T(1)}}",
    .doc = "RNNCell(input_size, hidden_size, {bias = true, nonlinearity = 'tanh', dtype = 'float32'}) -> layer\n"
           "h = layer(x, h): one step of an RNN." CELL_DOC("h")};
const peri_layer_kind peri_kind_lstm_cell = {
    .name = "LSTMCell",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}, {"c"}),
    .outputs = 2,
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(BIAS_OPTION),
    .parameters = PARAMETERS(cell_, lstm),
    .forward = forward_cell_lstm,
    .sample = "{{2, 3}, {T(2, 2), T(2, 3), T(2, 3)}}, {{2, 1, {bias = false}}, {T(2), T(1), T(1)}}",
    .doc = "LSTMCell(input_size, hidden_size, {bias = true, dtype = 'float32'}) -> layer\n"
           "h, c = layer(x, h, c): one step of an LSTM." CELL_DOC("h and c")};
const peri_layer_kind peri_kind_gru_cell = {
    .name = "GRUCell",
    .inputs = 1,
    .further = PERI_INPUTS({"h"}),
    .sizes = PERI_SIZES({"input_size"}, {"hidden_size"}),
    .options = PERI_OPTIONS(BIAS_OPTION),
    .parameters = PARAMETERS(cell_, gru),
    .forward = forward_cell_gru,
    .sample = "{{2, 3}, {T(2, 2), T(2, 3)}}, {{2, 1, {bias = false}}, {T(2), T(1)}}",
    .doc = "GRUCell(input_size, hidden_size, {bias = true, dtype = 'float32'}) -> layer\n"
           "h = layer(x, h): one step of a GRU." CELL_DOC("h")};
