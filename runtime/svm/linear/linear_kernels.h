/* The inner loops of the linear machines on raw pointers, compiled once per instruction set from
 * linear_kernels.isa.c and reached through context->kernels->linear. Index [0] of a pair of functions takes
 * float32 features, [1] float64; everything else is double, and products are fused where the set can. The
 * order of every sum depends on the sizes alone. */
#ifndef PERI_LINEAR_KERNELS_H
#define PERI_LINEAR_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* Losses with a derivative; f is the decision, y the target (-1 or 1 for the first and the last). */
enum {
  PERI_SMOOTH_HINGE,    /* c max(0, 1 - y f)^2 */
  PERI_SMOOTH_EPSILON,  /* c max(0, |f - y| - epsilon)^2 */
  PERI_SMOOTH_LOGISTIC, /* c log(1 + exp(-y f)) */
  PERI_SMOOTH_LOSSES
};

typedef struct peri_linear_kernels {
  /* out[r * ldo] = x . w_r, where w_r begins at w + r * ldw */
  void (*dots[2])(int64_t d, const void *x, int64_t count, const double *w, int64_t ldw, double *out, int64_t ldo);
  /* y += coef[0] x[0] + coef[1] x[1] + .. over rows given by address */
  void (*add_rows[2])(int64_t d, int64_t rows, const void *const *x, const double *coef, double *y);
  /* y += coef x^2, elementwise */
  void (*add_squares[2])(int64_t d, const void *x, double coef, double *y);
  /* y = scale x */
  void (*scaled[2])(int64_t d, const void *x, double scale, double *y);
  /* y = scale units x, elementwise, in float32 */
  void (*narrowed[2])(int64_t d, const void *x, double scale, const double *units, float *y);

  /* A column of features. */
  double (*against[2])(int64_t n, const void *x, const double *slope);                     /* sum of x slope */
  double (*squares_against[2])(int64_t n, const void *x, const double *curvature);         /* sum of x^2 curvature */
  void (*shifted[2])(int64_t n, const void *x, double step, const double *f, double *out); /* out = f + step x */
  void (*bent[2])(int64_t n, const void *x, double step, const double *curvature,
                  double *z); /* z += step curvature x */

  /* What Cholesky's factor is made of ([0]: all of it is float32), fused nowhere, so that every set gives its bits.
   * y -= scale[0] x_0 + scale[step] x_1 + .., in that order: rows of x are ldx apart */
  void (*less[2])(int64_t n, int64_t rows, const void *x, int64_t ldx, const void *scale, int64_t step, void *y);
  /* y / sqrt(y[0]); false where that is no number */
  bool (*pivot[2])(int64_t n, void *y);
  void (*negated[2])(int64_t n, const void *x, void *y); /* y = -x */
  /* x = (U'U)^-1 x of the upper half of u (n x n) */
  void (*solve[2])(int64_t n, const void *u, void *x);

  /* slope and curvature are the first two derivatives in f (of the squares: the second where there is one) */
  void (*derive[PERI_SMOOTH_LOSSES])(int64_t n, const double *f, const double *y, const double *c, double epsilon,
                                     double *slope, double *curvature);
  /* sum of the losses, of those that go with an L1 penalty; else NULL */
  double (*value[PERI_SMOOTH_LOSSES])(int64_t n, const double *f, const double *y, const double *c);
} peri_linear_kernels;

#endif
