/* Rows that copy their input with its entries in another order along dimensions: turned round and shifted. */
#include "ops/view.h"
#include "ops/rows.h"

/* The elements from the last to the first along a dimension; nothing is copied. */
static void reverse(peri_view *x, int64_t dim) {
  peri_layout *layout = &x->layout;
  if (layout->numel == 0) return;
  x->data += (layout->shape[dim] - 1) * layout->strides[dim] * (int64_t)peri_dtype_size(layout->dtype);
  layout->strides[dim] = -layout->strides[dim];
}

static peri_status infer_same(peri_call *call) {
  const peri_layout *x = peri_input(call);
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}

/* ---- flip: note 0 has a bit for each dimension that is turned round ---- */

static peri_status run_flip(peri_call *call) {
  peri_view x = call->args[0].tensor->view;
  for (int d = 0; d < x.layout.ndim; d++) {
    if (call->note[0] >> d & 1) reverse(&x, d);
  }
  return peri_view_copy_into(call->context, &call->outputs[0].tensor->view, &x);
}
static peri_status infer_flip(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *dims = &call->args[1];
  call->note[0] = 0;
  for (int i = 0; i < dims->count; i++) {
    int64_t wanted = dims->sizes[i], d = wanted < 0 ? wanted + x->ndim : wanted;
    if (d < 0 || d >= x->ndim || (call->note[0] >> d & 1)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT,
                            "dims has %lld (expected each of the dimensions of x, which has %d, once at most)",
                            (long long)(wanted < 0 ? wanted : wanted + 1), x->ndim);
    }
    call->note[0] |= (int64_t)1 << d;
  }
  return infer_same(call);
}
static peri_value step_flip(peri_backward *B, int64_t mask) {
  int64_t dims[PERI_MAX_DIMS];
  int count = 0;
  for (int d = 0; d < PERI_MAX_DIMS; d++) {
    if (mask >> d & 1) dims[count++] = d;
  }
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_flip, 1, &g);
  peri_call_sizes(&call, 1, count, dims);
  return peri_step_run(B, &call);
}
static peri_status grad_flip(peri_backward *B) {
  peri_answer(B, 0, step_flip(B, B->note[0]));
  return PERI_OK;
}
#define ROW_OF_FLIP .flags = PERI_OP_ELEMENTWISE, .outputs = 1, .run = run_flip, .grad = grad_flip, .low = -1, .high = 1
const peri_op peri_op_flip = {
    .name = "flip",
    ROW_OF_FLIP,
    .params = {{"x", PERI_KIND_TENSOR}, {"dims", PERI_KIND_DIMS}},
    .infer = infer_flip,
    .sample = "{T(3, 4), 1}, {T(2, 3, 4), {1, -1}}, {T(3, 4), {}}",
    .doc = "flip(x, dims) -> tensor\nx with its entries from the last to the first along each of dims. A copy.",
};

static peri_status infer_turned(peri_call *call, int dim) {
  if (peri_input(call)->ndim <= dim) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions (expected at least %d)", peri_input(call)->ndim,
                          dim + 1);
  }
  call->note[0] = (int64_t)1 << dim;
  return infer_same(call);
}
static peri_status infer_flipud(peri_call *call) { return infer_turned(call, 0); }
static peri_status infer_fliplr(peri_call *call) { return infer_turned(call, 1); }
const peri_op peri_op_flipud = {
    .name = "flipud",
    ROW_OF_FLIP,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_flipud,
    .sample = "{T(3, 4)}, {T(3)}",
    .doc = "flipud(x) -> tensor\nx upside down: flip along the first dimension.",
};
const peri_op peri_op_fliplr = {
    .name = "fliplr",
    ROW_OF_FLIP,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_fliplr,
    .sample = "{T(3, 4)}, {T(2, 3, 2)}",
    .doc = "fliplr(x) -> tensor\nx with left and right exchanged: flip along the second dimension.",
};

/* ---- rot90: note 0 is the number of quarter turns, 1 and 2 the plane ---- */

static peri_status infer_rot90(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *dims = &call->args[2];
  int64_t plane[2] = {0, 1}, shape[PERI_MAX_DIMS], turns = call->args[1].given ? call->args[1].integer : 1;
  for (int i = 0; i < 2; i++) {
    if (dims->given) plane[i] = dims->sizes[i] < 0 ? dims->sizes[i] + x->ndim : dims->sizes[i];
    if (plane[i] >= 0 && plane[i] < x->ndim && (i == 0 || plane[0] != plane[1])) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "dims must be two different dimensions of x, which has %d dimension%s", x->ndim,
                          x->ndim == 1 ? "" : "s");
  }
  call->note[0] = turns & 3; /* the remainder of a negative number too */
  memcpy(call->note + 1, plane, sizeof plane);
  memcpy(shape, x->shape, sizeof shape);
  if (turns & 1) {
    shape[plane[0]] = x->shape[plane[1]];
    shape[plane[1]] = x->shape[plane[0]];
  }
  return peri_infer_output(call, 0, x->dtype, x->ndim, shape);
}
static peri_status run_rot90(peri_call *call) {
  peri_view x = call->args[0].tensor->view;
  int64_t turns = call->note[0], a = call->note[1], b = call->note[2];
  if (turns == 1 || turns == 2) reverse(&x, b);
  if (turns == 2 || turns == 3) reverse(&x, a);
  if (turns & 1) {
    const peri_layout before = x.layout;
    x.layout.shape[a] = before.shape[b], x.layout.strides[a] = before.strides[b];
    x.layout.shape[b] = before.shape[a], x.layout.strides[b] = before.strides[a];
  }
  return peri_view_copy_into(call->context, &call->outputs[0].tensor->view, &x);
}
static peri_status grad_rot90(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_rot90, 1, &g);
  call.args[1].given = true;
  call.args[1].integer = -B->note[0];
  peri_call_sizes(&call, 2, 2, B->note + 1);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_rot90 = {
    .name = "rot90",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"k", PERI_KIND_INTEGER, .optional = true, .otherwise = 1},
               {"dims", PERI_KIND_DIMS, .optional = true, .count = 2}},
    .infer = infer_rot90,
    .run = run_rot90,
    .grad = grad_rot90,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3)}, {T(2, 3), 2}, {T(2, 3, 2), -1, {1, 3}}",
    .doc = "rot90(x, k = 1, dims = {1, 2}) -> tensor\n"
           "x turned by k quarters in the plane of two dimensions, from the first towards the second: a matrix against "
           "the clock; k below 0 turns back. A copy.",
};

/* ---- roll ----
 * Along each dimension the last entries come first: the result is two parts, 2^d for d dimensions. note k is the shift
 * of dimension k, from 0 to below its size. Without dims the elements are shifted as one row. */

static peri_status infer_roll(peri_call *call) {
  const peri_layout *x = peri_input(call);
  const peri_arg *shifts = &call->args[1], *dims = &call->args[2];
  memset(call->note, 0, sizeof call->note);
  if (shifts->count != (dims->given ? dims->count : 1)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "shifts has %d numbers (expected %d, one for each of dims%s)",
                          shifts->count, dims->given ? dims->count : 1, dims->given ? "" : ", or one without dims");
  }
  for (int i = 0; i < shifts->count; i++) {
    int64_t d = !dims->given ? 0 : dims->sizes[i] < 0 ? dims->sizes[i] + x->ndim : dims->sizes[i];
    if (dims->given && (d < 0 || d >= x->ndim)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims has %lld but x has %d dimensions",
                            (long long)(dims->sizes[i] < 0 ? dims->sizes[i] : dims->sizes[i] + 1), x->ndim);
    }
    int64_t size = peri_max(1, dims->given ? x->shape[d] : x->numel), shift = shifts->sizes[i] % size;
    if (shift < 0) shift += size;
    call->note[d] = (int64_t)(((uint64_t)call->note[d] + (uint64_t)shift) % (uint64_t)size);
  }
  return infer_same(call);
}

/* The part of the result that has, along each dimension, the entries that came from the end (bit 1) or the rest. */
static peri_status copy_part(peri_call *call, const peri_view *x, const peri_view *y, unsigned part) {
  peri_view from = *x, to = *y;
  int64_t bytes = (int64_t)peri_dtype_size(y->layout.dtype);
  for (int d = 0; d < y->layout.ndim; d++) {
    int64_t size = y->layout.shape[d], shift = call->note[d];
    bool end = part >> d & 1;
    int64_t count = end ? shift : size - shift;
    if (count == 0) return PERI_OK;
    from.data += (end ? size - shift : 0) * x->layout.strides[d] * bytes;
    to.data += (end ? 0 : shift) * y->layout.strides[d] * bytes;
    to.layout.shape[d] = count;
    from.layout.shape[d] = count;
  }
  return peri_view_copy_into(call->context, &to, &from);
}
static peri_status roll_parts(peri_call *call, const peri_view *x, const peri_view *y) {
  if (y->layout.numel == 0) return PERI_OK;
  for (unsigned part = 0; part < 1u << y->layout.ndim; part++) {
    unsigned still = 0; /* dimensions that are not shifted have no second part */
    for (int d = 0; d < y->layout.ndim; d++) still |= (unsigned)(call->note[d] == 0) << d;
    if ((part & still) == 0) PERI_TRY(copy_part(call, x, y, part));
  }
  return PERI_OK;
}
static peri_status run_roll(peri_call *call) {
  peri_view x = call->args[0].tensor->view, y = call->outputs[0].tensor->view;
  if (call->args[2].given) return roll_parts(call, &x, &y);
  peri_tensor *own;
  const char *data;
  PERI_TRY(peri_view_contiguous(call->context, &x, &data, &own));
  x.data = (char *)(uintptr_t)data;
  peri_layout_set(&x.layout, x.layout.dtype, 1, &y.layout.numel);
  peri_layout_set(&y.layout, x.layout.dtype, 1, &x.layout.numel);
  peri_status status = roll_parts(call, &x, &y);
  if (own != NULL) peri_tensor_release(&own);
  return status;
}
static peri_status grad_roll(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  int64_t back[PERI_MAX_DIMS], dims[PERI_MAX_DIMS];
  int n = B->args[2].given ? B->layouts[0]->ndim : 1;
  for (int d = 0; d < n; d++) {
    back[d] = -B->note[d];
    dims[d] = d;
  }
  peri_step_open(B, &call, &peri_op_roll, 1, &g);
  peri_call_sizes(&call, 1, n, back);
  if (B->args[2].given) peri_call_sizes(&call, 2, n, dims);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_roll = {
    .name = "roll",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"shifts", PERI_KIND_INTEGERS}, {"dims", PERI_KIND_DIMS, .optional = true}},
    .infer = infer_roll,
    .run = run_roll,
    .grad = grad_roll,
    .low = -1,
    .high = 1,
    .sample = "{T(7), 2}, {T(3, 4), -1, 2}, {T(3, 4), {1, 2}, {1, 2}}, {T(2, 3), 4}",
    .doc =
        "roll(x, shifts, dims) -> tensor\n"
        "x with its entries moved on by shifts (a number, or one for each of dims in a table) along dims; what leaves "
        "at an end comes in at the other. Without dims all elements are one row. A copy.",
};

const peri_op *const peri_ops_turn[] = {&peri_op_flip,  &peri_op_flipud, &peri_op_fliplr,
                                        &peri_op_rot90, &peri_op_roll,   NULL};
