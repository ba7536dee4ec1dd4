/* The linear machines: LinearSVC, LinearSVR and LogisticRegression on raw arrays.
 *
 * All of them minimise  penalty(w) + sum_i C_i loss(w'x_i, y_i)  for one or several w. What differs (kind,
 * penalty, loss, treatment of several classes) picks a row of the table in linear.c, and the row's solver does
 * the rest. The intercept is the weight of a constant feature of value intercept_scaling, and is penalised like
 * the others. Names, layouts and signs are scikit-learn's; conventions are those of svm/samples.h. */
#ifndef PERI_LINEAR_H
#define PERI_LINEAR_H

#include "svm/samples.h"

typedef enum peri_linear_kind {
  PERI_LINEAR_CLASSIFIER, /* LinearSVC */
  PERI_LINEAR_REGRESSOR,  /* LinearSVR */
  PERI_LINEAR_LOGISTIC,   /* LogisticRegression */
  PERI_LINEAR_KINDS
} peri_linear_kind;

typedef enum peri_linear_penalty {
  PERI_PENALTY_L2, /* w'w / 2 */
  PERI_PENALTY_L1, /* sum |w_j| */
  PERI_LINEAR_PENALTIES
} peri_linear_penalty;

typedef enum peri_linear_loss {
  PERI_LOSS_HINGE,           /* max(0, 1 - y f) */
  PERI_LOSS_SQUARED_HINGE,   /* its square */
  PERI_LOSS_EPSILON,         /* max(0, |f - y| - epsilon) */
  PERI_LOSS_SQUARED_EPSILON, /* its square */
  PERI_LOSS_LOGISTIC,        /* log(1 + exp(-y f)) */
  PERI_LINEAR_LOSSES
} peri_linear_loss;

typedef enum peri_multi_class {
  PERI_OVR,            /* one machine for each class against the rest */
  PERI_CRAMMER_SINGER, /* one problem for all classes */
  PERI_LINEAR_MULTI_CLASSES
} peri_multi_class;

/* The names of the above in options and messages; NULL beyond the table. */
const char *peri_linear_kind_name(peri_linear_kind kind);
const char *peri_linear_penalty_name(peri_linear_penalty penalty);
const char *peri_linear_loss_name(peri_linear_loss loss);
const char *peri_multi_class_name(peri_multi_class multi_class);

typedef struct peri_linear_options {
  peri_linear_kind kind;
  peri_linear_penalty penalty;
  peri_linear_loss loss;
  peri_multi_class multi_class;
  double C;         /* > 0 */
  double epsilon;   /* >= 0: errors of a regression that cost nothing, in the unit of the targets */
  double tol;       /* > 0: see peri_linear.gaps */
  int64_t max_iter; /* passes over the data, or Newton steps, > 0; -1: 1000, of Crammer-Singer 100,000 */
  bool fit_intercept;
  double intercept_scaling; /* > 0 */
  uint64_t seed;            /* of the order in which rows or features are visited */
  double time_limit;        /* > 0: seconds, of which machines have fair shares; infinity for none */
  peri_class_weights class_weights;
} peri_linear_options;

/* C = 1, epsilon 0, tol 1e-4, max_iter -1, an intercept of scaling 1, seed 0, no time limit; penalty L2;
 * squared hinge, epsilon-insensitive or logistic loss by kind; one-vs-rest. */
peri_linear_options peri_linear_defaults(peri_linear_kind kind);

/* A fitted machine. It has one row of coefficients for each class, or a single one, positive for
 * classes[1], when there are two; a regression has a single one.
 *
 * Gaps are what tol bounds, in LIBLINEAR's measures:
 *   hinge losses with L2 penalty: span of the projected gradient of the dual;
 *   epsilon losses: sum of the violations of the dual's conditions, relative to that at 0;
 *   logistic with L2 penalty: norm of the gradient, relative to that at 0 times the share of the smaller class;
 *   L1 penalty: sum of the violations over the features, relative likewise;
 *   Crammer-Singer: the largest violation of a row. */
typedef struct peri_linear {
  peri_linear_options options; /* the class list is not kept */
  int64_t n, d;                /* shape of the features of the fit, rows of weight 0 included */
  int64_t k, rows;             /* classes (0 for a regression), rows of coefficients */
  int64_t *classes;            /* k, ascending */
  double *coef;                /* rows x d */
  double *intercept;           /* rows */
  int64_t *n_iter;             /* rows */
  double *gaps;                /* rows: what was left */
  double gap;                  /* the largest of them */
  int fit_status;              /* 0: every row reached tol; 1: max_iter, the time limit or rounding came first */

  struct peri_blocks *blocks; /* what it owns; private */
} peri_linear;

/* Fits a machine. Labels are read by classifiers, targets (finite) by regressions. On failure *out is NULL;
 * PERI_ERR_NUMERIC when the numbers overflow. */
peri_status peri_linear_fit(peri_context *context, const peri_linear_options *options, const peri_svm_samples *samples,
                            peri_linear **out);
/* A machine whose arrays are still to be filled, as for one that comes from a file; k is 0 for a regression. On
 * failure *out is NULL. */
peri_status peri_linear_new(peri_context *context, const peri_linear_options *options, int64_t n, int64_t d, int64_t k,
                            peri_linear **out);
void peri_linear_release(peri_context *context, peri_linear **model);

/* out is m x rows; PERI_ERR_NUMERIC when a decision overflows. */
peri_status peri_linear_decision(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m,
                                 int64_t d, const void *x, int64_t ldx, double *out);
/* The class of each of m rows; of the first of equal decisions. */
peri_status peri_linear_predict(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m, int64_t d,
                                const void *x, int64_t ldx, int64_t *out);
/* out is m x k, for logistic regressions: the sigmoid of the decision; with more than two classes those of all
 * rows over their sum. The largest, first of equals, is what predict gives. */
peri_status peri_linear_probability(peri_context *context, const peri_linear *model, peri_dtype dtype, int64_t m,
                                    int64_t d, const void *x, int64_t ldx, double *out);

#endif
