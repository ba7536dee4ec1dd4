/* Which steps are joined: runs of elementwise ones over equally many elements, which then go block by block (joined.c),
 * so that a value is read while it is in the cache, and one that no other step reads is never there as a whole.
 *
 * A step may join a run that it does not follow at once, over steps that have nothing to do with it, if nobody can see
 * that it came early: it writes to nothing that outlives the plan. Bits are those of the steps one by one, as an
 * elementwise loop gives the same bits wherever an element lies. */
#include "plan/parts.h"

#include "kernels/kernels.h"

#include <limits.h>

#define LEAST     PERI_LANES_MOST    /* elements: what has fewer stays in a cache anyway, or runs in lanes */
#define FEW       1024               /* elements of what may be computed early, for a run to go on behind it */
#define PASSED    32                 /* steps that a run goes over */
#define LONGEST   64                 /* steps of a run */
#define UNSTOPPED ((int64_t)1 << 26) /* elements that nothing stops, of all steps together: some 50 ms */

typedef struct access {
  peri_buffer *buffer;
  const peri_shell *shell; /* NULL: all of it */
  bool writes;
} access;

/* What each step touches. */
typedef struct survey {
  peri_plan *plan;
  access *accesses;
  int accesses_n, accesses_room;
  int *from; /* by action: its first access; and the end of all */
  bool failed;
} survey;

static void add(survey *s, peri_buffer *buffer, const peri_shell *shell, bool writes) {
  if (!peri_plan_grow(s->plan, (void **)&s->accesses, s->accesses_n, &s->accesses_room, sizeof *s->accesses)) {
    s->failed = true;
    return;
  }
  s->accesses[s->accesses_n++] = (access){buffer, shell, writes};
}

static void add_tensor(survey *s, const peri_tensor *x, bool writes) {
  const peri_shell *shell = (const peri_shell *)x;
  if (x != NULL) add(s, shell->buffer, shell, writes);
}

static void add_arguments(survey *s, const peri_op *op, const peri_arg *args, bool first, bool all) {
  for (int i = 0; i < peri_op_params(op); i++) {
    add_tensor(s, args[i].tensor, all || (first && i == 0));
    for (int k = 0; args[i].tensors != NULL && k < args[i].count; k++) add_tensor(s, args[i].tensors[k], all);
  }
}

static void add_gradient(survey *s, const peri_whole_gradient *g) {
  add_arguments(s, g->B.op, g->B.args, false, false);
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) add_tensor(s, g->B.outputs[i], false);
  for (int i = 0; i < g->B.op->outputs; i++) add_tensor(s, g->B.grad_outputs[i], false);
  for (int i = 0; i < g->supplied; i++) add_tensor(s, g->supply[i], true);
  for (int i = 0; i < g->B.edges; i++) {
    if (g->made[i] != NULL) add(s, g->made[i], NULL, true);
  }
}

static void add_action(survey *s, const peri_action *action) {
  const bool calls = action->kind == PERI_ACTION_CALL || action->kind == PERI_ACTION_PLAIN;
  if (action->call != NULL) {
    add_arguments(s, action->call->op, action->call->args, action->writes, calls && action->call->op->commit != NULL);
    for (int i = 0; calls && i < action->call->output_count; i++) add_tensor(s, action->call->outputs[i].tensor, true);
  }
  if (action->gradient != NULL) add_gradient(s, action->gradient);
  for (int i = 0; i < action->tensors_n; i++) add_tensor(s, action->tensors[i], i == 0);
  if (action->kind == PERI_ACTION_SET || action->kind == PERI_ACTION_COPY || action->kind == PERI_ACTION_STOP) {
    add_tensor(s, action->source == NULL ? NULL : &action->source->tensor, action->kind == PERI_ACTION_SET);
    add_tensor(s, action->target == NULL ? NULL : &action->target->tensor, true);
  }
}

/* ---- single steps ---- */

static bool is_uniform(const peri_tensor *x) {
  if (x->layout.numel == 1) return true;
  for (int d = 0; d < x->layout.ndim; d++) {
    if (x->layout.shape[d] > 1 && x->layout.strides[d] != 0) return false;
  }
  return true;
}

/* Whether the tensor is an operand that a step over n elements may have: all of them in order, or one for all. */
static bool is_operand(const peri_tensor *x, int64_t n) {
  return x->layout.numel == n ? x->contiguous || is_uniform(x) : x->layout.numel == 1;
}

/* Of one dtype, with as many elements as the output; bools may stand beside. */
static bool has_operands(const peri_call *call) {
  const peri_tensor *y = call->outputs[0].tensor;
  const peri_tensor *one = NULL;
  bool along = false;
  for (int i = 0; i < peri_op_params(call->op); i++) {
    const peri_arg *arg = &call->args[i];
    const peri_tensor *x = arg->tensor;
    if (arg->tensors != NULL || (x != NULL && !is_operand(x, y->layout.numel))) return false;
    if (x == NULL) continue;
    along |= !is_uniform(x);
    if (call->op->params[i].bools) continue;
    if (one != NULL && one->layout.dtype != x->layout.dtype) return false;
    one = x;
  }
  const peri_dtype dtype = y->layout.dtype;
  return along && (one == NULL || one->layout.dtype == dtype || dtype == PERI_BOOL);
}

static bool joins_call(const peri_action *action) {
  const peri_call *call = action->call;
  const peri_op *op = call->op;
  const peri_tensor *y = call->outputs[0].tensor;
  return (op->flags & PERI_OP_JOINS) && action->run == op->run && op->commit == NULL && !action->infers &&
         !action->early && action->note == NULL && action->workspace == NULL && call->output_count == 1 && y != NULL &&
         y->contiguous && has_operands(call);
}

static bool joins_part(const peri_action *action) {
  const peri_tensor *y = action->tensors[0];
  bool along = false;
  for (int i = 1; i < action->tensors_n; i++) {
    const peri_tensor *x = action->tensors[i];
    if (!is_operand(x, y->layout.numel) || x->layout.dtype != y->layout.dtype) return false;
    along |= !is_uniform(x);
  }
  return along && y->contiguous;
}

/* How many elements the step is over; 0: it joins nothing. */
static int64_t elements_of(const peri_action *action) {
  const peri_tensor *y = NULL;
  if (action->shielded) return 0;
  switch (action->kind) {
  case PERI_ACTION_CALL:
  case PERI_ACTION_PLAIN:
    if (joins_call(action)) y = action->call->outputs[0].tensor;
    break;
  case PERI_ACTION_PART:
    if (joins_part(action)) y = action->tensors[0];
    break;
  case PERI_ACTION_COPY:
    y = &action->target->tensor;
    if (!y->contiguous || !is_operand(&action->source->tensor, y->layout.numel)) y = NULL;
    break;
  default:
    break;
  }
  return y == NULL || y->layout.numel <= LEAST ? 0 : y->layout.numel;
}

/* What it touches is not known in full, or it ends the step. */
static bool is_barrier(const peri_action *action) {
  return action->kind == PERI_ACTION_ACT || action->kind == PERI_ACTION_STOP || action->shielded;
}

/* Whether somebody outside the plan can see what it has done. */
static bool is_visible(const survey *s, int i) {
  for (int k = s->from[i]; k < s->from[i + 1]; k++) {
    if (s->accesses[k].writes && s->accesses[k].buffer->place != PERI_PLAN_INSIDE) return true;
  }
  return false;
}

/* Whether it computes a few numbers, without another effect, so that it may be made earlier. */
static bool is_small(const survey *s, int i) {
  const peri_action *action = &s->plan->actions[i];
  const bool calls = action->kind == PERI_ACTION_CALL || action->kind == PERI_ACTION_PLAIN;
  if ((!calls && action->kind != PERI_ACTION_PART) || action->writes || action->infers || is_visible(s, i))
    return false;
  if (calls && ((action->call->op->flags & PERI_OP_RANDOM) || action->call->op->commit != NULL)) return false;
  for (int k = s->from[i]; k < s->from[i + 1]; k++) {
    if (s->accesses[k].writes && s->accesses[k].shell->tensor.layout.numel > FEW) return false;
  }
  return true;
}

/* ---- runs ---- */

/* The list of steps that is made. */
typedef struct order {
  int n;
  peri_action *actions;
  int *origin; /* by action: where it, or the first of its run, stood */
  bool *taken, *early;
} order;

typedef struct run {
  int64_t numel;
  bool writes;
  int n, steps[LONGEST];
  int passed_n, passed[PASSED];
} run;

/* One writes to what the other touches. */
static bool meet(const survey *s, int a, int b) {
  for (int k = s->from[a]; k < s->from[a + 1]; k++) {
    const access *x = &s->accesses[k];
    for (int l = s->from[b]; l < s->from[b + 1]; l++) {
      const access *y = &s->accesses[l];
      if (x->buffer == y->buffer && (x->writes || y->writes)) return true;
    }
  }
  return false;
}

static bool meets_any(const survey *s, int n, const int *steps, int i) {
  for (int k = 0; k < n; k++) {
    if (meet(s, steps[k], i)) return true;
  }
  return false;
}

/* Whether what one writes the other finds in its own block, or nowhere: an element in the same place, or no byte in
 * common. */
static bool keeps_places(const access *x, const access *y) {
  const peri_tensor *a = &x->shell->tensor, *b = &y->shell->tensor;
  const int64_t size = (int64_t)peri_dtype_size(a->layout.dtype), other = (int64_t)peri_dtype_size(b->layout.dtype);
  if (!is_uniform(a) && !is_uniform(b) && x->shell->offset == y->shell->offset && size == other) return true;
  const int64_t end = x->shell->offset + (is_uniform(a) ? 1 : a->layout.numel) * size;
  const int64_t other_end = y->shell->offset + (is_uniform(b) ? 1 : b->layout.numel) * other;
  return end <= y->shell->offset || other_end <= x->shell->offset;
}

static bool goes_with(const survey *s, int a, int b, bool *shares) {
  for (int k = s->from[a]; k < s->from[a + 1]; k++) {
    const access *x = &s->accesses[k];
    for (int l = s->from[b]; l < s->from[b + 1]; l++) {
      const access *y = &s->accesses[l];
      if (x->buffer != y->buffer) continue;
      *shares |= !is_uniform(&x->shell->tensor) && !is_uniform(&y->shell->tensor);
      if ((x->writes || y->writes) && !keeps_places(x, y)) return false;
    }
  }
  return true;
}

/* What a step writes to outside: a tensor that was there before, which no memory that a host has lent can be. */
static bool writes_well(const survey *s, int i) {
  for (int k = s->from[i]; k < s->from[i + 1]; k++) {
    const access *x = &s->accesses[k];
    if (!x->writes || x->buffer->place == PERI_PLAN_INSIDE) continue;
    if (x->buffer->place != PERI_PLAN_OUTSIDE || s->plan->borrows || s->plan->borrowed) return false;
  }
  return true;
}

static bool joins(const survey *s, const run *r, int i) {
  bool shares = false;
  const bool visible = is_visible(s, i);
  if (r->n == LONGEST || elements_of(&s->plan->actions[i]) != r->numel) return false;
  if (visible && (r->passed_n > 0 || !writes_well(s, i))) return false;
  if ((visible || r->writes) && r->numel * (r->n + 1) > UNSTOPPED) return false;
  for (int k = 0; k < r->n; k++) {
    if (!goes_with(s, r->steps[k], i, &shares)) return false;
  }
  if (meets_any(s, r->passed_n, r->passed, i)) return false;
  return shares || r->passed_n == 0;
}

/* The run that begins with step `first`, over at most so many others; o->early: steps that are made before it. */
static void collect(const survey *s, int first, int most, order *o, run *r) {
  const peri_plan *plan = s->plan;
  memset(o->early, 0, (size_t)plan->actions_n * sizeof *o->early);
  *r = (run){.numel = elements_of(&plan->actions[first]), .n = 1, .steps = {first}};
  r->writes = is_visible(s, first);
  if (r->writes && (!writes_well(s, first) || r->numel > UNSTOPPED)) return;
  for (int i = first + 1; i < plan->actions_n; i++) {
    if (o->taken[i]) continue;
    if (is_barrier(&plan->actions[i])) return;
    if (joins(s, r, i)) {
      r->writes |= is_visible(s, i);
      r->steps[r->n++] = i;
      continue;
    }
    o->early[i] = most > 0 && !r->writes && is_small(s, i) && !meets_any(s, r->n, r->steps, i) &&
                  !meets_any(s, r->passed_n, r->passed, i);
    if (o->early[i]) continue;
    if (r->passed_n == most) return;
    r->passed[r->passed_n++] = i;
  }
}

/* ---- the joined step ---- */

static int add_operand(peri_joined *joined, const access *x) {
  int k = 0;
  while (k < joined->operands_n && joined->operands[k].shell != x->shell) k++;
  if (k == joined->operands_n)
    joined->operands[joined->operands_n++] = (peri_joined_operand){x->shell, is_uniform(&x->shell->tensor), -1};
  return k;
}

/* Whether only these steps mention the buffer, which is then never there as a whole; the first and the last of them. */
static bool is_local(const survey *s, const run *r, const peri_buffer *buffer, int *first, int *last) {
  int mentions = 0;
  *first = *last = -1;
  if (buffer->place != PERI_PLAN_INSIDE || buffer->fresh) return false;
  for (int i = 0; i < r->n; i++) {
    for (int k = s->from[r->steps[i]]; k < s->from[r->steps[i] + 1]; k++) {
      const access *x = &s->accesses[k];
      if (x->buffer != buffer) continue;
      if (x->shell->offset != 0 || is_uniform(&x->shell->tensor)) return false;
      mentions++;
      if (*first < 0) *first = i;
      *last = i;
    }
  }
  return mentions == buffer->mentions;
}

/* Slots for the values that are there a block at a time, each the lowest that is free while it lives. */
static void give_slots(const survey *s, const run *r, peri_joined *joined) {
  int until[LONGEST]; /* by slot: the last step that needs it */
  for (int k = 0; k < joined->operands_n; k++) {
    const peri_shell *shell = joined->operands[k].shell;
    int first, last, slot = 0;
    if (joined->operands[k].slot >= 0 || !is_local(s, r, shell->buffer, &first, &last)) continue;
    while (slot < joined->slots && until[slot] >= first) slot++;
    if (slot == LONGEST) continue;
    joined->slots = (int)peri_max(joined->slots, slot + 1);
    until[slot] = last;
    shell->buffer->in_blocks = true;
    for (int l = 0; l < joined->operands_n; l++) {
      if (joined->operands[l].shell->buffer == shell->buffer) joined->operands[l].slot = slot;
    }
    joined->slot_bytes =
        peri_max(joined->slot_bytes, PERI_JOINED_BLOCK * (int64_t)peri_dtype_size(shell->tensor.layout.dtype));
  }
}

/* Bytes that go through memory: each tensor once, and of what is there in blocks none. */
static int64_t bytes_of(const peri_joined *joined) {
  int64_t bytes = 0;
  for (int k = 0; k < joined->operands_n; k++) {
    const peri_joined_operand *operand = &joined->operands[k];
    const peri_layout *layout = &operand->shell->tensor.layout;
    if (operand->slot < 0) bytes += (operand->uniform ? 1 : layout->numel) * (int64_t)peri_dtype_size(layout->dtype);
  }
  return bytes;
}

static bool make_joined(const survey *s, const run *r, peri_action *action) {
  peri_plan *plan = s->plan;
  int operands = 0;
  for (int i = 0; i < r->n; i++) operands += s->from[r->steps[i] + 1] - s->from[r->steps[i]];
  peri_joined *joined = peri_plan_room(plan, sizeof *joined);
  if (joined == NULL) return false;
  joined->operands = peri_plan_room(plan, (size_t)operands * sizeof *joined->operands);
  joined->steps = peri_plan_room(plan, (size_t)r->n * sizeof *joined->steps);
  if (joined->operands == NULL || joined->steps == NULL) return false;
  joined->numel = r->numel;
  joined->n = r->n;
  joined->writes = r->writes;
  for (int i = 0; i < r->n; i++) {
    joined->steps[i] = plan->actions[r->steps[i]];
    for (int k = s->from[r->steps[i]]; k < s->from[r->steps[i] + 1]; k++) add_operand(joined, &s->accesses[k]);
  }
  give_slots(s, r, joined);
  *action = (peri_action){.kind = PERI_ACTION_JOINED, .name = joined->steps[0].name, .joined = joined};
  action->bytes = bytes_of(joined);
  return true;
}

/* ---- the list of steps ---- */

static void emit(const survey *s, order *o, int i) {
  o->taken[i] = true;
  o->origin[o->n] = i;
  o->actions[o->n++] = s->plan->actions[i];
}

/* The list of steps with runs in the places of their first steps. */
static bool arrange(const survey *s, order *o, int most) {
  const int n = s->plan->actions_n;
  run r;
  o->n = 0;
  memset(o->taken, 0, (size_t)n * sizeof *o->taken);
  for (int i = 0; i < n; i++) {
    if (o->taken[i]) continue;
    r.n = 0;
    if (elements_of(&s->plan->actions[i]) > 0) collect(s, i, most, o, &r);
    if (r.n < 2) {
      emit(s, o, i);
      continue;
    }
    for (int k = i; k < r.steps[r.n - 1]; k++) {
      if (o->early[k]) emit(s, o, k);
    }
    for (int k = 0; k < r.n; k++) o->taken[r.steps[k]] = true;
    o->origin[o->n] = i;
    if (!make_joined(s, &r, &o->actions[o->n++])) return false;
  }
  return true;
}

/* A step, by its number with those of joined ones counted, and the place in the list. */
typedef struct moment {
  int step, place;
} moment;

static void live(peri_buffer *buffer, moment at) {
  buffer->first = (int)peri_min(buffer->first, at.step);
  buffer->last = (int)peri_max(buffer->last, at.step);
  buffer->from = (int)peri_min(buffer->from, at.place);
  buffer->to = (int)peri_max(buffer->to, at.place);
}

static void live_through(survey *s, const peri_action *action, moment at, bool joined) {
  s->accesses_n = 0;
  add_action(s, action);
  for (int k = 0; k < s->accesses_n; k++) {
    const access *x = &s->accesses[k];
    live(x->buffer, at);
    x->buffer->even &=
        !joined ||
        (!is_uniform(&x->shell->tensor) && x->shell->offset == 0 &&
         x->shell->tensor.layout.numel * (int64_t)peri_dtype_size(x->shell->tensor.layout.dtype) == x->buffer->bytes);
  }
  if (action->workspace != NULL) live(action->workspace, at);
}

static int steps_of(const peri_action *action) { return action->joined == NULL ? 1 : action->joined->n; }

/* When each buffer is made, and read last, in the new list. */
static bool find_lives(peri_plan *plan, const order *o) {
  survey s = {.plan = plan};
  moment at = {0, 0};
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    buffer->first = buffer->from = INT_MAX;
    buffer->last = buffer->to = -1;
    buffer->even = true;
  }
  for (; at.place < o->n; at.place++) {
    const peri_action *action = &o->actions[at.place];
    for (int k = 0; k < steps_of(action); k++, at.step++)
      live_through(&s, action->joined == NULL ? action : &action->joined->steps[k], at, action->joined != NULL);
    moment made = at;
    while (action->kind == PERI_ACTION_SET && action->direct && made.place-- > 0) { /* it lives from its maker on */
      const peri_action *maker = &o->actions[made.place];
      made.step -= steps_of(maker);
      if (maker->call != NULL && maker->call->outputs[0].tensor == &action->target->tensor) {
        made.step--; /* `at` is behind the action */
        live(action->source->buffer, made);
        break;
      }
    }
  }
  if (s.accesses != NULL) peri_free(plan->context, s.accesses, (size_t)s.accesses_room * sizeof *s.accesses);
  return !s.failed;
}

/* Behind how many actions of the new list all that stood before place `since` is done. */
static int since_in(const order *o, int since) {
  int behind = 0;
  for (int i = 0; i < o->n; i++) {
    if (o->origin[i] < since) behind = i + 1;
  }
  return behind;
}

static void take(peri_plan *plan, const order *o) {
  for (int i = 0; i < o->n; i++) {
    peri_action *action = &o->actions[i];
    if (action->kind == PERI_ACTION_SET) action->since = since_in(o, action->since);
    plan->stands_apart |= action->kind == PERI_ACTION_JOINED && action->joined->writes;
  }
  memcpy(plan->actions, o->actions, (size_t)o->n * sizeof *plan->actions);
  plan->actions_n = o->n;
  for (int i = 0; i < o->n; i++) {
    if (o->actions[i].joined != NULL && peri_joined_open(plan->context, o->actions[i].joined) != PERI_OK)
      peri_plan_no_memory(plan);
  }
}

typedef struct life {
  int first, last;
} life;

static void set_lives(peri_plan *plan, const life *lives) {
  for (int i = 0; i < plan->buffers_n; i++) {
    plan->buffers[i]->first = lives[i].first;
    plan->buffers[i]->last = lives[i].last;
    plan->buffers[i]->from = lives[i].first;
    plan->buffers[i]->to = lives[i].last;
    plan->buffers[i]->in_blocks = false;
  }
}

/* Runs that go over other steps, else of neighbours alone: such as need no larger block than the steps one by one. */
static bool find_order(const survey *s, order *o, const life *lives) {
  static const int most[] = {PASSED, 0};
  peri_plan *plan = s->plan;
  const int64_t block = plan->block_bytes;
  for (size_t k = 0; k < PERI_COUNT(most); k++) {
    if (!arrange(s, o, most[k]) || o->n == plan->actions_n) break;
    if (!find_lives(plan, o) || !peri_plan_lay_out(plan)) break;
    if (plan->block_bytes <= block) return true;
    set_lives(plan, lives);
  }
  set_lives(plan, lives);
  peri_plan_lay_out(plan);
  return false;
}

static bool survey_plan(survey *s) {
  const peri_plan *plan = s->plan;
  for (int i = 0; i < plan->actions_n && !s->failed; i++) {
    s->from[i] = s->accesses_n;
    add_action(s, &plan->actions[i]);
  }
  s->from[plan->actions_n] = s->accesses_n;
  return !s->failed;
}

/* Memory for the work, in one piece. */
static size_t carve(order *o, survey *s, life **lives, char *memory) {
  const size_t n = (size_t)s->plan->actions_n + 1, buffers = (size_t)s->plan->buffers_n;
  const size_t actions = n * sizeof *o->actions, numbers = n * sizeof(int), all = buffers * sizeof **lives;
  if (memory != NULL) {
    o->actions = (void *)memory;
    *lives = (void *)(memory + actions);
    o->origin = (void *)(memory + actions + all);
    s->from = o->origin + n;
    o->taken = (void *)(memory + actions + all + 2 * numbers);
    o->early = o->taken + n;
  }
  return actions + all + 2 * numbers + 2 * n * sizeof(bool);
}

void peri_plan_join(peri_plan *plan) {
  survey s = {.plan = plan};
  order o = {0};
  life *lives = NULL;
  void *memory;
  int candidates = 0;
  for (int i = 0; i < plan->buffers_n; i++) {
    plan->buffers[i]->from = plan->buffers[i]->first;
    plan->buffers[i]->to = plan->buffers[i]->last;
  }
  if (!peri_plan_lay_out(plan)) return;
  for (int i = 0; i < plan->actions_n; i++) candidates += elements_of(&plan->actions[i]) > 0;
  if (candidates < 2) return;
  const size_t bytes = carve(&o, &s, &lives, NULL);
  if (peri_alloc(plan->context, bytes, &memory) != PERI_OK) {
    peri_plan_no_memory(plan);
    return;
  }
  carve(&o, &s, &lives, memory);
  for (int i = 0; i < plan->buffers_n; i++) lives[i] = (life){plan->buffers[i]->first, plan->buffers[i]->last};
  if (survey_plan(&s) && find_order(&s, &o, lives)) take(plan, &o);
  if (s.accesses != NULL) peri_free(plan->context, s.accesses, (size_t)s.accesses_room * sizeof *s.accesses);
  peri_free(plan->context, memory, bytes);
}
