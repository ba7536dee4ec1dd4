/* Padding of the last dimensions. */
#include "kernels/pad.h"
#include "ops/rows.h"

enum { X, SIZES, MODE, VALUE };
enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };
#define MODES "constant reflect replicate circular"

/* ---- what is padded ---- */

/* How much comes before dimension d of ndim, and behind it: sizes have the last dimension first. */
static void sides_of(const peri_arg *sizes, int ndim, int d, int64_t *before, int64_t *behind) {
  const int at = 2 * (ndim - 1 - d);
  *before = at < sizes->count ? sizes->sizes[at] : 0;
  *behind = at < sizes->count ? sizes->sizes[at + 1] : 0;
}

/* Where element p of the padded dimension, counted from the first of x, is in x. */
static int64_t place(int mode, int64_t p, int64_t n) {
  if (p >= 0 && p < n) return p;
  switch (mode) {
  case REFLECT:
    return p < 0 ? -p : 2 * (n - 1) - p;
  case REPLICATE:
    return p < 0 ? 0 : n - 1;
  case CIRCULAR:
    return p < 0 ? p + n : p - n;
  default:
    return -1;
  }
}

/* Fills the padding of a tensor of that shape, whose maps go to `room` (map_bytes). Dimensions before those that are
 * padded are outer, those behind are units. */
static void set_padding(const peri_arg *sizes, int mode, int ndim, const int64_t *shape, int64_t *room,
                        peri_padding *padding) {
  int64_t before[PERI_MAX_DIMS], behind[PERI_MAX_DIMS];
  int first = ndim, last = -1;
  for (int d = 0; d < ndim; d++) {
    sides_of(sizes, ndim, d, &before[d], &behind[d]);
    if (before[d] == 0 && behind[d] == 0) continue;
    first = first < d ? first : d;
    last = d;
  }
  *padding = (peri_padding){.outer = 1, .unit = 1};
  for (int d = 0; d < first && last >= 0; d++) padding->outer *= shape[d];
  for (int d = last + 1; d < ndim; d++) padding->unit *= shape[d];
  for (int d = first; d <= last; d++) {
    const int at = padding->dims++;
    padding->n[at] = shape[d];
    padding->count[at] = shape[d] + before[d] + behind[d];
    padding->map[at] = room;
    for (int64_t i = 0; i < padding->count[at]; i++) *room++ = place(mode, i - before[d], shape[d]);
  }
  if (last >= 0) return;
  padding->dims = 1; /* nothing is padded: x is one unit */
  padding->n[0] = padding->count[0] = 1;
  padding->map[0] = room;
  *room = 0;
}

/* Of all padded dimensions together, and one. */
static size_t map_bytes(int ndim, const int64_t *padded, const peri_arg *sizes) {
  size_t numbers = 1;
  for (int d = ndim - sizes->count / 2; d < ndim; d++) numbers += (size_t)padded[d];
  return numbers * sizeof(int64_t);
}

/* ---- checks ---- */

static peri_status check_side(peri_call *call, int64_t side, int64_t n, int dim) {
  const int mode = (int)call->args[MODE].integer;
  const bool limited = mode == REFLECT || mode == CIRCULAR || (mode == REPLICATE && n == 0);
  const int64_t most = limited ? peri_max(0, n - (mode == REFLECT)) : INT64_MAX;
  if (side >= -n && side <= most) return PERI_OK;
  if (!limited) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "sizes has %lld for dimension %d of %lld elements (expected at least "
                          "%lld)",
                          (long long)side, dim + 1, (long long)n, (long long)-n);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "sizes has %lld for dimension %d of %lld elements (expected %lld to %lld)", (long long)side,
                        dim + 1, (long long)n, (long long)-n, (long long)most);
}

/* The shape once it is padded. */
static peri_status find_shape(peri_call *call, int64_t *shape) {
  const peri_layout *x = &call->args[X].tensor->layout;
  const peri_arg *sizes = &call->args[SIZES];
  if (sizes->count % 2 != 0 || sizes->count / 2 > x->ndim) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "sizes has %d numbers (expected two for each dimension, of %d)",
                          sizes->count, x->ndim);
  }
  for (int d = 0; d < x->ndim; d++) {
    int64_t before, behind;
    sides_of(sizes, x->ndim, d, &before, &behind);
    PERI_TRY(check_side(call, before, x->shape[d], d));
    PERI_TRY(check_side(call, behind, x->shape[d], d));
    if (__builtin_add_overflow(x->shape[d], before, &shape[d]) || __builtin_add_overflow(shape[d], behind, &shape[d]) ||
        shape[d] < 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%lld and %lld elements at dimension %d of %lld leave no size",
                            (long long)before, (long long)behind, d + 1, (long long)x->shape[d]);
    }
  }
  return PERI_OK;
}

/* ---- the row ---- */

static peri_status infer_pad(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(find_shape(call, shape));
  if (call->args[VALUE].given && call->args[MODE].integer != CONSTANT) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "value is given, but mode is not constant");
  }
  PERI_TRY(peri_infer_fits(call, VALUE, x->dtype));
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, shape));
  call->workspace_bytes = call->outputs[0].layout.numel == 0 ? 0 : map_bytes(x->ndim, shape, &call->args[SIZES]);
  return PERI_OK;
}

static peri_status run_pad(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor;
  peri_padding padding;
  char element[8];
  if (y->layout.numel == 0) return PERI_OK;
  peri_arg_store(&call->args[VALUE], y->layout.dtype, element);
  PERI_TRY(peri_tensor_contiguous(call->args[X].tensor, &x));
  set_padding(&call->args[SIZES], (int)call->args[MODE].integer, x->layout.ndim, x->layout.shape, call->workspace,
              &padding);
  peri_status status = peri_pad(call->context, &padding, peri_dtype_size(y->layout.dtype), element, x->data, y->data);
  peri_tensor_release(&x);
  return status;
}

static const peri_op back_row;

/* What was added is cut off again. */
static peri_value cut(peri_backward *B, peri_value g, const peri_arg *sizes) {
  peri_call call;
  int64_t turned[PERI_MAX_DIMS];
  for (int i = 0; i < sizes->count; i++) turned[i] = -sizes->sizes[i];
  peri_step_open(B, &call, &peri_op_pad, 1, &g);
  peri_call_sizes(&call, SIZES, sizes->count, turned);
  return peri_step_run(B, &call);
}

static peri_status grad_pad(peri_backward *B) {
  const peri_layout *x = B->layouts[X];
  peri_value g = peri_of(B->grad_outputs[0]);
  if (B->args[MODE].integer == CONSTANT) {
    peri_answer(B, X, cut(B, g, &B->args[SIZES]));
    return PERI_OK;
  }
  peri_call call;
  peri_step_open(B, &call, &back_row, 1, &g);
  peri_call_sizes(&call, SIZES, B->args[SIZES].count, B->args[SIZES].sizes);
  call.args[MODE] = B->args[MODE];
  peri_call_sizes(&call, 3, x->ndim, x->shape);
  peri_answer(B, X, peri_step_run(B, &call));
  return PERI_OK;
}

const peri_op peri_op_pad = {
    .name = "pad",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"sizes", PERI_KIND_SHAPE},
               {"mode", PERI_KIND_CHOICE, .optional = true, .choices = MODES},
               {"value", PERI_KIND_NUMBER, .optional = true}},
    .infer = infer_pad,
    .run = run_pad,
    .grad = PERI_FULL(grad_pad),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), {1, 2}}, {T(2, 3, 4), {1, 0, 2, 1}, 'constant', 1}, {T(2, 3, 4), {2, 3, 1, 2}, 'reflect'}, "
              "{T(3, 4), {2, 1, 0, 3}, {mode = 'replicate'}}, {T(2, 3, 4), {4, 1, 2, 3}, 'circular'}, "
              "{T(3, 5), {-1, 2}, {value = -1}}, {T(2, 5, 3), {0, 0, -2, 4}, 'reflect'}",
    .doc =
        "pad(x, sizes, mode = 'constant', value = 0) -> tensor\n"
        "Elements before and behind the last dimensions: sizes are two numbers for each, the last dimension first "
        "(before, behind), of up to four dimensions; a negative number cuts off. mode says which: value, those of x "
        "in reverse order without the outermost (reflect), the outermost (replicate), or those of the other end "
        "(circular). Every dtype.\n"
        "Errors: an odd count of sizes, or more than x has dimensions; what leaves no size; more elements than x has "
        "for reflect (less one) and circular; a value that is none of the dtype, or given for another mode.",
};

/* ---- the gradient of what repeats elements ---- */

static peri_status infer_back(peri_call *call) {
  const peri_layout *gy = &call->args[0].tensor->layout;
  const peri_arg *shape = &call->args[3];
  call->workspace_bytes = map_bytes(gy->ndim, gy->shape, &call->args[SIZES]);
  return peri_infer_output(call, 0, gy->dtype, shape->count, shape->sizes);
}

static peri_status run_back(peri_call *call) {
  peri_tensor *gy, *gx = call->outputs[0].tensor;
  peri_padding padding;
  if (gx->layout.numel == 0) return PERI_OK;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &gy));
  set_padding(&call->args[SIZES], (int)call->args[MODE].integer, gx->layout.ndim, gx->layout.shape, call->workspace,
              &padding);
  peri_status status = peri_pad_backward(call->context, gx->layout.dtype, &padding, gy->data, gx->data);
  peri_tensor_release(&gy);
  return status;
}

static peri_status grad_back(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_pad, 1, &g);
  peri_call_sizes(&call, SIZES, B->args[SIZES].count, B->args[SIZES].sizes);
  call.args[MODE] = B->args[MODE];
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static const peri_op back_row = {
    .name = "pad_backward",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"gy", PERI_KIND_TENSOR},
               {"sizes", PERI_KIND_SHAPE},
               {"mode", PERI_KIND_CHOICE, .choices = MODES},
               {"shape", PERI_KIND_SHAPE}},
    .infer = infer_back,
    .run = run_back,
    .grad = PERI_FULL(grad_back),
    .doc =
        "pad_backward(gy, sizes, mode, shape) -> tensor\n"
        "The gradient of pad in a mode that repeats elements of x, of that shape: each gy added where its element was.",
};

const peri_op *const peri_ops_pad[] = {&peri_op_pad, &back_row, NULL};
