/* Fitting an SVC: one-vs-one, a quadratic programme for each pair of classes; see svm.h. */
#include "svm/features.h"
#include "svm/smo.h"
#include "svm/svc_model.h"
#include "svm/svm_kernels.h"

#include <math.h>

static const char who[] = "svm.SVC";

#define SERIAL_WORK 1e6 /* matrix elements of all pairs below which the team is not woken */

peri_svc_options peri_svc_defaults(void) {
  return (peri_svc_options){.kernel = PERI_SVM_RBF,
                            .C = 1,
                            .gamma_mode = PERI_GAMMA_SCALE,
                            .degree = 3,
                            .tol = 1e-3,
                            .cache_size = 200,
                            .max_iter = -1};
}

static peri_status check_options(peri_context *context, const peri_svc_options *o) {
  if (peri_svm_kernel_name((int64_t)o->kernel) == NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there is no kernel number %d", who, (int)o->kernel);
  if (!(o->C > 0)) return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a number > 0)", who, o->C);
  if (o->gamma_mode == PERI_GAMMA_VALUE && (!(o->gamma > 0) || isinf(o->gamma)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: gamma is %g (expected a number > 0, \"scale\" or \"auto\")", who,
                     o->gamma);
  if (o->degree < 0)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: degree is %lld (expected an integer >= 0)", who,
                     (long long)o->degree);
  if (!isfinite(o->coef0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: coef0 is %g (expected a finite number)", who, o->coef0);
  if (!(o->tol > 0) || isinf(o->tol))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: tol is %g (expected a number > 0)", who, o->tol);
  if (!(o->cache_size > 0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: cache_size is %g (expected megabytes > 0)", who, o->cache_size);
  if (o->max_iter < -1)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: max_iter is %lld (expected >= 0, or -1 for no limit)", who,
                     (long long)o->max_iter);
  return PERI_OK;
}

/* ---- a fit in the making ---- */

typedef struct fit {
  peri_context *context;
  peri_blocks blocks;
  const peri_svc_options *options;
  peri_dtype dtype, compute;
  int64_t n, d, ldx;
  const void *x;
  peri_grouping grouping;
  int64_t pairs;

  peri_svm_kernel kernel;
  void *features; /* rows x d of `compute`, by class */
  void *norms;
  double *diagonal;
  peri_row_source whole; /* when the matrix fits */
  peri_row_cache cache;  /* when not */
  peri_row_source *source;

  peri_smo *workers; /* one for each thread that solves pairs */
  double *beta;      /* (k-1) x rows: the solutions, laid out as dual_coef */
  peri_smo_result *results;
} fit;

/* The value of gamma; means are those of the columns. */
static peri_status find_gamma(fit *self, const double *means) {
  double variance = 1;
  switch (self->options->gamma_mode) {
  case PERI_GAMMA_VALUE:
    self->kernel.gamma = self->options->gamma;
    return PERI_OK;
  case PERI_GAMMA_AUTO:
    break;
  case PERI_GAMMA_SCALE:
    PERI_TRY(peri_svm_variance(self->context, self->dtype, self->grouping.rows, self->d, self->x, self->ldx,
                               self->grouping.order, means, &variance));
    if (variance == 0) {
      self->kernel.gamma = 1;
      return PERI_OK;
    }
  }
  self->kernel.gamma = 1 / ((double)self->d * variance);
  return PERI_OK;
}

/* Packed features, gamma, norms and K_tt. */
static peri_status prepare_features(fit *self) {
  const peri_svm_kernel_row *row = &peri_svm_kernel_table[self->options->kernel];
  int64_t rows = self->grouping.rows;
  size_t size = peri_float_size(self->compute);
  double *means;
  PERI_TRY(peri_blocks_new(&self->blocks, self->d, sizeof *means, &means));
  PERI_TRY(peri_blocks_new(&self->blocks, rows * self->d, size, &self->features));
  PERI_TRY(peri_blocks_new(&self->blocks, rows, size, &self->norms));
  PERI_TRY(peri_blocks_new(&self->blocks, rows, sizeof *self->diagonal, &self->diagonal));
  if (row->uses_gamma) {
    PERI_TRY(
        peri_svm_means(self->context, self->dtype, rows, self->d, self->x, self->ldx, self->grouping.order, means));
    PERI_TRY(find_gamma(self, means));
  }
  PERI_TRY(peri_svm_pack(self->context, self->dtype, rows, self->d, self->x, self->ldx, self->grouping.order,
                         row->centred ? means : NULL, self->compute, self->features));
  PERI_TRY(peri_svm_norms(self->context, self->compute, rows, self->d, self->features, self->d, self->norms));
  peri_svm_diagonal(self->context->kernels, &self->kernel, self->compute, rows, self->norms, self->diagonal);
  for (int64_t t = 0; t < rows; t++) {
    if (!isfinite(self->diagonal[t]))
      return peri_fail(self->context, PERI_ERR_NUMERIC,
                       "%s: the %s kernel of row %lld with itself is %g (scale the features, or lower gamma or degree)",
                       who, row->name, (long long)self->grouping.order[t] + 1, self->diagonal[t]);
  }
  return PERI_OK;
}

/* The whole matrix where it fits the budget, else a cache for the largest pair of classes. */
static peri_status prepare_source(fit *self) {
  int64_t rows = self->grouping.rows, ld = peri_gram_ld(rows), most = 0, second = 0;
  size_t size = peri_float_size(self->compute);
  double budget = self->options->cache_size * 0x1p20;
  if ((double)rows * (double)ld * (double)size <= budget) {
    void *gram;
    PERI_TRY(peri_blocks_new(&self->blocks, rows * ld, size, &gram));
    PERI_TRY(peri_gram_fill(self->context, &self->kernel, self->compute, rows, self->d, self->features, self->d,
                            self->norms, gram));
    self->whole = (peri_row_source){.dtype = self->compute,
                                    .definite = peri_svm_kernel_is_definite(&self->kernel),
                                    .matrix = gram,
                                    .ld = ld,
                                    .capacity = rows};
    self->source = &self->whole;
    for (int64_t t = 0; t < rows; t++) self->diagonal[t] = peri_value(self->compute, gram, t * ld + t);
    return PERI_OK;
  }
  for (int64_t c = 0; c < self->grouping.k; c++) {
    int64_t count = self->grouping.start[c + 1] - self->grouping.start[c];
    second = peri_max(second, peri_min(count, most));
    most = peri_max(most, count);
  }
  self->source = &self->cache.source;
  return peri_row_cache_new(&self->blocks, &self->kernel, self->compute, most + second, self->d, self->features,
                            self->d, self->norms, budget, &self->cache);
}

/* ---- pairs ---- */

static void classes_of_pair(int64_t k, int64_t pair, int64_t *a, int64_t *b) {
  *a = 0;
  while (pair >= k - 1 - *a) pair -= k - 1 - (*a)++;
  *b = *a + 1 + pair;
}

/* The programme of a pair: the first class has y = +1, the second -1. */
static void set_up_pair(const fit *self, peri_smo *smo, int64_t a, int64_t b) {
  const int64_t *start = self->grouping.start;
  int64_t class[2] = {a, b}, counts[2], firsts[2];
  for (int side = 0; side < 2; side++) {
    counts[side] = start[class[side] + 1] - start[class[side]];
    firsts[side] = self->source == &self->whole ? start[class[side]] : side * counts[0];
  }
  peri_smo_begin(smo, 2, counts, firsts);
  for (int side = 0; side < 2; side++) {
    for (int64_t i = 0; i < counts[side]; i++) {
      int64_t t = smo->segment[side].position + i, row = start[class[side]] + i;
      smo->linear[t] = side == 0 ? -1 : 1;
      smo->low[t] = side == 0 ? 0 : -self->grouping.bound[row];
      smo->high[t] = side == 0 ? self->grouping.bound[row] : 0;
      smo->diagonal[t] = self->diagonal[row];
    }
  }
}

static peri_status solve_pair(const fit *self, peri_smo *smo, int64_t pair) {
  const int64_t *start = self->grouping.start;
  int64_t a, b, rows = self->grouping.rows;
  classes_of_pair(self->grouping.k, pair, &a, &b);
  set_up_pair(self, smo, a, b);
  PERI_TRY(peri_smo_solve(self->context, self->source, smo, self->options->tol, self->options->max_iter,
                          &self->results[pair]));
  memcpy(self->beta + (b - 1) * rows + start[a], smo->beta + smo->segment[0].position,
         (size_t)smo->segment[0].count * sizeof *self->beta);
  memcpy(self->beta + a * rows + start[b], smo->beta + smo->segment[1].position,
         (size_t)smo->segment[1].count * sizeof *self->beta);
  return PERI_OK;
}

static void pair_body(void *arg, int64_t pair) {
  const fit *self = arg;
  (void)solve_pair(self, &self->workers[peri_worker()], pair); /* it can only be cancelled, which the team reports */
}

static void all_pairs_body(void *arg, int64_t piece) {
  const fit *self = arg;
  for (int64_t pair = piece; pair < self->pairs; pair++) (void)solve_pair(self, &self->workers[0], pair);
}

/* Rows that have to be computed take the team for themselves: pairs one after the other. */
static peri_status solve_over_rows(fit *self) {
  const int64_t *start = self->grouping.start;
  for (int64_t pair = 0; pair < self->pairs; pair++) {
    int64_t a, b;
    classes_of_pair(self->grouping.k, pair, &a, &b);
    int64_t count_a = start[a + 1] - start[a], count_b = start[b + 1] - start[b];
    peri_row_cache_begin(&self->cache, 2,
                         (peri_stretch[]){{.first = start[a], .count = count_a, .at = 0},
                                          {.first = start[b], .count = count_b, .at = count_a}});
    peri_status status = solve_pair(self, &self->workers[0], pair);
    if (status == PERI_ERR_CANCELLED) return peri_check_cancel(self->context);
    PERI_TRY(status);
  }
  return PERI_OK;
}

static peri_status solve_pairs(fit *self) {
  int64_t k = self->grouping.k, rows = self->grouping.rows, most = 0;
  double work = 0;
  for (int64_t pair = 0; pair < self->pairs; pair++) {
    int64_t a, b, size = 0;
    classes_of_pair(k, pair, &a, &b);
    size += peri_smo_padded(self->grouping.start[a + 1] - self->grouping.start[a]);
    size += peri_smo_padded(self->grouping.start[b + 1] - self->grouping.start[b]);
    most = peri_max(most, size);
    work += (double)size * (double)size;
  }
  bool over_matrix = self->source == &self->whole;
  bool parallel = over_matrix && work >= SERIAL_WORK;
  int64_t workers = parallel ? peri_min(peri_threads(self->context), self->pairs) : 1;
  PERI_TRY(peri_blocks_new_zeroed(&self->blocks, (k - 1) * rows, sizeof *self->beta, &self->beta));
  PERI_TRY(peri_blocks_new_zeroed(&self->blocks, self->pairs, sizeof *self->results, &self->results));
  PERI_TRY(peri_blocks_new(&self->blocks, workers, sizeof *self->workers, &self->workers));
  size_t bytes = peri_smo_bytes(most, self->source);
  char *workspace;
  PERI_TRY(peri_blocks_new(&self->blocks, workers, bytes, &workspace));
  for (int64_t w = 0; w < workers; w++) {
    peri_smo_place(&self->workers[w], most, self->source, workspace + (size_t)w * bytes);
  }
  if (!over_matrix) return solve_over_rows(self);
  if (parallel) return peri_parallel(self->context, self->pairs, pair_body, self);
  return peri_parallel(self->context, 1, all_pairs_body, self);
}

/* ---- the model ---- */

static bool is_support(const fit *self, int64_t t) {
  for (int64_t j = 0; j < self->grouping.k - 1; j++) {
    if (self->beta[j * self->grouping.rows + t] != 0) return true;
  }
  return false;
}

static void fill_supports(const fit *self, peri_svc *model) {
  size_t row_bytes = (size_t)self->d * peri_float_size(self->dtype);
  double sign = model->k == 2 ? -1 : 1;
  int64_t s = 0;
  for (int64_t t = 0; t < self->grouping.rows; t++) {
    if (!is_support(self, t)) continue;
    int64_t row = self->grouping.order[t];
    model->support[s] = row;
    memcpy((char *)model->support_vectors + (size_t)s * row_bytes, peri_at(self->dtype, self->x, self->ldx, row, 0),
           row_bytes);
    for (int64_t j = 0; j < model->k - 1; j++) {
      double beta = self->beta[j * self->grouping.rows + t];
      model->dual_coef[j * model->supports + s] = beta == 0 ? 0 : sign * beta;
    }
    s++;
  }
}

/* Weights of the linear kernel: sums of support vectors, pair by pair. */
typedef struct coef_job {
  const fit *self;
  peri_svc *model;
} coef_job;

static void coef_body(void *arg, int64_t pair) {
  const coef_job *job = arg;
  const peri_svc *model = job->model;
  int64_t a, b, s = 0;
  classes_of_pair(model->k, pair, &a, &b);
  double *w = model->coef + pair * model->d;
  memset(w, 0, (size_t)model->d * sizeof *w);
  for (int64_t c = 0; c < model->k; s += model->n_support[c++]) {
    if (c != a && c != b) continue;
    int64_t first = (c == a ? b - 1 : a) * model->supports;
    for (int64_t i = s; i < s + model->n_support[c]; i++) {
      if (model->dual_coef[first + i] == 0) continue;
      job->self->context->kernels->svm->axpy[peri_is_wide(model->dtype)](
          model->d, w, peri_at(model->dtype, model->support_vectors, model->d, i, 0), model->dual_coef[first + i]);
    }
  }
}

static peri_status fill_pairs(const fit *self, peri_svc *model) {
  for (int64_t pair = 0; pair < model->pairs; pair++) {
    const peri_smo_result *result = &self->results[pair];
    if (!isfinite(result->gap)) {
      int64_t a, b;
      classes_of_pair(model->k, pair, &a, &b);
      return peri_fail(self->context, PERI_ERR_NUMERIC,
                       "%s: the numbers overflow for classes %lld and %lld at C = %g (scale the features, or lower C)",
                       who, (long long)model->classes[a], (long long)model->classes[b], self->options->C);
    }
    model->intercept[pair] = model->k == 2 ? result->rho : -result->rho;
    model->n_iter[pair] = result->iterations;
    model->gaps[pair] = result->gap;
    model->gap = fmax(model->gap, result->gap);
    if (!result->converged) model->fit_status = 1;
  }
  return PERI_OK;
}

static peri_status build_model(fit *self, peri_svc *model) {
  peri_blocks *blocks = &model->machine->blocks;
  int64_t k = self->grouping.k;
  model->options = *self->options;
  model->options.class_weights.list = NULL;
  model->options.class_weights.count = 0;
  model->dtype = self->dtype;
  model->n = self->n;
  model->d = self->d;
  model->k = k;
  model->pairs = self->pairs;
  model->gamma = self->kernel.gamma;
  PERI_TRY(peri_blocks_new(blocks, k, sizeof *model->classes, &model->classes));
  PERI_TRY(peri_blocks_new_zeroed(blocks, k, sizeof *model->n_support, &model->n_support));
  memcpy(model->classes, self->grouping.classes, (size_t)k * sizeof *model->classes);
  for (int64_t c = 0; c < k; c++) {
    for (int64_t t = self->grouping.start[c]; t < self->grouping.start[c + 1]; t++) {
      model->n_support[c] += is_support(self, t);
    }
    model->supports += model->n_support[c];
  }
  PERI_TRY(peri_blocks_new(blocks, model->supports, sizeof *model->support, &model->support));
  PERI_TRY(peri_blocks_new(blocks, model->supports * model->d, peri_float_size(model->dtype), &model->support_vectors));
  PERI_TRY(peri_blocks_new(blocks, (k - 1) * model->supports, sizeof *model->dual_coef, &model->dual_coef));
  PERI_TRY(peri_blocks_new(blocks, model->pairs, sizeof *model->intercept, &model->intercept));
  PERI_TRY(peri_blocks_new(blocks, model->pairs, sizeof *model->n_iter, &model->n_iter));
  PERI_TRY(peri_blocks_new(blocks, model->pairs, sizeof *model->gaps, &model->gaps));
  fill_supports(self, model);
  PERI_TRY(fill_pairs(self, model));
  if (model->options.kernel == PERI_SVM_LINEAR) {
    PERI_TRY(peri_blocks_new(blocks, model->pairs * model->d, sizeof *model->coef, &model->coef));
    PERI_TRY(peri_parallel(self->context, model->pairs, coef_body, &(coef_job){.self = self, .model = model}));
  }
  return peri_svc_prepare(self->context, model);
}

/* ---- the whole ---- */

static peri_status run(fit *self, const int64_t *y, const double *weights, peri_svc **out) {
  PERI_TRY(peri_svm_group(&self->blocks, who, self->n, y, weights, self->options->C, &self->options->class_weights,
                          &self->grouping));
  self->pairs = self->grouping.k * (self->grouping.k - 1) / 2;
  PERI_TRY(prepare_features(self));
  PERI_TRY(prepare_source(self));
  PERI_TRY(solve_pairs(self));
  PERI_TRY(peri_svc_new(self->context, out));
  return build_model(self, *out);
}

peri_status peri_svc_fit(peri_context *context, const peri_svc_options *options, peri_dtype dtype, int64_t n, int64_t d,
                         const void *x, int64_t ldx, const int64_t *y, const double *weights, peri_svc **out) {
  *out = NULL;
  PERI_TRY(check_options(context, options));
  PERI_TRY(peri_svm_check_features(context, who, dtype, n, d, x, ldx));
  PERI_TRY(peri_blas_ready(context, context->threads));
  fit self = {.context = context,
              .blocks = {.context = context},
              .options = options,
              .dtype = dtype,
              .compute = peri_svc_compute_dtype(dtype, n),
              .n = n,
              .d = d,
              .ldx = ldx,
              .x = x,
              .kernel = {.id = options->kernel, .coef0 = options->coef0, .degree = options->degree}};
  peri_status status = run(&self, y, weights, out);
  peri_blocks_release(&self.blocks);
  if (status != PERI_OK) peri_svc_release(context, out);
  return status;
}
