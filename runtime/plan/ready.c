/* Making ready: what a plan's actions find out anew at each run of a row, although it is always the same, is noted
 * once. */
#include "plan/parts.h"

/* The one tensor that a gradient makes, which is all that it gives; or NULL. */
static peri_tensor *answer_of(const peri_whole_gradient *g) {
  for (int i = 0; i < g->B.edges; i++) {
    if (g->made[i] != NULL) return NULL;
  }
  return g->supplied == 1 ? g->supply[0] : NULL;
}

static bool make_ready(const peri_action *action, peri_ready *ready) {
  if (action->kind == PERI_ACTION_PLAIN) {
    const peri_op *op = action->call->op;
    ready->call = action->call;
    return op->ready(action->call, action->run != op->run, ready);
  }
  const peri_whole_gradient *g = action->gradient;
  peri_tensor *answer = answer_of(g);
  return answer != NULL && !action->counts && g->B.op->grad_ready(&g->B, answer, ready);
}

void peri_plan_make_ready(peri_plan *plan) {
  peri_ready *room = NULL;
  for (int i = 0; i < plan->actions_n; i++) {
    peri_action *action = &plan->actions[i];
    if (action->early) plan->early_n = i + 1;
    const bool known = action->kind == PERI_ACTION_PLAIN      ? action->call->op->ready != NULL
                       : action->kind == PERI_ACTION_GRADIENT ? action->gradient->B.op->grad_ready != NULL
                                                              : false;
    if (!known) continue;
    if (room == NULL) room = peri_plan_room(plan, sizeof *room);
    if (room == NULL) return;
    if (!make_ready(action, room)) continue;
    action->ready = room;
    room = NULL;
  }
}
