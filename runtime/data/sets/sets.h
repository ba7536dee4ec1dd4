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
  uint64_t stream;            /* which part of a seed's stream it draws from */
  bool numbers;               /* y holds numbers, else labels from 1 */
  int64_t (*features)(const double *values);
  /* Numbers that are drawn once and given beside x and y: returns the number of dimensions. NULL: there are none. */
  int (*shape)(const double *values, int64_t shape[2]);
  void (*draw)(const double *values, peri_stream *stream, double *parameters);
  /* What is wrong with the options beside their ranges, or NULL. NULL: nothing can be. */
  const char *(*refuse)(const double *values);
  double (*sample)(const peri_set_sample *s, peri_stream *stream); /* gives y */
} peri_data_set;

/* Ends with a row without name. */
extern const peri_data_set peri_data_sets[];

/* *x is n x features of dtype (float32 or float64), *y n (int64 labels, or dtype), *parameters what the row draws
 * (dtype) or NULL. Rows with labels are shuffled. Everything follows from (n, values, seed). */
peri_status peri_data_generate(peri_context *context, const peri_data_set *set, int64_t n, const double *values,
                               uint64_t seed, peri_dtype dtype, peri_tensor **x, peri_tensor **y,
                               peri_tensor **parameters);

/* ---- sets with a function of their own ---- */

/* Two concentric rings, as scikit-learn's make_circles: n/2 points evenly spaced on the unit circle and
 * n - n/2 on the circle of radius factor, shuffled, with Gaussian noise of standard deviation noise
 * on both coordinates. *x is n x 2 of dtype (float32 or float64); *y is int64, n: 1 outer, 2 inner.
 * n >= 1, noise >= 0, 0 <= factor < 1. */
peri_status peri_data_circles(peri_context *context, int64_t n, double noise, double factor, uint64_t seed,
                              peri_dtype dtype, peri_tensor **x, peri_tensor **y);

/* Handwritten-like digits, white on black, 28 x 28. *x is n x 784 float32, each value k/255; *y is int64,
 * n: the digit + 1. Image i depends on (seed, i) alone: a smaller set is a prefix of a larger one
 * of the same seed. Images 10k to 10k + 9 show each digit once, in random order. n >= 1. */
peri_status peri_data_digits(peri_context *context, int64_t n, uint64_t seed, peri_tensor **x, peri_tensor **y);

#endif
