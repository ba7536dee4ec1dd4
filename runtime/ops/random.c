/* Random rows: element i of a draw depends on the seed and its place in the stream alone. They draw from call->stream.
 */
#include "ops/create.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* ---- draws ---- */

/* Takes the blocks of n elements of a dtype off the stream. */
static peri_stream take(peri_call *call, peri_dtype dtype, int64_t n) {
  uint64_t seed = call->stream->seed, first = peri_stream_take(call->stream, peri_random_blocks(dtype, n));
  return (peri_stream){.seed = seed, .block = first};
}

typedef enum distribution { UNIFORM, NORMAL, EXPONENTIAL } distribution;

/* n contiguous floats: a and b are low and high, mean and standard deviation, or the rate. */
static peri_status fill_with(peri_call *call, distribution what, double a, double b, peri_dtype dtype, int64_t n,
                             void *y) {
  peri_stream at = take(call, what == EXPONENTIAL ? PERI_INT64 : dtype, n);
  switch (what) {
  case UNIFORM:
    return peri_fill_uniform(call->context, dtype, n, at.seed, at.block, a, b, y);
  case NORMAL:
    return peri_fill_normal(call->context, dtype, n, at.seed, at.block, a, b, y);
  case EXPONENTIAL:
    break;
  }
  return peri_fill_exponential(call->context, dtype, n, at.seed, at.block, a, y);
}

/* The target of a row that writes may be strided: then the draw comes in by a tensor of its own. */
static peri_status target_begin(peri_call *call, peri_tensor **own) {
  peri_tensor *y = call->outputs[0].tensor;
  if (y->contiguous) {
    *own = peri_tensor_retain(y);
    return PERI_OK;
  }
  peri_layout layout;
  peri_layout_set(&layout, y->layout.dtype, y->layout.ndim, y->layout.shape);
  return peri_tensor_empty(call->context, &layout, own);
}
static peri_status target_end(peri_call *call, peri_status status, peri_tensor *own) {
  peri_tensor *y = call->outputs[0].tensor;
  if (status == PERI_OK && own != y) status = peri_tensor_copy_into(y, own);
  peri_tensor_release(&own);
  return status;
}
static peri_status fill_target(peri_call *call, distribution what, double a, double b) {
  peri_tensor *own;
  PERI_TRY(target_begin(call, &own));
  peri_status status = fill_with(call, what, a, b, own->layout.dtype, own->layout.numel, own->data);
  return target_end(call, status, own);
}

static peri_status check_float(peri_call *call, peri_dtype dtype) {
  if (peri_is_float(dtype)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "dtype is %s (expected float32 or float64)", peri_dtype_name(dtype));
}

/* ---- what distributions are of: arguments `arg` and the next ---- */

static peri_status check_finite(peri_call *call, int arg) {
  if (isfinite(call->args[arg].number)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a finite number)", call->op->params[arg].name,
                        call->args[arg].number);
}
static peri_status check_interval(peri_call *call, int arg) {
  double low = call->args[arg].number, high = call->args[arg + 1].number;
  PERI_TRY(check_finite(call, arg));
  PERI_TRY(check_finite(call, arg + 1));
  if (low <= high && isfinite(high - low)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "low is %g and high is %g (expected low <= high, at a finite distance)", low, high);
}
static peri_status check_normal(peri_call *call, int arg) {
  if (call->args[arg].tensor == NULL) PERI_TRY(check_finite(call, arg));
  if (call->args[arg + 1].tensor != NULL) return PERI_OK;
  PERI_TRY(check_finite(call, arg + 1));
  if (call->args[arg + 1].number >= 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "std is %g (expected 0 or more)", call->args[arg + 1].number);
}
static peri_status check_rate(peri_call *call, int arg) {
  PERI_TRY(check_finite(call, arg));
  if (call->args[arg].number > 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "rate is %g (expected a number above 0)", call->args[arg].number);
}

/* The first element of a contiguous tensor of doubles that does not lie in low..high (NaN does not), or -1. */
static int64_t first_outside(const peri_tensor *x, double low, double high) {
  const double *values = (const double *)(const void *)x->data;
  for (int64_t i = 0; i < x->layout.numel; i++) {
    if (!(values[i] >= low && values[i] <= high)) return i;
  }
  return -1;
}
/* Every element of tensor argument `arg`. */
static peri_status check_elements(peri_call *call, int arg, double low, double high, const char *expected) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_copy(call->args[arg].tensor, PERI_FLOAT64, &own));
  int64_t at = first_outside(own, low, high);
  peri_status status = PERI_OK;
  if (at >= 0) {
    status = peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of %s is %g (expected %s)", (long long)at + 1,
                            call->op->params[arg].name, ((const double *)(const void *)own->data)[at], expected);
  }
  peri_tensor_release(&own);
  return status;
}

/* ---- rand, randn and in the shape of another ---- */

static peri_status infer_random(peri_call *call) {
  peri_dtype dtype = (peri_dtype)call->args[1].integer;
  PERI_TRY(check_float(call, dtype));
  return peri_infer_sizes(call, &call->args[0], dtype);
}
static peri_status infer_random_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[1].given ? (peri_dtype)call->args[1].integer : x->dtype;
  PERI_TRY(check_float(call, dtype));
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
static peri_status run_rand(peri_call *call) { return fill_target(call, UNIFORM, 0, 1); }
static peri_status run_randn(peri_call *call) { return fill_target(call, NORMAL, 0, 1); }

#define CREATING .flags = PERI_OP_CREATES | PERI_OP_RANDOM, .outputs = 1
#define CREATING_LIKE                                                                                                  \
  .flags = PERI_OP_RANDOM | PERI_OP_NO_GRADIENT, .outputs = 1,                                                         \
  .params = {{"x", PERI_KIND_TENSOR, .shape_only = true}, DTYPE_PARAM(PERI_FLOAT32)}, .infer = infer_random_like
#define RANDOM_SAMPLE "{2, 3}, {{4}, {dtype = 'float64'}}"
const peri_op peri_op_rand = {
    .name = "rand",
    CREATING,
    .params = {SHAPE_PARAMS},
    .infer = infer_random,
    .run = run_rand,
    .sample = RANDOM_SAMPLE,
    .doc = "rand(shape, {dtype = 'float32', requires_grad = false, generator =}) -> tensor\n"
           "Uniform random numbers in [0, 1) from the default stream (peri.manual_seed) or from a peri.Generator. "
           "Philox4x32-10 (Salmon et al. 2011).",
};
const peri_op peri_op_randn = {
    .name = "randn",
    CREATING,
    .params = {SHAPE_PARAMS},
    .infer = infer_random,
    .run = run_randn,
    .sample = RANDOM_SAMPLE,
    .doc = "randn(shape, {dtype = 'float32', requires_grad = false, generator =}) -> tensor\n"
           "Normal random numbers with mean 0 and standard deviation 1 from the default stream (peri.manual_seed) or a "
           "peri.Generator (Box and Muller 1958).",
};
const peri_op peri_op_rand_like = {
    .name = "rand_like",
    CREATING_LIKE,
    .run = run_rand,
    .sample = "{T(2, 3)}, {T(2), {dtype = 'float64'}}",
    .doc = "rand_like(x, {dtype = x.dtype, generator =}) -> tensor\n"
           "Uniform random numbers in [0, 1) in the shape and dtype of x.",
};
const peri_op peri_op_randn_like = {
    .name = "randn_like",
    CREATING_LIKE,
    .run = run_randn,
    .sample = "{T(2, 3)}, {T(2), {dtype = 'float64'}}",
    .doc = "randn_like(x, {dtype = x.dtype, generator =}) -> tensor\n"
           "Normal random numbers with mean 0 and standard deviation 1 in the shape and dtype of x.",
};

/* ---- uniform and exponential ---- */

static peri_status infer_uniform(peri_call *call) {
  PERI_TRY(check_interval(call, 0));
  PERI_TRY(check_float(call, (peri_dtype)call->args[3].integer));
  return peri_infer_sizes(call, &call->args[2], (peri_dtype)call->args[3].integer);
}
static peri_status run_uniform(peri_call *call) {
  return fill_target(call, UNIFORM, call->args[0].number, call->args[1].number);
}
const peri_op peri_op_uniform = {
    .name = "uniform",
    CREATING,
    .params = {{"low", PERI_KIND_NUMBER}, {"high", PERI_KIND_NUMBER}, SHAPE_PARAMS},
    .infer = infer_uniform,
    .run = run_uniform,
    .sample = "{-1, 1, {2, 3}}, {0, 0.5, 4}",
    .doc = "uniform(low, high, shape, {dtype = 'float32', requires_grad = false, generator =}) -> tensor\n"
           "Uniform random numbers in [low, high).",
};

static peri_status infer_exponential(peri_call *call) {
  PERI_TRY(check_rate(call, 0));
  PERI_TRY(check_float(call, (peri_dtype)call->args[2].integer));
  return peri_infer_sizes(call, &call->args[1], (peri_dtype)call->args[2].integer);
}
static peri_status run_exponential(peri_call *call) { return fill_target(call, EXPONENTIAL, call->args[0].number, 0); }
const peri_op peri_op_exponential = {
    .name = "exponential",
    CREATING,
    .params = {{"rate", PERI_KIND_NUMBER}, SHAPE_PARAMS},
    .infer = infer_exponential,
    .run = run_exponential,
    .sample = "{1, {2, 3}}, {0.25, 5}",
    .doc = "exponential(rate, shape, {dtype = 'float32', requires_grad = false, generator =}) -> tensor\n"
           "Exponential random numbers, with mean 1 / rate, all above 0.",
};

/* ---- normal, whose mean and deviation may be tensors ---- */

static peri_status infer_normal_shape(peri_call *call, peri_dtype dtype) {
  peri_tensor *tensors[2] = {call->args[0].tensor, call->args[1].tensor};
  const peri_arg *wanted = &call->args[2];
  int64_t shape[PERI_MAX_DIMS];
  int ndim;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_broadcast(call->context, call->op->name, 2, tensors, &ndim, shape));
  bool any = tensors[0] != NULL || tensors[1] != NULL;
  if (!wanted->given && any) return peri_infer_output(call, 0, dtype, ndim, shape);
  if (!wanted->given) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "shape is missing: mean and std are numbers");
  }
  bool fits = ndim <= wanted->count;
  for (int d = 0; d < ndim && fits; d++) {
    fits = shape[d] == 1 || shape[d] == wanted->sizes[wanted->count - ndim + d];
  }
  if (fits) return peri_infer_sizes(call, wanted, dtype);
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mean and std are %s together, which is not broadcast to %s",
                        peri_shape_text(ndim, shape, a), peri_shape_text(wanted->count, wanted->sizes, b));
}
static peri_status infer_normal(peri_call *call) {
  peri_dtype dtype = PERI_FLOAT32;
  for (int i = 0; i < 2; i++) {
    if (call->args[i].tensor == NULL) continue;
    PERI_TRY(peri_infer_float(call, i));
    dtype = peri_wider_dtype(dtype, call->args[i].tensor->layout.dtype);
  }
  if (call->args[3].given) dtype = (peri_dtype)call->args[3].integer;
  PERI_TRY(check_float(call, dtype));
  PERI_TRY(check_normal(call, 0));
  if (call->args[1].tensor != NULL) PERI_TRY(check_elements(call, 1, 0, HUGE_VAL, "0 or more"));
  return infer_normal_shape(call, dtype);
}

typedef struct scaling {
  peri_loop2 loop;
} scaling;
static void scale_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  ((const scaling *)arg)->loop(n, data[0], strides[0], data[0], strides[0], data[1], strides[1]);
}
/* y = y (a binary function) operand; `own` is the operand in y's dtype, or NULL for a number */
static peri_status combine(peri_call *call, int function, const peri_tensor *own, double number) {
  const peri_tensor *y = call->outputs[0].tensor;
  scaling job = {call->context->kernels->elementwise->binary[function][y->layout.dtype]};
  double element;
  peri_iterator iterator;
  peri_iterator_open(&iterator, y->layout.ndim, y->layout.shape, 2,
                     (const peri_view *[]){&y->view, own != NULL ? &own->view : NULL});
  peri_store_number(y->layout.dtype, &element, number);
  if (own == NULL) peri_iterator_scalar(&iterator, 1, &element);
  return peri_iterate(call->context, &iterator, scale_row, &job);
}
static peri_status run_normal(peri_call *call) {
  const peri_arg *args = call->args;
  peri_tensor *own[2] = {NULL, NULL};
  if (args[0].tensor == NULL && args[1].tensor == NULL) {
    return fill_target(call, NORMAL, args[0].number, args[1].number);
  }
  peri_status status = PERI_OK;
  for (int i = 0; i < 2 && status == PERI_OK; i++) {
    if (args[i].tensor == NULL) continue;
    status = peri_tensor_convert(args[i].tensor, call->outputs[0].tensor->layout.dtype, &own[i]);
  }
  if (status == PERI_OK) status = fill_target(call, NORMAL, 0, 1);
  if (status == PERI_OK) status = combine(call, PERI_BINARY_mul, own[1], args[1].number);
  if (status == PERI_OK) status = combine(call, PERI_BINARY_add, own[0], args[0].number);
  for (int i = 0; i < 2; i++) {
    if (own[i] != NULL) peri_tensor_release(&own[i]);
  }
  return status;
}
const peri_op peri_op_normal = {
    .name = "normal",
    .flags = PERI_OP_CREATES | PERI_OP_RANDOM | PERI_OP_NO_METHOD | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"mean", PERI_KIND_OPERAND},
               {"std", PERI_KIND_OPERAND, .reads = true},
               {"shape", PERI_KIND_SHAPE, .optional = true},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_normal,
    .run = run_normal,
    .sample = "{0, 1, {2, 3}}, {T(3), 0.5}, {T(2, 1), peri.ones(3)}, {1, peri.ones(2), {3, 2}}",
    .doc =
        "normal(mean, std, shape, {dtype =, requires_grad = false, generator =}) -> tensor\n"
        "Normal random numbers. mean and std are numbers, or float tensors that are broadcast together, and to shape "
        "where it is given. The dtype is that of the tensors, else float32. No gradient goes to mean and std: mean + "
        "std * peri.randn(shape) has them.",
};

/* ---- integers ---- */

static peri_status check_bounds(peri_call *call, int low, peri_dtype dtype) {
  if (call->args[low + 1].integer < call->args[low].integer) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "no integer lies from %lld to %lld",
                          (long long)call->args[low].integer, (long long)call->args[low + 1].integer);
  }
  for (int i = low; i < low + 2 && dtype != PERI_INT64; i++) {
    if (peri_number_fits(dtype, (double)call->args[i].integer)) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld, which is no value of %s", call->op->params[i].name,
                          (long long)call->args[i].integer, peri_dtype_name(dtype));
  }
  return PERI_OK;
}
static peri_status fill_integers(peri_call *call, int low) {
  peri_tensor *y = call->outputs[0].tensor, *drawn = y;
  peri_layout layout;
  peri_layout_set(&layout, PERI_INT64, y->layout.ndim, y->layout.shape);
  if (y->layout.dtype != PERI_INT64) PERI_TRY(peri_tensor_empty(call->context, &layout, &drawn));
  peri_stream at = take(call, PERI_INT64, y->layout.numel);
  peri_status status = peri_fill_integers(call->context, y->layout.numel, at.seed, at.block, call->args[low].integer,
                                          call->args[low + 1].integer, (int64_t *)(void *)drawn->data);
  if (drawn == y) return status;
  if (status == PERI_OK) status = peri_tensor_copy_into(y, drawn);
  peri_tensor_release(&drawn);
  return status;
}
static peri_status infer_randint(peri_call *call) {
  peri_dtype dtype = (peri_dtype)call->args[3].integer;
  PERI_TRY(check_bounds(call, 0, dtype));
  return peri_infer_sizes(call, &call->args[2], dtype);
}
static peri_status run_randint(peri_call *call) { return fill_integers(call, 0); }
const peri_op peri_op_randint = {
    .name = "randint",
    .flags = PERI_OP_RANDOM,
    .outputs = 1,
    .params = {{"low", PERI_KIND_INTEGER},
               {"high", PERI_KIND_INTEGER},
               {"shape", PERI_KIND_SHAPE},
               DTYPE_PARAM(PERI_INT64)},
    .infer = infer_randint,
    .run = run_randint,
    .sample = "{1, 6, {100}}, {0, 255, 7, {dtype = 'uint8'}}",
    .doc = "randint(low, high, shape, {dtype = 'int64', generator =}) -> tensor\n"
           "Random integers from low to high, both included and all equally likely (Lemire 2019). The dtype must have "
           "both.",
};
static peri_status infer_randint_like(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_dtype dtype = call->args[3].given ? (peri_dtype)call->args[3].integer : x->dtype;
  PERI_TRY(check_bounds(call, 1, dtype));
  return peri_infer_output(call, 0, dtype, x->ndim, x->shape);
}
static peri_status run_randint_like(peri_call *call) { return fill_integers(call, 1); }
const peri_op peri_op_randint_like = {
    .name = "randint_like",
    .flags = PERI_OP_RANDOM | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR, .shape_only = true},
               {"low", PERI_KIND_INTEGER},
               {"high", PERI_KIND_INTEGER},
               DTYPE_PARAM(PERI_INT64)},
    .infer = infer_randint_like,
    .run = run_randint_like,
    .sample = "{T(2, 3), 1, 6}, {T(3), 0, 1, {dtype = 'bool'}}",
    .doc = "randint_like(x, low, high, {dtype = x.dtype, generator =}) -> tensor\n"
           "Random integers from low to high in the shape and dtype of x.",
};

static peri_status infer_randperm(peri_call *call) {
  return peri_infer_vector(call, PERI_INT64, call->args[0].integer);
}
static peri_status run_randperm(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_stream at = take(call, PERI_INT64, y->layout.numel);
  int64_t *order = (int64_t *)(void *)y->data;
  PERI_TRY(peri_permutation(call->context, y->layout.numel, at.seed, at.block, order));
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
    .doc = "randperm(n, {generator =}) -> int64 tensor of n\nThe integers 1 to n in random order.",
};

/* ---- trials ---- */

#define CHANCE "0 to 1"

static peri_status fill_trials(peri_call *call, const peri_arg *chance) {
  peri_tensor *own, *p = NULL, *wide;
  PERI_TRY(target_begin(call, &own));
  peri_status status = PERI_OK;
  if (chance->tensor != NULL) { /* doubles in the target's shape */
    peri_layout layout;
    peri_layout_set(&layout, PERI_FLOAT64, own->layout.ndim, own->layout.shape);
    status = peri_tensor_empty(call->context, &layout, &wide);
    if (status == PERI_OK) status = peri_tensor_copy_into(p = wide, chance->tensor);
  }
  if (status == PERI_OK) {
    int64_t n = own->layout.numel;
    peri_stream at = take(call, PERI_INT64, n);
    const double *chances = p != NULL ? (const double *)(const void *)p->data : NULL;
    status =
        peri_fill_trials(call->context, own->layout.dtype, n, at.seed, at.block, chance->number, chances, own->data);
  }
  if (p != NULL) peri_tensor_release(&p);
  return target_end(call, status, own);
}
static peri_status infer_bernoulli(peri_call *call) {
  const peri_layout *p = &call->args[0].tensor->layout;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(check_elements(call, 0, 0, 1, CHANCE));
  return peri_infer_output(call, 0, p->dtype, p->ndim, p->shape);
}
static peri_status run_bernoulli(peri_call *call) { return fill_trials(call, &call->args[0]); }
const peri_op peri_op_bernoulli = {
    .name = "bernoulli",
    .flags = PERI_OP_RANDOM | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {{"p", PERI_KIND_TENSOR, .reads = true}},
    .infer = infer_bernoulli,
    .run = run_bernoulli,
    .sample = "{T(2, 3):sigmoid()}, {peri.rand(40)}",
    .doc = "bernoulli(p, {generator =}) -> tensor\n"
           "1 with the chance that each element of p says, else 0, in the shape and dtype of p, a float tensor of "
           "values from 0 to 1.",
};

/* ---- in place ---- */

static peri_status infer_written(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}
static peri_status infer_written_floats(peri_call *call) {
  PERI_TRY(peri_infer_float(call, 0));
  return infer_written(call);
}
#define WRITING .flags = PERI_OP_RANDOM | PERI_OP_WRITES, .outputs = 1

static peri_status infer_normal_(peri_call *call) {
  PERI_TRY(check_normal(call, 1));
  return infer_written_floats(call);
}
static peri_status run_normal_(peri_call *call) {
  return fill_target(call, NORMAL, call->args[1].number, call->args[2].number);
}
const peri_op peri_op_normal_ = {
    .name = "normal_",
    WRITING,
    .params = {{"x", PERI_KIND_TENSOR},
               {"mean", PERI_KIND_NUMBER, .optional = true},
               {"std", PERI_KIND_NUMBER, .optional = true, .otherwise = 1}},
    .infer = infer_normal_,
    .run = run_normal_,
    .sample = "{T(2, 3)}, {T(4), 1, 2}",
    .doc = "normal_(x, mean = 0, std = 1, {generator =}) -> x\nWrites normal random numbers to a float tensor.",
};
static peri_status infer_uniform_(peri_call *call) {
  PERI_TRY(check_interval(call, 1));
  return infer_written_floats(call);
}
static peri_status run_uniform_(peri_call *call) {
  return fill_target(call, UNIFORM, call->args[1].number, call->args[2].number);
}
const peri_op peri_op_uniform_ = {
    .name = "uniform_",
    WRITING,
    .params = {{"x", PERI_KIND_TENSOR},
               {"low", PERI_KIND_NUMBER, .optional = true},
               {"high", PERI_KIND_NUMBER, .optional = true, .otherwise = 1}},
    .infer = infer_uniform_,
    .run = run_uniform_,
    .sample = "{T(2, 3)}, {T(4), -1, 1}",
    .doc = "uniform_(x, low = 0, high = 1, {generator =}) -> x\n"
           "Writes uniform random numbers in [low, high) to a float tensor.",
};
static peri_status infer_exponential_(peri_call *call) {
  PERI_TRY(check_rate(call, 1));
  return infer_written_floats(call);
}
static peri_status run_exponential_(peri_call *call) { return fill_target(call, EXPONENTIAL, call->args[1].number, 0); }
const peri_op peri_op_exponential_ = {
    .name = "exponential_",
    WRITING,
    .params = {{"x", PERI_KIND_TENSOR}, {"rate", PERI_KIND_NUMBER, .optional = true, .otherwise = 1}},
    .infer = infer_exponential_,
    .run = run_exponential_,
    .sample = "{T(2, 3)}, {T(4), 3}",
    .doc = "exponential_(x, rate = 1, {generator =}) -> x\n"
           "Writes exponential random numbers, with mean 1 / rate and all above 0, to a float tensor.",
};
static peri_status infer_bernoulli_(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *p = &call->args[1];
  int64_t shape[PERI_MAX_DIMS];
  int ndim;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (p->tensor == NULL) {
    if (p->number >= 0 && p->number <= 1) return infer_written(call);
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %g (expected " CHANCE ")", p->number);
  }
  const peri_layout *chances = &p->tensor->layout;
  PERI_TRY(peri_infer_float(call, 1));
  peri_tensor *both[2] = {call->args[0].tensor, p->tensor};
  PERI_TRY(peri_broadcast(call->context, "bernoulli_", 2, both, &ndim, shape));
  if (ndim != x->ndim || memcmp(shape, x->shape, (size_t)ndim * sizeof *shape) != 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %s but x is %s",
                          peri_shape_text(chances->ndim, chances->shape, a), peri_shape_text(x->ndim, x->shape, b));
  }
  PERI_TRY(check_elements(call, 1, 0, 1, CHANCE));
  return infer_written(call);
}
static peri_status run_bernoulli_(peri_call *call) { return fill_trials(call, &call->args[1]); }
const peri_op peri_op_bernoulli_ = {
    .name = "bernoulli_",
    .flags = PERI_OP_RANDOM | PERI_OP_WRITES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"p", PERI_KIND_OPERAND, .reads = true, .optional = true, .otherwise = 0.5}},
    .infer = infer_bernoulli_,
    .run = run_bernoulli_,
    .sample = "{T(2, 3)}, {T(2, 3), 0.9}, {B(2, 3), peri.rand(3)}",
    .doc =
        "bernoulli_(x, p = 0.5, {generator =}) -> x\n"
        "Writes 1 with chance p, else 0, to a tensor of any dtype. p is a number, or a float tensor that is broadcast "
        "to x, of values from 0 to 1.",
};

const peri_op *const peri_ops_random[] = {
    &peri_op_rand,         &peri_op_randn,        &peri_op_rand_like,  &peri_op_randn_like,
    &peri_op_uniform,      &peri_op_exponential,  &peri_op_normal,     &peri_op_randint,
    &peri_op_randint_like, &peri_op_randperm,     &peri_op_bernoulli,  &peri_op_normal_,
    &peri_op_uniform_,     &peri_op_exponential_, &peri_op_bernoulli_, NULL};
