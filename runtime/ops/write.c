/* Rows that write into their first argument, x: everywhere, at index tensors, under masks. */
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

/* source must broadcast to a target of `ndim` sizes. */
static peri_status fits_target(peri_call *call, const peri_layout *source, int ndim, const int64_t *target) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  int shift = ndim - source->ndim;
  bool fits = shift >= 0;
  for (int d = 0; d < source->ndim && fits; d++) fits = source->shape[d] == 1 || source->shape[d] == target[shift + d];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "source is %s but the target is %s",
                        peri_shape_text(source->ndim, source->shape, a), peri_shape_text(ndim, target, b));
}
static peri_status infer_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(peri_infer_fits(call, 1, x->dtype));
  if (call->args[1].tensor != NULL) PERI_TRY(fits_target(call, &call->args[1].tensor->layout, x->ndim, x->shape));
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

static peri_status infer_index_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t target[PERI_MAX_DIMS];
  if (x->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has no dimension to index");
  PERI_TRY(peri_index_need_int64(call, 1));
  PERI_TRY(peri_index_need_vector(call, 1));
  PERI_TRY(peri_infer_fits(call, 2, x->dtype));
  memcpy(target, x->shape, sizeof target);
  target[0] = call->args[1].tensor->layout.numel;
  if (call->args[2].tensor != NULL) PERI_TRY(fits_target(call, &call->args[2].tensor->layout, x->ndim, target));
  PERI_TRY(peri_index_check(call, 1, x->shape[0]));
  return infer_written(call);
}
/* Without the first dimension: entry 0, or all where the first size is 1. */
static peri_view entry(const peri_tensor *x) {
  peri_view row = x->view;
  row.contiguous = false;
  row.layout.ndim--;
  memmove(row.layout.shape, x->layout.shape + 1, (size_t)row.layout.ndim * sizeof(int64_t));
  memmove(row.layout.strides, x->layout.strides + 1, (size_t)row.layout.ndim * sizeof(int64_t));
  return row;
}
static peri_status run_index_copy(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, *source;
  const int64_t *index;
  PERI_TRY(peri_index_from_zero(call, 1, &index));
  if (call->args[2].tensor != NULL) {
    PERI_TRY(peri_tensor_convert(call->args[2].tensor, x->layout.dtype, &source));
  } else {
    PERI_TRY(number_tensor(x, &call->args[2], &source));
  }
  bool rows = source->layout.ndim == x->layout.ndim;
  peri_view row = entry(x), from = rows ? entry(source) : source->view;
  int64_t size = (int64_t)peri_dtype_size(x->layout.dtype);
  int64_t step = rows && source->layout.shape[0] != 1 ? source->layout.strides[0] * size : 0;
  peri_status status = PERI_OK;
  for (int64_t i = 0; i < call->args[1].tensor->layout.numel && status == PERI_OK; i++) {
    row.data = x->data + index[i] * x->layout.strides[0] * size;
    from.data = source->data + i * step;
    status = peri_view_copy_into(call->context, &row, &from);
  }
  peri_tensor_release(&source);
  return status;
}
const peri_op peri_op_index_copy_ = {
    .name = "index_copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}, {"source", PERI_KIND_OPERAND}},
    .infer = infer_index_copy,
    .run = run_index_copy,
    .sample = "{T(4, 3), I(4, 2), T(2, 3)}, {T(4, 3), I(4, 5), 1}, {T(4), I(4, 3), T(3)}",
    .doc = "index_copy_(x, index, source) -> x\n"
           "Writes source, broadcast, to the rows of x at the int64 vector index; where a row is named twice the last "
           "one stays. Source and index may share memory with x: they are read first. What x[index] = source does.",
};

static peri_status infer_masked_copy(peri_call *call) {
  PERI_TRY(peri_mask_check(call, 1));
  const peri_layout *source = &call->args[2].tensor->layout;
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[1].tensor, &own));
  int64_t count = 0;
  for (int64_t i = 0; i < own->layout.numel; i++) count += own->data[i];
  peri_tensor_release(&own);
  if (source->numel != count && source->numel != 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "source has %lld elements but mask chooses %lld",
                          (long long)source->numel, (long long)count);
  }
  return infer_written(call);
}
static peri_status run_masked_copy(peri_call *call) {
  peri_tensor *x = call->args[0].tensor, *positions, *converted, *source;
  PERI_TRY(peri_mask_positions(call, call->args[1].tensor, &positions));
  peri_status status = peri_tensor_convert(call->args[2].tensor, x->layout.dtype, &converted);
  if (status == PERI_OK) {
    status = peri_tensor_contiguous(converted, &source);
    peri_tensor_release(&converted);
  }
  if (status == PERI_OK) {
    const int64_t *position = (const int64_t *)(const void *)positions->data;
    size_t size = peri_dtype_size(x->layout.dtype);
    for (int64_t i = 0; i < positions->layout.numel; i++) {
      int64_t rest = position[i] - 1, at = 0;
      for (int d = x->layout.ndim - 1; d >= 0; d--) {
        at += rest % x->layout.shape[d] * x->layout.strides[d];
        rest /= x->layout.shape[d];
      }
      memcpy(x->data + at * (int64_t)size, source->data + (source->layout.numel == 1 ? 0 : (size_t)i * size), size);
    }
    peri_tensor_release(&source);
  }
  peri_tensor_release(&positions);
  return status;
}
const peri_op peri_op_masked_copy_ = {
    .name = "masked_copy_",
    .flags = PERI_OP_WRITES | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"mask", PERI_KIND_TENSOR}, {"source", PERI_KIND_TENSOR}},
    .infer = infer_masked_copy,
    .run = run_masked_copy,
    .sample = "{T(3, 4), B(3, 4), T(1)}",
    .doc = "masked_copy_(x, mask, source) -> x\n"
           "Writes the elements of source, in order, to where the bool tensor mask is true; source has as many "
           "elements as mask has trues, or one. Source and mask may share memory with x. What x[mask] = source does.",
};

const peri_op *const peri_ops_write[] = {&peri_op_fill_,       &peri_op_zero_,        &peri_op_copy_,
                                         &peri_op_index_copy_, &peri_op_masked_copy_, NULL};
