/* Elementwise rows: one for each line of elementwise.def, and those with another shape of arguments
 * (where, clamp, logical operations, conversion). */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>

/* Up to this many elements the iterator costs more than it saves. */
#define SMALL 8192

/* ---- operands ---- */

static peri_status infer_broadcast(peri_call *call, int first, int n, peri_dtype dtype) {
  peri_tensor *tensors[3];
  int64_t shape[PERI_MAX_DIMS];
  int ndim;
  for (int i = 0; i < n; i++) tensors[i] = call->args[first + i].tensor;
  PERI_TRY(peri_broadcast(call->context, call->op->name, n, tensors, &ndim, shape));
  return peri_infer_output(call, 0, dtype, ndim, shape);
}

static peri_status refuse_dtype(peri_call *call, int arg, const char *expected) {
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s; convert with to())",
                        call->op->params[arg].name, peri_dtype_name(call->args[arg].tensor->layout.dtype), expected);
}

static peri_status need_a_tensor(peri_call *call) {
  if (call->args[0].tensor != NULL || call->args[1].tensor != NULL) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b are both numbers (expected at least one tensor)");
}

/* Up to three operands brought to one dtype, as the iterator takes them. */
typedef struct operands {
  int n;
  peri_tensor *converted[3];
  double number[3];
} operands;

static void close_operands(operands *o) {
  for (int i = 0; i < o->n; i++) peri_tensor_release(&o->converted[i]);
}

static peri_status open_operand(operands *o, const peri_arg *arg, peri_dtype dtype) {
  int i = o->n++;
  o->converted[i] = NULL;
  if (arg->tensor != NULL) return peri_tensor_convert(arg->tensor, dtype, &o->converted[i]);
  peri_arg_store(arg, dtype, &o->number[i]);
  return PERI_OK;
}

static peri_status open_operands(peri_call *call, operands *o, int first, int n, peri_dtype dtype) {
  o->n = 0;
  peri_status status = PERI_OK;
  for (int i = 0; i < n && status == PERI_OK; i++) status = open_operand(o, &call->args[first + i], dtype);
  if (status != PERI_OK) close_operands(o);
  return status;
}

typedef struct loops {
  peri_loop1 one;
  peri_loop2 two;
  peri_loop3 three;
} loops;

static void run_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const loops *l = arg;
  if (l->one != NULL) {
    l->one(n, p[0], s[0], p[1], s[1]);
  } else if (l->two != NULL) {
    l->two(n, p[0], s[0], p[1], s[1], p[2], s[2]);
  } else {
    l->three(n, p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3]);
  }
}

/* y = loop(operands) over y's shape; consumes the operands. */
static peri_status run_loops(peri_tensor *y, operands *o, loops *l) {
  peri_tensor *tensors[PERI_MAX_OPERANDS] = {y};
  peri_iterator it;
  for (int i = 0; i < o->n; i++) tensors[i + 1] = o->converted[i];
  peri_iterator_open(&it, y->layout.ndim, y->layout.shape, o->n + 1, tensors);
  for (int i = 0; i < o->n; i++) {
    if (tensors[i + 1] == NULL) peri_iterator_scalar(&it, i + 1, &o->number[i]);
  }
  peri_status status = peri_iterate(peri_tensor_context(y), &it, run_row, l);
  close_operands(o);
  return status;
}

/* ---- formulas of the derivatives: the expressions of elementwise.def as graphs of rows ---- */

static peri_value greater(peri_backward *B, peri_value a, peri_value b) {
  return peri_step_convert(B, peri_step_gt(B, a, b), B->grad_outputs[0]->layout.dtype);
}

#define C(number)       peri_constant(number)
#define ADD(a, b)       peri_step_add(B, a, b)
#define SUB(a, b)       peri_step_sub(B, a, b)
#define MUL(a, b)       peri_step_mul(B, a, b)
#define DIV(a, b)       peri_step_div(B, a, b)
#define POW(a, b)       peri_step_pow(B, a, b)
#define FLOOR_DIV(a, b) peri_step_floor_div(B, a, b)
#define NEG(a)          peri_step_neg(B, a)
#define ABS(a)          peri_step_abs(B, a)
#define SIGN(a)         peri_step_sign(B, a)
#define LOG(a)          peri_step_log(B, a)
#define SIN(a)          peri_step_sin(B, a)
#define COS(a)          peri_step_cos(B, a)
#define GT0(a)          greater(B, a, peri_constant(0))
#define GT(a, b)        greater(B, a, b)

typedef peri_value (*unary_formula)(peri_backward *B, peri_value x, peri_value y);
typedef peri_value (*binary_formula)(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g);

#define UNARY(name, kinds, value, saves, derivative, low, high, doc)                                                   \
  static peri_value derivative_of_##name(peri_backward *B, peri_value x, peri_value y) {                               \
    (void)B, (void)x, (void)y;                                                                                         \
    return derivative;                                                                                                 \
  }
#define BINARY(name, kinds, value, saves, derivative_a, derivative_b, low, high, doc)                                  \
  static peri_value derivative_a_of_##name(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g) { \
    (void)B, (void)a, (void)b, (void)y, (void)g;                                                                       \
    return derivative_a;                                                                                               \
  }                                                                                                                    \
  static peri_value derivative_b_of_##name(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g) { \
    (void)B, (void)a, (void)b, (void)y, (void)g;                                                                       \
    return derivative_b;                                                                                               \
  }
#define COMPARE(...)
#include "kernels/elementwise.def"

static const unary_formula unary_formulas[] = {
#define UNARY(name, ...) derivative_of_##name,
#define BINARY(...)
#define COMPARE(...)
#include "kernels/elementwise.def"
};
static const binary_formula binary_formulas[][2] = {
#define UNARY(...)
#define BINARY(name, ...) {derivative_a_of_##name, derivative_b_of_##name},
#define COMPARE(...)
#include "kernels/elementwise.def"
};

/* ---- unary rows ---- */

/* int64 goes through the int64 loop where there is one, else to float64. */
static peri_status infer_unary(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_loop1 *by_dtype = call->context->kernels->elementwise->unary[call->op->id];
  call->dtype = x->dtype == PERI_INT64 && by_dtype[PERI_INT64] == NULL ? PERI_FLOAT64 : x->dtype;
  if (by_dtype[call->dtype] == NULL) return refuse_dtype(call, 0, "float32, float64 or int64");
  return peri_infer_output(call, 0, call->dtype, x->ndim, x->shape);
}

static peri_status run_unary(peri_call *call) {
  loops l = {.one = call->context->kernels->elementwise->unary[call->op->id][call->dtype]};
  peri_tensor *x = call->args[0].tensor, *y = call->outputs[0].tensor;
  if (x->contiguous && y->contiguous && x->layout.dtype == call->dtype && x->layout.numel <= SMALL) {
    ptrdiff_t size = (ptrdiff_t)peri_dtype_size(call->dtype);
    l.one(x->layout.numel, y->data, size, x->data, size);
    return PERI_OK;
  }
  operands o;
  PERI_TRY(open_operands(call, &o, 0, 1, call->dtype));
  return run_loops(y, &o, &l);
}

static peri_value fused_derivative(peri_backward *B, int id, peri_tensor *g, peri_tensor *x, peri_tensor *y) {
  peri_tensor *gx = NULL;
  peri_layout layout;
  peri_layout_set(&layout, g->layout.dtype, g->layout.ndim, g->layout.shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &gx);
  if (status == PERI_OK) {
    loops l = {.three = B->context->kernels->elementwise->derivative[id][layout.dtype]};
    /* what the derivative does not read was not saved: any tensor of the shape stands in */
    operands o = {.n = 3};
    o.converted[0] = peri_tensor_retain(g);
    o.converted[1] = peri_tensor_retain(x != NULL ? x : y != NULL ? y : g);
    o.converted[2] = peri_tensor_retain(y != NULL ? y : o.converted[1]);
    status = run_loops(gx, &o, &l);
    if (status != PERI_OK) peri_tensor_release(&gx);
  }
  return peri_formula_own(B, status, gx);
}

static peri_value derivative(peri_backward *B, int id, peri_value g, peri_value x, peri_value y) {
  if (!B->create_graph) return fused_derivative(B, id, g.tensor, x.tensor, y.tensor);
  return peri_step_mul(B, g, unary_formulas[id](B, x, y));
}

static peri_status grad_unary(peri_backward *B) {
  peri_answer(
      B, 0, derivative(B, B->op->id, peri_of(B->grad_outputs[0]), peri_of(B->args[0].tensor), peri_of(B->outputs[0])));
  return PERI_OK;
}

peri_value peri_step_derivative(peri_backward *B, const peri_op *unary, peri_value g, peri_value y) {
  if (B->formula->status != PERI_OK) return g;
  return derivative(B, unary->id, g, peri_constant(0), y);
}

static void run_one(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (*(const peri_loop1 *)arg)(n, p[0], s[0], p[1], s[1]);
}

peri_status peri_apply_loop(peri_loop1 loop, peri_tensor *x, peri_tensor *y) {
  peri_iterator it;
  peri_iterator_open(&it, y->layout.ndim, y->layout.shape, 2, (peri_tensor *[]){y, x});
  return peri_iterate(peri_tensor_context(y), &it, run_one, &loop);
}

/* ---- binary rows ---- */

static bool is_zero(int64_t value) { return value == 0; }
static bool is_negative(int64_t value) { return value < 0; }

/* The first element, from 0 in row-major order, that is as asked; -1 when none is. */
static peri_status find_integer(peri_tensor *x, bool (*is)(int64_t value), int64_t *at) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(x, &own));
  size_t size = peri_dtype_size(own->layout.dtype);
  *at = -1;
  for (int64_t i = 0; i < own->layout.numel && *at < 0; i++) {
    if (is(peri_load_integer(own->layout.dtype, own->data + (size_t)i * size))) *at = i;
  }
  peri_tensor_release(&own);
  return PERI_OK;
}

static peri_status check_divisor(peri_call *call) {
  const peri_arg *b = &call->args[1];
  int64_t at;
  if (b->tensor == NULL) {
    if (b->integer != 0) return PERI_OK;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "b is 0 (integers cannot be divided by zero)");
  }
  PERI_TRY(find_integer(b->tensor, is_zero, &at));
  if (at < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of b is 0 (integers cannot be divided by zero)",
                        (long long)at + 1);
}

/* int64 to a power: a number below 0 makes floats, and so a tensor must not hold one. */
static peri_status check_exponent(peri_call *call) {
  const peri_arg *b = &call->args[1];
  int64_t at;
  if (b->tensor == NULL) {
    if (b->integer < 0) call->dtype = PERI_FLOAT64;
    return PERI_OK;
  }
  PERI_TRY(find_integer(b->tensor, is_negative, &at));
  if (at < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "element %lld of b is negative (an integer to that power is a fraction: convert a or b with "
                        "to('float64'))",
                        (long long)at + 1);
}

/* A number that float32 would make infinite, or a divisor that it would make 0: 0 times the one and 0 divided by the
 * other are 0, and no NaN. */
static peri_status check_number(peri_call *call, int arg) {
  int id = call->op->id;
  const peri_arg *number = &call->args[arg];
  if (id == PERI_BINARY_maximum || id == PERI_BINARY_minimum) return PERI_OK;
  PERI_TRY(peri_infer_fits(call, arg, PERI_FLOAT32));
  bool divides = arg == 1 && (id == PERI_BINARY_div || id == PERI_BINARY_floor_div || id == PERI_BINARY_mod);
  if (!divides || (float)number->number != 0 || number->number == 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g, which is 0 in float32 (float64 holds it)",
                        call->op->params[arg].name, number->number);
}

/* uint8 only stores; bool counts as 0 and 1. */
static peri_status infer_binary(peri_call *call) {
  const peri_loop2 *by_dtype = call->context->kernels->elementwise->binary[call->op->id];
  PERI_TRY(need_a_tensor(call));
  for (int i = 0; i < 2; i++) {
    if (call->args[i].tensor != NULL && call->args[i].tensor->layout.dtype == PERI_UINT8) {
      return refuse_dtype(call, i, "float32, float64, int64 or bool");
    }
  }
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  if (call->dtype == PERI_BOOL) call->dtype = PERI_INT64;
  if (by_dtype[call->dtype] == NULL) call->dtype = PERI_FLOAT64;
  if (call->dtype == PERI_FLOAT32) {
    for (int i = 0; i < 2; i++) {
      double size = fabs(call->args[i].number);
      bool ordinary = size <= (double)FLT_MAX && (size >= (double)FLT_MIN || size == 0);
      if (call->args[i].tensor == NULL && !ordinary) PERI_TRY(check_number(call, i));
    }
  }
  if (call->dtype == PERI_INT64 && call->op->id == PERI_BINARY_pow) PERI_TRY(check_exponent(call));
  if (call->dtype == PERI_INT64 && (call->op->id == PERI_BINARY_floor_div || call->op->id == PERI_BINARY_mod)) {
    PERI_TRY(check_divisor(call));
  }
  return infer_broadcast(call, 0, 2, call->dtype);
}

/* An operand as one even row beside a small contiguous y: a tensor of y's shape, or a number. */
static bool even_row(const peri_arg *arg, const peri_tensor *y, peri_dtype dtype, double *number, const char **data,
                     ptrdiff_t *step) {
  if (arg->tensor == NULL) {
    peri_arg_store(arg, dtype, number);
    *data = (const char *)number;
    *step = 0;
    return true;
  }
  *data = arg->tensor->data;
  *step = (ptrdiff_t)peri_dtype_size(dtype);
  return arg->tensor->contiguous && arg->tensor->layout.dtype == dtype &&
         peri_same_shape(&arg->tensor->layout, &y->layout);
}

/* y = loop(a, b), computed in dtype */
static inline peri_status run_two(peri_call *call, peri_loop2 loop, const peri_arg *a, const peri_arg *b,
                                  peri_dtype dtype) {
  peri_tensor *y = call->outputs[0].tensor;
  double number[2];
  const char *data[2];
  ptrdiff_t step[2];
  if (y->contiguous && y->layout.numel <= SMALL && even_row(a, y, dtype, &number[0], &data[0], &step[0]) &&
      even_row(b, y, dtype, &number[1], &data[1], &step[1])) {
    loop(y->layout.numel, y->data, (ptrdiff_t)peri_dtype_size(y->layout.dtype), data[0], step[0], data[1], step[1]);
    return PERI_OK;
  }
  operands o = {.n = 0};
  peri_status status = open_operand(&o, a, dtype);
  if (status == PERI_OK) status = open_operand(&o, b, dtype);
  if (status == PERI_OK) return run_loops(y, &o, &(loops){.two = loop});
  close_operands(&o);
  return status;
}

static peri_status run_binary(peri_call *call) {
  return run_two(call, call->context->kernels->elementwise->binary[call->op->id][call->dtype], &call->args[0],
                 &call->args[1], call->dtype);
}

static peri_status grad_binary(peri_backward *B) {
  peri_value a = {B->args[0].tensor, B->args[0].number};
  peri_value b = B->edges > 1 ? (peri_value){B->args[1].tensor, B->args[1].number} : peri_constant(B->args[1].number);
  peri_value y = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  for (int edge = 0; edge < B->edges; edge++) {
    if (B->needs[edge]) peri_answer(B, edge, binary_formulas[B->op->id][edge](B, a, b, y, g));
  }
  return PERI_OK;
}

/* ---- comparisons ---- */

/* As the numbers stand: nothing is rounded on the way, whatever the dtypes, but for a fraction beside float32. So a
 * tensor is compared in its own dtype with the number, or with the next number that the dtype has, and int64 with
 * floats by loops of their own. */

static peri_status infer_compare(peri_call *call) {
  PERI_TRY(need_a_tensor(call));
  return infer_broadcast(call, 0, 2, PERI_BOOL);
}

/* The comparison of b with a that says what id says of a with b. */
static int mirrored(int id) {
  static const int mirror[PERI_COMPARES] = {
      [PERI_COMPARE_eq] = PERI_COMPARE_eq, [PERI_COMPARE_ne] = PERI_COMPARE_ne, [PERI_COMPARE_lt] = PERI_COMPARE_gt,
      [PERI_COMPARE_le] = PERI_COMPARE_ge, [PERI_COMPARE_gt] = PERI_COMPARE_lt, [PERI_COMPARE_ge] = PERI_COMPARE_le};
  return mirror[id];
}

/* The comparison with a number that dtype does not have, by the largest value of dtype below it: less than the number
 * is at most that value. eq and ne keep their id, and get a value that nothing equals where there is one. */
static int with_value_below(int id) {
  if (id == PERI_COMPARE_lt) return PERI_COMPARE_le;
  return id == PERI_COMPARE_ge ? PERI_COMPARE_gt : id;
}

/* Floats: value is the number, rounded. */
static int compare_with_float(int id, const peri_arg *number, peri_dtype dtype, peri_arg *value) {
  double n = number->number, rounded = dtype == PERI_FLOAT32 ? (double)(float)n : n;
  bool below = rounded<n, above = rounded> n; /* where it stands beside the number */
  if (number->is_integer && rounded == n) {
    bool fits = n >= -0x1p63 && n < 0x1p63;
    below = fits && (int64_t)n < number->integer;
    above = !fits || (int64_t)n > number->integer;
  }
  value->number = rounded;
  bool fraction = n != floor(n) && rounded != 0; /* as the elements themselves were rounded: 0.1 equals 0.1 */
  if ((!below && !above) || fraction) return id;
  if (id == PERI_COMPARE_eq || id == PERI_COMPARE_ne) {
    value->number = NAN;
  } else if (above) {
    value->number =
        dtype == PERI_FLOAT32 ? (double)nextafterf((float)rounded, -INFINITY) : nextafter(rounded, -INFINITY);
  }
  return with_value_below(id);
}

/* Integers from low to high: beyond them, and for NaN, the answer is the same for all. */
static int compare_with_integer(int id, const peri_arg *number, peri_dtype dtype, peri_arg *value) {
  int64_t low = dtype == PERI_INT64 ? INT64_MIN : 0;
  int64_t high = dtype == PERI_INT64 ? INT64_MAX : dtype == PERI_UINT8 ? 255 : 1;
  double n = number->number, whole = floor(n);
  bool less = number->is_integer ? number->integer < low : n < (double)low; /* than all of them */
  bool more = number->is_integer ? number->integer > high : dtype == PERI_INT64 ? n >= 0x1p63 : n > (double)high;
  value->is_integer = true;
  if (!less && !more && n == n) {
    value->integer = number->is_integer ? number->integer : (int64_t)whole;
    if (number->is_integer || whole == n) return id;
    if (id != PERI_COMPARE_eq && id != PERI_COMPARE_ne) return with_value_below(id);
  }
  bool holds = id == PERI_COMPARE_ne || (less && (id == PERI_COMPARE_gt || id == PERI_COMPARE_ge)) ||
               (more && (id == PERI_COMPARE_lt || id == PERI_COMPARE_le));
  value->integer = low;
  return holds ? PERI_COMPARE_ge : PERI_COMPARE_lt;
}

static peri_status compare_with_number(peri_call *call, int id, const peri_arg *x, const peri_arg *number) {
  peri_dtype dtype = x->tensor->layout.dtype;
  peri_arg value = {.given = true};
  id = peri_is_float(dtype) ? compare_with_float(id, number, dtype, &value)
                            : compare_with_integer(id, number, dtype, &value);
  if (value.is_integer) value.number = (double)value.integer;
  return run_two(call, call->context->kernels->elementwise->compare[id][dtype], x, &value, dtype);
}

static peri_status run_compare(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  const peri_arg *a = &call->args[0], *b = &call->args[1];
  int id = call->op->id;
  if (a->tensor == NULL) return compare_with_number(call, mirrored(id), b, a);
  if (b->tensor == NULL) return compare_with_number(call, id, a, b);
  peri_dtype left = a->tensor->layout.dtype, right = b->tensor->layout.dtype;
  bool mixed = (left == PERI_INT64 && peri_is_float(right)) || (right == PERI_INT64 && peri_is_float(left));
  if (!mixed) {
    peri_dtype dtype = peri_wider_dtype(left, right);
    return run_two(call, kernels->compare[id][dtype], a, b, dtype);
  }
  operands o = {.n = 0};
  peri_status status = open_operand(&o, left == PERI_INT64 ? a : b, PERI_INT64);
  if (status == PERI_OK) status = open_operand(&o, left == PERI_INT64 ? b : a, PERI_FLOAT64);
  loops l = {.two = kernels->compare_mixed[left == PERI_INT64 ? id : mirrored(id)]};
  if (status == PERI_OK) return run_loops(call->outputs[0].tensor, &o, &l);
  close_operands(&o);
  return status;
}

/* ---- the rows of elementwise.def ---- */

#define A_IN                       PERI_SAVE_INPUT(0)
#define B_IN                       PERI_SAVE_INPUT(1)
#define Y_OUT                      PERI_SAVE_OUTPUT(0)
#define SAVES_NONE                 0
#define SAVES_NO_GRADIENT          0
#define SAVES_X                    A_IN
#define SAVES_Y                    Y_OUT
#define SAVES_XY                   (A_IN | Y_OUT)
#define SAVES_AB                   (A_IN | B_IN)
#define SAVES_BY                   (B_IN | Y_OUT)
#define SAVES_ABY                  (A_IN | B_IN | Y_OUT)
#define FLAGS_NONE                 0
#define FLAGS_NO_GRADIENT          PERI_OP_NO_GRADIENT
#define FLAGS_X                    0
#define FLAGS_Y                    0
#define FLAGS_XY                   0
#define FLAGS_AB                   0
#define FLAGS_BY                   0
#define FLAGS_ABY                  0
#define GRAD_NONE(function)        function
#define GRAD_NO_GRADIENT(function) NULL
#define GRAD_X(function)           function
#define GRAD_Y(function)           function
#define GRAD_XY(function)          function
#define GRAD_AB(function)          function
#define GRAD_BY(function)          function
#define GRAD_ABY(function)         function

/* Lua's metamethod of a row, by its name. */
#define META_add       "__add"
#define META_sub       "__sub"
#define META_mul       "__mul"
#define META_div       "__div"
#define META_pow       "__pow"
#define META_floor_div "__idiv"
#define META_mod       "__mod"
#define META_maximum   NULL
#define META_minimum   NULL

#define UNARY(name_, kinds, value, saves_, derivative, low_, high_, doc_)                                              \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .metamethod = PERI_UNARY_##name_ == PERI_UNARY_neg ? "__unm" : NULL,                                             \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | FLAGS_##saves_,                                                \
      .saves = SAVES_##saves_,                                                                                         \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_unary,                                                                                            \
      .run = run_unary,                                                                                                \
      .grad = GRAD_##saves_(grad_unary),                                                                               \
      .low = low_,                                                                                                     \
      .high = high_,                                                                                                   \
      .sample = "{T(3, 4)}, {T()}, {T(0)}",                                                                            \
      .doc = #name_ "(x) -> tensor\n" doc_,                                                                            \
      .id = PERI_UNARY_##name_,                                                                                        \
  };
#define BINARY(name_, kinds, value, saves_, da, db, low_, high_, doc_)                                                 \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .metamethod = META_##name_,                                                                                      \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | FLAGS_##saves_,                                                \
      .saves = SAVES_##saves_,                                                                                         \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},                                                  \
      .infer = infer_binary,                                                                                           \
      .run = run_binary,                                                                                               \
      .grad = GRAD_##saves_(grad_binary),                                                                              \
      .low = low_,                                                                                                     \
      .high = high_,                                                                                                   \
      .sample = "{T(3, 4), T(3, 4)}, {T(3, 1), T(4)}, {T(3, 4), 1.5}, {T(), T(2)}, {T(0, 3), T(3)}",                   \
      .doc = #name_ "(a, b) -> tensor\n" doc_                                                                          \
                    " Shapes are broadcast. Integers beside a float tensor take its dtype, and a Lua number does not " \
                    "widen it; int64 with a fraction gives float64.",                                                  \
      .id = PERI_BINARY_##name_,                                                                                       \
  };
#define COMPARE(name_, value, doc_)                                                                                    \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .flags = PERI_OP_ELEMENTWISE,                                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},                                                  \
      .infer = infer_compare,                                                                                          \
      .run = run_compare,                                                                                              \
      .low = -3,                                                                                                       \
      .high = 3,                                                                                                       \
      .sample = "{T(3, 4), T(3, 4)}, {T(3, 1), T(4)}, {T(3, 4), 0}",                                                   \
      .doc =                                                                                                           \
          #name_ "(a, b) -> bool tensor\n" doc_ " Shapes are broadcast. Numbers are compared as they stand, whatever " \
                 "the dtypes; only a fraction beside float32 is rounded to it first.",                                 \
      .id = PERI_COMPARE_##name_,                                                                                      \
  };
#include "kernels/elementwise.def"

/* ---- logical rows ---- */

static peri_status infer_logical(peri_call *call) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    if (call->args[i].tensor->layout.dtype != PERI_BOOL) return refuse_dtype(call, i, "bool");
  }
  return infer_broadcast(call, 0, peri_op_params(call->op), PERI_BOOL);
}
static peri_status run_logical(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  loops l = {.one = call->op->id == 0 ? kernels->logical_not : NULL,
             .two = call->op->id == 1 ? kernels->logical_and : kernels->logical_or};
  operands o;
  PERI_TRY(open_operands(call, &o, 0, peri_op_params(call->op), PERI_BOOL));
  return run_loops(call->outputs[0].tensor, &o, &l);
}
const peri_op peri_op_logical_not = {
    .name = "logical_not",
    .metamethod = "__bnot",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_logical,
    .run = run_logical,
    .sample = "{B(3, 4)}",
    .doc = "logical_not(x) -> bool tensor\nTrue where x, a bool tensor, is false. Also ~x.",
    .id = 0,
};
const peri_op peri_op_logical_and = {
    .name = "logical_and",
    .metamethod = "__band",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_logical,
    .run = run_logical,
    .sample = "{B(3, 4), B(3, 4)}, {B(3, 1), B(4)}",
    .doc = "logical_and(a, b) -> bool tensor\n"
           "True where both bool tensors are true. Also a & b. Shapes are broadcast.",
    .id = 1,
};
const peri_op peri_op_logical_or = {
    .name = "logical_or",
    .metamethod = "__bor",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_logical,
    .run = run_logical,
    .sample = "{B(3, 4), B(3, 4)}, {B(3, 1), B(4)}",
    .doc = "logical_or(a, b) -> bool tensor\n"
           "True where either bool tensor is true. Also a | b. Shapes are broadcast.",
    .id = 2,
};

/* ---- where, masked_fill, clamp ---- */

static peri_status infer_where(peri_call *call) {
  if (call->args[0].tensor->layout.dtype != PERI_BOOL) return refuse_dtype(call, 0, "bool");
  PERI_TRY(peri_infer_promote(call, 1, 2, &call->dtype));
  for (int i = 1; i < 3; i++) PERI_TRY(peri_infer_fits(call, i, call->dtype));
  return infer_broadcast(call, 0, 3, call->dtype);
}
static peri_status run_where(peri_call *call) {
  operands o = {.n = 0};
  loops l = {.three = call->context->kernels->elementwise->where[call->dtype]};
  peri_status status = open_operand(&o, &call->args[0], PERI_BOOL);
  for (int i = 1; i < 3 && status == PERI_OK; i++) status = open_operand(&o, &call->args[i], call->dtype);
  if (status == PERI_OK) return run_loops(call->outputs[0].tensor, &o, &l);
  close_operands(&o);
  return status;
}
static peri_status grad_where(peri_backward *B) {
  peri_value mask = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->edges > 1 && B->needs[1]) peri_answer(B, 1, peri_step_where(B, mask, g, peri_constant(0)));
  if (B->edges > 2 && B->needs[2]) peri_answer(B, 2, peri_step_where(B, mask, peri_constant(0), g));
  return PERI_OK;
}
const peri_op peri_op_where = {
    .name = "where",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_METHOD,
    .saves = A_IN,
    .outputs = 1,
    .params = {{"mask", PERI_KIND_TENSOR}, {"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},
    .infer = infer_where,
    .run = run_where,
    .grad = grad_where,
    .low = -3,
    .high = 3,
    .sample = "{B(3, 4), T(3, 4), T(3, 4)}, {B(3, 1), T(4), 0}, {B(4), 1, T(2, 4)}",
    .doc = "where(mask, a, b) -> tensor\n"
           "a where the bool tensor mask is true, else b. Shapes are broadcast; a number that the tensor beside it "
           "cannot hold is an error. The gradient of what was not chosen is exactly 0, whatever stands there; a row "
           "behind it that has an infinite slope there makes NaN of it (choose its argument first).",
};

static peri_status infer_masked_fill(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  if (call->args[1].tensor->layout.dtype != PERI_BOOL) return refuse_dtype(call, 1, "bool");
  PERI_TRY(peri_infer_fits(call, 2, x->dtype));
  PERI_TRY(infer_broadcast(call, 0, 2, x->dtype));
  if (peri_same_shape(x, &call->outputs[0].layout)) return PERI_OK;
  char mask[PERI_SHAPE_TEXT], own[PERI_SHAPE_TEXT];
  const peri_layout *m = &call->args[1].tensor->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s but x is %s", peri_shape_text(m->ndim, m->shape, mask),
                        peri_shape_text(x->ndim, x->shape, own));
}
static peri_status run_masked_fill(peri_call *call) {
  operands o = {.n = 0};
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  loops l = {.three = call->context->kernels->elementwise->where[dtype]};
  peri_status status = open_operand(&o, &call->args[1], PERI_BOOL);
  if (status == PERI_OK) status = open_operand(&o, &call->args[2], dtype);
  if (status == PERI_OK) status = open_operand(&o, &call->args[0], dtype);
  if (status == PERI_OK) return run_loops(call->outputs[0].tensor, &o, &l);
  close_operands(&o);
  return status;
}
static peri_status grad_masked_fill(peri_backward *B) {
  peri_answer(B, 0, peri_step_where(B, peri_of(B->args[1].tensor), peri_constant(0), peri_of(B->grad_outputs[0])));
  return PERI_OK;
}
const peri_op peri_op_masked_fill = {
    .name = "masked_fill",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .saves = B_IN,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}, {"value", PERI_KIND_NUMBER}},
    .infer = infer_masked_fill,
    .run = run_masked_fill,
    .grad = grad_masked_fill,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), B(3, 4), 7}, {T(3, 4), B(4), -1}",
    .doc = "masked_fill(x, mask, value) -> tensor\n"
           "value, which x's dtype must have, where the bool tensor mask (broadcast to x) is true, else x.",
};

/* Whether min <= max, also for integers that doubles cannot tell apart. */
static bool in_order(const peri_arg *min, const peri_arg *max) {
  if (min->is_integer && max->is_integer) return min->integer <= max->integer;
  return min->number <= max->number;
}

/* A bound that limits nothing, as no int64 lies beyond it, counts as left out. */
static bool limits_nothing(const peri_call *call, int bound) {
  double b = call->args[bound].number;
  return call->args[0].tensor->layout.dtype == PERI_INT64 && (bound == 1 ? b < -0x1p63 : b >= 0x1p63) &&
         !call->args[bound].is_integer;
}

/* Bounds are numbers; infinite when left out. NaN stays. */
static peri_status infer_clamp(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  if (x->dtype == PERI_UINT8 || x->dtype == PERI_BOOL) return refuse_dtype(call, 0, "float32, float64 or int64");
  if (!call->args[1].given && !call->args[2].given) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "neither min nor max is given");
  }
  for (int i = 1; i < 3; i++) {
    if (!call->args[i].given || limits_nothing(call, i)) continue;
    if (isnan(call->args[i].number)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is nan (expected a number)", call->op->params[i].name);
    }
    if (!peri_is_float(x->dtype)) PERI_TRY(peri_infer_fits(call, i, x->dtype));
  }
  if (call->args[1].given && call->args[2].given && !in_order(&call->args[1], &call->args[2])) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "min is %g but max is %g", call->args[1].number,
                          call->args[2].number);
  }
  call->dtype = x->dtype;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}
static peri_status run_clamp(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  static const int bounds[2] = {PERI_BINARY_maximum, PERI_BINARY_minimum};
  const peri_arg *from = &call->args[0];
  peri_arg written = {.tensor = call->outputs[0].tensor};
  for (int i = 0; i < 2; i++) {
    if (!call->args[i + 1].given || limits_nothing(call, i + 1)) continue;
    operands o = {.n = 0};
    loops l = {.two = kernels->binary[bounds[i]][call->dtype]};
    PERI_TRY(open_operand(&o, from, call->dtype));
    PERI_TRY(open_operand(&o, &call->args[i + 1], call->dtype));
    PERI_TRY(run_loops(call->outputs[0].tensor, &o, &l));
    from = &written;
  }
  return from == &written || call->in_place ? PERI_OK : peri_tensor_copy_into(written.tensor, from->tensor);
}
static peri_status grad_clamp(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]);
  if (B->args[1].given) g = peri_step_where(B, peri_step_lt(B, x, C(B->args[1].number)), C(0), g);
  if (B->args[2].given) g = peri_step_where(B, peri_step_gt(B, x, C(B->args[2].number)), C(0), g);
  peri_answer(B, 0, g);
  return PERI_OK;
}
const peri_op peri_op_clamp = {
    .name = "clamp",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .saves = A_IN,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"min", PERI_KIND_NUMBER, .optional = true},
               {"max", PERI_KIND_NUMBER, .optional = true}},
    .infer = infer_clamp,
    .run = run_clamp,
    .grad = grad_clamp,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), -1, 1}, {T(3, 4), {max = 0.5}}, {T(5), 0}",
    .doc = "clamp(x, min, max) -> tensor\n"
           "x limited to [min, max]; either bound may be left out. NaN stays NaN. The gradient is 0 outside and 1 at "
           "the bounds. Bounds of int64 must be whole.",
};

/* ---- conversion ---- */

static peri_status infer_to(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, (peri_dtype)call->args[1].integer, x->ndim, x->shape);
}
static peri_status run_to(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, **y = &call->outputs[0].tensor;
  peri_dtype dtype = (peri_dtype)call->args[1].integer;
  if (x->layout.dtype != dtype) return peri_tensor_convert(x, dtype, y);
  peri_layout layout = x->layout;
  layout.offset = peri_tensor_offset(x);
  return peri_tensor_view(x, &layout, y);
}
static peri_status grad_to(peri_backward *B) {
  peri_answer(B, 0, peri_of(B->grad_outputs[0])); /* converted where it arrives */
  return PERI_OK;
}
const peri_op peri_op_to = {
    .name = "to",
    .flags = PERI_OP_ALLOCATES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dtype", PERI_KIND_DTYPE}},
    .infer = infer_to,
    .run = run_to,
    .grad = grad_to,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), 'float64'}, {T(3), 'float32'}, {T(3), 'int64'}",
    .doc = "to(x, dtype) -> tensor\n"
           "x converted to dtype; a view when it has it already. Floats to integers truncate; to bool: x ~= 0.",
};

const peri_op *const peri_ops_elementwise[] = {
#define UNARY(name, ...)   &peri_op_##name,
#define BINARY(name, ...)  &peri_op_##name,
#define COMPARE(name, ...) &peri_op_##name,
#include "kernels/elementwise.def"
    &peri_op_logical_not, &peri_op_logical_and, &peri_op_logical_or, &peri_op_where,
    &peri_op_masked_fill, &peri_op_clamp,       &peri_op_to,         NULL};
