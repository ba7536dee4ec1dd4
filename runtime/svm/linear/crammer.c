/* All classes in one problem (Crammer and Singer 2001), by sequential dual coordinate descent (Keerthi,
 * Sundararajan, Chang, Hsieh, Lin 2008).
 *
 *     min_w  1/2 sum_m w_m'w_m + sum_i C_i max_m (w_m'x_i - w_{y_i}'x_i + e_im),    e_im = 0 if m = y_i, else 1
 * has the dual
 *     min_a  1/2 sum_m |w_m(a)|^2 + sum_i sum_m e_im a_im,    w_m = sum_i a_im x_i,
 *     sum_m a_im = 0,   a_im <= U_im = C_i if m = y_i, else 0.
 * Row i's k variables are minimised together: with A = x_i'x_i, G_m = w_m'x_i + e_im and B_m = G_m - A a_im, they
 * become min(U_m, (beta - B_m) / A), where beta makes them add up to 0: among the classes with the largest
 * D_m = B_m + A U_m, so many that beta is at least the next D.
 *
 * Violation of a row: max_m G_m - min {G_m : a_im < U_m}. Rows at a vertex of their
 * bounds have none at all, and are left out until that of all others is below a stage's tolerance, which falls from
 * 1 to tol by halves; then all rows are looked at again. */
#include "svm/linear/problem.h"

#include "kernels/kernels.h"

typedef struct crammer {
  peri_linear_problem *problem;
  double *a;                     /* rows x k */
  int64_t *order;                /* rows */
  double *g, *d, *sorted, *step; /* k each */
  int64_t active;
  peri_stream stream;
  double worst;
} crammer;

/* beta, from the values D_m: the classes taken are those with D above it. */
static double level(crammer *s, int64_t k, double budget) {
  for (int64_t m = 0; m < k; m++) { /* descending */
    int64_t at = m;
    for (; at > 0 && s->sorted[at - 1] < s->d[m]; at--) s->sorted[at] = s->sorted[at - 1];
    s->sorted[at] = s->d[m];
  }
  double sum = s->sorted[0] - budget;
  int64_t taken = 1;
  while (taken < k && sum < (double)taken * s->sorted[taken]) sum += s->sorted[taken++];
  return sum / (double)taken;
}

/* G of row i and its violation. */
static double look(crammer *s, int64_t i) {
  const peri_linear_problem *p = s->problem;
  int64_t k = p->machines, own = p->owner[i];
  const double *a = s->a + i * k;
  double high = -INFINITY, low = INFINITY;
  p->kernels->dots[p->wide](p->d, peri_linear_row(p, i), k, p->w, p->width, s->g, 1);
  for (int64_t m = 0; m < k; m++) {
    if (p->constant > 0) s->g[m] += p->constant * p->w[m * p->width + p->d];
    s->g[m] += m != own;
    high = peri_larger(high, s->g[m]);
    if (a[m] < (m == own ? p->bound[i] : 0)) low = peri_smaller(low, s->g[m]);
  }
  return high - low;
}

static void minimise(crammer *s, int64_t i) {
  const peri_linear_problem *p = s->problem;
  int64_t k = p->machines, own = p->owner[i];
  double square = p->square[i], c = p->bound[i], *a = s->a + i * k;
  const void *x = peri_linear_row(p, i);
  for (int64_t m = 0; m < k; m++) {
    s->step[m] = s->g[m] - square * a[m]; /* B_m */
    s->d[m] = s->step[m] + (m == own ? square * c : 0);
  }
  double beta = level(s, k, square * c);
  for (int64_t m = 0; m < k; m++) {
    double to = peri_smaller(m == own ? c : 0, (beta - s->step[m]) / square), change = to - a[m];
    if (change == 0) continue;
    a[m] = to;
    p->kernels->add_rows[p->wide](p->d, 1, &x, &change, p->w + m * p->width);
    if (p->constant > 0) p->w[m * p->width + p->d] += p->constant * change;
  }
}

/* One pass over the active rows; false when it was stopped. */
static bool pass(crammer *s) {
  const peri_linear_problem *p = s->problem;
  int64_t poll = peri_linear_poll(p->width * p->machines);
  s->worst = 0;
  peri_stream_shuffle(&s->stream, s->active, s->order);
  for (int64_t r = 0; r < s->active; r++) {
    if (r % poll == 0 && peri_linear_stop(p, p->turn)) return false;
    int64_t i = s->order[r];
    if (p->square[i] == 0) continue; /* nothing depends on it */
    double violation = look(s, i);
    if (violation == 0) {
      s->order[r--] = s->order[--s->active];
      s->order[s->active] = i;
      continue;
    }
    s->worst = peri_larger(s->worst, violation);
    if (violation > 1e-12) minimise(s, i);
  }
  return true;
}

static double measure(crammer *s) {
  const peri_linear_problem *p = s->problem;
  int64_t poll = peri_linear_poll(p->width * p->machines);
  double worst = 0;
  for (int64_t i = 0; i < p->rows; i++) {
    if (i % poll == 0 && peri_cancelled(p->context)) break;
    if (p->square[i] > 0) worst = peri_larger(worst, look(s, i));
  }
  return worst;
}

static void solve_body(void *arg, int64_t piece) {
  (void)piece;
  crammer *s = arg;
  const peri_linear_problem *p = s->problem;
  int64_t passes = 0;
  double stage = peri_larger(1, p->options->tol);
  bool reached = false;
  for (bool all = true; !reached && passes < p->max_iter && pass(s);) {
    passes++;
    reached = all && s->worst <= p->options->tol;
    all = s->worst <= stage;
    if (!all) continue;
    stage = peri_larger(stage / 2, p->options->tol);
    s->active = p->rows;
  }
  double gap = reached ? s->worst : measure(s);
  for (int64_t m = 0; m < p->machines; m++) {
    p->gaps[m] = gap;
    p->reached[m] = gap <= p->options->tol;
    p->n_iter[m] = peri_max(1, passes);
  }
}

peri_status peri_linear_crammer_singer(peri_linear_problem *p) {
  crammer s = {.problem = p, .active = p->rows, .stream = {.seed = p->options->seed}};
  int64_t k = p->machines;
  PERI_TRY(peri_blocks_new_zeroed(p->blocks, p->rows * k, sizeof *s.a, &s.a));
  PERI_TRY(peri_blocks_new(p->blocks, p->rows, sizeof *s.order, &s.order));
  PERI_TRY(peri_blocks_new(p->blocks, 4 * k, sizeof *s.g, &s.g));
  s.d = s.g + k;
  s.sorted = s.d + k;
  s.step = s.sorted + k;
  for (int64_t i = 0; i < p->rows; i++) s.order[i] = i;
  peri_turns turns;
  peri_turn turn;
  peri_turns_begin(&turns, p->deadline, NULL, 1);
  peri_turn_begin(&turns, &turn);
  p->turn = &turn;
  return peri_parallel(p->context, 1, solve_body, &s);
}
