/* Making lanes. The plan of the first lane is the pattern: what it is made of is made once more, with a dimension of
 * PERI_LANES behind all others, and the other lanes' plans must be the same but for their tensors. */
#include "plan/lanes_parts.h"

#include "base/memory.h"

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

static bool measure_buffer(const peri_plan *plan, const peri_buffer *buffer, lane_buffer *own) {
  for (const peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    const int64_t numel = reach(shell);
    if (numel < 0 || numel > PERI_LANES_MOST || shell->tensor.layout.numel > PERI_LANES_MOST) return false;
    if (shell != buffer->shells && shell->tensor.layout.dtype != own->dtype) return false;
    own->dtype = shell->tensor.layout.dtype;
    own->numel = peri_max(own->numel, numel);
  }
  if (buffer->place == PERI_PLAN_ARGUMENT) { /* all of it, whatever is read */
    own->dtype = plan->arguments[buffer->argument].dtype;
    own->numel = plan->arguments[buffer->argument].numel;
    if (own->numel > PERI_LANES_MOST) return false;
  }
  own->kept = buffer->place == PERI_PLAN_OUTSIDE || buffer->place == PERI_PLAN_CONSTANT;
  own->written = buffer->written && buffer->place == PERI_PLAN_OUTSIDE;
  return buffer->place != PERI_PLAN_MADE && buffer->place != PERI_PLAN_LOST;
}

static peri_status open_buffers(peri_lanes *lanes, bool *fits) {
  const peri_plan *plan = lanes->plans[0];
  lanes->buffers = room(lanes, (size_t)plan->buffers_n * sizeof *lanes->buffers);
  lanes->arguments = room(lanes, (size_t)plan->arguments_n * sizeof *lanes->arguments);
  lanes->block = room(lanes, (size_t)plan->block_bytes * PERI_LANES);
  if (lanes->buffers == NULL || lanes->arguments == NULL || lanes->block == NULL) return PERI_ERR_MEMORY;
  for (int i = 0; i < plan->buffers_n && *fits; i++) {
    const peri_buffer *buffer = plan->buffers[i];
    lane_buffer *own = &lanes->buffers[i];
    if (buffer->place == PERI_PLAN_LOST && buffer->shells == NULL) continue;
    *fits = measure_buffer(plan, buffer, own);
    if (buffer->place == PERI_PLAN_INSIDE && !buffer->fresh)
      own->data = lanes->block + buffer->offset * PERI_LANES;
    else
      own->data = room(lanes, (size_t)own->numel * PERI_LANES * peri_dtype_size(own->dtype));
    own->storage = (peri_storage){.references = 1, .context = lanes->context, .data = own->data};
    if (own->data == NULL) return PERI_ERR_MEMORY;
    if (buffer->place == PERI_PLAN_ARGUMENT) lanes->arguments[buffer->argument] = own;
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

/* What a row commits to (it may write to any argument) is stored. */
static void note_commits(peri_lanes *lanes, const peri_call *call) {
  const peri_plan *plan = lanes->plans[0];
  for (int i = 0; i < peri_op_params(call->op); i++) {
    for (int b = 0; b < plan->buffers_n; b++) {
      const peri_shell *shell = plan->buffers[b]->shells;
      while (shell != NULL && &shell->tensor != call->args[i].tensor) shell = shell->next;
      if (shell != NULL && plan->buffers[b]->place == PERI_PLAN_OUTSIDE) lanes->buffers[b].written = true;
    }
  }
}

static peri_status open_call(peri_lanes *lanes, const peri_action *action, lane_action *own, bool *fits) {
  const peri_call *call = action->call;
  const peri_op *op = call->op;
  *fits = op->run_lanes != NULL && (op->lanes_fit == NULL || op->lanes_fit(call)) && !action->infers &&
          call->output_count <= PERI_MAX_OUTPUTS;
  if (!*fits) return PERI_OK;
  own->call = room(lanes, sizeof *own->call);
  if (own->call == NULL) return PERI_ERR_MEMORY;
  *own->call = *call;
  own->call->outputs = own->call->few_outputs;
  own->call->stream = lanes->streams;
  if (op->commit != NULL) note_commits(lanes, call);
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
  o->abreast = (peri_optimizers_abreast){.n = lanes->n, .optimizers = o->optimizers};
  o->abreast.slots = room(lanes, (size_t)first->n * sizeof *o->abreast.slots);
  o->abreast.same = room(lanes, (size_t)first->groups_n * sizeof *o->abreast.same);
  if (o->abreast.slots == NULL || o->abreast.same == NULL) return PERI_ERR_MEMORY;
  for (int64_t i = 0; i < first->n && *fits; i++) {
    const peri_optimizer_slot *slot = &first->slots[i];
    peri_optimizer_lanes *p = &o->abreast.slots[i];
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
    if (action->act.apart) return PERI_OK;
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
      same = same && (first->slots[i].buffers[b] == NULL) == (o->abreast.slots[i].buffers[b] == NULL);
  }
  return same;
}

bool peri_lanes_hold(const peri_lanes *lanes) {
  for (int i = 0; i < lanes->plans[0]->actions_n; i++) {
    if (lanes->actions[i].optimizer != NULL && !holds(lanes->actions[i].optimizer, lanes->n)) return false;
  }
  return true;
}
