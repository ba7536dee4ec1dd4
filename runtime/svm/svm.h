/* The support vector machines: SVC (kernels, one-vs-one) and LinearSVC (one-vs-rest) on raw arrays.
 *
 * Features are row-major float32 or float64, x[i * ldx + j]; labels are int64 of any values; sizes are
 * int64_t and indices count from 0. Names, layouts and signs of what a fitted model shows are
 * scikit-learn's, so that whoever knows one knows the other. A fitted model is constant: it may be read
 * and asked for decisions as often as wanted, through the context that made it.
 *
 * Every fit and decision polls the context's cancellation flag, takes its memory from the context's budget,
 * and leaves nothing behind when it fails. Results do not depend on the number of threads. */
#ifndef PERI_SVM_H
#define PERI_SVM_H

#include "base/base.h"

/* ---- what is common ---- */

typedef enum peri_svm_kernel_id {
  PERI_SVM_LINEAR,  /* u.v */
  PERI_SVM_POLY,    /* (gamma u.v + coef0)^degree */
  PERI_SVM_RBF,     /* exp(-gamma |u - v|^2) */
  PERI_SVM_SIGMOID, /* tanh(gamma u.v + coef0) */
  PERI_SVM_KERNEL_COUNT
} peri_svm_kernel_id;

/* Its name in options, files and messages; NULL beyond the table. */
const char *peri_svm_kernel_name(int64_t id);
/* The id of a name, or -1. */
int64_t peri_svm_kernel_find(const char *name);

typedef struct peri_class_weight {
  int64_t label;
  double weight; /* multiplies C for the rows of this class */
} peri_class_weight;

/* Weights of classes; a class that is not listed has weight 1. */
typedef struct peri_class_weights {
  bool balanced; /* n / (k * rows of the class), in place of the list */
  int64_t count;
  const peri_class_weight *list;
} peri_class_weights;

/* ---- SVC ---- */

typedef enum peri_gamma_mode {
  PERI_GAMMA_SCALE, /* 1 / (d * variance of X), 1 where the variance is 0 */
  PERI_GAMMA_AUTO,  /* 1 / d */
  PERI_GAMMA_VALUE
} peri_gamma_mode;

typedef struct peri_svc_options {
  peri_svm_kernel_id kernel;
  double C; /* > 0; infinity asks for a hard margin */
  peri_gamma_mode gamma_mode;
  double gamma;      /* > 0 */
  int64_t degree;    /* of poly, >= 0 */
  double coef0;      /* of poly and sigmoid */
  double tol;        /* > 0: the largest violation of the optimality conditions that is left */
  double cache_size; /* > 0: megabytes (2^20 bytes) for kernel values */
  int64_t max_iter;  /* steps per pair of classes; -1 for no limit */
  peri_class_weights class_weights;
} peri_svc_options;

/* rbf, C = 1, gamma = "scale", degree 3, coef0 0, tol 1e-3, cache_size 200, no limit. */
peri_svc_options peri_svc_defaults(void);

/* A fitted machine over k classes, with one decision for each pair of classes, in the order
 * (0,1), (0,2), .. (0,k-1), (1,2), ..: pairs = k (k - 1) / 2. */
typedef struct peri_svc {
  peri_svc_options options; /* the class list is not kept */
  peri_dtype dtype;         /* of the features of the fit */
  int64_t n, d;             /* shape of the features of the fit, rows of weight 0 included */
  int64_t k, pairs;
  int64_t *classes;      /* k, ascending */
  int64_t *n_support;    /* k */
  int64_t supports;      /* their sum */
  int64_t *support;      /* rows of X, grouped by class, ascending within a class */
  void *support_vectors; /* supports x d, of dtype */
  double *dual_coef;     /* (k-1) x supports; for two classes positive for classes[1] */
  double *coef;          /* linear kernel: pairs x d (1 x d for two classes), else NULL */
  double *intercept;     /* pairs; the sign of dual_coef */
  double gamma;          /* the number used */
  int64_t *n_iter;       /* pairs */
  double *gaps;          /* pairs: the violation that was left */
  double gap;            /* the largest of them */
  int fit_status;        /* 0: every pair reached tol; 1: not, see gap */

  struct peri_svc_machine *machine; /* what decisions compute with; private */
} peri_svc;

/* Fits a machine; weights (n, >= 0) may be NULL, rows of weight 0 are as if absent. Reaching
 * max_iter is no failure: fit_status and gap say what was reached. On failure *out is NULL. */
peri_status peri_svc_fit(peri_context *context, const peri_svc_options *options, peri_dtype dtype, int64_t n, int64_t d,
                         const void *x, int64_t ldx, const int64_t *y, const double *weights, peri_svc **out);
void peri_svc_release(peri_context *context, peri_svc **model);

/* out is m x pairs: positive for the first class of the pair, also when there are two classes. */
peri_status peri_svc_decision(peri_context *context, const peri_svc *model, peri_dtype dtype, int64_t m, int64_t d,
                              const void *x, int64_t ldx, double *out);
/* The public decision of two classes, positive for classes[1], from the above in place. */
void peri_svc_binary_sign(int64_t m, double *decision);
/* m x k from m x pairs: votes plus a monotone transform of the summed confidences into (-1/3, 1/3). */
void peri_svc_ovr(int64_t k, int64_t m, const double *decision, double *out);
/* The class with the most votes, the first of them on a tie; out is m labels. */
void peri_svc_vote(const peri_svc *model, int64_t m, const double *decision, int64_t *out);
/* Decisions and votes. */
peri_status peri_svc_predict(peri_context *context, const peri_svc *model, peri_dtype dtype, int64_t m, int64_t d,
                             const void *x, int64_t ldx, int64_t *out);

/* ---- LinearSVC ---- */

typedef enum peri_hinge { PERI_HINGE, PERI_SQUARED_HINGE } peri_hinge;

typedef struct peri_linear_svc_options {
  double C; /* > 0 */
  peri_hinge loss;
  double tol;       /* > 0: span of the projected gradient at the end */
  int64_t max_iter; /* passes over the data, > 0 */
  bool fit_intercept;
  double intercept_scaling; /* > 0: value of the constant feature that carries the intercept */
  uint64_t seed;
  peri_class_weights class_weights;
} peri_linear_svc_options;

/* C = 1, squared hinge, tol 1e-4, 1000 passes, an intercept of scaling 1, seed 0. */
peri_linear_svc_options peri_linear_svc_defaults(void);

/* One row for each class, or a single one, positive for classes[1], when there are two. */
typedef struct peri_linear_svc {
  peri_linear_svc_options options; /* the class list is not kept */
  peri_dtype dtype;
  int64_t n, d, k, rows;
  int64_t *classes;  /* k, ascending */
  double *coef;      /* rows x d */
  double *intercept; /* rows */
  int64_t *n_iter;   /* rows: passes */
  double *gaps;      /* rows: the span that was left */
  double gap;
  int fit_status; /* 0: every row reached tol; 1: not */

  struct peri_blocks *blocks; /* what it owns; private */
} peri_linear_svc;

peri_status peri_linear_svc_fit(peri_context *context, const peri_linear_svc_options *options, peri_dtype dtype,
                                int64_t n, int64_t d, const void *x, int64_t ldx, const int64_t *y,
                                const double *weights, peri_linear_svc **out);
void peri_linear_svc_release(peri_context *context, peri_linear_svc **model);
/* out is m x rows. */
peri_status peri_linear_svc_decision(peri_context *context, const peri_linear_svc *model, peri_dtype dtype, int64_t m,
                                     int64_t d, const void *x, int64_t ldx, double *out);
peri_status peri_linear_svc_predict(peri_context *context, const peri_linear_svc *model, peri_dtype dtype, int64_t m,
                                    int64_t d, const void *x, int64_t ldx, int64_t *out);

#endif
