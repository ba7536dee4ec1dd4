/* Rows of bits: of bool tensors as logic, of int64 as two's complement. */
#include "ops/elementwise.h"
#include "ops/rows.h"

static peri_status infer_bits(peri_call *call) {
  int n = peri_op_params(call->op);
  if (n == 2) PERI_TRY(peri_need_a_tensor(call));
  for (int i = 0; i < n; i++) {
    const peri_arg *arg = &call->args[i];
    peri_dtype own = arg->tensor != NULL ? arg->tensor->layout.dtype : PERI_INT64;
    if (own != PERI_BOOL && own != PERI_INT64) return peri_refuse_dtype(call, i, "bool or int64");
    if (arg->tensor == NULL && !arg->is_integer) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a whole number, written as an integer)",
                            call->op->params[i].name, arg->number);
    }
  }
  PERI_TRY(peri_infer_promote(call, 0, n, &call->dtype));
  return peri_infer_broadcast(call, 0, n, call->dtype);
}

/* Of truth values "or" is a sum, "and" a product and "exclusive or" a difference that is not 0. */
static peri_status run_and(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  peri_loop2 loop =
      call->dtype == PERI_BOOL ? kernels->logical_and : kernels->binary[PERI_BINARY_integer_and][PERI_INT64];
  return peri_run_two(call, loop, &call->args[0], &call->args[1], call->dtype);
}
static peri_status run_or(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  peri_loop2 loop =
      call->dtype == PERI_BOOL ? kernels->logical_or : kernels->binary[PERI_BINARY_integer_or][PERI_INT64];
  return peri_run_two(call, loop, &call->args[0], &call->args[1], call->dtype);
}
static peri_status run_xor(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  peri_loop2 loop = call->dtype == PERI_BOOL ? kernels->compare[PERI_COMPARE_ne][PERI_BOOL]
                                             : kernels->binary[PERI_BINARY_integer_xor][PERI_INT64];
  return peri_run_two(call, loop, &call->args[0], &call->args[1], call->dtype);
}
static peri_status run_not(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  peri_tensor *x = call->args[0].tensor, *y = call->outputs[0].tensor;
  if (call->dtype == PERI_BOOL) return peri_apply_loop(kernels->logical_not, x, y);
  const peri_arg ones = {.given = true, .is_integer = true, .integer = -1, .number = -1};
  return peri_run_two(call, kernels->binary[PERI_BINARY_integer_xor][PERI_INT64], &call->args[0], &ones, PERI_INT64);
}

#define BITS(name_, metamethod_, run_, doc_)                                                                           \
  const peri_op peri_op_bitwise_##name_ = {                                                                            \
      .name = "bitwise_" #name_,                                                                                       \
      .metamethod = metamethod_,                                                                                       \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,                                                                 \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},                                                  \
      .infer = infer_bits,                                                                                             \
      .run = run_,                                                                                                     \
      .sample = "{B(3, 4), B(3, 4)}, {B(3, 1), B(4)}, {I(20, 3, 4), I(20, 4)}, {I(20, 3), 6}",                         \
      .doc =                                                                                                           \
          "bitwise_" #name_ "(a, b) -> tensor\n" doc_ " Shapes are broadcast; bool beside int64 counts as 0 and 1.",   \
  };
BITS(and, "__band", run_and, "The bits that a and b both have, for int64 and bool. Also a & b.")
BITS(or, "__bor", run_or, "The bits that a or b have, for int64 and bool. Also a | b.")
BITS(xor, "__bxor", run_xor, "The bits that one of a and b has, for int64 and bool. Also a ~ b.")
const peri_op peri_op_bitwise_not = {
    .name = "bitwise_not",
    .metamethod = "__bnot",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_bits,
    .run = run_not,
    .sample = "{B(3, 4)}, {I(20, 3, 4)}",
    .doc = "bitwise_not(x) -> tensor\nThe bits that x has not, for int64 (-x - 1) and bool. Also ~x.",
};

const peri_op *const peri_ops_bitwise[] = {&peri_op_bitwise_and, &peri_op_bitwise_or, &peri_op_bitwise_xor,
                                           &peri_op_bitwise_not, NULL};
