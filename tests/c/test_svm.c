/* SVC: optimality of every solution, a plain reference, scikit-learn's values, and the cases that break
 * naive code. */
#include "svm_golden.h"
#include "svm_pairs.h"

static peri_svm *fit(peri_context *context, const peri_svm_options *options, const svm_data *data, bool wide,
                     const double *weights) {
  peri_svm *model;
  peri_status status = svm_fit_rows(context, options, wide ? PERI_FLOAT64 : PERI_FLOAT32, data->n, data->d,
                                    wide ? (const void *)data->x : data->x32, data->d, data->y, weights, &model);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  return model;
}

/* The decisions of the model on its data against sums of plain kernels. */
static void check_decisions(peri_context *context, const peri_svm *model, const svm_data *data, double slack) {
  double *decision = calloc((size_t)(data->n * model->pairs), sizeof *decision);
  PERI_CHECK(peri_svm_decision(context, model, PERI_FLOAT64, data->n, data->d, data->x, data->d, decision) == PERI_OK,
             "%s", peri_message(context));
  double sign = model->k == 2 ? -1 : 1;
  for (int64_t i = 0; i < data->n; i += 7) {
    int64_t number = 0;
    for (int64_t a = 0; a < model->k; a++) {
      for (int64_t b = a + 1; b < model->k; b++, number++) {
        double sum = model->intercept[number], size = 1;
        for (int64_t s = 0; s < model->supports; s++) {
          int64_t row = model->support[s], label = data->y[row];
          if (label != model->classes[a] && label != model->classes[b]) continue;
          double dual = model->dual_coef[(label == model->classes[a] ? b - 1 : a) * model->supports + s];
          sum += dual * svm_kernel(model, data->x + row * data->d, data->x + i * data->d);
          size += fabs(dual);
        }
        double got = decision[i * model->pairs + number];
        PERI_CHECK(fabs(got - sign * sum) < slack * size, "decision %g, expected %g", got, sign * sum);
      }
    }
  }
  free(decision);
}

static void test_optimal(void) {
  static const double cs[] = {0.05, 1, 20};
  peri_context *context = svm_context(2);
  for (int64_t k = 2; k <= 4; k++) {
    svm_data data = svm_groups(60 + 10 * k, 3, k, 1.0, (uint64_t)k);
    for (int run = 0; run < 4 * 3 * 4; run++) {
      peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
      options.kernel = (peri_svm_kernel_id)(run % 4);
      options.C = cs[run / 4 % 3];
      options.degree = 2;
      options.coef0 = options.kernel == PERI_SVM_SIGMOID ? -0.5 : 0.5;
      options.tol = 1e-5;
      const double *weights = run / 12 % 2 ? data.weights : NULL;
      bool wide = run / 24;
      peri_svm *model = fit(context, &options, &data, wide, weights);
      if (model == NULL) continue;
      PERI_CHECK(model->fit_status == 0 && model->gap < options.tol, "gap %g", model->gap);
      double objective = svm_check_optimal(model, &data, weights, 1e-7);
      if (options.kernel != PERI_SVM_SIGMOID) { /* indefinite: stationary points differ */
        double reference = svm_reference_objective(model, &data, weights);
        PERI_CHECK(fabs(objective - reference) < 1e-6 * fabs(reference), "%s: %.12g, expected %.12g",
                   peri_svm_kernel_name(run % 4), objective, reference);
      }
      check_decisions(context, model, &data, 1e-10);
      peri_svm_release(context, &model);
    }
    svm_data_free(&data);
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

static void test_golden(void) {
  peri_context *context = svm_context(1);
  for (size_t g = 0; g < PERI_COUNT(golden_svcs); g++) {
    const golden_svc *golden = &golden_svcs[g];
    bool rings = golden->set == 0;
    svm_data data = {.n = rings ? 59 : 74,
                     .d = rings ? 2 : 3,
                     .x = (double *)(rings ? golden_rings_x : golden_groups_x),
                     .y = (int64_t *)(rings ? golden_rings_y : golden_groups_y)};
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    options.kernel = (peri_svm_kernel_id)peri_svm_kernel_find(golden->kernel);
    options.C = golden->C;
    options.degree = 2;
    options.coef0 = 0.5;
    options.tol = 1e-6;
    options.class_weights.balanced = golden->balanced;
    peri_svm *model = fit(context, &options, &data, true, NULL);
    if (model == NULL) continue;
    if (options.kernel != PERI_SVM_LINEAR)
      PERI_CHECK(fabs(model->gamma - golden->gamma) < 1e-12 * golden->gamma, "gamma %.17g", model->gamma);
    double objective = 0, decision[3];
    for (int64_t a = 0; a < model->k; a++) {
      for (int64_t b = a + 1; b < model->k; b++) {
        svm_pair pair = svm_pair_of(model, &data, NULL, a, b);
        objective += svm_pair_objective(&pair);
        svm_pair_free(&pair);
      }
      PERI_CHECK(model->n_support[a] == golden->n_support[a], "%s C=%g: %lld support vectors of class %lld, not %lld",
                 golden->kernel, golden->C, (long long)model->n_support[a], (long long)a,
                 (long long)golden->n_support[a]);
    }
    PERI_CHECK(fabs(objective - golden->objective) < 1e-6 * fabs(golden->objective), "%s C=%g: %.12g, not %.12g",
               golden->kernel, golden->C, objective, golden->objective);
    peri_svm_decision(context, model, PERI_FLOAT64, 1, data.d, data.x, data.d, decision);
    if (model->k == 2) peri_svm_binary_sign(1, decision);
    double slack = 1e-5 * (1 + golden->C); /* what float32 kernel values leave uncertain */
    for (int64_t p = 0; p < model->pairs; p++) {
      PERI_CHECK(fabs(decision[p] - golden->decision[p]) < slack, "%s C=%g: decision %.9g, not %.9g", golden->kernel,
                 golden->C, decision[p], golden->decision[p]);
      PERI_CHECK(fabs(model->intercept[p] - golden->intercept[p]) < slack, "%s C=%g: intercept %.9g, not %.9g",
                 golden->kernel, golden->C, model->intercept[p], golden->intercept[p]);
    }
    peri_svm_release(context, &model);
  }
  peri_context_release(&context);
}

/* Rows that are computed and held in a cache far too small give the solution of the whole matrix. */
static void test_cached_rows(void) {
  peri_context *context = svm_context(2);
  svm_data data = svm_groups(700, 4, 3, 1.0, 11);
  for (int kernel = 0; kernel < 3; kernel++) {
    static const double megabytes[] = {1e-9, 0.02, 0.2, 1};
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    options.kernel = (peri_svm_kernel_id)kernel;
    options.degree = 2;
    options.tol = 1e-4;
    peri_svm *whole = fit(context, &options, &data, true, NULL);
    double expected = svm_check_optimal(whole, &data, NULL, 1e-8);
    for (int size = kernel == PERI_SVM_RBF ? 0 : 1; size < 4; size++) {
      options.cache_size = megabytes[size];
      peri_svm *model = fit(context, &options, &data, true, NULL);
      PERI_CHECK(model->fit_status == 0, "gap %g", model->gap);
      double objective = svm_check_optimal(model, &data, NULL, 1e-8);
      PERI_CHECK(fabs(objective - expected) < 1e-6 * fabs(expected), "%.12g, not %.12g", objective, expected);
      peri_svm_release(context, &model);
    }
    peri_svm_release(context, &whole);
  }
  svm_data_free(&data);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* Float features are computed in float from 2001 rows on. */
static void test_float(void) {
  peri_context *context = svm_context(2);
  svm_data data = svm_groups(2100, 5, 3, 0.8, 12);
  for (int cached = 0; cached < 2; cached++) {
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    if (cached) options.cache_size = 2;
    peri_svm *model = fit(context, &options, &data, false, NULL), *wide = fit(context, &options, &data, true, NULL);
    double objective = svm_check_optimal(model, &data, NULL, 1e-4),
           expected = svm_check_optimal(wide, &data, NULL, 1e-8);
    PERI_CHECK(fabs(objective - expected) < 1e-5 * fabs(expected), "%.9g, not %.9g", objective, expected);
    check_decisions(context, model, &data, 1e-6);
    peri_svm_release(context, &model);
    peri_svm_release(context, &wide);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

static void test_duplicates(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(80, 2, 2, 0.8, 13);
  for (int64_t i = 40; i < 80; i++) { /* twins, every third of them with the other label */
    memcpy(data.x + i * 2, data.x + (i - 40) * 2, 2 * sizeof *data.x);
    data.y[i] = i % 3 == 0 ? 3 - data.y[i - 40] : data.y[i - 40]; /* labels 7 and -4 */
  }
  for (int kernel = 0; kernel < 4; kernel++) {
    for (double C = 0.1; C < 2000; C *= 10) {
      peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
      options.kernel = (peri_svm_kernel_id)kernel;
      options.degree = 2;
      options.C = C;
      peri_svm *model = fit(context, &options, &data, true, NULL);
      if (kernel != PERI_SVM_SIGMOID || C < 50) {
        PERI_CHECK(model->fit_status == 0, "%s C=%g gap %g", peri_svm_kernel_name(kernel), C, model->gap);
        svm_check_optimal(model, &data, NULL, 1e-6);
      }
      peri_svm_release(context, &model);
    }
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Every kernel value is the same: the threshold is all there is. */
static void test_constant_features(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_data_new(10, 2);
  for (int64_t i = 0; i < 10; i++) {
    data.y[i] = i < 7;
    data.x[2 * i] = data.x[2 * i + 1] = 3;
  }
  for (int kernel = 0; kernel < 4; kernel++) {
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    options.kernel = (peri_svm_kernel_id)kernel;
    peri_svm *model = fit(context, &options, &data, true, NULL);
    PERI_CHECK(model->fit_status == 0, "gap %g", model->gap);
    if (kernel != PERI_SVM_LINEAR) PERI_CHECK(model->gamma == 1, "gamma %g", model->gamma);
    svm_check_optimal(model, &data, NULL, 1e-9);
    int64_t label[1];
    svm_predict(context, model, PERI_FLOAT64, 1, 2, data.x, 2, label);
    PERI_CHECK(label[0] == 1, "predicted %lld, not the larger class", (long long)label[0]);
    peri_svm_release(context, &model);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

static void test_smallest(void) {
  peri_context *context = svm_context(1);
  double x[] = {-1, 1};
  int64_t y[] = {5, 9}, labels[2];
  peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
  options.kernel = PERI_SVM_LINEAR;
  options.C = INFINITY;
  peri_svm *model;
  PERI_CHECK(svm_fit_rows(context, &options, PERI_FLOAT64, 2, 1, x, 1, y, NULL, &model) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(fabs(model->coef[0] - 1) < 1e-12 && fabs(model->intercept[0]) < 1e-12, "%g %g", model->coef[0],
             model->intercept[0]);
  PERI_CHECK(model->dual_coef[0] == -0.5 && model->dual_coef[1] == 0.5, "%g %g", model->dual_coef[0],
             model->dual_coef[1]);
  svm_predict(context, model, PERI_FLOAT64, 2, 1, x, 1, labels);
  PERI_CHECK(labels[0] == 5 && labels[1] == 9, "%lld %lld", (long long)labels[0], (long long)labels[1]);
  PERI_CHECK(svm_predict(context, model, PERI_FLOAT64, 0, 1, x, 1, labels) == PERI_OK, "no rows");
  peri_svm_release(context, &model);
  peri_context_release(&context);
}

/* Not a single step allowed: a machine without support vectors decides by its threshold. */
static void test_no_steps(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(30, 2, 3, 1.0, 21);
  for (int kernel = 0; kernel < 4; kernel++) {
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    options.kernel = (peri_svm_kernel_id)kernel;
    options.max_iter = 0;
    peri_svm *model = fit(context, &options, &data, true, NULL);
    double decision[90];
    PERI_CHECK(model->supports == 0 && model->fit_status == 1 && model->gap == 2, "gap %g", model->gap);
    PERI_CHECK(peri_svm_decision(context, model, PERI_FLOAT64, 30, 2, data.x, 2, decision) == PERI_OK, "%s",
               peri_message(context));
    for (int i = 0; i < 90; i++) PERI_CHECK(decision[i] == model->intercept[i % 3], "decision %g", decision[i]);
    peri_svm_release(context, &model);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* ---- large C ---- */

static void test_iteration_limit(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(200, 2, 2, 1.5, 14);
  for (int kernel = 0; kernel < 4; kernel++) {
    for (int infinite = 0; infinite < 2; infinite++) {
      peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
      options.kernel = (peri_svm_kernel_id)kernel;
      options.C = infinite ? INFINITY : 1e10;
      options.max_iter = 500;
      peri_svm *model;
      peri_status status =
          svm_fit_rows(context, &options, PERI_FLOAT64, data.n, data.d, data.x, data.d, data.y, NULL, &model);
      if (infinite && status == PERI_ERR_NUMERIC) continue; /* unbounded, and seen to be */
      PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
      PERI_CHECK(model->n_iter[0] <= 500, "%lld steps", (long long)model->n_iter[0]);
      PERI_CHECK((model->fit_status == 1) == (model->gap >= options.tol), "status %d, gap %g", model->fit_status,
                 model->gap);
      PERI_CHECK(isfinite(model->gap) && isfinite(model->intercept[0]), "gap %g", model->gap);
      svm_pair pair = svm_pair_of(model, &data, NULL, 0, 1);
      double low, high, gap = svm_pair_gap(&pair, &low, &high);
      PERI_CHECK(fabs(gap - model->gap) < 1e-6 * (1 + fabs(gap)) * (1 + (double)model->supports) ||
                     model->gap < options.tol,
                 "gap %g, reported %g", gap, model->gap);
      svm_pair_free(&pair);
      peri_svm_release(context, &model);
    }
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Pairs alone would take millions of steps here. */
static void test_large_C(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_data_new(59, 2);
  memcpy(data.x, golden_rings_x, 118 * sizeof *data.x);
  memcpy(data.y, golden_rings_y, 59 * sizeof *data.y);
  for (int kernel = 0; kernel < 3; kernel++) {
    for (double C = 1e3; C < 1e6; C *= 10) {
      peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
      options.kernel = (peri_svm_kernel_id)kernel;
      options.degree = 2;
      options.C = C;
      options.max_iter = 200000;
      peri_svm *model = fit(context, &options, &data, true, NULL);
      PERI_CHECK(model->fit_status == 0, "%s C=%g: gap %g", peri_svm_kernel_name(kernel), C, model->gap);
      svm_check_optimal(model, &data, NULL, 1e-9 * C);
      peri_svm_release(context, &model);
    }
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* ---- weights ---- */

static bool same_bits(const void *a, const void *b, int64_t count) {
  return memcmp(a, b, (size_t)count * sizeof(double)) == 0;
}

static void test_weights(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(90, 2, 3, 1.0, 15), fewer = svm_data_new(60, 2);
  int64_t kept = 0;
  for (int64_t i = 0; i < 90; i++) { /* every third row has weight 0: as if absent */
    data.weights[i] = i % 3 == 2 ? 0 : 1;
    if (i % 3 == 2) continue;
    memcpy(fewer.x + 2 * kept, data.x + 2 * i, 2 * sizeof *data.x);
    fewer.y[kept++] = data.y[i];
  }
  peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
  options.class_weights.balanced = true;
  peri_svm *model = fit(context, &options, &data, true, data.weights),
           *expected = fit(context, &options, &fewer, true, NULL);
  PERI_CHECK(model->supports == expected->supports, "%lld", (long long)model->supports);
  PERI_CHECK(same_bits(model->dual_coef, expected->dual_coef, 2 * model->supports), "coefficients differ");
  PERI_CHECK(model->n == 90, "n %lld", (long long)model->n);
  for (int64_t s = 0; s < model->supports; s++)
    PERI_CHECK(model->support[s] % 3 != 2, "row %lld", (long long)model->support[s]);
  peri_svm_release(context, &model);
  peri_svm_release(context, &expected);
  /* a class weight is a weight of its rows */
  peri_class_weight list[] = {{12, 3}, {7, 0.25}};
  for (int64_t i = 0; i < 90; i++) data.weights[i] = data.y[i] == 12 ? 3 : data.y[i] == 7 ? 0.25 : 1;
  options.class_weights = (peri_class_weights){.count = 2, .list = list};
  model = fit(context, &options, &data, true, NULL);
  options.class_weights = (peri_class_weights){0};
  expected = fit(context, &options, &data, true, data.weights);
  PERI_CHECK(model->supports == expected->supports &&
                 same_bits(model->dual_coef, expected->dual_coef, 2 * model->supports),
             "coefficients differ");
  peri_svm_release(context, &model);
  peri_svm_release(context, &expected);
  svm_data_free(&data);
  svm_data_free(&fewer);
  peri_context_release(&context);
}

/* ---- what decisions mean ---- */

static void test_votes(void) {
  double decision[] = {1, -1, 2, -0.5, 0.5, 0.25}, scores[3];
  int64_t classes[] = {-3, 4, 8}, labels[2];
  peri_svm model = {.k = 3, .pairs = 3, .classes = classes};
  /* row 1: (0,1) to 0, (0,2) to 2, (1,2) to 1: a tie, the first class wins; row 2: 1, 0, 1 */
  peri_svm_labels(&model, PERI_SVM_LOWEST, 2, decision, labels);
  PERI_CHECK(labels[0] == -3 && labels[1] == 4, "%lld %lld", (long long)labels[0], (long long)labels[1]);
  peri_svm_ovr(3, 1, decision, scores);
  PERI_CHECK(fabs(scores[0] - 1) < 1e-15, "%g", scores[0]);
  PERI_CHECK(fabs(scores[1] - (1 + 1 / 6.0)) < 1e-15, "%g", scores[1]);
  PERI_CHECK(fabs(scores[2] - (1 - 1 / 6.0)) < 1e-15, "%g", scores[2]);
}

/* ---- the same bits ---- */

static void test_threads(void) {
  static const int teams[] = {1, 2, 3, 7};
  svm_data data = svm_groups(2300, 8, 4, 1.2, 16);
  for (int way = 0; way < 3; way++) { /* float matrix, float rows, double matrix */
    double *dual = NULL, *decision = calloc((size_t)data.n * 6, sizeof *decision),
           *again = calloc((size_t)data.n * 6, sizeof *again);
    for (size_t t = 0; t < PERI_COUNT(teams); t++) {
      peri_context *context = svm_context(teams[t]);
      peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
      if (way == 1) options.cache_size = 1;
      peri_svm *model = fit(context, &options, &data, way == 2, NULL);
      peri_svm_decision(context, model, PERI_FLOAT32, data.n, data.d, data.x32, data.d, again);
      size_t bytes = (size_t)(3 * model->supports) * sizeof *dual;
      if (t == 0) {
        dual = malloc(bytes);
        memcpy(dual, model->dual_coef, bytes);
        memcpy(decision, again, (size_t)(6 * data.n) * sizeof *decision);
      }
      PERI_CHECK(memcmp(dual, model->dual_coef, bytes) == 0, "coefficients differ with %d threads", teams[t]);
      PERI_CHECK(same_bits(decision, again, 6 * data.n), "decisions differ with %d threads", teams[t]);
      peri_svm_release(context, &model);
      peri_context_release(&context);
    }
    free(dual);
    free(decision);
    free(again);
  }
  svm_data_free(&data);
}

/* ---- errors ---- */

static void expect(peri_context *context, peri_status got, peri_status status, const char *message) {
  PERI_CHECK(got == status && strcmp(peri_message(context), message) == 0, "%d: %s", (int)got, peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
}

static void test_errors(void) {
  peri_context *context = svm_context(1);
  double x[] = {0, 1, 2, 3, 4, 5}, bad[] = {0, 1, 2, NAN, 4, 5}, weights[] = {1, -1, 1}, nothing[] = {0, 0, 0};
  float huge[] = {0, 1, 2, 3, -INFINITY, 5};
  int64_t y[] = {5, 5, 5}, z[] = {1, 2, 1};
  peri_svm_options ok = peri_svm_defaults(PERI_C_SVC), o;
  peri_svm *model = (peri_svm *)x;
#define FIT(options, dtype, x, y, weights) svm_fit_rows(context, &(options), dtype, 3, 2, x, 2, y, weights, &model)
  expect(context, FIT(ok, PERI_FLOAT64, x, y, NULL), PERI_ERR_ARGUMENT,
         "SVC: y has 1 class (5); at least 2 are needed");
  PERI_CHECK(model == NULL, "the model is not NULL");
  expect(context, FIT(ok, PERI_FLOAT64, bad, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: X has nan in row 2, column 2 (expected finite numbers)");
  expect(context, FIT(ok, PERI_FLOAT32, huge, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: X has -inf in row 3, column 1 (expected finite numbers)");
  expect(context, FIT(ok, PERI_INT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: X is int64 (expected float32 or float64)");
  expect(context, FIT(ok, PERI_FLOAT64, x, z, weights), PERI_ERR_ARGUMENT,
         "SVC: sample weight 2 is -1 (expected a finite number >= 0)");
  expect(context, FIT(ok, PERI_FLOAT64, x, z, nothing), PERI_ERR_ARGUMENT,
         "SVC: X has 3 rows, all of weight 0 (expected samples of at least 2 classes)");
  expect(context, svm_fit_rows(context, &ok, PERI_FLOAT64, 0, 2, x, 2, z, NULL, &model), PERI_ERR_ARGUMENT,
         "SVC: X has 0 rows (expected samples of at least 2 classes)");
  o = ok, o.C = 0;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: C is 0 (expected a number > 0)");
  o = ok, o.C = NAN;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: C is nan (expected a number > 0)");
  o = ok, o.gamma_mode = PERI_GAMMA_VALUE, o.gamma = -2;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: gamma is -2 (expected a number > 0, \"scale\" or \"auto\")");
  o = ok, o.degree = -1;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: degree is -1 (expected an integer >= 0)");
  o = ok, o.coef0 = INFINITY;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: coef0 is inf (expected a finite number)");
  o = ok, o.tol = 0;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT, "SVC: tol is 0 (expected a number > 0)");
  o = ok, o.cache_size = -3;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: cache_size is -3 (expected megabytes > 0)");
  o = ok, o.max_iter = -2;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: max_iter is -2 (expected >= 0, or -1 for no limit)");
  peri_class_weight list[] = {{4, 2}};
  o = ok, o.class_weights = (peri_class_weights){.count = 1, .list = list};
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: class_weight names 4, which is not among the labels of y");
  list[0] = (peri_class_weight){1, 0};
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_ARGUMENT,
         "SVC: class_weight of 1 is 0 (expected a finite number > 0)");
  o = ok, o.kernel = PERI_SVM_POLY, o.degree = 2000, o.gamma_mode = PERI_GAMMA_VALUE, o.gamma = 1;
  expect(context, FIT(o, PERI_FLOAT64, x, z, NULL), PERI_ERR_NUMERIC,
         "SVC: the poly kernel of row 3 with itself is inf (scale the features, or lower gamma or degree)");
  PERI_CHECK(FIT(ok, PERI_FLOAT64, x, z, NULL) == PERI_OK, "%s", peri_message(context));
  double decision[3];
  PERI_CHECK(peri_svm_decision(context, model, PERI_FLOAT64, 2, 3, x, 3, decision) == PERI_ERR_ARGUMENT &&
                 strcmp(peri_message(context), "SVC: X has 3 features but the machine was fitted on 2") == 0,
             "%s", peri_message(context));
  PERI_CHECK(peri_svm_decision(context, model, PERI_FLOAT64, 3, 2, bad, 2, decision) == PERI_ERR_ARGUMENT, "nan");
  peri_svm_release(context, &model);
  peri_svm_release(context, &model);
  peri_context_release(&context);
#undef FIT
}

/* ---- memory and cancellation ---- */

static void test_allocation_failures(void) {
  svm_data data = svm_groups(120, 3, 3, 1.0, 17);
  for (int way = 0; way < 3; way++) { /* rbf over the matrix, rbf over rows, linear */
    peri_context *context = svm_context(2);
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    if (way == 1) options.cache_size = 0.01;
    if (way == 2) options.kernel = PERI_SVM_LINEAR;
    peri_status status = PERI_ERR_MEMORY;
    int64_t labels[120], allowed = 0;
    for (; status != PERI_OK && allowed < 1000; allowed++) {
      peri_svm *model = (peri_svm *)labels;
      context->fail_after = allowed;
      status =
          svm_fit_rows(context, &options, PERI_FLOAT64, data.n, data.d, data.x, data.d, data.y, data.weights, &model);
      if (status == PERI_OK) {
        size_t before = peri_memory_in_use(context);
        status = svm_predict(context, model, PERI_FLOAT64, data.n, data.d, data.x, data.d, labels);
        PERI_CHECK(peri_memory_in_use(context) == before, "predict left %zu bytes",
                   peri_memory_in_use(context) - before);
      } else {
        PERI_CHECK(model == NULL, "a model in spite of %s", peri_message(context));
      }
      PERI_CHECK(status == PERI_OK || status == PERI_ERR_MEMORY, "%s", peri_message(context));
      peri_svm_release(context, &model);
      PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
    }
    PERI_CHECK(status == PERI_OK && allowed > 10, "%s", peri_message(context));
    context->fail_after = -1;
    peri_context_release(&context);
  }
  svm_data_free(&data);
}

static void test_cancel(void) {
  peri_context *context = svm_context(2);
  svm_data data = svm_groups(300, 3, 3, 1.0, 18);
  for (int cached = 0; cached < 2; cached++) {
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    if (cached) options.cache_size = 0.05;
    peri_svm *model;
    peri_cancel(context);
    PERI_CHECK(svm_fit_rows(context, &options, PERI_FLOAT64, data.n, data.d, data.x, data.d, data.y, NULL, &model) ==
                       PERI_ERR_CANCELLED &&
                   model == NULL,
               "%s", peri_message(context));
    PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
    peri_clear_cancel(context);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Rows may lie apart. */
static void test_leading_dimension(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(70, 3, 2, 1.0, 19);
  double apart[70 * 5], near[70], far[70];
  for (int64_t i = 0; i < 70; i++) {
    for (int64_t j = 0; j < 5; j++) apart[i * 5 + j] = j < 3 ? data.x[i * 3 + j] : NAN;
  }
  for (int kernel = 0; kernel < 4; kernel++) {
    peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
    options.kernel = (peri_svm_kernel_id)kernel;
    peri_svm *model = fit(context, &options, &data, true, NULL), *other;
    PERI_CHECK(svm_fit_rows(context, &options, PERI_FLOAT64, 70, 3, apart, 5, data.y, NULL, &other) == PERI_OK, "%s",
               peri_message(context));
    peri_svm_decision(context, model, PERI_FLOAT64, 70, 3, data.x, 3, near);
    peri_svm_decision(context, other, PERI_FLOAT64, 70, 3, apart, 5, far);
    PERI_CHECK(same_bits(near, far, 70), "decisions differ");
    peri_svm_release(context, &model);
    peri_svm_release(context, &other);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(test_optimal), PERI_TEST(test_golden), PERI_TEST(test_cached_rows), PERI_TEST(test_float),
               PERI_TEST(test_duplicates), PERI_TEST(test_constant_features), PERI_TEST(test_smallest),
               PERI_TEST(test_no_steps), PERI_TEST(test_iteration_limit), PERI_TEST(test_large_C),
               PERI_TEST(test_weights), PERI_TEST(test_votes), PERI_TEST(test_threads), PERI_TEST(test_errors),
               PERI_TEST(test_allocation_failures), PERI_TEST(test_cancel), PERI_TEST(test_leading_dimension))
