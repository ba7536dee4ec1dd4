/* Sigmoids and coupling; see platt.h. */
#include "svm/kernel/platt.h"

#include "kernels/scalar.h"

#include <math.h>

#define MOST_STEPS 100
#define LEAST_STEP 1e-10
#define RIDGE      1e-12 /* keeps the Hessian positive definite */
#define SLOPE      1e-5  /* of the gradient at the end */

/* 1 / (1 + exp(z)) without overflow. */
static double sigmoid(double z) {
  if (z < 0) return 1 / (1 + peri_exp(z));
  double e = peri_exp(-z);
  return e / (1 + e);
}

double peri_platt(double decision, double a, double b) { return sigmoid(a * decision + b); }

/* Minus the log likelihood: sum of t z + log(1 + exp(-z)), in the form that does not overflow. */
static double loss(int64_t n, const double *f, const bool *positive, const double target[2], double a, double b) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    double z = a * f[i] + b, t = target[positive[i]];
    sum += z >= 0 ? t * z + peri_log1p(peri_exp(-z)) : (t - 1) * z + peri_log1p(peri_exp(z));
  }
  return sum;
}

/* Newton's steps from *a and *b, which stays as it is where it is not free. */
static void fit(int64_t n, const double *decision, const bool *positive, const double target[2], bool b_free, double *a,
                double *b) {
  double value = loss(n, decision, positive, target, *a, *b);
  for (int step = 0; step < MOST_STEPS; step++) {
    double h_aa = RIDGE, h_bb = RIDGE, h_ab = 0, g_a = 0, g_b = 0;
    for (int64_t i = 0; i < n; i++) {
      double p = sigmoid(*a * decision[i] + *b), curvature = p * (1 - p), difference = target[positive[i]] - p;
      h_aa += decision[i] * decision[i] * curvature;
      h_ab += decision[i] * curvature;
      h_bb += curvature;
      g_a += decision[i] * difference;
      g_b += difference;
    }
    if (!b_free) h_ab = g_b = 0;
    if (fabs(g_a) < SLOPE && fabs(g_b) < SLOPE) return;
    double determinant = h_aa * h_bb - h_ab * h_ab;
    double d_a = -(h_bb * g_a - h_ab * g_b) / determinant, d_b = -(h_aa * g_b - h_ab * g_a) / determinant;
    double slope = g_a * d_a + g_b * d_b, length = 1;
    for (; length >= LEAST_STEP; length /= 2) {
      double next = loss(n, decision, positive, target, *a + length * d_a, *b + length * d_b);
      if (!(next < value + 1e-4 * length * slope)) continue;
      *a += length * d_a;
      *b += length * d_b;
      value = next;
      break;
    }
    if (length < LEAST_STEP) return;
  }
}

/* Counts of both classes, and what their probabilities are to be. */
static void targets(int64_t n, const bool *positive, double count[2], double target[2]) {
  count[0] = count[1] = 0;
  for (int64_t i = 0; i < n; i++) count[positive[i]]++;
  target[0] = 1 / (count[0] + 2);
  target[1] = (count[1] + 1) / (count[1] + 2);
}

void peri_platt_fit(int64_t n, const double *decision, const bool *positive, double *a, double *b) {
  double count[2], target[2];
  targets(n, positive, count, target);
  *a = 0;
  *b = peri_log((count[0] + 1) / (count[1] + 1));
  fit(n, decision, positive, target, true, a, b);
  if (!(*a > 0)) return;
  /* the loss is convex: of those that are not positive, the best a is 0, and b gives the mean of the targets */
  double sum = count[0] * target[0] + count[1] * target[1];
  *a = 0;
  *b = peri_log(((double)n - sum) / sum);
}

void peri_platt_fit_slope(int64_t n, const double *decision, const bool *positive, double *a, double *b) {
  double count[2], target[2];
  targets(n, positive, count, target);
  *a = *b = 0;
  fit(n, decision, positive, target, false, a, b);
  *a = peri_smaller(*a, 0);
}

/* ---- coupling ----
 * min over p of sum_i sum_{j != i} (r_ji p_i - r_ij p_j)^2 with sum p = 1: Q p = (p'Qp) 1, solved one
 * coordinate after the other, where Q_ii = sum_{j != i} r_ji^2 and Q_ij = -r_ji r_ij. */
void peri_couple(int64_t k, const double *r, double *p, double *scratch) {
  double *Q = scratch, *Qp = scratch + k * k;
  for (int64_t i = 0; i < k; i++) {
    p[i] = 1 / (double)k;
    Q[i * k + i] = 0;
    for (int64_t j = 0; j < k; j++) {
      if (j == i) continue;
      Q[i * k + i] += r[j * k + i] * r[j * k + i];
      Q[i * k + j] = -r[j * k + i] * r[i * k + j];
    }
  }
  double enough = 0.005 / (double)k;
  for (int64_t round = 0; round < peri_max(100, k); round++) {
    double pQp = 0, worst = 0;
    for (int64_t i = 0; i < k; i++) {
      Qp[i] = 0;
      for (int64_t j = 0; j < k; j++) Qp[i] += Q[i * k + j] * p[j];
      pQp += p[i] * Qp[i];
    }
    for (int64_t i = 0; i < k; i++) worst = peri_larger(worst, fabs(Qp[i] - pQp));
    if (worst < enough) return;
    for (int64_t i = 0; i < k; i++) {
      double change = (pQp - Qp[i]) / Q[i * k + i], all = 1 + change;
      p[i] += change;
      pQp = (pQp + change * (change * Q[i * k + i] + 2 * Qp[i])) / (all * all);
      for (int64_t j = 0; j < k; j++) {
        Qp[j] = (Qp[j] + change * Q[i * k + j]) / all;
        p[j] /= all;
      }
    }
  }
}
