/* Replaying. */
#include "plan/parts.h"

#include "kernels/kernels.h"

/* Nothing that the step writes to, and no other argument, shares memory with an argument. */
static bool stands_alone(const peri_plan *plan, int i, peri_tensor *const *arguments) {
  const peri_storage *storage = arguments[i]->storage;
  for (int j = 0; j < i; j++) {
    if (arguments[j]->storage == storage) return false;
  }
  for (int b = 0; b < plan->buffers_n; b++) {
    const peri_buffer *buffer = plan->buffers[b];
    if (buffer->place == PERI_PLAN_OUTSIDE && buffer->at == storage) return false;
  }
  return true;
}

/* Memory that the plan holds and a host had lent is no longer there. The step itself says so. */
static bool is_revoked(const peri_plan *plan) {
  for (int b = 0; plan->borrows && b < plan->buffers_n; b++) {
    const peri_buffer *buffer = plan->buffers[b];
    if (buffer->place == PERI_PLAN_OUTSIDE && buffer->held->storage->barred == PERI_REVOKED) return true;
  }
  return false;
}

/* ---- one action ---- */

/* infer once more, which has checked values; what follows from them must be as it was. */
static peri_status check_again(peri_call *call, peri_status (*infer)(peri_call *call)) {
  peri_layout layouts[PERI_MAX_OUTPUTS];
  int64_t note[PERI_MAX_NOTES];
  const size_t workspace = call->workspace_bytes;
  const int n = call->output_count < PERI_MAX_OUTPUTS ? call->output_count : PERI_MAX_OUTPUTS;
  for (int i = 0; i < n && call->outputs[i].tensor != NULL; i++) layouts[i] = call->outputs[i].layout;
  memcpy(note, call->note, sizeof note);
  peri_status status = infer(call);
  bool fits = workspace == call->workspace_bytes && memcmp(note, call->note, sizeof note) == 0;
  call->workspace_bytes = workspace; /* what the plan was made for stays */
  memcpy(call->note, note, sizeof note);
  if (status != PERI_OK) return status;
  for (int i = 0; i < n && call->outputs[i].tensor != NULL; i++) {
    fits &= peri_same_shape(&layouts[i], &call->outputs[i].layout) && layouts[i].dtype == call->outputs[i].layout.dtype;
    call->outputs[i].layout = layouts[i];
  }
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_STATE,
                        "in a replay it computes otherwise for these values than in the step "
                        "that was recorded (call the step itself)");
}

static peri_status run_in_place(const peri_action *action) {
  peri_context *context = action->call->context;
  const bool shielded = context->shielded;
  context->shielded = true;
  peri_status status = action->run(action->call);
  context->shielded = shielded;
  if (status == PERI_OK) action->call->args[0].tensor->storage->version++;
  return status;
}

static peri_status run_call(const peri_action *action) {
  peri_call *call = action->call;
  const peri_stream before = *call->stream;
  if (action->note != NULL) memcpy(call->note, action->note, sizeof call->note);
  peri_status status = action->infers ? check_again(call, call->op->infer) : PERI_OK;
  if (status == PERI_OK) status = action->writes ? run_in_place(action) : action->run(call);
  if (status == PERI_OK && call->op->commit != NULL) call->op->commit(call);
  for (int i = 0; action->counts && !action->writes && i < call->output_count; i++) {
    if (call->outputs[i].tensor != NULL) call->outputs[i].tensor->storage->version++;
  }
  if (status != PERI_OK && (call->op->flags & PERI_OP_RANDOM)) *call->stream = before;
  return status;
}

/* The elements of the source in order, in the target's shape: both have equally many. */
static peri_status run_copy(peri_context *context, const peri_action *action) {
  const peri_tensor *source = &action->source->tensor;
  peri_tensor *target = &action->target->tensor;
  peri_view y = target->view;
  if (!action->writes) peri_layout_set(&y.layout, target->layout.dtype, source->layout.ndim, source->layout.shape);
  const bool shielded = context->shielded;
  context->shielded = shielded || action->writes;
  peri_status status = peri_view_copy_into(context, &y, &source->view);
  context->shielded = shielded;
  target->storage->version++;
  return status;
}

#define FEW_EDGES 8

static peri_status run_gradient(const peri_action *action) {
  const peri_whole_gradient *g = action->gradient;
  peri_backward B = g->B;
  peri_formula formula;
  peri_tensor *few[FEW_EDGES], **answers = few;
  void *block = NULL;
  const size_t bytes = (size_t)B.edges * sizeof *answers;
  if (B.edges > FEW_EDGES) {
    PERI_TRY(peri_alloc(B.context, bytes, &block));
    answers = block;
  }
  memset(answers, 0, bytes);
  B.answers = answers;
  B.supply = g->supplied > 0 ? g->supply : NULL;
  peri_formula_begin(&B, &formula);
  peri_status status = B.op->grad(&B), steps = peri_formula_end(&B);
  if (status == PERI_OK) status = steps;
  for (int i = 0; i < B.edges; i++) {
    peri_buffer *made = g->made[i];
    if (made != NULL && answers[i] != NULL && status == PERI_OK) {
      peri_tensor_release(&made->held);
      made->held = answers[i];
      peri_shells_move(made, answers[i]->storage, answers[i]->storage->data);
    } else {
      peri_tensor_release(&answers[i]);
    }
  }
  for (int i = 0; action->counts && i < g->supplied; i++) g->supply[i]->storage->version++;
  peri_free(B.context, block, bytes);
  return status;
}

#define FEW 8192 /* elements that are added without an iterator */

static void add_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (*(const peri_loop2 *)arg)(n, p[0], s[0], p[1], s[1], p[2], s[2]);
}

/* Whole or not at all, as a write in place is. */
static peri_status run_set(peri_context *context, const peri_action *action) {
  peri_tensor *g = &action->target->tensor;
  g->storage->version += 2;
  if (action->direct && !action->aside) return PERI_OK;
  const peri_tensor *x = &action->source->tensor;
  const ptrdiff_t size = (ptrdiff_t)peri_dtype_size(g->layout.dtype);
  const double zero = 0;
  const bool shielded = context->shielded;
  peri_loop2 add = context->kernels->elementwise->binary[PERI_BINARY_add][g->layout.dtype];
  if (g->layout.numel <= FEW) {
    add(g->layout.numel, g->data, size, (const char *)&zero, 0, x->data, size);
    return PERI_OK;
  }
  peri_iterator it;
  peri_iterator_open(&it, g->layout.ndim, g->layout.shape, 3, (const peri_view *[]){&g->view, NULL, &x->view});
  peri_iterator_scalar(&it, 1, &zero);
  context->shielded = true;
  peri_status status = peri_iterate(context, &it, add_row, &add);
  context->shielded = shielded;
  return status;
}

/* Whether what was to be added stands in the gradient already. */
static bool is_made(const peri_plan *plan, const peri_action *set) {
  for (int i = 0; i < plan->at && set->direct && !set->aside; i++) {
    const peri_action *action = &plan->actions[i];
    const bool calls = action->kind == PERI_ACTION_CALL || action->kind == PERI_ACTION_PLAIN;
    if (calls && action->call->outputs[0].tensor == &set->target->tensor) return true;
  }
  return false;
}

/* A run that ends early leaves gradients that were to be written to as the zeros that they were by then. What stands
 * there already is kept for a run that goes on. */
static void set_zeros(peri_plan *plan) {
  for (int i = plan->at; i < plan->actions_n; i++) {
    peri_action *action = &plan->actions[i];
    if (action->kind != PERI_ACTION_SET || action->since > plan->at) continue;
    peri_tensor *g = &action->target->tensor;
    if (is_made(plan, action)) {
      memcpy(action->source->tensor.data, g->data, (size_t)g->layout.numel * peri_dtype_size(g->layout.dtype));
      action->aside = plan->aside = true;
    }
    memset(g->data, 0, (size_t)g->layout.numel * peri_dtype_size(g->layout.dtype));
    g->storage->version++;
  }
}

static bool is_finite(const peri_tensor *x) {
  const double value = peri_load_number(x->layout.dtype, x->data);
  return value - value == 0;
}

static peri_status run_other(peri_plan *plan, const peri_action *action) {
  switch (action->kind) {
  case PERI_ACTION_CALL:
    return run_call(action);
  case PERI_ACTION_CHECK:
    return action->early ? PERI_OK : check_again(action->call, action->run);
  case PERI_ACTION_COPY:
    return run_copy(plan->context, action);
  case PERI_ACTION_GRADIENT:
    return run_gradient(action);
  case PERI_ACTION_PART:
    if (action->counts) action->tensors[0]->storage->version++;
    return action->part(action->note, action->tensors);
  case PERI_ACTION_SET:
    return run_set(plan->context, action);
  case PERI_ACTION_ACT:
    return action->act.run(action->act.object);
  case PERI_ACTION_JOINED:
    return peri_joined_run(plan->context, action);
  default:
    plan->stopped = !is_finite(&action->source->tensor);
    return PERI_OK;
  }
}

static inline peri_status run_action(peri_plan *plan, const peri_action *action) {
  peri_context *context = plan->context;
  context->operation = action->name;
  if (!action->shielded && peri_cancelled(context)) return peri_check_cancel(context);
  context->shielded = action->shielded;
  if (action->ready != NULL) return action->ready->run(action->ready);
  peri_status status = action->kind == PERI_ACTION_PLAIN ? action->run(action->call) : run_other(plan, action);
  return status;
}

/* From plan->at on. An action that fails has done nothing, and can be made again. */
static peri_status run_actions(peri_plan *plan) {
  peri_status status = PERI_OK;
  if (plan->actions_n == 0) return PERI_OK;
  const peri_action *action = plan->actions + plan->at, *end = plan->actions + plan->actions_n;
  for (; action < end && !plan->stopped; action++) {
    status = run_action(plan, action);
    if (status != PERI_OK) break;
  }
  plan->at = (int)(action - plan->actions);
  return status;
}

static peri_status run_timed(peri_plan *plan) {
  peri_status status = PERI_OK;
  for (; plan->at < plan->actions_n && !plan->stopped; plan->at++) {
    peri_action *action = &plan->actions[plan->at];
    const double start = peri_now();
    status = run_action(plan, action);
    action->seconds += peri_now() - start;
    if (status != PERI_OK) return status;
  }
  return status;
}

/* ---- whether a plan fits ---- */

void peri_plan_move(peri_plan *plan, peri_context *context) {
  for (int i = 0; i < plan->actions_n; i++) {
    peri_call *call = plan->actions[i].call;
    peri_whole_gradient *gradient = plan->actions[i].gradient;
    if (gradient != NULL) gradient->B.context = context;
    if (plan->actions[i].joined != NULL) peri_joined_move(plan->actions[i].joined, context);
    if (call == NULL) continue;
    call->context = context;
    call->stream = &context->stream; /* the default one: others are not recorded */
  }
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (buffer->place != PERI_PLAN_OUTSIDE || buffer->writes) continue;
    buffer->storage = *buffer->held->storage; /* others may read it at the same time: it is counted apart */
    buffer->storage.references = 1;
    buffer->storage.packed = NULL;
    peri_shells_move(buffer, context == context->home ? buffer->held->storage : &buffer->storage,
                     buffer->held->storage->data);
  }
  plan->context = context;
}

peri_storage *peri_plan_outside(const peri_plan *plan, int *at, bool *writes) {
  while (*at < plan->buffers_n) {
    const peri_buffer *buffer = plan->buffers[(*at)++];
    if (buffer->place != PERI_PLAN_OUTSIDE) continue;
    *writes = buffer->writes;
    return buffer->held->storage;
  }
  return NULL;
}

static void bind_arguments(peri_plan *plan, peri_tensor *const *arguments) {
  for (int i = 0; i < plan->arguments_n; i++)
    peri_shells_move(plan->argument_buffers[i], arguments[i]->storage, arguments[i]->data);
}

/* What infer says of values that are there before the step; a message of its failure is the step's to say. */
bool peri_plan_accepts(peri_plan *plan, peri_tensor *const *arguments) {
  bool passes = true, bound = false;
  for (int i = 0; i < plan->early_n && passes; i++) {
    const peri_action *action = &plan->actions[i];
    if (!action->early) continue;
    if (!bound) bind_arguments(plan, arguments);
    bound = true;
    passes = check_again(action->call, action->call->op->infer) == PERI_OK;
  }
  return passes;
}

/* Which argument of the plan a tensor of it is, or a view of; -1: none. */
static int argument_of(const peri_plan *plan, const peri_tensor *x) {
  for (int i = 0; i < plan->arguments_n; i++) {
    for (const peri_shell *shell = plan->argument_buffers[i]->shells; shell != NULL; shell = shell->next) {
      if (&shell->tensor == x) return i;
    }
  }
  return -1;
}

static bool check_passes(const peri_plan *plan, const peri_call *call, peri_tensor *const *of) {
  for (int i = 0; i < peri_op_params(call->op); i++) {
    const peri_tensor *x = call->args[i].tensor;
    if (call->args[i].tensors != NULL) return false;
    if (x == NULL || (peri_is_float(x->layout.dtype) && !call->op->params[i].reads)) continue;
    const int argument = argument_of(plan, x);
    if (argument < 0 || call->op->reads_alike == NULL || !of[argument]->contiguous ||
        !call->op->reads_alike(call, i, of[argument]))
      return false;
  }
  return true;
}

bool peri_plan_accepts_rows(const peri_plan *plan, peri_tensor *const *of) {
  for (int i = 0; i < plan->actions_n; i++) {
    const peri_action *action = &plan->actions[i];
    if (action->early && !check_passes(plan, action->call, of)) return false;
  }
  for (int b = 0; b < plan->buffers_n; b++) {
    const peri_buffer *buffer = plan->buffers[b];
    for (int i = 0; i < plan->arguments_n; i++) {
      if (buffer->place == PERI_PLAN_OUTSIDE && buffer->writes && buffer->held->storage == of[i]->storage) return false;
    }
  }
  return true;
}

/* What is no matter of arguments. */
static bool holds(const peri_plan *plan) {
  const peri_context *context = plan->context;
  if (context->grad_mode != plan->grad_mode || context->hooked != plan->hooked || is_revoked(plan)) return false;
  if (plan->running || context->recorder != NULL || context->walk != NULL || context->detect_anomaly) return false;
  for (int i = 0; i < plan->leaves_n; i++) {
    const peri_tensor *leaf = plan->leaves[i].leaf;
    if (leaf->grad != plan->leaves[i].gradient || leaf->hooks != NULL ||
        leaf->requires_grad != plan->leaves[i].requires_grad)
      return false;
  }
  for (int i = 0; i < plan->guards_n; i++) {
    if (!plan->guards[i].holds(plan->guards[i].note)) return false;
  }
  return true;
}

bool peri_plan_fits(peri_plan *plan, int n, peri_tensor *const *arguments) {
  if (n != plan->arguments_n) return false;
  for (int i = 0; i < n; i++) {
    const peri_tensor *x = arguments[i];
    if (!peri_same_place(&x->layout, &plan->arguments[i]) || x->requires_grad || x->node != NULL) return false;
    if (x->storage->barred == PERI_REVOKED || (plan->stands_apart && x->storage->lent)) return false;
    if (peri_tensor_context(x) != plan->context || !stands_alone(plan, i, arguments)) return false;
  }
  return holds(plan) && peri_plan_accepts(plan, arguments);
}

bool peri_plan_suits(const peri_plan *plan, int n, const peri_layout *layouts) {
  if (n != plan->arguments_n) return false;
  for (int i = 0; i < n; i++) {
    if (!peri_same_place(&layouts[i], &plan->arguments[i])) return false;
  }
  return holds(plan);
}

/* ---- the whole ---- */

/* Memory for results: new where they are to be the caller's, else that of before. */
static peri_status open_fresh(peri_plan *plan, bool theirs) {
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (!buffer->fresh || (buffer->held != NULL && !theirs)) continue;
    peri_layout layout;
    peri_tensor_release(&buffer->held);
    peri_layout_set(&layout, PERI_UINT8, 1, &buffer->bytes);
    PERI_TRY(peri_tensor_empty(plan->context, &layout, &buffer->held));
    peri_shells_move(buffer, buffer->held->storage, buffer->held->data);
  }
  plan->opened = true;
  return PERI_OK;
}

static void close_fresh(peri_plan *plan) {
  for (int i = 0; i < plan->buffers_n; i++) {
    if (plan->buffers[i]->fresh) peri_tensor_release(&plan->buffers[i]->held);
  }
}

static peri_status take_results(peri_plan *plan, peri_tensor **results) {
  for (int i = 0; i < plan->results_n; i++) PERI_TRY(peri_tensor_detach(&plan->results[i]->tensor, &results[i]));
  return PERI_OK;
}

peri_status peri_plan_resume(peri_plan *plan, peri_tensor **results) {
  peri_context *context = plan->context;
  const bool grad_mode = context->grad_mode, shielded = context->shielded;
  const char *operation = context->operation;
  peri_status status = plan->opened ? PERI_OK : open_fresh(plan, results != NULL);
  context->grad_mode = false;
  plan->running = true;
  if (status == PERI_OK) status = plan->timed ? run_timed(plan) : run_actions(plan);
  plan->running = false;
  if (status != PERI_OK || plan->stopped) set_zeros(plan);
  context->grad_mode = grad_mode;
  context->shielded = shielded;
  context->operation = operation;
  if (status != PERI_OK || results == NULL) return status;
  for (int i = 0; i < plan->results_n; i++) results[i] = NULL;
  status = take_results(plan, results);
  for (int i = 0; status != PERI_OK && i < plan->results_n; i++) peri_tensor_release(&results[i]);
  if (status == PERI_OK) close_fresh(plan);
  return status;
}

peri_status peri_plan_run(peri_plan *plan, peri_tensor *const *arguments, peri_tensor **results) {
  bind_arguments(plan, arguments);
  plan->at = 0;
  plan->stopped = plan->opened = false;
  for (int i = 0; i < plan->actions_n && plan->aside; i++) plan->actions[i].aside = false;
  plan->aside = false;
  return peri_plan_resume(plan, results);
}

int peri_plan_results(const peri_plan *plan) { return plan->results_n; }
peri_tensor *peri_plan_result(const peri_plan *plan, int i) { return &plan->results[i]->tensor; }
bool peri_plan_stopped(const peri_plan *plan) { return plan->stopped; }

/* ---- for printing ---- */

static int steps_of(const peri_action *action) { return 1 + (action->joined == NULL ? 0 : action->joined->n); }

int peri_plan_steps(const peri_plan *plan) {
  int n = 0;
  for (int i = 0; i < plan->actions_n; i++) n += steps_of(&plan->actions[i]);
  return n;
}

uint64_t peri_plan_number(const peri_plan *plan) { return plan->number; }

peri_plan_step peri_plan_step_at(const peri_plan *plan, int i) {
  static const char *const kinds[] = {"operation", "operation", "check",     "copy",  "gradient",
                                      "gradient",  "act",       "operation", "check", "joined"};
  const peri_action *action = plan->actions;
  for (; i >= steps_of(action); action++) i -= steps_of(action);
  if (i > 0) {
    const peri_action *part = &action->joined->steps[i - 1];
    return (peri_plan_step){.name = part->name, .kind = kinds[part->kind], .within = i};
  }
  return (peri_plan_step){.name = action->joined == NULL ? action->name : "joined",
                          .kind = kinds[action->kind],
                          .joined = steps_of(action) - 1,
                          .bytes = action->bytes,
                          .products = action->products,
                          .seconds = action->seconds};
}

size_t peri_plan_bytes(const peri_plan *plan) {
  int64_t bytes = plan->block_bytes;
  for (int i = 0; i < plan->buffers_n; i++) {
    const peri_buffer *buffer = plan->buffers[i];
    if (buffer->fresh || buffer->place == PERI_PLAN_CONSTANT || buffer->place == PERI_PLAN_MADE) bytes += buffer->bytes;
  }
  for (int i = 0; i < plan->actions_n; i++) {
    const peri_joined *joined = plan->actions[i].joined;
    if (joined != NULL) bytes += joined->seats_n * (int64_t)joined->seat_bytes;
  }
  return (size_t)bytes;
}

void peri_plan_time(peri_plan *plan, bool on) { plan->timed = on; }
