/* The five types, and their programmes. With w the rows' weights:
 *
 *   C-SVC        q = -y          0 <= y b <= C w   sum b = 0
 *   nu-SVC       q = 0           0 <= y b <= w     sum y b = nu sum(w) / 2 in each class
 *   one-class    q = 0           0 <= b <= w       sum b = nu sum(w)
 *   epsilon-SVR  q = -z          -C w <= b <= C w  sum b = 0, and the term eps |b|
 *   nu-SVR       q = -z          0 <= b <= C w     sum C nu sum(w) / 2, and for the other side of the tube
 *                q = -z          -C w <= b <= 0    sum the opposite
 * (Schoelkopf, Smola, Williamson, Bartlett 2000; Chang, Lin 2001.) With r and rho from the thresholds of its
 * two classes, a nu-SVC is the C-SVC of C = 1 / r, and is shown as that. */
#include "svm/kernel/svm.h"

#include <math.h>

const peri_svm_type_row peri_svm_type_table[PERI_SVM_TYPE_COUNT] = {
    [PERI_C_SVC] =
        {.name = "SVC",
         .libsvm = "c_svc",
         .targets = PERI_TARGET_LABELS,
         .uses_C = true,
         .form = {.segments = 2, .q = PERI_LINEAR_TERM_CLASS, .low = {0, -1}, .high = {1, 0}, .sum = PERI_SUM_ZERO}},
    [PERI_NU_SVC] = {.name = "NuSVC",
                     .libsvm = "nu_svc",
                     .targets = PERI_TARGET_LABELS,
                     .uses_nu = true,
                     .form = {.segments = 2,
                              .q = PERI_LINEAR_TERM_NONE,
                              .low = {0, -1},
                              .high = {1, 0},
                              .sum = PERI_SUM_NU_EACH,
                              .margin = true}},
    [PERI_ONE_CLASS] = {.name = "OneClassSVM",
                        .libsvm = "one_class",
                        .targets = PERI_TARGET_NONE,
                        .uses_nu = true,
                        .form = {.segments = 1,
                                 .q = PERI_LINEAR_TERM_NONE,
                                 .low = {0},
                                 .high = {1},
                                 .sum = PERI_SUM_NU,
                                 .boundary = true,
                                 .few_rows = true}},
    [PERI_EPSILON_SVR] = {.name = "SVR",
                          .libsvm = "epsilon_svr",
                          .targets = PERI_TARGET_NUMBERS,
                          .uses_C = true,
                          .uses_epsilon = true,
                          .form = {.segments = 1,
                                   .q = PERI_LINEAR_TERM_NUMBER,
                                   .low = {-1},
                                   .high = {1},
                                   .sum = PERI_SUM_ZERO,
                                   .kink = true}},
    [PERI_NU_SVR] = {.name = "NuSVR",
                     .libsvm = "nu_svr",
                     .targets = PERI_TARGET_NUMBERS,
                     .uses_C = true,
                     .uses_nu = true,
                     .form = {.segments = 2,
                              .q = PERI_LINEAR_TERM_NUMBER,
                              .low = {0, -1},
                              .high = {1, 0},
                              .sum = PERI_SUM_NU_EACH}},
};

peri_svm_options peri_svm_defaults(peri_svm_type type) {
  return (peri_svm_options){.type = type,
                            .kernel = PERI_SVM_RBF,
                            .C = 1,
                            .nu = 0.5,
                            .epsilon = 0.1,
                            .gamma_mode = PERI_GAMMA_SCALE,
                            .degree = 3,
                            .tol = 1e-3,
                            .cache_size = 200,
                            .max_iter = -1,
                            .time_limit = INFINITY};
}
