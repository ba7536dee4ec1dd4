/* The family of linear machines: options, the table of solvers, fit; see linear.h. */
#include "svm/linear/problem.h"

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "svm/svm_kernels.h"

#include <math.h>

/* ---- names ---- */

static const char *const kind_names[PERI_LINEAR_KINDS] = {"LinearSVC", "LinearSVR", "LogisticRegression"};
static const char *const penalty_names[PERI_LINEAR_PENALTIES] = {"l2", "l1"};
static const char *const loss_names[PERI_LINEAR_LOSSES] = {"hinge", "squared_hinge", "epsilon_insensitive",
                                                           "squared_epsilon_insensitive", "logistic"};
static const char *const multi_class_names[PERI_LINEAR_MULTI_CLASSES] = {"ovr", "crammer_singer"};

static const char *name_of(const char *const *names, unsigned count, unsigned id) {
  return id < count ? names[id] : NULL;
}
const char *peri_linear_kind_name(peri_linear_kind kind) { return name_of(kind_names, PERI_LINEAR_KINDS, kind); }
const char *peri_linear_penalty_name(peri_linear_penalty penalty) {
  return name_of(penalty_names, PERI_LINEAR_PENALTIES, penalty);
}
const char *peri_linear_loss_name(peri_linear_loss loss) { return name_of(loss_names, PERI_LINEAR_LOSSES, loss); }
const char *peri_multi_class_name(peri_multi_class multi_class) {
  return name_of(multi_class_names, PERI_LINEAR_MULTI_CLASSES, multi_class);
}

/* ---- the table ---- */

/* Weights of a machine up to which their Hessian is worth having. To measure: ./dev bench parts linear. */
#define NEWTON_MOST 2048

/* Squares are smooth, and Newton steps end after a dozen. They cost d^2 for each row and d^3 for
 * each step, so that many features, or more of them than rows, go to the dual. */
static peri_status newton_or_dual(peri_linear_problem *p) {
  bool newton = p->width <= NEWTON_MOST && p->width <= p->rows;
  return newton ? peri_linear_newton(p) : peri_linear_dual(p);
}

typedef struct solver {
  peri_linear_kind kind;
  peri_linear_penalty penalty;
  peri_linear_loss loss;
  peri_multi_class multi_class;
  int64_t max_iter; /* where none is asked for */
  peri_status (*solve)(peri_linear_problem *p);
} solver;

static const solver solvers[] = {
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_SQUARED_HINGE, PERI_OVR, 1000, newton_or_dual},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_HINGE, PERI_OVR, 1000, peri_linear_dual},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L1, PERI_LOSS_SQUARED_HINGE, PERI_OVR, 1000, peri_linear_descent},
    {PERI_LINEAR_CLASSIFIER, PERI_PENALTY_L2, PERI_LOSS_HINGE, PERI_CRAMMER_SINGER, 100000, peri_linear_crammer_singer},
    {PERI_LINEAR_REGRESSOR, PERI_PENALTY_L2, PERI_LOSS_EPSILON, PERI_OVR, 1000, peri_linear_dual},
    {PERI_LINEAR_REGRESSOR, PERI_PENALTY_L2, PERI_LOSS_SQUARED_EPSILON, PERI_OVR, 1000, newton_or_dual},
    {PERI_LINEAR_LOGISTIC, PERI_PENALTY_L2, PERI_LOSS_LOGISTIC, PERI_OVR, 1000, peri_linear_newton},
    {PERI_LINEAR_LOGISTIC, PERI_PENALTY_L1, PERI_LOSS_LOGISTIC, PERI_OVR, 1000, peri_linear_descent},
};

static const solver *find_solver(const peri_linear_options *o) {
  for (size_t i = 0; i < PERI_COUNT(solvers); i++) {
    const solver *s = &solvers[i];
    if (s->kind != o->kind || s->multi_class != o->multi_class) continue;
    /* Crammer and Singer's problem has its own loss and penalty: the options are not read, as in scikit-learn */
    if (o->multi_class == PERI_CRAMMER_SINGER || (s->penalty == o->penalty && s->loss == o->loss)) return s;
  }
  return NULL;
}

/* ---- options ---- */

peri_linear_options peri_linear_defaults(peri_linear_kind kind) {
  static const peri_linear_loss losses[PERI_LINEAR_KINDS] = {PERI_LOSS_SQUARED_HINGE, PERI_LOSS_EPSILON,
                                                             PERI_LOSS_LOGISTIC};
  return (peri_linear_options){.kind = kind,
                               .penalty = PERI_PENALTY_L2,
                               .loss = losses[kind],
                               .C = 1,
                               .tol = 1e-4,
                               .max_iter = -1,
                               .fit_intercept = true,
                               .intercept_scaling = 1,
                               .time_limit = INFINITY};
}

static peri_status check_numbers(peri_context *context, const char *who, const peri_linear_options *o) {
  if (!(o->C > 0) || isinf(o->C))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: C is %g (expected a finite number > 0)", who, o->C);
  if (!(o->epsilon >= 0) || isinf(o->epsilon))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: epsilon is %g (expected a finite number >= 0)", who, o->epsilon);
  if (!(o->tol > 0) || isinf(o->tol))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: tol is %g (expected a number > 0)", who, o->tol);
  if (o->max_iter < 1 && o->max_iter != -1)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: max_iter is %lld (expected >= 1, or -1)", who,
                     (long long)o->max_iter);
  if (o->fit_intercept && (!(o->intercept_scaling > 0) || isinf(o->intercept_scaling)))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: intercept_scaling is %g (expected a number > 0)", who,
                     o->intercept_scaling);
  if (!(o->time_limit > 0))
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: time_limit is %g (expected seconds > 0)", who, o->time_limit);
  return PERI_OK;
}

static peri_status check_options(peri_context *context, const peri_linear_options *o, const solver **out) {
  const char *who = peri_linear_kind_name(o->kind);
  if (who == NULL) return peri_fail(context, PERI_ERR_ARGUMENT, "there is no linear machine number %d", (int)o->kind);
  PERI_TRY(check_numbers(context, who, o));
  const char *penalty = peri_linear_penalty_name(o->penalty), *loss = peri_linear_loss_name(o->loss);
  if (penalty == NULL || loss == NULL || peri_multi_class_name(o->multi_class) == NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there is no penalty %d, loss %d or multi_class %d", who,
                     (int)o->penalty, (int)o->loss, (int)o->multi_class);
  *out = find_solver(o);
  if (*out == NULL)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: loss '%s' does not go with penalty '%s'%s", who, loss, penalty,
                     o->penalty == PERI_PENALTY_L1 && o->kind == PERI_LINEAR_CLASSIFIER
                         ? " (expected loss 'squared_hinge', or penalty 'l2')"
                         : "");
  return PERI_OK;
}

/* ---- the problem ---- */

/* The rows of a regression that take part, with their targets. */
static peri_status take_targets(peri_linear_problem *p, const peri_svm_samples *samples, peri_grouping *grouping) {
  const double *targets = samples->targets;
  double *kept;
  for (int64_t i = 0; i < samples->n; i++) {
    if (!isfinite(targets[i]))
      return peri_fail(p->context, PERI_ERR_ARGUMENT, "%s: y has %g in row %lld (expected finite numbers)", p->who,
                       targets[i], (long long)i + 1);
  }
  PERI_TRY(peri_svm_group_all(p->blocks, p->who, samples, grouping));
  PERI_TRY(peri_blocks_new(p->blocks, grouping->rows, sizeof *kept, &kept));
  for (int64_t i = 0; i < grouping->rows; i++) {
    grouping->bound[i] *= p->options->C;
    kept[i] = targets[grouping->order[i]];
  }
  p->targets = kept;
  p->machines = 1;
  return PERI_OK;
}

/* The rows of a classifier, which the grouping has by class, in the order of x: passes read its features as they
 * lie in memory. */
static peri_status take_labels(peri_linear_problem *p, const peri_svm_samples *samples, peri_grouping *grouping) {
  const peri_linear_options *o = p->options;
  int64_t n = samples->n, *owner, *at, *class_of;
  double *bound;
  PERI_TRY(peri_svm_group(p->blocks, p->who, samples, o->C, &o->class_weights, grouping));
  PERI_TRY(peri_blocks_new(p->blocks, grouping->rows, sizeof *owner, &owner));
  PERI_TRY(peri_blocks_new(p->blocks, grouping->rows, sizeof *bound, &bound));
  PERI_TRY(peri_blocks_new(p->blocks, grouping->rows, sizeof *class_of, &class_of));
  PERI_TRY(peri_blocks_new(p->blocks, n, sizeof *at, &at));
  for (int64_t i = 0; i < n; i++) at[i] = -1;
  for (int64_t c = 0, g = 0; c < grouping->k; c++) {
    for (; g < grouping->start[c + 1]; g++) {
      at[grouping->order[g]] = g;
      class_of[g] = c;
    }
  }
  for (int64_t i = 0, row = 0; i < n; i++) {
    if (at[i] < 0) continue;
    owner[row] = class_of[at[i]];
    bound[row] = grouping->bound[at[i]];
    at[row++] = i; /* row <= i */
  }
  grouping->order = at;
  grouping->bound = bound;
  p->owner = owner;
  p->grouping = grouping;
  p->machines = grouping->k == 2 && o->multi_class == PERI_OVR ? 1 : grouping->k;
  return PERI_OK;
}

#define ROWS 1024 /* of a piece */

static void squares_body(void *arg, int64_t piece) {
  peri_linear_problem *p = arg;
  int64_t end = peri_min(p->rows, (piece + 1) * ROWS);
  for (int64_t i = piece * ROWS; i < end; i++) {
    p->square[i] = p->context->kernels->svm->square[p->wide](p->d, peri_linear_row(p, i)) + p->constant * p->constant;
  }
}

/* Of a row whose squares may overflow. */
static double length_of(const peri_linear_problem *p, int64_t i) {
  double length = p->constant;
  for (int64_t j = 0; j < p->d; j++) length = peri_hypot(length, peri_value(p->dtype, peri_linear_row(p, i), j));
  return length;
}

static peri_status take_squares(peri_linear_problem *p) {
  PERI_TRY(peri_blocks_new(p->blocks, p->rows, sizeof *p->square, &p->square));
  PERI_TRY(peri_parallel(p->context, (p->rows + ROWS - 1) / ROWS, squares_body, p));
  for (int64_t i = 0; i < p->rows; i++) {
    if (!(p->square[i] * p->bound[i] < 1e300))
      return peri_fail(p->context, PERI_ERR_NUMERIC,
                       "%s: row %lld of X is of length %g, too large at C = %g (scale the features, or lower C)",
                       p->who, (long long)p->order[i] + 1, length_of(p, i), p->options->C);
    p->largest = peri_larger(p->largest, p->square[i]);
  }
  return PERI_OK;
}

/* ---- the model ---- */

static peri_status fill_new(peri_context *context, const peri_linear_options *options, int64_t n, int64_t d, int64_t k,
                            peri_linear *model) {
  void *fresh;
  *model = (peri_linear){.options = *options, .n = n, .d = d, .k = k, .rows = k > 2 ? k : 1};
  model->options.class_weights.list = NULL;
  model->options.class_weights.count = 0;
  PERI_TRY(peri_alloc(context, sizeof *model->blocks, &fresh));
  peri_blocks *blocks = model->blocks = fresh;
  *blocks = (peri_blocks){.context = context};
  PERI_TRY(peri_blocks_new(blocks, k, sizeof *model->classes, &model->classes));
  PERI_TRY(peri_blocks_new(blocks, model->rows * d, sizeof *model->coef, &model->coef));
  PERI_TRY(peri_blocks_new_zeroed(blocks, model->rows, sizeof *model->intercept, &model->intercept));
  PERI_TRY(peri_blocks_new(blocks, model->rows, sizeof *model->n_iter, &model->n_iter));
  return peri_blocks_new(blocks, model->rows, sizeof *model->gaps, &model->gaps);
}

peri_status peri_linear_new(peri_context *context, const peri_linear_options *options, int64_t n, int64_t d, int64_t k,
                            peri_linear **out) {
  void *fresh;
  *out = NULL;
  PERI_TRY(peri_alloc(context, sizeof **out, &fresh));
  *out = fresh;
  peri_status status = fill_new(context, options, n, d, k, *out);
  if (status != PERI_OK) peri_linear_release(context, out);
  return status;
}

static peri_status new_model(peri_linear_problem *p, int64_t n, peri_linear **out) {
  int64_t k = p->grouping != NULL ? p->grouping->k : 0;
  PERI_TRY(peri_linear_new(p->context, p->options, n, p->d, k, out));
  if (k > 0) memcpy((*out)->classes, p->grouping->classes, (size_t)k * sizeof *(*out)->classes);
  return PERI_OK;
}

static peri_status new_machines(peri_linear_problem *p) {
  PERI_TRY(peri_blocks_new_zeroed(p->blocks, p->machines * p->width, sizeof *p->w, &p->w));
  PERI_TRY(peri_blocks_new_zeroed(p->blocks, p->machines, sizeof *p->n_iter, &p->n_iter));
  PERI_TRY(peri_blocks_new_zeroed(p->blocks, p->machines, sizeof *p->gaps, &p->gaps));
  return peri_blocks_new_zeroed(p->blocks, p->machines, sizeof *p->reached, &p->reached);
}

/* Crammer and Singer's two machines for two classes become their difference. */
static peri_status take_machines(const peri_linear_problem *p, peri_linear *model) {
  bool finite = true;
  for (int64_t r = 0; r < model->rows; r++) {
    const double *w = p->w + r * p->width, *less = p->machines > model->rows ? w : NULL;
    w += less != NULL ? p->width : 0;
    double sum = 0;
    for (int64_t j = 0; j < p->d; j++) {
      model->coef[r * p->d + j] = w[j] - (less != NULL ? less[j] : 0);
      sum += fabs(model->coef[r * p->d + j]);
    }
    if (p->constant > 0) model->intercept[r] = p->constant * (w[p->d] - (less != NULL ? less[p->d] : 0));
    model->n_iter[r] = p->n_iter[r];
    model->gaps[r] = p->gaps[r];
    model->gap = peri_larger(model->gap, model->gaps[r]);
    model->fit_status |= !p->reached[r];
    finite &= isfinite(sum) && isfinite(model->intercept[r]) && isfinite(model->gaps[r]);
  }
  if (finite) return PERI_OK;
  return peri_fail(p->context, PERI_ERR_NUMERIC, "%s: the numbers overflow at C = %g (scale the features, or lower C)",
                   p->who, p->options->C);
}

/* ---- fit ---- */

static peri_status run(peri_linear_problem *p, const solver *s, const peri_svm_samples *samples, peri_linear **out) {
  peri_grouping grouping;
  PERI_TRY(p->options->kind == PERI_LINEAR_REGRESSOR ? take_targets(p, samples, &grouping)
                                                     : take_labels(p, samples, &grouping));
  p->rows = grouping.rows;
  p->order = grouping.order;
  p->bound = grouping.bound;
  PERI_TRY(take_squares(p));
  PERI_TRY(new_model(p, samples->n, out));
  PERI_TRY(new_machines(p));
  PERI_TRY(s->solve(p));
  return take_machines(p, *out);
}

peri_status peri_linear_fit(peri_context *context, const peri_linear_options *options, const peri_svm_samples *samples,
                            peri_linear **out) {
  peri_dtype dtype = samples->dtype;
  int64_t d = samples->d;
  double start = peri_now();
  const solver *s;
  *out = NULL;
  PERI_TRY(check_options(context, options, &s));
  const char *who = peri_linear_kind_name(options->kind);
  PERI_TRY(peri_svm_check_features(context, who, dtype, samples->n, d, samples->x, samples->ldx));
  peri_blocks blocks = {.context = context};
  peri_linear_problem p = {.context = context,
                           .who = who,
                           .options = options,
                           .kernels = context->kernels->linear,
                           .blocks = &blocks,
                           .dtype = dtype,
                           .wide = peri_is_wide(dtype),
                           .d = d,
                           .width = d + options->fit_intercept,
                           .x = samples->x,
                           .ldx = samples->ldx,
                           .constant = options->fit_intercept ? options->intercept_scaling : 0,
                           .max_iter = options->max_iter > 0 ? options->max_iter : s->max_iter,
                           .deadline = start + options->time_limit};
  peri_status status = run(&p, s, samples, out);
  peri_blocks_release(&blocks);
  if (status != PERI_OK) peri_linear_release(context, out);
  return status;
}

void peri_linear_release(peri_context *context, peri_linear **model) {
  if (*model == NULL) return;
  if ((*model)->blocks != NULL) {
    peri_blocks_release((*model)->blocks);
    peri_free(context, (*model)->blocks, sizeof(peri_blocks));
  }
  peri_free(context, *model, sizeof(peri_linear));
  *model = NULL;
}
