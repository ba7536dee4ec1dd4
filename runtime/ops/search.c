/* Where values belong in sorted order, and whether they stand among others. */
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- searchsorted, bucketize: arguments sorted and values in either order, right, side, sorter ---- */

enum { SORTER = 4 };

typedef struct searching {
  int sorted, values;
} searching;

static searching places_of(const peri_call *call) { return call->op->id == 1 ? (searching){1, 0} : (searching){0, 1}; }

static bool goes_right(const peri_call *call) {
  return call->args[2].integer || (call->op->id == 0 && call->args[3].integer == 1);
}

static peri_status check_side(peri_call *call, int right) {
  if (call->op->id == 1 || !call->args[right + 1].given) return PERI_OK;
  if (!call->args[right].given || call->args[right].integer == (call->args[right + 1].integer == 1)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "right is %s but side is %s (expected one of them)",
                        call->args[right].integer ? "true" : "false",
                        call->args[right + 1].integer == 1 ? "right" : "left");
}

/* Boundaries are few beside the values, and are looked at; a sequence that is searched may be far longer than it takes
 * to find a few values in it. */
static peri_status check_boundaries(peri_call *call, const peri_tensor *x) {
  if (call->op->id == 0) return PERI_OK;
  for (int64_t i = 1; i < x->layout.numel; i++) {
    const char *at = x->data + (size_t)i * peri_dtype_size(x->layout.dtype);
    double before = peri_load_number(x->layout.dtype, at - peri_dtype_size(x->layout.dtype));
    double after = peri_load_number(x->layout.dtype, at);
    if (before <= after || after != after) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "boundaries[%lld] is %g but boundaries[%lld] is %g (expected an "
                          "ascending order)",
                          (long long)i, before, (long long)i + 1, after);
  }
  return PERI_OK;
}

static peri_status infer_sorter(peri_call *call, const peri_layout *sorted) {
  const peri_arg *sorter = &call->args[SORTER];
  char own[PERI_SHAPE_TEXT], text[PERI_SHAPE_TEXT];
  if (call->op->id == 1 || !sorter->given) return PERI_OK;
  const peri_layout *index = &sorter->tensor->layout;
  PERI_TRY(peri_index_need_int64(call, SORTER));
  if (!peri_same_shape(index, sorted)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "sorter is %s but sorted is %s (expected the same)",
                          peri_shape_text(index->ndim, index->shape, own),
                          peri_shape_text(sorted->ndim, sorted->shape, text));
  }
  return peri_index_within(call, SORTER, sorter->tensor, sorted->shape[sorted->ndim - 1], false);
}

/* *sorted, contiguous, becomes its elements in the order of the sorter. */
static peri_status bring_in_order(peri_call *call, peri_tensor **sorted) {
  const peri_layout *layout = &(*sorted)->layout;
  peri_tensor *index, *y = NULL;
  if (call->op->id == 1 || !call->args[SORTER].given) return PERI_OK;
  PERI_TRY(peri_tensor_contiguous(call->args[SORTER].tensor, &index));
  peri_status status = peri_tensor_empty(call->context, layout, &y);
  if (status == PERI_OK) {
    size_t size = peri_dtype_size(layout->dtype);
    int64_t n = layout->shape[layout->ndim - 1];
    const int64_t *at = (const int64_t *)(const void *)index->data;
    for (int64_t i = 0; i < layout->numel; i++) {
      memcpy(y->data + (size_t)i * size, (*sorted)->data + (size_t)(i / n * n + at[i] - 1) * size, size);
    }
    peri_tensor_release(sorted);
    *sorted = y;
  }
  peri_tensor_release(&index);
  return status;
}

static peri_status infer_search(peri_call *call) {
  searching p = places_of(call);
  const peri_layout *sorted = &call->args[p.sorted].tensor->layout;
  const peri_tensor *values = call->args[p.values].tensor;
  char own[PERI_SHAPE_TEXT], text[PERI_SHAPE_TEXT];
  PERI_TRY(check_side(call, 2));
  bool fits = sorted->ndim > 0 && (sorted->ndim == 1 || call->op->id == 0);
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %s)", call->op->params[p.sorted].name,
                          peri_shape_text(sorted->ndim, sorted->shape, own),
                          call->op->id == 0 ? "at least one dimension" : "one dimension");
  }
  fits = sorted->ndim == 1 || (values != NULL && values->layout.ndim == sorted->ndim);
  for (int d = 0; fits && sorted->ndim > 1 && d < sorted->ndim - 1; d++) {
    fits = values->layout.shape[d] == sorted->shape[d];
  }
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "sorted is %s but values is %s (expected the same but for the last)",
                          peri_shape_text(sorted->ndim, sorted->shape, own),
                          values == NULL ? "a number"
                                         : peri_shape_text(values->layout.ndim, values->layout.shape, text));
  }
  PERI_TRY(infer_sorter(call, sorted));
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  PERI_TRY(peri_infer_fits(call, p.values, call->dtype));
  if (values == NULL) return peri_infer_output(call, 0, PERI_INT64, 0, NULL);
  return peri_infer_output(call, 0, PERI_INT64, values->layout.ndim, values->layout.shape);
}

static peri_status run_search(peri_call *call) {
  searching p = places_of(call);
  peri_tensor *sorted, *values = NULL, *own = NULL, *y = call->outputs[0].tensor;
  int64_t *index = (int64_t *)(void *)y->data;
  double number[2];
  const void *data = number;
  PERI_TRY(peri_tensor_convert(call->args[p.sorted].tensor, call->dtype, &own));
  peri_status status = peri_tensor_contiguous(own, &sorted);
  peri_tensor_release(&own);
  PERI_TRY(status);
  if (call->args[p.values].tensor != NULL) {
    status = peri_tensor_convert(call->args[p.values].tensor, call->dtype, &own);
    if (status == PERI_OK) status = peri_tensor_contiguous(own, &values);
    if (status == PERI_OK) data = values->data;
    peri_tensor_release(&own);
  } else {
    peri_arg_store(&call->args[p.values], call->dtype, number);
  }
  int64_t n = sorted->layout.shape[sorted->layout.ndim - 1], rows = 1;
  for (int d = 0; d < sorted->layout.ndim - 1; d++) rows *= sorted->layout.shape[d];
  if (status == PERI_OK) status = bring_in_order(call, &sorted);
  if (status == PERI_OK) status = check_boundaries(call, sorted);
  if (status == PERI_OK && y->layout.numel > 0) {
    status = peri_search_rows(call->context, call->dtype, rows, n, y->layout.numel / rows, goes_right(call),
                              sorted->data, data, index);
  }
  for (int64_t i = 0; status == PERI_OK && i < y->layout.numel; i++) index[i]++;
  peri_tensor_release(&sorted);
  peri_tensor_release(&values);
  return status;
}
const peri_op peri_op_searchsorted = {
    .name = "searchsorted",
    .outputs = 1,
    .params = {{"sorted", PERI_KIND_TENSOR, .reads = true},
               {"values", PERI_KIND_OPERAND},
               {"right", PERI_KIND_BOOL, .optional = true},
               {"side", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "left right"},
               {"sorter", PERI_KIND_INDICES, .optional = true, .named = true}},
    .infer = infer_search,
    .run = run_search,
    .low = -1,
    .high = 1,
    .sample = "{peri.tensor{1, 3, 5}, T(2, 4)}, {peri.arange(1, 9), 4, true}, {T(2, 3):sort(), T(2, 5)}, "
              "{peri.tensor{1, 1, 2}, T(3), {side = 'right'}}, {peri.tensor{5, 1, 3}, T(4), {sorter = ints{2, 3, 1}}}",
    .doc =
        "searchsorted(sorted, values, right = false, {side, sorter}) -> int64 tensor\n"
        "Where along the last dimension of sorted each of values is to be inserted, from 1, so that it stays sorted: "
        "before its equals, or with right (or side = 'right') after them. sorted is a vector, or has values' shape "
        "but for the last dimension; values may be a number. NaN counts as the largest. With sorter, an int64 tensor of "
        "sorted's shape such as argsort gives, sorted is in the order that it says. Whether sorted is so is not looked "
        "at, as that would take longer than the search.",
};
const peri_op peri_op_bucketize = {
    .name = "bucketize",
    .outputs = 1,
    .params = {{"values", PERI_KIND_OPERAND},
               {"boundaries", PERI_KIND_TENSOR, .reads = true},
               {"right", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_search,
    .run = run_search,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 4), peri.tensor{-0.5, 0, 0.5}}, {4, peri.arange(1, 9), true}, {T(3), peri.tensor{1, 1, 2}}",
    .doc = "bucketize(values, boundaries, right = false) -> int64 tensor\n"
           "The bucket of each value, from 1, between the boundaries, a sorted vector: number i holds what is above "
           "boundaries[i - 1] and at most boundaries[i], or with right from boundaries[i - 1] to below boundaries[i]. "
           "values may be a number. Errors: boundaries are not sorted.",
    .id = 1,
};

/* ---- isin ---- */

enum { ELEMENTS, AMONG, UNIQUE, INVERT };

static peri_status infer_isin(peri_call *call) {
  PERI_TRY(peri_need_a_tensor(call));
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  for (int i = 0; i < 2; i++) PERI_TRY(peri_infer_fits(call, i, call->dtype));
  const peri_tensor *elements = call->args[ELEMENTS].tensor;
  if (elements == NULL) return peri_infer_output(call, 0, PERI_BOOL, 0, NULL);
  return peri_infer_output(call, 0, PERI_BOOL, elements->layout.ndim, elements->layout.shape);
}

/* An operand as contiguous elements of the dtype; *own is to be released. */
static peri_status operand_elements(peri_call *call, int arg, double *number, peri_tensor **own, const void **data,
                                    int64_t *count) {
  peri_tensor *x = call->args[arg].tensor, *converted = NULL;
  *own = NULL;
  *data = number;
  *count = 1;
  if (x == NULL) {
    peri_arg_store(&call->args[arg], call->dtype, number);
    return PERI_OK;
  }
  PERI_TRY(peri_tensor_convert(x, call->dtype, &converted));
  peri_status status = peri_tensor_contiguous(converted, own);
  peri_tensor_release(&converted);
  if (status != PERI_OK) return status;
  *data = (*own)->data;
  *count = x->layout.numel;
  return PERI_OK;
}

static bool stands_at(peri_dtype dtype, const void *a, int64_t i, const void *b, int64_t j) {
  if (dtype == PERI_INT64) return ((const int64_t *)a)[i] == ((const int64_t *)b)[j];
  size_t size = peri_dtype_size(dtype);
  return peri_load_number(dtype, (const char *)a + (size_t)i * size) ==
         peri_load_number(dtype, (const char *)b + (size_t)j * size);
}

/* The others are sorted, and each element looked for among them; a NaN equals none. */
static peri_status look_for(peri_call *call, int64_t count, const void *elements, int64_t others, const void *sorted,
                            int64_t *place) {
  uint8_t *y = (uint8_t *)call->outputs[0].tensor->data;
  PERI_TRY(peri_search_rows(call->context, call->dtype, 1, others, count, false, sorted, elements, place));
  for (int64_t i = 0; i < count; i++) {
    bool found = place[i] < others && stands_at(call->dtype, elements, i, sorted, place[i]);
    y[i] = found != (bool)call->args[INVERT].integer;
  }
  return PERI_OK;
}

static peri_status run_isin(peri_call *call) {
  peri_tensor *own[2] = {NULL, NULL};
  double numbers[2];
  const void *elements, *among;
  int64_t count, others;
  void *memory = NULL;
  peri_status status = operand_elements(call, ELEMENTS, &numbers[0], &own[0], &elements, &count);
  if (status == PERI_OK) status = operand_elements(call, AMONG, &numbers[1], &own[1], &among, &others);
  if (status == PERI_OK) {
    size_t bytes = (size_t)(count + 2 * others) * sizeof(int64_t);
    status = peri_alloc(call->context, bytes, &memory);
    if (status == PERI_OK) {
      int64_t *place = memory, *index = place + count;
      void *sorted = index + others;
      status = peri_sort_rows(call->context, call->dtype, 1, others, false, among, sorted, index);
      if (status == PERI_OK) status = look_for(call, count, elements, others, sorted, place);
    }
    peri_free(call->context, memory, memory == NULL ? 0 : bytes);
  }
  for (int i = 0; i < 2; i++) peri_tensor_release(&own[i]);
  return status;
}
const peri_op peri_op_isin = {
    .name = "isin",
    .outputs = 1,
    .params = {{"elements", PERI_KIND_OPERAND},
               {"test_elements", PERI_KIND_OPERAND},
               {"assume_unique", PERI_KIND_BOOL, .optional = true, .named = true},
               {"invert", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_isin,
    .run = run_isin,
    .low = -1,
    .high = 1,
    .sample = "{I(5, 3, 4), peri.tensor({2, 4}, {dtype = 'int64'})}, {I(5, 6), 3}, {3, I(5, 6)}, "
              "{I(5, 6), I(5, 2), {invert = true}}, {T(4), T(3)}",
    .doc = "isin(elements, test_elements, {assume_unique = false, invert = false}) -> bool tensor\n"
           "Whether each of elements stands among test_elements, or with invert whether it does not; one of both may "
           "be a number. NaN equals nothing. assume_unique changes nothing here.",
};

const peri_op *const peri_ops_search[] = {&peri_op_searchsorted, &peri_op_bucketize, &peri_op_isin, NULL};
