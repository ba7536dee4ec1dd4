/* The quadratic programme of a pair of classes written out plainly: kernels in double, a reference
 * solver, and the conditions that any optimum meets. */
#ifndef PERI_TEST_SVM_PAIRS_H
#define PERI_TEST_SVM_PAIRS_H

#include "svm_support.h"

/* ---- kernels, plainly ---- */

static double svm_kernel(const peri_svm *model, const double *u, const double *v) {
  double product = 0, distance = 0;
  for (int64_t j = 0; j < model->d; j++) {
    product += u[j] * v[j];
    distance += (u[j] - v[j]) * (u[j] - v[j]);
  }
  switch (model->options.kernel) {
  case PERI_SVM_POLY:
    return pow(model->gamma * product + model->options.coef0, (double)model->options.degree);
  case PERI_SVM_RBF:
    return exp(-model->gamma * distance);
  case PERI_SVM_SIGMOID:
    return tanh(model->gamma * product + model->options.coef0);
  default:
    return product;
  }
}

/* ---- one pair of classes, written out: min 1/2 b'Kb - sum |b|, sum b = 0, b_t between 0 and bound_t ---- */

typedef struct svm_pair {
  int64_t n;
  int64_t *row;                        /* of the data */
  double *k, *beta, *bound, *gradient; /* bound is negative for the second class */
} svm_pair;

static void svm_pair_free(svm_pair *pair) {
  free(pair->row);
  free(pair->k);
  free(pair->beta);
  free(pair->bound);
  free(pair->gradient);
}

static void svm_pair_gradient(svm_pair *pair) {
  for (int64_t t = 0; t < pair->n; t++) {
    pair->gradient[t] = pair->bound[t] > 0 ? -1 : 1;
    for (int64_t s = 0; s < pair->n; s++) pair->gradient[t] += pair->k[t * pair->n + s] * pair->beta[s];
  }
}

static double svm_pair_objective(svm_pair *pair) {
  double sum = 0;
  svm_pair_gradient(pair);
  for (int64_t t = 0; t < pair->n; t++) sum += pair->beta[t] * (pair->gradient[t] + (pair->bound[t] > 0 ? -1 : 1));
  return sum / 2;
}

/* The pair (a, b) of a fitted model with its solution; weights NULL or one for each row. */
static svm_pair svm_pair_of(const peri_svm *model, const svm_data *data, const double *weights, int64_t a, int64_t b) {
  svm_pair pair = {0};
  size_t most = (size_t)data->n;
  pair.row = calloc(most, sizeof *pair.row);
  pair.beta = calloc(most, sizeof *pair.beta);
  pair.bound = calloc(most, sizeof *pair.bound);
  pair.gradient = calloc(most, sizeof *pair.gradient);
  double sign = model->k == 2 ? -1 : 1;
  for (int64_t i = 0; i < data->n; i++) {
    double weight = weights != NULL ? weights[i] : 1;
    if (weight == 0 || (data->y[i] != model->classes[a] && data->y[i] != model->classes[b])) continue;
    bool first = data->y[i] == model->classes[a];
    pair.row[pair.n] = i;
    pair.bound[pair.n] = (first ? 1 : -1) * model->options.C * weight;
    for (int64_t s = 0; s < model->supports; s++) {
      if (model->support[s] == i)
        pair.beta[pair.n] = sign * model->dual_coef[(first ? b - 1 : a) * model->supports + s];
    }
    pair.n++;
  }
  pair.k = calloc((size_t)(pair.n * pair.n), sizeof *pair.k);
  for (int64_t t = 0; t < pair.n; t++) {
    for (int64_t s = 0; s < pair.n; s++) {
      pair.k[t * pair.n + s] = svm_kernel(model, data->x + pair.row[t] * data->d, data->x + pair.row[s] * data->d);
    }
  }
  svm_pair_gradient(&pair);
  return pair;
}

static bool svm_may_rise(const svm_pair *p, int64_t t) { return p->beta[t] < fmax(p->bound[t], 0); }
static bool svm_may_fall(const svm_pair *p, int64_t t) { return p->beta[t] > fmin(p->bound[t], 0); }

/* The largest violation, and the interval where the threshold may lie. */
static double svm_pair_gap(const svm_pair *p, double *low, double *high) {
  *low = -INFINITY;
  *high = INFINITY;
  for (int64_t t = 0; t < p->n; t++) {
    if (svm_may_rise(p, t)) *high = fmin(*high, p->gradient[t]);
    if (svm_may_fall(p, t)) *low = fmax(*low, p->gradient[t]);
  }
  return *low - *high;
}

/* The reference: the most violating pair, one step after another. */
static void svm_pair_solve(svm_pair *p, double tol) {
  for (int64_t t = 0; t < p->n; t++) p->beta[t] = 0;
  svm_pair_gradient(p);
  for (int64_t step = 0; step < 2000000; step++) {
    int64_t i = -1, j = -1;
    for (int64_t t = 0; t < p->n; t++) {
      if (svm_may_rise(p, t) && (i < 0 || p->gradient[t] < p->gradient[i])) i = t;
      if (svm_may_fall(p, t) && (j < 0 || p->gradient[t] > p->gradient[j])) j = t;
    }
    if (i < 0 || j < 0 || p->gradient[j] - p->gradient[i] < tol) return;
    double curvature = fmax(p->k[i * p->n + i] + p->k[j * p->n + j] - 2 * p->k[i * p->n + j], 1e-12);
    double room_i = fmax(p->bound[i], 0) - p->beta[i], room_j = p->beta[j] - fmin(p->bound[j], 0);
    double step_length = fmin((p->gradient[j] - p->gradient[i]) / curvature, fmin(room_i, room_j));
    p->beta[i] = step_length == room_i ? fmax(p->bound[i], 0) : p->beta[i] + step_length;
    p->beta[j] = step_length == room_j ? fmin(p->bound[j], 0) : p->beta[j] - step_length;
    for (int64_t t = 0; t < p->n; t++) {
      p->gradient[t] += step_length * (p->k[t * p->n + i] - p->k[t * p->n + j]);
    }
  }
}

/* ---- what every solution meets ---- */

/* Constraints, optimality to tol + slack and the threshold of every pair, the latter two from kernels computed
 * here; returns the objective summed over pairs. */
static double svm_check_optimal(const peri_svm *model, const svm_data *data, const double *weights, double slack) {
  double objective = 0;
  int64_t number = 0;
  for (int64_t a = 0; a < model->k; a++) {
    for (int64_t b = a + 1; b < model->k; b++, number++) {
      svm_pair pair = svm_pair_of(model, data, weights, a, b);
      double sum = 0, size = 0, low, high;
      for (int64_t t = 0; t < pair.n; t++) {
        sum += pair.beta[t];
        size += fabs(pair.beta[t]);
        PERI_CHECK(pair.beta[t] >= fmin(pair.bound[t], 0) && pair.beta[t] <= fmax(pair.bound[t], 0),
                   "coefficient %g beyond bound %g", pair.beta[t], pair.bound[t]);
      }
      PERI_CHECK(fabs(sum) <= 1e-10 * (1 + size), "coefficients sum to %g", sum);
      double gap = svm_pair_gap(&pair, &low, &high);
      PERI_CHECK(gap < model->options.tol + slack, "%s C=%g pair %lld: gap %g",
                 peri_svm_kernel_name(model->options.kernel), model->options.C, (long long)number, gap);
      double rho = (model->k == 2 ? 1 : -1) * model->intercept[number];
      PERI_CHECK(rho > fmin(low, high) - slack - model->options.tol &&
                     rho < fmax(low, high) + slack + model->options.tol,
                 "threshold %g outside %g .. %g", rho, low, high);
      objective += svm_pair_objective(&pair);
      svm_pair_free(&pair);
    }
  }
  return objective;
}

static double svm_reference_objective(const peri_svm *model, const svm_data *data, const double *weights) {
  double objective = 0;
  for (int64_t a = 0; a < model->k; a++) {
    for (int64_t b = a + 1; b < model->k; b++) {
      svm_pair pair = svm_pair_of(model, data, weights, a, b);
      svm_pair_solve(&pair, 1e-7);
      objective += svm_pair_objective(&pair);
      svm_pair_free(&pair);
    }
  }
  return objective;
}

#endif
