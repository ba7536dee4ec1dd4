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

static peri_status fill(peri_call *call, const peri_arg *value) {
  peri_tensor *y = call->outputs[0].tensor;
  double element;
  peri_arg_store(value, y->layout.dtype, &element);
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
static peri_status run_ones(peri_call *call) { return fill(call, &(peri_arg){.number = 1}); }

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
static peri_status run_full(peri_call *call) { return fill(call, &call->args[1]); }
const peri_op peri_op_full = {
    .name = "full",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"shape", PERI_KIND_SHAPE}, {"value", PERI_KIND_NUMBER}, DTYPE_PARAM(PERI_FLOAT32), GRAD_PARAM},
    .infer = infer_full,
    .run = run_full,
    .sample = "{{2, 3}, 7}, {{2}, -1, {dtype = 'int64'}}",
    .doc = "full(shape, value, {dtype = 'float32', requires_grad = false}) -> tensor\n"
           "A tensor that is value everywhere; the dtype must have it.",
};

/* ---- in the shape of another ---- */

static peri_status infer_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[1].given ? (peri_dtype)call->args[1].integer : x->dtype;
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
const peri_op peri_op_zeros_like = {
    .name = "zeros_like",
    .flags = PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, DTYPE_PARAM(PERI_FLOAT32)},
    .infer = infer_like,
    .run = run_zeros,
    .sample = "{T(2, 3)}",
    .doc = "zeros_like(x, {dtype = x.dtype}) -> tensor\nZeros in the shape and dtype of x.",
};
const peri_op peri_op_ones_like = {
    .name = "ones_like",
    .flags = PERI_OP_NO_GRADIENT,
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

/* ---- progressions ----
 * arange and linspace. Integers are counted in int64, which doubles cannot tell apart beyond 2^53; floats in double,
 * times a power of two where distances would overflow or be denormal. */

typedef struct progression {
  int64_t n;
  bool integers;
  int64_t whole_first, whole_step;
  double first, step, last; /* times scale */
  double scale;             /* a power of two */
  bool to_last;             /* the last element is last as given */
  bool from_both_ends;      /* elements of the second half are counted from there */
} progression;

static int64_t whole_element(const progression *p, int64_t i) {
  return (int64_t)((uint64_t)p->whole_first + (uint64_t)i * (uint64_t)p->whole_step);
}

static double element(const progression *p, int64_t i) {
  int64_t left = p->n - 1 - i;
  double value = p->first + (double)i * p->step;
  if (p->from_both_ends && i >= left) value = i > left ? p->last - (double)left * p->step : p->first / 2 + p->last / 2;
  if (i == 0) value = p->first;
  if (i > 0 && left == 0 && p->to_last) value = p->last;
  return value / p->scale;
}

static double value_of(const progression *p, int64_t i) {
  return p->integers ? (double)whole_element(p, i) : element(p, i);
}

/* The first element that is no value of dtype, or n. The first and the last lie around the others, and where the first
 * two are whole so are all: of the rest only the size can be wrong, which grows. */
static int64_t first_unfit(const progression *p, peri_dtype dtype) {
  if (p->integers && dtype == PERI_INT64) return p->n;
  for (int64_t i = 0; i < 2 && i < p->n; i++) {
    if (!peri_number_fits(dtype, value_of(p, i))) return i;
  }
  if (p->n < 3 || peri_number_fits(dtype, value_of(p, p->n - 1))) return p->n;
  int64_t fit = 1, unfit = p->n - 1;
  while (unfit - fit > 1) {
    int64_t middle = fit + (unfit - fit) / 2;
    if (peri_number_fits(dtype, value_of(p, middle))) {
      fit = middle;
    } else {
      unfit = middle;
    }
  }
  return unfit;
}

static peri_status check_elements(peri_call *call, const progression *p, peri_dtype dtype) {
  int64_t i = first_unfit(p, dtype);
  if (i == p->n) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld is %.17g, which is no value of %s", (long long)i + 1,
                        value_of(p, i), peri_dtype_name(dtype));
}

static peri_status fill_elements(peri_call *call, const progression *p) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_dtype dtype = y->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  if (p->integers && dtype == PERI_INT64) {
    for (int64_t i = 0; i < p->n; i++) ((int64_t *)(void *)y->data)[i] = whole_element(p, i);
    return PERI_OK;
  }
  for (int64_t i = 0; i < p->n; i++) peri_store_number(dtype, y->data + (size_t)i * size, value_of(p, i));
  return PERI_OK;
}

/* The number as an int64, when it is one. */
static bool whole_number(const peri_arg *arg, int64_t *whole) {
  bool fits = arg->is_integer || peri_number_fits(PERI_INT64, arg->number);
  if (fits) *whole = arg->is_integer ? arg->integer : (int64_t)arg->number;
  return fits;
}

/* arange counts as Lua's for does: both ends belong. The count from the first to the last in the step's direction. */
static peri_status count_integers(peri_call *call, progression *p, int64_t to) {
  int64_t from = p->whole_first, by = p->whole_step;
  uint64_t a = (uint64_t)from, b = (uint64_t)to;
  uint64_t distance = by > 0 ? b - a : a - b, size = by > 0 ? (uint64_t)by : 0 - (uint64_t)by;
  p->n = 0;
  if (by > 0 ? from > to : from < to) return PERI_OK;
  if (distance / size < (uint64_t)1 << 62) {
    p->n = (int64_t)(distance / size) + 1;
    return PERI_OK;
  }
  return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: from %lld to %lld by %lld is too many elements",
                        (long long)from, (long long)to, (long long)by);
}

static peri_status count_floats(peri_call *call, progression *p) {
  double distance = p->last - p->first;
  double span = isfinite(distance) ? distance / p->step : (p->last / 2 - p->first / 2) / p->step * 2;
  double count = floor(span + 1e-6) + 1;
  if (!(count <= 0x1p62)) {
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: from %g to %g by %g is too many elements", p->first,
                          p->last, p->step);
  }
  p->n = count < 0 ? 0 : (int64_t)count;
  p->to_last = fabs(span - (count - 1)) <= 1e-6;
  if (isfinite(distance)) return PERI_OK;
  p->scale = 0.5;
  p->first /= 2, p->step /= 2, p->last /= 2;
  return PERI_OK;
}

/* The dtype is what was asked for, else int64 of integers and float32. */
static peri_status plan_arange(peri_call *call, progression *p, peri_dtype *dtype) {
  const peri_arg *from = &call->args[0], *to = &call->args[1], *step = &call->args[2];
  bool written = from->is_integer && to->is_integer && (!step->given || step->is_integer);
  int64_t whole_to = 0;
  *dtype = call->args[3].given ? (peri_dtype)call->args[3].integer : written ? PERI_INT64 : PERI_FLOAT32;
  *p = (progression){.first = from->number, .step = step->number, .last = to->number, .scale = 1, .whole_step = 1};
  if (step->number == 0 || !isfinite(from->number) || !isfinite(to->number) || !isfinite(step->number)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "cannot go from %g to %g by %g", from->number, to->number,
                          step->number);
  }
  p->integers = (written || !peri_is_float(*dtype)) && whole_number(from, &p->whole_first) &&
                whole_number(to, &whole_to) && (!step->given || whole_number(step, &p->whole_step));
  PERI_TRY(p->integers ? count_integers(call, p, whole_to) : count_floats(call, p));
  p->to_last &= peri_is_float(*dtype);
  return PERI_OK;
}

static peri_status infer_arange(peri_call *call) {
  progression p = {.n = 0};
  peri_dtype dtype;
  PERI_TRY(plan_arange(call, &p, &dtype));
  PERI_TRY(check_elements(call, &p, dtype));
  return infer_vector(call, dtype, p.n);
}
static peri_status run_arange(peri_call *call) {
  progression p = {.n = 0};
  peri_dtype dtype;
  PERI_TRY(plan_arange(call, &p, &dtype));
  return fill_elements(call, &p);
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
           "elements, the last of them exactly to where it is within 1e-6 of a step. int64 when all numbers are "
           "integers, else float32; an element that the dtype does not have is an error.",
};

/* Where both ends are tiny or far apart, distances are taken between their halves or their multiples. */
static double scale_of(double from, double to) {
  if (!isfinite(to - from)) return 0.5;
  return peri_larger(fabs(from), fabs(to)) < 0x1p-500 ? 0x1p200 : 1;
}

static peri_status plan_linspace(peri_call *call, progression *p) {
  __extension__ typedef __int128 wide;
  const peri_arg *from = &call->args[0], *to = &call->args[1];
  peri_dtype dtype = (peri_dtype)call->args[3].integer;
  int64_t n = call->args[2].integer, whole_to = 0;
  if (!isfinite(from->number) || !isfinite(to->number)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "cannot go from %g to %g", from->number, to->number);
  }
  *p = (progression){.n = n, .scale = scale_of(from->number, to->number), .to_last = true, .from_both_ends = true};
  p->first = from->number * p->scale;
  p->last = to->number * p->scale;
  p->step = n > 1 ? (p->last - p->first) / (double)(n - 1) : 0;
  if (!peri_is_float(dtype) && whole_number(from, &p->whole_first) && whole_number(to, &whole_to)) {
    wide distance = (wide)whole_to - p->whole_first, steps = n > 1 ? n - 1 : 1;
    p->integers = n < 2 || distance % steps == 0;
    p->whole_step = (int64_t)(uint64_t)(distance / steps);
  }
  return PERI_OK;
}

static peri_status infer_linspace(peri_call *call) {
  progression p = {.n = 0};
  peri_dtype dtype = (peri_dtype)call->args[3].integer;
  PERI_TRY(plan_linspace(call, &p));
  PERI_TRY(check_elements(call, &p, dtype));
  return infer_vector(call, dtype, p.n);
}
static peri_status run_linspace(peri_call *call) {
  progression p = {.n = 0};
  PERI_TRY(plan_linspace(call, &p));
  return fill_elements(call, &p);
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
    .doc =
        "linspace(from, to, n, {dtype = 'float32', requires_grad = false}) -> tensor\n"
        "n values from `from` to `to` at equal distances, both ends included exactly. An element that the dtype does "
        "not have, such as a fraction in int64, is an error.",
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
#define RANDOM_SAMPLE "{2, 3}, {{4}, {dtype = 'float64'}}"
const peri_op peri_op_rand = {
    .name = "rand",
    .flags = PERI_OP_CREATES | PERI_OP_RANDOM,
    .outputs = 1,
    .params = {SHAPE_PARAMS},
    .infer = infer_random,
    .run = run_rand,
    .sample = RANDOM_SAMPLE,
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
    .sample = RANDOM_SAMPLE,
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
           "Random integers from low to high, both included and all equally likely (Lemire 2019).",
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
