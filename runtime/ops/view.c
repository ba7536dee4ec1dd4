/* Rows that look at the same elements in another shape: views, and the copies that they sometimes need. Other orders
 * of dimensions are in order.c, sizes of 1 in expand.c, parts along a dimension in slice.c and split.c. */
#include "ops/view.h"
#include "ops/rows.h"

peri_layout *peri_same_layout(peri_call *call) {
  peri_layout *y = &call->outputs[0].layout;
  *y = call->args[0].tensor->layout;
  y->offset = peri_tensor_offset(call->args[0].tensor);
  return y;
}

peri_status peri_grad_reshape(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_answer(B, 0, peri_step_reshape(B, g, B->layouts[0]->ndim, B->layouts[0]->shape));
  return PERI_OK;
}

peri_status peri_grad_pass(peri_backward *B) {
  peri_answer(B, 0, peri_of(B->grad_outputs[0]));
  return PERI_OK;
}

/* ---- view and reshape ---- */

/* Resolves one size of -1 and checks the count. */
static peri_status fit_sizes(peri_call *call, int n, const int64_t *shape, peri_layout *y) {
  const peri_layout *x = peri_input(call);
  int64_t known = 1;
  int free_size = -1;
  char from[PERI_SHAPE_TEXT], to[PERI_SHAPE_TEXT];
  for (int d = 0; d < n; d++) {
    int64_t size = shape[d];
    if (size == -1 && free_size < 0) {
      free_size = d;
    } else if (size < 0 || __builtin_mul_overflow(known, size, &known)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is not a shape", peri_shape_text(n, shape, to));
    }
  }
  int64_t missing = free_size < 0 ? 1 : known == 0 ? 0 : x->numel / known;
  if (known * missing != x->numel || (free_size >= 0 && known == 0)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%lld elements (x is %s) do not fit the shape %s",
                          (long long)x->numel, peri_shape_text(x->ndim, x->shape, from), peri_shape_text(n, shape, to));
  }
  int64_t sizes[PERI_MAX_DIMS];
  memcpy(sizes, shape, (size_t)n * sizeof *sizes);
  if (free_size >= 0) sizes[free_size] = missing;
  peri_layout_set(y, x->dtype, n, sizes);
  return PERI_OK;
}

/* The sizes of argument 1: a list, or those of a tensor. */
static peri_status infer_sizes(peri_call *call, peri_layout *y) {
  const peri_arg *shape = &call->args[1];
  if (shape->tensor == NULL) return fit_sizes(call, shape->count, shape->sizes, y);
  return fit_sizes(call, shape->tensor->layout.ndim, shape->tensor->layout.shape, y);
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
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), {3, 4}}, {T(2, 3), -1}",
    .doc = "view(x, shape) -> tensor\n"
           "The same elements in another shape, sharing memory; one size may be -1. An error when the strides of x do "
           "not allow it.",
};

const peri_op peri_op_view_as = {
    .name = "view_as",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"other", PERI_KIND_TENSOR, .shape_only = true}},
    .infer = infer_view,
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), T(3, 4)}, {T(4), T(2, 2)}",
    .doc = "view_as(x, other) -> tensor\n"
           "The same elements in the shape of other, sharing memory: x:view(other.shape).",
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
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), {3, 4}}, {T(3, 4):t(), {2, -1}}",
    .doc =
        "reshape(x, shape) -> tensor\n"
        "The same elements in another shape; one size may be -1. A view of x where its strides allow it, else a copy.",
};

const peri_op peri_op_reshape_as = {
    .name = "reshape_as",
    .flags = PERI_OP_ALLOCATES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"other", PERI_KIND_TENSOR, .shape_only = true}},
    .infer = infer_reshape,
    .run = run_reshape,
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), T(3, 4)}, {T(3, 4):t(), T(2, 6)}",
    .doc = "reshape_as(x, other) -> tensor\n"
           "The same elements in the shape of other: x:reshape(other.shape). A view of x where its strides allow it, "
           "else a copy.",
};

static peri_status infer_flatten(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int first = 0, last = x->ndim - 1;
  if (x->ndim > 0) PERI_TRY(peri_infer_dim(call, 1, x->ndim, &first));
  if (x->ndim > 0 && call->args[2].given) PERI_TRY(peri_infer_dim(call, 2, x->ndim, &last));
  if (last < first && x->ndim > 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "end_dim is %d, before dim %d", last + 1, first + 1);
  }
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, (size_t)first * sizeof(int64_t));
  shape[first] = 1;
  for (int d = first; d <= last; d++) shape[first] *= x->shape[d];
  int rest = x->ndim - 1 - last;
  if (rest > 0) memcpy(shape + first + 1, x->shape + last + 1, (size_t)rest * sizeof(int64_t));
  PERI_TRY(peri_infer_output(call, 0, x->dtype, first + 1 + rest, shape));
  peri_layout trial = call->outputs[0].layout;
  call->note[0] = strides_without_copy(x, &trial);
  return PERI_OK;
}
const peri_op peri_op_flatten = {
    .name = "flatten",
    .also = "ravel",
    .flags = PERI_OP_ALLOCATES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"end_dim", PERI_KIND_DIM, .optional = true, .otherwise = -1}},
    .infer = infer_flatten,
    .run = run_reshape,
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4)}, {T(2, 3, 4), 2}, {T()}, {T(2, 3, 4), 1, 2}",
    .doc = "flatten(x, dim = 1, end_dim = -1) -> tensor\n"
           "The dimensions from dim to end_dim as one. A view where possible, else a copy. Also called ravel.",
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
    .grad = PERI_FULL(peri_grad_pass),
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
    .grad = PERI_FULL(peri_grad_pass),
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

const peri_op *const peri_ops_view[] = {&peri_op_view,       &peri_op_view_as, &peri_op_reshape,
                                        &peri_op_reshape_as, &peri_op_flatten, &peri_op_clone,
                                        &peri_op_contiguous, &peri_op_detach,  NULL};
