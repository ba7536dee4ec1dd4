/* The linear estimators: their documentation; what they do is in runtime/model/machine_linear.c. */
#include "svm.h"

static const estimator_also class_also[] = {ESTIMATOR_CLASS_WEIGHT, {NULL}};
static const estimator_also plain_also[] = {{NULL}};

#define COMMON_DOC                                                                                                     \
  "The intercept is the weight of a constant feature of value intercept_scaling, and is penalised like the others "    \
  "(a larger value makes that lighter). seed: of the order in which rows or features are visited. max_iter bounds "    \
  "passes over the data, or Newton steps; " ESTIMATOR_TIME_DOC
#define FALL_DOC                                                                                                       \
  "With 'l1' a machine goes on, besides, while a step makes the objective smaller by more than a share tol. "
#define WEIGHTS_DOC                                                                                                    \
  "class_weight: 'balanced' (the weights of the rows of each class add up to the same), or {[label] = weight}, which " \
  "multiplies C for the rows of that class in every machine (LIBLINEAR's one-vs-rest machines weigh their own class "  \
  "alone).\n"
#define CLASS_FIELDS_DOC                                                                                               \
  "Fields after fit, for n x d features, k classes and r machines (1 for two classes, else k): classes (k, "           \
  "ascending, int64), coef (r x d), intercept (r), n_iter (r, int64), gaps (r), all float64 where nothing else is "    \
  "said; gap, fit_status, shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC                                                 \
  "Options can be read too (m.C). A machine is positive for its class, the single one for classes[2].\n"
#define ERRORS_DOC                                                                                                     \
  "Errors: unknown options, values out of range; fit says what is wrong with the data, and when its numbers are so "   \
  "large that they overflow.\n"
#define DUAL_SOURCE                                                                                                    \
  "C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, A dual coordinate descent method for "         \
  "large-scale linear SVM, ICML 2008"
#define NEWTON_SOURCE                                                                                                  \
  "S. S. Keerthi, D. DeCoste, A modified finite Newton method for fast solution of large scale linear SVMs, JMLR 6, "  \
  "2005"
#define DESCENT_SOURCE                                                                                                 \
  "G.-X. Yuan, C.-H. Ho, C.-J. Lin, An improved GLMNET for L1-regularized logistic regression, JMLR 13, 2012"

const estimator_type peri_bind_linear_svc = {
    .row = &peri_machine_linear_svc,
    .methods = "fit predict decision_function score clone params release restore",
    .class_name = "perilune.svm.LinearSVC",
    .kind = (bind_kind)BIND_LINEAR_SVC,
    .also = class_also,
    .doc =
        "svm.LinearSVC{C = 1, penalty = 'l2', loss = 'squared_hinge', multi_class = 'ovr', tol = 1e-4, max_iter = -1, "
        "fit_intercept = true, intercept_scaling = 1, seed = 0, time_limit = math.huge, class_weight =} -> estimator\n"
        "A linear support vector classifier, for many rows, where SVC with a linear kernel is slow: penalty(w) + C sum "
        "loss(y w'x) is made as small as it gets. loss: 'squared_hinge', max(0, 1 - y f)^2, or 'hinge', its root; "
        "penalty 'l1', which leaves many weights at 0, goes with 'squared_hinge' alone. multi_class: 'ovr', a machine "
        "for each class against the rest; 'crammer_singer', all classes in one problem, where penalty and loss are not "
        "read. " COMMON_DOC
        "max_iter = -1 is 1000; of 'crammer_singer', where few rows are left after the first passes, 100,000. tol: "
        "'l2', span of the projected gradient of the dual; 'l1', sum of the violations of the optimality conditions, "
        "relative to that at w = 0 times the share of the smaller class; 'crammer_singer', the largest violation of a "
        "row. " FALL_DOC WEIGHTS_DOC
        "Methods: fit, predict, decision_function, score, save, clone, params, release.\n" CLASS_FIELDS_DOC ERRORS_DOC
        "Source: " DUAL_SOURCE "; " NEWTON_SOURCE "; " DESCENT_SOURCE
        "; S. S. Keerthi, S. Sundararajan, K.-W. Chang, C.-J. Hsieh, C.-J. Lin, A sequential dual method for large "
        "scale multi-class linear SVMs, KDD 2008."};

const estimator_type peri_bind_linear_svr = {
    .row = &peri_machine_linear_svr,
    .methods = "fit predict decision_function score clone params release restore",
    .class_name = "perilune.svm.LinearSVR",
    .kind = (bind_kind)BIND_LINEAR_SVR,
    .also = plain_also,
    .doc =
        "svm.LinearSVR{C = 1, epsilon = 0, loss = 'epsilon_insensitive', tol = 1e-4, max_iter = 1000, fit_intercept = "
        "true, intercept_scaling = 1, seed = 0, time_limit = math.huge} -> estimator\n"
        "Linear support vector regression: w'w / 2 + C sum loss(w'x - y) is made as small as it gets. loss: "
        "'epsilon_insensitive', max(0, |f - y| - epsilon), or 'squared_epsilon_insensitive', its square; epsilon is in "
        "the unit of y. " COMMON_DOC "tol: sum of the violations of the dual's conditions, relative to that at w = 0.\n"
        "Methods: fit, predict, decision_function (the same numbers), score, save, clone, params, release.\n"
        "Fields after fit, for n x d features: coef (1 x d), intercept (1), n_iter (1, int64), gaps (1), all float64 "
        "where nothing else is said; gap, fit_status, shape_fit {n, d}. " ESTIMATOR_FIT_FIELDS_DOC
        "Options can be read too (m.C).\n" ERRORS_DOC
        "Source: C.-H. Ho, C.-J. Lin, Large-scale linear support vector regression, JMLR 13, 2012; " NEWTON_SOURCE "."};

const estimator_type peri_bind_logistic = {
    .row = &peri_machine_logistic,
    .methods = "fit predict decision_function predict_proba score clone params release restore",
    .class_name = "perilune.svm.LogisticRegression",
    .kind = (bind_kind)BIND_LOGISTIC,
    .also = class_also,
    .doc =
        "svm.LogisticRegression{C = 1, penalty = 'l2', tol = 1e-4, max_iter = 1000, fit_intercept = true, "
        "intercept_scaling = 1, seed = 0, time_limit = math.huge, class_weight =} -> estimator\n"
        "Logistic regression, one-vs-rest for more than two classes: penalty(w) + C sum log(1 + exp(-y w'x)) is made "
        "as small as it gets; penalty 'l1' leaves many weights at 0. " COMMON_DOC
        "tol, relative to w = 0 times the share of the smaller class: 'l2', norm of the gradient; 'l1', sum of the "
        "violations of the optimality conditions. " FALL_DOC WEIGHTS_DOC
        "Methods: fit, predict, predict_proba (the sigmoid of the decision; for more than two classes those of all "
        "machines over their sum), decision_function, score, save, clone, params, release.\n" CLASS_FIELDS_DOC
            ERRORS_DOC
        "Source: C.-J. Lin, R. C. Weng, S. S. Keerthi, Trust region Newton method for large-scale logistic regression, "
        "JMLR 9, 2008; " DESCENT_SOURCE "."};
