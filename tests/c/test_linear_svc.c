/* LinearSVC: optimality, scikit-learn's values, weights, errors, threads, memory. */
#include "linear_svc_golden.h"
#include "svm_support.h"

static peri_linear_svc *fit(peri_context *context, const peri_linear_svc_options *options, const svm_data *data,
                            bool wide, const double *weights) {
  peri_linear_svc *model;
  peri_status status = peri_linear_svc_fit(context, options, wide ? PERI_FLOAT64 : PERI_FLOAT32, data->n, data->d,
                                           wide ? (const void *)data->x : data->x32, data->d, data->y, weights, &model);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  return model;
}

/* The squared hinge is smooth: the gradient of w'w/2 + sum C_i max(0, 1 - y_i f_i)^2 vanishes, the
 * intercept taken as the weight of a constant feature. */
static double gradient_norm(const peri_linear_svc *model, int64_t row, const svm_data *data, const double *weights) {
  const double *w = model->coef + row * model->d;
  double gradient[65], norm = 0, scaling = model->options.intercept_scaling;
  int64_t positive = model->classes[model->k == 2 ? 1 : row];
  for (int64_t j = 0; j < model->d; j++) gradient[j] = w[j];
  gradient[model->d] = model->options.fit_intercept ? model->intercept[row] / scaling : 0;
  for (int64_t i = 0; i < data->n; i++) {
    double y = data->y[i] == positive ? 1 : -1, f = model->intercept[row];
    for (int64_t j = 0; j < model->d; j++) f += w[j] * data->x[i * data->d + j];
    double slope = -2 * model->options.C * (weights != NULL ? weights[i] : 1) * fmax(0, 1 - y * f) * y;
    for (int64_t j = 0; j < model->d; j++) gradient[j] += slope * data->x[i * data->d + j];
    if (model->options.fit_intercept) gradient[model->d] += slope * scaling;
  }
  for (int64_t j = 0; j <= model->d; j++) norm = fmax(norm, fabs(gradient[j]));
  return norm;
}

static void test_optimal(void) {
  peri_context *context = svm_context(2);
  for (int64_t k = 2; k <= 4; k++) {
    svm_data data = svm_groups(150, 5, k, 1.0, (uint64_t)(20 + k));
    for (int run = 0; run < 16; run++) {
      peri_linear_svc_options options = peri_linear_svc_defaults();
      options.C = run & 1 ? 0.05 : 2;
      options.fit_intercept = run & 2;
      options.intercept_scaling = 3;
      options.tol = 1e-8;
      options.max_iter = 100000;
      const double *weights = run & 4 ? data.weights : NULL;
      peri_linear_svc *model = fit(context, &options, &data, run & 8, weights);
      PERI_CHECK(model->fit_status == 0 && model->gap <= options.tol, "gap %g", model->gap);
      PERI_CHECK(model->rows == (k == 2 ? 1 : k), "%lld rows", (long long)model->rows);
      for (int64_t row = 0; row < model->rows; row++) {
        double norm = gradient_norm(model, row, &data, weights);
        PERI_CHECK(norm < 1e-5, "gradient %g", norm);
      }
      peri_linear_svc_release(context, &model);
    }
    svm_data_free(&data);
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

static void test_golden(void) {
  peri_context *context = svm_context(1);
  for (size_t g = 0; g < PERI_COUNT(golden_linears); g++) {
    const golden_linear *golden = &golden_linears[g];
    bool rings = golden->set == 0;
    svm_data data = {.n = rings ? 59 : 74,
                     .d = rings ? 2 : 3,
                     .x = (double *)(rings ? golden_rings_x : golden_groups_x),
                     .y = (int64_t *)(rings ? golden_rings_y : golden_groups_y)};
    peri_linear_svc_options options = peri_linear_svc_defaults();
    options.C = golden->C;
    options.loss = golden->hinge ? PERI_HINGE : PERI_SQUARED_HINGE;
    options.tol = 1e-9;
    options.max_iter = 10000000;
    peri_linear_svc *model = fit(context, &options, &data, true, NULL);
    for (int64_t i = 0; i < model->rows * model->d; i++) {
      PERI_CHECK(fabs(model->coef[i] - golden->coef[i]) < 1e-6, "coef %.9g, not %.9g", model->coef[i], golden->coef[i]);
    }
    for (int64_t r = 0; r < model->rows; r++) {
      PERI_CHECK(fabs(model->intercept[r] - golden->intercept[r]) < 1e-6, "intercept %.9g, not %.9g",
                 model->intercept[r], golden->intercept[r]);
    }
    peri_linear_svc_release(context, &model);
  }
  peri_context_release(&context);
}

static void test_predictions(void) {
  peri_context *context = svm_context(1);
  for (int64_t k = 2; k <= 3; k++) {
    svm_data data = svm_groups(120, 3, k, 0.3, 31);
    peri_linear_svc_options options = peri_linear_svc_defaults();
    peri_linear_svc *model = fit(context, &options, &data, true, NULL);
    int64_t labels[120], right = 0;
    double decision[360];
    peri_linear_svc_predict(context, model, PERI_FLOAT32, 120, 3, data.x32, 3, labels);
    peri_linear_svc_decision(context, model, PERI_FLOAT64, 120, 3, data.x, 3, decision);
    for (int64_t i = 0; i < 120; i++) {
      right += labels[i] == data.y[i];
      if (k == 2) PERI_CHECK(labels[i] == model->classes[decision[i] > 0], "label %lld", (long long)labels[i]);
    }
    PERI_CHECK(right > 110, "%lld of 120 right", (long long)right);
    PERI_CHECK(peri_linear_svc_decision(context, model, PERI_FLOAT64, 1, 4, data.x, 4, decision) == PERI_ERR_ARGUMENT &&
                   strcmp(peri_message(context), "svm.LinearSVC: X has 4 features but the machine was fitted on 3") ==
                       0,
               "%s", peri_message(context));
    peri_linear_svc_release(context, &model);
    svm_data_free(&data);
  }
  peri_context_release(&context);
}

/* Passes run out: said, not hidden. Rows of zeros and no intercept leave nothing to learn. */
static void test_limits(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(100, 2, 2, 1.5, 32), zeros = svm_data_new(10, 2);
  peri_linear_svc_options options = peri_linear_svc_defaults();
  options.C = 1e6;
  options.max_iter = 3;
  peri_linear_svc *model = fit(context, &options, &data, true, NULL);
  PERI_CHECK(model->fit_status == 1 && model->n_iter[0] == 3 && model->gap > options.tol,
             "status %d, %lld passes, gap %g", model->fit_status, (long long)model->n_iter[0], model->gap);
  peri_linear_svc_release(context, &model);
  for (int64_t i = 0; i < 10; i++) zeros.y[i] = i % 2;
  for (int hinge = 0; hinge < 2; hinge++) {
    options = peri_linear_svc_defaults();
    options.loss = hinge ? PERI_HINGE : PERI_SQUARED_HINGE;
    options.fit_intercept = false;
    model = fit(context, &options, &zeros, true, NULL);
    PERI_CHECK(model->fit_status == 0 && model->coef[0] == 0 && model->intercept[0] == 0, "status %d",
               model->fit_status);
    peri_linear_svc_release(context, &model);
  }
  svm_data_free(&data);
  svm_data_free(&zeros);
  peri_context_release(&context);
}

static void test_threads(void) {
  static const int teams[] = {1, 2, 3, 7};
  svm_data data = svm_groups(400, 6, 5, 1.0, 33);
  double coef[30];
  for (size_t t = 0; t < PERI_COUNT(teams); t++) {
    peri_context *context = svm_context(teams[t]);
    peri_linear_svc_options options = peri_linear_svc_defaults();
    peri_linear_svc *model = fit(context, &options, &data, false, NULL);
    if (t == 0) memcpy(coef, model->coef, sizeof coef);
    PERI_CHECK(memcmp(coef, model->coef, sizeof coef) == 0, "coefficients differ with %d threads", teams[t]);
    peri_linear_svc_release(context, &model);
    peri_context_release(&context);
  }
  svm_data_free(&data);
}

static void expect(peri_context *context, peri_status got, const char *message) {
  PERI_CHECK(got == PERI_ERR_ARGUMENT && strcmp(peri_message(context), message) == 0, "%d: %s", (int)got,
             peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
}

static void test_errors(void) {
  peri_context *context = svm_context(1);
  double x[] = {0, 1, 2, INFINITY};
  int64_t y[] = {1, 2, 1, 1};
  peri_linear_svc_options ok = peri_linear_svc_defaults(), o;
  peri_linear_svc *model;
#define FIT(options, n) peri_linear_svc_fit(context, &(options), PERI_FLOAT64, n, 1, x, 1, y, NULL, &model)
  expect(context, FIT(ok, 1), "svm.LinearSVC: y has 1 class (1); at least 2 are needed");
  expect(context, FIT(ok, 4), "svm.LinearSVC: X has inf in row 4, column 1 (expected finite numbers)");
  o = ok, o.C = -1;
  expect(context, FIT(o, 3), "svm.LinearSVC: C is -1 (expected a finite number > 0)");
  o = ok, o.tol = -1;
  expect(context, FIT(o, 3), "svm.LinearSVC: tol is -1 (expected a number > 0)");
  o = ok, o.max_iter = 0;
  expect(context, FIT(o, 3), "svm.LinearSVC: max_iter is 0 (expected >= 1)");
  o = ok, o.intercept_scaling = 0;
  expect(context, FIT(o, 3), "svm.LinearSVC: intercept_scaling is 0 (expected a number > 0)");
#undef FIT
  peri_context_release(&context);
}

static void test_allocation_failures(void) {
  svm_data data = svm_groups(80, 3, 3, 1.0, 34);
  peri_context *context = svm_context(2);
  peri_linear_svc_options options = peri_linear_svc_defaults();
  peri_status status = PERI_ERR_MEMORY;
  int64_t labels[80], allowed = 0;
  for (; status != PERI_OK && allowed < 1000; allowed++) {
    peri_linear_svc *model = (peri_linear_svc *)labels;
    context->fail_after = allowed;
    status = peri_linear_svc_fit(context, &options, PERI_FLOAT64, data.n, data.d, data.x, data.d, data.y, NULL, &model);
    if (status == PERI_OK) {
      status = peri_linear_svc_predict(context, model, PERI_FLOAT64, data.n, data.d, data.x, data.d, labels);
    } else {
      PERI_CHECK(model == NULL, "a model in spite of %s", peri_message(context));
    }
    PERI_CHECK(status == PERI_OK || status == PERI_ERR_MEMORY, "%s", peri_message(context));
    peri_linear_svc_release(context, &model);
    PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  }
  PERI_CHECK(status == PERI_OK && allowed > 8, "%s", peri_message(context));
  context->fail_after = -1;
  peri_cancel(context);
  peri_linear_svc *model;
  PERI_CHECK(peri_linear_svc_fit(context, &options, PERI_FLOAT64, data.n, data.d, data.x, data.d, data.y, NULL,
                                 &model) == PERI_ERR_CANCELLED &&
                 peri_memory_in_use(context) == 0,
             "%s", peri_message(context));
  svm_data_free(&data);
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(test_optimal), PERI_TEST(test_golden), PERI_TEST(test_predictions), PERI_TEST(test_limits),
               PERI_TEST(test_threads), PERI_TEST(test_errors), PERI_TEST(test_allocation_failures))
