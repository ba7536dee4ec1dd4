/* Beginning and end of a plan: what is to be known of it before it runs. */
#include "plan/parts.h"

#include "base/memory.h"
#include "ops/node.h"
#include "ops/rows.h"

/* ---- beginning and end ---- */

static void add_arguments(peri_plan *plan, int n, peri_tensor *const *arguments) {
  plan->arguments = peri_plan_room(plan, (size_t)n * sizeof *plan->arguments);
  plan->argument_buffers = peri_plan_room(plan, (size_t)n * sizeof *plan->argument_buffers);
  plan->arguments_n = n;
  for (int i = 0; i < n && !peri_plan_is_refused(plan); i++) {
    plan->arguments[i] = arguments[i]->layout;
    if (arguments[i]->requires_grad || arguments[i]->node != NULL)
      peri_refuse_recorder(&plan->recorder, "argument %d requires grad", i + 1);
    if (peri_plan_known(plan, arguments[i]->storage) != NULL)
      peri_refuse_recorder(&plan->recorder, "argument %d shares memory with another", i + 1);
    peri_buffer *buffer = peri_plan_add_buffer(plan, PERI_PLAN_ARGUMENT);
    if (buffer == NULL) return;
    buffer->argument = i;
    buffer->admitted = true;
    buffer->at = arguments[i]->storage;
    buffer->base = arguments[i]->data;
    plan->borrowed |= arguments[i]->storage->lent;
    plan->argument_buffers[i] = buffer;
  }
}

peri_status peri_plan_begin(peri_context *context, int n, peri_tensor *const *arguments, peri_plan **out) {
  void *block;
  *out = NULL;
  PERI_TRY(peri_alloc(context, sizeof(peri_plan), &block));
  peri_plan *plan = memset(block, 0, sizeof *plan);
  peri_context_retain(context);
  plan->context = context;
  plan->recorder = peri_plan_recorder;
  plan->first = context->storages;
  plan->number = ++context->plans;
  plan->grad_mode = context->grad_mode;
  plan->hooked = context->hooked;
  plan->stream = context->stream;
  add_arguments(plan, n, arguments);
  if (context->recorder != NULL) peri_refuse_recorder(&plan->recorder, "another step is being recorded");
  if (context->walk != NULL) peri_refuse_recorder(&plan->recorder, "a walk back is under way");
  if (context->detect_anomaly) peri_refuse_recorder(&plan->recorder, "anomalies are looked for");
  *out = plan;
  if (peri_plan_is_refused(plan)) return PERI_OK;
  plan->recording = true;
  context->recorder = &plan->recorder;
  return PERI_OK;
}

static void stop_recording(peri_plan *plan) {
  if (plan->recording) plan->context->recorder = NULL;
  plan->recording = false;
}

void peri_plan_refuse(peri_plan *plan, const char *reason) {
  stop_recording(plan);
  if (*reason != '\0') peri_refuse_recorder(&plan->recorder, "%s", reason);
}

static void keep_results(peri_plan *plan, int n, peri_tensor *const *results) {
  plan->results = peri_plan_room(plan, (size_t)n * sizeof *plan->results);
  plan->results_n = n;
  for (int i = 0; i < n && !peri_plan_is_refused(plan); i++) {
    if (results[i]->node != NULL && !peri_node_of(results[i])->freed)
      peri_refuse_recorder(&plan->recorder, "a result is part of a graph (call backward in the step, or detach it)");
    plan->results[i] = peri_plan_shell(plan, results[i]);
    peri_buffer *buffer = peri_plan_known(plan, results[i]->storage);
    if (buffer == NULL) continue;
    buffer->last = plan->actions_n;
    buffer->fresh = buffer->place == PERI_PLAN_INSIDE;
  }
}

/* Whether what infer reads of the call is known before the step begins, and nothing writes to it. */
static bool is_known_early(const peri_plan *plan, const peri_tensor *x) {
  for (int i = 0; i < plan->buffers_n; i++) {
    const peri_buffer *buffer = plan->buffers[i];
    for (const peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
      if (&shell->tensor == x)
        return !buffer->written && (buffer->place == PERI_PLAN_ARGUMENT || buffer->place == PERI_PLAN_OUTSIDE ||
                                    buffer->place == PERI_PLAN_CONSTANT);
    }
  }
  return false;
}

/* Checks of values that are there before the step are made before a replay: where one fails, or what follows from the
 * values is another, the plan does not fit. */
static void find_early_checks(peri_plan *plan) {
  for (int i = 0; i < plan->actions_n; i++) {
    peri_action *action = &plan->actions[i];
    if (action->kind != PERI_ACTION_CHECK && !action->infers) continue;
    const peri_op *op = action->call->op;
    bool early = true;
    for (int k = 0; k < peri_op_params(op); k++) {
      const peri_arg *arg = &action->call->args[k];
      early = early && (!peri_plan_reads(op, k, arg->tensor) || is_known_early(plan, arg->tensor));
      for (int j = 0; arg->tensors != NULL && j < arg->count; j++)
        early = early && (!peri_plan_reads(op, k, arg->tensors[j]) || is_known_early(plan, arg->tensors[j]));
    }
    if (early && action->writes) early = false;
    action->early = early;
    if (early && action->kind == PERI_ACTION_CALL) action->infers = false;
    if (!early && (op->flags & PERI_OP_COUNTS))
      peri_refuse_recorder(&plan->recorder, "what %s computes follows from values that the step computes", op->name);
  }
}

void peri_plan_end(peri_plan *plan, int n, peri_tensor *const *results) {
  stop_recording(plan);
  if (plan->stream.seed != plan->context->stream.seed || plan->stream.block != plan->context->stream.block)
    peri_refuse_recorder(&plan->recorder, "the default stream is set, or drawn from outside operations");
  if (plan->grad_mode != plan->context->grad_mode)
    peri_refuse_recorder(&plan->recorder, "it leaves recording of gradients on or off");
  if (peri_plan_is_refused(plan)) return;
  keep_results(plan, n, results);
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    buffer->writes |= buffer->written;
    for (int k = 0; k < plan->leaves_n; k++) {
      const peri_tensor *g = plan->leaves[k].gradient;
      const bool is_gradient = g != NULL && buffer->at == g->storage;
      buffer->admitted |= is_gradient; /* gradients belong to whoever has the leaf */
      buffer->writes |= is_gradient || buffer->at == plan->leaves[k].leaf->storage;
    }
  }
  if (peri_plan_is_refused(plan)) return;
  find_early_checks(plan);
  if (peri_plan_is_refused(plan)) return;
  peri_plan_join_zeros(plan);
  peri_plan_join(plan);
  if (peri_plan_is_refused(plan)) return;
  peri_plan_share(plan);
  for (int i = 0; i < plan->actions_n && plan->block != NULL; i++) {
    peri_action *action = &plan->actions[i];
    if (action->workspace != NULL) action->call->workspace = plan->block + action->workspace->offset;
  }
  peri_plan_make_ready(plan);
}

const char *peri_plan_refused(const peri_plan *plan, bool *passing) {
  if (passing != NULL) *passing = plan->recorder.passing;
  return peri_plan_is_refused(plan) ? plan->recorder.refused : NULL;
}

peri_tensor *peri_plan_stranger(const peri_plan *plan, int i) {
  for (int b = 0; b < plan->buffers_n; b++) {
    const peri_buffer *buffer = plan->buffers[b];
    if (buffer->place == PERI_PLAN_OUTSIDE && !buffer->admitted && i-- == 0) return buffer->held;
  }
  return NULL;
}

#define FREE_LIST(plan, list)                                                                                          \
  if ((plan)->list != NULL) peri_free((plan)->context, (plan)->list, (size_t)(plan)->list##_room * sizeof *(plan)->list)

void peri_plan_release(peri_plan **out) {
  peri_plan *plan = *out;
  *out = NULL;
  if (plan == NULL) return;
  peri_context *context = plan->context;
  stop_recording(plan);
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (buffer->storage.packed != NULL) peri_packed_drop(&buffer->storage);
    peri_tensor_release(&buffer->held);
  }
  for (int i = 0; i < plan->actions_n; i++) {
    if (plan->actions[i].joined != NULL) peri_joined_release(context, plan->actions[i].joined);
    if (plan->actions[i].kind == PERI_ACTION_ACT) plan->actions[i].act.release(plan->actions[i].act.object);
  }
  for (int i = 0; i < plan->guards_n; i++) plan->guards[i].release(plan->guards[i].note);
  for (int i = 0; i < plan->leaves_n; i++) peri_tensor_release(&plan->leaves[i].leaf);
  FREE_LIST(plan, buffers);
  FREE_LIST(plan, actions);
  FREE_LIST(plan, guards);
  FREE_LIST(plan, leaves);
  peri_plan_drop_supply(plan);
  FREE_LIST(plan, supply);
  if (plan->by_number != NULL)
    peri_free(context, plan->by_number, (size_t)plan->numbers_room * sizeof *plan->by_number);
  if (plan->block != NULL) peri_free(context, plan->block, (size_t)plan->block_bytes);
  while (plan->chunks != NULL) {
    peri_plan_chunk *chunk = plan->chunks;
    plan->chunks = chunk->next;
    peri_free(context, chunk, chunk->bytes);
  }
  peri_free(context, plan, sizeof *plan);
  peri_context_drop(context);
}
