/* Rows that are a part of their input along a dimension, as views. note: dimension, start, step; the gradient goes back
 * to its place among zeros. */
#include "ops/index.h"
#include "ops/view.h"
#include "ops/rows.h"

static peri_status place_slice(peri_call *call, int dim, int64_t start, int64_t count, int64_t step) {
  peri_layout *y = peri_same_layout(call);
  call->note[0] = dim;
  call->note[1] = start;
  call->note[2] = step;
  y->offset += start * y->strides[dim];
  y->shape[dim] = count;
  y->strides[dim] *= step;
  y->numel = 1;
  for (int d = 0; d < y->ndim; d++) y->numel *= y->shape[d];
  if (y->numel == 0) y->offset = peri_tensor_offset(call->args[0].tensor);
  return PERI_OK;
}

static peri_status grad_slice(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  int64_t dim = B->note[0];
  if (B->grad_outputs[0]->layout.ndim < x->ndim) { /* select: give the dimension back */
    int64_t shape[PERI_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[dim] = 1;
    g = peri_step_reshape(B, g, x->ndim, shape);
  }
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_call call;
  peri_step_open(B, &call, &peri_op_slice_backward, 1, &g);
  peri_call_sizes(&call, 1, x->ndim, x->shape);
  call.args[2].integer = dim;
  call.args[3].integer = B->note[1];
  call.args[4].integer = B->note[2];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static peri_status infer_index(peri_call *call, int arg, int64_t size, int64_t *index) {
  int64_t wanted = call->args[arg].integer, resolved = wanted < 0 ? wanted + size : wanted;
  if (resolved < 0 || resolved >= size) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is out of range (the size is %lld)",
                          call->op->params[arg].name, (long long)(wanted < 0 ? wanted : wanted + 1), (long long)size);
  }
  *index = resolved;
  return PERI_OK;
}

static peri_status infer_narrow(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int dim;
  int64_t length = call->args[3].integer, wanted = call->args[2].integer;
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  int64_t size = x->shape[dim], start = wanted < 0 ? wanted + size : wanted;
  if (length < 0 || start < 0 || start > size || length > size - start) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "start %lld with length %lld does not fit dimension %d of size %lld",
                          (long long)(wanted < 0 ? wanted : wanted + 1), (long long)length, dim + 1, (long long)size);
  }
  return place_slice(call, dim, start, length, 1);
}
const peri_op peri_op_narrow = {
    .name = "narrow",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM},
               {"start", PERI_KIND_INDEX},
               {"length", PERI_KIND_INTEGER}},
    .infer = infer_narrow,
    .grad = PERI_FULL(grad_slice),
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, 2, 2}, {T(4, 3), -1, -2, 2}",
    .doc = "narrow(x, dim, start, length) -> tensor\n"
           "The length entries of x from position start along dim, sharing memory.",
};

static peri_status infer_select(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int dim;
  int64_t index = 0;
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  PERI_TRY(infer_index(call, 2, x->shape[dim], &index));
  PERI_TRY(place_slice(call, dim, index, 1, 1));
  peri_layout *y = &call->outputs[0].layout;
  y->ndim--;
  for (int d = dim; d < y->ndim; d++) {
    y->shape[d] = y->shape[d + 1];
    y->strides[d] = y->strides[d + 1];
  }
  return PERI_OK;
}
const peri_op peri_op_select = {
    .name = "select",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, {"index", PERI_KIND_INDEX}},
    .infer = infer_select,
    .grad = PERI_FULL(grad_slice),
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, 2}, {T(4, 3), 2, -1}",
    .doc = "select(x, dim, index) -> tensor\n"
           "The entry at position index along dim, without that dimension, sharing memory.",
};

/* A part of x along a dimension. */
typedef struct part {
  int dim;
  int64_t start, count, step;
} part;

/* Arguments arg .. arg + 3: dim, from, to, step. */
static peri_status resolve_slice(peri_call *call, int arg, part *p) {
  const peri_layout *x = peri_input(call);
  int64_t from = call->args[arg + 1].integer, to = call->args[arg + 2].integer, step = call->args[arg + 3].integer;
  PERI_TRY(peri_infer_dim(call, arg, x->ndim, &p->dim));
  int64_t size = x->shape[p->dim];
  if (step < 1) return peri_call_fail(call, PERI_ERR_ARGUMENT, "step is %lld (expected at least 1)", (long long)step);
  int64_t first = from < 0 ? from + size : from, last = to < 0 ? to + size : to;
  if (first < 0 || last >= size || last < first - 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "range %lld to %lld does not fit dimension %d of size %lld",
                          (long long)(from < 0 ? from : from + 1), (long long)(to < 0 ? to : to + 1), p->dim + 1,
                          (long long)size);
  }
  p->start = first;
  p->count = last < first ? 0 : (last - first) / step + 1;
  p->step = p->count > 1 ? step : 1; /* a huge step would overflow the stride */
  return PERI_OK;
}
static peri_status infer_slice(peri_call *call) {
  part p;
  PERI_TRY(resolve_slice(call, 1, &p));
  return place_slice(call, p.dim, p.start, p.count, p.step);
}
const peri_op peri_op_slice = {
    .name = "slice",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM},
               {"from", PERI_KIND_INDEX},
               {"to", PERI_KIND_INDEX},
               {"step", PERI_KIND_INTEGER, .optional = true, .otherwise = 1}},
    .infer = infer_slice,
    .grad = PERI_FULL(grad_slice),
    .low = -1,
    .high = 1,
    .sample = "{T(5, 3), 1, 2, 4}, {T(7, 2), 1, 1, -1, 3}, {T(3), 1, 3, 2}",
    .doc = "slice(x, dim, from, to, step = 1) -> tensor\n"
           "The entries from..to (both included) along dim, sharing memory; what x[{ {from, to, step} }] does. An "
           "empty range has to = from - 1.",
};

/* Zeros of a shape, with g at the place of a slice: the transpose of slice. */
static peri_status infer_slice_backward(peri_call *call) {
  PERI_TRY(peri_infer_output(call, 0, peri_input(call)->dtype, call->args[1].count, call->args[1].sizes));
  memcpy(call->note, (int64_t[]){call->args[2].integer, call->args[3].integer, call->args[4].integer},
         3 * sizeof(int64_t));
  return PERI_OK;
}
static peri_status run_slice_backward(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *g = call->args[0].tensor;
  PERI_TRY(peri_clear(call->context, y->data, (size_t)y->layout.numel * peri_dtype_size(y->layout.dtype)));
  int64_t dim = call->note[0];
  peri_view place = y->view;
  place.data += call->note[1] * y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  place.layout.shape[dim] = g->layout.shape[dim];
  place.layout.strides[dim] *= call->note[2];
  return peri_view_copy_into(call->context, &place, &g->view);
}
static peri_status grad_slice_backward(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  int64_t dim = B->note[0], start = B->note[1], step = B->note[2], count = B->layouts[0]->shape[dim];
  peri_step_open(B, &call, &peri_op_slice, 1, &g);
  call.args[1].integer = dim;
  call.args[2].integer = count == 0 ? 0 : start;
  call.args[3].integer = count == 0 ? -1 - B->grad_outputs[0]->layout.shape[dim] : start + (count - 1) * step;
  call.args[4].integer = step;
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_slice_backward = {
    .name = "slice_backward",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR},
               {"shape", PERI_KIND_SHAPE},
               {"dim", PERI_KIND_DIM},
               {"start", PERI_KIND_INDEX},
               {"step", PERI_KIND_INTEGER}},
    .infer = infer_slice_backward,
    .run = run_slice_backward,
    .grad = PERI_FULL(grad_slice_backward),
    .doc = "slice_backward(g, shape, dim, start, step) -> tensor\nThe gradient of slice.",
};

/* ---- x with a part replaced: row(x, source, dim, ..); note as above, and how many entries the part has ---- */

static peri_status infer_replaced(peri_call *call, const part *p, bool keeps_dim) {
  const peri_layout *x = peri_input(call);
  int64_t target[PERI_MAX_DIMS];
  int ndim = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (d != p->dim || keeps_dim) target[ndim++] = d == p->dim ? p->count : x->shape[d];
  }
  memcpy(call->note, (int64_t[]){p->dim, p->start, p->step, p->count, keeps_dim}, 5 * sizeof(int64_t));
  PERI_TRY(peri_infer_source(call, 1, ndim, target));
  return peri_infer_copy(call);
}
static peri_status run_replaced(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor, *source;
  int64_t dim = call->note[0];
  peri_view place = y->view;
  place.contiguous = false;
  place.data += call->note[1] * y->layout.strides[dim] * (int64_t)peri_dtype_size(y->layout.dtype);
  place.layout.shape[dim] = call->note[3];
  place.layout.strides[dim] *= call->note[2];
  for (int d = (int)dim; !call->note[4] && d + 1 < place.layout.ndim; d++) {
    place.layout.shape[d] = place.layout.shape[d + 1];
    place.layout.strides[d] = place.layout.strides[d + 1];
  }
  place.layout.ndim -= !call->note[4];
  PERI_TRY(peri_read_source(call, 1, &source));
  peri_status status = peri_begin_writing(call);
  if (status == PERI_OK) status = peri_view_copy_into(call->context, &place, &source->view);
  peri_tensor_release(&source);
  return status;
}
/* Of x: g with zeros in the part; of source: that part of g. */
static peri_status grad_replaced(peri_backward *B) {
  const peri_op *view = B->note[4] ? &peri_op_slice : &peri_op_select;
  peri_value g = peri_of(B->grad_outputs[0]);
  int params = peri_op_params(B->op);
  peri_call call;
  if (B->needs[0]) {
    peri_step_open(B, &call, B->op, 2, (peri_value[]){g, peri_constant(0)});
    for (int i = 2; i < params; i++) call.args[i].integer = B->args[i].integer;
    peri_answer(B, 0, peri_step_run(B, &call));
  }
  if (B->edges > 1 && B->needs[1] && B->formula->status == PERI_OK) {
    peri_step_open(B, &call, view, 1, &g);
    for (int i = 2; i < params; i++) call.args[i - 1].integer = B->args[i].integer;
    peri_answer(B, 1, peri_step_run(B, &call));
  }
  return PERI_OK;
}

static peri_status infer_slice_scatter(peri_call *call) {
  part p;
  PERI_TRY(resolve_slice(call, 2, &p));
  return infer_replaced(call, &p, true);
}
const peri_op peri_op_slice_scatter = {
    .name = "slice_scatter",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"source", PERI_KIND_OPERAND},
               {"dim", PERI_KIND_DIM},
               {"from", PERI_KIND_INDEX},
               {"to", PERI_KIND_INDEX},
               {"step", PERI_KIND_INTEGER, .optional = true, .otherwise = 1}},
    .infer = infer_slice_scatter,
    .run = run_replaced,
    .grad = PERI_FULL(grad_replaced),
    .low = -1,
    .high = 1,
    .sample = "{T(5, 3), T(3, 3), 1, 2, 4}, {T(7, 2), T(2), 1, 1, -1, 3}, {T(3), 2, 1, 3, 2}",
    .doc = "slice_scatter(x, source, dim, from, to, step = 1) -> tensor\n"
           "x with source, broadcast and converted to its dtype, in place of slice(x, dim, from, to, step).",
};

static peri_status infer_select_scatter(peri_call *call) {
  const peri_layout *x = peri_input(call);
  part p = {.count = 1, .step = 1};
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &p.dim));
  PERI_TRY(infer_index(call, 3, x->shape[p.dim], &p.start));
  return infer_replaced(call, &p, false);
}
const peri_op peri_op_select_scatter = {
    .name = "select_scatter",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"source", PERI_KIND_OPERAND},
               {"dim", PERI_KIND_DIM},
               {"index", PERI_KIND_INDEX}},
    .infer = infer_select_scatter,
    .run = run_replaced,
    .grad = PERI_FULL(grad_replaced),
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), T(3), 1, 2}, {T(4, 3), T(4), 2, -1}, {T(2, 3, 2), T(2), 2, 1}",
    .doc = "select_scatter(x, source, dim, index) -> tensor\n"
           "x with source, broadcast and converted to its dtype, in place of select(x, dim, index).",
};

const peri_op *const peri_ops_slice[] = {&peri_op_narrow,
                                         &peri_op_select,
                                         &peri_op_slice,
                                         &peri_op_slice_backward,
                                         &peri_op_slice_scatter,
                                         &peri_op_select_scatter,
                                         NULL};
