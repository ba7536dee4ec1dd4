/* Losses that compare tensors with each other. */
#include "ops/loss.h"

/* ---- two scores in the right order ---- */

static peri_status infer_ranking(peri_call *call) {
  PERI_TRY(peri_loss_alike(call, 1));
  PERI_TRY(peri_loss_number(call, 3, -INFINITY, false));
  return peri_loss_alike_signs(call, 2);
}
static peri_status compose_ranking(peri_backward *B) {
  peri_value difference = peri_step_sub(B, peri_of(B->args[1].tensor), peri_of(B->args[0].tensor));
  difference = peri_step_mul(B, difference, peri_step_signs(B, 2));
  difference = peri_step_add(B, difference, peri_constant(B->args[3].number));
  peri_loss_reduced(B, peri_step_hinge(B, difference), (int)B->args[4].integer);
  return PERI_OK;
}
const peri_op peri_op_margin_ranking_loss = {
    .name = "margin_ranking_loss",
    .outputs = 1,
    .params = {{"input1", PERI_KIND_TENSOR},
               {"input2", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR, .reads = true},
               {"margin", PERI_KIND_NUMBER, .optional = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_ranking,
    .compose = compose_ranking,
    .reads_alike = peri_loss_reads_signs,
    .low = -2,
    .high = 2,
    .sample =
        "{T(5), T(5), T(5):sign():detach()}, {T(5, 2), T(5, 2), T(5, 2):sign():detach(), 0.5, {reduction = 'sum'}}, "
        "{T(4), T(4), I(2, 4) * 2 - 3, {margin = 1, reduction = 'none'}}",
    .doc = "margin_ranking_loss(input1, input2, target, margin = 0, {reduction = 'mean'}) -> tensor\n"
           "max(0, margin - target (input1 - input2)), where target is 1 when input1 should be the larger, and -1 when "
           "input2 should. All have one shape and float dtype, target may be of int64. " PERI_REDUCTION_DOC "\n"
           "Errors: other targets.",
};

/* ---- directions ---- */

/* One target for each row. */
static peri_status infer_cosine(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *target = &call->args[2].tensor->layout;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_loss_alike(call, 1));
  bool fits = (x->ndim == 1 || x->ndim == 2) && target->ndim == x->ndim - 1;
  if (!fits || (x->ndim == 2 && target->shape[0] != x->shape[0])) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "input1 is %s and target %s (expected n x size, and n targets)",
                          peri_shape_text(x->ndim, x->shape, a), peri_shape_text(target->ndim, target->shape, b));
  }
  PERI_TRY(peri_loss_number(call, 3, -INFINITY, false));
  return peri_loss_signs(call, 2);
}

static peri_value products(peri_backward *B, peri_value a, peri_value b) {
  const int64_t last = B->args[0].tensor->layout.ndim - 1;
  return peri_step_sum(B, peri_step_mul(B, a, b), 1, &last, false);
}
/* a b / sqrt((a a + 1e-12) (b b + 1e-12)) */
static peri_value cosine(peri_backward *B) {
  peri_value a = peri_of(B->args[0].tensor), b = peri_of(B->args[1].tensor), little = peri_constant(1e-12);
  peri_value sizes =
      peri_step_mul(B, peri_step_add(B, products(B, a, a), little), peri_step_add(B, products(B, b, b), little));
  return peri_step_div(B, products(B, a, b), peri_step_sqrt(B, sizes));
}
static peri_status compose_cosine(peri_backward *B) {
  peri_value y = cosine(B), alike = peri_step_gt(B, peri_of(B->args[2].tensor), peri_constant(0));
  peri_value apart = peri_step_hinge(B, peri_step_sub(B, y, peri_constant(B->args[3].number)));
  peri_value losses = peri_step_where(B, alike, peri_step_sub(B, peri_constant(1), y), apart);
  peri_loss_reduced(B, losses, (int)B->args[4].integer);
  return PERI_OK;
}
const peri_op peri_op_cosine_embedding_loss = {
    .name = "cosine_embedding_loss",
    .outputs = 1,
    .params = {{"input1", PERI_KIND_TENSOR},
               {"input2", PERI_KIND_TENSOR},
               {"target", PERI_KIND_TENSOR, .reads = true},
               {"margin", PERI_KIND_NUMBER, .optional = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_cosine,
    .compose = compose_cosine,
    .reads_alike = peri_loss_reads_signs,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3), T(5):sign():detach()}, {T(4, 2), T(4, 2), T(4):sign():detach(), 0.5, {reduction = "
              "'sum'}}, {T(4, 3), T(4, 3), I(2, 4) * 2 - 3, {margin = -0.5, reduction = 'none'}}, "
              "{T(3), T(3), T():sign():detach()}",
    .doc =
        "cosine_embedding_loss(input1, input2, target, margin = 0, {reduction = 'mean'}) -> tensor\n"
        "Of the cosine c between the rows of n x size tensors: 1 - c where target is 1, max(0, c - margin) where it "
        "is -1. target is n numbers, of the same dtype or int64; input1 and input2 may be vectors, with one target. " PERI_REDUCTION_DOC
        "\n"
        "Errors: other targets.",
};

/* ---- an anchor, something like it, and something else ---- */

enum { ANCHOR, POSITIVE, NEGATIVE, MARGIN, P, EPS, SWAP, REDUCTION };

static peri_status infer_triplet(peri_call *call) {
  const peri_layout *x = &call->args[ANCHOR].tensor->layout;
  PERI_TRY(peri_loss_alike(call, POSITIVE));
  PERI_TRY(peri_loss_alike(call, NEGATIVE));
  if (x->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "anchor is 0-d (expected n x size, or size)");
  PERI_TRY(peri_loss_number(call, MARGIN, -INFINITY, false));
  PERI_TRY(peri_loss_number(call, EPS, 0, false));
  return peri_loss_number(call, P, 0, true);
}

/* The p-norm of a - b + eps along the last dimension. */
static peri_value distance(peri_backward *B, int first, int second) {
  const double p = B->args[P].number;
  const int64_t last = B->args[ANCHOR].tensor->layout.ndim - 1;
  peri_value d = peri_step_sub(B, peri_of(B->args[first].tensor), peri_of(B->args[second].tensor));
  d = peri_step_add(B, d, peri_constant(B->args[EPS].number));
  if (p == 2) return peri_step_sqrt(B, peri_step_sum(B, peri_step_mul(B, d, d), 1, &last, false));
  d = peri_step_abs(B, d);
  if (p == 1) return peri_step_sum(B, d, 1, &last, false);
  d = peri_step_sum(B, peri_step_pow(B, d, peri_constant(p)), 1, &last, false);
  return peri_step_pow(B, d, peri_constant(1 / p));
}
static peri_status compose_triplet(peri_backward *B) {
  peri_value near = distance(B, ANCHOR, POSITIVE), far = distance(B, ANCHOR, NEGATIVE);
  if (B->args[SWAP].integer) far = peri_step_minimum(B, far, distance(B, POSITIVE, NEGATIVE));
  peri_value over = peri_step_add(B, peri_step_sub(B, near, far), peri_constant(B->args[MARGIN].number));
  peri_loss_reduced(B, peri_step_hinge(B, over), (int)B->args[REDUCTION].integer);
  return PERI_OK;
}
const peri_op peri_op_triplet_margin_loss = {
    .name = "triplet_margin_loss",
    .outputs = 1,
    .params = {{"anchor", PERI_KIND_TENSOR},
               {"positive", PERI_KIND_TENSOR},
               {"negative", PERI_KIND_TENSOR},
               {"margin", PERI_KIND_NUMBER, .optional = true, .otherwise = 1},
               {"p", PERI_KIND_NUMBER, .optional = true, .otherwise = 2},
               {"eps", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1e-6},
               {"swap", PERI_KIND_BOOL, .optional = true, .named = true},
               PERI_REDUCTION_PARAM},
    .infer = infer_triplet,
    .compose = compose_triplet,
    .low = -2,
    .high = 2,
    .sample = "{T(5, 3), T(5, 3), T(5, 3)}, {T(4, 2), T(4, 2), T(4, 2), 3, 1, {reduction = 'sum', swap = true}}, "
              "{T(4, 3), T(4, 3), T(4, 3), {margin = 2, p = 3, reduction = 'none'}}, {T(3), T(3), T(3)}",
    .doc =
        "triplet_margin_loss(anchor, positive, negative, margin = 1, p = 2, {eps = 1e-6, swap = false, reduction = "
        "'mean'}) -> tensor\n"
        "max(0, d(anchor, positive) - d(anchor, negative) + margin), where d is the p-norm of the difference plus eps "
        "along the last dimension; with swap the smaller of d(anchor, negative) and d(positive, negative) counts. All "
        "have one shape and float dtype. " PERI_REDUCTION_DOC " V. Balntas et al., 'Learning local feature "
        "descriptors with triplets and shallow convolutional neural networks', 2016.\n"
        "Errors: p not above 0, eps below 0.",
};

const peri_op *const peri_ops_loss_pairs[] = {&peri_op_margin_ranking_loss, &peri_op_cosine_embedding_loss,
                                              &peri_op_triplet_margin_loss, NULL};
