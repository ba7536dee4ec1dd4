/* The linear machines: scikit-learn's values, optimality, predictions. */
#include "linear_golden.h"
#include "linear_support.h"

static peri_linear *fit(peri_context *context, const peri_linear_options *options, const sample *s, bool wide) {
  peri_linear *model;
  peri_svm_samples samples = samples_of(s, wide);
  peri_status status = peri_linear_fit(context, options, &samples, &model);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  return model;
}

static void describe(char *out, size_t size, const peri_linear_options *o, int64_t k) {
  snprintf(out, size, "%s %s %s %s, k = %lld, C = %g", peri_linear_kind_name(o->kind),
           peri_linear_penalty_name(o->penalty), peri_linear_loss_name(o->loss), peri_multi_class_name(o->multi_class),
           (long long)k, o->C);
}

/* ---- scikit-learn's values ---- */

static void test_golden(void) {
  peri_context *context = svm_context(2);
  for (size_t g = 0; g < PERI_COUNT(golden_linears); g++) {
    const golden_linear *golden = &golden_linears[g];
    bool regression = golden->kind == PERI_LINEAR_REGRESSOR;
    sample s = {.n = golden->set == 0 ? 60 : 75,
                .d = golden->set == 0 ? 2 : 3,
                .x = golden->set == 0 ? golden_rings_x : golden_groups_x,
                .y = golden->set == 0 ? golden_rings_y : golden_groups_y,
                .targets = regression ? golden_targets : NULL,
                .weights = golden->weighted ? golden_weights : NULL};
    peri_linear_options options = peri_linear_defaults(golden->kind);
    options.penalty = golden->penalty;
    options.loss = golden->loss;
    options.multi_class = golden->multi_class;
    options.C = golden->C;
    options.epsilon = golden->epsilon;
    options.intercept_scaling = golden->intercept_scaling;
    options.class_weights.balanced = golden->balanced;
    options.tol = 1e-10;
    options.max_iter = 10000000;
    peri_linear *model = fit(context, &options, &s, true);
    char name[160];
    describe(name, sizeof name, &options, model->k);
    PERI_CHECK(model->fit_status == 0, "%s: gap %g", name, model->gap);
    for (int64_t i = 0; i < model->rows * model->d; i++) {
      PERI_CHECK(fabs(model->coef[i] - golden->coef[i]) < 2e-6, "%s: coef %.9g, not %.9g", name, model->coef[i],
                 golden->coef[i]);
    }
    for (int64_t r = 0; r < model->rows; r++) {
      PERI_CHECK(fabs(model->intercept[r] - golden->intercept[r]) < 2e-6, "%s: intercept %.9g, not %.9g", name,
                 model->intercept[r], golden->intercept[r]);
    }
    peri_linear_release(context, &model);
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- optimality ---- */

static double loss_of(peri_linear_loss loss, double f, double y, double epsilon) {
  double lack = fmax(0, 1 - y * f), off = fmax(0, fabs(f - y) - epsilon);
  switch (loss) {
  case PERI_LOSS_HINGE:
    return lack;
  case PERI_LOSS_SQUARED_HINGE:
    return lack * lack;
  case PERI_LOSS_EPSILON:
    return off;
  case PERI_LOSS_SQUARED_EPSILON:
    return off * off;
  default:
    return y * f > 0 ? log1p(exp(-y * f)) : log1p(exp(y * f)) - y * f;
  }
}

/* What the machine has minimised, at other weights: rows x (d + 1), the intercept's last. */
static double objective(const peri_linear *model, const sample *s, const double *w) {
  const peri_linear_options *o = &model->options;
  int64_t width = s->d + 1, rows = model->rows;
  double sum = 0, f[8];
  for (int64_t i = 0; i < rows * width; i++) {
    double value = i % width == s->d ? w[i] / o->intercept_scaling : w[i];
    sum += o->penalty == PERI_PENALTY_L1 ? fabs(value) : value * value / 2;
  }
  bool whole = o->multi_class == PERI_CRAMMER_SINGER;
  if (whole && model->k == 2) sum /= 2; /* w and -w, half of the difference each */
  for (int64_t i = 0; i < s->n; i++) {
    double c = o->C * (s->weights != NULL ? s->weights[i] : 1), worst = 0, own = 0;
    for (int64_t r = 0; r < rows; r++) {
      f[r] = w[r * width + s->d];
      for (int64_t j = 0; j < s->d; j++) f[r] += w[r * width + j] * s->x[i * s->d + j];
      double y = model->k == 0 ? s->targets[i] : s->y[i] == model->classes[model->k == 2 ? 1 : r] ? 1 : -1;
      if (!whole) sum += c * loss_of(o->loss, f[r], y, o->epsilon);
      if (whole && rows == 1) worst = fmax(0, 1 - y * f[0]);
      if (rows > 1 && y > 0) own = f[r];
    }
    for (int64_t r = 0; whole && rows > 1 && r < rows; r++) {
      if (s->y[i] != model->classes[r]) worst = fmax(worst, f[r] - own + 1);
    }
    sum += c * worst;
  }
  return sum;
}

/* The objective is convex: at its minimum no direction leads down, at any distance. */
static void check_minimum(const peri_linear *model, const sample *s) {
  double w[64], other[64], base;
  int64_t width = s->d + 1, size = model->rows * width;
  char name[160];
  describe(name, sizeof name, &model->options, model->k);
  for (int64_t i = 0; i < size; i++) {
    w[i] = i % width == s->d ? model->intercept[i / width] : model->coef[i / width * s->d + i % width];
  }
  base = objective(model, s, w);
  peri_stream stream = {.seed = 3};
  for (int round = 0; round < 300; round++) {
    double distance = pow(10, -1 - round % 6);
    int64_t only = round % 2 ? (int64_t)peri_stream_below(&stream, (uint64_t)size) : -1;
    for (int64_t i = 0; i < size; i++) {
      double move = (only < 0 || only == i) ? distance * peri_stream_normal(&stream) : 0;
      other[i] = !model->options.fit_intercept && i % width == s->d ? 0 : w[i] + move;
    }
    double there = objective(model, s, other);
    PERI_CHECK(there >= base * (1 - 1e-10), "%s: %.15g is below %.15g, %g away", name, there, base, distance);
  }
}

static void test_optimal(void) {
  peri_context *context = svm_context(2);
  double targets[150];
  for (int64_t k = 2; k <= 4; k++) {
    svm_data data = svm_groups(150, 5, k, 1.0, (uint64_t)(20 + k));
    fill_targets(&data, targets);
    for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
      for (int run = 0; run < 16; run++) {
        peri_linear_options options = options_of(&combinations[c]);
        options.C = run & 1 ? 0.05 : 2;
        options.fit_intercept = run & 2;
        options.intercept_scaling = 3;
        options.epsilon = run & 8 ? 0.25 : 0;
        bool regression = options.kind == PERI_LINEAR_REGRESSOR;
        sample s = {.n = data.n, .d = data.d, .x = data.x, .x32 = data.x32, .y = data.y};
        s.targets = regression ? targets : NULL;
        s.weights = run & 4 ? data.weights : NULL;
        peri_linear *model = fit(context, &options, &s, run & 8);
        PERI_CHECK(model->fit_status == 0 && model->gap <= options.tol, "gap %g", model->gap);
        PERI_CHECK(model->k == (regression ? 0 : k) && model->rows == (regression || k == 2 ? 1 : k), "%lld rows",
                   (long long)model->rows);
        check_minimum(model, &s);
        peri_linear_release(context, &model);
      }
    }
    svm_data_free(&data);
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- two ways to the same minimum ---- */

/* Enough weights for float32 factors and several tiles, enough rows for samples of them; and features of very
 * different size, which float32 does not bear. Seen from more features than rows, the dual solves it. */
static void test_sizes(void) {
  static const int64_t shapes[][2] = {{400, 60}, {2500, 60}, {700, 300}, {60, 90}, {200, 2100}};
  peri_context *context = svm_context(2);
  for (size_t shape = 0; shape < PERI_COUNT(shapes); shape++) {
    for (int scaled = 0; scaled < 2; scaled++) {
      int64_t n = shapes[shape][0], d = shapes[shape][1];
      svm_data data = svm_data_new(n, d);
      peri_stream stream = {.seed = 5};
      for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++) {
          double value = peri_stream_normal(&stream);
          sum += j < 5 ? value : 0;
          data.x[i * d + j] = value * (scaled ? pow(10, (double)(j % 7) - 3) : 1);
        }
        data.y[i] = (sum + peri_stream_normal(&stream) > 0) + (sum > 2);
      }
      for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
        peri_linear_options options = options_of(&combinations[c]);
        if (options.penalty != PERI_PENALTY_L2 ||
            (options.loss != PERI_LOSS_SQUARED_HINGE && options.loss != PERI_LOSS_LOGISTIC))
          continue;
        if (scaled && d > n) continue;
        options.C = scaled ? 0.01 : 1;
        options.tol = 1e-6;
        sample s = {.n = n, .d = d, .x = data.x, .y = data.y};
        peri_linear *model = fit(context, &options, &s, true);
        PERI_CHECK(model->fit_status == 0 && model->gap <= 1e-6, "%lldx%lld: gap %g after %lld", (long long)n,
                   (long long)d, model->gap, (long long)model->n_iter[0]);
        peri_linear_release(context, &model);
      }
      svm_data_free(&data);
    }
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- L1 penalties ---- */

/* Sum of the violations of the optimality conditions of a machine of two classes at w (the intercept's weight last). */
static double violations(const sample *s, const peri_linear_options *o, int64_t positive, const double *w) {
  double *slope = calloc((size_t)s->d + 1, sizeof *slope), sum = 0;
  for (int64_t i = 0; i < s->n; i++) {
    const double *x = s->x + i * s->d;
    double y = s->y[i] == positive ? 1 : -1, f = w[s->d];
    for (int64_t j = 0; j < s->d; j++) f += w[j] * x[j];
    double by = o->loss == PERI_LOSS_LOGISTIC ? -o->C * y / (1 + exp(y * f)) : -2 * o->C * y * fmax(0, 1 - y * f);
    for (int64_t j = 0; j <= s->d; j++) slope[j] += by * (j < s->d ? x[j] : 1);
  }
  for (int64_t j = 0; j <= s->d; j++) {
    sum += w[j] != 0 ? fabs(slope[j] + (w[j] > 0 ? 1 : -1)) : fmax(0, fabs(slope[j]) - 1);
  }
  free(slope);
  return sum;
}

/* Many more rows than features and the other way round, features that depend on each other, and such of very different
 * size: from small to large C tol is reached, in steps that can be counted. */
static void test_l1_sizes(void) {
  static const int64_t shapes[][2] = {{500, 150}, {2000, 40}, {100, 400}};
  peri_context *context = svm_context(2);
  double w[401] = {0};
  for (int run = 0; run < 18; run++) {
    int64_t n = shapes[run % 3][0], d = shapes[run % 3][1];
    svm_data data = svm_data_new(n, d);
    peri_stream stream = {.seed = 6};
    for (int64_t i = 0; i < n; i++) {
      double sum = 2 * peri_stream_normal(&stream), common = peri_stream_normal(&stream);
      for (int64_t j = 0; j < d; j++) {
        double value = peri_stream_normal(&stream) + (run / 3 % 3 == 1 ? common : 0);
        sum += j < 10 ? value : 0;
        data.x[i * d + j] = value * (run / 3 % 3 == 2 ? pow(10, (double)(j % 3) - 1) : 1);
      }
      data.y[i] = sum > 0 ? 2 : 1;
    }
    for (double C = 0.01; C < 20; C *= 10) {
      peri_linear_options options = peri_linear_defaults(run < 9 ? PERI_LINEAR_LOGISTIC : PERI_LINEAR_CLASSIFIER);
      options.penalty = PERI_PENALTY_L1;
      options.C = C;
      sample s = {.n = n, .d = d, .x = data.x, .y = data.y};
      peri_linear *model = fit(context, &options, &s, true);
      int64_t rows = 0;
      for (int64_t i = 0; i < n; i++) rows += data.y[i] == 2;
      memset(w, 0, sizeof w);
      double start = violations(&s, &options, 2, w) * (double)(rows < n - rows ? rows : n - rows) / (double)n;
      memcpy(w, model->coef, (size_t)d * sizeof *w);
      w[d] = model->intercept[0];
      PERI_CHECK(model->fit_status == 0 && violations(&s, &options, 2, w) <= 1.000001 * options.tol * start,
                 "%lldx%lld, run %d, C = %g: gap %g after %lld", (long long)n, (long long)d, run, C, model->gap,
                 (long long)model->n_iter[0]);
      PERI_CHECK(model->n_iter[0] <= 120, "%lld steps", (long long)model->n_iter[0]);
      peri_linear_release(context, &model);
    }
    svm_data_free(&data);
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* ---- predictions ---- */

static void test_predictions(void) {
  peri_context *context = svm_context(1);
  for (int64_t k = 2; k <= 3; k++) {
    svm_data data = svm_groups(120, 3, k, 0.3, 31);
    for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
      peri_linear_options options = options_of(&combinations[c]);
      if (options.kind == PERI_LINEAR_REGRESSOR) continue;
      sample s = {.n = data.n, .d = data.d, .x = data.x, .y = data.y};
      peri_linear *model = fit(context, &options, &s, true);
      int64_t labels[120], right = 0;
      double decision[360];
      peri_linear_predict(context, model, PERI_FLOAT32, 120, 3, data.x32, 3, labels);
      peri_linear_decision(context, model, PERI_FLOAT64, 120, 3, data.x, 3, decision);
      for (int64_t i = 0; i < 120; i++) {
        right += labels[i] == data.y[i];
        if (k == 2) PERI_CHECK(labels[i] == model->classes[decision[i] > 0], "label %lld", (long long)labels[i]);
      }
      PERI_CHECK(right > 110, "%lld of 120 right", (long long)right);
      PERI_CHECK(peri_linear_decision(context, model, PERI_FLOAT64, 1, 4, data.x, 4, decision) == PERI_ERR_ARGUMENT &&
                     strstr(peri_message(context), ": X has 4 features but the machine was fitted on 3") != NULL,
                 "%s", peri_message(context));
      peri_linear_release(context, &model);
    }
    svm_data_free(&data);
  }
  peri_context_release(&context);
}

/* Decisions that are no numbers are an error, of a single row too. */
static void test_overflow(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(120, 3, 3, 0.3, 43);
  for (size_t c = 0; c < PERI_COUNT(combinations); c++) {
    peri_linear_options options = options_of(&combinations[c]);
    double targets[120], far[9] = {0}, decision[9];
    fill_targets(&data, targets);
    sample s = {.n = data.n, .d = data.d, .x = data.x, .y = data.y};
    if (options.kind == PERI_LINEAR_REGRESSOR) s.targets = targets;
    peri_linear *model = fit(context, &options, &s, true);
    for (int64_t i = 0; i < model->rows * 3; i++) model->coef[i] *= 100;
    for (int j = 0; j < 3; j++) far[3 + j] = model->coef[j] > 0 ? -1e308 : 1e308;
    PERI_CHECK(peri_linear_decision(context, model, PERI_FLOAT64, 3, 3, far, 3, decision) == PERI_ERR_NUMERIC &&
                   strstr(peri_message(context), "the decision overflows in row 2 of X (scale the features)") != NULL,
               "%s", peri_message(context));
    PERI_CHECK(peri_linear_decision(context, model, PERI_FLOAT64, 1, 3, far, 3, decision) == PERI_OK, "row 1");
    peri_linear_release(context, &model);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Far from the groups the sigmoids are 1 or 0 to the last bit: the largest probability is still where predict says,
 * and they add up to 1. */
static void test_probabilities(void) {
  peri_context *context = svm_context(1);
  for (int64_t k = 2; k <= 4; k++) {
    svm_data data = svm_groups(120, 3, k, 0.8, 41);
    peri_linear_options options = peri_linear_defaults(PERI_LINEAR_LOGISTIC);
    sample s = {.n = data.n, .d = data.d, .x = data.x, .y = data.y};
    peri_linear *model = fit(context, &options, &s, true);
    for (double scale = 1e-18; scale < 1e6; scale *= 1e3) {
      double far[360], probability[480];
      int64_t labels[120];
      for (int64_t i = 0; i < 360; i++) far[i] = scale * data.x[i];
      peri_linear_predict(context, model, PERI_FLOAT64, 120, 3, far, 3, labels);
      peri_linear_probability(context, model, PERI_FLOAT64, 120, 3, far, 3, probability);
      for (int64_t i = 0; i < 120; i++) {
        const double *row = probability + i * k;
        double sum = 0;
        int64_t best = 0;
        for (int64_t c = 0; c < k; c++) {
          PERI_CHECK(row[c] >= 0 && row[c] <= 1 + 1e-15, "%g", row[c]);
          sum += row[c];
          if (row[c] > row[best]) best = c;
        }
        PERI_CHECK(fabs(sum - 1) < 1e-14, "sum %.17g", sum);
        PERI_CHECK(labels[i] == model->classes[best], "predicted %lld, the most probable is %lld", (long long)labels[i],
                   (long long)model->classes[best]);
      }
    }
    peri_linear_release(context, &model);
    svm_data_free(&data);
  }
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(test_golden), PERI_TEST(test_optimal), PERI_TEST(test_sizes), PERI_TEST(test_l1_sizes),
               PERI_TEST(test_predictions), PERI_TEST(test_overflow), PERI_TEST(test_probabilities))
