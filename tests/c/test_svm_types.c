/* The five types of kernel machines together: that sweeps, held-out rows, given kernels and probabilities say what
 * single fits say, the same bits for any team, and clean failures. */
#include "svm_support.h"

static void *const nothing = NULL;

/* Everything that can be learnt from the same rows. */
typedef struct learnable {
  svm_data data;
  double *targets;
} learnable;

static learnable learnable_new(int64_t n, int64_t d, int64_t k, uint64_t seed) {
  learnable l = {.data = svm_groups(n, d, k, 1.0, seed)};
  l.targets = calloc((size_t)n, sizeof *l.targets);
  for (int64_t i = 0; i < n; i++) l.targets[i] = sin(l.data.x[i * d]) + 0.3 * l.data.x[i * d + 1];
  return l;
}

static void learnable_free(learnable *l) {
  svm_data_free(&l->data);
  free(l->targets);
}

static peri_svm_samples samples_of(const learnable *l, peri_svm_type type, bool wide, bool weighted) {
  const svm_data *data = &l->data;
  peri_svm_targets targets = peri_svm_type_table[type].targets;
  return (peri_svm_samples){.dtype = wide ? PERI_FLOAT64 : PERI_FLOAT32,
                            .n = data->n,
                            .d = data->d,
                            .x = wide ? (const void *)data->x : data->x32,
                            .ldx = data->d,
                            .labels = targets == PERI_TARGET_LABELS ? data->y : nothing,
                            .targets = targets == PERI_TARGET_NUMBERS ? l->targets : nothing,
                            .weights = weighted ? data->weights : nothing};
}

static peri_svm_options options_of(peri_svm_type type) {
  peri_svm_options o = peri_svm_defaults(type);
  o.nu = 0.2;
  o.epsilon = 0.05;
  o.gamma_mode = PERI_GAMMA_VALUE;
  o.gamma = 0.3;
  return o;
}

static peri_svm *fit(peri_context *context, const peri_svm_options *o, const peri_svm_samples *s) {
  peri_svm *model;
  PERI_CHECK(peri_svm_fit(context, o, s, &model) == PERI_OK, "%s", peri_message(context));
  return model;
}

static double *decisions(peri_context *context, const peri_svm *model, const peri_svm_samples *s) {
  double *out = calloc((size_t)(s->n * model->pairs), sizeof *out);
  PERI_CHECK(peri_svm_decision(context, model, s->dtype, s->n, s->d, s->x, s->ldx, out) == PERI_OK, "%s",
             peri_message(context));
  return out;
}

static double worst_difference(const double *a, const double *b, int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(a[i] - b[i]) / fmax(1, fabs(b[i])));
  return worst;
}

/* Rows that are computed, a kernel that is given and a kernel that is given by rows: the same machine. */
static void test_sources(void) {
  peri_context *context = svm_context(2);
  learnable l = learnable_new(90, 3, 3, 41);
  double *gram = calloc(90 * 90, sizeof *gram);
  for (int64_t i = 0; i < 90; i++) {
    for (int64_t j = 0; j < 90; j++) {
      double distance = 0;
      for (int64_t f = 0; f < 3; f++) {
        distance += pow(l.data.x[i * 3 + f] - l.data.x[j * 3 + f], 2);
      }
      gram[i * 90 + j] = exp(-0.3 * distance);
    }
  }
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    for (int weighted = 0; weighted < 2; weighted++) {
      peri_svm_samples s = samples_of(&l, type, true, weighted), given = s;
      peri_svm_options o = options_of(type);
      o.tol = 1e-8;
      peri_svm *model = fit(context, &o, &s);
      double *expected = decisions(context, model, &s);
      given.x = gram;
      given.d = given.ldx = 90;
      for (int way = 0; way < 3; way++) {
        o.kernel = way == 0 ? PERI_SVM_RBF : PERI_SVM_PRECOMPUTED;
        o.cache_size = way == 1 ? 200 : 0.015;
        const peri_svm_samples *from = way == 0 ? &s : &given;
        peri_svm *other = fit(context, &o, from);
        double *got = decisions(context, other, from);
        PERI_CHECK(other->fit_status == 0, "%s: gap %g", peri_svm_type_table[type].name, other->gap);
        double worst = worst_difference(got, expected, 90 * model->pairs);
        PERI_CHECK(worst < 1e-6, "%s way %d: decisions differ by %g", peri_svm_type_table[type].name, way, worst);
        double size = fmax(1, fabs(model->objectives[0]));
        PERI_CHECK(fabs(other->objectives[0] - model->objectives[0]) < 1e-9 * size, "%s way %d: objective %g, not %g",
                   peri_svm_type_table[type].name, way, other->objectives[0], model->objectives[0]);
        free(got);
        peri_svm_release(context, &other);
      }
      free(expected);
      peri_svm_release(context, &model);
    }
  }
  free(gram);
  learnable_free(&l);
  peri_context_release(&context);
}

/* A path finds what single fits find. */
static void test_path(void) {
  static const peri_svm_type types[] = {PERI_C_SVC, PERI_EPSILON_SVR, PERI_NU_SVR};
  peri_context *context = svm_context(2);
  learnable l = learnable_new(120, 3, 3, 42);
  for (size_t t = 0; t < PERI_COUNT(types); t++) {
    for (int cached = 0; cached < 2; cached++) {
      peri_svm_samples s = samples_of(&l, types[t], true, true);
      peri_svm_options o = options_of(types[t]);
      double Cs[] = {2, 0.01, types[t] == PERI_NU_SVR ? 5 : 1000, 1, 1};
      peri_svm *models[5];
      o.tol = 1e-7;
      if (cached) o.cache_size = 0.03;
      PERI_CHECK(peri_svm_path(context, &o, &s, 5, Cs, models) == PERI_OK, "%s", peri_message(context));
      for (int c = 0; c < 5; c++) {
        o.C = Cs[c];
        peri_svm *single = fit(context, &o, &s);
        PERI_CHECK(models[c]->options.C == Cs[c] && models[c]->fit_status == 0, "C %g: gap %g", Cs[c], models[c]->gap);
        for (int64_t p = 0; p < single->pairs; p++) {
          double a = models[c]->objectives[p], b = single->objectives[p];
          PERI_CHECK(fabs(a - b) <= 1e-8 * fmax(1, fabs(b)), "type %d, C %g: objective %.12g, not %.12g", (int)types[t],
                     Cs[c], a, b);
        }
        peri_svm_release(context, &single);
        peri_svm_release(context, &models[c]);
      }
    }
  }
  learnable_free(&l);
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

/* What cross_predict says of a fold is what a machine fitted without it says. */
static void test_held_out(void) {
  peri_context *context = svm_context(2);
  learnable l = learnable_new(130, 3, 4, 43);
  int64_t n = 130, fold[130];
  PERI_CHECK(peri_svm_folds(context, n, l.data.y, 4, 7, fold) == PERI_OK, "%s", peri_message(context));
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    bool numbers = peri_svm_type_table[type].targets == PERI_TARGET_NUMBERS;
    peri_svm_samples s = samples_of(&l, type, true, true);
    peri_svm_options o = options_of(type);
    o.tol = 1e-8;
    o.nu = 0.1;
    double shared[130], rows[130];
    int status;
    PERI_CHECK(peri_svm_cross_predict(context, &o, &s, 4, fold, 0, NULL, shared, &status) == PERI_OK && status == 0,
               "%s", peri_message(context));
    o.cache_size = 0.03;
    PERI_CHECK(peri_svm_cross_predict(context, &o, &s, 4, fold, 0, NULL, rows, &status) == PERI_OK && status == 0, "%s",
               peri_message(context));
    for (int64_t held = 0; held < 4; held++) {
      double weights[130];
      for (int64_t i = 0; i < n; i++) weights[i] = fold[i] == held ? 0 : l.data.weights[i];
      peri_svm_samples without = s;
      without.weights = weights;
      peri_svm *model = fit(context, &o, &without);
      double *expected = decisions(context, model, &s);
      int64_t labels[130];
      peri_svm_labels(model, PERI_SVM_LOWEST, n, expected, labels);
      for (int64_t i = 0; i < n; i++) {
        if (fold[i] != held) continue;
        if (numbers) {
          PERI_CHECK(fabs(shared[i] - expected[i]) < 1e-5 && fabs(rows[i] - expected[i]) < 1e-5, "%g %g, not %g",
                     shared[i], rows[i], expected[i]);
        } else {
          int64_t a, b;
          memcpy(&a, &shared[i], sizeof a);
          memcpy(&b, &rows[i], sizeof b);
          PERI_CHECK(a == labels[i] && b == labels[i], "type %d row %lld: %lld %lld, not %lld", type, (long long)i,
                     (long long)a, (long long)b, (long long)labels[i]);
        }
      }
      free(expected);
      peri_svm_release(context, &model);
    }
  }
  learnable_free(&l);
  peri_context_release(&context);
}

static void test_folds(void) {
  peri_context *context = svm_context(1);
  svm_data data = svm_groups(103, 2, 3, 1.0, 44);
  int64_t fold[103], again[103], other[103], counts[5] = {0}, of_class[5] = {0};
  peri_svm_folds(context, 103, data.y, 5, 1, fold);
  peri_svm_folds(context, 103, data.y, 5, 1, again);
  peri_svm_folds(context, 103, data.y, 5, 2, other);
  PERI_CHECK(memcmp(fold, again, sizeof fold) == 0, "the same seed, other folds");
  PERI_CHECK(memcmp(fold, other, sizeof fold) != 0, "another seed, the same folds");
  for (int64_t i = 0; i < 103; i++) {
    counts[fold[i]]++;
    of_class[fold[i]] += data.y[i] == -4;
  }
  for (int f = 1; f < 5; f++) {
    PERI_CHECK(llabs(counts[f] - counts[0]) <= 1 && llabs(of_class[f] - of_class[0]) <= 1, "fold %d: %lld rows, %lld",
               f, (long long)counts[f], (long long)of_class[f]);
  }
  svm_data_free(&data);
  peri_context_release(&context);
}

/* Probabilities sum to 1, are calibrated in the mean, and rise with the decision. */
static void test_probabilities(void) {
  for (int64_t k = 2; k <= 4; k += 2) {
    peri_context *context = svm_context(2);
    learnable l = learnable_new(800, 3, k, 45);
    for (int type = PERI_C_SVC; type <= PERI_NU_SVC; type++) {
      for (int cached = 0; cached < 2; cached++) {
        peri_svm_samples s = samples_of(&l, type, true, false);
        peri_svm_options o = options_of(type);
        o.probability = true;
        if (cached) o.cache_size = 0.1;
        s.n = 400;
        peri_svm *model = fit(context, &o, &s);
        s.x = l.data.x + 400 * 3; /* rows that the fit has not seen */
        double *f = decisions(context, model, &s), *p = calloc((size_t)(400 * k), sizeof *p), right = 0, sum = 0;
        int64_t labels[400];
        PERI_CHECK(peri_svm_probabilities(context, model, 400, f, p) == PERI_OK, "%s", peri_message(context));
        peri_svm_likeliest(model, 400, p, labels);
        for (int64_t i = 0; i < 400; i++) {
          double all = 0, most = 0;
          for (int64_t c = 0; c < k; c++) {
            all += p[i * k + c];
            most = fmax(most, p[i * k + c]);
            PERI_CHECK(p[i * k + c] >= 0 && p[i * k + c] <= 1, "%g", p[i * k + c]);
          }
          PERI_CHECK(fabs(all - 1) < 1e-12, "the sum is %g", all);
          right += labels[i] == l.data.y[400 + i];
          sum += most;
        }
        PERI_CHECK(fabs(right - sum) < 0.1 * 400, "%g right, %g expected", right, sum);
        for (int64_t pair = 0; pair < model->pairs; pair++) PERI_CHECK(model->prob_a[pair] < 0, "a rises");
        free(f);
        free(p);
        peri_svm_release(context, &model);
      }
    }
    learnable_free(&l);
    peri_context_release(&context);
  }
}

/* ---- limits ---- */

static void test_limits(void) {
  peri_context *context = svm_context(1);
  learnable l = learnable_new(300, 3, 2, 46);
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    for (int cached = 0; cached < 2; cached++) {
      peri_svm_samples s = samples_of(&l, type, true, false);
      peri_svm_options o = options_of(type);
      o.cache_size = cached ? 0.1 : 200;
      o.time_limit = 1e-9;
      peri_svm *model = fit(context, &o, &s);
      PERI_CHECK(model->fit_status == 1 && model->gap >= o.tol, "status %d, gap %g", model->fit_status, model->gap);
      peri_svm_release(context, &model);
      o.time_limit = INFINITY;
      o.tol = 1e-300; /* below rounding: it ends all the same, and says what is left */
      model = fit(context, &o, &s);
      PERI_CHECK(model->gap < 1e-6, "%s: gap %g", peri_svm_type_table[type].name, model->gap);
      peri_svm_release(context, &model);
    }
  }
  learnable_free(&l);
  peri_context_release(&context);
}

typedef struct listener {
  int calls, enough_at, abort_at;
  int64_t last;
} listener;

static peri_svm_verdict listen(void *arg, const peri_svm_progress *state) {
  listener *self = arg;
  self->calls++;
  PERI_CHECK(state->machine >= self->last && state->machine <= state->machines && state->gap >= 0,
             "machine %lld of "
             "%lld",
             (long long)state->machine, (long long)state->machines);
  self->last = state->machine;
  if (self->calls == self->abort_at) return PERI_SVM_ABORT;
  return self->calls >= self->enough_at && self->enough_at > 0 ? PERI_SVM_ENOUGH : PERI_SVM_GO_ON;
}

static void test_progress(void) {
  peri_context *context = svm_context(2);
  learnable l = learnable_new(800, 3, 4, 47);
  for (int cached = 0; cached < 2; cached++) {
    peri_svm_samples s = samples_of(&l, PERI_C_SVC, true, false);
    peri_svm_options o = options_of(PERI_C_SVC);
    peri_svm *plain, *model;
    listener ear = {.last = 0};
    if (cached) o.cache_size = 0.3;
    plain = fit(context, &o, &s);
    o.progress = listen;
    o.progress_arg = &ear;
    model = fit(context, &o, &s);
    PERI_CHECK(ear.calls >= 3 && ear.last == 6, "%d calls, the last with %lld", ear.calls, (long long)ear.last);
    PERI_CHECK(model->supports == plain->supports &&
                   memcmp(model->dual_coef, plain->dual_coef, (size_t)(3 * model->supports) * sizeof(double)) == 0,
               "being watched changes the machine");
    peri_svm_release(context, &model);
    ear = (listener){.enough_at = 1};
    model = fit(context, &o, &s);
    PERI_CHECK(model->fit_status == 1, "enough, but converged");
    peri_svm_release(context, &model);
    peri_svm_release(context, &plain);
    ear = (listener){.abort_at = 2};
    PERI_CHECK(peri_svm_fit(context, &o, &s, &model) == PERI_ERR_CANCELLED && model == NULL, "%s",
               peri_message(context));
  }
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  learnable_free(&l);
  peri_context_release(&context);
}

/* ---- the same bits ---- */

static void test_threads(void) {
  static const int teams[] = {1, 2, 3};
  learnable l = learnable_new(2010, 6, 3, 48); /* float32: more than 2000 rows */
  int64_t n = 2010, fold[2010];
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    for (int cached = 0; cached < 2; cached++) {
      double *first[2] = {NULL, NULL};
      for (size_t t = 0; t < PERI_COUNT(teams); t++) {
        peri_context *context = svm_context(teams[t]);
        peri_svm_samples s = samples_of(&l, type, false, true);
        peri_svm_options o = options_of(type);
        o.gamma = 0.05;
        o.probability = type == PERI_C_SVC;
        if (cached) o.cache_size = 4;
        peri_svm_folds(context, n, NULL, 3, 1, fold);
        peri_svm *model = fit(context, &o, &s);
        size_t bytes = (size_t)(model->rows * model->supports) * sizeof(double);
        double *dual = malloc(bytes), *held = calloc((size_t)n, sizeof *held);
        int status;
        memcpy(dual, model->dual_coef, bytes);
        PERI_CHECK(peri_svm_cross_predict(context, &o, &s, 3, fold, 0, NULL, held, &status) == PERI_OK, "%s",
                   peri_message(context));
        if (t == 0) {
          first[0] = dual;
          first[1] = held;
        } else {
          PERI_CHECK(memcmp(first[0], dual, bytes) == 0, "coefficients differ with %d threads", teams[t]);
          PERI_CHECK(memcmp(first[1], held, (size_t)n * sizeof *held) == 0, "predictions differ with %d threads",
                     teams[t]);
          free(dual);
          free(held);
        }
        peri_svm_release(context, &model);
        peri_context_release(&context);
      }
      free(first[0]);
      free(first[1]);
    }
  }
  learnable_free(&l);
}

/* Half of the rows stay between the bounds, far more than fit a small block: steps run on a copy of their matrix, where
 * there is room for it in float32 first. Whatever is copied, the machine is the same to tol, for any team. */
static void test_copies(void) {
  learnable l = learnable_new(2400, 6, 2, 51);
  peri_svm_samples s = samples_of(&l, PERI_EPSILON_SVR, true, false);
  peri_svm_options o = options_of(PERI_EPSILON_SVR);
  o.epsilon = 0.02;
  for (int tight = 0; tight < 2; tight++) {
    static const double room[] = {200, 200, 47, 1}; /* the matrix takes 46.3 */
    double *first = NULL, objective = 0;
    o.tol = tight ? 1e-9 : 1e-3;
    for (size_t r = 0; r < PERI_COUNT(room); r++) {
      if (tight && room[r] < 46) continue; /* rows at a time would take long */
      peri_context *context = svm_context(r == 0 ? 1 : 2);
      o.cache_size = room[r];
      peri_svm *model = fit(context, &o, &s);
      size_t bytes = (size_t)model->supports * sizeof(double);
      PERI_CHECK(model->fit_status == 0 && model->gap < o.tol, "gap %g", model->gap);
      if (r == 0) {
        first = malloc(bytes);
        memcpy(first, model->dual_coef, bytes);
        objective = model->objectives[0];
      }
      if (r == 1) PERI_CHECK(memcmp(first, model->dual_coef, bytes) == 0, "coefficients differ with 2 threads");
      PERI_CHECK(fabs(model->objectives[0] - objective) <= o.tol * fabs(objective), "objective %.12g, not %.12g",
                 model->objectives[0], objective);
      peri_svm_release(context, &model);
      PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
      peri_context_release(&context);
    }
    free(first);
  }
  learnable_free(&l);
}

/* ---- failures ---- */

static void test_allocation_failures(void) {
  learnable l = learnable_new(36, 3, 3, 49);
  int64_t fold[36];
  double Cs[] = {1, 10};
  for (int64_t i = 0; i < 36; i++) fold[i] = i % 3;
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    for (int cached = 0; cached < 2; cached++) {
      peri_context *context = svm_context(2);
      peri_svm_samples s = samples_of(&l, type, true, true);
      peri_svm_options o = options_of(type);
      bool sweeps = peri_svm_type_table[type].uses_C;
      o.nu = 0.1;
      o.probability = true;
      if (cached) o.cache_size = 0.004;
      peri_status status = PERI_ERR_MEMORY;
      int64_t allowed = 0;
      for (; status != PERI_OK && allowed < 2000; allowed++) {
        peri_svm *models[2];
        double out[72];
        int fit_status;
        context->fail_after = allowed;
        if (sweeps) {
          status = peri_svm_path(context, &o, &s, 2, Cs, models);
        } else {
          status = peri_svm_fit(context, &o, &s, &models[0]);
          models[1] = NULL;
        }
        PERI_CHECK(status == PERI_OK || models[0] == NULL, "a model in spite of %s", peri_message(context));
        for (int m = 0; m < 2; m++) peri_svm_release(context, &models[m]);
        if (status == PERI_OK)
          status = peri_svm_cross_predict(context, &o, &s, 3, fold, sweeps ? 2 : 0, Cs, out, &fit_status);
        PERI_CHECK(status == PERI_OK || status == PERI_ERR_MEMORY, "%s", peri_message(context));
        PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
      }
      PERI_CHECK(status == PERI_OK && allowed > 10, "%s", peri_message(context));
      context->fail_after = -1;
      peri_context_release(&context);
    }
  }
  learnable_free(&l);
}

static void test_cancel(void) {
  peri_context *context = svm_context(2);
  learnable l = learnable_new(200, 3, 3, 50);
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    for (int cached = 0; cached < 2; cached++) {
      peri_svm_samples s = samples_of(&l, type, true, false);
      peri_svm_options o = options_of(type);
      peri_svm *model;
      if (cached) o.cache_size = 0.05;
      peri_cancel(context);
      PERI_CHECK(peri_svm_fit(context, &o, &s, &model) == PERI_ERR_CANCELLED && model == NULL, "%s",
                 peri_message(context));
      PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
      peri_clear_cancel(context);
    }
  }
  learnable_free(&l);
  peri_context_release(&context);
}

static void refused(peri_context *context, const peri_svm_options *o, const peri_svm_samples *s, const char *message) {
  peri_svm *model;
  peri_status status = peri_svm_fit(context, o, s, &model);
  PERI_CHECK(status == PERI_ERR_ARGUMENT && model == NULL && strcmp(peri_message(context), message) == 0, "%d: %s",
             (int)status, peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
}

static void test_errors(void) {
  peri_context *context = svm_context(1);
  double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, bad[] = {1, INFINITY, 3}, skew[] = {1, 0.5, 0, 0.5, 1, 0.25, 0, 0.75, 1};
  int64_t y[] = {1, 1, 2};
  peri_svm_samples rows = {.dtype = PERI_FLOAT64, .n = 3, .d = 1, .x = x, .ldx = 1, .labels = y}, numbers = rows,
                   square;
  peri_svm_options o = peri_svm_defaults(PERI_NU_SVC);
  o.nu = 0.75;
  refused(context, &o, &rows, "NuSVC: nu is 0.75, but classes 1 and 2 are so uneven that it can be 0.666666 at most");
  o.nu = 0;
  refused(context, &o, &rows, "NuSVC: nu is 0 (expected a number in (0, 1])");
  o = peri_svm_defaults(PERI_EPSILON_SVR);
  numbers.labels = NULL;
  numbers.targets = bad;
  refused(context, &o, &numbers, "SVR: y has inf in entry 2 (expected finite numbers)");
  o.epsilon = -1;
  refused(context, &o, &numbers, "SVR: epsilon is -1 (expected a number >= 0)");
  o = peri_svm_defaults(PERI_NU_SVR);
  o.C = INFINITY;
  refused(context, &o, &numbers, "NuSVR: C is inf (expected a finite number > 0)");
  o = peri_svm_defaults(PERI_C_SVC);
  o.time_limit = -1;
  refused(context, &o, &rows, "SVC: time_limit is -1 (expected seconds > 0)");
  o.time_limit = INFINITY;
  o.kernel = PERI_SVM_PRECOMPUTED;
  refused(context, &o, &rows, "SVC: X is 3x1 (expected the n x n kernel matrix of the rows with each other)");
  square = rows;
  square.x = skew;
  square.d = square.ldx = 3;
  refused(context, &o, &square,
          "SVC: the kernel matrix is not symmetric: 0.75 in row 3, column 2, but 0.25 in row 2, column 3");
  o = peri_svm_defaults(PERI_ONE_CLASS);
  rows.n = 0;
  refused(context, &o, &rows, "OneClassSVM: X has 0 rows (expected 1 or more)");
  peri_svm *models[1];
  double C = -1;
  PERI_CHECK(peri_svm_path(context, &o, &rows, 1, &C, models) == PERI_ERR_ARGUMENT && models[0] == NULL &&
                 strcmp(peri_message(context), "OneClassSVM: there is no C to vary") == 0,
             "%s", peri_message(context));
  peri_context_release(&context);
}

/* Rows without any difference: nothing separates them, and a nu machine says so. */
static void test_nothing_separates(void) {
  peri_context *context = svm_context(1);
  double x[] = {2, 2, 2, 2};
  int64_t y[] = {1, 2, 1, 2};
  peri_svm_samples s = {.dtype = PERI_FLOAT64, .n = 4, .d = 1, .x = x, .ldx = 1, .labels = y};
  peri_svm_options o = peri_svm_defaults(PERI_NU_SVC);
  peri_svm *model;
  PERI_CHECK(peri_svm_fit(context, &o, &s, &model) == PERI_ERR_NUMERIC &&
                 strcmp(peri_message(context),
                        "NuSVC: nothing separates the rows for classes 1 and 2: the margin has no width") == 0,
             "%s", peri_message(context));
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(test_sources), PERI_TEST(test_path), PERI_TEST(test_held_out), PERI_TEST(test_folds),
               PERI_TEST(test_probabilities), PERI_TEST(test_limits), PERI_TEST(test_progress), PERI_TEST(test_threads),
               PERI_TEST(test_copies), PERI_TEST(test_allocation_failures), PERI_TEST(test_cancel),
               PERI_TEST(test_errors), PERI_TEST(test_nothing_separates))
