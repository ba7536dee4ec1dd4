/* The linear machines on hostile data and arguments; threads, memory, cancellation, time. */
#include "linear_support.h"

#include <pthread.h>

static sample sample_of(const svm_data *data, const combination *c, const double *targets) {
  bool regression = c->kind == PERI_LINEAR_REGRESSOR;
  return (sample){.n = data->n,
                  .d = data->d,
                  .x = data->x,
                  .x32 = data->x32,
                  .y = regression ? NULL : data->y,
                  .targets = regression ? targets : NULL};
}

static peri_status fit(peri_context *context, const peri_linear_options *options, const sample *s, peri_linear **out) {
  peri_svm_samples samples = samples_of(s, true);
  return peri_linear_fit(context, options, &samples, out);
}

/* ---- threads ---- */

static void test_threads(void) {
  static const int teams[] = {1, 2, 3, 7};
  svm_data data = svm_groups(1500, 64, 5, 3.0, 33);
  double *targets = calloc(1500, sizeof *targets), *kept = calloc(5 * 64, sizeof *kept);
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    for (size_t t = 0; t < PERI_COUNT(teams); t++) {
      peri_context *context = svm_context(teams[t]);
      peri_linear_options options = options_of(&combinations[c]);
      options.tol = 1e-4;
      options.max_iter = 20;
      options.C = 0.1;
      sample s = sample_of(&data, &combinations[c], targets);
      peri_svm_samples samples = samples_of(&s, false);
      peri_linear *model;
      PERI_CHECK(peri_linear_fit(context, &options, &samples, &model) == PERI_OK, "%s", peri_message(context));
      size_t bytes = (size_t)(model->rows * model->d) * sizeof *kept;
      if (t == 0) memcpy(kept, model->coef, bytes);
      PERI_CHECK(memcmp(kept, model->coef, bytes) == 0, "combination %zu: coefficients differ with %d threads", c,
                 teams[t]);
      peri_linear_release(context, &model);
      peri_context_release(&context);
    }
  }
  free(targets);
  free(kept);
  svm_data_free(&data);
}

/* ---- arguments ---- */

static void expect(peri_context *context, peri_status got, peri_status wanted, const char *message) {
  PERI_CHECK(got == wanted && strcmp(peri_message(context), message) == 0, "%d: %s", (int)got, peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
}

static void test_arguments(void) {
  peri_context *context = svm_context(1);
  double x[] = {0, 1, 2, INFINITY}, z[] = {1, 2, NAN, 1}, weights[] = {1, 0, 1, -1}, nothing[4] = {0};
  int64_t y[] = {1, 2, 1, 1};
  peri_linear_options svc = peri_linear_defaults(PERI_LINEAR_CLASSIFIER), o;
  peri_linear_options svr = peri_linear_defaults(PERI_LINEAR_REGRESSOR);
  peri_linear *model;
#define FIT(options, rows, given)                                                                                      \
  fit(context, &(options), &(sample){.n = rows, .d = 1, .x = x, .y = y, .targets = z, .weights = given}, &model),      \
      PERI_ERR_ARGUMENT
  expect(context, FIT(svc, 1, NULL), "LinearSVC: y has 1 class (1); at least 2 are needed");
  expect(context, FIT(svc, 0, NULL), "LinearSVC: X has 0 rows (expected samples of at least 2 classes)");
  expect(context, FIT(svc, 3, weights), "LinearSVC: y has 1 class (1); at least 2 are needed");
  expect(context, FIT(svc, 4, NULL), "LinearSVC: X has inf in row 4, column 1 (expected finite numbers)");
  expect(context, FIT(svr, 3, NULL), "LinearSVR: y has nan in row 3 (expected finite numbers)");
  expect(context, FIT(svr, 0, NULL), "LinearSVR: X has 0 rows (expected 1 or more)");
  expect(context, FIT(svr, 2, nothing), "LinearSVR: X has 2 rows, all of weight 0 (expected 1 or more)");
  x[3] = z[2] = 1;
  expect(context, FIT(svr, 4, weights), "LinearSVR: sample weight 4 is -1 (expected a finite number >= 0)");
  o = svc, o.C = -1;
  expect(context, FIT(o, 3, NULL), "LinearSVC: C is -1 (expected a finite number > 0)");
  o = svr, o.epsilon = -1;
  expect(context, FIT(o, 3, NULL), "LinearSVR: epsilon is -1 (expected a finite number >= 0)");
  o = svc, o.tol = NAN;
  expect(context, FIT(o, 3, NULL), "LinearSVC: tol is nan (expected a number > 0)");
  o = svc, o.max_iter = 0;
  expect(context, FIT(o, 3, NULL), "LinearSVC: max_iter is 0 (expected >= 1, or -1)");
  o = svc, o.intercept_scaling = 0;
  expect(context, FIT(o, 3, NULL), "LinearSVC: intercept_scaling is 0 (expected a number > 0)");
  o = svc, o.time_limit = 0;
  expect(context, FIT(o, 3, NULL), "LinearSVC: time_limit is 0 (expected seconds > 0)");
  o = svc, o.penalty = PERI_PENALTY_L1, o.loss = PERI_LOSS_HINGE;
  expect(context, FIT(o, 3, NULL),
         "LinearSVC: loss 'hinge' does not go with penalty 'l1' (expected loss 'squared_hinge', or penalty 'l2')");
  o = svr, o.penalty = PERI_PENALTY_L1;
  expect(context, FIT(o, 3, NULL), "LinearSVR: loss 'epsilon_insensitive' does not go with penalty 'l1'");
#undef FIT
  peri_context_release(&context);
}

/* ---- data ---- */

/* Two rows; constant features; rows of zeros; only one row for a regression. Everything stays finite. */
static void test_degenerate(void) {
  peri_context *context = svm_context(1);
  double x[12] = {0}, z[] = {1, 2, 3, 4, 5, 6};
  int64_t y[] = {-5, 3, -5, 3, 3, -5};
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    for (int run = 0; run < 8; run++) {
      peri_linear_options options = peri_linear_defaults(combinations[c].kind);
      options.penalty = combinations[c].penalty;
      options.loss = combinations[c].loss;
      options.multi_class = combinations[c].multi_class;
      options.fit_intercept = run & 1;
      int64_t n = run & 2 ? 6 : options.kind == PERI_LINEAR_REGRESSOR ? 1 : 2;
      for (int i = 0; i < 12; i++) x[i] = run & 4 ? 2.5 : 0;
      sample s = {.n = n, .d = 2, .x = x, .y = y, .targets = options.kind == PERI_LINEAR_REGRESSOR ? z : NULL};
      peri_linear *model;
      PERI_CHECK(fit(context, &options, &s, &model) == PERI_OK, "%s", peri_message(context));
      if (model == NULL) continue;
      PERI_CHECK(model->fit_status == 0 && fabs(model->coef[0] - model->coef[1]) < 1e-12,
                 "combination %zu, run %d: status %d, gap %g, coef %g %g", c, run, model->fit_status, model->gap,
                 model->coef[0], model->coef[1]);
      peri_linear_release(context, &model);
    }
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* Numbers that overflow when squared are an error, not coefficients; smaller ones are served. */
static void test_scales(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(60, 3, 3, 1.0, 36);
  double targets[60];
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    for (int power = -300; power <= 300; power += 50) {
      double x[180];
      for (int i = 0; i < 180; i++) x[i] = data.x[i] * pow(10, power);
      peri_linear_options options = options_of(&combinations[c]);
      options.max_iter = 50;
      sample s = sample_of(&data, &combinations[c], targets);
      s.x = x;
      peri_linear *model;
      peri_status status = fit(context, &options, &s, &model);
      PERI_CHECK(status == PERI_OK || (status == PERI_ERR_NUMERIC && power > 0), "1e%d: %s", power,
                 peri_message(context));
      PERI_CHECK(status == PERI_OK || strstr(peri_message(context), "scale the features") != NULL, "%s",
                 peri_message(context));
      PERI_CHECK(power < 200 || status != PERI_OK, "1e%d fits", power);
      for (int64_t i = 0; status == PERI_OK && i < model->rows * model->d; i++) {
        PERI_CHECK(isfinite(model->coef[i]), "%g", model->coef[i]);
      }
      peri_linear_release(context, &model);
    }
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Rows of weight 0 are as if absent, their labels too; a weight of 2 is a row twice. */
static void test_weights(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(90, 3, 3, 1.0, 37), twice = svm_data_new(180, 3);
  double targets[180], weights[90];
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    peri_linear_options options = options_of(&combinations[c]);
    double twice_targets[180];
    int64_t rows = 0;
    for (int64_t i = 0; i < 90; i++) {
      weights[i] = (double)(i % 3);
      if (i % 9 == 0) data.y[i] = 1000;
      for (int64_t copy = 0; copy < i % 3; copy++, rows++) {
        memcpy(twice.x + rows * 3, data.x + i * 3, 3 * sizeof *twice.x);
        twice.y[rows] = data.y[i];
        twice_targets[rows] = targets[i];
      }
    }
    twice.n = rows;
    sample a = sample_of(&data, &combinations[c], targets), b = sample_of(&twice, &combinations[c], twice_targets);
    a.weights = weights;
    peri_linear *one, *other;
    PERI_CHECK(fit(context, &options, &a, &one) == PERI_OK, "%s", peri_message(context));
    PERI_CHECK(fit(context, &options, &b, &other) == PERI_OK, "%s", peri_message(context));
    for (int64_t i = 0; i < one->rows * 3; i++) {
      PERI_CHECK(fabs(one->coef[i] - other->coef[i]) < 1e-5, "combination %zu: %g and %g", c, one->coef[i],
                 other->coef[i]);
    }
    peri_linear_release(context, &one);
    peri_linear_release(context, &other);
  }
  svm_data_free(&data);
  svm_data_free(&twice);
  peri_context_release(&context);
}

/* A class of weight w is one whose rows weigh w. */
static void test_class_weights(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(90, 3, 3, 1.0, 38);
  static const peri_class_weight list[] = {{-4, 3.0}, {12, 0.5}};
  double weights[90];
  for (int64_t i = 0; i < 90; i++) weights[i] = data.y[i] == -4 ? 3 : data.y[i] == 12 ? 0.5 : 1;
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    peri_linear_options options = options_of(&combinations[c]);
    if (options.kind == PERI_LINEAR_REGRESSOR) continue;
    sample s = sample_of(&data, &combinations[c], NULL);
    peri_linear *one, *other;
    s.weights = weights;
    PERI_CHECK(fit(context, &options, &s, &one) == PERI_OK, "%s", peri_message(context));
    s.weights = NULL;
    options.class_weights = (peri_class_weights){.count = 2, .list = list};
    PERI_CHECK(fit(context, &options, &s, &other) == PERI_OK, "%s", peri_message(context));
    PERI_CHECK(memcmp(one->coef, other->coef, (size_t)(one->rows * 3) * sizeof *one->coef) == 0, "combination %zu", c);
    peri_linear_release(context, &one);
    peri_linear_release(context, &other);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* ---- limits ---- */

/* Noise at a large C, on which every solver works for long. */
static svm_data hard_data(void) {
  svm_data data = svm_groups(20000, 60, 3, 30.0, 39);
  return data;
}

static void test_limits(void) {
  peri_context *context = svm_context(2);
  svm_data data = hard_data();
  double *targets = calloc(20000, sizeof *targets);
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    for (int run = 0; run < 3; run++) {
      peri_linear_options options = options_of(&combinations[c]);
      options.tol = 1e-300; /* rounding leaves more */
      options.C = 100;
      if (run == 0) options.max_iter = 2;
      if (run > 0) options.time_limit = run == 1 ? 1e-9 : 0.05;
      sample s = sample_of(&data, &combinations[c], targets);
      peri_linear *model;
      PERI_CHECK(fit(context, &options, &s, &model) == PERI_OK, "%s", peri_message(context));
      PERI_CHECK(model->fit_status == 1 && model->gap > options.tol && isfinite(model->gap),
                 "combination %zu, run %d: status %d, gap %g", c, run, model->fit_status, model->gap);
      if (run == 0) PERI_CHECK(model->n_iter[0] <= 2, "%lld steps", (long long)model->n_iter[0]);
      peri_linear_release(context, &model);
    }
  }
  free(targets);
  svm_data_free(&data);
  peri_context_release(&context);
}

static void *cancel_soon(void *context) {
  peri_cancel(context);
  return NULL;
}

static void test_cancellation(void) {
  peri_context *context = svm_context(2);
  svm_data data = hard_data();
  double *targets = calloc(20000, sizeof *targets);
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    for (int later = 0; later < 2; later++) {
      peri_linear_options options = options_of(&combinations[c]);
      options.tol = 1e-14;
      options.C = 1e4;
      sample s = sample_of(&data, &combinations[c], targets);
      peri_linear *model = (peri_linear *)targets;
      pthread_t thread;
      if (later)
        pthread_create(&thread, NULL, cancel_soon, context);
      else
        peri_cancel(context);
      peri_status status = fit(context, &options, &s, &model);
      if (later) pthread_join(thread, NULL);
      PERI_CHECK(status == PERI_ERR_CANCELLED && model == NULL, "combination %zu: %d %s", c, (int)status,
                 peri_message(context));
      PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
    }
  }
  free(targets);
  svm_data_free(&data);
  peri_context_release(&context);
}

/* ---- memory ---- */

static void test_allocation_failures(void) {
  svm_data data = svm_groups(80, 3, 3, 1.0, 34);
  double targets[80], decision[240];
  fill_targets(&data, targets);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    peri_context *context = svm_context(2);
    peri_linear_options options = options_of(&combinations[c]);
    sample s = sample_of(&data, &combinations[c], targets);
    peri_status status = PERI_ERR_MEMORY;
    int64_t labels[80], allowed = 0;
    for (; status != PERI_OK && allowed < 1000; allowed++) {
      peri_linear *model = (peri_linear *)labels;
      context->fail_after = allowed;
      status = fit(context, &options, &s, &model);
      if (status != PERI_OK) PERI_CHECK(model == NULL, "a model in spite of %s", peri_message(context));
      if (status == PERI_OK && options.kind != PERI_LINEAR_REGRESSOR)
        status = peri_linear_predict(context, model, PERI_FLOAT64, 80, 3, data.x, 3, labels);
      if (status == PERI_OK && options.kind == PERI_LINEAR_LOGISTIC)
        status = peri_linear_probability(context, model, PERI_FLOAT64, 80, 3, data.x, 3, decision);
      PERI_CHECK(status == PERI_OK || status == PERI_ERR_MEMORY, "%s", peri_message(context));
      peri_linear_release(context, &model);
      PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
    }
    PERI_CHECK(status == PERI_OK && allowed > 8, "%s", peri_message(context));
    peri_context_release(&context);
  }
  svm_data_free(&data);
}

PERI_TEST_MAIN(PERI_TEST(test_threads), PERI_TEST(test_arguments), PERI_TEST(test_degenerate), PERI_TEST(test_scales),
               PERI_TEST(test_weights), PERI_TEST(test_class_weights), PERI_TEST(test_limits),
               PERI_TEST(test_cancellation), PERI_TEST(test_allocation_failures))
