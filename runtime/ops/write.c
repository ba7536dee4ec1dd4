/* Rows that write into all of their first argument, x. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static peri_status infer_written(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}
/* A number as a tensor of no dimensions in x's dtype. */
static peri_status number_tensor(peri_tensor *x, const peri_arg *value, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, x->layout.dtype, 0, NULL);
  PERI_TRY(peri_tensor_empty(peri_tensor_context(x), &layout, out));
  peri_arg_store(value, x->layout.dtype, (*out)->data);
  return PERI_OK;
}
static peri_status write_number(peri_tensor *x, const peri_arg *value) {
  peri_tensor *constant;
  PERI_TRY(number_tensor(x, value, &constant));
  peri_status status = peri_tensor_copy_into(x, constant);
  peri_tensor_release(&constant);
  return status;
}
static peri_status infer_fill(peri_call *call) {
  PERI_TRY(peri_infer_fits(call, 1, call->args[0].tensor->layout.dtype));
  return infer_written(call);
}
static peri_status run_fill(peri_call *call) { return write_number(call->args[0].tensor, &call->args[1]); }
const peri_op peri_op_fill_ = {
    .name = "fill_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"value", PERI_KIND_NUMBER}},
    .infer = infer_fill,
    .run = run_fill,
    .sample = "{T(3, 4), 7}",
    .doc = "fill_(x, value) -> x\nWrites value to every element of x.",
};
static peri_status run_zero(peri_call *call) {
  peri_arg zero = {.number = 0};
  peri_tensor *x = call->args[0].tensor;
  if (!x->contiguous) return write_number(x, &zero);
  memset(x->data, 0, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype));
  return PERI_OK;
}
const peri_op peri_op_zero_ = {
    .name = "zero_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_written,
    .run = run_zero,
    .sample = "{T(3, 4)}",
    .doc = "zero_(x) -> x\nWrites 0 to every element of x.",
};

static peri_status infer_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_infer_source(call, 1, x->ndim, x->shape));
  return infer_written(call);
}
static peri_status run_copy_(peri_call *call) {
  if (call->args[1].tensor == NULL) return write_number(call->args[0].tensor, &call->args[1]);
  return peri_tensor_copy_into(call->args[0].tensor, call->args[1].tensor);
}
const peri_op peri_op_copy_ = {
    .name = "copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"source", PERI_KIND_OPERAND}},
    .infer = infer_copy,
    .run = run_copy_,
    .sample = "{T(3, 4), T(3, 4)}, {T(3, 4), T(4)}, {T(3, 4), 2}",
    .doc = "copy_(x, source) -> x\n"
           "Writes source, broadcast and converted to x's dtype, into x; what x[{}] = source does.",
};

const peri_op *const peri_ops_write[] = {&peri_op_fill_, &peri_op_zero_, &peri_op_copy_, NULL};
