/* Sequential minimal optimisation with second-order selection (Fan, Chen, Lin 2005) on a dense problem.
 *
 * With g = Kb + q, a variable may go up while b < high and down while b > low. Optimal is: no variable
 * that may go down has a larger gradient than one that may go up. A step takes
 *     i = argmin of g among those that may go up,
 *     j = argmax of (g_j - g_i)^2 / (K_ii + K_jj - 2 K_ij) among those that may go down with g_j > g_i,
 * moves b_i up and b_j down by (g_j - g_i) / curvature as far as the bounds allow, and updates g. */
#include "svm/dense.h"

#define POLL_WORK (1 << 22) /* elements passed over between looks at the cancellation flag */

static void merge(peri_svm_extremes *all, const peri_svm_extremes *part, int64_t position) {
  if (part->up_at >= 0 && part->up <= all->up) { /* of equals the last, as within a pass */
    all->up = part->up;
    all->up_at = part->up_at + position;
  }
  if (part->down > all->down) all->down = part->down;
}

static const peri_svm_extremes no_extremes = {.up = INFINITY, .down = -INFINITY, .up_at = -1};

peri_svm_extremes peri_dense_extremes(const peri_dense *p) {
  peri_svm_extremes all = no_extremes, part;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t at = p->segment[s].position;
    p->kernels->extremes(peri_smo_padded(p->segment[s].count), p->gradient + at, p->state + at, &part);
    merge(&all, &part, at);
  }
  return all;
}

static int64_t find_partner(const peri_dense *p, int64_t i, const char *row_i) {
  peri_svm_partner best = {.gain = 0, .at = -1}, part;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t at = p->segment[s].position;
    p->kernels->partner[p->wide](peri_smo_padded(p->segment[s].count), p->gradient + at, p->state + at,
                                 p->diagonal + at, peri_dense_columns(p, row_i, s), p->gradient[i], p->diagonal[i],
                                 &part);
    if (part.at >= 0 && part.gain >= best.gain) best = (peri_svm_partner){.gain = part.gain, .at = part.at + at};
  }
  return best.at;
}

/* Moves b_i up and b_j down as far as gains; returns how far, 0 when rounding leaves both unmoved. */
static double move(const peri_dense *p, int64_t i, int64_t j, double k_ij) {
  double curvature = p->diagonal[i] + p->diagonal[j] - 2 * k_ij;
  double distance = (p->gradient[j] - p->gradient[i]) / (curvature > 0 ? curvature : PERI_SVM_CURVATURE);
  double room_i = p->high[i] - p->beta[i], room_j = p->beta[j] - p->low[j];
  double limit = room_i < room_j ? room_i : room_j;
  if (distance > limit) distance = limit;
  double up = distance == room_i ? p->high[i] : p->beta[i] + distance;
  double down = distance == room_j ? p->low[j] : p->beta[j] - distance;
  if (up == p->beta[i] && down == p->beta[j]) return 0;
  p->beta[i] = up;
  p->beta[j] = down;
  p->state[i] = peri_dense_state(up, p->low[i], p->high[i]);
  p->state[j] = peri_dense_state(down, p->low[j], p->high[j]);
  return distance;
}

peri_outcome peri_dense_run(const peri_dense *p, const peri_context *context, double tol, int64_t limit,
                            int64_t *steps) {
  peri_svm_extremes e = peri_dense_extremes(p);
  int64_t elements = 0;
  for (int64_t s = 0; s < p->segments; s++) elements += p->segment[s].count;
  int64_t poll = POLL_WORK / elements + 1;
  for (int64_t done = 0; done < limit; done++) {
    if (!(peri_dense_gap(&e) >= tol)) return PERI_REACHED;
    if (done % poll == 0 && peri_cancelled(context)) return PERI_PAUSED;
    int64_t i = e.up_at;
    const char *row_i = peri_dense_row(p, i);
    int64_t j = find_partner(p, i, row_i);
    if (j < 0) return PERI_STUCK;
    const char *row_j = peri_dense_row(p, j);
    double distance = move(p, i, j, peri_dense_element(p, row_i, j));
    if (distance == 0) return PERI_STUCK;
    ++*steps;
    e = no_extremes;
    for (int64_t s = 0; s < p->segments; s++) {
      peri_svm_extremes part;
      int64_t at = p->segment[s].position;
      p->kernels->step[p->wide](peri_smo_padded(p->segment[s].count), p->gradient + at, p->state + at,
                                peri_dense_columns(p, row_i, s), peri_dense_columns(p, row_j, s), distance, &part);
      merge(&e, &part, at);
    }
  }
  return peri_dense_gap(&e) >= tol ? PERI_PAUSED : PERI_REACHED;
}

bool peri_dense_is_active(const peri_dense *p, int64_t t, const peri_svm_extremes *e) {
  switch (p->state[t]) {
  case PERI_SVM_UP | PERI_SVM_DOWN:
    return true;
  case PERI_SVM_UP:
    return p->gradient[t] < e->down;
  case PERI_SVM_DOWN:
    return p->gradient[t] > e->up;
  default:
    return false; /* padding, or a box of no width */
  }
}
