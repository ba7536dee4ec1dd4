/* Optimisers as objects: their life, their groups, and the step. */
#include "optim/optim.h"

#include "base/memory.h"
#include "kernels/kernels.h"
#include "nn/parameter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The parameters of a step, one behind the other, are cut into pieces of this many values; each value is updated by
 * itself, so that the bits do not depend on the cut. To measure: ./dev bench mnist. */
#define PIECE 32768

/* ---- what a group may be made of ---- */

/* "parameter 2", and of a later group "parameter 2 of group 3". */
#define NAME_TEXT 64
static const char *name_parameter(int64_t group, int64_t i, char *text) {
  if (group == 0)
    snprintf(text, NAME_TEXT, "parameter %lld", (long long)i + 1);
  else
    snprintf(text, NAME_TEXT, "parameter %lld of group %lld", (long long)i + 1, (long long)group + 1);
  return text;
}

static peri_status check_parameter(peri_context *context, const char *operation, const char *name,
                                   const peri_tensor *p) {
  if (peri_tensor_context(p) != context)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s belongs to another context", operation, name);
  if (p->node != NULL) {
    return peri_fail(context, PERI_ERR_ARGUMENT,
                     "%s: %s was computed while recording (expected a leaf; see nn.Parameter)", operation, name);
  }
  if (!peri_is_float(p->layout.dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is %s (expected float32 or float64)", operation, name,
                     peri_dtype_name(p->layout.dtype));
  }
  if (p->contiguous) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s is not contiguous (nn.Parameter makes one that is)", operation,
                   name);
}

/* The tensor must not stand before place i of the list, nor in the n slots of earlier groups. */
static peri_status check_twice(const peri_optimizer *optimizer, int64_t group, const peri_optimizer_part *part,
                               int64_t i) {
  char a[NAME_TEXT], b[NAME_TEXT];
  for (int64_t j = 0; j < i; j++) {
    if (part->parameters[i] != part->parameters[j]) continue;
    const char *of = group == 0 ? "" : strstr(name_parameter(group, i, a), " of ");
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: parameters %lld and %lld%s are the same tensor",
                     optimizer->kind->name, (long long)j + 1, (long long)i + 1, of);
  }
  for (int64_t g = 0; g < optimizer->groups_n; g++) {
    for (int64_t j = 0; j < optimizer->groups[g].n; j++) {
      if (part->parameters[i] != optimizer->slots[optimizer->groups[g].first + j].parameter) continue;
      return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: %s is %s%s too (expected each in one group)",
                       optimizer->kind->name, name_parameter(group, i, a), name_parameter(g, j, b),
                       g == 0 ? " of group 1" : "");
    }
  }
  return PERI_OK;
}

static peri_status check_part(const peri_optimizer *optimizer, const peri_optimizer_part *part) {
  const peri_optimizer_kind *kind = optimizer->kind;
  const char *problem = kind->check != NULL ? kind->check(part->options) : NULL;
  char name[NAME_TEXT];
  if (problem != NULL) return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: %s", kind->name, problem);
  if (part->n == 0 && optimizer->groups_n == 0)
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: the list of parameters is empty", kind->name);
  if (part->n == 0) {
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: the list of parameters of group %lld is empty",
                     kind->name, (long long)optimizer->groups_n + 1);
  }
  for (int64_t i = 0; i < part->n; i++) {
    PERI_TRY(check_parameter(optimizer->context, kind->name, name_parameter(optimizer->groups_n, i, name),
                             part->parameters[i]));
    PERI_TRY(check_twice(optimizer, optimizer->groups_n, part, i));
  }
  return PERI_OK;
}

/* ---- making ---- */

static peri_status make_buffers(const peri_optimizer *optimizer, const double *options, peri_optimizer_slot *slot) {
  const peri_optimizer_kind *kind = optimizer->kind;
  peri_layout layout;
  peri_layout_set(&layout, slot->parameter->layout.dtype, slot->parameter->layout.ndim, slot->parameter->layout.shape);
  for (int b = 0; kind->buffers[b] != NULL; b++) {
    if (kind->uses != NULL && !kind->uses(options, b)) continue;
    PERI_TRY(peri_tensor_full(optimizer->context, &layout, 0, &slot->buffers[b]));
  }
  return PERI_OK;
}

static void release_slots(peri_optimizer_slot *slots, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    peri_tensor_release(&slots[i].parameter);
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) peri_tensor_release(&slots[i].buffers[b]);
  }
}

/* A block of `bytes` that begins with a copy of `old`. */
static peri_status grown(peri_context *context, const void *old, size_t old_bytes, size_t bytes, void **out) {
  PERI_TRY(peri_alloc(context, bytes, out));
  if (old_bytes > 0) memcpy(*out, old, old_bytes);
  memset((char *)*out + old_bytes, 0, bytes - old_bytes);
  return PERI_OK;
}

static size_t slot_bytes(int64_t n) { return (size_t)n * sizeof(peri_optimizer_slot); }
static size_t group_bytes(int64_t n) { return (size_t)n * sizeof(peri_optimizer_group); }

static void free_arrays(peri_context *context, peri_optimizer_slot *slots, int64_t n, peri_optimizer_group *groups,
                        int64_t groups_n) {
  if (slots != NULL) peri_free(context, slots, slot_bytes(n));
  if (groups != NULL) peri_free(context, groups, group_bytes(groups_n));
}

peri_status peri_optimizer_add_group(peri_optimizer *optimizer, const peri_optimizer_part *part) {
  const int64_t n = optimizer->n, groups_n = optimizer->groups_n;
  void *slots = NULL, *groups = NULL;
  PERI_TRY(check_part(optimizer, part));
  peri_status status = grown(optimizer->context, optimizer->slots, slot_bytes(n), slot_bytes(n + part->n), &slots);
  if (status == PERI_OK)
    status = grown(optimizer->context, optimizer->groups, group_bytes(groups_n), group_bytes(groups_n + 1), &groups);
  peri_optimizer_slot *added = status == PERI_OK ? (peri_optimizer_slot *)slots + n : NULL;
  for (int64_t i = 0; status == PERI_OK && i < part->n; i++) {
    added[i].parameter = peri_tensor_retain(part->parameters[i]);
    status = make_buffers(optimizer, part->options, &added[i]);
  }
  if (status != PERI_OK) {
    if (added != NULL) release_slots(added, part->n);
    free_arrays(optimizer->context, slots, n + part->n, groups, groups_n + 1);
    return status;
  }
  free_arrays(optimizer->context, optimizer->slots, n, optimizer->groups, groups_n);
  optimizer->slots = slots;
  optimizer->groups = groups;
  peri_optimizer_group *group = &optimizer->groups[groups_n];
  *group = (peri_optimizer_group){.initial = NAN, .first = n, .n = part->n};
  memcpy(group->options, part->options, (size_t)peri_option_count(optimizer->kind->options) * sizeof(double));
  optimizer->n += part->n;
  optimizer->groups_n++;
  return PERI_OK;
}

static bool requires_grad(const peri_optimizer *optimizer) {
  for (int64_t i = 0; i < optimizer->n; i++) {
    if (optimizer->slots[i].parameter->requires_grad) return true;
  }
  return false;
}

peri_status peri_optimizer_new(peri_context *context, const peri_optimizer_kind *kind, int64_t groups_n,
                               const peri_optimizer_part *groups, peri_optimizer **out) {
  void *block;
  *out = NULL;
  PERI_TRY(peri_alloc(context, sizeof(peri_optimizer), &block));
  peri_optimizer *optimizer = block;
  *optimizer = (peri_optimizer){.references = 1, .context = context, .kind = kind};
  peri_context_retain(context);
  peri_status status = PERI_OK;
  for (int64_t g = 0; status == PERI_OK && g < groups_n; g++) status = peri_optimizer_add_group(optimizer, &groups[g]);
  if (status == PERI_OK && !requires_grad(optimizer))
    status = peri_fail(context, PERI_ERR_ARGUMENT, "%s: no parameter requires grad", kind->name);
  if (status != PERI_OK) peri_optimizer_release(&optimizer);
  *out = optimizer;
  return status;
}

peri_optimizer *peri_optimizer_retain(peri_optimizer *optimizer) {
  optimizer->references++;
  return optimizer;
}

void peri_optimizer_release(peri_optimizer **optimizer) {
  peri_optimizer *own = *optimizer;
  *optimizer = NULL;
  if (own == NULL || --own->references > 0) return;
  peri_context *context = own->context;
  release_slots(own->slots, own->n);
  free_arrays(context, own->slots, own->n, own->groups, own->groups_n);
  peri_free(context, own, sizeof *own);
  peri_context_drop(context);
}

/* ---- options ---- */

int peri_optimizer_option(const peri_optimizer_kind *kind, const char *name) {
  int at = 0;
  for (const peri_option *option = kind->options; option->name != NULL; at += peri_option_values(option++)) {
    if (strcmp(option->name, name) == 0) return at;
  }
  return -1;
}

peri_status peri_optimizer_check_options(const peri_optimizer *optimizer, int64_t group, const double *options,
                                         const char *operation) {
  const peri_optimizer_kind *kind = optimizer->kind;
  const peri_optimizer_slot *slot = &optimizer->slots[optimizer->groups[group].first];
  const char *problem = kind->check != NULL ? kind->check(options) : NULL;
  if (problem != NULL) return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: %s", operation, problem);
  for (int b = 0; kind->buffers[b] != NULL; b++) {
    if (slot->buffers[b] != NULL || (kind->uses != NULL && !kind->uses(options, b))) continue;
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT,
                     "%s: the options there need a %s, and this optimizer has none (make one with these options)",
                     operation, kind->buffers[b]);
  }
  return PERI_OK;
}

void peri_optimizer_set_rate(peri_optimizer *optimizer, int64_t group, double rate) {
  optimizer->groups[group].options[0] = rate;
  optimizer->groups[group].initial = NAN;
}

/* ---- the step ---- */

static int64_t group_of(const peri_optimizer *optimizer, int64_t slot) {
  int64_t g = 0;
  while (slot >= optimizer->groups[g].first + optimizer->groups[g].n) g++;
  return g;
}

static peri_status refuse_gradient(const peri_optimizer *optimizer, int64_t i) {
  const peri_layout *p = &optimizer->slots[i].parameter->layout;
  const peri_tensor *g = optimizer->slots[i].parameter->grad;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT], name[NAME_TEXT];
  const int64_t group = group_of(optimizer, i);
  return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: the gradient of %s is %s of %s (expected %s of %s)",
                   optimizer->kind->name, name_parameter(group, i - optimizer->groups[group].first, name),
                   peri_dtype_name(g->layout.dtype), peri_shape_text(g->layout.ndim, g->layout.shape, a),
                   peri_dtype_name(p->dtype), peri_shape_text(p->ndim, p->shape, b));
}

static inline peri_status check_gradient(const peri_optimizer *optimizer, int64_t i) {
  const peri_tensor *p = optimizer->slots[i].parameter, *g = p->grad;
  const bool fits = g == NULL || (g->layout.dtype == p->layout.dtype && peri_same_shape(&g->layout, &p->layout));
  return fits ? PERI_OK : refuse_gradient(optimizer, i);
}

peri_status peri_optimizer_check_gradients(const peri_optimizer *optimizer) {
  peri_status status = peri_check_cancel(optimizer->context);
  for (int64_t i = 0; status == PERI_OK && i < optimizer->n; i++) status = check_gradient(optimizer, i);
  return status;
}

static peri_status take_gradient(const peri_optimizer *optimizer, int64_t i) {
  peri_optimizer_slot *slot = &optimizer->slots[i];
  slot->gradient = NULL;
  if (slot->parameter->grad == NULL) return PERI_OK;
  PERI_TRY(check_gradient(optimizer, i));
  PERI_TRY(peri_tensor_check_write(slot->parameter, optimizer->kind->name, "a parameter"));
  if (!slot->parameter->grad->contiguous) return peri_tensor_contiguous(slot->parameter->grad, &slot->gradient);
  PERI_TRY(peri_tensor_check_read(slot->parameter->grad, "copy", "a tensor"));
  slot->gradient = slot->parameter->grad;
  return PERI_OK;
}

/* A gradient that lay side by side was the parameter's own. */
static void let_gradient(peri_optimizer_slot *slot) {
  if (slot->gradient != slot->parameter->grad) peri_tensor_release(&slot->gradient);
  slot->gradient = NULL;
}

/* Parameters one behind the other that share the loop of the step and its numbers: those of a group that have taken
 * equally many steps. Between them may stand some without a gradient. */
typedef struct stretch {
  peri_optimizer_slot *slots;
  int64_t n, total; /* slots, and values of those with a gradient */
  const peri_update *loops;
  double coefficients[PERI_UPDATE_COEFFICIENTS];
} stretch;

static inline void update_part(const stretch *s, const peri_optimizer_slot *slot, int64_t first, int64_t n) {
  const peri_tensor *p = slot->parameter;
  const size_t offset = (size_t)first * peri_dtype_size(p->layout.dtype);
  void *buffers[PERI_UPDATE_BUFFERS];
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++)
    buffers[b] = slot->buffers[b] == NULL ? NULL : slot->buffers[b]->data + offset;
  s->loops[p->layout.dtype == PERI_FLOAT64](n, p->data + offset, slot->gradient->data + offset, buffers,
                                            s->coefficients);
}

/* The last slot that begins at or before a value. */
static int64_t slot_at(const stretch *s, int64_t value) {
  int64_t low = 0, high = s->n;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (s->slots[middle].before <= value)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static void update_piece(void *arg, int64_t piece) {
  const stretch *s = arg;
  const int64_t from = piece * PIECE, to = peri_min(s->total, from + PIECE);
  for (int64_t i = slot_at(s, from); i < s->n && s->slots[i].before < to; i++) {
    const peri_optimizer_slot *slot = &s->slots[i];
    if (slot->gradient == NULL) continue;
    const int64_t first = peri_max(from - slot->before, 0);
    const int64_t n = peri_min(to - slot->before, slot->parameter->layout.numel) - first;
    if (n > 0) update_part(s, slot, first, n);
  }
}

static void update_stretch(peri_context *context, stretch *s) {
  if (s->total <= PIECE) {
    for (int64_t i = 0; i < s->n; i++) {
      if (s->slots[i].gradient != NULL) update_part(s, &s->slots[i], 0, s->slots[i].parameter->layout.numel);
    }
  } else {
    peri_parallel(context, (s->total + PIECE - 1) / PIECE, update_piece, s);
  }
  for (int64_t i = 0; i < s->n; i++) {
    if (s->slots[i].gradient != NULL) s->slots[i].parameter->storage->version++;
  }
}

/* From slot i on as many as belong together; counts their steps. */
static int64_t gather(const peri_optimizer *optimizer, const peri_optimizer_group *group, int64_t i, stretch *s) {
  const int64_t end = group->first + group->n;
  int64_t t = -1;
  double before = 0, after = 0;
  *s = (stretch){.slots = &optimizer->slots[i]};
  for (; i < end; i++, s->n++) {
    peri_optimizer_slot *slot = &optimizer->slots[i];
    slot->before = s->total;
    if (slot->gradient == NULL) continue;
    if (t < 0) {
      t = slot->steps;
      before = after = slot->number;
      const peri_update_id id = optimizer->kind->prepare(group->options, t + 1, &after, s->coefficients);
      s->loops = optimizer->context->kernels->update->update[id];
    } else if (slot->steps != t || slot->number != before) {
      break;
    }
    slot->steps++;
    slot->number = after;
    s->total += slot->parameter->layout.numel;
  }
  return i;
}

static peri_status make_step(peri_optimizer *optimizer) {
  peri_context *context = peri_context_here(optimizer->context);
  peri_status status = peri_check_cancel(context);
  int64_t taken = 0;
  for (; status == PERI_OK && taken < optimizer->n; taken++) status = take_gradient(optimizer, taken);
  if (status == PERI_OK) {
    const bool shielded = context->shielded;
    stretch s;
    context->shielded = true;
    for (int64_t g = 0; g < optimizer->groups_n; g++) {
      const peri_optimizer_group *group = &optimizer->groups[g];
      for (int64_t i = group->first; i < group->first + group->n;) {
        i = gather(optimizer, group, i, &s);
        update_stretch(context, &s);
      }
    }
    context->shielded = shielded;
  }
  for (int64_t i = 0; i < taken; i++) let_gradient(&optimizer->slots[i]);
  return status;
}

/* ---- replays ---- */

static peri_status step_again(void *optimizer) { return make_step(optimizer); }
static void release_again(void *optimizer) { peri_optimizer_release(&(peri_optimizer *){optimizer}); }

peri_status peri_optimizer_step(peri_optimizer *optimizer) {
  peri_recorder *r = optimizer->context->recorder;
  peri_status status = make_step(optimizer);
  if (r == NULL) return status;
  if (status != PERI_OK) peri_refuse_recorder(r, "%s failed", optimizer->kind->name);
  for (int64_t i = 0; i < optimizer->n; i++) r->admit(r, optimizer->slots[i].parameter);
  r->act(r, &(peri_act){optimizer->kind->name, step_again, release_again, peri_optimizer_retain(optimizer), NULL});
  return status;
}

peri_optimizer *peri_optimizer_of_act(const peri_act *act) { return act->run == step_again ? act->object : NULL; }

void peri_optimizer_zero_grad(peri_optimizer *optimizer) {
  for (int64_t i = 0; i < optimizer->n; i++) peri_parameter_zero_grad(optimizer->slots[i].parameter);
}
