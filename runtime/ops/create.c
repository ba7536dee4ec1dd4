/* Rows that make tensors from sizes and numbers, and random draws. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

#define DTYPE_PARAM(kind_default)                                                                                      \
  { "dtype", PERI_KIND_DTYPE, .optional = true, .named = true, .otherwise = kind_default }
#define GRAD_PARAM                                                                                                     \
  { "requires_grad", PERI_KIND_BOOL, .optional = true, .named = true }
#define SHAPE_PARAMS {"shape", PERI_KIND_SHAPE}, DTYPE_PARAM(PERI_FLOAT32), GRAD_PARAM

/* The output has the sizes of a SHAPE argument. */
static peri_status infer_sizes(peri_call *call, const peri_arg *shape, peri_dtype dtype) {
  peri_layout *layout = &call->outputs[0].layout;
  layout->dtype = dtype;
  layout->ndim = shape->count;
  memcpy(layout->shape, shape->sizes, (size_t)shape->count * sizeof(int64_t));
  return peri_layout_contiguous(call->context, call->op->name, layout);
}

static peri_status infer_vector(peri_call *call, peri_dtype dtype, int64_t n) {
  peri_layout *layout = &call->outputs[0].layout;
  layout->dtype = dtype;
  layout->ndim = 1;
  layout->shape[0] = n;
  return peri_layout_contiguous(call->context, call->op->name, layout);
}

static peri_status fill(peri_call *call, double value) {
  peri_tensor *y = call->outputs[0].tensor;
  double element;
  peri_store_number(y->layout.dtype, &element, value);
  ptrdiff_t size = (ptrdiff_t)peri_dtype_size(y->layout.dtype);
  call->context->kernels->elementwise->convert[y->layout.dtype][y->layout.dtype](y->layout.numel, y->data, size,
                                                                                 (const char *)&element, 0);
  return PERI_OK;
}

/* ---- constants ---- */

static peri_status infer_shape(peri_call *call) {
  return infer_sizes(call, &call->args[0], (peri_dtype)call->args[1].integer);
}
static peri_status run_zeros(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  memset(y->data, 0, (size_t)y->layout.numel * peri_dtype_size(y->layout.dtype));
  return PERI_OK;
}
static peri_status run_ones(peri_call *call) { return fill(call, 1); }

const peri_op peri_op_zeros = {
    .name = "zeros",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_zeros,
    .sample = "{2, 3}, {0}, {{4, 1, 2}, {dtype = 'int64'}}",
    .doc = "zeros(shape, {dtype = 'float32', requires_grad = false}) -> tensor\nA tensor of zeros.",
};

const peri_op peri_op_ones = {
    .name = "ones",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_ones,
    .sample = "{2, 3}, {{4}, {dtype = 'bool'}}",
    .doc = "ones(shape, {dtype = 'float32', requires_grad = false}) -> tensor\nA tensor of ones.",
};

/* Uninitialised bytes would give other bits each time, so that empty is zeros with another promise. */
const peri_op peri_op_empty = {
    .name = "empty",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_shape,
    .run = run_zeros,
    .sample = "{2, 3}",
    .doc = "empty(shape, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "A tensor whose values do not matter because they will be written. They are zeros, so that results never "
           "depend on what memory held before.",
};

static peri_status infer_full(peri_call *call) {
  PERI_TRY(peri_infer_fits(call, 1, (peri_dtype)call->args[2].integer));
  return infer_sizes(call, &call->args[0], (peri_dtype)call->args[2].integer);
}
static peri_status run_full(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  if (y->layout.dtype != PERI_INT64 || !call->args[1].is_integer) return fill(call, call->args[1].number);
  for (int64_t i = 0; i < y->layout.numel; i++) ((int64_t *)(void *)y->data)[i] = call->args[1].integer;
  return PERI_OK;
}
const peri_op peri_op_full = {
    .name = "full",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"shape", PERI_KIND_SHAPE}, {"value", PERI_KIND_NUMBER}, DTYPE_PARAM(PERI_FLOAT32), GRAD_PARAM},
    .infer = infer_full,
    .run = run_full,
    .sample = "{{2, 3}, 7}, {{2}, -1, {dtype = 'int64'}}",
    .doc = "full(shape, value, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "A tensor that is value everywhere.",
};

/* ---- in the shape of another ---- */

static peri_status infer_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[1].given ? (peri_dtype)call->args[1].integer : x->dtype;
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
const peri_op peri_op_zeros_like = {
    .name = "zeros_like",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_zeros,
    .sample = "{T(2, 3)}",
    .doc = "zeros_like(x, {dtype = x.dtype}) -> tensor\nZeros in the shape and dtype of x.",
};
const peri_op peri_op_ones_like = {
    .name = "ones_like",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_ones,
    .sample = "{T(2, 3)}",
    .doc = "ones_like(x, {dtype = x.dtype}) -> tensor\nOnes in the shape and dtype of x.",
};

/* ---- sequences ---- */

static peri_status infer_eye(peri_call *call) {
  int64_t n = call->args[0].integer, m = call->args[1].given ? call->args[1].integer : n;
  peri_arg shape = {.count = 2, .sizes = (int64_t[]){n, m}};
  return infer_sizes(call, &shape, (peri_dtype)call->args[2].integer);
}
static peri_status run_eye(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  PERI_TRY(run_zeros(call));
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t columns = y->layout.shape[1], n = peri_min(y->layout.shape[0], columns);
  for (int64_t i = 0; i < n; i++) peri_store_number(y->layout.dtype, y->data + (size_t)(i * columns + i) * size, 1);
  return PERI_OK;
}
const peri_op peri_op_eye = {
    .name = "eye",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"n", PERI_KIND_INTEGER},
               {"m", PERI_KIND_INTEGER, .optional = true},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_eye,
    .run = run_eye,
    .sample = "{3}, {2, 4}",
    .doc = "eye(n, m = n, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "An n x m matrix with ones on the diagonal and zeros elsewhere.",
};

/* How many integers there are from `from` to `to`, which lies in the step's direction; doubles lose the last digits. */
static uint64_t count_integers(const peri_arg *from, const peri_arg *to, const peri_arg *step) {
  uint64_t a = (uint64_t)from->integer, b = (uint64_t)to->integer;
  if (from->integer == to->integer) return 1;
  int64_t by = step->given ? step->integer : 1;
  if ((from->integer < to->integer) != (by > 0)) return 0;
  return (by > 0 ? (b - a) / (uint64_t)by : (a - b) / (0 - (uint64_t)by)) + 1;
}

/* arange counts as Lua's for does: both ends belong. */
static peri_status infer_arange(peri_call *call) {
  const peri_arg *from = &call->args[0], *to = &call->args[1], *step = &call->args[2];
  bool integers = from->is_integer && to->is_integer && (!step->given || step->is_integer);
  double by = step->number, span = (to->number - from->number) / by;
  if (by == 0 || !isfinite(span)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "cannot go from %g to %g by %g", from->number, to->number, by);
  }
  double count = floor(span + 1e-6) + 1;
  if (integers && count >= 0 && count <= 0x1p62) count = (double)count_integers(from, to, step);
  if (count > 0x1p62) {
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: from %g to %g by %g is too many elements",
                          from->number, to->number, by);
  }
  call->note[0] = integers;
  peri_dtype dtype = call->args[3].given ? (peri_dtype)call->args[3].integer : integers ? PERI_INT64 : PERI_FLOAT32;
  return infer_vector(call, dtype, count < 0 ? 0 : (int64_t)count);
}
static peri_status run_arange(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const peri_arg *from = &call->args[0], *step = &call->args[2];
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t by = step->given ? step->integer : 1;
  for (int64_t i = 0; i < y->layout.numel; i++) {
    if (call->note[0] && y->layout.dtype == PERI_INT64) {
      ((int64_t *)(void *)y->data)[i] = (int64_t)((uint64_t)from->integer + (uint64_t)i * (uint64_t)by);
    } else {
      peri_store_number(y->layout.dtype, y->data + (size_t)i * size, from->number + (double)i * step->number);
    }
  }
  return PERI_OK;
}
const peri_op peri_op_arange = {
    .name = "arange",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"from", PERI_KIND_NUMBER},
               {"to", PERI_KIND_NUMBER},
               {"step", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_arange,
    .run = run_arange,
    .sample = "{1, 10}, {0, 1, 0.25}, {5, 1, -2}, {3, 1}",
    .doc = "arange(from, to, step = 1, {dtype =, requires_grad = false}) -> tensor\n"
           "from, from + step, ... up to and including to, as Lua's for counts: floor((to - from)/step + 1e-6) + 1 "
           "elements. int64 when all numbers are integers, else float32.",
};

static peri_status infer_linspace(peri_call *call) {
  return infer_vector(call, (peri_dtype)call->args[3].integer, call->args[2].integer);
}
static peri_status run_linspace(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t n = y->layout.numel;
  double from = call->args[0].number, to = call->args[1].number, step = n > 1 ? (to - from) / (double)(n - 1) : 0;
  for (int64_t i = 0; i < n; i++) { /* from both ends, so that both are exact */
    double value = i < n / 2 || n == 1 ? from + (double)i * step : to - (double)(n - 1 - i) * step;
    peri_store_number(y->layout.dtype, y->data + (size_t)i * size, value);
  }
  return PERI_OK;
}
const peri_op peri_op_linspace = {
    .name = "linspace",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"from", PERI_KIND_NUMBER},
               {"to", PERI_KIND_NUMBER},
               {"n", PERI_KIND_INTEGER},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_linspace,
    .run = run_linspace,
    .sample = "{0, 1, 5}, {2, 3, 1}, {-1, 1, 0}",
    .doc = "linspace(from, to, n, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "n values from `from` to `to` at equal distances, both ends included.",
};

/* ---- random draws: element i depends on the seed and its place in the stream alone ---- */

static uint64_t draw(peri_call *call, uint64_t *seed) {
  const peri_tensor *y = call->outputs[0].tensor;
  *seed = call->context->stream.seed;
  return peri_stream_take(&call->context->stream, peri_random_blocks(y->layout.dtype, y->layout.numel));
}

static peri_status infer_random(peri_call *call) {
  peri_dtype dtype = (peri_dtype)call->args[1].integer;
  if (!peri_is_float(dtype)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dtype is %s (expected float32 or float64)", peri_dtype_name(dtype));
  }
  return infer_sizes(call, &call->args[0], dtype);
}
static peri_status run_rand(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  uint64_t seed, first = draw(call, &seed);
  return peri_fill_uniform(call->context, y->layout.dtype, y->layout.numel, seed, first, 0, 1, y->data);
}
const peri_op peri_op_rand = {
    .name = "rand",
    .flags = PERI_OP_CREATES | PERI_OP_RANDOM,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_random,
    .run = run_rand,
    .sample = "{2, 3}, {{4}, {dtype = 'float64'}}",
    .doc = "rand(shape, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "Uniform random numbers in [0, 1) from the default stream (peri.manual_seed). Philox4x32-10 (Salmon et al. "
           "2011).",
};

static peri_status run_randn(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  uint64_t seed, first = draw(call, &seed);
  return peri_fill_normal(call->context, y->layout.dtype, y->layout.numel, seed, first, 0, 1, y->data);
}
const peri_op peri_op_randn = {
    .name = "randn",
    .flags = PERI_OP_CREATES | PERI_OP_RANDOM,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_random,
    .run = run_randn,
    .sample = "{2, 3}, {{4}, {dtype = 'float64'}}",
    .doc = "randn(shape, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "Normal random numbers with mean 0 and standard deviation 1 from the default stream (peri.manual_seed).",
};

static peri_status infer_randint(peri_call *call) {
  if (call->args[1].integer < call->args[0].integer) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "no integer lies from %lld to %lld",
                          (long long)call->args[0].integer, (long long)call->args[1].integer);
  }
  return infer_sizes(call, &call->args[2], PERI_INT64);
}
static peri_status run_randint(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  uint64_t seed, first = draw(call, &seed);
  return peri_fill_integers(call->context, y->layout.numel, seed, first, call->args[0].integer, call->args[1].integer,
                            (int64_t *)(void *)y->data);
}
const peri_op peri_op_randint = {
    .name = "randint",
    .flags = PERI_OP_RANDOM,
    .outputs = 1,
    .params = {{"low", PERI_KIND_INTEGER}, {"high", PERI_KIND_INTEGER}, {"shape", PERI_KIND_SHAPE}},
    .infer = infer_randint,
    .run = run_randint,
    .sample = "{1, 6, {100}}",
    .doc = "randint(low, high, shape) -> int64 tensor\n"
           "Random integers from low to high, both included.",
};

static peri_status infer_randperm(peri_call *call) { return infer_vector(call, PERI_INT64, call->args[0].integer); }
static peri_status run_randperm(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  uint64_t seed, first = draw(call, &seed);
  int64_t *order = (int64_t *)(void *)y->data;
  PERI_TRY(peri_permutation(call->context, y->layout.numel, seed, first, order));
  for (int64_t i = 0; i < y->layout.numel; i++) order[i]++; /* scripts count from 1 */
  return PERI_OK;
}
const peri_op peri_op_randperm = {
    .name = "randperm",
    .flags = PERI_OP_RANDOM,
    .outputs = 1,
    .params = {{"n", PERI_KIND_INTEGER}},
    .infer = infer_randperm,
    .run = run_randperm,
    .sample = "{10}, {0}",
    .doc = "randperm(n) -> int64 tensor of n\nThe integers 1 to n in random order.",
};

const peri_op *const peri_ops_create[] = {&peri_op_zeros,      &peri_op_ones,
                                          &peri_op_full,       &peri_op_empty,
                                          &peri_op_zeros_like, &peri_op_ones_like,
                                          &peri_op_eye,        &peri_op_arange,
                                          &peri_op_linspace,   &peri_op_rand,
                                          &peri_op_randn,      &peri_op_randint,
                                          &peri_op_randperm,   NULL};
