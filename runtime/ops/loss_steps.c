/* Checks and steps that losses share. */
#include "ops/loss.h"

#include <stdio.h>

/* ---- checks ---- */

static peri_status check_shape(peri_call *call, int i) {
  const peri_layout *x = &call->args[0].tensor->layout, *other = &call->args[i].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (!peri_same_shape(x, other)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s of %s but %s is %s of %s (expected one shape)",
                          call->op->params[0].name, peri_dtype_name(x->dtype), peri_shape_text(x->ndim, x->shape, a),
                          call->op->params[i].name, peri_dtype_name(other->dtype),
                          peri_shape_text(other->ndim, other->shape, b));
  }
  return PERI_OK;
}

peri_status peri_loss_alike(peri_call *call, int i) {
  PERI_TRY(check_shape(call, i));
  return peri_infer_same_dtype(call, 0, i);
}

peri_status peri_loss_vector(peri_call *call, int arg, int64_t n) {
  const peri_tensor *vector = call->args[arg].tensor;
  char text[PERI_SHAPE_TEXT];
  if (vector == NULL) return PERI_OK;
  PERI_TRY(peri_infer_same_dtype(call, 0, arg));
  if (vector->layout.ndim == 1 && vector->layout.shape[0] == n) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected %lld numbers, one for each class)",
                        call->op->params[arg].name, peri_shape_text(vector->layout.ndim, vector->layout.shape, text),
                        (long long)n);
}

/* Where the first element stands that is not allowed, or -1. */
#define FIND_OUTSIDE(type)                                                                                             \
  static int64_t find_outside_##type(int64_t n, const type *x, double low, double high, bool either) {                 \
    int64_t i = 0;                                                                                                     \
    if (either) {                                                                                                      \
      while (i < n && ((double)x[i] == low || (double)x[i] == high)) i++;                                              \
    } else {                                                                                                           \
      while (i < n && (double)x[i] >= low && (double)x[i] <= high) i++;                                                \
    }                                                                                                                  \
    return i < n ? i : -1;                                                                                             \
  }
FIND_OUTSIDE(float)
FIND_OUTSIDE(double)
FIND_OUTSIDE(int64_t)
#undef FIND_OUTSIDE

/* "(2, 3)" of element i */
static void position_text(const peri_layout *x, int64_t i, char text[PERI_SHAPE_TEXT]) {
  int64_t position[PERI_MAX_DIMS];
  size_t used = 0;
  for (int d = x->ndim - 1; d >= 0; d--) {
    position[d] = i % x->shape[d] + 1;
    i /= x->shape[d];
  }
  for (int d = 0; d < x->ndim; d++) {
    int n = snprintf(text + used, PERI_SHAPE_TEXT - used, "%s%lld", d > 0 ? ", " : "", (long long)position[d]);
    used += n > 0 ? (size_t)n : 0;
    if (used >= PERI_SHAPE_TEXT) return;
  }
  if (x->ndim == 0) snprintf(text, PERI_SHAPE_TEXT, "1");
}

static int64_t find_outside(const peri_tensor *x, double low, double high, bool either) {
  const int64_t n = x->layout.numel;
  const void *data = x->data;
  switch (x->layout.dtype) {
  case PERI_FLOAT32:
    return find_outside_float(n, data, low, high, either);
  case PERI_FLOAT64:
    return find_outside_double(n, data, low, high, either);
  default:
    return find_outside_int64_t(n, data, low, high, either);
  }
}

bool peri_loss_within(const peri_tensor *x, double low, double high, bool either) {
  return (peri_is_float(x->layout.dtype) || x->layout.dtype == PERI_INT64) && find_outside(x, low, high, either) < 0;
}

bool peri_loss_reads_signs(const peri_call *call, int arg, const peri_tensor *x) {
  return call->op->params[arg].reads && peri_loss_within(x, -1, 1, true);
}

peri_status peri_loss_values(peri_call *call, int arg, double low, double high, bool either) {
  peri_tensor *x;
  char place[PERI_SHAPE_TEXT];
  PERI_TRY(peri_tensor_contiguous(call->args[arg].tensor, &x));
  const peri_dtype dtype = x->layout.dtype;
  const int64_t at = find_outside(x, low, high, either);
  double value = 0;
  if (at >= 0) value = peri_load_number(dtype, x->data + (size_t)at * peri_dtype_size(dtype));
  peri_tensor_release(&x);
  if (at < 0) return PERI_OK;
  position_text(&call->args[arg].tensor->layout, at, place);
  if (high == DBL_MAX) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "element (%s) of %s is %g (expected at least %g)", place,
                          call->op->params[arg].name, value, low);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "element (%s) of %s is %g (expected %s%g %s %g)", place,
                        call->op->params[arg].name, value, either ? "" : "from ", low, either ? "or" : "to", high);
}

peri_status peri_loss_signs(peri_call *call, int arg) {
  if (call->args[arg].tensor->layout.dtype != PERI_INT64) PERI_TRY(peri_infer_same_dtype(call, 0, arg));
  return peri_loss_values(call, arg, -1, 1, true);
}

peri_status peri_loss_alike_signs(peri_call *call, int arg) {
  PERI_TRY(check_shape(call, arg));
  return peri_loss_signs(call, arg);
}

peri_status peri_loss_classes(peri_call *call, int arg, int64_t classes, int64_t ignored, int64_t *count) {
  peri_tensor *target;
  char place[PERI_SHAPE_TEXT];
  PERI_TRY(peri_tensor_contiguous(call->args[arg].tensor, &target));
  const int64_t *labels = (const int64_t *)(const void *)target->data;
  int64_t i = 0, n = target->layout.numel;
  *count = 0;
  for (; i < n && ((labels[i] >= 1 && labels[i] <= classes) || labels[i] == ignored); i++)
    *count += labels[i] == ignored;
  int64_t value = i < n ? labels[i] : 0;
  peri_tensor_release(&target);
  if (i == n) return PERI_OK;
  const bool vector = call->args[arg].tensor->layout.ndim <= 1;
  position_text(&call->args[arg].tensor->layout, i, place);
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "%s %s%s%s of target is class %lld (classes count from 1: expected 1 to %lld%s)",
                        vector ? "row" : "element", vector ? "" : "(", place, vector ? "" : ")", (long long)value,
                        (long long)classes, value == 0 ? "; target + 1 makes labels from 0 such" : "");
}

peri_status peri_loss_number(peri_call *call, int arg, double low, bool more) {
  double value = call->args[arg].number;
  if (isfinite(value) && (more ? value > low : value >= low)) return PERI_OK;
  if (isinf(low)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a finite number)", call->op->params[arg].name,
                          value);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %g (expected a number %s %g)", call->op->params[arg].name,
                        value, more ? "above" : "of at least", low);
}

/* ---- steps ---- */

peri_value peri_step_mean(peri_backward *B, peri_value x) { return peri_apply(B, &peri_op_mean, 1, &x); }
peri_value peri_step_total(peri_backward *B, peri_value x) { return peri_apply(B, &peri_op_sum, 1, &x); }

peri_value peri_step_masked_fill(peri_backward *B, peri_value x, peri_value mask, double value) {
  return peri_apply(B, &peri_op_masked_fill, 3, (peri_value[]){x, mask, peri_constant(value)});
}

peri_value peri_step_gather(peri_backward *B, peri_value x, int64_t dim, peri_value index) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_gather, 1, &x);
  call.args[1].given = call.args[2].given = true;
  call.args[1].integer = dim;
  call.args[2].tensor = index.tensor;
  return peri_step_run(B, &call);
}

peri_value peri_step_named(peri_backward *B, peri_value index, int64_t columns) {
  peri_call call;
  if (B->formula->status != PERI_OK) return index;
  peri_step_open(B, &call, &peri_op_one_hot, 1, &index);
  call.args[1].integer = columns;
  call.args[2].integer = PERI_BOOL;
  return peri_step_run(B, &call);
}

peri_value peri_step_signs(peri_backward *B, int arg) {
  peri_value signs = peri_of(B->args[arg].tensor);
  return B->args[arg].tensor->layout.dtype == PERI_INT64 ? peri_step_convert(B, signs, B->args[0].tensor->layout.dtype)
                                                         : signs;
}

peri_value peri_step_hinge(peri_backward *B, peri_value x) {
  return peri_step_where(B, peri_step_lt(B, x, peri_constant(0)), peri_constant(0), x);
}

peri_value peri_step_log1p_exp(peri_backward *B, peri_value x) {
  return peri_step_neg(B, peri_step_logsigmoid(B, peri_step_neg(B, x)));
}

void peri_loss_reduced(peri_backward *B, peri_value losses, int reduction) {
  if (reduction == PERI_REDUCE_SUM) {
    losses = peri_step_total(B, losses);
  } else if (reduction == PERI_REDUCE_MEAN) {
    losses = peri_step_mean(B, losses);
  } else if (reduction == PERI_REDUCE_BATCHMEAN) {
    const peri_layout *x = &B->args[0].tensor->layout;
    losses = peri_step_div(B, peri_step_total(B, losses), peri_constant(x->ndim > 0 ? (double)x->shape[0] : 1));
  }
  peri_answer(B, 0, losses);
}

peri_value peri_loss_incoming(peri_backward *B, int reduction) {
  peri_value g = peri_of(B->grad_outputs[0]);
  if (reduction != PERI_REDUCE_MEAN) return g;
  return peri_step_div(B, g, peri_constant((double)B->layouts[0]->numel));
}
