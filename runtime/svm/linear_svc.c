/* LinearSVC: one-vs-rest machines without a kernel, by dual coordinate descent (Hsieh, Chang, Lin,
 * Keerthi, Sundararajan 2008).
 *
 * The dual of min_w 1/2 w'w + sum C_i loss(1 - y_i w'x_i) is
 *     min_a  1/2 a'(Q + D)a - sum a,   0 <= a_i <= U_i,   Q_ij = y_i y_j x_i'x_j
 * with D = 0, U_i = C_i for the hinge and D_ii = 1/(2 C_i), U_i = infinity for its square. With
 * w = sum a_i y_i x_i at hand, the partial derivative G = y_i w'x_i - 1 + D_ii a_i costs one
 * product, and a_i <- clip(a_i - G / (Q_ii + D_ii)) another. A pass visits the rows in random order; rows
 * at a bound whose gradient pushes beyond the last pass's extremes are left out until the rest
 * has converged. The intercept is the weight of a constant feature. */
#include "svm/data.h"

#include "kernels/kernels.h"
#include "svm/svm_kernels.h"

#include <math.h>

static const char who[] = "svm.LinearSVC";

peri_linear_svc_options peri_linear_svc_defaults(void) {
  return (peri_linear_svc_options){
      .C = 1, .loss = PERI_SQUARED_HINGE, .tol = 1e-4, .max_iter = 1000, .fit_intercept = true, .intercept_scaling = 1};
}

static peri_status check_options(peri_context *context, const peri_linear_svc_options *o) {
  if (!(o->C > 0) || isinf(o->C))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a finite number > 0)", who, o->C);
  if (o->loss != PERI_HINGE && o->loss != PERI_SQUARED_HINGE)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there is no loss number %d", who, (int)o->loss);
  if (!(o->tol > 0) || isinf(o->tol))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: tol is %g (expected a number > 0)", who, o->tol);
  if (o->max_iter < 1)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: max_iter is %lld (expected >= 1)", who, (long long)o->max_iter);
  if (o->fit_intercept && (!(o->intercept_scaling > 0) || isinf(o->intercept_scaling)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: intercept_scaling is %g (expected a number > 0)", who,
                     o->intercept_scaling);
  return PERI_OK;
}

/* ---- one machine ---- */

/* A fit, and the scratch of each machine in it: arrays of `rows` for each. */
#define SERIAL_WORK 1e5 /* features of all machines in one pass below which the team is not woken */

typedef struct fit {
  peri_context *context;
  const peri_linear_svc_options *options;
  peri_dtype dtype;
  int64_t d, ldx;
  const void *x;
  const peri_grouping *grouping;
  peri_linear_svc *model;
  double *square; /* rows: x_i'x_i, the constant feature included */
  double *alpha;
  int64_t *order;
} fit;

/* The machine that tells `positive` from the rest. */
typedef struct machine {
  const fit *self;
  const peri_svm_kernels *kernels;
  int64_t positive_from, positive_end; /* its rows in the grouping */
  double *alpha, *w, bias;
  int64_t *order, active;
  peri_stream stream;
  double above, below; /* of the last pass: gradients beyond them are left out */
  double highest, lowest;
} machine;

static void shuffle(machine *m) {
  for (int64_t s = m->active - 1; s > 0; s--) {
    int64_t other = (int64_t)peri_stream_below(&m->stream, (uint64_t)s + 1), kept = m->order[s];
    m->order[s] = m->order[other];
    m->order[other] = kept;
  }
}

/* Visits row i: true when it is to be left out from now on. */
static bool visit(machine *m, int64_t i) {
  const fit *self = m->self;
  bool wide = peri_is_wide(self->dtype), squared = self->options->loss == PERI_SQUARED_HINGE;
  double y = i >= m->positive_from && i < m->positive_end ? 1 : -1, c = self->grouping->bound[i];
  double diagonal = squared ? 0.5 / c : 0, upper = squared ? INFINITY : c, alpha = m->alpha[i];
  double scaling = self->options->fit_intercept ? self->options->intercept_scaling : 0;
  const void *x = peri_at(self->dtype, self->x, self->ldx, self->grouping->order[i], 0);
  double gradient = y * (m->kernels->dot[wide](self->d, x, m->w) + m->bias * scaling) - 1 + alpha * diagonal;
  double projected = gradient;
  if (alpha == 0) {
    if (gradient > m->above) return true;
    projected = gradient < 0 ? gradient : 0;
  } else if (alpha == upper) {
    if (gradient < m->below) return true;
    projected = gradient > 0 ? gradient : 0;
  }
  m->highest = fmax(m->highest, projected);
  m->lowest = fmin(m->lowest, projected);
  double curvature = self->square[i] + diagonal;
  if (fabs(projected) <= 1e-12) return false;
  m->alpha[i] = fmin(fmax(alpha - gradient / fmax(curvature, PERI_SVM_CURVATURE), 0), upper);
  double change = (m->alpha[i] - alpha) * y;
  m->kernels->axpy[wide](self->d, m->w, x, change);
  m->bias += change * scaling;
  return false;
}

/* One pass over the active rows; false when cancelled. */
static bool pass(machine *m) {
  m->highest = -INFINITY;
  m->lowest = INFINITY;
  shuffle(m);
  int64_t poll = (1 << 22) / m->self->d + 1;
  for (int64_t s = 0; s < m->active; s++) {
    if (s % poll == 0 && peri_cancelled(m->self->context)) return false;
    int64_t i = m->order[s];
    if (!visit(m, i)) continue;
    m->order[s--] = m->order[--m->active];
    m->order[m->active] = i;
  }
  return true;
}

static void everything_again(machine *m, int64_t rows) {
  m->active = rows;
  m->above = INFINITY;
  m->below = -INFINITY;
}

/* Solves for row `piece` of the model. */
static void machine_body(void *arg, int64_t piece) {
  const fit *self = arg;
  peri_linear_svc *model = self->model;
  int64_t rows = self->grouping->rows, positive = model->k == 2 ? 1 : piece;
  machine m = {.self = self,
               .kernels = self->context->kernels->svm,
               .positive_from = self->grouping->start[positive],
               .positive_end = self->grouping->start[positive + 1],
               .alpha = self->alpha + piece * rows,
               .w = model->coef + piece * self->d,
               .order = self->order + piece * rows,
               .stream = {.seed = self->options->seed, .block = (uint64_t)piece << 48}};
  memset(m.alpha, 0, (size_t)rows * sizeof *m.alpha);
  memset(m.w, 0, (size_t)self->d * sizeof *m.w);
  for (int64_t i = 0; i < rows; i++) m.order[i] = i;
  everything_again(&m, rows);
  bool converged = false;
  int64_t passes = 0;
  while (!converged && passes < self->options->max_iter && pass(&m)) {
    passes++;
    bool whole = m.active == rows;
    model->gaps[piece] = m.highest >= m.lowest ? m.highest - m.lowest : 0;
    if (model->gaps[piece] <= self->options->tol) {
      converged = whole;
      everything_again(&m, rows);
    } else {
      m.above = m.highest > 0 ? m.highest : INFINITY;
      m.below = m.lowest < 0 ? m.lowest : -INFINITY;
    }
  }
  if (!converged) model->gaps[piece] = fmax(model->gaps[piece], self->options->tol);
  model->n_iter[piece] = converged ? passes : -passes; /* the sign is taken off when all are done */
  model->intercept[piece] = self->options->fit_intercept ? m.bias * self->options->intercept_scaling : 0;
}

/* ---- fit ---- */

static peri_status new_model(peri_context *context, const fit *self, int64_t n, peri_linear_svc *model) {
  const peri_grouping *grouping = self->grouping;
  model->options = *self->options;
  model->options.class_weights.list = NULL;
  model->options.class_weights.count = 0;
  model->dtype = self->dtype;
  model->n = n;
  model->d = self->d;
  model->k = grouping->k;
  model->rows = grouping->k == 2 ? 1 : grouping->k;
  peri_blocks *blocks = model->blocks;
  *blocks = (peri_blocks){.context = context};
  PERI_TRY(peri_blocks_new(blocks, model->k, sizeof *model->classes, &model->classes));
  PERI_TRY(peri_blocks_new(blocks, model->rows * self->d, sizeof *model->coef, &model->coef));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->rows, sizeof *model->intercept, &model->intercept));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->rows, sizeof *model->n_iter, &model->n_iter));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->rows, sizeof *model->gaps, &model->gaps));
  memcpy(model->classes, grouping->classes, (size_t)model->k * sizeof *model->classes);
  return PERI_OK;
}

/* Tiny work wakes no team. */
static void all_machines_body(void *arg, int64_t piece) {
  (void)piece;
  for (int64_t r = 0; r < ((const fit *)arg)->model->rows; r++) machine_body(arg, r);
}

static peri_status solve(fit *self, peri_blocks *blocks) {
  peri_linear_svc *model = self->model;
  int64_t rows = self->grouping->rows;
  double scaling = self->options->fit_intercept ? self->options->intercept_scaling : 0;
  PERI_TRY(peri_blocks_new(blocks, rows, sizeof *self->square, &self->square));
  PERI_TRY(peri_blocks_new(blocks, model->rows * rows, sizeof *self->alpha, &self->alpha));
  PERI_TRY(peri_blocks_new(blocks, model->rows * rows, sizeof *self->order, &self->order));
  for (int64_t i = 0; i < rows; i++) {
    const void *x = peri_at(self->dtype, self->x, self->ldx, self->grouping->order[i], 0);
    self->square[i] = self->context->kernels->svm->square[peri_is_wide(self->dtype)](self->d, x) + scaling * scaling;
  }
  if ((double)rows * (double)model->d * (double)model->rows < SERIAL_WORK) {
    PERI_TRY(peri_parallel(self->context, 1, all_machines_body, self));
  } else {
    PERI_TRY(peri_parallel(self->context, model->rows, machine_body, self));
  }
  for (int64_t r = 0; r < model->rows; r++) {
    if (model->n_iter[r] < 0) {
      model->n_iter[r] = -model->n_iter[r];
      model->fit_status = 1;
    }
    model->gap = fmax(model->gap, model->gaps[r]);
    if (!isfinite(model->gaps[r]) || !isfinite(model->intercept[r]))
      return peri_fail(self->context, PERI_ERR_NUMERIC,
                       "%s: the numbers overflow at C = %g (scale the features, or "
                       "lower C)",
                       who, self->options->C);
  }
  return PERI_OK;
}

static peri_status run(fit *self, peri_blocks *blocks, int64_t n, const int64_t *y, const double *weights,
                       peri_linear_svc **out) {
  peri_grouping grouping;
  void *model;
  PERI_TRY(peri_svm_group(blocks, who, n, y, weights, self->options->C, &self->options->class_weights, &grouping));
  self->grouping = &grouping;
  PERI_TRY(peri_alloc(self->context, sizeof(peri_linear_svc), &model));
  memset(model, 0, sizeof(peri_linear_svc));
  *out = self->model = model;
  PERI_TRY(peri_alloc(self->context, sizeof(peri_blocks), (void **)&self->model->blocks));
  PERI_TRY(new_model(self->context, self, n, self->model));
  return solve(self, blocks);
}

peri_status peri_linear_svc_fit(peri_context *context, const peri_linear_svc_options *options, peri_dtype dtype,
                                int64_t n, int64_t d, const void *x, int64_t ldx, const int64_t *y,
                                const double *weights, peri_linear_svc **out) {
  *out = NULL;
  PERI_TRY(check_options(context, options));
  PERI_TRY(peri_svm_check_features(context, who, dtype, n, d, x, ldx));
  peri_blocks blocks = {.context = context};
  fit self = {.context = context, .options = options, .dtype = dtype, .d = d, .ldx = ldx, .x = x};
  peri_status status = run(&self, &blocks, n, y, weights, out);
  peri_blocks_release(&blocks);
  if (status != PERI_OK) peri_linear_svc_release(context, out);
  return status;
}

void peri_linear_svc_release(peri_context *context, peri_linear_svc **model) {
  if (*model == NULL) return;
  if ((*model)->blocks != NULL) {
    peri_blocks_release((*model)->blocks);
    peri_free(context, (*model)->blocks, sizeof(peri_blocks));
  }
  peri_free(context, *model, sizeof(peri_linear_svc));
  *model = NULL;
}

/* ---- decisions ---- */

#define ROWS 256

typedef struct decision_job {
  const peri_svm_kernels *kernels;
  const peri_linear_svc *model;
  peri_dtype dtype;
  int64_t m, ldx;
  const void *x;
  double *out;
} decision_job;

static void decision_body(void *arg, int64_t piece) {
  const decision_job *job = arg;
  const peri_linear_svc *model = job->model;
  int64_t end = peri_min(job->m, (piece + 1) * ROWS);
  for (int64_t i = piece * ROWS; i < end; i++) {
    const void *x = peri_at(job->dtype, job->x, job->ldx, i, 0);
    for (int64_t r = 0; r < model->rows; r++) {
      job->out[i * model->rows + r] =
          job->kernels->dot[peri_is_wide(job->dtype)](model->d, x, model->coef + r * model->d) + model->intercept[r];
    }
  }
}

peri_status peri_linear_svc_decision(peri_context *context, const peri_linear_svc *model, peri_dtype dtype, int64_t m,
                                     int64_t d, const void *x, int64_t ldx, double *out) {
  if (d != model->d)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: X has %lld features but the machine was fitted on %lld", who,
                     (long long)d, (long long)model->d);
  PERI_TRY(peri_svm_check_features(context, who, dtype, m, d, x, ldx));
  decision_job job = {
      .kernels = context->kernels->svm, .model = model, .dtype = dtype, .m = m, .ldx = ldx, .x = x, .out = out};
  return peri_parallel(context, (m + ROWS - 1) / ROWS, decision_body, &job);
}

peri_status peri_linear_svc_predict(peri_context *context, const peri_linear_svc *model, peri_dtype dtype, int64_t m,
                                    int64_t d, const void *x, int64_t ldx, int64_t *out) {
  peri_blocks blocks = {.context = context};
  double *decision;
  PERI_TRY(peri_blocks_new(&blocks, m * model->rows, sizeof *decision, &decision));
  peri_status status = peri_linear_svc_decision(context, model, dtype, m, d, x, ldx, decision);
  for (int64_t i = 0; status == PERI_OK && i < m; i++) {
    const double *row = decision + i * model->rows;
    int64_t best = model->rows == 1 ? row[0] > 0 : 0;
    for (int64_t r = 1; r < model->rows; r++) best = row[r] > row[best] ? r : best;
    out[i] = model->classes[best];
  }
  peri_blocks_release(&blocks);
  return status;
}
