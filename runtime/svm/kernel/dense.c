/* Sequential minimal optimisation with second-order selection (Fan, Chen, Lin 2005) on a dense problem.
 *
 * A variable may go up while b < high and down while b > low. Its slope is that of the objective: with
 * g = Kb + q it is g + kink above 0 and g - kink below, so that at b = 0 the ways up and down have two slopes.
 * Optimal is: no variable that may go down has a larger slope there than one that may go up. A step takes
 *     i = argmin of the slope s among those that may go up,
 *     j = argmax of (s_j - s_i)^2 / (K_ii + K_jj - 2 K_ij) among those that may go down with s_j > s_i,
 * moves b_i up and b_j down by (s_j - s_i) / curvature as far as bounds and kinks allow, and updates g. */
#include "svm/kernel/dense.h"

#define POLL_WORK (1 << 22) /* elements passed over between looks at the cancellation flag */

static const peri_svm_extremes no_extremes = {.up = INFINITY, .down = -INFINITY, .up_at = -1};

/* What a segment's pass has found joins the extremes that the segment counts for. */
static void merge(const peri_dense *p, peri_dense_view *view, int64_t segment, const peri_svm_extremes *part) {
  peri_svm_extremes *all = &view->of[p->separate ? segment : 0];
  if (part->up_at >= 0 && part->up <= all->up) { /* of equals the last, as within a pass */
    all->up = part->up;
    all->up_at = part->up_at + p->segment[segment].position;
  }
  if (part->down > all->down) all->down = part->down;
}

static void share(const peri_dense *p, peri_dense_view *view) {
  for (int64_t s = 1; s < p->segments && !p->separate; s++) view->of[s] = view->of[0];
}

peri_dense_view peri_dense_look(const peri_dense *p) {
  peri_dense_view view = {{no_extremes, no_extremes}};
  peri_svm_extremes part;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t at = p->segment[s].position;
    p->kernels->extremes(peri_smo_padded(p->segment[s].count), p->gradient + at, p->state + at, p->kink, &part);
    merge(p, &view, s, &part);
  }
  share(p, &view);
  return view;
}

static double gap_of(const peri_svm_extremes *e) { return e->up_at < 0 ? -INFINITY : e->down - e->up; }

double peri_dense_gap(const peri_dense *p, const peri_dense_view *view) {
  double gap = gap_of(&view->of[0]);
  for (int64_t s = 1; s < p->segments && p->separate; s++) gap = peri_larger(gap, gap_of(&view->of[s]));
  return gap;
}

typedef struct pair {
  int64_t up, down; /* down: -1 for none */
  double gain;
} pair;

/* Offers the partners that a segment has for i. */
static void try_segment(const peri_dense *p, int64_t segment, int64_t i, const char *row_i, pair *best) {
  peri_svm_partner part;
  int64_t at = p->segment[segment].position;
  p->kernels->partner[p->wide](peri_smo_padded(p->segment[segment].count), p->gradient + at, p->state + at,
                               p->diagonal + at, peri_dense_columns(p, row_i, segment), peri_dense_up_slope(p, i),
                               p->diagonal[i], p->kink, &part);
  if (part.at >= 0 && part.gain >= best->gain) *best = (pair){.up = i, .down = part.at + at, .gain = part.gain};
}

static pair find_pair(const peri_dense *p, const peri_dense_view *view) {
  pair best = {.up = -1, .down = -1, .gain = 0};
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t i = view->of[s].up_at;
    if (i >= 0) try_segment(p, s, i, peri_dense_row(p, i), &best);
  }
  return best;
}

/* Moves b_i up and b_j down as far as gains, or to the next bound or kink; returns how far, 0 when rounding leaves
 * both unmoved. */
static double move(const peri_dense *p, int64_t i, int64_t j, double k_ij) {
  double curvature = p->diagonal[i] + p->diagonal[j] - 2 * k_ij;
  double gain = peri_dense_down_slope(p, j) - peri_dense_up_slope(p, i);
  double distance = gain / (curvature > 0 ? curvature : PERI_SVM_CURVATURE);
  double top = peri_dense_top(p, i), bottom = peri_dense_bottom(p, j);
  double room_i = top - p->beta[i], room_j = p->beta[j] - bottom;
  double limit = room_i < room_j ? room_i : room_j;
  if (distance > limit) distance = limit;
  double up = distance == room_i ? top : p->beta[i] + distance;
  double down = distance == room_j ? bottom : p->beta[j] - distance;
  if (up == p->beta[i] && down == p->beta[j]) return 0;
  p->beta[i] = up;
  p->beta[j] = down;
  p->state[i] = peri_dense_state(p, i);
  p->state[j] = peri_dense_state(p, j);
  return distance;
}

/* The gradient after a step, and what the next one starts from. */
static void step(const peri_dense *p, const char *row_i, const char *row_j, double distance, peri_dense_view *view) {
  peri_svm_extremes part;
  for (int64_t s = 0; s < p->segments; s++) view->of[s] = no_extremes;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t at = p->segment[s].position;
    p->kernels->step[p->wide](peri_smo_padded(p->segment[s].count), p->gradient + at, p->state + at,
                              peri_dense_columns(p, row_i, s), peri_dense_columns(p, row_j, s), distance, p->kink,
                              &part);
    merge(p, view, s, &part);
  }
  share(p, view);
}

peri_outcome peri_dense_run(const peri_dense *p, const peri_context *context, double tol, int64_t limit,
                            int64_t *steps) {
  peri_dense_view view = peri_dense_look(p);
  int64_t elements = 0;
  for (int64_t s = 0; s < p->segments; s++) elements += p->segment[s].count;
  int64_t poll = POLL_WORK / elements + 1;
  for (int64_t done = 0; done < limit; done++) {
    if (!(peri_dense_gap(p, &view) >= tol)) return PERI_REACHED;
    if (done % poll == 0 && peri_cancelled(context)) return PERI_PAUSED;
    pair best = find_pair(p, &view);
    if (best.down < 0) return PERI_STUCK;
    const char *row_i = peri_dense_row(p, best.up);
    double distance = move(p, best.up, best.down, peri_dense_element(p, row_i, best.down));
    if (distance == 0) return PERI_STUCK;
    ++*steps;
    step(p, row_i, peri_dense_row(p, best.down), distance, &view);
  }
  return peri_dense_gap(p, &view) >= tol ? PERI_PAUSED : PERI_REACHED;
}

bool peri_dense_is_active(const peri_dense *p, int64_t t, const peri_svm_extremes *e) {
  if (peri_dense_is_free(p, t)) return true;
  if ((p->state[t] & PERI_SVM_UP) && peri_dense_up_slope(p, t) < e->down) return true;
  return (p->state[t] & PERI_SVM_DOWN) && peri_dense_down_slope(p, t) > e->up;
}

int64_t peri_dense_count_active(const peri_dense *p) {
  peri_dense_view view = peri_dense_look(p);
  int64_t active = 0;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t from = p->segment[s].position;
    for (int64_t t = from; t < from + p->segment[s].count; t++) active += peri_dense_is_active(p, t, &view.of[s]);
  }
  return active;
}
