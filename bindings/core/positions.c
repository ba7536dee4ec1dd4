/* Tensors of positions taken together, made of rows: the dimensions chosen along come first and become one, of which
 * rows are taken or written. */
#include "positions.h"

#include "ops/ops.h"
#include "ops/rows.h"

/* ---- rows that replace *x ---- */

static peri_status run_with_list(peri_context *context, const peri_op *op, int n, const int64_t *list,
                                 peri_tensor **x) {
  peri_call call;
  peri_call_open(&call, context, op);
  call.args[0].given = true;
  call.args[0].tensor = *x;
  peri_call_sizes(&call, 1, n, list);
  PERI_TRY(peri_call_run(&call));
  peri_tensor_release(x);
  *x = call.outputs[0].tensor;
  return PERI_OK;
}

/* The row-major positions in the dimensions chosen along, in the shape that the tensors broadcast to. */
static peri_status find_positions(peri_context *context, const peri_tensor *x, const bind_positions *p,
                                  peri_tensor **out) {
  peri_call call;
  int64_t sizes[PERI_MAX_DIMS];
  for (int k = 0; k < p->n; k++) sizes[k] = x->layout.shape[p->dim[k]];
  peri_call_open(&call, context, &peri_op_index);
  call.args[0].given = true;
  call.args[0].tensors = p->index;
  call.args[0].count = p->n;
  peri_call_sizes(&call, 1, p->n, sizes);
  PERI_TRY(peri_call_run(&call));
  *out = call.outputs[0].tensor;
  return PERI_OK;
}

/* ---- shapes ---- */

typedef struct arrangement {
  int rest, of_positions;         /* dimensions that are not chosen along, and of the positions */
  int before;                     /* of rest, how many stand before the positions' dimensions in the result */
  int64_t order[PERI_MAX_DIMS];   /* of x: those chosen along, then the rest */
  int64_t rows[PERI_MAX_DIMS];    /* the shape with those chosen along as one */
  int64_t chosen[PERI_MAX_DIMS];  /* the same with as many rows as there are positions */
  int64_t result[PERI_MAX_DIMS];  /* what the entries look like */
  int64_t forward[PERI_MAX_DIMS]; /* the order that brings the positions' dimensions from the front to their place */
  int64_t back[PERI_MAX_DIMS];
} arrangement;

static peri_status make_plan(peri_context *context, const peri_tensor *x, const bind_positions *p,
                             const peri_tensor *positions, arrangement *plan) {
  int of_positions = positions->layout.ndim, rest = 0, ndim = x->layout.ndim - p->n + of_positions;
  bool together = p->dim[p->n - 1] - p->dim[0] == p->n - 1, taken[PERI_MAX_DIMS] = {false};
  if (ndim > PERI_MAX_DIMS) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "index: the result has %d dimensions (expected at most %d)", ndim,
                     PERI_MAX_DIMS);
  }
  plan->rows[0] = 1;
  plan->chosen[0] = positions->layout.numel;
  for (int k = 0; k < p->n; k++) {
    taken[p->dim[k]] = true;
    plan->order[k] = p->dim[k];
    plan->rows[0] *= x->layout.shape[p->dim[k]];
  }
  for (int d = 0; d < x->layout.ndim; d++) {
    if (taken[d]) continue;
    plan->order[p->n + rest++] = d;
    plan->rows[rest] = plan->chosen[rest] = x->layout.shape[d];
  }
  int before = together ? (int)p->dim[0] : 0;
  for (int d = 0; d < ndim; d++) {
    bool positional = d >= before && d < before + of_positions;
    int from = positional ? d - before : d < before ? of_positions + d : d;
    plan->result[d] = positional ? positions->layout.shape[from] : plan->rows[from - of_positions + 1];
    plan->forward[d] = from;
    plan->back[from] = d;
  }
  plan->rest = rest;
  plan->of_positions = of_positions;
  plan->before = before;
  return PERI_OK;
}

/* ---- taking ---- */

static peri_status flatten(peri_context *context, const peri_tensor *positions, peri_tensor **flat) {
  return run_with_list(context, &peri_op_reshape, 1, &positions->layout.numel, flat);
}

static peri_status take_rows(peri_context *context, peri_tensor *positions, peri_tensor **x) {
  peri_tensor *flat = peri_tensor_retain(positions);
  peri_status status = flatten(context, positions, &flat);
  if (status == PERI_OK) {
    peri_call call;
    peri_call_open(&call, context, &peri_op_index_select);
    call.args[0].tensor = *x;
    call.args[1].tensor = flat;
    status = peri_call_run(&call);
    if (status == PERI_OK) {
      peri_tensor_release(x);
      *x = call.outputs[0].tensor;
    }
  }
  peri_tensor_release(&flat);
  return status;
}

static peri_status take(peri_context *context, const bind_positions *p, peri_tensor *positions, peri_tensor **x) {
  arrangement plan;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(make_plan(context, *x, p, positions, &plan));
  int ndim = plan.of_positions + plan.rest;
  for (int d = 0; d < ndim; d++) shape[d] = plan.result[plan.back[d]];
  PERI_TRY(run_with_list(context, &peri_op_permute, (*x)->layout.ndim, plan.order, x));
  PERI_TRY(run_with_list(context, &peri_op_reshape, plan.rest + 1, plan.rows, x));
  PERI_TRY(take_rows(context, positions, x));
  PERI_TRY(run_with_list(context, &peri_op_reshape, ndim, shape, x));
  return plan.before == 0 ? PERI_OK : run_with_list(context, &peri_op_permute, ndim, plan.forward, x);
}

peri_status bind_take_positions(peri_context *context, const bind_positions *p, peri_tensor **x) {
  peri_tensor *positions;
  PERI_TRY(find_positions(context, *x, p, &positions));
  peri_status status = take(context, p, positions, x);
  peri_tensor_release(&positions);
  return status;
}

/* ---- writing ---- */

static peri_status check_source(peri_context *context, const peri_tensor *source, int ndim, const int64_t *target) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  const peri_layout *s = &source->layout;
  int shift = ndim - s->ndim;
  bool fits = shift >= 0;
  for (int d = 0; d < s->ndim && fits; d++) fits = s->shape[d] == 1 || s->shape[d] == target[shift + d];
  if (fits) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "index: source is %s but the target is %s",
                   peri_shape_text(s->ndim, s->shape, a), peri_shape_text(ndim, target, b));
}

/* The source as one row for each position. */
static peri_status source_rows(peri_context *context, const arrangement *plan, peri_tensor **source) {
  int ndim = plan->of_positions + plan->rest;
  PERI_TRY(check_source(context, *source, ndim, plan->result));
  PERI_TRY(run_with_list(context, &peri_op_expand, ndim, plan->result, source));
  PERI_TRY(run_with_list(context, &peri_op_permute, ndim, plan->back, source));
  return run_with_list(context, &peri_op_reshape, plan->rest + 1, plan->chosen, source);
}

static peri_status write_rows(peri_context *context, const peri_op *op, peri_tensor *x, peri_tensor *index,
                              const peri_arg *value) {
  peri_call call;
  peri_call_open(&call, context, op);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = x;
  call.args[1].tensor = index;
  if (index != NULL) {
    call.args[2] = *value;
  } else {
    call.args[1] = *value;
  }
  PERI_TRY(peri_call_run(&call));
  peri_tensor_release(&call.outputs[0].tensor);
  return PERI_OK;
}

/* Rows of a view of x, or of a copy that is then written back where the dimensions chosen along cannot be seen as one.
 */
static peri_status put(peri_context *context, const arrangement *plan, peri_tensor *x, peri_tensor *flat,
                       const peri_arg *value) {
  peri_tensor *view = peri_tensor_retain(x), *rows = NULL;
  peri_status status = run_with_list(context, &peri_op_permute, x->layout.ndim, plan->order, &view);
  if (status == PERI_OK) {
    rows = peri_tensor_retain(view);
    status = run_with_list(context, &peri_op_reshape, plan->rest + 1, plan->rows, &rows);
  }
  if (status == PERI_OK) status = write_rows(context, &peri_op_index_copy_, rows, flat, value);
  if (status == PERI_OK && rows->storage != x->storage) {
    status = run_with_list(context, &peri_op_reshape, view->layout.ndim, view->layout.shape, &rows);
    peri_arg written = {.given = true, .tensor = rows};
    if (status == PERI_OK) status = write_rows(context, &peri_op_copy_, view, NULL, &written);
  }
  peri_tensor_release(&rows);
  peri_tensor_release(&view);
  return status;
}

peri_status bind_put_positions(peri_context *context, const bind_positions *p, peri_tensor *x, const peri_arg *value) {
  arrangement plan;
  peri_tensor *positions, *flat = NULL, *source = NULL;
  peri_arg written = *value;
  PERI_TRY(find_positions(context, x, p, &positions));
  peri_status status = make_plan(context, x, p, positions, &plan);
  if (status == PERI_OK && value->tensor != NULL) {
    source = peri_tensor_retain(value->tensor);
    status = source_rows(context, &plan, &source);
    written.tensor = source;
  }
  if (status == PERI_OK) {
    flat = peri_tensor_retain(positions);
    status = flatten(context, positions, &flat);
  }
  if (status == PERI_OK) status = put(context, &plan, x, flat, &written);
  peri_tensor_release(&flat);
  peri_tensor_release(&source);
  peri_tensor_release(&positions);
  return status;
}
