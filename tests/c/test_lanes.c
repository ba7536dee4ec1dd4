/* Networks in lanes (plan/lanes.h) against their plans by themselves: every bit of losses, parameters, gradients and of
 * what optimisers keep. */
#include "allocation_support.h"
#include "context_support.h"
#include "autograd/autograd.h"
#include "data/measures.h"
#include "ops/rows.h"
#include "perilune/model.h"
#include "plan/lanes.h"

#include <math.h>
#include <string.h>

#define STEPS      6
#define PARAMETERS 4

typedef struct network {
  peri_tensor *parameters[PARAMETERS]; /* weight, bias; of the second layer, too */
  peri_tensor *x, *y;
  peri_optimizer *optimizer;
  peri_plan *plan;
} network;

typedef struct trial {
  const char *name, *activation; /* of the dense layer, or "" */
  const char *then;              /* a row behind it, or NULL */
  const char *loss, *options;
  const char *optimizer;
  const char *option; /* that differs from lane to lane, or NULL */
  double from, by;
  peri_dtype dtype;
  int64_t rows, inputs, hidden, outputs;
  int lanes;
  bool diverges, transposed;
} trial;

static const trial trials[] = {
    {"circle", "activation = 'tanh'", NULL, "cross_entropy", NULL, "SGD", NULL, 0, 0, PERI_FLOAT32, 10, 2, 10, 2, 16,
     false, false},
    {"rates", "activation = 'tanh'", NULL, "cross_entropy", NULL, "SGD", "lr", 0.01, 0.03, PERI_FLOAT32, 10, 2, 10, 2,
     5, false, false},
    {"one row", "activation = 'relu'", NULL, "cross_entropy", NULL, "Adam", NULL, 0, 0, PERI_FLOAT32, 1, 2, 10, 2, 16,
     false, false},
    {"sums", "activation = 'sigmoid'", NULL, "cross_entropy", "reduction = 'sum'", "Adam", "lr", 0.001, 0.01,
     PERI_FLOAT32, 33, 7, 5, 31, 3, false, false},
    {"doubles", "activation = 'tanh'", NULL, "cross_entropy", NULL, "AdamW", "weight_decay", 0, 0.1, PERI_FLOAT64, 100,
     3, 9, 3, 16, false, false},
    {"one output", "activation = 'tanh'", NULL, "mse_loss", NULL, "RMSprop", NULL, 0, 0, PERI_FLOAT32, 40, 4, 32, 1, 7,
     false, false},
    {"outputs", "", "gelu", "mse_loss", NULL, "SGD", "momentum", 0.1, 0.05, PERI_FLOAT64, 17, 4, 3, 5, 16, false,
     false},
    {"leaky", "", "leaky_relu", "mse_loss", "reduction = 'sum'", "Adagrad", NULL, 0, 0, PERI_FLOAT32, 64, 16, 33, 2, 2,
     false, false},
    {"softplus", "", "softplus", "cross_entropy", NULL, "NAdam", NULL, 0, 0, PERI_FLOAT32, 12, 2, 6, 3, 4, false,
     false},
    {"numbers of their own", "activation = 'tanh'", NULL, "mse_loss", NULL, "RMSprop", "lr", 0.001, 0.002, PERI_FLOAT32,
     10, 2, 10, 2, 16, false, false},
    {"loops of their own", "activation = 'tanh'", NULL, "mse_loss", NULL, "ASGD", "t0", 0, 1, PERI_FLOAT64, 10, 2, 6, 2,
     5, false, false},
    {"decays", "activation = 'tanh'", NULL, "cross_entropy", NULL, "SGD", "weight_decay", 0, 0.01, PERI_FLOAT64, 9, 3,
     4, 3, 15, false, false},
    {"dropout", "activation = 'tanh'", "dropout", "cross_entropy", NULL, "SGD", NULL, 0, 0, PERI_FLOAT32, 10, 2, 11, 2,
     16, false, false},
    {"large dropout", "", "dropout", "mse_loss", NULL, "Adam", "lr", 0.001, 0.001, PERI_FLOAT64, 41, 3, 9, 2, 3, false,
     false},
    {"dropout diverges", "activation = 'tanh'", "dropout", "cross_entropy", NULL, "SGD", NULL, 0, 0, PERI_FLOAT32, 10,
     2, 10, 2, 6, true, false},
    {"diverges", "activation = 'tanh'", NULL, "cross_entropy", NULL, "SGD", "lr", 0.1, 0.1, PERI_FLOAT32, 10, 2, 10, 2,
     6, true, false},
};

static double value_of(int64_t i, double seed) { return sin(0.7 * (double)i + seed) * 0.8; }

static peri_tensor *fill(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape, double seed) {
  peri_tensor *x = make(context, dtype, ndim, shape);
  for (int64_t i = 0; i < peri_tensor_numel(x); i++)
    peri_store_number(dtype, x->data + (size_t)i * peri_dtype_size(dtype),
                      dtype == PERI_INT64 ? 1 + floor(4 + 4 * value_of(i, seed)) : value_of(i, seed));
  return x;
}

static const peri_optimizer_kind *kind_of(const char *name) {
  int k = 0;
  while (strcmp(peri_optimizer_kinds[k]->name, name) != 0) k++;
  return peri_optimizer_kinds[k];
}

static void open_network(peri_context *context, const trial *t, int lane, network *net) {
  const int64_t shapes[PARAMETERS][2] = {{t->hidden, t->inputs}, {t->hidden}, {t->outputs, t->hidden}, {t->outputs}};
  double options[PERI_OPTIMIZER_OPTIONS] = {0};
  const peri_optimizer_kind *kind = kind_of(t->optimizer);
  *net = (network){0};
  for (int i = 0; i < PARAMETERS; i++) {
    net->parameters[i] = fill(context, t->dtype, i % 2 == 0 ? 2 : 1, shapes[i], 1.3 * lane + i);
    PERI_CHECK(peri_require_grad(net->parameters[i], true) == PERI_OK, "a leaf");
  }
  peri_option_defaults(kind->options, options);
  options[0] = 0.1;
  if (t->option != NULL) options[peri_optimizer_option(kind, t->option)] = t->from + t->by * lane;
  const peri_optimizer_part part = {options, PARAMETERS, net->parameters};
  PERI_CHECK(peri_optimizer_new(context, kind, 1, &part, &net->optimizer) == PERI_OK, "%s", peri_message(context));
}

static void close_network(network *net) {
  peri_plan_release(&net->plan);
  peri_optimizer_release(&net->optimizer);
  for (int i = 0; i < PARAMETERS; i++) peri_tensor_release(&net->parameters[i]);
  peri_tensor_release(&net->x);
  peri_tensor_release(&net->y);
}

/* The mini-batch of a step. */
static void take_rows(peri_context *context, const trial *t, int lane, int step, network *net) {
  const bool classes = strcmp(t->loss, "cross_entropy") == 0;
  peri_tensor_release(&net->x);
  peri_tensor_release(&net->y);
  net->x = fill(context, t->dtype, 2, (int64_t[]){t->rows, t->inputs}, 0.3 * lane + 5 * step);
  if (t->diverges && lane == 2 && step == STEPS - 2) peri_store_number(t->dtype, net->x->data, NAN);
  if (!classes) {
    net->y = fill(context, t->dtype, 2, (int64_t[]){t->rows, t->outputs}, 0.9 * lane + step);
    return;
  }
  net->y = make(context, PERI_INT64, 1, &t->rows);
  for (int64_t i = 0; i < t->rows; i++) ((int64_t *)(void *)net->y->data)[i] = 1 + (i * 7 + lane + step) % t->outputs;
}

static peri_tensor *operate(peri_context *context, const char *name, int n, peri_tensor *const *in,
                            const char *options) {
  peri_tensor *y = NULL;
  PERI_CHECK(peri_operate(context, name, n, in, options, 1, &y) == PERI_OK, "%s: %s", name, peri_message(context));
  return y;
}

/* The step: loss and scores, of which the scores are detached. */
static void step(peri_context *context, const trial *t, network *net, peri_tensor *results[2]) {
  peri_optimizer_zero_grad(net->optimizer);
  peri_tensor *h = operate(context, "linear", 3, (peri_tensor *[]){net->x, net->parameters[0], net->parameters[1]},
                           t->activation[0] == '\0' ? NULL : t->activation);
  if (t->then != NULL) {
    peri_tensor *before = h;
    h = operate(context, t->then, 1, &before, NULL);
    peri_tensor_release(&before);
  }
  peri_tensor *scores =
      operate(context, "linear", 3, (peri_tensor *[]){h, net->parameters[2], net->parameters[3]}, NULL);
  results[0] = operate(context, t->loss, 2, (peri_tensor *[]){scores, net->y}, t->options);
  PERI_CHECK(peri_tensor_detach(scores, &results[1]) == PERI_OK, "detach");
  if (peri_plan_go_on(results[0])) {
    PERI_CHECK(peri_tensor_backward(results[0], NULL, 0) == PERI_OK, "%s", peri_message(context));
    PERI_CHECK(peri_optimizer_step(net->optimizer) == PERI_OK, "%s", peri_message(context));
  }
  peri_tensor_release(&scores);
  peri_tensor_release(&h);
}

/* The first step makes the gradients, the second is recorded. */
static void record(peri_context *context, const trial *t, int lane, network *net) {
  context->stream = (peri_stream){.seed = 3 + (uint64_t)lane};
  for (int i = 0; i < 2; i++) {
    peri_tensor *results[2];
    take_rows(context, t, lane, i, net);
    peri_tensor *arguments[2] = {net->x, net->y};
    peri_plan_release(&net->plan);
    PERI_CHECK(peri_plan_begin(context, 2, arguments, &net->plan) == PERI_OK, "%s", peri_message(context));
    step(context, t, net, results);
    if (i == 1) {
      peri_tensor *loss = NULL;
      PERI_CHECK(peri_tensor_detach(results[0], &loss) == PERI_OK, "detach");
      peri_plan_end(net->plan, 2, (peri_tensor *[]){loss, results[1]});
      PERI_CHECK(peri_plan_refused(net->plan, NULL) == NULL, "%s: %s", t->name, peri_plan_refused(net->plan, NULL));
      peri_tensor_release(&loss);
    } else {
      peri_plan_refuse(net->plan, "only to make gradients");
    }
    for (int k = 0; k < 2; k++) peri_tensor_release(&results[k]);
  }
}

static bool same_bits(const peri_tensor *a, const peri_tensor *b) {
  const size_t size = peri_dtype_size(a->layout.dtype);
  for (int64_t i = 0; i < a->layout.numel; i++) {
    int64_t at = 0, rest = i;
    for (int d = b->layout.ndim - 1; d >= 0; d--) {
      at += rest % b->layout.shape[d] * b->layout.strides[d];
      rest /= b->layout.shape[d];
    }
    const char *x = a->data + (size_t)i * size, *y = b->data + (ptrdiff_t)size * at;
    const double value = peri_load_number(a->layout.dtype, x), other = peri_load_number(a->layout.dtype, y);
    if (memcmp(x, y, size) != 0 && (value == value || other == other)) return false; /* all NaNs are one */
  }
  return a->layout.numel == b->layout.numel;
}

static void compare(const trial *t, int lane, const network *alone, const network *in_lanes) {
  for (int i = 0; i < PARAMETERS; i++) {
    PERI_CHECK(same_bits(alone->parameters[i], in_lanes->parameters[i]), "%s: parameter %d of lane %d", t->name, i,
               lane);
    PERI_CHECK(same_bits(alone->parameters[i]->grad, in_lanes->parameters[i]->grad), "%s: gradient %d of lane %d",
               t->name, i, lane);
    const peri_optimizer_slot *a = &alone->optimizer->slots[i], *b = &in_lanes->optimizer->slots[i];
    PERI_CHECK(a->steps == b->steps && a->number == b->number, "%s: steps of lane %d", t->name, lane);
    for (int k = 0; k < PERI_UPDATE_BUFFERS; k++) {
      if (a->buffers[k] != NULL)
        PERI_CHECK(same_bits(a->buffers[k], b->buffers[k]), "%s: buffer %d of lane %d", t->name, k, lane);
    }
  }
}

/* Whoever puts arguments into lanes himself. */
static void put_in_lanes(peri_lanes *lanes, int n, peri_tensor *(*given)[2]) {
  for (int i = 0; i < 2; i++) {
    const size_t size = peri_dtype_size(given[0][i]->layout.dtype);
    char *into = peri_lanes_argument(lanes, i);
    for (int64_t k = 0; k < given[0][i]->layout.numel; k++) {
      for (int l = 0; l < PERI_LANES; l++)
        memcpy(into + (size_t)(k * PERI_LANES + l) * size, given[l < n ? l : 0][i]->data + (size_t)k * size, size);
    }
  }
}

static void run_trial(const trial *t) {
  peri_context *context = open_context(2), *other = open_context(1);
  network alone[PERI_LANES], together[PERI_LANES];
  peri_plan *plans[PERI_LANES];
  peri_lanes *lanes = NULL;
  peri_stream streams[PERI_LANES];
  uint32_t stopped = 0;
  for (int l = 0; l < t->lanes; l++) {
    open_network(context, t, l, &alone[l]);
    open_network(context, t, l, &together[l]);
    record(context, t, l, &alone[l]);
    record(context, t, l, &together[l]);
    plans[l] = together[l].plan;
    streams[l] = context->stream;
  }
  PERI_CHECK(peri_lanes_new(context, t->lanes, plans, &lanes) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(lanes != NULL, "%s does not run in lanes", t->name);
  if (lanes != NULL) memcpy(peri_lanes_streams(lanes), streams, (size_t)t->lanes * sizeof *streams);
  for (int s = 2; s < STEPS && lanes != NULL; s++) {
    peri_tensor *given[PERI_LANES][2], *const *arguments[PERI_LANES];
    if (s != 3) peri_lanes_load(lanes); /* two steps go on without the tensors */
    for (int l = 0; l < t->lanes; l++) {
      take_rows(context, t, l, s, &alone[l]);
      take_rows(context, t, l, s, &together[l]);
      given[l][0] = together[l].x, given[l][1] = together[l].y;
      arguments[l] = given[l];
      context->stream = streams[l];
      PERI_CHECK(peri_plan_run(alone[l].plan, (peri_tensor *[]){alone[l].x, alone[l].y}, NULL) == PERI_OK, "%s",
                 peri_message(context));
      streams[l] = context->stream;
    }
    if (s == 2) put_in_lanes(lanes, t->lanes, given);
    PERI_CHECK(peri_lanes_run(lanes, s % 2 ? context : other, s == 2 ? NULL : arguments, &stopped) == PERI_OK, "%s",
               peri_message(context));
    for (int l = 0; l < t->lanes; l++) {
      for (int i = 0; i < 2; i++)
        PERI_CHECK(same_bits(peri_plan_result(alone[l].plan, i), peri_lanes_result(lanes, l, i)) || (stopped >> l & 1),
                   "%s: result %d of lane %d in step %d", t->name, i, l, s);
      PERI_CHECK(peri_plan_stopped(alone[l].plan) == (stopped >> l & 1), "%s: lane %d stops", t->name, l);
      PERI_CHECK(peri_lanes_streams(lanes)[l].block == streams[l].block, "%s: the stream of lane %d", t->name, l);
    }
    if (s != 2) peri_lanes_store(lanes);
    for (int l = 0; l < t->lanes && s != 2; l++) compare(t, l, &alone[l], &together[l]);
  }
  PERI_CHECK(!t->diverges || stopped == 0, "a lane that stopped goes on when it is loaded again");
  peri_lanes_release(&lanes);
  for (int l = 0; l < t->lanes; l++) {
    close_network(&alone[l]);
    close_network(&together[l]);
  }
  close_context(other);
  close_context(context);
}

static void same_as_alone(void) {
  for (size_t i = 0; i < PERI_COUNT(trials); i++) run_trial(&trials[i]);
}

/* ---- every row that says how it runs in lanes ---- */

#define SIDE 4

/* 4 x 4 numbers, truths, or 4 labels; of a lane. */
static peri_tensor *argument_of(peri_context *context, const peri_op *op, peri_dtype dtype, int i, int lane) {
  const char *name = op->params[i].name;
  const int64_t shape[2] = {SIDE, SIDE};
  const bool labels = op == &peri_op_cross_entropy_rows && i == 1, mask = strcmp(name, "mask") == 0;
  if (strcmp(name, "bias") == 0 || (op == &peri_op_batch_norm && i > 0))
    return fill(context, PERI_FLOAT32, 1, shape, lane);
  peri_tensor *x = fill(context, labels ? PERI_INT64 : mask ? PERI_BOOL : dtype, labels ? 1 : 2, shape, 2.1 * lane + i);
  for (int64_t k = 0; k < SIDE && labels; k++) ((int64_t *)(void *)x->data)[k] = 1 + (k + lane) % SIDE;
  for (int64_t k = 0; k < SIDE * SIDE && mask; k++) x->data[k] = (k * 5 + lane) % 3 == 0;
  return x;
}

static peri_tensor *widened(peri_context *context, peri_tensor *const *lane) {
  peri_layout layout = lane[0]->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, layout.shape, sizeof shape);
  shape[layout.ndim] = PERI_LANES;
  peri_tensor *wide = make(context, layout.dtype, layout.ndim + 1, shape);
  const size_t size = peri_dtype_size(layout.dtype);
  for (int64_t i = 0; i < layout.numel; i++) {
    for (int l = 0; l < PERI_LANES; l++)
      memcpy(wide->data + (size_t)(i * PERI_LANES + l) * size, lane[l]->data + (size_t)i * size, size);
  }
  return wide;
}

/* A frame with arguments; false where infer refuses them. */
static bool open_frame(peri_context *context, const peri_op *op, peri_dtype dtype, int lane, peri_call *call) {
  peri_call_open(call, context, op);
  for (int i = 0; i < peri_op_params(op); i++) {
    if (op->params[i].kind != PERI_KIND_TENSOR && op->params[i].kind != PERI_KIND_OPERAND) continue;
    call->args[i].tensor = argument_of(context, op, dtype, i, lane);
    call->args[i].given = true;
  }
  call->recording = true; /* hidden outputs, too */
  return op->infer(call) == PERI_OK;
}

static void close_frame(peri_call *call, int params) {
  for (int i = 0; i < params; i++) peri_tensor_release(&call->args[i].tensor);
}

static void run_row(peri_context *context, const peri_op *op) {
  peri_tensor *args[PERI_MAX_PARAMS][PERI_LANES] = {{0}}, *wide[PERI_MAX_PARAMS] = {0},
              *y[PERI_MAX_OUTPUTS][PERI_LANES];
  peri_stream streams[PERI_LANES], behind[PERI_LANES]; /* of random rows */
  peri_call call, first;
  const int params = peri_op_params(op);
  peri_dtype dtype = PERI_FLOAT32;
  for (int l = 0; l < PERI_LANES; l++) {
    bool right = open_frame(context, op, dtype, l, &call);
    if (!right && l == 0) { /* of whole numbers alone */
      dtype = PERI_INT64;
      close_frame(&call, params);
      right = open_frame(context, op, dtype, l, &call);
    }
    PERI_CHECK(right, "%s: %s", op->name, peri_message(context));
    for (int i = 0; i < params; i++) args[i][l] = call.args[i].tensor;
    if (l == 0) first = call;
    void *workspace = NULL;
    PERI_CHECK(peri_alloc(context, call.workspace_bytes, &workspace) == PERI_OK, "memory");
    call.workspace = workspace;
    for (int k = 0; k < op->outputs; k++) {
      PERI_CHECK(peri_tensor_empty(context, &call.outputs[k].layout, &y[k][l]) == PERI_OK, "memory");
      call.outputs[k].tensor = y[k][l];
    }
    peri_stream stream = streams[l] = (peri_stream){.seed = 5 + (uint64_t)l, .block = 9 * (uint64_t)l};
    call.stream = &stream;
    PERI_CHECK(op->run(&call) == PERI_OK, "%s: %s", op->name, peri_message(context));
    behind[l] = stream;
    peri_free(context, workspace, call.workspace_bytes);
  }
  first.outputs = first.few_outputs;
  for (int k = 0; k < op->outputs; k++) first.outputs[k].tensor = y[k][0];
  PERI_CHECK(op->lanes_fit == NULL || op->lanes_fit(&first), "%s does not fit", op->name);
  void *workspace = NULL;
  PERI_CHECK(peri_alloc(context, PERI_LANES * first.workspace_bytes, &workspace) == PERI_OK, "memory");
  first.workspace = workspace;
  for (int i = 0; i < params; i++) {
    if (args[i][0] != NULL) first.args[i].tensor = wide[i] = widened(context, args[i]);
  }
  for (int k = 0; k < op->outputs; k++) {
    first.outputs[k].tensor = widened(context, y[k]);
    memset(first.outputs[k].tensor->data, 1,
           (size_t)first.outputs[k].tensor->layout.numel * peri_dtype_size(first.outputs[k].tensor->layout.dtype));
  }
  first.stream = streams;
  PERI_CHECK(op->run_lanes(&first) == PERI_OK, "%s: %s", op->name, peri_message(context));
  for (int k = 0; k < op->outputs; k++) {
    for (int l = 0; l < PERI_LANES; l++) {
      peri_tensor lane = *first.outputs[k].tensor;
      lane.layout.ndim--;
      lane.layout.numel /= PERI_LANES;
      lane.data += (size_t)l * peri_dtype_size(lane.layout.dtype);
      PERI_CHECK(same_bits(y[k][l], &lane), "%s: output %d of lane %d", op->name, k, l);
      PERI_CHECK(streams[l].block == behind[l].block, "%s: the stream of lane %d", op->name, l);
      peri_tensor_release(&y[k][l]);
    }
    peri_tensor_release(&first.outputs[k].tensor);
  }
  for (int i = 0; i < params; i++) {
    for (int l = 0; l < PERI_LANES; l++) peri_tensor_release(&args[i][l]);
    peri_tensor_release(&wide[i]);
  }
  peri_free(context, workspace, PERI_LANES * first.workspace_bytes);
}

static void rows(void) {
  peri_context *context = open_context(1);
  int n = 0;
  for (const peri_op_group *group = peri_op_groups; group->rows != NULL; group++) {
    for (const peri_op *const *op = group->rows; *op != NULL; op++) {
      if ((*op)->run_lanes == NULL || (*op)->run == NULL) continue;
      run_row(context, *op);
      n++;
    }
  }
  PERI_CHECK(n > 70, "%d rows run in lanes", n);
  close_context(context);
}

/* ---- right ones of many lanes ---- */

static void hits(void) {
  enum { ROWS = 37, CLASSES = 5 };
  peri_context *context = open_context(1);
  for (int wide = 0; wide < 2; wide++) {
    const peri_dtype dtype = wide ? PERI_FLOAT64 : PERI_FLOAT32;
    const size_t size = peri_dtype_size(dtype);
    char scores[ROWS * CLASSES * PERI_LANES * sizeof(double)];
    int64_t truth[ROWS * PERI_LANES], found[PERI_LANES] = {0};
    for (int i = 0; i < ROWS * CLASSES * PERI_LANES; i++) { /* equal ones, infinities and NaN among them */
      const double value = floor(3 * value_of(i * 7, 0.4));
      peri_store_number(dtype, scores + (size_t)i * size, i % 23 == 0 ? NAN : i % 29 == 0 ? -INFINITY : value);
    }
    for (int i = 0; i < ROWS * PERI_LANES; i++) truth[i] = 1 + (i * 5 / 3) % CLASSES;
    peri_hits_lanes(context, dtype, ROWS, CLASSES, scores, CLASSES * PERI_LANES, PERI_LANES, truth, found);
    peri_hits_lanes(context, dtype, 1, CLASSES, scores, CLASSES * PERI_LANES, PERI_LANES, truth, found);
    for (int l = 0; l < PERI_LANES; l++) {
      peri_measure_scores own = {dtype,      ROWS,      CLASSES,   scores + (size_t)l * size, CLASSES * PERI_LANES,
                                 PERI_LANES, truth + l, PERI_LANES};
      double expected = peri_measure_hits(&own, NULL);
      own.n = 1;
      expected += peri_measure_hits(&own, NULL);
      PERI_CHECK((double)found[l] == expected && expected > 0, "%lld of lane %d are right, and not %g",
                 (long long)found[l], l, expected);
    }
  }
  close_context(context);
}

/* ---- rows that a plan accepts, whichever they are ---- */

static bool accepts(const network *net, peri_context *context, peri_dtype dtype, int64_t n, double low, double high) {
  peri_tensor *x = fill(context, PERI_FLOAT32, 2, (int64_t[]){n, 2}, 0), *y = make(context, dtype, 1, &n);
  for (int64_t i = 0; i < n; i++)
    peri_store_number(dtype, y->data + (size_t)i * peri_dtype_size(dtype), i == n / 2 ? high : low);
  const bool all = peri_plan_accepts_rows(net->plan, (peri_tensor *[]){x, y});
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  return all;
}

static void accepted_rows(void) {
  peri_context *context = open_context(1);
  static const struct {
    const char *options;
    double low, high;
    bool all;
  } cases[] = {{NULL, 1, 2, true},
               {NULL, 1, 3, false},
               {NULL, 1, 0, false},
               {"ignore_index = 2", 1, 1, false}, /* how many have no loss is not the same in each mini-batch */
               {"ignore_index = 3", 1, 2, true},
               {"ignore_index = 3", 1, 3, false},
               {"label_smoothing = 0.1", 1, 2, false}}; /* made of rows of which nobody has said */
  for (size_t i = 0; i < PERI_COUNT(cases); i++) {
    trial t = trials[0];
    network net;
    t.options = cases[i].options;
    open_network(context, &t, 0, &net);
    record(context, &t, 0, &net);
    PERI_CHECK(accepts(&net, context, PERI_INT64, 50, cases[i].low, cases[i].high) == cases[i].all, "case %zu", i);
    PERI_CHECK(!peri_plan_accepts_rows(net.plan, (peri_tensor *[]){net.x, net.parameters[0]}), "no classes");
    close_network(&net);
  }
  close_context(context);
}

/* ---- plans that do not run in lanes ---- */

static peri_status make_lanes(peri_context *context, void *arg) {
  peri_lanes *lanes;
  peri_status status = peri_lanes_new(context, 2, arg, &lanes);
  peri_lanes_release(&lanes);
  return status;
}

static void refusals(void) {
  peri_context *context = open_context(1);
  trial others[] = {trials[0], trials[0], trials[0], trials[0], trials[0]};
  others[1].hidden = 11;
  others[2].optimizer = "Adam";
  others[3].activation = "activation = 'relu'";
  others[4].then = "softmax"; /* nobody has said how it runs in lanes */
  network first, again, net;
  peri_lanes *lanes;
  open_network(context, &others[0], 0, &first);
  record(context, &others[0], 0, &first);
  for (size_t i = 1; i < PERI_COUNT(others); i++) {
    open_network(context, &others[i], 1, &net);
    record(context, &others[i], 1, &net);
    peri_plan *plans[2] = {first.plan, net.plan};
    PERI_CHECK(peri_lanes_new(context, 2, plans, &lanes) == PERI_OK && lanes == NULL, "other plans, %zu", i);
    close_network(&net);
  }
  for (int i = 0; i < 2; i++) {
    open_network(context, &others[4], i, i == 0 ? &net : &again);
    record(context, &others[4], i, i == 0 ? &net : &again);
  }
  PERI_CHECK(peri_lanes_new(context, 2, (peri_plan *[]){net.plan, again.plan}, &lanes) == PERI_OK && lanes == NULL,
             "softmax");
  close_network(&net);
  close_network(&again);
  peri_plan *same[PERI_LANES + 1];
  for (int i = 0; i <= PERI_LANES; i++) same[i] = first.plan;
  PERI_CHECK(peri_lanes_new(context, 2, same, &lanes) == PERI_OK && lanes == NULL, "one network twice");
  PERI_CHECK(peri_lanes_new(context, 1, same, &lanes) == PERI_OK && lanes == NULL, "a single one");
  PERI_CHECK(peri_lanes_new(context, PERI_LANES + 1, same, &lanes) == PERI_OK && lanes == NULL, "too many");
  open_network(context, &others[0], 1, &net);
  record(context, &others[0], 1, &net);
  check_allocation_failures(context, make_lanes, (peri_plan *[]){first.plan, net.plan}, 5);
  close_network(&net);
  close_network(&first);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(same_as_alone), PERI_TEST(rows), PERI_TEST(hits), PERI_TEST(accepted_rows),
               PERI_TEST(refusals))
