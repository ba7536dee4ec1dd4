/* What every machine needs before it learns: checked features, sorted classes, the upper bound C_i of
 * each row, and the rows that take part put in order of class. Also `blocks`, a list of
 * allocations that is released in one call, so that every error path is a single line. */
#ifndef PERI_SVM_GROUPING_H
#define PERI_SVM_GROUPING_H

#include "svm/samples.h"

/* ---- blocks ---- */

#define PERI_BLOCKS 48 /* more than the largest fit takes; one more is an error */

typedef struct peri_blocks {
  peri_context *context;
  int count;
  struct {
    void *at;
    size_t bytes;
  } block[PERI_BLOCKS];
} peri_blocks;

/* count elements of size bytes, uninitialised; *out is a pointer of any type, NULL on failure. */
peri_status peri_blocks_new(peri_blocks *blocks, int64_t count, size_t size, void *out);
peri_status peri_blocks_new_zeroed(peri_blocks *blocks, int64_t count, size_t size, void *out);
void peri_blocks_release(peri_blocks *blocks);

/* ---- checks ---- */

static inline bool peri_is_wide(peri_dtype dtype) { return dtype == PERI_FLOAT64; }
static inline size_t peri_float_size(peri_dtype dtype) { return dtype == PERI_FLOAT64 ? 8 : 4; }
/* Element (i, j) of a matrix of `dtype` with leading dimension ld. */
static inline const void *peri_at(peri_dtype dtype, const void *x, int64_t ld, int64_t i, int64_t j) {
  return (const char *)x + (i * ld + j) * (int64_t)peri_float_size(dtype);
}
static inline double peri_value(peri_dtype dtype, const void *x, int64_t at) {
  return dtype == PERI_FLOAT64 ? ((const double *)x)[at] : (double)((const float *)x)[at];
}

/* dtype is a float one, sizes make sense, every element is finite. */
peri_status peri_svm_check_features(peri_context *context, const char *who, peri_dtype dtype, int64_t n, int64_t d,
                                    const void *x, int64_t ldx);

/* ---- classes ---- */

typedef struct peri_grouping {
  int64_t k;        /* classes, at least 2; 0: no classes, one group */
  int64_t *classes; /* k, ascending */
  int64_t *start;   /* k + 1 (no classes: 2): where each class begins in order */
  int64_t rows;     /* rows that take part: those of weight above 0 */
  int64_t *order;   /* rows: row numbers of X, grouped by class, ascending within a class */
  double *bound;    /* rows, in that order: C * class weight * row weight */
} peri_grouping;

/* Of the samples' labels. Blocks keep what `out` points to. */
peri_status peri_svm_group(peri_blocks *blocks, const char *who, const peri_svm_samples *samples, double C,
                           const peri_class_weights *class_weights, peri_grouping *out);
/* Rows without classes; bounds are the weights. */
peri_status peri_svm_group_all(peri_blocks *blocks, const char *who, const peri_svm_samples *samples,
                               peri_grouping *out);

#endif
