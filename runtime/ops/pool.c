/* The largest of windows, and what all pooling shares. */
#include "ops/pool.h"
#include "ops/rows.h"

/* ---- windows ---- */

peri_status peri_pool_check(peri_call *call, int dims) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  bool right = x->ndim == dims + 1 || x->ndim == dims + 2;
  for (int d = x->ndim - dims; right && d < x->ndim; d++) right = x->shape[d] > 0;
  if (right) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected %s, with elements)",
                        peri_shape_text(x->ndim, x->shape, text),
                        dims == 1 ? "N x C x L or C x L" : "N x C x H x W or C x H x W");
}

peri_status peri_pool_range(peri_call *call, int arg, int64_t least) {
  const peri_arg *sizes = &call->args[arg];
  for (int i = 0; sizes->given && i < sizes->count; i++) {
    if (sizes->sizes[i] >= least && sizes->sizes[i] <= INT32_MAX) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld (expected %lld to %d)", call->op->params[arg].name,
                          (long long)sizes->sizes[i], (long long)least, INT32_MAX);
  }
  return PERI_OK;
}

static int64_t size_of(const peri_arg *arg, int i, int64_t otherwise) { return arg->given ? arg->sizes[i] : otherwise; }

void peri_pool_windows(const peri_arg *args, int first, bool dilated, int dims, const int64_t *sizes,
                       peri_windows windows[2]) {
  windows[0] = (peri_windows){.n = 1, .count = 1, .size = 1, .stride = 1, .dilation = 1};
  for (int i = 0; i < dims; i++) {
    peri_windows *w = &windows[2 - dims + i];
    w->n = sizes[i];
    w->size = args[first].sizes[i];
    w->stride = size_of(&args[first + 1], i, w->size);
    w->padding = size_of(&args[first + 2], i, 0);
    w->dilation = dilated ? size_of(&args[first + 3], i, 1) : 1;
  }
}

static const char *name_of_dimension(int dims, int i) {
  static const char *const names[] = {"rows", "columns"};
  return dims == 1 ? "elements" : names[i];
}

/* Padding and dilation may leave a window nothing but padding. */
static bool is_empty(const peri_windows *w, int64_t i) {
  int64_t start = i * w->stride - w->padding;
  int64_t from = start >= 0 ? 0 : (w->dilation - 1 - start) / w->dilation;
  return from >= w->size || start + from * w->dilation >= w->n;
}

static peri_status count_windows(peri_call *call, bool ceil_mode, const char *dimension, peri_windows *w) {
  int64_t span = (w->size - 1) * w->dilation + 1, padded = w->n + 2 * w->padding;
  if (w->padding > w->size / 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "padding is %lld (expected at most half of kernel_size, %lld)",
                          (long long)w->padding, (long long)w->size);
  }
  int64_t room = padded - span + (ceil_mode ? w->stride - 1 : 0);
  if (room < 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "x has %lld %s with padding, but a window of kernel_size %lld spans %lld", (long long)padded,
                          dimension, (long long)w->size, (long long)span);
  }
  w->count = room / w->stride + 1;
  if ((w->count - 1) * w->stride >= w->n + w->padding) w->count--; /* none begins in the padding behind x */
  /* only one that begins in the padding before x can have nothing of it, where dilation exceeds x: then padding is 1 */
  for (int64_t i = 0; w->dilation > w->n && i < w->count && i * w->stride < w->padding; i++) {
    if (!is_empty(w, i)) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "a window has padding alone: x has %lld %s, kernel_size is %lld, padding %lld, dilation %lld",
                          (long long)w->n, dimension, (long long)w->size, (long long)w->padding,
                          (long long)w->dilation);
  }
  return PERI_OK;
}

peri_status peri_pool_count(peri_call *call, bool dilated, bool ceil_mode, peri_windows windows[2]) {
  int dims = call->op->id;
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_pool_check(call, dims));
  PERI_TRY(peri_pool_range(call, 1, 1));
  PERI_TRY(peri_pool_range(call, 2, 1));
  PERI_TRY(peri_pool_range(call, 3, 0));
  if (dilated) PERI_TRY(peri_pool_range(call, 4, 1));
  peri_pool_windows(call->args, 1, dilated, dims, x->shape + x->ndim - dims, windows);
  for (int i = 0; i < dims; i++)
    PERI_TRY(count_windows(call, ceil_mode, name_of_dimension(dims, i), &windows[2 - dims + i]));
  return PERI_OK;
}

peri_status peri_pool_output(peri_call *call, int output, peri_dtype dtype, int dims, const int64_t sizes[2]) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  for (int i = 0; i < dims; i++) shape[x->ndim - dims + i] = sizes[2 - dims + i];
  return peri_infer_output(call, output, dtype, x->ndim, shape);
}

int64_t peri_pool_planes(const peri_layout *x, int dims) {
  int64_t planes = 1;
  for (int d = 0; d < x->ndim - dims; d++) planes *= x->shape[d];
  return planes;
}

void peri_pool_hand_on(peri_call *call, int to, const peri_arg *args, int from, int count) {
  for (int i = 0; i < count; i++) {
    if (args[from + i].given) peri_call_sizes(call, to + i, args[from + i].count, args[from + i].sizes);
  }
}

/* ---- the largest ----
 * The place of the largest within its window is all that the gradient needs: a byte, where windows are not huge. It is
 * the last output. */

static peri_status infer_max(peri_call *call) {
  peri_windows windows[2];
  PERI_TRY(peri_pool_count(call, true, call->args[5].integer, windows));
  const peri_dtype dtype = call->args[0].tensor->layout.dtype, place = peri_pool_place_dtype(windows);
  const int64_t counts[2] = {windows[0].count, windows[1].count};
  const int last = call->op->outputs - 1;
  PERI_TRY(peri_pool_output(call, 0, dtype, call->op->id, counts));
  if (last == 2) PERI_TRY(peri_pool_output(call, 1, PERI_INT64, call->op->id, counts));
  PERI_TRY(peri_pool_output(call, last, place, call->op->id, counts));
  if (last == 2 && !call->recording)
    call->workspace_bytes = (size_t)call->outputs[last].layout.numel * peri_dtype_size(place);
  return PERI_OK;
}

static peri_status run_max(peri_call *call) {
  peri_tensor *x, *y = call->outputs[0].tensor, *place = call->outputs[call->op->outputs - 1].tensor;
  int dims = call->op->id;
  peri_windows windows[2];
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &x));
  peri_pool_windows(call->args, 1, true, dims, x->layout.shape + x->layout.ndim - dims, windows);
  peri_pool_take_counts(&y->layout, dims, windows);
  void *places = place != NULL ? (void *)place->data : call->workspace;
  int64_t planes = peri_pool_planes(&x->layout, dims);
  peri_status status = peri_max_pool(call->context, x->layout.dtype, planes, windows, x->data, y->data, places);
  if (status == PERI_OK && call->op->outputs == 3) {
    status =
        peri_max_pool_index(call->context, planes, windows, places, (int64_t *)(void *)call->outputs[1].tensor->data);
  }
  peri_tensor_release(&x);
  return status;
}

static const peri_op scatter_row, gather_row;

static peri_status grad_max(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  int dims = B->op->id;
  if (B->grad_outputs[0] == NULL) return PERI_OK;
  peri_call call;
  peri_step_open(B, &call, &scatter_row, 2,
                 (peri_value[]){peri_of(B->grad_outputs[0]), peri_of(B->outputs[B->op->outputs - 1])});
  peri_call_sizes(&call, 2, dims, x->shape + x->ndim - dims);
  peri_pool_hand_on(&call, 3, B->args, 1, 4);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

/* ---- to the places and from them: each is the other's gradient ---- */

static peri_status infer_scatter(peri_call *call) {
  const peri_arg *sizes = &call->args[2];
  const int64_t both[2] = {sizes->sizes[0], sizes->sizes[sizes->count - 1]};
  return peri_pool_output(call, 0, call->args[0].tensor->layout.dtype, sizes->count, both);
}

typedef peri_status (*visit)(peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows windows[2],
                             const void *from, const void *place, void *to);

/* from is the row's first argument; its windows are in a plane of those sizes. */
static peri_status run_visit(peri_call *call, visit move, int first, int dims, const int64_t *sizes,
                             const peri_layout *y) {
  peri_tensor *from, *place;
  peri_windows windows[2];
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &from));
  peri_status status = peri_tensor_contiguous(call->args[1].tensor, &place);
  if (status == PERI_OK) {
    peri_pool_windows(call->args, first, true, dims, sizes, windows);
    peri_pool_take_counts(y, dims, windows);
    status = move(call->context, from->layout.dtype, peri_pool_planes(&from->layout, dims), windows, from->data,
                  place->data, call->outputs[0].tensor->data);
    peri_tensor_release(&place);
  }
  peri_tensor_release(&from);
  return status;
}

static peri_status run_scatter(peri_call *call) {
  const peri_arg *sizes = &call->args[2];
  return run_visit(call, peri_max_pool_scatter, 3, sizes->count, sizes->sizes, &call->args[0].tensor->layout);
}

static peri_status grad_scatter(peri_backward *B) {
  peri_call call;
  peri_step_open(B, &call, &gather_row, 2, (peri_value[]){peri_of(B->grad_outputs[0]), peri_of(B->args[1].tensor)});
  peri_pool_hand_on(&call, 2, B->args, 3, 4);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

#define PLACED_PARAMS                                                                                                  \
  {"kernel_size", PERI_KIND_SHAPE}, PERI_POOL_SIZE("stride", 0), PERI_POOL_SIZE("padding", 0),                         \
      PERI_POOL_SIZE("dilation", 0)

static const peri_op scatter_row = {
    .name = "max_pool_scatter",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"y", PERI_KIND_TENSOR}, {"place", PERI_KIND_TENSOR}, {"sizes", PERI_KIND_SHAPE}, PLACED_PARAMS},
    .infer = infer_scatter,
    .run = run_scatter,
    .grad = PERI_FULL(grad_scatter),
    .doc = "max_pool_scatter(y, place, sizes, kernel_size, stride, padding, dilation) -> tensor\n"
           "Zeros with each y added where its window's largest element stood: the gradient of max_pool2d.",
};

static peri_status infer_gather(peri_call *call) {
  const peri_layout *place = &call->args[1].tensor->layout;
  return peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, place->ndim, place->shape);
}

static peri_status run_gather(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dims = call->args[2].count;
  return run_visit(call, peri_max_pool_gather, 2, dims, x->shape + x->ndim - dims, &call->args[1].tensor->layout);
}

static peri_status grad_gather(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  int dims = B->args[2].count;
  peri_call call;
  peri_step_open(B, &call, &scatter_row, 2, (peri_value[]){peri_of(B->grad_outputs[0]), peri_of(B->args[1].tensor)});
  peri_call_sizes(&call, 2, dims, x->shape + x->ndim - dims);
  peri_pool_hand_on(&call, 3, B->args, 2, 4);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static const peri_op gather_row = {
    .name = "max_pool_gather",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"place", PERI_KIND_TENSOR}, PLACED_PARAMS},
    .infer = infer_gather,
    .run = run_gather,
    .grad = PERI_FULL(grad_gather),
    .doc = "max_pool_gather(x, place, kernel_size, stride, padding, dilation) -> tensor\n"
           "The elements of x where the largest of their windows stood.",
};

/* ---- the rows ---- */

#define MAX_PARAMS(dims)                                                                                               \
  PERI_POOL_PARAMS(dims), PERI_POOL_SIZE("dilation", dims), { "ceil_mode", PERI_KIND_BOOL, .optional = true }
#define MAX_DOC                                                                                                        \
  "stride is kernel_size where it is left out. A window has the elements at distances of dilation, padding none; "     \
  "with ceil_mode a last one may reach beyond the padding. "
#define LARGEST_DOC                                                                                                    \
  "NaN counts as the largest; the first of equal elements gets the gradient. Floats only.\n"                           \
  "Errors: a window larger than x with its padding; padding of more than half of kernel_size."
#define MAX_SAMPLE_2D                                                                                                  \
  "{T(2, 3, 4, 6), 2}, {T(3, 5, 4), {3, 2}, 2, 1}, {T(1, 2, 7, 7), 3, {2, 1}, {1, 0}, {1, 2}, true}, "                 \
  "{T(2, 1, 6, 6), 3, {stride = 2, padding = 1}}"

const peri_op peri_op_max_pool2d = {
    .name = "max_pool2d",
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {MAX_PARAMS(2)},
    .infer = infer_max,
    .run = run_max,
    .grad = PERI_FULL(grad_max),
    .low = -1,
    .high = 1,
    .sample = MAX_SAMPLE_2D,
    .doc = "max_pool2d(x, kernel_size, stride = kernel_size, padding = 0, dilation = 1, ceil_mode = false) -> tensor\n"
           "The largest element of each window of N x C x H x W, or C x H x W; sizes are numbers or {height, "
           "width}. " MAX_DOC LARGEST_DOC,
    .id = 2,
};
const peri_op peri_op_max_pool2d_with_indices = {
    .name = "max_pool2d_with_indices",
    .saves = PERI_SAVE_OUTPUT(2) | PERI_HIDDEN_OUTPUT(2),
    .outputs = 3,
    .params = {MAX_PARAMS(2)},
    .infer = infer_max,
    .run = run_max,
    .grad = PERI_FULL(grad_max),
    .low = -1,
    .high = 1,
    .sample = MAX_SAMPLE_2D,
    .doc =
        "max_pool2d_with_indices(x, kernel_size, stride = kernel_size, padding = 0, dilation = 1, ceil_mode = "
        "false) -> values, indices\n"
        "max_pool2d, and where the largest elements stand in their planes: int64, counted from 1 row by row. Errors: as "
        "max_pool2d's.",
    .id = 2,
};
const peri_op peri_op_max_pool1d = {
    .name = "max_pool1d",
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {MAX_PARAMS(1)},
    .infer = infer_max,
    .run = run_max,
    .grad = PERI_FULL(grad_max),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 6), 2}, {T(3, 7), 3, 2, 1}, {T(1, 2, 9), 3, {1}, 1, 2, true}",
    .doc = "max_pool1d(x, kernel_size, stride = kernel_size, padding = 0, dilation = 1, ceil_mode = false) -> tensor\n"
           "The largest element of each window of N x C x L, or C x L. " MAX_DOC LARGEST_DOC,
    .id = 1,
};

const peri_op *const peri_ops_pool[] = {&peri_op_max_pool1d, &peri_op_max_pool2d, &peri_op_max_pool2d_with_indices,
                                        &scatter_row,        &gather_row,         NULL};
