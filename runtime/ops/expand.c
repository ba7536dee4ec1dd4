/* Rows that repeat sizes of 1, put them in or take them away, or see one size as several: views. */
#include "ops/view.h"
#include "ops/rows.h"

static peri_status expand_to(peri_call *call, int n, const int64_t *shape) {
  const peri_layout *x = peri_input(call);
  peri_layout *y = peri_same_layout(call);
  int shift = n - x->ndim;
  char from[PERI_SHAPE_TEXT], to[PERI_SHAPE_TEXT];
  bool fits = shift >= 0;
  y->ndim = n;
  for (int d = 0; fits && d < n; d++) {
    int64_t own = d < shift ? 1 : x->shape[d - shift];
    int64_t size = shape[d] == -1 && d >= shift ? own : shape[d];
    fits = size >= 0 && (size == own || own == 1);
    y->shape[d] = size;
    y->strides[d] = d < shift || (own == 1 && size != 1) ? 0 : x->strides[d - shift];
  }
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s cannot be expanded to %s",
                          peri_shape_text(x->ndim, x->shape, from), peri_shape_text(n, shape, to));
  }
  int64_t strides[PERI_MAX_DIMS], offset = y->offset;
  memcpy(strides, y->strides, sizeof strides);
  PERI_TRY(peri_layout_contiguous(call->context, call->op->name, y)); /* the count must not overflow */
  memcpy(y->strides, strides, sizeof strides);
  y->offset = offset;
  return PERI_OK;
}
static peri_status infer_expand(peri_call *call) {
  const peri_arg *shape = &call->args[1];
  if (shape->tensor == NULL) return expand_to(call, shape->count, shape->sizes);
  return expand_to(call, shape->tensor->layout.ndim, shape->tensor->layout.shape);
}
const peri_op peri_op_expand = {
    .name = "expand",
    .also = "broadcast_to",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"shape", PERI_KIND_SHAPE}},
    .infer = infer_expand,
    .grad = PERI_FULL(peri_grad_pass),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 1), {2, 3, 4}}, {T(1, 3), {5, -1}}",
    .doc = "expand(x, shape) -> tensor\n"
           "Dimensions of size 1 repeated to the sizes of shape without copying (-1 keeps a size). A view. Also called "
           "broadcast_to.",
};
const peri_op peri_op_expand_as = {
    .name = "expand_as",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"other", PERI_KIND_TENSOR, .shape_only = true}},
    .infer = infer_expand,
    .grad = PERI_FULL(peri_grad_pass),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 1), T(2, 3, 4)}, {T(3), T(2, 3)}",
    .doc = "expand_as(x, other) -> tensor\n"
           "Dimensions of size 1 repeated to the shape of other without copying: x:expand(other.shape). A view.",
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
    .grad = PERI_FULL(peri_grad_reshape),
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
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3), 1}, {T(2, 3), -1}",
    .doc = "unsqueeze(x, dim) -> tensor\nA dimension of size 1 put in at dim. A view.",
};

static peri_status infer_unflatten(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *sizes = &call->args[2];
  peri_layout *y = peri_same_layout(call);
  int dim, n = sizes->count, open = -1;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  if (x->ndim - 1 + n > PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result would have %d dimensions (expected at most %d)",
                          x->ndim - 1 + n, PERI_MAX_DIMS);
  }
  int64_t known = 1, size = x->shape[dim];
  bool fits = n > 0;
  for (int i = 0; i < n; i++) {
    if (sizes->sizes[i] == -1 && open < 0) {
      open = i;
    } else {
      fits = fits && sizes->sizes[i] >= 0 && !__builtin_mul_overflow(known, sizes->sizes[i], &known);
    }
  }
  fits = fits && (open < 0 ? known == size : known != 0 && size % known == 0);
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dimension %d of size %lld does not split into %s", dim + 1,
                          (long long)size, peri_shape_text(n, sizes->sizes, text));
  }
  int64_t stride = x->strides[dim];
  for (int d = x->ndim - 1; d > dim; d--) {
    y->shape[d - 1 + n] = x->shape[d];
    y->strides[d - 1 + n] = x->strides[d];
  }
  for (int i = n - 1; i >= 0; i--) {
    y->shape[dim + i] = i == open ? size / known : sizes->sizes[i];
    y->strides[dim + i] = stride;
    stride *= peri_max(y->shape[dim + i], 1);
  }
  y->ndim = x->ndim - 1 + n;
  return PERI_OK;
}
const peri_op peri_op_unflatten = {
    .name = "unflatten",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, {"sizes", PERI_KIND_SHAPE}},
    .infer = infer_unflatten,
    .grad = PERI_FULL(peri_grad_reshape),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 6), 2, {3, 2}}, {T(4, 3), 1, -1, 2}",
    .doc =
        "unflatten(x, dim, sizes) -> tensor\n"
        "Dimension dim as several of those sizes, one of which may be -1. A view. An error when their product is not "
        "its size.",
};

/* ---- at least so many dimensions: views with sizes of 1, where NumPy puts them ---- */

void peri_layout_lift(peri_layout *y, int dims) {
  const int own = y->ndim, before = own == 1 && dims > 1; /* a vector is a row */
  if (own >= dims) return;
  int64_t shape[3] = {1, 1, 1}, strides[3] = {1, 1, 1};
  for (int d = 0; d < own; d++) {
    shape[before + d] = y->shape[d];
    strides[before + d] = y->strides[d];
  }
  memcpy(y->shape, shape, (size_t)dims * sizeof *shape);
  memcpy(y->strides, strides, (size_t)dims * sizeof *strides);
  y->ndim = dims;
}

static peri_status infer_atleast_1d(peri_call *call) {
  peri_layout_lift(peri_same_layout(call), 1);
  return PERI_OK;
}
static peri_status infer_atleast_2d(peri_call *call) {
  peri_layout_lift(peri_same_layout(call), 2);
  return PERI_OK;
}
static peri_status infer_atleast_3d(peri_call *call) {
  peri_layout_lift(peri_same_layout(call), 3);
  return PERI_OK;
}
#define ATLEAST(dims, what)                                                                                            \
  const peri_op peri_op_atleast_##dims##d = {                                                                          \
      .name = "atleast_" #dims "d",                                                                                    \
      .flags = PERI_OP_VIEW,                                                                                           \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_atleast_##dims##d,                                                                                \
      .grad = PERI_FULL(peri_grad_reshape),                                                                            \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T()}, {T(3)}, {T(2, 3)}, {T(2, 3, 4)}",                                                              \
      .doc = "atleast_" #dims "d(x) -> tensor\n" what " A view.",                                                      \
  }
ATLEAST(1, "x, where it has no dimensions as a vector of one.");
ATLEAST(2, "x, where it has fewer than two dimensions as a matrix of one row.");
ATLEAST(3,
        "x, where it has fewer than three dimensions with sizes of 1: a vector of n as 1 x n x 1, a matrix of m x n as "
        "m x n x 1.");

const peri_op *const peri_ops_expand[] = {&peri_op_expand,     &peri_op_expand_as,  &peri_op_squeeze,
                                          &peri_op_unsqueeze,  &peri_op_unflatten,  &peri_op_atleast_1d,
                                          &peri_op_atleast_2d, &peri_op_atleast_3d, NULL};
