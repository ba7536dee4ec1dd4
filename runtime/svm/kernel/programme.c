/* Set-up and solution of the programmes of types.c; see programme.h. */
#include "svm/kernel/programme.h"

#include <math.h>

static bool has_classes(const peri_programme *self) { return self->problem->grouping.k > 0; }

static const peri_svm_form *form_of(const peri_programme *self) { return self->problem->form; }

/* What C times: 1 where there is none. */
static double factor(const peri_programme *self) {
  return peri_svm_type_table[self->problem->options->type].uses_C ? self->C : 1;
}

int64_t peri_programme_most(const peri_problem *p) {
  const peri_grouping *g = &p->grouping;
  if (g->k == 0) return peri_smo_padded(g->rows) * p->form->segments;
  int64_t most = 0;
  for (int64_t pair = 0; pair < p->pairs; pair++) {
    int64_t a, b;
    peri_classes_of_pair(g->k, pair, &a, &b);
    most =
        peri_max(most, peri_smo_padded(g->start[a + 1] - g->start[a]) + peri_smo_padded(g->start[b + 1] - g->start[b]));
  }
  return most;
}

/* ---- set-up ---- */

static void lay_out(peri_programme *self) {
  const peri_problem *p = self->problem;
  const peri_grouping *g = &p->grouping;
  int64_t counts[2], firsts[2];
  if (has_classes(self)) {
    int64_t class[2];
    peri_classes_of_pair(g->k, self->pair, &class[0], &class[1]);
    for (int side = 0; side < 2; side++) {
      self->row[side] = g->start[class[side]];
      counts[side] = g->start[class[side] + 1] - self->row[side];
      firsts[side] = self->source == &p->whole ? self->row[side] : side * counts[0];
    }
  } else {
    for (int side = 0; side < 2; side++) {
      self->row[side] = firsts[side] = 0;
      counts[side] = g->rows;
    }
  }
  peri_smo_begin(self->smo, p->form->sum == PERI_SUM_NU_EACH, p->form->kink ? p->options->epsilon : 0,
                 p->form->segments, counts, firsts);
}

static bool is_held(const peri_programme *self, int64_t row) {
  return self->fold != NULL && self->fold[row] == self->held;
}

static double linear_term(const peri_programme *self, int64_t segment, int64_t row) {
  const peri_problem *p = self->problem;
  switch (p->form->q) {
  case PERI_LINEAR_TERM_CLASS:
    return segment == 0 ? -1 : 1;
  case PERI_LINEAR_TERM_NUMBER:
    return -p->samples->targets[p->grouping.order[row]];
  case PERI_LINEAR_TERM_NONE:
    break;
  }
  return 0;
}

/* bound may be infinite */
static double signed_bound(int sign, double bound) { return sign == 0 ? 0 : sign < 0 ? -bound : bound; }

static void set_bounds(peri_programme *self, int64_t segment) {
  const peri_problem *p = self->problem;
  peri_smo *smo = self->smo;
  double C = factor(self);
  for (int64_t i = 0; i < smo->segment[segment].count; i++) {
    int64_t t = smo->segment[segment].position + i, row = self->row[segment] + i;
    double bound = is_held(self, row) ? 0 : C * p->grouping.bound[row];
    smo->low[t] = signed_bound(p->form->low[segment], bound);
    smo->high[t] = signed_bound(p->form->high[segment], bound);
  }
}

/* The sum of a segment's weights that take part. */
static double weight(const peri_programme *self, int64_t segment) {
  double sum = 0;
  for (int64_t i = 0; i < self->smo->segment[segment].count; i++) {
    int64_t row = self->row[segment] + i;
    if (!is_held(self, row)) sum += self->problem->grouping.bound[row];
  }
  return sum;
}

/* Gives the first variables as much as their bounds allow until `sum` is used up. */
static void fill(peri_programme *self, int64_t segment, double sum) {
  peri_smo *smo = self->smo;
  for (int64_t i = 0; i < smo->segment[segment].count; i++) {
    int64_t t = smo->segment[segment].position + i;
    double b = segment == 0 ? peri_smaller(smo->high[t], sum) : peri_larger(smo->low[t], -sum);
    smo->beta[t] = b;
    sum -= fabs(b);
  }
}

/* The constraint with nu as a start, as much of it as the rows that take part allow: where some are held out a class
 * may have too few. Without a linear term the gradient is as small as its sum, and tol goes with it. */
static void start(peri_programme *self) {
  const peri_svm_form *form = form_of(self);
  if (form->sum == PERI_SUM_ZERO) return;
  double all = 0, least = INFINITY;
  for (int64_t s = 0; s < form->segments; s++) {
    double w = weight(self, s);
    all = has_classes(self) ? all + w : w;
    least = peri_smaller(least, factor(self) * w);
  }
  double sum = peri_smaller(factor(self) * self->problem->options->nu * all / form->segments, least);
  for (int64_t s = 0; s < form->segments; s++) fill(self, s, sum);
  if (form->q == PERI_LINEAR_TERM_NONE) self->tol *= peri_smaller(1, sum);
}

/* K_tt, from the matrix where there is one: rounded as the rest of its row. */
static double diagonal(const peri_programme *self, int64_t segment, int64_t i) {
  const peri_row_source *source = self->source;
  if (source->matrix == NULL) return self->problem->diagonal[self->row[segment] + i];
  return peri_value(source->dtype, source->matrix, (self->smo->segment[segment].first + i) * (source->ld + 1));
}

void peri_programme_begin(peri_programme *self) {
  peri_smo *smo = self->smo;
  self->tol = self->problem->options->tol;
  lay_out(self);
  for (int64_t s = 0; s < smo->segments; s++) {
    for (int64_t i = 0; i < smo->segment[s].count; i++) {
      smo->linear[smo->segment[s].position + i] = linear_term(self, s, self->row[s] + i);
      smo->diagonal[smo->segment[s].position + i] = diagonal(self, s, i);
    }
    set_bounds(self, s);
  }
  start(self);
}

void peri_programme_raise_C(peri_programme *self, double C) {
  peri_smo *smo = self->smo;
  double quadratic = 0, linear = 0;
  for (int64_t t = 0; t < smo->n; t++) {
    quadratic += smo->beta[t] * (smo->gradient[t] - smo->linear[t]);
    linear += smo->beta[t] * smo->linear[t] + smo->kink * fabs(smo->beta[t]);
  }
  double most = C / self->C, times = quadratic > 0 ? peri_smaller(peri_larger(-linear / quadratic, 1), most) : 1;
  if (form_of(self)->sum != PERI_SUM_ZERO) times = most; /* the sum grows with C */
  self->C = C;
  for (int64_t s = 0; s < smo->segments; s++) set_bounds(self, s);
  for (int64_t t = 0; t < smo->n; t++) {
    smo->beta[t] = peri_smaller(peri_larger(times * smo->beta[t], smo->low[t]), smo->high[t]);
    smo->gradient[t] = times * (smo->gradient[t] - smo->linear[t]) + smo->linear[t];
  }
}

/* ---- solution ---- */

#define TIGHTER        0.01
#define MOST_STEPS     10000000 /* of a machine that is not told, as in LIBSVM: enough for all that end */
#define STEPS_FOR_ROW  100      /* or so many for each row, if they are more */
#define BOUNDARY_NOISE 16

/* Solves a nu-SVC to tol in units of half the margin's width r, which is known within the gap only then: as long as
 * that leaves open whether there is a margin at all, or how wide it is, it goes on to a smaller gap. What rounding does
 * not let tell from 0 is none. */
static peri_status solve_margin(peri_programme *self, bool warm, peri_smo_limits limits,
                                peri_programme_result *result) {
  const peri_problem *p = self->problem;
  double tol = p->options->tol, r;
  int64_t steps = 0, most = limits.max_iter;
  for (bool first = true;; first = false) {
    limits.max_iter = most - steps;
    PERI_TRY(peri_smo_solve(p->context, self->source, self->smo, warm || !first, &limits, &result->smo));
    steps += result->smo.iterations;
    r = (result->smo.rho[0] - result->smo.rho[1]) / 2;
    if (!result->smo.converged || result->smo.gap < tol * r) break;
    limits.tol = r > result->smo.gap ? 0.5 * tol * r : TIGHTER * result->smo.gap;
  }
  bool told_apart = r > 0 && (r > result->smo.gap || result->smo.limited);
  result->scale = told_apart ? 1 / r : INFINITY;
  result->smo.iterations = steps;
  result->smo.gap *= told_apart ? result->scale : 1;
  result->smo.converged = told_apart && result->smo.gap < tol;
  result->smo.objective *= result->scale * result->scale;
  return PERI_OK;
}

/* The threshold of a one-class machine. Rows outside are to be at their bound, so that they are a share nu at most: all
 * others lie on the boundary or within it, whatever tol has left between them and rounding makes of their decisions. */
static double boundary(const peri_smo_result *result) {
  return result->converged ? peri_smaller(result->rho[0], result->least - BOUNDARY_NOISE * result->noise)
                           : result->rho[0];
}

peri_status peri_programme_solve(peri_programme *self, bool warm, const peri_smo_limits *limits,
                                 peri_programme_result *result) {
  const peri_problem *p = self->problem;
  peri_smo_limits own = *limits;
  own.tol = self->tol;
  if (own.max_iter < 0) own.max_iter = peri_max(MOST_STEPS, STEPS_FOR_ROW * self->smo->n);
  result->scale = 1;
  if (p->form->margin)
    PERI_TRY(solve_margin(self, warm, own, result));
  else
    PERI_TRY(peri_smo_solve(p->context, self->source, self->smo, warm, &own, &result->smo));
  if (!p->form->margin) result->smo.gap *= p->options->tol / self->tol;
  result->rho = result->scale * (result->smo.rho[0] + result->smo.rho[1]) / 2;
  if (p->form->boundary) result->rho = boundary(&result->smo);
  return PERI_OK;
}

void peri_programme_read(const peri_programme *self, const peri_programme_result *result, int64_t segment,
                         double *beta) {
  const peri_smo *smo = self->smo;
  for (int64_t s = 0; s < smo->segments; s++) {
    if (segment >= 0 && s != segment) continue;
    for (int64_t i = 0; i < smo->segment[s].count; i++) {
      beta[self->row[s] + i] += result->scale * smo->beta[smo->segment[s].position + i];
    }
  }
}

double peri_programme_decision(const peri_programme *self, const peri_programme_result *result, int64_t segment,
                               int64_t at) {
  int64_t t = self->smo->segment[segment].position + at;
  return result->scale * (self->smo->gradient[t] - self->smo->linear[t]) - result->rho;
}
