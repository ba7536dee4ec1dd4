/* Elementwise rows of several operands that are not lines of elementwise.def: lerp, isclose, float_power. */
#include "ops/elementwise.h"
#include "ops/rows.h"

#include <math.h>

/* ---- lerp ---- */

static peri_status infer_lerp(peri_call *call) {
  for (int i = 0; i < 2; i++) PERI_TRY(peri_infer_float(call, i));
  if (call->args[2].tensor != NULL) PERI_TRY(peri_infer_float(call, 2));
  PERI_TRY(peri_infer_promote(call, 0, 3, &call->dtype));
  PERI_TRY(peri_infer_fits(call, 2, call->dtype));
  return peri_infer_broadcast(call, 0, 3, call->dtype);
}
static peri_status run_lerp(peri_call *call) {
  peri_operands o;
  PERI_TRY(peri_open_operands(call, &o, 0, 3, call->dtype));
  return peri_run_loops(call->outputs[0].tensor, &o,
                        &(peri_loops){.three = call->context->kernels->elementwise->lerp[call->dtype]});
}
static peri_status grad_lerp(peri_backward *B) {
  peri_value a = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), g = peri_of(B->grad_outputs[0]);
  peri_value weight = {B->args[2].tensor, B->args[2].number};
  if (B->needs[0]) peri_answer(B, 0, peri_step_mul(B, g, peri_step_sub(B, peri_constant(1), weight)));
  if (B->needs[1]) peri_answer(B, 1, peri_step_mul(B, g, weight));
  if (B->edges > 2 && B->needs[2]) peri_answer(B, 2, peri_step_mul(B, g, peri_step_sub(B, b, a)));
  return PERI_OK;
}
const peri_op peri_op_lerp = {
    .name = "lerp",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_JOINS,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}, {"weight", PERI_KIND_OPERAND}},
    .infer = infer_lerp,
    .run = run_lerp,
    .run_lanes = run_lerp,
    .grad = grad_lerp,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), T(3, 4), 0.25}, {T(3, 1), T(4), T(3, 4)}, {T(), T(2), 0.75}, {T(0, 3), T(3), 1}",
    .doc =
        "lerp(a, b, weight) -> tensor\n"
        "a + weight (b - a), for floats: a where weight, a number or a tensor, is 0, and exactly b where it is 1. Shapes "
        "are broadcast.",
};

/* ---- isclose ---- */

static peri_status infer_isclose(peri_call *call) {
  for (int i = 2; i < 4; i++) {
    if (!(call->args[i].number >= 0)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a number >= 0)", call->op->params[i].name,
                            call->args[i].number);
    }
  }
  return peri_infer_broadcast(call, 0, 2, PERI_BOOL);
}
static peri_status run_isclose(peri_call *call) {
  const peri_closeness how = {call->args[2].number, call->args[3].number, call->args[4].integer != 0};
  return peri_tensor_close_each(call->outputs[0].tensor, call->args[0].tensor, call->args[1].tensor, &how);
}
const peri_op peri_op_isclose = {
    .name = "isclose",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"rtol", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-5},
               {"atol", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-8},
               {"equal_nan", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_isclose,
    .run = run_isclose,
    .low = -3,
    .high = 3,
    .sample = "{T(3, 4), T(3, 4)}, {T(3, 1), T(4), 0.5}, {T(5), T(), {atol = 1}}",
    .doc =
        "isclose(a, b, rtol = 1e-5, atol = 1e-8, equal_nan = false) -> bool tensor\n"
        "True where |a - b| <= atol + rtol |b|, for every dtype, where both are the same infinity, and with equal_nan "
        "where both are NaN. Shapes are broadcast. allclose asks the same of all elements.",
};

/* ---- float_power ---- */

static peri_status infer_float_power(peri_call *call) {
  PERI_TRY(peri_need_a_tensor(call));
  call->dtype = PERI_FLOAT64;
  return peri_infer_broadcast(call, 0, 2, PERI_FLOAT64);
}
static peri_status run_float_power(peri_call *call) {
  peri_loop2 loop = call->context->kernels->elementwise->binary[PERI_BINARY_pow][PERI_FLOAT64];
  return peri_run_two(call, loop, &call->args[0], &call->args[1], PERI_FLOAT64);
}
static peri_status grad_float_power(peri_backward *B) {
  peri_value operand[2], y = peri_of(B->outputs[0]), g = peri_of(B->grad_outputs[0]);
  for (int i = 0; i < 2; i++) {
    operand[i] = (peri_value){B->args[i].tensor, B->args[i].number};
    if (operand[i].tensor != NULL) operand[i] = peri_step_convert(B, operand[i], PERI_FLOAT64);
  }
  for (int edge = 0; edge < B->edges; edge++) {
    if (B->needs[edge])
      peri_answer(B, edge, peri_binary_gradient(B, PERI_BINARY_pow, edge, operand[0], operand[1], y, g));
  }
  return PERI_OK;
}
const peri_op peri_op_float_power = {
    .name = "float_power",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},
    .infer = infer_float_power,
    .run = run_float_power,
    .grad = grad_float_power,
    .low = 0.5,
    .high = 3,
    .sample = "{T(3, 4), T(3, 4)}, {T(3, 1), T(4)}, {T(3, 4), 1.5}, {2, T(3)}, {T(0, 3), T(3)}",
    .doc =
        "float_power(a, b) -> float64 tensor\n"
        "a to the power b, computed in float64 whatever the dtypes. Negative a with a fractional b gives NaN. Shapes are "
        "broadcast.",
};

const peri_op *const peri_ops_mix[] = {&peri_op_lerp, &peri_op_isclose, &peri_op_float_power, NULL};
