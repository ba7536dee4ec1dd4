/* Gradients that become zeros and are then added to. */
#include "plan/parts.h"

#include "ops/rows.h"

static bool is_plain(const peri_tensor *x, const peri_tensor *like) {
  return x != NULL && x->contiguous && x->layout.dtype == like->layout.dtype &&
         peri_same_shape(&x->layout, &like->layout);
}

/* The addition to the gradient of that leaf which is the first that touches it behind action `at`, or NULL. */
static peri_action *first_addition(peri_plan *plan, const peri_tensor *leaf, int at) {
  const peri_tensor *g = leaf->grad;
  if (g == NULL || !g->contiguous) return NULL;
  const peri_buffer *buffer = NULL;
  for (int i = 0; i < plan->buffers_n; i++) {
    if (plan->buffers[i]->at == g->storage) buffer = plan->buffers[i];
  }
  if (buffer == NULL || buffer->place != PERI_PLAN_OUTSIDE || buffer->first <= at) return NULL;
  for (int i = at + 1; i < buffer->first; i++) {
    const peri_action *between = &plan->actions[i];
    if (between->kind == PERI_ACTION_ACT && (between->act.zeroed == NULL || between->act.zeroed == leaf)) return NULL;
  }
  peri_action *action = &plan->actions[buffer->first];
  if (buffer->first >= plan->actions_n || action->kind != PERI_ACTION_CALL || !action->writes ||
      action->call->op != &peri_op_add)
    return NULL;
  const peri_tensor *a = action->call->args[0].tensor, *b = action->call->args[1].tensor;
  return is_plain(a, g) && a->data == g->data && is_plain(b, g) && b->data != g->data ? action : NULL;
}

/* The call behind action `at` whose output only the addition reads, and which can write 0 + it to the gradient at once;
 * or NULL. Nobody looks at the gradient between them. */
static peri_action *maker_of(peri_plan *plan, const peri_action *addition, int at) {
  const peri_tensor *x = addition->call->args[1].tensor;
  const peri_buffer *buffer = NULL;
  for (int i = 0; i < plan->buffers_n; i++) {
    if (&plan->buffers[i]->storage == x->storage) buffer = plan->buffers[i];
  }
  if (buffer == NULL || buffer->place != PERI_PLAN_INSIDE || buffer->fresh || buffer->mentions != 2) return NULL;
  peri_action *maker = &plan->actions[buffer->first];
  const bool calls = maker->kind == PERI_ACTION_CALL || maker->kind == PERI_ACTION_PLAIN;
  if (buffer->first <= at || maker >= addition || !calls || maker->writes) return NULL;
  return maker->call->op->run_onto_zeros != NULL && maker->call->outputs[0].tensor == x ? maker : NULL;
}

static peri_shell *shell_at(const peri_tensor *x) { return (peri_shell *)(uintptr_t)x; }

void peri_plan_join_zeros(peri_plan *plan) {
  int kept = 0;
  for (int i = 0; i < plan->actions_n; i++) {
    peri_action *action = &plan->actions[i];
    const peri_tensor *leaf = action->kind == PERI_ACTION_ACT ? action->act.zeroed : NULL;
    peri_action *addition = leaf == NULL ? NULL : first_addition(plan, leaf, i);
    peri_action *maker = addition == NULL ? NULL : maker_of(plan, addition, i);
    if (addition != NULL) {
      addition->kind = PERI_ACTION_SET;
      addition->target = shell_at(addition->call->args[0].tensor);
      addition->source = shell_at(addition->call->args[1].tensor);
      addition->since = kept;
      addition->direct = maker != NULL;
      if (maker != NULL) {
        maker->run = maker->call->op->run_onto_zeros;
        maker->call->outputs[0].tensor = &addition->target->tensor;
        addition->bytes = 0;
      }
      action->act.release(action->act.object);
      action->kind = PERI_ACTION_STOP; /* no more than a place that is given up */
      action->source = NULL;
    } else {
      kept++;
    }
  }
  kept = 0;
  for (int i = 0; i < plan->actions_n; i++) {
    if (plan->actions[i].kind != PERI_ACTION_STOP || plan->actions[i].source != NULL)
      plan->actions[kept++] = plan->actions[i];
  }
  plan->actions_n = kept;
}
