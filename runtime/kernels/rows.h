/* What the drivers call on one piece of a job: loops over rows and columns, compiled once per
 * instruction set like the elementwise ones. Arrays indexed by dtype have as many entries as their
 * operation has dtypes: two (the float dtypes), three (int64 too) or all.
 *
 * None of these allocates or fails; the drivers have checked and cut everything. */
#ifndef PERI_KERNELS_ROWS_H
#define PERI_KERNELS_ROWS_H

#include "kernels/kernels.h"

#define PERI_FLOATS            2 /* PERI_FLOAT32 and PERI_FLOAT64 come first in peri_dtype */
#define PERI_ARITHMETICS       3 /* then PERI_INT64 */
#define PERI_REDUCE_COLUMNS    1024
#define PERI_NORMALIZE_COLUMNS 256

/* ---- reductions of a block of n rows and at most PERI_REDUCE_COLUMNS columns, x[i * stride + j]:
 * one result for each column. A single column with stride 1 is a contiguous run. ---- */
typedef struct peri_reduce_kernels {
  /* out is double for the float dtypes, int64 for int64 */
  void (*sum[PERI_ARITHMETICS])(int64_t n, int64_t stride, int64_t width, const void *x, void *out);
  void (*prod[PERI_ARITHMETICS])(int64_t n, int64_t stride, int64_t width, const void *x, void *out);
  /* out[j] = sum of x - mean[j], and of (x - mean[j])^2 */
  void (*deviations[PERI_FLOATS])(int64_t n, int64_t stride, int64_t width, const void *x, const double *mean,
                                  double *out);
  void (*squares[PERI_FLOATS])(int64_t n, int64_t stride, int64_t width, const void *x, const double *mean,
                               double *out);
  /* n >= 1; value has the dtype of x; index may be NULL */
  void (*max[PERI_DTYPES])(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index);
  void (*min[PERI_DTYPES])(int64_t n, int64_t stride, int64_t width, const void *x, void *value, int64_t *index);
  /* out[j] is 0 or 1 */
  void (*any)(int64_t n, int64_t stride, int64_t width, const void *x, void *out);
  void (*all)(int64_t n, int64_t stride, int64_t width, const void *x, void *out);
} peri_reduce_kernels;

/* ---- rows x n, contiguous; as the drivers in kernels.h ---- */
typedef struct peri_softmax_kernels {
  void (*softmax[PERI_FLOATS])(int64_t rows, int64_t n, const void *x, void *y);
  void (*log_softmax[PERI_FLOATS])(int64_t rows, int64_t n, const void *x, void *y);
  void (*softmax_backward[PERI_FLOATS])(int64_t rows, int64_t n, const void *gy, const void *y, void *gx);
  void (*log_softmax_backward[PERI_FLOATS])(int64_t rows, int64_t n, const void *gy, const void *y, void *gx);
  void (*cross_entropy[PERI_FLOATS])(int64_t rows, int64_t n, const void *x, const int64_t *target, void *loss,
                                     void *p);
  void (*cross_entropy_backward[PERI_FLOATS])(int64_t rows, int64_t n, const void *g, int64_t g_step, double scale,
                                              const void *p, const int64_t *target, void *gx);
  /* of networks in lanes */
  void (*cross_entropy_lanes[PERI_FLOATS])(int64_t rows, int64_t n, const void *x, const int64_t *target, void *loss,
                                           void *p);
  void (*cross_entropy_lanes_backward[PERI_FLOATS])(int64_t rows, int64_t n, const void *g, int64_t g_step,
                                                    double scale, const void *p, const int64_t *target, void *gx);
  void (*hits_lanes[PERI_FLOATS])(int64_t rows, int64_t n, const void *x, int64_t row_stride, int64_t column_stride,
                                  const int64_t *truth, int64_t *hits);
} peri_softmax_kernels;

/* ---- pooling of planes, one behind the other; as the drivers in kernels.h ---- */
typedef struct peri_pool_kernels {
  /* the rows from .. to of y, which place and y begin with */
  void (*max[PERI_FLOATS])(int64_t planes, const peri_windows windows[2], int64_t from, int64_t to, const void *x,
                           void *y, void *place);
  void (*scatter[PERI_FLOATS])(int64_t planes, const peri_windows windows[2], const void *y, const void *place,
                               void *x);
  void (*gather[PERI_FLOATS])(int64_t planes, const peri_windows windows[2], const void *x, const void *place, void *y);
  /* rows from .. to of y, which it begins with; scratch: a double for each column of x */
  void (*average[PERI_FLOATS])(int64_t planes, const peri_spans spans[2], int64_t from, int64_t to, const void *x,
                               void *y, double *scratch);
  void (*spread[PERI_FLOATS])(int64_t planes, const peri_spans spans[2], const void *y, void *x, double *scratch);
} peri_pool_kernels;

/* ---- normalisation: n rows of `width` columns, x[i * stride + j], with numbers for each column, or one for all where
 * `each` is false ---- */
typedef struct peri_normalize_kernels {
  void (*scale[PERI_FLOATS])(int64_t n, int64_t stride, int64_t width, bool each, const void *x, const double *mean,
                             const double *scale, const double *shift, void *y);
  /* sums and products are of columns; mean is for each, and width at most PERI_NORMALIZE_COLUMNS */
  void (*products[PERI_FLOATS])(int64_t n, int64_t stride, int64_t width, const void *g, const void *x,
                                const double *mean, double *sums, double *products);
  void (*correct[PERI_FLOATS])(int64_t n, int64_t stride, int64_t width, bool each, const void *g, const void *x,
                               const double *mean, const double *slope, const double *shift, const double *scale,
                               void *y);
} peri_normalize_kernels;

/* ---- recurrent cells: one row of a batch at one step. Vectors have n elements, those of gates as many for each gate,
 * in PyTorch's order; each element is NaN where what it comes from is. ---- */
enum { PERI_CELL_TANH, PERI_CELL_RELU, PERI_CELL_GRU, PERI_CELL_LSTM, PERI_CELLS };
typedef struct peri_cell_row {
  int64_t n;
  const void *x, *product,
      *bias;   /* gates: of the input, of the state; bias, which may be NULL, belongs to the latter */
  void *h, *c; /* the state, which is replaced; c of an LSTM */
  void *y;     /* the new h again */
  void *kept;  /* gates of a GRU r z n and what r scales, of an LSTM i f g o and c; or NULL */
} peri_cell_row;
typedef struct peri_cell_slope {
  int64_t n;
  const void *gy, *y, *kept; /* gy may be NULL */
  const void *before;        /* h of a GRU, c of an LSTM before the step */
  void *gh, *gc;             /* of the state behind the step; replaced by what reaches the state before it directly */
  void *gx, *gp;             /* of the gates; gp is other than gx for a GRU alone */
} peri_cell_slope;
typedef struct peri_cell_kernels {
  void (*forward[PERI_CELLS][PERI_FLOATS])(const peri_cell_row *row);
  void (*backward[PERI_CELLS][PERI_FLOATS])(const peri_cell_slope *row);
} peri_cell_kernels;

/* ---- runs of n elements ---- */
typedef struct peri_run_kernels {
  /* as peri_drop and peri_drop_back; u is the uniform numbers */
  void (*drop[PERI_FLOATS])(int64_t n, double p, double scale, const void *u, const void *x, void *y, void *kept);
  void (*drop_back[PERI_FLOATS])(int64_t n, double scale, const void *g, const void *kept, void *gx);
} peri_run_kernels;

/* ---- random fills of n elements that begin with a block ---- */
typedef struct peri_random_kernels {
  void (*uniform[PERI_FLOATS])(int64_t n, uint64_t seed, uint64_t first, double low, double high, void *y);
  void (*normal[PERI_FLOATS])(int64_t n, uint64_t seed, uint64_t first, double mean, double std, void *y);
  /* low + (range * 64 random bits) / 2^64, without bias; range 0 stands for 2^64 */
  void (*integers)(int64_t n, uint64_t seed, uint64_t first, int64_t low, uint64_t range, int64_t *y);
  void (*exponential)(int64_t n, uint64_t seed, uint64_t first, double rate, double *y);
} peri_random_kernels;

typedef struct peri_row_kernels {
  const peri_reduce_kernels *reduce;
  const peri_softmax_kernels *softmax;
  const peri_pool_kernels *pool;
  const peri_normalize_kernels *normalize;
  const peri_run_kernels *runs;
  const peri_cell_kernels *cells;
  const peri_random_kernels *random;
} peri_row_kernels;

/* Work below this many elements is not cut. To measure: ./dev bench parts loops. */
#define PERI_GRAIN 32768

#endif
