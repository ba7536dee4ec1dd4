/* Recording. */
#include "plan/parts.h"

#include "base/memory.h"
#include "ops/node.h"
#include "ops/rows.h"

#include <stdlib.h>

/* ---- memory ---- */

#define CHUNK ((size_t)1 << 13)

static void *no_memory(peri_plan *plan) {
  peri_refuse_recorder(&plan->recorder, "memory is short");
  return NULL;
}

void *peri_plan_room(peri_plan *plan, size_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  if (bytes == 0) bytes = 64;
  if (bytes > plan->left) {
    const size_t header = 64, all = header + (bytes > CHUNK ? bytes : CHUNK);
    void *block;
    if (peri_alloc(plan->context, all, &block) != PERI_OK) return no_memory(plan);
    peri_plan_chunk *chunk = block;
    *chunk = (peri_plan_chunk){plan->chunks, all};
    plan->chunks = chunk;
    plan->free = (char *)block + header;
    plan->left = all - header;
  }
  void *room = memset(plan->free, 0, bytes);
  plan->free += bytes;
  plan->left -= bytes;
  return room;
}

/* Room for one element more in a list; false, and refused, where memory is short. */
static bool grow(peri_plan *plan, void **list, int n, int *room, size_t size) {
  if (n < *room) return true;
  const int more = *room == 0 ? 16 : 2 * *room;
  void *larger;
  if (peri_alloc_array(plan->context, (size_t)more, size, &larger) != PERI_OK) return no_memory(plan) != NULL;
  if (n > 0) memcpy(larger, *list, (size_t)n * size);
  if (*list != NULL) peri_free(plan->context, *list, (size_t)*room * size);
  *list = larger;
  *room = more;
  return true;
}
#define GROW(plan, list)                                                                                               \
  grow(plan, (void **)&(plan)->list, (plan)->list##_n, &(plan)->list##_room, sizeof *(plan)->list)

static peri_plan *plan_of(peri_recorder *r) { return (peri_plan *)r; }
static bool is_refused(const peri_plan *plan) { return plan->recorder.refused[0] != '\0'; }

/* ---- buffers ---- */

static peri_buffer *add_buffer(peri_plan *plan, peri_plan_place place) {
  peri_buffer *buffer = peri_plan_room(plan, sizeof *buffer);
  if (buffer == NULL || !GROW(plan, buffers)) return NULL;
  buffer->place = place;
  buffer->first = plan->actions_n;
  plan->buffers[plan->buffers_n++] = buffer;
  return buffer;
}

/* What was made since the recording began is found by its number. */
static bool is_new(const peri_plan *plan, const peri_storage *storage) { return storage->number > plan->first; }

static int *number_of(peri_plan *plan, const peri_storage *storage) {
  const int at = (int)(storage->number - plan->first - 1);
  while (plan->numbers_n <= at) {
    if (!grow(plan, (void **)&plan->by_number, plan->numbers_n, &plan->numbers_room, sizeof *plan->by_number))
      return NULL;
    plan->by_number[plan->numbers_n++] = 0;
  }
  return &plan->by_number[at];
}

static peri_buffer *known_buffer(peri_plan *plan, const peri_storage *storage) {
  if (is_new(plan, storage)) {
    const int *number = number_of(plan, storage);
    return number == NULL || *number == 0 ? NULL : plan->buffers[*number - 1];
  }
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (buffer->at == storage) return buffer;
  }
  return NULL;
}

static peri_buffer *new_buffer(peri_plan *plan, peri_tensor *x, peri_plan_place place) {
  int *number = number_of(plan, x->storage);
  peri_buffer *buffer = number == NULL ? NULL : add_buffer(plan, place);
  if (buffer == NULL) return NULL;
  *number_of(plan, x->storage) = plan->buffers_n;
  buffer->bytes = x->layout.numel * (int64_t)peri_dtype_size(x->layout.dtype);
  buffer->storage = (peri_storage){.references = 1, .context = plan->context};
  buffer->last = buffer->first;
  return buffer;
}

static peri_buffer *outside_buffer(peri_plan *plan, peri_tensor *x) {
  peri_tensor *held;
  if (peri_tensor_detach(x, &held) != PERI_OK) return no_memory(plan);
  peri_buffer *buffer = add_buffer(plan, PERI_PLAN_OUTSIDE);
  if (buffer == NULL) {
    peri_tensor_release(&held);
    return NULL;
  }
  buffer->held = held;
  buffer->at = x->storage;
  plan->borrows |= x->storage->lent;
  return buffer;
}

static peri_buffer *buffer_of(peri_plan *plan, peri_tensor *x) {
  peri_buffer *buffer = known_buffer(plan, x->storage);
  if (buffer == NULL && !is_new(plan, x->storage)) buffer = outside_buffer(plan, x);
  if (buffer == NULL || buffer->place == PERI_PLAN_LOST) {
    peri_refuse_recorder(&plan->recorder, "a tensor is made in it of what the script holds, and not by an operation");
    return NULL;
  }
  return buffer;
}

/* ---- shells ---- */

static const char *base_of(const peri_buffer *buffer, const peri_tensor *x) {
  return buffer->place == PERI_PLAN_ARGUMENT ? buffer->base : x->storage->data;
}

peri_shell *peri_plan_shell(peri_plan *plan, const peri_tensor *x) {
  peri_buffer *buffer = buffer_of(plan, (peri_tensor *)(uintptr_t)x);
  if (buffer == NULL) return NULL;
  buffer->last = plan->actions_n;
  buffer->mentions++;
  const ptrdiff_t offset = x->data - base_of(buffer, x);
  for (peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    if (shell->offset == offset && peri_same_place(&shell->tensor.layout, &x->layout)) return shell;
  }
  peri_shell *shell = peri_plan_room(plan, sizeof *shell);
  if (shell == NULL) return NULL;
  shell->offset = offset;
  shell->tensor.references = 1;
  shell->tensor.layout = x->layout;
  shell->tensor.contiguous = x->contiguous;
  shell->tensor.storage = buffer->place == PERI_PLAN_OUTSIDE || buffer->place == PERI_PLAN_CONSTANT
                              ? buffer->held->storage
                              : &buffer->storage;
  shell->tensor.data = x->data;
  shell->next = buffer->shells;
  buffer->shells = shell;
  return shell;
}

void peri_shells_move(peri_buffer *buffer, peri_storage *storage, char *base) {
  for (peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    shell->tensor.storage = storage;
    shell->tensor.data = base + shell->offset;
  }
}

/* ---- calls ---- */

static peri_action *add_action(peri_plan *plan, peri_action_kind kind, const char *name) {
  if (is_refused(plan) || !GROW(plan, actions)) return NULL;
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

/* Whether infer may have read values of a tensor that is parameter i: of whole numbers and bools it always may. */
static bool reads_tensor(const peri_op *op, int i, const peri_tensor *x) {
  return x != NULL && !op->params[i].shape_only && (op->params[i].reads || !peri_is_float(x->layout.dtype));
}

static bool reads_values(const peri_call *call) {
  bool reads = false;
  for (int i = 0; i < peri_op_params(call->op); i++) {
    const peri_arg *arg = &call->args[i];
    reads |= reads_tensor(call->op, i, arg->tensor);
    for (int j = 0; arg->tensors != NULL && j < arg->count; j++) reads |= reads_tensor(call->op, i, arg->tensors[j]);
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
         (!is_new(plan, y->storage) || known_buffer(plan, y->storage) != NULL);
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
  peri_buffer *buffer = known_buffer(plan, target->storage);
  if (buffer != NULL) buffer->written = true;
}

/* A row that has made its output itself, of the elements of its argument: into a buffer, by a copy. */
static void record_copy(peri_plan *plan, const peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_action *action = add_action(plan, PERI_ACTION_COPY, call->op->name);
  if (action == NULL) return;
  action->source = peri_plan_shell(plan, call->args[0].tensor);
  if (new_buffer(plan, y, PERI_PLAN_INSIDE) == NULL) return;
  action->target = peri_plan_shell(plan, y);
  action->bytes = bytes_of(y) + bytes_of(call->args[0].tensor);
  plan->actions_n += action->source != NULL && action->target != NULL;
}

static void record_call(peri_recorder *r, const peri_call *call, const peri_stream *before, const int64_t *note) {
  peri_plan *plan = plan_of(r);
  record_stream(plan, call, before);
  if (call->op->flags & PERI_OP_LATE) peri_refuse_recorder(r, "what %s gives has a shape by values", call->op->name);
  if (is_refused(plan) || goes_again(plan) || (!writes(call) && gives_views(plan, call))) return;
  if ((call->op->flags & PERI_OP_ALLOCATES) && !writes(call)) {
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
    if (is_new(plan, y->storage) && known_buffer(plan, y->storage) == NULL) new_buffer(plan, y, PERI_PLAN_INSIDE);
    own->outputs[i].tensor = in_plan(plan, y, action);
    action->counts |= y->layout.numel >= 32768; /* below, no product keeps a packed form */
  }
  if (action->writes) {
    peri_buffer *buffer = known_buffer(plan, call->args[0].tensor->storage);
    if (buffer != NULL) buffer->written = true;
    if (buffer != NULL && buffer->place == PERI_PLAN_CONSTANT)
      peri_refuse_recorder(r, "%s_ writes to a constant of a formula", call->op->name);
  }
  for (int i = 0; call->op->commit != NULL && i < peri_op_params(call->op); i++) { /* it may write to any */
    peri_buffer *buffer = call->args[i].tensor == NULL ? NULL : known_buffer(plan, call->args[i].tensor->storage);
    if (buffer != NULL) buffer->writes = true;
  }
  if (own != NULL && own->workspace_bytes > 0) {
    action->workspace = add_buffer(plan, PERI_PLAN_INSIDE);
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
  if (new_buffer(plan, part->tensors[0], PERI_PLAN_INSIDE) == NULL) return;
  tensors[0] = in_plan(plan, part->tensors[0], action);
  action->counts = part->tensors[0]->layout.numel >= 32768;
  plan->actions_n++;
}

static void record_constant(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (is_refused(plan) || goes_again(plan)) return;
  peri_buffer *buffer = new_buffer(plan, x, PERI_PLAN_CONSTANT);
  if (buffer != NULL) buffer->held = peri_tensor_retain(x);
}

/* ---- gradients that are made as a whole ---- */

/* A formula may let go of what it was given before it ends. */
static void drop_supply(peri_plan *plan) {
  while (plan->supply_n > 0) peri_tensor_release(&plan->supply[--plan->supply_n]);
}

static void begin_gradient(peri_recorder *r) {
  peri_plan *plan = plan_of(r);
  drop_supply(plan);
  plan->within = true;
  plan->whole = false;
  plan->mark = plan->actions_n;
  plan->mark_buffers = plan->buffers_n;
}

static void record_made(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (!plan->within) {
    peri_refuse_recorder(r, "a formula computes something without an operation");
  } else if (!is_refused(plan) && GROW(plan, supply)) {
    plan->supply[plan->supply_n++] = peri_tensor_retain(x);
    plan->whole = true;
  }
}

/* What is known already is a view of it, or has come from an operation, or from peri_formula_new. */
static void record_owned(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (!is_new(plan, x->storage) || known_buffer(plan, x->storage) != NULL) return;
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
  if (is_refused(plan)) return;
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
    new_buffer(plan, plan->supply[i], PERI_PLAN_INSIDE);
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
  if (is_refused(plan)) return;
  copy_supply(plan, g, action);
  for (int i = 0; i < given->edges; i++) {
    peri_tensor *answer = given->answers[i];
    if (answer == NULL || !given->needs[i]) continue;
    peri_buffer *buffer = is_new(plan, answer->storage) ? known_buffer(plan, answer->storage) : NULL;
    if (buffer != NULL && buffer->place != PERI_PLAN_LOST) continue;
    if (buffer == NULL && is_new(plan, answer->storage)) buffer = new_buffer(plan, answer, PERI_PLAN_MADE);
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
  if (plan->whole && !is_refused(plan)) keep_whole(r, given);
  drop_supply(plan);
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
  if (is_refused(plan) || !GROW(plan, leaves)) return;
  plan->leaves[plan->leaves_n++] = (peri_leaf){peri_tensor_retain(leaf), leaf->grad, leaf->requires_grad};
}

static void admit(peri_recorder *r, peri_tensor *x) {
  peri_plan *plan = plan_of(r);
  if (is_refused(plan) || is_new(plan, x->storage)) return;
  peri_buffer *buffer = buffer_of(plan, x);
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
  if (is_refused(plan) || !GROW(plan, guards)) {
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

/* ---- beginning and end ---- */

static void add_arguments(peri_plan *plan, int n, peri_tensor *const *arguments) {
  plan->arguments = peri_plan_room(plan, (size_t)n * sizeof *plan->arguments);
  plan->argument_buffers = peri_plan_room(plan, (size_t)n * sizeof *plan->argument_buffers);
  plan->arguments_n = n;
  for (int i = 0; i < n && !is_refused(plan); i++) {
    plan->arguments[i] = arguments[i]->layout;
    if (arguments[i]->requires_grad || arguments[i]->node != NULL)
      peri_refuse_recorder(&plan->recorder, "argument %d requires grad", i + 1);
    if (known_buffer(plan, arguments[i]->storage) != NULL)
      peri_refuse_recorder(&plan->recorder, "argument %d shares memory with another", i + 1);
    peri_buffer *buffer = add_buffer(plan, PERI_PLAN_ARGUMENT);
    if (buffer == NULL) return;
    buffer->argument = i;
    buffer->admitted = true;
    buffer->at = arguments[i]->storage;
    buffer->base = arguments[i]->data;
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
  plan->recorder = (peri_recorder){.call = record_call,
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
  if (is_refused(plan)) return PERI_OK;
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
  for (int i = 0; i < n && !is_refused(plan); i++) {
    if (results[i]->node != NULL && !peri_node_of(results[i])->freed)
      peri_refuse_recorder(&plan->recorder, "a result is part of a graph (call backward in the step, or detach it)");
    plan->results[i] = peri_plan_shell(plan, results[i]);
    peri_buffer *buffer = known_buffer(plan, results[i]->storage);
    if (buffer == NULL) continue;
    buffer->last = plan->actions_n;
    buffer->fresh = buffer->place == PERI_PLAN_INSIDE;
  }
}

/* Where lives do not meet, bytes are shared: the largest first, each at the lowest place that is free while it lives.
 */
static bool meet(const peri_buffer *a, const peri_buffer *b) { return a->first <= b->last && b->first <= a->last; }

static int by_size(const void *a, const void *b) {
  const peri_buffer *x = *(peri_buffer *const *)a, *y = *(peri_buffer *const *)b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->first - y->first;
}

static void place_buffer(peri_buffer *const *placed, int n, peri_buffer *buffer) {
  int64_t at = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < n; i++) {
      const peri_buffer *other = placed[i];
      if (!meet(other, buffer) || at >= other->offset + other->bytes || other->offset >= at + buffer->bytes) continue;
      at = other->offset + other->bytes;
      moved = true;
    }
  }
  buffer->offset = at;
}

static void share_block(peri_plan *plan) {
  void *block;
  int n = 0;
  if (peri_alloc_array(plan->context, (size_t)plan->buffers_n + 1, sizeof(peri_buffer *), &block) != PERI_OK) {
    no_memory(plan);
    return;
  }
  peri_buffer **list = block;
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (buffer->place != PERI_PLAN_INSIDE || buffer->fresh) continue;
    buffer->bytes = (buffer->bytes + 63) / 64 * 64;
    list[n++] = buffer;
  }
  qsort(list, (size_t)n, sizeof *list, by_size);
  for (int i = 0; i < n; i++) {
    place_buffer(list, i, list[i]);
    plan->block_bytes = peri_max(plan->block_bytes, list[i]->offset + list[i]->bytes);
  }
  void *shared = NULL;
  if (plan->block_bytes > 0 && peri_alloc(plan->context, (size_t)plan->block_bytes, &shared) != PERI_OK)
    no_memory(plan);
  plan->block = shared;
  for (int i = 0; i < n && shared != NULL; i++) {
    list[i]->storage.data = plan->block + list[i]->offset;
    peri_shells_move(list[i], &list[i]->storage, list[i]->storage.data);
  }
  peri_free(plan->context, block, ((size_t)plan->buffers_n + 1) * sizeof(peri_buffer *));
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
      early = early && (!reads_tensor(op, k, arg->tensor) || is_known_early(plan, arg->tensor));
      for (int j = 0; arg->tensors != NULL && j < arg->count; j++)
        early = early && (!reads_tensor(op, k, arg->tensors[j]) || is_known_early(plan, arg->tensors[j]));
    }
    if (early && action->writes) early = false;
    action->early = early;
    if (early && action->kind == PERI_ACTION_CALL) action->infers = false;
    if (!early && (op->flags & PERI_OP_COUNTS))
      peri_refuse_recorder(&plan->recorder, "what %s computes follows from values that the step computes", op->name);
  }
}

/* ---- gradients that become zeros ---- */

#define FEW 8192 /* numbers; more are added by the team */

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

/* Zeros that are written only to be added to are left out: the first addition writes 0 + x, or whoever makes x does. */
static void join_zeros(peri_plan *plan) {
  int kept = 0;
  for (int i = 0; i < plan->actions_n; i++) {
    peri_action *action = &plan->actions[i];
    const peri_tensor *leaf = action->kind == PERI_ACTION_ACT ? action->act.zeroed : NULL;
    peri_action *addition = leaf == NULL ? NULL : first_addition(plan, leaf, i);
    peri_action *maker = addition == NULL ? NULL : maker_of(plan, addition, i);
    if (maker != NULL || (addition != NULL && leaf->layout.numel <= FEW)) {
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

void peri_plan_end(peri_plan *plan, int n, peri_tensor *const *results) {
  stop_recording(plan);
  if (plan->stream.seed != plan->context->stream.seed || plan->stream.block != plan->context->stream.block)
    peri_refuse_recorder(&plan->recorder, "the default stream is set, or drawn from outside operations");
  if (plan->grad_mode != plan->context->grad_mode)
    peri_refuse_recorder(&plan->recorder, "it leaves recording of gradients on or off");
  if (is_refused(plan)) return;
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
  if (is_refused(plan)) return;
  find_early_checks(plan);
  if (is_refused(plan)) return;
  share_block(plan);
  for (int i = 0; i < plan->actions_n && plan->block != NULL; i++) {
    peri_action *action = &plan->actions[i];
    if (action->workspace != NULL) action->call->workspace = plan->block + action->workspace->offset;
  }
  join_zeros(plan);
}

const char *peri_plan_refused(const peri_plan *plan, bool *passing) {
  if (passing != NULL) *passing = plan->recorder.passing;
  return is_refused(plan) ? plan->recorder.refused : NULL;
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
    if (plan->actions[i].kind == PERI_ACTION_ACT) plan->actions[i].act.release(plan->actions[i].act.object);
  }
  for (int i = 0; i < plan->guards_n; i++) plan->guards[i].release(plan->guards[i].note);
  for (int i = 0; i < plan->leaves_n; i++) peri_tensor_release(&plan->leaves[i].leaf);
  FREE_LIST(plan, buffers);
  FREE_LIST(plan, actions);
  FREE_LIST(plan, guards);
  FREE_LIST(plan, leaves);
  drop_supply(plan);
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
