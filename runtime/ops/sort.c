/* Sorting along a dimension, and what stands first in that order. note: the dimension. */
#include "ops/along.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

static void count_from_one(peri_tensor *indices) {
  int64_t *index = (int64_t *)(void *)indices->data;
  for (int64_t i = 0; i < indices->layout.numel; i++) index[i]++;
}

/* The gradient of elements that were taken from x at output 1's positions. */
static peri_status grad_taken(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), indices = peri_of(B->outputs[1]);
  if (g.tensor == NULL) return PERI_OK;
  peri_answer(B, 0, x->ndim == 0 ? g : peri_step_scatter(B, g, x->ndim, x->shape, indices, B->note[0]));
  return PERI_OK;
}

/* ---- sort ---- */

static peri_status infer_sort(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  PERI_TRY(peri_along_dim(call, 1, &dim));
  call->note[0] = dim;
  PERI_TRY(peri_along_output(call, 0, x->dtype, dim, x->shape[dim]));
  return peri_along_output(call, 1, PERI_INT64, dim, x->shape[dim]);
}
static peri_status run_sort(peri_call *call) {
  peri_along a;
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_along_open(call, call->note[0], dtype, &a));
  peri_status status =
      peri_sort_rows(call->context, dtype, a.rows, a.n, call->args[2].integer, a.x, a.y[0], (int64_t *)(void *)a.y[1]);
  PERI_TRY(peri_along_close(call, &a, status));
  count_from_one(call->outputs[1].tensor);
  return PERI_OK;
}
#define SORT_PARAMS                                                                                                    \
  {"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1}, {                                \
    "descending", PERI_KIND_BOOL, .optional = true                                                                     \
  }
#define SORT_SAMPLE "{T(3, 4)}, {T(3, 4), 1, true}, {T(5), {descending = true}}, {T()}"
const peri_op peri_op_sort = {
    .name = "sort",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {SORT_PARAMS},
    .infer = infer_sort,
    .run = run_sort,
    .grad = grad_taken,
    .low = -1,
    .high = 1,
    .sample = SORT_SAMPLE,
    .doc = "sort(x, dim = -1, descending = false) -> values, indices\n"
           "Sorted along dim; equal values keep their order; NaN counts as the largest. indices say where each value "
           "stood.",
};

/* ---- parts of what sort gives ---- */

static peri_status infer_part(peri_call *call) {
  int dim = 0;
  if (call->op->id > 0) return peri_along_dim(call, 1, &dim);
  if (call->args[0].tensor->layout.ndim > 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is 0-d (expected at least one dimension)");
}
static peri_status compose_part(peri_backward *B) {
  peri_value x = peri_of(B->args[0].tensor), sorted[2];
  peri_call call;
  peri_step_open(B, &call, &peri_op_sort, 1, &x);
  call.args[1].integer = B->op->id > 0 ? B->args[1].integer : 0;
  call.args[2].integer = B->op->id > 0 ? B->args[2].integer : 0;
  peri_step_run_outputs(B, &call, 2, sorted);
  peri_answer(B, 0, sorted[B->op->id]);
  return PERI_OK;
}
const peri_op peri_op_argsort = {
    .name = "argsort",
    .flags = PERI_OP_ELEMENTWISE | PERI_OP_NO_GRADIENT,
    .outputs = 1,
    .params = {SORT_PARAMS},
    .infer = infer_part,
    .compose = compose_part,
    .low = -1,
    .high = 1,
    .sample = SORT_SAMPLE,
    .doc = "argsort(x, dim = -1, descending = false) -> int64 tensor\n"
           "Where along dim each element of the sorted order stands: the indices that sort gives.",
    .id = 1,
};
const peri_op peri_op_msort = {
    .name = "msort",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}},
    .infer = infer_part,
    .compose = compose_part,
    .low = -1,
    .high = 1,
    .sample = "{T(5)}, {T(3, 4)}, {T(4, 2, 2)}",
    .doc = "msort(x) -> tensor\n"
           "x sorted along its first dimension: the values of sort(x, 1).",
};

/* ---- topk ---- */

enum { K = 1, DIM, LARGEST };

static peri_status infer_top(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  int64_t k = call->args[K].integer;
  PERI_TRY(peri_along_dim(call, DIM, &dim));
  int64_t n = x->ndim == 0 ? 1 : x->shape[dim];
  if (k < 0 || k > n) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "k is %lld (expected 0 to %lld)", (long long)k, (long long)n);
  }
  if (x->ndim == 0 && k == 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "k is 0 (expected 1, as x is 0-d)");
  }
  call->note[0] = dim;
  PERI_TRY(peri_along_output(call, 0, x->dtype, dim, k));
  return peri_along_output(call, 1, PERI_INT64, dim, k);
}
static peri_status run_top(peri_call *call) {
  peri_along a;
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  PERI_TRY(peri_along_open(call, call->note[0], dtype, &a));
  peri_status status = peri_top_rows(call->context, dtype, a.rows, a.n, call->args[K].integer,
                                     call->args[LARGEST].integer, a.x, a.y[0], (int64_t *)(void *)a.y[1]);
  PERI_TRY(peri_along_close(call, &a, status));
  count_from_one(call->outputs[1].tensor);
  return PERI_OK;
}
const peri_op peri_op_topk = {
    .name = "topk",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"k", PERI_KIND_INTEGER},
               {"dim", PERI_KIND_DIM, .optional = true, .otherwise = -1},
               {"largest", PERI_KIND_BOOL, .optional = true, .otherwise = 1},
               {"sorted", PERI_KIND_BOOL, .optional = true, .otherwise = 1}},
    .infer = infer_top,
    .run = run_top,
    .grad = grad_taken,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2}, {T(3, 4), 2, 1, false}, {T(5), 3, {largest = false}}, {T(7), 7}, {T(), 1}",
    .doc =
        "topk(x, k, dim = -1, largest = true, sorted = true) -> values, indices\n"
        "The k largest elements along dim, or the smallest, and where they stand: the first k that sort gives, "
        "descending where largest. NaN counts as the largest. They are sorted in any case. Errors: k beyond the size "
        "of dim.",
};

const peri_op *const peri_ops_sort[] = {&peri_op_sort, &peri_op_argsort, &peri_op_msort, &peri_op_topk, NULL};
