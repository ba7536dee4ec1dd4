/* Rows that look at the dimensions of a tensor in another order: views. */
#include "ops/view.h"
#include "ops/rows.h"

/* The order of dimensions, four bits each, is note 0. */
static void note_order(peri_call *call, int d, int64_t from) {
  const peri_layout *x = peri_input(call);
  peri_layout *y = &call->outputs[0].layout;
  call->note[0] |= from << (4 * d);
  y->shape[d] = x->shape[from];
  y->strides[d] = x->strides[from];
}
static peri_status infer_permute(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *dims = &call->args[1];
  peri_same_layout(call);
  bool seen[PERI_MAX_DIMS] = {false};
  call->note[0] = 0;
  char text[PERI_SHAPE_TEXT];
  for (int d = 0; d < dims->count || d < x->ndim; d++) {
    int64_t from = d < dims->count ? dims->sizes[d] : -1;
    if (from < 0) from += x->ndim;
    if (dims->count != x->ndim || from < 0 || from >= x->ndim || seen[from]) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims must name each of the %d dimensions of %s once", x->ndim,
                            peri_shape_text(x->ndim, x->shape, text));
    }
    seen[from] = true;
    note_order(call, d, from);
  }
  return PERI_OK;
}
static peri_status grad_permute(peri_backward *B) {
  int64_t order[PERI_MAX_DIMS];
  int ndim = B->layouts[0]->ndim;
  for (int d = 0; d < ndim; d++) order[B->note[0] >> (4 * d) & 15] = d;
  peri_answer(B, 0, peri_step_permute(B, peri_of(B->grad_outputs[0]), ndim, order));
  return PERI_OK;
}
const peri_op peri_op_permute = {
    .name = "permute",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dims", PERI_KIND_DIMS}},
    .infer = infer_permute,
    .grad = PERI_FULL(grad_permute),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), 3, 1, 2}, {T(2, 3), -1, -2}",
    .doc = "permute(x, dims) -> tensor\n"
           "The dimensions in another order: dimension i of the result is dims[i] of x. A view.",
};

/* The dimensions that a list names, each once; -1 elsewhere in `place`, which has for each dimension where the list
 * names it. */
static peri_status named_dims(peri_call *call, int arg, int64_t place[PERI_MAX_DIMS]) {
  const peri_layout *x = peri_input(call);
  const peri_arg *dims = &call->args[arg];
  char text[PERI_SHAPE_TEXT];
  for (int d = 0; d < PERI_MAX_DIMS; d++) place[d] = -1;
  for (int i = 0; i < dims->count; i++) {
    int64_t d = dims->sizes[i] < 0 ? dims->sizes[i] + x->ndim : dims->sizes[i];
    if (d < 0 || d >= x->ndim || place[d] >= 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s must name dimensions of %s, each once",
                            call->op->params[arg].name, peri_shape_text(x->ndim, x->shape, text));
    }
    place[d] = i;
  }
  return PERI_OK;
}
static peri_status infer_movedim(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int64_t leaves[PERI_MAX_DIMS], arrives[PERI_MAX_DIMS];
  PERI_TRY(named_dims(call, 1, leaves));
  PERI_TRY(named_dims(call, 2, arrives));
  if (call->args[1].count != call->args[2].count) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "source names %d dimensions but destination %d", call->args[1].count,
                          call->args[2].count);
  }
  peri_same_layout(call);
  call->note[0] = 0;
  for (int d = 0, staying = 0; d < x->ndim; d++) {
    int64_t from = 0;
    if (arrives[d] >= 0) { /* what source names there */
      while (leaves[from] != arrives[d]) from++;
    } else { /* those that stay keep their order */
      while (leaves[staying] >= 0) staying++;
      from = staying++;
    }
    note_order(call, d, from);
  }
  return PERI_OK;
}
const peri_op peri_op_movedim = {
    .name = "movedim",
    .also = "moveaxis",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"source", PERI_KIND_DIMS, .count = PERI_LISTED},
               {"destination", PERI_KIND_DIMS, .count = PERI_LISTED}},
    .infer = infer_movedim,
    .grad = PERI_FULL(grad_permute),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), 1, 3}, {T(2, 3, 4), {1, 2}, {-1, 1}}",
    .doc =
        "movedim(x, source, destination) -> tensor\n"
        "Dimension source (a number, or several in a table) put at destination; the others keep their order. A view. "
        "Also called moveaxis.",
};

static peri_status swap_dimensions(peri_call *call, int a, int b) {
  const peri_layout *x = peri_input(call);
  peri_layout *y = peri_same_layout(call);
  y->shape[a] = x->shape[b];
  y->strides[a] = x->strides[b];
  y->shape[b] = x->shape[a];
  y->strides[b] = x->strides[a];
  call->note[0] = a;
  call->note[1] = b;
  return PERI_OK;
}
static peri_status grad_transpose(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_transpose, 1, &g);
  call.args[1].integer = B->note[0];
  call.args[2].integer = B->note[1];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
static peri_status infer_transpose(peri_call *call) {
  int a, b;
  PERI_TRY(peri_infer_dim(call, 1, peri_input(call)->ndim, &a));
  PERI_TRY(peri_infer_dim(call, 2, peri_input(call)->ndim, &b));
  return swap_dimensions(call, a, b);
}
const peri_op peri_op_transpose = {
    .name = "transpose",
    .also = "swapaxes swapdims",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim1", PERI_KIND_DIM}, {"dim2", PERI_KIND_DIM}},
    .infer = infer_transpose,
    .grad = PERI_FULL(grad_transpose),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), 1, 3}, {T(2, 3), -1, 1}",
    .doc = "transpose(x, dim1, dim2) -> tensor\nTwo dimensions exchanged. A view. Also called swapaxes and swapdims.",
};

static peri_status infer_t(peri_call *call) {
  const peri_layout *x = peri_input(call);
  char text[PERI_SHAPE_TEXT];
  if (x->ndim != 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected a matrix)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  return swap_dimensions(call, 0, 1);
}
const peri_op peri_op_t = {
    .name = "t",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_t,
    .grad = PERI_FULL(grad_transpose),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3)}",
    .doc = "t(x) -> tensor\nThe transpose of a matrix. A view.",
};

const peri_op *const peri_ops_order[] = {&peri_op_permute, &peri_op_movedim, &peri_op_transpose, &peri_op_t, NULL};
