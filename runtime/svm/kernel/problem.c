/* Preparing a fit; see problem.h. */
#include "svm/kernel/problem.h"

#include "svm/kernel/features.h"
#include "svm/kernel/model.h"

#include <math.h>

/* ---- checks ---- */

static peri_status check_options(peri_context *context, const char *who, const peri_svm_options *o) {
  const peri_svm_type_row *type = &peri_svm_type_table[o->type];
  if (peri_svm_kernel_name((int64_t)o->kernel) == NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there is no kernel number %d", who, (int)o->kernel);
  if (type->uses_C && !(o->C > 0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a number > 0)", who, o->C);
  if (type->uses_nu && !(o->nu > 0 && o->nu <= 1))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: nu is %g (expected a number in (0, 1])", who, o->nu);
  if (type->uses_C && type->uses_nu && isinf(o->C)) /* the sum grows with C */
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a finite number > 0)", who, o->C);
  if (type->uses_epsilon && (!(o->epsilon >= 0) || isinf(o->epsilon)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: epsilon is %g (expected a number >= 0)", who, o->epsilon);
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
  if (!(o->time_limit > 0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: time_limit is %g (expected seconds > 0)", who, o->time_limit);
  return PERI_OK;
}

static peri_status check_targets(peri_context *context, const char *who, const peri_svm_samples *s) {
  for (int64_t i = 0; i < s->n; i++) {
    if (!isfinite(s->targets[i]))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: y has %g in entry %lld (expected finite numbers)", who,
                       s->targets[i], (long long)i + 1);
  }
  return PERI_OK;
}

/* The largest nu that every pair of classes allows: 2 min(W+, W-) / (W+ + W-), W the sums of weights. */
static peri_status check_nu(const peri_problem *p) {
  const peri_grouping *g = &p->grouping;
  if (g->k == 0) return PERI_OK;
  double largest = 1;
  int64_t class[2] = {0, 0};
  for (int64_t pair = 0; pair < p->pairs; pair++) {
    int64_t c[2];
    double sum[2] = {0, 0};
    peri_classes_of_pair(g->k, pair, &c[0], &c[1]);
    for (int side = 0; side < 2; side++) {
      for (int64_t t = g->start[c[side]]; t < g->start[c[side] + 1]; t++) sum[side] += g->bound[t];
    }
    double nu = 2 * peri_smaller(sum[0], sum[1]) / (sum[0] + sum[1]);
    if (nu >= largest) continue;
    largest = nu;
    class[0] = c[0], class[1] = c[1];
  }
  if (p->options->nu <= largest) return PERI_OK;
  return peri_fail(p->context, PERI_ERR_ARGUMENT,
                   "%s: nu is %g, but classes %lld and %lld are so uneven that it can be %.6g at most", p->who,
                   p->options->nu, (long long)g->classes[class[0]], (long long)g->classes[class[1]],
                   floor(largest * 1e6) / 1e6);
}

/* A kernel is symmetric, up to the rounding of whoever computed it. */
static peri_status check_symmetry(const peri_problem *p) {
  const peri_svm_samples *s = p->samples;
  double scale = 0;
  for (int64_t i = 0; i < s->n; i++) scale = peri_larger(scale, fabs(peri_value(s->dtype, s->x, i * s->ldx + i)));
  for (int64_t i = 0; i < s->n; i++) {
    for (int64_t j = 0; j < i; j++) {
      double a = peri_value(s->dtype, s->x, i * s->ldx + j), b = peri_value(s->dtype, s->x, j * s->ldx + i);
      if (!(fabs(a - b) > 1e-4 * peri_larger(scale, fabs(a)))) continue;
      return peri_fail(
          p->context, PERI_ERR_ARGUMENT,
          "%s: the kernel matrix is not symmetric: %g in row %lld, column %lld, but %g in row %lld, column %lld",
          p->who, a, (long long)i + 1, (long long)j + 1, b, (long long)j + 1, (long long)i + 1);
    }
    if (i % 1024 == 0) PERI_TRY(peri_check_cancel(p->context));
  }
  return PERI_OK;
}

/* ---- features ---- */

/* The value of gamma; means are those of the columns. */
static peri_status find_gamma(peri_problem *p, const double *means) {
  const peri_svm_samples *s = p->samples;
  double variance;
  switch (p->options->gamma_mode) {
  case PERI_GAMMA_VALUE:
    p->kernel.gamma = p->options->gamma;
    return PERI_OK;
  case PERI_GAMMA_AUTO:
    break;
  case PERI_GAMMA_SCALE:
    PERI_TRY(peri_svm_variance(p->context, s->dtype, p->grouping.rows, s->d, s->x, s->ldx, p->grouping.order, means,
                               &variance));
    return peri_svm_scale_gamma(p->context, p->who, s->d, variance, &p->kernel.gamma);
  }
  p->kernel.gamma = 1 / (double)s->d;
  return PERI_OK;
}

/* Packed features, gamma, norms and K_tt. */
static peri_status prepare_features(peri_problem *p) {
  const peri_svm_kernel_row *kernel = &peri_svm_kernel_table[p->kernel.id];
  const peri_svm_samples *s = p->samples;
  int64_t rows = p->grouping.rows;
  size_t size = peri_float_size(p->compute);
  double *means;
  PERI_TRY(peri_blocks_new(&p->blocks, s->d, sizeof *means, &means));
  PERI_TRY(peri_blocks_new(&p->blocks, rows * s->d, size, &p->features));
  PERI_TRY(peri_blocks_new(&p->blocks, rows, size, &p->norms));
  /* With the sum of b constant at 0 a linear machine is the same for centred rows, and keeps its digits. */
  bool linear = p->kernel.id == PERI_SVM_LINEAR && p->form->sum != PERI_SUM_NU;
  bool centred = linear || peri_svm_wants_centre(&p->kernel, s->d);
  if (kernel->uses_gamma || centred) {
    PERI_TRY(peri_svm_means(p->context, s->dtype, rows, s->d, s->x, s->ldx, p->grouping.order, means));
    if (kernel->uses_gamma) PERI_TRY(find_gamma(p, means));
    if (linear) p->centre = means;
  }
  PERI_TRY(peri_svm_pack(p->context, s->dtype, rows, s->d, s->x, s->ldx, p->grouping.order, centred ? means : NULL,
                         p->compute, p->features));
  PERI_TRY(peri_svm_norms(p->context, &p->kernel, p->compute, rows, s->d, p->features, s->d, p->norms));
  peri_svm_diagonal(p->context->kernels, &p->kernel, p->compute, rows, p->norms, p->diagonal);
  for (int64_t t = 0; t < rows; t++) {
    if (!isfinite(p->diagonal[t]))
      return peri_fail(p->context, PERI_ERR_NUMERIC,
                       "%s: the %s kernel of row %lld with itself is %g (scale the features, or lower gamma or degree)",
                       p->who, kernel->name, (long long)p->grouping.order[t] + 1, p->diagonal[t]);
  }
  return PERI_OK;
}

static peri_status prepare_precomputed(peri_problem *p) {
  const peri_svm_samples *s = p->samples;
  PERI_TRY(check_symmetry(p));
  for (int64_t t = 0; t < p->grouping.rows; t++) {
    int64_t row = p->grouping.order[t];
    p->diagonal[t] = peri_value(s->dtype, s->x, row * s->ldx + row);
  }
  return PERI_OK;
}

/* ---- kernel values ---- */

/* To measure: ./dev bench svm oneclass. */
#define FEW_ROWS_NU 0.25
#define MANY_ROWS   4000

/* Whether far fewer rows than half of the matrix will be asked for: of many rows with a small nu, those of the support
 * vectors. */
static bool needs_few_rows(const peri_problem *p) {
  return p->form->few_rows && p->options->nu < FEW_ROWS_NU && p->grouping.rows > MANY_ROWS;
}

/* The multiplications of a row of a pair up to which all values of the pair cost less than asking for rows: of 10,000
 * digits of 784 features a fit by pairs took a quarter longer, of 26 classes of 200 rows of 16 features a quarter as
 * long (./dev bench svm mnist10000). */
#define CHEAP_ROW 262144

/* Threads that solve machines side by side, each with a cache, where there are many more machines than threads.
 * Progress is told by one machine after the other. */
static int64_t caches_wanted(const peri_problem *p) {
  int64_t threads = peri_threads(p->context);
  return p->pairs >= 2 * threads && p->options->progress == NULL ? threads : 1;
}

/* The whole matrix where it fits the budget and is needed, else matrices of pairs, else a cache for the largest pair of
 * classes. */
static peri_status prepare_source(peri_problem *p) {
  const peri_svm_samples *s = p->samples;
  const peri_grouping *g = &p->grouping;
  int64_t ld = peri_gram_ld(g->rows), most = 0, second = 0;
  size_t size = peri_float_size(p->compute);
  double budget = p->options->cache_size * 0x1p20;
  peri_svm_side side = {.x = p->features,
                        .norms = p->norms,
                        .ld = s->d,
                        .from = s->dtype,
                        .given = s->x,
                        .given_ld = s->ldx,
                        .order = g->order};
  double whole = (double)g->rows * (double)ld * (double)size;
  if (whole <= budget && !needs_few_rows(p)) {
    void *gram;
    PERI_TRY(peri_blocks_new(&p->blocks, g->rows * ld, size, &gram));
    if (p->features == NULL)
      PERI_TRY(peri_gram_gather(p->context, p->compute, g->rows, s->dtype, s->x, s->ldx, g->order, gram));
    else
      PERI_TRY(peri_gram_fill(p->context, &p->kernel, p->compute, g->rows, s->d, &side, gram));
    p->whole = (peri_row_source){.dtype = p->compute,
                                 .definite = peri_svm_kernel_is_definite(&p->kernel),
                                 .matrix = gram,
                                 .ld = ld,
                                 .capacity = 2 * g->rows, /* two variables for a row, in regression with nu */
                                 .spare = budget - whole};
    p->source = &p->whole;
    for (int64_t t = 0; t < g->rows; t++) p->diagonal[t] = peri_value(p->compute, gram, t * ld + t);
    return PERI_OK;
  }
  for (int64_t c = 0; c < peri_max(g->k, 1); c++) {
    int64_t count = g->start[c + 1] - g->start[c];
    second = peri_max(second, peri_min(count, most));
    most = peri_max(most, count);
  }
  int64_t largest = most + second;
  p->rows = (peri_cached_rows){.kernel = &p->kernel, .dtype = p->compute, .d = s->d, .side = side, .most = largest};
  double of_pair = (double)largest * (double)peri_gram_ld(largest) * (double)size;
  bool cheap = (double)largest * (double)p->samples->d <= CHEAP_ROW || p->features == NULL;
  if (g->k > 2 && of_pair <= budget && cheap) {
    p->pair = (peri_row_source){.dtype = p->compute,
                                .definite = peri_svm_kernel_is_definite(&p->kernel),
                                .capacity = largest,
                                .spare = budget - of_pair};
    p->source = &p->pair;
    return PERI_OK;
  }
  PERI_TRY(peri_row_caches_new(&p->blocks, &p->rows, largest, budget, caches_wanted(p), &p->cache, &p->caches));
  p->source = &p->cache->source;
  return PERI_OK;
}

/* ---- the whole ---- */

static peri_status check_features(const peri_problem *p) {
  const peri_svm_samples *s = p->samples;
  PERI_TRY(peri_svm_check_features(p->context, p->who, s->dtype, s->n, s->d, s->x, s->ldx));
  if (p->options->kernel == PERI_SVM_PRECOMPUTED && s->n != s->d)
    return peri_fail(p->context, PERI_ERR_ARGUMENT,
                     "%s: X is %lldx%lld (expected the n x n kernel matrix of the rows with each other)", p->who,
                     (long long)s->n, (long long)s->d);
  return PERI_OK;
}

/* All but x: options, and the rows in order of class. */
static peri_status prepare_rows(peri_problem *p, peri_context *context, const peri_svm_options *options,
                                const peri_svm_samples *samples) {
  *p = (peri_problem){.context = context,
                      .blocks = {.context = context},
                      .options = options,
                      .samples = samples,
                      .compute = peri_svm_compute_dtype(samples->dtype, samples->n),
                      .kernel = {.id = options->kernel, .coef0 = options->coef0, .degree = options->degree}};
  if ((unsigned)options->type >= PERI_SVM_TYPE_COUNT)
    return peri_fail(context, PERI_ERR_ARGUMENT, "svm: there is no type number %d", (int)options->type);
  const peri_svm_type_row *type = &peri_svm_type_table[options->type];
  p->who = type->name;
  p->form = &type->form;
  PERI_TRY(check_options(context, p->who, options));
  if (samples->targets != NULL) PERI_TRY(check_targets(context, p->who, samples));
  if (type->targets == PERI_TARGET_LABELS)
    PERI_TRY(peri_svm_group(&p->blocks, p->who, samples, 1, &options->class_weights, &p->grouping));
  else
    PERI_TRY(peri_svm_group_all(&p->blocks, p->who, samples, &p->grouping));
  p->pairs = peri_max(p->grouping.k * (p->grouping.k - 1) / 2, 1);
  p->deadline = isinf(options->time_limit) ? INFINITY : peri_now() + options->time_limit;
  return type->uses_nu ? check_nu(p) : PERI_OK;
}

peri_status peri_svm_check(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples) {
  peri_problem problem;
  peri_status status = prepare_rows(&problem, context, options, samples);
  peri_blocks_release(&problem.blocks);
  return status;
}

peri_status peri_problem_begin(peri_problem *p, peri_context *context, const peri_svm_options *options,
                               const peri_svm_samples *samples) {
  PERI_TRY(prepare_rows(p, context, options, samples));
  PERI_TRY(check_features(p));
  PERI_TRY(peri_blocks_new(&p->blocks, p->grouping.rows, sizeof *p->diagonal, &p->diagonal));
  PERI_TRY(options->kernel == PERI_SVM_PRECOMPUTED ? prepare_precomputed(p) : prepare_features(p));
  return prepare_source(p);
}
