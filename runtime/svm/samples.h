/* What every machine is given: samples, and weights of classes.
 *
 * Features are row-major float32 or float64, x[i * ldx + j]; labels are int64 of any values; sizes are int64_t and
 * indices count from 0. */
#ifndef PERI_SVM_SAMPLES_H
#define PERI_SVM_SAMPLES_H

#include "base/base.h"

typedef enum peri_svm_targets { PERI_TARGET_LABELS, PERI_TARGET_NUMBERS, PERI_TARGET_NONE } peri_svm_targets;

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

#endif
