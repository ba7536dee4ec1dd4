/* Decisions, predictions and probabilities of linear machines; see linear.h. */
#include "svm/linear/linear.h"

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "svm/grouping.h"
#include "svm/linear/linear_kernels.h"

#include <math.h>

#define ROWS 256

typedef struct job {
  const peri_linear *model;
  const peri_linear_kernels *kernels;
  peri_dtype dtype;
  int64_t m, ldx;
  const void *x;
  double *out;
} job;

static void decision_body(void *arg, int64_t piece) {
  const job *j = arg;
  const peri_linear *model = j->model;
  int64_t end = peri_min(j->m, (piece + 1) * ROWS);
  for (int64_t i = piece * ROWS; i < end; i++) {
    double *out = j->out + i * model->rows;
    j->kernels->dots[peri_is_wide(j->dtype)](model->d, peri_at(j->dtype, j->x, j->ldx, i, 0), model->rows, model->coef,
                                             model->d, out, 1);
    for (int64_t r = 0; r < model->rows; r++) out[r] += model->intercept[r];
  }
}

peri_status peri_linear_decision(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m,
                                 int64_t d, const void *x, int64_t ldx, double *out) {
  const char *who = peri_linear_kind_name(model->options.kind);
  if (d != model->d)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld features but the machine was fitted on %lld", who,
                     (long long)d, (long long)model->d);
  PERI_TRY(peri_svm_check_features(context, who, dtype, m, d, x, ldx));
  job j = {.model = model, .kernels = context->kernels->linear, .dtype = dtype, .m = m, .ldx = ldx, .x = x, .out = out};
  PERI_TRY(peri_parallel(context, (m + ROWS - 1) / ROWS, decision_body, &j));
  for (int64_t i = 0; i < m * model->rows; i++) {
    if (!isfinite(out[i]))
      return peri_fail(context, PERI_ERR_NUMERIC, "%s: the decision overflows in row %lld of X (scale the features)",
                       who, (long long)(i / model->rows) + 1);
  }
  return PERI_OK;
}

/* ---- classes ---- */

static int64_t best_class(const peri_linear *model, const double *decision) {
  int64_t best = model->rows == 1 ? decision[0] > 0 : 0;
  for (int64_t r = 1; r < model->rows; r++) best = decision[r] > decision[best] ? r : best;
  return best;
}

static peri_status check_classifier(peri_context *context, const peri_linear *model, const char *what, bool good) {
  if (good) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: it has no %s", peri_linear_kind_name(model->options.kind), what);
}

peri_status peri_linear_predict(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m, int64_t d,
                                const void *x, int64_t ldx, int64_t *out) {
  PERI_TRY(check_classifier(context, model, "classes", model->k > 0));
  peri_blocks blocks = {.context = context};
  double *decision;
  PERI_TRY(peri_blocks_new(&blocks, m * model->rows, sizeof *decision, &decision));
  peri_status status = peri_linear_decision(context, model, dtype, m, d, x, ldx, decision);
  for (int64_t i = 0; status == PERI_OK && i < m; i++) {
    out[i] = model->classes[best_class(model, decision + i * model->rows)];
  }
  peri_blocks_release(&blocks);
  return status;
}

/* ---- probabilities ---- */

static double sigmoid(double f) { return f >= 0 ? 1 / (1 + peri_exp(-f)) : peri_exp(f) / (1 + peri_exp(f)); }
static double log_sigmoid(double f) { return f >= 0 ? -peri_log1p(peri_exp(-f)) : f - peri_log1p(peri_exp(f)); }

/* The sigmoids over their sum, which may underflow: in logarithms. */
static void normalised(int64_t k, const double *decision, double *out) {
  double largest = -INFINITY, sum = 0;
  for (int64_t c = 0; c < k; c++) {
    out[c] = log_sigmoid(decision[c]);
    largest = peri_larger(largest, out[c]);
  }
  for (int64_t c = 0; c < k; c++) sum += out[c] = peri_exp(out[c] - largest);
  for (int64_t c = 0; c < k; c++) out[c] /= sum;
}

/* Probabilities of different decisions can round to the same number: the best gets the next larger one. */
static void put_first(int64_t k, int64_t best, double *out) {
  bool first = true;
  for (int64_t c = 0; c < k; c++) first &= c == best || out[c] < out[best] || (out[c] == out[best] && c > best);
  if (!first) out[best] = nextafter(out[best], 2);
}

peri_status peri_linear_probability(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m,
                                    int64_t d, const void *x, int64_t ldx, double *out) {
  PERI_TRY(check_classifier(context, model, "probabilities", model->options.kind == PERI_LINEAR_LOGISTIC));
  peri_blocks blocks = {.context = context};
  double *decision;
  PERI_TRY(peri_blocks_new(&blocks, m * model->rows, sizeof *decision, &decision));
  peri_status status = peri_linear_decision(context, model, dtype, m, d, x, ldx, decision);
  for (int64_t i = 0; status == PERI_OK && i < m; i++) {
    const double *f = decision + i * model->rows;
    double *row = out + i * model->k;
    if (model->rows == 1) {
      row[0] = sigmoid(-f[0]);
      row[1] = sigmoid(f[0]);
    } else {
      normalised(model->k, f, row);
    }
    put_first(model->k, best_class(model, f), row);
  }
  peri_blocks_release(&blocks);
  return status;
}
