/* Rows of a table by their numbers, and products of two inputs. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

enum { INDEX, WEIGHT, PADDING, MODE, OFFSETS };

static peri_status infer_embedding(peri_call *call) {
  const peri_layout *index = &call->args[INDEX].tensor->layout, *weight = &call->args[WEIGHT].tensor->layout;
  const peri_arg *padding = &call->args[PADDING];
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, WEIGHT));
  if (weight->ndim != 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "weight is %s (expected numbers x size)",
                          peri_shape_text(weight->ndim, weight->shape, text));
  }
  if (index->dtype != PERI_INT64 || index->ndim >= PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s of %s (expected int64 of at most %d dimensions)",
                          peri_dtype_name(index->dtype), peri_shape_text(index->ndim, index->shape, text),
                          PERI_MAX_DIMS - 1);
  }
  if (padding->given && (padding->integer < 1 || padding->integer > weight->shape[0])) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "padding_idx is %lld (expected 1 to %lld)",
                          (long long)padding->integer, (long long)weight->shape[0]);
  }
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(call->args[INDEX].tensor, &own));
  const int64_t *labels = (const int64_t *)(const void *)own->data;
  int64_t i = 0, n = own->layout.numel;
  while (i < n && labels[i] >= 1 && labels[i] <= weight->shape[0]) i++;
  int64_t value = i < n ? labels[i] : 0;
  peri_tensor_release(&own);
  if (i == n) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element %lld of index is %lld (expected 1 to %lld%s)",
                        (long long)i + 1, (long long)value, (long long)weight->shape[0],
                        value == 0 ? "; they count from 1" : "");
}

/* The rows of all indices, n x size. */
static peri_value rows_of(peri_backward *B) {
  int64_t n = B->args[INDEX].tensor->layout.numel;
  peri_value index = peri_step_reshape(B, peri_of(B->args[INDEX].tensor), 1, &n);
  if (B->formula->status != PERI_OK) return index;
  peri_call call;
  peri_value weight = peri_of(B->args[WEIGHT].tensor);
  peri_step_open(B, &call, &peri_op_index_select, 1, &weight);
  call.args[1].given = call.args[2].given = true;
  call.args[1].integer = 0;
  call.args[2].tensor = index.tensor;
  return peri_step_run(B, &call);
}

/* A mask, n x 1, of those that are padding, where there may be some. */
static peri_value padding_of(peri_backward *B) {
  int64_t column[2] = {B->args[INDEX].tensor->layout.numel, 1};
  if (!B->args[PADDING].given) return peri_constant(0);
  peri_value index = peri_step_reshape(B, peri_of(B->args[INDEX].tensor), 2, column);
  return peri_step_eq(B, index, peri_constant((double)B->args[PADDING].integer));
}

static peri_status compose_embedding(peri_backward *B) {
  const peri_layout *index = &B->args[INDEX].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  peri_value y = rows_of(B), padded = PERI_TRAINS && B->context->grad_mode ? padding_of(B) : peri_constant(0);
  if (B->formula->status != PERI_OK) return PERI_OK;
  if (PERI_TRAINS && padded.tensor != NULL) { /* no gradient goes there */
    peri_tensor *constant = NULL;
    peri_status status = peri_tensor_detach(y.tensor, &constant);
    y = peri_step_where(B, padded, peri_formula_own(B, status, constant), y);
  }
  memcpy(shape, index->shape, sizeof shape);
  shape[index->ndim] = B->args[WEIGHT].tensor->layout.shape[1];
  peri_answer(B, 0, peri_step_reshape(B, y, index->ndim + 1, shape));
  return PERI_OK;
}
const peri_op peri_op_embedding = {
    .name = "embedding",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"index", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR},
               {"padding_idx", PERI_KIND_INTEGER, .optional = true, .named = true}},
    .infer = infer_embedding,
    .compose = compose_embedding,
    .low = -1,
    .high = 1,
    .sample = "{I(5, 3), T(5, 2)}, {I(4, 2, 3), T(5, 2), {padding_idx = 5}}, {I(4), T(4, 3)}",
    .doc = "embedding(index, weight, {padding_idx}) -> tensor\n"
           "The row of weight, numbers x size, for each element of the int64 tensor index, which counts from 1: a last "
           "dimension of that size is added. The row padding_idx gets no gradient.\n"
           "Errors: an index or padding_idx beyond the rows.",
};

static int64_t offset_of(const peri_tensor *offsets, int64_t bag) {
  return peri_load_integer(PERI_INT64, offsets->data + bag * offsets->layout.strides[0] * 8);
}

static peri_status check_offsets(peri_call *call) {
  const peri_tensor *offsets = call->args[OFFSETS].tensor;
  const peri_layout *index = &call->args[INDEX].tensor->layout, *o = &offsets->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (index->ndim != 1 || o->ndim != 1 || o->dtype != PERI_INT64) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s and offsets %s of %s (expected two vectors of int64)",
                          peri_shape_text(index->ndim, index->shape, a), peri_shape_text(o->ndim, o->shape, b),
                          peri_dtype_name(o->dtype));
  }
  for (int64_t i = 0, before = 1; i < o->numel; i++) {
    const int64_t at = offset_of(offsets, i);
    if (at < before || at > index->numel + 1 || (i == 0 && at != 1)) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "offsets[%lld] is %lld (expected %lld%s)", (long long)i + 1,
                            (long long)at, (long long)before,
                            i == 0 ? ", where the first bag begins" : " or more, and at most the end of index");
    }
    before = at;
  }
  if (o->numel > 0 || index->numel == 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "offsets is empty but index has %lld elements (expected 1 first)",
                        (long long)index->numel);
}

static peri_status infer_bag(peri_call *call) {
  const peri_layout *index = &call->args[INDEX].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(infer_embedding(call));
  if (call->args[OFFSETS].tensor != NULL) return check_offsets(call);
  if (index->ndim == 2) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s (expected bags x length, or a vector with offsets)",
                        peri_shape_text(index->ndim, index->shape, text));
}

/* For each element of index the number of its bag, from 1. */
static peri_value bags_of(peri_backward *B) {
  const peri_tensor *offsets = B->args[OFFSETS].tensor;
  const int64_t n = B->args[INDEX].tensor->layout.numel, bags = offsets->layout.shape[0];
  peri_layout layout;
  peri_tensor *bag = NULL;
  peri_layout_set(&layout, PERI_INT64, 1, &n);
  peri_status status = peri_tensor_empty(B->context, &layout, &bag);
  for (int64_t b = 0; status == PERI_OK && b < bags; b++) {
    const int64_t end = b + 1 < bags ? offset_of(offsets, b + 1) - 1 : n;
    for (int64_t i = offset_of(offsets, b) - 1; i < end; i++) ((int64_t *)(void *)bag->data)[i] = b + 1;
  }
  return peri_formula_own(B, status, bag);
}

/* The rows of x, n x size, added up by bag. */
static peri_value add_by_bag(peri_backward *B, peri_value x, peri_value bag, int64_t size) {
  const int64_t shape[2] = {B->args[OFFSETS].tensor->layout.shape[0], size};
  peri_layout layout;
  peri_tensor *zeros = NULL;
  if (B->formula->status != PERI_OK) return x;
  peri_layout_set(&layout, B->args[WEIGHT].tensor->layout.dtype, 2, shape);
  peri_status status = peri_tensor_full(B->context, &layout, 0, &zeros);
  peri_value sums = peri_formula_own(B, status, zeros);
  if (B->formula->status != PERI_OK) return x;
  peri_call call;
  peri_step_open(B, &call, &peri_op_index_add, 4, (peri_value[]){sums, peri_constant(0), bag, x});
  call.args[1].integer = 0;
  return peri_step_run(B, &call);
}

/* The same where offsets say where bags begin. */
static peri_status compose_bags(peri_backward *B) {
  const int64_t n = B->args[INDEX].tensor->layout.numel, size = B->args[WEIGHT].tensor->layout.shape[1];
  peri_value y = rows_of(B), padded = padding_of(B), bag = bags_of(B);
  if (padded.tensor != NULL) y = peri_apply(B, &peri_op_masked_fill, 3, (peri_value[]){y, padded, peri_constant(0)});
  y = add_by_bag(B, y, bag, size);
  if (B->args[MODE].integer == 1 && B->formula->status == PERI_OK) {
    const peri_dtype dtype = B->args[WEIGHT].tensor->layout.dtype;
    peri_value one;
    if (padded.tensor != NULL) {
      one = peri_step_convert(B, peri_step_eq(B, padded, peri_constant(0)), dtype);
    } else {
      peri_layout layout;
      peri_tensor *ones = NULL;
      peri_layout_set(&layout, dtype, 2, (int64_t[]){n, 1});
      peri_status status = peri_tensor_full(B->context, &layout, 1, &ones);
      one = peri_formula_fixed(B, status, ones);
    }
    y = peri_step_div(B, y, peri_step_maximum(B, add_by_bag(B, one, bag, 1), peri_constant(1)));
  }
  peri_answer(B, 0, y);
  return PERI_OK;
}

/* The rows of a bag that are no padding, added up, and for the mean divided by their number (of none: 0). */
static peri_status compose_bag(peri_backward *B) {
  if (B->args[OFFSETS].tensor != NULL) return compose_bags(B);
  const peri_layout *index = &B->args[INDEX].tensor->layout, *weight = &B->args[WEIGHT].tensor->layout;
  const int64_t bags[3] = {index->shape[0], index->shape[1], weight->shape[1]}, along = 1;
  peri_value y = rows_of(B), padded = padding_of(B);
  if (padded.tensor != NULL) y = peri_apply(B, &peri_op_masked_fill, 3, (peri_value[]){y, padded, peri_constant(0)});
  y = peri_step_sum(B, peri_step_reshape(B, y, 3, bags), 1, &along, false);
  if (B->args[MODE].integer == 1) {
    peri_value count = peri_constant((double)peri_max(index->shape[1], 1));
    if (padded.tensor != NULL) {
      count = peri_step_convert(B, peri_step_eq(B, padded, peri_constant(0)), weight->dtype);
      count = peri_step_sum(B, peri_step_reshape(B, count, 2, bags), 1, &along, true);
      count = peri_step_maximum(B, count, peri_constant(1));
    }
    y = peri_step_div(B, y, count);
  }
  peri_answer(B, 0, y);
  return PERI_OK;
}
const peri_op peri_op_embedding_bag = {
    .name = "embedding_bag",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"index", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR},
               {"padding_idx", PERI_KIND_INTEGER, .optional = true, .named = true},
               {"mode", PERI_KIND_CHOICE, .optional = true, .named = true, .otherwise = 1, .choices = "sum mean"},
               {"offsets", PERI_KIND_INDICES, .optional = true, .named = true}},
    .infer = infer_bag,
    .compose = compose_bag,
    .low = -1,
    .high = 1,
    .sample = "{I(5, 3, 4), T(5, 2)}, {I(5, 2, 3), T(5, 2), {padding_idx = 1, mode = 'sum'}}, "
              "{I(3, 4, 3), T(3, 2), {padding_idx = 2}}, {I(4, 5), T(4, 2), {offsets = {1, 3, 3}}}, "
              "{I(3, 4), T(3, 2), {offsets = {1, 2}, mode = 'sum', padding_idx = 2}}",
    .doc =
        "embedding_bag(index, weight, {padding_idx, mode = 'mean', offsets}) -> tensor\n"
        "Of each row of index, bags x length, the mean or the sum of the rows of weight that it names: embedding, "
        "reduced along the length. Or index is a vector, and offsets (a table or an int64 tensor) says at which of its "
        "elements each bag begins, the first at 1. Those of padding_idx are left out; a bag of nothing gives 0.\n"
        "Errors: an index or padding_idx beyond the rows; offsets that go down, or do not begin with 1.",
};

/* ---- bilinear ---- */

static peri_status infer_bilinear(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  const peri_layout *w = &call->args[2].tensor->layout;
  const peri_tensor *bias = call->args[3].tensor;
  char text[3][PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  for (int i = 1; i < 4; i++) PERI_TRY(peri_infer_same_dtype(call, 0, i));
  bool fits = a->ndim >= 1 && a->ndim == b->ndim && w->ndim == 3;
  for (int d = 0; fits && d < a->ndim - 1; d++) fits = a->shape[d] == b->shape[d];
  fits = fits && a->shape[a->ndim - 1] == w->shape[1] && b->shape[b->ndim - 1] == w->shape[2];
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "input1 is %s, input2 %s and weight %s (expected .. x n1, .. x n2 and outputs x n1 x n2)",
                          peri_shape_text(a->ndim, a->shape, text[0]), peri_shape_text(b->ndim, b->shape, text[1]),
                          peri_shape_text(w->ndim, w->shape, text[2]));
  }
  if (bias == NULL || (bias->layout.ndim == 1 && bias->layout.shape[0] == w->shape[0])) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "bias is %s (expected %lld)",
                        peri_shape_text(bias->layout.ndim, bias->layout.shape, text[0]), (long long)w->shape[0]);
}

/* (input1 W) as rows x outputs x n2, times input2, summed. */
static peri_status compose_bilinear(peri_backward *B) {
  const peri_layout *a = &B->args[0].tensor->layout, *w = &B->args[2].tensor->layout;
  int64_t n1 = w->shape[1], n2 = w->shape[2], rows = 1, outputs = w->shape[0], last = 2, shape[PERI_MAX_DIMS];
  for (int d = 0; d < a->ndim - 1; d++) rows *= a->shape[d];
  peri_value weight = peri_step_permute(B, peri_of(B->args[2].tensor), 3, (int64_t[]){1, 0, 2});
  weight = peri_step_reshape(B, weight, 2, (int64_t[]){n1, outputs * n2});
  peri_value left = peri_step_reshape(B, peri_of(B->args[0].tensor), 2, (int64_t[]){rows, n1});
  peri_value right = peri_step_reshape(B, peri_of(B->args[1].tensor), 3, (int64_t[]){rows, 1, n2});
  peri_value y = peri_step_matmul(B, left, weight, false, false);
  y = peri_step_mul(B, peri_step_reshape(B, y, 3, (int64_t[]){rows, outputs, n2}), right);
  y = peri_step_sum(B, y, 1, &last, false);
  if (B->args[3].tensor != NULL) y = peri_step_add(B, y, peri_of(B->args[3].tensor));
  memcpy(shape, a->shape, sizeof shape);
  shape[a->ndim - 1] = outputs;
  peri_answer(B, 0, a->ndim == 2 ? y : peri_step_reshape(B, y, a->ndim, shape));
  return PERI_OK;
}
const peri_op peri_op_bilinear = {
    .name = "bilinear",
    .outputs = 1,
    .params = {{"input1", PERI_KIND_TENSOR},
               {"input2", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR},
               {"bias", PERI_KIND_TENSOR, .optional = true}},
    .infer = infer_bilinear,
    .compose = compose_bilinear,
    .low = -1,
    .high = 1,
    .sample =
        "{T(4, 3), T(4, 2), T(5, 3, 2), T(5)}, {T(2, 2, 3), T(2, 2, 2), T(1, 3, 2)}, {T(3), T(2), T(2, 3, 2), T(2)}",
    .doc =
        "bilinear(input1, input2, weight, bias) -> tensor\n"
        "input1 weight[k] input2 + bias[k] of the last dimensions, for each output k: input1 is .. x n1, input2 .. x "
        "n2 with the same dimensions before, weight outputs x n1 x n2, and the result .. x outputs. Floats of one "
        "dtype.",
};

const peri_op *const peri_ops_embedding[] = {&peri_op_embedding, &peri_op_embedding_bag, &peri_op_bilinear, NULL};
