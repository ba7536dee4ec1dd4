/* Where Newton's method begins for losses that are squares. */
#ifndef PERI_LINEAR_START_H
#define PERI_LINEAR_START_H

#include "svm/linear/sweep.h"

/* Fills w (slots x width) of the listed slots with a rough solution; alpha is scratch, slots x rows, order
 * too, a row for each piece of PERI_LINEAR_START_TOGETHER slots. */
#define PERI_LINEAR_START_TOGETHER 5
peri_status peri_linear_start(const peri_linear_slots *at, double *w, double *alpha);

#endif
