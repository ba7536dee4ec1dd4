/* What the machines of a fit share: the rows that take part in order of class, their weights, packed features,
 * gamma, and where kernel values come from: the whole Gram matrix when cache_size holds it, else that of each pair of
 * classes when cache_size holds that, else rows as they are needed. */
#ifndef PERI_SVM_PROBLEM_H
#define PERI_SVM_PROBLEM_H

#include "svm/kernel/gram.h"

typedef struct peri_problem {
  peri_context *context;
  peri_blocks blocks;
  const char *who;
  const peri_svm_options *options;
  const peri_svm_form *form; /* of its type */
  const peri_svm_samples *samples;
  peri_dtype compute;     /* of features and kernel values */
  peri_grouping grouping; /* bounds are the rows' weights: without C */
  int64_t pairs;
  double deadline; /* on the clock of peri_now */

  peri_svm_kernel kernel;
  void *features; /* rows x d of `compute`, by class; NULL when the kernel is precomputed */
  double *centre; /* d: subtracted from the features of a linear kernel, for the intercept to make good; or NULL */
  void *norms;
  double *diagonal;
  peri_row_source whole; /* when the matrix fits */
  peri_row_source pair;  /* when that of the largest pair of classes does: what each pair's is like */
  peri_row_cache *cache; /* when neither does: one, or one for each thread */
  int64_t caches;
  peri_row_source *source;
  peri_cached_rows rows; /* where the values of parts come from */
} peri_problem;

/* Checks options and samples and prepares all of it; blocks are to be released in any case. */
peri_status peri_problem_begin(peri_problem *problem, peri_context *context, const peri_svm_options *options,
                               const peri_svm_samples *samples);

static inline bool peri_problem_is_whole(const peri_problem *p) { return p->source == &p->whole; }
static inline bool peri_problem_is_by_pair(const peri_problem *p) { return p->source == &p->pair; }

/* Row of x where row t of the order begins. */
static inline const void *peri_problem_row(const peri_problem *p, int64_t t) {
  return peri_at(p->samples->dtype, p->samples->x, p->samples->ldx, p->grouping.order[t], 0);
}

static inline void peri_classes_of_pair(int64_t k, int64_t pair, int64_t *a, int64_t *b) {
  *a = 0;
  while (pair >= k - 1 - *a) pair -= k - 1 - (*a)++;
  *b = *a + 1 + pair;
}

#endif
