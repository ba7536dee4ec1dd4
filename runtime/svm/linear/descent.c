/* Machines with L1 penalty by Newton steps, each found by coordinate descent (Yuan, Ho, Lin 2012).
 *
 *     min_w  P(w) = |w|_1 + L(w),   L(w) = sum_i C_i loss(f_i, y_i),   f_i = w'x_i
 * A step d minimises  L'd + 1/2 d'Hd + |w + d|_1  with H = sum_i loss''_i x_i x_i', not more exactly than the way
 * that is left deserves. With z_i = loss'_i + loss''_i (x_i'd), kept up to date, feature j sees the slope
 * G = sum_i z_i x_ij and the curvature H_jj, and moves from u = w_j + d_j by
 *     -(G + 1) / H_jj  if G + 1 <= H_jj u,   -(G - 1) / H_jj  if G - 1 >= H_jj u,   else -u.
 * So a visit is a product with the feature's column, and as a rule nothing more; exponentials are computed once for
 * a step of all features, where descent in P itself computes them for each. When the passes of a step have cost what
 * H costs, it is computed: from then on the slopes of all features are at hand, and a move adds a row of H to them.
 *
 * P is convex. Along d it has fallen at t where its derivative is not positive; else t = 1, 1/2, 1/4 .. is taken where
 * P is not larger than at 0 and its derivative at most half of that at 0 is in size: then at least half of what the
 * line has to give is taken, or t is 1. f is linear in t, so that this reads no features. Differences below what
 * rounding leaves of them count as none: there steps are small enough for the model to be right.
 *
 * Violation of a feature: |L'_j + 1| for w_j > 0, |L'_j - 1| for w_j < 0, max(0, |L'_j| - 1) for w_j = 0. Features at
 * 0 that are inside by more than the largest violation of the last look over n are left out until the rest has
 * converged, of the steps and of the descent within a step alike. Features are read by column, so that they are
 * transposed first.
 *
 * At a large C the violations at w = 0, of which tol is a share, are far above 1, a weight's penalty. So P must also
 * have stopped falling by more than a share tol in a step. */
#include "svm/linear/problem.h"

#include "kernels/kernels.h"

/* To measure: ./dev bench parts linear; TINY and ROUNDING follow from the digits of doubles. */
#define COLUMNS  16    /* transposed at a time */
#define HALVES   60    /* of a step */
#define EXACT    0.1   /* share of the violations that the descent within a step leaves */
#define PASSES   1000  /* of it */
#define MATRIX   512   /* features up to which H may be computed */
#define BESIDE   5     /* columns of which products with another are taken at a time */
#define TINY     1e-12 /* curvature, relative to that of a loss'' of C_i everywhere */
#define STALLED  60    /* steps without smaller violations after which rounding rules */
#define ROUNDING 1e-13 /* of a sum, relative to its terms */

typedef struct state { /* of all rows at some w */
  double *f, *slope, *curvature;
} state;

typedef struct descent {
  peri_linear_problem *problem;
  int loss;
  char *columns;              /* width x rows, of the dtype of the features */
  double *least;              /* width: the smallest H_jj */
  double *by_row, *by_weight; /* scratch of each thread */
  int64_t side;               /* features of an H, at most */
  double *matrix;             /* of each thread: side x side, then the slopes */
  int64_t *place;             /* of each thread: width */
  int64_t *order;             /* machines x 2 width */
  peri_turns turns;
} descent;

/* Features that take part: order[0 .. active - 1]. */
typedef struct list {
  int64_t active, *order;
  double sum, worst, allowed; /* violations of the last pass; inside by more: left out */
} list;

typedef struct machine {
  const descent *self;
  list all, step; /* for the steps; within one */
  double *w, *y;
  state now, trial;
  double *matrix, *at_hand; /* H of the listed features, and G of each */
  int64_t *place;           /* of each feature in them */
  double *scaled;           /* BESIDE x rows */
  bool has_matrix;
  double fallen;            /* by what share P fell in the last step */
  double *moved;            /* rows: x_i'd */
  double *d, *slope, *bend; /* width: the step, L'_j, H_jj */
  peri_stream stream;
  peri_turn turn;
} machine;

#define ROW_ARRAYS    (8 + BESIDE) /* of a machine: two states, y, moved, scaled */
#define WEIGHT_ARRAYS 3

/* ---- columns ---- */

static const void *column(const descent *self, int64_t j) {
  const peri_linear_problem *p = self->problem;
  return peri_at(p->dtype, self->columns, p->rows, j, 0);
}

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
  for (int64_t j = from; j < end; j++) {
    self->least[j] = TINY * p->kernels->squares_against[p->wide](p->rows, column(self, j), p->bound);
  }
}

/* ---- lists of features ---- */

static void take_all(list *l, int64_t count) {
  l->active = count;
  l->allowed = INFINITY;
}

/* Takes the feature at place s off. */
static void leave_out(list *l, int64_t s) {
  int64_t j = l->order[s];
  l->order[s] = l->order[--l->active];
  l->order[l->active] = j;
}

static double violation_of(double w, double slope) {
  return w > 0 ? fabs(slope + 1) : w < 0 ? fabs(slope - 1) : peri_larger(0, fabs(slope) - 1);
}

static bool is_inside(const list *l, double w, double slope) { return w == 0 && fabs(slope) < 1 - l->allowed; }

static void count_violation(list *l, double violation) {
  l->sum += violation;
  l->worst = peri_larger(l->worst, violation);
}

/* ---- the gradient ---- */

static void derive(const machine *m, const state *s) {
  const peri_linear_problem *p = m->self->problem;
  p->kernels->derive[m->self->loss](p->rows, s->f, m->y, p->bound, 0, s->slope, s->curvature);
}

static double against(const machine *m, int64_t j, const double *by) {
  const peri_linear_problem *p = m->self->problem;
  return p->kernels->against[p->wide](p->rows, column(m->self, j), by);
}

/* Slopes and violations of the features that take part; false when it was stopped. */
static bool look(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->rows);
  m->all.sum = m->all.worst = 0;
  for (int64_t s = 0; s < m->all.active; s++) {
    if (s % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
    int64_t j = m->all.order[s];
    m->slope[j] = against(m, j, m->now.slope);
    if (is_inside(&m->all, m->w[j], m->slope[j]))
      leave_out(&m->all, s--);
    else
      count_violation(&m->all, violation_of(m->w[j], m->slope[j]));
  }
  return true;
}

/* Sum of all violations as they stand. */
static double measure(const machine *m) {
  const peri_linear_problem *p = m->self->problem;
  double sum = 0;
  for (int64_t j = 0; j < p->width && !peri_cancelled(p->context); j++) {
    sum += violation_of(m->w[j], against(m, j, m->now.slope));
  }
  return sum;
}

/* ---- the step ---- */

static double move_of(double u, double slope, double bend) {
  if (slope + 1 <= bend * u) return -(slope + 1) / bend;
  if (slope - 1 >= bend * u) return -(slope - 1) / bend;
  return -u;
}

/* H of the features that take part, and G as it stands; false when it was stopped. */
static bool build_matrix(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->rows * BESIDE), count = m->all.active;
  for (int64_t a = 0; a < count; a++) {
    int64_t j = m->all.order[a];
    m->place[j] = a;
    m->at_hand[a] = against(m, j, m->trial.slope) + m->self->least[j] * m->d[j];
  }
  for (int64_t first = 0; first < count; first += BESIDE) {
    int64_t beside = peri_min(BESIDE, count - first);
    if (peri_linear_stop(p, &m->turn)) return false;
    memset(m->scaled, 0, (size_t)(beside * p->rows) * sizeof *m->scaled);
    for (int64_t c = 0; c < beside; c++) {
      const void *x = column(m->self, m->all.order[first + c]);
      p->kernels->bent[p->wide](p->rows, x, 1, m->now.curvature, m->scaled + c * p->rows);
    }
    for (int64_t b = first; b < count; b++) {
      if (b % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
      double product[BESIDE];
      p->kernels->dots[p->wide](p->rows, column(m->self, m->all.order[b]), beside, m->scaled, p->rows, product, 1);
      for (int64_t c = 0; c < beside; c++) {
        m->matrix[b * count + first + c] = m->matrix[(first + c) * count + b] = product[c];
      }
    }
  }
  for (int64_t a = 0; a < count; a++) m->matrix[a * count + a] = m->bend[m->all.order[a]];
  return m->has_matrix = true;
}

static double model_slope(const machine *m, int64_t j) {
  if (m->has_matrix) return m->at_hand[m->place[j]];
  return against(m, j, m->trial.slope) + m->self->least[j] * m->d[j];
}

static void move_model(const machine *m, int64_t j, double move) {
  const peri_linear_problem *p = m->self->problem;
  if (m->has_matrix) {
    const void *row = m->matrix + m->place[j] * m->all.active;
    p->kernels->add_rows[1](m->all.active, 1, &row, &move, m->at_hand);
  } else {
    p->kernels->bent[p->wide](p->rows, column(m->self, j), move, m->now.curvature, m->trial.slope);
  }
}

/* Visits feature j of the model: true when it is to be left out from now on. */
static bool visit(machine *m, int64_t j) {
  double slope = model_slope(m, j), u = m->w[j] + m->d[j];
  if (is_inside(&m->step, u, slope)) return true;
  double violation = violation_of(u, slope);
  count_violation(&m->step, violation);
  if (violation == 0 || m->bend[j] == 0) return false;
  double move = move_of(u, slope, m->bend[j]);
  if (fabs(move) < 1e-15 * fabs(u) || move == 0) return false;
  m->d[j] = move == -u ? -m->w[j] : m->d[j] + move;
  move_model(m, j, move);
  return false;
}

/* The model at d = 0; false when it was stopped. */
static bool begin_step(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->rows), count = m->all.active;
  memcpy(m->trial.slope, m->now.slope, (size_t)p->rows * sizeof(double));
  memcpy(m->step.order, m->all.order, (size_t)count * sizeof *m->step.order);
  for (int64_t s = 0; s < count; s++) {
    int64_t j = m->all.order[s];
    if (s % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
    m->bend[j] =
        p->kernels->squares_against[p->wide](p->rows, column(m->self, j), m->now.curvature) + m->self->least[j];
    m->d[j] = 0;
  }
  m->has_matrix = false;
  take_all(&m->step, count);
  return true;
}

/* Passes that cost what H does, whose products come BESIDE at a time, each half as dear as a visit. */
static bool is_matrix_due(const machine *m, int64_t passes) {
  int64_t count = m->all.active;
  return !m->has_matrix && count <= m->self->side && count < m->self->problem->rows && passes * BESIDE > count;
}

/* The step d of the features that take part; false when it was stopped. */
static bool find_step(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->rows * 2), count = m->all.active;
  if (!begin_step(m)) return false;
  for (int64_t pass = 0; pass < PASSES; pass++) {
    if (is_matrix_due(m, pass) && !build_matrix(m)) return false;
    m->step.sum = m->step.worst = 0;
    peri_stream_shuffle(&m->stream, m->step.active, m->step.order);
    for (int64_t s = 0; s < m->step.active; s++) {
      if (s % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
      if (visit(m, m->step.order[s])) leave_out(&m->step, s--);
    }
    m->step.allowed = m->step.worst / (double)p->rows;
    if (m->step.sum > EXACT * m->all.sum) continue;
    if (m->step.active == count) break;
    take_all(&m->step, count);
  }
  return true;
}

/* ---- along the step ---- */

typedef struct line { /* at some t */
  double slope;       /* of P along d; to the left of t, at 0 to the right */
  double penalty;     /* |w + t d|_1 less |w|_1 */
  double whole;       /* |w + t d|_1 of the features that take part */
  double size;        /* of the terms of the slope */
} line;

static line line_at(const machine *m, double t, const double *slopes) {
  const peri_linear_problem *p = m->self->problem;
  line at = {0};
  for (int64_t s = 0; s < m->all.active; s++) {
    int64_t j = m->all.order[s];
    double w = m->w[j], d = m->d[j], u = w + t * d;
    at.whole += fabs(u);
    if (d == 0) continue;
    double side = u != 0 ? u : t == 0 ? d : -d;
    at.slope += side > 0 ? d : -d;
    at.size += fabs(d);
    at.penalty += fabs(u) - fabs(w);
  }
  double of_loss = p->kernels->against[1](p->rows, m->moved, slopes);
  at.size += fabs(of_loss);
  at.slope += of_loss;
  return at;
}

static void move_rows(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  memset(m->moved, 0, (size_t)p->rows * sizeof *m->moved);
  for (int64_t s = 0; s < m->all.active; s++) {
    int64_t j = m->all.order[s];
    if (m->d[j] != 0) p->kernels->shifted[p->wide](p->rows, column(m->self, j), m->d[j], m->moved, m->moved);
  }
}

/* Goes along d as far as P deserves; false when rounding leaves no way. */
static bool take_step(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  double (*value)(int64_t, const double *, const double *, const double *) = p->kernels->value[m->self->loss];
  move_rows(m);
  line from = line_at(m, 0, m->now.slope);
  double start = value(p->rows, m->now.f, m->y, p->bound), t = 1;
  if (!(from.slope < 0)) return false;
  for (int half = 0;; half++, t /= 2) {
    if (half == HALVES || peri_cancelled(p->context)) return false;
    p->kernels->shifted[1](p->rows, m->moved, t, m->now.f, m->trial.f);
    derive(m, &m->trial);
    line at = line_at(m, t, m->trial.slope);
    double noise = ROUNDING * (from.size + at.size), end = value(p->rows, m->trial.f, m->y, p->bound);
    double rise = (end - start) + at.penalty;
    m->fallen = -rise / (end + at.whole);
    if (at.slope <= noise || (rise <= ROUNDING * start && at.slope <= noise - from.slope / 2)) break;
  }
  for (int64_t s = 0; s < m->all.active; s++) {
    int64_t j = m->all.order[s];
    m->w[j] = t == 1 && m->d[j] == -m->w[j] ? 0 : m->w[j] + t * m->d[j];
  }
  state kept = m->now;
  m->now = m->trial;
  m->trial = kept;
  return true;
}

/* ---- one machine ---- */

static machine new_machine(const descent *self, int64_t number) {
  const peri_linear_problem *p = self->problem;
  double *row = self->by_row + peri_worker() * ROW_ARRAYS * p->rows;
  double *weight = self->by_weight + peri_worker() * WEIGHT_ARRAYS * p->width;
  int64_t *order = self->order + number * 2 * p->width;
  machine m = {.self = self,
               .all = {.order = order},
               .step = {.order = order + p->width},
               .w = p->w + number * p->width,
               .y = row,
               .now = {row + p->rows, row + 2 * p->rows, row + 3 * p->rows},
               .trial = {row + 4 * p->rows, row + 5 * p->rows, row + 6 * p->rows},
               .moved = row + 7 * p->rows,
               .scaled = row + 8 * p->rows,
               .matrix = self->matrix + peri_worker() * self->side * (self->side + 1),
               .at_hand = self->matrix + peri_worker() * self->side * (self->side + 1) + self->side * self->side,
               .place = self->place + peri_worker() * p->width,
               .d = weight,
               .slope = weight + p->width,
               .bend = weight + 2 * p->width,
               .stream = {.seed = p->options->seed, .block = (uint64_t)number << 48}};
  for (int64_t i = 0; i < p->rows; i++) {
    m.y[i] = peri_linear_target(p, number, i);
    m.now.f[i] = 0;
  }
  for (int64_t j = 0; j < p->width; j++) m.all.order[j] = j;
  take_all(&m.all, p->width);
  derive(&m, &m.now);
  return m;
}

static void machine_body(void *arg, int64_t number) {
  descent *self = arg;
  const peri_linear_problem *p = self->problem;
  machine m = new_machine(self, number);
  peri_turn_begin(&self->turns, &m.turn);
  double share = peri_larger(peri_linear_smaller_share(p, number), 1 / (double)p->rows), scale = measure(&m) * share;
  bool reached = scale == 0;
  int64_t steps = 0, stalled = 0;
  double best = INFINITY;
  while (!reached && look(&m)) {
    bool all = m.all.active == p->width;
    p->gaps[number] = m.all.sum / scale;
    stalled = m.all.sum < best ? 0 : stalled + 1;
    best = peri_smaller(best, m.all.sum);
    m.all.allowed = m.all.worst / (double)p->rows;
    if (p->gaps[number] <= p->options->tol) {
      reached = all && m.fallen <= p->options->tol;
      take_all(&m.all, p->width);
      if (!all || reached) continue;
    }
    if (steps == p->max_iter || stalled > STALLED || !find_step(&m)) break;
    steps++;
    if (take_step(&m)) continue;
    if (all) break;
    take_all(&m.all, p->width);
  }
  if (!reached) p->gaps[number] = measure(&m) / scale;
  p->reached[number] = reached || p->gaps[number] <= p->options->tol;
  p->n_iter[number] = peri_max(1, steps);
  peri_turn_end(&m.turn);
}

peri_status peri_linear_descent(peri_linear_problem *p) {
  descent self = {.problem = p,
                  .loss = p->options->loss == PERI_LOSS_LOGISTIC ? PERI_SMOOTH_LOGISTIC : PERI_SMOOTH_HINGE};
  int64_t threads = p->context->threads, side = self.side = peri_min(peri_min(p->width, MATRIX), p->rows);
  size_t column_bytes = (size_t)p->rows * peri_float_size(p->dtype);
  PERI_TRY(peri_blocks_new(p->blocks, p->width, column_bytes, &self.columns));
  PERI_TRY(peri_blocks_new(p->blocks, p->width, sizeof *self.least, &self.least));
  PERI_TRY(peri_blocks_new(p->blocks, threads * ROW_ARRAYS * p->rows, sizeof(double), &self.by_row));
  PERI_TRY(peri_blocks_new(p->blocks, threads * WEIGHT_ARRAYS * p->width, sizeof(double), &self.by_weight));
  PERI_TRY(peri_blocks_new(p->blocks, threads * side * (side + 1), sizeof(double), &self.matrix));
  PERI_TRY(peri_blocks_new(p->blocks, threads * p->width, sizeof *self.place, &self.place));
  PERI_TRY(peri_blocks_new(p->blocks, p->machines * 2 * p->width, sizeof *self.order, &self.order));
  PERI_TRY(peri_parallel(p->context, (p->width + COLUMNS - 1) / COLUMNS, transpose_body, &self));
  peri_turns_begin(&self.turns, p->deadline, NULL, p->machines);
  return peri_parallel(p->context, p->machines, machine_body, &self);
}
