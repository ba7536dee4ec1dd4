/* Losses of each element, composed of elementwise rows. */
#include "ops/loss.h"

enum { INPUT, TARGET };

static peri_value input_of(const peri_backward *B) { return peri_of(B->args[INPUT].tensor); }
static peri_value target_of(const peri_backward *B) { return peri_of(B->args[TARGET].tensor); }
static peri_status infer_alike(peri_call *call) { return peri_loss_alike(call, TARGET); }

/* ---- absolute differences, and squares of the small ones ---- */

static peri_value distance(peri_backward *B) { return peri_step_abs(B, peri_step_sub(B, input_of(B), target_of(B))); }

static peri_status compose_l1(peri_backward *B) {
  peri_loss_reduced(B, distance(B), (int)B->args[2].integer);
  return PERI_OK;
}
const peri_op peri_op_l1_loss = {
    .name = "l1_loss",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR}, PERI_REDUCTION_PARAM},
    .infer = infer_alike,
    .compose = compose_l1,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), {reduction = 'sum'}}, {T(2, 3), T(2, 3), {reduction = 'none'}}",
    .doc = "l1_loss(input, target, {reduction = 'mean'}) -> tensor\n"
           "The mean of |input - target| over all elements; both have one shape and float dtype. " PERI_REDUCTION_DOC,
};

/* d^2 / 2 up to delta, from where it goes on as a line. */
static peri_value bent(peri_backward *B, double delta) {
  peri_call call;
  peri_value difference = peri_step_sub(B, input_of(B), target_of(B));
  if (B->formula->status != PERI_OK) return difference;
  peri_step_open(B, &call, &peri_op_bent, 1, &difference);
  call.args[1].number = delta;
  call.in_place = true; /* nobody else has the differences, and the loss is recorded as one */
  return peri_step_run(B, &call);
}

/* A step over a value that nobody else has: written over it, where the formula is not recorded. */
static peri_value over(peri_backward *B, const peri_op *op, int n, const peri_value *operands) {
  peri_call call;
  if (B->formula->status != PERI_OK) return *operands;
  peri_step_open(B, &call, op, n, operands);
  call.in_place = !B->create_graph;
  return peri_step_run(B, &call);
}

/* Its gradient: the difference between -delta and delta, divided by `by`; or the sign, where delta is 0. */
static peri_status grad_bent(peri_backward *B, double delta, double by) {
  peri_value slope = peri_step_sub(B, input_of(B), target_of(B)), g = peri_loss_incoming(B, (int)B->args[3].integer);
  if (B->formula->status != PERI_OK) return PERI_OK;
  if (delta > 0) {
    slope = over(B, &peri_op_clamp, 3, (peri_value[]){slope, peri_constant(-delta), peri_constant(delta)});
  } else {
    slope = peri_step_sign(B, slope);
  }
  if (by != 1) g = peri_step_div(B, g, peri_constant(by));
  slope = over(B, &peri_op_mul, 2, (peri_value[]){slope, g});
  if (B->needs[INPUT]) peri_answer(B, INPUT, slope);
  if (B->needs[TARGET]) peri_answer(B, TARGET, peri_step_neg(B, slope));
  return PERI_OK;
}

static peri_status infer_huber(peri_call *call) {
  PERI_TRY(infer_alike(call));
  return peri_loss_number(call, 2, 0, true);
}
static peri_status compose_huber(peri_backward *B) {
  peri_loss_reduced(B, bent(B, B->args[2].number), (int)B->args[3].integer);
  return PERI_OK;
}
static peri_status grad_huber(peri_backward *B) { return grad_bent(B, B->args[2].number, 1); }
const peri_op peri_op_huber_loss = {
    .name = "huber_loss",
    .saves = PERI_SAVE_INPUT(INPUT) | PERI_SAVE_INPUT(TARGET),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"delta", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               PERI_REDUCTION_PARAM},
    .infer = infer_huber,
    .compose = compose_huber,
    .grad = grad_huber,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), 0.5, {reduction = 'sum'}}, {T(2, 3), T(2, 3), {reduction = 'none'}}",
    .doc = "huber_loss(input, target, delta = 1, {reduction = 'mean'}) -> tensor\n"
           "Of d = |input - target|: d^2 / 2 up to delta, from there delta (d - delta / 2); both have one shape and "
           "float dtype. " PERI_REDUCTION_DOC " P. J. Huber, 'Robust estimation of a location parameter', 1964.\n"
           "Errors: delta not above 0.",
};

static peri_status infer_smooth(peri_call *call) {
  PERI_TRY(infer_alike(call));
  return peri_loss_number(call, 2, 0, false);
}
static peri_status compose_smooth(peri_backward *B) {
  double beta = B->args[2].number;
  peri_value losses = beta > 0 ? peri_step_div(B, bent(B, beta), peri_constant(beta)) : distance(B);
  peri_loss_reduced(B, losses, (int)B->args[3].integer);
  return PERI_OK;
}
static peri_status grad_smooth(peri_backward *B) {
  double beta = B->args[2].number;
  return grad_bent(B, beta, beta > 0 ? beta : 1);
}
const peri_op peri_op_smooth_l1_loss = {
    .name = "smooth_l1_loss",
    .saves = PERI_SAVE_INPUT(INPUT) | PERI_SAVE_INPUT(TARGET),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"beta", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               PERI_REDUCTION_PARAM},
    .infer = infer_smooth,
    .compose = compose_smooth,
    .grad = grad_smooth,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), 0.5, {reduction = 'sum'}}, {T(2, 3), T(2, 3), 0, {reduction = 'none'}}",
    .doc = "smooth_l1_loss(input, target, beta = 1, {reduction = 'mean'}) -> tensor\n"
           "Of d = |input - target|: d^2 / (2 beta) up to beta, from there d - beta / 2; with beta = 0 it is l1_loss. "
           "Both have one shape and float dtype. " PERI_REDUCTION_DOC "\n"
           "Errors: beta below 0.",
};

/* ---- probabilities of two classes ---- */

enum { WEIGHT = 2, POS_WEIGHT };

/* A weight of the input's dtype that broadcasts to its shape. */
static peri_status check_weight(peri_call *call, int arg) {
  const peri_layout *x = &call->args[INPUT].tensor->layout;
  const peri_tensor *weight = call->args[arg].tensor;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (weight == NULL) return PERI_OK;
  PERI_TRY(peri_infer_same_dtype(call, INPUT, arg));
  const peri_layout *w = &weight->layout;
  bool fits = w->ndim <= x->ndim;
  for (int d = 1; fits && d <= w->ndim; d++)
    fits = w->shape[w->ndim - d] == 1 || w->shape[w->ndim - d] == x->shape[x->ndim - d];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but input is %s (expected what broadcasts to it)",
                        call->op->params[arg].name, peri_shape_text(w->ndim, w->shape, a),
                        peri_shape_text(x->ndim, x->shape, b));
}

static peri_value weighted(peri_backward *B, peri_value x) {
  return B->args[WEIGHT].tensor != NULL ? peri_step_mul(B, x, peri_of(B->args[WEIGHT].tensor)) : x;
}

static peri_status infer_bce(peri_call *call) {
  PERI_TRY(infer_alike(call));
  PERI_TRY(check_weight(call, WEIGHT));
  PERI_TRY(peri_loss_values(call, INPUT, 0, 1, false));
  return peri_loss_values(call, TARGET, 0, 1, false);
}

/* log(x) and log(1 - x), at least -100 */
static peri_value log_of(peri_backward *B, peri_value x) {
  return peri_step_maximum(B, peri_step_log(B, x), peri_constant(-100));
}
static peri_value log_beside(peri_backward *B, peri_value x) {
  return peri_step_maximum(B, peri_step_log1p(B, peri_step_neg(B, x)), peri_constant(-100));
}

/* (t - 1) log(1 - x) - t log(x) */
static peri_value bce_losses(peri_backward *B) {
  peri_value x = input_of(B), t = target_of(B);
  peri_value beside = peri_step_mul(B, peri_step_sub(B, t, peri_constant(1)), log_beside(B, x));
  return peri_step_sub(B, beside, peri_step_mul(B, t, log_of(B, x)));
}
static peri_status compose_bce(peri_backward *B) {
  peri_loss_reduced(B, weighted(B, bce_losses(B)), (int)B->args[3].integer);
  return PERI_OK;
}

/* (x - t) / (x (1 - x)) for x, where the divisor is at least 1e-12 */
static peri_status grad_bce(peri_backward *B) {
  peri_value x = input_of(B), t = target_of(B), g = peri_loss_incoming(B, (int)B->args[3].integer);
  if (B->args[WEIGHT].tensor != NULL && B->needs[WEIGHT]) peri_answer(B, WEIGHT, peri_step_mul(B, g, bce_losses(B)));
  g = weighted(B, g);
  if (B->needs[INPUT]) {
    peri_value product = peri_step_mul(B, x, peri_step_sub(B, peri_constant(1), x));
    product = peri_step_maximum(B, product, peri_constant(1e-12));
    peri_answer(B, INPUT, peri_step_mul(B, g, peri_step_div(B, peri_step_sub(B, x, t), product)));
  }
  if (B->needs[TARGET]) peri_answer(B, TARGET, peri_step_mul(B, g, peri_step_sub(B, log_beside(B, x), log_of(B, x))));
  return PERI_OK;
}
const peri_op peri_op_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .saves = PERI_SAVE_INPUT(INPUT) | PERI_SAVE_INPUT(TARGET) | PERI_SAVE_INPUT(WEIGHT),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR, .reads = true},
               {"target", PERI_KIND_TENSOR, .reads = true},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_bce,
    .compose = compose_bce,
    .grad = grad_bce,
    .low = 0.1,
    .high = 0.9,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), T(1), {reduction = 'sum'}}, {T(2, 3), T(2, 3), T(3), "
              "{reduction = 'none'}}",
    .doc = "binary_cross_entropy(input, target, weight, {reduction = 'mean'}) -> tensor\n"
           "-weight (target log(input) + (1 - target) log(1 - input)) of probabilities, whose logarithms are at least "
           "-100; both have one shape and float dtype, and weight, if given, broadcasts to it. " PERI_REDUCTION_DOC "\n"
           "Errors: elements that are not from 0 to 1 (of logits: binary_cross_entropy_with_logits).",
};

static peri_status infer_with_logits(peri_call *call) {
  PERI_TRY(infer_alike(call));
  PERI_TRY(check_weight(call, WEIGHT));
  return check_weight(call, POS_WEIGHT);
}
/* 1 + (pos_weight - 1) t */
static peri_value positive_share(peri_backward *B) {
  const peri_tensor *pos_weight = B->args[POS_WEIGHT].tensor;
  if (pos_weight == NULL) return peri_constant(1);
  peri_value more = peri_step_sub(B, peri_of(B->args[POS_WEIGHT].tensor), peri_constant(1));
  return peri_step_add(B, peri_step_mul(B, more, target_of(B)), peri_constant(1));
}
/* log(1 + exp(-x)) */
static peri_value softplus_minus(peri_backward *B) { return peri_step_neg(B, peri_step_logsigmoid(B, input_of(B))); }

/* (1 - t) x + share log(1 + exp(-x)) */
static peri_value logits_losses(peri_backward *B) {
  peri_value rest = peri_step_sub(B, peri_constant(1), target_of(B)), plus = softplus_minus(B);
  if (B->args[POS_WEIGHT].tensor != NULL) plus = peri_step_mul(B, plus, positive_share(B));
  return peri_step_add(B, peri_step_mul(B, rest, input_of(B)), plus);
}
static peri_status compose_with_logits(peri_backward *B) {
  peri_loss_reduced(B, weighted(B, logits_losses(B)), (int)B->args[4].integer);
  return PERI_OK;
}
/* For x: 1 - t - share sigmoid(-x). */
static peri_status grad_with_logits(peri_backward *B) {
  peri_value x = input_of(B), t = target_of(B), g = peri_loss_incoming(B, (int)B->args[4].integer);
  bool has_share = B->args[POS_WEIGHT].tensor != NULL;
  if (B->args[WEIGHT].tensor != NULL && B->needs[WEIGHT]) peri_answer(B, WEIGHT, peri_step_mul(B, g, logits_losses(B)));
  g = weighted(B, g);
  if (B->needs[INPUT] && !has_share) {
    peri_answer(B, INPUT, peri_step_mul(B, g, peri_step_sub(B, peri_step_sigmoid(B, x), t)));
  } else if (B->needs[INPUT]) {
    peri_value part = peri_step_mul(B, positive_share(B), peri_step_sigmoid(B, peri_step_neg(B, x)));
    part = peri_step_sub(B, peri_step_sub(B, peri_constant(1), t), part);
    peri_answer(B, INPUT, peri_step_mul(B, g, part));
  }
  if (has_share && B->needs[POS_WEIGHT])
    peri_answer(B, POS_WEIGHT, peri_step_mul(B, g, peri_step_mul(B, t, softplus_minus(B))));
  if (B->needs[TARGET]) {
    peri_value slope = peri_step_neg(B, x);
    if (has_share) {
      peri_value more = peri_step_sub(B, peri_of(B->args[POS_WEIGHT].tensor), peri_constant(1));
      slope = peri_step_add(B, slope, peri_step_mul(B, more, softplus_minus(B)));
    }
    peri_answer(B, TARGET, peri_step_mul(B, g, slope));
  }
  return PERI_OK;
}
const peri_op peri_op_binary_cross_entropy_with_logits = {
    .name = "binary_cross_entropy_with_logits",
    .saves = PERI_SAVE_INPUT(INPUT) | PERI_SAVE_INPUT(TARGET) | PERI_SAVE_INPUT(WEIGHT) | PERI_SAVE_INPUT(POS_WEIGHT),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"weight", PERI_KIND_TENSOR, .optional = true},
               {"pos_weight", PERI_KIND_TENSOR, .optional = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_with_logits,
    .compose = compose_with_logits,
    .grad = grad_with_logits,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), T(1), {reduction = 'sum'}}, "
              "{T(2, 3), T(2, 3), T(3), T(3), {reduction = 'none'}}, {T(2, 3), T(2, 3), nil, T(3)}",
    .doc =
        "binary_cross_entropy_with_logits(input, target, weight, pos_weight, {reduction = 'mean'}) -> tensor\n"
        "binary_cross_entropy of sigmoid(input), good also where that is close to 0 or 1: -weight (pos_weight target "
        "log(sigmoid(input)) + (1 - target) log(1 - sigmoid(input))). Both have one shape and float dtype; weight "
        "and pos_weight, if given, broadcast to it. " PERI_REDUCTION_DOC,
};

/* ---- classes that are -1 and 1 ---- */

static peri_status infer_soft_margin(peri_call *call) { return peri_loss_alike_signs(call, TARGET); }
static peri_status compose_soft_margin(peri_backward *B) {
  peri_value margin = peri_step_neg(B, peri_step_mul(B, input_of(B), peri_step_signs(B, TARGET)));
  peri_loss_reduced(B, peri_step_log1p_exp(B, margin), (int)B->args[2].integer);
  return PERI_OK;
}
/* -t sigmoid(-t x) for x, -x sigmoid(-t x) for t */
static peri_status grad_soft_margin(peri_backward *B) {
  peri_value x = input_of(B), t = peri_step_signs(B, TARGET), g = peri_loss_incoming(B, (int)B->args[2].integer);
  peri_value share = peri_step_sigmoid(B, peri_step_neg(B, peri_step_mul(B, x, t)));
  g = peri_step_neg(B, peri_step_mul(B, g, share));
  if (B->needs[INPUT]) peri_answer(B, INPUT, peri_step_mul(B, g, t));
  if (B->needs[TARGET]) peri_answer(B, TARGET, peri_step_mul(B, g, x));
  return PERI_OK;
}
const peri_op peri_op_soft_margin_loss = {
    .name = "soft_margin_loss",
    .saves = PERI_SAVE_INPUT(INPUT) | PERI_SAVE_INPUT(TARGET),
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR}, {"target", PERI_KIND_TENSOR, .reads = true}, PERI_REDUCTION_PARAM},
    .infer = infer_soft_margin,
    .compose = compose_soft_margin,
    .reads_alike = peri_loss_reads_signs,
    .grad = grad_soft_margin,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3):sign():detach()}, {T(5), T(5):sign():detach(), {reduction = 'sum'}}, "
              "{T(2, 3), I(2, 2, 3) * 2 - 3, {reduction = 'none'}}",
    .doc = "soft_margin_loss(input, target, {reduction = 'mean'}) -> tensor\n"
           "log(1 + exp(-target input)), where target is -1 or 1, of int64 or of the "
           "input's dtype, and its shape. " PERI_REDUCTION_DOC "\n"
           "Errors: other targets.",
};

static peri_status infer_hinge(peri_call *call) {
  PERI_TRY(infer_soft_margin(call));
  return peri_loss_number(call, 2, -INFINITY, false);
}
static peri_status compose_hinge(peri_backward *B) {
  peri_value x = input_of(B), positive = peri_step_gt(B, target_of(B), peri_constant(0));
  peri_value rest = peri_step_hinge(B, peri_step_sub(B, peri_constant(B->args[2].number), x));
  peri_loss_reduced(B, peri_step_where(B, positive, x, rest), (int)B->args[3].integer);
  return PERI_OK;
}
const peri_op peri_op_hinge_embedding_loss = {
    .name = "hinge_embedding_loss",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR, .reads = true},
               {"margin", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               PERI_REDUCTION_PARAM},
    .infer = infer_hinge,
    .compose = compose_hinge,
    .reads_alike = peri_loss_reads_signs,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3):sign():detach()}, {T(5), T(5):sign():detach(), 0.5, {reduction = 'sum'}}, "
              "{T(2, 3), I(2, 2, 3) * 2 - 3, {reduction = 'none'}}",
    .doc = "hinge_embedding_loss(input, target, margin = 1, {reduction = 'mean'}) -> tensor\n"
           "Where target is 1: input; where it is -1: max(0, margin - input). input is a distance, target says whether "
           "two things are alike, in int64 or the input's dtype, and has its shape. " PERI_REDUCTION_DOC "\n"
           "Errors: other targets.",
};

/* ---- distributions ---- */

static peri_status compose_kl_div(peri_backward *B) {
  peri_value x = input_of(B), t = target_of(B), losses;
  if (B->args[2].integer) {
    losses = peri_step_mul(B, peri_step_exp(B, t), peri_step_sub(B, t, x));
  } else { /* t log(t) is 0 where t is */
    peri_value zero = peri_step_eq(B, t, peri_constant(0));
    peri_value entropy = peri_step_mul(B, t, peri_step_log(B, peri_step_masked_fill(B, t, zero, 1)));
    losses = peri_step_sub(B, entropy, peri_step_mul(B, t, x));
  }
  peri_loss_reduced(B, losses, (int)B->args[3].integer);
  return PERI_OK;
}
const peri_op peri_op_kl_div = {
    .name = "kl_div",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"log_target", PERI_KIND_BOOL, .optional = true, .named = true},
               {"reduction", PERI_KIND_CHOICE, .optional = true, .named = true, .otherwise = PERI_REDUCE_MEAN,
                .choices = "none sum mean batchmean"}},
    .infer = infer_alike,
    .compose = compose_kl_div,
    .low = 0.1,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3)}, {T(5, 2), T(5, 2), {reduction = 'batchmean', log_target = true}}, "
              "{T(2, 3), T(2, 3), {reduction = 'none'}}, {T(4), T(4), {reduction = 'sum'}}",
    .doc = "kl_div(input, target, {log_target = false, reduction = 'mean'}) -> tensor\n"
           "target (log(target) - input), where input is the logarithm of probabilities and target probabilities, or "
           "with log_target their logarithms; both have one shape and float dtype. reduction is 'mean', 'sum', 'none', "
           "or 'batchmean', the sum divided by the first size: the divergence of Kullback and Leibler.",
};

/* ---- counts ---- */

enum { LOG_INPUT = 2, FULL, EPS, REDUCTION };

static peri_status infer_poisson(peri_call *call) {
  PERI_TRY(infer_alike(call));
  return peri_loss_number(call, EPS, 0, false);
}
/* log(t!) as t log(t) - t + log(2 pi t) / 2, where t is above 1 */
static peri_value stirling(peri_backward *B, peri_value t) {
  peri_value small = peri_step_le(B, t, peri_constant(1));
  t = peri_step_masked_fill(B, t, small, 1);
  peri_value sum = peri_step_sub(B, peri_step_mul(B, t, peri_step_log(B, t)), t);
  peri_value half =
      peri_step_mul(B, peri_step_log(B, peri_step_mul(B, t, peri_constant(6.283185307179586))), peri_constant(0.5));
  return peri_step_masked_fill(B, peri_step_add(B, sum, half), small, 0);
}
static peri_status compose_poisson(peri_backward *B) {
  peri_value x = input_of(B), t = target_of(B), losses;
  if (B->args[LOG_INPUT].integer) {
    losses = peri_step_sub(B, peri_step_exp(B, x), peri_step_mul(B, t, x));
  } else {
    peri_value logarithm = peri_step_log(B, peri_step_add(B, x, peri_constant(B->args[EPS].number)));
    losses = peri_step_sub(B, x, peri_step_mul(B, t, logarithm));
  }
  if (B->args[FULL].integer) losses = peri_step_add(B, losses, stirling(B, t));
  peri_loss_reduced(B, losses, (int)B->args[REDUCTION].integer);
  return PERI_OK;
}
const peri_op peri_op_poisson_nll_loss = {
    .name = "poisson_nll_loss",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"log_input", PERI_KIND_BOOL, .optional = true, .named = true, .otherwise = 1},
               {"full", PERI_KIND_BOOL, .optional = true, .named = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1e-8},
               PERI_REDUCTION_PARAM},
    .infer = infer_poisson,
    .compose = compose_poisson,
    .low = 0.2,
    .high = 3,
    .sample = "{T(5, 3), T(5, 3)}, {T(5), T(5), {log_input = false, reduction = 'sum'}}, "
              "{T(2, 3), T(2, 3), {full = true, reduction = 'none'}}",
    .doc =
        "poisson_nll_loss(input, target, {log_input = true, full = false, eps = 1e-8, reduction = 'mean'}) -> tensor\n"
        "exp(input) - target input, where input is the logarithm of the mean of a Poisson distribution and target "
        "counts; with log_input = false input - target log(input + eps). full adds log(target!) as Stirling has it, "
        "target log(target) - target + log(2 pi target) / 2, where target is above 1. Both have one shape and float "
        "dtype. " PERI_REDUCTION_DOC "\n"
        "Errors: eps below 0.",
};

/* ---- normal distributions ---- */

enum { VAR = 2, NORMAL_FULL, NORMAL_EPS, NORMAL_REDUCTION };

/* var has the input's shape, or one number for its last dimension, which may then be missing. */
static peri_status infer_gaussian(peri_call *call) {
  const peri_layout *x = &call->args[INPUT].tensor->layout, *var = &call->args[VAR].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(infer_alike(call));
  PERI_TRY(peri_infer_same_dtype(call, INPUT, VAR));
  int own = var->ndim, last = x->ndim - 1;
  bool fits = own == x->ndim || (own == last && own >= 0);
  for (int d = 0; fits && d < own; d++) fits = var->shape[d] == x->shape[d] || (d == last && var->shape[d] == 1);
  if (!fits) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "var is %s but input is %s (expected its shape, or 1 for the last dimension)",
                          peri_shape_text(var->ndim, var->shape, a), peri_shape_text(x->ndim, x->shape, b));
  }
  PERI_TRY(peri_loss_number(call, NORMAL_EPS, 0, true));
  return peri_loss_values(call, VAR, 0, DBL_MAX, false);
}

/* At least eps; the gradient passes where it is less. */
static peri_value variance(peri_backward *B) {
  peri_value var = peri_of(B->args[VAR].tensor);
  const peri_layout *x = &B->args[INPUT].tensor->layout;
  peri_tensor *constant = NULL;
  if (B->args[VAR].tensor->layout.ndim < x->ndim) {
    int64_t shape[PERI_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = 1;
    var = peri_step_reshape(B, var, x->ndim, shape);
  }
  if (B->formula->status != PERI_OK) return var;
  peri_status status = peri_tensor_detach(var.tensor, &constant);
  peri_value given = peri_formula_own(B, status, constant);
  peri_value raised = peri_step_maximum(B, given, peri_constant(B->args[NORMAL_EPS].number));
  return peri_step_add(B, var, peri_step_sub(B, raised, given));
}
static peri_status compose_gaussian(peri_backward *B) {
  peri_value d = peri_step_sub(B, input_of(B), target_of(B)), var = variance(B);
  peri_value losses = peri_step_div(B, peri_step_mul(B, d, d), var);
  losses = peri_step_mul(B, peri_step_add(B, peri_step_log(B, var), losses), peri_constant(0.5));
  if (B->args[NORMAL_FULL].integer) losses = peri_step_add(B, losses, peri_constant(0.9189385332046727));
  peri_loss_reduced(B, losses, (int)B->args[NORMAL_REDUCTION].integer);
  return PERI_OK;
}
const peri_op peri_op_gaussian_nll_loss = {
    .name = "gaussian_nll_loss",
    .outputs = 1,
    .params = {{"input", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR},
               {"var", PERI_KIND_TENSOR, .reads = true},
               {"full", PERI_KIND_BOOL, .optional = true, .named = true},
               {"eps", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1e-6},
               PERI_REDUCTION_PARAM},
    .infer = infer_gaussian,
    .compose = compose_gaussian,
    .low = 0.5,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3), T(5, 3)}, {T(5, 3), T(5, 3), T(5), {full = true, reduction = 'sum'}}, "
              "{T(2, 3), T(2, 3), T(2, 1), {reduction = 'none'}}",
    .doc =
        "gaussian_nll_loss(input, target, var, {full = false, eps = 1e-6, reduction = 'mean'}) -> tensor\n"
        "(log(var) + (input - target)^2 / var) / 2, where input is the mean of a normal distribution and var its "
        "variance, which counts as at least eps (its gradient does not stop there). full adds log(2 pi) / 2. input "
        "and target have one shape; var too, or 1 for the last dimension, or not that dimension. Floats of one dtype. " PERI_REDUCTION_DOC
        "\n"
        "Errors: a var below 0; eps not above 0.",
};

const peri_op *const peri_ops_loss_elementwise[] = {&peri_op_l1_loss,
                                                    &peri_op_huber_loss,
                                                    &peri_op_smooth_l1_loss,
                                                    &peri_op_binary_cross_entropy,
                                                    &peri_op_binary_cross_entropy_with_logits,
                                                    &peri_op_soft_margin_loss,
                                                    &peri_op_hinge_embedding_loss,
                                                    &peri_op_kl_div,
                                                    &peri_op_poisson_nll_loss,
                                                    &peri_op_gaussian_nll_loss,
                                                    NULL};
