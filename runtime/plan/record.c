/* Recording. */
#include "plan/parts.h"

#include "ops/node.h"
#include "ops/rows.h"

static peri_plan *plan_of(peri_recorder *r) { return (peri_plan *)r; }

/* ---- calls ---- */

static peri_action *add_action(peri_plan *plan, peri_action_kind kind, const char *name) {
  if (peri_plan_is_refused(plan) || !PERI_PLAN_GROW(plan, actions)) return NULL;
  peri_action *action = &plan->actions[plan->actions_n];
  *action = (peri_action){.kind = kind, .name = name, .shielded = plan->context->shielded};
  return action;
}

static int64_t bytes_of(const peri_tensor *x) {
  return x == NULL ? 0 : x->layout.numel * (int64_t)peri_dtype_size(x->layout.dtype);
}

static peri_tensor *in_plan(peri_plan *plan, const peri_tensor *x, peri_action *action) {
  peri_shell *shell = x == NULL ? NULL : peri_plan_shell(plan, x);
  action->bytes += bytes_of(x);
  return shell == NULL ? NULL : &shell->tensor;
}

/* The arguments with tensors of the plan, and with lists and texts of their own. */
static void copy_arguments(peri_plan *plan, const peri_op *op, const peri_arg *given, peri_arg *args,
                           int64_t (*lists)[PERI_LIST_ROOM], int n, peri_action *action) {
  for (int i = 0; i < n; i++) {
    peri_arg *arg = &args[i];
    *arg = given[i];
    arg->tensor = in_plan(plan, given[i].tensor, action);
    if (given[i].tensors != NULL) {
      peri_tensor **list = peri_plan_room(plan, (size_t)given[i].count * sizeof *list);
      for (int j = 0; list != NULL && j < given[i].count; j++) list[j] = in_plan(plan, given[i].tensors[j], action);
      arg->tensors = list;
    }
    const peri_kind kind = op->params[i].kind;
    size_t numbers = kind == PERI_KIND_INTEGERS ? (size_t)given[i].count
                     : peri_is_sizes(kind)      ? (kind == PERI_KIND_AXES ? PERI_LIST_ROOM : PERI_MAX_DIMS)
                                                : 0;
    int64_t *sizes = lists != NULL && numbers <= PERI_LIST_ROOM ? lists[i] : NULL;
    if (sizes == NULL && numbers > 0) sizes = peri_plan_room(plan, numbers * sizeof *sizes);
    if (numbers > 0 && sizes != NULL) memcpy(sizes, given[i].sizes, numbers * sizeof *sizes);
    arg->sizes = sizes;
    if (given[i].text != NULL) {
      char *text = peri_plan_room(plan, strlen(given[i].text) + 1);
      if (text != NULL) strcpy(text, given[i].text);
      arg->text = text;
    }
  }
}

/* Multiply-adds of the rows that are products: for each element of y as many as there are weights for it. */
static int64_t products_of(const peri_call *call) {
  static const char *const rows[] = {"linear", "conv1d", "conv2d", "bilinear"};
  const peri_tensor *y = call->outputs[0].tensor, *x = call->args[0].tensor, *w = call->args[1].tensor;
  if (strcmp(call->op->name, "matmul") == 0)
    return y->layout.numel *
           x->layout.shape[call->args[2].integer && x->layout.ndim > 1 ? x->layout.ndim - 2 : x->layout.ndim - 1];
  for (size_t i = 0; i < PERI_COUNT(rows); i++) {
    if (strcmp(call->op->name, rows[i]) == 0 && w->layout.shape[0] > 0)
      return y->layout.numel * (w->layout.numel / w->layout.shape[0]);
  }
  return 0;
}

static peri_call *copy_call(peri_plan *plan, const peri_call *call, peri_action *action) {
  peri_call *own = peri_plan_room(plan, sizeof *own);
  if (own == NULL) return NULL;
  *own = *call;
  own->workspace = NULL;
  copy_arguments(plan, call->op, call->args, own->args, own->lists, peri_op_params(call->op), action);
  own->outputs = own->few_outputs;
  if (call->output_count > PERI_MAX_OUTPUTS) {
    own->outputs = peri_plan_room(plan, (size_t)call->output_count * sizeof *own->outputs);
    if (own->outputs == NULL) return NULL;
  }
  if (call->outputs != call->few_outputs)
    memcpy(own->outputs, call->outputs, (size_t)call->output_count * sizeof *own->outputs);
  for (int i = 0; i < call->output_count; i++) own->outputs[i].tensor = NULL;
  return own;
}

bool peri_plan_reads(const peri_op *op, int i, const peri_tensor *x) {
  const peri_param *param = &op->params[i];
  return x != NULL && !param->shape_only && (param->reads || (!param->bools && !peri_is_float(x->layout.dtype)));
}

static bool reads_values(const peri_call *call) {
  bool reads = false;
  for (int i = 0; i < peri_op_params(call->op); i++) {
    const peri_arg *arg = &call->args[i];
    reads |= peri_plan_reads(call->op, i, arg->tensor);
    for (int j = 0; arg->tensors != NULL && j < arg->count; j++) reads |= peri_plan_reads(call->op, i, arg->tensors[j]);
  }
  return reads;
}

/* Whether what happens is part of a gradient that is made as a whole. */
static bool goes_again(const peri_plan *plan) { return plan->within && plan->whole; }

static bool writes(const peri_call *call) { return call->in_place || (call->op->flags & PERI_OP_WRITES); }

/* The outputs are views of what was there before: nothing is to be done. */
static bool gives_views(peri_plan *plan, const peri_call *call) {
  if (call->op->flags & PERI_OP_VIEW) return true;
  const peri_tensor *y = call->outputs[0].tensor;
  return (call->op->flags & PERI_OP_ALLOCATES) && y != NULL &&
         (!peri_plan_is_new(plan, y->storage) || peri_plan_known(plan, y->storage) != NULL);
}

static void check_call(peri_recorder *r, const peri_call *call) {
  peri_plan *plan = plan_of(r);
  if (call->op->flags & PERI_OP_LATE) peri_refuse_recorder(r, "what %s gives has a shape by values", call->op->name);
  if (!reads_values(call) || goes_again(plan)) return;
  peri_action *action = add_action(plan, PERI_ACTION_CHECK, call->op->name);
  if (action == NULL) return;
  action->call = copy_call(plan, call, action);
  action->run = call->op->infer;
  plan->actions_n += action->call != NULL;
}

static void record_stream(peri_plan *plan, const peri_call *call, const peri_stream *before) {
  if (!(call->op->flags & PERI_OP_RANDOM)) return;
  if (call->stream != &plan->context->stream) {
    peri_refuse_recorder(&plan->recorder, "%s draws from a generator of its own", call->op->name);
  } else if (before->seed != plan->stream.seed || before->block != plan->stream.block) {
    peri_refuse_recorder(&plan->recorder, "the default stream is set, or drawn from outside operations");
  }
  plan->stream = *call->stream;
}

static void copy_elements(peri_recorder *r, peri_tensor *target, peri_tensor *source) {
  peri_plan *plan = plan_of(r);
  peri_action *action = add_action(plan, PERI_ACTION_COPY, "copy");
  if (action == NULL) return;
  action->source = peri_plan_shell(plan, source);
  action->target = peri_plan_shell(plan, target);
  action->bytes = bytes_of(source) + bytes_of(target);
  action->writes = true;
  plan->actions_n += action->source != NULL && action->target != NULL;
  peri_buffer *buffer = peri_plan_known(plan, target->storage);
  if (buffer != NULL) buffer->written = true;
}

/* A row whose output has the elements of its argument, into a buffer, by a copy. */
static void record_copy(peri_plan *plan, const peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_action *action = add_action(plan, PERI_ACTION_COPY, call->op->name);
  if (action == NULL) return;
  action->source = peri_plan_shell(plan, call->args[0].tensor);
  if (peri_plan_new_buffer(plan, y, PERI_PLAN_INSIDE) == NULL) return;
  action->target = peri_plan_shell(plan, y);
  action->bytes = bytes_of(y) + bytes_of(call->args[0].tensor);
  plan->actions_n += action->source != NULL && action->target != NULL;
}

static void record_call(peri_recorder *r, const peri_call *call, const peri_stream *before, const int64_t *note) {
  peri_plan *plan = plan_of(r);
  record_stream(plan, call, before);
  if (call->op->flags & PERI_OP_LATE) peri_refuse_recorder(r, "what %s gives has a shape by values", call->op->name);
  if (peri_plan_is_refused(plan) || goes_again(plan) || (!writes(call) && gives_views(plan, call))) return;
  if (call->op == &peri_op_clone || ((call->op->flags & PERI_OP_ALLOCATES) && !writes(call))) {
    record_copy(plan, call);
    return;
  }
  peri_action *action = add_action(plan, PERI_ACTION_CALL, call->op->name);
  if (action == NULL) return;
  peri_call *own = action->call = copy_call(plan, call, action);
  action->run = call->op->run;
  if (own != NULL) memcpy(own->note, note, sizeof own->note);
  if (own != NULL && memcmp(note, call->note, sizeof own->note) != 0) {
    int64_t *kept = peri_plan_room(plan, sizeof own->note);
    if (kept != NULL) action->note = memcpy(kept, note, sizeof own->note);
  }
  action->writes = writes(call);
  action->infers = reads_values(call);
  action->products = products_of(call);
  for (int i = 0; own != NULL && i < call->output_count; i++) {
    peri_tensor *y = call->outputs[i].tensor;
    if (y == NULL) continue;
    if (peri_plan_is_new(plan, y->storage) && peri_plan_known(plan, y->storage) == NULL)
      peri_plan_new_buffer(plan, y, PERI_PLAN_INSIDE);
    own->outputs[i].tensor = in_plan(plan, y, action);
    action->counts |= y->layout.numel >= 32768; /* below, no product keeps a packed form */
  }
  if (action->writes) {
    peri_buffer *buffer = peri_plan_known(plan, call->args[0].tensor->storage);
    if (buffer != NULL) buffer->written = true;
    if (buffer != NULL && buffer->place == PERI_PLAN_CONSTANT)
      peri_refuse_recorder(r, "%s_ writes to a constant of a formula", call->op->name);
  }
  for (int i = 0; call->op->commit != NULL && i < peri_op_params(call->op); i++) { /* it may write to any */
    peri_buffer *buffer = call->args[i].tensor == NULL ? NULL : peri_plan_known(plan, call->args[i].tensor->storage);
    if (buffer != NULL) buffer->writes = true;
  }
  if (own != NULL && own->workspace_bytes > 0) {
    action->workspace = peri_plan_add_buffer(plan, PERI_PLAN_INSIDE);
    if (action->workspace != NULL) action->workspace->bytes = (int64_t)own->workspace_bytes;
    if (action->workspace != NULL) action->workspace->last = plan->actions_n;
  }
  const bool plain = !action->writes && !action->infers && call->op->commit == NULL && !action->counts &&
                     action->note == NULL && !(call->op->flags & PERI_OP_RANDOM);
  if (plain) action->kind = PERI_ACTION_PLAIN;
  plan->actions_n += own != NULL;
}

static void record_part(peri_recorder *r, const peri_kernel_part *part) {
  peri_plan *plan = plan_of(r);
  if (goes_again(plan)) return;
  peri_action *action = add_action(plan, PERI_ACTION_PART, part->name);
  void *note = peri_plan_room(plan, part->bytes);
  peri_tensor **tensors = peri_plan_room(plan, (size_t)part->n * sizeof *tensors);
  if (action == NULL || note == NULL || tensors == NULL) return;
  action->note = memcpy(note, part->note, part->bytes);
  action->note_bytes = part->bytes;
  action->tensors = tensors;
  action->tensors_n = part->n;
  action->part = part->run;
  for (int i = 1; i < part->n; i++) tensors[i] = in_plan(plan, part->tensors[i], action);
  if (peri_plan_new_buffer(plan, part->tensors[0], PERI_PLAN_INSIDE) == NULL) return;
  tensors[0] = in_plan(plan, part->tensors[0], action);
  action->counts = part->tensors[0]->layout.numel >= 32768;
  plan->actions_n++;
}

static void record_constant(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (peri_plan_is_refused(plan) || goes_again(plan)) return;
  peri_buffer *buffer = peri_plan_new_buffer(plan, x, PERI_PLAN_CONSTANT);
  if (buffer != NULL) buffer->held = peri_tensor_retain(x);
}

/* ---- gradients that are made as a whole ---- */

/* A formula may let go of what it was given before it ends. */
void peri_plan_drop_supply(peri_plan *plan) {
  while (plan->supply_n > 0) peri_tensor_release(&plan->supply[--plan->supply_n]);
}

static void begin_gradient(peri_recorder *r) {
  peri_plan *plan = plan_of(r);
  peri_plan_drop_supply(plan);
  plan->within = true;
  plan->whole = false;
  plan->mark = plan->actions_n;
  plan->mark_buffers = plan->buffers_n;
}

static void record_made(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (!plan->within) {
    peri_refuse_recorder(r, "a formula computes something without an operation");
  } else if (!peri_plan_is_refused(plan) && PERI_PLAN_GROW(plan, supply)) {
    plan->supply[plan->supply_n++] = peri_tensor_retain(x);
    plan->whole = true;
  }
}

/* What is known already is a view of it, or has come from an operation, or from peri_formula_new. */
static void record_owned(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (!peri_plan_is_new(plan, x->storage) || peri_plan_known(plan, x->storage) != NULL) return;
  for (int i = 0; i < plan->supply_n && plan->within; i++) {
    if (plan->supply[i] == x) return;
  }
  if (plan->within) plan->whole = true; /* elsewhere whoever uses it refuses */
}

static void copy_inputs(peri_plan *plan, const peri_backward *given, peri_backward *B, peri_action *action) {
  const int params = given->node->params;
  peri_arg *args = peri_plan_room(plan, (size_t)params * sizeof *args);
  int64_t *note = peri_plan_room(plan, PERI_MAX_NOTES * sizeof *note);
  peri_layout *layouts = peri_plan_room(plan, (size_t)given->edges * sizeof *layouts);
  const peri_layout **pointers = peri_plan_room(plan, (size_t)given->edges * sizeof *pointers);
  bool *needs = peri_plan_room(plan, (size_t)given->edges * sizeof *needs);
  peri_tensor **arrived = peri_plan_room(plan, (size_t)given->op->outputs * sizeof *arrived);
  *B = (peri_backward){.context = given->context, .op = given->op, .edges = given->edges};
  if (peri_plan_is_refused(plan)) return;
  copy_arguments(plan, given->op, given->args, args, NULL, params, action);
  memcpy(note, given->note, PERI_MAX_NOTES * sizeof *note);
  memcpy(needs, given->needs, (size_t)given->edges * sizeof *needs);
  for (int i = 0; i < given->edges; i++) {
    layouts[i] = *given->layouts[i];
    pointers[i] = &layouts[i];
  }
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) B->outputs[i] = in_plan(plan, given->outputs[i], action);
  for (int i = 0; i < given->op->outputs; i++) arrived[i] = in_plan(plan, given->grad_outputs[i], action);
  B->args = args;
  B->note = note;
  B->layouts = pointers;
  B->needs = needs;
  B->grad_outputs = arrived;
}

static void copy_supply(peri_plan *plan, peri_whole_gradient *g, peri_action *action) {
  g->supplied = plan->supply_n;
  g->supply = peri_plan_room(plan, (size_t)plan->supply_n * sizeof *g->supply);
  for (int i = 0; i < plan->supply_n && g->supply != NULL; i++) {
    peri_plan_new_buffer(plan, plan->supply[i], PERI_PLAN_INSIDE);
    g->supply[i] = in_plan(plan, plan->supply[i], action);
  }
}

/* A gradient that something in it computes without an operation is one action, and its steps go again. */
static void keep_whole(peri_recorder *r, const peri_backward *given) {
  peri_plan *plan = plan_of(r);
  if (given->op->list != NULL || given->create_graph) {
    peri_refuse_recorder(r, "the gradient of %s computes something without an operation", given->op->name);
    return;
  }
  plan->actions_n = plan->mark;
  for (int i = plan->mark_buffers; i < plan->buffers_n; i++) {
    if (plan->buffers[i]->place == PERI_PLAN_INSIDE) plan->buffers[i]->place = PERI_PLAN_LOST;
  }
  peri_action *action = add_action(plan, PERI_ACTION_GRADIENT, given->op->name);
  peri_whole_gradient *g = peri_plan_room(plan, sizeof *g + (size_t)given->edges * sizeof *g->made);
  if (action == NULL || g == NULL) return;
  action->gradient = g;
  copy_inputs(plan, given, &g->B, action);
  if (peri_plan_is_refused(plan)) return;
  copy_supply(plan, g, action);
  for (int i = 0; i < given->edges; i++) {
    peri_tensor *answer = given->answers[i];
    if (answer == NULL || !given->needs[i]) continue;
    peri_buffer *buffer = peri_plan_is_new(plan, answer->storage) ? peri_plan_known(plan, answer->storage) : NULL;
    if (buffer != NULL && buffer->place != PERI_PLAN_LOST) continue;
    if (buffer == NULL && peri_plan_is_new(plan, answer->storage))
      buffer = peri_plan_new_buffer(plan, answer, PERI_PLAN_MADE);
    if (buffer == NULL) continue;
    buffer->place = PERI_PLAN_MADE;
    g->made[i] = buffer;
    action->bytes += bytes_of(answer);
  }
  plan->actions_n++;
}

static void end_gradient(peri_recorder *r, const peri_backward *given) {
  peri_plan *plan = plan_of(r);
  plan->within = false;
  if (plan->whole && !peri_plan_is_refused(plan)) keep_whole(r, given);
  peri_plan_drop_supply(plan);
}

/* ---- leaves, acts, guards ---- */

static void record_leaf(peri_recorder *r, peri_tensor *leaf, bool arrives) {
  peri_plan *plan = plan_of(r);
  if (arrives && leaf->grad == NULL) peri_refuse_this_time(plan->context, "a parameter has no gradient yet");
  for (int i = 0; i < plan->leaves_n; i++) {
    if (plan->leaves[i].leaf != leaf) continue;
    if (plan->leaves[i].gradient != leaf->grad) peri_refuse_recorder(r, "a gradient is replaced in it");
    return;
  }
  if (peri_plan_is_refused(plan) || !PERI_PLAN_GROW(plan, leaves)) return;
  plan->leaves[plan->leaves_n++] = (peri_leaf){peri_tensor_retain(leaf), leaf->grad, leaf->requires_grad};
}

static void admit(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (peri_plan_is_refused(plan) || peri_plan_is_new(plan, x->storage)) return;
  peri_buffer *buffer = peri_plan_buffer(plan, x);
  if (buffer != NULL && buffer->place == PERI_PLAN_ARGUMENT)
    peri_refuse_recorder(r, "argument %d is a parameter, too", buffer->argument + 1);
  if (buffer != NULL) buffer->admitted = true;
}

static void record_act(peri_recorder *r, const peri_act *act) {
  peri_plan *plan = plan_of(r);
  peri_action *action = add_action(plan, PERI_ACTION_ACT, act->name);
  if (action == NULL) {
    act->release(act->object);
    return;
  }
  action->act = *act;
  plan->actions_n++;
}

static void record_guard(peri_recorder *r, const peri_guard *guard) {
  peri_plan *plan = plan_of(r);
  if (peri_plan_is_refused(plan) || !PERI_PLAN_GROW(plan, guards)) {
    guard->release(guard->note);
    return;
  }
  plan->guards[plan->guards_n++] = *guard;
}

bool peri_plan_go_on(peri_tensor *x) {
  const double value = peri_load_number(x->layout.dtype, x->data);
  peri_plan *plan = (peri_plan *)peri_tensor_context(x)->recorder;
  if (plan == NULL) return value - value == 0;
  peri_action *action = add_action(plan, PERI_ACTION_STOP, "stop");
  if (action != NULL) {
    action->source = peri_plan_shell(plan, x);
    plan->actions_n += action->source != NULL;
  }
  if (value - value == 0) return true;
  peri_refuse_this_time(plan->context, "the loss is no finite number");
  return false;
}

const peri_recorder peri_plan_recorder = {.call = record_call,
                                          .check = check_call,
                                          .copy = copy_elements,
                                          .constant = record_constant,
                                          .part = record_part,
                                          .begin_gradient = begin_gradient,
                                          .end_gradient = end_gradient,
                                          .made = record_made,
                                          .owned = record_owned,
                                          .leaf = record_leaf,
                                          .act = record_act,
                                          .guard = record_guard,
                                          .admit = admit};
