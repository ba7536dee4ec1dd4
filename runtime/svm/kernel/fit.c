/* Fitting machines, one or a path over C, and predicting held-out rows; see svm.h. */
#include "svm/kernel/model.h"
#include "svm/kernel/solve.h"

#include <math.h>
#include <stdio.h>

/* ---- the model ---- */

static bool is_support(const peri_problem *p, const peri_solution *solution, int64_t t) {
  for (int64_t j = 0; j < peri_max(p->grouping.k - 1, 1); j++) {
    if (solution->beta[j * p->grouping.rows + t] != 0) return true;
  }
  return false;
}

static void fill_supports(const peri_problem *p, const peri_solution *solution, peri_svm *model) {
  size_t row_bytes = (size_t)model->d * peri_float_size(model->dtype);
  double sign = model->k == 2 ? -1 : 1;
  int64_t s = 0;
  for (int64_t t = 0; t < p->grouping.rows; t++) {
    if (!is_support(p, solution, t)) continue;
    model->support[s] = p->grouping.order[t];
    if (model->support_vectors != NULL)
      memcpy((char *)model->support_vectors + (size_t)s * row_bytes, peri_problem_row(p, t), row_bytes);
    for (int64_t j = 0; j < model->rows; j++) {
      double beta = solution->beta[j * p->grouping.rows + t];
      model->dual_coef[j * model->supports + s] = beta == 0 ? 0 : sign * beta;
    }
    s++;
  }
}

static peri_status refuse_pair(const peri_problem *p, const peri_svm *model, int64_t pair,
                               const peri_programme_result *result, double C) {
  int64_t a, b;
  char of[80] = "";
  if (model->k > 0) {
    peri_classes_of_pair(model->k, pair, &a, &b);
    snprintf(of, sizeof of, " for classes %lld and %lld", (long long)model->classes[a], (long long)model->classes[b]);
  }
  if (isinf(result->scale) && result->smo.limited)
    return peri_fail(p->context, PERI_ERR_NUMERIC,
                     "%s: a limit came before anything separated the rows%s (raise max_iter or time_limit)", p->who,
                     of);
  if (isinf(result->scale))
    return peri_fail(p->context, PERI_ERR_NUMERIC, "%s: nothing separates the rows%s: the margin has no width", p->who,
                     of);
  return peri_fail(p->context, PERI_ERR_NUMERIC,
                   "%s: the numbers overflow%s at C = %g (scale the features, or lower C)", p->who, of, C);
}

static peri_status fill_pairs(const peri_problem *p, const peri_solution *solution, peri_svm *model) {
  for (int64_t pair = 0; pair < model->pairs; pair++) {
    const peri_solved *solved = &solution->machine[pair];
    const peri_programme_result *result = &solved->result;
    if (!isfinite(result->smo.gap) || isinf(result->scale)) return refuse_pair(p, model, pair, result, solution->C);
    model->intercept[pair] = model->k == 2 ? result->rho : -result->rho;
    model->n_iter[pair] = result->smo.iterations;
    model->gaps[pair] = result->smo.gap;
    model->objectives[pair] = result->smo.objective;
    model->gap = peri_larger(model->gap, result->smo.gap);
    if (!result->smo.converged) model->fit_status = 1;
    if (model->prob_a == NULL) continue;
    model->prob_a[pair] = solved->prob_a;
    model->prob_b[pair] = solved->prob_b;
  }
  return PERI_OK;
}

/* The intercept for rows as they were given, from that for centred ones. */
static void shift_intercepts(const peri_problem *p, peri_svm *model) {
  for (int64_t pair = 0; p->centre != NULL && pair < model->pairs; pair++) {
    model->intercept[pair] -= p->context->kernels->svm->dot[1](model->d, p->centre, model->coef + pair * model->d);
  }
}

static peri_status build(peri_problem *p, const peri_solution *solution, peri_svm *model) {
  const peri_grouping *g = &p->grouping;
  int64_t *n_support;
  model->options = *p->options;
  model->options.C = solution->C;
  model->options.class_weights = (peri_class_weights){.balanced = p->options->class_weights.balanced};
  model->options.progress = NULL;
  model->options.progress_arg = NULL;
  model->options.probability = p->options->probability && g->k > 0;
  model->dtype = p->samples->dtype;
  model->n = p->samples->n;
  model->d = p->samples->d;
  model->gamma = p->kernel.gamma;
  peri_blocks blocks = {.context = p->context};
  PERI_TRY(peri_blocks_new_zeroed(&blocks, peri_max(g->k, 1), sizeof *n_support, &n_support));
  for (int64_t c = 0; c < peri_max(g->k, 1); c++) {
    for (int64_t t = g->start[c]; t < g->start[c + 1]; t++) n_support[c] += is_support(p, solution, t);
  }
  peri_status status = peri_svm_make_room(model, g->k, n_support);
  peri_blocks_release(&blocks);
  PERI_TRY(status);
  if (g->k > 0) memcpy(model->classes, g->classes, (size_t)g->k * sizeof *model->classes);
  fill_supports(p, solution, model);
  PERI_TRY(fill_pairs(p, solution, model));
  PERI_TRY(peri_svm_prepare(p->context, model));
  shift_intercepts(p, model);
  return PERI_OK;
}

/* ---- one machine, or a path ---- */

/* Numbers of Cs in ascending order. */
static void sort_Cs(int64_t count, const double *Cs, int64_t *order) {
  for (int64_t c = 0; c < count; c++) {
    int64_t at = c;
    for (; at > 0 && Cs[order[at - 1]] > Cs[c]; at--) order[at] = order[at - 1];
    order[at] = c;
  }
}

static peri_status check_Cs(peri_context *context, const peri_svm_options *options, int64_t count, const double *Cs) {
  const peri_svm_type_row *type = &peri_svm_type_table[options->type];
  if (!type->uses_C) return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there is no C to vary", type->name);
  for (int64_t c = 0; c < count; c++) {
    if (!(Cs[c] > 0) || (isinf(Cs[c]) && peri_svm_type_table[options->type].uses_nu))
      return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a number > 0)", type->name, Cs[c]);
  }
  return PERI_OK;
}

static peri_status path(peri_problem *p, int64_t count, const double *Cs, peri_svm **out) {
  int64_t *order;
  peri_solution *solutions;
  PERI_TRY(peri_blocks_new(&p->blocks, count, sizeof *order, &order));
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, count, sizeof *solutions, &solutions));
  sort_Cs(count, Cs, order);
  for (int64_t c = 0; c < count; c++) solutions[c].C = Cs[order[c]];
  PERI_TRY(peri_solve(p, count, solutions));
  for (int64_t c = 0; c < count; c++) {
    PERI_TRY(peri_svm_new(p->context, &out[order[c]]));
    PERI_TRY(build(p, &solutions[c], out[order[c]]));
  }
  return PERI_OK;
}

static peri_status fit_path(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                            int64_t count, const double *Cs, peri_svm **out) {
  peri_problem problem;
  for (int64_t c = 0; c < count; c++) out[c] = NULL;
  peri_status status = peri_problem_begin(&problem, context, options, samples);
  if (status == PERI_OK) status = path(&problem, count, Cs, out);
  peri_blocks_release(&problem.blocks);
  for (int64_t c = 0; status != PERI_OK && c < count; c++) peri_svm_release(context, &out[c]);
  return status;
}

peri_status peri_svm_fit(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                         peri_svm **out) {
  return fit_path(context, options, samples, 1, &options->C, out);
}

peri_status peri_svm_path(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                          int64_t count, const double *Cs, peri_svm **out) {
  for (int64_t c = 0; c < count; c++) out[c] = NULL;
  PERI_TRY(check_Cs(context, options, count, Cs));
  return fit_path(context, options, samples, count, Cs, out);
}

/* ---- held-out rows ---- */

typedef struct cross {
  int64_t folds;
  const int64_t *fold;
  int64_t count;
  const double *Cs; /* as given */
  void *out;        /* count x n */
  int *fit_status;
} cross;

static bool gives_numbers(const peri_svm_options *options) {
  return peri_svm_type_table[options->type].targets == PERI_TARGET_NUMBERS;
}

/* What a decision means, as entry `at` of the output. */
static void predict(const cross *job, const peri_svm *model, const double *decision, int64_t at) {
  if (gives_numbers(&model->options))
    ((double *)job->out)[at] = decision[0];
  else
    peri_svm_labels(model, PERI_SVM_LOWEST, 1, decision, (int64_t *)job->out + at);
}

/* Over the whole matrix: one problem for all folds. */
static peri_status cross_over_matrix(peri_problem *p, const cross *job) {
  const peri_grouping *g = &p->grouping;
  int64_t rows = g->rows, *fold, *order;
  double *decisions, *Cs;
  bool converged;
  PERI_TRY(peri_blocks_new(&p->blocks, rows, sizeof *fold, &fold));
  PERI_TRY(peri_blocks_new(&p->blocks, job->count, sizeof *order, &order));
  PERI_TRY(peri_blocks_new(&p->blocks, job->count, sizeof *Cs, &Cs));
  PERI_TRY(peri_blocks_new_zeroed(&p->blocks, job->count * rows * p->pairs, sizeof *decisions, &decisions));
  sort_Cs(job->count, job->Cs, order);
  for (int64_t c = 0; c < job->count; c++) Cs[c] = job->Cs[order[c]];
  for (int64_t t = 0; t < rows; t++) fold[t] = job->fold[g->order[t]];
  PERI_TRY(peri_solve_folds(p, job->folds, fold, job->count, Cs, decisions, &converged));
  *job->fit_status = converged ? 0 : 1;
  peri_svm labels = {.options = *p->options, .k = g->k, .pairs = p->pairs, .classes = g->classes};
  for (int64_t c = 0; c < job->count; c++) {
    for (int64_t t = 0; t < rows; t++) {
      predict(job, &labels, decisions + (c * rows + t) * p->pairs, order[c] * p->samples->n + g->order[t]);
    }
  }
  return PERI_OK;
}

/* What the rows of a fold are predicted to be, by the machine of one C. */
typedef struct fold_use {
  const cross *job;
  const peri_svm *model;
  const int64_t *rows;
  int64_t at; /* of row 0 in the output */
} fold_use;

static peri_status predict_block(void *arg, int64_t from, int64_t rows, const double *decision) {
  const fold_use *use = arg;
  for (int64_t r = 0; r < rows; r++) {
    predict(use->job, use->model, decision + r * use->model->pairs, use->at + use->rows[from + r]);
  }
  return PERI_OK;
}

/* The rows of one fold, predicted by machines fitted without them. */
static peri_status cross_fold(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                              const cross *job, int64_t held, peri_blocks *blocks) {
  int64_t m = 0, n = samples->n, *rows;
  double *weights;
  void *x;
  peri_svm **models;
  size_t row_bytes = (size_t)samples->d * peri_float_size(samples->dtype);
  PERI_TRY(peri_blocks_new(blocks, n, sizeof *rows, &rows));
  PERI_TRY(peri_blocks_new(blocks, n, sizeof *weights, &weights));
  for (int64_t i = 0; i < n; i++) {
    bool out = job->fold[i] == held;
    weights[i] = out ? 0 : samples->weights != NULL ? samples->weights[i] : 1;
    if (out && (samples->weights == NULL || samples->weights[i] > 0)) rows[m++] = i;
  }
  if (m == 0) return PERI_OK;
  PERI_TRY(peri_blocks_new(blocks, m, row_bytes, &x));
  PERI_TRY(peri_blocks_new_zeroed(blocks, job->count, sizeof(peri_svm *), &models));
  for (int64_t r = 0; r < m; r++) {
    memcpy((char *)x + (size_t)r * row_bytes, peri_at(samples->dtype, samples->x, samples->ldx, rows[r], 0), row_bytes);
  }
  peri_svm_samples without = *samples;
  without.weights = weights;
  PERI_TRY(fit_path(context, options, &without, job->count, job->Cs, models));
  peri_status status = PERI_OK;
  for (int64_t c = 0; c < job->count; c++) {
    fold_use use = {.job = job, .model = models[c], .rows = rows, .at = c * n};
    if (status == PERI_OK)
      status = peri_svm_decision_blocks(context, models[c], false, samples->dtype, m, samples->d, x, samples->d,
                                        predict_block, &use);
    if (models[c]->fit_status != 0) *job->fit_status = 1;
    peri_svm_release(context, &models[c]);
  }
  return status;
}

peri_status peri_svm_cross_predict(peri_context *context, const peri_svm_options *options,
                                   const peri_svm_samples *samples, int64_t folds, const int64_t *fold, int64_t count,
                                   const double *Cs, void *out, int *fit_status) {
  if (count > 0) PERI_TRY(check_Cs(context, options, count, Cs));
  cross job = {.folds = folds,
               .fold = fold,
               .count = peri_max(count, 1),
               .Cs = count > 0 ? Cs : &options->C,
               .out = out,
               .fit_status = fit_status};
  *fit_status = 0;
  for (int64_t i = 0; i < job.count * samples->n; i++) {
    if (gives_numbers(options))
      ((double *)out)[i] = NAN;
    else
      ((int64_t *)out)[i] = 0;
  }
  peri_problem problem;
  peri_svm_options each = *options;
  each.probability = false;
  peri_status status = peri_problem_begin(&problem, context, &each, samples);
  each.gamma_mode = PERI_GAMMA_VALUE;
  each.gamma = problem.kernel.gamma > 0 ? problem.kernel.gamma : 1; /* that of all rows, whichever way is taken */
  bool whole = status == PERI_OK && peri_problem_is_whole(&problem);
  if (whole) status = cross_over_matrix(&problem, &job);
  peri_blocks_release(&problem.blocks);
  for (int64_t held = 0; status == PERI_OK && !whole && held < folds; held++) {
    peri_blocks blocks = {.context = context};
    status = cross_fold(context, &each, samples, &job, held, &blocks);
    peri_blocks_release(&blocks);
  }
  return status;
}
