/* Smooth linear machines by Newton's method in the weights (Keerthi and DeCoste 2005 for squares; Lin, Weng,
 * Keerthi 2008 for the inner solver).
 *
 *     min_w  P(w) = 1/2 w'w + sum_i C_i loss(f_i, y_i),   f_i = w'x_i
 *     g = w + sum_i loss'_i x_i,     H = I + sum_i loss''_i x_i x_i'
 *
 * The loss is convex, so that H is positive definite; where the loss is a square, loss'' is 2 C_i for the
 * rows inside the margin and P is piecewise quadratic, and Newton steps end after finitely many. A step solves
 * H p = -g by conjugate gradients, to a residual of eta |g|, eta falling with |g|, with a factored Hessian
 * as preconditioner: first the Hessian at w = 0, which is the same for all classes, later one of the
 * machine's own, built when the iterations since the last have cost what building takes. Then t = 1 is
 * taken if P still falls there, else a zero of the monotone d/dt P(w + t p) within (0, 1) is bracketed: f is
 * linear in t, so that this needs no product.
 *
 * Machines are treated together, a group at a time, so that each pass over the features serves all of them.
 *
 * The gap. For squares, C_i loss' is a feasible point a of the dual, whose weights are w - g; there the
 * dual's gradient is y_i (w - g)'x_i - 1 + a_i / (2 C_i) = -y_i g'x_i for a row inside the margin: so it takes one
 * product with g to know what LIBLINEAR's measure would be. It is taken when |g| max |x_i| says that it may be
 * small enough. */
#include "svm/linear/hessian.h"
#include "svm/linear/start.h"

#include "kernels/kernels.h"

#include <math.h>

/* To measure: ./dev bench parts linear. */
#define GROUP_BYTES ((int64_t)256 << 20) /* for the matrices of a group */
#define GROUP_MOST  16
#define SEARCHES    40   /* points of a line search */
#define ENOUGH      0.25 /* of the slope may be left by a line search */
#define STALLED     60   /* steps without a smaller gradient after which rounding rules */
#define ITERATIONS  500  /* of conjugate gradients in a step */
#define SLOW        40   /* iterations by which a new float32 factor shows that it is none */

typedef struct machine {
  double start_norm, norm, best; /* of the gradient: at w = 0, now, smallest so far */
  double eta;                    /* residual that the step's iterations may leave */
  double residual;               /* r'z */
  double slope;                  /* g'p */
  double spent;                  /* work of iterations since the factor was built */
  int64_t steps, stalled;
  bool done, shortened; /* finished; the step was not the full one */
} machine;

typedef struct newton {
  peri_linear_problem *problem;
  peri_linear_slots all, some; /* `some` is for the sub-lists of a step; it shares what `all` has */
  peri_linear_hessian hessian;
  int loss;     /* which of the smooth ones */
  bool started; /* the Hessian at w = 0 is there */
  int64_t rows, width;
  machine *machine;                                                /* slots */
  double *gradient, *step, *residual, *direction, *turned, *trial; /* slots x width */
  double *f, *trial_f, *slope, *curvature;                         /* slots x rows */
} newton;

static double inner(int64_t n, const double *a, const double *b) {
  double sum[4] = {0};
  for (int64_t j = 0; j < n; j++) sum[j % 4] += a[j] * b[j];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double *weights(const newton *s, int64_t slot) { return s->problem->w + (s->all.first + slot) * s->width; }

/* ---- loss and gradient ---- */

static void derive(const newton *s, int64_t slot, const double *f, int64_t first, int64_t count) {
  const peri_linear_problem *p = s->problem;
  double y[PERI_LINEAR_BLOCK];
  int64_t at = slot * s->rows + first;
  for (int64_t i = 0; i < count; i++) y[i] = peri_linear_target(p, s->all.first + slot, first + i);
  p->kernels->derive[s->loss](count, f, y, p->bound + first, p->options->epsilon, s->slope + at, s->curvature + at);
}

static void derive_trial(void *arg, int64_t slot, int64_t first, int64_t count, double *out) {
  const newton *s = arg;
  int64_t at = slot * s->rows + first;
  derive(s, slot, s->trial_f + at, first, count);
  memcpy(out, s->slope + at, (size_t)count * sizeof *out);
}

static void slopes(void *arg, int64_t slot, int64_t first, int64_t count, double *out) {
  const newton *s = arg;
  memcpy(out, s->slope + slot * s->rows + first, (size_t)count * sizeof *out);
}

/* Gradients of the listed slots: decisions of `trial` first, unless f of the step is known already. */
static peri_status gradients(newton *s, const peri_linear_slots *at, bool known) {
  PERI_TRY(peri_linear_sweep_run(&(peri_linear_sweep){.at = at,
                                                      .vectors = known ? NULL : s->trial,
                                                      .products = s->trial_f,
                                                      .coefficients = known ? slopes : derive_trial,
                                                      .arg = s,
                                                      .sums = s->gradient}));
  for (int64_t l = 0; l < at->count; l++) {
    double *g = s->gradient + at->list[l] * s->width, *w = s->trial + at->list[l] * s->width;
    for (int64_t j = 0; j < s->width; j++) g[j] += w[j];
  }
  return PERI_OK;
}

/* ---- conjugate gradients ---- */

static void begin_body(void *arg, int64_t slot) {
  newton *s = arg;
  machine *m = &s->machine[slot];
  double *p = s->step + slot * s->width, *r = s->residual + slot * s->width, *z = s->direction + slot * s->width;
  const double *g = s->gradient + slot * s->width;
  for (int64_t j = 0; j < s->width; j++) {
    p[j] = 0;
    z[j] = r[j] = -g[j];
  }
  peri_linear_hessian_solve(&s->hessian, slot, z);
  m->residual = inner(s->width, r, z);
}

static void curved(void *arg, int64_t slot, int64_t first, int64_t count, double *out) {
  const newton *s = arg;
  int64_t at = slot * s->rows + first;
  for (int64_t i = 0; i < count; i++) {
    out[i] = s->curvature[at + i] != 0 ? s->curvature[at + i] * s->trial_f[at + i] : 0;
  }
}

/* After H d is known but for its identity: one iteration. A machine that is finished has residual 0. */
static void iterate_body(void *arg, int64_t slot) {
  newton *s = arg;
  machine *m = &s->machine[slot];
  int64_t n = s->width, at = slot * n;
  double *p = s->step + at, *r = s->residual + at, *d = s->direction + at, *h = s->turned + at;
  for (int64_t j = 0; j < n; j++) h[j] += d[j];
  double bend = inner(n, d, h), along = m->residual / bend;
  if (!(bend > 0) || !isfinite(along)) {
    m->residual = 0;
    return;
  }
  for (int64_t j = 0; j < n; j++) {
    p[j] += along * d[j];
    r[j] -= along * h[j];
  }
  double before = m->residual;
  m->residual = 0;
  if (sqrt(inner(n, r, r)) <= m->eta * m->norm) return;
  memcpy(h, r, (size_t)n * sizeof *h);
  peri_linear_hessian_solve(&s->hessian, slot, h);
  m->residual = inner(n, r, h);
  double keep = m->residual / before;
  for (int64_t j = 0; j < n; j++) d[j] = h[j] + keep * d[j];
}

static double solve_work(const newton *s) {
  return s->hessian.diagonal != NULL ? (double)s->width : (double)s->width * (double)s->width;
}

static double curved_rows(const newton *s, int64_t slot) {
  int64_t count = 0;
  for (int64_t i = 0; i < s->rows; i++) count += s->curvature[slot * s->rows + i] > 0;
  return (double)count;
}

/* H p = -g for the listed slots, which it takes off `some`. */
static peri_status solve(newton *s) {
  PERI_TRY(peri_linear_each(&s->some, solve_work(s), begin_body, s));
  for (int64_t round = 0; s->some.count > 0 && round < ITERATIONS && !peri_turn_late(s->problem->turn); round++) {
    PERI_TRY(peri_linear_sweep_run(&(peri_linear_sweep){.at = &s->some,
                                                        .vectors = s->direction,
                                                        .products = s->trial_f,
                                                        .only = s->curvature,
                                                        .coefficients = curved,
                                                        .arg = s,
                                                        .sums = s->turned}));
    PERI_TRY(peri_linear_each(&s->some, solve_work(s), iterate_body, s));
    int64_t left = 0;
    for (int64_t l = 0; l < s->some.count; l++) {
      int64_t slot = s->some.list[l];
      s->machine[slot].spent += 1;
      if (s->machine[slot].residual > 0) s->some.list[left++] = slot;
      if (round == SLOW && s->machine[slot].spent == SLOW) s->hessian.failed |= s->hessian.narrow;
    }
    s->some.count = left;
  }
  return PERI_OK;
}

/* ---- factors ---- */

/* A multiplication in a matrix product against one in a pass over the rows. To measure: ./dev bench parts linear. */
#define PRODUCT_SPEED 3.0

/* The Hessian at w = 0, which serves all machines of the logistic loss until they have another. */
static peri_status build_start(newton *s) {
  s->started = true;
  s->some.list[0] = s->all.list[0];
  s->some.count = 1;
  return peri_linear_hessian_build(&s->hessian, &s->some, s->curvature, false);
}

/* New factors for machines whose iterations since the last have cost what building takes. */
static peri_status renew(newton *s) {
  if (s->loss == PERI_SMOOTH_LOGISTIC && s->hessian.diagonal == NULL && !s->started) return build_start(s);
  s->some.count = 0;
  for (int64_t l = 0; l < s->all.count; l++) {
    machine *m = &s->machine[s->all.list[l]];
    double size = (double)s->width, rows = curved_rows(s, s->all.list[l]);
    double build = (peri_smaller(rows, (double)s->hessian.most) * size * size + size * size * size / 3) / PRODUCT_SPEED;
    double iteration = 4 * rows * size + 2 * size * size;
    if (s->hessian.diagonal == NULL && m->spent * iteration < build) continue;
    m->spent = 0;
    s->some.list[s->some.count++] = s->all.list[l];
  }
  if (s->some.count == 0) return PERI_OK;
  return peri_linear_hessian_build(&s->hessian, &s->some, s->curvature, true);
}

/* Goes over to float64 where float32 was not enough. */
static peri_status prepare(newton *s) {
  for (;;) {
    if (s->hessian.failed) {
      peri_linear_hessian_widen(&s->hessian);
      s->started = false;
      for (int64_t l = 0; l < s->all.count; l++) s->machine[s->all.list[l]].spent = INFINITY;
    }
    PERI_TRY(renew(s));
    if (!s->hessian.failed) return PERI_OK;
  }
}

/* ---- the step ---- */

static double slope_at(newton *s, int64_t slot, double t) {
  const double *f = s->f + slot * s->rows, *full = s->trial_f + slot * s->rows, *w = weights(s, slot);
  const double *p = s->step + slot * s->width;
  double sum = inner(s->width, w, p) + t * inner(s->width, p, p), at[PERI_LINEAR_BLOCK];
  for (int64_t first = 0; first < s->rows; first += PERI_LINEAR_BLOCK) {
    int64_t count = peri_min(PERI_LINEAR_BLOCK, s->rows - first);
    for (int64_t i = 0; i < count; i++) at[i] = f[first + i] + t * (full[first + i] - f[first + i]);
    derive(s, slot, at, first, count);
    const double *slope = s->slope + slot * s->rows + first;
    for (int64_t i = 0; i < count; i++) sum += slope[i] * (full[first + i] - f[first + i]);
  }
  return sum;
}

/* A step that is too long: regula falsi (Illinois) for the zero of the slope between 0 and 1; derivatives
 * are those of the point taken. */
static void search_body(void *arg, int64_t slot) {
  newton *s = arg;
  machine *m = &s->machine[slot];
  if (!m->shortened) return;
  double low = 0, low_slope = m->slope, high = 1, high_slope = slope_at(s, slot, 1), t = 1;
  int side = 0;
  for (int round = 0; round < SEARCHES && !peri_cancelled(s->problem->context); round++) {
    t = low + (high - low) * (low_slope / (low_slope - high_slope));
    if (!(t > low) || !(t < high)) t = low + (high - low) / 2;
    double slope = slope_at(s, slot, t);
    if (fabs(slope) <= ENOUGH * -m->slope) break;
    if (slope < 0) {
      low = t, low_slope = slope;
      if (side < 0) high_slope /= 2;
      side = -1;
    } else {
      high = t, high_slope = slope;
      if (side > 0) low_slope /= 2;
      side = 1;
    }
  }
  double *f = s->trial_f + slot * s->rows, *w = s->trial + slot * s->width;
  const double *from = s->f + slot * s->rows, *start = weights(s, slot), *p = s->step + slot * s->width;
  for (int64_t i = 0; i < s->rows; i++) f[i] = from[i] + t * (f[i] - from[i]);
  for (int64_t j = 0; j < s->width; j++) w[j] = start[j] + t * p[j];
}

/* Puts every machine of the list at the end of its step, or before it where P has begun to rise. */
static peri_status move(newton *s) {
  for (int64_t l = 0; l < s->all.count; l++) {
    int64_t slot = s->all.list[l], at = slot * s->width;
    const double *w = weights(s, slot);
    s->machine[slot].slope = inner(s->width, s->gradient + at, s->step + at);
    for (int64_t j = 0; j < s->width; j++) s->trial[at + j] = w[j] + s->step[at + j];
  }
  PERI_TRY(gradients(s, &s->all, false));
  s->some.count = 0;
  for (int64_t l = 0; l < s->all.count; l++) {
    int64_t slot = s->all.list[l], at = slot * s->width;
    machine *m = &s->machine[slot];
    double end = inner(s->width, s->gradient + at, s->step + at);
    m->shortened = !(end <= ENOUGH * -m->slope);
    if (m->shortened) s->some.list[s->some.count++] = slot;
  }
  if (s->some.count > 0) {
    PERI_TRY(peri_linear_each(&s->some, (double)s->rows * 10, search_body, s));
    PERI_TRY(gradients(s, &s->some, true));
  }
  return PERI_OK;
}

/* ---- the gap ---- */

/* What is left of the dual's conditions, x_i'g in trial_f. */
static void gap_body(void *arg, int64_t slot) {
  newton *s = arg;
  const peri_linear_problem *p = s->problem;
  double highest = 0, lowest = 0, violated = 0, start = 0, epsilon = p->options->epsilon;
  for (int64_t i = 0; i < s->rows; i++) {
    int64_t at = slot * s->rows + i;
    double y = peri_linear_target(p, s->all.first + slot, i), g = s->trial_f[at];
    bool inside = s->curvature[at] > 0;
    if (s->loss == PERI_SMOOTH_HINGE) {
      double left = -y * g;
      if (!inside) left = peri_smaller(0, y * (s->f[at] - g) - 1);
      highest = peri_larger(highest, left);
      lowest = peri_smaller(lowest, left);
    } else {
      violated += inside ? fabs(g) : peri_larger(0, fabs(s->f[at] - g - y) - epsilon);
      start += peri_larger(0, fabs(y) - epsilon);
    }
  }
  p->gaps[s->all.first + slot] = s->loss == PERI_SMOOTH_HINGE ? highest - lowest : start > 0 ? violated / start : 0;
}

static double relative_share(const newton *s, int64_t slot) {
  double share = peri_linear_smaller_share(s->problem, s->all.first + slot);
  return peri_larger(share, 1 / (double)s->rows);
}

/* |g| at which the gap is sure to be below tol. */
static double sure_norm(const newton *s, int64_t slot) {
  const peri_linear_problem *p = s->problem;
  double tol = p->options->tol, longest = sqrt(peri_larger(p->largest, 1e-300)), start = 0;
  if (s->loss == PERI_SMOOTH_LOGISTIC) return tol * s->machine[slot].start_norm * relative_share(s, slot);
  if (s->loss == PERI_SMOOTH_HINGE) return tol / (2 * longest);
  for (int64_t i = 0; i < s->rows; i++) start += peri_larger(0, fabs(p->targets[i]) - p->options->epsilon);
  return tol * start / ((double)s->rows * longest);
}

static peri_status measure(newton *s, const peri_linear_slots *at) {
  if (s->loss == PERI_SMOOTH_LOGISTIC) {
    for (int64_t l = 0; l < at->count; l++) {
      int64_t slot = at->list[l];
      const machine *m = &s->machine[slot];
      s->problem->gaps[s->all.first + slot] =
          m->start_norm > 0 ? m->norm / (m->start_norm * relative_share(s, slot)) : 0;
    }
    return PERI_OK;
  }
  PERI_TRY(peri_linear_sweep_run(&(peri_linear_sweep){.at = at, .vectors = s->gradient, .products = s->trial_f}));
  return peri_linear_each(at, (double)s->rows * 4, gap_body, s);
}

/* ---- a group ---- */

#define NEAR 300 /* the gap is measured when |g| is below so many times the sure norm */

/* Takes over the points that the steps have led to. */
static void arrive(newton *s) {
  for (int64_t l = 0; l < s->all.count; l++) {
    int64_t slot = s->all.list[l];
    machine *m = &s->machine[slot];
    double *w = weights(s, slot), size = 0, moved = 0;
    for (int64_t j = 0; j < s->width; j++) {
      double value = s->trial[slot * s->width + j];
      size = peri_larger(size, fabs(value));
      moved = peri_larger(moved, fabs(value - w[j]));
      w[j] = value;
    }
    memcpy(s->f + slot * s->rows, s->trial_f + slot * s->rows, (size_t)s->rows * sizeof *s->f);
    m->norm = sqrt(inner(s->width, s->gradient + slot * s->width, s->gradient + slot * s->width));
    if (m->steps == 0) m->start_norm = m->norm;
    m->stalled = m->steps == 0 || m->norm < m->best ? 0 : m->stalled + 1;
    if (m->stalled == 0) m->best = m->norm;
    m->done = !isfinite(m->norm) || m->stalled > STALLED || (m->steps > 0 && moved <= 1e-16 * size);
    s->problem->n_iter[s->all.first + slot] = peri_max(1, m->steps);
  }
}

/* Takes the machines off the list that are finished, or all of them. */
static peri_status judge(newton *s, bool last) {
  s->some.count = 0;
  for (int64_t l = 0; l < s->all.count; l++) {
    int64_t slot = s->all.list[l];
    machine *m = &s->machine[slot];
    m->done |= last;
    if (m->done || m->norm <= NEAR * sure_norm(s, slot)) s->some.list[s->some.count++] = slot;
  }
  if (s->some.count > 0) PERI_TRY(measure(s, &s->some));
  for (int64_t l = 0; l < s->some.count; l++) {
    int64_t slot = s->some.list[l], number = s->all.first + slot;
    s->problem->reached[number] = s->problem->gaps[number] <= s->problem->options->tol;
    s->machine[slot].done |= s->problem->reached[number];
  }
  int64_t left = 0;
  for (int64_t l = 0; l < s->all.count; l++) {
    if (!s->machine[s->all.list[l]].done) s->all.list[left++] = s->all.list[l];
  }
  s->all.count = left;
  return PERI_OK;
}

/* As exact as the step deserves: a share of the gradient that falls with it, but no more than tol asks for. */
static void choose_residuals(newton *s) {
  for (int64_t l = 0; l < s->all.count; l++) {
    machine *m = &s->machine[s->all.list[l]];
    m->steps++;
    m->eta = peri_larger(0.03, peri_smaller(0.1, 0.1 * sure_norm(s, s->all.list[l]) / m->norm));
    s->some.list[l] = s->all.list[l];
  }
  s->some.count = s->all.count;
}

/* The machines first .. first + count - 1. */
static peri_status run_group(newton *s, int64_t first, int64_t count) {
  const peri_linear_problem *p = s->problem;
  s->all.first = s->some.first = first;
  s->all.count = count;
  for (int64_t slot = 0; slot < count; slot++) {
    s->all.list[slot] = slot;
    s->machine[slot] = (machine){.spent = s->loss == PERI_SMOOTH_LOGISTIC ? 0 : INFINITY};
  }
  if (s->loss == PERI_SMOOTH_LOGISTIC) {
    memset(s->trial, 0, (size_t)(count * s->width) * sizeof *s->trial);
  } else {
    PERI_TRY(peri_linear_start(&s->all, s->trial, s->slope));
  }
  if (s->hessian.has != NULL) memset(s->hessian.has, 0, (size_t)count * sizeof *s->hessian.has);
  PERI_TRY(gradients(s, &s->all, false));
  arrive(s);
  PERI_TRY(judge(s, false));
  for (int64_t step = 1; s->all.count > 0; step++) {
    PERI_TRY(prepare(s));
    if (peri_turn_late(p->turn)) return judge(s, true);
    choose_residuals(s);
    PERI_TRY(solve(s));
    PERI_TRY(move(s));
    arrive(s);
    PERI_TRY(judge(s, step == p->max_iter));
  }
  return PERI_OK;
}

/* ---- the whole ---- */

static peri_status new_newton(peri_linear_problem *p, int64_t slots, newton *s) {
  int64_t widths = slots * p->width, rows = slots * p->rows;
  *s = (newton){.problem = p, .rows = p->rows, .width = p->width};
  s->loss = p->options->loss == PERI_LOSS_SQUARED_HINGE     ? PERI_SMOOTH_HINGE
            : p->options->loss == PERI_LOSS_SQUARED_EPSILON ? PERI_SMOOTH_EPSILON
                                                            : PERI_SMOOTH_LOGISTIC;
  PERI_TRY(peri_linear_slots_new(p, slots, &s->all));
  s->some = s->all;
  PERI_TRY(peri_blocks_new(p->blocks, slots, sizeof *s->some.list, &s->some.list));
  PERI_TRY(peri_linear_hessian_new(p, slots, &s->hessian));
  PERI_TRY(peri_blocks_new(p->blocks, slots, sizeof *s->machine, &s->machine));
  double **by_width[] = {&s->gradient, &s->step, &s->residual, &s->direction, &s->turned, &s->trial};
  double **by_row[] = {&s->f, &s->trial_f, &s->slope, &s->curvature};
  for (size_t i = 0; i < PERI_COUNT(by_width); i++) {
    PERI_TRY(peri_blocks_new_zeroed(p->blocks, widths, sizeof(double), by_width[i]));
  }
  for (size_t i = 0; i < PERI_COUNT(by_row); i++) {
    PERI_TRY(peri_blocks_new_zeroed(p->blocks, rows, sizeof(double), by_row[i]));
  }
  return PERI_OK;
}

peri_status peri_linear_newton(peri_linear_problem *p) {
  int64_t matrix = p->width * p->width * (int64_t)sizeof(double);
  int64_t slots = peri_max(1, peri_min(GROUP_MOST, GROUP_BYTES / matrix));
  newton s;
  peri_turns turns;
  PERI_TRY(new_newton(p, peri_min(slots, p->machines), &s));
  peri_turns_begin(&turns, p->deadline, NULL, (p->machines + s.all.slots - 1) / s.all.slots);
  peri_status status = PERI_OK;
  for (int64_t first = 0; status == PERI_OK && first < p->machines; first += s.all.slots) {
    peri_turn turn;
    peri_turn_begin(&turns, &turn);
    p->turn = &turn;
    status = run_group(&s, first, peri_min(s.all.slots, p->machines - first));
    peri_turn_end(&turn);
  }
  return status;
}
