/* Newton steps on the free variables of a dense problem (an active-set method).
 *
 * With F the free variables and g their slopes, the step is d = argmin 1/2 d'(K_FF + eI)d + g_F'd subject to
 * A d = 0, where A has a row of ones for each sum that is constant (one, or one for each separate segment):
 *     d = V (A V)^-1 A u - u,   (K_FF + eI) u = g_F,   (K_FF + eI) V = A',
 * by one Cholesky factor. The small e makes the factor exist when K_FF is singular, as it is with more
 * free variables than the kernel's feature space has dimensions; d is a direction of descent for any e > 0
 * (a proximal step, Rockafellar 1976). Its length is the exact minimum along d, or the first bound or kink met:
 * that variable then leaves F and the next step has one fewer. Where SMO zigzags for millions of steps
 * because C is large and F is small, a few of these end it. */
#include "svm/kernel/dense.h"

#include <float.h>
#include <math.h>

/* To measure: ./dev bench parts machines. */
#define MOST_FULL_STEPS 8 /* steps that meet no bound */

typedef struct newton {
  const peri_dense *p;
  int64_t count;
  int64_t *member;                                       /* F, by sum */
  int sums;                                              /* rows of A */
  int64_t end[PERI_SMO_SEGMENTS];                        /* where the members of each end */
  double *factor, *u, *v[PERI_SMO_SEGMENTS], *direction; /* factor: count x count, lower, rows of ld */
  int64_t ld;
} newton;

/* The free variables; a sum with one of them alone does not let it move, so that it is none. */
static int64_t collect(newton *self, int64_t most) {
  const peri_dense *p = self->p;
  self->count = self->sums = 0;
  for (int64_t s = 0; s < p->segments; s++) {
    int64_t before = self->count, from = p->segment[s].position;
    for (int64_t t = from; t < from + p->segment[s].count; t++) {
      if (!peri_dense_is_free(p, t)) continue;
      if (self->count == most) return 0;
      self->member[self->count++] = t;
    }
    if (!p->separate && s > 0) {
      self->end[0] = self->count;
    } else if (self->count - before >= (p->separate ? 2 : 0)) {
      self->end[self->sums++] = self->count;
    } else {
      self->count = before;
    }
  }
  return self->count;
}

static int64_t begin_of(const newton *self, int sum) { return sum == 0 ? 0 : self->end[sum - 1]; }

/* Cholesky's factor of K_FF + eI; false when it is not positive definite. */
static bool factorise(newton *self, double e) {
  const peri_dense *p = self->p;
  for (int64_t i = 0; i < self->count; i++) {
    const char *row = peri_dense_row(p, self->member[i]);
    double *l_i = self->factor + i * self->ld;
    for (int64_t j = 0; j <= i; j++) {
      const double *l_j = self->factor + j * self->ld;
      double value = i == j ? p->diagonal[self->member[i]] + e : peri_dense_element(p, row, self->member[j]);
      value -= p->kernels->dot[1](j, l_i, l_j);
      if (i != j) {
        l_i[j] = value / l_j[j];
      } else {
        if (!(value > 0.5 * e)) return false;
        l_i[i] = sqrt(value);
      }
    }
  }
  return true;
}

/* x = (LL')^-1 x */
static void solve(const newton *self, double *x) {
  const peri_dense *p = self->p;
  for (int64_t i = 0; i < self->count; i++) {
    const double *l = self->factor + i * self->ld;
    x[i] = (x[i] - p->kernels->dot[1](i, l, x)) / l[i];
  }
  for (int64_t i = self->count - 1; i >= 0; i--) {
    const double *l = self->factor + i * self->ld;
    x[i] /= l[i];
    p->kernels->axpy[1](i, x, l, -x[i]);
  }
}

/* Shifts each sum's entries of x to a mean of 0. */
static void centre(const newton *self, double *x) {
  for (int c = 0; c < self->sums; c++) {
    double mean = 0, count = (double)(self->end[c] - begin_of(self, c));
    for (int64_t i = begin_of(self, c); i < self->end[c]; i++) mean += x[i] / count;
    for (int64_t i = begin_of(self, c); i < self->end[c]; i++) x[i] -= mean;
  }
}

/* What x sums to in each sum's entries. */
static void add_up(const newton *self, const double *x, double *sum) {
  for (int c = 0; c < self->sums; c++) {
    sum[c] = 0;
    for (int64_t i = begin_of(self, c); i < self->end[c]; i++) sum[c] += x[i];
  }
}

/* d = V (A V)^-1 A u - u, with one sum or two. */
static void project(newton *self) {
  double Au[PERI_SMO_SEGMENTS] = {0}, AV[PERI_SMO_SEGMENTS][PERI_SMO_SEGMENTS] = {{0}}, z[PERI_SMO_SEGMENTS] = {0};
  add_up(self, self->u, Au);
  for (int c = 0; c < self->sums; c++) add_up(self, self->v[c], AV[c]); /* AV is symmetric */
  if (self->sums == 1) {
    z[0] = Au[0] / AV[0][0];
  } else {
    double determinant = AV[0][0] * AV[1][1] - AV[0][1] * AV[1][0];
    z[0] = (AV[1][1] * Au[0] - AV[1][0] * Au[1]) / determinant;
    z[1] = (AV[0][0] * Au[1] - AV[0][1] * Au[0]) / determinant;
  }
  for (int64_t i = 0; i < self->count; i++) {
    self->direction[i] = -self->u[i];
    for (int c = 0; c < self->sums; c++) self->direction[i] += self->v[c][i] * z[c];
  }
  centre(self, self->direction);
}

/* The direction, and the slope and curvature along it; false when no factor can be had. */
static bool aim(newton *self, double *slope, double *curvature) {
  const peri_dense *p = self->p;
  double scale = 0;
  for (int64_t i = 0; i < self->count; i++) scale = peri_larger(scale, fabs(p->diagonal[self->member[i]]));
  double e = scale * (p->wide ? 1e-10 : 1e-7);
  while (!factorise(self, e)) {
    e *= 100;
    if (!(e < 0.1 * scale)) return false;
  }
  for (int64_t i = 0; i < self->count; i++) self->u[i] = peri_dense_up_slope(p, self->member[i]);
  centre(self, self->u); /* a constant changes nothing but the rounding */
  solve(self, self->u);
  for (int c = 0; c < self->sums; c++) {
    for (int64_t i = 0; i < self->count; i++) self->v[c][i] = i >= begin_of(self, c) && i < self->end[c];
    solve(self, self->v[c]);
  }
  project(self);
  *slope = *curvature = 0;
  for (int64_t i = 0; i < self->count; i++) self->u[i] = peri_dense_up_slope(p, self->member[i]);
  centre(self, self->u);
  for (int64_t i = 0; i < self->count; i++) {
    const char *row = peri_dense_row(p, self->member[i]);
    double along = 0;
    *slope += self->direction[i] * self->u[i];
    for (int64_t j = 0; j < self->count; j++) along += peri_dense_element(p, row, self->member[j]) * self->direction[j];
    *curvature += self->direction[i] * along;
  }
  return isfinite(*slope) && isfinite(*curvature) && *slope < 0;
}

/* How far bounds and kinks allow to go, and who meets one first. */
static double room(const newton *self, int64_t *first) {
  const peri_dense *p = self->p;
  double least = INFINITY;
  *first = -1;
  for (int64_t i = 0; i < self->count; i++) {
    int64_t t = self->member[i];
    double d = self->direction[i];
    if (d == 0) continue;
    double length = ((d > 0 ? peri_dense_top(p, t) : peri_dense_bottom(p, t)) - p->beta[t]) / d;
    if (length >= least) continue;
    least = length;
    *first = i;
  }
  return least;
}

static void advance(const newton *self, double length, int64_t met) {
  const peri_dense *p = self->p;
  for (int64_t i = 0; i < self->count; i++) {
    int64_t t = self->member[i];
    double top = peri_dense_top(p, t), bottom = peri_dense_bottom(p, t);
    double before = p->beta[t], after = before + length * self->direction[i];
    if (i == met) after = self->direction[i] > 0 ? top : bottom;
    after = peri_smaller(peri_larger(after, bottom), top);
    p->beta[t] = after;
    p->state[t] = peri_dense_state(p, t);
    for (int64_t c = 0; c < p->segments; c++) {
      p->kernels->axpy[p->wide](peri_smo_padded(p->segment[c].count), p->gradient + p->segment[c].position,
                                peri_dense_columns(p, peri_dense_row(p, t), c), after - before);
    }
  }
}

static double spread(const newton *self) {
  double widest = 0;
  for (int c = 0; c < self->sums; c++) {
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = begin_of(self, c); i < self->end[c]; i++) {
      low = peri_smaller(low, peri_dense_up_slope(self->p, self->member[i]));
      high = peri_larger(high, peri_dense_up_slope(self->p, self->member[i]));
    }
    widest = peri_larger(widest, high - low);
  }
  return widest;
}

int64_t peri_dense_newton(const peri_dense *p, double tol, int64_t most, double *workspace) {
  newton self = {.p = p, .ld = most};
  self.factor = workspace;
  self.u = workspace + most * most;
  self.v[0] = self.u + most;
  self.v[1] = self.v[0] + most;
  self.direction = self.v[1] + most;
  self.member = (int64_t *)(void *)(self.direction + most);
  int64_t steps = 0;
  for (int full = 0; full < MOST_FULL_STEPS; steps++) {
    double slope, curvature;
    if (collect(&self, most) < 2 || spread(&self) < tol || !aim(&self, &slope, &curvature)) break;
    int64_t met;
    double limit = room(&self, &met), length = curvature > 0 ? -slope / curvature : limit;
    if (length < limit) {
      full++;
      met = -1;
    } else {
      length = limit;
    }
    if (!(length > 0) || isinf(length)) break;
    advance(&self, length, met);
  }
  return steps;
}
