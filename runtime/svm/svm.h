/* The support vector machines with a kernel on raw arrays: LIBSVM's five types, classes one-vs-one. The linear ones
 * are in linear.h.
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
  PERI_SVM_PRECOMPUTED,
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
  bool balanced; /* w / (k * w of the class), w being the sum of weights, in place of the list */
  int64_t count;
  const peri_class_weight *list;
} peri_class_weights;

/* ---- machines with a kernel ---- */

typedef enum peri_svm_type {
  PERI_C_SVC,       /* classes; C bounds each row's weight */
  PERI_NU_SVC,      /* classes; nu bounds the share of margin errors from above, of support vectors from below */
  PERI_ONE_CLASS,   /* where the rows lie; nu as above */
  PERI_EPSILON_SVR, /* numbers, a tube of half-width epsilon; C */
  PERI_NU_SVR,      /* numbers, a tube that leaves about nu of the rows outside; C */
  PERI_SVM_TYPE_COUNT
} peri_svm_type;

typedef enum peri_svm_targets { PERI_TARGET_LABELS, PERI_TARGET_NUMBERS, PERI_TARGET_NONE } peri_svm_targets;

/* What is particular to a type: properties as columns. */
typedef struct peri_svm_type_row {
  const char *name;   /* of the estimator, scikit-learn's: "SVC"; messages begin with it */
  const char *libsvm; /* in LIBSVM's model files: "c_svc" */
  peri_svm_targets targets;
  bool uses_C, uses_nu, uses_epsilon;
} peri_svm_type_row;

extern const peri_svm_type_row peri_svm_type_table[PERI_SVM_TYPE_COUNT];

typedef enum peri_gamma_mode {
  PERI_GAMMA_SCALE, /* 1 / (d * variance of X), 1 where the variance is 0 */
  PERI_GAMMA_AUTO,  /* 1 / d */
  PERI_GAMMA_VALUE
} peri_gamma_mode;

/* How far a fit has come; asked now and then on the thread that called it. */
typedef struct peri_svm_progress {
  int64_t machine, machines; /* how many are finished, of how many: a machine for each pair of classes, C and fold */
  int64_t iterations;        /* of the machine at work; 0 between machines */
  double gap;                /* likewise; tol is where it ends */
} peri_svm_progress;

typedef enum peri_svm_verdict {
  PERI_SVM_GO_ON,
  PERI_SVM_ENOUGH, /* as if the time were up: the machine is what was reached, fit_status is 1 */
  PERI_SVM_ABORT   /* the fit fails with PERI_ERR_CANCELLED */
} peri_svm_verdict;

typedef struct peri_svm_options {
  peri_svm_type type;
  peri_svm_kernel_id kernel;
  double C;       /* > 0; infinity asks for a hard margin */
  double nu;      /* in (0, 1] */
  double epsilon; /* >= 0 */
  peri_gamma_mode gamma_mode;
  double gamma;      /* > 0 */
  int64_t degree;    /* of poly, >= 0 */
  double coef0;      /* of poly and sigmoid */
  double tol;        /* > 0: the largest violation of the optimality conditions that is left */
  double cache_size; /* > 0: megabytes (2^20 bytes) for kernel values */
  int64_t max_iter;  /* steps per machine; -1: 10^7, or 100 for each row if they are more */
  double time_limit; /* seconds for a fit, > 0, of which machines have fair shares; infinity for none */
  bool probability;  /* of classes: fit the sigmoids that probabilities need */
  uint64_t seed;     /* of the folds behind them */
  peri_class_weights class_weights;
  /* or NULL; must not touch the context */
  peri_svm_verdict (*progress)(void *arg, const peri_svm_progress *state);
  void *progress_arg;
} peri_svm_options;

/* rbf, C = 1, nu = 0.5, epsilon = 0.1, gamma = "scale", degree 3, coef0 0, tol 1e-3, cache_size 200, no limits. */
peri_svm_options peri_svm_defaults(peri_svm_type type);

/* What is learnt from. With a precomputed kernel x is the n x n matrix of kernel values. */
typedef struct peri_svm_samples {
  peri_dtype dtype;
  int64_t n, d;
  const void *x;
  int64_t ldx;
  const int64_t *labels; /* n, for classes */
  const double *targets; /* n, for regression */
  const double *weights; /* n, >= 0; NULL for ones; rows of weight 0 are as if absent */
} peri_svm_samples;

/* A fitted machine. Over k classes it has one decision for each pair of classes, in the order
 * (0,1), (0,2), .. (0,k-1), (1,2), ..: pairs = k (k - 1) / 2. Regression and one-class have k = 0 and one decision.
 * groups = max(k, 1), rows = max(k - 1, 1). */
typedef struct peri_svm {
  peri_svm_options options; /* the class list and progress are not kept */
  peri_dtype dtype;         /* of the features of the fit */
  int64_t n, d;             /* shape of the features of the fit, rows of weight 0 included */
  int64_t k, pairs, groups, rows;
  int64_t *classes;        /* k, ascending */
  int64_t *n_support;      /* groups */
  int64_t supports;        /* their sum */
  int64_t *support;        /* rows of X, grouped by class, ascending within a class */
  void *support_vectors;   /* supports x d, of dtype; NULL when the kernel is precomputed */
  double *dual_coef;       /* rows x supports; for two classes positive for classes[1] */
  double *coef;            /* linear kernel: pairs x d (1 x d for two classes), else NULL */
  double *intercept;       /* pairs; the sign of dual_coef */
  double *prob_a, *prob_b; /* pairs: P(first class) = 1 / (1 + exp(a f + b)) of the pair's decision f; or NULL */
  double gamma;            /* the number used */
  int64_t *n_iter;         /* pairs */
  double *gaps;            /* pairs: the violation that was left */
  double *objectives;      /* pairs: of the dual, as minimised */
  double gap;              /* the largest of the gaps */
  int fit_status;          /* 0: every machine reached tol; 1: not, see gap */

  struct peri_svm_machine *machine; /* what decisions compute with; private */
} peri_svm;

/* What can be said of options, labels and weights before there is x, which is not looked at: what fit would refuse. */
peri_status peri_svm_check(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples);
/* Fits a machine. Reaching max_iter or time_limit is no failure: fit_status and gap say what was reached. On failure
 * *out is NULL. */
peri_status peri_svm_fit(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                         peri_svm **out);
/* Fits a machine for each of `count` values of C, of a type that uses C: kernel values are computed once, and each
 * machine starts from the one of the next smaller C. They have `count` time limits together. out has count entries, all
 * NULL on failure. */
peri_status peri_svm_path(peri_context *context, const peri_svm_options *options, const peri_svm_samples *samples,
                          int64_t count, const double *Cs, peri_svm **out);
/* Predicts every row by a machine that was fitted without its fold: fold[i] in 0 .. folds-1. For each of `count`
 * values of C (count 0: that of options alone) out gets n predictions: int64 labels, or doubles for regression; for
 * rows of weight 0, which no fit sees, 0 or NaN. Votes decide, not probabilities; gamma is that of all rows. Kernel
 * values are computed once for all folds and C where cache_size holds them. Each fold has a time limit for each C. */
peri_status peri_svm_cross_predict(peri_context *context, const peri_svm_options *options,
                                   const peri_svm_samples *samples, int64_t folds, const int64_t *fold, int64_t count,
                                   const double *Cs, void *out, int *fit_status);
/* Folds of n rows, each label spread evenly (labels may be NULL), by the seed: fold[i] in 0 .. folds-1. */
peri_status peri_svm_folds(peri_context *context, int64_t n, const int64_t *labels, int64_t folds, uint64_t seed,
                           int64_t *fold);
void peri_svm_release(peri_context *context, peri_svm **model);

/* For readers of files, which make a machine in three steps: an empty one, whose options, dtype, n, d and gamma the
 * caller sets; room for k classes and the support vectors that n_support (groups, copied) counts, which sets k, pairs,
 * groups, rows and supports; and, once the caller has filled the arrays but coef, what decisions need. */
peri_status peri_svm_new(peri_context *context, peri_svm **out);
peri_status peri_svm_make_room(peri_svm *model, int64_t k, const int64_t *n_support);
peri_status peri_svm_prepare(peri_context *context, peri_svm *model);

/* out is m x pairs: positive for the first class of the pair, also when there are two classes; regression: the
 * prediction; one-class: positive inside. With a precomputed kernel x is m x n: kernel values against all rows of the
 * fit. */
peri_status peri_svm_decision(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m, int64_t d,
                              const void *x, int64_t ldx, double *out);
/* The same from kernel values against the support vectors alone: m x supports, rows of ld. */
peri_status peri_svm_decision_of_kernel(peri_context *context, const peri_svm *model, peri_dtype dtype, int64_t m,
                                        const void *values, int64_t ld, double *out);
/* Gets the decisions of rows from .. from + rows - 1. */
typedef peri_status (*peri_svm_use)(void *arg, int64_t from, int64_t rows, const double *decision);
/* The same decisions (of_kernel: of kernel values against the support vectors, d of them), some rows at a time, so that
 * what is held does not grow with rows times pairs. */
peri_status peri_svm_decision_blocks(peri_context *context, const peri_svm *model, bool of_kernel, peri_dtype dtype,
                                     int64_t m, int64_t d, const void *x, int64_t ldx, peri_svm_use use, void *arg);
/* The public decision of two classes, positive for classes[1], from the above in place. */
void peri_svm_binary_sign(int64_t m, double *decision);
/* m x k from m x pairs: votes plus a monotone transform of the summed confidences into (-1/3, 1/3). */
void peri_svm_ovr(int64_t k, int64_t m, const double *decision, double *out);
/* m x k probabilities from m x pairs, by coupling (Wu, Lin, Weng 2004, method 2); the machine has prob_a. */
peri_status peri_svm_probabilities(peri_context *context, const peri_svm *model, int64_t m, const double *decision,
                                   double *out);

typedef enum peri_svm_tie { PERI_SVM_LOWEST, PERI_SVM_CONFIDENCE } peri_svm_tie;
/* Labels of m rows of decisions: the class with the most votes; of equals the lowest, or with PERI_SVM_CONFIDENCE the
 * class of the largest peri_svm_ovr. One-class: 1 inside, where the decision is not negative, -1 outside. */
void peri_svm_labels(const peri_svm *model, peri_svm_tie tie, int64_t m, const double *decision, int64_t *out);
/* Labels of m rows of probabilities: the likeliest class, the lowest of equals. */
void peri_svm_likeliest(const peri_svm *model, int64_t m, const double *probabilities, int64_t *out);

#endif
