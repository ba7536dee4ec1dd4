/* NaN and infinities: who made them. */
#include "ops/anomaly.h"

#include <math.h>
#include <stdio.h>

/* ---- looking ---- */

enum { SEEN_NAN = 1, SEEN_INFINITY = 2 };

typedef struct looking {
  peri_dtype dtype;
  atomic_int seen;
} looking;

static void look_at_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  looking *look = arg;
  int seen = 0;
  for (int64_t i = 0; i < n; i++) {
    const char *element = data[0] + i * strides[0];
    double value = look->dtype == PERI_FLOAT32 ? (double)*(const float *)(const void *)element
                                               : *(const double *)(const void *)element;
    if (!isfinite(value)) seen |= isnan(value) ? SEEN_NAN : SEEN_INFINITY;
  }
  if (seen != 0) atomic_fetch_or_explicit(&look->seen, seen, memory_order_relaxed);
}

const char *peri_anomaly_of(const peri_tensor *x) {
  static const char *const words[] = {NULL, "nan", "inf", "nan and inf"};
  if (!peri_is_float(x->layout.dtype) || x->layout.numel == 0) return NULL;
  looking look = {.dtype = x->layout.dtype};
  peri_iterator iterator;
  peri_iterator_open(&iterator, x->layout.ndim, x->layout.shape, 1, (const peri_view *[]){&x->view});
  (void)peri_iterate(peri_tensor_context(x), &iterator, look_at_row, &look); /* what is cancelled fails elsewhere */
  return words[atomic_load_explicit(&look.seen, memory_order_relaxed)];
}

bool peri_anomaly_free(const peri_call *call) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    const peri_arg *arg = &call->args[i];
    if (arg->tensor != NULL && peri_anomaly_of(arg->tensor) != NULL) return false;
    if (arg->given && !isfinite(arg->number)) return false;
    for (int j = 0; arg->tensors != NULL && j < arg->count; j++) {
      if (peri_anomaly_of(arg->tensors[j]) != NULL) return false;
    }
  }
  return true;
}

/* ---- saying so ---- */

#define ROOM 512

/* "x float32 3x4, y float32 4": the tensors among the arguments. */
static const char *operands_text(const peri_call *call, char text[ROOM]) {
  size_t used = 0;
  char shape[PERI_SHAPE_TEXT];
  text[0] = '\0';
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL && used < ROOM; i++) {
    const peri_tensor *x = call->args[i].tensor;
    if (x == NULL) continue;
    int written = snprintf(text + used, ROOM - used, "%s%s is %s %s", used > 0 ? ", " : "", call->op->params[i].name,
                           peri_dtype_name(x->layout.dtype), peri_shape_text(x->layout.ndim, x->layout.shape, shape));
    used += written > 0 ? (size_t)written : 0;
  }
  return text;
}

peri_status peri_anomaly_check_results(const peri_call *call) {
  char place[PERI_MESSAGE_SIZE / 4] = "", operands[ROOM];
  for (int i = 0; i < call->output_count; i++) {
    const peri_tensor *y = call->outputs[i].tensor;
    const char *found = y != NULL ? peri_anomaly_of(y) : NULL;
    if (found == NULL) continue;
    if (call->context->where != NULL) call->context->where(call->context->where_user, place, sizeof place);
    const char *layer = strstr(place, ", in "); /* the line stands in front of the message as it is */
    return peri_call_fail(call, PERI_ERR_NUMERIC, "the result has %s%s, and the arguments are finite (%s)", found,
                          layer != NULL ? layer : "", operands_text(call, operands));
  }
  return PERI_OK;
}

static const char *recorded_text(const peri_node *node, char text[ROOM]) {
  text[0] = '\0';
  if (node->where != NULL) snprintf(text, ROOM, ", recorded at %s", node->where);
  return text;
}

peri_status peri_anomaly_check_arrived(const peri_node *node, const char *operation) {
  char place[ROOM];
  for (int i = 0; i < node->output_count; i++) {
    const char *found = node->incoming[i] != NULL ? peri_anomaly_of(node->incoming[i]) : NULL;
    if (found == NULL) continue;
    return peri_fail(peri_tensor_context(node->incoming[i]), PERI_ERR_NUMERIC,
                     "%s: the gradient that reached the result of %s has %s%s", operation, peri_node_name(node), found,
                     recorded_text(node, place));
  }
  return PERI_OK;
}

/* "x", or "tensors[2]" of a list: what edge `edge` of a node is. */
static const char *edge_text(const peri_node *node, int edge, char text[64]) {
  int before = 0; /* a list has as many edges as the rest leaves it; rows have one at most in front of single tensors */
  for (int i = 0; i < node->params; i++) {
    bool list = node->op->params[i].kind == PERI_KIND_TENSORS;
    int here = list ? node->args[i].count : 1;
    if (edge < before + here) {
      if (!list) return node->op->params[i].name;
      snprintf(text, 64, "%s[%d]", node->op->params[i].name, edge - before + 1);
      return text;
    }
    before += here;
  }
  return "an input";
}

peri_status peri_anomaly_check_answers(const peri_node *node, peri_tensor *const *answers, const char *operation) {
  char place[ROOM], shape[PERI_SHAPE_TEXT], name[64];
  for (int i = 0; i < node->edges; i++) {
    const char *found = answers[i] != NULL ? peri_anomaly_of(answers[i]) : NULL;
    if (found == NULL) continue;
    const peri_layout *input = &node->edge[i].layout;
    return peri_fail(peri_tensor_context(answers[i]), PERI_ERR_NUMERIC,
                     "%s: the gradient of %s by %s has %s, and the gradient of its result is finite (%s is %s %s%s)",
                     operation, peri_node_name(node), edge_text(node, i, name), found, edge_text(node, i, name),
                     peri_dtype_name(input->dtype), peri_shape_text(input->ndim, input->shape, shape),
                     recorded_text(node, place));
  }
  return PERI_OK;
}

peri_status peri_anomaly_place(peri_context *context, peri_node *node, const char *place) {
  size_t bytes = strlen(place) + 1;
  void *block;
  if (bytes == 1) return PERI_OK;
  PERI_TRY(peri_alloc(context, bytes, &block));
  node->where = memcpy(block, place, bytes);
  return PERI_OK;
}
