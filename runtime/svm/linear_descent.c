/* Machines with L1 penalty by coordinate descent in the weights (Yuan, Chang, Hsieh, Lin 2010).
 *
 *     min_w  |w|_1 + sum_i C_i loss(f_i, y_i),   f_i = w'x_i
 * For feature j, with L' = sum_i loss'_i x_ij and L'' = sum_i loss''_i x_ij^2, the step d minimises
 * |w_j + d| + L' d + 1/2 L'' d^2:
 *     d = -(L' + 1) / L''  if L' + 1 <= L'' w_j,   -(L' - 1) / L''  if L' - 1 >= L'' w_j,   else -w_j.
 * It is taken whole when the derivative of the objective along d has at its end at most half of its size at the
 * beginning, or is still negative; else a zero of that monotone derivative is bracketed until this holds. (The
 * paper compares values, whose differences drown in rounding near the minimum.)
 *
 * Violation of a feature: |L' + 1| for w_j > 0, |L' - 1| for w_j < 0, max(0, |L'| - 1) for w_j = 0. Features at 0
 * that are inside by more than the largest violation of the last pass over n are left out until the rest has
 * converged. Features are read by column, so that they are transposed first. */
#include "svm/linear_problem.h"

#include "kernels/kernels.h"

#define SEARCHES 30
#define COLUMNS  16    /* transposed at a time */
#define TINY     1e-12 /* added to a curvature */

typedef struct state { /* of all rows at some w */
  double *f, *slope, *curvature;
} state;

typedef struct descent {
  peri_linear_problem *problem;
  int loss;
  char *columns;   /* width x rows, of the dtype of the features */
  double *scratch; /* for each thread */
  int64_t *order;  /* machines x width */
  peri_turns turns;
} descent;

typedef struct machine {
  const descent *self;
  int64_t active, *order;
  double *w, *y;
  state now, trial;
  peri_stream stream;
  peri_turn turn;
  double sum, worst, allowed;
} machine;

#define ARRAYS 7 /* of a machine: two states and y */

/* ---- columns ---- */

static void transpose_body(void *arg, int64_t piece) {
  const descent *self = arg;
  const peri_linear_problem *p = self->problem;
  int64_t from = piece * COLUMNS, end = peri_min(p->width, from + COLUMNS);
  for (int64_t i = 0; i < p->rows; i++) {
    const void *x = peri_linear_row(p, i);
    if (i % 65536 == 0 && peri_cancelled(p->context)) return;
    for (int64_t j = from; j < end; j++) {
      double value = j < p->d ? peri_value(p->dtype, x, j) : p->constant;
      if (p->wide)
        ((double *)(void *)self->columns)[j * p->rows + i] = value;
      else
        ((float *)(void *)self->columns)[j * p->rows + i] = (float)value;
    }
  }
}

static const void *column(const machine *m, int64_t j) {
  const peri_linear_problem *p = m->self->problem;
  return peri_at(p->dtype, m->self->columns, p->rows, j, 0);
}

/* ---- one feature ---- */

static void derive(const machine *m, state *s) {
  const peri_linear_problem *p = m->self->problem;
  p->kernels->derive[m->self->loss](p->rows, s->f, m->y, p->bound, 0, s->slope, s->curvature);
}

static double violation_of(double w, double slope) {
  return w > 0 ? fabs(slope + 1) : w < 0 ? fabs(slope - 1) : fmax(0, fabs(slope) - 1);
}

static double step_of(double w, double slope, double curvature) {
  if (slope + 1 <= curvature * w) return -(slope + 1) / curvature;
  if (slope - 1 >= curvature * w) return -(slope - 1) / curvature;
  return -w;
}

/* Puts `trial` at w_j + t and returns the derivative there against the direction of t, seen from w_j. */
static double slope_after(machine *m, int64_t j, double t) {
  const peri_linear_problem *p = m->self->problem;
  double to = m->w[j] + t, side = to != 0 ? to : m->w[j];
  p->kernels->shifted[p->wide](p->rows, column(m, j), t, m->now.f, m->trial.f);
  derive(m, &m->trial);
  double slope = p->kernels->against[p->wide](p->rows, column(m, j), m->trial.slope) + (side > 0 ? 1 : -1);
  return t > 0 ? slope : -slope;
}

/* Moves w_j by about d, whose derivative at the beginning is `start` < 0. */
static void move(machine *m, int64_t j, double d, double start) {
  double low = 0, high = 1, t = 1;
  for (int round = 0; round < SEARCHES; round++) {
    double slope = slope_after(m, j, t * d);
    if (fabs(slope) <= -start / 2 || (t == 1 && slope < 0)) break;
    if (slope < 0)
      low = t;
    else
      high = t;
    t = (low + high) / 2;
  }
  m->w[j] = t == 1 && d == -m->w[j] ? 0 : m->w[j] + t * d;
  state kept = m->now;
  m->now = m->trial;
  m->trial = kept;
}

/* Visits feature j: true when it is to be left out from now on. */
static bool visit(machine *m, int64_t j) {
  const peri_linear_problem *p = m->self->problem;
  double w = m->w[j], slope = p->kernels->against[p->wide](p->rows, column(m, j), m->now.slope);
  double violation = violation_of(w, slope);
  if (w == 0 && fabs(slope) < 1 - m->allowed) return true;
  m->sum += violation;
  m->worst = fmax(m->worst, violation);
  if (violation == 0) return false;
  double curvature = p->kernels->squares_against[p->wide](p->rows, column(m, j), m->now.curvature) + TINY;
  double d = step_of(w, slope, curvature);
  if (fabs(d) < 1e-14 * fabs(w) || d == 0) return false;
  double side = w != 0 ? w : d, start = (slope + (side > 0 ? 1 : -1)) * (d > 0 ? 1 : -1);
  if (start < 0) move(m, j, d, start);
  return false;
}

/* ---- one machine ---- */

/* One pass over the active features; false when it was stopped. */
static bool pass(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->rows * 8);
  m->sum = m->worst = 0;
  for (int64_t s = m->active - 1; s > 0; s--) {
    int64_t other = (int64_t)peri_stream_below(&m->stream, (uint64_t)s + 1), kept = m->order[s];
    m->order[s] = m->order[other];
    m->order[other] = kept;
  }
  for (int64_t s = 0; s < m->active; s++) {
    if (s % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
    int64_t j = m->order[s];
    if (!visit(m, j)) continue;
    m->order[s--] = m->order[--m->active];
    m->order[m->active] = j;
  }
  return true;
}

/* Sum of all violations as they stand. */
static double measure(const machine *m) {
  const peri_linear_problem *p = m->self->problem;
  double sum = 0;
  for (int64_t j = 0; j < p->width && !peri_cancelled(p->context); j++) {
    sum += violation_of(m->w[j], p->kernels->against[p->wide](p->rows, column(m, j), m->now.slope));
  }
  return sum;
}

static machine new_machine(const descent *self, int64_t number) {
  const peri_linear_problem *p = self->problem;
  double *at = self->scratch + peri_worker() * ARRAYS * p->rows;
  machine m = {.self = self,
               .active = p->width,
               .order = self->order + number * p->width,
               .w = p->w + number * p->width,
               .y = at,
               .now = {at + p->rows, at + 2 * p->rows, at + 3 * p->rows},
               .trial = {at + 4 * p->rows, at + 5 * p->rows, at + 6 * p->rows},
               .stream = {.seed = p->options->seed, .block = (uint64_t)number << 48},
               .allowed = INFINITY};
  for (int64_t i = 0; i < p->rows; i++) {
    m.y[i] = peri_linear_target(p, number, i);
    m.now.f[i] = 0;
  }
  for (int64_t j = 0; j < p->width; j++) m.order[j] = j;
  derive(&m, &m.now);
  return m;
}

static void machine_body(void *arg, int64_t number) {
  descent *self = arg;
  const peri_linear_problem *p = self->problem;
  machine m = new_machine(self, number);
  peri_turn_begin(&self->turns, &m.turn);
  double share = fmax(peri_linear_smaller_share(p, number), 1 / (double)p->rows), scale = measure(&m) * share;
  bool reached = scale == 0;
  int64_t passes = 0;
  while (!reached && passes < p->options->max_iter && pass(&m)) {
    passes++;
    p->gaps[number] = m.sum / scale;
    m.allowed = m.worst / (double)p->rows;
    if (p->gaps[number] > p->options->tol) continue;
    reached = m.active == p->width;
    m.active = p->width;
    m.allowed = INFINITY;
  }
  if (!reached) p->gaps[number] = measure(&m) / scale;
  p->reached[number] = reached || p->gaps[number] <= p->options->tol;
  p->n_iter[number] = peri_max(1, passes);
  peri_turn_end(&m.turn);
}

peri_status peri_linear_descent(peri_linear_problem *p) {
  descent self = {.problem = p,
                  .loss = p->options->loss == PERI_LOSS_LOGISTIC ? PERI_SMOOTH_LOGISTIC : PERI_SMOOTH_HINGE};
  size_t column_bytes = (size_t)p->rows * peri_float_size(p->dtype);
  PERI_TRY(peri_blocks_new(p->blocks, p->width, column_bytes, &self.columns));
  PERI_TRY(peri_blocks_new(p->blocks, (int64_t)p->context->threads * ARRAYS * p->rows, sizeof(double), &self.scratch));
  PERI_TRY(peri_blocks_new(p->blocks, p->machines * p->width, sizeof *self.order, &self.order));
  PERI_TRY(peri_parallel(p->context, (p->width + COLUMNS - 1) / COLUMNS, transpose_body, &self));
  peri_turns_begin(&self.turns, p->deadline, NULL, p->machines);
  return peri_parallel(p->context, p->machines, machine_body, &self);
}
