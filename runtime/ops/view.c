/* Rows that look at the same elements otherwise: views, and the copies that they sometimes need. Parts along a
 * dimension are in slice.c. */
#include "ops/view.h"
#include "ops/rows.h"

peri_layout *peri_same_layout(peri_call *call) {
  peri_layout *y = &call->outputs[0].layout;
  *y = call->args[0].tensor->layout;
  y->offset = peri_tensor_offset(call->args[0].tensor);
  return y;
}

/* The gradient of a copy or of another shape: the same numbers in the input's shape. */
static peri_status grad_reshape(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_answer(B, 0, peri_step_reshape(B, g, B->layouts[0]->ndim, B->layouts[0]->shape));
  return PERI_OK;
}

/* ---- view and reshape ---- */

/* Resolves one size of -1 and checks the count. */
static peri_status infer_sizes(peri_call *call, peri_layout *y) {
  const peri_layout *x = peri_input(call);
  const peri_arg *shape = &call->args[1];
  int64_t known = 1;
  int free_size = -1;
  char from[PERI_SHAPE_TEXT], to[PERI_SHAPE_TEXT];
  for (int d = 0; d < shape->count; d++) {
    int64_t size = shape->sizes[d];
    if (size == -1 && free_size < 0) {
      free_size = d;
    } else if (size < 0 || __builtin_mul_overflow(known, size, &known)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is not a shape",
                            peri_shape_text(shape->count, shape->sizes, to));
    }
  }
  int64_t missing = free_size < 0 ? 1 : known == 0 ? 0 : x->numel / known;
  if (known * missing != x->numel || (free_size >= 0 && known == 0)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%lld elements (x is %s) do not fit the shape %s",
                          (long long)x->numel, peri_shape_text(x->ndim, x->shape, from),
                          peri_shape_text(shape->count, shape->sizes, to));
  }
  int64_t sizes[PERI_MAX_DIMS];
  memcpy(sizes, shape->sizes, sizeof sizes);
  if (free_size >= 0) sizes[free_size] = missing;
  peri_layout_set(y, x->dtype, shape->count, sizes);
  return PERI_OK;
}

/* Strides for y over x's elements without a copy: false when there are none. Dimensions of x that
 * lie evenly behind one another form a run; y's dimensions must cut each run exactly. */
static bool strides_without_copy(const peri_layout *x, peri_layout *y) {
  if (x->numel == 0) return true;
  int xd = x->ndim - 1, yd = y->ndim - 1;
  while (xd >= 0) {
    while (xd >= 0 && x->shape[xd] == 1) xd--;
    if (xd < 0) break;
    int64_t size = x->shape[xd], stride = x->strides[xd];
    while (xd > 0 && (x->shape[xd - 1] == 1 || x->strides[xd - 1] == size * stride)) size *= x->shape[--xd];
    xd--;
    for (int64_t covered = 1; covered < size; yd--) {
      if (yd < 0 || size % (covered * y->shape[yd]) != 0) return false;
      y->strides[yd] = stride * covered;
      covered *= y->shape[yd];
    }
  }
  while (yd >= 0) y->strides[yd--] = 1; /* sizes of 1 */
  return true;
}

static peri_status infer_view(peri_call *call) {
  peri_layout *y = &call->outputs[0].layout;
  char from[PERI_SHAPE_TEXT];
  PERI_TRY(infer_sizes(call, y));
  y->offset = peri_tensor_offset(call->args[0].tensor);
  if (strides_without_copy(peri_input(call), y)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "%s with these strides cannot be seen in this shape without a copy (use reshape)",
                        peri_shape_text(peri_input(call)->ndim, peri_input(call)->shape, from));
}

const peri_op peri_op_view = {
    .name = "view",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"shape", PERI_KIND_SHAPE}},
    .infer = infer_view,
    .grad = grad_reshape,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), {3, 4}}, {T(2, 3), -1}",
    .doc = "view(x, shape) -> tensor\n"
           "The same elements in another shape, sharing memory; one size may be -1. An error when the strides of x do "
           "not allow it.",
};

/* reshape is a view where it can be one; else it runs into new memory. */
static peri_status infer_reshape(peri_call *call) {
  peri_layout *y = &call->outputs[0].layout;
  PERI_TRY(infer_sizes(call, y));
  peri_layout trial = *y;
  call->note[0] = strides_without_copy(peri_input(call), &trial);
  return PERI_OK;
}
static peri_status run_copy(peri_call *call) {
  /* y has the elements of x in order: walk x's shape over y's contiguous memory. */
  peri_tensor *x = call->args[0].tensor;
  peri_view y = call->outputs[0].tensor->view;
  peri_layout_set(&y.layout, x->layout.dtype, x->layout.ndim, x->layout.shape);
  return peri_view_copy_into(call->context, &y, &x->view);
}
static peri_status run_reshape(peri_call *call) {
  if (!call->note[0]) {
    PERI_TRY(peri_tensor_empty(call->context, &call->outputs[0].layout, &call->outputs[0].tensor));
    return run_copy(call);
  }
  peri_layout *y = &call->outputs[0].layout;
  y->offset = peri_tensor_offset(call->args[0].tensor);
  strides_without_copy(peri_input(call), y);
  return peri_tensor_view(call->args[0].tensor, y, &call->outputs[0].tensor);
}
const peri_op peri_op_reshape = {
    .name = "reshape",
    .flags = PERI_OP_ALLOCATES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"shape", PERI_KIND_SHAPE}},
    .infer = infer_reshape,
    .run = run_reshape,
    .grad = grad_reshape,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), {3, 4}}, {T(3, 4):t(), {2, -1}}",
    .doc =
        "reshape(x, shape) -> tensor\n"
        "The same elements in another shape; one size may be -1. A view of x where its strides allow it, else a copy.",
};

static peri_status infer_flatten(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int first = 0;
  if (x->ndim > 0) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &first));
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, (size_t)first * sizeof(int64_t));
  shape[first] = 1;
  for (int d = first; d < x->ndim; d++) shape[first] *= x->shape[d];
  PERI_TRY(peri_infer_output(call, 0, x->dtype, first + 1, shape));
  peri_layout trial = call->outputs[0].layout;
  call->note[0] = strides_without_copy(x, &trial);
  return PERI_OK;
}
const peri_op peri_op_flatten = {
    .name = "flatten",
    .flags = PERI_OP_ALLOCATES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_flatten,
    .run = run_reshape,
    .grad = grad_reshape,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4)}, {T(2, 3, 4), 2}, {T()}",
    .doc = "flatten(x, dim = 1) -> tensor\n"
           "The dimensions from dim on as one. A view where possible, else a copy.",
};

/* ---- orders of dimensions ---- */

static peri_status infer_permute(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *dims = &call->args[1];
  peri_layout *y = peri_same_layout(call);
  bool seen[PERI_MAX_DIMS] = {false};
  call->note[0] = 0; /* the order, four bits a dimension */
  char text[PERI_SHAPE_TEXT];
  for (int d = 0; d < dims->count || d < x->ndim; d++) {
    int64_t from = d < dims->count ? dims->sizes[d] : -1;
    if (from < 0) from += x->ndim;
    if (dims->count != x->ndim || from < 0 || from >= x->ndim || seen[from]) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims must name each of the %d dimensions of %s once", x->ndim,
                            peri_shape_text(x->ndim, x->shape, text));
    }
    seen[from] = true;
    call->note[0] |= from << (4 * d);
    y->shape[d] = x->shape[from];
    y->strides[d] = x->strides[from];
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
    .grad = grad_permute,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), 3, 1, 2}, {T(2, 3), -1, -2}",
    .doc = "permute(x, dims) -> tensor\n"
           "The dimensions in another order: dimension i of the result is dims[i] of x. A view.",
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
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim1", PERI_KIND_DIM}, {"dim2", PERI_KIND_DIM}},
    .infer = infer_transpose,
    .grad = grad_transpose,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), 1, 3}, {T(2, 3), -1, 1}",
    .doc = "transpose(x, dim1, dim2) -> tensor\nTwo dimensions exchanged. A view.",
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
    .grad = grad_transpose,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3)}",
    .doc = "t(x) -> tensor\nThe transpose of a matrix. A view.",
};

/* ---- sizes of one ---- */

static peri_status infer_expand(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *shape = &call->args[1];
  peri_layout *y = peri_same_layout(call);
  int shift = shape->count - x->ndim;
  char from[PERI_SHAPE_TEXT], to[PERI_SHAPE_TEXT];
  bool fits = shift >= 0;
  y->ndim = shape->count;
  for (int d = 0; fits && d < shape->count; d++) {
    int64_t own = d < shift ? 1 : x->shape[d - shift];
    int64_t size = shape->sizes[d] == -1 && d >= shift ? own : shape->sizes[d];
    fits = size >= 0 && (size == own || own == 1);
    y->shape[d] = size;
    y->strides[d] = d < shift || (own == 1 && size != 1) ? 0 : x->strides[d - shift];
  }
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s cannot be expanded to %s",
                          peri_shape_text(x->ndim, x->shape, from), peri_shape_text(shape->count, shape->sizes, to));
  }
  int64_t strides[PERI_MAX_DIMS], offset = y->offset;
  memcpy(strides, y->strides, sizeof strides);
  PERI_TRY(peri_layout_contiguous(call->context, call->op->name, y)); /* the count must not overflow */
  memcpy(y->strides, strides, sizeof strides);
  y->offset = offset;
  return PERI_OK;
}
static peri_status grad_pass(peri_backward *B) {
  peri_answer(B, 0, peri_of(B->grad_outputs[0]));
  return PERI_OK;
}
const peri_op peri_op_expand = {
    .name = "expand",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"shape", PERI_KIND_SHAPE}},
    .infer = infer_expand,
    .grad = grad_pass,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 1), {2, 3, 4}}, {T(1, 3), {5, -1}}",
    .doc = "expand(x, shape) -> tensor\n"
           "Dimensions of size 1 repeated to the sizes of shape without copying (-1 keeps a size). A view.",
};

static peri_status infer_squeeze(peri_call *call) {
  const peri_layout *x = peri_input(call);
  peri_layout *y = peri_same_layout(call);
  int only = -1;
  if (call->args[1].given) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &only));
  y->ndim = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (x->shape[d] == 1 && (only < 0 || only == d)) continue;
    y->shape[y->ndim] = x->shape[d];
    y->strides[y->ndim++] = x->strides[d];
  }
  return PERI_OK;
}
const peri_op peri_op_squeeze = {
    .name = "squeeze",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}},
    .infer = infer_squeeze,
    .grad = grad_reshape,
    .low = -1,
    .high = 1,
    .sample = "{T(1, 3, 1)}, {T(1, 3, 1), -1}, {T(2, 3), 1}",
    .doc = "squeeze(x, dim) -> tensor\n"
           "x without its dimensions of size 1, or without dimension dim if its size is 1. A view.",
};

static peri_status infer_unsqueeze(peri_call *call) {
  const peri_layout *x = peri_input(call);
  peri_layout *y = peri_same_layout(call);
  int dim;
  if (x->ndim == PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions already", PERI_MAX_DIMS);
  }
  PERI_TRY(peri_infer_dim(call, 1, x->ndim + 1, &dim));
  for (int d = x->ndim; d > dim; d--) {
    y->shape[d] = x->shape[d - 1];
    y->strides[d] = x->strides[d - 1];
  }
  y->shape[dim] = 1;
  y->strides[dim] = dim < x->ndim ? x->strides[dim] * x->shape[dim] : 1;
  y->ndim++;
  return PERI_OK;
}
const peri_op peri_op_unsqueeze = {
    .name = "unsqueeze",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}},
    .infer = infer_unsqueeze,
    .grad = grad_reshape,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3), 1}, {T(2, 3), -1}",
    .doc = "unsqueeze(x, dim) -> tensor\nA dimension of size 1 put in at dim. A view.",
};

/* ---- copies ---- */

static peri_status infer_same(peri_call *call) {
  const peri_layout *x = peri_input(call);
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}
const peri_op peri_op_clone = {
    .name = "clone",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_same,
    .run = run_copy,
    .grad = grad_pass,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3)}",
    .doc = "clone(x) -> tensor\nA contiguous copy with memory of its own; part of the graph.",
};

static peri_status run_contiguous(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, **y = &call->outputs[0].tensor;
  if (x->contiguous) return peri_tensor_view(x, peri_same_layout(call), y);
  PERI_TRY(peri_tensor_empty(call->context, &call->outputs[0].layout, y));
  return run_copy(call);
}
const peri_op peri_op_contiguous = {
    .name = "contiguous",
    .flags = PERI_OP_ALLOCATES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_same,
    .run = run_contiguous,
    .grad = grad_pass,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3)}, {T(2, 3):t()}",
    .doc = "contiguous(x) -> tensor\n"
           "x with its elements one behind the other: a view when they are so already, else a copy.",
};

static peri_status infer_detach(peri_call *call) {
  peri_same_layout(call);
  return PERI_OK;
}
static peri_status run_detach(peri_call *call) {
  return peri_tensor_detach(call->args[0].tensor, &call->outputs[0].tensor);
}
const peri_op peri_op_detach = {
    .name = "detach",
    .flags = PERI_OP_ALLOCATES | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_detach,
    .run = run_detach,
    .sample = "{T(2, 3)}",
    .doc = "detach(x) -> tensor\nThe same elements, sharing memory, cut off from the graph.",
};

const peri_op *const peri_ops_view[] = {&peri_op_view,
                                        &peri_op_reshape,
                                        &peri_op_flatten,
                                        &peri_op_permute,
                                        &peri_op_transpose,
                                        &peri_op_t,
                                        &peri_op_expand,
                                        &peri_op_squeeze,
                                        &peri_op_unsqueeze,
                                        &peri_op_clone,
                                        &peri_op_contiguous,
                                        &peri_op_detach,
                                        NULL};
