/* Networks side by side. The plan of the first lane is the pattern: what it is made of is made once more, with a
 * dimension of PERI_LANES behind all others, and the other lanes' plans must be the same but for their tensors. */
#include "plan/lanes.h"
#include "plan/parts.h"

#include "base/memory.h"

/* A buffer of the plans in lanes. */
typedef struct lane_buffer {
  peri_storage storage; /* of the tensors over it */
  int64_t numel;        /* of one lane, as far as the plan's tensors reach; 0: none do */
  peri_dtype dtype;
  char *data;
  bool kept, written; /* loaded from the tensors, and stored */
} lane_buffer;

typedef struct lane_action {
  peri_call *call;         /* a call's frame over tensors in lanes, or NULL */
  peri_backward *gradient; /* of a row's gradient, or NULL */
  peri_tensor **tensors;   /* of a part; of a gradient, its answers */
  peri_tensor *target, *source;
  struct lane_optimizer *optimizer; /* whose step it is */
  void *zeroed;                     /* a gradient that becomes zeros */
} lane_action;

typedef struct lane_optimizer {
  int64_t n; /* slots of each */
  peri_optimizer *optimizers[PERI_LANES];
  peri_optimizer_lanes *slots;
} lane_optimizer;

typedef struct lane_chunk {
  struct lane_chunk *next;
  size_t bytes;
} lane_chunk;

struct peri_lanes {
  peri_context *context; /* whose memory it is */
  peri_context *running;
  int n, at;
  uint32_t stopped;
  peri_plan *plans[PERI_LANES];
  lane_chunk *chunks;
  size_t bytes;
  lane_buffer *buffers;
  lane_action *actions;
  int shells_n;
  peri_shell **shells; /* of the first plan, and the tensors in lanes that stand for them */
  peri_tensor *tensors;
  char *block;
  void *scratch;
  peri_tensor **results;
  peri_tensor result; /* of a lane, when it is asked for */
};

/* ---- memory: all of it lives as long as the lanes ---- */

static void *room(peri_lanes *lanes, size_t bytes) {
  void *block;
  const size_t header = 64;
  if (peri_alloc(lanes->context, header + bytes, &block) != PERI_OK) return NULL;
  lane_chunk *chunk = block;
  *chunk = (lane_chunk){lanes->chunks, header + bytes};
  lanes->chunks = chunk;
  lanes->bytes += bytes;
  return memset((char *)block + header, 0, bytes);
}

void peri_lanes_release(peri_lanes **out) {
  peri_lanes *lanes = *out;
  *out = NULL;
  if (lanes == NULL) return;
  peri_context *context = lanes->context;
  while (lanes->chunks != NULL) {
    lane_chunk *chunk = lanes->chunks;
    lanes->chunks = chunk->next;
    peri_free(context, chunk, chunk->bytes);
  }
  peri_free(context, lanes, sizeof *lanes);
  peri_context_drop(context);
}

size_t peri_lanes_bytes(const peri_lanes *lanes) { return lanes->bytes; }

/* ---- buffers and tensors in lanes ---- */

/* How many elements of a buffer a tensor of it reaches; -1: it lies otherwise than lanes can. */
static int64_t reach(const peri_shell *shell) {
  const peri_layout *layout = &shell->tensor.layout;
  const int64_t size = (int64_t)peri_dtype_size(layout->dtype);
  int64_t last = 0;
  if (shell->offset < 0 || shell->offset % size != 0 || layout->ndim >= PERI_MAX_DIMS) return -1;
  for (int d = 0; d < layout->ndim; d++) {
    if (layout->strides[d] < 0) return -1;
    last += layout->shape[d] > 0 ? (layout->shape[d] - 1) * layout->strides[d] : 0;
  }
  return shell->offset / size + (layout->numel > 0 ? last + 1 : 0);
}

static bool measure_buffer(const peri_buffer *buffer, lane_buffer *own) {
  for (const peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    const int64_t numel = reach(shell);
    if (numel < 0 || numel > PERI_LANES_MOST || shell->tensor.layout.numel > PERI_LANES_MOST) return false;
    if (shell != buffer->shells && shell->tensor.layout.dtype != own->dtype) return false;
    own->dtype = shell->tensor.layout.dtype;
    own->numel = peri_max(own->numel, numel);
  }
  own->kept = buffer->place == PERI_PLAN_OUTSIDE || buffer->place == PERI_PLAN_CONSTANT;
  own->written = buffer->written && buffer->place == PERI_PLAN_OUTSIDE;
  return buffer->place != PERI_PLAN_MADE && buffer->place != PERI_PLAN_LOST;
}

static peri_status open_buffers(peri_lanes *lanes, bool *fits) {
  const peri_plan *plan = lanes->plans[0];
  lanes->buffers = room(lanes, (size_t)plan->buffers_n * sizeof *lanes->buffers);
  lanes->block = room(lanes, (size_t)plan->block_bytes * PERI_LANES);
  if (lanes->buffers == NULL || lanes->block == NULL) return PERI_ERR_MEMORY;
  for (int i = 0; i < plan->buffers_n && *fits; i++) {
    const peri_buffer *buffer = plan->buffers[i];
    lane_buffer *own = &lanes->buffers[i];
    if (buffer->place == PERI_PLAN_LOST && buffer->shells == NULL) continue;
    *fits = measure_buffer(buffer, own);
    if (buffer->place == PERI_PLAN_INSIDE && !buffer->fresh)
      own->data = lanes->block + buffer->offset * PERI_LANES;
    else
      own->data = room(lanes, (size_t)own->numel * PERI_LANES * peri_dtype_size(own->dtype));
    own->storage = (peri_storage){.references = 1, .context = lanes->context, .data = own->data};
    if (own->data == NULL) return PERI_ERR_MEMORY;
  }
  return PERI_OK;
}

static peri_status open_tensors(peri_lanes *lanes) {
  const peri_plan *plan = lanes->plans[0];
  for (int i = 0; i < plan->buffers_n; i++) {
    for (const peri_shell *shell = plan->buffers[i]->shells; shell != NULL; shell = shell->next) lanes->shells_n++;
  }
  lanes->shells = room(lanes, (size_t)lanes->shells_n * sizeof *lanes->shells);
  lanes->tensors = room(lanes, (size_t)lanes->shells_n * sizeof *lanes->tensors);
  if (lanes->shells == NULL || lanes->tensors == NULL) return PERI_ERR_MEMORY;
  for (int i = 0, k = 0; i < plan->buffers_n; i++) {
    for (peri_shell *shell = plan->buffers[i]->shells; shell != NULL; shell = shell->next, k++) {
      peri_tensor *x = &lanes->tensors[k];
      lanes->shells[k] = shell;
      x->references = 1;
      x->storage = &lanes->buffers[i].storage;
      x->layout = shell->tensor.layout;
      x->contiguous = shell->tensor.contiguous;
      for (int d = 0; d < x->layout.ndim; d++) x->layout.strides[d] *= PERI_LANES;
      x->layout.shape[x->layout.ndim] = PERI_LANES;
      x->layout.strides[x->layout.ndim++] = 1;
      x->layout.numel *= PERI_LANES;
      x->data = lanes->buffers[i].data + shell->offset * PERI_LANES;
    }
  }
  return PERI_OK;
}

static peri_tensor *in_lanes(const peri_lanes *lanes, const peri_tensor *x) {
  for (int k = 0; k < lanes->shells_n; k++) {
    if (&lanes->shells[k]->tensor == x) return &lanes->tensors[k];
  }
  return NULL;
}

/* The buffer whose tensors outside have that storage, of a lane's plan; or -1. */
static int buffer_at(const peri_plan *plan, const peri_storage *storage) {
  for (int i = 0; i < plan->buffers_n; i++) {
    if (plan->buffers[i]->place == PERI_PLAN_OUTSIDE && plan->buffers[i]->at == storage) return i;
  }
  return -1;
}

/* ---- actions ---- */

static void turn_arguments(const peri_lanes *lanes, peri_arg *args, int n) {
  for (int i = 0; i < n; i++) {
    if (args[i].tensor != NULL) args[i].tensor = in_lanes(lanes, args[i].tensor);
  }
}

static peri_status open_call(peri_lanes *lanes, const peri_action *action, lane_action *own, bool *fits) {
  const peri_call *call = action->call;
  const peri_op *op = call->op;
  *fits = op->run_lanes != NULL && (op->lanes_fit == NULL || op->lanes_fit(call)) && op->commit == NULL &&
          !action->infers && !(op->flags & PERI_OP_RANDOM) && call->output_count <= PERI_MAX_OUTPUTS;
  if (!*fits) return PERI_OK;
  own->call = room(lanes, sizeof *own->call);
  if (own->call == NULL) return PERI_ERR_MEMORY;
  *own->call = *call;
  own->call->outputs = own->call->few_outputs;
  turn_arguments(lanes, own->call->args, peri_op_params(op));
  for (int i = 0; i < call->output_count; i++) {
    peri_output *y = &own->call->outputs[i];
    *y = call->outputs[i];
    if (y->tensor != NULL) y->tensor = in_lanes(lanes, y->tensor);
    if (y->tensor != NULL) y->layout = y->tensor->layout;
  }
  own->call->workspace_bytes *= PERI_LANES;
  if (action->workspace != NULL) own->call->workspace = lanes->block + action->workspace->offset * PERI_LANES;
  return PERI_OK;
}

static peri_status open_gradient(peri_lanes *lanes, const peri_whole_gradient *g, lane_action *own, bool *fits) {
  const peri_op *op = g->B.op;
  *fits = op->grad_lanes != NULL;
  for (int i = 0; i < g->B.edges; i++) *fits = *fits && g->made[i] == NULL;
  if (!*fits) return PERI_OK;
  const int params = peri_op_params(op);
  peri_backward *B = own->gradient = room(lanes, sizeof *B);
  peri_arg *args = room(lanes, (size_t)params * sizeof *args);
  peri_tensor **arrived = room(lanes, (size_t)op->outputs * sizeof *arrived);
  own->tensors = room(lanes, (size_t)g->supplied * sizeof *own->tensors);
  if (B == NULL || args == NULL || arrived == NULL || own->tensors == NULL) return PERI_ERR_MEMORY;
  *B = g->B;
  memcpy(args, g->B.args, (size_t)params * sizeof *args);
  turn_arguments(lanes, args, params);
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) {
    if (B->outputs[i] != NULL) B->outputs[i] = in_lanes(lanes, B->outputs[i]);
  }
  for (int i = 0; i < op->outputs; i++) {
    if (g->B.grad_outputs[i] != NULL) arrived[i] = in_lanes(lanes, g->B.grad_outputs[i]);
  }
  for (int i = 0; i < g->supplied; i++) own->tensors[i] = in_lanes(lanes, g->supply[i]);
  B->args = args;
  B->grad_outputs = arrived;
  return PERI_OK;
}

/* The values in lanes of a tensor from outside that is contiguous, or NULL. */
static void *values_of(peri_lanes *lanes, const peri_tensor *x, bool written) {
  const int i = x == NULL || !x->contiguous ? -1 : buffer_at(lanes->plans[0], x->storage);
  if (i < 0) return NULL;
  lane_buffer *buffer = &lanes->buffers[i];
  const int64_t size = (int64_t)peri_dtype_size(x->layout.dtype);
  const int64_t from = (x->data - x->storage->data) / size;
  if (buffer->dtype != x->layout.dtype || from + x->layout.numel > buffer->numel) return NULL;
  buffer->written |= written;
  return buffer->data + from * size * PERI_LANES;
}

/* Parameters that no step of the plan touches are of no concern to it: they have no gradient. */
static peri_status open_optimizer(peri_lanes *lanes, int at, lane_action *own, bool *fits) {
  lane_optimizer *o = own->optimizer = room(lanes, sizeof *o);
  if (o == NULL) return PERI_ERR_MEMORY;
  for (int l = 0; l < lanes->n; l++) o->optimizers[l] = peri_optimizer_of_act(&lanes->plans[l]->actions[at].act);
  const peri_optimizer *first = o->optimizers[0];
  int64_t largest = 0;
  o->n = first->n;
  o->slots = room(lanes, (size_t)first->n * sizeof *o->slots);
  if (o->slots == NULL) return PERI_ERR_MEMORY;
  for (int64_t i = 0; i < first->n && *fits; i++) {
    const peri_optimizer_slot *slot = &first->slots[i];
    peri_optimizer_lanes *p = &o->slots[i];
    *p = (peri_optimizer_lanes){.numel = slot->parameter->layout.numel, .dtype = slot->parameter->layout.dtype};
    if (slot->parameter->grad == NULL) continue;
    p->parameter = values_of(lanes, slot->parameter, true);
    p->gradient = values_of(lanes, slot->parameter->grad, false);
    *fits = p->parameter != NULL && p->gradient != NULL;
    largest = peri_max(largest, p->numel);
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
      if (slot->buffers[b] == NULL) continue;
      p->buffers[b] = room(lanes, (size_t)p->numel * PERI_LANES * peri_dtype_size(p->dtype));
      if (p->buffers[b] == NULL) return PERI_ERR_MEMORY;
    }
  }
  lanes->scratch = room(lanes, PERI_OPTIMIZER_SCRATCH(largest));
  return lanes->scratch == NULL ? PERI_ERR_MEMORY : PERI_OK;
}

static peri_status open_part(peri_lanes *lanes, const peri_action *action, lane_action *own) {
  own->tensors = room(lanes, (size_t)action->tensors_n * sizeof *own->tensors);
  if (own->tensors == NULL) return PERI_ERR_MEMORY;
  for (int i = 0; i < action->tensors_n; i++) own->tensors[i] = in_lanes(lanes, action->tensors[i]);
  return PERI_OK;
}

static peri_status open_action(peri_lanes *lanes, int at, bool *fits) {
  const peri_action *action = &lanes->plans[0]->actions[at];
  lane_action *own = &lanes->actions[at];
  if (action->target != NULL) own->target = in_lanes(lanes, &action->target->tensor);
  if (action->source != NULL) own->source = in_lanes(lanes, &action->source->tensor);
  switch (action->kind) {
  case PERI_ACTION_CALL:
  case PERI_ACTION_PLAIN:
    return open_call(lanes, action, own, fits);
  case PERI_ACTION_CHECK:
    *fits = action->early;
    return PERI_OK;
  case PERI_ACTION_GRADIENT:
    return open_gradient(lanes, action->gradient, own, fits);
  case PERI_ACTION_PART:
    return open_part(lanes, action, own);
  case PERI_ACTION_SET:
    *fits = values_of(lanes, &action->target->tensor, true) != NULL;
    return PERI_OK;
  case PERI_ACTION_ACT:
    if (peri_optimizer_of_act(&action->act) != NULL) return open_optimizer(lanes, at, own, fits);
    own->zeroed = values_of(lanes, action->act.zeroed->grad, true);
    *fits = own->zeroed != NULL;
    return PERI_OK;
  default:
    return PERI_OK;
  }
}

/* What a step writes to belongs to one lane alone. */
static bool stand_apart(const peri_lanes *lanes) {
  for (int i = 0; i < lanes->plans[0]->buffers_n; i++) {
    if (!lanes->buffers[i].written) continue;
    for (int l = 0; l < lanes->n; l++) {
      const peri_storage *own = lanes->plans[l]->buffers[i]->at;
      for (int k = 0; k < lanes->n; k++) {
        if (k != l && buffer_at(lanes->plans[k], own) >= 0) return false;
      }
    }
  }
  return true;
}

static peri_status open_lanes(peri_lanes *lanes, bool *fits) {
  const peri_plan *plan = lanes->plans[0];
  PERI_TRY(open_buffers(lanes, fits));
  if (!*fits) return PERI_OK;
  PERI_TRY(open_tensors(lanes));
  lanes->actions = room(lanes, (size_t)plan->actions_n * sizeof *lanes->actions);
  if (lanes->actions == NULL) return PERI_ERR_MEMORY;
  lanes->results = room(lanes, (size_t)plan->results_n * sizeof *lanes->results);
  if (lanes->results == NULL) return PERI_ERR_MEMORY;
  for (int i = 0; i < plan->results_n; i++) lanes->results[i] = in_lanes(lanes, &plan->results[i]->tensor);
  for (int i = 0; i < plan->actions_n && *fits; i++) PERI_TRY(open_action(lanes, i, fits));
  *fits = *fits && stand_apart(lanes);
  return PERI_OK;
}

peri_status peri_lanes_new(peri_context *context, int n, peri_plan *const *plans, peri_lanes **out) {
  void *block;
  bool fits = n >= 2 && n <= PERI_LANES;
  *out = NULL;
  for (int l = 1; l < n && fits; l++) fits = peri_plans_alike(plans[0], plans[l]);
  for (int i = 0; fits && i < plans[0]->arguments_n; i++) {
    peri_layout dense = plans[0]->arguments[i];
    peri_layout_set(&dense, dense.dtype, dense.ndim, dense.shape);
    fits = peri_same_place(&dense, &plans[0]->arguments[i]);
  }
  if (!fits) return PERI_OK;
  PERI_TRY(peri_alloc(context, sizeof(peri_lanes), &block));
  peri_lanes *lanes = memset(block, 0, sizeof *lanes);
  lanes->context = lanes->running = context;
  peri_context_retain(context);
  lanes->n = n;
  memcpy(lanes->plans, plans, (size_t)n * sizeof *plans);
  peri_status status = open_lanes(lanes, &fits);
  if (status != PERI_OK || !fits) {
    peri_lanes_release(&lanes);
    return status;
  }
  *out = lanes;
  return PERI_OK;
}

static bool holds(const lane_optimizer *o, int n) {
  const peri_optimizer *first = o->optimizers[0];
  bool same = first->n == o->n;
  for (int l = 1; l < n && same; l++) same = peri_optimizers_alike(first, o->optimizers[l]);
  for (int64_t i = 0; i < o->n && same; i++) {
    for (int b = 0; b < PERI_UPDATE_BUFFERS && first->slots[i].parameter->grad != NULL; b++)
      same = same && (first->slots[i].buffers[b] == NULL) == (o->slots[i].buffers[b] == NULL);
  }
  return same;
}

bool peri_lanes_hold(const peri_lanes *lanes) {
  for (int i = 0; i < lanes->plans[0]->actions_n; i++) {
    if (lanes->actions[i].optimizer != NULL && !holds(lanes->actions[i].optimizer, lanes->n)) return false;
  }
  return true;
}

/* ---- values in and out ---- */

/* number i of a lane <-> number i of what is by itself */
#define MOVE(T)                                                                                                        \
  do {                                                                                                                 \
    T *wide = (T *)(void *)lanes_data + lane, *own = (T *)(void *)data;                                                \
    for (int64_t i = 0; i < numel; i++) {                                                                              \
      if (out)                                                                                                         \
        own[i] = wide[i * PERI_LANES];                                                                                 \
      else                                                                                                             \
        wide[i * PERI_LANES] = own[i];                                                                                 \
    }                                                                                                                  \
  } while (0)
static void move(peri_dtype dtype, int64_t numel, char *lanes_data, int lane, char *data, bool out) {
  switch (peri_dtype_size(dtype)) {
  case 8:
    MOVE(int64_t);
    break;
  case 4:
    MOVE(int32_t);
    break;
  default:
    MOVE(char);
  }
}
#undef MOVE

static void move_optimizers(peri_lanes *lanes, int lane, bool out) {
  for (int i = 0; i < lanes->plans[0]->actions_n; i++) {
    const lane_optimizer *o = lanes->actions[i].optimizer;
    if (o == NULL) continue;
    for (int64_t s = 0; s < o->optimizers[lane]->n; s++) {
      const peri_optimizer_lanes *p = &o->slots[s];
      for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
        if (p->buffers[b] == NULL) continue;
        peri_tensor *buffer = o->optimizers[lane]->slots[s].buffers[b];
        move(p->dtype, p->numel, p->buffers[b], lane, buffer->data, out);
        if (out) buffer->storage->version++;
      }
    }
  }
}

static void store_lane(peri_lanes *lanes, int lane) {
  const peri_plan *plan = lanes->plans[lane];
  for (int i = 0; i < plan->buffers_n; i++) {
    const lane_buffer *own = &lanes->buffers[i];
    if (!own->written) continue;
    peri_storage *storage = plan->buffers[i]->held->storage;
    move(own->dtype, own->numel, own->data, lane, storage->data, true);
    storage->version++;
  }
  move_optimizers(lanes, lane, true);
}

void peri_lanes_load(peri_lanes *lanes) {
  lanes->stopped = 0;
  for (int l = 0; l < lanes->n; l++) {
    const peri_plan *plan = lanes->plans[l];
    for (int i = 0; i < plan->buffers_n; i++) {
      const lane_buffer *own = &lanes->buffers[i];
      if (own->kept) move(own->dtype, own->numel, own->data, l, plan->buffers[i]->held->storage->data, false);
    }
    move_optimizers(lanes, l, false);
  }
}

void peri_lanes_store(peri_lanes *lanes) {
  for (int l = 0; l < lanes->n; l++) {
    if (!(lanes->stopped >> l & 1)) store_lane(lanes, l);
  }
}

const peri_tensor *peri_lanes_result(peri_lanes *lanes, int lane, int i) {
  const peri_tensor *x = lanes->results[i];
  lanes->result = *x;
  lanes->result.contiguous = false;
  lanes->result.layout.ndim--;
  lanes->result.layout.numel /= PERI_LANES;
  lanes->result.data = x->data + (size_t)lane * peri_dtype_size(x->layout.dtype);
  return &lanes->result;
}

/* ---- running ---- */

static peri_status run_call(const peri_action *action, peri_call *call) {
  if (action->note != NULL) memcpy(call->note, action->note, sizeof call->note);
  if (!action->writes) return call->op->run_lanes(call);
  const bool shielded = call->context->shielded;
  call->context->shielded = true;
  peri_status status = call->op->run_lanes(call);
  call->context->shielded = shielded;
  return status;
}

static peri_status run_copy(peri_context *context, const peri_action *action, const lane_action *own) {
  peri_view y = own->target->view;
  if (!action->writes) peri_layout_set(&y.layout, y.layout.dtype, own->source->layout.ndim, own->source->layout.shape);
  const bool shielded = context->shielded;
  context->shielded = shielded || action->writes;
  peri_status status = peri_view_copy_into(context, &y, &own->source->view);
  context->shielded = shielded;
  return status;
}

/* What writes to the gradient directly leaves zeros as its products give them. */
static void set_gradient(const peri_context *context, const peri_action *action, const lane_action *own) {
  const peri_tensor *g = own->target, *x = action->direct ? g : own->source;
  const ptrdiff_t size = (ptrdiff_t)peri_dtype_size(g->layout.dtype);
  const double zero = 0;
  peri_loop2 add = context->kernels->elementwise->binary[PERI_BINARY_add][g->layout.dtype];
  add(g->layout.numel, g->data, size, (const char *)&zero, 0, x->data, size);
}

static void run_act(peri_lanes *lanes, const peri_action *action, const lane_action *own) {
  if (own->optimizer != NULL) {
    peri_optimizers_step_lanes(lanes->n, own->optimizer->optimizers, lanes->stopped, own->optimizer->slots,
                               lanes->scratch);
    return;
  }
  const peri_tensor *g = action->act.zeroed->grad;
  memset(own->zeroed, 0, (size_t)g->layout.numel * PERI_LANES * peri_dtype_size(g->layout.dtype));
}

/* The lane's tensors as a replay leaves them that ends before action `at`. */
static void leave_lane(peri_lanes *lanes, int lane, int at) {
  const peri_plan *plan = lanes->plans[lane];
  store_lane(lanes, lane);
  for (int i = at; i < plan->actions_n; i++) {
    const peri_action *action = &plan->actions[i];
    if (action->kind != PERI_ACTION_SET || action->since > at) continue;
    peri_tensor *g = &action->target->tensor;
    memset(g->data, 0, (size_t)g->layout.numel * peri_dtype_size(g->layout.dtype));
  }
}

static void stop_lanes(peri_lanes *lanes, const peri_tensor *x, int at) {
  const size_t size = peri_dtype_size(x->layout.dtype);
  for (int l = 0; l < lanes->n; l++) {
    const double value = peri_load_number(x->layout.dtype, x->data + (size_t)l * size);
    if (value - value == 0 || (lanes->stopped >> l & 1)) continue;
    leave_lane(lanes, l, at + 1);
    lanes->stopped |= (uint32_t)1 << l;
  }
}

static peri_status run_action(peri_lanes *lanes, const peri_action *action, lane_action *own) {
  peri_context *context = lanes->running;
  context->operation = action->name;
  if (!action->shielded && peri_cancelled(context)) return peri_check_cancel(context);
  context->shielded = action->shielded;
  switch (action->kind) {
  case PERI_ACTION_CALL:
  case PERI_ACTION_PLAIN:
    return run_call(action, own->call);
  case PERI_ACTION_COPY:
    return run_copy(context, action, own);
  case PERI_ACTION_GRADIENT:
    return own->gradient->op->grad_lanes(own->gradient, own->tensors);
  case PERI_ACTION_PART:
    return action->part(action->note, own->tensors);
  case PERI_ACTION_SET:
    set_gradient(context, action, own);
    return PERI_OK;
  case PERI_ACTION_ACT:
    run_act(lanes, action, own);
    return PERI_OK;
  case PERI_ACTION_STOP:
    stop_lanes(lanes, own->source, lanes->at);
    return PERI_OK;
  default:
    return PERI_OK;
  }
}

static void run_in(peri_lanes *lanes, peri_context *context) {
  if (lanes->running == context) return;
  lanes->running = context;
  for (int i = 0; i < lanes->plans[0]->actions_n; i++) {
    if (lanes->actions[i].call != NULL) lanes->actions[i].call->context = context;
    if (lanes->actions[i].gradient != NULL) lanes->actions[i].gradient->context = context;
  }
}

peri_status peri_lanes_resume(peri_lanes *lanes, peri_context *context, uint32_t *stopped) {
  const peri_plan *plan = lanes->plans[0];
  const uint32_t all = ((uint32_t)1 << lanes->n) - 1;
  const bool grad_mode = context->grad_mode, shielded = context->shielded;
  const char *operation = context->operation;
  peri_status status = PERI_OK;
  run_in(lanes, context);
  context->grad_mode = false;
  for (; lanes->at < plan->actions_n && status == PERI_OK && lanes->stopped != all; lanes->at++) {
    status = run_action(lanes, &plan->actions[lanes->at], &lanes->actions[lanes->at]);
    if (status != PERI_OK) break;
  }
  context->grad_mode = grad_mode;
  context->shielded = shielded;
  context->operation = operation;
  for (int l = 0; l < lanes->n && status != PERI_OK; l++) {
    if (!(lanes->stopped >> l & 1)) leave_lane(lanes, l, lanes->at);
  }
  *stopped = lanes->stopped;
  return status;
}

peri_status peri_lanes_run(peri_lanes *lanes, peri_context *context, peri_tensor *const *const *arguments,
                           uint32_t *stopped) {
  const peri_plan *plan = lanes->plans[0];
  run_in(lanes, context);
  for (int i = 0; i < plan->buffers_n; i++) {
    const lane_buffer *own = &lanes->buffers[i];
    if (plan->buffers[i]->place != PERI_PLAN_ARGUMENT || own->numel == 0) continue;
    for (int l = 0; l < lanes->n; l++) {
      if (!(lanes->stopped >> l & 1))
        move(own->dtype, own->numel, own->data, l, arguments[l][plan->buffers[i]->argument]->data, false);
    }
  }
  lanes->at = 0;
  return peri_lanes_resume(lanes, context, stopped);
}
