/* Elementwise rows: one for each UNARY and BINARY of elementwise.def, and the operands and loops that all elementwise
 * rows share. */
#include "ops/elementwise.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>

/* Up to this many elements the iterator costs more than it saves. To measure: ./dev bench parts loops. */
#define SMALL 8192

/* ---- operands ---- */

peri_status peri_infer_broadcast(peri_call *call, int first, int n, peri_dtype dtype) {
  peri_tensor *tensors[3];
  int64_t shape[PERI_MAX_DIMS];
  int ndim;
  for (int i = 0; i < n; i++) tensors[i] = call->args[first + i].tensor;
  PERI_TRY(peri_broadcast(call->context, call->op->name, n, tensors, &ndim, shape));
  return peri_infer_output(call, 0, dtype, ndim, shape);
}

peri_status peri_refuse_dtype(peri_call *call, int arg, const char *expected) {
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s; convert with to())",
                        call->op->params[arg].name, peri_dtype_name(call->args[arg].tensor->layout.dtype), expected);
}

peri_status peri_need_a_tensor(peri_call *call) {
  if (call->args[0].tensor != NULL || call->args[1].tensor != NULL) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b are both numbers (expected at least one tensor)");
}

void peri_close_operands(peri_operands *o) {
  for (int i = 0; i < o->n; i++) peri_tensor_release(&o->converted[i]);
}

peri_status peri_open_operand(peri_operands *o, const peri_arg *arg, peri_dtype dtype) {
  int i = o->n++;
  o->converted[i] = NULL;
  if (arg->tensor != NULL) return peri_tensor_convert(arg->tensor, dtype, &o->converted[i]);
  peri_arg_store(arg, dtype, &o->number[i]);
  return PERI_OK;
}

peri_status peri_open_operands(peri_call *call, peri_operands *o, int first, int n, peri_dtype dtype) {
  o->n = 0;
  peri_status status = PERI_OK;
  for (int i = 0; i < n && status == PERI_OK; i++) status = peri_open_operand(o, &call->args[first + i], dtype);
  if (status != PERI_OK) peri_close_operands(o);
  return status;
}

static void run_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const peri_loops *l = arg;
  if (l->tuned1 != NULL) {
    l->tuned1(n, p[0], s[0], p[1], s[1], l->numbers);
  } else if (l->tuned2 != NULL) {
    l->tuned2(n, p[0], s[0], p[1], s[1], p[2], s[2], l->numbers);
  } else if (l->one != NULL) {
    l->one(n, p[0], s[0], p[1], s[1]);
  } else if (l->two != NULL) {
    l->two(n, p[0], s[0], p[1], s[1], p[2], s[2]);
  } else {
    l->three(n, p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3]);
  }
}

/* y = loop(operands) over y's shape; consumes the operands. */
peri_status peri_run_loops(peri_tensor *y, peri_operands *o, peri_loops *l) {
  const peri_view *views[PERI_MAX_OPERANDS] = {&y->view};
  peri_iterator it;
  for (int i = 0; i < o->n; i++) views[i + 1] = o->converted[i] != NULL ? &o->converted[i]->view : NULL;
  peri_iterator_open(&it, y->layout.ndim, y->layout.shape, o->n + 1, views);
  for (int i = 0; i < o->n; i++) {
    if (views[i + 1] == NULL) peri_iterator_scalar(&it, i + 1, &o->number[i]);
  }
  peri_status status = peri_iterate(peri_tensor_context(y), &it, run_row, l);
  peri_close_operands(o);
  return status;
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

/* Inlined into run_binary, where small sums and products are most of a step. */
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
  peri_operands o = {.n = 0};
  peri_status status = peri_open_operand(&o, a, dtype);
  if (status == PERI_OK) status = peri_open_operand(&o, b, dtype);
  if (status == PERI_OK) return peri_run_loops(y, &o, &(peri_loops){.two = loop});
  peri_close_operands(&o);
  return status;
}

peri_status peri_run_two(peri_call *call, peri_loop2 loop, const peri_arg *a, const peri_arg *b, peri_dtype dtype) {
  return run_two(call, loop, a, b, dtype);
}

/* ---- unary rows ---- */

/* int64 goes through the int64 loop where there is one, else to float64. */
static peri_status infer_float_or(peri_call *call, bool has_integers) {
  const peri_layout *x = &call->args[0].tensor->layout;
  call->dtype = x->dtype == PERI_INT64 && !has_integers ? PERI_FLOAT64 : x->dtype;
  if (call->dtype == PERI_UINT8 || call->dtype == PERI_BOOL)
    return peri_refuse_dtype(call, 0, "float32, float64 or int64");
  return peri_infer_output(call, 0, call->dtype, x->ndim, x->shape);
}

peri_status peri_infer_floats(peri_call *call) { return infer_float_or(call, false); }

static peri_status infer_unary(peri_call *call) {
  return infer_float_or(call, call->context->kernels->elementwise->unary[call->op->id][PERI_INT64] != NULL);
}

peri_status peri_run_unary(peri_call *call, int id) {
  peri_loops l = {.one = call->context->kernels->elementwise->unary[id][call->dtype]};
  peri_tensor *x = call->args[0].tensor, *y = call->outputs[0].tensor;
  if (x->contiguous && y->contiguous && x->layout.dtype == call->dtype && x->layout.numel <= SMALL) {
    ptrdiff_t size = (ptrdiff_t)peri_dtype_size(call->dtype);
    l.one(x->layout.numel, y->data, size, x->data, size);
    return PERI_OK;
  }
  peri_operands o;
  PERI_TRY(peri_open_operands(call, &o, 0, 1, call->dtype));
  return peri_run_loops(y, &o, &l);
}

static peri_status run_unary(peri_call *call) { return peri_run_unary(call, call->op->id); }

/* Loops over gx, g, x and y; what a derivative does not read may be any tensor of the shape. */
typedef struct fused {
  peri_loops l;
  double numbers[PERI_TUNED_NUMBERS]; /* the loops' own pointer to them is of the moment */
  int n;                              /* operands */
} fused;

static peri_status run_fused(const void *note, peri_tensor *const *tensors) {
  fused f = *(const fused *)note;
  peri_tensor *gx = tensors[0];
  const ptrdiff_t size = (ptrdiff_t)peri_dtype_size(gx->layout.dtype);
  bool even = gx->layout.numel <= SMALL;
  char *data[PERI_MAX_OPERANDS];
  ptrdiff_t steps[PERI_MAX_OPERANDS];
  f.l.numbers = f.numbers;
  for (int i = 0; i <= f.n; i++) {
    const peri_tensor *t = tensors[i];
    even = even && t->contiguous && t->layout.dtype == gx->layout.dtype && peri_same_shape(&t->layout, &gx->layout);
    data[i] = t->data;
    steps[i] = size;
  }
  if (even) {
    run_row(&f.l, gx->layout.numel, data, steps);
    return PERI_OK;
  }
  peri_operands o = {.n = f.n};
  for (int i = 0; i < f.n; i++) o.converted[i] = peri_tensor_retain(tensors[i + 1]);
  return peri_run_loops(gx, &o, &f.l);
}

peri_value peri_fused_gradient(peri_backward *B, peri_loops *l, peri_tensor *g, peri_tensor *x, peri_tensor *y) {
  peri_tensor *gx = NULL;
  peri_layout layout;
  fused f;
  memset(&f, 0, sizeof f); /* notes of plans are compared byte by byte */
  f.l = *l;
  f.l.numbers = NULL;
  f.n = l->three != NULL ? 3 : 2;
  if (l->numbers != NULL) memcpy(f.numbers, l->numbers, sizeof f.numbers);
  peri_layout_set(&layout, g->layout.dtype, g->layout.ndim, g->layout.shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &gx);
  if (status == PERI_OK) {
    peri_recorder *r = B->context->recorder;
    peri_tensor *second = x != NULL ? x : y != NULL ? y : g;
    peri_tensor *tensors[] = {gx, g, second, y != NULL ? y : second};
    status = run_fused(&f, tensors);
    if (status == PERI_OK && r != NULL)
      r->part(r, &(peri_kernel_part){B->op->name, run_fused, &f, sizeof f, f.n + 1, tensors});
    if (status != PERI_OK) peri_tensor_release(&gx);
  }
  return peri_formula_own(B, status, gx);
}

peri_value peri_unary_gradient(peri_backward *B, int id, peri_value g, peri_value x, peri_value y) {
  peri_loops l = {.three = B->context->kernels->derivatives->unary[id][g.tensor->layout.dtype]};
  if (B->create_graph || l.three == NULL) return peri_step_mul(B, g, peri_unary_derivative(B, id, x, y));
  return peri_fused_gradient(B, &l, g.tensor, x.tensor, y.tensor);
}

static peri_status grad_unary(peri_backward *B) {
  peri_answer(B, 0,
              peri_unary_gradient(B, B->op->id, peri_of(B->grad_outputs[0]), peri_of(B->args[0].tensor),
                                  peri_of(B->outputs[0])));
  return PERI_OK;
}

peri_value peri_step_derivative(peri_backward *B, const peri_op *unary, peri_value g, peri_value y) {
  if (B->formula->status != PERI_OK) return g;
  return peri_unary_gradient(B, unary->id, g, peri_constant(0), y);
}

static void run_one(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (*(const peri_loop1 *)arg)(n, p[0], s[0], p[1], s[1]);
}

peri_status peri_apply_loop(peri_loop1 loop, peri_tensor *x, peri_tensor *y) {
  peri_iterator it;
  peri_iterator_open(&it, y->layout.ndim, y->layout.shape, 2, (const peri_view *[]){&y->view, &x->view});
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

/* A number of places to shift by. */
static peri_status check_places(peri_call *call) {
  const peri_arg *b = &call->args[1];
  int64_t at = 0;
  if (b->tensor == NULL) {
    if (b->integer >= 0) return PERI_OK;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "b is %lld (expected a number of places >= 0)",
                          (long long)b->integer);
  }
  PERI_TRY(find_integer(b->tensor, is_negative, &at));
  if (at < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of b is negative (expected numbers of places >= 0)",
                        (long long)at + 1);
}

/* Whether integers must not have 0 there. */
static bool has_divisor(int id) {
  return id == PERI_BINARY_floor_div || id == PERI_BINARY_mod || id == PERI_BINARY_fmod;
}

/* What int64 operands must not hold. */
static peri_status check_integers(peri_call *call) {
  int id = call->op->id;
  if (id == PERI_BINARY_pow) return check_exponent(call);
  if (has_divisor(id)) return check_divisor(call);
  bool shifts = id == PERI_BINARY_bitwise_left_shift || id == PERI_BINARY_bitwise_right_shift;
  return shifts ? check_places(call) : PERI_OK;
}

/* A row of integers alone. */
static peri_status refuse_floats(peri_call *call) {
  for (int i = 0; i < 2; i++) {
    const peri_arg *arg = &call->args[i];
    if (arg->tensor != NULL && peri_is_float(arg->tensor->layout.dtype)) return peri_refuse_dtype(call, i, "int64");
    if (arg->tensor == NULL && !arg->is_integer) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a whole number, written as an integer)",
                            call->op->params[i].name, arg->number);
    }
  }
  return PERI_OK;
}

/* A number that float32 would make infinite, or a divisor that it would make 0: 0 times the one and 0 divided by the
 * other are 0, and no NaN. */
static peri_status check_number(peri_call *call, int arg) {
  int id = call->op->id;
  const peri_arg *number = &call->args[arg];
  bool chooses = id == PERI_BINARY_maximum || id == PERI_BINARY_minimum || id == PERI_BINARY_fmax ||
                 id == PERI_BINARY_fmin || id == PERI_BINARY_copysign;
  if (chooses) return PERI_OK;
  PERI_TRY(peri_infer_fits(call, arg, PERI_FLOAT32));
  bool divides = arg == 1 && (id == PERI_BINARY_div || has_divisor(id));
  if (!divides || (float)number->number != 0 || number->number == 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g, which is 0 in float32 (float64 holds it)",
                        call->op->params[arg].name, number->number);
}

/* uint8 only stores; bool counts as 0 and 1. */
static peri_status infer_binary(peri_call *call) {
  const peri_loop2 *by_dtype = call->context->kernels->elementwise->binary[call->op->id];
  PERI_TRY(peri_need_a_tensor(call));
  for (int i = 0; i < 2; i++) {
    if (call->args[i].tensor != NULL && call->args[i].tensor->layout.dtype == PERI_UINT8) {
      return peri_refuse_dtype(call, i, "float32, float64, int64 or bool");
    }
  }
  if (by_dtype[PERI_FLOAT64] == NULL) PERI_TRY(refuse_floats(call));
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
  if (call->dtype == PERI_INT64) PERI_TRY(check_integers(call));
  return peri_infer_broadcast(call, 0, 2, call->dtype);
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
    if (B->needs[edge]) peri_answer(B, edge, peri_binary_gradient(B, B->op->id, edge, a, b, y, g));
  }
  return PERI_OK;
}

/* ---- the rows of elementwise.def ---- */

#define A_IN                       PERI_SAVE_INPUT(0)
#define B_IN                       PERI_SAVE_INPUT(1)
#define Y_OUT                      PERI_SAVE_OUTPUT(0)
#define SAVES_NONE                 0
#define SAVES_NO_GRADIENT          0
#define SAVES_REFUSED              0
#define SAVES_X                    A_IN
#define SAVES_Y                    Y_OUT
#define SAVES_XY                   (A_IN | Y_OUT)
#define SAVES_AB                   (A_IN | B_IN)
#define SAVES_BY                   (B_IN | Y_OUT)
#define SAVES_ABY                  (A_IN | B_IN | Y_OUT)
#define FLAGS_NONE                 0
#define FLAGS_NO_GRADIENT          PERI_OP_NO_GRADIENT
#define FLAGS_REFUSED              0
#define FLAGS_X                    0
#define FLAGS_Y                    0
#define FLAGS_XY                   0
#define FLAGS_AB                   0
#define FLAGS_BY                   0
#define FLAGS_ABY                  0
#define GRAD_NONE(function)        function
#define GRAD_NO_GRADIENT(function) NULL
#define GRAD_REFUSED(function)     NULL
#define GRAD_X(function)           function
#define GRAD_Y(function)           function
#define GRAD_XY(function)          function
#define GRAD_AB(function)          function
#define GRAD_BY(function)          function
#define GRAD_ABY(function)         function

#define UNARY(name_, kinds, cost, value, saves_, derivative, low_, high_, doc_)                                        \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .metamethod = PERI_FULL(PERI_UNARY_##name_ == PERI_UNARY_neg ? "__unm" : NULL),                                  \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS | FLAGS_##saves_ | PERI_SERVES(doc_),            \
      .saves = SAVES_##saves_,                                                                                         \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_unary,                                                                                            \
      .run = run_unary,                                                                                                \
      .run_lanes = PERI_FULL(run_unary),                                                                               \
      .grad = PERI_FULL(GRAD_##saves_(grad_unary)),                                                                    \
      .low = low_,                                                                                                     \
      .high = high_,                                                                                                   \
      .sample = "{T(3, 4)}, {T()}, {T(0)}",                                                                            \
      .doc = #name_ "(x) -> tensor\n" doc_,                                                                            \
      .id = PERI_UNARY_##name_,                                                                                        \
  };
#define SAMPLE_F  "{T(3, 4), T(3, 4)}, {T(3, 1), T(4)}, {T(3, 4), 1.5}, {T(), T(2)}, {T(0, 3), T(3)}"
#define SAMPLE_FI SAMPLE_F
#define SAMPLE_I  "{I(20, 3, 4), I(20, 3, 4)}, {I(20, 3, 1), I(20, 4)}, {I(20, 3, 4), 3}, {I(20, 0, 3), I(20, 3)}"
#define PROMOTION_F                                                                                                    \
  " Integers beside a float tensor take its dtype, and a Lua number does not widen it; int64 with a fraction gives "   \
  "float64."
#define PROMOTION_FI PROMOTION_F
#define PROMOTION_I  ""

#define BINARY(name_, metamethod_, kinds, cost, value, saves_, da, db, low_, high_, doc_)                              \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .metamethod = PERI_FULL(metamethod_),                                                                            \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS | FLAGS_##saves_ | PERI_SERVES(doc_),            \
      .saves = SAVES_##saves_,                                                                                         \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},                                                  \
      .infer = infer_binary,                                                                                           \
      .run = run_binary,                                                                                               \
      .run_lanes = PERI_FULL(run_binary),                                                                              \
      .grad = PERI_FULL(GRAD_##saves_(grad_binary)),                                                                   \
      .low = low_,                                                                                                     \
      .high = high_,                                                                                                   \
      .sample = SAMPLE_##kinds,                                                                                        \
      .doc = #name_ "(a, b) -> tensor\n" doc_ " Shapes are broadcast." PROMOTION_##kinds,                              \
      .id = PERI_BINARY_##name_,                                                                                       \
  };
#include "kernels/elementwise.def"

/* mod by PyTorch's name */
const peri_op peri_op_remainder = {
    .name = "remainder",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .saves = SAVES_AB,
    .outputs = 1,
    .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},
    .infer = infer_binary,
    .run = run_binary,
    .grad = PERI_FULL(grad_binary),
    .low = 0.5,
    .high = 3,
    .sample = SAMPLE_FI,
    .doc = "remainder(a, b) -> tensor\nThe same as mod, a % b: the rest of a / b with the sign of b.",
    .id = PERI_BINARY_mod,
};

const peri_op *const peri_ops_elementwise[] = {&peri_op_remainder,

#define UNARY(name, ...)  &peri_op_##name,
#define BINARY(name, ...) &peri_op_##name,
#include "kernels/elementwise.def"
                                               NULL};
