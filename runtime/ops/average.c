/* Averages of windows: of one size (avg_pool), or of so many parts of x (adaptive_avg_pool). */
#include "ops/pool.h"
#include "ops/rows.h"

/* ---- what a window averages, along one dimension ---- */

/* With padding, it divides by what lies in x padded; without, by what lies in x. */
static void set_spans(const peri_windows *w, bool include_pad, peri_span *span) {
  for (int64_t i = 0; i < w->count; i++) {
    int64_t start = i * w->stride - w->padding, end = peri_min(start + w->size, w->n + w->padding);
    span[i].from = peri_max(0, start);
    span[i].to = peri_min(w->n, end);
    span[i].divisor = (double)(include_pad ? end - start : span[i].to - span[i].from);
  }
}

/* Part i of count: from floor(i n / count) to ceil((i + 1) n / count). */
static void set_parts(int64_t n, int64_t count, peri_span *span) {
  int64_t whole = n / count, rest = n % count;
  for (int64_t i = 0; i < count; i++) {
    span[i].from = i * whole + i * rest / count;
    span[i].to = (i + 1) * whole + ((i + 1) * rest + count - 1) / count;
    span[i].divisor = (double)(span[i].to - span[i].from);
  }
}

/* Room for the spans of both dimensions. */
static size_t span_bytes(const int64_t counts[2]) { return (size_t)(counts[0] + counts[1]) * sizeof(peri_span); }

typedef peri_status (*averaging)(peri_context *context, peri_dtype dtype, int64_t planes, const peri_spans spans[2],
                                 const void *from, void *to);

/* The first argument averaged into the output, or spread over it. */
static peri_status run_spans(peri_call *call, int dims, averaging average, const int64_t n[2],
                             const int64_t counts[2]) {
  const peri_span *span = call->workspace;
  const peri_spans spans[2] = {{n[0], counts[0], span}, {n[1], counts[1], span + counts[0]}};
  peri_tensor *from;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &from));
  peri_status status = average(call->context, from->layout.dtype, peri_pool_planes(&from->layout, dims), spans,
                               from->data, call->outputs[0].tensor->data);
  peri_tensor_release(&from);
  return status;
}

/* ---- windows of one size; divisor_override stands in place of all counts ---- */

enum { SIZE, STRIDE, PADDING, CEIL_MODE, INCLUDE_PAD, DIVISOR, ARGUMENTS }; /* arguments from the kernel's size on */

static peri_status infer_average(peri_call *call) {
  const peri_arg *args = call->args + 1;
  peri_windows windows[2];
  PERI_TRY(peri_pool_count(call, false, args[CEIL_MODE].integer, windows));
  if (args[DIVISOR].given && args[DIVISOR].integer == 0)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "divisor_override is 0 (expected another number)");
  const int64_t counts[2] = {windows[0].count, windows[1].count};
  PERI_TRY(peri_pool_output(call, 0, call->args[0].tensor->layout.dtype, call->op->id, counts));
  call->workspace_bytes = span_bytes(counts);
  return PERI_OK;
}

/* The windows of x that have results in y. */
static peri_status run_windows(peri_call *call, const peri_arg *args, int dims, averaging average, const peri_layout *x,
                               const peri_layout *y) {
  peri_windows windows[2];
  peri_pool_windows(args, SIZE, false, dims, x->shape + x->ndim - dims, windows);
  peri_pool_take_counts(y, dims, windows);
  const int64_t n[2] = {windows[0].n, windows[1].n}, counts[2] = {windows[0].count, windows[1].count};
  peri_span *down = call->workspace, *across = down + counts[0];
  set_spans(&windows[0], args[INCLUDE_PAD].integer, down);
  set_spans(&windows[1], args[INCLUDE_PAD].integer, across);
  for (int64_t i = 0; args[DIVISOR].given && i < counts[0]; i++) down[i].divisor = (double)args[DIVISOR].integer;
  for (int64_t i = 0; args[DIVISOR].given && i < counts[1]; i++) across[i].divisor = 1;
  return run_spans(call, dims, average, n, counts);
}

static peri_status run_average(peri_call *call) {
  return run_windows(call, call->args + 1, call->op->id, peri_average_pool, &call->args[0].tensor->layout,
                     &call->outputs[0].tensor->layout);
}

/* The arguments from the kernel's size on, from one row to the other. */
static void hand_on(peri_call *call, int to, const peri_arg *args) {
  peri_pool_hand_on(call, to, args, 0, PADDING + 1);
  for (int i = CEIL_MODE; i < ARGUMENTS; i++) {
    call->args[to + i].given = args[i].given;
    call->args[to + i].integer = args[i].integer;
  }
}

static const peri_op spread_row, spread_parts_row;

static peri_status grad_average(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_call call;
  peri_step_open(B, &call, &spread_row, 1, &g);
  peri_call_sizes(&call, 1, B->op->id, x->shape + x->ndim - B->op->id);
  hand_on(&call, 2, B->args + 1);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

/* ---- the gradient, whose own is the average again ---- */

/* An output of the sizes that argument 1 has, and room for as many windows as the first argument has results. */
static peri_status infer_spread(peri_call *call) {
  const peri_layout *y = &call->args[0].tensor->layout;
  const peri_arg *sizes = &call->args[1];
  const int64_t both[2] = {sizes->sizes[0], sizes->sizes[sizes->count - 1]};
  const int64_t counts[2] = {sizes->count == 1 ? 1 : y->shape[y->ndim - 2], y->shape[y->ndim - 1]};
  call->workspace_bytes = span_bytes(counts);
  return peri_pool_output(call, 0, y->dtype, sizes->count, both);
}

static peri_status run_spread(peri_call *call) {
  return run_windows(call, call->args + 2, call->args[1].count, peri_average_pool_spread,
                     &call->outputs[0].tensor->layout, &call->args[0].tensor->layout);
}

static peri_status grad_spread(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_call call;
  peri_step_open(B, &call, B->args[1].count == 1 ? &peri_op_avg_pool1d : &peri_op_avg_pool2d, 1, &g);
  hand_on(&call, 1, B->args + 2);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

#define AVERAGE_OPTIONS                                                                                                \
  {"ceil_mode", PERI_KIND_BOOL, .optional = true},                                                                     \
      {"count_include_pad", PERI_KIND_BOOL, .optional = true, .otherwise = 1}, {                                       \
    "divisor_override", PERI_KIND_INTEGER, .optional = true                                                            \
  }

static const peri_op spread_row = {
    .name = "avg_pool_spread",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"y", PERI_KIND_TENSOR},
               {"sizes", PERI_KIND_SHAPE},
               {"kernel_size", PERI_KIND_SHAPE},
               PERI_POOL_SIZE("stride", 0),
               PERI_POOL_SIZE("padding", 0),
               AVERAGE_OPTIONS},
    .infer = infer_spread,
    .run = run_spread,
    .grad = PERI_FULL(grad_spread),
    .doc = "avg_pool_spread(y, sizes, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) -> "
           "tensor\n"
           "Each y, divided as its window's sum is, added to the window's elements: the gradient of avg_pool2d.",
};

/* ---- so many parts ---- */

static peri_status infer_parts(peri_call *call) {
  int dims = call->op->id;
  const int64_t *sizes = call->args[1].sizes, counts[2] = {dims == 1 ? 1 : sizes[0], sizes[dims - 1]};
  PERI_TRY(peri_pool_check(call, dims));
  PERI_TRY(peri_pool_range(call, 1, 1));
  PERI_TRY(peri_pool_output(call, 0, call->args[0].tensor->layout.dtype, dims, counts));
  call->workspace_bytes = span_bytes(counts);
  return PERI_OK;
}

static peri_status run_all_parts(peri_call *call, int dims, averaging average, const peri_layout *x,
                                 const peri_layout *y) {
  const int64_t n[2] = {dims == 1 ? 1 : x->shape[x->ndim - 2], x->shape[x->ndim - 1]};
  const int64_t counts[2] = {dims == 1 ? 1 : y->shape[y->ndim - 2], y->shape[y->ndim - 1]};
  peri_span *span = call->workspace;
  set_parts(n[0], counts[0], span);
  set_parts(n[1], counts[1], span + counts[0]);
  return run_spans(call, dims, average, n, counts);
}

static peri_status run_parts(peri_call *call) {
  return run_all_parts(call, call->op->id, peri_average_pool, &call->args[0].tensor->layout,
                       &call->outputs[0].tensor->layout);
}

static peri_status grad_parts(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_call call;
  peri_step_open(B, &call, &spread_parts_row, 1, &g);
  peri_call_sizes(&call, 1, B->op->id, x->shape + x->ndim - B->op->id);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static peri_status run_spread_parts(peri_call *call) {
  return run_all_parts(call, call->args[1].count, peri_average_pool_spread, &call->outputs[0].tensor->layout,
                       &call->args[0].tensor->layout);
}

static peri_status grad_spread_parts(peri_backward *B) {
  const peri_layout *y = B->layouts[0];
  int dims = B->args[1].count;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_call call;
  peri_step_open(B, &call, dims == 1 ? &peri_op_adaptive_avg_pool1d : &peri_op_adaptive_avg_pool2d, 1, &g);
  peri_call_sizes(&call, 1, dims, y->shape + y->ndim - dims);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static const peri_op spread_parts_row = {
    .name = "adaptive_avg_pool_spread",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"y", PERI_KIND_TENSOR}, {"sizes", PERI_KIND_SHAPE}},
    .infer = infer_spread,
    .run = run_spread_parts,
    .grad = PERI_FULL(grad_spread_parts),
    .doc = "adaptive_avg_pool_spread(y, sizes) -> tensor\n"
           "Each y, divided by the count of its part's elements, added to them: the gradient of adaptive_avg_pool2d.",
};

/* ---- the rows ---- */

#define AVERAGE_DOC                                                                                                    \
  "stride is kernel_size where it is left out; with ceil_mode a last window may reach beyond the padding. It divides " \
  "by the count of the window's elements, with count_include_pad those of the padding too (they are 0), or by "        \
  "divisor_override. Floats only.\n"                                                                                   \
  "Errors: a window larger than x with its padding; padding of more than half of kernel_size."

const peri_op peri_op_avg_pool2d = {
    .name = "avg_pool2d",
    .outputs = 1,
    .params = {PERI_POOL_PARAMS(2), AVERAGE_OPTIONS},
    .infer = infer_average,
    .run = run_average,
    .grad = PERI_FULL(grad_average),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4, 6), 2}, {T(3, 5, 4), {3, 2}, 2, 1}, {T(1, 2, 7, 7), 3, {2, 1}, {1, 0}, true, false}, "
              "{T(2, 1, 6, 6), 3, {stride = 2, padding = 1, divisor_override = 5}}",
    .doc = "avg_pool2d(x, kernel_size, stride = kernel_size, padding = 0, ceil_mode = false, count_include_pad = true, "
           "divisor_override) -> tensor\n"
           "The mean of each window of N x C x H x W, or C x H x W; sizes are numbers or {height, width}. " AVERAGE_DOC,
    .id = 2,
};
const peri_op peri_op_avg_pool1d = {
    .name = "avg_pool1d",
    .outputs = 1,
    .params = {PERI_POOL_PARAMS(1), AVERAGE_OPTIONS},
    .infer = infer_average,
    .run = run_average,
    .grad = PERI_FULL(grad_average),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 6), 2}, {T(3, 7), 3, 2, 1}, {T(1, 2, 8), 3, {2}, 1, true, false}",
    .doc = "avg_pool1d(x, kernel_size, stride = kernel_size, padding = 0, ceil_mode = false, count_include_pad = true, "
           "divisor_override) -> tensor\n"
           "The mean of each window of N x C x L, or C x L. " AVERAGE_DOC,
    .id = 1,
};

const peri_op peri_op_adaptive_avg_pool2d = {
    .name = "adaptive_avg_pool2d",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"output_size", PERI_KIND_SHAPE, .count = 2}},
    .infer = infer_parts,
    .run = run_parts,
    .grad = PERI_FULL(grad_parts),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 5, 7), {2, 3}}, {T(3, 4, 6), 1}, {T(1, 2, 3, 4), {5, 2}}",
    .doc =
        "adaptive_avg_pool2d(x, output_size) -> tensor\n"
        "Means of N x C x H x W, or C x H x W, over so many parts of height and width, which overlap where they do "
        "not divide evenly: part i of n has the rows from floor((i - 1) H / n) + 1 to ceil(i H / n). output_size is a "
        "number or {height, width}. Floats only. Errors: an output_size below 1; planes without elements.",
    .id = 2,
};
const peri_op peri_op_adaptive_avg_pool1d = {
    .name = "adaptive_avg_pool1d",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"output_size", PERI_KIND_SHAPE, .count = 1}},
    .infer = infer_parts,
    .run = run_parts,
    .grad = PERI_FULL(grad_parts),
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 7), 3}, {T(3, 5), {1}}, {T(1, 2, 3), 5}",
    .doc = "adaptive_avg_pool1d(x, output_size) -> tensor\n"
           "Means of N x C x L, or C x L, over so many parts of L, which overlap where they do not divide evenly. "
           "Floats only.",
    .id = 1,
};

const peri_op *const peri_ops_average[] = {&peri_op_avg_pool1d,
                                           &peri_op_avg_pool2d,
                                           &peri_op_adaptive_avg_pool1d,
                                           &peri_op_adaptive_avg_pool2d,
                                           &spread_row,
                                           &spread_parts_row,
                                           NULL};
