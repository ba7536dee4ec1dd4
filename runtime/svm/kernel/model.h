/* What a fitted machine keeps besides what it shows: the blocks it owns and its support vectors as
 * decisions need them. The latter follow from the public fields alone, so that a machine that was saved
 * and loaded decides bitwise as before. */
#ifndef PERI_SVM_MODEL_H
#define PERI_SVM_MODEL_H

#include "svm/grouping.h"
#include "svm/kernel/kernel.h"

/* Up to this many rows float32 features are computed with in float64, where that costs nothing. */
#define PERI_SVM_WIDE_ROWS 2000

typedef struct peri_svm_machine {
  peri_blocks blocks; /* all arrays of the model */
  peri_dtype compute;
  peri_svm_kernel kernel;
  int64_t *start;     /* groups + 1: where each class begins among the support vectors */
  double *by_support; /* supports x rows: dual_coef turned, where a class has few support vectors; or NULL */
  double *centre;     /* d: subtracted from features; NULL where the kernel does not allow it */
  void *vectors;      /* supports x d of `compute`, centred; NULL for the linear and the precomputed kernel */
  void *norms;        /* supports */
  void *columns;      /* vectors as columns, columns_ld apart (peri_svm_side); NULL where that is of no use */
  int64_t columns_ld;
  double sign;        /* from public to internal: -1 for two classes */
} peri_svm_machine;

/* The machine of classes a < b among those of k classes. */
static inline int64_t peri_svm_pair_number(int64_t k, int64_t a, int64_t b) {
  return a * (2 * k - a - 1) / 2 + (b - a - 1);
}

/* Whether a class has so few support vectors that decisions are summed up by them. */
static inline bool peri_svm_goes_by_support(const peri_svm *model, int64_t c) {
  return model->n_support[c] < model->k - 1;
}

static inline peri_dtype peri_svm_compute_dtype(peri_dtype dtype, int64_t rows) {
  return rows <= PERI_SVM_WIDE_ROWS ? PERI_FLOAT64 : dtype;
}

#endif
