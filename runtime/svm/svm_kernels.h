/* The SVM's inner loops on raw pointers, compiled once per instruction set from svm_kernels.isa.c and
 * reached through context->kernels->svm. Index [0] of a pair of functions takes float32 kernel values
 * or features, [1] float64; alpha, gradient and weights are always double.
 *
 * The passes of the SMO solver work on whole groups of PERI_SVM_LANES variables: their arrays are
 * padded to that multiple, a padding variable belongs to neither set, and a kernel row must be
 * readable (any value) up to the end of its last group. */
#ifndef PERI_SVM_KERNELS_H
#define PERI_SVM_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#define PERI_SVM_LANES 8

/* The bits of a variable's state: which way it may still move, and, where the objective has a term
 * kink |b|, whether the way up and the way down are above 0, where that term grows: both for b > 0, the
 * way up alone at b = 0. A slope is g + kink on a way above, g - kink on one below. */
#define PERI_SVM_UP         1
#define PERI_SVM_DOWN       2
#define PERI_SVM_UP_ABOVE   4
#define PERI_SVM_DOWN_ABOVE 8

/* The variable that may grow with the smallest slope, and the largest slope among those that
 * may shrink. Positions are relative to the pass's first variable, the last of equals; -1 where the set
 * is empty. */
typedef struct peri_svm_extremes {
  double up, down; /* +infinity and -infinity for an empty set */
  int64_t up_at;
} peri_svm_extremes;

/* The best partner of a variable: gain (squared slope over curvature) and position, -1 for none. */
typedef struct peri_svm_partner {
  double gain;
  int64_t at;
} peri_svm_partner;

#define PERI_SVM_CURVATURE 1e-12 /* stands for a curvature that is not positive */

typedef struct peri_svm_kernels {
  /* the extremes of slopes as g stands */
  void (*extremes)(int64_t n, const double *g, const int8_t *state, double kink, peri_svm_extremes *out);
  /* g += step * (row_i - row_j), then the extremes: one pass */
  void (*step[2])(int64_t n, double *g, const int8_t *state, const void *row_i, const void *row_j, double step,
                  double kink, peri_svm_extremes *out);
  /* among variables that may shrink and have b = slope - slope_i > 0, the one with the largest
   * b^2 / (k_ii + diagonal - 2 row_i) */
  void (*partner[2])(int64_t n, const double *g, const int8_t *state, const double *diagonal, const void *row_i,
                     double slope_i, double k_ii, double kink, peri_svm_partner *out);

  /* y += scale * x, any n; and four at once, in the order of the sum */
  void (*axpy[2])(int64_t n, double *y, const void *x, double scale);
  void (*axpy4[2])(int64_t n, double *y, const void *const x[4], const double scale[4]);
  /* sum of x * w, any n; the order of the sum depends on n alone */
  double (*dot[2])(int64_t n, const void *x, const double *w);
  double (*square[2])(int64_t n, const void *x); /* sum of x * x, likewise */

  /* out[j] = the sum over l of (a_l - b_lj)^2, for small d: b is d x n with rows of ldb */
  void (*narrow_squares[2])(int64_t n, int64_t d, const void *a, const void *b, int64_t ldb, void *out);
  /* |u - v|^2 from the differences of d features, [u is float64][v is float64]; the order of the sum depends on d
   * alone, whatever the instruction set */
  double (*distance[2][2])(int64_t d, const void *u, const void *v);

  /* kernel rows in place, any n. rbf: products x_j = u.v_j to the exponents -gamma (norm + norms_j - 2 x_j), ready for
   * exp, or to 1 where cancellation has left too few digits of them; whether there is such a one. largest: of norms */
  bool (*rbf_exponent[2])(int64_t n, void *x, const void *norms, double largest, double norm, double gamma);
  /* the same from squared distances, of which float32 may have overflowed */
  bool (*distance_exponent[2])(int64_t n, void *x, double gamma);
  void (*affine[2])(int64_t n, void *x, double scale, double offset); /* x = scale * x + offset */
  void (*power[2])(int64_t n, void *x, int64_t degree);               /* x = x^degree, degree >= 0 */

  bool (*finite[2])(int64_t n, const void *x);
} peri_svm_kernels;

#endif
