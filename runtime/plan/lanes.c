/* Networks side by side, running: values go in, steps are made, values come out. */
#include "plan/lanes_parts.h"

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
      const peri_optimizer_lanes *p = &o->abreast.slots[s];
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
  for (int i = 0; i < lanes->plans[0]->actions_n; i++) {
    if (lanes->actions[i].optimizer != NULL) peri_optimizers_compare(&lanes->actions[i].optimizer->abreast);
  }
}

void peri_lanes_store(peri_lanes *lanes) {
  for (int l = 0; l < lanes->n; l++) {
    if (!(lanes->stopped >> l & 1)) store_lane(lanes, l);
  }
}

peri_stream *peri_lanes_streams(peri_lanes *lanes) { return lanes->streams; }

void *peri_lanes_argument(const peri_lanes *lanes, int i) { return lanes->arguments[i]->data; }

const peri_tensor *peri_lanes_results(const peri_lanes *lanes, int i) { return lanes->results[i]; }

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

/* Lanes that have stopped take nothing; nor does any where it fails. */
static peri_status run_random(const peri_lanes *lanes, peri_call *call) {
  peri_stream before[PERI_LANES];
  memcpy(before, call->stream, sizeof before);
  peri_status status = call->op->run_lanes(call);
  for (int l = 0; l < PERI_LANES; l++) {
    if (status != PERI_OK || (lanes->stopped >> l & 1)) call->stream[l] = before[l];
  }
  return status;
}

static peri_status run_call(const peri_lanes *lanes, const peri_action *action, peri_call *call) {
  if (action->note != NULL) memcpy(call->note, action->note, sizeof call->note);
  if (call->op->flags & PERI_OP_RANDOM) return run_random(lanes, call);
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
    peri_optimizers_step_lanes(&own->optimizer->abreast, lanes->stopped, lanes->scratch);
    return;
  }
  for (int l = 0; l < lanes->n && action->act.apart; l++) {
    const peri_act *act = &lanes->plans[l]->actions[lanes->at].act;
    if (!(lanes->stopped >> l & 1)) (void)act->run(act->object);
  }
  if (action->act.apart) return;
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
    return run_call(lanes, action, own->call);
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
  run_in(lanes, context);
  for (int i = 0; i < lanes->plans[0]->arguments_n && arguments != NULL; i++) {
    const lane_buffer *own = lanes->arguments[i];
    for (int l = 0; l < PERI_LANES; l++) {
      if (!(lanes->stopped >> l & 1))
        move(own->dtype, own->numel, own->data, l, arguments[l < lanes->n ? l : 0][i]->data, false);
    }
  }
  lanes->at = 0;
  return peri_lanes_resume(lanes, context, stopped);
}
