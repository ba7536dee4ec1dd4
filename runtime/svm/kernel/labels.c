/* What decisions mean: labels, confidences and probabilities; see svm.h. */
#include "svm/kernel/model.h"
#include "svm/kernel/platt.h"

#include <math.h>

void peri_svm_binary_sign(int64_t m, double *decision) {
  for (int64_t i = 0; i < m; i++) decision[i] = -decision[i];
}

/* The score of class c: its votes, and less than a third for the sum of its confidences. */
static double ovr_score(int64_t k, int64_t c, const double *decision) {
  double votes = 0, confidence = 0;
  for (int64_t other = 0; other < k; other++) {
    if (other == c) continue;
    double value = decision[other < c ? peri_svm_pair_number(k, other, c) : peri_svm_pair_number(k, c, other)];
    votes += other < c ? value < 0 : value >= 0;
    confidence += other < c ? -value : value;
  }
  return votes + confidence / (3 * (fabs(confidence) + 1));
}

void peri_svm_ovr(int64_t k, int64_t m, const double *decision, double *out) {
  for (int64_t i = 0; i < m; i++, decision += k * (k - 1) / 2, out += k) {
    for (int64_t c = 0; c < k; c++) out[c] = ovr_score(k, c, decision);
  }
}

/* r_ij of all pairs, kept off 0 and 1, then their coupling. */
static void couple(const peri_svm *model, const double *decision, double *out, double *scratch) {
  int64_t k = model->k;
  double *r = scratch, least = 1e-7;
  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = i + 1; j < k; j++) {
      int64_t pair = peri_svm_pair_number(k, i, j);
      double p = peri_platt(decision[pair], model->prob_a[pair], model->prob_b[pair]);
      r[i * k + j] = peri_smaller(peri_larger(p, least), 1 - least);
      r[j * k + i] = 1 - r[i * k + j];
    }
  }
  peri_couple(k, r, out, scratch + k * k);
}

peri_status peri_svm_probabilities(peri_context *context, const peri_svm *model, int64_t m, const double *decision,
                                   double *out) {
  int64_t k = model->k;
  peri_blocks blocks = {.context = context};
  double *scratch;
  PERI_TRY(peri_blocks_new(&blocks, 2 * k * k + k, sizeof *scratch, &scratch));
  for (int64_t i = 0; i < m; i++, decision += model->pairs, out += k) {
    if (k > 2) {
      couple(model, decision, out, scratch);
    } else {
      out[0] = peri_platt(decision[0], model->prob_a[0], model->prob_b[0]);
      out[1] = 1 - out[0];
    }
  }
  peri_blocks_release(&blocks);
  return PERI_OK;
}

static int64_t class_by_votes(int64_t k, const double *decision) {
  int64_t best = 0, most = -1;
  for (int64_t c = 0; c < k; c++) {
    int64_t votes = 0;
    for (int64_t other = 0; other < c; other++) votes += !(decision[peri_svm_pair_number(k, other, c)] > 0);
    for (int64_t other = c + 1; other < k; other++) votes += decision[peri_svm_pair_number(k, c, other)] > 0;
    if (votes <= most) continue;
    most = votes;
    best = c;
  }
  return best;
}

static int64_t class_by_confidence(int64_t k, const double *decision) {
  int64_t best = 0;
  double highest = -INFINITY;
  for (int64_t c = 0; c < k; c++) {
    double score = ovr_score(k, c, decision);
    if (score <= highest) continue;
    highest = score;
    best = c;
  }
  return best;
}

void peri_svm_labels(const peri_svm *model, peri_svm_tie tie, int64_t m, const double *decision, int64_t *out) {
  for (int64_t i = 0; i < m; i++, decision += model->pairs) {
    if (model->k == 0)
      out[i] = decision[0] >= 0 ? 1 : -1;
    else if (tie == PERI_SVM_CONFIDENCE && model->k > 2)
      out[i] = model->classes[class_by_confidence(model->k, decision)];
    else
      out[i] = model->classes[class_by_votes(model->k, decision)];
  }
}

void peri_svm_likeliest(const peri_svm *model, int64_t m, const double *probabilities, int64_t *out) {
  for (int64_t i = 0; i < m; i++, probabilities += model->k) {
    int64_t best = 0;
    for (int64_t c = 1; c < model->k; c++) best = probabilities[c] > probabilities[best] ? c : best;
    out[i] = model->classes[best];
  }
}
