/* The table of losses: rows of the operation table, whose words the reductions are. */
#include "nn/kinds.h"
#include "ops/rows.h"

#include <float.h>

#define REDUCTION                                                                                                      \
  { "reduction", PERI_OPTION_CHOICE, 2, 0, 0, "none sum mean", "what becomes of the single losses" }
#define MARGIN(initial)                                                                                                \
  { "margin", PERI_OPTION_NUMBER, initial, 0, 0, NULL, "by how much they are to differ" }
#define GIVEN(name)                                                                                                    \
  { name, .given = true, .buffer = true }

static const peri_layer_kind MSELoss = {
    .name = "MSELoss",
    .inputs = 2,
    .row = &peri_op_mse_loss,
    .options = PERI_OPTIONS(REDUCTION),
    .sample =
        "{{}, {T(4, 3), T(4, 3)}}, {{{reduction = 'sum'}}, {T(4), T(4)}}, {{{reduction = 'none'}}, {T(4, 3), T(4, 3)}}",
    .doc = "MSELoss({reduction = 'mean'}) -> loss\n"
           "loss(input, target): (input - target)^2 of each element; their mean, their sum, or ('none') all of them. "
           "Both have one shape and dtype."};

static const peri_layer_kind L1Loss = {
    .name = "L1Loss",
    .inputs = 2,
    .row = &peri_op_l1_loss,
    .options = PERI_OPTIONS(REDUCTION),
    .sample =
        "{{}, {T(4, 3), T(4, 3)}}, {{{reduction = 'sum'}}, {T(4), T(4)}}, {{{reduction = 'none'}}, {T(4, 3), T(4, 3)}}",
    .doc = "L1Loss({reduction = 'mean'}) -> loss\n"
           "loss(input, target): |input - target| of each element: peri.l1_loss."};

static const peri_layer_kind SmoothL1Loss = {
    .name = "SmoothL1Loss",
    .inputs = 2,
    .row = &peri_op_smooth_l1_loss,
    .options =
        PERI_OPTIONS({"beta", PERI_OPTION_NUMBER, 1, 0, DBL_MAX, NULL, "where the square becomes a line"}, REDUCTION),
    .sample = "{{}, {T(4, 3), T(4, 3)}}, {{{beta = 0.5, reduction = 'sum'}}, {T(4), T(4)}}, "
              "{{{beta = 0, reduction = 'none'}}, {T(4, 3), T(4, 3)}}",
    .doc = "SmoothL1Loss({beta = 1, reduction = 'mean'}) -> loss\n"
           "loss(input, target): squares of differences up to beta, from there their size: peri.smooth_l1_loss."};

static const peri_layer_kind HuberLoss = {
    .name = "HuberLoss",
    .inputs = 2,
    .row = &peri_op_huber_loss,
    .options = PERI_OPTIONS({"delta", PERI_OPTION_NUMBER, 1, DBL_MIN, DBL_MAX, NULL, "where the square becomes a line"},
                            REDUCTION),
    .sample = "{{}, {T(4, 3), T(4, 3)}}, {{{delta = 0.5, reduction = 'sum'}}, {T(4), T(4)}}, "
              "{{{reduction = 'none'}}, {T(4, 3), T(4, 3)}}",
    .doc = "HuberLoss({delta = 1, reduction = 'mean'}) -> loss\n"
           "loss(input, target): squares of differences up to delta, from there a line: peri.huber_loss."};

#define CLASS_OPTIONS                                                                                                  \
  {"ignore_index", PERI_OPTION_INTEGER, -100, -0x1p53, 0x1p53, NULL, "targets of this class have no loss"}, REDUCTION

static const peri_layer_kind CrossEntropyLoss = {
    .name = "CrossEntropyLoss",
    .inputs = 2,
    .row = &peri_op_cross_entropy,
    .options = PERI_OPTIONS(CLASS_OPTIONS, {"label_smoothing", PERI_OPTION_NUMBER, 0, 0, 1, NULL,
                                            "how much of the target goes to all classes"}),
    .parameters = PERI_PARAMETERS(GIVEN("weight")),
    .sample = "{{}, {T(4, 3), I(3, 4)}}, {{{reduction = 'sum'}}, {T(4, 3), I(3, 4)}}, {{{reduction = 'none'}}, "
              "{T(4, 3), I(3, 4)}}, {{}, {T(4, 3), T(4, 3):softmax()}}, "
              "{{{weight = T(3), label_smoothing = 0.1, ignore_index = 2}}, {T(2, 3, 4), I(3, 2, 4)}}",
    .doc = "CrossEntropyLoss({weight, ignore_index = -100, label_smoothing = 0, reduction = 'mean'}) -> loss\n"
           "loss(logits, target): of each row of n x classes logits, log(sum(exp(x))) - x[target]. target is n int64 "
           "classes from 1, or n x classes probabilities. weight, a tensor, has a number for each class; "
           "label_smoothing gives that much of the target to all classes: peri.cross_entropy."};

static const peri_layer_kind NLLLoss = {
    .name = "NLLLoss",
    .inputs = 2,
    .row = &peri_op_nll_loss,
    .options = PERI_OPTIONS(CLASS_OPTIONS),
    .parameters = PERI_PARAMETERS(GIVEN("weight")),
    .sample = "{{}, {T(4, 3), I(3, 4)}}, {{{reduction = 'sum', weight = T(3)}}, {T(4, 3), I(3, 4)}}, "
              "{{{reduction = 'none', ignore_index = 1}}, {T(2, 3, 2), I(3, 2, 2)}}",
    .doc = "NLLLoss({weight, ignore_index = -100, reduction = 'mean'}) -> loss\n"
           "loss(input, target): -input[target] of each row of n x classes logarithms of probabilities, as LogSoftmax "
           "gives them. target is n int64 classes from 1; weight, a tensor, has a number for each class: "
           "peri.nll_loss."};

static const peri_layer_kind BCELoss = {
    .name = "BCELoss",
    .inputs = 2,
    .row = &peri_op_binary_cross_entropy,
    .options = PERI_OPTIONS(REDUCTION),
    .parameters = PERI_PARAMETERS(GIVEN("weight")),
    .sample = "{{}, {T(4, 3):sigmoid(), T(4, 3):sigmoid()}}, {{{reduction = 'sum', weight = T(3)}}, {T(4, "
              "3):sigmoid(), T(4, 3):sigmoid()}}, {{{reduction = 'none'}}, {T(4):sigmoid(), T(4):sigmoid()}}",
    .doc =
        "BCELoss({weight, reduction = 'mean'}) -> loss\n"
        "loss(input, target): -(target log(input) + (1 - target) log(1 - input)) of probabilities; weight, a tensor, "
        "broadcasts to them: peri.binary_cross_entropy."};

static const peri_layer_kind BCEWithLogitsLoss = {
    .name = "BCEWithLogitsLoss",
    .inputs = 2,
    .row = &peri_op_binary_cross_entropy_with_logits,
    .options = PERI_OPTIONS(REDUCTION),
    .parameters = PERI_PARAMETERS(GIVEN("weight"), GIVEN("pos_weight")),
    .sample =
        "{{}, {T(4, 3), T(4, 3)}}, {{{reduction = 'sum', weight = T(3), pos_weight = T(3)}}, {T(4, 3), T(4, 3)}}, "
        "{{{reduction = 'none', pos_weight = T(1)}}, {T(4), T(4)}}",
    .doc = "BCEWithLogitsLoss({weight, pos_weight, reduction = 'mean'}) -> loss\n"
           "loss(input, target): BCELoss of sigmoid(input), good also where that is close to 0 or 1. weight and "
           "pos_weight, that of the positive targets, are tensors that broadcast: "
           "peri.binary_cross_entropy_with_logits."};

static const peri_layer_kind KLDivLoss = {
    .name = "KLDivLoss",
    .inputs = 2,
    .row = &peri_op_kl_div,
    .options =
        PERI_OPTIONS({"log_target", PERI_OPTION_BOOL, 0, 0, 0, NULL, "the target has logarithms of probabilities, too"},
                     {"reduction", PERI_OPTION_CHOICE, 2, 0, 0, "none sum mean batchmean",
                      "what becomes of the single losses; batchmean: their sum, divided by the first size"}),
    .sample = "{{}, {T(4, 3), T(4, 3):softmax()}}, {{{reduction = 'batchmean', log_target = true}}, {T(4, 3), T(4, "
              "3)}}, {{{reduction = 'none'}}, {T(4), T(4):sigmoid()}}, {{{reduction = 'sum'}}, {T(4), T(4):sigmoid()}}",
    .doc = "KLDivLoss({log_target = false, reduction = 'mean'}) -> loss\n"
           "loss(input, target): target (log(target) - input), where input is the logarithm of probabilities; "
           "reduction = 'batchmean' is the divergence of Kullback and Leibler: peri.kl_div."};

static const peri_layer_kind HingeEmbeddingLoss = {
    .name = "HingeEmbeddingLoss",
    .inputs = 2,
    .row = &peri_op_hinge_embedding_loss,
    .options = PERI_OPTIONS(MARGIN(1), REDUCTION),
    .sample = "{{}, {T(4, 3), I(2, 4, 3) * 2 - 3}}, {{{margin = 0.5, reduction = 'sum'}}, {T(4), I(2, 4) * 2 - 3}}, "
              "{{{reduction = 'none'}}, {T(4), I(2, 4) * 2 - 3}}",
    .doc = "HingeEmbeddingLoss({margin = 1, reduction = 'mean'}) -> loss\n"
           "loss(input, target): input where target is 1, max(0, margin - input) where it is -1: "
           "peri.hinge_embedding_loss."};

static const peri_layer_kind SoftMarginLoss = {
    .name = "SoftMarginLoss",
    .inputs = 2,
    .row = &peri_op_soft_margin_loss,
    .options = PERI_OPTIONS(REDUCTION),
    .sample = "{{}, {T(4, 3), I(2, 4, 3) * 2 - 3}}, {{{reduction = 'sum'}}, {T(4), I(2, 4) * 2 - 3}}, "
              "{{{reduction = 'none'}}, {T(4), I(2, 4) * 2 - 3}}",
    .doc = "SoftMarginLoss({reduction = 'mean'}) -> loss\n"
           "loss(input, target): log(1 + exp(-target input)), where target is -1 or 1: peri.soft_margin_loss."};

static const peri_layer_kind MultiMarginLoss = {
    .name = "MultiMarginLoss",
    .inputs = 2,
    .row = &peri_op_multi_margin_loss,
    .options = PERI_OPTIONS({"p", PERI_OPTION_INTEGER, 1, 1, 2, NULL, "the power of what is over the margin"},
                            MARGIN(1), REDUCTION),
    .parameters = PERI_PARAMETERS(GIVEN("weight")),
    .sample = "{{}, {T(4, 3), I(3, 4)}}, {{{p = 2, margin = 0.5, weight = T(3), reduction = 'none'}}, {T(4, 3), I(3, "
              "4)}}, {{{reduction = 'sum'}}, {T(4, 3), I(3, 4)}}",
    .doc = "MultiMarginLoss({p = 1, margin = 1, weight, reduction = 'mean'}) -> loss\n"
           "loss(input, target): max(0, margin - x[target] + x[j])^p of each row x of n x classes scores, summed over "
           "the other classes j and divided by their number. target is n int64 classes from 1; weight, a tensor, has a "
           "number for each class: peri.multi_margin_loss."};

static const peri_layer_kind MultiLabelMarginLoss = {
    .name = "MultiLabelMarginLoss",
    .inputs = 2,
    .row = &peri_op_multilabel_margin_loss,
    .options = PERI_OPTIONS(REDUCTION),
    .sample = "{{}, {T(4, 3), I(3, 4, 3)}}, {{{reduction = 'none'}}, {T(4, 3), I(3, 4, 3)}}, {{{reduction = 'sum'}}, "
              "{T(3), I(3, 3)}}",
    .doc = "MultiLabelMarginLoss({reduction = 'mean'}) -> loss\n"
           "loss(input, target): of n x classes scores, where each row of target lists classes from 1, ended by 0: "
           "peri.multilabel_margin_loss."};

static const peri_layer_kind PoissonNLLLoss = {
    .name = "PoissonNLLLoss",
    .inputs = 2,
    .row = &peri_op_poisson_nll_loss,
    .options = PERI_OPTIONS(
        {"log_input", PERI_OPTION_BOOL, 1, 0, 0, NULL, "the input is the logarithm of the mean"},
        {"full", PERI_OPTION_BOOL, 0, 0, 0, NULL, "add the terms of the target alone"},
        {"eps", PERI_OPTION_NUMBER, 1e-8, 0, DBL_MAX, NULL, "added to the mean before its logarithm"}, REDUCTION),
    .sample = "{{}, {T(4, 3), T(4, 3):exp()}}, {{{log_input = false, eps = 0.1, reduction = 'sum'}}, {T(4):exp(), "
              "T(4):exp()}}, {{{full = true, reduction = 'none'}}, {T(4), T(4):exp()}}",
    .doc = "PoissonNLLLoss({log_input = true, full = false, eps = 1e-8, reduction = 'mean'}) -> loss\n"
           "loss(input, target): exp(input) - target input, of counts that have Poisson distributions: "
           "peri.poisson_nll_loss."};

static const peri_layer_kind GaussianNLLLoss = {
    .name = "GaussianNLLLoss",
    .inputs = 3,
    .row = &peri_op_gaussian_nll_loss,
    .options = PERI_OPTIONS({"full", PERI_OPTION_BOOL, 0, 0, 0, NULL, "add the constant term"},
                            {"eps", PERI_OPTION_NUMBER, 1e-6, DBL_MIN, DBL_MAX, NULL, "the least variance"}, REDUCTION),
    .sample = "{{}, {T(4, 3), T(4, 3), T(4, 3):exp()}}, {{{full = true, reduction = 'sum'}}, {T(4, 3), T(4, 3), T(4, "
              "1):exp()}}, {{{eps = 0.01, reduction = 'none'}}, {T(4, 3), T(4, 3), T(4):exp()}}",
    .doc = "GaussianNLLLoss({full = false, eps = 1e-6, reduction = 'mean'}) -> loss\n"
           "loss(input, target, var): (log(var) + (input - target)^2 / var) / 2, of numbers that have normal "
           "distributions: peri.gaussian_nll_loss."};

static const peri_layer_kind MarginRankingLoss = {
    .name = "MarginRankingLoss",
    .inputs = 3,
    .row = &peri_op_margin_ranking_loss,
    .options = PERI_OPTIONS(MARGIN(0), REDUCTION),
    .sample =
        "{{}, {T(4), T(4), I(2, 4) * 2 - 3}}, {{{margin = 0.5, reduction = 'sum'}}, {T(4), T(4), I(2, 4) * 2 - 3}}, {{{reduction = 'none'}}, {T(4, 2), T(4, 2), I(2, 4, 2) * 2 - 3}}",
    .doc = "MarginRankingLoss({margin = 0, reduction = 'mean'}) -> loss\n"
           "loss(input1, input2, target): max(0, margin - target (input1 - input2)), where target is 1 or -1: "
           "peri.margin_ranking_loss."};

static const peri_layer_kind CosineEmbeddingLoss = {
    .name = "CosineEmbeddingLoss",
    .inputs = 3,
    .row = &peri_op_cosine_embedding_loss,
    .options = PERI_OPTIONS(MARGIN(0), REDUCTION),
    .sample =
        "{{}, {T(4, 3), T(4, 3), I(2, 4) * 2 - 3}}, {{{margin = 0.5, reduction = 'sum'}}, {T(4, 3), T(4, 3), I(2, 4) * 2 - 3}}, {{{reduction = 'none'}}, {T(4, 2), T(4, 2), I(2, 4) * 2 - 3}}",
    .doc = "CosineEmbeddingLoss({margin = 0, reduction = 'mean'}) -> loss\n"
           "loss(input1, input2, target): of the cosine c between rows, 1 - c where target is 1, max(0, c - margin) "
           "where it is -1: peri.cosine_embedding_loss."};

static const peri_layer_kind TripletMarginLoss = {
    .name = "TripletMarginLoss",
    .inputs = 3,
    .row = &peri_op_triplet_margin_loss,
    .options = PERI_OPTIONS(
        MARGIN(1), {"p", PERI_OPTION_NUMBER, 2, DBL_MIN, DBL_MAX, NULL, "of the norm"},
        {"eps", PERI_OPTION_NUMBER, 1e-6, 0, DBL_MAX, NULL, "added to differences"},
        {"swap", PERI_OPTION_BOOL, 0, 0, 0, NULL, "the distance of positive and negative counts, if smaller"},
        REDUCTION),
    .sample =
        "{{}, {T(4, 3), T(4, 3), T(4, 3)}}, {{{margin = 3, p = 1, reduction = 'sum', swap = true}}, {T(4, 3), T(4, "
        "3), T(4, 3)}}, {{{margin = 2, p = 3, eps = 0.01, reduction = 'none'}}, {T(4, 3), T(4, 3), T(4, 3)}}",
    .doc = "TripletMarginLoss({margin = 1, p = 2, eps = 1e-6, swap = false, reduction = 'mean'}) -> loss\n"
           "loss(anchor, positive, negative): max(0, d(anchor, positive) - d(anchor, negative) + margin) of distances "
           "d between rows: peri.triplet_margin_loss."};

const peri_layer_kind *const peri_loss_kinds[] = {&MSELoss,
                                                  &L1Loss,
                                                  &SmoothL1Loss,
                                                  &HuberLoss,
                                                  &CrossEntropyLoss,
                                                  &NLLLoss,
                                                  &BCELoss,
                                                  &BCEWithLogitsLoss,
                                                  &KLDivLoss,
                                                  &HingeEmbeddingLoss,
                                                  &SoftMarginLoss,
                                                  &MultiMarginLoss,
                                                  &MultiLabelMarginLoss,
                                                  &PoissonNLLLoss,
                                                  &GaussianNLLLoss,
                                                  &MarginRankingLoss,
                                                  &CosineEmbeddingLoss,
                                                  &TripletMarginLoss,
                                                  NULL};
