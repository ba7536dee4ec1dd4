/* Distances between rows, and the angle between vectors. */
#include "product/distance.h"
#include "ops/ops.h"
#include "ops/rows.h"

#include <math.h>

/* ---- Euclid's distances ---- */

enum { M, N, D, BATCH }; /* notes */

/* The shapes of ... x m x d and ... x n x d, and ... x m x n, whose batches broadcast. */
static peri_status infer_pairs(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  int64_t shape[PERI_MAX_DIMS], batch = 1;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
  bool fits = a->ndim >= 2 && b->ndim >= 2 && a->shape[a->ndim - 1] == b->shape[b->ndim - 1];
  for (int d = 0; fits && d < ndim - 2; d++) {
    int of_a = d - (ndim - a->ndim), of_b = d - (ndim - b->ndim);
    int64_t x = of_a < 0 ? 1 : a->shape[of_a], y = of_b < 0 ? 1 : b->shape[of_b];
    fits = x == y || x == 1 || y == 1;
    shape[d] = x == 1 ? y : x;
    batch *= shape[d];
  }
  if (!fits)
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "a is %s but b is %s (expected rows of one length, and batches that broadcast)",
                          peri_shape_text(a->ndim, a->shape, s), peri_shape_text(b->ndim, b->shape, t));
  call->dtype = a->dtype;
  shape[ndim - 2] = call->note[M] = a->shape[a->ndim - 2];
  shape[ndim - 1] = call->note[N] = b->shape[b->ndim - 2];
  call->note[D] = a->shape[a->ndim - 1];
  call->note[BATCH] = batch;
  return peri_infer_output(call, 0, a->dtype, ndim, shape);
}

static peri_status infer_distance(peri_call *call) {
  PERI_TRY(infer_pairs(call));
  size_t size = peri_dtype_size(call->dtype);
  size_t rows = (size_t)(call->note[M] + call->note[N]) * (size_t)call->note[BATCH], bytes;
  if (__builtin_mul_overflow(rows, (size_t)call->note[D] * size, &bytes))
    return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: the rows are too many");
  call->workspace_bytes = bytes;
  return PERI_OK;
}

/* The rows of argument arg for each matrix of the result's batch, one behind the other in memory, or turned. */
static peri_status gather_rows(peri_call *call, int arg, bool turned, char *memory) {
  const peri_layout *y = &call->outputs[0].layout;
  peri_view from = call->args[arg].tensor->view, to = {.data = memory};
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, y->shape, sizeof shape);
  shape[y->ndim - 2] = from.layout.shape[from.layout.ndim - 2];
  shape[y->ndim - 1] = call->note[D];
  if (turned) {
    from = peri_view_dimension_last(&from, from.layout.ndim - 2);
    shape[y->ndim - 2] = call->note[D];
    shape[y->ndim - 1] = from.layout.shape[from.layout.ndim - 1];
  }
  peri_layout_set(&to.layout, call->dtype, y->ndim, shape);
  to.contiguous = true;
  return peri_view_copy_into(call->context, &to, &from);
}

static peri_status run_distance(peri_call *call) {
  const peri_tensor *a = call->args[0].tensor;
  peri_tensor *y = call->outputs[0].tensor;
  char *columns = call->workspace, *rows = NULL;
  if (y->layout.numel == 0) return PERI_OK;
  size_t bytes = (size_t)(call->note[BATCH] * call->note[N] * call->note[D]) * peri_dtype_size(call->dtype);
  if (bytes > 0 || call->note[D] > 0) {
    rows = columns + bytes;
    PERI_TRY(gather_rows(call, 1, true, columns));
    if (a->contiguous && a->layout.numel == call->note[BATCH] * call->note[M] * call->note[D]) {
      rows = a->data;
    } else {
      PERI_TRY(gather_rows(call, 0, false, rows));
    }
  }
  return peri_distance(call->context, &(peri_distances){.dtype = call->dtype,
                                                        .order = (int)call->args[2].integer,
                                                        .batch = call->note[BATCH],
                                                        .m = call->note[M],
                                                        .n = call->note[N],
                                                        .d = call->note[D],
                                                        .a = rows,
                                                        .b = columns,
                                                        .c = y->data});
}

/* x with a dimension of size 1 before its dimension `at`, from the end */
static peri_value unsqueezed(peri_backward *B, const peri_tensor *x, int at) {
  int64_t shape[PERI_MAX_DIMS];
  int ndim = x->layout.ndim, place = ndim - at;
  for (int d = 0; d <= ndim; d++) shape[d] = d < place ? x->layout.shape[d] : d == place ? 1 : x->layout.shape[d - 1];
  return peri_step_reshape(B, peri_of((peri_tensor *)x), ndim + 1, shape);
}

/* Of order 1: with the signs S of all differences, ga_i = sum_j g_ij S_ij and gb_j = -sum_i g_ij S_ij. */
static peri_status grad_sizes(peri_backward *B) {
  peri_tensor *g = B->grad_outputs[0];
  peri_value a = unsqueezed(B, B->args[0].tensor, 1), b = unsqueezed(B, B->args[1].tensor, 2);
  peri_value slope = peri_step_mul(B, peri_step_sign(B, peri_step_sub(B, a, b)), unsqueezed(B, g, 0));
  for (int i = 0; i < 2; i++) {
    int64_t dim = g->layout.ndim - 1 - i;
    if (!B->needs[i]) continue;
    peri_value sum = peri_step_sum(B, slope, 1, &dim, false);
    peri_answer(B, i, i == 0 ? sum : peri_step_neg(B, sum));
  }
  return PERI_OK;
}

/* With W = g / distance, 0 where that is 0: ga_i = (sum_j W_ij) a_i - sum_j W_ij b_j, and gb the same of W'. */
static peri_status grad_distance(peri_backward *B) {
  if (B->args[2].integer == 1) return grad_sizes(B);
  peri_value a = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), y = peri_of(B->outputs[0]);
  peri_value zero = peri_step_convert(B, peri_step_eq(B, y, peri_constant(0)), B->layouts[0]->dtype);
  peri_value slope = peri_step_div(B, peri_step_sub(B, peri_constant(1), zero), peri_step_add(B, y, zero));
  peri_value W = peri_step_mul(B, peri_of(B->grad_outputs[0]), slope);
  if (B->formula->status != PERI_OK) return PERI_OK;
  int64_t last = W.tensor->layout.ndim - 1, before = last - 1;
  for (int i = 0; i < 2; i++) {
    if (!B->needs[i]) continue;
    peri_value sum = peri_step_sum(B, W, 1, i == 0 ? &last : &before, true);
    if (i == 1) sum = peri_step_transpose(B, sum);
    peri_value own = peri_step_mul(B, sum, i == 0 ? a : b);
    peri_answer(B, i, peri_step_sub(B, own, peri_step_matmul(B, W, i == 0 ? b : a, i == 1, false)));
  }
  return PERI_OK;
}

const peri_op peri_op_distance = {
    .name = "distance",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(1) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"order", PERI_KIND_INTEGER, .optional = true, .otherwise = 2}},
    .infer = infer_distance,
    .run = run_distance,
    .grad = grad_distance,
    .doc =
        "distance(a, b, order = 2) -> tensor\nEuclid's distances between the rows of a and of b, or sums of absolute "
        "differences.",
};

/* ---- distances of any order ---- */

static peri_status check_order(peri_call *call, int arg) {
  peri_arg *p = &call->args[arg];
  if (p->word > 0) p->number = HUGE_VAL;
  if (p->number >= 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %g (expected a number from 0, or inf)", p->number);
}

/* The norms of order p along the last dimension. */
static peri_value norms_of_rows(peri_backward *B, peri_value x, double p) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_vector_norm, 1, &x);
  call.args[1].given = true;
  call.args[1].number = p;
  peri_call_sizes(&call, 2, 1, (int64_t[]){-1});
  return peri_step_run(B, &call);
}

static peri_status infer_cdist(peri_call *call) {
  PERI_TRY(check_order(call, 2));
  PERI_TRY(infer_pairs(call));
  const peri_layout *y = &call->outputs[0].layout;
  if (call->args[2].number == 2 || y->ndim < PERI_MAX_DIMS) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result has %d dimensions (expected fewer where p is not 2)",
                        y->ndim);
}

static peri_status compose_cdist(peri_backward *B) {
  peri_call *call = B->call;
  peri_tensor *a = call->args[0].tensor, *b = call->args[1].tensor;
  double p = call->args[2].number;
  if (p == 1 || p == 2 || call->note[D] == 0) {
    peri_call step;
    peri_step_open(B, &step, &peri_op_distance, 2, (peri_value[]){peri_of(a), peri_of(b)});
    if (p == 1) step.args[2].integer = 1;
    peri_answer(B, 0, peri_step_run(B, &step));
    return PERI_OK;
  }
  peri_value differences = peri_step_sub(B, unsqueezed(B, a, 1), unsqueezed(B, b, 2));
  peri_answer(B, 0, norms_of_rows(B, differences, p));
  return PERI_OK;
}

static const peri_op row_cdist = {
    .name = "cdist",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"p", PERI_KIND_NUMBER, .optional = true, .otherwise = 2, .choices = "inf"}},
    .infer = infer_cdist,
    .compose = compose_cdist,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 2), T(4, 2)}, {T(2, 3, 4), T(2, 4)}, {T(3, 2), T(2, 2), 1}, {T(3, 4), T(2, 4), 'inf'}, {T(3, 2), "
              "T(2, 2), 3}, {T(2, 2), T(3, 2), 0}",
    .doc =
        "cdist(a, b, p = 2) -> tensor\n"
        "The distance of each row of a (... x m x d) to each of b (... x n x d), ... x m x n, in the norm of order p "
        "as linalg.vector_norm has it, from 0 to 'inf'; batches broadcast. For p = 1 and 2 from the differences of the "
        "elements in one chain, so that close rows lose no digits; other orders, and the gradient of 1, need memory "
        "for m x n x d numbers. The gradient of a distance of 0 is 0. Floats of one dtype.",
};

/* ---- all pairs of one matrix ---- */

static peri_status infer_pdist(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  int64_t n;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(check_order(call, 1));
  if (x->ndim != 2)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected a matrix)",
                          peri_shape_text(x->ndim, x->shape, text));
  if (__builtin_mul_overflow(x->shape[0], x->shape[0] - 1, &n)) n = INT64_MAX;
  return peri_infer_output(call, 0, x->dtype, 1, (int64_t[]){n / 2});
}

/* The first or second of each pair (i, j), i < j, in order of i, then of j; as positions from 1. */
static peri_value pairs_of(peri_backward *B, int64_t n, bool first) {
  peri_layout layout;
  peri_tensor *index = NULL;
  peri_layout_set(&layout, PERI_INT64, 1, (int64_t[]){n < 2 ? 0 : n * (n - 1) / 2});
  peri_status status = peri_tensor_empty(B->context, &layout, &index);
  int64_t *to = status == PERI_OK ? (int64_t *)(void *)index->data : NULL;
  for (int64_t i = 1; to != NULL && i <= n; i++) {
    for (int64_t j = i + 1; j <= n; j++) *to++ = first ? i : j;
  }
  return peri_formula_fixed(B, status, index);
}

static peri_status compose_pdist(peri_backward *B) {
  peri_call *call = B->call;
  peri_value x = peri_of(call->args[0].tensor), ends[2];
  for (int i = 0; i < 2; i++) {
    peri_value index = pairs_of(B, call->args[0].tensor->layout.shape[0], i == 0);
    ends[i] = peri_step_index_select(B, x, 0, index);
  }
  peri_value differences = peri_step_sub(B, ends[0], ends[1]);
  double p = call->args[0].tensor->layout.shape[1] == 0 ? 2 : call->args[1].number;
  peri_answer(B, 0, norms_of_rows(B, differences, p));
  return PERI_OK;
}

static const peri_op row_pdist = {
    .name = "pdist",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"p", PERI_KIND_NUMBER, .optional = true, .otherwise = 2, .choices = "inf"}},
    .infer = infer_pdist,
    .compose = compose_pdist,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3)}, {T(3, 2), 1}, {T(3, 2), 'inf'}, {T(1, 2)}, {T(3, 2), 3}",
    .doc =
        "pdist(x, p = 2) -> tensor\n"
        "The distances between the n rows of a matrix, each pair once: of row 1 and 2, 1 and 3, .., 2 and 3, ..; n (n "
        "- 1) / 2 of them, in the norm of order p as cdist has it. Floats only.",
};

/* ---- angles ---- */

/* note: the dimension */
static peri_status infer_cosine(peri_call *call) {
  peri_tensor *both[2] = {call->args[0].tensor, call->args[1].tensor};
  int64_t shape[PERI_MAX_DIMS];
  int ndim, dim;
  PERI_TRY(peri_infer_float(call, 0));
  PERI_TRY(peri_infer_same_dtype(call, 0, 1));
  PERI_TRY(peri_broadcast(call->context, peri_call_name(call), 2, both, &ndim, shape));
  if (!call->args[2].given) call->args[2].integer = 1;
  PERI_TRY(peri_infer_dim(call, 2, ndim, &dim));
  if (!(call->args[3].number >= 0))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "eps is %g (expected a number from 0)", call->args[3].number);
  call->note[0] = dim;
  for (int d = dim; d < ndim - 1; d++) shape[d] = shape[d + 1];
  return peri_infer_output(call, 0, both[0]->layout.dtype, ndim - 1, shape);
}

static peri_status compose_cosine(peri_backward *B) {
  peri_call *call = B->call;
  peri_tensor *both[2] = {call->args[0].tensor, call->args[1].tensor};
  peri_value x[2], size[2], eps = peri_constant(call->args[3].number);
  int64_t shape[PERI_MAX_DIMS], dim = call->note[0];
  int ndim;
  PERI_TRY(peri_broadcast(call->context, peri_call_name(call), 2, both, &ndim, shape));
  for (int i = 0; i < 2; i++) {
    bool same = both[i]->layout.ndim == ndim && memcmp(both[i]->layout.shape, shape, (size_t)ndim * sizeof *shape) == 0;
    x[i] = same ? peri_of(both[i]) : peri_step_expand_to(B, peri_of(both[i]), ndim, shape);
    size[i] = peri_step_maximum(B, peri_step_norm2(B, x[i], 1, &dim, false), eps);
  }
  peri_value product = peri_step_sum(B, peri_step_mul(B, x[0], x[1]), 1, &dim, false);
  peri_answer(B, 0, peri_step_div(B, product, peri_step_mul(B, size[0], size[1])));
  return PERI_OK;
}

static const peri_op row_cosine = {
    .name = "cosine_similarity",
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR},
               {"b", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .otherwise = 1e-8}},
    .infer = infer_cosine,
    .compose = compose_cosine,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), T(3, 4)}, {T(3, 4), T(4)}, {T(3), T(3), 1}, {T(2, 3, 2), T(3, 1), -2, {eps = 0.1}}",
    .doc = "cosine_similarity(a, b, dim = 2, eps = 1e-8) -> tensor\n"
           "The cosines of the angles between vectors along dim: their product over the product of their lengths, each "
           "taken as eps at least. Other dimensions are broadcast, and dim counts those of the result of that. Floats "
           "of one dtype.",
};

const peri_op *const peri_ops_distance[] = {&peri_op_distance, &row_cdist, &row_pdist, &row_cosine, NULL};
