/* Attention: what each query takes of the values, by how near it is to their keys. */
#include "ops/rows.h"

#include <math.h>

enum { QUERY, KEY, VALUE, MASK, DROPOUT, CAUSAL, SCALE, WEIGHTS };

/* Whether the sizes before the last two of x broadcast with those of shape, into which they go. */
static bool broadcast(const peri_layout *x, int *ndim, int64_t *shape) {
  const int more = x->ndim - *ndim;
  if (x->ndim < 2) return false;
  for (int d = *ndim - 3; more > 0 && d >= 0; d--) shape[d + more] = shape[d];
  for (int d = 0; d < more; d++) shape[d] = 1;
  *ndim += more > 0 ? more : 0;
  for (int d = 0; d < x->ndim - 2; d++) {
    int64_t *size = &shape[*ndim - x->ndim + d];
    if (*size != 1 && x->shape[d] != 1 && *size != x->shape[d]) return false;
    if (x->shape[d] != 1) *size = x->shape[d];
  }
  return true;
}

/* The sizes of the scores. */
static peri_status find_scores(peri_call *call, int *ndim, int64_t *shape) {
  const peri_layout *x[3];
  char text[3][PERI_SHAPE_TEXT];
  int64_t all[PERI_MAX_DIMS];
  for (int i = 0; i < 3; i++) {
    x[i] = &call->args[i].tensor->layout;
    peri_shape_text(x[i]->ndim, x[i]->shape, text[i]);
  }
  *ndim = 2;
  bool fits = broadcast(x[0], ndim, shape) && broadcast(x[1], ndim, shape);
  int dims = *ndim;
  memcpy(all, shape, sizeof all);
  fits = fits && broadcast(x[2], &dims, all) && x[0]->shape[x[0]->ndim - 1] == x[1]->shape[x[1]->ndim - 1] &&
         x[1]->shape[x[1]->ndim - 2] == x[2]->shape[x[2]->ndim - 2];
  if (!fits) {
    return peri_call_fail(
        call, PERI_ERR_ARGUMENT,
        "query is %s, key %s and value %s (expected .. x queries x E, .. x keys x E and .. x keys x Ev)", text[0],
        text[1], text[2]);
  }
  shape[*ndim - 2] = x[0]->shape[x[0]->ndim - 2];
  shape[*ndim - 1] = x[1]->shape[x[1]->ndim - 2];
  return PERI_OK;
}

static peri_status check_mask(peri_call *call, int ndim, const int64_t *shape) {
  const peri_layout *mask = &call->args[MASK].tensor->layout;
  const peri_dtype dtype = call->args[QUERY].tensor->layout.dtype;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (call->args[CAUSAL].integer)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "attn_mask is given and is_causal is true (expected one of them)");
  if (mask->dtype != PERI_BOOL && mask->dtype != dtype) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "attn_mask is %s (expected bool or %s)",
                          peri_dtype_name(mask->dtype), peri_dtype_name(dtype));
  }
  bool fits = mask->ndim <= ndim;
  for (int d = 0; fits && d < mask->ndim; d++)
    fits = mask->shape[d] == 1 || mask->shape[d] == shape[d + ndim - mask->ndim];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "attn_mask is %s (expected what broadcasts to %s)",
                        peri_shape_text(mask->ndim, mask->shape, a), peri_shape_text(ndim, shape, b));
}

static peri_status infer_attention(peri_call *call) {
  const double p = call->args[DROPOUT].number, scale = call->args[SCALE].number;
  int64_t shape[PERI_MAX_DIMS] = {0};
  int ndim;
  PERI_TRY(peri_infer_float(call, QUERY));
  PERI_TRY(peri_infer_same_dtype(call, QUERY, KEY));
  PERI_TRY(peri_infer_same_dtype(call, QUERY, VALUE));
  PERI_TRY(find_scores(call, &ndim, shape));
  if (call->args[MASK].tensor != NULL) PERI_TRY(check_mask(call, ndim, shape));
  if (!(p >= 0 && p <= 1)) return peri_call_fail(call, PERI_ERR_ARGUMENT, "dropout_p is %g (expected 0 to 1)", p);
  if (call->args[SCALE].given && !isfinite(scale))
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "scale is %g (expected a finite number)", scale);
  call->outputs[1].unwanted = !call->args[WEIGHTS].integer;
  call->note[0] = shape[ndim - 2];
  call->note[1] = shape[ndim - 1];
  return PERI_OK;
}

static peri_value masked(peri_backward *B, peri_value scores) {
  peri_value mask = peri_of(B->args[MASK].tensor);
  if (B->args[CAUSAL].integer) {
    const peri_dtype dtype = B->args[QUERY].tensor->layout.dtype;
    return peri_step_add(B, scores, peri_step_triangles(B, dtype, B->note[0], B->note[1], 0, 0, -(double)INFINITY));
  }
  if (mask.tensor == NULL) return scores;
  if (mask.tensor->layout.dtype != PERI_BOOL) return peri_step_add(B, scores, mask);
  return peri_step_where(B, mask, scores, peri_constant(-(double)INFINITY));
}

static peri_value softmax(peri_backward *B, peri_value scores) {
  peri_call call;
  if (B->formula->status != PERI_OK) return scores;
  peri_step_open(B, &call, &peri_op_softmax, 1, &scores);
  return peri_step_run(B, &call);
}

static peri_value dropped(peri_backward *B, peri_value weights) {
  peri_call call;
  if (B->formula->status != PERI_OK || B->args[DROPOUT].number == 0) return weights;
  peri_step_open(B, &call, &peri_op_dropout, 1, &weights);
  call.args[1].number = B->args[DROPOUT].number;
  call.stream = B->call->stream;
  return peri_step_run(B, &call);
}

static peri_status compose_attention(peri_backward *B) {
  const peri_layout *q = &B->args[QUERY].tensor->layout;
  const int64_t features = q->shape[q->ndim - 1];
  const double scale = B->args[SCALE].given ? B->args[SCALE].number : 1 / sqrt((double)peri_max(features, 1));
  peri_value query = peri_step_mul(B, peri_of(B->args[QUERY].tensor), peri_constant(scale));
  peri_value scores = peri_step_matmul(B, query, peri_of(B->args[KEY].tensor), false, true);
  peri_value weights = dropped(B, softmax(B, masked(B, scores)));
  peri_answer(B, 0, peri_step_matmul(B, weights, peri_of(B->args[VALUE].tensor), false, false));
  if (B->args[WEIGHTS].integer) peri_answer(B, 1, weights);
  return PERI_OK;
}

static const peri_op scaled_dot_product_attention = {
    .name = "scaled_dot_product_attention",
    .flags = PERI_OP_RANDOM,
    .outputs = 2,
    .params = {{"query", PERI_KIND_TENSOR},
               {"key", PERI_KIND_TENSOR},
               {"value", PERI_KIND_TENSOR},
               {"attn_mask", PERI_KIND_TENSOR, .optional = true},
               {"dropout_p", PERI_KIND_NUMBER, .optional = true},
               {"is_causal", PERI_KIND_BOOL, .optional = true},
               {"scale", PERI_KIND_NUMBER, .optional = true, .named = true},
               {"need_weights", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_attention,
    .compose = compose_attention,
    .low = -1,
    .high = 1,
    .sample =
        "{T(2, 2), T(3, 2), T(3, 2)}, {T(2, 2, 1), T(2, 2, 1), T(2, 2, 1), {is_causal = true, need_weights = true}}, "
        "{T(1, 2), T(2, 2), T(2, 1), T(1, 2), {scale = 0.5}}, "
        "{T(2, 1, 2, 1), T(1, 2, 1), T(2, 2, 1), B(2, 1, 2, 2) | peri.eye(2):gt(0), 0.25}",
    .doc =
        "scaled_dot_product_attention(query, key, value, attn_mask, dropout_p = 0, is_causal = false, {scale, "
        "need_weights = false, generator =}) -> tensor [, weights]\n"
        "softmax(query key' scale + mask) value: of the values, one for each key, each query takes as much as its key is "
        "near. query is .. x queries x E, key .. x keys x E, value .. x keys x Ev, the result .. x queries x Ev; "
        "dimensions before broadcast. attn_mask broadcasts to .. x queries x keys: bools say which keys a query may see, "
        "floats are added to the scores; is_causal = true lets query i see the keys up to i. A query that may see none "
        "gives NaN. scale is 1/sqrt(E) where it is not given. Weights are 0 with probability dropout_p, else divided by 1 "
        "- dropout_p, and are the second result with need_weights = true. Floats of one dtype. A. Vaswani et al., "
        "'Attention is all you need', 2017.\n"
        "Errors: shapes that do not fit; a mask beside is_causal.",
};

const peri_op *const peri_ops_attention[] = {&scaled_dot_product_attention, NULL};
