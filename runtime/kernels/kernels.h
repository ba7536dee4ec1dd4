/* Kernels: numerical work on raw pointers and sizes, ignorant of tensors.
 *
 * Two layers. Loops (the tables at the end) are plain C compiled once per instruction set, from the
 * files *.isa.c, and reached through context->kernels. Drivers (the functions in the middle) cut a
 * job into pieces that depend on the job alone and hand them to the team, so that the bits never
 * depend on the number of threads. A driver fails only with PERI_ERR_CANCELLED or PERI_ERR_MEMORY.
 *
 * "float" dtypes are PERI_FLOAT32 and PERI_FLOAT64. NaN, infinities, signed zeros and denormals
 * behave as IEEE 754 says; max, min, argmax, argmin and sort treat NaN as the largest value and
 * max and min propagate it. */
#ifndef PERI_KERNELS_H
#define PERI_KERNELS_H

#include "base/base.h"

/* ---- which elementwise functions there are: one line each in elementwise.def ---- */
typedef enum peri_unary_id {
#define UNARY(name, ...) PERI_UNARY_##name,
#include "kernels/elementwise.def"
  PERI_UNARIES
} peri_unary_id;

typedef enum peri_tuned_id {
#define TUNED(name, ...) PERI_TUNED_##name,
#include "kernels/elementwise.def"
  PERI_TUNEDS
} peri_tuned_id;

typedef enum peri_binary_id {
#define BINARY(name, ...) PERI_BINARY_##name,
#include "kernels/elementwise.def"
  PERI_BINARIES
} peri_binary_id;

typedef enum peri_test_id {
#define TEST(name, ...) PERI_TEST_##name,
#include "kernels/elementwise.def"
  PERI_TESTS
} peri_test_id;

typedef enum peri_compare_id {
#define COMPARE(name, ...) PERI_COMPARE_##name,
#include "kernels/elementwise.def"
  PERI_COMPARES
} peri_compare_id;

/* ---- loops over one dimension: n elements, strides in bytes, 0 repeats an element ----
 * The output may be one of the inputs exactly (same pointer and stride), never overlap otherwise.
 * Body and tail of a loop do the same arithmetic per element. */
typedef void (*peri_loop1)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa);
typedef void (*peri_loop2)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb);
typedef void (*peri_loop3)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb,
                           const char *c, ptrdiff_t sc);
/* A function with numbers beside its operands. */
typedef void (*peri_tuned1)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const double *numbers);
typedef void (*peri_tuned2)(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb,
                            const double *numbers);

/* ---- reductions: x is outer x n x inner, contiguous; y is outer x inner ----
 * The error of float sums does not grow with n. n = 0: sum 0, prod 1; max and min need n >= 1. */
peri_status peri_reduce_sum(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *y); /* float dtypes, int64 */
peri_status peri_reduce_prod(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                             const void *x, void *y); /* float dtypes, int64 */
/* The mean, and the sum of squared deviations from it divided by degrees, or the square root of that; computed in
 * double and rounded once. Either output may be NULL. The spread of equal numbers is exactly 0. Float dtypes. */
peri_status peri_reduce_moments(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                                const void *x, double degrees, bool root, void *mean, void *spread);
/* The root of the sum of squares, made in double. */
peri_status peri_reduce_norm(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                             const void *x, void *y);
/* The largest (or smallest) value and the first position where it stands, from 0; either output may
 * be NULL. Every dtype. */
peri_status peri_reduce_max(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *value, int64_t *index);
peri_status peri_reduce_min(peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                            const void *x, void *value, int64_t *index);
/* x bool, y bool */
peri_status peri_reduce_any(peri_context *context, int64_t outer, int64_t n, int64_t inner, const uint8_t *x,
                            uint8_t *y);
peri_status peri_reduce_all(peri_context *context, int64_t outer, int64_t n, int64_t inner, const uint8_t *x,
                            uint8_t *y);

/* ---- scans: each element of y is the reduction of x up to it, or with reverse from the end back to it ----
 * Shapes as reductions have them. SUM and PROD: float dtypes, int64; MAX and MIN: every dtype, and index the last
 * position, from 0, where the extreme stands, NaN the largest and the smallest; LOGSUMEXP: float dtypes, not reverse.
 * index is NULL for the others. */
typedef enum peri_scan { PERI_SCAN_SUM, PERI_SCAN_PROD, PERI_SCAN_MAX, PERI_SCAN_MIN, PERI_SCAN_LOGSUMEXP } peri_scan;
peri_status peri_scan_along(peri_context *context, peri_scan scan, bool reverse, peri_dtype dtype, int64_t outer,
                            int64_t n, int64_t inner, const void *x, void *y, int64_t *index);
/* y = g + a * (the y before it, or with reverse after it); float dtypes, computed in double. The first a is not read.
 */
peri_status peri_recurrence(peri_context *context, bool reverse, peri_dtype dtype, int64_t outer, int64_t n,
                            int64_t inner, const void *g, const void *a, void *y);

/* ---- softmax and cross-entropy over rows: x is rows x n, contiguous, float dtypes ---- */
peri_status peri_softmax(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x, void *y);
peri_status peri_log_softmax(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x, void *y);
/* gx from gy and the forward result y. */
peri_status peri_softmax_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *gy,
                                  const void *y, void *gx);
peri_status peri_log_softmax_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *gy,
                                      const void *y, void *gx);
/* loss[r] = logsumexp(x[r]) - x[r][target[r]], targets from 0 and already checked; and
 * p = softmax(x) for the gradient, unless p is NULL. */
peri_status peri_cross_entropy(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                               const int64_t *target, void *loss, void *p);
/* gx[r] = g[r * g_step] * scale * (p[r] - onehot(target[r])); g_step is 0 or 1 */
peri_status peri_cross_entropy_backward(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *g,
                                        int64_t g_step, double scale, const void *p, const int64_t *target, void *gx);

/* ---- lanes: PERI_LANES networks, or fewer, side by side (plan/lanes.h): number i of lane l stands at
 * i * PERI_LANES + l. Each lane has the bits that it would have by itself. ---- */
#define PERI_LANES         16
#define PERI_LANES_MOST    16384 /* elements of a tensor of one network: what is not cut */
#define PERI_LANES_LONGEST 1024  /* numbers of one sum */
#define PERI_LANES_CLASSES 31
/* As peri_reduce_sum, divided by a number; float dtypes. n is at most PERI_LANES_LONGEST where inner is 1. */
void peri_sum_lanes(const peri_context *context, peri_dtype dtype, int64_t outer, int64_t n, int64_t inner,
                    double divisor, const void *x, void *y);
/* As peri_cross_entropy, of at most PERI_LANES_CLASSES classes; p is not NULL. g has a number for each lane. */
void peri_cross_entropy_lanes(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                              const int64_t *target, void *loss, void *p);
void peri_cross_entropy_lanes_backward(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n,
                                       const void *g, int64_t g_step, double scale, const void *p,
                                       const int64_t *target, void *gx);
/* hits[l] grows by the rows of lane l whose largest score, the first of equals and NaN before all, stands at the place
 * that truth, contiguous, says, from 1. Strides are those of elements, in lanes. */
void peri_hits_lanes(const peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, const void *x,
                     int64_t row_stride, int64_t column_stride, const int64_t *truth, int64_t *hits);

/* ---- pooling: x is planes x rows x columns, y has a value for each window; contiguous, float dtypes ---- */
/* The windows along one dimension: number i has the places i * stride - padding + k * dilation of [0, n), k from 0
 * below size. At least one lies there. */
typedef struct peri_windows {
  int64_t n, count, size, stride, padding, dilation;
} peri_windows;
/* A window of two dimensions has places in row-major order, numbered from 0 with those that are padding. The number of
 * the chosen one is kept in an element of this dtype. */
static inline peri_dtype peri_pool_place_dtype(const peri_windows windows[2]) {
  return windows[0].size <= 256 && windows[1].size <= 256 / windows[0].size ? PERI_UINT8 : PERI_INT64;
}
/* The largest of each window and its place, the first among equals; NaN is the largest. place may be NULL. */
peri_status peri_max_pool(peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows windows[2],
                          const void *x, void *y, void *place);
/* x = zeros with each y added at its place, in row-major order of y; and the reverse, y = x at the place. */
peri_status peri_max_pool_scatter(peri_context *context, peri_dtype dtype, int64_t planes,
                                  const peri_windows windows[2], const void *y, const void *place, void *x);
peri_status peri_max_pool_gather(peri_context *context, peri_dtype dtype, int64_t planes, const peri_windows windows[2],
                                 const void *x, const void *place, void *y);
/* index = the element's position in its plane, from 1, in row-major order */
peri_status peri_max_pool_index(peri_context *context, int64_t planes, const peri_windows windows[2], const void *place,
                                int64_t *index);
/* What windows along one dimension of n average: from inclusive to exclusive, and by how much they divide. */
typedef struct peri_span {
  int64_t from, to;
  double divisor;
} peri_span;
typedef struct peri_spans {
  int64_t n, count;
  const peri_span *span;
} peri_spans;
/* Sums over windows, divided by the product of both divisors; and the transpose, where x gets the quotient of each
 * window that it lies in. */
peri_status peri_average_pool(peri_context *context, peri_dtype dtype, int64_t planes, const peri_spans spans[2],
                              const void *x, void *y);
peri_status peri_average_pool_spread(peri_context *context, peri_dtype dtype, int64_t planes, const peri_spans spans[2],
                                     const void *y, void *x);

/* ---- normalisation of channels: x is n x channels x inner, contiguous, float dtypes; one number for each channel is
 * a double ---- */
typedef struct peri_channels {
  int64_t n, channels, inner;
} peri_channels;
/* Mean, and the mean of squared deviations from it, as peri_reduce_moments finds them. */
peri_status peri_channel_moments(peri_context *context, peri_dtype dtype, peri_channels size, const void *x,
                                 double *mean, double *variance);
/* y = (x - mean) * scale + shift */
peri_status peri_channel_scale(peri_context *context, peri_dtype dtype, peri_channels size, const void *x,
                               const double *mean, const double *scale, const double *shift, void *y);
/* The sums of g, and of g (x - mean). */
peri_status peri_channel_products(peri_context *context, peri_dtype dtype, peri_channels size, const void *g,
                                  const void *x, const double *mean, double *sums, double *products);
/* y = (g - shift - (x - mean) * slope) * scale */
peri_status peri_channel_correct(peri_context *context, peri_dtype dtype, peri_channels size, const void *g,
                                 const void *x, const double *mean, const double *slope, const double *shift,
                                 const double *scale, void *y);

/* ---- rows and positions; indices are already checked ---- */
/* y[r] = x[index[r]] for rows of `bytes` bytes, which the indices count from `first` */
peri_status peri_gather_rows(peri_context *context, int64_t rows, size_t bytes, const void *x, const int64_t *index,
                             int64_t first, void *y);
/* Stable sort of each row of rows x n; index[r][i] is where y[r][i] came from. Every dtype. */
peri_status peri_sort_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, bool descending,
                           const void *x, void *y, int64_t *index);

/* index = where the element of each rank stands, from 0, in that order of each row (ascending); `ranks` of them for
 * each row, from 0. index may be rank where there is one. */
peri_status peri_select_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t ranks,
                             const int64_t *rank, const void *x, int64_t *index);
/* The first k of that order (descending where largest), y and index rows x k; 0 <= k <= n. */
peri_status peri_top_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t k, bool largest,
                          const void *x, void *y, int64_t *index);
/* index[i] = how many of the sorted row x come before value i, or with right not after it: n elements in each of rows,
 * `count` values for each row, or for all where the rows are one. NaN is the largest. Every dtype. */
peri_status peri_search_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t count,
                             bool right, const void *x, const void *values, int64_t *index);

/* ---- random fills: element i depends on (seed, first, i) alone; contiguous ----
 * peri_random_blocks says how many blocks of the stream such a fill uses; permutations, exponential fills and trials
 * use those of int64. */
uint64_t peri_random_blocks(peri_dtype dtype, int64_t n);
/* Element i of x, of a float dtype, times 0 where number i of a uniform fill of [0, 1) is below p, else times scale.
 * kept: which were not below, bools, or NULL. And gx = g scale where kept, else 0. */
peri_status peri_drop(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first, double p,
                      double scale, const void *x, void *y, void *kept);
peri_status peri_drop_back(peri_context *context, peri_dtype dtype, int64_t n, double scale, const void *g,
                           const void *kept, void *gx);
/* peri_drop of n numbers of each lane; of lane l from block first[l] of seed[l]. */
void peri_drop_lanes(const peri_context *context, peri_dtype dtype, int64_t n, const uint64_t *seed,
                     const uint64_t *first, double p, double scale, const void *x, void *y, void *kept);
peri_status peri_fill_uniform(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                              double low, double high, void *y); /* float dtypes, [low, high) */
peri_status peri_fill_normal(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                             double mean, double std, void *y); /* float dtypes */
peri_status peri_fill_integers(peri_context *context, int64_t n, uint64_t seed, uint64_t first, int64_t low,
                               int64_t high, int64_t *y); /* both ends included */
/* float dtypes, above 0; computed in double */
peri_status peri_fill_exponential(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                                  double rate, void *y);
/* Every dtype: 1 where a number of [0, 1) with 53 bits is below the chance, else 0; p has the chance of each element,
 * or is NULL where `chance` is that of all. */
peri_status peri_fill_trials(peri_context *context, peri_dtype dtype, int64_t n, uint64_t seed, uint64_t first,
                             double chance, const double *p, void *y);
peri_status peri_permutation(peri_context *context, int64_t n, uint64_t seed, uint64_t first,
                             int64_t *y); /* of 0..n-1 */

/* ---- the tables of loops; NULL where a dtype has no such loop ---- */
typedef struct peri_elementwise_kernels {
  peri_loop1 unary[PERI_UNARIES][PERI_DTYPES];
  peri_tuned1 tuned[PERI_TUNEDS][PERI_DTYPES];
  /* divisors of int64 floor_div and mod are not zero, exponents of int64 pow not negative */
  peri_loop2 binary[PERI_BINARIES][PERI_DTYPES];
  peri_loop1 test[PERI_TESTS][PERI_DTYPES];       /* y is bool */
  peri_loop2 compare[PERI_COMPARES][PERI_DTYPES]; /* y is bool */
  peri_loop2 compare_mixed[PERI_COMPARES];        /* y is bool, a int64, b float64; as the numbers stand, unrounded */
  peri_loop3 lerp[PERI_DTYPES];                   /* y = a + c (b - a), floats */
  peri_loop3 where[PERI_DTYPES];                  /* a bool: y = a ? b : c */
  /* [from][to]: to the nearest value that the dtype has, fractions cut off, NaN to 0; to bool: x != 0; equal
   * dtypes copy */
  peri_loop1 convert[PERI_DTYPES][PERI_DTYPES];
  peri_loop2 logical_and, logical_or; /* bool */
  peri_loop1 logical_not;
} peri_elementwise_kernels;

typedef struct peri_derivative_kernels {
  /* gx from (g, x, y): g * derivative(x, y). An operand that the function does not save is not read. NULL where the
   * gradient is a formula alone. */
  peri_loop3 unary[PERI_UNARIES][PERI_DTYPES];
  peri_tuned2 tuned[PERI_TUNEDS][PERI_DTYPES]; /* gx from (g, x) */
} peri_derivative_kernels;

typedef struct peri_kernels {
  const char *name; /* "baseline", "exact", "x86-64-v3", "x86-64-v4", "aarch64" */
  bool same_bits;   /* those of every machine with FMA; see docs/numerics.md */
  const peri_elementwise_kernels *elementwise;
  const peri_derivative_kernels *derivatives;
  const struct peri_row_kernels *rows;          /* what the drivers above run; declared in kernels/rows.h */
  const struct peri_product_tiles *tiles;       /* declared in product/tiles.h */
  const struct peri_distance_kernels *distance; /* declared in product/distance.h */
  const struct peri_svm_kernels *svm;           /* declared in svm/svm_kernels.h */
  const struct peri_linear_kernels *linear;     /* declared in svm/linear/linear_kernels.h */
  const struct peri_update_kernels *update;     /* declared in optim/update.h */
} peri_kernels;

/* The best variant for this processor, or the one that PERILUNE_ISA names (baseline, v3, v4) when
 * the processor has it. Defined where all rooms are seen (open.c). */
const peri_kernels *peri_kernels_select(void);

#endif
