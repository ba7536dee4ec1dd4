/* The estimators with a kernel: their documentation; what they do is in runtime/model/machine_kernel.c. */
#include "svm.h"

static const estimator_also class_also[] = {ESTIMATOR_CLASS_WEIGHT, {NULL}};
static const estimator_also plain_also[] = {{NULL}};

#define KERNEL_DOC                                                                                                     \
  "Kernels: linear u.v; poly (gamma u.v + coef0)^degree; rbf exp(-gamma |u - v|^2); sigmoid tanh(gamma u.v + coef0); " \
  "precomputed: X holds kernel values; or a Lua function f(A, B) of two tensors, m x d and n x d, that gives their m " \
  "x n kernel values as a tensor (called once with all rows in a fit). gamma: 'scale', 1 / (d Var(X)); 'auto', 1 / "   \
  "d; or a number > 0. cache_size is in megabytes: kernel values up to that size are computed once, else those of "    \
  "each pair of classes, or, beyond the size too, as they are needed. max_iter bounds the steps of each machine (-1: " \
  "10^7, or 100 for each row if they are more), " ESTIMATOR_TIME_DOC
#define FIELDS_DOC                                                                                                     \
  "support_vectors (s x d, the dtype of X; nil with precomputed), coef (p x d; nil unless the kernel is linear), "     \
  "n_iter (p, int64), gaps (p), objectives (p: of the dual, minimised, in the units of dual_coef), all float64 where " \
  "nothing else is said; gap, fit_status, gamma (the number used), shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC        \
  "Options can be read too (m.C); m.gamma is the option until the fit. "
#define CLASS_FIELDS_DOC                                                                                               \
  "Methods: fit, predict, predict_proba, decision_function, score, save, clone, params, release.\n"                    \
  "Fields after fit, for n x d features, k classes, p = k (k - 1) / 2 pairs ((1,2), (1,3), ..) and s support "         \
  "vectors: classes (k, ascending, int64), support (s, int64: rows of X, by class), n_support (k, int64), dual_coef "  \
  "((k-1) x s), intercept (p), prob_a, prob_b (p; nil without probability), " FIELDS_DOC                               \
  "With two classes dual_coef, coef and intercept are positive for classes[2]; with more, for the first class of the " \
  "pair.\n"
#define PLAIN_FIELDS_DOC                                                                                               \
  "Fields after fit, for n x d features and s support vectors (p = 1): support (s, int64: rows of X), n_support (1, "  \
  "int64), dual_coef (1 x s), intercept (1), " FIELDS_DOC "\n"
#define SOLVER_SOURCE                                                                                                  \
  "R.-E. Fan, P.-H. Chen, C.-J. Lin, Working set selection using second order information for training support "       \
  "vector machines, JMLR 6, 2005."

const estimator_type peri_bind_svc = {
    .row = &peri_machine_svc,
    .methods = "fit predict decision_function predict_proba score clone params release restore path cross_predict",
    .class_name = "perilune.svm.SVC",
    .kind = (bind_kind)BIND_SVC,
    .also = class_also,
    .doc =
        "svm.SVC{kernel = 'rbf', C = 1, gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = 200, "
        "max_iter = -1, time_limit = math.huge, class_weight =, decision_function_shape = 'ovr', break_ties = false, "
        "probability = false, seed = 0} -> estimator\n"
        "A support vector classifier with a kernel, one-vs-one for more than two classes. " KERNEL_DOC
        "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}, "
        "which multiplies C.\n" CLASS_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: " SOLVER_SOURCE};

const estimator_type peri_bind_nu_svc = {
    .row = &peri_machine_nu_svc,
    .methods = "fit predict decision_function predict_proba score clone params release restore path cross_predict",
    .class_name = "perilune.svm.NuSVC",
    .kind = (bind_kind)BIND_NU_SVC,
    .also = class_also,
    .doc =
        "svm.NuSVC{nu = 0.5, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = 200, "
        "max_iter = -1, time_limit = math.huge, class_weight =, decision_function_shape = 'ovr', break_ties = false, "
        "probability = false, seed = 0} -> estimator\n"
        "A support vector classifier in which nu, in (0, 1], takes the place of C: at most that share of the rows are "
        "margin errors, and at least that share are support vectors. " KERNEL_DOC
        "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}: "
        "weights of the class's rows.\n" CLASS_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data, when nu is more than "
        "uneven classes allow, how much it can be, and when nothing separates the rows, as no C would do then.\n"
        "Source: B. Schoelkopf, A. Smola, R. Williamson, P. Bartlett, New support vector algorithms, Neural "
        "Computation 12, 2000; " SOLVER_SOURCE};

const estimator_type peri_bind_svr = {
    .row = &peri_machine_svr,
    .methods = "fit predict decision_function score clone params release restore path cross_predict",
    .class_name = "perilune.svm.SVR",
    .kind = (bind_kind)BIND_SVR,
    .also = plain_also,
    .doc = "svm.SVR{kernel = 'rbf', C = 1, epsilon = 0.1, gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, "
           "cache_size = 200, max_iter = -1, time_limit = math.huge} -> estimator\n"
           "Support vector regression: errors below epsilon cost nothing. " KERNEL_DOC
           "\nMethods: fit, predict, decision_function, score, save, clone, params, release.\n" PLAIN_FIELDS_DOC
           "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
           "Source: V. Vapnik, Statistical learning theory, 1998; " SOLVER_SOURCE};

const estimator_type peri_bind_nu_svr = {
    .row = &peri_machine_nu_svr,
    .methods = "fit predict decision_function score clone params release restore path cross_predict",
    .class_name = "perilune.svm.NuSVR",
    .kind = (bind_kind)BIND_NU_SVR,
    .also = plain_also,
    .doc =
        "svm.NuSVR{nu = 0.5, C = 1, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = "
        "200, max_iter = -1, time_limit = math.huge} -> estimator\n"
        "Support vector regression that finds the width of the tube: at most a share nu of the rows, in (0, 1], lies "
        "outside, and at least that share are support vectors. " KERNEL_DOC
        "\nMethods: fit, predict, decision_function, score, save, clone, params, release.\n" PLAIN_FIELDS_DOC
        "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
        "Source: B. Schoelkopf, A. Smola, R. Williamson, P. Bartlett, New support vector algorithms, Neural "
        "Computation 12, 2000; " SOLVER_SOURCE};

const estimator_type peri_bind_one_class = {
    .row = &peri_machine_one_class,
    .methods = "fit predict decision_function clone params release restore path cross_predict",
    .class_name = "perilune.svm.OneClassSVM",
    .kind = (bind_kind)BIND_ONE_CLASS,
    .also = plain_also,
    .doc = "svm.OneClassSVM{nu = 0.5, kernel = 'rbf', gamma = 'scale', degree = 3, coef0 = 0, tol = 1e-3, cache_size = "
           "200, max_iter = -1, time_limit = math.huge} -> estimator\n"
           "Where rows lie, learnt without labels: at most a share nu of them, in (0, 1], is left outside. fit(X, nil, "
           "options); predict gives 1 inside, where the decision is not negative, and -1 outside. " KERNEL_DOC
           "\nMethods: fit, predict, decision_function, save, clone, params, release.\n" PLAIN_FIELDS_DOC
           "offset is minus the intercept.\n"
           "Errors: unknown options, values out of range; fit says what is wrong with the data.\n"
           "Source: B. Schoelkopf, J. Platt, J. Shawe-Taylor, A. Smola, R. Williamson, Estimating the support of a "
           "high-dimensional distribution, Neural Computation 13, 2001; " SOLVER_SOURCE};
