/* Optimisers as objects: their life, and the step. */
#include "optim/optim.h"

#include "base/memory.h"
#include "kernels/kernels.h"
#include "nn/parameter.h"

/* Parameters of more values are cut into pieces of this many; each value is updated by itself, so
 * that the bits do not depend on the cut. To measure: ./dev bench mnist. */
#define PIECE 32768

/* ---- making ---- */

static peri_status check_parameter(peri_context *context, const char *operation, int64_t i, const peri_tensor *p) {
  long long number = (long long)i + 1;
  if (peri_tensor_context(p) != context)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: parameter %lld belongs to another context", operation, number);
  if (p->node != NULL) {
    return peri_fail(context, PERI_ERR_ARGUMENT,
                     "%s: parameter %lld was computed while recording (expected a leaf; see nn.Parameter)", operation,
                     number);
  }
  if (!peri_is_float(p->layout.dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: parameter %lld is %s (expected float32 or float64)", operation,
                     number, peri_dtype_name(p->layout.dtype));
  }
  if (p->contiguous) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: parameter %lld is not contiguous (nn.Parameter makes one that is)",
                   operation, number);
}

static peri_status check_arguments(peri_context *context, const peri_optimizer_kind *kind, const double *options,
                                   int64_t n, peri_tensor *const *parameters) {
  const char *problem = kind->check != NULL ? kind->check(options) : NULL;
  bool any = false;
  if (problem != NULL) return peri_fail(context, PERI_ERR_ARGUMENT, "%s: %s", kind->name, problem);
  if (n == 0) return peri_fail(context, PERI_ERR_ARGUMENT, "%s: the list of parameters is empty", kind->name);
  for (int64_t i = 0; i < n; i++) {
    PERI_TRY(check_parameter(context, kind->name, i, parameters[i]));
    any |= parameters[i]->requires_grad;
  }
  return any ? PERI_OK : peri_fail(context, PERI_ERR_ARGUMENT, "%s: no parameter requires grad", kind->name);
}

static peri_status check_twice(peri_context *context, const char *operation, int64_t n,
                               peri_tensor *const *parameters) {
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < i; j++) {
      if (parameters[i] != parameters[j]) continue;
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: parameters %lld and %lld are the same tensor", operation,
                       (long long)j + 1, (long long)i + 1);
    }
  }
  return PERI_OK;
}

static peri_status make_buffers(const peri_optimizer *optimizer, peri_optimizer_slot *slot) {
  const peri_optimizer_kind *kind = optimizer->kind;
  peri_layout layout;
  peri_layout_set(&layout, slot->parameter->layout.dtype, slot->parameter->layout.ndim, slot->parameter->layout.shape);
  for (int b = 0; kind->buffers[b] != NULL; b++) {
    if (kind->uses != NULL && !kind->uses(optimizer->options, b)) continue;
    PERI_TRY(peri_tensor_full(optimizer->context, &layout, 0, &slot->buffers[b]));
  }
  return PERI_OK;
}

static size_t optimizer_bytes(int64_t n) { return sizeof(peri_optimizer) + (size_t)n * sizeof(peri_optimizer_slot); }

peri_status peri_optimizer_new(peri_context *context, const peri_optimizer_kind *kind, const double *options, int64_t n,
                               peri_tensor *const *parameters, peri_optimizer **out) {
  void *block;
  *out = NULL;
  PERI_TRY(check_arguments(context, kind, options, n, parameters));
  PERI_TRY(check_twice(context, kind->name, n, parameters));
  PERI_TRY(peri_alloc(context, optimizer_bytes(n), &block));
  memset(block, 0, optimizer_bytes(n));
  peri_optimizer *optimizer = block;
  *optimizer = (peri_optimizer){.references = 1, .context = context, .kind = kind, .n = n};
  peri_context_retain(context);
  for (int i = peri_option_count(kind->options) - 1; i >= 0; i--) optimizer->options[i] = options[i];
  peri_status status = PERI_OK;
  for (int64_t i = 0; status == PERI_OK && i < n; i++) {
    optimizer->slots[i].parameter = peri_tensor_retain(parameters[i]);
    status = make_buffers(optimizer, &optimizer->slots[i]);
  }
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
  for (int64_t i = 0; i < own->n; i++) {
    peri_tensor_release(&own->slots[i].parameter);
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) peri_tensor_release(&own->slots[i].buffers[b]);
  }
  peri_free(context, own, optimizer_bytes(own->n));
  peri_context_drop(context);
}

/* ---- the step ---- */

static peri_status take_gradient(const peri_optimizer *optimizer, int64_t i, peri_optimizer_slot *slot) {
  const peri_layout *p = &slot->parameter->layout;
  peri_tensor *g = slot->parameter->grad;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  slot->gradient = NULL;
  if (g == NULL) return PERI_OK;
  if (g->layout.dtype != p->dtype || !peri_same_shape(&g->layout, p)) {
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT,
                     "%s: the gradient of parameter %lld is %s of %s (expected %s of %s)", optimizer->kind->name,
                     (long long)i + 1, peri_dtype_name(g->layout.dtype),
                     peri_shape_text(g->layout.ndim, g->layout.shape, a), peri_dtype_name(p->dtype),
                     peri_shape_text(p->ndim, p->shape, b));
  }
  return peri_tensor_contiguous(g, &slot->gradient);
}

typedef struct job {
  const peri_optimizer_slot *slot;
  peri_update update;
  const double *coefficients;
  int64_t n;
  size_t size;
} job;

static void update_piece(void *arg, int64_t piece) {
  const job *j = arg;
  int64_t first = piece * PIECE, count = peri_min(j->n - first, PIECE);
  size_t offset = (size_t)first * j->size;
  void *buffers[PERI_UPDATE_BUFFERS];
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++)
    buffers[b] = j->slot->buffers[b] == NULL ? NULL : j->slot->buffers[b]->data + offset;
  j->update(count, j->slot->parameter->data + offset, j->slot->gradient->data + offset, buffers, j->coefficients);
}

/* Parameters that have taken equally many steps share the numbers of the step. */
typedef struct stage {
  int64_t t;
  peri_update_id id;
  double coefficients[PERI_UPDATE_COEFFICIENTS];
} stage;

static void update_slot(peri_optimizer *optimizer, peri_optimizer_slot *slot, stage *s) {
  peri_tensor *p = slot->parameter;
  slot->steps++;
  if (s->t != slot->steps) {
    s->t = slot->steps;
    s->id = optimizer->kind->prepare(optimizer->options, s->t, s->coefficients);
  }
  job j = {.slot = slot,
           .update = optimizer->context->kernels->update->update[s->id][p->layout.dtype == PERI_FLOAT64],
           .coefficients = s->coefficients,
           .n = p->layout.numel,
           .size = peri_dtype_size(p->layout.dtype)};
  if (j.n <= PIECE) {
    update_piece(&j, 0);
  } else {
    peri_parallel(optimizer->context, (j.n + PIECE - 1) / PIECE, update_piece, &j);
  }
  p->storage->version++;
}

peri_status peri_optimizer_step(peri_optimizer *optimizer) {
  peri_context *context = optimizer->context;
  peri_status status = peri_check_cancel(context);
  int64_t taken = 0;
  for (; status == PERI_OK && taken < optimizer->n; taken++)
    status = take_gradient(optimizer, taken, &optimizer->slots[taken]);
  if (status == PERI_OK) {
    stage s = {.t = 0};
    bool shielded = context->shielded;
    context->shielded = true;
    for (int64_t i = 0; i < optimizer->n; i++) {
      if (optimizer->slots[i].gradient != NULL) update_slot(optimizer, &optimizer->slots[i], &s);
    }
    context->shielded = shielded;
  }
  for (int64_t i = 0; i < taken; i++) peri_tensor_release(&optimizer->slots[i].gradient);
  return status;
}

void peri_optimizer_zero_grad(peri_optimizer *optimizer) {
  for (int64_t i = 0; i < optimizer->n; i++) peri_parameter_zero_grad(optimizer->slots[i].parameter);
}
