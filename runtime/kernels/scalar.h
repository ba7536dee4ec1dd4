/* Elementary functions of one number, for code that is no loop over an array: schedules, data sets, probabilities. They
 * are those of mathfun.h with two roundings for every a * b + c, so that they give the same bits on every machine, with
 * FMA and without. Nothing else of the runtime may take such a function from a libm: it would differ between systems.
 * (Square roots, remainders and rounding are the same everywhere.) */
#ifndef PERI_KERNELS_SCALAR_H
#define PERI_KERNELS_SCALAR_H

#include "base/base.h"

double peri_exp(double x);
double peri_log(double x);
double peri_log1p(double x);
double peri_sin(double x);
double peri_cos(double x);
double peri_pow(double x, double y);
/* sqrt(x^2 + y^2), without overflow or underflow on the way */
double peri_hypot(double x, double y);
/* In gamma.c: log |gamma(x)|, its first three derivatives, and the inverse of the error function. */
double peri_lgamma(double x);
double peri_digamma(double x);
double peri_trigamma(double x);
double peri_tetragamma(double x);
double peri_erfinv(double x);
/* A normal number; takes one block of the stream. */
double peri_stream_normal(peri_stream *stream);
/* IEEE 754 binary16, of which a float has room for every value: nothing rounds. */
float peri_float_of_half(uint16_t half);
/* The largest power of two that is at most |x|, which is neither 0 nor infinite nor NaN. */
double peri_binade(double x);

#endif
