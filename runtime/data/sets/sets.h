/* Generated sets: a table whose rows say how one sample is made. The binding, help and the tests read the rows, so
 * that a set is added in one place. */
#ifndef PERI_DATA_SETS_H
#define PERI_DATA_SETS_H

#include "base/option.h"

typedef struct peri_set_sample {
  const double *values;     /* of the row's options */
  const double *parameters; /* that the row has drawn */
  int64_t features;
  int64_t place, n; /* place: the sample's number before rows are shuffled, 0 .. n-1 */
  double *x;        /* gets `features` numbers */
} peri_set_sample;

typedef struct peri_data_set {
  const char *name, *doc;
  const peri_option *options; /* noise first: of the features, or of y when it holds numbers */
  uint64_t block;             /* the first of its part of a seed's stream; see streams.h */
  bool numbers;               /* y holds numbers, else labels from 1 */
  bool float32_only;          /* x is float32, and there is no option dtype */
  int64_t (*features)(const double *values);
  /* Numbers that are drawn once and given beside x and y: returns the number of dimensions. NULL: there are none. */
  int (*shape)(const double *values, int64_t shape[2]);
  void (*draw)(const double *values, peri_stream *stream, double *parameters);
  /* What is wrong with the options beside their ranges, or NULL. NULL: nothing can be. */
  const char *(*refuse)(const double *values);
  double (*sample)(const peri_set_sample *s, peri_stream *stream); /* gives y */
  /* In place of draw and sample: fills x and y, contiguous, by itself; it has no options. */
  peri_status (*make)(peri_context *context, int64_t n, uint64_t seed, peri_tensor *x, peri_tensor *y);
} peri_data_set;

/* Ends with a row without name. */
extern const peri_data_set peri_data_sets[];

/* *x is n x features of dtype (float32 or float64), *y n (int64 labels, or dtype), *parameters what the row draws
 * (dtype) or NULL. Rows with labels are shuffled, but for those that a row makes by itself. Everything follows from
 * (n, values, seed). */
peri_status peri_data_generate(peri_context *context, const peri_data_set *set, int64_t n, const double *values,
                               uint64_t seed, peri_dtype dtype, peri_tensor **x, peri_tensor **y,
                               peri_tensor **parameters);

#endif
