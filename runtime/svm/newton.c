/* Newton steps on the free variables of a dense problem (an active-set method).
 *
 * With F the free variables, the step is d = argmin 1/2 d'(K_FF + eI)d + g_F'd subject to sum d = 0:
 *     d = -(u - v (1'u)/(1'v)),   (K_FF + eI) u = g_F,   (K_FF + eI) v = 1,
 * by one Cholesky factor. The small e makes the factor exist when K_FF is singular, as it is with more
 * free variables than the kernel's feature space has dimensions; d is a direction of descent for any e > 0
 * (a proximal step, Rockafellar 1976). Its length is the exact minimum along d, or the first bound met:
 * that variable then leaves F and the next step has one fewer. Where SMO zigzags for millions of steps
 * because C is large and F is small, a few of these end it. */
#include "svm/dense.h"

#include <float.h>
#include <math.h>

#define MOST_FULL_STEPS 8 /* steps that meet no bound */

typedef struct newton {
  const peri_dense *p;
  int64_t count;
  int64_t *member;                    /* F */
  double *factor, *u, *v, *direction; /* factor: count x count, lower, rows of ld */
  int64_t ld;
} newton;

static int64_t collect(newton *self, int64_t most) {
  const peri_dense *p = self->p;
  self->count = 0;
  for (int64_t t = 0; t < p->segment[0].count; t++) {
    if (!peri_dense_is_free(p, t)) continue;
    if (self->count == most) return 0;
    self->member[self->count++] = t;
  }
  return self->count;
}

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

/* The direction, and the slope and curvature along it; false when no factor can be had. */
static bool aim(newton *self, double *slope, double *curvature) {
  const peri_dense *p = self->p;
  double scale = 0, sum_u = 0, sum_v = 0, mean = 0;
  for (int64_t i = 0; i < self->count; i++) {
    scale = fmax(scale, fabs(p->diagonal[self->member[i]]));
    mean += p->gradient[self->member[i]] / (double)self->count;
  }
  double e = scale * (p->wide ? 1e-10 : 1e-7);
  while (!factorise(self, e)) {
    e *= 100;
    if (!(e < 0.1 * scale)) return false;
  }
  for (int64_t i = 0; i < self->count; i++) {
    self->u[i] = p->gradient[self->member[i]] - mean; /* a constant changes nothing but the rounding */
    self->v[i] = 1;
  }
  solve(self, self->u);
  solve(self, self->v);
  for (int64_t i = 0; i < self->count; i++) {
    sum_u += self->u[i];
    sum_v += self->v[i];
  }
  double drift = 0;
  for (int64_t i = 0; i < self->count; i++) {
    self->direction[i] = self->v[i] * (sum_u / sum_v) - self->u[i];
    drift += self->direction[i] / (double)self->count;
  }
  *slope = *curvature = 0;
  for (int64_t i = 0; i < self->count; i++) {
    const char *row = peri_dense_row(p, self->member[i]);
    double along = 0;
    self->direction[i] -= drift;
    *slope += self->direction[i] * (p->gradient[self->member[i]] - mean);
    for (int64_t j = 0; j < self->count; j++) along += peri_dense_element(p, row, self->member[j]) * self->direction[j];
    *curvature += self->direction[i] * along;
  }
  return isfinite(*slope) && isfinite(*curvature) && *slope < 0;
}

/* How far the bounds allow to go, and who meets its bound first. */
static double room(const newton *self, int64_t *first) {
  const peri_dense *p = self->p;
  double least = INFINITY;
  *first = -1;
  for (int64_t i = 0; i < self->count; i++) {
    int64_t t = self->member[i];
    double d = self->direction[i];
    if (d == 0) continue;
    double length = ((d > 0 ? p->high[t] : p->low[t]) - p->beta[t]) / d;
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
    double before = p->beta[t], after = before + length * self->direction[i];
    if (i == met) after = self->direction[i] > 0 ? p->high[t] : p->low[t];
    after = fmin(fmax(after, p->low[t]), p->high[t]);
    p->beta[t] = after;
    p->state[t] = peri_dense_state(after, p->low[t], p->high[t]);
    p->kernels->axpy[p->wide](peri_smo_padded(p->segment[0].count), p->gradient,
                              peri_dense_columns(p, peri_dense_row(p, t), 0), after - before);
  }
}

static double spread(const newton *self) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < self->count; i++) {
    low = fmin(low, self->p->gradient[self->member[i]]);
    high = fmax(high, self->p->gradient[self->member[i]]);
  }
  return high - low;
}

int64_t peri_dense_newton(const peri_dense *p, double tol, int64_t most, double *workspace) {
  newton self = {.p = p, .ld = most};
  self.factor = workspace;
  self.u = workspace + most * most;
  self.v = self.u + most;
  self.direction = self.v + most;
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
