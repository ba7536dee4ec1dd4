/* Elementwise rows with another shape of arguments: logic, where and masked_fill, clamp, conversion. */
#include "ops/elementwise.h"
#include "ops/rows.h"

#include <math.h>

/* ---- logical rows ---- */

static peri_status infer_logical(peri_call *call) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    if (call->args[i].tensor->layout.dtype != PERI_BOOL) return peri_refuse_dtype(call, i, "bool");
  }
  return peri_infer_broadcast(call, 0, peri_op_params(call->op), PERI_BOOL);
}
static peri_status run_logical(peri_call *call, peri_loops l) {
  peri_operands o;
  PERI_TRY(peri_open_operands(call, &o, 0, peri_op_params(call->op), PERI_BOOL));
  return peri_run_loops(call->outputs[0].tensor, &o, &l);
}
static peri_status run_not(peri_call *call) {
  return run_logical(call, (peri_loops){.one = call->context->kernels->elementwise->logical_not});
}
static peri_status run_and(peri_call *call) {
  return run_logical(call, (peri_loops){.two = call->context->kernels->elementwise->logical_and});
}
static peri_status run_or(peri_call *call) {
  return run_logical(call, (peri_loops){.two = call->context->kernels->elementwise->logical_or});
}
static peri_status run_xor(peri_call *call) {
  return run_logical(call,
                     (peri_loops){.two = call->context->kernels->elementwise->compare[PERI_COMPARE_ne][PERI_BOOL]});
}
const peri_op peri_op_logical_not = {
    .name = "logical_not",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR, .bools = true}},
    .infer = infer_logical,
    .run = run_not,
    .sample = "{B(3, 4)}",
    .doc = "logical_not(x) -> bool tensor\nTrue where x, a bool tensor, is false.",
};
#define LOGICAL_PARAMS                                                                                                 \
  {"a", PERI_KIND_TENSOR, .bools = true}, { "b", PERI_KIND_TENSOR, .bools = true }
#define LOGICAL_SAMPLE "{B(3, 4), B(3, 4)}, {B(3, 1), B(4)}"
const peri_op peri_op_logical_and = {
    .name = "logical_and",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .outputs = 1,
    .params = {LOGICAL_PARAMS},
    .infer = infer_logical,
    .run = run_and,
    .sample = LOGICAL_SAMPLE,
    .doc = "logical_and(a, b) -> bool tensor\n"
           "True where both bool tensors are true. Shapes are broadcast.",
};
const peri_op peri_op_logical_or = {
    .name = "logical_or",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .outputs = 1,
    .params = {LOGICAL_PARAMS},
    .infer = infer_logical,
    .run = run_or,
    .sample = LOGICAL_SAMPLE,
    .doc = "logical_or(a, b) -> bool tensor\n"
           "True where either bool tensor is true. Shapes are broadcast.",
};

const peri_op peri_op_logical_xor = {
    .name = "logical_xor",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .outputs = 1,
    .params = {LOGICAL_PARAMS},
    .infer = infer_logical,
    .run = run_xor,
    .sample = LOGICAL_SAMPLE,
    .doc = "logical_xor(a, b) -> bool tensor\n"
           "True where one of both bool tensors is true. Shapes are broadcast.",
};

/* ---- where, masked_fill, clamp ---- */

static peri_status infer_where(peri_call *call) {
  if (call->args[0].tensor->layout.dtype != PERI_BOOL) return peri_refuse_dtype(call, 0, "bool");
  PERI_TRY(peri_infer_promote(call, 1, 2, &call->dtype));
  for (int i = 1; i < 3; i++) PERI_TRY(peri_infer_fits(call, i, call->dtype));
  return peri_infer_broadcast(call, 0, 3, call->dtype);
}
static peri_status run_where(peri_call *call) {
  peri_operands o = {.n = 0};
  peri_loops l = {.three = call->context->kernels->elementwise->where[call->dtype]};
  peri_status status = peri_open_operand(&o, &call->args[0], PERI_BOOL);
  for (int i = 1; i < 3 && status == PERI_OK; i++) status = peri_open_operand(&o, &call->args[i], call->dtype);
  if (status == PERI_OK) return peri_run_loops(call->outputs[0].tensor, &o, &l);
  peri_close_operands(&o);
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
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_JOINS | PERI_OP_NO_METHOD,
    .saves = PERI_SAVE_INPUT(0),
    .outputs = 1,
    .params = {{"mask", PERI_KIND_TENSOR, .bools = true}, {"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},
    .infer = infer_where,
    .run = run_where,
    .run_lanes = run_where,
    .grad = grad_where,
    .low = -3,
    .high = 3,
    .sample = "{B(3, 4), T(3, 4), T(3, 4)}, {B(3, 1), T(4), 0}, {B(4), 1, T(2, 4)}",
    .alone = &peri_op_coordinates,
    .doc =
        "where(mask, a, b) -> tensor; where(x) -> list of int64 vectors\n"
        "a where the bool tensor mask is true, else b. Shapes are broadcast; a number that the tensor beside it "
        "cannot hold is an error. The gradient of what was not chosen is exactly 0, whatever stands there; a row "
        "behind it that has an infinite slope there makes NaN of it (choose its argument first). With one argument, of any dtype: the coordinates of what is true, or not 0, "
        "one vector for each dimension, so that x[peri.where(x)] are these elements.",
};

static peri_status infer_masked_fill(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  if (call->args[1].tensor->layout.dtype != PERI_BOOL) return peri_refuse_dtype(call, 1, "bool");
  PERI_TRY(peri_infer_fits(call, 2, x->dtype));
  PERI_TRY(peri_infer_broadcast(call, 0, 2, x->dtype));
  if (peri_same_shape(x, &call->outputs[0].layout)) return PERI_OK;
  char mask[PERI_SHAPE_TEXT], own[PERI_SHAPE_TEXT];
  const peri_layout *m = &call->args[1].tensor->layout;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "mask is %s but x is %s", peri_shape_text(m->ndim, m->shape, mask),
                        peri_shape_text(x->ndim, x->shape, own));
}
static peri_status run_masked_fill(peri_call *call) {
  peri_operands o = {.n = 0};
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  peri_loops l = {.three = call->context->kernels->elementwise->where[dtype]};
  peri_status status = peri_open_operand(&o, &call->args[1], PERI_BOOL);
  if (status == PERI_OK) status = peri_open_operand(&o, &call->args[2], dtype);
  if (status == PERI_OK) status = peri_open_operand(&o, &call->args[0], dtype);
  if (status == PERI_OK) return peri_run_loops(call->outputs[0].tensor, &o, &l);
  peri_close_operands(&o);
  return status;
}
static peri_status grad_masked_fill(peri_backward *B) {
  peri_answer(B, 0, peri_step_where(B, peri_of(B->args[1].tensor), peri_constant(0), peri_of(B->grad_outputs[0])));
  return PERI_OK;
}
const peri_op peri_op_masked_fill = {
    .name = "masked_fill",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR, .bools = true}, {"value", PERI_KIND_NUMBER}},
    .infer = infer_masked_fill,
    .run = run_masked_fill,
    .run_lanes = run_masked_fill,
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

/* A number that limits nothing, as no int64 lies beyond it, counts as left out. */
static bool limits_nothing(const peri_call *call, int bound) {
  double b = call->args[bound].number;
  return call->args[bound].tensor == NULL && call->dtype == PERI_INT64 && (bound == 1 ? b < -0x1p63 : b >= 0x1p63) &&
         !call->args[bound].is_integer;
}

/* Bounds that are numbers take x's dtype; of tensors they widen it. */
static peri_status infer_bound(peri_call *call, int bound) {
  const peri_arg *arg = &call->args[bound];
  if (arg->tensor == NULL) {
    if (!isnan(arg->number)) return PERI_OK;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is nan (expected a number)", call->op->params[bound].name);
  }
  peri_dtype own = arg->tensor->layout.dtype;
  if (own == PERI_UINT8 || own == PERI_BOOL) return peri_refuse_dtype(call, bound, "float32, float64 or int64");
  peri_dtype wider = peri_wider_dtype(call->dtype, own);
  bool widens = arg->tensor->layout.ndim > 0 && !call->in_place; /* within the category: floats, integers */
  if (widens || peri_is_float(wider) != peri_is_float(call->dtype)) call->dtype = wider;
  return PERI_OK;
}

/* Either bound is infinite when left out. NaN stays. */
static peri_status infer_clamp(peri_call *call) {
  const peri_arg *min = &call->args[1], *max = &call->args[2];
  const peri_layout *x = &call->args[0].tensor->layout;
  if (x->dtype == PERI_UINT8 || x->dtype == PERI_BOOL) return peri_refuse_dtype(call, 0, "float32, float64 or int64");
  if (!min->given && !max->given) return peri_call_fail(call, PERI_ERR_ARGUMENT, "neither min nor max is given");
  call->dtype = x->dtype;
  for (int i = 1; i < 3; i++) {
    if (call->args[i].given) PERI_TRY(infer_bound(call, i));
  }
  for (int i = 1; i < 3; i++) {
    if (call->args[i].given && !peri_is_float(call->dtype) && !limits_nothing(call, i))
      PERI_TRY(peri_infer_fits(call, i, call->dtype));
  }
  bool numbers = min->given && max->given && min->tensor == NULL && max->tensor == NULL;
  if (numbers && !in_order(min, max))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "min is %g but max is %g", min->number, max->number);
  return peri_infer_broadcast(call, 0, 3, call->dtype);
}
static peri_status run_clamp(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  static const int bounds[2] = {PERI_BINARY_maximum, PERI_BINARY_minimum};
  const peri_arg *from = &call->args[0];
  peri_arg written = {.tensor = call->outputs[0].tensor};
  for (int i = 0; i < 2; i++) {
    if (!call->args[i + 1].given || limits_nothing(call, i + 1)) continue;
    peri_operands o = {.n = 0};
    peri_loops l = {.two = kernels->binary[bounds[i]][call->dtype]};
    PERI_TRY(peri_open_operand(&o, from, call->dtype));
    peri_status status = peri_open_operand(&o, &call->args[i + 1], call->dtype);
    if (status == PERI_OK) status = peri_run_loops(call->outputs[0].tensor, &o, &l);
    if (status != PERI_OK) {
      peri_close_operands(&o);
      return status;
    }
    from = &written;
  }
  return from == &written || call->in_place ? PERI_OK : peri_tensor_copy_into(written.tensor, from->tensor);
}

/* max has the last word: what min raised above it is limited again. */
static peri_status grad_clamp(peri_backward *B) {
  peri_value bound[3], x = peri_of(B->args[0].tensor), g = peri_of(B->grad_outputs[0]), zero = peri_constant(0);
  bool given[3];
  for (int i = 1; i < 3; i++) {
    given[i] = B->args[i].given;
    bound[i] = (peri_value){B->args[i].tensor, B->args[i].number};
  }
  peri_value raised = given[1] ? peri_step_lt(B, x, bound[1]) : zero;
  peri_value below = given[1] ? peri_step_maximum(B, x, bound[1]) : x;
  peri_value cut = given[2] ? peri_step_gt(B, below, bound[2]) : zero;
  peri_value rest = given[2] ? peri_step_where(B, cut, zero, g) : g; /* what reaches the step before */
  if (B->needs[0]) peri_answer(B, 0, given[1] ? peri_step_where(B, raised, zero, rest) : rest);
  if (B->edges > 1 && B->needs[1] && given[1]) peri_answer(B, 1, peri_step_where(B, raised, rest, zero));
  if (B->edges > 2 && B->needs[2] && given[2]) peri_answer(B, 2, peri_step_where(B, cut, g, zero));
  return PERI_OK;
}
const peri_op peri_op_clamp = {
    .name = "clamp",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"min", PERI_KIND_OPERAND, .optional = true},
               {"max", PERI_KIND_OPERAND, .optional = true}},
    .infer = infer_clamp,
    .run = run_clamp,
    .run_lanes = run_clamp,
    .grad = grad_clamp,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), -1, 1}, {T(3, 4), {max = 0.5}}, {T(5), 0}, {T(3, 4), T(4), T(3, 1)}, {T(3, 1), {min = T(4)}}",
    .doc =
        "clamp(x, min, max) -> tensor\n"
        "x limited to [min, max], of which either may be left out, and each is a number or a tensor; shapes are "
        "broadcast, and where min, a tensor, is above max the result is max. NaN stays NaN. The gradient of x is 0 "
        "outside and 1 at the bounds and at NaN. Bounds of int64 must be whole. Errors: min above max, both numbers.",
};

/* ---- conversion ---- */

static peri_status infer_to(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, (peri_dtype)call->args[1].integer, x->ndim, x->shape);
}
static peri_status run_to(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, **y = &call->outputs[0].tensor;
  peri_dtype dtype = (peri_dtype)call->args[1].integer;
  if (x->layout.dtype >= PERI_DTYPES) return peri_view_copy(call->context, &x->view, dtype, y);
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
    .flags = PERI_OP_ALLOCATES | PERI_OP_ELEMENTWISE | PERI_OP_SOURCES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dtype", PERI_KIND_DTYPE}},
    .infer = infer_to,
    .run = run_to,
    .grad = grad_to,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), 'float64'}, {T(3), 'float32'}, {T(3), 'int64'}",
    .doc =
        "to(x, dtype) -> tensor\n"
        "x converted to dtype; a view when it has it already. Floats to integers truncate; to bool: x ~= 0. Takes also "
        "memory that a host lends as int16, int32, uint16 or float16, which no other operation does.",
};

const peri_op *const peri_ops_choose[] = {&peri_op_logical_not, &peri_op_logical_and, &peri_op_logical_or,
                                          &peri_op_logical_xor, &peri_op_where,       &peri_op_masked_fill,
                                          &peri_op_clamp,       &peri_op_to,          NULL};
