/* Whether two plans are the same but for their tensors. */
#include "plan/parts.h"

static bool alike_buffers(const peri_buffer *a, const peri_buffer *b) {
  const peri_shell *x = a->shells, *y = b->shells;
  if (a->place != b->place || a->bytes != b->bytes || a->offset != b->offset || a->argument != b->argument ||
      a->fresh != b->fresh || a->written != b->written)
    return false;
  for (; x != NULL && y != NULL; x = x->next, y = y->next) {
    if (x->offset != y->offset || !peri_same_place(&x->tensor.layout, &y->tensor.layout)) return false;
  }
  return x == y;
}

/* Where a tensor of a plan stands among its tensors; -1: it is none. */
static int number_of(const peri_plan *plan, const peri_tensor *x) {
  int number = 0;
  for (int i = 0; i < plan->buffers_n; i++) {
    for (const peri_shell *shell = plan->buffers[i]->shells; shell != NULL; shell = shell->next, number++) {
      if (&shell->tensor == x) return number;
    }
  }
  return -1;
}

typedef struct pair {
  const peri_plan *a, *b;
} pair;

static bool same_tensor(const pair *p, const peri_tensor *x, const peri_tensor *y) {
  if (x == NULL || y == NULL) return x == y;
  return number_of(p->a, x) == number_of(p->b, y);
}

static bool alike_arguments(const pair *p, const peri_op *op, const peri_arg *x, const peri_arg *y, int n) {
  for (int i = 0; i < n; i++, x++, y++) {
    const peri_kind kind = op->params[i].kind;
    if (x->given != y->given || x->count != y->count || x->word != y->word || x->integer != y->integer ||
        memcmp(&x->number, &y->number, sizeof x->number) != 0 || x->tensors != NULL || y->tensors != NULL)
      return false;
    if (!same_tensor(p, x->tensor, y->tensor)) return false;
    if (peri_is_sizes(kind) && memcmp(x->sizes, y->sizes, (size_t)x->count * sizeof *x->sizes) != 0) return false;
    if (x->text != NULL || y->text != NULL || kind == PERI_KIND_INTEGERS || kind == PERI_KIND_AXES) return false;
  }
  return true;
}

static bool alike_calls(const pair *p, const peri_call *x, const peri_call *y) {
  if (x == NULL || y == NULL) return x == y;
  if (x->op != y->op || x->in_place != y->in_place || x->dtype != y->dtype || x->output_count != y->output_count ||
      x->workspace_bytes != y->workspace_bytes || memcmp(x->note, y->note, sizeof x->note) != 0)
    return false;
  for (int i = 0; i < x->output_count; i++) {
    if (!same_tensor(p, x->outputs[i].tensor, y->outputs[i].tensor)) return false;
  }
  return alike_arguments(p, x->op, x->args, y->args, peri_op_params(x->op));
}

static bool alike_gradients(const pair *p, const peri_whole_gradient *x, const peri_whole_gradient *y) {
  if (x == NULL || y == NULL) return x == y;
  const peri_backward *a = &x->B, *b = &y->B;
  if (a->op != b->op || a->edges != b->edges || x->supplied != y->supplied ||
      memcmp(a->note, b->note, PERI_MAX_NOTES * sizeof *a->note) != 0 ||
      memcmp(a->needs, b->needs, (size_t)a->edges * sizeof *a->needs) != 0)
    return false;
  for (int i = 0; i < x->supplied; i++) {
    if (!same_tensor(p, x->supply[i], y->supply[i])) return false;
  }
  for (int i = 0; i < a->op->outputs; i++) {
    if (!same_tensor(p, a->outputs[i], b->outputs[i]) || !same_tensor(p, a->grad_outputs[i], b->grad_outputs[i]))
      return false;
  }
  return alike_arguments(p, a->op, a->args, b->args, peri_op_params(a->op));
}

static const peri_tensor *tensor_of(const peri_shell *shell) { return shell == NULL ? NULL : &shell->tensor; }

static int leaf_number(const peri_plan *plan, const peri_tensor *leaf) {
  for (int i = 0; i < plan->leaves_n; i++) {
    if (plan->leaves[i].leaf == leaf) return i;
  }
  return -1;
}

static bool alike_acts(const pair *p, const peri_act *x, const peri_act *y) {
  const peri_optimizer *a = peri_optimizer_of_act(x), *b = peri_optimizer_of_act(y);
  if (a != NULL && b != NULL) return a != b && peri_optimizers_alike(a, b);
  if (x->apart && y->apart) return x->run == y->run && x->object != y->object;
  return a == b && x->zeroed != NULL && y->zeroed != NULL &&
         leaf_number(p->a, x->zeroed) == leaf_number(p->b, y->zeroed);
}

static bool alike_actions(const pair *p, const peri_action *x, const peri_action *y) {
  if (x->kind != y->kind || x->kind == PERI_ACTION_JOINED || x->early != y->early || x->shielded != y->shielded ||
      x->writes != y->writes || x->run != y->run || x->part != y->part || x->since != y->since ||
      x->direct != y->direct)
    return false;
  if (x->kind == PERI_ACTION_ACT) return alike_acts(p, &x->act, &y->act);
  for (int i = 0; x->kind == PERI_ACTION_PART && i < x->tensors_n; i++) {
    if (!same_tensor(p, x->tensors[i], y->tensors[i])) return false;
  }
  if (x->kind == PERI_ACTION_PART &&
      (x->tensors_n != y->tensors_n || x->note_bytes != y->note_bytes || memcmp(x->note, y->note, x->note_bytes) != 0))
    return false;
  return alike_calls(p, x->call, y->call) && alike_gradients(p, x->gradient, y->gradient) &&
         same_tensor(p, tensor_of(x->target), tensor_of(y->target)) &&
         same_tensor(p, tensor_of(x->source), tensor_of(y->source));
}

bool peri_plans_alike(const peri_plan *a, const peri_plan *b) {
  const pair p = {a, b};
  if (a->buffers_n != b->buffers_n || a->actions_n != b->actions_n || a->arguments_n != b->arguments_n ||
      a->results_n != b->results_n || a->leaves_n != b->leaves_n || a->block_bytes != b->block_bytes)
    return false;
  for (int i = 0; i < a->arguments_n; i++) {
    if (!peri_same_place(&a->arguments[i], &b->arguments[i])) return false;
  }
  for (int i = 0; i < a->buffers_n; i++) {
    if (!alike_buffers(a->buffers[i], b->buffers[i])) return false;
  }
  for (int i = 0; i < a->results_n; i++) {
    if (!same_tensor(&p, tensor_of(a->results[i]), tensor_of(b->results[i]))) return false;
  }
  for (int i = 0; i < a->actions_n; i++) {
    if (!alike_actions(&p, &a->actions[i], &b->actions[i])) return false;
  }
  return true;
}
