/* What the tests of the linear machines share: every combination of kind, penalty, loss and treatment of classes. */
#ifndef PERI_TEST_LINEAR_SUPPORT_H
#define PERI_TEST_LINEAR_SUPPORT_H

#include "svm/linear/linear.h"
#include "svm_support.h"

typedef struct sample {
  int64_t n, d;
  const double *x, *targets, *weights;
  const float *x32;
  const int64_t *y;
} sample;

static peri_svm_samples samples_of(const sample *s, bool wide) {
  return (peri_svm_samples){.dtype = wide ? PERI_FLOAT64 : PERI_FLOAT32,
                            .n = s->n,
                            .d = s->d,
                            .x = wide ? (const void *)s->x : s->x32,
                            .ldx = s->d,
                            .labels = s->y,
                            .targets = s->targets,
                            .weights = s->weights};
}

typedef struct combination {
  peri_linear_kind kind;
  peri_linear_penalty penalty;
  peri_linear_loss loss;
  peri_multi_class multi_class;
} combination;

static const combination combinations[] = {
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_SQUARED_HINGE, PERI_OVR},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_HINGE, PERI_OVR},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L1, PERI_LOSS_SQUARED_HINGE, PERI_OVR},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_HINGE, PERI_CRAMMER_SINGER},
    {PERI_LINEAR_REGRESSOR, PERI_PENALTY_L2, PERI_LOSS_EPSILON, PERI_OVR},
    {PERI_LINEAR_REGRESSOR, PERI_PENALTY_L2, PERI_LOSS_SQUARED_EPSILON, PERI_OVR},
    {PERI_LINEAR_LOGISTIC, PERI_PENALTY_L2, PERI_LOSS_LOGISTIC, PERI_OVR},
    {PERI_LINEAR_LOGISTIC, PERI_PENALTY_L1, PERI_LOSS_LOGISTIC, PERI_OVR},
};

static peri_linear_options options_of(const combination *c) {
  peri_linear_options options = peri_linear_defaults(c->kind);
  options.penalty = c->penalty;
  options.loss = c->loss;
  options.multi_class = c->multi_class;
  options.tol = c->kind == PERI_LINEAR_REGRESSOR ? 1e-11 : 1e-9; /* that of a regression is relative to n targets */
  options.max_iter = 1000000;
  return options;
}

static void fill_targets(const svm_data *data, double *out) {
  peri_stream stream = {.seed = 77};
  for (int64_t i = 0; i < data->n; i++) {
    out[i] = 2 + data->x[i * data->d] - 0.5 * data->x[i * data->d + 1] + 0.3 * peri_stream_normal(&stream);
  }
}

#endif
