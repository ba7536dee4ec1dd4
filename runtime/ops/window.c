/* unfold: windows along a dimension, which may share elements, as a view. Its gradient adds what arrived for each
 * window in its place. */
#include "ops/view.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static void note_windows(peri_call *call, int64_t dim, int64_t size, int64_t step) {
  call->note[0] = dim;
  call->note[1] = size;
  call->note[2] = step;
}

static peri_status infer_unfold(peri_call *call) {
  peri_layout *y = peri_same_layout(call);
  int64_t size = call->args[2].integer, step = call->args[3].integer;
  int dim;
  PERI_TRY(peri_infer_dim(call, 1, y->ndim, &dim));
  if (y->ndim == PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions already", PERI_MAX_DIMS);
  }
  if (size < 0 || size > y->shape[dim]) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "size is %lld (expected 0 to %lld, the size of dimension %d)",
                          (long long)size, (long long)y->shape[dim], dim + 1);
  }
  if (step < 1) return peri_call_fail(call, PERI_ERR_ARGUMENT, "step is %lld (expected at least 1)", (long long)step);
  note_windows(call, dim, size, step);
  int64_t count = (y->shape[dim] - size) / step + 1, strides[PERI_MAX_DIMS], offset = y->offset;
  y->shape[y->ndim] = size;
  y->strides[y->ndim++] = y->strides[dim];
  y->shape[dim] = count;
  if (count > 1) y->strides[dim] *= step; /* a huge step would overflow the stride */
  memcpy(strides, y->strides, sizeof strides);
  PERI_TRY(peri_layout_contiguous(call->context, call->op->name, y)); /* the count must not overflow */
  memcpy(y->strides, strides, sizeof strides);
  y->offset = offset;
  return PERI_OK;
}
static peri_status grad_unfold(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_unfold_backward, 1, &g);
  peri_call_sizes(&call, 1, B->layouts[0]->ndim, B->layouts[0]->shape);
  for (int i = 0; i < 3; i++) call.args[2 + i].integer = B->note[i];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_unfold = {
    .name = "unfold",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM},
               {"size", PERI_KIND_INTEGER},
               {"step", PERI_KIND_INTEGER}},
    .infer = infer_unfold,
    .grad = grad_unfold,
    .low = -1,
    .high = 1,
    .sample = "{T(7, 2), 1, 3, 2}, {T(2, 5), -1, 2, 1}, {T(3), 1, 3, 9}",
    .doc =
        "unfold(x, dim, size, step) -> tensor\n"
        "The windows of that size along dim, each begun step entries after the one before: dimension dim counts them, "
        "and a new last dimension of that size holds their entries. A view; windows may share elements, and then it "
        "cannot be written.",
};

/* ---- the gradient: zeros of a shape, to which g's windows are added ---- */

static peri_status infer_unfold_backward(peri_call *call) {
  note_windows(call, call->args[2].integer, call->args[3].integer, call->args[4].integer);
  return peri_infer_output(call, 0, peri_input(call)->dtype, call->args[1].count, call->args[1].sizes);
}

typedef struct adding {
  peri_loop2 add;
} adding;
static void add_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  ((const adding *)arg)->add(n, data[0], strides[0], data[0], strides[0], data[1], strides[1]);
}

/* Entry j of all windows at once: their places differ, so that no two additions meet. */
static peri_status run_unfold_backward(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const peri_tensor *g = call->args[0].tensor;
  int64_t dim = call->note[0], size = call->note[1], step = call->note[2], bytes;
  adding job = {call->context->kernels->elementwise->binary[PERI_BINARY_add][y->layout.dtype]};
  bytes = (int64_t)peri_dtype_size(y->layout.dtype);
  PERI_TRY(peri_clear(call->context, y->data, (size_t)(y->layout.numel * bytes)));
  if (g->layout.numel == 0) return PERI_OK;
  for (int64_t j = 0; j < size; j++) {
    peri_view place = y->view, part = g->view;
    place.data += j * y->layout.strides[dim] * bytes;
    place.layout.shape[dim] = g->layout.shape[dim];
    if (g->layout.shape[dim] > 1) place.layout.strides[dim] *= step;
    part.layout.ndim--;
    part.data += j * g->layout.strides[part.layout.ndim] * bytes;
    peri_iterator iterator;
    peri_iterator_open(&iterator, place.layout.ndim, place.layout.shape, 2, (const peri_view *[]){&place, &part});
    PERI_TRY(peri_iterate(call->context, &iterator, add_row, &job));
  }
  return PERI_OK;
}
static peri_status grad_unfold_backward(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_unfold, 1, &g);
  for (int i = 0; i < 3; i++) call.args[1 + i].integer = B->note[i];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_unfold_backward = {
    .name = "unfold_backward",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR},
               {"shape", PERI_KIND_SHAPE},
               {"dim", PERI_KIND_DIM},
               {"size", PERI_KIND_INTEGER},
               {"step", PERI_KIND_INTEGER}},
    .infer = infer_unfold_backward,
    .run = run_unfold_backward,
    .grad = grad_unfold_backward,
    .doc = "unfold_backward(g, shape, dim, size, step) -> tensor\nThe gradient of unfold.",
};

const peri_op *const peri_ops_window[] = {&peri_op_unfold, &peri_op_unfold_backward, NULL};
