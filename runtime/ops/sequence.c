/* Rows that make sequences of numbers: arange, linspace, logspace, and the powers of a vector (vander). */
#include "ops/create.h"
#include "ops/rows.h"
#include "kernels/kernels.h"
#include "kernels/scalar.h"

#include <math.h>

/* ---- progressions ----
 * Integers are counted in int64, which doubles cannot tell apart beyond 2^53; floats in double,
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

#define BETWEEN_LOOKS (1 << 20) /* elements */

static peri_status check_elements(peri_call *call, const progression *p, peri_dtype dtype) {
  int64_t i = first_unfit(p, dtype);
  if (i == p->n) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld is %.17g, which is no value of %s", (long long)i + 1,
                        value_of(p, i), peri_dtype_name(dtype));
}

/* value_of of elements from..to-1, which are counted from one end. */
static peri_status fill_run(peri_context *context, const progression *p, peri_dtype dtype, int64_t from, int64_t to,
                            bool from_last, void *y) {
  double start = from_last ? p->last : p->first, inverse = 1 / p->scale;
  for (int64_t i = from; i < to; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(context));
    double steps = from_last ? -(double)(p->n - 1 - i) : (double)i, value = (start + steps * p->step) * inverse;
    if (dtype == PERI_FLOAT32) {
      ((float *)y)[i] = (float)value;
    } else {
      ((double *)y)[i] = value;
    }
  }
  return PERI_OK;
}

/* At least three floats: the ends, the middle and what lies between. */
static peri_status fill_floats(peri_context *context, const progression *p, peri_dtype dtype, char *y) {
  int64_t half = p->from_both_ends ? p->n / 2 : p->n;
  size_t size = peri_dtype_size(dtype);
  PERI_TRY(fill_run(context, p, dtype, 0, half, false, y));
  PERI_TRY(fill_run(context, p, dtype, half, p->n, true, y));
  for (int i = 0; i < 3; i++) {
    int64_t at = i == 0 ? 0 : i == 1 ? p->n / 2 : p->n - 1;
    peri_store_number(dtype, y + (size_t)at * size, value_of(p, at));
  }
  return PERI_OK;
}

static peri_status fill_elements(peri_call *call, const progression *p) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_dtype dtype = y->layout.dtype;
  size_t size = peri_dtype_size(dtype);
  if (p->integers && dtype == PERI_INT64) {
    for (int64_t i = 0; i < p->n; i++) {
      if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(call->context));
      ((int64_t *)(void *)y->data)[i] = whole_element(p, i);
    }
    return PERI_OK;
  }
  if (!p->integers && p->n > 2 && peri_is_float(dtype)) return fill_floats(call->context, p, dtype, y->data);
  for (int64_t i = 0; i < p->n; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(call->context));
    peri_store_number(dtype, y->data + (size_t)i * size, value_of(p, i));
  }
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
  return peri_infer_vector(call, dtype, p.n);
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

static peri_status plan_linspace(peri_call *call, peri_dtype dtype, progression *p) {
  __extension__ typedef __int128 wide;
  const peri_arg *from = &call->args[0], *to = &call->args[1];
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
  PERI_TRY(plan_linspace(call, dtype, &p));
  PERI_TRY(check_elements(call, &p, dtype));
  return peri_infer_vector(call, dtype, p.n);
}
static peri_status run_linspace(peri_call *call) {
  progression p = {.n = 0};
  PERI_TRY(plan_linspace(call, call->outputs[0].tensor->layout.dtype, &p));
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

/* ---- logspace: a base to the powers of linspace ---- */

static double power_of(const peri_call *call, const progression *p, int64_t i) {
  return peri_pow(call->args[3].number, element(p, i));
}

static peri_status infer_logspace(peri_call *call) {
  progression p = {.n = 0};
  peri_dtype dtype = (peri_dtype)call->args[4].integer;
  double base = call->args[3].number;
  if (!(base > 0 && isfinite(base))) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "base is %g (expected a number above 0)", base);
  }
  if (!peri_is_float(dtype)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dtype is %s (expected float32 or float64)", peri_dtype_name(dtype));
  }
  PERI_TRY(plan_linspace(call, dtype, &p));
  for (int64_t end = 0; end < 2 && p.n > 0; end++) { /* the powers grow towards one of the ends */
    double value = power_of(call, &p, end * (p.n - 1));
    if (isfinite(value) && peri_number_fits(dtype, value)) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld is %.17g, which is too large for %s",
                          (long long)(end * (p.n - 1)) + 1, value, peri_dtype_name(dtype));
  }
  return peri_infer_vector(call, dtype, p.n);
}
typedef struct raising {
  peri_loop2 power;
  peri_loop1 round;
  double base;
} raising;
static void raise_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  const raising *job = arg;
  job->power(n, data[1], strides[1], (const char *)&job->base, 0, data[1], strides[1]);
  job->round(n, data[0], strides[0], data[1], strides[1]);
}
static peri_status run_logspace(peri_call *call) {
  const peri_elementwise_kernels *loops = call->context->kernels->elementwise;
  peri_tensor *y = call->outputs[0].tensor, *exponents;
  progression p = {.n = 0};
  raising job = {loops->binary[PERI_BINARY_pow][PERI_FLOAT64], loops->convert[PERI_FLOAT64][y->layout.dtype],
                 call->args[3].number};
  PERI_TRY(plan_linspace(call, y->layout.dtype, &p));
  PERI_TRY(peri_tensor_shaped(call->context, call->op->name, PERI_FLOAT64, 1, y->layout.shape, &exponents));
  double *values = (double *)(void *)exponents->data;
  for (int64_t i = 0; i < p.n; i++) {
    if (i % BETWEEN_LOOKS == 0) PERI_TRY(peri_check_cancel(call->context));
    values[i] = element(&p, i);
  }
  peri_iterator iterator;
  peri_iterator_open(&iterator, 1, y->layout.shape, 2, (const peri_view *[]){&y->view, &exponents->view});
  peri_status status = peri_iterate(call->context, &iterator, raise_row, &job);
  peri_tensor_release(&exponents);
  return status;
}
const peri_op peri_op_logspace = {
    .name = "logspace",
    .flags = PERI_OP_CREATES,
    .outputs = 1,
    .params = {{"from", PERI_KIND_NUMBER},
               {"to", PERI_KIND_NUMBER},
               {"n", PERI_KIND_INTEGER},
               {"base", PERI_KIND_NUMBER, .optional = true, .otherwise = 10},
               DTYPE_PARAM(PERI_FLOAT32),
               GRAD_PARAM},
    .infer = infer_logspace,
    .run = run_logspace,
    .sample = "{0, 3, 4}, {-1, 1, 5, 2}, {0, 1, 0}",
    .doc =
        "logspace(from, to, n, base = 10, {dtype = 'float32', requires_grad = false}) -> tensor\n"
        "n values from base^from to base^to whose logarithms have equal distances; floats, none of them too large for "
        "the dtype.",
};

/* ---- vander ---- */

static peri_status infer_vander(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  if (x->ndim != 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected a vector)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  int64_t n = call->args[1].given ? call->args[1].integer : x->shape[0];
  return peri_infer_output(call, 0, peri_is_float(x->dtype) ? x->dtype : PERI_INT64, 2, (int64_t[]){x->shape[0], n});
}

typedef struct powers {
  peri_view x, y;
  bool increasing;
  int64_t per_piece; /* rows */
} powers;

/* The powers of x[i] from 0 up, from y on in steps of `by`. Those of floats are rounded once each. */
#define POWERS(T, number, step)                                                                                        \
  do {                                                                                                                 \
    T *to = (T *)(void *)p->y.data + i * n + (p->increasing ? 0 : n - 1);                                              \
    const int64_t by = p->increasing ? 1 : -1;                                                                         \
    step power = 1;                                                                                                    \
    for (int64_t j = 0; j < n; j++, power *= (number)) to[j * by] = (T)power;                                          \
  } while (0)

static void powers_piece(void *arg, int64_t piece) {
  const powers *p = arg;
  const peri_layout *x = &p->x.layout, *y = &p->y.layout;
  int64_t n = y->shape[1], end = peri_min((piece + 1) * p->per_piece, x->numel);
  for (int64_t i = piece * p->per_piece; i < end; i++) {
    const char *element = p->x.data + i * x->strides[0] * (int64_t)peri_dtype_size(x->dtype);
    double number = peri_load_number(x->dtype, element);
    uint64_t whole = (uint64_t)peri_load_integer(x->dtype, element);
    if (y->dtype == PERI_FLOAT32) {
      POWERS(float, number, double);
    } else if (y->dtype == PERI_FLOAT64) {
      POWERS(double, number, double);
    } else {
      POWERS(uint64_t, whole, uint64_t);
    }
  }
}
static peri_status run_vander(peri_call *call) {
  powers p = {call->args[0].tensor->view, call->outputs[0].tensor->view, call->args[2].integer, 1};
  if (p.y.layout.numel == 0) return PERI_OK;
  p.per_piece = peri_max(1, 16384 / p.y.layout.shape[1]);
  return peri_parallel(call->context, (p.x.layout.numel + p.per_piece - 1) / p.per_piece, powers_piece, &p);
}
/* The sum over the columns of g with exponents from 1, times exponent and the power below. */
static peri_status grad_vander(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  int64_t n = B->grad_outputs[0]->layout.shape[1];
  bool increasing = B->args[2].integer;
  if (n < 2) return PERI_OK;
  peri_call call;
  peri_step_open(B, &call, &peri_op_vander, 1, &x);
  call.args[1].given = call.args[2].given = true;
  call.args[1].integer = n - 1;
  call.args[2].integer = increasing;
  peri_value below = peri_step_run(B, &call),
             ends[3] = {peri_constant(1), peri_constant((double)n - 1), peri_constant(1)};
  if (!increasing) ends[0].number = (double)n - 1, ends[1].number = 1, ends[2].number = -1;
  if (B->formula->status != PERI_OK) return PERI_OK;
  peri_step_open(B, &call, &peri_op_arange, 3, ends);
  call.args[3].given = true;
  call.args[3].integer = B->layouts[0]->dtype;
  peri_value exponents = peri_step_run(B, &call);
  g = peri_step_narrow(B, g, 1, increasing, n - 1);
  g = peri_step_mul(B, peri_step_mul(B, g, below), exponents);
  peri_answer(B, 0, peri_step_sum(B, g, 1, (int64_t[]){1}, false));
  return PERI_OK;
}
const peri_op peri_op_vander = {
    .name = "vander",
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"n", PERI_KIND_INTEGER, .optional = true},
               {"increasing", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_vander,
    .run = run_vander,
    .grad = grad_vander,
    .low = -1,
    .high = 1,
    .sample = "{T(3)}, {T(3), 4, true}, {T(2), 1}",
    .doc =
        "vander(x, n = #x, increasing = false) -> tensor of #x x n\n"
        "The powers of each element of a vector as a row, from the highest, n - 1, down to 0, or from 0 up. Integers "
        "give int64.",
};

const peri_op *const peri_ops_sequence[] = {&peri_op_arange, &peri_op_linspace, &peri_op_logspace, &peri_op_vander,
                                            NULL};
