/* The solver of the quadratic programme of smo.h: dense problems, nested.
 *
 * Steps run on a dense problem: the whole matrix, or a block of variables whose matrix was
 * gathered. Blocks serve two purposes with the same code. Over a whole matrix they are the variables
 * that are not pinned to a bound by their gradient (shrinking): few near the end, so that steps are
 * short. Over rows that have to be computed they are the most violating variables, as many as rows fit
 * (decomposition, Joachims 1998). When steps on pairs take long on a block, Newton steps on its free
 * variables finish it; not with an indefinite kernel, where it should depend on pairs alone, as in
 * LIBSVM, which stationary point is found. After a block the full gradient is brought up to date, and
 * optimality is always judged on all variables, in the end with a gradient computed anew. */
#include "svm/kernel/smo_solver.h"

#include <float.h>
#include <math.h>

/* To measure: ./dev bench parts machines; from DENIALS on they end what rounding would let go on for ever. */
#define PERIOD        1000 /* most steps on all variables between looks at shrinking */
#define BLOCK_STEPS   4    /* for each variable of a block, between looks at its state */
#define MANY_STEPS    2    /* for each variable */
#define ROUGH         0.99 /* of tol, on a rounded copy: so that it is likely reached on the matrix */
#define DENIALS       20   /* after which tol is taken to be below the rounding error */
#define POLISH        1e-3 /* of tol, at the end */
#define POLISH_ROUNDS 3
#define PATIENCE      50  /* rounds without progress near the rounding error */
#define NEAR          1e4 /* times that error */

/* ---- blocks ---- */

/* Newton steps where they cost less than the steps on pairs since the last ones; returns what is
 * left of the work to weigh the next ones against. */
static double finish(const peri_smo_block *block, double tol, double work) {
  int64_t free_ones = 0;
  for (int64_t a = 0; a < block->count; a++) free_ones += peri_dense_is_free(&block->problem, a);
  double cost = (double)free_ones * (double)free_ones * (double)free_ones / 3;
  if (cost > work) return work;
  int64_t newton_steps = peri_dense_newton(&block->problem, tol, block->newton_most, block->newton);
  return newton_steps == 0 ? work : 0;
}

/* About the rounding error of the gradient q + Kb. */
static double rounding_error(const peri_smo_solver *self, int64_t n, const double *beta) {
  double sum = 0;
  for (int64_t t = 0; t < n; t++) sum += fabs(beta[t]);
  return DBL_EPSILON * (self->linear + self->scale * sum);
}

/* Whether the gradient says nothing any more: its gap is rounding, or q is lost beside Kb, as where no bound keeps b
 * from growing for ever. */
static bool is_lost(const peri_smo_solver *self, double gap, double noise) {
  return gap < noise || (self->linear > 0 && noise > self->linear) || !isfinite(noise);
}

/* Looks at the clock and asks the caller. Cheap enough for some thousand steps. */
static bool goes_on(peri_smo_solver *self, double gap) {
  const peri_smo_limits *limits = self->limits;
  if (peri_turn_late(limits->turn)) self->ended = true;
  if (!self->ended && limits->go_on != NULL && !limits->go_on(limits->arg, self->steps, gap)) self->ended = true;
  return !self->ended;
}

/* Solves on the block to tol, or until a quarter of it has become inactive. */
static peri_outcome run_block(peri_smo_solver *self, double tol) {
  peri_smo_block *block = self->smo->block;
  double work = 0;
  peri_outcome result = PERI_PAUSED;
  while (result == PERI_PAUSED && self->steps < self->limit && !peri_cancelled(self->context)) {
    int64_t some = peri_min(BLOCK_STEPS * peri_min(block->count, PERI_SMO_BLOCK), self->limit - self->steps);
    result = peri_dense_run(&block->problem, self->context, tol, some, &self->steps);
    if (result != PERI_PAUSED) break;
    if (peri_dense_count_active(&block->problem) < block->count * 3 / 4) break;
    work += 2.0 * (double)some * (double)block->count;
    if (self->source->definite) work = finish(block, tol, work);
    peri_dense_view view = peri_dense_look(&block->problem);
    double gap = peri_dense_gap(&block->problem, &view);
    if (is_lost(self, gap, rounding_error(self, block->count, block->problem.beta)) || !goes_on(self, gap)) break;
  }
  return result;
}

/* ---- shrinking: over a whole matrix ---- */

/* Makes the active variables the block, if they are at most `most`; else leaves it empty. */
static void shrink(peri_smo_solver *self, const peri_dense_view *view, int64_t most) {
  const peri_dense *p = &self->whole;
  peri_smo_block *block = self->smo->block;
  block->count = 0;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t from = p->segment[s].position;
    for (int64_t t = from; t < from + p->segment[s].count; t++) {
      if (!peri_dense_is_active(p, t, &view->of[s])) continue;
      if (block->count == most) {
        block->count = 0;
        return;
      }
      block->member[block->count++] = t;
    }
  }
}

/* Once tol is reached: a little more where it costs less than the steps so far, because a gap below tol still leaves
 * an objective that is off by as much as the gap times all of b. Newton steps on the free variables, steps on pairs
 * for those that have to leave a bound, and again. */
static peri_status polish(peri_smo_solver *self, const peri_dense_view *view) {
  peri_smo_block *block = self->smo->block;
  double tol = peri_larger(POLISH * self->tol, self->noise), work = 2.0 * (double)self->steps * (double)self->smo->n;
  shrink(self, view, peri_min(block->most, PERI_SMO_BLOCK));
  if (block->count == 0) return PERI_OK;
  PERI_TRY(peri_smo_gather(self));
  for (int round = 0; round < POLISH_ROUNDS; round++) {
    finish(block, tol, work);
    int64_t some = peri_min(BLOCK_STEPS * block->count, self->limit - self->steps);
    if (peri_dense_run(&block->problem, self->context, tol, some, &self->steps) != PERI_PAUSED) break;
  }
  return peri_smo_scatter(self);
}

/* Steps on a large block take as long as reading two of its rows. A float64 matrix is first copied as float32, half
 * as long to read: the gradient is brought up to date from the matrix itself, and what rounding has left to do is done
 * on exact copies. */
static peri_status solve_block(peri_smo_solver *self, peri_outcome *result) {
  self->rough =
      !self->refined && self->whole.wide && self->source->definite && self->smo->block->count > PERI_SMO_BLOCK;
  PERI_TRY(peri_smo_gather(self));
  *result = run_block(self, self->rough ? ROUGH * self->tol : self->tol);
  if (self->rough) {
    self->rough = false;
    self->refined = true;
    *result = PERI_PAUSED; /* whatever it was on the copy */
  }
  return peri_smo_scatter(self);
}

/* The most variables of a block that pays: half of them, of which a kink makes two of each in a small problem; after
 * many steps, with many to come, three quarters of a large one; and what allows Newton steps, where steps on pairs take
 * so long that these are wanted. */
static int64_t paying_block(const peri_smo_solver *self) {
  const peri_smo *smo = self->smo;
  int64_t n = smo->n, most = peri_max(n / 2, smo->kink > 0 ? peri_min(n, PERI_SMO_BLOCK) : 0);
  if (n > 2 * PERI_SMO_BLOCK && self->steps > MANY_STEPS * n) most = n * 3 / 4;
  if (self->steps > BLOCK_STEPS * n && self->source->definite) most = peri_max(most, PERI_SMO_BLOCK);
  return peri_min(most, smo->block->most);
}

static peri_status round_over_matrix(peri_smo_solver *self, const peri_dense_view *view, peri_outcome *result) {
  int64_t n = self->smo->n, period = peri_min(peri_max(self->smo->kink > 0 ? n : n / 2, 50), PERIOD);
  self->smo->block->count = 0;
  if (self->steps > 0) shrink(self, view, paying_block(self));
  if (self->smo->block->count == 0) {
    *result = peri_dense_run(&self->whole, self->context, self->tol, peri_min(period, self->limit - self->steps),
                             &self->steps);
    self->drift = INFINITY; /* steps are not weighed: the gradient is rebuilt before it is believed */
    return PERI_OK;
  }
  return solve_block(self, result);
}

/* ---- decomposition: over rows that are computed ---- */

static peri_status round_over_rows(peri_smo_solver *self, const peri_dense_view *view, peri_outcome *result) {
  double gap = peri_dense_gap(&self->whole, view);
  peri_smo_choose(self, view);
  PERI_TRY(peri_smo_gather(self));
  *result = run_block(self, peri_larger(0.5 * self->tol, 0.1 * gap));
  return peri_smo_scatter(self);
}

/* ---- the solution ---- */

/* The threshold of segments first .. last: the mean slope of free variables; with none, the middle of the
 * interval that the bounds allow, or its finite end. */
static double threshold(const peri_dense *p, int64_t first, int64_t last, const peri_svm_extremes *e) {
  double sum = 0;
  int64_t count = 0, end = p->segment[last].position + p->segment[last].count;
  for (int64_t t = p->segment[first].position; t < end; t++) {
    if (!peri_dense_is_free(p, t)) continue;
    sum += peri_dense_up_slope(p, t);
    count++;
  }
  if (count > 0) return sum / (double)count;
  if (isinf(e->up)) return isinf(e->down) ? 0 : e->down;
  return isinf(e->down) ? e->up : (e->up + e->down) / 2;
}

static void conclude(const peri_smo_solver *self, const peri_dense_view *view, peri_smo_result *result) {
  const peri_smo *smo = self->smo;
  double objective = 0;
  for (int64_t t = 0; t < smo->n; t++)
    objective += 0.5 * smo->beta[t] * (smo->gradient[t] + smo->linear[t]) + smo->kink * fabs(smo->beta[t]);
  double gap = peri_dense_gap(&self->whole, view), tol = self->limits->tol;
  if (self->noise >= tol) gap = peri_larger(gap, self->noise);
  double of_values = self->whole.wide ? 1 : (double)(FLT_EPSILON / DBL_EPSILON);
  *result = (peri_smo_result){.iterations = self->steps,
                              .gap = gap > 0 ? gap : 0,
                              .least = peri_smaller(view->of[0].up, view->of[smo->segments - 1].up),
                              .noise = self->noise * of_values,
                              .objective = objective,
                              .converged = gap < tol,
                              .limited = self->ended || self->steps >= self->limit};
  for (int64_t s = 0; s < PERI_SMO_SEGMENTS; s++) {
    int64_t one = peri_min(s, smo->segments - 1);
    result->rho[s] = smo->separate ? threshold(&self->whole, one, one, &view->of[one])
                                   : threshold(&self->whole, 0, smo->segments - 1, &view->of[0]);
  }
  if (!isfinite(result->objective)) result->gap = INFINITY, result->converged = false;
}

/* Whether rounds have stopped to lower the gap so near the rounding error that they will not. */
typedef struct patience {
  double best, stuck;
  int rounds;
} patience;

static bool is_hopeless(const peri_smo_solver *self, patience *p, double gap, bool stuck) {
  if (is_lost(self, gap, self->noise)) return true;
  if (stuck) { /* no step changes anything: a gradient computed anew may, as long as that halves the gap */
    if (!(gap < 0.5 * p->stuck)) return true;
    p->stuck = gap;
  }
  if (gap < 0.9 * p->best) {
    p->best = gap;
    p->rounds = 0;
  }
  return p->rounds++ > PATIENCE && gap < NEAR * self->noise;
}

/* Rounds until the gap is below tol. A gap that updated gradients show is believed when one computed anew shows
 * it too. */
static peri_status solve(peri_smo_solver *self, peri_dense_view *view) {
  peri_outcome result = PERI_PAUSED;
  int denials = 0; /* how often a rebuilt gradient has contradicted the updated one */
  bool polished = !self->source->definite || self->source->matrix == NULL;
  patience waited = {.best = INFINITY, .stuck = INFINITY};
  for (;;) {
    self->noise = rounding_error(self, self->smo->n, self->smo->beta);
    self->tol = peri_larger(self->limits->tol, self->noise);
    *view = peri_dense_look(&self->whole);
    double gap = peri_dense_gap(&self->whole, view);
    bool reached = !(gap >= self->tol);
    bool over = reached || self->steps >= self->limit || !goes_on(self, gap);
    if ((over || result == PERI_STUCK) && self->drift > 0.01 * self->tol) {
      PERI_TRY(peri_smo_rebuild(self));
      *view = peri_dense_look(&self->whole);
      gap = peri_dense_gap(&self->whole, view);
      if (reached && gap >= self->tol && denials++ < DENIALS) over = false;
    }
    if (over && reached && !polished && self->steps > 0) {
      polished = true;
      PERI_TRY(polish(self, view));
      continue;
    }
    if (over || is_hopeless(self, &waited, gap, result == PERI_STUCK)) return PERI_OK;
    if (self->source->matrix != NULL)
      PERI_TRY(round_over_matrix(self, view, &result));
    else
      PERI_TRY(round_over_rows(self, view, &result));
    if (peri_cancelled(self->context)) return PERI_ERR_CANCELLED;
  }
}

peri_status peri_smo_solve(peri_context *context, peri_row_source *source, peri_smo *smo, bool warm,
                           const peri_smo_limits *limits, peri_smo_result *result) {
  peri_smo_solver self = {
      .context = context, .source = source, .smo = smo, .limits = limits, .limit = limits->max_iter};
  self.whole = (peri_dense){.kernels = context->kernels->svm,
                            .wide = peri_is_wide(source->dtype),
                            .separate = smo->separate,
                            .kink = smo->kink,
                            .segments = smo->segments,
                            .gradient = smo->gradient,
                            .beta = smo->beta,
                            .low = smo->low,
                            .high = smo->high,
                            .diagonal = smo->diagonal,
                            .state = smo->state,
                            .number = smo->number,
                            .matrix = source->matrix,
                            .row_bytes = source->ld * (int64_t)peri_float_size(source->dtype)};
  memcpy(self.whole.segment, smo->segment, sizeof smo->segment);
  for (int64_t t = 0; t < smo->n; t++) {
    smo->state[t] = peri_dense_state(&self.whole, t);
    self.scale = peri_larger(self.scale, fabs(smo->diagonal[t]));
    self.linear = peri_larger(self.linear, fabs(smo->linear[t]));
  }
  self.linear = peri_larger(self.linear, smo->kink);
  smo->block->count = 0;
  if (warm)
    self.drift = INFINITY;
  else
    PERI_TRY(peri_smo_rebuild(&self));
  peri_dense_view view;
  PERI_TRY(solve(&self, &view));
  conclude(&self, &view, result);
  return PERI_OK;
}
