/* Losses of scores of classes: n x classes, or more dimensions behind, or one row alone. */
#include "ops/loss.h"

enum { INPUT, TARGET, WEIGHT, IGNORE, REDUCTION, SMOOTHING };

/* ---- shapes ---- */

/* What infer notes. */
enum { OF_CLASSES, ROWS, CLASSES, IGNORED };

/* The sizes of the losses: those of x without that of its classes. */
static int loss_shape(const peri_layout *x, int64_t *shape) {
  int n = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (d != (x->ndim > 1)) shape[n++] = x->shape[d];
  }
  return n;
}

static bool fits(const peri_layout *x, const peri_layout *target) {
  int64_t shape[PERI_MAX_DIMS];
  int n = loss_shape(x, shape);
  bool same = target->dtype == PERI_INT64 && target->ndim == n;
  for (int d = 0; same && d < n; d++) same = target->shape[d] == shape[d];
  return same;
}

/* The notes, and the checks of shapes. */
static peri_status note_classes(peri_call *call, bool probabilities) {
  const peri_layout *x = &call->args[INPUT].tensor->layout, *target = &call->args[TARGET].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, INPUT));
  bool classes = x->ndim > 0 && fits(x, target);
  if (!classes && !(probabilities && x->ndim > 0 && target->dtype == x->dtype && peri_same_shape(x, target))) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "input is %s of %s and target %s of %s (expected n x classes, with n int64 classes%s)",
                          peri_dtype_name(x->dtype), peri_shape_text(x->ndim, x->shape, a),
                          peri_dtype_name(target->dtype), peri_shape_text(target->ndim, target->shape, b),
                          probabilities ? " or n x classes probabilities of the same dtype" : "");
  }
  int64_t count = x->shape[x->ndim > 1];
  if (count == 0)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "input is %s: there are no classes",
                          peri_shape_text(x->ndim, x->shape, a));
  call->note[OF_CLASSES] = classes;
  call->note[ROWS] = x->numel / count;
  call->note[CLASSES] = count;
  call->note[IGNORED] = 0;
  return PERI_OK;
}

/* As rows x classes. */
static peri_value as_rows(peri_backward *B, peri_value x) {
  const peri_layout *layout = &B->args[INPUT].tensor->layout;
  int64_t order[PERI_MAX_DIMS], shape[2] = {B->note[ROWS], B->note[CLASSES]};
  if (layout->ndim == 2) return x;
  if (layout->ndim > 2) {
    int n = 0;
    for (int d = 0; d < layout->ndim; d++) {
      if (d != 1) order[n++] = d;
    }
    order[n] = 1;
    x = peri_step_permute(B, x, layout->ndim, order);
  }
  return peri_step_reshape(B, x, 2, shape);
}
static peri_value as_labels(peri_backward *B) {
  peri_value target = peri_of(B->args[TARGET].tensor);
  return B->args[TARGET].tensor->layout.ndim == 1 ? target : peri_step_reshape(B, target, 1, &B->note[ROWS]);
}

/* The losses of the rows as the reduction says; of their mean the divisor is a number, or the sum of weights. */
static void answer_rows(peri_backward *B, peri_value losses, int64_t reduction, peri_value divisor) {
  int64_t shape[PERI_MAX_DIMS];
  int n = loss_shape(&B->args[INPUT].tensor->layout, shape);
  if (reduction == PERI_REDUCE_NONE) {
    peri_answer(B, 0, n == 1 ? losses : peri_step_reshape(B, losses, n, shape));
    return;
  }
  losses = peri_step_total(B, losses);
  peri_answer(B, 0, reduction == PERI_REDUCE_MEAN ? peri_step_div(B, losses, divisor) : losses);
}

/* ---- negative log likelihood ---- */

/* The last dimension summed, and its sign changed. */
static peri_value minus_sum(peri_backward *B, peri_value x) {
  const int64_t last = 1;
  return peri_step_neg(B, peri_step_sum(B, x, 1, &last, false));
}

/* Losses of rows of logarithms: that of the class by its weight, and a share of all classes'. */
static void answer_likelihoods(peri_backward *B, peri_value log_p, double smoothing) {
  bool ignores = B->note[IGNORED] > 0, weighs = B->args[WEIGHT].tensor != NULL;
  peri_value labels = as_labels(B), ignored = peri_constant(0), weight = peri_of(B->args[WEIGHT].tensor);
  peri_value divisor = peri_constant((double)(B->note[ROWS] - B->note[IGNORED]));
  int64_t column[2] = {B->note[ROWS], 1};
  if (ignores) {
    ignored = peri_step_eq(B, labels, peri_constant((double)B->args[IGNORE].integer));
    labels = peri_step_masked_fill(B, labels, ignored, 1);
  }
  peri_value losses = peri_step_gather(B, log_p, 1, peri_step_reshape(B, labels, 2, column));
  losses = peri_step_neg(B, peri_step_reshape(B, losses, 1, column));
  if (weighs) {
    peri_value weights = peri_step_gather(B, weight, 0, labels);
    if (ignores) weights = peri_step_masked_fill(B, weights, ignored, 0);
    losses = peri_step_mul(B, losses, weights);
    divisor = peri_step_total(B, weights);
  }
  if (smoothing > 0) {
    peri_value all = minus_sum(B, weighs ? peri_step_mul(B, log_p, weight) : log_p);
    all = peri_step_mul(B, all, peri_constant(smoothing / (double)B->note[CLASSES]));
    losses = peri_step_add(B, peri_step_mul(B, losses, peri_constant(1 - smoothing)), all);
  }
  if (ignores) losses = peri_step_masked_fill(B, losses, ignored, 0);
  answer_rows(B, losses, B->args[REDUCTION].integer, divisor);
}

static peri_status infer_nll(peri_call *call) {
  PERI_TRY(note_classes(call, false));
  PERI_TRY(peri_loss_vector(call, WEIGHT, call->note[CLASSES]));
  return peri_loss_classes(call, TARGET, call->note[CLASSES], call->args[IGNORE].integer, &call->note[IGNORED]);
}

/* Classes, as long as none of them is one without a loss, of which infer notes how many there are. */
static bool classes_within(const peri_call *call, int arg, double *low, double *high) {
  const int64_t ignored = call->args[IGNORE].integer;
  *low = 1;
  *high = (double)call->note[CLASSES];
  return arg == TARGET && call->note[OF_CLASSES] && call->note[IGNORED] == 0 &&
         (ignored < 1 || ignored > call->note[CLASSES]);
}

static peri_status compose_nll(peri_backward *B) {
  answer_likelihoods(B, as_rows(B, peri_of(B->args[INPUT].tensor)), 0);
  return PERI_OK;
}

#define CLASS_PARAMS                                                                                                   \
  {"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR, .reads = true},                                            \
      {"weight", PERI_KIND_TENSOR, .optional = true},                                                                  \
      {"ignore_index", PERI_KIND_INTEGER, .optional = true, .named = true, .otherwise = -100}, PERI_REDUCTION_PARAM
#define CLASS_DOC                                                                                                        \
  "weight has a number for each class; targets that are ignore_index have no loss. The mean is the sum divided by that " \
  "of the targets' weights. "

const peri_op peri_op_nll_loss = {
    .name = "nll_loss",
    .flags = PERI_OP_COUNTS,
    .outputs = 1,
    .params = {CLASS_PARAMS},
    .infer = infer_nll,
    .compose = compose_nll,
    .reads_within = classes_within,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), I(3, 5)}, {T(5, 3), I(3, 5), T(3), {reduction = 'none'}}, "
              "{T(2, 3, 4), I(3, 2, 4), {reduction = 'sum'}}, {T(3), I(3)}",
    .doc = "nll_loss(input, target, weight, {ignore_index = -100, reduction = 'mean'}) -> tensor\n"
           "-input[target] weight[target] of each row of n x classes logarithms of probabilities (log_softmax); target "
           "is n int64 classes from 1. input may have more dimensions behind the classes, n x classes x d, with target "
           "n x d, or be one row. " CLASS_DOC PERI_REDUCTION_DOC "\n"
           "Errors: other classes.",
};

/* ---- cross-entropy ---- */

static peri_status infer_cross_entropy(peri_call *call) {
  double smoothing = call->args[SMOOTHING].number;
  PERI_TRY(note_classes(call, true));
  PERI_TRY(peri_loss_vector(call, WEIGHT, call->note[CLASSES]));
  if (!(smoothing >= 0 && smoothing <= 1)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "label_smoothing is %g (expected a number from 0 to 1)", smoothing);
  }
  if (!call->note[OF_CLASSES]) return peri_loss_values(call, TARGET, 0, DBL_MAX, false);
  return peri_loss_classes(call, TARGET, call->note[CLASSES], call->args[IGNORE].integer, &call->note[IGNORED]);
}

/* All of it in one row. */
static void answer_at_once(peri_backward *B, peri_value x, peri_value target) {
  int64_t shape[PERI_MAX_DIMS], reduction = B->args[REDUCTION].integer;
  int n = loss_shape(&B->args[INPUT].tensor->layout, shape);
  peri_call call;
  if (B->formula->status != PERI_OK) return;
  peri_step_open(B, &call, &peri_op_cross_entropy_rows, 2, (peri_value[]){x, target});
  call.args[2].integer = reduction;
  peri_value y = peri_step_run(B, &call);
  peri_answer(B, 0, reduction == PERI_REDUCE_NONE && n != 1 ? peri_step_reshape(B, y, n, shape) : y);
}

static peri_status compose_cross_entropy(peri_backward *B) {
  double smoothing = B->args[SMOOTHING].number;
  bool classes = B->note[OF_CLASSES], weighs = B->args[WEIGHT].tensor != NULL;
  peri_value x = as_rows(B, peri_of(B->args[INPUT].tensor));
  if (!weighs && smoothing == 0 && B->note[IGNORED] == 0) {
    answer_at_once(B, x, classes ? as_labels(B) : as_rows(B, peri_of(B->args[TARGET].tensor)));
    return PERI_OK;
  }
  peri_value log_p = peri_apply(B, &peri_op_log_softmax, 1, &x);
  if (classes) {
    answer_likelihoods(B, log_p, smoothing);
    return PERI_OK;
  }
  peri_value target = as_rows(B, peri_of(B->args[TARGET].tensor));
  if (smoothing > 0) {
    target = peri_step_mul(B, target, peri_constant(1 - smoothing));
    target = peri_step_add(B, target, peri_constant(smoothing / (double)B->note[CLASSES]));
  }
  if (weighs) target = peri_step_mul(B, target, peri_of(B->args[WEIGHT].tensor));
  peri_value losses = minus_sum(B, peri_step_mul(B, log_p, target));
  answer_rows(B, losses, B->args[REDUCTION].integer, peri_constant((double)B->note[ROWS]));
  return PERI_OK;
}

const peri_op peri_op_cross_entropy = {
    .name = "cross_entropy",
    .flags = PERI_OP_COUNTS,
    .outputs = 1,
    .params = {CLASS_PARAMS, {"label_smoothing", PERI_KIND_NUMBER, .optional = true, .named = true}},
    .infer = infer_cross_entropy,
    .compose = compose_cross_entropy,
    .reads_within = classes_within,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), I(3, 5)}, {T(5, 3), I(3, 5), {reduction = 'none'}}, {T(5, 3), I(3, 5), {reduction = 'sum'}}, "
              "{T(4, 3), T(4, 3):softmax()}, {T(4, 3), T(4, 3):softmax(), {reduction = 'none'}}, "
              "{T(2, 3, 4), I(3, 2, 4), T(3), {label_smoothing = 0.2}}, "
              "{T(4, 3), T(4, 3):softmax(), T(3), {label_smoothing = 0.1}}, {T(3), I(3)}",
    .doc = "cross_entropy(input, target, weight, {ignore_index = -100, label_smoothing = 0, reduction = 'mean'}) -> "
           "tensor\n"
           "log(sum(exp(x))) - x[target] of each row x of n x classes logits, times weight[target]. target is n int64 "
           "classes from 1, or n x classes probabilities. input may have more dimensions behind the classes, n x "
           "classes x d, with target n x d, or be one row. " CLASS_DOC
           "With label_smoothing s the target is 1 - s of what it was, and s for all classes alike. Of probabilities "
           "the mean is over rows. " PERI_REDUCTION_DOC "\n"
           "Errors: other classes, probabilities below 0.",
};

/* ---- margins between classes ---- */

enum { POWER = 2, MARGIN, MARGIN_WEIGHT, MARGIN_REDUCTION };

static peri_status infer_multi_margin(peri_call *call) {
  double p = call->args[POWER].number;
  const peri_layout *x = &call->args[INPUT].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(note_classes(call, false));
  if (x->ndim > 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "input is %s (expected n x classes)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  if (p != 1 && p != 2) return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %g (expected 1 or 2)", p);
  PERI_TRY(peri_loss_number(call, MARGIN, -INFINITY, false));
  PERI_TRY(peri_loss_vector(call, MARGIN_WEIGHT, call->note[CLASSES]));
  int64_t ignored;
  return peri_loss_classes(call, TARGET, call->note[CLASSES], 1, &ignored);
}

static peri_status compose_multi_margin(peri_backward *B) {
  int64_t column[2] = {B->note[ROWS], 1}, last = 1;
  peri_value x = as_rows(B, peri_of(B->args[INPUT].tensor)), labels = as_labels(B);
  peri_value own = peri_step_gather(B, x, 1, peri_step_reshape(B, labels, 2, column));
  peri_value over = peri_step_add(B, peri_step_sub(B, x, own), peri_constant(B->args[MARGIN].number));
  over = peri_step_relu(B, over);
  if (B->args[POWER].number == 2) over = peri_step_mul(B, over, over);
  over = peri_step_masked_fill(B, over, peri_step_named(B, labels, B->note[CLASSES]), 0);
  peri_value losses = peri_step_sum(B, over, 1, &last, false);
  losses = peri_step_div(B, losses, peri_constant((double)B->note[CLASSES]));
  if (B->args[MARGIN_WEIGHT].tensor != NULL)
    losses = peri_step_mul(B, losses, peri_step_gather(B, peri_of(B->args[MARGIN_WEIGHT].tensor), 0, labels));
  answer_rows(B, losses, B->args[MARGIN_REDUCTION].integer, peri_constant((double)B->note[ROWS]));
  return PERI_OK;
}
const peri_op peri_op_multi_margin_loss = {
    .name = "multi_margin_loss",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"p", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               {"margin", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_multi_margin,
    .compose = compose_multi_margin,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), I(3, 5)}, {T(5, 3), I(3, 5), 2, 0.5, T(3), {reduction = 'none'}}, "
              "{T(5, 3), I(3, 5), {margin = 2, reduction = 'sum'}}, {T(3), I(3)}",
    .doc = "multi_margin_loss(input, target, p = 1, margin = 1, weight, {reduction = 'mean'}) -> tensor\n"
           "Of each row x of n x classes scores: max(0, margin - x[target] + x[j])^p summed over the other classes j, "
           "divided by the number of classes, times weight[target]. target is n int64 classes from 1; p is 1 or 2. "
           "input may be one row. " PERI_REDUCTION_DOC,
};

static peri_status infer_multilabel(peri_call *call) {
  const peri_layout *x = &call->args[INPUT].tensor->layout, *target = &call->args[TARGET].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, INPUT));
  if (x->ndim < 1 || x->ndim > 2 || target->dtype != PERI_INT64 || !peri_same_shape(x, target)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "input is %s of %s and target %s of %s (expected n x classes, and as many int64 classes)",
                          peri_dtype_name(x->dtype), peri_shape_text(x->ndim, x->shape, a),
                          peri_dtype_name(target->dtype), peri_shape_text(target->ndim, target->shape, b));
  }
  call->note[CLASSES] = x->shape[x->ndim - 1];
  call->note[ROWS] = x->ndim == 2 ? x->shape[0] : 1;
  if (call->note[CLASSES] == 0)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "input is %s: there are no classes",
                          peri_shape_text(x->ndim, x->shape, a));
  int64_t ignored;
  PERI_TRY(peri_loss_classes(call, TARGET, call->note[CLASSES], 0, &ignored));
  call->workspace_bytes = (size_t)call->note[CLASSES] * (2 * sizeof(double) + sizeof(bool));
  bool rows = call->args[2].integer == PERI_REDUCE_NONE && x->ndim == 2;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, rows, x->shape));
  return peri_infer_output(call, 1, x->dtype, x->ndim, x->shape);
}

/* One row: its loss, and the slope of the loss for each score. Nothing where it was stopped. */
static double multilabel_row(const peri_context *context, int64_t k, const double *x, const int64_t *target,
                             bool *listed, double *slope) {
  double total = 0;
  for (int64_t i = 0; i < k; i++) {
    listed[i] = false;
    slope[i] = 0;
  }
  for (int64_t i = 0; i < k && target[i] > 0; i++) listed[target[i] - 1] = true;
  for (int64_t j = 0; j < k && target[j] > 0 && !peri_cancelled(context); j++) {
    const int64_t own = target[j] - 1;
    for (int64_t i = 0; i < k; i++) {
      double over = 1 - x[own] + x[i];
      if (listed[i] || over <= 0) continue;
      total += over / (double)k;
      slope[i] += 1 / (double)k;
      slope[own] -= 1 / (double)k;
    }
  }
  return total;
}

static peri_status run_multilabel(peri_call *call) {
  const int64_t n = call->note[ROWS], k = call->note[CLASSES];
  peri_tensor *x, *target = NULL, *y = call->outputs[0].tensor, *slopes = call->outputs[1].tensor;
  const peri_dtype dtype = call->args[INPUT].tensor->layout.dtype;
  const size_t size = peri_dtype_size(dtype);
  double *scores = call->workspace, *slope = scores + k, sum = 0;
  bool *listed = (bool *)(void *)(slope + k);
  PERI_TRY(peri_tensor_contiguous(call->args[INPUT].tensor, &x));
  peri_status status = peri_tensor_contiguous(call->args[TARGET].tensor, &target);
  for (int64_t r = 0; status == PERI_OK && r < n; r++) {
    const int64_t *labels = (const int64_t *)(const void *)target->data + r * k;
    for (int64_t i = 0; i < k; i++) scores[i] = peri_load_number(dtype, x->data + (size_t)(r * k + i) * size);
    double loss = multilabel_row(call->context, k, scores, labels, listed, slope);
    sum += loss;
    if (call->args[2].integer == PERI_REDUCE_NONE) peri_store_number(dtype, y->data + (size_t)r * size, loss);
    for (int64_t i = 0; slopes != NULL && i < k; i++)
      peri_store_number(dtype, slopes->data + (size_t)(r * k + i) * size, slope[i]);
    if (peri_cancelled(call->context)) status = peri_check_cancel(call->context);
  }
  peri_tensor_release(&target);
  peri_tensor_release(&x);
  if (call->args[2].integer == PERI_REDUCE_NONE) return status;
  peri_store_number(dtype, y->data, call->args[2].integer == PERI_REDUCE_SUM ? sum : sum / (double)n);
  return status;
}

/* The slopes are constant, piece by piece. */
static peri_status grad_multilabel(peri_backward *B) {
  peri_tensor *constant = NULL;
  int64_t column[2] = {B->note[ROWS], 1};
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_status status = peri_tensor_detach(B->outputs[1], &constant);
  peri_value slopes = peri_formula_own(B, status, constant);
  if (B->args[2].integer == PERI_REDUCE_MEAN) g = peri_step_div(B, g, peri_constant((double)B->note[ROWS]));
  if (B->args[2].integer == PERI_REDUCE_NONE && B->layouts[INPUT]->ndim == 2) g = peri_step_reshape(B, g, 2, column);
  peri_answer(B, INPUT, peri_step_mul(B, slopes, g));
  return PERI_OK;
}
const peri_op peri_op_multilabel_margin_loss = {
    .name = "multilabel_margin_loss",
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR}, PERI_REDUCTION_PARAM},
    .infer = infer_multilabel,
    .run = run_multilabel,
    .grad = grad_multilabel,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), I(3, 5, 3) - 1}, {T(5, 3), I(3, 5, 3) - 1, {reduction = 'none'}}, "
              "{T(2, 4), I(4, 2, 4) - 1, {reduction = 'sum'}}, {T(3), I(3, 3)}",
    .doc = "multilabel_margin_loss(input, target, {reduction = 'mean'}) -> tensor\n"
           "Each row of target lists the classes, from 1, that the row x of n x classes scores belongs to, ended by 0. "
           "The loss is max(0, 1 - x[j] + x[i]) summed over the listed j and all i that are not listed, divided by the "
           "number of classes. input may be one row. " PERI_REDUCTION_DOC,
};

const peri_op *const peri_ops_loss_class[] = {&peri_op_nll_loss, &peri_op_cross_entropy, &peri_op_multi_margin_loss,
                                              &peri_op_multilabel_margin_loss, NULL};
