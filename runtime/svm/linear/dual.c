/* Machines with L2 penalty by dual coordinate descent (Hsieh, Chang, Lin, Keerthi, Sundararajan 2008; Ho and
 * Lin 2012 for regression).
 *
 * With one variable b_i for each row, w = sum b_i x_i, the dual of min_w 1/2 w'w + sum C_i loss(w'x_i, y_i) is
 *     min_b  1/2 b'(Q + D)b - y'b + epsilon |b|_1,   Q_ij = x_i'x_j,   l_i <= b_i <= u_i.
 * hinge losses: b_i = y_i a_i, so that the bounds are 0 and y_i U_i and epsilon = 0; epsilon losses: -U_i and U_i.
 * The losses themselves have D = 0, U_i = C_i, their squares D_ii = 1 / (2 C_i), U_i = infinity. With
 * G = w'x_i - y_i + D_ii b_i, the derivative to the right of b_i is G + epsilon sign+(b_i), to the left
 * G + epsilon sign-(b_i), and the step goes to the minimum along b_i, the zero of these, within the bounds.
 *
 * A pass visits the rows in random order. Violation: the derivative that still points into the bounds, 0 if
 * there is none. Rows at a kink or bound, whose derivatives point outwards by more than the largest
 * violation of the last pass, are left out until the rest has converged; then all are looked at again. */
#include "svm/linear/problem.h"

#include "kernels/kernels.h"

/* To measure: ./dev bench parts linear. */
#define SERIAL_WORK 1e5 /* features of all machines in one pass below which the team is not woken */

typedef struct dual {
  peri_linear_problem *problem;
  double *b;      /* machines x rows */
  int64_t *order; /* machines x rows */
  bool regression, squared;
  double start; /* of a regression: sum of the violations at b = 0 */
  peri_turns turns;
} dual;

typedef struct machine {
  const dual *self;
  int64_t number, active;
  double *b, *w;
  int64_t *order;
  peri_stream stream;
  peri_turn turn;
  double allowed;                     /* rows that point outwards by more are left out */
  double highest, lowest, sum, worst; /* violations of this pass, with the sign that y gives them; their sizes */
} machine;

typedef struct slopes {
  double left, right; /* derivatives to either side, infinite at a bound */
  double gradient, diagonal, lower, upper, y;
} slopes;

static slopes slopes_at(const machine *m, int64_t i) {
  const peri_linear_problem *p = m->self->problem;
  double c = p->bound[i], y = peri_linear_target(p, m->number, i), b = m->b[i], decision;
  double limit = m->self->squared ? INFINITY : c, epsilon = m->self->regression ? p->options->epsilon : 0;
  slopes s = {.y = y, .diagonal = m->self->squared ? 0.5 / c : 0};
  s.lower = m->self->regression || y < 0 ? -limit : 0;
  s.upper = m->self->regression || y > 0 ? limit : 0;
  p->kernels->dots[p->wide](p->d, peri_linear_row(p, i), 1, m->w, 0, &decision, 1);
  if (p->constant > 0) decision += p->constant * m->w[p->d];
  s.gradient = decision - y + s.diagonal * b;
  s.right = b >= s.upper ? INFINITY : s.gradient + (b >= 0 ? epsilon : -epsilon);
  s.left = b <= s.lower ? -INFINITY : s.gradient + (b > 0 ? epsilon : -epsilon);
  return s;
}

/* The derivative of the way down, 0 at a minimum. */
static double violation_of(const slopes *s) { return s->right < 0 ? s->right : s->left > 0 ? s->left : 0; }

static void count_violation(machine *m, const slopes *s, double violation) {
  double turned = m->self->regression ? violation : s->y * violation;
  m->highest = peri_larger(m->highest, turned);
  m->lowest = peri_smaller(m->lowest, turned);
  m->sum += fabs(violation);
  m->worst = peri_larger(m->worst, fabs(violation));
}

static void count_nothing(machine *m) { m->highest = m->lowest = m->sum = m->worst = 0; }

/* Where the derivative along b is 0, or jumps over it. */
static double minimum_along(const slopes *s, double b, double epsilon, double curvature) {
  double centre = b - s->gradient / curvature, shift = epsilon / curvature;
  double to = centre > shift ? centre - shift : centre < -shift ? centre + shift : 0;
  return peri_smaller(peri_larger(to, s->lower), s->upper);
}

/* Visits row i: true when it is to be left out from now on. */
static bool visit(machine *m, int64_t i) {
  const peri_linear_problem *p = m->self->problem;
  slopes s = slopes_at(m, i);
  double violation = violation_of(&s);
  if (violation == 0 && s.right > m->allowed && s.left < -m->allowed) return true;
  count_violation(m, &s, violation);
  if (violation == 0) return false;
  double curvature = peri_larger(p->square[i] + s.diagonal, 1e-200),
         epsilon = m->self->regression ? p->options->epsilon : 0;
  double to = minimum_along(&s, m->b[i], epsilon, curvature), change = to - m->b[i];
  m->b[i] = to;
  if (change == 0) return false;
  const void *x = peri_linear_row(p, i);
  p->kernels->add_rows[p->wide](p->d, 1, &x, &change, m->w);
  if (p->constant > 0) m->w[p->d] += p->constant * change;
  return false;
}

/* One pass over the active rows; false when it was stopped. */
static bool pass(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->width);
  count_nothing(m);
  peri_stream_shuffle(&m->stream, m->active, m->order);
  for (int64_t s = 0; s < m->active; s++) {
    if (s % poll == 0 && peri_linear_stop(p, &m->turn)) return false;
    int64_t i = m->order[s];
    if (!visit(m, i)) continue;
    m->order[s--] = m->order[--m->active];
    m->order[m->active] = i;
  }
  return true;
}

static double gap_of(const machine *m) {
  if (!m->self->regression) return m->highest - m->lowest;
  return m->self->start > 0 ? m->sum / m->self->start : 0;
}

/* The gap as it stands, over all rows. */
static double measure(machine *m) {
  const peri_linear_problem *p = m->self->problem;
  int64_t poll = peri_linear_poll(p->width);
  count_nothing(m);
  for (int64_t i = 0; i < p->rows; i++) {
    if (i % poll == 0 && peri_cancelled(p->context)) break;
    slopes s = slopes_at(m, i);
    count_violation(m, &s, violation_of(&s));
  }
  return gap_of(m);
}

static void machine_body(void *arg, int64_t number) {
  dual *self = arg;
  const peri_linear_problem *p = self->problem;
  int64_t rows = p->rows, passes = 0;
  machine m = {.self = self,
               .number = number,
               .active = rows,
               .b = self->b + number * rows,
               .w = p->w + number * p->width,
               .order = self->order + number * rows,
               .stream = {.seed = p->options->seed, .block = (uint64_t)number << 48},
               .allowed = INFINITY};
  bool reached = false;
  peri_turn_begin(&self->turns, &m.turn);
  memset(m.b, 0, (size_t)rows * sizeof *m.b);
  for (int64_t i = 0; i < rows; i++) m.order[i] = i;
  while (!reached && passes < p->max_iter && pass(&m)) {
    passes++;
    p->gaps[number] = gap_of(&m);
    m.allowed = m.worst > 0 ? m.worst : INFINITY;
    if (p->gaps[number] > p->options->tol) continue;
    reached = m.active == rows;
    m.active = rows;
    m.allowed = INFINITY;
  }
  if (!reached) p->gaps[number] = measure(&m);
  p->reached[number] = reached || p->gaps[number] <= p->options->tol;
  p->n_iter[number] = peri_max(1, passes);
  peri_turn_end(&m.turn);
}

/* Tiny work wakes no team. */
static void all_machines_body(void *arg, int64_t piece) {
  (void)piece;
  for (int64_t m = 0; m < ((const dual *)arg)->problem->machines; m++) machine_body(arg, m);
}

peri_status peri_linear_dual(peri_linear_problem *p) {
  peri_linear_loss loss = p->options->loss;
  dual self = {.problem = p,
               .regression = p->targets != NULL,
               .squared = loss == PERI_LOSS_SQUARED_HINGE || loss == PERI_LOSS_SQUARED_EPSILON};
  PERI_TRY(peri_blocks_new(p->blocks, p->machines * p->rows, sizeof *self.b, &self.b));
  PERI_TRY(peri_blocks_new(p->blocks, p->machines * p->rows, sizeof *self.order, &self.order));
  for (int64_t i = 0; self.regression && i < p->rows; i++) {
    self.start += peri_larger(0, fabs(p->targets[i]) - p->options->epsilon);
  }
  peri_turns_begin(&self.turns, p->deadline, NULL, p->machines);
  if ((double)p->rows * (double)p->width * (double)p->machines < SERIAL_WORK)
    return peri_parallel(p->context, 1, all_machines_body, &self);
  return peri_parallel(p->context, p->machines, machine_body, &self);
}
